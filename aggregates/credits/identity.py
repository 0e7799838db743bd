"""Ids of allocations: derived from what they are, so that a decision needs no ids from outside."""

from __future__ import annotations

from uuid import UUID

from aggregates.credits.pool import NO_CHARGE
from aggregates.values.identifiers import derived
from aggregates.values.money import Currency


def allocation_id(currency: Currency, charge: UUID | None, first_slice: int) -> UUID:
    """The id of the allocation that begins with that slice; slices are numbered once per pool."""
    return derived("allocation", str(charge or NO_CHARGE), currency.key, str(first_slice))
