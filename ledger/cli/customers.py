"""`ledger customer`: who is billed, and how."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ledger.cli import parse, render
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command
from ledger.cli.shared import Shared

app = typer.Typer()

Key = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's key.")]


class ProfileOptions(Shared, frozen=True, kw_only=True):
    """A billing profile, as a customer or the namespace may have it."""

    collection_interval: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long to wait for late usage after a period, like P2D or PT1H."),
    ] = None
    zone: Annotated[str | None, typer.Option(help="IANA zone of calendar arithmetic, like Europe/Berlin.")] = None
    advance_limit: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="How far below zero usage may take a balance; no limit if left out."),
    ] = None
    progressive_billing: Annotated[
        bool | None,
        typer.Option("--progressive-billing/--no-progressive-billing", help="Whether usage is invoiced in parts."),
    ] = None
    auto_approve: Annotated[
        bool | None,
        typer.Option("--auto-approve/--no-auto-approve", help="Whether invoices are issued without approval."),
    ] = None
    payment_terms: Annotated[
        str | None, typer.Option(metavar="DURATION", help="From the issue of an invoice to its due date, like P30D.")
    ] = None


class OwnPolicies(Shared, frozen=True, kw_only=True):
    """The policies that a customer may have of its own."""

    usage_credit_cut: Annotated[
        str | None,
        typer.Option(metavar="POLICY", help="Overrides the namespace's policy: period_end or last_second."),
    ] = None
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A policy of the customer's own, like late_usage=absorb:5.00 or run_cuts=period_end.",
        ),
    ] = None

    def policies(self) -> dict[str, str]:
        """The same by name."""
        from ledger.settings import PER_CUSTOMER

        policies = parse.pairs(self.policy or (), "--policy")
        for name in policies:
            if name not in PER_CUSTOMER:
                raise typer.BadParameter(f"--policy is one of {', '.join(PER_CUSTOMER)}, got {name!r}")
        return policies | ({"usage_credit_cut": self.usage_credit_cut} if self.usage_credit_cut is not None else {})


@command(app, "create", writes=True)
def create(
    session: Session,
    customer: Key,
    *,
    name: Annotated[str | None, typer.Option(help="For people; the key if left out.")] = None,
    profile: ProfileOptions,
    own: OwnPolicies,
) -> Shown:
    """Create a customer. The same one again changes nothing."""
    made = session.ledger.customers.create(
        customer, name, command_id=session.command_id, **profile.said(), **own.policies()
    )
    return _shown(made)


@command(app, "show")
def show(session: Session, customer: Key) -> Shown:
    """Show a customer and its billing profile."""
    return _shown(session.ledger.customers.get(customer))


@command(app, "list")
def list_(session: Session) -> Shown:
    """List all customers."""
    found = list(render.all_pages(lambda after: session.ledger.views.customers(after=after)))
    columns = ("customer", Column("name", words=True), "collection interval", "zone", "created", "deleted")
    rows = [(c.customer, c.name, c.collection_interval, c.zone, c.created_at, c.deleted_at) for c in found]
    return Shown(found, (render.table(columns, rows, empty="No customers yet; `ledger customer create` makes one."),))


@command(app, "profile", writes=True)
def change_profile(session: Session, customer: Key, *, profile: ProfileOptions, own: OwnPolicies) -> Shown:
    """Replace a customer's billing profile; what is left out falls back to the namespace's."""
    changed = session.ledger.customers.change_profile(
        customer, command_id=session.command_id, **profile.said(), **own.policies()
    )
    return _shown(changed)


@command(app, "delete", writes=True)
def delete(session: Session, customer: Key) -> Shown:
    """Delete a customer with whom nothing is open; its history stays, and its key stays taken."""
    return _shown(session.ledger.customers.delete(customer, command_id=session.command_id))


def _shown(customer: Any) -> Shown:
    from ledger.settings import PER_CUSTOMER

    profile = customer.profile
    values = {
        "name": customer.name,
        "collection interval": profile.collection_interval or "the namespace's",
        "zone": profile.zone or "the namespace's",
    }
    values |= {
        name.replace("_", " "): said if isinstance(said, str) else str(said)
        for name in (*PER_CUSTOMER, "progressive_billing", "auto_approve", "payment_terms", "advance_limit")
        if (said := getattr(profile, name)) is not None
    }
    values |= {"deleted": customer.deleted_at} if customer.deleted_at is not None else {}
    return Shown(customer, (render.facts(customer.key, values),))
