"""See the ledger at work: makes the environment on first use, then runs `ledger demo`.

python3 scripts/demo.py [arguments of `ledger demo`]
"""

from __future__ import annotations

import sys

import environment

if __name__ == "__main__":
    python = environment.ready()
    sys.exit(environment.run(python, "-m", "ledger.cli.main", "demo", *sys.argv[1:]))
