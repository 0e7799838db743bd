"""The customer's credit transactions, and how one pages through them (ledger §10, D7)."""

from decimal import Decimal

import pytest

from aggregates.values.errors import LedgerError
from projections.balances import UNRESTRICTED, AsOf, FeatureFilter, RouteFilter
from projections.listing import CreditTransactionType, credit_transactions, page
from tests.support.credit_scenarios import USD, Pool, day


def test_what_happened_to_a_grant_newest_first() -> None:
    """20 expiring on the 19th, 5 consumed: expired -15 (15 to 0), consumed -5 (20 to 15), funded +20 (0 to 20)."""
    pool = Pool()
    pool.grant("P", "20", at=9, expires=19)
    pool.collect("C", "5", at=10)

    funded, consumed = ("funded", "20", "0", "20"), ("consumed", "-5", "20", "15")
    assert pool.listed(19) == [("expired", "-15", "15", "0"), consumed, funded]
    assert pool.listed(11) == [consumed, funded]


def test_advance_is_one_consumed_row_and_what_a_purchase_leaves_one_funded_row() -> None:
    pool = Pool()
    pool.collect("C", "8", at=1)
    pool.grant("P", "12", at=2)

    assert pool.listed(3) == [("funded", "12", "-8", "4"), ("consumed", "-8", "0", "-8")]


def test_returned_and_voided_credit_have_rows_of_their_own() -> None:
    pool = Pool()
    pool.grant("P", "10", at=1)
    pool.collect("C", "6", at=2)
    pool.correct("C", "2", at=3)
    pool.void("P", at=4)

    assert [row[:2] for row in pool.listed(5)] == [
        ("voided", "-6"),
        ("restored", "2"),
        ("consumed", "-6"),
        ("funded", "10"),
    ]


def test_credit_of_one_expiry_is_one_row_per_purchase() -> None:
    pool = Pool()
    pool.grant("P", "10", at=1, expires=10)
    pool.grant("Q", "7", at=1, expires=10)

    assert [row[:2] for row in pool.listed(10)][:2] == [("expired", "-7"), ("expired", "-10")]


def test_the_cursor_of_an_expired_row_outlives_a_correction_of_its_amount() -> None:
    pool = Pool()
    pool.grant("P", "10", at=1, expires=10)
    pool.collect("C", "6", at=2)
    before = credit_transactions(pool.book.rows, USD, as_of=AsOf(day(20)))[0]
    pool.correct("C", "2", at=3)
    after = credit_transactions(pool.book.rows, USD, as_of=AsOf(day(20)))[0]

    assert before.amount == -4
    assert after.amount == -6
    assert before.cursor == after.cursor


def test_in_a_filtered_view_credit_taken_to_cover_other_usage_is_consumed() -> None:
    """Unrestricted credit covers usage of an api booked later: the unrestricted view sees it go (decision 36)."""
    pool = Pool()
    pool.collect("U", "40", at=31, feature="api")
    pool.grant("P", "100", at=1, now=35, cost="0.5")

    assert pool.listed(40, UNRESTRICTED) == [("consumed", "-40", "100", "60"), ("funded", "100", "0", "100")]


def test_pages_go_both_ways_without_gaps() -> None:
    pool = Pool()
    for number in range(1, 6):
        pool.grant(f"P{number}", "1", at=number)
    listed = credit_transactions(pool.book.rows, USD, as_of=AsOf(day(9)))

    first = page(listed, 2)
    second = page(listed, 2, after=first.next)
    last = page(listed, 2, after=second.next)
    back = page(listed, 2, before=last.previous)

    assert [*first.rows, *second.rows, *last.rows] == listed
    assert (first.previous, last.next) == (None, None)
    assert back.rows == second.rows
    assert back.next is not None
    assert back.previous is not None
    assert page(listed, 9, before=second.previous).previous is None
    with pytest.raises(ValueError, match="not both"):
        page(listed, 2, after=first.next, before=first.next)


def test_a_type_is_picked_after_balances_are_computed() -> None:
    pool = Pool()
    pool.grant("P", "20", at=1)
    pool.collect("C", "5", at=2)

    (row,) = credit_transactions(pool.book.rows, USD, as_of=AsOf(day(3)), type=CreditTransactionType.CONSUMED)
    assert (row.balance_before, row.balance_after) == (Decimal(20), Decimal(15))


def test_a_view_is_of_one_feature_at_a_time() -> None:
    with pytest.raises(LedgerError) as refused:
        FeatureFilter.of(["a", "b"])
    assert refused.value.code == "feature_filter_must_be_single"
    with pytest.raises(ValueError, match="not by both"):
        RouteFilter(features=("a",), match_feature="a")
