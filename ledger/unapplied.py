"""What invoices say of money that nobody asks for any more, carried out in the pool of its currency (decisions 23, 27).

The pool knows which invoices have unapplied credit, so that issuing the next one does not look through all of them.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.credits import decisions as pools
from aggregates.credits.events import UnappliedUse
from aggregates.credits.pool import CreditPool
from aggregates.credits.requests import InvoicePayment, SpendUnapplied
from aggregates.event import Stream
from aggregates.invoices.effects import ExcessReceived, UnappliedCreditApplied, UnappliedNotice
from aggregates.values.identifiers import pool_id
from aggregates.values.money import Currency
from aggregates.values.period import Instant, instant
from ledger.units import Work


def stream_of(work: Work, customer: str, currency: Currency) -> Stream:
    """The pool in which the customer's money of a fiat currency is booked."""
    return Stream("credit_pool", pool_id(work.namespace, customer, currency.key), customer)


def arisen(work: Work, customer: str, currency: Currency) -> dict[UUID, Decimal]:
    """The invoices on which unapplied credit of the customer is left, oldest first, and how much."""
    pool: CreditPool | None = work.state(stream_of(work, customer, currency))
    return {invoice: pool.unapplied[invoice].amount for invoice in sorted(pool.unapplied)} if pool is not None else {}


def keep_excess(work: Work, notice: ExcessReceived, closed_until: Instant | None) -> None:
    """Money nobody asked for is the customer's unapplied credit: open receivable above zero (decision 27)."""
    stream = stream_of(work, notice.customer, notice.currency)
    request = InvoicePayment(
        charge=notice.charge_id,
        line=notice.line_id,
        invoice=notice.invoice_id,
        amount=notice.amount,
        booked_at=instant(work.now),
        closed_until=closed_until,
    )
    event = pools.settle_invoice(_pool(work, stream, notice.currency), request)
    if event is not None:
        work.draft.emit(stream, event)


def spend(work: Work, notice: UnappliedNotice, closed_until: Instant | None) -> None:
    """Record that unapplied credit was set against an invoice, or book that it is paid back."""
    stream = stream_of(work, notice.customer, notice.currency)
    request = SpendUnapplied(
        invoice=notice.invoice_id,
        amount=notice.amount,
        use=UnappliedUse.REFUNDED,
        booked_at=instant(work.now),
        closed_until=closed_until,
    )
    if isinstance(notice, UnappliedCreditApplied):
        request = msgspec.structs.replace(
            request, use=UnappliedUse.APPLIED, to_invoice=notice.to_invoice, settles=notice.settles
        )
    work.draft.emit(stream, pools.spend_unapplied(_pool(work, stream, notice.currency), request))


def _pool(work: Work, stream: Stream, currency: Currency) -> CreditPool:
    state: CreditPool | None = work.state(stream)
    return state if state is not None else CreditPool.empty(currency)
