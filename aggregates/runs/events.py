"""What happens to a realization run: started, rated, covered with credit, corrected, finalised, voided.

One stream per run; the stream's id is the run's id. The charge decides which run is current (lifecycles §19.1);
a run knows its bounds, its quantities, its rated lines and its credit. All amounts are in the run's currency.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, TypeAlias
from uuid import UUID

import msgspec

from aggregates.event import DomainEvent
from aggregates.policies import Arithmetic
from aggregates.rating.adjustments import UsageEvent
from aggregates.rating.lines import DetailedLine
from aggregates.rating.requests import RunEngine, Snapshot
from aggregates.values.decimals import ZERO
from aggregates.values.identifiers import GroupRef
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period
from aggregates.values.totals import Totals


class RunType(StrEnum):
    """What a run is for. `initial_type` of a run is never the invalid one (lifecycles §5.1)."""

    FINAL_REALIZATION = "final_realization"
    PARTIAL_INVOICE = "partial_invoice"
    INVALID = "invalid_due_to_unsupported_credit_note"
    LATE_ADJUSTMENT = "late_adjustment"
    """Usage that was stored after the final run had been collected (decision 24)."""


class VoidReason(StrEnum):
    """Why a run no longer counts (lifecycles §19.3)."""

    INTENT_CHANGED = "intent_changed"
    LINE_DELETED = "line_deleted"
    CHARGE_DELETED = "charge_deleted"
    CREDITED = "credited"
    """A credit note took its line back in full (decision 23), or that of a run it had been settled together with."""


class SealReason(StrEnum):
    """Why a run's amounts cannot change any more."""

    ISSUED = "issued"
    ZERO_OVERAGE = "zero_overage"


class CreditSource(StrEnum):
    """Where allocated credit came from: value the customer had, or an advance a later purchase may back."""

    REAL_CREDIT = "real_credit"
    ADVANCE = "advance"


class CreditAllocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credit set against the run: `amount > 0`; `sort_hint` is its place in its batch, from 0 (lifecycles §6.1)."""

    id: UUID
    amount: Decimal
    source: CreditSource
    ledger_group: GroupRef
    sort_hint: int


class CreditCorrection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credit given back: `amount < 0`, taken from the allocation that `corrects` names (lifecycles §6.1)."""

    id: UUID
    corrects: UUID
    amount: Decimal
    ledger_group: GroupRef
    sort_hint: int


class RealizationRunStarted(DomainEvent, frozen=True, kw_only=True):
    """A run was started over `[service_period_from, service_period_to)`.

    For usage, `stored_at_lt` is the collection end: usage stored at it or later does not count; it is fixed here for
    good (lifecycles §5.3). The run is rated for that feature with that meter from now on. A flat fee has neither, and
    its credit is booked at `booked_at`; for usage that is the end of the period. `line_id` and `invoice_id` name the
    invoice line that shows the run.
    """

    NAME: ClassVar[str] = "realization_run.started.v1"
    charge_id: UUID
    currency: Currency
    type: RunType
    service_period_from: Instant
    service_period_to: Instant
    stored_at_lt: Instant | None = None
    feature_id: UUID | None = None
    feature_key: str | None = None
    meter_id: UUID | None = None
    booked_at: Instant | None = None
    line_id: UUID | None = None
    invoice_id: UUID | None = None


class QuantityClamped(DomainEvent, frozen=True, kw_only=True):
    """The meter answered less than nothing, so the run is rated for zero; this keeps the true value (decision 18).

    Where the price looks at parts of the usage, those `below_zero` are rated for zero and the others as they are;
    `metered_quantity` is the true sum of all.
    """

    NAME: ClassVar[str] = "realization_run.quantity_clamped.v1"
    metered_quantity: Decimal
    stored_at_lt: Instant
    meter_position: int
    below_zero: tuple[UsageEvent, ...] = ()


class RunRated(DomainEvent, frozen=True, kw_only=True):
    """The run was rated: from what the meter answered, or a flat fee from what it comes to over its period.

    `metered_quantity` is cumulative from the start of the charge's service period, `pre_line_quantity` the part
    earlier runs have billed. `totals` are as rated, before credit; they are the sum of `detailed_lines`.
    `meter_position` is the ingest position the meter had read to (decision 16). The engine with its version and
    arithmetic, the `snapshots` it used (quantities, with their parts where the price looks at events), the `prior_runs`
    it saw and the `intent_version` with the price are what re-rating needs to find the same lines again (run rating
    R15). A flat fee
    has `amount_after_proration` and the `service_period` it is for instead of quantities and engine.
    """

    NAME: ClassVar[str] = "realization_run.rated.v1"
    metered_quantity: Decimal = ZERO
    pre_line_quantity: Decimal = ZERO
    totals: Totals
    detailed_lines: tuple[DetailedLine, ...]
    rating_engine: RunEngine | None = None
    rating_engine_version: int | None = None
    rating_arithmetic: Arithmetic = Arithmetic.REFERENCE
    stored_at_lt: Instant | None = None
    meter_position: int = 0
    intent_version: int
    amount_after_proration: Decimal | None = None
    service_period: Period | None = None
    snapshots: tuple[Snapshot, ...] = ()
    prior_runs: tuple[UUID, ...] = ()


class CreditsAllocated(DomainEvent, frozen=True, kw_only=True):
    """Credit was set against the run so that it covers `target`.

    `booked_at` is when the ledger booked it; `exact` says that the target had to be met to the last unit, by an
    advance where credit was short.
    """

    NAME: ClassVar[str] = "realization_run.credits_allocated.v1"
    allocations: tuple[CreditAllocation, ...]
    booked_at: Instant
    target: Decimal
    exact: bool


class CreditsCorrected(DomainEvent, frozen=True, kw_only=True):
    """Credit was given back, newest allocation first, so that what is left covers `target`.

    `set_off`: it settles that other run of the charge, whose total is below zero (run rating R14).
    """

    NAME: ClassVar[str] = "realization_run.credits_corrected.v1"
    corrections: tuple[CreditCorrection, ...]
    booked_at: Instant
    target: Decimal
    set_off: UUID | None = None


class RunFinalized(DomainEvent, frozen=True, kw_only=True):
    """Collection is complete and the run has its last totals, credit included."""

    NAME: ClassVar[str] = "realization_run.finalized.v1"
    totals: Totals
    no_fiat_transaction_required: bool


class RunVoided(DomainEvent, frozen=True, kw_only=True):
    """The run no longer counts for its charge; it stays in the history, with its credit given back.

    `deleted_at` is bookkeeping and keeps its fractions of a second.
    """

    NAME: ClassVar[str] = "realization_run.voided.v1"
    reason: VoidReason
    deleted_at: datetime


class FiatOverageCreditsAllocated(DomainEvent, frozen=True, kw_only=True):
    """Fiat credit was set against what is left of a run in a custom currency, when its invoice was approved (§12.4).

    `fiat_overage` is what was left in fiat, `rate` the price of a unit of the custom currency. Amounts are in `fiat`.
    """

    NAME: ClassVar[str] = "realization_run.fiat_overage_credits_allocated.v1"
    allocations: tuple[CreditAllocation, ...]
    fiat: Currency
    rate: Decimal
    fiat_overage: Decimal
    booked_at: Instant


class FiatOverageCreditsCorrected(DomainEvent, frozen=True, kw_only=True):
    """Fiat credit was given back, newest allocation first; `set_off` as in `CreditsCorrected`."""

    NAME: ClassVar[str] = "realization_run.fiat_overage_credits_corrected.v1"
    corrections: tuple[CreditCorrection, ...]
    fiat: Currency
    booked_at: Instant
    set_off: UUID | None = None


class RunSetOff(DomainEvent, frozen=True, kw_only=True):
    """The run comes to less than nothing and was settled against the charge's other runs (run rating R14).

    Of `shortfall`, earlier runs gave `released` back of their credit, newest first. In `fiat`, `credited` are taken
    back of what was invoiced, what is paid of it as a correction credit of the customer. Nothing is given back that
    was not paid for. `against` are the runs that gave: from then on they and this one count together, or not at all.
    """

    NAME: ClassVar[str] = "realization_run.set_off.v1"
    shortfall: Decimal
    released: Decimal
    fiat: Currency | None = None
    fiat_released: Decimal = ZERO
    credited: Decimal = ZERO
    against: tuple[UUID, ...] = ()


class CorrectionCredited(DomainEvent, frozen=True, kw_only=True):
    """What was paid too much is credit of the customer now: paid value, which does not expire (decision 20).

    It was paid on the line of `paid_run`; `currency` is fiat.
    """

    NAME: ClassVar[str] = "realization_run.correction_credited.v1"
    amount: Decimal
    currency: Currency
    paid_run: UUID
    ledger_group: GroupRef


class RunTypeChanged(DomainEvent, frozen=True, kw_only=True):
    """The run is of another type from now on; `initial_type` stays what it was."""

    NAME: ClassVar[str] = "realization_run.type_changed.v1"
    from_type: RunType
    to_type: RunType


class RunSealed(DomainEvent, frozen=True, kw_only=True):
    """The run's amounts cannot change any more."""

    NAME: ClassVar[str] = "realization_run.sealed.v1"
    reason: SealReason


class InvoiceUsageAccrued(DomainEvent, frozen=True, kw_only=True):
    """The run's line was issued (lifecycles §17.4): what of it is to be paid was booked.

    `totals` are the line's, in `currency`, which is fiat. Without a fiat transaction (`no_fiat`) nothing was booked and
    there is no `ledger_group`.
    """

    NAME: ClassVar[str] = "realization_run.invoice_usage_accrued.v1"
    line_id: UUID
    invoice_id: UUID
    period: Period
    totals: Totals
    currency: Currency
    no_fiat: bool
    ledger_group: GroupRef | None = None


class RunPaymentAuthorized(DomainEvent, frozen=True, kw_only=True):
    """So much of the run's invoiced total was promised; amounts are in fiat and without tax.

    Without a `ledger_group`: it is unapplied credit of the customer, which the ledger has already.
    """

    NAME: ClassVar[str] = "realization_run.payment_authorized.v1"
    line_id: UUID
    invoice_id: UUID
    fiat_amount: Decimal
    ledger_group: GroupRef | None = None
    authorized_at: datetime


class RunPaymentSettled(DomainEvent, frozen=True, kw_only=True):
    """So much of the run's invoiced total arrived; `in_full`: nothing of it is open any more."""

    NAME: ClassVar[str] = "realization_run.payment_settled.v1"
    fiat_amount: Decimal
    in_full: bool
    ledger_group: GroupRef | None = None
    settled_at: datetime


class RunPaymentFailed(DomainEvent, frozen=True, kw_only=True):
    """What was promised will not come; `released` of it is open again."""

    NAME: ClassVar[str] = "realization_run.payment_failed.v1"
    released: Decimal
    reason: str | None = None
    ledger_group: GroupRef | None = None


class RunWrittenOff(DomainEvent, frozen=True, kw_only=True):
    """So much was given up as uncollectible: the run stays billed and counts as settled (decision 22)."""

    NAME: ClassVar[str] = "realization_run.written_off.v1"
    fiat_amount: Decimal
    ledger_group: GroupRef


class RunReinstated(DomainEvent, frozen=True, kw_only=True):
    """A write-off was taken back."""

    NAME: ClassVar[str] = "realization_run.reinstated.v1"
    fiat_amount: Decimal
    ledger_group: GroupRef


class RunCredited(DomainEvent, frozen=True, kw_only=True):
    """A credit note took back so much of the run's invoiced total (decision 23); no group where nothing was due.

    `set_off`: there are no credit notes, and so much is credit of the customer because of that run below zero.
    """

    NAME: ClassVar[str] = "realization_run.credited.v1"
    fiat_amount: Decimal
    in_full: bool
    credit_note_id: UUID | None = None
    ledger_group: GroupRef | None = None
    set_off: UUID | None = None


class RunInvalidated(DomainEvent, frozen=True, kw_only=True):
    """The run's line should go and cannot: the run no longer counts, its bookings and payments stay (§17.6)."""

    NAME: ClassVar[str] = "realization_run.invalidated.v1"
    line_id: UUID
    invoice_id: UUID
    reason: str


EVENTS: tuple[type[DomainEvent], ...] = (
    RealizationRunStarted,
    QuantityClamped,
    RunRated,
    CreditsAllocated,
    CreditsCorrected,
    RunFinalized,
    RunVoided,
    FiatOverageCreditsAllocated,
    FiatOverageCreditsCorrected,
    RunSetOff,
    CorrectionCredited,
    RunTypeChanged,
    RunSealed,
    InvoiceUsageAccrued,
    RunPaymentAuthorized,
    RunPaymentSettled,
    RunPaymentFailed,
    RunWrittenOff,
    RunReinstated,
    RunCredited,
    RunInvalidated,
)
RunEvent: TypeAlias = (
    RealizationRunStarted
    | QuantityClamped
    | RunRated
    | CreditsAllocated
    | CreditsCorrected
    | RunFinalized
    | RunVoided
    | FiatOverageCreditsAllocated
    | FiatOverageCreditsCorrected
    | RunSetOff
    | CorrectionCredited
    | RunTypeChanged
    | RunSealed
    | InvoiceUsageAccrued
    | RunPaymentAuthorized
    | RunPaymentSettled
    | RunPaymentFailed
    | RunWrittenOff
    | RunReinstated
    | RunCredited
    | RunInvalidated
)
