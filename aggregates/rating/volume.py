"""Volume price: the tier in which the quantity ends prices all of it (rating §5.6)."""

from __future__ import annotations

from decimal import Decimal

from aggregates.rating.adjustments import Usage
from aggregates.rating.arithmetic import RatingArithmetic
from aggregates.rating.lines import Draft, draft
from aggregates.rating.place import Place
from aggregates.rating.prices import TieredPrice
from aggregates.rating.refusal import refuse
from aggregates.values.decimals import ONE
from aggregates.values.money import Currency

VOLUME_FLAT_REFERENCE = "volume-flat-price"
VOLUME_UNIT_REFERENCE = "volume-tiered-price"


def rate_volume(
    price: TieredPrice, usage: Usage, place: Place, currency: Currency, arithmetic: RatingArithmetic
) -> list[Draft]:
    """The flat part of the tier, then the whole quantity at its unit price; only on the last line of a period.

    Tiers to 15 at 10 each, above at 5: 15 units are 150, 16 units are 80. Refuses a last line with a quantity
    before it, and a quantity above every bound.
    """
    if not place.last:
        return []
    if usage.pre_line_quantity:
        refuse(
            "invoice_line_graduated_split_not_supported",
            "a volume price is billed once over the whole period, so nothing may lie before the line",
            "usage",
        )
    number = tier_index(price, usage.quantity)
    if number is None:
        refuse("invoice_line_missing_open_ended_tier", f"no tier reaches up to {usage.quantity}", "price.tiers")
    tier = price.sorted_tiers()[number]
    lines: list[Draft] = []
    if tier.flat_price is not None:
        label = f"flat price for tier {number + 1}"
        lines.append(draft(label, VOLUME_FLAT_REFERENCE, ONE, tier.flat_price, currency))
    if tier.unit_price is not None and usage.quantity:
        label = f"unit price for tier {number + 1}"
        lines.append(draft(label, VOLUME_UNIT_REFERENCE, usage.quantity, tier.unit_price, currency))
    return lines


def tier_index(price: TieredPrice, quantity: Decimal) -> int | None:
    """The place of the tier in which a quantity ends, from 0 in sorted order; its bound belongs to it."""
    for number, tier in enumerate(price.sorted_tiers()):
        if tier.up_to_amount is None or quantity <= tier.up_to_amount:
            return number
    return None
