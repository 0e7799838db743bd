"""History: what happened, one line per event, in words a finance person understands.

`History` is a fold: `learn` takes in events that explain others (the grant a collection took from), `tell` makes the
line of an event. The order of lines is the order of the log. Every event there is has its sentence; one without is a
type error, and `tests/unit/projections/audit` counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias, cast
from uuid import UUID

import msgspec

from aggregates.charges.events import EVENTS as CHARGE_EVENTS
from aggregates.charges.events import ChargeEvent
from aggregates.credits.events import EVENTS as POOL_EVENTS
from aggregates.credits.events import CreditPoolEvent
from aggregates.deliveries import EffectsDelivered
from aggregates.event import AnyRecorded, DomainEvent, Recorded, aggregate_of
from aggregates.invoices.events import EVENTS as INVOICE_EVENTS
from aggregates.invoices.events import InvoiceEvent
from aggregates.runs.events import EVENTS as RUN_EVENTS
from aggregates.runs.events import RunEvent
from aggregates.values import decimals
from projections.audit.known import Known
from projections.audit.sentences import charges, invoices, pools, runs, settings
from projections.audit.sentences.settings import SettingsEvent
from projections.projection import Entry

Details: TypeAlias = dict[str, Any]
"""Everything the event holds as plain values: decimals and times as text, ids as text."""


class HistoryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One event, told. `at` is the business time of the command, `recorded_at` when the log took it; both UTC."""

    position: int
    recorded_at: datetime
    at: datetime
    stream: UUID
    version: int
    name: str
    sentence: str
    details: Details


class History:
    """Tells events in the order in which they come by."""

    def __init__(self) -> None:
        self._known = Known()

    def learn(self, record: AnyRecorded) -> None:
        """Take in an event that is not told itself, but explains others."""
        self._known.learn(record)

    def tell(self, entry: Entry) -> HistoryLine:
        """The line of an event."""
        record = entry.record
        self._known.learn(record)
        return HistoryLine(
            position=entry.position,
            recorded_at=record.recorded_at,
            at=record.at,
            stream=record.stream,
            version=record.version,
            name=record.body.NAME,
            sentence=sentence(record, self._known),
            details=cast("Details", _plain(msgspec.to_builtins(record.body, builtin_types=(Decimal,)))),
        )


def history(entries: Iterable[Entry]) -> Iterator[HistoryLine]:
    """The lines of events in the order of the log."""
    teller = History()
    return (teller.tell(entry) for entry in entries)


def sentence(record: AnyRecorded, known: Known) -> str:
    """The sentence of one event, whatever it happened to."""
    kind = cast("type[DomainEvent]", type(record.body))
    if kind in CHARGE_EVENTS:
        return charges.sentence(cast("Recorded[ChargeEvent]", record), known)
    if kind in RUN_EVENTS:
        return runs.sentence(cast("Recorded[RunEvent]", record), known)
    if kind in POOL_EVENTS:
        return pools.sentence(cast("Recorded[CreditPoolEvent]", record), known)
    if kind in INVOICE_EVENTS:
        return invoices.sentence(cast("Recorded[InvoiceEvent]", record), known)
    if aggregate_of(kind.NAME) == "number_series":
        return invoices.number(record)
    if kind is EffectsDelivered:
        return settings.delivered(record)
    return settings.sentence(cast("Recorded[SettingsEvent]", record), known)


def _plain(value: Any) -> Any:
    """The same tree with every decimal as text without an exponent."""
    if isinstance(value, Decimal):
        return decimals.text(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("Details", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value
