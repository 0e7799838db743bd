"""A charge that cannot move is listed with the reason, and moves by itself when the reason is gone (lifecycles §22)."""

from __future__ import annotations

from aggregates.charges.state import Charge
from aggregates.values import errors
from aggregates.values.errors import LedgerError
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.stuck import REMEDIES
from tests.application.scenes import at, january_charge, opened, with_customer

DECEMBER, NEW_YEAR, LATER = "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"


def without_meter(ledger: Ledger, customer: str = "acme") -> Charge:
    """A charge of January whose feature has lost its meter before January began."""
    charge = january_charge(ledger, customer)
    ledger.catalogue.define_feature("calls")
    return charge


def test_a_charge_without_a_meter_is_stuck_and_goes_on_when_there_is_one(store_url: str) -> None:
    with opened(store_url, DECEMBER) as ledger:
        with_customer(ledger)
        charge = without_meter(ledger)
        assert ledger.views.stuck_charges().items == ()

        at(ledger, NEW_YEAR)
        ledger.worker.run_once()
        at(ledger, LATER)
        ledger.worker.run_once()

        (stuck,) = ledger.views.stuck_charges().items
        assert (stuck.charge, stuck.customer) == (charge.id, "acme")
        assert (stuck.status, stuck.trigger, stuck.code) == ("created", "next", "meter_not_found")
        assert (stuck.since, stuck.attempts) == (timestamp(NEW_YEAR), 1)
        assert "meter" in stuck.message
        assert stuck.remedy == REMEDIES[errors.MeterNotFound]
        assert [each.charge for each in ledger.views.charges(failing=True).items] == [charge.id]

        ledger.catalogue.define_feature("calls", meter="calls")
        ledger.worker.run_once()

        assert ledger.charges.get(charge.id).status == "active"
        assert ledger.views.stuck_charges().items == ()
        assert ledger.audit.verify().sound


def test_a_refusal_of_the_advance_that_follows_a_creation_shows_too(store_url: str) -> None:
    with opened(store_url, DECEMBER) as ledger:
        with_customer(ledger)
        charge = without_meter(ledger)
        at(ledger, NEW_YEAR)

        ledger.catalogue.define_meter("other")
        ledger.catalogue.define_feature("other", meter="other")
        ledger.charges.create_usage(
            "acme",
            feature="other",
            price={"type": "unit", "amount": "1"},
            period_from="2026-01-01T00:00:00Z",
            period_to="2026-03-01T00:00:00Z",
        )

        assert [each.charge for each in ledger.views.stuck_charges().items] == [charge.id]


def test_a_deleted_charge_is_stuck_no_longer(store_url: str) -> None:
    with opened(store_url, DECEMBER) as ledger:
        with_customer(ledger)
        charge = without_meter(ledger)
        at(ledger, NEW_YEAR)
        ledger.worker.run_once()

        ledger.charges.delete(charge.id)

        assert ledger.views.stuck_charges().items == ()


def test_stuck_charges_come_in_pages_and_by_customer(store_url: str) -> None:
    with opened(store_url, DECEMBER) as ledger:
        for customer in ("acme", "birch", "cedar"):
            with_customer(ledger, customer)
        charges = [january_charge(ledger, customer).id for customer in ("acme", "birch", "cedar")]
        ledger.catalogue.define_feature("calls")
        at(ledger, NEW_YEAR)
        ledger.worker.run_once()

        first = ledger.views.stuck_charges(limit=2)
        rest = ledger.views.stuck_charges(limit=2, after=first.next)

        assert [each.charge for each in (*first.items, *rest.items)] == charges
        assert rest.next is None
        assert [each.charge for each in ledger.views.stuck_charges("birch").items] == [charges[1]]


def test_every_remedy_is_for_a_code_of_its_own() -> None:
    codes = [error.code for error in REMEDIES]

    assert len(set(codes)) == len(codes)
    assert LedgerError.code not in codes
