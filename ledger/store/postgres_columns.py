"""Between saves and PostgreSQL's rows: what is written goes as one array per column, what is read comes as tuples."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.store import arrays, claims
from ledger.store.arrays import Array
from ledger.store.group_commit import Job
from ledger.store.postgres_database import Row
from ledger.store.store import ChargeIndexRow, Receipt, Reservation, Written

PARAMETERS = 37
"""How many columns `ledger_append` takes."""

_decode_written = msgspec.json.Decoder(tuple[Written, ...]).decode
_encode = msgspec.json.encode


def parameters(jobs: Sequence[Job]) -> tuple[Array, ...]:
    """A group of saves as the columns that the server function takes, in its order."""
    saves = [(number, each.save) for number, each in enumerate(jobs, 1)]
    events = [(number, place, row) for number, save in saves for place, row in enumerate(save.records)]
    relied = [(number, stream, version) for number, each in enumerate(jobs, 1) for stream, version in each.versions]
    receipts = [(number, save.receipt) for number, save in saves if save.receipt is not None]
    charges = [(number, row, claims.birth(save, row)) for number, save in saves for row in claims.charges(save)]
    holds = [(number, hold) for number, each in enumerate(jobs, 1) for hold in each.holds]
    return (
        arrays.moments([each.now for each in jobs]),
        arrays.ints([len(save.records) for _, save in saves]),
        arrays.ints([number for number, _, _ in events]),
        arrays.ints([place for _, place, _ in events]),
        arrays.uuids([row.stream for _, _, row in events]),
        arrays.bigints([row.version for _, _, row in events]),
        arrays.texts([row.name for _, _, row in events]),
        arrays.byteas([row.data for _, _, row in events]),
        arrays.byteas([row.digest for _, _, row in events]),
        arrays.ints([number for number, _, _ in relied]),
        arrays.uuids([stream for _, stream, _ in relied]),
        arrays.bigints([version for _, _, version in relied]),
        arrays.ints([number for number, _ in receipts]),
        arrays.texts([receipt.namespace for _, receipt in receipts]),
        arrays.texts([receipt.customer for _, receipt in receipts]),
        arrays.uuids([receipt.command_id for _, receipt in receipts]),
        arrays.texts([receipt.unit for _, receipt in receipts]),
        arrays.texts([receipt.fingerprint for _, receipt in receipts]),
        arrays.texts([bytes(receipt.answer).decode() for _, receipt in receipts]),
        arrays.texts([_encode(receipt.written).decode() for _, receipt in receipts]),
        arrays.texts([str(receipt.digest) for _, receipt in receipts]),
        arrays.ints([number for number, _, _ in charges]),
        arrays.uuids([row.charge for _, row, _ in charges]),
        arrays.texts([row.namespace for _, row, _ in charges]),
        arrays.texts([row.customer for _, row, _ in charges]),
        arrays.texts([row.charge_type for _, row, _ in charges]),
        arrays.texts([row.status for _, row, _ in charges]),
        arrays.moments([row.advance_after for _, row, _ in charges]),
        arrays.bigints([row.ordinal for _, row, _ in charges]),
        arrays.bigints([birth for _, _, birth in charges]),
        arrays.ints([number for number, _ in holds]),
        arrays.texts([hold.namespace for _, hold in holds]),
        arrays.texts([hold.customer for _, hold in holds]),
        arrays.texts([hold.kind for _, hold in holds]),
        arrays.texts([hold.key for _, hold in holds]),
        arrays.uuids([hold.wanted for _, hold in holds]),
        arrays.uuids([hold.owner for _, hold in holds]),
    )


def charge_columns(rows: Sequence[ChargeIndexRow]) -> tuple[Array, ...]:
    """Rows of the charge index, column by column."""
    return (
        arrays.texts([row.namespace for row in rows]),
        arrays.texts([row.customer for row in rows]),
        arrays.uuids([row.charge for row in rows]),
        arrays.texts([row.charge_type for row in rows]),
        arrays.texts([row.status for row in rows]),
        arrays.moments([row.advance_after for row in rows]),
        arrays.bigints([row.ordinal for row in rows]),
    )


def reservation_columns(rows: Sequence[Reservation]) -> tuple[Array, ...]:
    """Keys that somebody holds, column by column."""
    held = [row for row in rows if row.owner is not None]
    return (
        arrays.texts([row.namespace for row in held]),
        arrays.texts([row.customer for row in held]),
        arrays.texts([row.kind for row in held]),
        arrays.texts([row.key for row in held]),
        arrays.uuids([row.owner for row in held]),
    )


def receipt_of(row: Row) -> Receipt:
    """A row of the receipts, in the order in which the store selects them."""
    namespace, customer, command_id, unit, fingerprint, answer, written, digest = row[:8]
    return Receipt(
        namespace=namespace,
        customer=customer,
        command_id=command_id,
        unit=unit,
        fingerprint=fingerprint,
        answer=msgspec.Raw(answer.encode()),
        written=_decode_written(written),
        digest=digest,
    )
