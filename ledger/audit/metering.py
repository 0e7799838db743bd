"""Checks of what runs were rated from: usage is as it was stored, and the meter and the lines still say the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from aggregates.charges import state as charge_state
from aggregates.charges.intent import Layer, UsageLayer
from aggregates.charges.state import Charge
from aggregates.event import AnyRecorded
from aggregates.rating.lines import DetailedLine
from aggregates.rating.requests import ENGINE_VERSION
from aggregates.rating.run import rate_run
from aggregates.runs import decisions as runs
from aggregates.runs import state as run_state
from aggregates.runs.events import QuantityClamped, RunRated
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import exact
from aggregates.values.errors import LedgerError, NotFound
from aggregates.values.period import Period
from ledger.audit.check import ChargeStreams, Check, Evidence, place_of
from ledger.lookups import Lookups
from ledger.metering.store import Kept
from ledger.metering.usage import position_of
from ledger.ports import MeterQuery

LATE = "late_adjustment"
"""The type of a run that adjusts what was final."""


class Rating(NamedTuple):
    """One rating of a run: its event, the run as it was then, and what the meter had said."""

    record: AnyRecorded
    body: RunRated
    run: RealizationRun
    answered: Decimal

    @property
    def place(self) -> str:
        """Where it is."""
        return place_of(self.record)


class Rated(Check):
    """Rating a run again, from what was recorded of it, comes to the same lines (run rating R15)."""

    name = "rated"

    def charge(self, streams: ChargeStreams) -> None:
        """Rate every run of usage again, as often as it was rated."""
        for rating in ratings(streams):
            layer = layer_of(streams.records, rating.body.intent_version)
            if not isinstance(layer, UsageLayer) or rating.body.rating_engine_version != ENGINE_VERSION:
                continue  # of a fee, or of an engine whose arithmetic this release does not have
            self.looked_at()
            try:
                again = _rated_again(rating, layer, streams)
            except LedgerError as refusal:
                self.find(rating.place, "run cannot be rated again", expected="its lines", found=refusal.code)
                continue
            for expected, found in _differences(again, rating.body.detailed_lines):
                self.find(rating.place, "rating it again gives another line", expected=expected, found=found)
                break


class Metered(Check):
    """The usage store still answers the quantity that a run was rated with, once its cut was closed (decision 16)."""

    name = "metered"

    def charge(self, streams: ChargeStreams) -> None:
        """Ask again for the bounds of each run, as it was rated last."""
        meter = self.evidence.meter
        if meter is None:
            return
        last = {rating.run.id: rating for rating in ratings(streams)}
        for rating in last.values():
            query = self._query(rating, streams)
            if query is None:
                continue
            self.looked_at()
            found = meter.quantity(query).quantity
            if found != rating.answered:
                self.find(
                    rating.place,
                    f"meter {query.meter.key!r} answers another quantity than the run was rated with",
                    expected=rating.answered,
                    found=found,
                )

    def _query(self, rating: Rating, streams: ChargeStreams) -> MeterQuery | None:
        """What was asked; None where more may still have been stored before the cut, so that the answer may grow."""
        run, body = rating.run, rating.body
        cut = body.stored_at_lt
        layer = layer_of(streams.records, body.intent_version)
        if cut is None or run.meter_id is None or rating.record.recorded_at < cut or not isinstance(layer, UsageLayer):
            return None
        look = Lookups(rating.record.namespace, lambda stream: self.evidence.repository.load(stream).state)
        try:
            meter = look.meter_by_id(run.meter_id)
        except NotFound as missing:
            self.find(rating.place, "meter of a run is gone", expected=run.meter_id, found=missing.code)
            return None
        return MeterQuery(
            namespace=rating.record.namespace,
            customer=run.customer,
            meter=meter,
            from_=layer.service_period.from_,
            to=run.service_period_to,
            stored_at_lt=cut,
        )


class StoredUsage(Check):
    """Every stored usage event says what it said when it was stored, and its chunk has one time (decision 16)."""

    name = "usage"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._chunk = 0
        self._stored_at: datetime | None = None

    def usage(self, rows: Sequence[Kept]) -> None:
        """Compare each event with its fingerprint, and when it was stored with the rest of its chunk."""
        for row in rows:
            self.looked_at()
            at = f"usage at place {row.place}, namespace {row.namespace}"
            found = row.event.fingerprint() if row.event is not None else None
            if found != row.fingerprint:
                shown = found.hex() if found is not None else "what no usage event holds"
                self.find(at, "usage is not what was stored", expected=row.fingerprint.hex(), found=shown)
            chunk = position_of(row.place)
            if chunk != self._chunk:
                self._chunk, self._stored_at = chunk, row.stored_at
            elif row.stored_at != self._stored_at:
                message = "usage was not stored when the rest of its chunk was"
                self.find(at, message, expected=self._stored_at, found=row.stored_at)


def ratings(streams: ChargeStreams) -> Iterator[Rating]:
    """Every rating of usage of a charge, run by run, in order."""
    for records in streams.runs.values():
        state: RealizationRun | None = None
        clamped: QuantityClamped | None = None
        for record in records:
            state = run_state.evolve(state, record)
            body = record.body
            if isinstance(body, RunRated) and body.rating_engine is not None:
                answered = clamped.metered_quantity if clamped is not None else body.metered_quantity
                yield Rating(record, body, state, answered)
            clamped = body if isinstance(body, QuantityClamped) else None


def layer_of(records: Sequence[AnyRecorded], intent_version: int) -> Layer | None:
    """The effective terms of a charge when its intent was at that version; None where it never was."""
    state: Charge | None = None
    found: Layer | None = None
    for record in records:
        state = charge_state.evolve(state, record)
        if state.intent_version == intent_version:
            found = state.intent.effective
    return found


@exact
def _rated_again(rating: Rating, layer: UsageLayer, streams: ChargeStreams) -> tuple[DetailedLine, ...]:
    """The lines that the recorded quantities, runs and terms come to."""
    body, run = rating.body, rating.run
    assert body.rating_engine is not None, f"{rating.place} was not rated by an engine"
    terms = runs.RatingTerms(
        name=layer.name,
        service_period=layer.service_period,
        price=layer.price,
        discounts=layer.discounts,
        unit_config=layer.unit_config,
        intent_version=body.intent_version,
        engine=body.rating_engine,
        arithmetic=body.rating_arithmetic,
    )
    asked = runs.to_rate(
        terms,
        run.currency,
        period=Period(run.service_period_from, run.service_period_to),
        quantity=body.metered_quantity,
        events=next((known.events for known in body.snapshots if known.to == run.service_period_to), ()),
        others=[_as_then(other, rating, streams) for other in body.prior_runs],
        stored_at_lt=body.stored_at_lt,
        run_id=run.id,
        late=run.type.value == LATE,
    )
    asked = msgspec.structs.replace(asked, snapshots=body.snapshots)
    return tuple(rate_run(asked).lines)


def _as_then(run_id: UUID, rating: Rating, streams: ChargeStreams) -> RealizationRun:
    """Another run of the charge as it was when this one was rated: it counted, and had its lines."""
    records = streams.runs.get(run_id, [])
    state = run_state.fold(None, [record for record in records if record.recorded_at <= rating.record.recorded_at])
    assert state is not None, f"{rating.place} goes on from run {run_id}, which was not there"
    return msgspec.structs.replace(state, deleted_at=None, type=state.initial_type)


def _differences(again: Sequence[DetailedLine], recorded: Sequence[DetailedLine]) -> Iterator[tuple[object, object]]:
    """Lines that differ, ids aside: those are given when a line is booked."""
    for place in range(max(len(again), len(recorded))):
        expected = again[place] if place < len(again) else None
        found = msgspec.structs.replace(recorded[place], id=None) if place < len(recorded) else None
        if expected is not None and msgspec.structs.replace(expected, id=None) != found:
            yield expected, found
        elif expected is None:
            yield None, found
