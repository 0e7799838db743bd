"""The face of the tables that hold views: pages of changes in, rows and positions out, generations side by side.

Each view has one **live** generation that answers queries, may have one being **built**, and keeps one
**previous** to go back to. Whoever writes takes the generation's lock and reads its position inside it, so of two
runners at the same page one writes and the other finds nothing to do: rows and position are one transaction, and an
event counts once. A reader sees all views as they stand at one moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from projections.projection import AnyProjection, Changes, Key, Projection, R, Row

Operator: TypeAlias = Literal["=", "<", "<=", ">", ">=", "in", "starts", "present", "absent"]


class Where(NamedTuple):
    """A condition on a row: a column, or several compared as one, and a value. What is null fulfils no comparison.

    `in` takes a sequence of values; `starts` the beginning of a text; `present` and `absent` ask for null and take
    no value.
    """

    column: str | tuple[str, ...]
    operator: Operator
    value: Any = None


class Status(StrEnum):
    """What a generation of a view is for."""

    LIVE = "live"
    BUILDING = "building"
    PREVIOUS = "previous"


class Generation(msgspec.Struct, frozen=True):
    """One copy of a view: written by that version of its fold, up to that position of the log."""

    name: str
    number: int
    version: int
    status: Status
    position: int

    @property
    def table(self) -> str:
        """The table it lies in."""
        return f"{self.name}__v{self.version}_{self.number}"


class GenerationGone(Exception):
    """The generation to be written is no longer there, because another rebuild replaced it: no error of a caller."""


class Writer(Protocol):
    """A generation under its lock, inside a transaction that ends with the `with` block."""

    @property
    def position(self) -> int:
        """Up to where the log is in it."""
        ...

    def load(self, keys: Sequence[Key]) -> Mapping[Key, Row]:
        """The stored rows of these keys; absent ones are left out."""
        ...

    def change(self, changes: Changes, position: int) -> None:
        """Write a page of changes and the position they go up to."""
        ...

    def append(self, rows: Sequence[Row], position: int) -> None:
        """Add rows that were not there, and the position they go up to."""
        ...


class Reader(Protocol):
    """All views as they stand at one moment."""

    def generation(self, name: str, status: Status) -> Generation | None:
        """The generation of a view that has that status."""
        ...

    def select(
        self,
        projection: Projection[R],
        where: Sequence[Where] = (),
        *,
        order: Sequence[str] = (),
        descending: bool = False,
        limit: int | None = None,
    ) -> list[R]:
        """Rows of the live generation that fulfil all conditions."""
        ...

    def floors(
        self, projection: Projection[R], prefixes: Sequence[Mapping[str, Any]], column: str, bound: object
    ) -> list[R]:
        """For each prefix, the row with the greatest `column` not above the bound; those without are left out."""
        ...

    def rows(self, projection: AnyProjection, generation: Generation) -> Iterator[Row]:
        """All rows of a generation in the order of their keys, a few at a time in memory."""
        ...


class Tables(Protocol):
    """The tables of all views. Safe to share between threads. Raises `Unavailable` when there is no answer."""

    def prepare(self, projections: Sequence[AnyProjection]) -> None:
        """Make what is missing: an empty live generation for every view that has none."""
        ...

    def generations(self) -> list[Generation]:
        """All generations of all views."""
        ...

    def writing(self, projection: AnyProjection, generation: Generation) -> AbstractContextManager[Writer]:
        """Take the generation's lock. Raises `GenerationGone`."""
        ...

    def reading(self) -> AbstractContextManager[Reader]:
        """Read all views as they stand now."""
        ...

    def begin(self, projection: AnyProjection) -> Generation:
        """Start a new generation, in the place of any that somebody else was building."""
        ...

    def finish(self, projection: AnyProjection, generation: Generation) -> None:
        """Give a built generation the indexes that queries need."""
        ...

    def swap(self, projection: AnyProjection, generation: Generation) -> bool:
        """Make the built generation the live one and the live one the previous, in one transaction.

        False, and nothing done, when the live one has meanwhile seen more of the log. Raises `GenerationGone`.
        """
        ...

    def roll_back(self, projection: AnyProjection) -> Generation | None:
        """Make the previous generation the live one again, and the live one the previous. None without a previous."""
        ...

    def drop(self, generation: Generation) -> None:
        """Throw a generation away that is not live."""
        ...

    def close(self) -> None:
        """Give connections back. May be called twice."""
        ...
