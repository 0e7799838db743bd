"""The references of lines within their run, and the order in which a run lists them (run rating R6, R7).

A line is named by the component of the price it belongs to; a line that takes another one back also by that one's id;
and where corrections stay on their periods, every line by its period: `unit-price-usage@[2025-01-01T00:00:00Z..
2025-02-01T00:00:00Z]`. A reference identifies a line within its run and is never used for arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from aggregates.rating.lines import DetailedLine
from aggregates.rating.refusal import refuse
from aggregates.values.period import Instant, Period, instant

_SUFFIX = "@["


def correction_reference(line: DetailedLine) -> str:
    """The reference of a line that takes back a booked line. Refuses a line that was never booked."""
    if not line.id:
        refuse(
            "detailed_line_id_required",
            f"line {line.child_unique_reference_id} cannot be taken back, it has no id",
            "prior_runs",
        )
    return f"{line.pricer_reference_id}#correction:detailed_line_id={line.id}"


def with_period_suffix(reference: str, period: Period) -> str:
    """The reference stamped with a period, in UTC and whole seconds; an earlier stamp is replaced."""
    base = reference.split(_SUFFIX, 1)[0]
    return f"{base}@[{_rfc3339(period.from_)}..{_rfc3339(period.to)}]"


def without_period_suffix(reference: str) -> str:
    """The reference without its stamp. Refuses one that is nothing but a stamp (`child_reference_without_base`)."""
    base = reference.split(_SUFFIX, 1)[0]
    if not base:
        refuse(
            "child_reference_without_base",
            f"child unique reference id {reference} is missing base reference id",
            "prior_runs",
        )
    return base


def _rfc3339(moment: Instant) -> str:
    return instant(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_order(lines: Iterable[DetailedLine]) -> tuple[DetailedLine, ...]:
    """By start of period, then index (lines without one last), then reference; then numbered 0, 1, 2, ..."""
    return numbered(sorted(lines, key=_order))


def numbered(lines: Iterable[DetailedLine]) -> tuple[DetailedLine, ...]:
    """The lines with dense indexes, in the order given."""
    return tuple([msgspec.structs.replace(line, index=i) for i, line in enumerate(lines)])


def _order(line: DetailedLine) -> tuple[Instant, bool, int, str]:
    assert line.service_period is not None
    return (line.service_period.from_, line.index is None, line.index or 0, line.child_unique_reference_id)


def refuse_duplicates(lines: Sequence[DetailedLine]) -> None:
    """Refuse two lines of one run under one reference."""
    seen: set[str] = set()
    for line in lines:
        reference = line.child_unique_reference_id
        if reference in seen:
            refuse("duplicate_child_unique_reference_id", f"duplicate child unique reference id: {reference}", "lines")
        seen.add(reference)
