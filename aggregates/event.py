"""What an event is: a body that says what was decided, and the envelope it is recorded in.

A **body** (`DomainEvent`) is a frozen struct with a stable stored name, `aggregate.event.vN`, that has nothing to do
with where its class lives. A **record** (`Recorded`) is a body in its envelope: which stream and version, whose,
when, by which command, and the digest of the event before it in the same stream. The bytes of a record are what is
stored and what is hashed (decisions 4-6).

Bodies never subclass one another and refuse unknown fields on read; a removed or renamed field is a new version.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import msgspec


class DomainEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all event bodies. Holds what was decided, in full; never what can be derived from the stream."""

    NAME: ClassVar[str] = ""
    """The stored name, `aggregate.event.vN`; unique for ever."""


E = TypeVar("E")


class Recorded(msgspec.Struct, Generic[E], frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A domain event in its envelope, exactly as it is stored (decision 4).

    Three clocks stay apart: `at` is the clock's reading when the command was decided (guards use it, and it may go
    back); `recorded_at` is when the log accepted the event and never goes back within a stream; booked times are
    in the bodies.
    """

    stream: UUID
    version: int
    namespace: str
    customer: str | None = None
    at: datetime
    recorded_at: datetime
    command_id: UUID
    causation_id: UUID
    correlation_id: UUID
    actor: str
    prev: str | None = None
    """SHA-256 (hex) of the bytes of the previous event of this stream; absent at version 1."""
    body: E


AnyRecorded = Recorded[Any]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the events of one command come from: the part of the envelope that all of them share.

    `command_id` is the id of the unit that is saved; `correlation_id` the id of the command the caller sent;
    `causation_id` what caused this unit: the caller's command, or for a follow-up unit the one before it.
    """

    namespace: str
    at: datetime
    command_id: UUID
    causation_id: UUID
    correlation_id: UUID
    actor: str


class Stream(msgspec.Struct, frozen=True):
    """Names a stream: which aggregate, and its id. `customer` is absent for catalogue and namespace streams."""

    aggregate: str
    id: UUID
    customer: str | None = None


def aggregate_of(stored_name: str) -> str:
    """The aggregate that a stored name belongs to: "charge.activated.v1" is of "charge"."""
    return stored_name.partition(".")[0]
