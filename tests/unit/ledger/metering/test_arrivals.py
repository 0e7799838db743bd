"""What was stored is looked through once, in the order in which it was stored, from a mark that never goes back."""

from datetime import UTC, datetime

from ledger.metering.store import ChunkedStore, Unseen
from ledger.metering.usage import last_place
from tests.unit.ledger.metering.usages import used

MARCH = datetime(2025, 3, 1, tzinfo=UTC)


def test_everything_of_a_meter_arrives_once_in_the_order_of_storing(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1, at=20), used("b", 2, at=5, customer="other")], stored_at=MARCH)
    usage.ingest("test", [used("c", 3, at=10)], stored_at=MARCH)
    [unseen] = usage.unseen("test")

    page = usage.arrivals("test", unseen, limit=2)
    rest = usage.arrivals("test", unseen._replace(after=page[-1].place), limit=2)

    assert [each.time.second for each in (*page, *rest)] == [20, 5, 10]
    assert [each.customer for each in page] == ["acme", "other"]
    assert {each.stored_at for each in page} == {MARCH}


def test_what_was_seen_is_not_listed_again_and_what_comes_later_is(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1, at=20)])
    [unseen] = usage.unseen("test")
    usage.seen("test", unseen.meter, last_place(unseen.position))
    assert usage.unseen("test") == []

    usage.ingest("test", [used("b", 1, at=21)])

    [again] = usage.unseen("test")
    assert [each.time.second for each in usage.arrivals("test", again)] == [21]


def test_a_mark_never_goes_back(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1)])
    [unseen] = usage.unseen("test")
    usage.seen("test", unseen.meter, last_place(unseen.position))

    usage.seen("test", unseen.meter, 1)

    assert usage.unseen("test") == []


def test_meters_and_namespaces_have_marks_of_their_own(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1), used("b", 1, meter="calls")])
    calls, tokens = usage.unseen("test")
    assert (calls.meter, tokens.meter) == ("calls", "tokens")
    assert usage.unseen("other") == []

    usage.seen("test", "calls", last_place(calls.position))

    assert usage.unseen("test") == [tokens]
    assert len(usage.arrivals("test", tokens)) == 1


def test_a_chunk_that_stored_nothing_new_has_nothing_to_show(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1)])
    [first] = usage.unseen("test")
    usage.seen("test", "tokens", last_place(first.position))
    usage.ingest("test", [used("a", 1)])

    [again] = usage.unseen("test")

    assert again == Unseen("tokens", last_place(first.position), again.position)
    assert usage.arrivals("test", again) == []


def test_a_chunk_that_arrives_after_the_question_is_left_to_the_next_one(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1)])
    [unseen] = usage.unseen("test")
    usage.ingest("test", [used("b", 1)])

    assert len(usage.arrivals("test", unseen)) == 1
    usage.seen("test", "tokens", last_place(unseen.position))
    assert len(usage.unseen("test")) == 1
