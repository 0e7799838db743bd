"""Usage of the time before an override, stored after it: rated by the terms that it was invoiced by, over every store.

January at 1 a call, invoiced in parts (decision 24, lifecycles §22 row 3): 10 calls by the 16th are issued, and from
there on a call costs 2. What comes late of the days before is another 1 a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from aggregates.charges.state import Charge
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.lifecycle import Status
from aggregates.rating.prices import Tier, TieredPrice, UnitPrice
from ledger.prices import unit
from tests.application.late import Late

END = "2026-02-01T00:00:00Z"
BEFORE, AFTER = "2026-01-12T00:00:00Z", "2026-01-20T00:00:00Z"


@pytest.fixture
def late(store_url: str) -> Iterator[Late]:
    with Late(store_url, progressive_billing=True) as scene:
        yield scene
        scene.sound()


def billed(late: Late, price: object = unit("1"), day: int = 16) -> Charge:
    """10 calls by that day, issued."""
    charge = late.january(price=price)
    late.use(10, "2026-01-10T00:00:00Z")
    issue(late, day)
    return charge


def issue(late: Late, day: int) -> None:
    late.at(f"2026-01-{day}T00:00:00Z").invoices.invoice_pending_lines("acme")
    late.worked(f"2026-01-{day}T00:01:00Z")


def override(late: Late, charge: Charge, price: object = unit("2"), day: int = 16, **terms: Any) -> None:
    period = {"from_": f"2026-01-{day}T00:00:00Z", "to": END}
    late.ledger.charges.set_override(charge.id, service_period=period, price=price, **terms)


def settled(late: Late, day: int = 5) -> None:
    """The worker looks until nothing is left to do."""
    late.worked(*(f"2026-02-{day:02}T{hour:02}:00:00Z" for hour in range(6)))


def test_what_was_stored_before_the_override_and_not_billed_is_billed_by_the_former_terms(late: Late) -> None:
    """3 calls of the 12th, stored on the 17th: the next part would have billed them, but for the override."""
    charge = billed(late)
    late.at("2026-01-17T00:00:00Z")
    late.use(3, BEFORE)
    late.worked("2026-01-17T00:02:00Z")
    override(late, charge)
    late.use(5, AFTER)
    late.closed()
    settled(late)

    assert sorted(late.figures(charge)) == [
        ("final_realization", "10.00", "0"),
        ("late_adjustment", "3.00", "0"),
        ("partial_invoice", "10.00", "0"),
    ]
    [adjustment] = [run for run in late.runs(charge) if run.type.value == "late_adjustment"]
    assert (adjustment.metered_quantity, adjustment.pre_line_quantity) == (13, 10)
    assert (f"{adjustment.service_period_from:%d}", f"{adjustment.service_period_to:%d}") == ("01", "16")
    late.paid()
    assert late.ledger.charges.get(charge.id).status is Status.FINAL
    found = late.ledger.audit.why(adjustment.id)
    assert isinstance(found.price, UnitPrice)
    assert (found.price.amount, found.lines[0].line.per_unit_amount) == (1, 1)


def test_what_is_stored_after_the_override_is_billed_by_the_former_terms_once_the_rest_is_billed(late: Late) -> None:
    charge = billed(late)
    override(late, charge)
    late.use(5, AFTER)
    late.at("2026-01-25T00:00:00Z")
    late.use(3, BEFORE)
    late.worked("2026-01-25T00:02:00Z")
    late.closed()
    settled(late)

    assert late.rated(charge) == 10 + 3 + 10
    late.later(2)
    late.worked("2026-03-01T01:00:00Z", "2026-03-01T02:00:00Z")
    assert late.rated(charge) == 10 + 3 + 10 + 2
    late.paid()
    assert late.ledger.charges.get(charge.id).status is Status.FINAL


def test_both_sides_have_adjustments_of_their_own(late: Late) -> None:
    """4 late calls before at 1, 3 after at 2: 4.00 and 6.00, one invoice after the other."""
    charge = billed(late)
    override(late, charge)
    late.use(5, AFTER)
    late.closed()
    settled(late)
    late.paid()

    late.at("2026-03-01T00:00:00Z")
    late.use(4, BEFORE)
    late.use(3, AFTER)
    late.worked(*(f"2026-03-01T{hour:02}:00:00Z" for hour in range(1, 7)))

    amounts = sorted(total for kind, total, _ in late.figures(charge) if kind == "late_adjustment")
    assert amounts == ["4.00", "6.00"]
    assert late.rated(charge) == 10 + 10 + 4 + 6
    assert late.ledger.usage.late("acme").items == ()
    late.paid()
    assert late.ledger.charges.get(charge.id).status is Status.FINAL


def test_less_usage_before_is_given_back_by_what_was_issued_for_it(late: Late) -> None:
    """10.00 paid for the first part, 10.00 open for the second: 4 calls fewer before the 16th are 4.00 of credit."""
    charge = billed(late)
    late.paid()
    override(late, charge)
    late.use(5, AFTER)
    late.closed()
    settled(late)

    late.at("2026-03-01T00:00:00Z")
    late.use(-4, BEFORE)
    late.worked("2026-03-01T00:02:00Z", "2026-03-01T01:00:00Z")

    first, second = late.ledger.invoices.list("acme")
    assert [first.credited, second.credited] == [4, 0]
    assert late.ledger.views.balance("acme").fbo == 4
    assert late.rated(charge) == 10 + 10 - 4


def test_three_terms_one_after_the_other(late: Late) -> None:
    """At 1 until the 16th, at 2 until the 21st, at 3 from there: a late call in each is 1, 2 and 3."""
    charge = billed(late)
    override(late, charge)
    late.use(5, "2026-01-18T00:00:00Z")
    issue(late, 21)
    override(late, charge, unit("3"), day=21)
    late.use(5, "2026-01-25T00:00:00Z")
    late.closed()
    settled(late)
    assert late.rated(charge) == 10 + 10 + 15

    late.at("2026-03-01T00:00:00Z")
    for day in (12, 17, 26):
        late.use(1, f"2026-01-{day}T00:00:00Z")
    late.worked(*(f"2026-03-01T{hour:02}:00:00Z" for hour in range(1, 9)))

    assert sorted(total for kind, total, _ in late.figures(charge) if kind == "late_adjustment") == [
        "1.00",
        "2.00",
        "3.00",
    ]


def test_tiers_go_on_where_the_former_terms_had_come_to_and_their_minimum_is_not_charged(late: Late) -> None:
    """10 at 1, the rest at 0.5, at least 100 for all of January: 4 late calls of the first half are 2.00."""
    tiers = (Tier(up_to_amount=Decimal(10), unit_price=Decimal(1)), Tier(unit_price=Decimal("0.5")))
    price = TieredPrice(mode="graduated", tiers=tiers, minimum_amount=Decimal(100))
    charge = billed(late, price)
    override(late, charge)
    late.use(5, AFTER)
    late.closed()
    settled(late)

    late.at("2026-03-01T00:00:00Z")
    late.use(4, BEFORE)
    late.worked("2026-03-01T00:02:00Z", "2026-03-01T01:00:00Z")

    assert late.figures(charge)[-1] == ("late_adjustment", "2.00", "0")


def test_usage_in_a_gap_before_the_override_begins_is_nobodys(late: Late) -> None:
    charge = billed(late)
    override(late, charge, day=18)
    late.use(5, AFTER)
    late.closed()
    settled(late)

    late.at("2026-03-01T00:00:00Z")
    late.use(4, "2026-01-17T00:00:00Z")
    late.worked("2026-03-01T00:02:00Z", "2026-03-01T01:00:00Z")

    assert late.rated(charge) == 20
    assert late.ledger.usage.late("acme").items == ()


@pytest.mark.parametrize(("said", "outcome"), [("none", "left"), ("ask", "asked"), ("absorb:3", "absorbed")])
def test_the_policy_decides_and_somebody_may_think_better_of_it(store_url: str, said: str, outcome: str) -> None:
    with Late(store_url, progressive_billing=True, late_usage=said) as late:
        charge = billed(late)
        late.at("2026-01-17T00:00:00Z")
        late.use(3, BEFORE)
        late.worked("2026-01-17T00:02:00Z")
        override(late, charge)
        late.use(5, AFTER)
        late.closed()
        settled(late)

        [found] = late.ledger.usage.late("acme").items
        assert (found.outcome, found.quantity, found.amount) == (outcome, 13 + 5, 3)
        assert late.rated(charge) == 20
        late.ledger.charges.bill_late_usage(charge.id, command_id="bill")
        late.ledger.charges.bill_late_usage(charge.id, command_id="bill")
        settled(late, 6)

        assert late.rated(charge) == 23
        assert late.ledger.usage.late("acme").items == ()
        late.sound()


def test_it_is_not_forgotten_when_the_rest_is_billed_anew(store_url: str) -> None:
    """Somebody is asked about 3.00 when the invoice of the second part is voided, and again when that is billed."""
    with Late(store_url, progressive_billing=True, late_usage="ask") as late:
        charge = billed(late)
        override(late, charge)
        late.use(5, AFTER)
        late.closed()
        late.at("2026-02-04T00:00:00Z")
        late.use(3, BEFORE)
        late.worked("2026-02-04T00:02:00Z", "2026-02-04T00:03:00Z")
        [before] = late.ledger.usage.late("acme").items

        late.ledger.invoices.void(late.ledger.invoices.list("acme")[1].id)
        settled(late)

        [after] = late.ledger.usage.late("acme").items
        assert [(each.outcome, each.amount) for each in (before, after)] == [("asked", 3)] * 2
        assert late.rated(charge) == 20
        late.sound()


def test_an_invoice_under_former_terms_that_is_voided_is_billed_again_by_them(late: Late) -> None:
    """10.00 of the first half, voided while the second runs: billed again at 1, and not at 2."""
    charge = billed(late)
    override(late, charge)
    late.use(5, AFTER)
    late.ledger.invoices.void(late.ledger.invoices.list("acme")[0].id)
    late.closed()
    settled(late)

    standing = [i for i in late.ledger.invoices.list("acme") if i.status is not InvoiceStatus.VOIDED]
    assert sorted(invoice.totals.total for invoice in standing) == [10, 10]
    assert late.rated(charge) == 20
    late.paid()
    assert late.ledger.charges.get(charge.id).status is Status.FINAL
    late.at("2026-03-01T00:00:00Z")
    late.use(1, BEFORE)
    late.worked("2026-03-01T00:02:00Z", "2026-03-01T01:00:00Z")
    assert late.rated(charge) == 21


def test_an_override_that_is_cleared_leaves_all_of_it_to_the_base(late: Late) -> None:
    charge = billed(late)
    override(late, charge)
    late.at("2026-01-17T00:00:00Z")
    late.use(3, BEFORE)
    late.ledger.charges.clear_override(charge.id)
    late.use(5, AFTER)
    late.closed()
    settled(late)

    assert [total for _, total, _ in late.figures(charge)] == ["10.00", "8.00"]
    assert late.rated(charge) == Decimal(18)
