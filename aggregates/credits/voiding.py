"""Taking a grant back: what is left of it, and what was paid for it (ledger §6.8, D6; decision 37).

Voiding takes everything left, on every lot the grant's credit lies on; what was consumed stays consumed. A grant that
is not yet effective is cancelled instead: everything booked for it is undone at its effective time.
"""

from __future__ import annotations

from decimal import Decimal

from aggregates.credits.breakage import post_release
from aggregates.credits.events import CreditVoided, GrantCancelled, PaymentAdjustment, PurchaseSettlement, VoidedPart
from aggregates.credits.pool import CreditPool, Move, Purchase
from aggregates.credits.posting import Postings, opened, when
from aggregates.credits.purchases import payment_routes
from aggregates.credits.refusals import GrantAlreadyEffective
from aggregates.credits.requests import CancelGrant, Void
from aggregates.journal import templates
from aggregates.journal.chart import Route
from aggregates.journal.templates import When
from aggregates.values.decimals import ONE, ZERO, divide, exact
from aggregates.values.errors import NothingToVoid


@exact
def void(pool: CreditPool, request: Void) -> CreditVoided | None:
    """Take back what is left of a grant: fbo -x, open receivable +x, and the release of its plan.

    None when the grant was voided before and nothing has come back since: `pool.purchases[id].voided_by` names the
    version of the first result. Raises `NothingToVoid` (consumed, expired, or not yet effective).
    """
    request = opened(request)
    known = pool.purchases.get(request.purchase, Purchase())
    left = [
        (lot, lot.spendable(request.booked_at))
        for lot in (pool.lots[sequence] for sequence in known.lots if sequence in pool.lots)
        if lot.is_live(request.booked_at)
    ]
    left = [(lot, amount) for lot, amount in left if amount > 0]
    if not left:
        if known.voided_by is not None:
            return None
        raise NothingToVoid(request.purchase)

    postings = Postings()
    at = when(request.booked_at, request)
    parts: list[VoidedPart] = []
    for lot, amount in left:
        postings.add(templates.issue(lot.route, amount, at, source=lot.source, reversing=True))
        released_at = post_release(postings, lot, amount, at, None)
        parts.append(VoidedPart(lot=lot.sequence, route=lot.route, amount=amount, released_at=released_at))
    voided = sum((part.amount for part in parts), ZERO)
    refunded, reduced = ZERO, ZERO
    if request.payment_adjustment is not PaymentAdjustment.NONE:
        refunded, reduced = _adjust_payment(postings, pool, known, voided, request)
    return CreditVoided(
        currency=pool.currency,
        purchase=request.purchase,
        amount=voided,
        booked_at=request.booked_at,
        parts=tuple(parts),
        payment_adjustment=request.payment_adjustment,
        refunded=refunded,
        authorization_reduced=reduced,
        transactions=postings.all(),
    )


def _adjust_payment(
    postings: Postings, pool: CreditPool, known: Purchase, voided: Decimal, request: Void
) -> tuple[Decimal, Decimal]:
    """Undo payment for what was not consumed; returns (refunded, authorization reduced), in fiat.

    100 at 0.5 with 40 used and paid: void leaves open +60, the exchange is undone by 30 (open -30, brokerage +30) and
    30 refunded (open -30, wash +30). Not yet settled, the standing authorization shrinks to 20 instead. Before any
    payment there is nothing to post: the amount to pay is round(40 x 0.5) = 20.
    """
    if not known.credit_authorized or known.route is None:
        return ZERO, ZERO
    fiat_currency = known.fiat_currency or pool.currency
    consumed = known.granted - known.voided - voided
    due = divide(consumed * known.fiat_agreed, known.credit_authorized, fiat_currency.precision)
    standing = known.fiat_authorized - known.fiat_settled
    too_much = known.fiat_authorized - known.fiat_refunded - due
    reduced = min(max(standing, ZERO), max(too_much, ZERO))
    refunded = max(too_much - reduced, ZERO) if request.payment_adjustment is PaymentAdjustment.REFUND else ZERO
    fiat = reduced + refunded
    if not fiat:
        return ZERO, ZERO
    credit_route, fiat_route = _payment_routes(pool, known)
    at = when(request.booked_at, request)
    if fiat_currency.key != pool.currency.key:
        postings.add(templates.exchange(credit_route, voided, fiat_route, fiat, at, undone=True))
    elif voided != fiat:
        postings.add(templates.revalue(credit_route, fiat - voided, at))
    if reduced:
        postings.add(templates.reduce_authorization(fiat_route, reduced, at, source=request.purchase))
    if refunded:
        postings.add(templates.refund(fiat_route, refunded, at, source=request.purchase))
    return refunded, reduced


def _payment_routes(pool: CreditPool, known: Purchase) -> tuple[Route, Route]:
    assert known.route is not None, "a granted purchase has a route"
    cost_basis = ONE if known.route.cost_basis is None else known.route.cost_basis
    return payment_routes(pool.currency, cost_basis, known.fiat_currency or pool.currency, known.route.features)


@exact
def cancel(pool: CreditPool, request: CancelGrant) -> GrantCancelled:
    """Cancel a grant before its effective time; what was booked for that time is undone at that time.

    Promotional credit is refunded in the same group, so every account returns to zero. A purchase without postings
    is cancelled by the fact alone. Raises `GrantAlreadyEffective` when it is effective, in use, or paid for: void it.
    """
    known = pool.purchases.get(request.purchase, Purchase())
    if not known.granted:
        return GrantCancelled(currency=pool.currency, purchase=request.purchase)
    lot = pool.lots.get(known.lots[0])
    if lot is None or lot.effective_at <= request.now or lot.moves != [Move(lot.effective_at, known.granted)]:
        raise GrantAlreadyEffective(request.purchase)
    if known.fiat_authorized or known.cancelled:
        raise GrantAlreadyEffective(request.purchase)

    postings = Postings()
    at = When(lot.effective_at, lot.effective_at)
    postings.add(templates.issue(lot.route, known.granted, at, source=lot.source, reversing=True))
    if known.settlement is PurchaseSettlement.PROMOTIONAL:
        postings.add(templates.refund(lot.route, known.granted, at, source=lot.source))
    post_release(postings, lot, known.granted, at, None)
    return GrantCancelled(
        currency=pool.currency,
        purchase=request.purchase,
        lot=lot.sequence,
        amount=known.granted,
        transactions=postings.all(),
    )
