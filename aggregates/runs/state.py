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
    CorrectionCredited,
    CreditAllocation,
    CreditCorrection,
    CreditsAllocated,
    CreditsCorrected,
    CreditSource,
    FiatOverageCreditsAllocated,
    FiatOverageCreditsCorrected,
    InvoiceUsageAccrued,
    QuantityClamped,
    RealizationRunStarted,
    RunCredited,
    RunEvent,
    RunFinalized,
    RunInvalidated,
    RunPaymentAuthorized,
    RunPaymentFailed,
    RunPaymentSettled,
    RunRated,
    RunReinstated,
    RunSealed,
    RunSetOff,
    RunType,
    RunTypeChanged,
    RunVoided,
    RunWrittenOff,
    SealReason,
    VoidReason,
)
from aggregates.values.decimals import ZERO, exact
from aggregates.values.identifiers import GroupRef
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period
from aggregates.values.totals import Totals

AUTHORIZED, PARTIALLY_PAID, SETTLED = "authorized", "partially_paid", "settled"
FAILED, WRITTEN_OFF = "failed", "written_off"
"""How far the payment of a run is."""


class CreditRealization(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Credit set against the run or given back: an allocation has a `source`, a correction says what it `corrects`."""

    id: UUID
    amount: Decimal
    ledger_group: GroupRef
    sort_hint: int
    created_at: datetime
    source: CreditSource | None = None
    corrects: UUID | None = None


class InvoiceUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the run's line said when it was issued; no `ledger_group` where nothing had to be paid in fiat."""

    line_id: UUID
    invoice_id: UUID
    period: Period
    totals: Totals
    currency: Currency
    ledger_group: GroupRef | None = None


class RunPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What became of the money for the run (lifecycles §13); amounts are in fiat and without tax.

    `fiat_amount` is what was promised so far, `settled_amount` what of it arrived.
    """

    line_id: UUID
    invoice_id: UUID
    status: str
    fiat_amount: Decimal = ZERO
    settled_amount: Decimal = ZERO
    written_off: Decimal = ZERO
    authorized_at: datetime | None = None
    settled_at: datetime | None = None


class RealizationRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One attempt to turn a part of a charge into a settled amount (lifecycles §5.1). Amounts are in `currency`.

    Usage has a collection end, a feature and a meter; a flat fee has `amount_after_proration` instead. `booked_at` is
    when its credit is booked.

    `metered_quantity` is cumulative over the charge's service period and provisional until the run is finalised;
    `quantity_metered_true` is what the meter said where that was below zero. `correction_credit` is what the customer
    got as credit, in fiat, because the run comes to less than nothing; `corrected` what of this run went there without
    a credit note; `set_off_against` the runs that one below zero was settled against.
    """

    id: UUID
    charge_id: UUID
    customer: str
    currency: Currency
    type: RunType
    initial_type: RunType
    service_period_from: Instant
    service_period_to: Instant
    stored_at_lt: Instant | None = None
    feature_id: UUID | None = None
    feature_key: str | None = None
    meter_id: UUID | None = None
    booked_at: Instant
    line_id: UUID | None = None
    invoice_id: UUID | None = None
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
    amount_after_proration: Decimal | None = None
    credit_realizations: tuple[CreditRealization, ...] = ()
    no_fiat_transaction_required: bool = False
    finalized: bool = False
    fiat_overage_credit_realizations: tuple[CreditRealization, ...] = ()
    fiat: Currency | None = None
    sealed: SealReason | None = None
    invoice_usage: InvoiceUsage | None = None
    payment: RunPayment | None = None
    credited: Decimal = ZERO
    credit_notes: tuple[UUID, ...] = ()
    corrected: Decimal = ZERO
    correction_credit: Decimal = ZERO
    set_off_against: tuple[UUID, ...] = ()

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

    @property
    def fiat_credits_total(self) -> Decimal:
        """What of the overage is covered by fiat credit now."""
        return _sum(realization.amount for realization in self.fiat_overage_credit_realizations)

    @property
    def invoiced_left(self) -> Decimal:
        """What its invoice asked for and nobody has taken back, without tax, in fiat; paid or not."""
        if self.invoice_usage is None or self.no_fiat_transaction_required:
            return ZERO
        return _sum((self.invoice_usage.totals.total, -self.credited, -self.corrected))

    @property
    def paid_left(self) -> Decimal:
        """What of that is paid: a credit note takes first what is not."""
        settled = self.payment.settled_amount if self.payment is not None else ZERO
        return min(settled, self.invoiced_left)

    def remaining(self, allocation: UUID) -> Decimal:
        """What is left of an allocation: it and all its corrections together (lifecycles §6.1)."""
        return _sum(r.amount for r in self._realizations if allocation in (r.id, r.corrects))

    @property
    def _realizations(self) -> tuple[CreditRealization, ...]:
        return (*self.credit_realizations, *self.fiat_overage_credit_realizations)


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
            return _rated(state, body)
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
        case RunSetOff():
            return msgspec.structs.replace(state, set_off_against=body.against)
        case CorrectionCredited():
            return msgspec.structs.replace(state, correction_credit=state.correction_credit + body.amount)
        case RunTypeChanged():
            return msgspec.structs.replace(state, type=body.to_type)
        case RunInvalidated():
            return msgspec.structs.replace(state, type=RunType.INVALID)
        case RunSealed():
            return msgspec.structs.replace(state, sealed=body.reason)
        case FiatOverageCreditsAllocated() | FiatOverageCreditsCorrected() | InvoiceUsageAccrued():
            return _on_invoice(state, body, record.at)
        case _:
            return _of_money(state, body)


def _on_invoice(
    state: RealizationRun,
    body: FiatOverageCreditsAllocated | FiatOverageCreditsCorrected | InvoiceUsageAccrued,
    at: datetime,
) -> RealizationRun:
    match body:
        case FiatOverageCreditsAllocated():
            more = tuple(_allocation(a, at) for a in body.allocations)
            kept = (*state.fiat_overage_credit_realizations, *more)
            return msgspec.structs.replace(state, fiat_overage_credit_realizations=kept, fiat=body.fiat)
        case FiatOverageCreditsCorrected():
            more = tuple(_correction(c, at) for c in body.corrections)
            kept = (*state.fiat_overage_credit_realizations, *more)
            return msgspec.structs.replace(state, fiat_overage_credit_realizations=kept)
        case InvoiceUsageAccrued():
            usage = InvoiceUsage(
                line_id=body.line_id,
                invoice_id=body.invoice_id,
                period=body.period,
                totals=body.totals,
                currency=body.currency,
                ledger_group=body.ledger_group,
            )
            return msgspec.structs.replace(state, invoice_usage=usage, no_fiat_transaction_required=body.no_fiat)


@exact
def _of_money(
    state: RealizationRun,
    body: RunPaymentAuthorized | RunPaymentSettled | RunPaymentFailed | RunWrittenOff | RunReinstated | RunCredited,
) -> RealizationRun:
    """What became of the money: the payment of the run, step by step."""
    if isinstance(body, RunCredited):
        bucket = "credited" if body.set_off is None else "corrected"
        notes = state.credit_notes if body.credit_note_id is None else (*state.credit_notes, body.credit_note_id)
        amounts = {bucket: getattr(state, bucket) + body.fiat_amount}
        return msgspec.structs.replace(state, credit_notes=notes, **amounts)
    usage = state.invoice_usage
    assert usage is not None, f"run {state.id}: {type(body).__name__} before it was invoiced"
    before = state.payment or RunPayment(line_id=usage.line_id, invoice_id=usage.invoice_id, status="")
    changes: dict[str, object]
    match body:
        case RunPaymentAuthorized():
            changes = {
                "status": PARTIALLY_PAID if before.settled_amount else AUTHORIZED,
                "fiat_amount": before.fiat_amount + body.fiat_amount,
                "authorized_at": before.authorized_at or body.authorized_at,
            }
        case RunPaymentSettled():
            changes = {
                "status": SETTLED if body.in_full else PARTIALLY_PAID,
                "settled_amount": before.settled_amount + body.fiat_amount,
                "settled_at": body.settled_at if body.in_full else None,
            }
        case RunPaymentFailed():
            changes = {
                "status": PARTIALLY_PAID if before.settled_amount else FAILED,
                "fiat_amount": before.fiat_amount - body.released,
            }
        case RunWrittenOff():
            changes = {"status": WRITTEN_OFF, "written_off": before.written_off + body.fiat_amount}
        case RunReinstated():
            changes = {
                "status": PARTIALLY_PAID if before.settled_amount else FAILED,
                "written_off": before.written_off - body.fiat_amount,
            }
        case _ as unreachable:
            assert_never(unreachable)
    return msgspec.structs.replace(state, payment=msgspec.structs.replace(before, **changes))


def fold(state: RealizationRun | None, records: Iterable[Recorded[RunEvent]]) -> RealizationRun | None:
    """Fold many events, oldest first."""
    for record in records:
        state = evolve(state, record)
    return state


def _rated(state: RealizationRun, body: RunRated) -> RealizationRun:
    period = body.service_period or Period(state.service_period_from, state.service_period_to)
    return msgspec.structs.replace(
        state,
        service_period_from=period.from_,
        service_period_to=period.to,
        metered_quantity=body.metered_quantity,
        pre_line_quantity=body.pre_line_quantity,
        quantity_metered_true=state.quantity_metered_true if not body.metered_quantity else None,
        meter_position=body.meter_position,
        totals=_covered(body.totals, state.credit_realizations),
        detailed_lines=body.detailed_lines,
        rating_engine=body.rating_engine,
        intent_version=body.intent_version,
        amount_after_proration=body.amount_after_proration,
    )


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
        booked_at=body.booked_at or body.service_period_to,
        line_id=body.line_id,
        invoice_id=body.invoice_id,
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
