"""Prices beyond the specification's, in numbers: percentage, graduated percentage, tiered package, matrix."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from aggregates.rating import (
    GraduatedPercentagePrice,
    LineToRate,
    MatrixCell,
    MatrixPrice,
    PercentagePrice,
    PercentageTier,
    Place,
    Price,
    RunEngine,
    RunToRate,
    Tier,
    TieredPackagePrice,
    UsageEvent,
    as_text,
    explain,
    rate,
    rate_run,
    validate_terms,
)
from aggregates.rating.wire import read_price
from aggregates.values.errors import Findings, ValidationFailed
from tests.support.rating import SERVICE, USD, off, shown

CARD_FEES = PercentagePrice(
    percentage=Decimal("2.9"),
    fixed_fee=Decimal("0.30"),
    minimum_per_event=Decimal("0.50"),
    maximum_per_event=Decimal(10),
)
BY_REGION = MatrixPrice(
    property_name="region",
    cells=(
        MatrixCell(value="eu", unit_price=Decimal("0.10")),
        MatrixCell(value="us", unit_price=Decimal("0.08")),
    ),
    fallback=Decimal("0.12"),
)
PACKAGES = TieredPackagePrice(
    quantity_per_package=Decimal(1000),
    tiers=(Tier(up_to_amount=Decimal(2), unit_price=Decimal(10)), Tier(unit_price=Decimal(8), flat_price=Decimal(1))),
)
SHARES = GraduatedPercentagePrice(
    tiers=(
        PercentageTier(up_to_amount=Decimal(1000), percentage=Decimal(2)),
        PercentageTier(percentage=Decimal(1), flat_price=Decimal(3)),
    )
)


def events(*values: str, **properties: str) -> tuple[UsageEvent, ...]:
    return tuple(UsageEvent(quantity=Decimal(value), properties=properties) for value in values)


def lines(price: Price, quantity: str = "", *usage: UsageEvent) -> list[str]:
    total = Decimal(quantity) if quantity else sum((event.quantity for event in usage), Decimal(0))
    found = rate(LineToRate(currency=USD, price=price, quantity=total, events=usage))
    return [shown(line) for line in found.lines]


# ── percentage ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_share_of_the_value_needs_no_events() -> None:
    assert lines(PercentagePrice(percentage=Decimal("2.9")), "1105") == [
        "1105 x 0.029 = 32.05 percentage-value"  # 32.045, rounded once
    ]
    assert lines(PercentagePrice(percentage=Decimal("2.9")), "0") == []


def test_events_pay_share_and_fee_or_their_floor_or_their_ceiling() -> None:
    assert lines(CARD_FEES, "", *events("5", "100", "1000")) == [
        "100 x 0.029 = 2.9 percentage-value",
        "1 x 0.3 = 0.3 percentage-fixed-fee",
        "1 x 0.5 = 0.5 percentage-event-minimum",
        "1 x 10 = 10 percentage-event-maximum",
    ]


def test_an_event_exactly_at_its_floor_or_ceiling_pays_share_and_fee() -> None:
    price = PercentagePrice(percentage=Decimal(1), minimum_per_event=Decimal("0.50"), maximum_per_event=Decimal(10))

    assert lines(price, "", *events("50", "1000")) == ["1050 x 0.01 = 10.5 percentage-value"]
    assert lines(price, "", *events("49.99", "1000.01")) == [
        "1 x 0.5 = 0.5 percentage-event-minimum",
        "1 x 10 = 10 percentage-event-maximum",
    ]


def test_the_first_events_are_free() -> None:
    price = PercentagePrice(percentage=Decimal(1), free_events=2)

    assert lines(price, "", *events("500", "100")) == []
    assert lines(price, "", *events("500", "100", "40")) == ["40 x 0.01 = 0.4 percentage-value"]


# ── graduated percentage, tiered package ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1000", ["1000 x 0.02 = 20 graduated-percentage-1-price-usage"]),
        (
            "1500",
            [
                "1000 x 0.02 = 20 graduated-percentage-1-price-usage",
                "500 x 0.01 = 5 graduated-percentage-2-price-usage",
                "1 x 3 = 3 graduated-percentage-2-flat-price",
            ],
        ),
    ],
)
def test_a_share_falls_with_the_value(value: str, expected: list[str]) -> None:
    assert lines(SHARES, value) == expected


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("2000", ["2 x 10 = 20 tiered-package-1-price-usage"]),
        (
            "2001",
            [
                "2 x 10 = 20 tiered-package-1-price-usage",
                "1 x 8 = 8 tiered-package-2-price-usage",
                "1 x 1 = 1 tiered-package-2-flat-price",
            ],
        ),
    ],
)
def test_packages_get_cheaper_by_their_number(quantity: str, expected: list[str]) -> None:
    assert lines(PACKAGES, quantity) == expected


def test_a_package_is_started_by_one_split_only() -> None:
    split = LineToRate(
        currency=USD,
        price=PACKAGES,
        quantity=Decimal(400),
        pre_line_quantity=Decimal(1700),
        place=Place(split=True, first=False),
    )

    assert [shown(line) for line in rate(split).lines] == [
        "1 x 8 = 8 tiered-package-2-price-usage",
        "1 x 1 = 1 tiered-package-2-flat-price",
    ]


# ── matrix ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_unit_costs_what_its_property_says_else_the_fallback() -> None:
    usage = (*events("60", "40", region="eu"), *events("50", region="us"), *events("7", region="br"), *events("3"))

    assert lines(BY_REGION, "", *usage) == [
        "100 x 0.1 = 10 matrix-price-usage/eu",
        "50 x 0.08 = 4 matrix-price-usage/us",
        "10 x 0.12 = 1.2 matrix-price-usage",
    ]


# ── behind the same interface ────────────────────────────────────────────────────────────────────────────────


def test_discounts_and_commitments_apply_as_to_every_price() -> None:
    price = msgspec.structs.replace(SHARES, maximum_amount=Decimal(12))
    found = rate(LineToRate(currency=USD, price=price, quantity=Decimal(1500), discounts=off(percentage="50")))

    assert found.totals.total == 12
    assert as_text(explain(found.lines[1], USD)).splitlines()[0] == "tier 2"


@pytest.mark.parametrize("engine", [RunEngine.DELTA, RunEngine.INVOICE_COMPATIBLE_DELTA])
def test_runs_rate_events_as_they_rate_sums(engine: RunEngine) -> None:
    usage = events("60", region="eu")
    run = RunToRate(
        engine=engine,
        price=BY_REGION,
        currency=USD,
        service_period=SERVICE,
        period=SERVICE,
        quantity=Decimal(60),
        events=usage,
    )

    rated = rate_run(run)

    assert [shown(line) for line in rated.lines] == ["60 x 0.1 = 6 matrix-price-usage/eu"]
    assert rated.snapshots[0].events == usage


@pytest.mark.parametrize(
    ("quantity", "usage", "code"),
    [
        ("60", (), "usage_events_do_not_sum"),
        ("60", events("59"), "usage_events_do_not_sum"),
        ("60", events("61", "-1"), "usage_event_negative"),
    ],
)
def test_events_are_all_of_the_usage(quantity: str, usage: tuple[UsageEvent, ...], code: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        lines(CARD_FEES, quantity, *usage)

    assert refused.value.findings[0].code == code


def test_a_price_by_event_is_neither_split_nor_freed() -> None:
    line = LineToRate(currency=USD, price=CARD_FEES, quantity=Decimal(5), events=events("5"))

    with pytest.raises(ValidationFailed, match="billed whole"):
        rate(msgspec.structs.replace(line, place=Place(split=True, last=False)))
    with pytest.raises(ValidationFailed, match="free units"):
        rate(msgspec.structs.replace(line, discounts=off(usage="1")))


@pytest.mark.parametrize(
    ("price", "code"),
    [
        (PercentagePrice(percentage=Decimal(-1)), "price_percentage_negative"),
        (PercentagePrice(percentage=Decimal(1), fixed_fee=Decimal(-1)), "price_amount_negative"),
        (PercentagePrice(percentage=Decimal(1), free_events=-1), "free_events_negative"),
        (
            PercentagePrice(percentage=Decimal(1), minimum_per_event=Decimal(2), maximum_per_event=Decimal(1)),
            "event_minimum_above_maximum",
        ),
        (msgspec.structs.replace(BY_REGION, property_name=""), "matrix_property_missing"),
        (msgspec.structs.replace(BY_REGION, fallback=Decimal(-1)), "price_amount_negative"),
        (msgspec.structs.replace(BY_REGION, cells=BY_REGION.cells * 2), "matrix_value_duplicate"),
        (
            msgspec.structs.replace(BY_REGION, cells=(MatrixCell(value="a@[b", unit_price=Decimal(1)),)),
            "matrix_value_unsupported",
        ),
        (msgspec.structs.replace(PACKAGES, quantity_per_package=Decimal(0)), "package_size_not_positive"),
        (msgspec.structs.replace(PACKAGES, tiers=()), "tiers_empty"),
        (GraduatedPercentagePrice(tiers=(PercentageTier(),)), "tier_without_price"),
    ],
)
def test_what_is_wrong_with_them_is_found_when_they_are_written_down(price: Price, code: str) -> None:
    findings = Findings()

    validate_terms(findings, price, events_metered=True)

    assert {finding.code for finding in findings.items} == {code}


@pytest.mark.parametrize("price", [CARD_FEES, BY_REGION, SHARES, PACKAGES])
def test_they_are_valid_and_travel_as_json(price: Price) -> None:
    findings = Findings()
    validate_terms(findings, price, events_metered=True)

    assert findings.items == []
    assert read_price(msgspec.json.decode(msgspec.json.encode(price))) == price


def test_a_price_by_event_is_refused_where_only_sums_are_metered() -> None:
    findings = Findings()

    validate_terms(findings, CARD_FEES)

    assert [finding.code for finding in findings.items] == ["price_needs_usage_events"]
