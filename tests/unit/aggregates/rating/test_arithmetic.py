"""The better arithmetic, choice by choice: what the reference does, and what is done instead (rating §14)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aggregates.rating import (
    NO_DISCOUNTS,
    Discounts,
    LineToRate,
    Place,
    RatedLine,
    RatingArithmetic,
    RunEngine,
    UnitConfig,
    rate,
)
from aggregates.rating.adjustments import invoiced, percentage_of
from aggregates.rating.package import packages
from aggregates.rating.rate import previously_billed
from aggregates.values.errors import ValidationFailed
from aggregates.values.totals import Totals
from tests.support.rating import DAYS, Book, Cut, off, price, shown

REFERENCE = RatingArithmetic.reference()
EXACT = RatingArithmetic.exact()
LAST = Place(split=True, first=False, last=True)


def rated(
    arithmetic: RatingArithmetic,
    terms: str,
    quantity: str,
    *,
    before: str = "0",
    discounts: Discounts = NO_DISCOUNTS,
    place: Place | None = None,
    billed: Decimal = Decimal(0),
) -> RatedLine:
    line = LineToRate(
        currency=Book(RunEngine.DELTA, price(terms)).currency,
        price=price(terms),
        quantity=Decimal(quantity),
        pre_line_quantity=Decimal(before),
        discounts=discounts,
        place=place or Place(),
        previously_billed=billed,
    )
    return rate(line, arithmetic)


def test_every_choice_is_off_by_default_and_on_in_exact() -> None:
    default, exact = RatingArithmetic(), RatingArithmetic.exact()

    assert default == REFERENCE
    assert all(getattr(default, name) != getattr(exact, name) for name in RatingArithmetic.__struct_fields__)


@pytest.mark.parametrize(("arithmetic", "billed", "second_split"), [(REFERENCE, "100", "0"), (EXACT, "50", "50")])
def test_w1_earlier_splits_count_as_what_was_billed(
    arithmetic: RatingArithmetic, billed: str, second_split: str
) -> None:
    """50 % off, maximum 100; the first split was 100 gross, 50 net; the second split is 100 gross again."""
    earlier = previously_billed(
        [Totals(amount=Decimal(100), discounts_total=Decimal(50), total=Decimal(50))], arithmetic
    )

    found = rated(arithmetic, "unit 10 max 100", "10", discounts=off(percentage="50"), place=LAST, billed=earlier)

    assert earlier == Decimal(billed)
    assert found.totals.total == Decimal(second_split)


@pytest.mark.parametrize(("arithmetic", "at_zero"), [(REFERENCE, 50), (EXACT, 100)])
def test_w5_zero_usage_takes_the_first_tier_by_bound(arithmetic: RatingArithmetic, at_zero: int) -> None:
    assert rated(arithmetic, "graduated ..10:2+f50 ..5:1+f100 ..:3", "0").totals.total == at_zero


def test_w6_nothing_lies_before_a_first_line() -> None:
    assert rated(REFERENCE, "package 5/10", "5", before="7").totals.total == 10
    with pytest.raises(ValidationFailed) as refused:
        rated(EXACT, "package 5/10", "5", before="7")

    assert refused.value.findings[0].code == "pre_line_quantity_on_first_line"
    assert rated(EXACT, "package 5/10", "5", before="7", place=LAST).totals.total == 5


@pytest.mark.parametrize(
    ("terms", "as_reference"),
    [("unit 10", "0"), ("dynamic 1", "0"), ("package 5/10", "-5"), ("volume ..:2+f10", "-20")],
)
def test_w7_negative_usage_has_one_rule(terms: str, as_reference: str) -> None:
    assert rated(REFERENCE, terms, "-15").totals.total == Decimal(as_reference)

    clamped = rated(EXACT, terms, "-15")
    assert clamped.totals == rated(REFERENCE, terms, "0").totals
    assert clamped.quantity_clamped == -15

    with pytest.raises(ValidationFailed) as refused:
        rated(RatingArithmetic(negative_usage="refuse"), terms, "-15")
    assert refused.value.findings[0].code == "negative_quantity"


@pytest.mark.parametrize(
    ("quantity", "reference", "exact"), [("9.99999999999999999", 2, 1), ("10.00000000000000001", 2, 2), ("10", 1, 1)]
)
def test_w8_a_package_is_counted_from_the_exact_fraction(quantity: str, reference: int, exact: int) -> None:
    assert packages(Decimal(quantity), Decimal(10)) == reference
    assert packages(Decimal(quantity), Decimal(10), exactly=True) == exact


@pytest.mark.parametrize(
    ("raw", "mode", "reference", "exact"),
    [
        ("0.00000000000000001", "ceiling", 0, 1),
        ("-0.00000000000000001", "floor", 0, -1),
        ("0.99999999999999999", "floor", 1, 0),
        ("0.49999999999999999", "half_up", 1, 0),
        ("-0.49999999999999999", "half_up", -1, 0),
        ("0.5", "half_up", 1, 1),
        ("-0.5", "half_up", -1, -1),
        ("-2.5", "ceiling", -2, -2),
    ],
)
def test_w8_a_conversion_is_rounded_once(raw: str, mode: str, reference: int, exact: int) -> None:
    config = UnitConfig(operation="divide", conversion_factor=Decimal(1), rounding=mode)

    assert invoiced(config, Decimal(raw)) == reference
    assert invoiced(config, Decimal(raw), exactly=True) == exact


def test_w8_a_percentage_is_rounded_once() -> None:
    sliver = Decimal("0.49999999999999999")

    assert percentage_of(sliver, Decimal(1)) == Decimal("0.005")
    assert percentage_of(sliver, Decimal(1), exactly=True) < Decimal("0.005")


@pytest.mark.parametrize(
    ("terms", "reference", "exact", "carried"),
    [
        ("graduated ..1:0.005 ..2:0.005 ..:0.005", "0.03", "0.02", ["0.01"]),
        ("graduated ..1:0.004 ..2:0.004 ..:0.004", "0", "0.01", ["-0.01"]),
        ("graduated ..1:1 ..2:1 ..:1", "3", "3", []),
    ],
)
def test_w10_lines_sum_to_the_rounded_sum(terms: str, reference: str, exact: str, carried: list[str]) -> None:
    assert rated(REFERENCE, terms, "3").totals.total == Decimal(reference)

    found = rated(EXACT, terms, "3")
    assert found.totals.total == Decimal(exact)
    assert [d.rounding_amount for line in found.lines for d in line.amount_discounts] == [Decimal(c) for c in carried]
    assert all(line.totals.reconciles for line in found.lines)


def test_w11_a_percentage_is_taken_off_the_sum() -> None:
    terms, ten = "graduated ..1:0.05 ..2:0.05 ..:0.05", off(percentage="10")

    assert rated(REFERENCE, terms, "3", discounts=ten).totals.discounts_total == Decimal("0.03")
    assert [shown(line) for line in rated(EXACT, terms, "3", discounts=ten).lines] == [
        "1 x 0.05 = 0.05 - 0.01 graduated-tiered-1-price-usage",
        "1 x 0.05 = 0.05 - 0.01 graduated-tiered-2-price-usage",
        "1 x 0.05 = 0.05 graduated-tiered-3-price-usage",
    ]


@pytest.mark.parametrize("engine", list(RunEngine))
def test_runs_are_rated_with_the_arithmetic_of_their_charge(engine: RunEngine) -> None:
    book = Book(engine, price("graduated ..1:0.005 ..2:0.005 ..:0.005"), arithmetic=EXACT)
    whole = Cut(DAYS, tuple(Decimal(3) for _ in range(DAYS)))

    assert book.run(whole).totals.total == Decimal("0.02")
