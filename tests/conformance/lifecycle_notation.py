"""The notation of lifecycle scenarios: periods, prices, discounts, accounts, read into the words of the product."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aggregates.charges.requests import Bounds
from aggregates.rating.prices import (
    AnyPrice,
    DynamicPrice,
    FlatPrice,
    PackagePrice,
    PercentageDiscount,
    Tier,
    TieredPrice,
    UnitPrice,
)
from aggregates.values.period import Instant, timestamp
from ledger.metering.store import Window

Json = dict[str, Any]

ACCOUNTS = {
    "free": ("customer_fbo", None),
    "accrued": ("customer_accrued", None),
    "receivable_open": ("customer_receivable", "open"),
    "receivable_authorized": ("customer_receivable", "authorized"),
    "wash": ("wash", None),
    "earnings": ("earnings", None),
    "breakage": ("breakage", None),
}


def fits(cost_basis: Decimal | None, wanted: str) -> bool:
    if wanted == "*":
        return True
    return cost_basis is None if wanted == "none" else cost_basis is not None and cost_basis == Decimal(wanted)


def window(do: Json, customer: str) -> Any:
    return Window(customer=do.get("customer", customer), meter=do["meter"])


def ordinal(number: str) -> Instant:
    return Instant(datetime(2026, 1, int(number), tzinfo=UTC))


def bounds(period: Json) -> Bounds:
    return Bounds(timestamp(period["from"]), timestamp(period["to"]))


def optional_bounds(period: Json | None) -> Bounds | None:
    return bounds(period) if period else None


def optional_time(moment: str | None) -> Any:
    return timestamp(moment) if moment else None


def discount_of(given: Json | None) -> PercentageDiscount | None:
    if given is None:
        return None
    return PercentageDiscount(percentage=Decimal(given["percentage"]), correlation_id=given.get("correlation_id", ""))


def price(given: Json) -> AnyPrice:
    """A price of the scenario's notation."""
    match given["type"]:
        case "unit":
            return UnitPrice(amount=Decimal(given["amount"]))
        case "tiered":
            tiers = tuple(
                Tier(
                    up_to_amount=number(tier.get("up_to")),
                    unit_price=number(tier.get("unit")),
                    flat_price=number(tier.get("flat")),
                )
                for tier in given["tiers"]
            )
            return TieredPrice(mode=given["mode"], tiers=tiers)
        case "package":
            return PackagePrice(
                amount=Decimal(given["amount"]), quantity_per_package=Decimal(given["quantity_per_package"])
            )
        case "dynamic":
            return DynamicPrice(multiplier=Decimal(given.get("multiplier", "1")))
        case "flat":
            return FlatPrice(amount=Decimal(given["amount"]))
        case other:
            raise AssertionError(f"unknown price {other}")


def number(given: str | None) -> Decimal | None:
    return None if given is None else Decimal(given)
