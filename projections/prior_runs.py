"""`prior_runs`: the runs a charge has done with: finalised, closed, or voided and kept for the history.

A row is prepared from the run's start and shown from the event of its charge that ends it (`ended_at`); voiding may
come later still. A voided run counts for nothing, and says so (lifecycles §5.2).
"""

from __future__ import annotations

from projections.projection import Keyed
from projections.runs import LISTENS, RunRow, run_of, run_row

PRIOR_RUNS = Keyed(
    name="prior_runs",
    version=2,
    row=RunRow,
    key=("run",),
    indexes=(("namespace", "customer", "created_position"), ("charge",), ("namespace", "invalidated_at")),
    listens=LISTENS,
    shown_when="ended_at",
    keys=run_of,
    apply=run_row,
)
