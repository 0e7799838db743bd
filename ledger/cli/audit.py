"""`ledger history`, `ledger why`, `ledger verify`, `ledger export`: what happened, why, and that it did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from ledger.cli import render
from ledger.cli.charge_words import price_words
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command
from ledger.cli.views import LATE

app = typer.Typer()


@command(app, "history")
def history(
    session: Session,
    charge: Annotated[str | None, typer.Option(metavar="ID", help="Of this charge, its runs and its credit.")] = None,
    run: Annotated[str | None, typer.Option(metavar="ID", help="Of this run.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="CUSTOMER", help="Of this customer.")] = None,
) -> Shown:
    """Tell what happened, one line an event, in words."""
    given = {name: value for name, value in (("charge", charge), ("run", run), ("customer", customer)) if value}
    if len(given) != 1:
        raise typer.BadParameter("name one of --charge, --run or --customer")
    lines = list(session.ledger.audit.history(**given))
    columns = (Column("position", right=True), "at", Column("what happened", words=True))
    rows = [(line.position, line.at, line.sentence) for line in lines]
    return Shown(lines, (render.table(columns, rows, empty="Nothing happened."),))


@command(app, "why")
def why(session: Session, run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]) -> Shown:
    """Explain a realization run: what was metered, its price, and the steps that made each line."""
    found = session.ledger.audit.why(run)
    currency = found.currency
    figures: dict[str, object] = {
        "charge": found.charge,
        "period": render.period(found.period.from_, found.period.to),
        "price": price_words(found.price),
    }
    if found.run_type.value == LATE:
        figures["adjusts"] = ", ".join(str(run_) for run_ in found.prior_runs)
    if found.quantity is not None:
        figures |= {"usage stored before": found.stored_at_lt, "quantity": found.quantity}
    if found.true_quantity is not None:
        figures["the meter said"] = found.true_quantity
    parts: list[RenderableType] = [render.facts(f"Run {found.run}", figures)]
    if found.parts:
        columns = ("part of the usage", Column("events", right=True), Column("quantity", right=True))
        rest = "any other" if any(part.properties for part in found.parts) else "events that cost alike"
        rows = [(part.properties or rest, part.count, part.quantity) for part in found.parts]
        parts += ["", render.table(columns, rows, empty="")]
    if len(found.usage) > _PLAIN_STEPS:
        parts += ["", render.heading("The quantity"), *(f"  {step.text}" for step in found.usage)]
    for each in found.lines:
        parts += ["", render.heading(each.line.name), *(f"  {step.text}" for step in each.steps)]
    totals: dict[str, object] = {"total": render.money(found.totals.total, currency)}
    if found.set_off is not None:
        fiat = found.set_off.fiat or currency
        totals["credit of earlier runs given back"] = render.money(found.set_off.released, currency)
        totals["taken back of what was invoiced"] = render.money(found.set_off.credited, fiat)
        totals["of that, credit of the customer"] = render.money(found.correction_credit, fiat)
    parts += ["", render.facts("All lines", totals)]
    return Shown(found, tuple(parts))


_PLAIN_STEPS = 2
"""Metered, and so much to be billed: nothing was converted and nothing free."""


@command(app, "verify")
def verify(
    session: Session,
    chains_only: Annotated[
        bool, typer.Option("--chains-only", help="Only that no stored byte was changed; quick.")
    ] = False,
    seal: Annotated[
        str | None,
        typer.Option(metavar="POSITION:DIGEST", help="A seal of an earlier verification, kept elsewhere."),
    ] = None,
) -> Shown:
    """Verify the whole history: bytes, chains, sums, views. Exit code 1 if anything does not hold."""
    with session.progress("Verifying") as progress:
        report = session.ledger.audit.verify(
            chains_only=chains_only, seal=_seal(seal), progress=lambda at: progress(at.done, at.total)
        )
    columns = ("check", Column("makes sure", words=True), Column("looked at", right=True), Column("found", right=True))
    rows = [(check.name, check.about, check.looked_at, check.found) for check in report.checked]
    parts: list[RenderableType] = [render.table(columns, rows, empty="Nothing was checked."), ""]
    parts += [render.bad(str(finding)) for finding in report.findings]
    if report.sound:
        parts.append(render.done(f"✓ The history is sound, up to position {report.position}."))
    else:
        parts.append(render.bad(f"✗ {_findings(report.found)}; the history is not sound."))
    if report.seal is not None:
        parts.append(render.note(f"Seal: {report.seal.position}:{report.seal.digest}"))
    data = {"sound": report.sound, "found": report.found, **render.plain_data(report)}
    return Shown(data, tuple(parts), exit_code=0 if report.sound else 1)


@command(app, "export")
def export(
    session: Session, file: Annotated[Path, typer.Argument(help="Where to: a .jsonl, an event a line.")]
) -> Shown:
    """Write every event to a file, as it is stored, with what is needed to check it elsewhere."""
    try:
        count = session.ledger.audit.export(file)
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written: {error.strerror}") from None
    return Shown({"file": str(file), "events": count}, (render.facts("Export", {"file": file, "events": count}),))


@command(app, "repair")
def repair(session: Session) -> Shown:
    """Make the tables beside the events anew from them, while nobody writes; events are never changed."""
    repaired = session.ledger.audit.repair_inline()
    values = {"charges": repaired.charges, "reservations": repaired.reservations}
    return Shown(repaired, (render.facts("Made anew", values),))


def _findings(count: int) -> str:
    return "1 finding" if count == 1 else f"{count} findings"


def _seal(given: str | None) -> Any:
    if given is None:
        return None
    position, colon, digest = given.partition(":")
    if not (colon and position.isascii() and position.isdecimal() and len(digest) == 64):
        raise typer.BadParameter(f"--seal is written POSITION:DIGEST, as `ledger verify` prints it, got {given!r}")
    from ledger.audit.report import Seal

    return Seal(int(position), digest)
