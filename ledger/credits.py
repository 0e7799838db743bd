"""`ledger.credits`: give or sell credit to a customer, and take back what is left of it.

Credit is granted by a purchase, which is a charge like any other: it has an id, a lifecycle and a history. A
promotional purchase is granted and final at once; an external one is granted on creation and waits for its payment.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from aggregates.charges.intent import ChargeType, FiatRate, ManualBasis
from aggregates.charges.requests import NewPurchase, PaymentStep, RequestedSettlement
from aggregates.charges.state import Charge
from aggregates.credits.pool import CreditPool
from aggregates.event import Stream
from aggregates.values.errors import Findings
from aggregates.values.identifiers import pool_id
from aggregates.values.money import Currency, fiat
from ledger import validation
from ledger.charges import Charges
from ledger.commands import CreatePurchase
from ledger.context import CommandId, Context


class Credits:
    """Grants and purchases of credit."""

    def __init__(self, context: Context, charges: Charges) -> None:
        self._context = context
        self._charges = charges

    def grant(
        self, customer: str, amount: object, currency: str = "USD", *, command_id: CommandId = None, **terms: Any
    ) -> Charge:
        """Give a customer promotional credit (ledger §6.1, lifecycles §11.1).

        Args:
            customer: Key of an existing customer.
            amount: Above zero, rounded to the currency's precision: "100" or "12.50".
            currency: ISO code or the code of a custom currency.
            command_id: Makes a retry safe.
            **terms: `priority` (1 is consumed first, 100 by default), `effective_at`, `expires_at` (exclusive),
                `features` (keys it is restricted to), `key` (unique per customer), `name`, `description`, `metadata`.

        What the customer owes for usage beyond its credit is covered first, oldest usage first (ledger §6.4).

        Raises:
            ValidationFailed: everything wrong with the input, at once; nothing was written.
            CustomerNotFound, CurrencyNotFound: when that alone is wrong.
            ReferenceInUse: `key` belongs to another purchase of the customer.
        """
        return self._purchase(customer, amount, currency, command_id, {"settlement": "promotional", **terms})

    def sell(
        self,
        customer: str,
        amount: object,
        currency: str = "USD",
        *,
        cost_basis: object,
        command_id: CommandId = None,
        **terms: Any,
    ) -> Charge:
        """Sell credit that is paid for outside (lifecycles §11.2): 100 at a cost basis of 0.5 costs 50.

        `terms` as for `grant`, and `initial_status`: how far the payment is, "created", "authorized" or "settled";
        `fiat_currency`: what a custom currency is paid in ("USD").
        Report what happens to the payment with `record_payment`. Raises as `grant`.
        """
        asked = {"settlement": "external", "cost_basis": cost_basis, **terms}
        return self._purchase(customer, amount, currency, command_id, asked)

    def record_payment(self, purchase: UUID | str, step: PaymentStep | str, *, command_id: CommandId = None) -> Charge:
        """Record that the payment of a sold purchase was `authorized` or `paid` (lifecycles §11.2, §13)."""
        return self._charges.record_payment(purchase, step, command_id=command_id)

    def void(self, purchase: UUID | str, *, command_id: CommandId = None) -> Charge:
        """Take back what is left of a purchase (lifecycles §11.4). Raises `NothingToVoid`."""
        return self._charges.void_purchase(purchase, command_id=command_id)

    def list(self, customer: str) -> list[Charge]:
        """The purchases of a customer, in order of creation."""
        return [c for c in self._charges.list(customer) if c.charge_type is ChargeType.CREDIT_PURCHASE]

    def pool(self, customer: str, currency: str = "USD") -> CreditPool:
        """The credit of a customer as decisions see it, right after any command: lots, and what is going on in them.

        Raises `CustomerNotFound`, `CurrencyNotFound`.
        """
        self._context.look.customer(customer)
        found = self._context.look.currency(currency)
        stream = Stream("credit_pool", pool_id(self._context.namespace, customer, found.key), customer)
        state: CreditPool | None = self._context.repository.load(stream).state
        return state if state is not None else CreditPool.empty(found)

    def _purchase(
        self, customer: str, amount: object, currency: str, command_id: CommandId, terms: dict[str, Any]
    ) -> Charge:
        findings = Findings()
        command = validation.parse(
            CreatePurchase, findings, customer=customer, amount=amount, currency=currency, **terms
        )
        self._context.require_customer(findings, customer)
        found = self._context.find_currency(findings, currency)
        validation.fail(findings)
        assert command is not None
        assert found is not None
        request = NewPurchase(
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
        return self._charges.create([request], command_id=command_id)[0]


def _settlement(command: CreatePurchase, currency: Currency) -> RequestedSettlement:
    if command.cost_basis is None:
        return RequestedSettlement(type=command.settlement, initial_status=command.initial_status)
    basis = (
        ManualBasis(fiat_currency=fiat(command.fiat_currency), rate=command.cost_basis)
        if currency.is_custom
        else FiatRate(rate=command.cost_basis)
    )
    return RequestedSettlement(type=command.settlement, initial_status=command.initial_status, cost_basis=basis)
