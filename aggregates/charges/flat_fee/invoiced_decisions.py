"""What can be asked of a flat fee settled by invoice: advance it, patch it, tell it what its invoice did (§10, §17)."""

from __future__ import annotations

from aggregates.charges import gathering, invoicing
from aggregates.charges.events import ChargeReopened, ReopenedReason, RunClosedReason
from aggregates.charges.flat_fee.invoiced import PATH, preview
from aggregates.charges.flat_fee.invoiced_patches import (
    clear_override,
    delete,
    edit_line,
    extend,
    set_override,
    shrink,
)
from aggregates.charges.line_content import show
from aggregates.charges.state import RunEntry
from aggregates.charges.turn import Turn
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
from aggregates.values.errors import ActiveRunAlreadyExists, UnsupportedOperation

__all__ = ["advance", "answer", "clear_override", "delete", "extend", "preview", "set_override", "shrink"]


def advance(turn: Turn) -> bool:
    """Walk `next` until no row holds; whether the charge moved."""
    return bool(list(PATH.walk(lambda: turn.charge.status, turn)))


def answer(turn: Turn, notice: LineNotice) -> None:
    """Act upon what the invoice of a line did. A repeat is recognised and does nothing (lifecycles §17.3)."""
    turn.notice = notice
    match notice:
        case LineCreated():
            _line_created(turn, notice)
        case LineCollected():
            entry = turn.charge.current_run
            if turn.charge.status is Status.WAITING_FOR_COLLECTION and entry and entry.line_id == notice.line_id:
                PATH.fire(turn.charge.status, Trigger.COLLECTION_COMPLETED, turn, turn.charge_id)
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
    trigger = Trigger.ATTACH_INVOICE_LINE if charge.status is Status.CREATED else Trigger.INVOICE_CREATED
    PATH.fire(charge.status, trigger, turn, charge.id)


def _issued(turn: Turn, notice: LineIssued) -> None:
    entry, run = invoicing.shown(turn, notice)
    if run.invoice_usage is not None and run.invoice_usage.totals == notice.totals:
        return
    if entry.run_id != turn.charge.current_run_id:
        raise UnsupportedOperation(Trigger.INVOICE_ISSUED.value, turn.charge.status.value, turn.charge_id)
    PATH.fire(turn.charge.status, Trigger.INVOICE_ISSUED, turn, turn.charge_id)


def _removed(turn: Turn, notice: LineRemoved) -> None:
    """The line is gone: void its run. Where it was the current one, the fee waits to be invoiced again (§22 row 17)."""
    gone = invoicing.remove(turn, notice)
    if gone is not None:
        _wait_again(turn, gone.entry, Trigger.LINE_DELETED)


def _credited(turn: Turn, notice: LineCredited) -> None:
    """A credit note took the line back; where the fee did not change, it waits to be invoiced again."""
    gone = invoicing.credit(turn, notice)
    if gone is not None:
        _wait_again(turn, gone.entry, Trigger.LINE_CREDITED)


def _wait_again(turn: Turn, entry: RunEntry, trigger: Trigger) -> None:
    if entry.run_id != turn.charge.current_run_id:
        return
    turn.close_current_run(RunClosedReason.CANCELLED)
    if turn.charge.is_deleted:
        return
    gathering.gather(turn, turn.fee.service_period)
    moved = turn.moved(Status.CREATED, trigger, turn.fee.periods.invoice_at)
    turn.emit(ChargeReopened(reason=ReopenedReason.LINE_DELETED, moved=moved))
