"""What a charge knows of usage that was stored after its runs had been collected (decision 24)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from aggregates.charges.collection import collected_after
from aggregates.charges.events import RealizationRunOpened
from aggregates.charges.late_events import LateOutcome, LateUsageEvaluated, LateUsageFound
from aggregates.values.period import Instant

_SECOND = timedelta(seconds=1)


UNBILLED = frozenset({LateOutcome.ABSORBED, LateOutcome.ASKED, LateOutcome.LEFT, LateOutcome.DISMISSED})
"""Outcomes that somebody may think better of: `bill_late_usage`."""


class Ordered(StrEnum):
    """What somebody decided about late usage, whatever the policy says."""

    BILL = "bill"
    DISMISS = "dismiss"


class LateUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a charge stands with late usage.

    `found`: some was found that was not looked at yet, the latest of it stored then. What was looked at last is
    everything stored before `stored_at_lt`; `quantity` is cumulative, and `amount` what it adds to what is booked.
    """

    found: Instant | None = None
    outcome: LateOutcome | None = None
    stored_at_lt: Instant | None = None
    quantity: Decimal | None = None
    amount: Decimal | None = None

    @property
    def due(self) -> Instant | None:
        """From when on what was found can be looked at: all of it is there to be read then."""
        return None if self.found is None else due_after(self.found)


def due_after(stored_at: Instant) -> Instant:
    """From when on everything that was stored then, or in the same second, can be counted."""
    return collected_after(Instant(stored_at + _SECOND))


def after(before: LateUsage | None, body: LateUsageFound | LateUsageEvaluated) -> LateUsage:
    """Where the charge stands after the event."""
    if isinstance(body, LateUsageFound):
        return msgspec.structs.replace(before or LateUsage(), found=body.stored_at)
    return LateUsage(
        found=_found_after(before, body.stored_at_lt),
        outcome=body.outcome,
        stored_at_lt=body.stored_at_lt,
        quantity=body.quantity,
        amount=body.amount,
    )


def adjusted(before: LateUsage | None, opened: RealizationRunOpened) -> LateUsage:
    """Where the charge stands after a late adjustment, which settles what was found before its collection end."""
    assert opened.collection_end is not None, f"late adjustment {opened.run_id} has no collection end"
    found = _found_after(before, opened.collection_end)
    return LateUsage(found=found, outcome=LateOutcome.BILLED, stored_at_lt=opened.collection_end)


def _found_after(before: LateUsage | None, looked_at: Instant) -> Instant | None:
    """What was found and not looked at: it is stored at that cut-off or later."""
    found = before.found if before is not None else None
    return found if found is not None and found >= looked_at else None
