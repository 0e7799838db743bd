"""Usage in memory: for tests, trials and dry runs. It behaves like the other builds and is gone with the process."""

from __future__ import annotations

import itertools
import threading
import time
from bisect import bisect_left, insort
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal

from aggregates.catalogue import Aggregation
from aggregates.rating.parts import PartsNeeded
from aggregates.values.decimals import ZERO, exact
from ledger.metering.chain import BEGINNING, ChunkRecord, Link, records_of
from ledger.metering.parts import metered, told_apart
from ledger.metering.store import (
    COMMIT_WITHIN,
    Arrival,
    Chunk,
    ChunkedStore,
    Head,
    Kept,
    Reading,
    Tally,
    Unseen,
    Window,
)
from ledger.metering.usage import StoredUsage, last_place, microseconds, normal, place, position_of
from ledger.ports import Clock, Metered, MeterQuery, Probe, no_probe

_Row = tuple[datetime, int, StoredUsage]
"""Event time, place, event: sorted as listed; the place is unique, so events themselves are never compared."""


class MemoryUsageStore(ChunkedStore):
    """Keeps usage per customer and meter, sorted by event time. One lock is held from a stamp to its commit."""

    def __init__(
        self, probe: Probe = no_probe, clock: Clock | None = None, *, commit_within: float = COMMIT_WITHIN
    ) -> None:
        super().__init__(probe, clock, commit_within=commit_within)
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str, str], list[_Row]] = defaultdict(list)
        self._known: dict[tuple[str, str, str], bytes] = {}
        self._quarantine: dict[tuple[str, str, str, bytes], StoredUsage] = {}
        self._marks: dict[tuple[str, str], datetime] = {}
        self._positions: dict[tuple[str, str], int] = {}
        self._numbers = itertools.count(1)
        self._arrived: dict[tuple[str, str], list[Arrival]] = defaultdict(list)
        self._seen: dict[tuple[str, str], int] = {}
        self._chunks: dict[tuple[str, str], list[ChunkRecord]] = defaultdict(list)

    def write_chunk(self, chunk: Chunk, stored_at: datetime | None, earlier: set[int]) -> Tally:
        """Decide everything first, then write, so that a failing probe leaves nothing behind."""
        namespace = chunk.namespace
        with self._lock:
            started = time.monotonic()
            keys = [(namespace, meter) for meter in chunk.meters]
            stamp = stored_at or max([self._now(), *(self._marks[key] for key in keys if key in self._marks)])
            position = next(self._numbers)
            new: list[tuple[tuple[str, str, str], bytes, StoredUsage]] = []
            conflicts: list[int] = []
            for ordinal, (event, fingerprint) in enumerate(zip(chunk.events, chunk.fingerprints, strict=True)):
                identity = (namespace, event.source, event.id)
                known = self._known.get(identity)
                stored = StoredUsage(event, stamp, place(position, ordinal))
                if known is None:
                    new.append((identity, fingerprint, stored))
                elif known != fingerprint:
                    conflicts.append(ordinal)
            self.before_commit(started)
            for identity, fingerprint, stored in new:
                self._known[identity] = fingerprint
                event = stored.event
                insort(self._rows[namespace, event.customer, event.meter], (event.time, stored.place, stored))
                arrival = Arrival(event.customer, event.time, stored.stored_at, stored.place)
                self._arrived[namespace, event.meter].append(arrival)
            for ordinal in conflicts:
                event, fingerprint = chunk.events[ordinal], chunk.fingerprints[ordinal]
                rival = StoredUsage(event, stamp, place(position, ordinal))
                self._quarantine.setdefault((namespace, event.source, event.id, fingerprint), rival)
            befores = {meter: self._digest(namespace, meter) for meter in chunk.meters}
            links = [(stored.event.meter, _link(stored, fingerprint)) for _, fingerprint, stored in new]
            for record in records_of(befores, namespace, position, links):
                self._chunks[namespace, record.meter].append(record)
            for key in keys:
                self._positions[key] = position
                if stored_at is None:
                    self._marks[key] = stamp
            return Tally(position, len(new), conflicts)

    def _digest(self, namespace: str, meter: str) -> bytes:
        before = self._chunks[namespace, meter]
        return before[-1].digest if before else BEGINNING

    def read(self, query: MeterQuery) -> Reading:
        """The aggregate over the window, as it stands."""
        counted, position, mark = self._counted(query)
        return Reading(Metered(_aggregate(query, counted), position), mark, self._now())

    def read_parts(self, query: MeterQuery, by: PartsNeeded) -> Reading:
        """The parts of the window, as it stands."""
        counted, position, mark = self._counted(query)
        return Reading(metered(told_apart(query, by, counted), position), mark, self._now())

    def _counted(self, query: MeterQuery) -> tuple[list[StoredUsage], int, datetime | None]:
        """The events of the window below the cut by event time and place, with the meter's position and mark."""
        with self._lock:
            rows = self._window(query.namespace, query.customer, query.meter.key, query.from_, query.to)
            key = (query.namespace, query.meter.key)
            mark, position = self._marks.get(key), self._positions.get(key, 0)
        return [stored for _, _, stored in rows if stored.stored_at < query.stored_at_lt], position, mark

    def raise_mark(self, namespace: str, meter: str, to: datetime) -> None:
        """Raise the mark; the lock is what a chunk in flight holds."""
        with self._lock:
            key = (namespace, meter)
            self._marks[key] = max(to, self._marks.get(key, to))

    def read_late(self, query: MeterQuery, from_place: int, limit: int) -> list[StoredUsage]:
        """Events of the window at or above a place, or stored at or after the cut, by place."""
        with self._lock:
            rows = self._window(query.namespace, query.customer, query.meter.key, query.from_, query.to)
        late = [s for _, _, s in rows if s.place >= from_place or s.stored_at >= query.stored_at_lt]
        return sorted(late, key=lambda stored: stored.place)[:limit]

    def read_events(self, namespace: str, window: Window, after: StoredUsage | None, limit: int) -> list[StoredUsage]:
        """Events of the window behind `after`, by event time and place."""
        with self._lock:
            rows = self._window(namespace, window.customer, window.meter, window.from_, window.to)
        start = bisect_left(rows, (after.event.time, after.place + 1)) if after else 0
        return [stored for _, _, stored in rows[start : start + limit]]

    def read_conflicts(self, namespace: str, after: int, limit: int) -> list[StoredUsage]:
        """Quarantined events above a place, by place."""
        with self._lock:
            found = [s for key, s in self._quarantine.items() if key[0] == namespace and s.place > after]
        return sorted(found, key=lambda stored: stored.place)[:limit]

    def read_unseen(self, namespace: str) -> list[Unseen]:
        """Meters whose last chunk lies behind what was marked as seen, by key."""
        with self._lock:
            known = [(key, self._seen.get(key, 0), last) for key, last in self._positions.items()]
        found = [Unseen(meter, seen, last) for (whose, meter), seen, last in known if whose == namespace]
        return sorted(each for each in found if last_place(each.position) > each.after)

    def read_arrivals(self, namespace: str, unseen: Unseen, limit: int) -> list[Arrival]:
        """Events of the meter behind a place and not behind the last chunk, by place."""
        with self._lock:
            arrived = self._arrived[namespace, unseen.meter]
            start = bisect_left(arrived, unseen.after + 1, key=lambda each: each.place)
            page = arrived[start : start + limit]
        return [each for each in page if each.place <= last_place(unseen.position)]

    def write_seen(self, namespace: str, meter: str, place: int) -> None:
        """Raise the mark of what was seen to at least that place."""
        with self._lock:
            key = (namespace, meter)
            self._seen[key] = max(place, self._seen.get(key, 0))

    def read_kept(self, after: int, limit: int) -> list[Kept]:
        """Events of all namespaces behind a place, by place."""
        with self._lock:
            found = [
                Kept(key[0], at, stored.stored_at, self._known[key[0], *stored.event.identity], stored.event)
                for key, rows in self._rows.items()
                for _, at, stored in rows
                if at > after
            ]
        return sorted(found, key=lambda each: each.place)[:limit]

    def read_newest(self) -> int:
        """The last place there is."""
        with self._lock:
            return max((at for rows in self._rows.values() for _, at, _ in rows), default=0)

    def read_heads(self) -> list[Head]:
        """Meters with chunks or with events, sorted."""
        with self._lock:
            last = dict(self._positions)
            for (namespace, _, meter), rows in self._rows.items():
                found = max((position_of(at) for _, at, _ in rows), default=0)
                last[namespace, meter] = max(found, last.get((namespace, meter), 0))
        return sorted(Head(*key, position) for key, position in last.items() if position)

    def read_chunks(self, head: Head, after: int, limit: int) -> list[ChunkRecord]:
        """Records of the meter's chunks behind a position and not behind the head, by position."""
        with self._lock:
            records = list(self._chunks[head.namespace, head.meter])
        return [record for record in records if after < record.position <= head.position][:limit]

    def read_links(self, head: Head, after: int, limit: int) -> list[Link]:
        """Links of the meter's events behind a place and not behind the head, by place."""
        to = last_place(head.position)
        with self._lock:
            found = [
                _link(stored, self._known[namespace, *stored.event.identity])
                for (namespace, _, meter), rows in self._rows.items()
                if (namespace, meter) == (head.namespace, head.meter)
                for _, at, stored in rows
                if after < at <= to
            ]
        return sorted(found)[:limit]

    def close(self) -> None:
        """Nothing to give back."""

    def _window(
        self, namespace: str, customer: str, meter: str, from_: datetime | None, to: datetime | None
    ) -> list[_Row]:
        rows = self._rows.get((namespace, customer, meter), [])
        start = bisect_left(rows, (from_,)) if from_ else 0
        end = bisect_left(rows, (to,)) if to else len(rows)
        return rows[start:end]

    def _now(self) -> datetime:
        return self.now_set() or datetime.now(UTC)


def _link(stored: StoredUsage, fingerprint: bytes) -> Link:
    event = stored.event
    return Link(stored.place, microseconds(stored.stored_at), event.source, event.id, fingerprint)


@exact
def _aggregate(query: MeterQuery, counted: list[StoredUsage]) -> Decimal:
    """The quantity of events in order of event time and place."""
    values = [stored.event.value for stored in counted if stored.event.value is not None]
    match query.meter.aggregation:
        case Aggregation.SUM:
            return normal(sum(values, ZERO))
        case Aggregation.COUNT:
            return Decimal(len(counted))
        case Aggregation.MAX:
            return max(values, default=ZERO)
        case Aggregation.MIN:
            return min(values, default=ZERO)
        case Aggregation.LATEST:
            return values[-1] if values else ZERO
        case Aggregation.UNIQUE_COUNT:
            name = query.meter.property or ""
            return Decimal(len({s.event.properties[name] for s in counted if name in s.event.properties}))
