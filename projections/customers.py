"""`customers`: one row per customer, with its billing profile as it stands; what is absent is the namespace's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from aggregates.customers import EVENTS, CustomerCreated, CustomerDeleted, CustomerProfileChanged
from projections.projection import Entry, Key, Keyed


class CustomerRow(NamedTuple):
    """A customer. `collection_interval` is an ISO duration, `zone` an IANA zone; times are UTC."""

    namespace: str
    customer: str
    name: str
    collection_interval: str | None
    zone: str | None
    usage_credit_cut: str | None
    created_at: datetime
    deleted_at: datetime | None
    position: int


def _keys(entry: Entry) -> Iterator[Key]:
    record = entry.record
    yield record.namespace, record.customer


def _apply(row: CustomerRow | None, entry: Entry, key: Key) -> CustomerRow | None:
    record, body = entry.record, entry.record.body
    if isinstance(body, CustomerCreated):
        namespace, customer = key
        row = CustomerRow(namespace, customer, body.name, None, None, None, record.at, None, entry.position)
    if row is not None and isinstance(body, CustomerDeleted):
        return row._replace(deleted_at=record.at, position=entry.position)
    if row is None or not isinstance(body, CustomerCreated | CustomerProfileChanged):
        return row
    profile = body.profile
    return row._replace(
        collection_interval=profile.collection_interval,
        zone=profile.zone,
        usage_credit_cut=profile.usage_credit_cut.value if profile.usage_credit_cut else None,
        position=entry.position,
    )


CUSTOMERS = Keyed(
    name="customers",
    version=2,
    row=CustomerRow,
    key=("namespace", "customer"),
    listens=frozenset(event.NAME for event in EVENTS),
    keys=_keys,
    apply=_apply,
)
