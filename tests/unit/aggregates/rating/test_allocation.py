"""An amount is spread without losing a cent (rating §12), and a part of a period costs a part of the amount."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aggregates.rating.allocation import allocate_by_amount, allocate_by_weight
from aggregates.rating.proration import prorated
from aggregates.values.errors import ValidationFailed
from aggregates.values.money import FIAT, Currency
from aggregates.values.period import Period, period

USD, JPY = FIAT["USD"], FIAT["JPY"]


def spread(
    amount: str, weights: str, *, capped: bool = False, by_key: bool = False, currency: Currency = USD
) -> list[tuple[str, Decimal]]:
    allocate = allocate_by_amount if capped else allocate_by_weight
    items = [("CABDEF"[i], Decimal(weight)) for i, weight in enumerate(weights.split())]
    return allocate(Decimal(amount), items, currency, tie_break=str if by_key else None)


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        ("0.05", "1 1 1", "0.02 0.02 0.01"),
        ("100", "1 2 3", "16.67 33.33 50"),
        ("6", "10 5", "4 2"),
        ("1", "0.001 0.002", "0.33 0.67"),
    ],
)
def test_the_largest_remainders_get_the_rest(amount: str, weights: str, parts: str) -> None:
    assert [part for _, part in spread(amount, weights)] == [Decimal(part) for part in parts.split()]


def test_ties_go_by_position_or_by_key() -> None:
    assert spread("0.01", "1 1") == [("C", Decimal("0.01"))]
    assert spread("0.01", "1 1", by_key=True) == [("A", Decimal("0.01"))]


def test_items_that_get_nothing_are_left_out() -> None:
    assert spread("0.01", "100 1") == [("C", Decimal("0.01"))]
    assert spread("0", "") == []


def test_no_bucket_gets_more_than_it_holds() -> None:
    assert [part for _, part in spread("5.00", "10 5", capped=True)] == [Decimal("3.33"), Decimal("1.67")]
    assert [part for _, part in spread("3", "1 1 1", capped=True, currency=JPY)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("amount", "weights", "capped", "code"),
    [
        ("1.001", "2", False, "allocation_amount_not_rounded"),
        ("-1", "2", False, "allocation_amount_negative"),
        ("1", "0", False, "allocation_weight_not_positive"),
        ("1", "", False, "allocation_items_empty"),
        ("1", "2.001", True, "allocation_weight_not_rounded"),
        ("3", "2", True, "allocation_amount_exceeds_items"),
    ],
)
def test_what_cannot_be_spread_is_refused(amount: str, weights: str, capped: bool, code: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        spread(amount, weights, capped=capped)

    assert refused.value.findings[0].code == code


@pytest.mark.parametrize(
    ("amount", "currency", "served", "part"),
    [
        ("100", USD, period("2025-01-01", "2025-01-11"), "32.26"),
        ("1000", JPY, period("2025-01-01", "2025-01-11"), "323"),
        ("100", USD, period("2025-01-01", "2025-02-01"), "100"),
        ("100", USD, period("2025-01-01", "2025-03-01"), "100"),
        ("100", USD, period("2025-01-01", "2025-01-01"), "100"),
    ],
)
def test_part_of_a_period_costs_part_of_the_amount(amount: str, currency: Currency, served: Period, part: str) -> None:
    assert prorated(Decimal(amount), served, period("2025-01-01", "2025-02-01"), currency) == Decimal(part)


def test_an_empty_full_period_prorates_nothing() -> None:
    assert prorated(Decimal(7), period("2025-01-01", "2025-02-01"), period("2025-01-01", "2025-01-01"), USD) == 7
