"""Every hot path beside its floor, measured in one run: `python3 scripts/bench.py [rating|store|commands|…]`.

Without a name all of them run, one after the other. Compare figures of one run only: a machine has better and worse
minutes. Each part says what it measures and what its floor is in `scripts/benchmarks/`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import environment

PARTS = {path.stem: path for path in sorted((Path(__file__).parent / "benchmarks").glob("*.py"))}


def main() -> int:
    """Run the named parts, or all; the worst exit code."""
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    options = [name for name in sys.argv[1:] if name.startswith("-")]
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        environment.fail(f"no benchmark {', '.join(unknown)}; there are {', '.join(PARTS)}")
    python = environment.ready("test")
    worst = 0
    for name in names or PARTS:
        print(f"── {name} " + "─" * (76 - len(name)), flush=True)
        worst = max(worst, environment.run(python, PARTS[name], *options))
        print(flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
