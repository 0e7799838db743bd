"""The state stays small: sealed slices leave it, with the lots and moves that only they needed (decision 40)."""

import msgspec

from aggregates.credits import decisions as d
from aggregates.credits.events import SettlementMode
from aggregates.credits.pool import Move
from aggregates.credits.requests import Seal
from aggregates.credits.state import compressed
from tests.support.books import ordered_id
from tests.support.credit_scenarios import Pool, day, dec, shown, taken


def test_slices_of_final_recognised_charges_leave_with_their_empty_lots() -> None:
    pool = Pool()
    pool.grant("P", "10")
    pool.grant("Q", "100", priority=200)
    for number in range(20):
        pool.collect("U", "1", at=2 + number)
    pool.recognize(at=30)
    before = len(msgspec.json.encode(pool.book.pool))

    event = pool.offer(d.seal(pool.book.pool, Seal(final_charges=(ordered_id("U"),))), 31)

    assert event.slices == tuple(range(1, 21))
    assert pool.book.pool.charges == {}
    assert [(shown(lot.balance), len(lot.moves)) for lot in pool.book.pool.lots.values()] == [("90", 1)]
    assert len(msgspec.json.encode(pool.book.pool)) < before / 5


def test_slices_that_wait_for_revenue_or_for_a_purchase_stay() -> None:
    pool = Pool()
    pool.grant("P", "10")
    pool.collect("U", "15", at=2)

    noted = pool.offer(d.seal(pool.book.pool, Seal(final_charges=(ordered_id("U"),), booked_before=day(50))), 2)
    assert (noted.slices, noted.final) == ((), (ordered_id("U"),))
    assert d.seal(pool.book.pool, Seal(booked_before=day(50))) is None
    pool.recognize(at=3)
    event = pool.offer(d.seal(pool.book.pool, Seal()), 3)
    assert event.slices == (1,), "the charge is known to be final, so its slice follows by itself"
    pool.grant("Q", "5", at=4)
    pool.recognize(at=4)
    assert pool.offer(d.seal(pool.book.pool, Seal()), 4).slices == (2,)
    assert pool.book.pool.charges == {}
    assert pool.book.pool.final == set()


def test_the_horizon_seals_what_was_booked_before_it() -> None:
    pool = Pool()
    pool.grant("P", "10")
    pool.collect("U", "1", at=2)
    pool.collect("U", "1", at=9)
    pool.recognize(at=10)

    event = d.seal(pool.book.pool, Seal(booked_before=day(9)))
    assert event is not None
    assert event.slices == (1,)


def test_a_purchase_still_covers_advance_after_everything_else_was_sealed() -> None:
    pool = Pool()
    pool.grant("P", "10")
    pool.collect("U", "15", at=2)
    pool.recognize(at=3)
    pool.offer(d.seal(pool.book.pool, Seal(final_charges=(ordered_id("U"),))), 4)

    assert [str(part.amount) for part in pool.grant("Q", "8", at=5).backfill] == ["5.00"]


def test_an_expired_lot_with_credit_left_still_pays_late_usage() -> None:
    """Late usage may use what was live when it happened, sealed or not (decision 39)."""
    pool = Pool()
    pool.grant("P", "10", expires=10)
    pool.collect("U", "4", at=5)
    pool.recognize(at=6)
    pool.offer(d.seal(pool.book.pool, Seal(booked_before=day(9))), 50)

    late = pool.collect("V", "9", at=8, mode=SettlementMode.CREDIT_THEN_INVOICE)
    assert taken(late) == ["6"]


def test_a_lot_that_expired_before_the_horizon_leaves_with_the_gift_it_belongs_to() -> None:
    pool = Pool()
    pool.grant("P", "10", expires=10)
    pool.collect("U", "4", at=5)
    pool.recognize(at=6)

    event = d.seal(pool.book.pool, Seal(booked_before=day(50)))

    assert event is not None
    assert (event.slices, event.lots, event.purchases) == ((1,), (1,), (ordered_id("P"),))
    pool.book.record(event, day(50))
    assert (pool.book.pool.lots, pool.book.pool.purchases) == ({}, {})


def test_a_falling_stretch_of_moves_becomes_one() -> None:
    moves = [Move(day(1), dec("100")), Move(day(32), dec("-10")), Move(day(33), dec("-20")), Move(day(40), dec("5"))]

    assert compressed(moves, None) == [Move(day(1), dec("70")), Move(day(40), dec("5"))]
    assert compressed(moves, day(33)) == [
        Move(day(1), dec("90")),
        Move(day(33), dec("-20")),
        Move(day(40), dec("5")),
    ]
