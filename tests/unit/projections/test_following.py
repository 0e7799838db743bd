"""How a view follows the log, over each kind of tables: exactly once, page by page, never half a save.

The views here are counters; what the tables hold of them is compared with a fold of our own over the same events.
"""

import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest

from aggregates.event import AnyRecorded
from aggregates.values.errors import ProjectionNotFound, Unavailable
from ledger.store.follow import Follower
from projections.projection import Entry
from projections.stores.open import open_views
from projections.stores.tables import Status, Tables, Where
from tests.support.counters import LINES, TOTALS, VIEWS, Cleared, Line, Log, Noise, Total, added, decode, some_history


@pytest.fixture
def tables(store_url: str) -> Iterator[Tables]:
    opened = open_views(store_url)
    yield opened
    opened.close()


def totals(tables: Tables) -> list[Total]:
    with tables.reading() as reader:
        return reader.select(TOTALS)


def lines(tables: Tables) -> list[Line]:
    with tables.reading() as reader:
        return reader.select(LINES)


def test_a_row_comes_out_as_it_went_in_whatever_its_columns_hold(tables: Tables) -> None:
    log = Log()
    log.save(added("a", "0.1"), added("a", "-1000000000000000000000.000000000000000007"))

    Follower(log.store, tables, VIEWS, decode=decode).catch_up()

    (row,) = totals(tables)
    assert isinstance(row, Total)
    assert row.total == Decimal("-999999999999999999999.900000000000000007")
    assert (row.counter, row.times, row.is_negative) == ("a", 2, True)
    assert row.amounts == ["0.1", "-1000000000000000000000.000000000000000007"]
    assert row.lines == '{"of":["0.1","-1000000000000000000000.000000000000000007"]}'
    assert row.since == row.last
    assert row.since.utcoffset() is not None


def test_each_event_counts_once_however_often_one_catches_up(tables: Tables) -> None:
    log = Log()
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    for amount in ("1", "2", "3"):
        log.save(added("a", amount))
        follower.catch_up()
        follower.catch_up()

    assert [(row.times, row.total) for row in totals(tables)] == [(3, Decimal(6))]
    assert len(lines(tables)) == 6


def test_a_row_that_goes_away_is_gone_and_may_come_back(tables: Tables) -> None:
    log = Log()
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    log.save(added("a"), added("b"))
    follower.catch_up()

    log.save(Cleared(counter="a"))
    follower.catch_up()
    assert [row.counter for row in totals(tables)] == ["b"]

    log.save(added("a", "7"))
    follower.catch_up()
    assert [(row.counter, row.total) for row in totals(tables)] == [("a", Decimal(7)), ("b", Decimal(1))]


@pytest.mark.parametrize("page", [1, 2, 7, 1000])
def test_the_size_of_pages_makes_no_difference(tables: Tables, page: int) -> None:
    log = Log()
    some_history(log)

    Follower(log.store, tables, VIEWS, decode=decode, page=page).catch_up()

    assert [(row.counter, row.times, row.total) for row in totals(tables)] == [
        ("all", 30, Decimal(-30)),
        ("c0", 1, Decimal("25.25")),
        ("c1", 4, Decimal("75.00")),
        ("c3", 3, Decimal("69.75")),
        ("c4", 6, Decimal("100.50")),
    ]
    assert totals(tables) == folded(log)


def folded(log: Log) -> list[Total]:
    """The rows of `totals` by a fold over all events, one by one, without any table."""
    rows: dict[str, Total] = {}
    for record in log.store.read_log(0, 10_000):
        if record.name in TOTALS.listens:
            entry = Entry(record.position, record.log_time, decode(record.name, record.data))
            (key,) = TOTALS.keys(entry)
            row = TOTALS.apply(rows.pop(key[0], None), entry, key)
            if row is not None:
                rows[key[0]] = row
    return [rows[name] for name in sorted(rows)]


def test_a_page_never_ends_inside_a_save(tables: Tables) -> None:
    log = Log()
    saved = log.save(*[added("a") for _ in range(10)])
    follower = Follower(log.store, tables, VIEWS, decode=decode, page=3)

    follower.catch_up()

    assert {each.position for each in tables.generations()} == {saved.last}


def test_events_that_no_view_listens_to_are_not_decoded(tables: Tables) -> None:
    log = Log()
    log.save(Noise(), Noise(), added("a"))
    decoded: list[str] = []

    def listening(name: str, data: bytes) -> AnyRecorded:
        decoded.append(name)
        return decode(name, data)

    Follower(log.store, tables, VIEWS, decode=listening).catch_up()

    assert decoded == ["counter.added.v1"]


def test_runners_that_race_count_every_event_once(tables: Tables) -> None:
    log = Log()
    some_history(log, saves=60)
    followers = [Follower(log.store, tables, VIEWS, decode=decode, page=5) for _ in range(4)]
    threads = [threading.Thread(target=follower.catch_up) for follower in followers]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert totals(tables) == folded(log)
    assert len(lines(tables)) == 2 * 120


def test_a_page_that_fails_leaves_rows_and_position_as_they_were(tables: Tables) -> None:
    log = Log()
    log.save(added("a"))
    Follower(log.store, tables, VIEWS, decode=decode).catch_up()
    before = tables.generations()
    log.save(added("a"), added("b"))

    def failing(name: str, data: bytes) -> AnyRecorded:
        record = decode(name, data)
        if record.body.counter == "b":
            raise RuntimeError("unreadable")
        return record

    with pytest.raises(RuntimeError):
        Follower(log.store, tables, VIEWS, decode=failing).catch_up()

    assert tables.generations() == before
    assert [(row.counter, row.times) for row in totals(tables)] == [("a", 1)]


def test_views_catch_up_one_by_one_where_only_one_is_asked_for(tables: Tables) -> None:
    log = Log()
    saved = log.save(added("a"))
    follower = Follower(log.store, tables, VIEWS, decode=decode)

    follower.catch_up(["lines"])

    assert {each.name: each.position for each in tables.generations()} == {"lines": saved.last, "totals": 0}
    follower.catch_up()
    assert {each.position for each in tables.generations()} == {saved.last}


def test_an_unknown_view_is_named(tables: Tables) -> None:
    follower = Follower(Log().store, tables, VIEWS, decode=decode)

    with pytest.raises(ProjectionNotFound, match="balances"):
        follower.catch_up(["balances"])


def test_a_query_may_wait_for_a_position_and_not_for_ever(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.store.follow.WAIT_SECONDS", 0.2)
    log = Log()
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    saved = log.save(added("a"))

    with pytest.raises(Unavailable, match=f"position {saved.last}"):
        follower.ensure(["totals"], at_least=saved.last)

    follower.ensure(["totals"], stale=True)
    assert totals(tables) == []

    other = threading.Timer(0.05, follower.catch_up)
    other.start()
    follower.ensure(["totals"], at_least=saved.last)
    other.join()
    assert len(totals(tables)) == 1


def test_a_service_may_follow_the_log_as_it_grows(tables: Tables) -> None:
    log = Log()
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    stop = threading.Event()
    thread = threading.Thread(target=follower.follow, args=(stop,))
    thread.start()
    try:
        saved = log.save(added("a"))
        follower.ensure(["totals", "lines"], at_least=saved.last)
    finally:
        stop.set()
        thread.join()

    assert len(totals(tables)) == 1


def test_a_reader_sees_one_moment(tables: Tables) -> None:
    log = Log()
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    log.save(added("a"))
    follower.catch_up()

    with tables.reading() as reader:
        before = reader.select(TOTALS)
        log.save(added("a"))
        if not hasattr(tables, "_contents"):  # memory lets writers wait instead
            follower.catch_up()
        assert reader.select(TOTALS) == before
        assert reader.generation("totals", Status.LIVE) is not None


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ([Where("counter", "=", "c1")], ["c1"]),
        ([Where("counter", "in", ("c1", "c3", "x"))], ["c1", "c3"]),
        ([Where("counter", "in", ())], []),
        ([Where("counter", "starts", "c")], ["c0", "c1", "c3", "c4"]),
        ([Where("times", ">=", 5)], ["all", "c4"]),
        ([Where("times", ">", 5), Where("is_negative", "=", True)], ["all"]),
        ([Where("last", "absent")], ["c0"]),
        ([Where("last", "present"), Where("times", "<", 5)], ["c1", "c3"]),
        ([Where(("times", "counter"), "<=", (4, "c1"))], ["c0", "c1", "c3"]),
    ],
)
def test_conditions_mean_the_same_everywhere(tables: Tables, where: list[Where], expected: list[str]) -> None:
    log = Log()
    some_history(log)
    Follower(log.store, tables, VIEWS, decode=decode).catch_up()

    with tables.reading() as reader:
        found = reader.select(TOTALS, where)
        backwards = reader.select(TOTALS, where, order=("counter",), descending=True, limit=2)

    assert [row.counter for row in found] == expected
    assert [row.counter for row in backwards] == expected[::-1][:2]


def test_the_last_row_not_above_a_bound_is_found_for_each_prefix(tables: Tables) -> None:
    log = Log()
    some_history(log, saves=10)
    Follower(log.store, tables, VIEWS, decode=decode).catch_up()

    with tables.reading() as reader:
        everything = reader.select(LINES)
        bound = everything[len(everything) // 2].position
        found = reader.floors(LINES, [{"counter": "c0"}, {"counter": "all"}, {"counter": "x"}], "position", bound)

    assert [(row.counter, row.position) for row in found] == [
        (name, max(row.position for row in everything if row.counter == name and row.position <= bound))
        for name in ("c0", "all")
    ]
