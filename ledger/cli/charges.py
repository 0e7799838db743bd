"""`ledger charge`: what customers are charged for."""

from __future__ import annotations

from typing import Annotated

import typer

from ledger.cli import parse, patches, render
from ledger.cli.charge_options import (
    FeeFeature,
    FeeOptions,
    From,
    PeriodOptions,
    SettlementOptions,
    TermOptions,
    To,
    settlement_mode,
)
from ledger.cli.charge_words import (
    FLAT_FEE,
    OVERLAP_COLUMNS,
    PURCHASE,
    STUCK_COLUMNS,
    USAGE,
    overlap_rows,
    show_charge,
    stuck_rows,
)
from ledger.cli.invoice_page import line_page
from ledger.cli.price_options import DiscountOptions, PercentOff, PriceOptions, UnitConfig, percentage
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

app = typer.Typer()

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's key.")]
OfCustomer = Annotated[str | None, typer.Argument(metavar="CUSTOMER", help="Of this customer alone.")]
ChargeId = Annotated[str, typer.Argument(metavar="CHARGE", help="The charge's id.")]


@command(app, "create", writes=True)
def create(
    session: Session,
    customer: Customer,
    *,
    feature: Annotated[str, typer.Option(help="Key of the feature whose usage is charged.")],
    from_: From,
    to: To,
    price: PriceOptions,
    discounts: DiscountOptions,
    unit_config: UnitConfig = None,
    settled: SettlementOptions,
    name: Annotated[str | None, typer.Option(help="For people; the feature if left out.")] = None,
    periods: PeriodOptions,
    terms: TermOptions,
) -> Shown:
    """Charge a customer for usage of a feature over a period."""
    made = session.ledger.charges.create_usage(
        customer,
        feature=feature,
        price=price.written(),
        period_from=from_,
        period_to=to,
        name=name,
        discounts=discounts.written(),
        unit_config=parse.json_object(unit_config, "--unit-config"),
        command_id=session.command_id,
        **settled.terms(),
        **periods.terms(from_, to),
        **terms.terms(),
    )
    return show_charge(made)


@command(app, "create-fee", writes=True)
def create_fee(
    session: Session,
    customer: Customer,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="What the full period costs, like 100.00.")],
    *,
    from_: From,
    to: To,
    fee: FeeOptions,
    percent_off: PercentOff = None,
    feature: FeeFeature = None,
    settled: SettlementOptions,
    name: Annotated[str | None, typer.Option(help="For people; Fee if left out.")] = None,
    periods: PeriodOptions,
    terms: TermOptions,
) -> Shown:
    """Charge a customer one amount for a period, from credit or by invoice."""
    made = session.ledger.charges.create_flat_fee(
        customer,
        amount=amount,
        period_from=from_,
        period_to=to,
        feature=feature,
        name=name,
        command_id=session.command_id,
        **fee.terms(),
        **percentage("percentage_discount", percent_off),
        **settled.terms(),
        **periods.terms(from_, to),
        **terms.terms(),
    )
    return show_charge(made)


@command(app, "show")
def show(session: Session, charge: ChargeId) -> Shown:
    """Show a charge as it stands."""
    return show_charge(session.ledger.charges.get(charge))


@command(app, "preview")
def preview(session: Session, charge: ChargeId) -> Shown:
    """Show what a line of everything of the charge that waits to be invoiced would show now; nothing is written."""
    known = session.ledger.charges.get(charge)
    content = session.ledger.charges.preview(charge)
    return Shown(content, tuple(line_page(content, known.invoice_currency)))


@command(app, "list")
def list_(
    session: Session,
    customer: OfCustomer = None,
    *,
    status: Annotated[str | None, typer.Option(help="In this status, or one that begins so: active.")] = None,
    type: Annotated[
        str | None, typer.Option("--type", help="usage_based, flat_fee or credit_purchase; the first two if left out.")
    ] = None,
    currency: Annotated[str | None, typer.Option(help="In this currency.")] = None,
    feature: Annotated[str | None, typer.Option(help="Of this feature.")] = None,
    settlement: Annotated[
        str | None, typer.Option("--settlement", "--settlement-mode", metavar="MODE", help="Settled so, as in create.")
    ] = None,
    subscription: Annotated[str | None, typer.Option(metavar="ID", help="Of this subscription.")] = None,
    due_by: Annotated[str | None, typer.Option(metavar="TIME", help="Moving by themselves by this time.")] = None,
    failing: Annotated[bool, typer.Option("--failing", help="Only those that could not move.")] = False,
    newest_first: Annotated[bool, typer.Option("--newest-first", help="The newest first.")] = False,
) -> Shown:
    """List charges for usage and fees, in order of creation; `ledger credit list` has the grants."""
    if customer is not None:
        session.ledger.customers.get(customer)
    types = (USAGE, FLAT_FEE, PURCHASE)
    if type is not None and type not in types:
        raise typer.BadParameter(f"--type is one of {', '.join(types)}, got {type!r}")
    views = session.ledger.views
    found = [
        charge
        for charge in render.all_pages(
            lambda after: views.charges(
                customer,
                status=status,
                charge_type=type,
                currency=currency,
                feature=feature,
                settlement_mode=settlement_mode(settlement) if settlement is not None else None,
                subscription=subscription,
                due_by=parse.moment(due_by, "--due-by"),
                failing=failing,
                newest_first=newest_first,
                after=after,
            )
        )
        if type is not None or charge.charge_type != PURCHASE
    ]
    columns = (
        "charge",
        "customer",
        Column("name", words=True),
        "status",
        "period",
        Column("amount", right=True),
        "stuck",
    )
    rows = [
        (
            c.charge,
            c.customer,
            c.name,
            c.status,
            render.period(c.service_period.from_, c.service_period.to),
            render.money(c.totals.amount, c.currency),
            c.failure["code"] if c.failure else None,
        )
        for c in found
    ]
    return Shown(found, (render.table(columns, rows, empty="No charges."),))


@command(app, "stuck")
def stuck(session: Session, customer: OfCustomer = None) -> Shown:
    """List charges whose last advance was refused: why, since when, and what would free them."""
    if customer is not None:
        session.ledger.customers.get(customer)
    views = session.ledger.views
    found = list(render.all_pages(lambda after: views.stuck_charges(customer, after=after)))
    return Shown(found, (render.table(STUCK_COLUMNS, stuck_rows(found), empty="No charge is stuck."),))


@command(app, "overlaps")
def overlaps(session: Session, customer: OfCustomer = None) -> Shown:
    """List time that was billed twice, because an invoice could not be corrected."""
    if customer is not None:
        session.ledger.customers.get(customer)
    found = session.ledger.views.overlaps(customer)
    return Shown(found, (render.table(OVERLAP_COLUMNS, overlap_rows(found), empty="Nothing was billed twice."),))


app.registered_commands.extend(patches.app.registered_commands)
