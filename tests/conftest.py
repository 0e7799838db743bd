"""What every test may ask for: a store of each kind, a PostgreSQL database of its own, and how hard to look.

`store_url` runs a test once over memory, once over an SQLite file and once over PostgreSQL: the same suite,
a real server. A machine without one fails those tests and says what to do about it; nothing is skipped.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.given", "tests.strategies", "tests.support")

from tests.support.postgres import PostgresServer  # noqa: E402 - after its asserts are registered

settings.register_profile(
    "default",
    deadline=None,  # a machine may pause for its own reasons
    max_examples=50,
    derandomize="CI" in os.environ,  # there, the same commit gives the same answer
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "soak",
    parent=settings.get_profile("default"),
    max_examples=5_000,
    derandomize=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server per test process, started when the first test needs it."""
    with PostgresServer.find() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    """One database per test process, in which each test has a schema."""
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_database: str) -> Iterator[str]:
    """An empty schema that belongs to this test alone: made in a tenth of the time that a database takes."""
    schema = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"'.encode())
    yield f"{postgres_database}&options=-csearch_path%3D{schema}"
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        connection.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store of each kind in turn; servers are only asked for where they are needed."""
    if request.param == "memory":
        return "memory:"
    return cast("str", request.getfixturevalue(f"{request.param}_url"))
