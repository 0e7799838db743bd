"""Payments of purchases that fail, and what is given up of what is owed then (decisions 22, 26).

Credit that nobody has used is taken back, and what was used stays owed, in money: the exchange stands for the used
credit and for nothing else. 100 at 0.5, paid and charged back after 40 were used: wash 0, fbo 0, brokerage -20, open
-20. Credit that has expired was delivered, so its price stays owed too, as voiding leaves it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from aggregates.credits.events import PurchasePaymentFailed, PurchaseWrittenOff
from aggregates.credits.pool import CreditPool, Purchase
from aggregates.credits.posting import Postings, opened, when
from aggregates.credits.purchases import Agreed, agree, owed, payment_routes, post_exchange, price
from aggregates.credits.refunding import routes_of
from aggregates.credits.requests import FailPayment, WriteOffPurchase
from aggregates.credits.voiding import left_of, post_taken_back
from aggregates.journal import templates
from aggregates.journal.templates import When
from aggregates.values.decimals import ZERO, exact


class Repriced(NamedTuple):
    """What became of the exchange: voided credit whose price is undone and that price, credit exchanged and its."""

    adjusted: Decimal = ZERO
    adjusted_fiat: Decimal = ZERO
    exchanged: Decimal = ZERO
    agreed: Decimal = ZERO


@exact
def fail_payment(pool: CreditPool, request: FailPayment) -> PurchasePaymentFailed | None:
    """Take back unused credit, scheduled credit too, and undo the payment; what was used stays owed.

    One group, in this order: money that went back, what was authorized, the credit, the exchange. Money that did not
    go back stays, and counts for what is owed. None when there is nothing to undo: no credit and no payment.
    """
    request = opened(request)
    known = pool.purchases.get(request.purchase, Purchase())
    fiat_currency = request.fiat_currency or pool.currency
    at = when(request.booked_at, request)
    postings = Postings()
    taken = known.fiat_kept if request.money_went_back else ZERO
    undone = taken + known.fiat_promised
    _, fiat_route = payment_routes(pool.currency, request.cost_basis, fiat_currency, request.features)
    if taken:
        postings.add(templates.reverse_payment(fiat_route, taken, at, source=request.purchase))
    if undone:
        postings.add(templates.reduce_authorization(fiat_route, undone, at, source=request.purchase))
    parts = post_taken_back(postings, left_of(pool, known, request.booked_at, scheduled=True), at)
    voided = sum((part.amount for part in parts), ZERO)
    after = msgspec.structs.replace(
        known,
        voided=known.voided + voided,
        fiat_settled=known.fiat_settled - taken,
        fiat_authorized=known.fiat_authorized - undone,
    )
    change = _reprice(postings, pool, after, request, at)
    if not postings.transactions and not any(change):
        return None
    after = msgspec.structs.replace(
        after,
        adjusted=known.adjusted + change.adjusted,
        credit_authorized=known.credit_authorized + change.exchanged,
        fiat_agreed=known.fiat_agreed + change.agreed,
        fiat_currency=fiat_currency,
    )
    return PurchasePaymentFailed(
        currency=pool.currency,
        purchase=request.purchase,
        fiat_currency=fiat_currency,
        fiat_owed=owed(pool, after) if known.granted else ZERO,
        booked_at=request.booked_at,
        reversed=taken,
        released=undone - taken,
        amount=voided,
        parts=parts,
        adjusted=change.adjusted,
        adjusted_fiat=change.adjusted_fiat,
        exchanged=change.exchanged,
        agreed=change.agreed,
        transactions=postings.all(),
    )


def _reprice(postings: Postings, pool: CreditPool, known: Purchase, request: FailPayment, at: When) -> Repriced:
    """Let the exchange stand for what is given, and for that alone; where it was not made yet, make it.

    Money that stays keeps the exchange of credit that is not granted yet, which it pays for.
    """
    fiat_currency = request.fiat_currency or pool.currency
    routes = payment_routes(pool.currency, request.cost_basis, fiat_currency, request.features)
    if not known.granted:
        if known.fiat_kept or not known.credit_authorized:
            return Repriced()
        post_exchange(postings, routes, Agreed(known.credit_authorized, known.fiat_agreed), at, undone=True)
        return Repriced(exchanged=-known.credit_authorized, agreed=-known.fiat_agreed)
    unpriced = known.unpriced
    if not known.credit_authorized:
        full = Agreed(request.credit_amount, fiat_currency.rounded(request.credit_amount * request.cost_basis))
        priced = msgspec.structs.replace(known, adjusted=known.voided)
        agreed = agree(postings, priced, full, routes, at)
        return Repriced(adjusted=unpriced, exchanged=agreed.credit, agreed=agreed.fiat)
    worth = known.fiat_agreed - known.fiat_adjusted - price(pool, known)
    post_exchange(postings, routes, Agreed(unpriced, worth), at, undone=True)
    return Repriced(adjusted=unpriced, adjusted_fiat=worth)


@exact
def write_off_purchase(pool: CreditPool, request: WriteOffPurchase) -> PurchaseWrittenOff | None:
    """Give up what is owed for used credit: receivable[open] +x, bad_debt -x; None where nothing is owed.

    Of 20.00 that are owed for 40 at 0.5, bad debt is 20.00 at face value and by consideration alike.
    """
    request = opened(request)
    known = pool.purchases.get(request.purchase, Purchase())
    amount = owed(pool, known) - known.written_off
    if amount <= 0 or not known.granted:
        return None
    postings = Postings()
    _, fiat_route = routes_of(pool, known)
    at = when(request.booked_at, request)
    postings.add(templates.write_off(fiat_route, amount, at, source=request.purchase))
    return PurchaseWrittenOff(
        currency=pool.currency,
        purchase=request.purchase,
        fiat_amount=amount,
        fiat_currency=known.fiat_currency or pool.currency,
        booked_at=request.booked_at,
        transactions=postings.all(),
    )
