"""How many lines a core rates in a second: JSON in, JSON out, and what the parts of that cost.

    .venv/bin/python scripts/benchmarks/rating.py [--seconds 3] [--cases folder]

The mix is written down below: every price type with discounts, commitments, conversions and credits, one case after
the other on one core. `--cases` takes a folder of rating vectors instead and rates those of kind `rate`. A compiled
reference rates about 26 000 of such cases a second on a core; the last line says how far that is.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2]))

from aggregates.rating import DetailedLine, PriorRun, RunEngine, RunToRate, Snapshot, UnitPrice, booked, rate, rate_run
from aggregates.rating.wire import rate_json, read_line, result_as_dict
from aggregates.values.errors import ValidationFailed
from aggregates.values.money import fiat
from aggregates.values.period import period

REFERENCE_PER_SECOND = 26_000

TIERS = [
    {"up_to_amount": "1000", "flat_price": "10", "unit_price": "0"},
    {"up_to_amount": "10000", "unit_price": "0.0025"},
    {"up_to_amount": None, "unit_price": "0.00125"},
]
PRICES: tuple[dict[str, Any], ...] = (
    {"type": "flat", "amount": "49.90", "payment_term": "in_advance"},
    {"type": "unit", "amount": "0.0015"},
    {"type": "package", "amount": "5", "quantity_per_package": "1000"},
    {"type": "dynamic", "multiplier": "1.2"},
    {"type": "tiered", "mode": "graduated", "tiers": TIERS},
    {"type": "tiered", "mode": "volume", "tiers": TIERS},
)
COMMITMENTS: tuple[dict[str, Any], ...] = ({}, {"minimum_amount": "20"}, {"maximum_amount": "15"})
DISCOUNTS: tuple[dict[str, Any], ...] = (
    {},
    {"percentage": {"percentage": "12.5", "correlation_id": "01H"}},
    {"usage": {"quantity": "100", "correlation_id": "01J"}},
)
QUANTITIES = ("0", "7", "1234.5", "98765")
TO_THOUSANDS = {"operation": "divide", "conversion_factor": "1000", "rounding": "ceiling", "precision": 0}


def main() -> None:
    """Rate the mix for a while and print cases per second."""
    parser = argparse.ArgumentParser(description="How many lines a core rates in a second.")
    parser.add_argument("--seconds", type=float, default=3, help="how long each figure is measured")
    parser.add_argument("--cases", type=Path, help="a folder of rating vectors to rate instead of the mix")
    options = parser.parse_args()
    cases = list(vectors(options.cases) if options.cases else mix())
    lines = [read_line(case) for case in cases]
    results = [rate(line) for line in lines]
    print(f"{len(cases)} cases, {sum(len(r.lines) for r in results)} lines; one core, JSON in and out")
    print(f"  read            {per_second(read_line, cases, options.seconds):>9,.0f} a second")
    print(f"  rate            {per_second(rate, lines, options.seconds):>9,.0f} a second")
    print(f"  write           {per_second(write, results, options.seconds):>9,.0f} a second")
    runs = [a_run(engine) for engine in RunEngine]
    print(f"  run of 12       {per_second(rate_run, runs, options.seconds):>9,.0f} a second, all four engines in turn")
    whole = per_second(rate_json, cases, options.seconds)
    print(f"  all together    {whole:>9,.0f} cases a second")
    print(
        f"  a compiled reference does about {REFERENCE_PER_SECOND:,}; this is {whole / REFERENCE_PER_SECOND:.2f} of it"
    )


def mix() -> Iterator[bytes]:
    """Every price with every commitment, discount and quantity; some are converted, some covered by credit."""
    for price, commitment, discounts, quantity in itertools.product(PRICES, COMMITMENTS, DISCOUNTS, QUANTITIES):
        flat = price["type"] == "flat"
        converts = price["type"] in {"unit", "tiered"} and quantity == "98765"
        yield json.dumps(
            {
                "currency": {"code": "USD", "precision": 2},
                "line_name": "feature",
                "price": price if flat else {**price, **commitment},
                "discounts": discounts,
                "unit_config": TO_THOUSANDS if converts else None,
                "usage": {"line_period_qty": quantity, "pre_line_period_qty": "0"},
                "credits_applied": [{"amount": "1", "description": "promotion"}] if flat else [],
                "options": {"unit_config_enabled": True},
            }
        ).encode()


def vectors(folder: Path) -> Iterator[bytes]:
    """The cases of kind `rate` below a folder that are not refused."""
    for file in sorted(folder.rglob("*.json")):
        for vector in json.loads(file.read_text()):
            if vector.get("kind") == "rate":
                case = json.dumps({key: value for key, value in vector.items() if key != "expect"}).encode()
                try:
                    rate_json(case)
                except ValidationFailed:
                    continue
                yield case


def write(result: Any) -> bytes:
    """A result as JSON."""
    return msgspec.json.encode(result_as_dict(result))


def a_run(engine: RunEngine) -> RunToRate:
    """The twelfth run of a year at a unit price, after eleven monthly ones."""
    months = [f"2025-{month:02d}-01" for month in range(1, 13)]
    year = period("2025-01-01", "2026-01-01")
    priors: list[PriorRun] = []
    for n, (from_, to) in enumerate(itertools.pairwise([*months, "2026-01-01"]), 1):
        run = RunToRate(
            engine=engine,
            price=UnitPrice(amount=Decimal("0.0015")),
            currency=fiat("USD"),
            service_period=year,
            period=period(from_, to),
            quantity=Decimal(10_000 * n),
            prior_runs=tuple(priors),
            snapshots=tuple(Snapshot(p.period.to, Decimal(10_000 * i)) for i, p in enumerate(priors, 1)),
        )
        if n == 12:
            return run
        lines: Sequence[DetailedLine] = rate_run(run).lines
        kept = booked(lines, [f"{n}-{i}" for i in range(len(lines))])
        priors.append(PriorRun(run_id=f"run-{n}", period=run.period, lines=kept))
    raise AssertionError(engine)


def per_second(function: Callable[[Any], object], inputs: Sequence[Any], seconds: float) -> float:
    """How many calls a second, over all inputs in turn; the best of three shares of the time."""
    best = 0.0
    for _ in range(3):
        done, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds / 3:
            for one in inputs:
                function(one)
            done += len(inputs)
        best = max(best, done / elapsed)
    return best


if __name__ == "__main__":
    main()
