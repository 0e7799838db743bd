"""Prices from text, for programs and the command line: `unit("0.000003")`, `graduated(("1000000", "0.000015"), …)`.

The structs themselves are `aggregates.rating.prices`; `read` makes one of a mapping, such as decoded JSON, and refuses
floats by name, because a binary float has already lost what was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from aggregates.rating.prices import (
    GRADUATED,
    VOLUME,
    AnyPrice,
    DynamicPrice,
    PackagePrice,
    Tier,
    TieredPrice,
    UnitPrice,
)
from aggregates.values.decimals import parse_decimal
from aggregates.values.errors import Finding

T = TypeVar("T")

Step = tuple[object, object]
"""A tier: its upper bound, inclusive (None for the last, open one), and the amount per unit in it."""


def unit(amount: object) -> UnitPrice:
    """An amount per unit, in the charge's currency: 10 units at `unit("0.25")` are 2.50."""
    return UnitPrice(amount=parse_decimal(amount))


def graduated(*steps: Step) -> TieredPrice:
    """Every unit costs what its own tier says: `graduated(("10", "1"), (None, "0.5"))` makes 12 units cost 11."""
    return TieredPrice(mode=GRADUATED, tiers=_tiers(steps))


def volume(*steps: Step) -> TieredPrice:
    """All units cost what the tier says in which the quantity ends."""
    return TieredPrice(mode=VOLUME, tiers=_tiers(steps))


def package(amount: object, *, size: object) -> PackagePrice:
    """An amount per started package of `size` units."""
    return PackagePrice(amount=parse_decimal(amount), quantity_per_package=parse_decimal(size))


def dynamic(multiplier: object = 1) -> DynamicPrice:
    """A mark-up on metered cost: the quantity is an amount, the price multiplies it."""
    return DynamicPrice(multiplier=parse_decimal(multiplier))


def _tiers(steps: Sequence[Step]) -> tuple[Tier, ...]:
    return tuple(
        Tier(up_to_amount=None if bound is None else parse_decimal(bound), unit_price=parse_decimal(amount))
        for bound, amount in steps
    )


def read_price(value: object) -> tuple[AnyPrice | None, tuple[Finding, ...]]:
    """A price from a struct or a mapping (`{"type": "unit", "amount": "0.25"}`), or what is wrong with its shape."""
    if isinstance(value, msgspec.Struct):
        return cast("AnyPrice", value), ()
    return read(value, cast("type[AnyPrice]", AnyPrice))


def read(value: object, into: type[T]) -> tuple[T | None, tuple[Finding, ...]]:
    """A struct of the rating package from decoded JSON, or the findings: floats by path, else what does not fit."""
    findings = tuple(_unreadable_numbers(value, ""))
    if findings:
        return None, findings
    try:
        return msgspec.convert(value, into), ()
    except msgspec.ValidationError as error:
        return None, (Finding("", "invalid_shape", str(error)),)


def _unreadable_numbers(value: Any, path: str) -> list[Finding]:
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, float):
        return [Finding(path, "invalid_number", f'{value!r} is a binary float; write it as text, like "{value}"')]
    if isinstance(value, Mapping):
        return _within(cast("Iterable[tuple[Any, Any]]", value.items()), f"{path}." if path else "", "")
    if isinstance(value, list | tuple):
        return _within(enumerate(cast("Iterable[Any]", value)), f"{path}[", "]")
    return []


def _within(items: Iterable[tuple[Any, Any]], before: str, after: str) -> list[Finding]:
    return [finding for key, item in items for finding in _unreadable_numbers(item, f"{before}{key}{after}")]
