"""One run of one command: the options that every command has, the open ledger, and what a dry run would have written.

A command is a function from a `Session` and its own arguments to `Shown`. `command` registers it, adds the shared
options, opens the ledger around it and prints what it answers; so no command opens, prints or catches anything.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, NamedTuple, ParamSpec

import typer
from rich.console import RenderableType

from ledger.cli import parse, render
from ledger.cli.render import Advance, Shown
from ledger.cli.shared import Shared

if TYPE_CHECKING:
    from ledger.facade import Ledger

P = ParamSpec("P")

DEFAULT_DB = "sqlite:///ledger.db"
PANEL = "Options of every command"


class Options(NamedTuple):
    """The shared options as they were given."""

    db: str = DEFAULT_DB
    namespace: str = "default"
    now: str | None = None
    json: bool = False
    dry_run: bool = False
    command_id: str | None = None
    actor: str = "cli"


class Session:
    """An open ledger and how this command was called."""

    def __init__(self, ledger: Ledger, options: Options) -> None:
        self.ledger = ledger
        self.options = options

    @property
    def command_id(self) -> str | None:
        """What makes a retry of this command safe, if the caller gave it."""
        return self.options.command_id

    def progress(self, what: str) -> AbstractContextManager[Advance]:
        """A progress bar where somebody is watching."""
        return render.progress(what, quiet=self.options.json)


def _option(name: str, kind: Any, default: object, *flags: str, **more: Any) -> inspect.Parameter:
    annotation = Annotated[kind, typer.Option(*flags, rich_help_panel=PANEL, **more)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_ALWAYS = (
    _option(
        "db",
        str,
        DEFAULT_DB,
        "--db",
        metavar="URL",
        envvar="LEDGER_URL",
        help="The database: sqlite:///file.db, postgresql://… or the path of a file.",
    ),
    _option(
        "namespace", str, "default", "--namespace", envvar="LEDGER_NAMESPACE", help="Whose ledger of the database."
    ),
    _option(
        "now", str | None, None, "--now", metavar="TIME", help="Pretend it is this time, for trials: 2026-02-03T00:01Z."
    ),
    _option("json", bool, False, "--json", help="Print JSON, with decimals as text."),
)
_TRYING = (_option("dry_run", bool, False, "--dry-run", help="Show what would be written, and write nothing."),)
_ACTING = (_option("actor", str, "cli", "--actor", envvar="LEDGER_ACTOR", help="Who does this, for the history."),)
_WRITING = (
    _option(
        "command_id",
        str | None,
        None,
        "--command-id",
        metavar="ID",
        help="Your id of this command: sent again, it is answered as before and not carried out twice.",
    ),
    *_ACTING,
)


def command(
    app: typer.Typer,
    name: str,
    *,
    writes: bool = False,
    tries: bool = False,
    creates: bool = False,
    goes_on: bool = False,
) -> Callable[[Callable[Concatenate[Session, P], Shown]], Callable[Concatenate[Session, P], Shown]]:
    """Register a command.

    `writes`: it appends events, and can be tried with --dry-run and repeated with --command-id. `tries`: it can be
    tried. `creates`: it makes the database where there is none; every other command wants one that is there.
    `goes_on`: it appends events until it is stopped, so there is no one command to try or to repeat. An argument that
    is `Shared` stands for all of its options.
    """
    shared = _ALWAYS + (_TRYING if writes or tries else ()) + (_WRITING if writes else _ACTING if goes_on else ())

    def register(function: Callable[Concatenate[Session, P], Shown]) -> Callable[Concatenate[Session, P], Shown]:
        def run(**given: Any) -> int:
            options = Options(**{parameter.name: given.pop(parameter.name) for parameter in shared})
            given |= {name: kind.taken_from(given) for name, kind in together.items()}
            with session(options, create=creates and not options.dry_run) as opened:
                shown = _carry_out(function, opened, given)
            render.show(shown, as_json=options.json)
            return shown.exit_code

        _, *taken = inspect.signature(function, eval_str=True).parameters.values()
        together: dict[str, type[Shared]] = {
            each.name: each.annotation
            for each in taken
            if isinstance(each.annotation, type) and issubclass(each.annotation, Shared)
        }
        own = [option for each in taken for option in _options_of(each, together.get(each.name))]
        app.command(name)(_as_function(run, function.__name__, function.__doc__, [*own, *shared]))
        return function

    return register


@contextmanager
def session(options: Options, *, create: bool) -> Generator[Session]:
    """Open the ledger that the options name."""
    from ledger import Ledger, SettableClock

    clock = None
    if options.now is not None:
        parse.moment(options.now, "--now")
        clock = SettableClock(options.now)
    with Ledger.open(
        parse.database(options.db), clock=clock, namespace=options.namespace, actor=options.actor, create=create
    ) as ledger:
        yield Session(ledger, options)


def _carry_out(function: Callable[..., Shown], opened: Session, given: dict[str, Any]) -> Shown:
    if not opened.options.dry_run:
        return function(opened, **given)
    with opened.ledger.dry_run() as trial:
        shown = function(Session(trial, opened.options), **given)
        events = [_event(record) for record in trial.events]
    columns = ("event", "stream", "version", "at")
    rows = [[event[column] for column in columns] for event in events]
    told: list[RenderableType] = ["", render.heading("Dry run: nothing was written.")]
    told += ["These events would have been:", render.table(columns, rows, empty="")] if rows else []
    return Shown({"dry_run": True, "answer": shown.data, "events": events}, (*shown.parts, *told), shown.exit_code)


def _options_of(parameter: inspect.Parameter, together: type[Shared] | None) -> list[inspect.Parameter]:
    return together.parameters() if together is not None else [parameter]


def _event(record: Any) -> dict[str, object]:
    return {
        "event": record.body.NAME,
        "stream": record.stream,
        "version": record.version,
        "at": record.at,
        "body": record.body,
    }


def _as_function(
    run: Callable[..., int], name: str, words: str | None, parameters: list[inspect.Parameter]
) -> Callable[..., int]:
    """`run` under the name, words and parameters that typer is to see."""

    def seen(*args: Any, **kwargs: Any) -> int:
        return run(*args, **kwargs)

    seen.__name__ = seen.__qualname__ = name
    seen.__doc__ = words
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    seen.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    seen.__annotations__ = {p.name: p.annotation for p in keyword}
    return seen
