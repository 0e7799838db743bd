"""What a charge stores about collected credit: one allocation per run of neighbouring slices of one route (D8)."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from uuid import UUID

import msgspec

from aggregates.credits.events import CreditCollected
from aggregates.credits.identity import allocation_id
from aggregates.values.decimals import ZERO, exact


class AllocationKind(StrEnum):
    """What an allocation consists of."""

    REAL_CREDIT = "real_credit"
    ADVANCE = "advance"


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """Credit allocated to a charge (ledger §6.3): `slices` by number in order, `position` in the batch."""

    id: UUID
    amount: Decimal
    kind: AllocationKind
    slices: tuple[int, ...]
    position: int


@exact
def allocations(event: CreditCollected) -> tuple[Allocation, ...]:
    """The allocations of a collection in order. Their sum is what was collected.

    Lots A and C on one route with B on another between them, collected A 5, B 2, C 3: three allocations 5, 2, 3, so
    that undoing them backwards restores C, B, A.
    """
    grouped = [list(group) for _, group in groupby(event.slices, key=lambda taken: taken.allocation)]
    return tuple(
        Allocation(
            id=allocation_id(event.currency, event.charge, group[0].allocation),
            amount=sum((taken.amount for taken in group), ZERO),
            kind=AllocationKind.ADVANCE if group[0].lot is None else AllocationKind.REAL_CREDIT,
            slices=tuple(taken.sequence for taken in group),
            position=position,
        )
        for position, group in enumerate(grouped)
    )
