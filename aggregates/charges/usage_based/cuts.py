"""Where usage that is settled from credit only is cut into runs (decisions A: `run_cuts`, `periodic_runs`).

A run is paid with the credit that is live at its end, so credit that lives within the period alone pays only for runs
that end while it does. Worked: January, 100 that expire on 20 January, 30 units before that day and 50 after. In one
run that ends on 1 February the 100 are gone and 80 become advance; cut on 20 January they pay 30, and 50 become
advance. Runs together cover the period: each begins where the one before ends, and is metered from the period's start.

Cuts are not stored: each follows from the credit that is known when the charge advances, and lies after everything that
was realized. So credit that is granted later, or backdated into what is not realized yet, is seen as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta

from aggregates.charges.facts import Facts
from aggregates.charges.state import Charge, RunEntry
from aggregates.charges.turn import Turn
from aggregates.credits.collection import is_allocable
from aggregates.credits.pool import CreditPool
from aggregates.policies import RunCuts
from aggregates.values.period import Duration, Instant, Period

_DAY, _MONTH = timedelta(days=1, hours=1), timedelta(days=31, hours=1)
"""No day and no month is longer, whatever a zone does to its clocks."""


def latest_run(charge: Charge) -> RunEntry | None:
    """The run that counts and ends last, late adjustments aside; of several that end together the newest."""
    runs = charge.period_runs
    return runs[-1] if runs else None


def reaches_the_end(charge: Charge, entry: RunEntry) -> bool:
    """Whether the run covers the end of the effective service period; one that is held beyond it does."""
    return entry.service_period_to >= charge.intent.effective.service_period.to


def left_over(charge: Charge) -> Period:
    """What of the effective service period no run has realized yet; empty at its end when all of it is."""
    period, latest = charge.intent.effective.service_period, latest_run(charge)
    begins = period.from_ if latest is None else max(period.from_, latest.service_period_to)
    return Period(min(begins, period.to), period.to)


def run_ends(charge: Charge, facts: Facts, pool: CreditPool | None, within: Period) -> tuple[Instant, ...]:
    """The ends of the runs that are to cover this part of the service period, in order; none where it is empty.

    At least those up to now and the next. What is settled by invoice is cut by its invoices alone.
    """
    if within.is_empty:
        return ()
    if charge.is_invoiced:
        return (within.to,)
    bounds = {*_lot_bounds(charge, facts, pool), *_periodic(charge, facts, within)}
    return (*sorted(bound for bound in bounds if within.from_ < bound < within.to), within.to)


def next_end(turn: Turn) -> Instant:
    """Where the next run ends: at the next of the planned cuts, or with the period."""
    left = left_over(turn.charge)
    planned = run_ends(turn.charge, turn.facts, turn.pool, left) if turn.run_ends is None else turn.run_ends
    return next((end for end in planned if end > left.from_), left.to)


def first_end(turn: Turn, period: Period) -> Instant:
    """Where the first run of a charge over this service period would end, nothing of it being realized."""
    return next(iter(run_ends(turn.charge, turn.facts, turn.pool, period)), period.to)


def collection_end(facts: Facts, end: Instant) -> Instant:
    """Until when usage of a run that ends there may be stored, and still belongs to it (lifecycles §5.3)."""
    return facts.collection_interval.after(end, facts.zone)


def _lot_bounds(charge: Charge, facts: Facts, pool: CreditPool | None) -> Iterator[Instant]:
    """Where credit that may pay for the charge starts or expires."""
    if pool is None or facts.policies.run_cuts is not RunCuts.LOT_BOUNDS:
        return
    feature = _feature_key(charge, facts)
    for lot in pool.lots.values():
        if not is_allocable(lot, feature):
            continue
        yield lot.effective_at
        if lot.expires_at is not None:
            yield lot.expires_at


def _feature_key(charge: Charge, facts: Facts) -> str | None:
    """The key of the charge's feature, which restricted credit names."""
    if charge.resolved_feature is not None:
        return charge.resolved_feature.key
    ref = charge.identity.feature
    known = facts.features.get(ref.name) if ref is not None else None
    return known.key if known is not None else None


def _periodic(charge: Charge, facts: Facts, within: Period) -> Iterator[Instant]:
    """Whole numbers of `periodic_runs` after the period's start, on the customer's calendar, up to the first to come.

    What lies before `within` is skipped, not counted through.
    """
    every, begins = facts.policies.periodic_runs, charge.intent.effective.service_period.from_
    longest = every.months * _MONTH + every.days * _DAY + timedelta(seconds=every.seconds)
    if not longest:
        return
    for count in itertools.count(max((within.from_ - begins - _DAY) // longest, 1)):
        at = _times(every, count).after(begins, facts.zone)
        if at < within.to:
            yield at
        if at > facts.now or at >= within.to:
            return


def _times(every: Duration, count: int) -> Duration:
    """That many of a duration, counted from one start: month by month 31 January leads to 28 February and 31 March."""
    return Duration(months=every.months * count, days=every.days * count, seconds=every.seconds * count)
