"""The audit's folds over events: the history of a charge, a run, a customer or a purchase, one sentence per event."""
