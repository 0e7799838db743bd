"""Listings, statements and the trial balance on every store, against worked numbers and the pure listing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aggregates.policies import Policies
from aggregates.values.errors import LedgerError
from aggregates.values.identifiers import pool_id
from aggregates.values.money import fiat
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.prices import unit
from ledger.statements import Movements
from ledger.store import mapper
from projections.balances import AsOf, FeatureFilter, posting_rows
from projections.listing import credit_transactions
from tests.application.scenes import at, january_charge, opened, used, with_customer

END = "2027-01-01T00:00:00Z"


@pytest.fixture
def ledger(store_url: str) -> Any:
    with opened(store_url, policies=Policies.standard()) as opened_ledger:
        with_customer(opened_ledger)
        yield opened_ledger


def told(movements: Movements) -> list[str]:
    return [f"{each.type} {each.amount} ({each.balance_before} to {each.balance_after})" for each in movements.items]


def months(ledger: Ledger, *, deleted: bool = True) -> None:
    """Two months: grants that end, one restricted; usage beyond credit, a purchase, a deletion, a void."""
    ledger.catalogue.define_feature("other", meter="calls")
    ledger.credits.grant("acme", "20", expires_at="2026-02-01T00:00:00Z")
    ledger.credits.grant("acme", "5", features=("other",), priority=1)
    charge = january_charge(ledger)
    used(ledger, "30", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")
    ledger.credits.sell("acme", "40", cost_basis="0.5", initial_status="settled", expires_at="2026-03-10T00:00:00Z")
    february = ledger.charges.create_usage(
        "acme", feature="calls", price=unit("1"), period_from="2026-02-01T00:00:00Z", period_to="2026-03-01T00:00:00Z"
    )
    used(ledger, "7", "2026-02-20T00:00:00Z")
    at(ledger, "2026-03-03T00:01:00Z")
    ledger.charges.advance("acme")
    ledger.charges.delete(february.id)
    gift = ledger.credits.grant("acme", "9")
    ledger.credits.void(gift.id)
    if deleted:
        ledger.charges.delete(charge.id)


def test_the_listing_of_the_specification(ledger: Ledger) -> None:
    ledger.credits.grant("acme", "20", expires_at="2026-02-10T00:00:00Z")
    january_charge(ledger)
    used(ledger, "5", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")

    now = ledger.statements.transactions("acme")
    later = ledger.statements.transactions("acme", as_of="2026-02-10T00:00:00Z")
    assert told(now) == ["consumed -5.00 (20.00 to 15.00)", "funded 20.00 (0.00 to 20.00)"]
    assert told(later)[0] == "expired -15.00 (15.00 to 0.00)"
    assert told(later)[1:] == told(now)


@pytest.mark.parametrize("feature", [None, "other", "calls"])
def test_the_view_is_the_listing_that_postings_give_page_by_page(ledger: Ledger, feature: str | None) -> None:
    months(ledger)
    records = [
        (row.position, mapper.decode(row.name, row.data))
        for row in ledger.store.read_log(0, 10_000)
        if row.stream == pool_id("default", "acme", "USD")
    ]
    rows = [each for position, record in records for each in posting_rows(record, position, record.recorded_at)]
    until = AsOf(timestamp(END))
    expected = credit_transactions(rows, fiat("USD"), as_of=until, features=FeatureFilter(feature=feature))
    assert len(expected) > 5

    for limit in (1, 3, 100):
        seen: list[Any] = []
        after = None
        while True:
            page = ledger.statements.transactions("acme", feature=feature, as_of=END, limit=limit, after=after)
            seen += page.items
            after = page.next
            if after is None:
                break
        assert [(s.type, s.booked_at, s.amount, s.balance_before, s.balance_after, s.group) for s in seen] == [
            (e.type, e.booked_at, e.amount, e.balance_before, e.balance_after, e.group) for e in expected
        ]
    head = ledger.store.head()
    known = ledger.statements.transactions("acme", feature=feature, as_of=END, recorded_as_of=head)
    assert [each.cursor for each in known.items] == [each.cursor for each in seen]


def test_pages_go_back_to_where_they_came_from(ledger: Ledger) -> None:
    months(ledger)
    first = ledger.statements.transactions("acme", as_of=END, limit=3)
    second = ledger.statements.transactions("acme", as_of=END, limit=3, after=first.next)
    back = ledger.statements.transactions("acme", as_of=END, limit=3, before=second.previous)

    assert first.previous is None
    assert back.items == first.items
    with pytest.raises(LedgerError):
        ledger.statements.transactions("acme", after=first.next, before=second.previous)


def test_rows_of_one_type_keep_their_balances(ledger: Ledger) -> None:
    months(ledger)
    everything = ledger.statements.transactions("acme", as_of=END).items
    for kind in ("funded", "consumed", "restored", "expired", "voided"):
        of_kind = ledger.statements.transactions("acme", as_of=END, type=kind).items
        assert list(of_kind) == [each for each in everything if each.type == kind]
        assert of_kind, kind


def test_a_cursor_of_expiry_stays_what_it_is_when_its_amount_changes(ledger: Ledger) -> None:
    grant = ledger.credits.grant("acme", "20", expires_at="2026-02-10T00:00:00Z")
    before = ledger.statements.transactions("acme", as_of=END, type="expired").items
    january_charge(ledger)
    used(ledger, "5", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")
    after = ledger.statements.transactions("acme", as_of=END, type="expired").items

    assert [each.amount for each in before + after] == [-20, -15]
    assert before[0].cursor == after[0].cursor
    assert after[0].source == grant.id


def test_january_usage_is_in_january_and_what_was_bought_later_is_not(ledger: Ledger) -> None:
    months(ledger, deleted=False)
    january = ledger.statements.statement("acme", "2026-01")
    february = ledger.statements.statement("acme", "2026-02")
    march = ledger.statements.statement("acme", "2026-03")

    assert [january.opening, january.closing] == [0, -5]
    assert [str(line.amount) for line in january.lines] == ["20.00", "5.00", "-30.00"]
    assert january.lines[-1].date.isoformat() == "2026-01-31T23:59:59+00:00"
    assert [february.opening, march.opening] == [january.closing, february.closing]
    assert march.closing == ledger.views.balance("acme", as_of="2026-03-31T23:59:59Z").settled
    assert sum(march.totals.values()) == march.closing - march.opening
    assert [str(each.amount) for each in february.expiring] == ["30.00"]


def test_a_statement_as_it_was_known_then(ledger: Ledger) -> None:
    ledger.credits.grant("acme", "50")
    january_charge(ledger)
    used(ledger, "30", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-01T12:00:00Z")
    ledger.charges.advance("acme")
    known = ledger.store.head()
    used(ledger, "5", "2026-01-21T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")

    assert ledger.statements.statement("acme", "2026-01", recorded_as_of=known).closing == 20
    assert ledger.statements.statement("acme", "2026-01").closing == 15


def figures(ledger: Ledger, month: str) -> dict[str, list[str]]:
    balance = ledger.statements.trial_balance(month)
    assert balance == ledger.statements.trial_balance(month, recorded_as_of=ledger.store.head()), (
        "sums are not what postings add up to"
    )
    rows = balance.rows
    assert sum(row.consideration for row in rows) == 0
    assert sum(row.consideration_change for row in rows) == 0
    for currency in {row.currency for row in rows}:
        assert sum(row.face for row in rows if row.currency == currency) == 0
    return {
        row.account.value: [f"{row.face:.2f}", f"{row.consideration:.2f}", f"{row.consideration_change:.2f}"]
        for row in rows
    }


def test_a_gift_of_100_and_100_sold_at_a_half_all_used_are_revenue_of_50(ledger: Ledger) -> None:
    ledger.credits.grant("acme", "100", priority=1)
    ledger.credits.sell("acme", "100", cost_basis="0.5", initial_status="settled")
    january_charge(ledger)
    used(ledger, "200", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")

    january = figures(ledger, "2026-01")
    assert january["earnings"] == ["200.00", "50.00", "50.00"]
    assert january["wash"] == ["-150.00", "-50.00", "-50.00"]
    assert figures(ledger, "2026-02")["earnings"][2] == "0.00"


def test_a_gift_that_expires_is_no_revenue(ledger: Ledger) -> None:
    ledger.credits.grant("acme", "100", expires_at="2026-02-01T00:00:00Z")
    at(ledger, "2026-03-01T00:00:00Z")

    assert figures(ledger, "2026-02")["breakage"] == ["100.00", "0.00", "0.00"]


def test_40_of_100_at_a_half_and_the_rest_voided_with_refund_are_20_earned_and_20_in_the_bank(ledger: Ledger) -> None:
    purchase = ledger.credits.sell("acme", "100", cost_basis="0.5", initial_status="settled")
    january_charge(ledger)
    used(ledger, "40", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")
    ledger.credits.void(purchase.id, payment_adjustment="refund")

    february = figures(ledger, "2026-02")
    assert february["earnings"] == ["40.00", "20.00", "0.00"], "earned in January"
    assert february["wash"] == ["-20.00", "-20.00", "30.00"]
    assert february.get("customer_receivable", ["0.00", "0.00"])[:2] == ["0.00", "0.00"]


def test_cents_are_taken_so_that_all_uses_together_are_the_price(ledger: Ledger) -> None:
    ledger.credits.sell("acme", "3", cost_basis="0.3333", initial_status="settled")
    for number, month in enumerate(("2026-01", "2026-02", "2026-03"), start=1):
        ends = f"2026-{number + 1:02}-01T00:00:00Z"
        ledger.charges.create_usage(
            "acme", feature="calls", price=unit("1"), period_from=f"{month}-01T00:00:00Z", period_to=ends
        )
        used(ledger, "1", f"{month}-20T00:00:00Z")
        at(ledger, f"2026-{number + 1:02}-03T00:01:00Z")
        ledger.charges.advance("acme")

    changes = [Decimal(figures(ledger, month)["earnings"][2]) for month in ("2026-01", "2026-02", "2026-03")]
    assert changes == [Decimal("0.33"), Decimal("0.34"), Decimal("0.33")]


def test_a_custom_currency_is_considered_in_what_it_was_paid_in(ledger: Ledger) -> None:
    ledger.catalogue.define_currency("TOK", precision=0)
    ledger.credits.sell("acme", "1000", "TOK", cost_basis="0.01", initial_status="settled")
    january_charge(ledger, currency="TOK")
    used(ledger, "400", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")

    rows = ledger.statements.trial_balance("2026-01").rows
    earned = [(row.currency, row.face, row.paid_in, row.consideration) for row in rows if row.account == "earnings"]
    assert earned == [("TOK", Decimal(400), "USD", Decimal("4.00"))]
    assert sum(row.consideration for row in rows) == 0


def test_what_is_no_month_or_no_customer_is_refused(ledger: Ledger) -> None:
    for wrong in ("2026-13", "January", ""):
        with pytest.raises(LedgerError) as refused:
            ledger.statements.trial_balance(wrong)
        assert refused.value.code == "validation"
    with pytest.raises(LedgerError) as refused:
        ledger.statements.transactions("nobody")
    assert refused.value.code == "customer_not_found"
