"""How money spreads over the lines of an invoice: in the order of the lines, each as far as it goes.

Filling line by line, instead of a little of each, settles as many charges as the money can settle. What is left when
all lines are full is the customer's unapplied credit. Each share knows its net, what the ledger books of it.

    lines of 30.00 and 70.00, 50.00 arrive: 30.00 settles the first line, 20.00 is paid of the second
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aggregates.invoices.effects import (
    ExcessReceived,
    LinePaymentAuthorized,
    LinePaymentSettled,
    LineReinstated,
    PaymentSource,
    UnappliedCreditApplied,
)
from aggregates.invoices.events import LineShare, PaymentSettled, UnappliedCreditUsed
from aggregates.invoices.lines import InvoiceLine, LineKind, Portion
from aggregates.invoices.state import Invoice
from aggregates.invoices.turn import InvoiceTurn
from aggregates.values.decimals import ZERO


class Share(NamedTuple):
    """A line and its part of an amount."""

    line: InvoiceLine
    portion: Portion


def spread(invoice: Invoice, amount: Decimal, bucket: Callable[[InvoiceLine], Portion]) -> list[Share]:
    """The shares of live lines in an amount, each at most its bucket; they may sum to less than the amount."""
    shares: list[Share] = []
    for line in invoice.live_lines:
        available = bucket(line)
        taken = min(amount, available.amount)
        if taken > 0:
            shares.append(Share(line, available.share(taken, invoice.currency)))
            amount -= taken
    return shares


def recorded(shares: Sequence[Share]) -> tuple[LineShare, ...]:
    """Shares as an event carries them."""
    return tuple(LineShare(line_id=s.line.line_id, amount=s.portion.amount, net=s.portion.net) for s in shares)


def total_of(shares: Sequence[Share]) -> Decimal:
    """The amount of several shares together."""
    return sum((share.portion.amount for share in shares), ZERO)


def receive(turn: InvoiceTurn, amount: Decimal, reference: str | None, source: PaymentSource) -> list[Share]:
    """Record that money arrived, and note what the charges have to be told of it; the shares of the lines.

    What was promised is taken first on every line, then the rest of what is open; what had been written off comes
    last and is reinstated before it is paid (decision 22).
    """
    invoice = turn.invoice
    kept: list[Share] = []
    unpromised: list[Share] = []
    left = amount
    for share in spread(invoice, amount, lambda line: line.open):
        line, taken = share.line, share.portion.amount
        of_promise = min(taken, line.authorized.amount)
        if of_promise:
            kept.append(Share(line, line.authorized.share(of_promise, invoice.currency)))
        if taken > of_promise:
            unpromised.append(Share(line, line.unauthorized.share(taken - of_promise, invoice.currency)))
        left -= taken
    reinstated = spread(invoice, left, lambda line: line.written_off)
    excess = left - total_of(reinstated)

    paid = _by_line([*kept, *unpromised, *reinstated])
    turn.emit(
        PaymentSettled(
            amount=amount,
            shares=recorded(paid),
            kept_promises=recorded(kept),
            reinstated=recorded(reinstated),
            excess=excess,
            reference=reference,
            source=source,
        )
    )
    for line, portion in reinstated:
        turn.tell(LineReinstated, line, amount=portion.amount, net=portion.net)
    for line, portion in _by_line([*unpromised, *reinstated]):
        promised = portion.amount == line.unauthorized.plus(line.written_off).amount
        turn.tell(LinePaymentAuthorized, line, amount=portion.amount, net=portion.net, in_full=promised, source=source)
    for line, portion in paid:
        now = turn.line(line.line_id)
        in_full = not now.open.amount and not now.written_off.amount
        turn.tell(LinePaymentSettled, line, amount=portion.amount, net=portion.net, in_full=in_full, source=source)
    if excess:
        turn.notices.append(_excess(turn.invoice, excess))
    return paid


def apply_unapplied_credit(turn: InvoiceTurn) -> None:
    """Set what the customer has left over from other invoices against this one, in the order they are named.

    Invoices of another currency are passed over: unapplied credit is never converted (decision 23). An invoice that
    sells credit is paid with money: the pool has no posting yet that moves what is left over to a purchase, and to
    book it as money that came would be to have received it twice.
    """
    if any(line.kind is LineKind.CREDIT_PURCHASE for line in turn.invoice.live_lines):
        return
    for source_id in turn.facts.unapplied_from:
        source: Invoice | None = turn.draft.state(source_id)
        assert source is not None, f"invoice {source_id} has to be in hand before its unapplied credit is used"
        assert source.customer == turn.invoice.customer, f"invoice {source_id} is of another customer"
        amount = min(turn.facts.usable(source_id, source.unapplied), turn.invoice.open)
        if amount > 0 and source.currency == turn.invoice.currency:
            turn.draft.emit(source.stream, UnappliedCreditUsed(amount=amount, invoice_id=turn.invoice_id))
            paid = receive(turn, amount, None, PaymentSource.UNAPPLIED_CREDIT)
            turn.notices.append(
                UnappliedCreditApplied(
                    customer=source.customer,
                    invoice_id=source.id,
                    amount=amount,
                    currency=source.currency,
                    to_invoice=turn.invoice_id,
                    settles=tuple((share.line.line_id, share.portion.net) for share in paid),
                )
            )


def _by_line(shares: Sequence[Share]) -> list[Share]:
    """One share a line, in the order of their first appearance."""
    merged: dict[UUID, Share] = {}
    for line, portion in shares:
        before = merged.get(line.line_id)
        merged[line.line_id] = Share(line, before.portion.plus(portion) if before else portion)
    return list(merged.values())


def _excess(invoice: Invoice, amount: Decimal) -> ExcessReceived:
    last = invoice.live_lines[-1] if invoice.live_lines else None
    return ExcessReceived(
        customer=invoice.customer,
        invoice_id=invoice.id,
        charge_id=last.charge_id if last else None,
        line_id=last.line_id if last else None,
        amount=amount,
        currency=invoice.currency,
    )
