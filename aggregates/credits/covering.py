"""Free credit takes over open advance after it was granted: when asked to, or when a correction releases it.

A purchase covers open advance as it is granted (ledger §6.4); credit that a correction gives back later lies beside
advance that other charges left open. What a purchase would cover is what its credit covers here: advance that shares a
feature with it, booked before it expires, oldest first. Each part is taken out of the balance, attributed and
translated at one time, so that the balance stays as it is.

    10 of advance are open, 4 come back: fbo 4 - 4 = 0, 6 of advance stay open, the balance is -6 before and after
"""

from __future__ import annotations

from aggregates.credits.advance import plan_backfill, post_backfill
from aggregates.credits.collection import collection_order
from aggregates.credits.events import AdvanceCovered
from aggregates.credits.pool import CreditPool
from aggregates.credits.posting import Postings, opened, when
from aggregates.credits.requests import CoverAdvance
from aggregates.values.decimals import ZERO, exact


@exact
def cover_advance(pool: CreditPool, request: CoverAdvance) -> AdvanceCovered | None:
    """Let the next lot, in collection order, take over open advance; None when none can. Asked again, the one after it.

    A lot pays what it may spend now and at every later time (D1), and no more than is named for it in `lots`; credit of
    unknown cost basis pays nothing.
    """
    request = opened(request)
    if not pool.uncovered:
        return None
    limits = request.lots
    live = [lot for lot in pool.lots.values() if lot.balance > 0 and lot.is_live(request.booked_at)]
    for lot in sorted(live, key=collection_order):
        free = lot.spendable(request.booked_at)
        allowed = free if limits is None else min(free, limits.get(lot.sequence, ZERO))
        parts = plan_backfill(pool, lot, allowed)
        if not parts:
            continue
        postings = Postings()
        at = when(request.booked_at, request)
        return AdvanceCovered(
            currency=pool.currency,
            lot=lot.sequence,
            amount=sum((part.amount for part in parts), ZERO),
            booked_at=request.booked_at,
            parts=tuple(post_backfill(postings, lot, parts, request.booked_at, at, reallocated=True)),
            transactions=postings.all(),
        )
    return None
