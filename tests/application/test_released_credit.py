"""Credit that a correction gives back, and advance that is open beside it (lifecycles §22 row 18, ledger §17)."""

from __future__ import annotations

import pytest

from aggregates.charges.state import Charge
from aggregates.credits.events import AdvanceCovered
from aggregates.policies import OfferReleasedCredit
from aggregates.values.errors import CustomerNotFound
from ledger.facade import Ledger
from tests.application.scenes import at, january_charge, used
from tests.application.test_invoiced_revenue import standard
from tests.application.test_revenue import events_of_pool, pool_of


def two_charges(ledger: Ledger) -> tuple[Charge, Charge]:
    """10 of credit; two charges use 10 each of January: the first is paid for, the second is advance."""
    ledger.credits.grant("acme", "10")
    charges = january_charge(ledger), january_charge(ledger, unique_reference_id="second")
    used(ledger, "10", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme")
    assert ledger.views.balance("acme").settled == -10
    return charges


def test_credit_that_comes_back_stays_free_until_somebody_says_so(store_url: str) -> None:
    with standard(store_url) as ledger:
        first, _ = two_charges(ledger)
        ledger.charges.delete(first.id)
        balance = ledger.views.balance("acme")
        assert [balance.settled, balance.fbo, balance.advance, balance.earnings] == [0, 10, -10, 0]

        assert ledger.credits.cover_advance("acme") == 0

        balance = ledger.views.balance("acme")
        assert [balance.settled, balance.fbo, balance.advance, balance.earnings] == [0, 0, 0, 10]
        rows = ledger.statements.transactions("acme").items
        assert rows[0].balance_after == 0, "what moves no balance is no row"
        head = ledger.store.head()
        assert ledger.credits.cover_advance("acme") == 0
        assert ledger.store.head() == head
        assert ledger.audit.verify().findings == ()


def test_where_it_is_offered_it_covers_the_oldest_advance_in_the_same_save(store_url: str) -> None:
    with standard(store_url, offer_released_credit=OfferReleasedCredit.ON) as ledger:
        first, second = two_charges(ledger)
        ledger.charges.delete(first.id)

        [event] = events_of_pool(ledger, AdvanceCovered)
        assert (event.amount, [part.charge for part in event.parts]) == (10, [second.id])
        balance = ledger.views.balance("acme")
        assert [balance.settled, balance.fbo, balance.advance, balance.earnings] == [0, 0, 0, 10]
        assert ledger.audit.verify().findings == ()


def test_a_customer_may_have_it_otherwise_than_the_namespace(store_url: str) -> None:
    with standard(store_url) as ledger:
        ledger.customers.change_profile("acme", offer_released_credit="on")
        first, _ = two_charges(ledger)
        ledger.charges.delete(first.id)

        assert pool_of(ledger).uncovered_advance == 0


def test_what_covers_an_advance_comes_back_when_that_charge_goes_too(store_url: str) -> None:
    with standard(store_url) as ledger:
        first, second = two_charges(ledger)
        ledger.charges.delete(first.id)
        ledger.credits.cover_advance("acme", command_id="cover-1")
        ledger.credits.cover_advance("acme", command_id="cover-1")
        ledger.charges.delete(second.id)

        balance = ledger.views.balance("acme")
        assert [balance.settled, balance.fbo, balance.advance, balance.earnings] == [10, 10, 0, 0]
        assert len(events_of_pool(ledger, AdvanceCovered)) == 1
        assert ledger.audit.verify().findings == ()


def test_nobody_has_nothing_to_cover(store_url: str) -> None:
    with standard(store_url) as ledger:
        assert ledger.credits.cover_advance("acme") == 0
        with pytest.raises(CustomerNotFound):
            ledger.credits.cover_advance("nobody")
