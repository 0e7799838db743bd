"""Plays every lifecycle scenario of the language-neutral suite through the public facade, one test per scenario.

`LEDGER_VECTORS` names a folder that holds `lifecycles/`; without it the scenarios of this project are played. Beside
them, in `lifecycles_own/`, lie scenarios of the same format that were worked out from the specification for this
project: each names the paragraph, and what it takes from it.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregates.values.errors import LedgerError
from tests.conformance.lifecycle_checks import CHARGE_CHECKS, CHECKS, Observed, check
from tests.conformance.lifecycle_notation import Json
from tests.conformance.lifecycle_player import ARGUMENTS, Player
from tests.conformance.lifecycle_run_checks import RUN_CHECKS

VECTORS = Path(os.environ.get("LEDGER_VECTORS", Path(__file__).parents[1] / "vectors"))


def scenarios() -> Iterator[object]:
    for folder in ("lifecycles", "lifecycles_own"):
        for file in sorted((VECTORS / folder).rglob("*.json")):
            for scenario in json.loads(file.read_text()):
                yield pytest.param(scenario, id=f"{file.stem}:{scenario['id']}")


@pytest.mark.parametrize("scenario", list(scenarios()))
def test_scenario(scenario: Json) -> None:
    play(scenario)


def play(scenario: Json) -> None:
    player = Player(scenario["setup"], scenario["steps"])
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


def test_everything_that_the_format_describes_can_be_played_and_checked() -> None:
    """Also what no scenario of this project uses: commands, expectations, and those of a charge and a run."""
    text = (Path(__file__).parents[1] / "vectors" / "lifecycles" / "FORMAT.md").read_text()
    commands, expectations = text.split("## do")[1].split("## expect")

    assert {*rows(commands)} == ARGUMENTS.keys()
    assert {*rows(expectations)} <= {*CHECKS, "findings", "error_contains"}
    assert {*listed(expectations, "Charge:")} - CHARGE_CHECKS.keys() == set()
    assert {*listed(expectations, "Run:")} - RUN_CHECKS.keys() == set()


def rows(text: str) -> list[str]:
    """What the first column of the tables names."""
    first = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [name for cell in first for name in re.findall(r"`(\w+)`", cell)]


def listed(text: str, lead: str) -> list[str]:
    """The names that a paragraph lists, without what is in brackets."""
    paragraph = text.split(f"\n{lead}")[1].split("\n\n", maxsplit=1)[0]
    return re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", paragraph))


CREATED = {
    "ref": "c",
    "type": "flat_fee",
    "settlement_mode": "credit_only",
    "service_period": {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
    "amount": "10",
    "payment_term": "in_advance",
}
LINE = {"charge": "c", "line": "l", "invoice": "i"}


@pytest.mark.parametrize(
    ("setup", "do", "expect"),
    [
        ({"weather": "fine"}, {"command": "none"}, {}),
        ({"allocator": {"at_most": "5"}}, {"command": "none"}, {}),
        ({"billing_profile": {"weather": "fine"}}, {"command": "none"}, {}),
        ({}, {"command": "wait"}, {}),
        ({}, {"command": "none", "weather": "fine"}, {}),
        ({}, {"command": "create_charges", "charges": [CREATED | {"weather": "fine"}]}, {}),
        ({}, {"command": "apply_patches", "patches": {"c": {"op": "delete", "weather": "fine"}}}, {}),
        ({}, {"command": "charge_invoice_trigger", "trigger": "forgotten"} | LINE, {}),
        ({}, {"command": "set_fault", "port": "weather", "fail_next": 1}, {}),
        ({}, {"command": "none"}, {"weather": "fine"}),
        ({}, {"command": "none"}, {"charges": {"c": {"weather": "fine"}}}),
        ({}, {"command": "none"}, {"charges": {"c": {"runs": [{"weather": "fine"}]}}}),
        ({}, {"command": "none"}, {"charges": {"c": {"runs": [{"totals": {"weather": "fine"}}]}}}),
        ({}, {"command": "none"}, {"charges": {"c": {"runs": [{"detailed_lines": [{"weather": "fine"}]}]}}}),
        ({}, {"command": "none"}, {"balances": [{"account": "free", "cost_basis": "*", "amount": "0", "sky": "0"}]}),
        ({}, {"command": "none"}, {"logged": [{"kind": "", "weather": "fine"}]}),
    ],
)
def test_what_nobody_reads_fails_the_scenario(setup: Json, do: Json, expect: Json) -> None:
    """Whatever is passed over would not have been played."""
    made = {"do": {"command": "create_charges", "charges": [CREATED]}}
    start: Json = {"clock": "2026-01-01T00:00:00Z"}
    play({"setup": start, "steps": [made, {"do": {"command": "none"}}]})

    with pytest.raises(AssertionError):
        play({"setup": start | setup, "steps": [made, {"do": do, "expect": expect}]})
