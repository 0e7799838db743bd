"""What a creation moves besides what it creates (lifecycles §14.1)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aggregates.charges.state import Charge
from aggregates.lifecycle import Status
from ledger.facade import Ledger
from tests.application.scenes import at, january_charge, opened, with_customer


@pytest.fixture
def ledger(store_url: str) -> Iterator[Ledger]:
    with opened(store_url, "2025-12-01T00:00:00Z") as ledger:
        with_customer(ledger)
        yield ledger


def fee(ledger: Ledger, month: int = 1, mode: str = "credit_only") -> Charge:
    return ledger.charges.create_flat_fee(
        "acme",
        amount="10",
        period_from=f"2026-{month:02}-01T00:00:00Z",
        period_to=f"2026-{month + 1:02}-01T00:00:00Z",
        settlement_mode=mode,
    )


def test_what_is_due_from_credit_alone_takes_the_customers_other_charges_with_it(ledger: Ledger) -> None:
    waiting = january_charge(ledger)
    at(ledger, "2026-01-10T00:00:00Z")

    assert fee(ledger).status is Status.FINAL
    assert ledger.charges.get(waiting.id).status is Status.ACTIVE


def test_nothing_else_that_is_created_moves_them(ledger: Ledger) -> None:
    """Not what is invoiced, not what is still to come, and no purchase."""
    waiting = january_charge(ledger)
    at(ledger, "2026-01-10T00:00:00Z")

    assert fee(ledger, mode="credit_then_invoice").status is Status.CREATED
    assert fee(ledger, month=3).status is Status.CREATED
    ledger.credits.grant("acme", "5")
    ledger.credits.sell("acme", "5", cost_basis="1")

    assert ledger.charges.get(waiting.id).status is Status.CREATED
    ledger.charges.advance("acme")
    assert ledger.charges.get(waiting.id).status is Status.ACTIVE
