"""The README of rating is played: every example is rated and must come out as it is written."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aggregates import rating
from aggregates.rating import (
    Discounts,
    GraduatedPercentagePrice,
    LineToRate,
    MatrixCell,
    MatrixPrice,
    PercentagePrice,
    PercentageTier,
    Price,
    TieredPackagePrice,
    UsageEvent,
    engine_named,
    rate,
)
from aggregates.values.decimals import shortest
from tests.support.rating import DAYS, USD, Book, Cut, booked_as, off, price, shown, tier

README = (Path(rating.__file__).parent / "README.md").read_text()
BLOCKS = re.findall(r"^```rating\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_comes_out_as_it_is_written(block: str) -> None:
    given = dict(re.findall(r"^(\w+) {2,}(.+)$", block, re.MULTILINE))
    discounts = off(percentage=given.get("discount", "").removesuffix(" %"), usage=given.get("free"))

    found, total = played(block, given, discounts) if "engine" in given else priced(given, discounts)

    assert found == [line.strip() for line in block.splitlines() if line.startswith("  ")]
    assert shortest(total) == given["total"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_runs_as_it_is_written(program: str) -> None:
    exec(program, {})


def test_every_price_and_every_engine_has_an_example() -> None:
    text = "\n".join(BLOCKS + PROGRAMS)

    for name in ("unit", "package", "dynamic", "volume", "graduated", "percentage", "matrix", "FlatPrice"):
        assert name in text
    for engine in rating.RunEngine:
        assert f"engine    {engine}\n" in text


def priced(given: dict[str, str], discounts: Discounts) -> tuple[list[str], Decimal]:
    events = tuple(an_event(word) for word in given.get("events", "").split())
    quantity = Decimal(given["quantity"]) if "quantity" in given else sum((e.quantity for e in events), Decimal(0))
    line = LineToRate(
        currency=USD, price=a_price(given["price"]), quantity=quantity, events=events, discounts=discounts
    )
    found = rate(line)
    return [shown(line) for line in found.lines], found.totals.total


def played(block: str, given: dict[str, str], discounts: Discounts) -> tuple[list[str], Decimal]:
    book = Book(engine_named(given["engine"]), price(given["price"]), discounts)
    found: list[str] = []
    for last_day, quantities, late in re.findall(r"^run (\d): ([\d. ]+?)( late)?$", block, re.MULTILINE):
        seen = [Decimal(quantity) for quantity in quantities.split()]
        cut = Cut(int(last_day), (*seen, *[seen[-1]] * (DAYS - len(seen))))
        found += [booked_as(line) for line in book.run(cut, late=bool(late)).lines]
    return found, book.totals.total


def an_event(word: str) -> UsageEvent:
    value, _, quantity = word.rpartition(":")
    return UsageEvent(quantity=Decimal(quantity), properties={"region": value} if value else {})


def a_price(text: str) -> Price:
    kind, *words = text.split()
    if kind == "percentage":
        names = {"fee": "fixed_fee", "floor": "minimum_per_event", "ceiling": "maximum_per_event"}
        terms: dict[str, Any] = {names[n]: Decimal(v) for n, v in zip(words[1::2], words[2::2], strict=True)}
        return PercentagePrice(percentage=Decimal(words[0]), **terms)
    if kind == "graduated_percentage":
        steps = [tier(word) for word in words]
        return GraduatedPercentagePrice(
            tiers=tuple(PercentageTier(up_to_amount=s.up_to_amount, percentage=s.unit_price) for s in steps)
        )
    if kind == "tiered_package":
        return TieredPackagePrice(quantity_per_package=Decimal(words[0]), tiers=tuple(tier(w) for w in words[1:]))
    if kind == "matrix":
        cells = [word.split(":") for word in words[1:]]
        return MatrixPrice(
            property_name=words[0],
            cells=tuple(MatrixCell(value=v, unit_price=Decimal(amount)) for v, amount in cells if v != "else"),
            fallback=Decimal(dict(cells)["else"]),
        )
    return price(text)
