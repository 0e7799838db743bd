"""What can be asked of a flat fee settled from credit only: advance it, patch it, delete it (lifecycles §9).

Refusals come in this order: a patch that is not this sender's, a stale one, everything wrong with its arguments
together, a status that does not permit it.
"""

from __future__ import annotations

from aggregates.charges import patches
from aggregates.charges.events import ChargeDeleted, CreditRefund, OverrideCleared, OverrideSet
from aggregates.charges.flat_fee.lifecycle import PATCHES, PATH, rate_again
from aggregates.charges.intent import FlatFeeLayer, Periods
from aggregates.charges.proposal import keys_of
from aggregates.charges.requests import ClearOverride, Delete, MovePeriodEnd, PatchSource, SetOverride
from aggregates.charges.turn import Turn
from aggregates.charges.validation import require_free, validated_fee_override
from aggregates.lifecycle import Cell, Status, Trigger
from aggregates.runs.events import VoidReason
from aggregates.values.period import Instant


def advance(turn: Turn) -> bool:
    """Walk `next` until no row holds; whether the charge moved."""
    return bool(list(PATH.walk(lambda: turn.charge.status, turn)))


def extend(turn: Turn, patch: MovePeriodEnd) -> bool:
    """Let the periods end later; a fee that has been booked is rated again."""
    return _move_period_end(turn, Trigger.EXTEND, patch)


def shrink(turn: Turn, patch: MovePeriodEnd) -> bool:
    """Let the periods end earlier; a fee that has been booked is rated again."""
    return _move_period_end(turn, Trigger.SHRINK, patch)


def _move_period_end(turn: Turn, trigger: Trigger, patch: MovePeriodEnd) -> bool:
    charge = turn.charge
    patches.require_source(patch.source, PatchSource.SYSTEM, trigger)
    patches.require_fresh(charge, patch.intent_version)
    if patches.is_hidden(charge, patch.source):
        patches.amend_hidden_periods(turn, trigger, patch)
        return True
    new = patches.new_periods(charge.intent.base, trigger, patch)
    PATCHES.require(charge.status, trigger, charge.id)

    patches.move_end(turn, trigger, new, _guarded(charge.status, turn.fee, new))
    _follow_intent(turn)
    return True


def set_override(turn: Turn, patch: SetOverride) -> bool:
    """Lay a complete snapshot over the base; a fee that has been booked is rated again."""
    charge = turn.charge
    patches.require_source(patch.source, PatchSource.API, Trigger.SET_OVERRIDE)
    patches.require_fresh(charge, patch.intent_version)
    override = validated_fee_override(patch.terms, charge.currency, turn.facts)
    PATCHES.require(charge.status, Trigger.SET_OVERRIDE, charge.id)

    turn.emit(OverrideSet(override=override, advance_after=_guarded(charge.status, override, override.periods)))
    _follow_intent(turn)
    return True


def clear_override(turn: Turn, patch: ClearOverride) -> bool:
    """Let the base hold again; False where there was no override.

    A deleted charge that comes back needs its keys again: `ReferenceInUse` when another has them.
    """
    charge = turn.charge
    patches.require_source(patch.source, PatchSource.API, Trigger.CLEAR_OVERRIDE)
    patches.require_fresh(charge, patch.intent_version)
    if charge.intent.override is None:
        return False
    if charge.intent.base_is_deleted:
        _clear_over_deleted_base(turn)
        return True
    cell = PATCHES.require(charge.status, Trigger.CLEAR_OVERRIDE, charge.id)
    if charge.is_deleted:
        require_free(keys_of(charge.customer, charge.identity), turn.facts, turn.draft)

    if cell is Cell.MOVE:
        _clear(turn, Status.ACTIVE_CLEAR_OVERRIDE, charge.advance_after)
        PATH.fire(turn.charge.status, Trigger.NEXT, turn, charge.id)
        return True
    base = charge.intent.base
    assert isinstance(base, FlatFeeLayer), f"charge {charge.id} is no flat fee"
    _clear(turn, charge.status, _guarded(charge.status, base, base.periods))
    _follow_intent(turn)
    return True


def _clear_over_deleted_base(turn: Turn) -> None:
    if turn.charge.is_deleted:
        _clear(turn, Status.DELETED, None)
        return
    _clear(turn, Status.DELETED_CLEAR_OVERRIDE, turn.charge.advance_after)
    turn.void_all_runs(VoidReason.CHARGE_DELETED)
    PATH.fire(turn.charge.status, Trigger.NEXT, turn, turn.charge_id)


def delete(turn: Turn, patch: Delete) -> bool:
    """Mark the intent deleted. Under `correct` the run is voided; a fee without a run corrects nothing (R-19)."""
    charge = turn.charge
    patches.require_fresh(charge, patch.intent_version)
    if patches.is_hidden(charge, patch.source):
        patches.delete_hidden_base(turn)
        return True
    PATCHES.require(charge.status, Trigger.DELETE, charge.id)

    if patch.credit_refund is CreditRefund.CORRECT:
        turn.void_all_runs(VoidReason.CHARGE_DELETED)
    turn.emit(
        ChargeDeleted(
            layer=patches.layer_to_delete(charge, patch),
            intent_deleted_at=turn.facts.instant,
            credit_refund=patch.credit_refund,
            moved=turn.moved(Status.DELETED, Trigger.DELETE, None),
        )
    )
    return True


def _guarded(status: Status, fee: FlatFeeLayer, periods: Periods) -> Instant | None:
    """When the clock next has something to do: due in `created`, booked in `active`; a final fee is done."""
    if status is Status.CREATED:
        return periods.invoice_at
    return patches.booked_over(fee, periods) if status is Status.ACTIVE else None


def _follow_intent(turn: Turn) -> None:
    """After a change of the effective intent: what has been booked is brought to what the fee comes to now."""
    if turn.charge.current_run is not None:
        rate_again(turn)


def _clear(turn: Turn, to: Status, advance_after: Instant | None) -> None:
    turn.emit(OverrideCleared(moved=turn.moved(to, Trigger.CLEAR_OVERRIDE, advance_after)))
