"""Why a run came to its amount: what was metered, by which price, and the steps that made each of its lines.

Everything is read from the events: the quantity and its parts from the run's rating, the price from the intent as it
was at that version (run rating R15). No meter is asked, and what is told of a run is the same for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import cast
from uuid import UUID

import msgspec

from aggregates.charges import state as charge_state
from aggregates.charges.events import ChargeEvent
from aggregates.charges.intent import Layer, UsageLayer
from aggregates.charges.state import Charge
from aggregates.event import Recorded
from aggregates.rating import (
    AnyPrice,
    DetailedLine,
    FlatPrice,
    LineToRate,
    Step,
    UnitConfig,
    UsageEvent,
    explain,
    explain_usage,
    rate,
)
from aggregates.runs import state as run_state
from aggregates.runs.events import QuantityClamped, RealizationRunStarted, RunRated, RunSetOff, RunType
from aggregates.values.decimals import ZERO
from aggregates.values.errors import RunNotFound
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period
from aggregates.values.totals import Totals
from ledger.store import mapper
from ledger.store.store import LogRecord, Store


class ExplainedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a run, and the steps from its quantity to its total."""

    line: DetailedLine
    steps: tuple[Step, ...]


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run came to its amount, as it was rated last. Amounts are in `currency`, times are UTC.

    `quantity` is cumulative from the start of the charge; `parts` make it up where the price looks at usage events.
    `true_quantity` is what the meter said where something was below zero. `usage` are the steps from the metered to the
    billed quantity. A flat fee has an `amount` for the period instead. `intent_version` is the one whose price counts;
    `prior_runs` have booked the lines that these go on from. `set_off` says how a run below zero was settled, and
    `correction_credit` what of that became credit of the customer, in fiat.
    """

    run: UUID
    run_type: RunType
    charge: UUID
    customer: str
    currency: Currency
    period: Period
    price: AnyPrice
    unit_config: UnitConfig | None
    intent_version: int
    stored_at_lt: Instant | None
    meter_position: int
    quantity: Decimal | None
    parts: tuple[UsageEvent, ...]
    true_quantity: Decimal | None
    amount: Decimal | None
    usage: tuple[Step, ...]
    prior_runs: tuple[UUID, ...]
    lines: tuple[ExplainedLine, ...]
    totals: Totals
    set_off: RunSetOff | None
    correction_credit: Decimal


def explained(store: Store, namespace: str, run: UUID) -> Explained:
    """Why that run came to its amount. Raises `RunNotFound`: there is none of that id, or it was never rated."""
    records = [mapper.read(row) for row in store.read_stream(run)]
    started = records[0].body if records and records[0].namespace == namespace else None
    ratings = [record.body for record in records if isinstance(record.body, RunRated)]
    state = run_state.fold(None, records) if isinstance(started, RealizationRunStarted) else None
    if state is None or not ratings:
        raise RunNotFound(run)
    rating = ratings[-1]
    layer = layer_at(store.read_stream(state.charge_id), rating.intent_version)
    usage = layer if isinstance(layer, UsageLayer) else None
    end = state.service_period_to
    return Explained(
        run=run,
        run_type=state.type,
        charge=state.charge_id,
        customer=state.customer,
        currency=state.currency,
        period=Period(state.service_period_from, state.service_period_to),
        price=cast("AnyPrice", usage.price) if usage else FlatPrice(amount=rating.amount_after_proration or ZERO),
        unit_config=usage.unit_config if usage else None,
        intent_version=rating.intent_version,
        stored_at_lt=rating.stored_at_lt,
        meter_position=rating.meter_position,
        quantity=rating.metered_quantity if usage else None,
        parts=_parts(rating, end),
        true_quantity=_true_quantity([record.body for record in records]),
        amount=rating.amount_after_proration,
        usage=_usage(usage, rating, state.currency, end) if usage else (),
        prior_runs=rating.prior_runs,
        lines=tuple(ExplainedLine(line=line, steps=explain(line, state.currency)) for line in rating.detailed_lines),
        totals=rating.totals,
        set_off=next((record.body for record in records if isinstance(record.body, RunSetOff)), None),
        correction_credit=state.correction_credit,
    )


def layer_at(rows: Sequence[LogRecord], intent_version: int) -> Layer:
    """The effective terms of a charge when its intent was at that version."""
    state: Charge | None = None
    found: Layer | None = None
    for row in rows:
        state = charge_state.evolve(state, cast("Recorded[ChargeEvent]", mapper.read(row)))
        if state.intent_version == intent_version:
            found = state.intent.effective
    assert found is not None, f"a run was rated at version {intent_version} of an intent, which never was"
    return found


def _usage(layer: UsageLayer, rating: RunRated, currency: Currency, end: Instant) -> tuple[Step, ...]:
    """From the metered to the billed quantity."""
    asked = LineToRate(
        currency=currency,
        price=layer.price,
        quantity=rating.metered_quantity,
        events=_parts(rating, end),
        discounts=layer.discounts,
        unit_config=layer.unit_config,
        ignore_minimum_commitment=True,
    )
    return explain_usage(asked, rate(asked))


def _parts(rating: RunRated, end: Instant) -> tuple[UsageEvent, ...]:
    return next((snapshot.events for snapshot in rating.snapshots if snapshot.to == end), ())


def _true_quantity(bodies: Sequence[object]) -> Decimal | None:
    """What the meter said last, where that was clamped for the last rating."""
    last = [body for body in bodies if isinstance(body, QuantityClamped | RunRated)][-2:]
    clamped = last[0]
    return clamped.metered_quantity if isinstance(clamped, QuantityClamped) else None
