"""Arrays for PostgreSQL in its binary form: one parameter per column, whatever the number of rows.

The driver would look at every element to find out what it is, and could not know the type of an empty array. Here the
type is said, so that a statement has one signature and is planned once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeVar
from uuid import UUID

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HEAD = struct.Struct(">iiIii").pack
_EMPTY_HEAD = struct.Struct(">iiI").pack
_INT = struct.Struct(">i").pack
_INT_OF_FOUR = struct.Struct(">ii").pack
_BIGINT = struct.Struct(">iq").pack
_NULL = _INT(-1)
_UUID_SIZE = _INT(16)


class Array(bytes):
    """An array in the binary form, of the element type that its class names."""

    element: ClassVar[int]
    oid: ClassVar[int]


class UuidArray(Array):
    """`uuid[]`."""

    element, oid = 2950, 2951


class IntArray(Array):
    """`int[]`."""

    element, oid = 23, 1007


class BigintArray(Array):
    """`bigint[]`."""

    element, oid = 20, 1016


class TextArray(Array):
    """`text[]`."""

    element, oid = 25, 1009


class ByteaArray(Array):
    """`bytea[]`."""

    element, oid = 17, 1001


class TimestamptzArray(Array):
    """`timestamptz[]`."""

    element, oid = 1184, 1185


A = TypeVar("A", bound=Array)


def uuids(values: Iterable[UUID | None]) -> UuidArray:
    """An array of ids; None is NULL."""
    return _array(UuidArray, [_NULL if value is None else _UUID_SIZE + value.bytes for value in values])


def ints(values: Sequence[int]) -> IntArray:
    """An array of small whole numbers."""
    return _array(IntArray, [_INT_OF_FOUR(4, value) for value in values])


def bigints(values: Iterable[int | None]) -> BigintArray:
    """An array of whole numbers; None is NULL."""
    return _array(BigintArray, [_NULL if value is None else _BIGINT(8, value) for value in values])


def texts(values: Iterable[str]) -> TextArray:
    """An array of texts."""
    return _array(TextArray, [_sized(value.encode()) for value in values])


def byteas(values: Iterable[bytes]) -> ByteaArray:
    """An array of byte strings."""
    return _array(ByteaArray, [_sized(value) for value in values])


def moments(values: Iterable[datetime | None]) -> TimestamptzArray:
    """An array of instants; None is NULL."""
    return _array(
        TimestamptzArray,
        [_NULL if value is None else _BIGINT(8, (value - _EPOCH) // _MICROSECOND) for value in values],
    )


def _sized(value: bytes) -> bytes:
    return _INT(len(value)) + value


def _array(kind: type[A], parts: list[bytes]) -> A:
    if not parts:
        return kind(_EMPTY_HEAD(0, 0, kind.element))
    return kind(_HEAD(1, int(_NULL in parts), kind.element, len(parts), 1) + b"".join(parts))


def register(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Let a connection take such arrays as parameters."""
    for kind in (UuidArray, IntArray, BigintArray, TextArray, ByteaArray, TimestamptzArray):
        connection.adapters.register_dumper(kind, type(f"{kind.__name__}Dumper", (_Dumper,), {"oid": kind.oid}))


class _Dumper(Dumper):
    """Hands the bytes over as they are."""

    format = pq.Format.BINARY

    def dump(self, obj: Array) -> Buffer | None:
        return obj
