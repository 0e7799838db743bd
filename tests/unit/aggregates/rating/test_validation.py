"""A charge holds valid prices by construction: what is refused when one is written down, and what lies beside it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aggregates.rating import (
    NO_DISCOUNTS,
    Discounts,
    FlatPrice,
    PercentageDiscount,
    Price,
    Tier,
    TieredPrice,
    UnitConfig,
    UnitPrice,
    UsageDiscount,
    checked_terms,
    validate_terms,
)
from aggregates.rating.validation import price_is_valid, unit_config_is_valid
from aggregates.values.errors import Findings, ValidationFailed
from tests.support.rating import off, price


def found(terms: Price, discounts: Discounts = NO_DISCOUNTS, config: UnitConfig | None = None) -> list[tuple[str, str]]:
    findings = Findings()
    validate_terms(findings, terms, discounts, config)
    return [(finding.path, finding.code) for finding in findings.items]


@pytest.mark.parametrize(
    ("terms", "path", "code"),
    [
        ("unit -1", "price.amount", "price_amount_negative"),
        ("package -1/1", "price.amount", "price_amount_negative"),
        ("package 1/0", "price.quantity_per_package", "package_size_not_positive"),
        ("dynamic -0.1", "price.multiplier", "price_multiplier_negative"),
        ("staircase ..:1", "price.mode", "tiered_mode_unsupported"),
        ("volume", "price.tiers", "tiers_empty"),
        ("volume ..5:1", "price.tiers", "tiers_without_open_end"),
        ("volume ..:1 ..:2", "price.tiers", "tiers_with_several_open_ends"),
        ("volume ..5:1 ..5:2 ..:1", "price.tiers[1].up_to_amount", "tier_bound_duplicate"),
        ("volume ..-5:1 ..:1", "price.tiers[0].up_to_amount", "tier_bound_not_positive"),
        ("volume ..0:1 ..:1", "price.tiers[0].up_to_amount", "tier_bound_not_positive"),
        ("volume ..5: ..:1", "price.tiers[0]", "tier_without_price"),
        ("volume ..5:-1 ..:1", "price.tiers[0].unit_price", "price_amount_negative"),
        ("volume ..5:f-1 ..:1", "price.tiers[0].flat_price", "price_amount_negative"),
        ("unit 1 min -1", "price.minimum_amount", "minimum_amount_negative"),
        ("unit 1 max -1", "price.maximum_amount", "maximum_amount_negative"),
        ("unit 1 min 2 max 1", "price.minimum_amount", "minimum_amount_above_maximum"),
        ("unit 1 min 2 max 0", "price.minimum_amount", "minimum_amount_above_maximum"),
        ("unit 1000000000000000000000000", "price.amount", "number_out_of_range"),
    ],
)
def test_a_price_that_is_wrong_is_refused_where_it_is_wrong(terms: str, path: str, code: str) -> None:
    assert found(price(terms)) == [(path, code)]


@pytest.mark.parametrize(
    "terms",
    [
        "unit 0",
        "package 0/0.5",
        "dynamic 0.9",
        "volume ..5:1 ..10:f1 ..:0",
        "graduated ..10:1 ..5:2 ..:0",
        "unit 1 min 1 max 1",
        "unit 1 min 0 max 0",
    ],
)
def test_a_price_just_beside_it_is_fine(terms: str) -> None:
    assert found(price(terms)) == []


@pytest.mark.parametrize("terms", ["volume ..:1 ..:2", "volume ..0:1 ..:1", "unit 1 min 2 max 0"])
def test_the_reference_lets_through_what_we_do_not(terms: str) -> None:
    assert price_is_valid(price(terms))
    assert found(price(terms)) != []


def test_everything_wrong_is_told_at_once() -> None:
    terms = TieredPrice(
        mode="graduated",
        tiers=(Tier(up_to_amount=Decimal(-1)), Tier(unit_price=Decimal(-2))),
        minimum_amount=Decimal(-3),
    )
    config = UnitConfig(operation="square", conversion_factor=Decimal(0), rounding="sometimes")

    with pytest.raises(ValidationFailed) as refused:
        checked_terms(terms, off(percentage="101", usage="-1"), config)

    assert [finding.code for finding in refused.value.findings] == [
        "tier_bound_not_positive",
        "tier_without_price",
        "price_amount_negative",
        "minimum_amount_negative",
        "percentage_discount_invalid_value",
        "usage_discount_negative_quantity",
        "unit_config_invalid",
        "unit_config_invalid",
        "unit_config_invalid",
    ]


@pytest.mark.parametrize(
    ("number", "fine"),
    [("NaN", False), ("Infinity", False), ("0." + "0" * 40 + "1", False), ("0." + "0" * 39 + "1", True)],
)
def test_a_price_is_a_number_that_can_be_calculated_with(number: str, fine: bool) -> None:
    assert found(UnitPrice(amount=Decimal(number))) == ([] if fine else [("price.amount", "number_out_of_range")])


def test_a_flat_price_has_no_usage_to_discount_or_convert() -> None:
    flat = FlatPrice(amount=Decimal(-1), payment_term="quarterly")
    config = UnitConfig(operation="divide", conversion_factor=Decimal(10))

    assert [code for _, code in found(flat, off(usage="1"), config)] == [
        "price_amount_negative",
        "flat_payment_term_unsupported",
        "usage_discount_with_flat_price",
        "unit_config_requires_usage_based_price",
    ]


def test_a_discount_names_what_it_belongs_to() -> None:
    anonymous = Discounts(
        percentage=PercentageDiscount(percentage=Decimal(1)), usage=UsageDiscount(quantity=Decimal(1))
    )

    assert found(price("unit 1"), anonymous) == [
        ("discounts.percentage", "percentage_discount_missing_correlation_id"),
        ("discounts.usage", "usage_discount_missing_correlation_id"),
    ]


def test_findings_carry_the_path_of_what_they_are_part_of() -> None:
    findings = Findings()

    validate_terms(findings, price("unit -1"), under="intents[2]")

    assert findings.items[0].path == "intents[2].price.amount"


def test_the_precision_of_a_conversion_counts_only_with_a_rounding() -> None:
    def config(rounding: str, precision: int) -> UnitConfig:
        return UnitConfig(operation="divide", conversion_factor=Decimal(1), rounding=rounding, precision=precision)

    assert unit_config_is_valid(config("none", -1))
    assert unit_config_is_valid(None)
    assert not unit_config_is_valid(config("floor", -1))
    assert not unit_config_is_valid(config("floor", 2_147_483_648))
