"""Patches of a flat fee that is settled by invoice: every change of the intent ends in one decision (lifecycles §10.1).

Without a run the fee waits on its gathering line. A run on an invoice that can still change is rated again in place,
or goes when the fee comes to nothing. A run that was issued stands. Where credit notes are possible and what is issued
is held (policy `shrink_over_issued`), a fee that comes to less is credited by the difference: its credit comes back
first, then the line; otherwise the line is credited whole and the fee gathered anew. Without credit notes the invoice
is only warned about, so that a period is never billed twice.

    a fee of 100.00, paid, cut to 10 of 31 days (32.26): a credit note of 67.74, and the run stays
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from aggregates.charges import gathering, invoicing, patches
from aggregates.charges.events import (
    BaseIntentAmended,
    ChargeDeleted,
    ChargeFinalized,
    ChargeReopened,
    OverrideCleared,
    OverrideSet,
    ReopenedReason,
    RunClosedReason,
    RunRerated,
)
from aggregates.charges.flat_fee.invoiced import PATCHES, PATH
from aggregates.charges.flat_fee.realizing import comes_to, rate_and_cover
from aggregates.charges.intent import FlatFeeLayer, ManagedBy, Periods
from aggregates.charges.line_content import is_zero_overage, nothing_to_pay, show
from aggregates.charges.proposal import keys_of
from aggregates.charges.requests import (
    Bounds,
    ClearOverride,
    Delete,
    FlatFeeTerms,
    MovePeriodEnd,
    PatchSource,
    SetOverride,
)
from aggregates.charges.state import Charge, RunEntry
from aggregates.charges.turn import Turn
from aggregates.charges.validation import require_free, validated_fee_override
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.effects import CreditNoteRequested, LineEditAsked
from aggregates.invoices.refusals import LineZeroAmountDeleteInstead
from aggregates.lifecycle import Cell, Status, Trigger
from aggregates.policies import CreditNotes, ShrinkOverIssued
from aggregates.runs import decisions as runs
from aggregates.values.decimals import ZERO
from aggregates.values.errors import PreconditionFailed
from aggregates.values.period import Instant

RETRY = frozenset({Status.ISSUING, Status.ZERO_OVERAGE_COMPLETED, Status.REALIZATION_COMPLETED})
"""Statuses that billing leaves by itself: a patch is to be repeated then (lifecycles §16.4)."""


def permit(charge: Charge, trigger: Trigger) -> Cell:
    """The cell of the policy. Raises `PreconditionFailed` where billing moves on by itself, `UnsupportedOperation`."""
    if charge.status in RETRY and PATCHES.cell(charge.status, trigger) is Cell.REFUSE:
        raise PreconditionFailed(f"charge {charge.id} is {charge.status}; retry after billing advances", charge.id)
    return PATCHES.require(charge.status, trigger, charge.id)


def extend(turn: Turn, patch: MovePeriodEnd) -> bool:
    """Let the periods end later."""
    return _move_period_end(turn, Trigger.EXTEND, patch)


def shrink(turn: Turn, patch: MovePeriodEnd) -> bool:
    """Let the periods end earlier."""
    return _move_period_end(turn, Trigger.SHRINK, patch)


def _move_period_end(turn: Turn, trigger: Trigger, patch: MovePeriodEnd) -> bool:
    charge = turn.charge
    patches.require_source(patch.source, PatchSource.SYSTEM, trigger)
    patches.require_fresh(charge, patch.intent_version)
    if patches.is_hidden(charge, patch.source):
        patches.amend_hidden_periods(turn, trigger, patch)
        return True
    new = patches.new_periods(charge.intent.base, trigger, patch)
    permit(charge, trigger)
    before = _require_patchable(turn)
    patches.move_end(turn, trigger, new, _follow(charge, new))
    reconcile_intent(turn, trigger, before)
    return True


def set_override(turn: Turn, patch: SetOverride) -> bool:
    """Lay a complete snapshot over the base."""
    charge = turn.charge
    patches.require_source(patch.source, PatchSource.API, Trigger.SET_OVERRIDE)
    patches.require_fresh(charge, patch.intent_version)
    override = validated_fee_override(patch.terms, charge.currency, turn.facts)
    permit(charge, Trigger.SET_OVERRIDE)
    before = _require_patchable(turn)
    turn.emit(OverrideSet(override=override, advance_after=_follow(charge, override.periods)))
    reconcile_intent(turn, Trigger.SET_OVERRIDE, before)
    return True


def edit_line(turn: Turn, asked: LineEditAsked) -> None:
    """Change the fee as the API wants its line to be (line_manual_edit, lifecycles §10.1).

    Refuses: a line that is not the current run's own, or was issued (`PreconditionFailed`); a status that does not
    permit it; everything wrong with the edit; a fee that would come to nothing (`LineZeroAmountDeleteInstead`).
    """
    charge, entry = turn.charge, turn.charge.current_run
    if entry is None or entry.line_id != asked.line_id or entry.invoice_id != asked.invoice_id or is_immutable(entry):
        raise PreconditionFailed(f"line {asked.line_id} is not the mutable line of charge {charge.id}", charge.id)
    permit(charge, Trigger.LINE_MANUAL_EDIT)
    terms = FlatFeeTerms.of(turn.fee)
    changes: dict[str, object] = {
        name: value for name in ("name", "description", "metadata") if (value := getattr(asked, name)) is not None
    }
    if asked.period is not None:
        changes |= {"service_period": Bounds.of(asked.period)}
    if asked.amount is not None:
        # What the line shows is what the fee comes to, whatever its period.
        changes |= {"amount": asked.amount, "pro_rating": None}
    layer = validated_fee_override(msgspec.structs.replace(terms, **changes), charge.currency, turn.facts)
    if not layer.amount_after_proration:
        raise LineZeroAmountDeleteInstead(asked.line_id)
    before = turn.fee
    if charge.identity.managed_by is ManagedBy.MANUAL and charge.intent.override is None:
        turn.emit(BaseIntentAmended(base=layer))
    else:
        turn.emit(OverrideSet(override=layer, advance_after=charge.advance_after))
    reconcile_intent(turn, Trigger.LINE_MANUAL_EDIT, before)


def is_immutable(entry: RunEntry) -> bool:
    """Whether the run's amounts cannot change any more."""
    return entry.invoiced or entry.zero_overage


def reconcile_intent(turn: Turn, trigger: Trigger, before: FlatFeeLayer) -> None:
    """Bring run, line and status to what the fee comes to now; `before` are the terms it had (lifecycles §10.1)."""
    entry, amount = turn.charge.current_run, turn.fee.amount_after_proration
    if entry is None:
        _without_run(turn, trigger, amount)
    elif not is_immutable(entry):
        _on_mutable_line(turn, trigger, entry, amount)
    elif amount != before.amount_after_proration:
        _on_immutable_line(turn, trigger, entry, comes_to(turn, before) - comes_to(turn, turn.fee))


def _without_run(turn: Turn, trigger: Trigger, amount: Decimal) -> None:
    if not amount:
        gathering.drop(turn)
        if turn.charge.status is not Status.FINAL:
            turn.emit(ChargeFinalized(moved=turn.moved(Status.FINAL, trigger, None)))
        return
    gathering.gather(turn, turn.fee.service_period)
    if turn.charge.status is not Status.CREATED:
        _reopen(turn, trigger)


def _on_mutable_line(turn: Turn, trigger: Trigger, entry: RunEntry, amount: Decimal) -> None:
    if not amount:
        invoicing.ask_to_delete(turn, entry)
        turn.close_current_run(RunClosedReason.REPLACED)
        turn.emit(ChargeFinalized(moved=turn.moved(Status.FINAL, trigger, None)))
        return
    stream = turn.run_stream(entry.run_id)
    rate_and_cover(turn, stream)
    run, charge = turn.run(entry.run_id), turn.charge
    turn.emit(
        RunRerated(
            run_id=run.id,
            service_period=turn.fee.service_period,
            no_fiat=nothing_to_pay(charge, run),
            zero_overage=is_zero_overage(charge, run),
        )
    )
    show(turn, run)


def _on_immutable_line(turn: Turn, trigger: Trigger, entry: RunEntry, less: Decimal) -> None:
    if less > ZERO and _can_be_credited_in_part(turn, entry):
        _credit_in_part(turn, entry, less)
        return
    if not entry.zero_overage:
        invoicing.ask_to_delete(turn, entry)
        if turn.facts.policies.credit_notes is CreditNotes.OFF:
            return
    turn.close_current_run(RunClosedReason.REPLACED)
    _without_run(turn, trigger, turn.fee.amount_after_proration)


def _can_be_credited_in_part(turn: Turn, entry: RunEntry) -> bool:
    """Whether the line stands and less of it holds. Not an overage: its fiat amount follows from all of its run."""
    policies = turn.facts.policies
    holds = policies.shrink_over_issued is ShrinkOverIssued.HOLD and policies.credit_notes is CreditNotes.ON
    stands = not entry.zero_overage and not turn.charge.has_overage
    return holds and stands and bool(turn.fee.amount_after_proration)


def _credit_in_part(turn: Turn, entry: RunEntry, less: Decimal) -> None:
    """Give back what the fee comes to less: credit that covered it first, then what was invoiced (run rating R14).

    What a credit note out of goodwill took back before is not taken back again.
    """
    run = turn.run(entry.run_id)
    rest = min(less - runs.release(turn.draft, run.stream, less, turn.credit_terms(run.id)), run.invoiced_left)
    if rest > ZERO:
        assert entry.invoice_id is not None, f"run {run.id} was issued on no invoice"
        assert entry.line_id is not None, f"run {run.id} was issued on no line"
        turn.ask(
            CreditNoteRequested(
                invoice_id=entry.invoice_id, line_id=entry.line_id, amount=rest, cause=CreditCause.CORRECTED
            )
        )


def _reopen(turn: Turn, trigger: Trigger) -> None:
    moved = turn.moved(Status.CREATED, trigger, turn.fee.periods.invoice_at)
    turn.emit(ChargeReopened(reason=ReopenedReason.BILLABLE_AGAIN, moved=moved))


# ── clearing and deleting ────────────────────────────────────────────────────────────────────────────────────


def clear_override(turn: Turn, patch: ClearOverride) -> bool:
    """Let the base hold again; what was realized under the override is cancelled. False where there was none."""
    charge = turn.charge
    patches.require_source(patch.source, PatchSource.API, Trigger.CLEAR_OVERRIDE)
    patches.require_fresh(charge, patch.intent_version)
    if charge.intent.override is None:
        return False
    if charge.intent.base_is_deleted:
        _clear_over_deleted_base(turn)
        return True
    PATCHES.require(charge.status, Trigger.CLEAR_OVERRIDE, charge.id)
    if charge.is_deleted:
        require_free(keys_of(charge.customer, charge.identity), turn.facts, turn.draft)
    cancel_current(turn, RunClosedReason.REPLACED)
    _clear(turn, Status.ACTIVE_CLEAR_OVERRIDE)
    if turn.fee.amount_after_proration:
        gathering.gather(turn, turn.fee.service_period)
    else:
        gathering.drop(turn)
    PATH.fire(turn.charge.status, Trigger.NEXT, turn, charge.id)
    return True


def _clear_over_deleted_base(turn: Turn) -> None:
    if turn.charge.is_deleted:
        _clear(turn, Status.DELETED)
        return
    cancel_current(turn, RunClosedReason.CANCELLED)
    gathering.drop(turn)
    _clear(turn, Status.DELETED_CLEAR_OVERRIDE)
    PATH.fire(turn.charge.status, Trigger.NEXT, turn, turn.charge_id)


def delete(turn: Turn, patch: Delete) -> bool:
    """Mark the intent deleted; the line goes, and with it the run where the invoice can still change."""
    charge = turn.charge
    patches.require_fresh(charge, patch.intent_version)
    if patches.is_hidden(charge, patch.source):
        patches.delete_hidden_base(turn)
        return True
    PATCHES.require(charge.status, Trigger.DELETE, charge.id)

    gathering.drop(turn)
    cancel_current(turn, RunClosedReason.CANCELLED)
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


def cancel_current(turn: Turn, reason: RunClosedReason) -> None:
    """Let the current run be current no longer and ask for its line to go, be the invoice issued or not."""
    entry = turn.charge.current_run
    if entry is None:
        return
    if entry.counts and not entry.zero_overage:
        invoicing.ask_to_delete(turn, entry)
    turn.close_current_run(reason)


def _clear(turn: Turn, to: Status) -> None:
    after = None if to is Status.DELETED else turn.charge.advance_after
    turn.emit(OverrideCleared(moved=turn.moved(to, Trigger.CLEAR_OVERRIDE, after)))


def _require_patchable(turn: Turn) -> FlatFeeLayer:
    """The fee before the patch. Raises `PreconditionFailed` for a current run that is on no invoice."""
    entry = turn.charge.current_run
    if entry is not None and (entry.line_id is None or entry.invoice_id is None):
        raise PreconditionFailed(f"run {entry.run_id} of charge {turn.charge_id} is on no invoice", turn.charge_id)
    return turn.fee


def _follow(charge: Charge, periods: Periods) -> Instant | None:
    return periods.invoice_at if charge.status is Status.CREATED else charge.advance_after
