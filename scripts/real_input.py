"""Bills a folder of real metered usage end to end: import, provisional runs, final runs, late adjustments, settlement.

    python3 scripts/real_input.py FOLDER [--db URL] [--policies standard|reference]

FOLDER holds `conv.csv` and `code.csv`, one hour of LLM inference (columns TIMESTAMP, ContextTokens, GeneratedTokens,
times in UTC; README.md). Input costs 0.000003 USD a token; output is graduated: 0.000015 up to 1,000,000, 0.000012 up
to 3,000,000, 0.00001 beyond. `conv` has 100 USD; `code` has 30 USD that expire at 19:30 and 50 USD that do not: under
the reference policies they lapse, under the standard ones a run that ends at 19:30 takes them.
A third customer, `late`, uses what `conv` does, but what is after 19:00 is imported when the runs are final: under the
standard policies late adjustments make its sums those of `conv`, which saw everything in time.
The figures are compared with those worked out by hand; a difference ends with exit code 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

try:
    from ledger import Ledger, Policies, SettableClock, graduated, unit
except ImportError:  # not in the project's environment: make it, and run there
    import environment

    sys.exit(environment.run(environment.ready(), __file__, *sys.argv[1:]))

PERIOD = ("2023-11-16T18:00:00Z", "2023-11-16T20:00:00Z")
INPUT = unit("0.000003")
OUTPUT = graduated(("1000000", "0.000015"), ("3000000", "0.000012"), (None, "0.00001"))
METERS = {"input_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"}

CUSTOMERS = ("conv", "code", "late")

EXPECTED = {
    "reference": {
        "conv provisional": ["55.33", "40.38"],
        "conv final": ["67.09", "49.89"],
        "code final": ["54.18", "3.69"],
        "conv settled": ["-16.98"],
        "code settled": ["-7.87"],
        "code breakage": ["30.00"],
        "late final": ["55.33", "40.38"],
        "late adjusted": ["55.33", "40.38"],
        "late settled": ["4.29"],
    },
    "standard": {
        "conv provisional": ["55.33", "40.38"],
        "conv final": ["67.09", "49.89"],
        "code final": ["54.18", "0", "3.69", "0"],
        "conv settled": ["-16.98"],
        "code settled": ["22.13"],
        "code breakage": ["0"],
        "late final": ["55.33", "40.38"],
        "late adjusted": ["55.33", "11.76", "40.38", "9.51"],
        "late settled": ["-16.98"],
    },
}


class Report:
    """Prints each figure beside the expected one and remembers whether all agreed."""

    def __init__(self, expected: dict[str, list[str]]) -> None:
        self.expected = expected
        self.differs = False

    def figure(self, name: str, found: list[Decimal]) -> None:
        """Compare amounts by value."""
        wanted = self.expected[name]
        agrees = found == [Decimal(amount) for amount in wanted]
        self.differs |= not agrees
        print(f"  {'as expected' if agrees else 'DIFFERS    '}  {name}: {', '.join(map(str, found))}", end="")
        print("" if agrees else f" (expected {', '.join(wanted)})")


def main() -> int:
    """Run the bill and say how long it took."""
    parser = argparse.ArgumentParser(description="Bill a folder of real metered usage.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--db", help="URL of a new database; a temporary SQLite file by default")
    parser.add_argument("--policies", choices=sorted(EXPECTED), default="standard")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.db or f"sqlite:///{folder}/ledger.db"
        started = time.perf_counter()
        differs = bill(arguments.folder, url, arguments.policies)
        print(f"{time.perf_counter() - started:.1f} s")
    return 1 if differs else 0


def bill(folder: Path, url: str, policies: str) -> bool:
    """The whole story; whether any figure differs."""
    clock = SettableClock("2023-11-16T17:00:00Z")
    bundle = Policies.reference() if policies == "reference" else Policies.standard()
    report = Report(EXPECTED[policies])
    with Ledger.open(url, clock=clock, policies=bundle) as ledger:
        define(ledger)
        load(ledger, folder / "code.csv", "code")
        for customer in ("conv", "late"):
            load(ledger, folder / "conv.csv", customer, to="2023-11-16T19:00:00Z")
        clock.set("2023-11-16T20:00:00Z")
        ledger.worker.run_once()
        report.figure("conv provisional", amounts(ledger, "conv"))
        clock.set("2023-11-16T20:10:00Z")
        load(ledger, folder / "conv.csv", "conv", from_="2023-11-16T19:00:00Z")
        clock.set("2023-11-16T20:31:00Z")
        ledger.worker.run_once()
        report.figure("conv final", amounts(ledger, "conv"))
        report.figure("code final", amounts(ledger, "code"))
        report.figure("conv settled", [ledger.views.balance("conv", "USD").settled])
        report.figure("code settled", [ledger.views.balance("code", "USD").settled])
        report.figure("code breakage", [ledger.views.balance("code", "USD").breakage])
        report.figure("late final", amounts(ledger, "late"))
        load(ledger, folder / "conv.csv", "late", from_="2023-11-16T19:00:00Z")
        clock.set("2023-11-16T20:33:00Z")
        ledger.worker.run_once()
        report.figure("late adjusted", amounts(ledger, "late"))
        report.figure("late settled", [ledger.views.balance("late", "USD").settled])
        if policies == "standard":
            in_time, late = (sums(ledger, customer) for customer in ("conv", "late"))
            print(f"  {'the same' if late == in_time else 'DIFFERS'}: late {late}, in time {in_time}")
            report.differs |= late != in_time
        again = load(ledger, folder / "conv.csv", "conv") + load(ledger, folder / "code.csv", "code")
        print(f"  imported again: {again} events stored")
        report.differs |= again != 0
        sound = ledger.audit.verify().sound
        print(f"  verify: {'sound' if sound else 'NOT SOUND'}")
        report.differs |= not sound
    return report.differs


def define(ledger: Ledger) -> None:
    """Meters, features, customers, credit and the charges."""
    for meter in METERS:
        ledger.catalogue.define_meter(meter)
        ledger.catalogue.define_feature(meter, meter=meter)
    for customer in CUSTOMERS:
        ledger.customers.create(customer, collection_interval="PT30M")
    ledger.credits.grant("conv", "100")
    ledger.credits.grant("late", "100")
    ledger.credits.grant("code", "30", priority=1, expires_at="2023-11-16T19:30:00Z")
    ledger.credits.grant("code", "50", priority=2)
    for customer in CUSTOMERS:
        for feature, price in (("input_tokens", INPUT), ("output_tokens", OUTPUT)):
            ledger.charges.create_usage(
                customer, feature=feature, price=price, period_from=PERIOD[0], period_to=PERIOD[1]
            )


def load(ledger: Ledger, path: Path, customer: str, *, from_: str | None = None, to: str | None = None) -> int:
    """Import one file; how many events were new."""
    progress: Callable[[int, int], None] = show if sys.stderr.isatty() else quiet
    report = ledger.usage.import_csv(
        path,
        time="TIMESTAMP",
        customer=customer,
        meters=METERS,
        assume_utc=True,
        from_=from_,
        to=to,
        progress=progress,
    )
    return report.ingest.stored


def amounts(ledger: Ledger, customer: str) -> list[Decimal]:
    """What the runs of a customer's charges are rated at, in order of creation."""
    usage = [charge for charge in ledger.charges.list(customer) if charge.runs]
    return [run.totals.amount for charge in usage for run in ledger.charges.runs(charge.id)]


def sums(ledger: Ledger, customer: str) -> dict[str, str]:
    """What the runs of each charge come to together."""
    usage = [charge for charge in ledger.charges.list(customer) if charge.runs]
    runs = {charge.intent.effective.name: ledger.charges.runs(charge.id) for charge in usage}
    return {name: str(sum((run.totals.amount for run in each), Decimal(0))) for name, each in runs.items()}


def show(done: int, total: int) -> None:
    """A line of progress on a terminal."""
    print(f"\r  {done:,} of {total:,} rows", end="" if done < total else "\n", file=sys.stderr)


def quiet(done: int, total: int) -> None:
    """Nothing to show where nobody is watching."""


if __name__ == "__main__":
    sys.exit(main())
