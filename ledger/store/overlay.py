"""An overlay over a store: everything can be read, and what is appended stays in memory (decision 9).

A dry run is the ledger itself over an overlay. All units of a command see each other's effects, the store below is
never written, and what would have been appended is in `appended`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from threading import Event
from uuid import UUID

from aggregates.lifecycle import OVER
from ledger.store.store import (
    ChargeIndexRow,
    LogRecord,
    Probe,
    Receipt,
    Reservation,
    Save,
    Saved,
    SnapshotRow,
    StaleSave,
    Store,
)


class OverlayStore:
    """A `Store` whose appends go nowhere but here."""

    probe: Probe | None = None

    def __init__(self, base: Store) -> None:
        self.base = base
        self.appended: list[LogRecord] = []
        self._streams: dict[UUID, list[LogRecord]] = {}
        self._receipts: dict[tuple[str, str, UUID], Receipt] = {}
        self._index: dict[UUID, ChargeIndexRow] = {}
        self._reservations: dict[tuple[str, str, str, str], UUID | None] = {}
        self._origin = base.head()
        self.saves: list[tuple[Save, datetime]] = []
        self._listed: dict[tuple[str, str, datetime | None, bool], list[ChargeIndexRow]] = {}

    def append(self, save: Save, now: datetime | None = None) -> Saved:
        """Keep the save in memory under the same rules as a real store. Raises `StaleSave`."""
        self._refuse_stale(save)
        moment = now or datetime.now(UTC)
        self.saves.append((save, moment))
        first = self.head() + 1
        last = first + len(save.records) - 1
        for position, new in enumerate(save.records, start=first):
            row = LogRecord(position, new.stream, new.version, new.name, new.data, new.digest, moment, last)
            self.appended.append(row)
            self._streams.setdefault(new.stream, []).append(row)
        if save.receipt is not None:
            self._receipts[_receipt_key(save.receipt)] = save.receipt
        for row_ in save.charge_index:
            ordinal = row_.ordinal or self._ordinal(row_) or first
            self._index[row_.charge] = row_._replace(ordinal=ordinal)
        for held in save.reservations:
            self._reservations[held[:4]] = held.owner
        return Saved(first, last, moment)

    def commit(self) -> Saved:
        """Append below what was appended here, as one plan: it must have been one save.

        Raises `StaleSave` when a stream that was read has moved, a key was taken, or another charge has become due.
        """
        ((save, moment),) = self.saves
        for (namespace, customer, due, over), rows in self._listed.items():
            if self.base.charges_of(namespace, customer, due, over=over) != rows:
                raise StaleSave
        return self.base.append(save, moment)

    def _refuse_stale(self, save: Save) -> None:
        heads: dict[UUID, int] = {}
        for new in save.records:
            head = heads.get(new.stream, self._version(new.stream))
            if new.version != head + 1:
                raise StaleSave
            heads[new.stream] = new.version
        if any(self._version(stream) != version for stream, version in save.expected):
            raise StaleSave
        if save.receipt is not None and self.receipt(*_receipt_key(save.receipt)) is not None:
            raise StaleSave
        for held in save.reservations:
            owner = self.reservation(*held[:4])
            if held.owner is not None and owner is not None and owner != held.owner:
                raise StaleSave

    def _version(self, stream: UUID) -> int:
        here = self._streams.get(stream)
        if here:
            return here[-1].version
        below = self.base.read_stream(stream)
        return below[-1].version if below else 0

    def _ordinal(self, row: ChargeIndexRow) -> int:
        known = self._index.get(row.charge)
        if known is not None:
            return known.ordinal
        below = {r.charge: r.ordinal for r in self.base.charges_of(row.namespace, row.customer)}
        return below.get(row.charge, 0)

    def read_stream(self, stream: UUID, after_version: int = 0) -> list[LogRecord]:
        """Records of the store below, then those appended here."""
        here = [row for row in self._streams.get(stream, ()) if row.version > after_version]
        return [*self.base.read_stream(stream, after_version), *here]

    def read_streams(
        self, streams: Sequence[UUID], after: Mapping[UUID, int] | None = None
    ) -> dict[UUID, list[LogRecord]]:
        """Several streams."""
        known = after or {}
        below = self.base.read_streams(streams, after)
        return {
            stream: [*rows, *(row for row in self._streams.get(stream, ()) if row.version > known.get(stream, 0))]
            for stream, rows in below.items()
        }

    def read_versions(self, stream: UUID, versions: Sequence[int]) -> list[LogRecord]:
        """Records of the store below, then those appended here."""
        here = [row for row in self._streams.get(stream, ()) if row.version in versions]
        return [*self.base.read_versions(stream, versions), *here]

    def read_log(self, after: int, limit: int, names: Collection[str] | None = None) -> list[LogRecord]:
        """The log below, then what was appended here."""
        page = self.base.read_log(after, limit, names) if after < self._origin else []
        return page or [row for row in self.appended if row.position > after and (names is None or row.name in names)]

    def follow(self, after: int, stop: Event | None = None) -> Iterator[list[LogRecord]]:
        """Nothing follows an overlay: what it holds is thrown away."""
        del stop
        yield self.read_log(after, len(self.appended) + 1)

    def head(self) -> int:
        """The position the newest record would have."""
        return self.appended[-1].position if self.appended else self._origin

    def position_at(self, moment: datetime) -> int:
        """As below: an overlay has no log time of its own."""
        return self.base.position_at(moment)

    def receipt(self, namespace: str, customer: str, command_id: UUID) -> Receipt | None:
        """A receipt of here or of below."""
        return self._receipts.get((namespace, customer, command_id)) or self.base.receipt(
            namespace, customer, command_id
        )

    def receipts(self) -> Iterator[Receipt]:
        """All receipts."""
        yield from self.base.receipts()
        yield from self._receipts.values()

    def charges_of(
        self, namespace: str, customer: str, due: datetime | None = None, *, over: bool = True
    ) -> list[ChargeIndexRow]:
        """Index rows with what changed here."""
        below = self.base.charges_of(namespace, customer)
        listed = self.base.charges_of(namespace, customer, due, over=over)
        self._listed.setdefault((namespace, customer, due, over), listed)
        rows = {row.charge: row for row in below}
        rows.update({k: r for k, r in self._index.items() if (r.namespace, r.customer) == (namespace, customer)})
        chosen = [row for row in rows.values() if (due is None or row.is_due(due)) and (over or row.status not in OVER)]
        return sorted(chosen, key=lambda row: row.ordinal)

    def due_customers(self, namespace: str, now: datetime, after: str = "", limit: int = 500) -> list[str]:
        """Customers with something due, those of here included."""
        below = self.base.due_customers(namespace, now, after, limit)
        here = {r.customer for r in self._index.values() if r.namespace == namespace and r.is_due(now)}
        return sorted({*below, *(customer for customer in here if customer > after)})[:limit]

    def next_due(self, namespace: str, after: datetime) -> datetime | None:
        """The first `advance_after` later than that; one that was moved here may be answered as it was below."""
        below = self.base.next_due(namespace, after)
        here = [r.advance_after for r in self._index.values() if r.namespace == namespace]
        return min((at for at in (below, *here) if at is not None and at > after), default=None)

    def charge_index(self) -> Iterator[ChargeIndexRow]:
        """All rows."""
        yield from (row for row in self.base.charge_index() if row.charge not in self._index)
        yield from self._index.values()

    def reservation(self, namespace: str, customer: str, kind: str, key: str) -> UUID | None:
        """Who holds a key."""
        held = (namespace, customer, kind, key)
        return self._reservations[held] if held in self._reservations else self.base.reservation(*held)

    def reservations(self) -> Iterator[Reservation]:
        """All held keys."""
        yield from (held for held in self.base.reservations() if held[:4] not in self._reservations)
        yield from (Reservation(*key, owner) for key, owner in self._reservations.items() if owner is not None)

    def replace_inline(self, charges: Sequence[ChargeIndexRow], reservations: Sequence[Reservation]) -> None:
        """Rebuilt inline tables, in memory."""
        self._index = {row.charge: row for row in charges}
        self._reservations = {held[:4]: held.owner for held in reservations}

    def load_snapshot(self, stream: UUID) -> SnapshotRow | None:
        """A snapshot of the store below."""
        return self.base.load_snapshot(stream)

    def save_snapshot(self, row: SnapshotRow) -> None:
        """An overlay keeps none."""

    def snapshots(self) -> Iterator[SnapshotRow]:
        """Those of the store below."""
        return self.base.snapshots()

    def close(self) -> None:
        """The store below belongs to somebody else."""


def _receipt_key(receipt: Receipt) -> tuple[str, str, UUID]:
    return receipt.namespace, receipt.customer, receipt.command_id
