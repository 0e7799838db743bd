"""A little history to follow: counters that are added to and cleared, in a log of each kind of store."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import ClassVar, NamedTuple
from uuid import UUID, uuid5

import msgspec

from aggregates.event import AnyRecorded, DomainEvent, Recorded
from aggregates.values.decimals import EXACT
from ledger.store import mapper
from ledger.store.memory import MemoryStore
from ledger.store.store import NewRecord, Save, Saved, Store
from projections.projection import Appended, Entry, JsonText, Key, Keyed

START = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = UUID(int=1)


class Added(DomainEvent, frozen=True, kw_only=True):
    """Something was added to a counter."""

    NAME: ClassVar[str] = "counter.added.v1"
    counter: str
    amount: Decimal


class Cleared(DomainEvent, frozen=True, kw_only=True):
    """The counter is gone."""

    NAME: ClassVar[str] = "counter.cleared.v1"
    counter: str


class Noise(DomainEvent, frozen=True, kw_only=True):
    """Nothing that a view listens to."""

    NAME: ClassVar[str] = "counter.noise.v1"


class Total(NamedTuple):
    """A row with a column of every kind."""

    counter: str
    stream: UUID
    times: int
    total: Decimal
    is_negative: bool
    since: datetime
    last: datetime | None
    lines: JsonText
    amounts: list[str]


class Line(NamedTuple):
    position: int
    ordinal: int
    counter: str
    amount: Decimal
    log_time: datetime


def _keys(entry: Entry) -> Iterator[Key]:
    yield (entry.record.body.counter,)


def _total(row: Total | None, entry: Entry, key: Key) -> Total | None:
    body = entry.record.body
    if isinstance(body, Cleared):
        return None
    amounts = [*(row.amounts if row else []), str(body.amount)]
    total = EXACT.add(row.total, body.amount) if row else body.amount
    return Total(
        counter=key[0],
        stream=entry.record.stream,
        times=len(amounts),
        total=total,
        is_negative=total < 0,
        since=row.since if row else entry.log_time,
        last=entry.log_time if row else None,
        lines=JsonText(msgspec.json.encode({"of": amounts}).decode()),
        amounts=amounts,
    )


def _lines(entry: Entry) -> Iterator[Line]:
    body = entry.record.body
    for ordinal, amount in enumerate((body.amount, -body.amount)):
        yield Line(entry.position, ordinal, body.counter, amount, entry.log_time)


TOTALS = Keyed(
    name="totals",
    version=1,
    row=Total,
    key=("counter",),
    indexes=(("times",),),
    listens=frozenset({Added.NAME, Cleared.NAME}),
    keys=_keys,
    apply=_total,
)
LINES = Appended(
    name="lines",
    version=1,
    row=Line,
    key=("position", "ordinal"),
    indexes=(("counter",),),
    listens=frozenset({Added.NAME}),
    rows=_lines,
)
VIEWS = (TOTALS, LINES)

EVENTS: dict[str, type[DomainEvent]] = {event.NAME: event for event in (Added, Cleared, Noise)}
_DECODERS = mapper.decoders(EVENTS)


def decode(name: str, data: bytes) -> AnyRecorded:
    return _DECODERS[name](data)


class Log:
    """Appends saves of events to a store."""

    def __init__(self, store: Store | None = None) -> None:
        self.store: Store = store or MemoryStore()
        self._versions: dict[UUID, int] = {}
        self._now = START

    def save(self, *bodies: DomainEvent) -> Saved:
        """One save of these events, a second after the one before."""
        self._now += timedelta(seconds=1)
        return self.store.append(Save([self._new(body) for body in bodies]), self._now)

    def _new(self, body: DomainEvent) -> NewRecord:
        stream = uuid5(ROOT, getattr(body, "counter", ""))
        version = self._versions[stream] = self._versions.get(stream, 0) + 1
        data = mapper.encode(
            Recorded(
                stream=stream,
                version=version,
                namespace="default",
                at=self._now,
                recorded_at=self._now,
                command_id=ROOT,
                causation_id=ROOT,
                correlation_id=ROOT,
                actor="test",
                body=body,
            )
        )
        return NewRecord(stream, version, body.NAME, data, mapper.digest(data))


def added(counter: str, amount: str = "1") -> Added:
    return Added(counter=counter, amount=Decimal(amount))


def some_history(log: Log, saves: int = 30) -> None:
    """Adds and clears of five counters, with noise in between, several events a save."""
    for number in range(saves):
        name = f"c{number % 5}"
        log.save(added(name, f"{number}.25"), Noise(), added("all", "-1"))
        if number % 7 == 6:
            log.save(Cleared(counter=name))


@contextmanager
def changed_rows(url: str) -> Iterator[Callable[[str], Sequence[object]]]:
    """A hand that reaches into the tables of views from outside."""
    if url.startswith("sqlite"):
        import sqlite3

        db = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        try:
            yield lambda statement: db.execute(statement).fetchall()
        finally:
            db.close()
    else:
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:

            def run(statement: str) -> Sequence[object]:
                cursor = connection.execute(statement.encode())
                return cursor.fetchall() if cursor.description else []

            yield run
