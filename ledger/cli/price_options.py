"""How a price of usage is written on a command line: the options of it, and what they come to."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ledger.cli import parse
from ledger.cli.shared import Shared

PercentOff = Annotated[str | None, typer.Option(metavar="PERCENT", help="So much off every line.")]
UnitConfig = Annotated[str | None, typer.Option(metavar="JSON", help="How metered units become billed ones, as JSON.")]


class PriceOptions(Shared, frozen=True, kw_only=True):
    """The ways to write a price, of which one is used, and what is charged at least and at most."""

    unit: Annotated[str | None, typer.Option(metavar="AMOUNT", help="An amount per unit: 0.000003.")] = None
    graduated: Annotated[
        str | None,
        typer.Option(
            metavar="STEPS", help="Each unit at the amount of its step: 1000000:0.000015,3000000:0.000012,:0.00001."
        ),
    ] = None
    volume: Annotated[
        str | None, typer.Option(metavar="STEPS", help="All units at the amount of the last step reached.")
    ] = None
    package: Annotated[
        str | None, typer.Option(metavar="AMOUNT:SIZE", help="An amount per started package: 1.00:1000.")
    ] = None
    dynamic: Annotated[str | None, typer.Option(metavar="FACTOR", help="A mark-up on metered cost: 1.2.")] = None
    price: Annotated[str | None, typer.Option(metavar="JSON", help="Any price, as JSON.")] = None
    minimum: Annotated[str | None, typer.Option(metavar="AMOUNT", help="What is charged at least.")] = None
    maximum: Annotated[str | None, typer.Option(metavar="AMOUNT", help="What is charged at most.")] = None

    def written(self, *, required: bool = True) -> dict[str, Any] | None:
        """The one price among the ways to write it, as the ledger takes it; None where none has to be there."""
        ways = {
            "--unit": self.unit,
            "--graduated": self.graduated,
            "--volume": self.volume,
            "--package": self.package,
            "--dynamic": self.dynamic,
            "--price": self.price,
        }
        return parse.price(ways, minimum=self.minimum, maximum=self.maximum, required=required)


class DiscountOptions(Shared, frozen=True, kw_only=True):
    """What is taken off usage."""

    percent_off: PercentOff = None
    free_units: Annotated[str | None, typer.Option(metavar="UNITS", help="So many units are free.")] = None

    def written(self) -> dict[str, Any] | None:
        """Discounts of usage, as the ledger takes them; None where there are none."""
        usage = {"usage": {"quantity": self.free_units}} if self.free_units is not None else {}
        return percentage("percentage", self.percent_off) | usage or None


def percentage(name: str, percent_off: str | None) -> dict[str, Any]:
    """A discount in per cent under the name that the ledger has for it here; nothing where there is none."""
    return {name: {"percentage": percent_off}} if percent_off is not None else {}
