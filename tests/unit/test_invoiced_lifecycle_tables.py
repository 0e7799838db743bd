"""Every row and every cell of what an invoice drives is walked: usage, fees, purchases (lifecycles §8, §10, §11).

A charge is brought to the status, told what its row is walked on or sent what its cell is about, and what the table
says happens. A row or a cell that nothing here walks fails by its name. Guards of one status and trigger are asked at
every history of this file, before, at and after each instant that matters: never do two of them hold.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
import pytest

from aggregates.charges import decisions
from aggregates.charges.credit_purchase.lifecycle import INVOICE
from aggregates.charges.events import ChargeCreated
from aggregates.charges.flat_fee import invoiced as invoiced_fee
from aggregates.charges.intent import FlatFeeLayer, ManualBasis, SettlementMode
from aggregates.charges.requests import ShrinkToRealized
from aggregates.charges.turn import Turn
from aggregates.charges.usage_based import invoiced as invoiced_usage
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.effects import (
    LineCredited,
    LineEditAsked,
    LinePaymentAuthorized,
    LinePaymentFailed,
    LinePaymentSettled,
    LineRemoved,
    LineWrittenOff,
)
from aggregates.lifecycle import Cell, PatchPolicy, Row, Status, Trigger
from aggregates.policies import Policies
from aggregates.rating.prices import Tier, TieredPrice
from aggregates.values.errors import (
    CannotEditProgressivelyBilledLine,
    LedgerError,
    PreconditionFailed,
    UnsupportedOperation,
)
from aggregates.values.money import Currency, fiat
from aggregates.values.period import timestamp
from ledger.prices import volume
from tests.support.charging import World, fee_terms, new_fee, new_purchase, new_usage, usage_terms

BEFORE, START, PART, END, COLLECTED = "2025-12-01", "2026-01-01", "2026-01-16", "2026-02-01", "2026-02-03T00:01Z"
MOMENTS = ("2025-12-31T23:59:59.999Z", START, "2026-01-20", END, "2026-03-01")
BY_INVOICE = SettlementMode.CREDIT_THEN_INVOICE
TOKENS = Currency("TOKENS", 3, "00000000-0000-7000-8000-00000000cccc")
AT_HALF = ManualBasis(fiat_currency=fiat("USD"), rate=Decimal("0.5"))

S = Status
Bringing = Callable[[], tuple[World, UUID]]
Step = Callable[[World, UUID], object]
CLEARING = {S.ACTIVE_CLEAR_OVERRIDE, S.DELETED_CLEAR_OVERRIDE}


# ── a charge in every status ─────────────────────────────────────────────────────────────────────────────────


def usage_at(status: Status, *, until: str = END, override: bool = False, nothing_owed: bool = False) -> Bringing:
    """Usage of January at 1 USD a unit, or in tokens of which nothing is owed, in that status of its first line."""

    def bring() -> tuple[World, UUID]:
        world = World()
        in_tokens = nothing_owed or status is S.ZERO_OVERAGE_COMPLETED
        more: dict[str, Any] = {"currency": TOKENS, "cost_basis": AT_HALF} if in_tokens else {}
        world.use("0.001" if in_tokens else "10", "2026-01-10")
        [charge] = world.create(new_usage(settlement_mode=BY_INVOICE, **more), at=BEFORE)
        if override or status in CLEARING:
            world.set_override(charge, usage_terms(), at=BEFORE)
        if status is S.CREATED:
            return world, charge
        if status in CLEARING or status is S.DELETED:
            _delete_and_clear(world, charge, status, START, override=override)
            return world, charge
        world.advance(charge, START)
        if status is S.ACTIVE:
            return world, charge
        world.line_made(charge, until, COLLECTED)
        world.line_collected(charge, COLLECTED)
        if not in_tokens:
            world.line_approved(charge, COLLECTED)
            world.line_issued(charge, COLLECTED)
            if world.charge(charge).status is S.AWAITING_PAYMENT_SETTLEMENT:
                world.line_paid(charge, COLLECTED)
        world.rewind(status)
        return world, charge

    return bring


def fee_at(status: Status, *, override: bool = False, at: str = START) -> Bringing:
    """A fee of 31 for January, or one in tokens that comes to nothing in fiat, in that status of its line."""

    def bring() -> tuple[World, UUID]:
        world = World()
        of_nothing = status is S.ZERO_OVERAGE_COMPLETED
        more: dict[str, Any] = {"currency": TOKENS, "cost_basis": AT_HALF} if of_nothing else {}
        terms = fee_terms("0.001" if of_nothing else "31")
        [charge] = world.create(new_fee(terms, settlement_mode=BY_INVOICE, **more), at=BEFORE)
        if override or status in CLEARING:
            world.set_override(charge, terms, at=BEFORE)
        if status is S.CREATED:
            return world, charge
        if status in CLEARING or status is S.DELETED:
            _delete_and_clear(world, charge, status, at, override=override)
            return world, charge
        world.advance(charge, START)
        if status is S.ACTIVE:
            return world, charge
        world.line_made(charge, END, START)
        world.line_collected(charge, START)
        if not of_nothing:
            world.line_approved(charge, START)
            world.line_issued(charge, START)
            world.line_paid(charge, START)
        world.rewind(status)
        return world, charge

    return bring


def _delete_and_clear(world: World, charge: UUID, status: Status, at: str, *, override: bool) -> None:
    """Deleted by the customer (under an override) or the system, and then perhaps cleared."""
    by_api = status is S.ACTIVE_CLEAR_OVERRIDE or (status is S.DELETED and override)
    world.delete(charge, at, source="api" if by_api else "system")
    if status in CLEARING:
        world.clear_override(charge, at)
        world.rewind(status)


def purchase_at(status: Status, **more: Any) -> Bringing:
    """100 of credit at 0.5 by invoice, in that status."""

    def bring() -> tuple[World, UUID]:
        world = World()
        [charge] = world.create(new_purchase("100", "invoice", **more), at=START)
        if status is S.CREATED:
            return world, charge
        world.line_made(charge, START, START)
        world.tell(_money(LinePaymentAuthorized, charge), START)
        world.tell(_money(LinePaymentSettled, charge), START)
        world.rewind(status)
        return world, charge

    return bring


def on_line(charge: UUID, line: int = 1) -> dict[str, Any]:
    return {"customer": "acme", "invoice_id": UUID(int=100), "line_id": UUID(int=line), "charge_id": charge}


def _money(kind: type[Any], charge: UUID) -> Any:
    return kind(**on_line(charge), amount=Decimal(50), net=Decimal(50), in_full=True)


def _used(world: World, charge: UUID) -> None:
    """40 of the credit are used in January."""
    [usage] = world.create(new_usage(), at=START)
    world.use(40)
    world.advance(usage, END)


def _used_and_paid() -> tuple[World, UUID]:
    """40 of 100 used, and 50.00 paid."""
    world, charge = purchase_at(S.PAYMENT_PENDING)()
    _used(world, charge)
    world.tell(_money(LinePaymentAuthorized, charge), START)
    world.tell(_money(LinePaymentSettled, charge), START)
    return world, charge


def _line_gone() -> tuple[World, UUID]:
    """40 of 100 used before the draft was deleted: 20.00 wait to be invoiced."""
    world, charge = purchase_at(S.PAYMENT_PENDING)()
    _used(world, charge)
    world.tell(LineRemoved(**on_line(charge), whole_invoice=True), END)
    return world, charge


def _voided(charge: UUID) -> LineCredited:
    """Its invoice was voided; 50.00 that were paid are free."""
    return LineCredited(
        **on_line(charge),
        amount=Decimal(50),
        net=Decimal(50),
        freed=Decimal(50),
        freed_net=Decimal(50),
        in_full=True,
        cause=CreditCause.INVOICE_VOIDED,
        credit_note_id=UUID(int=200),
    )


def worth_nothing(bring: Bringing) -> Bringing:
    """The same, of a fee that older data left with an amount of zero."""

    def brought() -> tuple[World, UUID]:
        world, charge = bring()
        created = next(record.body for record in world.log if isinstance(record.body, ChargeCreated))
        assert isinstance(created.base, FlatFeeLayer)
        zero = msgspec.structs.replace(
            created.base, amount_before_proration=Decimal(0), amount_after_proration=Decimal(0)
        )
        world.rewrite(charge, created, msgspec.structs.replace(created, base=zero))
        return world, charge

    return brought


USAGE_AT: dict[Status, Bringing] = {status: usage_at(status) for status in invoiced_usage.PATCHES.statuses}
FEE_AT: dict[Status, Bringing] = {status: fee_at(status) for status in invoiced_fee.PATCHES.statuses}
INVOICED = {row.status for row in INVOICE.rows} | {row.to for row in INVOICE.rows}
PURCHASE_AT: dict[Status, Bringing] = {status: purchase_at(status) for status in sorted(INVOICED)}
BROUGHT = [
    *(pytest.param(bring, status, id=f"usage-{status.value}") for status, bring in USAGE_AT.items()),
    *(pytest.param(bring, status, id=f"fee-{status.value}") for status, bring in FEE_AT.items()),
    *(pytest.param(bring, status, id=f"purchase-{status.value}") for status, bring in PURCHASE_AT.items()),
]


@pytest.mark.parametrize(("bring", "status"), BROUGHT)
def test_a_charge_by_invoice_can_be_met_in_every_status(bring: Bringing, status: Status) -> None:
    world, charge = bring()

    assert world.charge(charge).status is status


# ── every row ────────────────────────────────────────────────────────────────────────────────────────────────


def moves(world: World) -> list[tuple[Status, Status, Trigger]]:
    """The steps that the last command recorded."""
    moved = [getattr(event, "moved", None) for event in world.events]
    return [(move.status_from, move.status_to, move.trigger) for move in moved if move is not None]


def advancing(at: str) -> Step:
    return lambda world, charge: world.advance(charge, at)


def made(until: str, at: str) -> Step:
    return lambda world, charge: world.line_made(charge, until, at)


def _collected(world: World, charge: UUID) -> None:
    world.line_collected(charge, COLLECTED)


def _issued(world: World, charge: UUID) -> None:
    world.line_approved(charge, COLLECTED)
    world.line_issued(charge, COLLECTED)


def _issue_and_pay(world: World, charge: UUID) -> None:
    world.line_paid(charge, COLLECTED)


def _end_where_billed(world: World, charge: UUID) -> None:
    """The end moves to where a part was billed; then the clock finds that everything is."""
    patch = ShrinkToRealized(service_period_to=timestamp(PART))
    world._patch(charge, END, lambda draft, facts: decisions.apply(draft, charge, patch, facts))
    world.advance(charge, END)


def below_zero() -> tuple[World, UUID]:
    """15 units by the 16th were billed 150; with a sixteenth all of them cost 80: the rest of January comes to -70."""
    world = World(policies=Policies.standard())
    world.use("15", "2026-01-10")
    price = volume(("15", "10"), (None, "5"))
    [charge] = world.create(new_usage(usage_terms(price=price), settlement_mode=BY_INVOICE), at=BEFORE)
    world.advance(charge, START)
    world.line_made(charge, PART, PART)
    world.line_collected(charge, PART)
    world.line_approved(charge, PART)
    world.line_issued(charge, PART)
    world.use("1", "2026-01-20")
    world.line_made(charge, END, END, 2)
    world.line_collected(charge, COLLECTED, 2)
    world.rewind(S.PROCESSING)
    return world, charge


PARTLY = usage_at(S.REALIZATION_COMPLETED, until=PART)
PARTLY_ZERO = usage_at(S.ZERO_OVERAGE_COMPLETED, until=PART)

USAGE_WALKS: dict[tuple[str, Status], tuple[Bringing, Step]] = {
    ("V2", S.CREATED): (USAGE_AT[S.CREATED], advancing(START)),
    ("V3", S.ACTIVE): (USAGE_AT[S.ACTIVE], made(END, END)),
    ("V4", S.REALIZATION_STARTED): (USAGE_AT[S.REALIZATION_STARTED], advancing(END)),
    ("V5", S.WAITING_FOR_COLLECTION): (USAGE_AT[S.WAITING_FOR_COLLECTION], _collected),
    ("V6", S.PROCESSING): (usage_at(S.PROCESSING, nothing_owed=True), advancing(COLLECTED)),
    ("V6b", S.PROCESSING): (below_zero, advancing(COLLECTED)),
    ("V7", S.PROCESSING): (USAGE_AT[S.PROCESSING], _issued),
    ("V8", S.ISSUING): (USAGE_AT[S.ISSUING], advancing(COLLECTED)),
    ("V9a", S.REALIZATION_COMPLETED): (USAGE_AT[S.REALIZATION_COMPLETED], advancing(COLLECTED)),
    ("V9b", S.REALIZATION_COMPLETED): (PARTLY, advancing(COLLECTED)),
    ("V9a", S.ZERO_OVERAGE_COMPLETED): (USAGE_AT[S.ZERO_OVERAGE_COMPLETED], advancing(COLLECTED)),
    ("V9b", S.ZERO_OVERAGE_COMPLETED): (PARTLY_ZERO, advancing(COLLECTED)),
    ("V10", S.ACTIVE): (usage_at(S.AWAITING_PAYMENT_SETTLEMENT, until=END), advancing(END)),
    ("V11", S.AWAITING_PAYMENT_SETTLEMENT): (USAGE_AT[S.AWAITING_PAYMENT_SETTLEMENT], _issue_and_pay),
    ("C1", S.ACTIVE_CLEAR_OVERRIDE): (USAGE_AT[S.ACTIVE_CLEAR_OVERRIDE], advancing(BEFORE)),
    ("C2", S.ACTIVE_CLEAR_OVERRIDE): (USAGE_AT[S.ACTIVE_CLEAR_OVERRIDE], advancing(START)),
    ("C3", S.DELETED_CLEAR_OVERRIDE): (USAGE_AT[S.DELETED_CLEAR_OVERRIDE], advancing(START)),
}


def _billed_in_part() -> tuple[World, UUID]:
    """January billed until the 16th, active again."""
    world, charge = PARTLY()
    world.advance(charge, PART)
    return world, charge


def _below_zero() -> tuple[World, UUID]:
    """15 units at 10 are issued; the sixteenth makes all of them cost 5, so that the second part comes to -70."""
    world = World(policies=Policies.standard())
    cheaper = TieredPrice(
        mode="volume", tiers=(Tier(up_to_amount=Decimal(15), unit_price=Decimal(10)), Tier(unit_price=Decimal(5)))
    )
    [charge] = world.create(new_usage(usage_terms(price=cheaper), settlement_mode=BY_INVOICE), at=BEFORE)
    world.use(15, "2026-01-10")
    world.use(1, "2026-01-20")
    world.advance(charge, START)
    world.invoiced(charge, PART, PART)
    world.line_made(charge, END, END, line=2)
    world.line_collected(charge, COLLECTED, line=2)
    world.rewind(S.PROCESSING)
    return world, charge


USAGE_WALKS["V10", S.ACTIVE] = (_billed_in_part, _end_where_billed)
USAGE_WALKS["V6b", S.PROCESSING] = (_below_zero, advancing(COLLECTED))


def _tokens_in_processing() -> tuple[World, UUID]:
    world, charge = FEE_AT[S.ZERO_OVERAGE_COMPLETED]()
    world.rewind(S.PROCESSING)
    return world, charge


FEE_WALKS: dict[tuple[str, Status], tuple[Bringing, Step]] = {
    ("K2", S.CREATED): (worth_nothing(FEE_AT[S.CREATED]), advancing(START)),
    ("K3", S.CREATED): (FEE_AT[S.CREATED], advancing(START)),
    ("K4", S.CREATED): (FEE_AT[S.CREATED], made(END, BEFORE)),
    ("K5", S.ACTIVE): (worth_nothing(FEE_AT[S.ACTIVE]), advancing(START)),
    ("K6", S.ACTIVE): (FEE_AT[S.ACTIVE], made(END, START)),
    ("K7", S.REALIZATION_STARTED): (FEE_AT[S.REALIZATION_STARTED], advancing(START)),
    ("K8", S.WAITING_FOR_COLLECTION): (FEE_AT[S.WAITING_FOR_COLLECTION], _collected),
    ("K9", S.PROCESSING): (_tokens_in_processing, advancing(START)),
    ("K10", S.ZERO_OVERAGE_COMPLETED): (FEE_AT[S.ZERO_OVERAGE_COMPLETED], advancing(START)),
    ("K11", S.PROCESSING): (FEE_AT[S.PROCESSING], _issued),
    ("K12", S.ISSUING): (FEE_AT[S.ISSUING], advancing(START)),
    ("K13", S.REALIZATION_COMPLETED): (FEE_AT[S.REALIZATION_COMPLETED], advancing(START)),
    ("K14", S.AWAITING_PAYMENT_SETTLEMENT): (FEE_AT[S.AWAITING_PAYMENT_SETTLEMENT], _issue_and_pay),
    ("C1", S.ACTIVE_CLEAR_OVERRIDE): (worth_nothing(FEE_AT[S.ACTIVE_CLEAR_OVERRIDE]), advancing(START)),
    ("C2", S.ACTIVE_CLEAR_OVERRIDE): (FEE_AT[S.ACTIVE_CLEAR_OVERRIDE], advancing(START)),
    ("C3", S.ACTIVE_CLEAR_OVERRIDE): (fee_at(S.ACTIVE_CLEAR_OVERRIDE, at=BEFORE), advancing(BEFORE)),
    ("C4", S.DELETED_CLEAR_OVERRIDE): (FEE_AT[S.DELETED_CLEAR_OVERRIDE], advancing(START)),
}


PURCHASE_WALKS: dict[tuple[str, Status], tuple[Bringing, Step]] = {
    ("I2", S.CREATED): (PURCHASE_AT[S.CREATED], made(START, START)),
    ("I3", S.INITIAL_CREDIT_GRANT): (PURCHASE_AT[S.INITIAL_CREDIT_GRANT], advancing(START)),
    ("I4", S.PAYMENT_PENDING): (
        PURCHASE_AT[S.PAYMENT_PENDING],
        lambda world, charge: world.tell(_money(LinePaymentAuthorized, charge), START),
    ),
    ("I5", S.PAYMENT_AUTHORIZED): (
        PURCHASE_AT[S.PAYMENT_AUTHORIZED],
        lambda world, charge: world.tell(_money(LinePaymentSettled, charge), START),
    ),
    ("I6", S.PAYMENT_SETTLED): (PURCHASE_AT[S.PAYMENT_SETTLED], advancing(START)),
    ("J1", S.CREATED): (purchase_at(S.CREATED, expires_at=timestamp(PART)), advancing(END)),
    ("J2", S.PAYMENT_PENDING): (_line_gone, lambda world, charge: world.line_made(charge, END, START, line=2)),
    ("J3", S.PAYMENT_PENDING): (
        PURCHASE_AT[S.PAYMENT_PENDING],
        lambda world, charge: world.tell(LineWrittenOff(**on_line(charge), amount=Decimal(50), net=Decimal(50)), START),
    ),
    ("J4", S.PAYMENT_AUTHORIZED): (
        PURCHASE_AT[S.PAYMENT_AUTHORIZED],
        lambda world, charge: world.tell(
            LinePaymentFailed(**on_line(charge), released=Decimal(50), released_net=Decimal(50)), START
        ),
    ),
    ("J5", S.FINAL): (_used_and_paid, lambda world, charge: world.tell(_voided(charge), END)),
}

ROWS = [
    *((row, USAGE_WALKS) for row in invoiced_usage.PATH.rows),
    *((row, FEE_WALKS) for row in invoiced_fee.PATH.rows),
    *((row, PURCHASE_WALKS) for row in INVOICE.rows),
]


@pytest.mark.parametrize(("row", "walks"), ROWS, ids=[f"{row.rule}-{row.status.value}" for row, _ in ROWS])
def test_every_row_by_invoice_is_walked(row: Row[Turn], walks: dict[tuple[str, Status], tuple[Bringing, Step]]) -> None:
    bring, step = walks[row.rule, row.status]
    world, charge = bring()
    assert world.charge(charge).status is row.status

    step(world, charge)

    assert (row.status, row.to, row.on) in moves(world)


def test_every_walk_is_of_a_row() -> None:
    walked = {*USAGE_WALKS, *FEE_WALKS, *PURCHASE_WALKS}

    assert walked == {(row.rule, row.status) for row, _ in ROWS}


HISTORIES = [
    *(bring for walks in (USAGE_WALKS, FEE_WALKS) for bring, _ in walks.values()),
    *USAGE_AT.values(),
    *FEE_AT.values(),
]
SHARED = [
    [row.rule for row in group]
    for path in (invoiced_usage.PATH, invoiced_fee.PATH)
    for _, rows in groupby(
        sorted(path.rows, key=lambda r: (r.status.value, r.on.value)), key=lambda r: (r.status, r.on)
    )
    if len(group := list(rows)) > 1
]


def test_no_two_rows_by_invoice_of_one_status_and_trigger_hold_at_once() -> None:
    asked: set[tuple[str, ...]] = set()
    for bring in HISTORIES:
        world, charge = bring()
        state = world.charge(charge)
        path = invoiced_fee.PATH if isinstance(state.intent.effective, FlatFeeLayer) else invoiced_usage.PATH
        for trigger in Trigger:
            group = [row for row in path.rows if (row.status, row.on) == (state.status, trigger)]
            for moment in MOMENTS if len(group) > 1 else ():
                turn = world.turn(charge, moment)
                holding = [row.rule for row in group if row.when(turn)]
                assert len(holding) <= 1, (holding, moment)
                asked.add(tuple(row.rule for row in group))

    assert asked == {tuple(rules) for rules in SHARED}


# ── every cell ───────────────────────────────────────────────────────────────────────────────────────────────


def _to_realized(world: World, charge: UUID) -> bool:
    runs = world.charge(charge).period_runs
    to = runs[-1].service_period_to if runs else timestamp(PART)
    patch = ShrinkToRealized(service_period_to=to)
    done: bool = world._patch(charge, COLLECTED, lambda draft, facts: decisions.apply(draft, charge, patch, facts))
    return done


def _edit(world: World, charge: UUID) -> bool:
    world.tell(LineEditAsked(**on_line(charge), name="Support"), COLLECTED)
    return True


SEND: dict[Trigger, Callable[[World, UUID, Any], bool]] = {
    Trigger.EXTEND: lambda world, charge, _: world.extend(charge, "2026-03-01", COLLECTED),
    Trigger.SHRINK: lambda world, charge, _: world.shrink(charge, "2026-01-20", COLLECTED),
    Trigger.SHRINK_TO_REALIZED: lambda world, charge, _: _to_realized(world, charge),
    Trigger.SET_OVERRIDE: lambda world, charge, terms: world.set_override(charge, terms, COLLECTED),
    Trigger.CLEAR_OVERRIDE: lambda world, charge, _: world.clear_override(charge, COLLECTED),
    Trigger.DELETE: lambda world, charge, _: world.delete(charge, COLLECTED, source="api"),
    Trigger.LINE_MANUAL_EDIT: lambda world, charge, _: _edit(world, charge),
}

NOTHING_TO_END = (S.CREATED, S.ACTIVE)
"""A charge without a run cannot end where its latest run ends."""

Walk = tuple[Status, Trigger, PatchPolicy, Callable[..., Bringing], Any]


def cells(policy: PatchPolicy, bringing: Callable[..., Bringing], terms: Any) -> list[Any]:
    return [
        pytest.param(status, operation, policy, bringing, terms, id=f"{policy.name}-{status.value}-{operation.value}")
        for status in policy.statuses
        for operation in policy.operations
    ]


CELLS = [
    *cells(invoiced_usage.PATCHES, usage_at, usage_terms()),
    *cells(invoiced_fee.PATCHES, fee_at, fee_terms("20")),
]


@pytest.mark.parametrize(("status", "operation", "policy", "bringing", "terms"), CELLS)
def test_every_cell_by_invoice_is_walked(
    status: Status, operation: Trigger, policy: PatchPolicy, bringing: Callable[..., Bringing], terms: Any
) -> None:
    cell = policy.cell(status, operation)
    clears = operation is Trigger.CLEAR_OVERRIDE
    is_usage = policy is invoiced_usage.PATCHES
    # Usage takes an override only while nothing is realized, and a fee at any time.
    override = clears and (not is_usage or status in {S.CREATED, S.ACTIVE, S.DELETED})
    world, charge = bringing(status, override=override)()
    before = len(world.log)

    if cell is Cell.REFUSE and not (clears and world.charge(charge).intent.override is None):
        with pytest.raises((UnsupportedOperation, PreconditionFailed)) as refused:
            SEND[operation](world, charge, terms)
        assert str(charge) in str(refused.value)
        assert len(world.log) == before
        return
    try:
        done = SEND[operation](world, charge, terms)
    except LedgerError as refusal:
        if not _is_beside_the_table(status, operation, refusal):
            raise
        assert len(world.log) == before
        return
    assert done is (len(world.log) > before)
    if cell is Cell.DOES_NOT_ARISE or not done:
        assert world.events == []
        return
    ends = {status, *policy.leads_to[operation]}
    first = [to for from_, to, on in moves(world) if on is operation]
    assert set(first) <= ends
    if cell is Cell.MOVE:
        assert first == [S.ACTIVE_CLEAR_OVERRIDE]


def _is_beside_the_table(status: Status, operation: Trigger, refusal: LedgerError) -> bool:
    """What a permitted operation is refused for all the same: not the status, but what there is to operate on."""
    match operation:
        case Trigger.SHRINK_TO_REALIZED:
            return status in NOTHING_TO_END and isinstance(refusal, CannotEditProgressivelyBilledLine)
        case Trigger.LINE_MANUAL_EDIT:
            return isinstance(refusal, PreconditionFailed)
        case _:
            return False
