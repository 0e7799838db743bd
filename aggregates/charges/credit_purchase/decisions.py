"""What can be asked of a credit purchase: advance it, report its payment, void it (lifecycles §11)."""

from __future__ import annotations

from aggregates.charges.credit_purchase.lifecycle import EXTERNAL, PROMOTIONAL, VOIDING, book
from aggregates.charges.events import PurchaseVoided
from aggregates.charges.intent import External, InitialStatus, InvoiceSettlement, Promotional
from aggregates.charges.payments import require_authorizable, settleable
from aggregates.charges.requests import PaymentStep
from aggregates.charges.turn import Turn
from aggregates.credits import decisions as pool
from aggregates.credits.requests import Void
from aggregates.lifecycle import Path, Status, Trigger
from aggregates.values.errors import Finding, NothingToVoid, Unsupported

_TRIGGERS = {PaymentStep.AUTHORIZED: Trigger.AUTHORIZED, PaymentStep.PAID: Trigger.PAID}

_FIRST_STEP: dict[InitialStatus, PaymentStep | None] = {
    InitialStatus.CREATED: None,
    InitialStatus.AUTHORIZED: PaymentStep.AUTHORIZED,
    InitialStatus.SETTLED: PaymentStep.PAID,
}
"""What the initial status of an external purchase reports once the credit is granted; created reports nothing."""


def advance(turn: Turn) -> bool:
    """Walk `next` until no row holds; whether the purchase moved.

    The walk that grants an external purchase also reports the payment step it was created with. The step comes
    from the intent and from nowhere else; no later walk repeats it (R-14).
    """
    path = _path(turn)
    grants_now = turn.charge.status is Status.CREATED
    moved = _walk(turn, path)
    settlement = turn.purchase.settlement
    step = _FIRST_STEP[settlement.initial_status] if isinstance(settlement, External) else None
    if grants_now and step is not None:
        path.fire(turn.charge.status, _TRIGGERS[step], turn, turn.charge_id)
        _walk(turn, path)
    return moved


def report_payment(turn: Turn, step: PaymentStep) -> bool:
    """Record what the provider reports, and go on from there.

    Refuses, in this order: a payment fact that is recorded already (`PaymentAlreadyAuthorized`,
    `PaymentAlreadySettled`); a status that does not wait for this step (`UnsupportedOperation`).
    """
    charge = turn.charge
    if charge.payment is not None:
        if step is PaymentStep.AUTHORIZED:
            require_authorizable(charge)
        settleable(charge)
    path = _path(turn)
    path.fire(charge.status, _TRIGGERS[step], turn, charge.id)
    _walk(turn, path)
    return True


def void(turn: Turn) -> bool:
    """Take the unused part of the grant back; False when that was done before. Raises `NothingToVoid` (ledger §6.8)."""
    charge = turn.charge
    if charge.voided is not None:
        return False
    VOIDING.require(charge.status, Trigger.VOID, charge.id)
    event = pool.void(turn.pool, Void(purchase=charge.id, booked_at=turn.facts.instant))
    if event is None:
        raise NothingToVoid(charge.id)
    group = book(turn, event)
    turn.emit(PurchaseVoided(voided_at=turn.now, amount=event.amount, ledger_group=group))
    return True


def _path(turn: Turn) -> Path[Turn]:
    match turn.purchase.settlement:
        case Promotional():
            return PROMOTIONAL
        case External():
            return EXTERNAL
        case InvoiceSettlement():
            finding = Finding("settlement.type", "unsupported", "purchases settled by invoice are not offered")
            raise Unsupported((finding,))


def _walk(turn: Turn, path: Path[Turn]) -> bool:
    return bool(list(path.walk(lambda: turn.charge.status, turn)))
