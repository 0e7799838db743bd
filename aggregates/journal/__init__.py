"""The journal: accounts and routes, balanced transactions, and one template per economic effect (ledger §2-5)."""
