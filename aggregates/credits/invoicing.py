"""Invoiced usage, its payment, and what takes it back (ledger §6.5; decisions 22, 23, 27).

An accrual is the invoiced part of one line, after credits. Payments, credit notes and write-offs name a charge, a run
or a line and are applied to the accruals they name, oldest first. Payments received are facts: an authorization
above what was accrued is refused, a settlement is recorded as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from aggregates.credits.events import (
    AppliedPart,
    InvoicePaymentAuthorized,
    InvoicePaymentSettled,
    InvoiceUsageAccrued,
    InvoiceUsageCredited,
    ReceivableWrittenOff,
    SettlementMode,
)
from aggregates.credits.pool import Accrual, CreditPool
from aggregates.credits.posting import Postings, not_before, opened, when
from aggregates.credits.refusals import AuthorizationExceedsAccrued, CreditExceedsAccrued, UnsupportedSettlementMode
from aggregates.credits.requests import AccrueUsage, InvoicePayment
from aggregates.journal import templates
from aggregates.journal.chart import Route, route
from aggregates.journal.templates import When
from aggregates.values.decimals import ONE, ZERO, exact


@exact
def accrue_usage(pool: CreditPool, request: AccrueUsage) -> InvoiceUsageAccrued | None:
    """Acknowledge an invoiced total: open receivable[1] -x, accrued[1, tax] +x. None when it rounds to zero or less.

    Raises `UnsupportedSettlementMode` for a credit-only charge.
    """
    request = opened(request)
    amount = pool.currency.rounded(request.amount)
    if amount <= 0:
        return None
    if request.mode is SettlementMode.CREDIT_ONLY:
        raise UnsupportedSettlementMode(request.mode.value, request.charge)

    accrued_route = route(
        pool.currency,
        cost_basis=request.cost_basis,
        # Invoiced usage of a custom currency is priced in that currency itself.
        cost_basis_currency=pool.currency.code if pool.currency.is_custom else None,
        tax_code=request.tax_code,
        tax_behavior=request.tax_behavior if request.tax_code else None,
    )
    postings = Postings()
    at = when(request.booked_at, request)
    postings.add(templates.accrue_invoiced(accrued_route, amount, at, spend=request.charge))
    return InvoiceUsageAccrued(
        currency=pool.currency,
        accrual=pool.next_accrual,
        charge=request.charge,
        run=request.run,
        line=request.line,
        invoice=request.invoice,
        route=accrued_route,
        amount=amount,
        booked_at=request.booked_at,
        service_period=request.service_period,
        transactions=postings.all(),
    )


@exact
def authorize_invoice(pool: CreditPool, request: InvoicePayment) -> InvoicePaymentAuthorized | None:
    """Record an authorization: receivable[authorized] -x, receivable[open] +x. None when it rounds to zero or less.

    Raises `AuthorizationExceedsAccrued`: accrued 30, authorizing 75 is refused unless an over-payment is declared.
    """
    request = opened(request)
    amount = pool.currency.rounded(request.amount)
    if amount <= 0:
        return None
    accruals = _meant(pool, request)
    parts, excess = hand_out(accruals, amount, lambda accrual: accrual.open)
    if excess and not request.over_payment:
        raise AuthorizationExceedsAccrued(amount, amount - excess, request.charge)

    postings = Postings()
    at = when(request.booked_at, request)
    for accrual, share in parts:
        postings.add(templates.authorize(accrual.route, share, at, spend=request.charge))
    if excess:
        postings.add(templates.authorize(invoice_route(pool, accruals), excess, at, spend=request.charge))
    return InvoicePaymentAuthorized(
        currency=pool.currency,
        charge=request.charge,
        run=request.run,
        line=request.line,
        amount=amount,
        booked_at=request.booked_at,
        parts=_applied(parts, excess),
        transactions=postings.all(),
    )


@exact
def release_invoice(pool: CreditPool, request: InvoicePayment) -> InvoicePaymentAuthorized | None:
    """Take an authorization back that will not be kept: receivable[authorized] +x, receivable[open] -x (decision 22).

    None when it rounds to zero or less. Raises `CreditExceedsAccrued` when less is authorized and not yet settled.
    """
    request = opened(request)
    amount = pool.currency.rounded(request.amount)
    if amount <= 0:
        return None
    parts, excess = hand_out(_meant(pool, request), amount, lambda accrual: accrual.authorized - accrual.settled)
    if excess:
        raise CreditExceedsAccrued(amount, amount - excess, request.charge)

    postings = Postings()
    at = when(request.booked_at, request)
    for accrual, share in parts:
        postings.add(templates.reduce_authorization(accrual.route, share, at, spend=request.charge))
    return InvoicePaymentAuthorized(
        currency=pool.currency,
        charge=request.charge,
        run=request.run,
        line=request.line,
        amount=-amount,
        booked_at=request.booked_at,
        parts=tuple(AppliedPart(accrual=accrual.sequence, amount=-share) for accrual, share in parts),
        transactions=postings.all(),
    )


@exact
def settle_invoice(pool: CreditPool, request: InvoicePayment) -> InvoicePaymentSettled | None:
    """Record that money arrived: wash -x, receivable[authorized] +x. None when it rounds to zero or less.

    What was not authorized before is authorized in the same group, so that a shortfall stays visible as authorized
    and what exceeds the invoice stands as open receivable above zero: unapplied credit of the customer (decision 27).
    """
    request = opened(request)
    amount = pool.currency.rounded(request.amount)
    if amount <= 0:
        return None
    accruals = _meant(pool, request)
    promised, rest = hand_out(accruals, amount, lambda accrual: accrual.authorized - accrual.settled)
    unpromised, excess = hand_out(accruals, rest, lambda accrual: accrual.open)

    postings = Postings()
    at = when(request.booked_at, request)
    parts: list[AppliedPart] = []
    for accrual, share in promised:
        postings.add(templates.settle(accrual.route, share, at, spend=request.charge))
        parts.append(AppliedPart(accrual=accrual.sequence, amount=share))
    for accrual, share in unpromised:
        _authorize_and_settle(postings, accrual.route, share, at, request)
        parts.append(AppliedPart(accrual=accrual.sequence, amount=share, authorized=share))
    if excess:
        _authorize_and_settle(postings, invoice_route(pool, accruals), excess, at, request)
        parts.append(AppliedPart(amount=excess, authorized=excess))
    return InvoicePaymentSettled(
        currency=pool.currency,
        charge=request.charge,
        run=request.run,
        line=request.line,
        invoice=request.invoice if excess else None,
        amount=amount,
        booked_at=request.booked_at,
        parts=tuple(parts),
        transactions=postings.all(),
    )


@exact
def credit_invoice(pool: CreditPool, request: InvoicePayment) -> InvoiceUsageCredited | None:
    """Take invoiced value back by a credit note: earnings first, then accrued, against the open receivable.

    Revenue to come is cancelled before what is revenue already, both from the end: of 100 for 31 days, credited with
    67.74 on the 10th, the last 21 days go, and 32.26 is what the first ten come to. On a paid invoice the open
    receivable rises above zero: unapplied credit (decision 23). A promise of what is not asked for any more lapses
    with it: receivable[authorized] +x, receivable[open] -x. Raises `CreditExceedsAccrued`.
    """
    request = opened(request)
    amount = pool.currency.rounded(request.amount)
    if amount <= 0:
        return None
    parts, excess = hand_out(_meant(pool, request), amount, lambda accrual: accrual.amount - accrual.credited)
    if excess:
        raise CreditExceedsAccrued(amount, amount - excess, request.charge)

    postings = Postings()
    at = when(request.booked_at, request)
    applied: list[AppliedPart] = []
    for accrual, share in parts:
        accrued = When(accrual.accrued_from, accrual.accounted_at)
        booked = not_before(at, accrued)
        undone = _unrecognize(postings, accrual, share, booked)
        postings.add(templates.credit_note(accrual.route, share, booked, spend=request.charge))
        lapsed = _lapsed(accrual, share)
        if lapsed:
            postings.add(templates.reduce_authorization(accrual.route, lapsed, at, spend=request.charge))
        applied.append(AppliedPart(accrual=accrual.sequence, amount=share, authorized=-lapsed, unrecognized=undone))
    return InvoiceUsageCredited(
        currency=pool.currency,
        charge=request.charge,
        run=request.run,
        line=request.line,
        invoice=request.invoice if request.freed else None,
        amount=amount,
        freed=request.freed,
        freed_net=request.freed_net,
        booked_at=request.booked_at,
        parts=tuple(applied),
        transactions=postings.all(),
    )


@exact
def write_off(pool: CreditPool, request: InvoicePayment) -> ReceivableWrittenOff | None:
    """Give up what is owed and not authorized: receivable[open] +x, bad_debt -x (decision 22).

    Raises `CreditExceedsAccrued`. The run stays billed; a late receipt takes it back with `reinstate`.
    """
    return _write_off(pool, request, lambda accrual: accrual.open, undone=False)


@exact
def reinstate(pool: CreditPool, request: InvoicePayment) -> ReceivableWrittenOff | None:
    """Take a write-off back because money arrives after all: bad_debt +x, receivable[open] -x (decision 22)."""
    return _write_off(pool, request, lambda accrual: accrual.written_off, undone=True)


def _write_off(
    pool: CreditPool, request: InvoicePayment, available: Callable[[Accrual], Decimal], *, undone: bool
) -> ReceivableWrittenOff | None:
    request = opened(request)
    amount = pool.currency.rounded(request.amount)
    if amount <= 0:
        return None
    parts, excess = hand_out(_meant(pool, request), amount, available)
    if excess:
        raise CreditExceedsAccrued(amount, amount - excess, request.charge)

    sign = -ONE if undone else ONE
    postings = Postings()
    at = when(request.booked_at, request)
    for accrual, share in parts:
        postings.add(templates.write_off(accrual.route, share, at, spend=request.charge, undone=undone))
    return ReceivableWrittenOff(
        currency=pool.currency,
        charge=request.charge,
        run=request.run,
        line=request.line,
        amount=amount * sign,
        booked_at=request.booked_at,
        parts=tuple(AppliedPart(accrual=accrual.sequence, amount=share * sign) for accrual, share in parts),
        transactions=postings.all(),
    )


# ── which accruals, and how much of each ─────────────────────────────────────────────────────────────────────


def _meant(pool: CreditPool, request: InvoicePayment) -> list[Accrual]:
    return [
        accrual
        for accrual in pool.accruals.values()
        if accrual.charge == request.charge
        and request.run in (None, accrual.run)
        and request.line in (None, accrual.line)
    ]


def hand_out(
    accruals: Sequence[Accrual], amount: Decimal, available: Callable[[Accrual], Decimal]
) -> tuple[list[tuple[Accrual, Decimal]], Decimal]:
    """Hand an amount out over accruals, oldest first; returns the shares and what none of them can take."""
    shares: list[tuple[Accrual, Decimal]] = []
    for accrual in accruals:
        share = min(amount, available(accrual))
        if share > 0:
            shares.append((accrual, share))
            amount -= share
    return shares, amount


def _applied(parts: Sequence[tuple[Accrual, Decimal]], excess: Decimal) -> tuple[AppliedPart, ...]:
    applied = [AppliedPart(accrual=accrual.sequence, amount=share) for accrual, share in parts]
    return (*applied, AppliedPart(amount=excess)) if excess else tuple(applied)


def invoice_route(pool: CreditPool, accruals: Sequence[Accrual]) -> Route:
    """Where money lands that no accrual asks for."""
    if accruals:
        return accruals[-1].route
    code = pool.currency.code if pool.currency.is_custom else None
    return route(pool.currency, cost_basis=ONE, cost_basis_currency=code)


def _authorize_and_settle(
    postings: Postings, paid_route: Route, amount: Decimal, at: When, request: InvoicePayment
) -> None:
    postings.add(templates.authorize(paid_route, amount, at, spend=request.charge))
    postings.add(templates.settle(paid_route, amount, at, spend=request.charge))


def _lapsed(accrual: Accrual, credited: Decimal) -> Decimal:
    """How much of a promise goes with so much of a note, which takes what nobody promised first (decision 23)."""
    asked = accrual.amount - accrual.credited - credited - accrual.written_off - accrual.settled
    return max(accrual.authorized - accrual.settled - max(asked, ZERO), ZERO)


def _unrecognize(postings: Postings, accrual: Accrual, share: Decimal, at: When) -> Decimal:
    """Undo recognition of the accrual, latest first, up to the share; returns how much was recognised of it.

    What lies ahead is cancelled at its own date, so that value credited now is never revenue in between.
    """
    undone = ZERO
    for recognition in reversed(accrual.recognitions):
        taken = min(share - undone, recognition.amount)
        if taken <= 0:
            break
        postings.add(
            templates.unrecognize(
                accrual.route,
                taken,
                not_before(at, recognition.when),
                source=None,
                spend=accrual.charge,
                undoing=recognition.entry,
            )
        )
        undone += taken
    return undone
