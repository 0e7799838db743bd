"""Realization runs: rated, covered exactly, corrected newest first, voided (lifecycles §5, §6)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from aggregates.credits.events import CreditCollected, CreditGranted, CreditReturned
from aggregates.credits.pool import CreditPool
from aggregates.credits.purchases import grant
from aggregates.credits.requests import Grant
from aggregates.event import DomainEvent
from aggregates.outcome import Draft
from aggregates.policies import UsageCreditCut
from aggregates.rating.prices import NO_DISCOUNTS, UnitPrice
from aggregates.runs import decisions
from aggregates.runs.decisions import CreditTerms, Metered, RatingTerms
from aggregates.runs.events import (
    EVENTS,
    CreditsAllocated,
    CreditsCorrected,
    CreditSource,
    QuantityClamped,
    RealizationRunStarted,
    RunFinalized,
    RunRated,
    RunType,
    RunVoided,
    VoidReason,
)
from aggregates.runs.state import fold
from aggregates.values.errors import RunNotFound
from aggregates.values.money import FIAT
from aggregates.values.period import instant, period, timestamp
from aggregates.values.totals import Totals
from tests.given import CHARGE, POOL, RUN, STREAMS, given, ids, like, recorded

USD = FIAT["USD"]
STREAM, POOL_STREAM = STREAMS["realization_run"], STREAMS["credit_pool"]

STARTED = RealizationRunStarted(
    charge_id=CHARGE,
    currency=USD,
    type=RunType.FINAL_REALIZATION,
    service_period_from=instant("2026-01-01"),
    service_period_to=instant("2026-02-01"),
    stored_at_lt=instant("2026-02-03"),
    feature_id=UUID(int=1),
    feature_key="api-requests",
    meter_id=UUID(int=2),
)
TERMS = RatingTerms(
    name="API requests",
    service_period=period("2026-01-01", "2026-02-01"),
    price=UnitPrice(amount=Decimal(1)),
    discounts=NO_DISCOUNTS,
    unit_config=None,
    intent_version=1,
)
CREDIT = CreditTerms(
    pool=POOL_STREAM,
    currency=USD,
    cut=UsageCreditCut.PERIOD_END,
    accounting_date=instant("2026-01-31T23:59:59Z"),
    now=timestamp("2026-02-01T12:00Z"),
    mint=ids(1000),
)


def granted(amount: str, purchase: int) -> CreditGranted:
    """Promotional credit, effective in December."""
    request = Grant(
        purchase=UUID(int=purchase),
        amount=Decimal(amount),
        effective_at=instant("2025-12-01"),
        priority=purchase,
        now=timestamp("2025-12-01"),
    )
    event = grant(CreditPool.empty(USD), request)
    return msgspec.structs.replace(event, lot=purchase)


def rate(quantity: str) -> Callable[[Draft], object]:
    return lambda draft: decisions.rate(draft, STREAM, TERMS, Metered(Decimal(quantity), 7), ids(500))


def reconcile(*targets: str) -> Callable[[Draft], None]:
    """Bring the run's credit to each of the targets in turn."""

    def decide(draft: Draft) -> None:
        for target in targets:
            decisions.reconcile(draft, STREAM, Decimal(target), CREDIT)

    return decide


def amounts(draft: Draft) -> list[str]:
    return [f"{r.amount:f}" for r in draft.state(RUN).credit_realizations]


def test_a_run_is_rated_from_the_cumulative_quantity() -> None:
    outcome = given(STARTED).when(rate("8"))

    outcome.then(
        like(
            RunRated,
            metered_quantity=Decimal(8),
            pre_line_quantity=Decimal(0),
            totals__total=Decimal(8),
            stored_at_lt=STARTED.stored_at_lt,
            meter_position=7,
        )
    ).then_state(RUN, metered_quantity=Decimal(8), meter_position=7)
    assert outcome.answer == 8


def test_a_negative_quantity_is_clamped_before_it_is_rated() -> None:
    given(STARTED).when(rate("-2.5")).then(
        like(QuantityClamped, metered_quantity=Decimal("-2.5"), meter_position=7),
        like(RunRated, metered_quantity=Decimal(0)),
    )


def test_a_run_that_was_not_started_cannot_be_rated() -> None:
    given().when(rate("1")).then_refused(RunNotFound, key=RUN)


def test_what_is_missing_is_allocated_and_the_shortfall_is_advance() -> None:
    """lifecycles §6.2: target 8 with 5 of credit is 5 and an advance of 3."""
    outcome = given(granted("5", 1), STARTED).when(reconcile("8"))

    outcome.then(CreditCollected, like(CreditsAllocated, target=Decimal(8), exact=True)).then_state(
        RUN, credits_total=Decimal(8)
    )
    [allocated] = [event for event in outcome.draft.events_of(RUN) if isinstance(event, CreditsAllocated)]
    assert [(a.amount, a.source, a.sort_hint) for a in allocated.allocations] == [
        (Decimal(5), CreditSource.REAL_CREDIT, 0),
        (Decimal(3), CreditSource.ADVANCE, 1),
    ]
    assert {a.ledger_group.pool for a in allocated.allocations} == {POOL}
    assert {a.ledger_group.version for a in allocated.allocations} == {2}
    assert allocated.booked_at == STARTED.service_period_to


def test_a_target_that_is_met_already_changes_nothing() -> None:
    """No event for a fact that did not happen."""
    given(STARTED).when(reconcile("0")).then_nothing()
    given(STARTED).when(reconcile("8", "8")).then(CreditCollected, CreditsAllocated)


def test_a_target_is_rounded_to_the_currency() -> None:
    outcome = given(STARTED).when(reconcile("8.004", "8.00")).then(CreditCollected, CreditsAllocated)
    assert amounts(outcome.draft) == ["8.00"]


def test_too_much_is_given_back_newest_allocation_first() -> None:
    """lifecycles §6.2: allocations 5 and 3, then 4; a target of 2 takes 4, 3 and 3 of the 5."""
    outcome = given(granted("5", 1), STARTED).when(reconcile("8", "12", "2"))

    assert amounts(outcome.draft) == ["5.00", "3.00", "4.00", "-4.00", "-3.00", "-3.00"]
    run = outcome.draft.state(RUN)
    first, second, third = run.credit_realizations[:3]
    assert [r.corrects for r in run.credit_realizations[3:]] == [third.id, second.id, first.id]
    assert [run.remaining(r.id) for r in (first, second, third)] == [2, 0, 0]


def test_correcting_and_allocating_again_comes_back_to_the_same_sum() -> None:
    outcome = given(granted("5", 1), STARTED).when(reconcile("8", "0", "8"))

    assert outcome.draft.state(RUN).credits_total == 8
    assert outcome.draft.state(POOL).remaining(CHARGE, RUN) == 8


def test_voiding_gives_everything_back_and_keeps_the_run_in_the_history() -> None:
    def decide(draft: Draft) -> None:
        decisions.reconcile(draft, STREAM, Decimal(8), CREDIT)
        decisions.void(draft, STREAM, VoidReason.INTENT_CHANGED, CREDIT)

    given(STARTED).when(decide).then(
        CreditCollected,
        CreditsAllocated,
        CreditReturned,
        like(CreditsCorrected, target=Decimal(0), booked_at=STARTED.service_period_to),
        like(RunVoided, reason=VoidReason.INTENT_CHANGED, deleted_at=CREDIT.now),
    ).then_state(RUN, is_voided=True, credits_total=Decimal(0), deleted_at=CREDIT.now)


def test_voiding_a_run_without_credit_corrects_nothing() -> None:
    given(STARTED).when(lambda draft: decisions.void(draft, STREAM, VoidReason.CHARGE_DELETED, CREDIT)).then(RunVoided)


def test_a_finalised_run_is_covered_to_the_last_unit() -> None:
    """lifecycles §5.5: credits_total is the rated total, and total is zero."""

    def decide(draft: Draft) -> None:
        total = decisions.rate(draft, STREAM, TERMS, Metered(Decimal(8)), ids(500))
        decisions.reconcile(draft, STREAM, total, CREDIT)
        decisions.finalize(draft, STREAM)

    covered = Totals(amount=Decimal(8), credits_total=Decimal(8))
    given(STARTED).when(decide).then(
        RunRated,
        CreditCollected,
        CreditsAllocated,
        RunFinalized(totals=covered, no_fiat_transaction_required=True),
    ).then_state(RUN, finalized=True, totals=covered)


def test_a_run_is_not_finalised_while_something_is_uncovered() -> None:
    """A defect of ours, not of input: rated, and not reconciled."""

    def decide(draft: Draft) -> None:
        decisions.rate(draft, STREAM, TERMS, Metered(Decimal(8)), ids(500))
        decisions.finalize(draft, STREAM)

    with pytest.raises(AssertionError, match="left after exact reconciliation"):
        given(STARTED).when(decide)


def test_credit_moves_only_with_the_pool_in_hand() -> None:
    """Else the version of the pool would not be the lock that it is."""

    def decide(draft: Draft) -> None:
        fresh = Draft(draft.origin, {"realization_run": draft._evolvers["realization_run"]})
        fresh.hold(STREAM, 1, draft.state(RUN))
        decisions.reconcile(fresh, STREAM, Decimal(1), CREDIT)

    with pytest.raises(AssertionError, match="in hand"):
        given(STARTED).when(decide)


def test_large_amounts_stay_exact() -> None:
    """24 digits before the point, beyond what the default context of Python's decimals would keep."""
    large = "99999999999999999999999.99"
    outcome = given(STARTED).when(reconcile(large, "0.01"))

    assert outcome.draft.state(RUN).credits_total == Decimal("0.01")


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_a_stored_name_of_its_aggregate(event: type[DomainEvent]) -> None:
    assert event.NAME.startswith("realization_run.")
    assert event.NAME.endswith(".v1")
    assert event.__doc__


def test_folding_many_is_folding_one_by_one() -> None:
    outcome = given(granted("5", 1), STARTED).when(reconcile("8", "3", "6"))
    records = [recorded(STREAM, 1, STARTED), *(r for r in outcome.draft.records if r.stream == RUN)]

    assert fold(None, records) == outcome.draft.state(RUN)
