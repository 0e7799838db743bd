"""States of streams: load them (cache, snapshot, fold), save what a draft decided, several streams at once.

A load asks the store for what a stream has gained since the cached version. A decision that will be saved may also
take cached states as they are: the save checks the version of every stream it read, so a state that was out of date
costs a second attempt and never a wrong event. Only committed events move the cache; a lost race evicts what it read.
Snapshots are of the state in hand, written after the commit, and only an optimisation: one that cannot be read is
folded anew.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from aggregates.event import AnyRecorded, Stream
from aggregates.outcome import Draft, Evolve
from ledger.store import mapper
from ledger.store.store import (
    ChargeIndexRow,
    LogRecord,
    NewRecord,
    Receipt,
    Reservation,
    Save,
    Saved,
    SnapshotRow,
    Store,
    Written,
)

log = logging.getLogger(__name__)

Fold = Callable[[Any, Iterable[AnyRecorded]], Any]

SNAPSHOT_INTERVAL = 250
CACHED_STREAMS = 20_000


class Aggregate(NamedTuple):
    """How one aggregate is folded and, where `snapshot` is set, kept as a snapshot of that name and type."""

    evolve: Evolve
    fold: Fold
    snapshot: str | None = None
    state_type: type[Any] | None = None


class Loaded(NamedTuple):
    """A stream as it stands in the store."""

    version: int
    state: Any
    digest: bytes | None
    recorded_at: datetime | None
    snapshot_version: int


_UNBORN = Loaded(0, None, None, None, 0)


class Sealed(NamedTuple):
    """A draft made ready to be saved: final records with their bytes, and what the cache will hold afterwards."""

    records: Sequence[AnyRecorded]
    new: Sequence[NewRecord]
    written: tuple[Written, ...]


class Repository:
    """Loads and saves streams of all aggregates over one store. Safe to share between threads."""

    def __init__(self, store: Store, aggregates: Mapping[str, Aggregate], cached: int = CACHED_STREAMS) -> None:
        self.store = store
        self.aggregates = aggregates
        self.evolvers: dict[str, Evolve] = {name: aggregate.evolve for name, aggregate in aggregates.items()}
        self._cache: OrderedDict[UUID, Loaded] = OrderedDict()
        self._cached = cached
        self._lock = threading.Lock()

    def load(self, stream: Stream) -> Loaded:
        """The stream as it stands; version 0 and state None when it has no event."""
        return self.load_all([stream])[0]

    def load_all(self, streams: Sequence[Stream]) -> list[Loaded]:
        """Several streams as they stand in one snapshot of the store, in the order given."""
        known = [self._recall(stream.id) or self._from_snapshot(stream) for stream in streams]
        after = {stream.id: entry.version for stream, entry in zip(streams, known, strict=True)}
        newer = self.store.read_streams(list(after), after)
        return [self._catch_up(stream, entry, newer[stream.id]) for stream, entry in zip(streams, known, strict=True)]

    def cached(self, stream: Stream) -> Loaded | None:
        """The stream as this process knows it, without asking the store; None when it does not know it."""
        return self._recall(stream.id)

    def _catch_up(self, stream: Stream, known: Loaded, newer: Sequence[LogRecord]) -> Loaded:
        if not newer:
            return known
        records = [mapper.decode(row.name, row.data) for row in newer]
        state = self.aggregates[stream.aggregate].fold(known.state, records)
        last = newer[-1]
        loaded = Loaded(last.version, state, last.digest, records[-1].recorded_at, known.snapshot_version)
        self._remember(stream.id, loaded)
        return loaded

    def _from_snapshot(self, stream: Stream) -> Loaded:
        aggregate = self.aggregates[stream.aggregate]
        if aggregate.snapshot is None or aggregate.state_type is None:
            return _UNBORN
        row = self.store.load_snapshot(stream.id)
        if row is None or row.name != aggregate.snapshot:
            return _UNBORN
        try:
            state = mapper.read_value(row.data, aggregate.state_type)
        except msgspec.MsgspecError:
            log.warning("snapshot of %s at version %d cannot be read; folding its events", stream.id, row.version)
            return _UNBORN
        # The event it was taken at vouches for it: its digest is what the next event links to.
        anchor = self.store.read_stream(stream.id, row.version - 1)
        if not anchor or anchor[0].version != row.version:
            return _UNBORN
        recorded = mapper.decode(anchor[0].name, anchor[0].data)
        loaded = Loaded(row.version, state, anchor[0].digest, recorded.recorded_at, row.version)
        self._remember(stream.id, loaded)
        return loaded

    def save(
        self,
        draft: Draft,
        *,
        now: datetime,
        receipt: Callable[[tuple[Written, ...]], Receipt] | None,
        charge_index: Sequence[ChargeIndexRow] = (),
        reservations: Sequence[Reservation] = (),
        loaded: Mapping[UUID, Loaded],
    ) -> Saved:
        """Save everything the draft decided, or nothing. Raises `StaleSave` when somebody else was first.

        `loaded` is every stream the decision read: written ones are checked by version, the others are `expected`.
        """
        sealed = self.seal(draft, loaded)
        touched = {held.stream.id: held for held in draft.touched()}
        expected = [(stream_id, held.version) for stream_id, held in loaded.items() if stream_id not in touched]
        save = Save(
            records=sealed.new,
            receipt=receipt(sealed.written) if receipt else None,
            charge_index=charge_index,
            reservations=reservations,
            expected=expected,
        )
        try:
            saved = self.store.append(save, now)
        except BaseException:
            # A race was lost, or whether it was written is unknown: the next load asks the store.
            self.forget(loaded)
            raise
        newest = {
            record.stream: (record.recorded_at, new.digest)
            for record, new in zip(sealed.records, sealed.new, strict=True)
        }
        for stream_id, held in touched.items():
            recorded_at, digest = newest[stream_id]
            before = loaded.get(stream_id, _UNBORN)
            entry = Loaded(held.version, held.state, digest, recorded_at, before.snapshot_version)
            self._remember(stream_id, self._snapshot(held.stream, entry))
        return saved

    @staticmethod
    def seal(draft: Draft, loaded: Mapping[UUID, Loaded]) -> Sealed:
        """Settle `recorded_at` and `prev` of a draft's records and write their bytes (decisions 6, 7)."""
        known = [entry.recorded_at for entry in loaded.values() if entry.recorded_at is not None]
        recorded_at = max([draft.origin.at, *known])
        heads: dict[UUID, bytes | None] = {stream_id: entry.digest for stream_id, entry in loaded.items()}
        records: list[AnyRecorded] = []
        new: list[NewRecord] = []
        for provisional in draft.records:
            head = heads.get(provisional.stream)
            record = msgspec.structs.replace(
                provisional, recorded_at=recorded_at, prev=head.hex() if head is not None else None
            )
            data = mapper.encode(record)
            digest = hashlib.sha256(data).digest()
            heads[record.stream] = digest
            records.append(record)
            new.append(NewRecord(record.stream, record.version, record.body.NAME, data, digest))
        written = tuple(Written(row.stream, row.version, row.digest.hex()) for row in new)
        return Sealed(records, new, written)

    def forget(self, stream_ids: Iterable[UUID]) -> None:
        """Drop cached states; the next load folds what the store has."""
        with self._lock:
            for stream_id in stream_ids:
                self._cache.pop(stream_id, None)

    def _snapshot(self, stream: Stream, entry: Loaded) -> Loaded:
        aggregate = self.aggregates[stream.aggregate]
        if aggregate.snapshot is None or entry.version - entry.snapshot_version < SNAPSHOT_INTERVAL:
            return entry
        row = SnapshotRow(stream.id, entry.version, aggregate.snapshot, mapper.encode_value(entry.state))
        self.store.save_snapshot(row)
        return entry._replace(snapshot_version=entry.version)

    def _recall(self, stream_id: UUID) -> Loaded | None:
        with self._lock:
            entry = self._cache.get(stream_id)
            if entry is not None:
                self._cache.move_to_end(stream_id)
            return entry

    def _remember(self, stream_id: UUID, entry: Loaded) -> None:
        with self._lock:
            present = self._cache.get(stream_id)
            # A slower thread must not put an older state over a newer one.
            if present is None or present.version <= entry.version:
                self._cache[stream_id] = entry
                self._cache.move_to_end(stream_id)
                while len(self._cache) > self._cached:
                    self._cache.popitem(last=False)
