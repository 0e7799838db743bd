"""Processes that share a database, and processes that are killed: nothing acknowledged is lost or written twice."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from ledger.store.open import open_store
from ledger.store.store import LogRecord
from tests.unit.ledger.store.stores import opened

ROOT = Path(__file__).parents[2]
PROCESSES = 4
SAVES = 30


@pytest.fixture(params=["sqlite", "postgres"])
def shared_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def start(url: str, saves: int, *shared: UUID) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.store_writer", url, str(saves), *map(str, shared)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def acknowledged(said: str) -> list[tuple[int, UUID, int]]:
    """Position, stream and version of every whole line that a writer got out."""
    whole = said[: said.rfind("\n") + 1]
    return [
        (int(position), UUID(stream), int(version)) for stream, version, position in map(str.split, whole.splitlines())
    ]


def test_processes_share_one_log_without_gaps(shared_url: str) -> None:
    """Four processes, each with a stream of its own and all after one more; and somebody who follows the log."""
    contested = uuid4()
    stop = threading.Event()
    seen: list[LogRecord] = []
    store = open_store(shared_url)

    def follow() -> None:
        for page in store.follow(0, stop):
            seen.extend(page)

    follower = threading.Thread(target=follow)
    follower.start()

    writers = [start(shared_url, SAVES, contested) for _ in range(PROCESSES)]
    answers = [writer.communicate(timeout=60) for writer in writers]
    whole = store.read_log(0, 100_000)
    for _ in range(200):
        if len(seen) >= len(whole):
            break
        threading.Event().wait(0.05)
    stop.set()
    follower.join()
    store.close()

    assert [(writer.returncode, errors) for writer, (_, errors) in zip(writers, answers, strict=True)] == [
        (0, "")
    ] * PROCESSES
    told = sorted(line for said, _ in answers for line in acknowledged(said))
    assert told == [(row.position, row.stream, row.version) for row in whole]
    assert [row.position for row in seen] == list(range(1, len(whole) + 1))
    shared = [row.version for row in whole if row.stream == contested]
    assert shared == list(range(1, len(shared) + 1))
    assert len(whole) == PROCESSES * SAVES + len(shared)


def test_what_a_killed_process_was_told_is_there(shared_url: str) -> None:
    with opened(shared_url):
        pass
    writer = start(shared_url, 1_000_000)
    assert writer.stdout is not None
    said = "".join(writer.stdout.readline() for _ in range(100))
    os.kill(writer.pid, signal.SIGKILL)
    said += writer.stdout.read()
    writer.communicate()

    told = acknowledged(said)
    with opened(shared_url) as store:
        rows = store.read_log(0, 100_000)
        receipts = list(store.receipts())

    assert len(told) >= 100
    assert told == [(row.position, row.stream, row.version) for row in rows][: len(told)]
    assert len(rows) - len(told) <= 1, "at most the save in flight is there without having been acknowledged"
    assert [receipt.written[0].version for receipt in receipts] == [row.version for row in rows]
    assert writer.returncode == -signal.SIGKILL


def test_the_next_process_goes_on_where_a_killed_one_stopped(shared_url: str) -> None:
    killed = start(shared_url, 1_000_000)
    assert killed.stdout is not None
    killed.stdout.readline()
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()

    following = start(shared_url, 5)
    said, errors = following.communicate(timeout=60)

    with opened(shared_url) as store:
        rows = store.read_log(0, 100_000)
    assert errors == ""
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    assert acknowledged(said) == [(row.position, row.stream, row.version) for row in rows[-5:]]
