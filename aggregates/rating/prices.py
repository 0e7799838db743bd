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

    @property
    def needs_events(self) -> bool:
        """Whether a sum of usage is not enough: the price looks at each usage event."""
        return False


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

    mode: str = ""
    tiers: tuple[Tier, ...] = ()

    def sorted_tiers(self) -> list[Tier]:
        """The tiers by bound, open-ended ones last, otherwise as declared."""
        bounded = sorted((t for t in self.tiers if t.up_to_amount is not None), key=_bound)
        return bounded + [t for t in self.tiers if t.up_to_amount is None]


def _bound(tier: Tier) -> Decimal:
    assert tier.up_to_amount is not None
    return tier.up_to_amount


class PercentagePrice(UsagePrice, frozen=True, kw_only=True, tag="percentage", gc=False):
    """A share of the value that passes through: 2.9 % of 100 USD, and 0.30 USD per event, are 3.20 USD.

    The metered quantity is a value in the charge's currency. `fixed_fee` is charged per event; the first `free_events`
    of the period cost nothing; one event costs at least `minimum_per_event` and at most `maximum_per_event`.
    """

    percentage: Decimal
    fixed_fee: Decimal | None = None
    free_events: int = 0
    minimum_per_event: Decimal | None = None
    maximum_per_event: Decimal | None = None

    @property
    def needs_events(self) -> bool:
        """Whether anything but the plain share is charged."""
        return bool(self.fixed_fee or self.free_events or self.minimum_per_event or self.maximum_per_event is not None)


class PercentageTier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One step of a graduated percentage, up to and including a value; without a bound it is open-ended."""

    up_to_amount: Decimal | None = None
    percentage: Decimal | None = None
    flat_price: Decimal | None = None


class GraduatedPercentagePrice(UsagePrice, frozen=True, kw_only=True, tag="graduated_percentage", gc=False):
    """A share of the value that passes through, by steps of value: 2 % of the first 1000, then 1 %: 1500 is 25."""

    tiers: tuple[PercentageTier, ...] = ()

    def as_graduated(self) -> TieredPrice:
        """The same as a graduated price per unit of value: 2 % is 0.02 each."""
        return TieredPrice(mode=GRADUATED, tiers=tuple([_per_value(tier) for tier in self.tiers]))


def _per_value(tier: PercentageTier) -> Tier:
    unit_price = None if tier.percentage is None else tier.percentage.scaleb(-2)
    return Tier(up_to_amount=tier.up_to_amount, flat_price=tier.flat_price, unit_price=unit_price)


class TieredPackagePrice(UsagePrice, frozen=True, kw_only=True, tag="tiered_package", gc=False):
    """Started packages, by steps of packages: of 1000, to 2 at 10, above at 8: 2500 units are 3 packages, 28.

    Bounds and unit prices of the tiers are in packages.
    """

    quantity_per_package: Decimal
    tiers: tuple[Tier, ...] = ()

    def as_graduated(self) -> TieredPrice:
        """The graduated price per package."""
        return TieredPrice(mode=GRADUATED, tiers=self.tiers)


class MatrixCell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What a unit costs for one value of a property."""

    value: str
    unit_price: Decimal


class MatrixPrice(UsagePrice, frozen=True, kw_only=True, tag="matrix", gc=False):
    """An amount per unit by a property of the usage event, `region` say: eu at 0.10, us at 0.08, elsewhere 0.12."""

    property_name: str
    cells: tuple[MatrixCell, ...] = ()
    fallback: Decimal

    @property
    def needs_events(self) -> bool:
        """A sum does not say which property its units have."""
        return True


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


AnyUsagePrice: TypeAlias = (
    UnitPrice
    | TieredPrice
    | PackagePrice
    | DynamicPrice
    | PercentagePrice
    | GraduatedPercentagePrice
    | TieredPackagePrice
    | MatrixPrice
)
AnyPrice: TypeAlias = FlatPrice | AnyUsagePrice
