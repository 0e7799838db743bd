"""Usage events: what was used, by whom, when; and what makes two of them the same.

A usage event is identified by its namespace, source and id. Sent again with the same content it is a duplicate and
changes nothing; sent again with another content it is a conflict: the first one counts, the other is quarantined
and listed (decision 17). The content's **fingerprint** tells the two cases apart.

Event times keep microseconds and are compared exactly with the bounds of a window. Values are exact decimals of at
most 18 places, below 10^24 in size. They may be negative: a correction in a sum (decision 18).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from aggregates.catalogue import MAX_DECIMALS, Aggregation, Meter
from aggregates.values.decimals import EXACT, LIMIT, ONE, ZERO, decimal_places, parse_decimal, plain, text
from aggregates.values.errors import Finding

MAX_BYTES = 512
"""Ids, customers, meter keys, sources and property names and values are at most this long in UTF-8."""

VALUELESS = frozenset({Aggregation.COUNT, Aggregation.UNIQUE_COUNT})
"""Meters whose events need no value: they count events, or the values of a property."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """That a customer used something once.

    `source` and `id` identify the event in its namespace; `meter` is the meter's key; `time` is when it was used
    (any zone, kept in UTC); `value` how much, absent where a meter only counts; `properties` what a unique count
    counts. Whoever makes one gets it in canonical form: "1.50" is kept as 1.5.

    Raises `ValueError` for a time without a zone, a float, a value of 10^24 or beyond or with more than 18 decimals,
    and text that is empty, longer than 512 bytes, or holds a NUL.
    """

    source: str
    id: str
    customer: str
    meter: str
    time: datetime
    value: Decimal | None = None
    properties: dict[str, str] = msgspec.field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        for name in ("source", "id", "customer", "meter"):
            _check_text(name, getattr(self, name))
        if self.time.tzinfo is not UTC:
            msgspec.structs.force_setattr(self, "time", _in_utc(self.time))
        if self.value is not None:
            msgspec.structs.force_setattr(self, "value", canonical(self.value))
        for name, value in self.properties.items():
            _check_text("property", name)
            _check_text(f"property {name}", value)

    @property
    def identity(self) -> tuple[str, str]:
        """What tells this event from every other of its namespace."""
        return (self.source, self.id)

    def fingerprint(self) -> bytes:
        """SHA-256 of the content: equal for two events exactly when they say the same."""
        parts = [self.customer, self.meter, str(microseconds(self.time))]
        parts.append("" if self.value is None else text(self.value))
        for name, value in sorted(self.properties.items()):
            parts += (name, value)
        return digest(parts)


class StoredUsage(msgspec.Struct, frozen=True):
    """A usage event as it is kept: when the meter learned of it, and where it stands in the order of ingestion.

    `position` is that of its ingest chunk; `place` orders all events of all chunks and is unique.
    """

    event: UsageEvent
    stored_at: datetime
    place: int

    @property
    def position(self) -> int:
        """The ingest position of the chunk it came in."""
        return position_of(self.place)


# ── places: a position and a number within the chunk, in one integer ─────────────────────────────────────────

MAX_CHUNK = 1 << 20


def place(position: int, ordinal: int) -> int:
    """Where the n-th event of a chunk stands among all events; ties in event time are settled by it."""
    return position * MAX_CHUNK + ordinal


def last_place(position: int) -> int:
    """The last place that an event of that chunk can have."""
    return place(position + 1, 0) - 1


def position_of(place: int) -> int:
    """The ingest position of the chunk an event came in."""
    return place // MAX_CHUNK


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────


def canonical(value: object) -> Decimal:
    """The value with neither exponent nor trailing zeros, so that equal values look alike in every store.

    Raises `ValueError` for a float, 10^24 and beyond, and more than 18 decimals.
    """
    # Most values are whole numbers; they are in this form already, or nearly so.
    if type(value) is str and len(value) <= 24 and value.isascii() and value.isdigit():
        return Decimal(value)
    if type(value) is Decimal and value.same_quantum(ONE) and -LIMIT < value < LIMIT:
        return value or ZERO
    number = parse_decimal(value)
    if decimal_places(number) > MAX_DECIMALS:
        msg = f"{text(number)} has more than {MAX_DECIMALS} decimals"
        raise ValueError(msg)
    return normal(number)


def normal(number: Decimal) -> Decimal:
    """The same number with neither exponent nor trailing zeros, of any size: a sum may be larger than its parts."""
    return plain(number.normalize(EXACT))


def check(event: UsageEvent, meter: Meter | None, path: str = "") -> list[Finding]:
    """What is wrong with an event by the definition of its meter; nothing when it may be stored.

    Codes: `meter_not_found`, `missing_value`, `too_many_decimals` (refused, never rounded: architecture §7) and
    `missing_property`, for a unique count of a property the event does not have.
    """
    if meter is None:
        return [Finding(path, "meter_not_found", f"no meter {event.meter!r}")]
    findings: list[Finding] = []
    if event.value is None:
        if meter.aggregation not in VALUELESS:
            findings.append(Finding(path, "missing_value", f"meter {meter.key!r} needs a value"))
    elif not event.value.same_quantum(ONE) and decimal_places(event.value) > meter.decimals:
        message = f"{text(event.value)} has more than the {meter.decimals} decimals of meter {meter.key!r}"
        findings.append(Finding(path, "too_many_decimals", message))
    if meter.property is not None and meter.property not in event.properties:
        message = f"meter {meter.key!r} counts the property {meter.property!r}, which is missing"
        findings.append(Finding(path, "missing_property", message))
    return findings


def check_all(events: Iterable[UsageEvent], meters: Mapping[str, Meter]) -> list[Finding]:
    """The findings of several events; paths name the event, `events[3]`."""
    return [
        finding
        for number, event in enumerate(events)
        for finding in check(event, meters.get(event.meter), f"events[{number}]")
    ]


# ── text, time, bytes ────────────────────────────────────────────────────────────────────────────────────────


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """The instant so many microseconds after the beginning of 1970."""
    return _EPOCH + timedelta(microseconds=count)


def digest(parts: Iterable[str]) -> bytes:
    """SHA-256 of several texts, length-prefixed: ("ab", "c") and ("a", "bc") stay apart."""
    return hashlib.sha256("".join([f"{len(part)}:{part}" for part in parts]).encode()).digest()


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        msg = f"the time {moment.isoformat()} has no time zone"
        raise ValueError(msg)
    return moment.astimezone(UTC)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        msg = f"{name} must be text"
        raise ValueError(msg)
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        msg = f"{name} holds half a character (a lone surrogate)"
        raise ValueError(msg) from None
    if not 1 <= size <= MAX_BYTES:
        msg = f"{name} must be text of 1 to {MAX_BYTES} bytes"
        raise ValueError(msg)
    if "\x00" in value:
        msg = f"{name} holds a NUL character"
        raise ValueError(msg)
