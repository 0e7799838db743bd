"""Plays every ledger vector of the language-neutral suite against the pool, one test per vector, named file:id.

`LEDGER_VECTORS` names a folder that holds `ledger/`; without it the vectors of this project are played. Every JSON
file in it is read, whatever it is called. `ledger_own/` beside it, where there is one, holds vectors of this project
in the same format: their figures were worked out from the specification by hand, before they were played.

`expect_recommended` wins over `expect`; amounts compare as numbers; after every command the invariants of the books
are checked. An operation, an argument or an expectation that is not known here fails.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.ledger_format import ARGUMENTS
from tests.support.ledger_player import Player

ROOT = Path(os.environ.get("LEDGER_VECTORS", Path(__file__).parents[1] / "vectors"))
VECTORS, OWN = ROOT / "ledger", ROOT / "ledger_own"


def vectors() -> list[Any]:
    """Every vector below the folders, in order of file and place."""
    found = []
    for folder, prefix in ((VECTORS, ""), (OWN, "own:")):
        for path in sorted(folder.rglob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            if str(content.get("format", "")).startswith("ledger/"):
                named = f"{prefix}{path.stem}"
                found += [pytest.param(vector, id=f"{named}:{vector['id']}") for vector in content["vectors"]]
    return found


@pytest.mark.parametrize("vector", vectors())
def test_vector(vector: dict[str, Any]) -> None:
    player = Player(vector.get("currency", "USD"))
    for number, step in enumerate(vector["steps"]):
        player.play(step, f"step {number}")


def test_there_are_vectors_to_play() -> None:
    assert vectors(), f"no ledger vectors below {VECTORS}"


def test_everything_that_the_format_describes_can_be_played_and_checked() -> None:
    """Also what no vector of this project uses."""
    text = (Path(__file__).parents[1] / "vectors" / "ledger" / "FORMAT.md").read_text()
    operations, expectations = text.split("## Operations")[1].split("## Expectations")
    table = [line.split("|")[1:3] for line in operations.splitlines() if line.startswith("| `")]
    named = [(set(re.findall(r"`(\w+)`", names)), _words(arguments)) for names, arguments in table]
    offered = {name for names, _ in named for name in names}
    expected = set(re.findall(r"^\*.*?`(\w+)(?:\[\])?`", expectations, re.MULTILINE))

    assert [name for name in sorted(offered) if not hasattr(Player, f"do_{name}")] == []
    assert [name for name in sorted(expected - {"error"}) if not hasattr(Player, f"expect_{name}")] == []
    assert sorted(ARGUMENTS) == sorted(offered)
    for names, arguments in named:
        assert arguments - {argument for name in names for argument in ARGUMENTS[name]} == set(), names


def _words(cell: str) -> set[str]:
    """The arguments that a cell names, without what stands in brackets behind one of them."""
    return {
        word
        for code in re.findall(r"`([^`]*)`", cell)
        for word in re.findall(r"\w+", re.sub(r"\[.*?\]|\(.*?\)", "", code))
        if word not in {"booked_at", "op"}
    }


@pytest.mark.parametrize(
    ("step", "unknown"),
    [
        ({"do": {"op": "grant", "id": "P1", "amount": "10", "expire_at": "2026-01-10T00:00:00Z"}}, "expire_at"),
        ({"do": {"op": "post", "entries": [{"account": "wash", "amount": "1", "rout": {}}]}}, "rout"),
        ({"do": {"op": "wait"}, "expect": {"balances": [{"account": "wash", "amount": "0", "asof": "x"}]}}, "asof"),
        (
            {"do": {"op": "wait"}, "expect": {"buckets": [{"account": "wash", "rows": {}, "filter": {"cost": "1"}}]}},
            "cost",
        ),
        ({"do": {"op": "wait"}, "expect": {"listings": [{"rows": [{"amount": "1", "befor": "0"}]}]}}, "befor"),
    ],
)
def test_what_the_player_does_not_know_is_not_passed_over(step: dict[str, Any], unknown: str) -> None:
    with pytest.raises(AssertionError, match=f"does not know {unknown}"):
        Player("USD").play(step, "step 0")
