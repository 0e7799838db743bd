"""A quantity told apart, for prices that look at usage events: the same for memory, SQLite and PostgreSQL.

The window, the cut and the position are those of the quantity, and the parts always sum to it.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.catalogue import Aggregation
from aggregates.rating import (
    ByProperty,
    ByValue,
    LineToRate,
    MatrixCell,
    MatrixPrice,
    PercentagePrice,
    Price,
    UsageEvent,
    parts_needed,
    rate,
)
from aggregates.values.decimals import exact
from aggregates.values.errors import ValidationFailed
from aggregates.values.money import FIAT
from ledger.metering.open import open_usage_store
from ledger.metering.store import ChunkedStore, UsageStore
from ledger.metering.usage import UsageEvent as Used
from ledger.ports import Metered, MeteredPart, SettableClock
from ledger.store.open import open_store
from tests.support.postgres import PostgresServer
from tests.unit.ledger.metering.conftest import Open
from tests.unit.ledger.metering.usages import END, START, january, meter, used

MICROSECOND = timedelta(microseconds=1)
REGION = ByProperty(property_name="region")


def region(name: str) -> dict[str, str]:
    return {"region": name}


def part(quantity: str, count: int, value: str | None = None) -> MeteredPart:
    return MeteredPart(Decimal(quantity), count, value)


def in_regions(usage: UsageStore) -> None:
    """eu 2.5 + 1, us 4, br 8, and 16 that nobody says where."""
    usage.ingest(
        "test",
        [
            used("a", "2.5", at=1, properties=region("eu")),
            used("b", "4", at=2, properties=region("us")),
            used("c", "8", at=3, properties=region("br")),
            used("d", "16", at=4),
            used("e", "1", at=5, properties=region("eu")),
        ],
    )


# ── by a property ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_quantity_by_property_has_a_part_for_every_value_and_one_for_events_without_it(usage: ChunkedStore) -> None:
    in_regions(usage)

    answer = usage.parts(january(), REGION)

    assert answer.parts == (part("8", 1, "br"), part("3.5", 2, "eu"), part("4", 1, "us"), part("16", 1))
    assert answer == Metered(Decimal("31.5"), usage.quantity(january()).position, answer.parts)


def test_values_that_are_not_asked_for_go_with_the_events_that_have_none(usage: ChunkedStore) -> None:
    in_regions(usage)

    answer = usage.parts(january(), ByProperty(property_name="region", values=("eu", "us", "cn")))

    assert answer.parts == (part("3.5", 2, "eu"), part("4", 1, "us"), part("24", 2))
    assert usage.parts(january(), ByProperty(property_name="region", values=())).parts == (part("31.5", 5),)


def test_a_meter_that_counts_has_parts_of_one_each(usage: ChunkedStore) -> None:
    in_regions(usage)
    usage.ingest("test", [used("bare", at=6, properties=region("eu"))])

    counted = usage.parts(january(of=meter(Aggregation.COUNT)), REGION)

    assert counted.parts == (part("1", 1, "br"), part("3", 3, "eu"), part("1", 1, "us"), part("1", 1))
    assert usage.parts(january(), REGION).parts[1] == part("3.5", 2, "eu")  # an event without a value adds nothing


def test_a_part_may_be_below_zero(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 5, properties=region("us")), used("b", -7, properties=region("eu"))])

    assert usage.parts(january(), REGION).parts == (part("-7", 1, "eu"), part("5", 1, "us"))


def test_names_and_values_of_properties_may_be_any_text(usage: ChunkedStore) -> None:
    strange = "a.\"b'$[0] \\ % ü\n{0}"
    usage.ingest("test", [used(f"{n}", 1, properties={strange: f"{strange}{n % 2}"}) for n in range(4)])

    answer = usage.parts(january(), ByProperty(property_name=strange, values=(f"{strange}0",)))

    assert answer.parts == (part("2", 2, f"{strange}0"), part("2", 2))


# ── by value ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_quantity_by_value_has_free_events_and_those_below_between_and_above_bounds(usage: ChunkedStore) -> None:
    values = ("100", "1", "6.999", "7", "50", "50.001", "-3", "2")
    usage.ingest("test", [used(f"{n}", value, at=n) for n, value in enumerate(values)])

    answer = usage.parts(january(), ByValue(free=2, below=Decimal(7), above=Decimal(50)))

    assert answer.parts == (part("101", 2), part("-3", 1), part("8.999", 2), part("57", 2), part("50.001", 1))
    assert answer.quantity == usage.quantity(january()).quantity


def test_a_bound_that_is_absent_parts_nothing(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1), used("b", 10), used("c", 100)])

    assert usage.parts(january(), ByValue()).parts == (part("111", 3),)
    assert usage.parts(january(), ByValue(below=Decimal(10))).parts == (part("1", 1), part("110", 2))
    assert usage.parts(january(), ByValue(above=Decimal(10))).parts == (part("11", 2), part("100", 1))


def test_free_events_go_by_event_time_then_by_order_of_ingestion(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1, at=60), used("b", 2, at=60)])
    usage.ingest("test", [used("c", 4, at=60), used("d", 8, at=59), used("minus", -16, at=58)])

    assert usage.parts(january(), ByValue(free=2)).parts[0] == part("9", 2)  # d, then a; what is below zero never is
    assert usage.parts(january(), ByValue(free=9)).parts == (part("15", 4), part("-16", 1))


def test_bounds_are_exact_to_the_last_digit(usage: ChunkedStore) -> None:
    below, bound, above = (Decimal(f"999999999999999999999999.99999999999999999{digit}") for digit in "789")
    usage.ingest("test", [used("a", below), used("b", bound, at=1), used("c", above, at=2)])

    answer = usage.parts(january(), ByValue(below=bound, above=bound))

    assert [one.quantity for one in answer.parts] == [below, bound, above]


# ── windows, cuts, refusals ──────────────────────────────────────────────────────────────────────────────────


def test_parts_are_of_the_window_to_the_microsecond_and_of_what_was_stored_before_the_cut(usage: ChunkedStore) -> None:
    noon = datetime(2025, 2, 3, 12, tzinfo=UTC)
    events = [
        used("before", 1, time=START - MICROSECOND),
        used("first", 10, time=START),
        used("last", 100, time=END - MICROSECOND),
        used("after", 1000, time=END),
    ]
    usage.ingest("test", events, stored_at=noon - MICROSECOND)
    usage.ingest("test", [used("late", 10_000)], stored_at=noon)
    usage.ingest("test", [used("other", 7, customer="emca"), used("request", 7, meter="requests")])

    for by in (REGION, ByValue(free=1), ByValue()):
        assert usage.parts(january(cut=noon), by).quantity == 110
        assert usage.parts(january(cut=noon + MICROSECOND), by).quantity == 10_110
    assert usage.parts(january(customer="nobody"), REGION).parts == ()


def test_parts_close_the_cut_they_were_read_with(open_usage: Open) -> None:
    """What comes later is stamped behind the cut, even by a clock that was set back."""
    clock = SettableClock("2025-02-04T00:00:00Z")
    usage = open_usage(clock=clock)
    cut = datetime(2025, 2, 3, tzinfo=UTC)
    first = usage.parts(january(cut=cut), ByValue(free=1))

    clock.set("2025-02-01T00:00:00Z")
    usage.ingest("test", [used("a", 5)])

    assert first.parts == usage.parts(january(cut=cut), ByValue(free=1)).parts == ()
    assert usage.parts(january(), ByValue()).parts == (part("5", 1),)


@pytest.mark.parametrize("aggregation", sorted(set(Aggregation) - {Aggregation.SUM, Aggregation.COUNT}))
def test_only_a_sum_or_a_count_has_parts(usage: ChunkedStore, aggregation: Aggregation) -> None:
    with pytest.raises(ValidationFailed) as refused:
        usage.parts(january(of=meter(aggregation, property="user")), REGION)

    assert [finding.code for finding in refused.value.findings] == ["meter_does_not_add_up"]


# ── what always holds ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def stores(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[UsageStore]]:
    """All three, shared by all examples: each example has a namespace of its own."""
    path: Path = tmp_path_factory.mktemp("usage")
    with postgres_server.fresh_database() as database, ExitStack() as stack:
        urls = ("memory:", f"sqlite:///{path}/ledger.db", database)
        yield [open_usage_store(stack.enter_context(closing(open_store(url)))) for url in urls]


AMOUNTS = st.one_of(
    st.integers(-20, 400).map(Decimal),
    st.decimals(0, 1000, places=2),
    st.decimals(-(10**24) + 1, 10**24 - 1, places=18),
)
FEES = st.none() | st.decimals(0, 12, places=2)
PERCENTAGES = st.sampled_from([Decimal(text) for text in ("0", "2.9", "1", "0.3", "33.333333333333333333", "100")])


@st.composite
def histories(draw: st.DrawFn) -> list[Used]:
    """Events of which several share a moment."""
    rows = draw(st.lists(st.tuples(AMOUNTS, st.integers(0, 8), st.sampled_from(["", "eu", "us", "br"])), max_size=12))
    return [
        used(f"{n}", value, at=at, properties=region(name) if name else {}) for n, (value, at, name) in enumerate(rows)
    ]


@st.composite
def event_prices(draw: st.DrawFn) -> PercentagePrice:
    least, most = draw(FEES), draw(FEES)
    if least is not None and most is not None:
        least, most = sorted((least, most))
    return PercentagePrice(
        percentage=draw(PERCENTAGES),
        fixed_fee=draw(FEES),
        free_events=draw(st.integers(0, 3)),
        minimum_per_event=least,
        maximum_per_event=most,
    )


@exact
def rated(price: Price, events: tuple[UsageEvent, ...]) -> object:
    kept = tuple(event for event in events if event.quantity >= 0)
    quantity = sum((event.quantity for event in kept), Decimal(0))
    return rate(LineToRate(currency=FIAT["USD"], price=price, quantity=quantity, events=kept)).lines


def as_events(answer: Metered) -> tuple[UsageEvent, ...]:
    return tuple(
        UsageEvent(
            quantity=one.quantity, count=one.count, properties={} if one.value is None else {"region": one.value}
        )
        for one in answer.parts
    )


@given(histories(), event_prices(), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_parts_by_value_cost_what_the_events_cost_one_by_one(
    stores: Sequence[UsageStore], events: list[Used], price: PercentagePrice, chunk: int
) -> None:
    namespace = uuid4().hex
    by = parts_needed(price) or ByValue()
    answers: list[Metered] = []
    for usage in stores:
        usage.ingest(namespace, events, chunk=chunk)
        answers.append(usage.parts(january(namespace), by))

    ordered = sorted(events, key=lambda event: event.time)
    single = tuple(UsageEvent(quantity=event.value or Decimal(0)) for event in ordered)
    for usage, answer in zip(stores, answers, strict=True):
        assert answer.parts == answers[0].parts
        assert answer.quantity == usage.quantity(january(namespace)).quantity
        assert len(answer.parts) <= 5
        if price.needs_events:
            assert rated(price, as_events(answer)) == rated(price, single)


@given(histories(), st.none() | st.lists(st.sampled_from(["eu", "us", "cn"]), unique=True).map(tuple))
@settings(max_examples=40, deadline=None)
def test_parts_by_property_sum_to_the_quantity_in_every_store(
    stores: Sequence[UsageStore], events: list[Used], values: tuple[str, ...] | None
) -> None:
    namespace = uuid4().hex
    by = ByProperty(property_name="region", values=values)
    answers: list[Metered] = []
    for usage in stores:
        usage.ingest(namespace, events)
        answers.append(usage.parts(january(namespace), by))
        assert answers[-1].quantity == usage.quantity(january(namespace)).quantity

    assert answers[0].parts == answers[1].parts == answers[2].parts
    assert sum(one.count for one in answers[0].parts) == len(events)


def test_a_matrix_asks_for_its_cells_alone() -> None:
    price = MatrixPrice(
        property_name="region",
        cells=(MatrixCell(value="eu", unit_price=Decimal("0.10")), MatrixCell(value="us", unit_price=Decimal("0.08"))),
        fallback=Decimal("0.12"),
    )

    assert parts_needed(price) == ByProperty(property_name="region", values=("eu", "us"))
