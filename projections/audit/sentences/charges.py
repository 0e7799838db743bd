"""What happened to a charge, in a sentence."""

from __future__ import annotations

from typing import TypeAlias, assert_never

from aggregates.charges.events import (
    BaseIntentAmended,
    ChargeActivated,
    ChargeAdvanceFailed,
    ChargeCreated,
    ChargeDeleted,
    ChargeEvent,
    ChargeFinalized,
    ChargeReopened,
    CollectionAwaited,
    CostBasisResolved,
    CreditRefund,
    CreditsGranted,
    FeatureResolved,
    Moved,
    OverrideCleared,
    OverrideSet,
    PaymentAuthorized,
    PaymentAwaited,
    PaymentSettled,
    PeriodExtended,
    PeriodShrunk,
    PurchaseVoided,
    RealizationCompleted,
    RealizationProcessed,
    RealizationRunClosed,
    RealizationRunOpened,
    ReopenedReason,
    RunClosedReason,
    RunVoidNoted,
)
from aggregates.event import Recorded
from aggregates.values.period import Period
from projections.audit import words
from projections.audit.known import Known
from projections.audit.sentences.runs import REASONS, TYPES

REOPENED = {
    ReopenedReason.PERIOD_CHANGED: "its period changed",
    ReopenedReason.OVERRIDE_SET: "an override was set",
    ReopenedReason.OVERRIDE_CLEARED: "the override was cleared",
}
CLOSED = {
    RunClosedReason.FINALIZED: "it is final",
    RunClosedReason.VOIDED: "it was voided",
    RunClosedReason.CANCELLED: "it was cancelled",
}

PurchaseEvent: TypeAlias = CreditsGranted | PaymentAwaited | PaymentAuthorized | PaymentSettled | PurchaseVoided
IntentEvent: TypeAlias = PeriodExtended | PeriodShrunk | OverrideSet | OverrideCleared | BaseIntentAmended


def sentence(record: Recorded[ChargeEvent], known: Known) -> str:
    """The sentence of one event of a charge."""
    match record.body:
        case ChargeCreated() as body:
            return _created(body)
        case CreditsGranted() | PaymentAwaited() | PaymentAuthorized() | PaymentSettled() | PurchaseVoided() as body:
            return _of_purchase(body, record, known)
        case PeriodExtended() | PeriodShrunk() | OverrideSet() | OverrideCleared() | BaseIntentAmended() as body:
            return _of_intent(body)
        case FeatureResolved() as body:
            feature, meter = words.short(body.feature_id), words.short(body.meter_id)
            return f"Feature {body.feature_key} resolved to {feature}, metered by {meter}"
        case CostBasisResolved(resolved=resolved):
            rate = words.amount(resolved.rate, resolved.fiat_currency)
            return f"Cost basis fixed: one unit costs {rate} ({resolved.mode})"
        case ChargeActivated(moved=moved):
            return f"Service period began{_next(moved)}"
        case _ as body:
            return _of_realization(body)


def _of_realization(
    body: RealizationRunOpened
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
            opened = f"Run {words.short(body.run_id)} opened, {TYPES[body.type]}, for {period}"
            return f"{opened}; late usage counts until {words.moment(body.collection_end)}"
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
        case ChargeFinalized():
            return "Charge became final"
        case ChargeAdvanceFailed() as failed:
            again = f" (failure {failed.attempt})" if failed.attempt > 1 else ""
            return f"Charge could not move on from {failed.status}{again}: {failed.message} [{failed.code}]"
        case RunVoidNoted(run_id=run_id, reason=why):
            return f"Run {words.short(run_id)} no longer counts, because {REASONS[why]}"
        case ChargeReopened(reason=cause, moved=moved):
            return f"Charge reopened, because {REOPENED[cause]}: {moved.status_from} → {moved.status_to}{_next(moved)}"
        case ChargeDeleted(credit_refund=refund, layer=layer):
            kept = "given back" if refund is CreditRefund.CORRECT else "left consumed"
            return f"Charge deleted in its {layer}; credit it had consumed is {kept}"
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


def _of_purchase(body: PurchaseEvent, record: Recorded[ChargeEvent], known: Known) -> str:
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
        case PurchaseVoided():
            return f"Purchase voided: {words.amount(body.amount, currency)} that were left of it taken back"
        case _ as unreachable:
            assert_never(unreachable)


def _of_intent(body: IntentEvent) -> str:
    match body:
        case PeriodExtended() | PeriodShrunk():
            verb = "extended" if isinstance(body, PeriodExtended) else "shortened"
            before, after = words.span(body.old.service_period), words.span(body.new.service_period)
            return f"Service period {verb} in its {body.layer}: {before} → {after}"
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
