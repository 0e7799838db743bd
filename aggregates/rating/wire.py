"""Rating as JSON: one language-neutral form of a line to rate and of what became of it.

Decimals are strings in plain notation without trailing zeros; `null` and an absent key mean the same on input. Prices
are read by `read_price`, which names what it cannot read instead of failing on a type.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast, get_args

import msgspec

from aggregates.rating.adjustments import RatecardUsage, Usage, UsageDiscountApplied
from aggregates.rating.arithmetic import REFERENCE, RatingArithmetic
from aggregates.rating.lines import (
    AmountDiscount,
    CreditApplied,
    DetailedLine,
    DiscountReason,
    MaximumSpend,
    RatecardPercentage,
    RoundingCorrection,
)
from aggregates.rating.place import ONLY_LINE, Place
from aggregates.rating.prices import NO_DISCOUNTS, AnyPrice, Discounts, UnitConfig
from aggregates.rating.rate import LineToRate, RatedLine, rate
from aggregates.rating.refusal import refuse
from aggregates.values.decimals import ZERO, shortest
from aggregates.values.money import Currency
from aggregates.values.period import period
from aggregates.values.totals import Totals

FULL_PERIOD = period("2021-01-01", "2021-01-02")

LINE_MODES = {
    "single_per_period": ONLY_LINE,
    "first_in_period_split": Place(split=True, first=True, last=False),
    "mid_period_split": Place(split=True, first=False, last=False),
    "last_in_period_split": Place(split=True, first=False, last=True),
}


class WireUsage(msgspec.Struct, gc=False):
    """Usage in and before a line, in raw metered units."""

    line_period_qty: Decimal = ZERO
    pre_line_period_qty: Decimal = ZERO


class WireOptions(msgspec.Struct, gc=False):
    """What a caller may switch."""

    ignore_minimum_commitment: bool = False
    disable_credits_mutator: bool = False
    unit_config_enabled: bool = False


class WireLineToRate(msgspec.Struct, gc=False):
    """A line to rate, as JSON has it."""

    currency: Currency
    price: AnyPrice
    line_name: str = "feature"
    discounts: Discounts = NO_DISCOUNTS
    unit_config: UnitConfig | None = None
    line_mode: str = "single_per_period"
    usage: WireUsage | None = None
    previous_billed_amount: Decimal = ZERO
    credits_applied: tuple[CreditApplied, ...] = ()
    options: WireOptions | None = None


_DECODER = msgspec.json.Decoder(WireLineToRate)
_PRICES: msgspec.json.Decoder[AnyPrice] = msgspec.json.Decoder(AnyPrice)
_NO_USAGE = WireUsage()
_NO_OPTIONS = WireOptions()


def rate_json(content: bytes, arithmetic: RatingArithmetic = REFERENCE) -> bytes:
    """Rate a line given as JSON and answer in JSON. Raises `ValidationFailed`."""
    return msgspec.json.encode(result_as_dict(rate(read_line(content), arithmetic)))


def read_line(content: bytes) -> LineToRate:
    """A line to rate from JSON. Raises `ValidationFailed` for what cannot be read."""
    try:
        wire = _DECODER.decode(content)
    except msgspec.ValidationError:
        wire = _read_leniently(msgspec.json.decode(content))
    except msgspec.DecodeError as e:
        refuse("invalid_rating_request", str(e))
    place = LINE_MODES.get(wire.line_mode)
    if place is None:
        refuse("line_mode_unsupported", f"{wire.line_mode!r} is not one of {', '.join(LINE_MODES)}", "line_mode")
    usage, options = wire.usage or _NO_USAGE, wire.options or _NO_OPTIONS
    return LineToRate(
        currency=wire.currency,
        price=wire.price,
        name=wire.line_name,
        quantity=usage.line_period_qty,
        pre_line_quantity=usage.pre_line_period_qty,
        previously_billed=wire.previous_billed_amount,
        discounts=wire.discounts,
        unit_config=wire.unit_config,
        place=place,
        full_period=FULL_PERIOD,
        credits=wire.credits_applied,
        ignore_minimum_commitment=options.ignore_minimum_commitment,
        disable_credits=options.disable_credits_mutator,
        unit_config_enabled=options.unit_config_enabled,
    )


def _read_leniently(raw: object) -> WireLineToRate:
    """The same with nulls left out and a price that says what is wrong with it."""
    if not isinstance(raw, dict):
        refuse("invalid_rating_request", "a line to rate is a JSON object")
    given: dict[str, Any] = without_nulls(raw)
    price = read_price(given.pop("price", {}))
    try:
        return msgspec.structs.replace(
            msgspec.convert({**given, "price": {"type": "unit", "amount": "0"}}, WireLineToRate), price=price
        )
    except msgspec.ValidationError as e:
        refuse("invalid_rating_request", str(e))


def read_price(raw: object) -> AnyPrice:
    """A price from its JSON form. Commitments on a flat price are left out: it has none (rating §1).

    Raises `ValidationFailed`: `price_type_unsupported`, or `price_unreadable` with the field it cannot read.
    """
    given: dict[str, Any] = without_nulls(raw) if isinstance(raw, dict) else {}
    if given.get("type") == "flat":
        given = {key: value for key, value in given.items() if key not in {"minimum_amount", "maximum_amount"}}
    try:
        return cast("AnyPrice", msgspec.convert(given, AnyPrice))
    except msgspec.ValidationError as e:
        if given.get("type") not in PRICE_TYPES:
            refuse("price_type_unsupported", f"{given.get('type')!r} is no type of price", "price.type")
        refuse("price_unreadable", str(e), "price")


PRICE_TYPES = frozenset(str(part.__struct_config__.tag) for part in get_args(AnyPrice))
"""The names of all types of price."""


def without_nulls(value: Any) -> Any:
    """The same JSON without keys that say null. Refuses a float: it has already lost what was written."""
    if isinstance(value, float):
        refuse("number_not_exact", f'{value!r} is a binary float; write it as text, like "0.10"')
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {key: without_nulls(part) for key, part in fields.items() if part is not None}
    if isinstance(value, list):
        parts = cast("list[Any]", value)  # type: ignore[redundant-cast]
        return [without_nulls(part) for part in parts]
    return value


# ── results ──────────────────────────────────────────────────────────────────────────────────────────────────


def result_as_dict(rated: RatedLine) -> dict[str, Any]:
    """The JSON form of a result."""
    return {
        "lines": [line_as_dict(line) for line in rated.lines],
        "final_usage": usage_as_dict(rated.final_usage),
        "usage_discounts": [usage_discount_as_dict(record) for record in rated.usage_discounts],
        "totals": totals_as_dict(rated.totals),
    }


def usage_as_dict(usage: Usage | None) -> dict[str, str] | None:
    """The JSON form of a usage."""
    if usage is None:
        return None
    return {
        "line_period_qty": shortest(usage.quantity),
        "pre_line_period_qty": shortest(usage.pre_line_quantity),
    }


def line_as_dict(line: DetailedLine) -> dict[str, Any]:
    """The JSON form of a line."""
    where = line.service_period
    return {
        "name": line.name,
        "quantity": shortest(line.quantity),
        "per_unit_amount": shortest(line.per_unit_amount),
        "child_unique_reference_id": line.child_unique_reference_id,
        "payment_term": line.payment_term,
        "category": line.category,
        "period": None if where is None else {"from": where.from_, "to": where.to},
        "amount_discounts": [discount_as_dict(discount) for discount in line.amount_discounts],
        "credits_applied": [
            {
                "amount": shortest(credit.amount),
                "description": credit.description,
                "credit_realization_id": credit.credit_realization_id,
            }
            for credit in line.credits_applied
        ],
        "totals": totals_as_dict(line.totals),
    }


def discount_as_dict(discount: AmountDiscount) -> dict[str, Any]:
    """The JSON form of an amount discount."""
    return {
        "amount": shortest(discount.amount),
        "rounding_amount": shortest(discount.rounding_amount),
        "description": discount.description,
        "child_unique_reference_id": discount.child_unique_reference_id,
        "reason": reason_as_dict(discount.reason),
    }


def usage_discount_as_dict(record: UsageDiscountApplied) -> dict[str, Any]:
    """The JSON form of a usage discount that was applied."""
    return {
        "quantity": shortest(record.quantity),
        "pre_line_period_quantity": shortest(record.pre_line_period_quantity),
        "child_unique_reference_id": record.child_unique_reference_id,
        "reason": reason_as_dict(record.reason),
    }


def reason_as_dict(reason: RatecardUsage | DiscountReason) -> dict[str, Any]:
    """The JSON form of why something was discounted."""
    match reason:
        case RatecardUsage():
            return {
                "type": "ratecard_usage",
                "quantity": shortest(reason.quantity),
                "correlation_id": reason.correlation_id,
            }
        case RatecardPercentage():
            return {
                "type": "ratecard_percentage",
                "percentage": shortest(reason.percentage),
                "correlation_id": reason.correlation_id,
            }
        case MaximumSpend():
            return {"type": "maximum_spend"}
        case RoundingCorrection():
            return {"type": "rounding_correction"}


def totals_as_dict(totals: Totals) -> dict[str, str]:
    """The eight fields that systems beside us expect; taxes are not computed here (W28)."""
    return {
        "amount": shortest(totals.amount),
        "charges_total": shortest(totals.charges_total),
        "discounts_total": shortest(totals.discounts_total),
        "taxes_inclusive_total": "0",
        "taxes_exclusive_total": "0",
        "taxes_total": "0",
        "credits_total": shortest(totals.credits_total),
        "total": shortest(totals.total),
    }
