"""Late usage from the command line: found, listed, asked about, billed and dismissed."""

import pytest

from tests.support.commandline import Run

PERIOD = ("--from", "2026-01-01", "--to", "2026-02-01")


@pytest.fixture
def charge(acme: Run) -> str:
    """January at 1 USD a token: 8 tokens are final, 3 more were stored in March; the customer is asked about."""
    acme("customer", "profile", "acme", "--policy", "late_usage=ask", "--now", "2026-01-01")
    made = acme(
        "charge", "create", "acme", "--feature", "tokens", *PERIOD, "--unit", "1", "--now", "2026-01-02", "--json"
    )
    acme("usage", "record", "acme", "tokens", "8", "--time", "2026-01-03", "--id", "a", "--now", "2026-01-03")
    acme("worker", "run", "--once-idle", "--now", "2026-02-20")
    acme("usage", "record", "acme", "tokens", "3", "--time", "2026-01-20", "--id", "b", "--now", "2026-03-01")
    acme("worker", "run", "--once-idle", "--now", "2026-03-01T00:02Z")
    return str(made.data["id"])


def test_late_usage_is_listed_and_the_doctor_says_so(acme: Run, charge: str) -> None:
    (found,) = acme("usage", "late", "acme", "--now", "2026-03-02", "--json").data
    told = acme("doctor", "--now", "2026-03-01T00:03Z", code=1).out

    assert (found["charge"], found["outcome"], found["quantity"], found["amount"]) == (charge, "asked", "11", "3.00")
    assert "bill-late-usage" in told
    assert "3.00 USD" in acme("usage", "late", "--outcome", "asked", "--now", "2026-03-02").out


def test_it_is_billed_and_the_run_says_what_it_is(acme: Run, charge: str) -> None:
    acme("charge", "bill-late-usage", charge, "--now", "2026-03-02")

    runs = acme("runs", "acme", "--now", "2026-03-02", "--json").data
    assert [run["run_type"] for run in runs] == ["final_realization", "late_adjustment"]
    assert "final, late" in acme("runs", "acme", "--now", "2026-03-02").out
    assert runs[0]["run"] in acme("why", runs[1]["run"], "--now", "2026-03-02").out
    assert acme("usage", "late", "--now", "2026-03-02").out.strip() == "No late usage is unbilled."


def test_it_is_dismissed_once(acme: Run, charge: str) -> None:
    acme("charge", "dismiss-late-usage", charge, "--now", "2026-03-02")

    acme("doctor", "--now", "2026-03-02")
    (found,) = acme("usage", "late", "--now", "2026-03-02", "--json").data
    assert found["outcome"] == "dismissed"


def test_a_charge_without_late_usage_has_nothing_to_bill(acme: Run, charge: str) -> None:
    acme("charge", "bill-late-usage", charge, "--now", "2026-03-02")

    ended = acme("charge", "bill-late-usage", charge, "--now", "2026-03-02", "--json", code=3)

    assert ended.error["code"] == "no_late_usage"


def test_a_run_below_zero_says_how_it_was_settled(acme: Run, charge: str) -> None:
    acme("charge", "bill-late-usage", charge, "--now", "2026-03-02")
    acme("usage", "record", "acme", "tokens", "--time", "2026-01-21", "--id", "c", "--now", "2026-03-03", "--", "-5")
    acme("worker", "run", "--once-idle", "--now", "2026-03-03T00:02Z")
    acme("charge", "bill-late-usage", charge, "--now", "2026-03-04")

    runs = acme("runs", "acme", "--now", "2026-03-04", "--json").data
    told = acme("why", runs[-1]["run"], "--now", "2026-03-04").out

    assert runs[-1]["totals"]["total"] == "-5.00"
    assert "credit of earlier runs given back" in told
    assert "5.00 USD" in told
