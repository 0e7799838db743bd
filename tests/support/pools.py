"""Histories of credit pools for views: postings at will, each event one group of balanced transactions.

The events are real ones (`EarningsRecognized` carries any transactions), so what reads postings reads these.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from hypothesis import strategies as st

from aggregates.credits.events import EarningsRecognized, RecognitionKind
from aggregates.event import Recorded
from aggregates.journal.chart import Account, Authorization, Route, route
from aggregates.journal.postings import Entry, Template, Transaction
from aggregates.values.identifiers import pool_id
from aggregates.values.money import Currency, fiat
from aggregates.values.period import Instant
from ledger.store import mapper
from ledger.store.memory import MemoryStore
from ledger.store.store import NewRecord, Save, Saved, Store

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMESPACE = "test"
TOKENS = Currency("TOK", 4, "cur_tokens")

USD = fiat("USD")
FBO = (Account.FBO, route(USD, cost_basis=Decimal("0.5"), features=("api",), credit_priority=1))
FBO_FREE = (Account.FBO, route(USD, cost_basis=Decimal(0), credit_priority=100))
ADVANCE = (Account.RECEIVABLE, route(USD, authorization=Authorization.OPEN))
OWED = (Account.RECEIVABLE, route(USD, cost_basis=Decimal("0.50"), authorization=Authorization.OPEN))
PROMISED = (Account.RECEIVABLE, route(USD, cost_basis=Decimal("0.5"), authorization=Authorization.AUTHORIZED))
ACCRUED = (Account.ACCRUED, route(USD, cost_basis=Decimal("0.5"), tax_code="txcd_1"))
WASH = (Account.WASH, route(USD, cost_basis=Decimal("0.5")))
BREAKAGE = (Account.BREAKAGE, route(USD, cost_basis=Decimal("0.5")))
TOKEN_FBO = (Account.FBO, route(TOKENS, cost_basis=Decimal("0.01"), cost_basis_currency="USD", credit_priority=1))
TOKEN_WASH = (Account.WASH, route(TOKENS, cost_basis=Decimal("0.01"), cost_basis_currency="USD"))

Place = tuple[Account, Route]
PLACES: tuple[Place, ...] = (FBO, FBO_FREE, ADVANCE, OWED, PROMISED, ACCRUED, WASH, BREAKAGE)


class Moved(NamedTuple):
    """`amount` from one place to another, booked so many seconds after `START`."""

    source: Place
    target: Place
    amount: Decimal
    booked: int


class Posted(NamedTuple):
    """One event of a customer's pool in a currency, recorded `later` seconds after the one before it."""

    customer: str
    moves: tuple[Moved, ...]
    currency: Currency = USD
    later: int = 60


def posted(customer: str, *moves: Moved, currency: Currency = USD, later: int = 60) -> Posted:
    return Posted(customer, moves, currency, later)


def moved(source: Place, target: Place, amount: str | int, booked: int = 0) -> Moved:
    return Moved(source, target, Decimal(amount), booked)


class PoolLog:
    """Appends events of pools to a store, one save each."""

    def __init__(self, store: Store | None = None) -> None:
        self.store: Store = store or MemoryStore()
        self.now = START
        self._versions: dict[object, int] = {}

    def record(self, *events: Posted) -> list[Saved]:
        """Append the events in order."""
        return [self._save(event) for event in events]

    def record_together(self, events: Sequence[Posted]) -> Saved:
        """Append many events in one save, for speed."""
        self.now += timedelta(seconds=60)
        return self.store.append(Save([self._new(event) for event in events]), self.now)

    def _save(self, event: Posted) -> Saved:
        self.now += timedelta(seconds=event.later)
        return self.store.append(Save([self._new(event)]), self.now)

    def _new(self, event: Posted) -> NewRecord:
        stream = pool_id(NAMESPACE, event.customer, event.currency.key)
        version = self._versions[stream] = self._versions.get(stream, 0) + 1
        body = EarningsRecognized(
            currency=event.currency,
            kind=RecognitionKind.CREDIT,
            amount=Decimal(0),
            booked_at=Instant(START),
            parts=(),
            transactions=tuple(_transaction(move) for move in event.moves),
        )
        data = mapper.encode(
            Recorded(
                stream=stream,
                version=version,
                namespace=NAMESPACE,
                customer=event.customer,
                at=self.now,
                recorded_at=self.now,
                command_id=stream,
                causation_id=stream,
                correlation_id=stream,
                actor="test",
                body=body,
            )
        )
        return NewRecord(stream, version, body.NAME, data, mapper.digest(data))


def _transaction(move: Moved) -> Transaction:
    booked_at = Instant(START + timedelta(seconds=move.booked))
    entries = [
        Entry(account=account, route=route, amount=amount)
        for (account, route), amount in ((move.source, -move.amount), (move.target, move.amount))
    ]
    return Transaction(
        template=Template.COLLECT, booked_at=booked_at, accounting_date=booked_at, entries=tuple(entries)
    )


amounts = st.decimals(min_value=Decimal("-99.99"), max_value=Decimal("99.99"), places=2).filter(bool)
moves = st.builds(
    Moved,
    source=st.sampled_from(PLACES),
    target=st.sampled_from(PLACES),
    amount=amounts,
    booked=st.integers(min_value=-2000, max_value=4000),
)
events = st.builds(
    Posted,
    customer=st.sampled_from(("acme", "globex")),
    moves=st.lists(moves, min_size=0, max_size=3).map(tuple),
    currency=st.sampled_from((USD, TOKENS)),
    later=st.integers(min_value=0, max_value=200),
)
histories = st.lists(events, min_size=1, max_size=40)
"""Histories of several pools; postings dated before and after they are recorded; a token pool posts fiat legs."""
