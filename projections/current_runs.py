"""`current_runs`: the run each charge is working on, if any: quantities, lines, totals and credit so far.

A row is there from the run's start until an event of its charge says that it is current no longer (lifecycles §5.2).
"""

from __future__ import annotations

from aggregates.charges.events import RealizationRunClosed
from projections.projection import Entry, Key, Keyed
from projections.runs import LISTENS, RunRow, run_of, run_row


def _apply(row: RunRow | None, entry: Entry, key: Key) -> RunRow | None:
    if isinstance(entry.record.body, RealizationRunClosed):
        return None
    return run_row(row, entry, key)


CURRENT_RUNS = Keyed(
    name="current_runs",
    version=2,
    row=RunRow,
    key=("run",),
    indexes=(("namespace", "customer", "created_position"), ("charge",)),
    listens=LISTENS,
    keys=run_of,
    apply=_apply,
)
