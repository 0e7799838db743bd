"""One step of one invoice: put it in hand, decide, tell its charges, let it move on, and save all of it at once."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TypeAlias
from uuid import UUID

import msgspec

from aggregates.invoices import state as invoice_state
from aggregates.invoices.effects import InvoiceNotice
from aggregates.invoices.facts import InvoiceFacts
from aggregates.invoices.refusals import InvoiceNotFound
from aggregates.invoices.state import Invoice
from ledger.advance import FailedAdvance, index
from ledger.charges import Charges
from ledger.context import CommandId, Context
from ledger.rounds import Rounds, invoices_of
from ledger.units import Work

Step: TypeAlias = Callable[[Work, UUID, InvoiceFacts], tuple[InvoiceNotice, ...]]


class InvoicesAnswer(msgspec.Struct, frozen=True):
    """What the receipt of a command about invoices keeps: which invoices it was about, and which charges refused."""

    invoices: tuple[UUID, ...] = ()
    failed: tuple[FailedAdvance, ...] = ()


class InvoiceSteps:
    """What can be seen of invoices, and how a step of one is carried out."""

    def __init__(self, context: Context, rounds: Rounds, charges: Charges) -> None:
        self._context = context
        self._rounds = rounds
        self._charges = charges

    def get(self, invoice: UUID | str) -> Invoice:
        """The invoice as it stands. Raises `InvoiceNotFound`."""
        invoice_id = self._invoice_id(invoice)
        state: Invoice | None = self._context.repository.load(invoice_state.stream(invoice_id, "")).state
        if state is None or state.namespace != self._context.namespace:
            raise InvoiceNotFound(invoice_id)
        return state

    def list(self, customer: str) -> builtins.list[Invoice]:
        """All invoices of a customer in order of creation, deleted ones included. Raises `CustomerNotFound`."""
        ids = sorted({invoice_id for charge in self._charges.list(customer) for invoice_id in invoices_of(charge)})
        loaded = self._context.repository.load_all([invoice_state.stream(invoice_id, customer) for invoice_id in ids])
        # Those that a system outside made are known here by their ids alone.
        return [entry.state for entry in loaded if entry.state is not None]

    def _act(self, name: str, invoice: UUID | str, content: object, command_id: CommandId, step: Step) -> Invoice:
        """Take a step of one invoice, tell its charges, and let it move on from there; one save."""
        before = self.get(invoice)

        def decide(work: Work) -> InvoicesAnswer:
            customer = before.customer
            invoice = self._rounds.invoice(work, customer, before.id)
            facts = self._rounds.facts(work, customer, issuing=invoice.currency)
            notices = step(work, before.id, facts)
            self._rounds.advance(work, customer, before.id, notices, facts)
            index(work)
            return InvoicesAnswer((before.id,))

        self._context.send(
            f"invoices.{name}",
            before.customer,
            (before.id, content),
            command_id,
            answer=InvoicesAnswer,
            decide=decide,
        )
        return self.get(before.id)

    def _invoice_id(self, invoice: UUID | str) -> UUID:
        try:
            return invoice if isinstance(invoice, UUID) else UUID(invoice)
        except ValueError:
            raise InvoiceNotFound(invoice) from None
