"""From what a caller sent to a request for a charge: validated whole, everything that is wrong with it at once."""

from __future__ import annotations

from typing import Any

from aggregates.charges.intent import FiatRate, ManualBasis
from aggregates.charges.requests import NewFlatFee, NewPurchase, NewUsageCharge, RequestedSettlement
from aggregates.values.errors import FeatureNotFound, Findings
from aggregates.values.money import Currency, fiat
from ledger import validation
from ledger.commands import CreateFlatFee, CreatePurchase, CreateUsageCharge
from ledger.context import Context
from ledger.terms import fee_request, period_order, usage_request


class ChargeRequests:
    """Requests for charges of one namespace. Each raises `ValidationFailed`, or what alone is missing."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def usage(
        self,
        customer: str,
        *,
        feature: str,
        price: object,
        period_from: object,
        period_to: object,
        currency: str,
        **terms: Any,
    ) -> NewUsageCharge:
        """The request for a usage charge; its name is the feature's key where none is given."""
        findings = Findings()
        command = validation.parse(
            CreateUsageCharge,
            findings,
            customer=customer,
            feature=feature,
            price=price,
            service_period={"from_": period_from, "to": period_to},
            currency=currency,
            name=terms.pop("name", None) or feature,
            **terms,
        )
        self._context.require_customer(findings, customer)
        found = self._context.find_currency(findings, currency)
        self._require_feature(findings, feature)
        period_order(findings, period_from, period_to)
        validation.fail(findings)
        assert command is not None
        assert found is not None
        return usage_request(command, found)

    def fee(
        self, customer: str, *, amount: object, period_from: object, period_to: object, currency: str, **terms: Any
    ) -> NewFlatFee:
        """The request for a flat fee."""
        findings = Findings()
        command = validation.parse(
            CreateFlatFee,
            findings,
            customer=customer,
            amount=amount,
            service_period={"from_": period_from, "to": period_to},
            currency=currency,
            name=terms.pop("name", None) or "Fee",
            **terms,
        )
        self._context.require_customer(findings, customer)
        found = self._context.find_currency(findings, currency)
        self._require_feature(findings, terms.get("feature"))
        period_order(findings, period_from, period_to)
        validation.fail(findings)
        assert command is not None
        assert found is not None
        return fee_request(command, found)

    def purchase(self, customer: str, *, amount: object, currency: str, **terms: Any) -> NewPurchase:
        """The request for a grant or a sale of credit."""
        findings = Findings()
        command = validation.parse(
            CreatePurchase, findings, customer=customer, amount=amount, currency=currency, **terms
        )
        self._context.require_customer(findings, customer)
        found = self._context.find_currency(findings, currency)
        validation.fail(findings)
        assert command is not None
        assert found is not None
        return NewPurchase(
            customer=command.customer,
            currency=found,
            credit_amount=command.amount,
            settlement=_settlement(command, found),
            name=command.name,
            effective_at=command.effective_at,
            expires_at=command.expires_at,
            priority=command.priority,
            feature_filters=command.features,
            key=command.key,
            description=command.description,
            metadata=command.metadata,
        )

    def _require_feature(self, findings: Findings, feature: object) -> None:
        if not isinstance(feature, str) or not feature.strip():
            return
        try:
            self._context.look.feature(feature.strip())
        except FeatureNotFound:
            validation.missing(findings, "feature", FeatureNotFound, feature)


def _settlement(command: CreatePurchase, currency: Currency) -> RequestedSettlement:
    basis: ManualBasis | FiatRate | None = None
    if command.cost_basis is not None:
        basis = (
            ManualBasis(fiat_currency=fiat(command.fiat_currency), rate=command.cost_basis)
            if currency.is_custom
            else FiatRate(rate=command.cost_basis)
        )
    return RequestedSettlement(
        type=command.settlement,
        initial_status=command.initial_status,
        cost_basis=basis,
        availability=command.availability,
    )
