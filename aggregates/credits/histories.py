"""The history of one charge in a pool: what a correction of sealed slices has to know (decision 40).

Slices that were sealed have left the state, and perhaps the lots they came from. `history_of` makes them anew from
the few events that concern the charge: those that collected for it, covered its advance, recognised, gave back or gave
up what it had, and those that opened the lots it took from. Its slices are those of the pool with nothing sealed
(`state.unsealed`); of its lots only what they are counts, not what is left in them. So are its accruals: what it was
invoiced, and what was paid, credited, written off and recognised of that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

import msgspec

from aggregates.credits import events as e
from aggregates.credits.pool import CreditPool, Lot
from aggregates.credits.state import fold
from aggregates.event import Recorded
from aggregates.values.money import Currency

_replace = msgspec.structs.replace


def history_of(
    charge: UUID,
    records: Iterable[Recorded[e.CreditPoolEvent]],
    *,
    currency: Currency,
    lots: Mapping[int, Lot],
    version: int,
) -> CreditPool:
    """Everything the charge ever had of the pool, up to a version.

    `records`, oldest first, are those that concern the charge or its accruals and those that opened the lots it took
    from, as far as these are not among `lots`; others say nothing here and may be among them.
    """
    return continued(CreditPool(currency=currency, lots=dict(lots)), charge, records, version)


def continued(
    history: CreditPool, charge: UUID, records: Iterable[Recorded[e.CreditPoolEvent]], version: int
) -> CreditPool:
    """The same history with what has happened since."""
    told: list[Recorded[e.CreditPoolEvent]] = []
    accruals = set(history.accruals)
    for record in records:
        if isinstance(record.body, e.InvoiceUsageAccrued) and record.body.charge == charge:
            accruals.add(record.body.accrual)
        body = _about(charge, accruals, record.body)
        if body is not None:
            told.append(_replace(record, body=body))
    state = fold(history, told)
    assert state is not None, "it was there before"
    return _replace(state, version=version)


def lots_taken(charge: UUID, records: Iterable[Recorded[e.CreditPoolEvent]]) -> set[int]:
    """The lots that the charge took from, by their numbers."""
    found: set[int] = set()
    for record in records:
        match record.body:
            case e.CreditCollected() as body if body.charge == charge:
                found.update(taken.lot for taken in body.slices if taken.lot is not None)
            case e.AdvanceCovered() as body if any(part.charge == charge for part in body.parts):
                found.add(body.lot)
            case _:
                pass
    return found


def lots_opened(records: Iterable[Recorded[e.CreditPoolEvent]]) -> set[int]:
    """The lots that these events open."""
    found: set[int] = set()
    for record in records:
        if isinstance(record.body, e.CreditGranted):
            found.add(record.body.lot)
        elif isinstance(record.body, e.CreditReturned):
            found.update(restored.sequence for restored in record.body.restored_lots)
    return found


def accruals_of(charge: UUID, records: Iterable[Recorded[e.CreditPoolEvent]]) -> set[int]:
    """What the charge was invoiced, by the numbers of the accruals."""
    accrued = (record.body for record in records if isinstance(record.body, e.InvoiceUsageAccrued))
    return {body.accrual for body in accrued if body.charge == charge}


def _about(charge: UUID, accruals: Collection[int], body: e.CreditPoolEvent) -> e.CreditPoolEvent | None:
    """The event as far as it concerns the charge or its accruals, or opens a lot; None where it does nothing of it."""
    match body:
        case e.InvoiceUsageAccrued():
            return body if body.charge == charge else None
        case (
            e.InvoicePaymentAuthorized()
            | e.InvoicePaymentSettled()
            | e.InvoiceUsageCredited()
            | e.ReceivableWrittenOff()
            | e.UnappliedCreditSpent()
        ):
            applied = tuple(part for part in body.parts if part.accrual in accruals)
            return _replace(body, parts=applied) if applied else None
        case e.CreditGranted():
            return _replace(body, backfill=tuple(part for part in body.backfill if part.charge == charge))
        case e.CreditReturned():
            return body if body.charge == charge else _replace(body, parts=())
        case e.CreditCollected():
            return body if body.charge == charge else None
        case e.EarningsRecognized() | e.RecognitionReversed():
            mine = (part for part in body.parts if part.charge == charge)
            return _replace(
                body, parts=tuple(part for part in mine if part.slice is not None or part.accrual in accruals)
            )
        case e.AdvanceWrittenOff() | e.AdvanceCovered():
            parts = [part for part in body.parts if part.charge == charge]
            return _replace(body, parts=tuple(parts)) if parts else None
        case _:
            return None
