"""What a realization run looks like in a view, and how its events make it; shared by `current_runs` and `prior_runs`.

A run is written by its own events; that it is current no longer is said by an event of its charge, which names it
(lifecycles §5.2).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from aggregates.charges.events import EVENTS as CHARGE_EVENTS
from aggregates.charges.events import RealizationRunClosed
from aggregates.runs.events import (
    EVENTS,
    CreditsAllocated,
    CreditsCorrected,
    QuantityClamped,
    RealizationRunStarted,
    RunFinalized,
    RunInvalidated,
    RunRated,
    RunTypeChanged,
    RunVoided,
)
from aggregates.values.decimals import EXACT, ZERO
from projections.plain import json_extended, json_text
from projections.projection import Entry, JsonText, Key, changed, folded_alike


class RunRow(NamedTuple):
    """A realization run. Amounts are in its currency, at that currency's precision; times are UTC.

    `metered_quantity` is cumulative from the start of the charge's service period, `line_quantity` what this run
    adds to earlier ones; a flat fee has `amount_after_proration` instead. `stored_at_lt` is the collection end of
    usage, exclusive; `booked_at` is when the credit of a flat fee is booked. `amount` to `total` are the run's totals,
    `credits` is what credit covers of them, net of corrections, and `realizations` its allocations and corrections in
    recorded order. `lines` are the rated lines, `line_count` how many.
    From `invalidated_at` on it no longer counts for its charge, and what was booked for it stays (lifecycles §17.6).
    """

    run: UUID
    charge: UUID
    namespace: str
    customer: str
    run_type: str
    currency: str
    currency_code: str
    currency_precision: int
    feature: str | None
    feature_id: UUID | None
    meter_id: UUID | None
    service_period_from: datetime
    service_period_to: datetime
    stored_at_lt: datetime | None
    booked_at: datetime | None
    line: UUID | None
    invoice: UUID | None
    amount_after_proration: Decimal | None
    metered_quantity: Decimal | None
    line_quantity: Decimal | None
    true_quantity: Decimal | None
    amount: Decimal
    charges_total: Decimal
    discounts_total: Decimal
    credits_total: Decimal
    total: Decimal
    credits: Decimal
    realizations: JsonText
    lines: JsonText
    line_count: int
    rating_engine: str | None
    finalized_at: datetime | None
    no_fiat: bool
    ended_at: datetime | None
    ended_reason: str | None
    voided: bool
    voided_at: datetime | None
    void_reason: str | None
    invalidated_at: datetime | None
    created_at: datetime
    created_position: int
    position: int


LISTENS = frozenset(event.NAME for event in EVENTS) | {
    event.NAME for event in CHARGE_EVENTS if "run_id" in event.__struct_fields__
}


def run_of(entry: Entry) -> tuple[Key]:
    """The run that an event is about: its stream, or the one that an event of the charge names."""
    record = entry.record
    return ((getattr(record.body, "run_id", record.stream),),)


@folded_alike
def run_row(row: RunRow | None, entry: Entry, key: Key) -> RunRow | None:
    """The run after the event."""
    body = entry.record.body
    if isinstance(body, RealizationRunStarted):
        return _started(body, entry)
    if row is None:
        return None
    changes = _changes(row, body, entry.record.at)
    if not changes:
        return row
    changes["position"] = entry.position
    return changed(row, changes)


def _started(body: RealizationRunStarted, entry: Entry) -> RunRow:
    record = entry.record
    return RunRow(
        run=record.stream,
        charge=body.charge_id,
        namespace=record.namespace,
        customer=record.customer or "",
        run_type=body.type.value,
        currency=body.currency.key,
        currency_code=body.currency.code,
        currency_precision=body.currency.precision,
        feature=body.feature_key,
        feature_id=body.feature_id,
        meter_id=body.meter_id,
        service_period_from=body.service_period_from,
        service_period_to=body.service_period_to,
        stored_at_lt=body.stored_at_lt,
        booked_at=getattr(body, "booked_at", None),
        line=getattr(body, "line_id", None),
        invoice=getattr(body, "invoice_id", None),
        amount_after_proration=None,
        metered_quantity=None,
        line_quantity=None,
        true_quantity=None,
        amount=ZERO,
        charges_total=ZERO,
        discounts_total=ZERO,
        credits_total=ZERO,
        total=ZERO,
        credits=ZERO,
        realizations=JsonText("[]"),
        lines=JsonText("[]"),
        line_count=0,
        rating_engine=None,
        finalized_at=None,
        no_fiat=False,
        ended_at=None,
        ended_reason=None,
        voided=False,
        voided_at=None,
        void_reason=None,
        invalidated_at=None,
        created_at=record.at,
        created_position=entry.position,
        position=entry.position,
    )


def _changes(row: RunRow, body: Any, at: datetime) -> dict[str, Any]:
    match body:
        case RunRated():
            return _totals(body.totals) | _rated(body)
        case QuantityClamped():
            return {"true_quantity": body.metered_quantity}
        case CreditsAllocated():
            return _credits(row, body.allocations)
        case CreditsCorrected():
            return _credits(row, body.corrections)
        case RunFinalized():
            no_fiat = body.no_fiat_transaction_required
            return _totals(body.totals) | {"finalized_at": at, "no_fiat": no_fiat}
        case RealizationRunClosed():
            return {"ended_at": at, "ended_reason": body.reason.value}
        case RunVoided():
            return {"voided": True, "voided_at": body.deleted_at, "void_reason": body.reason.value}
        case RunInvalidated():
            return {"invalidated_at": at}
        case RunTypeChanged():
            return {"run_type": body.to_type.value}
        case _:
            # Events of the charge that name the run and know whether anything is left to pay in fiat.
            return {"no_fiat": body.no_fiat} if hasattr(body, "no_fiat") else {}


def _rated(body: RunRated) -> dict[str, Any]:
    """What rating says besides the totals: quantities of usage, or amount and period of a flat fee."""
    rated: dict[str, Any] = {"lines": json_text(body.detailed_lines), "line_count": len(body.detailed_lines)}
    amount = getattr(body, "amount_after_proration", None)
    if amount is not None:
        period = body.service_period
        bounds = {"service_period_from": period.from_, "service_period_to": period.to} if period else {}
        return rated | bounds | {"amount_after_proration": amount}
    return rated | {
        "metered_quantity": body.metered_quantity,
        "line_quantity": EXACT.subtract(body.metered_quantity, body.pre_line_quantity),
        "rating_engine": str(body.rating_engine),
    }


def _totals(totals: Any) -> dict[str, Any]:
    return {
        "amount": totals.amount,
        "charges_total": totals.charges_total,
        "discounts_total": totals.discounts_total,
        "credits_total": totals.credits_total,
        "total": totals.total,
    }


def _credits(row: RunRow, realized: Any) -> dict[str, Any]:
    total = row.credits
    for each in realized:
        total = EXACT.add(total, each.amount)
    return {"credits": total, "realizations": json_extended(row.realizations, realized)}
