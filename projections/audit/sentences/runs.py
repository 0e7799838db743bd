"""What happened to a realization run, in a sentence."""

from __future__ import annotations

from typing import assert_never

from aggregates.event import Recorded
from aggregates.runs.events import (
    CorrectionCredited,
    CreditsAllocated,
    CreditsCorrected,
    CreditSource,
    FiatOverageCreditsAllocated,
    FiatOverageCreditsCorrected,
    InvoiceUsageAccrued,
    QuantityClamped,
    RealizationRunStarted,
    RunCredited,
    RunEvent,
    RunFinalized,
    RunInvalidated,
    RunPaymentAuthorized,
    RunPaymentFailed,
    RunPaymentSettled,
    RunRated,
    RunReinstated,
    RunSealed,
    RunSetOff,
    RunType,
    RunTypeChanged,
    RunVoided,
    RunWrittenOff,
    VoidReason,
)
from aggregates.values.decimals import EXACT
from aggregates.values.money import Currency
from aggregates.values.period import Period
from projections.audit import words
from projections.audit.known import Known

TYPES = {
    RunType.FINAL_REALIZATION: "final",
    RunType.PARTIAL_INVOICE: "partial",
    RunType.INVALID: "invalidated",
    RunType.LATE_ADJUSTMENT: "late adjustment",
}
REASONS = {
    VoidReason.INTENT_CHANGED: "what was agreed has changed",
    VoidReason.LINE_DELETED: "its invoice line was deleted",
    VoidReason.CHARGE_DELETED: "the charge was deleted",
    VoidReason.CREDITED: "a credit note took it back",
}


def sentence(record: Recorded[RunEvent], known: Known) -> str:
    """The sentence of one event of a run."""
    run = f"Run {words.short(record.stream)}"
    currency = known.currency(record.stream)
    match record.body:
        case RealizationRunStarted() as body:
            period = words.span(Period(body.service_period_from, body.service_period_to))
            what = f" {body.feature_key} from {period}" if body.feature_key else f" {period}"
            late = words.clause("; usage stored before ", words.moment(body.stored_at_lt) if body.stored_at_lt else "")
            return f"{run} started, {TYPES[body.type]}, for{what}{late}{' counts' if late else ''}"
        case QuantityClamped(metered_quantity=metered, below_zero=parts):
            so = "what is below zero in parts of it" if parts else "the run"
            return f"{run}: the meter answered {words.quantity(metered)}, so {so} is rated for 0"
        case RunRated(service_period=Period() as period_of_fee) as body:
            return f"{run} rated: a fee for {words.span(period_of_fee)} → {words.amount(body.totals.total, currency)}"
        case RunRated() as body:
            fresh = EXACT.subtract(body.metered_quantity, body.pre_line_quantity)
            earlier = f" ({words.quantity(body.pre_line_quantity)} billed before)" if body.pre_line_quantity else ""
            return f"{run} rated: {words.quantity(fresh)} units{earlier} → {words.amount(body.totals.total, currency)}"
        case CreditsAllocated(allocations=allocations):
            total = words.total(one.amount for one in allocations)
            advance = words.total(one.amount for one in allocations if one.source is CreditSource.ADVANCE)
            ahead = f", {words.amount(advance, currency)} of it as advance" if advance else ""
            return f"{run} covered with {words.amount(total, currency)} of credit{ahead}"
        case CreditsCorrected(corrections=corrections, target=target, set_off=other):
            total = EXACT.minus(words.total(one.amount for one in corrections))
            left = f"{words.amount(target, currency)} stay covered"
            why = f", to settle run {words.short(other)}" if other else ""
            return f"{run} gave back {words.amount(total, currency)} of credit{why}; {left}"
        case RunSetOff() as body:
            return f"{run} comes to less than nothing: {_set_off(body, currency)}"
        case CorrectionCredited(amount=amount, currency=fiat, paid_run=paid):
            what = f"{words.amount(amount, fiat)} that were paid for run {words.short(paid)}"
            return f"{run}: {what} are credit of the customer now"
        case RunFinalized(totals=totals, no_fiat_transaction_required=no_fiat):
            rest = "nothing left to pay" if no_fiat else f"{words.amount(totals.total, currency)} left to pay"
            return f"{run} finalised: {words.amount(totals.credits_total, currency)} covered by credit, {rest}"
        case RunVoided(reason=reason):
            return f"{run} voided, because {REASONS[reason]}"
        case RunTypeChanged() | RunInvalidated() | RunSealed() as body:
            return f"{run}{_standing(body)}"
        case _ as body:
            return f"{run}{_on_invoice(body, known.fiat(record.stream))}"


def _set_off(body: RunSetOff, currency: Currency | None) -> str:
    taken = {
        "credit given back": words.amount(body.released, currency) if body.released else "",
        "credit for an overage given back": words.amount(body.fiat_released, body.fiat) if body.fiat_released else "",
        "taken back of what was invoiced": words.amount(body.credited, body.fiat) if body.credited else "",
    }
    parts = [f"{figure} {what}" for what, figure in taken.items() if figure]
    return f"of {words.amount(body.shortfall, currency)}, {words.listed(parts) or 'nothing can be given back'}"


def _standing(body: RunTypeChanged | RunInvalidated | RunSealed) -> str:
    match body:
        case RunTypeChanged(from_type=before, to_type=after):
            return f" is {TYPES[after]} now, and not {TYPES[before]}"
        case RunInvalidated(reason=why):
            return f" no longer counts; its bookings stay: {why}"
        case RunSealed(reason=sealed):
            return f" sealed: {words.spaced(sealed)}"
        case _ as unreachable:
            assert_never(unreachable)


def _on_invoice(
    body: FiatOverageCreditsAllocated
    | FiatOverageCreditsCorrected
    | InvoiceUsageAccrued
    | RunPaymentAuthorized
    | RunPaymentSettled
    | RunPaymentFailed
    | RunWrittenOff
    | RunReinstated
    | RunCredited,
    currency: Currency | None,
) -> str:
    match body:
        case FiatOverageCreditsAllocated(allocations=allocations, fiat=fiat, fiat_overage=overage):
            total = words.total(one.amount for one in allocations)
            return f": {words.amount(total, fiat)} of credit set against an overage of {words.amount(overage, fiat)}"
        case FiatOverageCreditsCorrected(corrections=corrections, fiat=fiat):
            total = EXACT.minus(words.total(one.amount for one in corrections))
            return f" gave back {words.amount(total, fiat)} of credit for its overage"
        case InvoiceUsageAccrued(totals=totals, currency=fiat):
            return f" invoiced: {words.amount(totals.total, fiat)} to be paid"
        case RunPaymentAuthorized(fiat_amount=amount):
            return f": payment of {words.amount(amount, currency)} authorised"
        case RunPaymentSettled(fiat_amount=amount, in_full=in_full):
            return f": {words.amount(amount, currency)} paid{', all of it' if in_full else ''}"
        case RunPaymentFailed(released=amount):
            return f": payment failed, {words.amount(amount, currency)} promised before"
        case RunWrittenOff(fiat_amount=amount):
            return f": {words.amount(amount, currency)} written off"
        case RunReinstated(fiat_amount=amount):
            return f": {words.amount(amount, currency)} written off before are owed again"
        case RunCredited(fiat_amount=amount, in_full=in_full):
            return f": {words.amount(amount, currency)} credited{', all of it' if in_full else ''}"
        case _ as unreachable:
            assert_never(unreachable)
