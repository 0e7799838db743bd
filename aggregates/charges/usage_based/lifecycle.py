"""The lifecycle of usage settled from credit only, as two tables (lifecycles §7): the path, and what may be patched.

Above the tables stand the guards, which read as conditions, and the work, which emits what a row lists. A row that is
not in the table does not happen. Worked, unit price 1 USD, January, collection interval two days: 3 units known at
the end of January start a run and take 3 of credit; 8 known when collection is complete take 5 more.
"""

from __future__ import annotations

from uuid import UUID

from aggregates.charges.collection import collected_after
from aggregates.charges.events import (
    ChargeActivated,
    ChargeDeleted,
    ChargeFinalized,
    ChargeReactivated,
    ChargeReopened,
    CollectionAwaited,
    CreditRefund,
    FeatureResolved,
    RealizationCompleted,
    RealizationProcessed,
    RealizationRunOpened,
    ReopenedReason,
    RunClosedReason,
)
from aggregates.charges.facts import Facts, QuantityNeeded
from aggregates.charges.held_terms import HeldTerms
from aggregates.charges.intent import LayerName
from aggregates.charges.state import Charge, ResolvedFeature
from aggregates.charges.turn import Turn
from aggregates.charges.usage_based import cuts
from aggregates.charges.usage_based.setting_off import settle
from aggregates.lifecycle import PatchPolicy, Path, Row, Status, Trigger, always
from aggregates.rating.parts import parts_needed
from aggregates.rating.requests import RunEngine
from aggregates.runs import decisions as runs
from aggregates.runs.events import RealizationRunStarted, RunType
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import ActiveRunAlreadyExists

# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────────


def period_has_begun(turn: Turn) -> bool:
    """The clock has reached the start of the effective service period."""
    return turn.now >= turn.usage.service_period.from_


def period_has_not_begun(turn: Turn) -> bool:
    """The effective service period is still to come."""
    return not period_has_begun(turn)


def part_is_over(turn: Turn) -> bool:
    """The clock has reached the end of what the next run covers: the next cut, or the end of the service period."""
    is_realized = cuts.left_over(turn.charge).is_empty and turn.charge.current_run_id is None
    return not is_realized and turn.now >= cuts.next_end(turn)


def collection_is_complete(turn: Turn) -> bool:
    """A minute has passed since the current run's collection end."""
    end = turn.current_run.collection_end
    assert end is not None, f"charge {turn.charge_id}: a run of usage has a collection end"
    return turn.now >= collected_after(end)


def last_run_ends_the_period(turn: Turn) -> bool:
    """What was realized last ends the effective service period."""
    latest = cuts.latest_run(turn.charge)
    return latest is not None and cuts.reaches_the_end(turn.charge, latest)


def period_goes_on(turn: Turn) -> bool:
    """There is more of the period to realize."""
    return not last_run_ends_the_period(turn)


# ── work ─────────────────────────────────────────────────────────────────────────────────────────────────────


def activate(turn: Turn, row: Row[Turn]) -> None:
    """Resolve the feature key, once and for all, and become active."""
    charge, ref = turn.charge, turn.charge.identity.feature
    assert ref is not None, f"charge {charge.id} has no feature"
    if ref.key is not None and charge.resolved_feature is None:
        feature, meter_id = turn.facts.metered_feature(ref.name)
        turn.emit(FeatureResolved(feature_key=ref.key, feature_id=feature.id, meter_id=meter_id))
    turn.emit(ChargeActivated(moved=turn.walked(row, cuts.next_end(turn))))


def start_run(turn: Turn, row: Row[Turn]) -> None:
    """Start the next run of the charge: fix its bounds, meter and rate it, and cover it with credit.

    Refuses a run while another is current, and, under a plain engine, a rated total below zero; nothing of the run
    exists then.
    """
    charge = turn.charge
    if charge.current_run is not None:
        raise ActiveRunAlreadyExists(charge.id, charge.current_run_id)
    begins, ends, feature = cuts.left_over(charge).from_, cuts.next_end(turn), feature_of(charge, turn.facts)
    is_last = ends == turn.usage.service_period.to
    run_type = RunType.FINAL_REALIZATION if is_last else RunType.PARTIAL_INVOICE
    collection_end = cuts.collection_end(turn.facts, ends)
    run = turn.run_stream(turn.facts.mint())
    turn.draft.emit(
        run,
        RealizationRunStarted(
            charge_id=charge.id,
            currency=charge.currency,
            type=run_type,
            service_period_from=begins,
            service_period_to=ends,
            stored_at_lt=collection_end,
            feature_id=feature.id,
            feature_key=feature.key,
            meter_id=feature.meter_id,
        ),
    )
    rate_and_cover(turn, run.id)
    turn.emit(
        RealizationRunOpened(
            run_id=run.id,
            type=run_type,
            service_period_from=begins,
            service_period_to=ends,
            collection_end=collection_end,
            feature_id=feature.id,
            moved=turn.walked(row, collected_after(collection_end)),
        )
    )


def await_collection(turn: Turn, row: Row[Turn]) -> None:
    """Wait for usage that is stored late."""
    entry = turn.current_run
    assert entry.collection_end is not None, f"charge {turn.charge_id}: a run of usage has a collection end"
    moved = turn.walked(row, collected_after(entry.collection_end))
    turn.emit(CollectionAwaited(run_id=entry.run_id, moved=moved))


def finalize_run(turn: Turn, row: Row[Turn]) -> None:
    """Meter and rate the run again within the bounds it was started with, and settle it to the last unit."""
    run_id = turn.current_run.run_id
    rate_and_cover(turn, run_id)
    settle(turn, run_id)
    turn.close_current_run(RunClosedReason.FINALIZED)
    moved = turn.walked(row, turn.charge.advance_after)
    turn.emit(RealizationProcessed(run_id=run_id, no_fiat=True, moved=moved))


def complete(turn: Turn, row: Row[Turn]) -> None:
    """Note that the realization is complete."""
    run_id = turn.charge.live_runs[-1].run_id
    turn.emit(RealizationCompleted(run_id=run_id, moved=turn.walked(row, turn.charge.advance_after)))


def go_on(turn: Turn, row: Row[Turn]) -> None:
    """A part is realized; the rest of the period goes on."""
    turn.emit(ChargeReactivated(moved=turn.walked(row, cuts.next_end(turn))))


def finish(turn: Turn, row: Row[Turn]) -> None:
    """Be done: the clock has nothing left to do."""
    turn.emit(ChargeFinalized(moved=turn.walked(row, None)))


def reopen_as_created(turn: Turn, row: Row[Turn]) -> None:
    """Begin again, before the base's service period."""
    moved = turn.walked(row, turn.usage.service_period.from_)
    turn.emit(ChargeReopened(reason=ReopenedReason.OVERRIDE_CLEARED, moved=moved))


def reopen_as_active(turn: Turn, row: Row[Turn]) -> None:
    """Begin again, within or after the base's service period."""
    moved = turn.walked(row, cuts.next_end(turn))
    turn.emit(ChargeReopened(reason=ReopenedReason.OVERRIDE_CLEARED, moved=moved))


def delete_with_base(turn: Turn, row: Row[Turn]) -> None:
    """The base that holds again is a deleted one, and so is the charge."""
    deleted_at = turn.usage.intent_deleted_at
    assert deleted_at is not None, f"charge {turn.charge_id}: {row.rule} over a base that is not deleted"
    turn.emit(
        ChargeDeleted(
            layer=LayerName.BASE,
            intent_deleted_at=deleted_at,
            credit_refund=CreditRefund.CORRECT,
            moved=turn.walked(row, None),
        )
    )


# ── metering, rating and covering a run ──────────────────────────────────────────────────────────────────────


def feature_of(charge: Charge, facts: Facts) -> ResolvedFeature:
    """The feature that runs are rated for: as resolved on activation, or as the intent names it by id."""
    if charge.resolved_feature is not None:
        return charge.resolved_feature
    ref = charge.identity.feature
    assert ref is not None, f"charge {charge.id} has no feature"
    feature, meter_id = facts.metered_feature(ref.name)
    return ResolvedFeature(key=feature.key, id=feature.id, meter_id=meter_id)


def rate_and_cover(turn: Turn, run_id: UUID) -> None:
    """Rate the run from the quantity within its bounds, and bring its credit to the rated total."""
    run = turn.run(run_id)
    assert run.meter_id is not None, f"run {run_id} has no meter"
    assert run.stored_at_lt is not None, f"run {run_id} has no collection end"
    terms = turn.charge.terms_until(run.service_period_to)
    needed = QuantityNeeded(
        meter_id=run.meter_id,
        from_=terms.period.from_,
        to=run.service_period_to,
        stored_at_lt=run.stored_at_lt,
        parts=parts_needed(terms.layer.price),
    )
    metered = turn.facts.quantities.get(needed)
    assert metered is not None, f"charge {turn.charge_id}: {needed} has to be asked for before it is rated"
    others, rated_by = other_runs(turn, terms, run_id), rating_terms(turn, terms)
    total = runs.rate(turn.draft, run.stream, rated_by, metered, turn.facts.mint, others=others)
    runs.reconcile(turn.draft, run.stream, total, turn.credit_terms(run_id))


def rating_terms(turn: Turn, terms: HeldTerms | None = None) -> runs.RatingTerms:
    """What runs of the charge are rated by under these terms; under the effective ones where none are named."""
    held = terms or turn.charge.terms[-1]
    usage = held.layer
    return runs.RatingTerms(
        name=usage.name,
        service_period=usage.service_period,
        price=usage.price,
        discounts=usage.discounts,
        unit_config=usage.unit_config,
        intent_version=held.intent_version,
        engine=RunEngine(turn.facts.policies.run_engine),
        arithmetic=turn.facts.policies.rating_arithmetic,
    )


def other_runs(turn: Turn, terms: HeldTerms, run_id: UUID | None = None) -> list[RealizationRun]:
    """The runs of the charge that these terms rate besides that one, in order of creation."""
    return [turn.run(entry.run_id) for entry in turn.charge.runs_under(terms) if entry.run_id != run_id]


# ── the tables ───────────────────────────────────────────────────────────────────────────────────────────────

CREATED = Status.CREATED
ACTIVE = Status.ACTIVE
STARTED = Status.REALIZATION_STARTED
WAITING = Status.WAITING_FOR_COLLECTION
PROCESSING = Status.PROCESSING
COMPLETED = Status.REALIZATION_COMPLETED
FINAL = Status.FINAL
DELETED = Status.DELETED
ACTIVE_CLEAR_OVERRIDE = Status.ACTIVE_CLEAR_OVERRIDE
DELETED_CLEAR_OVERRIDE = Status.DELETED_CLEAR_OVERRIDE
NEXT = Trigger.NEXT

# fmt: off
PATH = Path("usage_based / credit_only", (
    #   rule  from                    on    to          when                      then
    Row("U2", CREATED,                NEXT, ACTIVE,     period_has_begun,         activate),
    Row("U3", ACTIVE,                 NEXT, STARTED,    part_is_over,             start_run),
    Row("U4", STARTED,                NEXT, WAITING,    always,                   await_collection),
    Row("U5", WAITING,                NEXT, PROCESSING, collection_is_complete,   finalize_run),
    Row("U6", PROCESSING,             NEXT, COMPLETED,  always,                   complete),
    Row("U7", COMPLETED,              NEXT, FINAL,      last_run_ends_the_period, finish),
    # Where the period is cut: on to the next part, which ends later than this one.
    Row("U8", COMPLETED,              NEXT, ACTIVE,     period_goes_on,           go_on),
    # The ways out of the statuses that own the clearing of an override.
    Row("C1", ACTIVE_CLEAR_OVERRIDE,  NEXT, CREATED,    period_has_not_begun,     reopen_as_created),
    Row("C2", ACTIVE_CLEAR_OVERRIDE,  NEXT, ACTIVE,     period_has_begun,         reopen_as_active),
    Row("C3", DELETED_CLEAR_OVERRIDE, NEXT, DELETED,    always,                   delete_with_base),
))

# What holds in every row: a patch of a hidden base changes only that; clearing where there is no override does
# nothing; clearing over a deleted base moves to `deleted.clear_override`, from anywhere but `deleted`, where the
# override just falls away. Applying a change of the intent anywhere but in `created` voids all runs and starts again
# from `active`; an override is cleared in place where no run has been started.
PATCHES = PatchPolicy(
    "usage_based / credit_only",
    (Trigger.EXTEND, Trigger.SHRINK, Trigger.SET_OVERRIDE, Trigger.CLEAR_OVERRIDE, Trigger.DELETE),
    {
        #                       extend  shrink  set_override  clear_override  delete
        CREATED:                "A       A       A             A               A",
        ACTIVE:                 "A       A       A             A               A",
        STARTED:                "A       A       A             >               A",
        WAITING:                "A       A       A             >               A",
        PROCESSING:             "R       R       R             R               A",
        COMPLETED:              "A       A       A             >               A",
        FINAL:                  "A       A       A             >               A",
        ACTIVE_CLEAR_OVERRIDE:  "R       R       R             ·               A",
        DELETED_CLEAR_OVERRIDE: "R       R       R             ·               A",
        DELETED:                "R       R       R             >               R",
    },
    leads_to={
        Trigger.EXTEND: (ACTIVE,),
        Trigger.SHRINK: (ACTIVE,),
        Trigger.SET_OVERRIDE: (ACTIVE,),
        Trigger.CLEAR_OVERRIDE: (ACTIVE_CLEAR_OVERRIDE, DELETED_CLEAR_OVERRIDE),
        Trigger.DELETE: (DELETED,),
    },
)
# fmt: on
