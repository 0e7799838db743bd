"""How a price is written on a command line: the options of it, and what they come to."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ledger.cli import parse

Unit = Annotated[str | None, typer.Option(metavar="AMOUNT", help="An amount per unit: 0.000003.")]
Graduated = Annotated[
    str | None,
    typer.Option(
        metavar="STEPS", help="Each unit at the amount of its step: 1000000:0.000015,3000000:0.000012,:0.00001."
    ),
]
Volume = Annotated[str | None, typer.Option(metavar="STEPS", help="All units at the amount of the last step reached.")]
Package = Annotated[str | None, typer.Option(metavar="AMOUNT:SIZE", help="An amount per started package: 1.00:1000.")]
Dynamic = Annotated[str | None, typer.Option(metavar="FACTOR", help="A mark-up on metered cost: 1.2.")]
AnyPrice = Annotated[str | None, typer.Option("--price", metavar="JSON", help="Any price, as JSON.")]
Minimum = Annotated[str | None, typer.Option(metavar="AMOUNT", help="What is charged at least.")]
Maximum = Annotated[str | None, typer.Option(metavar="AMOUNT", help="What is charged at most.")]
PercentOff = Annotated[str | None, typer.Option(metavar="PERCENT", help="So much off every line.")]
FreeUnits = Annotated[str | None, typer.Option(metavar="UNITS", help="So many units are free.")]
UnitConfig = Annotated[str | None, typer.Option(metavar="JSON", help="How metered units become billed ones, as JSON.")]


def price_of(
    *,
    unit: str | None,
    graduated: str | None,
    volume: str | None,
    package: str | None,
    dynamic: str | None,
    price: str | None,
    minimum: str | None,
    maximum: str | None,
    required: bool = True,
) -> dict[str, Any] | None:
    """The one price among the ways to write it, as the ledger takes it."""
    ways = {
        "--unit": unit,
        "--graduated": graduated,
        "--volume": volume,
        "--package": package,
        "--dynamic": dynamic,
        "--price": price,
    }
    return parse.price(ways, minimum=minimum, maximum=maximum, required=required)


def discounts(percent_off: str | None, free_units: str | None) -> dict[str, Any] | None:
    """Discounts of usage, as the ledger takes them; None where there are none."""
    out: dict[str, Any] = {}
    if percent_off is not None:
        out["percentage"] = {"percentage": percent_off}
    if free_units is not None:
        out["usage"] = {"quantity": free_units}
    return out or None
