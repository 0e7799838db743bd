"""Every price in numbers: the worked examples of the specification, and what lies just beside them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aggregates.rating import FlatPrice, LineToRate, Place, rate
from aggregates.rating.graduated import tier_ranges, tier_total
from aggregates.rating.package import packages
from aggregates.rating.volume import tier_index
from aggregates.values.errors import ValidationFailed
from aggregates.values.money import FIAT, Currency
from tests.support.rating import USD, price, shown

ONLY = Place()
FIRST = Place(split=True, first=True, last=False)
MIDDLE = Place(split=True, first=False, last=False)
LAST = Place(split=True, first=False, last=True)

GRADUATED = "graduated ..5:0+f100 ..10:f50 ..15:5 ..:1"
VOLUME = "volume ..5:f100 ..10:f150 ..15:10 ..:5"


def rated(
    text: str, quantity: str, *, before: str = "0", place: Place = ONLY, currency: Currency = USD
) -> tuple[list[str], Decimal]:
    found = rate(
        LineToRate(
            currency=currency,
            price=price(text),
            quantity=Decimal(quantity),
            pre_line_quantity=Decimal(before),
            place=place,
        )
    )
    return [shown(line) for line in found.lines], found.totals.total


@pytest.mark.parametrize(
    ("amount", "term", "place", "total"),
    [
        ("100", "in_advance", ONLY, "100"),
        ("100", "in_advance", FIRST, "100"),
        ("100", "in_advance", MIDDLE, None),
        ("100", "in_advance", LAST, None),
        ("100", "in_arrears", ONLY, "100"),
        ("100", "in_arrears", FIRST, None),
        ("100", "in_arrears", LAST, "100"),
        ("0", "in_advance", ONLY, "0"),
        ("10.005", "in_advance", ONLY, "10.01"),
        ("100", "", ONLY, "100"),
    ],
)
def test_a_flat_price_is_one_line_at_its_end_of_the_period(
    amount: str, term: str, place: Place, total: str | None
) -> None:
    flat = FlatPrice(amount=Decimal(amount), payment_term=term)

    found = rate(LineToRate(currency=USD, price=flat, place=place))

    assert [line.totals.total for line in found.lines] == ([] if total is None else [Decimal(total)])
    assert all(line.payment_term == (term or "in_advance") for line in found.lines)
    assert all(line.per_unit_amount == Decimal(amount) for line in found.lines)  # as authored, whatever its digits
    assert found.final_usage is None


@pytest.mark.parametrize(
    ("terms", "quantity", "lines"),
    [
        ("unit 100", "10", ["10 x 100 = 1000 unit-price-usage"]),
        ("unit 0.005", "1", ["1 x 0.005 = 0.01 unit-price-usage"]),
        ("unit 0.0001", "3", ["3 x 0.0001 = 0 unit-price-usage"]),
        ("unit 0", "3", ["3 x 0 = 0 unit-price-usage"]),
        ("unit 100", "0", []),
        ("unit 100", "-3", []),
        ("dynamic 1.33333", "10", ["1 x 13.33 = 13.33 usage"]),
        ("dynamic 1.33333", "50", ["1 x 66.67 = 66.67 usage"]),
        ("dynamic 0.001", "1", ["1 x 0 = 0 usage"]),
        ("dynamic 1", "0", []),
        ("dynamic 1", "-3", []),
        ("package 5/10", "0", []),
        ("package 5/10", "1", ["1 x 5 = 5 usage"]),
        ("package 5/10", "10", ["1 x 5 = 5 usage"]),
        ("package 5/10", "11", ["2 x 5 = 10 usage"]),
        ("package 5/10", "-15", ["-1 x 5 = -5 usage"]),
        (VOLUME, "0", ["1 x 100 = 100 volume-flat-price"]),
        (VOLUME, "5", ["1 x 100 = 100 volume-flat-price"]),
        (VOLUME, "7", ["1 x 150 = 150 volume-flat-price"]),
        (VOLUME, "14", ["14 x 10 = 140 volume-tiered-price"]),
        (VOLUME, "15", ["15 x 10 = 150 volume-tiered-price"]),
        (VOLUME, "16", ["16 x 5 = 80 volume-tiered-price"]),
        (VOLUME, "100", ["100 x 5 = 500 volume-tiered-price"]),
        ("volume ..:2+f10", "3", ["1 x 10 = 10 volume-flat-price", "3 x 2 = 6 volume-tiered-price"]),
        ("volume ..:2+f10", "0", ["1 x 10 = 10 volume-flat-price"]),
        ("volume ..:2+f10", "-3", ["1 x 10 = 10 volume-flat-price", "-3 x 2 = -6 volume-tiered-price"]),
    ],
)
def test_prices_of_a_whole_period(terms: str, quantity: str, lines: list[str]) -> None:
    assert rated(terms, quantity)[0] == lines


@pytest.mark.parametrize(
    ("place", "before", "quantity", "parts", "total"),
    [
        (ONLY, "0", "22", ["t1 5x0", "t1 flat 100", "t2 flat 50", "t3 5x5", "t4 7x1"], "182"),
        (ONLY, "12", "10", ["t3 3x5", "t4 7x1"], "22"),
        (ONLY, "0", "5", ["t1 5x0", "t1 flat 100"], "100"),
        (ONLY, "0", "5.000001", ["t1 5x0", "t1 flat 100", "t2 flat 50"], "150"),
        (ONLY, "0", "0", ["t1 0x0", "t1 flat 100"], "100"),
        (FIRST, "0", "3", ["t1 3x0", "t1 flat 100"], "100"),
        (MIDDLE, "0", "0", ["t1 0x0"], "0"),
        (MIDDLE, "0", "3", ["t1 3x0"], "0"),
        (MIDDLE, "7", "1", [], "0"),
        (MIDDLE, "5", "1", ["t2 flat 50"], "50"),
        (MIDDLE, "5", "0", [], "0"),
        (LAST, "5", "1", ["t2 flat 50"], "50"),
    ],
)
def test_a_graduated_price_bills_stretches_and_tiers_entered(
    place: Place, before: str, quantity: str, parts: list[str], total: str
) -> None:
    lines, sum_ = rated(GRADUATED, quantity, before=before, place=place)

    assert [part(line) for line in lines] == parts
    assert sum_ == Decimal(total)


def part(line: str) -> str:
    quantity, _, per_unit, *_, reference = line.split()
    number = reference.split("-")[2]
    return f"t{number} {quantity}x{per_unit}" if reference.endswith("usage") else f"t{number} flat {per_unit}"


def test_zero_usage_takes_the_first_tier_as_declared_and_any_usage_the_first_by_bound() -> None:
    declared = "graduated ..10:2+f50 ..5:1+f100 ..:3"

    assert rated(declared, "0")[1] == 50
    assert rated(declared, "1")[1] == 101


def test_a_first_tier_that_ends_at_zero_is_entered_by_a_line_from_zero() -> None:
    lines = ["0 x 3 = 0 graduated-tiered-1-price-usage", "1 x 9 = 9 graduated-tiered-1-flat-price"]
    rest = ["4 x 1 = 4 graduated-tiered-2-price-usage"]

    assert rated("graduated ..0:3+f9 ..:1", "4")[0] == [*lines, *rest]
    assert rated("graduated ..0:3+f9 ..:1", "4", before="1", place=MIDDLE)[0] == rest


def test_of_several_open_tiers_only_the_first_counts() -> None:
    assert rated("graduated ..:2 ..:5", "3")[0] == ["3 x 2 = 6 graduated-tiered-1-price-usage"]
    assert rated("volume ..:2 ..:5", "3")[0] == ["3 x 2 = 6 volume-tiered-price"]


@pytest.mark.parametrize(
    ("place", "before", "quantity", "count"),
    [
        (MIDDLE, "17", "5", ["1 x 5 = 5 usage"]),
        (MIDDLE, "7", "2", []),
        (ONLY, "7", "5", ["2 x 5 = 10 usage"]),
        (FIRST, "7", "5", ["2 x 5 = 10 usage"]),
        (LAST, "10", "1", ["1 x 5 = 5 usage"]),
    ],
)
def test_packages_started_by_earlier_splits_are_theirs(
    place: Place, before: str, quantity: str, count: list[str]
) -> None:
    assert rated("package 5/10", quantity, before=before, place=place)[0] == count


def test_a_volume_price_is_billed_on_the_last_line_only() -> None:
    assert rated(VOLUME, "7", place=FIRST)[0] == []
    assert rated(VOLUME, "7", place=MIDDLE, before="3")[0] == []
    assert rated(VOLUME, "7", place=LAST)[1] == 150


@pytest.mark.parametrize(
    ("terms", "before", "quantity", "place", "code"),
    [
        (VOLUME, "1", "7", LAST, "invoice_line_graduated_split_not_supported"),
        ("volume ..5:1", "0", "6", ONLY, "invoice_line_missing_open_ended_tier"),
        ("graduated ..5:1", "0", "1", ONLY, "price_invalid"),
        ("graduated ..:1", "-1", "5", MIDDLE, "graduated_negative_from_quantity"),
        ("graduated ..:1", "1", "-5", MIDDLE, "graduated_negative_to_quantity"),
        ("graduated ..:1", "5", "-1", MIDDLE, "graduated_negative_line_quantity"),
        ("package 5/0", "0", "1", ONLY, "division_by_zero"),
        ("staircase ..:1", "0", "1", ONLY, "tiered_mode_unsupported"),
    ],
)
def test_what_a_price_cannot_rate_is_refused_with_a_code(
    terms: str, before: str, quantity: str, place: Place, code: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        rated(terms, quantity, before=before, place=place)

    assert [finding.code for finding in refused.value.findings] == [code]


def test_a_flat_price_is_paid_in_advance_or_in_arrears() -> None:
    with pytest.raises(ValidationFailed) as refused:
        rate(LineToRate(currency=USD, price=FlatPrice(amount=Decimal(1), payment_term="quarterly")))

    assert refused.value.findings[0].code == "flat_payment_term_unsupported"


@pytest.mark.parametrize(
    ("quantity", "size", "count"),
    [("0", "10", 0), ("1", "10", 1), ("10", "10", 1), ("11", "10", 2), ("-10", "10", -1), ("-15", "10", -1)],
)
def test_a_package_started_is_a_package(quantity: str, size: str, count: int) -> None:
    assert packages(Decimal(quantity), Decimal(size)) == count


@pytest.mark.parametrize(("quantity", "index"), [("0", 0), ("5", 0), ("5.1", 1), ("10", 1), ("16", 3)])
def test_the_bound_of_a_tier_belongs_to_it(quantity: str, index: int) -> None:
    assert tier_index(price(VOLUME), Decimal(quantity)) == index  # type: ignore[arg-type]


@pytest.mark.parametrize(("quantity", "total"), [("0", 100), ("5.001", 150), ("12", 170), ("22", 235)])
def test_the_running_total_of_a_graduated_price(quantity: str, total: int) -> None:
    tiers = price("graduated ..5:f100 ..10:f50 ..15:10 ..:5")

    assert tier_total(tiers, Decimal(quantity), USD) == total  # type: ignore[arg-type]


def test_tier_ranges_say_what_everything_before_them_costs() -> None:
    tiers = price("graduated ..5:f100 ..10:f50 ..15:10 ..:5")

    ranges, total = tier_ranges(tiers, Decimal(12), Decimal(20), USD)  # type: ignore[arg-type]

    assert ranges == [
        (2, Decimal(3), False, Decimal(170)),
        (3, Decimal(5), True, Decimal(200)),
    ]
    assert total == 225
    with pytest.raises(ValidationFailed, match="usage of the line is -1"):
        tier_ranges(tiers, Decimal(2), Decimal(1), USD)  # type: ignore[arg-type]


def test_money_is_rounded_per_line_at_the_precision_of_its_currency() -> None:
    one_per_tier = "graduated ..1:0.005 ..2:0.005 ..:0.005"

    assert rated(one_per_tier, "3")[1] == Decimal("0.03")
    assert rated("unit 0.005", "3")[1] == Decimal("0.02")
    assert rated("unit 2.5", "1", currency=FIAT["JPY"])[1] == 3
    assert rated("unit 0.00125", "3", currency=Currency("CREDITS", 4))[1] == Decimal("0.0038")
