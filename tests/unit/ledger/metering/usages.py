"""Usage for tests, in few words: `used("a", 5)` is an event of id "a" and value 5 of the meter "tokens"."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from aggregates.catalogue import Aggregation, Meter
from ledger.metering.usage import UsageEvent
from ledger.ports import MeterQuery

START = datetime(2025, 1, 1, tzinfo=UTC)
END = datetime(2025, 2, 1, tzinfo=UTC)
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
"""A cut that no clock reaches: it closes nothing."""


def used(id_: str, value: object = None, *, at: float = 0, customer: str = "acme", **fields: object) -> UsageEvent:
    """A usage event `at` seconds after the beginning of January."""
    given = {"source": "api", "meter": "tokens", "time": START + timedelta(seconds=at), **fields}
    number = None if value is None else Decimal(str(value))
    return UsageEvent(id=id_, customer=customer, value=number, **given)  # type: ignore[arg-type]


def meter(aggregation: Aggregation = Aggregation.SUM, *, key: str = "tokens", property: str | None = None) -> Meter:
    return Meter(id=UUID(int=7), key=key, aggregation=aggregation, decimals=18, property=property)


def january(
    namespace: str = "test",
    *,
    of: Meter | None = None,
    customer: str = "acme",
    from_: datetime = START,
    to: datetime = END,
    cut: datetime = FOREVER,
) -> MeterQuery:
    """The question for January's usage, or for another window."""
    return MeterQuery(namespace, customer, of or meter(), from_, to, cut)
