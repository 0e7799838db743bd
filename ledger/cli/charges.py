"""`ledger charge`: what customers are charged for."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ledger.cli import parse, patches, render
from ledger.cli.charge_words import PURCHASE, show_charge
from ledger.cli.price_options import (
    AnyPrice,
    Dynamic,
    FreeUnits,
    Graduated,
    Maximum,
    Minimum,
    Package,
    PercentOff,
    Unit,
    UnitConfig,
    Volume,
    discounts,
    price_of,
)
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

app = typer.Typer()

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's key.")]
Currency = Annotated[str, typer.Option(help="Of the price; a custom one needs a rate where it is invoiced.")]
Settlement = Annotated[
    str,
    typer.Option(
        "--settlement",
        "--settlement-mode",
        metavar="MODE",
        help="credit_only, or credit_then_invoice (invoice for short): what credit does not cover is invoiced.",
    ),
]
InvoiceAt = Annotated[
    str | None, typer.Option(metavar="TIME", help="From when on it can be invoiced; as its terms say if left out.")
]
TaxCode = Annotated[str | None, typer.Option(help="Its tax code, one of `ledger settings tax`.")]
FiatCurrency = Annotated[str | None, typer.Option(help="For a custom currency: the one that is invoiced.")]
CostBasis = Annotated[
    str | None,
    typer.Option(metavar="RATE", help="For a custom currency: a unit in fiat; the rate of the day if left out."),
]
PinnedRate = Annotated[
    str | None,
    typer.Option(metavar="ID", help="For a custom currency: one rate, by the id `ledger currency rate` gave."),
]
Reference = Annotated[str | None, typer.Option(help="Your reference: one live charge of the customer has it.")]
ChargeId = Annotated[str, typer.Argument(metavar="CHARGE", help="The charge's id.")]


@command(app, "create", writes=True)
def create(
    session: Session,
    customer: Customer,
    *,
    feature: Annotated[str, typer.Option(help="Key of the feature whose usage is charged.")],
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="Start of the service period.")],
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="Its end, exclusive.")],
    unit: Unit = None,
    graduated: Graduated = None,
    volume: Volume = None,
    package: Package = None,
    dynamic: Dynamic = None,
    price: AnyPrice = None,
    minimum: Minimum = None,
    maximum: Maximum = None,
    percent_off: PercentOff = None,
    free_units: FreeUnits = None,
    unit_config: UnitConfig = None,
    currency: Currency = "USD",
    settlement: Settlement = "credit_only",
    name: Annotated[str | None, typer.Option(help="For people; the feature if left out.")] = None,
    invoice_at: InvoiceAt = None,
    tax_code: TaxCode = None,
    fiat_currency: FiatCurrency = None,
    cost_basis: CostBasis = None,
    cost_basis_id: PinnedRate = None,
    reference: Reference = None,
) -> Shown:
    """Charge a customer for usage of a feature over a period."""
    made = session.ledger.charges.create_usage(
        customer,
        feature=feature,
        price=price_of(
            unit=unit,
            graduated=graduated,
            volume=volume,
            package=package,
            dynamic=dynamic,
            price=price,
            minimum=minimum,
            maximum=maximum,
        ),
        period_from=from_,
        period_to=to,
        currency=currency,
        settlement_mode=settlement_mode(settlement),
        name=name,
        discounts=discounts(percent_off, free_units),
        unit_config=parse.json_object(unit_config, "--unit-config"),
        invoice_at=invoice_at,
        tax_code=tax_code,
        cost_basis=cost_basis_of(cost_basis, fiat_currency, cost_basis_id),
        unique_reference_id=reference,
        command_id=session.command_id,
    )
    return show_charge(made)


@command(app, "create-fee", writes=True)
def create_fee(
    session: Session,
    customer: Customer,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="What the full period costs, like 100.00.")],
    *,
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="Start of the service period.")],
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="Its end, exclusive.")],
    full_from: Annotated[
        str | None, typer.Option(metavar="TIME", help="Start of the full period that the amount is for.")
    ] = None,
    full_to: Annotated[str | None, typer.Option(metavar="TIME", help="Its end, exclusive.")] = None,
    pro_rate: Annotated[
        bool, typer.Option("--pro-rate", help="Charge the part that the service period is of the full one.")
    ] = False,
    in_arrears: Annotated[
        bool, typer.Option("--in-arrears", help="Due at the end of the period, instead of at its start.")
    ] = False,
    percent_off: PercentOff = None,
    feature: Annotated[str | None, typer.Option(help="Only credit that pays for this feature covers it.")] = None,
    currency: Currency = "USD",
    settlement: Settlement = "credit_only",
    name: Annotated[str | None, typer.Option(help="For people; Fee if left out.")] = None,
    invoice_at: InvoiceAt = None,
    tax_code: TaxCode = None,
    fiat_currency: FiatCurrency = None,
    cost_basis: CostBasis = None,
    cost_basis_id: PinnedRate = None,
    reference: Reference = None,
) -> Shown:
    """Charge a customer one amount for a period, from credit or by invoice."""
    made = session.ledger.charges.create_flat_fee(
        customer,
        amount=amount,
        period_from=from_,
        period_to=to,
        full_service_period=_full_period(full_from or from_, full_to or to) if full_from or full_to else None,
        pro_rating=pro_rate,
        payment_term="in_arrears" if in_arrears else "in_advance",
        percentage_discount={"percentage": percent_off} if percent_off is not None else None,
        feature=feature,
        currency=currency,
        settlement_mode=settlement_mode(settlement),
        name=name,
        invoice_at=invoice_at,
        tax_code=tax_code,
        cost_basis=cost_basis_of(cost_basis, fiat_currency, cost_basis_id),
        unique_reference_id=reference,
        command_id=session.command_id,
    )
    return show_charge(made)


@command(app, "show")
def show(session: Session, charge: ChargeId) -> Shown:
    """Show a charge as it stands."""
    return show_charge(session.ledger.charges.get(charge))


@command(app, "list")
def list_(
    session: Session,
    customer: Annotated[str | None, typer.Argument(metavar="CUSTOMER", help="Of this customer alone.")] = None,
    *,
    status: Annotated[str | None, typer.Option(help="In this status, or one that begins so: active.")] = None,
    due_by: Annotated[str | None, typer.Option(metavar="TIME", help="Moving by themselves by this time.")] = None,
    failing: Annotated[bool, typer.Option("--failing", help="Only those that could not move.")] = False,
) -> Shown:
    """List charges for usage, in order of creation; `ledger credit list` has the grants."""
    if customer is not None:
        session.ledger.customers.get(customer)
    views = session.ledger.views
    found = [
        charge
        for charge in render.all_pages(
            lambda after: views.charges(
                customer, status=status, due_by=parse.moment(due_by, "--due-by"), failing=failing, after=after
            )
        )
        if charge.charge_type != PURCHASE
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


# ── what was typed ───────────────────────────────────────────────────────────────────────────────────────────


def settlement_mode(said: str) -> str:
    """How a charge is settled; `invoice` is short for what the lifecycles call `credit_then_invoice`."""
    return "credit_then_invoice" if said == "invoice" else said


def cost_basis_of(rate: str | None, fiat_currency: str | None, pinned: str | None) -> dict[str, Any] | None:
    """The cost basis of a custom currency: a rate by hand, one of the table, or the one of the day."""
    if rate is not None and pinned is not None:
        raise typer.BadParameter("--cost-basis and --cost-basis-id exclude each other")
    if pinned is not None:
        return {"mode": "pinned", "fiat_currency": fiat_currency or "USD", "currency_cost_basis_id": pinned}
    if rate is not None:
        return {"mode": "manual", "fiat_currency": fiat_currency or "USD", "rate": rate}
    return {"mode": "dynamic", "fiat_currency": fiat_currency} if fiat_currency is not None else None


def _full_period(from_: str, to: str) -> dict[str, str]:
    return {"from_": from_, "to": to}


app.registered_commands.extend(patches.app.registered_commands)
