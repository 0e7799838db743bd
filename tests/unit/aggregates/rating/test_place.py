"""What of a line can be billed as of a moment, and which lines are no line at all (rating §4)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aggregates.rating import FlatPrice, Place, billable_period
from aggregates.values.errors import ValidationFailed
from aggregates.values.period import Period, period, timestamp
from tests.support.rating import price

DAY = period("2021-01-01", "2021-01-02")


def billable(
    terms: str, as_of: str, *, progressive: bool = True, meter: str = "sum", split: bool = False
) -> Period | None:
    return billable_period(
        FlatPrice(amount=Decimal(1)) if terms == "flat" else price(terms),
        DAY,
        as_of=timestamp(as_of),
        invoice_at=timestamp("2021-01-01T06:00:00Z"),
        split=split,
        progressive_billing=progressive,
        meter_aggregation=meter,
    )


@pytest.mark.parametrize(
    ("as_of", "ends"),
    [
        ("2021-01-01T00:00:00Z", None),
        ("2021-01-01T00:00:00.9Z", None),
        ("2021-01-01T00:00:01Z", "2021-01-01T00:00:01Z"),
        ("2021-01-01T12:00:00.5Z", "2021-01-01T12:00:00Z"),
        ("2021-01-03T00:00:00Z", "2021-01-02T00:00:00Z"),
    ],
)
@pytest.mark.parametrize("terms", ["unit 1", "graduated ..:1", "package 1/1", "dynamic 1"])
def test_progressive_billing_bills_what_has_passed(terms: str, as_of: str, ends: str | None) -> None:
    assert billable(terms, as_of) == (ends and Period(DAY.from_, period(DAY.from_, ends).to))


@pytest.mark.parametrize(
    ("terms", "progressive", "meter"),
    [("unit 1", False, "sum"), ("unit 1", True, "latest"), ("unit 1", True, "MIN"), ("volume ..:1", True, "sum")],
)
def test_everything_else_is_billed_when_the_period_is_over(terms: str, progressive: bool, meter: str) -> None:
    assert billable(terms, "2021-01-01T23:59:59.9Z", progressive=progressive, meter=meter) is None
    assert billable(terms, "2021-01-02T00:00:00Z", progressive=progressive, meter=meter) == DAY


def test_a_flat_price_is_billed_at_its_invoice_time() -> None:
    assert billable("flat", "2021-01-01T05:59:59Z") is None
    assert billable("flat", "2021-01-01T06:00:00Z") == DAY


@pytest.mark.parametrize("terms", ["flat", "volume ..:1"])
def test_a_price_for_the_whole_period_is_never_split(terms: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        billable(terms, "2021-01-02T00:00:00Z", split=True)

    assert refused.value.findings[0].code == "invoice_progressive_billing_not_supported"


def test_a_split_knows_which_ends_of_the_period_it_touches() -> None:
    def place(from_: str, to: str) -> Place:
        return Place.of(period(from_, to), DAY, split=True)

    assert place("2021-01-01", "2021-01-01T12:00:00Z") == Place(split=True, first=True, last=False)
    assert place("2021-01-01T06:00:00Z", "2021-01-01T12:00:00Z") == Place(split=True, first=False, last=False)
    assert place("2021-01-01T06:00:00Z", "2021-01-02") == Place(split=True, first=False, last=True)
    assert Place.of(DAY, DAY, split=False) == Place()


def test_a_line_that_is_no_split_covers_the_whole_period() -> None:
    with pytest.raises(ValidationFailed) as refused:
        Place.of(period("2021-01-01", "2021-01-01T12:00:00Z"), DAY, split=False)

    assert refused.value.findings[0].code == "line_period_differs"
