"""Flat fees and purchases settled by invoice: path, changes of the intent, overage (lifecycles §10-§12, §17)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from aggregates.charges.events import RunClosedReason
from aggregates.charges.facts import CostBasisEntry, CostBasisNeeded
from aggregates.charges.intent import CostBasis, DynamicBasis, ManagedBy, ManualBasis, SettlementMode
from aggregates.charges.requests import Bounds
from aggregates.invoices.effects import (
    InvoiceLineDeletionRequested,
    InvoiceLineUpdated,
    LineDeletionUnsupported,
    LineEditAsked,
    LinePaymentSettled,
    LineRemoved,
)
from aggregates.invoices.refusals import LineZeroAmountDeleteInstead
from aggregates.lifecycle import Status
from aggregates.policies import CreditNotes, Policies
from aggregates.runs.events import RunType
from aggregates.values.errors import (
    CostBasisNotEffective,
    LineAlreadyLinked,
    PreconditionFailed,
    UnsupportedOperation,
    ValidationFailed,
)
from aggregates.values.money import Currency, fiat
from aggregates.values.period import instant, period, timestamp
from tests.support.charging import World, fee_terms, new_fee, new_purchase

DECEMBER, START, MIDDLE = "2025-12-01", "2026-01-01", "2026-01-16"
TOKENS = Currency("TOKENS", 3, "00000000-0000-7000-8000-00000000cccc")
FULL = Bounds(timestamp("2026-01-01"), timestamp("2026-02-01"))


def fee(world: World | None = None, amount: str = "31", *, at: str = START, **more: Any) -> tuple[World, UUID]:
    """A pro-rated fee of January in advance, settled by invoice."""
    world = world or World()
    terms = fee_terms(amount, pro_rating="prorate_prices", full_service_period=FULL)
    [charge] = world.create(new_fee(terms, settlement_mode=SettlementMode.CREDIT_THEN_INVOICE, **more), at=DECEMBER)
    world.advance(charge, at)
    return world, charge


def with_notes() -> World:
    return World(policies=msgspec.structs.replace(Policies.reference(), credit_notes=CreditNotes.ON))


def status(world: World, charge: UUID) -> Status:
    return world.charge(charge).status


def told(kind: type[Any], charge: UUID, line: int = 1, **what: Any) -> Any:
    return kind(customer="acme", invoice_id=UUID(int=100), line_id=UUID(int=line), charge_id=charge, **what)


# ── the path ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_five_of_which_credit_covers_two_accrue_three_and_are_final_when_paid() -> None:
    world = World()
    [purchase] = world.create(new_purchase("2"), at=DECEMBER)
    world.advance(purchase, DECEMBER)
    world, charge = fee(world, "5")

    [shown] = world.line_made(charge, "2026-02-01", START)
    assert isinstance(shown, InvoiceLineUpdated)
    assert (shown.content.totals.amount, shown.content.totals.total) == (Decimal(5), Decimal(3))
    assert shown.content.collected_after is None
    world.line_collected(charge, START)
    assert status(world, charge) is Status.PROCESSING
    world.line_issued(charge, START)
    assert status(world, charge) is Status.AWAITING_PAYMENT_SETTLEMENT
    world.line_paid(charge, START)

    [run] = world.runs(charge)
    assert status(world, charge) is Status.FINAL
    assert world.charge(charge).current_run_id == run.id
    assert run.payment is not None
    assert run.payment.settled_amount == 3


def test_a_fee_of_nothing_has_nothing_to_invoice_and_is_final_when_it_is_due() -> None:
    world, charge = fee(amount="0", at=DECEMBER)
    assert world.charge(charge).gathering_line is None

    world.advance(charge, START)

    assert status(world, charge) is Status.FINAL
    assert world.charge(charge).runs == ()


def test_a_line_put_on_an_invoice_by_hand_starts_the_run_before_the_fee_is_due() -> None:
    """K4, lifecycles §17.7."""
    world, charge = fee(at=DECEMBER)

    world.line_made(charge, "2026-02-01", DECEMBER)

    assert status(world, charge) is Status.PROCESSING
    assert world.charge(charge).gathering_line is None


def test_a_line_deleted_from_a_draft_lets_the_fee_wait_again() -> None:
    """lifecycles §22 row 17."""
    world, charge = fee()
    world.line_made(charge, "2026-02-01", START)

    world.tell(told(LineRemoved, charge), START)

    assert world.runs(charge)[0].is_voided
    assert world.charge(charge).gathering_line is not None
    assert status(world, charge) is Status.ACTIVE


# ── changes of the intent (§10.1) ────────────────────────────────────────────────────────────────────────────


def test_without_a_run_the_line_that_waits_shows_the_new_amount_and_zero_ends_the_fee() -> None:
    world, charge = fee(at=DECEMBER)
    before = world.charge(charge).gathering_line
    world.shrink(charge, MIDDLE, at=DECEMBER, full_service_period_to=timestamp("2026-02-01"))

    after = world.charge(charge).gathering_line
    assert before is not None
    assert after is not None
    assert (after.id, after.amount) == (before.id, Decimal(15))
    world.set_override(charge, fee_terms("0"), at=DECEMBER)
    assert status(world, charge) is Status.FINAL
    assert world.charge(charge).gathering_line is None


def test_on_a_draft_the_run_is_rated_again_where_it_stands() -> None:
    """31 with 50 of credit; half of January is 15."""
    world = World()
    [purchase] = world.create(new_purchase("50"), at=DECEMBER)
    world.advance(purchase, DECEMBER)
    world, charge = fee(world)
    world.line_made(charge, "2026-02-01", START)

    world.shrink(charge, MIDDLE, at=START, full_service_period_to=timestamp("2026-02-01"))

    [shown] = world.effects
    assert isinstance(shown, InvoiceLineUpdated)
    assert shown.content.totals.amount == 15
    assert world.credits(charge) == [["31", "-16"]]


def test_on_a_draft_a_fee_that_comes_to_nothing_asks_for_its_line_to_go_and_is_final() -> None:
    world, charge = fee()
    world.line_made(charge, "2026-02-01", START)

    world.set_override(charge, fee_terms("0"), at=START)
    assert [type(effect) for effect in world.effects] == [InvoiceLineDeletionRequested]
    assert status(world, charge) is Status.FINAL
    world.tell(told(LineRemoved, charge), START)

    assert world.runs(charge)[0].is_voided
    assert status(world, charge) is Status.FINAL


@pytest.mark.parametrize("notes", [False, True])
def test_once_issued_a_changed_fee_is_billed_anew_only_where_its_line_can_be_credited(*, notes: bool) -> None:
    world, charge = fee(with_notes() if notes else World())
    world.invoiced(charge, "2026-02-01", START)

    world.shrink(charge, MIDDLE, at=START, full_service_period_to=timestamp("2026-02-01"))

    assert [type(effect) for effect in world.effects] == [InvoiceLineDeletionRequested]
    state = world.charge(charge)
    assert (state.gathering_line is not None) is notes
    assert (state.current_run_id is None) is notes
    assert state.status is (Status.CREATED if notes else Status.AWAITING_PAYMENT_SETTLEMENT)
    if not notes:
        world.tell(told(LineDeletionUnsupported, charge), START)
        assert world.runs(charge)[0].type is RunType.INVALID
        world.line_paid(charge, START)
        assert status(world, charge) is Status.FINAL


def test_a_change_that_changes_no_amount_leaves_an_issued_invoice_alone() -> None:
    world, charge = fee(with_notes())
    world.invoiced(charge, "2026-02-01", START)

    world.extend(charge, "2026-03-01", at=START)

    assert world.effects == []
    assert world.names("charge") == ["PeriodExtended"]


def test_clearing_an_override_cancels_what_was_realized_under_it() -> None:
    world, charge = fee()
    world.set_override(charge, fee_terms("20"), at=START)
    world.advance(charge, START)
    world.invoiced(charge, "2026-02-01", START)

    world.clear_override(charge, START)

    state = world.charge(charge)
    assert [event.reason for event in world.events if type(event).__name__ == "RealizationRunClosed"] == [  # type: ignore[attr-defined]
        RunClosedReason.REPLACED
    ]
    assert state.status is Status.ACTIVE
    assert state.gathering_line is not None
    assert state.gathering_line.amount == 31


@pytest.mark.parametrize("managed_by", [ManagedBy.SUBSCRIPTION, ManagedBy.MANUAL])
def test_editing_a_line_changes_the_fee_as_an_override_or_its_base_where_it_is_managed_by_hand(
    managed_by: ManagedBy,
) -> None:
    world, charge = fee(managed_by=managed_by)
    world.line_made(charge, "2026-02-01", START)

    [shown] = world.tell(told(LineEditAsked, charge, amount=Decimal(20), name="Support"), START)

    assert isinstance(shown, InvoiceLineUpdated)
    assert (shown.content.name, shown.content.totals.total) == ("Support", Decimal(20))
    assert (world.charge(charge).intent.override is None) is (managed_by is ManagedBy.MANUAL)
    with pytest.raises(LineZeroAmountDeleteInstead):
        world.tell(told(LineEditAsked, charge, amount=Decimal(0)), START)
    with pytest.raises(PreconditionFailed):
        world.tell(told(LineEditAsked, charge, line=2, name="x"), START)


# ── custom currency (§12.4) ──────────────────────────────────────────────────────────────────────────────────


def tokens(basis: CostBasis | None = None, amount: str = "10") -> tuple[World, UUID]:
    basis = basis or ManualBasis(fiat_currency=fiat("USD"), rate=Decimal("0.5"))
    terms = fee_terms(amount, payment_term="in_advance")
    world = World()
    request = new_fee(terms, currency=TOKENS, settlement_mode=SettlementMode.CREDIT_THEN_INVOICE, cost_basis=basis)
    [charge] = world.create(request, at=DECEMBER)
    return world, charge


def test_what_tokens_leave_uncovered_is_invoiced_in_fiat_and_fiat_credit_covers_it_once() -> None:
    """10 tokens at 0.5 are 5.00; 3.00 of fiat credit leave 2.00 (lifecycles §12.4)."""
    world, charge = tokens()
    [purchase] = world.create(new_purchase("3"), at=DECEMBER)
    world.advance(purchase, DECEMBER)
    world.advance(charge, START)

    [shown] = world.line_made(charge, "2026-02-01", START)
    assert isinstance(shown, InvoiceLineUpdated)
    assert shown.content.name == "Platform fee (overage)"
    assert (shown.content.quantity, shown.content.unit_amount) == (Decimal(10), Decimal("0.5"))
    assert shown.content.totals.total == 5
    world.line_collected(charge, START)
    [shown] = world.line_approved(charge, START)
    assert isinstance(shown, InvoiceLineUpdated)
    assert (shown.content.totals.credits_total, shown.content.totals.total) == (Decimal(3), Decimal(2))
    world.line_approved(charge, START)
    assert world.names("realization_run", "credit_pool") == []
    world.line_issued(charge, START)
    world.line_paid(charge, START)

    [run] = world.runs(charge)
    assert run.payment is not None
    assert run.payment.fiat_amount == 2
    assert status(world, charge) is Status.FINAL


def test_tokens_that_come_to_nothing_in_fiat_need_no_invoice() -> None:
    world, charge = tokens(amount="0.001")
    world.advance(charge, START)
    world.line_made(charge, "2026-02-01", START)

    effects = world.line_collected(charge, START)

    assert [type(effect) for effect in effects] == [InvoiceLineDeletionRequested]
    assert status(world, charge) is Status.FINAL
    world.tell(told(LineRemoved, charge), START)
    assert not world.runs(charge)[0].is_voided


def test_a_rate_of_the_day_is_looked_up_once_and_what_waits_shows_zero_until_then() -> None:
    world, charge = tokens(DynamicBasis(fiat_currency=fiat("USD")))
    line = world.charge(charge).gathering_line
    assert line is not None
    assert line.amount == 0
    with pytest.raises(CostBasisNotEffective):
        world.advance(charge, START)
    entry = CostBasisEntry(
        id=UUID(int=5),
        currency=TOKENS.key,
        fiat_currency=fiat("USD"),
        rate=Decimal("0.25"),
        effective_from=instant(DECEMBER),
    )
    needed = CostBasisNeeded(currency=TOKENS.key, fiat_currency="USD", at=instant(START))
    world.facts = {"cost_bases": {needed: entry}}

    world.advance(charge, START)

    line = world.charge(charge).gathering_line
    assert line is not None
    assert line.amount == Decimal("2.5")


# ── purchases ────────────────────────────────────────────────────────────────────────────────────────────────


def test_credit_that_is_invoiced_is_granted_with_its_line_and_paid_later() -> None:
    """lifecycles §11.3: R-21: credit is extended, linking authorises nothing. R-22: linking again is no second link."""
    world = World()
    [charge] = world.create(new_purchase("100", "invoice"), at=START)
    assert world.charge(charge).gathering_line is not None

    [shown] = world.line_made(charge, START, START)
    assert isinstance(shown, InvoiceLineUpdated)
    assert shown.content.name == "Credit (100.00 USD credits)"
    assert (shown.content.totals.total, shown.content.taxable) == (Decimal(50), False)
    assert status(world, charge) is Status.PAYMENT_PENDING
    assert world.charge(charge).payment is None
    world.line_made(charge, START, START)
    assert world.events == []
    with pytest.raises(LineAlreadyLinked):
        world.line_made(charge, START, START, line=2)


def test_payment_of_an_invoiced_purchase_comes_in_order_and_for_its_own_line() -> None:
    """R-16: what is wrong with line and invoice is told together."""
    world = World()
    [charge] = world.create(new_purchase("100", "invoice"), at=START)
    world.line_made(charge, START, START)
    paid = told(LinePaymentSettled, charge, amount=Decimal(50), net=Decimal(50), in_full=True)

    with pytest.raises(UnsupportedOperation):
        world.tell(paid, START)
    with pytest.raises(ValidationFailed) as refused:
        world.tell(msgspec.structs.replace(paid, line_id=UUID(int=2), invoice_id=UUID(int=3)), START)
    assert refused.value.codes == ("line_mismatch", "invoice_mismatch")


def test_an_empty_period_of_a_purchase_waits_to_be_invoiced_all_the_same() -> None:
    world = World()
    [charge] = world.create(new_purchase("100", "invoice", effective_at=timestamp("2026-03-01")), at=START)

    line = world.charge(charge).gathering_line

    assert line is not None
    assert line.period == period("2026-03-01", "2026-03-01")
    assert line.invoice_at == timestamp("2026-03-01")
    assert status(world, charge) is Status.CREATED


# ── the ways out of clearing an override ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("amount", "expected"), [("31", Status.CREATED), ("0", Status.FINAL)])
def test_clearing_an_override_before_the_fee_is_due_lets_it_wait_or_ends_it(amount: str, expected: Status) -> None:
    world, charge = fee(amount=amount, at=DECEMBER)
    world.set_override(charge, fee_terms("20"), at=DECEMBER)

    world.clear_override(charge, DECEMBER)

    assert status(world, charge) is expected
    assert (world.charge(charge).gathering_line is not None) is (expected is Status.CREATED)


def test_clearing_over_a_deleted_base_cancels_the_run_and_ends_in_deleted() -> None:
    world, charge = fee()
    world.set_override(charge, fee_terms("20"), at=START)
    world.advance(charge, START)
    world.line_made(charge, "2026-02-01", START)
    world.delete(charge, START)

    world.clear_override(charge, START)

    assert [type(effect) for effect in world.effects] == [InvoiceLineDeletionRequested]
    assert status(world, charge) is Status.DELETED
    world.tell(told(LineRemoved, charge), START)
    assert world.runs(charge)[0].is_voided


def test_a_fee_of_nothing_that_older_data_left_active_is_repaired() -> None:
    """K5."""
    world, charge = fee()
    created, activated = world.log[0], world.log[-1]
    base = msgspec.structs.replace(
        created.body.base, amount_before_proration=Decimal(0), amount_after_proration=Decimal(0)
    )
    world.rewrite(charge, created.body, msgspec.structs.replace(created.body, base=base))
    assert type(activated.body).__name__ == "ChargeActivated"

    world.advance(charge, START)

    assert status(world, charge) is Status.FINAL
