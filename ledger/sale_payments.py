"""How the payment of sold credit goes on, and what moves its charge with the money (lifecycles §11.2; decision 26)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from aggregates.charges import decisions as deciding
from aggregates.charges.facts import Facts
from aggregates.charges.intent import InvoiceSettlement, PurchaseLayer
from aggregates.charges.purchase_state import PaymentStatus
from aggregates.charges.requests import PaymentStep
from aggregates.charges.state import Charge
from aggregates.credits.decisions import is_paid
from aggregates.credits.pool import CreditPool
from aggregates.lifecycle import Status
from aggregates.values.errors import PreconditionFailed
from ledger.context import CommandId
from ledger.units import Work

WAITING = frozenset({Status.PAYMENT_PENDING, Status.PAYMENT_AUTHORIZED, Status.PAYMENT_FAILED})
"""Where money that arrives may complete the payment of a purchase."""


class Acting(NamedTuple):
    """How something is decided about one charge: in a command of its own, or within one that is under way."""

    act: Callable[[str, UUID, object, CommandId, Callable[[Work, Facts], object]], Charge]
    in_hand: Callable[[Work, str, UUID], Facts]
    walk_on: Callable[[Work, UUID], None]


def is_by_invoice(charge: Charge) -> bool:
    """Whether it is a purchase that is paid by invoice."""
    layer = charge.intent.effective
    return isinstance(layer, PurchaseLayer) and isinstance(layer.settlement, InvoiceSettlement)


def require_paid_outside(charge: Charge) -> None:
    """Raise `PreconditionFailed` for a purchase that is paid by invoice: reported here, it would be asked for there."""
    if is_by_invoice(charge):
        message = f"purchase {charge.id} is paid by invoice: report what becomes of its payment there"
        raise PreconditionFailed(message, charge.id)


class SalePayments:
    """What becomes of the payments of purchases, besides the steps a provider reports."""

    def __init__(self, charges: Acting) -> None:
        self.acting = charges

    def report(self, charge_id: UUID, step: PaymentStep, reason: str | None, command_id: CommandId) -> Charge:
        """Record what a provider reports, and the reason it gives. Raises as `Charges.record_payment`."""
        return self.acting.act(
            "record_payment",
            charge_id,
            step if reason is None else (step, reason),
            command_id,
            lambda work, facts: deciding.report_payment(work.draft, charge_id, step, facts, reason),
        )

    def retry(self, charge_id: UUID, command_id: CommandId) -> Charge:
        """Wait for a new payment of what is owed. Raises `NothingOwed`, `UnsupportedOperation`."""
        return self.acting.act(
            "retry_payment",
            charge_id,
            None,
            command_id,
            lambda work, facts: deciding.retry_payment(work.draft, charge_id, facts),
        )

    def write_off(self, charge_id: UUID, command_id: CommandId) -> Charge:
        """Give up what is owed; the purchase is final then. Raises `UnsupportedOperation`."""
        return self.acting.act(
            "write_off_payment",
            charge_id,
            None,
            command_id,
            lambda work, facts: deciding.write_off_payment(work.draft, charge_id, facts),
        )

    def paid_in_full(self, work: Work, charge: Charge) -> None:
        """Let a purchase whose price came in parts go on as paid, once nothing is left to pay.

        It waits for that after its payment failed as well, and after what it owes was written off (decision 27).
        """
        pool: CreditPool = work.draft.state(charge.pool.id)
        known = pool.purchases.get(charge.id)
        given_up = charge.status is Status.FINAL and charge.payment_status is PaymentStatus.WRITTEN_OFF
        if (charge.status in WAITING or given_up) and known is not None and is_paid(pool, known):
            facts = self.acting.in_hand(work, charge.customer, charge.id)
            deciding.report_payment(work.draft, charge.id, PaymentStep.PAID, facts)
            self.acting.walk_on(work, charge.id)

    def goes_on(self, work: Work, charge: Charge) -> None:
        """Let a purchase go as far as it can by itself now: one that is never granted is over."""
        self.acting.in_hand(work, charge.customer, charge.id)
        self.acting.walk_on(work, charge.id)

    def no_longer_paid(self, work: Work, charge: Charge) -> None:
        """Let a purchase wait for its payment again, once money for it went back and its price is not covered."""
        facts = self.acting.in_hand(work, charge.customer, charge.id)
        deciding.note_reversal(work.draft, charge.id, facts)
