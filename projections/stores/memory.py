"""Views in memory: for tests, trials, and for folding a second time to compare with what is stored."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

from msgspec.structs import replace

from aggregates.values.errors import Unavailable
from projections.projection import AnyProjection, Changes, Key, Projection, R, Row
from projections.stores.tables import Generation, GenerationGone, Status, Where


class Contents:
    """The rows of one generation by key, and the indexes that queries have asked for so far."""

    def __init__(self, projection: AnyProjection) -> None:
        self.rows: dict[Key, Row] = {}
        self._projection = projection
        self._indexes: dict[tuple[str, ...], tuple[list[int], dict[Key, dict[Key, None]]]] = {}

    def put(self, key: Key, row: Row | None) -> None:
        """Put a row in its place, or take it away."""
        before = self.rows.pop(key, None)
        if row is not None:
            self.rows[key] = row
        for places, index in self._indexes.values():
            if before is not None:
                index[tuple(before[place] for place in places)].pop(key, None)
            if row is not None:
                index.setdefault(tuple(row[place] for place in places), {})[key] = None

    def with_values(self, equal: Mapping[str, Any]) -> Iterable[Row]:
        """Rows that may have these values: those of the key, of the longest beginning of an index, or else all."""
        projection, rows = self._projection, self.rows
        if all(name in equal for name in projection.key):
            row = rows.get(tuple(equal[name] for name in projection.key))
            return () if row is None else (row,)
        names: tuple[str, ...] = ()
        for candidate in (projection.key, *projection.indexes, *projection.unique):
            beginning = tuple(takewhile(equal.__contains__, candidate))
            names = max(names, beginning, key=len)
        if not names:
            return rows.values()
        found = self._index(names).get(tuple(equal[name] for name in names), {})
        return [rows[key] for key in found]

    def _index(self, names: tuple[str, ...]) -> dict[Key, dict[Key, None]]:
        if names not in self._indexes:
            places = [self._projection.names.index(name) for name in names]
            index: dict[Key, dict[Key, None]] = {}
            for key, row in self.rows.items():
                index.setdefault(tuple(row[place] for place in places), {})[key] = None
            self._indexes[names] = places, index
        return self._indexes[names][1]


class MemoryTables:
    """Dictionaries under one lock."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._generations: dict[tuple[str, int], Generation] = {}
        self._contents: dict[tuple[str, int], Contents] = {}

    def prepare(self, projections: Sequence[AnyProjection]) -> None:
        """Make an empty live generation for every view that has none."""
        with self._lock:
            for projection in projections:
                if self.generation(projection.name, Status.LIVE) is None:
                    self._add(projection, Status.LIVE)

    def generations(self) -> list[Generation]:
        """All generations of all views."""
        with self._lock:
            return sorted(self._generations.values(), key=lambda each: (each.name, each.number))

    def generation(self, name: str, status: Status) -> Generation | None:
        """The generation of a view that has that status."""
        return next((each for each in self._generations.values() if each.name == name and each.status is status), None)

    @contextmanager
    def writing(self, projection: AnyProjection, generation: Generation) -> Generator[MemoryWriter]:
        """Take the lock of all views and write one."""
        with self._lock:
            place = (generation.name, generation.number)
            if place not in self._generations:
                raise GenerationGone(generation.table)
            writer = MemoryWriter(projection, self._contents[place], self._generations[place].position)
            yield writer
            writer.commit()
            self._generations[place] = replace(self._generations[place], position=writer.position)

    @contextmanager
    def reading(self) -> Generator[MemoryReader]:
        """Hold everything still while reading."""
        with self._lock:
            yield MemoryReader(self, self._contents)

    def begin(self, projection: AnyProjection) -> Generation:
        """Start a new generation, in the place of any other being built."""
        with self._lock:
            building = self.generation(projection.name, Status.BUILDING)
            if building is not None:
                self.drop(building)
            return self._add(projection, Status.BUILDING)

    def finish(self, projection: AnyProjection, generation: Generation) -> None:
        """Dictionaries need no index."""

    def swap(self, projection: AnyProjection, generation: Generation) -> bool:
        """Let built and live change places; see `Tables.swap`."""
        with self._lock:
            built = self._generations.get((generation.name, generation.number))
            live = self.generation(projection.name, Status.LIVE)
            if built is None:
                raise GenerationGone(generation.table)
            if live is not None and live.position > built.position:
                return False
            previous = self.generation(projection.name, Status.PREVIOUS)
            if previous is not None:
                self.drop(previous)
            if live is not None:
                self._set_status(live, Status.PREVIOUS)
            self._set_status(built, Status.LIVE)
            return True

    def roll_back(self, projection: AnyProjection) -> Generation | None:
        """Let live and previous change places."""
        with self._lock:
            live, previous = (
                self.generation(projection.name, Status.LIVE),
                self.generation(projection.name, Status.PREVIOUS),
            )
            if live is None or previous is None:
                return None
            self._set_status(live, Status.PREVIOUS)
            return self._set_status(previous, Status.LIVE)

    def drop(self, generation: Generation) -> None:
        """Throw a generation away."""
        with self._lock:
            self._generations.pop((generation.name, generation.number), None)
            self._contents.pop((generation.name, generation.number), None)

    def close(self) -> None:
        """Nothing to give back."""

    def _set_status(self, generation: Generation, status: Status) -> Generation:
        changed = replace(generation, status=status)
        self._generations[generation.name, generation.number] = changed
        return changed

    def _add(self, projection: AnyProjection, status: Status) -> Generation:
        number = 1 + max(
            (each.number for each in self._generations.values() if each.name == projection.name), default=0
        )
        generation = Generation(projection.name, number, projection.version, status, 0)
        self._generations[projection.name, number] = generation
        self._contents[projection.name, number] = Contents(projection)
        return generation


class MemoryWriter:
    """Collects what a page does and applies it when its block has ended without an error."""

    def __init__(self, projection: AnyProjection, contents: Contents, position: int) -> None:
        self._projection = projection
        self._contents = contents
        self._new: dict[Key, Row] = {}
        self._gone: list[Key] = []
        self.position = position

    def load(self, keys: Sequence[Key]) -> Mapping[Key, Row]:
        """The stored rows of these keys."""
        rows = self._contents.rows
        return {key: rows[key] for key in keys if key in rows}

    def change(self, changes: Changes, position: int) -> None:
        """Note a page of changes."""
        key_of = self._projection.key_of
        for row in (*changes.inserted, *changes.updated):
            self._new[key_of(row)] = row
        self._gone.extend(changes.removed)
        self.position = position

    def append(self, rows: Sequence[Row], position: int) -> None:
        """Note new rows."""
        key_of = self._projection.key_of
        self._new.update((key_of(row), row) for row in rows)
        self.position = position

    def commit(self) -> None:
        """Apply what was noted."""
        for key, row in self._new.items():
            self._contents.put(key, row)
        for key in self._gone:
            self._contents.put(key, None)


class MemoryReader:
    """Reads dictionaries."""

    def __init__(self, tables: MemoryTables, contents: Mapping[tuple[str, int], Contents]) -> None:
        self._tables = tables
        self._contents = contents

    def generation(self, name: str, status: Status) -> Generation | None:
        """The generation of a view that has that status."""
        return self._tables.generation(name, status)

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
        live = self._tables.generation(projection.name, Status.LIVE)
        if live is None:
            raise Unavailable(f"view {projection.name}", "it has never been prepared")
        equal = {each.column: each.value for each in where if each.operator == "=" and isinstance(each.column, str)}
        candidates: Iterable[Any] = self._contents[live.name, live.number].with_values(equal)
        found: list[R] = [row for row in candidates if _fulfils(projection, row, where)]
        by = order or projection.key
        places = [projection.names.index(name) for name in by]
        found.sort(key=lambda row: tuple(_sortable(row[place]) for place in places), reverse=descending)
        return found if limit is None else found[:limit]

    def floors(
        self, projection: Projection[R], prefixes: Sequence[Mapping[str, Any]], column: str, bound: object
    ) -> list[R]:
        """For each prefix, the row with the greatest `column` not above the bound."""
        found: list[R] = []
        for prefix in prefixes:
            where = [*(Where(name, "=", value) for name, value in prefix.items()), Where(column, "<=", bound)]
            found.extend(self.select(projection, where, order=(column,), descending=True, limit=1))
        return found

    def rows(self, projection: AnyProjection, generation: Generation) -> Iterator[Row]:
        """All rows of a generation in the order of their keys."""
        rows = self._contents[generation.name, generation.number].rows
        return iter([rows[key] for key in sorted(rows)])


def _fulfils(projection: Projection[Any], row: Row, where: Sequence[Where]) -> bool:
    for column, operator, value in where:
        if isinstance(column, str):
            have: Any = row[projection.names.index(column)]
            known = have is not None
        else:
            have = tuple(row[projection.names.index(name)] for name in column)
            known = None not in have
        match operator:
            case "present":
                holds = known
            case "absent":
                holds = not known
            case _ if not known:
                holds = False
            case "=":
                holds = have == value
            case "<":
                holds = have < value
            case "<=":
                holds = have <= value
            case ">":
                holds = have > value
            case ">=":
                holds = have >= value
            case "in":
                holds = have in value
            case "starts":
                holds = have.startswith(value)
        if not holds:
            return False
    return True


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is None, value if value is not None else 0)
