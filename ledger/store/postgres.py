# ruff: noqa: D102 - the protocol in store.py says what every call means
"""The store in a PostgreSQL schema: one server function a commit, shared by the threads that save at the same time."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from threading import Event
from typing import Any, cast
from uuid import UUID

import psycopg
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from psycopg.sql import SQL, Identifier

from aggregates.values.errors import LedgerError, Unavailable
from ledger.store import arrays, claims, library
from ledger.store.arrays import Array
from ledger.store.group_commit import GroupCommit, Job, Verdicts, job
from ledger.store.postgres_columns import PARAMETERS, charge_columns, parameters, receipt_of, reservation_columns
from ledger.store.postgres_database import Connection, PostgresDatabase
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
from ledger.store.tail import OUTAGE_SECONDS, PAGE

log = logging.getLogger(__name__)

_APPEND = f"SELECT * FROM ledger_append({', '.join(['%b'] * PARAMETERS)})".encode()
# The statements of the server function look up single keys and insert: planned once, by index, whatever the planner
# believes of tables it has not analysed yet. Planning them at every call would take ten times as long as they do.
_PLANNING = "SELECT " + ", ".join(
    f"set_config('{setting}', '{value}', false)"
    for setting, value in (
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("jit", "off"),
    )
)
_RECORD = (
    "SELECT notification_id, originator_id, originator_version, topic, state, digest, log_time, last FROM ledger_events"
)
_STREAM = f"{_RECORD} WHERE originator_id = %b AND originator_version > %b ORDER BY originator_version"
_STREAMS = (
    "SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state, e.digest, e.log_time, e.last"
    " FROM unnest(%b::uuid[], %b::bigint[]) AS w (stream, version) CROSS JOIN LATERAL"
    " (SELECT * FROM ledger_events WHERE originator_id = w.stream AND originator_version > w.version"
    " ORDER BY originator_version) AS e"
)
_VERSIONS = f"{_RECORD} WHERE originator_id = %b AND originator_version = ANY(%b::bigint[]) ORDER BY originator_version"
_LOG = f"{_RECORD} WHERE notification_id > %b AND notification_id <= %b ORDER BY notification_id LIMIT %b"
_LOG_NAMED = _LOG.replace(" ORDER BY", " AND topic = ANY(%b::text[]) ORDER BY")
_RECEIPT = (
    "SELECT namespace, customer, command_id, unit, fingerprint, answer, written, digest, first, last, log_time"
    " FROM ledger_receipts"
)
_ONE_RECEIPT = f"{_RECEIPT} WHERE namespace = %b AND customer = %b AND command_id = %b"
_CHARGES = "SELECT namespace, customer, charge, charge_type, status, advance_after, ordinal FROM ledger_charge_index"
_DUE_CUSTOMERS = (
    "SELECT DISTINCT customer FROM ledger_charge_index WHERE namespace = %b AND advance_after <= %b AND customer > %b"
    " ORDER BY customer LIMIT %b"
)
_NEXT_DUE = "SELECT min(advance_after) FROM ledger_charge_index WHERE namespace = %b AND advance_after > %b"
_OWNER = "SELECT owner FROM ledger_reservations WHERE namespace = %b AND customer = %b AND kind = %b AND key = %b"
_RESERVATIONS = "SELECT namespace, customer, kind, key, owner FROM ledger_reservations ORDER BY 1, 2, 3, 4"
_SNAPSHOT = "SELECT stream, version, name, data FROM ledger_snapshots"
_PUT_SNAPSHOT = (
    "INSERT INTO ledger_snapshots AS s VALUES (%b, %b, %b, %b) ON CONFLICT (stream) DO UPDATE SET"
    " version = excluded.version, name = excluded.name, data = excluded.data WHERE excluded.version >= s.version"
)
_APPEND_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('ledger_events ' || current_schema(), 0))"
_CLEAR_INLINE = ("DELETE FROM ledger_charge_index", "DELETE FROM ledger_reservations")
_PUT_CHARGES = (
    "INSERT INTO ledger_charge_index (namespace, customer, charge, charge_type, status, advance_after, ordinal)"
    " SELECT c.namespace, c.customer, c.charge, c.charge_type, c.status, c.due, coalesce(nullif(c.ordinal, 0),"
    " ledger_birth(c.charge), (SELECT coalesce(max(notification_id), 0) FROM ledger_events))"
    " FROM unnest(%b, %b, %b, %b, %b, %b, %b) AS c (namespace, customer, charge, charge_type, status, due, ordinal)"
)
_PUT_RESERVATIONS = "INSERT INTO ledger_reservations SELECT * FROM unnest(%b, %b, %b, %b, %b)"

_LAST_POSITION = 2**63 - 1
_ATTEMPTS = 3
_POLL_SECONDS = 0.5
_STOP_SECONDS = 0.1


class PostgresStore(PostgresApplicationRecorder):
    """A `Store` in one schema. `database` is for other tables in it: `connection()`, `transaction()`, `connect()`."""

    probe: Probe | None = None

    def __init__(self, url: str) -> None:
        self.database = PostgresDatabase(url)
        super().__init__(self.database, events_table_name="ledger_events")
        self.channel_name = self.database.channel
        self._writer: Connection | None = None
        self._group = GroupCommit(self._write)
        self._closed = False

    def create_table(self) -> None:
        """The tables are made when the database is first connected to."""

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
        self._probe("append.committed")
        return saved

    def _write(self, jobs: Sequence[Job]) -> Verdicts:
        """Write a group by one call of the server function; a save that lost a race is left out by the server.

        When the connection breaks, nobody knows whether the server has committed. The same call is made again: either
        it writes now, or it finds the streams moved, and then the stored receipt or digest tells by whom.
        """
        values = parameters(jobs)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                verdicts = self._call(values)
            except psycopg.IntegrityError as error:
                raise StaleSave(str(error)) from error
            except psycopg.Error as error:
                if attempt == _ATTEMPTS or not self._lost():
                    raise self.database.error(error) from error
                time.sleep(0.05 * attempt)
            else:
                return (
                    verdicts
                    if attempt == 1
                    else [verdict or self._landed(each) for each, verdict in zip(jobs, verdicts, strict=True)]
                )
        raise AssertionError("the last attempt returns or raises")

    def _call(self, values: Sequence[Array]) -> Verdicts:
        writer = self._writer
        if writer is None or writer.closed:
            if self._closed:
                raise Unavailable(self.database.place, "this store has been closed")
            writer = self._writer = self._writing_connection()
        try:
            row = writer.execute(_APPEND, values, prepare=True, binary=True).fetchone()
        except (psycopg.Error, GeneratorExit):
            raise
        except BaseException:
            writer.close()  # interrupted between call and answer: this connection cannot be trusted
            raise
        assert row is not None, "the server function answers one row"
        return [Saved(*landed) if landed[0] is not None else None for landed in zip(*row, strict=True)]

    def _writing_connection(self) -> Connection:
        connection = self.database.connect()
        connection.execute(_PLANNING.encode())
        arrays.register(connection)
        return connection

    def _lost(self) -> bool:
        """Whether the writing connection is gone, rather than the statement refused."""
        return self._writer is None or self._writer.closed or self._writer.broken

    def _landed(self, each: Job) -> Saved | None:
        """Where a save without a receipt landed when its reply was lost: its first record is there, digest and all."""
        if each.save.receipt is not None or not each.save.records:
            return None
        first = each.save.records[0]
        rows = self.database.query(_STREAM, (first.stream, first.version - 1))
        if not rows or rows[0][2] != first.version or rows[0][5] != first.digest:
            return None
        return Saved(rows[0][0], rows[0][7], rows[0][6])

    def _known(self, receipt: Receipt | None) -> Saved | None:
        """Where this very save landed before, when its receipt says so."""
        if receipt is None:
            return None
        rows = self.database.query(_ONE_RECEIPT, (receipt.namespace, receipt.customer, receipt.command_id))
        if not rows or not claims.same_receipt(receipt_of(rows[0]), receipt):
            return None
        return Saved(*rows[0][8:])

    # ── reading the log ──────────────────────────────────────────────────────────────────────────────────────

    def read_stream(self, stream: UUID, after_version: int = 0) -> list[LogRecord]:
        self._probe("read_stream")
        return list(map(LogRecord._make, self.database.query(_STREAM, (stream, after_version))))

    def read_streams(
        self, streams: Sequence[UUID], after: Mapping[UUID, int] | None = None
    ) -> dict[UUID, list[LogRecord]]:
        self._probe("read_streams")
        known = after or {}
        answer: dict[UUID, list[LogRecord]] = {stream: [] for stream in streams}
        if answer:
            wanted = (list(answer), [known.get(stream, 0) for stream in answer])
            for record in map(LogRecord._make, self.database.query(_STREAMS, wanted)):
                answer[record.stream].append(record)
        return answer

    def read_versions(self, stream: UUID, versions: Sequence[int]) -> list[LogRecord]:
        self._probe("read_versions")
        return list(map(LogRecord._make, self.database.query(_VERSIONS, (stream, list(versions)))))

    def read_log(self, after: int, limit: int, names: Collection[str] | None = None) -> list[LogRecord]:
        self._probe("read_log")
        query, named = (_LOG, ()) if names is None else (_LOG_NAMED, (list(names),))
        rows = self.database.query(query, (after, _LAST_POSITION, *named, max(limit, 1)))
        if rows and rows[-1][0] < rows[-1][7]:
            rows += self.database.query(query, (rows[-1][0], rows[-1][7], *named, _LAST_POSITION))
        return list(map(LogRecord._make, rows))

    def follow(self, after: int, stop: Event | None = None) -> Iterator[list[LogRecord]]:
        """As the protocol says. A NOTIFY wakes the follower early; it reads every half second all the same."""
        listener: Connection | None = None
        try:
            while stop is None or not stop.is_set():
                page: list[LogRecord] = []
                try:
                    if listener is None:
                        # Listening before reading: what is appended in between has rung the bell.
                        listener = self._listen()
                    page = self.read_log(after, PAGE)
                    if not page:
                        _await_notification(listener, stop)
                except (psycopg.Error, Unavailable):
                    _close(listener)
                    listener = None
                    (stop or Event()).wait(OUTAGE_SECONDS)
                if page:
                    after = page[-1].position
                    yield page
        finally:
            _close(listener)

    def _listen(self) -> Connection:
        connection = self.database.connect()
        connection.execute(SQL("LISTEN {}").format(Identifier(self.channel_name)))
        return connection

    def head(self) -> int:
        self._probe("head")
        return cast("int", self.database.query("SELECT coalesce(max(notification_id), 0) FROM ledger_events")[0][0])

    def position_at(self, moment: datetime) -> int:
        self._probe("position_at")
        return cast("int", self.database.query("SELECT ledger_position_at(%b)", (moment,))[0][0])

    # ── receipts and inline tables ───────────────────────────────────────────────────────────────────────────

    def receipt(self, namespace: str, customer: str, command_id: UUID) -> Receipt | None:
        self._probe("receipt")
        rows = self.database.query(_ONE_RECEIPT, (namespace, customer, command_id))
        return receipt_of(rows[0]) if rows else None

    def receipts(self) -> Iterator[Receipt]:
        self._probe("receipts")
        return map(receipt_of, self.database.rows(f"{_RECEIPT} ORDER BY last, namespace, customer, command_id"))

    def charges_of(
        self, namespace: str, customer: str, due: datetime | None = None, *, over: bool = True
    ) -> list[ChargeIndexRow]:
        self._probe("charges_of")
        where = "namespace = %b AND customer = %b"
        values: list[str | datetime] = [namespace, customer]
        if due is not None:
            where = f"{where} AND advance_after <= %b"
            values.append(due)
        if not over:
            where = f"{where} AND {NOT_OVER}"
        rows = self.database.query(f"{_CHARGES} WHERE {where} ORDER BY ordinal, charge", values)
        return list(map(ChargeIndexRow._make, rows))

    def due_customers(self, namespace: str, now: datetime, after: str = "", limit: int = 500) -> list[str]:
        self._probe("due_customers")
        return [customer for (customer,) in self.database.query(_DUE_CUSTOMERS, (namespace, now, after, limit))]

    def next_due(self, namespace: str, after: datetime) -> datetime | None:
        self._probe("next_due")
        moment: datetime | None = self.database.query(_NEXT_DUE, (namespace, after))[0][0]
        return moment

    def charge_index(self) -> Iterator[ChargeIndexRow]:
        self._probe("charge_index")
        return map(ChargeIndexRow._make, self.database.rows(f"{_CHARGES} ORDER BY ordinal, charge"))

    def reservation(self, namespace: str, customer: str, kind: str, key: str) -> UUID | None:
        self._probe("reservation")
        rows = self.database.query(_OWNER, (namespace, customer, kind, key))
        return rows[0][0] if rows else None

    def reservations(self) -> Iterator[Reservation]:
        self._probe("reservations")
        return map(Reservation._make, self.database.rows(_RESERVATIONS))

    def replace_inline(self, charges: Sequence[ChargeIndexRow], reservations: Sequence[Reservation]) -> None:
        self._probe("replace_inline")
        with self.database.transaction() as connection:
            arrays.register(connection)
            connection.execute(_APPEND_LOCK)
            for statement in _CLEAR_INLINE:
                connection.execute(statement)
            connection.execute(_PUT_CHARGES, charge_columns(charges))
            connection.execute(_PUT_RESERVATIONS, reservation_columns(reservations))

    # ── snapshots ────────────────────────────────────────────────────────────────────────────────────────────

    def load_snapshot(self, stream: UUID) -> SnapshotRow | None:
        self._probe("load_snapshot")
        rows = self.database.query(f"{_SNAPSHOT} WHERE stream = %b", (stream,))
        return SnapshotRow._make(rows[0]) if rows else None

    def save_snapshot(self, row: SnapshotRow) -> None:
        try:
            self._probe("save_snapshot")
            with self.database.connection() as connection:
                connection.execute(_PUT_SNAPSHOT, row)
        except (LedgerError, psycopg.Error):
            log.warning("snapshot of stream %s at version %d was not kept", row.stream, row.version, exc_info=True)

    def snapshots(self) -> Iterator[SnapshotRow]:
        self._probe("snapshots")
        return map(SnapshotRow._make, self.database.rows(f"{_SNAPSHOT} ORDER BY stream"))

    def close(self) -> None:
        self._closed = True
        if self._writer is not None:
            self._writer.close()
        self.database.close()

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
        return list(range(saved.first, saved.last + 1))


def _await_notification(listener: Connection, stop: Event | None) -> None:
    """Sleep until something was appended, for the length of a poll at most."""
    until = time.monotonic() + _POLL_SECONDS
    while (stop is None or not stop.is_set()) and time.monotonic() < until:
        for _ in listener.notifies(timeout=_STOP_SECONDS, stop_after=1):
            return


def _close(connection: Connection | None) -> None:
    if connection is not None:
        connection.close()
