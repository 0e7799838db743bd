"""`ledger.periods`: closing the books of a month, and opening them again (decision 39).

What is dated into closed books is booked at the first open instant and keeps its original date; which credit may pay
for late usage is still decided by what was live when it happened. Months are those of the namespace's zone.
"""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from aggregates import customers, namespaces
from aggregates.event import Stream
from aggregates.namespaces import Closing, NamespaceState, PeriodClosed, PeriodReopened
from aggregates.values.errors import PreconditionFailed
from aggregates.values.period import Duration, Instant, Period, instant
from ledger.context import CommandId, Context
from ledger.paging import checked_moment, invalid
from ledger.units import Work


class PeriodAnswer(msgspec.Struct, frozen=True):
    """What a receipt keeps: up to when the books are closed."""

    closed_until: Instant | None


class Periods:
    """Close and reopen the books of a namespace; every change is an event with a reason."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def closed_until(self) -> Instant | None:
        """Everything before is closed; None while nothing is."""
        return self._context.look.settings().closed_until

    def list(self) -> tuple[Closing, ...]:
        """Every closing there was, oldest first, with who did it, why, and whether it was opened again."""
        return self._context.look.settings().closings

    def close(self, period: str, *, reason: str = "", command_id: CommandId = None) -> Instant:
        """Close the books up to the end of a month ("2026-01"), or up to a time; answers that time.

        Closing what is closed does nothing. Raises `ValidationFailed` for what is neither, `PreconditionFailed`
        for a period that is not over yet.
        """
        until = self._read(period).to

        def decide(work: Work) -> PeriodAnswer:
            if until > work.now:
                raise PreconditionFailed(f"the books cannot be closed before {until.isoformat()}")
            present = self._context.within(work).settings()
            if present.closed_until is None or present.closed_until < until:
                work.draft.emit(self._stream, PeriodClosed(until=until, reason=reason))
            return PeriodAnswer(until)

        self._send("close", (until, reason), command_id, decide)
        return until

    def reopen(self, period: str, *, reason: str, command_id: CommandId = None) -> Instant:
        """Open the books again from the beginning of a month, or from a time, on; answers that time.

        Raises `ValidationFailed`, `PreconditionFailed` where they are open already.
        """
        if not reason.strip():
            raise invalid("reason", "reason_required", "say why the books are opened again: it stays on record")
        from_ = self._read(period).from_

        def decide(work: Work) -> PeriodAnswer:
            present = self._context.within(work).settings()
            if present.closed_until is None or present.closed_until <= from_:
                raise PreconditionFailed(f"the books from {from_.isoformat()} on are open")
            work.draft.emit(self._stream, PeriodReopened(from_=from_, reason=reason.strip()))
            return PeriodAnswer(from_)

        self._send("reopen", (from_, reason), command_id, decide)
        return from_

    def month(self, month: str) -> Period:
        """A month of the namespace's zone as a half-open period. Raises `ValidationFailed`."""
        return month_of(month, zone_of(self._context.look.settings()))

    def _read(self, period: str) -> Period:
        if re.fullmatch(r"\d{4}-\d\d", period, re.ASCII):
            return self.month(period)
        moment = instant(checked_moment(period, "period"))
        return Period(moment, moment)

    @property
    def _stream(self) -> Stream:
        return namespaces.stream(self._context.namespace)

    def _send(self, name: str, content: object, command_id: CommandId, decide: object) -> None:
        def carry_out(work: Work) -> PeriodAnswer:
            work.load(self._stream)
            return decide(work)  # type: ignore[operator, no-any-return]

        self._context.send(f"periods.{name}", "", content, command_id, answer=PeriodAnswer, decide=carry_out)


def zone_of(settings: NamespaceState) -> str:
    """The zone that the months of a namespace are counted in."""
    return customers.effective(None, settings.profile).zone or "UTC"


def month_of(month: str, zone: str) -> Period:
    """A calendar month in a zone: "2026-02" is [2026-02-01, 2026-03-01). Raises `ValidationFailed`."""
    try:
        month.encode("ascii")  # digits of other scripts look like other months
        begins = datetime.strptime(month, "%Y-%m").replace(tzinfo=ZoneInfo(zone))
    except ValueError:
        raise invalid("month", "not_a_month", f"{month!r} is no month, like 2026-01") from None
    return Period(instant(begins), Duration(months=1).after(begins, zone))
