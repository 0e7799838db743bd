"""A quantity whose cut has passed never changes again, whoever ingests what at the same time (lifecycles §5.4)."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from ledger.metering.store import ChunkedStore, Window
from ledger.ports import Metered, MeterQuery, SettableClock
from tests.unit.ledger.metering.conftest import Open
from tests.unit.ledger.metering.usages import january, meter, used

ALL = Window(customer="acme", meter="tokens")
PATIENCE = 20.0


class Turnstile:
    """A probe that holds the first chunk just before its commit until it is let go."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.go = threading.Event()

    def __call__(self, call: str) -> None:
        if call == "usage.ingest.commit" and not self.arrived.is_set():
            self.arrived.set()
            assert self.go.wait(PATIENCE)


@contextmanager
def in_flight(usage: ChunkedStore, turnstile: Turnstile) -> Iterator[ThreadPoolExecutor]:
    """A chunk with 7 tokens is stamped and not yet committed."""
    with ThreadPoolExecutor(4) as pool:
        pool.submit(usage.ingest, "test", [used("in flight", 7)])
        try:
            assert turnstile.arrived.wait(PATIENCE)
            yield pool
        finally:
            turnstile.go.set()


def test_a_read_at_a_cut_that_has_passed_waits_for_the_chunk_in_flight_and_counts_it(open_usage: Open) -> None:
    turnstile = Turnstile()
    usage = open_usage(probe=turnstile)
    with in_flight(usage, turnstile) as pool:
        cut = datetime.now(UTC)
        reading = pool.submit(usage.quantity, january(cut=cut))
        assert not waits_no_longer(reading.result)

        turnstile.go.set()

        assert reading.result(PATIENCE).quantity == 7
    assert usage.quantity(january(cut=cut)).quantity == 7


def test_once_a_cut_is_closed_nobody_waits(open_usage: Open) -> None:
    turnstile = Turnstile()
    turnstile.arrived.set()
    usage = open_usage(probe=turnstile)
    usage.ingest("test", [used("before", 5)])
    cut = usage.events("test", ALL)[0].stored_at + timedelta(microseconds=1)
    while datetime.now(UTC) < cut:
        pass
    assert usage.quantity(january(cut=cut)).quantity == 5
    if type(usage).__name__ == "MemoryUsageStore":
        return  # one lock for everything: a chunk there takes no time

    turnstile.arrived.clear()
    with in_flight(usage, turnstile) as pool:
        assert pool.submit(usage.quantity, january(cut=cut)).result(PATIENCE).quantity == 5


def test_usage_that_arrives_after_a_closed_read_is_stored_behind_its_cut_though_the_clock_went_back(
    open_usage: Open,
) -> None:
    clock = SettableClock("2025-02-04T00:00:00Z")
    usage = open_usage(clock=clock)
    cut = datetime(2025, 2, 3, tzinfo=UTC)
    usage.ingest("test", [used("a", 1)], stored_at=datetime(2025, 2, 1, tzinfo=UTC))
    read = usage.quantity(january(cut=cut))

    clock.set("2025-01-20T00:00:00Z")
    usage.ingest("test", [used("b", 10)])

    assert usage.quantity(january(cut=cut)) == Metered(read.quantity, read.position + 1)
    assert [stored.event.id for stored in usage.late_since(january(cut=cut), read.position)] == ["b"]


def test_a_cut_in_the_future_closes_nothing(open_usage: Open) -> None:
    clock = SettableClock("2025-02-01T00:00:00Z")
    usage = open_usage(clock=clock)
    collection_end = january(cut=datetime(2025, 2, 3, tzinfo=UTC))
    usage.ingest("test", [used("a", 1)])
    assert usage.quantity(collection_end).quantity == 1

    clock.set("2025-02-02T00:00:00Z")
    usage.ingest("test", [used("b", 10)])
    clock.set("2025-02-03T00:01:00Z")

    assert usage.quantity(collection_end).quantity == 11


def test_an_explicit_stored_at_neither_heeds_nor_moves_the_marks(open_usage: Open) -> None:
    clock = SettableClock("2025-02-01T00:00:00Z")
    usage = open_usage(clock=clock)
    usage.ingest("test", [used("future", 1)], stored_at=datetime(2025, 3, 1, tzinfo=UTC))
    usage.ingest("test", [used("now", 2)])
    usage.ingest("test", [used("past", 3)], stored_at=datetime(2025, 1, 1, tzinfo=UTC))

    stamps = {stored.event.id: (stored.stored_at.month, stored.stored_at.day) for stored in usage.events("test", ALL)}

    assert stamps == {"future": (3, 1), "now": (2, 1), "past": (1, 1)}


def test_no_answer_at_a_passed_cut_ever_changes_under_concurrent_ingestion(usage: ChunkedStore) -> None:
    """Four writers and three readers; every answer given on the way is asked for again in the end."""
    answers: list[tuple[MeterQuery, Decimal]] = []
    writing = threading.Event()
    writing.set()
    chunks = 30

    def write(writer: int) -> None:
        for n in range(chunks):
            key = "tokens" if writer % 2 else "requests"
            events = [used(f"{writer}/{n}/{i}", 1, at=i, meter=key, customer=f"c{i % 2}") for i in range(6)]
            assert usage.ingest("test", events).stored == 6
            time.sleep(0.002)  # memory is so quick that nobody would get to look

    def read(reader: int) -> None:
        while writing.is_set():
            key = "tokens" if reader % 2 else "requests"
            query = january(of=meter(key=key), customer="c0", cut=datetime.now(UTC))
            answers.append((query, usage.quantity(query).quantity))

    with ThreadPoolExecutor(7) as pool:
        readers = [pool.submit(read, n) for n in range(3)]
        for writer in [pool.submit(write, n) for n in range(4)]:
            writer.result(120)
        writing.clear()
        for reader in readers:
            reader.result(PATIENCE)

    assert len({quantity for _, quantity in answers}) > 1  # they did look while it grew
    assert [usage.quantity(query).quantity for query, _ in answers] == [quantity for _, quantity in answers]
    for key in ("tokens", "requests"):
        assert usage.quantity(january(of=meter(key=key), customer="c0")).quantity == 2 * chunks * 3


def test_two_writers_of_the_same_events_store_each_once(usage: ChunkedStore) -> None:
    """Each meter's mark serialises its chunks; the same ids under two meters meet in the identity index."""
    events = [used(f"{n}", n) for n in range(200)]
    others = [used(f"{n}", n, meter="requests") for n in range(200)]
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(usage.ingest, "test", batch, chunk=17) for batch in (events, events[::-1], others, others[::-1])
        ]
        reports = [job.result(60) for job in jobs]

    assert sum(report.stored for report in reports) == 200
    assert sum(report.duplicates for report in reports) == 200
    assert sum(report.conflicts for report in reports) == 400
    assert len(usage.conflicts("test")) == 200


def waits_no_longer(result: object) -> bool:
    """Whether a future has its result within a moment."""
    try:
        result(0.3)  # type: ignore[operator]
    except TimeoutError:
        return False
    return True
