"""Revenue, and the invoiced part of usage with its payments (ledger §6.5, §6.6; decisions 20, 22, 23, 27)."""

import pytest

from aggregates.credits import decisions as d
from aggregates.credits.events import RecognitionKind, SettlementMode
from aggregates.credits.refusals import (
    AuthorizationExceedsAccrued,
    CreditExceedsAccrued,
    UnsupportedSettlementMode,
)
from aggregates.credits.requests import AccrueUsage, OpenBalance, Recognize, ReverseRecognition
from aggregates.journal.chart import Account, Authorization
from aggregates.journal.refusals import CorrectionExceedsAvailable
from tests.support.books import ordered_id
from tests.support.credit_scenarios import TOKENS, Pool, day, dec

OPEN, AUTHORIZED = Authorization.OPEN, Authorization.AUTHORIZED


def owed(pool: Pool) -> tuple[object, object, object]:
    return (
        pool.balance(Account.RECEIVABLE, authorization=OPEN),
        pool.balance(Account.RECEIVABLE, authorization=AUTHORIZED),
        pool.balance(Account.WASH),
    )


def test_credit_of_known_cost_becomes_revenue_once() -> None:
    pool = Pool()
    pool.grant("P", "50", cost="0.5")
    pool.collect("U", "70", at=2)

    assert pool.recognize(at=3).amount == 50
    assert pool.recognize(at=3) is None
    assert pool.of(Account.EARNINGS, source="P", spend="U") == 50
    assert pool.balance(Account.ACCRUED, cost_basis=None) == 20


def test_advance_becomes_revenue_when_a_purchase_covers_it() -> None:
    pool = Pool()
    pool.collect("U", "20", at=1)
    assert pool.recognize(at=2) is None

    pool.grant("P", "15", at=3, cost="0.5")
    assert pool.recognize(at=3).amount == 15


def test_value_booked_later_waits_for_a_later_recognition() -> None:
    pool = Pool()
    pool.grant("P", "20")
    pool.collect("U", "20", at=32)

    assert pool.recognize(at=20) is None
    assert pool.recognize(at=32) is not None


def test_credit_of_unknown_cost_is_never_revenue() -> None:
    pool = Pool(TOKENS)
    pool.grant("P", "20")
    pool.collect("U", "20", at=2)

    assert pool.recognize(at=3) is None


def test_invoiced_value_is_recognised_on_its_own_switch() -> None:
    pool = Pool()
    pool.grant("P", "5")
    pool.collect("U", "5", at=1)
    pool.accrue("U", "7.5", at=1)
    assert pool.recognize(at=2).amount == 5

    request = Recognize(kind=RecognitionKind.INVOICED, amount=dec("2.5"), booked_at=day(2))
    event = pool.offer(d.recognize(pool.book.pool, request), 2)

    assert event.amount == dec("2.5")
    assert pool.of(Account.EARNINGS, source=None, spend="U") == dec("2.5")
    assert pool.of(Account.ACCRUED, source=None, spend="U") == 5


def test_the_newest_recognition_is_reversed_first() -> None:
    pool = Pool()
    pool.accrue("U", "30", at=1)
    pool.accrue("V", "20", at=1)
    for charge in ("U", "V"):
        request = Recognize(kind=RecognitionKind.INVOICED, charge=ordered_id(charge), booked_at=day(2))
        pool.offer(d.recognize(pool.book.pool, request), 2)

    reverse = ReverseRecognition(amount=dec("25"), booked_at=day(3))
    pool.offer(d.reverse_recognition(pool.book.pool, reverse), 3)

    assert pool.of(Account.EARNINGS, spend="V") == 0
    assert pool.of(Account.EARNINGS, spend="U") == 25
    with pytest.raises(CorrectionExceedsAvailable):
        d.reverse_recognition(pool.book.pool, ReverseRecognition(amount=dec("25.01"), booked_at=day(3)))


def test_what_was_turned_back_into_accrued_value_is_given_back_no_earlier() -> None:
    """Recognised on the 1st, reversed on the 4th: given back as of the 3rd, it is booked on the 4th."""
    pool = Pool()
    pool.grant("P", "1")
    pool.collect("U", "1", at=1)
    pool.recognize(at=1)
    pool.offer(d.reverse_recognition(pool.book.pool, ReverseRecognition(amount=dec("1"), booked_at=day(4))), 4)

    pool.correct("U", at=3)

    assert [pool.balance(Account.FBO, at=when) for when in (3, 4)] == [0, 1]


def test_invoiced_usage_is_owed_authorized_and_paid() -> None:
    pool = Pool()
    pool.accrue("U", "20", at=1)
    assert owed(pool) == (-20, 0, 0)
    pool.invoice(d.authorize_invoice, "U", "20", at=2)
    assert owed(pool) == (0, -20, 0)
    pool.invoice(d.settle_invoice, "U", "20", at=3)
    assert owed(pool) == (0, 0, -20)


def test_more_than_accrued_is_not_authorized_unless_it_is_declared() -> None:
    """Accrued 30, authorizing 75."""
    pool = Pool()
    pool.accrue("U", "30", at=1)

    with pytest.raises(AuthorizationExceedsAccrued) as refused:
        pool.invoice(d.authorize_invoice, "U", "75", at=2)
    assert (refused.value.code, refused.value.open) == ("authorization_exceeds_accrued", 30)

    pool.invoice(d.authorize_invoice, "U", "75", at=2, over_payment=True)
    assert owed(pool) == (45, -75, 0)


def test_authorizations_add_up_to_what_was_accrued() -> None:
    pool = Pool()
    pool.accrue("U", "30", at=1)
    pool.invoice(d.authorize_invoice, "U", "20", at=2)

    with pytest.raises(AuthorizationExceedsAccrued):
        pool.invoice(d.authorize_invoice, "U", "10.01", at=2)
    pool.invoice(d.authorize_invoice, "U", "10", at=2)


@pytest.mark.parametrize(
    ("paid", "expected"), [("15", (0, -5, -15)), ("20", (0, 0, -20)), ("25", (5, 0, -25))], ids=["less", "all", "more"]
)
def test_a_payment_is_recorded_as_it_came(paid: str, expected: tuple[int, int, int]) -> None:
    """Of 20 authorized: a shortfall stays authorized, an excess is unapplied credit (decision 27)."""
    pool = Pool()
    pool.accrue("U", "20", at=1)
    pool.invoice(d.authorize_invoice, "U", "20", at=2)
    pool.invoice(d.settle_invoice, "U", paid, at=3)

    assert owed(pool) == expected


def test_a_payment_that_was_never_authorized_is_recorded_too() -> None:
    pool = Pool()
    pool.accrue("U", "20", at=1)
    pool.invoice(d.settle_invoice, "U", "20", at=3)

    assert owed(pool) == (0, 0, -20)


def test_nothing_is_accrued_for_nothing_and_never_for_credit_only() -> None:
    pool = Pool()
    assert pool.accrue("U", "0.004", at=1) is None

    request = AccrueUsage(charge=ordered_id("U"), amount=dec("5"), mode=SettlementMode.CREDIT_ONLY, booked_at=day(1))
    with pytest.raises(UnsupportedSettlementMode):
        d.accrue_usage(pool.book.pool, request)


def test_a_credit_note_takes_revenue_back_first_and_leaves_unapplied_credit() -> None:
    """20 invoiced, recognised and paid; a note of 8 (decision 23)."""
    pool = Pool()
    pool.accrue("U", "20", at=1)
    pool.offer(d.recognize(pool.book.pool, Recognize(kind=RecognitionKind.INVOICED, booked_at=day(2))), 2)
    pool.invoice(d.settle_invoice, "U", "20", at=3)

    pool.invoice(d.credit_invoice, "U", "8", at=4)

    assert pool.balance(Account.EARNINGS) == 12
    assert pool.balance(Account.ACCRUED) == 0
    assert owed(pool) == (8, 0, -20)
    with pytest.raises(CreditExceedsAccrued):
        pool.invoice(d.credit_invoice, "U", "12.01", at=5)


def test_a_correction_credit_is_a_credit_note_and_an_opening_balance_of_the_run() -> None:
    """Value that was paid comes back as credit at cost basis 1, with the run as its source (decision 20)."""
    pool = Pool()
    pool.accrue("U", "20", at=1)
    pool.invoice(d.settle_invoice, "U", "20", at=2)
    pool.invoice(d.credit_invoice, "U", "8", at=3)
    request = OpenBalance(
        source=ordered_id("run"), amount=dec("8"), settled=False, cost_basis=dec("1"), effective_at=day(3)
    )
    pool.offer(d.open_balance(pool.book.pool, request), 3)

    assert owed(pool) == (0, 0, -20)
    assert pool.of(Account.FBO, source="run") == 8


def test_what_is_given_up_is_a_loss_until_money_arrives_after_all() -> None:
    """Written off 20, then 20 come in (decision 22)."""
    pool = Pool()
    pool.accrue("U", "20", at=1)
    pool.invoice(d.write_off, "U", "20", at=30)
    assert owed(pool) == (0, 0, 0)
    assert pool.balance(Account.BAD_DEBT) == -20

    pool.invoice(d.reinstate, "U", "20", at=40)
    pool.invoice(d.settle_invoice, "U", "20", at=40)
    assert owed(pool) == (0, 0, -20)
    assert pool.balance(Account.BAD_DEBT) == 0


def test_no_more_is_given_up_than_is_owed() -> None:
    pool = Pool()
    pool.accrue("U", "20", at=1)
    pool.invoice(d.authorize_invoice, "U", "15", at=2)

    with pytest.raises(CreditExceedsAccrued):
        pool.invoice(d.write_off, "U", "6", at=3)
    pool.invoice(d.write_off, "U", "5", at=3)
