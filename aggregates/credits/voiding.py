"""Taking a grant back: what is left of it, and what was paid for it (ledger §6.8, D6; decision 37).

Voiding takes everything left, on every lot the grant's credit lies on; what was consumed stays consumed. A grant that
is not yet effective is cancelled instead: everything booked for it is undone at its effective time.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.credits.breakage import post_release
from aggregates.credits.correction import take_backwards
from aggregates.credits.events import CreditVoided, GrantCancelled, PaymentAdjustment, PurchaseSettlement, VoidedPart
from aggregates.credits.pool import CreditPool, Lot, Move, Purchase
from aggregates.credits.posting import Postings, opened, when
from aggregates.credits.refunding import Adjusted, adjust
from aggregates.credits.refusals import CorrectionCreditExceeded, GrantAlreadyEffective, ReductionExceedsUnused
from aggregates.credits.requests import CancelGrant, RefundCorrection, Void
from aggregates.journal import templates
from aggregates.journal.templates import When
from aggregates.values.decimals import ZERO, exact
from aggregates.values.errors import NothingToVoid
from aggregates.values.period import Instant


@exact
def void(pool: CreditPool, request: Void) -> CreditVoided | None:
    """Take back what is left of a grant: fbo -x, open receivable +x, and the release of its plan.

    With an amount only that much goes: reducing 100 to 80 after 40 were used leaves 40. None when the grant was voided
    before and nothing has come back since: `pool.purchases[id].voided_by` names the version of the first result.
    Raises `NothingToVoid` (consumed, expired, or not yet effective), `ReductionExceedsUnused`.
    """
    request = opened(request)
    known = pool.purchases.get(request.purchase, Purchase())
    left = _no_more_than(request, left_of(pool, known, request.booked_at))
    if not left:
        if known.voided_by is not None:
            return None
        raise NothingToVoid(request.purchase)

    postings = Postings()
    at = when(request.booked_at, request)
    parts = post_taken_back(postings, left, at)
    _take_gift_back(postings, known, request.purchase, parts, at)
    voided = sum((part.amount for part in parts), ZERO)
    owed = Adjusted()
    if request.payment_adjustment is not PaymentAdjustment.NONE:
        refunds = request.payment_adjustment is PaymentAdjustment.REFUND
        known = msgspec.structs.replace(known, voided=known.voided + voided)
        owed = adjust(postings, pool, request.purchase, known, at, limit=None if refunds else ZERO)
    return CreditVoided(
        currency=pool.currency,
        purchase=request.purchase,
        amount=voided,
        booked_at=request.booked_at,
        parts=parts,
        payment_adjustment=request.payment_adjustment,
        refunded=owed.refunded,
        authorization_reduced=owed.reduced,
        adjusted=owed.credit,
        adjusted_fiat=owed.worth,
        transactions=postings.all(),
    )


@exact
def refund_correction(pool: CreditPool, request: RefundCorrection) -> CreditVoided:
    """Pay back what is left of a correction credit: fbo -x, open receivable +x, then receivable -x, wash +x.

    It is value that was paid for at face value, so the money is what is taken (decision 20): of 30 with 10 used, 20 at
    most. Raises `CorrectionCreditExceeded`.
    """
    request = opened(request)
    known = pool.purchases.get(request.run, Purchase())
    left = left_of(pool, known, request.booked_at)
    there = sum((amount for _, amount in left), ZERO)
    asked = there if request.amount is None else pool.currency.rounded(request.amount)
    if not ZERO < asked <= there:
        raise CorrectionCreditExceeded("anything" if request.amount is None else asked, there, request.run)

    postings = Postings()
    at = when(request.booked_at, request)
    parts = post_taken_back(postings, list(reversed(take_backwards(left, asked))), at)
    for part in parts:
        postings.add(templates.refund(part.route, part.amount, at, source=request.run))
    return CreditVoided(
        currency=pool.currency,
        purchase=request.run,
        amount=asked,
        booked_at=request.booked_at,
        parts=parts,
        payment_adjustment=PaymentAdjustment.REFUND,
        refunded=asked,
        of_run=True,
        transactions=postings.all(),
    )


def left_of(pool: CreditPool, known: Purchase, at: Instant, *, scheduled: bool = False) -> list[tuple[Lot, Decimal]]:
    """What of a grant nobody has used, lot by lot, at a time; with what is `scheduled` for later, or without."""
    lots = [pool.lots[sequence] for sequence in known.lots if sequence in pool.lots]
    left = [
        (lot, lot.spendable(max(at, lot.effective_at)))
        for lot in lots
        if lot.is_live(at) or (scheduled and lot.effective_at > at)
    ]
    return [(lot, amount) for lot, amount in left if amount > 0]


def post_taken_back(postings: Postings, left: list[tuple[Lot, Decimal]], at: When) -> tuple[VoidedPart, ...]:
    """Undo the issue of what is left, and release its plan; of scheduled credit when it would become effective."""
    parts: list[VoidedPart] = []
    for lot, amount in left:
        booked = at.at(max(at.booked_at, lot.effective_at))
        postings.add(templates.issue(lot.route, amount, booked, source=lot.source, reversing=True))
        part = VoidedPart(
            lot=lot.sequence,
            route=lot.route,
            amount=amount,
            released_at=post_release(postings, lot, amount, booked, None),
            booked_at=booked.booked_at if booked.booked_at != at.booked_at else None,
        )
        parts.append(part)
    return tuple(parts)


def _take_gift_back(
    postings: Postings, known: Purchase, purchase: UUID, parts: tuple[VoidedPart, ...], at: When
) -> None:
    """Undo the payment of promotional credit of a custom currency: receivable[unknown] -x, wash +x.

    Receivable of unknown cost basis is advance and part of the customer's balance (ledger §9, §16.7): 12 given and
    voided would still be a balance of 12. Fiat promotions cost 0, and theirs stays open as §6.8 has it.
    """
    if known.settlement is PurchaseSettlement.PROMOTIONAL:
        for part in parts:
            if part.route.cost_basis is None:
                postings.add(templates.refund(part.route, part.amount, at, source=purchase))


def _no_more_than(request: Void, left: list[tuple[Lot, Decimal]]) -> list[tuple[Lot, Decimal]]:
    """What to take of each lot: all that is left, or the amount asked for, newest lot first."""
    if request.amount is None:
        return left
    there = sum((amount for _, amount in left), ZERO)
    if not ZERO < request.amount <= there:
        raise ReductionExceedsUnused(request.amount, there, request.purchase)
    return list(reversed(take_backwards(left, request.amount)))


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
    if known.credit_authorized or known.cancelled:
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
