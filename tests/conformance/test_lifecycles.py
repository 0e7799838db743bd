"""Plays every lifecycle scenario of the language-neutral suite through the public facade, one test per scenario.

`LEDGER_VECTORS` names a folder that holds `lifecycles/`; without it the scenarios of this project are played.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregates.values.errors import LedgerError
from tests.conformance.lifecycle_checks import Observed, check
from tests.conformance.lifecycle_notation import Json
from tests.conformance.lifecycle_player import Player

SCENARIOS = Path(os.environ.get("LEDGER_VECTORS", Path(__file__).parents[1] / "vectors")) / "lifecycles"


def scenarios() -> Iterator[object]:
    for file in sorted(SCENARIOS.rglob("*.json")):
        for scenario in json.loads(file.read_text()):
            yield pytest.param(scenario, id=f"{file.stem}:{scenario['id']}")


@pytest.mark.parametrize("scenario", list(scenarios()))
def test_scenario(scenario: Json) -> None:
    play(scenario)


def play(scenario: Json) -> None:
    player = Player(scenario["setup"])
    log = logging.getLogger("ledger")
    log.addHandler(player.logged)
    try:
        for number, step in enumerate(scenario["steps"]):
            if "at" in step:
                player.clock.set(step["at"])
            before = player.ledger.store.head()
            error: LedgerError | None = None
            try:
                player.play(step["do"])
            except LedgerError as refused:
                error = refused
            seen = Observed(player.records(before), error)
            try:
                check(player, step.get("expect", {}), seen)
            except AssertionError as failed:
                failed.add_note(f"step {number}: {step['do']}")
                raise
    finally:
        log.removeHandler(player.logged)
        player.ledger.close()
