"""Patches and creations from a file: all of it in one save, or everything that is wrong with it by its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commandline import Run

JANUARY = ("--from", "2026-01-01", "--to", "2026-02-01")
NEW_YEAR = ("--now", "2026-01-01T12:00Z")
PERIOD = {"period_from": "2026-02-01T00:00:00Z", "period_to": "2026-03-01T00:00:00Z"}


@pytest.fixture
def shop(acme: Run) -> Run:
    """The same, and two charges for the tokens of January."""
    for name in ("First", "Second"):
        acme("charge", "create", "acme", "--feature", "tokens", *JANUARY, "--unit", "0.01", "--name", name, *NEW_YEAR)
    return acme


def ids(shop: Run) -> list[str]:
    return [row["charge"] for row in shop("charge", "list", "acme", "--json").data]


def written(tmp_path: Path, document: object) -> str:
    file = tmp_path / "batch.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return str(file)


def batch(first: str, second: str) -> dict[str, Any]:
    return {
        "customer": "acme",
        "patches": {
            first: {"operation": "shrink", "service_period_to": "2026-01-16T00:00:00Z"},
            second: {"operation": "set_override", "price": {"type": "unit", "amount": "0.02"}},
        },
        "creates": [
            {"type": "usage", "feature": "tokens", "price": {"type": "unit", "amount": "0.03"}, **PERIOD},
            {"type": "flat_fee", "amount": "10", "name": "Seats", **PERIOD},
            {"type": "grant", "amount": "5"},
            {"type": "sale", "amount": "100", "cost_basis": "0.5"},
        ],
    }


def test_a_batch_is_one_save_and_answered_again_under_its_id(shop: Run, tmp_path: Path) -> None:
    first, second = ids(shop)
    file = written(tmp_path, batch(first, second))

    done = shop("charge", "apply", file, "--command-id", "once", "--json", *NEW_YEAR).data

    names = [charge["intent"]["base"]["name"] for charge in done]
    assert names == ["First", "Second", "tokens", "Seats", "Credit", "Credit"]
    shown = shop("charge", "show", second, "--json").data
    assert shown["intent"]["override"]["price"]["amount"] == "0.02"
    assert shop("charge", "apply", file, "--command-id", "once", "--json", *NEW_YEAR).data == done
    assert len(ids(shop)) == 4
    assert shop("verify").code == 0


def test_a_batch_that_is_only_tried_shows_the_events_and_writes_nothing(shop: Run, tmp_path: Path) -> None:
    first, second = ids(shop)

    tried = shop("charge", "apply", written(tmp_path, batch(first, second)), "--dry-run", "--json", *NEW_YEAR).data

    names = [event["event"] for event in tried["events"]]
    assert names.count("charge.created.v1") == 4
    assert "charge.override_set.v1" in names
    assert ids(shop) == [first, second]


def test_everything_that_is_wrong_is_told_by_its_place(shop: Run, tmp_path: Path) -> None:
    first, second = ids(shop)
    wrong = {
        "customer": "acme",
        "patches": {
            first: {"operation": "shrink", "service_period_to": "soon", "source": "nobody"},
            second: {"operation": "set_override", "amount": "3"},
            "nothing": {"operation": "delete"},
        },
        "creates": [
            {"type": "flat_fee", "amount": "-1", **PERIOD},
            {"type": "usage", "feature": "files", "price": {"type": "unit", "amount": "1"}, **PERIOD},
            {"type": "gift"},
            {"type": "grant", "customer": "birch"},
            7,
        ],
        "extra": 1,
    }

    error = shop("charge", "apply", written(tmp_path, wrong), "--json", *NEW_YEAR, code=2).error

    assert [(finding["path"], finding["code"]) for finding in error["findings"]] == [
        ("extra", "unknown_field"),
        (f"patches.{first}.service_period_to", "invalid_time"),
        (f"patches.{first}.source", "unknown_choice"),
        (f"patches.{second}.amount", "not_allowed"),
        ("patches.nothing.charge", "charge_not_found"),
        ("creates[1].feature", "feature_not_found"),
        ("creates[2].type", "unknown_choice"),
        ("creates[3].amount", "missing"),
        ("creates[3].customer", "unknown_field"),
        ("creates[4]", "wrong_type"),
    ]
    assert ids(shop) == [first, second]


@pytest.mark.parametrize("text", ["not json", "[]", '{"customer": "acme"}', '{"patches": [], "creates": {}}'])
def test_a_file_that_is_no_batch_is_refused(shop: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "batch.json"
    file.write_text(text, encoding="utf-8")

    shop("charge", "apply", str(file), *NEW_YEAR, code=2)
    shop("charge", "apply", str(tmp_path / "missing.json"), *NEW_YEAR, code=2)
