"""Invoices of which a step failed: listed with the reasons, and repeated by the worker until the reason is gone.

A charge that refused its part, or an outside that did not answer, leaves an invoice in the failed status of the step
(lifecycles §17.3). Nobody has to come by: each pass of a worker repeats it, and what fails in the same way again is not
recorded, so that a tax office that is down for a day leaves one event behind and not thousands.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import msgspec

from aggregates.invoices.lifecycle import FAILED_AT
from aggregates.values.money import Currency, fiat
from ledger.context import Context
from ledger.store.follow import Follower
from ledger.stuck import remedy
from projections.invoices import INVOICES, InvoiceRow
from projections.stores.tables import Where

STATUSES = tuple(sorted(status.value for status in FAILED_AT.values()))
"""The statuses of a step that failed; few invoices are in one, however many there are."""

PAGE = 1_000


class InvoiceIssue(msgspec.Struct, frozen=True):
    """Why a step was refused; `line` is absent where it was not one line's doing. `remedy` is what frees it."""

    code: str
    message: str
    line: UUID | None
    remedy: str


class FailingInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice that waits in `status` for the reasons of its `issues` to go, since then, UTC.

    Every pass of a worker tries it again.
    """

    invoice: UUID
    customer: str
    status: str
    currency: Currency
    since: datetime
    issues: tuple[InvoiceIssue, ...]


class FailingInvoices:
    """Finds invoices of which a step failed."""

    def __init__(self, context: Context, follower: Follower) -> None:
        self._context = context
        self._follower = follower

    def find(self) -> Iterator[FailingInvoice]:
        """All of them, in order of creation; what it costs does not grow with the invoices that are over."""
        after = -1
        while True:
            with self._follower.reading((INVOICES.name,)) as reader:
                rows = reader.select(
                    INVOICES,
                    [
                        Where("namespace", "=", self._context.namespace),
                        Where("status", "in", STATUSES),
                        Where("created_position", ">", after),
                    ],
                    order=("created_position",),
                    limit=PAGE,
                )
            yield from (_failing(row) for row in rows)
            if len(rows) < PAGE:
                return
            after = rows[-1].created_position

    def by_customer(self) -> dict[str, list[UUID]]:
        """The invoices of each customer that has any."""
        found: dict[str, list[UUID]] = {}
        for each in self.find():
            found.setdefault(each.customer, []).append(each.invoice)
        return found


def _failing(row: InvoiceRow) -> FailingInvoice:
    return FailingInvoice(
        invoice=row.invoice,
        customer=row.customer,
        status=row.status,
        currency=fiat(row.currency_code),
        since=row.updated_at,
        issues=tuple(_issue(each) for each in row.issues if each["severity"] == "critical"),
    )


def _issue(found: dict[str, str]) -> InvoiceIssue:
    line = found.get("line_id")
    code, message = found["code"], found["message"]
    return InvoiceIssue(code, message, UUID(line) if line else None, remedy(code, message))
