"""Live and pending balances: usage that is not booked yet counts, and credit on its way is told apart (ledger §9)."""

from __future__ import annotations

from typing import Any

import pytest

from aggregates.policies import Policies
from ledger.facade import Ledger
from tests.application.scenes import at, january_charge, opened, used, with_customer


@pytest.fixture
def ledger(store_url: str) -> Any:
    with opened(store_url, policies=Policies.standard()) as opened_ledger:
        with_customer(opened_ledger)
        yield opened_ledger


def figures(ledger: Ledger, **filtered: Any) -> list[str]:
    found = ledger.live.balance("acme", **filtered)
    return [f"{found.settled:.0f}", f"{found.live:.0f}", f"{found.pending:.0f}"]


def use(ledger: Ledger, quantity: str, **terms: Any) -> None:
    january_charge(ledger, **terms)
    used(ledger, quantity, "2026-01-10T00:00:00Z")
    at(ledger, "2026-01-20T00:00:00Z")


def test_usage_from_credit_only_is_subtracted_in_full(ledger: Ledger) -> None:
    ledger.credits.grant("acme", "100")
    use(ledger, "30")
    assert figures(ledger) == ["100", "70", "0"]


def test_usage_that_is_invoiced_beyond_credit_never_goes_below_zero(ledger: Ledger) -> None:
    ledger.credits.grant("acme", "20")
    use(ledger, "30", settlement_mode="credit_then_invoice")
    assert figures(ledger) == ["20", "0", "0"]


def test_booking_changes_the_settled_balance_and_not_the_live_one(ledger: Ledger) -> None:
    use(ledger, "30")
    assert figures(ledger) == ["0", "-30", "0"]
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")
    assert figures(ledger) == ["-30", "-30", "0"]


def test_credit_that_is_not_effective_yet_is_pending(ledger: Ledger) -> None:
    ledger.credits.grant("acme", "50", effective_at="2026-03-01T00:00:00Z")
    assert figures(ledger) == ["0", "0", "50"]
    at(ledger, "2026-03-01T00:00:00Z")
    assert figures(ledger) == ["50", "50", "0"]


def test_credit_for_something_else_is_left_alone(ledger: Ledger) -> None:
    ledger.catalogue.define_feature("storage", meter="calls")
    ledger.credits.grant("acme", "100", features=("storage",))
    use(ledger, "30", settlement_mode="credit_then_invoice")
    assert figures(ledger) == ["100", "100", "0"]
