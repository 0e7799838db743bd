"""Plays every rating vector of the language-neutral suite, one test per vector, named by its id.

`LEDGER_VECTORS` names a folder that holds `rating/`; without it the vectors of this project are played. Every JSON
file below the folder is read, whatever it is called. Decimals compare as numbers, instants as instants, a refusal by
its code; a kind of vector that is not known here fails.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aggregates.rating import wire
from aggregates.rating.adjustments import (
    Usage,
    UsageDiscountApplied,
    cap_spend,
    convert_usage,
    converted,
    discount_usage,
    invoiced,
    percentage_of,
    same_unit_config,
    with_markup,
)
from aggregates.rating.allocation import allocate_by_amount, allocate_by_weight
from aggregates.rating.arithmetic import REFERENCE
from aggregates.rating.graduated import tier_ranges, tier_total
from aggregates.rating.lines import (
    REGULAR,
    AmountDiscount,
    CreditApplied,
    DetailedLine,
    Draft,
    draft,
    validate_line,
)
from aggregates.rating.package import packages
from aggregates.rating.place import billable_period
from aggregates.rating.prices import Discounts, PercentageDiscount, UnitConfig, UsageDiscount
from aggregates.rating.rate import apply_credits
from aggregates.rating.validation import unit_config_is_valid, validate_discounts, validate_price
from aggregates.rating.volume import tier_index
from aggregates.values.decimals import ZERO, exact, parse_decimal, round_half_away
from aggregates.values.errors import Findings, ValidationFailed
from aggregates.values.money import Currency
from aggregates.values.period import Period, timestamp
from aggregates.values.totals import Totals

VECTORS = Path(os.environ.get("LEDGER_VECTORS", Path(__file__).parents[1] / "vectors")) / "rating"

Vector = dict[str, Any]
TEXTS = frozenset(
    [
        "name",
        "child_unique_reference_id",
        "description",
        "credit_realization_id",
        "correlation_id",
        "key",
        "type",
        "category",
        "payment_term",
        "error",
    ]
)


def vectors() -> Iterator[Any]:
    files = sorted(VECTORS.rglob("*.json"))
    assert files, f"no vectors below {VECTORS}"
    for file in files:
        for vector in json.loads(file.read_text()):
            yield pytest.param(vector, id=vector["id"])


@pytest.mark.parametrize("vector", list(vectors()))
def test_rating_agrees_with_the_specification(vector: Vector) -> None:
    try:
        found = KINDS[vector["kind"]](vector)
    except ValidationFailed as refused:
        found = {"error": refused.findings[0].code}

    assert comparable(found) == comparable(vector["expect"])


def comparable(value: Any, key: str = "") -> Any:
    """Numbers as numbers, instants as instants, everything else as it is."""
    if isinstance(value, dict):
        return {k: comparable(v, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(v, key) for v in value]
    if key in {"from", "to"}:
        return timestamp(value)
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str) and key not in TEXTS:
        return Decimal(value)
    return value


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────


def number(vector: Vector, key: str) -> Decimal:
    value = vector.get(key)
    return ZERO if value is None else parse_number(value)


def parse_number(value: str | int) -> Decimal:
    try:
        return parse_decimal(value)
    except ValueError:
        return Decimal(value)  # beyond what a ledger takes in, but rating can calculate with it


def a_currency(vector: Vector) -> Currency:
    return Currency(vector["currency"]["code"], vector["currency"]["precision"])


def a_price(vector: Vector) -> Any:
    return wire.read_price(vector["price"])


def a_unit_config(raw: Any) -> UnitConfig | None:
    return None if raw is None else msgspec.convert(wire.without_nulls(raw), UnitConfig)


def a_usage(raw: Vector) -> Usage:
    return Usage(number(raw, "line_period_qty"), number(raw, "pre_line_period_qty"))


def a_draft(raw: Vector, currency: Currency) -> Draft:
    line = draft(
        "",
        raw.get("child_unique_reference_id") or "",
        number(raw, "quantity"),
        number(raw, "per_unit_amount"),
        currency,
    )
    line.category = raw.get("category") or REGULAR
    for discount in raw.get("amount_discounts") or []:
        line.discount(msgspec.convert(wire.without_nulls(discount), AmountDiscount))
    for credit in raw.get("credits_applied") or []:
        applied = msgspec.convert(wire.without_nulls(credit), CreditApplied)
        line.credits = [*(line.credits or []), applied]
        line.net -= applied.amount
    return line


# ── one player per kind ──────────────────────────────────────────────────────────────────────────────────────


def play_rate(v: Vector) -> Any:
    return json.loads(wire.rate_json(json.dumps(v).encode()))


def play_tier_total(v: Vector) -> Any:
    return {"total": tier_total(a_price(v), number(v, "to_qty"), a_currency(v))}


def play_tier_ranges(v: Vector) -> Any:
    ranges, total = tier_ranges(a_price(v), number(v, "from_qty"), number(v, "to_qty"), a_currency(v))
    return {"ranges": [r._asdict() for r in ranges], "total": total}


def play_tier_lookup(v: Vector) -> Any:
    return {"tier_index": tier_index(a_price(v), number(v, "quantity"))}


def play_tier_order(v: Vector) -> Any:
    return {"up_to_amounts": [tier.up_to_amount for tier in a_price(v).sorted_tiers()]}


def play_package_count(v: Vector) -> Any:
    return {"packages": packages(number(v, "quantity"), number(v, "quantity_per_package"))}


def play_usage_discount(v: Vector) -> Any:
    discount = v.get("discount")
    existing = msgspec.convert(
        wire.without_nulls(v.get("existing_usage_discounts") or []), tuple[UsageDiscountApplied, ...]
    )
    usage, records = discount_usage(
        a_usage(v["usage"]), discount and msgspec.convert(wire.without_nulls(discount), UsageDiscount), existing
    )
    return {
        "usage": wire.usage_as_dict(usage),
        "usage_discounts": [wire.usage_discount_as_dict(record) for record in records],
    }


def play_unit_config_usage(v: Vector) -> Any:
    usage = convert_usage(
        a_usage(v["usage"]),
        a_price(v),
        a_unit_config(v.get("unit_config")),
        enabled=v["unit_config_enabled"],
        arithmetic=REFERENCE,
    )
    return {"usage": wire.usage_as_dict(usage)}


def play_unit_config_apply(v: Vector) -> Any:
    config, raw = a_unit_config(v.get("unit_config")), number(v, "raw")
    if config is None:
        return {"converted": raw, "invoiced": raw}
    return {"converted": converted(config, raw), "invoiced": invoiced(config, raw)}


def play_unit_config_validate(v: Vector) -> Any:
    return {"valid": unit_config_is_valid(a_unit_config(v.get("unit_config")))}


def play_unit_config_supported(v: Vector) -> Any:
    return {"supported": a_price(v).converts_units}


def play_unit_config_equal(v: Vector) -> Any:
    return {"equal": same_unit_config(a_unit_config(v.get("left")), a_unit_config(v.get("right")))}


def play_credits(v: Vector) -> Any:
    currency = a_currency(v)
    lines = [a_draft(raw, currency) for raw in v["input_lines"]]
    credits_ = msgspec.convert(wire.without_nulls(v["credits_applied"]), list[CreditApplied])
    exact(apply_credits)(lines, credits_, currency)
    return {"credits_by_line": [[credit.amount for credit in line.credits or []] for line in lines]}


def play_cap_line(v: Vector) -> Any:
    currency = a_currency(v)
    line = a_draft(v["input_line"], currency)
    exact(cap_spend)([line], number(v, "maximum_amount"), number(v, "billed_before"), currency)
    return {"amount_discounts": [wire.discount_as_dict(discount) for discount in line.discounts or []]}


def play_line_validate(v: Vector) -> Any:
    raw = v["input_line"]
    reference = raw.get("child_unique_reference_id") or ""
    line = DetailedLine(
        pricer_reference_id=reference,
        child_unique_reference_id=reference,
        name=raw.get("name") or "",
        quantity=number(raw, "quantity"),
        per_unit_amount=number(raw, "per_unit_amount"),
        category=raw.get("category") or REGULAR,
        totals=Totals(),
    )
    findings = Findings()
    validate_line(line, findings, named=True)
    return {"valid": not findings.items}


def play_totals_round(v: Vector) -> Any:
    places = a_currency(v).precision
    return {"totals": {k: round_half_away(number(v["totals"], k), places) for k in v["totals"]}}


def play_totals_equal(v: Vector) -> Any:
    fields = {*v["left"], *v["right"]}
    return {"equal": all(number(v["left"], k) == number(v["right"], k) for k in fields)}


def play_totals_non_negative(v: Vector) -> Any:
    return {"valid": Totals(total=number(v, "total")).total >= 0}


def play_currency(v: Vector) -> Any:
    currency, amount = a_currency(v), number(v, "amount")
    operations: dict[str, Callable[[], Any]] = {
        "round": lambda: {"result": currency.rounded(amount)},
        "round_up": lambda: {"result": currency.rounded_up(amount)},
        "round_down": lambda: {"result": currency.rounded_down(amount)},
        "is_rounded": lambda: {"rounded": currency.holds(amount)},
        "unit": lambda: {"result": currency.unit},
    }
    return operations[v["operation"]]()


def play_percentage(v: Vector) -> Any:
    percentage, value = number(v, "percentage"), number(v, "value")
    return {"applied": percentage_of(percentage, value), "markup": with_markup(percentage, value)}


def play_price_validate(v: Vector) -> Any:
    findings = Findings()
    try:
        validate_price(a_price(v), findings)
    except ValidationFailed:  # a price that cannot even be read is not valid
        return {"valid": False}
    return {"valid": not findings.items}


def play_discounts_validate(v: Vector) -> Any:
    raw = wire.without_nulls(v.get("discounts") or {})
    findings = Findings()
    discounts = Discounts(
        percentage=msgspec.convert(raw["percentage"], PercentageDiscount) if "percentage" in raw else None,
        usage=msgspec.convert(raw["usage"], UsageDiscount) if "usage" in raw else None,
    )
    validate_discounts(discounts, a_price(v) if v.get("price") else None, findings)
    return {"valid": not findings.items}


def play_allocate(v: Vector) -> Any:
    allocate = allocate_by_amount if v["capped"] else allocate_by_weight
    shares = allocate(
        number(v, "amount"),
        [(item["key"], number(item, "weight")) for item in v["items"]],
        a_currency(v),
        tie_break=str if v["tie_break"] == "key" else None,
    )
    return {"allocations": [{"key": key, "amount": amount} for key, amount in shares]}


def play_billable_period(v: Vector) -> Any:
    def when(text: str) -> datetime:
        return timestamp(text)

    raw = v["service_period"]
    found = billable_period(
        a_price(v),
        Period(when(raw["from"]), when(raw["to"])),  # type: ignore[arg-type]
        as_of=when(v["as_of"]),
        invoice_at=when(v["invoice_at"]),
        split=v["split"],
        progressive_billing=v["progressive_billing"],
        meter_aggregation=v["meter_aggregation"],
    )
    return {"period": found and {"from": found.from_, "to": found.to}}


KINDS: dict[str, Callable[[Vector], Any]] = {
    name.removeprefix("play_"): player for name, player in list(globals().items()) if name.startswith("play_")
}
