"""Credit that is sold by invoice: taken back with its price, on the line that asks for it (lifecycles §11.3, §17)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

import msgspec

from aggregates.charges import decisions as deciding
from aggregates.charges.facts import Facts
from aggregates.charges.requests import TakeBack
from aggregates.charges.state import Charge
from aggregates.credits.events import PaymentAdjustment
from aggregates.invoices import payments
from aggregates.policies import Invoicing
from aggregates.values.decimals import EXACT, ZERO
from ledger import unapplied, validation
from ledger.advance import index
from ledger.charges import Charges
from ledger.context import CommandId, Context
from ledger.sale_payments import is_by_invoice, require_paid_outside
from ledger.units import Work

REFUND = PaymentAdjustment.REFUND

Deciding: TypeAlias = Callable[[Work, Charge, Facts], None]


class InvoicedSale(msgspec.Struct, frozen=True):
    """What a receipt keeps of a command about a purchase that is paid by invoice."""

    purchase: UUID


class InvoicedSales:
    """Commands about purchases that are paid by invoice; `ledger.credits` offers them."""

    def __init__(self, context: Context, charges: Charges) -> None:
        self._context = context
        self._charges = charges

    def is_by_invoice(self, purchase: UUID | str) -> bool:
        """Whether the purchase is paid by invoice. Raises `ChargeNotFound`."""
        return is_by_invoice(self._charges.get(purchase))

    def require_outside(self, purchase: UUID | str) -> None:
        """Refuse what is for purchases that are paid outside. Raises `PreconditionFailed`, `ChargeNotFound`."""
        require_paid_outside(self._charges.get(purchase))

    def is_invoiced_here(self, purchase: UUID | str) -> bool:
        """Whether its invoice is made here, so that what was paid is given back with a look at it."""
        inside = self._context.look.settings().policies.invoicing is not Invoicing.OUTSIDE
        return inside and self.is_by_invoice(purchase)

    def take_back(
        self,
        name: str,
        purchase: UUID | str,
        amount: Decimal | None,
        payment_adjustment: PaymentAdjustment | str,
        command_id: CommandId,
    ) -> None:
        """Take credit back and its price off its line; with `refund` what was paid of it goes back in the same save."""
        adjustment = validation.choice(PaymentAdjustment, "payment_adjustment", payment_adjustment)

        def decide(work: Work, charge: Charge, facts: Facts) -> None:
            asked = TakeBack(amount=amount, payment_adjustment=adjustment)
            deciding.take_back(work.draft, charge.id, asked, facts)

        self._send(name, purchase, (amount, adjustment), command_id, decide, refunds=adjustment is REFUND)

    def refund(self, purchase: UUID | str, amount: Decimal | None, command_id: CommandId) -> None:
        """Credit what was paid for credit that was taken back, and pay it back."""

        def decide(work: Work, charge: Charge, facts: Facts) -> None:
            deciding.refund_purchase(work.draft, charge.id, amount, facts)

        self._send("refund", purchase, amount, command_id, decide, refunds=True)

    def _send(
        self,
        name: str,
        purchase: UUID | str,
        content: object,
        command_id: CommandId,
        decide: Deciding,
        *,
        refunds: bool,
    ) -> None:
        before = self._charges.get(purchase)

        def carry_out(work: Work) -> InvoicedSale:
            facts = self._charges.payments.acting.in_hand(work, before.customer, before.id)
            charge: Charge = work.draft.state(before.id)
            line = charge.linked_line
            is_inside = facts.policies.invoicing is not Invoicing.OUTSIDE
            if line is not None and is_inside:
                self._charges.rounds.invoice(work, charge.customer, line.invoice_id)
            known = unapplied.arisen(work, charge.customer, charge.invoice_currency)
            decide(work, charge, facts)
            self._charges.rounds.settle(work, charge.customer)
            self._charges.payments.acting.walk_on(work, charge.id)
            if refunds and line is not None and is_inside:
                self._pay_back(work, charge, line.invoice_id, known.get(line.invoice_id, ZERO))
            index(work)
            return InvoicedSale(charge.id)

        self._context.send(
            f"credits.{name}", before.customer, (before.id, content), command_id, answer=InvoicedSale, decide=carry_out
        )

    def _pay_back(self, work: Work, charge: Charge, invoice_id: UUID, before: Decimal) -> None:
        """Pay back what the line freed just now, and nothing that was unapplied before."""
        facts = self._charges.rounds.facts(work, charge.customer, issuing=charge.invoice_currency)
        there = (facts.unapplied_in_books or {}).get(invoice_id, ZERO)
        freed = EXACT.subtract(there, before)
        if freed > 0:
            notices = payments.refund_unapplied(work.draft, invoice_id, facts, amount=freed)
            self._charges.rounds.deliver(work, charge.customer, notices, facts)
