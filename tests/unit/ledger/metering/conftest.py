"""A usage store of each kind in turn, beside the store it belongs to; both are closed after the test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from ledger.metering.open import open_usage_store
from ledger.metering.store import ChunkedStore
from ledger.store.open import open_store
from tests.support.postgres import PostgresServer

Open = Callable[..., ChunkedStore]


@pytest.fixture(scope="session")
def usage_database(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture
def postgres_url(usage_database: str) -> str:
    """A schema in one database for all: quicker than a database a test."""
    schema = f"test_{uuid4().hex}"
    with psycopg.connect(usage_database, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"'.encode())
    return f"{usage_database}&options=-csearch_path%3D{schema}"


@pytest.fixture
def open_usage(store_url: str) -> Iterator[Open]:
    """Opens usage stores with a probe or a clock of the test's; all of them keep their usage in one place."""
    with ExitStack() as stack:
        store = stack.enter_context(closing(open_store(store_url)))

        def opened(**options: Any) -> ChunkedStore:
            usage = open_usage_store(store, **options)
            assert isinstance(usage, ChunkedStore)
            stack.callback(usage.close)
            return usage

        yield opened


@pytest.fixture
def usage(open_usage: Open) -> ChunkedStore:
    return open_usage()
