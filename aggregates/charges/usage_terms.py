"""Usage-based charges as proposed: all findings of an intent, and the layer it makes (lifecycles §2.2, §2.3)."""

from __future__ import annotations

from uuid import UUID

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
from aggregates.charges.intent import ChargeType, FeatureRef, Identity, Periods, UsageLayer
from aggregates.charges.proposal import Proposed
from aggregates.charges.requests import NewUsageCharge, UsageTerms
from aggregates.charges.state import Charge
from aggregates.rating.prices import Discounts, FlatPrice
from aggregates.rating.validation import validate_terms
from aggregates.values.errors import Findings


def proposed_usage(request: NewUsageCharge, facts: Facts, findings: Findings) -> Proposed | None:
    """The charge that the request proposes, or None with everything that is wrong noted."""
    required(request.customer, "customer", findings)
    known_currency(request.currency, findings)
    reference(request.unique_reference_id, "unique_reference_id", findings)
    subscription(request.subscription, findings)
    feature_ref(request.feature, findings)
    tax = tax_config(request.tax, facts.invoicing_tax, facts, findings)
    base = usage_layer(request.terms, facts, findings, _meter_named(request.feature, facts))
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
        charge_type=ChargeType.USAGE_BASED,
        identity=identity,
        base=base,
        resolved_cost_basis=resolved,
    )


def usage_layer(terms: UsageTerms, facts: Facts, findings: Findings, meter_id: UUID | None) -> UsageLayer | None:
    """The layer that the terms make, of a base or of an override; None with everything that is wrong noted.

    A price that looks at usage events needs a meter that can tell them apart (`price_needs_usage_events`). Without a
    meter there is another refusal, for the feature.
    """
    required(terms.name, "name", findings)
    periods = _periods(terms, findings)
    discounts = _with_correlation_ids(terms.discounts, facts)
    events_metered = meter_id is None or meter_id in facts.parted_meters
    validate_terms(findings, terms.price, discounts, terms.unit_config, events_metered=events_metered)
    if isinstance(terms.price, FlatPrice):
        findings.add("price", "price_flat_for_usage", "usage cannot have a flat price; make it a flat fee")
    if periods is None or findings.items or isinstance(terms.price, FlatPrice):
        return None
    return UsageLayer(
        name=terms.name,
        periods=periods,
        price=terms.price,
        discounts=discounts,
        unit_config=terms.unit_config,
        description=terms.description,
        metadata=terms.metadata,
    )


def meter_of(charge: Charge, facts: Facts) -> UUID | None:
    """The meter that the charge is resolved to, or that its feature names now; None where it names none."""
    if charge.resolved_feature is not None:
        return charge.resolved_feature.meter_id
    return _meter_named(charge.identity.feature, facts)


def _meter_named(ref: FeatureRef | None, facts: Facts) -> UUID | None:
    feature = facts.features.get(ref.name) if ref is not None else None
    return feature.meter_id if feature is not None else None


def _periods(terms: UsageTerms, findings: Findings) -> Periods | None:
    service = whole_period(terms.service_period, "service_period", findings)
    if service is not None and service.is_empty:
        findings.add("service_period", "period_empty", f"{service} has no second in which anything can be used")
    full = whole_period(terms.full_service_period or terms.service_period, "full_service_period", findings)
    billing = whole_period(terms.billing_period or terms.service_period, "billing_period", findings)
    invoice_at = whole_instant(terms.invoice_at or terms.service_period.to, "invoice_at", findings)
    if service is None or full is None or billing is None or invoice_at is None:
        return None
    return Periods(service_period=service, full_service_period=full, billing_period=billing, invoice_at=invoice_at)


def _with_correlation_ids(discounts: Discounts, facts: Facts) -> Discounts:
    """Discounts need an id that their lines can name; those that come without get one."""
    percentage, usage = discounts.percentage, discounts.usage
    if percentage is not None and not percentage.correlation_id:
        percentage = msgspec.structs.replace(percentage, correlation_id=str(facts.mint()))
    if usage is not None and not usage.correlation_id:
        usage = msgspec.structs.replace(usage, correlation_id=str(facts.mint()))
    return Discounts(percentage=percentage, usage=usage)
