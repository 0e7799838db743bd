"""`late_usage`: charges with usage that was stored after their runs had been collected, and is not billed.

A row is there from the moment it is found until a late adjustment settles it, or it turns out to change nothing. What
voided runs had billed and is billed again is none, unless it has to be left.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aggregates.charges.events import ChargeDeleted, ChargeReopened, RealizationRunOpened
from aggregates.charges.late_events import LateOutcome, LateUsageEvaluated, LateUsageFound
from aggregates.runs.events import RunType
from projections.projection import Entry, Key, Keyed, changed

FOUND = "found"
"""What the outcome of late usage is that nobody has looked at."""


class LateUsageRow(NamedTuple):
    """Late usage of a charge. Times are UTC.

    `outcome` is what came of it when it was last looked at: `found` when it was not, `asked`, `left`, `absorbed`,
    `dismissed` or `to_invoice`. `stored_at` is when the latest of it was stored that was found last. `quantity` is that
    of the whole period with all that was stored before `stored_at_lt`; `amount` is what it adds to what is booked.
    """

    charge: UUID
    namespace: str
    customer: str
    outcome: str
    since: datetime
    stored_at: datetime | None
    stored_at_lt: datetime | None
    quantity: Decimal | None
    amount: Decimal | None
    position: int


def _keys(entry: Entry) -> tuple[Key]:
    return ((entry.record.stream,),)


def _apply(row: LateUsageRow | None, entry: Entry, key: Key) -> LateUsageRow | None:
    body = entry.record.body
    match body:
        case LateUsageFound():
            before = row or _new(entry)
            return changed(before, {"stored_at": body.stored_at, "position": entry.position})
        case LateUsageEvaluated(rebilling=True, outcome=LateOutcome.NOTHING | LateOutcome.TO_INVOICE):
            return row
        case RealizationRunOpened(rebilling=True):
            return row
        case LateUsageEvaluated(outcome=LateOutcome.NOTHING):
            return None
        case LateUsageEvaluated():
            looked_at = {
                "outcome": body.outcome.value,
                "stored_at_lt": body.stored_at_lt,
                "quantity": body.quantity,
                "amount": body.amount,
                "position": entry.position,
            }
            return changed(row or _new(entry), looked_at)
        case RealizationRunOpened(type=RunType.LATE_ADJUSTMENT) | ChargeReopened() | ChargeDeleted():
            return None
        case _:
            return row


def _new(entry: Entry) -> LateUsageRow:
    record = entry.record
    return LateUsageRow(
        charge=record.stream,
        namespace=record.namespace,
        customer=record.customer or "",
        outcome=FOUND,
        since=record.at,
        stored_at=None,
        stored_at_lt=None,
        quantity=None,
        amount=None,
        position=entry.position,
    )


LATE_USAGE = Keyed(
    name="late_usage",
    version=1,
    row=LateUsageRow,
    key=("charge",),
    indexes=(("namespace", "position"), ("namespace", "customer", "position")),
    listens=frozenset(
        {
            LateUsageFound.NAME,
            LateUsageEvaluated.NAME,
            RealizationRunOpened.NAME,
            ChargeReopened.NAME,
            ChargeDeleted.NAME,
        }
    ),
    keys=_keys,
    apply=_apply,
)
