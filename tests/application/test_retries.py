"""Retries: a command id is carried out once; the same content gets the first answer, another content is refused."""

from __future__ import annotations

import pytest

from aggregates.policies import Policies
from aggregates.values.errors import ConflictingRetry, ReferenceInUse, Unavailable
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.ports import SettableClock
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


def test_an_override_sent_again_is_answered_although_another_has_been_laid_since(store_url: str) -> None:
    """What was asked for is compared, not the terms it came to; the second override stands."""
    with opened(store_url) as ledger:
        with_customer(ledger)
        charge = january_charge(ledger)
        ledger.charges.set_override(charge.id, name="First", command_id="first")
        ledger.charges.set_override(charge.id, invoice_at="2026-03-01T00:00:00Z", command_id="second")

        again = ledger.charges.set_override(charge.id, name="First", command_id="first")

        assert again.intent.effective.name == "First"
        assert again.intent.effective.periods.invoice_at == timestamp("2026-03-01T00:00:00Z")
        with pytest.raises(ConflictingRetry):
            ledger.charges.set_override(charge.id, name="Other", command_id="first")


def test_an_override_that_lost_a_race_is_laid_over_the_one_that_won(store_url: str) -> None:
    """Two processes change a name and an invoice date: both changes are there, whoever was first."""
    raced: list[str] = []

    def probe(call: str) -> None:
        if call == "charge.OverrideSet" and not raced:
            raced.append(call)
            ledger.charges.set_override(charge.id, name="Winner")

    ledger = Ledger.open(
        store_url, clock=SettableClock("2026-01-01T00:00:00Z"), policies=Policies.reference(), probe=probe
    )
    with ledger:
        with_customer(ledger)
        charge = january_charge(ledger)

        ledger.charges.set_override(charge.id, invoice_at="2026-03-01T00:00:00Z")

        effective = ledger.charges.get(charge.id).intent.effective
        assert (effective.name, effective.periods.invoice_at) == ("Winner", timestamp("2026-03-01T00:00:00Z"))


def test_a_feature_defined_again_under_one_id_is_that_feature_whatever_its_key_names_by_then(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        ledger.catalogue.define_meter("seconds")
        first = ledger.catalogue.define_feature("files", meter="calls", command_id="first")
        pointed = ledger.catalogue.define_feature("files", meter="seconds")

        assert ledger.catalogue.define_feature("files", meter="calls", command_id="first") == first
        assert ledger.catalogue.feature("files") == pointed
