"""The face of a usage store, and what all builds share: how a cut is closed and how chunks are stamped.

**Stamping.** Events are stored in chunks; one chunk is one transaction, with one position and one `stored_at`.

**Closed cuts.** A quantity is asked for with `stored_at_lt`. Its answer must never change once that moment has
passed, or a finalised run could not be explained later (lifecycles §5.4). Every meter of a namespace therefore has
a **mark**: no chunk is ever stamped below it. Ingesting raises the mark to the chunk's stamp, and so does reading:
the first question with a cut that the clock has passed raises the mark to that cut. A chunk holds its meters' marks
from before it takes its stamp until it is committed; hence

- whoever sees a mark at or above the cut needs to wait for nobody: all that could lie below is committed;
- whoever has to raise the mark waits for the chunks that hold it, and those that come later are stamped above;
- a clock that is set back changes nothing: stamps stay at the mark until it catches up.

A cut in the future closes nothing; its answer is provisional and is asked for again (lifecycles §5.3). An explicit
`stored_at`, for tests, neither heeds nor moves the marks.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec

from aggregates.rating.parts import PartsNeeded
from aggregates.values.errors import Finding, Unavailable, ValidationFailed
from ledger.metering.chain import ChunkRecord, Link
from ledger.metering.usage import MAX_CHUNK, StoredUsage, UsageEvent, place
from ledger.ports import Clock, Metered, MeterQuery, Probe, SystemClock, adds_up, no_probe

R = TypeVar("R")

CHUNK = 5_000
"""Events of one ingest chunk."""
COMMIT_WITHIN = 30.0
"""Seconds from a chunk's stamp to its commit; whatever takes longer is rolled back and stamped again (decision 16)."""
ATTEMPTS = 5
"""How often a chunk is tried that met a conflict, a lost connection or the time limit."""


class IngestReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the events: stored, known already with the same content, or with another (quarantined).

    `position` is the ingest position of the last chunk, 0 when there was none.
    """

    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    position: int = 0
    chunks: int = 0

    def __add__(self, other: IngestReport) -> IngestReport:
        return IngestReport(
            stored=self.stored + other.stored,
            duplicates=self.duplicates + other.duplicates,
            conflicts=self.conflicts + other.conflicts,
            position=max(self.position, other.position),
            chunks=self.chunks + other.chunks,
        )


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which usage of a namespace to list. Event time in `[from_, to)`; what is absent does not restrict."""

    customer: str
    meter: str
    from_: datetime | None = None
    to: datetime | None = None


class Arrival(NamedTuple):
    """What has to be known of a stored event to find out whether it came late."""

    customer: str
    time: datetime
    stored_at: datetime
    place: int


class Kept(NamedTuple):
    """A stored event as it lies there, for the audit: `event` is absent where the row holds what none can be."""

    namespace: str
    place: int
    stored_at: datetime
    fingerprint: bytes
    event: UsageEvent | None


class Head(NamedTuple):
    """A meter of a namespace and the position of its last chunk, or of the last that has events of it."""

    namespace: str
    meter: str
    position: int


class Unseen(NamedTuple):
    """Usage of a meter that nobody has looked through yet: behind the place `after`, up to the chunk `position`."""

    meter: str
    after: int
    position: int


@runtime_checkable
class UsageStore(Protocol):
    """Keeps usage events and answers the `Meter` port. All three builds behave alike; `close` may be called twice.

    Every method raises `Unavailable` when the database does not answer; nothing is half written then.
    """

    def ingest(
        self,
        namespace: str,
        events: Iterable[UsageEvent],
        *,
        stored_at: datetime | None = None,
        chunk: int = CHUNK,
    ) -> IngestReport:
        """Store events in chunks; what is known already is counted, never stored twice.

        Events must have passed `usage.check`. When a chunk fails, those before it stay stored and the rest can
        be sent again: the ids keep usage from counting twice.
        """
        ...

    def quantity(self, query: MeterQuery) -> Metered:
        """The meter's aggregate over the events with time in `[from_, to)` and `stored_at < stored_at_lt`, exact.

        `sum` of the values; `count` of the events; `max`, `min` and `latest` value, the latest by event time, ties
        by order of ingestion; `unique_count` of the values of the meter's property, events without it left out.
        Every aggregation of an empty window is 0.
        """
        ...

    def parts(self, query: MeterQuery, by: PartsNeeded) -> Metered:
        """The same quantity with the parts it is made of; see `PartedMeter.parts`.

        Raises `ValidationFailed` (`meter_does_not_add_up`) for a meter that is neither a sum nor a count. Events
        without a value are no part of a sum.
        """
        ...

    def late_since(self, query: MeterQuery, position: int, *, limit: int = 1_000) -> list[StoredUsage]:
        """Usage in the window that `quantity(query)`, read at `position`, did not count; by order of ingestion.

        That is late usage once the run that asked is final: it came after the read, or was stored at or after
        `stored_at_lt` (decision 16).
        """
        ...

    def events(
        self, namespace: str, window: Window, *, after: StoredUsage | None = None, limit: int = 1_000
    ) -> list[StoredUsage]:
        """A page of the stored events by event time; `after` is the last event of the page before."""
        ...

    def conflicts(self, namespace: str, *, after: int = 0, limit: int = 1_000) -> list[StoredUsage]:
        """Quarantined events (`usage_conflict`) by place; each other content of an id is listed once."""
        ...

    def unseen(self, namespace: str) -> list[Unseen]:
        """The meters with chunks that are not marked as `seen`, by key."""
        ...

    def arrivals(self, namespace: str, unseen: Unseen, *, limit: int = 1_000) -> list[Arrival]:
        """A page of the events of a meter in the order in which they were stored.

        All chunks of a meter up to its last position are committed, and later ones come behind: nothing is passed over.
        """
        ...

    def seen(self, namespace: str, meter: str, place: int) -> None:
        """Remember that everything of the meter up to that place was looked through; a mark never goes back."""
        ...

    def kept(self, after: int = 0, *, limit: int = 1_000) -> list[Kept]:
        """A page of the stored events of all namespaces behind a place, for the audit; none that are quarantined."""
        ...

    def newest(self) -> int:
        """The last place at which an event is stored; 0 where there is none."""
        ...

    def heads(self) -> list[Head]:
        """Every meter of every namespace that has chunks or events, sorted. All up to its position is committed."""
        ...

    def chunks(self, head: Head, after: int = 0, *, limit: int = 1_000) -> list[ChunkRecord]:
        """A page of the records of a meter's chunks behind a position, up to the head, by position."""
        ...

    def links(self, head: Head, after: int = 0, *, limit: int = 1_000) -> list[Link]:
        """A page of what the chain holds of a meter's events behind a place, up to the head, by place."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


class Chunk(NamedTuple):
    """The events of one chunk with their fingerprints; each identity occurs once, however often it was sent."""

    namespace: str
    events: Sequence[UsageEvent]
    fingerprints: Sequence[bytes]
    repeats: Mapping[int, int]
    """How often the event of an ordinal was sent again within the chunk, word for word."""
    meters: Sequence[str]
    """The meters concerned, sorted: marks are always locked in this order."""


class Tally(NamedTuple):
    """What one attempt at a chunk brought about; `conflicts` are the ordinals of the events that were quarantined."""

    position: int
    stored: int
    conflicts: Sequence[int]


class Reading(NamedTuple):
    """An answer, and how far the meter was closed in the same snapshot of the database."""

    metered: Metered
    mark: datetime | None
    now: datetime


class StampExpired(Exception):
    """The chunk was not ready to commit in time and must be stamped again."""


class Retry(Exception):
    """The attempt failed for a reason that may pass; nothing was written, as far as is known."""


class ChunkedStore(ABC):
    """What the builds share. A build says how one chunk is written, a window is read, and a mark is raised."""

    def __init__(
        self, probe: Probe = no_probe, clock: Clock | None = None, *, commit_within: float = COMMIT_WITHIN
    ) -> None:
        self.probe = probe
        self.clock: Clock = clock or SystemClock()
        self.commit_within = commit_within

    # ── what users call ──────────────────────────────────────────────────────────────────────────────────────

    def ingest(
        self,
        namespace: str,
        events: Iterable[UsageEvent],
        *,
        stored_at: datetime | None = None,
        chunk: int = CHUNK,
    ) -> IngestReport:
        """See `UsageStore.ingest`."""
        if not 1 <= chunk < MAX_CHUNK:
            msg = f"a chunk has 1 to {MAX_CHUNK - 1} events, not {chunk}"
            raise ValueError(msg)
        report = IngestReport()
        for part in form_chunks(namespace, events, chunk):
            report += self._ingest_chunk(part, stored_at)
        return report

    def quantity(self, query: MeterQuery) -> Metered:
        """See `UsageStore.quantity`."""
        self.probe("usage.quantity")
        return self._closed(query, lambda: self.read(query))

    def parts(self, query: MeterQuery, by: PartsNeeded) -> Metered:
        """See `UsageStore.parts`."""
        if not adds_up(query.meter):
            message = f"meter {query.meter.key!r} is a {query.meter.aggregation}; only a sum or a count has parts"
            raise ValidationFailed((Finding("meter", "meter_does_not_add_up", message),))
        self.probe("usage.parts")
        return self._closed(query, lambda: self.read_parts(query, by))

    def _closed(self, query: MeterQuery, read: Callable[[], Reading]) -> Metered:
        """What is read once the cut is closed; a cut in the future closes nothing."""
        reading = self.attempt(read)
        cut = query.stored_at_lt
        if cut > reading.now or (reading.mark is not None and reading.mark >= cut):
            return reading.metered
        self.attempt(lambda: self.raise_mark(query.namespace, query.meter.key, cut))
        return self.attempt(read).metered

    def late_since(self, query: MeterQuery, position: int, *, limit: int = 1_000) -> list[StoredUsage]:
        """See `UsageStore.late_since`."""
        self.probe("usage.late_since")
        return self.attempt(lambda: self.read_late(query, place(position + 1, 0), limit))

    def events(
        self, namespace: str, window: Window, *, after: StoredUsage | None = None, limit: int = 1_000
    ) -> list[StoredUsage]:
        """See `UsageStore.events`."""
        self.probe("usage.events")
        return self.attempt(lambda: self.read_events(namespace, window, after, limit))

    def conflicts(self, namespace: str, *, after: int = 0, limit: int = 1_000) -> list[StoredUsage]:
        """See `UsageStore.conflicts`."""
        self.probe("usage.conflicts")
        return self.attempt(lambda: self.read_conflicts(namespace, after, limit))

    def unseen(self, namespace: str) -> list[Unseen]:
        """See `UsageStore.unseen`."""
        self.probe("usage.unseen")
        return self.attempt(lambda: self.read_unseen(namespace))

    def arrivals(self, namespace: str, unseen: Unseen, *, limit: int = 1_000) -> list[Arrival]:
        """See `UsageStore.arrivals`."""
        self.probe("usage.arrivals")
        return self.attempt(lambda: self.read_arrivals(namespace, unseen, limit))

    def seen(self, namespace: str, meter: str, place: int) -> None:
        """See `UsageStore.seen`."""
        self.probe("usage.seen")
        self.attempt(lambda: self.write_seen(namespace, meter, place))

    def kept(self, after: int = 0, *, limit: int = 1_000) -> list[Kept]:
        """See `UsageStore.kept`."""
        self.probe("usage.kept")
        return self.attempt(lambda: self.read_kept(after, limit))

    def newest(self) -> int:
        """See `UsageStore.newest`."""
        self.probe("usage.newest")
        return self.attempt(self.read_newest)

    def heads(self) -> list[Head]:
        """See `UsageStore.heads`."""
        self.probe("usage.heads")
        return self.attempt(self.read_heads)

    def chunks(self, head: Head, after: int = 0, *, limit: int = 1_000) -> list[ChunkRecord]:
        """See `UsageStore.chunks`."""
        self.probe("usage.chunks")
        return self.attempt(lambda: self.read_chunks(head, after, limit))

    def links(self, head: Head, after: int = 0, *, limit: int = 1_000) -> list[Link]:
        """See `UsageStore.links`."""
        self.probe("usage.links")
        return self.attempt(lambda: self.read_links(head, after, limit))

    @abstractmethod
    def close(self) -> None:
        """Give connections back."""

    # ── what a build says ────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def write_chunk(self, chunk: Chunk, stored_at: datetime | None, earlier: set[int]) -> Tally:
        """Write a chunk in one transaction.

        `earlier` are the positions of attempts whose fate is unknown; the build adds its own. What is found stored
        at one of them was stored by us, its reply lost on the way: it counts as stored, not as a duplicate.
        """

    @abstractmethod
    def read(self, query: MeterQuery) -> Reading:
        """The answer with the meter's mark, from one snapshot; waits for nobody."""

    @abstractmethod
    def read_parts(self, query: MeterQuery, by: PartsNeeded) -> Reading:
        """As `read`, with the parts. The meter adds up."""

    @abstractmethod
    def raise_mark(self, namespace: str, meter: str, to: datetime) -> None:
        """Raise the mark to at least `to`; waits for the chunks that hold it."""

    @abstractmethod
    def read_late(self, query: MeterQuery, from_place: int, limit: int) -> list[StoredUsage]:
        """Events of the window at or above a place, or stored at or after the cut, by place."""

    @abstractmethod
    def read_events(self, namespace: str, window: Window, after: StoredUsage | None, limit: int) -> list[StoredUsage]:
        """Events of the window behind `after`, by event time and place."""

    @abstractmethod
    def read_conflicts(self, namespace: str, after: int, limit: int) -> list[StoredUsage]:
        """Quarantined events above a place, by place."""

    @abstractmethod
    def read_unseen(self, namespace: str) -> list[Unseen]:
        """Meters whose last chunk lies behind what was marked as seen, by key."""

    @abstractmethod
    def read_arrivals(self, namespace: str, unseen: Unseen, limit: int) -> list[Arrival]:
        """Events of the meter behind a place and not behind the last chunk, by place."""

    @abstractmethod
    def write_seen(self, namespace: str, meter: str, place: int) -> None:
        """Raise the mark of what was seen to at least that place."""

    @abstractmethod
    def read_kept(self, after: int, limit: int) -> list[Kept]:
        """Events of all namespaces behind a place, by place, whatever their rows hold."""

    @abstractmethod
    def read_newest(self) -> int:
        """The last place there is."""

    @abstractmethod
    def read_heads(self) -> list[Head]:
        """Meters with a position above 0 or with events, from one snapshot, sorted."""

    @abstractmethod
    def read_chunks(self, head: Head, after: int, limit: int) -> list[ChunkRecord]:
        """Records of the meter's chunks behind a position and not behind the head, by position."""

    @abstractmethod
    def read_links(self, head: Head, after: int, limit: int) -> list[Link]:
        """Links of the meter's events behind a place and not behind the head, by place."""

    # ── helpers of the builds ────────────────────────────────────────────────────────────────────────────────

    def now_set(self) -> datetime | None:
        """What a clock that was set says; None means the database's own clock counts (decision 16)."""
        return None if self.clock.is_system else self.clock.now()

    def before_commit(self, started: float) -> None:
        """The last thing a build does before it commits a chunk stamped at `started` (monotonic seconds)."""
        self.probe("usage.ingest.commit")
        if time.monotonic() - started > self.commit_within:
            raise StampExpired

    def attempt(self, work: Callable[[], R]) -> R:
        """Do it, and again after a failure that may pass. Raises `Unavailable` when it does not."""
        reason = ""
        for number in range(1, ATTEMPTS + 1):
            try:
                return work()
            except StampExpired:
                reason = f"a chunk was not committed within {self.commit_within:g} s; use smaller ones"
            except Retry as retry:
                reason = str(retry)
            if number < ATTEMPTS:
                time.sleep(random.uniform(0, 0.02 * 2**number))  # noqa: S311 - so that rivals do not meet again
        raise Unavailable("the usage store", reason)

    def _ingest_chunk(self, chunk: Chunk, stored_at: datetime | None) -> IngestReport:
        earlier: set[int] = set()

        def write() -> Tally:
            self.probe("usage.ingest")
            return self.write_chunk(chunk, stored_at, earlier)

        return _report(chunk, self.attempt(write))


def readable(make: Callable[[], StoredUsage]) -> UsageEvent | None:
    """The event of a row, None where somebody wrote into it what no event holds."""
    try:
        return make().event
    except (ValueError, TypeError, ArithmeticError, OverflowError, msgspec.MsgspecError):
        return None


def form_chunks(namespace: str, events: Iterable[UsageEvent], size: int) -> Iterator[Chunk]:
    """Cut a stream of events into chunks in which every identity occurs once.

    Repeats with the same content are counted. One with another content begins a new chunk, so that it is judged
    against what is stored by then: how a stream is cut never decides which of two contents wins.
    """
    first: dict[tuple[str, str], int] = {}
    kept: list[UsageEvent] = []
    fingerprints: list[bytes] = []
    repeats: dict[int, int] = {}

    def formed() -> Chunk:
        return Chunk(namespace, kept, fingerprints, repeats, sorted({event.meter for event in kept}))

    for event in events:
        fingerprint = event.fingerprint()
        known = first.setdefault(event.identity, len(kept))
        if known < len(kept) and fingerprints[known] == fingerprint:
            repeats[known] = repeats.get(known, 0) + 1
            continue
        if known < len(kept) or len(kept) == size:
            yield formed()
            first, kept, fingerprints, repeats = {event.identity: 0}, [], [], {}
        kept.append(event)
        fingerprints.append(fingerprint)
    if kept:
        yield formed()


def _report(chunk: Chunk, tally: Tally) -> IngestReport:
    sent = len(chunk.events) + sum(chunk.repeats.values())
    conflicts = sum(1 + chunk.repeats.get(ordinal, 0) for ordinal in tally.conflicts)
    return IngestReport(
        stored=tally.stored,
        duplicates=sent - conflicts - tally.stored,
        conflicts=conflicts,
        position=tally.position,
        chunks=1,
    )
