"""`ledger init`: make a ledger where there is none, or change what holds for a namespace."""

from __future__ import annotations

from typing import Annotated

import typer

from ledger.cli import render
from ledger.cli.render import Shown
from ledger.cli.session import Session, command

app = typer.Typer()


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
    settings = session.ledger.settings
    if policies is not None:
        settings.change_policies(bundles[policies](), command_id=session.command_id)
    if collection_interval is not None or zone is not None:
        said = {"collection_interval": collection_interval, "zone": zone}
        changed = {name: value for name, value in said.items() if value is not None}
        settings.change_default_profile(**said_by(settings.get().profile) | changed, command_id=session.command_id)
    return _shown(session)


@command(app, "settings")
def show(session: Session) -> Shown:
    """Show the policies and the default billing profile of the namespace."""
    return _shown(session)


def _shown(session: Session) -> Shown:
    state = session.ledger.settings.get()
    profile = state.profile
    values: dict[str, object] = {"database": session.options.db, "namespace": session.options.namespace}
    values |= {"collection interval": profile.collection_interval or "P2D", "zone": profile.zone or "UTC"}
    values |= {name.replace("_", " "): value for name, value in render.plain_data(state.policies).items()}
    return Shown(state, (render.facts("Ledger", values),))
