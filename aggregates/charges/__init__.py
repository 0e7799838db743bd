"""Charges: what was promised to a customer, and how it becomes settled amounts. See README.md."""
