"""Building a view anew beside the live one, over each kind of tables.

Reads are answered throughout; what the live view has wrong is named and healed; an end at any point loses nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import cast

import pytest

from aggregates.event import AnyRecorded
from aggregates.values.errors import PreconditionFailed, Unavailable
from ledger.store.follow import Follower, Progress
from projections.projection import Changes
from projections.stores.memory import MemoryTables
from projections.stores.open import open_views
from projections.stores.tables import Status, Tables
from tests.support.counters import LINES, TOTALS, VIEWS, Log, Total, added, changed_rows, decode, some_history


@pytest.fixture
def tables(store_url: str) -> Iterator[Tables]:
    opened = open_views(store_url)
    yield opened
    opened.close()


def totals(tables: Tables) -> list[Total]:
    with tables.reading() as reader:
        return reader.select(TOTALS)


def spoil_total_of_all(tables: Tables, url: str) -> None:
    """Change one figure of the live view behind everybody's back."""
    (live,) = [each for each in tables.generations() if each.name == "totals" and each.status is Status.LIVE]
    if isinstance(tables, MemoryTables):
        contents = tables._contents[live.name, live.number]
        contents.put(("all",), cast("Total", contents.rows["all",])._replace(total=Decimal("-29.99")))
        return
    with changed_rows(url) as run:
        run(f"UPDATE \"{live.table}\" SET total = '-29.99' WHERE counter = 'all'")


def test_a_rebuild_equals_what_was_kept_up_and_keeps_the_one_before(tables: Tables) -> None:
    log = Log()
    some_history(log)
    follower = Follower(log.store, tables, VIEWS, decode=decode, page=3)
    follower.catch_up()
    before = totals(tables)

    rebuilt = follower.rebuild()

    assert [(each.view, each.comparison is not None and each.comparison.equal) for each in rebuilt] == [
        ("totals", True),
        ("lines", True),
    ]
    assert [each.comparison.rows for each in rebuilt if each.comparison] == [5, 120]
    assert totals(tables) == before
    assert sorted((each.name, each.number, each.status.value) for each in tables.generations()) == [
        ("lines", 1, "previous"),
        ("lines", 2, "live"),
        ("totals", 1, "previous"),
        ("totals", 2, "live"),
    ]


def test_only_the_last_predecessor_is_kept(tables: Tables) -> None:
    log = Log()
    log.save(added("a"))
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    for _ in range(3):
        follower.rebuild(["totals"])

    numbers = [(each.number, each.status.value) for each in tables.generations() if each.name == "totals"]

    assert numbers == [(3, "previous"), (4, "live")]


def test_a_changed_figure_is_named_and_healed(tables: Tables, store_url: str) -> None:
    log = Log()
    some_history(log)
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    follower.catch_up()
    spoil_total_of_all(tables, store_url)

    found = follower.verify_view("totals")

    assert (found.equal, found.rows, found.differing) == (False, 5, 1)
    (difference,) = found.differences
    assert (difference.view, difference.key, difference.column) == ("totals", {"counter": "all"}, "total")
    assert (difference.expected, difference.found) == (Decimal(-30), Decimal("-29.99"))
    assert str(difference) == "totals[counter=all].total: expected -30, found -29.99"

    (rebuilt,) = follower.rebuild(["totals"])

    assert rebuilt.comparison is not None
    assert rebuilt.comparison.differences == found.differences
    assert follower.verify_view("totals").equal


def test_a_missing_row_and_one_too_many_are_named(tables: Tables) -> None:
    log = Log()
    log.save(added("a"), added("b"))
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    follower.catch_up()
    live = next(each for each in tables.generations() if each.name == "totals")
    with tables.writing(TOTALS, live) as writer:
        row = cast("Total", writer.load([("a",)])["a",])
        writer.change(Changes([row._replace(counter="x")], [], [("a",)]), live.position)

    found = follower.verify_view("totals")

    assert [(each.key, each.column) for each in found.differences] == [
        ({"counter": "a"}, None),
        ({"counter": "x"}, None),
    ]
    assert "found nothing" in str(found.differences[0])
    assert "expected nothing" in str(found.differences[1])


@pytest.mark.parametrize(("column", "value"), [("amounts", "not json"), ("total", "twelve"), ("since", "today")])
def test_a_value_that_cannot_be_read_is_reported_and_healed(sqlite_url: str, column: str, value: str) -> None:
    log = Log()
    log.save(added("a"), added("b"))
    tables = open_views(sqlite_url)
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    follower.catch_up()
    live = next(each for each in tables.generations() if each.name == "totals")
    with changed_rows(sqlite_url) as run:
        run(f"UPDATE \"{live.table}\" SET {column} = '{value}' WHERE counter = 'a'")
    log.save(added("a"))  # folding it into the broken row is not possible

    (difference,) = follower.verify_view("totals").differences
    assert difference.expected == "rows that can be read"
    (rebuilt,) = follower.rebuild(["totals"])

    assert rebuilt.comparison is not None
    assert not rebuilt.comparison.equal
    assert follower.verify_view("totals").equal
    assert [row.times for row in totals(tables)] == [2, 1]
    tables.close()


def test_a_view_that_only_grows_is_verified_row_by_row(tables: Tables) -> None:
    log = Log()
    some_history(log)
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    follower.catch_up()
    log.save(added("a"))  # not yet in the view, and not expected there

    found = follower.verify_view("lines")

    assert (found.equal, found.rows) == (True, 120)


class Killed(BaseException):
    """Nobody catches it."""


@pytest.mark.parametrize("moment", ["first page", "second page", "indexes", "comparison", "exchange"])
def test_an_end_in_the_middle_changes_nothing_that_is_read(
    tables: Tables, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    some_history(log)
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    follower.catch_up()
    before = totals(tables)
    with monkeypatch.context() as patch:
        die_at(follower, tables, moment, patch)
        with pytest.raises(Killed):
            follower.rebuild()

    assert totals(tables) == before
    log.save(added("all", "-1"))
    follower.catch_up()
    assert next(row.total for row in totals(tables) if row.counter == "all") == Decimal(-31)

    follower.rebuild()

    assert follower.verify_view("totals").equal
    assert follower.verify_view("lines").equal
    assert Status.BUILDING not in {each.status for each in tables.generations()}


def die_at(follower: Follower, tables: Tables, moment: str, patch: pytest.MonkeyPatch) -> None:
    def die(*_args: object, **_kwargs: object) -> None:
        raise Killed

    match moment:
        case "first page":
            patch.setattr(follower, "_decode", die)
        case "second page":
            patch.setattr("ledger.store.follow.BUILD_PAGE", 10)
            folded: list[str] = []

            def later(name: str, data: bytes) -> AnyRecorded:
                folded.append(name)
                if len(folded) > 20:
                    raise Killed
                return decode(name, data)

            patch.setattr(follower, "_decode", later)
        case "indexes":
            patch.setattr(tables, "finish", die)
        case "comparison":
            patch.setattr("ledger.store.follow.compared", die)
        case _:
            patch.setattr(tables, "swap", die)


def test_the_newer_of_two_rebuilds_wins(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.store.follow.BUILD_PAGE", 10)
    log = Log()
    some_history(log)
    first = Follower(log.store, tables, VIEWS, decode=decode)
    second = Follower(log.store, tables, VIEWS, decode=decode)
    first.catch_up()
    told: list[Progress] = []

    def meanwhile(progress: Progress) -> None:
        if not told:
            second.rebuild(["totals"])
        told.append(progress)

    with pytest.raises(PreconditionFailed, match="another rebuild"):
        first.rebuild(["totals"], progress=meanwhile)

    assert first.verify_view("totals").equal


def test_events_that_come_during_a_rebuild_are_in_it(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.store.follow.BUILD_PAGE", 10)
    log = Log()
    some_history(log)
    follower = Follower(log.store, tables, VIEWS, decode=decode)

    def meanwhile(_progress: Progress) -> None:
        log.save(added("all", "-1"))
        follower.catch_up()  # a reader, and it is answered
        assert totals(tables)

    rebuilt = follower.rebuild(progress=meanwhile)

    assert all(each.comparison is not None and each.comparison.equal for each in rebuilt)
    follower.catch_up()
    assert {each.position for each in tables.generations() if each.status is Status.LIVE} == {log.store.head()}
    assert follower.verify_view("totals").equal


def test_progress_says_how_far_it_is(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.store.follow.BUILD_PAGE", 10)
    log = Log()
    some_history(log, saves=20)
    told: list[Progress] = []

    Follower(log.store, tables, VIEWS, decode=decode).rebuild(progress=told.append)

    head = log.store.head()
    assert [each.total for each in told] == [head] * len(told)
    assert told[-1].done == head
    assert told[-1].seconds_left == 0
    assert sorted(each.done for each in told) == [each.done for each in told]
    assert told[0].views == ("totals", "lines")


def test_one_can_go_back_to_the_generation_before(tables: Tables) -> None:
    log = Log()
    log.save(added("a"))
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    follower.rebuild(["totals"])
    log.save(added("a"))
    follower.catch_up()

    live = follower.rollback("totals")

    assert (live.number, live.status) == (1, Status.LIVE)
    assert follower.catch_up() == log.store.head()
    assert [row.times for row in totals(tables)] == [2]


def test_without_a_generation_before_there_is_no_way_back(tables: Tables) -> None:
    follower = Follower(Log().store, tables, VIEWS, decode=decode)

    with pytest.raises(PreconditionFailed, match="is not there"):
        follower.rollback("totals")


def test_a_new_version_is_built_when_first_asked_for_and_the_old_one_is_not_gone_back_to(tables: Tables) -> None:
    log = Log()
    some_history(log)
    Follower(log.store, tables, VIEWS, decode=decode).catch_up()
    newer = replace(TOTALS, version=2)
    follower = Follower(log.store, tables, (newer, LINES), decode=decode)
    with pytest.raises(Unavailable, match="not been built"):
        follower.verify_view("totals")

    follower.catch_up()

    live = next(each for each in follower.status() if each.view == "totals" and each.status == "live")
    assert (live.version, live.behind) == (2, 0)
    with pytest.raises(PreconditionFailed, match="version 1"):
        follower.rollback("totals")


def test_an_empty_log_has_empty_views(tables: Tables) -> None:
    follower = Follower(Log().store, tables, VIEWS, decode=decode)

    assert follower.catch_up() == 0
    assert [each.comparison is not None and each.comparison.equal for each in follower.rebuild()] == [True, True]
    assert totals(tables) == []


def test_people_find_the_live_generation_under_the_name_of_the_view(store_url: str) -> None:
    if store_url == "memory:":
        return
    log = Log()
    log.save(added("a", "2.50"))
    tables = open_views(store_url)
    follower = Follower(log.store, tables, VIEWS, decode=decode)
    follower.catch_up()
    with changed_rows(store_url) as run:
        before = run("SELECT counter, total FROM totals")
        follower.rebuild()
        after = run("SELECT counter, total FROM totals")
    tables.close()

    assert [tuple(map(str, row)) for row in (*before, *after)] == [("a", "2.50")] * 2  # type: ignore[call-overload]
