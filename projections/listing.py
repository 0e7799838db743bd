"""The customer's credit transactions: what moved their settled balance, newest first (ledger §10, D7).

Derived from postings alone. A row is the net effect on the filtered settled balance of one group at one booked time;
expiry is one row per booked time and source. Rows that net to zero are not shown: an advance's issue and its
collection are one consumed row, a release that matches its plan is none. Rows chain without gaps: the oldest starts
at 0, the newest ends at the settled balance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from aggregates.journal.postings import Direction, Template
from aggregates.values.decimals import ZERO, exact
from aggregates.values.identifiers import GroupRef
from aggregates.values.money import Currency
from projections.balances import ALL_FEATURES, EVERYTHING, AsOf, FeatureFilter, PostingRow, is_settled


class CreditTransactionType(StrEnum):
    """What happened to credit."""

    FUNDED = "funded"
    CONSUMED = "consumed"
    RESTORED = "restored"
    EXPIRED = "expired"
    VOIDED = "voided"


class Cursor(NamedTuple):
    """The place of a row in the listing: booked time, recorded position, row id. Later in the tuple breaks ties.

    An expired row keeps the position of its plan, so that its cursor outlives corrections of its amount.
    """

    booked_at: datetime
    position: int
    row_id: str


class CreditTransaction(NamedTuple):
    """One row of the listing. `group` is absent for expiry, which no single group brings about."""

    cursor: Cursor
    type: CreditTransactionType
    booked_at: datetime
    amount: Decimal
    balance_before: Decimal
    balance_after: Decimal
    group: GroupRef | None
    source: UUID | None


class Page(NamedTuple):
    """Rows newest first, and the cursors to go on from: `next` towards older rows, `previous` towards newer ones."""

    rows: tuple[CreditTransaction, ...]
    next: Cursor | None
    previous: Cursor | None


EXPIRY = frozenset({Template.BREAKAGE_PLAN, Template.BREAKAGE_RELEASE, Template.BREAKAGE_REOPEN})
_COLLECTING = frozenset({Template.COLLECT, Template.ADVANCE_COLLECT})


@exact
def credit_transactions(
    rows: Iterable[PostingRow],
    currency: Currency,
    *,
    as_of: AsOf = EVERYTHING,
    features: FeatureFilter = ALL_FEATURES,
    type: CreditTransactionType | None = None,
) -> list[CreditTransaction]:
    """The whole listing, newest first. `as_of` cuts before anything is computed, so no future plan shows.

    A grant of 20 at 09:00 that expires at 19:00, 5 of it consumed: as of 19:00 expired -15 (15 to 0), consumed -5 (20
    to 15), funded +20 (0 to 20).
    """
    shown = [row for row in rows if as_of.shows(row)]
    told = kinds(shown)
    sums: dict[tuple[datetime, GroupRef | None, UUID | None], _Sum] = {}
    for row in shown:
        if is_settled(row, currency, features):
            expiry = row.template in EXPIRY
            key = (row.booked_at, None if expiry else row.group, row.source if expiry else None)
            held = sums.setdefault(key, _Sum(row.position))
            held.amount += row.amount
            held.position = min(held.position, row.position)
    listed: list[CreditTransaction] = []
    before = ZERO
    ordered = sorted((_cursor(key, held), key, held) for key, held in sums.items() if held.amount)
    for cursor, (booked_at, group, source), held in ordered:
        kind = CreditTransactionType.EXPIRED if group is None else kind_of(told[group], held.amount)
        after = before + held.amount
        listed.append(CreditTransaction(cursor, kind, booked_at, held.amount, before, after, group, source))
        before = after
    listed.reverse()
    return [row for row in listed if type in (None, row.type)]


def page(
    listed: Sequence[CreditTransaction], limit: int, *, after: Cursor | None = None, before: Cursor | None = None
) -> Page:
    """A page of a listing. `after` goes on towards older rows, `before` back towards newer ones; both are strict.

    Raises `ValueError` when both are given.
    """
    if after is not None and before is not None:
        msg = "a page begins after a cursor or ends before one, not both"
        raise ValueError(msg)
    if before is not None:
        newer = [row for row in listed if row.cursor > before]
        rows, more = newer[-limit:], len(newer) > limit
        return _page(rows, next_page=True, previous_page=more)
    older = list(listed) if after is None else [row for row in listed if row.cursor < after]
    rows, more = older[:limit], len(older) > limit
    return _page(rows, next_page=more, previous_page=after is not None)


def _page(rows: Sequence[CreditTransaction], *, next_page: bool, previous_page: bool) -> Page:
    return Page(
        tuple(rows),
        rows[-1].cursor if rows and next_page else None,
        rows[0].cursor if rows and previous_page else None,
    )


class _Sum:
    """What one row adds up to, and the first position that it came from."""

    def __init__(self, position: int) -> None:
        self.amount = ZERO
        self.position = position

    def __lt__(self, other: _Sum) -> bool:
        return self.position < other.position


def _cursor(key: tuple[datetime, GroupRef | None, UUID | None], held: _Sum) -> Cursor:
    booked_at, group, source = key
    row_id = group_row_id(group.pool, group.version) if group else expiry_row_id(source)
    return Cursor(booked_at, held.position, row_id)


def group_row_id(pool: UUID, version: int) -> str:
    """The id of the rows of a group."""
    return f"group:{pool}:{version}"


def expiry_row_id(source: UUID | None) -> str:
    """The id of the rows of what expires of a purchase."""
    return f"expiry:{source or ''}"


def kinds(rows: Iterable[PostingRow]) -> dict[GroupRef, CreditTransactionType]:
    """What each group is about: it collects, undoes a collection, undoes an issue, or issues."""
    found: dict[GroupRef, CreditTransactionType] = {}
    for row in rows:
        found[row.group] = kind_with(found.get(row.group), row.template, row.direction)
    return found


def kind_with(kind: CreditTransactionType | None, template: Template, direction: Direction) -> CreditTransactionType:
    """What a group is about that was about `kind` so far, None at its beginning, with one more transaction."""
    if template in _COLLECTING:
        return CreditTransactionType.CONSUMED if direction is Direction.FORWARD else CreditTransactionType.RESTORED
    if template is Template.ISSUE and direction is Direction.CORRECTION:
        return CreditTransactionType.VOIDED if kind in (None, CreditTransactionType.FUNDED) else kind
    if template is Template.WRITE_OFF:
        return kind or CreditTransactionType.RESTORED
    return kind or CreditTransactionType.FUNDED


def kind_of(kind: CreditTransactionType | str, amount: Decimal) -> CreditTransactionType:
    """In a filtered view a grant may show only what it took out again to cover advance: that was consumed.

    So was advance that is owed again after it had been given up.
    """
    if kind in (CreditTransactionType.FUNDED, CreditTransactionType.RESTORED) and amount < 0:
        return CreditTransactionType.CONSUMED
    return CreditTransactionType(kind)
