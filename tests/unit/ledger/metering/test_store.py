"""What a usage store keeps and answers: the same for memory, SQLite and PostgreSQL.

Windows are half open, cuts are exclusive, sums are exact, and what was sent twice counts once.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from aggregates.catalogue import Aggregation
from aggregates.values.errors import Unavailable
from ledger.metering.store import ChunkedStore, Window
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from tests.unit.ledger.metering.conftest import Open
from tests.unit.ledger.metering.usages import END, FOREVER, START, january, meter, used

MICROSECOND = timedelta(microseconds=1)
ALL = Window(customer="acme", meter="tokens")


def amount(usage: ChunkedStore, aggregation: Aggregation = Aggregation.SUM, **window: object) -> Decimal:
    return usage.quantity(january(of=meter(aggregation, property="user"), **window)).quantity  # type: ignore[arg-type]


# ── windows and cuts ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_window_holds_its_beginning_and_not_its_end_to_the_microsecond(usage: ChunkedStore) -> None:
    usage.ingest(
        "test",
        [
            used("before", 1, time=START - MICROSECOND),
            used("first", 10, time=START),
            used("last", 100, time=END - MICROSECOND),
            used("after", 1000, time=END),
        ],
    )

    assert amount(usage) == 110


def test_usage_stored_exactly_at_the_cut_is_excluded(usage: ChunkedStore) -> None:
    noon = datetime(2025, 2, 3, 12, tzinfo=UTC)
    usage.ingest("test", [used("early", 1)], stored_at=noon - MICROSECOND)
    usage.ingest("test", [used("on time", 10)], stored_at=noon)

    assert amount(usage, cut=noon) == 1
    assert amount(usage, cut=noon + MICROSECOND) == 11


def test_namespaces_customers_and_meters_are_kept_apart(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1), used("b", 10, customer="emca"), used("c", 100, meter="requests")])
    usage.ingest("other", [used("a", 1000)])

    assert amount(usage) == 1
    assert amount(usage, customer="emca") == 10
    assert usage.quantity(january(of=meter(key="requests"))).quantity == 100
    assert usage.quantity(january("other")).quantity == 1000


# ── aggregations ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("aggregation", list(Aggregation))
def test_nothing_used_is_zero(usage: ChunkedStore, aggregation: Aggregation) -> None:
    usage.ingest("test", [used("outside", 5, time=END, properties={"user": "ann"})])

    answer = usage.quantity(january(of=meter(aggregation, property="user")))

    assert str(answer.quantity) == "0"


def test_each_aggregation_in_numbers(usage: ChunkedStore) -> None:
    usage.ingest(
        "test",
        [
            used("a", "2.5", at=30, properties={"user": "ann"}),
            used("b", "-4", at=10, properties={"user": "bob"}),
            used("c", "7.25", at=20, properties={"user": "ann"}),
            used("d", at=40, properties={"team": "red"}),
        ],
    )

    assert amount(usage, Aggregation.SUM) == Decimal("5.75")
    assert amount(usage, Aggregation.COUNT) == 4
    assert amount(usage, Aggregation.MAX) == Decimal("7.25")
    assert amount(usage, Aggregation.MIN) == -4
    assert amount(usage, Aggregation.LATEST) == Decimal("2.5")  # of those with a value
    assert amount(usage, Aggregation.UNIQUE_COUNT) == 2  # ann and bob; d has no user


def test_the_latest_of_one_moment_is_the_one_ingested_last(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1, at=60), used("b", 2, at=60)])
    assert amount(usage, Aggregation.LATEST) == 2

    usage.ingest("test", [used("c", 3, at=60)])
    usage.ingest("test", [used("d", 4, at=59)])
    assert amount(usage, Aggregation.LATEST) == 3


def test_sums_are_exact_far_beyond_64_bits(usage: ChunkedStore) -> None:
    largest = Decimal("9" * 24 + "." + "9" * 18)
    events = [used(f"{n}", largest) for n in range(50)] + [used("tiny", "0.000000000000000001"), used("minus", "-0.5")]
    usage.ingest("test", events)

    # 50 × (10^24 − 10^-18) + 10^-18 − 0.5
    assert str(amount(usage)) == "49999999999999999999999999.499999999999999951"
    assert amount(usage, Aggregation.MAX) == largest
    assert amount(usage, Aggregation.MIN) == Decimal("-0.5")


def test_property_names_and_values_may_be_any_text(usage: ChunkedStore) -> None:
    strange = "a.\"b'$[0] \\ % ü\n"
    usage.ingest("test", [used(f"{n}", 1, properties={strange: f"{strange}{n % 2}"}) for n in range(4)])

    counted = meter(Aggregation.UNIQUE_COUNT, property=strange)

    assert usage.quantity(january(of=counted)).quantity == 2
    assert usage.events("test", ALL)[0].event.properties == {strange: f"{strange}0"}


# ── identity ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_sent_again_with_the_same_content_counts_once(usage: ChunkedStore) -> None:
    first = usage.ingest("test", [used("a", 1), used("b", 2)])
    again = usage.ingest("test", [used("b", "2.0"), used("c", 3), used("c", 3)])

    assert (first.stored, first.duplicates, first.conflicts) == (2, 0, 0)
    assert (again.stored, again.duplicates, again.conflicts) == (1, 2, 0)
    assert amount(usage) == 6


def test_sent_again_with_another_content_is_quarantined_and_the_first_wins(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1)])

    report = usage.ingest("test", [used("a", 2), used("b", 10)])
    again = usage.ingest("test", [used("a", 2), used("a", 3), used("a", 1)])

    assert (report.stored, report.duplicates, report.conflicts) == (1, 0, 1)
    assert (again.stored, again.duplicates, again.conflicts) == (0, 1, 2)
    assert amount(usage) == 11
    assert [stored.event for stored in usage.conflicts("test")] == [used("a", 2), used("a", 3)]  # each listed once


def test_two_contents_of_one_id_in_one_call_are_judged_in_order(usage: ChunkedStore) -> None:
    report = usage.ingest("test", [used("a", 1), used("a", 2), used("a", 1), used("a", 2)])

    assert (report.stored, report.duplicates, report.conflicts) == (1, 1, 2)
    assert amount(usage) == 1
    assert [stored.event.value for stored in usage.conflicts("test")] == [2]


def test_an_id_that_moves_to_another_customer_or_meter_is_a_conflict(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1)])

    report = usage.ingest("test", [used("a", 1, customer="emca"), used("a", 1, meter="requests")])

    assert report.conflicts == 2
    assert amount(usage, customer="emca") == 0


def test_sources_and_namespaces_have_ids_of_their_own(usage: ChunkedStore) -> None:
    report = usage.ingest("test", [used("a", 1), used("a", 2, source="log")])
    other = usage.ingest("other", [used("a", 3)])

    assert (report.stored, other.stored) == (2, 1)
    assert usage.conflicts("test") == []


# ── stamps and positions ─────────────────────────────────────────────────────────────────────────────────────


def test_usage_is_stamped_with_the_clock_and_never_below_what_the_meter_has(open_usage: Open) -> None:
    clock = SettableClock("2025-02-02T00:00:00Z")
    usage = open_usage(clock=clock)
    usage.ingest("test", [used("a", 1)])
    clock.set("2025-01-15T00:00:00Z")
    usage.ingest("test", [used("b", 1)])
    usage.ingest("test", [used("c", 1, meter="requests")])

    stamps = [stored.stored_at for stored in usage.events("test", ALL)]
    other = usage.events("test", Window(customer="acme", meter="requests"))[0].stored_at

    assert stamps == [datetime(2025, 2, 2, tzinfo=UTC)] * 2
    assert other == datetime(2025, 1, 15, tzinfo=UTC)  # another meter, another mark


def test_without_a_set_clock_usage_is_stamped_with_the_time_it_arrives(usage: ChunkedStore) -> None:
    before = datetime.now(UTC)
    usage.ingest("test", [used("a", 1)])
    after = datetime.now(UTC)

    assert before <= usage.events("test", ALL)[0].stored_at <= after


def test_chunks_have_rising_positions_and_reading_names_the_last_one(usage: ChunkedStore) -> None:
    report = usage.ingest("test", (used(f"{n}", 1) for n in range(10)), chunk=4)

    positions = [stored.position for stored in usage.events("test", ALL)]

    assert report.chunks == 3
    assert len(set(positions)) == 3
    assert positions == sorted(positions)
    assert usage.quantity(january()).position == report.position == positions[-1]
    assert usage.quantity(january("elsewhere")).position == 0


def test_a_chunk_of_no_size_is_refused(usage: ChunkedStore) -> None:
    with pytest.raises(ValueError, match="a chunk has 1 to"):
        usage.ingest("test", [used("a", 1)], chunk=0)


# ── late usage ───────────────────────────────────────────────────────────────────────────────────────────────


def test_late_usage_is_what_a_read_did_not_count(open_usage: Open) -> None:
    clock = SettableClock("2025-02-01T00:00:00Z")
    usage = open_usage(clock=clock)
    collection_end = datetime(2025, 2, 3, tzinfo=UTC)
    usage.ingest("test", [used("in time", 1)])
    clock.set("2025-02-03T00:00:30Z")
    usage.ingest("test", [used("after the end, before the read", 10)])
    clock.set("2025-02-03T00:01:00Z")
    read = usage.quantity(january(cut=collection_end))
    usage.ingest("test", [used("after the read", 100), used("of February", 1000, time=END)])

    late = usage.late_since(january(cut=collection_end), read.position)

    assert read.quantity == 1
    assert [stored.event.value for stored in late] == [10, 100]
    assert usage.late_since(january(cut=collection_end), read.position, limit=1) == late[:1]
    assert usage.late_since(january("elsewhere", cut=collection_end), 0) == []


# ── listing ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_events_come_back_as_they_were_sent(usage: ChunkedStore) -> None:
    sent = used("ä/1", "-0.000000000000000001", at=0.123456, properties={"model": "m", "zone": "ü"})
    usage.ingest("test", [sent, used("counted")])

    back = usage.events("test", ALL)

    assert {stored.event.id: stored.event for stored in back} == {"ä/1": sent, "counted": used("counted")}


def test_pages_of_events_follow_one_another_by_time_without_gaps(usage: ChunkedStore) -> None:
    sent = [used(f"{n}", n, at=[3, 1, 1, 2, 0, 1][n % 6]) for n in range(30)]
    usage.ingest("test", sent, chunk=7)

    pages: list[UsageEvent] = []
    page = usage.events("test", ALL, limit=4)
    while page:
        pages += [stored.event for stored in page]
        page = usage.events("test", ALL, after=page[-1], limit=4)

    assert pages == sorted(sent, key=lambda event: event.time)


def test_a_listing_can_be_narrowed_by_time(usage: ChunkedStore) -> None:
    usage.ingest("test", [used(f"{n}", n, at=n) for n in range(10)])

    window = Window(
        customer="acme", meter="tokens", from_=START + timedelta(seconds=3), to=START + timedelta(seconds=6)
    )
    first = usage.events("test", window, limit=1)

    assert [stored.event.value for stored in first + usage.events("test", window, after=first[-1])] == [3, 4, 5]
    assert usage.events("test", Window(customer="acme", meter="tokens", from_=FOREVER)) == []


def test_pages_of_conflicts_follow_one_another(usage: ChunkedStore) -> None:
    usage.ingest("test", [used(f"{n}", 1) for n in range(5)])
    usage.ingest("test", [used(f"{n}", 2) for n in range(5)])

    first = usage.conflicts("test", limit=2)
    rest = usage.conflicts("test", after=first[-1].place)

    assert [stored.event.id for stored in first + rest] == ["0", "1", "2", "3", "4"]


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_chunk_is_stored_whole_or_not_at_all_and_those_before_it_stay(open_usage: Open) -> None:
    calls: list[str] = []

    def fails_at_the_third(call: str) -> None:
        calls.append(call)
        if call == "usage.ingest.commit" and calls.count(call) == 3:
            raise Unavailable("the test", "it pulled the plug")

    usage = open_usage(probe=fails_at_the_third)
    events = [used(f"{n}", 1) for n in range(10)]
    with pytest.raises(Unavailable):
        usage.ingest("test", events, chunk=3)
    after = open_usage() if not_memory(usage) else usage

    assert amount(after) == 6
    report = after.ingest("test", events)
    assert (report.stored, report.duplicates) == (4, 6)
    assert amount(after) == 10


def not_memory(usage: ChunkedStore) -> bool:
    """Memory is shared by nobody: another store beside it would be empty."""
    return type(usage).__name__ != "MemoryUsageStore"


def test_a_chunk_that_takes_too_long_is_rolled_back_and_stamped_again(open_usage: Open) -> None:
    clock = SettableClock("2025-02-01T00:00:00Z")
    slow = iter([True, False])

    def dawdle(call: str) -> None:
        if call == "usage.ingest.commit" and next(slow):
            clock.set("2025-02-01T00:00:40Z")
            usage.commit_within = -1.0
        elif call == "usage.ingest":
            usage.commit_within = 30.0

    usage = open_usage(clock=clock, probe=dawdle)
    report = usage.ingest("test", [used("a", 1)])

    assert (report.stored, report.duplicates) == (1, 0)
    assert [stored.stored_at.second for stored in usage.events("test", ALL)] == [40]


def test_a_chunk_that_is_always_too_slow_is_given_up_with_a_word(open_usage: Open) -> None:
    usage = open_usage()

    def never(call: str) -> None:
        usage.commit_within = -1.0 if call == "usage.ingest.commit" else 30.0

    usage.probe = never
    with pytest.raises(Unavailable, match="use smaller ones"):
        usage.ingest("test", [used("a", 1)])
    assert usage.events("test", ALL) == []


@pytest.mark.parametrize("call", ["usage.quantity", "usage.events", "usage.conflicts", "usage.late_since"])
def test_the_probe_is_called_before_every_read(open_usage: Open, call: str) -> None:
    def fails(name: str) -> None:
        if name == call:
            raise Unavailable("the test", "it pulled the plug")

    usage = open_usage(probe=fails)
    reads = {
        "usage.quantity": lambda: usage.quantity(january()),
        "usage.events": lambda: usage.events("test", ALL),
        "usage.conflicts": lambda: usage.conflicts("test"),
        "usage.late_since": lambda: usage.late_since(january(), 0),
    }
    with pytest.raises(Unavailable):
        reads[call]()
