"""Patches of usage that is settled by invoice: what they do to runs, lines and what waits to be invoiced (§8.4).

A line on an invoice that can still change is deleted, and the invoice's answer voids its run; one that was issued
stays, is credited where credit notes are possible, and otherwise makes its run invalid. Nothing is billed twice unless
the policy `shrink_over_issued` says `replace`.
"""

from __future__ import annotations

from collections.abc import Sequence

from aggregates.charges import gathering, invoicing, patches
from aggregates.charges.events import (
    ChargeDeleted,
    ChargeFinalized,
    ChargeReopened,
    OverrideCleared,
    OverrideSet,
    PaymentSettlementAwaited,
    PeriodShrunkToRealized,
    ReopenedReason,
    RunClosedReason,
    RunReclassified,
)
from aggregates.charges.intent import LayerName, ManagedBy
from aggregates.charges.proposal import keys_of
from aggregates.charges.requests import (
    ClearOverride,
    Delete,
    MovePeriodEnd,
    PatchSource,
    SetOverride,
    ShrinkToRealized,
)
from aggregates.charges.state import Charge, RunEntry
from aggregates.charges.turn import Turn
from aggregates.charges.usage_based.cuts import latest_run
from aggregates.charges.usage_based.invoiced import PATCHES, PATH
from aggregates.charges.usage_based.late import note_again, note_last_under
from aggregates.charges.usage_based.setting_off import let_go, settled_with
from aggregates.charges.usage_terms import meter_of
from aggregates.charges.validation import require_free, validated_usage_override
from aggregates.lifecycle import Cell, Status, Trigger
from aggregates.policies import CreditNotes, ShrinkOverIssued
from aggregates.runs.events import RunType, RunTypeChanged, VoidReason
from aggregates.values.errors import CannotEditProgressivelyBilledLine, OverridesBilledUsage, PreconditionFailed
from aggregates.values.period import Instant, Period

RETRY = frozenset({Status.ISSUING, Status.ZERO_OVERAGE_COMPLETED, Status.REALIZATION_COMPLETED})
"""Statuses that billing leaves by itself: a patch is to be repeated then (lifecycles §16.4)."""
MUTABLE = frozenset({Status.REALIZATION_STARTED, Status.WAITING_FOR_COLLECTION, Status.PROCESSING})
OVER = frozenset({Status.AWAITING_PAYMENT_SETTLEMENT, Status.FINAL})
OVERRIDING = frozenset({Trigger.SET_OVERRIDE, Trigger.CLEAR_OVERRIDE})


def permit(charge: Charge, trigger: Trigger) -> Cell:
    """The cell of the policy. Raises `UnsupportedOperation`.

    Raises `PreconditionFailed` where billing moves on by itself, and for an override of what is being realized: it is
    what was realized that forbids it, and not the status (lifecycles §8.4, §21).
    """
    if PATCHES.cell(charge.status, trigger) is Cell.REFUSE:
        if charge.status in RETRY:
            raise PreconditionFailed(f"charge {charge.id} is {charge.status}; retry after billing advances", charge.id)
        if trigger in OVERRIDING and not charge.is_deleted:
            _require_nothing_realized(charge, charge.live_runs)
    return PATCHES.require(charge.status, trigger, charge.id)


# ── extend ───────────────────────────────────────────────────────────────────────────────────────────────────


def extend(turn: Turn, patch: MovePeriodEnd) -> bool:
    """Let the periods end later (lifecycles §8.4)."""
    charge = turn.charge
    patches.require_source(patch.source, PatchSource.SYSTEM, Trigger.EXTEND)
    patches.require_fresh(charge, patch.intent_version)
    if patches.is_hidden(charge, patch.source):
        patches.amend_hidden_periods(turn, Trigger.EXTEND, patch)
        return True
    new = patches.new_periods(charge.intent.base, Trigger.EXTEND, patch)
    permit(charge, Trigger.EXTEND)

    old_to, new_to = charge.intent.base.service_period.to, new.service_period.to
    patches.move_end(turn, Trigger.EXTEND, new, _follow(charge, new.service_period))
    at_old_end = [entry for entry in charge.period_runs if entry.service_period_to == old_to]
    current = charge.current_run
    if current is not None and current.is_late:
        invoicing.ask_to_delete(turn, current)  # what it would bill, the next run bills
    if current is not None and current in at_old_end and charge.status in MUTABLE:
        # The run of the whole period was wrong; its line goes, and with it the run (17.5).
        invoicing.ask_to_delete(turn, current)
        gathering.gather_anew(turn, gathering.remaining(turn.charge, without=current.run_id))
        return True
    if at_old_end:
        for entry in at_old_end:
            _reclassify(turn, entry, RunType.PARTIAL_INVOICE)
        gathering.gather_anew(turn, Period(old_to, new_to))
    else:
        gathering.gather(turn, gathering.remaining(turn.charge))
    if charge.status in OVER and turn.charge.gathering_line is not None:
        _reopen(turn, Trigger.EXTEND, new_to)
    return True


# ── shrink ───────────────────────────────────────────────────────────────────────────────────────────────────


def shrink(turn: Turn, patch: MovePeriodEnd) -> bool:
    """Let the periods end earlier (lifecycles §8.4)."""
    charge = turn.charge
    patches.require_source(patch.source, PatchSource.SYSTEM, Trigger.SHRINK)
    patches.require_fresh(charge, patch.intent_version)
    if patches.is_hidden(charge, patch.source):
        patches.amend_hidden_periods(turn, Trigger.SHRINK, patch)
        return True
    new = patches.new_periods(charge.intent.base, Trigger.SHRINK, patch)
    permit(charge, Trigger.SHRINK)
    new_to = new.service_period.to
    beyond = [entry for entry in charge.live_runs if entry.service_period_to > new_to]
    for entry in beyond:
        if not entry.set_off and (entry.line_id is None or entry.invoice_id is None):
            raise PreconditionFailed(f"run {entry.run_id} of charge {charge.id} is on no invoice", charge.id)

    patches.move_end(turn, Trigger.SHRINK, new, _follow(charge, new.service_period))
    held = _held(turn, beyond)
    gone = [entry for entry in beyond if entry not in held]
    if turn.facts.policies.credit_notes is CreditNotes.ON:
        gone += settled_with(turn, gone)
    for entry in gone:
        let_go(turn, entry, VoidReason.INTENT_CHANGED)
    _gather_rest(turn, gone, held)
    _place(turn, gone, held, new_to)
    return True


def _held(turn: Turn, beyond: Sequence[RunEntry]) -> list[RunEntry]:
    """Runs beyond the new end that stand all the same: issued, not to be credited, under the policy `hold`."""
    policies = turn.facts.policies
    if policies.shrink_over_issued is ShrinkOverIssued.REPLACE or policies.credit_notes is CreditNotes.ON:
        return []
    return [entry for entry in beyond if entry.is_billed]


def _gather_rest(turn: Turn, gone: Sequence[RunEntry], held: Sequence[RunEntry]) -> None:
    """What no kept run has billed waits to be invoiced; a line of its own where something beyond the end goes."""
    charge = turn.charge
    period = charge.intent.effective.service_period
    kept = [entry for entry in charge.period_runs if entry not in gone]
    begins = max([period.from_, *(entry.service_period_to for entry in kept)])
    left = Period(begins, period.to) if begins < period.to else Period(period.to, period.to)
    if left.is_empty:
        gathering.drop(turn)
    elif gone or held:
        gathering.gather_anew(turn, left)
    else:
        gathering.gather(turn, left)


def _place(turn: Turn, gone: Sequence[RunEntry], held: Sequence[RunEntry], new_to: Instant) -> None:
    """The status after a shrink: unchanged while the current run is kept, else as what is left says."""
    charge = turn.charge
    current = charge.current_run
    if charge.status is Status.CREATED or (current is not None and current not in gone) or (held and not gone):
        return
    if current is not None:
        turn.close_current_run(RunClosedReason.CANCELLED)
    kept = [entry for entry in charge.period_runs if entry not in gone]
    if kept and turn.charge.gathering_line is None:
        note_again(turn)  # the run that is the last now did not wait for late usage
    if turn.charge.gathering_line is not None or not kept:
        _reopen(turn, Trigger.SHRINK, new_to)
    elif charge.status is Status.FINAL:
        return
    elif all(entry.is_settled for entry in kept):
        turn.emit(ChargeFinalized(moved=turn.moved(Status.FINAL, Trigger.SHRINK, None)))
    elif charge.status is not Status.AWAITING_PAYMENT_SETTLEMENT:
        moved = turn.moved(Status.AWAITING_PAYMENT_SETTLEMENT, Trigger.SHRINK, None)
        turn.emit(PaymentSettlementAwaited(moved=moved))


def shrink_to_realized(turn: Turn, patch: ShrinkToRealized) -> bool:
    """End the charge where its latest run ends: what is still gathered will not be billed (lifecycles §8.4).

    Refuses, after the sender and a stale version: a status that does not permit it; a charge without a run, or another
    end than that of its latest (`cannot_edit_progressively_billed_line`).
    """
    charge = turn.charge
    patches.require_source(patch.source, PatchSource.API, Trigger.SHRINK_TO_REALIZED)
    patches.require_fresh(charge, patch.intent_version)
    permit(charge, Trigger.SHRINK_TO_REALIZED)
    latest = latest_run(charge)
    if latest is None or latest not in charge.rated_runs or latest.service_period_to != patch.service_period_to:
        raise CannotEditProgressivelyBilledLine(charge.id, latest.service_period_to if latest else None)

    is_manual = charge.identity.managed_by is ManagedBy.MANUAL and charge.intent.override is None
    turn.emit(
        PeriodShrunkToRealized(
            layer=LayerName.BASE if is_manual else LayerName.OVERRIDE,
            old_to=charge.intent.effective.service_period.to,
            new_to=latest.service_period_to,
            run_id=latest.run_id,
        )
    )
    if latest.type is not RunType.FINAL_REALIZATION:
        note_again(turn)  # it did not wait for late usage
    _reclassify(turn, latest, RunType.FINAL_REALIZATION)
    gathering.drop(turn)
    return True


# ── overrides ────────────────────────────────────────────────────────────────────────────────────────────────


def set_override(turn: Turn, patch: SetOverride) -> bool:
    """Lay a complete snapshot over the base: while nothing is realized, or over what is not billed yet.

    Runs that were issued keep their terms, and late usage of their time has them, too; usage is metered from the
    override's start.
    """
    charge = turn.charge
    patches.require_source(patch.source, PatchSource.API, Trigger.SET_OVERRIDE)
    patches.require_fresh(charge, patch.intent_version)
    override = validated_usage_override(patch.terms, turn.facts, meter_of(charge, turn.facts))
    permit(charge, Trigger.SET_OVERRIDE)
    _require_not_billed(turn, override.service_period.from_)

    turn.emit(OverrideSet(override=override, advance_after=_follow(charge, override.service_period)))
    gathering.gather(turn, gathering.remaining(turn.charge))
    if turn.charge.former_terms != charge.former_terms:
        note_last_under(turn)
    return True


def clear_override(turn: Turn, patch: ClearOverride) -> bool:
    """Let the base hold again, while nothing is realized; False where there was no override."""
    charge = turn.charge
    patches.require_source(patch.source, PatchSource.API, Trigger.CLEAR_OVERRIDE)
    patches.require_fresh(charge, patch.intent_version)
    if charge.intent.override is None:
        return False
    if charge.intent.base_is_deleted:
        _clear_over_deleted_base(turn)
        return True
    cell = permit(charge, Trigger.CLEAR_OVERRIDE)
    _require_nothing_realized(charge, charge.rated_runs)
    if cell is Cell.MOVE:
        require_free(keys_of(charge.customer, charge.identity), turn.facts, turn.draft)
        _clear(turn, Status.ACTIVE_CLEAR_OVERRIDE, charge.advance_after)
        gathering.gather(turn, gathering.remaining(turn.charge))
        PATH.fire(turn.charge.status, Trigger.NEXT, turn, charge.id)
        return True
    _clear(turn, charge.status, _follow(charge, charge.intent.base.service_period))
    gathering.gather(turn, gathering.remaining(turn.charge))
    return True


def _clear_over_deleted_base(turn: Turn) -> None:
    if turn.charge.is_deleted:
        _clear(turn, Status.DELETED, None)
        return
    _require_nothing_realized(turn.charge, turn.charge.live_runs)
    _clear(turn, Status.DELETED_CLEAR_OVERRIDE, turn.charge.advance_after)
    gathering.drop(turn)
    turn.void_all_runs(VoidReason.CHARGE_DELETED)
    PATH.fire(turn.charge.status, Trigger.NEXT, turn, turn.charge_id)


def _require_not_billed(turn: Turn, begins: Instant) -> None:
    """Raise `OverridesBilledUsage` where an override reaches back into what was issued (lifecycles §22 row 3).

    Where issued lines cannot be corrected at all, an override is for a charge of which nothing is realized.
    """
    charge = turn.charge
    if charge.current_run_id is not None or turn.facts.policies.credit_notes is CreditNotes.OFF:
        _require_nothing_realized(charge, charge.live_runs)
    latest = latest_run(charge)
    if latest is not None and begins < latest.service_period_to:
        raise OverridesBilledUsage("", charge.id, latest.service_period_to)


def _require_nothing_realized(charge: Charge, realized: Sequence[RunEntry]) -> None:
    """Raise `PreconditionFailed` while something of the charge is being realized, or once anything was."""
    if charge.current_run_id is not None or realized:
        raise PreconditionFailed(f"charge {charge.id} is being invoiced; its terms hold for what is billed", charge.id)


def _clear(turn: Turn, to: Status, advance_after: Instant | None) -> None:
    turn.emit(OverrideCleared(moved=turn.moved(to, Trigger.CLEAR_OVERRIDE, advance_after)))


# ── deletion ─────────────────────────────────────────────────────────────────────────────────────────────────


def delete(turn: Turn, patch: Delete) -> bool:
    """Mark the intent deleted; lines go, and with those that can still go their runs (§17.5, §17.6)."""
    charge = turn.charge
    patches.require_fresh(charge, patch.intent_version)
    if patches.is_hidden(charge, patch.source):
        patches.delete_hidden_base(turn)
        return True
    permit(charge, Trigger.DELETE)

    gathering.drop(turn)
    for entry in charge.live_runs:
        if entry.set_off or (entry.line_id is not None and not entry.zero_overage):
            let_go(turn, entry, VoidReason.CHARGE_DELETED)
    turn.emit(
        ChargeDeleted(
            layer=patches.layer_to_delete(charge, patch),
            intent_deleted_at=turn.facts.instant,
            credit_refund=patch.credit_refund,
            invoice_refund=patch.invoice_refund,
            moved=turn.moved(Status.DELETED, Trigger.DELETE, None),
        )
    )
    return True


# ── what they share ──────────────────────────────────────────────────────────────────────────────────────────


def _follow(charge: Charge, period: Period) -> Instant | None:
    """`advance_after` once the period is another: a charge in the middle of a run keeps waiting for what it waits."""
    if charge.status is Status.CREATED:
        return period.from_
    return period.to if charge.status is Status.ACTIVE else charge.advance_after


def _reclassify(turn: Turn, entry: RunEntry, to_type: RunType) -> None:
    if entry.type is to_type:
        return
    turn.draft.emit(turn.run_stream(entry.run_id), RunTypeChanged(from_type=entry.type, to_type=to_type))
    turn.emit(RunReclassified(run_id=entry.run_id, from_type=entry.type, to_type=to_type))


def _reopen(turn: Turn, trigger: Trigger, advance_after: Instant) -> None:
    if turn.charge.status is not Status.ACTIVE:
        moved = turn.moved(Status.ACTIVE, trigger, advance_after)
        turn.emit(ChargeReopened(reason=ReopenedReason.PERIOD_CHANGED, moved=moved))
