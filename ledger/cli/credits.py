"""`ledger credit`: the credit that customers have."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer

from aggregates.values.decimals import ZERO
from aggregates.values.period import instant
from ledger.cli import render
from ledger.cli.charge_options import Description, Metadata, paired
from ledger.cli.charge_words import show_charge, show_purchases
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command
from ledger.cli.shared import Shared
from ledger.cli.statements import listing

app = typer.Typer()
app.registered_commands.extend(listing.registered_commands)

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's key.")]
Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="How much, like 100.00.")]
Currency = Annotated[str, typer.Argument(metavar="CURRENCY", help="Of which currency.")]
PurchaseId = Annotated[str, typer.Argument(metavar="ID", help="The id of the grant or sale.")]
Fiat = Annotated[str | None, typer.Argument(metavar="AMOUNT", help="How much money; all of it if left out.")]
WrittenOff = Annotated[str | None, typer.Option(metavar="AMOUNT", help="How much; all of it if left out.")]
OfCharge = Annotated[str | None, typer.Option(metavar="ID", help="Of this charge alone.")]
STEPS = ("authorized", "paid", "failed", "cancelled", "charged_back")


class CreditOptions(Shared, frozen=True, kw_only=True):
    """What is said of credit, given or sold."""

    name: Annotated[str | None, typer.Option(help="For people.")] = None
    priority: Annotated[int | None, typer.Option(help="1 is used first; 100 if left out.")] = None
    effective_at: Annotated[str | None, typer.Option(metavar="TIME", help="From when on it can be spent.")] = None
    expires_at: Annotated[str | None, typer.Option(metavar="TIME", help="Until when, exclusive.")] = None
    features: Annotated[list[str] | None, typer.Option("--feature", help="Only for this feature; may be repeated.")] = (
        None
    )
    key: Annotated[str | None, typer.Option(help="Your key of it: one purchase of the customer has it.")] = None
    description: Description = None
    metadata: Metadata = None

    def terms(self) -> dict[str, Any]:
        """The same as the ledger takes it."""
        out = self.said() | paired("metadata", "--metadata", self.metadata)
        return out | ({"features": tuple(self.features)} if self.features else {})


@command(app, "grant", writes=True)
def grant(
    session: Session,
    customer: Customer,
    amount: Amount,
    currency: Currency = "USD",
    *,
    terms: CreditOptions,
) -> Shown:
    """Give credit away. Usage that had no credit is covered first, oldest first."""
    granted = session.ledger.credits.grant(customer, amount, currency, command_id=session.command_id, **terms.terms())
    return show_charge(granted)


@command(app, "sell", writes=True)
def sell(
    session: Session,
    customer: Customer,
    amount: Amount,
    currency: Currency = "USD",
    *,
    cost_basis: Annotated[str, typer.Option(metavar="RATE", help="What a unit costs: 100 at 0.5 cost 50.")] = "1",
    fiat_currency: Annotated[str | None, typer.Option(help="What a custom currency is paid in.")] = None,
    settlement: Annotated[
        str, typer.Option(metavar="HOW", help="How it is paid: external, reported to us, or invoice.")
    ] = "external",
    initial_status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="How far its payment is: created, authorized or settled.")
    ] = None,
    availability: Annotated[
        str | None, typer.Option(metavar="STEP", help="What grants it: on_creation, on_authorization, on_settlement.")
    ] = None,
    terms: CreditOptions,
) -> Shown:
    """Sell credit, paid for elsewhere (report that with `ledger credit payment`) or by invoice."""
    fiat = {"fiat_currency": fiat_currency} if fiat_currency is not None else {}
    sold = session.ledger.credits.sell(
        customer,
        amount,
        currency,
        cost_basis=cost_basis,
        settlement=settlement,
        initial_status=initial_status,
        availability=availability,
        command_id=session.command_id,
        **fiat,
        **terms.terms(),
    )
    return show_charge(sold)


@command(app, "payment", writes=True)
def payment(
    session: Session,
    id: PurchaseId,
    step: Annotated[str, typer.Argument(metavar="STEP", help="authorized, paid, failed, cancelled or charged_back.")],
    *,
    reason: Annotated[str | None, typer.Option(help="What was said of it.")] = None,
) -> Shown:
    """Report what happened to the payment of sold credit; when it came to nothing, unused credit is taken back."""
    if step not in STEPS:
        raise typer.BadParameter(f"STEP is one of {', '.join(STEPS)}, got {step!r}")
    done = session.ledger.credits.record_payment(id, step, reason=reason, command_id=session.command_id)
    return show_charge(done)


@command(app, "retry-payment", writes=True)
def retry_payment(session: Session, id: PurchaseId) -> Shown:
    """Wait for a new payment of what is owed for a sale, after one failed."""
    return show_charge(session.ledger.credits.retry_payment(id, command_id=session.command_id))


@command(app, "write-off-payment", writes=True)
def write_off_payment(session: Session, id: PurchaseId) -> Shown:
    """Give up what is owed for a sale whose payment failed."""
    return show_charge(session.ledger.credits.write_off_payment(id, command_id=session.command_id))


@command(app, "void", writes=True)
def void(
    session: Session,
    id: PurchaseId,
    *,
    payment: Annotated[
        str, typer.Option(metavar="HOW", help="Of what was paid: none stays, reduce asks no more, refund gives back.")
    ] = "none",
) -> Shown:
    """Take back what is left of a grant or sale; what was used stays used."""
    done = session.ledger.credits.void(id, payment_adjustment=_adjustment(payment), command_id=session.command_id)
    return show_charge(done)


@command(app, "reduce", writes=True)
def reduce(
    session: Session,
    id: PurchaseId,
    amount: Amount,
    *,
    payment: Annotated[str, typer.Option(metavar="HOW", help="none, reduce or refund, as for void.")] = "refund",
) -> Shown:
    """Take back part of what is left of a sale, and its price."""
    done = session.ledger.credits.reduce(
        id, amount, payment_adjustment=_adjustment(payment), command_id=session.command_id
    )
    return _purchase(session, id, done)


@command(app, "cancel", writes=True)
def cancel(session: Session, id: PurchaseId) -> Shown:
    """Cancel a grant before it becomes effective, as if it had never been."""
    return show_charge(session.ledger.credits.cancel(id, command_id=session.command_id))


@command(app, "refund", writes=True)
def refund(session: Session, id: PurchaseId, amount: Fiat = None) -> Shown:
    """Give back what was paid for credit that was voided, or paid too much."""
    return _purchase(session, id, session.ledger.credits.refund(id, amount, command_id=session.command_id))


@command(app, "refund-correction", writes=True)
def refund_correction(
    session: Session,
    customer: Customer,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run that gave the credit, as `ledger runs` has it.")],
    amount: Fiat = None,
) -> Shown:
    """Pay back credit that a correction gave for what had been paid, as far as it is not used."""
    left = session.ledger.credits.refund_correction(customer, run, amount, command_id=session.command_id)
    unit = session.ledger.charges.get(session.ledger.charges.run(run).charge_id).invoice_currency
    words = f"{render.money(left, unit)} of the correction credit of run {run} is left with {customer}."
    return Shown({"customer": customer, "run": run, "left": left}, (render.done(words),))


@command(app, "receive", writes=True)
def receive(
    session: Session, id: PurchaseId, amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="How much came.")]
) -> Shown:
    """Record money for a sale as it came: part of its price, all of it, or more."""
    return _purchase(session, id, session.ledger.credits.receive(id, amount, command_id=session.command_id))


@command(app, "reverse", writes=True)
def reverse(session: Session, id: PurchaseId, amount: Fiat = None) -> Shown:
    """Record that money for a sale was taken back, as in a chargeback; it is owed again."""
    return _purchase(session, id, session.ledger.credits.reverse_payment(id, amount, command_id=session.command_id))


@command(app, "write-off", writes=True)
def write_off(
    session: Session,
    customer: Customer,
    currency: Currency = "USD",
    *,
    amount: WrittenOff = None,
    charge: OfCharge = None,
) -> Shown:
    """Give up usage beyond credit that nobody will pay for, oldest first."""
    left = session.ledger.credits.write_off(
        customer, currency, amount=amount, charge=charge, command_id=session.command_id
    )
    return _owed(session, customer, currency, left)


@command(app, "recover", writes=True)
def recover(
    session: Session,
    customer: Customer,
    currency: Currency = "USD",
    *,
    amount: WrittenOff = None,
    charge: OfCharge = None,
) -> Shown:
    """Take a write-off back: the usage is owed again, and the next purchase covers it."""
    left = session.ledger.credits.recover(
        customer, currency, amount=amount, charge=charge, command_id=session.command_id
    )
    return _owed(session, customer, currency, left)


@command(app, "cover", writes=True)
def cover(session: Session, customer: Customer, currency: Currency = "USD") -> Shown:
    """Let free credit take over usage beyond credit, oldest first."""
    left = session.ledger.credits.cover_advance(customer, currency, command_id=session.command_id)
    return _owed(session, customer, currency, left)


@command(app, "show")
def show(session: Session, id: PurchaseId) -> Shown:
    """Show what was granted of a purchase, and what became of its payment."""
    return _purchase(session, id, session.ledger.credits.purchase(id))


@command(app, "pool")
def pool(session: Session, customer: Customer, currency: Currency = "USD") -> Shown:
    """Show the credit that a customer has, lot by lot in the order of issue, and usage that had none."""
    found = session.ledger.credits.pool(customer, currency)
    now = instant(session.ledger.clock.now())
    lots: list[dict[str, Any]] = [
        {
            "lot": lot.sequence,
            "purchase": lot.source,
            "balance": lot.balance,
            "spendable": lot.spendable(now) if lot.is_live(now) else ZERO,
            "priority": lot.route.credit_priority,
            "effective_at": lot.effective_at,
            "expires_at": lot.expires_at,
            "features": lot.route.features,
        }
        for lot in found.lots.values()
    ]
    columns = (
        Column("lot", right=True),
        "grant or sale",
        Column("left", right=True),
        Column("to spend now", right=True),
        Column("used as no.", right=True),
        "from",
        "expires",
        "pays for",
    )
    rows = [
        (
            lot["lot"],
            lot["purchase"],
            *(render.amount(lot[name], found.currency) for name in ("balance", "spendable")),
            lot["priority"],
            lot["effective_at"],
            lot["expires_at"] or "never",
            lot["features"] or "everything",
        )
        for lot in lots
    ]
    advance = found.uncovered_advance
    owed = render.note(f"Usage beyond credit: {render.money(advance, found.currency)}.")
    data = {"customer": customer, "currency": found.currency, "lots": lots, "advance": advance}
    return Shown(data, (render.table(columns, rows, empty=f"{customer} has no credit left."), owed))


@command(app, "list")
def list_(session: Session, customer: Customer) -> Shown:
    """List what a customer was granted and sold."""
    return show_purchases(session.ledger.credits.list(customer), empty=f"{customer} was given no credit yet.")


def _adjustment(how: str) -> str:
    if how not in ("none", "reduce", "refund"):
        raise typer.BadParameter(f"--payment is none, reduce or refund, got {how!r}")
    return how


def _purchase(session: Session, id: str, totals: Any) -> Shown:
    """What was granted of a purchase and paid for it."""
    currency = session.ledger.charges.get(id).intent.identity.currency
    paid = totals.fiat_currency or currency
    values: dict[str, object] = {
        "granted": render.money(totals.granted, currency),
        "voided": render.money(totals.voided, currency),
        "authorized": render.money(totals.fiat_authorized, paid),
        "received": render.money(totals.fiat_settled, paid),
        "refunded": render.money(totals.fiat_refunded, paid),
    }
    return Shown({"id": id, "totals": totals}, (render.facts(f"Purchase {id}", values),))


def _owed(session: Session, customer: str, currency: str, left: Decimal) -> Shown:
    unit = session.ledger.catalogue.currency(currency)
    words = f"{render.money(left, unit)} of usage beyond credit is left with {customer}."
    return Shown({"customer": customer, "uncovered": left}, (render.done(words),))
