"""What always holds of a usage charge, whatever happens to it in whatever order (lifecycles §19.5).

Hypothesis plays usage, time and patches against the small world. Each step may be refused; a refusal leaves nothing.
After every step the charge, its runs and the pool are checked together. Replay is checked by the world itself (1).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.charges.events import CreditRefund
from aggregates.lifecycle import Status
from aggregates.policies import Policies, RunCuts
from aggregates.rating.prices import AnyUsagePrice, PackagePrice, Tier, TieredPrice, UnitPrice
from aggregates.runs.events import RunType
from aggregates.values.errors import LedgerError
from aggregates.values.period import Duration, instant
from tests.support.charging import World, new_purchase, new_usage, usage_terms

RESTING = {Status.CREATED, Status.ACTIVE, Status.WAITING_FOR_COLLECTION, Status.FINAL, Status.DELETED}
"""A charge is met in no other status between two commands."""

FIRST_DAY = datetime(2025, 12, 20, tzinfo=UTC)

PRICES: list[AnyUsagePrice] = [
    UnitPrice(amount=Decimal("0.25")),
    TieredPrice(
        mode="volume", tiers=(Tier(up_to_amount=Decimal(10), unit_price=Decimal(2)), Tier(unit_price=Decimal(1)))
    ),
    TieredPrice(
        mode="graduated",
        tiers=(Tier(up_to_amount=Decimal(5), flat_price=Decimal(3)), Tier(unit_price=Decimal("0.5"))),
    ),
    PackagePrice(amount=Decimal(3), quantity_per_package=Decimal(4)),
]

days = st.integers(0, 80)
moments = st.builds(
    lambda day, hour: (FIRST_DAY + timedelta(days=day, hours=hour)).isoformat(), days, st.integers(0, 23)
)
ends = st.builds(lambda day: (FIRST_DAY + timedelta(days=day)).isoformat(), st.integers(10, 80))
quantities = st.integers(-3, 20)

steps = st.one_of(
    st.tuples(st.just("advance"), moments),
    st.tuples(st.just("use"), moments, quantities, moments),
    st.tuples(st.just("extend"), moments, ends),
    st.tuples(st.just("shrink"), moments, ends),
    st.tuples(st.just("set_override"), moments, ends, st.sampled_from(PRICES)),
    st.tuples(st.just("clear_override"), moments),
    st.tuples(st.just("delete"), moments, st.sampled_from(["system", "api"]), st.sampled_from(list(CreditRefund))),
)


def play(world: World, charge: UUID, step: tuple[Any, ...]) -> None:
    """Carry a step out; a refusal leaves no event."""
    name, at, *rest = step
    if name == "use":
        quantity, stored_at = rest
        world.use(quantity, time=at, stored_at=stored_at)
        return
    send: dict[str, Callable[[], object]] = {
        "advance": lambda: world.advance(charge, at),
        "extend": lambda: world.extend(charge, rest[0], at),
        "shrink": lambda: world.shrink(charge, rest[0], at),
        "set_override": lambda: world.set_override(charge, usage_terms(to=rest[0], price=rest[1]), at),
        "clear_override": lambda: world.clear_override(charge, at),
        "delete": lambda: world.delete(charge, at, source=rest[0], credit_refund=rest[1]),
    }
    events = len(world.log)
    try:
        send[name]()
    except LedgerError:
        assert len(world.log) == events


def check(world: World, charge: UUID) -> None:
    """§19.5, numbered as there."""
    state, runs = world.charge(charge), world.runs(charge)
    live = [run for run in runs if not run.is_voided]

    assert state.status in RESTING
    assert state.status.meta == state.status.value.split(".", maxsplit=1)[0]  # 9
    assert (state.status is Status.DELETED) == state.intent.is_deleted == (state.deleted_at is not None)
    assert (state.current_run_id is not None) == (state.status is Status.WAITING_FOR_COLLECTION)  # 2

    ended = [run.service_period_to for run in live]
    assert ended == sorted(set(ended))  # 2

    for run in runs:  # 3
        rated = run.totals.amount + run.totals.charges_total - run.totals.discounts_total
        if run.is_voided:
            assert run.credits_total == 0
        else:
            assert run.credits_total == rated
        for realization in run.credit_realizations:
            if realization.corrects is None:
                assert 0 <= run.remaining(realization.id) <= realization.amount
    assert world.pool(charge) is None or world.pool(charge).remaining(charge) == sum(run.credits_total for run in runs)

    if state.status is Status.FINAL:  # 4
        period, last = state.intent.effective.service_period, live[-1]
        begins = [period.from_, *(run.service_period_to for run in live)]
        assert [run.service_period_from for run in live] == begins[:-1]
        assert begins[-1] == period.to
        assert (last.type, last.finalized, state.advance_after) == (RunType.FINAL_REALIZATION, True, None)
        assert {(run.type, run.finalized) for run in live[:-1]} <= {(RunType.PARTIAL_INVOICE, True)}
        if world.policies.run_cuts is RunCuts.PERIOD_END and not world.policies.periodic_runs.days:
            assert live == [last]
    assert (state.advance_after is None) == (state.status in {Status.FINAL, Status.DELETED})

    index = [(e.run_id, e.type, e.service_period_to, e.collection_end, e.voided) for e in state.runs]  # 8
    assert index == [(r.id, r.type, r.service_period_to, r.stored_at_lt, r.is_voided) for r in runs]


BUNDLES = [
    Policies.reference(),
    msgspec.structs.replace(Policies.reference(), periodic_runs=Duration(days=9)),
    Policies.standard(),
]


@given(
    st.sampled_from(BUNDLES),
    st.sampled_from(PRICES),
    st.sampled_from(["P0D", "P2D", "P1M"]),
    st.lists(steps, max_size=14),
)
@settings(max_examples=150)
def test_any_interleaving_leaves_a_legal_charge(
    policies: Policies, price: AnyUsagePrice, interval: str, story: list[tuple[Any, ...]]
) -> None:
    world = World(interval=interval, policies=policies)
    expiring = new_purchase("12", effective_at=instant("2025-12-25"), expires_at=instant("2026-01-20"))
    for purchase in world.create(new_purchase("12"), expiring, at="2025-12-01"):
        world.advance(purchase, "2025-12-01")
    [charge] = world.create(new_usage(usage_terms(price=price)), at="2025-12-01")
    check(world, charge)

    for step in story:
        play(world, charge, step)
        check(world, charge)


@given(st.lists(st.tuples(quantities, moments), max_size=5), st.lists(moments, max_size=5), moments)
@settings(max_examples=60)
def test_advancing_in_steps_comes_to_the_same_as_advancing_once(
    used: list[tuple[int, str]], stops: list[str], last: str
) -> None:
    """§19.5(5), and (6): advancing again at the same instant appends nothing."""
    last = max([last, *stops])
    stepwise, at_once = World(), World()
    for world in (stepwise, at_once):
        for quantity, time in used:
            world.use(quantity, time=time)
    [one], [other] = stepwise.create(new_usage()), at_once.create(new_usage())
    for moment in sorted([*stops, last]):
        stepwise.advance(one, moment)
        assert stepwise.advance(one, moment) is False
    at_once.advance(other, last)

    assert stepwise.charge(one).status is at_once.charge(other).status
    assert stepwise.charge(one).advance_after == at_once.charge(other).advance_after
    assert [run.totals for run in stepwise.runs(one)] == [run.totals for run in at_once.runs(other)]


@given(st.sampled_from(PRICES), ends, moments, st.booleans())
@settings(max_examples=60)
def test_an_override_that_was_set_and_cleared_leaves_no_trace_in_the_amounts(
    price: AnyUsagePrice, to: str, at: str, advanced: bool
) -> None:
    """§19.5(7): status, totals and what is left in the pool, once advancing is complete."""
    plain, patched = World(), World()
    charges: list[UUID] = []
    for world in (plain, patched):
        [purchase] = world.create(new_purchase("12"), at="2025-12-01")
        world.advance(purchase, "2025-12-01")
        world.use(9)
        world.use(4, time="2026-02-05")
        charges += world.create(new_usage())
        world.advance(charges[-1], at)
    one, other = charges
    try:
        patched.set_override(other, usage_terms(to=to, price=price), at)
    except LedgerError:
        return
    if advanced:
        patched.advance(other, "2026-06-01")
    patched.clear_override(other, at)
    for world, charge in ((plain, one), (patched, other)):
        world.advance(charge, "2026-06-01")

    assert patched.charge(other).status is plain.charge(one).status is Status.FINAL
    assert patched.charge(other).intent == plain.charge(one).intent
    assert patched.runs(other)[-1].totals == plain.runs(one)[-1].totals
    assert spendable(patched, other) == spendable(plain, one)


def spendable(world: World, charge: UUID) -> list[Decimal]:
    """What is left of every lot of the pool that was granted."""
    pool = world.pool(charge)
    return [lot.balance for lot in pool.lots.values() if lot.source is not None]
