"""What the tests of the stores share: saves of a few bytes, and stores that are closed again."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec

from ledger.store.open import open_store
from ledger.store.store import ChargeIndexRow, NewRecord, Receipt, Save, Store, Written

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@contextmanager
def opened(url: str) -> Iterator[Store]:
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def records(stream: UUID, *versions: int, text: str = "") -> list[NewRecord]:
    """Records of one stream with bytes that tell them apart."""
    return [record(stream, version, text) for version in versions]


def record(stream: UUID, version: int, text: str = "") -> NewRecord:
    data = msgspec.json.encode({"stream": stream, "version": version, "text": text})
    return NewRecord(stream, version, "thing.happened.v1", data, hashlib.sha256(data).digest())


def receipt_of(written: list[NewRecord], command_id: UUID | None = None, customer: str = "acme") -> Receipt:
    return Receipt(
        namespace="default",
        customer=customer,
        command_id=command_id or uuid4(),
        unit="create_charge",
        fingerprint="f" * 64,
        answer=msgspec.Raw(b'{"charges":["c1"]}'),
        written=tuple(Written(row.stream, row.version, row.digest.hex()) for row in written),
    )


def charge_row(
    charge: UUID, customer: str = "acme", status: str = "created", due: datetime | None = NOON, ordinal: int = 0
) -> ChargeIndexRow:
    return ChargeIndexRow("default", customer, charge, "usage_based", status, due, ordinal)


def grow(store: Store, stream: UUID, count: int, start: int = 1, now: datetime = NOON) -> None:
    """Give a stream that many records, one save each."""
    for version in range(start, start + count):
        store.append(Save(records(stream, version)), now)


def whole_log(store: Store, page: int = 100) -> list[tuple[int, UUID, int]]:
    """The log in short: position, stream, version."""
    seen: list[tuple[int, UUID, int]] = []
    while rows := store.read_log(seen[-1][0] if seen else 0, page):
        seen += [(row.position, row.stream, row.version) for row in rows]
    return seen
