"""Threads that save at the same time share a commit, and keep their own outcomes."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from aggregates.values.errors import Unavailable
from ledger.store.group_commit import GroupCommit, Job, Verdicts, job
from ledger.store.store import Reservation, Save, Saved, StaleSave
from tests.unit.ledger.store.stores import NOON, receipt_of, records

SECONDS = 10


class Desk:
    """Writes groups when it is told to, and remembers them. `refuse` says what is wrong with a job, or None."""

    def __init__(self, refuse: Callable[[Job], BaseException | None] = lambda each: None) -> None:
        self.groups: list[list[UUID]] = []
        self.group = GroupCommit(self.write)
        self.refuse = refuse
        self.open = threading.Event()
        self.busy = threading.Event()

    def write(self, jobs: Sequence[Job]) -> Verdicts:
        self.groups.append([each.save.records[0].stream for each in jobs])
        self.busy.set()
        assert self.open.wait(SECONDS)
        for each in jobs:
            error = self.refuse(each)
            if error is not None:
                raise error
        return [Saved(1, 1, NOON) if each.save.records[0].version < 99 else None for each in jobs]

    def submit(self, *saves: Save) -> list[Future[Saved]]:
        """The first save is being written while the others arrive, in this order; then the desk opens."""
        pool = ThreadPoolExecutor(len(saves))
        futures: list[Future[Saved]] = []
        for number, save in enumerate(saves):
            futures.append(pool.submit(self.group.submit, job(save, NOON)))
            if number == 0:
                assert self.busy.wait(SECONDS)
            else:
                self._until(lambda: len(self.group._queue) == len(futures) - 1)
        self.open.set()
        pool.shutdown()
        return futures

    @staticmethod
    def _until(condition: Callable[[], bool]) -> None:
        for _ in range(SECONDS * 1000):
            if condition():
                return
            threading.Event().wait(0.001)
        raise AssertionError("it never came to that")


def save(stream: UUID, version: int = 1) -> Save:
    return Save(records(stream, version))


def test_a_lone_writer_writes_at_once_in_its_own_thread() -> None:
    threads: list[threading.Thread] = []

    def write(jobs: Sequence[Job]) -> Verdicts:
        threads.append(threading.current_thread())
        return [Saved(1, 1, NOON)]

    assert GroupCommit(write).submit(job(save(uuid4()), NOON)) == Saved(1, 1, NOON)
    assert threads == [threading.current_thread()]


def test_those_who_come_while_one_writes_are_written_together() -> None:
    desk = Desk()
    first, second, third, fourth = (uuid4() for _ in range(4))

    futures = desk.submit(save(first), save(second), save(third), save(fourth))

    assert desk.groups == [[first], [second, third, fourth]]
    assert [future.result() for future in futures] == [Saved(1, 1, NOON)] * 4


def test_a_lost_race_fails_for_its_own_caller_alone() -> None:
    desk = Desk()
    first, second, third, fourth = desk.submit(save(uuid4()), save(uuid4()), save(uuid4(), 99), save(uuid4()))

    with pytest.raises(StaleSave):
        third.result()
    assert [future.result().first for future in (first, second, fourth)] == [1, 1, 1]


def test_a_save_that_the_database_refuses_fails_for_its_own_caller_alone() -> None:
    bad = uuid4()
    desk = Desk(lambda each: ValueError("no") if each.save.records[0].stream == bad else None)
    good = [uuid4() for _ in range(3)]

    futures = desk.submit(save(good[0]), save(good[1]), save(bad), save(good[2]))

    with pytest.raises(ValueError, match="no"):
        futures[2].result()
    assert [futures[number].result().first for number in (0, 1, 3)] == [1, 1, 1]
    assert desk.groups == [[good[0]], [good[1], bad, good[2]], [good[1]], [bad], [good[2]]]


def test_a_store_that_does_not_answer_is_not_asked_again_for_each() -> None:
    desk = Desk(lambda each: Unavailable("the store", "gone"))
    futures = desk.submit(save(uuid4()), save(uuid4()), save(uuid4()))

    for future in futures:
        with pytest.raises(Unavailable):
            future.result()
    assert len(desk.groups) == 2


def test_an_interrupt_is_for_the_thread_it_hit_and_the_next_goes_on() -> None:
    desk = Desk()
    interrupted = uuid4()
    desk.refuse = lambda each: KeyboardInterrupt() if each.save.records[0].stream == interrupted else None
    futures = desk.submit(save(uuid4()), save(interrupted), save(uuid4()))

    assert futures[0].result() == Saved(1, 1, NOON)
    with pytest.raises(KeyboardInterrupt):
        futures[1].result()
    with pytest.raises(Unavailable):
        futures[2].result()
    desk.refuse = lambda each: None
    assert desk.group.submit(job(save(uuid4()), NOON)) == Saved(1, 1, NOON)


def test_saves_that_meet_never_share_a_group() -> None:
    """The third writes the second's stream, the fourth relies on it, the fifth does neither and goes ahead."""
    desk = Desk()
    shared, read, other = uuid4(), uuid4(), uuid4()

    desk.submit(
        save(uuid4()),
        save(shared),
        save(shared, 2),
        Save(records(read, 1), expected=[(shared, 1)]),
        save(other),
    )

    assert desk.groups[1:] == [[shared, other], [shared], [read]]


def test_saves_that_only_read_the_same_stream_do_share_one() -> None:
    desk = Desk()
    catalogue, one, two = uuid4(), uuid4(), uuid4()

    desk.submit(save(uuid4()), *(Save(records(each, 1), expected=[(catalogue, 3)]) for each in (one, two)))

    assert desk.groups[1:] == [[one, two]]


def test_saves_of_one_key_or_one_command_never_share_a_group() -> None:
    desk = Desk()
    streams = [uuid4() for _ in range(4)]
    command = uuid4()
    key = Reservation("default", "acme", "key", "k", uuid4())

    desk.submit(
        save(uuid4()),
        Save(records(streams[0], 1), reservations=[key]),
        Save(records(streams[1], 1), reservations=[key]),
        Save(records(streams[2], 1), receipt_of([], command)),
        Save(records(streams[3], 1), receipt_of([], command)),
    )

    assert desk.groups[1:] == [[streams[0], streams[2]], [streams[1], streams[3]]]


def test_a_group_has_a_limit() -> None:
    desk = Desk()
    desk.group = GroupCommit(desk.write, records_max=4)
    streams = [uuid4() for _ in range(4)]

    desk.submit(save(uuid4()), *(Save(records(stream, 1, 2)) for stream in streams))

    assert desk.groups[1:] == [streams[:2], streams[2:]]
