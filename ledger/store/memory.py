"""The store that keeps nothing: for tests, trials and dry runs. It behaves like the other two, threads included."""

# ruff: noqa: D102 - the protocol in store.py says what every call means

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from threading import Event, RLock
from typing import Any
from uuid import UUID

from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from eventsourcing.popo import POPOApplicationRecorder

from aggregates.lifecycle import OVER
from ledger.store import claims, library
from ledger.store.claims import Hold
from ledger.store.store import (
    ChargeIndexRow,
    LogRecord,
    Probe,
    Receipt,
    Reservation,
    Save,
    Saved,
    SnapshotRow,
    StaleSave,
)
from ledger.store.tail import Hints, tail

_BEGINNING = datetime.min.replace(tzinfo=UTC)
_NONE: list[LogRecord] = []


class MemoryStore(POPOApplicationRecorder):
    """A `Store` of Python lists and dictionaries, gone with the process."""

    probe: Probe | None = None

    def __init__(self) -> None:
        super().__init__()
        self._lock = RLock()
        self._hints = Hints()
        self._log: list[LogRecord] = []
        self._streams: dict[UUID, list[LogRecord]] = {}
        self._receipts: dict[tuple[str, str, UUID], tuple[Receipt, Saved]] = {}
        self._charges: dict[UUID, ChargeIndexRow] = {}
        self._charges_of: dict[tuple[str, str], dict[UUID, ChargeIndexRow]] = {}
        self._reserved: dict[tuple[str, str, str, str], UUID] = {}
        self._snapshots: dict[UUID, SnapshotRow] = {}

    # ── appending ────────────────────────────────────────────────────────────────────────────────────────────

    def append(self, save: Save, now: datetime | None = None) -> Saved:
        self._probe("append")
        wanted = claims.holds(save.reservations)
        with self._lock:
            known = self._known(save.receipt)
            if known is not None:
                return known
            if wanted is None or not self._holds_true(claims.versions(save), wanted):
                raise StaleSave
            saved = self._write(save, now)
            self._write_inline(save, saved, wanted)
        self._hints.ring()
        self._notify_listeners()
        self._probe("append.committed")
        return saved

    def _known(self, receipt: Receipt | None) -> Saved | None:
        """Where this very save landed before; `StaleSave` when its command was carried out by another."""
        if receipt is None:
            return None
        found = self._receipts.get((receipt.namespace, receipt.customer, receipt.command_id))
        if found is None:
            return None
        if claims.same_receipt(found[0], receipt):
            return found[1]
        raise StaleSave

    def _holds_true(self, versions: list[tuple[UUID, int]], wanted: list[Hold]) -> bool:
        for stream, version in versions:
            rows = self._streams.get(stream)
            if (rows[-1].version if rows else 0) != version:
                return False
        for hold in wanted:
            owner = self._reserved.get(hold[:4])
            if hold.wanted is not None and owner is not None and owner != hold.wanted:
                return False
        return True

    def _write(self, save: Save, now: datetime | None) -> Saved:
        log_time = max(now or datetime.now(UTC), self._log[-1].log_time if self._log else _BEGINNING)
        first = len(self._log) + 1
        last = len(self._log) + len(save.records)
        for position, (stream, version, name, data, digest) in enumerate(save.records, first):
            row = LogRecord(position, stream, version, name, data, digest, log_time, last)
            self._log.append(row)
            self._streams.setdefault(stream, []).append(row)
        return Saved(first, last, log_time)

    def _write_inline(self, save: Save, saved: Saved, wanted: list[Hold]) -> None:
        receipt = save.receipt
        if receipt is not None:
            self._receipts[receipt.namespace, receipt.customer, receipt.command_id] = receipt, saved
        for row in claims.charges(save):
            self._put_charge(row._replace(ordinal=self._ordinal(save, saved, row)))
        for hold in wanted:
            self._hold(hold[:4], hold.owner)

    def _put_charge(self, row: ChargeIndexRow) -> None:
        before = self._charges.get(row.charge)
        if before is not None:
            del self._charges_of[before.namespace, before.customer][row.charge]
        self._charges[row.charge] = row
        self._charges_of.setdefault((row.namespace, row.customer), {})[row.charge] = row

    def _ordinal(self, save: Save, saved: Saved, row: ChargeIndexRow) -> int:
        present = self._charges.get(row.charge)
        if present is not None:
            return present.ordinal
        born = claims.birth(save, row)
        return row.ordinal or (saved.first + born if born is not None else self._born(row.charge))

    def _born(self, charge: UUID) -> int:
        rows = self._streams.get(charge)
        return rows[0].position if rows else len(self._log)

    def _hold(self, name: tuple[str, str, str, str], owner: UUID | None) -> None:
        if owner is None:
            self._reserved.pop(name, None)
        else:
            self._reserved[name] = owner

    # ── reading the log ──────────────────────────────────────────────────────────────────────────────────────

    def read_stream(self, stream: UUID, after_version: int = 0) -> list[LogRecord]:
        self._probe("read_stream")
        with self._lock:
            return self._above(stream, after_version)

    def read_versions(self, stream: UUID, versions: Sequence[int]) -> list[LogRecord]:
        self._probe("read_versions")
        with self._lock:
            rows = self._streams.get(stream, _NONE)
            return [rows[version - 1] for version in sorted(set(versions)) if 0 < version <= len(rows)]

    def read_streams(
        self, streams: Sequence[UUID], after: Mapping[UUID, int] | None = None
    ) -> dict[UUID, list[LogRecord]]:
        self._probe("read_streams")
        known = after or {}
        with self._lock:
            return {stream: self._above(stream, known.get(stream, 0)) for stream in streams}

    def _above(self, stream: UUID, version: int) -> list[LogRecord]:
        rows = self._streams.get(stream, _NONE)
        return rows[bisect_right(rows, version, key=lambda row: row.version) :]

    def read_log(self, after: int, limit: int, names: Collection[str] | None = None) -> list[LogRecord]:
        self._probe("read_log")
        after = max(after, 0)
        with self._lock:
            if names is None:
                page = self._log[after : after + max(limit, 1)]
                return page + self._log[page[-1].position : page[-1].last] if page else page
            page = list(islice((row for row in islice(self._log, after, None) if row.name in names), max(limit, 1)))
            rest = self._log[page[-1].position : page[-1].last] if page else []
            return [*page, *(row for row in rest if row.name in names)]

    def follow(self, after: int, stop: Event | None = None) -> Iterator[list[LogRecord]]:
        return tail(self.read_log, self._hints, after, stop)

    def head(self) -> int:
        self._probe("head")
        return len(self._log)

    def position_at(self, moment: datetime) -> int:
        self._probe("position_at")
        with self._lock:
            return bisect_right(self._log, moment, key=lambda row: row.log_time)

    # ── receipts and inline tables ───────────────────────────────────────────────────────────────────────────

    def receipt(self, namespace: str, customer: str, command_id: UUID) -> Receipt | None:
        self._probe("receipt")
        found = self._receipts.get((namespace, customer, command_id))
        return found[0] if found else None

    def receipts(self) -> Iterator[Receipt]:
        self._probe("receipts")
        with self._lock:
            stored = sorted(self._receipts.items(), key=lambda item: (item[1][1].last, item[0]))
        return iter([receipt for _, (receipt, _) in stored])

    def charges_of(
        self, namespace: str, customer: str, due: datetime | None = None, *, over: bool = True
    ) -> list[ChargeIndexRow]:
        self._probe("charges_of")
        with self._lock:
            rows = list(self._charges_of.get((namespace, customer), {}).values())
        chosen = (row for row in rows if (due is None or row.is_due(due)) and (over or row.status not in OVER))
        return sorted(chosen, key=_by_birth)

    def due_customers(self, namespace: str, now: datetime, after: str = "", limit: int = 500) -> list[str]:
        self._probe("due_customers")
        with self._lock:
            due = {
                row.customer
                for row in self._charges.values()
                if row.namespace == namespace and row.customer > after and row.is_due(now)
            }
        return sorted(due)[:limit]

    def next_due(self, namespace: str, after: datetime) -> datetime | None:
        self._probe("next_due")
        with self._lock:
            waiting = [row.advance_after for row in self._charges.values() if row.namespace == namespace]
        return min((moment for moment in waiting if moment is not None and moment > after), default=None)

    def charge_index(self) -> Iterator[ChargeIndexRow]:
        self._probe("charge_index")
        with self._lock:
            return iter(sorted(self._charges.values(), key=_by_birth))

    def reservation(self, namespace: str, customer: str, kind: str, key: str) -> UUID | None:
        self._probe("reservation")
        return self._reserved.get((namespace, customer, kind, key))

    def reservations(self) -> Iterator[Reservation]:
        self._probe("reservations")
        with self._lock:
            return iter([Reservation(*name, owner) for name, owner in sorted(self._reserved.items())])

    def replace_inline(self, charges: Sequence[ChargeIndexRow], reservations: Sequence[Reservation]) -> None:
        self._probe("replace_inline")
        with self._lock:
            self._charges, self._charges_of = {}, {}
            for row in charges:
                self._put_charge(row._replace(ordinal=row.ordinal or self._born(row.charge)))
            self._reserved = {}
            for held in reservations:
                self._hold(held[:4], held.owner)

    # ── snapshots ────────────────────────────────────────────────────────────────────────────────────────────

    def load_snapshot(self, stream: UUID) -> SnapshotRow | None:
        self._probe("load_snapshot")
        return self._snapshots.get(stream)

    def save_snapshot(self, row: SnapshotRow) -> None:
        with self._lock:
            present = self._snapshots.get(row.stream)
            if present is None or present.version <= row.version:
                self._snapshots[row.stream] = row

    def snapshots(self) -> Iterator[SnapshotRow]:
        self._probe("snapshots")
        with self._lock:
            return iter([self._snapshots[stream] for stream in sorted(self._snapshots)])

    def close(self) -> None:
        """Nothing to give back."""

    def _probe(self, call: str) -> None:
        if self.probe is not None:
            self.probe(f"store.{call}")

    # ── the library's face ───────────────────────────────────────────────────────────────────────────────────

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        records = library.new_records(stored_events)
        names = [(record.stream, record.version) for record in records]
        with self._lock:
            taken = {(row.stream, row.version) for new in records for row in self._streams.get(new.stream, _NONE)}
            if len(set(names)) < len(names) or not taken.isdisjoint(names):
                raise IntegrityError("an event of that originator and version is recorded")
            saved = self._write(Save(records), None)
        self._hints.ring()
        self._notify_listeners()
        return list(range(saved.first, saved.last + 1))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        assert isinstance(originator_id, UUID)
        with self._lock:
            rows = [
                row
                for row in self._streams.get(originator_id, _NONE)
                if (gt is None or row.version > gt) and (lte is None or row.version <= lte)
            ]
        return [library.stored_event(row) for row in (rows[::-1] if desc else rows)[:limit]]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = 0 if start is None else max(start - inclusive_of_start, 0)
        with self._lock:
            rows = [row for row in self._log[after:stop] if not topics or row.name in topics]
        return [library.notification(row) for row in rows[:limit]]

    def max_notification_id(self) -> int | None:
        return len(self._log) or None


def _by_birth(row: ChargeIndexRow) -> tuple[int, UUID]:
    return row.ordinal, row.charge
