"""What of a cumulative quantity one line bills (lifecycles §5.4).

Runs are metered from the start of the charge's service period; a line bills what no earlier line has billed. That is
read from the earlier runs as they were recorded, never metered again: 5 at the first end and 8 at the second, 20 at
the third, make a third line of 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from aggregates.values.decimals import ZERO, exact, text
from aggregates.values.errors import Finding, ValidationFailed
from aggregates.values.period import Instant


class BilledRun(NamedTuple):
    """What has to be known of another run of the charge."""

    service_period_to: Instant
    metered_quantity: Decimal
    voided: bool = False


class LineQuantity(NamedTuple):
    """What a line bills, and what lines before it have billed."""

    quantity: Decimal
    pre_line_quantity: Decimal


@exact
def line_quantity(runs: Sequence[BilledRun], service_period_to: Instant, metered: Decimal) -> LineQuantity:
    """The quantity of the line of a run that ends there. Refuses a quantity that has fallen (`negative_quantity`).

    Voided runs do not count, nor does a run that does not end earlier.
    """
    before = pre_line_quantity(runs, service_period_to)
    if metered < before:
        message = f"{text(before)} were billed already, and only {text(metered)} are metered now"
        raise ValidationFailed((Finding("quantity", "negative_quantity", message),))
    return LineQuantity(metered - before, before)


def pre_line_quantity(runs: Sequence[BilledRun], service_period_to: Instant, *, late: bool = False) -> Decimal:
    """The cumulative quantity of the latest run that ends earlier and counts; zero without one.

    A late adjustment goes on from the newest run that ends with it.
    """
    live = [run for run in reversed(runs) if not run.voided]
    earlier = [run for run in live if late or run.service_period_to < service_period_to]
    latest = max(earlier, key=lambda run: run.service_period_to, default=None)
    return latest.metered_quantity if latest is not None else ZERO
