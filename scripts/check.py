"""Everything that must hold before a change is done: format, lint, types, architecture, tests.

python3 scripts/check.py         one line a step; whatever a failing step has to say follows it
python3 scripts/check.py --fix   format and mend what can be mended first
python3 scripts/check.py --quick all but the tests

Ends with 0 when every step holds, else 1.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import environment

FOLDERS = ("aggregates", "projections", "ledger", "tests", "scripts")


class Step(NamedTuple):
    """What is checked, and what the environment's Python is told to run for it."""

    name: str
    arguments: tuple[str, ...]


FIXES = (
    Step("mend", ("-m", "ruff", "check", "--fix", "--quiet", *FOLDERS)),
    Step("format", ("-m", "ruff", "format", "--quiet", *FOLDERS)),
)
STATIC = (
    Step("format", ("-m", "ruff", "format", "--check", *FOLDERS)),
    Step("lint", ("-m", "ruff", "check", *FOLDERS)),
    Step("mypy --strict", ("-m", "mypy")),
    Step("pyright strict", ("-m", "pyright")),
    Step("architecture", ("-m", "pytest", "-q", "tests/architecture")),
)
TESTS = (Step("tests", ("scripts/test.py", "-q", "--ignore=tests/architecture")),)


def holds(python: Path, step: Step) -> bool:
    """Run one step and say how it went: a line if it holds, everything it said if not."""
    show(f"  {step.name} ...")
    began = time.monotonic()
    done = subprocess.run(
        [str(python), *step.arguments],
        cwd=environment.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    good = done.returncode == 0
    show(f"{'✓' if good else '✗'} {step.name:<16} {time.monotonic() - began:6.1f} s", ends=True)
    if not good:
        print(done.stdout.rstrip() + "\n", flush=True)
    return good


def show(line: str, *, ends: bool = False) -> None:
    """Write over the line of the step under way, where there is a terminal to do so."""
    terminal = sys.stdout.isatty()
    if ends or terminal:
        erase = "\r\033[K" if terminal else ""
        print(erase + line, end="\n" if ends else "", flush=True)


def main() -> int:
    """Run all steps, also after one has failed; return the exit code."""
    parser = argparse.ArgumentParser(description="Check format, lint, types, architecture and tests.")
    parser.add_argument("--fix", action="store_true", help="format and mend what can be mended first")
    parser.add_argument("--quick", action="store_true", help="all but the tests")
    options = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # the marks are not in every terminal's own encoding

    python = environment.ready("dev")
    if options.fix:
        # What cannot be mended is reported by the steps below.
        for step in FIXES:
            subprocess.run([str(python), *step.arguments], cwd=environment.ROOT, check=False)
    steps = STATIC if options.quick else (*STATIC, *TESTS)
    outcomes = [holds(python, step) for step in steps]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
