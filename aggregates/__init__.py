"""The domain: values, events, lifecycles, rating, journal and decisions. Pure; imports nothing above it."""
