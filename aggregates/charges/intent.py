"""What was promised: the immutable part of a charge's intent, and its mutable part in layers (lifecycles §2).

The base layer is what the system promised; at most one override, a complete snapshot, stands over it. The effective
layer is the override where there is one, else the base: nothing else is ever rated. Everything in here has been
validated and normalised (`validation.py`): instants are whole seconds UTC, amounts are exact at the precision of
their currency, prices can be rated.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

import msgspec

from aggregates.journal.chart import TaxBehavior
from aggregates.rating.prices import NO_DISCOUNTS, AnyUsagePrice, Discounts, PercentageDiscount, UnitConfig
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period


class ChargeType(StrEnum):
    """What kind of thing is charged for."""

    FLAT_FEE = "flat_fee"
    USAGE_BASED = "usage_based"
    CREDIT_PURCHASE = "credit_purchase"


class SettlementMode(StrEnum):
    """How a flat fee or usage is settled: from credit alone, or from credit and then by invoice."""

    CREDIT_ONLY = "credit_only"
    CREDIT_THEN_INVOICE = "credit_then_invoice"


class ManagedBy(StrEnum):
    """Who looks after the charge. Patches of the system are for all of them; `manual` lets the API edit the base."""

    SUBSCRIPTION = "subscription"
    SYSTEM = "system"
    MANUAL = "manual"


class LayerName(StrEnum):
    """The two layers of the mutable part."""

    BASE = "base"
    OVERRIDE = "override"


class PaymentTerm(StrEnum):
    """When a flat fee is earned and booked: at the start of its service period, or at its end."""

    IN_ADVANCE = "in_advance"
    IN_ARREARS = "in_arrears"


class ProRating(StrEnum):
    """How a flat fee follows a service period that is shorter than the full one."""

    PRORATE_PRICES = "prorate_prices"


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything an intent is made of."""


class TaxConfig(Part, frozen=True, kw_only=True):
    """The tax code that goes with the charge; a behaviour needs a code."""

    tax_code_id: str | None = None
    behavior: TaxBehavior | None = None


class SubscriptionRef(Part, frozen=True, kw_only=True):
    """The place in a subscription that the charge belongs to."""

    subscription_id: str
    phase_id: str
    item_id: str


class FeatureRef(Part, frozen=True, kw_only=True):
    """A feature by id or by key, never both; a key is resolved on activation (lifecycles §5.6)."""

    id: UUID | None = None
    key: str | None = None

    @property
    def name(self) -> str:
        """What to look up: the id as text, or else the key."""
        return str(self.id) if self.id is not None else self.key or ""


# ── cost basis: what a unit of credit is worth in fiat (lifecycles §12) ──────────────────────────────────────


class FiatRate(Part, frozen=True, kw_only=True, tag_field="mode", tag="fiat"):
    """A fiat credit costs that much fiat of the same currency: 100 USD of credit at 0.5 cost 50 USD."""

    rate: Decimal


class ManualBasis(Part, frozen=True, kw_only=True, tag_field="mode", tag="manual"):
    """A unit of the custom currency costs `rate` of the fiat currency, as agreed for this charge."""

    fiat_currency: Currency
    rate: Decimal


class PinnedBasis(Part, frozen=True, kw_only=True, tag_field="mode", tag="pinned"):
    """The rate of one named entry of the rate table; it belongs to the charge's currency and to that fiat currency."""

    fiat_currency: Currency
    currency_cost_basis_id: UUID


class DynamicBasis(Part, frozen=True, kw_only=True, tag_field="mode", tag="dynamic"):
    """The entry in force at the start of the service period, looked up when it is needed."""

    fiat_currency: Currency


CostBasis: TypeAlias = FiatRate | ManualBasis | PinnedBasis | DynamicBasis


class ResolvedCostBasis(Part, frozen=True, kw_only=True):
    """The rate that counts for the charge, written once (lifecycles §12.2).

    `resolved_at` is the instant it was looked up for; `cost_basis_id` names the entry of the rate table, if any.
    """

    mode: str
    rate: Decimal
    fiat_currency: Currency
    resolved_at: Instant
    cost_basis_id: UUID | None = None
    effective_at: Instant | None = None


# ── settlement of a purchase ─────────────────────────────────────────────────────────────────────────────────


class InitialStatus(StrEnum):
    """How far the payment of an external purchase is when it is created; settled means authorised, then settled."""

    CREATED = "created"
    AUTHORIZED = "authorized"
    SETTLED = "settled"


class Availability(StrEnum):
    """When the credit of an external purchase is there to be spent; it is granted with that step (decision 26)."""

    ON_CREATION = "on_creation"
    """At once: credit is extended before any payment."""
    ON_AUTHORIZATION = "on_authorization"
    ON_SETTLEMENT = "on_settlement"


class Promotional(Part, frozen=True, kw_only=True, tag_field="type", tag="promotional"):
    """Credit that is given away; it has no cost basis."""


class External(Part, frozen=True, kw_only=True, tag_field="type", tag="external"):
    """Credit that is paid for outside; callbacks say how the payment goes."""

    initial_status: InitialStatus
    cost_basis: CostBasis
    availability: Availability = Availability.ON_CREATION


class InvoiceSettlement(Part, frozen=True, kw_only=True, tag_field="type", tag="invoice"):
    """Credit that is paid for by an invoice."""

    cost_basis: CostBasis


Settlement: TypeAlias = Promotional | External | InvoiceSettlement


# ── the immutable part ───────────────────────────────────────────────────────────────────────────────────────


class Identity(Part, frozen=True, kw_only=True):
    """What never changes about a charge (lifecycles §2.2).

    `settlement_mode` and `feature` are absent for purchases; `key` is a purchase's idempotency key.
    `unique_reference_id` and `key` are held by one live charge of the customer at a time.
    """

    managed_by: ManagedBy
    currency: Currency
    settlement_mode: SettlementMode | None = None
    feature: FeatureRef | None = None
    tax: TaxConfig | None = None
    unique_reference_id: str | None = None
    key: str | None = None
    subscription: SubscriptionRef | None = None
    cost_basis: CostBasis | None = None
    annotations: dict[str, str] = {}


# ── the mutable part ─────────────────────────────────────────────────────────────────────────────────────────


class Periods(Part, frozen=True, kw_only=True):
    """When a layer is in force and when it is billed. A purchase's periods are single instants."""

    service_period: Period
    full_service_period: Period
    billing_period: Period
    invoice_at: Instant


class UsageLayer(Part, frozen=True, kw_only=True, tag_field="type", tag="usage_based"):
    """One layer of a usage-based charge: a complete snapshot (lifecycles §2.3)."""

    name: str
    periods: Periods
    price: AnyUsagePrice
    discounts: Discounts = NO_DISCOUNTS
    unit_config: UnitConfig | None = None
    description: str | None = None
    metadata: dict[str, str] = {}
    intent_deleted_at: Instant | None = None

    @property
    def service_period(self) -> Period:
        """The period whose usage is charged."""
        return self.periods.service_period


class FlatFeeLayer(Part, frozen=True, kw_only=True, tag_field="type", tag="flat_fee"):
    """One layer of a flat fee: a complete snapshot (lifecycles §2.3). Amounts are exact in the charge's currency.

    `amount_after_proration` is derived from the rest and kept with it, so that nobody has to compute it again: 100 USD
    for 10 of 31 days is 32.26. `pro_rating` absent: the full amount, whatever the period.
    """

    name: str
    periods: Periods
    payment_term: PaymentTerm
    amount_before_proration: Decimal
    amount_after_proration: Decimal
    percentage_discount: PercentageDiscount | None = None
    pro_rating: ProRating | None = None
    description: str | None = None
    metadata: dict[str, str] = {}
    intent_deleted_at: Instant | None = None

    @property
    def service_period(self) -> Period:
        """The period the fee is for."""
        return self.periods.service_period

    @property
    def booked_at(self) -> Instant:
        """When the fee is booked: the end of the service period in arrears, its start in advance."""
        period = self.periods.service_period
        return period.to if self.payment_term is PaymentTerm.IN_ARREARS else period.from_


class PurchaseLayer(Part, frozen=True, kw_only=True, tag_field="type", tag="credit_purchase"):
    """The one layer of a credit purchase (lifecycles §2.3): `credit_amount` is exact in the charge's currency.

    Credit is live from `effective_at` (absent: from the grant) until `expires_at`, exclusive; `priority` 1 is
    consumed first, 100 where absent; `feature_filters` are sorted, empty for all features.
    """

    name: str
    periods: Periods
    credit_amount: Decimal
    settlement: Settlement
    effective_at: Instant | None = None
    expires_at: Instant | None = None
    priority: int | None = None
    feature_filters: tuple[str, ...] = ()
    description: str | None = None
    metadata: dict[str, str] = {}
    intent_deleted_at: Instant | None = None

    @property
    def service_period(self) -> Period:
        """The single instant the purchase belongs to."""
        return self.periods.service_period


Layer: TypeAlias = UsageLayer | FlatFeeLayer | PurchaseLayer


def over_periods(layer: Layer, periods: Periods, amount_after_proration: Decimal | None) -> Layer:
    """The layer over other periods; a flat fee comes to another amount then."""
    if isinstance(layer, FlatFeeLayer) and amount_after_proration is not None:
        return msgspec.structs.replace(layer, periods=periods, amount_after_proration=amount_after_proration)
    return msgspec.structs.replace(layer, periods=periods)


class Intent(Part, frozen=True, kw_only=True):
    """A charge's intent as it stands: identity, base layer, and the override if there is one."""

    identity: Identity
    base: Layer
    override: Layer | None = None

    @property
    def effective(self) -> Layer:
        """What holds: the override if there is one, else the base."""
        return self.override or self.base

    @property
    def is_deleted(self) -> bool:
        """Whether the effective layer is deleted."""
        return self.effective.intent_deleted_at is not None

    @property
    def base_is_deleted(self) -> bool:
        """Whether the base is deleted, be it hidden under an override or not (the guard B_del, lifecycles §7)."""
        return self.base.intent_deleted_at is not None

    def layer(self, name: LayerName) -> Layer:
        """The layer of that name; a missing override reads as the base, of which it would be a copy."""
        return self.base if name is LayerName.BASE else self.effective

    def with_layer(self, name: LayerName, layer: Layer) -> Intent:
        """The intent with that layer in the place of the named one."""
        if name is LayerName.BASE:
            return msgspec.structs.replace(self, base=layer)
        return msgspec.structs.replace(self, override=layer)

    def without_override(self) -> Intent:
        """The intent with nothing over its base."""
        return msgspec.structs.replace(self, override=None)
