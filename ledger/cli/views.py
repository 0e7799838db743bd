"""`ledger balance`, `ledger entries`, `ledger runs`, `ledger run`: what it comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from ledger.cli import parse, render
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

if TYPE_CHECKING:
    from ledger.answers import Posting, RunView
    from ledger.balances import Balance

app = typer.Typer()

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's key.")]
AsOf = Annotated[str | None, typer.Option(metavar="TIME", help="Booked by this time; now if left out.")]
RecordedAsOf = Annotated[
    str | None, typer.Option(metavar="TIME", help="As known at this time, or up to a position; all if left out.")
]
Feature = Annotated[str | None, typer.Option(help="Only credit that can pay for this feature.")]
Unrestricted = Annotated[bool, typer.Option("--unrestricted", help="Only credit that pays for everything.")]


@command(app, "balance")
def balance(
    session: Session,
    customer: Customer,
    currency: Annotated[str, typer.Argument(metavar="CURRENCY", help="In which currency.")] = "USD",
    *,
    as_of: AsOf = None,
    recorded_as_of: RecordedAsOf = None,
    feature: Feature = None,
    unrestricted: Unrestricted = False,
) -> Shown:
    """Show a customer's balance: the credit that is left, less usage that had none.

    Every balance has two time axes: when it was true (--as-of), and when it was known (--recorded-as-of).
    """
    found = session.ledger.views.balance(
        customer,
        currency,
        as_of=parse.moment(as_of, "--as-of"),
        recorded_as_of=parse.moment_or_position(recorded_as_of, "--recorded-as-of"),
        feature=feature,
        unrestricted=unrestricted,
    )
    return Shown(found, _balance(found))


@command(app, "live-balance")
def live_balance(
    session: Session,
    customer: Customer,
    currency: Annotated[str, typer.Argument(metavar="CURRENCY", help="In which currency.")] = "USD",
    *,
    feature: Feature = None,
    unrestricted: Unrestricted = False,
) -> Shown:
    """Show a customer's balance of now with what is used and not booked yet, and credit that is on its way."""
    found = session.ledger.live.balance(customer, currency, feature=feature, unrestricted=unrestricted)
    rows = [(words, render.amount(getattr(found, name), found.currency)) for name, words in _LIVE.items()]
    code = Column(found.currency.code, right=True)
    parts: list[RenderableType] = [
        render.heading(f"{customer} at {render.moment(found.at)}"),
        render.table(("balance", code), rows, empty=""),
    ]
    if found.impacts:
        charges = [
            (each.charge, each.feature, each.mode, render.amount(each.amount, found.currency)) for each in found.impacts
        ]
        parts += ["", render.table(("charge", "feature", "settlement", code), charges, empty="")]
    return Shown(found, tuple(parts))


@command(app, "addresses")
def addresses(
    session: Session,
    customer: Customer,
    currency: Annotated[str, typer.Argument(metavar="CURRENCY", help="In which currency.")] = "USD",
    *,
    as_of: AsOf = None,
    recorded_as_of: RecordedAsOf = None,
) -> Shown:
    """Show a customer's balance address by address: account, cost basis, priority, features, tax."""
    found = session.ledger.views.addresses(
        customer,
        currency,
        as_of=parse.moment(as_of, "--as-of"),
        recorded_as_of=parse.moment_or_position(recorded_as_of, "--recorded-as-of"),
    )
    unit = session.ledger.catalogue.currency(currency)
    columns = (
        "account",
        Column(unit.code, right=True),
        Column("cost basis", right=True),
        Column("priority", right=True),
        "pays for",
        "stage",
        "tax",
    )
    rows = [
        (
            each.account,
            render.amount(each.amount, unit),
            each.cost_basis,
            each.credit_priority,
            each.features or "everything",
            each.authorization,
            each.tax_code,
        )
        for each in found
    ]
    return Shown(found, (render.table(columns, rows, empty="Nothing is booked."),))


@command(app, "entries")
def entries(
    session: Session,
    customer: Customer,
    currency: Annotated[str | None, typer.Argument(metavar="CURRENCY", help="In this currency alone.")] = None,
    *,
    as_of: Annotated[str | None, typer.Option(metavar="TIME", help="Booked by this time.")] = None,
    booked_from: Annotated[str | None, typer.Option(metavar="TIME", help="Booked from this time on.")] = None,
    recorded_as_of: RecordedAsOf = None,
    account: Annotated[str | None, typer.Option(help="Of this account alone, like customer_fbo or wash.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, up to 1000.")] = 100,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on after a page: its `next`.")] = None,
) -> Shown:
    """List a customer's postings, newest first; those dated later than now too."""
    session.ledger.customers.get(customer)
    page = session.ledger.views.entries(
        customer,
        currency,
        as_of=parse.moment(as_of, "--as-of"),
        recorded_as_of=parse.moment_or_position(recorded_as_of, "--recorded-as-of"),
        booked_from=parse.moment(booked_from, "--booked-from"),
        account=account,
        limit=limit,
        after=after,
    )
    columns = ("booked", "account", Column("amount", right=True), "currency", Column("why", words=True), "recorded")
    parts: list[RenderableType] = [
        render.table(columns, [_posting(posting) for posting in page.items], empty="No postings.")
    ]
    if page.next is not None:
        parts.append(render.note(f"There are more: --after {page.next}"))
    return Shown(page, tuple(parts))


@command(app, "runs")
def runs(
    session: Session,
    customer: Annotated[str | None, typer.Argument(metavar="CUSTOMER", help="Of this customer alone.")] = None,
    charge: Annotated[str | None, typer.Option(metavar="ID", help="Of this charge alone.")] = None,
    *,
    voided: Annotated[
        bool | None, typer.Option("--voided/--not-voided", help="Only those that were voided, or that were not.")
    ] = None,
) -> Shown:
    """List realization runs: those that are current, then those that are done."""
    views = session.ledger.views
    if customer is not None:
        session.ledger.customers.get(customer)
    current = render.all_pages(lambda after: views.current_runs(customer, charge=charge, after=after))
    prior = render.all_pages(lambda after: views.prior_runs(customer, charge=charge, voided=voided, after=after))
    found = [*(() if voided else current), *prior]
    columns = (
        "run",
        "feature",
        "period",
        Column("quantity", right=True),
        Column("amount", right=True),
        Column("credit", right=True),
        Column("to pay", right=True),
        "state",
    )
    return Shown(found, (render.table(columns, [_run_row(each) for each in found], empty="No runs yet."),))


@command(app, "run")
def run(session: Session, run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]) -> Shown:
    """Show a realization run in full: its lines, and what credit paid for it."""
    found = session.ledger.views.run(run)
    currency = found.currency
    lines = [
        (line.pricer_reference_id, line.quantity, line.per_unit_amount, render.amount(line.totals.amount, currency))
        for line in found.lines
    ]
    paid = [
        (
            part.source or "given back",
            render.amount(part.amount, currency),
            f"{part.ledger_group.pool} no. {part.ledger_group.version}",
        )
        for part in found.realizations
    ]
    figures = {
        "charge": found.charge,
        "period": render.period(found.service_period.from_, found.service_period.to),
        "collection ends": found.stored_at_lt,
        "quantity": found.metered_quantity,
        "amount": render.money(found.totals.amount, currency),
        "credit": render.money(found.credits, currency),
        "to pay": render.money(found.totals.total, currency),
        "state": _state(found),
    }
    right = [Column(head, right=True) for head in ("quantity", "per unit", "amount")]
    return Shown(
        found,
        (
            render.facts(f"Run {found.run}", figures),
            "",
            render.table(("line", *right), lines, empty="No lines."),
            "",
            render.table(
                ("paid by", Column("amount", right=True), "posting group"), paid, empty="Nothing paid for it."
            ),
        ),
    )


def _balance(found: Balance) -> tuple[RenderableType, ...]:
    known = "as known now" if found.recorded_as_of is None else f"as known at {render.moment(found.recorded_as_of)}"
    title = f"{found.customer} at {render.moment(found.as_of)}, {known}"
    rows = [
        (words, render.amount(getattr(found, name), found.currency))
        for name, words in _FIGURES.items()
        if name in _ALWAYS or getattr(found, name)
    ]
    return render.heading(title), render.table(("balance", Column(found.currency.code, right=True)), rows, empty="")


_FIGURES = {
    "settled": "settled",
    "fbo": "  credit that is left",
    "advance": "  usage that had none",
    "receivable_open": "receivable, open",
    "receivable_authorized": "receivable, authorized",
    "accrued": "accrued",
    "wash": "wash",
    "earnings": "earnings",
    "brokerage": "brokerage",
    "breakage": "breakage",
    "bad_debt": "bad debt",
}
_ALWAYS = ("settled", "fbo", "advance")
_LIVE = {"settled": "settled", "live": "with what is not booked yet", "pending": "credit on its way"}


def _posting(posting: Posting) -> tuple[Any, ...]:
    direction = "" if posting.direction == "forward" else f" ({posting.direction})"
    return (
        posting.booked_at,
        posting.account,
        posting.amount,
        posting.currency,
        f"{posting.template}{direction}",
        posting.recorded_at,
    )


def _run_row(run: RunView) -> tuple[Any, ...]:
    return (
        run.run,
        run.feature,
        render.period(run.service_period.from_, run.service_period.to),
        run.metered_quantity,
        render.money(run.totals.amount, run.currency),
        render.money(run.credits, run.currency),
        render.money(run.totals.total, run.currency),
        _state(run),
    )


def _state(run: RunView) -> str:
    if run.voided:
        return "voided"
    state = "current" if run.ended_at is None else "final"
    return f"{state}, late" if run.run_type == LATE else state


LATE = "late_adjustment"
"""The type of a run that adjusts what was final."""
