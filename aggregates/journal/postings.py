"""Entries and transactions: what is posted, and why an unbalanced transaction cannot exist (ledger §4).

A `Transaction` checks on construction, on decoding too, that its entries sum to zero in each currency. The other
invariants of the journal (permitted flows, route agreement, precision) are rules about what may be *added* and
live in `rules`; a transaction once recorded is never judged by them again.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from aggregates.journal.chart import Account, Route
from aggregates.journal.refusals import UnbalancedTransaction
from aggregates.values.decimals import EXACT, ZERO
from aggregates.values.period import Instant


class Template(StrEnum):
    """The code of an economic effect; one function of `templates` posts each (ledger §5)."""

    ISSUE = "customer.receivable.issue"
    PAYMENT_AUTHORIZE = "customer.receivable.payment.authorize"
    PAYMENT_SETTLE = "customer.receivable.payment.settle"
    CURRENCY_EXCHANGE = "customer.receivable.currency.exchange"
    COVER = "customer.receivable.cover"
    COLLECT = "customer.fbo.collect"
    ADVANCE_COLLECT = "customer.fbo.advance.collect"
    ADVANCE_ATTRIBUTE = "customer.receivable.advance.attribute"
    COST_BASIS_TRANSLATE = "customer.accrued.cost_basis.translate"
    INVOICE_COLLECT = "customer.receivable.collect"
    EARNINGS_RECOGNIZE = "customer.accrued.earnings.recognize"
    BREAKAGE_PLAN = "customer.fbo.breakage.plan"
    BREAKAGE_RELEASE = "customer.fbo.breakage.release"
    BREAKAGE_REOPEN = "customer.fbo.breakage.reopen"
    PAYMENT_REDUCE = "customer.receivable.payment.reduce"
    PAYMENT_REVERSE = "customer.receivable.payment.reverse"
    REFUND = "customer.receivable.refund"
    CREDIT_NOTE = "customer.receivable.credit_note"
    WRITE_OFF = "customer.receivable.write_off"


class Direction(StrEnum):
    """Whether a transaction does what its template says, or undoes part of one that did."""

    FORWARD = "forward"
    CORRECTION = "correction"


class EntryRef(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Names an entry of the same pool: the version of the event that carries it and its ordinal in that event.

    Ordinals count the entries of all transactions of one event, from 0.
    """

    version: int
    ordinal: int


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One leg of a transaction: a signed amount at an address, in the currency of the route.

    `source`: charge id of the credit purchase that funds the value. `spend`: charge id of the charge that consumes
    it. `index`: position in the collection. `corrects`: the entry this one restores.
    """

    account: Account
    route: Route
    amount: Decimal
    source: UUID | None = None
    spend: UUID | None = None
    index: int | None = None
    corrects: EntryRef | None = None


class Transaction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Entries that belong together and sum to zero in every currency; impossible to construct otherwise.

    `booked_at`: when it is economically effective. `accounting_date`: the date that statements by month, closing and
    recognition go by (decision 35); equal to `booked_at` unless usage or arrears put it into the period before.
    `original_date`: the accounting date it would have had, where that lies in a closed period (decision 39).
    Raises `UnbalancedTransaction`.
    """

    template: Template
    booked_at: Instant
    accounting_date: Instant
    original_date: Instant | None = None
    entries: tuple[Entry, ...]
    direction: Direction = Direction.FORWARD

    def __post_init__(self) -> None:
        entries = self.entries
        if len(entries) == 2 and entries[0].amount == entries[1].amount.copy_negate():
            left, right = entries[0].route.currency, entries[1].route.currency
            if left is right or left == right:
                return  # the usual pair, without the sums
        sums = currency_sums(entries)
        if not entries or any(sums.values()):
            raise UnbalancedTransaction(
                detail=", ".join(f"{key} {total}" for key, total in sums.items() if total) or "no entries"
            )


def currency_sums(entries: tuple[Entry, ...]) -> dict[str, Decimal]:
    """The sum of the entries of each currency, by currency key."""
    sums: dict[str, Decimal] = {}
    for entry in entries:
        key = entry.route.currency.key
        sums[key] = EXACT.add(sums.get(key, ZERO), entry.amount)
    return sums
