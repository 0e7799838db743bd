"""`invoices`: one row per invoice, as it stands: its document, its lines, and what became of their money."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from aggregates.invoices.events import (
    EVENTS,
    ApprovalAwaited,
    CreditNoteIssued,
    InvoiceApproved,
    InvoiceDeleted,
    InvoiceDescribed,
    InvoiceDrafted,
    InvoiceIssued,
    InvoiceWarned,
    PaymentAuthorized,
    PaymentFailed,
    PaymentSettled,
    StepFailed,
    StepRetried,
    TaxCalculated,
    UnappliedCreditUsed,
)
from aggregates.values import decimals
from aggregates.values.decimals import EXACT, ZERO
from projections.invoice_lines import changed_lines, collected, figures, is_live
from projections.plain import json_extended, json_text, moment, plain
from projections.projection import Entry, JsonText, Key, Keyed, changed


class InvoiceRow(NamedTuple):
    """An invoice. Amounts are in its fiat currency; times are UTC, dates days in the customer's zone, as ISO text.

    `number`, the dates and `document` (with seller and buyer) are there once it is issued. `amount` to `total` and
    `tax_total` sum the live lines; `payable` = `total` + `tax_total` = `paid` + `credited` + `written_off` + `open`;
    `authorized` is promised and a part of what is open. `unapplied` is credit of the customer that arose here and was
    not used. `lines` are in order of creation, deleted ones too. `collection_at` is when a draft can be collected.
    `taxed`: tax was asked for.
    """

    invoice: UUID
    namespace: str
    customer: str
    status: str
    meta_status: str
    currency_code: str
    currency_precision: int
    description: str | None
    number: str | None
    issued_at: datetime | None
    issue_date: str | None
    due_date: str | None
    tax_point: str | None
    document: JsonText | None
    amount: Decimal
    charges_total: Decimal
    discounts_total: Decimal
    credits_total: Decimal
    total: Decimal
    tax_total: Decimal
    taxed: bool
    payable: Decimal
    authorized: Decimal
    paid: Decimal
    credited: Decimal
    written_off: Decimal
    open: Decimal
    unapplied: Decimal
    lines: list[Any]
    payments: JsonText
    credit_notes: JsonText
    issues: list[Any]
    collection_at: datetime | None
    approved_by: str | None
    deleted_at: datetime | None
    created_at: datetime
    updated_at: datetime
    created_position: int
    position: int


def _keys(entry: Entry) -> tuple[Key]:
    return ((entry.record.stream,),)


def _apply(row: InvoiceRow | None, entry: Entry, key: Key) -> InvoiceRow | None:
    body, at = entry.record.body, entry.record.at
    if isinstance(body, InvoiceDrafted):
        return _drafted(body, entry)
    if row is None:
        return None
    changes = _changes(row, body, at)
    lines = collected(row.lines) if _collects(body) else changed_lines(row.lines, body)
    if lines is not None:
        changes |= {"lines": lines, "collection_at": _collection_at(lines), **figures(lines)}
    moved = getattr(body, "moved", None)
    if moved is not None:
        changes |= {"status": moved.status_to.value, "meta_status": moved.status_to.meta}
    return changed(row, changes | {"updated_at": at, "position": entry.position})


def _drafted(body: InvoiceDrafted, entry: Entry) -> InvoiceRow:
    record, lines = entry.record, [plain(line) for line in body.lines]
    return InvoiceRow(
        invoice=record.stream,
        namespace=record.namespace,
        customer=record.customer or "",
        status=body.moved.status_to.value,
        meta_status=body.moved.status_to.meta,
        currency_code=body.currency.code,
        currency_precision=body.currency.precision,
        description=body.description,
        number=None,
        issued_at=None,
        issue_date=None,
        due_date=None,
        tax_point=None,
        document=None,
        **figures(lines),
        taxed=False,
        unapplied=ZERO,
        lines=lines,
        payments=JsonText("[]"),
        credit_notes=JsonText("[]"),
        issues=[],
        collection_at=_collection_at(lines),
        approved_by=None,
        deleted_at=None,
        created_at=record.at,
        updated_at=record.at,
        created_position=entry.position,
        position=entry.position,
    )


def _changes(row: InvoiceRow, body: Any, at: datetime) -> dict[str, Any]:
    """What the event changes besides lines and status."""
    match body:
        case InvoiceDescribed():
            return {"description": body.description}
        case InvoiceApproved():
            return {"approved_by": body.by.value}
        case InvoiceDeleted():
            return {"deleted_at": body.deleted_at}
        case InvoiceIssued():
            return _issued(body, at)
        case TaxCalculated():
            return {"taxed": True}
        case StepFailed():
            return {"issues": [*row.issues, *plain(body.issues)]}
        case StepRetried():
            return {"issues": [issue for issue in row.issues if issue["severity"] != "critical"]}
        case InvoiceWarned():
            return {"issues": [*row.issues, plain(body.issue)]}
        case _:
            return _money(row, body, at)


def _money(row: InvoiceRow, body: Any, at: datetime) -> dict[str, Any]:
    match body:
        case PaymentAuthorized():
            return _payment(row, "authorized", body.amount, at, body)
        case PaymentSettled():
            unapplied = EXACT.add(row.unapplied, body.excess)
            return _payment(row, "settled", body.amount, at, body) | {"unapplied": unapplied}
        case PaymentFailed():
            released = ZERO
            for share in body.released:
                released = EXACT.add(released, share.amount)
            return _payment(row, "failed", released, at, None)
        case CreditNoteIssued():
            unapplied = row.unapplied
            for line in body.credit_note.lines:
                unapplied = EXACT.add(unapplied, line.freed)
            return {"credit_notes": json_extended(row.credit_notes, (body.credit_note,)), "unapplied": unapplied}
        case UnappliedCreditUsed():
            return {"unapplied": EXACT.subtract(row.unapplied, body.amount)}
        case _:
            return {}


def _issued(body: InvoiceIssued, at: datetime) -> dict[str, Any]:
    document = {"number": body.number, "seller": body.seller, "buyer": body.buyer}
    return {
        "number": body.number.text,
        "issued_at": at,
        "issue_date": body.issue_date.isoformat(),
        "due_date": body.due_date.isoformat(),
        "tax_point": body.tax_point.isoformat(),
        "document": json_text(document),
    }


def _payment(
    row: InvoiceRow, kind: str, amount: Decimal, at: datetime, body: PaymentAuthorized | PaymentSettled | None
) -> dict[str, Any]:
    record: dict[str, Any] = {"kind": kind, "amount": decimals.text(amount), "at": at}
    if body is not None:
        record |= {"reference": body.reference, "source": body.source}
    return {"payments": json_extended(row.payments, (record,))}


def _collects(body: object) -> bool:
    return isinstance(body, ApprovalAwaited | InvoiceApproved)


def _collection_at(lines: list[Any]) -> datetime | None:
    moments = [line["content"].get("collected_after") for line in lines if is_live(line)]
    return max((moment(each) for each in moments if each is not None), default=None)


INVOICES = Keyed(
    name="invoices",
    version=2,
    row=InvoiceRow,
    key=("invoice",),
    indexes=(
        ("namespace", "customer", "created_position"),
        ("namespace", "created_position"),
        ("namespace", "number"),
        ("namespace", "status", "created_position"),
    ),
    listens=frozenset(event.NAME for event in EVENTS),
    keys=_keys,
    apply=_apply,
)
