"""Invoices by hand, through the facade: credit notes, lines edited, deleted and added, descriptions, what waits."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from aggregates.charges.state import Charge
from aggregates.invoices.refusals import (
    CreditExceedsLine,
    InvoiceOperationRefused,
    LineNotFound,
    LineZeroAmountDeleteInstead,
)
from aggregates.invoices.state import Invoice
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.lifecycle import Status
from aggregates.policies import Policies
from aggregates.values.errors import (
    ActiveRunAlreadyExists,
    CurrencyMismatch,
    NoLines,
    PreconditionFailed,
    ValidationFailed,
)
from ledger.facade import Ledger
from ledger.prices import unit
from tests.application.scenes import JANUARY, at, january_charge, opened, used, with_customer

BY_INVOICE = "credit_then_invoice"
PERIOD = {"period_from": JANUARY[0], "period_to": JANUARY[1]}


@pytest.fixture
def ledger(store_url: str) -> Iterator[Ledger]:
    """A customer whose invoices wait for approval; at the end nothing is found by the audit."""
    with opened(store_url, policies=Policies.standard()) as ledger:
        with_customer(ledger)
        ledger.customers.change_profile("acme", collection_interval="P2D", auto_approve=False)
        yield ledger
        assert ledger.audit.verify().findings == ()


def fee(ledger: Ledger, amount: str = "31", **terms: Any) -> Charge:
    return ledger.charges.create_flat_fee("acme", amount=amount, settlement_mode=BY_INVOICE, **PERIOD, **terms)


def drafted(ledger: Ledger, *amounts: str) -> Invoice:
    """A draft that waits for approval, with a fee of each amount."""
    for amount in amounts:
        fee(ledger, amount)
    [invoice] = ledger.invoices.invoice_pending_lines("acme")
    assert invoice.status is InvoiceStatus.DRAFT_MANUAL_APPROVAL_NEEDED
    return invoice


# ── credit notes ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_amount_is_credited_line_by_line_in_their_order(ledger: Ledger) -> None:
    """30.00 and 70.00, 40.00 credited: all of the first line, 10.00 of the second."""
    invoice = ledger.invoices.approve(drafted(ledger, "30", "70").id)

    credited = ledger.invoices.credit(invoice.id, amount="40", reason="slow in January")

    assert [line.credited.amount for line in credited.lines] == [30, 10]
    [note] = credited.credit_notes
    assert (note.number.text, note.total, note.reason) == ("CN-000001", Decimal(40), "slow in January")
    assert (credited.status, credited.open) == (InvoiceStatus.PAYMENT_PENDING, Decimal(60))
    assert ledger.views.balance("acme").receivable_open == -60


def test_a_line_is_credited_in_part_or_as_far_as_it_goes(ledger: Ledger) -> None:
    invoice = ledger.invoices.approve(drafted(ledger, "30", "70").id)
    first, second = invoice.lines

    credited = ledger.invoices.credit(invoice.id, lines={first.line_id: None, second.line_id: "5.50"})

    assert [line.open.amount for line in credited.lines] == [Decimal(0), Decimal("64.50")]


def test_what_was_paid_and_is_credited_is_the_customers(ledger: Ledger) -> None:
    """31 paid, 10 out of goodwill: 10 of unapplied credit, and the charge is final as before."""
    invoice = ledger.invoices.approve(drafted(ledger, "31").id)
    ledger.invoices.record_payment(invoice.id, "paid")

    credited = ledger.invoices.credit(invoice.id, amount="10")

    assert (credited.status, credited.unapplied, credited.open) == (InvoiceStatus.PAID, Decimal(10), Decimal(0))
    [charge] = ledger.charges.list("acme")
    assert charge.status is Status.FINAL


def test_everything_can_be_credited_and_no_more(ledger: Ledger) -> None:
    invoice = ledger.invoices.approve(drafted(ledger, "31").id)

    with pytest.raises(CreditExceedsLine):
        ledger.invoices.credit(invoice.id, amount="31.01")
    assert ledger.invoices.credit(invoice.id).status is InvoiceStatus.VOIDED


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"amount": "0"}, "not_positive"),
        ({"amount": "1.001"}, "too_many_decimals"),
        ({"amount": "ten"}, "invalid_number"),
        ({"lines": {}}, "no_lines"),
    ],
)
def test_credit_that_cannot_be_is_refused_before_anything_is_written(
    ledger: Ledger, asked: dict[str, Any], code: str
) -> None:
    invoice = ledger.invoices.approve(drafted(ledger, "31").id)
    before = ledger.store.head()

    with pytest.raises(ValidationFailed) as refused:
        ledger.invoices.credit(invoice.id, **asked)

    assert code in {finding.code for finding in refused.value.findings}
    assert ledger.store.head() == before


def test_a_credit_note_sent_twice_is_one(ledger: Ledger) -> None:
    invoice = ledger.invoices.approve(drafted(ledger, "31").id)

    first = ledger.invoices.credit(invoice.id, amount="10", command_id="note-1")
    assert ledger.invoices.credit(invoice.id, amount="10", command_id="note-1") == first

    assert len(first.credit_notes) == 1


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_line_that_is_edited_changes_its_fee(ledger: Ledger) -> None:
    """31 becomes 20.00 under another name; the charge says the same."""
    invoice = drafted(ledger, "31")
    [line] = invoice.lines

    edited = ledger.invoices.edit_line(invoice.id, line.line_id, amount="20", name="Support, reduced")

    assert [(line.content.name, line.totals.total) for line in edited.lines] == [("Support, reduced", Decimal(20))]
    charge = ledger.charges.get(line.charge_id)
    assert charge.intent.override is not None
    assert ledger.invoices.approve(invoice.id).open == 20


def test_an_edit_is_refused_where_it_is_nothing_or_not_possible(ledger: Ledger) -> None:
    invoice = drafted(ledger, "31")
    [line] = invoice.lines

    with pytest.raises(ValidationFailed, match="changes nothing"):
        ledger.invoices.edit_line(invoice.id, line.line_id)
    with pytest.raises(LineZeroAmountDeleteInstead):
        ledger.invoices.edit_line(invoice.id, line.line_id, amount="0")
    with pytest.raises(LineNotFound):
        ledger.invoices.edit_line(invoice.id, "no id", amount="1")
    ledger.invoices.approve(invoice.id)
    with pytest.raises(InvoiceOperationRefused):
        ledger.invoices.edit_line(invoice.id, line.line_id, amount="20")


def test_a_line_that_is_deleted_waits_to_be_invoiced_again(ledger: Ledger) -> None:
    invoice = drafted(ledger, "30", "70")
    first, _ = invoice.lines

    left = ledger.invoices.delete_line(invoice.id, first.line_id)

    assert left.totals.total == 70
    [waiting] = ledger.invoices.preview("acme")
    assert (waiting.charge, waiting.content.totals.total) == (first.charge_id, Decimal(30))


def test_an_invoice_goes_with_its_last_line(ledger: Ledger) -> None:
    invoice = drafted(ledger, "31")

    assert ledger.invoices.delete_line(invoice.id, invoice.lines[0].line_id).status is InvoiceStatus.DELETED


def test_a_line_of_usage_has_its_amount_from_its_charge(ledger: Ledger) -> None:
    """What was used is not for anybody to edit; how it is called is (lifecycles §22 row 6)."""
    january_charge(ledger, settlement_mode=BY_INVOICE)
    used(ledger, "7", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-01T00:00:00Z")
    [invoice] = ledger.invoices.invoice_pending_lines("acme")

    with pytest.raises(ValidationFailed) as refused:
        ledger.invoices.edit_line(invoice.id, invoice.lines[0].line_id, amount="1")
    assert [(each.path, each.code) for each in refused.value.findings] == [("amount", "not_editable")]
    named = ledger.invoices.edit_line(invoice.id, invoice.lines[0].line_id, name="Calls of the launch")
    assert [(line.content.name, line.content.totals.total) for line in named.live_lines] == [("Calls of the launch", 7)]


def test_a_description_is_set_until_the_invoice_is_issued(ledger: Ledger) -> None:
    invoice = drafted(ledger, "31")

    assert ledger.invoices.describe(invoice.id, "PO 4711").description == "PO 4711"
    before = ledger.store.head()
    ledger.invoices.describe(invoice.id, "PO 4711")
    assert ledger.store.head() == before
    assert ledger.invoices.describe(invoice.id, None).description is None
    ledger.invoices.approve(invoice.id)
    with pytest.raises(InvoiceOperationRefused):
        ledger.invoices.describe(invoice.id, "too late")


# ── lines by hand ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_fee_by_hand_is_on_the_invoice_at_once(ledger: Ledger) -> None:
    """31 waits; a set-up fee of 9 is added: 40 are issued together, and paid together."""
    invoice = drafted(ledger, "31")

    added = ledger.invoices.add_fee(
        invoice.id, amount="9", name="Set-up", period_from="2026-03-01T00:00:00Z", period_to="2026-04-01T00:00:00Z"
    )

    assert [line.content.name for line in added.live_lines] == ["Fee", "Set-up"]
    issued = ledger.invoices.approve(invoice.id)
    assert issued.totals.total == 40
    ledger.invoices.record_payment(invoice.id, "paid")
    assert {charge.status for charge in ledger.charges.list("acme")} == {Status.FINAL}


def test_usage_by_hand_waits_until_it_is_collected(ledger: Ledger) -> None:
    invoice = drafted(ledger, "31")
    used(ledger, "12", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-01T00:00:00Z")

    added = ledger.invoices.add_usage(invoice.id, feature="calls", price=unit("0.50"), **PERIOD)

    assert added.status is InvoiceStatus.DRAFT_WAITING_FOR_COLLECTION
    at(ledger, "2026-02-03T00:01:00Z")
    collected = ledger.invoices.advance(invoice.id)
    assert (collected.status, collected.totals.total) == (InvoiceStatus.DRAFT_MANUAL_APPROVAL_NEEDED, Decimal(37))


def test_usage_that_has_not_begun_is_no_line_yet_and_nothing_is_saved(ledger: Ledger) -> None:
    invoice = drafted(ledger, "31")
    before = ledger.store.head()

    with pytest.raises(PreconditionFailed, match="2026-02-01"):
        ledger.invoices.add_usage(
            invoice.id, feature="calls", price=unit("1"), period_from=JANUARY[1], period_to="2026-03-01T00:00:00Z"
        )

    assert ledger.store.head() == before
    assert len(ledger.charges.list("acme")) == 1


def test_a_fee_that_is_not_due_is_attached_before_its_time(ledger: Ledger) -> None:
    """Rule K4: due on 1 February, on an invoice of January."""
    invoice = drafted(ledger, "31")
    later = fee(ledger, "50", payment_term="in_arrears")

    attached = ledger.invoices.attach(invoice.id, later.id)

    assert attached.totals.total == 81
    with pytest.raises(ActiveRunAlreadyExists):
        ledger.invoices.attach(invoice.id, later.id)


def test_usage_is_attached_as_far_as_it_has_come(ledger: Ledger) -> None:
    invoice = drafted(ledger, "31")
    charge = january_charge(ledger, settlement_mode=BY_INVOICE, price=unit("1"))
    with pytest.raises(NoLines):
        ledger.invoices.attach(invoice.id, charge.id)
    at(ledger, "2026-01-05T00:00:00Z")
    used(ledger, "4", "2026-01-05T00:00:00Z")
    at(ledger, "2026-01-11T00:00:00Z")

    attached = ledger.invoices.attach(invoice.id, charge.id)

    assert attached.lines[-1].content.period.to.isoformat() == "2026-01-11T00:00:00+00:00"
    assert attached.totals.total == 35


def test_a_charge_in_another_currency_is_on_another_invoice(ledger: Ledger) -> None:
    invoice = drafted(ledger, "31")
    euros = fee(ledger, "10", currency="EUR")

    with pytest.raises(CurrencyMismatch):
        ledger.invoices.attach(invoice.id, euros.id)


def test_a_line_by_hand_does_not_choose_what_its_invoice_says(ledger: Ledger) -> None:
    invoice = drafted(ledger, "31")

    with pytest.raises(ValidationFailed) as refused:
        ledger.invoices.add_fee(invoice.id, amount="9", currency="EUR", settlement_mode="credit_only", **PERIOD)

    assert {finding.path for finding in refused.value.findings} == {"currency", "settlement_mode"}


def test_what_waits_is_previewed_and_nothing_is_written(ledger: Ledger) -> None:
    """A fee of 31, one of 20 with 10 % off, and 7 calls at 0.50 so far: 31, 18 and 3.50."""
    fee(ledger, "31", payment_term="in_arrears")
    fee(ledger, "20", payment_term="in_arrears", percentage_discount={"percentage": "10"})
    january_charge(ledger, settlement_mode=BY_INVOICE, price=unit("0.50"))
    used(ledger, "7", "2026-01-05T00:00:00Z")
    at(ledger, "2026-01-10T00:00:00Z")
    ledger.charges.advance("acme")
    before = ledger.store.head()

    waiting = ledger.invoices.preview("acme")

    assert [line.content.totals.total for line in waiting] == [Decimal(31), Decimal(18), Decimal("3.50")]
    reduced = waiting[1].content
    assert (reduced.quantity, reduced.unit_amount, reduced.totals.discounts_total) == (1, 20, 2)
    assert ledger.store.head() == before
