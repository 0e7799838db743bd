"""Sold credit through the facade: when it is there, how its payment goes, and what the books say of it in the end."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from aggregates.charges.intent import DynamicBasis
from aggregates.charges.requests import NewPurchase, RequestedSettlement
from aggregates.credits.events import PurchaseBroughtBack, SlicesSealed
from aggregates.policies import Policies
from aggregates.values.errors import LedgerError, Unavailable
from aggregates.values.money import fiat
from ledger.facade import Ledger
from ledger.ports import SettableClock
from ledger.store import mapper
from tests.application.scenes import at, january_charge, opened, used, with_customer
from tests.application.test_payments_that_fail import books, considered, refused, sold, status, use


@pytest.fixture
def ledger(store_url: str) -> Iterator[Ledger]:
    opened_ledger = opened(store_url, policies=Policies.standard())
    with_customer(opened_ledger)
    yield opened_ledger
    assert opened_ledger.audit.verify().sound
    opened_ledger.close()


# ── when the credit is there (decision 26) ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("availability", "credit"),
    [
        ("on_creation", ["100.00", "100.00", "100.00"]),
        ("on_authorization", ["0.00", "100.00", "100.00"]),
        ("on_settlement", ["0.00", "0.00", "100.00"]),
    ],
)
def test_credit_is_there_from_the_step_on_that_it_waits_for(
    ledger: Ledger, availability: str, credit: list[str]
) -> None:
    """100 at 0.5: whatever the order of grant and payment, in the end 50.00 are in the bank and nothing is owed."""
    purchase = sold(ledger, status="created", availability=availability)
    seen = [books(ledger)]
    for step in ("authorized", "paid"):
        ledger.credits.record_payment(purchase, step)
        seen.append(books(ledger))

    assert [each[0] for each in seen] == credit
    assert seen[-1] == ["100.00", "0.00", "0.00", "50.00", "-50.00", "0.00", "0.00"]
    assert status(ledger, purchase) == "final"
    assert considered(ledger, "2026-01") == {"customer_fbo": "50.00", "wash": "-50.00"}


@pytest.mark.parametrize("availability", ["on_creation", "on_authorization", "on_settlement"])
@pytest.mark.parametrize(("initial", "paid"), [("created", False), ("authorized", False), ("settled", True)])
def test_the_initial_status_takes_the_steps_that_grant(
    ledger: Ledger, initial: str, availability: str, *, paid: bool
) -> None:
    """R-05, R-14: settled is authorised, then settled, and grants whatever the credit waits for."""
    purchase = sold(ledger, status=initial, availability=availability)

    reached = {"created": 0, "authorized": 1, "settled": 2}[initial]
    waits_for = {"on_creation": 0, "on_authorization": 1, "on_settlement": 2}[availability]
    assert (ledger.charges.get(purchase).grant is not None) == (reached >= waits_for)
    assert (status(ledger, purchase) == "final") == paid
    assert ledger.live.balance("acme").pending == (0 if reached >= waits_for else 100)


def test_credit_that_waits_pays_for_nothing_before_it_is_there(ledger: Ledger) -> None:
    """Effective with the payment, also where the purchase names an earlier time: January stays beyond credit."""
    purchase = sold(ledger, status="created", availability="on_settlement", effective_at="2026-01-01T00:00:00Z")
    use(ledger, "40")
    assert ledger.views.balance("acme").settled == -40
    at(ledger, "2026-02-10T00:00:00Z")
    ledger.credits.record_payment(purchase, "paid")

    assert books(ledger) == ["60.00", "0.00", "0.00", "50.00", "-50.00", "0.00", "40.00"]
    grant = ledger.charges.get(purchase).grant
    assert grant is not None
    assert grant.booked_at.isoformat() == "2026-02-10T00:00:00+00:00"


def test_credit_of_a_later_time_is_effective_then_whenever_it_was_paid(ledger: Ledger) -> None:
    sold(ledger, availability="on_settlement", effective_at="2026-03-01T00:00:00Z", expires_at="2026-04-01T00:00:00Z")

    found = [ledger.views.balance("acme", as_of=f"2026-0{month}-02T00:00:00Z") for month in (1, 3, 4)]
    assert [each.settled for each in found] == [0, 100, 0]
    assert [each.breakage for each in found] == [0, 0, 100]


def test_credit_that_expired_before_it_was_paid_is_not_granted_and_the_money_is_refunded(ledger: Ledger) -> None:
    purchase = sold(ledger, status="created", availability="on_settlement", expires_at="2026-02-01T00:00:00Z")
    at(ledger, "2026-02-05T00:00:00Z")
    ledger.credits.record_payment(purchase, "paid")
    assert status(ledger, purchase) == "final"
    assert ledger.charges.get(purchase).grant is None
    assert ledger.live.balance("acme").pending == 0
    assert ledger.views.balance("acme").wash == -50
    ledger.credits.refund(purchase)

    assert books(ledger) == ["0.00"] * 7
    assert refused(ledger, lambda: ledger.credits.refund(purchase)) == "nothing_to_refund"


@pytest.mark.parametrize("step", ["failed", "cancelled"])
@pytest.mark.parametrize("paid", ["created", "authorized"])
def test_a_payment_that_fails_before_the_grant_leaves_nothing(ledger: Ledger, paid: str, step: str) -> None:
    """Not yet granted: nothing to void, nothing owed; tried again it is the whole price, and grants."""
    purchase = sold(ledger, status=paid, availability="on_settlement")
    failed = ledger.credits.record_payment(purchase, step)
    assert failed.failed_payment is not None
    assert failed.status.value == "active.payment.failed"
    assert failed.failed_payment.fiat_owed == 0
    assert books(ledger) == ["0.00"] * 7
    ledger.credits.retry_payment(purchase)
    ledger.credits.record_payment(purchase, "paid")

    assert books(ledger) == ["100.00", "0.00", "0.00", "50.00", "-50.00", "0.00", "0.00"]
    assert status(ledger, purchase) == "final"


def test_a_purchase_that_nobody_pays_for_ends_without_a_grant_and_late_money_is_refunded(ledger: Ledger) -> None:
    purchase = sold(ledger, status="authorized", availability="on_settlement")
    ledger.credits.record_payment(purchase, "failed")
    ledger.credits.write_off_payment(purchase)
    assert status(ledger, purchase) == "final"
    assert ledger.live.balance("acme").pending == 0
    ledger.credits.receive(purchase, "50")
    assert ledger.charges.get(purchase).grant is None
    ledger.credits.refund(purchase)

    assert books(ledger) == ["0.00"] * 7


def test_scheduled_credit_goes_with_its_payment(ledger: Ledger) -> None:
    purchase = sold(ledger, effective_at="2026-03-01T00:00:00Z", expires_at="2026-04-01T00:00:00Z")
    ledger.credits.record_payment(purchase, "charged_back")

    for moment in ("2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-04-02T00:00:00Z"):
        found = ledger.views.balance("acme", as_of=moment)
        assert [found.settled, found.breakage, found.receivable_open, found.brokerage, found.wash] == [0] * 5, moment


def test_a_custom_currency_waits_fails_and_is_owed_in_fiat(ledger: Ledger) -> None:
    """1000 TOK at 0.01, charged back with 400 used: 4.00 USD are owed, and written off."""
    ledger.catalogue.define_currency("TOK", precision=0)
    sale = ledger.credits.sell("acme", "1000", "TOK", cost_basis="0.01", availability="on_authorization")
    assert ledger.views.balance("acme", "TOK").settled == 0
    ledger.credits.record_payment(sale.id, "paid")
    january_charge(ledger, currency="TOK")
    used(ledger, "400", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")
    ledger.credits.record_payment(sale.id, "charged_back")

    tokens, dollars = ledger.views.balance("acme", "TOK"), ledger.views.balance("acme", "USD")
    assert [tokens.settled, tokens.receivable_open, tokens.earnings, tokens.brokerage] == [0, 0, 400, -400]
    assert [dollars.receivable_open, dollars.wash, dollars.brokerage] == [-4, 0, 4]
    ledger.credits.write_off_payment(sale.id)
    dollars = ledger.views.balance("acme", "USD")
    assert [dollars.receivable_open, dollars.bad_debt] == [0, -4]
    assert considered(ledger) == {"earnings": "4.00", "bad_debt": "-4.00"}


def test_what_is_wrong_with_availability_is_told_and_nothing_is_written(ledger: Ledger) -> None:
    """R-05: looked at before anything else is done."""
    assert refused(ledger, lambda: sold(ledger, availability="on_delivery")) == "validation"
    gift = {"availability": "on_settlement"}
    assert refused(ledger, lambda: ledger.credits.grant("acme", "10", **gift)) == "validation"
    sale = {"settlement": "invoice", "availability": "on_settlement"}
    assert refused(ledger, lambda: ledger.credits.sell("acme", "10", cost_basis="1", **sale)) == "validation"


# ── money as it comes and goes, and the status that follows it (decision 27) ─────────────────────────────────


def test_a_payment_that_is_reversed_is_waited_for_again_and_the_credit_stays(ledger: Ledger) -> None:
    purchase = sold(ledger)
    ledger.credits.reverse_payment(purchase, "20")
    assert (status(ledger, purchase), books(ledger)[:4]) == (
        "active.payment.pending",
        ["100.00", "-20.00", "0.00", "30.00"],
    )
    paid = ledger.credits.record_payment(purchase, "paid")

    assert paid.status.value == "final"
    assert paid.payment is not None
    assert paid.payment.fiat_amount == 20
    assert books(ledger)[:4] == ["100.00", "0.00", "0.00", "50.00"]


def test_too_much_money_that_is_reversed_leaves_the_purchase_paid(ledger: Ledger) -> None:
    purchase = sold(ledger, status="created")
    ledger.credits.receive(purchase, "60")
    ledger.credits.reverse_payment(purchase, "10")
    assert status(ledger, purchase) == "final"
    ledger.credits.reverse_payment(purchase, "0.01")

    assert status(ledger, purchase) == "active.payment.pending"


def test_a_part_that_is_reversed_while_the_rest_is_promised_is_asked_for_again(ledger: Ledger) -> None:
    purchase = sold(ledger, status="authorized")
    ledger.credits.receive(purchase, "20")
    ledger.credits.reverse_payment(purchase, "20")
    assert status(ledger, purchase) == "active.payment.pending"
    assert books(ledger)[:4] == ["100.00", "-20.00", "-30.00", "0.00"]
    ledger.credits.record_payment(purchase, "paid")

    assert books(ledger)[:4] == ["100.00", "0.00", "0.00", "50.00"]


def test_a_part_that_was_received_stays_when_the_rest_fails_and_counts_for_what_is_owed(ledger: Ledger) -> None:
    """100 at 0.5, 5.00 received, 40 used, failed: 15.00 are owed; charged back: 20.00."""
    purchase = sold(ledger, status="created")
    ledger.credits.receive(purchase, "5")
    use(ledger, "40")
    ledger.credits.record_payment(purchase, "failed")
    assert books(ledger) == ["0.00", "-15.00", "0.00", "5.00", "-20.00", "0.00", "40.00"]
    ledger.credits.record_payment(purchase, "charged_back")

    assert books(ledger) == ["0.00", "-20.00", "0.00", "0.00", "-20.00", "0.00", "40.00"]
    assert ledger.credits.purchase(purchase).fiat_kept == 0


def test_money_in_parts_grants_credit_that_waits_for_it(ledger: Ledger) -> None:
    for availability in ("on_authorization", "on_settlement"):
        purchase = sold(ledger, status="created", availability=availability)
        ledger.credits.receive(purchase, "20")
        assert ledger.charges.get(purchase).grant is None
        ledger.credits.receive(purchase, "30")
        assert status(ledger, purchase) == "final"

    assert books(ledger) == ["200.00", "0.00", "0.00", "100.00", "-100.00", "0.00", "0.00"]


def test_without_money_there_is_nothing_to_charge_back(ledger: Ledger) -> None:
    for paid in ("created", "authorized"):
        purchase = sold(ledger, status=paid)
        assert refused(ledger, lambda p=purchase: ledger.credits.record_payment(p, "charged_back")) == (
            "unsupported_operation"
        )
    gift = ledger.credits.grant("acme", "10").id
    for call in (ledger.credits.retry_payment, ledger.credits.write_off_payment):
        assert refused(ledger, lambda c=call: c(purchase)) == "unsupported_operation"
        assert refused(ledger, lambda c=call: c(gift)) == "unsupported_operation"


def test_reduced_to_what_was_received_already_it_is_paid(ledger: Ledger) -> None:
    """100 at 0.5, 20.00 received, 40 used, the other 60 taken back with their price."""
    purchase = sold(ledger, status="created")
    ledger.credits.receive(purchase, "20")
    use(ledger, "40")
    ledger.credits.void(purchase, payment_adjustment="reduce")

    assert books(ledger) == ["0.00", "0.00", "0.00", "20.00", "-20.00", "0.00", "40.00"]
    assert status(ledger, purchase) == "final"


def test_taken_back_at_face_value_alone_the_whole_price_is_still_asked_for(ledger: Ledger) -> None:
    """The same with the payment adjustment `none`: the other 30.00 are waited for, and can be refunded then."""
    purchase = sold(ledger, status="created")
    ledger.credits.receive(purchase, "20")
    use(ledger, "40")
    ledger.credits.void(purchase)
    assert status(ledger, purchase) == "active.payment.pending"
    ledger.credits.record_payment(purchase, "paid")
    assert books(ledger)[:4] == ["0.00", "60.00", "0.00", "50.00"]
    ledger.credits.refund(purchase)

    assert books(ledger) == ["0.00", "0.00", "0.00", "20.00", "-20.00", "0.00", "40.00"]


def test_a_refund_and_then_a_chargeback_leave_owed_what_was_used(ledger: Ledger) -> None:
    """100 at 0.5, paid, 40 used, 30.00 refunded; then the bank takes the other 20.00 too."""
    purchase = sold(ledger)
    use(ledger, "40")
    ledger.credits.void(purchase, payment_adjustment="refund")
    ledger.credits.record_payment(purchase, "charged_back")
    assert books(ledger) == ["0.00", "-20.00", "0.00", "0.00", "-20.00", "0.00", "40.00"]
    ledger.credits.retry_payment(purchase)
    ledger.credits.record_payment(purchase, "paid")

    assert books(ledger) == ["0.00", "0.00", "0.00", "20.00", "-20.00", "0.00", "40.00"]


def test_the_same_command_again_fails_a_payment_once(ledger: Ledger) -> None:
    purchase = sold(ledger)
    use(ledger, "40")
    first = ledger.credits.record_payment(purchase, "charged_back", command_id="bank-1")
    position = ledger.store.head()

    assert ledger.credits.record_payment(purchase, "charged_back", command_id="bank-1") == first
    assert ledger.store.head() == position
    assert refused(ledger, lambda: ledger.credits.record_payment(purchase, "failed", command_id="bank-1")) == (
        "conflicting_retry"
    )


# ── what the state of the pool keeps ─────────────────────────────────────────────────────────────────────────


def events(ledger: Ledger, purchase: str, kind: type) -> list[Any]:
    rows = ledger.store.read_stream(ledger.charges.get(purchase).pool.id)
    return [body for row in rows if isinstance(body := mapper.decode(row.name, row.data).body, kind)]


def used_up(ledger: Ledger) -> str:
    """A purchase that is paid, used up and gone from the state, in the middle of the life of another."""
    purchase = sold(ledger)
    ledger.credits.grant("acme", "10", priority=200)
    use(ledger, "100")
    ledger.charges.create_usage(
        "acme",
        feature="calls",
        price={"type": "unit", "amount": "1"},
        period_from="2026-02-01T00:00:00Z",
        period_to="2026-02-02T00:00:00Z",
    )
    used(ledger, "1", "2026-02-01T12:00:00Z")
    at(ledger, "2026-02-05T00:01:00Z")
    ledger.charges.advance("acme")
    assert ledger.charges.get(purchase).id not in ledger.credits.pool("acme").purchases
    assert events(ledger, purchase, SlicesSealed)
    return purchase


def test_a_purchase_that_is_paid_and_used_up_leaves_the_state_and_is_still_answered_for(ledger: Ledger) -> None:
    purchase = used_up(ledger)
    totals = ledger.credits.purchase(purchase)

    assert [totals.granted, totals.fiat_kept] == [100, 50]
    assert refused(ledger, lambda: ledger.credits.void(purchase)) == "nothing_to_void"
    assert refused(ledger, lambda: ledger.credits.void(purchase, payment_adjustment="refund")) == "nothing_to_void"
    assert refused(ledger, lambda: ledger.credits.refund(purchase)) == "nothing_to_refund"
    assert refused(ledger, lambda: ledger.credits.cancel(purchase)) == "grant_already_effective"
    assert refused(ledger, lambda: ledger.credits.record_payment(purchase, "authorized")) == (
        "payment_already_authorized"
    )
    assert refused(ledger, lambda: ledger.credits.record_payment(purchase, "paid")) == "payment_already_settled"
    assert events(ledger, purchase, PurchaseBroughtBack) == []


def test_a_chargeback_long_after_brings_the_purchase_back(ledger: Ledger) -> None:
    purchase = used_up(ledger)
    at(ledger, "2026-05-01T00:00:00Z")
    charge = ledger.credits.record_payment(purchase, "charged_back")

    assert charge.failed_payment is not None
    assert charge.failed_payment.fiat_owed == 50
    assert ledger.views.balance("acme").receivable_open == -50
    assert len(events(ledger, purchase, PurchaseBroughtBack)) == 1
    ledger.credits.retry_payment(purchase)
    ledger.credits.record_payment(purchase, "paid")
    assert ledger.views.balance("acme").receivable_open == 0


def test_money_for_a_purchase_that_left_the_state_is_recorded_and_refunded(ledger: Ledger) -> None:
    purchase = used_up(ledger)
    ledger.credits.receive(purchase, "7")
    assert ledger.views.balance("acme").receivable_open == 7
    ledger.credits.refund(purchase)

    assert ledger.views.balance("acme").receivable_open == 0
    assert ledger.credits.purchase(purchase).fiat_kept == 50


def test_credit_that_comes_back_to_a_purchase_that_left_the_state_is_voided_at_its_price(ledger: Ledger) -> None:
    purchase = used_up(ledger)
    january = next(c for c in ledger.charges.list("acme") if c.charge_type.value == "usage_based")
    ledger.charges.delete(january.id)
    assert ledger.views.balance("acme").settled == 109
    ledger.credits.void(purchase, payment_adjustment="refund")

    assert ledger.views.balance("acme").settled == 9
    assert ledger.views.balance("acme").receivable_open == 0
    assert ledger.credits.purchase(purchase).fiat_kept == 0


# ── what the clock and the worker do ─────────────────────────────────────────────────────────────────────────


def test_a_purchase_without_a_rate_stays_created_is_listed_and_granted_once_there_is_one(ledger: Ledger) -> None:
    """lifecycles §12.1, decision 26: the advance of the customer grants what is still `created`."""
    tokens = ledger.catalogue.define_currency("TOK", precision=2)
    basis = DynamicBasis(fiat_currency=fiat("USD"))
    settlement = RequestedSettlement(type="external", initial_status="settled", cost_basis=basis)
    request = NewPurchase(customer="acme", currency=tokens, credit_amount=Decimal(100), settlement=settlement)
    (purchase,) = ledger.charges.create([request])
    assert (purchase.status.value, purchase.grant) == ("created", None)
    assert [each.code for each in ledger.views.stuck_charges().items] == ["cost_basis_not_effective"]
    assert [each.charge for each in ledger.doctor.examine().stuck] == [purchase.id]
    ledger.catalogue.define_cost_basis("TOK", rate="0.25", effective_from="2025-12-01T00:00:00Z")
    ledger.worker.run_once()

    done = ledger.charges.get(purchase.id)
    assert (done.status.value, done.resolved_cost_basis.rate if done.resolved_cost_basis else None) == (
        "final",
        Decimal("0.25"),
    )
    assert ledger.views.balance("acme", "USD").wash == -25
    assert ledger.views.stuck_charges().items == ()


def test_an_invoice_that_could_not_be_made_at_once_is_made_by_the_worker(store_url: str) -> None:
    """lifecycles §17.2: the purchase exists with its gathering line; R-28: without any settlement record."""
    failing: list[str] = []

    def probe(call: str) -> None:
        if call in failing:
            raise Unavailable(call, "made to fail")

    clock = SettableClock("2026-01-01T00:00:00Z")
    with Ledger.open(store_url, clock=clock, policies=Policies.standard(), probe=probe) as ledger:
        with_customer(ledger)
        failing.append("invoice.InvoiceDrafted")
        bought = ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice")
        assert (bought.status.value, bought.grant, bought.payment, bought.linked_line) == ("created", None, None, None)
        assert ledger.invoices.list("acme") == []
        failing.clear()
        ledger.worker.run_once()

        done = ledger.charges.get(bought.id)
        assert done.status.value == "active.payment.pending"
        assert done.payment is None, "R-21: a line authorises nothing"
        assert len(ledger.invoices.list("acme")) == 1
        ledger.worker.run_once()
        assert len(ledger.invoices.list("acme")) == 1, "R-22: once"


def test_a_purchase_of_a_later_time_is_invoiced_then(ledger: Ledger) -> None:
    """R-28, lifecycles §17.2: until then it waits, without a line and without a settlement record."""
    when = "2026-02-01T00:00:00Z"
    bought = ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice", effective_at=when)
    ledger.worker.run_once()
    waiting = ledger.charges.get(bought.id)
    assert (waiting.status.value, waiting.payment, waiting.linked_line) == ("created", None, None)
    at(ledger, when)
    ledger.worker.run_once()

    assert ledger.charges.get(bought.id).status.value == "active.payment.pending"


# ── in numbers ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("settlement", ["external", "invoice"])
def test_one_credit_at_half_a_cent_is_bought_used_and_a_cent_of_revenue(ledger: Ledger, settlement: str) -> None:
    """R-23: 1 credit at 0.005 costs 0.01, completes its life either way, and is worth 0.01 when it is used."""
    bought = ledger.credits.sell("acme", "1", cost_basis="0.005", settlement=settlement)
    if settlement == "external":
        ledger.credits.record_payment(bought.id, "authorized")
        ledger.credits.record_payment(bought.id, "paid")
    else:
        (invoice,) = ledger.invoices.list("acme")
        assert invoice.totals.total == Decimal("0.01")
        ledger.invoices.record_payment(invoice.id, "paid")
    assert status(ledger, str(bought.id)) == "final"
    assert books(ledger) == ["1.00", "0.00", "0.00", "0.01", "-0.99", "0.00", "0.00"]
    use(ledger, "1")

    assert books(ledger) == ["0.00", "0.00", "0.00", "0.01", "-0.99", "0.00", "1.00"]
    assert considered(ledger) == {"earnings": "0.01", "wash": "-0.01"}


def test_amounts_are_rounded_to_their_currency(ledger: Ledger) -> None:
    """R-23: 100.123 at 0.5 are 100.12 of credit for 50.06."""
    bought = ledger.credits.sell("acme", "100.123", cost_basis="0.5", initial_status="settled")

    assert bought.payment is not None
    assert bought.payment.fiat_amount == Decimal("50.06")
    assert books(ledger) == ["100.12", "0.00", "0.00", "50.06", "-50.06", "0.00", "0.00"]
    assert considered(ledger, "2026-01") == {"customer_fbo": "50.06", "wash": "-50.06"}


def test_revenue_is_what_was_paid_for_what_was_used(ledger: Ledger) -> None:
    """Promotional 100 and paid 100 at 0.5, all used: 200.00 at face value, 50.00 by consideration (decision 38)."""
    ledger.credits.grant("acme", "100")
    sold(ledger)
    use(ledger, "200")

    assert books(ledger) == ["0.00", "0.00", "0.00", "150.00", "-50.00", "0.00", "200.00"]
    assert considered(ledger) == {"earnings": "50.00", "wash": "-50.00"}


def test_a_promotion_that_expires_is_no_revenue_and_a_purchase_that_expires_is(ledger: Ledger) -> None:
    ledger.credits.grant("acme", "100", expires_at="2026-02-01T00:00:00Z")
    sold(ledger, expires_at="2026-02-01T00:00:00Z")
    at(ledger, "2026-03-01T00:00:00Z")

    assert ledger.views.balance("acme").breakage == 200
    assert considered(ledger) == {"breakage": "50.00", "wash": "-50.00"}


def test_paid_used_in_part_and_refunded_nothing_is_owed_either_way(ledger: Ledger) -> None:
    """100 at 0.5 paid, 40 used, voided with refund: bank 20.00, revenue 20.00."""
    purchase = sold(ledger)
    use(ledger, "40")
    ledger.credits.void(purchase, payment_adjustment="refund")

    assert books(ledger) == ["0.00", "0.00", "0.00", "20.00", "-20.00", "0.00", "40.00"]
    assert considered(ledger) == {"earnings": "20.00", "wash": "-20.00"}


def test_a_refusal_is_a_typed_error_with_its_code(ledger: Ledger) -> None:
    purchase = sold(ledger)
    with pytest.raises(LedgerError) as unknown:
        ledger.credits.record_payment(purchase, "lost")
    assert unknown.value.code == "validation"
