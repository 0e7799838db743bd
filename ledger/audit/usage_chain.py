"""The check of stored usage as a whole: nothing of it is gone, was added, or says when or who it was otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias, TypeVar

from ledger.audit.check import Check, Evidence, UsageChunk
from ledger.metering.chain import BEGINNING, ChunkRecord, Link, chained
from ledger.metering.store import Head, UsageStore
from ledger.metering.usage import position_of

T = TypeVar("T")
_Part: TypeAlias = tuple[int, ChunkRecord | None, tuple[Link, ...]]

PAGE = 5_000
"""Records, and events, that are read at once."""


class UsageChunks(Check):
    """Every chunk of usage still holds what it stored, and none is gone (decision 16)."""

    name = "usage chunks"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._meter = ("", "")
        self._before = BEGINNING

    def chunk(self, chunk: UsageChunk) -> None:
        """Compare what is there with the record of the chunk, which goes on from the record before."""
        self.looked_at()
        head, record, found = chunk.head, chunk.record, len(chunk.links)
        if self._meter != head[:2]:
            self._meter, self._before = head[:2], BEGINNING
        place = f"usage of meter {head.meter!r} in chunk {chunk.position}, namespace {head.namespace}"
        if record is None:
            self.find(place, "chunk has no record", expected="a record of what it stored", found=f"{found} events")
            return
        if found != record.stored:
            message = "usage is missing" if found < record.stored else "usage was added"
            self.find(place, message, expected=f"{record.stored} events", found=f"{found} events")
        elif (again := chained(self._before, *record[:3], chunk.links)) != record:
            message = "chunk, or the one before it, is not what was stored"
            self.find(place, message, expected=record.digest.hex(), found=again.digest.hex())
        self._before = record.digest


def chunks(store: UsageStore, head: Head) -> Iterator[UsageChunk]:
    """All chunks of a meter in order, up to the head that was asked for before: what was written since is left out.

    A record is stored together with its events, and the head is a record's own, so that either is there when the other
    is. The head is among them even where nothing of it is left.
    """
    records = _all(lambda after: store.chunks(head, after, limit=PAGE), attrgetter("position"))
    links = _all(lambda after: store.links(head, after, limit=PAGE), attrgetter("place"))
    recorded: Iterator[_Part] = ((record.position, record, ()) for record in records)
    kept: Iterator[_Part] = (
        (position, None, tuple(of_chunk)) for position, of_chunk in groupby(links, lambda link: position_of(link.place))
    )
    last: list[_Part] = [(head.position, None, ())]
    parts = merge(recorded, kept, last, key=_position)
    for position, both in groupby(parts, _position):
        found: list[Link] = []
        record = None
        for _, known, more in both:
            record = known or record
            found += more
        yield UsageChunk(head, position, record, found)


def _position(part: _Part) -> int:
    return part[0]


def _all(page: Callable[[int], list[T]], at: Callable[[T], int]) -> Iterator[T]:
    after = 0
    while rows := page(after):
        yield from rows
        # A place that was tampered with must not make the reading stand still.
        after = max(at(rows[-1]), after + 1)
