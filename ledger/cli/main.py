"""`ledger`: the groups of commands put together, and every way out of the program.

Whatever a command raises ends here: errors of the ledger by the table of `exits`, a command line that cannot be
read with a pointer to its help, Ctrl-C and a reader that went away in silence.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated, Any, cast

import typer
import typer.main
from rich.console import RenderableType

from aggregates.values.errors import LedgerError
from aggregates.values.texts import why_unkeepable
from ledger.cli import (
    advancing,
    audit,
    catalogue,
    charges,
    customers,
    demo,
    doctor,
    exits,
    invoices,
    outside,
    projections,
    render,
    setup,
    statements,
    usage,
    views,
)
from ledger.cli import credits as credit

UsageMistake = cast("type[Exception]", typer.BadParameter.__base__)
"""What typer raises for a command line it cannot read; it has no public name of its own."""

GROUPS: dict[str, tuple[typer.Typer, str]] = {
    "customer": (customers.app, "Who is billed, and how."),
    "meter": (catalogue.meters, "How usage events become one quantity."),
    "feature": (catalogue.features, "What is sold."),
    "currency": (catalogue.currencies, "Custom currencies, such as credits or tokens."),
    "usage": (usage.app, "What was used."),
    "credit": (credit.app, "Credit that customers have."),
    "charge": (charges.app, "What customers are charged for."),
    "invoice": (invoices.app, "What customers are asked to pay."),
    "outside": (outside.app, "Invoices that another system makes."),
    "settings": (setup.settings, "What holds for the whole namespace: policies, billing profile, tax codes."),
    "period": (statements.periods, "Months whose books are closed."),
    "worker": (advancing.worker, "What has to happen as time passes."),
    "projections": (projections.app, "The views: how fresh they are, and how to make them anew."),
}
ALONE = (setup.app, demo.app, advancing.app, views.app, statements.app, audit.app, doctor.app, projections.alone)


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        name="ledger",
        help="An event-sourced ledger for usage-based billing. Start with `ledger demo` or `ledger init`.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    app.callback()(_options)
    for alone in ALONE:
        app.registered_commands.extend(alone.registered_commands)
    for name, (group, words) in GROUPS.items():
        app.add_typer(group, name=name, help=words, no_args_is_help=True)
    return app


def _say_version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        render.tell(f"ledger {metadata.version('ledger-core')}")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """Options of the program itself; the callback of each does what it is for."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the answer is its exit code."""
    as_json = "--json" in arguments
    unreadable = next((argument for argument in arguments if why_unkeepable(argument)), None)
    if unreadable is not None:
        return _usage(typer.BadParameter(f"{unreadable!a} is not UTF-8 text"), as_json=as_json)
    try:
        code: Any = typer.main.get_command(build()).main(list(arguments), prog_name="ledger", standalone_mode=False)
    except LedgerError as error:
        _complain(exits.as_data(error), exits.as_text(error), as_json=as_json)
        return exits.way_of(type(error)).exit_code
    except UsageMistake as error:
        return _usage(error, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return exits.INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # Nobody reads on: typer answers a broken pipe with `sys.exit(1)`, and 1 is for a broken history alone. The
        # interpreter's own last flush would complain of the pipe as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.READER_WENT_AWAY
    return code if isinstance(code, int) else 0


def main() -> None:
    """The program `ledger`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no dashes gets question marks, not an error
    sys.exit(run(sys.argv[1:]))


def _usage(error: Any, *, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(error.format_message())
        return exits.USAGE
    message, place = error.format_message(), context.command_path if context is not None else "ledger"
    _complain(exits.usage_data(message, place), exits.usage_text(message, place), as_json=as_json)
    return exits.USAGE


def _complain(data: object, parts: tuple[RenderableType, ...], *, as_json: bool) -> None:
    if as_json:
        render.complain_json(data)
    else:
        render.complain(*parts)


if __name__ == "__main__":
    main()
