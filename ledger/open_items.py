"""What of a customer is not over: everything that stands in the way of deleting it (decision 33)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from aggregates.charges import state as charge_state
from aggregates.charges.state import Charge
from aggregates.credits.pool import CreditPool
from aggregates.customers import OpenItem
from aggregates.event import Stream
from aggregates.invoices import state as invoice_state
from aggregates.invoices.state import Invoice
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.lifecycle import Status
from aggregates.values.decimals import text
from aggregates.values.identifiers import pool_id
from aggregates.values.period import Instant, instant
from ledger.context import Context
from ledger.rounds import invoices_of
from ledger.units import Work

SETTLED = frozenset(
    {
        InvoiceStatus.PAID,
        InvoiceStatus.WRITTEN_OFF,
        InvoiceStatus.VOIDED,
        InvoiceStatus.CLOSED_UNNUMBERED,
        InvoiceStatus.DELETED,
    }
)
"""Where an invoice asks for nothing any more."""


def open_items(context: Context, work: Work, customer: str) -> tuple[OpenItem, ...]:
    """Everything that is open, in order of creation: charges, what waits to be invoiced, invoices, and balances.

    All that is looked at is checked by version when the decision is saved. It looks at every charge there ever was: a
    customer is deleted once.
    """
    rows = context.repository.store.charges_of(context.namespace, customer)
    streams = [charge_state.stream(row.charge, customer) for row in rows]
    work.load(*streams)
    charges: list[Charge] = [work.draft.state(stream.id) for stream in streams]
    ids = sorted({invoice for charge in charges for invoice in invoices_of(charge)})
    work.load(*(invoice_state.stream(invoice, customer) for invoice in ids))
    return (
        *_charges(charges),
        *_invoices([work.draft.state(invoice) for invoice in ids]),
        *(item for pool in _pools(context, work, charges) for item in _balances(pool, instant(work.now))),
    )


def _charges(charges: Sequence[Charge]) -> Iterator[OpenItem]:
    for charge in charges:
        called = f"{charge.intent.effective.name!r} ({charge.id})"
        if charge.status not in (Status.FINAL, Status.DELETED):
            yield OpenItem(kind="charge", id=charge.id, detail=f"charge {called} is {charge.status.value}")
        elif charge.gathering_line is not None and not charge.is_deleted:
            yield OpenItem(kind="waiting_line", id=charge.id, detail=f"charge {called} waits to be invoiced")


def _invoices(invoices: Sequence[Invoice | None]) -> Iterator[OpenItem]:
    for invoice in invoices:
        # Those that a system outside made are known here by their ids alone; their charges tell how far they are.
        if invoice is not None and invoice.status not in SETTLED:
            called = invoice.issued.number.text if invoice.issued is not None else str(invoice.id)
            yield OpenItem(kind="invoice", id=invoice.id, detail=f"invoice {called} is {invoice.status.value}")


def _pools(context: Context, work: Work, charges: Sequence[Charge]) -> list[CreditPool]:
    """Every pool in which anything of the customer was booked."""
    ids: dict[UUID, None] = {}
    for charge in charges:
        ids[charge.pool.id] = None
        ids[pool_id(context.namespace, charge.customer, charge.invoice_currency.key)] = None
    work.load(*(Stream("credit_pool", pool, charges[0].customer) for pool in ids))
    return [pool for each in ids if (pool := work.draft.state(each)) is not None]


def _balances(pool: CreditPool, now: Instant) -> Iterator[OpenItem]:
    code = pool.currency.code
    for lot in pool.lots.values():
        if lot.balance and (lot.expires_at is None or lot.expires_at > now):
            since = "" if lot.effective_at <= now else f" from {lot.effective_at.isoformat()}"
            yield OpenItem(kind="credit", id=lot.source, detail=f"{text(lot.balance)} {code} of credit is left{since}")
    if pool.uncovered_advance:
        detail = f"{text(pool.uncovered_advance)} {code} of usage beyond credit is not covered"
        yield OpenItem(kind="advance", detail=detail)
    for invoice, unapplied in pool.unapplied.items():
        if unapplied.amount:
            detail = f"{text(unapplied.amount)} {code} of unapplied credit is left"
            yield OpenItem(kind="unapplied_credit", id=invoice, detail=detail)
