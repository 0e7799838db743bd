"""Metering: usage events, kept with the time they were stored, and the quantities they add up to (lifecycles §5.4)."""
