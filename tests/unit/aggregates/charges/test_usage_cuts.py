"""Usage settled from credit in several runs: cut where credit starts or expires, and at regular intervals.

Every test plays January 2026 at 1 USD a unit with a collection interval of two days, and says what each run took from
which credit. After every step the world folds its records again and compares, so that replay is tested everywhere.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from aggregates.charges.intent import SettlementMode
from aggregates.credits.pool import CreditPool
from aggregates.lifecycle import Status
from aggregates.policies import Policies, RunCuts, UsageCreditCut
from aggregates.rating.prices import Tier, TieredPrice, UnitPrice
from aggregates.runs.events import CreditSource, RunType
from aggregates.values.period import Duration, instant
from tests.support.charging import FEATURE, World, new_purchase, new_usage, usage_terms

STANDARD = Policies.standard()
AT_PERIOD_END = msgspec.structs.replace(STANDARD, run_cuts=RunCuts.PERIOD_END)
COLLECTED = "2026-02-03T00:01Z"


def grant(world: World, amount: str, at: str = "2025-12-15", **more: Any) -> None:
    """Credit that is given away, from its `effective_at` (or that time) on."""
    effective = more.pop("effective_at", at)
    expires = more.pop("expires_at", None)
    request = new_purchase(
        amount,
        effective_at=instant(effective),
        expires_at=instant(expires) if expires is not None else None,
        **more,
    )
    [purchase] = world.create(request, at=at)
    world.advance(purchase, at)


def january(world: World, **more: Any) -> UUID:
    """A usage charge of January, created in December."""
    [charge] = world.create(new_usage(**more), at="2025-12-15")
    return charge


def bounds(world: World, charge: UUID) -> list[tuple[str, str]]:
    """The periods of the runs that count, by day."""
    return [
        (f"{entry.service_period_from:%m-%d}", f"{entry.service_period_to:%m-%d}")
        for entry in world.charge(charge).period_runs
    ]


def taken(world: World, charge: UUID) -> list[dict[str, str]]:
    """What each run that counts holds of real credit and of advance."""
    held: list[dict[str, str]] = []
    for run in world.runs(charge):
        if run.is_voided:
            continue
        sums: dict[str, Decimal] = {}
        for part in run.credit_realizations:
            if part.source is not None:
                kind = "credit" if part.source is CreditSource.REAL_CREDIT else "advance"
                sums[kind] = sums.get(kind, Decimal(0)) + run.remaining(part.id)
        held.append({kind: f"{amount.normalize():f}" for kind, amount in sums.items() if amount})
    return held


def unused(world: World, charge: UUID) -> list[str]:
    """What is left in each lot of the pool, expired or not."""
    pool: CreditPool = world.pool(charge)
    return [f"{lot.balance.normalize():f}" for lot in pool.lots.values()]


# ── where credit starts and expires ──────────────────────────────────────────────────────────────────────────


def test_credit_that_expires_within_the_period_pays_for_what_was_used_while_it_lived() -> None:
    """100 until 20 January, 30 units before and 50 after: 30 are paid, 50 become advance, 70 have lapsed."""
    world = World(policies=STANDARD)
    grant(world, "100", expires_at="2026-01-20")
    charge = january(world)
    world.use(30, "2026-01-10")
    world.use(50, "2026-01-25")

    world.advance(charge, COLLECTED)

    assert bounds(world, charge) == [("01-01", "01-20"), ("01-20", "02-01")]
    assert taken(world, charge) == [{"credit": "30"}, {"advance": "50"}]
    assert unused(world, charge) == ["70"]


def test_in_one_run_at_the_end_of_the_period_the_same_credit_has_lapsed() -> None:
    world = World(policies=AT_PERIOD_END)
    grant(world, "100", expires_at="2026-01-20")
    charge = january(world)
    world.use(30, "2026-01-10")
    world.use(50, "2026-01-25")

    world.advance(charge, COLLECTED)

    assert bounds(world, charge) == [("01-01", "02-01")]
    assert taken(world, charge) == [{"advance": "80"}]
    assert unused(world, charge) == ["100"]


def test_two_units_a_day_take_what_expires_first_and_then_what_does_not() -> None:
    """The numbers of the policy: 38 units up to 20 January take 30 and 8, the other 24 what never expires."""
    world = World(policies=STANDARD)
    grant(world, "30", expires_at="2026-01-20")
    grant(world, "100")
    charge = january(world)
    for day in range(1, 32):
        world.use(2, f"2026-01-{day:02}T12:00Z")

    world.advance(charge, COLLECTED)

    assert [run.totals.amount for run in world.runs(charge)] == [38, 24]
    assert unused(world, charge) == ["0", "68"]


def test_credit_that_starts_within_the_period_pays_for_what_is_used_from_then_on() -> None:
    world = World(policies=STANDARD)
    grant(world, "100", effective_at="2026-01-10")
    charge = january(world)
    world.use(5, "2026-01-09T23:59:59Z")
    world.use(7, "2026-01-10")

    world.advance(charge, COLLECTED)

    assert bounds(world, charge) == [("01-01", "01-10"), ("01-10", "02-01")]
    assert taken(world, charge) == [{"advance": "5"}, {"credit": "7"}]


def test_credit_that_starts_or_expires_with_the_period_makes_no_cut() -> None:
    world = World(policies=STANDARD)
    grant(world, "10", effective_at="2026-01-01", expires_at="2026-02-01")
    grant(world, "10", effective_at="2025-12-15", expires_at="2026-03-01")
    charge = january(world)
    world.use(20, "2026-01-31T23:59:59Z")

    world.advance(charge, COLLECTED)

    assert bounds(world, charge) == [("01-01", "02-01")]
    assert taken(world, charge) == [{"credit": "20"}]


def test_only_credit_that_may_pay_for_the_feature_makes_a_cut() -> None:
    world = World(policies=STANDARD)
    grant(world, "100", expires_at="2026-01-10", feature_filters=("another-feature",))
    grant(world, "100", expires_at="2026-01-20", feature_filters=(FEATURE.key,))
    charge = january(world)

    world.advance(charge, COLLECTED)

    assert bounds(world, charge) == [("01-01", "01-20"), ("01-20", "02-01")]


@pytest.mark.parametrize(
    ("cut", "held"),
    [
        (UsageCreditCut.LAST_SECOND, [{"credit": "30"}, {"advance": "50"}]),
        (UsageCreditCut.PERIOD_END, [{"advance": "30"}, {"advance": "50"}]),
    ],
)
def test_which_credit_is_live_at_a_cut_is_the_policy_of_the_cut(
    cut: UsageCreditCut, held: list[dict[str, str]]
) -> None:
    """Credit that expires at the end of a run was live in its last second, and is not live at its end."""
    world = World(policies=msgspec.structs.replace(STANDARD, usage_credit_cut=cut))
    grant(world, "100", expires_at="2026-01-20")
    charge = january(world)
    world.use(30, "2026-01-10")
    world.use(50, "2026-01-25")

    world.advance(charge, COLLECTED)

    assert taken(world, charge) == held


def test_what_is_invoiced_is_not_cut() -> None:
    world = World(policies=STANDARD)
    grant(world, "100", expires_at="2026-01-20")
    charge = january(world, settlement_mode=SettlementMode.CREDIT_THEN_INVOICE)

    world.advance(charge, "2026-01-25")

    assert world.charge(charge).status is Status.ACTIVE
    assert world.charge(charge).runs == ()
    assert world.charge(charge).advance_after == instant("2026-02-01")


# ── one part after the other ─────────────────────────────────────────────────────────────────────────────────


def test_a_part_waits_for_late_usage_and_then_makes_room_for_the_next() -> None:
    world = World(policies=STANDARD)
    grant(world, "100", expires_at="2026-01-20")
    charge = january(world)
    world.use(30, "2026-01-10")

    world.advance(charge, "2026-01-01")
    assert world.charge(charge).advance_after == instant("2026-01-20")
    assert not world.advance(charge, "2026-01-19T23:59:59Z")

    world.advance(charge, "2026-01-20")
    assert world.charge(charge).status is Status.WAITING_FOR_COLLECTION
    assert world.charge(charge).advance_after == instant("2026-01-22T00:01Z")

    world.advance(charge, "2026-01-22T00:01Z")
    assert world.charge(charge).status is Status.ACTIVE
    assert world.charge(charge).advance_after == instant("2026-02-01")
    assert world.names("charge") == [
        "RealizationRunClosed",
        "RealizationProcessed",
        "RealizationCompleted",
        "ChargeReactivated",
    ]

    world.advance(charge, COLLECTED)
    assert world.charge(charge).status is Status.FINAL
    assert world.charge(charge).advance_after is None
    assert [(e.type, e.initial_type) for e in world.charge(charge).runs] == [
        (RunType.PARTIAL_INVOICE, RunType.PARTIAL_INVOICE),
        (RunType.FINAL_REALIZATION, RunType.FINAL_REALIZATION),
    ]


def test_each_run_is_metered_from_the_start_of_the_period() -> None:
    world = World(policies=STANDARD)
    grant(world, "100", effective_at="2026-01-10", expires_at="2026-01-20")
    charge = january(world)
    for day in ("05", "15", "25"):
        world.use(4, f"2026-01-{day}")

    world.advance(charge, COLLECTED)

    assert [(q.from_, q.to) for q in world.asked] == [
        (instant("2026-01-01"), instant(end)) for end in ("2026-01-10", "2026-01-20", "2026-02-01")
    ]
    runs = world.runs(charge)
    assert [run.metered_quantity for run in runs] == [4, 8, 12]
    assert [run.pre_line_quantity for run in runs] == [0, 4, 8]
    assert [run.totals.amount for run in runs] == [4, 4, 4]


def test_usage_stored_within_the_collection_interval_belongs_to_its_part_and_later_usage_to_the_next() -> None:
    world = World(policies=STANDARD)
    grant(world, "100", expires_at="2026-01-20")
    charge = january(world)
    world.use(3, "2026-01-15", stored_at="2026-01-21T23:59:59Z")
    world.use(5, "2026-01-15", stored_at="2026-01-22")

    world.advance(charge, "2026-01-20")
    world.advance(charge, "2026-01-22T00:01Z")
    assert taken(world, charge) == [{"credit": "3"}]

    world.advance(charge, COLLECTED)
    assert taken(world, charge) == [{"credit": "3"}, {"advance": "5"}]


def test_another_collection_interval_moves_no_part_that_has_started() -> None:
    """R-06: the collection end of a part is written once."""
    world = World(policies=STANDARD)
    grant(world, "100", expires_at="2026-01-20")
    charge = january(world)
    world.advance(charge, "2026-01-20")

    world.interval = "P5D"
    world.advance(charge, "2026-01-22T00:01Z")
    world.advance(charge, "2026-02-01")

    ends = [entry.collection_end for entry in world.charge(charge).runs]
    assert ends == [instant("2026-01-22"), instant("2026-02-06")]


def test_credit_that_is_granted_later_is_seen_when_the_charge_advances_next() -> None:
    world = World(policies=STANDARD)
    charge = january(world)
    world.use(30, "2026-01-10")
    world.use(50, "2026-01-25")
    world.advance(charge, "2026-01-01")
    grant(world, "100", at="2026-01-05", effective_at="2026-01-05", expires_at="2026-01-20")

    world.advance(charge, COLLECTED)

    assert bounds(world, charge) == [("01-01", "01-05"), ("01-05", "01-20"), ("01-20", "02-01")]
    assert taken(world, charge) == [{}, {"credit": "30"}, {"advance": "50"}]


def test_backdated_credit_cuts_only_what_is_not_realized_yet() -> None:
    world = World(policies=STANDARD)
    grant(world, "10", expires_at="2026-01-10")
    charge = january(world)
    world.use(30, "2026-01-09")
    world.use(50, "2026-01-15")
    world.advance(charge, "2026-01-12T00:01Z")
    assert taken(world, charge) == [{"credit": "10", "advance": "20"}]

    grant(world, "100", at="2026-01-17", effective_at="2026-01-05", expires_at="2026-01-20")
    world.advance(charge, COLLECTED)

    assert bounds(world, charge) == [("01-01", "01-10"), ("01-10", "01-20"), ("01-20", "02-01")]
    assert taken(world, charge) == [{"credit": "10", "advance": "20"}, {"credit": "50"}, {}]
    assert unused(world, charge) == ["0", "30"], "20 of the 100 took over the advance"


def test_a_part_that_has_started_is_not_cut_any_more() -> None:
    world = World(policies=STANDARD)
    grant(world, "10", expires_at="2026-01-20")
    charge = january(world)
    world.use(30, "2026-01-09")
    world.advance(charge, "2026-01-20")

    grant(world, "100", at="2026-01-21", effective_at="2026-01-05", expires_at="2026-01-25")
    world.advance(charge, COLLECTED)

    assert bounds(world, charge) == [("01-01", "01-20"), ("01-20", "01-25"), ("01-25", "02-01")]


# ── at regular intervals ─────────────────────────────────────────────────────────────────────────────────────


def periodic(every: str, run_cuts: RunCuts = RunCuts.PERIOD_END) -> Policies:
    """The standard policies with a run that often, and cuts at bounds of credit or not."""
    return msgspec.structs.replace(STANDARD, periodic_runs=Duration.parse(every), run_cuts=run_cuts)


def test_a_run_every_week_takes_credit_as_the_period_goes() -> None:
    world = World(policies=periodic("P7D"))
    grant(world, "100")
    charge = january(world)
    for day in range(1, 32):
        world.use(1, f"2026-01-{day:02}")

    world.advance(charge, "2026-01-01")
    assert world.charge(charge).advance_after == instant("2026-01-08")
    world.advance(charge, COLLECTED)

    ends = [end for _, end in bounds(world, charge)]
    assert ends == ["01-08", "01-15", "01-22", "01-29", "02-01"]
    assert taken(world, charge) == [{"credit": "7"}, {"credit": "7"}, {"credit": "7"}, {"credit": "7"}, {"credit": "3"}]


def test_months_are_counted_from_the_start_in_the_zone_of_the_customer() -> None:
    """From midnight of 31 January in Berlin: the last of February, and 31 March, which is an hour earlier in UTC."""
    world = World(policies=periodic("P1M"), zone="Europe/Berlin")
    terms = usage_terms("2026-01-30T23:00Z", "2026-04-29T22:00Z")
    [charge] = world.create(new_usage(terms), at="2025-12-15")

    world.advance(charge, "2026-06-01")

    ends = [entry.service_period_to for entry in world.charge(charge).period_runs]
    assert ends == [instant(end) for end in ("2026-02-27T23:00Z", "2026-03-30T22:00Z", "2026-04-29T22:00Z")]


def test_intervals_and_bounds_of_credit_are_cuts_together() -> None:
    world = World(policies=periodic("P14D", RunCuts.LOT_BOUNDS))
    grant(world, "100", expires_at="2026-01-20")
    charge = january(world)

    world.advance(charge, COLLECTED)

    assert [end for _, end in bounds(world, charge)] == ["01-15", "01-20", "01-29", "02-01"]


def test_what_is_invoiced_makes_no_periodic_runs() -> None:
    world = World(policies=periodic("P7D"))
    charge = january(world, settlement_mode=SettlementMode.CREDIT_THEN_INVOICE)

    world.advance(charge, "2026-01-20")

    assert world.charge(charge).runs == ()


# ── patches ──────────────────────────────────────────────────────────────────────────────────────────────────


def in_three_parts(policies: Policies = STANDARD) -> tuple[World, UUID]:
    """30 of credit until 20 January and 50 from the 25th on; 10, 20 and 40 units; everything realized."""
    world = World(policies=policies)
    grant(world, "30", expires_at="2026-01-20")
    grant(world, "50", effective_at="2026-01-25")
    charge = january(world)
    for quantity, day in ((10, "10"), (20, "22"), (40, "28")):
        world.use(quantity, f"2026-01-{day}")
    world.advance(charge, COLLECTED)
    assert taken(world, charge) == [{"credit": "10"}, {"advance": "20"}, {"credit": "40"}]
    return world, charge


def test_extending_voids_every_part_and_starts_again() -> None:
    world, charge = in_three_parts()

    world.extend(charge, "2026-03-01", COLLECTED)
    assert world.charge(charge).live_runs == ()
    assert world.charge(charge).advance_after == instant("2026-01-20")
    world.advance(charge, "2026-03-03T00:01Z")

    assert bounds(world, charge)[:3] == [("01-01", "01-20"), ("01-20", "01-25"), ("01-25", "03-01")]
    assert taken(world, charge) == [{"credit": "10"}, {"advance": "20"}, {"credit": "40"}]


def test_shrinking_voids_every_part_and_covers_the_shorter_period() -> None:
    world, charge = in_three_parts()

    world.shrink(charge, "2026-01-23", COLLECTED)
    world.advance(charge, COLLECTED)

    assert world.charge(charge).status is Status.FINAL
    assert bounds(world, charge) == [("01-01", "01-20"), ("01-20", "01-23")]
    assert taken(world, charge) == [{"credit": "10"}, {"advance": "20"}]


DOUBLE = UnitPrice(amount=Decimal(2))


def test_an_override_prices_every_part_anew() -> None:
    """Credit that expired meanwhile pays for its own part again, although it came back after its expiry."""
    world, charge = in_three_parts()

    world.set_override(charge, usage_terms(price=DOUBLE), COLLECTED)
    world.advance(charge, COLLECTED)

    assert taken(world, charge) == [{"credit": "20"}, {"advance": "40"}, {"credit": "50", "advance": "30"}]


def test_clearing_an_override_brings_the_first_totals_back() -> None:
    world, charge = in_three_parts(msgspec.structs.replace(STANDARD, restored_credit_grace=Duration()))
    before = unused(world, charge)

    world.set_override(charge, usage_terms(price=DOUBLE), COLLECTED)
    world.advance(charge, COLLECTED)
    world.clear_override(charge, COLLECTED)
    world.advance(charge, COLLECTED)

    assert world.charge(charge).status is Status.FINAL
    assert taken(world, charge) == [{"credit": "10"}, {"advance": "20"}, {"credit": "40"}]
    assert unused(world, charge) == before


def test_what_comes_back_after_its_expiry_may_pay_for_later_parts_while_the_grace_lasts() -> None:
    """Under the override the first part takes 20; clearing it gives 10 too much back, which live on for 30 days."""
    world, charge = in_three_parts()

    world.set_override(charge, usage_terms(price=DOUBLE), COLLECTED)
    world.advance(charge, COLLECTED)
    world.clear_override(charge, COLLECTED)
    world.advance(charge, COLLECTED)

    assert taken(world, charge) == [{"credit": "10"}, {"credit": "10", "advance": "10"}, {"credit": "40"}]


def test_deleting_gives_the_credit_of_every_part_back() -> None:
    world, charge = in_three_parts()

    world.delete(charge, COLLECTED)

    assert world.charge(charge).live_runs == ()
    assert world.pool(charge).remaining(charge) == 0


# ── below zero ───────────────────────────────────────────────────────────────────────────────────────────────


VOLUME = TieredPrice(
    mode="volume", tiers=(Tier(up_to_amount=Decimal(10), unit_price=Decimal(2)), Tier(unit_price=Decimal(1)))
)


def test_a_part_that_makes_earlier_usage_cheaper_gives_credit_of_earlier_parts_back() -> None:
    """10 units at 2 take 20; the eleventh makes all 11 cost 1: the second part is -9, which the first gives back."""
    world = World(policies=STANDARD)
    grant(world, "30", expires_at="2026-01-20")
    [charge] = world.create(new_usage(usage_terms(price=VOLUME)), at="2025-12-15")
    world.use(10, "2026-01-10")
    world.use(1, "2026-01-25")

    world.advance(charge, COLLECTED)

    assert world.charge(charge).status is Status.FINAL
    assert [run.totals.amount for run in world.runs(charge)] == [20, -9]
    assert taken(world, charge) == [{"credit": "11"}, {}]
    assert unused(world, charge) == ["10", "9"], "10 have lapsed; the 9 came back after their expiry, and live on"
