"""`credit_transactions`: what moved a customer's settled balance, one row per group and booked time (ledger §10, D7).

The same rows as `listing` derives from all postings of a pool, kept so that a page costs the same whatever the length
of the history. Expiry is one row per booked time and purchase, whose amount releases and reopens change and whose
place in the order is that of its plan. Balances are not kept: a page begins with a balance of `balance_history`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from aggregates.credits.events import EVENTS
from aggregates.journal.postings import Transaction
from aggregates.values.decimals import EXACT, ZERO, text
from projections.balances import settles
from projections.listing import EXPIRY, CreditTransactionType, expiry_row_id, group_row_id, kind_of, kind_with
from projections.projection import Cell, Entry, Folded, Key, Rows

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CreditTransactionRow(NamedTuple):
    """One movement of the settled balance, in the currency of its pool.

    `booked` is in whole seconds since 1970, UTC. `amounts` is what it moved by set of features, keys joined by a
    space and empty for unrestricted credit; `shown` their sum, null while that is zero. `version` names the posting
    group, absent for expiry. `position` is that of the first event that contributed.
    """

    pool: UUID
    booked: int
    row_id: str
    namespace: str
    customer: str
    currency: str
    position: int
    kind: str
    source: UUID | None
    version: int | None
    amounts: dict[str, str]
    shown: Decimal | None

    @property
    def booked_at(self) -> datetime:
        """When it is booked."""
        return _EPOCH + timedelta(seconds=self.booked)


class Effect(NamedTuple):
    """What one event does to one row."""

    kind: str
    source: UUID | None
    version: int | None
    amounts: dict[str, Decimal]


Effects: TypeAlias = dict[Key, Effect]


def seconds(moment: datetime) -> int:
    """The whole second a booked time is."""
    return (moment - _EPOCH) // timedelta(seconds=1)


def _effects(entry: Entry) -> Mapping[Key, Effect]:
    record = entry.record
    stream, version, currency = record.stream, record.version, record.body.currency
    kind = _kind(record.body.transactions)
    group = group_row_id(stream, version)
    found: Effects = {}
    for transaction in record.body.transactions:
        booked, expires = seconds(transaction.booked_at), transaction.template in EXPIRY
        for each in transaction.entries:
            route = each.route
            if not settles(each.account, route) or route.currency != currency:
                continue
            key = (stream, booked, expiry_row_id(each.source) if expires else group)
            effect = found.get(key)
            if effect is None:
                opened = Effect("expired", each.source, None, {}) if expires else Effect(kind, None, version, {})
                effect = found[key] = opened
            features = " ".join(route.features)
            known = effect.amounts.get(features)
            effect.amounts[features] = each.amount if known is None else EXACT.add(known, each.amount)
    return found


def _kind(transactions: Sequence[Transaction]) -> str:
    """What the group of an event is about."""
    kind: CreditTransactionType | None = None
    for transaction in transactions:
        kind = kind_with(kind, transaction.template, transaction.direction)
    return kind or ""


def _fold(rows: Rows, entry: Entry, touched: Sequence[tuple[Cell, Effect]]) -> None:
    for place, effect in touched:
        rows.put(place, _with(place.row, place.key, effect, entry))


def _with(row: CreditTransactionRow | None, key: Key, effect: Effect, entry: Entry) -> CreditTransactionRow:
    record: Any = entry.record
    amounts = effect.amounts if row is None else _added(row.amounts, effect.amounts)
    total = ZERO
    for amount in amounts.values():
        total = EXACT.add(total, amount)
    kind = effect.kind if effect.version is None else kind_of(effect.kind, total)
    return CreditTransactionRow(
        pool=key[0],
        booked=key[1],
        row_id=key[2],
        namespace=record.namespace,
        customer=record.customer or "",
        currency=record.body.currency.key,
        position=row.position if row else entry.position,
        kind=kind,
        source=effect.source,
        version=effect.version,
        amounts={features: text(amount) for features, amount in sorted(amounts.items())},
        shown=total or None,
    )


def _added(before: Mapping[str, str], more: Mapping[str, Decimal]) -> dict[str, Decimal]:
    amounts = {features: Decimal(amount) for features, amount in before.items()}
    for features, amount in more.items():
        amounts[features] = EXACT.add(amounts.get(features, ZERO), amount)
    return amounts


CREDIT_TRANSACTIONS = Folded(
    name="credit_transactions",
    version=1,
    row=CreditTransactionRow,
    key=("pool", "booked", "row_id"),
    indexes=(("namespace", "customer", "currency", "booked", "position", "row_id"),),
    listens=frozenset(event.NAME for event in EVENTS if "transactions" in event.__struct_fields__),
    shown_when="shown",
    effects=_effects,
    folding=_fold,
)
