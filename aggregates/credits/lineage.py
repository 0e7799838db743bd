"""Where collected value came from and what became of it, derived from the slices themselves (ledger §7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aggregates.credits.events import SegmentState
from aggregates.credits.pool import CreditPool, Recognition, Slice
from aggregates.values.decimals import ZERO, exact


class Segment(NamedTuple):
    """A part of a slice in one state. `lot` backs it, `from_state` is what a recognised part was before."""

    slice: int
    charge: UUID | None
    state: SegmentState
    amount: Decimal
    lot: int | None = None
    from_state: SegmentState | None = None


@exact
def lineage(pool: CreditPool) -> list[Segment]:
    """The active segments of all unsealed slices; those of one slice add up to what remains of it."""
    return [
        segment
        for charge in pool.charges
        for item in pool.slices_of(charge)
        for segment in segments(item)
        if segment.amount
    ]


def segments(item: Slice) -> Iterator[Segment]:
    """The segments of one slice, empty ones included."""
    if item.lot is not None:
        yield from _backed(item, SegmentState.REAL_CREDIT, item.lot, item.remaining, item.recognitions)
        return
    yield Segment(item.sequence, item.charge, SegmentState.ADVANCE_UNCOVERED, item.uncovered)
    yield Segment(item.sequence, item.charge, SegmentState.ADVANCE_WRITTEN_OFF, item.written_off)
    for cover in item.covers:
        yield from _backed(item, SegmentState.ADVANCE_BACKFILLED, cover.lot, cover.amount, cover.recognitions)


def _backed(
    item: Slice, state: SegmentState, lot: int, amount: Decimal, recognitions: Iterable[Recognition]
) -> Iterator[Segment]:
    recognized = sum((recognition.amount for recognition in recognitions), ZERO)
    yield Segment(item.sequence, item.charge, state, amount - recognized, lot)
    yield Segment(item.sequence, item.charge, SegmentState.EARNINGS_RECOGNIZED, recognized, lot, state)
