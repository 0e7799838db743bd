"""`ledger invoice`: what customers are asked to pay, and what became of it."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from ledger.cli import parse, render
from ledger.cli.charge_options import (
    Description,
    FeeFeature,
    FeeOptions,
    From,
    Metadata,
    PeriodOptions,
    TermOptions,
    To,
    bounds,
    paired,
)
from ledger.cli.invoice_page import listing, show_invoice, waiting
from ledger.cli.price_options import DiscountOptions, PercentOff, PriceOptions, UnitConfig, percentage
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

app = typer.Typer()

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's key.")]
InvoiceId = Annotated[str, typer.Argument(metavar="INVOICE", help="The invoice's number or id.")]
LineId = Annotated[str, typer.Argument(metavar="LINE", help="The line's id, as `ledger invoice show` has it.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the history and the document.")]


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────


@command(app, "list")
def list_(
    session: Session,
    customer: Annotated[str | None, typer.Argument(metavar="CUSTOMER", help="Of this customer alone.")] = None,
    *,
    status: Annotated[str | None, typer.Option(help="In this status, or one that begins so: draft, paid.")] = None,
    number: Annotated[str | None, typer.Option(help="The one with this number.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those that are not paid and past due.")] = False,
    overdue_on: Annotated[str | None, typer.Option(metavar="TIME", help="The same, as of this day.")] = None,
    newest_first: Annotated[bool, typer.Option("--newest-first", help="The newest first.")] = False,
) -> Shown:
    """List invoices, in order of creation."""
    if customer is not None:
        session.ledger.customers.get(customer)
    if overdue and overdue_on is not None:
        raise typer.BadParameter("--overdue is of today; name --overdue or --overdue-on")
    day = session.ledger.clock.now() if overdue else parse.moment(overdue_on, "--overdue-on")
    views = session.ledger.views
    found = list(
        render.all_pages(
            lambda after: views.invoices(
                customer, status=status, number=number, overdue_on=day, newest_first=newest_first, after=after
            )
        )
    )
    return Shown(found, (listing(found),))


@command(app, "show")
def show(session: Session, invoice: InvoiceId) -> Shown:
    """Show an invoice: lines, tax, what was paid and what is due."""
    return show_invoice(session.ledger.invoices.get(_id(session, invoice)))


@command(app, "preview")
def preview(session: Session, customer: Customer) -> Shown:
    """Show what waits to be invoiced, as its lines would show it now; nothing is written."""
    found = session.ledger.invoices.preview(customer)
    return Shown(found, (waiting(found),))


# ── making and issuing ───────────────────────────────────────────────────────────────────────────────────────


@command(app, "make", writes=True)
def make(session: Session, customer: Customer) -> Shown:
    """Invoice everything of a customer that can be invoiced now, usage in parts where its profile lets it."""
    return _several(session.ledger.invoices.invoice_pending_lines(customer, command_id=session.command_id))


@command(app, "due", writes=True)
def due(session: Session, customer: Customer) -> Shown:
    """Invoice what is due of a customer and move on what is collected; what `ledger worker` does.

    A charge that refuses its line is listed with the reason, and does not stop the others.
    """
    done = session.ledger.invoices.move_due(customer, command_id=session.command_id)
    moved = _several([session.ledger.invoices.get(invoice) for invoice in done.invoices])
    parts = [*moved.parts]
    if done.failed:
        rows = [(failed.charge, failed.code, failed.message) for failed in done.failed]
        columns = ("charge", "code", Column("why", words=True))
        parts += [render.bad("These could not be invoiced:"), render.table(columns, rows, empty="")]
    return Shown({"invoices": moved.data, "failed": done.failed}, tuple(parts))


@command(app, "advance", writes=True)
def advance(session: Session, invoice: InvoiceId) -> Shown:
    """Move an invoice as far as it goes by itself."""
    return show_invoice(session.ledger.invoices.advance(_id(session, invoice), command_id=session.command_id))


@command(app, "approve", writes=True)
def approve(session: Session, invoice: InvoiceId) -> Shown:
    """Approve an invoice that waits for it: it gets its number and is issued."""
    return show_invoice(session.ledger.invoices.approve(_id(session, invoice), command_id=session.command_id))


@command(app, "retry", writes=True)
def retry(session: Session, invoice: InvoiceId) -> Shown:
    """Repeat the step that failed."""
    return show_invoice(session.ledger.invoices.retry(_id(session, invoice), command_id=session.command_id))


@command(app, "repeat", writes=True)
def repeat(session: Session, invoice: InvoiceId) -> Shown:
    """Repeat the step that failed, as a worker does: what fails as before leaves nothing behind."""
    invoice_id = _id(session, invoice)
    moved = session.ledger.invoices.repeat(invoice_id, command_id=session.command_id)
    shown = show_invoice(session.ledger.invoices.get(invoice_id))
    told = render.done("It went on.") if moved else render.note("It stands where it stood.")
    return Shown({"repeated": moved, "invoice": shown.data}, (*shown.parts, "", told))


@command(app, "delete", writes=True)
def delete(session: Session, invoice: InvoiceId) -> Shown:
    """Delete a draft; what it billed waits to be invoiced again."""
    return show_invoice(session.ledger.invoices.delete(_id(session, invoice), command_id=session.command_id))


@command(app, "describe", writes=True)
def describe(
    session: Session,
    invoice: InvoiceId,
    description: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="What it says, a purchase order say; taken away if left out.")
    ] = None,
) -> Shown:
    """Set the description of an invoice that is not issued yet."""
    described = session.ledger.invoices.describe(_id(session, invoice), description, command_id=session.command_id)
    return show_invoice(described)


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────


@command(app, "edit-line", writes=True)
def edit_line(
    session: Session,
    invoice: InvoiceId,
    line: LineId,
    *,
    amount: Annotated[str | None, typer.Option(metavar="AMOUNT", help="What it comes to, before credit.")] = None,
    name: Annotated[str | None, typer.Option(help="What it is called.")] = None,
    description: Description = None,
    metadata: Metadata = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Of a fee: start of its period.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Its end, exclusive.")] = None,
    discounts: DiscountOptions,
) -> Shown:
    """Change a line on a draft, a fee or its period, discounts of usage; what it bills changes with it."""
    said: dict[str, Any] = {
        "amount": amount,
        "name": name,
        "description": description,
        "discounts": discounts.written(),
        **paired("metadata", "--metadata", metadata),
        **bounds("period", "--from", from_, to),
    }
    changes = {key: value for key, value in said.items() if value is not None}
    edited = session.ledger.invoices.edit_line(_id(session, invoice), line, command_id=session.command_id, **changes)
    return show_invoice(edited)


@command(app, "delete-line", writes=True)
def delete_line(session: Session, invoice: InvoiceId, line: LineId) -> Shown:
    """Take the line of a flat fee off a draft; it waits to be invoiced again."""
    left = session.ledger.invoices.delete_line(_id(session, invoice), line, command_id=session.command_id)
    return show_invoice(left)


@command(app, "add-fee", writes=True)
def add_fee(
    session: Session,
    invoice: InvoiceId,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="What it costs, like 25.00.")],
    *,
    from_: From,
    to: To,
    fee: FeeOptions,
    percent_off: PercentOff = None,
    feature: FeeFeature = None,
    name: Annotated[str | None, typer.Option(help="What it is called; Fee if left out.")] = None,
    periods: PeriodOptions,
    terms: TermOptions,
) -> Shown:
    """Put a flat fee on an open invoice by hand."""
    added = session.ledger.invoices.add_fee(
        _id(session, invoice),
        amount=amount,
        period_from=from_,
        period_to=to,
        feature=feature,
        name=name,
        command_id=session.command_id,
        **fee.terms(),
        **percentage("percentage_discount", percent_off),
        **periods.terms(from_, to),
        **terms.terms(),
    )
    return show_invoice(added)


@command(app, "add-usage", writes=True)
def add_usage(
    session: Session,
    invoice: InvoiceId,
    *,
    feature: Annotated[str, typer.Option(help="Key of the feature whose usage it is.")],
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="Start of the period, which has begun.")],
    to: To,
    price: PriceOptions,
    discounts: DiscountOptions,
    unit_config: UnitConfig = None,
    name: Annotated[str | None, typer.Option(help="What it is called; the feature if left out.")] = None,
    periods: PeriodOptions,
    terms: TermOptions,
) -> Shown:
    """Put usage over a period on an open invoice by hand; it waits until late usage is in."""
    added = session.ledger.invoices.add_usage(
        _id(session, invoice),
        feature=feature,
        price=price.written(),
        period_from=from_,
        period_to=to,
        discounts=discounts.written(),
        unit_config=parse.json_object(unit_config, "--unit-config"),
        name=name,
        command_id=session.command_id,
        **periods.terms(from_, to),
        **terms.terms(),
    )
    return show_invoice(added)


@command(app, "attach", writes=True)
def attach(
    session: Session,
    invoice: InvoiceId,
    charge: Annotated[str, typer.Argument(metavar="CHARGE", help="The charge's id.")],
) -> Shown:
    """Put what waits of a charge on an open invoice: a fee before it is due, usage as far as it has come."""
    attached = session.ledger.invoices.attach(_id(session, invoice), charge, command_id=session.command_id)
    return show_invoice(attached)


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────


@command(app, "payment", writes=True)
def payment(
    session: Session,
    invoice: InvoiceId,
    step: Annotated[str, typer.Argument(metavar="STEP", help="authorized, paid or failed.")],
    *,
    amount: Annotated[str | None, typer.Option(metavar="AMOUNT", help="With tax; all that is open otherwise.")] = None,
    reference: Annotated[
        str | None, typer.Option(help="The provider's id of the payment: the same one again changes nothing.")
    ] = None,
) -> Shown:
    """Report what became of a payment: promised, arrived in part or whole, failed."""
    reported = session.ledger.invoices.record_payment(
        _id(session, invoice), step, amount=amount, reference=reference, command_id=session.command_id
    )
    return show_invoice(reported)


@command(app, "credit", writes=True)
def credit(
    session: Session,
    invoice: InvoiceId,
    amount: Annotated[
        str | None, typer.Argument(metavar="AMOUNT", help="Before tax, line by line in their order; all if left out.")
    ] = None,
    *,
    lines: Annotated[
        list[str] | None, typer.Option("--line", metavar="LINE[=AMOUNT]", help="So much of this line; may be repeated.")
    ] = None,
    reason: Reason = None,
) -> Shown:
    """Take back some of an issued invoice out of goodwill, by a credit note."""
    credited = session.ledger.invoices.credit(
        _id(session, invoice),
        amount=amount,
        lines=_credited_lines(lines) if lines else None,
        reason=reason,
        command_id=session.command_id,
    )
    return show_invoice(credited)


@command(app, "void", writes=True)
def void(session: Session, invoice: InvoiceId, *, reason: Reason = None) -> Shown:
    """Void an issued invoice by a credit note in full; what it billed waits to be invoiced again."""
    voided = session.ledger.invoices.void(_id(session, invoice), reason=reason, command_id=session.command_id)
    return show_invoice(voided)


@command(app, "refund", writes=True)
def refund(
    session: Session,
    invoice: InvoiceId,
    amount: Annotated[
        str | None, typer.Argument(metavar="AMOUNT", help="With tax; all that is left of it otherwise.")
    ] = None,
) -> Shown:
    """Pay unapplied credit of an invoice back: what was paid too much, or credited after it was paid."""
    refunded = session.ledger.invoices.refund_unapplied(_id(session, invoice), amount, command_id=session.command_id)
    return show_invoice(refunded)


@command(app, "refund-all", writes=True)
def refund_all(
    session: Session,
    customer: Customer,
    currency: Annotated[str, typer.Argument(metavar="CURRENCY", help="Of which currency.")] = "USD",
) -> Shown:
    """Pay back all unapplied credit that a customer has in a currency, oldest invoice first."""
    return _several(session.ledger.invoices.refund_all_unapplied(customer, currency, command_id=session.command_id))


@command(app, "write-off", writes=True)
def write_off(session: Session, invoice: InvoiceId, *, reason: Reason = None) -> Shown:
    """Give up what is open of an invoice as uncollectible; a late payment takes that back."""
    given_up = session.ledger.invoices.write_off(_id(session, invoice), reason=reason, command_id=session.command_id)
    return show_invoice(given_up)


# ── what was typed ───────────────────────────────────────────────────────────────────────────────────────────


def _id(session: Session, named: str) -> UUID | str:
    """The id behind a number; what is neither a number nor an id is for the ledger to refuse."""
    try:
        return UUID(named)
    except ValueError:
        found = session.ledger.views.invoices(number=named).items
        return found[0].invoice if found else named


def _credited_lines(said: list[str]) -> dict[str, str | None]:
    out: dict[str, str | None] = {}
    for each in said:
        line, equals, amount = each.partition("=")
        if line in out:
            raise typer.BadParameter(f"--line {line} is named twice")
        if equals:
            parse.number(amount, "--line")
        out[line] = amount if equals else None
    return out


def _several(found: list[Any]) -> Shown:
    from ledger.invoice_answers import invoice_answer

    answers = [invoice_answer(each) for each in found]
    return Shown(answers, (listing(answers),))
