"""A turn: one charge, in the draft of one command, with the facts of that command. What guards read and work acts on.

Guards look at `charge` (with everything decided so far) and at `facts.now`; work emits events. Every row of a path
emits its own status event, made from the row itself by `moved`, so that a status comes from the table alone (R-07).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from aggregates.charges.events import ChargeEvent, Moved, RealizationRunClosed, RunClosedReason, RunVoidNoted
from aggregates.charges.facts import Facts
from aggregates.charges.intent import FlatFeeLayer, PurchaseLayer, SettlementMode, UsageLayer
from aggregates.charges.late import Ordered
from aggregates.charges.outside import recorded
from aggregates.charges.state import Charge, RunEntry
from aggregates.credits.events import SettlementMode as CreditMode
from aggregates.credits.pool import CreditPool
from aggregates.event import Stream
from aggregates.invoices.effects import InvoiceEffect, LineNotice
from aggregates.lifecycle import Row, Status, Trigger
from aggregates.outcome import Draft
from aggregates.policies import Invoicing, UsageCreditCut
from aggregates.runs import decisions as runs
from aggregates.runs import state as run_state
from aggregates.runs.events import VoidReason
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import ChargeNotFound
from aggregates.values.period import Instant

CREDIT_MODE = {
    SettlementMode.CREDIT_ONLY: CreditMode.CREDIT_ONLY,
    SettlementMode.CREDIT_THEN_INVOICE: CreditMode.CREDIT_THEN_INVOICE,
}
"""The charge's way of settling in the words of the credit pool."""


class Turn:
    """One charge while a decision is made about it.

    `notice` is what its invoice told it, `ordered` what somebody wants done about late usage, if that is what moves it.
    `run_ends` are the ends of the runs it may start, as they were known when meters were asked; None outside of
    advancing.
    """

    def __init__(self, draft: Draft, charge_id: UUID, facts: Facts) -> None:
        self.draft = draft
        self.charge_id = charge_id
        self.facts = facts
        self.notice: LineNotice | None = None
        self.run_ends: tuple[Instant, ...] | None = None
        self.ordered: Ordered | None = None
        self.detail: str | None = None
        """What was said of a payment that failed."""

    # ── what guards read ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def charge(self) -> Charge:
        """The charge with everything decided so far. Raises `ChargeNotFound`."""
        state: Charge | None = self.draft.state(self.charge_id)
        if not isinstance(state, Charge):
            raise ChargeNotFound(self.charge_id)
        return state

    @property
    def now(self) -> datetime:
        """The clock's reading, unrounded: a guard on an instant holds from the instant itself on."""
        return self.facts.now

    @property
    def usage(self) -> UsageLayer:
        """The effective layer of a usage-based charge."""
        layer = self.charge.intent.effective
        assert isinstance(layer, UsageLayer), f"charge {self.charge_id} is not usage based"
        return layer

    @property
    def fee(self) -> FlatFeeLayer:
        """The effective layer of a flat fee."""
        layer = self.charge.intent.effective
        assert isinstance(layer, FlatFeeLayer), f"charge {self.charge_id} is no flat fee"
        return layer

    @property
    def purchase(self) -> PurchaseLayer:
        """The layer of a credit purchase."""
        layer = self.charge.intent.effective
        assert isinstance(layer, PurchaseLayer), f"charge {self.charge_id} is no credit purchase"
        return layer

    @property
    def pool(self) -> CreditPool:
        """The credit pool of the charge with everything decided so far; empty before its first event."""
        stream = self.charge.pool
        assert self.draft.holds(stream.id), f"the pool {stream.id} has to be in hand before credit moves"
        state: CreditPool | None = self.draft.state(stream.id)
        return state if state is not None else CreditPool.empty(self.charge.currency)

    # ── what work does ───────────────────────────────────────────────────────────────────────────────────────

    def emit(self, event: ChargeEvent) -> None:
        """Decide an event of the charge."""
        self.draft.emit(self.charge.stream, event)

    def moved(self, to: Status, on: Trigger, advance_after: Instant | None) -> Moved:
        """A step from the present status."""
        return Moved(status_from=self.charge.status, status_to=to, trigger=on, advance_after=advance_after)

    def walked(self, row: Row[Turn], advance_after: Instant | None) -> Moved:
        """The step that a row of the path is."""
        assert self.charge.status is row.status, f"{row.rule} is walked from {self.charge.status}"
        return self.moved(row.to, row.on, advance_after)

    # ── the runs of the charge ───────────────────────────────────────────────────────────────────────────────

    def run_stream(self, run_id: UUID) -> Stream:
        """The stream of one of the charge's runs."""
        return run_state.stream(run_id, self.charge.customer)

    @property
    def current_run(self) -> RunEntry:
        """The current run, where the status says that there is one."""
        entry = self.charge.current_run
        assert entry is not None, f"charge {self.charge_id} is {self.charge.status} without a current run"
        return entry

    def credit_terms(self, run_id: UUID) -> runs.CreditTerms:
        """The credit that may cover a run of this charge.

        Usage and arrears count in the period they belong to, that is in the second before its end (decision 35). A
        flat fee takes the credit that is live when it is booked; the policy of the cut is for usage.
        """
        charge = self.charge
        tax = charge.identity.tax
        is_usage = isinstance(charge.intent.effective, UsageLayer)
        return runs.CreditTerms(
            pool=charge.pool,
            currency=charge.currency,
            cut=self.facts.policies.usage_credit_cut if is_usage else UsageCreditCut.PERIOD_END,
            mode=CREDIT_MODE[charge.identity.settlement_mode or SettlementMode.CREDIT_ONLY],
            accounting_date=self.accounting_date(run_id),
            now=self.facts.now,
            mint=self.facts.mint,
            tax_code=tax.tax_code_id if tax else None,
            tax_behavior=tax.behavior if tax else None,
            movement=self.movement,
        )

    @property
    def movement(self) -> runs.Movement:
        """What holds for every movement of this customer's credit."""
        facts = self.facts
        return runs.Movement(
            closed_until=facts.closed_until,
            restored_credit_grace=facts.policies.restored_credit_grace,
            zone=facts.zone,
            advance_limit=facts.advance_limit,
            history=facts.histories.get(self.charge.pool.id),
        )

    def overage_terms(self, run_id: UUID) -> runs.CreditTerms | None:
        """The fiat credit that may cover what is left of a run in a custom currency; None for other charges."""
        charge = self.charge
        if not charge.has_overage:
            return None
        return msgspec.structs.replace(
            self.credit_terms(run_id),
            pool=charge.fiat_pool,
            currency=charge.invoice_currency,
            movement=msgspec.structs.replace(self.movement, history=self.facts.histories.get(charge.fiat_pool.id)),
        )

    def accounting_date(self, run_id: UUID) -> Instant:
        """The date statements go by: usage and arrears in the second before their end, else the booked time."""
        run = self.run(run_id)
        is_usage = isinstance(self.charge.intent.effective, UsageLayer)
        at_end = run.booked_at == run.service_period_to and run.booked_at != run.service_period_from
        return Instant(run.booked_at - timedelta(seconds=1)) if is_usage or at_end else run.booked_at

    def run(self, run_id: UUID) -> RealizationRun:
        """One of the charge's runs with everything decided so far. Raises `RunNotFound`."""
        return runs.run_in_hand(self.draft, self.run_stream(run_id))

    def ask(self, effect: InvoiceEffect) -> None:
        """Ask an invoice for something; it is applied before the decision is saved (lifecycles §4.3).

        Invoices that are made outside are asked from the log: what is asked for is an event of the charge then.
        """
        if self.facts.policies.invoicing is Invoicing.OUTSIDE:
            self.emit(recorded(effect))
        else:
            self.draft.effects.append(effect)

    def void_run(self, entry: RunEntry, reason: VoidReason) -> None:
        """Give all credit of a run back and let it count no longer."""
        terms, overage = self.credit_terms(entry.run_id), self.overage_terms(entry.run_id)
        runs.void(self.draft, self.run_stream(entry.run_id), reason, terms, overage)
        self.emit(RunVoidNoted(run_id=entry.run_id, reason=reason))

    def close_current_run(self, reason: RunClosedReason) -> None:
        """Let the current run be current no longer."""
        closed = RealizationRunClosed(
            run_id=self.current_run.run_id, reason=reason, advance_after=self.charge.advance_after
        )
        self.emit(closed)

    def void_all_runs(self, reason: VoidReason) -> None:
        """For every run that counts: give all its credit back and mark it deleted; then no run is current."""
        for entry in self.charge.live_runs:
            self.void_run(entry, reason)
            if entry.run_id == self.charge.current_run_id:
                self.close_current_run(RunClosedReason.VOIDED)
