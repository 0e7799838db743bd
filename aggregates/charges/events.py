"""What happens to a charge, of whatever type: one stream per charge, and the stream's id is the charge's id.

An event that may move the status carries `moved`: from where, to where, on which trigger, and when the clock will
next have something to do. Where only `advance_after` changes, `status_from` and `status_to` are equal. Namespace,
customer, business time and the charge's id are in the envelope (decision 4). Amounts are in the charge's currency
unless named fiat.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, TypeAlias
from uuid import UUID

import msgspec

from aggregates.charges.intent import (
    ChargeType,
    Identity,
    Layer,
    LayerName,
    Periods,
    ResolvedCostBasis,
)
from aggregates.event import DomainEvent
from aggregates.lifecycle import Status, Trigger
from aggregates.runs.events import RunType, VoidReason
from aggregates.values.identifiers import GroupRef
from aggregates.values.money import Currency
from aggregates.values.period import Instant


class Moved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A step of the lifecycle. `advance_after` absent: the clock alone will not move the charge any more."""

    status_from: Status
    status_to: Status
    trigger: Trigger
    advance_after: Instant | None = None


class RunClosedReason(StrEnum):
    """Why a run stopped being the current one."""

    FINALIZED = "finalized"
    VOIDED = "voided"
    CANCELLED = "cancelled"


class ReopenedReason(StrEnum):
    """Why a charge went back to an earlier status."""

    PERIOD_CHANGED = "period_changed"
    OVERRIDE_SET = "override_set"
    OVERRIDE_CLEARED = "override_cleared"


class CreditRefund(StrEnum):
    """What a deletion does about credit that was consumed: give it back, or leave it consumed (lifecycles §16.6)."""

    CORRECT = "correct"
    IGNORE = "ignore"


class PaymentKind(StrEnum):
    """How a purchase is paid for."""

    EXTERNAL = "external"


# ── creation and activation ──────────────────────────────────────────────────────────────────────────────────


class ChargeCreated(DomainEvent, frozen=True, kw_only=True):
    """A charge was created with its intent; nothing has been charged yet."""

    NAME: ClassVar[str] = "charge.created.v1"
    charge_type: ChargeType
    identity: Identity
    base: Layer
    resolved_cost_basis: ResolvedCostBasis | None = None
    moved: Moved


class FeatureResolved(DomainEvent, frozen=True, kw_only=True):
    """The feature key was resolved; runs use this id and meter whatever the key points to later (lifecycles §5.6)."""

    NAME: ClassVar[str] = "charge.feature_resolved.v1"
    feature_key: str
    feature_id: UUID
    meter_id: UUID


class CostBasisResolved(DomainEvent, frozen=True, kw_only=True):
    """The rate in force was looked up; recorded at most once, and authoritative from then on (lifecycles §12.2)."""

    NAME: ClassVar[str] = "charge.cost_basis_resolved.v1"
    resolved: ResolvedCostBasis


class ChargeActivated(DomainEvent, frozen=True, kw_only=True):
    """The service period has begun."""

    NAME: ClassVar[str] = "charge.activated.v1"
    moved: Moved


# ── realization ──────────────────────────────────────────────────────────────────────────────────────────────


class RealizationRunOpened(DomainEvent, frozen=True, kw_only=True):
    """A run was started and is the current one; `collection_end` is its `stored_at_lt`."""

    NAME: ClassVar[str] = "charge.realization_run_opened.v1"
    run_id: UUID
    type: RunType
    service_period_from: Instant
    service_period_to: Instant
    collection_end: Instant
    feature_id: UUID | None = None
    moved: Moved


class CollectionAwaited(DomainEvent, frozen=True, kw_only=True):
    """The charge waits for late usage until the run's collection end, and a minute more (lifecycles §5.3)."""

    NAME: ClassVar[str] = "charge.collection_awaited.v1"
    run_id: UUID
    moved: Moved


class RealizationRunClosed(DomainEvent, frozen=True, kw_only=True):
    """The run stopped being the current one. `advance_after` is the charge's, as it stands."""

    NAME: ClassVar[str] = "charge.realization_run_closed.v1"
    run_id: UUID
    reason: RunClosedReason
    advance_after: Instant | None = None


class RealizationProcessed(DomainEvent, frozen=True, kw_only=True):
    """Collection is complete and the run has its last amounts; `no_fiat`: nothing of it is left to pay."""

    NAME: ClassVar[str] = "charge.realization_processed.v1"
    run_id: UUID
    no_fiat: bool
    zero_overage: bool = False
    moved: Moved


class RealizationCompleted(DomainEvent, frozen=True, kw_only=True):
    """The realization is complete."""

    NAME: ClassVar[str] = "charge.realization_completed.v1"
    run_id: UUID
    moved: Moved


class ChargeFinalized(DomainEvent, frozen=True, kw_only=True):
    """Nothing is left to do for the charge."""

    NAME: ClassVar[str] = "charge.finalized.v1"
    moved: Moved


class ChargeAdvanceFailed(DomainEvent, frozen=True, kw_only=True):
    """Advancing was refused, and for another reason than last time (lifecycles §22 row 15, decision 25).

    The charge stays in `status`. `attempt` counts the recorded failures since the charge last moved, from 1.
    """

    NAME: ClassVar[str] = "charge.advance_failed.v1"
    status: Status
    trigger: Trigger
    code: str
    message: str
    attempt: int


# ── patches ──────────────────────────────────────────────────────────────────────────────────────────────────


class PeriodExtended(DomainEvent, frozen=True, kw_only=True):
    """The end of the effective periods was moved to a later time."""

    NAME: ClassVar[str] = "charge.period_extended.v1"
    layer: LayerName
    old: Periods
    new: Periods
    advance_after: Instant | None = None


class PeriodShrunk(DomainEvent, frozen=True, kw_only=True):
    """The end of the effective periods was moved to an earlier time."""

    NAME: ClassVar[str] = "charge.period_shrunk.v1"
    layer: LayerName
    old: Periods
    new: Periods
    advance_after: Instant | None = None


class OverrideSet(DomainEvent, frozen=True, kw_only=True):
    """A complete snapshot was laid over the base, in the place of an earlier override if there was one."""

    NAME: ClassVar[str] = "charge.override_set.v1"
    override: Layer
    advance_after: Instant | None = None


class OverrideCleared(DomainEvent, frozen=True, kw_only=True):
    """The override was taken away and the base holds again."""

    NAME: ClassVar[str] = "charge.override_cleared.v1"
    moved: Moved


class BaseIntentAmended(DomainEvent, frozen=True, kw_only=True):
    """The system changed the base under an override: new periods, or its deletion. What is effective stays."""

    NAME: ClassVar[str] = "charge.base_intent_amended.v1"
    periods: Periods | None = None
    intent_deleted_at: Instant | None = None


class RunVoidNoted(DomainEvent, frozen=True, kw_only=True):
    """A run of the charge was voided and no longer counts."""

    NAME: ClassVar[str] = "charge.run_void_noted.v1"
    run_id: UUID
    reason: VoidReason


class ChargeReopened(DomainEvent, frozen=True, kw_only=True):
    """The charge went back to an earlier status."""

    NAME: ClassVar[str] = "charge.reopened.v1"
    reason: ReopenedReason
    moved: Moved


class ChargeDeleted(DomainEvent, frozen=True, kw_only=True):
    """The effective intent was marked deleted. An override that was not there before is a copy of the base."""

    NAME: ClassVar[str] = "charge.deleted.v1"
    layer: LayerName
    intent_deleted_at: Instant
    credit_refund: CreditRefund
    moved: Moved


# ── credit purchases ─────────────────────────────────────────────────────────────────────────────────────────


class CreditsGranted(DomainEvent, frozen=True, kw_only=True):
    """The purchase's credit was booked; from `booked_at` on it can be spent.

    `moved` is absent for a promotional purchase, which becomes final by an event of its own.
    """

    NAME: ClassVar[str] = "charge.credits_granted.v1"
    amount: Decimal
    currency: Currency
    ledger_group: GroupRef
    booked_at: Instant
    effective_at: Instant | None = None
    expires_at: Instant | None = None
    priority: int | None = None
    feature_filters: tuple[str, ...] = ()
    moved: Moved | None = None


class PaymentAwaited(DomainEvent, frozen=True, kw_only=True):
    """The credit is granted and its payment is open."""

    NAME: ClassVar[str] = "charge.payment_awaited.v1"
    moved: Moved


class PaymentAuthorized(DomainEvent, frozen=True, kw_only=True):
    """The payment of the purchase was authorised for `fiat_amount`."""

    NAME: ClassVar[str] = "charge.payment_authorized.v1"
    kind: PaymentKind
    fiat_amount: Decimal
    fiat_currency: Currency
    ledger_group: GroupRef
    moved: Moved


class PaymentSettled(DomainEvent, frozen=True, kw_only=True):
    """The authorised payment arrived."""

    NAME: ClassVar[str] = "charge.payment_settled.v1"
    ledger_group: GroupRef
    moved: Moved


class PurchaseVoided(DomainEvent, frozen=True, kw_only=True):
    """What was left of the granted credit was taken back; the status of the charge stays (lifecycles §11.4)."""

    NAME: ClassVar[str] = "charge.purchase_voided.v1"
    voided_at: datetime
    amount: Decimal
    ledger_group: GroupRef


EVENTS: tuple[type[DomainEvent], ...] = (
    ChargeCreated,
    FeatureResolved,
    CostBasisResolved,
    ChargeActivated,
    RealizationRunOpened,
    CollectionAwaited,
    RealizationRunClosed,
    RealizationProcessed,
    RealizationCompleted,
    ChargeFinalized,
    ChargeAdvanceFailed,
    PeriodExtended,
    PeriodShrunk,
    OverrideSet,
    OverrideCleared,
    BaseIntentAmended,
    RunVoidNoted,
    ChargeReopened,
    ChargeDeleted,
    CreditsGranted,
    PaymentAwaited,
    PaymentAuthorized,
    PaymentSettled,
    PurchaseVoided,
)
ChargeEvent: TypeAlias = (
    ChargeCreated
    | FeatureResolved
    | CostBasisResolved
    | ChargeActivated
    | RealizationRunOpened
    | CollectionAwaited
    | RealizationRunClosed
    | RealizationProcessed
    | RealizationCompleted
    | ChargeFinalized
    | ChargeAdvanceFailed
    | PeriodExtended
    | PeriodShrunk
    | OverrideSet
    | OverrideCleared
    | BaseIntentAmended
    | RunVoidNoted
    | ChargeReopened
    | ChargeDeleted
    | CreditsGranted
    | PaymentAwaited
    | PaymentAuthorized
    | PaymentSettled
    | PurchaseVoided
)
