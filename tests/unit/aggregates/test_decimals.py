"""Decimals as text: plain digits, whatever exponent the number came with."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.values.decimals import plain, text


@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("12.50", "12.50"),
        ("-0.10", "-0.10"),
        ("1500", "1500"),
        ("1.5E+3", "1500"),
        ("-1E+24", "-1000000000000000000000000"),
        ("3E-7", "0.0000003"),
        ("-1.20E-9", "-0.00000000120"),
        ("0.00", "0.00"),
        ("-0.00", "0"),
    ],
)
def test_an_amount_is_written_without_an_exponent_and_without_a_negative_zero(number: str, written: str) -> None:
    assert text(Decimal(number)) == written


@given(st.decimals(min_value=-(10**24), max_value=10**24, allow_nan=False, allow_infinity=False))
def test_what_is_written_is_the_number(number: Decimal) -> None:
    written = text(number)
    assert "E" not in written
    assert Decimal(written) == number
    assert str(plain(number)).find("E+") < 0
