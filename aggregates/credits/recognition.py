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
from aggregates.credits.posting import Postings, not_before, opened, when
from aggregates.credits.requests import Recognize, ReverseRecognition
from aggregates.credits.slices import attribution_of, total_of
from aggregates.journal import templates
from aggregates.journal.chart import Account, Route
from aggregates.journal.postings import EntryRef
from aggregates.journal.refusals import CorrectionExceedsAvailable
from aggregates.journal.templates import Leg, When
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
    accounted_at: Instant

    @property
    def key(self) -> tuple[Route, UUID | None, UUID | None]:
        """What values share an entry by."""
        return (self.route, self.source, self.spend)


@exact
def recognize(pool: CreditPool, request: Recognize) -> EarningsRecognized | None:
    """Recognise everything eligible of a kind, or the oldest `amount` of it; None when nothing is (ledger §6.6).

    Value booked after the recognition waits for the next one. Per (route, source, spend): accrued -x, earnings +x.
    Revenue counts in the period of the value it comes from (decision 35): usage of January that is recognised on 3
    February is revenue of January, unless January is closed.
    """
    request = opened(request)
    limit = None if request.amount is None else pool.currency.rounded(request.amount)
    chosen = list(_limited(eligible(pool, request.kind, request.booked_at, request.charge), limit))
    if not chosen:
        return None

    postings = Postings()
    parts: list[RecognizedPart] = []
    for at, values in _by_date(chosen, request):
        # Parts of one route, source and spend share their entries.
        legs: dict[tuple[Route, UUID | None, UUID | None], Leg] = {}
        for value in values:
            before = legs[value.key].amount if value.key in legs else ZERO
            legs[value.key] = Leg(Account.ACCRUED, value.route, before + value.amount, value.source, value.spend)
        ordinals = {key: 2 * index for index, key in enumerate(legs)}
        first = postings.add(templates.recognize(legs.values(), at))
        parts += [_recognized_part(value, at, first + ordinals[value.key]) for value in values]
    return EarningsRecognized(
        currency=pool.currency,
        kind=request.kind,
        amount=sum((value.amount for value in chosen), ZERO),
        booked_at=request.booked_at,
        parts=tuple(parts),
        transactions=postings.all(),
    )


def _by_date(chosen: list[Eligible], request: Recognize) -> Iterator[tuple[When, list[Eligible]]]:
    """The values of each accounting date, oldest first: that of the request, or else their own."""
    by_date: dict[When, list[Eligible]] = {}
    for value in chosen:
        accounted = request.accounting_date or value.accounted_at
        diverted = request.closed_until is not None and accounted < request.closed_until
        at = When(request.booked_at, accounted, request.original_date)
        if diverted:
            assert request.closed_until is not None, "what is diverted is diverted out of a closed period"
            at = When(request.booked_at, request.closed_until, accounted)
        by_date.setdefault(at, []).append(value)
    yield from sorted(by_date.items(), key=lambda item: item[0].accounting_date)


def _recognized_part(value: Eligible, at: When, entry: int) -> RecognizedPart:
    return RecognizedPart(
        slice=value.item.sequence if value.item else None,
        backfill=value.cover.lot if value.cover else None,
        attribution=attribution_of(value.item, value.cover) if value.item and value.cover else None,
        accrual=value.accrual.sequence if value.accrual else None,
        charge=value.spend,
        amount=value.amount,
        booked_at=at.booked_at,
        accounting_date=at.accounting_date if at.accounting_date != at.booked_at else None,
        entry=entry,
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
                route = templates.accrued(lot.route, item.tax)
                accounted = max(item.accounted_at, cover.accounted_at) if cover else item.accounted_at
                yield Eligible(item, cover, None, route, lot.source, item.charge, amount, accounted)


def _invoiced(pool: CreditPool, at: Instant, charge: UUID | None) -> Iterator[Eligible]:
    for accrual in pool.accruals.values():
        if accrual.accrued_from <= at and charge in (None, accrual.charge) and accrual.unrecognized > 0:
            route, amount = accrual.route, accrual.unrecognized
            yield Eligible(None, None, accrual, route, None, accrual.charge, amount, accrual.accounted_at)


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
    at: When


@exact
def reverse_recognition(pool: CreditPool, request: ReverseRecognition) -> RecognitionReversed | None:
    """Turn revenue back into accrued value, newest recognition first; None for a zero amount.

    Raises `CorrectionExceedsAvailable`. Recognised 30 of cost basis 1, then 20 of cost basis 2; reverse 25: 20 of
    the second, 5 of the first.
    """
    request = opened(request)
    amount = pool.currency.rounded(request.amount)
    if amount <= 0:
        return None
    standing = sorted(_standing(pool, request), key=lambda value: value.entry, reverse=True)
    available = sum((value.part.amount for value in standing), ZERO)
    if amount > available:
        raise CorrectionExceedsAvailable(detail=f"cannot reverse {amount}: only {available} is recognised")

    at = when(request.booked_at, request)
    postings = Postings()
    parts: list[RecognizedPart] = []
    for value in standing:
        taken = min(amount, value.part.amount)
        if taken <= 0:
            break
        booked = not_before(at, value.at)
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
                attribution=part.attribution,
                accrual=part.accrual,
                charge=part.charge,
                amount=taken,
                booked_at=booked.booked_at,
                accounting_date=booked.accounting_date if booked.accounting_date != booked.booked_at else None,
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
                    part = _part(recognition, accrual)
                    yield Recognized(recognition.entry, part, accrual.route, None, recognition.when)
    if request.kind is not RecognitionKind.INVOICED:
        for realized in pool.charges.values():
            for item in realized.slices.values():
                if request.charge in (None, item.charge):
                    yield from _standing_in(pool, item)


def _standing_in(pool: CreditPool, item: Slice) -> Iterator[Recognized]:
    of_lots = [(item.lot, None, item.recognitions)] if item.lot is not None else []
    for lot_sequence, cover, recognitions in [*of_lots, *((c.lot, c, c.recognitions) for c in item.covers)]:
        lot = pool.lots[lot_sequence]
        for recognition in recognitions:
            yield Recognized(
                recognition.entry,
                _part(recognition, item, cover),
                templates.accrued(lot.route, item.tax),
                lot.source,
                recognition.when,
            )


def _part(recognition: Recognition, of: Slice | Accrual, cover: Cover | None = None) -> RecognizedPart:
    item = of if isinstance(of, Slice) else None
    return RecognizedPart(
        slice=item.sequence if item is not None else None,
        backfill=cover.lot if cover is not None else None,
        attribution=attribution_of(item, cover) if item is not None and cover is not None else None,
        accrual=of.sequence if item is None else None,
        charge=of.charge,
        amount=recognition.amount,
        booked_at=recognition.at,
        entry=recognition.entry.ordinal,
    )
