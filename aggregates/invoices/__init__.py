"""Invoices: one stream each, from a draft through issue to what became of the money."""
