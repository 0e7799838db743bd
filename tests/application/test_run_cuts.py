"""Usage in several runs through the library, over every store: cut where credit starts or expires, or every so often.

January at 1 USD a call; 100 of credit that expire on 20 January and 50 that never do; 30 calls before that day and 60
after. In one run the 100 lapse, 50 pay and 40 are advance; in two the 100 pay for 30, and 10 are advance.
"""

from __future__ import annotations

from typing import Any

import pytest

from aggregates.lifecycle import Status
from aggregates.policies import Policies
from aggregates.runs.events import RunType
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.prices import graduated, volume
from tests.application.scenes import at, january_charge, opened, used, with_customer

EXPIRY = "2026-01-20T00:00:00Z"
COLLECTED = "2026-02-03T00:01:00Z"


@pytest.fixture
def ledger(store_url: str) -> Any:
    with opened(store_url, policies=Policies.standard()) as opened_ledger:
        with_customer(opened_ledger)
        yield opened_ledger


def credit_and_usage(ledger: Ledger, customer: str = "acme") -> None:
    ledger.credits.grant(customer, "100", expires_at=EXPIRY)
    ledger.credits.grant(customer, "50")
    used(ledger, "30", "2026-01-10T00:00:00Z", customer=customer)
    used(ledger, "60", "2026-01-25T00:00:00Z", customer=customer)


def figures(ledger: Ledger, customer: str = "acme") -> tuple[str, str]:
    """What is settled, and what has lapsed."""
    balance = ledger.views.balance(customer)
    return f"{balance.settled:.0f}", f"{balance.breakage:.0f}"


def runs(ledger: Ledger, customer: str = "acme") -> list[str]:
    """The runs of the customer's usage: where each ends, and what it is rated at."""
    [charge] = [charge for charge in ledger.charges.list(customer) if charge.runs]
    return [f"{run.service_period_to:%m-%d}: {run.totals.amount:.0f}" for run in ledger.charges.runs(charge.id)]


def test_credit_that_was_alive_pays_and_what_is_left_of_it_lapses(ledger: Ledger) -> None:
    charge = january_charge(ledger)
    credit_and_usage(ledger)
    at(ledger, COLLECTED)

    ledger.worker.run_once()

    assert runs(ledger) == ["01-20: 30", "02-01: 60"]
    assert figures(ledger) == ("-10", "70")
    assert ledger.charges.get(charge.id).status is Status.FINAL
    assert ledger.audit.verify().sound


def test_a_worker_that_comes_every_day_settles_each_part_in_its_time(ledger: Ledger) -> None:
    charge = january_charge(ledger)
    credit_and_usage(ledger)

    for day, status in (
        ("2026-01-20T00:00:00Z", Status.WAITING_FOR_COLLECTION),
        ("2026-01-22T00:01:00Z", Status.ACTIVE),
        ("2026-02-01T00:00:00Z", Status.WAITING_FOR_COLLECTION),
        (COLLECTED, Status.FINAL),
    ):
        at(ledger, day)
        ledger.worker.run_once()
        assert ledger.charges.get(charge.id).status is status

    assert runs(ledger) == ["01-20: 30", "02-01: 60"]
    assert figures(ledger) == ("-10", "70")
    assert ledger.audit.verify().sound


def test_credit_that_comes_while_usage_runs_is_looked_at_in_its_time(ledger: Ledger) -> None:
    """The charge would be looked at again on 1 February; credit that expires on the 20th has it looked at then."""
    charge = january_charge(ledger)
    assert ledger.charges.get(charge.id).advance_after == timestamp("2026-02-01T00:00:00Z")

    ledger.credits.grant("acme", "100", expires_at=EXPIRY)
    assert ledger.charges.get(charge.id).advance_after == timestamp(EXPIRY)
    ledger.credits.grant("acme", "100", expires_at="2026-01-25T00:00:00Z")
    ledger.credits.grant("acme", "100", expires_at="2026-02-25T00:00:00Z")

    assert ledger.charges.get(charge.id).advance_after == timestamp(EXPIRY)


def test_credit_for_another_feature_or_in_another_currency_moves_nothing(ledger: Ledger) -> None:
    charge = january_charge(ledger)
    ledger.catalogue.define_currency("TOKENS", precision=0)

    ledger.credits.grant("acme", "100", expires_at=EXPIRY, features=["storage"])
    ledger.credits.grant("acme", "100", currency="TOKENS", expires_at=EXPIRY)

    assert ledger.charges.get(charge.id).advance_after == timestamp("2026-02-01T00:00:00Z")


def test_a_customer_may_have_one_run_of_its_own_accord(ledger: Ledger) -> None:
    ledger.customers.create("birch", run_cuts="period_end")
    january_charge(ledger, "birch")
    credit_and_usage(ledger, "birch")
    at(ledger, COLLECTED)

    ledger.worker.run_once()

    assert runs(ledger, "birch") == ["02-01: 90"]
    assert figures(ledger, "birch") == ("-40", "100")


def test_a_customer_may_have_a_run_every_ten_days(ledger: Ledger) -> None:
    ledger.customers.create("birch", run_cuts="period_end", periodic_runs="P10D", zone="America/New_York")
    january_charge(ledger, "birch", graduated(("25", "2"), (None, "1")))
    credit_and_usage(ledger, "birch")
    at(ledger, "2026-01-31T00:00:00Z")

    ledger.worker.run_once()

    assert runs(ledger, "birch") == ["01-11: 55", "01-21: 0", "01-31: 60"]


def test_usage_of_an_early_part_that_is_stored_after_the_last_is_a_late_adjustment(ledger: Ledger) -> None:
    charge = january_charge(ledger)
    credit_and_usage(ledger)
    at(ledger, COLLECTED)
    ledger.worker.run_once()

    at(ledger, "2026-02-10T00:00:00Z")
    used(ledger, "3", "2026-01-11T00:00:00Z")
    at(ledger, "2026-02-11T00:00:00Z")
    ledger.worker.run_once()

    late = ledger.charges.runs(charge.id)[-1]
    assert (late.type, late.totals.amount) == (RunType.LATE_ADJUSTMENT, 3)
    assert (f"{late.service_period_from:%m-%d}", f"{late.service_period_to:%m-%d}") == ("01-20", "02-01")
    assert figures(ledger) == ("-13", "70")
    assert ledger.audit.verify().sound


def test_a_cheaper_price_for_all_gives_credit_of_an_earlier_part_back(ledger: Ledger) -> None:
    """Up to 40 units cost 2 each, with one more all cost 1: 40 take 80 of credit, 41 come to 41, and 39 go back."""
    january_charge(ledger, price=volume(("40", "2"), (None, "1")))
    ledger.credits.grant("acme", "100", expires_at=EXPIRY)
    used(ledger, "40", "2026-01-10T00:00:00Z")
    used(ledger, "1", "2026-01-25T00:00:00Z")
    at(ledger, COLLECTED)

    ledger.worker.run_once()

    assert runs(ledger) == ["01-20: 80", "02-01: -39"]
    balance = ledger.views.balance("acme")
    assert (balance.settled, balance.breakage) == (39, 20), "39 came back after their expiry, and live on for 30 days"
    assert ledger.audit.verify().sound


def test_an_advance_that_is_repeated_makes_no_second_run(ledger: Ledger) -> None:
    january_charge(ledger)
    credit_and_usage(ledger)
    at(ledger, "2026-01-21T00:00:00Z")

    ledger.charges.advance("acme", command_id="0198f000-0000-7000-8000-000000000001")
    ledger.charges.advance("acme", command_id="0198f000-0000-7000-8000-000000000001")
    ledger.charges.advance("acme")

    assert runs(ledger) == ["01-20: 30"]


def test_each_part_says_why_it_comes_to_what_it_comes_to(ledger: Ledger) -> None:
    charge = january_charge(ledger, price=graduated(("40", "2"), (None, "1")))
    credit_and_usage(ledger)
    at(ledger, COLLECTED)
    ledger.worker.run_once()

    first, last = ledger.charges.runs(charge.id)

    assert [run.totals.amount for run in (first, last)] == [60, 70]
    assert [run.pre_line_quantity for run in (first, last)] == [0, 30]
    for run in (first, last):
        assert ledger.audit.why(run.id) is not None


def test_views_of_parts_are_the_same_after_a_rebuild(ledger: Ledger) -> None:
    january_charge(ledger)
    credit_and_usage(ledger)
    at(ledger, COLLECTED)
    ledger.worker.run_once()
    before = figures(ledger)

    ledger.projections.rebuild()

    assert figures(ledger) == before
