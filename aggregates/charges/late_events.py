"""What happens to a charge because of usage that was stored after its runs had been collected (decision 24)."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, TypeAlias
from uuid import UUID

from aggregates.charges.moved import Moved
from aggregates.event import DomainEvent
from aggregates.values.period import Instant


class LateOutcome(StrEnum):
    """What came of late usage when it was last looked at: `left` stays unbilled, `asked` waits for somebody to decide.

    Absorbed is what is too little to be charged, dismissed what somebody decided not to bill.
    """

    NOTHING = "nothing"
    TO_INVOICE = "to_invoice"
    ABSORBED = "absorbed"
    ASKED = "asked"
    LEFT = "left"
    DISMISSED = "dismissed"
    BILLED = "billed"


class LateUsageFound(DomainEvent, frozen=True, kw_only=True):
    """Usage of the period was stored after its runs had been collected, the latest of it at `stored_at`."""

    NAME: ClassVar[str] = "charge.late_usage_found.v1"
    stored_at: Instant


class LateUsageEvaluated(DomainEvent, frozen=True, kw_only=True):
    """Everything stored before `stored_at_lt` was looked at and makes no run now, for the reason that `outcome` names.

    `quantity` is cumulative, as metered; `amount` what it adds to what is booked, in the charge's currency.
    `rebilling`: what a voided run had billed was looked at, and not usage that came late.
    """

    NAME: ClassVar[str] = "charge.late_usage_evaluated.v1"
    outcome: LateOutcome
    stored_at_lt: Instant
    meter_position: int
    quantity: Decimal
    amount: Decimal
    rebilling: bool = False
    moved: Moved | None = None


class RebillingNoted(DomainEvent, frozen=True, kw_only=True):
    """A run was voided whose part of the period no later run of the period bills: a late adjustment will (R13).

    It counts at least what the voided run had counted, everything stored before `stored_at_lt`.
    """

    NAME: ClassVar[str] = "charge.rebilling_noted.v1"
    run_id: UUID
    stored_at_lt: Instant


EVENTS: tuple[type[DomainEvent], ...] = (LateUsageFound, LateUsageEvaluated, RebillingNoted)
LateEvent: TypeAlias = LateUsageFound | LateUsageEvaluated | RebillingNoted
