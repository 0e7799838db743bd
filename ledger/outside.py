"""`ledger.outside`: invoices that another system makes (decision 30; policy `invoicing = outside`).

What charges ask of it are events of the charges: what waits to be invoiced, what a line is to show, which line is to go
or to be credited. `deliver` hands them over from the log, in order and at least once; a worker does it with every pass.
What the system did comes back as `tell`: a line was made, collected, issued, paid. Both ways are safe to repeat: an
effect is known by the event it is, a notice by its line and the facts that are recorded already (lifecycles §17.3).
"""

from __future__ import annotations

import logging
from typing import cast
from uuid import UUID

import msgspec

from aggregates import deliveries
from aggregates.charges.events import GatheringLineDeleted, GatheringLineRequested, GatheringLineUpserted
from aggregates.charges.outside_events import EVENTS as LINE_EVENTS
from aggregates.charges.outside_events import OutsideEvent
from aggregates.charges.state import Charge
from aggregates.deliveries import Delivery, EffectsDelivered
from aggregates.event import DomainEvent
from aggregates.invoices.effects import LineNotice
from aggregates.policies import Invoicing
from aggregates.values.errors import Findings, PreconditionFailed, Unavailable
from ledger import validation
from ledger.advance import index
from ledger.charges import Charges
from ledger.context import CommandId, Context
from ledger.paging import Page, checked_limit, page_of, read_cursor
from ledger.ports import Effect, InvoicingSystem
from ledger.store import mapper
from ledger.store.store import LogRecord
from ledger.units import Work

log = logging.getLogger(__name__)

RECIPIENT = "invoicing"
PAGE = 500
GATHERING: tuple[type[DomainEvent], ...] = (GatheringLineRequested, GatheringLineUpserted, GatheringLineDeleted)
EFFECTS = frozenset(event.NAME for event in (*GATHERING, *LINE_EVENTS))
"""The stored names of what an invoicing system outside is handed."""


class Told(msgspec.Struct, frozen=True):
    """What the receipt of a notice keeps."""

    charge: UUID


class DeliveredUpTo(msgspec.Struct, frozen=True):
    """What the receipt of a delivery keeps."""

    position: int


class Outside:
    """Hands effects to the invoicing system outside, and takes what it tells."""

    def __init__(self, context: Context, charges: Charges) -> None:
        self._context = context
        self._charges = charges
        self._looked_at = 0
        """Up to where this process knows that there is nothing more to hand over."""
        self.hands_over = True
        """In a dry run nothing is handed over, to whomever it may be."""

    @property
    def is_used(self) -> bool:
        """Whether invoices are made outside."""
        return self._context.look.settings().policies.invoicing is Invoicing.OUTSIDE

    def tell(self, notice: LineNotice, *, command_id: CommandId = None) -> Charge:
        """Let a charge act upon what its invoice outside did; a repeat changes nothing.

        Args:
            notice: One of `aggregates.invoices.effects`: `LineCreated` when the charge's gathering line was put on a
                draft, `LineCollected`, `LineFinalizing` on approval, `LineIssued` with the totals the line shows,
                `LinePaymentAuthorized` before `LinePaymentSettled`, and what may become of a line otherwise. Amounts
                are in the line's fiat currency, `net` without tax.
            command_id: Makes a retry safe.

        Raises:
            PreconditionFailed: invoices are made inside, or the line shows something else than its run.
            CustomerNotFound, ChargeNotFound, RunNotFound: nobody of that name, or a line the charge does not know.
            UnsupportedOperation: not in this status. ActiveRunAlreadyExists: the charge has a line that is not issued.
        """
        findings = Findings()
        self._context.require_customer(findings, notice.customer)
        notice = validation.worded(notice, findings, "notice")
        validation.keepable(notice, findings, "notice")
        validation.fail(findings)

        def decide(work: Work) -> Told:
            if self._context.within(work).settings().policies.invoicing is not Invoicing.OUTSIDE:
                message = "invoices are made inside; the policy `invoicing` is to be outside for others to make them"
                raise PreconditionFailed(message, notice.charge_id)
            self._charges.rounds.tell(work, notice.customer, notice)
            index(work)
            return Told(notice.charge_id)

        name = f"outside.{type(notice).__name__}"
        self._context.send(name, notice.customer, notice, command_id, answer=Told, decide=decide)
        return self._charges.get(notice.charge_id)

    def waiting(self, *, after: str | None = None, limit: int = 100) -> Page[Effect]:
        """What was not handed over yet, in the order of the log; nothing where invoices are made inside.

        Raises `ValidationFailed`.
        """
        checked_limit(limit)
        read = self._position()
        if after is not None:
            (read,) = read_cursor(after, (int,))
        found: list[tuple[int, Effect]] = []
        while self.is_used and len(found) <= limit:
            rows = self._context.repository.store.read_log(read, PAGE, EFFECTS)
            found += [(row.position, effect) for row in rows if (effect := self._effect(row)) is not None]
            if len(rows) < PAGE:
                break
            read = rows[-1].position
        return page_of(found[: limit + 1], limit, lambda each: each[1], lambda each: (each[0],))

    def deliver(self, to: InvoicingSystem | None = None) -> int:
        """Hand over everything that is waiting, in the order of the log; how much it was. Nothing without a system.

        `to`: who takes it, the system that the ledger was opened with where absent. What was handed over is recorded
        page by page, whoever took it. Raises `Unavailable` when the system does not take something: the next call
        begins with it again.
        """
        system = to if to is not None else self._context.invoicing
        if system is None or not self.is_used or not self.hands_over:
            return 0
        delivered = 0
        after = max(self._position(), self._looked_at)
        while rows := self._context.repository.store.read_log(after, PAGE):
            handed = 0
            for row in rows:
                if row.name not in EFFECTS:
                    continue
                try:
                    handed += self._hand_over(system, row)
                except Unavailable:
                    self._note(row.position - 1, handed)
                    raise
            after = rows[-1].position
            self._note(after, handed)
            delivered += handed
        self._looked_at = after
        return delivered

    def _effect(self, row: LogRecord) -> Effect | None:
        """The effect that an event is; None for one of another namespace."""
        record = mapper.decode(row.name, row.data)
        if record.namespace != self._context.namespace:
            return None
        return Effect(
            charge=record.stream,
            version=record.version,
            namespace=record.namespace,
            customer=record.customer or "",
            at=record.at,
            body=cast("OutsideEvent", record.body),
        )

    def _hand_over(self, system: InvoicingSystem, row: LogRecord) -> bool:
        """Hand one effect over; whether it is of this namespace."""
        effect = self._effect(row)
        if effect is None:
            return False
        try:
            self._context.probe("invoicing.deliver")
            system.deliver(effect)
        except Unavailable:
            raise
        except Exception as failure:
            log.warning("invoicing outside did not take %s of charge %s", row.name, effect.charge, exc_info=True)
            reason = f"{type(failure).__name__}: {failure}"
            raise Unavailable("the invoicing system outside", reason) from failure
        return True

    def _position(self) -> int:
        stream = deliveries.stream(self._context.namespace, RECIPIENT)
        state: Delivery | None = self._context.repository.load(stream).state
        return state.position if state is not None else 0

    def _note(self, position: int, count: int) -> None:
        """Record how far the system was told; nothing where it was told nothing."""
        if not count:
            return
        stream = deliveries.stream(self._context.namespace, RECIPIENT)

        def decide(work: Work) -> DeliveredUpTo:
            known: Delivery | None = work.state(stream)
            if known is None or known.position < position:
                work.draft.emit(stream, EffectsDelivered(position=position, count=count))
            return DeliveredUpTo(position)

        self._context.send("outside.delivered", "", (position, count), None, answer=DeliveredUpTo, decide=decide)
