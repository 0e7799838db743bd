"""Checks of what is kept beside the events: snapshots, the inline tables, the views. All of it can be rebuilt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from uuid import UUID

import msgspec

from aggregates.charges import decisions as charges
from aggregates.charges import state as charge_state
from aggregates.charges.proposal import keys_of
from aggregates.charges.state import Charge
from aggregates.event import AnyRecorded
from ledger.audit.check import BROKEN, ChargeStreams, Check, Evidence, broken
from ledger.store import mapper
from ledger.store.repository import Aggregate
from ledger.store.store import ChargeIndexRow, LogRecord, Reservation, SnapshotRow
from projections.stores.tables import Status

Key = tuple[str, str, str, str]

ATTEMPTS = 5
"""How often a row is looked at again while its charge keeps moving on."""


class Snapshots(Check):
    """Every snapshot is the state its stream has at that version, folded anew from the first event."""

    name = "snapshots"

    def end(self) -> None:
        """Fold the stream of each snapshot."""
        kept = {each.snapshot: each for each in self.evidence.repository.aggregates.values() if each.snapshot}
        for row in self.evidence.store.snapshots():
            aggregate = kept.get(row.name)
            # One of another release is passed over: the repository does not read it either.
            if aggregate is not None:
                self.looked_at()
                self._compare(row, aggregate)

    def _compare(self, row: SnapshotRow, aggregate: Aggregate) -> None:
        place = f"snapshot of stream {row.stream} at version {row.version}"
        rows = [each for each in self.evidence.store.read_stream(row.stream) if each.version <= row.version]
        if not rows or rows[-1].version != row.version:
            reached = rows[-1].version if rows else None
            self.find(place, "snapshot of a version that is not there", expected=row.version, found=reached)
            return
        try:
            state = aggregate.fold(None, [mapper.decode(each.name, each.data) for each in rows])
            found = mapper.read_value(row.data, aggregate.state_type or object)
        except BROKEN as error:
            self.find(place, "snapshot cannot be compared", expected="a state", found=broken(error))
            return
        if state != found:
            expected, stored = first_difference(state, found)
            self.find(place, "snapshot is not what its events make", expected=expected, found=stored)


def first_difference(expected: object, found: object, path: str = "") -> tuple[str, str]:
    """The first field in which two values of one type differ."""
    if isinstance(expected, msgspec.Struct) and type(expected) is type(found):
        for name in expected.__struct_fields__:
            left, right = getattr(expected, name), getattr(found, name)
            if left != right:
                return first_difference(left, right, f"{path}.{name}" if path else name)
    if isinstance(expected, dict) and isinstance(found, dict):
        wanted, stored = cast("dict[object, object]", expected), cast("dict[object, object]", found)
        for key in dict.fromkeys([*wanted, *stored]):
            if wanted.get(key) != stored.get(key):
                return first_difference(wanted.get(key), stored.get(key), f"{path}[{key}]")
    return f"{path} = {expected}", f"{path} = {found}"


class ChargeIndex(Check):
    """The index of charges has one row per charge, as its events make it (decision 8)."""

    name = "charge index"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._expected: dict[UUID, ChargeIndexRow] = {}

    def charge(self, streams: ChargeStreams) -> None:
        """The row of a charge, from its events."""
        state = state_of(streams.records)
        if state is not None:
            self._expected[streams.charge] = index_row(state, self.evidence.heads[streams.charge].first)

    def end(self) -> None:
        """Compare with the table."""
        head = self.evidence.store.head()
        for row in self.evidence.store.charge_index():
            if self.evidence.position < row.ordinal <= head and row.charge not in self._expected:
                continue  # born since the log was read
            self.looked_at()
            if self._expected.pop(row.charge, None) != row:
                self._look_again(row)
        for row in self._expected.values():
            self.looked_at()
            self._look_again(row)

    def _look_again(self, row: ChargeIndexRow) -> None:
        """Events and row as they are now: the charge may have moved on while the history was read."""
        charge = row.charge
        expected = found = None
        for _ in range(ATTEMPTS):
            rows = self.evidence.store.read_stream(charge)
            state = state_of_rows(rows)
            if rows and state is None:
                return  # it cannot be read, which other checks report
            expected = index_row(state, rows[0].position) if state is not None else None
            of_customer = self.evidence.store.charges_of(row.namespace, row.customer)
            found = next((each for each in of_customer if each.charge == charge), None)
            if expected == found:
                return
            if len(self.evidence.store.read_stream(charge)) == len(rows):
                break
        for column in ChargeIndexRow._fields:
            wanted, stored = getattr(expected, column, None), getattr(found, column, None)
            if wanted != stored:
                self.find(f"charge index, charge {charge}, {column}", "row differs", expected=wanted, found=stored)
                return


class Reservations(Check):
    """Every key a live charge holds is reserved for it, and no other key is reserved (decision 8)."""

    name = "reservations"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._expected: dict[Key, UUID] = {}

    def charge(self, streams: ChargeStreams) -> None:
        """The keys of a charge, from its events."""
        state = state_of(streams.records)
        for held in keys_held(state) if state is not None else ():
            other = self._expected.setdefault(held[:4], streams.charge)
            if other != streams.charge:
                place = f"stream {streams.charge}, {named(held[:4])}"
                self.find(place, "key held by two charges", expected=other, found=streams.charge)

    def end(self) -> None:
        """Compare with the table."""
        for row in self.evidence.store.reservations():
            self.looked_at()
            expected = self._expected.pop(row[:4], None)
            if expected != row.owner:
                self._look_again(row[:4], expected, row.owner)
        for key, expected in self._expected.items():
            self.looked_at()
            self._look_again(key, expected, None)

    def _look_again(self, key: Key, *owners: UUID | None) -> None:
        """Events and table as they are now: the key may have changed hands while the history was read."""
        expected = found = None
        for _ in range(ATTEMPTS):
            found = self.evidence.store.reservation(*key)
            candidates = [owner for owner in dict.fromkeys((*owners, found)) if owner is not None]
            expected = next((owner for owner in candidates if self._holds(owner, key)), None)
            if expected == found:
                return
        self.find(named(key), "key is reserved for another", expected=expected, found=found)

    def _holds(self, charge: UUID, key: Key) -> bool:
        state = state_of_rows(self.evidence.store.read_stream(charge))
        return state is not None and any(held[:4] == key for held in keys_held(state))


class Views(Check):
    """Every view is what its events make when they are folded anew, row by row and column by column."""

    name = "views"

    def end(self) -> None:
        """Fold each view of this release once more, up to where it is; one of an older release is built anew on use."""
        follower = self.evidence.follower
        with follower.tables.reading() as reader:
            live = {name: reader.generation(name, Status.LIVE) for name in follower.projections}
        for name, projection in follower.projections.items():
            generation = live[name]
            if generation is None:
                self.find(f"view {name}", "view is gone", expected="its table", found=None)
            elif generation.version == projection.version:
                self._compare(name)

    def _compare(self, name: str) -> None:
        try:
            comparison = self.evidence.follower.verify_view(name)
        except BROKEN as error:
            self.find(f"view {name}", "view cannot be folded anew", expected="its rows", found=broken(error))
            return
        self.looked_at(comparison.rows)
        for difference in comparison.differences:
            row = ", ".join(f"{column}={value}" for column, value in difference.key.items())
            place = f"view {name}, row {row}" + (f", column {difference.column}" if difference.column else "")
            self.find(place, "view is not what its events make", expected=difference.expected, found=difference.found)
        unnamed = comparison.differing - len({str(difference.key) for difference in comparison.differences})
        for _ in range(unnamed):
            self.find(f"view {name}", "another row differs", expected="the rows of its events", found="others")


# ── rows of the inline tables, from the events ───────────────────────────────────────────────────────────────


def state_of(records: Sequence[AnyRecorded]) -> Charge | None:
    """The charge its events make; None where they make none, which other checks report."""
    try:
        return charge_state.fold(None, records)
    except BROKEN:
        return None


def state_of_rows(rows: Sequence[LogRecord]) -> Charge | None:
    """The charge its stored events make."""
    try:
        return state_of([mapper.decode(row.name, row.data) for row in rows])
    except BROKEN:
        return None


def index_row(state: Charge, ordinal: int) -> ChargeIndexRow:
    """The row of a charge whose first event has that position."""
    return ChargeIndexRow(*charges.index_row(state), ordinal)


def keys_held(state: Charge) -> list[Reservation]:
    """The keys a charge holds: none once it is deleted."""
    if state.is_deleted:
        return []
    keys = keys_of(state.customer, state.identity)
    return [Reservation(state.namespace, key.customer, key.kind, key.key, state.id) for key in keys]


def named(key: Key) -> str:
    """A key as it is said."""
    namespace, customer, kind, value = key
    return f"{kind} {value!r} of customer {customer!r} in {namespace!r}"
