"""Usage beyond credit, and covering it when credit arrives (ledger §6.2, §6.4; D2, decision 36).

Advance is credit issued without a purchase: unknown cost basis, priority 100, the charge's feature. A later purchase
backfills it, oldest booked time first; slices booked at the same time share by largest remainder. The resulting
elements are the only input of the postings and of the lineage.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from aggregates.credits.breakage import post_release
from aggregates.credits.events import BackfillElement, CollectedSlice, CreditCollected, SettlementMode
from aggregates.credits.pool import NO_CHARGE, CreditPool, Lot, Slice
from aggregates.credits.posting import Postings, opened, when
from aggregates.credits.requests import OpenAdvance
from aggregates.credits.validation import validate_amount
from aggregates.journal import templates
from aggregates.journal.chart import Tax, normalised_features
from aggregates.journal.templates import When
from aggregates.values.decimals import ZERO, exact
from aggregates.values.errors import Findings
from aggregates.values.money import split
from aggregates.values.period import Instant


def post_advance(
    pool: CreditPool,
    postings: Postings,
    *,
    sequence: int,
    amount: Decimal,
    features: Sequence[str],
    spend: UUID | None,
    tax: Tax,
    at: When,
) -> CollectedSlice:
    """Issue the shortfall without a purchase and collect it at once."""
    route = templates.advance(pool.currency, features)
    entry = postings.add(templates.issue(route, amount, at, spend=spend))
    postings.add(templates.collect_advance(route, amount, spend, tax, at))
    return CollectedSlice(sequence=sequence, allocation=sequence, amount=amount, entry=entry)


@exact
def open_advance(pool: CreditPool, request: OpenAdvance) -> CreditCollected:
    """Take over advance from before this ledger. Raises `ValidationFailed` unless the amount is positive."""
    request = opened(request)
    findings = Findings()
    amount = validate_amount(findings, pool.currency, request.amount)
    findings.raise_if_any()

    postings = Postings()
    features = normalised_features(request.features)
    tax = Tax(request.tax_code or None, request.tax_behavior if request.tax_code else None)
    taken = post_advance(
        pool,
        postings,
        sequence=pool.next_slice,
        amount=amount,
        features=features,
        spend=request.charge,
        tax=tax,
        at=when(request.booked_at, request),
    )
    return CreditCollected(
        currency=pool.currency,
        charge=request.charge,
        mode=SettlementMode.CREDIT_ONLY,
        requested=amount,
        shortfall=amount,
        booked_at=request.booked_at,
        source_balance_as_of=request.booked_at,
        features=features,
        tax=tax,
        slices=(taken,),
        transactions=postings.all(),
    )


class Part(NamedTuple):
    """How much of which uncovered slice a purchase takes over."""

    slice: Slice
    amount: Decimal


def plan_backfill(pool: CreditPool, lot: Lot, amount: Decimal) -> list[Part]:
    """Hand the amount of a purchase out over uncovered advance (ledger §6.4).

    A restricted purchase covers advance whose features intersect its own, never featureless advance; credit of
    unknown cost basis covers nothing; credit does not cover usage booked at or after its expiry. Advances of 20
    (January) and 20 (February) and a purchase of 25: 20 and 5. Advances 10 and 5 booked together, purchase 5: 3.33
    and 1.67.
    """
    if lot.route.cost_basis is None:
        return []
    parts: list[Part] = []
    left = amount
    for _, together in groupby(sorted(_candidates(pool, lot), key=_oldest_first), key=lambda item: item.booked_at):
        if left <= 0:
            break
        group = list(together)
        uncovered = [item.uncovered for item in group]
        keys = [_tie(item) for item in group]
        total = min(left, sum(uncovered, ZERO))
        shares = split(total, uncovered, pool.currency.precision, caps=uncovered, keys=keys)
        parts += [Part(item, share) for item, share in zip(group, shares, strict=True) if share > 0]
        left -= sum(shares, ZERO)
    return parts


def _other(booked: When) -> Instant | None:
    return booked.accounting_date if booked.accounting_date != booked.booked_at else None


def _candidates(pool: CreditPool, lot: Lot) -> list[Slice]:
    wanted = set(lot.route.features)
    found: list[Slice] = []
    for charge in pool.uncovered:
        realized = pool.charges[charge]
        for sequence in realized.uncovered:
            item = realized.slices[sequence]
            covers = not wanted or not wanted.isdisjoint(item.features)
            if covers and (lot.expires_at is None or item.booked_at < lot.expires_at):
                found.append(item)
    return found


def _tie(item: Slice) -> tuple[UUID, str, str, int]:
    return (item.charge or NO_CHARGE, item.tax.code or "", item.tax.behavior or "", item.sequence)


def _oldest_first(item: Slice) -> tuple[Instant, tuple[UUID, str, str, int]]:
    return (item.booked_at, _tie(item))


def post_backfill(
    postings: Postings,
    lot: Lot,
    parts: Sequence[Part],
    attribution: Instant,
    at: When,
    *,
    releases: Postings | None = None,
    reallocated: bool = False,
) -> list[BackfillElement]:
    """Attribute and translate each part; credit that expires is released from its plan at once.

    A part whose slice is booked after the grant's effective time was issued with the rest: ordinary credit until
    that time, when cover takes it out again (decision 36). 100 effective 1 January over an advance of 40 booked 31
    January shows 100 in between and 60 after. Credit that is `reallocated` was ordinary credit until now. `releases`
    takes the releases, for a group that posts the plan later on.
    """
    elements: list[BackfillElement] = []
    for item, amount in parts:
        through_balance = reallocated or item.booked_at > lot.effective_at
        booked = at.at(max(attribution, item.booked_at))
        if through_balance:
            postings.add(templates.cover(lot.route, amount, booked, source=lot.source, spend=item.charge))
        advance_route = templates.advance(lot.route.currency, item.features)
        entry = postings.add(
            templates.attribute(advance_route, lot.route, amount, booked, source=lot.source, spend=item.charge)
        )
        postings.add(templates.translate(lot.route, amount, item.tax, booked, source=lot.source, spend=item.charge))
        elements.append(
            BackfillElement(
                slice=item.sequence,
                charge=item.charge,
                amount=amount,
                booked_at=booked.booked_at,
                accounting_date=_other(booked),
                entry=entry,
                released_at=post_release(postings if releases is None else releases, lot, amount, booked, item.charge),
                through_balance=through_balance,
            )
        )
    return elements
