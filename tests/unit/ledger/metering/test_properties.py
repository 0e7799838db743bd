"""What always holds of a quantity: order, duplicates and chunks do not matter, and all stores answer alike."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from decimal import Context, Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.catalogue import Aggregation
from ledger.metering.open import open_usage_store
from ledger.metering.store import UsageStore, Window
from ledger.metering.usage import UsageEvent
from ledger.store.open import open_store
from tests.support.postgres import PostgresServer
from tests.unit.ledger.metering.usages import START, january, meter, used

WIDE = Context(prec=200)
VALUES = st.one_of(
    st.integers(-1000, 1000).map(Decimal),
    st.decimals(-(10**6), 10**6, places=6),
    st.decimals(-(10**24) + 1, 10**24 - 1, places=18),
)
SECONDS = st.integers(0, 40).map(lambda n: n / 4)


@st.composite
def histories(draw: st.DrawFn) -> list[UsageEvent]:
    """Events with ids of their own, times apart by quarters of a second, several of them equal."""
    values = draw(st.lists(st.tuples(VALUES, SECONDS, st.sampled_from(["", "ann", "bob", "eve"])), max_size=12))
    return [
        used(f"{n}", value, at=at, properties={"user": user} if user else {})
        for n, (value, at, user) in enumerate(values)
    ]


@dataclass(frozen=True)
class Stores:
    memory: UsageStore
    sqlite: UsageStore
    postgres: UsageStore

    def __iter__(self) -> Iterator[UsageStore]:
        return iter((self.memory, self.sqlite, self.postgres))


@pytest.fixture(scope="module")
def stores(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """All three, shared by all examples of this module: each example has a namespace of its own."""
    path: Path = tmp_path_factory.mktemp("usage")
    with postgres_server.fresh_database() as database, ExitStack() as stack:
        urls = ("memory:", f"sqlite:///{path}/ledger.db", database)
        opened = [stack.enter_context(closing(open_store(url))) for url in urls]
        yield Stores(*(open_usage_store(store) for store in opened))


def answers(usage: UsageStore, namespace: str, seconds: tuple[int, int]) -> dict[str, str]:
    """Every aggregation over a window, as text: the stores must agree to the last digit."""
    from_, to = (START + timedelta(seconds=n) for n in seconds)
    return {
        aggregation: str(
            usage.quantity(january(namespace, of=meter(aggregation, property="user"), from_=from_, to=to)).quantity
        )
        for aggregation in Aggregation
    }


@given(
    histories(), st.randoms(use_true_random=False), st.integers(1, 5), st.tuples(st.integers(0, 5), st.integers(5, 11))
)
@settings(max_examples=40)
def test_all_stores_answer_alike_and_exactly(
    stores: Stores, events: list[UsageEvent], random: object, chunk: int, seconds: tuple[int, int]
) -> None:
    namespace = uuid4().hex
    for usage in stores:
        report = usage.ingest(namespace, events, chunk=chunk)
        assert report.stored == len(events)

    memory, sqlite, postgres = (answers(usage, namespace, seconds) for usage in stores)

    assert memory == sqlite == postgres
    from_, to = (START + timedelta(seconds=n) for n in seconds)
    counted = [event for event in events if from_ <= event.time < to]
    total = Decimal(0)
    for event in counted:
        total = WIDE.add(total, event.value or Decimal(0))
    assert WIDE.compare(Decimal(sqlite["sum"]), total) == 0
    assert sqlite["count"] == str(len(counted))
    listed = [
        [stored.event for stored in usage.events(namespace, Window(customer="acme", meter="tokens"))]
        for usage in stores
    ]
    assert listed[0] == listed[1] == listed[2]


@given(histories(), st.data())
@settings(max_examples=40)
def test_order_of_arrival_and_duplicates_never_matter(
    stores: Stores, events: list[UsageEvent], data: st.DataObject
) -> None:
    """`latest` is left out where two events have one moment: there the order of ingestion decides."""
    repeated = events + data.draw(st.lists(st.sampled_from(events), max_size=6)) if events else []
    shuffled = data.draw(st.permutations(repeated))
    chunk = data.draw(st.integers(1, 5))
    times = [event.time for event in events if event.value is not None]
    for usage in stores:
        straight, mixed = uuid4().hex, uuid4().hex
        usage.ingest(straight, events)
        report = usage.ingest(mixed, shuffled, chunk=chunk)

        one, two = (answers(usage, namespace, (0, 11)) for namespace in (straight, mixed))
        if times.count(max(times, default=START)) > 1:
            del one["latest"], two["latest"]
        assert one == two
        assert (report.stored, report.duplicates) == (len(events), len(repeated) - len(events))


@given(histories(), st.data())
@settings(max_examples=25)
def test_how_a_stream_is_cut_into_chunks_never_decides_which_content_wins(
    stores: Stores, events: list[UsageEvent], data: st.DataObject
) -> None:
    ids = st.sampled_from(["a", "b", "c"])
    stream = data.draw(st.lists(st.builds(used, ids, st.integers(1, 3)), max_size=10))
    known = data.draw(st.lists(st.builds(used, ids, st.integers(1, 3)), max_size=2))
    outcomes = set()
    for usage in stores:
        for chunk in (1, 3, 100):
            namespace = uuid4().hex
            usage.ingest(namespace, known)
            report = usage.ingest(namespace, stream, chunk=chunk)
            stored = usage.events(namespace, Window(customer="acme", meter="tokens"))
            quarantined = usage.conflicts(namespace)
            outcomes.add(
                (
                    (report.stored, report.duplicates, report.conflicts),
                    tuple(sorted((s.event.id, s.event.value) for s in stored)),
                    tuple((s.event.id, s.event.value) for s in quarantined),
                )
            )

    assert len(outcomes) == 1
