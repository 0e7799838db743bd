"""When a run of usage is collected: a minute after its collection end, so that ingestion can catch up (§5.3)."""

from __future__ import annotations

from datetime import timedelta

from aggregates.values.period import Instant

COLLECTION_DELAY = timedelta(minutes=1)
"""How long after its collection end a run is collected (lifecycles §5.3)."""


def collected_after(collection_end: Instant) -> Instant:
    """From when on a run with that collection end can be collected."""
    return Instant(collection_end + COLLECTION_DELAY)


def newest_collection_end(now: Instant) -> Instant:
    """The latest collection end that can be collected now: everything stored before it is there to be read."""
    return Instant(now - COLLECTION_DELAY)
