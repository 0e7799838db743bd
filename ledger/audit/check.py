"""What a check is, and what it is shown.

An audit reads the log once, save by save; then every pool's stream, every charge with its runs, and every invoice;
then the stored usage; then it looks at the tables. A check is a class with a name, a docstring that says what it makes
sure of, and those of the eight methods it needs. Whatever it objects to it notes with `self.find`, and goes on: one
broken place does not hide the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple
from uuid import UUID

import msgspec

from aggregates.event import AnyRecorded
from aggregates.values.errors import HistoryBroken, PostingRefused
from ledger.audit.report import Seal, Tally
from ledger.metering.chain import ChunkRecord, Link
from ledger.metering.store import Head as MeterHead
from ledger.metering.store import Kept, UsageStore
from ledger.ports import Meter
from ledger.store.follow import Follower
from ledger.store.repository import Repository
from ledger.store.store import LogRecord, Store


class Head(msgspec.Struct):
    """Where a stream begins, and how far it has been read; what its events have in common, as far as it is known.

    `digest` is that of the last event read, in hex, as the next one has it.
    """

    first: int
    aggregate: str
    version: int = 0
    digest: bytes | None = None
    namespace: str | None = None
    customer: str | None = None
    recorded_at: datetime | None = None


class Seen(NamedTuple):
    """A row of the log and the record in it: none where its bytes cannot be read, or no check looks into events."""

    row: LogRecord
    record: AnyRecorded | None

    @property
    def place(self) -> str:
        """Where it is."""
        return place(self.row)


class ChargeStreams(NamedTuple):
    """A charge and its runs, as stored up to where the log was read."""

    charge: UUID
    records: Sequence[AnyRecorded]
    runs: dict[UUID, list[AnyRecorded]]


class InvoiceStreams(NamedTuple):
    """An invoice and the runs that its lines show, as stored up to where the log was read."""

    invoice: UUID
    records: Sequence[AnyRecorded]
    runs: dict[UUID, list[AnyRecorded]]


class UsageChunk(NamedTuple):
    """What a chunk stored of a meter: its record, and the events that are there. One of the two may be gone."""

    head: MeterHead
    position: int
    record: ChunkRecord | None
    links: Sequence[Link]


class Evidence:
    """What all checks of one audit may ask: the store, the views, and what the reading of the log brought to light."""

    def __init__(
        self, repository: Repository, follower: Follower, kept: Seal | None = None, meter: Meter | None = None
    ) -> None:
        self.repository = repository
        self.store: Store = repository.store
        self.follower = follower
        self.kept = kept
        self.meter = meter
        """Answers what usage there is; absent where there is no usage to ask about."""
        self.usage = meter if isinstance(meter, UsageStore) else None
        """Where usage is stored; absent where a meter outside answers."""
        self.began_at = self.store.head()
        """The head before anything was read. Whatever is above it may have been written meanwhile."""
        self.position = 0
        """The last record read."""
        self.heads: dict[UUID, Head] = {}
        """Every stream there is, kept by the check of the chains."""


class Check:
    """Base of all checks. `deep` ones look into bodies of events."""

    name: ClassVar[str]
    deep: ClassVar[bool] = True

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.tally = Tally(self.name, about(type(self)))
        self.find = self.tally.find
        self.looked_at = self.tally.looked_at

    def page(self, rows: Sequence[Seen]) -> None:
        """A page of the log, made of whole saves; they come in order."""

    def save(self, rows: Sequence[Seen]) -> None:
        """One save of the log; they come in order."""

    def pool(self, pool: UUID, records: Sequence[AnyRecorded]) -> None:
        """All events of one credit pool."""

    def charge(self, streams: ChargeStreams) -> None:
        """All events of one charge and its runs."""

    def invoice(self, streams: InvoiceStreams) -> None:
        """All events of one invoice and of the runs on its lines."""

    def usage(self, rows: Sequence[Kept]) -> None:
        """A page of the stored usage of all namespaces, in the order in which it was stored."""

    def chunk(self, chunk: UsageChunk) -> None:
        """What a chunk stored of a meter; meter by meter, in the order in which they were stored."""

    def end(self) -> None:
        """Everything has been read."""


def about(check: type[Check]) -> str:
    """What a check makes sure of: the first sentence of its docstring."""
    return (check.__doc__ or "").strip().splitlines()[0].rstrip(".")


def uses(check: Check, method: str) -> bool:
    """Whether a check has that method of its own."""
    return getattr(type(check), method) is not getattr(Check, method)


def place(row: LogRecord) -> str:
    """Where a row of the log is."""
    return f"position {row.position}, stream {row.stream}, version {row.version}"


def place_of(record: AnyRecorded) -> str:
    """Where an event is, as its envelope says."""
    return f"stream {record.stream}, version {record.version}"


BROKEN: tuple[type[Exception], ...] = (
    HistoryBroken,
    PostingRefused,
    msgspec.MsgspecError,
    AssertionError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What reading or folding a history may raise that was tampered with; a store that does not answer is not among it."""


def broken(error: Exception) -> str:
    """An error of that kind in words."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
