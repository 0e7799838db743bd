"""`metered_runs`: which runs of usage there are for a time of event, to find the charge of usage that was stored late.

One slim row per run that counts, by customer and end of its period: whoever looks for the runs of a moment reads those
that end behind it, and not all there ever were.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from aggregates.runs.events import RealizationRunStarted, RunInvalidated, RunVoided
from projections.projection import Entry, Key, Keyed


class MeteredRunRow(NamedTuple):
    """A run of metered usage that counts. Times are UTC, the end is exclusive."""

    run: UUID
    charge: UUID
    namespace: str
    customer: str
    meter_id: UUID
    service_period_from: datetime
    service_period_to: datetime


def _keys(entry: Entry) -> tuple[Key]:
    return ((entry.record.stream,),)


def _apply(row: MeteredRunRow | None, entry: Entry, key: Key) -> MeteredRunRow | None:
    record, body = entry.record, entry.record.body
    if not isinstance(body, RealizationRunStarted):
        return None
    if body.meter_id is None:
        return row
    return MeteredRunRow(
        run=record.stream,
        charge=body.charge_id,
        namespace=record.namespace,
        customer=record.customer or "",
        meter_id=body.meter_id,
        service_period_from=body.service_period_from,
        service_period_to=body.service_period_to,
    )


METERED_RUNS = Keyed(
    name="metered_runs",
    version=1,
    row=MeteredRunRow,
    key=("run",),
    indexes=(("namespace", "customer", "service_period_to"),),
    listens=frozenset({RealizationRunStarted.NAME, RunVoided.NAME, RunInvalidated.NAME}),
    keys=_keys,
    apply=_apply,
)
