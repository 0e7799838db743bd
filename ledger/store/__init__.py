"""Stores: where events, receipts and inline tables are kept. Memory, SQLite file, PostgreSQL; one face (`store`)."""
