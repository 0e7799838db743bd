"""The domain: values, events, lifecycles, rating, the journal, and decisions. Pure; see README.md."""
