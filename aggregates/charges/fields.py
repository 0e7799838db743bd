"""Checks of single fields that requests of all types have in common; each notes what it finds and goes on."""

from __future__ import annotations

from datetime import datetime

from aggregates.charges.facts import Facts
from aggregates.charges.intent import FeatureRef, SubscriptionRef, TaxConfig
from aggregates.charges.requests import Bounds
from aggregates.values.errors import Findings
from aggregates.values.money import FIAT, MAX_PRECISION, Currency
from aggregates.values.period import Instant, Period, instant


def required(value: str, path: str, findings: Findings) -> None:
    """Note an empty value."""
    if not value.strip():
        findings.add(path, "required", f"the {path} must not be empty")


def reference(value: str | None, path: str, findings: Findings) -> None:
    """Note a value that may be absent and is there but empty."""
    if value is not None and not value.strip():
        findings.add(path, "required", f"the {path} may be left out, but it must not be empty")


def subscription(ref: SubscriptionRef | None, findings: Findings) -> None:
    """Note a reference to a subscription that is not complete."""
    if ref is not None and not (ref.subscription_id and ref.phase_id and ref.item_id):
        findings.add("subscription", "incomplete", "subscription, phase and item: all three, or none")


def feature_ref(ref: FeatureRef, findings: Findings) -> None:
    """Note a feature that is named twice, or not at all."""
    if (ref.id is None) == (ref.key is None):
        findings.add("feature", "feature_ambiguous", "name the feature by id or by key, and not by both")
    elif ref.key is not None and not ref.key.strip():
        findings.add("feature", "required", "the feature key must not be empty")


def known_currency(currency: Currency, findings: Findings) -> None:
    """Note a currency that is neither of ISO 4217 nor a custom one with a sensible precision."""
    if not currency.is_custom and FIAT.get(currency.code) != currency:
        findings.add("currency", "currency_not_found", f"{currency.code!r} is no ISO 4217 currency")
    elif not 0 <= currency.precision <= MAX_PRECISION:
        findings.add("currency", "out_of_range", f"the precision must be 0 to {MAX_PRECISION}")


def tax_config(
    asked: TaxConfig | None, default: TaxConfig | None, facts: Facts, findings: Findings
) -> TaxConfig | None:
    """The tax config, an absent code filled from the defaults; a code that nobody knows is a finding."""
    tax = asked
    if default is not None and (asked is None or asked.tax_code_id is None):
        tax = TaxConfig(
            tax_code_id=default.tax_code_id,
            behavior=asked.behavior if asked is not None and asked.behavior is not None else default.behavior,
        )
    if tax is None:
        return None
    if tax.tax_code_id is None:
        if tax.behavior is not None:
            findings.add("tax_config", "incomplete", "a tax behaviour needs a tax code")
    elif facts.tax_codes is not None and tax.tax_code_id not in facts.tax_codes:
        findings.add("tax_config.tax_code_id", "tax_code_not_found", f"no tax code {tax.tax_code_id!r}")
    return tax


def whole_period(bounds: Bounds, path: str, findings: Findings) -> Period | None:
    """The period with both bounds cut to whole seconds; empty is fine here, backwards is not (lifecycles §1.1)."""
    from_ = whole_instant(bounds.from_, f"{path}.from", findings)
    to = whole_instant(bounds.to, f"{path}.to", findings)
    if from_ is None or to is None:
        return None
    if to < from_:
        findings.add(
            path, "period_backwards", f"it cannot end ({to.isoformat()}) before it begins ({from_.isoformat()})"
        )
        return None
    return Period(from_, to)


def whole_instant(moment: datetime, path: str, findings: Findings) -> Instant | None:
    """The instant cut to whole seconds, or None with a finding: a time without a zone says nothing."""
    try:
        return instant(moment)
    except ValueError as error:
        findings.add(path, "invalid_time", str(error))
        return None


def optional_instant(moment: datetime | None, path: str, findings: Findings) -> Instant | None:
    """The same for a time that may be absent."""
    return None if moment is None else whole_instant(moment, path, findings)
