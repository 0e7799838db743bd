"""What usage and flat fees have in common on an invoice: overage, issue, payment, removal, credit (lifecycles §17).

Every step may be told twice: the repeat is recognised by the run of the line and by recorded facts, and books nothing
(lifecycles §17.3). Amounts of money are in fiat and without tax.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from aggregates.charges import giving_back
from aggregates.charges.events import (
    RunPaymentNoted,
    RunPaymentStatus,
    RunReclassified,
    RunVoidNoted,
)
from aggregates.charges.giving_back import book, fiat_pool, invoiced_in_hand
from aggregates.charges.intent import FlatFeeLayer
from aggregates.charges.line_content import fiat_totals, nothing_to_pay, overage, rate_of, show
from aggregates.charges.state import RunEntry
from aggregates.charges.turn import CREDIT_MODE, Turn
from aggregates.credits import decisions as pool
from aggregates.credits.requests import AccrueUsage, InvoicePayment
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.effects import (
    InvoiceLineDeletionRequested,
    LineCredited,
    LineIssued,
    LineNotice,
    LinePaymentAuthorized,
    LinePaymentFailed,
    LinePaymentSettled,
    LineReinstated,
    LineWrittenOff,
    Notice,
    PaymentSource,
)
from aggregates.runs import decisions as runs
from aggregates.runs.events import (
    InvoiceUsageAccrued,
    RunCredited,
    RunInvalidated,
    RunPaymentAuthorized,
    RunPaymentFailed,
    RunPaymentSettled,
    RunReinstated,
    RunSealed,
    RunType,
    RunVoided,
    RunWrittenOff,
    SealReason,
    VoidReason,
)
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import Findings, PreconditionFailed, RunNotFound
from aggregates.values.identifiers import GroupRef
from aggregates.values.period import Period


class Shown(NamedTuple):
    """A run that an invoice line shows, as the charge knows it and as it is."""

    entry: RunEntry
    run: RealizationRun


def shown(turn: Turn, notice: Notice) -> Shown:
    """The run of the line that the notice is about, voided ones included.

    Raises `RunNotFound` when the charge has no run on that line (R-15); `ValidationFailed` when the line is on another
    invoice than the run says.
    """
    entry = turn.charge.run_on_line(notice.line_id)
    if entry is None:
        raise RunNotFound(f"on line {notice.line_id}")
    if entry.invoice_id != notice.invoice_id:
        findings = Findings()
        findings.add("invoice_id", "invoice_mismatch", f"line {notice.line_id} is on invoice {entry.invoice_id}")
        findings.raise_if_any()
    return Shown(entry, turn.run(entry.run_id))


# ── approval and issue ───────────────────────────────────────────────────────────────────────────────────────


def cover_overage(turn: Turn, run: RealizationRun) -> None:
    """The invoice is approved: set the customer's fiat credit against an overage, once (lifecycles §12.4)."""
    charge = turn.charge
    terms = turn.overage_terms(run.id)
    if terms is None or run.invoice_usage is not None or run.id != charge.current_run_id:
        return
    runs.cover_overage(turn.draft, run.stream, overage(charge, run).amount, rate_of(charge).rate, terms)
    show(turn, turn.run(run.id))


def accrue(turn: Turn, run: RealizationRun, issued: LineIssued) -> bool:
    """Book what the line invoices, and seal the run; whether no fiat transaction is needed for it (§17.4).

    Raises `PreconditionFailed` when the line says something else than the run; nothing is booked then.
    """
    charge = turn.charge
    totals = fiat_totals(charge, run)
    if issued.totals != totals:
        raise PreconditionFailed(f"line {issued.line_id} shows {issued.totals}, run {run.id} has {totals}", charge.id)
    no_fiat = nothing_to_pay(charge, run)
    tax = charge.identity.tax
    group: GroupRef | None = None
    if not no_fiat:
        event = pool.accrue_usage(
            fiat_pool(turn),
            AccrueUsage(
                charge=charge.id,
                run=run.id,
                line=issued.line_id,
                invoice=issued.invoice_id,
                amount=totals.total,
                mode=CREDIT_MODE[charge.identity.settlement_mode or next(iter(CREDIT_MODE))],
                tax_code=tax.tax_code_id if tax is not None else None,
                tax_behavior=tax.behavior if tax is not None else None,
                booked_at=run.booked_at,
                accounting_date=turn.accounting_date(run.id),
                service_period=_served(turn, run),
                closed_until=turn.facts.closed_until,
            ),
        )
        group = book(turn, event)
    turn.draft.emit(
        run.stream,
        InvoiceUsageAccrued(
            line_id=issued.line_id,
            invoice_id=issued.invoice_id,
            period=issued.period,
            totals=totals,
            currency=charge.invoice_currency,
            no_fiat=no_fiat,
            ledger_group=group,
        ),
    )
    turn.draft.emit(run.stream, RunSealed(reason=SealReason.ISSUED))
    return no_fiat


def _served(turn: Turn, run: RealizationRun) -> Period | None:
    """What a line pays for in advance: the service of a fee that is booked at its start."""
    is_fee = isinstance(turn.charge.intent.effective, FlatFeeLayer)
    in_advance = is_fee and run.booked_at < run.service_period_to
    return Period(run.service_period_from, run.service_period_to) if in_advance else None


# ── what becomes of the money ────────────────────────────────────────────────────────────────────────────────


def of_money(turn: Turn, notice: LineNotice) -> None:
    """Act upon a notice about money; the others are answered by who decides about the charge."""
    match notice:
        case LinePaymentAuthorized():
            authorize(turn, notice)
        case LinePaymentSettled():
            settle(turn, notice)
        case LinePaymentFailed():
            payment_failed(turn, notice)
        case LineWrittenOff():
            write_off(turn, notice)
        case LineReinstated():
            reinstate(turn, notice)
        case _:
            raise AssertionError(f"{type(notice).__name__} is no notice about money")


def authorize(turn: Turn, notice: LinePaymentAuthorized) -> None:
    """Record that a payment of the line was promised; nothing where nothing has to be paid in fiat (§13)."""
    entry, run = shown(turn, notice)
    if entry.no_fiat:
        return
    group = None
    if notice.source is PaymentSource.PAYMENT:
        group = book(turn, pool.authorize_invoice(fiat_pool(turn), _payment(turn, run, notice, notice.net)))
    turn.draft.emit(
        run.stream,
        RunPaymentAuthorized(
            line_id=notice.line_id,
            invoice_id=notice.invoice_id,
            fiat_amount=notice.net,
            ledger_group=group,
            authorized_at=turn.now,
        ),
    )
    _note_payment(turn, run)


def settle(turn: Turn, notice: LinePaymentSettled) -> None:
    """Record that money for the line arrived, be its run current, prior or invalid (§13)."""
    entry, run = shown(turn, notice)
    if entry.no_fiat:
        return
    group = None
    if notice.source is PaymentSource.PAYMENT:
        group = book(turn, pool.settle_invoice(fiat_pool(turn), _payment(turn, run, notice, notice.net)))
    turn.draft.emit(
        run.stream,
        RunPaymentSettled(fiat_amount=notice.net, in_full=notice.in_full, ledger_group=group, settled_at=turn.now),
    )
    _note_payment(turn, run)


def payment_failed(turn: Turn, notice: LinePaymentFailed) -> None:
    """Record that a payment failed; what was promised is open again."""
    entry, run = shown(turn, notice)
    if entry.no_fiat:
        return
    group = None
    if notice.released_net:
        group = book(turn, pool.release_invoice(fiat_pool(turn), _payment(turn, run, notice, notice.released_net)))
    turn.draft.emit(
        run.stream, RunPaymentFailed(released=notice.released_net, reason=notice.reason, ledger_group=group)
    )
    _note_payment(turn, run)


def write_off(turn: Turn, notice: LineWrittenOff) -> None:
    """Give what is open of the line up: the run stays billed and counts as settled (decision 22)."""
    _, run = shown(turn, notice)
    group = book(turn, pool.write_off(fiat_pool(turn), _payment(turn, run, notice, notice.net)))
    assert group is not None, f"run {run.id}: nothing was written off"
    turn.draft.emit(run.stream, RunWrittenOff(fiat_amount=notice.net, ledger_group=group))
    _note_payment(turn, run)


def reinstate(turn: Turn, notice: LineReinstated) -> None:
    """Take a write-off back."""
    _, run = shown(turn, notice)
    group = book(turn, pool.reinstate(invoiced_in_hand(turn, run.id), _payment(turn, run, notice, notice.net)))
    assert group is not None, f"run {run.id}: nothing was reinstated"
    turn.draft.emit(run.stream, RunReinstated(fiat_amount=notice.net, ledger_group=group))
    _note_payment(turn, run)


def credit(turn: Turn, notice: LineCredited) -> Shown | None:
    """Record what a credit note took back (decision 23); the run it voided, or None where the run goes on.

    A full note that an intent change or a voided invoice caused voids the run: its credit returns too. A partial one,
    one out of goodwill and one that settles a run below zero leave it as it is; what the latter frees of what was paid
    becomes credit of the customer (run rating R14). A note that is told again changes nothing.
    """
    entry, run = shown(turn, notice)
    if notice.credit_note_id is not None and notice.credit_note_id in run.credit_notes:
        return None
    group = None
    if notice.net:
        request = giving_back.freed(turn, notice, _payment(turn, run, notice, notice.net))
        group = book(turn, pool.credit_invoice(invoiced_in_hand(turn, run.id), request))
    turn.draft.emit(
        run.stream,
        RunCredited(
            fiat_amount=notice.net, in_full=notice.in_full, credit_note_id=notice.credit_note_id, ledger_group=group
        ),
    )
    giving_back.give_back(turn, notice, run.id)
    if not notice.in_full or notice.cause in KEEP_THE_RUN or not entry.counts:
        if notice.set_off is not None and notice.freed_net:
            giving_back.correct_by_credit(turn, notice.set_off, run.id, notice.freed_net)
        if notice.closes and entry.counts and not entry.is_settled:
            turn.emit(RunPaymentNoted(run_id=run.id, payment_status=RunPaymentStatus.SETTLED))
        return None
    runs.give_all_back(turn.draft, run.stream, turn.credit_terms(run.id), turn.overage_terms(run.id))
    turn.draft.emit(run.stream, RunVoided(reason=VoidReason.CREDITED, deleted_at=turn.now))
    turn.emit(RunVoidNoted(run_id=run.id, reason=VoidReason.CREDITED))
    return Shown(entry, run)


KEEP_THE_RUN = frozenset({CreditCause.GOODWILL, CreditCause.CORRECTED})
"""Causes of a credit note that leave the run as it is, even where nothing of its line remains."""


def _note_payment(turn: Turn, run: RealizationRun) -> None:
    payment = turn.run(run.id).payment
    assert payment is not None, f"run {run.id} has no payment to note"
    turn.emit(RunPaymentNoted(run_id=run.id, payment_status=RunPaymentStatus(payment.status)))


def _payment(turn: Turn, run: RealizationRun, notice: Notice, amount: Decimal) -> InvoicePayment:
    return InvoicePayment(
        charge=turn.charge_id,
        run=run.id,
        line=notice.line_id,
        amount=amount,
        booked_at=turn.facts.instant,
        closed_until=turn.facts.closed_until,
    )


# ── lines that go, and lines that cannot ─────────────────────────────────────────────────────────────────────


def ask_to_delete(turn: Turn, entry: RunEntry) -> None:
    """Ask the invoice of a run to let its line go. Raises `PreconditionFailed` for a run that is on no invoice."""
    if entry.invoice_id is None or entry.line_id is None:
        raise PreconditionFailed(f"run {entry.run_id} of charge {turn.charge_id} is on no invoice", turn.charge_id)
    turn.ask(InvoiceLineDeletionRequested(invoice_id=entry.invoice_id, line_id=entry.line_id))


def remove(turn: Turn, notice: Notice) -> Shown | None:
    """The line was deleted while its invoice could still change: void its run (lifecycles §17.5).

    None where there is nothing to void: a repeat, or a run that needs no line. Raises `PreconditionFailed` for a run
    that was invoiced or paid.
    """
    entry, run = shown(turn, notice)
    if entry.voided or entry.zero_overage or entry.set_off:
        return None
    if run.invoice_usage is not None or run.payment is not None:
        raise PreconditionFailed(f"run {run.id} was invoiced; credit its line instead", turn.charge_id)
    turn.void_run(entry, VoidReason.LINE_DELETED)
    return Shown(entry, run)


def invalidate(turn: Turn, notice: Notice) -> None:
    """The line should go and cannot: its run no longer counts, and everything that was booked stays (§17.6)."""
    entry, run = shown(turn, notice)
    if not entry.counts:
        return
    turn.draft.emit(
        run.stream,
        RunInvalidated(
            line_id=notice.line_id,
            invoice_id=notice.invoice_id,
            reason="line should be deleted, but the invoice is immutable",
        ),
    )
    turn.emit(RunReclassified(run_id=run.id, from_type=entry.type, to_type=RunType.INVALID))
