"""New ids: UUIDv7, sortable by creation, strictly rising within a process (decision 15).

48 bits of milliseconds, then 12 bits that count the ids of one millisecond, then 62 random bits. When the clock steps
back or the count is used up, the milliseconds are carried on from the last id, so that ids still rise.
"""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_COUNTS = 1 << 12
_RANDOM = (1 << 62) - 1


class Mint:
    """A source of UUIDv7s. Safe to share between threads; two processes stay apart by their random bits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def __call__(self) -> UUID:
        """A new id, greater than every id minted here before."""
        now = time.time_ns() // 1_000_000 * _COUNTS
        with self._lock:
            # Milliseconds and count are one number: a full count runs over into the next millisecond by itself.
            self._last = last = max(now, self._last + 1)
        milliseconds, count = divmod(last, _COUNTS)
        random = int.from_bytes(os.urandom(8)) & _RANDOM
        return UUID(int=milliseconds << 80 | _VERSION | count << 64 | _VARIANT | random)


uuid7 = Mint()
"""The ids of this process."""
