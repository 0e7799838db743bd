"""What happens around a price - conversion, discounts, commitments, credits - in the numbers of the specification."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aggregates.rating import (
    NO_DISCOUNTS,
    CreditApplied,
    Discounts,
    FlatPrice,
    LineToRate,
    PercentageDiscount,
    Place,
    RatedLine,
    UnitConfig,
    Usage,
    UsageDiscount,
    rate,
)
from aggregates.rating.adjustments import (
    converted,
    discount_usage,
    invoiced,
    percentage_of,
    same_unit_config,
    with_markup,
)
from aggregates.rating.lines import MaximumSpend
from aggregates.rating.rate import previously_billed
from aggregates.values.errors import ValidationFailed
from aggregates.values.period import period
from aggregates.values.totals import Totals
from tests.support.rating import USD, off, price, shown

MIDDLE = Place(split=True, first=False, last=False)
LAST = Place(split=True, first=False, last=True)


def rated(
    text: str,
    quantity: str,
    *,
    discounts: Discounts = NO_DISCOUNTS,
    place: Place | None = None,
    before: str = "0",
    billed: str = "0",
    credits_: tuple[str, ...] = (),
    config: UnitConfig | None = None,
    enabled: bool = True,
) -> RatedLine:
    return rate(
        LineToRate(
            currency=USD,
            price=price(text),
            quantity=Decimal(quantity),
            pre_line_quantity=Decimal(before),
            previously_billed=Decimal(billed),
            discounts=discounts,
            place=place or Place(),
            full_period=period("2025-01-01", "2025-02-01"),
            credits=tuple(CreditApplied(amount=Decimal(amount), description=f"#{amount}") for amount in credits_),
            unit_config=config,
            unit_config_enabled=enabled,
        )
    )


def by(factor: str, rounding: str = "none", precision: int = 0, operation: str = "divide") -> UnitConfig:
    return UnitConfig(operation=operation, conversion_factor=Decimal(factor), rounding=rounding, precision=precision)


# ── unit conversion ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("raw", "config", "billed"),
    [
        ("1400", by("1000"), "1.4"),
        ("1400", by("1000", "ceiling"), "2"),
        ("1400", by("1000", "half_up"), "1"),
        ("1900", by("1000", "floor"), "1"),
        ("2500", by("1000", "half_up"), "3"),
        ("-2500", by("1000", "half_up"), "-3"),
        ("-2500", by("1000", "ceiling"), "-2"),
        ("-2500", by("1000", "floor"), "-3"),
        ("1247", by("1000", "ceiling", 2), "1.25"),
        ("10", by("1.2", operation="multiply"), "12"),
        ("1", by("3"), "0.3333333333333333"),
        ("2", by("3"), "0.6666666666666667"),
        ("7", by("2", operation="square"), "7"),
        ("7", by("2", "ceiling", 2_147_483_647), "3.5"),
    ],
)
def test_metered_units_become_billed_units(raw: str, config: UnitConfig, billed: str) -> None:
    assert invoiced(config, Decimal(raw)) == Decimal(billed)


def test_balance_checks_see_the_unrounded_quantity() -> None:
    assert converted(by("1000", "ceiling"), Decimal(1400)) == Decimal("1.4")


def test_each_quantity_of_a_split_is_converted_by_itself() -> None:
    found = rated("unit 1", "1300", before="1400", place=MIDDLE, config=by("1000", "ceiling"))

    assert found.final_usage == Usage(Decimal(2), Decimal(2))  # cumulative reading would give 3 - 2


@pytest.mark.parametrize(
    ("terms", "config", "enabled", "code"),
    [
        ("unit 1", by("1000"), False, "unit_config_disabled"),
        ("package 1/1", by("1000"), True, "unit_config_unsupported_price"),
        ("dynamic 1", by("1000"), True, "unit_config_unsupported_price"),
        ("unit 1", by("0"), True, "unit_config_invalid"),
        ("unit 1", by("1", "sometimes"), True, "unit_config_invalid"),
        ("unit 1", by("1", "floor", -1), True, "unit_config_invalid"),
    ],
)
def test_a_conversion_that_cannot_be_made_stops_rating(
    terms: str, config: UnitConfig, enabled: bool, code: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        rated(terms, "1", config=config, enabled=enabled)

    assert refused.value.findings[0].code == code


def test_a_flat_price_skips_conversion_and_commitments() -> None:
    found = rate(
        LineToRate(
            currency=USD,
            price=FlatPrice(amount=Decimal(5)),
            unit_config=by("0"),
            unit_config_enabled=False,
            discounts=Discounts(usage=UsageDiscount(quantity=Decimal(1), correlation_id="")),
        )
    )

    assert found.totals.total == 5


def test_two_configs_are_one_when_they_bill_alike() -> None:
    assert same_unit_config(by("10", ""), by("10", "none", 5))
    assert same_unit_config(None, None)
    assert not same_unit_config(by("10", "floor", 1), by("10", "floor", 2))
    assert not same_unit_config(by("10", "floor"), by("10"))
    assert not same_unit_config(by("10"), by("11"))
    assert not same_unit_config(by("10"), None)


# ── discounts ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("free", "before", "quantity", "left", "left_before", "record"),
    [
        ("10", "5", "15", "10", "0", ("5", "5")),
        ("10", "20", "15", "15", "10", None),
        ("10", "0", "4", "0", "0", ("4", "0")),
        ("0", "0", "4", "4", "0", None),
        ("8", "0", "-5", "0", "0", ("-5", "0")),
    ],
)
def test_the_first_units_of_a_period_are_the_free_ones(  # noqa: PLR0917 - a table has columns
    free: str, before: str, quantity: str, left: str, left_before: str, record: tuple[str, str] | None
) -> None:
    discount = UsageDiscount(quantity=Decimal(free), correlation_id="u")

    usage, records = discount_usage(Usage(Decimal(quantity), Decimal(before)), discount)

    assert usage == Usage(Decimal(left), Decimal(left_before))
    assert [(r.quantity, r.pre_line_period_quantity) for r in records] == (
        [] if record is None else [(Decimal(record[0]), Decimal(record[1]))]
    )
    assert all(r.child_unique_reference_id == "rateCardDiscount/correlationID=u" for r in records)


def test_free_units_are_converted_units() -> None:
    found = rated("unit 10", "1400", discounts=off(usage="0.5"), config=by("1000", "ceiling"))

    assert found.totals.total == 15


def test_a_record_of_an_earlier_rating_is_replaced_even_when_the_discount_is_gone() -> None:
    usage, records = discount_usage(
        Usage(Decimal(5), Decimal(0)), UsageDiscount(quantity=Decimal(2), correlation_id="u")
    )
    assert len(records) == 1

    assert discount_usage(usage, None, records) == (usage, ())


@pytest.mark.parametrize(
    ("amount", "percentage", "lines"),
    [
        ("unit 10", "50", ["10 x 10 = 100 - 50 unit-price-usage"]),
        ("unit 0.001", "50", ["10 x 0.001 = 0.01 - 0.01 unit-price-usage"]),
        (
            "graduated ..1:0.05 ..2:0.05 ..:0.00625",
            "10",
            [
                "1 x 0.05 = 0.05 - 0.01 graduated-tiered-1-price-usage",
                "1 x 0.05 = 0.05 - 0.01 graduated-tiered-2-price-usage",
                "8 x 0.00625 = 0.05 - 0.01 graduated-tiered-3-price-usage",
            ],
        ),
    ],
)
def test_a_percentage_is_taken_off_every_line(amount: str, percentage: str, lines: list[str]) -> None:
    found = rated(amount, "10", discounts=off(percentage=percentage))

    assert [shown(line) for line in found.lines] == lines


def test_a_percentage_of_nothing_is_still_recorded() -> None:
    found = rated("unit 0", "1", discounts=off(percentage="50"))

    assert [d.amount for d in found.lines[0].amount_discounts] == [0]


@pytest.mark.parametrize(
    ("discounts", "quantity", "code"),
    [
        (
            Discounts(percentage=PercentageDiscount(percentage=Decimal(1))),
            "0",
            "percentage_discount_missing_correlation_id",
        ),
        (Discounts(usage=UsageDiscount(quantity=Decimal(1))), "0", "usage_discount_missing_correlation_id"),
        (off(percentage="150"), "1", "percentage_discount_out_of_range"),
        (off(percentage="-1"), "1", "percentage_discount_out_of_range"),
    ],
)
def test_a_discount_that_cannot_be_given_stops_rating(discounts: Discounts, quantity: str, code: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        rated("unit 1", quantity, discounts=discounts)

    assert refused.value.findings[0].code == code


def test_a_percentage_out_of_range_is_not_noticed_without_a_line() -> None:
    assert rated("unit 1", "0", discounts=off(percentage="150")).lines == ()


def test_percentages_of_amounts() -> None:
    assert percentage_of(Decimal(50), Decimal(100)) == 50
    assert with_markup(Decimal(50), Decimal(100)) == 150


# ── commitments ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("terms", "quantity", "billed", "percentage", "discounts", "total"),
    [
        ("unit 10 max 100", "5", "70", None, ["20"], "30"),
        ("unit 10 max 100", "5", "50", None, [], "50"),
        ("unit 10 max 100", "5", "100", None, ["50"], "0"),
        ("unit 10 max 100", "5", "250", None, ["50"], "0"),
        ("unit 10 max 100", "20", "35", "50", ["100", "35"], "65"),
        ("graduated ..3:5 ..:1 max 170", "10", "160", None, ["5", "7"], "10"),
        ("unit 10 max 15.005", "2", "0", None, ["4.99"], "15.01"),
        ("unit 1000 max 10000.001", "1", "9000.01123", None, ["0.01"], "999.99"),
        ("unit 10 max 0", "2", "0", None, ["20"], "0"),
    ],
)
def test_what_goes_beyond_the_maximum_is_discounted(  # noqa: PLR0917 - a table has columns
    terms: str, quantity: str, billed: str, percentage: str | None, discounts: list[str], total: str
) -> None:
    found = rated(terms, quantity, discounts=off(percentage=percentage), place=Place(split=True), billed=billed)

    assert [d.amount for line in found.lines for d in line.amount_discounts] == [Decimal(d) for d in discounts]
    assert found.totals.total == Decimal(total)


def test_a_maximum_discount_says_which_limit_was_reached() -> None:
    discount = rated("unit 1000 max 500.50", "1").lines[0].amount_discounts[0]

    assert discount.description == "Maximum spend discount for charges over 500.5"
    assert discount.reason == MaximumSpend(limit=Decimal("500.50"))


@pytest.mark.parametrize(
    ("quantity", "place", "billed", "minimum", "shortfall"),
    [
        ("0", Place(), "0", "100", "100"),
        ("2", LAST, "30", "100", "50"),
        ("2", MIDDLE, "30", "100", None),
        ("10", Place(), "0", "100", None),
        ("2", Place(), "0", "20.004", "0"),
        ("2", Place(), "0", "20.006", "0.01"),
        ("2", Place(), "70", "100", "80"),  # not a split: nothing counts as billed before
    ],
)
def test_a_shortfall_of_the_minimum_is_charged_on_the_last_line(
    quantity: str, place: Place, billed: str, minimum: str, shortfall: str | None
) -> None:
    found = rated(f"unit 10 min {minimum}", quantity, place=place, billed=billed)

    charged = [line for line in found.lines if line.category == "commitment"]
    assert [line.totals.charges_total for line in charged] == ([] if shortfall is None else [Decimal(shortfall)])
    assert all(line.service_period == period("2025-01-01", "2025-02-01") for line in charged)
    assert found.totals.charges_total == Decimal(shortfall or 0)


def test_the_maximum_comes_before_the_minimum_and_the_percentage_before_both() -> None:
    found = rated("unit 10 min 80 max 60", "20", discounts=off(percentage="50"))

    assert [shown(line) for line in found.lines] == [
        "20 x 10 = 200 - 140 unit-price-usage",  # 50 % is 100, and 40 go beyond the maximum
        "1 x 20 = 20 min-spend",
    ]


def test_earlier_splits_count_with_their_gross_amount() -> None:
    earlier = [Totals(amount=Decimal(100), discounts_total=Decimal(50), total=Decimal(50))]

    assert previously_billed(earlier) == 100


# ── credits ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("terms", "quantity", "credits_", "by_line"),
    [
        ("graduated ..5:f100 ..:f50", "6", ("75", "75"), [["75", "25"], ["50"]]),
        ("graduated ..5:f100 ..:f50 min 200", "6", ("175",), [["100"], ["50"], ["25"]]),
        ("unit 10", "5", ("0.004",), [[]]),
        ("unit 10", "5", ("-5",), [["-5"]]),
    ],
)
def test_credits_cover_lines_in_order(
    terms: str, quantity: str, credits_: tuple[str, ...], by_line: list[list[str]]
) -> None:
    found = rated(terms, quantity, credits_=credits_)

    assert [[c.amount for c in line.credits_applied] for line in found.lines] == [
        [Decimal(amount) for amount in amounts] for amounts in by_line
    ]
    assert all(line.totals.reconciles for line in found.lines)


def test_a_credit_is_never_booked_against_nothing() -> None:
    with pytest.raises(ValidationFailed) as refused:
        rated("unit 10", "5", credits_=("50.01",))

    assert refused.value.findings[0].code == "invoice_line_credits_not_consumed_fully"
