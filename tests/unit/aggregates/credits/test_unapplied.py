"""Money that no invoice asks for any more, as the pool has it: by invoice, with tax and without (decision 23)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aggregates.credits import decisions as d
from aggregates.credits.events import UnappliedUse
from aggregates.credits.refusals import NothingUnapplied
from aggregates.credits.requests import AccrueUsage, InvoicePayment, Seal, SpendUnapplied
from aggregates.journal.chart import Account, Authorization
from aggregates.values.decimals import ZERO
from aggregates.values.period import instant
from tests.support.books import ordered_id
from tests.support.credit_scenarios import Pool, day, dec

FIRST, SECOND = ordered_id("invoice 1"), ordered_id("invoice 2")


def invoiced(pool: Pool, charge: str, amount: str, *, of: Any, paid: str | None = None) -> None:
    """A line of an invoice, with the id of its charge; so much of it paid."""
    request = AccrueUsage(
        charge=ordered_id(charge), line=ordered_id(charge), invoice=of, amount=dec(amount), booked_at=day(1)
    )
    pool.offer(d.accrue_usage(pool.book.pool, request), 1)
    if paid is not None:
        pool.invoice(d.settle_invoice, charge, paid, at=2)


def credited(pool: Pool, charge: str, net: str, *, freed: str, freed_net: str, of: Any = FIRST) -> Any:
    request = InvoicePayment(
        charge=ordered_id(charge),
        invoice=of,
        amount=dec(net),
        freed=dec(freed),
        freed_net=dec(freed_net),
        booked_at=day(3),
    )
    return pool.offer(d.credit_invoice(pool.book.pool, request), 3)


def spent(pool: Pool, amount: str, use: UnappliedUse = UnappliedUse.REFUNDED, **what: Any) -> Any:
    request = SpendUnapplied(invoice=FIRST, amount=dec(amount), use=use, booked_at=day(4), **what)
    return pool.offer(d.spend_unapplied(pool.book.pool, request), 4)


def money(pool: Pool) -> list[Decimal]:
    """Open receivable, and what was received less what went back."""
    return [pool.balance(Account.RECEIVABLE, authorization=Authorization.OPEN), -pool.balance(Account.WASH)]


def test_tax_is_not_in_the_ledger_and_the_last_part_takes_what_remains() -> None:
    """100.00 and 19.00 of tax, paid and credited: 40.00 go back as 33.61, and 79.00 as 66.39."""
    pool = Pool()
    invoiced(pool, "U", "100", of=FIRST, paid="100")
    credited(pool, "U", "100", freed="119", freed_net="100")

    assert [spent(pool, "40").net, spent(pool, "79").net] == [dec("33.61"), dec("66.39")]
    assert money(pool) == [0, 0]
    assert pool.book.pool.unapplied == {}


def test_what_exceeds_all_lines_is_paid_back_too() -> None:
    """100.00 due, 145.00 arrive, 20.00 are credited: 65.00 go back, of which 20.00 are of the line."""
    pool = Pool()
    invoiced(pool, "U", "100", of=FIRST, paid="100")
    beyond = InvoicePayment(charge=ordered_id("U"), invoice=FIRST, amount=dec("45"), booked_at=day(2))
    pool.offer(d.settle_invoice(pool.book.pool, beyond), 2)
    credited(pool, "U", "20", freed="20", freed_net="20")
    assert money(pool) == [65, 145]

    event = spent(pool, "65")

    assert [part.amount for part in event.parts] == [-20]
    assert [len(event.transactions), *money(pool)] == [2, 0, 80]


def test_set_against_another_invoice_it_moves_what_is_paid_and_books_nothing() -> None:
    pool = Pool()
    invoiced(pool, "U", "100", of=FIRST, paid="100")
    invoiced(pool, "V", "80", of=SECOND)
    credited(pool, "U", "60", freed="60", freed_net="60")

    settles = ((ordered_id("V"), dec("60")),)
    event = spent(pool, "60", UnappliedUse.APPLIED, to_invoice=SECOND, settles=settles)

    assert event.transactions == ()
    assert [accrual.settled for accrual in pool.book.pool.accruals.values()] == [40, 60]
    assert money(pool) == [-20, 100]


@pytest.mark.parametrize("amount", ["0", "-1", "60.01"])
def test_no_more_is_used_than_there_is(amount: str) -> None:
    pool = Pool()
    invoiced(pool, "U", "100", of=FIRST, paid="100")
    credited(pool, "U", "60", freed="60", freed_net="60")

    with pytest.raises(NothingUnapplied) as refused:
        spent(pool, amount)
    assert (refused.value.code, refused.value.left) == ("nothing_unapplied", 60)
    spent(pool, "60")


def test_what_nobody_paid_leaves_nothing_unapplied() -> None:
    pool = Pool()
    invoiced(pool, "U", "100", of=FIRST)
    credited(pool, "U", "60", freed="0", freed_net="0")

    assert pool.book.pool.unapplied == {}
    with pytest.raises(NothingUnapplied):
        spent(pool, "1")


@pytest.mark.parametrize("given_back", [True, False])
def test_a_line_leaves_the_state_when_nothing_of_it_is_unapplied(given_back: bool) -> None:
    pool = Pool()
    invoiced(pool, "U", "100", of=FIRST, paid="100")
    credited(pool, "U", "60", freed="60", freed_net="60")
    if given_back:
        spent(pool, "60")

    sealed = d.seal(pool.book.pool, Seal(booked_before=instant("2027-03-01"), recognizes_invoiced=False))

    assert (sealed is not None) is given_back
    assert sum((each.net for each in pool.book.pool.unapplied.values()), ZERO) == (0 if given_back else 60)
