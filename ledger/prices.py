"""Prices from text, for programs and the command line: `unit("0.000003")`, `graduated(("1000000", "0.000015"), …)`.

Amounts are of the charge's currency. Numbers are text, ints or `Decimal`s; `ValueError` says of another what is wrong.

The structs themselves are `aggregates.rating.prices`; `read` makes one of a mapping, such as decoded JSON, and refuses
floats by name, because a binary float has already lost what was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar, cast

import msgspec

from aggregates.rating.prices import (
    GRADUATED,
    VOLUME,
    AnyPrice,
    DynamicPrice,
    GraduatedPercentagePrice,
    MatrixCell,
    MatrixPrice,
    PackagePrice,
    PercentagePrice,
    PercentageTier,
    Tier,
    TieredPackagePrice,
    TieredPrice,
    UnitPrice,
    UsagePrice,
)
from aggregates.values.decimals import parse_decimal
from aggregates.values.errors import Finding

T = TypeVar("T")
P = TypeVar("P", bound=UsagePrice)

Step = tuple[object, object]
"""A tier: its upper bound, inclusive (None for the last, open one), and the amount or the percentage in it."""


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
    """A mark-up on metered cost: the quantity is an amount, the price multiplies it. 10 at `dynamic("1.2")` are 12."""
    return DynamicPrice(multiplier=parse_decimal(multiplier))


def percentage(
    percent: object,
    *,
    fee: object = None,
    free_events: int = 0,
    floor: object = None,
    ceiling: object = None,
) -> PercentagePrice:
    """A share of the value that passes through, which the meter sums up in the charge's currency.

    Args:
        percent: 2.9 takes 2.9 % of it.
        fee: A fixed amount per usage event beside the share.
        free_events: So many events, the first ones of the period by their time, cost nothing.
        floor: What an event costs at least, share and fee together.
        ceiling: What it costs at most.

    `percentage("2.9", fee="0.30", floor="0.50", ceiling="10")`: events of 5, 100 and 1000 cost 0.50, 3.20 and 10.
    Anything beside `percent` needs a meter that is a sum or a count, and goes with no free units.
    """
    return PercentagePrice(
        percentage=parse_decimal(percent),
        fixed_fee=_amount(fee),
        free_events=free_events,
        minimum_per_event=_amount(floor),
        maximum_per_event=_amount(ceiling),
    )


def graduated_percentage(*steps: Step) -> GraduatedPercentagePrice:
    """A share by steps of value: `graduated_percentage(("1000", "2"), (None, "1"))` takes 25 of 1500, 20 and 5."""
    return GraduatedPercentagePrice(
        tiers=tuple(
            PercentageTier(up_to_amount=_amount(bound), percentage=parse_decimal(percent)) for bound, percent in steps
        )
    )


def tiered_package(*steps: Step, size: object) -> TieredPackagePrice:
    """Started packages of `size` units, cheaper by their number: the bounds of the steps count packages.

    `tiered_package(("2", "10"), (None, "8"), size="1000")`: 2500 units are three packages, 10 + 10 + 8 = 28.
    """
    return TieredPackagePrice(quantity_per_package=parse_decimal(size), tiers=_tiers(steps))


def matrix(property: str, cells: Mapping[str, object], *, otherwise: object) -> MatrixPrice:
    """An amount per unit by a property of the usage event, and `otherwise` for every other value and for none.

    `matrix("region", {"eu": "0.10", "us": "0.08"}, otherwise="0.12")`: 100 units of eu, 50 of us and 10 of br are
    10 + 4 + 1.20 = 15.20. It needs a meter that is a sum or a count; the property needs no definition.
    """
    return MatrixPrice(
        property_name=property,
        cells=tuple(MatrixCell(value=value, unit_price=parse_decimal(amount)) for value, amount in cells.items()),
        fallback=parse_decimal(otherwise),
    )


def committed(price: P, *, at_least: object = None, at_most: object = None) -> P:
    """The price with what the customer spends at least and at most per period.

    `committed(unit("1"), at_least="20", at_most="100")`: 5 units are 20, 50 are 50, 500 are 100.
    """
    return msgspec.structs.replace(price, minimum_amount=_amount(at_least), maximum_amount=_amount(at_most))


def _amount(given: object) -> Decimal | None:
    return None if given is None else parse_decimal(given)


def _tiers(steps: Sequence[Step]) -> tuple[Tier, ...]:
    return tuple(Tier(up_to_amount=_amount(bound), unit_price=parse_decimal(amount)) for bound, amount in steps)


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
        made = msgspec.convert(value, into)
    except msgspec.ValidationError as error:
        return None, (Finding("", "invalid_shape", str(error)),)
    foreign = tuple(_foreign_digits(value, made, ""))
    return (None, foreign) if foreign else (made, ())


def _foreign_digits(given: Any, made: Any, path: str) -> Iterator[Finding]:
    """Numbers written in digits of another script, which look like other numbers to whoever checks them."""
    if isinstance(made, Decimal):
        if isinstance(given, str) and not given.isascii():
            yield Finding(path, "invalid_number", f'{given!r} is not a plain decimal number, like "12.50"')
    elif isinstance(made, msgspec.Struct) and isinstance(given, Mapping):
        fields = cast("Mapping[str, Any]", given)
        for name, encoded in zip(made.__struct_fields__, made.__struct_encode_fields__, strict=True):
            if encoded in fields:
                yield from _foreign_digits(fields[encoded], getattr(made, name), f"{path}.{encoded}".lstrip("."))
    elif isinstance(made, list | tuple) and isinstance(given, list | tuple):
        for place, (one, other) in enumerate(zip(cast("Any", given), cast("Any", made), strict=True)):
            yield from _foreign_digits(one, other, f"{path}[{place}]")


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
