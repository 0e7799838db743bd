"""`ledger charge`: what customers are charged for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, cast

import typer

from ledger.cli import parse, render
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

app = typer.Typer()

PURCHASE = "credit_purchase"

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's key.")]
ChargeId = Annotated[str, typer.Argument(metavar="CHARGE", help="The charge's id.")]
Version = Annotated[int | None, typer.Option(metavar="N", help="Refuse if the intent is not at this version any more.")]
Moment = Annotated[str | None, typer.Option(metavar="TIME")]

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


@command(app, "create", writes=True)
def create(
    session: Session,
    customer: Customer,
    *,
    feature: Annotated[str, typer.Option(help="Key of the feature whose usage is charged.")],
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="Start of the service period.")],
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="Its end, exclusive.")],
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
    unit_config: UnitConfig = None,
    currency: Annotated[str, typer.Option(help="Of the price.")] = "USD",
    settlement_mode: Annotated[str, typer.Option(help="credit_only or credit_then_invoice.")] = "credit_only",
    name: Annotated[str | None, typer.Option(help="For people; the feature if left out.")] = None,
    reference: Annotated[
        str | None, typer.Option(help="Your reference: one live charge of the customer has it.")
    ] = None,
) -> Shown:
    """Charge a customer for usage of a feature over a period."""
    made = session.ledger.charges.create_usage(
        customer,
        feature=feature,
        price=_price_of(
            unit=unit,
            graduated=graduated,
            volume=volume,
            package=package,
            dynamic=dynamic,
            price=price,
            minimum=minimum,
            maximum=maximum,
        ),
        period_from=from_,
        period_to=to,
        currency=currency,
        settlement_mode=settlement_mode,
        name=name,
        discounts=_discounts(percent_off, free_units),
        unit_config=parse.json_object(unit_config, "--unit-config"),
        unique_reference_id=reference,
        command_id=session.command_id,
    )
    return show_charge(made)


@command(app, "show")
def show(session: Session, charge: ChargeId) -> Shown:
    """Show a charge as it stands."""
    return show_charge(session.ledger.charges.get(charge))


@command(app, "list")
def list_(
    session: Session,
    customer: Annotated[str | None, typer.Argument(metavar="CUSTOMER", help="Of this customer alone.")] = None,
    *,
    status: Annotated[str | None, typer.Option(help="In this status, or one that begins so: active.")] = None,
    due_by: Annotated[str | None, typer.Option(metavar="TIME", help="Moving by themselves by this time.")] = None,
    failing: Annotated[bool, typer.Option("--failing", help="Only those that could not move.")] = False,
) -> Shown:
    """List charges for usage, in order of creation; `ledger credit list` has the grants."""
    if customer is not None:
        session.ledger.customers.get(customer)
    views = session.ledger.views
    found = [
        charge
        for charge in render.all_pages(
            lambda after: views.charges(
                customer, status=status, due_by=parse.moment(due_by, "--due-by"), failing=failing, after=after
            )
        )
        if charge.charge_type != PURCHASE
    ]
    columns = (
        "charge",
        "customer",
        Column("name", words=True),
        "status",
        "period",
        Column("amount", right=True),
        "stuck",
    )
    rows = [
        (
            c.charge,
            c.customer,
            c.name,
            c.status,
            render.period(c.service_period.from_, c.service_period.to),
            render.money(c.totals.amount, c.currency),
            c.failure["code"] if c.failure else None,
        )
        for c in found
    ]
    return Shown(found, (render.table(columns, rows, empty="No charges."),))


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
    intent_version: Version = None,
) -> Shown:
    """Lay other terms over a charge, for its whole period; with --dry-run see the difference first."""
    changed = session.ledger.charges.set_override(
        charge,
        price=_price_of(
            unit=unit,
            graduated=graduated,
            volume=volume,
            package=package,
            dynamic=dynamic,
            price=price,
            minimum=minimum,
            maximum=maximum,
            required=False,
        ),
        discounts=_discounts(percent_off, free_units),
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
    intent_version: Version = None,
) -> Shown:
    """Delete a charge. Its history stays."""
    changed = session.ledger.charges.delete(
        charge, credit_refund=cast("Any", refund), intent_version=intent_version, command_id=session.command_id
    )
    return show_charge(changed)


# ── how charges look ─────────────────────────────────────────────────────────────────────────────────────────


def show_charge(charge: Any) -> Shown:
    """One charge of any type."""
    layer, identity = charge.intent.effective, charge.intent.identity
    values: dict[str, object] = {
        "id": charge.id,
        "customer": charge.customer,
        "type": charge.charge_type,
        "status": charge.status,
    }
    if charge.charge_type == PURCHASE:
        values |= {
            "amount": render.money(layer.credit_amount, identity.currency),
            "priority": layer.priority,
            "effective": layer.effective_at or layer.service_period.from_,
            "expires": layer.expires_at or "never",
            "pays for": layer.feature_filters or "everything",
        }
    else:
        values |= {
            "feature": identity.feature.name if identity.feature else None,
            "period": render.period(layer.service_period.from_, layer.service_period.to),
            "price": price_words(layer.price),
            "currency": identity.currency,
            "settlement": identity.settlement_mode,
            "moves by itself": charge.advance_after or "no more",
        }
    if charge.intent.override is not None:
        values["override"] = "yes; these are its terms"
    if charge.failure is not None:
        values["stuck"] = f"{charge.failure.message} ({charge.failure.code})"
    return Shown(charge, (render.facts(layer.name, values),))


def show_purchases(found: Sequence[Any], *, empty: str) -> Shown:
    """Several grants and sales."""
    columns = (
        "grant or sale",
        Column("name", words=True),
        "status",
        Column("credit", right=True),
        Column("used as no.", right=True),
        "from",
        "expires",
        "pays for",
    )
    rows = [
        (
            c.id,
            c.intent.effective.name,
            c.status,
            render.money(c.intent.effective.credit_amount, c.currency),
            c.intent.effective.priority,
            c.intent.effective.effective_at or c.intent.effective.service_period.from_,
            c.intent.effective.expires_at or "never",
            c.intent.effective.feature_filters or "everything",
        )
        for c in found
    ]
    return Shown(found, (render.table(columns, rows, empty=empty),))


def price_words(given: Any) -> str:
    """A price as people read it."""
    price: dict[str, Any] = render.plain_data(given)
    match price["type"]:
        case "flat":
            return f"{price['amount']} for the period"
        case "unit":
            words = f"{price['amount']} a unit"
        case "package":
            words = f"{price['amount']} per started {price['quantity_per_package']}"
        case "dynamic":
            words = f"cost times {price['multiplier']}"
        case "percentage":
            words = _percentage_words(price)
        case "matrix":
            cells = [f"{cell['value']} at {cell['unit_price']}" for cell in price["cells"]]
            words = f"a unit by {price['property_name']}: {', '.join(cells)}, else at {price['fallback']}"
        case "tiered_package":
            tiers = ", ".join(_tier_words(tier, "a package") for tier in price["tiers"])
            words = f"packages of {price['quantity_per_package']}: {tiers}"
        case "graduated_percentage":
            words = f"of the value: {', '.join(_tier_words(tier, '%') for tier in price['tiers'])}"
        case _:
            words = f"{price['mode']}: {', '.join(_tier_words(tier) for tier in price['tiers'])}"
    commitments = [f"at {end} {price[f'{name}_amount']}" for end, name in _ENDS if price[f"{name}_amount"] is not None]
    return ", ".join([words, *commitments])


def _percentage_words(price: dict[str, Any]) -> str:
    parts = [f"{price['percentage']} % of the value"]
    parts += [f"{how}{price[name]} an event" for name, how in _PER_EVENT if price[name] is not None]
    parts += [f"free events: {price['free_events']}"] if price["free_events"] else []
    return ", ".join(parts)


_PER_EVENT = (
    ("fixed_fee", ""),
    ("minimum_per_event", "at least "),
    ("maximum_per_event", "at most "),
)


def _tier_words(tier: dict[str, Any], each: str = "a unit") -> str:
    where = f"to {tier['up_to_amount']}" if tier["up_to_amount"] is not None else "above"
    amounts = [(tier.get("unit_price", tier.get("percentage")), each), (tier["flat_price"], "flat")]
    return f"{where} {' and '.join(f'{amount} {what}' for amount, what in amounts if amount is not None)}"


_ENDS = (("least", "minimum"), ("most", "maximum"))


# ── what was typed ───────────────────────────────────────────────────────────────────────────────────────────


def _price_of(
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
    ways = {
        "--unit": unit,
        "--graduated": graduated,
        "--volume": volume,
        "--package": package,
        "--dynamic": dynamic,
        "--price": price,
    }
    return parse.price(ways, minimum=minimum, maximum=maximum, required=required)


def _discounts(percent_off: str | None, free_units: str | None) -> dict[str, Any] | None:
    out: dict[str, Any] = {}
    if percent_off is not None:
        out["percentage"] = {"percentage": percent_off}
    if free_units is not None:
        out["usage"] = {"quantity": free_units}
    return out or None
