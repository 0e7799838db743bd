"""The server that tests stand on: every database is new, and nothing outlives the process that asked.

Shown on a real server, with real kills: a test process that dies by SIGKILL can clear nothing up itself.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support import postgres
from tests.support.postgres import PostgresServer, PostgresUnavailableError, temporary_postgres

ROOT = Path(__file__).parents[3]

HOLD_A_SERVER = """
import sys, time
from tests.support.postgres import PostgresServer
server = PostgresServer.find()
print(server.dsn, flush=True)
time.sleep(60)
"""


def test_each_test_has_a_database_of_its_own(postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as one, postgres_server.fresh_database() as other:
        with psycopg.connect(one) as connection:
            connection.execute("create table bills (amount numeric)")

        with psycopg.connect(other) as connection:
            found = connection.execute("select to_regclass('bills')").fetchone()

    assert found == (None,)


def test_a_database_goes_away_even_while_somebody_is_connected(postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as url:
        left_open = psycopg.connect(url)

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    left_open.close()


@pytest.mark.parametrize(("durable", "expected"), [(True, "on"), (False, "off")])
def test_a_durable_server_waits_for_the_disk(durable: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(postgres.ADDRESS_VARIABLE, raising=False)

    with temporary_postgres(durable=durable) as url, psycopg.connect(url) as connection:
        assert connection.execute("show fsync").fetchone() == (expected,)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_is_gone_after_the_process_that_asked_for_it(ending: signal.Signals) -> None:
    environment = {name: value for name, value in os.environ.items() if name != postgres.ADDRESS_VARIABLE}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_SERVER],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        dsn = holder.stdout.readline().strip()
        folder = Path(str(conninfo_to_dict(dsn)["host"]))
        assert (folder / "data" / "postmaster.pid").exists()

        holder.send_signal(ending)

    until = time.monotonic() + 15
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not folder.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)


def test_without_any_server_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(postgres.ADDRESS_VARIABLE, raising=False)
    monkeypatch.setattr(postgres, "server_programs", list)

    with pytest.raises(PostgresUnavailableError, match="apt install postgresql"):
        PostgresServer.find()


def test_a_named_server_that_does_not_answer_is_not_replaced_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(postgres.ADDRESS_VARIABLE, "postgresql://nobody:hidden@127.0.0.1:1/none")

    with pytest.raises(PostgresUnavailableError, match="port 1 failed") as refused:
        PostgresServer.find()

    assert "hidden" not in str(refused.value)


def test_a_named_server_is_used(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(postgres.ADDRESS_VARIABLE, postgres_server.dsn)

    with temporary_postgres() as url, psycopg.connect(url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_store_of_each_kind_is_named_by_its_url(store_url: str, request: pytest.FixtureRequest) -> None:
    scheme = {"memory": "memory:", "sqlite": "sqlite:///", "postgres": "postgresql:///"}

    kind = request.node.callspec.params["store_url"]

    assert store_url.startswith(scheme[kind])
