"""Given a history, when something is decided, then these events: the three words that test an aggregate.

    given(created, activated).when(lambda draft: advance(draft, CHARGE, facts)).then(RealizationRunStarted, ...)

An event of a history goes to the one stream of its aggregate that a test has (`CHARGE`, `RUN`, `POOL`), or to the
one named by `on(stream, event)`. An expected event is an event (equal), a class of events (of that class), or
`like(Class, field=value)` (of that class, with those fields). Expectations can be chained; the decision is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from aggregates.charges import state as charges
from aggregates.credits import state as credit_pools
from aggregates.event import DomainEvent, Origin, Recorded, Stream, aggregate_of
from aggregates.outcome import Draft, Evolve
from aggregates.runs import state as runs
from aggregates.values.decimals import exact
from aggregates.values.errors import LedgerError
from aggregates.values.identifiers import pool_id
from aggregates.values.period import timestamp

NAMESPACE = "test"
CUSTOMER = "acme"
CHARGE = UUID("00000000-0000-7000-8000-0000000000c1")
RUN = UUID("00000000-0000-7000-8000-0000000000f1")
POOL = pool_id(NAMESPACE, CUSTOMER, "USD")

EVOLVERS: dict[str, Evolve] = {
    "charge": charges.evolve,
    "realization_run": runs.evolve,
    "credit_pool": credit_pools.evolve,
}
STREAMS = {
    "charge": Stream("charge", CHARGE, CUSTOMER),
    "realization_run": Stream("realization_run", RUN, CUSTOMER),
    "credit_pool": Stream("credit_pool", POOL, CUSTOMER),
}

Decision: TypeAlias = Callable[[Draft], Any]


class On(NamedTuple):
    """An event of a stream that is not the only one of its aggregate."""

    stream: Stream
    event: DomainEvent


def on(stream: Stream, event: DomainEvent) -> On:
    """Put an event of a history into that stream."""
    return On(stream, event)


class Like:
    """An event of a class, of which only some fields matter."""

    def __init__(self, kind: type[DomainEvent], fields: dict[str, object]) -> None:
        self.kind = kind
        self.fields = fields

    def __repr__(self) -> str:
        return f"like({self.kind.__name__}, {self.fields})"


def like(kind: type[DomainEvent], **fields: object) -> Like:
    """An event of that class with those fields."""
    return Like(kind, fields)


Expected: TypeAlias = DomainEvent | type[DomainEvent] | Like


def ids(start: int = 1) -> Callable[[], UUID]:
    """A source of ids that gives the same ones in every test: 1, 2, 3, ..."""
    numbers: Iterator[int] = iter(range(start, 1 << 40))
    return lambda: UUID(int=next(numbers) | 0x7000_8000_0000_0000_0000)


def origin(at: datetime | str = "2026-01-01") -> Origin:
    """Where the events of one test command come from."""
    command = UUID(int=0)
    return Origin(
        namespace=NAMESPACE,
        at=timestamp(at),
        command_id=command,
        causation_id=command,
        correlation_id=command,
        actor="test",
    )


def recorded(stream: Stream, version: int, event: DomainEvent, at: datetime | str = "2026-01-01") -> Recorded[Any]:
    """An event in its envelope."""
    moment = timestamp(at)
    command = UUID(int=0)
    return Recorded(
        stream=stream.id,
        version=version,
        namespace=NAMESPACE,
        customer=stream.customer,
        at=moment,
        recorded_at=moment,
        command_id=command,
        causation_id=command,
        correlation_id=command,
        actor="test",
        body=event,
    )


class Given:
    """A history, folded; waits for the decision."""

    def __init__(self, history: tuple[DomainEvent | On, ...]) -> None:
        self._history = [
            step if isinstance(step, On) else On(STREAMS[aggregate_of(step.NAME)], step) for step in history
        ]

    def draft(self, at: datetime | str = "2026-01-01") -> Draft:
        """The draft a command at that time finds."""
        draft = Draft(origin(at), EVOLVERS)
        held: dict[UUID, tuple[Stream, int, Any]] = {s.id: (s, 0, None) for s in STREAMS.values()}
        for stream, event in self._history:
            _, version, state = held.get(stream.id, (stream, 0, None))
            state = EVOLVERS[stream.aggregate](state, recorded(stream, version + 1, event))
            held[stream.id] = (stream, version + 1, state)
        for stream, version, state in held.values():
            draft.hold(stream, version, state)
        return draft

    def when(self, decision: Decision, at: datetime | str = "2026-01-01") -> Outcome:
        """Decide, and remember what came of it."""
        return Outcome(self.draft(at), decision)


class Outcome:
    """What a decision came to: events, an answer, or a refusal."""

    def __init__(self, draft: Draft, decision: Decision) -> None:
        self.draft = draft
        self.answer: Any = None
        self.refusal: LedgerError | None = None
        try:
            self.answer = exact(decision)(draft)
        except LedgerError as refusal:
            self.refusal = refusal

    def then(self, *expected: Expected) -> Outcome:
        """Exactly these events were decided, in this order, over all streams."""
        return self._compare([record.body for record in self._accepted().records], expected)

    def then_on(self, aggregate: str, *expected: Expected) -> Outcome:
        """Exactly these events were decided for streams of that aggregate, in this order."""
        bodies = [record.body for record in self._accepted().records]
        return self._compare([body for body in bodies if aggregate_of(body.NAME) == aggregate], expected)

    def then_nothing(self) -> Outcome:
        """The decision was fine, and nothing happened."""
        return self.then()

    def then_refused(self, error: type[LedgerError], **fields: object) -> Outcome:
        """The decision was refused with exactly that error, and with those fields."""
        assert self.refusal is not None, f"expected {error.__name__}, got {self._names()}"
        assert type(self.refusal) is error, f"expected {error.__name__}, got {self.refusal!r}: {self.refusal}"
        actual = {name: getattr(self.refusal, name) for name in fields}
        assert actual == fields, str(self.refusal)
        return self

    def then_state(self, stream_id: UUID = CHARGE, **fields: object) -> Outcome:
        """The state afterwards has these fields; a dot is written as two underscores (`intent__override=None`)."""
        state = self._accepted().state(stream_id)
        actual = {name: _get(state, name) for name in fields}
        assert actual == fields
        return self

    def _accepted(self) -> Draft:
        if self.refusal is not None:
            raise AssertionError(f"refused: {self.refusal}") from self.refusal
        return self.draft

    def _compare(self, actual: list[DomainEvent], expected: tuple[Expected, ...]) -> Outcome:
        described = [_described(body, expectation) for body, expectation in zip(actual, expected, strict=False)]
        assert [*described, *actual[len(expected) :]] == list(expected)
        return self

    def _names(self) -> list[str]:
        return [type(record.body).__name__ for record in self.draft.records]


def given(*history: DomainEvent | On) -> Given:
    """A history to decide upon."""
    return Given(history)


def _described(body: DomainEvent, expectation: Expected) -> object:
    """The actual event in the terms of the expectation: the expectation itself where it is met."""
    if isinstance(expectation, Like):
        if type(body) is not expectation.kind:
            return body
        actual = {name: _get(body, name) for name in expectation.fields}
        return expectation if actual == expectation.fields else Like(expectation.kind, actual)
    if isinstance(expectation, type):
        return type(body) if type(body) is expectation else body
    return body


def _get(value: object, path: str) -> object:
    for name in path.split("__"):
        value = getattr(value, name)
    return value
