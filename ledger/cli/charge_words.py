"""How charges, grants and prices look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.cli import render
from ledger.cli.render import Column, Shown

PURCHASE = "credit_purchase"
FLAT_FEE = "flat_fee"
USAGE = "usage_based"


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
            **_payment(charge),
        }
    else:
        values |= _of_usage_or_fee(charge)
    if charge.intent.override is not None:
        values["override"] = "yes; these are its terms"
    if charge.failure is not None:
        values["stuck"] = f"{charge.failure.message} ({charge.failure.code})"
    return Shown(charge, (render.facts(layer.name, values),))


def _payment(charge: Any) -> dict[str, object]:
    """How far the payment of a sale is."""
    failed = charge.failed_payment
    if charge.payment_status is None:
        return {}
    words = charge.payment_status.value.replace("_", " ")
    if failed is None:
        return {"payment": words}
    said = f"{words}: {failed.detail}" if failed.detail else words
    return {"payment": said, "owed": render.money(failed.fiat_owed, failed.fiat_currency)}


def _of_usage_or_fee(charge: Any) -> dict[str, object]:
    layer, identity = charge.intent.effective, charge.intent.identity
    values: dict[str, object] = {
        "feature": identity.feature.name if identity.feature else None,
        "period": render.period(layer.service_period.from_, layer.service_period.to),
    }
    if charge.charge_type == FLAT_FEE:
        values |= {
            "amount": render.money(layer.amount_after_proration, identity.currency),
            "full amount": render.money(layer.amount_before_proration, identity.currency),
            "due": layer.payment_term,
            "discount": f"{layer.percentage_discount.percentage} %" if layer.percentage_discount else None,
        }
    else:
        values |= {"price": price_words(layer.price)}
    values |= {
        "currency": identity.currency,
        "settlement": identity.settlement_mode,
        "moves by itself": charge.advance_after or "no more",
    }
    if charge.gathering_line is not None:
        line = charge.gathering_line
        values["waits to be invoiced"] = (
            f"{render.period(line.period.from_, line.period.to)}, from {render.moment(line.invoice_at)}"
        )
    return values


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


STUCK_COLUMNS = ("charge", "customer", "status", "code", "since", Column("what would free it", words=True))
OVERLAP_COLUMNS = (
    "charge",
    "customer",
    "period",
    Column("billed", right=True),
    Column("and again", right=True),
    "run",
)


def stuck_rows(found: Sequence[Any]) -> list[Any]:
    """A row per stuck charge."""
    return [(s.charge, s.customer, s.status, s.code, s.since, s.remedy) for s in found]


def overlap_rows(found: Sequence[Any]) -> list[Any]:
    """A row per period that was billed twice."""
    return [
        (
            each.charge,
            each.customer,
            render.period(each.period.from_, each.period.to),
            render.money(each.amount, each.currency),
            render.money(each.amount_again, each.currency),
            each.run_again,
        )
        for each in found
    ]


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
