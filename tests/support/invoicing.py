"""A desk for invoices: streams in memory, a clock that each step sets, charges that answer what a test says.

After every step the records are folded anew: the state a decision left has to be the state its events make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from aggregates.event import AnyRecorded, DomainEvent, Stream
from aggregates.invoices import credit_notes, decisions, numbering, payments, rounds, state
from aggregates.invoices.documents import Party
from aggregates.invoices.effects import InvoiceEffect, InvoiceNotice, Notice
from aggregates.invoices.facts import InvoiceFacts
from aggregates.invoices.lines import InvoiceLine, LineContent, LineKind
from aggregates.invoices.requests import LineCredit, NewInvoice, NewLine, PaymentReport
from aggregates.invoices.state import Invoice
from aggregates.outcome import Draft, Evolve
from aggregates.values.money import Currency, fiat
from aggregates.values.period import Period, instant, period, timestamp
from aggregates.values.totals import Totals
from tests.given import CUSTOMER, NAMESPACE, ids, origin

A = TypeVar("A")

USD = fiat("USD")
JANUARY = period("2026-01-01", "2026-02-01")
NOON = "2026-02-03T12:00Z"

EVOLVERS: dict[str, Evolve] = {"invoice": state.evolve, "number_series": numbering.evolve}

SELLER = Party(name="Acme Cloud", address=("1 Main St",), country="US", tax_id="US-1")
BUYER = Party(name="Buyer Ltd")

FEE = UUID("00000000-0000-7000-8000-0000000000c1")
USAGE = UUID("00000000-0000-7000-8000-0000000000c2")
PURCHASE = UUID("00000000-0000-7000-8000-0000000000c3")
CHARGES = (FEE, USAGE, PURCHASE)


def content(
    total: str = "0",
    *,
    credits_total: str = "0",
    name: str = "Platform fee",
    of: Period = JANUARY,
    collected_after: str | None = None,
    taxable: bool = True,
) -> LineContent:
    """What a line shows that is worth `total` after `credits_total` of credit."""
    left, covered = Decimal(total), Decimal(credits_total)
    return LineContent(
        name=name,
        period=of,
        totals=Totals(amount=left + covered, credits_total=covered, total=left),
        collected_after=instant(collected_after) if collected_after else None,
        taxable=taxable,
    )


def fee(total: str = "100", *, charge: UUID = FEE, editable: bool = True, **shown: Any) -> NewLine:
    """A line of a flat fee."""
    return NewLine(charge_id=charge, kind=LineKind.FLAT, content=content(total, **shown), editable=editable)


def usage(total: str = "12.50", *, charge: UUID = USAGE, **shown: Any) -> NewLine:
    """A line of usage."""
    return NewLine(charge_id=charge, kind=LineKind.USAGE, content=content(total, name="API calls", **shown))


def nobody(_notice: InvoiceNotice) -> Sequence[InvoiceEffect]:
    """Charges that take note and answer nothing."""
    return ()


class Desk:
    """Streams of one customer, and what is asked of them."""

    def __init__(self, **facts: Any) -> None:
        self.records: list[AnyRecorded] = []
        self.streams: dict[UUID, Stream] = {}
        self.notices: list[InvoiceNotice] = []
        self.mint = ids()
        self.given = facts

    # ── what is asked ────────────────────────────────────────────────────────────────────────────────────────

    def facts(self, at: datetime | str = NOON, **changes: Any) -> InvoiceFacts:
        """What a command at that time knows."""
        known: dict[str, Any] = {"seller": SELLER, "buyer": BUYER, "now": timestamp(at), "mint": self.mint}
        return InvoiceFacts(**(known | self.given | changes))

    def draft(self, at: datetime | str = NOON) -> Draft:
        """The draft a command at that time finds: every stream in hand, the number series too."""
        draft = Draft(origin(at), EVOLVERS)
        for series in ("INV", "CN"):
            stream = numbering.stream(NAMESPACE, series)
            draft.hold(stream, 0, None)
        for stream in self.streams.values():
            own = [record for record in self.records if record.stream == stream.id]
            folded = state.fold(None, own) if stream.aggregate == "invoice" else numbering.fold(None, own)
            draft.hold(stream, len(own), folded)
        return draft

    def do(self, decide: Callable[[Draft, InvoiceFacts], A], at: datetime | str = NOON, **facts: Any) -> A:
        """Decide, keep the records, and check that they make the state that was left."""
        draft = self.draft(at)
        answer = decide(draft, self.facts(at, **facts))
        for held in draft.touched():
            self.streams[held.stream.id] = held.stream
        self.records += draft.records
        again = self.draft(at)
        for held in draft.touched():
            assert again.state(held.stream.id) == held.state
            assert again.version(held.stream.id) == held.version
        return answer

    def create(self, *lines: NewLine, at: datetime | str = NOON, currency: Currency = USD) -> UUID:
        """A draft invoice of these lines."""
        request = NewInvoice(customer=CUSTOMER, currency=currency, lines=lines)
        invoice_id, notices = self.do(lambda draft, facts: decisions.create(draft, request, facts), at)
        self.notices = list(notices)
        return invoice_id

    def advance(
        self,
        invoice_id: UUID,
        at: datetime | str = NOON,
        tell: rounds.Tell = nobody,
        notices: Sequence[InvoiceNotice] = (),
        tax: rounds.AskTax | None = None,
        **facts: Any,
    ) -> bool:
        """Move an invoice as far as it goes; every notice is remembered."""
        self.notices = []

        def remembering(notice: InvoiceNotice) -> Sequence[InvoiceEffect]:
            self.notices.append(notice)
            return tell(notice)

        return self.do(
            lambda draft, known: rounds.advance(draft, invoice_id, known, remembering, notices=notices, tax=tax),
            at,
            **facts,
        )

    def approve(self, invoice_id: UUID, at: datetime | str = NOON, tell: rounds.Tell = nobody, **facts: Any) -> None:
        """Approve, and move on as far as it goes."""
        notices = self.do(lambda draft, known: decisions.approve(draft, invoice_id, known), at, **facts)
        self.advance(invoice_id, at, tell, notices=notices, **facts)

    def issued(self, *lines: NewLine, at: datetime | str = NOON, **facts: Any) -> UUID:
        """An issued invoice of these lines."""
        invoice_id = self.create(*lines, at=at)
        self.advance(invoice_id, at, auto_approve=True, **facts)
        return invoice_id

    def money(self, decide: Callable[..., Sequence[InvoiceNotice]], *args: Any, at: str = NOON, **more: Any) -> None:
        """A decision about money; its notices are remembered."""
        self.notices = list(self.do(lambda draft, facts: decide(draft, *args, facts, **more), at))

    def authorize(self, invoice_id: UUID, amount: str | None = None, **report: Any) -> None:
        """A payment is promised."""
        self.money(payments.authorize, invoice_id, _report(amount, report))

    def settle(self, invoice_id: UUID, amount: str | None = None, **report: Any) -> None:
        """Money arrives."""
        self.money(payments.settle, invoice_id, _report(amount, report))

    def write_off(self, invoice_id: UUID, reason: str | None = None) -> None:
        """What is open is given up."""
        self.money(payments.write_off, invoice_id, reason=reason)

    def credit(self, invoice_id: UUID, *amounts: str | None, **more: Any) -> None:
        """Take back of the first lines what is given, everything of a line for None."""
        lines = self.invoice(invoice_id).live_lines
        credited = tuple(
            LineCredit(line_id=line.line_id, amount=None if amount is None else Decimal(amount))
            for line, amount in zip(lines, amounts, strict=False)
        )
        self.money(credit_notes.credit, invoice_id, credited, **more)

    def void(self, invoice_id: UUID, reason: str | None = None) -> None:
        """Void an issued invoice."""
        self.money(credit_notes.void, invoice_id, reason=reason)

    # ── what came of it ──────────────────────────────────────────────────────────────────────────────────────

    def invoice(self, invoice_id: UUID) -> Invoice:
        """The invoice as it stands."""
        found: Invoice = self.draft().state(invoice_id)
        return found

    def line(self, invoice_id: UUID, place: int = 0) -> InvoiceLine:
        """One of its lines, deleted ones included."""
        return self.invoice(invoice_id).lines[place]

    def status(self, invoice_id: UUID) -> str:
        """Its status, as text."""
        return self.invoice(invoice_id).status.value

    def events(self, invoice_id: UUID) -> list[DomainEvent]:
        """Everything that happened to it."""
        return [record.body for record in self.records if record.stream == invoice_id]

    def visited(self, invoice_id: UUID) -> list[str]:
        """The statuses it went through, in order."""
        moves = [getattr(event, "moved", None) for event in self.events(invoice_id)]
        return [move.status_to.value for move in moves if move is not None]

    def told(self) -> list[str]:
        """The notices of the last step, by name."""
        return [type(notice).__name__ for notice in self.notices]

    def told_with(self, kind: type[Notice], *fields: str) -> list[tuple[Any, ...]]:
        """Fields of the notices of one kind."""
        return [
            tuple(getattr(notice, field) for field in fields) for notice in self.notices if isinstance(notice, kind)
        ]


def _report(amount: str | None, report: dict[str, Any]) -> PaymentReport:
    return PaymentReport(amount=None if amount is None else Decimal(amount), **report)


def as_stored(value: msgspec.Struct) -> bytes:
    """A struct as JSON, for round trips."""
    return msgspec.json.encode(value)
