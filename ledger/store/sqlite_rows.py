"""Between SQLite's rows and ours: ids as hexadecimal text, instants as whole microseconds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from ledger.store.store import ChargeIndexRow, LogRecord, Receipt, Saved, Written

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_decode_written = msgspec.json.Decoder(tuple[Written, ...]).decode
_encode = msgspec.json.encode


def micros(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(micros: int) -> datetime:
    """The instant of that many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def log_records(rows: Iterable[tuple[Any, ...]]) -> list[LogRecord]:
    """Rows of the log; a save's records share its moment, and a page has far fewer streams than records."""
    page = list(rows)
    streams = {stream: UUID(stream) for stream in {row[1] for row in page}}
    moments = {log_time: moment_of(log_time) for log_time in {row[6] for row in page}}
    return [
        LogRecord(position, streams[stream], version, name, data, digest, moments[log_time], last)
        for position, stream, version, name, data, digest, log_time, last in page
    ]


def receipt_key(receipt: Receipt) -> tuple[str, str, str]:
    """What a receipt is unique by."""
    return receipt.namespace, receipt.customer, receipt.command_id.hex


def receipt_row(receipt: Receipt, saved: Saved, log_time: int) -> tuple[object, ...]:
    """A receipt as it is inserted."""
    texts = (receipt.unit, receipt.fingerprint, bytes(receipt.answer).decode(), _encode(receipt.written).decode())
    return (*receipt_key(receipt), *texts, receipt.digest, saved.first, saved.last, log_time)


def receipt_of(row: Any) -> Receipt:
    """A row of the receipts, in the order in which the store selects them."""
    namespace, customer, command_id, unit, fingerprint, answer, written, digest = row[:8]
    return Receipt(
        namespace=namespace,
        customer=customer,
        command_id=UUID(command_id),
        unit=unit,
        fingerprint=fingerprint,
        answer=msgspec.Raw(answer.encode()),
        written=_decode_written(written),
        digest=digest,
    )


def charge_of(row: Any) -> ChargeIndexRow:
    """A row of the charge index, in the order in which the store selects them."""
    namespace, customer, charge, charge_type, status, advance_after, ordinal = row
    due = None if advance_after is None else moment_of(advance_after)
    return ChargeIndexRow(namespace, customer, UUID(charge), charge_type, status, due, ordinal)
