"""`stuck_charges`: one row per charge whose last advance was refused, and why; gone as soon as the charge moves.

A refusal is recorded when its status, trigger or code is another than last time (decision 25), whoever advanced the
charge: a command, the worker, or the advance that follows a creation (lifecycles §14.1, §22 row 15).
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from aggregates.charges.events import EVENTS, ChargeAdvanceFailed
from projections.projection import Entry, Key, Keyed


class StuckChargeRow(NamedTuple):
    """A charge that refused. `trigger` and `code` say what it refused and why, `since` when it first did so.

    `attempts` counts the refusals that were recorded since the charge last moved: repeated ones count once. `position`
    is that of the last of them; times are UTC.
    """

    charge: UUID
    namespace: str
    customer: str
    status: str
    trigger: str
    code: str
    message: str
    since: datetime
    attempts: int
    position: int


def _keys(entry: Entry) -> tuple[Key]:
    return ((entry.record.stream,),)


def _apply(row: StuckChargeRow | None, entry: Entry, key: Key) -> StuckChargeRow | None:
    record, body = entry.record, entry.record.body
    if not isinstance(body, ChargeAdvanceFailed):
        return row if body.moved is None else None
    reason = (body.status.value, body.trigger.value, body.code)
    is_known = row is not None and (row.status, row.trigger, row.code) == reason
    return StuckChargeRow(
        charge=record.stream,
        namespace=record.namespace,
        customer=record.customer or "",
        status=body.status.value,
        trigger=body.trigger.value,
        code=body.code,
        message=body.message,
        since=row.since if row is not None and is_known else record.at,
        attempts=body.attempt,
        position=entry.position,
    )


MOVES = frozenset(event.NAME for event in EVENTS if "moved" in event.__struct_fields__)
"""Stored names of the events that can move a charge from one status to another."""

STUCK_CHARGES = Keyed(
    name="stuck_charges",
    version=1,
    row=StuckChargeRow,
    key=("charge",),
    indexes=(("namespace", "position"), ("namespace", "customer", "position")),
    listens=MOVES | {ChargeAdvanceFailed.NAME},
    keys=_keys,
    apply=_apply,
)
