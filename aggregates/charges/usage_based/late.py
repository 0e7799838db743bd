"""Late usage: stored after the runs of its period had been collected, found by whoever follows the meter (decision 24).

A late adjustment is a run over the period of the final run, rated by everything that is stored by now (run rating R13).
What it adds is paid from credit or goes on an invoice, as that of any run; where it comes to less than nothing, it is
settled by R14. The policy `late_usage` says whether it is made. Worked, unit price 10, minimum 100, 8 units billed by
the minimum: a ninth, stored late, changes nothing that is to be paid; 12 units cost 20 more.

What a run had billed that was voided after the final run was started is billed again in the same way, whatever the
policy says: its period has no owner any more (R13). Worked: 10 units billed by the 16th at 10.00, 5 more by the end at
5.00; the first invoice is voided: a late adjustment of 10.00.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from aggregates.charges import gathering
from aggregates.charges.collection import collected_after, newest_collection_end
from aggregates.charges.events import RealizationProcessed, RealizationRunClosed, RealizationRunOpened, RunClosedReason
from aggregates.charges.facts import Facts, QuantityNeeded
from aggregates.charges.intent import UsageLayer
from aggregates.charges.late import UNBILLED, Ordered
from aggregates.charges.late_events import LateOutcome, LateUsageEvaluated, LateUsageFound, RebillingNoted
from aggregates.charges.line_content import is_zero_overage, nothing_to_pay, show
from aggregates.charges.state import Charge, RunEntry
from aggregates.charges.turn import Turn
from aggregates.charges.usage_based.cuts import latest_run
from aggregates.charges.usage_based.invoiced import issue
from aggregates.charges.usage_based.lifecycle import feature_of, other_runs, rate_and_cover, rating_terms
from aggregates.charges.usage_based.setting_off import settle
from aggregates.invoices.effects import LineCreated
from aggregates.lifecycle import Path, Row, Status, Trigger
from aggregates.policies import LateUsageAction
from aggregates.rating.parts import parts_needed
from aggregates.rating.run import rate_run
from aggregates.runs import decisions as runs
from aggregates.runs.events import RealizationRunStarted, RunType
from aggregates.values.decimals import ZERO, exact, plain
from aggregates.values.errors import ActiveRunAlreadyExists, NoLateUsage
from aggregates.values.period import Instant, Period

_SECOND = timedelta(seconds=1)


class Verdict(NamedTuple):
    """What is to become of late usage: the outcome, and what was rated to know it, over which period.

    `rebilling`: of what voided runs had billed, that is.
    """

    outcome: LateOutcome
    rebilling: bool
    period: Period
    stored_at_lt: Instant
    metered: runs.Metered
    quantity: Decimal
    total: Decimal


# ── what has to be asked ─────────────────────────────────────────────────────────────────────────────────────


def is_due(charge: Charge, facts: Facts) -> bool:
    """Whether late usage was found that can be looked at now."""
    due = charge.late_usage_due
    return due is not None and facts.now >= due


def is_to_be_billed_again(charge: Charge, facts: Facts) -> bool:
    """Whether what voided runs had billed can be billed again now."""
    due = charge.rebilling_due
    return due is not None and facts.now >= due


def question(charge: Charge, facts: Facts) -> QuantityNeeded:
    """What is stored of the whole period by now, as far as everything stored earlier is there to be read."""
    cut = newest_collection_end(facts.instant)
    known = charge.late_usage.stored_at_lt if charge.late_usage is not None else None
    return _question(charge, facts, cut if known is None else max(cut, known))


def question_again(charge: Charge, facts: Facts) -> QuantityNeeded:
    """What is stored of the whole period, as far as the runs that counted and count had counted."""
    cut = charge.rebilling_cut
    assert cut is not None, f"charge {charge.id} has nothing to bill again"
    return _question(charge, facts, cut)


def _question(charge: Charge, facts: Facts, stored_at_lt: Instant) -> QuantityNeeded:
    layer = charge.intent.effective
    assert isinstance(layer, UsageLayer), f"charge {charge.id} is not usage based"
    return QuantityNeeded(
        meter_id=feature_of(charge, facts).meter_id,
        from_=layer.service_period.from_,
        to=layer.service_period.to,
        stored_at_lt=stored_at_lt,
        parts=parts_needed(layer.price),
    )


def quantities_needed(charge: Charge, others: Sequence[QuantityNeeded], facts: Facts) -> tuple[QuantityNeeded, ...]:
    """What a meter has to answer beside `others` before the charge advances: for late usage, found or never looked for.

    The latter where a final run is started, by one of the others, that would be collected already. What is to be
    billed again comes first.
    """
    if is_to_be_billed_again(charge, facts):
        return (question_again(charge, facts),)
    final_run = any(each.to == charge.intent.effective.service_period.to for each in others)
    if is_due(charge, facts) or (final_run and starts_late(charge, facts)):
        return (question(charge, facts),)
    return ()


def starts_late(charge: Charge, facts: Facts) -> bool:
    """Whether a final run that is started now would be collected already: nobody has looked for later usage then.

    Where late usage is left alone, nobody asks.
    """
    if facts.policies.late_usage.action is LateUsageAction.NONE:
        return False
    end = facts.collection_interval.after(charge.intent.effective.service_period.to, facts.zone)
    return newest_collection_end(facts.instant) > end


def note_unseen(turn: Turn) -> None:
    """A final run was started when its collection end had passed: note usage that was stored since."""
    charge = turn.charge
    if not starts_late(charge, turn.facts) or not _has_final_run(charge):
        return
    asked, end = question(charge, turn.facts), charge.period_runs[-1].collection_end
    later = turn.facts.quantities.get(asked)
    if later is None or end is None or charge.late_usage is not None:
        return
    counted = turn.facts.quantities.get(msgspec.structs.replace(asked, stored_at_lt=end))
    if counted is not None and (later.quantity, later.events) != (counted.quantity, counted.events):
        turn.emit(LateUsageFound(stored_at=Instant(asked.stored_at_lt - _SECOND)))


def note_found(turn: Turn, stored_at: Instant) -> bool:
    """Usage of the period was found that was stored then, and no run has counted it; whether that is news."""
    charge, late = turn.charge, turn.charge.late_usage
    seen = charge.collected_until
    if charge.is_deleted or seen is None or stored_at < seen or not _has_final_run(charge):
        return False
    if late is not None and late.found is not None:
        return False
    is_left = turn.facts.policies.late_usage.action is LateUsageAction.NONE
    if is_left and late is not None and late.outcome is LateOutcome.LEFT:
        return False
    turn.emit(LateUsageFound(stored_at=stored_at))
    return True


def _has_final_run(charge: Charge) -> bool:
    """Whether a run reaches the end of the period, so that no later one will count what is stored since."""
    covering = charge.period_runs
    return bool(covering) and covering[-1].service_period_to >= charge.intent.effective.service_period.to


def take_up(turn: Turn, ordered: Ordered) -> None:
    """Bill late usage that was left, absorbed, dismissed or asked about, or decide that it is not billed.

    Raises `NoLateUsage` where there is none, or where it is settled or on an invoice already; `ActiveRunAlreadyExists`
    while an invoice of the charge is not issued; `UnsupportedOperation` where the status does not permit it.
    """
    charge, late = turn.charge, turn.charge.late_usage
    is_waiting = late is not None and late.outcome is LateOutcome.TO_INVOICE and charge.gathering_line is not None
    may_be_dropped = is_waiting and ordered is Ordered.DISMISS
    if late is None or not (late.found is not None or late.outcome in UNBILLED or may_be_dropped):
        raise NoLateUsage(charge.id)
    if charge.current_run_id is not None:
        raise ActiveRunAlreadyExists(charge.id, charge.current_run_id)
    if may_be_dropped:
        gathering.drop(turn)
    turn.ordered = ordered
    act(turn)


# ── what becomes of it ───────────────────────────────────────────────────────────────────────────────────────


def look(turn: Turn) -> bool:
    """Act upon what is to be billed again, or late usage that was found, where it was metered; whether it moved."""
    charge, facts = turn.charge, turn.facts
    if is_to_be_billed_again(charge, facts):
        if question_again(charge, facts) not in facts.quantities:
            return False
        act(turn)
        return True
    note_unseen(turn)
    charge = turn.charge
    if not is_due(charge, facts) or question(charge, facts) not in facts.quantities:
        return False
    act(turn)
    return True


def act(turn: Turn) -> None:
    """Look at late usage now. Raises `UnsupportedOperation` where the status does not permit it."""
    LATE.fire(turn.charge.status, Trigger.LATE_USAGE, turn, turn.charge_id)


@exact
def verdict(turn: Turn) -> Verdict:
    """What is to become of the late usage: by the policy, or as somebody ordered. What was billed is billed again."""
    charge, again = turn.charge, turn.ordered is None and is_to_be_billed_again(turn.charge, turn.facts)
    asked = question_again(charge, turn.facts) if again else question(charge, turn.facts)
    metered = turn.facts.quantities[asked]
    latest = charge.period_runs[-1]
    period = Period(latest.service_period_from, latest.service_period_to)
    terms, usable = rating_terms(turn), runs.usable(metered)

    def found(outcome: LateOutcome, total: Decimal = ZERO) -> Verdict:
        return Verdict(outcome, again, period, asked.stored_at_lt, metered, usable.quantity, total)

    if terms.engine.is_plain or period.to != turn.usage.service_period.to:
        return found(LateOutcome.LEFT)
    rated = rate_run(
        runs.to_rate(
            terms,
            charge.currency,
            period=period,
            quantity=usable.quantity,
            events=usable.events,
            others=other_runs(turn, None),
            stored_at_lt=asked.stored_at_lt,
            late=True,
        )
    )
    if not rated.lines:
        return found(LateOutcome.NOTHING)
    total = rated.totals.total
    return found(_outcome(turn, total, again=again), total)


def _outcome(turn: Turn, total: Decimal, *, again: bool) -> LateOutcome:
    policy = turn.facts.policies.late_usage
    billed = LateOutcome.TO_INVOICE if turn.charge.is_invoiced and total > ZERO else LateOutcome.BILLED
    if again:
        return billed
    if turn.ordered is not None:
        return LateOutcome.DISMISSED if turn.ordered is Ordered.DISMISS else billed
    match policy.action:
        case LateUsageAction.NONE:
            return LateOutcome.LEFT
        case LateUsageAction.ASK:
            return LateOutcome.ASKED if total else billed
        case LateUsageAction.ABSORB:
            return LateOutcome.ABSORBED if ZERO < total <= (policy.up_to or ZERO) else billed
        case LateUsageAction.BILL:
            return billed


def adds_to_be_invoiced(turn: Turn) -> bool:
    """The late usage is to be invoiced."""
    return verdict(turn).outcome is LateOutcome.TO_INVOICE


def adds_nothing_to_be_invoiced(turn: Turn) -> bool:
    """The late usage is settled without an invoice line, or not at all."""
    return not adds_to_be_invoiced(turn)


def adjust(turn: Turn, row: Row[Turn]) -> None:
    """Settle late usage by a run of its own, all at once; or note why there is none."""
    found = verdict(turn)
    if found.outcome is not LateOutcome.BILLED:
        _note(turn, row, found)
        return
    run_id = _start(turn, found.period, found.stored_at_lt)
    rate_and_cover(turn, run_id)
    turn.emit(
        RealizationRunOpened(
            run_id=run_id,
            type=RunType.LATE_ADJUSTMENT,
            service_period_from=found.period.from_,
            service_period_to=found.period.to,
            collection_end=found.stored_at_lt,
            feature_id=turn.run(run_id).feature_id,
            no_fiat=True,
            set_off=turn.charge.is_invoiced,
            rebilling=found.rebilling,
            moved=turn.walked(row, None),
        )
    )
    settle(turn, run_id)
    turn.emit(RealizationRunClosed(run_id=run_id, reason=RunClosedReason.FINALIZED))


def gather(turn: Turn, row: Row[Turn]) -> None:
    """Let late usage wait to be invoiced."""
    found = verdict(turn)
    _note(turn, row, found)
    gathering.gather_late(turn, found.period, found.total)


def _note(turn: Turn, row: Row[Turn], found: Verdict) -> None:
    turn.emit(
        LateUsageEvaluated(
            outcome=found.outcome,
            stored_at_lt=found.stored_at_lt,
            meter_position=found.metered.position,
            quantity=plain(found.quantity),
            amount=plain(found.total),
            rebilling=found.rebilling,
            moved=turn.walked(row, turn.charge.advance_after),
        )
    )


def _start(turn: Turn, period: Period, stored_at_lt: Instant, notice: LineCreated | None = None) -> UUID:
    charge, feature = turn.charge, feature_of(turn.charge, turn.facts)
    run = turn.run_stream(turn.facts.mint())
    turn.draft.emit(
        run,
        RealizationRunStarted(
            charge_id=charge.id,
            currency=charge.currency,
            type=RunType.LATE_ADJUSTMENT,
            service_period_from=period.from_,
            service_period_to=period.to,
            stored_at_lt=stored_at_lt,
            feature_id=feature.id,
            feature_key=feature.key,
            meter_id=feature.meter_id,
            line_id=notice.line_id if notice is not None else None,
            invoice_id=notice.invoice_id if notice is not None else None,
        ),
    )
    return run.id


# ── on an invoice ────────────────────────────────────────────────────────────────────────────────────────────


def late_usage_waits(turn: Turn) -> bool:
    """Late usage, or what was billed before, waits to be invoiced."""
    return waits(turn.charge)


def waits(charge: Charge) -> bool:
    """Whether late usage, or what a voided run had billed, waits to be invoiced."""
    late = charge.late_usage
    is_late = late is not None and late.outcome is LateOutcome.TO_INVOICE
    return (is_late or _waits_again(charge)) and charge.current_run_id is None


def _waits_again(charge: Charge) -> bool:
    return charge.rebilling is not None and charge.rebilling.waits


def late_run_is_current(turn: Turn) -> bool:
    """The current run is a late adjustment."""
    current = turn.charge.current_run
    return current is not None and current.is_late


def late_run_waits_for_collection(turn: Turn) -> bool:
    """The current run is a late adjustment that was not collected yet."""
    return late_run_is_current(turn) and turn.charge.advance_after is not None


def collection_end(charge: Charge) -> Instant:
    """The collection end of the late adjustment that waits to be invoiced: that of the look that found it."""
    if charge.rebilling is not None and charge.rebilling.waits:
        return charge.rebilling.stored_at_lt
    late = charge.late_usage
    assert late is not None, f"charge {charge.id} has no late usage"
    assert late.stored_at_lt is not None, f"late usage of charge {charge.id} was not looked at"
    return late.stored_at_lt


def start_on_line(turn: Turn, row: Row[Turn]) -> None:
    """Start the late adjustment that the line shows."""
    notice = turn.notice
    assert isinstance(notice, LineCreated), f"{row.rule} is walked when a line was made"
    end = collection_end(turn.charge)
    run_id = _start(turn, notice.period, end, notice)
    rate_and_cover(turn, run_id)
    turn.emit(
        RealizationRunOpened(
            run_id=run_id,
            type=RunType.LATE_ADJUSTMENT,
            service_period_from=notice.period.from_,
            service_period_to=notice.period.to,
            collection_end=end,
            feature_id=turn.run(run_id).feature_id,
            line_id=notice.line_id,
            invoice_id=notice.invoice_id,
            rebilling=_waits_again(turn.charge),
            moved=turn.walked(row, collected_after(end)),
        )
    )
    gathering.drop(turn)
    show(turn, turn.run(run_id))


def collect(turn: Turn, row: Row[Turn]) -> None:
    """Meter and rate it for the last time, within the bounds it was started with, and let its line show it."""
    run_id = turn.current_run.run_id
    rate_and_cover(turn, run_id)
    run, charge = turn.run(run_id), turn.charge
    turn.emit(
        RealizationProcessed(
            run_id=run_id,
            no_fiat=nothing_to_pay(charge, run),
            zero_overage=is_zero_overage(charge, run),
            moved=turn.walked(row, None),
        )
    )
    show(turn, run)


def note_dropped(turn: Turn, entry: RunEntry) -> None:
    """Somebody deleted the draft that showed it: it is not billed until somebody thinks better of it."""
    run = turn.run(entry.run_id)
    if turn.charge.status is not AWAITING or entry.collection_end is None:
        return
    turn.emit(
        LateUsageEvaluated(
            outcome=LateOutcome.DISMISSED,
            stored_at_lt=entry.collection_end,
            meter_position=0,
            quantity=plain(run.metered_quantity),
            amount=plain(run.totals.total),
        )
    )


def note_voided(turn: Turn, entry: RunEntry) -> None:
    """A run was voided that was billed: note that it is to be billed again, where no later run of the period does it.

    A charge that is held beyond the end of its period is billed for more than it used already.
    """
    charge = turn.charge
    latest = latest_run(charge)
    ends = latest is not None and latest.service_period_to == charge.intent.effective.service_period.to
    if ends and entry.collection_end is not None:
        turn.emit(RebillingNoted(run_id=entry.run_id, stored_at_lt=entry.collection_end))


def note_again(turn: Turn) -> None:
    """A run that did not wait for late usage is the last now: look again.

    Where late usage is left alone, nobody looks.
    """
    if turn.facts.policies.late_usage.action is not LateUsageAction.NONE:
        turn.emit(LateUsageFound(stored_at=turn.facts.instant))


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────

AWAITING = Status.AWAITING_PAYMENT_SETTLEMENT
FINAL = Status.FINAL
FOUND = Trigger.LATE_USAGE
MADE, COLLECTED, ISSUED = Trigger.INVOICE_CREATED, Trigger.COLLECTION_COMPLETED, Trigger.INVOICE_ISSUED

# fmt: off
LATE = Path("usage_based: late usage", (
    #   rule   from      on         to        when                           then
    Row("L1",  FINAL,    FOUND,     AWAITING, adds_to_be_invoiced,           gather),
    Row("L2",  FINAL,    FOUND,     FINAL,    adds_nothing_to_be_invoiced,   adjust),
    Row("L3",  AWAITING, FOUND,     AWAITING, adds_to_be_invoiced,           gather),
    Row("L4",  AWAITING, FOUND,     AWAITING, adds_nothing_to_be_invoiced,   adjust),
    Row("L5",  AWAITING, MADE,      AWAITING, late_usage_waits,              start_on_line),
    Row("L6",  AWAITING, COLLECTED, AWAITING, late_run_waits_for_collection, collect),
    Row("L7",  AWAITING, ISSUED,    AWAITING, late_run_is_current,           issue),
))
# fmt: on
"""What late usage does to a charge that is realized, beside its own path; from credit alone there are no invoices.

What voided runs had billed is billed again by the same rows.
"""
