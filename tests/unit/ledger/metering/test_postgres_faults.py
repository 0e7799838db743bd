"""What only a server can do to a chunk: drop its connection, lose its reply, hold its locks for a client that hangs."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from importlib.resources import files
from uuid import uuid4

import psycopg
import pytest

from aggregates.values.errors import Unavailable
from ledger.metering.postgres import PostgresUsageStore
from ledger.metering.store import Chunk, Retry, Tally
from ledger.ports import no_probe
from ledger.store.postgres import PostgresStore
from tests.unit.ledger.metering.usages import january, used


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore(postgres_url)) as opened:
        yield opened


def test_a_chunk_whose_connection_is_dropped_is_written_on_another(store: PostgresStore, postgres_url: str) -> None:
    dropped: list[int] = []

    def drop(call: str) -> None:
        if call == "usage.ingest.commit" and not dropped:
            with psycopg.connect(postgres_url, autocommit=True) as other:
                in_a_chunk = "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'"
                dropped.extend(pid for (pid,) in other.execute(in_a_chunk))
                for pid in dropped:
                    other.execute("SELECT pg_terminate_backend(%s)", (pid,))

    usage = PostgresUsageStore(store.database, drop)
    report = usage.ingest("test", [used("a", 1)])

    assert dropped
    assert (report.stored, report.duplicates) == (1, 0)
    assert usage.quantity(january()).quantity == 1


def test_a_chunk_whose_reply_was_lost_is_reported_as_stored(store: PostgresStore) -> None:
    class Lossy(PostgresUsageStore):
        lost = False

        def write_chunk(self, chunk: Chunk, stored_at: datetime | None, earlier: set[int]) -> Tally:
            tally = super().write_chunk(chunk, stored_at, earlier)
            if not self.lost:
                self.lost = True
                raise Retry("the reply was lost")
            return tally

    usage = Lossy(store.database)
    report = usage.ingest("test", [used("a", 1), used("b", 2)])

    assert usage.lost
    assert (report.stored, report.duplicates) == (2, 0)
    assert usage.ingest("test", [used("a", 1)]).duplicates == 1


def test_a_client_that_hangs_in_a_chunk_keeps_nobody_waiting_for_ever(store: PostgresStore) -> None:
    arrived, go = threading.Event(), threading.Event()

    def hang(call: str) -> None:
        if call == "usage.ingest.commit":
            arrived.set()
            go.wait(30)

    hanging = PostgresUsageStore(store.database, hang, commit_within=1)
    waiting = PostgresUsageStore(store.database)
    with ThreadPoolExecutor(1) as pool:
        ingest = pool.submit(hanging.ingest, "test", [used("a", 1)])
        try:
            assert arrived.wait(10)
            started = time.monotonic()
            quantity = waiting.quantity(january(cut=datetime.now(UTC))).quantity
            waited = time.monotonic() - started
            hanging.probe = no_probe
        finally:
            go.set()
        report = ingest.result(30)

    assert quantity == 0
    assert waited < 10
    assert (report.stored, report.duplicates) == (1, 0)  # stamped again, behind the cut that was read
    assert waiting.quantity(january()).quantity == 1


def test_a_server_that_is_not_there_is_a_typed_error_that_may_be_retried(store: PostgresStore) -> None:
    usage = PostgresUsageStore(store.database)
    store.close()

    with pytest.raises(Unavailable) as error:
        usage.quantity(january())
    assert error.value.retryable


def test_stored_usage_can_be_neither_changed_nor_deleted(store: PostgresStore, postgres_url: str) -> None:
    PostgresUsageStore(store.database).ingest("test", [used("a", 1)])

    for statement in ("UPDATE usage_event SET value = 2", "DELETE FROM usage_event", "TRUNCATE usage_event"):
        with (
            psycopg.connect(postgres_url) as connection,
            pytest.raises(psycopg.errors.RaiseException, match="never changed or deleted"),
        ):
            connection.execute(statement.encode())


def test_a_role_that_may_not_change_usage_can_keep_it(store: PostgresStore, postgres_url: str) -> None:
    """The store's own script and this package's together are all the role has."""
    PostgresUsageStore(store.database)
    role = f"keeper_{uuid4().hex[:8]}"
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(f'CREATE ROLE "{role}" LOGIN'.encode())
        for package in ("ledger.store", "ledger.metering"):
            script = files(package).joinpath("writer_role.sql").read_text()
            script = script.replace(':"role"', f'"{role}"').replace(':"schema"', f'"{store.database.schema}"')
            owner.execute(script.encode())
        try:
            with closing(PostgresStore(postgres_url.replace("user=ledger", f"user={role}"))) as theirs:
                usage = PostgresUsageStore(theirs.database)
                report = usage.ingest("test", [used("a", 1), used("a", 2)])
                assert (report.stored, report.conflicts) == (1, 1)
                assert usage.quantity(january(cut=datetime.now(UTC))).quantity == 1
                with theirs.database.pool.connection() as connection:
                    for table in ("usage_event", "usage_conflict"):
                        with pytest.raises(psycopg.errors.InsufficientPrivilege):
                            connection.execute(f"DELETE FROM {table}".encode())
        finally:
            owner.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"'.encode())
