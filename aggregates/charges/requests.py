"""What can be asked of charges: creation and patches, as handed in, before anything about them has been checked.

Times are any aware datetimes, bounds may lie the wrong way round, numbers may have too many decimals: `validation.py`
says all that is wrong at once and makes an intent of the rest. What is absent takes the default named here.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

import msgspec

from aggregates.charges.events import CreditRefund, InvoiceRefund
from aggregates.charges.intent import (
    CostBasis,
    FeatureRef,
    FlatFeeLayer,
    ManagedBy,
    PaymentTerm,
    SettlementMode,
    SubscriptionRef,
    TaxConfig,
    UsageLayer,
)
from aggregates.credits.events import PaymentAdjustment
from aggregates.rating.prices import NO_DISCOUNTS, AnyPrice, Discounts, PercentageDiscount, UnitConfig
from aggregates.values.money import Currency
from aggregates.values.period import Period


class Bounds(msgspec.Struct, frozen=True):
    """A half-open period as asked for; it may be empty or backwards."""

    from_: datetime
    to: datetime

    @staticmethod
    def of(period: Period) -> Bounds:
        """The bounds of a period that holds already."""
        return Bounds(period.from_, period.to)


# ── creation ─────────────────────────────────────────────────────────────────────────────────────────────────


class UsageTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The mutable part of a usage-based charge: what a creation proposes and what an override replaces.

    Absent `full_service_period` and `billing_period` are the service period, an absent `invoice_at` is its end.
    """

    name: str
    service_period: Bounds
    price: AnyPrice
    full_service_period: Bounds | None = None
    billing_period: Bounds | None = None
    invoice_at: datetime | None = None
    discounts: Discounts = NO_DISCOUNTS
    unit_config: UnitConfig | None = None
    description: str | None = None
    metadata: dict[str, str] = {}

    @staticmethod
    def of(layer: UsageLayer) -> UsageTerms:
        """The terms that hold, so that a caller can replace some of them and ask for the rest as it was."""
        return UsageTerms(
            name=layer.name,
            service_period=Bounds.of(layer.periods.service_period),
            full_service_period=Bounds.of(layer.periods.full_service_period),
            billing_period=Bounds.of(layer.periods.billing_period),
            invoice_at=layer.periods.invoice_at,
            price=layer.price,
            discounts=layer.discounts,
            unit_config=layer.unit_config,
            description=layer.description,
            metadata=layer.metadata,
        )


class NewUsageCharge(msgspec.Struct, frozen=True, kw_only=True):
    """Charge for the usage of a metered feature over a service period (lifecycles §2)."""

    customer: str
    currency: Currency
    settlement_mode: SettlementMode
    feature: FeatureRef
    terms: UsageTerms
    managed_by: ManagedBy = ManagedBy.SUBSCRIPTION
    tax: TaxConfig | None = None
    unique_reference_id: str | None = None
    subscription: SubscriptionRef | None = None
    cost_basis: CostBasis | None = None
    annotations: dict[str, str] = {}

    @property
    def looks_at_events(self) -> bool:
        """Whether its price looks at usage events, so that its meter has to tell them apart."""
        return self.terms.price.needs_events


class FlatFeeTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The mutable part of a flat fee: what a creation proposes and what an override replaces.

    Absent `full_service_period` and `billing_period` are the service period; an absent `invoice_at` is its start for a
    fee in advance and its end for one in arrears. `payment_term` and `pro_rating` are as somebody wrote them.
    """

    name: str
    service_period: Bounds
    amount: Decimal
    payment_term: str = PaymentTerm.IN_ADVANCE.value
    pro_rating: str | None = None
    percentage_discount: PercentageDiscount | None = None
    full_service_period: Bounds | None = None
    billing_period: Bounds | None = None
    invoice_at: datetime | None = None
    description: str | None = None
    metadata: dict[str, str] = {}

    @staticmethod
    def of(layer: FlatFeeLayer) -> FlatFeeTerms:
        """The terms that hold, so that a caller can replace some of them and ask for the rest as it was."""
        return FlatFeeTerms(
            name=layer.name,
            service_period=Bounds.of(layer.periods.service_period),
            full_service_period=Bounds.of(layer.periods.full_service_period),
            billing_period=Bounds.of(layer.periods.billing_period),
            invoice_at=layer.periods.invoice_at,
            amount=layer.amount_before_proration,
            payment_term=layer.payment_term.value,
            pro_rating=layer.pro_rating.value if layer.pro_rating is not None else None,
            percentage_discount=layer.percentage_discount,
            description=layer.description,
            metadata=layer.metadata,
        )


class NewFlatFee(msgspec.Struct, frozen=True, kw_only=True):
    """Charge one amount for a service period (lifecycles §2). `feature` restricts which credit may cover it."""

    customer: str
    currency: Currency
    settlement_mode: SettlementMode
    terms: FlatFeeTerms
    feature: FeatureRef | None = None
    managed_by: ManagedBy = ManagedBy.SUBSCRIPTION
    tax: TaxConfig | None = None
    unique_reference_id: str | None = None
    subscription: SubscriptionRef | None = None
    cost_basis: CostBasis | None = None
    annotations: dict[str, str] = {}


class RequestedSettlement(msgspec.Struct, frozen=True, kw_only=True):
    """How a purchase is to be settled: `type` is promotional, external or invoice.

    `initial_status` is for external ones: created, authorized or settled, created where absent; and so is
    `availability`: on_creation, on_authorization or on_settlement, on_creation where absent.
    """

    type: str
    initial_status: str | None = None
    cost_basis: CostBasis | None = None
    availability: str | None = None


class NewPurchase(msgspec.Struct, frozen=True, kw_only=True):
    """Credit a customer is to have: a gift, or one that is paid for (lifecycles §2.3, §11).

    `credit_amount` is rounded to the currency. With `effective_at` all periods are that instant; without it they are
    `service_period`, or now. `priority` 1 is consumed first. `key` makes the creation safe to repeat.
    """

    customer: str
    currency: Currency
    credit_amount: Decimal
    settlement: RequestedSettlement
    name: str = "Credit"
    managed_by: ManagedBy = ManagedBy.MANUAL
    service_period: Bounds | None = None
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    priority: int | None = None
    feature_filters: tuple[str, ...] | None = None
    key: str | None = None
    tax: TaxConfig | None = None
    unique_reference_id: str | None = None
    description: str | None = None
    metadata: dict[str, str] = {}
    annotations: dict[str, str] = {}


NewCharge: TypeAlias = NewUsageCharge | NewFlatFee | NewPurchase


# ── patches ──────────────────────────────────────────────────────────────────────────────────────────────────


class PatchSource(StrEnum):
    """Who sends a patch: the system that made the charge (subscription sync), or somebody through the API."""

    SYSTEM = "system"
    API = "api"


class MovePeriodEnd(msgspec.Struct, frozen=True, kw_only=True):
    """Extend or shrink: new ends of the three periods, and a new `invoice_at`. Absent ones are the new service end.

    For a flat fee the full period, which pro-rating measures by, only grows with what is absent, and an absent
    `invoice_at` of a fee in advance stays what it is.

    `intent_version` is the version the patch was computed from; another one now is a stale patch (decision 29).
    """

    service_period_to: datetime
    full_service_period_to: datetime | None = None
    billing_period_to: datetime | None = None
    invoice_at: datetime | None = None
    source: PatchSource = PatchSource.SYSTEM
    intent_version: int | None = None


class Extend(MovePeriodEnd, frozen=True, kw_only=True):
    """Let the periods end later."""


class Shrink(MovePeriodEnd, frozen=True, kw_only=True):
    """Let the periods end earlier."""


class ShrinkToRealized(msgspec.Struct, frozen=True, kw_only=True):
    """End a charge where its latest run ends; `service_period_to` says where the sender believes that is (§8.4)."""

    service_period_to: datetime
    source: PatchSource = PatchSource.API
    intent_version: int | None = None


class SetOverride(msgspec.Struct, frozen=True, kw_only=True):
    """Lay a complete snapshot over the base, for the whole period. The terms are those of the charge's type."""

    terms: UsageTerms | FlatFeeTerms
    source: PatchSource = PatchSource.API
    intent_version: int | None = None


class ClearOverride(msgspec.Struct, frozen=True, kw_only=True):
    """Let the base hold again."""

    source: PatchSource = PatchSource.API
    intent_version: int | None = None


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """Delete the charge, with or without giving the consumed credit back (lifecycles §16.6).

    `invoice_refund`: what is done about money already paid for it; it concerns charges settled by invoice only.
    """

    source: PatchSource
    credit_refund: CreditRefund = CreditRefund.CORRECT
    invoice_refund: InvoiceRefund = InvoiceRefund.GRANT_CREDITS
    intent_version: int | None = None


AnyPatch: TypeAlias = Extend | Shrink | ShrinkToRealized | SetOverride | ClearOverride | Delete


class TakeBack(msgspec.Struct, frozen=True, kw_only=True):
    """Take back what is left of a purchase that is paid by invoice, or `amount` of it; what becomes of its price."""

    amount: Decimal | None = None
    payment_adjustment: PaymentAdjustment = PaymentAdjustment.NONE


class PaymentStep(StrEnum):
    """What an outside payment provider reports about a purchase."""

    AUTHORIZED = "authorized"
    PAID = "paid"
    FAILED = "failed"
    """The payment did not come about, or what had arrived was returned, as a debit without cover is."""
    CANCELLED = "cancelled"
    """It was called off."""
    CHARGED_BACK = "charged_back"
    """Money that had arrived was taken back."""
