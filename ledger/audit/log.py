"""Checks of the log itself: its order, its bytes, its events, the chain of every stream, the seal over all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from aggregates.event import AnyRecorded, aggregate_of
from ledger.audit.check import BROKEN, Check, Evidence, Head, Seen, broken
from ledger.audit.report import Seal
from ledger.store import mapper
from ledger.store.names import stored_names
from ledger.store.store import LogRecord
from ledger.store.upcasts import UPCASTS


class Positions(Check):
    """Positions have no gaps, saves are whole, and the log's time never goes back.

    One deleted row is one finding: counting goes on behind the gap.
    """

    name = "positions"
    deep = False

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._position = 0
        self._log_time = datetime.min.replace(tzinfo=UTC)

    def save(self, rows: Sequence[Seen]) -> None:
        """Compare each row with the one before it, and the save's end with what its rows say."""
        self.looked_at(len(rows))
        log_time = rows[0].row.log_time
        if log_time < self._log_time:
            self.find(rows[0].place, "log time goes back", expected=f"{self._log_time} or later", found=log_time)
        for seen in rows:
            row = seen.row
            if row.position != self._position + 1:
                self.find(seen.place, "position missing", expected=self._position + 1, found=row.position)
            if row.log_time != log_time:
                self.find(seen.place, "log time differs within a save", expected=log_time, found=row.log_time)
            self._position = row.position
        self._log_time = max(log_time, self._log_time)
        last = rows[-1].row
        if last.position != last.last:
            self.find(rows[-1].place, "save is cut short", expected=f"a save up to {last.last}", found=last.position)


class Bytes(Check):
    """The stored bytes of every event have the stored digest (SHA-256)."""

    name = "bytes"
    deep = False

    def save(self, rows: Sequence[Seen]) -> None:
        """Hash the bytes again."""
        self.looked_at(len(rows))
        sha256 = hashlib.sha256
        for seen in rows:
            row = seen.row
            if sha256(row.data).digest() != row.digest:
                digest = sha256(row.data).hexdigest()
                self.find(seen.place, "bytes are not those that were hashed", expected=row.digest, found=digest)


class Events(Check):
    """Every event has a known name, can be read, and belongs where it is stored."""

    name = "events"

    def save(self, rows: Sequence[Seen]) -> None:
        """Compare the envelope with the columns; what cannot be read has no record."""
        self.looked_at(len(rows))
        for seen in rows:
            row, record = seen.row, seen.record
            if row.name not in stored_names() and row.name not in UPCASTS:
                self.find(seen.place, "unknown name", expected="a registered stored name", found=row.name)
            elif record is None:
                self.find(seen.place, "event cannot be read", expected=f"a {row.name}", found=unreadable(row))
            elif record.stream != row.stream:
                self.find(seen.place, "event of another stream", expected=row.stream, found=record.stream)
            elif record.version != row.version:
                self.find(seen.place, "event of another version", expected=row.version, found=record.version)


def unreadable(row: LogRecord) -> str:
    """Why an event cannot be read."""
    try:
        mapper.decode(row.name, row.data)
    except BROKEN as error:
        return broken(error)
    return "an event"


class Chains(Check):
    """Every stream has all its versions, each event linked to the digest of the one before it.

    The envelopes of a stream agree in namespace and customer, and their `recorded_at` never goes back.
    """

    name = "chains"
    deep = False

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._before: dict[UUID, tuple[str | None, datetime]] = {}

    def save(self, rows: Sequence[Seen]) -> None:
        """Link each event to the head of its stream; a gap is found once, and the chain goes on behind it."""
        self.looked_at(len(rows))
        heads = self.evidence.heads
        for seen in rows:
            row, record = seen.row, seen.record
            head = heads.get(row.stream)
            version, digest = (head.version, head.digest.hex()) if head is not None else (0, None)
            if row.version != version + 1:
                self.find(seen.place, "version missing", expected=version + 1, found=row.version)
            elif record is not None and record.prev != digest:
                self.find(seen.place, "chain is broken", expected=digest, found=record.prev)
            if record is not None:
                self._agree(seen, record, head)
            aggregate = aggregate_of(row.name)
            namespace = record.namespace if record is not None else head.namespace if head is not None else ""
            first = head.first if head is not None else row.position
            heads[row.stream] = Head(first, row.version, row.digest, aggregate, namespace)

    def _agree(self, seen: Seen, record: AnyRecorded, head: Head | None) -> None:
        before = self._before.get(seen.row.stream)
        self._before[seen.row.stream] = record.customer, record.recorded_at
        if head is None or before is None:
            return
        customer, recorded_at = before
        if record.recorded_at < recorded_at:
            self.find(seen.place, "recorded_at goes back", expected=recorded_at, found=record.recorded_at)
        if (record.namespace, record.customer) != (head.namespace, customer):
            whose = f"{record.namespace}/{record.customer}"
            self.find(seen.place, "event of somebody else", expected=f"{head.namespace}/{customer}", found=whose)
        if aggregate_of(seen.row.name) != head.aggregate:
            self.find(seen.place, "event of another aggregate", expected=head.aggregate, found=seen.row.name)


class Sealed(Check):
    """The history has the seal that was kept of it.

    The seal of a position is the digest over the digests of all records up to it. Whoever keeps one outside of the
    database will find any change to what it covers, one made consistently in every table included.
    """

    name = "seal"
    deep = False

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._hash = hashlib.sha256()
        self._position = 0
        self._compared = evidence.kept is None

    def save(self, rows: Sequence[Seen]) -> None:
        """Add the digests, and compare where the kept seal ends."""
        update = self._hash.update
        for seen in rows:
            update(seen.row.digest)
        self._position = rows[-1].row.position
        if not self._compared and self.evidence.kept is not None and self._position >= self.evidence.kept.position:
            self._compare(self.evidence.kept)

    def end(self) -> None:
        """A kept seal beyond the log's end has lost what it covered."""
        if not self._compared and self.evidence.kept is not None:
            self._compare(self.evidence.kept)

    @property
    def seal(self) -> Seal:
        """The seal of everything read."""
        return Seal(self._position, self._hash.hexdigest())

    def _compare(self, kept: Seal) -> None:
        self._compared = True
        self.looked_at()
        if self.seal != kept:
            expected, found = f"{kept.digest} at {kept.position}", f"{self.seal.digest} at {self._position}"
            self.find(f"position {kept.position}", "history is not what was sealed", expected=expected, found=found)
