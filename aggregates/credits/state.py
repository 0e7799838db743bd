"""How events change the pool: `evolve` for one, `fold` for many. Nothing here refuses, nothing computes policy.

`evolve` copies only what the event touches, so deciding stays cheap however many slices are unsealed. `fold` takes
one private copy and applies event after event to it: the same meaning, and what loading uses (ledger §11).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TypeVar, assert_never
from uuid import UUID

import msgspec

from aggregates.credits import events as e
from aggregates.credits.pool import (
    NO_CHARGE,
    Accrual,
    Cover,
    CreditPool,
    Lot,
    Move,
    Purchase,
    Realized,
    Recognition,
    Slice,
    Unapplied,
)
from aggregates.credits.slices import accrued_again, shorter, total_of, with_recognition, without, without_recognition
from aggregates.event import Recorded
from aggregates.journal.postings import EntryRef
from aggregates.values.decimals import ZERO, exact
from aggregates.values.period import Instant

__all__ = ["CreditPool", "evolve", "fold", "unsealed"]

K = TypeVar("K")

_replace = msgspec.structs.replace


@exact
def evolve(state: CreditPool | None, record: Recorded[e.CreditPoolEvent]) -> CreditPool:
    """The pool after one more event; the pool before it is not touched."""
    hand = _Hand(state if state is not None else CreditPool.empty(record.body.currency))
    hand.apply(record)
    return hand.pool


@exact
def fold(state: CreditPool | None, records: Iterable[Recorded[e.CreditPoolEvent]]) -> CreditPool | None:
    """The pool after all these events, oldest first. Equal to repeated `evolve`, and much quicker."""
    hand = _Hand(state) if state is not None else None
    for record in records:
        if hand is None:
            hand = _Hand(CreditPool.empty(record.body.currency))
        hand.apply(record)
    return hand.pool if hand else None


def unsealed(records: Iterable[Recorded[e.CreditPoolEvent]], state: CreditPool | None = None) -> CreditPool | None:
    """The pool with every slice there ever was: for corrections that name sealed ones (decision 40).

    From all its records, or from such a state and the records since. What was brought back never left it.
    """
    apart = e.SlicesSealed | e.PurchaseBroughtBack | e.AccrualBroughtBack
    kept = (r for r in records if not isinstance(r.body, apart))
    return fold(state, kept)


class _Hand:
    """A pool being changed: a copy of its tables, and of every lot and charge the first time it is touched."""

    def __init__(self, pool: CreditPool) -> None:
        self.pool = CreditPool(
            currency=pool.currency,
            version=pool.version,
            lots=pool.lots.copy(),
            charges=pool.charges.copy(),
            unrecognized=pool.unrecognized.copy(),
            uncovered=pool.uncovered.copy(),
            final=pool.final.copy(),
            purchases=pool.purchases.copy(),
            accruals=pool.accruals.copy(),
            unapplied=pool.unapplied.copy(),
            next_lot=pool.next_lot,
            next_slice=pool.next_slice,
            next_accrual=pool.next_accrual,
        )
        self.own_lots: set[int] = set()
        self.own_charges: set[UUID] = set()

    def apply(self, record: Recorded[e.CreditPoolEvent]) -> None:  # noqa: C901, PLR0912 - one line per event
        self.pool.version = version = record.version
        match record.body:
            case e.CreditCollected() as body:
                self._collected(body, version)
            case e.CreditGranted() as body:
                self._granted(body, version)
            case e.CreditReturned() as body:
                self._returned(body)
            case e.EarningsRecognized() as body:
                self._recognized(body, version)
            case e.RecognitionReversed() as body:
                self._unrecognized(body)
            case e.PurchasePaymentAuthorized() as body:
                self._purchase_authorized(body)
            case e.PurchasePaymentSettled() as body:
                self._purchase_settled(body)
            case e.PurchasePaymentReversed() as body:
                self._on_purchase(body.purchase, fiat_settled=-body.fiat_amount, fiat_authorized=-body.fiat_amount)
            case e.PurchasePaymentFailed() as body:
                self._payment_failed(body, version)
            case e.PurchaseWrittenOff() as body:
                self._purchase_written_off(body)
            case e.PurchaseRefunded() as body:
                self._repriced(body, gone=body.fiat_amount, promised=body.authorization_reduced)
            case e.PurchaseCredited() as body:
                self._repriced(body, gone=body.freed, promised=body.released)
            case e.InvoiceUsageAccrued() as body:
                self._accrued(body)
            case e.InvoicePaymentAuthorized() as body:
                for part in body.parts:
                    self._on_accrual(part.accrual, authorized=part.amount)
            case e.InvoicePaymentSettled() as body:
                for part in body.parts:
                    self._on_accrual(part.accrual, settled=part.amount, authorized=part.authorized)
                    if part.accrual is None:
                        self._unapplied(body.invoice, part.amount, part.amount)
            case e.InvoiceUsageCredited() as body:
                self._credited(body)
            case e.UnappliedCreditArisen() as body:
                self._unapplied(body.invoice, body.amount, body.net)
            case e.UnappliedCreditSpent() as body:
                for part in body.parts:
                    self._on_accrual(part.accrual, settled=part.amount, authorized=part.amount)
                self._unapplied(body.invoice, -body.amount, -body.net)
            case e.ReceivableWrittenOff() as body:
                for part in body.parts:
                    self._on_accrual(part.accrual, written_off=part.amount)
            case e.AdvanceWrittenOff() as body:
                for off in body.parts:
                    held = self.charge(off.charge).slices[off.slice]
                    self.put(_replace(held, written_off=held.written_off + off.amount))
            case e.AdvanceCovered() as body:
                for cover in body.parts:
                    self._covered(body.lot, cover, version)
            case e.CreditVoided() as body:
                self._voided(body, version)
            case e.GrantCancelled() as body:
                self._cancelled(body)
            case e.SlicesSealed() as body:
                self._sealed(body)
            case e.PurchaseBroughtBack() as body:
                self._brought_back(body)
            case e.AccrualBroughtBack() as body:
                self._accrual_brought_back(body)
            case _ as unreachable:
                assert_never(unreachable)

    # ── what may be changed ──────────────────────────────────────────────────────────────────────────────────

    def lot(self, sequence: int) -> Lot:
        lot = self.pool.lots[sequence]
        if sequence not in self.own_lots:
            lot = self.pool.lots[sequence] = _replace(lot, moves=lot.moves.copy())
            self.own_lots.add(sequence)
        return lot

    def charge(self, charge: UUID | None) -> Realized:
        key = charge or NO_CHARGE
        held = self.pool.charges.get(key)
        if held is None:
            held = self.pool.charges[key] = Realized(slices={}, unrecognized=set(), uncovered=set())
        elif key not in self.own_charges:
            held = self.pool.charges[key] = Realized(
                slices=held.slices.copy(), unrecognized=held.unrecognized.copy(), uncovered=held.uncovered.copy()
            )
        self.own_charges.add(key)
        return held

    def put(self, item: Slice) -> None:
        """Keep a slice, and the marks of what is still to be recognised or covered of it."""
        key = item.charge or NO_CHARGE
        held = self.charge(key)
        held.slices[item.sequence] = item
        _mark(held.unrecognized, item.sequence, present=self._recognizable(item))
        _mark(held.uncovered, item.sequence, present=item.lot is None and item.uncovered > 0)
        _mark(self.pool.unrecognized, key, present=bool(held.unrecognized))
        _mark(self.pool.uncovered, key, present=bool(held.uncovered))

    def _recognizable(self, item: Slice) -> bool:
        if item.lot is not None:
            lot = self.pool.lots[item.lot]
            return lot.route.cost_basis is not None and item.remaining > total_of(item.recognitions)
        return any(cover.amount > total_of(cover.recognitions) for cover in item.covers)

    def purchase(self, purchase: UUID) -> Purchase:
        return self.pool.purchases.get(purchase) or Purchase()

    # ── one method per event ─────────────────────────────────────────────────────────────────────────────────

    def _granted(self, body: e.CreditGranted, version: int) -> None:
        lot = Lot(
            sequence=body.lot,
            source=body.purchase,
            route=body.route,
            effective_at=body.effective_at,
            expires_at=body.expires_at,
            moves=[],
        )
        self._open(lot)
        issued = body.amount
        for part in body.backfill:
            if not part.through_balance:
                issued -= part.amount
        if issued:
            lot.move(body.effective_at, issued)
        for part in body.backfill:
            self._covered(body.lot, part, version)
        if body.purchase is not None:
            known = self.purchase(body.purchase)
            self.pool.purchases[body.purchase] = _replace(
                known,
                settlement=body.settlement,
                route=body.route,
                lots=(*known.lots, body.lot),
                granted=known.granted + body.amount,
            )

    def _covered(self, lot: int, part: e.BackfillElement, version: int) -> None:
        """A part of an advance slice is covered by a lot."""
        if part.through_balance:
            self.lot(lot).move(part.booked_at, -part.amount)
        held = self.charge(part.charge).slices[part.slice]
        cover = Cover(
            lot=lot,
            amount=part.amount,
            booked_at=part.booked_at,
            accrued_from=part.booked_at,
            accounted_at=part.accounting_date or part.booked_at,
            entry=EntryRef(version, part.entry),
        )
        self.put(_replace(held, covers=(*held.covers, cover)))

    def _open(self, lot: Lot) -> None:
        self.pool.lots[lot.sequence] = lot
        self.own_lots.add(lot.sequence)
        self.pool.next_lot = max(self.pool.next_lot, lot.sequence + 1)

    def _collected(self, body: e.CreditCollected, version: int) -> None:
        self.pool.final.discard(body.charge or NO_CHARGE)
        accounted_at = body.transactions[0].accounting_date
        for taken in body.slices:
            sequence = taken.sequence
            if taken.lot is not None:
                self.lot(taken.lot).move(body.booked_at, -taken.amount)
            self.put(
                Slice(
                    sequence=sequence,
                    allocation=taken.allocation,
                    charge=body.charge,
                    run=body.run,
                    lot=taken.lot,
                    remaining=taken.amount,
                    booked_at=body.booked_at,
                    accrued_from=body.booked_at,
                    accounted_at=accounted_at,
                    features=body.features if taken.lot is None else (),
                    tax=body.tax,
                    entry=EntryRef(version, taken.entry),
                )
            )
            self.pool.next_slice = max(self.pool.next_slice, sequence + 1)

    def _returned(self, body: e.CreditReturned) -> None:
        for restored in body.restored_lots:
            lot = Lot(
                sequence=restored.sequence,
                source=restored.source,
                route=restored.route,
                effective_at=restored.effective_at,
                expires_at=restored.expires_at,
                moves=[],
                returned=True,
            )
            self._open(lot)
            if restored.source is not None:
                known = self.purchase(restored.source)
                self.pool.purchases[restored.source] = _replace(known, lots=(*known.lots, restored.sequence))
        for part in body.parts:
            if part.lot is not None and part.lot_at is not None:
                self.lot(part.lot).move(part.lot_at, part.amount)
            held = self.charge(body.charge).slices.get(part.slice)
            if held is not None:  # a sealed slice was read back from the stream
                self.put(without(held, part))

    def _recognized(self, body: e.EarningsRecognized, version: int) -> None:
        accruals: dict[int, list[Recognition]] = {}
        for part in body.parts:
            accounted_at = part.accounting_date or part.booked_at
            recognition = Recognition(part.amount, part.booked_at, EntryRef(version, part.entry), accounted_at)
            if part.accrual is not None:
                accruals.setdefault(part.accrual, []).append(recognition)
            elif part.slice is not None:
                held = self.charge(part.charge).slices[part.slice]
                self.put(with_recognition(held, part, recognition))

        for sequence, recognitions in accruals.items():
            accrual = self.pool.accruals[sequence]
            self.pool.accruals[sequence] = _replace(accrual, recognitions=(*accrual.recognitions, *recognitions))

    def _unrecognized(self, body: e.RecognitionReversed) -> None:
        for part in body.parts:
            if part.accrual is not None:
                undone = self.pool.accruals[part.accrual].recognitions[-1]
                self._unrecognize_accrual(part.accrual, part.amount)
                if undone.at < part.booked_at:  # it was revenue in between, not only to become it
                    self._accrued_again(part)
            elif part.slice is not None:
                held = self.charge(part.charge).slices[part.slice]
                self.put(accrued_again(without_recognition(held, part), part))

    def _accrued_again(self, part: e.RecognizedPart) -> None:
        if part.accrual is not None:
            accrual = self.pool.accruals[part.accrual]
            self.pool.accruals[part.accrual] = _replace(
                accrual,
                accrued_from=max(accrual.accrued_from, part.booked_at),
                accounted_at=max(accrual.accounted_at, part.accounting_date or part.booked_at),
            )

    def _purchase_authorized(self, body: e.PurchasePaymentAuthorized) -> None:
        known = self.purchase(body.purchase)
        self.pool.purchases[body.purchase] = _replace(
            known,
            credit_authorized=known.credit_authorized + body.credit_amount,
            fiat_agreed=known.fiat_agreed + (body.fiat_amount if body.credit_amount else ZERO),
            fiat_authorized=known.fiat_authorized + body.fiat_amount,
            fiat_currency=body.fiat_currency,
            written_off=known.written_off - body.reinstated,
            route=known.route or body.route,
        )

    def _purchase_settled(self, body: e.PurchasePaymentSettled) -> None:
        known = self.purchase(body.purchase)
        self.pool.purchases[body.purchase] = _replace(
            known,
            fiat_currency=body.fiat_currency,
            written_off=known.written_off - body.reinstated,
            route=known.route or body.route,
        )
        self._on_purchase(
            body.purchase,
            credit_authorized=body.exchanged,
            fiat_agreed=body.agreed,
            fiat_authorized=body.authorized,
            fiat_settled=body.fiat_amount,
        )

    def _purchase_written_off(self, body: e.PurchaseWrittenOff) -> None:
        known = self.purchase(body.purchase)
        self.pool.purchases[body.purchase] = _replace(
            known,
            written_off=known.written_off + body.fiat_amount,
            credit_authorized=known.credit_authorized + body.exchanged,
            fiat_agreed=known.fiat_agreed + body.agreed,
            fiat_currency=body.fiat_currency,
        )

    def _repriced(self, body: e.PurchaseRefunded | e.PurchaseCredited, *, gone: Decimal, promised: Decimal) -> None:
        """Money that the purchase has no longer, a promise that shrinks, and the price of voided credit undone."""
        self._on_purchase(
            body.purchase,
            adjusted=body.adjusted,
            fiat_adjusted=body.adjusted_fiat,
            fiat_refunded=gone,
            fiat_authorized=-promised,
        )

    def _payment_failed(self, body: e.PurchasePaymentFailed, version: int) -> None:
        self._taken_back(body.parts, body.booked_at)
        known = self.purchase(body.purchase)
        self.pool.purchases[body.purchase] = _replace(
            known,
            voided=known.voided + body.amount,
            voided_by=known.voided_by or (version if body.parts else None),
            fiat_currency=body.fiat_currency,
            fiat_settled=known.fiat_settled - body.reversed,
            fiat_authorized=known.fiat_authorized - body.reversed - body.released,
            adjusted=known.adjusted + body.adjusted,
            fiat_adjusted=known.fiat_adjusted + body.adjusted_fiat,
            credit_authorized=known.credit_authorized + body.exchanged,
            fiat_agreed=known.fiat_agreed + body.agreed,
        )

    def _taken_back(self, parts: Iterable[e.VoidedPart], booked_at: Instant) -> None:
        for part in parts:
            self.lot(part.lot).move(part.booked_at or booked_at, -part.amount)

    def _on_purchase(self, purchase: UUID, **added: Decimal) -> None:
        known = self.purchase(purchase)
        sums = {name: getattr(known, name) + amount for name, amount in added.items()}
        self.pool.purchases[purchase] = _replace(known, **sums)

    def _accrued(self, body: e.InvoiceUsageAccrued) -> None:
        self.pool.accruals[body.accrual] = Accrual(
            sequence=body.accrual,
            charge=body.charge,
            run=body.run,
            line=body.line,
            invoice=body.invoice,
            route=body.route,
            service_period=body.service_period,
            booked_at=body.booked_at,
            accrued_from=body.booked_at,
            accounted_at=body.transactions[0].accounting_date,
            amount=body.amount,
        )
        self.pool.next_accrual = max(self.pool.next_accrual, body.accrual + 1)

    def _on_accrual(self, sequence: int | None, **added: Decimal) -> None:
        if sequence is not None:
            accrual = self.pool.accruals[sequence]
            sums = {name: getattr(accrual, name) + amount for name, amount in added.items()}
            self.pool.accruals[sequence] = _replace(accrual, **sums)

    def _credited(self, body: e.InvoiceUsageCredited) -> None:
        for part in body.parts:
            self._on_accrual(part.accrual, credited=part.amount, authorized=part.authorized)
            self._unrecognize_accrual(part.accrual, part.unrecognized)
        self._unapplied(body.invoice, body.freed, body.freed_net)

    def _unapplied(self, invoice: UUID | None, amount: Decimal, net: Decimal) -> None:
        """Unapplied credit of an invoice grows, or shrinks; one that has none left is forgotten."""
        if invoice is None:
            return
        before = self.pool.unapplied.pop(invoice, Unapplied())
        if before.amount + amount:
            self.pool.unapplied[invoice] = Unapplied(before.amount + amount, before.net + net)

    def _unrecognize_accrual(self, sequence: int | None, amount: Decimal) -> None:
        if sequence is not None and amount:
            accrual = self.pool.accruals[sequence]
            self.pool.accruals[sequence] = _replace(accrual, recognitions=shorter(accrual.recognitions, amount))

    def _voided(self, body: e.CreditVoided, version: int) -> None:
        self._taken_back(body.parts, body.booked_at)
        known = self.purchase(body.purchase)
        self.pool.purchases[body.purchase] = _replace(
            known,
            voided=known.voided + body.amount,
            voided_by=known.voided_by or version,
            fiat_refunded=known.fiat_refunded + body.refunded,
            fiat_authorized=known.fiat_authorized - body.authorization_reduced,
            adjusted=known.adjusted + body.adjusted,
            fiat_adjusted=known.fiat_adjusted + body.adjusted_fiat,
        )

    def _cancelled(self, body: e.GrantCancelled) -> None:
        if body.lot is not None:
            lot = self.lot(body.lot)
            lot.move(lot.effective_at, -body.amount)
        known = self.purchase(body.purchase)
        self.pool.purchases[body.purchase] = _replace(
            known, cancelled=True, voided=known.voided + body.amount, adjusted=known.adjusted + body.amount
        )

    def _brought_back(self, body: e.PurchaseBroughtBack) -> None:
        totals = {name: getattr(body, name) for name in Purchase.__struct_fields__}
        self.pool.purchases[body.purchase] = Purchase(**totals)

    def _accrual_brought_back(self, body: e.AccrualBroughtBack) -> None:
        self.pool.accruals[body.accrual] = Accrual(
            sequence=body.accrual,
            charge=body.charge,
            run=body.run,
            line=body.line,
            invoice=body.invoice,
            route=body.route,
            service_period=body.service_period,
            booked_at=body.booked_at,
            accrued_from=body.accrued_from,
            accounted_at=body.accounted_at,
            amount=body.amount,
            authorized=body.authorized,
            settled=body.settled,
            credited=body.credited,
            written_off=body.written_off,
            recognitions=tuple(
                Recognition(part.amount, part.at, part.entry, part.accounted_at) for part in body.recognitions
            ),
        )

    # ── sealing ──────────────────────────────────────────────────────────────────────────────────────────────

    def _sealed(self, body: e.SlicesSealed) -> None:
        """Drop the slices, the charges left without any, the lots nothing can happen to, and what moves they needed."""
        gone = set(body.slices)
        for key in list(self.pool.charges):
            if gone.isdisjoint(self.pool.charges[key].slices):
                continue
            held = self.charge(key)
            for sequence in gone.intersection(held.slices):
                del held.slices[sequence]
            held.unrecognized -= gone
            held.uncovered -= gone
            _mark(self.pool.unrecognized, key, present=bool(held.unrecognized))
            _mark(self.pool.uncovered, key, present=bool(held.uncovered))
            if not held.slices:
                del self.pool.charges[key]
        self.pool.final |= set(body.final)
        self.pool.final &= self.pool.charges.keys()
        for accrual in body.accruals:
            del self.pool.accruals[accrual]
        for sequence in body.lots:
            lot = self.pool.lots.pop(sequence)
            if lot.source is not None:
                known = self.purchase(lot.source)
                self.pool.purchases[lot.source] = _replace(known, expired=known.expired + lot.balance)
        for purchase in body.purchases:
            del self.pool.purchases[purchase]
        earliest = self._earliest_returns()
        for sequence, lot in list(self.pool.lots.items()):
            if sequence not in earliest and not lot.balance:
                del self.pool.lots[sequence]
            else:
                self.lot(sequence).moves = compressed(lot.moves, earliest.get(sequence))

    def _earliest_returns(self) -> dict[int, Instant]:
        """Per lot, the earliest booked time at which a correction may still give credit back to it."""
        earliest: dict[int, Instant] = {}
        for held in self.pool.charges.values():
            for item in held.slices.values():
                for sequence in [item.lot] if item.lot is not None else [cover.lot for cover in item.covers]:
                    at = earliest.get(sequence)
                    earliest[sequence] = item.booked_at if at is None else min(at, item.booked_at)
        return earliest


def compressed(moves: list[Move], until: Instant | None) -> list[Move]:
    """Fewer moves that leave `Lot.spendable` the same at every time, given that credit comes back at `until` or later.

    Before `until` only debits can still be added, so what matters of a falling stretch is its end: a debit that
    directly follows another move may as well be booked with it. +100 in January, -10 on 1 and -20 on 2 February
    become +70 in January: no credit of the three could ever be spent before February and not after.
    """
    kept: list[Move] = []
    for move in moves:
        if kept and move.amount <= 0 and (until is None or move.at < until):
            kept[-1] = Move(kept[-1].at, kept[-1].amount + move.amount)
        else:
            kept.append(move)
    return kept


def _mark(marks: set[K], key: K, *, present: bool) -> None:
    if present:
        marks.add(key)
    else:
        marks.discard(key)
