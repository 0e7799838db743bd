"""`ledger advance` and `ledger worker`: let happen what is due."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType

from ledger.cli import render
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

app = typer.Typer()
worker = typer.Typer()


@command(app, "advance", writes=True)
def advance(
    session: Session,
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's key.")],
    charge: Annotated[str | None, typer.Option(metavar="ID", help="This charge alone.")] = None,
) -> Shown:
    """Advance what is due of a customer. What cannot move is listed with the reason, and the rest moves."""
    answer = session.ledger.charges.advance(customer, charge, command_id=session.command_id)
    moved = render.table(
        ("charge", Column("name", words=True), "status", "next"),
        [(c.id, c.intent.effective.name, c.status, c.advance_after) for c in answer.moved],
        empty="Nothing was due.",
    )
    parts: list[RenderableType] = [moved]
    if answer.failed:
        rows = [(f.charge, f.code, f.message) for f in answer.failed]
        parts += [
            render.bad("These could not move:"),
            render.table(("charge", "code", Column("why", words=True)), rows, empty=""),
        ]
    return Shown(answer, tuple(parts))


@command(worker, "run-once", writes=True)
def run_once(session: Session) -> Shown:
    """Advance everything that is due, customer by customer. Run it as often as you like, from cron for example."""
    with session.progress("Advancing") as progress:
        report = session.ledger.worker.run_once(
            command_id=session.command_id, progress=lambda _customer, done, of: progress(done, of)
        )
    values = {"customers advanced": len(report.succeeded), "charges moved": report.moved, "failed": len(report.failed)}
    parts: list[RenderableType] = [render.facts("Worker", values)]
    if report.failed:
        rows: list[tuple[object, ...]] = [(f.customer, f.code, f.message) for f in report.failed]
        parts.append(render.table(("customer", "code", Column("why", words=True)), rows, empty=""))
    if report.stuck:
        rows = [(f.charge, f.code, f.message) for f in report.stuck]
        parts.append(render.table(("charge", "code", Column("why", words=True)), rows, empty=""))
    return Shown(report, tuple(parts), exit_code=3 if report.failed else 0)
