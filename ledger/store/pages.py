"""Pages of the log, and how a generation of a view takes them in: while it follows, and while it is built.

Whoever **follows** writes each page in a transaction of its own, under the generation's lock, with the position read
inside. Whoever **builds** has the generation to himself: rows are folded in memory and written now and then, most of
them once; what was not written when it ends early is nobody's loss, because the next rebuild starts over.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from aggregates.event import AnyRecorded
from ledger.store.store import LogRecord
from projections.projection import AnyProjection, Appended, Entry, Key, Row, Rows
from projections.stores.tables import Generation, Tables

Decode = Callable[[str, bytes], AnyRecorded]

KEPT_ROWS = 200_000
"""Rows that a rebuild keeps at hand."""

WRITTEN_ROWS = 20_000
"""New and changed rows that a rebuild lets gather before it writes them."""

WRITTEN_SECONDS = 2
"""How long it lets them gather: others see by its position that it is alive."""


class Page:
    """Records of the log, decoded when first asked for and at most once. `last` is the position up to which it goes."""

    def __init__(self, after: int, records: Sequence[LogRecord], decode: Decode, last: int | None = None) -> None:
        self.after = after
        self.last = records[-1].position if last is None else last
        self._records = records
        self._decode = decode
        self._entries: dict[int, Entry] = {}
        self._chosen: dict[tuple[frozenset[str], int], Sequence[Entry]] = {}

    def entries(self, listens: frozenset[str], after: int) -> Sequence[Entry]:
        """The entries with these stored names above a position; chosen once for views that listen to the same."""
        chosen = self._chosen.get((listens, after))
        if chosen is None:
            chosen = self._chosen[listens, after] = self._choose(listens, after)
        return chosen

    def _choose(self, listens: frozenset[str], after: int) -> list[Entry]:
        known, decode, found = self._entries, self._decode, list[Entry]()
        for record in self._records:
            if record.name in listens and record.position > after:
                entry = known.get(record.position)
                if entry is None:
                    entry = Entry(record.position, record.log_time, decode(record.name, record.data))
                    known[record.position] = entry
                found.append(entry)
        return found

    def forget(self) -> None:
        """Let go of what was decoded."""
        self._entries.clear()
        self._chosen.clear()


class Following:
    """A generation that others may write too: one transaction a page, exactly once."""

    def __init__(self, tables: Tables, projection: AnyProjection, generation: Generation) -> None:
        self._tables = tables
        self.projection = projection
        self.generation = generation
        self.position = generation.position

    def fold(self, page: Page) -> None:
        """Fold a page, unless somebody else did."""
        projection = self.projection
        with self._tables.writing(projection, self.generation) as writer:
            if not page.after <= writer.position < page.last:
                self.position = writer.position  # somebody else folded it, or went back behind it
                return
            entries = page.entries(projection.listens, writer.position)
            if isinstance(projection, Appended):
                writer.append(list(projection.fold_page(entries)), page.last)
            else:
                rows = Rows(writer.load)
                projection.fold_page(rows, entries)
                writer.change(rows.changes(), page.last)
        self.position = page.last


class Building:
    """A generation of our own, from the first event on."""

    def __init__(self, tables: Tables, projection: AnyProjection) -> None:
        self._tables = tables
        self.projection = projection
        self.generation = tables.begin(projection)
        self.position = 0
        self._rows = Rows(self._load, complete=True)
        self._added: list[Row] = []
        self._written_at = time.monotonic()

    def fold(self, page: Page) -> None:
        """Fold a page in memory, and write what has gathered when it is much or long ago."""
        projection = self.projection
        entries = page.entries(projection.listens, self.position)
        if isinstance(projection, Appended):
            self._added.extend(projection.fold_page(entries))
        else:
            projection.fold_page(self._rows, entries)
        self.position = page.last
        gathered = len(self._added) + self._rows.gathered
        if gathered >= WRITTEN_ROWS or time.monotonic() - self._written_at > WRITTEN_SECONDS:
            self.write()

    def write(self) -> None:
        """Write what has gathered, and the position."""
        with self._tables.writing(self.projection, self.generation) as writer:
            if isinstance(self.projection, Appended):
                writer.append(self._added, self.position)
            else:
                writer.change(self._rows.changes(), self.position)
        self._added = []
        self._rows.written(KEPT_ROWS)
        self._written_at = time.monotonic()

    def _load(self, keys: Sequence[Key]) -> Mapping[Key, Any]:
        with self._tables.writing(self.projection, self.generation) as writer:
            return writer.load(keys)


@contextmanager
def without_cycle_collection() -> Generator[None]:
    """Let the collector of cycles rest: events and rows have none, and it would walk them all over and over.

    It halves the time of folding a page. What is counted by reference is freed as ever.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
