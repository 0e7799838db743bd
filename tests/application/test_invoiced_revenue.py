"""Revenue of what was invoiced, through the facade: spread over its service, taken back by credit notes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aggregates.charges.state import Charge
from aggregates.credits.events import EarningsRecognized
from aggregates.invoices.state import Invoice
from aggregates.policies import Policies, RecognizeInvoiced
from ledger.facade import Ledger
from ledger.prices import unit
from tests.application.scenes import at, opened, used, with_customer
from tests.application.test_revenue import events_of_pool, pool_of

JANUARY = {"period_from": "2026-01-01T00:00:00Z", "period_to": "2026-02-01T00:00:00Z"}
BY_INVOICE = "credit_then_invoice"


def standard(url: str, now: str = "2026-01-01T00:00:00Z", **changes: Any) -> Ledger:
    ledger = opened(url, now, policies=msgspec.structs.replace(Policies.standard(), **changes))
    with_customer(ledger)
    return ledger


def fee(ledger: Ledger, amount: str = "100", period: dict[str, str] = JANUARY, **terms: Any) -> Charge:
    return ledger.charges.create_flat_fee(
        "acme", amount=amount, settlement_mode=BY_INVOICE, pro_rating=True, **period, **terms
    )


def issued(ledger: Ledger) -> Invoice:
    ledger.worker.run_once()
    return ledger.invoices.list("acme")[-1]


def cut_to_ten_days(ledger: Ledger, charged: Charge) -> None:
    ledger.charges.shrink(
        charged.id, service_period_to="2026-01-11T00:00:00Z", full_service_period_to="2026-02-01T00:00:00Z"
    )


def figures(ledger: Ledger, moment: str | None = None) -> tuple[object, object]:
    """Accrued value and earnings as of a time."""
    balance = ledger.views.balance("acme", as_of=moment)
    return balance.accrued, balance.earnings


def monthly(ledger: Ledger, month: str) -> dict[str, Decimal]:
    """What a month changed, by account, at face value."""
    changes: dict[str, Decimal] = {}
    for row in ledger.statements.trial_balance(month).rows:
        changes[row.account.value] = changes.get(row.account.value, Decimal(0)) + row.face_change
    return {account: change for account, change in changes.items() if change}


def test_a_fee_in_advance_is_revenue_day_by_day_from_its_issue_on(store_url: str) -> None:
    """31.00 for January: after ten days 10.00 are earned and 21.00 accrued; time passing books nothing."""
    with standard(store_url) as ledger:
        fee(ledger, "31")
        issued(ledger)
        head = ledger.store.head()

        assert figures(ledger, "2026-01-10T23:59:59Z") == (21, 10)
        assert figures(ledger, "2026-01-31T23:59:59Z") == (0, 31)
        at(ledger, "2026-01-20T00:00:00Z")
        ledger.worker.run_once()
        assert ledger.store.head() == head
        assert figures(ledger) == (12, 19)
        [event] = events_of_pool(ledger, EarningsRecognized)
        assert len(event.parts) == 31
        assert ledger.audit.verify().sound


def test_a_fee_over_two_months_is_revenue_of_each_in_the_trial_balance(store_url: str) -> None:
    """59.00 for January and February: 31.00 and 28.00."""
    with standard(store_url) as ledger:
        fee(ledger, "59", {"period_from": JANUARY["period_from"], "period_to": "2026-03-01T00:00:00Z"})
        issued(ledger)

        assert monthly(ledger, "2026-01") == {"earnings": 31, "customer_accrued": 28, "customer_receivable": -59}
        assert monthly(ledger, "2026-02") == {"earnings": 28, "customer_accrued": -28}


@pytest.mark.parametrize(
    ("policy", "first_day", "last_day"),
    [
        (RecognizeInvoiced.NEVER, (31, 0), (31, 0)),
        (RecognizeInvoiced.ON_ISSUE, (0, 31), (0, 31)),
        (RecognizeInvoiced.OVER_SERVICE_PERIOD, (30, 1), (0, 31)),
    ],
)
def test_the_policy_says_when_invoiced_value_is_revenue(
    policy: RecognizeInvoiced, first_day: tuple[int, int], last_day: tuple[int, int], store_url: str
) -> None:
    with standard(store_url, recognize_invoiced=policy) as ledger:
        fee(ledger, "31")
        issued(ledger)

        assert figures(ledger, "2026-01-01T23:59:59Z") == first_day
        assert figures(ledger, "2026-01-31T23:59:59Z") == last_day


def test_usage_is_revenue_of_its_period_when_its_invoice_is_issued(store_url: str) -> None:
    with standard(store_url) as ledger:
        ledger.charges.create_usage("acme", feature="calls", price=unit("1"), settlement_mode=BY_INVOICE, **JANUARY)
        used(ledger, "7", "2026-01-20T00:00:00Z")
        at(ledger, "2026-02-01T00:00:00Z")
        ledger.worker.run_once()
        assert figures(ledger) == (0, 0)
        at(ledger, "2026-02-03T00:01:00Z")
        issued(ledger)

        assert figures(ledger) == (0, 7)
        assert monthly(ledger, "2026-01") == {"earnings": 7, "customer_receivable": -7}
        assert ledger.audit.verify().sound


def test_the_days_are_those_of_the_customer(store_url: str) -> None:
    """A January of New York, which ends at five in the morning of 1 February."""
    with standard(store_url) as ledger:
        ledger.customers.change_profile("acme", zone="America/New_York")
        fee(ledger, "31", {"period_from": "2026-01-01T05:00:00Z", "period_to": "2026-02-01T05:00:00Z"})
        at(ledger, "2026-01-01T05:00:00Z")
        issued(ledger)

        assert figures(ledger, "2026-01-02T04:59:58Z") == (31, 0)
        assert figures(ledger, "2026-01-02T04:59:59Z") == (30, 1)
        assert figures(ledger, "2026-02-01T04:59:59Z") == (0, 31)


def test_overage_of_a_custom_currency_is_revenue_in_the_currency_it_is_paid_in(store_url: str) -> None:
    """310 tokens at 0.1 for January are 31.00."""
    with standard(store_url) as ledger:
        ledger.catalogue.define_currency("TOK", precision=2)
        ledger.catalogue.define_cost_basis("TOK", rate="0.1", effective_from="2025-12-01T00:00:00Z")
        fee(ledger, "310", currency="TOK", cost_basis={"mode": "dynamic", "fiat_currency": "USD"})
        issued(ledger)

        assert figures(ledger, "2026-01-10T23:59:59Z") == (21, 10)
        assert ledger.audit.verify().sound


# ── credit notes ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_fee_cut_after_it_was_paid_is_revenue_of_the_ten_days_and_lowers_the_next_invoice(store_url: str) -> None:
    """100.00 paid, cut to 10 of 31 days: 32.26 stay, 67.74 are unapplied and set against February (decision 23)."""
    with standard(store_url) as ledger:
        charged = fee(ledger)
        first = issued(ledger)
        ledger.invoices.record_payment(first.id, "paid")
        at(ledger, "2026-01-10T12:00:00Z")
        cut_to_ten_days(ledger, charged)

        assert figures(ledger, "2026-01-10T12:00:00Z") == (Decimal("3.23"), Decimal("29.03"))
        assert figures(ledger, "2026-01-31T23:59:59Z") == (0, Decimal("32.26"))
        first = ledger.invoices.get(first.id)
        assert [first.credited, first.unapplied] == [Decimal("67.74"), Decimal("67.74")]

        at(ledger, "2026-02-01T00:00:00Z")
        fee(ledger, "100", {"period_from": "2026-02-01T00:00:00Z", "period_to": "2026-03-01T00:00:00Z"})
        february = issued(ledger)
        assert (february.paid, february.open) == (Decimal("67.74"), Decimal("32.26"))
        assert ledger.invoices.get(first.id).unapplied == 0
        assert ledger.views.balance("acme").receivable_open == Decimal("-32.26")
        assert monthly(ledger, "2026-01")["earnings"] == Decimal("32.26")
        ledger.invoices.record_payment(february.id, "paid")
        assert ledger.views.balance("acme").receivable_open == 0
        assert ledger.audit.verify().sound


def test_a_voided_invoice_leaves_no_revenue(store_url: str) -> None:
    with standard(store_url) as ledger:
        fee(ledger)
        invoice = issued(ledger)
        at(ledger, "2026-01-10T12:00:00Z")
        ledger.invoices.void(invoice.id)

        assert figures(ledger) == (0, 0)
        assert figures(ledger, "2026-02-01T00:00:00Z") == (0, 0)
        assert figures(ledger, "2026-01-10T11:59:59Z") == (Decimal("70.97"), Decimal("29.03"))


def test_neither_payment_nor_its_failure_nor_a_write_off_touches_revenue(store_url: str) -> None:
    with standard(store_url) as ledger:
        fee(ledger)
        invoice = issued(ledger)
        ledger.invoices.record_payment(invoice.id, "authorized")
        ledger.invoices.record_payment(invoice.id, "failed")
        ledger.invoices.write_off(invoice.id)

        assert figures(ledger, "2026-02-01T00:00:00Z") == (0, 100)
        assert monthly(ledger, "2026-01")["bad_debt"] == -100


def test_revenue_of_a_closed_month_is_diverted_and_a_note_leaves_it_alone(store_url: str) -> None:
    """A fee of two months, issued in January; January is closed, then all is credited in February (decision 39)."""
    with standard(store_url) as ledger:
        charged = fee(ledger, "59", {"period_from": JANUARY["period_from"], "period_to": "2026-03-01T00:00:00Z"})
        issued(ledger)
        at(ledger, "2026-02-05T00:00:00Z")
        ledger.periods.close("2026-01")
        closed = monthly(ledger, "2026-01")
        ledger.charges.delete(charged.id)

        assert monthly(ledger, "2026-01") == closed
        assert monthly(ledger, "2026-02")["earnings"] == -31
        assert ledger.audit.verify().sound


def test_what_a_stricter_policy_finds_unrecognised_follows_with_the_next_command(store_url: str) -> None:
    with standard(store_url, recognize_invoiced=RecognizeInvoiced.NEVER) as ledger:
        fee(ledger, "31")
        invoice = issued(ledger)
        ledger.settings.change_policies(Policies.standard())
        at(ledger, "2026-01-11T00:00:00Z")
        ledger.invoices.record_payment(invoice.id, "paid")

        assert figures(ledger) == (21, 10)
        assert figures(ledger, "2026-02-01T00:00:00Z") == (0, 31)


def test_the_pool_of_a_customer_who_pays_every_month_does_not_grow() -> None:
    sizes = []
    with standard("memory:") as ledger:
        for month in range(36):
            begins = f"{2026 + month // 12}-{month % 12 + 1:02}-01T00:00:00Z"
            ends = f"{2026 + (month + 1) // 12}-{(month + 1) % 12 + 1:02}-01T00:00:00Z"
            at(ledger, begins)
            fee(ledger, "31", {"period_from": begins, "period_to": ends})
            ledger.invoices.record_payment(issued(ledger).id, "paid")
            sizes.append(len(msgspec.json.encode(pool_of(ledger))))

    assert sizes[-1] < sizes[18] * Decimal("1.1"), sizes
