"""A charge as its events have made it: intent, status, an index entry per run, and for purchases grant and payment.

Every guard of a lifecycle and every period calculation is decided from this state alone; no guard loads a run
(lifecycles §19.1). The entries of the index are in order of creation.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import assert_never
from uuid import UUID

import msgspec

from aggregates.charges.events import (
    BaseIntentAmended,
    ChargeActivated,
    ChargeAdvanceFailed,
    ChargeCreated,
    ChargeDeleted,
    ChargeEvent,
    ChargeFinalized,
    ChargeReopened,
    CollectionAwaited,
    CostBasisResolved,
    CreditsGranted,
    FeatureResolved,
    Moved,
    OverrideCleared,
    OverrideSet,
    PaymentAuthorized,
    PaymentAwaited,
    PaymentKind,
    PaymentSettled,
    PeriodExtended,
    PeriodShrunk,
    PurchaseVoided,
    RealizationCompleted,
    RealizationProcessed,
    RealizationRunClosed,
    RealizationRunOpened,
    RunVoidNoted,
)
from aggregates.charges.intent import ChargeType, Identity, Intent, Layer, LayerName, ResolvedCostBasis
from aggregates.event import Recorded, Stream
from aggregates.lifecycle import Status, Trigger
from aggregates.runs.events import RunType
from aggregates.values.errors import RunNotFound
from aggregates.values.identifiers import GroupRef, pool_id
from aggregates.values.money import Currency
from aggregates.values.period import Instant


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything the state of a charge is made of."""


class RunEntry(Kept, frozen=True, kw_only=True):
    """What a charge knows of one of its runs."""

    run_id: UUID
    type: RunType
    initial_type: RunType
    service_period_from: Instant
    service_period_to: Instant
    collection_end: Instant
    created_at: datetime
    voided: bool = False
    no_fiat: bool = False


class ResolvedFeature(Kept, frozen=True, kw_only=True):
    """What a feature key meant when the charge became active."""

    key: str
    id: UUID
    meter_id: UUID


class Grant(Kept, frozen=True, kw_only=True):
    """The credit of a purchase, booked."""

    amount: Decimal
    ledger_group: GroupRef
    granted_at: datetime
    booked_at: Instant


class PaymentStatus(StrEnum):
    """How far a payment is."""

    AUTHORIZED = "authorized"
    SETTLED = "settled"


class PaymentFact(Kept, frozen=True, kw_only=True):
    """One step of a payment: where the ledger booked it, and when it was reported."""

    ledger_group: GroupRef
    at: datetime


class Payment(Kept, frozen=True, kw_only=True):
    """The payment of a purchase (lifecycles §13); `fiat_amount` is above zero."""

    kind: PaymentKind
    fiat_amount: Decimal
    fiat_currency: Currency
    authorized: PaymentFact
    settled: PaymentFact | None = None

    @property
    def status(self) -> PaymentStatus:
        """Authorised until it is settled."""
        return PaymentStatus.SETTLED if self.settled else PaymentStatus.AUTHORIZED


class VoidedPurchase(Kept, frozen=True, kw_only=True):
    """What was taken back of a purchase, and when."""

    at: datetime
    amount: Decimal
    ledger_group: GroupRef


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
    resolved_feature: ResolvedFeature | None = None
    resolved_cost_basis: ResolvedCostBasis | None = None
    current_run_id: UUID | None = None
    runs: tuple[RunEntry, ...] = ()
    grant: Grant | None = None
    payment: Payment | None = None
    voided: VoidedPurchase | None = None
    failure: AdvanceFailure | None = None

    @property
    def stream(self) -> Stream:
        """The stream the charge's events are in."""
        return stream(self.id, self.customer)

    @property
    def pool(self) -> Stream:
        """The stream of the credit pool that the charge draws on or fills."""
        return Stream("credit_pool", pool_id(self.namespace, self.customer, self.currency.key), self.customer)

    @property
    def identity(self) -> Identity:
        """What never changes about the charge."""
        return self.intent.identity

    @property
    def currency(self) -> Currency:
        """The currency of all its amounts."""
        return self.intent.identity.currency

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
        """The runs that count: all that are not voided, in order of creation."""
        return tuple(entry for entry in self.runs if not entry.voided)


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
        case ChargeCreated() | ChargeActivated() | ChargeFinalized() | ChargeReopened():
            return {}
        case CollectionAwaited() | RealizationCompleted() | PaymentAwaited():
            return {}
        case FeatureResolved():
            resolved = ResolvedFeature(key=body.feature_key, id=body.feature_id, meter_id=body.meter_id)
            return {"resolved_feature": resolved}
        case CostBasisResolved():
            return {"resolved_cost_basis": body.resolved}
        case RealizationRunOpened() | RealizationRunClosed() | RealizationProcessed() | RunVoidNoted():
            return _of_runs(state, body, at)
        case PeriodExtended() | PeriodShrunk() | OverrideSet():
            return _of_intent(state, body) | {"advance_after": body.advance_after}
        case OverrideCleared() | BaseIntentAmended() | ChargeDeleted():
            return _of_intent(state, body)
        case ChargeAdvanceFailed():
            return {"failure": _failure(body, at)}
        case CreditsGranted() | PaymentAuthorized() | PaymentSettled() | PurchaseVoided():
            return _of_purchase(state, body, at)
        case _ as unreachable:
            assert_never(unreachable)


def _of_runs(
    state: Charge, body: RealizationRunOpened | RealizationRunClosed | RealizationProcessed | RunVoidNoted, at: datetime
) -> dict[str, object]:
    match body:
        case RealizationRunOpened():
            return {"runs": (*state.runs, _entry(body, at)), "current_run_id": body.run_id}
        case RealizationRunClosed():
            return {"current_run_id": None, "advance_after": body.advance_after}
        case RealizationProcessed():
            return {"runs": _with_entry(state, body.run_id, no_fiat=body.no_fiat)}
        case RunVoidNoted():
            return {"runs": _with_entry(state, body.run_id, voided=True)}


def _of_intent(
    state: Charge,
    body: PeriodExtended | PeriodShrunk | OverrideSet | OverrideCleared | BaseIntentAmended | ChargeDeleted,
) -> dict[str, object]:
    intent = state.intent
    match body:
        case PeriodExtended() | PeriodShrunk():
            layer = msgspec.structs.replace(intent.layer(body.layer), periods=body.new)
            intent = intent.with_layer(body.layer, layer)
        case OverrideSet():
            intent = intent.with_layer(LayerName.OVERRIDE, body.override)
        case OverrideCleared():
            intent = intent.without_override()
        case BaseIntentAmended():
            intent = intent.with_layer(LayerName.BASE, _amended(intent, body))
        case ChargeDeleted():
            layer = msgspec.structs.replace(intent.layer(body.layer), intent_deleted_at=body.intent_deleted_at)
            intent = intent.with_layer(body.layer, layer)
    return {"intent": intent, "intent_version": state.intent_version + 1}


def _of_purchase(
    state: Charge, body: CreditsGranted | PaymentAuthorized | PaymentSettled | PurchaseVoided, at: datetime
) -> dict[str, object]:
    match body:
        case CreditsGranted():
            group = body.ledger_group
            return {"grant": Grant(amount=body.amount, ledger_group=group, granted_at=at, booked_at=body.booked_at)}
        case PaymentAuthorized():
            authorized = PaymentFact(ledger_group=body.ledger_group, at=at)
            return {
                "payment": Payment(
                    kind=body.kind,
                    fiat_amount=body.fiat_amount,
                    fiat_currency=body.fiat_currency,
                    authorized=authorized,
                )
            }
        case PaymentSettled():
            assert state.payment is not None, f"charge {state.id}: settled before it was authorised"
            settled = PaymentFact(ledger_group=body.ledger_group, at=at)
            return {"payment": msgspec.structs.replace(state.payment, settled=settled)}
        case PurchaseVoided():
            voided = VoidedPurchase(at=body.voided_at, amount=body.amount, ledger_group=body.ledger_group)
            return {"voided": voided}


def _entry(body: RealizationRunOpened, at: datetime) -> RunEntry:
    return RunEntry(
        run_id=body.run_id,
        type=body.type,
        initial_type=body.type,
        service_period_from=body.service_period_from,
        service_period_to=body.service_period_to,
        collection_end=body.collection_end,
        created_at=at,
    )


def _with_entry(state: Charge, run_id: UUID, **changes: bool) -> tuple[RunEntry, ...]:
    """The index with one entry changed, matched by id."""
    return tuple(msgspec.structs.replace(entry, **changes) if entry.run_id == run_id else entry for entry in state.runs)


def _amended(intent: Intent, body: BaseIntentAmended) -> Layer:
    base = intent.base
    if body.periods is not None:
        base = msgspec.structs.replace(base, periods=body.periods)
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
