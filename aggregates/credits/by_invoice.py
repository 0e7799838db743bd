"""Purchases that are paid by invoice: their price follows their line, and their line the price (decisions 22, 23, 27).

What the line of such a purchase asks for is what is owed for it in money, at all times; so what becomes of the line is
booked here as it happens. 100 at 0.5, 40 of them used, on a paid invoice that is voided: 60 are taken back, the whole
50.00 is unapplied credit of the customer, and 20.00 are owed for the 40.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from aggregates.credits.events import (
    PurchaseCredited,
    PurchasePaymentFailed,
    PurchaseWrittenOff,
    UnappliedCreditArisen,
)
from aggregates.credits.pool import CreditPool, Purchase
from aggregates.credits.posting import Postings, opened, when
from aggregates.credits.purchases import Agreed, agree, owed, payment_routes, post_exchange, price, share_of_price
from aggregates.credits.requests import ArisenUnapplied, OfLine, PurchasePayment
from aggregates.journal import templates
from aggregates.journal.chart import Route, route
from aggregates.values.decimals import ONE, ZERO, divide, exact
from aggregates.values.money import Currency


@exact
def asked_of(pool: CreditPool, request: PurchasePayment, *, standing: bool = True) -> Decimal:
    """What a purchase costs as it stands, in fiat, also before its payment began.

    `standing`: with the price of credit that was taken back and stays to be paid. Rounded once: 9.26 at 0.5 are 4.63.
    """
    known = _known(pool, request)
    if known.granted:
        credit = known.given + (known.unpriced if standing else ZERO)
    else:
        credit = ZERO if known.cancelled else request.credit_amount
    if known.credit_authorized:
        return share_of_price(pool, known, credit)
    terms = _terms(pool, request)
    return divide(terms.fiat * credit, terms.credit, _fiat(pool, request).precision)


@exact
def owed_on_line(pool: CreditPool, request: PurchasePayment, *, standing: bool = True) -> Decimal:
    """What is still owed of it: not paid and not given up; below zero where that was more than it costs now."""
    known = _known(pool, request)
    return asked_of(pool, request, standing=standing) - known.fiat_kept - known.written_off


@exact
def release_promise(pool: CreditPool, request: OfLine) -> PurchasePaymentFailed | None:
    """Take back a promise that was not kept: receivable[authorized] +x, receivable[open] -x. The credit stays."""
    request = opened(request)
    known = _known(pool, request)
    released = known.fiat_promised
    if not released:
        return None
    postings = Postings()
    _, fiat_route = _routes(pool, request)
    postings.add(
        templates.reduce_authorization(fiat_route, released, when(request.booked_at, request), source=request.purchase)
    )
    after = msgspec.structs.replace(known, fiat_authorized=known.fiat_authorized - released)
    return PurchasePaymentFailed(
        currency=pool.currency,
        purchase=request.purchase,
        fiat_currency=_fiat(pool, request),
        fiat_owed=owed(pool, after),
        booked_at=request.booked_at,
        released=released,
        transactions=postings.all(),
    )


@exact
def write_off_line(pool: CreditPool, request: OfLine) -> PurchaseWrittenOff:
    """Give up `amount` of what is owed: receivable[open] +x, bad_debt -x; owed in money from then on (decision 22)."""
    request = opened(request)
    at = when(request.booked_at, request)
    postings = Postings()
    routes = _routes(pool, request)
    agreed = agree(postings, _known(pool, request), _terms(pool, request), routes, at)
    postings.add(templates.write_off(routes[1], request.amount, at, source=request.purchase))
    return PurchaseWrittenOff(
        currency=pool.currency,
        purchase=request.purchase,
        fiat_amount=request.amount,
        fiat_currency=_fiat(pool, request),
        booked_at=request.booked_at,
        exchanged=agreed.credit,
        agreed=agreed.fiat,
        transactions=postings.all(),
    )


@exact
def reinstate_line(pool: CreditPool, request: OfLine) -> PurchaseWrittenOff | None:
    """Let `amount` that was given up be owed again: money came, or the line is credited. None when nothing was."""
    request = opened(request)
    amount = min(request.amount, _known(pool, request).written_off)
    if not amount:
        return None
    postings = Postings()
    at = when(request.booked_at, request)
    postings.add(templates.write_off(_routes(pool, request)[1], amount, at, source=request.purchase, undone=True))
    return PurchaseWrittenOff(
        currency=pool.currency,
        purchase=request.purchase,
        fiat_amount=-amount,
        fiat_currency=_fiat(pool, request),
        booked_at=request.booked_at,
        transactions=postings.all(),
    )


@exact
def credit_line(pool: CreditPool, request: OfLine) -> PurchaseCredited | None:
    """Let the price follow a credit note that frees `amount` of what was paid; None where nothing is to be booked.

    The price of credit that was taken back is undone as far as nothing that stays pays for it. What is freed leaves the
    purchase, also where it paid for used credit: that is owed again. `lapses`: a promise goes with the line.
    """
    request = opened(request)
    known = _known(pool, request)
    at = when(request.booked_at, request)
    routes = _routes(pool, request)
    freed = min(request.amount, known.fiat_kept)
    released = known.fiat_promised if request.lapses else ZERO
    cost = price(pool, known)
    whole = known.fiat_agreed - known.fiat_adjusted - cost
    standing = max(known.fiat_kept - freed + known.fiat_promised - released - cost, ZERO)
    worth = max(whole - standing, ZERO)
    unpriced = known.unpriced
    if worth < whole:
        unpriced = min(unpriced, divide(worth * known.credit_authorized, known.fiat_agreed, pool.currency.precision))
    postings = Postings()
    if known.credit_authorized:
        post_exchange(postings, routes, Agreed(unpriced, worth), at, undone=True)
    if released:
        postings.add(templates.reduce_authorization(routes[1], released, at, source=request.purchase))
    if freed:
        postings.add(templates.revalue(routes[1], -freed, at))
    if not (freed or released or unpriced or worth):
        return None
    return PurchaseCredited(
        currency=pool.currency,
        purchase=request.purchase,
        fiat_currency=_fiat(pool, request),
        freed=freed,
        released=released,
        adjusted=unpriced,
        adjusted_fiat=worth,
        booked_at=request.booked_at,
        transactions=postings.all(),
    )


@exact
def unapplied_arises(pool: CreditPool, request: ArisenUnapplied) -> UnappliedCreditArisen:
    """What a credit note freed of a purchase's price is unapplied credit: brokerage -x, receivable[open, 1] +x.

    In the pool of the fiat currency; the purchase's own books the other side, receivable -x, brokerage +x.
    """
    request = opened(request)
    postings = Postings()
    at = when(request.booked_at, request)
    postings.add(templates.revalue(route(pool.currency, cost_basis=ONE), request.net, at))
    return UnappliedCreditArisen(
        currency=pool.currency,
        invoice=request.invoice,
        purchase=request.purchase,
        amount=request.amount,
        net=request.net,
        booked_at=request.booked_at,
        transactions=postings.all(),
    )


# ── the terms of the purchase ────────────────────────────────────────────────────────────────────────────────


def _known(pool: CreditPool, request: PurchasePayment) -> Purchase:
    return pool.purchases.get(request.purchase, Purchase())


def _fiat(pool: CreditPool, request: PurchasePayment) -> Currency:
    return request.fiat_currency or pool.currency


def _terms(pool: CreditPool, request: PurchasePayment) -> Agreed:
    """All that was sold, and its price."""
    fiat = _fiat(pool, request).rounded(request.credit_amount * request.cost_basis)
    return Agreed(request.credit_amount, fiat)


def _routes(pool: CreditPool, request: PurchasePayment) -> tuple[Route, Route]:
    return payment_routes(pool.currency, request.cost_basis, _fiat(pool, request), request.features)
