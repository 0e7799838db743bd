"""`ledger statement`, `ledger trial-balance`, `ledger period`, `ledger credit transactions`: what the books say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from ledger.cli import parse, render
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

if TYPE_CHECKING:
    from ledger.statements import Statement
    from ledger.trial_balance import TrialBalance

app = typer.Typer()
periods = typer.Typer()
listing = typer.Typer()

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's key.")]
Currency = Annotated[str, typer.Argument(metavar="CURRENCY", help="In which currency.")]
Month = Annotated[str | None, typer.Option(metavar="MONTH", help="Like 2026-01; the present one if left out.")]
RecordedAsOf = Annotated[
    str | None, typer.Option(metavar="TIME", help="As known at this time, or up to a position; all if left out.")
]
PeriodName = Annotated[str, typer.Argument(metavar="PERIOD", help="A month like 2026-01, or a time.")]


@command(app, "statement")
def statement(
    session: Session,
    customer: Customer,
    currency: Currency = "USD",
    *,
    month: Month = None,
    recorded_as_of: RecordedAsOf = None,
) -> Shown:
    """Show a customer's credit over a month: opening, what moved it, closing, and what will expire soon."""
    found = session.ledger.statements.statement(
        customer,
        month or _this_month(session),
        currency,
        recorded_as_of=parse.moment_or_position(recorded_as_of, "--recorded-as-of"),
    )
    return Shown(found, tuple(statement_page(found)))


def statement_page(found: Statement) -> list[RenderableType]:
    """A statement as it is read: opening, what moved the credit, closing, and what expires soon."""
    unit = found.currency
    rows = [("", "opening", "", render.amount(found.opening, unit))]
    rows += [
        (
            render.moment(line.date),
            line.type.value,
            render.amount(line.amount, unit),
            render.amount(line.balance_after, unit),
        )
        for line in found.lines
    ]
    rows.append(("", "closing", "", render.amount(found.closing, unit)))
    columns = ("date", "what", Column(unit.code, right=True), Column("balance", right=True))
    parts: list[RenderableType] = [
        render.heading(f"{found.customer}, {found.month}"),
        render.table(columns, rows, empty=""),
    ]
    if found.expiring:
        soon = [(each.expires_at, render.amount(each.amount, unit), each.source) for each in found.expiring]
        columns_ = ("expires", Column(unit.code, right=True), "purchase")
        parts += ["", render.heading("Expires within 30 days after it"), render.table(columns_, soon, empty="")]
    return parts


@command(app, "trial-balance")
def trial_balance(session: Session, *, month: Month = None, recorded_as_of: RecordedAsOf = None) -> Shown:
    """Show every account at the end of a month, at face value and by what was paid for it."""
    found = session.ledger.statements.trial_balance(
        month or _this_month(session), recorded_as_of=parse.moment_or_position(recorded_as_of, "--recorded-as-of")
    )
    return Shown(found, (render.heading(found.month), balance_page(found)))


def balance_page(found: TrialBalance) -> RenderableType:
    """A trial balance as it is read: an account a row, at face value and by what was paid for it."""
    columns = (
        "account",
        "currency",
        Column("face", right=True),
        Column("in the month", right=True),
        "paid in",
        Column("consideration", right=True),
        Column("in the month", right=True),
    )
    rows = [
        (
            row.account,
            row.currency,
            f"{row.face:f}",
            f"{row.face_change:f}",
            row.paid_in,
            f"{row.consideration:f}",
            f"{row.consideration_change:f}",
        )
        for row in found.rows
    ]
    return render.table(columns, rows, empty="Nothing was posted yet.")


@command(listing, "transactions")
def transactions(
    session: Session,
    customer: Customer,
    currency: Currency = "USD",
    *,
    type: Annotated[
        str | None, typer.Option("--type", help="funded, consumed, restored, expired or voided alone.")
    ] = None,
    feature: Annotated[str | None, typer.Option(help="Only credit that can pay for this feature.")] = None,
    unrestricted: Annotated[bool, typer.Option("--unrestricted", help="Only credit that pays for everything.")] = False,
    as_of: Annotated[str | None, typer.Option(metavar="TIME", help="Booked by this time; now if left out.")] = None,
    recorded_as_of: RecordedAsOf = None,
    limit: Annotated[int, typer.Option(help="At most so many, up to 1000.")] = 100,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on after a page: its `next`.")] = None,
    before: Annotated[str | None, typer.Option(metavar="CURSOR", help="Go back before one: its `previous`.")] = None,
) -> Shown:
    """List what moved a customer's balance, newest first."""
    types = ("funded", "consumed", "restored", "expired", "voided")
    if type is not None and type not in types:
        raise typer.BadParameter(f"--type is one of {', '.join(types)}, got {type!r}")
    page = session.ledger.statements.transactions(
        customer,
        currency,
        type=type,
        feature=feature,
        unrestricted=unrestricted,
        as_of=parse.moment(as_of, "--as-of"),
        recorded_as_of=parse.moment_or_position(recorded_as_of, "--recorded-as-of"),
        after=after,
        before=before,
        limit=limit,
    )
    unit = session.ledger.catalogue.currency(currency)
    rows = [
        (each.booked_at, each.type, render.amount(each.amount, unit), render.amount(each.balance_after, unit))
        for each in page.items
    ]
    columns = ("booked", "what", Column(unit.code, right=True), Column("balance", right=True))
    parts: list[RenderableType] = [render.table(columns, rows, empty="Nothing moved it yet.")]
    parts += [render.note(f"There are older ones: --after {page.next}")] if page.next else []
    parts += [render.note(f"There are newer ones: --before {page.previous}")] if page.previous else []
    return Shown(page, tuple(parts))


@command(periods, "close", writes=True)
def close(
    session: Session,
    period: PeriodName,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
) -> Shown:
    """Close the books to the end of a month; what is dated there from now on is booked on the first open day."""
    until = session.ledger.periods.close(period, reason=reason, command_id=session.command_id)
    return Shown({"closed_until": until}, (render.done(f"Everything before {render.moment(until)} is closed."),))


@command(periods, "reopen", writes=True)
def reopen(
    session: Session,
    period: PeriodName,
    *,
    reason: Annotated[str, typer.Option(help="Why; it stays on record.")],
) -> Shown:
    """Open the books again from the beginning of a month on."""
    from_ = session.ledger.periods.reopen(period, reason=reason, command_id=session.command_id)
    return Shown({"closed_until": from_}, (render.done(f"Everything from {render.moment(from_)} on is open."),))


@command(periods, "list")
def list_(session: Session) -> Shown:
    """List every closing of the books, and which were opened again."""
    found = session.ledger.periods.list()
    columns = (
        "closed until",
        "closed",
        "by",
        Column("why", words=True),
        "opened again from",
        Column("why", words=True),
    )
    rows: list[tuple[Any, ...]] = [
        (each.until, each.closed_at, each.closed_by, each.reason, each.reopened_from, each.reopened_reason)
        for each in found
    ]
    return Shown(found, (render.table(columns, rows, empty="The books were never closed."),))


def _this_month(session: Session) -> str:
    return f"{session.ledger.clock.now():%Y-%m}"
