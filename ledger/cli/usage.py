"""`ledger usage`: what was used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from ledger.cli import parse, render
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

if TYPE_CHECKING:
    from ledger.late_usage import LateUsage

app = typer.Typer()

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's key.")]
MeterKey = Annotated[str, typer.Argument(metavar="METER", help="The meter's key.")]
From = Annotated[str | None, typer.Option("--from", metavar="TIME", help="From this event time on.")]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Up to this event time, exclusive.")]


@command(app, "record", tries=True)
def record(
    session: Session,
    customer: Customer,
    meter: MeterKey,
    value: Annotated[
        str | None, typer.Argument(metavar="VALUE", help="How much was used; nothing for a meter that counts.")
    ] = None,
    *,
    time: Annotated[str | None, typer.Option(metavar="TIME", help="When it was used; now if left out.")] = None,
    id: Annotated[str | None, typer.Option(help="The event's id: sent again, it counts once.")] = None,
    source: Annotated[str, typer.Option(help="Which system reports it; ids are unique within.")] = "cli",
    property: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What a unique count counts; may be repeated.")
    ] = None,
) -> Shown:
    """Record one usage event."""
    from ledger import UsageEvent

    event = parse.checked(
        "the event",
        lambda: UsageEvent(
            source=source,
            id=id if id is not None else str(uuid4()),
            customer=customer,
            meter=meter,
            time=parse.moment(time, "--time") or session.ledger.clock.now(),
            value=parse.number(value, "VALUE"),
            properties=parse.pairs(property or (), "--property"),
        ),
    )
    return Shown(*_ingested(session.ledger.usage.record([event])))


@command(app, "import", tries=True)
def import_(
    session: Session,
    file: Annotated[Path, typer.Argument(help="A .csv with a header, or a .jsonl with an object a line.")],
    *,
    customer: Annotated[str | None, typer.Option(help="The customer of all rows.")] = None,
    customer_column: Annotated[str | None, typer.Option(help="Or the column that names the customer.")] = None,
    time_column: Annotated[str, typer.Option(help="The column of the event's time.")] = "time",
    meter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METER[=COLUMN]", help="A meter and its column, none where it counts rows; may be repeated."
        ),
    ] = None,
    meter_column: Annotated[str | None, typer.Option(help="Or the column that names the meter.")] = None,
    value_column: Annotated[str | None, typer.Option(help="The column of the value, beside --meter-column.")] = None,
    id_column: Annotated[
        str | None, typer.Option(help="The column of the event's id; without it, ids are made of the rows.")
    ] = None,
    property: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="A property of the events and its column; may be repeated."),
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Between the columns of a .csv; a comma if left out.")] = None,
    assume_utc: Annotated[bool, typer.Option("--assume-utc", help="Times without a zone are UTC.")] = False,
    from_: From = None,
    to: To = None,
    source: Annotated[str | None, typer.Option(help="Which system reports it; ids are unique within.")] = None,
) -> Shown:
    """Import usage from a file: all of it, or nothing and everything that is wrong with it.

    Importing a file again stores nothing twice. A .jsonl is read as usage events (time, customer, id, meter, value)
    where no column is named.
    """
    given: dict[str, Any] = {
        "customer": customer,
        "customer_column": customer_column,
        "meters": _meters(meter or ()) or None,
        "properties": parse.pairs(property or (), "--property") or None,
        "meter_column": meter_column,
        "value_column": value_column,
        "id_column": id_column,
        "source": source,
        "from_": parse.moment(from_, "--from"),
        "to": parse.moment(to, "--to"),
    }
    mapping = {name: value for name, value in given.items() if value is not None}
    is_csv = file.suffix.lower() == ".csv"
    if delimiter is not None:
        if not is_csv or len(delimiter) != 1:
            raise typer.BadParameter("--delimiter is one character, between the columns of a .csv")
        mapping["delimiter"] = delimiter
    if not is_csv and not mapping.keys() & {"meters", "meter_column"}:
        mapping |= {"meter_column": "meter", "value_column": "value"}
        mapping = {"customer_column": "customer", "id_column": "id"} | mapping
    usage = session.ledger.usage
    with session.progress(f"Importing {file.name}") as progress:
        report = (usage.import_csv if is_csv else usage.import_jsonl)(
            file, time=time_column, assume_utc=assume_utc, progress=progress, **mapping
        )
    _, parts = _ingested(report.ingest)
    return Shown(report, (render.facts(file.name, {"rows": report.rows, "events": report.events}), *parts))


@command(app, "quantity")
def quantity(
    session: Session,
    customer: Customer,
    meter: MeterKey,
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="Start of the window.")],
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="End of the window, exclusive.")],
    *,
    by: Annotated[
        str | None, typer.Option(metavar="PROPERTY", help="By value of this property of the usage events.")
    ] = None,
    stored_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="From the usage stored before this time; all if left out.")
    ] = None,
) -> Shown:
    """What a meter answers for a window of event time, from the usage stored so far."""
    start, end = parse.moment(from_, "--from"), parse.moment(to, "--to")
    cut = parse.moment(stored_before, "--stored-before")
    if by is not None:
        parts = session.ledger.usage.by_property(customer, meter, by, start, end, stored_at_lt=cut)
        rows = [{"value": value, "quantity": amount} for value, amount in parts.items()]
        columns = (by, Column("quantity", right=True))
        return Shown(rows, (render.table(columns, [tuple(row.values()) for row in rows], empty="Nothing was used."),))
    answer = session.ledger.usage.quantity(customer, meter, start, end, stored_at_lt=cut)
    data = {"customer": customer, "meter": meter, "from": start, "to": end, "quantity": answer.quantity}
    return Shown(data, (render.facts(f"{meter} of {customer}", {k: data[k] for k in ("from", "to", "quantity")}),))


@command(app, "late")
def late(
    session: Session,
    customer: Annotated[str | None, typer.Argument(metavar="CUSTOMER", help="Of this customer alone.")] = None,
    *,
    outcome: Annotated[
        str | None, typer.Option(help="Only found, asked, left, absorbed, dismissed or to_invoice.")
    ] = None,
) -> Shown:
    """List usage that was stored after its charge was realized, and is not billed."""
    usage = session.ledger.usage
    found = list(render.all_pages(lambda after: usage.late(customer, outcome=outcome, after=after)))
    return Shown(found, (render.table(LATE_COLUMNS, late_rows(found), empty="No late usage is unbilled."),))


LATE_COLUMNS = (
    "charge",
    "customer",
    "what became of it",
    "since",
    Column("quantity", right=True),
    Column("adds", right=True),
)


def late_rows(found: Sequence[LateUsage]) -> list[Any]:
    """A row per charge with late usage."""
    return [
        (
            each.charge,
            each.customer,
            each.outcome.replace("_", " "),
            each.since,
            each.quantity,
            None if each.amount is None else render.money(each.amount, each.currency),
        )
        for each in found
    ]


@command(app, "conflicts")
def conflicts(session: Session) -> Shown:
    """List usage that was set aside, because its id was stored before with another content."""
    found = list(_conflicts(session))
    columns = ("source", "id", "customer", "meter", "time", Column("value", right=True), "stored")
    rows = [
        (e.source, e.id, e.customer, e.meter, e.time, e.value, stored.stored_at)
        for stored in found
        for e in [stored.event]
    ]
    return Shown(found, (render.table(columns, rows, empty="No usage was set aside."),))


def _conflicts(session: Session) -> Iterator[Any]:
    """Everything that was set aside, page by page."""
    after = 0
    while page := session.ledger.usage.conflicts(after=after):
        yield from page
        after = page[-1].place


def _meters(said: Sequence[str]) -> dict[str, str | None]:
    """Meters and their columns; none for a meter that counts rows."""
    return {meter: column or None for meter, _, column in (each.partition("=") for each in said)}


def _ingested(report: Any) -> tuple[object, tuple[Any, ...]]:
    values = {"stored": report.stored, "known already": report.duplicates, "set aside": report.conflicts}
    hint = (render.note("`ledger usage conflicts` lists what was set aside."),) if report.conflicts else ()
    return report, (render.facts("Usage", values), *hint)
