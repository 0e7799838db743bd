"""What always holds for run engines, whatever is priced and however usage arrives (run rating, part V).

Every history has one to four runs over five days, with late and, where a test does not say otherwise, falling usage,
all prices, discounts, conversions and commitments.
"""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aggregates.rating import (
    CreditApplied,
    Discounts,
    DynamicPrice,
    RatingArithmetic,
    RunEngine,
    Snapshot,
    UnitConfig,
    UsagePrice,
    rate_run,
)
from aggregates.rating.epochs import component_of, is_sign_coherent
from aggregates.rating.lines import REVERSAL, DetailedLine
from aggregates.rating.requests import RateOptions
from aggregates.rating.run import price_rater
from aggregates.rating.subtract import CARRIED_OVER, has_money, subtract
from aggregates.values.decimals import exact
from aggregates.values.period import Period
from aggregates.values.totals import sum_totals
from tests.support.rating import (
    COMPATIBLE,
    DAYS,
    ENGINES,
    EVERY_PRICE,
    SERVICE,
    Book,
    Cut,
    day,
    discounts,
    histories,
    prices,
    quantities,
    unit_configs,
)

every_engine = pytest.mark.parametrize("engine", ENGINES)
compatible_engine = pytest.mark.parametrize("engine", COMPATIBLE)
conversions = st.none() | unit_configs
arithmetics = st.sampled_from([RatingArithmetic.reference(), RatingArithmetic.exact()])


@every_engine
@given(price=prices(), off=discounts(), config=conversions, history=histories(), arithmetic=arithmetics)
def test_live_runs_sum_to_what_the_newest_snapshot_costs(  # noqa: PLR0917 - one parameter per thing drawn
    engine: RunEngine,
    price: UsagePrice,
    off: Discounts,
    config: UnitConfig | None,
    history: tuple[Cut, ...],
    arithmetic: RatingArithmetic,
) -> None:
    """I1, after every run, under either arithmetic."""
    book = Book(engine, price, off, config if price.converts_units else None, arithmetic=arithmetic)
    for cut in history:
        book.run(cut)

        assert book.totals == book.priced(cut)


@given(price=prices(), off=discounts(), history=histories())
def test_all_engines_book_the_same_totals_per_run(price: UsagePrice, off: Discounts, history: tuple[Cut, ...]) -> None:
    """I2."""
    books = [Book(engine, price, off) for engine in ENGINES]
    for cut in history:
        totals = [book.run(cut).totals for book in books]

        assert totals == [totals[0]] * len(ENGINES)


@every_engine
@given(price=prices(), off=discounts(), history=histories(final=True))
def test_billing_in_between_does_not_change_the_sum(
    engine: RunEngine, price: UsagePrice, off: Discounts, history: tuple[Cut, ...]
) -> None:
    """I3."""
    often, once = Book(engine, price, off), Book(engine, price, off)
    for cut in history:
        often.run(cut)
    once.run(history[-1])

    assert often.totals == once.totals


@every_engine
@given(price=prices(), off=discounts(), history=histories(last_day=DAYS - 2))
def test_rating_an_unchanged_snapshot_again_books_nothing(
    engine: RunEngine, price: UsagePrice, off: Discounts, history: tuple[Cut, ...]
) -> None:
    """I4: nothing was used since, nothing came late, and the next run is not the final one either."""
    book = Book(engine, price, off)
    for cut in history:
        book.run(cut)
    last = history[-1]
    unchanged = (*last.seen[: last.last_day], *[last.at(last.last_day)] * (DAYS - last.last_day))

    again = book.run(Cut(last.last_day + 1, unchanged))

    assert again.lines == ()


@every_engine
@given(price=prices(), off=discounts(), history=histories(), covered=st.integers(1, 100))
def test_credits_on_booked_lines_never_change_what_is_booked_next(
    engine: RunEngine, price: UsagePrice, off: Discounts, history: tuple[Cut, ...], covered: int
) -> None:
    """I5."""
    book, with_credits = Book(engine, price, off), Book(engine, price, off)
    for cut in history:
        assert with_credits.run(cut) == book.run(cut)
        newest = with_credits.runs[-1]
        lines = tuple(with_credit(line, Decimal(covered) / 100) for line in newest.lines or ())
        with_credits.runs[-1] = msgspec.structs.replace(newest, lines=lines)


@exact
def with_credit(line: DetailedLine, amount: Decimal) -> DetailedLine:
    totals = line.totals.with_credits(line.totals.credits_total + amount)
    return msgspec.structs.replace(
        line, totals=totals, credits_applied=(*line.credits_applied, CreditApplied(amount=amount))
    )


@every_engine
@given(price=prices(), off=discounts(), history=histories(final=True), which=st.integers(0, 2))
def test_voiding_a_run_is_healed_by_the_next(
    engine: RunEngine, price: UsagePrice, off: Discounts, history: tuple[Cut, ...], which: int
) -> None:
    """I6: the next run bills the voided period afresh, reaching back over it where it was the newest."""
    assume(len(history) > 1)
    book = Book(engine, price, off)
    for cut in history[:-1]:
        book.run(cut)
    book.void(which % (len(history) - 1))
    book.run(history[-1])

    assert book.totals == book.priced(history[-1])


ratings = st.lists(st.tuples(quantities, st.booleans()), max_size=3)


def lines_of(price: UsagePrice, off: Discounts, rated: list[tuple[Decimal, bool]]) -> list[DetailedLine]:
    """What ratings of several quantities of one charge found, all together, with ids."""
    book = Book(RunEngine.DELTA, price, off)
    rater = price_rater(book.to_rate(Cut(1, (Decimal(0),) * DAYS), SERVICE))
    lines = [
        line
        for quantity, partial in rated
        for line in rater(Snapshot(SERVICE.to, quantity), SERVICE, RateOptions(ignore_minimum_commitment=partial))
    ]
    return [msgspec.structs.replace(line, id=f"line-{i}") for i, line in enumerate(lines)]


def money(lines: list[DetailedLine]) -> dict[object, tuple[object, ...]]:
    """Quantity and totals per component and per-unit amount."""
    return {
        (line.pricer_reference_id, line.category, line.per_unit_amount): (
            line.quantity,
            line.totals.amount,
            line.totals.charges_total,
            line.totals.discounts_total,
            line.totals.total,
        )
        for line in lines
    }


@given(price=prices(), off=discounts(), one=ratings, other=ratings, shuffled=st.randoms(use_true_random=False))
def test_subtraction_is_arithmetic(
    price: UsagePrice,
    off: Discounts,
    one: list[tuple[Decimal, bool]],
    other: list[tuple[Decimal, bool]],
    shuffled: random.Random,
) -> None:
    """I7."""
    a, b = lines_of(price, off, one), lines_of(price, off, other)

    found = subtract(a, b, CARRIED_OVER, unique=False)

    assert subtract(a, a, CARRIED_OVER) == []
    assert sum_totals([*(line.totals for line in found), *(line.totals for line in b)]) == sum_totals(
        [line.totals for line in a]
    )
    assert subtract(a, [*b, *found], CARRIED_OVER, unique=False) == []
    swapped = money(subtract(b, a, CARRIED_OVER, unique=False))
    assert {key: tuple(-figure for figure in figures) for key, figures in swapped.items()} == money(found)  # type: ignore[operator]
    shuffled.shuffle(a)
    shuffled.shuffle(b)
    assert money(subtract(a, b, CARRIED_OVER, unique=False)) == money(found)


@given(price=prices(), off=discounts(), history=histories())
def test_delta_references_are_unique_within_a_run(price: UsagePrice, off: Discounts, history: tuple[Cut, ...]) -> None:
    """I8."""
    book = Book(RunEngine.DELTA, price, off)
    for cut in history:
        references = [line.child_unique_reference_id for line in book.run(cut).lines]
        assert len(set(references)) == len(references)


@given(price=prices(committed=False), history=histories())
def test_delta_lines_point_one_way_without_discounts_and_commitments(
    price: UsagePrice, history: tuple[Cut, ...]
) -> None:
    """I9."""
    book = Book(RunEngine.DELTA, price)
    for cut in history:
        assert all(is_sign_coherent(line) for line in book.run(cut).lines)


@given(
    price=prices(EVERY_PRICE.replace("volume", "").replace("dynamic", ""), committed=False),
    history=histories(growing=True),
)
def test_growing_usage_of_a_price_per_unit_gives_no_negative_line(price: UsagePrice, history: tuple[Cut, ...]) -> None:
    """I10."""
    book = Book(RunEngine.DELTA, price)
    for cut in history:
        assert all(line.totals.total >= 0 and line.quantity >= 0 for line in book.run(cut).lines)


@given(price=prices(EVERY_PRICE.replace("volume", "")), off=discounts(), history=histories(growing=True))
def test_growing_usage_of_any_price_but_volume_never_gives_a_run_below_zero(
    price: UsagePrice, off: Discounts, history: tuple[Cut, ...]
) -> None:
    """I11, discounts and commitments included."""
    book = Book(RunEngine.DELTA, price, off)
    for cut in history:
        assert book.run(cut).totals.total >= 0


@every_engine
@given(price=prices(), off=discounts(), history=histories())
def test_recorded_inputs_rate_to_the_same_lines_and_every_number_is_plain(
    engine: RunEngine, price: UsagePrice, off: Discounts, history: tuple[Cut, ...]
) -> None:
    """Run rating R15; no exponent, no negative zero, no float on the way."""
    book = Book(engine, price, off)
    for cut in history:
        start = max([SERVICE.from_, *(run.period.to for run in book.runs)])
        run = book.to_rate(cut, Period(start, day(cut.last_day)))
        assert rate_run(run) == rate_run(run)
        for line in book.run(cut).lines:
            figures = (line.quantity, line.per_unit_amount, *msgspec.structs.astuple(line.totals))
            assert all(type(figure) is Decimal for figure in figures)
            assert all(figure or not figure.is_signed() for figure in figures)
            assert has_money(line.totals)


@compatible_engine
@given(price=prices(), off=discounts(), history=histories())
def test_every_line_fits_on_a_document(
    engine: RunEngine, price: UsagePrice, off: Discounts, history: tuple[Cut, ...]
) -> None:
    """I12: one sign per line, references unique, each reversal the exact negation of one line not yet reversed."""
    book = Book(engine, price, off)
    lines: dict[str, DetailedLine] = {}
    reversed_ids: set[str] = set()
    for cut in history:
        rated = book.run(cut)

        assert all(is_sign_coherent(line) for line in rated.lines)
        references = [line.child_unique_reference_id for line in rated.lines]
        assert len(set(references)) == len(references)
        for line in rated.lines:
            if line.kind == REVERSAL:
                target = lines[line.reverses_line_id or ""]
                assert line.reverses_line_id not in reversed_ids
                reversed_ids.add(target.id or "")
                assert (line.quantity, line.totals.total) == (-target.quantity, -target.totals.total)
                assert line.per_unit_amount == target.per_unit_amount
        lines.update({line.id or "": line for line in book.runs[-1].lines or ()})


@given(price=prices(), off=discounts(), history=histories(growing=True))
def test_growing_usage_never_leaves_a_period_below_zero(
    price: UsagePrice, off: Discounts, history: tuple[Cut, ...]
) -> None:
    """I13, per period and component."""
    book = Book(RunEngine.INVOICE_COMPATIBLE_PERIOD_PRESERVING, price, off)
    for cut in history:
        book.run(cut)
        held: dict[object, Decimal] = defaultdict(Decimal)
        for line in book.live_lines:
            held[line.service_period, component_of(line, price)] += line.totals.total

        assert min(held.values(), default=0) >= 0


@every_engine
@given(price=prices(), off=discounts(), history=histories())
def test_the_discounts_of_a_line_add_up_to_its_total(
    engine: RunEngine, price: UsagePrice, off: Discounts, history: tuple[Cut, ...]
) -> None:
    """I14, which holds for our plain engines, too."""
    book = Book(engine, price, off)
    for cut in history:
        for line in book.run(cut).lines:
            listed = sum((d.amount + d.rounding_amount for d in line.amount_discounts), Decimal(0))
            assert listed == line.totals.discounts_total
            assert line.totals.reconciles


@compatible_engine
@given(price=prices(), off=discounts(), history=histories(final=True), late=histories(final=True))
def test_a_late_adjustment_leads_to_the_late_snapshot_and_then_to_nothing(
    engine: RunEngine, price: UsagePrice, off: Discounts, history: tuple[Cut, ...], late: tuple[Cut, ...]
) -> None:
    """I15."""
    book = Book(engine, price, off)
    for cut in history:
        book.run(cut)
    for cut in late:
        adjustment = Cut(DAYS, cut.seen)
        book.run(adjustment, late=True)
        assert book.totals == book.priced(adjustment)
        again = book.run(adjustment, late=True)
        assert again.lines == ()


@given(multiplier=quantities, history=histories())
def test_a_dynamic_price_leaves_each_period_its_own_share(multiplier: Decimal, history: tuple[Cut, ...]) -> None:
    """I16."""
    price = DynamicPrice(multiplier=multiplier)
    book = Book(RunEngine.INVOICE_COMPATIBLE_PERIOD_PRESERVING, price)
    for cut in history:
        book.run(cut)
    newest, start = history[-1], 0
    for cut in history:
        held = sum_totals([line.totals for line in book.live_lines if ends_with(line, cut)])
        share = cost(newest.at(cut.last_day), multiplier) - cost(newest.at(start), multiplier)
        assert held.total == share
        start = cut.last_day


def ends_with(line: DetailedLine, cut: Cut) -> bool:
    return line.service_period is not None and line.service_period.to == day(cut.last_day)


def cost(quantity: Decimal, multiplier: Decimal) -> Decimal:
    return Book(RunEngine.DELTA, DynamicPrice(multiplier=multiplier)).priced(Cut(1, (quantity,) * DAYS)).total
