"""`ledger outside`: invoices that another system makes, told and handed over by programs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from aggregates.values.errors import Unavailable
from ledger.cli import parse, render
from ledger.cli.charge_words import show_charge
from ledger.cli.render import Column, Shown
from ledger.cli.session import Session, command

app = typer.Typer()

INSIDE = "Invoices are made inside; `ledger settings policy invoicing=outside` has another system make them."


@command(app, "tell", writes=True)
def tell(
    session: Session,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help='JSON: {"type": "line_created", "customer", "charge_id", …}; - reads it.'),
    ],
) -> Shown:
    """Tell a charge what its invoice outside did: a line was made, collected, issued, paid and so on.

    The types and fields are those of `aggregates.invoices.effects`. Telling the same again changes nothing.
    """
    from ledger.notices import read_notice

    notice = read_notice(parse.document(file, "FILE"))
    return show_charge(session.ledger.outside.tell(notice, command_id=session.command_id))


@command(app, "waiting")
def waiting(session: Session) -> Shown:
    """List what waits to be handed to the invoicing system outside, in the order of the log."""
    outside = session.ledger.outside
    found = list(render.all_pages(lambda after: outside.waiting(after=after)))
    columns = ("effect", "customer", "at", "charge", Column("version", right=True))
    rows = [(_name(each), each.customer, each.at, each.charge, each.version) for each in found]
    empty = "Nothing waits to be handed over." if outside.is_used else INSIDE
    return Shown([_effect_data(each) for each in found], (render.table(columns, rows, empty=empty),))


@command(app, "deliver", goes_on=True)
def deliver(
    session: Session,
    program: Annotated[
        list[str], typer.Argument(metavar="PROGRAM...", help="What takes an effect on its standard input, as JSON.")
    ],
) -> Shown:
    """Hand over what waits: PROGRAM is run for each effect, in the order of the log, and takes it by ending with 0.

    What it does not take is handed over first the next time, so it may come twice: `charge` and `version` together say
    which effect it is. Write `--` before a program that has options of its own.
    """
    outside = session.ledger.outside
    if shutil.which(program[0]) is None:
        raise typer.BadParameter(f"PROGRAM {program[0]!r} is no program that can be run")
    delivered = outside.deliver(_Program(program))
    words = f"{delivered} {'effect' if delivered == 1 else 'effects'} handed over." if outside.is_used else INSIDE
    return Shown({"delivered": delivered}, (render.done(words),))


class _Program:
    """An invoicing system that is a program: run once for each effect."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def deliver(self, effect: Any) -> None:
        """Run it, its output beside ours. Raises `Unavailable` where it ends with anything but 0."""
        told = render.to_json_line(_effect_data(effect)) + "\n"
        # It is the program that whoever calls us named, and no shell reads its words.
        done = subprocess.run(self._words, input=told, text=True, check=False, stdout=2)  # noqa: S603
        if done.returncode != 0:
            raise Unavailable("the invoicing system outside", f"{self._words[0]} ended with {done.returncode}")


def _name(effect: Any) -> str:
    """What is asked: `gathering_line_requested`."""
    name: str = effect.body.NAME
    return name.split(".")[1]


def _effect_data(effect: Any) -> dict[str, object]:
    """An effect for programs; its body stands under what it is."""
    return {"effect": _name(effect), **render.plain_data(effect)}
