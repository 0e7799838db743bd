"""Which earlier runs count, and what their periods say about the run being rated (run rating R2 - R4).

A voided run does not exist for rating. The run being rated is left out by its id. The reference system stores no
periods and derives them from the ends of the runs; `derived_periods` does the same for runs that come without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from aggregates.rating.lines import DetailedLine
from aggregates.rating.refusal import refuse
from aggregates.rating.requests import PriorRun, RunEngine, RunToRate
from aggregates.values.errors import Findings
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period

Fetch: TypeAlias = Callable[[Sequence[str]], Mapping[str, tuple[DetailedLine, ...]]]


def live_prior_runs(run: RunToRate) -> list[PriorRun]:
    """The runs that count for this one: not voided, and not the run itself.

    By end of period, then by creation; plain engines keep the order given, as their errors count in it.
    """
    live = [
        prior for prior in run.prior_runs if not prior.voided and (run.run_id is None or prior.run_id != run.run_id)
    ]
    return live if run.engine.is_plain else sorted(live, key=lambda prior: prior.period.to)


def ending_before(prior_runs: Iterable[PriorRun], service_period_to: Instant) -> tuple[PriorRun, ...]:
    """The reference system's rule for which runs count: not voided, and ending before this one, strictly.

    It has no other way to leave out the run being rated, so a second run with the same end goes unseen (L6).
    """
    return tuple([prior for prior in prior_runs if not prior.voided and prior.period.to < service_period_to])


def current_period(service_period: Period, service_period_to: Instant, prior_ends: Iterable[Instant]) -> Period:
    """The run's own period: from the latest end of the live runs before it, else from the start of the charge."""
    return Period(max([service_period.from_, *prior_ends]), service_period_to)


def derived_periods(service_period: Period, ends: Sequence[Instant]) -> list[Period]:
    """Periods from ends alone, in the order of the ends given: each begins where the one before it in time ends."""
    periods: list[Period | None] = [None] * len(ends)
    start = service_period.from_
    for i in sorted(range(len(ends)), key=lambda i: ends[i]):
        periods[i] = Period(start, ends[i])
        start = ends[i]
    return [period for period in periods if period is not None]


def check_window(service_period: Period, service_period_to: Instant) -> None:
    """Refuse to meter a window that is empty or reaches beyond the charge (run rating R2)."""
    if service_period_to <= service_period.from_:
        refuse("service_period_to_not_after_start", "the run must end after the charge starts", "service_period_to")
    if service_period_to > service_period.to:
        refuse("service_period_to_after_end", "the run must not end after the charge ends", "service_period_to")


def with_lines(prior_runs: Sequence[PriorRun], fetch: Fetch) -> tuple[PriorRun, ...]:
    """The runs with their lines, fetched once if any are missing; nothing is fetched for voided runs.

    `fetch` gets the ids of the runs it is to load. Its failure is `fetch_detailed_lines`.
    """
    missing = [prior.run_id for prior in prior_runs if not prior.voided and prior.lines is None]
    if not missing:
        return tuple(prior_runs)
    try:
        loaded = fetch(missing)
    except Exception as cause:  # noqa: BLE001 - whatever the caller's store raises is the cause
        refuse("fetch_detailed_lines", f"fetch detailed lines: {cause}", "prior_runs")
    return tuple(
        [
            msgspec.structs.replace(prior, lines=loaded.get(prior.run_id)) if prior.run_id in missing else prior
            for prior in prior_runs
        ]
    )


def booked_lines(prior_runs: Iterable[PriorRun], currency: Currency) -> list[DetailedLine]:
    """All lines of the runs; a line without a period is on its run's.

    Refuses a run whose lines are not loaded (`prior_run_lines_missing`) and a line of another currency than the
    charge's (`currency_mismatch`).
    """
    lines: list[DetailedLine] = []
    for i, prior in enumerate(prior_runs):
        if prior.lines is None:
            refuse("prior_run_lines_missing", f"prior runs[{i}]: detailed lines must be expanded", f"prior_runs[{i}]")
        for line in prior.lines:
            if line.currency is not None and line.currency != currency.key:
                refuse(
                    "currency_mismatch",
                    f"run {prior.run_id} booked a line in {line.currency}, the charge is in {currency.key}",
                    f"prior_runs[{i}]",
                )
            lines.append(line if line.service_period else msgspec.structs.replace(line, service_period=prior.period))
    return lines


def check_periods(run: RunToRate, priors: Sequence[PriorRun], findings: Findings) -> None:
    """Note what is wrong with the periods of the run and of the live runs before it, in the order of R4."""
    whole, current = run.service_period, run.period
    if not _contains(whole, current):
        findings.add(
            "period",
            "current_period_outside_service_period",
            "current period service period must be contained in intent service period",
        )
    if not run.engine.is_plain and current.is_empty:
        findings.add("period", "current_period_empty", "current period service period must not be empty")
    if run.engine is RunEngine.DELTA:
        return
    if any(not _contains(whole, prior.period) for prior in priors):
        findings.add(
            "prior_runs",
            "prior_period_outside_service_period",
            "prior period service period must be contained in intent service period",
        )
    for i, prior in enumerate(priors):
        if prior.period.is_empty:
            findings.add(
                f"prior_runs[{i}]",
                "prior_period_empty",
                f"prior periods[{i}] service period must not be empty when truncated to minimum streaming window size",
            )
    for i, prior in enumerate(priors):
        if not (run.late or prior.late) and _overlap(prior.period, current):
            findings.add(
                f"prior_runs[{i}]",
                "prior_period_overlaps_current",
                f"prior periods[{i}] service period overlaps current period service period",
            )
    for i, one in enumerate(priors):
        for j in range(i + 1, len(priors)):
            other = priors[j]
            # A late adjustment shares the period of the final run, or of a voided one; that is no overlap.
            same = not run.engine.is_plain and (one.period == other.period or one.late or other.late)
            if not same and _overlap(one.period, other.period):
                findings.add(
                    f"prior_runs[{i}]",
                    "prior_periods_overlap",
                    f"prior periods[{i}] service period overlaps prior periods[{j}] service period",
                )


def check_late(run: RunToRate, priors: Sequence[PriorRun], findings: Findings) -> None:
    """Note what forbids a late adjustment: no final run to adjust, or a cut-off that is not later (run rating R13)."""
    if not run.late:
        return
    if run.engine.is_plain:
        findings.add(
            "engine",
            "late_adjustment_unsupported_engine",
            f"the {run.engine} engine cannot adjust a final run; its invoice-compatible form can",
        )
        return
    if final_run(run, priors) is None:
        findings.add("late", "late_adjustment_without_final_run", "there is no live final run of this period to adjust")
    cutoffs = [prior.stored_at_lt for prior in priors if prior.stored_at_lt is not None]
    if run.stored_at_lt is not None and cutoffs and run.stored_at_lt <= max(cutoffs):
        findings.add(
            "stored_at_lt",
            "late_adjustment_cutoff_not_later",
            "a late adjustment must read to a later cut-off than every live run",
        )


def final_run(run: RunToRate, priors: Iterable[PriorRun]) -> PriorRun | None:
    """The earliest live run with this run's period, if that period ends with the charge, or with its terms."""
    if run.period.to != (run.held_until or run.service_period.to):
        return None
    return next((prior for prior in priors if prior.period == run.period and not prior.late), None)


def _contains(outer: Period, inner: Period) -> bool:
    return outer.from_ <= inner.from_ <= outer.to and outer.from_ <= inner.to <= outer.to


def _overlap(one: Period, other: Period) -> bool:
    return one.from_ < other.to and other.from_ < one.to
