"""Payments of a purchase that come to nothing: what holds of them, and what is done then (decisions 22, 26).

Unused credit is taken back, and what was used stays owed. From there the payment is tried again, or what is owed is
given up; money that comes all the same is recorded (decision 27).
"""

from __future__ import annotations

import msgspec

from aggregates.charges.credit_purchase.credit import book, cost_of, give_up_grant, in_hand, known, payment
from aggregates.charges.events import (
    PaymentFailed,
    PaymentFailure,
    PaymentRetried,
    PaymentReversed,
    PaymentWrittenOff,
)
from aggregates.charges.turn import Turn
from aggregates.credits import decisions as pool
from aggregates.credits.requests import FailPayment, WriteOffPurchase
from aggregates.lifecycle import Row, Trigger
from aggregates.values.decimals import ZERO
from aggregates.values.identifiers import GroupRef

FAILURES = {
    Trigger.PAYMENT_FAILED: PaymentFailure.FAILED,
    Trigger.CANCELLED: PaymentFailure.CANCELLED,
    Trigger.CHARGED_BACK: PaymentFailure.CHARGED_BACK,
}
"""What each trigger says of a payment."""

# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────────


def money_is_held(turn: Turn) -> bool:
    """Whether money arrived that can go back."""
    return known(turn).fiat_kept > 0


def something_is_owed(turn: Turn) -> bool:
    """Whether there is anything to pay for: credit that was used, or credit that is to be granted yet."""
    failed = turn.charge.failed_payment
    is_open = turn.charge.grant is None and turn.charge.voided is None
    return is_open or (failed is not None and failed.fiat_owed > 0)


def debt_was_written_off(turn: Turn) -> bool:
    """Whether something was owed and given up."""
    failed = turn.charge.failed_payment
    return failed is not None and bool(failed.written_off)


def price_is_open_again(turn: Turn) -> bool:
    """Whether money and promises cover the price no longer."""
    credit = turn.pool
    totals = known(turn)
    return pool.owed(credit, totals) > totals.fiat_promised


# ── work ─────────────────────────────────────────────────────────────────────────────────────────────────────


def fail(turn: Turn, row: Row[Turn]) -> None:
    """Take unused credit back and undo the payment; what arrived goes back where it was settled or charged back."""
    charge = turn.charge
    settled = charge.payment is not None and charge.payment.settled is not None
    terms = msgspec.structs.asdict(payment(turn))
    event = pool.fail_payment(
        in_hand(turn), FailPayment(**terms, money_went_back=settled or row.on is Trigger.CHARGED_BACK)
    )
    group = book(turn, event) if event is not None else None
    turn.emit(
        PaymentFailed(
            reason=FAILURES[row.on],
            detail=turn.detail,
            amount=event.amount if event is not None else ZERO,
            fiat_owed=pool.owed(turn.pool, known(turn)) if charge.grant is not None else ZERO,
            fiat_currency=cost_of(turn).fiat_currency,
            ledger_group=group,
            moved=turn.walked(row, None),
        )
    )


def retry(turn: Turn, row: Row[Turn]) -> None:
    """Wait for a new payment of what is owed."""
    turn.emit(PaymentRetried(moved=turn.walked(row, None)))


def write_off(turn: Turn, row: Row[Turn]) -> None:
    """Give up what is owed, and credit that is still to be granted; where there is neither, that is the end of it."""
    request = WriteOffPurchase(
        purchase=turn.charge_id, booked_at=turn.facts.instant, closed_until=turn.facts.closed_until
    )
    event = pool.write_off_purchase(turn.pool, request)
    group = book(turn, event) if event is not None else None
    if turn.charge.grant is None and turn.charge.voided is None:
        give_up_grant(turn)
    turn.emit(
        PaymentWrittenOff(
            fiat_amount=event.fiat_amount if event is not None else ZERO,
            fiat_currency=cost_of(turn).fiat_currency,
            ledger_group=group,
            moved=turn.walked(row, None),
        )
    )


def await_again(turn: Turn, row: Row[Turn]) -> None:
    """Money went back that the price needs: the credit stays, and its payment is open again."""
    group = GroupRef(turn.charge.pool.id, turn.pool.version)
    turn.emit(PaymentReversed(ledger_group=group, moved=turn.walked(row, None)))
