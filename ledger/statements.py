"""`ledger.statements`: what moved a customer's credit, statements by month, and the trial balance (ledger §10, §13).

Listings go by booked time, statements and the trial balance by accounting date (decision 35). Every query takes a
bound on the recorded axis too, and is answered from views brought to the head of the log, so that it shows what was
just done. A month is a calendar month of the namespace's zone.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.journal.chart import Account, Authorization, Route, TaxBehavior
from aggregates.journal.postings import Direction, Template
from aggregates.values.decimals import EXACT, ZERO
from aggregates.values.identifiers import GroupRef
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period
from ledger.balances import LATEST, amounts_of, figures
from ledger.balances import VIEWS as BALANCE_VIEWS
from ledger.context import Context
from ledger.paging import Moment, checked_limit, checked_moment, invalid, read_cursor
from ledger.periods import month_of, zone_of
from ledger.store.follow import Follower
from ledger.trial_balance import TrialBalance, sums_of
from projections.balances import AsOf, FeatureFilter, PostingRow
from projections.credit_transactions import CREDIT_TRANSACTIONS, CreditTransactionRow, seconds
from projections.ledger_entries import LEDGER_ENTRIES, LedgerEntry
from projections.listing import EXPIRY, CreditTransaction, CreditTransactionType, credit_transactions, kind_of
from projections.stores.tables import Reader, Where
from projections.trial_sums import TRIAL_SUMS

SOON = timedelta(days=30)
"""How far a statement looks ahead for credit that will expire."""

_ORDER = ("booked", "position", "row_id")


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """What moved a customer's settled balance: `balance_after` = `balance_before` + `amount`.

    `type`: funded, consumed, restored, expired or voided. `group` names the posting group, absent for expiry. `source`
    is the purchase whose credit expired. `cursor` goes on from here, and stays what it is.
    """

    cursor: str
    type: CreditTransactionType
    booked_at: datetime
    amount: Decimal
    balance_before: Decimal
    balance_after: Decimal
    group: GroupRef | None = None
    source: UUID | None = None


class Movements(msgspec.Struct, frozen=True, kw_only=True):
    """A page, newest first; `next` goes on towards older ones as `after`, `previous` towards newer as `before`."""

    items: tuple[Movement, ...]
    next: str | None = None
    previous: str | None = None


class Expiring(msgspec.Struct, frozen=True, kw_only=True):
    """Credit of a purchase that will expire unless it is used."""

    expires_at: datetime
    amount: Decimal
    source: UUID | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a statement: a movement, dated as accounting has it."""

    date: datetime
    type: CreditTransactionType
    amount: Decimal
    balance_after: Decimal
    group: GroupRef | None = None
    source: UUID | None = None


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's credit over a month: `closing` = `opening` + the lines. Amounts are in `currency`."""

    customer: str
    currency: Currency
    month: str
    period: Period
    opening: Decimal
    lines: tuple[Line, ...]
    closing: Decimal
    totals: dict[str, Decimal]
    expiring: tuple[Expiring, ...]


class Statements:
    """Listings and statements of one namespace."""

    def __init__(self, context: Context, follower: Follower) -> None:
        self._context = context
        self._follower = follower

    # ── movements ────────────────────────────────────────────────────────────────────────────────────────────

    def transactions(
        self,
        customer: str,
        currency: str = "USD",
        *,
        type: CreditTransactionType | str | None = None,
        feature: str | None = None,
        unrestricted: bool = False,
        as_of: Moment | None = None,
        recorded_as_of: Moment | int | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int = 100,
        at_least: int | None = None,
        stale: bool = False,
    ) -> Movements:
        """What moved the settled balance of a customer, newest first (ledger §10).

        Args:
            customer: Key of an existing customer.
            currency: ISO code, or the code of a custom currency.
            type: Only one type; balances still count everything between.
            feature: As seen from one feature: unrestricted credit, and credit that contains it.
            unrestricted: Only unrestricted credit.
            as_of: Booked by then; now by default, so that no expiry of the future shows.
            recorded_as_of: As known then: an instant or a position. Such a page is worked out from all postings.
            after: The `next` of a page: what is older.
            before: The `previous` of a page: what is newer. Not together with `after`.
            limit: At most so many, up to 1,000.
            at_least: As for balances: wait until the views have come to that position.
            stale: As for balances: take the views as they are.

        A grant of 20 at 09:00 that expires at 19:00, 5 of it used: as of 19:00 expired −15 (15 to 0), consumed −5 (20
        to 15), funded +20 (0 to 20). Raises `CustomerNotFound`, `CurrencyNotFound`, `ValidationFailed`.
        """
        if after is not None and before is not None:
            raise invalid("after", "one_direction", "a page goes on after a cursor or before one, not both")
        self._context.look.customer(customer)
        found = self._context.look.currency(currency)
        moment = self._context.now() if as_of is None else checked_moment(as_of, "as_of")
        bound = self._recorded(recorded_as_of)
        asked = _Asked(
            whose=(self._context.namespace, customer, found.key),
            currency=found,
            until=seconds(moment),
            wanted=CreditTransactionType(type) if type is not None else None,
            features=FeatureFilter(unrestricted, feature),
            limit=checked_limit(limit),
            after=read_cursor(after, (int, int, str)) if after is not None else None,
            before=read_cursor(before, (int, int, str)) if before is not None else None,
        )
        names = (CREDIT_TRANSACTIONS.name, LEDGER_ENTRIES.name, *BALANCE_VIEWS)
        with self._follower.reading(names, at_least=at_least, stale=stale) as reader:
            if bound < LATEST:
                return _from_postings(reader, asked, moment, bound)
            return _from_view(reader, asked)

    # ── statements ───────────────────────────────────────────────────────────────────────────────────────────

    def statement(
        self, customer: str, month: str, currency: str = "USD", *, recorded_as_of: Moment | int | None = None
    ) -> Statement:
        """A customer's credit over a month, by accounting date (decision 35).

        `month`: "2026-01", in the namespace's zone. Usage of January is in January, also where it was booked on 1
        February; a fee of February paid in advance is in February. `expiring` is what ends within 30 days after it.
        Raises `CustomerNotFound`, `CurrencyNotFound`, `ValidationFailed`.
        """
        self._context.look.customer(customer)
        found = self._context.look.currency(currency)
        period = month_of(month, zone_of(self._context.look.settings()))
        bound = self._recorded(recorded_as_of)
        mine = [
            Where("namespace", "=", self._context.namespace),
            Where("customer", "=", customer),
            Where("currency", "=", found.key),
            *([Where("position", "<=", bound)] if bound < LATEST else []),
        ]
        with self._follower.reading((LEDGER_ENTRIES.name, *BALANCE_VIEWS)) as reader:
            opening = _opening(reader, (self._context.namespace, customer, found.key), mine, period.from_, bound)
            within = [Where("accounting_date", ">=", period.from_), Where("accounting_date", "<", period.to)]
            rows = reader.select(LEDGER_ENTRIES, [*mine, *within], order=("position", "ordinal"))
            soon = reader.select(
                LEDGER_ENTRIES,
                [
                    *mine,
                    Where("account", "=", Account.FBO.value),
                    Where("template", "in", sorted(EXPIRY)),
                    Where("booked_at", ">=", period.to),
                    Where("booked_at", "<", period.to + SOON),
                ],
            )
        lines = tuple(
            Line(
                date=each.booked_at,
                type=each.type,
                amount=each.amount,
                balance_after=EXACT.add(opening, each.balance_after),
                group=each.group,
                source=each.source,
            )
            for each in reversed(credit_transactions([_posting_row(row, found) for row in rows], found))
        )
        totals: dict[str, Decimal] = {}
        for line in lines:
            totals[line.type.value] = EXACT.add(totals.get(line.type.value, ZERO), line.amount)
        return Statement(
            customer=customer,
            currency=found,
            month=month,
            period=period,
            opening=opening,
            lines=lines,
            closing=lines[-1].balance_after if lines else opening,
            totals=totals,
            expiring=_expiring(soon),
        )

    def trial_balance(self, month: str, *, recorded_as_of: Moment | int | None = None) -> TrialBalance:
        """Every account of the namespace at the end of a month, and what the month changed (decision 38).

        Two columns: face value, which is what postings say, and consideration, which is what was paid for it. Each
        sums to zero. Goes by accounting date. As known now it is added up from some sums a purchase and month; as it
        was recorded by `recorded_as_of`, from every posting up to the month, which takes the longer the older the
        ledger is. Raises `ValidationFailed`.
        """
        period = month_of(month, zone_of(self._context.look.settings()))
        bound = self._recorded(recorded_as_of)
        with self._follower.reading((TRIAL_SUMS.name, LEDGER_ENTRIES.name)) as reader:
            opening, closing = sums_of(reader, self._context.namespace, period, bound)
        return TrialBalance.of(month, period, opening, closing)

    def _recorded(self, bound: Moment | int | None) -> int:
        if bound is None:
            return LATEST
        if isinstance(bound, int):
            return bound
        return self._follower.store.position_at(checked_moment(bound, "recorded_as_of"))


# ── movements out of the view ────────────────────────────────────────────────────────────────────────────────


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A listing as it was asked for; `until` is a booked second."""

    whose: tuple[str, str, str]
    currency: Currency
    until: int
    wanted: CreditTransactionType | None
    features: FeatureFilter
    limit: int
    after: tuple[int, int, str] | None
    before: tuple[int, int, str] | None

    @property
    def filtered(self) -> bool:
        """Whether rows have to be looked into to know what they come to."""
        return self.features != FeatureFilter()


def _from_view(reader: Reader, asked: _Asked) -> Movements:
    backwards = asked.before is not None
    rows, more = _page(reader, asked, backwards=backwards)
    items = tuple(_chained(reader, asked, rows))
    return _movements(items, more=more, backwards=backwards, paged=asked.after is not None)


def _movements(items: tuple[Movement, ...], *, more: bool, backwards: bool, paged: bool) -> Movements:
    has_next = bool(items) and (backwards or more)
    has_previous = bool(items) and (more if backwards else paged)
    return Movements(
        items=items,
        next=items[-1].cursor if has_next else None,
        previous=items[0].cursor if has_previous else None,
    )


def _page(reader: Reader, asked: _Asked, *, backwards: bool) -> tuple[list[tuple[CreditTransactionRow, Decimal]], bool]:
    """The rows of a page, newest first, with what each comes to; and whether there are more in its direction."""
    found: list[tuple[CreditTransactionRow, Decimal]] = []
    place = asked.before if backwards else asked.after
    while True:
        # A database finds one bound on the first column in the index: the cursor's, where it is the closer one.
        until = asked.until if place is None or backwards else min(asked.until, place[0])
        where = [*_mine(asked), Where("booked", "<=", until)]
        if place is not None:
            where += [Where("booked", ">=", place[0])] if backwards else []
            where.append(Where(_ORDER, ">" if backwards else "<", place))
        wanted = asked.limit + 1
        rows = reader.select(CREDIT_TRANSACTIONS, where, order=_ORDER, descending=not backwards, limit=wanted)
        found += [(row, amount) for row in rows if (amount := _amount(row, asked)) and _is_wanted(row, amount, asked)]
        if len(rows) < wanted or len(found) > asked.limit:
            break
        place = _place(rows[-1])
    more = len(found) > asked.limit
    shown = found[: asked.limit]
    return (shown[::-1] if backwards else shown), more


def _mine(asked: _Asked) -> list[Where]:
    namespace, customer, currency = asked.whose
    where = [
        Where("namespace", "=", namespace),
        Where("customer", "=", customer),
        Where("currency", "=", currency),
    ]
    if not asked.filtered:
        where.append(Where("shown", "present"))
        where += [Where("kind", "=", asked.wanted.value)] if asked.wanted is not None else []
    return where


def _is_wanted(row: CreditTransactionRow, amount: Decimal, asked: _Asked) -> bool:
    return asked.wanted is None or kind_of(row.kind, amount) is asked.wanted


def _amount(row: CreditTransactionRow, asked: _Asked) -> Decimal:
    """What the row comes to in the view that was asked for."""
    total = ZERO
    for features, amount in row.amounts.items():
        route = Route(currency=asked.currency, features=tuple(features.split()))
        if asked.features.shows_credit(route):
            total = EXACT.add(total, Decimal(amount))
    return total


def _chained(reader: Reader, asked: _Asked, rows: Sequence[tuple[CreditTransactionRow, Decimal]]) -> Iterator[Movement]:
    """The rows with the balances around them; with a type asked for, each is found on its own."""
    after: Decimal | None = None
    for row, amount in rows:
        if after is None or asked.wanted is not None:
            after = _balance_after(reader, asked, row)
        before = EXACT.subtract(after, amount)
        yield Movement(
            cursor=_token(_place(row)),
            type=kind_of(row.kind, amount),
            booked_at=row.booked_at,
            amount=amount,
            balance_before=before,
            balance_after=after,
            group=GroupRef(row.pool, row.version) if row.version is not None else None,
            source=row.source,
        )
        after = before


def _balance_after(reader: Reader, asked: _Asked, row: CreditTransactionRow) -> Decimal:
    """The settled balance at the row's booked time, without the rows of that time that come after it."""
    amounts = amounts_of(reader, asked.whose, row.booked_at, LATEST) or {}
    feature, unrestricted = asked.features.feature, asked.features.unrestricted_only
    balance = figures(amounts, feature, unrestricted=unrestricted)["settled"]
    namespace, customer, currency = asked.whose
    later = reader.select(
        CREDIT_TRANSACTIONS,
        [
            Where("namespace", "=", namespace),
            Where("customer", "=", customer),
            Where("currency", "=", currency),
            Where("booked", "=", row.booked),
            Where(("position", "row_id"), ">", (row.position, row.row_id)),
        ],
    )
    for each in later:
        balance = EXACT.subtract(balance, _amount(each, asked))
    return balance


def _place(row: CreditTransactionRow) -> tuple[int, int, str]:
    return (row.booked, row.position, row.row_id)


def _token(place: tuple[int, int, str]) -> str:
    return urlsafe_b64encode(msgspec.json.encode(place)).decode()


# ── movements out of postings ────────────────────────────────────────────────────────────────────────────────


def _from_postings(reader: Reader, asked: _Asked, moment: datetime, bound: int) -> Movements:
    """The listing as it was recorded by a position, from every posting of the customer up to it."""
    namespace, customer, currency = asked.whose
    rows = reader.select(
        LEDGER_ENTRIES,
        [
            Where("namespace", "=", namespace),
            Where("customer", "=", customer),
            Where("currency", "=", currency),
            Where("position", "<=", bound),
        ],
        order=("position", "ordinal"),
    )
    postings = [_posting_row(row, asked.currency, booked=True) for row in rows]
    listed = credit_transactions(
        postings, asked.currency, as_of=AsOf(moment), features=asked.features, type=asked.wanted
    )
    backwards = asked.before is not None
    found = [each for each in listed if _lies(_place_of(each), asked)]
    shown = found[-asked.limit :] if backwards else found[: asked.limit]
    items = tuple(_movement(each) for each in shown)
    return _movements(items, more=len(found) > asked.limit, backwards=backwards, paged=asked.after is not None)


def _lies(place: tuple[int, int, str], asked: _Asked) -> bool:
    if asked.after is not None:
        return place < asked.after
    return asked.before is None or place > asked.before


def _place_of(each: CreditTransaction) -> tuple[int, int, str]:
    return (seconds(each.cursor.booked_at), each.cursor.position, each.cursor.row_id)


def _movement(each: CreditTransaction) -> Movement:
    return Movement(
        cursor=_token(_place_of(each)),
        type=each.type,
        booked_at=each.booked_at,
        amount=each.amount,
        balance_before=each.balance_before,
        balance_after=each.balance_after,
        group=each.group,
        source=each.source,
    )


def _posting_row(row: LedgerEntry, currency: Currency, *, booked: bool = False) -> PostingRow:
    """A posting as it was recorded, dated by its accounting date unless it is to be by its booked time."""
    return PostingRow(
        position=row.position,
        recorded_at=row.recorded_at,
        group=GroupRef(row.stream, row.version),
        ordinal=row.ordinal,
        transaction=row.transaction,
        template=Template(row.template),
        direction=Direction(row.direction),
        booked_at=Instant(row.booked_at if booked else row.accounting_date),
        accounting_date=Instant(row.accounting_date),
        account=Account(row.account),
        route=Route(
            currency=currency,
            cost_basis=row.cost_basis,
            cost_basis_currency=row.cost_basis_currency,
            features=tuple(msgspec.json.decode(row.features, type=list[str])),
            credit_priority=row.credit_priority,
            authorization=Authorization(row.authorization) if row.authorization else None,
            tax_code=row.tax_code,
            tax_behavior=TaxBehavior(row.tax_behavior) if row.tax_behavior else None,
        ),
        amount=row.amount,
        source=row.source,
        spend=row.spend,
    )


# ── statements ───────────────────────────────────────────────────────────────────────────────────────────────


def _opening(
    reader: Reader, whose: tuple[str, str, str], mine: Sequence[Where], begins: Instant, bound: int
) -> Decimal:
    """The settled balance of everything accounted for before the month.

    That is what was booked before it, less what was booked before it for a later date, and what was booked later for
    an earlier one: usage of the last second of a month is booked at its end.
    """
    amounts = amounts_of(reader, whose, begins - timedelta(seconds=1), bound) or {}
    opening = figures(amounts, None, unrestricted=False)["settled"]
    early = [Where("booked_at", "<", begins), Where("accounting_date", ">=", begins)]
    late = [Where("booked_at", ">=", begins), Where("accounting_date", "<", begins)]
    for row in reader.select(LEDGER_ENTRIES, [*mine, *early]):
        opening = EXACT.subtract(opening, row.amount if _is_settled(row) else ZERO)
    for row in reader.select(LEDGER_ENTRIES, [*mine, *late]):
        opening = EXACT.add(opening, row.amount if _is_settled(row) else ZERO)
    return opening


def _is_settled(row: LedgerEntry) -> bool:
    return row.account == Account.FBO.value or (row.account == Account.RECEIVABLE.value and row.cost_basis is None)


def _expiring(rows: Sequence[LedgerEntry]) -> tuple[Expiring, ...]:
    sums: dict[tuple[datetime, UUID | None], Decimal] = {}
    for row in rows:
        key = (row.booked_at, row.source)
        sums[key] = EXACT.subtract(sums.get(key, ZERO), row.amount)
    ordered = sorted(sums.items(), key=lambda item: (item[0][0], str(item[0][1])))
    return tuple(
        Expiring(expires_at=moment, amount=amount, source=source) for (moment, source), amount in ordered if amount > 0
    )
