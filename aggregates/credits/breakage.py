"""When credit expires: plans, releases and reopens, and the times they are booked at (ledger §6.9, D5).

A plan takes what was issued out of fbo at expiry. What is used meanwhile is released from the plan, what comes back
is reopened. A release or reopen is booked at expiry, but never before its cause: credit used on 1 February out of a
lot that expired on 10 January releases on 1 February, so 15 January shows neither phantom credit nor a debt. Time
passing books nothing.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from aggregates.credits.pool import Lot
from aggregates.credits.posting import Postings
from aggregates.journal import templates
from aggregates.journal.templates import When
from aggregates.values.period import Instant


def expiry_entry_at(expires_at: Instant | None, caused_at: Instant) -> Instant | None:
    """When a release or reopen is booked: max(expiry, its cause); None for credit that never expires."""
    return None if expires_at is None else max(expires_at, caused_at)


def _when(expires_at: Instant | None, caused: When) -> When | None:
    """Booked and accounted for at expiry, but neither before its cause.

    Usage of January that is booked on 1 February, out of a lot that expires then, is accounted for in January; its
    release is not: the plan that it releases counts in February.
    """
    if expires_at is None:
        return None
    return When(max(expires_at, caused.booked_at), max(expires_at, caused.accounting_date))


def post_plan(postings: Postings, lot: Lot, amount: Decimal, issued: When) -> None:
    """Plan the expiry of what is issued, dated at expiry; nothing for credit that never expires."""
    if lot.expires_at is not None:
        postings.add(templates.plan(lot.route, amount, issued.at(lot.expires_at), source=lot.source))


def post_release(postings: Postings, lot: Lot, amount: Decimal, caused: When, spend: UUID | None) -> Instant | None:
    """Release what was used; returns when, or None when the lot never expires."""
    at = _when(lot.expires_at, caused)
    if at is None:
        return None
    postings.add(templates.release(lot.route, amount, at, source=lot.source, spend=spend))
    return at.booked_at


def post_reopen(postings: Postings, lot: Lot, amount: Decimal, caused: When, spend: UUID | None) -> Instant | None:
    """Reopen what came back; returns when, or None when the lot never expires."""
    at = _when(lot.expires_at, caused)
    if at is None:
        return None
    postings.add(templates.reopen(lot.route, amount, at, source=lot.source, spend=spend))
    return at.booked_at


def open_plans(pool_lots: list[Lot], as_of: Instant) -> list[tuple[Lot, Decimal]]:
    """Plans that have not expired yet with what is open of them: planned - released + reopened, the unused credit."""
    return [
        (lot, lot.balance)
        for lot in pool_lots
        if lot.expires_at is not None and lot.expires_at > as_of and lot.balance > 0
    ]
