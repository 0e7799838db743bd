"""The terms of a charge on a command line: the options that creations, overrides and lines by hand share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ledger.cli import parse
from ledger.cli.shared import Shared

Metadata = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="A word of yours that stays with it; may be repeated.")
]
Description = Annotated[str | None, typer.Option(help="More about it, for people.")]
From = Annotated[str, typer.Option("--from", metavar="TIME", help="Start of the service period.")]
To = Annotated[str, typer.Option("--to", metavar="TIME", help="Its end, exclusive.")]
FeeFeature = Annotated[str | None, typer.Option(help="Only credit that pays for this feature covers it.")]


class PeriodOptions(Shared, frozen=True, kw_only=True):
    """The periods of a charge besides its service period; each is the service period where it is left out."""

    full_from: Annotated[
        str | None, typer.Option(metavar="TIME", help="Start of the full period, which a fee is pro-rated by.")
    ] = None
    full_to: Annotated[str | None, typer.Option(metavar="TIME", help="Its end, exclusive.")] = None
    billing_from: Annotated[str | None, typer.Option(metavar="TIME", help="Start of the billing period.")] = None
    billing_to: Annotated[str | None, typer.Option(metavar="TIME", help="Its end, exclusive.")] = None
    invoice_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="From when on it can be invoiced; as its terms say if left out.")
    ] = None

    def terms(self, from_: str | None, to: str | None) -> dict[str, Any]:
        """The periods as the ledger takes them; an end that is left out is that of the service period."""
        full = (self.full_from or from_, self.full_to or to) if self.full_from or self.full_to else (None, None)
        billing = (
            (self.billing_from or from_, self.billing_to or to)
            if self.billing_from or self.billing_to
            else (None, None)
        )
        out = bounds("full_service_period", "--full-from", *full)
        out |= bounds("billing_period", "--billing-from", *billing)
        return out | ({"invoice_at": self.invoice_at} if self.invoice_at is not None else {})


class TermOptions(Shared, frozen=True, kw_only=True):
    """What is said of every charge."""

    description: Description = None
    metadata: Metadata = None
    annotations: Annotated[
        list[str] | None,
        typer.Option("--annotation", metavar="NAME=VALUE", help="A word for programs that stays as it is; repeatable."),
    ] = None
    tax_code: Annotated[str | None, typer.Option(help="Its tax code, one of `ledger settings tax`.")] = None
    tax_behavior: Annotated[
        str | None, typer.Option(metavar="HOW", help="Whether the price has tax in it: inclusive or exclusive.")
    ] = None
    reference: Annotated[str | None, typer.Option(help="Your reference: one live charge of the customer has it.")] = (
        None
    )

    def terms(self) -> dict[str, Any]:
        """The same by the names that the ledger has for them."""
        out = self.said()
        if "reference" in out:
            out["unique_reference_id"] = out.pop("reference")
        out |= paired("metadata", "--metadata", self.metadata)
        return out | paired("annotations", "--annotation", self.annotations)


class SettlementOptions(Shared, frozen=True, kw_only=True):
    """In what a charge is counted, and how it is paid; a line by hand has both from its invoice."""

    currency: Annotated[str, typer.Option(help="Of the price; a custom one needs a rate where it is invoiced.")] = "USD"
    settlement: Annotated[
        str,
        typer.Option(
            "--settlement",
            "--settlement-mode",
            metavar="MODE",
            help="credit_only, or credit_then_invoice (invoice for short): what credit does not cover is invoiced.",
        ),
    ] = "credit_only"
    managed_by: Annotated[
        str | None,
        typer.Option(metavar="WHO", help="Who looks after it: subscription (if left out), system or manual."),
    ] = None
    fiat_currency: Annotated[str | None, typer.Option(help="For a custom currency: the one that is invoiced.")] = None
    cost_basis: Annotated[
        str | None,
        typer.Option(metavar="RATE", help="For a custom currency: a unit in fiat; the rate of the day if left out."),
    ] = None
    cost_basis_id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="For a custom currency: one rate, by its id in `ledger currency rates`."),
    ] = None

    def terms(self) -> dict[str, Any]:
        """The same by the names that the ledger has for them."""
        out = {"currency": self.currency, "settlement_mode": settlement_mode(self.settlement)}
        out |= {"managed_by": self.managed_by} if self.managed_by is not None else {}
        basis = self._cost_basis()
        return out | ({"cost_basis": basis} if basis is not None else {})

    def _cost_basis(self) -> dict[str, Any] | None:
        """The cost basis of a custom currency: a rate by hand, one of the table, or the one of the day."""
        fiat = {"fiat_currency": self.fiat_currency or "USD"}
        if self.cost_basis is not None and self.cost_basis_id is not None:
            raise typer.BadParameter("--cost-basis and --cost-basis-id exclude each other")
        if self.cost_basis_id is not None:
            return {"mode": "pinned", **fiat, "currency_cost_basis_id": self.cost_basis_id}
        if self.cost_basis is not None:
            return {"mode": "manual", **fiat, "rate": self.cost_basis}
        return {"mode": "dynamic", **fiat} if self.fiat_currency is not None else None


class FeeOptions(Shared, frozen=True, kw_only=True):
    """What only a flat fee has."""

    pro_rate: Annotated[
        bool | None,
        typer.Option(
            "--pro-rate/--no-pro-rate", help="Charge the part that the service period is of the full one; or all of it."
        ),
    ] = None
    in_arrears: Annotated[
        bool | None,
        typer.Option("--in-arrears/--in-advance", help="Due at the end of the period, or at its start (if left out)."),
    ] = None

    def terms(self) -> dict[str, Any]:
        """The same by the names that the ledger has for them."""
        out: dict[str, Any] = {"pro_rating": self.pro_rate} if self.pro_rate is not None else {}
        if self.in_arrears is not None:
            out["payment_term"] = "in_arrears" if self.in_arrears else "in_advance"
        return out


def settlement_mode(said: str) -> str:
    """How a charge is settled; `invoice` is short for what the lifecycles call `credit_then_invoice`."""
    return "credit_then_invoice" if said == "invoice" else said


def bounds(name: str, option: str, from_: str | None, to: str | None) -> dict[str, Any]:
    """A period under its name, nothing where it is left out; both of its ends are known, or none."""
    if (from_ is None) != (to is None):
        raise typer.BadParameter(f"{option} and {option.replace('from', 'to')} go together")
    return {name: {"from_": from_, "to": to}} if from_ is not None else {}


def paired(name: str, option: str, said: list[str] | None) -> dict[str, Any]:
    """`NAME=VALUE`s under their name; nothing where none was said."""
    return {name: parse.pairs(said, option)} if said else {}
