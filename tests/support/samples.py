"""A sample of every event there is, made from the types of its fields: a new event is covered on its first day."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import EnumType
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from aggregates.event import AnyRecorded, DomainEvent, Recorded
from aggregates.journal.chart import Account, Route
from aggregates.journal.postings import Entry, Template, Transaction
from aggregates.values.money import Currency, fiat
from aggregates.values.period import Instant, Period, instant, period

STREAM = UUID("019a3b2c-0000-7000-8000-0000000000a1")
OTHER = UUID("019a3b2c-0000-7000-8000-0000000000b2")
MOMENT = datetime(2026, 2, 1, tzinfo=UTC)

_ROUTE = Route(currency=fiat("USD"))

SAMPLES: Mapping[object, Any] = {
    str: "words",
    bool: True,
    int: 1,
    Decimal: Decimal("12.5"),
    UUID: OTHER,
    datetime: MOMENT,
    date: MOMENT.date(),
    Instant: instant(MOMENT),
    Currency: fiat("USD"),
    Period: period("2026-01-01", "2026-02-01"),
    Transaction: Transaction(
        template=Template.ISSUE,
        booked_at=instant(MOMENT),
        accounting_date=instant(MOMENT),
        entries=(
            Entry(account=Account.FBO, route=_ROUTE, amount=Decimal("12.5")),
            Entry(account=Account.RECEIVABLE, route=_ROUTE, amount=Decimal("-12.5")),
        ),
    ),
}
"""What a field of that type holds; structs, enums and unions are made from their own types."""


def sample(hint: Any, *, full: bool = True) -> Any:
    """A value of the type: with every optional part where `full`, else with none."""
    if hint in SAMPLES:
        return SAMPLES[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if NoneType in arguments and not full:
            return None
        return sample(next(each for each in arguments if each is not NoneType), full=full)
    if origin is tuple:
        return (sample(arguments[0], full=full),) if full else ()
    if origin is dict:
        return {sample(arguments[0]): sample(arguments[1])} if full else {}
    if isinstance(hint, EnumType):
        return next(iter(cast("Any", hint)))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = get_type_hints(hint)
        wanted = [field for field in msgspec.structs.fields(hint) if full or field.required]
        return hint(**{field.name: sample(hints[field.name], full=full) for field in wanted})
    raise TypeError(f"no sample of {hint}")


def sample_record(event: type[DomainEvent], *, full: bool = True) -> AnyRecorded:
    """A sample of an event in its envelope."""
    return Recorded(
        stream=STREAM,
        version=1,
        namespace="default",
        customer="acme",
        at=MOMENT,
        recorded_at=MOMENT,
        command_id=OTHER,
        causation_id=OTHER,
        correlation_id=OTHER,
        actor="tests",
        body=sample(event, full=full),
    )
