"""Late usage: stored after the runs of its period had been collected, found by whoever follows the meter (decision 24).

A late adjustment is a run over the period of the final run, rated by everything that is stored by now (run rating R13).
What it adds is paid from credit or goes on an invoice, as that of any run; where it comes to less than nothing, it is
settled by R14. The policy `late_usage` says whether it is made. Worked, unit price 10, minimum 100, 8 units billed by
the minimum: a ninth, stored late, changes nothing that is to be paid; 12 units cost 20 more.

What a run had billed that was voided after the final run was started is billed again in the same way, whatever the
policy says: its period has no owner any more (R13). Worked: 10 units billed by the 16th at 10.00, 5 more by the end at
5.00; the first invoice is voided: a late adjustment of 10.00.

Usage before an override that begins later keeps the terms it was invoiced by (`held_terms`), and so does what comes
late of it, or is billed again: each of a charge's terms is looked at, and has adjustments of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from aggregates.charges import gathering
from aggregates.charges.collection import collected_after, newest_collection_end
from aggregates.charges.events import RealizationProcessed, RealizationRunClosed, RealizationRunOpened, RunClosedReason
from aggregates.charges.facts import Facts, QuantityNeeded
from aggregates.charges.held_terms import HeldTerms
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


class Rated(NamedTuple):
    """What was rated of usage under some terms, over which period; `adds` says whether any line results."""

    period: Period
    stored_at_lt: Instant
    position: int
    quantity: Decimal
    total: Decimal
    adds: bool


class Verdict(NamedTuple):
    """What is to become of late usage: the outcome, and of what. `rebilling`: of what voided runs had billed, that is.

    What is billed is that under the first terms of which there is any; another outcome is about all of it.
    """

    outcome: LateOutcome
    rebilling: bool
    rated: Rated


# ── what has to be asked ─────────────────────────────────────────────────────────────────────────────────────


def is_due(charge: Charge, facts: Facts) -> bool:
    """Whether late usage was found that can be looked at now."""
    due = charge.late_usage_due
    return due is not None and facts.now >= due


def is_to_be_billed_again(charge: Charge, facts: Facts) -> bool:
    """Whether what voided runs had billed can be billed again now."""
    due = charge.rebilling_due
    return due is not None and facts.now >= due


def question(charge: Charge, facts: Facts, terms: HeldTerms | None = None) -> QuantityNeeded:
    """What is stored by now of all usage under these terms, or the effective ones.

    As far as everything stored earlier is there to be read.
    """
    cut = newest_collection_end(facts.instant)
    known = charge.late_usage.stored_at_lt if charge.late_usage is not None else None
    return _question(charge, facts, terms or charge.terms[-1], cut if known is None else max(cut, known))


def questions(charge: Charge, facts: Facts) -> tuple[QuantityNeeded, ...]:
    """The same of all usage of the charge, by the terms it has."""
    return tuple(question(charge, facts, terms) for terms in charge.terms)


def questions_again(charge: Charge, facts: Facts) -> tuple[QuantityNeeded, ...]:
    """What is stored of it as far as the runs that counted and count had counted, by the terms it has."""
    return tuple(_question(charge, facts, terms, charge.rebilling_cut(terms)) for terms in charge.terms)


def _question(charge: Charge, facts: Facts, terms: HeldTerms, stored_at_lt: Instant) -> QuantityNeeded:
    return QuantityNeeded(
        meter_id=feature_of(charge, facts).meter_id,
        from_=terms.period.from_,
        to=terms.period.to,
        stored_at_lt=stored_at_lt,
        parts=parts_needed(terms.layer.price),
    )


def quantities_needed(charge: Charge, others: Sequence[QuantityNeeded], facts: Facts) -> tuple[QuantityNeeded, ...]:
    """What a meter has to answer beside `others` before the charge advances: for late usage, found or never looked for.

    The latter where a final run is started, by one of the others, that would be collected already. What is to be
    billed again comes first.
    """
    if is_to_be_billed_again(charge, facts):
        return questions_again(charge, facts)
    if is_due(charge, facts):
        return questions(charge, facts)
    final_run = any(each.to == charge.intent.effective.service_period.to for each in others)
    return (question(charge, facts),) if final_run and starts_late(charge, facts) else ()


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


def came_late(charge: Charge, time: datetime, stored_at: datetime) -> bool:
    """Whether usage of that time, stored then, is counted by no run of the charge, and will not be by any to come.

    Under the effective terms that is so once a run reaches the end of the period; under former ones, always.
    """
    terms = next((held for held in charge.terms if held.period.from_ <= time < held.period.to), None)
    if terms is None:
        return False
    seen = charge.collected_under(terms)
    if terms.until is not None:
        return seen is None or stored_at >= seen
    return seen is not None and stored_at >= seen and _has_final_run(charge)


def note_found(turn: Turn, time: datetime, stored_at: Instant) -> bool:
    """Usage of that time was found that was stored then, and no run has counted it; whether that is news."""
    charge, late = turn.charge, turn.charge.late_usage
    if charge.is_deleted or not came_late(charge, time, stored_at):
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
        if not facts.quantities.keys() >= set(questions_again(charge, facts)):
            return False
        act(turn)
        return True
    note_unseen(turn)
    charge = turn.charge
    if not is_due(charge, facts) or not facts.quantities.keys() >= set(questions(charge, facts)):
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
    asked = (questions_again if again else questions)(charge, turn.facts)
    found = [_rated(turn, terms, needed) for terms, needed in zip(charge.terms, asked, strict=True)]
    newest = found[-1]._replace(
        quantity=sum((each.quantity for each in found), ZERO), total=sum((each.total for each in found), ZERO)
    )
    if rating_terms(turn).engine.is_plain or found[-1].period.to != turn.usage.service_period.to:
        return Verdict(LateOutcome.LEFT, again, newest)
    first = next((each for each in found if each.adds), None)
    if first is None:
        return Verdict(LateOutcome.NOTHING, again, newest)
    outcome = _outcome(turn, newest.total, again=again)
    if outcome is not LateOutcome.BILLED:
        return Verdict(outcome, again, newest)
    to_invoice = charge.is_invoiced and first.total > ZERO
    return Verdict(LateOutcome.TO_INVOICE if to_invoice else LateOutcome.BILLED, again, first)


def _rated(turn: Turn, terms: HeldTerms, asked: QuantityNeeded) -> Rated:
    """What usage under these terms comes to beside what is booked under them."""
    metered = turn.facts.quantities[asked]
    usable, rated_by = runs.usable(metered), rating_terms(turn, terms)
    period = _adjusted_period(turn.charge, terms)
    if rated_by.engine.is_plain or (terms.until is None and period.to != terms.period.to):
        return Rated(period, asked.stored_at_lt, metered.position, usable.quantity, ZERO, adds=False)
    rated = rate_run(
        runs.to_rate(
            rated_by,
            turn.charge.currency,
            period=period,
            quantity=usable.quantity,
            events=usable.events,
            others=other_runs(turn, terms),
            stored_at_lt=asked.stored_at_lt,
            late=True,
        )
    )
    return Rated(
        period, asked.stored_at_lt, metered.position, usable.quantity, rated.totals.total, adds=bool(rated.lines)
    )


def _adjusted_period(charge: Charge, terms: HeldTerms) -> Period:
    """That of the last run under these terms; where it was voided, what of their time no other covers."""
    covering = [entry for entry in charge.period_runs if terms.rates(entry.service_period_to)]
    if covering and (terms.until is None or covering[-1].service_period_to == terms.until):
        return Period(covering[-1].service_period_from, covering[-1].service_period_to)
    return Period(covering[-1].service_period_to if covering else terms.period.from_, terms.period.to)


def _outcome(turn: Turn, total: Decimal, *, again: bool) -> LateOutcome:
    policy, billed = turn.facts.policies.late_usage, LateOutcome.BILLED
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
    period, end = found.rated.period, found.rated.stored_at_lt
    run_id = _start(turn, period, end)
    rate_and_cover(turn, run_id)
    turn.emit(
        RealizationRunOpened(
            run_id=run_id,
            type=RunType.LATE_ADJUSTMENT,
            service_period_from=period.from_,
            service_period_to=period.to,
            collection_end=end,
            feature_id=turn.run(run_id).feature_id,
            no_fiat=True,
            set_off=turn.charge.is_invoiced,
            rebilling=found.rebilling,
            moved=turn.walked(row, None),
        )
    )
    settle(turn, run_id)
    turn.emit(RealizationRunClosed(run_id=run_id, reason=RunClosedReason.FINALIZED))
    _look_at_the_rest(turn, run_id, rebilling=found.rebilling)


def gather(turn: Turn, row: Row[Turn]) -> None:
    """Let late usage wait to be invoiced."""
    found = verdict(turn)
    _note(turn, row, found)
    gathering.gather_late(turn, found.rated.period, found.rated.total)


def _note(turn: Turn, row: Row[Turn], found: Verdict) -> None:
    turn.emit(
        LateUsageEvaluated(
            outcome=found.outcome,
            stored_at_lt=found.rated.stored_at_lt,
            meter_position=found.rated.position,
            quantity=plain(found.rated.quantity),
            amount=plain(found.rated.total),
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
    end, rebilling = collection_end(turn.charge), _waits_again(turn.charge)
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
            rebilling=rebilling,
            moved=turn.walked(row, collected_after(end)),
        )
    )
    gathering.drop(turn)
    show(turn, turn.run(run_id))
    _look_at_the_rest(turn, run_id, rebilling=rebilling)


def _look_at_the_rest(turn: Turn, run_id: UUID, *, rebilling: bool) -> None:
    """Only usage under some of the charge's terms is adjusted by this run: look again for that under the others."""
    run = turn.run(run_id)
    if not turn.charge.former_terms or run.stored_at_lt is None:
        return
    if rebilling:
        turn.emit(RebillingNoted(run_id=run_id, stored_at_lt=run.stored_at_lt))
    else:
        turn.emit(LateUsageFound(stored_at=run.stored_at_lt))


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
    is_former = not charge.terms[-1].rates(entry.service_period_to)
    ends = latest is not None and latest.service_period_to == charge.intent.effective.service_period.to
    if (ends or is_former) and entry.collection_end is not None:
        turn.emit(RebillingNoted(run_id=entry.run_id, stored_at_lt=entry.collection_end))


def note_again(turn: Turn) -> None:
    """A run that did not wait for late usage is the last now: look again.

    Where late usage is left alone, nobody looks.
    """
    if turn.facts.policies.late_usage.action is not LateUsageAction.NONE:
        turn.emit(LateUsageFound(stored_at=turn.facts.instant))


def note_last_under(turn: Turn) -> None:
    """The last run under terms that an override ends did not wait for late usage: look at it, whatever is done then.

    Nobody else would: what is stored later is told by its time, what is there already was the next run's to bill.
    """
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
