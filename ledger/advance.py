"""Advancing: what the clock makes of a customer's charges, all in one draft (lifecycles §15, decision 25).

Every charge that is due walks as far as it can. One that refuses takes back what it had decided, contributes only the
record of its failure, and does not hold up the others; a store or port that fails saves nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from aggregates.charges import decisions as deciding
from aggregates.charges import state as charge_state
from aggregates.charges.facts import Facts
from aggregates.charges.intent import ChargeType
from aggregates.charges.state import Charge
from aggregates.lifecycle import Status
from aggregates.policies import RunCuts
from aggregates.values.errors import OUTAGES, ChargeNotFound, LedgerError
from ledger import pools
from ledger.context import Context
from ledger.facts import FactFinder
from ledger.store.store import ChargeIndexRow, Reservation
from ledger.units import Work

_RUNNING = (ChargeType.USAGE_BASED.value, Status.ACTIVE.value)
_ANY_TIME = datetime.max.replace(tzinfo=UTC)


class FailedAdvance(msgspec.Struct, frozen=True):
    """A charge that refused to advance, and why."""

    charge: UUID
    code: str
    message: str


class AdvancedIds(msgspec.Struct, frozen=True):
    """What the receipt of an advance keeps: which charges moved, and which refused."""

    moved: tuple[UUID, ...] = ()
    failed: tuple[FailedAdvance, ...] = ()


class Advancer:
    """Advances charges within one unit of work."""

    def __init__(self, context: Context, facts: FactFinder) -> None:
        self._context = context
        self._facts = facts

    def customer(self, work: Work, customer: str, named: UUID | None = None) -> AdvancedIds:
        """Advance everything of a customer that is due, or the named charge, flat fees first, each by creation."""
        ids = [named] if named is not None else self._due(work, customer)
        if not ids:
            return AdvancedIds()
        facts = self._facts.of_customer(work, customer)
        work.load(*(charge_state.stream(charge_id, customer) for charge_id in ids))
        answer = self.each(work, ids, facts)
        index(work)
        return answer

    def each(self, work: Work, ids: Iterable[UUID], facts: Facts) -> AdvancedIds:
        """Advance charges that are in hand, one after the other; one that refuses only leaves the record of that."""
        moved: list[UUID] = []
        failed: list[FailedAdvance] = []
        for charge_id in ids:
            savepoint = work.draft.savepoint()
            try:
                if self.charge(work, charge_id, facts):
                    moved.append(charge_id)
            except OUTAGES:
                raise
            except LedgerError as refusal:
                work.draft.rollback(savepoint)
                deciding.note_failure(work.draft, charge_id, refusal)
                failed.append(FailedAdvance(charge_id, refusal.code, str(refusal)))
        return AdvancedIds(tuple(moved), tuple(failed))

    def charge(self, work: Work, charge_id: UUID, facts: Facts) -> bool:
        """Find what one charge needs to know, and let it walk; whether it moved. Raises what it refuses.

        What it asks of invoices is left on the draft (`Rounds.settle`).
        """
        charge: Charge | None = work.draft.state(charge_id)
        if charge is None:
            raise ChargeNotFound(charge_id)
        work.load(*deciding.streams_needed(charge))
        moved = deciding.advance(work.draft, charge_id, self._facts.of_charge(work, charge, facts))
        if charge.charge_type is ChargeType.CREDIT_PURCHASE:
            self._look_sooner(work, charge, facts)
        return moved

    def _look_sooner(self, work: Work, purchase: Charge, facts: Facts) -> None:
        """Let usage that is running follow credit which this unit granted; other charges of the customer, if open."""
        granted = purchase.pool.id in {held.stream.id for held in work.draft.touched()}
        if not granted or facts.policies.run_cuts is not RunCuts.LOT_BOUNDS:
            return
        rows = self._context.repository.store.charges_of(self._context.namespace, purchase.customer, _ANY_TIME)
        running = [row.charge for row in rows if (row.charge_type, row.status) == _RUNNING]
        work.load(*(charge_state.stream(charge_id, purchase.customer) for charge_id in running))
        for charge_id in running:
            charge: Charge = work.draft.state(charge_id)
            if charge.pool == purchase.pool:
                deciding.look_sooner(work.draft, charge_id, self._facts.naming(work, charge, facts))

    def _due(self, work: Work, customer: str) -> list[UUID]:
        rows = self._context.repository.store.charges_of(self._context.namespace, customer, work.now)
        return [row.charge for row in sorted(rows, key=_order)]


def _order(row: ChargeIndexRow) -> tuple[bool, int]:
    return row.charge_type != ChargeType.FLAT_FEE.value, row.ordinal


def index(work: Work) -> None:
    """What ends every decision about charges: revenue and sealing, and the rows of the inline tables (decision 8)."""
    pools.follow_up(work)
    for record in work.draft.records:
        charge = work.draft.state(record.stream)
        if isinstance(charge, Charge):
            work.charge_index[charge.id] = ChargeIndexRow(*deciding.index_row(charge), ordinal=0)
            work.reservations += (Reservation(*held) for held in deciding.reservations(charge, record.body))
