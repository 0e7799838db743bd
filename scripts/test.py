"""Run the tests: makes the environment on first use, then hands all arguments to pytest.

python3 scripts/test.py                       the whole suite, on two processes
python3 scripts/test.py tests/unit -k credit  whatever pytest understands
python3 scripts/test.py -m soak               the long ones

Ends with pytest's exit code.
"""

from __future__ import annotations

import sys

import environment

PROCESSES = ("-n", "2", "--dist", "worksteal")
"""Two processes suit a small machine; a slow test at the end of one is taken over by the other."""

IN_ONE_PROCESS = ("-n", "--numprocesses", "--pdb", "--trace", "--co", "--collect-only", "-s", "-h", "--help")
"""Arguments that choose the number of processes themselves, or need a single one."""


def arguments_for_pytest(given: list[str]) -> list[str]:
    """Spread a run of the whole suite over processes; a run of named tests is quicker without."""
    names_tests = any(not argument.startswith("-") and "tests" in argument for argument in given)
    if names_tests or any(argument.split("=")[0] in IN_ONE_PROCESS for argument in given):
        return given
    return [*PROCESSES, *given]


if __name__ == "__main__":
    python = environment.ready("test")
    sys.exit(environment.run(python, "-m", "pytest", *arguments_for_pytest(sys.argv[1:])))
