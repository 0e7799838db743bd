"""`ledger init`, `ledger settings`: make a ledger where there is none; what holds for a namespace."""

from __future__ import annotations

from typing import Annotated

import typer

from ledger.cli import parse, render
from ledger.cli.customers import ProfileOptions
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
    *,
    profile: ProfileOptions,
) -> Shown:
    """Make the database and open the namespace. On a ledger that is there it changes only what is named."""
    from ledger import Policies

    bundles = {"standard": Policies.standard, "reference": Policies.reference}
    if policies is not None and policies not in bundles:
        raise typer.BadParameter(f"--policies is standard or reference, got {policies!r}")
    group = session.ledger.settings
    if policies is not None:
        group.change_policies(bundles[policies](), command_id=session.command_id)
    if profile.said():
        _change_profile(session, profile, part=":profile")
    return _shown(session)


@command(settings, "show")
def show(session: Session) -> Shown:
    """Show the policies, the default billing profile and the tax codes of the namespace."""
    return _shown(session)


@command(settings, "set", writes=True)
def set_(session: Session, *, profile: ProfileOptions) -> Shown:
    """Change the default billing profile; what is left out stays as it is."""
    _change_profile(session, profile)
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


def _change_profile(session: Session, profile: ProfileOptions, part: str = "") -> None:
    """Change the default profile; what is left out stays as it is, where the library replaces the whole.

    `part`: which part of its command line this is, where that sends more than one command under one id.
    """
    from ledger.commands import said_by

    group, command_id = session.ledger.settings, session.command_id
    group.change_default_profile(
        **said_by(group.get().profile) | profile.said(),
        command_id=f"{command_id}{part}" if command_id is not None else None,
    )


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
    values |= {"books closed until": state.closed_until} if state.closed_until is not None else {}
    return Shown(state, (render.facts("Ledger", values),))
