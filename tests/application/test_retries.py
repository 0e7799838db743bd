"""Retries: a command id is carried out once; the same content gets the first answer, another content is refused."""

from __future__ import annotations

import pytest

from aggregates.values.errors import ConflictingRetry, ReferenceInUse, Unavailable
from tests.application.scenes import at, january_charge, opened, used, with_customer


def test_the_same_command_sent_twice_gives_the_first_answer_and_appends_nothing(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        first = ledger.credits.grant("acme", "100", command_id="grant-1")
        head = ledger.store.head()

        again = ledger.credits.grant("acme", "100", command_id="grant-1")

        assert again == first
        assert ledger.store.head() == head


def test_the_same_command_id_with_another_content_is_a_conflicting_retry(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        ledger.credits.grant("acme", "100", command_id="grant-1")
        head = ledger.store.head()

        with pytest.raises(ConflictingRetry) as refused:
            ledger.credits.grant("acme", "101", command_id="grant-1")

        assert refused.value.code == "conflicting_retry"
        assert not refused.value.retryable
        assert ledger.store.head() == head


def test_a_retry_runs_the_unit_that_has_no_receipt(store_url: str) -> None:
    """The creation is saved, its auto-advance fails; the same command again only advances (decision 9)."""
    failing: list[str] = []

    def probe(call: str) -> None:
        if call in failing:
            raise Unavailable(call, "made to fail")

    from aggregates.policies import Policies
    from ledger.facade import Ledger
    from ledger.ports import SettableClock

    clock = SettableClock("2026-01-15T00:00:00Z")
    with Ledger.open(store_url, clock=clock, policies=Policies.reference(), probe=probe) as ledger:
        with_customer(ledger)
        failing.append("charge.FeatureResolved")
        first = january_charge(ledger, command_id="create-1")
        assert first.status.value == "created"

        failing.clear()
        again = january_charge(ledger, command_id="create-1")

        assert again.id == first.id
        assert again.status.value == "active"
        assert len(ledger.charges.list("acme")) == 1


def test_a_refused_command_leaves_no_receipt_so_that_it_can_succeed_later(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        first = january_charge(ledger, unique_reference_id="sub-1")
        with pytest.raises(ReferenceInUse) as refused:
            january_charge(ledger, unique_reference_id="sub-1", command_id="second")
        assert refused.value.charge_id == first.id
        assert refused.value.family == "conflict"

        ledger.charges.delete(first.id)

        assert january_charge(ledger, unique_reference_id="sub-1", command_id="second").id != first.id


def test_advancing_twice_at_the_same_instant_does_nothing_the_second_time(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        charge = january_charge(ledger)
        used(ledger, "8", "2026-01-15T00:00:00Z")
        at(ledger, "2026-02-03T00:01:00Z")
        assert [moved.id for moved in ledger.charges.advance("acme").moved] == [charge.id]
        head = ledger.store.head()

        assert ledger.charges.advance("acme").moved == ()
        assert ledger.store.head() == head


def test_command_ids_of_two_customers_do_not_meet(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        ledger.customers.create("globex")
        first = ledger.credits.grant("acme", "100", command_id="grant-1")

        assert ledger.credits.grant("globex", "55", command_id="grant-1").id != first.id
