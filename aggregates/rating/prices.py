"""What a quantity costs: prices, the discounts and commitments on them, and the conversion of metered units.

A price is data. Each type has a module of its own that turns it and a quantity into lines (`unit.py`,
`graduated.py`, ...). Rates are exact and never rounded; an absent commitment is `None`. A price can be written down
wrong - `validation.py` collects everything that is wrong with it when a charge is created - because rating must
be able to say what it thinks of any price ever recorded (rating §5, §13.1).
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, TypeAlias

import msgspec

from aggregates.values.decimals import ONE

IN_ADVANCE = "in_advance"
IN_ARREARS = "in_arrears"

GRADUATED = "graduated"
VOLUME = "volume"

MULTIPLY = "multiply"
DIVIDE = "divide"

UNROUNDED = ("", "none")
CEILING = "ceiling"
FLOOR = "floor"
HALF_UP = "half_up"


class Price(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True, gc=False):
    """What every price has in common."""

    converts_units: ClassVar[bool] = False
    """Whether a unit config may stand before this price (rating §6)."""
    rates_amounts: ClassVar[bool] = False
    """Whether `per_unit_amount` of its lines is a rated amount, so that it says nothing about which line is which."""


class UsagePrice(Price, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A price of metered usage, with what the customer spends at least and at most per period.

    `minimum_amount`: a shortfall is charged on the last line (rating §10). `maximum_amount`: what goes beyond is
    discounted (rating §9). Both are amounts of the charge's currency and are rounded only when they are applied.
    """

    minimum_amount: Decimal | None = None
    maximum_amount: Decimal | None = None


class FlatPrice(Price, frozen=True, kw_only=True, tag="flat", gc=False):
    """One amount per period, whatever is used: 100 USD, in advance or in arrears (rating §5.1)."""

    amount: Decimal
    payment_term: str = IN_ADVANCE


class UnitPrice(UsagePrice, frozen=True, kw_only=True, tag="unit", gc=False):
    """An amount per unit: 10 units at 0.25 USD are 2.50 USD (rating §5.2)."""

    converts_units: ClassVar[bool] = True

    amount: Decimal


class DynamicPrice(UsagePrice, frozen=True, kw_only=True, tag="dynamic", gc=False):
    """A mark-up on metered cost: 10 USD of cost at 1.2 are 12 USD (rating §5.3). The multiplier is 1 where absent."""

    rates_amounts: ClassVar[bool] = True

    multiplier: Decimal = ONE


class PackagePrice(UsagePrice, frozen=True, kw_only=True, tag="package", gc=False):
    """An amount per started package: 11 units in packages of 10 are 2 packages (rating §5.4)."""

    amount: Decimal
    quantity_per_package: Decimal


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One step of a tiered price, up to and including `up_to_amount`; without a bound it is open-ended.

    `unit_price` is an amount per unit, `flat_price` an amount for entering the tier; a tier has at least one.
    """

    up_to_amount: Decimal | None = None
    flat_price: Decimal | None = None
    unit_price: Decimal | None = None


class TieredPrice(UsagePrice, frozen=True, kw_only=True, tag="tiered", gc=False):
    """A price by steps of quantity (rating §5.5).

    `graduated`: every unit costs what its own tier says. `volume`: the whole quantity costs what the tier says
    in which it ends.
    """

    converts_units: ClassVar[bool] = True

    mode: str
    tiers: tuple[Tier, ...] = ()

    def sorted_tiers(self) -> list[Tier]:
        """The tiers by bound, open-ended ones last, otherwise as declared."""
        bounded = sorted((t for t in self.tiers if t.up_to_amount is not None), key=_bound)
        return bounded + [t for t in self.tiers if t.up_to_amount is None]


def _bound(tier: Tier) -> Decimal:
    assert tier.up_to_amount is not None
    return tier.up_to_amount


class PercentageDiscount(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """That many per cent off every line: 10 takes 1.00 off 10.00 (rating §8)."""

    percentage: Decimal
    correlation_id: str = ""


class UsageDiscount(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """That many units free per period, in converted units; the first ones used are the free ones (rating §7)."""

    quantity: Decimal
    correlation_id: str = ""


class Discounts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """At most one percentage discount and one usage discount."""

    percentage: PercentageDiscount | None = None
    usage: UsageDiscount | None = None


NO_DISCOUNTS = Discounts()


class UnitConfig(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How metered units become billed units: 1400 tokens divided by 1000, ceiling, are 2 (rating §6).

    `rounding` is `none`, `ceiling`, `floor` or `half_up`, at `precision` decimals; `display_unit` is a label only.
    """

    operation: str
    conversion_factor: Decimal
    rounding: str = "none"
    precision: int = 0
    display_unit: str | None = None


AnyUsagePrice: TypeAlias = UnitPrice | TieredPrice | PackagePrice | DynamicPrice
AnyPrice: TypeAlias = FlatPrice | AnyUsagePrice
