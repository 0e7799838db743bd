"""`ledger.audit`: is the history sound, what happened, and how did we get here.

report = ledger.audit.verify()
assert report.sound, report.findings[0]
for line in ledger.audit.history(charge=charge_id):
    print(line.at, line.sentence)
for each in ledger.audit.why(run_id).lines:
    print(as_text(each.steps))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from aggregates.charges import state as charge_state
from aggregates.event import aggregate_of
from aggregates.values.errors import ChargeNotFound, RunNotFound
from ledger.audit.checks import CHAINS, CHECKS
from ledger.audit.report import Progress, Report, Seal
from ledger.audit.tables import index_row, keys_held
from ledger.audit.telling import Histories
from ledger.audit.verify import verify
from ledger.audit.why import Explained, explained
from ledger.context import Context
from ledger.ports import Meter
from ledger.store import mapper
from ledger.store.follow import Follower
from ledger.store.store import ChargeIndexRow, LogRecord, Reservation
from projections.audit.history import HistoryLine

PAGE = 2_000


class Exported(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of an export: one event with its place in the log. `bytes` (hex) stands in where `event` is no JSON."""

    position: int
    stream: UUID
    version: int
    name: str
    log_time: datetime
    digest: str
    event: msgspec.Raw | None = None
    bytes: str | None = None


class Repaired(msgspec.Struct, frozen=True):
    """What the inline tables hold after they were made anew."""

    charges: int
    reservations: int


class Audit:
    """Verify the history, tell it, export it, and make the inline tables anew from it."""

    def __init__(self, context: Context, follower: Follower, meter: Meter) -> None:
        self._context = context
        self._meter = meter
        self._follower = follower

    def verify(
        self,
        *,
        chains_only: bool = False,
        progress: Callable[[Progress], None] | None = None,
        seal: Seal | None = None,
    ) -> Report:
        """Check the whole history of all namespaces, and everything that is kept beside it; changes nothing.

        `chains_only` proves that nothing stored was changed, without looking into events. `seal` is one that an
        earlier report gave and that was kept elsewhere: it finds even changes made consistently in every table.
        A finding is no error: the report names each place, with what was expected and what was found.

        Raises `Unavailable` when the database does not answer.
        """
        checks = CHAINS if chains_only else CHECKS
        return verify(
            self._context.repository, self._follower, checks=checks, progress=progress, kept=seal, meter=self._meter
        )

    def history(
        self, *, charge: UUID | str | None = None, run: UUID | str | None = None, customer: str | None = None
    ) -> tuple[HistoryLine, ...]:
        """What happened to a charge (a purchase is one too), a run or a customer: one line per event, oldest first.

        Postings of the credit pool that concern it are among the lines. Name exactly one of the three.
        Raises `ChargeNotFound`, `RunNotFound`, `CustomerNotFound`.
        """
        if [charge, run, customer].count(None) != 2:
            raise TypeError("name exactly one of charge, run and customer")
        histories = Histories(self._context.repository.store, self._context.namespace)
        if charge is not None:
            return histories.of_charge(_uuid(charge, ChargeNotFound))
        if run is not None:
            return histories.of_run(_uuid(run, RunNotFound))
        assert customer is not None
        return histories.of_customer(customer)

    def why(self, run: UUID | str) -> Explained:
        """Why a run came to its amount: quantity and its parts, price, and the steps that made each line.

        Told from the events alone, as the run was rated last. 12 units at `graduated(("10", "1"), (None, "0.5"))` are
        two lines: 10 x 1 = 10, and 2 x 0.5 = 1. Raises `RunNotFound`.
        """
        return explained(self._context.repository.store, self._context.namespace, _uuid(run, RunNotFound))

    def export(self, path: str | Path) -> int:
        """Write the whole log to a file, one JSON object per line, in order; how many lines that are.

        An existing file is replaced. Nothing but the lines is needed to verify or rebuild: they hold the stored bytes.
        """
        encode = msgspec.json.Encoder().encode
        count = 0
        with Path(path).open("wb") as file:
            for row in self._log():
                file.write(encode(_exported(row)))
                file.write(b"\n")
                count += 1
        return count

    def repair_inline(self) -> Repaired:
        """Make the index of charges and the reservations anew from the events, in one transaction.

        For an operator, while nobody else writes: what is saved meanwhile makes it start over. Raises `HistoryBroken`
        when a charge cannot be read; the tables stay as they are then.
        """
        store = self._context.repository.store
        while True:
            head = store.head()
            charges, reservations = self._inline()
            store.replace_inline(charges, reservations)
            if store.head() == head:
                return Repaired(len(charges), len(reservations))

    def _inline(self) -> tuple[list[ChargeIndexRow], list[Reservation]]:
        store = self._context.repository.store
        born: dict[UUID, int] = {}
        for row in self._log():
            if aggregate_of(row.name) == "charge":
                born.setdefault(row.stream, row.position)
        charges: list[ChargeIndexRow] = []
        reservations: list[Reservation] = []
        for charge, position in born.items():
            state = charge_state.fold(None, [mapper.read(row) for row in store.read_stream(charge)])
            assert state is not None, f"charge {charge} was in the log a moment ago"
            charges.append(index_row(state, position))
            reservations.extend(keys_held(state))
        return charges, reservations

    def _log(self) -> Iterator[LogRecord]:
        store, position = self._context.repository.store, 0
        while rows := store.read_log(position, PAGE):
            yield from rows
            position = max(rows[-1].position, position + 1)


def _uuid(given: UUID | str, unknown: type[ChargeNotFound | RunNotFound]) -> UUID:
    try:
        return given if isinstance(given, UUID) else UUID(given)
    except ValueError:
        raise unknown(given) from None


def _exported(row: LogRecord) -> Exported:
    try:
        event, data = msgspec.json.decode(row.data, type=msgspec.Raw), None
    except msgspec.MsgspecError:
        event, data = None, row.data.hex()
    return Exported(row.position, row.stream, row.version, row.name, row.log_time, row.digest.hex(), event, data)
