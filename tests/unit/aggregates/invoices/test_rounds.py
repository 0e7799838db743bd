"""Rounds: an invoice and its charges talk until it is quiet, in one decision (lifecycles §4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID, uuid5

import pytest

from aggregates.invoices import rounds
from aggregates.invoices.effects import (
    CreditNoteRequested,
    InvoiceEffect,
    InvoiceLineDeletionRequested,
    InvoiceLineUpdated,
    InvoiceNotice,
    LineCollected,
    LineCreated,
    LineFinalizing,
    LineIssued,
    LineRemoved,
    SyncRequested,
)
from aggregates.invoices.refusals import InvoiceNotFound, UnhandledInvoiceEffects
from tests.support.invoicing import FEE, USAGE, Desk, content, fee, usage

RUN = uuid5(USAGE, "run")


class Charges:
    """Two charges that answer what each step is announced to answer, and nothing else."""

    def __init__(self, answers: dict[tuple[type, UUID | None], Sequence[str]]) -> None:
        self.answers = {key: list(totals) for key, totals in answers.items()}

    def __call__(self, notice: InvoiceNotice) -> Sequence[InvoiceEffect]:
        charge = getattr(notice, "charge_id", None)
        answers = self.answers[type(notice), charge]
        if not answers:
            return ()
        answer = answers.pop(0)
        line_id: UUID = getattr(notice, "line_id")  # noqa: B009 - the outside has none, and is not asked for lines
        if answer == "delete":
            return (InvoiceLineDeletionRequested(invoice_id=notice.invoice_id, line_id=line_id),)
        shows = content(answer, collected_after="2026-02-03T00:01Z" if charge == USAGE else None)
        return (InvoiceLineUpdated(invoice_id=notice.invoice_id, line_id=line_id, run_id=RUN, content=shows),)


def test_from_a_draft_to_a_document_with_the_charges_answering() -> None:
    """8 units known when the line is made, 10 when it is collected."""
    desk = Desk(auto_approve=True)
    charges = Charges(
        {
            (LineCreated, FEE): ["5"],
            (LineCreated, USAGE): ["8"],
            (LineCollected, FEE): [],
            (LineCollected, USAGE): ["10"],
            (LineFinalizing, FEE): [],
            (LineFinalizing, USAGE): [],
            (SyncRequested, None): [],
            (LineIssued, FEE): [],
            (LineIssued, USAGE): [],
        }
    )
    invoice = desk.create(fee("0"), usage("0"), at="2026-02-01")
    desk.advance(invoice, "2026-02-01", charges, notices=desk.notices)
    assert desk.status(invoice) == "draft.waiting_for_collection"
    assert desk.invoice(invoice).totals.total == 13

    desk.advance(invoice, "2026-02-03T00:01Z", charges)

    assert desk.status(invoice) == "payment_processing.pending"
    assert desk.told_with(LineIssued, "charge_id", "run_id") == [(FEE, RUN), (USAGE, RUN)]
    assert desk.invoice(invoice).totals.total == 15


def test_a_line_with_nothing_left_in_fiat_goes_and_takes_its_invoice_along() -> None:
    """V6, K9: credit covered the custom currency; the charge asks for the deletion while it is collected."""
    desk = Desk(auto_approve=True)
    charges = Charges({(LineCollected, USAGE): ["delete"], (LineRemoved, USAGE): []})
    invoice = desk.create(usage("0"))

    desk.advance(invoice, tell=charges)

    assert desk.status(invoice) == "deleted"
    assert desk.told() == ["LineCollected", "LineRemoved"]


def test_the_rest_of_an_invoice_goes_on_without_the_line() -> None:
    desk = Desk()
    charges = Charges({(LineCollected, USAGE): ["delete"], (LineRemoved, USAGE): [], (LineCollected, FEE): []})
    invoice = desk.create(usage("0"), fee("5"))

    desk.advance(invoice, tell=charges)

    assert desk.status(invoice) == "draft.manual_approval_needed"
    assert [line.charge_id for line in desk.invoice(invoice).live_lines] == [FEE]


def test_a_patch_reaches_the_invoice_and_comes_back_to_the_charge() -> None:
    desk = Desk()
    invoice = desk.create(fee())
    line = desk.line(invoice).line_id
    heard: list[InvoiceNotice] = []

    def listening(notice: InvoiceNotice) -> Sequence[InvoiceEffect]:
        heard.append(notice)
        return ()

    effects = (InvoiceLineDeletionRequested(invoice_id=invoice, line_id=line),)
    desk.do(lambda draft, facts: rounds.apply(draft, effects, facts, listening))

    assert [type(notice) for notice in heard] == [LineRemoved]
    assert desk.status(invoice) == "deleted"


def test_nothing_to_apply_is_nothing_done() -> None:
    desk = Desk()

    desk.do(lambda draft, facts: rounds.apply(draft, (), facts, _unannounced))

    assert desk.records == []


def _unannounced(notice: InvoiceNotice) -> Sequence[InvoiceEffect]:
    raise AssertionError(f"not announced: {notice}")


def test_a_talk_without_an_end_is_a_defect() -> None:
    """Each deletion on an immutable invoice without credit notes is told once; a charge that keeps asking is not."""
    desk = Desk()
    invoice = desk.issued(fee("1000"))
    line = desk.line(invoice).line_id
    asked = _Insatiable(invoice, line)

    with pytest.raises(UnhandledInvoiceEffects) as refused:
        desk.do(lambda draft, facts: rounds.apply(draft, asked(None), facts, asked))

    assert refused.value.rounds == 100
    assert refused.value.code == "unhandled_invoice_effects"


class _Insatiable:
    def __init__(self, invoice: UUID, line: UUID) -> None:
        self.invoice, self.line = invoice, line

    def __call__(self, _notice: InvoiceNotice | None) -> Sequence[InvoiceEffect]:

        return (CreditNoteRequested(invoice_id=self.invoice, line_id=self.line, amount=Decimal("0.01")),)


def test_advancing_what_does_not_exist_is_refused() -> None:
    desk = Desk()

    with pytest.raises(InvoiceNotFound):
        desk.advance(FEE)
