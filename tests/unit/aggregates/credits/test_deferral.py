"""Invoiced value becomes revenue day by day, and a credit note cancels the days to come first (decisions A, 23)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aggregates.credits import decisions as d
from aggregates.credits.deferral import MOST_DAYS
from aggregates.credits.events import RecognitionKind
from aggregates.credits.requests import AccrueUsage, Recognize, RecognizeAccrual, ReverseRecognition, Seal
from aggregates.journal.chart import Account, TaxBehavior
from aggregates.policies import RecognizeInvoiced
from aggregates.values.period import Instant, Period, instant, period
from tests.support.books import ordered_id
from tests.support.credit_scenarios import Pool, day, dec

JANUARY = period("2026-01-01", "2026-02-01")


def invoiced(
    pool: Pool,
    amount: str = "100",
    served: Period | None = JANUARY,
    *,
    now: str = "2026-01-01",
    policy: RecognizeInvoiced = RecognizeInvoiced.OVER_SERVICE_PERIOD,
    zone: str = "UTC",
    booked: str | None = None,
    closed_until: Instant | None = None,
) -> Any:
    """Accrue a line, and book its revenue as the policy says; the event, or None."""
    booked_at = instant(booked) if booked else served.from_ if served is not None else instant(now)
    accrue = AccrueUsage(
        charge=ordered_id("U"),
        amount=dec(amount),
        booked_at=booked_at,
        service_period=served,
        tax_code="T",
        tax_behavior=TaxBehavior.EXCLUSIVE,
        closed_until=closed_until,
    )
    accrued = pool.book.record(d.accrue_usage(pool.book.pool, accrue), instant(now))
    return recognized(pool, accrued.accrual, now=now, policy=policy, zone=zone, closed_until=closed_until)


def recognized(
    pool: Pool,
    accrual: int = 1,
    *,
    now: str,
    policy: RecognizeInvoiced = RecognizeInvoiced.OVER_SERVICE_PERIOD,
    zone: str = "UTC",
    closed_until: Instant | None = None,
) -> Any:
    request = RecognizeAccrual(
        accrual=accrual, policy=policy, zone=zone, booked_at=instant(now), closed_until=closed_until
    )
    return pool.book.record(d.recognize_accrual(pool.book.pool, request), instant(now))


def earned(pool: Pool, until: str) -> Decimal:
    return sum(
        (row.amount for row in pool.book.rows if row.account is Account.EARNINGS and row.booked_at <= instant(until)),
        Decimal(0),
    )


def test_a_fee_in_advance_is_earned_day_by_day() -> None:
    """100.00 for January: after one day 3.23, after two 6.45, after ten 32.26, at the end 100.00."""
    pool = Pool()
    event = invoiced(pool)

    ends = ["2026-01-01T23:59:58", "2026-01-01T23:59:59", "2026-01-02T23:59:59", "2026-01-10T23:59:59"]
    assert [earned(pool, f"{at}Z") for at in ends] == [dec("0"), dec("3.23"), dec("6.45"), dec("32.26")]
    assert earned(pool, "2026-01-31T23:59:59Z") == 100
    assert pool.balance(Account.ACCRUED) == 0
    assert len(event.parts) == len(event.transactions) == 31
    assert sum(part.amount for part in event.parts) == 100


def test_tax_dimensions_stay_on_accrued_value_and_revenue() -> None:
    pool = Pool()
    invoiced(pool)

    routes = {row.route for row in pool.book.rows if row.account in (Account.ACCRUED, Account.EARNINGS)}
    assert {(route.tax_code, route.tax_behavior, route.cost_basis) for route in routes} == {
        ("T", TaxBehavior.EXCLUSIVE, Decimal(1))
    }


def test_with_nothing_left_to_recognise_nothing_is_booked() -> None:
    pool = Pool()
    invoiced(pool)

    assert recognized(pool, now="2026-01-02") is None
    assert recognized(pool, 7, now="2026-01-02") is None


def test_under_never_nothing_is_earned_and_all_of_it_stays_accrued() -> None:
    pool = Pool()
    assert invoiced(pool, policy=RecognizeInvoiced.NEVER) is None
    assert (pool.balance(Account.ACCRUED), pool.balance(Account.EARNINGS)) == (100, 0)


def test_on_issue_all_of_it_is_earned_with_the_issue() -> None:
    pool = Pool()
    [part] = invoiced(pool, now="2026-01-01T08:00:00Z", policy=RecognizeInvoiced.ON_ISSUE).parts

    assert (part.amount, part.booked_at, part.accounting_date) == (100, instant("2026-01-01T08:00:00Z"), day(1))


def test_on_issue_before_the_service_begins_it_is_earned_when_it_is_accrued() -> None:
    """Issued on 28 December and booked on 1 January: revenue before that would make accrued value negative."""
    pool = Pool()
    [part] = invoiced(pool, now="2025-12-28", policy=RecognizeInvoiced.ON_ISSUE).parts

    assert part.booked_at == day(1)


def test_arrears_are_earned_at_once_for_their_accounting_date() -> None:
    pool = Pool()
    accrue = AccrueUsage(
        charge=ordered_id("U"),
        amount=dec("7"),
        booked_at=instant("2026-02-01"),
        accounting_date=instant("2026-01-31T23:59:59Z"),
    )
    pool.book.record(d.accrue_usage(pool.book.pool, accrue), instant("2026-02-03"))
    [part] = recognized(pool, now="2026-02-03").parts

    assert (part.booked_at, part.accounting_date) == (instant("2026-02-03"), instant("2026-01-31T23:59:59Z"))


def test_days_that_have_passed_are_booked_now_and_count_at_their_date() -> None:
    """Issued on 20 January: 19 days at once, 12 ahead."""
    pool = Pool()
    event = invoiced(pool, now="2026-01-20T12:00:00Z")

    assert [part.booked_at for part in event.parts[:20]] == [instant("2026-01-20T12:00:00Z")] * 19 + [
        instant("2026-01-20T23:59:59Z")
    ]
    assert event.parts[0].accounting_date == instant("2026-01-01T23:59:59Z")
    assert event.parts[19].accounting_date is None


def test_days_of_closed_books_count_on_the_first_open_day_and_keep_their_date() -> None:
    """December and January in advance, January being the first open month (decision 39)."""
    pool = Pool()
    event = invoiced(pool, "62", period("2025-12-01", "2026-02-01"), now="2026-01-05", closed_until=day(1))

    first, last_of_december, first_of_january = event.transactions[0], event.transactions[30], event.transactions[31]
    assert (first.accounting_date, first.original_date) == (day(1), instant("2025-12-01T23:59:59Z"))
    assert last_of_december.original_date == instant("2025-12-31T23:59:59Z")
    assert (first_of_january.accounting_date, first_of_january.original_date) == (
        instant("2026-01-01T23:59:59Z"),
        None,
    )


@pytest.mark.parametrize(
    ("served", "zone", "days", "first"),
    [
        (period("2026-01-01T23:00:00Z", "2026-01-04T23:00:00Z"), "Europe/Berlin", 3, "2026-01-02T22:59:59Z"),
        (period("2026-03-28T23:00:00Z", "2026-03-30T22:00:00Z"), "Europe/Berlin", 2, "2026-03-29T21:59:59Z"),
        (period("2026-01-01T10:30:00Z", "2026-01-03T10:30:00Z"), "UTC", 2, "2026-01-02T10:29:59Z"),
        (period("2026-01-01T10:30:00Z", "2026-01-03T10:30:01Z"), "UTC", 3, "2026-01-02T10:29:59Z"),
        (period("2026-01-01T10:30:00Z", "2026-01-01T12:30:00Z"), "UTC", 1, "2026-01-01T12:29:59Z"),
        (period("2026-01-01T23:30:00Z", "2026-01-02T00:30:00Z"), "UTC", 1, "2026-01-02T00:29:59Z"),
    ],
    ids=["zone", "clocks change", "from half past ten", "a second more", "two hours", "over midnight"],
)
def test_days_are_counted_from_the_start_on_the_calendar_of_the_zone(
    served: Period, zone: str, days: int, first: str
) -> None:
    event = invoiced(Pool(), "30", served, now="2025-12-01", zone=zone)

    assert len(event.parts) == days
    assert event.parts[0].booked_at == instant(first)
    assert event.parts[-1].booked_at < served.to
    assert {part.amount for part in event.parts} == {Decimal(30) / days}


def test_days_on_which_nothing_is_earned_are_left_out() -> None:
    """0.02 over January: a cent after 8 days, the other after 24."""
    event = invoiced(Pool(), "0.02")

    assert [(part.amount, part.booked_at.day) for part in event.parts] == [(dec("0.01"), 8), (dec("0.01"), 24)]


def test_years_in_advance_are_booked_once_a_month_by_the_day() -> None:
    """Five years from 15 January: the first month has 17 of 1826 days."""
    served = period("2026-01-15", "2031-01-15")
    event = invoiced(Pool(), "1826", served)

    assert (served.to - served.from_).days > MOST_DAYS
    assert [part.amount for part in event.parts[:2]] == [17, 28]
    assert [part.booked_at for part in event.parts[:2]] == [
        instant("2026-01-31T23:59:59Z"),
        instant("2026-02-28T23:59:59Z"),
    ]
    assert (len(event.parts), event.parts[-1].amount, sum(part.amount for part in event.parts)) == (61, 14, 1826)


def test_what_never_ends_is_recognised_all_the_same() -> None:
    event = invoiced(Pool(), "100", period("2026-01-01", "9999-12-31"))

    assert sum(part.amount for part in event.parts) == 100


def test_what_was_recognised_before_stands_for_the_first_days() -> None:
    """10.00 of 31.00 were recognised by hand: the other 21 days follow."""
    pool = Pool()
    invoiced(pool, "31", policy=RecognizeInvoiced.NEVER)
    by_hand = Recognize(kind=RecognitionKind.INVOICED, amount=dec("10"), booked_at=day(1))
    pool.offer(d.recognize(pool.book.pool, by_hand), 1)

    event = recognized(pool, now="2026-01-01")

    assert (len(event.parts), event.parts[0].booked_at) == (21, instant("2026-01-11T23:59:59Z"))


# ── taking it back ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_fee_cut_to_ten_days_on_the_tenth_keeps_the_revenue_of_ten_days() -> None:
    """100 for 31 days, a note of 67.74: earnings at the end of the month are 32.26."""
    pool = Pool()
    invoiced(pool)
    pool.invoice(d.credit_invoice, "U", "67.74", at=10.5)

    assert earned(pool, "2026-01-10T12:00:00Z") == dec("29.03")
    assert earned(pool, "2026-01-10T23:59:59Z") == dec("32.26")
    assert earned(pool, "2026-01-31T23:59:59Z") == dec("32.26")
    assert pool.balance(Account.ACCRUED) == 0
    assert pool.balance(Account.ACCRUED, at=10.5) == dec("3.23")


def test_a_note_over_more_than_is_still_to_come_takes_revenue_back() -> None:
    """On the 21st at noon 64.52 are revenue; a note of 90 leaves 10.00."""
    pool = Pool()
    invoiced(pool)
    pool.invoice(d.credit_invoice, "U", "90", at=21.5)

    assert earned(pool, "2026-01-21T00:00:00Z") == dec("64.52")
    assert earned(pool, "2026-01-21T12:00:00Z") == 10
    assert earned(pool, "2026-03-01T00:00:00Z") == 10
    assert pool.balance(Account.ACCRUED) == 0


def test_a_note_in_full_leaves_neither_revenue_nor_accrued_value() -> None:
    pool = Pool()
    invoiced(pool)
    pool.invoice(d.credit_invoice, "U", "60", at=5.5)
    pool.invoice(d.credit_invoice, "U", "40", at=20.5)

    assert (pool.balance(Account.ACCRUED), pool.balance(Account.EARNINGS)) == (0, 0)
    assert recognized(pool, now="2026-01-21") is None


def test_a_write_off_takes_no_revenue_back() -> None:
    pool = Pool()
    invoiced(pool)
    pool.invoice(d.write_off, "U", "100", at=40)

    assert (pool.balance(Account.EARNINGS), pool.balance(Account.BAD_DEBT)) == (100, -100)


def test_revenue_to_come_that_was_cancelled_by_hand_can_be_credited_at_once() -> None:
    """It has lain in accrued all the time; revenue that was turned back lies there from then on."""
    pool = Pool()
    invoiced(pool, "31")
    cancel = ReverseRecognition(amount=dec("11"), booked_at=day(10))
    pool.offer(d.reverse_recognition(pool.book.pool, cancel), 10)

    event = pool.invoice(d.credit_invoice, "U", "5", at=10.5)

    assert {
        transaction.booked_at for transaction in event.transactions if transaction.template.value.endswith("note")
    } == {day(10.5)}


def test_a_paid_line_stays_in_the_state_as_long_as_revenue_of_it_is_to_come() -> None:
    """Three years in advance: 400 days later a note can still cancel the rest."""
    pool = Pool()
    invoiced(pool, "1096", period("2026-01-01", "2029-01-01"))
    pool.invoice(d.settle_invoice, "U", "1096", at=2)

    assert d.seal(pool.book.pool, Seal(booked_before=instant("2027-02-05"))) is None
    assert d.seal(pool.book.pool, Seal(booked_before=instant("2029-01-01"))) is not None


@pytest.mark.parametrize("recognizes", [True, False])
def test_what_is_never_recognised_does_not_stay_for_ever(recognizes: bool) -> None:
    pool = Pool()
    invoiced(pool, policy=RecognizeInvoiced.NEVER)
    pool.invoice(d.settle_invoice, "U", "100", at=2)

    sealed = d.seal(pool.book.pool, Seal(booked_before=instant("2027-02-05"), recognizes_invoiced=recognizes))

    assert (sealed is None) is recognizes
