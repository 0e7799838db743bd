"""Views of a real ledger: what they show is what the aggregates are, kept up or built anew, over each kind of store."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.charges.state import Charge
from aggregates.values.errors import LedgerError
from ledger.answers import ChargeView
from ledger.facade import Ledger
from projections.catalogue import PROJECTIONS
from tests.application.scenes import at, january_charge, opened, used, with_customer
from tests.support.counters import changed_rows


def lived(ledger: Ledger) -> dict[str, Charge]:
    """A customer's winter: credit of three kinds, charges that ran, were changed, and were deleted."""
    with_customer(ledger)
    gift = ledger.credits.grant("acme", "20", priority=1, expires_at="2026-02-10T00:00:00Z")
    sold = ledger.credits.sell("acme", "100", cost_basis="0.5")
    ledger.credits.record_payment(sold.id, "authorized")
    ran = january_charge(ledger, unique_reference_id="ran")
    moved = january_charge(ledger, price={"type": "unit", "amount": "0.25"}, name="moved")
    overridden = january_charge(ledger, name="overridden")
    used(ledger, "30", "2026-01-10T00:00:00Z")
    ledger.charges.set_override(overridden.id, name="for a friend", price={"type": "unit", "amount": "0.10"})
    ledger.charges.extend(moved.id, service_period_to="2026-02-10T00:00:00Z")
    at(ledger, "2026-02-01T00:00:00Z")
    ledger.charges.advance("acme")
    at(ledger, "2026-02-05T00:00:00Z")
    ledger.charges.advance("acme")
    ledger.charges.delete(overridden.id)
    at(ledger, "2026-02-20T00:00:00Z")
    ledger.charges.advance("acme")
    late = ledger.credits.grant("acme", "5", expires_at="2027-01-01T00:00:00Z")
    return {"gift": gift, "sold": sold, "ran": ran, "moved": moved, "overridden": overridden, "late": late}


def test_every_view_kept_up_equals_its_rebuild(store_url: str) -> None:
    with opened(store_url) as ledger:
        lived(ledger)
        ledger.projections.catch_up()

        for projection in PROJECTIONS:
            found = ledger.projections.verify(projection.name)
            assert found.differences == (), projection.name

        rebuilt = ledger.projections.rebuild()
        assert [each.view for each in rebuilt] == [projection.name for projection in PROJECTIONS]
        assert all(each.comparison is not None and each.comparison.equal for each in rebuilt)
        assert sum(each.comparison.rows for each in rebuilt if each.comparison) > 50


def test_a_charge_in_its_view_is_the_charge_of_its_events(store_url: str) -> None:
    with opened(store_url) as ledger:
        charges = lived(ledger)

        for charge in charges.values():
            state = ledger.charges.get(charge.id)
            assert shown(ledger.views.charge(charge.id)) == stated(state)
        assert ledger.views.charge(charges["overridden"].id).override is not None
        assert ledger.views.charge(charges["moved"].id).intent_version == 2


def shown(view: ChargeView) -> dict[str, Any]:
    return {
        "charge": view.charge,
        "status": (view.status, view.meta_status),
        "advance_after": view.advance_after,
        "name": view.name,
        "currency": view.currency,
        "service_period": view.service_period,
        "billing_period": view.billing_period,
        "invoice_at": view.invoice_at,
        "intent_version": view.intent_version,
        "current_run": view.current_run,
        "run_count": view.run_count,
        "reference": view.unique_reference_id,
        "created_at": view.created_at,
        "updated_at": view.updated_at,
        "deleted_at": view.deleted_at,
    }


def stated(state: Charge) -> dict[str, Any]:
    periods = state.intent.effective.periods
    return {
        "charge": state.id,
        "status": (state.status.value, state.status.meta),
        "advance_after": state.advance_after,
        "name": state.intent.effective.name,
        "currency": state.currency,
        "service_period": periods.service_period,
        "billing_period": periods.billing_period,
        "invoice_at": periods.invoice_at,
        "intent_version": state.intent_version,
        "current_run": state.current_run_id,
        "run_count": len(state.runs),
        "reference": state.identity.unique_reference_id,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "deleted_at": state.deleted_at,
    }


def test_runs_are_current_while_they_run_and_prior_afterwards(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        charge = january_charge(ledger)
        used(ledger, "30", "2026-01-10T00:00:00Z")
        at(ledger, "2026-02-01T00:00:00Z")
        ledger.charges.advance("acme")

        (current,) = ledger.views.current_runs("acme").items
        assert ledger.views.prior_runs("acme").items == ()
        assert (current.charge, current.metered_quantity, current.credits) == (charge.id, Decimal(30), Decimal(30))
        assert ledger.views.charge(charge.id).current_run == current.run

        at(ledger, "2026-02-04T00:00:00Z")
        ledger.charges.advance("acme")

        assert ledger.views.current_runs("acme").items == ()
        (prior,) = ledger.views.prior_runs("acme").items
        state = ledger.charges.run(prior.run)
        assert prior == ledger.views.run(current.run)
        assert (prior.ended_reason, prior.voided, prior.finalized_at is not None) == ("finalized", False, True)
        assert prior.totals == state.totals
        assert prior.lines == state.detailed_lines
        assert [each.amount for each in prior.realizations] == [each.amount for each in state.credit_realizations]
        assert ledger.views.charge(charge.id).totals == state.totals


def test_a_voided_run_is_shown_and_counts_for_nothing(store_url: str) -> None:
    with opened(store_url) as ledger:
        charges = lived(ledger)

        (voided,) = ledger.views.prior_runs("acme", voided=True).items

        assert voided.charge == charges["overridden"].id
        assert voided.void_reason == "charge_deleted"
        assert voided.credits == 0
        assert ledger.views.charge(voided.charge).totals.amount == 0
        assert ledger.views.charge(voided.charge).run_count == 1


OPERATIONS = ("grant", "sell", "charge", "use", "later", "advance", "extend", "override", "clear", "delete", "void")


@settings(max_examples=25)
@given(steps=st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 40)), min_size=1, max_size=25))
def test_whatever_was_done_a_rebuild_gives_the_views_that_were_kept_up(steps: list[tuple[str, int]]) -> None:
    with opened("memory:") as ledger:
        with_customer(ledger)
        done: list[Charge] = []
        for number, (operation, size) in enumerate(steps):
            try:
                do(ledger, operation, size, done)
            except LedgerError:
                continue  # refused: nothing was written, or only the record of the failure
            if number % 2:
                ledger.views.balance("acme")

        ledger.projections.catch_up()
        for projection in PROJECTIONS:
            assert ledger.projections.verify(projection.name).differences == ()
        for charge in done:
            assert shown(ledger.views.charge(charge.id)) == stated(ledger.charges.get(charge.id))


def do(ledger: Ledger, operation: str, size: int, done: list[Charge]) -> None:
    """One thing a user may do; many are refused where they are."""
    some = done[size % len(done)].id if done else "none"
    match operation:
        case "grant":
            done.append(ledger.credits.grant("acme", str(size), expires_at=f"2026-02-{1 + size % 28:02}T00:00:00Z"))
        case "sell":
            done.append(ledger.credits.sell("acme", str(size), cost_basis="0.5"))
        case "charge":
            done.append(january_charge(ledger))
        case "use":
            used(ledger, str(size), f"2026-01-{1 + size % 28:02}T00:00:00Z", id=f"{size}:{ledger.store.head()}")
        case "later":
            at(ledger, f"2026-0{1 + size % 3}-{1 + size % 28:02}T00:00:00Z")
        case "advance":
            ledger.charges.advance("acme")
        case "extend":
            ledger.charges.extend(some, service_period_to=f"2026-03-{1 + size % 28:02}T00:00:00Z")
        case "override":
            ledger.charges.set_override(some, name=f"name {size}")
        case "clear":
            ledger.charges.clear_override(some)
        case "delete":
            ledger.charges.delete(some)
        case _:
            ledger.credits.void(some)


def test_a_changed_figure_of_a_view_is_named_by_the_audit_and_healed_by_a_rebuild(store_url: str) -> None:
    if store_url == "memory:":
        return
    with opened(store_url) as ledger:
        lived(ledger)
        ledger.projections.catch_up()
        (live,) = [g for g in ledger.follower.tables.generations() if g.name == "prior_runs"]
        with changed_rows(store_url) as run:
            run(f"UPDATE \"{live.table}\" SET credits_total = '99.99' WHERE voided")

        found = ledger.projections.verify("prior_runs")
        (difference,) = found.differences
        assert (difference.column, difference.found) == ("credits_total", Decimal("99.99"))
        report = ledger.audit.verify()
        assert not report.sound
        assert any("prior_runs" in str(finding) for finding in report.findings)

        (rebuilt,) = ledger.projections.rebuild(["prior_runs"])
        assert rebuilt.comparison is not None
        assert not rebuilt.comparison.equal
        assert ledger.projections.verify("prior_runs").equal


@pytest.mark.parametrize("name", ["charges", "ledger_entries"])
def test_one_view_is_rebuilt_and_put_back_alone(store_url: str, name: str) -> None:
    with opened(store_url) as ledger:
        lived(ledger)
        before = ledger.views.charges("acme"), ledger.views.entries("acme")

        ledger.projections.rebuild([name])
        ledger.credits.grant("acme", "1")
        generation = ledger.projections.rollback(name)

        assert generation.number == 1
        assert ledger.views.charges("acme").items[:-1] == before[0].items
        assert set(before[1].items) < set(ledger.views.entries("acme").items)
