"""A storm of commands for one customer: every one succeeds or is worth trying again, and the sums are exact."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ledger.facade import Ledger
from ledger.ports import SettableClock
from ledger.turns import Turns
from tests.faults.hot_customer import storm

ROOT = Path(__file__).parents[2]


def opened(url: str) -> Ledger:
    ledger = Ledger.open(url, clock=SettableClock("2026-01-01T00:00:00Z"))
    ledger.customers.create("acme")
    return ledger


def test_threads_that_want_one_customer_take_turns_and_all_succeed(store_url: str) -> None:
    ledger = opened(store_url)
    saves = 0

    def count(call: str) -> None:
        nonlocal saves
        saves += call == "store.append"

    ledger.store.probe = count
    assert storm(ledger, threads=8, each=5) == (40, 0)
    ledger.store.probe = None

    assert ledger.views.balance("acme").settled == 40
    assert saves < 2 * 40, "fewer than one retry a command"
    assert ledger.audit.verify().sound
    ledger.close()


@pytest.mark.parametrize("shared", ["sqlite_url", "postgres_url"])
def test_processes_that_want_one_customer_all_get_through_or_are_told_to_try_again(
    shared: str, request: pytest.FixtureRequest
) -> None:
    url: str = request.getfixturevalue(shared)
    ledger = opened(url)
    command = [sys.executable, "-m", "tests.faults.hot_customer", url, "3", "4"]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=120)[0].split() for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0]
    granted = sum(int(done) for done, _ in said)
    assert granted + sum(int(refused) for _, refused in said) == 36
    assert granted >= 30, "the storm makes progress"
    assert ledger.views.balance("acme").settled == granted
    assert ledger.audit.verify().sound
    ledger.close()


def test_nobody_waits_where_nobody_races_and_whoever_lost_waits_for_his_turn() -> None:
    turns, order = Turns(), list[str]()
    inside, leave = threading.Event(), threading.Event()

    def loser() -> None:
        with turns.taken("acme", lost=True):
            inside.set()
            leave.wait()
            order.append("loser")

    def newcomer() -> None:
        with turns.taken("acme", lost=False):
            order.append("newcomer")

    with turns.taken("acme", lost=False), turns.taken("acme", lost=False):
        order.append("both at once")
    first = threading.Thread(target=loser)
    first.start()
    inside.wait()
    second = threading.Thread(target=newcomer)
    second.start()
    with turns.taken("birch", lost=False):
        order.append("another customer")
    leave.set()
    first.join()
    second.join()

    assert order == ["both at once", "another customer", "loser", "newcomer"]
