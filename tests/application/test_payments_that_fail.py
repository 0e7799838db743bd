"""Payments of sold credit that come to nothing, through the facade: what goes, what stays owed, what comes of that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from aggregates.policies import Policies
from aggregates.values.errors import LedgerError
from ledger.facade import Ledger
from tests.application.scenes import at, january_charge, opened, used, with_customer


@pytest.fixture
def ledger(store_url: str) -> Iterator[Ledger]:
    opened_ledger = opened(store_url, policies=Policies.standard())
    with_customer(opened_ledger)
    yield opened_ledger
    assert opened_ledger.audit.verify().sound
    opened_ledger.close()


def sold(ledger: Ledger, *, status: str = "settled", **terms: Any) -> str:
    """100 at 0.5."""
    return str(ledger.credits.sell("acme", "100", cost_basis="0.5", initial_status=status, **terms).id)


def use(ledger: Ledger, quantity: str) -> None:
    january_charge(ledger)
    used(ledger, quantity, "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")


def books(ledger: Ledger) -> list[str]:
    """What is left, owed (open and promised), in the bank, with the brokerage, lost, and earned at face value."""
    found = ledger.views.balance("acme")
    figures = (
        found.settled,
        found.receivable_open,
        found.receivable_authorized,
        -found.wash,
        found.brokerage,
        found.bad_debt,
        found.earnings,
    )
    return [f"{figure:.2f}" for figure in figures]


def considered(ledger: Ledger, month: str = "2026-02") -> dict[str, str]:
    """The trial balance by consideration, what is zero left out; it sums to zero, and so do the face values."""
    rows = ledger.statements.trial_balance(month).rows
    assert sum(row.face for row in rows) == 0
    assert sum(row.consideration for row in rows) == 0
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:  # a custom currency has rows in both currencies
        sums[row.account.value] += row.consideration
    return {account: f"{worth:.2f}" for account, worth in sums.items() if worth}


def status(ledger: Ledger, purchase: str) -> str:
    return ledger.charges.get(purchase).status.value


def refused(ledger: Ledger, call: Any) -> str:
    position = ledger.store.head()
    with pytest.raises(LedgerError) as refusal:
        call()
    assert ledger.store.head() == position, "a refusal writes nothing"
    return refusal.value.code


OWED = ["0.00", "-20.00", "0.00", "0.00", "-20.00", "0.00", "40.00"]
"""100 at 0.5, 40 used, nothing paid: 60 gone, 20.00 owed."""


@pytest.mark.parametrize(
    ("paid", "step"),
    [
        ("created", "failed"),
        ("created", "cancelled"),
        ("authorized", "failed"),
        ("authorized", "cancelled"),
        ("settled", "failed"),
        ("settled", "cancelled"),
        ("settled", "charged_back"),
    ],
)
def test_unused_credit_goes_and_what_was_used_stays_owed(ledger: Ledger, paid: str, step: str) -> None:
    """Decision 26: 100 at 0.5, 40 used: 60 gone, 20.00 owed, wherever the payment fails; and again is nothing new."""
    purchase = sold(ledger, status=paid)
    use(ledger, "40")
    charge = ledger.credits.record_payment(purchase, step, reason="insufficient funds")

    assert charge.status.value == "active.payment.failed"
    assert charge.failed_payment is not None
    assert (charge.failed_payment.fiat_owed, charge.failed_payment.detail) == (Decimal(20), "insufficient funds")
    assert books(ledger) == OWED
    assert considered(ledger) == {"earnings": "20.00", "customer_receivable": "-20.00"}
    position = ledger.store.head()
    for again in ("failed", "cancelled", "charged_back"):
        ledger.credits.record_payment(purchase, again)
    assert ledger.store.head() == position


def test_tried_again_only_what_is_owed_is_asked_for(ledger: Ledger) -> None:
    purchase = sold(ledger)
    use(ledger, "40")
    ledger.credits.record_payment(purchase, "charged_back")
    assert ledger.credits.retry_payment(purchase).status.value == "active.payment.pending"
    authorized = ledger.credits.record_payment(purchase, "authorized")
    assert authorized.payment is not None
    assert authorized.payment.fiat_amount == 20
    assert books(ledger) == ["0.00", "0.00", "-20.00", "0.00", "-20.00", "0.00", "40.00"]
    ledger.credits.record_payment(purchase, "paid")

    assert status(ledger, purchase) == "final"
    assert books(ledger) == ["0.00", "0.00", "0.00", "20.00", "-20.00", "0.00", "40.00"]
    assert considered(ledger) == {"earnings": "20.00", "wash": "-20.00"}


def test_what_nobody_pays_is_written_off_and_owed_again_when_money_comes_after_all(ledger: Ledger) -> None:
    """Decision 22: bad debt is what was owed in money; a later receipt takes it back."""
    purchase = sold(ledger)
    use(ledger, "40")
    ledger.credits.record_payment(purchase, "charged_back")
    written_off = ledger.credits.write_off_payment(purchase)
    assert (written_off.status.value, str(written_off.payment_status)) == ("final", "written_off")
    assert books(ledger) == ["0.00", "0.00", "0.00", "0.00", "-20.00", "-20.00", "40.00"]
    assert considered(ledger) == {"earnings": "20.00", "bad_debt": "-20.00"}
    position = ledger.store.head()
    ledger.credits.write_off_payment(purchase)
    assert ledger.store.head() == position, "written off once"
    assert refused(ledger, lambda: ledger.credits.record_payment(purchase, "charged_back")) == "unsupported_operation"
    ledger.credits.receive(purchase, "5")
    assert books(ledger) == ["0.00", "0.00", "0.00", "5.00", "-20.00", "-15.00", "40.00"]
    assert status(ledger, purchase) == "final"
    ledger.credits.receive(purchase, "15")

    assert books(ledger) == ["0.00", "0.00", "0.00", "20.00", "-20.00", "0.00", "40.00"]
    assert str(ledger.charges.get(purchase).payment_status) == "settled"


def test_reported_as_paid_after_a_write_off_the_whole_debt_is_back_and_paid(ledger: Ledger) -> None:
    purchase = sold(ledger, status="authorized")
    use(ledger, "40")
    ledger.credits.record_payment(purchase, "failed")
    ledger.credits.write_off_payment(purchase)
    ledger.credits.record_payment(purchase, "paid")

    assert books(ledger) == ["0.00", "0.00", "0.00", "20.00", "-20.00", "0.00", "40.00"]
    assert status(ledger, purchase) == "final"


def test_money_that_comes_while_the_payment_has_failed_is_recorded_and_pays(ledger: Ledger) -> None:
    """Decision 27: without being asked for again."""
    purchase = sold(ledger, status="authorized")
    use(ledger, "40")
    ledger.credits.record_payment(purchase, "failed")
    assert refused(ledger, lambda: ledger.credits.record_payment(purchase, "authorized")) == "unsupported_operation"
    ledger.credits.record_payment(purchase, "paid")

    assert books(ledger) == ["0.00", "0.00", "0.00", "20.00", "-20.00", "0.00", "40.00"]
    assert status(ledger, purchase) == "final"


def test_with_nothing_used_nothing_is_owed_and_writing_off_just_ends_it(ledger: Ledger) -> None:
    purchase = sold(ledger)
    ledger.credits.record_payment(purchase, "charged_back")
    assert books(ledger) == ["0.00"] * 7
    assert refused(ledger, lambda: ledger.credits.retry_payment(purchase)) == "nothing_owed"
    ledger.credits.write_off_payment(purchase)

    assert status(ledger, purchase) == "final"
    assert books(ledger) == ["0.00"] * 7
    assert considered(ledger, "2026-01") == {}
