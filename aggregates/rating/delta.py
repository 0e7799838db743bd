"""The delta engine: everything new is booked on the run's own period (run rating R8).

Volume price, to 15 at 10, above at 5 for everything: 15 units book +15 at 10; one unit more books +16 at 5 and -15 at
10 on the second run, which comes to -70.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aggregates.rating.lines import DetailedLine, without_credits
from aggregates.rating.naming import in_order, refuse_duplicates
from aggregates.rating.requests import RateOptions, Rater, RunToRate
from aggregates.rating.subtract import AS_CORRECTION, subtract


def rate_delta(run: RunToRate, booked: Sequence[DetailedLine], rater: Rater) -> tuple[DetailedLine, ...]:
    """The cumulative quantity rated from zero, less all booked lines; a minimum counts only when the charge ends."""
    options = RateOptions(ignore_minimum_commitment=run.period.to < run.service_period.to)
    current = rater(run.snapshot, run.period, options)
    previous = [without_credits(line) for line in booked]
    results = [
        msgspec.structs.replace(line, service_period=run.period, corrects_run_id=None)
        for line in subtract(current, previous, AS_CORRECTION)
    ]
    lines = in_order(results)
    refuse_duplicates(lines)
    return lines
