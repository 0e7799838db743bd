"""Runs below zero: a run that comes to less than nothing is settled against the charge's other runs (run rating R14).

First earlier runs give credit back, newest run first; then what was invoiced and is not paid yet is credited, newest
first; what remains was paid, and becomes a correction credit of the customer. Nothing is given back that was not paid
for: what a credit note out of goodwill took back before is not taken back again. Worked: a run of 150, 40 of it from
credit and 110 invoiced and paid; the next comes to -70: 40 are released, 30 become credit.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aggregates.charges import giving_back
from aggregates.charges.cost_basis import fiat_amount
from aggregates.charges.line_content import rate_of
from aggregates.charges.turn import Turn
from aggregates.credits import decisions as pool
from aggregates.credits.requests import InvoicePayment
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.effects import CreditNoteRequested
from aggregates.policies import CreditNotes
from aggregates.runs import decisions as runs
from aggregates.runs.events import RunCredited, RunSetOff
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import ZERO, exact, plain
from aggregates.values.errors import CorrectionExceedsAllocations


class TakenBack(NamedTuple):
    """So much of what a run was invoiced for, without tax; `paid` of it was paid."""

    run: RealizationRun
    amount: Decimal
    paid: Decimal


def settle(turn: Turn, run_id: UUID) -> None:
    """Write the last totals of a run without a line: credit covers it, or it is below zero and is set off."""
    run = turn.run(run_id)
    if run.totals.total < ZERO:
        set_off(turn, run_id)
    else:
        runs.finalize(turn.draft, run.stream)


@exact
def set_off(turn: Turn, run_id: UUID) -> None:
    """Settle a run whose total is zero or less, and write its last totals; nothing of it is left to pay.

    Raises `CorrectionExceedsAllocations` where a charge without invoices would have to give back more than it took.
    """
    charge, run = turn.charge, turn.run(run_id)
    shortfall = -run.totals.total
    assert shortfall >= ZERO, f"run {run_id} comes to {run.totals.total}, which somebody has to pay"
    if shortfall:
        released = _release(turn, run_id, shortfall)
        rest = shortfall - released
        if rest and not charge.is_invoiced:
            raise CorrectionExceedsAllocations(charge.id, shortfall, released)
        fiat_released, taken = _take_back(turn, run_id, rest)
        turn.draft.emit(
            run.stream,
            RunSetOff(
                shortfall=plain(shortfall),
                released=plain(released),
                fiat=charge.invoice_currency if charge.is_invoiced else None,
                fiat_released=plain(fiat_released),
                credited=plain(sum((each.amount for each in taken), ZERO)),
            ),
        )
        for each in taken:
            _credit(turn, run_id, each)
    runs.finalize(turn.draft, run.stream)


def _release(turn: Turn, run_id: UUID, shortfall: Decimal) -> Decimal:
    """Let earlier runs give their credit back, the newest first; how much it was."""
    released = ZERO
    for earlier in _others(turn, run_id):
        terms = turn.credit_terms(earlier.id)
        released += runs.release(turn.draft, earlier.stream, shortfall - released, terms, run_id)
    return released


def _take_back(turn: Turn, run_id: UUID, rest: Decimal) -> tuple[Decimal, list[TakenBack]]:
    """What of the rest, in fiat, fiat credit had covered and is given back; and what is taken back of invoices."""
    left, released = _in_fiat(turn, rest), ZERO
    for earlier in _others(turn, run_id):
        terms = turn.overage_terms(earlier.id)
        if terms is not None:
            released += runs.release_overage(turn.draft, earlier.stream, left - released, terms, run_id)
    left -= released
    unpaid: dict[UUID, Decimal] = {}
    for earlier in _others(turn, run_id):
        unpaid[earlier.id] = min(left, earlier.invoiced_left - earlier.paid_left)
        left -= unpaid[earlier.id]
    taken: list[TakenBack] = []
    for earlier in _others(turn, run_id):
        paid = min(left, earlier.paid_left)
        left -= paid
        if unpaid[earlier.id] + paid:
            taken.append(TakenBack(earlier, unpaid[earlier.id] + paid, paid))
    return released, taken


def _others(turn: Turn, run_id: UUID) -> Iterator[RealizationRun]:
    """The charge's other runs that count, the newest first."""
    for entry in reversed(turn.charge.rated_runs):
        if entry.run_id != run_id:
            yield turn.run(entry.run_id)


def _in_fiat(turn: Turn, amount: Decimal) -> Decimal:
    return fiat_amount(amount, rate_of(turn.charge)) if turn.charge.has_overage else amount


def _credit(turn: Turn, run_id: UUID, taken: TakenBack) -> None:
    """Ask for a credit note; where there are none, book the same, and all of it becomes credit of the customer."""
    run = taken.run
    usage = run.invoice_usage
    assert usage is not None, f"run {run.id} has something to take back and no invoice"
    if turn.facts.policies.credit_notes is CreditNotes.ON:
        asked = CreditNoteRequested(
            invoice_id=usage.invoice_id,
            line_id=usage.line_id,
            amount=taken.amount,
            cause=CreditCause.CORRECTED,
            set_off=run_id,
        )
        turn.ask(asked)
        return
    payment = InvoicePayment(
        charge=turn.charge_id,
        run=run.id,
        line=usage.line_id,
        amount=taken.amount,
        booked_at=turn.facts.instant,
        closed_until=turn.facts.closed_until,
    )
    group = giving_back.book(turn, pool.credit_invoice(giving_back.fiat_pool(turn), payment))
    credited = RunCredited(fiat_amount=taken.amount, in_full=False, ledger_group=group, set_off=run_id)
    turn.draft.emit(run.stream, credited)
    giving_back.correct_by_credit(turn, run_id, run.id, taken.amount)
