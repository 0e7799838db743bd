"""Which slices may leave the state (ledger §11, decision 40)."""

from __future__ import annotations

from aggregates.credits.events import SlicesSealed
from aggregates.credits.pool import CreditPool
from aggregates.credits.requests import Seal


def seal(pool: CreditPool, request: Seal) -> SlicesSealed | None:
    """Seal the slices of final charges and those booked before the horizon; None when there are none.

    A slice that still waits for recognition or for a purchase to cover it stays: it is not only history yet.
    """
    final = set(request.final_charges)
    sealed: list[int] = []
    for charge, realized in pool.charges.items():
        for sequence, item in realized.slices.items():
            waits = sequence in realized.unrecognized or sequence in realized.uncovered
            done = charge in final or not item.remaining
            old = request.booked_before is not None and item.booked_at < request.booked_before
            if (done or old) and not waits:
                sealed.append(sequence)
    return SlicesSealed(currency=pool.currency, slices=tuple(sorted(sealed))) if sealed else None
