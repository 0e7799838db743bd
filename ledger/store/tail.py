"""Following the log: pages as they come. A hint wakes a follower early; polling is the floor it never depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event

from aggregates.values.errors import Unavailable
from ledger.store.store import LogRecord

PAGE = 2_000
POLL_SECONDS = 0.1
OUTAGE_SECONDS = 0.5


class Hints:
    """Events that appends of this process set, one per follower."""

    def __init__(self) -> None:
        self._waiting: set[Event] = set()

    def listen(self, hint: Event) -> None:
        """Wake this one from now on."""
        self._waiting.add(hint)

    def unlisten(self, hint: Event) -> None:
        """Wake it no longer."""
        self._waiting.discard(hint)

    def ring(self) -> None:
        """Something was appended."""
        for hint in tuple(self._waiting):
            hint.set()


def tail(
    read: Callable[[int, int], list[LogRecord]], hints: Hints, after: int, stop: Event | None
) -> Iterator[list[LogRecord]]:
    """Pages above a position until `stop` is set; an outage of the store is waited out."""
    hint = Event()
    hints.listen(hint)
    try:
        while stop is None or not stop.is_set():
            # Cleared before reading: an append that comes after the read sets it again.
            hint.clear()
            try:
                page = read(after, PAGE)
            except Unavailable:
                hint.wait(OUTAGE_SECONDS)
                continue
            if page:
                after = page[-1].position
                yield page
            else:
                hint.wait(POLL_SECONDS)
    finally:
        hints.unlisten(hint)
