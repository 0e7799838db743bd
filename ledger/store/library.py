"""Between the event-sourcing library's records and ours, so that stock parts of it can work on our stores."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

from eventsourcing.persistence import Notification, StoredEvent

from ledger.store.store import LogRecord, NewRecord


def new_records(events: Sequence[StoredEvent]) -> list[NewRecord]:
    """What the library asks to be stored, with digests."""
    return [
        NewRecord(
            event.originator_id if isinstance(event.originator_id, UUID) else UUID(event.originator_id),
            event.originator_version,
            event.topic,
            event.state,
            sha256(event.state).digest(),
        )
        for event in events
    ]


def stored_event(row: LogRecord) -> StoredEvent:
    """A row as the library's repository reads it."""
    return StoredEvent(row.stream, row.version, row.name, row.data)


def notification(row: LogRecord) -> Notification:
    """A row as the library's followers read it."""
    return Notification(row.stream, row.version, row.name, row.data, id=row.position)
