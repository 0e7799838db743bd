"""Collected value comes back, newest first, to exactly where it came from (ledger §6.7; D3-D5)."""

import pytest

from aggregates.credits import decisions as d
from aggregates.credits.correction import take_backwards
from aggregates.credits.events import SegmentState
from aggregates.credits.requests import Correct, Seal
from aggregates.credits.state import unsealed
from aggregates.journal.chart import Account
from aggregates.journal.postings import Direction
from aggregates.values.errors import InsufficientFunds
from aggregates.values.period import Duration
from tests.support.books import ordered_id
from tests.support.credit_scenarios import Pool, day, dec, shown, taken


def lots(pool: Pool) -> list[str]:
    return [shown(lot.balance) for lot in pool.book.pool.lots.values()]


def test_the_last_slice_comes_back_first_and_never_twice() -> None:
    """A 4 and B 6; correct 5: B +5; correct 5 again: B +1, A +4."""
    pool = Pool()
    pool.grant("A", "4", expires=10)
    pool.grant("B", "6", expires=15)
    pool.collect("U", "10", at=2)

    pool.correct("U", "5", at=3)
    assert lots(pool) == ["0", "5"]

    pool.correct("U", "5", at=3)
    assert lots(pool) == ["4", "6"]


def test_more_than_is_left_is_refused_and_nothing_is_booked() -> None:
    pool = Pool()
    pool.grant("P", "10")
    pool.collect("U", "7", at=2)
    pool.correct("U", "3", at=3)

    with pytest.raises(InsufficientFunds) as refused:
        pool.correct("U", "4.01", at=3)

    assert (refused.value.code, refused.value.remaining) == ("insufficient_funds", 4)
    assert pool.balance(Account.FBO) == 6


def test_an_amount_that_rounds_to_zero_does_nothing() -> None:
    pool = Pool()
    pool.grant("P", "10")
    pool.collect("U", "7", at=2)

    assert pool.correct("U", "0.004", at=3) is None
    assert str(pool.correct("U", "1.005", at=3).amount) == "1.01"


def test_deleting_a_charge_whose_advance_was_covered_gives_the_purchase_its_credit() -> None:
    """Advance 50, purchase 20 at 0.5 for the same feature: fbo[0.5, feature] 20, receivable -20, accrued 0."""
    pool = Pool()
    pool.collect("U", "50", at=1, feature="api")
    pool.grant("P", "20", at=2, cost="0.5", features=("api",), priority=1)

    pool.correct("U", at=3)

    assert pool.balance(Account.FBO, cost_basis=dec("0.5"), features=("api",), credit_priority=1) == 20
    assert pool.balance(Account.FBO) == 20
    assert pool.balance(Account.RECEIVABLE) == -20
    assert pool.balance(Account.ACCRUED) == 0


def test_what_a_purchase_covered_comes_back_before_uncovered_advance() -> None:
    """Advance 20, purchase 15, usage falls to 11 (correct 9)."""
    pool = Pool()
    pool.collect("U", "20", at=1)
    pool.grant("P", "15", at=2, cost="0.5")

    pool.correct("U", "9", at=3)

    assert pool.balance(Account.ACCRUED, cost_basis=None) == 5
    assert pool.balance(Account.ACCRUED, cost_basis=dec("0.5")) == 6
    assert pool.balance(Account.FBO, cost_basis=dec("0.5")) == 9
    assert pool.balance(Account.RECEIVABLE, cost_basis=None) == -5
    assert pool.balance(Account.RECEIVABLE, cost_basis=dec("0.5")) == -15


def test_recognised_value_comes_back_first_and_its_revenue_with_it() -> None:
    pool = Pool()
    pool.collect("U", "20", at=1)
    pool.grant("P1", "5", at=2, cost="0.5")
    pool.recognize(at=3)
    pool.grant("P2", "5", at=4, cost="0.5")

    event = pool.correct("U", "12", at=5)

    assert [(part.state, part.recognized, shown(part.amount)) for part in event.parts] == [
        (SegmentState.ADVANCE_BACKFILLED, True, "5"),
        (SegmentState.ADVANCE_BACKFILLED, False, "5"),
        (SegmentState.ADVANCE_UNCOVERED, False, "2"),
    ]
    assert pool.balance(Account.EARNINGS) == 0
    assert pool.settled(5) == 2  # 10 of the purchases, less 8 of advance still open


def test_credit_returned_after_its_expiry_expires_as_it_returns() -> None:
    pool = Pool()
    pool.grant("P", "10", expires=10)
    pool.collect("U", "6", at=5)
    pool.correct("U", "6", at=20)

    assert [pool.balance(Account.FBO, at=when) for when in (5, 10, 15, 20)] == [4, 0, 0, 0]
    assert [pool.balance(Account.BREAKAGE, at=when) for when in (10, 20)] == [4, 10]


def test_under_a_grace_period_credit_returned_after_its_expiry_can_be_used() -> None:
    """`restored_credit_grace` P30D: returned on day 20, it lives until day 50 (decisions A)."""
    pool = Pool()
    pool.grant("P", "10", expires=10, priority=3)
    pool.collect("U", "6", at=5)
    event = pool.correct("U", "6", at=20, grace=Duration(days=30))

    assert event.restored_lots[0].expires_at == day(50)
    assert [pool.balance(Account.FBO, at=when) for when in (15, 20, 49, 50)] == [0, 6, 6, 0]
    assert pool.balance(Account.FBO, at=20, credit_priority=3) == 6
    assert taken(pool.collect("V", "9", at=30)) == ["6", "3 advance"]


def test_grace_counts_from_the_clock_where_a_correction_is_booked_into_the_past() -> None:
    """Made on day 60 and booked on day 5, before the expiry on day 10: the credit lives until day 90."""
    pool = Pool()
    pool.grant("P", "10", expires=10)
    pool.collect("U", "6", at=5)
    pool.correct("U", "6", at=5, now=60, grace=Duration(days=30))

    assert [pool.balance(Account.FBO, at=when) for when in (5, 10, 60, 89, 90)] == [10, 6, 6, 6, 0]
    assert taken(pool.collect("V", "9", at=61)) == ["6", "3 advance"]


def test_credit_returned_in_time_keeps_its_own_expiry_under_a_grace_period_too() -> None:
    pool = Pool()
    pool.grant("P", "10", expires=10)
    pool.collect("U", "6", at=5)
    event = pool.correct("U", "6", at=9, grace=Duration(days=30))

    assert event.restored_lots == ()
    assert pool.balance(Account.BREAKAGE, at=10) == 10


def test_nothing_comes_back_before_it_was_taken() -> None:
    """Taken on 1 February, given back on 20 January: booked on 1 February, or January shows credit twice."""
    pool = Pool()
    pool.grant("P", "10")
    pool.collect("U", "6", at=32)
    pool.correct("U", "6", at=20)

    assert [pool.balance(Account.FBO, at=when) for when in (10, 20, 31, 32)] == [10, 10, 10, 10]


def test_credit_of_a_purchase_that_is_not_effective_yet_comes_back_when_it_is() -> None:
    pool = Pool()
    pool.collect("U", "10", at=1)
    pool.grant("P", "10", at=20, now=2, cost="0.5")
    pool.correct("U", at=5)

    assert [pool.balance(Account.FBO, at=when) for when in (5, 19, 20)] == [0, 0, 10]
    assert pool.balance(Account.ACCRUED, at=5) == 0


def test_credit_set_free_does_not_cover_other_advance_until_a_purchase_does() -> None:
    pool = Pool()
    pool.grant("P", "10")
    pool.collect("U", "10", at=2)
    pool.collect("V", "4", at=2)

    pool.correct("U", at=3)

    assert pool.balance(Account.FBO) == 10
    assert pool.balance(Account.RECEIVABLE, cost_basis=None) == -4


def test_one_run_or_one_allocation_can_be_named() -> None:
    pool = Pool()
    pool.grant("A", "5", priority=1)
    pool.grant("B", "5", priority=2)
    first, _ = d.allocations(pool.collect("U", "8", at=2))

    request = Correct(charge=ordered_id("U"), allocation=first.id, amount=dec("2"), booked_at=day(3))
    event = pool.offer(d.correct(pool.book.pool, request), 3)

    assert d.corrections(event) == [(first.id, dec("-2"))]
    assert lots(pool) == ["2", "2"]
    other_run = Correct(charge=ordered_id("U"), run=ordered_id("another"), booked_at=day(3))
    assert d.correct(pool.book.pool, other_run) is None


def test_each_correction_names_the_entry_it_restores() -> None:
    pool = Pool()
    pool.grant("P", "10")
    collected = pool.collect("U", "14", at=2)
    event = pool.correct("U", "14", at=3)

    entries = [entry for t in collected.transactions for entry in t.entries]
    undone = [t for t in event.transactions if t.direction is Direction.CORRECTION]
    assert len(undone) == 3
    for transaction in undone:
        reference = transaction.entries[0].corrects
        assert reference is not None
        assert reference.version == 2
        restored = entries[reference.ordinal]
        assert (restored.account, restored.route) == (transaction.entries[0].account, transaction.entries[0].route)
        assert restored.amount == -transaction.entries[0].amount


def test_value_of_sealed_slices_comes_back_from_history() -> None:
    """A sealed slice has left the state, and so has its empty lot; the stream knows both (decision 40)."""
    pool = Pool()
    pool.grant("P", "10", expires=40)
    pool.collect("U", "10", at=2)
    pool.recognize(at=3)
    pool.offer(d.seal(pool.book.pool, Seal(final_charges=(ordered_id("U"),))), 4)
    assert pool.book.pool.lots == {}
    with pytest.raises(InsufficientFunds):
        pool.correct("U", "4", at=5)

    for _ in range(2):
        request = Correct(charge=ordered_id("U"), amount=dec("4"), booked_at=day(5))
        pool.offer(d.correct(pool.book.pool, request, unsealed(pool.book.records)), 5)

    assert pool.balance(Account.FBO, at=5) == 8
    assert pool.balance(Account.BREAKAGE, at=40) == 8
    assert pool.of(Account.EARNINGS, source="P") == 2
    assert taken(pool.collect("V", "9", at=6)) == ["4", "4", "1 advance"]


@pytest.mark.parametrize(
    ("amount", "expected"),
    [("7", [("c", "2"), ("b", "3"), ("a", "2")]), ("10", [("c", "2"), ("b", "3"), ("a", "5")]), ("1", [("c", "1")])],
)
def test_taking_backwards(amount: str, expected: list[tuple[str, str]]) -> None:
    items = [("a", dec("5")), ("b", dec("3")), ("c", dec("2"))]

    assert [(name, str(share)) for name, share in take_backwards(items, dec(amount))] == expected
