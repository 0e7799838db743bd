"""Write down the stored contract: every stored name with its fields, and sample bytes of each.

python3 scripts/event_schemas.py             after an event was added or, before its first release, changed
python3 scripts/event_schemas.py --release   with a release: from now on these names keep their shape

The test beside `tests/golden/events.json` fails until this was run; reviewing its diff is reviewing the contract.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support import event_schemas as golden  # noqa: E402


def main() -> int:
    """Rewrite the files; what a released name forbids is printed, and nothing is written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", action="store_true", help="mark every event of today as released")
    refused = golden.rewrite(release=parser.parse_args().release)
    for line in refused:
        print(line, file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
