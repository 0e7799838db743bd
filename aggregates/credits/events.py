"""Events of the credit pool, one stream per namespace, customer and currency (ledger §11).

Each event is one posting group: the unit of atomicity, named by the pool and the event's version (`GroupRef`). It
carries what was decided (slices, backfills, returned parts) and its transactions in full, so that neither state nor
views ever recompute a posting. Amounts are exact decimals in the pool's currency unless a field says otherwise;
times are UTC. Lots and slices are named by sequence numbers of the pool, never by random ids, because the order of
collection and of correction depends on them (ledger §6.2).
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

import msgspec

from aggregates.event import DomainEvent
from aggregates.journal.chart import Route, Tax
from aggregates.journal.postings import EntryRef, Transaction
from aggregates.values.decimals import ZERO
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period

RULES_VERSION = 1
"""The version of collection order and split rules that events of today are decided under."""


class SettlementMode(StrEnum):
    """What happens to usage that credit does not cover."""

    CREDIT_ONLY = "credit_only"
    """It becomes advance: negative credit that a later purchase backfills."""
    CREDIT_THEN_INVOICE = "credit_then_invoice"
    """It is left to be invoiced."""


class PurchaseSettlement(StrEnum):
    """How a credit purchase is paid for."""

    PROMOTIONAL = "promotional"
    """Given away: authorized and settled in the group that grants it."""
    EXTERNAL = "external"
    """Paid outside; payment facts come in later."""
    INVOICE = "invoice"
    """Paid by an invoice; payment facts come from its line."""


class SegmentState(StrEnum):
    """The state of a part of a slice (ledger §7)."""

    REAL_CREDIT = "real_credit"
    ADVANCE_UNCOVERED = "advance_uncovered"
    ADVANCE_BACKFILLED = "advance_backfilled"
    ADVANCE_WRITTEN_OFF = "advance_written_off"
    EARNINGS_RECOGNIZED = "earnings_recognized"


class RecognitionKind(StrEnum):
    """Which accrued value a recognition selects, by provenance (ledger §6.6)."""

    CREDIT = "credit"
    """Value funded by a purchase: real credit and backfilled advance of known cost basis."""
    INVOICED = "invoiced"
    """Invoice-backed value: no source, on its own switch and with its own reversal."""


class PaymentAdjustment(StrEnum):
    """What voiding a grant does to what was, or is to be, paid for it (decision 37)."""

    NONE = "none"
    """Nothing: the positive open receivable stands as the refund owed."""
    REDUCE = "reduce"
    """What is still to be paid shrinks; what was paid stays."""
    REFUND = "refund"
    """The unused part of what was paid goes back: refund = paid - round(consumed x rate)."""


class UnappliedUse(StrEnum):
    """What becomes of unapplied credit (decision 23)."""

    APPLIED = "applied"
    """It is set against another invoice."""
    REFUNDED = "refunded"
    """It is paid back."""
    GRANTED = "granted"
    """It becomes credit of cost basis 1, granted in the same save."""


# ── parts of events ──────────────────────────────────────────────────────────────────────────────────────────


class BackfillElement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of an advance slice that a grant takes over (ledger §6.4).

    `booked_at`: when attribution and translation are booked; `accounting_date`, where that is another. `entry`: ordinal
    of the attribution's first entry; the translation's first entry is two further. `released_at`: when the lot's
    expiry plan is released by `amount`, for grants that expire. `through_balance`: the part was ordinary credit until
    `booked_at` and was taken out again by `customer.receivable.cover` (decision 36).
    """

    slice: int
    charge: UUID | None = None
    amount: Decimal
    booked_at: Instant
    accounting_date: Instant | None = None
    entry: int
    released_at: Instant | None = None
    through_balance: bool = False


class CollectedSlice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One selected (lot, amount) of a collection, in collection order; the last one of a shortfall is the advance.

    `sequence`: the slice's number in the pool. `lot`: sequence of the lot it was taken from, absent for advance.
    `allocation`: sequence of the first slice of its allocation: neighbouring slices of one route share one (D8).
    `entry`: ordinal of the slice's fbo entry; for advance that of the issue, the collecting one is two further.
    `released_at`: when the lot's expiry plan is released by `amount`; absent for lots that never expire.
    """

    sequence: int
    allocation: int
    lot: int | None = None
    amount: Decimal
    entry: int
    released_at: Instant | None = None


class ReturnedPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a slice that a correction gave back (ledger §6.7).

    `state`: what the part was before it was recognised, if it was; `recognized`: whether recognition was undone too.
    `backfill`: sequence of the lot whose grant had covered it. `booked_at`: when value leaves accrued. `lot`,
    `lot_at`: where and when credit is spendable again, absent for uncovered advance. `reopened_at`: when it will
    expire again, absent for lots that never expire. `allocation`: the allocation the slice belongs to. `attribution`:
    the entry that covered it, where that lot had covered the slice more than once.
    """

    slice: int
    allocation: UUID
    state: SegmentState
    recognized: bool = False
    amount: Decimal
    booked_at: Instant
    backfill: int | None = None
    attribution: EntryRef | None = None
    lot: int | None = None
    lot_at: Instant | None = None
    reopened_at: Instant | None = None


class RestoredLot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A lot that a correction opens, because credit comes back to one that has expired or left the state.

    Route and source are those of the original purchase; under `restored_credit_grace` it expires later.
    """

    sequence: int
    source: UUID | None = None
    route: Route
    effective_at: Instant
    expires_at: Instant | None = None


class RecognizedPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a slice, or of an invoice accrual, that became earnings.

    `slice` with `backfill` (the covering lot) for credit, `accrual` for invoiced value. `entry`: ordinal of the
    accrued entry, which parts of one date, route, source and spend share. `booked_at`: when it moved;
    `accounting_date`, where that is another: the date of the value that it is the revenue of (decision 35).
    `attribution`: as in `ReturnedPart`.
    """

    slice: int | None = None
    backfill: int | None = None
    attribution: EntryRef | None = None
    accrual: int | None = None
    charge: UUID | None = None
    amount: Decimal
    booked_at: Instant
    accounting_date: Instant | None = None
    entry: int


class VoidedPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was left of one lot of the grant; `released_at`: when its expiry plan is released by `amount`."""

    lot: int
    route: Route
    amount: Decimal
    released_at: Instant | None = None


class WrittenOffPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much of an advance slice was given up, or below zero: is owed again."""

    slice: int
    charge: UUID | None = None
    amount: Decimal


class AppliedPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much of a payment, credit note or write-off belongs to one accrual; none for what exceeds all of them.

    `authorized`: how much of a settlement had to be authorized first. `unrecognized`: how much recognition a credit
    note undid.
    """

    accrual: int | None = None
    amount: Decimal
    authorized: Decimal = ZERO
    unrecognized: Decimal = ZERO


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

    `fiat_amount` is in `fiat_currency`, which is the pool's own unless the pool holds a custom currency.
    """

    NAME: ClassVar[str] = "credit_pool.purchase_payment_authorized.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID
    credit_amount: Decimal
    fiat_amount: Decimal
    fiat_currency: Currency
    booked_at: Instant
    transactions: tuple[Transaction, ...]


class PurchasePaymentSettled(DomainEvent, frozen=True, kw_only=True):
    """Money for a purchase arrived (ledger §6.1); recorded as it came, more or less than authorized (decision 27).

    `authorized`: what had not been authorized before and was in this group; `exchanged`: credit exchanged in it for
    `agreed` fiat, where payment begins without an authorization.
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


class PurchaseRefunded(DomainEvent, frozen=True, kw_only=True):
    """What was paid beyond the price of what a purchase still gives went back (ledger §6.8, decision 37).

    `fiat_amount` went back, `authorization_reduced` was promised and need not come, both in `fiat_currency`;
    `adjusted`: voided credit whose price was undone by it.
    """

    NAME: ClassVar[str] = "credit_pool.purchase_refunded.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID
    fiat_amount: Decimal
    fiat_currency: Currency
    authorization_reduced: Decimal = ZERO
    adjusted: Decimal = ZERO
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
    `adjusted`: voided credit whose price was undone by that, or will not be asked for (decision 37).
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


class SlicesSealed(DomainEvent, frozen=True, kw_only=True):
    """What nobody needs in hand any more left the state (ledger §11, decision 40).

    `slices`: corrections of them read the stream. `final`: charges that will not move again, of which slices still
    wait for recognition or cover and follow them without another word. `lots`: expired ones that nothing can return
    to; `purchases`: given away, without a lot left; `accruals`: paid and recognised.
    """

    NAME: ClassVar[str] = "credit_pool.slices_sealed.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    slices: tuple[int, ...] = ()
    final: tuple[UUID, ...] = ()
    lots: tuple[int, ...] = ()
    purchases: tuple[UUID, ...] = ()
    accruals: tuple[int, ...] = ()
    transactions: tuple[Transaction, ...] = ()


EVENTS: tuple[type[DomainEvent], ...] = (
    CreditGranted,
    PurchasePaymentAuthorized,
    PurchasePaymentSettled,
    PurchasePaymentReversed,
    PurchaseRefunded,
    CreditCollected,
    CreditReturned,
    InvoiceUsageAccrued,
    InvoicePaymentAuthorized,
    InvoicePaymentSettled,
    InvoiceUsageCredited,
    UnappliedCreditSpent,
    ReceivableWrittenOff,
    AdvanceCovered,
    AdvanceWrittenOff,
    EarningsRecognized,
    RecognitionReversed,
    CreditVoided,
    GrantCancelled,
    SlicesSealed,
)
CreditPoolEvent = (
    CreditGranted
    | PurchasePaymentAuthorized
    | PurchasePaymentSettled
    | PurchasePaymentReversed
    | PurchaseRefunded
    | CreditCollected
    | CreditReturned
    | InvoiceUsageAccrued
    | InvoicePaymentAuthorized
    | InvoicePaymentSettled
    | InvoiceUsageCredited
    | UnappliedCreditSpent
    | ReceivableWrittenOff
    | AdvanceCovered
    | AdvanceWrittenOff
    | EarningsRecognized
    | RecognitionReversed
    | CreditVoided
    | GrantCancelled
    | SlicesSealed
)
