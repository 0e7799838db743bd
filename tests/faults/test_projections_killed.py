"""Views and processes that end by SIGKILL, or race: nothing counts twice, nothing is lost, and a restart goes on.

Each child opens the store of the test in a process of its own and is killed at a chosen call: inside the transaction
of a page, between two pages, before the indexes, before the exchange.
"""

import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from ledger.store.follow import Follower
from ledger.store.open import open_store
from projections.stores.open import open_views
from projections.stores.tables import Status
from tests.support.counters import LINES, TOTALS, VIEWS, Log, added, decode, some_history

ROOT = Path(__file__).parents[2]
KINDS = ["sqlite_url", "postgres_url"]
CHILD = dedent(
    """
    import os, signal, sys
    import ledger.store.follow as following
    import ledger.store.pages as pages
    from ledger.store.open import open_store
    from projections.stores import postgres, sqlite
    from projections.stores.open import open_views
    from tests.support.counters import VIEWS, decode

    url, task, moment, call = sys.argv[1:]
    following.BUILD_PAGE = 10
    pages.WRITTEN_ROWS = 1  # every page of a rebuild is written
    calls = 0

    def killing(original):
        def wrapped(*args, **kwargs):
            global calls
            calls += 1
            if calls == int(call):
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)
        return wrapped

    for module, tables, writer in (
        (sqlite, sqlite.SqliteTables, sqlite.SqliteWriter), (postgres, postgres.PostgresTables, postgres.PostgresWriter)
    ):
        if moment in ("finish", "swap"):
            setattr(tables, moment, killing(getattr(tables, moment)))
        if moment == "move":  # the rows of the page are written, its transaction is not committed
            writer._move = killing(writer._move)
    follower = following.Follower(open_store(url), open_views(url), VIEWS, decode=decode, page=10)
    print("ready", flush=True)
    sys.stdin.readline()
    follower.rebuild() if task == "rebuild" else follower.catch_up()
    """
)


def child(url: str, task: str, moment: str = "", call: int = 0) -> "subprocess.Popen[str]":
    """A process that waits for a line before it begins."""
    started = subprocess.Popen(
        [sys.executable, "-c", CHILD, url, task, moment, str(call)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def begin(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.close()


def ended(process: "subprocess.Popen[str]") -> int:
    code = process.wait(timeout=60)
    assert process.stdout is not None
    process.stdout.close()
    return code


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("moment", "call"), [("move", 1), ("move", 7), ("finish", 1), ("finish", 2), ("swap", 1), ("swap", 2)]
)
def test_a_rebuild_killed_anywhere_loses_nothing(
    kind: str, moment: str, call: int, request: pytest.FixtureRequest
) -> None:
    url: str = request.getfixturevalue(kind)
    store, tables = open_store(url), open_views(url)
    log = Log(store)
    some_history(log)
    follower = Follower(store, tables, VIEWS, decode=decode)
    follower.catch_up()
    with tables.reading() as reader:
        before = reader.select(TOTALS), reader.select(LINES)

    process = child(url, "rebuild", moment, call)
    begin(process)
    assert ended(process) == -signal.SIGKILL

    with tables.reading() as reader:
        assert (reader.select(TOTALS), reader.select(LINES)) == before
    log.save(added("all", "-1"))
    follower.catch_up()
    rebuilt = follower.rebuild()
    assert all(each.comparison is not None and each.comparison.equal for each in rebuilt)
    assert Status.BUILDING not in {each.status for each in tables.generations()}
    tables.close()
    store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_runner_killed_inside_a_page_counts_it_once_when_it_comes_back(
    kind: str, request: pytest.FixtureRequest
) -> None:
    url: str = request.getfixturevalue(kind)
    store, tables = open_store(url), open_views(url)
    some_history(Log(store))
    follower = Follower(store, tables, VIEWS, decode=decode, page=10)

    process = child(url, "follow", "move", 6)
    begin(process)
    assert ended(process) == -signal.SIGKILL

    positions = {each.name: each.position for each in tables.generations()}
    assert 0 < min(positions.values()) < store.head()
    follower.catch_up()
    assert follower.verify_view("totals").equal
    assert follower.verify_view("lines").equal
    tables.close()
    store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_processes_that_race_count_every_event_once(kind: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue(kind)
    store, tables = open_store(url), open_views(url)
    some_history(Log(store), saves=100)
    follower = Follower(store, tables, VIEWS, decode=decode, page=10)

    racing = [child(url, "follow") for _ in range(3)]
    for process in racing:
        begin(process)
    follower.catch_up()
    assert [ended(process) for process in racing] == [0, 0, 0]

    assert follower.verify_view("totals").equal
    assert follower.verify_view("lines").equal
    with tables.reading() as reader:
        assert len(reader.select(LINES)) == 2 * 200
    tables.close()
    store.close()
