"""What people type, turned into what the ledger takes: databases, times, amounts, prices.

Only what the shape of a command line decides is decided here; whether a price or a period makes sense is said by
the ledger, with everything else that is wrong, at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

import typer

from aggregates.values.decimals import parse_decimal
from aggregates.values.period import timestamp

T = TypeVar("T")

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}

PLAIN_FORMS = ("sqlite:", "postgresql:", "postgres:", "memory:")


def database(url: str) -> str:
    """A URL as it is; anything else is the path of an SQLite file."""
    if url.startswith(PLAIN_FORMS) or "://" in url:
        return url
    return f"sqlite:///{quote(url)}"


def moment(value: str | None, option: str) -> datetime | None:
    """A time with a zone, or a bare date for midnight UTC."""
    return None if value is None else checked(option, lambda: timestamp(value))


def span(value: str, option: str) -> timedelta:
    """A length of time above zero: 30s, 5m, 2h or 1d."""
    number, unit = value[:-1], value[-1:]
    if not (number.isascii() and number.isdecimal() and len(number) < 7 and unit in _UNITS and int(number)):
        raise typer.BadParameter(f"{option} is written 30s, 5m, 2h or 1d, got {value!r}")
    return int(number) * _UNITS[unit]


def pairs(values: Sequence[str], option: str) -> dict[str, str]:
    """`NAME=VALUE`, several times."""
    out: dict[str, str] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or not name or not rest:
            raise typer.BadParameter(f"{option} is written NAME=VALUE, got {value!r}")
        out[name] = rest
    return out


def json_object(value: str | None, option: str) -> dict[str, Any] | None:
    """A JSON object; its numbers stay exact."""
    if value is None:
        return None
    try:
        read = json.loads(value, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{option} is not JSON: {error}") from None
    if not isinstance(read, dict):
        raise typer.BadParameter(f"{option} is a JSON object, got {value!r}")
    return cast("dict[str, Any]", read)


def document(file: Path, option: str) -> dict[str, Any]:
    """The JSON object in a file, or on standard input where the file is `-`."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{option} cannot be read: {error}") from None
    return json_object(text, option) or {}


def price(
    options: Mapping[str, str | None], *, minimum: str | None, maximum: str | None, required: bool = True
) -> dict[str, Any] | None:
    """The one price among the ways to write it: `options` are by the name of their option."""
    given = {option: value for option, value in options.items() if value is not None}
    if len(given) > 1:
        raise typer.BadParameter(f"one price only, got {' and '.join(given)}")
    if not given:
        if required:
            raise typer.BadParameter(f"a price is missing: one of {', '.join(options)}")
        if minimum is not None or maximum is not None:
            raise typer.BadParameter("--minimum and --maximum belong to a price")
        return None
    ((option, value),) = given.items()
    out = _price(option, value)
    if minimum is not None:
        out["minimum_amount"] = minimum
    if maximum is not None:
        out["maximum_amount"] = maximum
    return out


def _price(option: str, value: str) -> dict[str, Any]:
    match option:
        case "--unit":
            return {"type": "unit", "amount": value}
        case "--graduated" | "--volume":
            return {"type": "tiered", "mode": option.removeprefix("--"), "tiers": _tiers(value, option)}
        case "--package":
            amount, colon, size = value.partition(":")
            if not colon:
                raise typer.BadParameter(f"--package is written AMOUNT:SIZE, like 1.00:1000, got {value!r}")
            return {"type": "package", "amount": amount, "quantity_per_package": size}
        case "--dynamic":
            return {"type": "dynamic", "multiplier": value}
        case _:
            return json_object(value, option) or {}


def _tiers(value: str, option: str) -> list[dict[str, str]]:
    tiers: list[dict[str, str]] = []
    for step in value.split(","):
        bound, colon, amount = step.strip().partition(":")
        if not colon or not amount:
            raise typer.BadParameter(
                f"{option} is written UP_TO:AMOUNT,…,:AMOUNT, like 1000000:0.000015,:0.00001, got {step!r}"
            )
        tiers.append({"unit_price": amount} | ({"up_to_amount": bound} if bound else {}))
    return tiers


def _no_constant(name: str) -> None:
    msg = f"{name} is not a number"
    raise ValueError(msg)


def number(value: str | None, option: str) -> Decimal | None:
    """An exact decimal."""
    return None if value is None else checked(option, lambda: parse_decimal(value))


def checked(option: str, make: Callable[[], T]) -> T:
    """What `make` makes, its refusal told as one of the command line."""
    try:
        return make()
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


def moment_or_position(value: str | None, option: str) -> datetime | int | None:
    """A time, or a position of the log."""
    if value is not None and value.isascii() and value.isdecimal() and len(value) < 19:
        return int(value)
    return moment(value, option)
