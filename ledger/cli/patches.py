"""`ledger charge extend`, `shrink`, `override` and so on: what is changed of a charge that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ledger.cli import parse, render
from ledger.cli.charge_options import Description, FeeOptions, Metadata, PeriodOptions, bounds, paired
from ledger.cli.charge_words import FLAT_FEE, show_charge
from ledger.cli.price_options import DiscountOptions, PriceOptions, UnitConfig, percentage
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command
from ledger.cli.shared import Shared

app = typer.Typer()

ChargeId = Annotated[str, typer.Argument(metavar="CHARGE", help="The charge's id.")]
Version = Annotated[int | None, typer.Option(metavar="N", help="Refuse if the intent is not at this version any more.")]


class EndOptions(Shared, frozen=True, kw_only=True):
    """The new ends of a charge's periods; those that are left out go with the service period."""

    to: Annotated[str, typer.Option("--to", metavar="TIME", help="The new end of the service period.")]
    full_to: Annotated[str | None, typer.Option(metavar="TIME", help="The new end of the full period.")] = None
    billing_to: Annotated[str | None, typer.Option(metavar="TIME", help="The new end of the billing period.")] = None
    invoice_at: Annotated[str | None, typer.Option(metavar="TIME", help="From when on it can be invoiced.")] = None
    intent_version: Version = None

    def ends(self) -> dict[str, Any]:
        """The same by the names that the ledger has for them."""
        names = {"to": "service_period_to", "full_to": "full_service_period_to", "billing_to": "billing_period_to"}
        return {names.get(name, name): value for name, value in self.said().items()}


@command(app, "extend", writes=True)
def extend(session: Session, charge: ChargeId, ends: EndOptions) -> Shown:
    """Move the end of a charge's period to a later time."""
    return show_charge(session.ledger.charges.extend(charge, command_id=session.command_id, **ends.ends()))


@command(app, "shrink", writes=True)
def shrink(session: Session, charge: ChargeId, ends: EndOptions) -> Shown:
    """Move the end of a charge's period to an earlier time."""
    return show_charge(session.ledger.charges.shrink(charge, command_id=session.command_id, **ends.ends()))


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
    price: PriceOptions,
    discounts: DiscountOptions,
    unit_config: UnitConfig = None,
    amount: Annotated[str | None, typer.Option(metavar="AMOUNT", help="Of a flat fee: what it costs.")] = None,
    fee: FeeOptions,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Start of another service period; goes with --to.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Its end, exclusive.")] = None,
    periods: PeriodOptions,
    name: Annotated[str | None, typer.Option(help="Another name, for people.")] = None,
    description: Description = None,
    metadata: Metadata = None,
    intent_version: Version = None,
) -> Shown:
    """Lay other terms over a charge, for its whole period; with --dry-run see the difference first."""
    said: dict[str, Any] = {
        "price": price.written(required=False),
        "unit_config": parse.json_object(unit_config, "--unit-config"),
        "amount": amount,
        "name": name,
        "description": description,
        **fee.terms(),
        **bounds("service_period", "--from", from_, to),
        **periods.terms(from_, to),
        **paired("metadata", "--metadata", metadata),
    }
    if session.ledger.charges.get(charge).charge_type == FLAT_FEE:
        if discounts.free_units is not None:
            raise typer.BadParameter("--free-units belongs to usage, and this charge is a flat fee")
        said |= percentage("percentage_discount", discounts.percent_off)
    else:
        said["discounts"] = discounts.written()
    changes = {key: value for key, value in said.items() if value is not None}
    changed = session.ledger.charges.set_override(
        charge, intent_version=intent_version, command_id=session.command_id, **changes
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
    *,
    refund: Annotated[str, typer.Option(help="correct gives consumed credit back, ignore leaves it.")] = "correct",
    invoice_refund: Annotated[
        str,
        typer.Option(help="What was paid of it: grant_credits makes it credit, refund pays it back, ignore keeps it."),
    ] = "grant_credits",
    source: Annotated[
        str, typer.Option(metavar="WHO", help="Who asks for it: api, or system for what lies below an override.")
    ] = "api",
    intent_version: Version = None,
) -> Shown:
    """Delete a charge. Its history stays."""
    changed = session.ledger.charges.delete(
        charge,
        credit_refund=cast("Any", refund),
        invoice_refund=cast("Any", invoice_refund),
        source=cast("Any", source),
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

    document = parse.document(file, "FILE")
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
