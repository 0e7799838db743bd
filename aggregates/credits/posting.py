"""Collects the transactions of one group, and knows the ordinal of every entry in it."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from aggregates.credits.requests import Request
from aggregates.journal.postings import Transaction
from aggregates.journal.templates import When
from aggregates.values.period import Instant

R = TypeVar("R", bound=Request)


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


def opened(request: R, field: str = "booked_at") -> R:
    """The request, booked at the first open instant where its date lies in a closed period (decision 39).

    `field` names its booked time. Only dates move: which credit may pay is still decided by `sources_at`. January is
    closed; usage of January that is found in March is booked on 1 February and keeps 31 January as original date.
    """
    first_open = request.closed_until
    if first_open is None:
        return request
    booked: Instant = getattr(request, field)
    accounted = request.accounting_date or booked
    if min(booked, accounted) >= first_open:
        return request
    moved = {field: max(booked, first_open), "accounting_date": max(accounted, first_open)}
    return msgspec.structs.replace(request, original_date=accounted, **moved)


def when(booked_at: Instant, request: Request) -> When:
    """The booked time with its accounting date, which is the booked time unless the request says otherwise."""
    return When(booked_at, request.accounting_date or booked_at, request.original_date)


def not_before(at: When, *undone: When) -> When:
    """The same decision, not booked before any of what it undoes, nor accounted for before it."""
    booked = max(at.booked_at, *(each.booked_at for each in undone))
    accounted = max(at.accounting_date, *(each.accounting_date for each in undone))
    return When(booked, accounted, at.original_date if accounted == at.accounting_date else None)
