"""Looking at charges and their runs, as they stand and as they would be invoiced."""

from __future__ import annotations

import builtins
from uuid import UUID

import msgspec

from aggregates.charges import decisions as deciding
from aggregates.charges import state as charge_state
from aggregates.charges.facts import Facts
from aggregates.charges.proposal import keys_of
from aggregates.charges.state import Charge
from aggregates.invoices.lines import LineContent
from aggregates.runs import state as run_state
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import ChargeNotFound, RunNotFound
from ledger.advance import Advancer
from ledger.charge_requests import ChargeRequests
from ledger.context import Context
from ledger.facts import FactFinder
from ledger.paging import checked_id
from ledger.ports import Meter
from ledger.rounds import Rounds
from ledger.units import Work


class ChargeLookups:
    """What can be seen of charges; and how one is put in hand with what a decision about it needs."""

    def __init__(self, context: Context, meter: Meter) -> None:
        self._context = context
        self.requests = ChargeRequests(context)
        self._facts = FactFinder(context, meter)
        self._advancer = Advancer(context, self._facts)
        self.facts = self._facts
        self.rounds = Rounds(context, self._facts, self._advancer)

    def get(self, charge: UUID | str) -> Charge:
        """The charge as it stands, right after any command. Raises `ChargeNotFound`."""
        charge_id = self._charge_id(charge)
        state: Charge | None = self._context.repository.load(charge_state.stream(charge_id, "")).state
        if state is None or state.namespace != self._context.namespace:
            raise ChargeNotFound(charge_id)
        return state

    def preview(self, charge: UUID | str) -> LineContent:
        """What a line of everything of the charge that waits to be invoiced would show now (lifecycles §17.1).

        Usage is rated as it is known now; credit is not counted; nothing is recorded. Raises `ChargeNotFound`,
        `NoLines` where nothing waits.
        """
        before = self.get(charge)

        def look(work: Work) -> LineContent:
            facts = self._in_hand(work, before.customer, before.id)
            known = self._facts.previewing(work, work.draft.state(before.id), facts)
            return deciding.preview(work.draft, before.id, known)

        content: LineContent = self._context.send(
            "charges.preview", before.customer, before.id, None, answer=LineContent, decide=look
        ).answer
        return content

    def list(self, customer: str) -> list[Charge]:
        """All charges of a customer in order of creation, deleted ones included. Raises `CustomerNotFound`."""
        self._context.look.customer(customer)
        rows = self._context.repository.store.charges_of(self._context.namespace, customer)
        streams = [charge_state.stream(row.charge, customer) for row in rows]
        return [entry.state for entry in self._context.repository.load_all(streams)]

    def run(self, run: UUID | str) -> RealizationRun:
        """A realization run as it stands. Raises `RunNotFound`."""
        run_id = checked_id(run, RunNotFound)
        state: RealizationRun | None = self._context.repository.load(run_state.stream(run_id, "")).state
        if state is None:
            raise RunNotFound(run_id)
        return state

    def runs(self, charge: UUID | str) -> builtins.list[RealizationRun]:
        """All runs of a charge in order of creation, voided ones included."""
        streams = [run_state.stream(entry.run_id, "") for entry in self.get(charge).runs]
        return [entry.state for entry in self._context.repository.load_all(streams)]

    def _known(self, charge_id: UUID) -> Charge:
        """The charge as this process knows it, which is at least as it has just been saved; else from the store."""
        cached = self._context.repository.cached(charge_state.stream(charge_id, ""))
        known = cached.state if cached is not None else None
        if isinstance(known, Charge) and known.namespace == self._context.namespace:
            return known
        return self.get(charge_id)

    def _charge_id(self, charge: UUID | str) -> UUID:
        try:
            return charge if isinstance(charge, UUID) else UUID(charge)
        except ValueError:
            raise ChargeNotFound(charge) from None

    def _in_hand(self, work: Work, customer: str, charge_id: UUID) -> Facts:
        """Put one charge of the customer in hand with all it needs; the facts a patch of it may know."""
        charge: Charge | None = work.state(charge_state.stream(charge_id, customer))
        if charge is None or (charge.customer, charge.namespace) != (customer, self._context.namespace):
            raise ChargeNotFound(charge_id)
        work.load(*deciding.streams_needed(charge))
        keys = keys_of(charge.customer, charge.identity)
        resolved = charge.resolved_feature
        facts = self._facts.of_customer(
            work,
            customer,
            features=deciding.features_needed(charge),
            keys=keys,
            meters=(resolved.meter_id,) if resolved is not None else (),
            looks_at_events=True,
        )
        return msgspec.structs.replace(facts, histories=self._facts.histories(work, charge))
