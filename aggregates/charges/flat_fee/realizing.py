"""Rating a flat fee and covering it with credit: what both ways of settling it have in common (lifecycles §9, §10)."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from aggregates.charges.intent import FlatFeeLayer
from aggregates.charges.turn import Turn
from aggregates.event import Stream
from aggregates.rating.prices import Discounts
from aggregates.runs import decisions as runs
from aggregates.runs.events import RealizationRunStarted, RunType
from aggregates.values.totals import Totals


def start_run(turn: Turn, line_id: UUID | None = None, invoice_id: UUID | None = None) -> Stream:
    """Start the run of the fee; it is always a final one, because a fee is not billed in parts."""
    charge, fee = turn.charge, turn.fee
    ref = charge.identity.feature
    feature = turn.facts.feature(ref.name) if ref is not None else None
    run = turn.run_stream(turn.facts.mint())
    turn.draft.emit(
        run,
        RealizationRunStarted(
            charge_id=charge.id,
            currency=charge.currency,
            type=RunType.FINAL_REALIZATION,
            service_period_from=fee.service_period.from_,
            service_period_to=fee.service_period.to,
            feature_id=feature.id if feature else None,
            feature_key=feature.key if feature else None,
            booked_at=fee.booked_at,
            line_id=line_id,
            invoice_id=invoice_id,
        ),
    )
    return run


def rate_and_cover(turn: Turn, run: Stream) -> Decimal:
    """Rate the run from the effective intent and bring its credit to the rated total; what is left is the answer."""
    total = runs.rate_fee(turn.draft, run, _terms(turn, turn.fee), turn.facts.mint)
    runs.reconcile(turn.draft, run, total, turn.credit_terms(run.id))
    return runs.run_in_hand(turn.draft, run).totals.total


def comes_to(turn: Turn, fee: FlatFeeLayer) -> Decimal:
    """What the fee is under these terms, pro-rated and with its discount."""
    return totals_of(turn, fee).total


def totals_of(turn: Turn, fee: FlatFeeLayer) -> Totals:
    """The same with its parts: 100 with 10 % off is amount 100, discounts 10, total 90. No credit is counted."""
    return runs.rated_fee(turn.charge.currency, _terms(turn, fee)).totals


def _terms(turn: Turn, fee: FlatFeeLayer) -> runs.FeeTerms:
    return runs.FeeTerms(
        name=fee.name,
        service_period=fee.service_period,
        amount=fee.amount_after_proration,
        payment_term=fee.payment_term.value,
        discounts=Discounts(percentage=fee.percentage_discount),
        intent_version=turn.charge.intent_version,
    )
