"""What every group of the public surface works with: one namespace of one ledger, and how to send a command in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from aggregates import customers
from aggregates.customers import Customer
from aggregates.event import Stream
from aggregates.values.errors import CurrencyNotFound, CustomerIsDeleted, CustomerNotFound, Findings
from aggregates.values.money import Currency
from ledger import validation
from ledger.lookups import Lookups
from ledger.ports import Clock, InvoicingSystem, Probe, Taxes
from ledger.setbacks import Setbacks
from ledger.store.follow import Follower
from ledger.store.repository import Repository
from ledger.units import Done, Unit, Units, Work

A = TypeVar("A")

CommandId = UUID | str | None
"""How a caller names a command: a UUID, any text of its own, or nothing (a fresh id; a retry is then a new command)."""

DELETING = "customers.delete"
"""What the units of a deletion begin with: they alone go on once it has started."""


class Context:
    """One namespace of one open ledger: its repository, clock, id source, and the person or program acting."""

    def __init__(
        self,
        repository: Repository,
        *,
        namespace: str,
        clock: Clock,
        mint: Callable[[], UUID],
        actor: str,
        probe: Probe,
        follower: Follower,
        taxes: Taxes | None = None,
        invoicing: InvoicingSystem | None = None,
    ) -> None:
        self.repository = repository
        self.follower = follower
        self.namespace = namespace
        self.clock = clock
        self.mint = mint
        self.actor = actor
        self.probe = probe
        self.taxes = taxes
        self.invoicing = invoicing
        self.look = Lookups(namespace, self._read)
        self.units = Units(repository, clock.now, probe, self._permit)
        self.setbacks = Setbacks()

    def _permit(self, unit: Unit, work: Work) -> None:
        """Refuse what is asked of a customer that is deleted; so every command of a customer reads its stream."""
        if not unit.customer or unit.name.startswith(DELETING):
            return
        state: Customer | None = work.state(customers.stream(self.namespace, unit.customer))
        if state is not None and state.is_gone:
            raise CustomerIsDeleted(unit.customer)

    def _read(self, stream: Stream) -> Any:
        return self.repository.load(stream).state

    def _known(self, stream: Stream) -> Any:
        """As this process knows it: enough to see that something exists; a decision reads it again."""
        cached = self.repository.cached(stream)
        return cached.state if cached is not None else self._read(stream)

    def now(self) -> datetime:
        """The clock's reading."""
        return self.clock.now()

    def unit(self, name: str, customer: str, content: object, command_id: CommandId) -> Unit:
        """Unit 0 of a command: it has the command's own id."""
        identity = validation.command_id(command_id, self.namespace, self.mint)
        return Unit(
            namespace=self.namespace,
            customer=customer,
            command_id=identity,
            causation_id=identity,
            correlation_id=identity,
            name=name,
            fingerprint=validation.fingerprint(name, content),
            actor=self.actor,
            is_new=command_id is None,
        )

    def send(
        self,
        name: str,
        customer: str,
        content: object,
        command_id: CommandId,
        *,
        answer: type[A],
        decide: Callable[[Work], A],
    ) -> Done:
        """Carry out a command of one unit."""
        return self.units.carry_out(self.unit(name, customer, content, command_id), answer, decide)

    def within(self, work: Work) -> Lookups:
        """Look-ups as part of a decision: everything read is checked by version when it is saved."""
        return Lookups(self.namespace, work.state)

    def require_customer(self, findings: Findings, key: object, path: str = "customer") -> None:
        """Note a finding when the customer does not exist; a key that is no text is noted elsewhere."""
        if isinstance(key, str) and key and self._known(customers.stream(self.namespace, key)) is None:
            validation.missing(findings, path, CustomerNotFound, key)

    def find_currency(self, findings: Findings, code: object, path: str = "currency") -> Currency | None:
        """The currency, or None with a finding."""
        try:
            return self.look.currency(code) if isinstance(code, str) else None
        except CurrencyNotFound:
            validation.missing(findings, path, CurrencyNotFound, code)
            return None
