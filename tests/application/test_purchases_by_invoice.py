"""Credit that is sold by invoice: what its line asks for is what is owed for it, whatever is taken back and when.

100 at 0.5 cost 50.00. `figures` reads the two sides at once, and the fixture checks after each test that the trial
balance is zero and the history sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from aggregates.charges.state import Charge
from aggregates.credits.events import PurchasePaymentSettled
from aggregates.invoices.refusals import CreditNotesUnavailable, UnappliedCreditExceeded
from aggregates.invoices.state import Invoice
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.policies import CreditNotes, Policies
from aggregates.values.errors import LedgerError
from ledger.facade import Ledger
from tests.application.scenes import at, january_charge, opened, used, with_customer
from tests.application.test_invoiced_revenue import fee, issued, standard
from tests.application.test_payments_that_fail import considered, refused
from tests.application.test_revenue import events_of_pool
from tests.support.lifetimes import check_purchases

FEBRUARY = "2026-02-01T00:00:00Z"


@pytest.fixture
def ledger(store_url: str) -> Iterator[Ledger]:
    opened_ledger = opened(store_url, policies=Policies.standard())
    with_customer(opened_ledger)
    yield opened_ledger
    in_order(opened_ledger)
    opened_ledger.close()


def in_order(ledger: Ledger) -> None:
    """The audit finds nothing, the trial balance is zero in both columns, and invoices ask for what is owed."""
    for month in ("2026-01", "2026-02", "2026-03"):
        considered(ledger, month)
    assert ledger.audit.verify().findings == ()
    check_purchases(ledger, "acme")


def sold(ledger: Ledger, **terms: Any) -> Charge:
    """100 at 0.5 by invoice."""
    return ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice", **terms)


def by_hand(ledger: Ledger) -> None:
    """Invoices wait for somebody to approve them."""
    ledger.customers.change_profile("acme", collection_interval="P2D", auto_approve=False)


def invoice(ledger: Ledger) -> Invoice:
    """The newest invoice."""
    return ledger.invoices.list("acme")[-1]


def use(ledger: Ledger, quantity: str) -> None:
    """So much of the credit is used in January; then it is February."""
    january_charge(ledger)
    used(ledger, quantity, "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")


def figures(ledger: Ledger) -> list[str]:
    """Credit left, what the newest invoice asks for, what is in the bank, and what is unapplied on all invoices."""
    balance = ledger.views.balance("acme")
    unapplied = sum((each.unapplied for each in ledger.invoices.list("acme")), Decimal(0))
    return [f"{each:.2f}" for each in (balance.settled, invoice(ledger).open, -balance.wash, unapplied)]


def status(ledger: Ledger, purchase: Charge) -> str:
    return ledger.charges.get(purchase.id).status.value


# ── taken back before its line is on an invoice ──────────────────────────────────────────────────────────────


def test_a_purchase_that_still_gathers_is_lowered_to_what_is_left_of_it(ledger: Ledger) -> None:
    """100 for February, 40 taken back in January: 60 are granted in February, for 30.00."""
    purchase = sold(ledger, effective_at=FEBRUARY)
    ledger.credits.reduce(purchase.id, "40")

    waiting = ledger.charges.get(purchase.id).gathering_line
    assert waiting is not None
    assert waiting.amount == 30
    at(ledger, FEBRUARY)
    ledger.worker.run_once()
    assert figures(ledger) == ["60.00", "30.00", "0.00", "0.00"]
    assert invoice(ledger).lines[0].content.name == "Credit (60.00 USD credits)"
    ledger.invoices.record_payment(invoice(ledger).id, "paid")
    assert status(ledger, purchase) == "final"


@pytest.mark.parametrize("how", ["reduce", "cancel"])
def test_a_purchase_that_still_gathers_and_is_taken_back_whole_is_over(ledger: Ledger, how: str) -> None:
    purchase = sold(ledger, effective_at=FEBRUARY)
    assert refused(ledger, lambda: ledger.credits.void(purchase.id)) == "precondition_failed"
    act = {
        "reduce": lambda: ledger.credits.reduce(purchase.id, "100"),
        "cancel": lambda: ledger.credits.cancel(purchase.id),
    }
    act[how]()

    assert (status(ledger, purchase), ledger.charges.get(purchase.id).gathering_line) == ("final", None)
    at(ledger, FEBRUARY)
    assert ledger.worker.run_once().is_idle
    assert ledger.invoices.list("acme") == []


def test_no_more_is_taken_back_than_waits(ledger: Ledger) -> None:
    purchase = sold(ledger, effective_at=FEBRUARY)

    assert refused(ledger, lambda: ledger.credits.reduce(purchase.id, "100.01")) == "reduction_exceeds_unused"
    assert refused(ledger, lambda: ledger.credits.reduce(purchase.id, "99.995")) == "validation"
    assert refused(ledger, lambda: ledger.credits.reduce(purchase.id, "0")) == "validation"


# ── taken back on a draft ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("adjustment", ["none", "reduce", "refund"])
def test_a_draft_asks_for_what_is_left_whatever_the_adjustment(ledger: Ledger, adjustment: str) -> None:
    """100 at 0.5, 40 used, the rest taken back: nothing was asked for yet, so 20.00 are."""
    by_hand(ledger)
    purchase = sold(ledger)
    use(ledger, "40")
    ledger.credits.void(purchase.id, payment_adjustment=adjustment)

    assert figures(ledger) == ["0.00", "20.00", "0.00", "0.00"]
    line = invoice(ledger).lines[0]
    assert (line.content.quantity, line.content.name) == (40, "Credit (40.00 USD credits)")
    ledger.invoices.approve(invoice(ledger).id)
    ledger.invoices.record_payment(invoice(ledger).id, "paid")
    assert (status(ledger, purchase), figures(ledger)) == ("final", ["0.00", "0.00", "20.00", "0.00"])


def test_a_draft_of_which_nothing_is_left_goes_and_the_purchase_is_over(ledger: Ledger) -> None:
    by_hand(ledger)
    purchase = sold(ledger)
    ledger.credits.void(purchase.id)

    assert invoice(ledger).status is InvoiceStatus.DELETED
    assert status(ledger, purchase) == "final"


# ── taken back after it was issued ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("adjustment", ["none", "reduce", "refund"])
def test_what_is_taken_back_of_an_issued_line_is_credited_once(ledger: Ledger, adjustment: str) -> None:
    """Of 50.00 nobody has paid, 10.00 are credited with the 20 that are taken back; 40.00 are asked for and owed."""
    purchase = sold(ledger)
    ledger.credits.reduce(purchase.id, "20", payment_adjustment=adjustment, command_id="reduce-1")
    position = ledger.store.head()
    ledger.credits.reduce(purchase.id, "20", payment_adjustment=adjustment, command_id="reduce-1")
    assert ledger.store.head() == position

    assert figures(ledger) == ["80.00", "40.00", "0.00", "0.00"]
    [note] = invoice(ledger).credit_notes
    assert (note.total, note.number.text) == (10, "CN-000001")
    ledger.invoices.record_payment(invoice(ledger).id, "paid")
    assert (status(ledger, purchase), figures(ledger)) == ("final", ["80.00", "0.00", "40.00", "0.00"])
    assert considered(ledger) == {"customer_fbo": "40.00", "wash": "-40.00"}


def test_an_issued_line_of_which_nothing_is_left_is_credited_in_full(ledger: Ledger) -> None:
    purchase = sold(ledger)
    ledger.credits.void(purchase.id)

    assert (invoice(ledger).status, invoice(ledger).credited) == (InvoiceStatus.VOIDED, 50)
    assert (status(ledger, purchase), figures(ledger)) == ("final", ["0.00", "0.00", "0.00", "0.00"])
    assert ledger.credits.void(purchase.id).status.value == "final"


def test_a_price_that_does_not_come_out_even_is_asked_for_to_the_cent(ledger: Ledger) -> None:
    """9.42 at 0.5 are 4.71; without 0.16 they are 9.26 at 4.63, and without another 0.01 4.63 still (4.625)."""
    purchase = ledger.credits.sell("acme", "9.42", cost_basis="0.5", settlement="invoice")
    assert invoice(ledger).open == Decimal("4.71")
    ledger.credits.reduce(purchase.id, "0.16")
    assert invoice(ledger).open == Decimal("4.63")
    ledger.credits.reduce(purchase.id, "0.01")

    assert invoice(ledger).open == Decimal("4.63")
    ledger.invoices.record_payment(invoice(ledger).id, "paid")
    assert ledger.credits.purchase(purchase.id).fiat_kept == Decimal("4.63")


def test_a_promised_payment_shrinks_with_the_line(ledger: Ledger) -> None:
    purchase = sold(ledger)
    ledger.invoices.record_payment(invoice(ledger).id, "authorized")
    ledger.credits.reduce(purchase.id, "20")

    assert (invoice(ledger).authorized, invoice(ledger).open) == (40, 40)
    assert ledger.views.balance("acme").receivable_authorized == -40
    ledger.invoices.record_payment(invoice(ledger).id, "paid")
    assert (status(ledger, purchase), figures(ledger)) == ("final", ["80.00", "0.00", "40.00", "0.00"])


# ── what was paid of it ──────────────────────────────────────────────────────────────────────────────────────


def test_money_that_comes_in_parts_is_in_the_books_when_it_comes(ledger: Ledger) -> None:
    """Decision 27: 20.00 of 50.00, then the rest; each once."""
    purchase = sold(ledger)
    for amount, bank in (("20", "20.00"), ("10", "30.00")):
        ledger.invoices.record_payment(invoice(ledger).id, "paid", amount=amount, reference=f"bank {amount}")
        ledger.invoices.record_payment(invoice(ledger).id, "paid", amount=amount, reference=f"bank {amount}")
        assert figures(ledger)[2] == bank
    assert status(ledger, purchase) == "active.payment.pending"
    ledger.invoices.record_payment(invoice(ledger).id, "paid")

    assert (status(ledger, purchase), figures(ledger)) == ("final", ["100.00", "0.00", "50.00", "0.00"])
    assert [each.fiat_amount for each in events_of_pool(ledger, PurchasePaymentSettled)] == [20, 10, 20]


def test_what_was_paid_beyond_the_new_price_is_unapplied_and_pays_the_next_invoice(ledger: Ledger) -> None:
    """30.00 of 50.00 paid, 40 used, the rest taken back: 20.00 are the price, 10.00 the customer's."""
    purchase = sold(ledger)
    ledger.invoices.record_payment(invoice(ledger).id, "paid", amount="30")
    use(ledger, "40")
    ledger.credits.void(purchase.id, payment_adjustment="reduce")

    assert figures(ledger) == ["0.00", "0.00", "30.00", "10.00"]
    assert status(ledger, purchase) == "final"
    first = invoice(ledger)
    fee(ledger, "31")
    assert issued(ledger).open == 21
    assert ledger.invoices.get(first.id).unapplied == 0


@pytest.mark.parametrize("paid", ["50", "30"])
def test_with_refund_the_excess_goes_back_at_once(ledger: Ledger, paid: str) -> None:
    purchase = sold(ledger)
    ledger.invoices.record_payment(invoice(ledger).id, "paid", amount=paid)
    use(ledger, "40")
    ledger.credits.void(purchase.id, payment_adjustment="refund")

    assert figures(ledger) == ["0.00", "0.00", "20.00", "0.00"]
    assert (invoice(ledger).credited, invoice(ledger).paid) == (30, 20)
    assert considered(ledger) == {"earnings": "20.00", "wash": "-20.00"}
    assert refused(ledger, lambda: ledger.credits.refund(purchase.id)) == "nothing_to_refund"


def test_without_adjustment_what_was_paid_stands_until_it_is_refunded(ledger: Ledger) -> None:
    """50.00 paid, 40 used, the rest taken back with `none`: the invoice stands as paid; 10.00 and 20.00 go back."""
    purchase = sold(ledger)
    ledger.invoices.record_payment(invoice(ledger).id, "paid")
    use(ledger, "40")
    ledger.credits.void(purchase.id)
    assert (figures(ledger), invoice(ledger).credited) == (["0.00", "0.00", "50.00", "0.00"], 0)
    assert refused(ledger, lambda: ledger.credits.refund(purchase.id, "30.01")) == "nothing_to_refund"

    ledger.credits.refund(purchase.id, "10")
    assert (figures(ledger), invoice(ledger).credited) == (["0.00", "0.00", "40.00", "0.00"], 10)
    ledger.credits.refund(purchase.id)
    assert (figures(ledger), invoice(ledger).credited) == (["0.00", "0.00", "20.00", "0.00"], 30)


def test_a_custom_currency_is_credited_in_fiat_and_its_excess_unapplied_there(ledger: Ledger) -> None:
    """1000 TOK at 0.01 cost 10.00 USD: paid, 400 taken back, 4.00 pay for the next fee."""
    ledger.catalogue.define_currency("TOK", precision=0)
    purchase = ledger.credits.sell("acme", "1000", "TOK", cost_basis="0.01", settlement="invoice")
    sale = invoice(ledger)
    ledger.invoices.record_payment(sale.id, "paid")
    ledger.credits.reduce(purchase.id, "400", payment_adjustment="reduce")

    assert ledger.views.balance("acme", "TOK").settled == 600
    assert ledger.invoices.get(sale.id).unapplied == 4
    fee(ledger, "31")
    assert issued(ledger).open == 27


# ── without credit notes ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("paid", ["0", "20", "50"])
def test_without_credit_notes_an_issued_line_keeps_its_price(store_url: str, paid: str) -> None:
    """Nothing can be credited, so nothing that has a price is taken back with it; at face value alone it is."""
    with standard(store_url, credit_notes=CreditNotes.OFF) as ledger:
        purchase = sold(ledger)
        if paid != "0":
            ledger.invoices.record_payment(invoice(ledger).id, "paid", amount=paid)
        for adjustment in ("reduce", "refund"):
            head = ledger.store.head()
            with pytest.raises(CreditNotesUnavailable, match="none"):
                ledger.credits.void(purchase.id, payment_adjustment=adjustment)
            assert ledger.store.head() == head
        ledger.credits.void(purchase.id)
        if paid == "20":
            assert refused(ledger, lambda: ledger.credits.refund(purchase.id)) == "precondition_failed"
        if paid != "50":
            ledger.invoices.record_payment(invoice(ledger).id, "paid")
        assert figures(ledger) == ["0.00", "0.00", "50.00", "0.00"]
        ledger.credits.refund(purchase.id)

        assert figures(ledger) == ["0.00", "0.00", "0.00", "0.00"]
        in_order(ledger)


def test_without_credit_notes_a_draft_is_lowered_all_the_same(store_url: str) -> None:
    with standard(store_url, credit_notes=CreditNotes.OFF) as ledger:
        by_hand(ledger)
        purchase = sold(ledger)
        ledger.credits.reduce(purchase.id, "20")

        assert figures(ledger) == ["80.00", "40.00", "0.00", "0.00"]
        in_order(ledger)


# ── invoices that are voided, credited or deleted ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("paid", ["0", "30", "50"])
def test_a_voided_invoice_takes_unused_credit_back_and_what_was_used_is_invoiced_again(
    ledger: Ledger, paid: str
) -> None:
    """40 of 100 used: 60 go, what was paid is the customer's, and 20.00 wait to be invoiced."""
    purchase = sold(ledger)
    if paid != "0":
        ledger.invoices.record_payment(invoice(ledger).id, "paid", amount=paid)
    use(ledger, "40")
    first = invoice(ledger)
    ledger.invoices.void(first.id)
    assert ledger.invoices.get(first.id).status is InvoiceStatus.VOIDED
    assert (status(ledger, purchase), figures(ledger)[3]) == ("active.payment.pending", f"{Decimal(paid):.2f}")
    in_order(ledger)
    ledger.worker.run_once()

    assert figures(ledger) == ["0.00", "20.00", f"{Decimal(paid):.2f}", f"{Decimal(paid):.2f}"]
    ledger.invoices.record_payment(invoice(ledger).id, "paid")
    assert status(ledger, purchase) == "final"
    ledger.invoices.refund_all_unapplied("acme")
    assert figures(ledger) == ["0.00", "0.00", "20.00", "0.00"]
    assert considered(ledger) == {"earnings": "20.00", "wash": "-20.00"}


def test_a_voided_invoice_of_credit_nobody_used_leaves_the_money_unapplied(ledger: Ledger) -> None:
    purchase = sold(ledger)
    ledger.invoices.record_payment(invoice(ledger).id, "paid", amount="60")
    ledger.invoices.void(invoice(ledger).id)
    assert (status(ledger, purchase), figures(ledger)) == ("final", ["0.00", "0.00", "60.00", "60.00"])
    sale = invoice(ledger)

    fee(ledger, "31")
    assert issued(ledger).open == 0
    assert ledger.invoices.refund_unapplied(sale.id).unapplied == 0
    assert -ledger.views.balance("acme").wash == 31
    with pytest.raises(UnappliedCreditExceeded):
        ledger.invoices.refund_unapplied(sale.id)
    assert refused(ledger, lambda: ledger.credits.refund(purchase.id)) == "nothing_to_refund"


def test_a_draft_that_is_deleted_takes_unused_credit_back_and_what_was_used_is_invoiced(ledger: Ledger) -> None:
    by_hand(ledger)
    purchase = sold(ledger)
    use(ledger, "40")
    ledger.invoices.delete(invoice(ledger).id)
    waiting = ledger.charges.get(purchase.id).gathering_line
    assert waiting is not None
    assert waiting.amount == 20
    ledger.worker.run_once()

    assert figures(ledger) == ["0.00", "20.00", "0.00", "0.00"]


def test_a_line_that_sells_credit_is_credited_by_taking_credit_back(ledger: Ledger) -> None:
    """Out of goodwill alone nobody could say how much of the credit the money was for."""
    purchase = sold(ledger)
    for amount in ("10", None):
        with pytest.raises(LedgerError, match=r"credits\.reduce") as refusal:
            ledger.invoices.credit(invoice(ledger).id, amount=amount)
        assert refusal.value.code == "cannot_update_charge_managed_line"
    assert figures(ledger) == ["100.00", "50.00", "0.00", "0.00"]
    ledger.credits.reduce(purchase.id, "20")

    assert invoice(ledger).credited == 10


# ── payments that fail, and lines that are given up ──────────────────────────────────────────────────────────


def test_a_promise_that_is_not_kept_is_owed_again_and_can_be_paid(ledger: Ledger) -> None:
    purchase = sold(ledger)
    ledger.invoices.record_payment(invoice(ledger).id, "authorized")
    ledger.invoices.record_payment(invoice(ledger).id, "failed")
    assert ledger.views.balance("acme").receivable_authorized == 0
    assert status(ledger, purchase) == "active.payment.pending"
    ledger.invoices.record_payment(invoice(ledger).id, "paid")

    assert (status(ledger, purchase), figures(ledger)) == ("final", ["100.00", "0.00", "50.00", "0.00"])


def test_a_line_that_is_given_up_is_bad_debt_until_money_comes_after_all(ledger: Ledger) -> None:
    """50.00, of which 20.00 are paid and 30.00 written off; then 10.00 come, and the rest."""
    purchase = sold(ledger)
    ledger.invoices.record_payment(invoice(ledger).id, "paid", amount="20")
    ledger.invoices.write_off(invoice(ledger).id)
    assert (status(ledger, purchase), ledger.views.balance("acme").bad_debt) == ("final", -30)
    for amount, lost in (("10", -20), ("20", 0)):
        ledger.invoices.record_payment(invoice(ledger).id, "paid", amount=amount)
        assert (status(ledger, purchase), ledger.views.balance("acme").bad_debt) == ("final", lost)

    assert figures(ledger) == ["100.00", "0.00", "50.00", "0.00"]


def test_credit_of_a_line_that_was_given_up_is_taken_back_and_is_no_loss_then(ledger: Ledger) -> None:
    purchase = sold(ledger)
    ledger.invoices.write_off(invoice(ledger).id)
    use(ledger, "40")
    ledger.credits.void(purchase.id, payment_adjustment="reduce")

    assert ledger.views.balance("acme").bad_debt == -20
    assert (invoice(ledger).written_off, invoice(ledger).credited) == (20, 30)


def test_the_payment_of_an_invoice_is_reported_there_and_nowhere_else(ledger: Ledger) -> None:
    purchase = sold(ledger)
    for step in ("authorized", "paid", "failed"):
        code = refused(ledger, lambda s=step: ledger.credits.record_payment(purchase.id, s))
        assert code == "precondition_failed"
    ledger.invoices.record_payment(invoice(ledger).id, "paid")
    for call in (ledger.credits.reverse_payment, lambda p: ledger.credits.receive(p, "1")):
        assert refused(ledger, lambda c=call: c(purchase.id)) == "precondition_failed"


# ── credit that expires before it is invoiced ────────────────────────────────────────────────────────────────


def never_invoiced(ledger: Ledger) -> Charge:
    """100 for February that expire on the 3rd; nobody comes by before the 4th."""
    purchase = sold(ledger, effective_at=FEBRUARY, expires_at="2026-02-03T00:00:00Z")
    at(ledger, "2026-02-04T00:00:00Z")
    return purchase


def test_credit_that_expired_before_it_was_invoiced_is_neither_granted_nor_owed(ledger: Ledger) -> None:
    purchase = never_invoiced(ledger)
    report = ledger.worker.run_once()

    assert (report.failed, report.stuck) == ((), ())
    charge = ledger.charges.get(purchase.id)
    assert (charge.status.value, charge.grant, charge.gathering_line) == ("final", None, None)
    assert ledger.invoices.list("acme") == []
    assert ledger.views.stuck_charges().items == ()
    assert ledger.worker.run_once().is_idle
    ledger.customers.delete("acme")


def test_it_stops_no_other_line_of_its_customer(ledger: Ledger) -> None:
    never_invoiced(ledger)
    fee(ledger, "31")
    [made] = ledger.invoices.invoice_pending_lines("acme")

    assert made.totals.total == 31


def test_a_rate_that_comes_too_late_finds_nothing_to_grant(ledger: Ledger) -> None:
    """The last second before the expiry still grants; the expiry itself does not."""
    kept = sold(ledger, effective_at=FEBRUARY, expires_at="2026-02-03T00:00:00Z")
    at(ledger, "2026-02-02T23:59:59Z")
    ledger.worker.run_once()
    late = sold(ledger, effective_at="2026-02-10T00:00:00Z", expires_at="2026-02-11T00:00:00Z")
    at(ledger, "2026-02-11T00:00:00Z")
    ledger.worker.run_once()

    assert [ledger.charges.get(each.id).grant is not None for each in (kept, late)] == [True, False]
    assert status(ledger, kept) == "active.payment.pending"
