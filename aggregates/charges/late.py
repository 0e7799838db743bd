"""What a charge knows of usage that no run of it has billed: stored late (decision 24), or billed by a void run.

The one is for a policy to decide about. The other was billed before: it is billed again, whatever the policy says.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from aggregates.charges.collection import collected_after
from aggregates.charges.events import RealizationRunOpened
from aggregates.charges.late_events import LateEvent, LateOutcome, LateUsageEvaluated, LateUsageFound, RebillingNoted
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


class Rebilling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What voided runs had billed and no later run of the period bills; they had counted usage stored before then.

    `waits`: it was looked at, and waits to be invoiced.
    """

    stored_at_lt: Instant
    waits: bool = False

    def cut(self, counted: Instant | None) -> Instant:
        """Before when usage of the adjustment is stored, where the runs that count have counted until `counted`.

        The first instant that is later than that of all of them (run rating R13), so that late usage comes not with it.
        """
        if self.waits or counted is None:
            return self.stored_at_lt
        return max(self.stored_at_lt, Instant(counted + _SECOND))


def due_after(stored_at: Instant) -> Instant:
    """From when on everything that was stored then, or in the same second, can be counted."""
    return collected_after(Instant(stored_at + _SECOND))


def after(late: LateUsage | None, rebilling: Rebilling | None, body: LateEvent) -> dict[str, object]:
    """What the event changes about either."""
    match body:
        case LateUsageFound():
            return {"late_usage": msgspec.structs.replace(late or LateUsage(), found=body.stored_at)}
        case RebillingNoted():
            known = [body.stored_at_lt, *([rebilling.stored_at_lt] if rebilling is not None else [])]
            waits = rebilling is not None and rebilling.waits
            return {"rebilling": Rebilling(stored_at_lt=max(known), waits=waits)}
        case LateUsageEvaluated(rebilling=True, outcome=LateOutcome.TO_INVOICE):
            return {"rebilling": Rebilling(stored_at_lt=body.stored_at_lt, waits=True)}
        case LateUsageEvaluated(rebilling=True, outcome=LateOutcome.NOTHING):
            return {"rebilling": None}
        case LateUsageEvaluated():
            settled = body.rebilling or body.outcome in _COUNTS_ALL
            return {"late_usage": _looked_at(late, body), "rebilling": None if settled else rebilling}


def forgotten(late: LateUsage | None, rebilling: Rebilling | None, *, begins_anew: bool) -> dict[str, object]:
    """What of either is left when a charge is billed anew, or not at all: nothing, as what is stored is metered again.

    Where it does not begin anew, usage under former terms is not metered again: it is looked at once more.
    """
    if begins_anew:
        return {"late_usage": None, "rebilling": None}
    known = (late.found or late.stored_at_lt) if late is not None else None
    return {"late_usage": LateUsage(found=known) if known is not None else None, "rebilling": rebilling}


_COUNTS_ALL = frozenset({LateOutcome.TO_INVOICE, LateOutcome.NOTHING})
"""Outcomes of a look at late usage that settle what voided runs had billed with it: all that counts was rated."""


def _looked_at(before: LateUsage | None, body: LateUsageEvaluated) -> LateUsage:
    return LateUsage(
        found=_found_after(before, body.stored_at_lt),
        outcome=body.outcome,
        stored_at_lt=body.stored_at_lt,
        quantity=body.quantity,
        amount=body.amount,
    )


def adjusted(before: LateUsage | None, opened: RealizationRunOpened) -> LateUsage | None:
    """Where late usage stands after a late adjustment, which settles what was found before its collection end.

    One that bills again what a voided run had billed leaves it as it is.
    """
    if opened.rebilling:
        return before
    assert opened.collection_end is not None, f"late adjustment {opened.run_id} has no collection end"
    found = _found_after(before, opened.collection_end)
    return LateUsage(found=found, outcome=LateOutcome.BILLED, stored_at_lt=opened.collection_end)


def _found_after(before: LateUsage | None, looked_at: Instant) -> Instant | None:
    """What was found and not looked at: it is stored at that cut-off or later."""
    found = before.found if before is not None else None
    return found if found is not None and found >= looked_at else None
