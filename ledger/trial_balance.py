"""The trial balance, at face value and by consideration (decision 38).

Postings are face value: 100 credits sold for 50 are 100 in every account they pass through. Consideration is what was
paid: of a purchase of face F that costs C, value that lies in an account is worth C x its part of F, rounded so that
the parts of a purchase add up to C: in the order earnings, accrued, breakage, voided, left. So the revenue of a
purchase is round(C x used / F) at every time, and a month's is what that grew by: each use takes what earlier ones
left. Promotional credit costs nothing, so its use and its expiry are no revenue by consideration.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from aggregates.journal.chart import Account
from aggregates.values.decimals import ZERO, divide, exact
from aggregates.values.period import Instant, Period
from ledger.balances import LATEST
from projections.ledger_entries import LEDGER_ENTRIES, LedgerEntry
from projections.stores.tables import Reader, Where
from projections.trial_sums import TRIAL_SUMS, Share, TrialSum, currency_of, share_of, stretch_of

_PLACES = (Account.EARNINGS, Account.ACCRUED, Account.BREAKAGE)
_ORDER = {account: number for number, account in enumerate(Account)}


class TrialRow(msgspec.Struct, frozen=True, kw_only=True):
    """An account in one currency: its balance at the end of the month, and what the month changed.

    `face` is in `currency` (its code), `consideration` in `paid_in`, the fiat currency that was paid in.
    """

    account: Account
    currency: str
    face: Decimal
    face_change: Decimal
    paid_in: str
    consideration: Decimal
    consideration_change: Decimal


class TrialBalance(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts; the faces of a currency sum to zero, and so do the considerations."""

    month: str
    period: Period
    rows: tuple[TrialRow, ...]

    @staticmethod
    @exact
    def of(month: str, period: Period, opening: TrialSums, closing: TrialSums) -> TrialBalance:
        """The trial balance from the sums before the month and at its end."""
        before, after = opening.balances(), closing.balances()
        rows = [
            TrialRow(
                account=key.account,
                currency=key.currency,
                face=figure.face,
                face_change=figure.face - before.get(key, _NOTHING).face,
                paid_in=key.paid_in,
                consideration=figure.consideration,
                consideration_change=figure.consideration - before.get(key, _NOTHING).consideration,
            )
            for key, figure in sorted(after.items(), key=lambda item: (item[0].currency, _ORDER[item[0].account]))
        ]
        shown = tuple(row for row in rows if any((row.face, row.face_change, row.consideration)))
        return TrialBalance(month=month, period=period, rows=shown)


class Place(NamedTuple):
    """A line of the trial balance."""

    account: Account
    currency: str
    paid_in: str


class Figure(NamedTuple):
    """Face value and consideration."""

    face: Decimal
    consideration: Decimal


_NOTHING = Figure(ZERO, ZERO)


class Sold(NamedTuple):
    """A purchase: its currency, the price of a unit, and the fiat currency of that price."""

    source: UUID
    currency: str
    cost_basis: Decimal
    paid_in: str


class TrialSums:
    """Sums of postings, as a trial balance needs them; they take postings and sums of them, in any order."""

    def __init__(self) -> None:
        self._face: dict[Place, Decimal] = defaultdict(lambda: ZERO)
        self._paid: dict[Place, Decimal] = defaultdict(lambda: ZERO)
        self._held: dict[Sold, dict[Account, Decimal]] = {}
        self._voided: dict[Sold, Decimal] = defaultdict(lambda: ZERO)

    @exact
    def add(self, row: LedgerEntry) -> None:
        """Count a posting."""
        account, basis = Account(row.account), row.cost_basis
        place = Place(account, row.currency_code, row.cost_basis_currency or row.currency_code)
        sold = Sold(row.source, place.currency, basis, place.paid_in) if row.source is not None and basis else None
        self._count(place, sold, row.amount, share_of(row, account, basis, place.paid_in))

    @exact
    def add_sum(self, row: TrialSum) -> None:
        """Count what was summed already."""
        place = Place(Account(row.account), row.currency, row.paid_in)
        sold = Sold(UUID(row.source), row.currency, Decimal(row.cost_basis), row.paid_in) if row.source else None
        self._count(place, sold, row.face, Share(row.paid, row.held, row.voided))

    def _count(self, place: Place, sold: Sold | None, face: Decimal, share: Share) -> None:
        self._face[place] += face
        self._paid[place] += share.paid
        if sold is not None and (share.held or share.voided):
            held = self._held.setdefault(sold, defaultdict(lambda: ZERO))
            held[place.account] += share.held
            self._voided[sold] += share.voided

    def balances(self) -> dict[Place, Figure]:
        """Every account with its two figures."""
        considered = defaultdict(lambda: ZERO, self._paid)
        for sold, held in self._held.items():
            voided = self._voided[sold]
            face = sum(held.values(), ZERO) + voided
            if face <= 0:
                continue
            precision = currency_of(sold.paid_in).precision
            price = divide(face * sold.cost_basis, Decimal(1), precision)
            reached = taken = ZERO
            worth: dict[Account | None, Decimal] = {}
            for account in (*_PLACES, None, Account.FBO):
                reached += voided if account is None else held.get(account, ZERO)
                upto = divide(price * reached, face, precision)
                worth[account] = upto - taken
                taken = upto
            for account in (*_PLACES, Account.FBO):
                considered[Place(account, sold.currency, sold.paid_in)] += worth[account]
            owed = price - worth[None]
            considered[Place(Account.RECEIVABLE, sold.currency, sold.paid_in)] -= owed
        keys = {*self._face, *considered}
        return {key: Figure(self._face.get(key, ZERO), considered.get(key, ZERO)) for key in keys}


def sums_of(reader: Reader, namespace: str, period: Period, bound: int) -> tuple[TrialSums, TrialSums]:
    """The sums before a month and at its end, recorded up to a position.

    As known now from `trial_sums`, which grows by some rows a purchase and month; as known earlier from every posting.
    """
    opening, closing = TrialSums(), TrialSums()
    # Where months begin off the quarter of an hour, as they did before there were zones, no stretch begins with them.
    if bound >= LATEST and all(stretch_of(edge) == edge for edge in (period.from_, period.to)):
        before = [Where("namespace", "=", namespace), Where("since", "<", period.to)]
        for sums in reader.select(TRIAL_SUMS, before):
            closing.add_sum(sums)
            if sums.since < period.from_:
                opening.add_sum(sums)
    else:
        for row in _all_until(reader, namespace, period.to, bound):
            closing.add(row)
            if row.accounting_date < period.from_:
                opening.add(row)
    return opening, closing


def _all_until(reader: Reader, namespace: str, until: Instant, bound: int) -> Iterator[LedgerEntry]:
    """Every posting accounted for before a time, in the order of the log, a few thousand in memory."""
    place = (0, -1)
    while True:
        where = [
            Where("namespace", "=", namespace),
            Where("accounting_date", "<", until),
            Where(("position", "ordinal"), ">", place),
            *([Where("position", "<=", bound)] if bound < LATEST else []),
        ]
        rows = reader.select(LEDGER_ENTRIES, where, order=("position", "ordinal"), limit=5_000)
        yield from rows
        if len(rows) < 5_000:
            return
        place = (rows[-1].position, rows[-1].ordinal)
