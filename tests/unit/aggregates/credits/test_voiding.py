"""A grant is taken back: what is left of it, and what was paid for it (ledger §6.8, D6; decision 37)."""

import pytest

from aggregates.credits import decisions as d
from aggregates.credits.events import PaymentAdjustment
from aggregates.credits.refusals import GrantAlreadyEffective
from aggregates.credits.requests import CancelGrant
from aggregates.journal.chart import Account, Authorization
from aggregates.values.errors import NothingToVoid
from tests.support.books import ordered_id
from tests.support.credit_scenarios import TOKENS, USD, Pool, day, dec

OPEN, AUTHORIZED = Authorization.OPEN, Authorization.AUTHORIZED


def test_what_is_left_goes_and_what_was_consumed_stays() -> None:
    pool = Pool()
    pool.grant("P", "100", expires=31)
    pool.collect("U", "40", at=2)

    assert pool.void("P", at=3).amount == 60
    assert pool.balance(Account.FBO, at=40) == 0
    assert pool.balance(Account.BREAKAGE, at=40) == 0
    assert pool.balance(Account.RECEIVABLE, authorization=OPEN) == 60
    assert pool.of(Account.ACCRUED, source="P") == 40


@pytest.mark.parametrize("at", [0, 10, 11])
def test_credit_that_is_not_effective_or_expired_cannot_be_voided(at: int) -> None:
    pool = Pool()
    pool.grant("P", "100", expires=10)

    with pytest.raises(NothingToVoid):
        pool.void("P", at=at)


def test_credit_that_is_used_up_or_booked_for_later_cannot_be_voided() -> None:
    pool = Pool()
    pool.grant("P", "100")
    pool.collect("U", "100", at=30, sources=2)

    with pytest.raises(NothingToVoid) as refused:
        pool.void("P", at=3)
    assert (refused.value.code, refused.value.family) == ("nothing_to_void", "conflict")


def test_voiding_again_books_nothing_and_names_the_first_result() -> None:
    pool = Pool()
    pool.grant("P", "100")
    pool.void("P", at=3)

    assert pool.void("P", at=4) is None
    assert pool.book.pool.purchases[ordered_id("P")].voided_by == 2


def test_credit_that_came_back_by_correction_can_be_voided() -> None:
    """The grant was used up, the charge deleted: what came back is left, however it came (D6)."""
    pool = Pool()
    pool.collect("U", "100", at=1)
    pool.grant("P", "100", at=2, cost="0.5")
    pool.correct("U", at=3)

    assert pool.void("P", at=4).amount == 100
    assert pool.balance(Account.RECEIVABLE) == 0


def test_by_default_payment_is_not_touched_and_the_refund_stays_owed() -> None:
    pool = Pool()
    pool.grant("P", "100", cost="1")
    pool.authorize("P", credit="100", cost="1", at=2)
    pool.void("P", at=3)

    assert pool.balance(Account.RECEIVABLE, authorization=OPEN) == 100
    assert pool.balance(Account.RECEIVABLE, authorization=AUTHORIZED) == -100


def test_the_unused_part_of_what_was_paid_is_refunded() -> None:
    """100 at 0.5 with 40 used and paid: refund 50 - round(40 x 0.5) = 30."""
    pool = Pool()
    pool.grant("P", "100", cost="0.5")
    pool.authorize("P", credit="100", cost="0.5", at=2)
    pool.settle("P", credit="100", cost="0.5", at=2)
    pool.collect("U", "40", at=3)

    event = pool.void("P", at=4, payment=PaymentAdjustment.REFUND)

    assert (event.amount, event.refunded) == (60, 30)
    assert pool.balance(Account.RECEIVABLE) == 0
    assert pool.balance(Account.BROKERAGE) == -20
    assert pool.balance(Account.WASH) == -20


def test_reducing_leaves_what_was_paid_and_shrinks_what_is_only_authorized() -> None:
    pool = Pool()
    pool.grant("P", "100", cost="0.5")
    pool.authorize("P", credit="100", cost="0.5", at=2)
    pool.collect("U", "40", at=3)

    event = pool.void("P", at=4, payment=PaymentAdjustment.REDUCE)

    assert (event.authorization_reduced, event.refunded) == (30, 0)
    assert pool.balance(Account.RECEIVABLE, authorization=OPEN) == 0
    assert pool.balance(Account.RECEIVABLE, authorization=AUTHORIZED) == -20
    pool.settle("P", credit="40", cost="0.5", at=5)
    assert pool.balance(Account.RECEIVABLE) == 0


def test_before_any_payment_only_what_is_to_be_paid_shrinks() -> None:
    pool = Pool()
    pool.grant("P", "100", cost="0.5")
    pool.collect("U", "40", at=3)
    pool.void("P", at=4, payment=PaymentAdjustment.REFUND)

    pool.authorize("P", credit="40", cost="0.5", at=5)
    pool.settle("P", credit="40", cost="0.5", at=5)

    assert pool.balance(Account.RECEIVABLE) == 0
    assert pool.balance(Account.WASH) == -20


def test_a_custom_currency_is_refunded_in_fiat() -> None:
    pool = Pool(TOKENS)
    pool.grant("P", "40", cost="0.25")
    pool.authorize("P", credit="40", cost="0.25", at=2)
    pool.settle("P", credit="40", cost="0.25", at=2)
    pool.collect("U", "30", at=3)

    assert pool.void("P", at=4, payment=PaymentAdjustment.REFUND).refunded == dec("2.50")
    assert pool.balance(Account.WASH, currency=USD) == dec("-7.50")
    assert pool.balance(Account.RECEIVABLE) == 0


def test_a_gift_of_a_custom_currency_that_is_voided_leaves_the_balance() -> None:
    """Its cost basis is unknown, as that of advance: what stayed open would pass for credit of the customer."""
    pool = Pool(TOKENS)
    pool.grant("P", "40", expires=20)
    pool.collect("U", "10", at=2)
    pool.void("P", at=3)

    assert pool.listed(3) == [
        ("voided", "-30", "30", "0"),
        ("consumed", "-10", "40", "30"),
        ("funded", "40", "0", "40"),
    ]
    assert pool.balance(Account.RECEIVABLE) == 0
    assert pool.balance(Account.WASH) == -10


def test_a_scheduled_grant_is_cancelled_without_a_trace_in_any_balance() -> None:
    pool = Pool()
    pool.grant("P", "100", at=20, now=1, expires=30)
    request = CancelGrant(purchase=ordered_id("P"), now=day(5))
    pool.offer(d.cancel(pool.book.pool, request), 5)

    for account in Account:
        assert pool.balance(account) == 0, account
    assert pool.listed(40) == [("voided", "-100", "100", "0"), ("funded", "100", "0", "100")]


def test_a_grant_in_effect_or_in_use_is_not_cancelled() -> None:
    pool = Pool()
    pool.grant("effective", "100", at=4, now=1)
    pool.collect("U", "10", at=2)
    pool.grant("covering", "100", at=20, now=3)

    for name in ("effective", "covering"):
        with pytest.raises(GrantAlreadyEffective):
            d.cancel(pool.book.pool, CancelGrant(purchase=ordered_id(name), now=day(5)))


def test_a_purchase_without_postings_is_cancelled_by_the_fact_alone() -> None:
    pool = Pool()
    event = pool.offer(d.cancel(pool.book.pool, CancelGrant(purchase=ordered_id("P"), now=day(5))), 5)

    assert event.transactions == ()
    with pytest.raises(Exception, match="cancelled"):
        pool.grant("P", "100", at=6)
