"""Runs below zero: a run that comes to less than nothing is settled against the charge's other runs (run rating R14).

First earlier runs give credit back, newest run first; then what was invoiced and is not paid yet is credited, newest
first; what remains was paid, and becomes a correction credit of the customer. Nothing is given back that was not paid
for: what a credit note out of goodwill took back before is not taken back again. Worked: a run of 150, 40 of it from
credit and 110 invoiced and paid; the next comes to -70: 40 are released, 30 become credit.

A run below zero and those it was settled against count together, or not at all. Where one of them is voided, so are the
others: what was given for the one is not kept without it, and what is left of them all is billed anew. Worked: 10 are
invoiced and paid, 5 of them given back; the invoice is voided, which frees the other 5: what is billed again is 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aggregates.charges import giving_back, invoicing
from aggregates.charges.cost_basis import fiat_amount
from aggregates.charges.line_content import rate_of
from aggregates.charges.state import RunEntry
from aggregates.charges.turn import Turn
from aggregates.credits import decisions as pool
from aggregates.credits.requests import InvoicePayment
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.effects import CreditNoteRequested
from aggregates.policies import CreditNotes
from aggregates.runs import decisions as runs
from aggregates.runs.events import RunCredited, RunSetOff, VoidReason
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
        given = _release(turn, run_id, shortfall)
        released = sum(given.values(), ZERO)
        rest = shortfall - released
        if rest and not charge.is_invoiced:
            raise CorrectionExceedsAllocations(charge.id, shortfall, released)
        fiat_given, taken = _take_back(turn, run_id, rest)
        turn.draft.emit(
            run.stream,
            RunSetOff(
                shortfall=plain(shortfall),
                released=plain(released),
                fiat=charge.invoice_currency if charge.is_invoiced else None,
                fiat_released=plain(sum(fiat_given.values(), ZERO)),
                credited=plain(sum((each.amount for each in taken), ZERO)),
                against=tuple(dict.fromkeys((*given, *fiat_given, *(each.run.id for each in taken)))),
            ),
        )
        for each in taken:
            _credit(turn, run_id, each)
    runs.finalize(turn.draft, run.stream)


# ── runs that are settled together ───────────────────────────────────────────────────────────────────────────


def let_go_together(turn: Turn, voided: RunEntry) -> list[RunEntry]:
    """Let the runs go that are settled together with one that was voided; which of them are gone at once.

    The line of another is credited in full, and the answer of its invoice voids its run.
    """
    return [entry for entry in settled_with(turn, (voided,)) if let_go(turn, entry, VoidReason.CREDITED)]


def settled_with(turn: Turn, gone: Sequence[RunEntry]) -> list[RunEntry]:
    """The runs that count and are settled together with one of these, directly or by way of others; these aside."""
    known = {entry.run_id: entry for entry in (*gone, *turn.charge.live_runs)}
    groups = [{each, *turn.run(each).set_off_against} for each, entry in known.items() if entry.set_off]
    ids = {entry.run_id for entry in gone}
    together = set(ids)
    while more := {each for group in groups if group & together for each in group} - together:
        together |= more
    return [entry for entry in turn.charge.live_runs if entry.run_id in together - ids]


def let_go(turn: Turn, entry: RunEntry, reason: VoidReason) -> bool:
    """Let a run go with its line; one without a line, or with one that is credited in full, is gone at once."""
    has_line = entry.line_id is not None and not (entry.set_off or entry.zero_overage)
    if has_line and (entry.no_fiat or not entry.invoiced or turn.run(entry.run_id).invoiced_left):
        invoicing.ask_to_delete(turn, entry)
        return False
    turn.void_run(entry, reason)
    return True


# ── what earlier runs give ───────────────────────────────────────────────────────────────────────────────────


def _release(turn: Turn, run_id: UUID, shortfall: Decimal) -> dict[UUID, Decimal]:
    """Let earlier runs give their credit back, the newest first; how much each gave."""
    given: dict[UUID, Decimal] = {}
    left = shortfall
    for earlier in _others(turn, run_id):
        released = runs.release(turn.draft, earlier.stream, left, turn.credit_terms(earlier.id), run_id)
        if released:
            given[earlier.id] = released
            left -= released
    return given


def _take_back(turn: Turn, run_id: UUID, rest: Decimal) -> tuple[dict[UUID, Decimal], list[TakenBack]]:
    """What of the rest, in fiat, fiat credit had covered and is given back; and what is taken back of invoices."""
    left = _in_fiat(turn, rest)
    given: dict[UUID, Decimal] = {}
    for earlier in _others(turn, run_id):
        terms = turn.overage_terms(earlier.id)
        released = runs.release_overage(turn.draft, earlier.stream, left, terms, run_id) if terms is not None else ZERO
        if released:
            given[earlier.id] = released
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
    return given, taken


def _others(turn: Turn, run_id: UUID) -> Iterator[RealizationRun]:
    """The charge's other runs that count and are rated by the same terms, the newest first."""
    terms = turn.charge.terms_until(turn.run(run_id).service_period_to)
    for entry in reversed(turn.charge.runs_under(terms)):
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
    group = giving_back.book(turn, pool.credit_invoice(giving_back.invoiced_in_hand(turn, run.id), payment))
    credited = RunCredited(fiat_amount=taken.amount, in_full=False, ledger_group=group, set_off=run_id)
    turn.draft.emit(run.stream, credited)
    giving_back.correct_by_credit(turn, run_id, run.id, taken.amount)
