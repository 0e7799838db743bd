"""What a decision about an invoice may know of the world; asked for before it decides, recorded by what it decides."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.invoices.documents import Party
from aggregates.invoices.lines import LineTax
from aggregates.invoices.statuses import NothingDue
from aggregates.values.decimals import ZERO
from aggregates.values.identifiers import Mint
from aggregates.values.period import Duration
from aggregates.values.totals import Totals


class TaxNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """A question to the tax port: what is to be paid on top of the line's total."""

    line_id: UUID
    charge_id: UUID
    totals: Totals
    tax_code: str | None = None


class InvoiceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one command knows of the world, the same for all invoices of the command.

    `now` is the clock's reading, unrounded. `zone`, `auto_approve` and `payment_terms` are of the customer's effective
    profile; `credit_notes` and `nothing_due` are policies. `taxes` answers `taxes_needed` by line id; None where nobody
    calculates tax, and the invoice says so. `unapplied_from` are invoices of the customer, in hand, whose unapplied
    credit is to be set against what is issued, in this order. `unapplied_in_books`: how much of it the ledger has as
    such, which is less only where credit was taken back before its price was moved there; None where nobody asks it.
    """

    now: datetime
    mint: Mint
    seller: Party
    buyer: Party
    zone: str = "UTC"
    auto_approve: bool = False
    payment_terms: Duration = Duration(days=30)
    credit_notes: bool = True
    nothing_due: NothingDue = NothingDue.PAID
    invoice_series: str = "INV"
    credit_note_series: str = "CN"
    taxes: Mapping[UUID, LineTax] | None = None
    unapplied_from: tuple[UUID, ...] = ()
    unapplied_in_books: Mapping[UUID, Decimal] | None = None

    def usable(self, invoice_id: UUID, unapplied: Decimal) -> Decimal:
        """What of the unapplied credit of an invoice can be set against another one, or paid back."""
        known = self.unapplied_in_books
        return unapplied if known is None else min(unapplied, known.get(invoice_id, ZERO))
