"""Instants, half-open periods and calendar durations.

An instant is an aware datetime in UTC, truncated (not rounded) to whole seconds on entry: the second is the
smallest window a meter can answer for (lifecycles §1.1). A period is `[from, to)`; it is empty when `to <= from`.
Durations are ISO 8601 and calendar aware: their months and days are added on the wall clock of a zone.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta
from typing import NewType
from zoneinfo import ZoneInfo

import msgspec

Instant = NewType("Instant", datetime)
"""An aware UTC datetime with whole seconds. Bookkeeping times (`recorded_at`) are plain datetimes with microseconds."""

_LEAP_SECOND = re.compile(r"(T\d\d:\d\d):60")


def instant(value: datetime | str) -> Instant:
    """Normalise to UTC and whole seconds: "2025-01-01T00:00:00.9Z" is 2025-01-01T00:00:00Z.

    Accepts an aware datetime or RFC 3339 text; a bare date is midnight UTC; `:60` reads as `:59` (decision 32).
    Raises `ValueError` for a time without a zone.
    """
    moment = timestamp(value)
    return Instant(moment.replace(microsecond=0))


def timestamp(value: datetime | str) -> datetime:
    """Normalise to UTC with full precision (microseconds), for bookkeeping times and event times."""
    if isinstance(value, str):
        given = value.strip()
        if re.fullmatch(r"\d{4}-\d\d-\d\d", given):
            given += "T00:00:00Z"
        try:
            given.encode("ascii")  # digits of other scripts look like other times
            value = datetime.fromisoformat(_LEAP_SECOND.sub(r"\1:59", given.replace(" ", "T", 1)))
        except ValueError:
            msg = f"{given!r} is not a time, like 2026-01-31T12:00:00Z"
            raise ValueError(msg) from None
    if value.tzinfo is None:
        msg = f"{value.isoformat()} has no time zone; write it with one, like {value.isoformat()}Z"
        raise ValueError(msg)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        msg = f"{value.isoformat()} lies outside the years 1 to 9999 in UTC"
        raise ValueError(msg) from None


class Period(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The half-open stretch of time `[from, to)`. Empty when both bounds are equal; never backwards."""

    from_: Instant
    to: Instant

    def __post_init__(self) -> None:
        if self.to < self.from_:
            msg = f"a period cannot end ({self.to.isoformat()}) before it begins ({self.from_.isoformat()})"
            raise ValueError(msg)

    @property
    def is_empty(self) -> bool:
        """Whether no instant lies in the period."""
        return self.to <= self.from_

    @property
    def seconds(self) -> int:
        """Its length in whole seconds; proration counts these (decision 32)."""
        return int((self.to - self.from_).total_seconds())

    def contains(self, moment: datetime) -> bool:
        """Whether the moment lies in the period: the beginning does, the end does not."""
        return self.from_ <= moment < self.to

    def __str__(self) -> str:
        return f"[{self.from_.isoformat()}, {self.to.isoformat()})"


def period(from_: datetime | str, to: datetime | str) -> Period:
    """A period from text: `period("2025-01-01", "2025-02-01")`. Raises `ValueError` when it ends before it begins."""
    return Period(instant(from_), instant(to))


_DURATION = re.compile(
    r"P(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?\Z",
    re.ASCII,
)


class Duration(msgspec.Struct, frozen=True):
    """A calendar-aware ISO duration: whole months, then days on the wall clock, then exact seconds."""

    months: int = 0
    days: int = 0
    seconds: int = 0

    @staticmethod
    def parse(text: str) -> Duration:
        """`P2D`, `PT1H`, `P1M`, `P0D`. Raises `ValueError` for anything else, fractions and signs included."""
        match = _DURATION.match(text)
        parts = {name: int(value) for name, value in match.groupdict().items() if value} if match else {}
        if not match or not any(value is not None for value in match.groupdict().values()):
            msg = f'{text!r} is not an ISO 8601 duration, like "P2D" or "PT30M"'
            raise ValueError(msg)
        return Duration(
            months=parts.get("years", 0) * 12 + parts.get("months", 0),
            days=parts.get("weeks", 0) * 7 + parts.get("days", 0),
            seconds=parts.get("hours", 0) * 3600 + parts.get("minutes", 0) * 60 + parts.get("seconds", 0),
        )

    def after(self, start: datetime, zone: str = "UTC") -> Instant:
        """The instant this long after `start`, months and days counted in the zone's calendar.

        A month from 31 January is the last day of February; the anchor day returns where the month has it.
        """
        local = start.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if self.months:
            year, month = divmod(local.year * 12 + local.month - 1 + self.months, 12)
            day = min(local.day, calendar.monthrange(year, month + 1)[1])
            local = local.replace(year=year, month=month + 1, day=day)
        if self.days:
            local += timedelta(days=self.days)
        moved = local.replace(tzinfo=ZoneInfo(zone)) if self.months or self.days else start
        return instant(moved.astimezone(UTC) + timedelta(seconds=self.seconds))

    def __str__(self) -> str:
        date = (f"{self.months}M" if self.months else "") + (f"{self.days}D" if self.days else "")
        time = f"T{self.seconds}S" if self.seconds else ""
        return f"P{date}{time}" if date or time else "P0D"
