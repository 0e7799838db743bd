"""Stored usage that was changed behind the ledger's back, row and fingerprint alike: its chunk tells.

Two meters are used in three chunks on memory, SQLite and PostgreSQL; no run has counted any of it, so that nothing but
the records of the chunks can know.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from aggregates.values.period import timestamp
from ledger.audit.report import AuditFinding
from ledger.facade import Ledger
from ledger.metering.memory import MemoryUsageStore
from ledger.metering.usage import UsageEvent
from tests.application.scenes import opened, with_customer
from tests.support.tampering import SqlHands

FORGED = Decimal(7)


def event(id_: str, value: object = 1, meter: str = "calls") -> UsageEvent:
    time = timestamp("2026-01-10T00:00:00Z")
    return UsageEvent(source="app", id=id_, customer="acme", meter=meter, time=time, value=Decimal(str(value)))


FIRST = [event("a1"), event("f1", meter="files"), event("a2")]
SECOND = [event("b1"), event("a1"), event("b2")]
"""One of them is known already: the chunk stores two."""
THIRD = [event("c1"), event("a2", 5)]
"""One of them is quarantined."""


def three_chunks(ledger: Ledger) -> None:
    with_customer(ledger)
    ledger.catalogue.define_meter("files")
    for chunk in (FIRST, SECOND, THIRD):
        ledger.usage.record(chunk)


class Hands:
    """Reaches into the usage of a ledger, triggers or not."""

    def __init__(self, ledger: Ledger, url: str) -> None:
        self._memory = ledger.usage_store if isinstance(ledger.usage_store, MemoryUsageStore) else None
        self._sql = None if self._memory is not None else SqlHands(url, None)
        if self._sql is not None and self._sql.is_sqlite:
            for name in ("usage_event_is_kept", "usage_event_stays", "usage_chunk_is_kept", "usage_chunk_stays"):
                self._sql.run(f"DROP TRIGGER {name}")
        elif self._sql is not None:
            for table in ("usage_event", "usage_chunk"):
                self._sql.run(f"ALTER TABLE {table} DISABLE TRIGGER USER")

    def close(self) -> None:
        if self._sql is not None:
            self._sql.close()

    def delete(self, *ids: str) -> None:
        for id_ in ids:
            if self._sql is not None:
                self._sql.run("DELETE FROM usage_event WHERE id = ?", id_)
                continue
            assert self._memory is not None
            for rows in self._memory._rows.values():
                rows[:] = [row for row in rows if row[2].event.id != id_]

    def put(self, id_: str, new: UsageEvent, fingerprint: bytes) -> None:
        """Let the row of an id hold another event, with that fingerprint."""
        if self._sql is not None:
            column = "low" if self._sql.is_sqlite else "value"
            assert new.value is not None
            self._sql.run(
                f"UPDATE usage_event SET id = ?, {column} = ?, fingerprint = ? WHERE id = ?",
                *(new.id, int(new.value), fingerprint, id_),
            )
            return
        assert self._memory is not None
        self._memory._known["default", new.source, new.id] = fingerprint
        for rows in self._memory._rows.values():
            rows[:] = [
                (time, at, msgspec.structs.replace(stored, event=new) if stored.event.id == id_ else stored)
                for time, at, stored in rows
            ]

    def copy(self, id_: str, new: str) -> None:
        """Add a row that says what another does, behind it in its chunk."""
        columns = "namespace, source, customer, meter, time, stored_at, properties, fingerprint"
        if self._sql is not None:
            value = "high, low, fraction" if self._sql.is_sqlite else "value"
            self._sql.run(
                f"INSERT INTO usage_event (id, place, {columns}, {value})"
                f" SELECT ?, place + 9, {columns}, {value} FROM usage_event WHERE id = ?",
                *(new, id_),
            )
            return
        assert self._memory is not None
        for rows in self._memory._rows.values():
            for time, at, stored in [row for row in rows if row[2].event.id == id_]:
                copied = msgspec.structs.replace(stored.event, id=new)
                rows.append((time, at + 9, msgspec.structs.replace(stored, event=copied, place=at + 9)))
                self._memory._known["default", copied.source, new] = copied.fingerprint()

    def delete_record(self, position: int) -> None:
        if self._sql is not None:
            self._sql.run("DELETE FROM usage_chunk WHERE meter = 'calls' AND position = ?", position)
            return
        assert self._memory is not None
        records = self._memory._chunks["default", "calls"]
        records[:] = [record for record in records if record.position != position]


def found(ledger: Ledger) -> list[AuditFinding]:
    report = ledger.audit.verify()
    assert {finding.check for finding in report.findings} <= {"usage chunks"}, report.findings
    return list(report.findings)


def test_usage_nobody_touched_is_sound(store_url: str) -> None:
    with opened(store_url) as ledger:
        three_chunks(ledger)

        report = ledger.audit.verify()

        assert report.sound, report.findings
        assert [tally.looked_at for tally in report.checked if tally.name == "usage chunks"] == [4]


Tamper = Callable[[Hands], None]
FORGERIES: dict[str, tuple[Tamper, int, str]] = {
    "an event is gone": (lambda hands: hands.delete("b1"), 2, "usage is missing"),
    "the last event is gone": (lambda hands: hands.delete("c1"), 3, "usage is missing"),
    "an event was added": (lambda hands: hands.copy("b1", "b9"), 2, "usage was added"),
    "an event was changed, fingerprint and all": (
        lambda hands: hands.put("b1", event("b1", FORGED), event("b1", FORGED).fingerprint()),
        2,
        "chunk, or the one before it, is not what was stored",
    ),
    "an event has another id": (
        lambda hands: hands.put("b1", event("b7"), event("b7").fingerprint()),
        2,
        "chunk, or the one before it, is not what was stored",
    ),
}


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_event_is_found_in_its_chunk(store_url: str, how: str) -> None:
    tamper, position, message = FORGERIES[how]
    with opened(store_url) as ledger:
        three_chunks(ledger)
        hands = Hands(ledger, store_url)

        tamper(hands)

        [finding] = found(ledger)
        assert finding.place == f"usage of meter 'calls' in chunk {position}, namespace default"
        assert finding.message == message
        hands.close()


@pytest.mark.parametrize(
    ("position", "ids", "message"),
    [
        (1, ("a1", "a2"), "chunk, or the one before it, is not what was stored"),
        (2, ("b1", "b2"), "chunk, or the one before it, is not what was stored"),
        (3, ("c1",), "chunk has no record"),
    ],
)
def test_a_chunk_that_is_gone_with_its_record_is_missed(
    store_url: str, position: int, ids: tuple[str, ...], message: str
) -> None:
    """The next one goes on from a digest that nobody has; the last one is what the meter's mark speaks of."""
    with opened(store_url) as ledger:
        three_chunks(ledger)
        hands = Hands(ledger, store_url)

        hands.delete(*ids)
        hands.delete_record(position)

        [finding] = found(ledger)
        assert (finding.message, f"chunk {min(position + 1, 3)}," in finding.place) == (message, True)
        hands.close()


def test_a_record_that_is_gone_is_missed(store_url: str) -> None:
    with opened(store_url) as ledger:
        three_chunks(ledger)
        hands = Hands(ledger, store_url)

        hands.delete_record(2)

        first, second = found(ledger)
        assert (first.message, first.found) == ("chunk has no record", "2 events")
        assert "chunk 3," in second.place
        hands.close()
