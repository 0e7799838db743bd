"""What may fail without failing the command it follows: it is logged, counted, and done later (lifecycles §14, §15)."""

from __future__ import annotations

import logging
from decimal import Decimal

import pytest

from aggregates.lifecycle import Status
from aggregates.policies import Policies
from aggregates.values.errors import Unavailable, UnsupportedOperation, ValidationFailed
from ledger.facade import Ledger
from ledger.ports import SettableClock
from ledger.setbacks import KEPT, Setback, Setbacks
from tests.application.scenes import at, january_charge, opened, used, with_customer


class Failing:
    """A probe that makes one call fail for as long as it is told to."""

    def __init__(self) -> None:
        self.call: str | None = None

    def __call__(self, call: str) -> None:
        if call == self.call:
            raise Unavailable(call, "made to fail")


def failing(url: str, now: str, policies: Policies | None = None) -> tuple[Ledger, Failing]:
    probe = Failing()
    chosen = policies or Policies.reference()
    return Ledger.open(url, clock=SettableClock(now), policies=chosen, probe=probe), probe


def test_a_creation_stands_when_its_advance_fails_and_the_failure_is_counted(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R-24: the charge exists in `created`; log and count name the customer; the worker heals it."""
    ledger, probe = failing(store_url, "2026-01-15T00:00:00Z")
    with ledger, caplog.at_level(logging.WARNING, "ledger"):
        with_customer(ledger)
        probe.call = "charge.FeatureResolved"

        charge = january_charge(ledger)

        assert charge.status is Status.CREATED
        [logged] = caplog.messages
        assert logged.startswith("auto_advance_failed: customer acme: ")
        assert str(charge.id) in logged
        [counted] = ledger.setbacks.latest()
        assert (counted.step, counted.customer, counted.count) == ("auto_advance_failed", "acme", 1)
        probe.call = None
        ledger.worker.run_once()
        assert ledger.charges.get(charge.id).status is Status.ACTIVE
        assert ledger.setbacks.totals() == {"auto_advance_failed": 1}


def test_a_retry_of_a_creation_counts_no_failure_that_was_counted(store_url: str) -> None:
    """A refusal of another charge in the advance is recorded on that charge; the retry only repeats the answer."""
    with opened(store_url, "2025-12-01T00:00:00Z") as ledger:
        with_customer(ledger)
        january_charge(ledger)
        ledger.catalogue.define_feature("calls")  # without a meter
        ledger.catalogue.define_meter("other")
        ledger.catalogue.define_feature("other", meter="other")
        at(ledger, "2026-01-15T00:00:00Z")

        for _ in range(2):
            ledger.charges.create_flat_fee(
                "acme",
                amount="5",
                period_from="2026-01-01T00:00:00Z",
                period_to="2026-02-01T00:00:00Z",
                command_id="fee-1",
            )

        assert ledger.setbacks.totals() == {"auto_advance_failed": 1}


def test_every_step_on_the_side_that_fails_is_logged_and_counted(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R-27: an invoice that is not made at once, a customer that a worker fails at. Nothing is swallowed silently."""
    ledger, probe = failing(store_url, "2026-01-15T00:00:00Z", Policies.standard())
    with ledger, caplog.at_level(logging.WARNING, "ledger"):
        with_customer(ledger)
        probe.call = "invoice.InvoiceDrafted"

        bought = ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice")
        report = ledger.worker.run_once()

        assert bought.status is Status.CREATED
        assert [failed.customer for failed in report.failed] == ["acme"]
        assert ledger.setbacks.totals() == {"invoice_now_failed": 1, "worker_failed": 1}
        assert [message.split(": ")[0] for message in caplog.messages] == ["invoice_now_failed", "worker_failed"]
        assert all("customer acme" in message for message in caplog.messages)
        probe.call = None
        ledger.worker.run_once()
        assert ledger.charges.get(bought.id).grant is not None
        assert ledger.audit.verify().sound


def test_the_count_of_a_customer_goes_up_and_the_oldest_pairs_are_forgotten() -> None:
    setbacks = Setbacks()
    setbacks.note("worker_failed", "acme", "first")
    setbacks.note("worker_failed", "acme", "second")

    assert setbacks.latest() == (Setback("worker_failed", "acme", 2, "second"),)
    for number in range(KEPT):
        setbacks.note("worker_failed", f"customer-{number}", "down")
    assert len(setbacks.latest()) == KEPT
    assert setbacks.latest()[0].customer == "customer-0"
    assert setbacks.totals() == {"worker_failed": KEPT + 2}


def test_a_deferred_purchase_has_no_settlement_until_there_is_an_invoice(store_url: str) -> None:
    """R-28: 100 at 0.5 for March, sold in January: no line, no payment, no credit before March."""
    with opened(store_url, "2026-01-15T00:00:00Z", Policies.standard()) as ledger:
        with_customer(ledger)
        march = "2026-03-01T00:00:00Z"
        bought = ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice", effective_at=march)
        ledger.worker.run_once()

        waiting = ledger.charges.get(bought.id)
        assert (waiting.status, waiting.payment, waiting.linked_line, waiting.grant) == (
            Status.CREATED,
            None,
            None,
            None,
        )
        assert ledger.invoices.list("acme") == []
        at(ledger, march)
        ledger.worker.run_once()
        assert ledger.charges.get(bought.id).status is Status.PAYMENT_PENDING
        [invoice] = ledger.invoices.list("acme")
        assert invoice.totals.total == Decimal(50)


def test_what_a_mode_does_not_know_is_refused_by_name(store_url: str) -> None:
    """R-11: settlement, step, price and mode that are none of the cases; a payment for a charge that is not sold."""
    with opened(store_url) as ledger:
        with_customer(ledger)
        head = ledger.store.head()
        with pytest.raises(ValidationFailed) as refused:
            ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="barter")
        assert {finding.path for finding in refused.value.findings} == {"settlement"}
        with pytest.raises(ValidationFailed):
            january_charge(ledger, settlement_mode="on_the_house")
        with pytest.raises(ValidationFailed):
            january_charge(ledger, price={"type": "flat", "amount": "1"})
        assert ledger.store.head() == head

        charge = january_charge(ledger)
        used(ledger, "1", "2026-01-02T00:00:00Z")
        with pytest.raises(ValidationFailed):
            ledger.credits.record_payment(charge.id, "promised")
        with pytest.raises(UnsupportedOperation) as not_sold:
            ledger.credits.record_payment(charge.id, "paid")
        assert (not_sold.value.trigger, not_sold.value.charge_id) == ("paid", charge.id)
