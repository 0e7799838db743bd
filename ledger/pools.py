"""What follows every decision that moved credit, in the same save: revenue is recognised, and what is over is sealed.

Recognition runs after a grant, after charges advanced and after an invoice was issued (ledger §6.6, lifecycles §15.3);
it selects by provenance and books nothing when nothing is newly eligible. Sealing keeps the state of a pool as large
as what is going on in it (decision 40). A correction of what was sealed
reads those events of the pool's stream that concern its charge.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aggregates import customers, namespaces
from aggregates.charges.state import Charge
from aggregates.credits import decisions as pools
from aggregates.credits import state as pool_state
from aggregates.credits.events import AdvanceCovered, CreditReturned
from aggregates.credits.histories import accruals_of, history_of, lots_opened, lots_taken
from aggregates.credits.pool import CreditPool
from aggregates.credits.requests import CoverAdvance, Recognize, RecognizeAccrual, Seal
from aggregates.customers import Customer, Profile
from aggregates.event import AnyRecorded, DomainEvent, Stream
from aggregates.lifecycle import OVER
from aggregates.namespaces import NamespaceState
from aggregates.policies import OfferReleasedCredit, Policies, RecognizeCredit, RecognizeInvoiced
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import EXACT, ZERO
from aggregates.values.errors import LedgerError
from aggregates.values.period import Duration, Instant, instant
from ledger.store import mapper
from ledger.store.follow import Follower
from ledger.store.store import Store
from ledger.units import Work
from projections.slice_events import SLICE_EVENTS
from projections.stores.tables import Where

log = logging.getLogger(__name__)


def follow_up(work: Work) -> None:
    """Recognise and seal in every pool that the decision has in hand."""
    held = [entry.stream for entry in work.draft.read() if entry.stream.aggregate == "credit_pool"]
    if not held:
        return
    settings = _settings(work)
    for stream in held:
        _offer_released(work, stream, settings)
        if settings.policies.recognize_credit is RecognizeCredit.WHEN_USED:
            _recognize(work, stream, settings.closed_until)
        if settings.policies.recognize_invoiced is not RecognizeInvoiced.NEVER:
            _recognize_invoiced(work, stream, settings)
        _seal(work, stream, settings.policies)


def _settings(work: Work) -> NamespaceState:
    settings: NamespaceState | None = work.state(namespaces.stream(work.namespace))
    return settings or NamespaceState(policies=Policies.standard(), profile=Profile())


def _profile(work: Work, customer: str, settings: NamespaceState) -> Profile:
    known: Customer | None = work.state(customers.stream(work.namespace, customer))
    return customers.effective(known.profile if known is not None else None, settings.profile)


def cover_advance(work: Work, stream: Stream, lots: dict[int, Decimal] | None, closed_until: Instant | None) -> None:
    """Let free credit of a pool take over open advance, lot by lot; `lots` bounds which, and how much of each."""
    left = dict(lots) if lots is not None else None
    while (pool := work.draft.state(stream.id)) is not None:
        request = CoverAdvance(lots=left, booked_at=instant(work.now), closed_until=closed_until)
        event = pools.cover_advance(pool, request)
        if event is None:
            return
        work.draft.emit(stream, event)
        if left is not None:
            left[event.lot] = EXACT.subtract(left[event.lot], event.amount)


def _offer_released(work: Work, stream: Stream, settings: NamespaceState) -> None:
    """Credit that a correction of this decision gave back covers the oldest open advance (lifecycles §22 row 18)."""
    bodies = [record.body for record in work.draft.records if record.stream == stream.id]
    if not any(isinstance(body, CreditReturned) for body in bodies):
        return
    profile = _profile(work, stream.customer or "", settings)
    policies = customers.policies_for(settings.policies, profile)
    if policies.offer_released_credit is not OfferReleasedCredit.ON:
        return
    cover_advance(work, stream, _released(bodies), settings.closed_until)


def _released(bodies: Sequence[DomainEvent]) -> dict[int, Decimal]:
    """What came back to each lot, less what of it covers advance already."""
    released: dict[int, Decimal] = {}
    for body in bodies:
        if isinstance(body, CreditReturned):
            for part in body.parts:
                if part.lot is not None:
                    released[part.lot] = EXACT.add(released.get(part.lot, ZERO), part.amount)
        elif isinstance(body, AdvanceCovered) and body.lot in released:
            released[body.lot] = EXACT.subtract(released[body.lot], body.amount)
    return released


def _recognize_invoiced(work: Work, stream: Stream, settings: NamespaceState) -> None:
    """Book the revenue of what was invoiced, one event a line: now, or ahead for what is paid in advance."""
    pool: CreditPool | None = work.draft.state(stream.id)
    waiting = [each.sequence for each in pool.accruals.values() if each.unrecognized > 0] if pool is not None else []
    if not waiting:
        return
    zone = _profile(work, stream.customer or "", settings).zone
    assert zone is not None, "the built-in default has one"
    for sequence in waiting:
        event = pools.recognize_accrual(
            work.draft.state(stream.id),
            RecognizeAccrual(
                accrual=sequence,
                policy=settings.policies.recognize_invoiced,
                zone=zone,
                booked_at=instant(work.now),
                closed_until=settings.closed_until,
            ),
        )
        if event is not None:
            work.draft.emit(stream, event)


def _recognize(work: Work, stream: Stream, closed_until: Instant | None) -> None:
    pool: CreditPool | None = work.draft.state(stream.id)
    if pool is None or not pool.unrecognized:
        return
    event = pools.recognize(pool, Recognize(booked_at=instant(work.now), closed_until=closed_until))
    if event is not None:
        work.draft.emit(stream, event)


def _seal(work: Work, stream: Stream, policies: Policies) -> None:
    """Seal what is over; a pool that gained no event in this decision has nothing new to seal."""
    if stream.id not in {held.stream.id for held in work.draft.touched()}:
        return
    pool: CreditPool = work.draft.state(stream.id)
    horizon = _horizon(policies.correction_horizon, work.now)
    event = pools.seal(
        pool,
        Seal(
            final_charges=_over(work, stream.id),
            booked_before=horizon,
            recognizes=policies.recognize_credit is not RecognizeCredit.NEVER,
            recognizes_invoiced=policies.recognize_invoiced is not RecognizeInvoiced.NEVER,
        ),
    )
    if event is not None:
        work.draft.emit(stream, event)


def _over(work: Work, pool_id: UUID) -> tuple[UUID, ...]:
    states = (held.state for held in work.draft.read())
    return tuple(
        state.id for state in states if isinstance(state, Charge) and state.pool.id == pool_id and state.status in OVER
    )


def _horizon(reach: Duration, now: datetime) -> Instant:
    """Now less the horizon, whose months are as long as the next ones: some days more or less change no result."""
    return instant(now - (reach.after(now) - instant(now)))


def histories(work: Work, store: Store, follower: Follower, charge: Charge) -> dict[UUID, CreditPool]:
    """Pools with all that the charge ever had of them, where a correction of it would need it (decision 40).

    Empty as long as every slice of the charge's runs is in hand, and what they were invoiced, which is as good as
    always before it is final. The few events that concern the charge are found by the view `slice_events`; what the
    view has not seen is read from the stream. Should what it names not add up to what the runs hold, the whole stream
    is read. So it is for the totals of a purchase that has left the state, because it was paid and used up.
    """
    own: CreditPool | None = work.draft.state(charge.pool.id)
    if own is not None and charge.pool.id in work.loaded and has_left(own, charge):
        history = whole_history(store, charge.pool.id, work.loaded[charge.pool.id].version)
        return {charge.pool.id: history} if history is not None else {}
    runs = [work.draft.state(entry.run_id) for entry in charge.runs]
    found: dict[UUID, CreditPool] = {}
    for stream, held in _held_of(charge, [run for run in runs if run is not None]).items():
        pool: CreditPool | None = work.draft.state(stream)
        if pool is None or stream not in work.loaded or _accounts_for(pool, charge, held):
            continue
        wanted = Wanted(stream, charge.id, pool, work.loaded[stream].version)
        history = history_by_view(store, follower, wanted)
        if history is None or not _accounts_for(history, charge, held):
            history = whole_history(store, stream, wanted.version)
        if history is not None:
            found[stream] = history
    return found


def has_left(pool: CreditPool, charge: Charge) -> bool:
    """Whether the pool's state no longer has the totals of a purchase that was granted."""
    known = pool.purchases.get(charge.id)
    return charge.grant is not None and (known is None or not known.is_whole)


def whole_history(store: Store, stream: UUID, version: int) -> CreditPool | None:
    """A pool up to a version, with everything that was ever sealed; None before its first event."""
    rows = store.read_stream(stream)
    return pool_state.unsealed(mapper.read(row) for row in rows if row.version <= version)


class Held(NamedTuple):
    """What runs hold of a pool now: credit by run, and what they were invoiced and nobody has taken back."""

    credit: Mapping[UUID, Decimal]
    invoiced: Mapping[UUID, Decimal]


def _held_of(charge: Charge, runs: Sequence[RealizationRun]) -> dict[UUID, Held]:
    """What the runs hold of each pool they draw on: their own, and the fiat one for what exceeds it.

    A run that counts no longer holds no credit, but perhaps something that it was invoiced.
    """
    live = [run for run in runs if not run.is_voided]
    invoiced = {run.id: run.invoiced_left for run in runs if run.invoiced_left}
    credit = {run.id: run.credits_total for run in live}
    if not charge.has_overage or charge.fiat_pool == charge.pool:
        return {charge.pool.id: Held(credit, invoiced)}
    fiat_credit = {run.id: run.fiat_credits_total for run in live}
    return {charge.pool.id: Held(credit, {}), charge.fiat_pool.id: Held(fiat_credit, invoiced)}


def _accounts_for(pool: CreditPool, charge: Charge, held: Held) -> bool:
    """Whether all credit that the charge's runs hold is among these slices, and all they were invoiced in accruals."""
    in_slices = all(amount <= pool.remaining(charge.id, run) for run, amount in held.credit.items())
    return in_slices and all(amount <= pool.invoiced(run) for run, amount in held.invoiced.items())


class Wanted(NamedTuple):
    """The history of a charge in a pool, up to a version."""

    stream: UUID
    charge: UUID
    pool: CreditPool
    version: int


def history_by_view(store: Store, follower: Follower, wanted: Wanted) -> CreditPool | None:
    """The history from the events that concern the charge; None where the view cannot be read."""
    stream, charge, pool, version = wanted
    mine = Where("pool", "=", stream)
    try:
        with follower.reading((SLICE_EVENTS.name,)) as reader:
            newest = reader.select(SLICE_EVENTS, [mine], order=("version",), descending=True, limit=1)
            seen = newest[0].version if newest else 0
            named = [row.version for row in reader.select(SLICE_EVENTS, [mine, Where("charge", "=", charge)])]
            records = _read(store, stream, named, seen)
            lots = sorted(lots_taken(charge, records.values()) - pool.lots.keys())
            opened = [row.version for row in reader.select(SLICE_EVENTS, [mine, Where("lot", "in", lots)])]
            accruals = sorted(accruals_of(charge, records.values()))
            opened += [row.version for row in reader.select(SLICE_EVENTS, [mine, Where("accrual", "in", accruals)])]
    except LedgerError:
        log.warning("view %s cannot be read; reading the whole stream %s", SLICE_EVENTS.name, stream)
        return None
    records |= _read(store, stream, sorted({each for each in opened if each not in records}), None)
    told = [record for _, record in sorted(records.items()) if record.version <= version]
    if not lots_taken(charge, told) <= pool.lots.keys() | lots_opened(told):
        return None
    return history_of(charge, told, currency=pool.currency, lots=pool.lots, version=version)


def _read(store: Store, stream: UUID, versions: Sequence[int], tail_after: int | None) -> dict[int, AnyRecorded]:
    """Records of a stream by version: the named ones and, unless it is None, all after that version."""
    rows = store.read_versions(stream, versions) if versions else []
    rows += store.read_stream(stream, tail_after) if tail_after is not None else []
    return {row.version: mapper.read(row) for row in rows}
