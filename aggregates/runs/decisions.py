"""What a run decides: its rating, and how much credit covers it. Events go to the run's stream and the pool's.

The charge decides when (lifecycles §19.1): these functions work on a draft in which the charge's decision is being
made, emit what happened, and leave the rest to it. Nothing is emitted for a fact that did not happen: an empty
allocation, a correction of zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from aggregates.credits.decisions import allocations, collect, correct, corrections
from aggregates.credits.events import SettlementMode
from aggregates.credits.histories import continued
from aggregates.credits.pool import CreditPool
from aggregates.credits.requests import Collect, Correct, SourceCut
from aggregates.event import Stream
from aggregates.journal.chart import TaxBehavior
from aggregates.outcome import Draft
from aggregates.policies import Arithmetic, UsageCreditCut
from aggregates.rating.adjustments import UsageEvent
from aggregates.rating.arithmetic import RatingArithmetic
from aggregates.rating.lines import booked
from aggregates.rating.prices import Discounts, FlatPrice, Price, UnitConfig
from aggregates.rating.rate import LineToRate, RatedLine
from aggregates.rating.rate import rate as rate_line
from aggregates.rating.requests import PriorRun, RunEngine, RunToRate
from aggregates.rating.run import rate_run
from aggregates.runs.events import (
    CreditAllocation,
    CreditCorrection,
    CreditsAllocated,
    CreditsCorrected,
    CreditSource,
    FiatOverageCreditsAllocated,
    FiatOverageCreditsCorrected,
    QuantityClamped,
    RunFinalized,
    RunRated,
    RunType,
    RunVoided,
    VoidReason,
)
from aggregates.runs.quantities import BilledRun, pre_line_quantity
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import ZERO, exact, plain
from aggregates.values.errors import (
    ChargeTotalIsNegative,
    CreditAllocationsDoNotMatchTotal,
    InsufficientFunds,
    RunNotFound,
)
from aggregates.values.identifiers import GroupRef, Mint
from aggregates.values.money import Currency
from aggregates.values.period import Duration, Instant, Period, instant
from aggregates.values.totals import Totals


class Metered(msgspec.Struct, frozen=True):
    """A meter's answer: the exact quantity, and the ingest position it had read to (decision 16).

    `events` make the quantity up where the price looks at them, in the parts that `rating.parts_needed` names.
    """

    quantity: Decimal
    position: int = 0
    events: tuple[UsageEvent, ...] = ()


ARITHMETIC = {
    Arithmetic.REFERENCE: RatingArithmetic.reference(),
    Arithmetic.EXACT: RatingArithmetic.exact(),
}
"""The policy of that name, as rating knows it."""


class RatingTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What of the effective intent a run is rated by, and how; `service_period` is that of the whole charge."""

    name: str
    service_period: Period
    price: Price
    discounts: Discounts
    unit_config: UnitConfig | None
    intent_version: int
    engine: RunEngine = RunEngine.DELTA
    arithmetic: Arithmetic = Arithmetic.REFERENCE


class FeeTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What of the effective intent a flat fee's run is rated by; `amount` is what it comes to over the period."""

    name: str
    service_period: Period
    amount: Decimal
    payment_term: str
    discounts: Discounts
    intent_version: int


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every movement of a customer's credit, whatever charge it is for.

    `closed_until`: everything before is closed (decision 39). `restored_credit_grace`, in the calendar of `zone`: how
    long credit lives that comes back after its expiry. `advance_limit`: how far below zero usage may take the
    customer's balance, in the pool's currency. `history`: the pool with all that was sealed, for a correction of it.
    """

    closed_until: Instant | None = None
    restored_credit_grace: Duration = Duration()
    zone: str = "UTC"
    advance_limit: Decimal | None = None
    history: CreditPool | None = None


class CreditTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Which credit may cover a run: the pool, which lots count at the booked time, and the tax it is booked under.

    `currency` is the pool's. Under `credit_only` what no credit covers becomes advance; under `credit_then_invoice` it
    is left to the invoice. `accounting_date` is the date statements go by. `now` and `mint` are the facts of the
    command that a movement of credit needs.
    """

    pool: Stream
    currency: Currency
    cut: UsageCreditCut
    mode: SettlementMode = SettlementMode.CREDIT_ONLY
    accounting_date: Instant
    now: datetime
    mint: Mint
    tax_code: str | None = None
    tax_behavior: TaxBehavior | None = None
    movement: Movement = Movement()


def run_in_hand(draft: Draft, run: Stream) -> RealizationRun:
    """The run as it stands in the draft. Raises `RunNotFound`."""
    state: RealizationRun | None = draft.state(run.id)
    if state is None:
        raise RunNotFound(run.id)
    return state


@exact
def rate(
    draft: Draft,
    run: Stream,
    terms: RatingTerms,
    metered: Metered,
    mint: Mint,
    *,
    others: Sequence[RealizationRun] = (),
) -> Decimal:
    """Rate the run from what the meter answered; the rated total is the answer, credit not counted.

    `others` are the charge's other runs, whose lines are booked already. A quantity below zero is rated as zero, and
    its true value recorded (decision 18); where it comes in parts, that holds of each: 5 in one region and -7 in
    another are 5 and 0. Under a plain engine, refuses a total below zero (`ChargeTotalIsNegative`, lifecycles §5.5)
    before anything is emitted.
    """
    state = run_in_hand(draft, run)
    assert state.stored_at_lt is not None, f"run {run.id} has no collection end, so it cannot be metered"
    quantity, events, below_zero = usable(metered)
    late = state.type is RunType.LATE_ADJUSTMENT
    rated = rate_run(
        to_rate(
            terms,
            state.currency,
            period=Period(state.service_period_from, state.service_period_to),
            quantity=quantity,
            events=events,
            others=others,
            stored_at_lt=state.stored_at_lt,
            run_id=run.id,
            late=late,
        )
    )
    checked(rated.totals, state, below_zero=not terms.engine.is_plain)
    if quantity != metered.quantity:
        draft.emit(
            run,
            QuantityClamped(
                metered_quantity=plain(metered.quantity),
                stored_at_lt=state.stored_at_lt,
                meter_position=metered.position,
                below_zero=below_zero,
            ),
        )
    draft.emit(
        run,
        RunRated(
            metered_quantity=plain(quantity),
            pre_line_quantity=plain(pre_line_quantity(billed(others), state.service_period_to, late=late)),
            totals=rated.totals,
            detailed_lines=booked(rated.lines, [str(mint()) for _ in rated.lines]),
            rating_engine=rated.engine,
            rating_engine_version=rated.engine_version,
            rating_arithmetic=terms.arithmetic,
            stored_at_lt=state.stored_at_lt,
            meter_position=metered.position,
            intent_version=terms.intent_version,
            snapshots=rated.snapshots,
            prior_runs=tuple(UUID(run_id) for run_id in rated.prior_run_ids),
        ),
    )
    return rated.totals.total


class Usable(NamedTuple):
    """What of a meter's answer is rated: nothing below zero; and the parts that were (decision 18)."""

    quantity: Decimal
    events: tuple[UsageEvent, ...]
    below_zero: tuple[UsageEvent, ...]


@exact
def usable(metered: Metered) -> Usable:
    """What is rated of a meter's answer: of 5 in one region and -7 in another, 5."""
    below_zero = tuple(event for event in metered.events if event.quantity < ZERO)
    events = tuple(event for event in metered.events if event.quantity >= ZERO)
    quantity = max(metered.quantity - sum((event.quantity for event in below_zero), ZERO), ZERO)
    return Usable(quantity, events, below_zero)


def to_rate(
    terms: RatingTerms,
    currency: Currency,
    *,
    period: Period,
    quantity: Decimal,
    events: tuple[UsageEvent, ...] = (),
    others: Sequence[RealizationRun],
    stored_at_lt: Instant | None = None,
    run_id: UUID | None = None,
    late: bool = False,
) -> RunToRate:
    """A run as rating wants to know it: with the lines that the charge's other runs have booked.

    A late adjustment under terms that no longer hold ends before their period does. Where the run it would adjust was
    voided, it is rated like any run of that part.
    """
    held_until = period.to if late and period.to < terms.service_period.to else None
    stands = any(
        Period(other.service_period_from, other.service_period_to) == period
        for other in others
        if other.type is not RunType.LATE_ADJUSTMENT and not other.is_voided
    )
    return RunToRate(
        engine=terms.engine,
        price=terms.price,
        currency=currency,
        service_period=terms.service_period,
        period=period,
        quantity=quantity,
        events=events,
        run_id=str(run_id) if run_id is not None else None,
        prior_runs=tuple(
            PriorRun(
                run_id=str(other.id),
                period=Period(other.service_period_from, other.service_period_to),
                lines=other.detailed_lines,
                stored_at_lt=other.stored_at_lt,
                voided=other.is_voided,
                late=other.type is RunType.LATE_ADJUSTMENT,
            )
            for other in others
        ),
        discounts=terms.discounts,
        unit_config=terms.unit_config,
        stored_at_lt=stored_at_lt,
        late=late and (held_until is None or stands),
        held_until=held_until,
        line_name=terms.name,
        arithmetic=ARITHMETIC[terms.arithmetic],
    )


def billed(runs: Sequence[RealizationRun]) -> list[BilledRun]:
    """The runs as far as quantities are concerned."""
    return [BilledRun(run.service_period_to, run.metered_quantity, run.is_voided) for run in runs]


@exact
def rate_fee(draft: Draft, run: Stream, terms: FeeTerms, mint: Mint) -> Decimal:
    """Rate a flat fee: 100 with 10 % off is amount 100, discounts 10; the rated total 90 is the answer."""
    state = run_in_hand(draft, run)
    rated = rated_fee(state.currency, terms)
    checked(rated.totals, state)
    lines = [msgspec.structs.replace(line, service_period=terms.service_period) for line in rated.lines]
    draft.emit(
        run,
        RunRated(
            totals=rated.totals,
            detailed_lines=booked(lines, [str(mint()) for _ in lines]),
            intent_version=terms.intent_version,
            amount_after_proration=plain(terms.amount),
            service_period=terms.service_period,
        ),
    )
    return rated.totals.total


def rated_fee(currency: Currency, terms: FeeTerms) -> RatedLine:
    """What a flat fee comes to over its period, its discount included, whatever run it is billed by."""
    return rate_line(
        LineToRate(
            currency=currency,
            price=FlatPrice(amount=terms.amount, payment_term=terms.payment_term),
            name=terms.name,
            discounts=terms.discounts,
            full_period=terms.service_period,
            disable_credits=True,
        )
    )


def checked(totals: Totals, run: RealizationRun, *, below_zero: bool = False) -> None:
    """What holds of a run's totals whenever it is rated (R-04): not below zero, reconciled, exact in its currency.

    Only the first can come from input; the other two would be defects of rating. `below_zero`: whether it may be.
    """
    if totals.total < ZERO and not below_zero:
        raise ChargeTotalIsNegative(run.charge_id, totals.total)
    assert totals.reconciles, f"run {run.id}: the total {totals.total} is not what its parts say"
    currency: Currency = run.currency
    assert all(
        currency.holds(part) for part in (totals.amount, totals.charges_total, totals.discounts_total, totals.total)
    ), f"run {run.id}: {totals} has more decimals than {currency.code}"


@exact
def reconcile(draft: Draft, run: Stream, target: Decimal, credit: CreditTerms) -> None:
    """Bring the run's credit to the target: allocate what is missing, or give back what is too much.

    A target below zero is met by no credit at all; who settles the rest is not decided here (run rating R14).
    3 allocated and a target of 8 allocate 5; 20 allocated and a target of 11 give 9 back, newest first. Under
    `credit_only` what no credit covers becomes advance, so that an allocation is met to the last unit; under
    `credit_then_invoice` it stays short (lifecycles §6.2).
    """
    state = run_in_hand(draft, run)
    target = max(target, ZERO)
    delta = state.currency.rounded(target) - state.credits_total
    if delta > ZERO:
        _allocate(draft, state, target, delta, credit)
    elif delta < ZERO:
        _reduce(draft, state, target, -delta, credit)


def finalize(draft: Draft, run: Stream) -> None:
    """Write the last totals: nothing is left to pay, as credit covers it or as it is below zero (lifecycles §5.5)."""
    state = run_in_hand(draft, run)
    totals = state.totals
    assert totals.total <= ZERO, f"run {run.id}: {totals.total} is left after exact reconciliation"
    draft.emit(run, RunFinalized(totals=totals, no_fiat_transaction_required=True))


def void(
    draft: Draft, run: Stream, reason: VoidReason, credit: CreditTerms, overage: CreditTerms | None = None
) -> None:
    """Give all of the run's credit back and mark it deleted; it stays in the history (lifecycles §7.2).

    Fiat credit for an overage comes back first, then the credit of the run's own currency (lifecycles §6.3, §12.4).
    """
    give_all_back(draft, run, credit, overage)
    draft.emit(run, RunVoided(reason=reason, deleted_at=credit.now))


@exact
def give_all_back(draft: Draft, run: Stream, credit: CreditTerms, overage: CreditTerms | None) -> None:
    """Correct all credit of the run, fiat credit for an overage first."""
    state = run_in_hand(draft, run)
    if overage is not None and state.fiat_credits_total:
        corrections_ = _give_back(draft, state, state.fiat_credits_total, overage)
        draft.emit(
            run,
            FiatOverageCreditsCorrected(corrections=corrections_, fiat=overage.currency, booked_at=state.booked_at),
        )
    reconcile(draft, run, ZERO, credit)


@exact
def release(draft: Draft, run: Stream, most: Decimal, credit: CreditTerms, set_off: UUID | None = None) -> Decimal:
    """Give back what the run's credit covers, that much at most; how much it was. `set_off`: to settle that run."""
    state = run_in_hand(draft, run)
    amount = min(most, state.credits_total)
    if amount > ZERO:
        target = state.credits_total - amount
        parts = _give_back(draft, state, amount, credit)
        draft.emit(
            run, CreditsCorrected(corrections=parts, booked_at=state.booked_at, target=plain(target), set_off=set_off)
        )
    return amount


@exact
def release_overage(draft: Draft, run: Stream, most: Decimal, credit: CreditTerms, set_off: UUID) -> Decimal:
    """The same of the fiat credit that covers its overage."""
    state = run_in_hand(draft, run)
    amount = min(most, state.fiat_credits_total)
    if amount > ZERO:
        parts = _give_back(draft, state, amount, credit)
        draft.emit(
            run,
            FiatOverageCreditsCorrected(
                corrections=parts, fiat=credit.currency, booked_at=state.booked_at, set_off=set_off
            ),
        )
    return amount


@exact
def cover_overage(draft: Draft, run: Stream, fiat_overage: Decimal, rate: Decimal, credit: CreditTerms) -> None:
    """Set fiat credit of the customer against what is left of the run in fiat, once (lifecycles §12.4)."""
    state = run_in_hand(draft, run)
    if state.fiat_overage_credit_realizations:
        return
    parts = _collect(draft, state, fiat_overage, credit)
    if parts:
        draft.emit(
            run,
            FiatOverageCreditsAllocated(
                allocations=parts,
                fiat=credit.currency,
                rate=plain(rate),
                fiat_overage=plain(fiat_overage),
                booked_at=state.booked_at,
            ),
        )


def _allocate(draft: Draft, run: RealizationRun, target: Decimal, amount: Decimal, credit: CreditTerms) -> None:
    parts = _collect(draft, run, amount, credit)
    if parts:
        is_exact = credit.mode is SettlementMode.CREDIT_ONLY
        draft.emit(
            run.stream,
            CreditsAllocated(allocations=parts, booked_at=run.booked_at, target=plain(target), exact=is_exact),
        )


def _reduce(draft: Draft, run: RealizationRun, target: Decimal, amount: Decimal, credit: CreditTerms) -> None:
    parts = _give_back(draft, run, amount, credit)
    draft.emit(run.stream, CreditsCorrected(corrections=parts, booked_at=run.booked_at, target=plain(target)))


def _collect(draft: Draft, run: RealizationRun, amount: Decimal, credit: CreditTerms) -> tuple[CreditAllocation, ...]:
    """Collect from the pool, booked where the run is booked; in `credit_only` the parts sum to what was asked."""
    event = collect(
        _pool(draft, credit),
        Collect(
            charge=run.charge_id,
            run=run.id,
            amount=amount,
            mode=credit.mode,
            feature=run.feature_key,
            booked_at=run.booked_at,
            sources_at=SourceCut(run.booked_at, credit.cut),
            accounting_date=credit.accounting_date,
            tax_code=credit.tax_code,
            tax_behavior=credit.tax_behavior,
            closed_until=credit.movement.closed_until,
            advance_limit=credit.movement.advance_limit,
            now=instant(credit.now),
        ),
    )
    is_exact = credit.mode is SettlementMode.CREDIT_ONLY
    if event is None and not is_exact:
        return ()
    parts = allocations(event) if event is not None else ()
    collected = sum((part.amount for part in parts), ZERO)
    if event is None or collected > amount or (is_exact and collected != amount):
        raise CreditAllocationsDoNotMatchTotal(collected=collected, target=amount)
    record = draft.emit(credit.pool, event)
    group = GroupRef(record.stream, record.version)
    return tuple(
        CreditAllocation(
            id=part.id,
            amount=plain(part.amount),
            source=CreditSource(part.kind),
            ledger_group=group,
            sort_hint=part.position,
        )
        for part in parts
    )


def _give_back(draft: Draft, run: RealizationRun, amount: Decimal, credit: CreditTerms) -> tuple[CreditCorrection, ...]:
    """Let the pool correct newest first, and note per allocation what it gave back.

    Booked where the allocation was, so that a provisional allocation and its correction fall into the same accounts
    at the same time.
    """
    event = correct(
        _pool(draft, credit),
        Correct(
            charge=run.charge_id,
            run=run.id,
            amount=amount,
            booked_at=run.booked_at,
            now=instant(credit.now),
            accounting_date=credit.accounting_date,
            closed_until=credit.movement.closed_until,
            restored_credit_grace=credit.movement.restored_credit_grace,
            zone=credit.movement.zone,
        ),
        history=_history(draft, run.charge_id, credit),
    )
    if event is None:
        raise InsufficientFunds(asked=amount, remaining=ZERO, charge_id=run.charge_id)
    given_back = corrections(event)
    _check_corrections(run, given_back, amount)
    record = draft.emit(credit.pool, event)
    group = GroupRef(record.stream, record.version)
    return tuple(
        CreditCorrection(
            id=credit.mint(),
            corrects=allocation,
            amount=plain(part),
            ledger_group=group,
            sort_hint=position,
        )
        for position, (allocation, part) in enumerate(given_back)
    )


def _history(draft: Draft, charge: UUID, credit: CreditTerms) -> CreditPool | None:
    """All that the charge ever had of the pool, and what this decision has done of it so far."""
    history = credit.movement.history
    if history is None:
        return None
    pool = _pool(draft, credit)
    since = [record for record in draft.records if record.stream == credit.pool.id and record.version > history.version]
    return continued(history, charge, since, pool.version)


def _check_corrections(run: RealizationRun, given_back: Sequence[tuple[UUID, Decimal]], amount: Decimal) -> None:
    """A correction names an allocation of this run, takes no more than is left of it, and sums to what was asked."""
    total = sum((part for _, part in given_back), ZERO)
    assert total == -amount, f"run {run.id}: {total} given back where {amount} was asked"
    for allocation, part in given_back:
        left = run.remaining(allocation)
        assert -part <= left, f"run {run.id}: {part} given back of {left} left of {allocation}"


def _pool(draft: Draft, credit: CreditTerms) -> CreditPool:
    assert draft.holds(credit.pool.id), f"the pool {credit.pool.id} has to be in hand before credit moves"
    state: CreditPool | None = draft.state(credit.pool.id)
    return state if state is not None else CreditPool.empty(credit.currency)
