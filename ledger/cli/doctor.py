"""`ledger doctor`: is there anything to look at?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from ledger.cli import parse, render
from ledger.cli.charge_words import OVERLAP_COLUMNS, STUCK_COLUMNS, overlap_rows, stuck_rows
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command
from ledger.cli.usage import LATE_COLUMNS, late_rows

if TYPE_CHECKING:
    from ledger.doctor import Diagnosis

app = typer.Typer()


@command(app, "doctor")
def doctor(
    session: Session,
    *,
    overdue: Annotated[str, typer.Option(metavar="TIME", help="How late an advance may be: 30m, 1h, 2d.")] = "1h",
    behind: Annotated[
        int, typer.Option(metavar="N", min=0, help="How many positions of the log a view may be behind.")
    ] = 10_000,
    conflicts_since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only usage that was set aside from this time on.")
    ] = None,
    chains: Annotated[
        bool, typer.Option("--chains", help="Check every stored byte as well, as `ledger verify --chains-only` does.")
    ] = False,
) -> Shown:
    """Look for what needs somebody: stuck charges, late customers, old views, usage set aside or to decide about.

    Exit code 1 if any.
    """
    with session.progress("Examining") as progress:
        found = session.ledger.doctor.examine(
            overdue=parse.span(overdue, "--overdue"),
            behind=behind,
            conflicts_since=parse.moment(conflicts_since, "--conflicts-since"),
            chains=chains,
            progress=lambda at: progress(at.done, at.total),
        )
    data = {"healthy": found.healthy, "found": found.found, **render.plain_data(found)}
    return Shown(data, tuple(_parts(found)), exit_code=0 if found.healthy else 1)


def _parts(found: Diagnosis) -> list[RenderableType]:
    parts = [
        *_part(
            "Stuck charges; each is tried again whenever its customer is advanced",
            STUCK_COLUMNS,
            stuck_rows(found.stuck),
        ),
        *_part("Invoices of which a step failed; each pass of a worker repeats it", _FAILING, _failing_rows(found)),
        *_part("Customers that no worker advances", _OVERDUE, _overdue_rows(found)),
        *_part("Views to bring up to date: `ledger rebuild VIEW`", _VIEWS, _view_rows(found)),
        *_part(
            "Time billed twice, because an invoice could not be corrected",
            OVERLAP_COLUMNS,
            overlap_rows(found.overlaps),
        ),
        *_part("Usage set aside, see `ledger usage conflicts`", _CONFLICTS, _conflict_rows(found)),
        *_part("Late usage: `ledger charge bill-late-usage` or `dismiss-late-usage`", LATE_COLUMNS, _late_rows(found)),
    ]
    if found.chains is not None:
        parts += [render.bad(str(finding)) for finding in found.chains.findings]
    if found.healthy:
        parts.append(render.done(f"✓ Nothing to look at, at position {found.position}."))
    else:
        parts.append(render.bad(f"✗ {found.found} {'thing' if found.found == 1 else 'things'} to look at."))
    return parts


def _part(title: str, columns: Sequence[Column | str], rows: list[Any]) -> list[RenderableType]:
    return [render.heading(title), render.table(columns, rows, empty=""), ""] if rows else []


_FAILING = ("invoice", "customer", "status", "code", "since", Column("what would free it", words=True))
_OVERDUE = ("customer", Column("charges", right=True), "due since")
_VIEWS = ("view", Column("version", right=True), Column("of this release", right=True), Column("behind", right=True))
_CONFLICTS = ("customer", "meter", Column("events", right=True), "last")


def _failing_rows(found: Diagnosis) -> list[Any]:
    return [(i.invoice, i.customer, i.status, why.code, i.since, why.remedy) for i in found.failing for why in i.issues]


def _overdue_rows(found: Diagnosis) -> list[Any]:
    return [(late.customer, len(late.charges), late.since) for late in found.overdue]


def _view_rows(found: Diagnosis) -> list[Any]:
    return [(view.view, view.version, view.expected_version, view.behind) for view in found.views]


def _late_rows(found: Diagnosis) -> list[Any]:
    return late_rows(found.late_usage)


def _conflict_rows(found: Diagnosis) -> list[Any]:
    """Usage that was set aside, counted by customer and meter."""
    moments: dict[tuple[str, str], list[Any]] = {}
    for each in found.conflicts:
        moments.setdefault((each.event.customer, each.event.meter), []).append(each.stored_at)
    return [(*whose, len(stored), max(stored)) for whose, stored in sorted(moments.items())]
