"""Usage events: what makes two of them the same, and what cannot be one."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.catalogue import Aggregation
from ledger.metering.sqlite import digits, from_digits
from ledger.metering.usage import canonical, check, from_microseconds, microseconds
from tests.unit.ledger.metering.usages import meter, used

VALUES = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**24) + 1, max_value=10**24 - 1, places=18)


def test_the_same_moment_in_another_zone_and_the_same_value_written_longer_are_the_same_content() -> None:
    here = used("a", "1.50", time=datetime(2025, 1, 1, 12, tzinfo=UTC))
    there = used("a", "1.5", time=datetime(2025, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))))

    assert here == there
    assert here.fingerprint() == there.fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        used("a", 2),
        used("a", 1, customer="emca"),
        used("a", 1, meter="requests"),
        used("a", 1, at=0.000001),
        used("a"),
        used("a", 1, properties={"model": "small"}),
    ],
)
def test_whatever_differs_in_content_differs_in_fingerprint(other: object) -> None:
    assert other.fingerprint() != used("a", 1).fingerprint()  # type: ignore[attr-defined]


def test_properties_are_compared_by_name_whatever_their_order() -> None:
    one = used("a", 1, properties={"model": "m", "zone": "z"})
    two = used("a", 1, properties={"zone": "z", "model": "m"})
    three = used("a", 1, properties={"zone": "m", "model": "z"})

    assert one.fingerprint() == two.fingerprint() != three.fingerprint()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"time": datetime(2025, 1, 1)}, "no time zone"),  # noqa: DTZ001 - that is the point
        ({"value": 1.5}, "not an exact number"),
        ({"value": Decimal("NaN")}, "not a finite number"),
        ({"value": Decimal(10) ** 24}, "below 10^24"),
        ({"value": Decimal("0." + "0" * 18 + "1")}, "more than 18 decimals"),
        ({"id": ""}, "1 to 512 bytes"),
        ({"id": "x" * 513}, "1 to 512 bytes"),
        ({"customer": "ü" * 257}, "1 to 512 bytes"),
        ({"customer": "a\x00b"}, "NUL"),
        ({"customer": "\ud800"}, "half a character"),
        ({"properties": {"": "x"}}, "property"),
        ({"properties": {"model": ""}}, "property model"),
    ],
)
def test_what_cannot_be_usage_cannot_be_made(fields: dict[str, object], says: str) -> None:
    from ledger.metering.usage import UsageEvent

    whole = {"source": "s", "id": "a", "customer": "acme", "meter": "m", "time": datetime(2025, 1, 1, tzinfo=UTC)}
    with pytest.raises(ValueError, match=says.replace("^", r"\^")):
        UsageEvent(**{**whole, **fields})  # type: ignore[arg-type]


def test_the_largest_and_the_smallest_values_are_usage() -> None:
    largest = Decimal("9" * 24 + "." + "9" * 18)

    assert used("a", largest).value == largest
    assert used("a", f"-{largest}").value == largest.copy_negate()
    assert used("a", "0.000000000000000001").value == Decimal("1e-18")


@pytest.mark.parametrize(
    ("given_", "kept"), [("1.500", "1.5"), ("100", "100"), ("-0", "0"), ("007", "7"), ("0.0", "0")]
)
def test_values_are_kept_in_one_form(given_: str, kept: str) -> None:
    assert str(canonical(given_)) == kept
    assert str(canonical(Decimal(given_))) == kept


def test_more_decimals_than_the_meter_declares_are_refused_and_never_rounded() -> None:
    cents = meter().__class__(id=meter().id, key="tokens", aggregation=Aggregation.SUM, decimals=2)

    assert [f.code for f in check(used("a", "0.125"), cents)] == ["too_many_decimals"]
    assert check(used("a", "0.12"), cents) == []
    assert check(used("a", "0.1200"), cents) == []


def test_a_value_is_needed_wherever_values_are_aggregated() -> None:
    for aggregation in Aggregation:
        counted = aggregation in (Aggregation.COUNT, Aggregation.UNIQUE_COUNT)
        assert [f.code for f in check(used("a"), meter(aggregation))] == ([] if counted else ["missing_value"])


def test_a_unique_count_needs_the_property_it_counts_and_every_event_needs_its_meter() -> None:
    users = meter(Aggregation.UNIQUE_COUNT, property="user")

    assert [f.code for f in check(used("a"), users)] == ["missing_property"]
    assert check(used("a", properties={"user": "ann"}), users) == []
    assert [f.code for f in check(used("a", 1), None)] == ["meter_not_found"]


@given(VALUES)
def test_three_digits_of_base_10_18_hold_every_value_and_keep_the_order(value: Decimal) -> None:
    assert from_digits(*digits(value)) == value  # type: ignore[arg-type]
    assert (digits(value) < digits(Decimal("1.5"))) == (value < Decimal("1.5"))
    assert all(-(2**63) <= digit < 2**63 for digit in digits(value) if digit is not None)


@given(st.datetimes(timezones=st.just(UTC)))
def test_microseconds_hold_every_moment(moment: datetime) -> None:
    assert from_microseconds(microseconds(moment)) == moment
