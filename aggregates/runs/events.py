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
from aggregates.rating.lines import DetailedLine
from aggregates.rating.requests import RunEngine, Snapshot
from aggregates.values.decimals import ZERO
from aggregates.values.identifiers import GroupRef
from aggregates.values.money import Currency
from aggregates.values.period import Instant
from aggregates.values.totals import Totals


class RunType(StrEnum):
    """What a run is for. `initial_type` of a run is never the invalid one (lifecycles §5.1)."""

    FINAL_REALIZATION = "final_realization"
    PARTIAL_INVOICE = "partial_invoice"
    INVALID = "invalid_due_to_unsupported_credit_note"


class VoidReason(StrEnum):
    """Why a run no longer counts (lifecycles §19.3)."""

    INTENT_CHANGED = "intent_changed"
    LINE_DELETED = "line_deleted"
    CHARGE_DELETED = "charge_deleted"


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

    `stored_at_lt` is the collection end: usage stored at it or later does not count; it is fixed here for good
    (lifecycles §5.3). The run is rated for that feature with that meter from now on.
    """

    NAME: ClassVar[str] = "realization_run.started.v1"
    charge_id: UUID
    currency: Currency
    type: RunType
    service_period_from: Instant
    service_period_to: Instant
    stored_at_lt: Instant
    feature_id: UUID
    feature_key: str
    meter_id: UUID


class QuantityClamped(DomainEvent, frozen=True, kw_only=True):
    """The meter answered less than nothing, so the run is rated for zero; this keeps the true value (decision 18)."""

    NAME: ClassVar[str] = "realization_run.quantity_clamped.v1"
    metered_quantity: Decimal
    stored_at_lt: Instant
    meter_position: int


class RunRated(DomainEvent, frozen=True, kw_only=True):
    """The run was rated from what the meter answered.

    `metered_quantity` is cumulative from the start of the charge's service period, `pre_line_quantity` the part
    earlier runs have billed. `totals` are as rated, before credit; they are the sum of `detailed_lines`.
    `meter_position` is the ingest position the meter had read to (decision 16). The engine and its version, the
    `snapshots` it used, the `prior_runs` it saw and the `intent_version` with the price are what re-rating needs to
    find the same lines again (run rating R15).
    """

    NAME: ClassVar[str] = "realization_run.rated.v1"
    metered_quantity: Decimal
    pre_line_quantity: Decimal = ZERO
    totals: Totals
    detailed_lines: tuple[DetailedLine, ...]
    rating_engine: RunEngine
    rating_engine_version: int
    stored_at_lt: Instant
    meter_position: int
    intent_version: int
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
    """Credit was given back, newest allocation first, so that what is left covers `target`."""

    NAME: ClassVar[str] = "realization_run.credits_corrected.v1"
    corrections: tuple[CreditCorrection, ...]
    booked_at: Instant
    target: Decimal


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


EVENTS: tuple[type[DomainEvent], ...] = (
    RealizationRunStarted,
    QuantityClamped,
    RunRated,
    CreditsAllocated,
    CreditsCorrected,
    RunFinalized,
    RunVoided,
)
RunEvent: TypeAlias = (
    RealizationRunStarted | QuantityClamped | RunRated | CreditsAllocated | CreditsCorrected | RunFinalized | RunVoided
)
