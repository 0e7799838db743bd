"""The state of a charge: what its events come to, that it survives storage, and that no amount in it is a float."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from aggregates.charges.events import EVENTS, ChargeEvent
from aggregates.charges.state import Charge, evolve, fold
from aggregates.event import DomainEvent, Recorded
from aggregates.runs.events import EVENTS as RUN_EVENTS
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import FeatureNotFound
from tests.given import STREAMS, recorded
from tests.support.charging import World, new_purchase, new_usage, usage_terms


def lived_through() -> World:
    """A world in which every kind of event of charges and runs has happened but the dynamic rate's."""
    world = World()
    world.use(-1, time="2025-11-15")
    world.use(10)
    november = usage_terms("2025-11-01", "2025-12-01")
    charge, earlier = world.create(new_usage(unique_reference_id="r"), new_usage(november), at="2025-12-01")
    world.advance(earlier, "2025-12-01")
    world.note_failure(charge, "2025-12-01", FeatureNotFound("api-requests"))
    world.advance(charge, "2026-02-01T12:00Z")
    world.set_override(charge, usage_terms(to="2026-02-10"), "2026-02-01T13:00Z")
    world.extend(charge, "2026-03-01", "2026-02-01T14:00Z")
    world.advance(charge, "2026-03-01")
    world.clear_override(charge, "2026-03-02")
    world.shrink(charge, "2026-02-20", "2026-03-03")
    world.extend(charge, "2026-02-25", "2026-03-03")
    world.advance(charge, "2026-03-10")
    world.delete(charge, "2026-03-11")
    [purchase] = world.create(new_purchase("20", "external"), at="2026-03-12")
    world.advance(purchase, "2026-03-12")
    world.pay(purchase, "paid", "2026-03-12")
    world.void(purchase, "2026-03-13")
    return world


LIVED = lived_through()


def events(*kinds: type[DomainEvent]) -> Iterator[DomainEvent]:
    return (record.body for record in LIVED.log if type(record.body) in kinds)


@pytest.mark.parametrize("kind", [*EVENTS, *RUN_EVENTS], ids=lambda kind: kind.__name__)
def test_stored_bytes_come_back_as_the_same_event(kind: type[DomainEvent]) -> None:
    for event in events(kind):
        data = msgspec.json.encode(event)

        assert msgspec.json.decode(data, type=kind) == event


@pytest.mark.parametrize("kind", [*EVENTS, *RUN_EVENTS], ids=lambda kind: kind.__name__)
def test_an_unknown_field_of_a_stored_event_is_an_error(kind: type[DomainEvent]) -> None:
    """Decision 4: a removed or renamed field is a new version."""
    for event in events(kind):
        fields = msgspec.json.decode(msgspec.json.encode(event)) | {"unheard_of": 1}

        with pytest.raises(msgspec.ValidationError, match="unheard_of"):
            msgspec.json.decode(msgspec.json.encode(fields), type=kind)


def test_an_unknown_status_in_a_stored_event_is_an_error() -> None:
    """lifecycles §3."""
    body = {"moved": {"status_from": "created", "status_to": "activated", "trigger": "next"}}
    activated = next(kind for kind in EVENTS if kind.NAME == "charge.activated.v1")

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(body), type=activated)


def test_nearly_every_event_was_lived_through() -> None:
    """So that the tests above are not empty."""
    seen = {type(record.body) for record in LIVED.log}

    assert len(seen & {*EVENTS, *RUN_EVENTS}) >= 30


def test_no_payload_contains_a_binary_float() -> None:
    """lifecycles §19.5(10), R-09: amounts travel as text."""

    def floats(value: Any) -> bool:
        if isinstance(value, dict):
            return any(floats(part) for part in value.values())
        if isinstance(value, list):
            return any(floats(part) for part in value)
        return isinstance(value, float)

    for record in LIVED.log:
        assert not floats(msgspec.json.decode(msgspec.json.encode(record.body)))


@pytest.mark.parametrize("aggregate", ["charge", "realization_run"])
def test_a_state_survives_being_written_down(aggregate: str) -> None:
    """Snapshots are states as JSON."""
    kinds = {"charge": Charge, "realization_run": RealizationRun}
    for stream_id, stream in LIVED.streams.items():
        if stream.aggregate == aggregate and stream_id in LIVED.records:
            state = LIVED.state(stream_id)

            assert msgspec.json.decode(msgspec.json.encode(state), type=kinds[aggregate]) == state


def test_folding_many_is_folding_one_by_one_and_changes_nothing_in_between() -> None:
    charges = [s.id for s in LIVED.streams.values() if s.aggregate == "charge"]
    for charge in charges:
        records: list[Recorded[ChargeEvent]] = LIVED.records[charge]
        state: Charge | None = None
        for record in records:
            before = msgspec.json.encode(state)
            after = evolve(state, record)
            assert msgspec.json.encode(state) == before
            state = after

        assert fold(None, records) == state


def test_an_event_before_the_creation_is_a_broken_history() -> None:
    activated = next(event for event in LIVED.log if type(event.body).NAME == "charge.activated.v1").body

    with pytest.raises(AssertionError, match="before it was created"):
        evolve(None, recorded(STREAMS["charge"], 1, activated))


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_a_stored_name_and_a_sentence(event: type[DomainEvent]) -> None:
    assert event.NAME.startswith("charge.")
    assert event.NAME.endswith(".v1")
    assert event.__doc__
    assert event.__doc__.strip().endswith(".")
