"""Money that goes back: refunds of what was voided, and payments that were taken back (decision 37, ledger §17).

What a purchase costs is the agreed price of the credit it still gives: of what was granted and not voided with its
price. Refund = paid - round(consumed x rate): 100 at 0.5 with 40 used and paid costs 20, so 30 go back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aggregates.credits.events import PurchasePaymentReversed, PurchaseRefunded
from aggregates.credits.pool import CreditPool, Purchase
from aggregates.credits.posting import Postings, opened, when
from aggregates.credits.purchases import Agreed, payment_routes, post_exchange, price
from aggregates.credits.refusals import NothingToRefund, NothingToReverse
from aggregates.credits.requests import RefundPurchase, ReversePayment
from aggregates.journal import templates
from aggregates.journal.chart import Route
from aggregates.journal.templates import When
from aggregates.values.decimals import ONE, ZERO, divide, exact


class Adjusted(NamedTuple):
    """What an adjustment did: fiat refunded, promised fiat given up, voided credit whose price is undone, and that."""

    refunded: Decimal = ZERO
    reduced: Decimal = ZERO
    credit: Decimal = ZERO
    worth: Decimal = ZERO


@exact
def refund(pool: CreditPool, request: RefundPurchase) -> PurchaseRefunded:
    """Give back what was paid for nothing: after a void that left it standing, or of a payment that was too much.

    Raises `NothingToRefund`. 100 at 0.5, paid, 40 used, voided without adjustment: 30 of the open +60 go back, the
    exchange of the other 30 is undone.
    """
    request = opened(request)
    known = pool.purchases.get(request.purchase, Purchase())
    at = when(request.booked_at, request)
    there = max(known.fiat_kept - price(pool, known), ZERO)
    if not there or (request.amount is not None and not ZERO < request.amount <= there):
        raise NothingToRefund(request.amount if request.amount is not None else "anything", there, request.purchase)
    postings = Postings()
    done = adjust(postings, pool, request.purchase, known, at, limit=request.amount)
    return PurchaseRefunded(
        currency=pool.currency,
        purchase=request.purchase,
        fiat_amount=done.refunded,
        fiat_currency=known.fiat_currency or pool.currency,
        authorization_reduced=done.reduced,
        adjusted=done.credit,
        adjusted_fiat=done.worth,
        booked_at=request.booked_at,
        transactions=postings.all(),
    )


@exact
def reverse_payment(pool: CreditPool, request: ReversePayment) -> PurchasePaymentReversed:
    """Money was taken back: wash +x, and what it paid for is owed again, open. Raises `NothingToReverse`.

    100 at 0.5, paid 50, charged back: open -50, wash 0; the credit stays until somebody voids it.
    """
    request = opened(request)
    known = pool.purchases.get(request.purchase, Purchase())
    there = known.fiat_kept
    amount = there if request.amount is None else (known.fiat_currency or pool.currency).rounded(request.amount)
    if not ZERO < amount <= there:
        raise NothingToReverse(amount, there, request.purchase)
    _, fiat_route = routes_of(pool, known)
    at = when(request.booked_at, request)
    postings = Postings()
    postings.add(templates.reverse_payment(fiat_route, amount, at, source=request.purchase))
    postings.add(templates.reduce_authorization(fiat_route, amount, at, source=request.purchase))
    return PurchasePaymentReversed(
        currency=pool.currency,
        purchase=request.purchase,
        fiat_amount=amount,
        fiat_currency=known.fiat_currency or pool.currency,
        booked_at=request.booked_at,
        transactions=postings.all(),
    )


def adjust(
    postings: Postings, pool: CreditPool, purchase: UUID, known: Purchase, at: When, *, limit: Decimal | None
) -> Adjusted:
    """Undo the payment of what is voided: a standing authorization shrinks first, then money goes back, up to a limit.

    100 at 0.5 with 40 used and paid: void leaves open +60, the exchange is undone by 30 (open -30, brokerage +30) and
    30 refunded (open -30, wash +30). Not yet settled, the standing authorization shrinks to 20 instead. Before any
    payment there is nothing to post: the price to be agreed on is that of the 40.
    """
    unpriced, standing = known.unpriced, known.fiat_promised
    if known.route is None:
        return Adjusted(credit=unpriced)
    too_much = max(known.fiat_authorized - known.fiat_refunded - price(pool, known), ZERO)
    reduced = min(standing, too_much)
    refunded = too_much - reduced if limit is None else min(too_much - reduced, limit)
    gone = reduced + refunded
    routes = routes_of(pool, known)
    # What was voided was worth `whole` of the price: of that goes what was not paid, and what goes back of the rest.
    whole = known.fiat_agreed - known.fiat_adjusted - price(pool, known)
    worth = max(min(gone, whole), whole - (too_much - gone))
    if worth < whole:
        unpriced = min(unpriced, divide(worth * known.credit_authorized, known.fiat_agreed, pool.currency.precision))
    if known.credit_authorized:
        post_exchange(postings, routes, Agreed(unpriced, worth), at, undone=True)
    if reduced:
        postings.add(templates.reduce_authorization(routes[1], reduced, at, source=purchase))
    if refunded:
        postings.add(templates.refund(routes[1], refunded, at, source=purchase))
    return Adjusted(refunded, reduced, unpriced, worth)


def routes_of(pool: CreditPool, known: Purchase) -> tuple[Route, Route]:
    """Routes of the credit and of the fiat receivable of a purchase that was granted, or paid for."""
    assert known.route is not None, "a purchase that is granted or paid for has a route"
    cost_basis = ONE if known.route.cost_basis is None else known.route.cost_basis
    return payment_routes(pool.currency, cost_basis, known.fiat_currency or pool.currency, known.route.features)
