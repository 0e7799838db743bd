"""What a decision works on and returns: states in hand, and the events decided so far.

A decision that spans several aggregates (a charge, its run, the credit pool) works on a `Draft`: each event it
emits is put into its envelope and folded into its stream's state at once, so that the next step of the same
decision sees the effect of the one before. The states it was given are not touched, nothing is written: saving
is the caller's business. A refused decision is thrown away with its draft.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from aggregates.event import AnyRecorded, DomainEvent, Origin, Recorded, Stream

Evolve = Callable[[Any, AnyRecorded], Any]
"""How one aggregate folds: (state, or None before the first event; recorded event) -> state."""


class InHand(msgspec.Struct):
    """A stream in hand: its name, the version and the state it has with everything decided so far."""

    stream: Stream
    version: int
    state: Any


class Savepoint(NamedTuple):
    """Versions and states as they were at one moment of a decision."""

    records: int
    effects: int
    states: list[tuple[InHand, int, Any]]
    touched: list[UUID]


class Draft:
    """States in hand and events decided so far, in the order in which they happened.

    `evolvers` maps the name of an aggregate to its fold. `recorded_at` and `prev` of the records here are
    provisional: they are settled when the draft is saved, and no fold looks at them. `effects` is what one aggregate
    asks of another; whoever saves the draft has them applied before (lifecycles §4.2).
    """

    def __init__(self, origin: Origin, evolvers: Mapping[str, Evolve]) -> None:
        self.origin = origin
        self.records: list[AnyRecorded] = []
        self.effects: list[Any] = []
        self._evolvers = evolvers
        self._in_hand: dict[UUID, InHand] = {}
        self._touched: dict[UUID, None] = {}
        self._begun: dict[UUID, tuple[int, Any]] = {}

    def hold(self, stream: Stream, version: int, state: object) -> None:
        """Put a stream in hand as it stands in the store; version 0 and None when it has no event yet."""
        self._in_hand[stream.id] = InHand(stream, version, state)
        self._begun[stream.id] = (version, state)

    def holds(self, stream_id: UUID) -> bool:
        """Whether the stream is in hand."""
        return stream_id in self._in_hand

    def state(self, stream_id: UUID) -> Any:
        """The state of a stream with everything decided so far folded in; None when it has no event yet."""
        held = self._in_hand.get(stream_id)
        return held.state if held else None

    def version(self, stream_id: UUID) -> int:
        """The version of the newest event of a stream, decided ones included; 0 before the first."""
        held = self._in_hand.get(stream_id)
        return held.version if held else 0

    def emit(self, stream: Stream, event: DomainEvent) -> AnyRecorded:
        """Decide an event: envelop it, fold it into its stream's state, keep it for the save."""
        held = self._in_hand.get(stream.id)
        if held is None:
            held = self._in_hand[stream.id] = InHand(stream, 0, None)
        origin = self.origin
        record: AnyRecorded = Recorded(
            stream=stream.id,
            version=held.version + 1,
            namespace=origin.namespace,
            customer=stream.customer,
            at=origin.at,
            recorded_at=origin.at,
            command_id=origin.command_id,
            causation_id=origin.causation_id,
            correlation_id=origin.correlation_id,
            actor=origin.actor,
            body=event,
        )
        held.state = self._evolvers[stream.aggregate](held.state, record)
        held.version = record.version
        self.records.append(record)
        self._touched[stream.id] = None
        return record

    def take_effects(self) -> list[Any]:
        """What is asked for and not applied yet; the caller applies it now."""
        taken, self.effects = self.effects, []
        return taken

    def savepoint(self) -> Savepoint:
        """Where the decision stands, to come back to when a part of it is refused."""
        states = [(held, held.version, held.state) for held in self._in_hand.values()]
        return Savepoint(len(self.records), len(self.effects), states, list(self._touched))

    def rollback(self, savepoint: Savepoint) -> None:
        """Forget what was decided since; streams put in hand since then stay, without the events."""
        del self.records[savepoint.records :]
        del self.effects[savepoint.effects :]
        for held in self._in_hand.values():
            held.version, held.state = self._held_at(savepoint, held)
        self._touched = dict.fromkeys(savepoint.touched)

    def _held_at(self, savepoint: Savepoint, held: InHand) -> tuple[int, Any]:
        for then, version, state in savepoint.states:
            if then is held:
                return version, state
        return self._begun.get(held.stream.id, (0, None))

    def events_of(self, stream_id: UUID) -> list[DomainEvent]:
        """The events decided so far for one stream, oldest first."""
        return [record.body for record in self.records if record.stream == stream_id]

    def touched(self) -> list[InHand]:
        """The streams that gained events, with their new versions and states, in order of first event."""
        return [self._in_hand[stream_id] for stream_id in self._touched]

    def read(self) -> list[InHand]:
        """All streams in hand, those without new events included."""
        return list(self._in_hand.values())
