"""The lifecycle of usage settled from credit and then by invoice, as two tables (lifecycles §8).

The invoice drives it; the clock alone only begins the period. A line takes what is gathered up to its end: the whole
period makes a final run, an earlier end a partial one, after which the charge is active again. Runs are cumulative, so
what is stored late for an earlier line is billed by the next. Worked: graduated tiers, up to 10 at 1, up to 20 at 0.5,
the rest at 0.25; 15 units by 16 January are a line of 12.50, 15 more by the end one of 5.00.
"""

from __future__ import annotations

from uuid import UUID

from aggregates.charges import gathering, invoicing
from aggregates.charges.collection import collected_after
from aggregates.charges.cost_basis import cost_basis_needed, resolved_when_needed
from aggregates.charges.events import (
    ChargeActivated,
    ChargeFinalized,
    ChargeReactivated,
    CollectionAwaited,
    CostBasisResolved,
    FeatureResolved,
    InvoiceIssueRecorded,
    PaymentSettlementAwaited,
    RealizationCompleted,
    RealizationProcessed,
    RealizationRunOpened,
    RunClosedReason,
    ZeroOverageCompleted,
)
from aggregates.charges.facts import Facts, QuantityNeeded
from aggregates.charges.line_content import is_zero_overage, nothing_to_pay, show
from aggregates.charges.state import Charge
from aggregates.charges.turn import Turn
from aggregates.charges.usage_based.cuts import latest_run, reaches_the_end
from aggregates.charges.usage_based.lifecycle import (
    complete,
    delete_with_base,
    feature_of,
    last_run_ends_the_period,
    other_runs,
    period_goes_on,
    period_has_begun,
    period_has_not_begun,
    rate_and_cover,
    rating_terms,
    reopen_as_active,
    reopen_as_created,
)
from aggregates.charges.usage_based.setting_off import set_off
from aggregates.invoices.effects import LineCreated, LineIssued
from aggregates.invoices.lines import LineContent
from aggregates.lifecycle import PatchPolicy, Path, Row, Status, Trigger, always
from aggregates.rating.run import rate_run
from aggregates.runs import decisions as runs
from aggregates.runs.events import RealizationRunStarted, RunSealed, RunType, SealReason
from aggregates.runs.quantities import line_quantity
from aggregates.values.decimals import ZERO
from aggregates.values.errors import Findings
from aggregates.values.period import Instant

# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────────


def all_is_billed(turn: Turn) -> bool:
    """No run is current, and a final one that was billed ends the period."""
    latest = latest_run(turn.charge)
    return (
        turn.charge.current_run_id is None
        and latest is not None
        and latest.type is RunType.FINAL_REALIZATION
        and latest.is_billed
        and reaches_the_end(turn.charge, latest)
    )


def all_is_settled(turn: Turn) -> bool:
    """The end of the period is billed, and nothing of any run is left to wait for (lifecycles §8.1)."""
    charge = turn.charge
    if charge.current_run_id is not None or charge.gathering_line is not None or charge.rebilling is not None:
        return False  # a late adjustment is on its way
    billed_to_the_end = any(e.is_billed and reaches_the_end(charge, e) for e in charge.period_runs)
    return billed_to_the_end and all(e.is_settled for e in charge.live_runs if e.is_billed)


def nothing_is_owed(turn: Turn) -> bool:
    """What the charge's own credit leaves uncovered comes to nothing in fiat."""
    return turn.current_run.zero_overage


def run_is_below_zero(turn: Turn) -> bool:
    """The run comes to less than nothing."""
    return turn.current_run.set_off


# ── work ─────────────────────────────────────────────────────────────────────────────────────────────────────


def activate(turn: Turn, row: Row[Turn]) -> None:
    """Look up what was left to the rate of the day and what the feature key means, once, and become active."""
    charge, ref = turn.charge, turn.charge.identity.feature
    assert ref is not None, f"charge {charge.id} has no feature"
    needed = cost_basis_needed(charge)
    if needed is not None:
        turn.emit(CostBasisResolved(resolved=resolved_when_needed(needed, charge, None, turn.facts)))
    if ref.key is not None and charge.resolved_feature is None:
        feature, meter_id = turn.facts.metered_feature(ref.name)
        turn.emit(FeatureResolved(feature_key=ref.key, feature_id=feature.id, meter_id=meter_id))
    turn.emit(ChargeActivated(moved=turn.walked(row, turn.usage.service_period.to)))


def bounds(turn: Turn, until: Instant) -> tuple[Instant, Instant, RunType, Instant]:
    """The bounds of a run that ends there: from, to, type, collection end (lifecycles §5.3).

    Refuses an end outside what is left of the period (`ValidationFailed`).
    """
    charge, period = turn.charge, turn.usage.service_period
    left = gathering.remaining(charge)
    if not left.from_ < until <= period.to:
        findings = Findings()
        message = f"a line ends after {left.from_.isoformat()} and by {period.to.isoformat()}"
        findings.add("period", "outside_of_period", message)
        findings.raise_if_any()
    end = collection_end(charge, until, turn.facts)
    run_type = RunType.FINAL_REALIZATION if until == period.to else RunType.PARTIAL_INVOICE
    return left.from_, until, run_type, end


def collection_end(charge: Charge, until: Instant, facts: Facts) -> Instant:
    """The collection end of a run that ends there: a partial one does not wait, the final one the interval (§5.3).

    Never before that of a late adjustment, voided or not: what was billed of late usage is billed by every later run.
    """
    is_final = until == charge.intent.effective.service_period.to
    end = facts.collection_interval.after(until, facts.zone) if is_final else until
    billed = [entry for entry in charge.runs if entry.is_late and entry.is_billed]
    seen = [entry.collection_end for entry in billed if charge.terms[-1].rates(entry.service_period_to)]
    return max([end, *(each for each in seen if each is not None)])


def start_run(turn: Turn, row: Row[Turn]) -> None:
    """Start the run that the line shows: fix its bounds, meter and rate it, cover what credit there is."""
    charge, notice = turn.charge, turn.notice
    assert isinstance(notice, LineCreated), f"{row.rule} is walked when a line was made"
    from_, to, run_type, collection_end = bounds(turn, notice.period.to)
    feature = feature_of(charge, turn.facts)
    run = turn.run_stream(turn.facts.mint())
    turn.draft.emit(
        run,
        RealizationRunStarted(
            charge_id=charge.id,
            currency=charge.currency,
            type=run_type,
            service_period_from=from_,
            service_period_to=to,
            stored_at_lt=collection_end,
            feature_id=feature.id,
            feature_key=feature.key,
            meter_id=feature.meter_id,
            line_id=notice.line_id,
            invoice_id=notice.invoice_id,
        ),
    )
    rate_and_cover(turn, run.id)
    turn.emit(
        RealizationRunOpened(
            run_id=run.id,
            type=run_type,
            service_period_from=from_,
            service_period_to=to,
            collection_end=collection_end,
            feature_id=feature.id,
            line_id=notice.line_id,
            invoice_id=notice.invoice_id,
            moved=turn.walked(row, collected_after(collection_end)),
        )
    )
    gathering.take(turn, to)
    show(turn, turn.run(run.id))


def preview(turn: Turn, metered: runs.Metered) -> LineContent:
    """What a line of everything that waits to be invoiced would show now; nothing is recorded (lifecycles §17.1).

    No credit is counted: that is allocated when a run is started.
    """
    charge, left = turn.charge, gathering.remaining(turn.charge)
    others = other_runs(turn, charge.terms[-1])
    quantity = line_quantity(runs.billed(others), left.to, metered.quantity)
    rated = rate_run(
        runs.to_rate(
            rating_terms(turn),
            charge.currency,
            period=left,
            quantity=metered.quantity,
            others=others,
            stored_at_lt=turn.facts.instant,
        )
    )
    return LineContent(
        name=turn.usage.name,
        period=left,
        quantity=quantity.quantity,
        pre_line_quantity=quantity.pre_line_quantity,
        totals=rated.totals,
        detailed_lines=rated.lines,
    )


def preview_needed(turn: Turn) -> QuantityNeeded | None:
    """What a meter has to answer for a preview; None where nothing waits to be invoiced."""
    charge, left = turn.charge, gathering.remaining(turn.charge)
    if charge.gathering_line is None or left.is_empty:
        return None
    return QuantityNeeded(
        meter_id=feature_of(charge, turn.facts).meter_id,
        from_=turn.usage.service_period.from_,
        to=left.to,
        stored_at_lt=turn.facts.instant,
    )


def await_collection(turn: Turn, row: Row[Turn]) -> None:
    """Wait for usage that is stored late; a partial run waits for none."""
    entry = turn.current_run
    assert entry.collection_end is not None, f"charge {turn.charge_id}: a run of usage has a collection end"
    moved = turn.walked(row, collected_after(entry.collection_end))
    turn.emit(CollectionAwaited(run_id=entry.run_id, moved=moved))


def collect(turn: Turn, row: Row[Turn]) -> None:
    """Meter and rate the run for the last time, within the bounds it was started with, and let its line show it."""
    run_id = turn.current_run.run_id
    rate_and_cover(turn, run_id)
    run, charge = turn.run(run_id), turn.charge
    below_zero = run.totals.total < ZERO
    turn.emit(
        RealizationProcessed(
            run_id=run_id,
            no_fiat=below_zero or nothing_to_pay(charge, run),
            zero_overage=not below_zero and is_zero_overage(charge, run),
            set_off=below_zero,
            moved=turn.walked(row, charge.advance_after),
        )
    )
    show(turn, run)


def close_zero_overage(turn: Turn, row: Row[Turn]) -> None:
    """Nothing is owed in fiat: the run is done without an invoice, and its line goes."""
    entry = turn.current_run
    turn.draft.emit(turn.run_stream(entry.run_id), RunSealed(reason=SealReason.ZERO_OVERAGE))
    turn.close_current_run(RunClosedReason.ZERO_OVERAGE)
    turn.emit(ZeroOverageCompleted(run_id=entry.run_id, moved=turn.walked(row, None)))
    invoicing.ask_to_delete(turn, entry)


def settle_below_zero(turn: Turn, row: Row[Turn]) -> None:
    """Less was used than was invoiced: settle it against the other runs; the line goes (run rating R14)."""
    entry = turn.current_run
    set_off(turn, entry.run_id)
    turn.close_current_run(RunClosedReason.FINALIZED)
    turn.emit(RealizationCompleted(run_id=entry.run_id, moved=turn.walked(row, None)))
    invoicing.ask_to_delete(turn, entry)


def issue(turn: Turn, row: Row[Turn]) -> None:
    """The invoice is final: book what it asks for; the run is done."""
    entry, notice = turn.current_run, turn.notice
    assert isinstance(notice, LineIssued), f"{row.rule} is walked when the line was issued"
    no_fiat = invoicing.accrue(turn, turn.run(entry.run_id), notice)
    moved = turn.walked(row, None)
    turn.emit(InvoiceIssueRecorded(run_id=entry.run_id, line_id=notice.line_id, no_fiat=no_fiat, moved=moved))
    turn.close_current_run(RunClosedReason.ISSUED)


def await_settlement(turn: Turn, row: Row[Turn]) -> None:
    """Everything is invoiced; wait until it is settled."""
    turn.emit(PaymentSettlementAwaited(moved=turn.walked(row, None)))


def go_on(turn: Turn, row: Row[Turn]) -> None:
    """A part is invoiced; the rest of the period goes on."""
    turn.emit(ChargeReactivated(moved=turn.walked(row, turn.usage.service_period.to)))


def finish(turn: Turn, row: Row[Turn]) -> None:
    """Everything is settled: nothing is left to do."""
    turn.emit(ChargeFinalized(moved=turn.walked(row, None)))


def issued_line(turn: Turn, line_id: UUID) -> bool:
    """Whether the current run is the one that the line shows."""
    return turn.charge.current_run is not None and turn.current_run.line_id == line_id


# ── the tables ───────────────────────────────────────────────────────────────────────────────────────────────

CREATED = Status.CREATED
ACTIVE = Status.ACTIVE
STARTED = Status.REALIZATION_STARTED
WAITING = Status.WAITING_FOR_COLLECTION
PROCESSING = Status.PROCESSING
ISSUING = Status.ISSUING
ZERO_OVERAGE = Status.ZERO_OVERAGE_COMPLETED
COMPLETED = Status.REALIZATION_COMPLETED
AWAITING = Status.AWAITING_PAYMENT_SETTLEMENT
FINAL = Status.FINAL
DELETED = Status.DELETED
ACTIVE_CLEAR_OVERRIDE = Status.ACTIVE_CLEAR_OVERRIDE
DELETED_CLEAR_OVERRIDE = Status.DELETED_CLEAR_OVERRIDE
NEXT = Trigger.NEXT
MADE, COLLECTED, ISSUED = Trigger.INVOICE_CREATED, Trigger.COLLECTION_COMPLETED, Trigger.INVOICE_ISSUED

# fmt: off
PATH = Path("usage_based / credit_then_invoice", (
    #   rule   from                    on         to            when                      then
    Row("V2",  CREATED,                NEXT,      ACTIVE,       period_has_begun,         activate),
    Row("V3",  ACTIVE,                 MADE,      STARTED,      always,                   start_run),
    Row("V4",  STARTED,                NEXT,      WAITING,      always,                   await_collection),
    Row("V5",  WAITING,                COLLECTED, PROCESSING,   always,                   collect),
    Row("V6",  PROCESSING,             NEXT,      ZERO_OVERAGE, nothing_is_owed,          close_zero_overage),
    Row("V6b", PROCESSING,             NEXT,      COMPLETED,    run_is_below_zero,        settle_below_zero),
    Row("V7",  PROCESSING,             ISSUED,    ISSUING,      always,                   issue),
    Row("V8",  ISSUING,                NEXT,      COMPLETED,    always,                   complete),
    Row("V9a", COMPLETED,              NEXT,      AWAITING,     last_run_ends_the_period, await_settlement),
    Row("V9b", COMPLETED,              NEXT,      ACTIVE,       period_goes_on,           go_on),
    Row("V9a", ZERO_OVERAGE,           NEXT,      AWAITING,     last_run_ends_the_period, await_settlement),
    Row("V9b", ZERO_OVERAGE,           NEXT,      ACTIVE,       period_goes_on,           go_on),
    Row("V10", ACTIVE,                 NEXT,      AWAITING,     all_is_billed,            await_settlement),
    Row("V11", AWAITING,               NEXT,      FINAL,        all_is_settled,           finish),
    # The ways out of the statuses that own the clearing of an override.
    Row("C1",  ACTIVE_CLEAR_OVERRIDE,  NEXT,      CREATED,      period_has_not_begun,     reopen_as_created),
    Row("C2",  ACTIVE_CLEAR_OVERRIDE,  NEXT,      ACTIVE,       period_has_begun,         reopen_as_active),
    Row("C3",  DELETED_CLEAR_OVERRIDE, NEXT,      DELETED,      always,                   delete_with_base),
))

# What holds in every row: a patch of a hidden base changes only that; clearing where there is no override does
# nothing. Between issue and completion a patch is to be repeated after billing has advanced. An override is set and
# cleared only while nothing is realized, or for what follows what was issued. What a patch does to runs, lines and
# status: `invoiced_patches.py`.
PATCHES = PatchPolicy(
    "usage_based / credit_then_invoice",
    (Trigger.EXTEND, Trigger.SHRINK, Trigger.SHRINK_TO_REALIZED, Trigger.SET_OVERRIDE, Trigger.LINE_MANUAL_EDIT,
     Trigger.CLEAR_OVERRIDE, Trigger.DELETE),
    {
        #                       extend  shrink  to_realized  set_override  manual_edit  clear_override  delete
        CREATED:                "A       A       A            A             R            A               A",
        ACTIVE:                 "A       A       A            A             R            A               A",
        STARTED:                "A       A       A            R             A            R               A",
        WAITING:                "A       A       A            R             A            R               A",
        PROCESSING:             "A       A       A            R             A            R               A",
        ISSUING:                "R       R       R            R             R            R               A",
        ZERO_OVERAGE:           "R       R       A            R             R            R               A",
        COMPLETED:              "R       R       A            R             R            R               A",
        AWAITING:               "A       A       A            R             R            R               A",
        FINAL:                  "A       A       A            R             R            R               A",
        ACTIVE_CLEAR_OVERRIDE:  "R       R       R            R             R            ·               A",
        DELETED_CLEAR_OVERRIDE: "R       R       R            R             R            ·               A",
        DELETED:                "R       R       R            R             R            >               R",
    },
    leads_to={
        Trigger.EXTEND: (ACTIVE,),
        Trigger.SHRINK: (ACTIVE, AWAITING, FINAL),
        Trigger.CLEAR_OVERRIDE: (ACTIVE_CLEAR_OVERRIDE, DELETED_CLEAR_OVERRIDE),
        Trigger.DELETE: (DELETED,),
    },
)
# fmt: on
