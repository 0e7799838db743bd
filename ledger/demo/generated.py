"""Made-up usage with totals known beforehand: the same events on every machine, so that figures can be checked by hand.

Nothing here is anybody's data. A seed decides how a total is spread over events and when they happened.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal

from ledger.metering.usage import UsageEvent


def spread(
    customer: str, meter: str, *, total: int, events: int, start: datetime, end: datetime, seed: int
) -> list[UsageEvent]:
    """`events` usage events in `[start, end)` whose values are at least 1 and sum to `total`, in order of time.

    >>> from datetime import UTC
    >>> made = spread(
    ...     "acme",
    ...     "tokens",
    ...     total=100,
    ...     events=7,
    ...     start=datetime(2026, 1, 1, tzinfo=UTC),
    ...     end=datetime(2026, 2, 1, tzinfo=UTC),
    ...     seed=1,
    ... )
    >>> len(made), sum(event.value for event in made)
    (7, Decimal('100'))
    """
    chance = random.Random(seed)  # noqa: S311 - made-up figures, not secrets
    cuts = sorted(chance.sample(range(1, total), events - 1))
    values = [after - before for before, after in zip([0, *cuts], [*cuts, total], strict=True)]
    seconds = int((end - start).total_seconds())
    times = sorted(start + timedelta(seconds=chance.randrange(seconds)) for _ in range(events))
    return [
        UsageEvent(
            source="demo",
            id=f"{customer}-{meter}-{seed}-{number:04}",
            customer=customer,
            meter=meter,
            time=time,
            value=Decimal(value),
        )
        for number, (time, value) in enumerate(zip(times, values, strict=True), start=1)
    ]
