"""A PostgreSQL server that drops connections: what was written is written once, and the store goes on by itself."""

import threading
from collections.abc import Iterator, Sequence
from uuid import uuid4

import psycopg
import pytest

from aggregates.values.errors import Unavailable
from ledger.store.arrays import Array
from ledger.store.group_commit import Verdicts
from ledger.store.open import open_store
from ledger.store.postgres import PostgresStore
from ledger.store.store import LogRecord, Save, Saved, SnapshotRow, StaleSave
from tests.support.postgres import PostgresServer
from tests.unit.ledger.store.stores import NOON, receipt_of, records

LOCK = b"SELECT pg_advisory_xact_lock(hashtextextended('ledger_events ' || current_schema(), 0))"


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    opened = open_store(postgres_url)
    assert isinstance(opened, PostgresStore)
    yield opened
    opened.close()


def drop_connections(url: str, condition: str = "true") -> int:
    """End the server's side of every connection but our own; how many there were."""
    query = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        f" WHERE datname = current_database() AND pid <> pg_backend_pid() AND {condition}"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def lose_replies(store: PostgresStore, times: int = 1) -> None:
    """The server commits, and the connection breaks before its answer is read."""
    call = store._call
    left = [times]

    def lost(values: Sequence[Array]) -> Verdicts:
        verdicts = call(values)
        if left[0]:
            left[0] -= 1
            assert store._writer is not None
            store._writer.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return verdicts

    store._call = lost  # type: ignore[method-assign]


def test_a_lost_reply_is_recognised_by_the_receipt(store: PostgresStore) -> None:
    written = records(uuid4(), 1, 2)
    lose_replies(store)

    assert store.append(Save(written, receipt_of(written)), NOON) == Saved(1, 2, NOON)
    assert store.head() == 2


def test_a_lost_reply_is_recognised_by_the_digest_where_there_is_no_receipt(store: PostgresStore) -> None:
    stream = uuid4()
    lose_replies(store)

    assert store.append(Save(records(stream, 1, 2)), NOON) == Saved(1, 2, NOON)
    with pytest.raises(StaleSave):
        store.append(Save(records(stream, 1, text="another")), NOON)


def test_replies_lost_again_and_again_are_an_outage_and_the_retry_is_recognised(store: PostgresStore) -> None:
    """The caller is told `Unavailable`, which is true; its next try with the same command finds the receipt."""
    written = records(uuid4(), 1)
    save = Save(written, receipt_of(written))
    lose_replies(store, times=3)

    with pytest.raises(Unavailable):
        store.append(save, NOON)

    assert store.append(save, NOON) == Saved(1, 1, NOON)
    assert store.head() == 1


def test_connections_that_broke_while_idle_are_replaced(store: PostgresStore, postgres_url: str) -> None:
    stream = uuid4()
    store.append(Save(records(stream, 1)), NOON)
    for version in (2, 3):
        assert drop_connections(postgres_url) >= 1

        assert store.append(Save(records(stream, version)), NOON).last == version
        assert len(store.read_stream(stream)) == version


def test_a_connection_that_breaks_while_it_waits_for_the_lock_is_replaced(
    store: PostgresStore, postgres_url: str
) -> None:
    """Nobody knows what became of that call; made again, the save is there once."""
    stream = uuid4()
    store.append(Save(records(stream, 1)), NOON)
    landed: list[Saved] = []
    with psycopg.connect(postgres_url) as other:
        other.execute(LOCK)
        writer = threading.Thread(target=lambda: landed.append(store.append(Save(records(stream, 2)), NOON)))
        writer.start()
        while not drop_connections(postgres_url, "wait_event_type = 'Lock'"):
            threading.Event().wait(0.01)
    writer.join()

    assert landed == [Saved(2, 2, NOON)]
    assert store.head() == 2


def test_a_follower_outlives_its_connection(store: PostgresStore, postgres_url: str) -> None:
    stream = uuid4()
    seen: list[LogRecord] = []
    stop, moved = threading.Event(), threading.Event()

    def follow() -> None:
        for page in store.follow(0, stop):
            seen.extend(page)
            moved.set()

    follower = threading.Thread(target=follow)
    follower.start()
    for version in (1, 2, 3):
        moved.clear()
        store.append(Save(records(stream, version)), NOON)
        assert moved.wait(10)
        drop_connections(postgres_url)
    stop.set()
    follower.join()

    assert [row.version for row in seen] == [1, 2, 3]


def test_a_follower_is_woken_by_what_another_process_appends(store: PostgresStore, postgres_url: str) -> None:
    stop = threading.Event()
    pages: list[int] = []

    def follow() -> None:
        pages.extend(page[-1].position for page in store.follow(0, stop))

    follower = threading.Thread(target=follow)
    follower.start()
    other = open_store(postgres_url)
    for number in range(1, 4):
        other.append(Save(records(uuid4(), 1)), NOON)
        for _ in range(500):
            if pages and pages[-1] == number:
                break
            threading.Event().wait(0.01)
    other.close()
    stop.set()
    follower.join()

    assert pages == [1, 2, 3]


def test_a_database_that_is_gone_is_an_outage_for_every_call(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.store.postgres_database.POOL_SECONDS", 0.5)
    with postgres_server.fresh_database() as url:
        store = open_store(url)
        stream = uuid4()
        store.append(Save(records(stream, 1)), NOON)

    for call in (
        lambda: store.append(Save(records(stream, 2)), NOON),
        lambda: store.read_stream(stream),
        lambda: store.read_log(0, 10),
        lambda: list(store.receipts()),
    ):
        with pytest.raises(Unavailable) as gone:
            call()
        assert gone.value.retryable
    store.save_snapshot(SnapshotRow(stream, 1, "thing.v1", b"{}"))  # only an optimisation: logged, not raised
    store.close()


def test_a_lock_that_is_held_for_ever_is_an_outage(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.store.postgres_database.LOCK_SECONDS", 1)
    store = open_store(postgres_url)
    with psycopg.connect(postgres_url) as other:
        other.execute(LOCK)
        with pytest.raises(Unavailable) as held:
            store.append(Save(records(uuid4(), 1)), NOON)

    assert isinstance(held.value.__cause__, psycopg.errors.LockNotAvailable)
    assert store.append(Save(records(uuid4(), 1)), NOON).first == 1
    store.close()
