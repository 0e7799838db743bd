"""When invoiced value becomes revenue: at once, or day by day of the service it pays for (decisions A, 23).

Usage and arrears are revenue of their accounting date. What is invoiced in advance is a schedule, decided once, with
the accrual, and booked ahead like the expiry of credit: one transaction a day, dated in the last second of the day, so
that time passing books nothing and a report at any date is right. A credit note cancels days from the end first.

    100.00 in advance for the 31 days of January: 3.23 after one, 6.45 after two, 32.26 after ten, 100.00 at the end
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from aggregates.credits.events import EarningsRecognized, RecognitionKind, RecognizedPart
from aggregates.credits.pool import Accrual, CreditPool
from aggregates.credits.posting import Postings
from aggregates.credits.requests import RecognizeAccrual
from aggregates.journal import templates
from aggregates.journal.chart import Account
from aggregates.journal.templates import Leg, When
from aggregates.policies import RecognizeInvoiced
from aggregates.values.decimals import divide, exact
from aggregates.values.period import Duration, Instant, Period

MOST_DAYS = 1_100
"""Service of more days than these, some three years, is booked once a month; what it comes to is still by the day."""

_SECOND = timedelta(seconds=1)


class Instalment(NamedTuple):
    """A part of the value, and the date whose revenue it is."""

    due: Instant
    amount: Decimal


@exact
def recognize_accrual(pool: CreditPool, request: RecognizeAccrual) -> EarningsRecognized | None:
    """Book all of one accrual's revenue that is not booked yet, each part at its date; None when all of it is.

    A part whose date has passed is booked now and counts at its date, or on the first open day where its books are
    closed (decision 39). Tax dimensions are those of the accrual. Under `never` nothing is booked.
    """
    accrual = pool.accruals.get(request.accrual)
    if accrual is None or accrual.unrecognized <= 0 or request.policy is RecognizeInvoiced.NEVER:
        return None
    postings = Postings()
    parts: list[RecognizedPart] = []
    for due, amount in instalments(pool, accrual, request):
        at = _when(due, accrual, request)
        leg = Leg(Account.ACCRUED, accrual.route, amount, None, accrual.charge)
        entry = postings.add(templates.recognize((leg,), at))
        parts.append(
            RecognizedPart(
                accrual=accrual.sequence,
                charge=accrual.charge,
                amount=amount,
                booked_at=at.booked_at,
                accounting_date=at.accounting_date if at.accounting_date != at.booked_at else None,
                entry=entry,
            )
        )
    return EarningsRecognized(
        currency=pool.currency,
        kind=RecognitionKind.INVOICED,
        amount=accrual.unrecognized,
        booked_at=request.booked_at,
        parts=tuple(parts),
        transactions=postings.all(),
    )


def instalments(pool: CreditPool, accrual: Accrual, request: RecognizeAccrual) -> Iterator[Instalment]:
    """What is left to recognise of an accrual, by date; cumulative rounding, so that the parts sum to the whole.

    What was recognised before stands for the first days.
    """
    served = accrual.service_period
    if served is None or served.is_empty or request.policy is RecognizeInvoiced.ON_ISSUE:
        yield Instalment(accrual.accounted_at, accrual.unrecognized)
        return
    whole = accrual.amount - accrual.credited
    reached = accrual.recognized
    ends = list(_ends(served, request.zone))
    days = ends[-1].days
    for end in ends:
        target = divide(whole * end.days, Decimal(days), pool.currency.precision)
        if target > reached:
            yield Instalment(Instant(max(end.at - _SECOND, served.from_)), target - reached)
            reached = target


def _when(due: Instant, accrual: Accrual, request: RecognizeAccrual) -> When:
    """Not before the decision, nor before the value lies in accrued; counted at its date unless that is closed."""
    accounted = max(due, accrual.accounted_at, request.closed_until or due)
    booked = max(due, accrual.accrued_from, request.booked_at)
    return When(booked, accounted, due if accounted > due else None)


class _End(NamedTuple):
    """The end of a number of days of service."""

    days: int
    at: Instant


def _ends(served: Period, zone: str) -> Iterator[_End]:
    """The ends of the days of a service period, counted from its start on the calendar of the zone (decision 32).

    A last day that is not whole counts as a day. In a long period only the days that end a month, and the last.
    """
    begins, ends = _local(served.from_, zone), _local(served.to, zone)
    days = (ends.date() - begins.date()).days
    if days == 0 or Duration(days=days).after(served.from_, zone) < served.to:
        days += 1
    counted = range(1, days) if days <= MOST_DAYS else _month_ends(begins.date(), days)
    for number in counted:
        yield _End(number, Duration(days=number).after(served.from_, zone))
    yield _End(days, served.to)


def _month_ends(begins: date, days: int) -> Iterator[int]:
    """How many of the days have passed at the end of each month that ends before them all."""
    first = begins.year * 12 + begins.month
    for month in range(first, date.max.year * 12 + 12):
        passed = (date(month // 12, month % 12 + 1, 1) - begins).days
        if passed >= days:
            return
        yield passed


def _local(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(ZoneInfo(zone))
