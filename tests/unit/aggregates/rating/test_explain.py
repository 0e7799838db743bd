"""A line explains itself: the steps that made it, as data and as text."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given

from aggregates.rating import (
    CreditApplied,
    Discounts,
    LineToRate,
    RunEngine,
    UnitConfig,
    UsagePrice,
    as_text,
    explain,
    explain_usage,
    rate,
)
from tests.support.rating import DAYS, ENGINES, USD, Book, Cut, discounts, histories, off, price, prices

TEN = CreditApplied(amount=Decimal("0.01"), description="promotion")


def test_a_tier_line_tells_its_way_from_quantity_to_total() -> None:
    line = LineToRate(
        currency=USD,
        price=price("graduated ..1:1 ..:0.0015"),
        quantity=Decimal(8),
        discounts=off(percentage="50"),
    )

    steps = explain(rate(line).lines[1], USD)

    assert [(step.what, step.value) for step in steps] == [
        ("tier", Decimal(2)),
        ("quantity", Decimal(7)),
        ("unit_price", Decimal("0.0015")),
        ("unrounded", Decimal("0.0105")),
        ("rounded", Decimal("0.01")),
        ("percentage_discount", Decimal("0.01")),
        ("total", Decimal(0)),
    ]
    assert as_text(steps) == (
        "tier 2\n7 units\nat 0.0015 each\n7 x 0.0015 = 0.0105\nrounded to 0.01\n50 % off: 0.01\ntotal 0"
    )


def test_a_cap_and_credits_are_steps_with_their_limits() -> None:
    line = LineToRate(currency=USD, price=price("unit 10 max 50"), quantity=Decimal(6), credits=(TEN,))

    text = as_text(explain(rate(line).lines[0], USD))

    assert text.splitlines()[-3:] == [
        "beyond the maximum spend of 50: 10 off",
        "covered by credit: 0.01",
        "total 49.99",
    ]


def test_a_minimum_says_what_was_missing() -> None:
    line = LineToRate(currency=USD, price=price("unit 10 min 100"), quantity=Decimal(6))

    assert as_text(explain(rate(line).lines[1], USD)) == "short of the minimum spend by 40\ntotal 40"


def test_the_tier_of_a_volume_line_is_in_its_name() -> None:
    line = LineToRate(currency=USD, price=price("volume ..5:1 ..:2"), quantity=Decimal(6))

    assert explain(rate(line).lines[0], USD)[0].text == "tier 2"


def test_usage_is_converted_and_freed_before_it_is_priced() -> None:
    asked = LineToRate(
        currency=USD,
        price=price("unit 10"),
        quantity=Decimal(1400),
        discounts=off(usage="0.5"),
        unit_config=UnitConfig(operation="divide", conversion_factor=Decimal(1000), rounding="ceiling"),
    )

    assert as_text(explain_usage(asked, rate(asked))).splitlines() == [
        "1400 metered",
        "divided by 1000, ceiling at 0 decimals: 2",
        "0.5 of them free",
        "1.5 to be billed",
    ]


def test_a_later_run_says_that_it_books_a_difference() -> None:
    book = Book(RunEngine.DELTA, price("unit 0.001"))
    book.run(Cut(1, (Decimal(14),) * DAYS))

    (line,) = book.run(Cut(2, (Decimal(14), *[Decimal(15)] * 4))).lines

    assert [step.what for step in explain(line, USD)] == ["quantity", "unit_price", "unrounded", "difference", "total"]
    assert line.totals.total == Decimal("0.01")


def test_a_reversal_names_the_line_it_takes_back_and_a_credit_what_it_is() -> None:
    book = Book(RunEngine.INVOICE_COMPATIBLE_PERIOD_PRESERVING, price("volume ..15:10 ..:5"))
    book.run(Cut(1, (Decimal(5),) * DAYS))

    first = book.run(Cut(2, (Decimal(5), *[Decimal(16)] * 4))).lines[0]

    assert explain(first, USD)[0].text == "takes back line run-1-line-0 of run run-1"
    credit = book.run(Cut(3, (Decimal(5), Decimal(16), *[Decimal(15)] * 3))).lines
    assert [explain(line, USD)[0].what for line in credit] == ["reversal", "tier"]


@given(price=prices(), off=discounts(), history=histories())
def test_every_line_of_every_engine_ends_at_its_total(
    price: UsagePrice, off: Discounts, history: tuple[Cut, ...]
) -> None:
    for engine in ENGINES:
        book = Book(engine, price, off)
        for cut in history:
            for line in book.run(cut).lines:
                steps = explain(line, USD)
                gross = [s.value for s in steps if s.what in {"unrounded", "rounded", "difference", "minimum"}][-1]
                less = [
                    s.value for s in steps if "discount" in s.what or s.what in {"maximum_spend", "credits_applied"}
                ]
                assert gross is not None
                assert steps[-1].value == gross - sum((v for v in less if v is not None), Decimal(0))
