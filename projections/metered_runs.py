"""`metered_runs`: which runs of usage there are for a time of event, to find the charge of usage that was stored late.

One slim row per run, by customer and end of its period: whoever looks for the runs of a moment reads those that end
behind it, and not all there ever were. Runs that count no longer stay: what one had billed may be billed again by a
late adjustment over the end of the period, and usage of its time belongs to that charge as before.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from aggregates.runs.events import RealizationRunStarted
from projections.projection import Entry, Key, Keyed


class MeteredRunRow(NamedTuple):
    """A run of metered usage, whatever became of it. Times are UTC, the end is exclusive."""

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
    assert isinstance(body, RealizationRunStarted), f"{type(body).__name__} is not listened to"
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
    version=2,
    row=MeteredRunRow,
    key=("run",),
    indexes=(("namespace", "customer", "service_period_to"),),
    listens=frozenset({RealizationRunStarted.NAME}),
    keys=_keys,
    apply=_apply,
)
