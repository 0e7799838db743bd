"""`ledger.worker`: everything that is due is advanced, customer by customer; once, or for as long as it runs.

The worker asks the index which customers have a charge whose `advance_after` has come, calls the customer-scoped
advance for each, invoices what it has gathered, and moves its invoices on; a step of an invoice that failed is
repeated (`ledger.failing`). A failing customer is logged with its id and
does not stop the others (lifecycles §15).

Any number of workers may follow one ledger. Whoever loses a race decides again and finds the work done, so nothing is
booked twice; that this happens seldom is why each begins elsewhere among the customers, and why those that share a
process leave out whom another is at.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Protocol
from uuid import UUID, uuid5

import msgspec

from aggregates.values.errors import LedgerError, Unavailable
from ledger.advance import FailedAdvance
from ledger.charges import Charges
from ledger.context import CommandId, Context
from ledger.failing import FailingInvoices
from ledger.invoices import Invoices
from ledger.late_usage import LateUsageFinder
from ledger.outside import Outside
from ledger.validation import command_id as identified

log = logging.getLogger(__name__)

PAGE = 200

LAPS = 10
"""How often a pass goes round one customer at most; the next pass goes on from there."""

INTERVAL = timedelta(seconds=30)
"""How long a worker rests at most: charges that another process makes come due meanwhile."""

FIRST_RETRY = timedelta(seconds=1)
"""How long a worker waits after the first pass in a row that the store did not answer; each further wait is doubled."""


class FailedCustomer(msgspec.Struct, frozen=True):
    """A customer that could not be advanced, and why; the next pass tries again."""

    customer: str
    code: str
    message: str


class WorkerReport(msgspec.Struct, frozen=True):
    """What one pass did. `stuck` are charges that refused while their customer's others were advanced.

    `invoiced` counts the invoices that were made or moved on, `busy` the customers that another worker of this process
    was at, `repeated` those of which a failed step was repeated and came to something else, `failing` those that fail
    as before, `late` the charges for which late usage was found. `delivered` counts what an invoicing system outside
    was handed, `undelivered` tells why it did not take the rest. `unavailable` tells why the pass ended early: the
    store did not answer.
    """

    succeeded: tuple[str, ...] = ()
    failed: tuple[FailedCustomer, ...] = ()
    stuck: tuple[FailedAdvance, ...] = ()
    moved: int = 0
    busy: int = 0
    invoiced: int = 0
    repeated: int = 0
    failing: int = 0
    delivered: int = 0
    undelivered: str | None = None
    late: int = 0
    unavailable: str | None = None

    @property
    def is_idle(self) -> bool:
        """Whether there was nothing that could be moved."""
        return not (self.moved or self.invoiced or self.repeated or self.delivered or self.busy or self.unavailable)


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """One pass of a worker that goes on: its number from 1, when it began, what it did, and how long it rests now."""

    number: int
    at: datetime
    report: WorkerReport
    rest: timedelta


class Stopping(Protocol):
    """How a worker is asked to end; a `threading.Event` will do, or a `Stop` where a signal handler asks."""

    def is_set(self) -> bool:
        """Whether it was asked."""
        ...

    def wait(self, timeout: float) -> bool:
        """Rest for so many seconds, or until it is asked; whether it was."""
        ...


class Stop:
    """Asks workers to end. Unlike an event, it may be set by a signal handler that interrupts the very wait for it."""

    def __init__(self) -> None:
        self._asked = False
        self._wake: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Ask: a worker ends after the customer that it is at."""
        self._asked = True
        self._wake.put(None)

    def is_set(self) -> bool:
        """Whether it was asked."""
        return self._asked

    def wait(self, timeout: float) -> bool:
        """Rest for so many seconds, or until it is asked; whether it was."""
        if not self._asked:
            with suppress(Empty):
                self._wake.get(timeout=timeout)
        if self._asked:
            self._wake.put(None)  # another worker may wait for the same
        return self._asked


Progress = Callable[[str, int, int], None]
"""Told (customer, done, all) after each customer."""


class Worker:
    """Follows the clock: whatever is due is advanced."""

    def __init__(
        self,
        context: Context,
        *,
        charges: Charges,
        invoices: Invoices,
        outside: Outside,
        late: LateUsageFinder,
        failing: FailingInvoices,
    ) -> None:
        self._context = context
        self._charges = charges
        self._invoices = invoices
        self._outside = outside
        self._late = late
        self._failing = failing
        self._busy: set[str] = set()
        self._choosing = threading.Lock()

    def due_customers(self) -> list[str]:
        """Customers with something due now, sorted."""
        out: list[str] = []
        while True:
            after = out[-1] if out else ""
            page = self._context.repository.store.due_customers(
                self._context.namespace, self._context.now(), after, PAGE
            )
            out += page
            if len(page) < PAGE:
                return out

    def run_once(
        self,
        *,
        command_id: CommandId = None,
        progress: Progress | None = None,
        stop: Stopping | None = None,
    ) -> WorkerReport:
        """Advance every customer that has something due, invoice what it has gathered, and move its invoices on.

        What was stored since the last pass is looked through first: late usage makes its charge due (decision 24).
        `stop` ends the pass after the customer it is at. Two passes at once are safe.

        Raises `Unavailable` when the store does not answer at the beginning; later that is told in the report.
        """
        identity = identified(command_id, self._context.namespace, self._context.mint)
        tally = _Tally()
        self._find_late(tally, stop)
        failing = self._failing.by_customer()
        due = self.due_customers()
        due += sorted(set(failing).difference(due))
        return self._advance(due, failing, identity=identity, progress=progress, stop=stop, tally=tally)

    def run(
        self,
        *,
        stop: Stopping | None = None,
        interval: timedelta = INTERVAL,
        until_idle: bool = False,
        told: Callable[[Pass], None] | None = None,
        progress: Progress | None = None,
    ) -> Pass:
        """Pass after pass, with a rest in between until something comes due, and for `interval` at most.

        A store that does not answer is tried again: after a second, then two, four, up to `interval`.

        Args:
            stop: Ends it, within the pass after the customer it is at; without it only `until_idle` does.
            interval: The longest rest; above zero.
            until_idle: End after the first pass that moved nothing.
            told: Called after each pass.
            progress: Called after each customer.

        Answers the last pass.
        """
        if interval <= timedelta(0):
            raise ValueError("a worker rests for longer than nothing")
        stopping = stop or Stop()
        number, outages = 0, 0
        while True:
            number += 1
            began = self._context.now()
            report = self._pass(progress, stopping)
            outages = outages + 1 if report.unavailable is not None else 0
            ends = stopping.is_set() or (until_idle and report.is_idle)
            goes_on = until_idle and bool(report.moved or report.invoiced or report.repeated)
            rest = timedelta(0) if ends or goes_on else self._rest(began, interval, outages)
            done = Pass(number=number, at=began, report=report, rest=rest)
            if told is not None:
                told(done)
            if ends or stopping.wait(rest.total_seconds()):
                return done

    def _pass(self, progress: Progress | None, stop: Stopping) -> WorkerReport:
        """One pass that begins somewhere among the customers, each time and for each worker somewhere else."""
        identity, tally = self._context.mint(), _Tally()
        try:
            self._find_late(tally, stop)
            failing = self._failing.by_customer()
            due = self.due_customers()
            due += sorted(set(failing).difference(due))
        except Unavailable as outage:
            log.warning("the worker waits: %s", outage)
            return WorkerReport(unavailable=str(outage))
        first = identity.int % len(due) if due else 0
        due = [*due[first:], *due[:first]]
        return self._advance(due, failing, identity=identity, progress=progress, stop=stop, tally=tally)

    def _find_late(self, tally: _Tally, stop: Stopping | None) -> None:
        """Look for late usage; what hinders that does not keep customers from being advanced."""
        try:
            tally.late = self._late.find(stop)
        except Unavailable:
            raise
        except LedgerError as error:
            tally.failed.append(self._failed("", error.code, error))

    def _rest(self, began: datetime, interval: timedelta, outages: int) -> timedelta:
        """How long to rest: until something comes due, or longer each time the store does not answer.

        What came due while the pass went on counts; what was due before it and could not move waits for `interval`.
        """
        if outages:
            return min(interval, FIRST_RETRY * (1 << min(outages - 1, 16)))
        try:
            due = self._context.repository.store.next_due(self._context.namespace, began)
        except Unavailable:
            return min(interval, FIRST_RETRY)
        return interval if due is None else max(timedelta(0), min(interval, due - self._context.now()))

    def _advance(
        self,
        due: Sequence[str],
        failing: Mapping[str, Sequence[UUID]],
        *,
        identity: UUID,
        progress: Progress | None,
        stop: Stopping | None,
        tally: _Tally,
    ) -> WorkerReport:
        for done, customer in enumerate(due, start=1):
            if stop is not None and stop.is_set():
                break
            if not self._take(customer):
                tally.busy += 1
                continue
            try:
                self._move(customer, identity, tally)
                for invoice in failing.get(customer, ()):
                    repeated = self._invoices.repeat(invoice, command_id=uuid5(identity, f"repeat:{invoice}"))
                    tally.repeated += repeated
                    tally.failing += not repeated
            except LedgerError as error:
                tally.failed.append(self._failed(customer, error.code, error))
                if isinstance(error, Unavailable) and (outage := self._outage()) is not None:
                    tally.unavailable = str(outage)
                    break
            except Exception as error:  # noqa: BLE001 - a defect that one customer meets is not for the others to bear
                tally.failed.append(self._failed(customer, "defect", error))
            else:
                tally.succeeded.append(customer)
            finally:
                self._busy.discard(customer)
            if progress is not None:
                progress(customer, done, len(due))
        if tally.unavailable is None:
            self._deliver(tally)
        return tally.report()

    def _move(self, customer: str, identity: UUID, tally: _Tally) -> None:
        """Advance and invoice a customer until nothing moves: what an invoice did may let its charges go on.

        So a pass leaves nothing to do at its moment, and the same pass sent again finds nothing.
        """
        failed: tuple[FailedAdvance, ...] = ()
        for lap in range(LAPS):
            name = f"{customer}:{lap}" if lap else customer
            answer = self._charges.advance(customer, command_id=uuid5(identity, name))
            tally.moved += len(answer.moved)
            round_ = self._invoices.move_due(customer, command_id=uuid5(identity, f"invoices:{name}"))
            tally.invoiced += len(round_.invoices)
            failed = (*answer.failed, *round_.failed)
            if not round_.invoices:
                break
        tally.stuck += failed

    def _deliver(self, tally: _Tally) -> None:
        """Hand over what an invoicing system outside has to know; what it does not take is tried with the next pass."""
        try:
            tally.delivered = self._outside.deliver()
        except LedgerError as error:
            log.warning("not everything was delivered: %s", error)
            tally.undelivered = str(error)

    def _take(self, customer: str) -> bool:
        """Take a customer for this worker, unless another of this process is at it."""
        with self._choosing:
            if customer in self._busy:
                return False
            self._busy.add(customer)
            return True

    def _failed(self, customer: str, code: str, error: Exception) -> FailedCustomer:
        """Log and count it (R-27), and tell it in the report."""
        message = str(error) if isinstance(error, LedgerError) else f"{type(error).__name__}: {error}"
        self._context.setbacks.note("worker_failed", customer, f"{message} ({code})", trace=code == "defect")
        return FailedCustomer(customer, code, message)

    def _outage(self) -> Unavailable | None:
        """Whether it is the store that does not answer, so that no other customer would fare better."""
        try:
            self._context.repository.store.head()
        except Unavailable as outage:
            return outage
        return None


class _Tally:
    """What a pass did so far."""

    def __init__(self) -> None:
        self.succeeded: list[str] = []
        self.failed: list[FailedCustomer] = []
        self.stuck: list[FailedAdvance] = []
        self.moved = 0
        self.busy = 0
        self.invoiced = 0
        self.repeated = 0
        self.failing = 0
        self.delivered = 0
        self.undelivered: str | None = None
        self.late = 0
        self.unavailable: str | None = None

    def report(self) -> WorkerReport:
        """The same as a record, customers in order."""
        return WorkerReport(
            succeeded=tuple(sorted(self.succeeded)),
            failed=tuple(sorted(self.failed, key=lambda each: each.customer)),
            stuck=tuple(self.stuck),
            moved=self.moved,
            busy=self.busy,
            invoiced=self.invoiced,
            repeated=self.repeated,
            failing=self.failing,
            delivered=self.delivered,
            undelivered=self.undelivered,
            late=self.late,
            unavailable=self.unavailable,
        )
