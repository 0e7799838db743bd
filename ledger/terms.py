"""From validated input to requests: what a caller wrote, in the words of the aggregates."""

from __future__ import annotations

from typing import Any

import msgspec

from aggregates.charges.intent import FeatureRef, FlatFeeLayer, Layer, ProRating, TaxConfig, UsageLayer
from aggregates.charges.requests import (
    Bounds,
    FlatFeeTerms,
    NewFlatFee,
    NewUsageCharge,
    UsageTerms,
)
from aggregates.journal.chart import TaxBehavior
from aggregates.rating.prices import NO_DISCOUNTS
from aggregates.values.errors import Findings, PreconditionFailed
from aggregates.values.money import Currency
from aggregates.values.period import instant
from ledger.commands import BoundsInput, CreateFlatFee, CreateUsageCharge, SetOverrideInput


def usage_request(command: CreateUsageCharge, currency: Currency) -> NewUsageCharge:
    """The request for a usage charge."""
    return NewUsageCharge(
        customer=command.customer,
        currency=currency,
        settlement_mode=command.settlement_mode,
        feature=FeatureRef(key=command.feature),
        terms=UsageTerms(
            name=command.name,
            service_period=_bounds(command.service_period),
            full_service_period=_optional_bounds(command.full_service_period),
            billing_period=_optional_bounds(command.billing_period),
            invoice_at=command.invoice_at,
            price=command.price,
            discounts=command.discounts or NO_DISCOUNTS,
            unit_config=command.unit_config,
            description=command.description,
            metadata=command.metadata,
        ),
        managed_by=command.managed_by,
        tax=_tax(command.tax_code, command.tax_behavior),
        unique_reference_id=command.unique_reference_id,
        cost_basis=command.cost_basis,
        annotations=command.annotations,
    )


def fee_request(command: CreateFlatFee, currency: Currency) -> NewFlatFee:
    """The request for a flat fee."""
    return NewFlatFee(
        customer=command.customer,
        currency=currency,
        settlement_mode=command.settlement_mode,
        feature=FeatureRef(key=command.feature) if command.feature is not None else None,
        terms=FlatFeeTerms(
            name=command.name,
            service_period=_bounds(command.service_period),
            full_service_period=_optional_bounds(command.full_service_period),
            billing_period=_optional_bounds(command.billing_period),
            invoice_at=command.invoice_at,
            amount=command.amount,
            payment_term=command.payment_term.value,
            pro_rating=ProRating.PRORATE_PRICES.value if command.pro_rating else None,
            percentage_discount=command.percentage_discount,
            description=command.description,
            metadata=command.metadata,
        ),
        managed_by=command.managed_by,
        tax=_tax(command.tax_code, command.tax_behavior),
        unique_reference_id=command.unique_reference_id,
        cost_basis=command.cost_basis,
        annotations=command.annotations,
    )


USAGE_FIELDS = ("price", "discounts", "unit_config")
FEE_FIELDS = ("amount", "percentage_discount", "payment_term")
COMMON_FIELDS = ("invoice_at", "name", "description", "metadata")


def overridden(layer: Layer, command: SetOverrideInput) -> UsageTerms | FlatFeeTerms:
    """The terms that hold with the named fields replaced; a new service period takes the other two along.

    Raises `PreconditionFailed` for a purchase; `ValidationFailed` for a field that the charge's type does not have.
    """
    if isinstance(layer, UsageLayer):
        terms: UsageTerms | FlatFeeTerms = UsageTerms.of(layer)
        _refuse_fields(command, (*FEE_FIELDS, "pro_rating"), "a usage charge")
    elif isinstance(layer, FlatFeeLayer):
        terms = FlatFeeTerms.of(layer)
        _refuse_fields(command, USAGE_FIELDS, "a flat fee")
    else:
        raise PreconditionFailed("a credit purchase takes no override", command.charge)
    changes: dict[str, Any] = {
        name: value
        for name in (*COMMON_FIELDS, *USAGE_FIELDS, *FEE_FIELDS)
        if (value := getattr(command, name)) is not None
    }
    if command.pro_rating is not None:
        changes["pro_rating"] = ProRating.PRORATE_PRICES.value if command.pro_rating else None
    for name in ("service_period", "full_service_period", "billing_period"):
        bounds: BoundsInput | None = getattr(command, name)
        if bounds is not None:
            changes[name] = _bounds(bounds)
    return msgspec.structs.replace(terms, **changes)


def _refuse_fields(command: SetOverrideInput, names: tuple[str, ...], what: str) -> None:
    findings = Findings()
    for name in names:
        if getattr(command, name) is not None:
            findings.add(name, "not_allowed", f"{what} has no {name}")
    findings.raise_if_any()


def period_order(findings: Findings, from_: object, to: object) -> None:
    """Note a service period that ends before it begins, whatever else is wrong with the command."""
    try:
        begins, ends = instant(from_), instant(to)  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError):
        return  # what is no time has its own finding
    if ends < begins:
        message = f"a period cannot end ({ends.isoformat()}) before it begins ({begins.isoformat()})"
        findings.add("service_period", "period_backwards", message)


def _tax(code: str | None, behavior: TaxBehavior | None) -> TaxConfig | None:
    return TaxConfig(tax_code_id=code, behavior=behavior) if code or behavior else None


def _bounds(bounds: BoundsInput) -> Bounds:
    return Bounds(bounds.from_, bounds.to)


def _optional_bounds(bounds: BoundsInput | None) -> Bounds | None:
    return _bounds(bounds) if bounds is not None else None
