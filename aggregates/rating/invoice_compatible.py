"""The invoice-compatible engines: the same money in lines that fit on invoices and credit notes (run rating III).

Every line points one way: a `charge`, a `credit` of a part, or a `reversal` of exactly one booked line. Where a
correction would mix signs - a discount that grows without quantity - the booked lines are taken back one by one and
the component is charged anew. Maximum 50, unit price 10, 3 units of period 2 booked at 30 less 10; a unit more is found
in period 1: period 1 is charged +1, and period 2 gets a reversal of -3 (-20) and a charge of +3, 30 less 20.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from aggregates.rating.epochs import (
    Component,
    Holdings,
    boundaries,
    component_of,
    components,
    expected_by_epoch,
    is_sign_coherent,
)
from aggregates.rating.lines import CHARGE, CREDIT, REVERSAL, DetailedLine, without_credits
from aggregates.rating.naming import correction_reference, numbered, refuse_duplicates, with_period_suffix
from aggregates.rating.prior_runs import final_run
from aggregates.rating.requests import PriorRun, RateOptions, Rater, RunEngine, RunToRate, SnapshotAt
from aggregates.rating.subtract import check_lines, combined, has_money, negated
from aggregates.values.period import Instant, Period


def rate_invoice_compatible(
    run: RunToRate,
    priors: Sequence[PriorRun],
    booked: Sequence[DetailedLine],
    snapshot_at: SnapshotAt,
    rater: Rater,
) -> tuple[DetailedLine, ...]:
    """From what is booked to what is expected, per period and component; reversals first within a period."""
    check_lines([], booked)
    outstanding = [without_credits(line) for line in outstanding_lines(booked)]
    if run.engine is RunEngine.INVOICE_COMPATIBLE_DELTA:
        lines = _on_own_period(run, priors, outstanding, rater)
    else:
        lines = _on_their_periods(run, priors, outstanding, snapshot_at, rater)
    result = numbered(sorted(lines, key=_order))
    refuse_duplicates(result)
    return result


def outstanding_lines(booked: Iterable[DetailedLine]) -> list[DetailedLine]:
    """Booked lines without the pairs of a line and its reversal, in the order booked.

    Pairs are found from the newest reversal back. A reversal whose line was voided is outstanding itself.
    """
    lines = list(booked)
    position = {line.id: i for i, line in enumerate(lines) if line.id}
    gone: set[int] = set()
    for i in range(len(lines) - 1, -1, -1):
        target = position.get(lines[i].reverses_line_id or "")
        if i not in gone and target is not None and target not in gone:
            gone.update((i, target))
    return [line for i, line in enumerate(lines) if i not in gone]


def _on_own_period(
    run: RunToRate, priors: Sequence[PriorRun], outstanding: Sequence[DetailedLine], rater: Rater
) -> list[DetailedLine]:
    """Delta form: one bucket, the run's own period; only a late adjustment corrects a run, the final one."""
    options = RateOptions(ignore_minimum_commitment=run.period.to < run.service_period.to)
    want = components(rater(run.snapshot, run.period, options), run.price)
    adjusted = final_run(run, priors) if run.late else None
    return [
        msgspec.structs.replace(
            line, service_period=run.period, corrects_run_id=None if adjusted is None else adjusted.run_id
        )
        for line in _settle(_grouped(outstanding, run), want)
    ]


def _on_their_periods(
    run: RunToRate,
    priors: Sequence[PriorRun],
    outstanding: Sequence[DetailedLine],
    snapshot_at: SnapshotAt,
    rater: Rater,
) -> list[DetailedLine]:
    """Period-preserving form: a bucket per epoch and per period that still holds something."""
    expected = expected_by_epoch(run, boundaries(run, priors, outstanding), snapshot_at, rater)
    held: dict[Period, list[DetailedLine]] = {}
    for line in outstanding:
        assert line.service_period is not None
        held.setdefault(line.service_period, []).append(line)
    lines: list[DetailedLine] = []
    for period in {**expected, **held}:
        want = components(expected.get(period, {}).values(), run.price)
        owner = _owner(period, priors)
        for line in _settle(_grouped(held.get(period, []), run), want):
            reference = with_period_suffix(line.child_unique_reference_id, period)
            lines.append(
                msgspec.structs.replace(
                    line, service_period=period, corrects_run_id=owner, child_unique_reference_id=reference
                )
            )
    return lines


def _owner(period: Period, priors: Sequence[PriorRun]) -> str | None:
    """The earliest live run in whose period the period lies."""
    for prior in priors:
        if prior.period.from_ <= period.from_ and period.to <= prior.period.to:
            return prior.run_id
    return None


def _grouped(lines: Iterable[DetailedLine], run: RunToRate) -> dict[Component, list[DetailedLine]]:
    have: dict[Component, list[DetailedLine]] = {}
    for line in lines:
        have.setdefault(component_of(line, run.price), []).append(line)
    return have


def _settle(have: dict[Component, list[DetailedLine]], want: Holdings) -> list[DetailedLine]:
    """The lines that lead from what is there to what is wanted (run rating R12)."""
    lines: list[DetailedLine] = []
    for component in {**have, **want}:
        there = have.get(component, [])
        wanted = want.get(component)
        if not there:
            if wanted is not None and has_money(wanted.totals):
                lines.append(_new(wanted))
            continue
        if wanted is not None:
            change = wanted
            for line in there:
                change = combined(change, line, -1)
            if not has_money(change.totals):
                continue
            if is_sign_coherent(change):
                lines.append(_new(change))
                continue
        elif not has_money(_sum(there).totals):
            continue
        lines.extend(_reversal(line) for line in there)
        if wanted is not None and has_money(wanted.totals):
            lines.append(_new(wanted))
    return lines


def _sum(lines: Sequence[DetailedLine]) -> DetailedLine:
    whole = lines[0]
    for line in lines[1:]:
        whole = combined(whole, line, 1)
    return whole


def _new(line: DetailedLine) -> DetailedLine:
    """A charge, or a credit if it is negative, under the name of its component."""
    return msgspec.structs.replace(
        line,
        kind=CHARGE if line.quantity > 0 else CREDIT,
        child_unique_reference_id=line.pricer_reference_id,
        id=None,
        reverses_line_id=None,
    )


def _reversal(line: DetailedLine) -> DetailedLine:
    """The exact negation of one booked line, under a new name and without its id."""
    return msgspec.structs.replace(
        negated(line),
        kind=REVERSAL,
        child_unique_reference_id=correction_reference(line),
        reverses_line_id=line.id,
        id=None,
    )


def _order(line: DetailedLine) -> tuple[Instant, bool, bool, int, str]:
    assert line.service_period is not None
    return (
        line.service_period.from_,
        line.kind != REVERSAL,
        line.index is None,
        line.index or 0,
        line.child_unique_reference_id,
    )
