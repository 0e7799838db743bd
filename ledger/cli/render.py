"""What the command line shows, and the only place that prints: tables and facts for people, JSON for programs.

A command answers with `Shown`: the data as it is, and how to lay it out for people. On a terminal that is coloured
and fits the window; in a pipe it is plain text, never wrapped and never cut. Under `--json` the data alone is
printed: decimals as text, times as RFC 3339 in UTC, ids as text. Problems and progress go to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from io import StringIO
from typing import Any, NamedTuple, Protocol, TextIO, TypeVar, cast

import msgspec
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from aggregates.values.decimals import text as plain_decimal
from aggregates.values.money import Currency, Money

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

PIPE_WIDTH = 4000
"""Columns of a pipe: wide enough that no cell is ever folded there."""

WORDS_WIDTH = 24
"""Columns that words get at least; with fewer, a table is laid out as one row below the other."""

Advance = Callable[[int, int | None], None]
"""How far a long piece of work is: done, and of how many if that is known."""


ALREADY_SAID = object()
"""The data of an answer that was printed line by line while the command went on."""


class Shown(NamedTuple):
    """The answer of a command: `data` for programs, `parts` for people, and the exit code that goes with it."""

    data: object
    parts: tuple[RenderableType, ...] = ()
    exit_code: int = 0


class Column(NamedTuple):
    """A column of a table.

    `right`: numbers stand to the right, so that their points are below one another. `words`: what may be folded where
    the window is narrow; ids, times and numbers never are.
    """

    head: str
    right: bool = False
    words: bool = False


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────


def amount(value: Decimal, currency: Currency) -> str:
    """An amount at the precision of its currency: 20 USD is "20.00". What has more decimals keeps them."""
    if currency.holds(value):
        return f"{currency.rounded(value):f}"
    return plain_decimal(value)


def money(value: Decimal, currency: Currency) -> str:
    """An amount and the code of its currency: "20.00 USD"."""
    return f"{amount(value, currency)} {currency.code}"


def period(from_: datetime, to: datetime) -> str:
    """A half-open period, from and to."""
    return f"{_in_table(from_)} – {_in_table(to)}"


def moment(value: datetime) -> str:
    """A time in UTC, RFC 3339; fractions of a second only where there are any."""
    return value.astimezone(UTC).isoformat(timespec="auto").replace("+00:00", "Z")


def cell(value: object) -> str:
    """Any value as people read it; nothing there is a dash."""
    match value:
        case None | "" | ():
            return "–"
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return plain_decimal(value)
        case datetime():
            return moment(value)
        case Money():
            return money(value.amount, value.currency)
        case Currency():
            return value.code
        case Enum():
            return str(value.value)
        case str():
            return value
        case Mapping():
            return ", ".join(f"{key}={cell(item)}" for key, item in cast("Mapping[object, object]", value).items())
        case tuple() | list() | set() | frozenset():
            return ", ".join(cell(item) for item in cast("Iterable[object]", value))
        case _:
            return str(value)


def plain_data(value: object) -> Any:
    """Any answer as JSON has it: decimals plain text, times UTC, enums their values, structs objects."""
    match value:
        case None | bool() | int() | str() if not isinstance(value, Enum):
            return value
        case Enum():
            return plain_data(value.value)
        case Decimal():
            return plain_decimal(value)
        case datetime():
            return moment(value)
        case msgspec.Raw():
            return msgspec.json.decode(value)
        case msgspec.Struct():
            return _struct_data(value)
        case Mapping():
            return {cell(key): plain_data(item) for key, item in cast("Mapping[object, object]", value).items()}
        case tuple() if hasattr(cast("object", value), "_asdict"):
            return plain_data(cast("Any", value)._asdict())
        case tuple() | list() | set() | frozenset():
            return [plain_data(item) for item in cast("Iterable[object]", value)]
        case _ if hasattr(value, "__dataclass_fields__"):
            return {name: plain_data(getattr(value, name)) for name in cast("Any", value).__dataclass_fields__}
        case _:
            return str(value)


def _struct_data(value: msgspec.Struct) -> dict[str, Any]:
    kind = type(value)
    out: dict[str, Any] = {}
    tag = kind.__struct_config__.tag
    if tag is not None:
        out[kind.__struct_config__.tag_field or "type"] = tag
    for name, encoded in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        out[encoded] = plain_data(getattr(value, name))
    return out


def to_json(data: object) -> str:
    """The JSON text of an answer, laid out to be read."""
    return msgspec.json.format(msgspec.json.encode(plain_data(data)), indent=2).decode()


class Page(Protocol[T_co]):
    """A part of a listing."""

    @property
    def items(self) -> Sequence[T_co]:
        """What is on it."""
        ...

    @property
    def next(self) -> str | None:
        """What continues it; nothing on the last part."""
        ...


def all_pages(page: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """Everything on a listing, page by page."""
    after = None
    while True:
        part = page(after)
        yield from part.items
        if part.next is None:
            return
        after = part.next


def to_json_line(data: object) -> str:
    """The same on one line, for what comes one after the other."""
    return msgspec.json.encode(plain_data(data)).decode()


# ── layout ───────────────────────────────────────────────────────────────────────────────────────────────────


def table(columns: Sequence[Column | str], rows: Iterable[Sequence[object]], *, empty: str) -> RenderableType:
    """A table, or a sentence where there is nothing in it."""
    whole = [column if isinstance(column, Column) else Column(column) for column in columns]
    texts = [[_in_table(value) for value in row] for row in rows]
    return Rows(whole, texts) if texts else Text(empty, style="dim")


class Rows:
    """Rows of text below their heads; in a window too narrow for that, one below the other."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        self._columns = columns
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        grid = self._grid()
        needed = Measurement.get(console, options.update(max_width=PIPE_WIDTH), grid).minimum
        yield grid if needed <= options.max_width else self._cards()

    def _grid(self) -> Table:
        out = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
        for number, (head, right, words) in enumerate(self._columns):
            longest = max(cell_len(text) for text in (head, *(row[number] for row in self._rows)))
            out.add_column(
                Text(head),
                justify="right" if right else "left",
                overflow="fold",
                no_wrap=not words,
                min_width=min(longest, WORDS_WIDTH) if words else longest,
            )
        for row in self._rows:
            out.add_row(*(_styled(value, column) for value, column in zip(row, self._columns, strict=True)))
        return out

    def _cards(self) -> Table:
        """The first column as a title, the others below it, name and value."""
        out = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
        out.add_column(style="dim", no_wrap=True)
        out.add_column(overflow="fold")
        for row in self._rows:
            for column, value in zip(self._columns, row, strict=True):
                style = "bold" if column is self._columns[0] else ""
                out.add_row(Text(column.head), Text(value, style=style) if style else _styled(value, column))
            if row is not self._rows[-1]:
                out.add_row("", "")
        return out


def facts(title: str, values: Mapping[str, object]) -> RenderableType:
    """One thing and what there is to know about it, a line each."""
    out = Table(box=None, show_header=False, pad_edge=False, title_justify="left", title=Text(title, style="bold"))
    out.add_column(style="dim", no_wrap=True)
    out.add_column(overflow="fold")
    for label, value in values.items():
        out.add_row(Text(label), Text(cell(value)))
    return out


def heading(words: str) -> Text:
    """The heading of a part."""
    return Text(words, style="bold cyan")


def note(words: str) -> Text:
    """Something by the way."""
    return Text(words, style="dim")


def done(words: str) -> Text:
    """That something went well."""
    return Text(words, style="green")


def bad(words: str) -> Text:
    """That something did not."""
    return Text(words, style="bold red")


def _in_table(value: object) -> str:
    """As `cell`, with times as short as they can be: midnight is a date, a whole minute has no seconds."""
    if not isinstance(value, datetime):
        return cell(value)
    whole = value.astimezone(UTC)
    if (whole.second, whole.microsecond) != (0, 0):
        return moment(value)
    return whole.strftime("%Y-%m-%d" if (whole.hour, whole.minute) == (0, 0) else "%Y-%m-%dT%H:%MZ")


def _styled(words: str, column: Column) -> Text:
    return Text(words, style="red" if column.right and words.startswith("-") else "")


# ── printing ─────────────────────────────────────────────────────────────────────────────────────────────────


def show(shown: Shown, *, as_json: bool) -> None:
    """Print an answer on standard output."""
    if not as_json:
        tell(*shown.parts)
    elif shown.data is not ALREADY_SAID:
        sys.stdout.write(to_json(shown.data) + "\n")
    sys.stdout.flush()


def tell(*parts: RenderableType) -> None:
    """Print parts for people on standard output."""
    _print(parts, sys.stdout)


def tell_json_line(data: object) -> None:
    """Print data for programs on a line of standard output, at once."""
    sys.stdout.write(to_json_line(data) + "\n")
    sys.stdout.flush()


def complain(*parts: RenderableType) -> None:
    """Print parts for people on standard error."""
    _print(parts, sys.stderr)


def complain_json(data: object) -> None:
    """Print an error for programs on standard error."""
    sys.stderr.write(to_json(data) + "\n")


def _print(parts: Iterable[RenderableType], file: TextIO) -> None:
    if file.isatty():
        Console(file=file, highlight=False).print(*parts, sep="\n")
        return
    # Rich pads every line to the width of its table; what goes into a pipe has no blanks at its ends.
    page = StringIO()
    Console(file=page, width=PIPE_WIDTH, color_system=None, highlight=False).print(*parts, sep="\n")
    file.writelines(line.rstrip() + "\n" for line in page.getvalue().splitlines())


@contextmanager
def progress(what: str, *, quiet: bool) -> Generator[Advance]:
    """A bar on standard error while something long goes on; nothing in a pipe or under `--json`."""
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _of: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, of: int | None) -> None:
            bar.update(task, completed=done, total=of)

        yield advance
