"""A story that shows the ledger at work: `story` plays it on an open ledger, `generated` makes the usage it needs."""
