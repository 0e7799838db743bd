"""Unapplied credit: money of the customer that no invoice asks for any more (decisions 23, 27).

It arises where a paid line is credited or too much is paid, and stands as open receivable above zero. The pool knows
on which invoices, so that nobody has to look through all of them; the same figure is on the invoice. It is set against
the next invoice, which books nothing, as both are the same receivable; it is paid back; or it becomes credit.
"""

from __future__ import annotations

from decimal import Decimal

from aggregates.credits.events import AppliedPart, UnappliedCreditSpent, UnappliedUse
from aggregates.credits.invoicing import hand_out, invoice_route
from aggregates.credits.pool import Accrual, CreditPool, Unapplied
from aggregates.credits.posting import Postings, opened, when
from aggregates.credits.refusals import NothingUnapplied
from aggregates.credits.requests import SpendUnapplied
from aggregates.journal import templates
from aggregates.values.decimals import ZERO, divide, exact


@exact
def spend_unapplied(pool: CreditPool, request: SpendUnapplied) -> UnappliedCreditSpent:
    """Record what becomes of unapplied credit of an invoice; of its net, which is what the ledger has of it.

    A refund is booked: wash +x, receivable[open, 1] -x. Set against an invoice, or granted (`open_balance`, in the same
    save), nothing more is booked. Raises `NothingUnapplied`. 100.00 paid, credited with 67.74, refunded: open 0.00,
    wash -32.26.
    """
    request = opened(request)
    known = pool.unapplied.get(request.invoice, Unapplied())
    if not ZERO < request.amount <= known.amount:
        raise NothingUnapplied(request.amount, known.amount, request.invoice)
    net = net_of(pool, request)
    mine = [accrual for accrual in pool.accruals.values() if accrual.invoice == request.invoice]
    shares, beyond = hand_out(mine, net, _paid_too_much)

    postings = Postings()
    at = when(request.booked_at, request)
    if request.use is UnappliedUse.REFUNDED:
        for accrual, share in shares:
            postings.add(templates.refund(accrual.route, share, at, spend=accrual.charge))
        if beyond:
            spend = mine[-1].charge if mine else None
            postings.add(templates.refund(invoice_route(pool, mine), beyond, at, spend=spend))
    taken = [AppliedPart(accrual=accrual.sequence, amount=-share) for accrual, share in shares]
    by_line = {accrual.line: accrual.sequence for accrual in pool.accruals.values()}
    settled = [AppliedPart(accrual=by_line[line], amount=share) for line, share in request.settles if line in by_line]
    return UnappliedCreditSpent(
        currency=pool.currency,
        invoice=request.invoice,
        use=request.use,
        amount=request.amount,
        net=net,
        to_invoice=request.to_invoice,
        booked_at=request.booked_at,
        parts=(*taken, *settled),
        transactions=postings.all(),
    )


@exact
def net_of(pool: CreditPool, request: SpendUnapplied) -> Decimal:
    """The part of it that is not tax; what is taken last takes what remains of it."""
    known = pool.unapplied.get(request.invoice, Unapplied())
    if request.amount >= known.amount:
        return known.net
    return divide(known.net * request.amount, known.amount, pool.currency.precision)


def _paid_too_much(accrual: Accrual) -> Decimal:
    return accrual.settled - (accrual.amount - accrual.credited - accrual.written_off)
