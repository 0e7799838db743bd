"""Usage settled from credit, with the clock alone: from creation to final, in the specification's own numbers.

Each test plays the life of one charge of January 2026 in a small world that answers meters and keeps records. After
every step the world folds its records again and compares, so that replay is tested everywhere.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from aggregates.charges.events import ChargeActivated, FeatureResolved, RealizationRunOpened
from aggregates.charges.facts import Feature, QuantityNeeded
from aggregates.charges.intent import FeatureRef
from aggregates.lifecycle import Status
from aggregates.policies import Policies
from aggregates.rating.prices import (
    Discounts,
    DynamicPrice,
    PackagePrice,
    PercentageDiscount,
    Tier,
    TieredPrice,
    UnitPrice,
    UsageDiscount,
)
from aggregates.runs.decisions import checked
from aggregates.runs.events import CreditSource, QuantityClamped, RunRated
from aggregates.values.decimals import ZERO
from aggregates.values.errors import (
    ActiveRunAlreadyExists,
    ChargeTotalIsNegative,
    FeatureNotFound,
    MeterNotFound,
    RunNotFound,
)
from aggregates.values.money import Currency
from aggregates.values.period import instant
from aggregates.values.totals import Totals
from tests.support.charging import FEATURE, METER, World, new_purchase, new_usage, usage_terms

VOLUME = TieredPrice(
    mode="volume",
    tiers=(Tier(up_to_amount=Decimal(10), unit_price=Decimal(2)), Tier(unit_price=Decimal(1))),
)
TOKENS = Currency("TOKENS", 3, "cur-tokens")


def january(world: World, **more: Any) -> UUID:
    """A usage charge of January, created in December."""
    [charge] = world.create(new_usage(**more))
    return charge


def test_three_units_then_eight_take_three_then_five() -> None:
    """lifecycles §7.1: the usage of the whole period is settled in two steps, provisional and final."""
    world = World()
    charge = january(world)
    world.use(3, stored_at="2026-01-15")
    world.use(5, stored_at="2026-02-01T23:59Z")

    world.advance(charge, "2026-01-01")
    assert world.names() == ["FeatureResolved", "ChargeActivated"]

    world.usage, late = world.usage[:1], world.usage[1:]
    world.advance(charge, "2026-02-01T12:00Z")
    assert world.names("charge", "realization_run") == [
        "RealizationRunStarted",
        "RunRated",
        "CreditsAllocated",
        "RealizationRunOpened",
        "CollectionAwaited",
    ]
    assert world.credits(charge) == [["3"]]
    assert world.charge(charge).advance_after == instant("2026-02-03T00:01:00Z")

    world.usage += late
    world.advance(charge, "2026-02-03T00:01Z")
    assert world.names("charge", "realization_run") == [
        "RunRated",
        "CreditsAllocated",
        "RunFinalized",
        "RealizationRunClosed",
        "RealizationProcessed",
        "RealizationCompleted",
        "ChargeFinalized",
    ]
    assert world.credits(charge) == [["3", "5"]]
    [run] = world.runs(charge)
    assert (run.metered_quantity, run.totals.credits_total, run.totals.total) == (Decimal(8), Decimal(8), ZERO)
    assert world.charge(charge).status is Status.FINAL
    assert world.charge(charge).advance_after is None
    assert world.charge(charge).current_run_id is None


def test_a_volume_price_that_falls_with_quantity_gives_credit_back() -> None:
    """lifecycles §7.1: 10 units at 2 take 20; with the eleventh all cost 1, so 9 come back."""
    world = World()
    charge = january(world, terms=usage_terms(price=VOLUME))
    world.use(10)
    world.advance(charge, "2026-02-01T12:00Z")
    assert world.credits(charge) == [["20"]]

    world.use(1, stored_at="2026-02-02")
    world.advance(charge, "2026-02-03T00:01Z")

    assert world.credits(charge) == [["20", "-9"]]
    assert world.runs(charge)[0].totals.credits_total == 11


def test_usage_stored_at_the_collection_end_or_used_at_the_periods_end_is_not_counted() -> None:
    """lifecycles §5.4: both bounds are exclusive."""
    world = World()
    charge = january(world)
    world.use(1, time="2026-01-31T23:59:59Z", stored_at="2026-02-02T23:59:59Z")
    world.use(10, time="2026-01-15", stored_at="2026-02-03T00:00:00Z")
    world.use(100, time="2026-02-01T00:00:00Z", stored_at="2026-02-01T00:00:00Z")

    world.advance(charge, "2026-02-05")

    assert world.runs(charge)[0].metered_quantity == 1


@pytest.mark.parametrize(
    ("too_early", "in_time", "status"),
    [
        ("2025-12-31T23:59:59.999999Z", "2026-01-01T00:00:00Z", Status.ACTIVE),
        ("2026-01-31T23:59:59.999999Z", "2026-02-01T00:00:00Z", Status.WAITING_FOR_COLLECTION),
        ("2026-02-03T00:00:59.999999Z", "2026-02-03T00:01:00Z", Status.FINAL),
    ],
)
def test_a_guard_holds_from_its_instant_on_and_not_a_moment_before(
    too_early: str, in_time: str, status: Status
) -> None:
    """lifecycles §1.1: now is compared unrounded."""
    world = World()
    charge = january(world)
    world.use(1)
    world.advance(charge, too_early)
    before = world.charge(charge).status

    assert world.advance(charge, too_early) is False
    assert world.charge(charge).status is before
    assert world.advance(charge, in_time) is True
    assert world.charge(charge).status is status


def test_advancing_twice_at_one_instant_does_nothing_the_second_time() -> None:
    """lifecycles §15.6."""
    world = World()
    charge = january(world)
    world.advance(charge, "2026-02-01")

    assert world.advance(charge, "2026-02-01") is False
    assert world.events == []


def test_a_charge_catches_up_through_all_statuses_at_once_with_one_question_to_the_meter() -> None:
    """lifecycles §15.5; the bounds are fixed by the intent and the interval, so one answer serves both ratings."""
    world = World()
    charge = january(world)
    world.use(8)

    world.advance(charge, "2026-06-01")

    moves = [getattr(event, "moved", None) for event in world.events]
    assert [move.status_to for move in moves if move is not None] == [
        Status.ACTIVE,
        Status.REALIZATION_STARTED,
        Status.WAITING_FOR_COLLECTION,
        Status.PROCESSING,
        Status.REALIZATION_COMPLETED,
        Status.FINAL,
    ]
    assert world.asked == [
        QuantityNeeded(
            meter_id=METER,
            from_=instant("2026-01-01"),
            to=instant("2026-02-01"),
            stored_at_lt=instant("2026-02-03"),
        )
    ]
    assert world.credits(charge) == [["8"]]


def test_advancing_late_comes_to_the_same_as_advancing_in_steps() -> None:
    """lifecycles §19.5(5): the realizations may differ in number, not in sum."""
    stepwise, at_once = World(), World()
    for world in (stepwise, at_once):
        world.use(3)
        world.use(5, stored_at="2026-02-02")
    one, other = january(stepwise), january(at_once)
    for moment in ("2026-01-01", "2026-02-01", "2026-02-10"):
        stepwise.advance(one, moment)
    at_once.advance(other, "2026-02-10")

    assert stepwise.charge(one).status is at_once.charge(other).status is Status.FINAL
    assert stepwise.runs(one)[0].totals == at_once.runs(other)[0].totals


def test_no_usage_takes_no_credit_and_records_no_allocation() -> None:
    world = World()
    charge = january(world)

    world.advance(charge, "2026-03-01")

    assert "CreditsAllocated" not in world.names()
    assert world.names("credit_pool") == []
    assert world.runs(charge)[0].totals == Totals()
    assert world.charge(charge).status is Status.FINAL


# ── the collection end ───────────────────────────────────────────────────────────────────────────────────────


def test_the_collection_end_is_fixed_when_the_run_starts() -> None:
    """R-06: the profile's interval changes while the run waits; the run keeps its bounds."""
    world = World(interval="P2D")
    charge = january(world)
    world.use(4)
    world.advance(charge, "2026-02-01T12:00Z")

    world.interval = "P5D"
    world.use(1, stored_at="2026-02-02")
    world.use(100, stored_at="2026-02-04")
    world.advance(charge, "2026-02-03T00:01Z")

    [run] = world.runs(charge)
    assert (run.stored_at_lt, run.metered_quantity) == (instant("2026-02-03"), Decimal(5))
    assert world.credits(charge) == [["4", "1"]]
    assert world.charge(charge).status is Status.FINAL


def test_an_interval_that_changes_before_the_run_starts_counts() -> None:
    """The neighbour of R-06."""
    world = World(interval="P2D")
    charge = january(world)
    world.advance(charge, "2026-01-10")

    world.interval = "P5D"
    world.advance(charge, "2026-02-01")

    assert world.runs(charge)[0].stored_at_lt == instant("2026-02-06")


@pytest.mark.parametrize(
    ("interval", "zone", "collection_end"),
    [
        ("P0D", "UTC", "2026-04-01T00:00:00Z"),
        ("PT1H", "UTC", "2026-04-01T01:00:00Z"),
        # The clocks in Berlin go forward on 29 March 2026: two calendar days there are 47 hours.
        ("P2D", "Europe/Berlin", "2026-03-30T22:00:00Z"),
        ("P2D", "UTC", "2026-03-30T23:00:00Z"),
    ],
)
def test_the_interval_is_counted_on_the_calendar_of_the_customer(interval: str, zone: str, collection_end: str) -> None:
    """lifecycles §5.3(2), decision 32."""
    world = World(interval=interval, zone=zone)
    to = "2026-04-01" if interval != "P2D" else "2026-03-28T23:00:00Z"
    charge = january(world, terms=usage_terms(to=to))

    world.advance(charge, "2026-05-01")

    assert world.runs(charge)[0].stored_at_lt == instant(collection_end)


def test_bounds_are_cut_to_whole_seconds_everywhere_the_same_way() -> None:
    """R-30, lifecycles §1.1: 0.750 and 0.999 of a second are dropped, never rounded up."""
    world = World(interval="PT0S")
    terms = usage_terms("2026-02-01T00:00:00.750Z", "2026-02-01T00:01:00.999Z", UnitPrice(amount=Decimal(100)))
    [charge] = world.create(new_usage(terms), at="2026-02-01T00:00:00.900Z")

    assert world.advance(charge, "2026-02-01T00:00:00.900Z") is True
    assert world.charge(charge).advance_after == instant("2026-02-01T00:01:00Z")
    assert world.layer(charge).periods.invoice_at == instant("2026-02-01T00:01:00Z")

    world.advance(charge, "2026-02-01T00:02:00.900Z")
    [run] = world.runs(charge)
    assert run.stored_at_lt == run.service_period_to == instant("2026-02-01T00:01:00Z")
    assert world.charge(charge).status is Status.FINAL


# ── the feature ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_feature_key_is_resolved_on_activation_and_never_again() -> None:
    """lifecycles §5.6: the run is rated with the meter of that id, whatever the key points to later."""
    world = World()
    charge = january(world)
    world.advance(charge, "2026-01-01")
    assert world.events[0] == FeatureResolved(feature_key="api-requests", feature_id=FEATURE.id, meter_id=METER)

    world.features["api-requests"] = Feature(id=UUID(int=9), key="api-requests", meter_id=UUID(int=10))
    world.advance(charge, "2026-02-01")

    assert world.runs(charge)[0].feature_id == FEATURE.id
    assert world.asked[-1].meter_id == METER


def test_a_key_that_is_pointed_elsewhere_before_activation_counts() -> None:
    """The neighbour of the rule above."""
    world = World()
    charge = january(world)
    newer = Feature(id=UUID(int=9), key="api-requests", meter_id=UUID(int=10))
    world.features["api-requests"] = newer

    world.advance(charge, "2026-02-01")

    assert world.runs(charge)[0].feature_id == newer.id


def test_a_feature_named_by_id_needs_no_resolution() -> None:
    """No event for a fact that did not happen."""
    world = World()
    charge = january(world, feature=FeatureRef(id=FEATURE.id))

    world.advance(charge, "2026-02-01")

    assert "FeatureResolved" not in world.names()
    assert world.runs(charge)[0].meter_id == METER
    assert ChargeActivated.__name__ == world.names()[0]


def test_a_feature_that_is_gone_at_activation_is_an_error_and_nothing_moves() -> None:
    """lifecycles §4.1: what cannot be resolved raises, and nothing of the transition exists (R-03)."""
    world = World()
    charge = january(world)
    world.features = {}

    with pytest.raises(FeatureNotFound):
        world.advance(charge, "2026-01-01")
    assert world.charge(charge).status is Status.CREATED


def test_a_feature_that_lost_its_meter_is_an_error_of_its_own() -> None:
    world = World()
    charge = january(world)
    world.features = {"api-requests": msgspec.structs.replace(FEATURE, meter_id=None)}

    with pytest.raises(MeterNotFound):
        world.advance(charge, "2026-01-01")


# ── what is rated ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("price", "quantity", "total"),
    [
        (UnitPrice(amount=Decimal("0.25")), "10", "2.50"),
        (UnitPrice(amount=Decimal("0.005")), "1", "0.01"),
        (PackagePrice(amount=Decimal(3), quantity_per_package=Decimal(10)), "11", "6"),
        (DynamicPrice(multiplier=Decimal("1.2")), "10", "12.00"),
        (VOLUME, "11", "11"),
        (UnitPrice(amount=Decimal(1), minimum_amount=Decimal(100)), "3", "100"),
        (UnitPrice(amount=Decimal(1), maximum_amount=Decimal(2)), "3", "2"),
    ],
)
def test_every_price_of_usage_is_covered_to_the_last_unit(price: UnitPrice, quantity: str, total: str) -> None:
    world = World()
    charge = january(world, terms=usage_terms(price=price))
    world.use(quantity)

    world.advance(charge, "2026-03-01")

    [run] = world.runs(charge)
    assert (run.totals.credits_total, run.totals.total) == (Decimal(total), ZERO)
    assert run.credits_total == Decimal(total)


def test_discounts_come_off_before_credit_is_taken() -> None:
    world = World()
    discounts = Discounts(
        percentage=PercentageDiscount(percentage=Decimal(50)), usage=UsageDiscount(quantity=Decimal(2))
    )
    charge = january(world, terms=usage_terms(discounts=discounts))
    world.use(10)

    world.advance(charge, "2026-03-01")

    assert world.runs(charge)[0].totals == Totals(
        amount=Decimal(8), discounts_total=Decimal(4), credits_total=Decimal(4)
    )


def test_discounts_without_a_correlation_id_get_one() -> None:
    """lifecycles §2.3."""
    world = World()
    charge = january(
        world, terms=usage_terms(discounts=Discounts(percentage=PercentageDiscount(percentage=Decimal(10))))
    )

    discount = world.layer(charge).discounts.percentage

    assert discount is not None
    assert discount.correlation_id


def test_a_custom_currency_rounds_at_its_own_precision() -> None:
    """8 units at 1.234 of a currency with three decimals."""
    world = World()
    charge = january(world, currency=TOKENS, terms=usage_terms(price=UnitPrice(amount=Decimal("1.234"))))
    world.use(8)

    world.advance(charge, "2026-03-01")

    assert world.credits(charge) == [["9.872"]]


def test_a_quantity_below_zero_is_rated_as_zero_and_its_true_value_kept() -> None:
    """Decision 18."""
    world = World()
    charge = january(world)
    world.use(-3)

    world.advance(charge, "2026-02-01")

    clamped = next(event for event in world.events if isinstance(event, QuantityClamped))
    rated = next(event for event in world.events if isinstance(event, RunRated))
    assert (clamped.metered_quantity, rated.metered_quantity) == (Decimal(-3), ZERO)
    assert world.runs(charge)[0].quantity_metered_true == -3

    world.use(5, stored_at="2026-02-02")
    world.advance(charge, "2026-02-04")
    assert world.runs(charge)[0].quantity_metered_true is None
    assert world.credits(charge) == [["2"]]


def test_a_quantity_of_zero_is_not_clamped() -> None:
    world = World()
    charge = january(world)
    world.use(0)

    world.advance(charge, "2026-02-01")

    assert "QuantityClamped" not in world.names()


def test_what_re_rating_needs_is_recorded() -> None:
    """Run rating R15: engine and version, the bounds, the snapshot, the version of the intent with the price."""
    world = World()
    charge = january(world)
    world.use(8)

    world.advance(charge, "2026-02-01")

    rated = next(event for event in world.events if isinstance(event, RunRated))
    assert (rated.rating_engine, rated.rating_engine_version) == ("delta", 1)
    assert [(snapshot.to, snapshot.quantity) for snapshot in rated.snapshots] == [(instant("2026-02-01"), Decimal(8))]
    assert (rated.stored_at_lt, rated.meter_position, rated.intent_version) == (instant("2026-02-03"), 1, 1)
    assert [line.id for line in rated.detailed_lines] != [None]
    assert rated.totals.total == rated.detailed_lines[0].totals.total == 8


def test_totals_below_zero_are_refused_and_zero_is_not() -> None:
    """lifecycles §5.5, R-04: the same check whenever a run is rated."""
    world = World()
    charge = january(world)
    world.advance(charge, "2026-02-01")
    [run] = world.runs(charge)

    checked(Totals(), run)
    with pytest.raises(ChargeTotalIsNegative):
        checked(Totals(amount=Decimal(-1), total=Decimal(-1)), run)


# ── where credit comes from ──────────────────────────────────────────────────────────────────────────────────


def test_credit_the_customer_has_is_used_first_and_the_rest_is_advance() -> None:
    """lifecycles §6.2: exact means that an advance covers what no grant does."""
    world = World()
    charge = january(world)
    [purchase] = world.create(new_purchase("30"))
    world.advance(purchase, "2025-12-01")
    world.use(50)

    world.advance(charge, "2026-02-01")

    [run] = world.runs(charge)
    assert [(r.amount, r.source) for r in run.credit_realizations] == [
        (Decimal(30), CreditSource.REAL_CREDIT),
        (Decimal(20), CreditSource.ADVANCE),
    ]


def test_credit_that_starts_after_the_period_is_not_used_for_it() -> None:
    """lifecycles §6.2: booked and sourced at the end of the run's period."""
    world = World()
    [purchase] = world.create(new_purchase("8"), at="2026-02-03")
    world.advance(purchase, "2026-02-03")
    world.use(8)
    [charge] = world.create(new_usage(), at="2026-02-03")

    world.advance(charge, "2026-02-03")

    assert [r.source for r in world.runs(charge)[0].credit_realizations] == [CreditSource.ADVANCE]


@pytest.mark.parametrize(
    ("policies", "source"),
    [(Policies.reference(), CreditSource.ADVANCE), (Policies.standard(), CreditSource.REAL_CREDIT)],
)
def test_a_january_grant_that_expires_as_january_ends_pays_january_under_last_second_only(
    policies: Policies, source: CreditSource
) -> None:
    """Decisions A, `usage_credit_cut`: booking stays at the end of the period in both cases."""
    world = World(policies=policies)
    [purchase] = world.create(new_purchase("30", expires_at=instant("2026-02-01")))
    world.advance(purchase, "2025-12-01")
    charge = january(world)
    world.use(30)

    world.advance(charge, "2026-02-01")

    assert [r.source for r in world.runs(charge)[0].credit_realizations] == [source]


def test_the_group_of_every_realization_is_an_event_of_the_pool() -> None:
    """Decision 5: a posting group is named by the pool's stream and its version."""
    world = World()
    charge = january(world)
    world.use(8)
    world.advance(charge, "2026-02-01")

    [realization] = world.runs(charge)[0].credit_realizations
    group = realization.ledger_group
    record = world.records[group.pool][group.version - 1]
    assert (type(record.body).__name__, record.body.requested) == ("CreditCollected", 8)


# ── what cannot be ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_current_run_that_the_charge_does_not_own_is_an_error_at_once() -> None:
    """R-15, lifecycles §5.2."""
    world = World()
    charge = january(world)
    world.advance(charge, "2026-02-01")
    state = msgspec.structs.replace(world.charge(charge), current_run_id=UUID(int=5))

    with pytest.raises(RunNotFound):
        _ = state.current_run


def test_a_second_run_does_not_start_while_one_is_current() -> None:
    """lifecycles §5.2: in `active` with a current run, which only a broken history could show. R-16: both are named."""
    world = World()
    charge = january(world)
    world.use(1)
    world.advance(charge, "2026-02-01")
    world.rewind(Status.ACTIVE)
    world.advance(charge, "2026-02-01")
    opened = next(event for event in world.events if isinstance(event, RealizationRunOpened))
    back = msgspec.structs.replace(
        opened, moved=msgspec.structs.replace(opened.moved, status_from=Status.ACTIVE, status_to=Status.ACTIVE)
    )
    world.rewrite(charge, opened, back)
    world.rewind(Status.ACTIVE)

    with pytest.raises(ActiveRunAlreadyExists) as refused:
        world.advance(charge, "2026-02-01")
    assert (refused.value.charge_id, refused.value.run_id) == (charge, world.charge(charge).current_run_id)


def test_a_charge_without_runs_has_realized_no_credit() -> None:
    """R-18: no run means zero, and voided runs count for nothing."""
    world = World()
    charge = january(world)
    assert world.charge(charge).live_runs == ()

    world.use(8)
    world.advance(charge, "2026-03-01")
    world.delete(charge, "2026-03-01")

    assert world.charge(charge).live_runs == ()
    assert world.runs(charge)[0].credits_total == 0


# ── being stuck ──────────────────────────────────────────────────────────────────────────────────────────────


def test_why_a_charge_is_stuck_is_recorded_once_and_forgotten_when_it_moves() -> None:
    """lifecycles §22 row 15, decision 25."""
    world = World()
    charge = january(world)

    assert world.note_failure(charge, "2026-01-01", FeatureNotFound("api-requests")) is True
    assert world.note_failure(charge, "2026-01-02", FeatureNotFound("api-requests")) is False
    assert world.note_failure(charge, "2026-01-03", MeterNotFound("api-requests")) is True
    failure = world.charge(charge).failure
    assert failure is not None
    assert (failure.code, failure.status, failure.attempt) == ("meter_not_found", Status.CREATED, 2)

    world.advance(charge, "2026-01-04")
    assert world.charge(charge).failure is None
