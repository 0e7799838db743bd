"""`customer_balances`: what every address of a customer holds now, one row each (ledger §9, §12).

`amount` is the sum of what was booked by `known_at`, the log time of the address's last posting. Postings dated later
than that (planned expiry, above all) wait in `upcoming`, summed by booked time, and move into `amount` when a later
posting finds their time has come. So the balance now is `amount` and what has become due of `upcoming`, whatever the
length of the history; `balance_history` answers for any other pair of times.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from aggregates.credits.events import EVENTS
from aggregates.values.decimals import EXACT, ZERO, text
from projections.addresses import address_of, read_address
from projections.plain import json_text
from projections.projection import Cell, Entry, Folded, JsonText, Key, Rows

Upcoming: TypeAlias = list[list[str]]
"""Pairs of booked time and amount, both as text, in the order of time."""


class CustomerBalance(NamedTuple):
    """One address of one customer in the postings of one credit pool.

    `pool` is the stream that carries the postings: that of the currency, or of a custom currency whose purchases have
    fiat legs. `entries` counts the postings, `position` is the one of the last.
    """

    namespace: str
    customer: str
    currency: str
    pool: UUID
    address: str
    account: str
    cost_basis_currency: str | None
    cost_basis: Decimal | None
    features: JsonText
    credit_priority: int | None
    authorization: str | None
    tax_code: str | None
    tax_behavior: str | None
    amount: Decimal
    upcoming: Upcoming
    entries: int
    known_at: datetime
    position: int

    def at(self, as_of: datetime) -> Decimal:
        """The balance at a time that is not before `known_at`."""
        return _sum(self.amount, self.upcoming[: _due(self.upcoming, as_of)])


Posted: TypeAlias = list[tuple[datetime, Decimal]]


def _effects(entry: Entry) -> Mapping[Key, Posted]:
    """What an event posts to each address: booked times and amounts."""
    record = entry.record
    found: dict[str, Posted] = {}
    currencies: list[str] = []
    for transaction in record.body.transactions:
        booked_at = transaction.booked_at
        for each in transaction.entries:
            address, said = address_of(each.account, each.route)
            posted = found.get(address)
            if posted is None:
                found[address] = [(booked_at, each.amount)]
                currencies.append(said.currency)
            else:
                posted.append((booked_at, each.amount))
    owner = (record.namespace, record.customer or "")
    keys = ((*owner, currency, record.stream, address) for currency, address in zip(currencies, found, strict=True))
    return dict(zip(keys, found.values(), strict=True))


def _fold(rows: Rows, entry: Entry, touched: Sequence[tuple[Cell, Posted]]) -> None:
    for place, posted in touched:
        rows.put(place, _with(place.row or _opened(place.key, entry), posted, entry))


def _opened(key: Key, entry: Entry) -> CustomerBalance:
    return CustomerBalance._make((*key, *_said(key[-1]), ZERO, [], 0, entry.log_time, entry.position))


@lru_cache(maxsize=4096)
def _said(key: str) -> tuple[Any, ...]:
    """The columns from `account` to `tax_behavior`."""
    address = read_address(key)
    return (*address[1:4], json_text(address.features), *address[5:])


def _with(row: CustomerBalance, posted: Posted, entry: Entry) -> CustomerBalance:
    known_at = entry.log_time
    come = _due(row.upcoming, known_at)
    amount, upcoming = _sum(row.amount, row.upcoming[:come]), row.upcoming[come:] if come else row.upcoming
    for booked_at, change in posted:
        if booked_at <= known_at:
            amount = EXACT.add(amount, change)
        else:
            upcoming = _awaiting(upcoming, booked_at.isoformat(), change)
    entries = row.entries + len(posted)
    return CustomerBalance._make((*row[:13], amount, upcoming, entries, known_at, entry.position))


def _due(upcoming: Upcoming, by: datetime) -> int:
    """How many of these have come by then; times as text are in their order, those of whole seconds first."""
    return bisect_right(upcoming, by.astimezone(UTC).isoformat(), key=_booked) if upcoming else 0


def _awaiting(upcoming: Upcoming, booked: str, change: Decimal) -> Upcoming:
    """With a change at one time; the others are neither read nor written again, however many there are."""
    place = bisect_left(upcoming, booked, key=_booked)
    known = place < len(upcoming) and upcoming[place][0] == booked
    amount = EXACT.add(Decimal(upcoming[place][1]), change) if known else change
    return [*upcoming[:place], *([[booked, text(amount)]] if amount else []), *upcoming[place + known :]]


_booked: Callable[[list[str]], str] = itemgetter(0)


def _sum(start: Decimal, waiting: Upcoming) -> Decimal:
    for _, amount in waiting:
        start = EXACT.add(start, Decimal(amount))
    return start


CUSTOMER_BALANCES = Folded(
    name="customer_balances",
    version=1,
    row=CustomerBalance,
    key=("namespace", "customer", "currency", "pool", "address"),
    listens=frozenset(event.NAME for event in EVENTS if "transactions" in event.__struct_fields__),
    effects=_effects,
    folding=_fold,
)
