"""Usage settled from credit and then by invoice: its path, parts of a period, patches, payments (§8, §17)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.charges import decisions
from aggregates.charges.events import RunPaymentStatus
from aggregates.charges.intent import ManualBasis, SettlementMode
from aggregates.charges.requests import ShrinkToRealized
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.effects import (
    InvoiceLineDeletionRequested,
    InvoiceLineUpdated,
    LineCredited,
    LineDeletionUnsupported,
    LineIssued,
    LineRemoved,
    LineWrittenOff,
)
from aggregates.lifecycle import Status
from aggregates.policies import CreditNotes, Policies, ShrinkOverIssued
from aggregates.rating.prices import Tier, TieredPrice
from aggregates.runs.events import RunType
from aggregates.values.errors import (
    ActiveRunAlreadyExists,
    CannotEditProgressivelyBilledLine,
    PreconditionFailed,
    RunNotFound,
    UnsupportedOperation,
    ValidationFailed,
)
from aggregates.values.money import FIAT, Currency
from aggregates.values.period import period, timestamp
from aggregates.values.totals import Totals
from tests.support.charging import World, new_purchase, new_usage, usage_terms

DECEMBER, END, COLLECTED = "2025-12-01", "2026-02-01", "2026-02-03T00:01Z"


def january(world: World | None = None, **terms: Any) -> tuple[World, UUID]:
    """Usage of January at 1 USD a unit, settled by invoice, active."""
    world = world or World()
    request = new_usage(usage_terms(**terms), settlement_mode=SettlementMode.CREDIT_THEN_INVOICE)
    [charge] = world.create(request, at=DECEMBER)
    world.advance(charge, "2026-01-01")
    return world, charge


def with_credit(amount: str) -> World:
    world = World()
    [purchase] = world.create(new_purchase(amount), at=DECEMBER)
    world.advance(purchase, DECEMBER)
    return world


def status(world: World, charge: UUID) -> Status:
    return world.charge(charge).status


# ── the path ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_from_creation_everything_of_the_period_waits_to_be_invoiced() -> None:
    world = World()
    [charge] = world.create(new_usage(settlement_mode=SettlementMode.CREDIT_THEN_INVOICE), at=DECEMBER)

    line = world.charge(charge).gathering_line

    assert line is not None
    assert line.period == period("2026-01-01", "2026-02-01")
    assert line.amount is None


def test_what_no_credit_covers_is_invoiced_and_the_charge_is_final_when_it_is_paid() -> None:
    """12 units, 5 of credit: 7 accrue; nothing becomes advance (lifecycles §6.2)."""
    world, charge = january(with_credit("5"))
    world.use(10)

    [shown] = world.line_made(charge, END, END)
    world.use(2, "2026-01-20", stored_at="2026-02-02")
    assert isinstance(shown, InvoiceLineUpdated)
    assert (shown.content.totals.amount, shown.content.totals.total) == (Decimal(10), Decimal(5))
    assert shown.content.collected_after == timestamp(COLLECTED)
    assert status(world, charge) is Status.WAITING_FOR_COLLECTION
    assert world.charge(charge).gathering_line is None
    assert not world.advance(charge, COLLECTED)
    [shown] = world.line_collected(charge, COLLECTED)
    assert isinstance(shown, InvoiceLineUpdated)
    assert shown.content.quantity == 12
    world.line_approved(charge, COLLECTED)
    world.line_issued(charge, COLLECTED)

    assert status(world, charge) is Status.AWAITING_PAYMENT_SETTLEMENT
    [run] = world.runs(charge)
    assert run.invoice_usage is not None
    assert run.invoice_usage.ledger_group is not None
    assert (run.totals.credits_total, run.totals.total) == (Decimal(5), Decimal(7))
    world.line_paid(charge, COLLECTED)
    assert status(world, charge) is Status.FINAL


def test_a_repeat_of_any_notice_changes_nothing() -> None:
    """lifecycles §17.3: every step is safe to receive twice."""
    world, charge = january()
    world.use(10)
    world.line_made(charge, END, END)

    [again] = world.line_made(charge, END, END)
    assert isinstance(again, InvoiceLineUpdated)
    assert world.events == []
    world.line_collected(charge, COLLECTED)
    world.line_collected(charge, COLLECTED)
    assert world.events == []
    world.line_issued(charge, COLLECTED)
    world.line_issued(charge, COLLECTED)
    assert world.events == []


def test_line_and_invoice_belong_to_the_run_and_what_is_shown_to_the_run_that_is_current() -> None:
    """R-17: 10 units until the 16th on one line, 5 more on another; money for the first finds the first."""
    world, charge = january()
    world.use(10, "2026-01-10")
    world.invoiced(charge, "2026-01-16", "2026-01-16T00:01Z", line=1)
    world.use(5, "2026-01-20")

    [shown] = world.line_made(charge, END, END, line=2, invoice=200)

    first, second = world.runs(charge)
    assert [(run.line_id, run.invoice_id) for run in (first, second)] == [
        (UUID(int=1), UUID(int=100)),
        (UUID(int=2), UUID(int=200)),
    ]
    assert isinstance(shown, InvoiceLineUpdated)
    assert (shown.line_id, shown.content.detailed_lines) == (second.line_id, second.detailed_lines)
    assert shown.content.totals.total == 5
    world.line_paid(charge, END, line=1)
    first, second = world.runs(charge)
    assert first.payment is not None
    assert (first.payment.fiat_amount, second.payment) == (Decimal(10), None)


def test_usage_that_credit_covers_is_final_as_soon_as_it_is_issued_and_no_payment_is_recorded() -> None:
    """lifecycles §8.3: a usage fact without a ledger group."""
    world, charge = january(with_credit("10"))
    world.use(10)

    world.invoiced(charge, END, COLLECTED)

    [run] = world.runs(charge)
    assert status(world, charge) is Status.FINAL
    assert run.no_fiat_transaction_required
    assert run.invoice_usage is not None
    assert run.invoice_usage.ledger_group is None
    world.line_paid(charge, COLLECTED)
    assert world.runs(charge)[0].payment is None


def test_parts_of_a_period_are_billed_one_after_the_other_with_cumulative_quantities() -> None:
    """Graduated: up to 10 at 1, up to 20 at 0.5, rest 0.25; 15 units are 12.50, then 5 more 2.50 (lifecycles §8.2)."""
    tiers = TieredPrice(mode="graduated", tiers=(tier("10", "1"), tier("20", "0.5"), tier(None, "0.25")))
    world, charge = january(price=tiers)
    world.use(15)
    world.invoiced(charge, "2026-01-16", "2026-01-16T00:01Z")
    assert status(world, charge) is Status.ACTIVE
    line = world.charge(charge).gathering_line
    assert line is not None
    assert line.period == period("2026-01-16", "2026-02-01")
    world.use(5, "2026-01-20")

    world.invoiced(charge, END, COLLECTED, line=2)

    first, last = world.runs(charge)
    assert (first.type, first.totals.total) == (RunType.PARTIAL_INVOICE, Decimal("12.5"))
    assert first.stored_at_lt == first.service_period_to
    assert (last.type, last.totals.total, last.pre_line_quantity) == (
        RunType.FINAL_REALIZATION,
        Decimal("2.5"),
        Decimal(15),
    )
    world.line_paid(charge, COLLECTED, line=2)
    assert status(world, charge) is Status.AWAITING_PAYMENT_SETTLEMENT
    world.line_paid(charge, COLLECTED, line=1)
    assert status(world, charge) is Status.FINAL


def tier(up_to: str | None, unit: str) -> Tier:
    return Tier(up_to_amount=Decimal(up_to) if up_to else None, unit_price=Decimal(unit))


def test_usage_stored_late_for_a_part_that_was_billed_is_billed_by_the_next() -> None:
    world, charge = january()
    world.use(3)
    world.invoiced(charge, "2026-01-16", "2026-01-16T00:01Z")
    world.use(4, "2026-01-10", stored_at="2026-01-20")

    world.invoiced(charge, END, COLLECTED, line=2)

    assert [run.totals.total for run in world.runs(charge)] == [3, 4]


def test_a_second_line_waits_for_the_first_and_an_unknown_one_is_an_error_at_once() -> None:
    world, charge = january()
    world.line_made(charge, "2026-01-16", "2026-01-16")

    with pytest.raises(ActiveRunAlreadyExists):
        world.line_made(charge, END, END, line=2)
    with pytest.raises(RunNotFound):
        world.tell(notice(LineDeletionUnsupported, charge, line=7), END)


def test_a_line_ends_within_what_is_left_of_the_period() -> None:
    world, charge = january()
    for to in ("2026-01-01", "2026-02-02"):
        with pytest.raises(ValidationFailed) as refused:
            world.line_made(charge, to, END)
        assert refused.value.codes == ("outside_of_period",)


def test_a_line_that_says_something_else_than_its_run_books_nothing() -> None:
    world, charge = january()
    world.use(10)
    world.line_made(charge, END, END)
    world.line_collected(charge, COLLECTED)
    notice = issued_with(world, charge, "9")

    with pytest.raises(PreconditionFailed):
        world.tell(notice, COLLECTED)

    assert world.runs(charge)[0].invoice_usage is None


def issued_with(world: World, charge: UUID, total: str) -> Any:
    return LineIssued(
        customer="acme",
        invoice_id=UUID(int=100),
        line_id=UUID(int=1),
        charge_id=charge,
        period=period("2026-01-01", "2026-02-01"),
        totals=Totals(amount=Decimal(total), total=Decimal(total)),
        currency=FIAT["USD"],
    )


@given(st.lists(st.integers(0, 50), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_however_often_a_period_is_billed_the_sum_is_the_same_and_no_instant_is_billed_twice(parts: list[int]) -> None:
    """lifecycles §19.5(2), run rating I3."""
    world, charge = january()
    for i, units in enumerate(parts):
        day = 2 + i * 5
        if units:
            world.use(units, f"2026-01-{day:02}")
        to = END if i == len(parts) - 1 else f"2026-01-{day + 1:02}"
        world.invoiced(charge, to, COLLECTED if to == END else f"{to}T00:01Z", line=i + 1)

    runs = world.runs(charge)
    assert sum(run.totals.amount for run in runs) == sum(parts)
    assert [run.service_period_from for run in runs[1:]] == [run.service_period_to for run in runs[:-1]]


# ── lines that go ────────────────────────────────────────────────────────────────────────────────────────────


def notice(kind: type[Any], charge: UUID, line: int = 1, **what: Any) -> Any:
    return kind(customer="acme", invoice_id=UUID(int=100), line_id=UUID(int=line), charge_id=charge, **what)


def test_a_line_deleted_from_a_draft_voids_its_run_and_gives_the_credit_back() -> None:
    world, charge = january(with_credit("5"))
    world.use(10)
    world.line_made(charge, END, END)

    world.tell(notice(LineRemoved, charge), END)

    assert status(world, charge) is Status.ACTIVE
    assert world.charge(charge).current_run_id is None
    assert world.credits(charge) == [["5", "-5"]]
    world.tell(notice(LineRemoved, charge), END)
    assert world.events == []


def test_a_line_that_cannot_go_makes_its_run_invalid_and_keeps_what_was_booked() -> None:
    world, charge = january(with_credit("5"))
    world.use(10)
    world.invoiced(charge, END, COLLECTED)

    world.tell(notice(LineDeletionUnsupported, charge), COLLECTED)

    [run] = world.runs(charge)
    assert run.type is RunType.INVALID
    assert run.initial_type is RunType.FINAL_REALIZATION
    assert world.credits(charge) == [["5"]]
    assert world.charge(charge).live_runs == ()
    world.line_paid(charge, COLLECTED)
    assert world.charge(charge).runs[0].payment_status is RunPaymentStatus.SETTLED


def test_an_invoice_that_is_voided_returns_the_credit_and_lets_the_period_wait_again() -> None:
    world, charge = january(with_credit("5"))
    world.use(10)
    world.invoiced(charge, END, COLLECTED)
    credited = notice(
        LineCredited,
        charge,
        amount=Decimal(5),
        net=Decimal(5),
        freed=Decimal(0),
        in_full=True,
        cause=CreditCause.INVOICE_VOIDED,
        credit_note_id=UUID(int=9),
    )

    world.tell(credited, COLLECTED)

    line = world.charge(charge).gathering_line
    assert world.credits(charge) == [["5", "-5"]]
    assert line is not None
    assert line.period == period("2026-01-01", "2026-02-01")
    assert status(world, charge) is Status.ACTIVE


def test_a_goodwill_credit_leaves_the_run_as_it_is() -> None:
    world, charge = january()
    world.use(10)
    world.invoiced(charge, END, COLLECTED)
    credited = notice(
        LineCredited,
        charge,
        amount=Decimal(4),
        net=Decimal(4),
        freed=Decimal(0),
        in_full=False,
        cause=CreditCause.GOODWILL,
        credit_note_id=UUID(int=9),
    )

    world.tell(credited, COLLECTED)

    assert world.runs(charge)[0].credited == 4
    assert status(world, charge) is Status.AWAITING_PAYMENT_SETTLEMENT


def test_what_is_written_off_counts_as_settled_and_stays_billed() -> None:
    """Decision 22."""
    world, charge = january()
    world.use(10)
    world.invoiced(charge, END, COLLECTED)

    world.tell(notice(LineWrittenOff, charge, amount=Decimal(10), net=Decimal(10)), COLLECTED)

    assert status(world, charge) is Status.FINAL
    [run] = world.runs(charge)
    assert run.payment is not None
    assert run.payment.status == "written_off"


def test_a_part_of_the_money_leaves_the_charge_waiting_for_the_rest() -> None:
    world, charge = january()
    world.use(10)
    world.invoiced(charge, END, COLLECTED)

    world.line_paid(charge, COLLECTED, amount="4", in_full=False)
    assert world.charge(charge).runs[0].payment_status is RunPaymentStatus.PARTIALLY_PAID
    assert status(world, charge) is Status.AWAITING_PAYMENT_SETTLEMENT
    world.line_paid(charge, COLLECTED, amount="6")

    [run] = world.runs(charge)
    assert run.payment is not None
    assert (run.payment.fiat_amount, run.payment.settled_amount, run.payment.status) == (
        Decimal(10),
        Decimal(10),
        "settled",
    )
    assert status(world, charge) is Status.FINAL


# ── patches ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_extending_before_anything_was_billed_keeps_the_line_that_waits() -> None:
    world, charge = january()
    before = world.charge(charge).gathering_line
    assert before is not None

    world.extend(charge, "2026-03-01", at="2026-01-10")

    after = world.charge(charge).gathering_line
    assert after is not None
    assert (after.id, after.period) == (before.id, period("2026-01-01", "2026-03-01"))


def test_extending_what_was_issued_makes_its_run_a_part_and_lets_only_the_tail_wait() -> None:
    world, charge = january()
    world.use(5)
    world.invoiced(charge, END, COLLECTED)
    world.line_paid(charge, COLLECTED)

    world.extend(charge, "2026-03-01", at=COLLECTED)

    line = world.charge(charge).gathering_line
    assert line is not None
    assert line.period == period("2026-02-01", "2026-03-01")
    assert world.runs(charge)[0].type is RunType.PARTIAL_INVOICE
    assert status(world, charge) is Status.ACTIVE


@pytest.mark.parametrize(
    ("policy", "asked", "waits"),
    [(ShrinkOverIssued.REPLACE, 1, "2026-01-20"), (ShrinkOverIssued.HOLD, 0, None)],
)
def test_shrinking_over_an_issued_invoice_replaces_its_run_or_holds_it(
    policy: ShrinkOverIssued, asked: int, waits: str | None
) -> None:
    """`shrink_over_issued`: without credit notes the run is billed anew, or stands and nothing is billed twice."""
    world = World(policies=msgspec.structs.replace(Policies.reference(), shrink_over_issued=policy))
    world, charge = january(world)
    world.use(5)
    world.invoiced(charge, END, COLLECTED)

    world.shrink(charge, "2026-01-20", at=COLLECTED)

    assert len([e for e in world.effects if isinstance(e, InvoiceLineDeletionRequested)]) == asked
    line = world.charge(charge).gathering_line
    assert (line.period.to if line else None) == (timestamp(waits) if waits else None)
    if policy is ShrinkOverIssued.HOLD:
        world.line_paid(charge, COLLECTED)
        assert status(world, charge) is Status.FINAL


def test_with_credit_notes_the_issued_line_is_credited_and_the_rest_waits() -> None:
    world = World(policies=msgspec.structs.replace(Policies.standard(), credit_notes=CreditNotes.ON))
    world, charge = january(world)
    world.use(5)
    world.invoiced(charge, END, COLLECTED)

    world.shrink(charge, "2026-01-20", at=COLLECTED)

    assert [type(effect) for effect in world.effects] == [InvoiceLineDeletionRequested]
    assert status(world, charge) is Status.ACTIVE


def test_a_charge_billed_in_parts_ends_only_where_its_last_part_ends() -> None:
    world, charge = january()
    world.use(5)
    world.invoiced(charge, "2026-01-16", "2026-01-16T00:01Z")

    def end_at(to: str) -> bool:
        patch = ShrinkToRealized(service_period_to=timestamp(to))
        return world._patch(charge, "2026-01-17", lambda draft, facts: decisions.apply(draft, charge, patch, facts))

    with pytest.raises(CannotEditProgressivelyBilledLine):
        end_at("2026-01-18")
    end_at("2026-01-16")

    assert world.charge(charge).gathering_line is None
    assert world.runs(charge)[0].type is RunType.FINAL_REALIZATION
    world.advance(charge, "2026-01-17")
    assert status(world, charge) is Status.AWAITING_PAYMENT_SETTLEMENT


def test_terms_hold_for_what_is_being_billed() -> None:
    world, charge = january()
    world.use(5)
    world.invoiced(charge, "2026-01-16", "2026-01-16T00:01Z")

    with pytest.raises(PreconditionFailed):
        world.set_override(charge, usage_terms(), at="2026-01-17")


def test_deleting_asks_for_the_line_of_every_run_that_counts() -> None:
    world, charge = january()
    world.use(5)
    world.invoiced(charge, "2026-01-16", "2026-01-16T00:01Z")
    world.line_made(charge, END, END, line=2)

    world.delete(charge, END)

    asked = [each.line_id for each in world.effects if isinstance(each, InvoiceLineDeletionRequested)]
    assert asked == [UUID(int=1), UUID(int=2)]
    assert status(world, charge) is Status.DELETED
    assert world.charge(charge).gathering_line is None
    with pytest.raises(UnsupportedOperation):
        world.delete(charge, END)


# ── the ways out of clearing an override, and of nothing owed ────────────────────────────────────────────────


@pytest.mark.parametrize(("at", "expected"), [(DECEMBER, Status.CREATED), ("2026-01-10", Status.ACTIVE)])
def test_clearing_the_override_of_a_deleted_charge_lets_it_wait_to_be_invoiced_again(at: str, expected: Status) -> None:
    world = World()
    [charge] = world.create(new_usage(settlement_mode=SettlementMode.CREDIT_THEN_INVOICE), at=DECEMBER)
    world.delete(charge, at, source="api")
    assert world.charge(charge).gathering_line is None

    world.clear_override(charge, at)

    assert status(world, charge) is expected
    assert world.charge(charge).gathering_line is not None


def test_clearing_over_a_deleted_base_ends_in_deleted_and_nothing_waits() -> None:
    world, charge = january()
    world.set_override(charge, usage_terms(), at="2026-01-10")
    world.delete(charge, "2026-01-10")

    world.clear_override(charge, "2026-01-10")

    assert status(world, charge) is Status.DELETED
    assert world.charge(charge).gathering_line is None


def test_a_part_that_tokens_cover_needs_no_invoice_and_the_period_goes_on() -> None:
    tokens = Currency("TOKENS", 3, "00000000-0000-7000-8000-00000000cccc")
    basis = ManualBasis(fiat_currency=FIAT["USD"], rate=Decimal("0.5"))
    world = World()
    request = new_usage(currency=tokens, settlement_mode=SettlementMode.CREDIT_THEN_INVOICE, cost_basis=basis)
    [charge] = world.create(request, at=DECEMBER)
    world.advance(charge, "2026-01-01")
    world.line_made(charge, "2026-01-16", "2026-01-16")

    effects = world.line_collected(charge, "2026-01-16T00:01Z")

    assert [type(effect) for effect in effects] == [InvoiceLineUpdated, InvoiceLineDeletionRequested]
    assert status(world, charge) is Status.ACTIVE
    world.tell(notice(LineRemoved, charge), "2026-01-16T00:01Z")
    assert not world.runs(charge)[0].is_voided
