"""One sentence per event, in words a finance person understands; a module per aggregate, each `match` exhaustive."""
