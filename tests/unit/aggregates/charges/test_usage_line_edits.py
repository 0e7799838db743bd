"""What the API may change of a line of usage while its run can change: name, description, discounts (§22 row 6)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from aggregates.charges.events import BaseIntentAmended, OverrideSet
from aggregates.charges.intent import ManagedBy, SettlementMode
from aggregates.invoices.effects import InvoiceLineUpdated, LineEditAsked
from aggregates.lifecycle import Status
from aggregates.policies import Policies
from aggregates.rating.prices import Discounts, PercentageDiscount
from aggregates.values.errors import PreconditionFailed, ValidationFailed
from tests.given import CUSTOMER
from tests.support.charging import World, new_purchase, new_usage

END, COLLECTED = "2026-02-01", "2026-02-03T00:01Z"
TEN_PERCENT = Discounts(percentage=PercentageDiscount(percentage=Decimal(10)))


def on_a_draft(to: str = END, credit: str | None = None, **terms: Any) -> tuple[World, UUID]:
    """15 units of January at 1 USD, on a line of a draft that waits for late usage."""
    world = World(policies=Policies.standard())
    if credit is not None:
        [purchase] = world.create(new_purchase(credit), at="2025-12-01")
        world.advance(purchase, "2025-12-01")
    [charge] = world.create(new_usage(settlement_mode=SettlementMode.CREDIT_THEN_INVOICE, **terms), at="2025-12-01")
    world.use(15, "2026-01-10")
    world.advance(charge, "2026-01-01")
    world.line_made(charge, to, to)
    return world, charge


def edit(world: World, charge: UUID, at: str = END, line: int = 1, **changes: Any) -> None:
    ids: Any = {"line_id": UUID(int=line), "invoice_id": UUID(int=100)}
    world.tell(LineEditAsked(customer=CUSTOMER, charge_id=charge, **ids, **changes), at)


def shown(world: World) -> Any:
    """What the line shows after the last command."""
    [update] = [effect for effect in world.effects if isinstance(effect, InvoiceLineUpdated)]
    return update.content


def test_a_discount_on_the_line_is_a_discount_of_the_charge_and_the_run_is_rated_again() -> None:
    """15 at 1 less 10 %: 13.50, on the line and in the run."""
    world, charge = on_a_draft()

    edit(world, charge, name="Calls of January", description="Thanks for your patience", discounts=TEN_PERCENT)

    line, [run] = shown(world), world.runs(charge)
    assert (line.name, line.description) == ("Calls of January", "Thanks for your patience")
    assert run.totals.total == line.totals.total == Decimal("13.5")
    assert (run.totals.amount, run.totals.discounts_total) == (15, Decimal("1.5"))
    assert world.charge(charge).intent.override is not None
    assert any(isinstance(event, OverrideSet) for event in world.events)


def test_a_discount_gives_credit_back_that_is_not_needed_any_more() -> None:
    world, charge = on_a_draft(credit="20")
    assert world.credits(charge) == [["15"]]

    edit(world, charge, discounts=TEN_PERCENT)

    assert world.credits(charge) == [["15", "-1.5"]]


def test_late_usage_is_rated_by_what_was_edited() -> None:
    world, charge = on_a_draft()
    edit(world, charge, discounts=TEN_PERCENT)
    world.use(5, "2026-01-20", stored_at="2026-02-02")

    world.line_collected(charge, COLLECTED)
    edit(world, charge, COLLECTED, name="Calls")

    [run] = world.runs(charge)
    assert run.totals.total == 18
    world.line_approved(charge, COLLECTED)
    world.line_issued(charge, COLLECTED)
    assert world.charge(charge).status is Status.AWAITING_PAYMENT_SETTLEMENT


def test_what_is_managed_by_hand_is_changed_itself() -> None:
    world, charge = on_a_draft(managed_by=ManagedBy.MANUAL)

    edit(world, charge, discounts=TEN_PERCENT)

    assert world.charge(charge).intent.override is None
    assert any(isinstance(event, BaseIntentAmended) for event in world.events)


def test_an_edit_that_changes_nothing_leaves_nothing() -> None:
    world, charge = on_a_draft()

    edit(world, charge, name=world.layer(charge).name)

    assert world.events == []


def test_once_it_is_issued_a_line_is_what_it_is() -> None:
    world, charge = on_a_draft()
    world.line_collected(charge, COLLECTED)
    world.line_approved(charge, COLLECTED)
    world.line_issued(charge, COLLECTED)

    with pytest.raises(PreconditionFailed):
        edit(world, charge, COLLECTED, name="Calls")


def test_discounts_hold_for_a_whole_period_and_not_for_its_last_part() -> None:
    """What was issued before would be discounted on this line; its name is free to change all the same."""
    world, charge = on_a_draft("2026-01-16")
    world.line_collected(charge, "2026-01-16T00:01Z")
    world.line_approved(charge, "2026-01-16T00:01Z")
    world.line_issued(charge, "2026-01-16T00:01Z")
    world.line_made(charge, END, END, line=2)

    with pytest.raises(PreconditionFailed):
        edit(world, charge, line=2, discounts=TEN_PERCENT)
    edit(world, charge, line=2, name="The rest")

    assert shown(world).name == "The rest"


def test_a_discount_that_is_none_is_refused_with_what_is_wrong() -> None:
    world, charge = on_a_draft()

    with pytest.raises(ValidationFailed):
        edit(world, charge, discounts=Discounts(percentage=PercentageDiscount(percentage=Decimal(101))))
