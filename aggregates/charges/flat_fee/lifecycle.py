"""The lifecycle of a flat fee settled from credit only, as two tables (lifecycles §9).

The fee is due at `invoice_at` and booked at the end of its period (in arrears) or at its start (in advance). There is
no run before it is booked, so that deleting it until then corrects nothing (R-19). Worked: 100 with 10 % off is
amount 100, discounts 10, credits 90; raised from 10 to 20 when it is final, it takes 10 more: [10, 10].
"""

from __future__ import annotations

from aggregates.charges.events import (
    ChargeActivated,
    ChargeDeleted,
    ChargeFinalized,
    ChargeReopened,
    CreditRefund,
    RealizationRunOpened,
    ReopenedReason,
    RunRerated,
)
from aggregates.charges.flat_fee.realizing import rate_and_cover, start_run
from aggregates.charges.intent import LayerName
from aggregates.charges.turn import Turn
from aggregates.lifecycle import PatchPolicy, Path, Row, Status, Trigger, always
from aggregates.runs import decisions as runs
from aggregates.runs.events import RunType

# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────────


def fee_is_due(turn: Turn) -> bool:
    """The clock has reached `invoice_at`."""
    return turn.now >= turn.fee.periods.invoice_at


def fee_is_booked(turn: Turn) -> bool:
    """The clock has reached the time at which the fee is booked."""
    return turn.now >= turn.fee.booked_at


def fee_is_due_and_not_booked(turn: Turn) -> bool:
    """The clock stands between the two."""
    return fee_is_due(turn) and not fee_is_booked(turn)


def fee_is_neither_due_nor_booked(turn: Turn) -> bool:
    """Both are still to come."""
    return not fee_is_due(turn) and not fee_is_booked(turn)


# ── work ─────────────────────────────────────────────────────────────────────────────────────────────────────


def activate(turn: Turn, row: Row[Turn]) -> None:
    """Become active, and wait for the time at which the fee is booked."""
    booked_at = turn.fee.booked_at
    turn.emit(ChargeActivated(booked_at=booked_at, moved=turn.walked(row, booked_at)))


def realize(turn: Turn, row: Row[Turn]) -> None:
    """Rate the fee, cover it with credit to the last unit, and be done. A run that is there already is used again."""
    if turn.charge.current_run is not None:
        rate_again(turn)
    else:
        run = start_run(turn)
        rate_and_cover(turn, run)
        runs.finalize(turn.draft, run)
        period = turn.fee.service_period
        turn.emit(
            RealizationRunOpened(
                run_id=run.id,
                type=RunType.FINAL_REALIZATION,
                service_period_from=period.from_,
                service_period_to=period.to,
                no_fiat=True,
                moved=turn.moved(turn.charge.status, row.on, turn.charge.advance_after),
            )
        )
    turn.emit(ChargeFinalized(moved=turn.walked(row, None)))


def rate_again(turn: Turn) -> None:
    """Rate the run again where it stands, and take or give back the difference in credit."""
    run = turn.run_stream(turn.current_run.run_id)
    rate_and_cover(turn, run)
    runs.finalize(turn.draft, run)
    turn.emit(RunRerated(run_id=run.id, service_period=turn.fee.service_period, no_fiat=True))


def reopen_as_active(turn: Turn, row: Row[Turn]) -> None:
    """The base holds again; it is due and will be booked."""
    _reopen(turn, row)


def reopen_as_created(turn: Turn, row: Row[Turn]) -> None:
    """The base holds again; it is not due yet."""
    _reopen(turn, row)


def _reopen(turn: Turn, row: Row[Turn]) -> None:
    after = turn.fee.booked_at if row.to is Status.ACTIVE else turn.fee.periods.invoice_at
    turn.emit(ChargeReopened(reason=ReopenedReason.OVERRIDE_CLEARED, moved=turn.walked(row, after)))


def delete_with_base(turn: Turn, row: Row[Turn]) -> None:
    """The base that holds again is a deleted one, and so is the charge."""
    deleted_at = turn.fee.intent_deleted_at
    assert deleted_at is not None, f"charge {turn.charge_id}: {row.rule} over a base that is not deleted"
    turn.emit(
        ChargeDeleted(
            layer=LayerName.BASE,
            intent_deleted_at=deleted_at,
            credit_refund=CreditRefund.CORRECT,
            moved=turn.walked(row, None),
        )
    )


# ── the tables ───────────────────────────────────────────────────────────────────────────────────────────────

CREATED = Status.CREATED
ACTIVE = Status.ACTIVE
FINAL = Status.FINAL
DELETED = Status.DELETED
ACTIVE_CLEAR_OVERRIDE = Status.ACTIVE_CLEAR_OVERRIDE
DELETED_CLEAR_OVERRIDE = Status.DELETED_CLEAR_OVERRIDE
NEXT = Trigger.NEXT

# fmt: off
PATH = Path("flat_fee / credit_only", (
    #   rule  from                    on    to       when                            then
    Row("F2", CREATED,                NEXT, ACTIVE,  fee_is_due,                     activate),
    Row("F3", ACTIVE,                 NEXT, FINAL,   fee_is_booked,                  realize),
    # The ways out of the statuses that own the clearing of an override.
    Row("C1", ACTIVE_CLEAR_OVERRIDE,  NEXT, FINAL,   fee_is_booked,                  realize),
    Row("C2", ACTIVE_CLEAR_OVERRIDE,  NEXT, ACTIVE,  fee_is_due_and_not_booked,      reopen_as_active),
    Row("C3", ACTIVE_CLEAR_OVERRIDE,  NEXT, CREATED, fee_is_neither_due_nor_booked,  reopen_as_created),
    Row("C4", DELETED_CLEAR_OVERRIDE, NEXT, DELETED, always,                         delete_with_base),
))

# What holds in every row: a patch of a hidden base changes only that; clearing where there is no override does
# nothing; clearing over a deleted base moves to `deleted.clear_override`, from anywhere but `deleted`, where the
# override just falls away. A change of the intent rates the run again where it stands, if there is one.
PATCHES = PatchPolicy(
    "flat_fee / credit_only",
    (Trigger.EXTEND, Trigger.SHRINK, Trigger.SET_OVERRIDE, Trigger.CLEAR_OVERRIDE, Trigger.DELETE),
    {
        #                       extend  shrink  set_override  clear_override  delete
        CREATED:                "A       A       A             A               A",
        ACTIVE:                 "A       A       A             A               A",
        FINAL:                  "A       A       A             A               A",
        ACTIVE_CLEAR_OVERRIDE:  "R       R       R             ·               A",
        DELETED_CLEAR_OVERRIDE: "R       R       R             ·               A",
        DELETED:                "R       R       R             >               R",
    },
    leads_to={
        Trigger.CLEAR_OVERRIDE: (ACTIVE_CLEAR_OVERRIDE, DELETED_CLEAR_OVERRIDE),
        Trigger.DELETE: (DELETED,),
    },
)
# fmt: on
