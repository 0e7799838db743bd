"""The READMEs do what they say: every command is run, every program executed, every picture drawn anew.

A `console` block is a transcript: lines after `$` are commands, and what follows them is their output. A line `…`
stands for any number of lines that were left out. All transcripts of a page are one session, in one empty folder.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main

from ledger.cli import main

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "ledger/README.md", "aggregates/README.md")
LEFT_OUT = "…"

INSTEAD = {
    "python3 scripts/demo.py": ["ledger", "demo"],  # the script makes the environment first; here it is there
    "python3 scripts/test.py": ["true"],  # it is what runs this test
    ". .venv/bin/activate": ["true"],  # the same environment is in use here
}
"""Commands that cannot be run here as they stand, and what is run instead."""

ELSEWHERE = "postgresql://localhost/billing"
"""A server that pages name; the session has a database of its own instead."""

BEGIN, END = "<!-- commands: kept current by tests/architecture/test_readme.py -->", "<!-- end of commands -->"


class Block(NamedTuple):
    """A fenced block of a page: its language, the line it begins at, and its text."""

    language: str
    line: int
    text: str


class Step(NamedTuple):
    """A command of a transcript and the output that is shown for it."""

    command: str
    shown: list[str]


def blocks(page: str, language: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    all_blocks = [Block(m.group(1), text.count("\n", 0, m.start()) + 1, m.group(2)) for m in found]
    return [block for block in all_blocks if block.language == language]


def steps(block: Block) -> Iterator[Step]:
    lines = block.text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    assert starts[:1] == [0], f"line {block.line}: a transcript begins with a command"
    for start, end in pairwise([*starts, len(lines)]):
        yield Step(lines[start].removeprefix("$ "), lines[start + 1 : end])


def matches(shown: list[str], said: list[str]) -> bool:
    """Whether the output is what is shown, with `…` for any number of lines."""
    if not shown:
        return not said
    if shown[0] == LEFT_OUT:
        return any(matches(shown[1:], said[skipped:]) for skipped in range(len(said) + 1))
    return bool(said) and shown[0] == said[0] and matches(shown[1:], said[1:])


class Session:
    """A shell's folder and variables, as far as pages use them."""

    def __init__(self, folder: Path, elsewhere: str) -> None:
        self._folder = folder
        self._elsewhere = elsewhere
        self._variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }

    def run(self, command: str) -> list[str]:
        words = INSTEAD.get(command) or shlex.split(command.replace(ELSEWHERE, self._elsewhere))
        if words[0] == "export":
            self._variables |= dict(word.split("=", 1) for word in words[1:])
            return []
        if words[0] == "ledger":
            words = [sys.executable, "-m", "ledger.cli.main", *words[1:]]
        done = subprocess.run(
            words, cwd=self._folder, env=self._variables, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        return [line.replace(self._elsewhere, ELSEWHERE).rstrip() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("page", PAGES)
def test_every_transcript_is_what_the_commands_say(page: str, tmp_path: Path, postgres_url: str) -> None:
    session = Session(tmp_path, postgres_url)

    for block in blocks(page, "console"):
        for step in steps(block):
            said = session.run(step.command)
            assert matches(step.shown, said), f"{page}: $ {step.command}\n" + "\n".join(said)


@pytest.mark.parametrize(
    ("page", "block"),
    [pytest.param(page, block, id=f"{page}:{block.line}") for page in PAGES for block in blocks(page, "python")],
)
def test_every_program_runs(page: str, block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    exec(compile(block.text, f"{page}:{block.line}", "exec"), {"__name__": "__main__"})


def test_the_lifecycle_is_drawn_from_its_table() -> None:
    spec = importlib.util.spec_from_file_location("print_lifecycles", ROOT / "scripts" / "print_lifecycles.py")
    assert spec is not None
    assert spec.loader is not None
    scripts: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scripts)

    (picture,) = blocks("README.md", "mermaid")

    assert f"```mermaid\n{picture.text}```" == scripts.diagram(scripts.PATH)


def test_the_page_of_the_application_lists_every_command() -> None:
    text = (ROOT / "ledger/README.md").read_text(encoding="utf-8")

    assert BEGIN in text
    assert text.split(BEGIN)[1].split(END)[0].strip() == command_table()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")

    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page} points to {target}"


@pytest.mark.parametrize("package", ["aggregates", "projections", "ledger"])
def test_every_package_says_what_it_owns_and_why(package: str) -> None:
    text = (ROOT / package / "README.md").read_text(encoding="utf-8").lower()

    for part in ("owns", "refuses to own", "always holds", "how data passes through", "decisions"):
        assert re.search(rf"^## .*{part}", text, re.MULTILINE), f"{package}/README.md has no part {part!r}"


@pytest.mark.parametrize(
    ("shown", "said", "expected"),
    [
        ([], [], True),
        ([], ["more"], False),
        (["a"], ["a"], True),
        (["a"], ["b"], False),
        (["a", "…", "d"], ["a", "b", "c", "d"], True),
        (["a", "…", "d"], ["a", "b", "c"], False),
        (["…"], [], True),
    ],
)
def test_what_is_left_out_is_any_number_of_lines(shown: list[str], said: list[str], expected: bool) -> None:
    assert matches(shown, said) is expected


def command_table() -> str:
    """Every command and the first sentence of its help."""

    def below(command: Any, name: str) -> Iterator[str]:
        if hasattr(command, "commands"):
            for part, child in sorted(command.commands.items()):
                yield from below(child, f"{name} {part}")
        else:
            sentence = re.split(r"(?<=\.)\s", " ".join(command.help.split()))[0]
            yield f"| `{name}` | {sentence} |"

    rows = below(typer.main.get_command(main.build()), "ledger")
    return "\n".join(["| command | what it does |", "| --- | --- |", *rows])
