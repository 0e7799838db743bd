"""Every price from the command line: written, rated, shown, and explained.

Three usage events of January come to 1105: 5 in eu, 100 in us, 1000 in br, in this order.
"""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.support.commandline import Run

JANUARY = ("--from", "2026-01-01", "--to", "2026-02-01")
PRICES: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"type": "unit", "amount": "0.25"}, "276.25", "0.25 a unit"),
    (
        {
            "type": "tiered",
            "mode": "graduated",
            "tiers": [{"up_to_amount": "1000", "unit_price": "0.01"}, {"unit_price": "0.005"}],
        },
        "10.53",
        "graduated: to 1000 0.01 a unit, above 0.005 a unit",
    ),
    ({"type": "package", "amount": "5", "quantity_per_package": "100"}, "60", "5 per started 100"),
    ({"type": "dynamic", "multiplier": "1.2"}, "1326", "cost times 1.2"),
    ({"type": "percentage", "percentage": "2.9"}, "32.05", "2.9 % of the value"),
    (
        {
            "type": "percentage",
            "percentage": "2.9",
            "fixed_fee": "0.30",
            "minimum_per_event": "0.50",
            "maximum_per_event": "10",
            "free_events": 1,
        },
        "13.2",  # 5 is free, 100 pays 3.20, 1000 pays 10
        "2.9 % of the value, 0.30 an event, at least 0.50 an event, at most 10 an event, free events: 1",
    ),
    (
        {
            "type": "graduated_percentage",
            "tiers": [{"up_to_amount": "1000", "percentage": "2"}, {"percentage": "1"}],
        },
        "21.05",
        "of the value: to 1000 2 %, above 1 %",
    ),
    (
        {
            "type": "tiered_package",
            "quantity_per_package": "500",
            "tiers": [{"up_to_amount": "2", "unit_price": "10"}, {"unit_price": "8"}],
        },
        "28",
        "packages of 500: to 2 10 a package, above 8 a package",
    ),
    (
        {
            "type": "matrix",
            "property_name": "region",
            "cells": [{"value": "eu", "unit_price": "0.10"}, {"value": "us", "unit_price": "0.08"}],
            "fallback": "0.12",
            "maximum_amount": "100",
        },
        "100",
        "a unit by region: eu at 0.10, us at 0.08, else at 0.12, at most 100",
    ),
)


def used(run: Run, value: str, day: int, region: str) -> None:
    time = f"2026-01-{day}T00:00Z"
    run("usage", "record", "acme", "tokens", value, "--time", time, "--property", f"region={region}", "--now", time)


def priced(run: Run, price: dict[str, Any]) -> Any:
    at = ("--now", "2026-01-01", "--json")
    return run("charge", "create", "acme", "--feature", "tokens", *JANUARY, "--price", json.dumps(price), *at).data[
        "id"
    ]


@pytest.mark.parametrize(("price", "total", "words"), PRICES, ids=[price["type"] for price, *_ in PRICES])
def test_every_price_is_written_rated_shown_and_explained(
    acme: Run, price: dict[str, Any], total: str, words: str
) -> None:
    charge = priced(acme, price)
    for value, day, region in (("5", 10, "eu"), ("100", 11, "us"), ("1000", 12, "br")):
        used(acme, value, day, region)
    later = ("--now", "2026-02-05")
    acme("worker", "run-once", *later)
    (run,) = acme("runs", "acme", "--charge", charge, *later, "--json").data

    why = acme("why", run["run"], *later, "--json").data
    told = acme("why", run["run"], *later).out

    assert Decimal(run["credits"]) == Decimal(total)
    assert words in acme("charge", "show", charge, *later).out
    assert words in told
    assert why["quantity"] == "1105"
    assert [step["what"] for step in why["lines"][0]["steps"]][-1] == "total"
    assert len(why["lines"]) == len(run["lines"])


def test_why_tells_the_parts_and_the_steps_of_each_line(acme: Run) -> None:
    """100 of us at 0.08 are 8.00, 7 elsewhere at 0.12 are 0.84; together 8.84."""
    priced(acme, {**PRICES[-1][0], "maximum_amount": None})
    used(acme, "100", 11, "us")
    used(acme, "7", 12, "br")
    later = ("--now", "2026-02-05")
    acme("worker", "run-once", *later)
    (run,) = acme("runs", "acme", *later, "--json").data

    told = acme("why", run["run"], *later).out

    lines = [line.split() for line in told.splitlines()]
    assert ["region=us", "1", "100"] in lines
    assert ["any", "other", "1", "7"] in lines
    assert "  100 x 0.08 = 8\n  total 8" in told
    assert "  7 x 0.12 = 0.84\n  total 0.84" in told
    assert told.rstrip().endswith("total  8.84 USD")


def test_why_tells_how_metered_units_became_billed_ones(acme: Run) -> None:
    """1105 in thousands, rounded up, are 2, of which 1 is free: 1 at 3.00."""
    conversion = {"operation": "divide", "conversion_factor": "1000", "rounding": "ceiling"}
    options = ("--unit", "3", "--free-units", "1", "--unit-config", json.dumps(conversion), "--now", "2026-01-01")
    acme("charge", "create", "acme", "--feature", "tokens", *JANUARY, *options)
    used(acme, "1105", 11, "us")
    later = ("--now", "2026-02-05")
    acme("worker", "run-once", *later)
    (run,) = acme("runs", "acme", *later, "--json").data

    steps = [step["text"] for step in acme("why", run["run"], *later, "--json").data["usage"]]

    assert steps == [
        "1105 metered",
        "divided by 1000, ceiling at 0 decimals: 2",
        "1 of them free",
        "1 to be billed",
    ]


def test_a_run_that_does_not_exist_cannot_be_explained(acme: Run) -> None:
    assert acme("why", "nothing", "--json", code=4).error["code"] == "run_not_found"


def test_a_quantity_is_told_by_property(acme: Run) -> None:
    used(acme, "5", 10, "eu")
    used(acme, "2", 11, "us")
    time = "2026-01-12T00:00Z"
    acme("usage", "record", "acme", "tokens", "1", "--time", time, "--now", time)

    asked = ("usage", "quantity", "acme", "tokens", *JANUARY, "--by", "region", "--now", "2026-02-05")

    assert acme(*asked, "--json").data == [
        {"value": "eu", "quantity": "5"},
        {"value": "us", "quantity": "2"},
        {"value": None, "quantity": "1"},
    ]
    assert "eu" in acme(*asked).out
