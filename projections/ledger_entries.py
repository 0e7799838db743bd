"""`ledger_entries`: every posting there ever was, one row each, in the order of the log (ledger §12).

The view only grows: a posting once recorded is never altered, and undoing one is another posting. A posting group is
one event of a credit pool, so `(stream, version)` names the group and `ordinal` the entry in it, counted over all
transactions of the event from 0. Both time axes are here: `booked_at`, and `position` with its `log_time`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from aggregates.credits.events import EVENTS
from aggregates.values.decimals import plain
from projections.addresses import address_of
from projections.plain import json_text
from projections.projection import Appended, Entry, JsonText


class LedgerEntry(NamedTuple):
    """One posting. `amount` is signed, in the currency of its route, exact at that currency's precision.

    `customer` owns the pool whose event carries the posting; business accounts (wash, earnings, breakage, brokerage)
    have it too, for whom they were booked. `transaction` counts the event's transactions from 0. `source` is the
    credit purchase that funds the value, `spend` the charge that consumes it, `collection_index` the place of the slice
    in its collection. A correction names the entry it
    restores by the version of its event and its ordinal there.
    """

    position: int
    stream: UUID
    version: int
    ordinal: int
    transaction: int
    namespace: str
    customer: str
    account: str
    address: str
    currency: str
    currency_code: str
    cost_basis_currency: str | None
    cost_basis: Decimal | None
    features: JsonText
    credit_priority: int | None
    authorization: str | None
    tax_code: str | None
    tax_behavior: str | None
    amount: Decimal
    source: UUID | None
    spend: UUID | None
    collection_index: int | None
    corrects_version: int | None
    corrects_ordinal: int | None
    template: str
    direction: str
    booked_at: datetime
    accounting_date: datetime
    recorded_at: datetime
    log_time: datetime


@lru_cache(maxsize=4096)
def _of_route(account: str, route: Any) -> tuple[Any, ...]:
    """The columns from `account` to `tax_behavior`."""
    key, address = address_of(account, route)
    return (
        address.account,
        key,
        address.currency,
        route.currency.code,
        address.cost_basis_currency,
        address.cost_basis,
        json_text(address.features),
        *address[5:],
    )


def _rows(entry: Entry) -> Iterator[LedgerEntry]:
    position, log_time, record = entry
    ordinal = 0
    where = (record.namespace, record.customer or "")
    for place, transaction in enumerate(record.body.transactions):
        ending = (
            transaction.template.value,
            transaction.direction.value,
            transaction.booked_at,
            transaction.accounting_date,
            record.recorded_at,
            log_time,
        )
        for each in transaction.entries:
            corrects = each.corrects
            yield LedgerEntry._make(
                (
                    position,
                    record.stream,
                    record.version,
                    ordinal,
                    place,
                    *where,
                    *_of_route(each.account, each.route),
                    plain(each.amount),
                    each.source,
                    each.spend,
                    each.index,
                    corrects.version if corrects else None,
                    corrects.ordinal if corrects else None,
                    *ending,
                )
            )
            ordinal += 1


LEDGER_ENTRIES = Appended(
    name="ledger_entries",
    version=1,
    row=LedgerEntry,
    key=("position", "ordinal"),
    unique=(("stream", "version", "ordinal"),),
    indexes=(("namespace", "customer", "currency", "booked_at"),),
    listens=frozenset(event.NAME for event in EVENTS if "transactions" in event.__struct_fields__),
    rows=_rows,
)
