"""The four run engines in the worked numbers of run rating: what each books, on which period, correcting which run.

A run is written as `day: quantities`, the cumulative quantities at the end of every day so far as it sees them.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from aggregates.rating import NO_DISCOUNTS, Discounts, RunEngine
from aggregates.values.decimals import shortest
from tests.support.rating import DAYS, Book, Cut, booked_as, off, price

DELTA = RunEngine.DELTA
PRESERVING = RunEngine.PERIOD_PRESERVING
COMPATIBLE_DELTA = RunEngine.INVOICE_COMPATIBLE_DELTA
COMPATIBLE = RunEngine.INVOICE_COMPATIBLE_PERIOD_PRESERVING


def cut(text: str) -> Cut:
    """`2: 3 6` is a run to the end of day 2 that sees 3 on day 1 and 6 on day 2."""
    end, _, quantities = text.partition(":")
    seen = [Decimal(quantity) for quantity in quantities.split()]
    return Cut(int(end), (*seen, *[seen[-1]] * (DAYS - len(seen))))


def played(engine: RunEngine, terms: str, *cuts: str, discounts: Discounts = NO_DISCOUNTS) -> list[list[str]]:
    """The lines of every run; a cut may be followed by `late`, or be `void run-n`."""
    book = Book(engine, price(terms), discounts)
    runs: list[list[str]] = []
    for text in cuts:
        if text.startswith("void"):
            book.void(int(text[-1]) - 1)
            continue
        rated = book.run(cut(text.removesuffix("late")), late=text.endswith("late"))
        runs.append([booked_as(line) for line in rated.lines])
    return runs


# ── delta ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_delta_books_the_difference_on_the_current_run() -> None:
    assert played(DELTA, "unit 10", "1: 5", "2: 5 8", "3: 5 8 7") == [
        ["01-02 5 x 10 = 50 unit-price-usage"],
        ["02-03 3 x 10 = 30 unit-price-usage"],
        ["03-04 -1 x 10 = -10 unit-price-usage"],
    ]


def test_delta_reprices_a_volume_in_two_lines() -> None:
    assert played(DELTA, "volume ..15:10 ..:5", "1: 15", "2: 15 16", "3: 15 16 16") == [
        ["01-02 15 x 10 = 150 volume-tiered-price"],
        ["02-03 16 x 5 = 80 volume-tiered-price", "02-03 -15 x 10 = -150 volume-tiered-price"],
        [],
    ]


def test_a_reversal_is_named_by_the_line_it_takes_back() -> None:
    book = Book(DELTA, price("volume ..15:10 ..:5"))
    book.run(cut("1: 15"))

    references = [line.child_unique_reference_id for line in book.run(cut("2: 15 16")).lines]

    assert references == ["volume-tiered-price", "volume-tiered-price#correction:detailed_line_id=run-1-line-0"]


def test_a_minimum_is_charged_by_the_final_run_only() -> None:
    assert played(DELTA, "unit 10 min 100", "1: 2", "5: 2 2 2 2 5") == [
        ["01-02 2 x 10 = 20 unit-price-usage"],
        ["02-06 3 x 10 = 30 unit-price-usage", "02-06 1 x 50 = 50 min-spend"],
    ]


def test_quantity_without_money_comes_back_with_the_next_money() -> None:
    assert played(DELTA, "unit 0.001", "1: 100", "2: 100 102", "3: 100 102 105") == [
        ["01-02 100 x 0.001 = 0.1 unit-price-usage"],
        [],
        ["03-04 5 x 0.001 = 0.01 unit-price-usage"],
    ]


# ── period-preserving ────────────────────────────────────────────────────────────────────────────────────────


def test_period_preserving_books_late_usage_where_it_belongs() -> None:
    assert played(PRESERVING, "unit 10", "1: 5", "2: 7 10") == [
        ["01-02 5 x 10 = 50 unit-price-usage"],
        ["01-02 2 x 10 = 20 unit-price-usage corrects run-1", "02-03 3 x 10 = 30 unit-price-usage"],
    ]


def test_period_preserving_moves_a_cap_as_a_line_without_quantity() -> None:
    assert played(PRESERVING, "unit 10 max 50", "1: 3", "2: 3 6", "3: 4 7 8")[2] == [
        "01-02 1 x 10 = 10 unit-price-usage corrects run-1",
        "02-03 0 x 10 = 0 - 10 unit-price-usage corrects run-2",
        "03-04 1 x 10 = 10 - 10 unit-price-usage",
    ]


def test_references_carry_the_period() -> None:
    book = Book(PRESERVING, price("unit 10"))

    references = [line.child_unique_reference_id for line in book.run(cut("1: 5")).lines]

    assert references == ["unit-price-usage@[2025-01-01T00:00:00Z..2025-01-02T00:00:00Z]"]


# ── invoice-compatible ───────────────────────────────────────────────────────────────────────────────────────


def test_a_cap_that_moves_is_a_reversal_and_a_new_charge() -> None:
    runs = played(COMPATIBLE, "unit 10 max 50", "1: 3", "2: 3 6", "3: 4 7 8")

    assert runs == [
        ["01-02 charge 3 x 10 = 30 unit-price-usage"],
        ["02-03 charge 3 x 10 = 30 - 10 unit-price-usage"],
        [
            "01-02 charge 1 x 10 = 10 unit-price-usage corrects run-1",
            "02-03 reversal -3 x 10 = -30 - -10 unit-price-usage corrects run-2",
            "02-03 charge 3 x 10 = 30 - 20 unit-price-usage corrects run-2",
            "03-04 charge 1 x 10 = 10 - 10 unit-price-usage",
        ],
    ]


def test_a_cap_behind_a_percentage_moves_likewise() -> None:
    runs = played(COMPATIBLE, "unit 10 max 25", "1: 3", "2: 3 6", "3: 4 7 7", discounts=off(percentage="50"))

    assert runs[1:] == [
        ["02-03 charge 3 x 10 = 30 - 20 unit-price-usage"],
        [
            "01-02 charge 1 x 10 = 10 - 5 unit-price-usage corrects run-1",
            "02-03 reversal -3 x 10 = -30 - -20 unit-price-usage corrects run-2",
            "02-03 charge 3 x 10 = 30 - 25 unit-price-usage corrects run-2",
        ],
    ]


def test_a_flat_tier_whose_cap_moves_is_taken_back_and_charged_anew() -> None:
    assert played(COMPATIBLE_DELTA, "graduated ..10:1+f100 ..:5 max 50", "1: 0", "2: 0 5") == [
        ["01-02 charge 1 x 100 = 100 - 50 graduated-tiered-1-flat-price"],
        [
            "02-03 reversal -1 x 100 = -100 - -50 graduated-tiered-1-flat-price",
            "02-03 charge 5 x 1 = 5 graduated-tiered-1-price-usage",
            "02-03 charge 1 x 100 = 100 - 55 graduated-tiered-1-flat-price",
        ],
    ]


def test_falling_usage_is_a_credit_with_its_share_of_the_discount() -> None:
    assert played(COMPATIBLE_DELTA, "unit 10", "1: 8", "2: 8 5", discounts=off(percentage="50")) == [
        ["01-02 charge 8 x 10 = 80 - 40 unit-price-usage"],
        ["02-03 credit -3 x 10 = -30 - -15 unit-price-usage"],
    ]


def test_free_units_move_to_the_period_that_used_them_first() -> None:
    runs = played(COMPATIBLE, "unit 10", "1: 3", "2: 3 7", "3: 9 10 10", discounts=off(usage="5"))

    assert runs == [
        [],
        ["02-03 charge 2 x 10 = 20 unit-price-usage"],
        [
            "01-02 charge 4 x 10 = 40 unit-price-usage corrects run-1",
            "02-03 credit -1 x 10 = -10 unit-price-usage corrects run-2",
        ],
    ]


@pytest.mark.parametrize("engine", [COMPATIBLE_DELTA, COMPATIBLE])
def test_late_usage_after_the_final_run_shrinks_the_minimum(engine: RunEngine) -> None:
    final = "5: 5 5 5 5 8"
    runs = played(
        engine, "unit 10 min 100", "4: 5", final, "5: 5 5 5 5 9late", "5: 5 5 5 5 12late", "5: 5 5 5 5 12late"
    )

    assert runs == [
        ["01-05 charge 5 x 10 = 50 unit-price-usage"],
        ["05-06 charge 3 x 10 = 30 unit-price-usage", "05-06 charge 1 x 20 = 20 min-spend"],
        [
            "05-06 reversal -1 x 20 = -20 min-spend corrects run-2",
            "05-06 charge 1 x 10 = 10 unit-price-usage corrects run-2",
            "05-06 charge 1 x 10 = 10 min-spend corrects run-2",
        ],
        [
            "05-06 reversal -1 x 10 = -10 min-spend corrects run-2",
            "05-06 charge 3 x 10 = 30 unit-price-usage corrects run-2",
        ],
        [],
    ]


def test_volume_repricing_reverses_each_period_by_what_it_carries() -> None:
    assert played(COMPATIBLE, "volume ..15:10 ..:5", "1: 5", "2: 5 8", "3: 5 8 16")[2] == [
        "01-02 reversal -5 x 10 = -50 volume-tiered-price corrects run-1",
        "02-03 reversal -3 x 10 = -30 volume-tiered-price corrects run-2",
        "03-04 charge 16 x 5 = 80 volume-tiered-price",
    ]


def test_a_period_without_booked_lines_carries_no_cancelling_pair() -> None:
    assert played(COMPATIBLE, "volume ..15:10 ..:5", "1: 0", "2: 15 16") == [
        [],
        ["02-03 charge 16 x 5 = 80 volume-tiered-price"],
    ]


def test_a_dynamic_price_leaves_each_amount_on_its_own_period() -> None:
    assert played(COMPATIBLE, "dynamic 1", "1: 5", "2: 5 8", "3: 6 9 16") == [
        ["01-02 charge 1 x 5 = 5 usage"],
        ["02-03 charge 1 x 3 = 3 usage"],
        [
            "01-02 reversal -1 x 5 = -5 usage corrects run-1",
            "01-02 charge 1 x 6 = 6 usage corrects run-1",
            "03-04 charge 1 x 7 = 7 usage",
        ],
    ]


def test_a_voided_period_is_billed_afresh_and_corrects_nobody() -> None:
    assert played(COMPATIBLE, "unit 10", "1: 3", "2: 3 5", "3: 4 6 6", "void run-2", "4: 4 6 6 9")[3] == [
        "02-03 charge 2 x 10 = 20 unit-price-usage",
        "04-05 charge 3 x 10 = 30 unit-price-usage",
    ]


def test_a_reversal_whose_line_was_voided_is_taken_back_itself() -> None:
    runs = played(COMPATIBLE_DELTA, "volume ..15:10 ..:5", "1: 15", "2: 15 16", "void run-1", "3: 15 16 20")

    assert runs[2] == [
        "03-04 reversal 15 x 10 = 150 volume-tiered-price",
        "03-04 charge 4 x 5 = 20 volume-tiered-price",
    ]


def test_a_reversal_repeats_its_line_under_a_name_and_an_id_of_its_own() -> None:
    book = Book(COMPATIBLE_DELTA, price("unit 10 max 50"))
    book.run(cut("1: 8"))

    (reversal,) = book.run(cut("2: 8 0")).lines

    target = book.live_lines[0]
    assert (reversal.id, reversal.reverses_line_id) == (None, target.id)
    assert reversal.child_unique_reference_id == f"unit-price-usage#correction:detailed_line_id={target.id}"
    assert [shortest(d.amount) for d in reversal.amount_discounts] == ["-30"]
    assert (reversal.category, reversal.payment_term, reversal.per_unit_amount) == (
        target.category,
        target.payment_term,
        target.per_unit_amount,
    )
