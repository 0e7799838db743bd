"""What may leave the state (ledger §11, decision 40).

A slice is done with when its charge is final and its value recognised, or when it is older than the horizon. What
still waits stays, whatever its age: uncovered advance is a debt, unrecognised value is revenue to come; what was
written off may be recovered until the horizon. With the
slices go the lots, purchases and accruals that nothing can happen to any more, so that the state of a pool is as large
as what is going on in it, however old the customer is.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from aggregates.credits.events import (
    AccrualBroughtBack,
    KeptRecognition,
    PurchaseBroughtBack,
    PurchaseSettlement,
    SlicesSealed,
)
from aggregates.credits.pool import Accrual, CreditPool, Purchase, Realized
from aggregates.credits.purchases import price
from aggregates.credits.requests import Seal
from aggregates.values.decimals import ZERO, exact
from aggregates.values.period import Instant


@exact
def seal(pool: CreditPool, request: Seal) -> SlicesSealed | None:
    """Seal what is done with; None when nothing is, and no charge became final that still waits for something."""
    final = pool.final.union(request.final_charges)
    sealed: list[int] = []
    waiting: list[UUID] = []
    for charge, realized in pool.charges.items():
        waits = realized.unrecognized | realized.uncovered
        if charge in final and waits and charge not in pool.final:
            waiting.append(charge)
        sealed += _done(realized, request, final=charge in final)
    horizon = request.booked_before
    lots = () if horizon is None else tuple(_dead_lots(pool, set(sealed), horizon))
    accruals = () if horizon is None else tuple(_closed(pool, request, horizon))
    if not (sealed or waiting or lots or accruals):
        return None
    return SlicesSealed(
        currency=pool.currency,
        slices=tuple(sorted(sealed)),
        final=tuple(sorted(waiting)),
        lots=lots,
        purchases=tuple(_finished(pool, set(lots))),
        accruals=accruals,
    )


def _done(realized: Realized, request: Seal, *, final: bool) -> Iterator[int]:
    horizon = request.booked_before
    for sequence, item in realized.slices.items():
        old = horizon is not None and item.booked_at < horizon
        recognized = sequence not in realized.unrecognized or (old and not request.recognizes)
        waits = sequence in realized.uncovered or not recognized or (item.written_off and not old)
        if (final or old or not item.remaining) and not waits:
            yield sequence


def _dead_lots(pool: CreditPool, sealed: set[int], horizon: Instant) -> Iterator[int]:
    """Lots that expired before the horizon and that no slice left in hand came from."""
    expired = [lot for lot in pool.lots.values() if lot.expires_at is not None and lot.expires_at < horizon]
    if not expired:
        return
    used = {
        lot
        for realized in pool.charges.values()
        for item in realized.slices.values()
        if item.sequence not in sealed
        for lot in (item.lot, *(cover.lot for cover in item.covers))
    }
    yield from (lot.sequence for lot in expired if lot.sequence not in used)


def _finished(pool: CreditPool, dead: set[int]) -> Iterator[UUID]:
    """Purchases without a lot left that cost nothing, or whose price is paid or given up, no more and no less.

    Money that comes or goes back later brings them back (`bring_back`).
    """
    for name, purchase in pool.purchases.items():
        has_lot = any(sequence in pool.lots and sequence not in dead for sequence in purchase.lots)
        if not has_lot and _is_settled(pool, purchase):
            yield name


def _is_settled(pool: CreditPool, purchase: Purchase) -> bool:
    if not purchase.granted:
        return not purchase.is_whole  # lots that came back by correction, of a purchase that had left before
    if purchase.settlement is PurchaseSettlement.PROMOTIONAL:
        return True
    is_priced = purchase.credit_authorized > 0 or not purchase.given
    is_pending = purchase.fiat_promised or purchase.unpriced
    return is_priced and not is_pending and purchase.fiat_kept + purchase.written_off == price(pool, purchase)


@exact
def bring_back(pool: CreditPool, purchase: UUID, history: CreditPool) -> PurchaseBroughtBack | None:
    """The totals of a purchase that has left the state, out of the pool with nothing sealed (`state.unsealed`).

    None when it is in hand, or there never was one.
    """
    here, known = pool.purchases.get(purchase), history.purchases.get(purchase)
    if known is None or (here is not None and here.is_whole):
        return None
    totals = {name: getattr(known, name) for name in Purchase.__struct_fields__}
    gone = (history.lots[sequence].balance for sequence in known.lots if sequence not in pool.lots)
    totals["expired"] = sum(gone, ZERO)
    return PurchaseBroughtBack(currency=pool.currency, purchase=purchase, **totals)


def bring_accrual_back(pool: CreditPool, run: UUID, history: CreditPool) -> Iterator[AccrualBroughtBack]:
    """What a run was invoiced and has left the state, out of the pool with nothing sealed (`state.unsealed`).

    A credit note over it, or a payment of what was written off, needs it again; it leaves as it left before.
    """
    for sequence, accrual in history.accruals.items():
        if accrual.run != run or sequence in pool.accruals:
            continue
        known = {name: getattr(accrual, name) for name in Accrual.__struct_fields__ if name in _OF_ACCRUAL}
        recognitions = tuple(
            KeptRecognition(amount=each.amount, at=each.at, entry=each.entry, accounted_at=each.accounted_at)
            for each in accrual.recognitions
        )
        yield AccrualBroughtBack(currency=pool.currency, accrual=sequence, recognitions=recognitions, **known)


_OF_ACCRUAL = frozenset(AccrualBroughtBack.__struct_fields__) - {"recognitions"}
"""What an accrual and the event that brings it back have in common, word for word."""


def _closed(pool: CreditPool, request: Seal, horizon: Instant) -> Iterator[int]:
    """Accruals that are old, of which nothing is owed or promised, and all of which is revenue of long ago."""
    for sequence, accrual in pool.accruals.items():
        owed = accrual.amount - accrual.credited - accrual.written_off - accrual.settled
        recognized = not accrual.unrecognized or not request.recognizes_invoiced
        dates = (accrual.booked_at, *(recognition.at for recognition in accrual.recognitions))
        # What was paid too much is kept as long as it is unapplied.
        settled = owed == 0 or (owed < 0 and accrual.invoice not in pool.unapplied)
        if max(dates) < horizon and settled and recognized:
            yield sequence
