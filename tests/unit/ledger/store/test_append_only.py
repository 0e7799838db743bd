"""What is written stays written: the databases themselves refuse to change it. And people can read it."""

import json
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql

from aggregates.values.errors import HistoryBroken, Unavailable, ValidationFailed
from ledger.store import sqlite
from ledger.store.open import open_sqlite
from ledger.store.postgres import PostgresStore
from ledger.store.store import NOT_OVER, Reservation, Save, SnapshotRow, StaleSave
from tests.unit.ledger.store.stores import NOON, charge_row, opened, receipt_of, records

# ── SQLite ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    written = records(uuid4(), 1, 2)
    with opened(f"sqlite:///{path}") as store:
        store.append(Save(written, receipt_of(written)), NOON)
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_events SET state = 'x' WHERE notification_id = 1",
        "DELETE FROM ledger_events WHERE notification_id = 2",
        "DELETE FROM ledger_events",
        "UPDATE ledger_receipts SET answer = '{}'",
        "DELETE FROM ledger_receipts",
    ],
)
def test_a_file_refuses_to_change_its_history(file: Path, statement: str) -> None:
    connection = sqlite3.connect(file)
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        connection.execute(statement)
    connection.close()


def test_a_file_can_be_read_by_people(file: Path) -> None:
    connection = sqlite3.connect(file)
    rows = connection.execute("SELECT position, name, log_time, event FROM ledger_events_readable").fetchall()
    connection.close()

    assert [row[:3] for row in rows] == [
        (1, "thing.happened.v1", "2025-01-01T12:00:00.000Z"),
        (2, "thing.happened.v1", "2025-01-01T12:00:00.000Z"),
    ]
    assert json.loads(rows[1][3])["version"] == 2


def test_a_file_waits_for_the_disk_at_every_commit(file: Path) -> None:
    store = open_sqlite(str(file))
    with store.file.writing() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


def test_others_keep_tables_of_their_own_in_the_file(file: Path) -> None:
    store = open_sqlite(str(file))
    with store.file.writing() as connection:
        connection.execute("CREATE TABLE mine (x UNIQUE)")
        connection.execute("INSERT INTO mine VALUES (1)")
    with pytest.raises(sqlite3.IntegrityError), store.file.writing() as connection:
        connection.executemany("INSERT INTO mine VALUES (?)", [(2,), (1,)])
    with store.file.reading() as connection:
        assert connection.execute("SELECT x FROM mine").fetchall() == [(1,)]
    store.close()
    open_sqlite(str(file)).close()


def test_what_is_due_is_found_without_walking_over_closed_charges(file: Path) -> None:
    """The cost of advancing must not grow with the age of the customer: each query goes by its own index."""
    connection = sqlite3.connect(file)

    def plan(query: str, *values: object) -> str:
        return " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values))

    charges = f"{sqlite._CHARGES} WHERE namespace = ? AND customer = ? AND advance_after <= ? ORDER BY ordinal, charge"
    assert "USING INDEX ledger_charge_index_waiting" in plan(charges, "default", "acme", 5)
    running = f"{sqlite._CHARGES} WHERE namespace = ? AND customer = ? AND {NOT_OVER} ORDER BY ordinal, charge"
    assert "USING INDEX ledger_charge_index_running" in plan(running, "default", "acme")
    assert "USING COVERING INDEX ledger_charge_index_due" in plan(sqlite._DUE_CUSTOMERS, "default", 5, "acme", 9)
    connection.close()


def test_a_file_whose_lock_is_held_is_unavailable(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.store.sqlite_file.BUSY_SECONDS", 0.05)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with opened(f"sqlite:///{file}") as store:
        with pytest.raises(Unavailable) as busy:
            store.append(Save(records(uuid4(), 1)), NOON)
        other.execute("ROLLBACK")

        assert isinstance(busy.value.__cause__, sqlite3.OperationalError)
        assert store.append(Save(records(uuid4(), 1)), NOON).first == 3
    other.close()


def test_a_damaged_file_is_broken_history(file: Path) -> None:
    with opened(f"sqlite:///{file}") as store:
        for _ in range(50):
            store.append(Save(records(uuid4(), 1, text="x" * 4000)), NOON)
    content = bytearray(file.read_bytes())
    for offset in range(4096 * 20, len(content) - 4096, 4096):
        content[offset : offset + 4096] = b"\xff" * 4096
    file.write_bytes(bytes(content))

    with pytest.raises(HistoryBroken), opened(f"sqlite:///{file}") as store:
        store.read_log(0, 1000)


def test_a_closed_store_is_unavailable(store_url: str) -> None:
    if store_url == "memory:":
        return  # there is nothing to close
    with opened(store_url) as store:
        store.append(Save(records(uuid4(), 1)), NOON)
    with pytest.raises(Unavailable):
        store.append(Save(records(uuid4(), 1)), NOON)
    with pytest.raises(Unavailable):
        store.read_log(0, 1)


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def schema(postgres_url: str) -> str:
    written = records(uuid4(), 1, 2)
    with opened(postgres_url) as store:
        store.append(Save(written, receipt_of(written)), NOON)
    return postgres_url


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_events SET state = 'x' WHERE notification_id = 1",
        "DELETE FROM ledger_events WHERE notification_id = 2",
        "TRUNCATE ledger_events",
        "UPDATE ledger_receipts SET answer = '{}'",
        "DELETE FROM ledger_receipts",
        "TRUNCATE ledger_receipts",
    ],
)
def test_a_server_refuses_to_change_its_history(schema: str, statement: str) -> None:
    with psycopg.connect(schema) as connection, pytest.raises(errors.RestrictViolation, match="append only"):
        connection.execute(statement.encode())


def test_a_server_can_be_read_by_people(schema: str) -> None:
    with psycopg.connect(schema) as connection:
        query = "SELECT position, name, event ->> 'version' FROM ledger_events_readable ORDER BY position"
        assert connection.execute(query).fetchall() == [
            (1, "thing.happened.v1", "1"),
            (2, "thing.happened.v1", "2"),
        ]


@pytest.fixture
def writer_url(schema: str) -> Iterator[str]:
    """The URL of a role that has what `writer_role.sql` gives it, and nothing else."""
    role = f"writer_{uuid4().hex[:8]}"
    name = sql.Identifier(role)
    with psycopg.connect(schema, autocommit=True) as owner:
        row = owner.execute("SELECT current_schema()").fetchone()
        assert row is not None
        script = files("ledger.store").joinpath("writer_role.sql").read_text()
        script = script.replace(':"role"', f'"{role}"').replace(':"schema"', f'"{row[0]}"')
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
        owner.execute(script.encode())
        yield schema.replace("user=ledger", f"user={role}")
        owner.execute(sql.SQL("DROP OWNED BY {}").format(name))
        owner.execute(sql.SQL("DROP ROLE {}").format(name))


def test_a_role_that_may_only_insert_and_select_can_run_a_ledger(writer_url: str) -> None:
    stream = uuid4()
    written = records(stream, 1)
    with opened(writer_url) as store:
        reservation = Reservation("default", "acme", "key", "k", stream)
        store.append(Save(written, receipt_of(written), [charge_row(stream)], [reservation]), NOON)
        store.append(Save(records(stream, 2), charge_index=[charge_row(stream, status="final")]), NOON)
        store.save_snapshot(SnapshotRow(stream, 2, "thing.v1", b"{}"))
        store.replace_inline([charge_row(stream)], [reservation])
        assert store.head() == 4
        assert store.load_snapshot(stream) is not None
        with pytest.raises(StaleSave):
            store.append(Save(records(stream, 2)), NOON)

    with psycopg.connect(writer_url, autocommit=True) as connection:
        for statement in (
            "UPDATE ledger_events SET state = 'x'",
            "DELETE FROM ledger_events",
            "TRUNCATE ledger_events",
            "DELETE FROM ledger_receipts",
            "ALTER TABLE ledger_events DISABLE TRIGGER append_only",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_a_role_that_may_not_insert_is_told_so(schema: str) -> None:
    role = f"reader_{uuid4().hex[:8]}"
    name = sql.Identifier(role)
    with psycopg.connect(schema, autocommit=True) as owner:
        row = owner.execute("SELECT current_schema()").fetchone()
        assert row is not None
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
        owner.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(row[0]), name))
        owner.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}").format(sql.Identifier(row[0]), name))
        with opened(schema.replace("user=ledger", f"user={role}")) as store:
            assert store.head() == 2
            with pytest.raises(ValidationFailed) as refused:
                store.append(Save(records(uuid4(), 1)), NOON)
        owner.execute(sql.SQL("DROP OWNED BY {}").format(name))
        owner.execute(sql.SQL("DROP ROLE {}").format(name))

    assert refused.value.codes == ("store_refused",)


def test_housekeeping_of_the_server_does_not_stop_writers(schema: str) -> None:
    """VACUUM and ANALYZE take this lock; the stock recorder of the library waits for them."""
    with psycopg.connect(schema) as connection, opened(schema) as store:
        connection.execute("LOCK TABLE ledger_events IN SHARE UPDATE EXCLUSIVE MODE")

        assert store.append(Save(records(uuid4(), 1)), NOON).first == 3


def test_others_keep_tables_of_their_own_in_the_schema(schema: str) -> None:
    with opened(schema) as store:
        assert isinstance(store, PostgresStore)
        with store.database.transaction() as connection:
            connection.execute("CREATE TABLE mine (x int UNIQUE)")
            connection.execute("INSERT INTO mine VALUES (1)")
        with pytest.raises(errors.UniqueViolation), store.database.transaction() as connection:
            connection.execute("INSERT INTO mine VALUES (2); INSERT INTO mine VALUES (1)")
        with store.database.connection() as connection:
            assert connection.execute("SELECT x FROM mine").fetchall() == [(1,)]


def test_a_value_the_server_cannot_hold_is_refused_for_its_own_save(schema: str) -> None:
    with opened(schema) as store:
        with pytest.raises(ValidationFailed):
            store.append(Save(records(uuid4(), 1), charge_index=[charge_row(uuid4(), customer="a\0b")]), NOON)

        assert store.append(Save(records(uuid4(), 1)), NOON).first == 3
