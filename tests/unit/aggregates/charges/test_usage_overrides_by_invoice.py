"""Overrides of usage that is settled by invoice, once a part of it was issued (lifecycles §22 row 3).

What was issued keeps its terms. An override may hold from there on: usage is metered anew from its start, and what was
billed before is not subtracted. Only under policies that can correct what was issued (`credit_notes`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from aggregates.charges import decisions
from aggregates.charges.intent import SettlementMode
from aggregates.charges.requests import ShrinkToRealized
from aggregates.lifecycle import Status
from aggregates.policies import Policies
from aggregates.rating.prices import Tier, TieredPrice, UnitPrice
from aggregates.values.errors import (
    CannotEditProgressivelyBilledLine,
    OverridesBilledUsage,
    PreconditionFailed,
    UnsupportedOperation,
)
from aggregates.values.period import period, timestamp
from tests.support.charging import World, new_usage, usage_terms

END, COLLECTED = "2026-02-01", "2026-02-03T00:01Z"

TEN_AT_ONE = TieredPrice(
    mode="graduated",
    tiers=(Tier(up_to_amount=Decimal(10), unit_price=Decimal(1)), Tier(unit_price=Decimal("0.5"))),
)


def partly_billed(policies: Policies | None = None) -> tuple[World, UUID]:
    """Graduated, up to 10 at 1, the rest at 0.5: 15 units up to 16 January are issued at 12.50; 15 more come after."""
    world = World(policies=policies if policies is not None else Policies.standard())
    request = new_usage(usage_terms(price=TEN_AT_ONE), settlement_mode=SettlementMode.CREDIT_THEN_INVOICE)
    [charge] = world.create(request, at="2025-12-01")
    world.advance(charge, "2026-01-01")
    world.use(15, "2026-01-10")
    world.use(15, "2026-01-20")
    world.invoiced(charge, "2026-01-16", "2026-01-16T00:01Z")
    return world, charge


def rest(begins: str = "2026-01-16", **terms: Any) -> Any:
    """Terms for the rest of January: 2 a unit."""
    return usage_terms(begins, price=UnitPrice(amount=Decimal(2)), **terms)


def test_an_override_may_hold_from_the_end_of_what_was_issued() -> None:
    """The 15 units that were issued stay at 12.50; the 15 of the rest cost 2 each, and are counted from one again."""
    world, charge = partly_billed()

    world.set_override(charge, rest(), "2026-01-17")
    assert world.charge(charge).status is Status.ACTIVE
    line = world.charge(charge).gathering_line
    assert line is not None
    assert line.period == period("2026-01-16", END)
    world.invoiced(charge, END, COLLECTED, line=2)

    assert [run.totals.total for run in world.runs(charge)] == [Decimal("12.5"), 30]
    assert [(run.metered_quantity, run.pre_line_quantity) for run in world.runs(charge)][1] == (15, 0)
    assert world.charge(charge).status is Status.AWAITING_PAYMENT_SETTLEMENT
    world.line_paid(charge, "2026-02-10", line=2)
    assert world.charge(charge).status is Status.AWAITING_PAYMENT_SETTLEMENT, "the first invoice is open"
    world.line_paid(charge, "2026-02-11")
    assert world.charge(charge).status is Status.FINAL


def test_an_override_may_not_reach_back_into_what_was_issued() -> None:
    world, charge = partly_billed()

    with pytest.raises(OverridesBilledUsage) as refused:
        world.set_override(charge, rest("2026-01-15T23:59:59Z"), "2026-01-17")

    assert refused.value.billed_until == timestamp("2026-01-16")
    assert refused.value.charge_id == charge
    assert world.charge(charge).intent.override is None


def test_an_override_may_begin_later_and_what_lies_between_is_not_billed() -> None:
    world, charge = partly_billed()
    world.use(3, "2026-01-17")

    world.set_override(charge, rest("2026-01-19"), "2026-01-17")
    world.invoiced(charge, END, COLLECTED, line=2)

    assert [run.totals.total for run in world.runs(charge)] == [Decimal("12.5"), 30]


def test_where_issued_lines_cannot_be_corrected_what_is_billed_holds_for_the_whole_charge() -> None:
    world, charge = partly_billed(Policies.reference())

    with pytest.raises(PreconditionFailed) as refused:
        world.set_override(charge, rest(), "2026-01-17")

    assert refused.value.code == "precondition_failed"
    assert world.charge(charge).intent.override is None


def test_nothing_is_overridden_while_a_line_is_on_a_draft() -> None:
    """lifecycles §8.4, §21: the run forbids it, not the status; it is allowed again once that is billed."""
    world, charge = partly_billed()
    world.set_override(charge, rest(), "2026-01-17")
    world.line_made(charge, "2026-01-21", "2026-01-21T00:01Z", line=2)

    for refused in (
        lambda: world.set_override(charge, rest("2026-01-21"), "2026-01-21T00:01Z"),
        lambda: world.clear_override(charge, "2026-01-21T00:01Z"),
    ):
        with pytest.raises(PreconditionFailed):
            refused()


def test_a_deleted_charge_has_no_override() -> None:
    world, charge = partly_billed()
    world.delete(charge, "2026-01-17")

    with pytest.raises(UnsupportedOperation):
        world.set_override(charge, rest("2026-01-21"), "2026-01-18")


def test_clearing_an_override_lets_the_rest_be_rated_with_what_was_issued_before_it() -> None:
    world, charge = partly_billed()
    world.set_override(charge, rest(), "2026-01-17")

    world.clear_override(charge, "2026-01-18")
    world.invoiced(charge, END, COLLECTED, line=2)

    assert [run.totals.total for run in world.runs(charge)] == [Decimal("12.5"), Decimal("7.5")]
    assert world.runs(charge)[1].pre_line_quantity == 15


def test_an_override_under_which_something_was_issued_can_be_followed_by_another_and_not_be_cleared() -> None:
    world, charge = partly_billed()
    world.set_override(charge, rest(), "2026-01-17")
    world.invoiced(charge, "2026-01-21", "2026-01-21T00:01Z", line=2)

    with pytest.raises(PreconditionFailed):
        world.clear_override(charge, "2026-01-22")
    with pytest.raises(OverridesBilledUsage):
        world.set_override(charge, rest("2026-01-20"), "2026-01-22")
    world.set_override(charge, usage_terms("2026-01-21", price=UnitPrice(amount=Decimal(3))), "2026-01-22")
    world.use(1, "2026-01-25")
    world.invoiced(charge, END, COLLECTED, line=3)

    assert [run.totals.total for run in world.runs(charge)] == [Decimal("12.5"), 30, 3]


def test_a_period_cannot_be_ended_where_only_earlier_terms_were_billed() -> None:
    world, charge = partly_billed()
    world.set_override(charge, rest(), "2026-01-17")
    patch = ShrinkToRealized(service_period_to=timestamp("2026-01-16"))

    with pytest.raises(CannotEditProgressivelyBilledLine):
        world._patch(charge, "2026-01-17", lambda d, f: decisions.apply(d, charge, patch, f))
