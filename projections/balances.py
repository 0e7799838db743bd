"""Balances out of postings: by account and filter, and the customer's (ledger §3, §9, §13).

Pure functions over posting rows in the order in which they were recorded. Every question takes two times: `as_of` on
the booked axis and `recorded_as_of` on the recorded axis, both inclusive; an instant or, exactly, a log position.
Amounts are in the currency of the route; nothing is converted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import msgspec

from aggregates.event import AnyRecorded
from aggregates.journal.chart import Account, Authorization, Route, TaxBehavior
from aggregates.journal.postings import Direction, Template, Transaction
from aggregates.values.decimals import ZERO, exact
from aggregates.values.errors import InvalidCommand
from aggregates.values.identifiers import GroupRef
from aggregates.values.money import Currency
from aggregates.values.period import Instant


class PostingRow(NamedTuple):
    """One posting with its place in the log: what every balance, bucket and listing is computed from.

    `position` is the authority of the recorded axis, `recorded_at` the log's time for it. `ordinal` counts the
    entries of the group, `transaction` its transactions, both from 0.
    """

    position: int
    recorded_at: datetime
    group: GroupRef
    ordinal: int
    transaction: int
    template: Template
    direction: Direction
    booked_at: Instant
    accounting_date: Instant
    account: Account
    route: Route
    amount: Decimal
    source: UUID | None
    spend: UUID | None


def posting_rows(record: AnyRecorded, position: int, recorded_at: datetime) -> Iterator[PostingRow]:
    """The postings of a recorded event of a credit pool, in order; nothing for events without transactions."""
    transactions: tuple[Transaction, ...] = getattr(record.body, "transactions", ())
    group = GroupRef(record.stream, record.version)
    ordinal = 0
    for number, transaction in enumerate(transactions):
        for entry in transaction.entries:
            yield PostingRow(
                position=position,
                recorded_at=recorded_at,
                group=group,
                ordinal=ordinal,
                transaction=number,
                template=transaction.template,
                direction=transaction.direction,
                booked_at=transaction.booked_at,
                accounting_date=transaction.accounting_date,
                account=entry.account,
                route=entry.route,
                amount=entry.amount,
                source=entry.source,
                spend=entry.spend,
            )
            ordinal += 1


class AsOf(NamedTuple):
    """Two times at once: what was booked by then, as it was recorded by then. Absent is no bound."""

    booked: datetime | None = None
    recorded: datetime | int | None = None

    def shows(self, row: PostingRow) -> bool:
        """Whether the posting counts: booked at or before the one, recorded at or before the other."""
        if self.booked is not None and row.booked_at > self.booked:
            return False
        if self.recorded is None:
            return True
        if isinstance(self.recorded, int):
            return row.position <= self.recorded
        return row.recorded_at <= self.recorded


EVERYTHING = AsOf()


class RouteFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which routes count. An unset field does not filter; None selects routes where the dimension is absent (§3).

    `features` is an exact set, `match_feature` selects unrestricted routes and those that contain the key; asking for
    both is refused with `ValueError`.
    """

    currency: Currency | msgspec.UnsetType = msgspec.UNSET
    cost_basis: Decimal | msgspec.UnsetType | None = msgspec.UNSET
    cost_basis_currency: str | msgspec.UnsetType | None = msgspec.UNSET
    features: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    match_feature: str | msgspec.UnsetType = msgspec.UNSET
    credit_priority: int | msgspec.UnsetType | None = msgspec.UNSET
    authorization: Authorization | msgspec.UnsetType | None = msgspec.UNSET
    tax_code: str | msgspec.UnsetType | None = msgspec.UNSET
    tax_behavior: TaxBehavior | msgspec.UnsetType | None = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.features is not msgspec.UNSET and self.match_feature is not msgspec.UNSET:
            msg = "a filter is by an exact set of features or by one feature that matches, not by both"
            raise ValueError(msg)

    def selects(self, route: Route) -> bool:
        """Whether the route passes every field that is set."""
        if self.match_feature is not msgspec.UNSET and route.features and self.match_feature not in route.features:
            return False
        return all(
            (wanted := getattr(self, dimension)) is msgspec.UNSET or getattr(route, dimension) == wanted
            for dimension in _DIMENSIONS
        )


_DIMENSIONS = tuple(field for field in RouteFilter.__struct_fields__ if field != "match_feature")
ALL_ROUTES = RouteFilter()


@exact
def balance(
    rows: Iterable[PostingRow], account: Account, route: RouteFilter = ALL_ROUTES, as_of: AsOf = EVERYTHING
) -> Decimal:
    """The sum of an account's entries on the routes that pass, at a pair of times."""
    return sum(
        (row.amount for row in rows if row.account is account and route.selects(row.route) and as_of.shows(row)), ZERO
    )


@exact
def buckets(
    rows: Iterable[PostingRow],
    account: Account,
    group_by: Callable[[PostingRow], Any],
    route: RouteFilter = ALL_ROUTES,
    as_of: AsOf = EVERYTHING,
) -> dict[Any, Decimal]:
    """The same sums by provenance or any other key; keys whose sum is zero are left out."""
    sums: dict[Any, Decimal] = {}
    for row in rows:
        if row.account is account and route.selects(row.route) and as_of.shows(row):
            key = group_by(row)
            sums[key] = sums.get(key, ZERO) + row.amount
    return {key: total for key, total in sums.items() if total}


# ── the customer's balance ───────────────────────────────────────────────────────────────────────────────────


@dataclass(eq=False)
class FeatureFilterMustBeSingle(InvalidCommand):
    """A balance is of all routes, of unrestricted ones, or of one feature (ledger §9)."""

    code: ClassVar[str] = "feature_filter_must_be_single"
    text: ClassVar[str] = "a balance is for one feature at a time, got {features}"
    features: tuple[str, ...] = ()


class FeatureFilter(NamedTuple):
    """Whose balance: of all routes, of unrestricted ones only, or of those that serve one feature (ledger §9)."""

    unrestricted_only: bool = False
    feature: str | None = None

    @staticmethod
    def of(features: Iterable[str]) -> FeatureFilter:
        """The filter for one feature key. Raises `FeatureFilterMustBeSingle` for any other number of them."""
        keys = tuple(features)
        if len(keys) != 1:
            raise FeatureFilterMustBeSingle(keys)
        return FeatureFilter(feature=keys[0])

    def shows_credit(self, route: Route) -> bool:
        """Whether a view of this filter shows the route."""
        if self.feature is not None:
            return not route.features or self.feature in route.features
        return not (self.unrestricted_only and route.features)

    def shows_charge(self, feature: str | None) -> bool:
        """Whether a view of this filter counts a charge of that feature: those without one, and those for it."""
        if self.feature is not None:
            return feature in (None, self.feature)
        return not (self.unrestricted_only and feature is not None)


ALL_FEATURES = FeatureFilter()
UNRESTRICTED = FeatureFilter(unrestricted_only=True)


def is_settled(row: PostingRow, currency: Currency, features: FeatureFilter = ALL_FEATURES) -> bool:
    """Whether the posting is part of the customer's settled balance: credit, and what open advance left owed.

    Receivables of paid purchases have a known cost basis and are no part of it.
    """
    route = row.route
    return settles(row.account, route) and route.currency == currency and features.shows_credit(route)


def settles(account: Account, route: Route) -> bool:
    """Whether postings there move a settled balance, whatever its currency and features."""
    return account is Account.FBO or (account is Account.RECEIVABLE and route.cost_basis is None)


@exact
def settled(
    rows: Iterable[PostingRow],
    currency: Currency,
    features: FeatureFilter = ALL_FEATURES,
    as_of: AsOf = EVERYTHING,
) -> Decimal:
    """Fbo + receivable of unknown cost basis at a pair of times (ledger §9). Advance 30 without credit: -30."""
    return sum((row.amount for row in rows if is_settled(row, currency, features) and as_of.shows(row)), ZERO)


class PurchaseFacts(NamedTuple):
    """What `pending` needs to know of a credit purchase charge."""

    amount: Decimal
    features: tuple[str, ...]
    created_at: datetime
    effective_at: datetime
    granted_at: datetime | None = None
    deleted_at: datetime | None = None
    payment_voided: bool = False
    final_without_grant: bool = False


@exact
def pending(purchases: Iterable[PurchaseFacts], at: datetime, features: FeatureFilter = ALL_FEATURES) -> Decimal:
    """Credit on its way at a time: purchases that have not granted yet, or are not effective yet (ledger §9)."""
    return sum(
        (purchase.amount for purchase in purchases if _is_pending(purchase, at) and _shows(features, purchase)), ZERO
    )


def _is_pending(purchase: PurchaseFacts, at: datetime) -> bool:
    if purchase.created_at > at or (purchase.deleted_at is not None and purchase.deleted_at <= at):
        return False
    if purchase.payment_voided or purchase.final_without_grant:
        return False
    granted = purchase.granted_at is not None and purchase.granted_at <= at
    return not granted or purchase.effective_at > at


def _shows(features: FeatureFilter, purchase: PurchaseFacts) -> bool:
    if features.feature is not None:
        return not purchase.features or features.feature in purchase.features
    return not (features.unrestricted_only and purchase.features)
