"""Events of the credit pool, one stream per namespace, customer and currency (ledger §11).

Each event is one posting group: the unit of atomicity, named by the pool and the event's version (`GroupRef`). It
carries what was decided (slices, backfills, returned parts) and its transactions in full, so that neither state nor
views ever recompute a posting. Amounts are exact decimals in the pool's currency unless a field says otherwise;
times are UTC. Lots and slices are named by sequence numbers of the pool, never by random ids, because the order of
collection and of correction depends on them (ledger §6.2).
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, get_args
from uuid import UUID

from aggregates.credits.event_parts import (
    RULES_VERSION,
    AppliedPart,
    BackfillElement,
    CollectedSlice,
    KeptRecognition,
    PaymentAdjustment,
    PurchaseSettlement,
    RecognitionKind,
    RecognizedPart,
    RestoredLot,
    ReturnedPart,
    SegmentState,
    SettlementMode,
    UnappliedUse,
    VoidedPart,
    WrittenOffPart,
)
from aggregates.credits.sealing_events import AccrualBroughtBack, PurchaseBroughtBack, SlicesSealed
from aggregates.event import DomainEvent
from aggregates.journal.chart import Route, Tax
from aggregates.journal.postings import Transaction
from aggregates.values.decimals import ZERO
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period

__all__ = [
    "EVENTS",
    "RULES_VERSION",
    "AccrualBroughtBack",
    "AdvanceCovered",
    "AdvanceWrittenOff",
    "AppliedPart",
    "BackfillElement",
    "CollectedSlice",
    "CreditCollected",
    "CreditGranted",
    "CreditPoolEvent",
    "CreditReturned",
    "CreditVoided",
    "EarningsRecognized",
    "GrantCancelled",
    "InvoicePaymentAuthorized",
    "InvoicePaymentSettled",
    "InvoiceUsageAccrued",
    "InvoiceUsageCredited",
    "KeptRecognition",
    "PaymentAdjustment",
    "PurchaseBroughtBack",
    "PurchaseCredited",
    "PurchasePaymentAuthorized",
    "PurchasePaymentFailed",
    "PurchasePaymentReversed",
    "PurchasePaymentSettled",
    "PurchaseRefunded",
    "PurchaseSettlement",
    "PurchaseWrittenOff",
    "ReceivableWrittenOff",
    "RecognitionKind",
    "RecognitionReversed",
    "RecognizedPart",
    "RestoredLot",
    "ReturnedPart",
    "SegmentState",
    "SettlementMode",
    "SlicesSealed",
    "UnappliedCreditArisen",
    "UnappliedCreditSpent",
    "UnappliedUse",
    "VoidedPart",
    "WrittenOffPart",
]


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


class CreditGranted(DomainEvent, frozen=True, kw_only=True):
    """A credit purchase issued its credit; what covers open advance was taken over first (ledger §6.1, §6.4).

    `purchase`: charge id, absent for an opening balance. `lot`: sequence of the lot that holds the rest, also when
    nothing is left of it. `amount`: granted in full; `route`: of the lot, with its priority and features.
    """

    NAME: ClassVar[str] = "credit_pool.credit_granted.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID | None = None
    settlement: PurchaseSettlement
    lot: int
    route: Route
    amount: Decimal
    effective_at: Instant
    expires_at: Instant | None = None
    backfill: tuple[BackfillElement, ...] = ()
    transactions: tuple[Transaction, ...]


class PurchasePaymentAuthorized(DomainEvent, frozen=True, kw_only=True):
    """Payment of a purchase was authorized; credit and fiat amount were exchanged where they differ (ledger §6.1).

    `fiat_amount` is in `fiat_currency`, which is the pool's own unless the pool holds a custom currency. `route`: of
    the credit that it pays for, where none is granted yet. `reinstated`: fiat that had been written off and is owed
    again.
    """

    NAME: ClassVar[str] = "credit_pool.purchase_payment_authorized.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID
    credit_amount: Decimal
    fiat_amount: Decimal
    fiat_currency: Currency
    booked_at: Instant
    route: Route | None = None
    reinstated: Decimal = ZERO
    transactions: tuple[Transaction, ...]


class PurchasePaymentSettled(DomainEvent, frozen=True, kw_only=True):
    """Money for a purchase arrived (ledger §6.1); recorded as it came, more or less than authorized (decision 27).

    `authorized`: what had not been authorized before and was in this group; `exchanged`: credit exchanged in it for
    `agreed` fiat, where payment begins without an authorization. `route`, `reinstated`: as for an authorization.
    """

    NAME: ClassVar[str] = "credit_pool.purchase_payment_settled.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID
    credit_amount: Decimal
    fiat_amount: Decimal
    fiat_currency: Currency
    booked_at: Instant
    exchanged: Decimal = ZERO
    agreed: Decimal = ZERO
    authorized: Decimal = ZERO
    route: Route | None = None
    reinstated: Decimal = ZERO
    transactions: tuple[Transaction, ...]


class PurchasePaymentReversed(DomainEvent, frozen=True, kw_only=True):
    """Money received for a purchase was taken back, as in a chargeback; it is owed again (ledger §17)."""

    NAME: ClassVar[str] = "credit_pool.purchase_payment_reversed.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID
    fiat_amount: Decimal
    fiat_currency: Currency
    booked_at: Instant
    transactions: tuple[Transaction, ...]


class PurchasePaymentFailed(DomainEvent, frozen=True, kw_only=True):
    """The payment of a purchase failed: unused credit was taken back, what was used stays owed (decision 26).

    `reversed`: fiat that had arrived and was taken back; `released`: fiat that was authorized and will not come; both
    in `fiat_currency`. `amount`, `parts`: credit taken back. `adjusted`: voided credit whose price was undone, by
    `adjusted_fiat`; `exchanged`, `agreed`: credit exchanged for fiat in this group, so that what is owed is owed in
    money; below zero where nothing is granted and the exchange was undone as a whole. `fiat_owed`: what is left to pay.
    """

    NAME: ClassVar[str] = "credit_pool.purchase_payment_failed.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID
    fiat_currency: Currency
    fiat_owed: Decimal
    booked_at: Instant
    reversed: Decimal = ZERO
    released: Decimal = ZERO
    amount: Decimal = ZERO
    parts: tuple[VoidedPart, ...] = ()
    adjusted: Decimal = ZERO
    adjusted_fiat: Decimal = ZERO
    exchanged: Decimal = ZERO
    agreed: Decimal = ZERO
    transactions: tuple[Transaction, ...] = ()


class PurchaseWrittenOff(DomainEvent, frozen=True, kw_only=True):
    """What was owed for the credit of a purchase was given up as uncollectible (decisions 22, 26).

    `fiat_amount` is below zero where that is taken back. `exchanged`, `agreed`: credit exchanged for fiat in this
    group, so that what is given up is money.
    """

    NAME: ClassVar[str] = "credit_pool.purchase_written_off.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID
    fiat_amount: Decimal
    fiat_currency: Currency
    booked_at: Instant
    exchanged: Decimal = ZERO
    agreed: Decimal = ZERO
    transactions: tuple[Transaction, ...]


class PurchaseCredited(DomainEvent, frozen=True, kw_only=True):
    """A credit note took back something of the line that sold this credit; its price follows (decision 23).

    `freed`: fiat that was paid of it, which is unapplied credit of the customer now (`UnappliedCreditArisen`);
    `released`: fiat that was authorized and will not come. `adjusted`, `adjusted_fiat`: as for a refund.
    """

    NAME: ClassVar[str] = "credit_pool.purchase_credited.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID
    fiat_currency: Currency
    freed: Decimal = ZERO
    released: Decimal = ZERO
    adjusted: Decimal = ZERO
    adjusted_fiat: Decimal = ZERO
    booked_at: Instant
    transactions: tuple[Transaction, ...] = ()


class PurchaseRefunded(DomainEvent, frozen=True, kw_only=True):
    """What was paid beyond the price of what a purchase still gives went back (ledger §6.8, decision 37).

    `fiat_amount` went back, `authorization_reduced` was promised and need not come, both in `fiat_currency`;
    `adjusted`: voided credit whose price was undone by it, by `adjusted_fiat`.
    """

    NAME: ClassVar[str] = "credit_pool.purchase_refunded.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID
    fiat_amount: Decimal
    fiat_currency: Currency
    authorization_reduced: Decimal = ZERO
    adjusted: Decimal = ZERO
    adjusted_fiat: Decimal = ZERO
    booked_at: Instant
    transactions: tuple[Transaction, ...]


class CreditCollected(DomainEvent, frozen=True, kw_only=True):
    """Credit was taken for a charge, and advance for what credit did not cover in credit-only mode (ledger §6.2).

    `charge`: absent for an opening advance only. `requested`: rounded amount asked for; `shortfall`: what credit did
    not cover, which is the advance slice in credit_only and left to be invoiced otherwise. `source_balance_as_of`:
    the booked time whose credit was eligible. `features`: the charge's feature, which the advance remembers.
    """

    NAME: ClassVar[str] = "credit_pool.credit_collected.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    charge: UUID | None = None
    run: UUID | None = None
    mode: SettlementMode
    requested: Decimal
    shortfall: Decimal = ZERO
    booked_at: Instant
    source_balance_as_of: Instant
    features: tuple[str, ...] = ()
    tax: Tax = Tax()
    slices: tuple[CollectedSlice, ...]
    transactions: tuple[Transaction, ...]


class CreditReturned(DomainEvent, frozen=True, kw_only=True):
    """Collected value was given back, newest slice first (ledger §6.7)."""

    NAME: ClassVar[str] = "credit_pool.credit_returned.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    charge: UUID | None = None
    run: UUID | None = None
    amount: Decimal
    booked_at: Instant
    parts: tuple[ReturnedPart, ...]
    restored_lots: tuple[RestoredLot, ...] = ()
    transactions: tuple[Transaction, ...]


class InvoiceUsageAccrued(DomainEvent, frozen=True, kw_only=True):
    """Usage or a fee that is invoiced was acknowledged as owed (ledger §6.5).

    `accrual`: its sequence number in the pool. `route`: of the accrued value, with cost basis and tax.
    `service_period`: what it pays for in advance, absent for usage and arrears. `invoice`: whose line it is.
    """

    NAME: ClassVar[str] = "credit_pool.invoice_usage_accrued.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    accrual: int
    charge: UUID | None = None
    run: UUID | None = None
    line: UUID | None = None
    invoice: UUID | None = None
    route: Route
    amount: Decimal
    booked_at: Instant
    service_period: Period | None = None
    transactions: tuple[Transaction, ...]


class InvoicePaymentAuthorized(DomainEvent, frozen=True, kw_only=True):
    """Payment of invoiced usage was authorized (ledger §6.5); amounts below zero take an authorization back."""

    NAME: ClassVar[str] = "credit_pool.invoice_payment_authorized.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    charge: UUID | None = None
    run: UUID | None = None
    line: UUID | None = None
    amount: Decimal
    booked_at: Instant
    parts: tuple[AppliedPart, ...]
    transactions: tuple[Transaction, ...]


class InvoicePaymentSettled(DomainEvent, frozen=True, kw_only=True):
    """Money for invoiced usage arrived (ledger §6.5); recorded as it came (decision 27).

    `invoice`: on which what exceeds all accruals is unapplied credit.
    """

    NAME: ClassVar[str] = "credit_pool.invoice_payment_settled.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    charge: UUID | None = None
    run: UUID | None = None
    line: UUID | None = None
    invoice: UUID | None = None
    amount: Decimal
    booked_at: Instant
    parts: tuple[AppliedPart, ...]
    transactions: tuple[Transaction, ...]


class InvoiceUsageCredited(DomainEvent, frozen=True, kw_only=True):
    """A credit note took back invoiced value: earnings first, then accrued, against the receivable (decision 23).

    `freed`: what was paid of it, with tax, and is unapplied credit of `invoice` from now on; `freed_net`: without tax.
    """

    NAME: ClassVar[str] = "credit_pool.invoice_usage_credited.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    charge: UUID | None = None
    run: UUID | None = None
    line: UUID | None = None
    invoice: UUID | None = None
    amount: Decimal
    freed: Decimal = ZERO
    freed_net: Decimal = ZERO
    booked_at: Instant
    parts: tuple[AppliedPart, ...]
    transactions: tuple[Transaction, ...]


class UnappliedCreditArisen(DomainEvent, frozen=True, kw_only=True):
    """Money paid for credit that was taken back is the customer's, on that invoice (decision 23).

    `amount` with tax, `net` without: open receivable at cost basis 1 rises by the net. The purchase it was paid for has
    that much less (`PurchaseCredited`).
    """

    NAME: ClassVar[str] = "credit_pool.unapplied_credit_arisen.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    invoice: UUID
    purchase: UUID
    amount: Decimal
    net: Decimal
    booked_at: Instant
    transactions: tuple[Transaction, ...]


class UnappliedCreditSpent(DomainEvent, frozen=True, kw_only=True):
    """Unapplied credit of an invoice was set against another one, paid back, or turned into credit (decision 23).

    `amount`: as on the invoice, with tax; `net`: what the ledger has of it. `to_invoice`: which it was set against.
    `parts`: which accruals are paid by so much less (below zero) or more. Only a refund is booked.
    """

    NAME: ClassVar[str] = "credit_pool.unapplied_credit_spent.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    invoice: UUID
    use: UnappliedUse
    amount: Decimal
    net: Decimal
    to_invoice: UUID | None = None
    booked_at: Instant
    parts: tuple[AppliedPart, ...] = ()
    transactions: tuple[Transaction, ...] = ()


class ReceivableWrittenOff(DomainEvent, frozen=True, kw_only=True):
    """A receivable was given up as uncollectible (decision 22); a negative amount takes that back on a late receipt."""

    NAME: ClassVar[str] = "credit_pool.receivable_written_off.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    charge: UUID | None = None
    run: UUID | None = None
    line: UUID | None = None
    amount: Decimal
    booked_at: Instant
    parts: tuple[AppliedPart, ...]
    transactions: tuple[Transaction, ...]


class AdvanceCovered(DomainEvent, frozen=True, kw_only=True):
    """Credit that was free took over open advance (ledger §17, lifecycles §22 row 18).

    `lot`: whose credit; each part was ordinary credit until it was taken out again (`through_balance`).
    """

    NAME: ClassVar[str] = "credit_pool.advance_covered.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    lot: int
    amount: Decimal
    booked_at: Instant
    parts: tuple[BackfillElement, ...]
    transactions: tuple[Transaction, ...]


class AdvanceWrittenOff(DomainEvent, frozen=True, kw_only=True):
    """Usage beyond credit was given up as uncollectible; negative amounts take that back (decision 22)."""

    NAME: ClassVar[str] = "credit_pool.advance_written_off.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    charge: UUID | None = None
    amount: Decimal
    booked_at: Instant
    parts: tuple[WrittenOffPart, ...]
    transactions: tuple[Transaction, ...]


class EarningsRecognized(DomainEvent, frozen=True, kw_only=True):
    """Accrued value became revenue (ledger §6.6)."""

    NAME: ClassVar[str] = "credit_pool.earnings_recognized.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    kind: RecognitionKind
    amount: Decimal
    booked_at: Instant
    parts: tuple[RecognizedPart, ...]
    transactions: tuple[Transaction, ...]


class RecognitionReversed(DomainEvent, frozen=True, kw_only=True):
    """Revenue became accrued value again, newest recognition first (ledger §6.6)."""

    NAME: ClassVar[str] = "credit_pool.recognition_reversed.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    amount: Decimal
    booked_at: Instant
    parts: tuple[RecognizedPart, ...]
    transactions: tuple[Transaction, ...]


class CreditVoided(DomainEvent, frozen=True, kw_only=True):
    """Everything left of a grant was taken back (ledger §6.8).

    `refunded`: fiat that went back; `authorization_reduced`: fiat by which a standing authorization shrank;
    `adjusted`: voided credit whose price, `adjusted_fiat`, was undone by that, or will not be asked for (decision 37).
    `of_run`: what was granted was value of a run that had been paid for; `purchase` is that run (decision 20).
    """

    NAME: ClassVar[str] = "credit_pool.credit_voided.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID
    amount: Decimal
    booked_at: Instant
    parts: tuple[VoidedPart, ...]
    payment_adjustment: PaymentAdjustment = PaymentAdjustment.NONE
    refunded: Decimal = ZERO
    authorization_reduced: Decimal = ZERO
    adjusted: Decimal = ZERO
    adjusted_fiat: Decimal = ZERO
    of_run: bool = False
    transactions: tuple[Transaction, ...]


class GrantCancelled(DomainEvent, frozen=True, kw_only=True):
    """A scheduled grant was cancelled before it became effective; what was booked for it is undone (ledger §6.8).

    `lot` and transactions are absent when nothing had been booked yet.
    """

    NAME: ClassVar[str] = "credit_pool.grant_cancelled.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID
    lot: int | None = None
    amount: Decimal = ZERO
    transactions: tuple[Transaction, ...] = ()


CreditPoolEvent = (
    CreditGranted
    | PurchasePaymentAuthorized
    | PurchasePaymentSettled
    | PurchasePaymentReversed
    | PurchasePaymentFailed
    | PurchaseWrittenOff
    | PurchaseCredited
    | PurchaseRefunded
    | CreditCollected
    | CreditReturned
    | InvoiceUsageAccrued
    | InvoicePaymentAuthorized
    | InvoicePaymentSettled
    | InvoiceUsageCredited
    | UnappliedCreditArisen
    | UnappliedCreditSpent
    | ReceivableWrittenOff
    | AdvanceCovered
    | AdvanceWrittenOff
    | EarningsRecognized
    | RecognitionReversed
    | CreditVoided
    | GrantCancelled
    | SlicesSealed
    | PurchaseBroughtBack
    | AccrualBroughtBack
)
EVENTS: tuple[type[DomainEvent], ...] = get_args(CreditPoolEvent)
