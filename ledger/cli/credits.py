"""`ledger credit`: the credit that customers have."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ledger.cli.charges import show_charge, show_purchases
from ledger.cli.render import Shown
from ledger.cli.session import Session, command

app = typer.Typer()

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's key.")]
Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="How much, like 100.00.")]
Currency = Annotated[str, typer.Argument(metavar="CURRENCY", help="Of which currency.")]
PurchaseId = Annotated[str, typer.Argument(metavar="ID", help="The id of the grant or sale.")]
Name = Annotated[str | None, typer.Option(help="For people.")]
Priority = Annotated[int | None, typer.Option(help="1 is used first; 100 if left out.")]
EffectiveAt = Annotated[str | None, typer.Option(metavar="TIME", help="From when on it can be spent.")]
ExpiresAt = Annotated[str | None, typer.Option(metavar="TIME", help="Until when, exclusive.")]
Features = Annotated[list[str] | None, typer.Option("--feature", help="Only for this feature; may be repeated.")]
Key = Annotated[str | None, typer.Option(help="Your key of it: one purchase of the customer has it.")]


@command(app, "grant", writes=True)
def grant(
    session: Session,
    customer: Customer,
    amount: Amount,
    currency: Currency = "USD",
    *,
    name: Name = None,
    priority: Priority = None,
    effective_at: EffectiveAt = None,
    expires_at: ExpiresAt = None,
    features: Features = None,
    key: Key = None,
) -> Shown:
    """Give credit away. Usage that had no credit is covered first, oldest first."""
    terms = _terms(
        name=name,
        priority=priority,
        effective_at=effective_at,
        expires_at=expires_at,
        features=features,
        key=key,
    )
    return show_charge(session.ledger.credits.grant(customer, amount, currency, command_id=session.command_id, **terms))


@command(app, "sell", writes=True)
def sell(
    session: Session,
    customer: Customer,
    amount: Amount,
    currency: Currency = "USD",
    *,
    cost_basis: Annotated[str, typer.Option(metavar="RATE", help="What a unit costs: 100 at 0.5 cost 50.")] = "1",
    fiat_currency: Annotated[str | None, typer.Option(help="What a custom currency is paid in.")] = None,
    initial_status: Annotated[
        str, typer.Option(metavar="STATUS", help="How far its payment is: created, authorized or settled.")
    ] = "created",
    name: Name = None,
    priority: Priority = None,
    effective_at: EffectiveAt = None,
    expires_at: ExpiresAt = None,
    features: Features = None,
    key: Key = None,
) -> Shown:
    """Sell credit that is paid for elsewhere; report its payment with `ledger credit payment`."""
    terms = _terms(
        name=name,
        priority=priority,
        effective_at=effective_at,
        expires_at=expires_at,
        features=features,
        key=key,
    )
    terms |= {"fiat_currency": fiat_currency} if fiat_currency is not None else {}
    sold = session.ledger.credits.sell(
        customer,
        amount,
        currency,
        cost_basis=cost_basis,
        initial_status=initial_status,
        command_id=session.command_id,
        **terms,
    )
    return show_charge(sold)


@command(app, "payment", writes=True)
def payment(
    session: Session,
    id: PurchaseId,
    step: Annotated[str, typer.Argument(metavar="STEP", help="authorized or paid.")],
) -> Shown:
    """Report that the payment of sold credit was authorized or paid."""
    if step not in ("authorized", "paid"):
        raise typer.BadParameter(f"STEP is authorized or paid, got {step!r}")
    return show_charge(session.ledger.credits.record_payment(id, step, command_id=session.command_id))


@command(app, "void", writes=True)
def void(session: Session, id: PurchaseId) -> Shown:
    """Take back what is left of a grant or sale; what was used stays used."""
    return show_charge(session.ledger.credits.void(id, command_id=session.command_id))


@command(app, "list")
def list_(session: Session, customer: Customer) -> Shown:
    """List what a customer was granted and sold."""
    return show_purchases(session.ledger.credits.list(customer), empty=f"{customer} was given no credit yet.")


def _terms(
    *,
    name: str | None,
    priority: int | None,
    effective_at: str | None,
    expires_at: str | None,
    features: list[str] | None,
    key: str | None,
) -> dict[str, Any]:
    given = {
        "name": name,
        "priority": priority,
        "effective_at": effective_at,
        "expires_at": expires_at,
        "features": tuple(features) if features else None,
        "key": key,
    }
    return {term: value for term, value in given.items() if value is not None}
