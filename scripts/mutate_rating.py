"""Plant small faults in rating and show that the tests find every one.

    .venv/bin/python scripts/mutate_rating.py [--jobs 2] [--only word]

Each fault is one exact replacement in a temporary copy of the project: a bound that is off by one, another rounding,
a discount at the wrong side of the cap. The unit tests and vectors of rating run against it first, then the properties;
a fault that nothing notices is printed as SURVIVED and the script ends with 1. A replacement that no longer fits the
code is an error, so the list stays true.
"""

# ruff: noqa: E501 - a fault is one row of a table

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RATING = Path("aggregates/rating")
COPIED = ("aggregates", "tests", "pyproject.toml")

FIRST = ("tests/unit/aggregates/rating", "tests/conformance/test_rating.py", "tests/conformance/test_run_rating.py")
THEN = ("tests/properties/test_rating.py", "tests/properties/test_rating_runs.py")


class Fault(NamedTuple):
    """One fault: what it is, where, and the text that is replaced."""

    what: str
    file: str
    sound: str
    faulty: str


# fmt: off
FAULTS = (
    # prices
    Fault("the bound of a volume tier belongs to the next one", "volume.py", "quantity <= tier.up", "quantity < tier.up"),
    Fault("a volume price is billed on every split", "volume.py", "if not place.last:", "if not place.first:"),
    Fault("a volume flat part is left out at zero usage", "volume.py", "if tier.flat_price is not None:", "if tier.flat_price is not None and usage.quantity:"),
    Fault("a stretch without width is billed", "graduated.py", "if begin < upper or", "if begin <= upper or"),
    Fault("a flat part is billed again inside its tier", "graduated.py", "at_boundary=start <= lower)\n        lower", "at_boundary=True)\n        lower"),
    Fault("entering a tier exactly at its bound goes unseen", "graduated.py", "at_boundary=start <= lower)\n        lower", "at_boundary=start < lower)\n        lower"),
    Fault("the first tier's flat part is billed by every split", "graduated.py", "(number > 1 or place.first)", "(number >= 1 or place.first)"),
    Fault("tiers are walked as declared", "graduated.py", "enumerate(price.sorted_tiers(), 1)", "enumerate(price.tiers, 1)"),
    Fault("zero usage takes the sorted first tier", "graduated.py", "price.sorted_tiers() if tiers_always_sorted else price.tiers", "price.sorted_tiers()"),
    Fault("a full package counts as one more", "package.py", "if quantity % size == 0:", "if quantity % size == quantity:"),
    Fault("packages of earlier splits are billed again", "package.py", "ZERO if place.first else packages", "ZERO if place.split else packages"),
    Fault("a negative quantity is billed at a unit price", "unit.py", "if usage.quantity <= ZERO:", "if not usage.quantity:"),
    Fault("a dynamic amount is not rounded", "dynamic.py", "ONE, currency.rounded(amount), currency", "ONE, amount, currency"),
    Fault("a flat price is in arrears unless it says so", "flat.py", "price.payment_term or IN_ADVANCE", "price.payment_term or IN_ARREARS"),
    Fault("arrears are billed on the first split", "flat.py", "term == IN_ADVANCE else place.last", "term == IN_ADVANCE else place.first"),
    Fault("an event at its ceiling pays the ceiling", "percentage.py", "cost > price.maximum_per_event", "cost >= price.maximum_per_event"),
    Fault("one event too many is free", "percentage.py", "free = price.free_events", "free = price.free_events + 1"),
    # rounding
    Fault("money is rounded half to even", "lines.py", "gross = currency.rounded(unrounded)", "gross = round(unrounded, currency.precision)"),
    Fault("money is rounded down", "lines.py", "gross = currency.rounded(unrounded)", "gross = currency.rounded_down(unrounded)"),
    Fault("ceiling is floor", "adjustments.py", "CEILING: ROUND_CEILING", "CEILING: ROUND_FLOOR"),
    Fault("quotients carry 15 decimals", "adjustments.py", "QUOTIENT_PLACES = 16", "QUOTIENT_PLACES = 15"),
    Fault("a shortfall is not rounded", "adjustments.py", "currency.rounded(minimum - billed)", "minimum - billed"),
    Fault("the cap is not rounded", "adjustments.py", "limit = currency.rounded(maximum)", "limit = maximum"),
    # adjustments and their order
    Fault("the percentage comes after the cap", "rate.py", "    if line.discounts.percentage is not None:\n        discount_percentage(drafts, line.discounts.percentage, currency, arithmetic)\n    if isinstance(price, UsagePrice):\n        _commit(line, price, drafts)\n", "    if isinstance(price, UsagePrice):\n        _commit(line, price, drafts)\n    if line.discounts.percentage is not None:\n        discount_percentage(drafts, line.discounts.percentage, currency, arithmetic)\n"),
    Fault("free units are taken before conversion", "rate.py", "discount_usage(usage, line.discounts.usage, line.existing_usage_discounts)", "discount_usage(Usage(line.quantity, line.pre_line_quantity), line.discounts.usage, line.existing_usage_discounts)"),
    Fault("free units used earlier are free again", "adjustments.py", "applied = min(free - before, usage.quantity)", "applied = min(free, usage.quantity)"),
    Fault("the percentage is taken off the gross", "adjustments.py", "percentage_of(percentage, d.net, exactly=exactly)", "percentage_of(percentage, d.net / 2, exactly=exactly)"),
    Fault("the maximum forgets what was billed before", "adjustments.py", "    billed = billed_before\n    limit", "    billed = ZERO\n    limit"),
    Fault("only the first line counts towards the maximum", "adjustments.py", "        billed += d.net\n", "        billed += ZERO\n"),
    Fault("a minimum is charged on a partial run", "delta.py", "run.period.to < run.service_period.to", "run.period.to < run.period.from_"),
    Fault("a minimum is charged on every split", "rate.py", "line.place.last and not line.ignore", "not line.ignore"),
    Fault("a minimum reached exactly is charged", "adjustments.py", "if not billed < minimum:", "if not billed <= minimum:"),
    Fault("a single line counts what was billed before", "rate.py", "line.previously_billed if line.place.split else ZERO", "line.previously_billed"),
    Fault("credit that is left over vanishes", "rate.py", "        if left:\n            refuse(", "        if left < ZERO:\n            refuse("),
    Fault("a credit covers a line twice", "rate.py", "            d.net -= part\n", ""),
    # allocation
    Fault("the smallest remainder goes first", "allocation.py", "(given[i] - shares[i],", "(shares[i] - given[i],"),
    Fault("more than all buckets hold is spread", "allocation.py", "amount > sum(weights, ZERO)", "amount > 2 * sum(weights, ZERO)"),
    # engines
    Fault("another per-unit amount matches", "subtract.py", "counterpart = booked.pop(per_unit, None)", "counterpart = booked.pop(next(iter(booked), None), None)"),
    Fault("a reversal keeps its sign", "subtract.py", "quantity=-line.quantity,", "quantity=line.quantity,"),
    Fault("lines without money are kept", "subtract.py", "for line in of_key if has_money(line.totals)", "for line in of_key"),
    Fault("discounts are copied, not subtracted", "subtract.py", "amount_discounts=combined_discounts(line.amount_discounts, other.amount_discounts, sign)", "amount_discounts=line.amount_discounts"),
    Fault("a difference keeps the id of its line", "subtract.py", "reference, id=None, kind=None", "reference, kind=None"),
    Fault("credits change what is booked", "delta.py", "without_credits(line) for line in booked", "line for line in booked"),
    Fault("late usage lands on the current period", "period_preserving.py", "buckets.setdefault(line.service_period, [])", "buckets.setdefault(epoch, [])"),
    Fault("voided runs count", "prior_runs.py", "for prior in run.prior_runs if not prior.voided and", "for prior in run.prior_runs if"),
    Fault("a run subtracts itself", "prior_runs.py", "prior.run_id != run.run_id", "prior.run_id == prior.run_id"),
    Fault("touching periods overlap", "prior_runs.py", "one.from_ < other.to and other.from_ < one.to", "one.from_ <= other.to and other.from_ <= one.to"),
    Fault("a late adjustment may read to the same cut-off", "prior_runs.py", "run.stored_at_lt <= max(cutoffs)", "run.stored_at_lt < max(cutoffs)"),
    Fault("lines that point two ways go out", "invoice_compatible.py", "            if is_sign_coherent(change):\n", "            if True:\n"),
    Fault("reversed lines stay outstanding", "invoice_compatible.py", "gone.update((i, target))", "gone.update((i,))"),
    Fault("a repriced volume stays where it was", "epochs.py", "if now is None and is_volume and still_regular:", "if now is None and not is_volume:"),
    Fault("a period is owned by the latest run", "invoice_compatible.py", "    for prior in priors:\n        if prior.period.from_", "    for prior in reversed(priors):\n        if prior.period.from_"),
    Fault("a line without quantity counts as pointing one way", "epochs.py", "return line.quantity < 0 and all", "return line.quantity <= 0 and all"),
    Fault("lines are numbered from one", "naming.py", "index=i) for i, line in enumerate(lines)", "index=i) for i, line in enumerate(lines, 1)"),
    Fault("a hole in the periods is not rated by itself", "epochs.py", "moments = {start, run.period.from_, end}", "moments = {start, end}"),
    # where a line lies
    Fault("a second too much is billed", "place.py", "min(now, whole.to)", "whole.to"),
    Fault("a period is billed before it is over", "place.py", "now < whole.to else whole", "now < whole.from_ else whole"),
    Fault("a longer period costs more than the whole", "proration.py", "or served >= whole", "or served == whole"),
    # validation
    Fault("a minimum above a maximum of zero passes", "validation.py", "(strict or bool(minimum and maximum))", "bool(minimum and maximum)"),
    Fault("a percentage of 101 passes", "validation.py", "not 0 <= share <= HUNDRED", "not 0 <= share <= HUNDRED + 1"),
    # the better arithmetic
    Fault("rounding is not carried", "rate.py", "if arithmetic.carry_rounding:", "if not arithmetic.carry_rounding and not drafts:"),
    Fault("negative usage is clamped without a record", "rate.py", "return Usage(ZERO, before), quantity", "return Usage(ZERO, before), None"),
)
# fmt: on


def main() -> int:
    """Plant every fault, run the tests against it, and say which ones were found."""
    parser = argparse.ArgumentParser(description="Plant faults in rating; the tests must find them.")
    parser.add_argument("--jobs", type=int, default=2, help="how many copies are tested at once")
    parser.add_argument("--only", default="", help="only faults whose description or file has this word")
    options = parser.parse_args()
    faults = [fault for fault in FAULTS if options.only in fault.what or options.only in fault.file]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for n in range(options.jobs):
            copies.put(copy_of_project(Path(folder) / str(n)))
        if (broken := failing(Path(folder) / "0", (*FIRST, *THEN))) is not None:
            print(f"the tests fail without any fault: {broken}")
            return 1
        results = list(pool.map(lambda fault: planted(fault, copies), faults))
    survived = results.count(None)
    print(f"{len(results) - survived} of {len(results)} faults found in {time.monotonic() - started:.0f} s")
    return 1 if survived else 0


def copy_of_project(folder: Path) -> Path:
    """A copy of what rating and its tests need."""
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "golden", ".hypothesis")
            )
        else:
            shutil.copy(source, folder / name)
    return folder


def planted(fault: Fault, copies: SimpleQueue[Path]) -> str | None:
    """Which test found the fault; none when it survived."""
    copy = copies.get()
    file = copy / RATING / fault.file
    text = file.read_text()
    try:
        if text.count(fault.sound) != 1:
            sys.exit(
                f"{fault.file}: {fault.sound!r} is there {text.count(fault.sound)} times; bring the list up to date"
            )
        file.write_text(text.replace(fault.sound, fault.faulty))
        found = failing(copy, FIRST) or failing(copy, THEN)
    finally:
        file.write_text(text)
        copies.put(copy)
    print(
        f"{'found   ' if found else 'SURVIVED'}  {fault.file:22} {fault.what}" + (f"  ({found})" if found else ""),
        flush=True,
    )
    return found


def failing(copy: Path, tests: tuple[str, ...]) -> str | None:
    """The first test that fails in the copy; none when all hold."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "CI": "1", "PYTHONPATH": str(copy)}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    summary = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return summary[0].split("::")[-1].split(" - ")[0] if summary else "could not even be imported"


if __name__ == "__main__":
    sys.exit(main())
