"""Ports: what the core asks of the outside. Each has a default inside and may be replaced.

`Clock` answers "now" for the whole ledger; `Meter` answers quantities. The fault probe is called with a name before
every port, pool decision and store call; it does nothing by default, and tests make it fail or kill.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from aggregates.catalogue import Meter as MeterDefinition
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


class Metered(msgspec.Struct, frozen=True):
    """The answer: the exact quantity and the ingest position it was read at, for the record (decision 16)."""

    quantity: Decimal
    position: int


class Meter(Protocol):
    """Answers quantities. The same query with the same bounds answers the same number later."""

    def quantity(self, query: MeterQuery) -> Metered:
        """The meter's aggregate over the window; waits for older ingest chunks still in flight."""
        ...
