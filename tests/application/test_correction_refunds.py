"""Credit that a correction gave for what had been paid is paid back, as far as it is not used (decision 20)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import pytest

from aggregates.credits.refusals import CorrectionCreditExceeded
from aggregates.values.errors import RunNotFound, ValidationFailed
from ledger.prices import unit, volume
from tests.application.late import Late
from tests.application.test_refunds import adds_up


@pytest.fixture
def late(store_url: str) -> Iterator[Late]:
    with Late(store_url) as scene:
        yield scene
        scene.sound()


def corrected(late: Late) -> UUID:
    """150 invoiced and paid; then 16 units cost 80, and 70 of what was paid is credit. The run that gave it."""
    charge = late.january(price=volume(("15", "10"), (None, "5")))
    late.use(15)
    late.closed()
    late.paid()
    late.later(1)
    run = late.runs(charge)[1]
    assert run.correction_credit == 70
    return run.id


def books(late: Late) -> list[Decimal]:
    """Credit, open receivable, and what was received less what went back."""
    balance = late.ledger.views.balance("acme")
    return [balance.fbo, balance.receivable_open, -balance.wash]


def test_part_of_it_and_then_the_rest_is_paid_back(late: Late) -> None:
    run = corrected(late)
    assert books(late) == [70, 0, 150]

    assert late.ledger.credits.refund_correction("acme", run, "20", command_id="once") == 50
    assert late.ledger.credits.refund_correction("acme", str(run), "20", command_id="once") == 50
    assert books(late) == [50, 0, 130]

    assert late.ledger.credits.refund_correction("acme", run) == 0
    assert books(late) == [0, 0, 80]
    adds_up(late.ledger, "2026-03")
    told = [line.sentence for line in late.ledger.audit.history(customer="acme")]
    assert [line for line in told if "paid back" in line] == [
        f"Correction credit of run {str(run)[:8]}…{str(run)[-4:]} paid back: 20.00 USD",
        f"Correction credit of run {str(run)[:8]}…{str(run)[-4:]} paid back: 50.00 USD",
    ]


def test_what_was_used_of_it_is_not_paid_back(late: Late) -> None:
    """70, of which 50 pay for March: 20 go back, and 21 would be too much."""
    run = corrected(late)
    late.ledger.charges.create_usage(
        "acme", feature="calls", price=unit("1"), period_from="2026-03-01T00:00:00Z", period_to="2026-04-01T00:00:00Z"
    )
    late.use(50, "2026-03-20T00:00:00Z")
    late.worked("2026-04-01T00:00:00Z", "2026-04-04T00:00:00Z")

    with pytest.raises(CorrectionCreditExceeded) as raised:
        late.ledger.credits.refund_correction("acme", run, "21")
    assert (raised.value.asked, raised.value.left) == (21, 20)
    assert late.ledger.credits.refund_correction("acme", run, "20") == 0
    with pytest.raises(CorrectionCreditExceeded):
        late.ledger.credits.refund_correction("acme", run)
    assert books(late) == [0, 0, 130]


def test_other_credit_of_the_customer_stays_where_it_is(late: Late) -> None:
    run = corrected(late)
    late.ledger.credits.grant("acme", "15")

    assert late.ledger.credits.refund_correction("acme", run) == 0

    assert books(late)[0] == 15


def test_only_a_run_of_the_customer_that_gave_credit_has_any(late: Late) -> None:
    run = corrected(late)
    other = late.runs(late.ledger.charges.list("acme")[0])[0].id
    late.ledger.customers.create("globex")

    with pytest.raises(CorrectionCreditExceeded):
        late.ledger.credits.refund_correction("acme", other)
    with pytest.raises(RunNotFound):
        late.ledger.credits.refund_correction("globex", run)
    with pytest.raises(RunNotFound):
        late.ledger.credits.refund_correction("acme", "nothing")
    with pytest.raises(ValidationFailed):
        late.ledger.credits.refund_correction("acme", run, "0")
