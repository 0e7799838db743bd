"""What a charge knows of its purchase: the grant, how far the payment is, what was taken back; how events change it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias, assert_never
from uuid import UUID

import msgspec

from aggregates.charges.events import (
    CreditsGranted,
    PaymentAuthorized,
    PaymentFailed,
    PaymentFailure,
    PaymentKind,
    PaymentRetried,
    PaymentReversed,
    PaymentSettled,
    PaymentWrittenOff,
    PurchaseVoided,
)
from aggregates.charges.kept import Kept
from aggregates.values.identifiers import GroupRef
from aggregates.values.money import Currency
from aggregates.values.period import Instant

PurchaseEvent: TypeAlias = (
    CreditsGranted
    | PaymentAuthorized
    | PaymentSettled
    | PaymentFailed
    | PaymentRetried
    | PaymentReversed
    | PaymentWrittenOff
    | PurchaseVoided
)


class Grant(Kept, frozen=True, kw_only=True):
    """The credit of a purchase, booked."""

    amount: Decimal
    ledger_group: GroupRef
    granted_at: datetime
    booked_at: Instant


class PaymentStatus(StrEnum):
    """How far a payment is; written off is one of its ends (decision 22)."""

    AUTHORIZED = "authorized"
    SETTLED = "settled"
    FAILED = "failed"
    WRITTEN_OFF = "written_off"


class PaymentFact(Kept, frozen=True, kw_only=True):
    """One step of a payment: where the ledger booked it, and when it was reported."""

    ledger_group: GroupRef
    at: datetime


class Payment(Kept, frozen=True, kw_only=True):
    """The payment of a purchase (lifecycles §13); `fiat_amount` is above zero."""

    kind: PaymentKind
    fiat_amount: Decimal
    fiat_currency: Currency
    authorized: PaymentFact
    settled: PaymentFact | None = None
    line_id: UUID | None = None
    invoice_id: UUID | None = None

    @property
    def status(self) -> PaymentStatus:
        """Authorised until it is settled."""
        return PaymentStatus.SETTLED if self.settled else PaymentStatus.AUTHORIZED


class FailedPayment(Kept, frozen=True, kw_only=True):
    """A payment that came to nothing, and what was left to pay then; `written_off`: how much of that was given up."""

    reason: PaymentFailure
    detail: str | None = None
    at: datetime
    fiat_owed: Decimal
    fiat_currency: Currency
    written_off: Decimal | None = None

    @property
    def status(self) -> PaymentStatus:
        """Failed until it is written off."""
        return PaymentStatus.FAILED if self.written_off is None else PaymentStatus.WRITTEN_OFF


class VoidedPurchase(Kept, frozen=True, kw_only=True):
    """What was taken back of a purchase, and when."""

    at: datetime
    amount: Decimal
    ledger_group: GroupRef


def of_purchase(
    payment: Payment | None,
    voided: VoidedPurchase | None,
    failed: FailedPayment | None,
    body: PurchaseEvent,
    at: datetime,
) -> dict[str, object]:
    """What an event changes of the charge, besides its status; given what is known of payment and voiding so far."""
    match body:
        case CreditsGranted():
            group = body.ledger_group
            return {"grant": Grant(amount=body.amount, ledger_group=group, granted_at=at, booked_at=body.booked_at)}
        case PaymentAuthorized():
            return {"payment": _authorized(body, at), "failed_payment": None}
        case PaymentSettled():
            assert payment is not None, "a payment is authorised before it is settled"
            settled = PaymentFact(ledger_group=body.ledger_group, at=at)
            return {"payment": msgspec.structs.replace(payment, settled=settled)}
        case PaymentFailed():
            if voided is None and body.amount and body.ledger_group is not None:
                voided = VoidedPurchase(at=at, amount=body.amount, ledger_group=body.ledger_group)
            return {"payment": None, "failed_payment": _failed(body, at), "voided": voided}
        case PaymentRetried():
            return {"failed_payment": None}
        case PaymentReversed():
            return {"payment": None}
        case PaymentWrittenOff():
            assert failed is not None, "a payment fails before it is written off"
            return {"failed_payment": msgspec.structs.replace(failed, written_off=body.fiat_amount)}
        case PurchaseVoided():
            return {"voided": VoidedPurchase(at=body.voided_at, amount=body.amount, ledger_group=body.ledger_group)}
        case _ as unreachable:
            assert_never(unreachable)


def _authorized(body: PaymentAuthorized, at: datetime) -> Payment:
    return Payment(
        kind=body.kind,
        fiat_amount=body.fiat_amount,
        fiat_currency=body.fiat_currency,
        authorized=PaymentFact(ledger_group=body.ledger_group, at=at),
        line_id=body.line_id,
        invoice_id=body.invoice_id,
    )


def _failed(body: PaymentFailed, at: datetime) -> FailedPayment:
    return FailedPayment(
        reason=body.reason,
        detail=body.detail,
        at=at,
        fiat_owed=body.fiat_owed,
        fiat_currency=body.fiat_currency,
    )
