"""Collects the transactions of one group, and knows the ordinal of every entry in it."""

from __future__ import annotations

from aggregates.journal.postings import Transaction
from aggregates.journal.templates import When
from aggregates.values.period import Instant


class Postings:
    """The transactions of an event being decided, in order."""

    def __init__(self) -> None:
        self.transactions: list[Transaction] = []
        self.next_ordinal = 0

    def add(self, transaction: Transaction) -> int:
        """Take a transaction; returns the ordinal of its first entry."""
        first = self.next_ordinal
        self.transactions.append(transaction)
        self.next_ordinal += len(transaction.entries)
        return first

    def all(self) -> tuple[Transaction, ...]:
        """The transactions, as they go into the event."""
        return tuple(self.transactions)


def when(booked_at: Instant, accounting_date: Instant | None) -> When:
    """The booked time with its accounting date, which is the booked time unless the request says otherwise."""
    return When(booked_at, accounting_date or booked_at)
