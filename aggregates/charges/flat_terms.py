"""Flat fees as proposed: all findings of an intent, and the layer it makes (lifecycles §2.2, §2.3)."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from aggregates.charges.cost_basis import charge_cost_basis
from aggregates.charges.facts import Facts
from aggregates.charges.fields import (
    feature_ref,
    known_currency,
    reference,
    required,
    subscription,
    tax_config,
    whole_instant,
    whole_period,
)
from aggregates.charges.intent import ChargeType, FlatFeeLayer, Identity, PaymentTerm, Periods, ProRating
from aggregates.charges.proposal import Proposed
from aggregates.charges.requests import FlatFeeTerms, NewFlatFee
from aggregates.rating.prices import Discounts, PercentageDiscount
from aggregates.rating.proration import prorated
from aggregates.rating.validation import validate_discounts
from aggregates.values.decimals import LIMIT, text
from aggregates.values.errors import Findings
from aggregates.values.money import Currency


def proposed_flat_fee(request: NewFlatFee, facts: Facts, findings: Findings) -> Proposed | None:
    """The flat fee that the request proposes, or None with everything that is wrong noted."""
    required(request.customer, "customer", findings)
    known_currency(request.currency, findings)
    reference(request.unique_reference_id, "unique_reference_id", findings)
    subscription(request.subscription, findings)
    if request.feature is not None:
        feature_ref(request.feature, findings)
    tax = tax_config(request.tax, facts.invoicing_tax, facts, findings)
    base = flat_fee_layer(request.terms, request.currency, facts, findings)
    resolved = charge_cost_basis(request, base, facts, findings)
    if base is None or findings.items:
        return None
    identity = Identity(
        managed_by=request.managed_by,
        currency=request.currency,
        settlement_mode=request.settlement_mode,
        feature=request.feature,
        tax=tax,
        unique_reference_id=request.unique_reference_id,
        subscription=request.subscription,
        cost_basis=request.cost_basis,
        annotations=request.annotations,
    )
    return Proposed(
        customer=request.customer,
        charge_type=ChargeType.FLAT_FEE,
        identity=identity,
        base=base,
        resolved_cost_basis=resolved,
    )


def flat_fee_layer(terms: FlatFeeTerms, currency: Currency, facts: Facts, findings: Findings) -> FlatFeeLayer | None:
    """The layer that the terms make, of a base or of an override; None with everything that is wrong noted."""
    required(terms.name, "name", findings)
    if terms.payment_term not in set(PaymentTerm):
        findings.add("payment_term", "unknown", f"{terms.payment_term!r} is neither in_advance nor in_arrears")
    if terms.pro_rating is not None and terms.pro_rating not in set(ProRating):
        findings.add("pro_rating", "unknown", f"{terms.pro_rating!r} is no way of pro-rating; there is prorate_prices")
    amount = _amount(terms.amount, currency, findings)
    discount = _with_correlation_id(terms.percentage_discount, facts)
    if discount is not None:
        validate_discounts(Discounts(percentage=discount), None, findings)
        if not discount.percentage.is_finite():
            findings.add("percentage_discount", "number_out_of_range", f"{discount.percentage} is not a number")
    periods = _periods(terms, findings)
    if amount is None or periods is None or findings.items:
        return None
    layer = FlatFeeLayer(
        name=terms.name,
        periods=periods,
        payment_term=PaymentTerm(terms.payment_term),
        amount_before_proration=amount,
        amount_after_proration=amount,
        percentage_discount=discount,
        pro_rating=ProRating(terms.pro_rating) if terms.pro_rating is not None else None,
        description=terms.description,
        metadata=terms.metadata,
    )
    return msgspec.structs.replace(layer, amount_after_proration=amount_for(layer, periods, currency))


def amount_for(layer: FlatFeeLayer, periods: Periods, currency: Currency) -> Decimal:
    """What the fee comes to over these periods: 120 USD for 31 of 59 days is 63.05, and never more than 120."""
    if layer.pro_rating is None:
        return layer.amount_before_proration
    return prorated(layer.amount_before_proration, periods.service_period, periods.full_service_period, currency)


def _amount(amount: Decimal, currency: Currency, findings: Findings) -> Decimal | None:
    if not amount.is_finite() or abs(amount) >= LIMIT:
        findings.add("amount", "number_out_of_range", f"{amount} is not a number below 10^24")
        return None
    if amount < 0:
        findings.add("amount", "negative", f"a fee is not below zero, got {text(amount)}")
        return None
    return currency.rounded(amount)


def _periods(terms: FlatFeeTerms, findings: Findings) -> Periods | None:
    service = whole_period(terms.service_period, "service_period", findings)
    full = whole_period(terms.full_service_period or terms.service_period, "full_service_period", findings)
    billing = whole_period(terms.billing_period or terms.service_period, "billing_period", findings)
    in_arrears = terms.payment_term == PaymentTerm.IN_ARREARS
    due = terms.service_period.to if in_arrears else terms.service_period.from_
    invoice_at = whole_instant(terms.invoice_at or due, "invoice_at", findings)
    if service is None or full is None or billing is None or invoice_at is None:
        return None
    return Periods(service_period=service, full_service_period=full, billing_period=billing, invoice_at=invoice_at)


def _with_correlation_id(discount: PercentageDiscount | None, facts: Facts) -> PercentageDiscount | None:
    """A discount needs an id that its line can name; one that comes without gets one."""
    if discount is None or discount.correlation_id:
        return discount
    return msgspec.structs.replace(discount, correlation_id=str(facts.mint()))
