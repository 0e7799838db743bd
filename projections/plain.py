"""What folds keep as JSON: values of events as plain data, decimals as text without an exponent, instants in UTC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import msgspec

from aggregates.values import decimals
from projections.projection import JsonText

_write = msgspec.json.Encoder(decimal_format="string").encode
_EXPONENT = re.compile(rb'"-?[0-9.]+E[+-][0-9]+"')


def json_text(value: object) -> JsonText:
    """JSON of any value of an event: `Decimal("3E-7")` is written "0.0000003"."""
    data = _write(value)
    # An exponent is rare: looking for two bytes is what the common case pays.
    if (b"E-" in data or b"E+" in data) and _EXPONENT.search(data):
        data = _write(plain(value))
    return JsonText(data.decode())


def json_extended(items: JsonText, more: Sequence[object]) -> JsonText:
    """A list in JSON with more values of events at its end; what is there is not looked into."""
    added = json_text(more)
    return added if len(items) == len("[]") else JsonText(f"{items[:-1]},{added[1:]}") if more else items


def read_json(text: JsonText) -> Any:
    """What JSON says, as plain data."""
    return msgspec.json.decode(text)


def plain(value: object) -> Any:
    """The same value as dictionaries, lists, text and whole numbers."""
    return _without_decimals(msgspec.to_builtins(value, builtin_types=(Decimal,), str_keys=True))


def moment(written: str) -> datetime:
    """The instant that `plain` wrote."""
    return datetime.fromisoformat(written)


def _without_decimals(value: Any) -> Any:
    if isinstance(value, Decimal):
        return decimals.text(value)
    if isinstance(value, dict):
        return {key: _without_decimals(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_without_decimals(item) for item in cast("list[Any]", value)]
    return value
