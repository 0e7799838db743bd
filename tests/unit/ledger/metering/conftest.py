"""A usage store of each kind in turn, beside the store it belongs to; both are closed after the test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from ledger.metering.open import open_usage_store
from ledger.metering.store import ChunkedStore
from ledger.store.open import open_store

Open = Callable[..., ChunkedStore]


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
