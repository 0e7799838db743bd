"""What a save claims, made plain: which versions streams must stand at, and which keys it wants to hold.

The stores check these claims under their append lock before they write anything, so that a lost race costs nothing
and leaves no gap in the positions. Pure functions, shared by the three builds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from ledger.store.store import ChargeIndexRow, Receipt, Reservation, Save


class Hold(NamedTuple):
    """What a save does to a key: `wanted` must find it free or its own (None: whoever has it), `owner` has it after."""

    namespace: str
    customer: str
    kind: str
    key: str
    wanted: UUID | None
    owner: UUID | None


def versions(save: Save) -> list[tuple[UUID, int]]:
    """Every stream the save relies on and the version it must stand at: right before what is written, or as read."""
    first: dict[UUID, int] = {}
    newest: dict[UUID, int] = {}
    for record in save.records:
        stream, version = record.stream, record.version
        assert newest.get(stream, version - 1) == version - 1, (
            f"a save writes version {version} of stream {stream} after {newest[stream]}"
        )
        first.setdefault(stream, version)
        newest[stream] = version
    return [*((stream, version - 1) for stream, version in first.items()), *save.expected]


def holds(reservations: Sequence[Reservation]) -> list[Hold] | None:
    """One `Hold` per key, several rows of one key taken in order; None when the save contradicts itself.

    Released and taken again within the save, a key may have been anybody's before.
    """
    by_key: dict[tuple[str, str, str, str], Hold] = {}
    for namespace, customer, kind, key, owner in reservations:
        name = (namespace, customer, kind, key)
        before = by_key.get(name)
        if before is None:
            by_key[name] = Hold(namespace, customer, kind, key, owner, owner)
        elif before.owner is not None and owner is not None and before.owner != owner:
            return None
        else:
            by_key[name] = before._replace(owner=owner)
    return list(by_key.values())


def charges(save: Save) -> Collection[ChargeIndexRow]:
    """The rows for the charge index; of several rows of one charge the last counts."""
    return {row.charge: row for row in save.charge_index}.values()


def birth(save: Save, row: ChargeIndexRow) -> int | None:
    """Which record of the save is the first event of the charge, counted from 0; None when it was born before."""
    for index, record in enumerate(save.records):
        if record.stream == row.charge:
            return index if record.version == 1 else None
    return None


def same_receipt(stored: Receipt, given: Receipt) -> bool:
    """Whether a stored receipt is of this very save: the answer to a reply that got lost."""
    return stored.written == given.written and stored.fingerprint == given.fingerprint and stored.unit == given.unit
