"""Rating: from a quantity and a price to detailed lines, and from lines already booked to what a run still books.

What application code calls::

    rate_run(run: RunToRate) -> RatedRun           # one run of a usage charge, with any of the four engines
    snapshot_instants(run: RunToRate) -> tuple[Instant, ...]   # the quantities the engine needs beside the run's own
    rate(line: LineToRate, arithmetic=REFERENCE) -> RatedLine  # one line: flat-fee charges, and every engine below
    parts_needed(price) -> ByProperty | ByValue | None         # how the usage is told apart, where a sum is not enough
    checked_terms(price, discounts, unit_config)   # raises ValidationFailed with all findings
    explain(line: DetailedLine, currency) -> tuple[Step, ...]; as_text(steps) -> str   # how a line came about

    RunToRate(engine, price, currency, service_period, period, quantity, run_id=None, prior_runs=(), snapshots=(),
              discounts=NO_DISCOUNTS, unit_config=None, unit_config_enabled=True, stored_at_lt=None, late=False,
              line_name="feature", arithmetic=REFERENCE, events=())
    Snapshot(to, quantity, events=())
    PriorRun(run_id, period, lines, stored_at_lt=None, voided=False)
    RatedRun(engine, engine_version, period, lines, totals, snapshots, prior_run_ids)

All are frozen and keyword-only. Everything is a pure function of its arguments, in exact decimals; refusals are
`ValidationFailed` with the codes of rating §13 and run rating R4. The lines of a run have no ids: whoever books them
gives them (`booked(lines, ids)`), and hands them back with the ids as `PriorRun.lines` of later runs.
"""

from aggregates.rating.adjustments import Usage, UsageEvent
from aggregates.rating.arithmetic import REFERENCE, RatingArithmetic
from aggregates.rating.explain import Step, as_text, explain, explain_usage
from aggregates.rating.lines import AmountDiscount, CreditApplied, DetailedLine, booked
from aggregates.rating.parts import ByProperty, ByValue, PartsNeeded, parts_needed
from aggregates.rating.place import Place, billable_period
from aggregates.rating.prices import (
    NO_DISCOUNTS,
    AnyPrice,
    AnyUsagePrice,
    Discounts,
    DynamicPrice,
    FlatPrice,
    GraduatedPercentagePrice,
    MatrixCell,
    MatrixPrice,
    PackagePrice,
    PercentageDiscount,
    PercentagePrice,
    PercentageTier,
    Price,
    Tier,
    TieredPackagePrice,
    TieredPrice,
    UnitConfig,
    UnitPrice,
    UsageDiscount,
    UsagePrice,
)
from aggregates.rating.rate import LineToRate, RatedLine, rate
from aggregates.rating.requests import PriorRun, RatedRun, RunEngine, RunToRate, Snapshot, engine_named
from aggregates.rating.run import rate_run, rate_totals, snapshot_instants
from aggregates.rating.validation import checked_terms, validate_terms

__all__ = [
    "rate_run",
    "snapshot_instants",
    "rate",
    "rate_totals",
    "checked_terms",
    "validate_terms",
    "billable_period",
    "booked",
    "explain",
    "explain_usage",
    "as_text",
    "Step",
    "RunEngine",
    "engine_named",
    "RunToRate",
    "PriorRun",
    "Snapshot",
    "RatedRun",
    "LineToRate",
    "RatedLine",
    "Place",
    "ByProperty",
    "ByValue",
    "PartsNeeded",
    "parts_needed",
    "Usage",
    "UsageEvent",
    "DetailedLine",
    "AmountDiscount",
    "CreditApplied",
    "Price",
    "UsagePrice",
    "AnyPrice",
    "AnyUsagePrice",
    "FlatPrice",
    "UnitPrice",
    "TieredPrice",
    "Tier",
    "PackagePrice",
    "DynamicPrice",
    "PercentagePrice",
    "GraduatedPercentagePrice",
    "PercentageTier",
    "TieredPackagePrice",
    "MatrixPrice",
    "MatrixCell",
    "Discounts",
    "NO_DISCOUNTS",
    "PercentageDiscount",
    "UsageDiscount",
    "UnitConfig",
    "RatingArithmetic",
    "REFERENCE",
]
