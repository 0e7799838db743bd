"""The lifecycle of a flat fee settled from credit and then by invoice, as two tables (lifecycles §10).

A fee of zero has no invoice artefact and is final when it is due. Any other waits on its gathering line until it is
invoiced; its one run stays the current one unless it is replaced or cancelled. Worked: 5 of which 2 are covered by
credit accrue 3 when the invoice is issued, and the fee is final when the 3 are paid.
"""

from __future__ import annotations

from aggregates.charges import gathering, invoicing
from aggregates.charges.cost_basis import cost_basis_needed, resolved_when_needed
from aggregates.charges.events import (
    ChargeActivated,
    ChargeFinalized,
    ChargeReopened,
    CollectionAwaited,
    CostBasisResolved,
    InvoiceIssueRecorded,
    PaymentSettlementAwaited,
    RealizationCompleted,
    RealizationProcessed,
    RealizationRunOpened,
    ReopenedReason,
    ZeroOverageCompleted,
)
from aggregates.charges.flat_fee.lifecycle import delete_with_base, fee_is_due
from aggregates.charges.flat_fee.realizing import rate_and_cover, start_run, totals_of
from aggregates.charges.line_content import is_zero_overage, nothing_to_pay, show
from aggregates.charges.turn import Turn
from aggregates.invoices.effects import LineCreated, LineIssued
from aggregates.invoices.lines import LineContent
from aggregates.lifecycle import PatchPolicy, Path, Row, Status, Trigger, always
from aggregates.runs.events import RunSealed, RunType, SealReason
from aggregates.values.decimals import ONE
from aggregates.values.errors import PreconditionFailed
from aggregates.values.period import Period

# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────────


def fee_is_zero(turn: Turn) -> bool:
    """The fee comes to nothing (Z of lifecycles §10)."""
    return not turn.fee.amount_after_proration


def fee_is_something(turn: Turn) -> bool:
    """The fee comes to something."""
    return not fee_is_zero(turn)


def fee_is_due_and_zero(turn: Turn) -> bool:
    """The fee is due and comes to nothing."""
    return fee_is_due(turn) and fee_is_zero(turn)


def fee_is_due_and_something(turn: Turn) -> bool:
    """The fee is due and comes to something."""
    return fee_is_due(turn) and fee_is_something(turn)


def fee_is_not_due_and_something(turn: Turn) -> bool:
    """The fee is still to come and comes to something."""
    return not fee_is_due(turn) and fee_is_something(turn)


def nothing_is_owed(turn: Turn) -> bool:
    """What the charge's own credit leaves uncovered comes to nothing in fiat."""
    return turn.current_run.zero_overage


def nothing_is_open(turn: Turn) -> bool:
    """Nothing of the current run is left to wait for; without one, nothing of any run that counts."""
    charge = turn.charge
    runs = (charge.current_run,) if charge.current_run is not None else charge.live_runs
    return all(not entry.invoiced or entry.is_settled for entry in runs)


# ── work ─────────────────────────────────────────────────────────────────────────────────────────────────────


def activate(turn: Turn, row: Row[Turn]) -> None:
    """Look up what was left to the rate of the day, once, and become active."""
    charge = turn.charge
    needed = cost_basis_needed(charge)
    if needed is not None:
        turn.emit(CostBasisResolved(resolved=resolved_when_needed(needed, charge, None, turn.facts)))
        gathering.gather(turn, turn.fee.service_period)
    moved = turn.walked(row, turn.fee.service_period.to)
    turn.emit(ChargeActivated(booked_at=turn.fee.booked_at, moved=moved))


def attach_run(turn: Turn, row: Row[Turn]) -> None:
    """Start the run on a line that was put on an invoice by hand, before the fee is due (lifecycles §17.7)."""
    charge = turn.charge
    if cost_basis_needed(charge) is not None:
        raise PreconditionFailed(f"the cost basis of charge {charge.id} is not resolved before it is due", charge.id)
    start_on_line(turn, row)


def start_on_line(turn: Turn, row: Row[Turn]) -> None:
    """Start the run that the line shows: rate the fee and cover what credit there is."""
    notice = turn.notice
    assert isinstance(notice, LineCreated), f"{row.rule} is walked when a line was made"
    run = start_run(turn, notice.line_id, notice.invoice_id)
    rate_and_cover(turn, run)
    charge, rated, period = turn.charge, turn.run(run.id), turn.fee.service_period
    turn.emit(
        RealizationRunOpened(
            run_id=run.id,
            type=RunType.FINAL_REALIZATION,
            service_period_from=period.from_,
            service_period_to=period.to,
            line_id=notice.line_id,
            invoice_id=notice.invoice_id,
            no_fiat=nothing_to_pay(charge, rated),
            zero_overage=is_zero_overage(charge, rated),
            moved=turn.walked(row, charge.advance_after),
        )
    )
    gathering.drop(turn)
    show(turn, rated)


def await_collection(turn: Turn, row: Row[Turn]) -> None:
    """A fee has nothing to collect; its invoice may."""
    moved = turn.walked(row, turn.charge.advance_after)
    turn.emit(CollectionAwaited(run_id=turn.current_run.run_id, moved=moved))


def collect(turn: Turn, row: Row[Turn]) -> None:
    """Collection is complete; nothing is rated again, because a fee has no usage."""
    entry = turn.current_run
    turn.emit(
        RealizationProcessed(
            run_id=entry.run_id,
            no_fiat=entry.no_fiat,
            zero_overage=entry.zero_overage,
            moved=turn.walked(row, turn.charge.advance_after),
        )
    )


def close_zero_overage(turn: Turn, row: Row[Turn]) -> None:
    """Nothing is owed in fiat: the run is done without an invoice, and its line goes."""
    entry = turn.current_run
    turn.draft.emit(turn.run_stream(entry.run_id), RunSealed(reason=SealReason.ZERO_OVERAGE))
    turn.emit(ZeroOverageCompleted(run_id=entry.run_id, moved=turn.walked(row, None)))
    invoicing.ask_to_delete(turn, entry)


def issue(turn: Turn, row: Row[Turn]) -> None:
    """The invoice is final: book what it asks for."""
    entry, notice = turn.current_run, turn.notice
    assert isinstance(notice, LineIssued), f"{row.rule} is walked when the line was issued"
    no_fiat = invoicing.accrue(turn, turn.run(entry.run_id), notice)
    moved = turn.walked(row, None)
    turn.emit(InvoiceIssueRecorded(run_id=entry.run_id, line_id=notice.line_id, no_fiat=no_fiat, moved=moved))


def preview(turn: Turn, period: Period) -> LineContent:
    """What the line of a fee that waits to be invoiced would show now; nothing is recorded (lifecycles §17.1).

    No credit is counted: that is allocated when the run is started.
    """
    fee = turn.fee
    return LineContent(
        name=fee.name,
        period=period,
        quantity=ONE,
        unit_amount=fee.amount_after_proration,
        totals=totals_of(turn, fee),
    )


def complete(turn: Turn, row: Row[Turn]) -> None:
    """Note that the realization is complete."""
    turn.emit(RealizationCompleted(run_id=turn.current_run.run_id, moved=turn.walked(row, None)))


def await_settlement(turn: Turn, row: Row[Turn]) -> None:
    """The fee is invoiced; wait until it is settled."""
    turn.emit(PaymentSettlementAwaited(moved=turn.walked(row, None)))


def finish(turn: Turn, row: Row[Turn]) -> None:
    """Nothing is left to do."""
    turn.emit(ChargeFinalized(moved=turn.walked(row, None)))


def reopen_as_active(turn: Turn, row: Row[Turn]) -> None:
    """The base holds again, and is due."""
    moved = turn.walked(row, turn.fee.service_period.to)
    turn.emit(ChargeReopened(reason=ReopenedReason.OVERRIDE_CLEARED, moved=moved))


def reopen_as_created(turn: Turn, row: Row[Turn]) -> None:
    """The base holds again, and is not due yet."""
    moved = turn.walked(row, turn.fee.periods.invoice_at)
    turn.emit(ChargeReopened(reason=ReopenedReason.OVERRIDE_CLEARED, moved=moved))


# ── the tables ───────────────────────────────────────────────────────────────────────────────────────────────

CREATED = Status.CREATED
ACTIVE = Status.ACTIVE
STARTED = Status.REALIZATION_STARTED
WAITING = Status.WAITING_FOR_COLLECTION
PROCESSING = Status.PROCESSING
ISSUING = Status.ISSUING
ZERO_OVERAGE = Status.ZERO_OVERAGE_COMPLETED
COMPLETED = Status.REALIZATION_COMPLETED
AWAITING = Status.AWAITING_PAYMENT_SETTLEMENT
FINAL = Status.FINAL
DELETED = Status.DELETED
ACTIVE_CLEAR_OVERRIDE = Status.ACTIVE_CLEAR_OVERRIDE
DELETED_CLEAR_OVERRIDE = Status.DELETED_CLEAR_OVERRIDE
NEXT = Trigger.NEXT
MADE, COLLECTED, ISSUED = Trigger.INVOICE_CREATED, Trigger.COLLECTION_COMPLETED, Trigger.INVOICE_ISSUED
ATTACH = Trigger.ATTACH_INVOICE_LINE

# fmt: off
PATH = Path("flat_fee / credit_then_invoice", (
    #   rule   from                    on         to            when                          then
    Row("K2",  CREATED,                NEXT,      FINAL,        fee_is_due_and_zero,          finish),
    Row("K3",  CREATED,                NEXT,      ACTIVE,       fee_is_due_and_something,     activate),
    Row("K4",  CREATED,                ATTACH,    PROCESSING,   fee_is_something,             attach_run),
    Row("K5",  ACTIVE,                 NEXT,      FINAL,        fee_is_zero,                  finish),
    Row("K6",  ACTIVE,                 MADE,      STARTED,      fee_is_something,             start_on_line),
    Row("K7",  STARTED,                NEXT,      WAITING,      always,                       await_collection),
    Row("K8",  WAITING,                COLLECTED, PROCESSING,   always,                       collect),
    Row("K9",  PROCESSING,             NEXT,      ZERO_OVERAGE, nothing_is_owed,              close_zero_overage),
    Row("K10", ZERO_OVERAGE,           NEXT,      FINAL,        always,                       finish),
    Row("K11", PROCESSING,             ISSUED,    ISSUING,      always,                       issue),
    Row("K12", ISSUING,                NEXT,      COMPLETED,    always,                       complete),
    Row("K13", COMPLETED,              NEXT,      AWAITING,     always,                       await_settlement),
    Row("K14", AWAITING,               NEXT,      FINAL,        nothing_is_open,              finish),
    # The ways out of the statuses that own the clearing of an override.
    Row("C1",  ACTIVE_CLEAR_OVERRIDE,  NEXT,      FINAL,        fee_is_zero,                  finish),
    Row("C2",  ACTIVE_CLEAR_OVERRIDE,  NEXT,      ACTIVE,       fee_is_due_and_something,     reopen_as_active),
    Row("C3",  ACTIVE_CLEAR_OVERRIDE,  NEXT,      CREATED,      fee_is_not_due_and_something, reopen_as_created),
    Row("C4",  DELETED_CLEAR_OVERRIDE, NEXT,      DELETED,      always,                       delete_with_base),
))

# What holds in every row: a patch of a hidden base changes only that; clearing where there is no override does
# nothing, and over a deleted base it moves to `deleted.clear_override`, from anywhere but `deleted`, where the
# override just falls away. Between issue and completion a change of the intent is to be repeated after billing has
# advanced. What a change does to run, line and status: `invoiced_decisions.py`.
PATCHES = PatchPolicy(
    "flat_fee / credit_then_invoice",
    (Trigger.EXTEND, Trigger.SHRINK, Trigger.SET_OVERRIDE, Trigger.LINE_MANUAL_EDIT, Trigger.CLEAR_OVERRIDE,
     Trigger.DELETE),
    {
        #                       extend  shrink  set_override  manual_edit  clear_override  delete
        CREATED:                "A       A       A             A            >               A",
        ACTIVE:                 "A       A       A             A            >               A",
        STARTED:                "A       A       A             A            >               A",
        WAITING:                "A       A       A             A            >               A",
        PROCESSING:             "A       A       A             A            >               A",
        ISSUING:                "R       R       R             R            >               A",
        ZERO_OVERAGE:           "R       R       R             R            >               A",
        COMPLETED:              "R       R       R             R            >               A",
        AWAITING:               "A       A       A             A            >               A",
        FINAL:                  "A       A       A             A            >               A",
        ACTIVE_CLEAR_OVERRIDE:  "R       R       R             R            ·               A",
        DELETED_CLEAR_OVERRIDE: "R       R       R             R            ·               A",
        DELETED:                "R       R       R             R            >               R",
    },
    leads_to={
        Trigger.EXTEND: (CREATED, FINAL),
        Trigger.SHRINK: (CREATED, FINAL),
        Trigger.SET_OVERRIDE: (CREATED, FINAL),
        Trigger.CLEAR_OVERRIDE: (ACTIVE_CLEAR_OVERRIDE, DELETED_CLEAR_OVERRIDE),
        Trigger.DELETE: (DELETED,),
    },
)
# fmt: on
