"""How a line came about, step by step: quantity, tier, price, rounding, discounts, cap, credits - as data and as text.

Everything is read off the line itself, so a line booked years ago explains itself. ::

    tier 2
    7 units
    at 0.0015 each
    7 x 0.0015 = 0.0105
    rounded to 0.01
    50 % off: 0.01
    total 0
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from aggregates.rating.lines import (
    COMMITMENT,
    CREDIT,
    REVERSAL,
    AmountDiscount,
    DetailedLine,
    MaximumSpend,
    RatecardPercentage,
)
from aggregates.rating.rate import LineToRate, RatedLine
from aggregates.values.decimals import exact, shortest
from aggregates.values.money import Currency

What: TypeAlias = Literal[
    "reversal",
    "credit",
    "metered",
    "converted",
    "free_units",
    "billed_quantity",
    "tier",
    "quantity",
    "unit_price",
    "unrounded",
    "rounded",
    "difference",
    "minimum",
    "percentage_discount",
    "maximum_spend",
    "other_discount",
    "credits_applied",
    "total",
]

_TIER = re.compile(r"for tier (\d+)$")
_NUMBERED = re.compile(r"-(\d+)-(?:price-usage|flat-price)$")


class Step(msgspec.Struct, frozen=True, gc=False):
    """One step: what happened, the number it led to, and a sentence."""

    what: What
    value: Decimal | None
    text: str


@exact
def explain(line: DetailedLine, currency: Currency) -> tuple[Step, ...]:
    """The steps from the line's quantity to its total, in the order in which they were taken (rating §1, §2.3).

    A line of a later run is the difference of two cumulative ratings, so its amount need not be its own quantity times
    its price, rounded: where it is not, a step `difference` says so.
    """
    return (*_correction(line), *_gross(line, currency), *_deductions(line), _total(line))


@exact
def explain_usage(asked: LineToRate, found: RatedLine) -> tuple[Step, ...]:
    """The steps from the metered to the priced quantity: conversion and free units (rating §6, §7)."""
    if found.final_usage is None:
        return ()
    steps = [Step("metered", asked.quantity, f"{shortest(asked.quantity)} metered")]
    free = sum((record.quantity for record in found.usage_discounts), Decimal(0))
    if asked.unit_config is not None:
        billed = found.final_usage.quantity + free
        config = asked.unit_config
        how = "" if config.rounding in {"", "none"} else f", {config.rounding} at {config.precision} decimals"
        verb = "multiplied by" if config.operation == "multiply" else "divided by"
        text = f"{verb} {shortest(config.conversion_factor)}{how}: {shortest(billed)}"
        steps.append(Step("converted", billed, text))
    if free:
        steps.append(Step("free_units", free, f"{shortest(free)} of them free"))
    quantity = found.final_usage.quantity
    steps.append(Step("billed_quantity", quantity, f"{shortest(quantity)} to be billed"))
    return tuple(steps)


def as_text(steps: tuple[Step, ...]) -> str:
    """The steps as people read them, one per line."""
    return "\n".join(step.text for step in steps)


def tier_of(line: DetailedLine) -> int | None:
    """The number of the tier the line is for, from 1; none where its price has no tiers."""
    found = _NUMBERED.search(line.pricer_reference_id) or _TIER.search(line.name)
    return int(found.group(1)) if found else None


def _correction(line: DetailedLine) -> list[Step]:
    of_run = f" of run {line.corrects_run_id}" if line.corrects_run_id else ""
    if line.kind == REVERSAL:
        return [Step("reversal", None, f"takes back line {line.reverses_line_id}{of_run}")]
    if line.kind == CREDIT:
        return [Step("credit", None, f"gives back a part of what was billed{of_run}")]
    return []


def _gross(line: DetailedLine, currency: Currency) -> list[Step]:
    """Quantity times price, and what rounding or an earlier rating made of it."""
    amount = line.totals.amount + line.totals.charges_total
    if line.category == COMMITMENT:
        return [Step("minimum", amount, f"short of the minimum spend by {shortest(amount)}")]
    quantity, per_unit = line.quantity, line.per_unit_amount
    unrounded = quantity * per_unit
    steps: list[Step] = []
    tier = tier_of(line)
    if tier is not None:
        steps.append(Step("tier", Decimal(tier), f"tier {tier}"))
    steps += [
        Step("quantity", quantity, f"{shortest(quantity)} units"),
        Step("unit_price", per_unit, f"at {shortest(per_unit)} each"),
        Step("unrounded", unrounded, f"{shortest(quantity)} x {shortest(per_unit)} = {shortest(unrounded)}"),
    ]
    if amount == unrounded:
        return steps
    if amount == currency.rounded(unrounded):
        return [*steps, Step("rounded", amount, f"rounded to {shortest(amount)}")]
    text = f"the difference to what was rated before, rounded both times, is {shortest(amount)}"
    return [*steps, Step("difference", amount, text)]


def _deductions(line: DetailedLine) -> list[Step]:
    steps = [_discount(discount) for discount in line.amount_discounts]
    covered = line.totals.credits_total
    if covered:
        steps.append(Step("credits_applied", covered, f"covered by credit: {shortest(covered)}"))
    return steps


def _discount(discount: AmountDiscount) -> Step:
    amount = discount.amount + discount.rounding_amount
    match discount.reason:
        case RatecardPercentage(percentage=percentage):
            return Step("percentage_discount", amount, f"{shortest(percentage)} % off: {shortest(amount)}")
        case MaximumSpend(limit=limit):
            of = "" if limit is None else f" of {shortest(limit)}"
            return Step("maximum_spend", amount, f"beyond the maximum spend{of}: {shortest(amount)} off")
        case _:
            return Step("other_discount", amount, f"so that the lines sum to the rounded sum: {shortest(amount)} off")


def _total(line: DetailedLine) -> Step:
    return Step("total", line.totals.total, f"total {shortest(line.totals.total)}")
