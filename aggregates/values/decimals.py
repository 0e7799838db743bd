"""Exact decimal arithmetic: one context that refuses to round, and the roundings that have a name.

Inside `exact()` every `+ - *` on decimals is exact or raises `decimal.Inexact`; 28 digits, Python's default,
would silently round a sum of large quantities. Only `round_half_away` and `divide` round, and they say so.
Amounts are written without exponent and without a negative zero (lifecycles §1.2, decision 13).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from decimal import localcontext as _localcontext
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

ZERO = Decimal(0)
ONE = Decimal(1)

# 24 digits before the point, at most 40 behind it, and products of three such numbers stay exact
# (a quantity by its conversion factor by its price).
DIGITS = 256
EXACT = Context(prec=DIGITS, rounding=ROUND_HALF_UP, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_ROUNDING = Context(prec=DIGITS, rounding=ROUND_HALF_UP, traps=[InvalidOperation, DivisionByZero, Overflow])

LIMIT = Decimal(10) ** 24
_PLAIN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)\Z", re.ASCII)
_QUANTA = tuple(Decimal(1).scaleb(-places) for places in range(41))


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Run a pure function under the exact context, whatever context its caller has.

    >>> exact(lambda: Decimal("1e24") + Decimal("1e-9"))()
    Decimal('1000000000000000000000000.000000001')
    """

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with _localcontext(EXACT):
            return function(*args, **kwargs)

    return inside


def parse_decimal(value: object) -> Decimal:
    """An exact decimal from text, an int or a Decimal; never from a float, never with an exponent.

    Raises `ValueError` naming what is wrong: a float, an exponent, not a number, or 10^24 and beyond.
    """
    if isinstance(value, bool | float):
        msg = f'{value!r} is not an exact number; write it as text, like "0.10"'
        raise ValueError(msg)
    if isinstance(value, int):
        number = Decimal(value)
    elif isinstance(value, Decimal):
        number = value
    elif isinstance(value, str) and _PLAIN.match(value.strip()):
        number = Decimal(value.strip())
    else:
        msg = f'{value!r} is not a plain decimal number, like "12.50"'
        raise ValueError(msg)
    if not number.is_finite():
        msg = f"{value!r} is not a finite number"
        raise ValueError(msg)
    if number.copy_abs() >= LIMIT:
        msg = f"{value!r} is too large: numbers stay below 10^24"
        raise ValueError(msg)
    if decimal_places(number) > 40:
        msg = f"{value!r} has more than 40 decimals"
        raise ValueError(msg)
    return plain(number)


def decimal_places(number: Decimal) -> int:
    """How many digits behind the point are needed to write the number exactly: 1.50 needs 1, 100 needs 0."""
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= 0 or not number:
        return 0
    reduced = number.normalize(EXACT).as_tuple().exponent
    return max(0, -reduced) if isinstance(reduced, int) else 0


def plain(number: Decimal) -> Decimal:
    """The same value with no positive exponent and no negative zero, so that its text is a plain number."""
    if not number:
        return ZERO if number.is_signed() else number
    # Its text has such an exponent exactly when the number has one, and is at hand sooner than the exponent itself.
    return number.quantize(ONE, context=EXACT) if "E+" in str(number) else number


def text(number: Decimal) -> str:
    """The number as text without an exponent: Decimal("3E-7") is "0.0000003"."""
    digits = str(number)
    if "E" in digits or (not number and number.is_signed()):
        return format(plain(number), "f")
    return digits


def shortest(number: Decimal) -> str:
    """The number as text without an exponent and without trailing zeros: Decimal("10.00") is "10" (rating §2.1)."""
    if not number:
        return "0"
    digits = str(number)
    if "E" in digits:
        digits = format(number, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def round_half_away(number: Decimal, places: int) -> Decimal:
    """Round to a number of decimals, halves away from zero: 0.005 to 2 places is 0.01, -0.005 is -0.01."""
    rounded = number.quantize(_QUANTA[places], context=_ROUNDING)
    return rounded or _QUANTA[places] * 0


def divide(dividend: Decimal, divisor: Decimal, places: int) -> Decimal:
    """The quotient rounded half away from zero at a number of decimals; the caller names the decimals."""
    return round_half_away(_ROUNDING.divide(dividend, divisor), places)
