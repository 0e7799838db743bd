"""Ports: what the core asks of the outside. Each has a default inside and may be replaced.

`Clock` answers "now" for the whole ledger; `Meter` answers quantities, and `PartedMeter` what they are made of. The
fault probe is called with a name before every port, pool decision and store call; it does nothing by default, and
tests make it fail or kill.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable

import msgspec

from aggregates.catalogue import Aggregation
from aggregates.catalogue import Meter as MeterDefinition
from aggregates.rating.parts import PartsNeeded
from aggregates.values.period import timestamp

Probe = Callable[[str], None]
"""Called with the name of a call before it happens; raises to make it fail."""


def no_probe(_call: str) -> None:
    """The probe of a ledger that nobody is testing."""


class Clock(Protocol):
    """Where every "now" comes from, `recorded_at` included."""

    @property
    def is_system(self) -> bool:
        """Whether this is the system's own time; usage is then stamped with the database's clock."""
        ...

    def now(self) -> datetime:
        """The present moment, aware, UTC, with microseconds."""
        ...


class SystemClock:
    """The machine's clock."""

    is_system = True

    def now(self) -> datetime:
        """The present moment."""
        return datetime.now(UTC)


class SettableClock:
    """A clock that stands still until it is set: for tests, trials (`--now`) and demos. It may go back."""

    is_system = False

    def __init__(self, moment: datetime | str) -> None:
        self._moment = timestamp(moment)

    def now(self) -> datetime:
        """The moment it was set to."""
        return self._moment

    def set(self, moment: datetime | str) -> None:
        """Set it; text is read as RFC 3339."""
        self._moment = timestamp(moment)


class MeterQuery(msgspec.Struct, frozen=True):
    """A window of usage: event time in `[from_, to)`, stored strictly before `stored_at_lt` (lifecycles §5.4)."""

    namespace: str
    customer: str
    meter: MeterDefinition
    from_: datetime
    to: datetime
    stored_at_lt: datetime


class MeteredPart(msgspec.Struct, frozen=True):
    """A part of a quantity: what so many events come to. `value` is that of the property they were parted by."""

    quantity: Decimal
    count: int
    value: str | None = None


class Metered(msgspec.Struct, frozen=True):
    """The answer: the exact quantity and the ingest position it was read at, for the record (decision 16).

    `parts` sum to the quantity exactly; there are none where nobody asked for them.
    """

    quantity: Decimal
    position: int
    parts: tuple[MeteredPart, ...] = ()


class Meter(Protocol):
    """Answers quantities. The same query with the same bounds answers the same number later."""

    def quantity(self, query: MeterQuery) -> Metered:
        """The meter's aggregate over the window; waits for older ingest chunks still in flight."""
        ...


@runtime_checkable
class PartedMeter(Meter, Protocol):
    """A meter that can also tell its quantity apart, for prices that look at usage events."""

    def parts(self, query: MeterQuery, by: PartsNeeded) -> Metered:
        """The quantity of the same window, by the same rules, with its parts.

        Parts by property come in the order of their values, the part without one last. Parts by value come in the
        order free, below zero, less than `below`, between, more than `above`. A part without events is left out.
        Asked only of meters that `adds_up`.
        """
        ...


def adds_up(meter: MeterDefinition) -> bool:
    """Whether the meter's quantity is the sum of what each event adds to it: its value, or one."""
    return meter.aggregation in {Aggregation.SUM, Aggregation.COUNT}
