"""Receipts vouch for events: every event by exactly one receipt, every receipt for what is there.

The receipt of a save lists stream, version and digest of everything the save wrote (decision 6). So the last event of
a stream is safe too, which no successor links to; and a receipt that was changed or deleted is found by its events.
What a receipt holds besides, the fingerprint and the answer, is covered by a digest of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple
from uuid import UUID

import msgspec

from aggregates.event import AnyRecorded, Recorded
from ledger.audit.check import BROKEN, Check, Evidence, Seen, broken
from ledger.store.store import LogRecord, Receipt, Written

_Key = tuple[UUID, int]
_Origin = tuple[UUID, str, str | None]
"""Command, namespace and customer of an event."""

_envelope = msgspec.json.Decoder(Recorded[msgspec.Raw])


class _Save(NamedTuple):
    """What of a save is kept until its receipt comes by."""

    first: int
    last: int
    written: tuple[Written, ...]
    origins: frozenset[_Origin]

    @property
    def place(self) -> str:
        return f"positions {self.first} to {self.last}" if self.last > self.first else f"position {self.first}"


class Receipts(Check):
    """Every event is vouched for by exactly one receipt, and every receipt for events that are there.

    Receipts are read side by side with the log: both are in the order of saves, so hardly anything has to wait for
    its counterpart, and no order is relied upon.
    """

    name = "receipts"
    deep = False

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._receipts: Iterator[Receipt] = evidence.store.receipts()
        self._saves: dict[_Key, _Save] = {}
        self._waiting: dict[_Key, Receipt] = {}

    def save(self, rows: Sequence[Seen]) -> None:
        """Match the save with its receipt, if that has come by; else let it wait."""
        receipt = self._next()
        if receipt is not None and _vouches(receipt, rows):
            self.looked_at()
            self._agree(receipt, _origins(rows), rows[0].place)
            return
        # Out of step: something is missing, or the order of receipts is another.
        save = _saved(rows)
        key = (rows[0].row.stream, rows[0].row.version)
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            self._compare(save, waiting)
        else:
            self._saves[key] = save
        if receipt is not None:
            self._take(receipt)

    def end(self) -> None:
        """Match what is left; what then has no counterpart is a finding."""
        while (receipt := self._next()) is not None:
            self._take(receipt)
        by_command = {command: key for key, save in self._saves.items() for command, _, _ in save.origins}
        for receipt in self._waiting.values():
            key = by_command.pop(receipt.command_id, None)
            save = self._saves.pop(key) if key is not None else None
            if save is not None:
                self._compare(save, receipt)
            else:
                self._look_up(receipt)
        for save in self._saves.values():
            # What was saved after the audit began may have its receipt after they were read.
            if save.first <= self.evidence.began_at:
                self.looked_at()
                self.find(save.place, "nobody vouches for a save", expected="a receipt", found=None)

    def _next(self) -> Receipt | None:
        """The next receipt that can be read; None behind the last."""
        while True:
            try:
                receipt = next(self._receipts, None)
            except BROKEN as error:
                message = "receipt cannot be read"
                self.find("a receipt", message, expected="a receipt", found=broken(error))
                continue
            if receipt is not None and not receipt.is_intact:
                message = "receipt is not what was hashed"
                self.find(_named(receipt), message, expected=receipt.digest, found="another digest of its fields")
            return receipt

    def _take(self, receipt: Receipt) -> None:
        key = _key(receipt)
        save = self._saves.pop(key, None)
        if save is not None:
            self._compare(save, receipt)
        elif key in self._waiting:
            self.find(_named(receipt), "two receipts vouch for one save", expected="one receipt", found="two")
        else:
            self._waiting[key] = receipt

    def _compare(self, save: _Save, receipt: Receipt) -> None:
        self.looked_at()
        place = f"{_named(receipt)}, {save.place}"
        for listed, stored in zip_longest(receipt.written, save.written):
            if listed != stored:
                message = "receipt and events differ"
                self.find(place, message, expected=_event(listed), found=_event(stored))
                break
        self._agree(receipt, save.origins, place)

    def _agree(self, receipt: Receipt, origins: frozenset[_Origin], place: str) -> None:
        """The envelopes of a save name the command, the namespace and the customer of its receipt, or no customer."""
        for command, namespace, customer in origins:
            if (command, namespace) != (receipt.command_id, receipt.namespace):
                found = f"{receipt.command_id} in {receipt.namespace}"
                self.find(place, "receipt of another command", expected=f"{command} in {namespace}", found=found)
            if customer not in {None, receipt.customer}:
                self.find(place, "receipt of somebody else", expected=customer, found=receipt.customer)

    def _look_up(self, receipt: Receipt) -> None:
        """A receipt no save belongs to: its events are gone, changed, or another receipt vouches for them too."""
        self.looked_at()
        objected = False
        above = self.evidence.position
        for listed in receipt.written:
            rows = [
                row
                for row in self.evidence.store.read_stream(listed.stream, listed.version - 1)
                if row.version == listed.version
            ]
            above = max([above, *(row.position for row in rows)])
            if not rows or rows[0].digest.hex() != listed.digest:
                found = rows[0].digest.hex() if rows else None
                self.find(_named(receipt), "event is gone or changed", expected=_event(listed), found=found)
                objected = True
        # What was written since the log was read is vouched for and there: that is as it should be.
        if not objected and above == self.evidence.position:
            message = "receipt vouches for what others vouch for" if receipt.written else "receipt of nothing"
            self.find(_named(receipt), message, expected="a save of its own", found=None)


def _vouches(receipt: Receipt, rows: Sequence[Seen]) -> bool:
    """Whether a receipt lists exactly these rows."""
    if len(receipt.written) != len(rows):
        return False
    for listed, seen in zip(receipt.written, rows, strict=True):
        row = seen.row
        if listed.digest != row.digest.hex() or listed.version != row.version or listed.stream != row.stream:
            return False
    return True


def _saved(rows: Sequence[Seen]) -> _Save:
    return _Save(
        first=rows[0].row.position,
        last=rows[-1].row.position,
        written=tuple(Written(seen.row.stream, seen.row.version, seen.row.digest.hex()) for seen in rows),
        origins=_origins([Seen(seen.row, seen.record or _enveloped(seen.row)) for seen in rows]),
    )


def _origins(rows: Sequence[Seen]) -> frozenset[_Origin]:
    """Where the events of a save come from, which is one command; nothing where no event has been looked into."""
    records = [seen.record for seen in rows if seen.record is not None]
    return frozenset((record.command_id, record.namespace, record.customer) for record in records)


def _enveloped(row: LogRecord) -> AnyRecorded | None:
    """The envelope of an event, its body left alone; None where it cannot be read."""
    try:
        return _envelope.decode(row.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _key(receipt: Receipt) -> _Key:
    if not receipt.written:
        return receipt.command_id, 0
    first = receipt.written[0]
    return first.stream, first.version


def _named(receipt: Receipt) -> str:
    return f"receipt of command {receipt.command_id} ({receipt.unit})"


def _event(written: Written | None) -> str | None:
    return f"stream {written.stream}, version {written.version}, digest {written.digest}" if written else None
