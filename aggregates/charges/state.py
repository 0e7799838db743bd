"""A charge as its events have made it: intent, status, an index entry per run, and for purchases grant and payment.

Every guard of a lifecycle and every period calculation is decided from this state alone; no guard loads a run
(lifecycles §19.1). The entries of the index are in order of creation.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never
from uuid import UUID

import msgspec

from aggregates.charges.collection import collected_after
from aggregates.charges.events import (
    AdvanceBroughtForward,
    BaseIntentAmended,
    ChargeActivated,
    ChargeAdvanceFailed,
    ChargeCreated,
    ChargeDeleted,
    ChargeEvent,
    ChargeFinalized,
    ChargeReactivated,
    ChargeReopened,
    CollectionAwaited,
    CostBasisResolved,
    CreditsGranted,
    FeatureResolved,
    GatheringLine,
    GatheringLineDeleted,
    GatheringLineRequested,
    GatheringLineUpserted,
    InvoiceIssueRecorded,
    InvoiceLineLinked,
    InvoiceRefund,
    Moved,
    OverrideCleared,
    OverrideSet,
    PaymentAuthorized,
    PaymentAwaited,
    PaymentFailed,
    PaymentRetried,
    PaymentReversed,
    PaymentSettled,
    PaymentSettlementAwaited,
    PaymentWrittenOff,
    PeriodExtended,
    PeriodShrunk,
    PeriodShrunkToRealized,
    PurchaseReduced,
    PurchaseVoided,
    RealizationCompleted,
    RealizationProcessed,
    RealizationRunClosed,
    RealizationRunOpened,
    RunPaymentNoted,
    RunPaymentStatus,
    RunReclassified,
    RunRerated,
    RunVoidNoted,
    ZeroOverageCompleted,
)
from aggregates.charges.held_terms import HeldTerms, overridden
from aggregates.charges.intent import (
    ChargeType,
    CostBasis,
    FiatRate,
    Identity,
    Intent,
    Layer,
    LayerName,
    Promotional,
    PurchaseLayer,
    ResolvedCostBasis,
    SettlementMode,
    UsageLayer,
    over_periods,
)
from aggregates.charges.kept import Kept
from aggregates.charges.late import LateUsage, Rebilling, adjusted, after, due_after, forgotten
from aggregates.charges.late_events import LateUsageEvaluated, LateUsageFound, RebillingNoted
from aggregates.charges.outside_events import (
    CreditNoteRequested,
    InvoiceLineDeletionRequested,
    InvoiceLineUpdated,
    UnappliedCreditRequested,
)
from aggregates.charges.purchase_state import FailedPayment, Grant, Payment, PaymentStatus, VoidedPurchase, of_purchase
from aggregates.event import Recorded, Stream
from aggregates.lifecycle import Status, Trigger
from aggregates.runs.events import RunType
from aggregates.values.errors import RunNotFound
from aggregates.values.identifiers import pool_id
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period


class RunEntry(Kept, frozen=True, kw_only=True):
    """What a charge knows of one of its runs."""

    run_id: UUID
    type: RunType
    initial_type: RunType
    service_period_from: Instant
    service_period_to: Instant
    collection_end: Instant | None = None
    created_at: datetime
    line_id: UUID | None = None
    invoice_id: UUID | None = None
    voided: bool = False
    no_fiat: bool = False
    zero_overage: bool = False
    set_off: bool = False
    invoiced: bool = False
    payment_status: RunPaymentStatus | None = None

    @property
    def counts(self) -> bool:
        """Whether the run is neither voided nor invalid (lifecycles §5.2)."""
        return not self.voided and self.type is not RunType.INVALID

    @property
    def is_late(self) -> bool:
        """Whether it is an adjustment after the final run, which takes no part in the arithmetic of periods."""
        return self.type is RunType.LATE_ADJUSTMENT

    @property
    def is_billed(self) -> bool:
        """Whether its invoice was issued, or there was nothing to invoice."""
        return self.invoiced or self.zero_overage or self.set_off

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it is to be waited for: nothing to pay, paid, or written off (decision 22)."""
        done = {RunPaymentStatus.SETTLED, RunPaymentStatus.WRITTEN_OFF}
        without_line = self.zero_overage or self.set_off
        return without_line or (self.invoiced and (self.no_fiat or self.payment_status in done))


class LinkedLine(Kept, frozen=True, kw_only=True):
    """The invoice line of a purchase."""

    line_id: UUID
    invoice_id: UUID


class ResolvedFeature(Kept, frozen=True, kw_only=True):
    """What a feature key meant when the charge became active."""

    key: str
    id: UUID
    meter_id: UUID


class AdvanceFailure(Kept, frozen=True, kw_only=True):
    """Why the charge is stuck; gone as soon as it moves."""

    status: Status
    trigger: Trigger
    code: str
    message: str
    attempt: int
    at: datetime


class Charge(Kept, frozen=True, kw_only=True):
    """A charge of any type. `intent_version` counts the changes of its intent, from 1 at creation (decision 29)."""

    id: UUID
    namespace: str
    customer: str
    charge_type: ChargeType
    status: Status
    advance_after: Instant | None = None
    intent: Intent
    intent_version: int = 1
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    invoice_refund: InvoiceRefund = InvoiceRefund.IGNORE
    resolved_feature: ResolvedFeature | None = None
    resolved_cost_basis: ResolvedCostBasis | None = None
    current_run_id: UUID | None = None
    runs: tuple[RunEntry, ...] = ()
    gathering_line: GatheringLine | None = None
    linked_line: LinkedLine | None = None
    former_lines: tuple[LinkedLine, ...] = ()
    grant: Grant | None = None
    payment: Payment | None = None
    failed_payment: FailedPayment | None = None
    voided: VoidedPurchase | None = None
    failure: AdvanceFailure | None = None
    late_usage: LateUsage | None = None
    rebilling: Rebilling | None = None
    former_terms: tuple[HeldTerms, ...] = ()

    @property
    def stream(self) -> Stream:
        """The stream the charge's events are in."""
        return stream(self.id, self.customer)

    @property
    def pool(self) -> Stream:
        """The stream of the credit pool that the charge draws on or fills."""
        return Stream("credit_pool", pool_id(self.namespace, self.customer, self.currency.key), self.customer)

    @property
    def invoice_currency(self) -> Currency:
        """The fiat currency its lines are in: that of its cost basis where its own is a custom one."""
        basis = self.cost_basis
        return self.currency if basis is None or isinstance(basis, FiatRate) else basis.fiat_currency

    @property
    def cost_basis(self) -> CostBasis | None:
        """The cost basis of its intent: of a purchase's settlement, or of what is invoiced in fiat."""
        layer = self.intent.effective
        if not isinstance(layer, PurchaseLayer):
            return self.identity.cost_basis
        return None if isinstance(layer.settlement, Promotional) else layer.settlement.cost_basis

    @property
    def has_overage(self) -> bool:
        """Whether what credit of its own currency does not cover is invoiced in fiat (lifecycles §12.4)."""
        return self.identity.cost_basis is not None

    @property
    def fiat_pool(self) -> Stream:
        """The stream of the pool in which what is invoiced is booked; its own pool where that is fiat already."""
        key = self.invoice_currency.key
        return Stream("credit_pool", pool_id(self.namespace, self.customer, key), self.customer)

    @property
    def is_invoiced(self) -> bool:
        """Whether what credit does not cover is settled by invoice."""
        return self.identity.settlement_mode is SettlementMode.CREDIT_THEN_INVOICE

    @property
    def identity(self) -> Identity:
        """What never changes about the charge."""
        return self.intent.identity

    @property
    def currency(self) -> Currency:
        """The currency of all its amounts."""
        return self.intent.identity.currency

    @property
    def payment_status(self) -> PaymentStatus | None:
        """How far the payment of a purchase is, failed and written off included; None before there is any."""
        facts = self.payment or self.failed_payment
        return facts.status if facts is not None else None

    @property
    def is_deleted(self) -> bool:
        """Whether the charge is deleted: its keys are free for others then."""
        return self.status is Status.DELETED

    @property
    def current_run(self) -> RunEntry | None:
        """The index entry of the current run. Raises `RunNotFound` when the charge does not own that run (R-15)."""
        if self.current_run_id is None:
            return None
        for entry in self.runs:
            if entry.run_id == self.current_run_id:
                return entry
        raise RunNotFound(self.current_run_id)

    @property
    def live_runs(self) -> tuple[RunEntry, ...]:
        """The runs that count: all that are neither voided nor invalid, in order of creation."""
        return tuple(entry for entry in self.runs if entry.counts)

    @property
    def period_runs(self) -> tuple[RunEntry, ...]:
        """The runs that count and cover the period, by its course: all but late adjustments."""
        return tuple(sorted((e for e in self.live_runs if not e.is_late), key=lambda entry: entry.service_period_to))

    @property
    def collected_until(self) -> Instant | None:
        """Usage stored before that was looked at, by a run that counts or since; None before the first run."""
        return self._looked_at(self.live_runs)

    def collected_under(self, terms: HeldTerms) -> Instant | None:
        """The same of usage that these terms charge: other runs than theirs have counted nothing of it."""
        return self._looked_at(self.runs_under(terms))

    def _looked_at(self, runs: Iterable[RunEntry]) -> Instant | None:
        ends = [entry.collection_end for entry in runs]
        ends += [self.late_usage.stored_at_lt] if self.late_usage is not None else []
        return max((end for end in ends if end is not None), default=None)

    @property
    def late_usage_due(self) -> Instant | None:
        """From when on late usage that was found can be looked at: nothing else may be on its way (decision 24)."""
        late, seen = self.late_usage, self.collected_until
        if late is None or late.due is None or seen is None or not self._can_be_adjusted:
            return None
        return max(late.due, due_after(seen))

    def rebilling_cut(self, terms: HeldTerms) -> Instant:
        """Before when usage under these terms is stored that an adjustment over what voided runs had billed counts."""
        assert self.rebilling is not None, f"charge {self.id} has nothing to bill again"
        counted = [entry.collection_end for entry in self.runs_under(terms)]
        latest = max((end for end in counted if end is not None), default=None)
        return self.rebilling.cut(latest)

    @property
    def rebilling_due(self) -> Instant | None:
        """From when on what voided runs had billed can be billed again: nothing else may be on its way."""
        if self.rebilling is None or not self._can_be_adjusted:
            return None
        return max(collected_after(self.rebilling_cut(terms)) for terms in self.terms)

    @property
    def _can_be_adjusted(self) -> bool:
        """Whether the charge is realized, and nothing of it is on its way to an invoice."""
        done = {Status.FINAL, Status.AWAITING_PAYMENT_SETTLEMENT}
        return self.current_run_id is None and self.gathering_line is None and self.status in done

    @property
    def terms(self) -> tuple[HeldTerms, ...]:
        """The terms of usage, those first that held first; the last are the effective ones."""
        layer = self.intent.effective
        assert isinstance(layer, UsageLayer), f"charge {self.id} is not usage based"
        return (*self.former_terms, HeldTerms(layer=layer, intent_version=self.intent_version))

    def terms_until(self, service_period_to: Instant) -> HeldTerms:
        """The terms that a run is rated by which ends there."""
        return next((held for held in self.terms if held.rates(service_period_to)), self.terms[-1])

    def runs_under(self, terms: HeldTerms) -> tuple[RunEntry, ...]:
        """The runs that count and are rated by these terms, in order of creation."""
        return tuple(entry for entry in self.live_runs if terms.rates(entry.service_period_to))

    @property
    def rated_runs(self) -> tuple[RunEntry, ...]:
        """The runs that count within the effective terms; usage before an override that begins later keeps its own."""
        if not isinstance(self.intent.effective, UsageLayer):
            return self.live_runs
        return self.runs_under(self.terms[-1])

    def run_on_line(self, line_id: UUID) -> RunEntry | None:
        """The run that an invoice line shows, whatever has become of it; the newest where there were several."""
        return next((entry for entry in reversed(self.runs) if entry.line_id == line_id), None)


def stream(charge_id: UUID, customer: str) -> Stream:
    """The stream of one charge."""
    return Stream("charge", charge_id, customer)


def fold(state: Charge | None, records: Iterable[Recorded[ChargeEvent]]) -> Charge | None:
    """Fold many events, oldest first."""
    for record in records:
        state = evolve(state, record)
    return state


def evolve(state: Charge | None, record: Recorded[ChargeEvent]) -> Charge:
    """Fold one event into the charge. Refuses nothing: what was decided is in the event."""
    body = record.body
    if isinstance(body, ChargeCreated):
        return _created(body, record)
    assert state is not None, f"charge {record.stream}: {type(body).__name__} before it was created"
    changes = _changes(state, body, record.at)
    moved: Moved | None = getattr(body, "moved", None)
    if moved is not None:
        changes |= {"status": moved.status_to, "advance_after": moved.advance_after, "failure": None}
        if moved.status_to is Status.DELETED:
            changes.setdefault("deleted_at", record.at)
        elif state.deleted_at is not None:
            changes["deleted_at"] = None
        if isinstance(body, ChargeReopened | ChargeDeleted):
            anew = isinstance(body, ChargeDeleted) or not state.former_terms
            changes |= forgotten(state.late_usage, state.rebilling, begins_anew=anew)
    return msgspec.structs.replace(state, updated_at=record.at, **changes)


def _created(body: ChargeCreated, record: Recorded[ChargeEvent]) -> Charge:
    return Charge(
        id=record.stream,
        namespace=record.namespace,
        customer=record.customer or "",
        charge_type=body.charge_type,
        status=body.moved.status_to,
        advance_after=body.moved.advance_after,
        intent=Intent(identity=body.identity, base=body.base),
        created_at=record.at,
        updated_at=record.at,
        resolved_cost_basis=body.resolved_cost_basis,
    )


def _changes(state: Charge, body: ChargeEvent, at: datetime) -> dict[str, object]:
    """What the event changes besides the status."""
    match body:
        case ChargeCreated() | ChargeActivated() | ChargeFinalized() | ChargeReopened() | ChargeReactivated():
            return {}
        case CollectionAwaited() | RealizationCompleted() | ZeroOverageCompleted() | PaymentAwaited():
            return {}
        case (
            PaymentSettlementAwaited()
            | InvoiceLineUpdated()
            | InvoiceLineDeletionRequested()
            | CreditNoteRequested()
            | UnappliedCreditRequested()
        ):
            return {}
        case AdvanceBroughtForward():
            return {"advance_after": body.advance_after}
        case GatheringLineRequested() | GatheringLineUpserted() | GatheringLineDeleted() | InvoiceLineLinked():
            return _of_lines(state, body)
        case FeatureResolved() | CostBasisResolved():
            return _resolved(body)
        case RealizationRunOpened() | RealizationRunClosed() | RealizationProcessed() | RunRerated():
            return _of_runs(state, body, at)
        case RunVoidNoted() | InvoiceIssueRecorded() | RunPaymentNoted() | RunReclassified():
            return _of_runs(state, body, at)
        case PeriodExtended() | PeriodShrunk() | OverrideSet():
            return _of_intent(state, body) | {"advance_after": body.advance_after}
        case OverrideCleared() | BaseIntentAmended() | ChargeDeleted() | PeriodShrunkToRealized() | PurchaseReduced():
            return _of_intent(state, body)
        case LateUsageFound() | LateUsageEvaluated() | RebillingNoted():
            return after(state.late_usage, state.rebilling, body)
        case ChargeAdvanceFailed():
            return {"failure": _failure(body, at)}
        case (
            CreditsGranted()
            | PaymentAuthorized()
            | PaymentSettled()
            | PaymentFailed()
            | PaymentRetried()
            | PaymentReversed()
            | PaymentWrittenOff()
            | PurchaseVoided()
        ):
            never = isinstance(body, PurchaseVoided) and state.status is Status.CREATED  # the clock has nothing to do
            changes = of_purchase(state.payment, state.voided, state.failed_payment, body, at)
            return changes | ({"advance_after": None} if never else {})
        case _ as unreachable:
            assert_never(unreachable)


def _resolved(body: FeatureResolved | CostBasisResolved) -> dict[str, object]:
    if isinstance(body, CostBasisResolved):
        return {"resolved_cost_basis": body.resolved}
    resolved = ResolvedFeature(key=body.feature_key, id=body.feature_id, meter_id=body.meter_id)
    return {"resolved_feature": resolved}


def _of_lines(
    state: Charge,
    body: GatheringLineRequested | GatheringLineUpserted | GatheringLineDeleted | InvoiceLineLinked,
) -> dict[str, object]:
    match body:
        case GatheringLineRequested(line=line) | GatheringLineUpserted(line=line):
            return {"gathering_line": line}
        case GatheringLineDeleted():
            return {"gathering_line": None}
        case InvoiceLineLinked():
            former = (state.linked_line,) if state.linked_line is not None else ()
            linked = LinkedLine(line_id=body.line_id, invoice_id=body.invoice_id)
            return {"linked_line": linked, "former_lines": (*state.former_lines, *former)}


def _of_runs(
    state: Charge,
    body: RealizationRunOpened
    | RealizationRunClosed
    | RealizationProcessed
    | RunRerated
    | RunVoidNoted
    | InvoiceIssueRecorded
    | RunPaymentNoted
    | RunReclassified,
    at: datetime,
) -> dict[str, object]:
    match body:
        case RealizationRunOpened():
            opened: dict[str, object] = {"runs": (*state.runs, _entry(body, at)), "current_run_id": body.run_id}
            return (
                opened
                if body.type is not RunType.LATE_ADJUSTMENT
                else opened | {"late_usage": adjusted(state.late_usage, body), "rebilling": None}
            )
        case RealizationRunClosed():
            return {"current_run_id": None, "advance_after": body.advance_after}
        case RealizationProcessed():
            known = {"no_fiat": body.no_fiat, "zero_overage": body.zero_overage, "set_off": body.set_off}
            return {"runs": _with_entry(state, body.run_id, **known)}
        case RunRerated():
            entry = _with_entry(
                state,
                body.run_id,
                service_period_from=body.service_period.from_,
                service_period_to=body.service_period.to,
                no_fiat=body.no_fiat,
                zero_overage=body.zero_overage,
            )
            return {"runs": entry}
        case RunVoidNoted():
            return {"runs": _with_entry(state, body.run_id, voided=True)}
        case InvoiceIssueRecorded():
            return {"runs": _with_entry(state, body.run_id, invoiced=True, no_fiat=body.no_fiat)}
        case RunPaymentNoted():
            return {"runs": _with_entry(state, body.run_id, payment_status=body.payment_status)}
        case RunReclassified():
            return {"runs": _with_entry(state, body.run_id, type=body.to_type)}


def _of_intent(
    state: Charge,
    body: PeriodExtended
    | PeriodShrunk
    | PeriodShrunkToRealized
    | OverrideSet
    | OverrideCleared
    | BaseIntentAmended
    | PurchaseReduced
    | ChargeDeleted,
) -> dict[str, object]:
    intent = state.intent
    match body:
        case PeriodExtended() | PeriodShrunk():
            layer = over_periods(intent.layer(body.layer), body.new, body.amount_after_proration)
            intent = intent.with_layer(body.layer, layer)
        case PeriodShrunkToRealized():
            layer = intent.layer(body.layer)
            service = Period(layer.periods.service_period.from_, body.new_to)
            periods = msgspec.structs.replace(layer.periods, service_period=service)
            intent = intent.with_layer(body.layer, msgspec.structs.replace(layer, periods=periods))
        case OverrideSet():
            intent = intent.with_layer(LayerName.OVERRIDE, body.override)
        case OverrideCleared():
            intent = intent.without_override()
        case BaseIntentAmended():
            intent = intent.with_layer(LayerName.BASE, _amended(intent, body))
        case PurchaseReduced():
            layer = msgspec.structs.replace(intent.base, credit_amount=body.credit_amount)
            intent = intent.with_layer(LayerName.BASE, layer)
        case ChargeDeleted():
            layer = msgspec.structs.replace(intent.layer(body.layer), intent_deleted_at=body.intent_deleted_at)
            intent = intent.with_layer(body.layer, layer)
    changes: dict[str, object] = {"intent": intent, "intent_version": state.intent_version + 1}
    if isinstance(body, OverrideCleared):
        changes["former_terms"] = ()  # the base holds for all of it again
    if isinstance(body, OverrideSet) and isinstance(body.override, UsageLayer) and state.is_invoiced:
        ends = [entry.service_period_to for entry in state.rated_runs if not entry.is_late]
        changes["former_terms"] = overridden(state.terms, ends, body.override)
    return changes | ({"invoice_refund": body.invoice_refund} if isinstance(body, ChargeDeleted) else {})


def _entry(body: RealizationRunOpened, at: datetime) -> RunEntry:
    return RunEntry(
        run_id=body.run_id,
        type=body.type,
        initial_type=body.type,
        service_period_from=body.service_period_from,
        service_period_to=body.service_period_to,
        collection_end=body.collection_end,
        created_at=at,
        line_id=body.line_id,
        invoice_id=body.invoice_id,
        no_fiat=body.no_fiat,
        zero_overage=body.zero_overage,
        set_off=body.set_off,
    )


def _with_entry(state: Charge, run_id: UUID, **changes: object) -> tuple[RunEntry, ...]:
    """The index with one entry changed, matched by id."""
    return tuple(msgspec.structs.replace(entry, **changes) if entry.run_id == run_id else entry for entry in state.runs)


def _amended(intent: Intent, body: BaseIntentAmended) -> Layer:
    base = body.base or intent.base
    if body.periods is not None:
        base = over_periods(base, body.periods, body.amount_after_proration)
    if body.intent_deleted_at is not None:
        base = msgspec.structs.replace(base, intent_deleted_at=body.intent_deleted_at)
    return base


def _failure(body: ChargeAdvanceFailed, at: datetime) -> AdvanceFailure:
    return AdvanceFailure(
        status=body.status,
        trigger=body.trigger,
        code=body.code,
        message=body.message,
        attempt=body.attempt,
        at=at,
    )
