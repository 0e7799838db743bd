"""The trial balance, at face value and by consideration (decision 38).

Postings are face value: 100 credits sold for 50 are 100 in every account they pass through. Consideration is what was
paid: of a purchase of face F that costs C, value that lies in an account is worth C x its part of F, rounded so that
the parts of a purchase add up to C: in the order earnings, accrued, breakage, voided, left. So the revenue of a
purchase is round(C x used / F) at every time, and a month's is what that grew by: each use takes what earlier ones
left. Promotional credit costs nothing, so its use and its expiry are no revenue by consideration.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from aggregates.journal.chart import Account
from aggregates.journal.postings import Direction, Template
from aggregates.values.decimals import ZERO, divide, exact
from aggregates.values.money import FIAT, Currency, fiat
from aggregates.values.period import Period
from projections.ledger_entries import LedgerEntry

_PAYMENTS = frozenset(
    {
        Template.PAYMENT_AUTHORIZE,
        Template.PAYMENT_SETTLE,
        Template.PAYMENT_REDUCE,
        Template.PAYMENT_REVERSE,
        Template.REFUND,
    }
)
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
    """Sums of postings, as a trial balance needs them; they take the postings one by one, in any order."""

    def __init__(self) -> None:
        self._face: dict[Place, Decimal] = defaultdict(lambda: ZERO)
        self._paid: dict[Place, Decimal] = defaultdict(lambda: ZERO)
        self._held: dict[Sold, dict[Account, Decimal]] = {}
        self._voided: dict[Sold, Decimal] = defaultdict(lambda: ZERO)

    @exact
    def add(self, row: LedgerEntry) -> None:
        """Count a posting."""
        account, basis = Account(row.account), row.cost_basis
        paid_in = row.cost_basis_currency or row.currency_code
        place = Place(account, row.currency_code, paid_in)
        self._face[place] += row.amount
        if not basis:
            return  # promotional, or advance of a price nobody knows yet: nothing is paid for it
        if row.template in _PAYMENTS or row.template == Template.CURRENCY_EXCHANGE:
            if row.template in _PAYMENTS:
                self._paid[place] += row.amount
            return
        if row.source is None:
            self._paid[place] += divide(row.amount * basis, Decimal(1), _currency(paid_in).precision)
            return
        sold = Sold(row.source, row.currency_code, basis, paid_in)
        held = self._held.setdefault(sold, defaultdict(lambda: ZERO))
        if account in (Account.FBO, *_PLACES):
            held[account] += row.amount
        undone = row.template == Template.ISSUE and row.direction == Direction.CORRECTION
        if account is Account.FBO and undone:
            self._voided[sold] -= row.amount

    def balances(self) -> dict[Place, Figure]:
        """Every account with its two figures."""
        considered = defaultdict(lambda: ZERO, self._paid)
        for sold, held in self._held.items():
            voided = self._voided[sold]
            face = sum(held.values(), ZERO) + voided
            if face <= 0:
                continue
            precision = _currency(sold.paid_in).precision
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


def _currency(code: str) -> Currency:
    return fiat(code) if code in FIAT else Currency(code, 9, code)
