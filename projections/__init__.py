"""The views: pure folds over events, and the tables that hold what they fold."""
