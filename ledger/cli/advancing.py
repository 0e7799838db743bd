"""`ledger advance` and `ledger worker`: let happen what is due."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from aggregates.values.errors import Unavailable
from ledger.cli import exits, parse, render
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

if TYPE_CHECKING:
    from ledger.worker import Pass, Stop, WorkerReport

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


@command(worker, "due")
def due(session: Session) -> Shown:
    """List the customers of whom something is due now; the next pass is at each of them."""
    found = session.ledger.worker.due_customers()
    return Shown(found, (render.table(("customer",), [(key,) for key in found], empty="Nothing is due."),))


@command(worker, "run-once", writes=True)
def run_once(session: Session) -> Shown:
    """Advance everything that is due, customer by customer. Run it as often as you like, from cron for example."""
    with session.progress("Advancing") as progress:
        report = session.ledger.worker.run_once(
            command_id=session.command_id, progress=lambda _customer, done, of: progress(done, of)
        )
    return Shown(report, _report("Worker", report), exit_code=_exit_code(report))


@command(worker, "run", goes_on=True)
def run(
    session: Session,
    interval: Annotated[
        str, typer.Option(metavar="TIME", help="How long to rest at most between passes: 30s, 5m, 2h.")
    ] = "30s",
    once_idle: Annotated[
        bool, typer.Option("--once-idle", help="End after the first pass that found nothing to move.")
    ] = False,
) -> Shown:
    """Advance what comes due, as long as it runs. Ctrl-C or SIGTERM ends it after the customer it is at.

    It rests until something comes due, or for the interval. A database that does not answer is waited for. Several may
    run beside one another. With --json there is a line for each pass.
    """
    rest = parse.span(interval, "--interval")
    moved = 0

    def told(done: Pass) -> None:
        nonlocal moved
        moved += done.report.moved
        if session.options.json:
            render.tell_json_line(_pass_data(done))
        elif words := _pass_words(done.report):
            render.tell(f"{render.moment(done.at)}  {words}")

    with _stopping() as stop, session.progress("Advancing") as progress:
        last = session.ledger.worker.run(
            stop=stop,
            interval=rest,
            until_idle=once_idle,
            told=told,
            progress=lambda _customer, done, of: progress(done, of),
        )
    values = {"passes": last.number, "charges moved": moved}
    code = _exit_code(last.report) if once_idle else 0
    return Shown(render.ALREADY_SAID, (render.facts("Worker ended", values),), exit_code=code)


@contextmanager
def _stopping() -> Generator[Stop]:
    """SIGTERM and Ctrl-C ask the worker to end; a second one ends it at once, as anywhere else."""
    from ledger.worker import Stop

    stop = Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def asked(_number: int, _frame: FrameType | None) -> None:
        restore()
        stop.set()

    for number in before:
        signal.signal(number, asked)
    try:
        yield stop
    finally:
        restore()


def _pass_data(done: Pass) -> dict[str, object]:
    """A pass for programs; the rest in whole seconds, begun ones counted."""
    rest = -(-done.rest // timedelta(seconds=1))
    return {"pass": done.number, "at": done.at, **render.plain_data(done.report), "rest_seconds": rest}


def _pass_words(report: WorkerReport) -> str:
    """What a pass did, if it is worth a line."""
    if report.unavailable is not None:
        return report.unavailable
    said = [f"{report.moved} {'charge' if report.moved == 1 else 'charges'} moved" if report.moved else ""]
    said += [
        f"{report.invoiced} {'invoice' if report.invoiced == 1 else 'invoices'} made or moved"
        if report.invoiced
        else ""
    ]
    said += [f"customer {each.customer}: {each.message} ({each.code})" for each in report.failed]
    return "; ".join(filter(None, said))


def _report(title: str, report: WorkerReport) -> tuple[RenderableType, ...]:
    values = {"customers advanced": len(report.succeeded), "charges moved": report.moved}
    values |= {"invoices made or moved": report.invoiced} if report.invoiced else {}
    values |= {"failed steps repeated": report.repeated} if report.repeated else {}
    values |= {"invoices that still fail": report.failing} if report.failing else {}
    values |= {"failed": len(report.failed)}
    parts: list[RenderableType] = [render.facts(title, values)]
    if report.failed:
        rows: list[tuple[object, ...]] = [(f.customer, f.code, f.message) for f in report.failed]
        parts.append(render.table(("customer", "code", Column("why", words=True)), rows, empty=""))
    if report.stuck:
        rows = [(f.charge, f.code, f.message) for f in report.stuck]
        parts.append(render.table(("charge", "code", Column("why", words=True)), rows, empty=""))
    if report.unavailable is not None:
        parts.append(render.bad(f"It ended early: {report.unavailable}"))
    return tuple(parts)


def _exit_code(report: WorkerReport) -> int:
    if report.unavailable is not None:
        return exits.way_of(Unavailable).exit_code
    return 3 if report.failed else 0
