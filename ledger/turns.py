"""Turns: threads of one process that want the same customer's streams, once one of them has lost a race for them.

The store decides who was first, and whoever was not decides again: that alone is right, but of many threads after one
customer most decide in vain. So whoever lost takes a turn with the others of his process, and newcomers line up behind
while anybody does. Other processes are met in the store as ever; nobody waits where nobody races.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager


class _Line:
    """Those who wait for a turn, and the one whose turn it is."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.length = 0


class Turns:
    """One line per key, there as long as somebody stands in it. Safe to share between threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._lines: dict[object, _Line] = {}

    @contextmanager
    def taken(self, key: object, *, lost: bool) -> Generator[None]:
        """Have one's turn for a key; at once when nobody lines up for it and no race was lost yet."""
        with self._mutex:
            line = self._lines.get(key)
            if line is None and lost:
                line = self._lines[key] = _Line()
            if line is not None:
                line.length += 1
        if line is None:
            yield
            return
        try:
            with line.turn:
                yield
        finally:
            with self._mutex:
                line.length -= 1
                if not line.length:
                    del self._lines[key]
