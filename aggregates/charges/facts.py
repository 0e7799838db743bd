"""Facts: what a decision about a charge may know of the world, asked for before it decides and recorded with it.

Nothing in this package reads a clock, mints an id, asks a meter or looks into a catalogue. The caller asks the charge
what it will need (`quantities_needed`, `features_needed`, `cost_basis_needed`), finds the answers, and hands all of
them over in one `Facts`. Replay never asks again (lifecycles §19.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.charges.intent import TaxConfig
from aggregates.credits.pool import CreditPool
from aggregates.policies import Policies
from aggregates.rating.parts import PartsNeeded
from aggregates.runs.decisions import Metered
from aggregates.values.errors import FeatureNotFound, MeterNotFound
from aggregates.values.identifiers import Mint
from aggregates.values.money import Currency
from aggregates.values.period import Duration, Instant, instant

__all__ = [
    "CostBasisEntry",
    "CostBasisNeeded",
    "Facts",
    "Feature",
    "HeldKey",
    "Metered",
    "QuantityNeeded",
]


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """A feature of the catalogue as it is named now; `meter_id` is absent for a feature that meters nothing."""

    id: UUID
    key: str
    meter_id: UUID | None = None


class QuantityNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a meter: event time in `[from_, to)`, stored strictly before `stored_at_lt` (lifecycles §5.4).

    `parts` says how the quantity has to be told apart, for a price that looks at usage events.
    """

    meter_id: UUID
    from_: Instant
    to: Instant
    stored_at_lt: Instant
    parts: PartsNeeded | None = None


class CostBasisNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """A question to the rate table: the rate of a custom currency in a fiat one that is in force at that instant."""

    currency: str
    fiat_currency: str
    at: Instant


class CostBasisEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the rate table: one unit of the custom currency is worth `rate` from `effective_from` on."""

    id: UUID
    currency: str
    """Key of the custom currency (`Currency.key`)."""
    fiat_currency: Currency
    rate: Decimal
    effective_from: Instant


class HeldKey(msgspec.Struct, frozen=True):
    """A unique reference or purchase key of a customer, as it is reserved (lifecycles §14.2)."""

    customer: str
    kind: str
    key: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one command knows of the world. `now` is the clock's reading, unrounded, the same for all of it.

    `collection_interval` and `zone` are of the customer's effective profile. `features` are by key and by the text
    of their id. `quantities`, `cost_bases` and `cost_basis_entries` answer what was asked. `tax_codes` are the ids
    that exist; None where nobody keeps a list. `held_keys` says which charge holds a key this command asks for.
    Everything before `closed_until` is closed; `advance_limit` bounds usage beyond credit. `histories` are pools, by
    stream, with everything that was sealed: there for corrections that name what has left the state.
    `parted_meters` can tell their quantity apart; of others no price can look at usage events.
    """

    now: datetime
    mint: Mint
    policies: Policies
    collection_interval: Duration = Duration()
    zone: str = "UTC"
    features: Mapping[str, Feature] = {}
    quantities: Mapping[QuantityNeeded, Metered] = {}
    cost_bases: Mapping[CostBasisNeeded, CostBasisEntry] = {}
    cost_basis_entries: Mapping[UUID, CostBasisEntry] = {}
    tax_codes: AbstractSet[str] | None = None
    invoicing_tax: TaxConfig | None = None
    credit_grant_tax: TaxConfig | None = None
    held_keys: Mapping[HeldKey, UUID] = {}
    closed_until: Instant | None = None
    advance_limit: Decimal | None = None
    histories: Mapping[UUID, CreditPool] = {}
    parted_meters: AbstractSet[UUID] = frozenset()

    @property
    def instant(self) -> Instant:
        """`now` cut to whole seconds, for times of the domain. Guards compare `now` itself (lifecycles §1.1)."""
        return instant(self.now)

    def feature(self, name: str) -> Feature:
        """The feature of that id or key. Raises `FeatureNotFound`."""
        feature = self.features.get(name)
        if feature is None:
            raise FeatureNotFound(name)
        return feature

    def metered_feature(self, name: str) -> tuple[Feature, UUID]:
        """The feature of that id or key and its meter's id. Raises `FeatureNotFound`, then `MeterNotFound`."""
        feature = self.feature(name)
        if feature.meter_id is None:
            raise MeterNotFound(f"of feature {feature.key}")
        return feature, feature.meter_id
