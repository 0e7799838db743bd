"""The records of chunks: one for each meter, each going on from the one before, whoever writes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.audit import usage_chain
from ledger.metering.chain import BEGINNING, ChunkRecord, Link, chained
from ledger.metering.memory import MemoryUsageStore
from ledger.metering.store import ChunkedStore, UsageStore
from ledger.metering.usage import UsageEvent, microseconds, place
from ledger.ports import SettableClock
from tests.unit.ledger.metering.conftest import Open
from tests.unit.ledger.metering.usages import used

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


def records(usage: UsageStore) -> list[ChunkRecord]:
    """All records, each the one that its events and the record before lead to."""
    found: list[ChunkRecord] = []
    for head in usage.heads():
        before = BEGINNING
        for chunk in usage_chain.chunks(usage, head):
            again = chained(before, head.namespace, head.meter, chunk.position, chunk.links)
            assert chunk.record == again
            found.append(again)
            before = again.digest
    return found


def links(position: int, stored: list[tuple[int, UsageEvent]]) -> list[Link]:
    moment = microseconds(NOON)
    return [Link(place(position, n), moment, event.source, event.id, event.fingerprint()) for n, event in stored]


def test_a_chunk_leaves_a_record_for_each_of_its_meters_of_what_was_new(open_usage: Open) -> None:
    usage = open_usage(clock=SettableClock(NOON))
    a, b, file, c = used("a", 1), used("b", 2), used("f", 3, meter="files"), used("c", 4)
    usage.ingest("test", [a, b, file])
    usage.ingest("test", [b, c, used("a", 9)])  # known, new, and in conflict with what is known
    usage.ingest("test", [a])

    of_files = chained(BEGINNING, "test", "files", 1, links(1, [(2, file)]))
    first = chained(BEGINNING, "test", "tokens", 1, links(1, [(0, a), (1, b)]))
    second = chained(first.digest, "test", "tokens", 2, links(2, [(1, c)]))
    third = chained(second.digest, "test", "tokens", 3, [])
    assert records(usage) == [of_files, first, second, third]
    assert [record.stored for record in (first, second, third)] == [2, 1, 0]


KEPT = Link(5, 1_000, "app", "id", b"\x01" * 32)


@pytest.mark.parametrize(
    "changed",
    [
        KEPT._replace(place=6),
        KEPT._replace(stored_at=1_001),
        KEPT._replace(source="api"),
        KEPT._replace(id="di"),
        KEPT._replace(fingerprint=b"\x02" * 32),
    ],
)
def test_a_digest_is_of_everything_that_makes_an_event_what_it_is(changed: Link) -> None:
    assert chained(BEGINNING, "test", "m", 1, [KEPT]).digest != chained(BEGINNING, "test", "m", 1, [changed]).digest


def test_texts_that_are_cut_elsewhere_are_other_texts() -> None:
    one, other = Link(5, 0, "ap", "pid", b""), Link(5, 0, "app", "id", b"")

    assert chained(b"", "test", "m", 1, [one]).digest != chained(b"", "test", "m", 1, [other]).digest
    assert chained(b"", "te", "stm", 1, []).digest != chained(b"", "test", "m", 1, []).digest


def test_those_who_write_at_once_make_one_chain(usage: ChunkedStore) -> None:
    """Chunks of one meter and of both, from four threads, half of it sent twice."""

    def send(number: int) -> None:
        meters = (("tokens", "files"), ("tokens",))[number % 2]
        sent = [used(f"{number // 2}-{meter}-{n}", n, meter=meter) for n in range(6) for meter in meters]
        usage.ingest("test", sent, chunk=2)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(16)))

    found = records(usage)
    assert {record.meter for record in found} == {"tokens", "files"}
    assert sum(record.stored for record in found) == 96


def test_pages_make_no_difference(usage: ChunkedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    usage.ingest("test", [used(str(n), n) for n in range(9)], chunk=4)
    usage.raise_mark("test", "nothing", NOON)
    whole = records(usage)

    monkeypatch.setattr(usage_chain, "PAGE", 1)

    assert records(usage) == whole
    assert [record.stored for record in whole] == [4, 4, 1]


def test_what_is_stored_after_the_head_was_asked_for_is_left_out(usage: ChunkedStore) -> None:
    usage.ingest("test", [used("a", 1)])
    [head] = usage.heads()
    usage.ingest("test", [used("b", 2)])

    assert [len(chunk.links) for chunk in usage_chain.chunks(usage, head)] == [1]


EVENTS = st.builds(used, st.sampled_from("abcdef"), st.integers(0, 2), meter=st.sampled_from(["tokens", "files"]))


@given(st.lists(st.lists(EVENTS, max_size=6), max_size=5), st.integers(1, 4))
@settings(max_examples=40)
def test_the_chain_holds_whatever_is_sent(sent: list[list[UsageEvent]], chunk: int) -> None:
    usage = MemoryUsageStore()
    stored = sum(usage.ingest("test", events, chunk=chunk).stored for events in sent)

    assert sum(record.stored for record in records(usage)) == stored
