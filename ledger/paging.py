"""Pages of a listing, and what comes in with a query: limits, cursors, times, ids."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from aggregates.values.errors import Finding, NotFound, ValidationFailed
from aggregates.values.period import timestamp

T = TypeVar("T")
R = TypeVar("R")

Moment: TypeAlias = datetime | str
"""An aware datetime, or RFC 3339 text; a bare date is midnight UTC."""

LARGEST_PAGE = 1000


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a listing; `next` continues it as `after`, and is absent on the last part."""

    items: tuple[T, ...]
    next: str | None = None


def page_of(
    rows: Sequence[R], limit: int, view: Callable[[R], T], cursor: Callable[[R], tuple[object, ...]]
) -> Page[T]:
    """A page of at most `limit` rows, from one row more where there is one."""
    shown = rows[:limit]
    after = urlsafe_b64encode(msgspec.json.encode(cursor(shown[-1]))).decode() if len(rows) > limit else None
    return Page(tuple(view(row) for row in shown), after)


def read_cursor(token: str, types: tuple[type, ...]) -> tuple[Any, ...]:
    """The values of a cursor that `page_of` wrote. Raises `ValidationFailed`."""
    try:
        return tuple(msgspec.json.decode(urlsafe_b64decode(token), type=tuple.__class_getitem__(types)))
    except (msgspec.MsgspecError, NotBase64, UnicodeEncodeError, ValueError):
        raise invalid("after", "invalid_cursor", f"{token!r} is not the `next` of a page of this listing") from None


def checked_limit(limit: int) -> int:
    """A limit from 1 to 1,000. Raises `ValidationFailed`."""
    if not 1 <= limit <= LARGEST_PAGE:
        raise invalid("limit", "invalid_limit", f"a page has 1 to {LARGEST_PAGE} items, got {limit!r}")
    return limit


def checked_moment(value: Moment, path: str) -> datetime:
    """A time in UTC. Raises `ValidationFailed` for one that cannot be read or has no zone."""
    try:
        return timestamp(value)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise invalid(path, "invalid_time", str(error)) from None


def checked_id(value: UUID | str, missing: type[NotFound]) -> UUID:
    """An id. Text that is none names nothing: raises `missing`."""
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise missing(value) from None


def invalid(path: str, code: str, message: str) -> ValidationFailed:
    """One finding."""
    return ValidationFailed((Finding(path, code, message),))
