"""The live balance: the settled one now, less what charges will take that have not booked yet (ledger §9)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aggregates.credits.collection import collection_order, is_allocable
from aggregates.credits.events import SettlementMode
from aggregates.credits.pool import CreditPool
from aggregates.values.decimals import exact
from aggregates.values.period import Instant


class Impact(NamedTuple):
    """What a charge will still take: its current total less the credit it has realised, never below zero."""

    charge: UUID
    amount: Decimal
    mode: SettlementMode
    feature: str | None = None


@exact
def live(pool: CreditPool, settled: Decimal, impacts: Iterable[Impact], now: Instant) -> Decimal:
    """The settled balance of a view, reduced by the impacts that the view shows, in charge order.

    credit_then_invoice is bounded: it takes what eligible credit there is, in collection order and each credit once,
    and never goes below zero. credit_only is unbounded: it subtracts in full and leaves the credit to others. 100
    credit, bounded 80 and unbounded 150: -130. 100 restricted to storage, bounded 30 for api: 100.
    """
    balance = settled
    sources = {lot.sequence: lot.spendable(now) for lot in pool.lots.values() if lot.is_live(now)}
    in_order = sorted((pool.lots[sequence] for sequence in sources), key=collection_order)
    for impact in impacts:
        if impact.mode is SettlementMode.CREDIT_ONLY:
            balance -= impact.amount
            continue
        wanted = impact.amount
        for lot in in_order:
            if wanted <= 0:
                break
            if is_allocable(lot, impact.feature):
                taken = min(wanted, sources[lot.sequence])
                sources[lot.sequence] -= taken
                wanted -= taken
                balance -= taken
    return balance
