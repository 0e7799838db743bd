"""The three words of our own tests say no when they should: an expectation that cannot fail shows nothing."""

from __future__ import annotations

import pytest

from aggregates.charges.events import ChargeFinalized, FeatureResolved, Moved, RunVoidNoted
from aggregates.lifecycle import Status, Trigger
from aggregates.outcome import Draft
from aggregates.values.errors import ChargeNotFound, FeatureNotFound
from tests.given import RUN, STREAMS, given, like, on
from tests.support.charging import FEATURE, METER, World, new_usage

WORLD = World()
[CHARGE_ID] = WORLD.create(new_usage())
CREATED = WORLD.log[0].body
RESOLVED = FeatureResolved(feature_key="api-requests", feature_id=FEATURE.id, meter_id=METER)
FINALIZED = ChargeFinalized(
    moved=Moved(status_from=Status.CREATED, status_to=Status.FINAL, trigger=Trigger.NEXT, advance_after=None)
)


def resolve(draft: Draft) -> str:
    draft.emit(STREAMS["charge"], RESOLVED)
    return "resolved"


def refuse(_draft: Draft) -> None:
    raise FeatureNotFound("storage")


def test_an_event_is_expected_whole_by_class_or_by_some_fields() -> None:
    outcome = given(CREATED).when(resolve)

    outcome.then(RESOLVED).then(FeatureResolved).then(like(FeatureResolved, meter_id=METER))
    outcome.then_on("charge", RESOLVED).then_on("realization_run")
    assert outcome.answer == "resolved"


@pytest.mark.parametrize(
    "expected",
    [
        (),
        (FINALIZED,),
        (RunVoidNoted,),
        (RESOLVED, FINALIZED),
        (like(FeatureResolved, feature_key="storage"),),
        (like(ChargeFinalized),),
    ],
)
def test_other_events_than_expected_fail(expected: tuple[object, ...]) -> None:
    outcome = given(CREATED).when(resolve)

    with pytest.raises(AssertionError):
        outcome.then(*expected)  # type: ignore[arg-type]


def test_nothing_is_nothing() -> None:
    given(CREATED).when(lambda draft: None).then_nothing()
    with pytest.raises(AssertionError):
        given(CREATED).when(resolve).then_nothing()


def test_a_refusal_is_expected_by_class_and_evidence() -> None:
    outcome = given(CREATED).when(refuse)

    outcome.then_refused(FeatureNotFound, key="storage")
    for expect in (
        lambda: outcome.then_refused(ChargeNotFound),
        lambda: outcome.then_refused(FeatureNotFound, key="api-requests"),
        outcome.then_nothing,
        lambda: given(CREATED).when(resolve).then_refused(FeatureNotFound),
    ):
        with pytest.raises(AssertionError):
            expect()


def test_the_state_afterwards_is_looked_into_by_path() -> None:
    outcome = given(CREATED, FINALIZED).when(resolve)

    outcome.then_state(status=Status.FINAL, resolved_feature__id=FEATURE.id, intent__override=None)
    with pytest.raises(AssertionError):
        outcome.then_state(status=Status.CREATED)


def test_a_history_may_name_its_streams() -> None:
    outcome = given(on(STREAMS["charge"], CREATED), FINALIZED).when(resolve)

    assert outcome.draft.version(STREAMS["charge"].id) == 3
    assert outcome.draft.version(RUN) == 0
