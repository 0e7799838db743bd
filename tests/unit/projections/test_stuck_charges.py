"""`stuck_charges`, a fold over one row: which reason it shows, since when, and when it goes."""

import pytest

from aggregates.charges.events import (
    ChargeActivated,
    ChargeAdvanceFailed,
    ChargeDeleted,
    CreditRefund,
    FeatureResolved,
    Moved,
)
from aggregates.charges.intent import LayerName
from aggregates.event import DomainEvent
from aggregates.lifecycle import Status, Trigger
from aggregates.values.period import instant, timestamp
from projections.projection import Entry
from projections.stuck_charges import STUCK_CHARGES, StuckChargeRow
from tests.given import CHARGE, CUSTOMER, NAMESPACE, STREAMS, recorded

FIRST, SECOND, THIRD = "2026-01-01", "2026-01-02", "2026-01-03"


def moved(to: Status) -> Moved:
    return Moved(status_from=Status.CREATED, status_to=to, trigger=Trigger.NEXT)


ACTIVATED = ChargeActivated(moved=moved(Status.ACTIVE))
DELETED = ChargeDeleted(
    layer=LayerName.BASE,
    intent_deleted_at=instant(timestamp(SECOND)),
    credit_refund=CreditRefund.CORRECT,
    moved=moved(Status.DELETED),
)


def failed(code: str = "meter_not_found", attempt: int = 1) -> ChargeAdvanceFailed:
    return ChargeAdvanceFailed(
        status=Status.CREATED, trigger=Trigger.NEXT, code=code, message=f"told of {code}", attempt=attempt
    )


def folded(*history: tuple[DomainEvent, str]) -> StuckChargeRow | None:
    row: StuckChargeRow | None = None
    for position, (event, at) in enumerate(history, start=1):
        assert event.NAME in STUCK_CHARGES.listens
        entry = Entry(position, timestamp(at), recorded(STREAMS["charge"], position, event, at))
        (key,) = STUCK_CHARGES.keys(entry)
        row = STUCK_CHARGES.apply(row, entry, key)
    return row


def test_a_charge_that_refused_is_shown_with_the_reason() -> None:
    assert folded((failed(), FIRST)) == StuckChargeRow(
        charge=CHARGE,
        namespace=NAMESPACE,
        customer=CUSTOMER,
        status="created",
        trigger="next",
        code="meter_not_found",
        message="told of meter_not_found",
        since=timestamp(FIRST),
        attempts=1,
        position=1,
    )


def test_another_reason_takes_the_place_of_the_first_and_is_as_old_as_itself() -> None:
    row = folded((failed(), FIRST), (failed("feature_not_found", 2), SECOND))

    assert row is not None
    assert (row.code, row.since, row.attempts, row.position) == ("feature_not_found", timestamp(SECOND), 2, 2)


def test_the_same_reason_is_as_old_as_its_first_time() -> None:
    row = folded((failed(), FIRST), (failed(attempt=2), SECOND))

    assert row is not None
    assert (row.since, row.attempts, row.position) == (timestamp(FIRST), 2, 2)


@pytest.mark.parametrize("move", [ACTIVATED, DELETED], ids=["activated", "deleted"])
def test_a_charge_that_moves_is_gone(move: DomainEvent) -> None:
    assert folded((failed(), FIRST), (move, SECOND)) is None


def test_a_charge_that_moved_and_refuses_again_is_stuck_anew() -> None:
    row = folded((failed(), FIRST), (ACTIVATED, SECOND), (failed(), THIRD))

    assert row is not None
    assert (row.since, row.attempts) == (timestamp(THIRD), 1)


def test_events_that_can_free_nothing_are_not_listened_to() -> None:
    assert FeatureResolved.NAME not in STUCK_CHARGES.listens
