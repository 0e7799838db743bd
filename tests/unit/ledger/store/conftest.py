"""One store of each kind in turn, closed after the test. On PostgreSQL each test has a schema of its own."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from ledger.store.open import open_store
from ledger.store.store import Store
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_database: str) -> Iterator[str]:
    """A schema in one database for all: quicker than a database a test, and a ledger must be at home in either."""
    schema = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"'.encode())
        yield f"{postgres_database}&options=-csearch_path%3D{schema}"
        connection.execute("SET client_min_messages = error")
        connection.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()
