"""A customer's pools in memory: decide, record, fold, and the postings as rows, with a clock one can set.

After every command the invariants of the specification are checked on postings and state together, so a scenario
that passes has kept the books in order on the way.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from aggregates.credits.events import (
    CreditCollected,
    CreditGranted,
    CreditReturned,
    PurchaseSettlement,
    SlicesSealed,
)
from aggregates.credits.lineage import lineage
from aggregates.credits.pool import CreditPool, Lot
from aggregates.credits.state import evolve, unsealed
from aggregates.event import AnyRecorded, DomainEvent, Recorded
from aggregates.journal.chart import Account
from aggregates.journal.postings import Template, currency_sums
from aggregates.values.decimals import ZERO, exact
from aggregates.values.money import Currency
from projections.balances import PostingRow, posting_rows

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_EXPIRY = {Template.BREAKAGE_PLAN, Template.BREAKAGE_RELEASE, Template.BREAKAGE_REOPEN}


def ordered_id(name: str) -> UUID:
    """An id that sorts like the name, so that ties by charge id are ties by name."""
    return UUID(bytes=name.encode()[:16].ljust(16, b"\0"))


class Book:
    """One pool: its state, its records, its postings as rows."""

    def __init__(self, currency: Currency, namespace: str = "test") -> None:
        self.currency = currency
        self.stream = ordered_id(f"pool {currency.key}")
        self.pool = CreditPool.empty(currency)
        self.records: list[AnyRecorded] = []
        self.rows: list[PostingRow] = []
        self.namespace = namespace

    def record(self, event: DomainEvent | None, at: datetime = EPOCH, position: int | None = None) -> Any:
        """Append an event to the stream and fold it; None records nothing. Returns the event."""
        if event is None:
            return None
        record: AnyRecorded = Recorded(
            stream=self.stream,
            version=len(self.records) + 1,
            namespace=self.namespace,
            customer="customer",
            at=at,
            recorded_at=at,
            command_id=self.stream,
            causation_id=self.stream,
            correlation_id=self.stream,
            actor="test",
            body=event,
        )
        self.pool = evolve(self.pool, record)
        self.records.append(record)
        self.rows += posting_rows(record, len(self.records) if position is None else position, at)
        return event

    def sum(self, account: Account, **dimensions: Any) -> Decimal:
        """The balance of an account over all time, on routes (or rows) with these dimensions."""
        return sum((row.amount for row in self.rows if row.account is account and _has(row, dimensions)), ZERO)


def _has(row: PostingRow, dimensions: dict[str, Any]) -> bool:
    return all(
        (getattr(row, name) if name in PostingRow._fields else getattr(row.route, name)) == value
        for name, value in dimensions.items()
    )


@exact
def check_invariants(book: Book) -> None:
    """Ledger §16: 1 to 7 and 9, on everything posted so far and on the state that decisions go by."""
    _check_sums(book)
    _check_lots(book)
    _check_provenance(book)
    _check_purchases(book)


def _check_sums(book: Book) -> None:
    """16.1: every transaction, and everything together, is zero per currency."""
    for record in book.records:
        for transaction in record.body.transactions:
            assert not any(currency_sums(transaction.entries).values()), transaction
    totals: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for row in book.rows:
        totals[row.route.currency.key] += row.amount
    assert not any(totals.values()), dict(totals)


def _check_lots(book: Book) -> None:
    """16.2, 16.6: no lot negative at any booked time, nor breakage; state and postings agree on every lot."""
    moves: dict[Any, list[tuple[datetime, Decimal]]] = defaultdict(list)
    expiry: dict[Any, list[tuple[datetime, Decimal]]] = defaultdict(list)
    broken: dict[Any, list[tuple[datetime, Decimal]]] = defaultdict(list)
    for row in book.rows:
        lot = (row.route, row.source)
        if row.account is Account.BREAKAGE:
            broken[row.source].append((row.booked_at, row.amount))
        elif row.account is Account.FBO:
            (expiry if row.template in _EXPIRY else moves)[lot].append((row.booked_at, row.amount))
    for lot, changes in moves.items():
        assert _least(changes) >= 0, f"{lot} goes below zero before expiry: {sorted(changes)}"
        assert _least(changes + expiry[lot]) >= 0, f"{lot} goes below zero: {sorted(changes + expiry[lot])}"
    for source, changes in broken.items():
        assert _least(changes) >= 0, f"breakage of {source} goes below zero: {sorted(changes)}"
    held: dict[Any, Decimal] = defaultdict(lambda: ZERO)
    open_plans: dict[Any, Decimal] = defaultdict(lambda: ZERO)
    for kept in book.pool.lots.values():
        assert kept.balance == sum((move.amount for move in kept.moves), ZERO), kept
        held[kept.route, kept.source] += kept.balance
        if kept.expires_at is not None:
            open_plans[kept.source] += kept.balance
    gone = {(lot.route, lot.source) for lot in _gone(book)}
    for key in {*held, *moves} - gone:
        assert held[key] == sum((amount for _, amount in moves[key]), ZERO), f"{key}: state and postings disagree"
    for source in {*open_plans, *broken} - {source for _, source in gone}:
        assert open_plans[source] == sum((amount for _, amount in broken[source]), ZERO), f"plans of {source}"


def _gone(book: Book) -> list[Lot]:
    """Lots that left the state with credit that had expired."""
    sealed = {lot for record in book.records if isinstance(record.body, SlicesSealed) for lot in record.body.lots}
    everything = unsealed(book.records) if sealed else None
    return [everything.lots[sequence] for sequence in sealed] if everything is not None else []


def _least(changes: list[tuple[datetime, Decimal]]) -> Decimal:
    """The lowest running total by booked time."""
    by_time: dict[datetime, Decimal] = defaultdict(lambda: ZERO)
    for at, amount in changes:
        by_time[at] += amount
    least = total = ZERO
    for at in sorted(by_time):
        total += by_time[at]
        least = min(least, total)
    return least


def _check_provenance(book: Book) -> None:
    """16.3, 16.4, 16.7: nothing negative per provenance; accrued, slices and lineage are three views of one thing."""
    sums: dict[Any, list[tuple[datetime, Decimal]]] = defaultdict(list)
    credit: dict[Any, Decimal] = defaultdict(lambda: ZERO)
    for row in book.rows:
        if row.account in (Account.ACCRUED, Account.EARNINGS):
            sums[row.account, row.source, row.spend].append((row.booked_at, row.amount))
            if row.source is not None or row.route.cost_basis is None:
                credit[row.spend] += row.amount
    for key, changes in sums.items():
        assert _least(changes) >= 0, f"{key} goes below zero: {sorted(changes)}"
    collected: dict[Any, Decimal] = defaultdict(lambda: ZERO)
    for record in book.records:
        match record.body:
            case CreditCollected() as body:
                collected[body.charge] += sum((taken.amount for taken in body.slices), ZERO)
            case CreditReturned() as body:
                collected[body.charge] -= body.amount
            case _:
                pass
    # Opening balances may have no source and a known cost basis, like invoiced value; then the two look alike.
    if not any(isinstance(r.body, CreditGranted) and r.body.purchase is None for r in book.records):
        for charge in {*collected, *credit}:
            assert collected[charge] == credit[charge], (
                f"{charge}: collected {collected[charge]}, posted {credit[charge]}"
            )
    segments: dict[Any, Decimal] = defaultdict(lambda: ZERO)
    for segment in lineage(book.pool):
        segments[segment.charge] += segment.amount
    if not any(isinstance(record.body, SlicesSealed) for record in book.records):
        for charge in {*collected, *segments}:
            assert segments[charge] == collected[charge], f"lineage of {charge}"
    uncovered = sum((s.uncovered for key in book.pool.charges for s in book.pool.slices_of(key)), ZERO)
    if not any(_owes_of_unknown_cost(record.body) for record in book.records):
        owed = book.sum(Account.RECEIVABLE, cost_basis=None, currency=book.currency)
        assert owed == -uncovered, f"advance owed {owed}, uncovered {uncovered}"


def _owes_of_unknown_cost(body: DomainEvent) -> bool:
    """Whether an opening balance of unknown cost basis left something owed, which is no advance."""
    return (
        isinstance(body, CreditGranted)
        and body.route.cost_basis is None
        and body.settlement is not PurchaseSettlement.PROMOTIONAL
    )


def _check_purchases(book: Book) -> None:
    """16.5, 16.9: what was granted is spent, unused or voided; restricted credit pays for its features only."""
    for record in book.records:
        if isinstance(record.body, CreditCollected):
            for taken in record.body.slices:
                lot = book.pool.lots.get(taken.lot) if taken.lot is not None else None
                if lot is not None and lot.route.features:
                    assert set(record.body.features) & set(lot.route.features), f"{lot.route} paid {record.body}"
    for purchase, totals in book.pool.purchases.items():
        if not totals.granted:
            continue  # paid for or cancelled before any credit was granted
        spent = sum(
            (
                row.amount
                for row in book.rows
                if row.account in (Account.ACCRUED, Account.EARNINGS) and row.source == purchase
            ),
            ZERO,
        )
        unused = sum((book.pool.lots[lot].balance for lot in totals.lots if lot in book.pool.lots), ZERO)
        assert totals.granted == spent + unused + totals.expired + totals.voided, (
            f"{purchase}: {totals}, spent {spent}, unused {unused}"
        )
        assert spent <= totals.granted, f"{purchase} spent more than it granted"
