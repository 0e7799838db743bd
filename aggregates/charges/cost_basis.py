"""Cost basis: what a unit of a charge's credit is worth in fiat, and when that is settled (lifecycles §12).

A manual, pinned or plain fiat rate is resolved when the charge is created; a dynamic one when it is needed, as the
entry in force at the start of the effective service period. Once resolved it is never looked up again.
"""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from aggregates.charges.facts import CostBasisEntry, CostBasisNeeded, Facts
from aggregates.charges.intent import (
    CostBasis,
    DynamicBasis,
    FiatRate,
    FlatFeeLayer,
    ManualBasis,
    PinnedBasis,
    ResolvedCostBasis,
    SettlementMode,
    UsageLayer,
)
from aggregates.charges.requests import NewFlatFee, NewUsageCharge
from aggregates.charges.state import Charge
from aggregates.values.decimals import LIMIT, exact, text
from aggregates.values.errors import CostBasisNotEffective, FiatAmountRoundsToZero, Finding, Findings
from aggregates.values.money import Currency, Money
from aggregates.values.period import Instant


@exact
def fiat_amount(amount: Decimal, resolved: ResolvedCostBasis) -> Decimal:
    """What that much credit costs, at the precision of the fiat currency: 1 credit at 0.005 is 0.01 USD (R-23)."""
    return resolved.fiat_currency.rounded(amount * resolved.rate)


def validate_cost_basis(basis: CostBasis, currency: Currency, findings: Findings, path: str) -> None:
    """Note what is wrong with a cost basis: rates are above zero, and the mode fits the currency (R-01)."""
    if isinstance(basis, FiatRate) and currency.is_custom:
        findings.add(path, "cost_basis_mode", "a custom currency needs a manual, pinned or dynamic cost basis")
    if not isinstance(basis, FiatRate) and not currency.is_custom:
        findings.add(path, "cost_basis_mode", f"credit in {currency.code} needs a plain rate as its cost basis")
    if not isinstance(basis, FiatRate) and basis.fiat_currency.is_custom:
        findings.add(f"{path}.fiat_currency", "currency_not_found", f"{basis.fiat_currency.code!r} is not fiat")
    if isinstance(basis, FiatRate | ManualBasis):
        if not basis.rate.is_finite() or abs(basis.rate) >= LIMIT:
            findings.add(f"{path}.rate", "number_out_of_range", f"{basis.rate} is not a number below 10^24")
        elif basis.rate <= 0:
            findings.add(f"{path}.rate", "not_positive", f"the rate must be positive, got {text(basis.rate)}")


def charge_cost_basis(
    request: NewUsageCharge | NewFlatFee, base: UsageLayer | FlatFeeLayer | None, facts: Facts, findings: Findings
) -> ResolvedCostBasis | None:
    """The resolved cost basis of usage or a flat fee; everything wrong with what was asked for is noted (§2.2, §12.1).

    It is needed exactly where a custom currency is settled by invoice: there what no credit covers is paid in fiat.
    """
    needed = request.currency.is_custom and request.settlement_mode is SettlementMode.CREDIT_THEN_INVOICE
    basis = request.cost_basis
    if basis is None:
        if needed:
            findings.add("cost_basis", "required", "a custom currency settled by invoice needs a cost basis")
        return None
    if not needed:
        findings.add("cost_basis", "not_allowed", "a cost basis is for custom currencies that are settled by invoice")
        return None
    validate_cost_basis(basis, request.currency, findings, "cost_basis")
    if base is None or findings.items:
        return None
    return _resolved(basis, request.currency, base.service_period.from_, facts, findings=findings, path="cost_basis")


def purchase_cost_basis(
    basis: CostBasis, credit: Money, at: Instant, facts: Facts, findings: Findings
) -> ResolvedCostBasis | None:
    """The rate of a purchase that is being created; None for a dynamic one, or where something is wrong with it.

    Credit that costs nothing at its rate could never be paid for, and is refused (lifecycles §12.3).
    """
    resolved = _resolved(basis, credit.currency, at, facts, findings=findings, path="settlement.cost_basis")
    if resolved is not None and fiat_amount(credit.amount, resolved) <= 0:
        finding = _rounds_to_zero(credit, resolved)
        findings.add(finding.path, finding.code, finding.message)
        return None
    return resolved


def _resolved(
    basis: CostBasis, currency: Currency, at: Instant, facts: Facts, *, findings: Findings, path: str
) -> ResolvedCostBasis | None:
    match basis:
        case FiatRate(rate=rate):
            return ResolvedCostBasis(mode="fiat", rate=rate, fiat_currency=currency, resolved_at=at)
        case ManualBasis(fiat_currency=fiat, rate=rate):
            return ResolvedCostBasis(mode="manual", rate=rate, fiat_currency=fiat, resolved_at=at)
        case PinnedBasis():
            return _pinned(basis, currency, at, facts, findings=findings, where=path)
        case DynamicBasis():
            return None
        case _ as unreachable:
            assert_never(unreachable)


def cost_basis_needed(charge: Charge) -> CostBasisNeeded | None:
    """What has to be looked up in the rate table before the charge can move, if anything."""
    basis = charge.cost_basis
    if charge.resolved_cost_basis is not None or not isinstance(basis, DynamicBasis):
        return None
    at = charge.intent.effective.service_period.from_
    return CostBasisNeeded(currency=charge.currency.key, fiat_currency=basis.fiat_currency.code, at=at)


def resolved_when_needed(
    needed: CostBasisNeeded, charge: Charge, amount: Decimal | None, facts: Facts
) -> ResolvedCostBasis:
    """The rate in force; `amount` is that of a purchase, which must cost something.

    Raises `CostBasisNotEffective`; `FiatAmountRoundsToZero` when nothing would be left to pay of the purchase.
    """
    entry = facts.cost_bases.get(needed)
    if entry is None:
        raise CostBasisNotEffective(currency=charge.currency.code, fiat_currency=needed.fiat_currency, at=needed.at)
    resolved = _from_entry("dynamic", entry, needed.at)
    if amount is not None and fiat_amount(amount, resolved) <= 0:
        raise FiatAmountRoundsToZero((_rounds_to_zero(Money(amount, charge.currency), resolved),))
    return resolved


def _pinned(
    basis: PinnedBasis, currency: Currency, at: Instant, facts: Facts, *, findings: Findings, where: str
) -> ResolvedCostBasis | None:
    entry = facts.cost_basis_entries.get(basis.currency_cost_basis_id)
    if entry is None:
        findings.add(
            f"{where}.currency_cost_basis_id",
            "cost_basis_not_found",
            f"the rate table has no entry {basis.currency_cost_basis_id}",
        )
        return None
    if entry.currency != currency.key:
        findings.add(where, "cost_basis_currency_mismatch", f"entry {entry.id} is no rate of {currency.code}")
    if entry.fiat_currency != basis.fiat_currency:
        findings.add(
            where,
            "cost_basis_fiat_mismatch",
            f"entry {entry.id} is a rate in {entry.fiat_currency.code}, not in {basis.fiat_currency.code}",
        )
    return None if findings.items else _from_entry("pinned", entry, at)


def _from_entry(mode: str, entry: CostBasisEntry, at: Instant) -> ResolvedCostBasis:
    return ResolvedCostBasis(
        mode=mode,
        rate=entry.rate,
        fiat_currency=entry.fiat_currency,
        resolved_at=at,
        cost_basis_id=entry.id,
        effective_at=entry.effective_from,
    )


def _rounds_to_zero(credit: Money, resolved: ResolvedCostBasis) -> Finding:
    return Finding(
        "settlement.cost_basis.rate",
        "fiat_amount_rounds_to_zero",
        f"{credit} at {text(resolved.rate)} cost nothing in {resolved.fiat_currency.code}",
    )
