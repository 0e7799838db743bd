"""What `ledger.views` answers: frozen records with named fields, made of the rows of views."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from aggregates.rating.lines import DetailedLine
from aggregates.values.identifiers import GroupRef
from aggregates.values.money import Currency
from aggregates.values.period import Period
from aggregates.values.totals import Totals, sum_totals
from projections.charges import ChargeRow
from projections.customers import CustomerRow
from projections.ledger_entries import LedgerEntry
from projections.plain import read_json
from projections.prior_runs import PRIOR_RUNS
from projections.runs import RunRow
from projections.stores.tables import Reader, Where


class Realization(msgspec.Struct, frozen=True, kw_only=True):
    """Credit set against a run (`amount` > 0, with its `source`) or given back (`amount` < 0, it `corrects` one).

    `ledger_group` names the posting group: an event of the credit pool.
    """

    id: UUID
    amount: Decimal
    ledger_group: GroupRef
    sort_hint: int
    source: str | None = None
    corrects: UUID | None = None


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A realization run (lifecycles §5). Amounts are in `currency`; times are UTC.

    `metered_quantity` is cumulative from the start of the charge's service period, `line_quantity` this run's part of
    it; `true_quantity` is what the meter said where that was below zero; a flat fee has `amount_after_proration`
    instead. `stored_at_lt` is the collection end, exclusive. `credits` is what credit covers, net of corrections. A run
    with `ended_at` is prior; a voided one counts for nothing, nor does one from
    `invalidated_at` on, though what was booked for it stays (lifecycles §17.6).
    """

    run: UUID
    charge: UUID
    customer: str
    run_type: str
    currency: Currency
    feature: str | None
    service_period: Period
    stored_at_lt: datetime | None
    booked_at: datetime | None
    line: UUID | None
    invoice: UUID | None
    amount_after_proration: Decimal | None
    metered_quantity: Decimal | None
    line_quantity: Decimal | None
    true_quantity: Decimal | None
    totals: Totals
    credits: Decimal
    realizations: tuple[Realization, ...]
    lines: tuple[DetailedLine, ...]
    rating_engine: str | None
    finalized_at: datetime | None
    ended_at: datetime | None
    ended_reason: str | None
    voided: bool
    voided_at: datetime | None
    void_reason: str | None
    invalidated_at: datetime | None
    created_at: datetime


class CustomerView(msgspec.Struct, frozen=True, kw_only=True):
    """A customer and its billing profile; what is absent of that is the namespace's. Times are UTC."""

    customer: str
    name: str
    collection_interval: str | None
    zone: str | None
    usage_credit_cut: str | None
    created_at: datetime
    deleted_at: datetime | None = None


class ChargeView(msgspec.Struct, frozen=True, kw_only=True):
    """A charge as it stands. `totals` add up its runs that count (lifecycles §5.2), in `currency`.

    Name, periods and `invoice_at` are those of the effective intent; `base` and `override` are its layers as plain
    data. `advance_after` absent: the clock alone will not move it any more. `failure` says why it is stuck.
    """

    charge: UUID
    customer: str
    charge_type: str
    status: str
    meta_status: str
    advance_after: datetime | None
    name: str
    currency: Currency
    settlement_mode: str | None
    feature: str | None
    unique_reference_id: str | None
    purchase_key: str | None
    subscription: str | None
    service_period: Period
    billing_period: Period
    invoice_at: datetime
    base: dict[str, Any]
    override: dict[str, Any] | None
    intent_version: int
    current_run: UUID | None
    run_count: int
    totals: Totals
    granted_at: datetime | None
    voided_at: datetime | None
    deleted_at: datetime | None
    failure: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    position: int


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the ledger. `amount` is signed, in `currency` (its code). `group` names the posting group.

    `ordinal` counts the entries of the group from 0. `source` is the credit purchase that funds the value, `spend` the
    charge that consumes it. `booked_at` is when it is effective, `recorded_at` when the event was accepted, `position`
    the authority on the order of recording. `corrects` is the entry (version, ordinal) that a correction restores.
    """

    position: int
    group: GroupRef
    ordinal: int
    transaction: int
    customer: str
    account: str
    currency: str
    amount: Decimal
    template: str
    direction: str
    booked_at: datetime
    accounting_date: datetime
    recorded_at: datetime
    source: UUID | None
    spend: UUID | None
    corrects: tuple[int, int] | None
    cost_basis: Decimal | None
    cost_basis_currency: str | None
    features: tuple[str, ...]
    credit_priority: int | None
    authorization: str | None
    tax_code: str | None
    tax_behavior: str | None


COUNTS = (Where("voided", "=", False), Where("invalidated_at", "absent"))
"""Which runs count for their charge (lifecycles §5.2, §17.6)."""


# ── rows to answers ──────────────────────────────────────────────────────────────────────────────────────────


def charge_views(reader: Reader, rows: Sequence[ChargeRow]) -> list[ChargeView]:
    """Charges with the totals of their runs. `prior_runs` has every run from its start on."""
    ids = [row.charge for row in rows]
    totals: dict[UUID, list[Totals]] = {charge: [] for charge in ids}
    if ids:
        for run in reader.select(PRIOR_RUNS, [Where("charge", "in", ids), *COUNTS]):
            totals[run.charge].append(_totals(run))
    return [_charge_view(row, sum_totals(totals[row.charge])) for row in rows]


def _charge_view(row: ChargeRow, totals: Totals) -> ChargeView:
    return ChargeView(
        charge=row.charge,
        customer=row.customer,
        charge_type=row.charge_type,
        status=row.status,
        meta_status=row.meta_status,
        advance_after=row.advance_after,
        name=row.name,
        currency=_currency(row),
        settlement_mode=row.settlement_mode,
        feature=row.feature,
        unique_reference_id=row.unique_reference_id,
        purchase_key=row.purchase_key,
        subscription=row.subscription,
        service_period=_period(row.service_period_from, row.service_period_to),
        billing_period=_period(row.billing_period_from, row.billing_period_to),
        invoice_at=row.invoice_at,
        base=read_json(row.base),
        override=read_json(row.override) if row.override else None,
        intent_version=row.intent_version,
        current_run=row.current_run,
        run_count=row.run_count,
        totals=totals,
        granted_at=row.granted_at,
        voided_at=row.voided_at,
        deleted_at=row.deleted_at,
        failure=read_json(row.failure) if row.failure else None,
        created_at=row.created_at,
        updated_at=row.updated_at,
        position=row.position,
    )


# Made when this module is: two threads that make decoders of one type at once crash the interpreter (see `mapper`).
_realizations = msgspec.json.Decoder(tuple[Realization, ...]).decode
_lines = msgspec.json.Decoder(tuple[DetailedLine, ...]).decode


def run_view(row: RunRow) -> RunView:
    """A run as it is answered."""
    return RunView(
        run=row.run,
        charge=row.charge,
        customer=row.customer,
        run_type=row.run_type,
        currency=_currency(row),
        feature=row.feature,
        service_period=_period(row.service_period_from, row.service_period_to),
        stored_at_lt=row.stored_at_lt,
        booked_at=row.booked_at,
        line=row.line,
        invoice=row.invoice,
        amount_after_proration=row.amount_after_proration,
        metered_quantity=row.metered_quantity,
        line_quantity=row.line_quantity,
        true_quantity=row.true_quantity,
        totals=_totals(row),
        credits=row.credits,
        realizations=_realizations(row.realizations),
        lines=_lines(row.lines),
        rating_engine=row.rating_engine,
        finalized_at=row.finalized_at,
        ended_at=row.ended_at,
        ended_reason=row.ended_reason,
        voided=row.voided,
        voided_at=row.voided_at,
        void_reason=row.void_reason,
        invalidated_at=row.invalidated_at,
        created_at=row.created_at,
    )


def customer_view(row: CustomerRow) -> CustomerView:
    """A customer as it is answered."""
    return CustomerView(
        customer=row.customer,
        name=row.name,
        collection_interval=row.collection_interval,
        zone=row.zone,
        usage_credit_cut=row.usage_credit_cut,
        created_at=row.created_at,
        deleted_at=row.deleted_at,
    )


def posting(row: LedgerEntry) -> Posting:
    """A posting as it is answered."""
    corrects = (row.corrects_version, row.corrects_ordinal)
    return Posting(
        position=row.position,
        group=GroupRef(row.stream, row.version),
        ordinal=row.ordinal,
        transaction=row.transaction,
        customer=row.customer,
        account=row.account,
        currency=row.currency_code,
        amount=row.amount,
        template=row.template,
        direction=row.direction,
        booked_at=row.booked_at,
        accounting_date=row.accounting_date,
        recorded_at=row.recorded_at,
        source=row.source,
        spend=row.spend,
        corrects=(corrects[0], corrects[1]) if corrects[0] is not None and corrects[1] is not None else None,
        cost_basis=row.cost_basis,
        cost_basis_currency=row.cost_basis_currency,
        features=tuple(read_json(row.features)),
        credit_priority=row.credit_priority,
        authorization=row.authorization,
        tax_code=row.tax_code,
        tax_behavior=row.tax_behavior,
    )


def _currency(row: ChargeRow | RunRow) -> Currency:
    custom = row.currency if row.currency != row.currency_code else None
    return Currency(row.currency_code, row.currency_precision, custom)


def _period(from_: datetime, to: datetime) -> Period:
    return msgspec.convert({"from": from_, "to": to}, Period)


def _totals(run: RunRow) -> Totals:
    return Totals(
        amount=run.amount,
        charges_total=run.charges_total,
        discounts_total=run.discounts_total,
        credits_total=run.credits_total,
        total=run.total,
    )
