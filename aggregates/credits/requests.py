"""What the pool can be asked: one request per flow of ledger §6. `decisions` answers each with an event, or None.

Amounts are in the pool's currency and need not be rounded: a decision rounds what is asked for before it plans
(ledger §8). Times are UTC and whole seconds. `accounting_date` is the date statements go by: the second before the
period's end for usage and arrears; absent means the booked time (decision 35).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.credits.events import (
    PaymentAdjustment,
    PurchaseSettlement,
    RecognitionKind,
    SettlementMode,
    UnappliedUse,
)
from aggregates.journal.chart import DEFAULT_CREDIT_PRIORITY, TaxBehavior
from aggregates.policies import RecognizeInvoiced, UsageCreditCut
from aggregates.values.decimals import ONE, ZERO
from aggregates.values.money import Currency
from aggregates.values.period import Duration, Instant, Period

_SECOND = timedelta(seconds=1)


class SourceCut(msgspec.Struct, frozen=True):
    """The booked time whose credit may pay, and whether a lot that ends there still does.

    `period_end` at T takes lots effective at or before T that expire strictly after T (ledger §6.2); `last_second`
    what was live in the last second before T: effective before T, expiring at or after T. A January grant that
    expires on 1 February pays usage cut at 1 February under `last_second` only.
    """

    instant: Instant
    cut: UsageCreditCut = UsageCreditCut.PERIOD_END

    @property
    def as_of(self) -> Instant:
        """The instant whose balances are sources: T, or the second before T."""
        return self.instant if self.cut is UsageCreditCut.PERIOD_END else Instant(self.instant - _SECOND)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all requests to the pool.

    `accounting_date`: the date statements go by; absent, the booked time (decision 35). `closed_until`: everything
    before is closed; what is dated there is booked then, and `original_date` keeps its date (decision 39).
    """

    accounting_date: Instant | None = None
    closed_until: Instant | None = None
    original_date: Instant | None = None


class Grant(Request, frozen=True, kw_only=True):
    """Issue the credit of a purchase (ledger §6.1).

    `cost_basis`: fiat price of one unit of credit; absent for promotional credit, which costs 0 in fiat and has no
    known cost in a custom currency. `settlement_currency`: fiat code of that price, for a custom currency.
    `now` is the clock: advance is taken over at min(now, effective_at).
    """

    purchase: UUID
    amount: Decimal
    settlement: PurchaseSettlement = PurchaseSettlement.PROMOTIONAL
    cost_basis: Decimal | None = None
    settlement_currency: str | None = None
    priority: int = DEFAULT_CREDIT_PRIORITY
    features: tuple[str, ...] = ()
    effective_at: Instant
    expires_at: Instant | None = None
    now: datetime


class OpenBalance(Request, frozen=True, kw_only=True):
    """Take over credit from before this ledger: issued without backfill, its cost basis may be unknown.

    `source`: provenance to carry, absent for none. `settled`: whether it was paid for, so that nothing is owed.
    """

    source: UUID | None = None
    amount: Decimal
    settled: bool = True
    cost_basis: Decimal | None = None
    settlement_currency: str | None = None
    priority: int = DEFAULT_CREDIT_PRIORITY
    features: tuple[str, ...] = ()
    effective_at: Instant
    expires_at: Instant | None = None


class OpenAdvance(Request, frozen=True, kw_only=True):
    """Take over advance from before this ledger: no charge's allocation points at it, purchases backfill it."""

    charge: UUID | None = None
    amount: Decimal
    features: tuple[str, ...] = ()
    tax_code: str | None = None
    tax_behavior: TaxBehavior | None = None
    booked_at: Instant


class PurchasePayment(Request, frozen=True, kw_only=True):
    """A payment fact of a purchase: authorized or settled (ledger §6.1).

    `credit_amount`, `cost_basis`, `features`: the purchase's terms, which may be paid before credit is issued.
    `fiat_amount`: in `fiat_currency` (absent: the pool's own); absent means round(credit_amount x cost_basis).
    `after_all`: money that comes takes back what had been written off; an invoice says so itself, beforehand.
    """

    purchase: UUID
    credit_amount: Decimal
    cost_basis: Decimal
    fiat_amount: Decimal | None = None
    fiat_currency: Currency | None = None
    features: tuple[str, ...] = ()
    after_all: bool = True
    booked_at: Instant


class OfLine(PurchasePayment, frozen=True, kw_only=True):
    """What became of the line that sells the credit of a purchase: `amount` of it, net, in fiat.

    `lapses`: all of the line goes, and with it what was promised of it.
    """

    amount: Decimal = ZERO
    lapses: bool = False


class ArisenUnapplied(Request, frozen=True, kw_only=True):
    """What was paid for a purchase became unapplied credit on its invoice; `amount` with tax, `net` without."""

    invoice: UUID
    purchase: UUID
    amount: Decimal
    net: Decimal
    booked_at: Instant


class Collect(Request, frozen=True, kw_only=True):
    """Take credit for a charge (ledger §6.2).

    `feature`: the charge's feature key; without one only unrestricted credit pays. `sources_at`: whose credit counts.
    `advance_limit`: how far below zero the customer's balance may be after it, at `now` (absent: when booked).
    """

    charge: UUID
    run: UUID | None = None
    amount: Decimal
    mode: SettlementMode
    feature: str | None = None
    booked_at: Instant
    sources_at: SourceCut
    advance_limit: Decimal | None = None
    now: Instant | None = None
    tax_code: str | None = None
    tax_behavior: TaxBehavior | None = None


class Correct(Request, frozen=True, kw_only=True):
    """Give collected value back, newest first (ledger §6.7).

    `amount`: positive; absent means everything left. `run` or `allocation` narrow it to slices of that run or
    allocation. `restored_credit_grace`: how long credit lives that comes back after its expiry, counted on the
    calendar of `zone` from the return (policy of the same name; zero: it expires as it would have). The return is
    `now`, the clock, where that is later than `booked_at`: a correction made in March and booked for January returns
    credit in March.
    """

    charge: UUID
    run: UUID | None = None
    allocation: UUID | None = None
    amount: Decimal | None = None
    booked_at: Instant
    now: Instant | None = None
    restored_credit_grace: Duration = Duration()
    zone: str = "UTC"


class AccrueUsage(Request, frozen=True, kw_only=True):
    """Acknowledge the invoiced part of usage or a fee, after credits (ledger §6.5).

    `booked_at`: the line's period end, or its start when it is billed in advance. `service_period`: what is paid for
    in advance, over which it becomes revenue; absent for usage and arrears. `mode`: the charge's settlement mode;
    credit-only charges are never invoiced. `invoice`: whose line it is.
    """

    charge: UUID | None
    run: UUID | None = None
    line: UUID | None = None
    invoice: UUID | None = None
    amount: Decimal
    mode: SettlementMode = SettlementMode.CREDIT_THEN_INVOICE
    cost_basis: Decimal = ONE
    tax_code: str | None = None
    tax_behavior: TaxBehavior | None = None
    service_period: Period | None = None
    booked_at: Instant


class InvoicePayment(Request, frozen=True, kw_only=True):
    """A payment fact, credit note or write-off of invoiced usage: of a charge, narrowed by run and line (ledger §6.5).

    `over_payment`: an authorization above what was accrued is declared and taken as it is. `invoice`: where unapplied
    credit comes about: by a payment beyond all accruals, or a note on what was paid (`freed`, with tax; `freed_net`).
    """

    charge: UUID | None
    run: UUID | None = None
    line: UUID | None = None
    invoice: UUID | None = None
    amount: Decimal
    freed: Decimal = ZERO
    freed_net: Decimal = ZERO
    over_payment: bool = False
    booked_at: Instant


class SpendUnapplied(Request, frozen=True, kw_only=True):
    """Use unapplied credit of an invoice, with tax, for another invoice, a refund or a grant (decision 23).

    `settles`: the lines that are paid by it, and with how much net.
    """

    invoice: UUID
    amount: Decimal
    use: UnappliedUse
    to_invoice: UUID | None = None
    settles: tuple[tuple[UUID, Decimal], ...] = ()
    booked_at: Instant


class Recognize(Request, frozen=True, kw_only=True):
    """Recognise earnings (ledger §6.6): all eligible credit, or `amount` of a charge's invoiced value.

    `charge` and `amount` narrow an `invoiced` recognition; absent means everything of that kind.
    """

    kind: RecognitionKind = RecognitionKind.CREDIT
    charge: UUID | None = None
    amount: Decimal | None = None
    booked_at: Instant


class RecognizeAccrual(Request, frozen=True, kw_only=True):
    """Book what is not booked yet of the revenue of one accrual, by its sequence number (decisions A).

    `policy`: when invoiced value becomes revenue. `zone`: on whose calendar the days of service are counted.
    """

    accrual: int
    policy: RecognizeInvoiced
    zone: str = "UTC"
    booked_at: Instant


class ReverseRecognition(Request, frozen=True, kw_only=True):
    """Turn revenue back into accrued value, newest recognition first (ledger §6.6).

    `kind` and `charge` narrow it; absent means any.
    """

    kind: RecognitionKind | None = None
    charge: UUID | None = None
    amount: Decimal
    booked_at: Instant


class Void(Request, frozen=True, kw_only=True):
    """Take back everything left of a grant, or `amount` of it (ledger §6.8)."""

    purchase: UUID
    amount: Decimal | None = None
    booked_at: Instant
    payment_adjustment: PaymentAdjustment = PaymentAdjustment.NONE


class FailPayment(PurchasePayment, frozen=True, kw_only=True):
    """The payment of a purchase failed; `money_went_back`: what had arrived of it was taken back (decision 26)."""

    money_went_back: bool


class WriteOffPurchase(Request, frozen=True, kw_only=True):
    """Give up what is owed for the used credit of a purchase whose payment failed (decision 22)."""

    purchase: UUID
    booked_at: Instant


class RefundPurchase(Request, frozen=True, kw_only=True):
    """Give back what was paid beyond the price of what a purchase still gives, or `amount` of it, in fiat."""

    purchase: UUID
    amount: Decimal | None = None
    booked_at: Instant


class RefundCorrection(Request, frozen=True, kw_only=True):
    """Pay back what is left of a correction credit, or `amount` of it; `run` is its source (decision 20)."""

    run: UUID
    amount: Decimal | None = None
    booked_at: Instant


class ReversePayment(Request, frozen=True, kw_only=True):
    """Money received for a purchase was taken back; `amount` in fiat, absent: all of it."""

    purchase: UUID
    amount: Decimal | None = None
    booked_at: Instant


class WriteOffAdvance(Request, frozen=True, kw_only=True):
    """Give up usage beyond credit that nobody will cover, oldest first (decision 22); or take that back.

    `charge` and `amount` narrow it; absent means everything.
    """

    charge: UUID | None = None
    amount: Decimal | None = None
    booked_at: Instant


class CoverAdvance(Request, frozen=True, kw_only=True):
    """Let free credit take over open advance (ledger §17). `lots`: only these, each up to an amount; absent, all."""

    lots: dict[int, Decimal] | None = None
    booked_at: Instant


class CancelGrant(Request, frozen=True, kw_only=True):
    """Cancel a grant that is not yet effective (ledger §6.8)."""

    purchase: UUID
    now: Instant


class Seal(Request, frozen=True, kw_only=True):
    """Let slices leave the state: those of final charges that are recognised, and all booked before the horizon.

    `booked_before`: now minus `correction_horizon` (decision 40). `recognizes`: whether revenue is recognised at all;
    where it is not, nothing waits for it beyond the horizon. `recognizes_invoiced`: the same of invoiced value.
    """

    final_charges: tuple[UUID, ...] = ()
    booked_before: Instant | None = None
    recognizes: bool = True
    recognizes_invoiced: bool = True
