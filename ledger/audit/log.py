"""Checks of the log itself: its order, its bytes, its events, the chain of every stream, the seal over all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

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
        self._position = self._last = 0
        self._log_time = datetime.min.replace(tzinfo=UTC)

    def page(self, rows: Sequence[Seen]) -> None:
        """Compare each row with the one before it: the next position, and either within its save or after its end."""
        self.looked_at(len(rows))
        position, log_time, last = self._position, self._log_time, self._last
        for seen in rows:
            row = seen.row
            if row.position != position + 1:
                self.find(seen.place, "position missing", expected=position + 1, found=row.position)
            if row.last != last:
                if position < last:
                    self.find(seen.place, "save before is cut short", expected=f"up to {last}", found=position)
                if row.log_time < log_time:
                    self.find(seen.place, "log time goes back", expected=f"{log_time} or later", found=row.log_time)
            elif row.log_time != log_time:
                self.find(seen.place, "log time differs within a save", expected=log_time, found=row.log_time)
            position, log_time, last = row.position, max(log_time, row.log_time), row.last
        self._position, self._log_time, self._last = position, log_time, last

    def end(self) -> None:
        """The last save is whole, too."""
        if self._position != self._last:
            place = f"position {self._position}"
            self.find(place, "last save is cut short", expected=f"up to {self._last}", found=self._position)


class Bytes(Check):
    """The stored bytes of every event have the stored digest (SHA-256)."""

    name = "bytes"
    deep = False

    def page(self, rows: Sequence[Seen]) -> None:
        """Hash the bytes again."""
        self.looked_at(len(rows))
        sha256 = hashlib.sha256
        for seen in rows:
            row = seen.row
            digest = sha256(row.data).digest()
            if digest != row.digest:
                self.find(seen.place, "bytes are not those that were hashed", expected=row.digest, found=digest)


class Events(Check):
    """Every event has a known name, can be read, and belongs where it is stored."""

    name = "events"

    def page(self, rows: Sequence[Seen]) -> None:
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
            elif record.prev != (link := _text(mapper.link(row.data))):
                self.find(seen.place, "two links in one event", expected=link, found=record.prev)


def _text(link: bytes | None) -> str | None:
    return link.decode(errors="replace") if link is not None else None


def unreadable(row: LogRecord) -> str:
    """Why an event cannot be read."""
    try:
        mapper.decode(row.name, row.data)
    except BROKEN as error:
        return broken(error)
    return "an event"


class Chains(Check):
    """Every stream has all its versions, each event linked to the digest of the one before it.

    The events of a stream are of one aggregate, namespace and customer, and their `recorded_at` never goes back.
    """

    name = "chains"
    deep = False

    def page(self, rows: Sequence[Seen]) -> None:
        """Link each event to the head of its stream; a gap is found once, and the chain goes on behind it."""
        self.looked_at(len(rows))
        heads = self.evidence.heads
        for seen in rows:
            row = seen.row
            head = heads.get(row.stream)
            if head is None:
                head = heads[row.stream] = Head(row.position, aggregate_of(row.name))
            link = mapper.link(row.data)
            if row.version != head.version + 1:
                self.find(seen.place, "version missing", expected=head.version + 1, found=row.version)
            elif link != head.digest:
                self.find(seen.place, "chain is broken", expected=_text(head.digest), found=_text(link))
            head.version = row.version
            head.digest = row.digest.hex().encode()
            if seen.record is not None:
                self._agree(seen, seen.record, head)

    def _agree(self, seen: Seen, record: AnyRecorded, head: Head) -> None:
        """Compare with the event before; the first one sets what the others have to agree with."""
        if head.recorded_at is None:
            head.namespace, head.customer, head.recorded_at = record.namespace, record.customer, record.recorded_at
            return
        if record.recorded_at < head.recorded_at:
            self.find(seen.place, "recorded_at goes back", expected=head.recorded_at, found=record.recorded_at)
        if (record.namespace, record.customer) != (head.namespace, head.customer):
            whose, found = f"{head.namespace}/{head.customer}", f"{record.namespace}/{record.customer}"
            self.find(seen.place, "event of somebody else", expected=whose, found=found)
        if aggregate_of(seen.row.name) != head.aggregate:
            self.find(seen.place, "event of another aggregate", expected=head.aggregate, found=seen.row.name)
        head.recorded_at = record.recorded_at


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

    def page(self, rows: Sequence[Seen]) -> None:
        """Add the digests, and compare where the kept seal ends."""
        kept = self.evidence.kept
        if kept is not None and not self._compared and rows[-1].row.position >= kept.position:
            covered = [seen for seen in rows if seen.row.position <= kept.position]
            self._add(covered)
            self._compare(kept)
            rows = rows[len(covered) :]
        self._add(rows)

    def _add(self, rows: Sequence[Seen]) -> None:
        self._hash.update(b"".join([seen.row.digest for seen in rows]))
        self._position = rows[-1].row.position if rows else self._position

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
