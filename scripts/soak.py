"""Play random histories for as long as asked: `python3 scripts/soak.py [--minutes 10] [--seed N] [--pool] [--crashes]`.

By turns: 40 to 200 commands of one customer, a history of credit, with the books checked after every command (ledger
§16), or a lifetime of charges, invoices and payments, with everything else checked as well (lifecycles §19.5); and a
handful of histories of one pool beside a naive model of it, which have to say the same. `--pool` plays only the last.
What breaks something is printed with its seed, and played again by that seed alone.

`--crashes` makes every call of every command of the facade fail in turn instead, and sends the command again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import environment

if TYPE_CHECKING:
    from tests.support.histories import History


def main() -> int:
    """Run in the project's environment; 0 when nothing was found."""
    if len(sys.argv) > 1 and sys.argv[1] == "--inside":
        sys.argv.pop(1)
        return soak()
    return environment.run(environment.ready("test"), Path(__file__), "--inside", *sys.argv[1:])


def soak() -> int:
    """Play until the time is over, or the one turn that a seed names."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--pool", action="store_true")
    parser.add_argument("--crashes", action="store_true")
    given = parser.parse_args()
    if given.crashes:
        return crash_everywhere()
    ends = time.monotonic() + given.minutes * 60
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**32)
    turns = commands = 0
    while True:
        try:
            commands += beside_the_model(seed) if given.pool or seed % 4 == 3 else one_history(seed)
        except Exception:  # noqa: BLE001 - whatever it is, its seed is what matters
            traceback.print_exc()
            print(f"found by --seed {seed}{' --pool' if given.pool else ''}", file=sys.stderr)
            return 1
        turns += 1
        if given.seed is not None or time.monotonic() > ends:
            print(f"{turns:,} turns, {commands:,} commands: everything was in order after every one")
            return 0
        seed = (seed + 1) % 2**32


def beside_the_model(seed: int) -> int:
    """Play a pool beside the naive model of it; how many commands that were."""
    from tests.support.beside_naive_pool import soak as play

    return play(seed)


def one_history(seed: int) -> int:
    """Play the history that a seed stands for; how many commands that were."""
    from tests.support.histories import Asked

    drawn = random.Random(seed)
    history = drawn_history(seed)
    try:
        for _ in range(drawn.randint(40, 200)):
            history.play(Asked(*(drawn.randrange(5_000) for _ in range(4))))
        history.finish()
    except Exception as error:
        error.add_note(f"at command {history.done}, {history.now}")
        raise
    return history.done


def drawn_history(seed: int) -> History:
    """The kind of history that a seed stands for: of credit, or a lifetime under either bundle of policies."""
    from aggregates.policies import Policies
    from tests.support.histories import History
    from tests.support.lifetimes import Lifetime

    if seed % 3 == 0:
        return History()
    policies = Policies.standard() if seed % 3 == 1 else Policies.reference()
    return Lifetime(policies=policies, auto_approve=bool(seed % 2))


def crash_everywhere() -> int:
    """Fail every call of every command once, and compare what it comes to; 0 when nothing was found."""
    from tests.support.further_commands import EVERY_COMMAND
    from tests.support.outcomes import broken_off, comes_to_the_same

    found = tried = 0
    for name in sorted(EVERY_COMMAND):
        clean = broken_off(name, None)
        for fail_at in range(1, len(clean.probe.calls) + 1):
            tried += 1
            if not comes_to_the_same(broken_off(name, fail_at), clean):
                found += 1
                print(f"{name}: call {fail_at}, {clean.probe.calls[fail_at - 1]}, failed", file=sys.stderr)
    print(f"{len(EVERY_COMMAND)} commands, {tried:,} calls failed in turn: {found} came to something else")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
