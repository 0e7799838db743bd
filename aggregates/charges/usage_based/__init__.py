"""Usage-based charges settled from credit only (lifecycles §7)."""
