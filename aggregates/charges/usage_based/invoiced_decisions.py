"""What can be asked of usage settled by invoice: advance it, patch it, tell it what its invoice did (§8, §17)."""

from __future__ import annotations

from uuid import UUID

from aggregates.charges import gathering, invoicing
from aggregates.charges.events import ChargeReopened, ReopenedReason, RunClosedReason
from aggregates.charges.facts import Facts, QuantityNeeded
from aggregates.charges.line_content import show
from aggregates.charges.state import Charge, RunEntry
from aggregates.charges.turn import Turn
from aggregates.charges.usage_based import late
from aggregates.charges.usage_based.invoiced import PATH, collection_end, issued_line, preview, preview_needed
from aggregates.charges.usage_based.invoiced_patches import (
    clear_override,
    delete,
    extend,
    set_override,
    shrink,
    shrink_to_realized,
)
from aggregates.charges.usage_based.lifecycle import feature_of
from aggregates.charges.usage_based.line_edits import edit_line
from aggregates.charges.usage_based.setting_off import let_go_together
from aggregates.invoices.effects import (
    LineCollected,
    LineCreated,
    LineCredited,
    LineDeletionUnsupported,
    LineEditAsked,
    LineFinalizing,
    LineIssued,
    LineNotice,
    LineRemoved,
)
from aggregates.lifecycle import Status, Trigger
from aggregates.rating.parts import parts_needed
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import ActiveRunAlreadyExists, PreconditionFailed, UnsupportedOperation
from aggregates.values.period import Instant

__all__ = [
    "advance",
    "answer",
    "clear_override",
    "delete",
    "extend",
    "preview",
    "preview_needed",
    "quantities_needed",
    "set_override",
    "shrink",
    "shrink_to_realized",
]


def advance(turn: Turn) -> bool:
    """Walk `next` until no row holds, before and after late usage was looked at; whether the charge moved."""
    moved = _walk(turn)
    if late.look(turn):
        _walk(turn)
        return True
    return moved


def _walk(turn: Turn) -> bool:
    return bool(list(PATH.walk(lambda: turn.charge.status, turn)))


def quantities_needed(
    charge: Charge, notice: LineNotice, run: RealizationRun | None, facts: Facts
) -> list[QuantityNeeded]:
    """What a meter has to answer before the charge can act upon the notice: the quantity of the run it is about."""
    if isinstance(notice, LineCreated):
        to, meter_id = notice.period.to, feature_of(charge, facts).meter_id
        if late.waits(charge):
            return [_question(charge, meter_id, to, late.collection_end(charge))]
        needed = [_question(charge, meter_id, to, collection_end(charge, to, facts))]
        is_final = to == charge.intent.effective.service_period.to
        return [*needed, late.question(charge, facts)] if is_final and late.starts_late(charge, facts) else needed
    asks = isinstance(notice, LineCollected | LineEditAsked)
    if asks and run is not None and run.meter_id is not None and run.stored_at_lt:
        return [_question(charge, run.meter_id, run.service_period_to, run.stored_at_lt)]
    return []


def _question(charge: Charge, meter_id: UUID, to: Instant, stored_at_lt: Instant) -> QuantityNeeded:
    terms = charge.terms_until(to)
    from_, parts = terms.period.from_, parts_needed(terms.layer.price)
    return QuantityNeeded(meter_id=meter_id, from_=from_, to=to, stored_at_lt=stored_at_lt, parts=parts)


def answer(turn: Turn, notice: LineNotice) -> None:
    """Act upon what the invoice of a line did. A repeat is recognised and does nothing (lifecycles §17.3)."""
    turn.notice = notice
    match notice:
        case LineCreated():
            _line_created(turn, notice)
        case LineCollected():
            _collected(turn, notice)
        case LineFinalizing():
            invoicing.cover_overage(turn, invoicing.shown(turn, notice).run)
        case LineIssued():
            _issued(turn, notice)
        case LineRemoved():
            _removed(turn, notice)
        case LineDeletionUnsupported():
            invoicing.invalidate(turn, notice)
        case LineEditAsked():
            edit_line(turn, notice)
        case LineCredited():
            _credited(turn, notice)
        case _:
            invoicing.of_money(turn, notice)
    advance(turn)


def _line_created(turn: Turn, notice: LineCreated) -> None:
    charge = turn.charge
    entry = charge.run_on_line(notice.line_id)
    if entry is not None and entry.counts:
        show(turn, turn.run(entry.run_id))
        return
    if charge.current_run is not None:
        raise ActiveRunAlreadyExists(charge.id, charge.current_run_id)
    if charge.status is Status.CREATED:
        # A line by hand came before its time (lifecycles §22 row 14): nothing can have been used yet.
        begins = turn.usage.service_period.from_.isoformat()
        raise PreconditionFailed(f"usage of charge {charge.id} begins at {begins}, not before", charge.id)
    path = late.LATE if late.waits(charge) else PATH
    path.fire(charge.status, Trigger.INVOICE_CREATED, turn, charge.id)


def _collected(turn: Turn, notice: LineCollected) -> None:
    if not issued_line(turn, notice.line_id):
        return
    if late.late_run_waits_for_collection(turn):
        late.LATE.fire(turn.charge.status, Trigger.COLLECTION_COMPLETED, turn, turn.charge_id)
    elif turn.charge.status is Status.WAITING_FOR_COLLECTION:
        PATH.fire(turn.charge.status, Trigger.COLLECTION_COMPLETED, turn, turn.charge_id)


def _issued(turn: Turn, notice: LineIssued) -> None:
    entry, run = invoicing.shown(turn, notice)
    if run.invoice_usage is not None and run.invoice_usage.totals == notice.totals:
        return
    if entry.run_id != turn.charge.current_run_id:
        raise UnsupportedOperation(Trigger.INVOICE_ISSUED.value, turn.charge.status.value, turn.charge_id)
    path = late.LATE if entry.is_late else PATH
    path.fire(turn.charge.status, Trigger.INVOICE_ISSUED, turn, turn.charge_id)


def _removed(turn: Turn, notice: LineRemoved) -> None:
    """The line is gone: void its run, and let the charge begin again where that was its current one (§17.5)."""
    gone = invoicing.remove(turn, notice)
    if gone is not None:
        _begin_again(turn, gone.entry, Trigger.LINE_DELETED)
    if notice.whole_invoice:
        gathering.drop(turn)


def _begin_again(turn: Turn, entry: RunEntry, trigger: Trigger) -> None:
    if entry.run_id != turn.charge.current_run_id:
        return
    turn.close_current_run(RunClosedReason.VOIDED)
    if entry.is_late:
        late.note_dropped(turn, entry)
    elif not turn.charge.is_deleted:
        moved = turn.moved(Status.ACTIVE, trigger, turn.usage.service_period.to)
        turn.emit(ChargeReopened(reason=ReopenedReason.LINE_DELETED, moved=moved))


def _credited(turn: Turn, notice: LineCredited) -> None:
    """A credit note took the line back; a run that it voided is billed again, with the rest of the period or late."""
    gone = invoicing.credit(turn, notice)
    if gone is None or turn.charge.is_deleted:
        return
    voided = [gone.entry, *let_go_together(turn, gone.entry)]
    left = gathering.remaining(turn.charge)
    is_former = not turn.charge.terms[-1].rates(gone.entry.service_period_to)
    if left.is_empty or is_former:
        for entry in voided:
            late.note_voided(turn, entry)
        return
    current = turn.charge.current_run
    if current is not None and current.is_late:
        invoicing.ask_to_delete(turn, current)  # what it would bill, the next run bills, or what follows that
    gathering.gather(turn, left)
    if turn.charge.status in {Status.AWAITING_PAYMENT_SETTLEMENT, Status.FINAL}:
        moved = turn.moved(Status.ACTIVE, Trigger.LINE_CREDITED, turn.usage.service_period.to)
        turn.emit(ChargeReopened(reason=ReopenedReason.BILLABLE_AGAIN, moved=moved))
