"""Free credit takes over open advance after it was granted (ledger §17, lifecycles §22 row 18)."""

from __future__ import annotations

from typing import Any

from aggregates.credits import decisions as d
from aggregates.credits.lineage import lineage
from aggregates.credits.requests import Correct, CoverAdvance
from aggregates.journal.chart import Account
from tests.support.books import ordered_id
from tests.support.credit_scenarios import TOKENS, Pool, day, dec


def covered(pool: Pool, *, at: float, lots: dict[int, str] | None = None) -> Any:
    limits = None if lots is None else {lot: dec(amount) for lot, amount in lots.items()}
    return pool.offer(d.cover_advance(pool.book.pool, CoverAdvance(lots=limits, booked_at=day(at))), at)


def given_back(pool: Pool, charge: str, amount: str, *, at: float) -> Any:
    request = Correct(charge=ordered_id(charge), amount=dec(amount), booked_at=day(at))
    return pool.offer(d.correct(pool.book.pool, request), at)


def released(amount: str = "4", **grant: Any) -> Pool:
    """10 of V stay advance, and so much of the 10 that P paid for U comes back on the 5th."""
    pool = Pool()
    pool.grant("P", "10", cost="0.5", **grant)
    pool.collect("U", "10", at=2)
    pool.collect("V", "10", at=3)
    given_back(pool, "U", amount, at=5)
    return pool


def test_what_came_back_covers_open_advance_and_leaves_the_balance_as_it_is() -> None:
    """10 open, 4 come back: fbo 0, 6 open, the balance is -6 before and after."""
    pool = released()
    assert (pool.balance(Account.FBO), pool.settled(at=6)) == (4, -6)

    event = covered(pool, at=6)

    assert (event.amount, [part.amount for part in event.parts]) == (4, [4])
    assert (pool.balance(Account.FBO), pool.settled(at=6)) == (0, -6)
    assert pool.of(Account.ACCRUED, source="P", spend="V") == 4
    assert pool.book.pool.uncovered_advance == 6
    assert covered(pool, at=6) is None


def test_what_it_covered_is_revenue_and_is_given_back_as_what_a_purchase_covered() -> None:
    pool = released()
    covered(pool, at=6)
    assert pool.recognize(at=6).amount == 10

    pool.correct("V", at=7)

    assert pool.of(Account.FBO, source="P") == 4
    assert (pool.of(Account.EARNINGS, spend="V"), pool.book.pool.uncovered_advance) == (0, 0)


def test_a_lot_may_cover_one_slice_more_than_once() -> None:
    """15 over two advances of 10 cover 10 and 5; 3 come back of the first, and cover 3 more of the second."""
    pool = Pool()
    pool.collect("U", "10", at=1)
    pool.collect("V", "10", at=2)
    pool.grant("P", "15", at=3, cost="0.5")
    pool.recognize(at=3)
    given_back(pool, "U", "3", at=4)
    covered(pool, at=5)
    pool.recognize(at=5)

    [second] = pool.book.pool.slices_of(ordered_id("V"))
    assert [cover.amount for cover in second.covers] == [5, 3]
    assert pool.of(Account.EARNINGS, source="P", spend="V") == 8
    given_back(pool, "V", "4", at=6)
    [second] = pool.book.pool.slices_of(ordered_id("V"))
    assert [cover.amount for cover in second.covers] == [4]
    assert sum(segment.amount for segment in lineage(pool.book.pool)) == 13
    pool.correct("V", at=7)
    assert pool.of(Account.FBO, source="P") == 8


def test_only_what_is_named_is_offered() -> None:
    pool = released("8")

    assert covered(pool, at=6, lots={}) is None
    assert covered(pool, at=6, lots={1: "3"}).amount == 3


def test_restricted_credit_covers_its_features_only() -> None:
    pool = Pool()
    pool.collect("U", "5", at=1, feature="api")
    pool.collect("V", "5", at=1)
    pool.grant("P", "20", at=2, cost="0.5", features=("api",))
    given_back(pool, "U", "5", at=3)

    assert covered(pool, at=4) is None, "nothing is left of the feature, and the rest is none of its business"
    assert pool.book.pool.uncovered_advance == 5


def test_credit_that_expires_is_released_from_its_plan() -> None:
    pool = released(expires=20)
    covered(pool, at=6)

    assert (pool.balance(Account.BREAKAGE), pool.balance(Account.FBO, at=21)) == (0, 0)


def test_credit_that_has_expired_covers_nothing() -> None:
    pool = released(expires=20)
    assert covered(pool, at=20) is None


def test_credit_covers_no_usage_booked_after_its_expiry() -> None:
    pool = Pool()
    pool.grant("P", "10", cost="0.5", expires=10)
    pool.collect("U", "10", at=2)
    pool.collect("V", "10", at=12)
    given_back(pool, "U", "4", at=5)

    assert covered(pool, at=6) is None


def test_credit_of_unknown_cost_covers_nothing() -> None:
    pool = Pool(TOKENS)
    pool.collect("U", "10", at=1)
    pool.grant("P", "4", at=2)

    assert covered(pool, at=3) is None


def test_what_is_spent_later_already_covers_nothing() -> None:
    """4 are free on the 6th and spent by a charge that is booked on the 8th (D1)."""
    pool = released()
    pool.collect("W", "4", at=8)

    assert covered(pool, at=6) is None
