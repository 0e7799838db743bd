"""A realization run as its events have made it.

A run is *voided* once it has `deleted_at` or the invalid type: it stays readable and no longer counts for anything
(lifecycles §5.2). Credit realizations are kept in recorded order, so "newest" is by position, never by a clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import assert_never
from uuid import UUID

import msgspec

from aggregates.event import Recorded, Stream
from aggregates.rating.lines import DetailedLine
from aggregates.rating.requests import RunEngine
from aggregates.runs.events import (
    CreditAllocation,
    CreditCorrection,
    CreditsAllocated,
    CreditsCorrected,
    CreditSource,
    QuantityClamped,
    RealizationRunStarted,
    RunEvent,
    RunFinalized,
    RunRated,
    RunType,
    RunVoided,
    VoidReason,
)
from aggregates.values.decimals import ZERO, exact
from aggregates.values.identifiers import GroupRef
from aggregates.values.money import Currency
from aggregates.values.period import Instant
from aggregates.values.totals import Totals


class CreditRealization(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Credit set against the run or given back: an allocation has a `source`, a correction says what it `corrects`."""

    id: UUID
    amount: Decimal
    ledger_group: GroupRef
    sort_hint: int
    created_at: datetime
    source: CreditSource | None = None
    corrects: UUID | None = None


class RealizationRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One attempt to turn a part of a charge into a settled amount (lifecycles §5.1). Amounts are in `currency`.

    `metered_quantity` is cumulative over the charge's service period and provisional until the run is finalised;
    `quantity_metered_true` is what the meter said where that was below zero.
    """

    id: UUID
    charge_id: UUID
    customer: str
    currency: Currency
    type: RunType
    initial_type: RunType
    service_period_from: Instant
    service_period_to: Instant
    stored_at_lt: Instant
    feature_id: UUID
    feature_key: str
    meter_id: UUID
    created_at: datetime
    deleted_at: datetime | None = None
    void_reason: VoidReason | None = None
    metered_quantity: Decimal = ZERO
    pre_line_quantity: Decimal = ZERO
    quantity_metered_true: Decimal | None = None
    meter_position: int = 0
    totals: Totals = Totals()
    detailed_lines: tuple[DetailedLine, ...] = ()
    rating_engine: RunEngine | None = None
    intent_version: int = 0
    credit_realizations: tuple[CreditRealization, ...] = ()
    no_fiat_transaction_required: bool = False
    finalized: bool = False

    @property
    def stream(self) -> Stream:
        """The stream the run's events are in."""
        return stream(self.id, self.customer)

    @property
    def is_voided(self) -> bool:
        """Whether the run no longer counts."""
        return self.deleted_at is not None or self.type is RunType.INVALID

    @property
    def credits_total(self) -> Decimal:
        """What of the run is covered by credit now: allocations less corrections."""
        return _sum(realization.amount for realization in self.credit_realizations)

    def remaining(self, allocation: UUID) -> Decimal:
        """What is left of an allocation: it and all its corrections together (lifecycles §6.1)."""
        return _sum(r.amount for r in self.credit_realizations if allocation in (r.id, r.corrects))


@exact
def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, ZERO)


def stream(run_id: UUID, customer: str) -> Stream:
    """The stream of one run."""
    return Stream("realization_run", run_id, customer)


def evolve(state: RealizationRun | None, record: Recorded[RunEvent]) -> RealizationRun:
    """Fold one event into the run. Refuses nothing: what was decided is in the event."""
    body = record.body
    if isinstance(body, RealizationRunStarted):
        return _started(body, record)
    assert state is not None, f"run {record.stream}: {type(body).__name__} before it was started"
    match body:
        case QuantityClamped():
            return msgspec.structs.replace(state, quantity_metered_true=body.metered_quantity)
        case RunRated():
            return msgspec.structs.replace(
                state,
                metered_quantity=body.metered_quantity,
                pre_line_quantity=body.pre_line_quantity,
                quantity_metered_true=state.quantity_metered_true if not body.metered_quantity else None,
                meter_position=body.meter_position,
                totals=_covered(body.totals, state.credit_realizations),
                detailed_lines=body.detailed_lines,
                rating_engine=body.rating_engine,
                intent_version=body.intent_version,
            )
        case CreditsAllocated():
            return _with_credit(state, [_allocation(a, record.at) for a in body.allocations])
        case CreditsCorrected():
            return _with_credit(state, [_correction(c, record.at) for c in body.corrections])
        case RunFinalized():
            return msgspec.structs.replace(
                state,
                totals=body.totals,
                no_fiat_transaction_required=body.no_fiat_transaction_required,
                finalized=True,
            )
        case RunVoided():
            return msgspec.structs.replace(state, deleted_at=body.deleted_at, void_reason=body.reason)
        case _ as unreachable:
            assert_never(unreachable)


def fold(state: RealizationRun | None, records: Iterable[Recorded[RunEvent]]) -> RealizationRun | None:
    """Fold many events, oldest first."""
    for record in records:
        state = evolve(state, record)
    return state


def _started(body: RealizationRunStarted, record: Recorded[RunEvent]) -> RealizationRun:
    return RealizationRun(
        id=record.stream,
        charge_id=body.charge_id,
        customer=record.customer or "",
        currency=body.currency,
        type=body.type,
        initial_type=body.type,
        service_period_from=body.service_period_from,
        service_period_to=body.service_period_to,
        stored_at_lt=body.stored_at_lt,
        feature_id=body.feature_id,
        feature_key=body.feature_key,
        meter_id=body.meter_id,
        created_at=record.at,
    )


def _allocation(allocation: CreditAllocation, at: datetime) -> CreditRealization:
    return CreditRealization(
        id=allocation.id,
        amount=allocation.amount,
        ledger_group=allocation.ledger_group,
        sort_hint=allocation.sort_hint,
        created_at=at,
        source=allocation.source,
    )


def _correction(correction: CreditCorrection, at: datetime) -> CreditRealization:
    return CreditRealization(
        id=correction.id,
        amount=correction.amount,
        ledger_group=correction.ledger_group,
        sort_hint=correction.sort_hint,
        created_at=at,
        corrects=correction.corrects,
    )


def _with_credit(state: RealizationRun, more: list[CreditRealization]) -> RealizationRun:
    """The run with more realizations; its totals show what they cover."""
    realizations = (*state.credit_realizations, *more)
    return msgspec.structs.replace(state, credit_realizations=realizations, totals=_covered(state.totals, realizations))


@exact
def _covered(totals: Totals, realizations: Iterable[CreditRealization]) -> Totals:
    """The totals with what the realizations cover."""
    return totals.with_credits(sum((r.amount for r in realizations), ZERO))
