"""Credit purchases: granting their credit, and the payments for it (ledger §6.1).

One group grants: first what covers open advance, then the issue of the rest; for promotional credit the payment of
the full amount; for credit that expires the plan, and a release for each part that covers advance. Payments come
later, or earlier: they only move receivable and wash. Where the credit amount and the fiat amount differ, the
brokerage stands between them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aggregates.credits import advance, breakage
from aggregates.credits.events import (
    CreditGranted,
    PurchasePaymentAuthorized,
    PurchasePaymentSettled,
    PurchaseSettlement,
)
from aggregates.credits.pool import CreditPool, Lot, Purchase
from aggregates.credits.posting import Postings, opened, when
from aggregates.credits.refusals import (
    CannotSettleNotAuthorizedPayment,
    CreditAlreadyGranted,
    NothingOwed,
    PaymentAlreadyAuthorized,
    PaymentAlreadySettled,
)
from aggregates.credits.requests import Grant, OpenBalance, PurchasePayment
from aggregates.credits.validation import validate_amount
from aggregates.journal import templates
from aggregates.journal.chart import Route, route
from aggregates.journal.templates import When
from aggregates.values.decimals import ZERO, divide, exact
from aggregates.values.errors import Findings
from aggregates.values.money import Currency
from aggregates.values.period import Instant, instant


@exact
def grant(pool: CreditPool, request: Grant) -> CreditGranted:
    """Issue the credit of a purchase, covering open advance first (ledger §6.1, §6.4).

    Refuses, in this order: `ValidationFailed` with every finding (amount, cost basis, priority, expiry, which must be
    after both the effective time and now), `CreditAlreadyGranted`. Example: advance 8, purchase 12 that expires at
    X: 8 attributed and translated, fbo 4 now, and at X fbo 0 and breakage 4.
    """
    request = opened(request, "effective_at")
    findings = Findings()
    amount = validate_amount(findings, pool.currency, request.amount)
    cost_basis = _cost_basis(pool.currency, request)
    if cost_basis is None and request.settlement is not PurchaseSettlement.PROMOTIONAL:
        findings.add("cost_basis", "cost_basis_required", "a paid purchase needs the price of a unit of its credit")
    _validate_terms(findings, pool.currency, cost_basis, request.settlement_currency, request.priority)
    _validate_expiry(findings, request.expires_at, request.effective_at)
    if request.expires_at is not None and request.expires_at <= request.now:
        findings.add("expires_at", "expires_at_not_after_now", "credit has to expire after now, or it never lives")
    findings.raise_if_any()
    known = pool.purchases.get(request.purchase)
    if known is not None and (known.granted or known.cancelled):
        raise CreditAlreadyGranted(request.purchase)

    lot = _lot(pool, request.purchase, request, cost_basis)
    at = when(request.effective_at, request)
    attribution = min(instant(request.now), request.effective_at)
    parts = advance.plan_backfill(pool, lot, amount)
    postings, releases = Postings(), Postings()
    elements = advance.post_backfill(postings, lot, parts, attribution, at, releases=releases)
    issued = amount - sum((part.amount for part in elements if not part.through_balance), ZERO)
    promotional = request.settlement is PurchaseSettlement.PROMOTIONAL
    _post_issue(postings, lot, issued, amount, at, settled=promotional)
    for release in releases.all():
        postings.add(release)
    return CreditGranted(
        currency=pool.currency,
        purchase=request.purchase,
        settlement=request.settlement,
        lot=lot.sequence,
        route=lot.route,
        amount=amount,
        effective_at=request.effective_at,
        expires_at=request.expires_at,
        backfill=tuple(elements),
        transactions=postings.all(),
    )


@exact
def open_balance(pool: CreditPool, request: OpenBalance) -> CreditGranted:
    """Take over credit from before this ledger: issued, and settled where it was paid for; covers no advance.

    Raises `ValidationFailed` (amount, cost basis, priority, expiry).
    """
    request = opened(request, "effective_at")
    findings = Findings()
    amount = validate_amount(findings, pool.currency, request.amount)
    _validate_terms(findings, pool.currency, request.cost_basis, request.settlement_currency, request.priority)
    _validate_expiry(findings, request.expires_at, request.effective_at)
    findings.raise_if_any()

    lot = _lot(pool, request.source, request, request.cost_basis)
    postings = Postings()
    at = when(request.effective_at, request)
    _post_issue(postings, lot, amount, amount, at, settled=request.settled)
    return CreditGranted(
        currency=pool.currency,
        purchase=request.source,
        settlement=PurchaseSettlement.PROMOTIONAL if request.settled else PurchaseSettlement.EXTERNAL,
        lot=lot.sequence,
        route=lot.route,
        amount=amount,
        effective_at=request.effective_at,
        expires_at=request.expires_at,
        transactions=postings.all(),
    )


@exact
def authorize_purchase(pool: CreditPool, request: PurchasePayment) -> PurchasePaymentAuthorized:
    """Record that payment of a purchase is authorized: exchange where fiat and credit differ, then authorize.

    100 credits at 0.5: exchange opens +50 against brokerage -50, authorize 50 leaves open 0 and authorized -50. A
    custom currency exchanges into a fiat receivable and authorizes that. What had been written off is owed again with
    it. Raises `ValidationFailed`, `NothingOwed`, `PaymentAlreadyAuthorized`.
    """
    request = opened(request)
    credit, fiat, fiat_currency = _payment(pool, request)
    known = pool.purchases.get(request.purchase, Purchase())
    at = when(request.booked_at, request)
    routes = payment_routes(pool.currency, request.cost_basis, fiat_currency, request.features)
    postings = Postings()
    agreed = agree(postings, known, Agreed(credit, fiat), routes, at)
    before = known.fiat_authorized - known.fiat_refunded
    rest = (agreed.fiat if agreed.credit else asked(pool, known)) - before
    if rest <= 0:
        raise PaymentAlreadyAuthorized(request.purchase) if before else NothingOwed(request.purchase)
    _reinstate(postings, known, known.written_off, routes[1], at, source=request.purchase)
    postings.add(templates.authorize(routes[1], rest, at, source=request.purchase))
    return PurchasePaymentAuthorized(
        currency=pool.currency,
        purchase=request.purchase,
        credit_amount=agreed.credit,
        fiat_amount=rest,
        fiat_currency=fiat_currency,
        booked_at=request.booked_at,
        route=routes[0] if known.route is None else None,
        reinstated=known.written_off,
        transactions=postings.all(),
    )


class Agreed(NamedTuple):
    """Credit exchanged for fiat; both zero where that was done before."""

    credit: Decimal
    fiat: Decimal


def agree(postings: Postings, known: Purchase, terms: Agreed, routes: tuple[Route, Route], at: When) -> Agreed:
    """Exchange what is to be paid for, once: credit that was voided with its price is not asked for any more."""
    if known.credit_authorized or known.cancelled:
        return Agreed(ZERO, ZERO)
    credit = min(terms.credit, known.granted - known.adjusted) if known.granted else terms.credit
    fiat = divide(terms.fiat * credit, terms.credit, routes[1].currency.precision)
    post_exchange(postings, routes, Agreed(credit, fiat), at)
    return Agreed(credit, fiat)


def post_exchange(
    postings: Postings, routes: tuple[Route, Route], agreed: Agreed, at: When, *, undone: bool = False
) -> None:
    """Owe the price instead of the credit, or undo that; a part of a custom currency may be worth nothing in fiat."""
    credit_route, fiat_route = routes
    sign = -1 if undone else 1
    if fiat_route.currency.key == credit_route.currency.key:
        if agreed.credit != agreed.fiat:
            postings.add(templates.revalue(credit_route, (agreed.credit - agreed.fiat) * sign, at))
    elif agreed.credit and agreed.fiat:
        postings.add(templates.exchange(credit_route, agreed.credit, fiat_route, agreed.fiat, at, undone=undone))
    elif agreed.credit:
        postings.add(templates.revalue(credit_route, agreed.credit * sign, at))
    elif agreed.fiat:
        postings.add(templates.revalue(fiat_route, -agreed.fiat * sign, at))


def _reinstate(
    postings: Postings, known: Purchase, amount: Decimal, fiat_route: Route, at: When, *, source: UUID
) -> Decimal:
    """Let what was written off be owed again, as far as there is money for it after all; how much that is."""
    again = min(amount, known.written_off)
    if again:
        postings.add(templates.write_off(fiat_route, again, at, source=source, undone=True))
    return again


@exact
def receive_payment(pool: CreditPool, request: PurchasePayment) -> PurchasePaymentSettled:
    """Record money as it came: part of the price, all of it, or more (decision 27).

    What was not authorized before is authorized in the same group, and a write-off taken back as far as money came.
    20 of 50: open -30, wash -20; 60 of 50: open +10, which is refunded on request. Raises `ValidationFailed`.
    """
    request = opened(request)
    credit, received, fiat_currency = _payment(pool, request)
    known = pool.purchases.get(request.purchase, Purchase())
    at = when(request.booked_at, request)
    routes = payment_routes(pool.currency, request.cost_basis, fiat_currency, request.features)
    postings = Postings()
    terms = Agreed(credit, fiat_currency.rounded(credit * request.cost_basis))
    agreed = agree(postings, known, terms, routes, at)
    unpromised = received - min(received, known.fiat_promised)
    again = received if request.after_all else ZERO
    reinstated = _reinstate(postings, known, again, routes[1], at, source=request.purchase)
    if unpromised:
        postings.add(templates.authorize(routes[1], unpromised, at, source=request.purchase))
    postings.add(templates.settle(routes[1], received, at, source=request.purchase))
    return PurchasePaymentSettled(
        currency=pool.currency,
        purchase=request.purchase,
        credit_amount=credit,
        fiat_amount=received,
        fiat_currency=fiat_currency,
        booked_at=request.booked_at,
        exchanged=agreed.credit,
        agreed=agreed.fiat,
        authorized=unpromised,
        route=routes[0] if known.route is None else None,
        reinstated=reinstated,
        transactions=postings.all(),
    )


@exact
def settle_purchase(pool: CreditPool, request: PurchasePayment) -> PurchasePaymentSettled:
    """Record that money for a purchase arrived: wash -x, receivable[authorized] +x, whatever x is (decision 27).

    Raises `ValidationFailed`, `CannotSettleNotAuthorizedPayment`, `PaymentAlreadySettled` once all of it is.
    """
    request = opened(request)
    credit, fiat, fiat_currency = _payment(pool, request)
    known = pool.purchases.get(request.purchase, Purchase())
    if not known.fiat_authorized:
        raise CannotSettleNotAuthorizedPayment(request.purchase)
    if known.fiat_settled >= known.fiat_authorized:
        raise PaymentAlreadySettled(request.purchase)

    if known.adjusted or known.fiat_settled:
        fiat = min(fiat, known.fiat_authorized - known.fiat_settled)  # what is asked for now is less than was agreed
    _, fiat_route = payment_routes(pool.currency, request.cost_basis, fiat_currency, request.features)
    postings = Postings()
    at = when(request.booked_at, request)
    postings.add(templates.settle(fiat_route, fiat, at, source=request.purchase))
    return PurchasePaymentSettled(
        currency=pool.currency,
        purchase=request.purchase,
        credit_amount=credit,
        fiat_amount=fiat,
        fiat_currency=fiat_currency,
        booked_at=request.booked_at,
        transactions=postings.all(),
    )


def asked(pool: CreditPool, known: Purchase) -> Decimal:
    """What is to be paid for a purchase, in fiat; zero before payment was agreed.

    Credit that was voided and its price left standing is still to be paid for: 100 at 0.5, voided with the payment
    adjustment `none`, asks for 50; with `reduce` or `refund` for what was used.
    """
    return share_of_price(pool, known, known.given + known.unpriced if known.granted else known.given)


def price(pool: CreditPool, known: Purchase) -> Decimal:
    """What the credit costs that is granted and not voided, or to be granted; zero before payment was agreed."""
    return share_of_price(pool, known, known.given)


def share_of_price(pool: CreditPool, known: Purchase, credit: Decimal) -> Decimal:
    """What so much of its credit costs, at the price that was agreed; zero before payment was agreed."""
    if not known.credit_authorized:
        return ZERO
    exponent = (known.fiat_currency or pool.currency).precision
    return divide(credit * known.fiat_agreed, known.credit_authorized, exponent)


def owed(pool: CreditPool, known: Purchase) -> Decimal:
    """What is left to pay of what is asked, in fiat: no money came for it, or it went back."""
    return max(asked(pool, known) - known.fiat_kept, ZERO)


def is_paid(pool: CreditPool, known: Purchase) -> bool:
    """Whether the money that is here is all that is asked, once something is, and no more of it is promised."""
    return known.credit_authorized > 0 and known.fiat_kept > 0 and not (owed(pool, known) or known.fiat_promised)


def payment_routes(
    currency: Currency, cost_basis: Decimal, fiat_currency: Currency, features: tuple[str, ...]
) -> tuple[Route, Route]:
    """Routes of the credit and of the fiat receivable of a purchase; one and the same within a fiat pool.

    The fiat receivable of a custom currency keeps the purchase's cost basis, so that it is never taken for advance.
    """
    fiat_route = route(fiat_currency, cost_basis=cost_basis, features=features)
    if fiat_currency.key == currency.key:
        return fiat_route, fiat_route
    credit_route = route(currency, cost_basis=cost_basis, cost_basis_currency=fiat_currency.code, features=features)
    return credit_route, fiat_route


def _payment(pool: CreditPool, request: PurchasePayment) -> tuple[Decimal, Decimal, Currency]:
    """Credit amount, fiat amount and fiat currency; 1 credit at 0.005 is 0.01, nothing is refused."""
    findings = Findings()
    fiat_currency = request.fiat_currency or pool.currency
    if fiat_currency.is_custom:
        findings.add("fiat_currency", "fiat_currency_required", "a custom currency is paid for in a fiat currency")
    credit = validate_amount(findings, pool.currency, request.credit_amount, "credit_amount")
    asked = credit * request.cost_basis if request.fiat_amount is None else request.fiat_amount
    fiat = fiat_currency.rounded(asked)
    if fiat <= 0:
        findings.add("fiat_amount", "fiat_amount_rounds_to_zero", f"nothing to pay: {asked} rounds to {fiat}")
    findings.raise_if_any()
    return credit, fiat, fiat_currency


def _cost_basis(currency: Currency, request: Grant) -> Decimal | None:
    """Promotional credit costs nothing in fiat; in a custom currency its cost is unknown (ledger §3)."""
    if request.settlement is not PurchaseSettlement.PROMOTIONAL:
        return request.cost_basis
    return None if currency.is_custom else ZERO


def _validate_terms(
    findings: Findings, currency: Currency, cost_basis: Decimal | None, paid_in: str | None, priority: int
) -> None:
    if cost_basis is not None and cost_basis < 0:
        findings.add("cost_basis", "cost_basis_negative", f"a cost basis is never below zero, got {cost_basis}")
    if cost_basis is not None and currency.is_custom and not paid_in:
        findings.add("settlement_currency", "settlement_currency_required", "the cost basis names its fiat currency")
    if priority < 1:
        findings.add("priority", "priority_below_one", f"credit priority starts at 1, got {priority}")


def _validate_expiry(findings: Findings, expires_at: Instant | None, effective_at: Instant) -> None:
    if expires_at is not None and expires_at <= effective_at:
        findings.add("expires_at", "expires_at_not_after_effective_at", "credit expires after it becomes effective")


def _lot(pool: CreditPool, source: UUID | None, request: Grant | OpenBalance, cost_basis: Decimal | None) -> Lot:
    return Lot(
        sequence=pool.next_lot,
        source=source,
        route=route(
            pool.currency,
            cost_basis=cost_basis,
            cost_basis_currency=request.settlement_currency if pool.currency.is_custom else None,
            features=request.features,
            credit_priority=request.priority,
        ),
        effective_at=request.effective_at,
        expires_at=request.expires_at,
    )


def _post_issue(postings: Postings, lot: Lot, issued: Decimal, amount: Decimal, at: When, *, settled: bool) -> None:
    """Issue what did not cover advance; pay the full amount when it was given away; plan the full amount's expiry."""
    if issued:
        postings.add(templates.issue(lot.route, issued, at, source=lot.source))
    if settled:
        postings.add(templates.authorize(lot.route, amount, at, source=lot.source))
        postings.add(templates.settle(lot.route, amount, at, source=lot.source))
    breakage.post_plan(postings, lot, amount, at)
