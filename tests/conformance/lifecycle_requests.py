"""What a scenario asks to be created or patched, read into the requests of the product.

A key that is not known here fails the scenario: what is passed over would be a scenario that is not played.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.charges.events import CreditRefund, InvoiceRefund
from aggregates.charges.intent import (
    CostBasis,
    DynamicBasis,
    FeatureRef,
    FiatRate,
    ManagedBy,
    ManualBasis,
    PinnedBasis,
    ProRating,
    SettlementMode,
    SubscriptionRef,
    TaxConfig,
)
from aggregates.charges.requests import (
    AnyPatch,
    Delete,
    Extend,
    FlatFeeTerms,
    NewCharge,
    NewFlatFee,
    NewPurchase,
    NewUsageCharge,
    PatchSource,
    RequestedSettlement,
    Shrink,
    ShrinkToRealized,
    UsageTerms,
)
from aggregates.rating.prices import UnitConfig
from aggregates.values.money import Currency, fiat
from aggregates.values.period import timestamp
from tests.conformance.lifecycle_notation import (
    Json,
    bounds,
    discount_of,
    discounts_of,
    known,
    optional_bounds,
    optional_time,
    price,
)

ANY = {"ref", "type", "customer", "currency", "name", "description", "metadata", "annotations", "managed_by"} | {
    "tax_code_id",
    "unique_reference_id",
    "service_period",
}
LAYERED = (
    ANY
    | {"settlement_mode", "feature", "cost_basis", "subscription", "full_service_period"}
    | {
        "billing_period",
        "invoice_at",
    }
)
INTENTS = {
    "flat_fee": LAYERED | {"amount", "payment_term", "pro_rating", "percentage_discount"},
    "usage_based": LAYERED | {"price", "discounts", "unit_config"},
    "credit_purchase": ANY
    | {"credit_amount", "settlement", "effective_at", "expires_at", "priority", "feature_filters", "key"},
}
ENDS = ("service_period_to", "full_service_period_to", "billing_period_to", "invoice_at")
PATCHES = {
    "extend": {"op", "source", "intent_version", *ENDS},
    "shrink": {"op", "source", "intent_version", *ENDS},
    "shrink_to_realized_period": {"op", "source", "intent_version", "service_period_to"},
    "delete": {"op", "source", "intent_version", "credit_refund", "invoice_refund"},
}


class Requests:
    """Reads intents and patches of one scenario, whose currencies and cost bases it knows."""

    def __init__(self, customer: str, currency: Callable[[str], Currency], cost_bases: Mapping[str, UUID]) -> None:
        self._customer = customer
        self._currency = currency
        self._cost_bases = cost_bases

    def charge(self, intent: Json) -> NewCharge:
        """The request for one charge."""
        known(intent, INTENTS[intent["type"]], f"an intent of {intent['type']}")
        match intent["type"]:
            case "usage_based":
                return self._usage(intent)
            case "credit_purchase":
                return self._purchase(intent)
            case _:
                return self._flat_fee(intent)

    def patch(self, patch: Json) -> AnyPatch:
        """One patch; without a source it is the system's."""
        known(patch, PATCHES[patch["op"]], f"the patch {patch['op']}")
        shared: Json = {
            "source": PatchSource(patch.get("source", "system")),
            "intent_version": patch.get("intent_version"),
        }
        match patch["op"]:
            case "extend" | "shrink" as operation:
                given: Json = {key: timestamp(patch[key]) for key in ENDS if key in patch}
                return (Extend if operation == "extend" else Shrink)(**shared, **given)
            case "shrink_to_realized_period":
                return ShrinkToRealized(service_period_to=timestamp(patch["service_period_to"]), **shared)
            case _:
                return Delete(
                    credit_refund=CreditRefund(patch.get("credit_refund", "correct")),
                    invoice_refund=InvoiceRefund(patch.get("invoice_refund", "grant_credits")),
                    **shared,
                )

    def _any(self, intent: Json, managed_by: str) -> Json:
        tax = intent.get("tax_code_id")
        return {
            "customer": str(intent.get("customer", self._customer)),
            "currency": self._currency(intent.get("currency", "USD")),
            "managed_by": ManagedBy(intent.get("managed_by", managed_by)),
            "tax": TaxConfig(tax_code_id=tax) if tax is not None else None,
            "unique_reference_id": intent.get("unique_reference_id"),
            "annotations": intent.get("annotations", {}),
        }

    def _layered(self, intent: Json) -> Json:
        feature, subscription = intent.get("feature"), intent.get("subscription")
        return self._any(intent, "subscription") | {
            "settlement_mode": SettlementMode(intent["settlement_mode"]),
            "feature": FeatureRef(key=feature) if feature is not None else None,
            "subscription": msgspec.convert(subscription, SubscriptionRef) if subscription is not None else None,
            "cost_basis": self._cost_basis(intent.get("cost_basis")),
        }

    def _terms(self, intent: Json) -> Json:
        return {
            "name": str(intent.get("name", intent["ref"])),
            "description": intent.get("description"),
            "metadata": intent.get("metadata", {}),
            "service_period": bounds(intent["service_period"]),
            "full_service_period": optional_bounds(intent.get("full_service_period")),
            "billing_period": optional_bounds(intent.get("billing_period")),
            "invoice_at": optional_time(intent.get("invoice_at")),
        }

    def _flat_fee(self, intent: Json) -> NewFlatFee:
        return NewFlatFee(
            **self._layered(intent),
            terms=FlatFeeTerms(
                **self._terms(intent),
                amount=Decimal(intent["amount"]),
                payment_term=intent["payment_term"],
                pro_rating=_pro_rating(intent.get("pro_rating")),
                percentage_discount=discount_of(intent.get("percentage_discount")),
            ),
        )

    def _usage(self, intent: Json) -> NewUsageCharge:
        unit_config = intent.get("unit_config")
        return NewUsageCharge(
            **self._layered(intent),
            terms=UsageTerms(
                **self._terms(intent),
                price=price(intent["price"]),
                discounts=discounts_of(intent.get("discounts")),
                unit_config=msgspec.convert(unit_config, UnitConfig) if unit_config is not None else None,
            ),
        )

    def _purchase(self, intent: Json) -> NewPurchase:
        settlement, filters = intent["settlement"], intent.get("feature_filters")
        known(settlement, {"type", "initial_status", "cost_basis", "availability"}, "a settlement")
        return NewPurchase(
            **self._any(intent, "subscription"),
            name=intent.get("name", "Credit"),
            description=intent.get("description"),
            metadata=intent.get("metadata", {}),
            credit_amount=Decimal(intent["credit_amount"]),
            settlement=RequestedSettlement(
                type=settlement["type"],
                initial_status=settlement.get("initial_status"),
                cost_basis=self._cost_basis(settlement.get("cost_basis")),
                availability=settlement.get("availability"),
            ),
            effective_at=optional_time(intent.get("effective_at")),
            expires_at=optional_time(intent.get("expires_at")),
            priority=intent.get("priority"),
            feature_filters=tuple(filters) if filters is not None else None,
            key=intent.get("key"),
            service_period=optional_bounds(intent.get("service_period")),
        )

    def _cost_basis(self, basis: Json | None) -> CostBasis | None:
        if basis is None:
            return None
        known(basis, {"mode", "fiat", "rate", "entry"}, "a cost basis")
        match basis.get("mode", "fiat"):
            case "fiat":
                return FiatRate(rate=Decimal(basis["rate"]))
            case "manual":
                return ManualBasis(fiat_currency=fiat(basis["fiat"]), rate=Decimal(basis["rate"]))
            case "pinned":
                entry = self._cost_bases[basis["entry"]]
                return PinnedBasis(fiat_currency=fiat(basis["fiat"]), currency_cost_basis_id=entry)
            case "dynamic":
                return DynamicBasis(fiat_currency=fiat(basis["fiat"]))
            case other:
                raise AssertionError(f"unknown cost basis {other}")


def _pro_rating(given: bool | Json | None) -> str | None:
    """On or off, or as the specification has it: enabled, and by which mode."""
    if isinstance(given, dict):
        known(given, {"enabled", "mode"}, "a pro-rating")
        return given.get("mode", ProRating.PRORATE_PRICES.value) if given.get("enabled", True) else None
    return ProRating.PRORATE_PRICES.value if given else None
