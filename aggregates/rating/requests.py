"""What a run engine is asked and what it answers: the run to rate, the runs before it, the rated run.

Quantities are always cumulative from the start of the charge (run rating R2). A prior run keeps its own whole period
and the lines it booked; the quantities at the ends of earlier periods are asked for again with the cut-off of the
run being rated, which is how late usage is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import msgspec

from aggregates.rating.adjustments import UsageEvent
from aggregates.rating.arithmetic import REFERENCE, RatingArithmetic
from aggregates.rating.lines import DetailedLine
from aggregates.rating.prices import NO_DISCOUNTS, Discounts, Price, UnitConfig
from aggregates.rating.refusal import refuse
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period
from aggregates.values.totals import Totals

ENGINE_VERSION = 1
"""Goes up whenever an engine would give other lines for the same input."""


class RunEngine(StrEnum):
    """How a run's lines are made from what is rated now and what is booked already (run rating, parts II and III).

    All give the same totals. `delta` books the difference on the run's own period, `period_preserving` on the
    periods it belongs to; the invoice-compatible forms do the same with lines that fit on invoices and credit notes.
    """

    DELTA = "delta"
    PERIOD_PRESERVING = "period_preserving"
    INVOICE_COMPATIBLE_DELTA = "invoice_compatible_delta"
    INVOICE_COMPATIBLE_PERIOD_PRESERVING = "invoice_compatible_period_preserving"

    @property
    def is_plain(self) -> bool:
        """Whether this is an engine of part II, which behaves as the reference system does."""
        return self in {RunEngine.DELTA, RunEngine.PERIOD_PRESERVING}


def engine_named(name: str) -> RunEngine:
    """The engine of that name. Refuses an unknown one (`unsupported_rating_engine`)."""
    try:
        return RunEngine(name)
    except ValueError:
        known = ", ".join(RunEngine)
        refuse("unsupported_rating_engine", f"there is no rating engine {name!r}; there are {known}", "engine")


REFERENCE_ENGINE = RunEngine.DELTA
"""The engine of a new charge in the reference system; which one is ours is a policy."""


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """The cumulative quantity at a moment, as seen with the cut-off of the run being rated.

    `events` make it up where the price looks at them: one by one in the order of their time, or in the parts that
    `parts_needed` names.
    """

    to: Instant
    quantity: Decimal
    events: tuple[UsageEvent, ...] = ()


class PriorRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run of the same charge: its period and the lines it booked, with their ids.

    `lines` is `None` when they are not loaded, which is not the same as having none. `stored_at_lt` is its own
    cut-off; `voided` runs do not exist for rating, but may be handed over. A `late` one adjusts a run of its period
    and does not take the period itself: where that run was voided, the period is billed afresh (run rating R13).
    """

    run_id: str
    period: Period
    lines: tuple[DetailedLine, ...] | None
    stored_at_lt: Instant | None = None
    voided: bool = False
    late: bool = False


class RunToRate(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a usage charge, with everything it is rated from.

    `service_period` is that of the intent, `period` the run's own, `quantity` the cumulative quantity from the start
    of the charge to the end of `period`, in raw metered units. `prior_runs` are all other runs of the charge in the
    order of their creation; the run itself is left out by `run_id`. `snapshots` are the cumulative quantities at the
    moments that `snapshot_instants` names, as of `stored_at_lt`. `late` marks an adjustment after the final run: its
    `period` is that of the final run (run rating R13), or, where `held_until` says that other terms hold from there on,
    that of the last run before.
    """

    engine: RunEngine
    price: Price
    currency: Currency
    service_period: Period
    period: Period
    quantity: Decimal
    run_id: str | None = None
    prior_runs: tuple[PriorRun, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    discounts: Discounts = NO_DISCOUNTS
    unit_config: UnitConfig | None = None
    unit_config_enabled: bool = True
    stored_at_lt: Instant | None = None
    late: bool = False
    held_until: Instant | None = None
    line_name: str = "feature"
    arithmetic: RatingArithmetic = REFERENCE
    events: tuple[UsageEvent, ...] = ()

    @property
    def snapshot(self) -> Snapshot:
        """The cumulative quantity at the end of the run."""
        return Snapshot(self.period.to, self.quantity, self.events)


class RatedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run books, and everything it was made from, so that it can be made again (run rating R15).

    `lines` have no ids yet. `totals` may be below zero. `snapshots` are the quantities used, the run's own among
    them; `prior_run_ids` are the live runs it saw.
    """

    engine: RunEngine
    engine_version: int
    period: Period
    lines: tuple[DetailedLine, ...]
    totals: Totals
    snapshots: tuple[Snapshot, ...]
    prior_run_ids: tuple[str, ...]


class RateOptions(NamedTuple):
    """How the price rater is called. Credits are always off: they are allocated after rating."""

    ignore_minimum_commitment: bool
    disable_credits: bool = True


Rater: TypeAlias = Callable[[Snapshot, Period, RateOptions], Sequence[DetailedLine]]
"""Rates one cumulative quantity from zero; lines without a period take the one given."""

SnapshotAt: TypeAlias = Callable[[Instant], Snapshot]
"""The cumulative quantity at a moment."""
