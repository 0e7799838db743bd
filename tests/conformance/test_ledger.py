"""Plays every ledger vector of the language-neutral suite against the pool, one test per vector, named file:id.

`LEDGER_VECTORS` names a folder that holds `ledger/`; without it the vectors of this project are played. Every JSON
file in it is read, whatever it is called. `expect_recommended` wins over `expect`; amounts compare as numbers; after
every command the invariants of the books are checked. An operation or expectation that is not known here fails.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.ledger_player import Player

VECTORS = Path(os.environ.get("LEDGER_VECTORS", Path(__file__).parents[1] / "vectors")) / "ledger"


def vectors() -> list[Any]:
    """Every vector below the folder, in order of file and place."""
    found = []
    for path in sorted(VECTORS.rglob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if str(content.get("format", "")).startswith("ledger/"):
            found += [pytest.param(vector, id=f"{path.stem}:{vector['id']}") for vector in content["vectors"]]
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
    first = [line.split("|")[1] for line in operations.splitlines() if line.startswith("| `")]
    offered = {name for cell in first for name in re.findall(r"`(\w+)`", cell)}
    expected = set(re.findall(r"^\*.*?`(\w+)(?:\[\])?`", expectations, re.MULTILINE))

    assert [name for name in sorted(offered) if not hasattr(Player, f"do_{name}")] == []
    assert [name for name in sorted(expected - {"error"}) if not hasattr(Player, f"expect_{name}")] == []
