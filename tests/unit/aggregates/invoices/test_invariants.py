"""What always holds of invoices, whatever is reported in whatever order; and that all of it can be stored.

Hypothesis reports payments, failures, write-offs and credit notes, sensible and not; what is refused leaves nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.invoices import credit_notes, decisions, numbering, payments, rounds
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.effects import (
    InvoiceEffect,
    InvoiceLineDeletionRequested,
    InvoiceLineUpdated,
    InvoiceNotice,
    LineCollected,
    LinePaymentSettled,
    PaymentSource,
)
from aggregates.invoices.events import EVENTS, CreditNoteIssued, PaymentSettled
from aggregates.invoices.lines import LineTax, Portion
from aggregates.invoices.requests import LineCredit, PaymentReport
from aggregates.invoices.state import Invoice
from aggregates.values.decimals import ZERO
from aggregates.values.errors import LedgerError, PreconditionFailed
from aggregates.values.totals import sum_totals
from tests.support.invoicing import CHARGES, Desk, as_stored, content, fee, usage

cents = st.integers(min_value=0, max_value=20_000).map(lambda n: Decimal(n).scaleb(-2))
lines = st.lists(st.tuples(cents, cents), min_size=1, max_size=3)
"""Total and tax of each line."""

steps = st.lists(
    st.tuples(
        st.sampled_from(["authorize", "settle", "settle_rest", "fail", "write_off", "credit", "credit_line", "void"]),
        cents,
        st.integers(min_value=0, max_value=2),
    ),
    max_size=8,
)


def carry_out(desk: Desk, invoice: UUID, step: str, amount: Decimal, place: int) -> None:
    """One step, sensible or not. What is refused leaves nothing."""
    live = desk.invoice(invoice).live_lines
    line = live[place % len(live)].line_id
    before = len(desk.records)
    try:
        match step:
            case "authorize":
                desk.money(payments.authorize, invoice, PaymentReport(amount=amount))
            case "settle":
                desk.money(payments.settle, invoice, PaymentReport(amount=amount))
            case "settle_rest":
                desk.money(payments.settle, invoice, PaymentReport())
            case "fail":
                desk.money(payments.fail_payment, invoice)
            case "write_off":
                desk.money(payments.write_off, invoice)
            case "credit":
                desk.money(credit_notes.credit, invoice, (LineCredit(line_id=line, amount=amount),))
            case "credit_line":
                credited = (LineCredit(line_id=line),)
                desk.money(credit_notes.credit, invoice, credited, cause=CreditCause.INTENT_CHANGED)
            case _:
                desk.money(credit_notes.void, invoice)
    except LedgerError:
        assert len(desk.records) == before


def check(invoice: Invoice) -> None:
    """What holds of an invoice at every moment."""
    live = [line for line in invoice.lines if line.deleted_at is None]
    assert invoice.totals == sum_totals(line.content.totals for line in live)
    assert invoice.payable == invoice.paid + invoice.credited + invoice.written_off + invoice.open
    assert invoice.payable == invoice.totals.total + invoice.tax_total
    for line in live:
        for portion in (line.paid, line.credited, line.written_off, line.open, line.authorized, line.unauthorized):
            assert portion.amount >= 0
            assert 0 <= portion.net <= portion.amount
        assert line.payable == line.paid.plus(line.credited).plus(line.written_off).plus(line.open)
    received = sum((p.amount for p in invoice.payments if p.kind == "settled"), ZERO)
    assert received == invoice.paid + invoice.unapplied, "money is applied, or it is the customer's"


@given(worth=lines, steps=steps)
@settings(max_examples=80, deadline=None)
def test_paid_credited_written_off_and_open_are_the_whole(
    worth: list[tuple[Decimal, Decimal]], steps: list[tuple[str, Decimal, int]]
) -> None:
    desk = Desk()
    invoice = desk.create(
        *(fee(f"{total:f}", charge=charge) for (total, _), charge in zip(worth, CHARGES, strict=False))
    )
    taxed = zip(desk.invoice(invoice).lines, worth, strict=True)
    taxes = {line.line_id: LineTax(amount=min(tax, total)) for line, (total, tax) in taxed if total}
    desk.advance(invoice, auto_approve=True, taxes=taxes)
    settled: dict[UUID, Portion] = {}

    check(desk.invoice(invoice))
    for step, amount, place in steps:
        desk.notices = []
        carry_out(desk, invoice, step, amount, place)
        check(desk.invoice(invoice))
        for notice in desk.notices:
            if isinstance(notice, LinePaymentSettled):
                before = settled.get(notice.line_id, Portion())
                settled[notice.line_id] = before.plus(Portion(amount=notice.amount, net=notice.net))

    freed: dict[UUID, Portion] = {}
    for event in desk.events(invoice):
        if isinstance(event, CreditNoteIssued):
            for credited in event.credit_note.lines:
                part = Portion(amount=credited.freed, net=credited.freed_net)
                freed[credited.line_id] = freed.get(credited.line_id, Portion()).plus(part)
    for line in desk.invoice(invoice).lines:
        told = settled.get(line.line_id, Portion())
        assert told == line.paid.plus(freed.get(line.line_id, Portion())), "charges heard of exactly what was paid"


@given(st.lists(st.tuples(st.sampled_from(["issue", "drop", "zero", "credit"]), cents), max_size=10))
@settings(max_examples=40, deadline=None)
def test_numbers_are_gapless_in_every_series(steps: list[tuple[str, Decimal]]) -> None:
    desk = Desk()
    issued: list[UUID] = []
    for step, amount in steps:
        match step:
            case "issue":
                issued.append(desk.issued(fee(f"{amount + 1:f}")))
            case "drop":
                dropped = desk.create(fee())
                _drop(desk, dropped)
            case "zero":
                desk.issued(fee("0"))
            case _:
                if issued:
                    carry_out(desk, issued[-1], "credit", min(amount, Decimal("0.50")), 0)

    drawn: dict[str, list[int]] = {"INV": [], "CN": []}
    for record in desk.records:
        if isinstance(record.body, numbering.NumberDrawn):
            drawn[record.body.number.series].append(record.body.number.sequence)

    assert drawn["INV"] == list(range(1, len(issued) + 1))
    assert drawn["CN"] == list(range(1, len(drawn["CN"]) + 1))


def _drop(desk: Desk, invoice: UUID) -> None:
    desk.do(lambda draft, facts: decisions.delete(draft, invoice, facts))


@given(left=st.lists(cents, min_size=1, max_size=3), due=cents)
@settings(max_examples=40, deadline=None)
def test_unapplied_credit_is_used_once_and_never_lost(left: list[Decimal], due: Decimal) -> None:
    desk = Desk()
    sources = [desk.issued(fee("1")) for _ in left]
    for source, extra in zip(sources, left, strict=True):
        desk.settle(source, f"{extra + 1:f}")

    target = desk.issued(fee(f"{due + 1:f}"), unapplied_from=tuple(sources))

    used = sum((e.amount for e in desk.events(target) if isinstance(e, PaymentSettled)), ZERO)
    assert used == min(sum(left, ZERO), due + 1)
    assert sum((desk.invoice(source).unapplied for source in sources), ZERO) == sum(left, ZERO) - used
    assert all(p.source is PaymentSource.UNAPPLIED_CREDIT for p in desk.invoice(target).payments)


# ── storing ──────────────────────────────────────────────────────────────────────────────────────────────────


def busy_desk() -> Desk:
    """A history in which everything happens that can happen to invoices."""
    desk = Desk()
    added = desk.create(fee("30"))
    desk.advance(added, tell=_refusing(LineCollected))
    desk.advance(added, notices=desk.do(lambda draft, facts: decisions.retry(draft, added, facts)))
    desk.do(lambda draft, facts: decisions.add_line(draft, added, usage("70"), facts))
    desk.do(lambda draft, facts: decisions.describe(draft, added, "January", facts))
    shown = InvoiceLineUpdated(invoice_id=added, line_id=desk.line(added).line_id, content=content("31"))
    gone = InvoiceLineDeletionRequested(invoice_id=added, line_id=desk.line(added, 1).line_id)
    desk.do(lambda draft, facts: decisions.apply(draft, (shown, gone), facts))
    desk.advance(added)
    desk.approve(added, taxes={desk.line(added).line_id: LineTax(amount=Decimal(6))})
    warned = InvoiceLineDeletionRequested(invoice_id=added, line_id=desk.line(added).line_id)
    desk.do(lambda draft, facts: decisions.apply(draft, (warned,), facts), credit_notes=False)
    desk.authorize(added)
    desk.money(payments.fail_payment, added)
    desk.settle(added, "10")
    desk.write_off(added)
    desk.settle(added, "50")
    desk.credit(added, "1")
    desk.issued(fee("5"), unapplied_from=(added,))
    desk.void(added)
    desk.issued(fee("0"))
    dropped = desk.create(fee())
    desk.do(lambda draft, facts: decisions.delete(draft, dropped, facts))
    return desk


def _refusing(kind: type) -> rounds.Tell:
    def refuse(notice: InvoiceNotice) -> tuple[InvoiceEffect, ...]:
        if isinstance(notice, kind):
            raise PreconditionFailed("the charge is elsewhere")
        return ()

    return refuse


def test_every_event_and_every_state_survives_being_stored() -> None:
    desk = busy_desk()

    for record in desk.records:
        kind = type(record.body)
        assert msgspec.json.decode(as_stored(record.body), type=kind) == record.body
    for stream in desk.streams.values():
        snapshot: Any = Invoice if stream.aggregate == "invoice" else numbering.NumberSeries
        state = desk.draft().state(stream.id)
        assert msgspec.json.decode(as_stored(state), type=snapshot) == state


def test_the_history_in_which_everything_happens_leaves_nothing_out() -> None:
    happened = {type(record.body) for record in busy_desk().records}

    assert set(EVENTS) - happened == set()


def test_stored_names_are_unique_and_of_the_aggregate() -> None:
    names = [event.NAME for event in EVENTS]

    assert len(set(names)) == len(names)
    assert all(name.startswith("invoice.") and name.endswith(".v1") for name in names)
    assert [event.NAME for event in numbering.EVENTS] == ["number_series.number_drawn.v1"]
