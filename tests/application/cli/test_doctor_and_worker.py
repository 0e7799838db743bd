"""`ledger doctor` and `ledger worker run`, as an operator sees them."""

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.commandline import Run

PERIOD = ("--from", "2026-02-01", "--to", "2026-03-01")


@pytest.fixture
def charged(acme: Run) -> Run:
    """acme has a charge of February, 4 tokens of it at 1 USD."""
    acme("charge", "create", "acme", "--feature", "tokens", *PERIOD, "--unit", "1", "--now", "2026-01-02")
    acme("usage", "record", "acme", "tokens", "4", "--time", "2026-02-03", "--now", "2026-02-03")
    return acme


def lines(out: str) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_healthy_ledger_exits_0_and_says_so(charged: Run) -> None:
    told = charged("doctor", "--chains", "--now", "2026-01-02")

    assert "✓ Nothing to look at, at position" in told.out
    data = charged("doctor", "--json", "--now", "2026-01-02").data
    assert (data["healthy"], data["found"], data["chains"]) == (True, 0, None)


def test_a_stuck_charge_exits_1_with_the_reason_and_what_would_free_it(charged: Run) -> None:
    charged("feature", "define", "tokens", "--now", "2026-01-03")
    charged("worker", "run", "--once-idle", "--now", "2026-02-01T00:00Z")

    told = charged("doctor", "--now", "2026-02-05", code=1).out
    data = charged("doctor", "--now", "2026-02-05", "--json", code=1).data

    (stuck,) = data["stuck"]
    assert "✗ 1 thing to look at." in told
    for words in (stuck["charge"], "acme", "meter_not_found", "define the feature with a meter"):
        assert words in told
    assert (stuck["since"], data["healthy"], data["found"]) == ("2026-02-01T00:00:00Z", False, 1)

    charged("feature", "define", "tokens", "--meter", "tokens", "--now", "2026-02-05")
    charged("advance", "acme", "--now", "2026-02-05")
    charged("doctor", "--now", "2026-02-05")


def test_late_customers_and_usage_set_aside_are_told_in_tables(charged: Run) -> None:
    for value in ("1", "2"):
        charged("usage", "record", "acme", "tokens", value, "--time", "2026-02-04", "--id", "a", "--now", "2026-02-04")

    told = charged("doctor", "--now", "2026-02-05", code=1).out

    rows = [line.split() for line in told.splitlines()]
    assert ["acme", "1", "2026-02-01"] in rows
    assert ["acme", "tokens", "1", "2026-02-04"] in rows
    assert "✗ 2 things to look at." in told
    charged("doctor", "--now", "2026-02-05", "--overdue", "9d", "--conflicts-since", "2026-02-05")


def test_a_broken_chain_exits_1(charged: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as database, database:
        database.execute("DROP TRIGGER ledger_events_no_update")
        database.execute(
            "UPDATE ledger_events SET state = CAST(replace(CAST(state AS TEXT), '100.00', '900.00') AS BLOB)"
            " WHERE topic = 'credit_pool.credit_granted.v1'"
        )

    data = charged("doctor", "--chains", "--json", "--now", "2026-01-02", code=1).data

    assert data["chains"]["findings"]
    assert data["found"] >= 1


def test_a_worker_says_a_line_for_each_pass(charged: Run) -> None:
    first, second = lines(charged("worker", "run", "--once-idle", "--json", "--now", "2026-03-05").out)

    assert (first["pass"], first["moved"], first["succeeded"]) == (1, 1, ["acme"])
    assert (second["pass"], second["moved"], second["rest_seconds"]) == (2, 0, 0)
    assert charged("balance", "acme", "--json", "--now", "2026-03-05").data["settled"] == "96.00"


def test_for_people_only_passes_that_did_something_are_told(charged: Run) -> None:
    told = charged("worker", "run", "--once-idle", "--now", "2026-03-05").out.splitlines()

    assert told[0] == "2026-03-05T00:00:00Z  1 charge moved"
    assert [line.split() for line in told[1:]] == [["Worker", "ended"], ["passes", "2"], ["charges", "moved", "1"]]


def test_a_customer_that_fails_is_told_and_exits_3(charged: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def advance(*_arguments: object, **_more: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr("ledger.charges.Charges.advance", advance)

    told = charged("worker", "run", "--once-idle", "--now", "2026-03-05", code=3).out

    assert "customer acme: ValueError: a defect (defect)" in told


@pytest.mark.parametrize("interval", ["0s", "soon", "5", "-1s", "1.5h", "s", ""])
def test_an_interval_that_is_none_is_a_mistake_of_the_command_line(charged: Run, interval: str) -> None:
    assert "30s" in charged("worker", "run", "--interval", interval, code=2).err


def test_the_handlers_of_signals_are_as_before(charged: Run) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    charged("worker", "run", "--once-idle", "--now", "2026-03-05")

    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
