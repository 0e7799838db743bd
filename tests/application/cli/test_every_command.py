"""What holds for every command, whatever it does."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ledger.cli import main
from tests.support.commandline import Run

ROOT = Path(__file__).parents[3]


def all_commands() -> Iterator[tuple[str, Any]]:
    def below(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "commands"):
            for part, child in command.commands.items():
                yield from below(child, f"{name} {part}".strip())
        else:
            yield name, command

    return below(typer.main.get_command(main.build()), "")


COMMANDS = dict(all_commands())
WRITING = [name for name, command in COMMANDS.items() if any(p.name == "command_id" for p in command.params)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_what_each_option_means(name: str) -> None:
    command = COMMANDS[name]

    assert (command.help or "").strip()
    for parameter in command.params:
        assert parameter.help, f"ledger {name}: {parameter.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json_and_names_its_database(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}

    assert {"--json", "--db"} <= options


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    words = [(ROOT / path).read_text(encoding="utf-8") for path in ("README.md", "ledger/README.md")]

    assert re.search(rf"\bledger {name}\b", "\n".join(words)), f"no README shows `ledger {name}`"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_can_be_asked_for(name: str, run: Run) -> None:
    assert "Usage: ledger" in run(*name.split(), "--help").out


@pytest.mark.parametrize("name", WRITING)
def test_every_command_that_writes_can_be_tried_and_repeated(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}

    assert {"--dry-run", "--command-id", "--actor"} <= options


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"init", "demo"}))
def test_without_a_ledger_every_command_says_how_to_make_one_and_leaves_nothing(
    name: str, run: Run, tmp_path: Path
) -> None:
    required = [p for p in COMMANDS[name].params if p.required]
    line = [*name.split(), "--json"]
    for parameter in required:
        value = "1" if parameter.name == "precision" else "x"
        line += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    if name == "history":
        line += ["--customer", "acme"]

    ended = run(*line, code=4)

    assert ended.error["code"] == "ledger_not_found"
    assert "ledger init" in ended.error["next_step"]
    assert list(tmp_path.iterdir()) == []
