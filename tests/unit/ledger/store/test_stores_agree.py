"""Whatever is saved in whatever order: memory, an SQLite file and PostgreSQL give the same answers."""

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.store.store import Reservation, Save, Saved, SnapshotRow, StaleSave, Store
from tests.unit.ledger.store.stores import NOON, charge_row, opened, receipt_of, record

STREAMS = [UUID(int=number) for number in range(1, 5)]
CUSTOMERS = ("acme", "Zebra", "ärger")
COMMANDS = [UUID(int=number) for number in range(101, 104)]
MOMENTS = [NOON + timedelta(seconds=seconds) for seconds in (-60, 0, 0.000001, 60)]


class Part(NamedTuple):
    """What one save does to one stream: how many records, and how far off the version it believes in is."""

    stream: UUID
    length: int
    error: int


class Attempt(NamedTuple):
    """A save in the making; versions are put in when it is its turn."""

    parts: tuple[Part, ...]
    read: tuple[Part, ...]
    command: UUID | None
    charge: tuple[UUID, str, str, int | None] | None
    reservation: Reservation | None
    moment: int
    text: str


ERRORS = st.sampled_from([0, 0, 0, 0, 0, 0, -1, 1])
PARTS = st.lists(
    st.builds(Part, st.sampled_from(STREAMS), st.integers(1, 3), ERRORS), max_size=3, unique_by=lambda part: part.stream
).map(tuple)
READS = st.lists(st.builds(Part, st.sampled_from(STREAMS), st.just(0), ERRORS), max_size=2).map(tuple)
CHARGES = st.tuples(
    st.sampled_from(STREAMS),
    st.sampled_from(CUSTOMERS),
    st.sampled_from(["created", "active", "final"]),
    st.none() | st.integers(0, len(MOMENTS) - 1),
)
RESERVATIONS = st.builds(
    Reservation,
    st.just("default"),
    st.sampled_from(CUSTOMERS[:2]),
    st.just("key"),
    st.sampled_from(["a", "B", "ß"]),
    st.none() | st.sampled_from(STREAMS),
)
ATTEMPTS = st.builds(
    Attempt,
    PARTS,
    READS,
    st.none() | st.sampled_from(COMMANDS),
    st.none() | CHARGES,
    st.none() | RESERVATIONS,
    st.integers(0, len(MOMENTS) - 1),
    st.text(max_size=5),
)


def save_of(attempt: Attempt, versions: dict[UUID, int]) -> Save:
    new = [
        record(part.stream, versions[part.stream] + part.error + place, attempt.text)
        for part in attempt.parts
        for place in range(1, part.length + 1)
        if versions[part.stream] + part.error + place > 0
    ]
    written = {row.stream for row in new}
    charge = attempt.charge
    return Save(
        records=new,
        receipt=receipt_of(new, attempt.command) if attempt.command else None,
        charge_index=[charge_row(*charge[:3], None if charge[3] is None else MOMENTS[charge[3]])] if charge else (),
        reservations=[attempt.reservation] if attempt.reservation else (),
        expected=[(read, versions[read] + error) for read, _, error in attempt.read if read not in written],
    )


def outcome(store: Store, save: Save, attempt: Attempt) -> Saved | str:
    try:
        return store.append(save, MOMENTS[attempt.moment])
    except StaleSave:
        return "stale"


def everything(store: Store) -> dict[str, Any]:
    """Every answer that a store can give, as far as it has been written to."""
    return {
        "log": store.read_log(0, 1_000),
        "pages": [[row.position for row in store.read_log(after, 2)] for after in range(store.head() + 1)],
        "streams": store.read_streams(STREAMS),
        "tails": store.read_streams(STREAMS, dict.fromkeys(STREAMS, 2)),
        "head": store.head(),
        "at": [store.position_at(moment) for moment in MOMENTS],
        "receipts": list(store.receipts()),
        "receipt": [store.receipt("default", "acme", command) for command in COMMANDS],
        "index": list(store.charge_index()),
        "charges": [store.charges_of("default", customer) for customer in CUSTOMERS],
        "running": [store.charges_of("default", customer, over=False) for customer in CUSTOMERS],
        "due": [store.charges_of("default", customer, due) for customer in CUSTOMERS for due in MOMENTS],
        "customers": [store.due_customers("default", moment) for moment in MOMENTS],
        "next customer": [store.due_customers("default", MOMENTS[-1], customer, 1) for customer in CUSTOMERS],
        "next due": [store.next_due("default", moment) for moment in MOMENTS],
        "reservations": list(store.reservations()),
        "snapshots": list(store.snapshots()),
    }


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ATTEMPTS, min_size=4, max_size=20))
def test_the_three_stores_give_the_same_answers(
    postgres_database: str, tmp_path: Path, attempts: list[Attempt]
) -> None:
    schema = f"agree_{uuid4().hex}"
    with psycopg.connect(postgres_database, autocommit=True) as admin, ExitStack() as open_stores:
        admin.execute(f"CREATE SCHEMA {schema}".encode())
        urls = (
            "memory:",
            f"sqlite:///{tmp_path}/{schema}.db",
            f"{postgres_database}&options=-csearch_path%3D{schema}",
        )
        stores = [open_stores.enter_context(opened(url)) for url in urls]
        versions = dict.fromkeys(STREAMS, 0)
        for attempt in attempts:
            save = save_of(attempt, versions)
            outcomes = [outcome(store, save, attempt) for store in stores]
            assert outcomes == outcomes[:1] * 3
            versions = {stream: len(rows) for stream, rows in stores[0].read_streams(STREAMS).items()}
            for store in stores:
                store.save_snapshot(SnapshotRow(STREAMS[0], versions[STREAMS[0]], "s.v1", attempt.text.encode()))
        memory, *others = (everything(store) for store in stores)
        for other in others:
            assert other == memory
        for store in stores:
            store.replace_inline(memory["index"][:1], memory["reservations"][:1])
        memory, *others = (everything(store) for store in stores)
        open_stores.close()
        admin.execute(f"SET client_min_messages = error; DROP SCHEMA {schema} CASCADE".encode())
    for other in others:
        assert other == memory
