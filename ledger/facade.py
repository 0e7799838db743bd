"""`Ledger`: one open ledger and everything it can do, grouped the way a user thinks.

    with Ledger.open("sqlite:///ledger.db") as ledger:
        ledger.customers.create("acme")
        ledger.credits.grant("acme", "100", expires_at="2026-12-31T00:00:00Z")
        ledger.charges.advance("acme")
        print(ledger.views.balance("acme", "USD").settled)

The groups are thin: they validate, look up, ask ports, let the aggregates decide, and save. One clock gives every
"now"; the database comes from a URL.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from aggregates.event import AnyRecorded
from aggregates.policies import Policies
from aggregates.values.errors import ConcurrentChange, LedgerMissing, PreconditionFailed
from ledger.audit.group import Audit
from ledger.catalogue import Catalogue
from ledger.charges import Charges
from ledger.context import Context
from ledger.credits import Credits
from ledger.customers import Customers
from ledger.doctor import Doctor
from ledger.domain import AGGREGATES
from ledger.failing import FailingInvoices
from ledger.invoices import Invoices
from ledger.late_usage import LateUsageFinder, LateUsageList
from ledger.live import Live
from ledger.metering.open import open_usage_store
from ledger.metering.store import UsageStore
from ledger.outside import Outside
from ledger.periods import Periods
from ledger.ports import Clock, InvoicingSystem, Probe, SystemClock, Taxes, no_probe
from ledger.projections import Projections
from ledger.settings import Settings
from ledger.statements import Statements
from ledger.store import mapper
from ledger.store.follow import Follower
from ledger.store.open import open_store, sqlite_path
from ledger.store.overlay import OverlayStore
from ledger.store.repository import Repository
from ledger.store.store import StaleSave, Store
from ledger.store.uuid7 import uuid7
from ledger.usage import Usage
from ledger.views import Views
from ledger.worker import Worker
from projections.catalogue import PROJECTIONS
from projections.stores.open import open_views


class Ledger:
    """An open ledger in one namespace. Use `Ledger.open`; close it, or use it as a context manager."""

    def __init__(
        self,
        *,
        store: Store,
        usage_store: UsageStore,
        follower: Follower,
        clock: Clock,
        namespace: str,
        actor: str,
        probe: Probe,
        taxes: Taxes | None = None,
        invoicing: InvoicingSystem | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.namespace = namespace
        self.actor = actor
        self.usage_store = usage_store
        self.follower = follower
        self.probe = probe
        self.taxes = taxes
        self.invoicing = invoicing
        context = Context(
            Repository(store, AGGREGATES),
            namespace=namespace,
            clock=clock,
            mint=uuid7,
            actor=actor,
            probe=probe,
            follower=follower,
            taxes=taxes,
            invoicing=invoicing,
        )
        self.setbacks = context.setbacks
        self.settings = Settings(context)
        self.periods = Periods(context)
        self.customers = Customers(context)
        self.catalogue = Catalogue(context)
        late = LateUsageList(context, follower)
        self.usage = Usage(context, usage_store, late)
        self.charges = Charges(context, usage_store)
        self.invoices = Invoices(context, self.charges.rounds, self.charges)
        self.credits = Credits(context, self.charges)
        self.outside = Outside(context, self.charges)
        self.late_usage = LateUsageFinder(context, follower, usage_store, self.charges.facts)
        failing = FailingInvoices(context, follower)
        self.worker = Worker(
            context,
            charges=self.charges,
            invoices=self.invoices,
            outside=self.outside,
            late=self.late_usage,
            failing=failing,
        )
        self.views = Views(context, follower)
        self.statements = Statements(context, follower)
        self.live = Live(context, self.views, self.credits, self.charges, usage_store)
        self.projections = Projections(follower)
        self.audit = Audit(context, follower, usage_store)
        self.doctor = Doctor(
            context,
            views=self.views,
            projections=self.projections,
            usage=self.usage,
            audit=self.audit,
            failing=failing,
        )

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Clock | None = None,
        namespace: str = "default",
        actor: str = "api",
        policies: Policies | None = None,
        create: bool = True,
        probe: Probe = no_probe,
        taxes: Taxes | None = None,
        invoicing: InvoicingSystem | None = None,
    ) -> Ledger:
        """Open a ledger, making its tables where they are missing.

        Args:
            url: "memory:", "sqlite:///file.db", "sqlite:////absolute/file.db" or "postgresql://user@host/database".
            clock: Where every "now" comes from: the system by default, a `SettableClock` for tests and trials.
            namespace: One tenant; customers, keys and policies are its own.
            actor: Who acts, for the record: it stands in the envelope of every event.
            policies: What a new namespace starts with; `Policies.standard()` by default. Ignored by one that exists.
            create: Whether a missing SQLite file is made and a new namespace opened; otherwise it is `LedgerMissing`.
            probe: Called with a name before every port, pool decision and store call; for fault tests.
            taxes: Calculates the tax of invoices; with nobody there, invoices say that none was calculated.
            invoicing: Makes the invoices, under the policy `invoicing = outside`; see `ledger.outside`.

        Raises:
            ValidationFailed: a URL that names no store, or a database that is somebody else's.
            LedgerMissing: no such file or namespace, and `create` is off.
            Unavailable: the server does not answer.
        """
        path = sqlite_path(url)
        if not create and path is not None and not Path(path).exists():
            raise LedgerMissing(path)
        ticking = clock or SystemClock()
        mapper.make_ready()
        with ExitStack() as opened:
            store = opened.enter_context(closing(open_store(url)))
            store.probe = probe if probe is not no_probe else None
            tables = opened.enter_context(closing(open_views(url)))
            ledger = cls(
                store=store,
                usage_store=open_usage_store(store, probe, ticking),
                follower=Follower(store, tables, PROJECTIONS),
                clock=ticking,
                namespace=namespace,
                actor=actor,
                probe=probe,
                taxes=taxes,
                invoicing=invoicing,
            )
            if create:
                ledger.settings.establish(policies)
            elif not ledger.settings.is_established():
                raise LedgerMissing(f"namespace {namespace!r}")
            opened.pop_all()  # all went well: it is the ledger's to close
        return ledger

    @contextmanager
    def dry_run(self) -> Generator[DryRun]:
        """The same ledger, with everything sent to it kept in memory and thrown away at the end.

            with ledger.dry_run() as trial:
                trial.charges.advance("acme")
                for event in trial.events: ...

        Views answer as the real ledger stands: what is tried does not show in them.
        """
        yield DryRun(self)

    @contextmanager
    def plan(self) -> Generator[Plan]:
        """A dry run of one command that can be carried out as it was decided, if nothing it relied on has moved.

        with ledger.plan() as plan:
            plan.charges.advance("acme")
            if looks_right(plan.events):
                plan.commit()
        """
        yield Plan(self)

    def close(self) -> None:
        """Give files and connections back. May be called twice."""
        self.usage_store.close()
        self.follower.tables.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class DryRun(Ledger):
    """A ledger over an overlay: commands decide as they would, and nothing is written."""

    def __init__(self, ledger: Ledger) -> None:
        self._overlay = OverlayStore(ledger.store)
        super().__init__(
            store=self._overlay,
            usage_store=ledger.usage_store,
            follower=ledger.follower,
            clock=ledger.clock,
            namespace=ledger.namespace,
            actor=ledger.actor,
            probe=ledger.probe,
            taxes=ledger.taxes,
            invoicing=None,
        )
        self.usage.checks_only = True
        self.late_usage.remembers = False
        self.outside.hands_over = False

    @property
    def events(self) -> list[AnyRecorded]:
        """The events that would have been appended, in order."""
        return [mapper.decode(row.name, row.data) for row in self._overlay.appended]

    def close(self) -> None:
        """Nothing of its own to give back."""


class Plan(DryRun):
    """What one command would do, held until it is committed or thrown away (decision 9)."""

    def commit(self) -> None:
        """Append exactly what was planned.

        Raises:
            PreconditionFailed: the plan is not one save: it is empty, or a command of several units.
            ConcurrentChange: a stream that was read has moved, a key was taken, or another charge has become due
                since; make a new plan.
        """
        if len(self._overlay.saves) != 1:
            raise PreconditionFailed(
                f"a plan is one save, and this one has {len(self._overlay.saves)}; send the command itself instead"
            )
        try:
            self._overlay.commit()
        except StaleSave:
            raise ConcurrentChange("what the plan relied on") from None
