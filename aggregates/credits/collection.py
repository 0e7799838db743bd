"""Which credit is used first, and how much of it may be used at all (ledger §6.2, §6.3).

Eligible: of the pool's currency; unrestricted, or restricted to features that contain the charge's; effective and
not expired at the cut. Order: priority, restricted before unrestricted, earliest expiry, lot sequence. Per lot no
more than is spendable: the least it holds at the cut, when booked, and at every later booked time (D1).
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aggregates.credits import advance
from aggregates.credits.breakage import post_release
from aggregates.credits.events import CollectedSlice, CreditCollected, SettlementMode
from aggregates.credits.pool import CreditPool, Lot
from aggregates.credits.posting import Postings, opened, when
from aggregates.credits.refusals import AdvanceLimitExceeded
from aggregates.credits.requests import Collect
from aggregates.journal import templates
from aggregates.journal.chart import Tax
from aggregates.journal.templates import CollectLeg, When
from aggregates.values.decimals import ZERO, exact
from aggregates.values.period import Instant

_NEVER = datetime.max.replace(tzinfo=UTC)


class Selected(NamedTuple):
    """How much to take from which lot."""

    lot: Lot
    amount: Decimal


def collection_order(lot: Lot) -> tuple[int, bool, datetime, int]:
    """Sorts lots as they are used up: priority, restricted first, earliest expiry, sequence."""
    return (
        lot.route.credit_priority or 0,
        not lot.route.features,
        lot.expires_at or _NEVER,
        lot.sequence,
    )


def is_allocable(lot: Lot, feature: str | None) -> bool:
    """Whether the lot may fund a charge of that feature; a charge without one uses unrestricted credit only."""
    return not lot.route.features or feature in lot.route.features


def select(
    pool: CreditPool, amount: Decimal, feature: str | None, as_of: Instant, booked_at: Instant | None = None
) -> list[Selected]:
    """Choose lots for an amount, in collection order; books nothing.

    A charge booked before its cut takes no more than the lot holds when it is booked: a lot that becomes effective
    in between would be negative until then (ledger §4). What a correction gave back at the booked time pays first: it
    lay in the lot it came from until then, and rating a run anew leaves the same credit as rating it once.
    """
    since = as_of if booked_at is None else min(as_of, booked_at)
    chosen: list[Selected] = []
    eligible = [
        lot
        for lot in pool.lots.values()
        if lot.balance > 0 and (lot.is_live(as_of) or _is_back(lot, booked_at)) and is_allocable(lot, feature)
    ]
    eligible.sort(key=lambda lot: (not _is_back(lot, booked_at), collection_order(lot)))
    for lot in eligible:
        if amount <= 0:
            break
        taken = min(amount, lot.spendable(lot.effective_at if _is_back(lot, booked_at) else since))
        if taken > 0:
            chosen.append(Selected(lot, taken))
            amount -= taken
    return chosen


def _is_back(lot: Lot, booked_at: Instant | None) -> bool:
    """Whether the lot was opened at that very time by credit that came back, and is live then."""
    return booked_at is not None and lot.returned and lot.effective_at == booked_at and lot.is_live(booked_at)


@exact
def collect(pool: CreditPool, request: Collect) -> CreditCollected | None:
    """Take credit for a charge; in credit_only mode what is missing becomes advance (ledger §6.2).

    None when the rounded amount is zero, or when credit_then_invoice finds no credit. Raises `AdvanceLimitExceeded`
    rather than let usage run ahead of credit further than the customer may; nothing is taken then. Example:
    promotional 30, purchased 50 at 0.5, credit_only 100: slices 30, 50 and 20 of advance; fbo 0, accrued 100,
    receivable[unknown] -20.
    """
    request = opened(request)
    requested = pool.currency.rounded(request.amount)
    if requested <= 0:
        return None
    as_of = request.sources_at.as_of
    chosen = select(pool, requested, request.feature, as_of, request.booked_at)
    shortfall = requested - sum((choice.amount for choice in chosen), ZERO)
    needs_advance = bool(shortfall) and request.mode is SettlementMode.CREDIT_ONLY
    if not chosen and not needs_advance:
        return None
    if needs_advance and request.advance_limit is not None:
        room = request.advance_limit + _balance(pool, request) - (requested - shortfall)
        if shortfall > room:
            raise AdvanceLimitExceeded(shortfall, max(room, ZERO), request.advance_limit, request.charge)

    postings = Postings()
    at = when(request.booked_at, request)
    tax = Tax(request.tax_code or None, request.tax_behavior if request.tax_code else None)
    slices = _post_slices(pool, postings, chosen, spend=request.charge, tax=tax, at=at)
    features = (request.feature,) if request.feature else ()
    if needs_advance:
        taken = advance.post_advance(
            pool,
            postings,
            sequence=pool.next_slice + len(slices),
            amount=shortfall,
            features=features,
            spend=request.charge,
            tax=tax,
            at=at,
        )
        slices.append(taken)
    return CreditCollected(
        currency=pool.currency,
        charge=request.charge,
        run=request.run,
        mode=request.mode,
        requested=requested,
        shortfall=shortfall,
        booked_at=request.booked_at,
        source_balance_as_of=as_of,
        features=features,
        tax=tax,
        slices=tuple(slices),
        transactions=postings.all(),
    )


def _balance(pool: CreditPool, request: Collect) -> Decimal:
    """What the customer has at the time of the decision: live credit, less usage that no credit covers."""
    now = request.now or request.booked_at
    return sum((lot.balance for lot in pool.lots.values() if lot.is_live(now)), ZERO) - pool.uncovered_advance


def _post_slices(
    pool: CreditPool, postings: Postings, chosen: list[Selected], *, spend: UUID, tax: Tax, at: When
) -> list[CollectedSlice]:
    """One collecting transaction for all slices, and a release for each that comes from an expiring lot."""
    if not chosen:
        return []
    legs = [CollectLeg(lot.route, lot.source, amount, index) for index, (lot, amount) in enumerate(chosen)]
    first = postings.add(templates.collect(legs, spend, tax, at))
    slices: list[CollectedSlice] = []
    for index, (lot, amount) in enumerate(chosen):
        sequence = pool.next_slice + index
        same_route = index > 0 and chosen[index - 1].lot.route == lot.route
        slices.append(
            CollectedSlice(
                sequence=sequence,
                allocation=slices[-1].allocation if same_route else sequence,
                lot=lot.sequence,
                amount=amount,
                entry=first + index,
                released_at=post_release(postings, lot, amount, at, spend),
            )
        )
    return slices
