"""What happened to a realization run, in a sentence."""

from __future__ import annotations

from typing import assert_never

from aggregates.event import Recorded
from aggregates.runs.events import (
    CreditsAllocated,
    CreditsCorrected,
    CreditSource,
    QuantityClamped,
    RealizationRunStarted,
    RunEvent,
    RunFinalized,
    RunRated,
    RunType,
    RunVoided,
    VoidReason,
)
from aggregates.values.decimals import EXACT, ZERO
from aggregates.values.period import Period
from projections.audit import words
from projections.audit.known import Known

TYPES = {
    RunType.FINAL_REALIZATION: "final",
    RunType.PARTIAL_INVOICE: "partial",
    RunType.INVALID: "invalidated",
}
REASONS = {
    VoidReason.INTENT_CHANGED: "what was agreed has changed",
    VoidReason.LINE_DELETED: "its invoice line was deleted",
    VoidReason.CHARGE_DELETED: "the charge was deleted",
}


def sentence(record: Recorded[RunEvent], known: Known) -> str:
    """The sentence of one event of a run."""
    run = f"Run {words.short(record.stream)}"
    currency = known.currency(record.stream)
    match record.body:
        case RealizationRunStarted() as body:
            period = words.span(Period(body.service_period_from, body.service_period_to))
            return (
                f"{run} started, {TYPES[body.type]}, for {body.feature_key} from {period};"
                f" usage stored before {words.moment(body.stored_at_lt)} counts"
            )
        case QuantityClamped(metered_quantity=metered):
            return f"{run}: the meter answered {words.quantity(metered)}, so the run is rated for 0"
        case RunRated() as body:
            fresh = EXACT.subtract(body.metered_quantity, body.pre_line_quantity)
            earlier = f" ({words.quantity(body.pre_line_quantity)} billed before)" if body.pre_line_quantity else ""
            return f"{run} rated: {words.quantity(fresh)} units{earlier} → {words.amount(body.totals.total, currency)}"
        case CreditsAllocated(allocations=allocations):
            total = advance = ZERO
            for one in allocations:
                total = EXACT.add(total, one.amount)
                advance = EXACT.add(advance, one.amount if one.source is CreditSource.ADVANCE else ZERO)
            ahead = f", {words.amount(advance, currency)} of it as advance" if advance else ""
            return f"{run} covered with {words.amount(total, currency)} of credit{ahead}"
        case CreditsCorrected(corrections=corrections, target=target):
            total = ZERO
            for correction in corrections:
                total = EXACT.subtract(total, correction.amount)
            left = f"{words.amount(target, currency)} stay covered"
            return f"{run} gave back {words.amount(total, currency)} of credit; {left}"
        case RunFinalized(totals=totals, no_fiat_transaction_required=no_fiat):
            rest = "nothing left to pay" if no_fiat else f"{words.amount(totals.total, currency)} left to pay"
            return f"{run} finalised: {words.amount(totals.credits_total, currency)} covered by credit, {rest}"
        case RunVoided(reason=reason):
            return f"{run} voided, because {REASONS[reason]}"
        case _ as unreachable:
            assert_never(unreachable)
