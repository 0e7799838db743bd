"""The notation of lifecycle scenarios: periods, prices, discounts, accounts, read into the words of the product."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aggregates.charges.requests import Bounds
from aggregates.rating.prices import (
    NO_DISCOUNTS,
    AnyPrice,
    Discounts,
    DynamicPrice,
    FlatPrice,
    PackagePrice,
    PercentageDiscount,
    Tier,
    TieredPrice,
    UnitPrice,
    UsageDiscount,
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


def known(given: Json, keys: Collection[str], what: str) -> None:
    """Fail on a key that nobody reads: a scenario that is half played would say nothing."""
    unknown = set(given) - set(keys)
    assert not unknown, f"keys of {what} not known: {sorted(unknown)}"


def discount_of(given: Json | None) -> PercentageDiscount | None:
    if given is None:
        return None
    known(given, {"percentage", "correlation_id"}, "a percentage discount")
    return PercentageDiscount(percentage=Decimal(given["percentage"]), correlation_id=given.get("correlation_id", ""))


def discounts_of(given: Json | None) -> Discounts:
    """The discounts of usage: a percentage, a quantity that is free, or both."""
    if given is None:
        return NO_DISCOUNTS
    known(given, {"percentage", "usage"}, "discounts")
    usage = given.get("usage")
    free = (
        UsageDiscount(quantity=Decimal(usage["quantity"]), correlation_id=usage.get("correlation_id", ""))
        if usage
        else None
    )
    return Discounts(percentage=discount_of(given.get("percentage")), usage=free)


PRICES = {
    "unit": {"amount"},
    "tiered": {"mode", "tiers"},
    "package": {"amount", "quantity_per_package"},
    "dynamic": {"multiplier"},
    "flat": {"amount"},
}
COMMITMENTS = {"minimum_amount", "maximum_amount"}


def price(given: Json) -> AnyPrice:
    """A price of the scenario's notation."""
    known(given, {"type"} | COMMITMENTS | PRICES[given["type"]], f"a price of type {given['type']}")
    limits: Json = {name: number(given[name]) for name in COMMITMENTS if name in given}
    match given["type"]:
        case "unit":
            return UnitPrice(amount=Decimal(given["amount"]), **limits)
        case "tiered":
            return TieredPrice(mode=given["mode"], tiers=tuple(tier_of(each) for each in given["tiers"]), **limits)
        case "package":
            return PackagePrice(
                amount=Decimal(given["amount"]), quantity_per_package=Decimal(given["quantity_per_package"]), **limits
            )
        case "dynamic":
            return DynamicPrice(multiplier=Decimal(given.get("multiplier", "1")), **limits)
        case "flat":
            assert not limits, "a flat price has no commitments"
            return FlatPrice(amount=Decimal(given["amount"]))
        case other:
            raise AssertionError(f"unknown price {other}")


def tier_of(given: Json) -> Tier:
    """A tier; the last one is open above."""
    known(given, {"up_to", "unit", "flat"}, "a tier")
    return Tier(
        up_to_amount=number(given.get("up_to")),
        unit_price=number(given.get("unit")),
        flat_price=number(given.get("flat")),
    )


def number(given: str | None) -> Decimal | None:
    return None if given is None else Decimal(given)
