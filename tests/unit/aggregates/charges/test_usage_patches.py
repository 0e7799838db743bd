"""Patches of usage settled from credit: what they change, what they undo, when they are refused (lifecycles §7.2, §16).

Whether each status permits each operation is walked cell by cell in `test_lifecycle_tables`; here is what happens then.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from aggregates.charges.events import (
    BaseIntentAmended,
    ChargeDeleted,
    ChargeReopened,
    CreditRefund,
    OverrideSet,
    PeriodExtended,
    RealizationRunClosed,
    ReopenedReason,
    RunClosedReason,
)
from aggregates.charges.intent import LayerName, ManagedBy
from aggregates.charges.requests import Bounds
from aggregates.lifecycle import Status
from aggregates.rating.prices import FlatPrice, UnitPrice
from aggregates.runs.events import VoidReason
from aggregates.values.decimals import ONE, ZERO
from aggregates.values.errors import (
    LedgerError,
    ReferenceInUse,
    StalePatch,
    UnsupportedOperation,
    ValidationFailed,
)
from aggregates.values.period import Period, instant, timestamp
from tests.support.charging import World, new_usage, usage_terms

TWO = UnitPrice(amount=Decimal(2))


def january(world: World, at: str = "2025-12-01", **more: Any) -> UUID:
    """A usage charge of January at 1 USD a unit."""
    [charge] = world.create(new_usage(**more), at=at)
    return charge


def waiting(world: World) -> UUID:
    """A charge whose run waits for collection, with ten units covered."""
    charge = january(world)
    world.use(10)
    world.advance(charge, "2026-02-01T12:00Z")
    return charge


def final(world: World) -> UUID:
    """A charge that is final, with ten units covered."""
    charge = waiting(world)
    world.advance(charge, "2026-02-03T00:01Z")
    return charge


# ── extend and shrink ────────────────────────────────────────────────────────────────────────────────────────


def test_shrinking_before_the_period_begins_keeps_the_charge_created() -> None:
    world = World()
    charge = january(world)

    world.shrink(charge, "2026-01-20", "2025-12-02")

    assert world.names() == ["PeriodShrunk"]
    assert world.charge(charge).status is Status.CREATED
    assert world.charge(charge).advance_after == instant("2026-01-01")
    assert world.layer(charge).service_period == Period(instant("2026-01-01"), instant("2026-01-20"))


def test_extending_an_active_charge_moves_only_its_end() -> None:
    world = World()
    charge = january(world)
    world.advance(charge, "2026-01-10")

    world.extend(charge, "2026-03-01", "2026-01-11")

    [extended] = world.events
    assert isinstance(extended, PeriodExtended)
    assert extended.layer is LayerName.BASE
    assert (extended.old.invoice_at, extended.new.invoice_at) == (instant("2026-02-01"), instant("2026-03-01"))
    assert world.charge(charge).status is Status.ACTIVE
    assert world.charge(charge).advance_after == instant("2026-03-01")


@pytest.mark.parametrize("bring", [waiting, final], ids=["waiting", "final"])
def test_extending_a_realized_charge_voids_its_run_and_begins_again(bring: Callable[[World], UUID]) -> None:
    """lifecycles §7.2: all credit comes back, the run stays in the history, the longer period is billed afresh."""
    world = World()
    charge = bring(world)
    was_current = world.charge(charge).current_run_id is not None

    world.extend(charge, "2026-03-01", "2026-02-04")

    assert world.names() == [
        "PeriodExtended",
        "CreditReturned",
        "CreditsCorrected",
        "RunVoided",
        "RunVoidNoted",
        *(["RealizationRunClosed"] if was_current else []),
        "ChargeReopened",
    ]
    assert world.credits(charge) == [["10", "-10"]]
    [run] = world.runs(charge)
    assert (run.is_voided, run.void_reason, run.credits_total) == (True, VoidReason.INTENT_CHANGED, ZERO)
    state = world.charge(charge)
    assert (state.status, state.current_run_id, state.live_runs) == (Status.ACTIVE, None, ())
    assert state.advance_after == instant("2026-03-01")

    world.use(5, time="2026-02-15")
    world.advance(charge, "2026-03-04")
    assert world.credits(charge) == [["10", "-10"], ["15"]]
    assert world.charge(charge).status is Status.FINAL


def test_shrinking_a_realized_charge_bills_the_shorter_period_afresh() -> None:
    world = World()
    charge = final(world)
    world.use(3, time="2026-01-05")

    world.shrink(charge, "2026-01-10", "2026-02-04")
    world.advance(charge, "2026-02-04")

    assert world.credits(charge) == [["10", "-10"], ["3"]]
    reopened = next(r.body for r in world.log if isinstance(r.body, ChargeReopened))
    assert reopened.reason is ReopenedReason.PERIOD_CHANGED


NOT_INSIDE, NOT_LATER = "not_shorter", "not_longer"


@pytest.mark.parametrize(
    ("trigger", "ends", "codes"),
    [
        # Service period [1 January, 1 February): the end itself, before it, and with a fraction that is cut off.
        ("extend", {"to": "2026-02-01"}, [NOT_LATER]),
        ("extend", {"to": "2026-01-20"}, [NOT_LATER]),
        ("extend", {"to": "2026-02-01T00:00:00.900Z"}, [NOT_LATER]),
        ("extend", {"to": "2026-02-01T00:00:01Z"}, []),
        ("shrink", {"to": "2026-02-01"}, [NOT_INSIDE]),
        ("shrink", {"to": "2026-01-01"}, [NOT_INSIDE, "ends_before_start", "ends_before_start"]),
        ("shrink", {"to": "2025-12-01"}, [NOT_INSIDE, "ends_before_start", "ends_before_start"]),
        ("shrink", {"to": "2026-01-01T00:00:01Z"}, []),
        ("shrink", {"to": "2026-01-20", "full_service_period_to": "2026-01-01"}, ["ends_before_start"]),
        ("shrink", {"to": "2026-01-20", "billing_period_to": "2026-01-01"}, ["ends_before_start"]),
        ("shrink", {"to": "2026-01-20", "billing_period_to": "2026-05-01"}, []),
        ("extend", {"to": "2026-03-01", "full_service_period_to": "2025-12-31"}, ["ends_before_start"]),
        ("extend", {"to": "2026-03-01", "full_service_period_to": "2026-01-01"}, []),
        ("extend", {"to": "2026-03-01", "billing_period_to": "2026-01-10"}, []),
    ],
)
def test_the_new_ends_are_checked_together(trigger: str, ends: dict[str, str], codes: list[str]) -> None:
    """lifecycles §16.2: everything wrong at once, and each refusal beside a patch that passes."""
    world = World()
    charge = january(world)
    more = {name: timestamp(value) for name, value in ends.items() if name != "to"}

    def send() -> bool:
        return getattr(world, trigger)(charge, ends["to"], "2025-12-02", **more)

    if not codes:
        assert send() is True
        return
    with pytest.raises(ValidationFailed) as refused:
        send()
    assert list(refused.value.codes) == codes
    assert world.charge(charge).intent_version == 1


def test_periods_are_moved_by_the_system_only() -> None:
    """lifecycles §16.1."""
    world = World()
    charge = january(world)

    with pytest.raises(ValidationFailed) as refused:
        world.extend(charge, "2026-03-01", "2025-12-02", source="api")

    assert refused.value.codes == ("source_not_allowed",)


# ── override ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_override_voids_the_run_and_its_terms_are_what_is_rated() -> None:
    """lifecycles §2.4, §7.2: the base stays as it was."""
    world = World()
    charge = waiting(world)

    world.set_override(charge, usage_terms(to="2026-03-01", price=TWO), "2026-02-01T12:00Z")

    assert world.charge(charge).status is Status.ACTIVE
    assert world.charge(charge).advance_after == instant("2026-03-01")
    assert world.charge(charge).intent.base.service_period.to == instant("2026-02-01")
    assert world.credits(charge) == [["10", "-10"]]

    world.advance(charge, "2026-03-03T00:01Z")
    assert world.credits(charge) == [["10", "-10"], ["20"]]


def test_a_second_override_replaces_the_first() -> None:
    """Overrides never stack."""
    world = World()
    charge = january(world)
    world.set_override(charge, usage_terms(price=TWO), "2025-12-02")

    world.set_override(charge, usage_terms(to="2026-03-01"), "2025-12-02")

    assert world.layer(charge).price == UnitPrice(amount=ONE)
    assert world.layer(charge).service_period.to == instant("2026-03-01")


def test_an_override_set_before_the_period_waits_for_its_own_start() -> None:
    world = World()
    charge = january(world)

    world.set_override(charge, usage_terms("2026-01-10", "2026-02-01"), "2025-12-02")

    assert [type(event) for event in world.events] == [OverrideSet]
    assert world.charge(charge).status is Status.CREATED
    assert world.charge(charge).advance_after == instant("2026-01-10")


def test_an_override_is_validated_like_an_intent_with_everything_wrong_at_once() -> None:
    """lifecycles §16.2."""
    world = World()
    charge = january(world)
    backwards = Bounds(timestamp("2026-02-01"), timestamp("2026-01-01"))
    terms = usage_terms(price=FlatPrice(amount=ONE), billing_period=backwards)

    with pytest.raises(ValidationFailed) as refused:
        world.set_override(charge, terms, "2025-12-02")

    assert refused.value.codes == ("period_backwards", "price_flat_for_usage")


def test_overrides_are_for_the_api_only() -> None:
    world = World()
    charge = january(world)

    with pytest.raises(ValidationFailed):
        world.set_override(charge, usage_terms(), "2025-12-02", source="system")
    with pytest.raises(ValidationFailed):
        world.clear_override(charge, "2025-12-02", source="system")


def test_clearing_where_there_is_no_override_succeeds_and_records_nothing() -> None:
    world = World()
    charge = final(world)

    assert world.clear_override(charge, "2026-02-04") is False
    assert world.events == []


def test_clearing_in_place_lets_the_base_hold_again() -> None:
    world = World()
    charge = january(world)
    world.set_override(charge, usage_terms("2026-01-10", "2026-03-01"), "2025-12-02")

    world.clear_override(charge, "2025-12-03")

    assert world.names() == ["OverrideCleared"]
    assert world.charge(charge).intent.override is None
    assert world.charge(charge).advance_after == instant("2026-01-01")

    world.set_override(charge, usage_terms(to="2026-03-01"), "2025-12-04")
    world.advance(charge, "2026-01-10")
    world.clear_override(charge, "2026-01-11")
    assert world.charge(charge).status is Status.ACTIVE
    assert world.charge(charge).advance_after == instant("2026-02-01")


@pytest.mark.parametrize(("at", "status"), [("2025-12-20", Status.CREATED), ("2026-01-01", Status.ACTIVE)])
def test_clearing_a_realized_override_goes_back_to_where_the_base_is(at: str, status: Status) -> None:
    """lifecycles §7.2: the transient status is left in the same decision."""
    world = World()
    charge = january(world)
    world.set_override(charge, usage_terms("2025-12-01", "2025-12-10"), "2025-12-01")
    world.use(7, time="2025-12-05")
    world.advance(charge, "2025-12-13")
    assert world.charge(charge).status is Status.FINAL

    world.clear_override(charge, at)

    assert world.charge(charge).status is status
    assert world.credits(charge) == [["7", "-7"]]
    reopened = world.events[-1]
    assert isinstance(reopened, ChargeReopened)
    assert reopened.reason is ReopenedReason.OVERRIDE_CLEARED
    assert reopened.moved.status_from is Status.ACTIVE_CLEAR_OVERRIDE


def test_set_then_cleared_comes_to_the_same_as_never_set() -> None:
    """lifecycles §19.5(7): status and totals, once advancing is complete."""
    plain, patched = World(), World()
    one, other = final(plain), final(patched)
    patched.set_override(other, usage_terms(price=TWO), "2026-02-04")
    patched.advance(other, "2026-02-05")

    patched.clear_override(other, "2026-02-06")
    patched.advance(other, "2026-02-07")

    assert patched.charge(other).status is plain.charge(one).status
    assert patched.runs(other)[-1].totals == plain.runs(one)[-1].totals
    assert patched.charge(other).intent == plain.charge(one).intent
    assert [run.is_voided for run in patched.runs(other)] == [True, True, False]


# ── the hidden base ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_system_patch_under_an_override_changes_only_the_hidden_base() -> None:
    """lifecycles §16.1: no lifecycle, because the effective intent did not change."""
    world = World()
    charge = waiting(world)
    world.set_override(charge, usage_terms(price=TWO), "2026-02-01T12:00Z")
    world.advance(charge, "2026-02-01T12:00Z")

    world.extend(charge, "2026-03-01", "2026-02-01T13:00Z")

    [amended] = world.events
    assert isinstance(amended, BaseIntentAmended)
    state = world.charge(charge)
    assert state.intent.base.service_period.to == instant("2026-03-01")
    assert state.intent.effective.service_period.to == instant("2026-02-01")
    assert state.status is Status.WAITING_FOR_COLLECTION


def test_the_hidden_base_is_deleted_and_clearing_completes_the_deletion() -> None:
    """The guard B_del of lifecycles §7."""
    world = World()
    charge = waiting(world)
    world.set_override(charge, usage_terms(price=TWO), "2026-02-01T12:00Z")
    world.advance(charge, "2026-02-01T12:00Z")

    world.delete(charge, "2026-02-02")
    assert world.charge(charge).status is Status.WAITING_FOR_COLLECTION
    assert world.charge(charge).intent.base_is_deleted
    assert not world.charge(charge).intent.is_deleted

    world.clear_override(charge, "2026-02-02")
    state = world.charge(charge)
    assert (state.status, state.intent.override, state.current_run_id) == (Status.DELETED, None, None)
    assert world.credits(charge) == [["10", "-10"], ["20", "-20"]]
    assert {run.void_reason for run in world.runs(charge)} == {VoidReason.INTENT_CHANGED, VoidReason.CHARGE_DELETED}


def test_a_hidden_base_that_is_deleted_is_neither_deleted_again_nor_moved() -> None:
    world = World()
    charge = january(world)
    world.set_override(charge, usage_terms(price=TWO), "2025-12-02")
    world.delete(charge, "2025-12-02")

    with pytest.raises(UnsupportedOperation):
        world.delete(charge, "2025-12-03")
    with pytest.raises(UnsupportedOperation):
        world.extend(charge, "2026-03-01", "2025-12-03")


# ── delete ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bring", [waiting, final], ids=["waiting", "final"])
def test_deleting_with_refund_returns_the_credit_and_voids_the_runs(bring: Callable[[World], UUID]) -> None:
    """lifecycles §16.6, the departure: no run stays live or current."""
    world = World()
    charge = bring(world)

    world.delete(charge, "2026-02-04")

    state = world.charge(charge)
    assert (state.status, state.advance_after, state.current_run_id) == (Status.DELETED, None, None)
    assert state.deleted_at == timestamp("2026-02-04")
    assert world.credits(charge) == [["10", "-10"]]
    assert [run.void_reason for run in world.runs(charge)] == [VoidReason.CHARGE_DELETED]


def test_deleting_without_refund_leaves_runs_and_credit_and_closes_a_current_run() -> None:
    world = World()
    charge = waiting(world)

    world.delete(charge, "2026-02-02", credit_refund=CreditRefund.IGNORE)

    closed, deleted = world.events
    assert isinstance(closed, RealizationRunClosed)
    assert closed.reason is RunClosedReason.CANCELLED
    assert isinstance(deleted, ChargeDeleted)
    assert world.credits(charge) == [["10"]]
    assert [run.is_voided for run in world.runs(charge)] == [False]
    assert world.charge(charge).current_run_id is None


def test_deleting_without_refund_a_charge_without_current_run_records_the_deletion_alone() -> None:
    world = World()
    charge = final(world)

    world.delete(charge, "2026-02-04", credit_refund=CreditRefund.IGNORE)

    assert world.names() == ["ChargeDeleted"]


@pytest.mark.parametrize(
    ("source", "managed_by", "layer"),
    [
        ("system", ManagedBy.SUBSCRIPTION, LayerName.BASE),
        ("api", ManagedBy.SUBSCRIPTION, LayerName.OVERRIDE),
        ("api", ManagedBy.SYSTEM, LayerName.OVERRIDE),
        ("api", ManagedBy.MANUAL, LayerName.BASE),
    ],
)
def test_a_deletion_marks_the_layer_of_whoever_deletes(source: str, managed_by: ManagedBy, layer: LayerName) -> None:
    """lifecycles §16.1: the API writes a new override, except for charges that are managed by hand."""
    world = World()
    charge = january(world, managed_by=managed_by)

    world.delete(charge, "2025-12-02", source=source)

    intent = world.charge(charge).intent
    assert intent.is_deleted
    assert intent.base_is_deleted is (layer is LayerName.BASE)
    assert (intent.override is not None) is (layer is LayerName.OVERRIDE)


def test_after_a_customers_deletion_only_clearing_brings_the_charge_back() -> None:
    world = World()
    charge = january(world)
    world.delete(charge, "2025-12-02", source="api")

    with pytest.raises(UnsupportedOperation):
        world.set_override(charge, usage_terms(price=TWO), "2025-12-03")
    with pytest.raises(UnsupportedOperation):
        world.delete(charge, "2025-12-03", source="api")

    world.clear_override(charge, "2025-12-03")
    state = world.charge(charge)
    assert (state.status, state.deleted_at, state.intent.is_deleted) == (Status.CREATED, None, False)
    assert world.set_override(charge, usage_terms(price=TWO), "2025-12-03") is True


def test_clearing_after_a_deletion_without_refund_voids_what_had_been_left() -> None:
    world = World()
    charge = final(world)
    world.delete(charge, "2026-02-04", source="api", credit_refund=CreditRefund.IGNORE)

    world.clear_override(charge, "2026-02-05")
    world.advance(charge, "2026-02-05")

    assert world.credits(charge) == [["10", "-10"], ["10"]]
    assert world.charge(charge).status is Status.FINAL


def test_clearing_over_a_deleted_base_of_a_deleted_charge_drops_the_override_only() -> None:
    world = World()
    charge = january(world)
    world.delete(charge, "2025-12-02", source="api")
    world.delete(charge, "2025-12-03", source="system")

    world.clear_override(charge, "2025-12-04")

    assert world.names() == ["OverrideCleared"]
    assert world.charge(charge).status is Status.DELETED
    assert world.charge(charge).intent.override is None


# ── stale patches and keys ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("operation", ["extend", "shrink", "set_override", "clear_override", "delete"])
def test_a_patch_computed_from_an_older_intent_is_stale(operation: str) -> None:
    """lifecycles §16.4, decision 29: each change of the intent counts, moving on does not."""
    world = World()
    charge = january(world)
    world.set_override(charge, usage_terms(price=TWO), "2025-12-02")
    world.clear_override(charge, "2025-12-02")
    world.advance(charge, "2026-01-05")
    version = world.charge(charge).intent_version
    assert version == 3

    def send(intent_version: int) -> bool:
        match operation:
            case "set_override":
                return world.set_override(charge, usage_terms(), "2026-01-06", intent_version=intent_version)
            case "extend":
                return world.extend(charge, "2026-03-01", "2026-01-06", intent_version=intent_version)
            case "shrink":
                return world.shrink(charge, "2026-01-20", "2026-01-06", intent_version=intent_version)
            case _:
                return getattr(world, operation)(charge, "2026-01-06", intent_version=intent_version)

    with pytest.raises(StalePatch) as refused:
        send(2)
    assert (refused.value.current, refused.value.given) == (3, 2)
    send(version)


def refusal_of(send: Callable[[], object]) -> LedgerError:
    with pytest.raises(LedgerError) as refused:
        send()
    return refused.value


def test_refusals_come_in_one_order() -> None:
    """Sender, staleness, arguments, status: several reasons at once, and the first of them is told."""
    world = World()
    charge = january(world)
    world.delete(charge, "2025-12-02")

    def extend(**more: object) -> LedgerError:
        return refusal_of(lambda: world.extend(charge, "2025-01-01", "2025-12-03", **more))

    wrong_sender = extend(source="api", intent_version=1)
    assert isinstance(wrong_sender, ValidationFailed)
    assert wrong_sender.codes == ("source_not_allowed",)
    assert extend(intent_version=1).code == "stale_patch"
    assert extend().code == "validation"
    assert refusal_of(lambda: world.extend(charge, "2026-03-01", "2025-12-03")).code == "unsupported_operation"


def test_a_deletion_frees_the_reference_and_a_revival_needs_it_again() -> None:
    """lifecycles §14.2."""
    world = World()
    charge = january(world, unique_reference_id="sub-1")
    with pytest.raises(ReferenceInUse) as taken:
        january(world, unique_reference_id="sub-1")
    assert taken.value.charge_id == charge

    world.delete(charge, "2025-12-02", source="api")
    other = january(world, at="2025-12-03", unique_reference_id="sub-1")

    with pytest.raises(ReferenceInUse) as refused:
        world.clear_override(charge, "2025-12-04")
    assert refused.value.charge_id == other

    world.delete(other, "2025-12-05")
    world.clear_override(charge, "2025-12-06")
    assert world.charge(charge).status is Status.CREATED


def test_a_charge_that_begins_again_keeps_the_feature_it_resolved() -> None:
    """lifecycles §5.6: written once, also when the status goes back to `created`."""
    world = World()
    charge = january(world)
    world.set_override(charge, usage_terms("2025-12-01", "2025-12-10"), "2025-12-01")
    world.advance(charge, "2025-12-13")
    world.clear_override(charge, "2025-12-14")
    assert world.charge(charge).status is Status.CREATED
    world.features = {}

    world.advance(charge, "2026-01-01")

    assert world.names() == ["ChargeActivated"]
