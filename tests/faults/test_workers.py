"""Workers as processes: several on one database book everything once, and a signal ends one cleanly."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from ledger.facade import Ledger
from ledger.ports import SettableClock
from tests.application.scenes import january_charge, opened, used, with_customer

CUSTOMERS = tuple(f"customer-{number:02}" for number in range(16))
FEBRUARY = "2026-02-04T00:00:00Z"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """A database that processes can share, with customers that have 3 calls of January to pay at 1 USD each."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    with opened(url, "2025-12-01T00:00:00Z") as ledger:
        for customer in CUSTOMERS:
            with_customer(ledger, customer)
            january_charge(ledger, customer)
            used(ledger, "3", "2026-01-10T00:00:00Z", customer=customer)
    return url


def worker(url: str, *options: str) -> subprocess.Popen[str]:
    """A worker in a process of its own, on 4 February."""
    line = ["-m", "ledger.cli.main", "worker", "run", "--db", url, "--now", FEBRUARY, "--json", *options]
    return subprocess.Popen([sys.executable, *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def passes(out: str) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]


def is_booked_once(url: str) -> None:
    with Ledger.open(url, clock=SettableClock(FEBRUARY)) as ledger:
        assert {charge.status for charge in ledger.views.charges().items} == {"final"}
        assert {ledger.views.balance(customer).settled for customer in CUSTOMERS} == {-3}
        assert ledger.audit.verify().sound


def test_workers_beside_one_another_move_every_charge_once(url: str) -> None:
    workers = [worker(url, "--once-idle") for _ in range(2)]

    ended = [each.communicate(timeout=120) for each in workers]

    assert [each.returncode for each in workers] == [0, 0], ended
    assert sum(each["moved"] for out, _ in ended for each in passes(out)) == len(CUSTOMERS)
    assert [each["failed"] for out, _ in ended for each in passes(out)] == [[] for out, _ in ended for _ in passes(out)]
    is_booked_once(url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_worker_that_rests(url: str, number: signal.Signals) -> None:
    process = worker(url, "--interval", "1h")
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())

    process.send_signal(number)
    out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (0, "", "")
    assert (first["moved"], first["rest_seconds"]) == (len(CUSTOMERS), 3600)
    is_booked_once(url)


SLOW = """
import sys, time
from ledger.cli import main
from ledger.charges import Charges

advance = Charges.advance

def slowly(self, customer, *arguments, **more):
    print(customer, file=sys.stderr, flush=True)
    answer = advance(self, customer, *arguments, **more)
    time.sleep(0.5)
    return answer

Charges.advance = slowly
sys.exit(main.run(sys.argv[1:]))
"""


def test_a_signal_within_a_pass_ends_it_after_the_present_customer(url: str) -> None:
    line = ["worker", "run", "--db", url, "--now", FEBRUARY, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    first = process.stderr.readline().strip()

    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)

    assert (process.returncode, err) == (0, "")
    assert [each["succeeded"] for each in passes(out)] == [[first]]
    with Ledger.open(url, clock=SettableClock(FEBRUARY)) as ledger:
        assert {charge.customer for charge in ledger.views.charges(status="final").items} == {first}
        ledger.worker.run_once()
    is_booked_once(url)
