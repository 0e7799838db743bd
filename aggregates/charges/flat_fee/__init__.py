"""Flat fees: one amount for a service period, from credit alone or then by invoice (lifecycles §9, §10)."""
