"""`ledger init`, `ledger settings`: make a ledger where there is none; what holds for a namespace."""

from __future__ import annotations

from typing import Annotated

import typer

from ledger.cli import parse, render
from ledger.cli.customers import AutoApprove, Interval, Limit, Progressive, Terms, Zone
from ledger.cli.render import Shown
from ledger.cli.session import Session, command

app = typer.Typer()
settings = typer.Typer()


@command(app, "init", writes=True, creates=True)
def init(
    session: Session,
    policies: Annotated[
        str | None, typer.Option(help="The bundle of policies: standard (where nothing is said) or reference.")
    ] = None,
    collection_interval: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long to wait for late usage after a period: P2D.")
    ] = None,
    zone: Annotated[str | None, typer.Option(help="IANA zone of calendar arithmetic: UTC.")] = None,
) -> Shown:
    """Make the database and open the namespace. On a ledger that is there it changes only what is named."""
    from ledger import Policies
    from ledger.commands import said_by

    bundles = {"standard": Policies.standard, "reference": Policies.reference}
    if policies is not None and policies not in bundles:
        raise typer.BadParameter(f"--policies is standard or reference, got {policies!r}")
    group = session.ledger.settings
    if policies is not None:
        group.change_policies(bundles[policies](), command_id=session.command_id)
    if collection_interval is not None or zone is not None:
        said = {"collection_interval": collection_interval, "zone": zone}
        changed = {name: value for name, value in said.items() if value is not None}
        group.change_default_profile(**said_by(group.get().profile) | changed, command_id=session.command_id)
    return _shown(session)


@command(settings, "show")
def show(session: Session) -> Shown:
    """Show the policies, the default billing profile and the tax codes of the namespace."""
    return _shown(session)


@command(settings, "set", writes=True)
def set_(
    session: Session,
    *,
    collection_interval: Interval = None,
    zone: Zone = None,
    progressive_billing: Progressive = None,
    auto_approve: AutoApprove = None,
    payment_terms: Terms = None,
    advance_limit: Limit = None,
) -> Shown:
    """Change the default billing profile; what is left out stays as it is."""
    from ledger.commands import said_by

    said: dict[str, object] = {
        "collection_interval": collection_interval,
        "zone": zone,
        "progressive_billing": progressive_billing,
        "auto_approve": auto_approve,
        "payment_terms": payment_terms,
        "advance_limit": advance_limit,
    }
    changed = {name: value for name, value in said.items() if value is not None}
    group = session.ledger.settings
    group.change_default_profile(**said_by(group.get().profile) | changed, command_id=session.command_id)
    return _shown(session)


@command(settings, "policy", writes=True)
def policy(
    session: Session,
    named: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE", help="A policy and how it is to be, like credit_notes=off."),
    ] = None,
    *,
    bundle: Annotated[
        str | None, typer.Option(help="All policies of a bundle, before those named: standard or reference.")
    ] = None,
) -> Shown:
    """Change policies from now on; what was decided before stays as it was."""
    from ledger.settings import changed_policies

    pairs = parse.pairs(named or (), "NAME=VALUE")
    group = session.ledger.settings
    group.change_policies(changed_policies(group.get().policies, bundle, pairs), command_id=session.command_id)
    return _shown(session)


@command(settings, "tax", writes=True)
def tax(
    session: Session,
    codes: Annotated[list[str], typer.Argument(metavar="CODE", help="Every tax code there is from now on.")],
    *,
    invoicing: Annotated[str | None, typer.Option(help="The code of what is invoiced otherwise.")] = None,
    credit_grant: Annotated[str | None, typer.Option(help="The code of credit that is granted.")] = None,
) -> Shown:
    """Say which tax codes there are, and which holds where none is named."""
    session.ledger.settings.change_tax(
        codes, invoicing=invoicing, credit_grant=credit_grant, command_id=session.command_id
    )
    return _shown(session)


def _shown(session: Session) -> Shown:
    state = session.ledger.settings.get()
    profile = render.plain_data(state.profile)
    values: dict[str, object] = {"database": session.options.db, "namespace": session.options.namespace}
    values |= {"collection interval": profile["collection_interval"] or "P2D", "zone": profile["zone"] or "UTC"}
    values |= {
        name.replace("_", " "): profile[name]
        for name in ("progressive_billing", "auto_approve", "payment_terms", "advance_limit")
        if profile[name] is not None
    }
    policies = state.policies
    values |= {name.replace("_", " "): getattr(policies, name) for name in policies.__struct_fields__}
    values |= {"tax codes": state.tax.codes} if state.tax is not None else {}
    return Shown(state, (render.facts("Ledger", values),))
