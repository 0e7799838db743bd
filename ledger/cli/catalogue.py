"""`ledger meter`, `ledger feature`, `ledger currency`: what can be metered, sold and counted in."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli import render
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

if TYPE_CHECKING:
    from ledger.catalogue_lists import CurrencyView

meters = typer.Typer()
features = typer.Typer()
currencies = typer.Typer()

MeterKey = Annotated[str, typer.Argument(metavar="METER", help="The meter's key.")]
FeatureKey = Annotated[str, typer.Argument(metavar="FEATURE", help="The feature's key.")]
Code = Annotated[str, typer.Argument(metavar="CODE", help="The currency's code.")]


@command(meters, "define", writes=True)
def define_meter(
    session: Session,
    meter: MeterKey,
    aggregation: Annotated[str, typer.Option(help="sum, count, max, min, latest or unique_count.")] = "sum",
    decimals: Annotated[int, typer.Option(help="Decimals its values may have; more are refused.")] = 0,
    property: Annotated[str | None, typer.Option(help="For unique_count: the event property to count.")] = None,
) -> Shown:
    """Define a meter. Definitions never change; the same one again changes nothing."""
    made = session.ledger.catalogue.define_meter(
        meter, aggregation, decimals=decimals, property=property, command_id=session.command_id
    )
    return _meter(made)


@command(meters, "list")
def list_meters(session: Session) -> Shown:
    """List all meters."""
    found = list(render.all_pages(lambda after: session.ledger.catalogue.meters(after=after)))
    columns = ("meter", "aggregation", Column("decimals", right=True), "property", "since", "id")
    rows = [(each.key, each.aggregation, each.decimals, each.property, each.since, each.id) for each in found]
    return Shown(found, (render.table(columns, rows, empty="No meters yet; `ledger meter define` makes one."),))


@command(meters, "show")
def show_meter(session: Session, meter: MeterKey) -> Shown:
    """Show the meter that a key names today."""
    return _meter(session.ledger.catalogue.meter(meter))


@command(features, "define", writes=True)
def define_feature(
    session: Session,
    feature: FeatureKey,
    name: Annotated[str | None, typer.Option(help="For people; the key if left out.")] = None,
    meter: Annotated[str | None, typer.Option(help="Key of the meter that measures its usage.")] = None,
) -> Shown:
    """Define a feature. With another meter the key names a new one, and active charges keep theirs."""
    made = session.ledger.catalogue.define_feature(feature, name=name, meter=meter, command_id=session.command_id)
    return _feature(made)


@command(features, "list")
def list_features(
    session: Session,
    *,
    replaced: Annotated[
        bool, typer.Option("--replaced", help="Those too that a key named before; charges may still have them.")
    ] = False,
) -> Shown:
    """List all features, with the meters that measure their usage."""
    found = list(render.all_pages(lambda after: session.ledger.catalogue.features(replaced=replaced, after=after)))
    columns = ("feature", Column("name", words=True), "meter", "since", *(("replaced",) if replaced else ()), "id")
    rows = [
        (each.key, each.name, each.meter, each.since, *((each.replaced_at,) if replaced else ()), each.id)
        for each in found
    ]
    return Shown(found, (render.table(columns, rows, empty="No features yet; `ledger feature define` makes one."),))


@command(features, "show")
def show_feature(session: Session, feature: FeatureKey) -> Shown:
    """Show the feature that a key names today."""
    return _feature(session.ledger.catalogue.feature(feature))


@command(currencies, "define", writes=True)
def define_currency(
    session: Session,
    code: Code,
    precision: Annotated[int, typer.Option(help="Decimals that amounts of it have.")],
) -> Shown:
    """Define a custom currency, such as credits or tokens."""
    made = session.ledger.catalogue.define_currency(code, precision=precision, command_id=session.command_id)
    return _currency(made)


@command(currencies, "rate", writes=True)
def rate(
    session: Session,
    code: Code,
    rate: Annotated[str, typer.Argument(metavar="RATE", help="What a unit of it is worth in fiat: 0.01.")],
    *,
    fiat_currency: Annotated[str, typer.Option(help="In which fiat currency.")] = "USD",
    effective_from: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From when on; from now on if left out.")
    ] = None,
) -> Shown:
    """Enter what a unit of a custom currency is worth in fiat from a time on."""
    entered = session.ledger.catalogue.define_cost_basis(
        code,
        rate=rate,
        fiat_currency=fiat_currency,
        effective_from=effective_from or session.ledger.clock.now(),
        command_id=session.command_id,
    )
    values = {"rate": entered.rate, "in": entered.fiat_currency, "from": entered.effective_from, "id": entered.id}
    return Shown(entered, (render.facts(f"1 {code}", values),))


@command(currencies, "rates")
def rates(session: Session, code: Code) -> Shown:
    """List what a unit of a custom currency is worth in fiat, by the time from which each rate holds."""
    found = session.ledger.catalogue.cost_bases(code)
    columns = ("in", Column("rate", right=True), "from", "id")
    rows = [(each.fiat_currency, each.rate, each.effective_from, each.id) for each in found]
    return Shown(found, (render.table(columns, rows, empty=f"{code} has no rates."),))


@command(currencies, "list")
def list_currencies(session: Session) -> Shown:
    """List the custom currencies, with the rates that hold now."""
    found = list(render.all_pages(lambda after: session.ledger.catalogue.currencies(after=after)))
    now = session.ledger.clock.now()
    columns = ("currency", Column("precision", right=True), "rates now", "since", "id")
    rows = [(each.code, each.precision, _in_force(each, now), each.since, each.id) for each in found]
    return Shown(
        found, (render.table(columns, rows, empty="No currencies of one's own; `ledger currency define` makes one."),)
    )


@command(currencies, "show")
def show_currency(session: Session, code: Code) -> Shown:
    """Show a currency, of ISO 4217 or of one's own."""
    return _currency(session.ledger.catalogue.currency(code))


def _meter(meter: Any) -> Shown:
    values = {
        "aggregation": meter.aggregation,
        "decimals": meter.decimals,
        "property": meter.property,
        "id": meter.id,
    }
    return Shown(meter, (render.facts(meter.key, values),))


def _feature(feature: Any) -> Shown:
    values = {"name": feature.name, "meter": feature.meter_id, "id": feature.id}
    return Shown(feature, (render.facts(feature.key, values),))


def _currency(currency: Any) -> Shown:
    values = {"precision": currency.precision, "kind": "custom" if currency.is_custom else "fiat", "id": currency.id}
    return Shown(currency, (render.facts(currency.code, values),))


def _in_force(currency: CurrencyView, now: datetime) -> dict[str, Decimal]:
    """The rate of each fiat currency that has begun last by now (lifecycles §12.1); rates are in that order."""
    return {rate.fiat_currency.code: rate.rate for rate in currency.rates if rate.effective_from <= now}
