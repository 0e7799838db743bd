"""What the events of the credit pool are made of: their parts, and the words they choose from (ledger §11)."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from aggregates.journal.chart import Route
from aggregates.journal.postings import EntryRef
from aggregates.values.decimals import ZERO
from aggregates.values.period import Instant

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
    """What was left of one lot of the grant; `released_at`: when its expiry plan is released by `amount`.

    `booked_at`: when it is taken back, where that is later than the rest: at the effective time of scheduled credit.
    """

    lot: int
    route: Route
    amount: Decimal
    released_at: Instant | None = None
    booked_at: Instant | None = None


class WrittenOffPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much of an advance slice was given up, or below zero: is owed again."""

    slice: int
    charge: UUID | None = None
    amount: Decimal


class KeptRecognition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of an accrual that is earnings: how much still, since when, by which accrued entry, for which date."""

    amount: Decimal
    at: Instant
    entry: EntryRef
    accounted_at: Instant


class AppliedPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much of a payment, credit note or write-off belongs to one accrual; none for what exceeds all of them.

    `authorized`: how much of a settlement had to be authorized first; below zero where a credit note let a promise
    lapse. `unrecognized`: how much recognition a credit note undid.
    """

    accrual: int | None = None
    amount: Decimal
    authorized: Decimal = ZERO
    unrecognized: Decimal = ZERO
