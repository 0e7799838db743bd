"""`ledger projections` and `ledger rebuild`: the views, and making them anew."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import RenderableType

from ledger.cli import render
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

app = typer.Typer()
alone = typer.Typer()

View = Annotated[str, typer.Argument(metavar="VIEW", help="The view's name, as `status` has it.")]


@command(app, "status")
def status(session: Session) -> Shown:
    """Show every view: its version and that of this release, and how many positions of the log it is behind."""
    versions = session.ledger.projections.versions()
    found = session.ledger.projections.status()
    columns = (
        "view",
        Column("version", right=True),
        Column("of this release", right=True),
        "state",
        Column("position", right=True),
        Column("behind", right=True),
    )
    rows = [(v.view, v.version, versions.get(v.view), v.status, v.position, v.behind) for v in found]
    data = [render.plain_data(v) | {"expected_version": versions.get(v.view)} for v in found]
    return Shown(data, (render.table(columns, rows, empty="No views."),))


@command(app, "catch-up")
def catch_up(session: Session) -> Shown:
    """Bring every view to the head of the log; queries do that with the views they read."""
    position = session.ledger.projections.catch_up()
    return Shown({"position": position}, (render.done(f"Every view is at position {position}."),))


@command(app, "verify")
def verify(session: Session, view: View) -> Shown:
    """Compare a view with its events, folded anew, and change nothing. Exit code 1 if it is not what they say."""
    found = session.ledger.projections.verify(view)
    parts: list[RenderableType] = [
        render.facts(view, {"position": found.position, "rows": found.rows, "differing": found.differing})
    ]
    parts += [render.bad(str(difference)) for difference in found.differences]
    return Shown(found, tuple(parts), exit_code=0 if found.equal else 1)


@command(app, "rollback")
def rollback(session: Session, view: View) -> Shown:
    """Put back a view as it was before its last rebuild."""
    session.ledger.projections.rollback(view)
    return status(session)


@command(alone, "rebuild")
def rebuild(
    session: Session,
    view: Annotated[list[str] | None, typer.Argument(metavar="VIEW...", help="Which views; all if left out.")] = None,
) -> Shown:
    """Make views anew from the first event, compare them with the old ones, and exchange them.

    Queries are answered throughout. Exit code 1 if an old view was not what its events say.
    """
    with session.progress("Rebuilding") as progress:
        rebuilt = session.ledger.projections.rebuild(view or None, progress=lambda at: progress(at.done, at.total))
    columns = ("view", Column("version", right=True), Column("rows", right=True), "compared with the old one")
    rows = [(r.view, r.version, r.comparison.rows if r.comparison else None, _compared(r.comparison)) for r in rebuilt]
    differences = [str(d) for r in rebuilt if r.comparison for d in r.comparison.differences]
    parts = [render.table(columns, rows, empty="No views.")]
    parts += [render.bad(difference) for difference in differences]
    return Shown(rebuilt, tuple(parts), exit_code=1 if differences else 0)


def _compared(comparison: Any) -> str:
    if comparison is None:
        return "another version"
    return "equal" if comparison.equal else f"{comparison.differing} differ"
