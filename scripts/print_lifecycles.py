"""Print every lifecycle as a Mermaid diagram and as text tables; `--write` puts them into the README of the charges.

The tables in the code are the only source: `aggregates/charges/README.md` shows what this prints between its two
marks, and a test fails when it no longer does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path as File

ROOT = File(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from aggregates.charges.credit_purchase.lifecycle import EXTERNAL, INVOICE, PROMOTIONAL, VOIDING  # noqa: E402
from aggregates.charges.flat_fee import invoiced as invoiced_fee  # noqa: E402
from aggregates.charges.flat_fee import lifecycle as flat_fee  # noqa: E402
from aggregates.charges.turn import Turn  # noqa: E402
from aggregates.charges.usage_based import invoiced as invoiced_usage  # noqa: E402
from aggregates.charges.usage_based.late import LATE  # noqa: E402
from aggregates.charges.usage_based.lifecycle import PATCHES, PATH  # noqa: E402
from aggregates.lifecycle import Cell, PatchPolicy, Path, Row, Status, Trigger, always  # noqa: E402

README = ROOT / "aggregates" / "charges" / "README.md"
BEGIN = "<!-- lifecycles: printed by scripts/print_lifecycles.py -->"
END = "<!-- end of lifecycles -->"

PATHS: tuple[Path[Turn], ...] = (
    PATH,
    invoiced_usage.PATH,
    LATE,
    flat_fee.PATH,
    invoiced_fee.PATH,
    PROMOTIONAL,
    EXTERNAL,
    INVOICE,
)
POLICIES: tuple[PatchPolicy, ...] = (
    PATCHES,
    invoiced_usage.PATCHES,
    flat_fee.PATCHES,
    invoiced_fee.PATCHES,
    VOIDING,
)


def words(name: str) -> str:
    """A function's name as words."""
    return name.replace("_", " ")


def guard(row: Row[Turn]) -> str:
    """The guard as words; a dash where it always holds."""
    return "–" if row.when is always else words(row.when.__name__)


def node(status: Status) -> str:
    """A name Mermaid accepts for a status."""
    return status.value.replace(".", "_")


def diagram(path: Path[Turn]) -> str:
    """The path as a Mermaid state diagram: label of an arrow is rule, trigger, guard."""
    statuses = list(dict.fromkeys(s for row in path.rows for s in (row.status, row.to)))
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{status.value}" as {node(status)}' for status in statuses]
    lines.append(f"    [*] --> {node(Status.CREATED)}")
    for row in path.rows:
        condition = "" if row.when is always else f" [{guard(row)}]"
        lines.append(f"    {node(row.status)} --> {node(row.to)}: {row.rule} {row.on.value}{condition}")
    ends = [status for status in statuses if status not in {row.status for row in path.rows}]
    lines += [f"    {node(status)} --> [*]" for status in ends]
    return "\n".join([*lines, "```"])


def table(path: Path[Turn]) -> str:
    """The path as a table, one line a row."""
    rows = [(r.rule, r.status.value, r.on.value, guard(r), r.to.value, words(r.then.__name__)) for r in path.rows]
    return aligned(("rule", "from", "on", "when", "to", "then"), rows)


def policy_table(policy: PatchPolicy) -> str:
    """The patch policy as a table, status down the side."""
    rows = [
        (status.value, *(policy.cell(status, operation).value for operation in policy.operations))
        for status in policy.statuses
    ]
    legend = "\n".join(f"- {leads(policy, operation)}" for operation in policy.operations)
    return aligned(("status", *(operation.value for operation in policy.operations)), rows) + f"\n\n{legend}"


def leads(policy: PatchPolicy, operation: Trigger) -> str:
    """Where an operation may take a charge, as a sentence."""
    to = " or ".join(f"`{status.value}`" for status in policy.leads_to[operation])
    return f"`{operation.value}` may lead to {to}." if to else f"`{operation.value}` keeps the status."


def aligned(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown whose columns line up as text, too."""
    all_rows = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in all_rows) for i in range(len(header))]
    all_rows.insert(1, ["-" * width for width in widths])
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in all_rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)


def rendered() -> str:
    """All lifecycles, as they stand in the code."""
    parts: list[str] = []
    for path in PATHS:
        parts += [f"### {path.name}", diagram(path), table(path)]
    letters = f"`{Cell.APPLY}` applied, `{Cell.MOVE}` moved to the status that owns it, `{Cell.REFUSE}` refused"
    for policy in POLICIES:
        operations = "patches" if Trigger.DELETE in policy.operations else "voiding"
        legend = f"{letters}, `{Cell.DOES_NOT_ARISE}` does not arise."
        parts += [f"### {policy.name}: {operations}", legend, policy_table(policy)]
    return "\n\n".join(parts)


def page(text: str) -> str:
    """A page with what stands between the marks replaced by the lifecycles of today."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{rendered()}\n\n{END}{after}"


def main(arguments: Sequence[str]) -> None:
    """Print, or write into the README."""
    if "--write" in arguments:
        README.write_text(page(README.read_text()))
    else:
        print(rendered())


if __name__ == "__main__":
    main(sys.argv[1:])
