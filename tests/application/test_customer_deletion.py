"""A customer is deleted only when nothing is open, and nothing is opened while it is deleted (decision 33)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aggregates.policies import Policies
from aggregates.values.errors import CustomerIsDeleted, CustomerNotFound, LedgerError, OpenItems, ValidationFailed
from ledger.facade import Ledger
from ledger.ports import SettableClock
from tests.application.scenes import at, january_charge, opened, used, with_customer

FEBRUARY, LATER = "2026-02-03T00:01:00Z", "2026-06-01T00:00:00Z"


def kinds(ledger: Ledger, customer: str = "acme") -> list[str]:
    """What is told to be open, once it is certain that the refusal left nothing behind."""
    head = ledger.store.head()
    with pytest.raises(OpenItems) as raised:
        ledger.customers.delete(customer)
    assert ledger.store.head() == head
    return [item.kind for item in raised.value.items]


def paid_up(ledger: Ledger) -> None:
    """20 of credit and 20 of usage, final."""
    with_customer(ledger)
    ledger.credits.grant("acme", "20")
    january_charge(ledger)
    used(ledger, "20", "2026-01-10T00:00:00Z")
    at(ledger, FEBRUARY)
    ledger.worker.run_once()


def test_a_customer_with_nothing_open_is_deleted_and_its_history_stays(store_url: str) -> None:
    with opened(store_url) as ledger:
        paid_up(ledger)
        told = len(ledger.audit.history(customer="acme"))

        deleted = ledger.customers.delete("acme")

        assert deleted.deleted_at == ledger.clock.now()
        assert ledger.customers.delete("acme") == deleted
        assert len(ledger.charges.list("acme")) == 2
        assert ledger.views.balance("acme").settled == 0
        assert [row.deleted_at for row in ledger.views.customers().items] == [deleted.deleted_at]
        lines = [line.sentence for line in ledger.audit.history(customer="acme")]
        assert lines[told:] == [
            "Deletion of customer acme started: nothing is open",
            "Customer acme deleted; its history and its key stay",
        ]
        assert ledger.audit.verify().findings == ()


def test_what_is_open_is_listed_whole_and_nothing_is_written(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        january_charge(ledger)
        assert kinds(ledger) == ["charge"]

        used(ledger, "30", "2026-01-10T00:00:00Z")
        ledger.credits.grant("acme", "20", expires_at="2026-05-01T00:00:00Z", features=["calls"])
        at(ledger, FEBRUARY)
        ledger.worker.run_once()
        assert kinds(ledger) == ["advance"]

        ledger.credits.grant("acme", "15")
        assert kinds(ledger) == ["credit"]
        scheduled = ledger.credits.grant("acme", "5", effective_at="2026-04-01T00:00:00Z")
        assert kinds(ledger)[-1] in {"charge", "credit"}
        assert len(kinds(ledger)) == 2

        for gift in ledger.credits.list("acme")[1:]:
            (ledger.credits.cancel if gift.id == scheduled.id else ledger.credits.void)(gift.id)
        assert ledger.customers.delete("acme").is_gone


def test_credit_that_has_expired_stands_in_nobodys_way(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        ledger.credits.grant("acme", "20", expires_at="2026-05-01T00:00:00Z")
        assert kinds(ledger) == ["credit"]

        at(ledger, LATER)

        assert ledger.customers.delete("acme").deleted_at is not None


def test_bills_are_open_until_they_are_paid_and_so_is_what_was_paid_too_much(store_url: str) -> None:
    with opened(store_url, policies=Policies.standard()) as ledger:
        ledger.customers.create("acme", auto_approve=False)
        ledger.charges.create_flat_fee(
            "acme",
            amount="100",
            period_from="2026-01-01T00:00:00Z",
            period_to="2026-02-01T00:00:00Z",
            settlement_mode="credit_then_invoice",
        )
        [draft] = ledger.invoices.invoice_pending_lines("acme")
        assert kinds(ledger) == ["charge", "invoice"]
        ledger.invoices.advance(draft.id)
        ledger.invoices.approve(draft.id)
        ledger.invoices.record_payment(draft.id, "paid", amount="130")
        assert kinds(ledger) == ["unapplied_credit"]

        ledger.invoices.refund_all_unapplied("acme")

        assert ledger.customers.delete("acme").deleted_at is not None


@pytest.mark.parametrize(
    "command",
    [
        lambda ledger: ledger.credits.grant("acme", "5"),
        january_charge,
        lambda ledger: ledger.customers.change_profile("acme", zone="Asia/Tokyo"),
        lambda ledger: ledger.customers.create("acme"),
        lambda ledger: ledger.charges.advance("acme"),
        lambda ledger: ledger.invoices.advance_due("acme"),
        lambda ledger: ledger.credits.cover_advance("acme"),
        lambda ledger: ledger.charges.delete(ledger.charges.list("acme")[1].id),
        lambda ledger: ledger.credits.void(ledger.credits.list("acme")[0].id),
    ],
)
def test_nothing_is_done_for_a_customer_that_is_deleted(command: Callable[[Ledger], object]) -> None:
    """The key stays taken as well: usage and history are by key, and another customer would inherit them."""
    with opened("memory:") as ledger:
        paid_up(ledger)
        ledger.customers.delete("acme")
        head = ledger.store.head()

        with pytest.raises(CustomerIsDeleted):
            command(ledger)

        assert ledger.store.head() == head
        ledger.customers.create("globex")
        ledger.credits.grant("globex", "5")


def test_usage_of_a_deleted_customer_is_refused_and_what_was_stored_stays(store_url: str, tmp_path: Path) -> None:
    with opened(store_url) as ledger:
        paid_up(ledger)
        ledger.customers.delete("acme")

        with pytest.raises(ValidationFailed) as raised:
            used(ledger, "3", "2026-01-11T00:00:00Z")
        assert [finding.code for finding in raised.value.findings] == ["customer_deleted"]
        file = tmp_path / "usage.csv"
        file.write_text("time,customer,calls\n2026-01-11T00:00:00Z,acme,3\n")
        with pytest.raises(ValidationFailed):
            ledger.usage.import_csv(file, time="time", customer_column="customer", meters={"calls": "calls"})

        assert ledger.usage.quantity("acme", "calls", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z").quantity == 20
        at(ledger, LATER)
        ledger.worker.run_once()
        assert ledger.audit.verify().sound


def test_only_a_customer_that_exists_is_deleted() -> None:
    with opened("memory:") as ledger, pytest.raises(CustomerNotFound):
        ledger.customers.delete("nobody")


def test_a_deletion_that_was_broken_off_is_finished_by_the_next(store_url: str) -> None:
    calls: list[str] = []

    def killed(call: str) -> None:
        calls.append(call)
        if calls.count("store.append") == 2 and call == "store.append":
            raise KeyboardInterrupt

    with opened(store_url) as ledger:
        ledger.customers.create("acme")
        ledger.store.probe = killed
        with pytest.raises(KeyboardInterrupt):
            ledger.customers.delete("acme")
        ledger.store.probe = None

        assert ledger.customers.get("acme").is_leaving
        with pytest.raises(CustomerIsDeleted):
            ledger.credits.grant("acme", "5")

        assert ledger.customers.delete("acme").deleted_at is not None


def test_what_was_opened_just_before_a_deletion_started_keeps_the_customer(store_url: str) -> None:
    """Another program creates a charge after the deletion has looked, and before it is saved."""
    with opened(store_url) as ledger:
        with_customer(ledger)
        other = ledger if store_url == "memory:" else opened(store_url)
        appends: list[str] = []

        def meanwhile(call: str) -> None:
            if call == "store.append":
                appends.append(call)
                if len(appends) == 1:
                    january_charge(other)

        ledger.store.probe = meanwhile
        with pytest.raises(OpenItems) as raised:
            ledger.customers.delete("acme", command_id="once")
        ledger.store.probe = None

        [charge] = ledger.charges.list("acme")
        assert [(item.kind, item.id) for item in raised.value.items] == [("charge", charge.id)]
        assert not ledger.customers.get("acme").is_gone
        with pytest.raises(OpenItems):
            ledger.customers.delete("acme", command_id="once")
        assert ledger.charges.delete(charge.id).is_deleted
        assert ledger.customers.delete("acme").is_gone
        sentences = [line.sentence for line in ledger.audit.history(customer="acme")]
        assert any(sentence.startswith("Customer acme stays: charge 'calls'") for sentence in sentences)
        assert ledger.audit.verify().sound
        other.close()


@pytest.mark.parametrize("round_", range(6))
def test_a_customer_is_never_deleted_with_a_charge_that_came_at_the_same_moment(
    round_: int, request: pytest.FixtureRequest
) -> None:
    url: str = request.getfixturevalue("sqlite_url" if round_ % 2 else "postgres_url")
    with Ledger.open(url, clock=SettableClock("2026-01-01T00:00:00Z")) as ledger:
        for number in range(8):
            ledger.customers.create(f"c{number}")
        ledger.catalogue.define_meter("calls")
        ledger.catalogue.define_feature("calls", meter="calls")
        acts: list[Callable[[str], object]] = [
            ledger.customers.delete,
            lambda customer: january_charge(ledger, customer),
            lambda customer: ledger.credits.grant(customer, "5"),
        ]
        begin = threading.Barrier(len(acts))

        def play(act: Callable[[str], object]) -> None:
            for number in range(8):
                begin.wait()
                try:
                    act(f"c{number}")
                except LedgerError as error:
                    refused.append(error.code)

        refused: list[str] = []
        threads = [threading.Thread(target=play, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert set(refused) <= {"open_items", "customer_deleted"}
        for number in range(8):
            customer = ledger.customers.get(f"c{number}")
            assert not customer.is_leaving
            assert customer.deleted_at is None or ledger.charges.list(customer.key) == []
        assert ledger.audit.verify().sound
