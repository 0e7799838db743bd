"""Queries of a real ledger: both time axes, pages, filters, how fresh an answer is, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aggregates.values.errors import (
    ChargeNotFound,
    CurrencyNotFound,
    CustomerNotFound,
    RunNotFound,
    Unavailable,
    ValidationFailed,
)
from ledger.facade import Ledger
from tests.application.scenes import at, january_charge, opened, used, with_customer


def test_a_balance_shows_what_was_just_done(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        assert ledger.views.balance("acme").settled == 0

        ledger.credits.grant("acme", "100")

        balance = ledger.views.balance("acme")
        assert (balance.settled, balance.fbo, balance.wash) == (Decimal(100), Decimal(100), Decimal(-100))
        assert balance.position == ledger.store.head()


def test_usage_without_credit_runs_ahead_of_it(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        january_charge(ledger)
        used(ledger, "30", "2026-01-10T00:00:00Z")
        at(ledger, "2026-02-04T00:00:00Z")
        ledger.charges.advance("acme")

        balance = ledger.views.balance("acme")

        assert (balance.settled, balance.advance, balance.accrued) == (Decimal(-30), Decimal(-30), Decimal(30))
        assert ledger.views.balance("acme", as_of="2026-01-31T23:59:59Z").settled == 0
        assert ledger.views.balance("acme", as_of="2026-02-01T00:00:00Z").settled == Decimal(-30)


def test_a_balance_as_it_was_reported_does_not_change(store_url: str) -> None:
    """January's end as known on 1 February, and as known after the late usage of January was billed."""
    with opened(store_url) as ledger:
        with_customer(ledger)
        ledger.credits.grant("acme", "100")
        january_charge(ledger)
        at(ledger, "2026-02-01T00:00:00Z")
        used(ledger, "40", "2026-01-20T00:00:00Z")
        closing, month_end = ledger.store.head(), "2026-02-01T00:00:00Z"
        at(ledger, "2026-02-04T00:00:00Z")
        ledger.charges.advance("acme")

        known_now = ledger.views.balance("acme", as_of=month_end)
        known_then = ledger.views.balance("acme", as_of=month_end, recorded_as_of=closing)
        by_clock = ledger.views.balance("acme", as_of=month_end, recorded_as_of="2026-02-01T12:00:00Z")

        assert (known_now.settled, known_then.settled) == (Decimal(60), Decimal(100))
        assert by_clock.settled == known_then.settled
        assert by_clock.position == closing
        assert known_now.accrued == Decimal(40)


def test_credit_that_expires_leaves_by_itself(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        ledger.credits.grant("acme", "10", expires_at="2026-02-01T00:00:00Z")

        assert ledger.views.balance("acme").settled == Decimal(10)
        assert ledger.views.balance("acme", as_of="2026-02-01T00:00:00Z").settled == 0
        at(ledger, "2026-02-01T00:00:00Z")
        balance = ledger.views.balance("acme")

        assert (balance.settled, balance.breakage) == (Decimal(0), Decimal(10))


def test_a_feature_sees_unrestricted_credit_and_its_own(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        ledger.catalogue.define_feature("storage", meter="calls")
        ledger.credits.grant("acme", "100", features=["storage"])
        ledger.credits.grant("acme", "7")

        assert ledger.views.balance("acme", feature="storage").settled == Decimal(107)
        assert ledger.views.balance("acme", feature="calls").settled == Decimal(7)
        assert ledger.views.balance("acme", unrestricted=True).settled == Decimal(7)
        addresses = ledger.views.addresses("acme")
        assert {(each.features, each.amount) for each in addresses if each.account == "customer_fbo"} == {
            (("storage",), Decimal(100)),
            ((), Decimal(7)),
        }


def test_pages_of_entries_follow_one_another_without_gap_or_repetition(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        for number in range(1, 8):
            ledger.credits.grant("acme", str(number), expires_at=f"2026-02-{number:02}T00:00:00Z")
        everything = ledger.views.entries("acme", limit=1000).items

        paged: list[Any] = []
        after = None
        while True:
            page = ledger.views.entries("acme", after=after, limit=3)
            paged.extend(page.items)
            after = page.next
            if after is None:
                break

        assert tuple(paged) == everything
        order = [(each.booked_at, each.position, each.ordinal) for each in everything]
        assert order == sorted(order, reverse=True)
        assert len(set(order)) == len(order) == 7 * 8
        assert sum(each.amount for each in everything) == 0


def test_entries_are_cut_on_both_axes(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        ledger.credits.grant("acme", "1", expires_at="2026-03-01T00:00:00Z")
        first = ledger.store.head()
        at(ledger, "2026-01-02T00:00:00Z")
        ledger.credits.grant("acme", "2")

        def accounts(**cut: Any) -> list[tuple[str, Decimal]]:
            return [(each.account, each.amount) for each in ledger.views.entries("acme", **cut).items]

        assert ("breakage", Decimal(1)) in accounts()
        assert ("breakage", Decimal(1)) not in accounts(as_of="2026-02-28T23:59:59Z")
        assert ("wash", Decimal(-2)) not in accounts(recorded_as_of=first)
        assert accounts(account="wash") == [("wash", Decimal(-2)), ("wash", Decimal(-1))]
        assert accounts(account="wash", booked_from="2026-01-02T00:00:00Z") == [("wash", Decimal(-2))]
        assert len(accounts(currency="USD")) == len(accounts())
        assert accounts(currency="EUR") == []


def test_charges_are_found_by_what_they_are(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        ledger.customers.create("globex")
        grant = ledger.credits.grant("acme", "1")
        first = january_charge(ledger)
        other = january_charge(ledger, customer="globex")

        def found(customer: str | None = None, **by: Any) -> list[Any]:
            return [each.charge for each in ledger.views.charges(customer, **by).items]

        assert found() == [grant.id, first.id, other.id]
        assert found(newest_first=True) == [other.id, first.id, grant.id]
        assert found("acme", charge_type="usage_based") == [first.id]
        assert found(status="active") == [first.id, other.id]
        assert found(status="final") == [grant.id]
        assert found(feature="calls", due_by="2026-02-01T00:00:00Z") == [first.id, other.id]
        assert found(due_by="2026-01-31T00:00:00Z") == []
        assert found(failing=True) == []
        page = ledger.views.charges(limit=2)
        assert [each.charge for each in page.items] == [grant.id, first.id]
        assert found(after=page.next) == [other.id]


def test_namespaces_do_not_see_one_another() -> None:
    with opened("memory:") as ledger:
        with_customer(ledger)
        charge = january_charge(ledger)
        ledger.credits.grant("acme", "5")
        with Ledger.open("memory:") as elsewhere:
            elsewhere.customers.create("acme")
            assert elsewhere.views.balance("acme").settled == 0
            with pytest.raises(ChargeNotFound):
                elsewhere.views.charge(charge.id)


def test_stale_answers_are_given_as_they_are_and_a_position_can_be_waited_for(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.store.follow.WAIT_SECONDS", 0.1)
    with opened(store_url) as ledger:
        with_customer(ledger)
        ledger.credits.grant("acme", "5")
        head = ledger.store.head()

        assert ledger.views.balance("acme", stale=True).settled == 0
        with pytest.raises(Unavailable):
            ledger.views.balance("acme", at_least=head)
        ledger.projections.catch_up()
        assert ledger.views.balance("acme", at_least=head).settled == Decimal(5)
        assert ledger.views.balance("acme", stale=True).settled == Decimal(5)


@pytest.mark.parametrize(
    ("query", "error", "code"),
    [
        (lambda views: views.balance("nobody"), CustomerNotFound, "customer_not_found"),
        (lambda views: views.balance("acme", "NOPE"), CurrencyNotFound, "currency_not_found"),
        (lambda views: views.balance("acme", as_of="2026-01-01T00:00:00"), ValidationFailed, "validation"),
        (lambda views: views.balance("acme", recorded_as_of="yesterday"), ValidationFailed, "validation"),
        (lambda views: views.balance("acme", feature="a", unrestricted=True), ValidationFailed, "validation"),
        (lambda views: views.entries("acme", limit=0), ValidationFailed, "validation"),
        (lambda views: views.entries("acme", limit=1001), ValidationFailed, "validation"),
        (lambda views: views.entries("acme", after="???"), ValidationFailed, "validation"),
        (lambda views: views.charges(after="eyJhIjoxfQ=="), ValidationFailed, "validation"),
        (lambda views: views.charge("not an id"), ChargeNotFound, "charge_not_found"),
        (lambda views: views.run("00000000-0000-0000-0000-000000000000"), RunNotFound, "run_not_found"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_a_typed_error(query: Any, error: type[Exception], code: str) -> None:
    with opened("memory:") as ledger:
        with_customer(ledger)

        with pytest.raises(error) as refused:
            query(ledger.views)

        assert refused.value.code == code  # type: ignore[attr-defined]
