"""What a price has to know of usage events, and that parts of them cost what they cost one by one."""

from decimal import Decimal

import pytest

from aggregates.rating import (
    ByProperty,
    ByValue,
    LineToRate,
    MatrixCell,
    MatrixPrice,
    PercentagePrice,
    Price,
    UnitPrice,
    UsageEvent,
    checked_terms,
    parts_needed,
    rate,
    validate_terms,
)
from aggregates.values.errors import Findings, ValidationFailed
from aggregates.values.money import FIAT
from tests.unit.aggregates.rating.test_further_prices import BY_REGION, CARD_FEES

USD = FIAT["USD"]


def together(quantity: str, count: int) -> UsageEvent:
    return UsageEvent(quantity=Decimal(quantity), count=count)


def lines(price: Price, *usage: UsageEvent) -> list[tuple[Decimal, str]]:
    total = sum((event.quantity for event in usage), Decimal(0))
    found = rate(LineToRate(currency=USD, price=price, quantity=total, events=usage))
    return [(line.quantity, line.pricer_reference_id) for line in found.lines]


# ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────


def test_prices_that_look_at_sums_need_no_parts() -> None:
    assert parts_needed(UnitPrice(amount=Decimal(1))) is None
    assert parts_needed(PercentagePrice(percentage=Decimal("2.9"))) is None


def test_a_matrix_needs_its_cells_apart() -> None:
    assert parts_needed(BY_REGION) == ByProperty(property_name="region", values=("eu", "us"))


def test_the_bounds_of_a_percentage_are_the_values_at_which_floor_and_ceiling_are_reached() -> None:
    """(0.50 - 0.30) / 0.029 is 6.8965517241379310344827…, (10 - 0.30) / 0.029 is 334.4827586206896551724137…"""
    assert parts_needed(CARD_FEES) == ByValue(
        below=Decimal("6.896551724137931035"), above=Decimal("334.482758620689655172")
    )


def test_a_fee_above_the_ceiling_puts_every_event_there() -> None:
    price = PercentagePrice(percentage=Decimal(10), fixed_fee=Decimal(3), maximum_per_event=Decimal(2))

    assert parts_needed(price) == ByValue(above=Decimal(-10))


def test_without_a_share_all_events_cost_the_same() -> None:
    price = PercentagePrice(percentage=Decimal(0), fixed_fee=Decimal(1), free_events=4, maximum_per_event=Decimal(9))

    assert parts_needed(price) == ByValue(free=4)


def test_bounds_stay_in_the_range_of_values() -> None:
    price = PercentagePrice(percentage=Decimal("0.0000000001"), maximum_per_event=Decimal(10) ** 23)

    assert parts_needed(price) == ByValue(above=Decimal(10) ** 24)


# ── what parts cost ──────────────────────────────────────────────────────────────────────────────────────────


def test_events_of_one_kind_may_stand_together() -> None:
    """Three at the floor of 0.50, two of together 300, one above the ceiling."""
    assert lines(CARD_FEES, together("9", 3), together("300", 2), together("1000", 1)) == [
        (Decimal(300), "percentage-value"),
        (Decimal(2), "percentage-fixed-fee"),
        (Decimal(3), "percentage-event-minimum"),
        (Decimal(1), "percentage-event-maximum"),
    ]


def test_free_events_may_stand_together_in_front() -> None:
    price = PercentagePrice(percentage=Decimal(1), free_events=3)

    assert lines(price, together("600", 3), together("40", 2)) == [(Decimal(40), "percentage-value")]
    assert lines(price, together("600", 2)) == []


def test_events_that_are_free_in_part_are_refused() -> None:
    with pytest.raises(ValidationFailed) as refused:
        lines(PercentagePrice(percentage=Decimal(1), free_events=3), together("600", 4))

    assert [finding.code for finding in refused.value.findings] == ["usage_events_not_apart"]


# ── who may ask ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("price", [CARD_FEES, BY_REGION])
def test_a_price_by_event_is_fine_where_events_are_metered(price: Price) -> None:
    findings = Findings()
    validate_terms(findings, price, events_metered=True)

    assert not findings.items
    with pytest.raises(ValidationFailed) as refused:
        checked_terms(price)
    assert [finding.code for finding in refused.value.findings] == ["price_needs_usage_events"]


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_a_matrix_names_only_what_a_usage_event_can_have(text: str) -> None:
    findings = Findings()
    price = MatrixPrice(property_name=text, cells=(MatrixCell(value=text, unit_price=Decimal(1)),), fallback=Decimal(1))
    validate_terms(findings, price, events_metered=True)

    assert {finding.code for finding in findings.items} == {"matrix_property_missing", "matrix_value_unsupported"}
