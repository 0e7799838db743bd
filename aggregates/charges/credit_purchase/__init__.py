"""Credit purchases: promotional ones and ones paid outside (lifecycles §11)."""
