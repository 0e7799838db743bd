"""The face of a store: append to several streams at once, read a stream, read the log; and the inline tables.

Everything in one `Save` becomes durable together or not at all: the records of all streams, the receipt of the
command, the rows of the inline tables (decisions 8, 9). The store knows nothing of billing: it keeps bytes in
order, proves that nobody appended in between, and hands out positions.

Positions are the notification ids of the log: a save's records have consecutive positions, and a reader who has
seen position n has seen everything up to n. Each save has a log time, `max(clock, last log time)`, taken under
the append lock (decision 7).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from threading import Event
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from aggregates.lifecycle import OVER


class NewRecord(NamedTuple):
    """A record to append: where it belongs, its stored name, its exact bytes and their SHA-256."""

    stream: UUID
    version: int
    name: str
    data: bytes
    digest: bytes


class LogRecord(NamedTuple):
    """A stored record with its place in the log. `last` is the position of the last record of the same save."""

    position: int
    stream: UUID
    version: int
    name: str
    data: bytes
    digest: bytes
    log_time: datetime
    last: int


class Written(msgspec.Struct, frozen=True, array_like=True):
    """What a receipt vouches for: one record by stream, version and digest (hex)."""

    stream: UUID
    version: int
    digest: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That a unit of a command was carried out: unique by (namespace, customer, command id), kept for ever.

    `fingerprint` is the SHA-256 (hex) of the command's content; `answer` the ids the command answered, as JSON.
    `written` lists every record of the save, so that a changed or missing last event is found. Namespace-wide
    commands have the customer "". `digest` is the SHA-256 (hex) of all the rest: computed when a receipt is made,
    stored beside it, and no longer that of the rest when a stored receipt was changed.
    """

    namespace: str
    customer: str
    command_id: UUID
    unit: str
    fingerprint: str
    answer: msgspec.Raw
    written: tuple[Written, ...]
    digest: str | None = None

    def __post_init__(self) -> None:
        if self.digest is None:
            msgspec.structs.force_setattr(self, "digest", self._hashed())

    @property
    def is_intact(self) -> bool:
        """Whether the receipt is what it was when it was made."""
        return self.digest == self._hashed()

    def _hashed(self) -> str:
        who = (self.namespace, self.customer, self.command_id, self.unit)
        return sha256(msgspec.json.encode((*who, self.fingerprint, self.answer, self.written))).hexdigest()


NOT_OVER = f"status NOT IN ({', '.join(repr(status.value) for status in sorted(OVER, reverse=True))})"
"""In SQL, to the letter what the partial index of the schema says: only then it is used."""


class ChargeIndexRow(NamedTuple):
    """What the facade and the worker must know of every charge without loading it (decision 8).

    A charge that waits for nothing, a closed one above all, has no `advance_after`.
    """

    namespace: str
    customer: str
    charge: UUID
    charge_type: str
    status: str
    advance_after: datetime | None
    ordinal: int
    """Order of creation: position of the charge's first event, set by the store when 0; a later row keeps the first."""

    def is_due(self, moment: datetime) -> bool:
        """Whether the clock has something to do for it by that moment."""
        return self.advance_after is not None and self.advance_after <= moment


class Reservation(NamedTuple):
    """A key that only one owner may hold: unique references, purchase keys. `owner` None releases it."""

    namespace: str
    customer: str
    kind: str
    key: str
    owner: UUID | None


class Save(NamedTuple):
    """One atomic save. `expected` are versions of streams that were read, not written, and must not have moved.

    Records of one stream are in order and without gaps; the stream must stand right before the first of them.
    """

    records: Sequence[NewRecord]
    receipt: Receipt | None = None
    charge_index: Sequence[ChargeIndexRow] = ()
    reservations: Sequence[Reservation] = ()
    expected: Sequence[tuple[UUID, int]] = ()


class Saved(NamedTuple):
    """Where a save landed: first and last position, and its log time.

    A save without records has no place of its own: `last` is the head of the log then, and `first` one more.
    """

    first: int
    last: int
    log_time: datetime


class StaleSave(Exception):
    """A stream moved, a key was taken or the receipt exists: nothing was written, decide again on fresh state."""


class SnapshotRow(NamedTuple):
    """A state of a stream at a version, as bytes; only an optimisation, verified by the audit."""

    stream: UUID
    version: int
    name: str
    data: bytes


Probe = Callable[[str], None]
"""Called with a name before every call of a store; what it raises is what the call raises. For faults in tests."""


class Store(Protocol):
    """What the repository asks of a store. All three builds behave alike; `close` may be called twice.

    Every method may raise `Unavailable`: the database did not answer, and trying again is safe.
    """

    probe: Probe | None
    """Called with "store.append", "store.read_stream" and so on; and with "store.append.committed" when a save is
    durable and its answer not yet given."""

    def append(self, save: Save, now: datetime | None = None) -> Saved:
        """Write the save; its log time is `max(now, last log time)`, where no `now` means the system's clock.

        Raises `StaleSave` when it lost a race and `Unavailable` when the store did not answer.
        A reply lost on commit is recognised by the receipt: the same receipt already stored by this very save
        (same written list) answers its `Saved` instead of `StaleSave`.
        """
        ...

    def read_stream(self, stream: UUID, after_version: int = 0) -> list[LogRecord]:
        """The records of one stream above a version, oldest first."""
        ...

    def read_streams(
        self, streams: Sequence[UUID], after: Mapping[UUID, int] | None = None
    ) -> dict[UUID, list[LogRecord]]:
        """The records of several streams in one round trip and one snapshot of the store, oldest first.

        `after` names versions already known, by stream. Every stream asked for is in the answer.
        """
        ...

    def read_versions(self, stream: UUID, versions: Sequence[int]) -> list[LogRecord]:
        """The records of one stream that have these versions, oldest first; versions it does not have are left out."""
        ...

    def read_log(self, after: int, limit: int, names: Collection[str] | None = None) -> list[LogRecord]:
        """At most about `limit` records above a position, in order; a page never ends inside a save.

        With `names` only records of these stored names: so many of them, however far apart they are. Fewer than `limit`
        are all there are.
        """
        ...

    def follow(self, after: int, stop: Event | None = None) -> Iterator[list[LogRecord]]:
        """Pages of the log as they come, until `stop` is set; sleeps in between, polls as a floor.

        An outage of the database is waited out: the pages go on where they were.
        """
        ...

    def head(self) -> int:
        """The position of the newest record, 0 when the log is empty."""
        ...

    def position_at(self, moment: datetime) -> int:
        """The last position whose log time is not later than the moment (decision 7)."""
        ...

    def receipt(self, namespace: str, customer: str, command_id: UUID) -> Receipt | None:
        """The receipt of a unit, or None when it was never carried out."""
        ...

    def receipts(self) -> Iterator[Receipt]:
        """All receipts, for the audit."""
        ...

    def charges_of(
        self, namespace: str, customer: str, due: datetime | None = None, *, over: bool = True
    ) -> list[ChargeIndexRow]:
        """Index rows of a customer in order of creation.

        With `due` only those whose `advance_after` has come; without `over` only those that are neither final nor
        deleted, at a cost that does not grow with those that are.
        """
        ...

    def due_customers(self, namespace: str, now: datetime, after: str = "", limit: int = 500) -> list[str]:
        """Customers with an open charge whose `advance_after` has come, sorted, in pages."""
        ...

    def next_due(self, namespace: str, after: datetime) -> datetime | None:
        """The first `advance_after` later than that, of all customers; None where nothing waits for the clock."""
        ...

    def charge_index(self) -> Iterator[ChargeIndexRow]:
        """All rows, for the audit."""
        ...

    def reservation(self, namespace: str, customer: str, kind: str, key: str) -> UUID | None:
        """Who holds a key, or None."""
        ...

    def reservations(self) -> Iterator[Reservation]:
        """All held keys, for the audit."""
        ...

    def replace_inline(self, charges: Sequence[ChargeIndexRow], reservations: Sequence[Reservation]) -> None:
        """Replace both inline tables by rows rebuilt from the events, in one transaction."""
        ...

    def load_snapshot(self, stream: UUID) -> SnapshotRow | None:
        """The newest snapshot of a stream."""
        ...

    def save_snapshot(self, row: SnapshotRow) -> None:
        """Keep a snapshot; a failure is logged, never raised."""
        ...

    def snapshots(self) -> Iterator[SnapshotRow]:
        """All snapshots, for the audit."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...
