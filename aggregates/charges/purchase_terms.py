"""Credit purchases as proposed: every finding of an intent at once, and the layer it makes (lifecycles §2.3, §12.1)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from aggregates.charges.cost_basis import purchase_cost_basis, validate_cost_basis
from aggregates.charges.facts import Facts
from aggregates.charges.fields import (
    known_currency,
    optional_instant,
    reference,
    required,
    tax_config,
    whole_period,
)
from aggregates.charges.intent import (
    Availability,
    ChargeType,
    External,
    Identity,
    InitialStatus,
    InvoiceSettlement,
    Periods,
    Promotional,
    PurchaseLayer,
    Settlement,
)
from aggregates.charges.proposal import Proposed
from aggregates.charges.requests import NewPurchase, RequestedSettlement
from aggregates.values.decimals import LIMIT, text
from aggregates.values.errors import Findings
from aggregates.values.money import Currency, Money
from aggregates.values.period import Instant, Period


def proposed_purchase(request: NewPurchase, facts: Facts, findings: Findings) -> Proposed | None:
    """The purchase that the request proposes, or None with everything that is wrong noted."""
    required(request.customer, "customer", findings)
    required(request.name, "name", findings)
    known_currency(request.currency, findings)
    reference(request.unique_reference_id, "unique_reference_id", findings)
    reference(request.key, "key", findings)
    tax = tax_config(request.tax, facts.credit_grant_tax, facts, findings)
    amount = _credit_amount(request.credit_amount, request.currency, findings)
    effective_at = optional_instant(request.effective_at, "effective_at", findings)
    expires_at = optional_instant(request.expires_at, "expires_at", findings)
    if request.priority is not None and request.priority < 1:
        findings.add("priority", "out_of_range", f"the priority must be 1 or more, got {request.priority}")
    _feature_filters(request.feature_filters, findings)
    periods = _purchase_periods(request, effective_at, facts, findings)
    if expires_at is not None and periods is not None:
        _expiry(expires_at, periods.service_period.from_, facts.now, findings)
    settlement = _settlement(request.settlement, request.currency, findings)
    if amount is None or periods is None or settlement is None:
        return None
    resolved = None
    if not isinstance(settlement, Promotional):
        resolved = purchase_cost_basis(
            settlement.cost_basis, Money(amount, request.currency), periods.service_period.from_, facts, findings
        )
    if findings.items:
        return None
    base = PurchaseLayer(
        name=request.name,
        periods=periods,
        credit_amount=amount,
        settlement=settlement,
        effective_at=effective_at,
        expires_at=expires_at,
        priority=request.priority,
        feature_filters=tuple(sorted(request.feature_filters or ())),
        description=request.description,
        metadata=request.metadata,
    )
    identity = Identity(
        managed_by=request.managed_by,
        currency=request.currency,
        tax=tax,
        unique_reference_id=request.unique_reference_id,
        key=request.key,
        annotations=request.annotations,
    )
    return Proposed(
        customer=request.customer,
        charge_type=ChargeType.CREDIT_PURCHASE,
        identity=identity,
        base=base,
        resolved_cost_basis=resolved,
    )


def _credit_amount(amount: Decimal, currency: Currency, findings: Findings) -> Decimal | None:
    if not amount.is_finite() or abs(amount) >= LIMIT:
        findings.add("credit_amount", "number_out_of_range", f"{amount} is not a number below 10^24")
        return None
    rounded = currency.rounded(amount)
    if rounded <= 0:
        findings.add("credit_amount", "not_positive", f"the credit amount must be above zero, got {text(rounded)}")
        return None
    return rounded


def _expiry(expires_at: Instant, effective_at: Instant, now: datetime, findings: Findings) -> None:
    """Credit that is live for no moment is refused: it ends after it begins, and after now (decision 40)."""
    if expires_at <= effective_at:
        findings.add(
            "expires_at",
            "expires_before_effective",
            f"credit effective at {effective_at.isoformat()} cannot expire at {expires_at.isoformat()}",
        )
    elif expires_at <= now:
        findings.add("expires_at", "expires_in_the_past", f"{expires_at.isoformat()} has passed already")


def _feature_filters(filters: Sequence[str] | None, findings: Findings) -> None:
    if filters is None:
        return
    if not filters:
        findings.add("feature_filters", "empty", "name at least one feature, or leave the filters out")
    if any(not key.strip() for key in filters):
        findings.add("feature_filters", "blank", "a feature key must not be blank")
    if len(set(filters)) != len(filters):
        findings.add("feature_filters", "duplicate", "each feature may be named once")


def _purchase_periods(
    request: NewPurchase, effective_at: Instant | None, facts: Facts, findings: Findings
) -> Periods | None:
    """One instant for all: when it becomes effective, or the start of the period asked for, or now."""
    if effective_at is not None:
        at = effective_at
    elif request.service_period is not None:
        asked = whole_period(request.service_period, "service_period", findings)
        if asked is not None and not asked.is_empty:
            findings.add("service_period", "period_not_empty", "a purchase's period is a single instant")
        if asked is None:
            return None
        at = asked.from_
    else:
        at = facts.instant
    moment = Period(at, at)
    return Periods(service_period=moment, full_service_period=moment, billing_period=moment, invoice_at=at)


def _settlement(asked: RequestedSettlement, currency: Currency, findings: Findings) -> Settlement | None:
    """The settlement asked for; the initial status is looked at before anything else of it (R-05)."""
    where = "settlement"
    if asked.type not in {"promotional", "external", "invoice"}:
        findings.add(f"{where}.type", "unknown", f"{asked.type!r} is none of promotional, external and invoice")
        return None
    status = InitialStatus.CREATED if asked.initial_status is None else asked.initial_status
    if status not in set(InitialStatus):
        findings.add(f"{where}.initial_status", "unknown", f"{status!r} is none of created, authorized and settled")
    available = Availability.ON_CREATION if asked.availability is None else asked.availability
    if available not in set(Availability):
        message = f"{available!r} is none of on_creation, on_authorization and on_settlement"
        findings.add(f"{where}.availability", "unknown", message)
    if asked.initial_status is not None and asked.type != "external":
        findings.add(f"{where}.initial_status", "not_allowed", "only an external purchase has an initial status")
    if asked.availability is not None and asked.type != "external":
        message = "only the credit of an external purchase waits for its payment"
        findings.add(f"{where}.availability", "not_allowed", message)
    if asked.type == "promotional":
        if asked.cost_basis is not None:
            findings.add(f"{where}.cost_basis", "not_allowed", "promotional credit has no cost basis")
        return Promotional()
    if asked.cost_basis is None:
        findings.add(f"{where}.cost_basis", "required", "credit that is paid for needs a cost basis")
        return None
    validate_cost_basis(asked.cost_basis, currency, findings, f"{where}.cost_basis")
    if findings.items:
        return None
    if asked.type == "invoice":
        return InvoiceSettlement(cost_basis=asked.cost_basis)
    return External(
        initial_status=InitialStatus(status), cost_basis=asked.cost_basis, availability=Availability(available)
    )
