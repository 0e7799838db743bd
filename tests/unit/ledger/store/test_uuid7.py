"""New ids rise, whatever the clock does."""

import threading
import time
from datetime import UTC, datetime
from uuid import UUID

import pytest

from ledger.store.uuid7 import Mint, uuid7


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    before = time.time_ns() // 1_000_000
    minted = uuid7()
    after = time.time_ns() // 1_000_000

    assert minted.version == 7
    assert minted.variant == "specified in RFC 4122"
    assert before <= minted.int >> 80 <= after + 1


def test_ids_rise_and_differ() -> None:
    mint = Mint()
    minted = [mint() for _ in range(20_000)]

    assert minted == sorted(set(minted))


def test_ids_rise_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    mint = Mint()
    first = mint()
    monkeypatch.setattr(time, "time_ns", lambda: int(datetime(2001, 1, 1, tzinfo=UTC).timestamp()) * 10**9)

    later = [mint() for _ in range(5_000)]

    assert [first, *later] == sorted({first, *later})
    assert {minted.version for minted in later} == {7}


def test_threads_never_get_the_same_id() -> None:
    mint = Mint()
    minted: list[list[UUID]] = [[] for _ in range(8)]

    def take(mine: list[UUID]) -> None:
        mine.extend(mint() for _ in range(2_000))

    threads = [threading.Thread(target=take, args=(mine,)) for mine in minted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({one for mine in minted for one in mine}) == 16_000
    assert all(mine == sorted(mine) for mine in minted)
