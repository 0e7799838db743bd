"""Play random histories of credit for as long as asked: `python3 scripts/soak.py [--minutes 10] [--seed N]`.

Each history is 40 to 200 commands of one customer, with the books checked after every one (ledger §16). A history
that breaks something is printed with its seed, and played again by that seed alone.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from pathlib import Path

import environment


def main() -> int:
    """Run in the project's environment; 0 when nothing was found."""
    if len(sys.argv) > 1 and sys.argv[1] == "--inside":
        sys.argv.pop(1)
        return soak()
    return environment.run(environment.ready("test"), Path(__file__), "--inside", *sys.argv[1:])


def soak() -> int:
    """Play until the time is over, or the one history that a seed names."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.support.histories import Asked, History

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    ends = time.monotonic() + given.minutes * 60
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**32)
    histories = commands = 0
    while True:
        drawn = random.Random(seed)
        history = History()
        try:
            for _ in range(drawn.randint(40, 200)):
                history.play(Asked(*(drawn.randrange(5_000) for _ in range(4))))
            history.finish()
        except Exception:  # noqa: BLE001 - whatever it is, its seed is what matters
            traceback.print_exc()
            print(f"found by --seed {seed}, command {history.done} at {history.now}", file=sys.stderr)
            return 1
        histories, commands = histories + 1, commands + history.done
        if given.seed is not None or time.monotonic() > ends:
            print(f"{histories:,} histories, {commands:,} commands: the books were in order after every one")
            return 0
        seed = (seed + 1) % 2**32


if __name__ == "__main__":
    sys.exit(main())
