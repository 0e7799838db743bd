"""Threads that race on one store: every race has one winner, and nobody who follows the log misses anything."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest

from ledger.store.open import open_store
from ledger.store.store import LogRecord, Reservation, Save, Saved, StaleSave, Store
from tests.unit.ledger.store.stores import NOON, charge_row, receipt_of, records

THREADS = 16


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()


def together(work: Callable[[int], None]) -> None:
    """Run the work in 16 threads that start at the same moment; the first failure is raised."""
    ready = threading.Barrier(THREADS)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            ready.wait()
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_a_follower_sees_every_save_once_whole_and_in_order(store: Store) -> None:
    """16 writers of 20 saves of 1 to 3 records each, and somebody reading along from the beginning."""
    stop = threading.Event()
    seen: list[LogRecord] = []

    def follow() -> None:
        for page in store.follow(0, stop):
            assert page[-1].position == page[-1].last, "a page ends inside a save"
            seen.extend(page)

    follower = threading.Thread(target=follow)
    follower.start()
    landed: list[Saved] = []

    def write(number: int) -> None:
        stream, version = uuid4(), 0
        for turn in range(20):
            size = (number + turn) % 3 + 1
            landed.append(store.append(Save(records(stream, *range(version + 1, version + size + 1))), NOON))
            version += size

    together(write)
    total = sum(saved.last - saved.first + 1 for saved in landed)
    waited = threading.Event()
    for _ in range(200):
        if len(seen) >= total:
            break
        waited.wait(0.05)
    stop.set()
    follower.join()

    assert [row.position for row in seen] == list(range(1, total + 1))
    assert [saved.last for saved in sorted(landed) for _ in range(saved.first, saved.last + 1)] == [
        row.last for row in seen
    ]
    for stream in {row.stream for row in seen}:
        versions = [row.version for row in seen if row.stream == stream]
        assert versions == list(range(1, len(versions) + 1))


def test_every_version_is_won_once_and_losers_leave_nothing(store: Store) -> None:
    """Four threads for each of four streams, all after the next version of theirs."""
    streams = [uuid4() for _ in range(4)]
    won: list[tuple[UUID, int, str]] = []
    lost: list[StaleSave] = []

    def race(number: int) -> None:
        stream = streams[number % 4]
        for turn in range(15):
            version = len(store.read_stream(stream)) + 1
            written = records(stream, version, text=f"{number}.{turn}")
            reservation = Reservation("default", "acme", "turn", f"{number}.{turn}", stream)
            try:
                store.append(Save(written, receipt_of(written), [charge_row(stream)], [reservation]), NOON)
                won.append((stream, version, written[0].digest.hex()))
            except StaleSave as error:
                lost.append(error)

    together(race)
    log = store.read_log(0, 10_000)

    assert len(won) + len(lost) == THREADS * 15
    assert Counter((row.stream, row.version, row.digest.hex()) for row in log) == Counter(won)
    assert len({(row.stream, row.version) for row in log}) == len(log)
    assert [row.position for row in log] == list(range(1, len(log) + 1))
    assert len(list(store.receipts())) == len(list(store.reservations())) == len(won)
    assert len(list(store.charge_index())) == 4


def test_a_key_is_won_once(store: Store) -> None:
    winners: list[UUID] = []

    def race(number: int) -> None:
        for key in range(10):
            owner = uuid4()
            try:
                store.append(
                    Save(records(owner, 1), reservations=[Reservation("default", "acme", "key", str(key), owner)]), NOON
                )
                winners.append(owner)
            except StaleSave:
                assert store.read_stream(owner) == []

    together(race)

    assert len(winners) == 10
    assert {row.owner for row in store.reservations()} == set(winners)
    assert store.head() == 10


def test_a_command_is_carried_out_once_however_often_it_is_sent(store: Store) -> None:
    """Each thread decides for itself, so the saves differ: one is stored, the others find its receipt."""
    commands = [uuid4() for _ in range(10)]
    carried_out: list[UUID] = []

    def send(number: int) -> None:
        for command in commands:
            written = records(uuid4(), 1)
            try:
                store.append(Save(written, receipt_of(written, command)), NOON)
                carried_out.append(command)
            except StaleSave:
                assert store.receipt("default", "acme", command) is not None

    together(send)

    assert sorted(carried_out) == sorted(commands)
    assert store.head() == 10


def test_who_only_read_a_stream_never_wins_against_who_moved_it(store: Store) -> None:
    """Every save reads the catalogue and writes another stream, or moves the catalogue: none on a stale reading."""
    catalogue = uuid4()
    store.append(Save(records(catalogue, 1)), NOON)
    read_at: dict[UUID, int] = {}

    def work(number: int) -> None:
        for _ in range(10):
            version = len(store.read_stream(catalogue))
            stream = uuid4()
            save = (
                Save(records(catalogue, version + 1))
                if number % 4 == 0
                else Save(records(stream, 1), expected=[(catalogue, version)])
            )
            try:
                store.append(save, NOON)
                read_at[stream] = version
            except StaleSave:
                pass

    together(work)
    version = 0
    for row in store.read_log(0, 10_000):
        if row.stream == catalogue:
            version = row.version
        else:
            assert read_at[row.stream] == version
