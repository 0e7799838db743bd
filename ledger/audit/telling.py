"""Which events a history is told from: of a charge, a run or a customer, and what of the credit pool concerns them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from aggregates import customers
from aggregates.charges.events import ChargeCreated, RealizationRunOpened
from aggregates.credits.events import CreditGranted, CreditReturned
from aggregates.runs.events import RealizationRunStarted
from aggregates.values.errors import ChargeNotFound, CustomerNotFound, RunNotFound
from aggregates.values.identifiers import pool_id
from aggregates.values.money import FIAT
from ledger.store import mapper
from ledger.store.store import LogRecord, Store
from projections.audit.history import History, HistoryLine
from projections.projection import Entry

EXPLAINS = frozenset({CreditGranted.NAME, CreditReturned.NAME})
"""Events of a pool that say what its lots are, whomever they concern."""


class Histories:
    """Tells histories in one namespace of a store, straight from the events."""

    def __init__(self, store: Store, namespace: str) -> None:
        self._store = store
        self._namespace = namespace

    def of_charge(self, charge: UUID) -> tuple[HistoryLine, ...]:
        """A charge, its runs, and every posting of its pool that names it; a purchase is a charge like any other.

        Raises `ChargeNotFound`.
        """
        rows = self._store.read_stream(charge)
        first = mapper.read(rows[0]) if rows else None
        if first is None or first.namespace != self._namespace or not isinstance(first.body, ChargeCreated):
            raise ChargeNotFound(charge)
        pool = self._pool(first.customer, first.body.identity.currency.key)
        runs = self._together(runs_opened(rows))
        return told([*rows, *runs, *mentioning(pool, charge)], explained_by=pool)

    def of_run(self, run: UUID) -> tuple[HistoryLine, ...]:
        """A run, and what its charge and its pool say of it. Raises `RunNotFound`."""
        rows = self._store.read_stream(run)
        first = mapper.read(rows[0]) if rows else None
        if first is None or first.namespace != self._namespace or not isinstance(first.body, RealizationRunStarted):
            raise RunNotFound(run)
        pool = self._pool(first.customer, first.body.currency.key)
        charge = self._store.read_stream(first.body.charge_id)
        return told([*rows, *mentioning(charge, run), *mentioning(pool, run)], explained_by=pool)

    def of_customer(self, customer: str) -> tuple[HistoryLine, ...]:
        """A customer: profile, all charges and runs, and all pools. Raises `CustomerNotFound`."""
        profile = self._store.read_stream(customers.stream(self._namespace, customer).id)
        if not profile:
            raise CustomerNotFound(customer)
        charges = self._together([row.charge for row in self._store.charges_of(self._namespace, customer)])
        runs = self._together(runs_opened(charges))
        currencies = {*FIAT, *currencies_of(charges)}
        pools = self._together([pool_id(self._namespace, customer, key) for key in sorted(currencies)])
        return told([*profile, *charges, *runs, *pools])

    def _pool(self, customer: str | None, currency: str) -> list[LogRecord]:
        return self._store.read_stream(pool_id(self._namespace, customer or "", currency))

    def _together(self, streams: Sequence[UUID]) -> list[LogRecord]:
        return [row for rows in self._store.read_streams(streams).values() for row in rows] if streams else []


def told(rows: Iterable[LogRecord], explained_by: Iterable[LogRecord] = ()) -> tuple[HistoryLine, ...]:
    """The lines of events in the order of the log, told with what others explain."""
    wanted = {row.position: row for row in rows}
    explaining = {row.position: row for row in explained_by if row.name in EXPLAINS and row.position not in wanted}
    history = History()
    lines: list[HistoryLine] = []
    for position in sorted({*wanted, *explaining}):
        row = wanted.get(position)
        if row is None:
            history.learn(mapper.read(explaining[position]))
        else:
            lines.append(history.tell(Entry(position, row.log_time, mapper.read(row))))
    return tuple(lines)


def mentioning(rows: Iterable[LogRecord], id: UUID) -> list[LogRecord]:
    """The rows whose event names an id: found in the bytes, so that the others need not be decoded."""
    text = str(id).encode()
    return [row for row in rows if text in row.data]


def runs_opened(rows: Iterable[LogRecord]) -> list[UUID]:
    """The runs that events of charges opened."""
    opened = (mapper.read(row).body for row in rows if row.name == RealizationRunOpened.NAME)
    return [body.run_id for body in opened]


def currencies_of(rows: Iterable[LogRecord]) -> set[str]:
    """The currencies charges were created in."""
    created = (mapper.read(row).body for row in rows if row.name == ChargeCreated.NAME)
    return {body.identity.currency.key for body in created}
