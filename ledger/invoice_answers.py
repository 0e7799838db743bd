"""What `ledger.views` answers of invoices: frozen records with named fields, made of the rows of the view."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.invoices.documents import CreditNote, Issue, Issued, Number, Party
from aggregates.invoices.lines import InvoiceLine
from aggregates.invoices.state import Invoice, PaymentRecord
from aggregates.values.money import Currency
from aggregates.values.totals import Totals
from projections.invoices import InvoiceRow


class InvoiceView(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice as it stands. Amounts are in `currency`, which is fiat; times are UTC, dates days of the customer.

    `issued` is what issuing fixed: number, dates, seller and buyer; absent while it is a draft. `totals` and
    `tax_total` sum its live lines; `payable` = `totals.total` + `tax_total` = `paid` + `credited` + `written_off` +
    `open`, and `authorized` is a part of what is open. `unapplied` is credit of the customer that arose here and was
    not used yet.
    `taxed`: somebody calculated tax; without that it shows none. `lines` are in order of creation, deleted ones too.
    """

    invoice: UUID
    customer: str
    status: str
    meta_status: str
    currency: Currency
    description: str | None
    issued: Issued | None
    totals: Totals
    tax_total: Decimal
    taxed: bool
    payable: Decimal
    authorized: Decimal
    paid: Decimal
    credited: Decimal
    written_off: Decimal
    open: Decimal
    unapplied: Decimal
    lines: tuple[InvoiceLine, ...]
    payments: tuple[PaymentRecord, ...]
    credit_notes: tuple[CreditNote, ...]
    issues: tuple[Issue, ...]
    collection_at: datetime | None
    approved_by: str | None
    deleted_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def number(self) -> str | None:
        """The number of the document; nothing before it is issued."""
        return self.issued.number.text if self.issued is not None else None

    @property
    def live_lines(self) -> tuple[InvoiceLine, ...]:
        """The lines that count, in order of creation."""
        return tuple(line for line in self.lines if line.is_live)


def invoice_view(row: InvoiceRow) -> InvoiceView:
    """An invoice as it is answered."""
    return InvoiceView(
        invoice=row.invoice,
        customer=row.customer,
        status=row.status,
        meta_status=row.meta_status,
        currency=Currency(row.currency_code, row.currency_precision),
        description=row.description,
        issued=_issued(row),
        totals=Totals(
            amount=row.amount,
            charges_total=row.charges_total,
            discounts_total=row.discounts_total,
            credits_total=row.credits_total,
            total=row.total,
        ),
        tax_total=row.tax_total,
        taxed=row.taxed,
        payable=row.payable,
        authorized=row.authorized,
        paid=row.paid,
        credited=row.credited,
        written_off=row.written_off,
        open=row.open,
        unapplied=row.unapplied,
        lines=msgspec.convert(row.lines, tuple[InvoiceLine, ...]),
        payments=msgspec.json.decode(row.payments, type=tuple[PaymentRecord, ...]),
        credit_notes=msgspec.json.decode(row.credit_notes, type=tuple[CreditNote, ...]),
        issues=msgspec.convert(row.issues, tuple[Issue, ...]),
        collection_at=row.collection_at,
        approved_by=row.approved_by,
        deleted_at=row.deleted_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def invoice_answer(state: Invoice) -> InvoiceView:
    """The same record of an invoice in hand: right after a command, before any view has seen it."""
    return InvoiceView(
        invoice=state.id,
        customer=state.customer,
        status=state.status.value,
        meta_status=state.status.meta,
        currency=state.currency,
        description=state.description,
        issued=state.issued,
        totals=state.totals,
        tax_total=state.tax_total,
        taxed=state.taxed,
        payable=state.payable,
        authorized=state.authorized,
        paid=state.paid,
        credited=state.credited,
        written_off=state.written_off,
        open=state.open,
        unapplied=state.unapplied,
        lines=state.lines,
        payments=state.payments,
        credit_notes=state.credit_notes,
        issues=state.issues,
        collection_at=state.collection_at,
        approved_by=state.approved_by.value if state.approved_by is not None else None,
        deleted_at=state.deleted_at,
        created_at=state.created_at,
        updated_at=state.updated_at,
    )


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: Number
    seller: Party
    buyer: Party


def _issued(row: InvoiceRow) -> Issued | None:
    if row.document is None:
        return None
    assert row.issued_at is not None, f"invoice {row.invoice} was issued at no time"
    document = msgspec.json.decode(row.document, type=_Document)
    return Issued(
        number=document.number,
        issued_at=row.issued_at,
        issue_date=_day(row.issue_date),
        due_date=_day(row.due_date),
        tax_point=_day(row.tax_point),
        seller=document.seller,
        buyer=document.buyer,
    )


def _day(written: str | None) -> date:
    assert written is not None, "an issued invoice has all its dates"
    return date.fromisoformat(written)
