"""When accrued value becomes revenue, and when that is taken back (ledger §6.6).

Selection is by provenance, never by walking balances: credit of known cost basis (spent, or backfilled), and, as a
kind of its own, invoice-backed value. Uncovered advance is never recognised. With nothing newly eligible nothing is
booked, so recognising twice is recognising once.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aggregates.credits.events import EarningsRecognized, RecognitionKind, RecognitionReversed, RecognizedPart
from aggregates.credits.pool import Accrual, Cover, CreditPool, Recognition, Slice
from aggregates.credits.posting import Postings, when
from aggregates.credits.requests import Recognize, ReverseRecognition
from aggregates.credits.slices import total_of
from aggregates.journal import templates
from aggregates.journal.chart import Account, Route
from aggregates.journal.postings import EntryRef
from aggregates.journal.refusals import CorrectionExceedsAvailable
from aggregates.journal.templates import Leg
from aggregates.values.decimals import ZERO, exact
from aggregates.values.period import Instant


class Eligible(NamedTuple):
    """Value that may be recognised: which slice and cover, or which accrual, and where it lies."""

    item: Slice | None
    cover: Cover | None
    accrual: Accrual | None
    route: Route
    source: UUID | None
    spend: UUID | None
    amount: Decimal


@exact
def recognize(pool: CreditPool, request: Recognize) -> EarningsRecognized | None:
    """Recognise everything eligible of a kind, or the oldest `amount` of it; None when nothing is (ledger §6.6).

    Value booked after the recognition waits for the next one. Per (route, source, spend): accrued -x, earnings +x.
    """
    limit = None if request.amount is None else pool.currency.rounded(request.amount)
    chosen = list(_limited(eligible(pool, request.kind, request.booked_at, request.charge), limit))
    if not chosen:
        return None

    # Parts of one route, source and spend share their entries.
    legs: dict[tuple[Route, UUID | None, UUID | None], Leg] = {}
    for value in chosen:
        key = (value.route, value.source, value.spend)
        before = legs[key].amount if key in legs else ZERO
        legs[key] = Leg(Account.ACCRUED, value.route, before + value.amount, value.source, value.spend)
    ordinals = {key: 2 * index for index, key in enumerate(legs)}
    postings = Postings()
    first = postings.add(templates.recognize(legs.values(), when(request.booked_at, request.accounting_date)))
    return EarningsRecognized(
        currency=pool.currency,
        kind=request.kind,
        amount=sum((value.amount for value in chosen), ZERO),
        booked_at=request.booked_at,
        parts=tuple(
            RecognizedPart(
                slice=value.item.sequence if value.item else None,
                backfill=value.cover.lot if value.cover else None,
                accrual=value.accrual.sequence if value.accrual else None,
                charge=value.spend,
                amount=value.amount,
                booked_at=request.booked_at,
                entry=first + ordinals[value.route, value.source, value.spend],
            )
            for value in chosen
        ),
        transactions=postings.all(),
    )


def eligible(pool: CreditPool, kind: RecognitionKind, at: Instant, charge: UUID | None = None) -> Iterator[Eligible]:
    """What may be recognised at a time, oldest first."""
    return _invoiced(pool, at, charge) if kind is RecognitionKind.INVOICED else _credit(pool, at, charge)


def _credit(pool: CreditPool, at: Instant, charge: UUID | None) -> Iterator[Eligible]:
    waiting = [
        pool.charges[key].slices[sequence]
        for key in pool.unrecognized
        if charge in (None, key)
        for sequence in pool.charges[key].unrecognized
    ]
    for item in sorted(waiting, key=lambda item: item.sequence):
        parts: list[tuple[Cover | None, int, Decimal]] = []
        if item.lot is not None:
            if item.accrued_from <= at:
                parts.append((None, item.lot, item.remaining - total_of(item.recognitions)))
        else:
            parts += [
                (cover, cover.lot, cover.amount - total_of(cover.recognitions))
                for cover in item.covers
                if cover.accrued_from <= at
            ]
        for cover, sequence, amount in parts:
            if amount > 0:
                lot = pool.lots[sequence]
                yield Eligible(
                    item, cover, None, templates.accrued(lot.route, item.tax), lot.source, item.charge, amount
                )


def _invoiced(pool: CreditPool, at: Instant, charge: UUID | None) -> Iterator[Eligible]:
    for accrual in pool.accruals.values():
        if accrual.accrued_from <= at and charge in (None, accrual.charge) and accrual.unrecognized > 0:
            yield Eligible(None, None, accrual, accrual.route, None, accrual.charge, accrual.unrecognized)


def _limited(values: Iterator[Eligible], limit: Decimal | None) -> Iterator[Eligible]:
    for value in values:
        if limit is None:
            yield value
        elif limit > 0:
            yield value._replace(amount=min(value.amount, limit))
            limit -= min(value.amount, limit)


# ── taking it back ───────────────────────────────────────────────────────────────────────────────────────────


class Recognized(NamedTuple):
    """A recognition that still stands, and what it belongs to."""

    entry: EntryRef
    part: RecognizedPart
    route: Route
    source: UUID | None
    at: Instant


@exact
def reverse_recognition(pool: CreditPool, request: ReverseRecognition) -> RecognitionReversed | None:
    """Turn revenue back into accrued value, newest recognition first; None for a zero amount.

    Raises `CorrectionExceedsAvailable`. Recognised 30 of cost basis 1, then 20 of cost basis 2; reverse 25: 20 of
    the second, 5 of the first.
    """
    amount = pool.currency.rounded(request.amount)
    if amount <= 0:
        return None
    standing = sorted(_standing(pool, request), key=lambda value: value.entry, reverse=True)
    available = sum((value.part.amount for value in standing), ZERO)
    if amount > available:
        raise CorrectionExceedsAvailable(detail=f"cannot reverse {amount}: only {available} is recognised")

    at = when(request.booked_at, request.accounting_date)
    postings = Postings()
    parts: list[RecognizedPart] = []
    for value in standing:
        taken = min(amount, value.part.amount)
        if taken <= 0:
            break
        booked = at.at(max(at.booked_at, value.at))
        entry = postings.add(
            templates.unrecognize(
                value.route,
                taken,
                booked,
                source=value.source,
                spend=value.part.charge,
                undoing=value.entry,
            )
        )
        part = value.part
        parts.append(
            RecognizedPart(
                slice=part.slice,
                backfill=part.backfill,
                accrual=part.accrual,
                charge=part.charge,
                amount=taken,
                booked_at=booked.booked_at,
                entry=entry,
            )
        )
        amount -= taken
    return RecognitionReversed(
        currency=pool.currency,
        amount=sum((part.amount for part in parts), ZERO),
        booked_at=request.booked_at,
        parts=tuple(parts),
        transactions=postings.all(),
    )


def _standing(pool: CreditPool, request: ReverseRecognition) -> Iterator[Recognized]:
    if request.kind is not RecognitionKind.CREDIT:
        for accrual in pool.accruals.values():
            if request.charge in (None, accrual.charge):
                for recognition in accrual.recognitions:
                    part = _part(recognition, accrual.charge, accrual=accrual.sequence)
                    yield Recognized(recognition.entry, part, accrual.route, None, recognition.at)
    if request.kind is not RecognitionKind.INVOICED:
        for realized in pool.charges.values():
            for item in realized.slices.values():
                if request.charge in (None, item.charge):
                    yield from _standing_in(pool, item)


def _standing_in(pool: CreditPool, item: Slice) -> Iterator[Recognized]:
    of_lots = [(item.lot, None, item.recognitions)] if item.lot is not None else []
    for lot_sequence, backfill, recognitions in [*of_lots, *((c.lot, c.lot, c.recognitions) for c in item.covers)]:
        lot = pool.lots[lot_sequence]
        for recognition in recognitions:
            yield Recognized(
                recognition.entry,
                _part(recognition, item.charge, slice_=item.sequence, backfill=backfill),
                templates.accrued(lot.route, item.tax),
                lot.source,
                recognition.at,
            )


def _part(
    recognition: Recognition,
    charge: UUID | None,
    *,
    slice_: int | None = None,
    backfill: int | None = None,
    accrual: int | None = None,
) -> RecognizedPart:
    return RecognizedPart(
        slice=slice_,
        backfill=backfill,
        accrual=accrual,
        charge=charge,
        amount=recognition.amount,
        booked_at=recognition.at,
        entry=recognition.entry.ordinal,
    )
