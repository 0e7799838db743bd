"""How a slice changes: parts of it are given back, recognised, and accrued again. Each function returns a new slice."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

import msgspec

from aggregates.credits.events import RecognizedPart, ReturnedPart, SegmentState
from aggregates.credits.pool import Cover, Recognition, Slice
from aggregates.journal.postings import EntryRef
from aggregates.values.decimals import ZERO

H = TypeVar("H", Slice, Cover)

_replace = msgspec.structs.replace


def without(item: Slice, part: ReturnedPart) -> Slice:
    """The slice after a part of it was given back: from its newest recognition, or from what is not recognised."""
    amount = part.amount
    if part.state is SegmentState.ADVANCE_WRITTEN_OFF:
        return _replace(item, remaining=item.remaining - amount, written_off=item.written_off - amount)
    if part.recognized:
        item = without_recognition(item, part)
    covers = item.covers
    if part.backfill is not None:
        covers = tuple(
            _replace(cover, amount=cover.amount - amount) if _is_meant(cover, part) else cover for cover in covers
        )
        covers = tuple(cover for cover in covers if cover.amount)
    return _replace(item, remaining=item.remaining - amount, covers=covers)


def with_recognition(item: Slice, part: RecognizedPart, recognition: Recognition) -> Slice:
    """The slice with one more part of it (or of its cover) recognised."""
    if part.backfill is None:
        return _replace(item, recognitions=(*item.recognitions, recognition))
    return _replace(
        item,
        covers=tuple(
            _replace(cover, recognitions=(*cover.recognitions, recognition)) if _is_meant(cover, part) else cover
            for cover in item.covers
        ),
    )


def without_recognition(item: Slice, part: RecognizedPart | ReturnedPart) -> Slice:
    """The slice with that much of its newest recognition undone."""
    if part.backfill is None:
        return _replace(item, recognitions=shorter(item.recognitions, part.amount))
    return _replace(
        item,
        covers=tuple(
            _replace(cover, recognitions=shorter(cover.recognitions, part.amount)) if _is_meant(cover, part) else cover
            for cover in item.covers
        ),
    )


def accrued_again(item: Slice, part: RecognizedPart) -> Slice:
    """The slice whose value lies in accrued from the time its recognition was reversed."""
    if part.backfill is None:
        return _accrued_again(item, part)
    return _replace(
        item,
        covers=tuple(_accrued_again(cover, part) if _is_meant(cover, part) else cover for cover in item.covers),
    )


def _accrued_again(held: H, part: RecognizedPart) -> H:
    return _replace(
        held,
        accrued_from=max(held.accrued_from, part.booked_at),
        accounted_at=max(held.accounted_at, part.accounting_date or part.booked_at),
    )


def attribution_of(item: Slice, cover: Cover) -> EntryRef | None:
    """What tells a cover from others of the same lot on the same slice; None where its lot alone does."""
    return cover.entry if sum(each.lot == cover.lot for each in item.covers) > 1 else None


def _is_meant(cover: Cover, part: RecognizedPart | ReturnedPart) -> bool:
    return cover.lot == part.backfill and part.attribution in (None, cover.entry)


def shorter(recognitions: tuple[Recognition, ...], amount: Decimal) -> tuple[Recognition, ...]:
    """Without that much of the newest recognitions."""
    left = list(recognitions)
    while amount and left:
        newest = left.pop()
        taken = min(newest.amount, amount)
        amount -= taken
        if newest.amount > taken:
            left.append(_replace(newest, amount=newest.amount - taken))
    return tuple(left)


def total_of(recognitions: tuple[Recognition, ...]) -> Decimal:
    """How much is recognised in all."""
    return sum((recognition.amount for recognition in recognitions), ZERO)
