"""The gathering line of a charge: what of it is not invoiced yet, at most one (lifecycles §17.1, decision 30).

It keeps its id for as long as it is only changed, so that whoever has seen it knows it again.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from aggregates.charges.cost_basis import fiat_amount
from aggregates.charges.events import (
    GatheringLine,
    GatheringLineDeleted,
    GatheringLineRequested,
    GatheringLineUpserted,
)
from aggregates.charges.intent import FlatFeeLayer, PurchaseLayer, UsageLayer
from aggregates.charges.state import Charge
from aggregates.charges.turn import Turn
from aggregates.values.decimals import ZERO
from aggregates.values.period import Instant, Period


def gather(turn: Turn, period: Period) -> None:
    """Let exactly that much of the charge wait to be invoiced: a new line, the same one changed, or none."""
    charge = turn.charge
    if period.is_empty and not isinstance(charge.intent.effective, PurchaseLayer):
        drop(turn)
        return
    _upsert(turn, period, provisional_amount(charge))


def gather_price(turn: Turn, amount: Decimal) -> None:
    """Let so much of a purchase's price wait to be invoiced, in fiat: what no line asks for any more."""
    _upsert(turn, turn.charge.intent.effective.service_period, amount)


def _upsert(turn: Turn, period: Period, amount: Decimal | None) -> None:
    charge, before = turn.charge, turn.charge.gathering_line
    line = GatheringLine(
        id=before.id if before is not None else turn.facts.mint(),
        period=period,
        invoice_at=charge.intent.effective.periods.invoice_at,
        currency=charge.invoice_currency,
        amount=amount,
    )
    if before is None:
        turn.emit(GatheringLineRequested(line=line))
    elif line != before:
        turn.emit(GatheringLineUpserted(line=line))


def gather_late(turn: Turn, period: Period, amount: Decimal) -> None:
    """Let what late usage adds wait to be invoiced; its line shows the period that was invoiced before."""
    charge = turn.charge
    line = GatheringLine(
        id=turn.facts.mint(),
        period=period,
        invoice_at=charge.intent.effective.periods.invoice_at,
        currency=charge.invoice_currency,
        amount=_in_fiat(charge, amount),
    )
    turn.emit(GatheringLineRequested(line=line))


def gather_anew(turn: Turn, period: Period) -> None:
    """The same with a line of its own: what waited before is another matter."""
    drop(turn)
    gather(turn, period)


def drop(turn: Turn) -> None:
    """Let nothing of the charge wait to be invoiced."""
    line = turn.charge.gathering_line
    if line is not None:
        turn.emit(GatheringLineDeleted(line_id=line.id))


def take(turn: Turn, until: Instant) -> None:
    """A line has taken everything up to there; the rest goes on waiting."""
    line = turn.charge.gathering_line
    if line is None:
        return
    if line.period.is_empty or until >= line.period.to:
        drop(turn)
    else:
        gather(turn, Period(until, line.period.to))


def remaining(charge: Charge, *, without: object = None) -> Period:
    """What of the effective service period no run that counts has billed; `without` leaves one run out by its id."""
    period = charge.intent.effective.service_period
    ends = [entry.service_period_to for entry in charge.period_runs if entry.run_id != without]
    begins = max([period.from_, *ends])
    return Period(begins, period.to) if begins < period.to else Period(period.to, period.to)


def provisional_amount(charge: Charge) -> Decimal | None:
    """What a line of the charge would show now, in fiat; zero while its cost basis is open, None for usage."""
    layer = charge.intent.effective
    match layer:
        case UsageLayer():
            return None
        case FlatFeeLayer(amount_after_proration=amount):
            return _in_fiat(charge, amount)
        case PurchaseLayer(credit_amount=amount):
            return _in_fiat(charge, amount)


def _in_fiat(charge: Charge, amount: Decimal) -> Decimal:
    if charge.cost_basis is None:
        return amount
    resolved = charge.resolved_cost_basis
    return fiat_amount(amount, resolved) if resolved is not None else ZERO


def has_lapsed(charge: Charge, now: datetime) -> bool:
    """Whether what a purchase was to grant has expired before it was granted, so that it is never invoiced."""
    layer = charge.intent.effective
    if not isinstance(layer, PurchaseLayer) or charge.grant is not None:
        return False
    return layer.expires_at is not None and now >= layer.expires_at
