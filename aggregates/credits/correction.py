"""Giving collected value back, in reverse of the recorded order (ledger §6.7; D3-D5).

Backwards over slices, the newest first; within a slice recognised parts first, then backfilled, then uncovered
advance, then real credit. Each part is undone by exact reference to what it undoes, with source and spend on every
leg. **Prefix law**: collecting n and then correcting x, in any number of parts, leaves exactly the slices that
collecting n - x from the same state would have taken.

No leg is booked before what it undoes: giving back in January what is booked for February is booked in February, or
January would show credit that never was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple, TypeVar
from uuid import UUID

from aggregates.credits.breakage import expiry_entry_at, post_reopen
from aggregates.credits.events import CreditReturned, RestoredLot, ReturnedPart, SegmentState
from aggregates.credits.identity import allocation_id
from aggregates.credits.pool import Cover, CreditPool, Lot, Recognition, Slice
from aggregates.credits.posting import Postings, not_before, opened, when
from aggregates.credits.requests import Correct
from aggregates.credits.slices import attribution_of, total_of
from aggregates.journal import templates
from aggregates.journal.postings import EntryRef
from aggregates.journal.templates import CollectLeg, When
from aggregates.values.decimals import ZERO, exact
from aggregates.values.errors import InsufficientFunds
from aggregates.values.period import Instant

K = TypeVar("K")


@exact
def correct(pool: CreditPool, request: Correct, history: CreditPool | None = None) -> CreditReturned | None:
    """Give an amount of what a charge collected back; without an amount, all that is left.

    `history` is the pool with nothing sealed (`state.unsealed`), for charges whose slices have left the state: what
    they give back opens a lot of its own, because the lot it came from may have left as well (decision 40).

    None when the rounded amount is zero. Raises `InsufficientFunds` when less is left than asked for. Example: slices
    A 4 (expiring on the 10th) and B 6 (on the 15th); correct 5: B +5; correct 5 again: B +1, A +4.
    """
    request = opened(request)
    known = history if history is not None else pool
    slices = [item for item in known.slices_of(request.charge) if item.remaining and _is_meant(pool, request, item)]
    left = sum((item.remaining for item in slices), ZERO)
    amount = left if request.amount is None else pool.currency.rounded(request.amount)
    if amount <= 0:
        return None
    taken = take_backwards([(item, item.remaining) for item in slices], amount, request.charge)

    undoing = _Undoing(pool, known, request)
    for item, share in taken:
        for part in _parts_of(item, share):
            undoing.undo(part)
    undoing.post_real_credit()
    return CreditReturned(
        currency=pool.currency,
        charge=request.charge,
        run=request.run,
        amount=amount,
        booked_at=request.booked_at,
        parts=tuple(undoing.parts),
        restored_lots=tuple(undoing.restored.values()),
        transactions=undoing.postings.all(),
    )


def take_backwards(
    remaining: Sequence[tuple[K, Decimal]], amount: Decimal, charge: object = None
) -> list[tuple[K, Decimal]]:
    """Take an amount off the end of a list, each item no further than what remains of it.

    5, 3 and 2 with 7 to take: 2 of the third, 3 of the second, 2 of the first. Raises `InsufficientFunds`.
    """
    taken: list[tuple[K, Decimal]] = []
    left = amount
    for item, available in reversed(remaining):
        if left <= 0:
            break
        share = min(left, available)
        if share > 0:
            taken.append((item, share))
            left -= share
    if left > 0:
        raise InsufficientFunds(amount, amount - left, charge)
    return taken


def _is_meant(pool: CreditPool, request: Correct, item: Slice) -> bool:
    if request.run is not None and item.run != request.run:
        return False
    if request.allocation is None:
        return True
    return allocation_id(pool.currency, item.charge, item.allocation) == request.allocation


# ── what a share of a slice consists of ──────────────────────────────────────────────────────────────────────


class Part(NamedTuple):
    """A share of a slice in one state: which cover, which recognition, how much."""

    item: Slice
    cover: Cover | None
    recognition: Recognition | None
    amount: Decimal
    written_off: bool = False

    @property
    def state(self) -> SegmentState:
        """What the part is, apart from recognition."""
        if self.item.lot is not None:
            return SegmentState.REAL_CREDIT
        if self.written_off:
            return SegmentState.ADVANCE_WRITTEN_OFF
        return SegmentState.ADVANCE_BACKFILLED if self.cover else SegmentState.ADVANCE_UNCOVERED


def _parts_of(item: Slice, share: Decimal) -> Iterator[Part]:
    """The share of a slice split by state: recognised, backfilled, uncovered, real credit; newest first in each."""
    for part in _states_of(item):
        if share <= 0:
            return
        taken = min(share, part.amount)
        if taken > 0:
            yield part._replace(amount=taken)
            share -= taken
    assert share == 0, f"slice {item.sequence} has {share} less than its states add up to"


def _states_of(item: Slice) -> Iterator[Part]:
    covers = tuple(reversed(item.covers))
    for recognition in reversed(item.recognitions):
        yield Part(item, None, recognition, recognition.amount)
    for cover in covers:
        for recognition in reversed(cover.recognitions):
            yield Part(item, cover, recognition, recognition.amount)
    for cover in covers:
        yield Part(item, cover, None, cover.amount - total_of(cover.recognitions))
    yield Part(item, None, None, item.uncovered if item.lot is None else item.remaining - total_of(item.recognitions))
    yield Part(item, None, None, item.written_off, written_off=True)


# ── undoing ──────────────────────────────────────────────────────────────────────────────────────────────────


class _Undoing:
    """The postings and parts of one correction, collected part by part."""

    def __init__(self, pool: CreditPool, known: CreditPool, request: Correct) -> None:
        self.pool = pool
        self.known = known
        self.unsealed = {item.sequence for item in pool.slices_of(request.charge)}
        self.request = request
        self.at = when(request.booked_at, request)
        self.postings = Postings()
        self.parts: list[ReturnedPart] = []
        self.restored: dict[tuple[int, Instant], RestoredLot] = {}
        # Real credit of one allocation goes back in one transaction: (allocation, time) to slices and amounts.
        self.real: dict[tuple[int, When], dict[int, tuple[Slice, Lot, Decimal]]] = {}

    def undo(self, part: Part) -> None:
        item, cover = part.item, part.cover
        undone = [When(item.accrued_from, item.accounted_at)]
        undone += [When(cover.accrued_from, cover.accounted_at)] if cover else []
        undone += [part.recognition.when] if part.recognition else []
        at = not_before(self.at, *undone)
        lot = self._lot_of(part)
        if part.recognition is not None and lot is not None:
            self.postings.add(
                templates.unrecognize(
                    templates.accrued(lot.route, item.tax),
                    part.amount,
                    at,
                    source=lot.source,
                    spend=item.charge,
                    undoing=part.recognition.entry,
                )
            )
        returned_to: Lot | None = None
        if lot is not None:
            returned_to = self._where(lot, at.booked_at, sealed=item.sequence not in self.unsealed)
        if item.lot is None:
            self._undo_advance(part, lot, returned_to, at)
        else:
            assert returned_to is not None, "real credit comes from a lot"
            slices = self.real.setdefault((item.allocation, at), {})
            before = slices[item.sequence][2] if item.sequence in slices else ZERO
            slices[item.sequence] = (item, returned_to, before + part.amount)
        self._note(part, returned_to, at.booked_at)

    def _lot_of(self, part: Part) -> Lot | None:
        if part.item.lot is not None:
            return self.known.lots[part.item.lot]
        return self.known.lots[part.cover.lot] if part.cover else None

    def _undo_advance(self, part: Part, lot: Lot | None, returned_to: Lot | None, at: When) -> None:
        """Undo attribution and advance; what a purchase had covered is issued again on the purchase's own route."""
        item, cover, amount, spend = part.item, part.cover, part.amount, part.item.charge
        advance_route = templates.advance(self.pool.currency, item.features)
        if part.written_off:
            self.postings.add(templates.write_off(advance_route, amount, at, spend=spend, undone=True))
        if cover is not None and lot is not None:
            self.postings.add(
                templates.translate(
                    lot.route, amount, item.tax, at, source=lot.source, spend=spend, undoing=_after(cover.entry, 2)
                )
            )
            self.postings.add(
                templates.attribute(
                    advance_route, lot.route, amount, at, source=lot.source, spend=spend, undoing=cover.entry
                )
            )
        self.postings.add(
            templates.collect_advance(advance_route, amount, spend, item.tax, at, undoing=_after(item.entry, 2))
        )
        self.postings.add(templates.issue(advance_route, amount, at, spend=spend, undoing=item.entry))
        if returned_to is not None:
            reissued = at.at(max(at.booked_at, returned_to.effective_at))
            self.postings.add(
                templates.issue(returned_to.route, amount, reissued, source=returned_to.source, spend=spend)
            )
            post_reopen(self.postings, returned_to, amount, reissued, spend)

    def post_real_credit(self) -> None:
        """One transaction per allocation and time, and a reopen for each slice of a lot that expires."""
        for (_, at), slices in self.real.items():
            legs = [
                CollectLeg(lot.route, lot.source, amount, None, item.entry) for item, lot, amount in slices.values()
            ]
            first = next(iter(slices.values()))[0]
            self.postings.add(templates.collect(legs, first.charge, first.tax, at, undone=True))
            for item, lot, amount in slices.values():
                post_reopen(self.postings, lot, amount, at, item.charge)

    def _where(self, lot: Lot, at: Instant, *, sealed: bool) -> Lot:
        """The lot credit goes back to: its own; a new one when that has expired and grace is given, or was sealed."""
        request = self.request
        expires_at = lot.expires_at
        returned = at if request.now is None else max(at, request.now)
        if expires_at is not None and expires_at <= returned:
            lives_until = request.restored_credit_grace.after(returned, request.zone)
            expires_at = lives_until if lives_until > returned else expires_at
        if expires_at == lot.expires_at and not sealed:
            return lot
        restored = self.restored.get((lot.sequence, at))
        if restored is None:
            restored = self.restored[lot.sequence, at] = RestoredLot(
                sequence=self.pool.next_lot + len(self.restored),
                source=lot.source,
                route=lot.route,
                effective_at=max(at, lot.effective_at),
                expires_at=expires_at,
            )
        return Lot(
            sequence=restored.sequence,
            source=restored.source,
            route=restored.route,
            effective_at=restored.effective_at,
            expires_at=restored.expires_at,
        )

    def _note(self, part: Part, lot: Lot | None, booked_at: Instant) -> None:
        lot_at = None if lot is None else max(booked_at, lot.effective_at)
        self.parts.append(
            ReturnedPart(
                slice=part.item.sequence,
                allocation=allocation_id(self.pool.currency, part.item.charge, part.item.allocation),
                state=part.state,
                recognized=part.recognition is not None,
                amount=part.amount,
                booked_at=booked_at,
                backfill=part.cover.lot if part.cover else None,
                attribution=attribution_of(part.item, part.cover) if part.cover else None,
                lot=lot.sequence if lot else None,
                lot_at=lot_at,
                reopened_at=None if lot is None or lot_at is None else expiry_entry_at(lot.expires_at, lot_at),
            )
        )


def _after(entry: EntryRef, further: int) -> EntryRef:
    return EntryRef(entry.version, entry.ordinal + further)


def corrections(event: CreditReturned) -> list[tuple[UUID, Decimal]]:
    """What each allocation gave back, as negative amounts, in the order in which they were corrected."""
    sums: dict[UUID, Decimal] = {}
    for part in event.parts:
        sums[part.allocation] = sums.get(part.allocation, ZERO) - part.amount
    return list(sums.items())
