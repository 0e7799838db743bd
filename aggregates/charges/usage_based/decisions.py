"""What can be asked of usage settled from credit only: advance it, patch it, delete it (lifecycles §7).

Refusals come in this order: a patch that is not this sender's, a stale one, everything wrong with its arguments
together, a status that does not permit it. What is emitted after them cannot be refused any more, except by rating.
"""

from __future__ import annotations

from uuid import UUID

from aggregates.charges import patches
from aggregates.charges.collection import collected_after
from aggregates.charges.events import (
    AdvanceBroughtForward,
    ChargeDeleted,
    ChargeReopened,
    CreditRefund,
    OverrideCleared,
    OverrideSet,
    ReopenedReason,
    RunClosedReason,
)
from aggregates.charges.facts import Facts, QuantityNeeded
from aggregates.charges.intent import UsageLayer
from aggregates.charges.proposal import keys_of
from aggregates.charges.requests import ClearOverride, Delete, MovePeriodEnd, PatchSource, SetOverride
from aggregates.charges.state import Charge
from aggregates.charges.turn import Turn
from aggregates.charges.usage_based import cuts, late
from aggregates.charges.usage_based.lifecycle import PATCHES, PATH, feature_of
from aggregates.charges.usage_terms import meter_of
from aggregates.charges.validation import require_free, validated_usage_override
from aggregates.credits.pool import CreditPool
from aggregates.lifecycle import Cell, Status, Trigger
from aggregates.rating.parts import parts_needed
from aggregates.runs.events import VoidReason
from aggregates.runs.state import RealizationRun
from aggregates.values.period import Instant, Period

# ── advancing ────────────────────────────────────────────────────────────────────────────────────────────────


def advance(turn: Turn) -> bool:
    """Walk `next` until no row holds; whether the charge moved. Needs the answers to `quantities_needed`.

    The cuts are those for which meters were asked: what the walk itself does to credit makes no new ones.
    """
    turn.run_ends = cuts.run_ends(turn.charge, turn.facts, turn.pool, cuts.left_over(turn.charge))
    rounds = len(turn.run_ends) + 1
    moved = bool(list(PATH.walk(lambda: turn.charge.status, turn, rounds)))
    return late.look(turn) or moved


def look_sooner(turn: Turn) -> bool:
    """Move the next look at the charge forward, where credit that came later starts or expires before it.

    Only where a run could start then; what waits for collection finds the next cut when that is complete.
    """
    charge = turn.charge
    if charge.status is not Status.ACTIVE or charge.advance_after is None:
        return False
    end = cuts.next_end(turn)
    if end >= charge.advance_after:
        return False
    turn.emit(AdvanceBroughtForward(advance_after=end))
    return True


STARTS_RUN = frozenset({Status.CREATED, Status.ACTIVE, Status.ACTIVE_CLEAR_OVERRIDE})
"""The statuses from which advancing gets to the start of a run, once what it covers is over."""


def quantities_needed(
    charge: Charge, run: RealizationRun | None, facts: Facts, pool: CreditPool | None
) -> tuple[QuantityNeeded, ...]:
    """What a meter has to answer before the charge advances: one question a run, whose bounds are fixed.

    `run` is the current run, `pool` what the charge is paid from. A charge that catches up asks the same for the
    provisional and for the last rating of a run, and goes on to the next once its collection is complete.
    """
    needed: list[QuantityNeeded] = []
    if run is not None:
        assert run.stored_at_lt is not None, f"run {run.id} has no collection end"
        assert run.meter_id is not None, f"run {run.id} has no meter"
        if facts.now < collected_after(run.stored_at_lt):
            return ()
        needed.append(_question(charge, run.meter_id, run.service_period_to, run.stored_at_lt))
    elif charge.status not in STARTS_RUN:
        return ()
    for end in cuts.run_ends(charge, facts, pool, cuts.left_over(charge)):
        if facts.now < end:
            break
        stored_at_lt = cuts.collection_end(facts, end)
        needed.append(_question(charge, feature_of(charge, facts).meter_id, end, stored_at_lt))
        if facts.now < collected_after(stored_at_lt):
            break
    return tuple(needed)


def _question(charge: Charge, meter_id: UUID, to: Instant, stored_at_lt: Instant) -> QuantityNeeded:
    layer = charge.intent.effective
    assert isinstance(layer, UsageLayer), f"charge {charge.id} is not usage based"
    from_, parts = layer.service_period.from_, parts_needed(layer.price)
    return QuantityNeeded(meter_id=meter_id, from_=from_, to=to, stored_at_lt=stored_at_lt, parts=parts)


# ── patches ──────────────────────────────────────────────────────────────────────────────────────────────────


def extend(turn: Turn, patch: MovePeriodEnd) -> bool:
    """Let the periods end later. A run that has been started is voided, and the charge begins again."""
    return _move_period_end(turn, Trigger.EXTEND, patch)


def shrink(turn: Turn, patch: MovePeriodEnd) -> bool:
    """Let the periods end earlier. A run that has been started is voided, and the charge begins again."""
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

    patches.move_end(turn, trigger, new, _first_guard(turn, new.service_period))
    _begin_again(turn, trigger, ReopenedReason.PERIOD_CHANGED)
    return True


def set_override(turn: Turn, patch: SetOverride) -> bool:
    """Lay a complete snapshot over the base. A run that has been started is voided, and the charge begins again."""
    charge = turn.charge
    patches.require_source(patch.source, PatchSource.API, Trigger.SET_OVERRIDE)
    patches.require_fresh(charge, patch.intent_version)
    override = validated_usage_override(patch.terms, turn.facts, meter_of(charge, turn.facts))
    PATCHES.require(charge.status, Trigger.SET_OVERRIDE, charge.id)

    turn.emit(OverrideSet(override=override, advance_after=_first_guard(turn, override.service_period)))
    _begin_again(turn, Trigger.SET_OVERRIDE, ReopenedReason.OVERRIDE_SET)
    return True


def clear_override(turn: Turn, patch: ClearOverride) -> bool:
    """Let the base hold again; False where there is no override.

    The transient status that owns the clearing is left in the same decision, so that nobody ever meets a charge in
    it. A charge that comes back from its deletion needs its keys again: `ReferenceInUse` when another has them.
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
        turn.void_all_runs(VoidReason.INTENT_CHANGED)
        PATH.fire(turn.charge.status, Trigger.NEXT, turn, charge.id)
        return True
    _clear(turn, charge.status, _first_guard(turn, charge.intent.base.service_period))
    turn.void_all_runs(VoidReason.INTENT_CHANGED)
    return True


def _clear_over_deleted_base(turn: Turn) -> None:
    if turn.charge.is_deleted:
        _clear(turn, Status.DELETED, None)
        return
    _clear(turn, Status.DELETED_CLEAR_OVERRIDE, turn.charge.advance_after)
    turn.void_all_runs(VoidReason.CHARGE_DELETED)
    PATH.fire(turn.charge.status, Trigger.NEXT, turn, turn.charge_id)


def delete(turn: Turn, patch: Delete) -> bool:
    """Mark the intent deleted. Under `correct` all runs are voided; under `ignore` a current run is just closed."""
    charge = turn.charge
    patches.require_fresh(charge, patch.intent_version)
    if patches.is_hidden(charge, patch.source):
        patches.delete_hidden_base(turn)
        return True
    PATCHES.require(charge.status, Trigger.DELETE, charge.id)

    if patch.credit_refund is CreditRefund.CORRECT:
        turn.void_all_runs(VoidReason.CHARGE_DELETED)
    elif charge.current_run_id is not None:
        turn.close_current_run(RunClosedReason.CANCELLED)
    turn.emit(
        ChargeDeleted(
            layer=patches.layer_to_delete(charge, patch),
            intent_deleted_at=turn.facts.instant,
            credit_refund=patch.credit_refund,
            moved=turn.moved(Status.DELETED, Trigger.DELETE, None),
        )
    )
    return True


def _first_guard(turn: Turn, period: Period) -> Instant:
    """When the clock next has something to do once the intent has changed: the begin in `created`, else a run's end."""
    return period.from_ if turn.charge.status is Status.CREATED else cuts.first_end(turn, period)


def _begin_again(turn: Turn, trigger: Trigger, reason: ReopenedReason) -> None:
    """After a change of the effective intent: void what was realized under the old one, and go back to `active`."""
    charge = turn.charge
    if charge.status is Status.CREATED:
        return
    turn.void_all_runs(VoidReason.INTENT_CHANGED)
    if charge.status is not Status.ACTIVE:
        moved = turn.moved(Status.ACTIVE, trigger, cuts.next_end(turn))
        turn.emit(ChargeReopened(reason=reason, moved=moved))


def _clear(turn: Turn, to: Status, advance_after: Instant | None) -> None:
    turn.emit(OverrideCleared(moved=turn.moved(to, Trigger.CLEAR_OVERRIDE, advance_after)))
