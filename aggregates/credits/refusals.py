"""Why the pool refuses: one class per rule, each with its stable code (ledger §6; decisions 27, 40; lifecycles §21)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from aggregates.values.errors import CommandRefused, Conflict


@dataclass(eq=False)
class AuthorizationExceedsAccrued(CommandRefused):
    """More was to be authorized than is accrued and not yet authorized (ledger §6.5)."""

    code: ClassVar[str] = "authorization_exceeds_accrued"
    text: ClassVar[str] = "cannot authorize {asked}: {open} of charge {charge_id} is accrued and not yet authorized"
    asked: object = None
    open: object = None
    charge_id: object = None


@dataclass(eq=False)
class UnsupportedSettlementMode(CommandRefused):
    """Credit-only charges have no invoiced part (ledger §6.5)."""

    code: ClassVar[str] = "unsupported_settlement_mode"
    text: ClassVar[str] = "charge {charge_id} is {mode}: none of it is ever invoiced"
    mode: str = ""
    charge_id: object = None


@dataclass(eq=False)
class CreditExceedsAccrued(CommandRefused):
    """More was to be credited or written off than is left of what was invoiced (decisions 22, 23)."""

    code: ClassVar[str] = "credit_exceeds_accrued"
    text: ClassVar[str] = "cannot take back {asked}: only {left} of what was invoiced for charge {charge_id} is left"
    asked: object = None
    left: object = None
    charge_id: object = None


@dataclass(eq=False)
class PaymentAlreadyAuthorized(Conflict):
    """The payment of the purchase is authorized already (lifecycles §13)."""

    code: ClassVar[str] = "payment_already_authorized"
    text: ClassVar[str] = "payment of purchase {purchase} is already authorized"
    purchase: object = None


@dataclass(eq=False)
class PaymentAlreadySettled(Conflict):
    """The payment of the purchase is settled already (lifecycles §13)."""

    code: ClassVar[str] = "payment_already_settled"
    text: ClassVar[str] = "payment of purchase {purchase} is already settled"
    purchase: object = None


@dataclass(eq=False)
class CannotSettleNotAuthorizedPayment(CommandRefused):
    """A payment is authorized before it is settled (lifecycles §13)."""

    code: ClassVar[str] = "cannot_settle_not_authorized_payment"
    text: ClassVar[str] = "payment of purchase {purchase} has not been authorized"
    purchase: object = None


@dataclass(eq=False)
class CreditAlreadyGranted(Conflict):
    """The purchase has issued its credit, or was cancelled; it cannot issue credit again."""

    code: ClassVar[str] = "credit_already_granted"
    text: ClassVar[str] = "purchase {purchase} has already granted its credit or was cancelled"
    purchase: object = None


@dataclass(eq=False)
class GrantAlreadyEffective(Conflict):
    """A grant that is effective or in use is voided, not cancelled (ledger §6.8)."""

    code: ClassVar[str] = "grant_already_effective"
    text: ClassVar[str] = "purchase {purchase} is effective or in use; void it instead"
    purchase: object = None


@dataclass(eq=False)
class AdvanceLimitExceeded(CommandRefused):
    """Usage would run further ahead of credit than the customer's profile allows (ledger §17).

    The charge stays as it is and is listed with this reason; it moves by itself once there is credit, or more room.
    """

    code: ClassVar[str] = "advance_limit_exceeded"
    text: ClassVar[str] = (
        "{asked} of charge {charge_id} is beyond credit; {room} is left of an advance limit of {limit}"
    )
    asked: object = None
    room: object = None
    limit: object = None
    charge_id: object = None


@dataclass(eq=False)
class NothingToWriteOff(CommandRefused):
    """Less is owed, or was given up, than was to be written off or taken back (decision 22)."""

    code: ClassVar[str] = "nothing_to_write_off"
    text: ClassVar[str] = "cannot write off, or take back, {asked}: there is {left}"
    asked: object = None
    left: object = None


@dataclass(eq=False)
class ReductionExceedsUnused(CommandRefused):
    """More of a purchase was to be taken back than is left of it (ledger §17)."""

    code: ClassVar[str] = "reduction_exceeds_unused"
    text: ClassVar[str] = "cannot take {asked} back from purchase {purchase}: {left} of it is unused"
    asked: object = None
    left: object = None
    purchase: object = None


@dataclass(eq=False)
class NothingOwed(CommandRefused):
    """Everything a purchase gave is paid for, or it gave nothing: there is nothing to authorize or to try again."""

    code: ClassVar[str] = "nothing_owed"
    text: ClassVar[str] = "nothing is owed for purchase {purchase}"
    purchase: object = None


@dataclass(eq=False)
class CorrectionCreditExceeded(CommandRefused):
    """More of a correction credit was to be paid back than is left of it, or there is none (decision 20)."""

    code: ClassVar[str] = "correction_credit_exceeded"
    text: ClassVar[str] = "cannot pay back {asked}: {left} is left of the correction credit of run {run_id}"
    asked: object = None
    left: object = None
    run_id: object = None


@dataclass(eq=False)
class NothingToRefund(CommandRefused):
    """Less was paid beyond the price of what a purchase still gives than was to be refunded (decision 37)."""

    code: ClassVar[str] = "nothing_to_refund"
    text: ClassVar[str] = "cannot refund {asked} of purchase {purchase}: {left} was paid for nothing"
    asked: object = None
    left: object = None
    purchase: object = None


@dataclass(eq=False)
class NothingToReverse(CommandRefused):
    """Less was received for a purchase than was to be reversed (ledger §17)."""

    code: ClassVar[str] = "nothing_to_reverse"
    text: ClassVar[str] = "cannot reverse {asked} of the payment of purchase {purchase}: {left} was received"
    asked: object = None
    left: object = None
    purchase: object = None


@dataclass(eq=False)
class NothingUnapplied(CommandRefused):
    """Less unapplied credit is left of an invoice than was to be used (decision 23)."""

    code: ClassVar[str] = "nothing_unapplied"
    text: ClassVar[str] = "cannot use {asked}: {left} of unapplied credit of invoice {invoice} is left"
    asked: object = None
    left: object = None
    invoice: object = None
