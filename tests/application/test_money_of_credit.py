"""What is paid for credit, and what goes back: sold credit through the facade, with the product's worked numbers."""

from __future__ import annotations

import pytest

from aggregates.policies import Policies
from aggregates.values.errors import LedgerError
from ledger.facade import Ledger
from tests.application.scenes import at, january_charge, opened, used, with_customer


@pytest.fixture
def ledger(store_url: str) -> Ledger:
    opened_ledger = opened(store_url, policies=Policies.standard())
    with_customer(opened_ledger)
    return opened_ledger


def sold(ledger: Ledger, *, status: str = "settled") -> str:
    """100 at 0.5."""
    return str(ledger.credits.sell("acme", "100", cost_basis="0.5", initial_status=status).id)


def use(ledger: Ledger, quantity: str) -> None:
    january_charge(ledger)
    used(ledger, quantity, "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")


def books(ledger: Ledger) -> list[str]:
    """What is left, owed (open and promised), in the bank, and earned at face value."""
    found = ledger.views.balance("acme")
    figures = (found.settled, found.receivable_open, found.receivable_authorized, -found.wash, found.earnings)
    return [f"{figure:.2f}" for figure in figures]


def test_100_at_a_half_paid_40_used_voided_with_refund_leaves_20_in_the_bank_and_nothing_owed(ledger: Ledger) -> None:
    purchase = sold(ledger)
    use(ledger, "40")
    ledger.credits.void(purchase, payment_adjustment="refund")

    assert books(ledger) == ["0.00", "0.00", "0.00", "20.00", "40.00"]
    assert ledger.audit.verify().sound
    ledger.close()


def test_voided_without_adjustment_the_refund_stays_owed_until_it_is_given(ledger: Ledger) -> None:
    purchase = sold(ledger)
    use(ledger, "40")
    ledger.credits.void(purchase)
    assert books(ledger) == ["0.00", "60.00", "0.00", "50.00", "40.00"]
    ledger.credits.refund(purchase)

    assert books(ledger) == ["0.00", "0.00", "0.00", "20.00", "40.00"]
    with pytest.raises(LedgerError) as refused:
        ledger.credits.refund(purchase)
    assert refused.value.code == "nothing_to_refund"
    ledger.close()


def test_not_paid_yet_only_what_was_used_is_asked_for(ledger: Ledger) -> None:
    purchase = sold(ledger, status="created")
    use(ledger, "40")
    ledger.credits.void(purchase, payment_adjustment="reduce")
    assert books(ledger) == ["0.00", "-40.00", "0.00", "0.00", "40.00"]
    ledger.credits.record_payment(purchase, "paid")

    assert books(ledger) == ["0.00", "0.00", "0.00", "20.00", "40.00"]
    ledger.close()


def test_a_purchase_is_reduced_after_partial_use(ledger: Ledger) -> None:
    purchase = sold(ledger)
    use(ledger, "40")
    ledger.credits.reduce(purchase, "20")

    assert books(ledger) == ["40.00", "0.00", "0.00", "40.00", "40.00"]
    with pytest.raises(LedgerError) as refused:
        ledger.credits.reduce(purchase, "41")
    assert refused.value.code == "reduction_exceeds_unused"
    ledger.close()


def test_a_scheduled_grant_is_cancelled_as_if_it_had_never_been(ledger: Ledger) -> None:
    grant = ledger.credits.grant("acme", "100", effective_at="2026-03-01T00:00:00Z", expires_at="2026-04-01T00:00:00Z")
    ledger.credits.cancel(grant.id)

    for moment in ("2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z"):
        found = ledger.views.balance("acme", as_of=moment)
        assert [found.settled, found.breakage, found.wash, found.receivable_open] == [0, 0, 0, 0], moment
    effective = ledger.credits.grant("acme", "5")
    with pytest.raises(LedgerError) as refused:
        ledger.credits.cancel(effective.id)
    assert refused.value.code == "grant_already_effective"
    ledger.close()


def test_money_comes_in_parts_and_the_purchase_is_paid_when_all_is_there(ledger: Ledger) -> None:
    purchase = sold(ledger, status="created")
    ledger.credits.receive(purchase, "20")
    assert books(ledger) == ["100.00", "-30.00", "0.00", "20.00", "0.00"]
    assert ledger.charges.get(purchase).status.value == "active.payment.pending"
    ledger.credits.receive(purchase, "30")

    assert books(ledger) == ["100.00", "0.00", "0.00", "50.00", "0.00"]
    assert ledger.charges.get(purchase).status.value == "final"
    assert ledger.audit.verify().sound
    ledger.close()


def test_money_that_is_too_much_stands_until_it_is_refunded(ledger: Ledger) -> None:
    purchase = sold(ledger, status="created")
    ledger.credits.receive(purchase, "60")
    assert books(ledger) == ["100.00", "10.00", "0.00", "60.00", "0.00"]
    ledger.credits.refund(purchase)

    assert books(ledger) == ["100.00", "0.00", "0.00", "50.00", "0.00"]
    ledger.close()


def test_a_payment_that_is_taken_back_is_owed_again_and_may_come_again(ledger: Ledger) -> None:
    purchase = sold(ledger)
    ledger.credits.reverse_payment(purchase)
    assert books(ledger) == ["100.00", "-50.00", "0.00", "0.00", "0.00"]
    ledger.credits.receive(purchase, "50")

    assert books(ledger) == ["100.00", "0.00", "0.00", "50.00", "0.00"]
    ledger.close()


def test_usage_beyond_credit_is_written_off_and_recovered(ledger: Ledger) -> None:
    use(ledger, "30")
    assert ledger.credits.write_off("acme", amount="20") == 10
    found = ledger.views.balance("acme")
    assert [found.settled, found.bad_debt, found.earnings] == [-10, -20, 0]
    ledger.credits.grant("acme", "25")
    assert ledger.views.balance("acme").settled == 15, "what was given up is not covered"
    assert ledger.credits.recover("acme") == 20
    ledger.credits.grant("acme", "20")

    found = ledger.views.balance("acme")
    assert [found.settled, found.bad_debt, found.earnings] == [15, 0, 30]
    assert ledger.audit.verify().sound
    ledger.close()


def test_a_written_off_charge_is_deleted_without_a_trace_in_the_balances(ledger: Ledger) -> None:
    charge = january_charge(ledger)
    used(ledger, "30", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")
    ledger.credits.write_off("acme", amount="20", charge=charge.id)
    ledger.charges.delete(charge.id)

    found = ledger.views.balance("acme")
    assert [found.settled, found.bad_debt, found.accrued] == [0, 0, 0]
    assert ledger.audit.verify().sound
    ledger.close()


def test_a_custom_currency_is_sold_used_and_refunded_in_fiat(ledger: Ledger) -> None:
    ledger.catalogue.define_currency("TOK", precision=0)
    purchase = ledger.credits.sell("acme", "1000", "TOK", cost_basis="0.01", initial_status="settled").id
    january_charge(ledger, currency="TOK")
    used(ledger, "400", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")
    ledger.credits.void(purchase, payment_adjustment="refund")

    tokens, dollars = ledger.views.balance("acme", "TOK"), ledger.views.balance("acme", "USD")
    assert [tokens.settled, tokens.earnings, tokens.receivable_open] == [0, 400, 0]
    assert [dollars.wash, dollars.receivable_open, dollars.settled] == [-4, 0, 0]
    assert ledger.audit.verify().sound
    ledger.close()


def test_a_gift_of_a_custom_currency_is_gone_when_it_is_voided(ledger: Ledger) -> None:
    ledger.catalogue.define_currency("TOK", precision=0)
    gift = ledger.credits.grant("acme", "1000", "TOK").id
    january_charge(ledger, currency="TOK")
    used(ledger, "400", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")
    ledger.credits.void(gift)

    tokens = ledger.views.balance("acme", "TOK")
    assert [tokens.settled, tokens.accrued, tokens.receivable_open] == [0, 400, 0]
    listed = ledger.statements.transactions("acme", "TOK").items
    assert [(row.type, row.amount, row.balance_after) for row in listed] == [
        ("voided", -600, 0),
        ("consumed", -400, 600),
        ("funded", 1000, 1000),
    ]
    assert ledger.audit.verify().sound
    ledger.close()


def test_what_is_dated_into_closed_books_is_booked_on_the_first_open_instant(ledger: Ledger) -> None:
    ledger.credits.grant("acme", "50", expires_at="2026-02-01T00:00:00Z")
    january_charge(ledger)
    used(ledger, "30", "2026-01-20T00:00:00Z")
    at(ledger, "2026-03-05T00:00:00Z")
    ledger.periods.close("2026-02", reason="books sent to the auditor")
    before = ledger.views.balance("acme", as_of="2026-02-28T23:59:59Z")
    ledger.charges.advance("acme")

    assert ledger.views.balance("acme", as_of="2026-02-28T23:59:59Z").settled == before.settled
    now = ledger.views.balance("acme")
    assert [now.settled, now.earnings, now.breakage] == [0, 30, 20], "January's credit still pays January's usage"
    late = [entry for entry in ledger.views.entries("acme", "USD").items if entry.account == "customer_accrued"]
    assert {entry.accounting_date.isoformat() for entry in late} == {"2026-03-01T00:00:00+00:00"}
    assert ledger.audit.verify().sound
    ledger.close()


def test_books_are_opened_again_for_a_reason_and_that_stays_on_record(ledger: Ledger) -> None:
    at(ledger, "2026-03-05T00:00:00Z")
    ledger.periods.close("2026-01")
    ledger.periods.close("2026-02")
    ledger.periods.reopen("2026-02", reason="an invoice had been forgotten")

    january, february = ledger.periods.list()
    assert ledger.periods.closed_until == february.reopened_from == january.until
    assert [january.reopened_at, february.reopened_reason] == [None, "an invoice had been forgotten"]
    for wrong, code in (("2026-03", "precondition_failed"), ("march", "validation")):
        with pytest.raises(LedgerError) as refused:
            ledger.periods.close(wrong)
        assert refused.value.code == code
    with pytest.raises(LedgerError):
        ledger.periods.reopen("2026-02", reason="it is open")
    ledger.close()


def test_money_for_credit_that_was_voided_is_booked_when_it_comes_all_the_same(ledger: Ledger) -> None:
    """100 at 0.5 by invoice, all voided, paid all the same: 50 are in the bank, unapplied, and go back on request."""
    purchase = str(ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice").id)
    ledger.credits.void(purchase)
    [invoice] = ledger.invoices.list("acme")

    paid = ledger.invoices.record_payment(invoice.id, "paid", amount="50")

    assert (paid.unapplied, books(ledger)[3]) == (50, "50.00")
    assert ledger.charges.get(purchase).status.value == "final"
    assert ledger.audit.verify().findings == ()
    ledger.invoices.refund_unapplied(invoice.id)
    assert books(ledger) == ["0.00", "0.00", "0.00", "0.00", "0.00"]
    ledger.close()


def test_part_of_the_price_of_what_was_used_is_not_the_price_where_nothing_was_adjusted(ledger: Ledger) -> None:
    """100 at 0.5, 40 used, the rest voided with `none`: 50 are asked for, so 20 do not pay the purchase."""
    purchase = sold(ledger, status="created")
    use(ledger, "40")
    ledger.credits.receive(purchase, "10")
    ledger.credits.void(purchase)

    ledger.credits.receive(purchase, "10")
    assert ledger.charges.get(purchase).status.value == "active.payment.pending"
    ledger.credits.receive(purchase, "30")
    assert ledger.charges.get(purchase).status.value == "final"
    assert books(ledger)[3] == "50.00"
    ledger.close()


def test_what_is_left_over_of_another_invoice_is_not_received_a_second_time_for_credit(ledger: Ledger) -> None:
    """50 asked for, 60 paid: 10 are left over, and stay so when 100 more are sold; 60 are in the bank, not 70."""
    sold_once = ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice")
    [first] = ledger.invoices.list("acme")
    ledger.invoices.record_payment(first.id, "paid", amount="60")
    assert books(ledger)[3] == "60.00"

    ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice")

    first, second = ledger.invoices.list("acme")
    assert ledger.charges.get(sold_once.id).status.value == "final"
    assert (first.unapplied, second.open) == (10, 50)
    assert books(ledger)[3] == "60.00"
    ledger.close()


def test_credit_sold_by_invoice_for_later_and_cancelled_is_never_invoiced_and_stops_no_other_invoice(
    ledger: Ledger,
) -> None:
    """100 for February, cancelled in January: the worker invoices the fee of February alone."""
    purchase = ledger.credits.sell(
        "acme", "100", cost_basis="0.5", settlement="invoice", effective_at="2026-02-01T00:00:00Z"
    )
    ledger.charges.create_flat_fee(
        "acme",
        amount="5",
        period_from="2026-02-01T00:00:00Z",
        period_to="2026-03-01T00:00:00Z",
        settlement_mode="credit_then_invoice",
    )
    ledger.credits.cancel(purchase.id)
    at(ledger, "2026-02-01T00:00:00Z")

    report = ledger.worker.run_once()

    assert report.failed == ()
    [invoice] = ledger.invoices.list("acme")
    assert invoice.totals.total == 5
    assert ledger.worker.due_customers() == []
    assert ledger.audit.verify().findings == ()
    ledger.close()


def test_money_for_credit_sold_by_invoice_is_reported_on_the_invoice_only(ledger: Ledger) -> None:
    """What is received beside the invoice would be asked for there again."""
    purchase = ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice")
    head = ledger.store.head()

    for beside in (
        lambda: ledger.credits.receive(purchase.id, "50"),
        lambda: ledger.credits.record_payment(purchase.id, "authorized"),
        lambda: ledger.credits.record_payment(purchase.id, "failed"),
    ):
        with pytest.raises(LedgerError) as refused:
            beside()
        assert (refused.value.code, ledger.store.head()) == ("precondition_failed", head)
    [invoice] = ledger.invoices.list("acme")
    assert ledger.invoices.record_payment(invoice.id, "paid").open == 0
    ledger.close()
