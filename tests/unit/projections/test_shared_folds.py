"""`folded_alike`: views that fold alike share the work where they have the very same row, and nothing else."""

from typing import NamedTuple

from aggregates.event import DomainEvent
from aggregates.values.period import timestamp
from projections.projection import Entry, Key, changed, folded_alike
from tests.given import STREAMS, recorded


class Count(NamedTuple):
    name: str
    entries: int


class Nothing(DomainEvent, frozen=True, kw_only=True):
    """Something happened."""


class Counting:
    """A fold that remembers how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.fold = folded_alike(self._count)

    def _count(self, row: Count | None, entry: Entry, key: Key) -> Count | None:
        self.asked += 1
        return changed(row, {"entries": row.entries + 1}) if row else Count(key[0], 1)


def entry_at(position: int) -> Entry:
    at = "2026-01-01"
    return Entry(position, timestamp(at), recorded(STREAMS["charge"], position, Nothing(), at))


def test_the_second_view_is_given_the_row_of_the_first() -> None:
    counting, entry = Counting(), entry_at(1)
    row = Count("a", 2)
    first, second = counting.fold(row, entry, ("a",)), counting.fold(row, entry, ("a",))
    assert first == Count("a", 3)
    assert second is first
    assert counting.asked == 1


def test_a_row_that_is_another_is_folded_by_itself() -> None:
    counting, entry = Counting(), entry_at(1)
    assert counting.fold(Count("a", 2), entry, ("a",)) == Count("a", 3)
    assert counting.fold(Count("a", 7), entry, ("a",)) == Count("a", 8)
    assert counting.fold(None, entry, ("a",)) == Count("a", 1)


def test_two_rows_that_an_entry_begins_are_two() -> None:
    counting, entry = Counting(), entry_at(1)
    assert counting.fold(None, entry, ("a",)) == Count("a", 1)
    assert counting.fold(None, entry, ("b",)) == Count("b", 1)


def test_the_next_entry_is_folded_by_itself() -> None:
    counting = Counting()
    row = counting.fold(None, entry_at(1), ("a",))
    assert counting.fold(row, entry_at(2), ("a",)) == Count("a", 2)
    assert counting.fold(row, entry_at(3), ("a",)) == Count("a", 2)
