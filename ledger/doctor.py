"""`ledger.doctor`: what somebody who runs a ledger should look at, all at once, and what to do about each.

It looks at what is beside the rules: charges that are stuck, invoices of which a step failed, customers whom no worker
advances, views that read too much when they are next asked, usage that was set aside, late usage that somebody has to
decide about; and at the chains of the history, where that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from aggregates.charges.late_events import LateOutcome
from ledger.audit.group import Audit
from ledger.audit.report import Progress, Report
from ledger.context import Context
from ledger.failing import FailingInvoice, FailingInvoices
from ledger.late_usage import LateUsage
from ledger.metering.usage import StoredUsage
from ledger.overlaps import Overlap
from ledger.projections import Projections
from ledger.stuck import StuckCharge
from ledger.usage import Usage
from ledger.views import Views
from projections.stores.tables import Status

OVERDUE = timedelta(hours=1)
"""How late an advance may be before somebody should look whether a worker runs."""

BEHIND = 10_000
"""How many positions a view may be behind: a query that brings it to the head notices more than that."""

PAGE = 1_000


class Overdue(msgspec.Struct, frozen=True):
    """A customer with charges that should have moved long ago and are not stuck; `since` is the earliest, UTC."""

    customer: str
    charges: tuple[UUID, ...]
    since: datetime


class LaggingView(msgspec.Struct, frozen=True):
    """A view that is far behind the log, or of another version than this release folds; `version` 0: never built."""

    view: str
    version: int
    expected_version: int
    behind: int


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at an instant, with the log at a position. `chains` is absent where it was not asked for.

    `overlaps` are shown and not counted: they are what a policy asked for, and nothing makes them go away.
    """

    at: datetime
    position: int
    stuck: tuple[StuckCharge, ...] = ()
    failing: tuple[FailingInvoice, ...] = ()
    overdue: tuple[Overdue, ...] = ()
    views: tuple[LaggingView, ...] = ()
    conflicts: tuple[StoredUsage, ...] = ()
    late_usage: tuple[LateUsage, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    chains: Report | None = None

    @property
    def found(self) -> int:
        """How many things there are to look at."""
        broken = self.chains.found if self.chains is not None else 0
        parts = (self.stuck, self.failing, self.overdue, self.views, self.conflicts, self.late_usage)
        return sum(len(part) for part in parts) + broken

    @property
    def healthy(self) -> bool:
        """Whether there is nothing."""
        return self.found == 0


class Doctor:
    """Looks at a ledger and changes nothing, but that it brings the views it reads up to date."""

    def __init__(
        self,
        context: Context,
        *,
        views: Views,
        projections: Projections,
        usage: Usage,
        audit: Audit,
        failing: FailingInvoices,
    ) -> None:
        self._context = context
        self._views = views
        self._projections = projections
        self._usage = usage
        self._audit = audit
        self._failing = failing

    def examine(
        self,
        *,
        overdue: timedelta = OVERDUE,
        behind: int = BEHIND,
        conflicts_since: datetime | None = None,
        chains: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> Diagnosis:
        """Everything that somebody should look at.

        Args:
            overdue: How late an advance may be.
            behind: How many positions of the log a view may be behind.
            conflicts_since: Only usage that was set aside from then on; all of it by default.
            chains: Whether to check every byte and chain as well, which reads the whole log.
            progress: Told how far the chains are.

        Raises `Unavailable` when the store does not answer.
        """
        now = self._context.now()
        views = tuple(self._lagging(behind))
        stuck = tuple(self._stuck())
        return Diagnosis(
            at=now,
            position=self._context.repository.store.head(),
            stuck=stuck,
            failing=tuple(self._failing.find()),
            overdue=tuple(self._overdue(now - overdue, {each.charge for each in stuck})),
            views=views,
            conflicts=tuple(self._conflicts(conflicts_since)),
            late_usage=tuple(self._asked()),
            overlaps=self._views.overlaps(),
            chains=self._audit.verify(chains_only=True, progress=progress) if chains else None,
        )

    def _stuck(self) -> Iterator[StuckCharge]:
        after = None
        while True:
            page = self._views.stuck_charges(after=after, limit=PAGE)
            yield from page.items
            after = page.next
            if after is None:
                return

    def _asked(self) -> Iterator[LateUsage]:
        """Late usage that somebody has to bill or to dismiss."""
        after = None
        while True:
            page = self._usage.late(outcome=LateOutcome.ASKED.value, after=after, limit=PAGE)
            yield from page.items
            after = page.next
            if after is None:
                return

    def _overdue(self, bound: datetime, stuck: set[UUID]) -> Iterator[Overdue]:
        for customer in self._due_by(bound):
            rows = self._context.repository.store.charges_of(self._context.namespace, customer, bound)
            late = [(row.advance_after, row.charge) for row in rows if row.charge not in stuck]
            moments = [moment for moment, _ in late if moment is not None]
            if moments:
                yield Overdue(customer, tuple(charge for _, charge in late), min(moments))

    def _due_by(self, bound: datetime) -> Iterator[str]:
        after = ""
        while True:
            page = self._context.repository.store.due_customers(self._context.namespace, bound, after, PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1]

    def _lagging(self, behind: int) -> Iterator[LaggingView]:
        live = {each.view: each for each in self._projections.status() if each.status == Status.LIVE.value}
        for view, expected in self._projections.versions().items():
            found = live.get(view)
            version, lag = (found.version, found.behind) if found else (0, self._context.repository.store.head())
            if version != expected or lag > behind:
                yield LaggingView(view, version, expected, lag)

    def _conflicts(self, since: datetime | None) -> Iterator[StoredUsage]:
        after = 0
        while True:
            page = self._usage.conflicts(after=after, limit=PAGE)
            yield from (each for each in page if since is None or each.stored_at >= since)
            if len(page) < PAGE:
                return
            after = page[-1].place
