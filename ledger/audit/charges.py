"""Checks of charges and their runs: rated lines, credit, the index of runs, and the walk through the statuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

from aggregates.charges import state as charge_state
from aggregates.charges.events import Moved
from aggregates.charges.intent import ChargeType, SettlementMode
from aggregates.charges.state import Charge, RunEntry
from aggregates.event import AnyRecorded
from aggregates.lifecycle import Status
from aggregates.runs import state as run_state
from aggregates.runs.events import CreditsCorrected, RunFinalized, RunRated, RunType
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import ZERO
from aggregates.values.period import Instant
from aggregates.values.totals import Totals, sum_totals
from ledger.audit.check import BROKEN, ChargeStreams, Check, Evidence, broken, place_of
from ledger.audit.postings import total_of


class Runs(Check):
    """Every run's totals are the sum of its lines and reconcile, and its credit is what its totals say (lifecycles §6).

    No allocation is corrected below zero; a finalised run has its last totals; a voided run keeps no credit, while one
    that became invalid keeps all there was (lifecycles §17.6); and of a charge that is settled by credit alone what its
    finalised runs come to is covered to the last unit, all together: a run below zero is settled by the credit of the
    others (decision 20).
    """

    name = "runs"

    def charge(self, streams: ChargeStreams) -> None:
        """Fold each run, looking at every step."""
        done: list[RealizationRun] = []
        for run, records in streams.runs.items():
            self.looked_at()
            try:
                state = self._run(run, records)
            except BROKEN as error:
                self.find(f"stream {run}", "run cannot be folded", expected="a run", found=broken(error))
                continue
            if state is not None and state.finalized and not state.is_voided:
                done.append(state)
        if settlement(streams.records) is SettlementMode.CREDIT_ONLY:
            self._covered(streams.charge, done)

    def _covered(self, charge: UUID, done: Sequence[RealizationRun]) -> None:
        """Of runs that are settled by credit alone nothing is left, and nothing was given that they did not come to."""
        credit = total_of(run.credits_total for run in done)
        left = total_of(run.totals.total for run in done)
        if left:
            place = f"stream {done[-1].id}" if len(done) == 1 else f"stream {charge}"
            rated = total_of((left, credit))
            self.find(place, "finalised run is not covered by credit", expected=rated, found=credit)

    def _run(self, run: UUID, records: Sequence[AnyRecorded]) -> RealizationRun | None:
        state: RealizationRun | None = None
        for record in records:
            state = run_state.evolve(state, record)
            for what, expected, found in self._at(record, state):
                if expected != found:
                    self.find(place_of(record), what, expected=expected, found=found)
        if state is not None and state.deleted_at is not None and state.credits_total:
            self.find(f"stream {run}", "voided run keeps credit", expected=ZERO, found=state.credits_total)
        return state

    @staticmethod
    def _at(record: AnyRecorded, state: RealizationRun) -> Iterator[tuple[str, Any, Any]]:
        match record.body:
            case RunRated(totals=totals, detailed_lines=lines):
                yield "totals are not the sum of the lines", sum_totals(line.totals for line in lines), totals
                for line in lines:
                    if not line.totals.reconciles:
                        yield (
                            f"line {line.child_unique_reference_id} does not reconcile",
                            totals_text(line.totals),
                            None,
                        )
                if not totals.reconciles:
                    yield "totals do not reconcile", totals_text(totals), totals.total
                if totals.credits_total:
                    yield "rated totals hold credit", ZERO, totals.credits_total
            case CreditsCorrected(corrections=corrections):
                for correction in corrections:
                    left = state.remaining(correction.corrects)
                    if left < 0:
                        yield f"allocation {correction.corrects} is corrected below zero", "0 or more", left
            case RunFinalized(totals=totals):
                yield "final totals are not those of the run", state.totals, totals
            case _:
                return


def totals_text(totals: Totals) -> str:
    """What the parts of totals sum to."""
    return str(totals.amount + totals.charges_total - totals.discounts_total - totals.credits_total)


class RunIndex(Check):
    """The index of runs on a charge is what the streams of its runs say (lifecycles §19.5.8); no run is nobody's."""

    name = "run index"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._owned: set[UUID] = set()

    def charge(self, streams: ChargeStreams) -> None:
        """Compare each entry with the run it stands for."""
        state = folded(self, streams)
        if state is None:
            return
        self._owned.update(streams.runs)
        for entry in state.runs:
            self.looked_at()
            place = f"stream {streams.charge}, run {entry.run_id}"
            try:
                run = run_state.fold(None, streams.runs.get(entry.run_id, []))
            except BROKEN as error:
                self.find(place, "run cannot be folded", expected="a run", found=broken(error))
                continue
            if run is None:
                self.find(place, "indexed run has no events", expected="a run", found=None)
                continue
            for what, indexed, actual in compared(state, entry, run):
                if indexed != actual:
                    self.find(place, f"{what} differs", expected=actual, found=indexed)
        self._current(state)

    def _current(self, state: Charge) -> None:
        current = state.current_run_id
        # The run of a fee whose invoice cannot be corrected becomes invalid and stays current (lifecycles §10.1).
        if current is not None and current not in {entry.run_id for entry in state.runs if not entry.voided}:
            self.find(
                f"stream {state.id}", "current run is none of its live runs", expected="a live run", found=current
            )

    def end(self) -> None:
        """Runs that no charge names."""
        runs = (stream for stream, head in self.evidence.heads.items() if head.aggregate == "realization_run")
        for run in runs:
            if run not in self._owned:
                self.find(f"stream {run}", "run of no charge", expected="a charge that opened it", found=None)


def compared(charge: Charge, entry: RunEntry, run: RealizationRun) -> Iterator[tuple[str, Any, Any]]:
    """What the index says of a run, beside what the run says itself."""
    yield "charge", charge.id, run.charge_id
    yield "type", entry.type, run.type
    yield "initial type", entry.initial_type, run.initial_type
    yield "start of the period", entry.service_period_from, run.service_period_from
    yield "end of the period", entry.service_period_to, run.service_period_to
    yield "collection end", entry.collection_end, run.stored_at_lt
    yield "voided", not entry.counts, run.is_voided
    if run.finalized or run.invoice_usage is not None:  # until then the charge foresees what the run has not recorded
        yield "no fiat", entry.no_fiat, run.no_fiat_transaction_required


class Statuses(Check):
    """Every charge walked from status to status without a jump, and is final only when its period is covered.

    Each step begins where the one before it ended; live runs follow one another, late adjustments aside; a final charge
    that is settled by credit has runs over its whole service period, the last of the final type (lifecycles §19.5.2,
    §19.5.4).
    """

    name = "statuses"

    def charge(self, streams: ChargeStreams) -> None:
        """Follow the steps, then look at where the charge stands."""
        self.looked_at()
        status = Status.NONE
        for record in streams.records:
            moved: Moved | None = getattr(record.body, "moved", None)
            if moved is None:
                continue
            if moved.status_from is not status:
                self.find(place_of(record), "step from another status", expected=status, found=moved.status_from)
            status = moved.status_to
        state = folded(self, streams)
        if state is not None:
            self._runs(state)

    def _runs(self, state: Charge) -> None:
        place = f"stream {state.id}"
        live = [entry for entry in state.period_runs if entry in state.rated_runs]
        for before, after in pairwise(live):
            begins, ends = before.service_period_to, after.service_period_from
            if begins != ends and not (begins < ends and _was_voided(state, begins, ends)):
                what = "live runs do not follow one another"
                self.find(place, what, expected=before.service_period_to, found=after.service_period_from)
        if not (state.status is Status.FINAL and state.charge_type is ChargeType.USAGE_BASED):
            return
        period = state.intent.effective.service_period
        covered = (live[0].service_period_from, live[-1].service_period_to) if live else None
        if covered is not None and _was_voided(state, period.from_, covered[0]):
            covered = (period.from_, covered[1])
        if covered != (period.from_, period.to):
            self.find(place, "runs of a final charge do not cover its period", expected=period, found=covered)
        elif live[-1].type is not RunType.FINAL_REALIZATION:
            found = live[-1].type
            self.find(place, "last run of a final charge", expected=RunType.FINAL_REALIZATION, found=found)


def _was_voided(state: Charge, begins: Instant, ends: Instant) -> bool:
    """Whether a run over that stretch was voided: the cumulative quantity of the run after it has its usage."""
    voided = (entry for entry in state.runs if entry.voided and begins < ends)
    return any(entry.service_period_from <= begins and ends <= entry.service_period_to for entry in voided)


def settlement(records: Sequence[AnyRecorded]) -> SettlementMode | None:
    """How the charge is settled, as its first event says."""
    identity = getattr(records[0].body, "identity", None) if records else None
    return identity.settlement_mode if identity is not None else None


def folded(check: Check, streams: ChargeStreams) -> Charge | None:
    """The charge as its events make it; None, and a finding, where they make none."""
    try:
        return charge_state.fold(None, streams.records)
    except BROKEN as error:
        check.find(f"stream {streams.charge}", "charge cannot be folded", expected="a charge", found=broken(error))
        return None
