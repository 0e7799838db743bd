"""`ledger charge extend`, `shrink`, `override` and so on: what is changed of a charge that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ledger.cli import parse, render
from ledger.cli.charge_words import FLAT_FEE, show_charge
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
    Volume,
    discounts,
    price_of,
)
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

app = typer.Typer()

ChargeId = Annotated[str, typer.Argument(metavar="CHARGE", help="The charge's id.")]
Version = Annotated[int | None, typer.Option(metavar="N", help="Refuse if the intent is not at this version any more.")]


@command(app, "extend", writes=True)
def extend(
    session: Session,
    charge: ChargeId,
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="The new, later end of the service period.")],
    intent_version: Version = None,
) -> Shown:
    """Move the end of a charge's period to a later time."""
    changed = session.ledger.charges.extend(
        charge, service_period_to=to, intent_version=intent_version, command_id=session.command_id
    )
    return show_charge(changed)


@command(app, "shrink", writes=True)
def shrink(
    session: Session,
    charge: ChargeId,
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="The new, earlier end of the service period.")],
    intent_version: Version = None,
) -> Shown:
    """Move the end of a charge's period to an earlier time."""
    changed = session.ledger.charges.shrink(
        charge, service_period_to=to, intent_version=intent_version, command_id=session.command_id
    )
    return show_charge(changed)


@command(app, "shrink-to-realized", writes=True)
def shrink_to_realized(
    session: Session,
    charge: ChargeId,
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="Where its latest run ends, as you see it.")],
    intent_version: Version = None,
) -> Shown:
    """End usage that is invoiced in parts where its latest run ends; nothing after that is billed."""
    changed = session.ledger.charges.shrink_to_realized(
        charge, service_period_to=to, intent_version=intent_version, command_id=session.command_id
    )
    return show_charge(changed)


@command(app, "override", writes=True)
def override(
    session: Session,
    charge: ChargeId,
    *,
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
    amount: Annotated[str | None, typer.Option(metavar="AMOUNT", help="Of a flat fee: what it costs.")] = None,
    name: Annotated[str | None, typer.Option(help="Another name, for people.")] = None,
    intent_version: Version = None,
) -> Shown:
    """Lay other terms over a charge, for its whole period; with --dry-run see the difference first."""
    price_said = price_of(
        unit=unit,
        graduated=graduated,
        volume=volume,
        package=package,
        dynamic=dynamic,
        price=price,
        minimum=minimum,
        maximum=maximum,
        required=False,
    )
    off: dict[str, Any] = {"discounts": discounts(percent_off, free_units)}
    if session.ledger.charges.get(charge).charge_type == FLAT_FEE:
        off = {"percentage_discount": {"percentage": percent_off} if percent_off is not None else None}
    changed = session.ledger.charges.set_override(
        charge,
        price=price_said,
        amount=amount,
        name=name,
        **off,
        intent_version=intent_version,
        command_id=session.command_id,
    )
    return show_charge(changed)


@command(app, "clear-override", writes=True)
def clear_override(session: Session, charge: ChargeId, intent_version: Version = None) -> Shown:
    """Take an override away; the charge's own terms hold again."""
    changed = session.ledger.charges.clear_override(
        charge, intent_version=intent_version, command_id=session.command_id
    )
    return show_charge(changed)


@command(app, "delete", writes=True)
def delete(
    session: Session,
    charge: ChargeId,
    refund: Annotated[str, typer.Option(help="correct gives consumed credit back, ignore leaves it.")] = "correct",
    invoice_refund: Annotated[
        str,
        typer.Option(help="What was paid of it: grant_credits makes it credit, refund pays it back, ignore keeps it."),
    ] = "grant_credits",
    intent_version: Version = None,
) -> Shown:
    """Delete a charge. Its history stays."""
    changed = session.ledger.charges.delete(
        charge,
        credit_refund=cast("Any", refund),
        invoice_refund=cast("Any", invoice_refund),
        intent_version=intent_version,
        command_id=session.command_id,
    )
    return show_charge(changed)


@command(app, "apply", writes=True)
def apply(
    session: Session,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help='JSON: {"customer", "patches": {CHARGE: …}, "creates": […]}.')
    ],
) -> Shown:
    """Patch and create charges of one customer as a file says, all of it in one save, or nothing."""
    from ledger.batches import read_batch

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"FILE cannot be read: {error}") from None
    document = parse.json_object(text, "FILE") or {}
    charges = session.ledger.charges
    batch = read_batch(charges, document)
    done = charges.apply_patches(batch.customer, batch.patches, batch.creates, command_id=session.command_id)
    columns = ("charge", Column("name", words=True), "type", "status")
    rows = [(charge.id, charge.intent.effective.name, charge.charge_type.value, charge.status.value) for charge in done]
    return Shown(done, (render.table(columns, rows, empty="No charges."),))


@command(app, "bill-late-usage", writes=True)
def bill_late_usage(session: Session, charge: ChargeId) -> Shown:
    """Bill usage that was stored after a charge was realized and is not billed, whatever the policy says."""
    return show_charge(session.ledger.charges.bill_late_usage(charge, command_id=session.command_id))


@command(app, "dismiss-late-usage", writes=True)
def dismiss_late_usage(session: Session, charge: ChargeId) -> Shown:
    """Decide that late usage of a charge is not billed, until more of it arrives."""
    return show_charge(session.ledger.charges.dismiss_late_usage(charge, command_id=session.command_id))
