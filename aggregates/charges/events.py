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
from typing import ClassVar, TypeAlias, get_args
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
from aggregates.charges.late_events import LateEvent
from aggregates.charges.moved import Moved as Moved  # noqa: PLC0414 - for whoever knows it from here
from aggregates.charges.outside_events import OutsideEvent
from aggregates.event import DomainEvent
from aggregates.lifecycle import Status, Trigger
from aggregates.runs.events import RunType, VoidReason
from aggregates.values.identifiers import GroupRef
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period


class RunClosedReason(StrEnum):
    """Why a run stopped being the current one."""

    FINALIZED = "finalized"
    ISSUED = "issued"
    ZERO_OVERAGE = "zero_overage"
    VOIDED = "voided"
    REPLACED = "replaced"
    CANCELLED = "cancelled"


class ReopenedReason(StrEnum):
    """Why a charge went back to an earlier status."""

    PERIOD_CHANGED = "period_changed"
    OVERRIDE_SET = "override_set"
    OVERRIDE_CLEARED = "override_cleared"
    LINE_DELETED = "line_deleted"
    BILLABLE_AGAIN = "billable_again"


class RunPaymentStatus(StrEnum):
    """How far the payment of a run is; written off counts as settled (decision 22)."""

    AUTHORIZED = "authorized"
    PARTIALLY_PAID = "partially_paid"
    SETTLED = "settled"
    FAILED = "failed"
    WRITTEN_OFF = "written_off"


class GatheringLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What of a charge is not invoiced yet: `period` is what is left of it, billed from `invoice_at` on (§17.1).

    `amount` is what a line of it would show now, in `currency`, which is fiat: provisional, zero while the cost basis
    is open, absent for usage.
    """

    id: UUID
    period: Period
    invoice_at: Instant
    currency: Currency
    amount: Decimal | None = None


class CreditRefund(StrEnum):
    """What a deletion does about credit that was consumed: give it back, or leave it consumed (lifecycles §16.6)."""

    CORRECT = "correct"
    IGNORE = "ignore"


class InvoiceRefund(StrEnum):
    """What a deletion does about what was paid of lines that are credited because of it (lifecycles §16.6).

    100.00 were paid for a fee that is deleted. Its line is credited under all three.
    """

    IGNORE = "ignore"
    """100.00 are unapplied credit: set against the next invoice, or refunded on request."""
    REFUND = "refund"
    """100.00 are paid back."""
    GRANT_CREDITS = "grant_credits"
    """The customer has 100.00 of credit, which was paid for: its use is revenue, it does not expire."""


class PaymentKind(StrEnum):
    """How a purchase is paid for."""

    EXTERNAL = "external"
    INVOICED = "invoiced"


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
    """The service period has begun; for a flat fee: it is due. `booked_at` is when a flat fee will be booked."""

    NAME: ClassVar[str] = "charge.activated.v1"
    booked_at: Instant | None = None
    moved: Moved


# ── realization ──────────────────────────────────────────────────────────────────────────────────────────────


class RealizationRunOpened(DomainEvent, frozen=True, kw_only=True):
    """A run was started and is the current one; `collection_end` is its `stored_at_lt`, absent for a flat fee.

    `line_id` and `invoice_id` name the invoice line that shows it; both or neither. `no_fiat`, `zero_overage` and
    `set_off` are what is known of it already; see `RealizationProcessed`. `rebilling`: a late adjustment that bills
    again what a voided run had billed.
    """

    NAME: ClassVar[str] = "charge.realization_run_opened.v1"
    run_id: UUID
    type: RunType
    service_period_from: Instant
    service_period_to: Instant
    collection_end: Instant | None = None
    feature_id: UUID | None = None
    line_id: UUID | None = None
    invoice_id: UUID | None = None
    no_fiat: bool = False
    zero_overage: bool = False
    set_off: bool = False
    rebilling: bool = False
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
    """Collection is complete and the run has its last amounts; `no_fiat`: nothing of it is left to pay.

    `set_off`: it asks for nothing, or for less than nothing, and is settled without a line (run rating R14).
    """

    NAME: ClassVar[str] = "charge.realization_processed.v1"
    run_id: UUID
    no_fiat: bool
    zero_overage: bool = False
    set_off: bool = False
    moved: Moved


class RunRerated(DomainEvent, frozen=True, kw_only=True):
    """A run of a flat fee was rated again where it stands, because the promise changed (lifecycles §9, §10.1).

    What the index keeps of the run, as it is now.
    """

    NAME: ClassVar[str] = "charge.run_rerated.v1"
    run_id: UUID
    service_period: Period
    no_fiat: bool
    zero_overage: bool = False


class RealizationCompleted(DomainEvent, frozen=True, kw_only=True):
    """The realization is complete."""

    NAME: ClassVar[str] = "charge.realization_completed.v1"
    run_id: UUID
    moved: Moved


class ZeroOverageCompleted(DomainEvent, frozen=True, kw_only=True):
    """What credit does not cover comes to nothing in fiat, so that the run is done without an invoice line."""

    NAME: ClassVar[str] = "charge.zero_overage_completed.v1"
    run_id: UUID
    moved: Moved


class InvoiceIssueRecorded(DomainEvent, frozen=True, kw_only=True):
    """The run's invoice was issued and its usage booked; `no_fiat`: nothing of it is left to pay."""

    NAME: ClassVar[str] = "charge.invoice_issue_recorded.v1"
    run_id: UUID
    line_id: UUID
    no_fiat: bool
    moved: Moved


class PaymentSettlementAwaited(DomainEvent, frozen=True, kw_only=True):
    """Everything is invoiced; the charge waits until all of it is settled."""

    NAME: ClassVar[str] = "charge.payment_settlement_awaited.v1"
    moved: Moved


class ChargeReactivated(DomainEvent, frozen=True, kw_only=True):
    """A part is realized and the charge goes on with the rest of its period."""

    NAME: ClassVar[str] = "charge.reactivated.v1"
    moved: Moved


class AdvanceBroughtForward(DomainEvent, frozen=True, kw_only=True):
    """Credit that came later starts or expires before the clock had something to do: now it has, at that moment."""

    NAME: ClassVar[str] = "charge.advance_brought_forward.v1"
    advance_after: Instant


class RunPaymentNoted(DomainEvent, frozen=True, kw_only=True):
    """The payment of a run got further, be the run current, prior or invalid."""

    NAME: ClassVar[str] = "charge.run_payment_noted.v1"
    run_id: UUID
    payment_status: RunPaymentStatus


# ── what is still to be invoiced ─────────────────────────────────────────────────────────────────────────────


class GatheringLineRequested(DomainEvent, frozen=True, kw_only=True):
    """The charge has something to invoice."""

    NAME: ClassVar[str] = "charge.gathering_line_requested.v1"
    line: GatheringLine


class GatheringLineUpserted(DomainEvent, frozen=True, kw_only=True):
    """What the charge has to invoice has changed; it stays the same line."""

    NAME: ClassVar[str] = "charge.gathering_line_upserted.v1"
    line: GatheringLine


class GatheringLineDeleted(DomainEvent, frozen=True, kw_only=True):
    """Nothing is left to invoice."""

    NAME: ClassVar[str] = "charge.gathering_line_deleted.v1"
    line_id: UUID


class InvoiceLineLinked(DomainEvent, frozen=True, kw_only=True):
    """The purchase has a line on an invoice; that authorises no payment (lifecycles §11.3, R-21)."""

    NAME: ClassVar[str] = "charge.invoice_line_linked.v1"
    line_id: UUID
    invoice_id: UUID


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
    """The end of the effective periods was moved to a later time.

    For a flat fee: what it comes to now, and when it is booked from now on; credit that it has taken stays where it
    was booked.
    """

    NAME: ClassVar[str] = "charge.period_extended.v1"
    layer: LayerName
    old: Periods
    new: Periods
    amount_after_proration: Decimal | None = None
    booked_at: Instant | None = None
    advance_after: Instant | None = None


class PeriodShrunk(DomainEvent, frozen=True, kw_only=True):
    """The end of the effective periods was moved to an earlier time; of a flat fee as in `PeriodExtended`."""

    NAME: ClassVar[str] = "charge.period_shrunk.v1"
    layer: LayerName
    old: Periods
    new: Periods
    amount_after_proration: Decimal | None = None
    booked_at: Instant | None = None
    advance_after: Instant | None = None


class PeriodShrunkToRealized(DomainEvent, frozen=True, kw_only=True):
    """The service period was ended where the latest run ends; nothing more will be billed (lifecycles §8.4)."""

    NAME: ClassVar[str] = "charge.period_shrunk_to_realized.v1"
    layer: LayerName
    old_to: Instant
    new_to: Instant
    run_id: UUID


class RunReclassified(DomainEvent, frozen=True, kw_only=True):
    """A run of the charge is of another type from now on; an invalid one no longer counts (lifecycles §8.4, §17.6)."""

    NAME: ClassVar[str] = "charge.run_reclassified.v1"
    run_id: UUID
    from_type: RunType
    to_type: RunType


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
    """The base was changed: by the system under an override, or by an edit of a manually managed charge.

    Under an override the base gets new periods or is deleted, and what is effective stays. An edit replaces it as a
    whole (`base`).
    """

    NAME: ClassVar[str] = "charge.base_intent_amended.v1"
    base: Layer | None = None
    periods: Periods | None = None
    amount_after_proration: Decimal | None = None
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
    """The effective intent was marked deleted. An override that was not there before is a copy of the base.

    `invoice_refund`: what becomes of money that was paid for lines credited because of it.
    """

    NAME: ClassVar[str] = "charge.deleted.v1"
    layer: LayerName
    intent_deleted_at: Instant
    credit_refund: CreditRefund
    invoice_refund: InvoiceRefund = InvoiceRefund.IGNORE
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
    """The payment of the purchase was authorised for `fiat_amount`; for an invoiced one, on that line and invoice."""

    NAME: ClassVar[str] = "charge.payment_authorized.v1"
    kind: PaymentKind
    fiat_amount: Decimal
    fiat_currency: Currency
    ledger_group: GroupRef
    line_id: UUID | None = None
    invoice_id: UUID | None = None
    moved: Moved


class PaymentSettled(DomainEvent, frozen=True, kw_only=True):
    """The authorised payment arrived."""

    NAME: ClassVar[str] = "charge.payment_settled.v1"
    ledger_group: GroupRef
    moved: Moved


class PaymentFailure(StrEnum):
    """How the payment of a purchase came to nothing (decision 26)."""

    FAILED = "failed"
    CANCELLED = "cancelled"
    CHARGED_BACK = "charged_back"


class PaymentFailed(DomainEvent, frozen=True, kw_only=True):
    """The payment came to nothing: unused credit was taken back, and what was used stays owed (decision 26).

    `amount`: credit taken back; `fiat_owed`: what the used part costs and nobody paid; `detail`: what was said of it.
    `ledger_group` is absent where nothing was granted and nothing paid, so that there was nothing to undo.
    """

    NAME: ClassVar[str] = "charge.payment_failed.v1"
    reason: PaymentFailure
    detail: str | None = None
    amount: Decimal
    fiat_owed: Decimal
    fiat_currency: Currency
    ledger_group: GroupRef | None = None
    moved: Moved


class PaymentRetried(DomainEvent, frozen=True, kw_only=True):
    """The payment is tried again, for what is owed."""

    NAME: ClassVar[str] = "charge.payment_retried.v1"
    moved: Moved


class PaymentReversed(DomainEvent, frozen=True, kw_only=True):
    """Money for the purchase went back, and its price is no longer covered; the credit stays, and waits for payment."""

    NAME: ClassVar[str] = "charge.payment_reversed.v1"
    ledger_group: GroupRef
    moved: Moved


class PaymentWrittenOff(DomainEvent, frozen=True, kw_only=True):
    """Nobody will pay what is owed: it was given up, in `ledger_group`, where anything was owed (decision 22)."""

    NAME: ClassVar[str] = "charge.payment_written_off.v1"
    fiat_amount: Decimal
    fiat_currency: Currency
    ledger_group: GroupRef | None = None
    moved: Moved


class PurchaseReduced(DomainEvent, frozen=True, kw_only=True):
    """Less credit is sold: `amount` was taken off before any was granted, and `credit_amount` is left to be granted."""

    NAME: ClassVar[str] = "charge.purchase_reduced.v1"
    amount: Decimal
    credit_amount: Decimal


class PurchaseVoided(DomainEvent, frozen=True, kw_only=True):
    """What was left of the granted credit was taken back; the status of the charge stays (lifecycles §11.4)."""

    NAME: ClassVar[str] = "charge.purchase_voided.v1"
    voided_at: datetime
    amount: Decimal
    ledger_group: GroupRef


ChargeEvent: TypeAlias = (
    ChargeCreated
    | FeatureResolved
    | CostBasisResolved
    | ChargeActivated
    | RealizationRunOpened
    | CollectionAwaited
    | RealizationRunClosed
    | RealizationProcessed
    | RunRerated
    | RealizationCompleted
    | ZeroOverageCompleted
    | InvoiceIssueRecorded
    | PaymentSettlementAwaited
    | ChargeReactivated
    | AdvanceBroughtForward
    | RunPaymentNoted
    | GatheringLineRequested
    | GatheringLineUpserted
    | GatheringLineDeleted
    | InvoiceLineLinked
    | ChargeFinalized
    | ChargeAdvanceFailed
    | PeriodExtended
    | PeriodShrunk
    | PeriodShrunkToRealized
    | RunReclassified
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
    | PaymentFailed
    | PaymentRetried
    | PaymentReversed
    | PaymentWrittenOff
    | PurchaseReduced
    | PurchaseVoided
    | LateEvent
    | OutsideEvent
)
EVENTS: tuple[type[DomainEvent], ...] = get_args(ChargeEvent)
