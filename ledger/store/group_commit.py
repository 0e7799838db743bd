"""Group commit inside a process: threads that save at the same time share one transaction.

The thread that finds nobody writing writes at once, so a lone writer pays nothing for this. Whoever comes while it
writes waits, and the first of them writes for all of them next. Every save keeps its own outcome: a lost race or a
save the database refuses fails for its own caller alone.

Saves that touch the same stream, key or receipt never share a group: the later one waits for the next, where it meets
the database's own verdict.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Lock
from typing import NamedTuple
from uuid import UUID

from aggregates.values.errors import Unavailable
from ledger.store import claims
from ledger.store.claims import Hold
from ledger.store.store import Save, Saved, StaleSave

RECORDS_MAX = 500
"""A group grows no larger than this: bigger ones gain nothing and make the others wait."""

PATIENCE = 0.1
"""How long a group waits for those who were just answered and are likely to be back: this part of the last write."""


class Job(NamedTuple):
    """A save on its way: with what it claims, and the log time it asks for."""

    save: Save
    versions: Sequence[tuple[UUID, int]]
    holds: Sequence[Hold]
    now: datetime


Verdicts = Sequence[Saved | None]
"""Where each save of a group landed; None for one that lost a race."""

Write = Callable[[Sequence[Job]], Verdicts]


class _Ticket:
    """One caller's place in the queue."""

    __slots__ = ("job", "leads", "outcome", "woken")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.outcome: Saved | BaseException | None = None
        self.leads = False
        self.woken = Lock()
        self.woken.acquire()


class GroupCommit:
    """Hands groups of saves to `write`, one group at a time. Safe to share between threads."""

    def __init__(self, write: Write, records_max: int = RECORDS_MAX) -> None:
        self._write = write
        self._records_max = records_max
        self._mutex = Lock()
        self._busy = False
        self._queue: deque[_Ticket] = deque()
        self._took = 0.0
        self._crowd = 0

    def submit(self, job: Job) -> Saved:
        """Write the save, alone or with others. Raises `StaleSave`, or what writing it raised."""
        ticket = _Ticket(job)
        with self._mutex:
            if self._busy:
                self._queue.append(ticket)
            else:
                self._busy = ticket.leads = True
        if not ticket.leads:
            self._wait(ticket)
        if ticket.leads:
            self._lead(ticket)
        if isinstance(ticket.outcome, BaseException):
            raise ticket.outcome
        assert ticket.outcome is not None, "a save left the queue without an outcome"
        return ticket.outcome

    def _wait(self, ticket: _Ticket) -> None:
        try:
            ticket.woken.acquire()
        except BaseException:
            # Interrupted while waiting: leave the queue, and do not take the lead away with us.
            with self._mutex:
                if ticket in self._queue:
                    self._queue.remove(ticket)
            if ticket.leads:
                self._hand_over(0)
            raise

    def _lead(self, own: _Ticket) -> None:
        group = [own]
        try:
            self._gather()
            with self._mutex:
                group += self._companions(own.job)
            _settle(group, self._timed)
        except BaseException as error:
            for ticket in group:
                ticket.outcome = ticket.outcome or _for_others(error)
            raise
        finally:
            for ticket in group[1:]:
                ticket.woken.release()
            self._hand_over(len(group))

    def _timed(self, jobs: Sequence[Job]) -> Verdicts:
        began = time.monotonic()
        try:
            return self._write(jobs)
        finally:
            self._took = time.monotonic() - began

    def _gather(self) -> None:
        """Wait a moment for the others of the crowd: without it, two halves of it would take turns for ever."""
        step = self._took * PATIENCE / 4
        for _ in range(4):
            if len(self._queue) >= self._crowd - 1:
                return
            time.sleep(step)

    def _companions(self, first: Job) -> list[_Ticket]:
        """Those waiting who can share a transaction with the first and with one another, in order of arrival."""
        footprint = _Footprint()
        footprint.add(first)
        records = len(first.save.records)
        taken: list[_Ticket] = []
        left: deque[_Ticket] = deque()
        while self._queue:
            ticket = self._queue.popleft()
            records += len(ticket.job.save.records)
            if records > self._records_max or not footprint.add(ticket.job):
                records -= len(ticket.job.save.records)
                left.append(ticket)
            else:
                taken.append(ticket)
        self._queue = left
        return taken

    def _hand_over(self, written: int) -> None:
        """Wake the next to write, when somebody waits. All who were there meanwhile are the crowd."""
        with self._mutex:
            self._crowd = written + len(self._queue)
            if not self._queue:
                self._busy = False
                return
            successor = self._queue.popleft()
            successor.leads = True
        successor.woken.release()


class _Footprint:
    """What the saves of a group touch: streams written and streams relied on, keys, receipts."""

    def __init__(self) -> None:
        self._written: set[object] = set()
        self._relied_on: set[object] = set()
        self._keys: set[object] = set()

    def add(self, job: Job) -> bool:
        """Take the job in when it meets nothing of those before it; say whether it was."""
        save = job.save
        written = {record.stream for record in save.records}
        relied_on = {stream for stream, _ in job.versions}
        keys: set[object] = {hold[:4] for hold in job.holds}
        keys.update(row.charge for row in save.charge_index)
        if save.receipt is not None:
            keys.add((save.receipt.namespace, save.receipt.customer, save.receipt.command_id))
        if (
            not written.isdisjoint(self._relied_on)
            or not written.isdisjoint(self._written)
            or not relied_on.isdisjoint(self._written)
            or not keys.isdisjoint(self._keys)
        ):
            return False
        self._written |= written
        self._relied_on |= relied_on
        self._keys |= keys
        return True


def _settle(group: list[_Ticket], write: Write) -> None:
    """Write a group and note every outcome; one save that the database refuses does not take the others down."""
    try:
        verdicts = write([ticket.job for ticket in group])
    except Unavailable:
        raise  # writing them one by one would not make the store answer
    except Exception:
        if len(group) == 1:
            raise
        for ticket in group:
            try:
                _settle([ticket], write)
            except Exception as error:  # noqa: BLE001 - it is raised in the thread it belongs to
                ticket.outcome = error
        return
    for ticket, saved in zip(group, verdicts, strict=True):
        ticket.outcome = saved if saved is not None else StaleSave()


def _for_others(error: BaseException) -> BaseException:
    """What went wrong, for those who waited; an interrupt is for the thread that was interrupted alone."""
    return error if isinstance(error, Exception) else Unavailable("the store", "whoever wrote for all was interrupted")


def job(save: Save, now: datetime, *, checked: bool = True) -> Job:
    """A save with its claims worked out. Raises `StaleSave` when it contradicts itself.

    Unchecked saves come from the library's own face and rely on the unique key of the table alone.
    """
    holds = claims.holds(save.reservations)
    if holds is None:
        raise StaleSave
    return Job(save, claims.versions(save) if checked else save.expected, holds, now)
