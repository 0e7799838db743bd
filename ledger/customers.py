"""`ledger.customers`: who is billed, and how."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from aggregates import customers
from aggregates.customers import (
    Customer,
    CustomerCreated,
    CustomerDeleted,
    CustomerDeletionStarted,
    CustomerDeletionWithdrawn,
    CustomerProfileChanged,
    OpenItem,
    refuse_deletion,
)
from aggregates.values.errors import AlreadyExists, CustomerNotFound, Findings
from ledger import validation
from ledger.commands import ChangeProfile, CreateCustomer
from ledger.context import CommandId, Context
from ledger.open_items import open_items
from ledger.units import Work


class CustomerAnswer(msgspec.Struct, frozen=True):
    """What a receipt keeps of a customer command."""

    customer: str


class DeletionAnswer(msgspec.Struct, frozen=True):
    """What a receipt keeps of a deletion: what was found open after all, where something was."""

    open_items: tuple[OpenItem, ...] = ()


class Customers:
    """Create customers, change their billing profiles, and delete them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def create(self, key: str, name: str | None = None, *, command_id: CommandId = None, **profile: Any) -> Customer:
        """Create a customer.

        Args:
            key: The caller's own id of the customer; usage events name it as their subject.
            name: For people; the key when left out.
            command_id: Makes a retry safe; see `Context`.
            **profile: `collection_interval` (ISO duration to wait for late usage, "P2D"), `zone` (IANA),
                `advance_limit` (how far usage may run ahead of credit), `progressive_billing`, `auto_approve`,
                `payment_terms`, and the policies a customer may have of its own (`policies.PER_CUSTOMER`), as in
                `late_usage="absorb:5.00"`. What is left out comes from the namespace's default profile.

        Creating the same customer again changes nothing and answers it.

        Raises:
            ValidationFailed: everything wrong with the input, at once.
            AlreadyExists: the key is taken by a customer with another name or profile.
        """
        findings = Findings()
        command = validation.parse(CreateCustomer, findings, key=key, name=name if name is not None else key, **profile)
        validation.fail(findings)
        assert command is not None
        wanted = Customer(key=command.key, name=command.name, profile=command.profile())
        stream = customers.stream(self._context.namespace, command.key)

        def decide(work: Work) -> CustomerAnswer:
            present = work.state(stream)
            if present is None:
                work.draft.emit(stream, CustomerCreated(key=wanted.key, name=wanted.name, profile=wanted.profile))
            elif present != wanted:
                raise AlreadyExists("customer", wanted.key)
            return CustomerAnswer(wanted.key)

        self._context.send("customers.create", wanted.key, command, command_id, answer=CustomerAnswer, decide=decide)
        return self.get(wanted.key)

    def change_profile(self, customer: str, *, command_id: CommandId = None, **profile: Any) -> Customer:
        """Replace the billing profile. Runs that have started keep what they read (lifecycles §5.3).

        Raises `ValidationFailed`, `CustomerNotFound`.
        """
        findings = Findings()
        command = validation.parse(ChangeProfile, findings, customer=customer, **profile)
        self._context.require_customer(findings, customer)
        validation.fail(findings)
        assert command is not None
        stream = customers.stream(self._context.namespace, command.customer)
        wanted = command.profile()

        def decide(work: Work) -> CustomerAnswer:
            present: Customer | None = work.state(stream)
            if present is None:
                raise CustomerNotFound(command.customer)
            if present.profile != wanted:
                work.draft.emit(stream, CustomerProfileChanged(profile=wanted))
            return CustomerAnswer(command.customer)

        self._context.send(
            "customers.change_profile", command.customer, command, command_id, answer=CustomerAnswer, decide=decide
        )
        return self.get(command.customer)

    def delete(self, key: str, *, command_id: CommandId = None) -> Customer:
        """Delete a customer with whom nothing is open (decision 33). Its history stays, and so does its key.

        Open are: charges that are neither final nor deleted, what waits to be invoiced, invoices that are not paid,
        given up or taken back, credit that is left or scheduled, usage beyond credit, unapplied credit. Afterwards its
        commands are refused (`customer_deleted`), usage of it as well. Deleting it again changes nothing.

        Raises `CustomerNotFound`, `OpenItems` with all that is open.
        """
        self._context.look.customer(key)
        stream = customers.stream(self._context.namespace, key)
        unit = self._context.unit("customers.delete", key, key, command_id)

        def start(work: Work) -> CustomerAnswer:
            present: Customer = work.state(stream)
            if not present.is_gone:
                refuse_deletion(key, open_items(self._context, work, key))
                work.draft.emit(stream, CustomerDeletionStarted())
            return CustomerAnswer(key)

        def finish(work: Work) -> DeletionAnswer:
            present: Customer = work.state(stream)
            if not present.is_leaving:
                return DeletionAnswer()
            # Whatever was sent before the deletion started is saved by now or will be refused.
            found = open_items(self._context, work, key)
            work.draft.emit(stream, CustomerDeletionWithdrawn(open_items=found) if found else CustomerDeleted())
            return DeletionAnswer(found)

        self._context.units.carry_out(unit, CustomerAnswer, start)
        done = self._context.units.carry_out(unit.follow_up("customers.delete.finish", key), DeletionAnswer, finish)
        answer: DeletionAnswer = done.answer
        refuse_deletion(key, answer.open_items)
        return self.get(key)

    def get(self, key: str) -> Customer:
        """The customer as it stands, a deleted one too. Raises `CustomerNotFound`."""
        return self._context.look.customer(key)

    def id_of(self, key: str) -> UUID:
        """The id of the customer's stream."""
        return customers.stream(self._context.namespace, key).id
