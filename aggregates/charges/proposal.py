"""A proposed charge that has passed validation, and the keys it will hold."""

from __future__ import annotations

import msgspec

from aggregates.charges.facts import HeldKey
from aggregates.charges.intent import ChargeType, Identity, Layer, ResolvedCostBasis

UNIQUE_REFERENCE = "unique_reference_id"
PURCHASE_KEY = "purchase_key"


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """A charge that may be created: everything `ChargeCreated` records but the id and the time."""

    customer: str
    charge_type: ChargeType
    identity: Identity
    base: Layer
    resolved_cost_basis: ResolvedCostBasis | None = None

    @property
    def keys(self) -> tuple[HeldKey, ...]:
        """The keys that the charge holds while it is not deleted."""
        return keys_of(self.customer, self.identity)


def keys_of(customer: str, identity: Identity) -> tuple[HeldKey, ...]:
    """The keys a charge of that identity holds, one live charge of the customer at a time (lifecycles §14.2)."""
    held = ((UNIQUE_REFERENCE, identity.unique_reference_id), (PURCHASE_KEY, identity.key))
    return tuple(HeldKey(customer, kind, key) for kind, key in held if key is not None)
