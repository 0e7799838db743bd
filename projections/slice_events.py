"""`slice_events`: which events of a pool concern which charge or accrual, and which opened which lot (decision 40).

A correction of slices that were sealed long ago, or a credit note over what was invoiced then, makes them anew from the
events that concern its charge. This view says which those are, so that it reads a handful of events whatever the age of
the pool. Every event of a pool has a row, one that concerns nothing has one without: so the newest row tells up to
which version the view speaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from aggregates.credits import events as e
from aggregates.credits.events import EVENTS
from aggregates.event import DomainEvent
from projections.projection import Appended, Entry


class SliceEvent(NamedTuple):
    """The event `version` of a pool changed slices or accruals of `charge`, opened `lot`, or spent on `accrual`.

    `ordinal` counts rows of one event.
    """

    position: int
    ordinal: int
    pool: UUID
    version: int
    charge: UUID | None
    lot: int | None
    accrual: int | None


def _rows(entry: Entry) -> Iterator[SliceEvent]:
    position, _, record = entry
    subjects: list[tuple[UUID | None, int | None, int | None]] = [
        *((charge, None, None) for charge in _charges(record.body)),
        *((None, lot, None) for lot in _lots(record.body)),
        *((None, None, accrual) for accrual in _accruals(record.body)),
    ]
    for ordinal, subject in enumerate(subjects or [(None, None, None)]):
        yield SliceEvent(position, ordinal, record.stream, record.version, *subject)


def _charges(body: DomainEvent) -> list[UUID]:
    """The charges whose slices or accruals the event changes, each once, where it says which."""
    match body:
        case e.CreditCollected() | e.CreditReturned():
            named = [body.charge]
        case e.CreditGranted():
            named = [part.charge for part in body.backfill]
        case e.InvoiceUsageAccrued() | e.InvoicePaymentAuthorized() | e.InvoicePaymentSettled():
            named = [body.charge]
        case e.InvoiceUsageCredited() | e.ReceivableWrittenOff():
            named = [body.charge]
        case e.EarningsRecognized() | e.RecognitionReversed():
            named = [part.charge for part in body.parts]
        case e.AdvanceWrittenOff() | e.AdvanceCovered():
            named = [part.charge for part in body.parts]
        case _:
            named = []
    return [charge for charge in dict.fromkeys(named) if charge is not None]


def _lots(body: DomainEvent) -> list[int]:
    """The lots that the event opens."""
    match body:
        case e.CreditGranted():
            return [body.lot]
        case e.CreditReturned():
            return [restored.sequence for restored in body.restored_lots]
        case _:
            return []


def _accruals(body: DomainEvent) -> list[int]:
    """The accruals that the event changes, each once, where it does not name their charges."""
    if not isinstance(body, e.UnappliedCreditSpent):
        return []
    return [accrual for accrual in dict.fromkeys(part.accrual for part in body.parts) if accrual is not None]


SLICE_EVENTS = Appended(
    name="slice_events",
    version=2,
    row=SliceEvent,
    key=("position", "ordinal"),
    unique=(("pool", "version", "ordinal"),),
    indexes=(("pool", "charge"), ("pool", "lot"), ("pool", "accrual")),
    listens=frozenset(event.NAME for event in EVENTS),
    rows=_rows,
)
