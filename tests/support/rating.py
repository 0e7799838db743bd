"""Prices, discounts and whole billing histories of a charge, drawn by Hypothesis; and the book that plays them.

A history is a charge of five days. Each of its runs sees cumulative quantities at the end of every day as they are
known at its own cut-off: late usage raises or lowers what earlier days seem to hold. `Book` rates the runs one after
the other, gives the lines their ids and keeps them for the next run, as an application does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st

from aggregates.rating import (
    REFERENCE,
    DetailedLine,
    Discounts,
    DynamicPrice,
    GraduatedPercentagePrice,
    PackagePrice,
    PercentageDiscount,
    PercentagePrice,
    PercentageTier,
    PriorRun,
    RatedRun,
    RatingArithmetic,
    RunEngine,
    RunToRate,
    Snapshot,
    Tier,
    TieredPackagePrice,
    TieredPrice,
    UnitConfig,
    UnitPrice,
    UsageDiscount,
    UsagePrice,
    booked,
    rate_run,
    snapshot_instants,
)
from aggregates.rating.requests import RateOptions
from aggregates.rating.run import price_rater
from aggregates.values.decimals import shortest
from aggregates.values.money import FIAT, Currency
from aggregates.values.period import Instant, Period, instant
from aggregates.values.totals import Totals, sum_totals

USD = FIAT["USD"]
DAYS = 5
SERVICE = Period(instant("2025-01-01"), instant("2025-01-06"))

PLAIN = (RunEngine.DELTA, RunEngine.PERIOD_PRESERVING)
COMPATIBLE = (RunEngine.INVOICE_COMPATIBLE_DELTA, RunEngine.INVOICE_COMPATIBLE_PERIOD_PRESERVING)
ENGINES = (*PLAIN, *COMPATIBLE)


def day(n: int) -> Instant:
    """The end of the n-th day; 0 is the start of the charge."""
    return instant(f"2025-01-{n + 1:02d}")


def decimals(low: str, high: str, places: int = 3) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places)


rates = st.one_of(
    st.sampled_from([Decimal(t) for t in ("0", "0.001", "0.005", "0.33", "1", "2.5", "10")]), decimals("0", "20")
)
quantities = st.one_of(st.integers(0, 60).map(Decimal), decimals("0", "60"))


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    bounds = sorted(draw(st.sets(st.integers(1, 40), max_size=3)))
    steps: list[Tier] = []
    for bound in [*map(Decimal, bounds), None]:
        flat, unit = draw(st.none() | rates), draw(st.none() | rates)
        steps.append(Tier(up_to_amount=bound, flat_price=flat, unit_price=Decimal(1) if flat is unit is None else unit))
    return tuple(steps)


def commitments(draw: st.DrawFn) -> dict[str, Any]:
    maximum = draw(st.none() | decimals("0", "300"))
    minimum = draw(st.none() | decimals("0", "200"))
    if minimum is not None and maximum is not None and minimum > maximum:
        minimum, maximum = maximum, minimum
    return {"minimum_amount": minimum, "maximum_amount": maximum}


EVERY_PRICE = "unit package dynamic volume graduated percentage graduated_percentage tiered_package"


@st.composite
def prices(draw: st.DrawFn, kinds: str = EVERY_PRICE, *, committed: bool = True) -> UsagePrice:
    kind = draw(st.sampled_from(kinds.split()))
    common = commitments(draw) if committed else {}
    if kind == "unit":
        return UnitPrice(amount=draw(rates), **common)
    if kind == "package":
        size = draw(st.sampled_from([Decimal(1), Decimal(7), Decimal("2.5")]))
        return PackagePrice(amount=draw(rates), quantity_per_package=size, **common)
    if kind == "dynamic":
        return DynamicPrice(multiplier=draw(rates), **common)
    if kind == "percentage":
        return PercentagePrice(percentage=draw(rates), **common)
    if kind == "graduated_percentage":
        steps = [
            PercentageTier(up_to_amount=t.up_to_amount, flat_price=t.flat_price, percentage=t.unit_price)
            for t in draw(tiers())
        ]
        return GraduatedPercentagePrice(tiers=tuple(steps), **common)
    if kind == "tiered_package":
        return TieredPackagePrice(quantity_per_package=Decimal(3), tiers=draw(tiers()), **common)
    return TieredPrice(mode=kind, tiers=draw(tiers()), **common)


@st.composite
def discounts(draw: st.DrawFn) -> Discounts:
    percentage = draw(
        st.none() | st.sampled_from([Decimal(0), Decimal(10), Decimal("33.3"), Decimal(50), Decimal(100)])
    )
    usage = draw(st.none() | st.integers(0, 20).map(Decimal))
    return Discounts(
        percentage=None if percentage is None else PercentageDiscount(percentage=percentage, correlation_id="p"),
        usage=None if usage is None else UsageDiscount(quantity=usage, correlation_id="u"),
    )


unit_configs = st.builds(
    UnitConfig,
    operation=st.sampled_from(["multiply", "divide"]),
    conversion_factor=st.sampled_from([Decimal(3), Decimal("0.7"), Decimal(10)]),
    rounding=st.sampled_from(["none", "ceiling", "floor", "half_up"]),
    precision=st.integers(0, 2),
)


@dataclass(frozen=True)
class Cut:
    """One run of a history: it ends with a day and sees a cumulative quantity at the end of every day."""

    last_day: int
    seen: tuple[Decimal, ...]

    def at(self, n: int) -> Decimal:
        return self.seen[n - 1] if n else Decimal(0)


@st.composite
def histories(draw: st.DrawFn, *, growing: bool = False, final: bool = False, last_day: int = DAYS) -> tuple[Cut, ...]:
    """One to four runs; `growing` usage never falls, neither over days nor as later cut-offs learn more."""
    ends = sorted(draw(st.sets(st.integers(1, last_day), min_size=1, max_size=4)))
    if final:
        ends = sorted({*ends, DAYS})[-4:]
    cuts: list[Cut] = []
    seen = [Decimal(0)] * DAYS
    for end in ends:
        if growing:
            added = draw(st.lists(quantities.map(lambda q: q / 4), min_size=DAYS, max_size=DAYS))
            total = Decimal(0)
            for n in range(DAYS):
                total += added[n]
                seen[n] += total
        else:
            seen = draw(st.lists(quantities, min_size=DAYS, max_size=DAYS))
        cuts.append(Cut(end, tuple(seen)))
    return tuple(cuts)


@dataclass
class Book:
    """A charge and its runs under one engine."""

    engine: RunEngine
    price: UsagePrice
    discounts: Discounts = field(default_factory=Discounts)
    unit_config: UnitConfig | None = None
    currency: Currency = USD
    arithmetic: RatingArithmetic = REFERENCE
    runs: list[PriorRun] = field(default_factory=list)

    def run(self, cut: Cut, *, late: bool = False) -> RatedRun:
        """Rate the next run, from the latest end of the live runs, and book its lines."""
        start = max([SERVICE.from_, *(r.period.to for r in self.runs if not r.voided)])
        period = Period(day(cut.last_day - 1) if late else start, day(cut.last_day))
        if late:
            period = next(r.period for r in self.runs if r.period.to == period.to and not r.voided)
        run = self.to_rate(cut, period, late=late)
        rated = rate_run(run)
        run_id = f"run-{len(self.runs) + 1}"
        lines = booked(rated.lines, [f"{run_id}-line-{i}" for i in range(len(rated.lines))])
        self.runs.append(PriorRun(run_id=run_id, period=period, lines=lines))
        return rated

    def to_rate(self, cut: Cut, period: Period, *, late: bool = False) -> RunToRate:
        run = RunToRate(
            engine=self.engine,
            price=self.price,
            currency=self.currency,
            service_period=SERVICE,
            period=period,
            quantity=cut.at(cut.last_day),
            prior_runs=tuple(self.runs),
            discounts=self.discounts,
            unit_config=self.unit_config,
            late=late,
            arithmetic=self.arithmetic,
        )
        moments = snapshot_instants(run)
        snapshots = tuple(Snapshot(m, cut.at((m - SERVICE.from_).days)) for m in moments)
        return msgspec.structs.replace(run, snapshots=snapshots)

    def void(self, n: int) -> None:
        self.runs[n] = msgspec.structs.replace(self.runs[n], voided=True)

    @property
    def live_lines(self) -> list[DetailedLine]:
        return [line for run in self.runs if not run.voided for line in run.lines or ()]

    @property
    def totals(self) -> Totals:
        return sum_totals([line.totals for line in self.live_lines])

    def priced(self, cut: Cut) -> Totals:
        """What the charge costs at the end of that run, from zero."""
        end = day(cut.last_day)
        run = self.to_rate(cut, Period(SERVICE.from_, end))
        options = RateOptions(ignore_minimum_commitment=end < SERVICE.to)
        return sum_totals([line.totals for line in price_rater(run)(run.snapshot, run.period, options)])


def price(text: str) -> UsagePrice:
    """A price in short: `unit 10`, `package 5/10`, `dynamic 1.2`, `volume ..15:10 ..:5`, `graduated ..5:f100 ..:1`.

    A tier is `..bound:unit`, `..bound:fflat` or `..bound:unit+fflat`; the open one has no bound. `min 100` and
    `max 50` may follow.
    """
    kind, *words = text.split()
    common: dict[str, Any] = {}
    while len(words) > 2 and words[-2] in {"min", "max"}:
        *words, which, amount = words
        common["minimum_amount" if which == "min" else "maximum_amount"] = Decimal(amount)
    if kind == "unit":
        return UnitPrice(amount=Decimal(words[0]), **common)
    if kind == "dynamic":
        return DynamicPrice(multiplier=Decimal(words[0]), **common)
    if kind == "package":
        amount, size = words[0].split("/")
        return PackagePrice(amount=Decimal(amount), quantity_per_package=Decimal(size), **common)
    return TieredPrice(mode=kind, tiers=tuple(tier(word) for word in words), **common)


def tier(text: str) -> Tier:
    bound, parts = text.removeprefix("..").split(":")
    flat = unit = None
    for part in parts.split("+"):
        if part.startswith("f"):
            flat = Decimal(part[1:])
        elif part:
            unit = Decimal(part)
    return Tier(up_to_amount=Decimal(bound) if bound else None, flat_price=flat, unit_price=unit)


def off(*, percentage: str | None = None, usage: str | None = None) -> Discounts:
    """Discounts in short, with correlation ids."""
    return Discounts(
        percentage=PercentageDiscount(percentage=Decimal(percentage), correlation_id="p") if percentage else None,
        usage=UsageDiscount(quantity=Decimal(usage), correlation_id="u") if usage else None,
    )


def shown(line: DetailedLine) -> str:
    """A line as people write it: `3 x 10 = 30 - 10 unit-price-usage`, its discounts behind the amount."""
    t = line.totals
    amount = shortest(t.amount + t.charges_total)
    less = f" - {shortest(t.discounts_total)}" if t.discounts_total else ""
    covered = f" - {shortest(t.credits_total)} credit" if t.credits_total else ""
    figures = f"{shortest(line.quantity)} x {shortest(line.per_unit_amount)} = {amount}{less}{covered}"
    return f"{figures} {line.pricer_reference_id}"


def booked_as(line: DetailedLine) -> str:
    """A line of a run with what it does: `P1 reversal -3 x 10 = -30 - -10 unit-price-usage corrects run-1`."""
    assert line.service_period is not None
    days = f"{line.service_period.from_:%d}-{line.service_period.to:%d}"
    kind = f" {line.kind}" if line.kind else ""
    corrects = f" corrects {line.corrects_run_id}" if line.corrects_run_id else ""
    return f"{days}{kind} {shown(line)}{corrects}"
