"""`trial_sums`: what every account moved by accounting date, as far as a trial balance tells it apart (decision 38).

A month begins at another instant in each zone, and a view knows no zones. So accounting dates are put into stretches
that no month of any zone begins within: a quarter of an hour each where months begin somewhere on earth (from 14 hours
before a month of UTC to 12 hours after), and one for the rest of the month. The sums up to a month's beginning are
those of all stretches before it.

What was paid for value is told by purchase, because its parts are rounded together; what cost nothing is told by
account alone. So there are some rows per purchase and month in which it moved, however many postings it had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from aggregates.credits.events import EVENTS
from aggregates.journal.chart import Account
from aggregates.journal.postings import Direction, Template
from aggregates.values.decimals import EXACT, ZERO, divide, text
from aggregates.values.money import FIAT, Currency, fiat
from projections.projection import Cell, Entry, Folded, Key, Rows

_MONEY = frozenset(
    {
        Template.PAYMENT_AUTHORIZE,
        Template.PAYMENT_SETTLE,
        Template.PAYMENT_REDUCE,
        Template.PAYMENT_REVERSE,
        Template.REFUND,
        Template.WRITE_OFF,
    }
)
"""What is posted in money: the face value is what it is worth."""
_HELD = frozenset({Account.FBO, Account.EARNINGS, Account.ACCRUED, Account.BREAKAGE})

_QUARTER = timedelta(minutes=15)
_FIRST = timedelta(hours=14)
"""A month begins in the first zone so long before it begins in UTC."""
_LAST = timedelta(hours=12)
"""And in the last zone so long after."""
_LONGEST_MONTH = timedelta(days=31)


class TrialSum(NamedTuple):
    """What an account moved at one price within a stretch of accounting dates that begins at `since`.

    `currency` is a code, `paid_in` the fiat currency of the price `cost_basis`, which is empty where nothing was paid
    or nobody knows; so is `source`, the purchase, where value is not told by it. `face` is the sum of the postings;
    `paid` what of it is money as it stands; `held` and `voided` what counts of the purchase's value (`Share`).
    """

    namespace: str
    since: datetime
    account: str
    currency: str
    paid_in: str
    cost_basis: str
    source: str
    face: Decimal
    paid: Decimal
    held: Decimal
    voided: Decimal


class Share(NamedTuple):
    """What a posting means for the consideration of its account.

    `paid`: money as it stands. `held`: value of the purchase that lies in the account; `voided`: that went back.
    """

    paid: Decimal = ZERO
    held: Decimal = ZERO
    voided: Decimal = ZERO


_NOTHING = Share()


def share_of(posting: Any, account: Account, basis: Decimal | None, paid_in: str) -> Share:
    """What a posting means for the consideration of its account, at the price of its route.

    `posting` has a template, a direction, a source and an amount. Value that no purchase funds is worth what its price
    says, rounded posting by posting.
    """
    if not basis:
        return _NOTHING  # promotional, or advance of a price nobody knows yet: nothing is paid for it
    template, amount = posting.template, posting.amount
    if template in _MONEY:
        return Share(paid=amount)
    if template == Template.CURRENCY_EXCHANGE:
        return _NOTHING
    if posting.source is None:
        return Share(paid=divide(EXACT.multiply(amount, basis), Decimal(1), currency_of(paid_in).precision))
    undone = account is Account.FBO and template == Template.ISSUE and posting.direction == Direction.CORRECTION
    return Share(held=amount if account in _HELD else ZERO, voided=EXACT.minus(amount) if undone else ZERO)


def currency_of(code: str) -> Currency:
    """A currency by its code, as far as rounding needs it."""
    return fiat(code) if code in FIAT else Currency(code, 9, code)


# ── stretches of accounting dates ────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=8192)
def stretch_of(accounting_date: datetime) -> datetime:
    """The beginning of the stretch that an accounting date lies in: no month of any zone begins within it."""
    begins = accounting_date.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (begins + _LONGEST_MONTH).replace(day=1)
    if begins + _LAST <= accounting_date < following - _FIRST:
        return begins + _LAST
    return accounting_date - (accounting_date - begins) % _QUARTER


# ── the fold ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Posting(NamedTuple):
    """What `share_of` looks at, of an entry and the transaction it is in."""

    template: Template
    direction: Direction
    source: UUID | None
    amount: Decimal


@lru_cache(maxsize=4096)
def _place(account: Account, route: Any) -> tuple[str, str, str, str]:
    """The columns from `account` to `cost_basis`."""
    basis = route.cost_basis
    code = route.currency.code
    written = text(basis.normalize(EXACT)) if basis else ""
    return (account.value, code, route.cost_basis_currency or code, written)


def _effects(entry: Entry) -> Mapping[Key, list[Decimal]]:
    """What an event adds to each row: face, paid, held and voided."""
    record = entry.record
    namespace = record.namespace
    found: dict[Key, list[Decimal]] = {}
    add = EXACT.add
    for transaction in record.body.transactions:
        since = stretch_of(transaction.accounting_date)
        for each in transaction.entries:
            place = _place(each.account, each.route)
            basis = each.route.cost_basis
            told_by = str(each.source) if basis and each.source is not None else ""
            key = (namespace, since, *place, told_by)
            sums = found.get(key)
            if sums is None:
                sums = found[key] = [each.amount, ZERO, ZERO, ZERO]
            else:
                sums[0] = add(sums[0], each.amount)
            if basis:
                posting = _Posting(transaction.template, transaction.direction, each.source, each.amount)
                for number, part in enumerate(share_of(posting, each.account, basis, place[2]), 1):
                    if part:
                        sums[number] = add(sums[number], part)
    return found


def _fold(rows: Rows, _: Entry, touched: Sequence[tuple[Cell, list[Decimal]]]) -> None:
    for place, sums in touched:
        row: TrialSum | None = place.row
        after = sums if row is None else map(_plus, row[7:], sums)
        rows.put(place, TrialSum._make((*place.key, *after)))


def _plus(was: Decimal, more: Decimal) -> Decimal:
    return EXACT.add(was, more) if more else was


TRIAL_SUMS = Folded(
    name="trial_sums",
    version=1,
    row=TrialSum,
    key=("namespace", "since", "account", "currency", "paid_in", "cost_basis", "source"),
    listens=frozenset(event.NAME for event in EVENTS if "transactions" in event.__struct_fields__),
    effects=_effects,
    folding=_fold,
)
