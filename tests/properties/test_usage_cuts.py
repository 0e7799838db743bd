"""Usage in several runs, whatever credit there is and whenever it is advanced (lifecycles §19.5, 2 to 5).

Credit of any life and usage of January are known from the start; one world advances whenever chance says so, the other
once, at the end. The realizations may differ in number, never in sum.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.lifecycle import Status
from aggregates.policies import Policies, RunCuts
from aggregates.rating.prices import AnyUsagePrice, PackagePrice, Tier, TieredPrice, UnitPrice
from aggregates.runs.events import RunType
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import ZERO
from aggregates.values.period import Duration
from tests.support.charging import World, new_purchase, new_usage, usage_terms

BEFORE, AFTER = "2025-12-15", "2026-03-01"
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)

PRICES: list[AnyUsagePrice] = [
    UnitPrice(amount=Decimal("0.25")),
    PackagePrice(amount=Decimal(3), quantity_per_package=Decimal(4)),
    TieredPrice(
        mode="graduated",
        tiers=(Tier(up_to_amount=Decimal(5), flat_price=Decimal(3)), Tier(unit_price=Decimal("0.5"))),
    ),
]


class Lot(NamedTuple):
    """Credit: how much, from which day on and for how many days; no days: for ever."""

    amount: int
    day: int
    lives: int | None


class Use(NamedTuple):
    """Usage: how much, when, and how much later it was stored."""

    quantity: int
    time: timedelta
    delay: timedelta


days = st.integers(-10, 40)
lots = st.lists(st.builds(Lot, st.integers(1, 40), days, st.none() | st.integers(1, 30)), max_size=4)
uses = st.lists(
    st.builds(
        Use,
        st.integers(1, 20),
        st.timedeltas(timedelta(0), timedelta(days=31, seconds=-1)),
        st.timedeltas(timedelta(0), timedelta(days=6)),
    ),
    max_size=8,
)
policies = st.builds(
    lambda cuts, every: msgspec.structs.replace(
        Policies.standard(), run_cuts=cuts, periodic_runs=Duration.parse(every)
    ),
    st.sampled_from(RunCuts),
    st.sampled_from(["P0D", "P5D", "P13D", "P1M"]),
)
moments = st.lists(st.timedeltas(timedelta(days=-2), timedelta(days=40)), max_size=6).map(sorted)


def world_of(policy: Policies, price: AnyUsagePrice, credit: list[Lot], used: list[Use]) -> tuple[World, UUID]:
    """A charge of January, with that credit and that usage."""
    world = World(policies=policy)
    for lot in credit:
        begins = JANUARY + timedelta(days=lot.day)
        request = new_purchase(
            str(lot.amount),
            effective_at=begins,
            expires_at=begins + timedelta(days=lot.lives) if lot.lives is not None else None,
        )
        [purchase] = world.create(request, at="2025-12-15")
        world.advance(purchase, BEFORE)
    [charge] = world.create(new_usage(usage_terms(price=price)), at=BEFORE)
    for use in used:
        time = JANUARY + use.time
        world.use(use.quantity, time.isoformat(), (time + use.delay).isoformat())
    return world, charge


def rated(run: RealizationRun) -> Decimal:
    """What a run is rated at, credit not counted."""
    return run.totals.amount + run.totals.charges_total - run.totals.discounts_total


def in_parts(world: World, charge: UUID) -> list[RealizationRun]:
    """The runs that cover the period; what was stored later still is a late adjustment of all of it."""
    return [run for run in world.runs(charge) if run.type is not RunType.LATE_ADJUSTMENT]


def check_runs(world: World, charge: UUID) -> None:
    """The runs follow one another, and each is paid to the last unit; at the end they cover the period."""
    state, runs = world.charge(charge), in_parts(world, charge)
    begins = state.intent.effective.service_period.from_
    for run in runs:
        assert run.service_period_from == begins < run.service_period_to
        assert run.credits_total == rated(run)
        begins = run.service_period_to
    if state.status is Status.FINAL:
        assert begins == state.intent.effective.service_period.to
        assert [run.type for run in runs[:-1]] == [RunType.PARTIAL_INVOICE] * (len(runs) - 1)
        assert runs[-1].type is RunType.FINAL_REALIZATION
        assert all(run.finalized for run in runs)


@settings(deadline=None)
@given(policy=policies, price=st.sampled_from(PRICES), credit=lots, used=uses, when=moments)
def test_advancing_step_by_step_comes_to_what_advancing_once_comes_to(
    policy: Policies, price: AnyUsagePrice, credit: list[Lot], used: list[Use], when: list[timedelta]
) -> None:
    steps, charge = world_of(policy, price, credit, used)
    for moment in when:
        steps.advance(charge, (JANUARY + moment).isoformat())
        check_runs(steps, charge)
    steps.advance(charge, AFTER)
    check_runs(steps, charge)

    once, same = world_of(policy, price, credit, used)
    once.advance(same, AFTER)
    check_runs(once, same)

    assert steps.charge(charge).status is once.charge(same).status is Status.FINAL
    assert steps.charge(charge).advance_after == once.charge(same).advance_after
    assert sum(map(rated, steps.runs(charge)), ZERO) == sum(map(rated, once.runs(same)), ZERO)
    assert [r.metered_quantity for r in in_parts(steps, charge)] == [r.metered_quantity for r in in_parts(once, same)]
    assert not steps.advance(charge, AFTER), "advancing a stable charge does nothing"
    if steps.pool(charge) is not None:
        assert steps.pool(charge).uncovered_advance == once.pool(same).uncovered_advance


@settings(deadline=None)
@given(price=st.sampled_from(PRICES), credit=lots, used=uses)
def test_cuts_change_what_pays_and_never_what_is_billed(
    price: AnyUsagePrice, credit: list[Lot], used: list[Use]
) -> None:
    """Usage that is stored in time comes to the same in one run and in many."""
    in_time = [Use(use.quantity, use.time, timedelta(0)) for use in used]
    totals: list[Decimal] = []
    for cuts in RunCuts:
        policy = msgspec.structs.replace(Policies.standard(), run_cuts=cuts)
        world, charge = world_of(policy, price, credit, in_time)
        world.advance(charge, AFTER)
        totals.append(sum(map(rated, world.runs(charge)), ZERO))

    assert totals[0] == totals[1]
