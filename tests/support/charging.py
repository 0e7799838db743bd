"""A small world for charges: one customer, one meter, a clock that each step sets, and nothing but values.

It does what the application does around a decision (puts streams in hand, answers what is asked, keeps the records)
and after every step it folds the records anew: the state a decision left has to be the state its events make.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from aggregates.charges import decisions
from aggregates.charges.credit_purchase.credit import payment
from aggregates.charges.facts import Facts, Feature, HeldKey, Metered, QuantityNeeded
from aggregates.charges.intent import FeatureRef, FiatRate, FlatFeeLayer, SettlementMode, UsageLayer
from aggregates.charges.line_content import fiat_totals
from aggregates.charges.requests import (
    Bounds,
    ClearOverride,
    Delete,
    FlatFeeTerms,
    MovePeriodEnd,
    NewCharge,
    NewFlatFee,
    NewPurchase,
    NewUsageCharge,
    PatchSource,
    PaymentStep,
    RequestedSettlement,
    SetOverride,
    UsageTerms,
)
from aggregates.charges.state import Charge, stream
from aggregates.charges.turn import Turn
from aggregates.credits import decisions as pools
from aggregates.credits.requests import ReversePayment
from aggregates.event import AnyRecorded, DomainEvent, Origin, Stream
from aggregates.invoices.effects import (
    InvoiceEffect,
    LineCollected,
    LineCreated,
    LineFinalizing,
    LineIssued,
    LineNotice,
    LinePaymentAuthorized,
    LinePaymentSettled,
)
from aggregates.lifecycle import Status
from aggregates.outcome import Draft
from aggregates.policies import Policies
from aggregates.rating.prices import AnyPrice, UnitPrice
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import exact, text
from aggregates.values.errors import LedgerError
from aggregates.values.money import FIAT
from aggregates.values.period import Duration, Period, instant, timestamp
from aggregates.values.totals import Totals
from tests.given import CUSTOMER, EVOLVERS, NAMESPACE, ids, origin

METER = UUID("00000000-0000-7000-8000-00000000aaaa")
FEATURE = Feature(id=UUID("00000000-0000-7000-8000-00000000bbbb"), key="api-requests", meter_id=METER)
USD = FIAT["USD"]


class Used(NamedTuple):
    """Usage as the meter knows it: a value at an event time, and when it was stored."""

    value: Decimal
    time: datetime
    stored_at: datetime


def usage_terms(
    from_: str = "2026-01-01", to: str = "2026-02-01", price: AnyPrice | None = None, **more: Any
) -> UsageTerms:
    """Terms of a usage charge: January at 1 USD a unit."""
    return UsageTerms(
        name="API requests",
        service_period=Bounds(timestamp(from_), timestamp(to)),
        price=price if price is not None else UnitPrice(amount=Decimal(1)),
        **more,
    )


def new_usage(terms: UsageTerms | None = None, **more: Any) -> NewUsageCharge:
    """A request for a usage charge in USD, settled from credit."""
    values: dict[str, Any] = {
        "customer": CUSTOMER,
        "currency": USD,
        "settlement_mode": SettlementMode.CREDIT_ONLY,
        "feature": FeatureRef(key=FEATURE.key),
        "terms": terms if terms is not None else usage_terms(),
    }
    return NewUsageCharge(**(values | more))


def fee_terms(amount: str = "100", from_: str = "2026-01-01", to: str = "2026-02-01", **more: Any) -> FlatFeeTerms:
    """Terms of a flat fee: 100 for January, in advance."""
    return FlatFeeTerms(
        name="Platform fee",
        service_period=Bounds(timestamp(from_), timestamp(to)),
        amount=Decimal(amount),
        **more,
    )


def new_fee(terms: FlatFeeTerms | None = None, **more: Any) -> NewFlatFee:
    """A request for a flat fee in USD, settled from credit."""
    values: dict[str, Any] = {
        "customer": CUSTOMER,
        "currency": USD,
        "settlement_mode": SettlementMode.CREDIT_ONLY,
        "terms": terms if terms is not None else fee_terms(),
    }
    return NewFlatFee(**(values | more))


def new_purchase(amount: str = "100", kind: str = "promotional", rate: str = "0.5", **more: Any) -> NewPurchase:
    """A request for credit in USD."""
    basis = FiatRate(rate=Decimal(rate)) if kind != "promotional" else None
    status, available = more.pop("initial_status", None), more.pop("availability", None)
    values: dict[str, Any] = {
        "customer": CUSTOMER,
        "currency": USD,
        "credit_amount": Decimal(amount),
        "settlement": RequestedSettlement(type=kind, initial_status=status, cost_basis=basis, availability=available),
    }
    return NewPurchase(**(values | more))


class World:
    """One customer's charges over time. Every method that acts takes the clock's reading as `at`."""

    def __init__(self, interval: str = "P2D", policies: Policies | None = None, zone: str = "UTC") -> None:
        self.interval = interval
        self.policies = policies if policies is not None else Policies.reference()
        self.zone = zone
        self.mint = ids()
        self.records: dict[UUID, list[AnyRecorded]] = {}
        self.streams: dict[UUID, Stream] = {}
        self.usage: list[Used] = []
        self.asked: list[QuantityNeeded] = []
        self.features: dict[str, Feature] = {FEATURE.key: FEATURE, str(FEATURE.id): FEATURE}
        self.held_keys: dict[HeldKey, UUID] = {}
        self.facts: dict[str, Any] = {}
        self.last: list[AnyRecorded] = []
        self.log: list[AnyRecorded] = []
        self.effects: list[InvoiceEffect] = []

    # ── what happens outside ─────────────────────────────────────────────────────────────────────────────────

    def use(self, value: str | int, time: str = "2026-01-15", stored_at: str | None = None) -> None:
        """Usage of that value; stored when it happened unless said otherwise."""
        self.usage.append(Used(Decimal(value), timestamp(time), timestamp(stored_at or time)))

    def rewind(self, status: Status) -> None:
        """Go back to the moment in which a charge last came to that status, between two events of one save perhaps."""
        moved = [getattr(record.body, "moved", None) for record in self.log]
        moments = [i for i, move in enumerate(moved) if move is not None and move.status_to is status]
        self._rewrite(self.log[: moments[-1] + 1])

    def rewrite(self, stream_id: UUID, event: DomainEvent, instead: DomainEvent) -> None:
        """Break history: put another event in the place of one."""
        self._rewrite(
            [
                msgspec.structs.replace(r, body=instead) if r.stream == stream_id and r.body == event else r
                for r in self.log
            ]
        )

    def turn(self, charge: UUID, at: str) -> Turn:
        """The charge as guards see it at that time."""
        now = timestamp(at)
        draft = Draft(origin(now), EVOLVERS)
        self._hold(draft, stream(charge, CUSTOMER))
        for needed in decisions.streams_needed(draft.state(charge)):
            self._hold(draft, needed)
        return Turn(draft, charge, self._facts_at(now))

    def facts_at(self, at: str) -> Facts:
        """What a decision at that time may know, meters not asked."""
        return self._facts_at(timestamp(at))

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, *requests: NewCharge, at: str = "2025-12-01") -> list[UUID]:
        """Create charges, and keep the keys they hold."""
        created: tuple[UUID, ...] = self._carry_out(at, lambda draft, facts: decisions.create(draft, requests, facts))
        return list(created)

    def advance(self, charge: UUID, at: str) -> bool:
        """Advance one charge as far as the clock allows."""

        def decide(draft: Draft, facts: Facts) -> bool:
            needed = decisions.quantities_needed(draft, charge, facts)
            self.asked.extend(needed)
            answers = {question: self._answer(question) for question in needed}
            return decisions.advance(draft, charge, msgspec.structs.replace(facts, quantities=answers))

        moved: bool = self._carry_out(at, decide, charge)
        return moved

    def extend(self, charge: UUID, to: str, at: str, **more: Any) -> bool:
        """Move the ends to a later time, for the system."""
        patch = MovePeriodEnd(service_period_to=timestamp(to), **more)
        return self._patch(charge, at, lambda draft, facts: decisions.extend(draft, charge, patch, facts))

    def shrink(self, charge: UUID, to: str, at: str, **more: Any) -> bool:
        """Move the ends to an earlier time, for the system."""
        patch = MovePeriodEnd(service_period_to=timestamp(to), **more)
        return self._patch(charge, at, lambda draft, facts: decisions.shrink(draft, charge, patch, facts))

    def set_override(self, charge: UUID, terms: UsageTerms | FlatFeeTerms, at: str, **more: Any) -> bool:
        """Lay these terms over the base."""
        patch = SetOverride(terms=terms, **more)
        return self._patch(charge, at, lambda draft, facts: decisions.set_override(draft, charge, patch, facts))

    def clear_override(self, charge: UUID, at: str, **more: Any) -> bool:
        """Let the base hold again."""
        patch = ClearOverride(**more)
        return self._patch(charge, at, lambda draft, facts: decisions.clear_override(draft, charge, patch, facts))

    def delete(self, charge: UUID, at: str, source: str = "system", **more: Any) -> bool:
        """Delete the charge."""
        patch = Delete(source=PatchSource(source), **more)
        return self._patch(charge, at, lambda draft, facts: decisions.delete(draft, charge, patch, facts))

    def pay(self, charge: UUID, step: str, at: str) -> bool:
        """Report a payment step of a purchase."""
        reported = PaymentStep(step)
        return self._patch(charge, at, lambda draft, facts: decisions.report_payment(draft, charge, reported, facts))

    def receive(self, charge: UUID, amount: str, at: str) -> bool:
        """Money comes for a purchase, as a part of its price; the charge is not told."""

        def decide(draft: Draft, facts: Facts) -> bool:
            terms = payment(Turn(draft, charge, facts))
            state: Charge = draft.state(charge)
            request = msgspec.structs.replace(terms, fiat_amount=Decimal(amount))
            draft.emit(state.pool, pools.receive_payment(draft.state(state.pool.id), request))
            return True

        return self._patch(charge, at, decide)

    def reverse(self, charge: UUID, amount: str, at: str) -> bool:
        """Money for a purchase goes back, and the charge is told."""

        def decide(draft: Draft, facts: Facts) -> bool:
            state: Charge = draft.state(charge)
            request = ReversePayment(purchase=charge, amount=Decimal(amount), booked_at=facts.instant)
            draft.emit(state.pool, pools.reverse_payment(draft.state(state.pool.id), request))
            return decisions.note_reversal(draft, charge, facts)

        return self._patch(charge, at, decide)

    def retry(self, charge: UUID, at: str) -> bool:
        """Wait for a new payment after one failed."""
        return self._patch(charge, at, lambda draft, facts: decisions.retry_payment(draft, charge, facts))

    def write_off(self, charge: UUID, at: str) -> bool:
        """Give up what a purchase owes."""
        return self._patch(charge, at, lambda draft, facts: decisions.write_off_payment(draft, charge, facts))

    def void(self, charge: UUID, at: str) -> bool:
        """Take back what is left of a purchase."""
        return self._patch(charge, at, lambda draft, facts: decisions.void_purchase(draft, charge, facts))

    def note_failure(self, charge: UUID, at: str, refusal: LedgerError) -> bool:
        """Record that advancing was refused."""
        return self._patch(charge, at, lambda draft, facts: decisions.note_failure(draft, charge, refusal))

    # ── what its invoice tells a charge ──────────────────────────────────────────────────────────────────────

    def tell(self, notice: LineNotice, at: str) -> tuple[InvoiceEffect, ...]:
        """Let a charge act upon a notice; what it asks of invoices in return, also kept in `effects`."""

        def decide(draft: Draft, facts: Facts) -> tuple[InvoiceEffect, ...]:
            state: Charge = draft.state(notice.charge_id)
            for needed in decisions.streams_answering(state, notice):
                if not draft.holds(needed.id):
                    self._hold(draft, needed)
            entry = state.run_on_line(notice.line_id)
            run: RealizationRun | None = draft.state(entry.run_id) if entry is not None else None
            questions = decisions.quantities_answering(state, notice, run, facts)
            answers = {question: self._answer(question) for question in questions}
            return decisions.answer(draft, notice, msgspec.structs.replace(facts, quantities=answers))

        self.effects = list(self._carry_out(at, decide, notice.charge_id))
        return tuple(self.effects)

    def line_made(self, charge: UUID, to: str, at: str, line: int = 1, invoice: int = 100) -> tuple[InvoiceEffect, ...]:
        """A line of everything that waits up to there was put on a draft invoice."""
        gathered = self.charge(charge).gathering_line
        begins = gathered.period.from_ if gathered is not None else timestamp("2026-01-01")
        period = Period(instant(begins), instant(to))
        return self.tell(LineCreated(**self._on(charge, line, invoice), period=period, currency=USD), at)

    def line_collected(self, charge: UUID, at: str, line: int = 1, invoice: int = 100) -> tuple[InvoiceEffect, ...]:
        """The invoice of the line has been collected."""
        return self.tell(LineCollected(**self._on(charge, line, invoice)), at)

    def line_approved(self, charge: UUID, at: str, line: int = 1, invoice: int = 100) -> tuple[InvoiceEffect, ...]:
        """The invoice of the line was approved."""
        return self.tell(LineFinalizing(**self._on(charge, line, invoice), totals=self._totals(charge, line)), at)

    def line_issued(self, charge: UUID, at: str, line: int = 1, invoice: int = 100) -> tuple[InvoiceEffect, ...]:
        """The invoice of the line was issued, saying what the run says."""
        run = self._run_on(charge, line)
        return self.tell(
            LineIssued(
                **self._on(charge, line, invoice),
                period=Period(run.service_period_from, run.service_period_to),
                totals=self._totals(charge, line),
                currency=self.charge(charge).invoice_currency,
            ),
            at,
        )

    def line_paid(
        self,
        charge: UUID,
        at: str,
        line: int = 1,
        invoice: int = 100,
        amount: str | None = None,
        *,
        in_full: bool = True,
    ) -> None:
        """Money for the line was promised and arrived."""
        paid = Decimal(amount) if amount is not None else self._totals(charge, line).total
        on = self._on(charge, line, invoice)
        self.tell(LinePaymentAuthorized(**on, amount=paid, net=paid, in_full=in_full), at)
        self.tell(LinePaymentSettled(**on, amount=paid, net=paid, in_full=in_full), at)

    def invoiced(self, charge: UUID, to: str, at: str, line: int = 1) -> None:
        """A line of everything up to there was made, collected, approved and issued."""
        self.line_made(charge, to, at, line)
        self.line_collected(charge, at, line)
        self.line_approved(charge, at, line)
        self.line_issued(charge, at, line)

    def _on(self, charge: UUID, line: int, invoice: int) -> dict[str, Any]:
        return {"customer": CUSTOMER, "charge_id": charge, "line_id": UUID(int=line), "invoice_id": UUID(int=invoice)}

    def _run_on(self, charge: UUID, line: int) -> RealizationRun:
        entry = self.charge(charge).run_on_line(UUID(int=line))
        assert entry is not None
        run: RealizationRun = self._fold(entry.run_id)
        return run

    def _totals(self, charge: UUID, line: int) -> Totals:
        return fiat_totals(self.charge(charge), self._run_on(charge, line))

    # ── what can be seen ─────────────────────────────────────────────────────────────────────────────────────

    def charge(self, charge: UUID) -> Charge:
        """The charge, folded from its records."""
        state: Charge = self._fold(charge)
        return state

    def state(self, stream_id: UUID) -> Any:
        """The state of any stream, folded from its records."""
        return self._fold(stream_id)

    def layer(self, charge: UUID) -> UsageLayer:
        """The effective layer of a usage charge."""
        layer = self.charge(charge).intent.effective
        assert isinstance(layer, UsageLayer)
        return layer

    def fee(self, charge: UUID) -> FlatFeeLayer:
        """The effective layer of a flat fee."""
        layer = self.charge(charge).intent.effective
        assert isinstance(layer, FlatFeeLayer)
        return layer

    def runs(self, charge: UUID) -> list[RealizationRun]:
        """All runs of a charge in order of creation, folded from their records."""
        return [self._fold(entry.run_id) for entry in self.charge(charge).runs]

    def pool(self, charge: UUID) -> Any:
        """The credit pool of a charge."""
        return self._fold(self.charge(charge).pool.id)

    def credits(self, charge: UUID) -> list[list[str]]:
        """The credit realizations of every run, as text."""
        return [[text(r.amount.normalize()) for r in run.credit_realizations] for run in self.runs(charge)]

    @property
    def events(self) -> list[DomainEvent]:
        """The events of the last command, in order."""
        return [record.body for record in self.last]

    def names(self, *aggregates: str) -> list[str]:
        """The class names of the last command's events, of those aggregates or of all."""
        return [
            type(record.body).__name__
            for record in self.last
            if not aggregates or self.streams[record.stream].aggregate in aggregates
        ]

    # ── the application's part ───────────────────────────────────────────────────────────────────────────────

    def _patch(self, charge: UUID, at: str, decide: Callable[[Draft, Facts], bool]) -> bool:
        done: bool = self._carry_out(at, decide, charge)
        return done

    def _carry_out(self, at: str, decide: Callable[[Draft, Facts], Any], *charges: UUID) -> Any:
        now = timestamp(at)
        command = self.mint()
        origin = Origin(
            namespace=NAMESPACE, at=now, command_id=command, causation_id=command, correlation_id=command, actor="test"
        )
        draft = Draft(origin, EVOLVERS)
        for charge in charges:
            self._hold(draft, stream(charge, CUSTOMER))
            for needed in decisions.streams_needed(draft.state(charge)):
                self._hold(draft, needed)
        answer = exact(decide)(draft, self._facts_at(now))
        self.effects = draft.take_effects()
        self._keep(draft)
        return answer

    def _facts_at(self, now: datetime) -> Facts:
        values: dict[str, Any] = {
            "now": now,
            "mint": self.mint,
            "policies": self.policies,
            "collection_interval": Duration.parse(self.interval),
            "zone": self.zone,
            "features": self.features,
            "held_keys": self.held_keys,
        }
        return Facts(**(values | self.facts))

    def _hold(self, draft: Draft, held: Stream) -> None:
        records = self.records.get(held.id, [])
        draft.hold(held, len(records), self._fold(held.id))

    def _keep(self, draft: Draft) -> None:
        """Append, and prove that the records make the state the decision had in hand."""
        self.last = list(draft.records)
        self.log += self.last
        for held in draft.read():
            self.streams[held.stream.id] = held.stream
        for record in draft.records:
            assert record.version == len(self.records.setdefault(record.stream, [])) + 1
            self.records[record.stream].append(record)
            state = draft.state(record.stream)
            if isinstance(state, Charge):
                for key in decisions.reservations(state, record.body):
                    held_key = HeldKey(key.customer, key.kind, key.key)
                    if key.owner is None:
                        self.held_keys.pop(held_key, None)
                    else:
                        self.held_keys[held_key] = key.owner
        for held in draft.touched():
            assert self._fold(held.stream.id) == held.state, f"replay of {held.stream} differs"

    def _rewrite(self, log: list[AnyRecorded]) -> None:
        self.log, self.records = [], {}
        for record in log:
            kept = self.records.setdefault(record.stream, [])
            kept.append(msgspec.structs.replace(record, version=len(kept) + 1))
            self.log.append(kept[-1])

    def _fold(self, stream_id: UUID) -> Any:
        records = self.records.get(stream_id, [])
        state: Any = None
        for record in records:
            state = EVOLVERS[self.streams[stream_id].aggregate](state, record)
        return state

    def _answer(self, question: QuantityNeeded) -> Metered:
        """The sum over the window: times half open, stored strictly before the cut."""
        quantity = sum(
            (
                used.value
                for used in self.usage
                if question.from_ <= used.time < question.to and used.stored_at < question.stored_at_lt
            ),
            Decimal(0),
        )
        return Metered(quantity, len(self.usage))
