"""Hands that reach past the ledger into its tables: rows of every store changed and deleted, triggers or not."""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from ledger.store.follow import Follower
from ledger.store.memory import MemoryStore
from ledger.store.store import LogRecord, Receipt, Store
from projections.stores.memory import MemoryTables
from projections.stores.tables import Status
from tests.support.stored import StoredWorld

TRIGGERS = (
    "ledger_events_no_update",
    "ledger_events_no_delete",
    "ledger_receipts_no_update",
    "ledger_receipts_no_delete",
)


class Live(NamedTuple):
    """The live table of a view."""

    name: str
    number: int
    table: str


def live(follower: Follower, view: str) -> Live:
    with follower.tables.reading() as reader:
        generation = reader.generation(view, Status.LIVE)
    assert generation is not None
    return Live(view, generation.number, generation.table)


class SqlHands:
    """Reaches into the tables of a database; ids go in as the database has them."""

    def __init__(self, url: str, follower: Follower | None) -> None:
        self._follower = follower
        self.is_sqlite = url.startswith("sqlite")
        self._connection: Any = (
            sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
            if self.is_sqlite
            else psycopg.connect(url, autocommit=True)
        )
        for statement in self._without_triggers():
            self.run(statement)

    def _without_triggers(self) -> list[str]:
        if self.is_sqlite:
            return [f"DROP TRIGGER {trigger}" for trigger in TRIGGERS]
        return [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in ("ledger_events", "ledger_receipts")]

    def close(self) -> None:
        self._connection.close()

    def _id(self, id: UUID) -> object:
        return id.hex if self.is_sqlite else id

    def run(self, statement: str, *values: object) -> None:
        self._connection.execute(statement if self.is_sqlite else statement.replace("?", "%s").encode(), values)

    def put_event(self, row: LogRecord) -> None:
        """Let the row at this position have these bytes and this digest."""
        self.run(
            "UPDATE ledger_events SET state = ?, digest = ?, topic = ?, originator_version = ?"
            " WHERE notification_id = ?",
            *(row.data, row.digest, row.name, row.version, row.position),
        )

    def delete_event(self, position: int) -> None:
        self.run("DELETE FROM ledger_events WHERE notification_id = ?", position)

    def put_receipt(self, receipt: Receipt) -> None:
        self.run(
            "UPDATE ledger_receipts SET unit = ?, fingerprint = ?, answer = ?, written = ?, digest = ?"
            " WHERE command_id = ?",
            *(receipt.unit, receipt.fingerprint, bytes(receipt.answer).decode()),
            *(msgspec.json.encode(receipt.written).decode(), receipt.digest, self._id(receipt.command_id)),
        )

    def delete_receipt(self, receipt: Receipt) -> None:
        self.run("DELETE FROM ledger_receipts WHERE command_id = ?", self._id(receipt.command_id))

    def change_index(self, charge: UUID, column: str, value: object) -> None:
        self.run(f"UPDATE ledger_charge_index SET {column} = ? WHERE charge = ?", value, self._id(charge))

    def delete_index(self, charge: UUID) -> None:
        self.run("DELETE FROM ledger_charge_index WHERE charge = ?", self._id(charge))

    def change_reservation(self, key: str, owner: UUID) -> None:
        self.run("UPDATE ledger_reservations SET owner = ? WHERE key = ?", self._id(owner), key)

    def delete_reservation(self, key: str) -> None:
        self.run("DELETE FROM ledger_reservations WHERE key = ?", key)

    def change_view(self, view: str, column: str, value: object) -> None:
        """Let that column have this value in every row."""
        assert self._follower is not None
        self.run(f'UPDATE "{live(self._follower, view).table}" SET {column} = ?', value)

    def change_snapshot(self, data: bytes) -> None:
        self.run("UPDATE ledger_snapshots SET data = ?", data)


class MemoryHands:
    """The same in the lists and dictionaries of memory."""

    def __init__(self, store: Store, follower: Follower | None) -> None:
        assert isinstance(store, MemoryStore)
        self._store = store
        self._follower = follower

    def close(self) -> None:
        """Nothing to give back."""

    def put_event(self, row: LogRecord) -> None:
        self._store._log = [row if each.position == row.position else each for each in self._store._log]
        self._streams_anew()

    def delete_event(self, position: int) -> None:
        self._store._log = [each for each in self._store._log if each.position != position]
        self._streams_anew()

    def _streams_anew(self) -> None:
        streams: dict[UUID, list[LogRecord]] = {}
        for row in self._store._log:
            streams.setdefault(row.stream, []).append(row)
        self._store._streams = streams

    def _key(self, receipt: Receipt) -> tuple[str, str, UUID]:
        return receipt.namespace, receipt.customer, receipt.command_id

    def put_receipt(self, receipt: Receipt) -> None:
        _, saved = self._store._receipts[self._key(receipt)]
        self._store._receipts[self._key(receipt)] = receipt, saved

    def delete_receipt(self, receipt: Receipt) -> None:
        del self._store._receipts[self._key(receipt)]

    def change_index(self, charge: UUID, column: str, value: object) -> None:
        changed: dict[str, Any] = {column: value}
        rows = [row._replace(**changed) if row.charge == charge else row for row in self._store.charge_index()]
        self._store.replace_inline(rows, list(self._store.reservations()))

    def delete_index(self, charge: UUID) -> None:
        rows = [row for row in self._store.charge_index() if row.charge != charge]
        self._store.replace_inline(rows, list(self._store.reservations()))

    def change_reservation(self, key: str, owner: UUID) -> None:
        for name in [name for name in self._store._reserved if name[3] == key]:
            self._store._reserved[name] = owner

    def delete_reservation(self, key: str) -> None:
        for name in [name for name in self._store._reserved if name[3] == key]:
            del self._store._reserved[name]

    def change_view(self, view: str, column: str, value: object) -> None:
        changed: dict[str, Any] = {column: value}
        assert self._follower is not None
        where = live(self._follower, view)
        tables = self._follower.tables
        assert isinstance(tables, MemoryTables)
        rows: dict[Any, Any] = tables._contents[where.name, where.number].rows
        for key, row in rows.items():
            rows[key] = row._replace(**changed)

    def change_snapshot(self, data: bytes) -> None:
        kept = self._store._snapshots
        self._store._snapshots = {stream: row._replace(data=data) for stream, row in kept.items()}


Hands = SqlHands | MemoryHands


def hands_on(url: str, world: StoredWorld) -> Hands:
    """Hands on the tables of that world's store and views."""
    return hands_on_store(url, world.store, world.follower)


def hands_on_store(url: str, store: Store, follower: Follower | None = None) -> Hands:
    """Hands on the tables of a store, and of its views where they are given."""
    return MemoryHands(store, follower) if url == "memory:" else SqlHands(url, follower)


def log_of(world: StoredWorld) -> Sequence[LogRecord]:
    """The whole log."""
    return world.store.read_log(0, 1_000_000)
