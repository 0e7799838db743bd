"""The period-preserving engine: a correction stays on the period it belongs to (run rating R9).

Unit price 10, 5 units booked for period 1; now 7 are known there and 10 up to the end of period 2. The run books +2 on
period 1, correcting run 1, and +3 on period 2. The delta engine would book +5 on period 2; the totals agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aggregates.rating.lines import DetailedLine, without_credits
from aggregates.rating.naming import in_order, with_period_suffix, without_period_suffix
from aggregates.rating.requests import PriorRun, RateOptions, Rater, RunToRate, SnapshotAt
from aggregates.rating.subtract import AS_CORRECTION, CARRIED_OVER, subtract
from aggregates.values.period import Period


def rate_period_preserving(
    run: RunToRate,
    priors: Sequence[PriorRun],
    booked: Sequence[DetailedLine],
    snapshot_at: SnapshotAt,
    rater: Rater,
) -> tuple[DetailedLine, ...]:
    """What every period should hold, less what it holds already; lines are stamped with their period."""
    buckets = _expected(run, priors, snapshot_at, rater)
    held = _by_period(booked)
    for period, lines in held.items():
        buckets[period] = subtract(buckets.get(period, []), lines, AS_CORRECTION)
    corrected = {prior.period: prior.run_id for prior in priors}
    return in_order(
        msgspec.structs.replace(
            line,
            corrects_run_id=corrected.get(period, line.corrects_run_id),
            child_unique_reference_id=with_period_suffix(line.child_unique_reference_id, period),
        )
        for period in sorted(buckets, key=lambda p: (p.from_, p.to))
        for line in buckets[period]
    )


def _expected(
    run: RunToRate, priors: Sequence[PriorRun], snapshot_at: SnapshotAt, rater: Rater
) -> dict[Period, list[DetailedLine]]:
    """What each period should hold: every period rated from zero, less what the periods before it hold.

    A reversal stays on the period of the line it takes back, so it lies in the bucket of an earlier period.
    """
    epochs = [*sorted((prior.period for prior in priors), key=lambda p: p.from_), run.period]
    produced: list[DetailedLine] = []
    buckets: dict[Period, list[DetailedLine]] = {}
    for epoch in epochs:
        options = RateOptions(ignore_minimum_commitment=epoch.to < run.service_period.to)
        full = rater(snapshot_at(epoch.to), epoch, options)
        for line in subtract(full, produced, CARRIED_OVER, unique=False):
            assert line.service_period is not None
            produced.append(line)
            buckets.setdefault(line.service_period, []).append(line)
    return buckets


def _by_period(booked: Sequence[DetailedLine]) -> dict[Period, list[DetailedLine]]:
    """Booked lines by the period they are for, whichever run booked them; without credits and stamps."""
    held: dict[Period, list[DetailedLine]] = {}
    for line in booked:
        assert line.service_period is not None
        plain = msgspec.structs.replace(
            without_credits(line), child_unique_reference_id=without_period_suffix(line.child_unique_reference_id)
        )
        held.setdefault(line.service_period, []).append(plain)
    return held
