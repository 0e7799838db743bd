"""What leaves the pool's state because nobody needs it in hand any more, and what comes back into it (decision 40)."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from aggregates.credits.event_parts import RULES_VERSION, KeptRecognition, PurchaseSettlement
from aggregates.event import DomainEvent
from aggregates.journal.chart import Route
from aggregates.journal.postings import Transaction
from aggregates.values.decimals import ZERO
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period


class SlicesSealed(DomainEvent, frozen=True, kw_only=True):
    """What nobody needs in hand any more left the state (ledger §11, decision 40).

    `slices`: corrections of them read the stream. `final`: charges that will not move again, of which slices still
    wait for recognition or cover and follow them without another word. `lots`: expired ones that nothing can return
    to; `purchases`: with no lot left and nothing to pay; `accruals`: paid and recognised.
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


class PurchaseBroughtBack(DomainEvent, frozen=True, kw_only=True):
    """A purchase that had left the state is needed again: its totals, as the stream has them; nothing is booked.

    `lots`: those it had; `expired`: what expired on those that have left the state. The rest as in `Purchase`.
    """

    NAME: ClassVar[str] = "credit_pool.purchase_brought_back.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    purchase: UUID
    settlement: PurchaseSettlement | None = None
    route: Route | None = None
    lots: tuple[int, ...] = ()
    granted: Decimal = ZERO
    voided: Decimal = ZERO
    expired: Decimal = ZERO
    voided_by: int | None = None
    cancelled: bool = False
    adjusted: Decimal = ZERO
    credit_authorized: Decimal = ZERO
    fiat_agreed: Decimal = ZERO
    fiat_authorized: Decimal = ZERO
    fiat_settled: Decimal = ZERO
    fiat_refunded: Decimal = ZERO
    fiat_adjusted: Decimal = ZERO
    fiat_currency: Currency | None = None
    written_off: Decimal = ZERO
    transactions: tuple[Transaction, ...] = ()


class AccrualBroughtBack(DomainEvent, frozen=True, kw_only=True):
    """Invoiced value that had left the state is needed again, as the stream has it; nothing is booked (decision 40).

    The fields are those of `Accrual`.
    """

    NAME: ClassVar[str] = "credit_pool.accrual_brought_back.v1"
    currency: Currency
    rules_version: int = RULES_VERSION
    accrual: int
    charge: UUID | None = None
    run: UUID | None = None
    line: UUID | None = None
    invoice: UUID | None = None
    route: Route
    service_period: Period | None = None
    booked_at: Instant
    accrued_from: Instant
    accounted_at: Instant
    amount: Decimal
    authorized: Decimal = ZERO
    settled: Decimal = ZERO
    credited: Decimal = ZERO
    written_off: Decimal = ZERO
    recognitions: tuple[KeptRecognition, ...] = ()
    transactions: tuple[Transaction, ...] = ()
