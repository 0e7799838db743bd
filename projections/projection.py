"""What a view is: a name, a version, typed columns, and a pure fold from events to rows.

A **row** is a named tuple; its annotations are the columns. Three kinds of projection differ in how rows come about:

* `Keyed` has a key per row and a fold of one row: `keys(entry)` says which rows an event touches, `apply(row, entry,
  key)` what becomes of each (None: the row goes).
* `Folded` is for views whose rows depend on one another: its fold works on the `Rows` of the view at once, from what
  `effects(entry)` says an event does to each.
* `Appended` only ever adds: `rows(entry)` are the rows of an event, and no later event changes them.

Folds know nothing of SQL and ask nobody: the same log gives the same rows, today and in a year. Tables know nothing
of billing. An **entry** is an event with its place in the log: position and log time are authorities for ties and
for "as recorded by then" (decision 7).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache, cached_property
from operator import itemgetter
from types import NoneType, UnionType
from typing import (
    Any,
    Generic,
    NamedTuple,
    NewType,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

from aggregates.event import AnyRecorded

Row: TypeAlias = tuple[Any, ...]
"""A row in the order of its columns; the rows that folds make are named tuples."""

Key: TypeAlias = tuple[Any, ...]
"""The values of the key columns of a row."""

JsonText = NewType("JsonText", str)
"""A column of JSON that the fold writes as text and nobody looks into on the way."""


R = TypeVar("R", bound=Row)


class Kind(StrEnum):
    """What a column holds. Tables choose a type for each; what goes in comes out equal."""

    TEXT = "text"
    UUID = "uuid"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    """An exact decimal."""
    INSTANT = "instant"
    """An aware datetime, UTC, to the microsecond."""
    JSON_TEXT = "json_text"
    """JSON as text."""
    JSON = "json"
    """Lists, dictionaries, text and whole numbers, as Python has them."""


_KINDS: dict[object, Kind] = {
    str: Kind.TEXT,
    UUID: Kind.UUID,
    int: Kind.INTEGER,
    bool: Kind.BOOLEAN,
    Decimal: Kind.DECIMAL,
    datetime: Kind.INSTANT,
    JsonText: Kind.JSON_TEXT,
    list: Kind.JSON,
    dict: Kind.JSON,
}


class Column(NamedTuple):
    """A column of a view."""

    name: str
    kind: Kind
    nullable: bool


def columns_of(row: type[Row]) -> tuple[Column, ...]:
    """The columns that the annotations of a named tuple stand for: `amount: Decimal | None` is a nullable decimal."""
    return tuple(_column(name, hint) for name, hint in get_type_hints(row).items())


def _column(name: str, hint: object) -> Column:
    nullable = False
    if get_origin(hint) in (Union, UnionType):
        options = [option for option in get_args(hint) if option is not NoneType]
        nullable = len(options) < len(get_args(hint))
        hint = options[0]
    kind = _KINDS.get(get_origin(hint) or hint)
    if kind is None:
        raise TypeError(f"column {name}: {hint} is nothing a view can hold")
    return Column(name, kind, nullable)


def changed(row: R, changes: Mapping[str, Any]) -> R:
    """The row with other values in some columns: `_replace`, in a third of the time where rows are wide."""
    kind = type(row)
    places = _places(kind)
    values = list(row)
    for name, value in changes.items():
        values[places[name]] = value
    return cast("R", _tuple_of(kind, values))


_tuple_of: Any = cast("Any", tuple).__new__
"""What `_make` of a named tuple comes to, once it has counted the values."""


@cache
def _places(row: type[Row]) -> dict[str, int]:
    return {column.name: place for place, column in enumerate(columns_of(row))}


class Placed(NamedTuple):
    """The parts of an entry."""

    position: int
    log_time: datetime
    record: AnyRecorded


class Entry(Placed):
    """An event with its place in the log."""

    same: tuple[Key, Row | None, Row | None] | None = None
    """For views that fold alike: key and row that the last of them gave, and what became of it (`folded_alike`)."""


def folded_alike(fold: Callable[[R | None, Entry, Key], R | None]) -> Callable[[R | None, Entry, Key], R | None]:
    """A fold that several views share: who gives the very row that the one before gave has the very same answer."""

    def alike(row: R | None, entry: Entry, key: Key) -> R | None:
        same = entry.same
        if same is not None and same[1] is row and same[0] == key:
            return cast("R | None", same[2])
        after = fold(row, entry, key)
        entry.same = (key, row, after)
        return after

    return alike


# ── the rows of a view, while a page of events is folded ─────────────────────────────────────────────────────


Load = Callable[[Sequence[Key]], Mapping[Key, Row]]
"""The stored rows of these keys; absent ones are left out."""


class Changes(NamedTuple):
    """What a page did to a view: rows that are new, rows in the place of others, keys that are gone."""

    inserted: Sequence[Row]
    updated: Sequence[Row]
    removed: Sequence[Key]


class Cell:
    """The place of one row: what is there now (None: nothing), and whether the table has one there."""

    __slots__ = ("changed", "key", "row", "stored")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.row: Any = None
        self.stored = False
        self.changed = False


class Rows:
    """The rows of a view as the fold sees them: stored ones, and over them what was changed and is not written yet.

    `complete` says that every row
    there is has come by here, so that the table need not be asked: a rebuild begins like that, with nothing.
    """

    def __init__(self, load: Load, *, complete: bool = False) -> None:
        self._load = load
        self._complete = complete
        self._cells: dict[Key, Cell] = {}
        self._unknown: list[Cell] = []
        self._changed: list[Cell] = []

    def cell(self, key: Key) -> Cell:
        """The place of a key. Its row is there after the next `fetch`."""
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Cell(key)
            if not self._complete:
                self._unknown.append(cell)
        return cell

    @property
    def known(self) -> Callable[[Key], Cell | None]:
        """The place of a key that has come by, or None: what most keys of a page need, without `cell`."""
        return self._cells.get

    def fetch(self) -> None:
        """Ask the table, once, for the rows of all places that were named and are not known yet."""
        unknown, self._unknown = self._unknown, []
        if unknown:
            found = self._load([cell.key for cell in unknown])
            for cell in unknown:
                cell.row = found.get(cell.key)
                cell.stored = cell.row is not None

    def get(self, key: Key) -> Row | None:
        """The row of a key as it stands, or None."""
        cell = self.cell(key)
        self.fetch()
        return cell.row  # type: ignore[no-any-return]

    def put(self, cell: Cell, row: Row | None) -> None:
        """Put a row in its place, or take it away with None. The very row that was there changes nothing."""
        if row is not cell.row:
            cell.row = row
            if not cell.changed:
                cell.changed = True
                self._changed.append(cell)

    @property
    def gathered(self) -> int:
        """How many rows have changed since they were last written."""
        return len(self._changed)

    def all(self) -> list[tuple[Key, Row]]:
        """Every row at hand with its key, in the order of keys."""
        return sorted((cell.key, cell.row) for cell in self._cells.values() if cell.row is not None)

    def changes(self) -> Changes:
        """What has to be written so that the table has these rows."""
        changed = self._changed
        return Changes(
            [cell.row for cell in changed if cell.row is not None and not cell.stored],
            [cell.row for cell in changed if cell.row is not None and cell.stored],
            [cell.key for cell in changed if cell.row is None and cell.stored],
        )

    def written(self, keep: int) -> None:
        """The changes are in the table. Up to `keep` rows stay at hand for the pages to come."""
        for cell in self._changed:
            cell.stored = cell.row is not None
            cell.changed = False
        self._changed.clear()
        if len(self._cells) > keep:
            self._cells.clear()
            self._complete = False


# ── projections ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Projection(Generic[R]):
    """What every view declares.

    `name` and `version` are part of the stored position: a changed fold or column is a new version, built beside
    the old one. `listens` are the stored names of the events it folds; others are not even decoded. `shown_when`
    names a column that is null in rows which only prepare one and that people do not see.
    """

    name: str
    version: int
    row: type[R]
    key: tuple[str, ...]
    listens: frozenset[str]
    indexes: tuple[tuple[str, ...], ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    shown_when: str | None = None
    columns: tuple[Column, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", columns_of(self.row))
        unknown = {name for names in (self.key, *self.indexes, *self.unique) for name in names} - set(self.names)
        if unknown or any(self.column(name).nullable for name in self.key):
            raise TypeError(f"view {self.name}: key and indexes are made of its own columns, and a key is never null")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    @cached_property
    def make(self) -> Callable[[Iterable[Any]], R]:
        """A row from values in the order of the columns."""
        return cast("Callable[[Iterable[Any]], R]", getattr(self.row, "_make"))  # noqa: B009 - every named tuple's

    @cached_property
    def key_of(self) -> Callable[[Row], Key]:
        """The key of a row, as a tuple whatever its length."""
        places = [self.names.index(name) for name in self.key]
        if len(places) == 1:
            place = places[0]
            return lambda row: (row[place],)
        return itemgetter(*places)


@dataclass(frozen=True, kw_only=True)
class Updated(Projection[R]):
    """A view whose rows may change."""

    @abstractmethod
    def fold_page(self, rows: Rows, entries: Sequence[Entry]) -> None:
        """Fold a page as one delta: ask for all rows it touches at once, then fold in memory."""


@dataclass(frozen=True, kw_only=True)
class Keyed(Updated[R]):
    """A view that folds row by row."""

    keys: Callable[[Entry], Iterable[Key]]
    apply: Callable[[R | None, Entry, Key], R | None]

    def fold_page(self, rows: Rows, entries: Sequence[Entry]) -> None:
        """Fold a page as one delta: ask for all rows it touches at once, then fold in memory."""
        keys, apply, known, cell = self.keys, self.apply, rows.known, rows.cell
        touched = [(entry, known(key) or cell(key)) for entry in entries for key in keys(entry)]
        rows.fetch()
        put = rows.put
        for entry, place in touched:
            row = place.row
            after = apply(row, entry, place.key)
            if after is not row:
                put(place, after)


@dataclass(frozen=True, kw_only=True)
class Folded(Updated[R]):
    """A view whose rows depend on one another, or whose entries are worked out once for all rows they touch.

    `effects(entry)` says what an entry does to the row of each key; `folding(rows, entry, effects)` does it, with the
    place of each row at hand.
    """

    effects: Callable[[Entry], Mapping[Key, Any]]
    folding: Callable[[Rows, Entry, Sequence[tuple[Cell, Any]]], None]

    def fold_page(self, rows: Rows, entries: Sequence[Entry]) -> None:
        """Fold a page as one delta: ask for all rows it touches at once, then fold in memory."""
        effects, known, cell = self.effects, rows.known, rows.cell
        touched = [
            (entry, [(known(key) or cell(key), effect) for key, effect in effects(entry).items()]) for entry in entries
        ]
        rows.fetch()
        for entry, places in touched:
            self.folding(rows, entry, places)


@dataclass(frozen=True, kw_only=True)
class Appended(Projection[R]):
    """A view that only grows. `key` begins with the position, so that the order of rows is the order of the log."""

    rows: Callable[[Entry], Iterable[R]]

    def fold_page(self, entries: Iterable[Entry]) -> Iterator[R]:
        """The rows of a page of entries."""
        for entry in entries:
            yield from self.rows(entry)


AnyProjection: TypeAlias = Keyed[Any] | Folded[Any] | Appended[Any]
