"""Stored names, their fields and their bytes are a contract: what was stored once is read for ever.

`events.json` and `samples/` are written by `scripts/event_schemas.py`; a change of an event shows here first.
"""

import json
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from aggregates.event import DomainEvent
from ledger.store import mapper
from ledger.store.names import stored_names
from ledger.store.upcasts import UPCASTS
from tests.support import event_schemas as golden


def test_every_event_is_as_it_is_written_down() -> None:
    changed = golden.differences(golden.written(), golden.contract())

    assert changed == [], "events differ from tests/golden/events.json; if that is meant: scripts/event_schemas.py"


def test_every_released_event_can_still_be_read_as_what_it_was() -> None:
    """A released name is still that of an event, of the same shape, or is upcast to one."""
    today = golden.contract()
    for name, shape in golden.written()["released"].items():
        assert name in today["events"] or name in UPCASTS, f"nothing reads {name} any more"
        if name in today["events"]:
            assert golden.whole(today, name) == shape, f"{name} is released and has changed"


def test_there_are_samples_of_every_stored_name() -> None:
    sampled = {name for name, _ in golden.written_samples()}

    assert sampled == {*stored_names(), *UPCASTS}


@pytest.mark.parametrize(("name", "data"), list(golden.written_samples()))
def test_stored_bytes_are_read_and_written_again_as_they_were(name: str, data: bytes) -> None:
    record = mapper.decode(name, data)

    if name not in UPCASTS:
        assert name == record.body.NAME
        assert mapper.encode(record) == data


def test_samples_fill_in_every_field_of_an_event() -> None:
    """A field that no sample shows could change its meaning without anybody noticing."""
    events = golden.written()["events"]
    shown: dict[str, set[str]] = {}
    for name, data in golden.written_samples():
        shown.setdefault(name, set()).update(json.loads(data)["body"])

    assert {name: set(fields) - shown[name] for name, fields in events.items() if set(fields) - shown[name]} == {}


# ── the writing of it ────────────────────────────────────────────────────────────────────────────────────────


class Weight(msgspec.Struct, frozen=True):
    grams: int


class ParcelSent(DomainEvent, kw_only=True, frozen=True):
    """A parcel was sent."""

    NAME: ClassVar[str] = "parcel.sent.v1"

    recipient: str
    weight: Weight | None = None


def test_fields_are_told_in_words() -> None:
    told = golden.contract({"parcel.sent.v1": ParcelSent})

    assert told["events"] == {
        "parcel.sent.v1": {"recipient": "str", "weight": "Weight or none, may be absent"},
    }
    assert told["types"] == {"Weight": {"grams": "int"}}
    assert told["envelope"]["prev"] == "str or none, may be absent"


def test_a_released_event_cannot_be_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "EVENTS", tmp_path / "events.json")
    monkeypatch.setattr(golden, "SAMPLES", tmp_path / "samples")
    assert golden.rewrite(release=True) == []
    assert golden.differences(golden.written(), golden.contract()) == []
    name = next(iter(stored_names()))
    before = golden.written()
    before["released"][name]["fields"]["colour"] = "str"
    golden.EVENTS.write_text(json.dumps(before))

    assert golden.rewrite() == [f"{name} is released and has changed; give it a new version and an upcast"]
    assert golden.written() == before
