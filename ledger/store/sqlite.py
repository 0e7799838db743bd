# ruff: noqa: D102 - the protocol in store.py says what every call means
"""The store in an SQLite file: the embedded default. Durable, several threads and several processes on one file."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder

from aggregates.values.errors import LedgerError
from ledger.store import claims, library
from ledger.store.group_commit import GroupCommit, Job, Verdicts, job
from ledger.store.sqlite_file import SQLiteFile
from ledger.store.sqlite_rows import charge_of, log_records, micros, moment_of, receipt_key, receipt_of, receipt_row
from ledger.store.store import (
    NOT_OVER,
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

log = logging.getLogger(__name__)

_HEAD = "SELECT notification_id, log_time FROM ledger_events ORDER BY notification_id DESC LIMIT 1"
_VERSION = (
    "SELECT originator_version FROM ledger_events WHERE originator_id = ? ORDER BY originator_version DESC LIMIT 1"
)
_INSERT_EVENT = "INSERT INTO ledger_events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_STREAM = (
    "SELECT notification_id, originator_version, topic, state, digest, log_time, last FROM ledger_events"
    " WHERE originator_id = ? AND originator_version > ? ORDER BY originator_version"
)
_VERSIONS = (
    "SELECT notification_id, originator_version, topic, state, digest, log_time, last FROM ledger_events"
    " WHERE originator_id = ? AND originator_version IN ({}) ORDER BY originator_version"
)
_LOG = (
    "SELECT notification_id, originator_id, originator_version, topic, state, digest, log_time, last"
    " FROM ledger_events WHERE notification_id > ? AND notification_id <= ? ORDER BY notification_id LIMIT ?"
)
_LOG_TIME = "SELECT notification_id, log_time FROM ledger_events WHERE notification_id <= ? ORDER BY 1 DESC LIMIT 1"
_BORN = "SELECT notification_id FROM ledger_events WHERE originator_id = ? ORDER BY originator_version LIMIT 1"
_RECEIPT = (
    "SELECT namespace, customer, command_id, unit, fingerprint, answer, written, digest, first, last, log_time"
    " FROM ledger_receipts"
)
_ONE_RECEIPT = f"{_RECEIPT} WHERE namespace = ? AND customer = ? AND command_id = ?"
_INSERT_RECEIPT = "INSERT INTO ledger_receipts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_CHARGES = "SELECT namespace, customer, charge, charge_type, status, advance_after, ordinal FROM ledger_charge_index"
_PUT_CHARGE = (
    "INSERT INTO ledger_charge_index (namespace, customer, charge, charge_type, status, advance_after, ordinal)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (charge) DO UPDATE SET namespace = excluded.namespace,"
    " customer = excluded.customer, charge_type = excluded.charge_type, status = excluded.status,"
    " advance_after = excluded.advance_after"
)
_OWNER = "SELECT owner FROM ledger_reservations WHERE namespace = ? AND customer = ? AND kind = ? AND key = ?"
_RELEASE = "DELETE FROM ledger_reservations WHERE namespace = ? AND customer = ? AND kind = ? AND key = ?"
_RESERVE = "INSERT OR REPLACE INTO ledger_reservations VALUES (?, ?, ?, ?, ?)"
_PUT_SNAPSHOT = (
    "INSERT INTO ledger_snapshots VALUES (?, ?, ?, ?) ON CONFLICT (stream) DO UPDATE SET"
    " version = excluded.version, name = excluded.name, data = excluded.data WHERE excluded.version >= version"
)
_DUE_CUSTOMERS = (
    # Whoever polls pays for what is due, not for all that waits.
    "SELECT DISTINCT customer FROM ledger_charge_index INDEXED BY ledger_charge_index_due"
    " WHERE namespace = ? AND advance_after <= ? AND customer > ?"
    " ORDER BY customer LIMIT ?"
)
_NEXT_DUE = "SELECT min(advance_after) FROM ledger_charge_index WHERE namespace = ? AND advance_after > ?"


class SQLiteStore(SQLiteApplicationRecorder):
    """A `Store` in one file. `file` is for other tables in it: `reading()`, `writing()`, `connect()`, `path`."""

    probe: Probe | None = None

    def __init__(self, path: str | Path) -> None:
        self.file = SQLiteFile(path)
        super().__init__(self.file, events_table_name="ledger_events")
        self._hints = Hints()
        self._group = GroupCommit(self._write)

    def create_table(self) -> None:
        self.file.prepare()

    # ── appending ────────────────────────────────────────────────────────────────────────────────────────────

    def append(self, save: Save, now: datetime | None = None) -> Saved:
        self._probe("append")
        try:
            saved = self._group.submit(job(save, now or datetime.now(UTC)))
        except StaleSave:
            known = self._known(save.receipt)
            if known is None:
                raise
            return known
        self._hints.ring()
        self._probe("append.committed")
        return saved

    def _write(self, jobs: Sequence[Job]) -> Verdicts:
        """Write a group in one transaction; a save that lost a race is left out before anything of it is written."""
        verdicts: list[Saved | None] = []
        try:
            with self.file.writing() as connection:
                position, log_time = connection.execute(_HEAD).fetchone() or (0, None)
                for each in jobs:
                    if not _holds_true(connection, each):
                        verdicts.append(None)
                        continue
                    moment = micros(each.now)
                    log_time = moment if log_time is None else max(moment, log_time)
                    verdicts.append(_insert(connection, each, position, log_time))
                    position += len(each.save.records)
        except sqlite3.IntegrityError as error:
            raise StaleSave(str(error)) from error
        return verdicts

    def _known(self, receipt: Receipt | None) -> Saved | None:
        """Where this very save landed before, when its receipt says so."""
        if receipt is None:
            return None
        with self.file.reading() as connection:
            row = connection.execute(_ONE_RECEIPT, receipt_key(receipt)).fetchone()
        if row is None or not claims.same_receipt(receipt_of(row), receipt):
            return None
        return Saved(row[8], row[9], moment_of(row[10]))

    # ── reading the log ──────────────────────────────────────────────────────────────────────────────────────

    def read_stream(self, stream: UUID, after_version: int = 0) -> list[LogRecord]:
        self._probe("read_stream")
        with self.file.reading() as connection:
            return _read_stream(connection, stream, after_version)

    def read_streams(
        self, streams: Sequence[UUID], after: Mapping[UUID, int] | None = None
    ) -> dict[UUID, list[LogRecord]]:
        self._probe("read_streams")
        known = after or {}
        with self.file.reading() as connection:
            connection.execute("BEGIN")  # one snapshot for all of them
            return {stream: _read_stream(connection, stream, known.get(stream, 0)) for stream in streams}

    def read_versions(self, stream: UUID, versions: Sequence[int]) -> list[LogRecord]:
        self._probe("read_versions")
        wanted = sorted(set(versions))
        with self.file.reading() as connection:
            connection.execute("BEGIN")  # one snapshot for all of them
            return [
                record
                for first in range(0, len(wanted), _LARGEST_BATCH)
                for record in _read_versions(connection, stream, wanted[first : first + _LARGEST_BATCH])
            ]

    def read_log(self, after: int, limit: int, names: Collection[str] | None = None) -> list[LogRecord]:
        self._probe("read_log")
        query = _LOG if names is None else _named(len(names))
        named = names or ()
        with self.file.reading() as connection:
            page = log_records(connection.execute(query, (after, _LAST_POSITION, *named, max(limit, 1))))
            if page and page[-1].position < page[-1].last:
                page += log_records(connection.execute(query, (page[-1].position, page[-1].last, *named, -1)))
        return page

    def follow(self, after: int, stop: Event | None = None) -> Iterator[list[LogRecord]]:
        return tail(self.read_log, self._hints, after, stop)

    def head(self) -> int:
        self._probe("head")
        with self.file.reading() as connection:
            row = connection.execute(_HEAD).fetchone()
        return row[0] if row else 0

    def position_at(self, moment: datetime) -> int:
        self._probe("position_at")
        wanted = micros(moment)
        with self.file.reading() as connection:
            row = connection.execute(_HEAD).fetchone()
            # Log times never go back, so the answer is found by halving; no index has to be kept for it.
            known, beyond = 0, (row[0] if row else 0) + 1
            while beyond - known > 1:
                middle = (known + beyond) // 2
                position, log_time = connection.execute(_LOG_TIME, (middle,)).fetchone() or (0, wanted)
                if log_time <= wanted:
                    known = middle
                else:
                    beyond = position
        return known

    # ── receipts and inline tables ───────────────────────────────────────────────────────────────────────────

    def receipt(self, namespace: str, customer: str, command_id: UUID) -> Receipt | None:
        self._probe("receipt")
        with self.file.reading() as connection:
            row = connection.execute(_ONE_RECEIPT, (namespace, customer, command_id.hex)).fetchone()
        return receipt_of(row) if row else None

    def receipts(self) -> Iterator[Receipt]:
        self._probe("receipts")
        return map(receipt_of, self._all(f"{_RECEIPT} ORDER BY last, namespace, customer, command_id"))

    def charges_of(
        self, namespace: str, customer: str, due: datetime | None = None, *, over: bool = True
    ) -> list[ChargeIndexRow]:
        self._probe("charges_of")
        where = "namespace = ? AND customer = ?"
        values: list[str | int] = [namespace, customer]
        if due is not None:
            where = f"{where} AND advance_after <= ?"
            values.append(micros(due))
        if not over:
            where = f"{where} AND {NOT_OVER}"
        with self.file.reading() as connection:
            rows = connection.execute(f"{_CHARGES} WHERE {where} ORDER BY ordinal, charge", values)
            return [charge_of(row) for row in rows]

    def due_customers(self, namespace: str, now: datetime, after: str = "", limit: int = 500) -> list[str]:
        self._probe("due_customers")
        with self.file.reading() as connection:
            rows = connection.execute(_DUE_CUSTOMERS, (namespace, micros(now), after, limit)).fetchall()
        return [customer for (customer,) in rows]

    def next_due(self, namespace: str, after: datetime) -> datetime | None:
        self._probe("next_due")
        with self.file.reading() as connection:
            (moment,) = connection.execute(_NEXT_DUE, (namespace, micros(after))).fetchone()
        return None if moment is None else moment_of(moment)

    def charge_index(self) -> Iterator[ChargeIndexRow]:
        self._probe("charge_index")
        return map(charge_of, self._all(f"{_CHARGES} ORDER BY ordinal, charge"))

    def reservation(self, namespace: str, customer: str, kind: str, key: str) -> UUID | None:
        self._probe("reservation")
        with self.file.reading() as connection:
            row = connection.execute(_OWNER, (namespace, customer, kind, key)).fetchone()
        return UUID(row[0]) if row else None

    def reservations(self) -> Iterator[Reservation]:
        self._probe("reservations")
        rows = self._all("SELECT namespace, customer, kind, key, owner FROM ledger_reservations ORDER BY 1, 2, 3, 4")
        return (
            Reservation(namespace, customer, kind, key, UUID(owner)) for namespace, customer, kind, key, owner in rows
        )

    def replace_inline(self, charges: Sequence[ChargeIndexRow], reservations: Sequence[Reservation]) -> None:
        self._probe("replace_inline")
        with self.file.writing() as connection:
            head = (connection.execute(_HEAD).fetchone() or (0,))[0]
            connection.execute("DELETE FROM ledger_charge_index")
            connection.execute("DELETE FROM ledger_reservations")
            for row in charges:
                _put_charge(connection, row, row.ordinal or _born(connection, row.charge, head))
            for hold in reservations:
                _hold(connection, hold[:4], hold.owner)

    # ── snapshots ────────────────────────────────────────────────────────────────────────────────────────────

    def load_snapshot(self, stream: UUID) -> SnapshotRow | None:
        self._probe("load_snapshot")
        with self.file.reading() as connection:
            query = "SELECT stream, version, name, data FROM ledger_snapshots WHERE stream = ?"
            row = connection.execute(query, (stream.hex,)).fetchone()
        return SnapshotRow(UUID(row[0]), *row[1:]) if row else None

    def save_snapshot(self, row: SnapshotRow) -> None:
        try:
            self._probe("save_snapshot")
            with self.file.writing() as connection:
                connection.execute(_PUT_SNAPSHOT, (row.stream.hex, row.version, row.name, row.data))
        except (LedgerError, sqlite3.Error):
            log.warning("snapshot of stream %s at version %d was not kept", row.stream, row.version, exc_info=True)

    def snapshots(self) -> Iterator[SnapshotRow]:
        self._probe("snapshots")
        rows = self._all("SELECT stream, version, name, data FROM ledger_snapshots ORDER BY stream")
        return (SnapshotRow(UUID(row[0]), *row[1:]) for row in rows)

    def close(self) -> None:
        self.file.close()

    def _all(self, query: str) -> Iterator[Any]:
        """Rows as they come, on a connection of their own: the reader may take its time."""
        with self.file.translated(), closing(self.file.connect()) as connection:
            yield from connection.execute(query)

    def _probe(self, call: str) -> None:
        if self.probe is not None:
            self.probe(f"store.{call}")

    # ── the library's face ───────────────────────────────────────────────────────────────────────────────────

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        save = Save(library.new_records(stored_events))
        try:
            saved = self._group.submit(job(save, datetime.now(UTC), checked=False))
        except StaleSave as error:
            raise IntegrityError(str(error)) from error
        self._hints.ring()
        return list(range(saved.first, saved.last + 1))

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = 0 if start is None else start - inclusive_of_start
        query, values = _LOG, [after, _LAST_POSITION if stop is None else stop, *topics, limit]
        if topics:
            query = _named(len(topics))
        with self.file.reading() as connection:
            return [library.notification(row) for row in log_records(connection.execute(query, values))]


def _named(names: int) -> str:
    """The log, only records of so many stored names."""
    return _LOG.replace(" ORDER BY", f" AND topic IN ({', '.join('?' * names)}) ORDER BY")


_LAST_POSITION = 2**63 - 1
_LARGEST_BATCH = 500


# ── within the transaction ───────────────────────────────────────────────────────────────────────────────────


def _holds_true(connection: sqlite3.Connection, each: Job) -> bool:
    """Whether nobody came first: streams stand where they should, keys are free, the receipt is new."""
    for stream, version in each.versions:
        row = connection.execute(_VERSION, (stream.hex,)).fetchone()
        if (row[0] if row else 0) != version:
            return False
    for hold in each.holds:
        if hold.wanted is not None:
            row = connection.execute(_OWNER, hold[:4]).fetchone()
            if row is not None and row[0] != hold.wanted.hex:
                return False
    receipt = each.save.receipt
    return receipt is None or connection.execute(_ONE_RECEIPT, receipt_key(receipt)).fetchone() is None


def _insert(connection: sqlite3.Connection, each: Job, position: int, log_time: int) -> Saved:
    """Write a save behind a position, its inline rows included."""
    save = each.save
    last = position + len(save.records)
    rows = [
        (place, stream.hex, version, name, data, digest, log_time, last)
        for place, (stream, version, name, data, digest) in enumerate(save.records, position + 1)
    ]
    connection.executemany(_INSERT_EVENT, rows)
    saved = Saved(position + 1, last, moment_of(log_time))
    if save.receipt is not None:
        connection.execute(_INSERT_RECEIPT, receipt_row(save.receipt, saved, log_time))
    for row in claims.charges(save):
        born = claims.birth(save, row)
        ordinal = row.ordinal or (saved.first + born if born is not None else _born(connection, row.charge, last))
        _put_charge(connection, row, ordinal)
    for hold in each.holds:
        _hold(connection, hold[:4], hold.owner)
    return saved


def _born(connection: sqlite3.Connection, charge: UUID, otherwise: int) -> int:
    row = connection.execute(_BORN, (charge.hex,)).fetchone()
    return row[0] if row else otherwise


def _put_charge(connection: sqlite3.Connection, row: ChargeIndexRow, ordinal: int) -> None:
    advance_after = None if row.advance_after is None else micros(row.advance_after)
    values = (row.namespace, row.customer, row.charge.hex, row.charge_type, row.status, advance_after, ordinal)
    connection.execute(_PUT_CHARGE, values)


def _hold(connection: sqlite3.Connection, name: tuple[str, str, str, str], owner: UUID | None) -> None:
    if owner is None:
        connection.execute(_RELEASE, name)
    else:
        connection.execute(_RESERVE, (*name, owner.hex))


def _read_stream(connection: sqlite3.Connection, stream: UUID, after: int) -> list[LogRecord]:
    return _records_of(stream, connection.execute(_STREAM, (stream.hex, after)).fetchall())


def _read_versions(connection: sqlite3.Connection, stream: UUID, versions: Sequence[int]) -> list[LogRecord]:
    query = _VERSIONS.format(", ".join("?" * len(versions)))
    return _records_of(stream, connection.execute(query, (stream.hex, *versions)).fetchall())


def _records_of(stream: UUID, rows: Sequence[tuple[Any, ...]]) -> list[LogRecord]:
    moments = {log_time: moment_of(log_time) for log_time in {row[5] for row in rows}}
    return [
        LogRecord(position, stream, version, name, data, digest, moments[log_time], last)
        for position, version, name, data, digest, log_time, last in rows
    ]
