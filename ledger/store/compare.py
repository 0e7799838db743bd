"""Comparing two generations of a view, row by row and column by column; the first differences are named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from projections.projection import AnyProjection, Key, Row

SHOWN_DIFFERENCES = 20

UNREADABLE = (ValueError, ArithmeticError, TypeError, LookupError, AttributeError, msgspec.MsgspecError)
"""What a value that somebody changed by hand makes of whoever reads it."""


class Difference(msgspec.Struct, frozen=True):
    """Where a stored view is not what its events say: in which row and column; a whole row where `column` is absent."""

    view: str
    key: dict[str, Any]
    column: str | None
    expected: object
    found: object

    def __str__(self) -> str:
        place = ", ".join(f"{name}={value}" for name, value in self.key.items())
        what = f"{self.view}[{place}]" + (f".{self.column}" if self.column else "")
        return f"{what}: expected {_shown(self.expected)}, found {_shown(self.found)}"


class Comparison(msgspec.Struct, frozen=True):
    """A stored view against the same events folded anew, both up to `position`. `differences` are the first ones."""

    view: str
    position: int
    rows: int
    differing: int
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether every row and column was as expected."""
        return self.differing == 0


def compared(projection: AnyProjection, position: int, expected: Iterator[Row], found: Iterator[Row]) -> Comparison:
    """Walk two generations side by side in the order of their keys."""
    rows = differing = 0
    shown: list[Difference] = []
    try:
        for key, left, right in _side_by_side(projection, expected, found):
            rows += 1
            if left is not None and right is not None and tuple(left) == tuple(right):
                continue
            differing += 1
            if len(shown) < SHOWN_DIFFERENCES:
                shown.extend(_differences(projection, key, left, right))
    except UNREADABLE as error:
        return unreadable(projection, position, error)
    return Comparison(projection.name, position, rows, differing, tuple(shown))


def unreadable(projection: AnyProjection, position: int, error: Exception) -> Comparison:
    """A live view with values that cannot be read at all: the first one is reported, and a rebuild heals it."""
    found = f"{type(error).__name__}: {error}"
    difference = Difference(projection.name, {}, None, "rows that can be read", found)
    return Comparison(projection.name, position, 0, 1, (difference,))


def _side_by_side(
    projection: AnyProjection, expected: Iterator[Row], found: Iterator[Row]
) -> Iterator[tuple[Key, Row | None, Row | None]]:
    key_of = projection.key_of
    left, right = next(expected, None), next(found, None)
    while left is not None or right is not None:
        left_key = key_of(left) if left is not None else None
        right_key = key_of(right) if right is not None else None
        if right_key is None or (left_key is not None and left_key < right_key):
            assert left_key is not None
            yield left_key, left, None
            left = next(expected, None)
        elif left_key is None or right_key < left_key:
            yield right_key, None, right
            right = next(found, None)
        else:
            yield left_key, left, right
            left, right = next(expected, None), next(found, None)


def _differences(projection: AnyProjection, key: Key, expected: Row | None, found: Row | None) -> Iterator[Difference]:
    named = dict(zip(projection.key, key, strict=True))
    if expected is None or found is None:
        yield Difference(
            projection.name, named, None, expected and _named(projection, expected), found and _named(projection, found)
        )
        return
    for column, left, right in zip(projection.names, expected, found, strict=True):
        if left != right:
            yield Difference(projection.name, named, column, left, right)


def _named(projection: AnyProjection, row: Row) -> dict[str, Any]:
    return dict(zip(projection.names, row, strict=True))


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)
