"""Flat fees settled from credit alone: pro-rating, the path, patches, deletion (lifecycles §2.3, §9)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.charges.events import CreditRefund
from aggregates.charges.facts import Feature
from aggregates.charges.intent import FeatureRef
from aggregates.charges.requests import Bounds
from aggregates.lifecycle import Status
from aggregates.rating.prices import PercentageDiscount
from aggregates.runs.events import VoidReason
from aggregates.values.errors import (
    FeatureNotFound,
    StalePatch,
    UnsupportedOperation,
    ValidationFailed,
)
from aggregates.values.money import FIAT
from aggregates.values.period import timestamp
from tests.support.charging import World, fee_terms, new_fee, new_purchase, new_usage, usage_terms

DECEMBER, START, BOOKED_AT_END = "2025-12-01", "2026-01-01", "2026-02-01"


def booked(world: World | None = None, **terms: Any) -> tuple[World, UUID]:
    """A fee of January that has been booked."""
    world = world or World()
    [charge] = world.create(new_fee(fee_terms(**terms)), at=DECEMBER)
    world.advance(charge, BOOKED_AT_END)
    return world, charge


# ── what a fee comes to ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("amount", "currency", "expected"), [("100", "USD", "32.26"), ("1000", "JPY", "323"), ("0", "USD", "0")]
)
def test_a_fee_for_ten_of_thirty_one_days_is_prorated_by_seconds(amount: str, currency: str, expected: str) -> None:
    world = World()
    full = Bounds(timestamp("2026-01-01"), timestamp("2026-02-01"))
    terms = fee_terms(amount, to="2026-01-11", full_service_period=full, pro_rating="prorate_prices")

    [charge] = world.create(new_fee(terms, currency=FIAT[currency]))

    assert world.fee(charge).amount_after_proration == Decimal(expected)


@pytest.mark.parametrize(
    ("to", "pro_rating"),
    [
        ("2026-01-11", None),
        ("2026-02-01", "prorate_prices"),
        ("2026-03-01", "prorate_prices"),
        (START, "prorate_prices"),
    ],
)
def test_the_full_amount_counts_without_prorating_or_where_a_period_is_empty_or_longer(
    to: str, pro_rating: str | None
) -> None:
    world = World()
    full = Bounds(timestamp("2026-01-01"), timestamp("2026-02-01"))

    [charge] = world.create(new_fee(fee_terms(to=to, full_service_period=full, pro_rating=pro_rating)))

    assert world.fee(charge).amount_after_proration == Decimal(100)


@given(st.integers(0, 31), st.decimals(0, 10_000, places=2))
@settings(max_examples=60, deadline=None)
def test_a_prorated_fee_is_never_more_than_the_full_one(days: int, amount: Decimal) -> None:
    world = World()
    full = Bounds(timestamp("2026-01-01"), timestamp("2026-02-01"))
    to = f"2026-01-{days + 1:02}" if days < 31 else "2026-02-01"

    [charge] = world.create(
        new_fee(fee_terms(str(amount), to=to, full_service_period=full, pro_rating="prorate_prices"))
    )

    assert 0 <= world.fee(charge).amount_after_proration <= amount


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────


def test_everything_wrong_with_a_fee_is_told_at_once() -> None:
    terms = fee_terms(
        "-1", to="2025-12-31", payment_term="whenever", pro_rating="maybe", percentage_discount=discount("101")
    )

    with pytest.raises(ValidationFailed) as refused:
        World().create(new_fee(terms, feature=FeatureRef()))

    assert {(f.path, f.code) for f in refused.value.findings} == {
        ("intents[0].feature", "feature_ambiguous"),
        ("intents[0].payment_term", "unknown"),
        ("intents[0].pro_rating", "unknown"),
        ("intents[0].amount", "negative"),
        ("intents[0].discounts.percentage", "percentage_discount_invalid_value"),
        ("intents[0].service_period", "period_backwards"),
        ("intents[0].full_service_period", "period_backwards"),
        ("intents[0].billing_period", "period_backwards"),
    }


def discount(percentage: str) -> PercentageDiscount:
    return PercentageDiscount(percentage=Decimal(percentage), correlation_id="d1")


def test_a_fee_may_name_a_feature_that_meters_nothing_but_not_one_that_does_not_exist() -> None:
    world = World()
    world.features["support"] = Feature(id=UUID(int=7), key="support")

    world.create(new_fee(feature=FeatureRef(key="support")))
    with pytest.raises(FeatureNotFound):
        world.create(new_fee(feature=FeatureRef(key="nobody")))


# ── the path ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_fee_in_advance_is_due_and_booked_at_the_start_and_has_no_run_before() -> None:
    """100 with 10 % off: amount 100, discounts 10, credits 90, nothing left (lifecycles §9)."""
    world = World()
    [charge] = world.create(new_fee(fee_terms(percentage_discount=discount("10"))), at=DECEMBER)
    assert world.charge(charge).advance_after == timestamp(START)
    assert not world.advance(charge, "2025-12-31T23:59:59.999Z")
    assert world.charge(charge).runs == ()

    assert world.advance(charge, START)

    [run] = world.runs(charge)
    assert (run.totals.amount, run.totals.discounts_total, run.totals.credits_total) == (
        Decimal(100),
        Decimal(10),
        Decimal(90),
    )
    assert run.totals.total == 0
    assert run.no_fiat_transaction_required
    assert world.charge(charge).status is Status.FINAL
    assert world.charge(charge).current_run_id == run.id
    assert world.charge(charge).advance_after is None
    assert world.names("charge") == ["ChargeActivated", "RealizationRunOpened", "ChargeFinalized"]
    assert world.names("realization_run") == [
        "RealizationRunStarted",
        "RunRated",
        "CreditsAllocated",
        "RunFinalized",
    ]
    assert not world.advance(charge, START)


def test_a_fee_in_arrears_that_is_due_early_waits_for_the_end_of_its_period() -> None:
    world = World()
    terms = fee_terms(payment_term="in_arrears", invoice_at=timestamp(START))
    [charge] = world.create(new_fee(terms), at=DECEMBER)

    world.advance(charge, START)
    assert world.charge(charge).status is Status.ACTIVE
    assert world.charge(charge).advance_after == timestamp(BOOKED_AT_END)
    world.advance(charge, BOOKED_AT_END)

    [run] = world.runs(charge)
    assert run.booked_at == timestamp(BOOKED_AT_END)
    assert world.charge(charge).status is Status.FINAL


def test_a_fee_of_nothing_is_final_without_any_credit() -> None:
    world, charge = booked(amount="0")

    assert world.credits(charge) == [[]]
    assert world.charge(charge).status is Status.FINAL


def test_credit_restricted_to_a_feature_covers_a_fee_that_names_it_and_no_other() -> None:
    world = World()
    world.features["support"] = Feature(id=UUID(int=7), key="support")
    [purchase] = world.create(new_purchase("30", feature_filters=("support",)), at=DECEMBER)
    world.advance(purchase, DECEMBER)

    [plain, named] = world.create(
        new_fee(fee_terms("20")), new_fee(fee_terms("20"), feature=FeatureRef(key="support")), at=DECEMBER
    )
    world.advance(plain, START)
    world.advance(named, START)

    assert [r.source for run in world.runs(plain) for r in run.credit_realizations] == ["advance"]
    assert [r.source for run in world.runs(named) for r in run.credit_realizations] == ["real_credit"]


# ── patches ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_raising_a_final_fee_takes_the_difference_and_clearing_the_override_gives_it_back() -> None:
    """10 → 20 → 10: [10, 10, −10], and the fee stays final (lifecycles §9)."""
    world, charge = booked(amount="10")

    world.set_override(charge, fee_terms("20"), at=BOOKED_AT_END)
    assert world.credits(charge) == [["10", "10"]]
    world.clear_override(charge, BOOKED_AT_END)

    assert world.credits(charge) == [["10", "10", "-10"]]
    assert world.charge(charge).status is Status.FINAL
    assert world.fee(charge).amount_after_proration == 10


def test_shrinking_a_prorated_final_fee_gives_credit_back_where_it_was_booked() -> None:
    """31 for January; 15 of 31 days are 15."""
    world, charge = booked(amount="31", pro_rating="prorate_prices")

    world.shrink(charge, "2026-01-16", at=BOOKED_AT_END)

    [run] = world.runs(charge)
    assert world.credits(charge) == [["31", "-16"]]
    assert run.service_period_to == timestamp("2026-01-16")
    assert world.charge(charge).runs[0].service_period_to == run.service_period_to
    assert run.booked_at == timestamp(START)


def test_moving_the_end_of_a_final_fee_in_arrears_keeps_status_and_booking_and_records_the_new_time() -> None:
    """Departure of lifecycles §9."""
    world, charge = booked(payment_term="in_arrears")

    world.extend(charge, "2026-03-01", at=BOOKED_AT_END)

    assert world.charge(charge).status is Status.FINAL
    assert world.fee(charge).booked_at == timestamp("2026-03-01")
    assert world.runs(charge)[0].booked_at == timestamp(BOOKED_AT_END)
    assert world.credits(charge) == [["100"]]


def test_an_absent_full_period_only_grows_and_a_fee_in_advance_stays_due_when_it_was() -> None:
    world = World()
    [charge] = world.create(new_fee(fee_terms(pro_rating="prorate_prices")), at=DECEMBER)

    world.shrink(charge, "2026-01-11", at=DECEMBER)
    assert world.fee(charge).amount_after_proration == Decimal("32.26")
    assert world.fee(charge).periods.full_service_period.to == timestamp("2026-02-01")
    assert world.charge(charge).advance_after == timestamp(START)
    world.extend(charge, "2026-04-01", at=DECEMBER)

    assert world.fee(charge).periods.full_service_period.to == timestamp("2026-04-01")
    assert world.fee(charge).amount_after_proration == 100


def test_a_system_patch_under_an_override_prorates_the_hidden_base_only() -> None:
    world = World()
    [charge] = world.create(new_fee(fee_terms(pro_rating="prorate_prices")), at=DECEMBER)
    world.set_override(charge, fee_terms("50"), at=DECEMBER)

    world.shrink(charge, "2026-01-11", at=DECEMBER)

    state = world.charge(charge)
    assert world.names("charge") == ["BaseIntentAmended"]
    assert getattr(state.intent.base, "amount_after_proration") == Decimal("32.26")  # noqa: B009 - a fee's layer
    assert world.fee(charge).amount_after_proration == 50


def test_terms_of_usage_override_no_fee_and_the_other_way_round() -> None:
    world = World()
    fee, usage = world.create(new_fee(), new_usage(), at=DECEMBER)

    for charge, terms in ((fee, usage_terms()), (usage, fee_terms())):
        with pytest.raises(ValidationFailed) as refused:
            world.set_override(charge, terms, at=DECEMBER)
        assert refused.value.codes == ("wrong_charge_type",)


def test_a_stale_patch_is_refused_before_its_arguments() -> None:
    world = World()
    [charge] = world.create(new_fee(), at=DECEMBER)

    with pytest.raises(StalePatch):
        world.extend(charge, "2025-01-01", at=DECEMBER, intent_version=7)


# ── deletion and what comes after it ─────────────────────────────────────────────────────────────────────────


def test_deleting_before_it_is_booked_corrects_nothing() -> None:
    """R-19: there is no run to correct."""
    world = World()
    [charge] = world.create(new_fee(), at=DECEMBER)

    world.delete(charge, DECEMBER)

    assert world.names() == ["ChargeDeleted"]


def test_deleting_gives_the_credit_back_and_voids_the_run_or_leaves_both() -> None:
    world, charge = booked()
    world.delete(charge, BOOKED_AT_END)
    [run] = world.runs(charge)
    assert run.void_reason is VoidReason.CHARGE_DELETED
    assert world.charge(charge).current_run_id is None
    assert world.credits(charge) == [["100", "-100"]]

    world, charge = booked()
    world.delete(charge, BOOKED_AT_END, source="api", credit_refund=CreditRefund.IGNORE)
    assert not world.runs(charge)[0].is_voided
    assert world.credits(charge) == [["100"]]


@pytest.mark.parametrize(
    ("at", "status"),
    [(DECEMBER, Status.CREATED), ("2026-01-15", Status.ACTIVE), (BOOKED_AT_END, Status.FINAL)],
)
def test_clearing_the_override_of_a_deleted_fee_puts_it_where_the_clock_says(at: str, status: Status) -> None:
    world = World()
    terms = fee_terms(payment_term="in_arrears", invoice_at=timestamp(START))
    [charge] = world.create(new_fee(terms), at=DECEMBER)
    world.delete(charge, at, source="api")

    world.clear_override(charge, at)

    assert world.charge(charge).status is status
    assert len(world.runs(charge)) == (1 if status is Status.FINAL else 0)


def test_a_fee_that_comes_back_with_its_run_kept_is_rated_again_and_not_booked_twice() -> None:
    world, charge = booked(amount="10")
    world.set_override(charge, fee_terms("20"), at=BOOKED_AT_END)
    world.delete(charge, BOOKED_AT_END, source="api", credit_refund=CreditRefund.IGNORE)

    world.clear_override(charge, BOOKED_AT_END)

    assert world.charge(charge).status is Status.FINAL
    assert world.credits(charge) == [["10", "10", "-10"]]


def test_a_deleted_fee_takes_no_patch_but_clearing() -> None:
    world = World()
    [charge] = world.create(new_fee(), at=DECEMBER)
    world.delete(charge, DECEMBER)

    for patch in (
        lambda: world.extend(charge, "2026-03-01", at=DECEMBER),
        lambda: world.set_override(charge, fee_terms("20"), at=DECEMBER),
        lambda: world.delete(charge, DECEMBER),
    ):
        with pytest.raises(UnsupportedOperation):
            patch()
