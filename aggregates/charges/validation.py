"""What is wrong with what is asked for, all of it at once; and the charges it makes otherwise (lifecycles §2.5, §14).

Each finding has the path of the field as the caller wrote it (`intents[2].settlement.cost_basis.rate`), a stable
code, and a sentence. Where every finding has one code that has an error class of its own, that class is raised, else
`ValidationFailed`: a caller who only got the tax code wrong sees `tax_code_not_found`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never
from uuid import UUID

from aggregates.charges.facts import Facts, HeldKey
from aggregates.charges.flat_terms import flat_fee_layer, proposed_flat_fee
from aggregates.charges.intent import ChargeType, FlatFeeLayer, UsageLayer
from aggregates.charges.proposal import Proposed
from aggregates.charges.purchase_terms import proposed_purchase
from aggregates.charges.requests import FlatFeeTerms, NewCharge, NewFlatFee, NewPurchase, NewUsageCharge, UsageTerms
from aggregates.charges.state import Charge
from aggregates.charges.usage_terms import proposed_usage, usage_layer
from aggregates.outcome import Draft
from aggregates.values.decimals import exact
from aggregates.values.errors import (
    CostBasisCurrencyMismatch,
    CostBasisFiatMismatch,
    FiatAmountRoundsToZero,
    Findings,
    ReferenceInUse,
    TaxCodeNotFound,
    Unsupported,
    ValidationFailed,
)
from aggregates.values.money import Currency

_OWN_CLASS: dict[str, type[ValidationFailed]] = {
    error.code: error
    for error in (
        TaxCodeNotFound,
        CostBasisCurrencyMismatch,
        CostBasisFiatMismatch,
        FiatAmountRoundsToZero,
        Unsupported,
    )
}


@exact
def validated(requests: Sequence[NewCharge], facts: Facts) -> tuple[Proposed, ...]:
    """What is to be created, one for each request and in their order.

    Refuses, in this order: whatever is wrong with any of the intents, all together; a feature that does not exist,
    then one without a meter (lifecycles §14.1); a key that another charge holds, or two requests ask for.
    """
    findings = Findings()
    proposals = [_one(request, facts, findings, f"intents[{i}]") for i, request in enumerate(requests)]
    raise_findings(findings)
    complete = tuple(proposal for proposal in proposals if proposal is not None)
    assert len(complete) == len(requests), "a request without a finding makes an intent"
    _require_features(complete, facts)
    return complete


def validated_usage_override(terms: object, facts: Facts, meter_id: UUID | None) -> UsageLayer:
    """The override layer that the terms make of usage of that meter, if it is known which.

    Raises `ValidationFailed` with everything that is wrong.
    """
    findings = Findings()
    layer: UsageLayer | None = None
    if isinstance(terms, UsageTerms):
        layer = usage_layer(terms, facts, findings, meter_id)
    else:
        findings.add("terms", "wrong_charge_type", "usage is overridden by terms of usage")
    raise_findings(findings)
    assert layer is not None
    return layer


def validated_fee_override(terms: object, currency: Currency, facts: Facts) -> FlatFeeLayer:
    """The override layer of a flat fee. Raises `ValidationFailed` with everything that is wrong."""
    findings = Findings()
    layer: FlatFeeLayer | None = None
    if isinstance(terms, FlatFeeTerms):
        layer = flat_fee_layer(terms, currency, facts, findings)
    else:
        findings.add("terms", "wrong_charge_type", "a flat fee is overridden by terms of a flat fee")
    raise_findings(findings)
    assert layer is not None
    return layer


def _require_features(proposals: Sequence[Proposed], facts: Facts) -> None:
    """Every feature first, then every meter: an unknown feature is reported before a missing meter.

    Usage needs the meter; a flat fee may name a feature that meters nothing.
    """
    named = [(p.identity.feature.name, p.charge_type) for p in proposals if p.identity.feature is not None]
    for name, _ in named:
        facts.feature(name)
    for name, charge_type in named:
        if charge_type is ChargeType.USAGE_BASED:
            facts.metered_feature(name)


def require_free(keys: Sequence[HeldKey], facts: Facts, draft: Draft) -> None:
    """Raise `ReferenceInUse` where another charge holds one of the keys, unless this command deletes that charge."""
    for key in keys:
        holder = facts.held_keys.get(key)
        if holder is None:
            continue
        state = draft.state(holder)
        if not (isinstance(state, Charge) and state.is_deleted):
            raise ReferenceInUse(kind=key.kind, key=key.key, customer=key.customer, charge_id=holder)


def _one(request: NewCharge, facts: Facts, findings: Findings, path: str) -> Proposed | None:
    own = Findings()
    match request:
        case NewUsageCharge():
            proposal = proposed_usage(request, facts, own)
        case NewPurchase():
            proposal = proposed_purchase(request, facts, own)
        case NewFlatFee():
            proposal = proposed_flat_fee(request, facts, own)
        case _ as unreachable:
            assert_never(unreachable)
    findings.extend(own.items, path)
    return proposal


def raise_findings(findings: Findings) -> None:
    """Raise everything found as one error; do nothing when nothing was found (R-12)."""
    codes = {finding.code for finding in findings.items}
    if len(codes) == 1:
        raise _OWN_CLASS.get(codes.pop(), ValidationFailed)(tuple(findings.items))
    findings.raise_if_any()
