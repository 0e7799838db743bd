"""Revenue, sealing and corrections through the facade, under the standard policies: what a stranger would expect."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aggregates.credits.events import CreditReturned, EarningsRecognized, SlicesSealed
from aggregates.credits.pool import CreditPool
from aggregates.event import Stream
from aggregates.policies import Policies, RecognizeCredit
from aggregates.values.identifiers import pool_id
from ledger.facade import Ledger
from ledger.prices import unit
from ledger.store import mapper
from tests.application.scenes import at, january_charge, opened, used, with_customer


def standard(url: str, **changes: Any) -> Ledger:
    ledger = opened(url, policies=msgspec.structs.replace(Policies.standard(), **changes))
    with_customer(ledger)
    return ledger


def pool_of(ledger: Ledger) -> CreditPool:
    return ledger.credits.pool("acme", "USD")


def events_of_pool(ledger: Ledger, kind: type) -> list[Any]:
    stream = Stream("credit_pool", pool_id("default", "acme", "USD"))
    records = [mapper.decode(row.name, row.data) for row in ledger.store.read_stream(stream.id)]
    return [record.body for record in records if isinstance(record.body, kind)]


def january_is_paid(ledger: Ledger, credit: str, usage: str) -> Any:
    """Credit of January that expires on 1 February, and usage of January, final on 3 February."""
    ledger.credits.grant("acme", credit, expires_at="2026-02-01T00:00:00Z")
    charge = january_charge(ledger)
    used(ledger, usage, "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")
    return charge


def test_a_january_grant_expiring_on_1_february_pays_january(store_url: str) -> None:
    with standard(store_url) as ledger:
        january_is_paid(ledger, "50", "30")
        balance = ledger.views.balance("acme")

    assert [balance.settled, balance.advance, balance.earnings] == [0, 0, 30]
    assert balance.breakage == 20


def test_under_the_reference_it_does_not_and_nothing_is_recognised(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        january_is_paid(ledger, "50", "30")
        balance = ledger.views.balance("acme")

    assert [balance.settled, balance.earnings, balance.breakage] == [-30, 0, 50]


def test_usage_is_revenue_in_the_save_that_books_it_and_of_the_month_it_belongs_to(store_url: str) -> None:
    with standard(store_url) as ledger:
        january_is_paid(ledger, "50", "30")
        (recognized,) = events_of_pool(ledger, EarningsRecognized)
        ledger.charges.advance("acme")
        entries = [each for each in ledger.views.entries("acme", "USD").items if each.account == "earnings"]

    assert recognized.amount == 30
    assert {each.accounting_date.isoformat() for each in entries} == {"2026-01-31T23:59:59+00:00"}
    assert {each.booked_at.isoformat() for each in entries} == {"2026-02-03T00:01:00+00:00"}
    assert sum(each.amount for each in entries) == 30


def test_a_purchase_that_covers_advance_makes_it_revenue_in_the_same_save(store_url: str) -> None:
    with standard(store_url) as ledger:
        january_charge(ledger)
        used(ledger, "30", "2026-01-20T00:00:00Z")
        at(ledger, "2026-02-03T00:01:00Z")
        ledger.charges.advance("acme")
        assert events_of_pool(ledger, EarningsRecognized) == [], "advance that nobody has covered is no revenue"
        ledger.credits.grant("acme", "20")

        assert [event.amount for event in events_of_pool(ledger, EarningsRecognized)] == [20]
        assert ledger.views.balance("acme").settled == -10


def test_advance_is_revenue_of_the_day_it_was_covered(store_url: str) -> None:
    with standard(store_url) as ledger:
        january_charge(ledger)
        used(ledger, "30", "2026-01-20T00:00:00Z")
        at(ledger, "2026-02-20T00:00:00Z")
        ledger.charges.advance("acme")
        ledger.credits.grant("acme", "30")
        entries = [each for each in ledger.views.entries("acme", "USD").items if each.account == "earnings"]

    assert {each.accounting_date.isoformat() for each in entries} == {"2026-02-20T00:00:00+00:00"}


def test_what_is_final_and_recognised_leaves_the_state(store_url: str) -> None:
    with standard(store_url) as ledger:
        january_is_paid(ledger, "50", "30")
        pool = pool_of(ledger)

    assert pool.charges == {}
    assert pool.unrecognized == set()


def test_a_final_charge_is_still_deleted_and_its_credit_comes_back_for_thirty_days(store_url: str) -> None:
    """The slices have left the state; the correction reads the stream (decision 40). The credit had expired (grace)."""
    with standard(store_url) as ledger:
        charge = january_is_paid(ledger, "50", "30")
        assert events_of_pool(ledger, SlicesSealed)
        at(ledger, "2026-02-10T00:00:00Z")
        ledger.charges.delete(charge.id)
        now = ledger.views.balance("acme")
        later = ledger.views.balance("acme", as_of="2026-03-12T00:00:00Z")
        (returned,) = events_of_pool(ledger, CreditReturned)

        assert [now.settled, now.earnings, now.accrued] == [30, 0, 0]
        assert [later.settled, later.breakage] == [0, 50]
        assert [lot.expires_at.isoformat() for lot in returned.restored_lots] == ["2026-03-12T00:00:00+00:00"]
        assert ledger.audit.verify().sound


def test_without_grace_credit_that_had_expired_expires_as_it_returns(store_url: str) -> None:
    reference = Policies.reference().restored_credit_grace
    with standard(store_url, restored_credit_grace=reference) as ledger:
        charge = january_is_paid(ledger, "50", "30")
        at(ledger, "2026-02-10T00:00:00Z")
        ledger.charges.delete(charge.id)
        balance = ledger.views.balance("acme")

        assert [balance.settled, balance.breakage, balance.earnings] == [0, 50, 0]
        assert ledger.audit.verify().sound


@pytest.mark.parametrize("recognize", list(RecognizeCredit))
def test_the_state_of_a_pool_is_flat_in_the_age_of_its_customer(recognize: RecognizeCredit) -> None:
    sizes = []
    with standard("memory:", recognize_credit=recognize) as ledger:
        for month in range(1, 25):
            year, number = 2026 + (month - 1) // 12, (month - 1) % 12 + 1
            begins = f"{year}-{number:02}-01T00:00:00Z"
            next_year, next_number = 2026 + month // 12, month % 12 + 1
            ends = f"{next_year}-{next_number:02}-01T00:00:00Z"
            at(ledger, begins)
            ledger.credits.grant("acme", "40", expires_at=ends)
            ledger.charges.create_usage("acme", feature="calls", price=unit("1"), period_from=begins, period_to=ends)
            used(ledger, "25", f"{year}-{number:02}-20T00:00:00Z")
            at(ledger, f"{next_year}-{next_number:02}-03T00:01:00Z")
            ledger.charges.advance("acme")
            sizes.append(len(msgspec.json.encode(pool_of(ledger))))

    assert sizes[-1] < sizes[15] * Decimal("1.1"), sizes


def test_usage_does_not_run_further_ahead_of_credit_than_the_profile_allows(store_url: str) -> None:
    with standard(store_url) as ledger:
        ledger.customers.change_profile("acme", advance_limit="40", collection_interval="P0D")
        ledger.credits.grant("acme", "20")
        charge = january_charge(ledger)
        used(ledger, "80", "2026-01-20T00:00:00Z")
        at(ledger, "2026-02-03T00:00:00Z")
        refused = ledger.charges.advance("acme").failed

        assert [each.code for each in refused] == ["advance_limit_exceeded"]
        assert ledger.views.balance("acme").settled == 20
        ledger.credits.grant("acme", "20")
        ledger.worker.run_once()
        assert ledger.charges.get(charge.id).status.value == "final", "it moves by itself once there is room"
        assert ledger.views.balance("acme").settled == -40
