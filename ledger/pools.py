"""What follows every decision that moved credit, in the same save: revenue is recognised, and what is over is sealed.

Recognition runs after a grant, after charges advanced and after an invoice was issued (ledger §6.6, lifecycles §15.3);
it selects by provenance and books nothing when nothing is newly eligible. Sealing keeps the state of a pool as large
as what is going on in it (decision 40). A correction of what was sealed reads the pool's stream instead.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from aggregates import namespaces
from aggregates.charges.state import Charge
from aggregates.credits import decisions as pools
from aggregates.credits import state as pool_state
from aggregates.credits.pool import CreditPool
from aggregates.credits.requests import Recognize, Seal
from aggregates.event import Stream
from aggregates.lifecycle import Status
from aggregates.namespaces import NamespaceState
from aggregates.policies import Policies, RecognizeCredit
from aggregates.runs.state import RealizationRun
from aggregates.values.period import Duration, Instant, instant
from ledger.store import mapper
from ledger.store.store import Store
from ledger.units import Work

OVER = frozenset({Status.FINAL, Status.DELETED})
"""The statuses a charge does not leave by itself."""


def follow_up(work: Work) -> None:
    """Recognise and seal in every pool that the decision has in hand."""
    held = [entry.stream for entry in work.draft.read() if entry.stream.aggregate == "credit_pool"]
    if not held:
        return
    settings: NamespaceState | None = work.state(namespaces.stream(work.namespace))
    policies = settings.policies if settings is not None else Policies.standard()
    closed_until = settings.closed_until if settings is not None else None
    for stream in held:
        if policies.recognize_credit is RecognizeCredit.WHEN_USED:
            _recognize(work, stream, closed_until)
        _seal(work, stream, policies)


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
    recognizes = policies.recognize_credit is not RecognizeCredit.NEVER
    event = pools.seal(pool, Seal(final_charges=_over(work, stream.id), booked_before=horizon, recognizes=recognizes))
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


def histories(work: Work, store: Store, charge: Charge) -> dict[UUID, CreditPool]:
    """Pools with everything that was ever sealed, where a correction of this charge would need it (decision 40).

    Empty as long as every slice of the charge's runs is in hand, which is as good as always before it is final.
    """
    pool: CreditPool | None = work.draft.state(charge.pool.id)
    if pool is None or charge.pool.id not in work.loaded:
        return {}
    runs: list[RealizationRun | None] = [work.draft.state(entry.run_id) for entry in charge.live_runs]
    if all(run is None or run.credits_total <= pool.remaining(charge.id, run.id) for run in runs):
        return {}
    version = work.loaded[charge.pool.id].version
    rows = store.read_stream(charge.pool.id)
    history = pool_state.unsealed(mapper.decode(row.name, row.data) for row in rows if row.version <= version)
    return {charge.pool.id: history} if history is not None else {}
