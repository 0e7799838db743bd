"""Credit notes: issued value is taken back by a document of its own, in part or in full (decisions 22, 23)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from aggregates.invoices import credit_notes, decisions, payments
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.effects import (
    CreditNoteRequested,
    InvoiceEffect,
    InvoiceLineDeletionRequested,
    LineCredited,
    LineReinstated,
)
from aggregates.invoices.events import CreditNoteIssued, InvoiceWarned
from aggregates.invoices.lines import LineTax
from aggregates.invoices.refusals import (
    CreditExceedsLine,
    CreditNotesUnavailable,
    InvoiceNotFound,
    InvoiceOperationRefused,
    LineNotFound,
)
from aggregates.invoices.requests import LineCredit
from aggregates.values.decimals import shortest
from aggregates.values.errors import Unavailable, ValidationFailed
from tests.support.invoicing import FEE, USAGE, Desk, fee, usage


def money(desk: Desk, invoice: UUID) -> dict[str, str]:
    """The figures of an invoice that are not zero."""
    state = desk.invoice(invoice)
    names = ("authorized", "paid", "credited", "written_off", "open", "unapplied")
    return {name: shortest(getattr(state, name)) for name in names if getattr(state, name)}


def apply(desk: Desk, *effects: InvoiceEffect, **facts: Any) -> None:
    desk.notices = list(desk.do(lambda draft, known: decisions.apply(draft, effects, known), **facts))


def deletion(desk: Desk, invoice: UUID, place: int = 0) -> InvoiceLineDeletionRequested:
    return InvoiceLineDeletionRequested(invoice_id=invoice, line_id=desk.line(invoice, place).line_id)


# ── in part ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_paid_fee_of_100_cut_to_10_of_31_days_gives_67_74_back() -> None:
    """100 for 10 of 31 days is 32.26; the rest becomes the customer's unapplied credit."""
    desk = Desk()
    invoice = desk.issued(fee("100"))
    desk.settle(invoice)

    apply(
        desk,
        CreditNoteRequested(
            invoice_id=invoice, line_id=desk.line(invoice).line_id, amount=Decimal("67.74"), reason="cut to 10 days"
        ),
    )

    [note] = desk.invoice(invoice).credit_notes
    assert (note.number.text, note.invoice_number) == ("CN-000001", "INV-000001")
    assert (note.total, note.tax_total, note.reason) == (Decimal("67.74"), Decimal(0), "cut to 10 days")
    assert money(desk, invoice) == {"paid": "32.26", "credited": "67.74", "unapplied": "67.74"}
    assert desk.status(invoice) == "paid"
    assert desk.told_with(LineCredited, "amount", "freed", "in_full", "cause", "credit_note_id") == [
        (Decimal("67.74"), Decimal("67.74"), False, CreditCause.INTENT_CHANGED, note.credit_note_id)
    ]


def test_the_unapplied_credit_of_a_note_pays_the_next_invoice() -> None:
    desk = Desk()
    paid = desk.issued(fee("100"))
    desk.settle(paid)
    desk.credit(paid, "67.74")

    next_one = desk.issued(fee("32.26"), unapplied_from=(paid,))

    assert desk.status(next_one) == "paid"
    assert money(desk, paid)["unapplied"] == "35.48"


def test_a_note_takes_what_is_open_before_what_is_paid() -> None:
    desk = Desk()
    invoice = desk.issued(fee("100"))
    desk.settle(invoice, "70")

    desk.credit(invoice, "50")

    assert money(desk, invoice) == {"paid": "50", "credited": "50", "unapplied": "20"}
    assert desk.status(invoice) == "paid"
    [(amount, freed)] = desk.told_with(LineCredited, "amount", "freed")
    assert (amount, freed) == (50, 20)


def test_a_note_leaves_what_is_promised_for_last_of_what_is_open() -> None:
    """40.00 of 100.00 are promised: a note of 80.00 leaves 20.00 of that promise standing."""
    desk = Desk()
    invoice = desk.issued(fee("100"))
    desk.authorize(invoice, "40")

    desk.credit(invoice, "80")

    assert money(desk, invoice) == {"authorized": "20", "open": "20", "credited": "80"}


def test_a_written_off_line_is_reinstated_before_it_is_credited() -> None:
    desk = Desk()
    invoice = desk.issued(fee("100"))
    desk.settle(invoice, "30")
    desk.write_off(invoice)

    desk.credit(invoice, "60")
    assert desk.told() == ["LineReinstated", "LineCredited"]
    assert desk.told_with(LineReinstated, "amount") == [(60,)]
    assert money(desk, invoice) == {"paid": "30", "written_off": "10", "credited": "60"}
    assert desk.status(invoice) == "written_off"

    desk.credit(invoice, "10")
    assert desk.status(invoice) == "paid"
    assert money(desk, invoice) == {"paid": "30", "credited": "70"}


def test_one_note_may_take_of_several_lines() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"), usage("70"))

    desk.credit(invoice, "10", None)

    [note] = desk.invoice(invoice).credit_notes
    assert [(line.amount, line.in_full) for line in note.lines] == [(Decimal(10), False), (Decimal(70), True)]
    assert note.total == 80
    assert money(desk, invoice) == {"credited": "80", "open": "20"}


def test_credit_notes_have_a_series_of_their_own() -> None:
    desk = Desk()
    first, second = desk.issued(fee()), desk.issued(usage())

    desk.credit(first, "1")
    desk.credit(second, "1")
    desk.credit(first, "1")

    numbers = [e.credit_note.number.text for e in _all_events(desk) if isinstance(e, CreditNoteIssued)]
    assert numbers == ["CN-000001", "CN-000002", "CN-000003"]


def _all_events(desk: Desk) -> list[object]:
    return [record.body for record in desk.records]


def test_tax_goes_back_in_proportion() -> None:
    desk = Desk()
    invoice = desk.create(fee("100"))
    taxes = {desk.line(invoice).line_id: LineTax(amount=Decimal(19))}
    desk.advance(invoice, auto_approve=True, taxes=taxes)
    desk.settle(invoice)

    desk.credit(invoice, "67.74")
    desk.credit(invoice, None)

    first, second = desk.invoice(invoice).credit_notes
    assert (first.total, first.tax_total) == (Decimal("80.61"), Decimal("12.87"))
    assert (second.total, second.tax_total) == (Decimal("38.39"), Decimal("6.13"))
    assert money(desk, invoice) == {"credited": "119", "unapplied": "119"}
    assert desk.status(invoice) == "voided"


# ── in full ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("paid", [None, "40", "100"])
def test_voiding_is_a_credit_note_in_full(paid: str | None) -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"), usage("70"))
    if paid:
        desk.settle(invoice, paid)

    desk.void(invoice, "wrong customer")

    assert desk.status(invoice) == "voided"
    assert money(desk, invoice) == {"credited": "100"} | ({"unapplied": paid} if paid else {})
    assert desk.told_with(LineCredited, "charge_id", "amount", "in_full", "cause") == [
        (FEE, 30, True, CreditCause.INVOICE_VOIDED),
        (USAGE, 70, True, CreditCause.INVOICE_VOIDED),
    ]
    assert desk.invoice(invoice).credit_notes[-1].reason == "wrong customer"


def test_voiding_takes_only_what_is_left() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"), usage("70"))
    desk.credit(invoice, None, "20")

    desk.void(invoice)

    assert desk.told_with(LineCredited, "charge_id", "amount") == [(USAGE, 50)]
    assert money(desk, invoice) == {"credited": "100"}


def test_voiding_a_written_off_invoice_takes_the_write_off_back() -> None:
    desk = Desk()
    invoice = desk.issued(usage("12.50"))
    desk.write_off(invoice)

    desk.void(invoice)

    assert desk.told() == ["LineReinstated", "LineCredited"]
    assert money(desk, invoice) == {"credited": "12.5"}


def test_voiding_what_credit_covered_gives_only_the_credit_back() -> None:
    """Nothing was owed, so there is no note; the charge gives the run's credit back."""
    desk = Desk()
    invoice = desk.issued(usage("0", credits_total="5"))

    desk.void(invoice)

    assert desk.status(invoice) == "voided"
    assert desk.invoice(invoice).credit_notes == ()
    assert desk.told_with(LineCredited, "amount", "in_full", "credit_note_id") == [(0, True, None)]


def test_an_invoice_that_is_credited_bit_by_bit_is_void_in_the_end() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"), usage("70"))

    desk.credit(invoice, None)
    assert desk.status(invoice) == "payment_processing.pending"
    desk.money(credit_notes.credit, invoice, (LineCredit(line_id=desk.line(invoice, 1).line_id),))

    assert desk.status(invoice) == "voided"


def test_money_for_a_void_invoice_is_unapplied_credit() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"))
    desk.authorize(invoice)
    desk.void(invoice)

    desk.settle(invoice, "30")

    assert desk.status(invoice) == "voided"
    assert money(desk, invoice) == {"credited": "30", "unapplied": "30"}


# ── what charges ask for ─────────────────────────────────────────────────────────────────────────────────────


def test_a_line_that_is_to_go_from_an_issued_invoice_is_credited() -> None:
    """Lifecycles §22 row 1; the line stays on the document."""
    desk = Desk()
    invoice = desk.issued(fee("30"), usage("70"))

    apply(desk, deletion(desk, invoice))

    assert desk.told_with(LineCredited, "charge_id", "in_full", "cause") == [(FEE, True, CreditCause.INTENT_CHANGED)]
    assert len(desk.invoice(invoice).live_lines) == 2
    assert money(desk, invoice) == {"credited": "30", "open": "70"}


def test_asking_again_for_what_is_credited_changes_nothing() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"), usage("70"))
    apply(desk, deletion(desk, invoice))
    before = len(desk.records)

    apply(desk, deletion(desk, invoice))

    assert len(desk.records) == before
    assert desk.notices == []


def test_without_credit_notes_the_invoice_is_warned_once() -> None:
    """Lifecycles §17.6: nothing changes on the invoice."""
    desk = Desk(credit_notes=False)
    invoice = desk.issued(fee("30"), usage("70"))

    apply(desk, deletion(desk, invoice))
    apply(desk, deletion(desk, invoice))

    [issue] = desk.invoice(invoice).issues
    assert (issue.severity, issue.code) == ("warning", "immutable_invoice_handling_not_supported")
    assert issue.message == "line should be deleted, but the invoice is immutable"
    assert desk.notices == [], "the second time nobody is told"
    assert len(desk.invoice(invoice).live_lines) == 2
    assert desk.invoice(invoice).open == 100


def test_without_credit_notes_the_charge_is_told_that_its_run_is_invalid() -> None:
    desk = Desk(credit_notes=False)
    invoice = desk.issued(fee("30"))

    apply(desk, deletion(desk, invoice))

    assert desk.told() == ["LineDeletionUnsupported"]


def test_an_invoice_that_is_being_issued_has_nothing_to_credit_yet() -> None:
    """It has no number a credit note could name, so it is warned about."""
    desk = Desk()
    invoice = desk.create(fee())

    def not_now(notice: object) -> tuple[InvoiceEffect, ...]:
        if type(notice).__name__ == "SyncRequested":
            raise Unavailable("the outside", "timeout")
        return ()

    desk.advance(invoice, tell=not_now, auto_approve=True)
    apply(desk, deletion(desk, invoice))

    assert desk.status(invoice) == "issuing.sync_failed"
    assert any(isinstance(event, InvoiceWarned) for event in desk.events(invoice))
    assert desk.told() == ["LineDeletionUnsupported"]


def test_a_line_of_zeros_is_gone_without_a_note() -> None:
    desk = Desk()
    invoice = desk.issued(usage("0"))

    apply(desk, deletion(desk, invoice))

    assert desk.told_with(LineCredited, "amount", "in_full", "credit_note_id") == [(0, True, None)]
    assert desk.status(invoice) == "closed_unnumbered"


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_credit_is_refused_in_order() -> None:
    off = Desk(credit_notes=False)
    issued_there = off.issued(fee())
    desk = Desk()
    draft, invoice = desk.create(fee()), desk.issued(fee("30"))
    line = desk.line(invoice).line_id
    other = desk.line(draft).line_id

    with pytest.raises(InvoiceNotFound):
        off.void(FEE)
    with pytest.raises(CreditNotesUnavailable) as unavailable:
        off.credit(issued_there, "1")
    assert unavailable.value.code == "immutable_invoice_handling_not_supported"
    with pytest.raises(CreditNotesUnavailable):
        off.void(issued_there)
    with pytest.raises(InvoiceOperationRefused):
        desk.credit(draft, "1")
    with pytest.raises(InvoiceOperationRefused):
        desk.void(draft)
    with pytest.raises(ValidationFailed) as wrong:
        desk.money(
            credit_notes.credit,
            invoice,
            (LineCredit(line_id=other, amount=Decimal("-0.001")), LineCredit(line_id=other, amount=Decimal(0))),
        )
    assert wrong.value.codes == ("not_positive", "too_many_decimals", "duplicate_line", "not_positive")
    with pytest.raises(ValidationFailed) as empty:
        desk.money(credit_notes.credit, invoice, ())
    assert empty.value.codes == ("no_lines",)
    with pytest.raises(LineNotFound):
        desk.money(credit_notes.credit, invoice, (LineCredit(line_id=other),))
    with pytest.raises(CreditExceedsLine) as too_much:
        desk.money(credit_notes.credit, invoice, (LineCredit(line_id=line, amount=Decimal("30.01")),))
    assert (too_much.value.code, too_much.value.left) == ("credit_exceeds_accrued", 30)

    desk.credit(invoice, "30.00")
    assert desk.status(invoice) == "voided"
    assert desk.told_with(LineCredited, "in_full") == [(True,)], "all of it by amount is in full, too"
    with pytest.raises(InvoiceOperationRefused):
        desk.void(invoice)


def test_what_charges_ask_for_is_checked_the_same_way() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"))
    line = desk.line(invoice).line_id

    with pytest.raises(ValidationFailed):
        apply(desk, CreditNoteRequested(invoice_id=invoice, line_id=line, amount=Decimal("0.001")))
    with pytest.raises(CreditExceedsLine):
        apply(desk, CreditNoteRequested(invoice_id=invoice, line_id=line, amount=Decimal("30.01")))
    with pytest.raises(CreditNotesUnavailable):
        apply(desk, CreditNoteRequested(invoice_id=invoice, line_id=line), credit_notes=False)
    apply(desk, CreditNoteRequested(invoice_id=invoice, line_id=line, amount=Decimal("0.01")))

    assert money(desk, invoice) == {"credited": "0.01", "open": "29.99"}


def test_a_promise_that_a_note_took_away_cannot_be_too_much() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"))
    desk.authorize(invoice)
    desk.credit(invoice, "20")

    assert money(desk, invoice) == {"authorized": "10", "open": "10", "credited": "20"}
    desk.money(payments.fail_payment, invoice)
    assert money(desk, invoice) == {"open": "10", "credited": "20"}
