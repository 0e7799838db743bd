"""Ports: what the core asks of the outside. Each has a default inside and may be replaced.

`Clock` answers "now" for the whole ledger; `Meter` answers quantities, and `PartedMeter` what they are made of; `Taxes`
answers what tax the lines of an invoice carry; an `InvoicingSystem` outside takes what charges ask of invoices. The
fault probe is called with a name before every port, pool decision and store call; it does nothing by default, and
tests make it fail or kill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable
from uuid import UUID

import msgspec

from aggregates.catalogue import Aggregation
from aggregates.catalogue import Meter as MeterDefinition
from aggregates.charges.events import GatheringLineDeleted, GatheringLineRequested, GatheringLineUpserted
from aggregates.charges.outside_events import OutsideEvent
from aggregates.invoices.facts import TaxNeeded
from aggregates.invoices.lines import LineTax
from aggregates.rating.parts import PartsNeeded
from aggregates.values.money import Currency
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


class TaxQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of one invoice that are about to be booked: final, with something to pay, and taxable.

    Amounts are net, in `currency`; `at` is the moment of issue, `zone` the customer's.
    """

    namespace: str
    customer: str
    invoice_id: UUID
    currency: Currency
    at: datetime
    zone: str
    lines: tuple[TaxNeeded, ...]


class Taxes(Protocol):
    """Calculates tax. Without one no tax is calculated, and invoices say so (lifecycles §17)."""

    def taxes(self, query: TaxQuery) -> Mapping[UUID, LineTax]:
        """The tax on top of each line, by its id: one answer for every line of the query, and no other.

        Asked again when a lost race is decided again, or a failed step retried: it answers, and changes nothing. What
        it raises leaves the invoice in `issuing.sync_failed` with nothing booked, and `retry` asks again.
        """
        ...


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Something a charge asks of an invoicing system outside: the event it is, and whose (decision 30).

    `charge` and `version` together are its id; `at` is the business time of the command it came from.
    """

    charge: UUID
    version: int
    namespace: str
    customer: str
    at: datetime
    body: GatheringLineRequested | GatheringLineUpserted | GatheringLineDeleted | OutsideEvent


class InvoicingSystem(Protocol):
    """An invoicing system outside, which takes the place of the invoices inside (policy `invoicing`)."""

    def deliver(self, effect: Effect) -> None:
        """Take an effect; the same one may come again, and effects come in the order of the log.

        What it raises is tried again with the next delivery, and nothing behind it is delivered before.
        """
        ...
