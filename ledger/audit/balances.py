"""Balances of a pool over all time: what its accounts must never show (ledger §16)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from aggregates.credits import events as e
from aggregates.event import AnyRecorded
from aggregates.journal.chart import Account
from aggregates.journal.postings import Entry, Template, Transaction
from aggregates.values.decimals import EXACT, ZERO
from aggregates.values.period import Instant
from ledger.audit.check import Check, place_of
from ledger.audit.postings import total_of


class Address(NamedTuple):
    """An account and what tells its balances apart: currency and route in text, source, spend."""

    account: Account
    route: object
    source: UUID | None
    spend: UUID | None = None

    def __str__(self) -> str:
        whose = [f"source {self.source}"] if self.source else []
        whose += [f"spend {self.spend}"] if self.spend else []
        return ", ".join([self.account.value, *whose])


class Balances(Check):
    """No pool ever owes what it must not (ledger §16.2, 16.3, 16.7).

    No credit, no breakage, and no accrued value or earnings of a charge is below zero at any booked time, the latter
    not after any event either; what is owed at an unknown cost basis is exactly the advance that nobody has covered.
    """

    name = "balances"

    def pool(self, pool: UUID, records: Sequence[AnyRecorded]) -> None:
        """Post everything again, and look at every balance."""
        self.looked_at()
        by_time: dict[Address, dict[Instant, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
        by_charge: dict[Address, Decimal] = defaultdict(lambda: ZERO)
        uncovered = unknown = ZERO
        for record in records:
            uncovered = EXACT.add(uncovered, advance(record.body))
            unknown = EXACT.add(unknown, owed_for_advance(record.body))
            if EXACT.add(uncovered, unknown):
                self.find(
                    place_of(record),
                    "owed at an unknown cost basis is not the uncovered advance",
                    expected=EXACT.minus(uncovered),
                    found=unknown,
                )
                unknown = EXACT.minus(uncovered)  # found once, not again by every event after it
            touched: dict[Address, None] = {}
            for booked_at, entry in posted(record.body):
                if entry.account in {Account.FBO, Account.BREAKAGE}:
                    times = by_time[Address(entry.account, entry.route, entry.source)]
                    times[booked_at] = EXACT.add(times[booked_at], entry.amount)
                elif entry.account in {Account.ACCRUED, Account.EARNINGS}:
                    address = Address(entry.account, entry.route.currency.key, entry.source, entry.spend)
                    by_charge[address] = EXACT.add(by_charge[address], entry.amount)
                    touched[address] = None
                    by_time[address][booked_at] = EXACT.add(by_time[address][booked_at], entry.amount)
            for address in touched:
                if by_charge[address] < 0:
                    self.find(
                        place_of(record), f"{address} is below zero", expected="0 or more", found=by_charge[address]
                    )
                    by_time.pop(address, None)  # found once, not again by its booked times
        for address, times in by_time.items():
            lowest = first_below_zero(times)
            if lowest is not None:
                place = f"stream {pool}, {address}, booked {lowest[0].isoformat()}"
                self.find(place, "balance is below zero", expected="0 or more", found=lowest[1])


def posted(body: Any) -> Iterator[tuple[Instant, Entry]]:
    """Every entry of an event with the time it is booked at."""
    transactions: tuple[Transaction, ...] = getattr(body, "transactions", ())
    for transaction in transactions:
        for entry in transaction.entries:
            yield transaction.booked_at, entry


def first_below_zero(times: dict[Instant, Decimal]) -> tuple[Instant, Decimal] | None:
    """The first booked time at which a balance is below zero, and the balance then."""
    balance = ZERO
    for booked_at in sorted(times):
        balance = EXACT.add(balance, times[booked_at])
        if balance < 0:
            return booked_at, balance
    return None


def advance(body: Any) -> Decimal:
    """By how much the event changes the advance that no purchase covers."""
    match body:
        case e.CreditCollected(slices=slices):
            return total_of(one.amount for one in slices if one.lot is None)
        case e.CreditGranted(backfill=backfill):
            return EXACT.minus(total_of(part.amount for part in backfill))
        case e.AdvanceCovered(amount=amount):
            return EXACT.minus(amount)
        case e.CreditReturned(parts=parts):
            owed = (e.SegmentState.ADVANCE_UNCOVERED, e.SegmentState.ADVANCE_WRITTEN_OFF)
            uncovered = (part.amount for part in parts if part.state in owed)
            return EXACT.minus(total_of(uncovered))
        case _:
            return ZERO


def owed_for_advance(body: Any) -> Decimal:
    """By how much the event changes what is owed at an unknown cost basis because of advance.

    Not counted: purchases whose own cost basis is unknown, which owe nothing once they are granted, and write-offs.
    """
    transactions: tuple[Transaction, ...] = getattr(body, "transactions", ())
    return total_of(
        entry.amount
        for transaction in transactions
        if transaction.template is Template.ADVANCE_ATTRIBUTE
        or (transaction.template is Template.ISSUE and isinstance(body, e.CreditCollected | e.CreditReturned))
        for entry in transaction.entries
        if entry.account is Account.RECEIVABLE and entry.route.cost_basis is None
    )
