"""What `ledger.doctor` finds, and what it leaves alone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from aggregates.values.period import timestamp
from ledger.doctor import LaggingView
from ledger.facade import Ledger
from ledger.metering.usage import UsageEvent
from tests.application.scenes import at, january_charge, opened, used, with_customer

DECEMBER, NEW_YEAR = "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z"


def scene(url: str) -> Ledger:
    """Two customers with a charge each that becomes active on 1 January."""
    ledger = opened(url, DECEMBER)
    for customer in ("acme", "birch"):
        with_customer(ledger, customer)
        january_charge(ledger, customer)
    return ledger


def test_a_ledger_that_is_looked_after_is_healthy(store_url: str) -> None:
    with scene(store_url) as ledger:
        at(ledger, NEW_YEAR)
        ledger.worker.run_once()

        found = ledger.doctor.examine(chains=True)

        assert found.healthy
        assert (found.found, found.at, found.position) == (0, timestamp(NEW_YEAR), ledger.store.head())
        assert found.chains is not None
        assert found.chains.sound


def test_a_late_customer_is_found_when_it_is_later_than_allowed(store_url: str) -> None:
    with scene(store_url) as ledger:
        acme, birch = ledger.views.charges().items
        at(ledger, "2026-01-01T00:59:59Z")
        assert ledger.doctor.examine().healthy

        at(ledger, "2026-01-01T01:00:00Z")
        found = ledger.doctor.examine()

        assert [(late.customer, late.charges, late.since) for late in found.overdue] == [
            ("acme", (acme.charge,), timestamp(NEW_YEAR)),
            ("birch", (birch.charge,), timestamp(NEW_YEAR)),
        ]
        assert ledger.doctor.examine(overdue=timedelta(hours=2)).healthy


def test_a_stuck_charge_is_found_once_and_not_as_late(store_url: str) -> None:
    with scene(store_url) as ledger:
        ledger.catalogue.define_feature("calls")
        at(ledger, NEW_YEAR)
        ledger.worker.run_once()
        at(ledger, "2026-01-20T00:00:00Z")

        found = ledger.doctor.examine()

        assert [(each.customer, each.code) for each in found.stuck] == [
            ("acme", "meter_not_found"),
            ("birch", "meter_not_found"),
        ]
        assert found.overdue == ()
        assert found.found == 2


def test_usage_that_was_set_aside_is_found_from_a_time_on(store_url: str) -> None:
    with scene(store_url) as ledger:
        used(ledger, "1", "2025-12-02T00:00:00Z", id="a")
        used(ledger, "2", "2025-12-02T00:00:00Z", id="a")

        found = ledger.doctor.examine()

        (conflict,) = found.conflicts
        assert isinstance(conflict.event, UsageEvent)
        assert (conflict.event.id, conflict.event.value) == ("a", Decimal(2))
        assert not found.healthy
        assert ledger.doctor.examine(conflicts_since=timestamp(DECEMBER)).found == 1
        assert ledger.doctor.examine(conflicts_since=timestamp("2025-12-03T00:00:00Z")).healthy


def test_a_view_that_is_far_behind_is_found(store_url: str) -> None:
    with scene(store_url) as ledger:
        ledger.projections.catch_up()
        known = ledger.store.head()
        ledger.credits.grant("acme", "1")
        lag = ledger.store.head() - known

        found = ledger.doctor.examine(behind=lag - 1)

        assert {view.view for view in found.views} == set(ledger.projections.versions())
        assert {view.behind for view in found.views} == {lag}
        assert ledger.doctor.examine(behind=lag).healthy


def test_a_view_of_another_version_is_found(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with scene(store_url) as ledger:
        ledger.projections.catch_up()
        built = ledger.projections.versions()
        newer = built | {"customers": 70}
        monkeypatch.setattr(ledger.projections, "versions", lambda: newer)

        assert ledger.doctor.examine().views == (LaggingView("customers", built["customers"], 70, 0),)
