"""What happened to a charge, in a sentence."""

from __future__ import annotations

from typing import TypeAlias, assert_never

from aggregates.charges.events import (
    AdvanceBroughtForward,
    BaseIntentAmended,
    ChargeActivated,
    ChargeAdvanceFailed,
    ChargeCreated,
    ChargeDeleted,
    ChargeEvent,
    ChargeFinalized,
    ChargeReactivated,
    ChargeReopened,
    CollectionAwaited,
    CostBasisResolved,
    CreditRefund,
    CreditsGranted,
    FeatureResolved,
    GatheringLineDeleted,
    GatheringLineRequested,
    GatheringLineUpserted,
    InvoiceIssueRecorded,
    InvoiceLineLinked,
    InvoiceRefund,
    Moved,
    OverrideCleared,
    OverrideSet,
    PaymentAuthorized,
    PaymentAwaited,
    PaymentFailed,
    PaymentFailure,
    PaymentRetried,
    PaymentReversed,
    PaymentSettled,
    PaymentSettlementAwaited,
    PaymentWrittenOff,
    PeriodExtended,
    PeriodShrunk,
    PeriodShrunkToRealized,
    PurchaseReduced,
    PurchaseVoided,
    RealizationCompleted,
    RealizationProcessed,
    RealizationRunClosed,
    RealizationRunOpened,
    ReopenedReason,
    RunClosedReason,
    RunPaymentNoted,
    RunReclassified,
    RunRerated,
    RunVoidNoted,
    ZeroOverageCompleted,
)
from aggregates.charges.late_events import LateEvent, LateOutcome, LateUsageEvaluated, LateUsageFound, RebillingNoted
from aggregates.charges.outside_events import (
    CreditNoteRequested,
    InvoiceLineDeletionRequested,
    InvoiceLineUpdated,
    OutsideEvent,
    UnappliedCreditRequested,
)
from aggregates.event import Recorded
from aggregates.values.money import Currency
from aggregates.values.period import Period
from projections.audit import words
from projections.audit.known import Known
from projections.audit.sentences.runs import REASONS, TYPES

REOPENED = {
    ReopenedReason.PERIOD_CHANGED: "its period changed",
    ReopenedReason.OVERRIDE_SET: "an override was set",
    ReopenedReason.OVERRIDE_CLEARED: "the override was cleared",
    ReopenedReason.LINE_DELETED: "its invoice line was deleted",
    ReopenedReason.BILLABLE_AGAIN: "there is something to bill again",
}
CLOSED = {
    RunClosedReason.FINALIZED: "it is final",
    RunClosedReason.ISSUED: "its invoice was issued",
    RunClosedReason.ZERO_OVERAGE: "nothing beyond the credit is owed",
    RunClosedReason.VOIDED: "it was voided",
    RunClosedReason.REPLACED: "another one takes its place",
    RunClosedReason.CANCELLED: "it was cancelled",
}

LATE = {
    LateOutcome.NOTHING: "changes nothing",
    LateOutcome.TO_INVOICE: "waits to be invoiced",
    LateOutcome.ABSORBED: "is too little to be charged",
    LateOutcome.ASKED: "waits for somebody to decide",
    LateOutcome.LEFT: "stays unbilled",
    LateOutcome.DISMISSED: "is not billed, as somebody decided",
    LateOutcome.BILLED: "is billed",
}
PAID_FOR = {
    InvoiceRefund.REFUND: ", what was paid for it is paid back",
    InvoiceRefund.GRANT_CREDITS: ", what was paid for it becomes credit",
    InvoiceRefund.IGNORE: "",
}

FAILED = {
    PaymentFailure.FAILED: "Payment failed",
    PaymentFailure.CANCELLED: "Payment was cancelled",
    PaymentFailure.CHARGED_BACK: "Payment was charged back",
}

UnpaidEvent: TypeAlias = PaymentFailed | PaymentRetried | PaymentReversed | PaymentWrittenOff
PurchaseEvent: TypeAlias = (
    CreditsGranted | PaymentAwaited | PaymentAuthorized | PaymentSettled | PurchaseReduced | PurchaseVoided
)
PeriodEvent: TypeAlias = PeriodExtended | PeriodShrunk | PeriodShrunkToRealized
IntentEvent: TypeAlias = OverrideSet | OverrideCleared | BaseIntentAmended
LineEvent: TypeAlias = GatheringLineRequested | GatheringLineUpserted | GatheringLineDeleted | InvoiceLineLinked
InvoicingEvent: TypeAlias = (
    InvoiceIssueRecorded | ZeroOverageCompleted | PaymentSettlementAwaited | ChargeReactivated | RunPaymentNoted
)


def sentence(record: Recorded[ChargeEvent], known: Known) -> str:
    """The sentence of one event of a charge."""
    match record.body:
        case ChargeCreated() as body:
            return _created(body)
        case (
            CreditsGranted()
            | PaymentAwaited()
            | PaymentAuthorized()
            | PaymentSettled()
            | PaymentFailed()
            | PaymentRetried()
            | PaymentReversed()
            | PaymentWrittenOff()
            | PurchaseReduced()
            | PurchaseVoided()
        ) as body:
            return _of_purchase(body, record, known)
        case PeriodExtended() | PeriodShrunk() | PeriodShrunkToRealized() as body:
            return _of_periods(body, known.currency(record.stream))
        case OverrideSet() | OverrideCleared() | BaseIntentAmended() as body:
            return _of_intent(body)
        case GatheringLineRequested() | GatheringLineUpserted() | GatheringLineDeleted() | InvoiceLineLinked() as body:
            return _of_lines(body)
        case (
            InvoiceLineUpdated() | InvoiceLineDeletionRequested() | CreditNoteRequested() | UnappliedCreditRequested()
        ) as body:
            return _of_lines_outside(body)
        case InvoiceIssueRecorded() | ZeroOverageCompleted() | PaymentSettlementAwaited() as body:
            return _of_invoicing(body)
        case ChargeReactivated() | RunPaymentNoted() as body:
            return _of_invoicing(body)
        case LateUsageFound() | LateUsageEvaluated() | RebillingNoted() as body:
            return _of_late_usage(body, known.currency(record.stream))
        case FeatureResolved() as body:
            feature, meter = words.short(body.feature_id), words.short(body.meter_id)
            return f"Feature {body.feature_key} resolved to {feature}, metered by {meter}"
        case CostBasisResolved(resolved=resolved):
            rate = words.amount(resolved.rate, resolved.fiat_currency)
            return f"Cost basis fixed: one unit costs {rate} ({resolved.mode})"
        case ChargeActivated(moved=moved, booked_at=booked_at):
            booked = words.clause("; it is booked ", words.moment(booked_at) if booked_at else "")
            return f"Service period began{booked}{_next(moved)}"
        case AdvanceBroughtForward(advance_after=at):
            return f"Credit that came later starts or expires sooner; next step {words.moment(at)}"
        case _ as body:
            return _of_realization(body)


def _of_lines(body: LineEvent) -> str:
    match body:
        case GatheringLineRequested(line=line):
            return f"To be invoiced from {words.moment(line.invoice_at)}: {words.span(line.period)}"
        case GatheringLineUpserted(line=line):
            return f"Now to be invoiced from {words.moment(line.invoice_at)}: {words.span(line.period)}"
        case GatheringLineDeleted():
            return "Nothing is left to be invoiced"
        case InvoiceLineLinked(line_id=line, invoice_id=invoice):
            return f"Line {words.short(line)} of invoice {words.short(invoice)} asks for the payment"
        case _ as unreachable:
            assert_never(unreachable)


def _of_lines_outside(body: OutsideEvent) -> str:
    if isinstance(body, UnappliedCreditRequested):
        what = "is credit of the customer now" if body.as_credit else "is to be paid back"
        return f"{body.amount} that were paid on invoice {words.short(body.invoice_id)} and credited {what}"
    line = f"Line {words.short(body.line_id)} of invoice {words.short(body.invoice_id)}"
    match body:
        case InvoiceLineUpdated(content=content):
            return f"{line} is to show {content.totals.total} for {words.span(content.period)}"
        case InvoiceLineDeletionRequested():
            return f"{line} is to go, or to be credited if it cannot"
        case CreditNoteRequested(amount=amount, reason=reason):
            taken = f"{amount} of it" if amount is not None else "all that is left of it"
            return f"{line}: {taken} is to be credited{words.clause(', ', reason or '')}"
        case _ as unreachable:
            assert_never(unreachable)


def _of_invoicing(body: InvoicingEvent) -> str:
    match body:
        case InvoiceIssueRecorded(run_id=run_id, line_id=line, no_fiat=no_fiat):
            rest = "; nothing of it is left to pay" if no_fiat else ""
            return f"Run {words.short(run_id)} was invoiced on line {words.short(line)}{rest}"
        case ZeroOverageCompleted(run_id=run_id):
            return f"Run {words.short(run_id)} is done without an invoice: nothing beyond the credit is owed"
        case PaymentSettlementAwaited():
            return "Everything is invoiced; waiting until it is settled"
        case ChargeReactivated(moved=moved):
            return f"A part is done; the rest of the period goes on{_next(moved)}"
        case RunPaymentNoted(run_id=run_id, payment_status=status):
            return f"Payment of run {words.short(run_id)}: {words.spaced(status)}"
        case _ as unreachable:
            assert_never(unreachable)


def _of_late_usage(body: LateEvent, currency: Currency | None) -> str:
    match body:
        case LateUsageFound(stored_at=stored_at):
            return f"Usage was stored after its runs had been collected, on {words.moment(stored_at)}"
        case LateUsageEvaluated() as seen:
            adds = f"{words.quantity(seen.quantity)} units in all, {words.amount(seen.amount, currency)} more to charge"
            what = "What a voided run had billed, with usage" if seen.rebilling else "Late usage"
            return f"{what} stored before {words.moment(seen.stored_at_lt)} {LATE[seen.outcome]}: {adds}"
        case RebillingNoted(run_id=run_id, stored_at_lt=stored_at_lt):
            counted = f"usage stored before {words.moment(stored_at_lt)} counts"
            return f"What run {words.short(run_id)} had billed is to be billed again; {counted}"
        case _ as unreachable:
            assert_never(unreachable)


def _of_realization(
    body: RealizationRunOpened
    | RunRerated
    | RunReclassified
    | CollectionAwaited
    | RealizationRunClosed
    | RealizationProcessed
    | RealizationCompleted
    | ChargeFinalized
    | ChargeAdvanceFailed
    | RunVoidNoted
    | ChargeReopened
    | ChargeDeleted,
) -> str:
    match body:
        case RealizationRunOpened():
            period = words.span(Period(body.service_period_from, body.service_period_to))
            late = words.clause(
                "; late usage counts until ", words.moment(body.collection_end) if body.collection_end else ""
            )
            return f"Run {words.short(body.run_id)} opened, {TYPES[body.type]}, for {period}{late}"
        case CollectionAwaited(run_id=run_id, moved=moved):
            return f"Waiting for late usage of run {words.short(run_id)}{_next(moved)}"
        case RealizationRunClosed(run_id=run_id, reason=reason):
            return f"Run {words.short(run_id)} is no longer current, because {CLOSED[reason]}"
        case RealizationProcessed(run_id=run_id, no_fiat=no_fiat, zero_overage=zero_overage):
            rest = "nothing of it is left to pay" if no_fiat else "it is ready to be paid"
            overage = "; nothing beyond the credit is owed" if zero_overage else ""
            return f"Collection for run {words.short(run_id)} is complete, {rest}{overage}"
        case RealizationCompleted(run_id=run_id):
            return f"Run {words.short(run_id)} is completely realized"
        case RunRerated(run_id=run_id, service_period=period_now):
            return f"Run {words.short(run_id)} was rated again where it stands, for {words.span(period_now)}"
        case RunReclassified(run_id=run_id, from_type=before, to_type=now):
            return f"Run {words.short(run_id)} is {TYPES[now]} from now on; it was {TYPES[before]}"
        case ChargeFinalized():
            return "Charge became final"
        case ChargeAdvanceFailed() as failed:
            again = f" (failure {failed.attempt})" if failed.attempt > 1 else ""
            return f"Charge could not move on from {failed.status}{again}: {failed.message} [{failed.code}]"
        case RunVoidNoted(run_id=run_id, reason=why):
            return f"Run {words.short(run_id)} no longer counts, because {REASONS[why]}"
        case ChargeReopened(reason=cause, moved=moved):
            return f"Charge reopened, because {REOPENED[cause]}: {moved.status_from} → {moved.status_to}{_next(moved)}"
        case ChargeDeleted(credit_refund=refund, invoice_refund=paid, layer=layer):
            kept = "given back" if refund is CreditRefund.CORRECT else "left consumed"
            return f"Charge deleted in its {layer}; credit it had consumed is {kept}{PAID_FOR[paid]}"
        case _ as unreachable:
            assert_never(unreachable)


def _created(body: ChargeCreated) -> str:
    identity, layer = body.identity, body.base
    # The layers' classes belong to the charge; what a purchase's has and a usage charge's has not is its amount.
    bought = getattr(layer, "credit_amount", None)
    if bought is not None:
        return f"Credit purchase {layer.name!r} created: {words.amount(bought, identity.currency)}"
    settled = words.clause(", settled by ", words.spaced(identity.settlement_mode or ""))
    period = words.span(layer.periods.service_period)
    kind = words.spaced(body.charge_type).capitalize()
    return f"{kind} charge {layer.name!r} created for {period}, in {identity.currency.code}{settled}{_next(body.moved)}"


def _of_purchase(body: PurchaseEvent | UnpaidEvent, record: Recorded[ChargeEvent], known: Known) -> str:
    currency = known.currency(record.stream)
    match body:
        case CreditsGranted():
            live = words.clause(" from ", words.moment(body.effective_at) if body.effective_at else "")
            ends = words.clause(", expiring ", words.moment(body.expires_at) if body.expires_at else "")
            only = words.clause(", only for ", words.listed(body.feature_filters))
            return f"Granted {words.amount(body.amount, body.currency)} of credit{live}{ends}{only}"
        case PaymentAwaited():
            return "Payment is awaited"
        case PaymentAuthorized():
            return f"Payment of {words.amount(body.fiat_amount, body.fiat_currency)} authorised"
        case PaymentSettled():
            return "Payment arrived"
        case PurchaseReduced():
            gone, left = words.amount(body.amount, currency), words.amount(body.credit_amount, currency)
            return f"Purchase reduced by {gone} before it was granted: {left} are left"
        case PurchaseVoided():
            return f"Purchase voided: {words.amount(body.amount, currency)} that were left of it taken back"
        case _ as unpaid:
            return _unpaid(unpaid, currency)


def _unpaid(body: UnpaidEvent, currency: Currency | None) -> str:
    match body:
        case PaymentFailed():
            why = words.clause(" (", f"{body.detail})" if body.detail else "")
            gone = words.clause("; ", f"{words.amount(body.amount, currency)} taken back" if body.amount else "")
            owed = f"; {words.amount(body.fiat_owed, body.fiat_currency)} is owed"
            return f"{FAILED[body.reason]}{why}{gone}{owed if body.fiat_owed else '; nothing is owed'}"
        case PaymentRetried():
            return "Payment is tried again"
        case PaymentReversed():
            return "Money, or a promise of it, was taken back; payment is awaited again"
        case PaymentWrittenOff():
            if not body.fiat_amount:
                return "Nothing is expected any more; nothing was owed"
            return f"{words.amount(body.fiat_amount, body.fiat_currency)} written off as uncollectible"
        case _ as unreachable:
            assert_never(unreachable)


def _of_periods(body: PeriodEvent, currency: Currency | None) -> str:
    match body:
        case PeriodExtended() | PeriodShrunk():
            verb = "extended" if isinstance(body, PeriodExtended) else "shortened"
            before, after = words.span(body.old.service_period), words.span(body.new.service_period)
            comes_to = body.amount_after_proration
            amount = words.clause("; it comes to ", words.amount(comes_to, currency) if comes_to is not None else "")
            return f"Service period {verb} in its {body.layer}: {before} → {after}{amount}"
        case PeriodShrunkToRealized(layer=layer, old_to=old_to, new_to=new_to, run_id=run_id):
            ends = f"{words.moment(old_to)} → {words.moment(new_to)}"
            return f"Service period ended in its {layer} where run {words.short(run_id)} ends: {ends}"
        case _ as unreachable:
            assert_never(unreachable)


def _of_intent(body: IntentEvent) -> str:
    match body:
        case OverrideSet(override=layer):
            return (
                f"Override {layer.name!r} set for {words.span(layer.periods.service_period)}; the base is kept under it"
            )
        case OverrideCleared():
            return "Override cleared; the base holds again"
        case BaseIntentAmended(periods=periods, intent_deleted_at=deleted_at):
            told = (
                words.clause("its period is ", words.span(periods.service_period) if periods else ""),
                words.clause("it is deleted as of ", words.moment(deleted_at) if deleted_at else ""),
            )
            return f"Base changed under the override: {words.listed(told)}"
        case _ as unreachable:
            assert_never(unreachable)


def _next(moved: Moved) -> str:
    """When the clock will next have something to do."""
    return words.clause("; next step ", words.moment(moved.advance_after) if moved.advance_after else "")
