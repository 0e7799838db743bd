"""One store of each kind in turn, closed after the test."""

from collections.abc import Iterator

import pytest

from ledger.store.open import open_store
from ledger.store.store import Store


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()
