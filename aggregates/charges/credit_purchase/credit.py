"""The pool's side of a purchase: the grant of its credit, what it costs, and its payment as the pool knows it."""

from __future__ import annotations

from aggregates.charges.cost_basis import cost_basis_needed, fiat_amount, resolved_when_needed
from aggregates.charges.events import CostBasisResolved, CreditsGranted, Moved, PurchaseVoided
from aggregates.charges.intent import (
    Availability,
    External,
    InvoiceSettlement,
    Promotional,
    ResolvedCostBasis,
)
from aggregates.charges.turn import Turn
from aggregates.credits import decisions as pool
from aggregates.credits.events import PurchaseSettlement
from aggregates.credits.pool import CreditPool, Purchase
from aggregates.credits.requests import CancelGrant, Grant, PurchasePayment
from aggregates.event import DomainEvent
from aggregates.journal.chart import DEFAULT_CREDIT_PRIORITY
from aggregates.values.errors import PreconditionFailed
from aggregates.values.identifiers import GroupRef
from aggregates.values.period import Instant

SETTLED_BY = {
    Promotional: PurchaseSettlement.PROMOTIONAL,
    External: PurchaseSettlement.EXTERNAL,
    InvoiceSettlement: PurchaseSettlement.INVOICE,
}
"""How a purchase is paid for, in the words of the credit pool."""


def availability(turn: Turn) -> Availability:
    """The step that grants the credit; only an external purchase has a choice."""
    settlement = turn.purchase.settlement
    return settlement.availability if isinstance(settlement, External) else Availability.ON_CREATION


def known(turn: Turn) -> Purchase:
    """What the pool knows of the purchase, or its history, where it has left the state."""
    here = turn.pool.purchases.get(turn.charge_id, Purchase())
    history = turn.facts.histories.get(turn.charge.pool.id)
    return here if here.is_whole or history is None else history.purchases.get(turn.charge_id, here)


def in_hand(turn: Turn) -> CreditPool:
    """The pool with the totals of the purchase, brought back where they have left its state."""
    history = turn.facts.histories.get(turn.charge.pool.id)
    event = pool.bring_back(turn.pool, turn.charge_id, history) if history is not None else None
    if event is not None:
        book(turn, event)
    return turn.pool


def resolve_cost_basis(turn: Turn) -> None:
    """Look up the rate in force where the purchase leaves it to that, once."""
    needed = cost_basis_needed(turn.charge)
    if needed is not None:
        amount = turn.purchase.credit_amount
        turn.emit(CostBasisResolved(resolved=resolved_when_needed(needed, turn.charge, amount, turn.facts)))


def make_available(turn: Turn) -> None:
    """Grant the credit, now that the step it waited for was taken: it is effective from then on, or later.

    Credit that was cancelled meanwhile, or that has expired before it could be spent, is not granted: the payment is a
    fact all the same, and is refunded on request.
    """
    if known(turn).cancelled:
        return
    expires_at = turn.purchase.expires_at
    if expires_at is not None and expires_at <= turn.facts.instant:
        give_up_grant(turn)
    else:
        grant(turn, cost_of(turn), None)


def give_up_grant(turn: Turn) -> None:
    """Decide that credit which was never granted will not be."""
    event = pool.cancel(turn.pool, CancelGrant(purchase=turn.charge_id, now=turn.facts.instant))
    group = book(turn, event)
    turn.emit(PurchaseVoided(voided_at=turn.now, amount=event.amount, ledger_group=group))


def booked_at(turn: Turn) -> Instant:
    """When the credit is effective: at the instant of the purchase, but not before it became available."""
    at = turn.purchase.service_period.from_
    return at if availability(turn) is Availability.ON_CREATION else max(at, turn.facts.instant)


def grant(turn: Turn, cost: ResolvedCostBasis | None, moved: Moved | None) -> None:
    """Issue the credit, effective at the instant of the purchase; open advances are taken over first (ledger §6.1)."""
    charge, layer = turn.charge, turn.purchase
    if charge.grant is not None:
        raise PreconditionFailed(f"the credit of purchase {charge.id} is granted already", charge.id)
    effective_at = booked_at(turn)
    event = pool.grant(
        turn.pool,
        Grant(
            purchase=charge.id,
            amount=layer.credit_amount,
            settlement=SETTLED_BY[type(layer.settlement)],
            cost_basis=cost.rate if cost else None,
            settlement_currency=cost.fiat_currency.code if cost and charge.currency.is_custom else None,
            priority=layer.priority if layer.priority is not None else DEFAULT_CREDIT_PRIORITY,
            features=layer.feature_filters,
            effective_at=effective_at,
            expires_at=layer.expires_at,
            now=turn.now,
            closed_until=turn.facts.closed_until,
        ),
    )
    turn.emit(
        CreditsGranted(
            amount=layer.credit_amount,
            currency=charge.currency,
            ledger_group=book(turn, event),
            booked_at=effective_at,
            effective_at=layer.effective_at,
            expires_at=layer.expires_at,
            priority=layer.priority,
            feature_filters=layer.feature_filters,
            moved=moved,
        )
    )


def payment(turn: Turn) -> PurchasePayment:
    """A payment fact of this purchase, as the pool wants to know it."""
    layer, cost = turn.purchase, cost_of(turn)
    return PurchasePayment(
        purchase=turn.charge_id,
        credit_amount=layer.credit_amount,
        cost_basis=cost.rate,
        fiat_amount=fiat_amount(layer.credit_amount, cost),
        fiat_currency=cost.fiat_currency,
        features=layer.feature_filters,
        booked_at=turn.facts.instant,
        closed_until=turn.facts.closed_until,
    )


def received(turn: Turn) -> GroupRef | None:
    """The posting group of the last payment, where money that came in parts has paid the whole price already."""
    credit = turn.pool
    if not pool.is_paid(credit, known(turn)):
        return None
    return GroupRef(turn.charge.pool.id, credit.version)


def cost_of(turn: Turn) -> ResolvedCostBasis:
    """What a unit of the credit costs, written once (lifecycles §12.2)."""
    resolved = turn.charge.resolved_cost_basis
    assert resolved is not None, f"purchase {turn.charge_id} has no resolved cost basis"
    return resolved


def book(turn: Turn, event: DomainEvent) -> GroupRef:
    """Put an event into the pool's stream; what names its posting group."""
    record = turn.draft.emit(turn.charge.pool, event)
    return GroupRef(record.stream, record.version)
