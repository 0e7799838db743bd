"""Rating one run of a usage charge: the one entry for every engine.

::

    rated = rate_run(RunToRate(engine=RunEngine.DELTA, price=UnitPrice(amount=Decimal(10)), ...))
    rated.lines, rated.totals

It is pure: rating the recorded inputs again gives the same lines (run rating R15). Everything that is wrong with the
periods is told at once; other refusals stop at the first (R4).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aggregates.rating.delta import rate_delta
from aggregates.rating.epochs import boundaries
from aggregates.rating.invoice_compatible import rate_invoice_compatible
from aggregates.rating.lines import DetailedLine
from aggregates.rating.period_preserving import rate_period_preserving
from aggregates.rating.prior_runs import booked_lines, check_late, check_periods, live_prior_runs
from aggregates.rating.rate import LineToRate, rate, totals_of
from aggregates.rating.refusal import refuse
from aggregates.rating.requests import (
    ENGINE_VERSION,
    RatedRun,
    RateOptions,
    Rater,
    RunEngine,
    RunToRate,
    Snapshot,
)
from aggregates.values.decimals import ZERO, exact, text
from aggregates.values.errors import Findings
from aggregates.values.period import Instant, Period
from aggregates.values.totals import Totals


@exact
def rate_run(run: RunToRate, rater: Rater | None = None) -> RatedRun:
    """The lines this run books and their totals; the totals of all live runs are then what the charge costs.

    Refuses with the codes of run rating R4, collected where they concern periods. `snapshot_missing` names the
    moments of `snapshot_instants` that came without a quantity. Another `rater` replaces the price, for tests.
    """
    priors = live_prior_runs(run)
    findings = Findings()
    check_periods(run, priors, findings)
    snapshots = _Snapshots(run)
    check_late(run, priors, findings)
    if not run.engine.is_plain:
        snapshots.check_not_negative(findings)
    findings.raise_if_any()
    booked = booked_lines(priors, run.currency)
    rate_snapshot = rater or price_rater(run)
    if run.engine is RunEngine.DELTA:
        lines = rate_delta(run, booked, rate_snapshot)
    elif run.engine is RunEngine.PERIOD_PRESERVING:
        lines = rate_period_preserving(run, priors, booked, snapshots.at, rate_snapshot)
    else:
        lines = rate_invoice_compatible(run, priors, booked, snapshots.at, rate_snapshot)
    return RatedRun(
        engine=run.engine,
        engine_version=ENGINE_VERSION,
        period=run.period,
        lines=lines,
        totals=totals_of(lines),
        snapshots=snapshots.used(),
        prior_run_ids=tuple([prior.run_id for prior in priors]),
    )


def snapshot_instants(run: RunToRate) -> tuple[Instant, ...]:
    """The moments, beside the end of the run, at which the engine needs cumulative quantities.

    All are to be read with the run's own `stored_at_lt`. The delta engines need none. The quantities of the
    run given are not looked at.
    """
    priors = live_prior_runs(run)
    if run.engine in {RunEngine.DELTA, RunEngine.INVOICE_COMPATIBLE_DELTA}:
        return ()
    if run.engine is RunEngine.PERIOD_PRESERVING:
        moments = {prior.period.to for prior in priors}
    else:
        moments = set(boundaries(run, priors, booked_lines(priors, run.currency)))
    return tuple(sorted(moments - {run.period.to, run.service_period.from_}))


def price_rater(run: RunToRate) -> Rater:
    """Rates cumulative quantities of this run's charge from zero, as its only line, without credits."""

    def rate_snapshot(snapshot: Snapshot, period: Period, options: RateOptions) -> Sequence[DetailedLine]:
        rated = rate(
            LineToRate(
                currency=run.currency,
                price=run.price,
                name=run.line_name,
                quantity=snapshot.quantity,
                events=snapshot.events,
                discounts=run.discounts,
                unit_config=run.unit_config,
                unit_config_enabled=run.unit_config_enabled,
                full_period=period,
                ignore_minimum_commitment=options.ignore_minimum_commitment,
                disable_credits=options.disable_credits,
            ),
            run.arithmetic,
        )
        return [
            msgspec.structs.replace(line, index=i, service_period=line.service_period or period)
            for i, line in enumerate(rated.lines)
        ]

    return rate_snapshot


def rate_totals(run: RunToRate, *, ended: bool) -> Totals:
    """What the whole charge costs at `run.quantity`, with nothing subtracted; the minimum counts once it has ended."""
    options = RateOptions(ignore_minimum_commitment=not ended)
    return exact(totals_of)(price_rater(run)(run.snapshot, run.service_period, options))


class _Snapshots:
    """The cumulative quantities of a run by moment, and which of them were used."""

    def __init__(self, run: RunToRate) -> None:
        self._known = {snapshot.to: snapshot for snapshot in run.snapshots}
        self._known[run.service_period.from_] = Snapshot(run.service_period.from_, ZERO)
        self._known[run.period.to] = run.snapshot
        self._used = {run.period.to}

    def at(self, moment: Instant) -> Snapshot:
        """The cumulative quantity at a moment. Refuses a moment without one."""
        snapshot = self._known.get(moment)
        if snapshot is None:
            refuse("snapshot_missing", f"no cumulative quantity was given for {moment.isoformat()}", "snapshots")
        self._used.add(moment)
        return snapshot

    def check_not_negative(self, findings: Findings) -> None:
        """Note quantities below zero."""
        for moment, snapshot in sorted(self._known.items()):
            if snapshot.quantity < ZERO:
                findings.add(
                    "snapshots",
                    "negative_quantity",
                    f"the cumulative quantity at {moment.isoformat()} is {text(snapshot.quantity)}",
                )

    def used(self) -> tuple[Snapshot, ...]:
        """The snapshots that were used, by moment."""
        return tuple([self._known[moment] for moment in sorted(self._used)])
