"""The behaviour of a store, the same over memory, an SQLite file and PostgreSQL."""

from datetime import datetime
from uuid import UUID, uuid4

import pytest

from ledger.store.store import LogRecord, NewRecord, Reservation, Save, Saved, SnapshotRow, StaleSave, Store
from tests.unit.ledger.store.stores import (
    MINUTE,
    NOON,
    charge_row,
    grow,
    receipt_of,
    record,
    records,
    whole_log,
)

# ── appending ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_save_gets_consecutive_positions_in_the_order_given(store: Store) -> None:
    first, second = uuid4(), uuid4()

    assert store.append(Save(records(first, 1, 2)), NOON) == Saved(1, 2, NOON)
    assert store.append(Save([*records(second, 1), *records(first, 3)]), NOON) == Saved(3, 4, NOON)
    assert whole_log(store) == [(1, first, 1), (2, first, 2), (3, second, 1), (4, first, 3)]
    assert store.head() == 4


def test_a_record_comes_back_byte_for_byte_with_its_place(store: Store) -> None:
    stream = uuid4()
    given = records(stream, 1, 2, text="é \x00 \N{SNOWMAN}")
    store.append(Save(given), NOON)

    one, two = store.read_stream(stream)

    assert one == LogRecord(1, stream, 1, "thing.happened.v1", given[0].data, given[0].digest, NOON, 2)
    assert two == LogRecord(2, stream, 2, "thing.happened.v1", given[1].data, given[1].digest, NOON, 2)
    assert isinstance(two.data, bytes)
    assert isinstance(two.digest, bytes)


def test_a_version_that_is_taken_is_a_stale_save_and_nothing_is_written(store: Store) -> None:
    stream, other = uuid4(), uuid4()
    grow(store, stream, 2)
    late = [*records(other, 1), *records(stream, 2)]
    save = Save(late, receipt_of(late), [charge_row(other)], [Reservation("default", "acme", "key", "k", other)])

    with pytest.raises(StaleSave):
        store.append(save, NOON)

    assert store.head() == 2
    assert store.read_stream(other) == []
    assert list(store.receipts()) == []
    assert list(store.charge_index()) == []
    assert list(store.reservations()) == []


def test_a_gap_in_a_stream_is_a_stale_save(store: Store) -> None:
    """A database restored to an earlier state under a program that still remembers the later one."""
    stream = uuid4()
    grow(store, stream, 2)

    with pytest.raises(StaleSave):
        store.append(Save(records(stream, 4)), NOON)


def test_a_stream_that_was_only_read_must_not_have_moved(store: Store) -> None:
    read, written = uuid4(), uuid4()
    grow(store, read, 3)

    with pytest.raises(StaleSave):
        store.append(Save(records(written, 1), expected=[(read, 2)]), NOON)
    with pytest.raises(StaleSave):
        store.append(Save(records(written, 1), expected=[(uuid4(), 1)]), NOON)
    store.append(Save(records(written, 1), expected=[(read, 3), (uuid4(), 0)]), NOON)

    assert store.head() == 4


def test_positions_have_no_gaps_after_lost_races(store: Store) -> None:
    stream = uuid4()
    grow(store, stream, 1)
    for _ in range(3):
        with pytest.raises(StaleSave):
            store.append(Save(records(stream, 1)), NOON)

    assert store.append(Save(records(stream, 2)), NOON).first == 2


def test_a_save_without_records_keeps_its_receipt_and_its_rows(store: Store) -> None:
    stream = uuid4()
    grow(store, stream, 2)
    receipt = receipt_of([])

    assert store.append(Save([], receipt, [charge_row(stream)]), NOON + MINUTE) == Saved(3, 2, NOON + MINUTE)
    assert store.receipt("default", "acme", receipt.command_id) == receipt
    assert store.head() == 2


# ── log time ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_log_time_of_a_save_never_goes_back(store: Store) -> None:
    stream = uuid4()
    grow(store, stream, 1, now=NOON)

    assert store.append(Save(records(stream, 2)), NOON - MINUTE).log_time == NOON
    assert store.append(Save(records(stream, 3)), NOON + MINUTE).log_time == NOON + MINUTE
    assert [row.log_time for row in store.read_stream(stream)] == [NOON, NOON, NOON + MINUTE]


def test_microseconds_of_a_log_time_are_kept(store: Store) -> None:
    moment = NOON.replace(microsecond=123457)

    assert store.append(Save(records(uuid4(), 1)), moment).log_time == moment
    assert store.position_at(moment) == 1
    assert store.position_at(moment.replace(microsecond=123456)) == 0


def test_without_a_moment_the_clock_of_the_system_is_taken(store: Store) -> None:
    saved = store.append(Save(records(uuid4(), 1)))

    assert store.position_at(saved.log_time) == 1
    assert saved.log_time > NOON


def test_the_position_at_a_moment_is_the_last_that_is_not_later(store: Store) -> None:
    stream = uuid4()
    for minute, version in ((0, 1), (0, 2), (1, 3), (3, 4), (3, 5), (3, 6)):
        store.append(Save(records(stream, version)), NOON + minute * MINUTE)

    asked = [store.position_at(NOON + minute * MINUTE) for minute in (-1, 0, 1, 2, 3, 4)]

    assert asked == [0, 2, 3, 3, 6, 6]


def test_an_empty_log_is_at_position_0_at_all_times(store: Store) -> None:
    assert store.head() == 0
    assert store.position_at(NOON) == 0
    assert store.read_log(0, 10) == []


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_is_read_above_a_version(store: Store) -> None:
    stream = uuid4()
    grow(store, stream, 5)
    grow(store, uuid4(), 2)

    assert [row.version for row in store.read_stream(stream)] == [1, 2, 3, 4, 5]
    assert [row.version for row in store.read_stream(stream, 3)] == [4, 5]
    assert store.read_stream(stream, 5) == []
    assert store.read_stream(uuid4()) == []


def test_single_versions_of_a_stream_are_read_alone(store: Store) -> None:
    stream, other = uuid4(), uuid4()
    store.append(Save([*records(stream, 1, 2, 3, 4), *records(other, 1, 2)]), NOON)

    assert [(row.stream, row.version) for row in store.read_versions(stream, [4, 2, 2])] == [(stream, 2), (stream, 4)]
    assert store.read_versions(stream, [2]) == store.read_stream(stream, 1)[:1]
    assert store.read_versions(stream, [0, 5]) == []
    assert store.read_versions(uuid4(), [1]) == []
    assert store.read_versions(stream, []) == []


def test_a_page_of_some_names_ends_where_a_save_ends(store: Store) -> None:
    stream, other = uuid4(), uuid4()

    def named(which: UUID, version: int, name: str) -> NewRecord:
        return record(which, version)._replace(name=name)

    store.append(Save([named(stream, 1, "a.v1"), named(stream, 2, "b.v1"), named(stream, 3, "a.v1")]), NOON)
    store.append(Save([named(other, 1, "b.v1"), named(other, 2, "c.v1")]), NOON)
    store.append(Save([named(stream, 4, "a.v1")]), NOON)

    def positions(after: int, limit: int, *names: str) -> list[int]:
        return [row.position for row in store.read_log(after, limit, names)]

    assert positions(0, 1, "a.v1") == [1, 3]
    assert positions(3, 1, "a.v1") == [6]
    assert positions(0, 10, "a.v1", "c.v1") == [1, 3, 5, 6]
    assert positions(0, 2, "c.v1", "b.v1") == [2, 4, 5]
    assert positions(0, 10, "d.v1") == []
    assert positions(6, 10, "a.v1") == []


def test_several_streams_are_read_at_once_each_above_what_is_known(store: Store) -> None:
    one, two, unborn = uuid4(), uuid4(), uuid4()
    for version in (1, 2, 3):
        store.append(Save([*records(one, version), *records(two, version)]), NOON)

    known = store.read_streams([one, two, unborn], {one: 2})

    assert {stream: [row.version for row in rows] for stream, rows in known.items()} == {
        one: [3],
        two: [1, 2, 3],
        unborn: [],
    }
    assert known[one] == store.read_stream(one, 2)
    assert store.read_streams([]) == {}


def test_a_page_of_the_log_ends_where_a_save_ends(store: Store) -> None:
    first, second, third = uuid4(), uuid4(), uuid4()
    store.append(Save(records(first, 1, 2)), NOON)
    store.append(Save(records(second, 1, 2, 3)), NOON)
    store.append(Save(records(third, 1)), NOON)

    pages = [[row.position for row in store.read_log(after, 3)] for after in (0, 5, 6)]

    assert pages == [[1, 2, 3, 4, 5], [6], []]
    assert [row.last for row in store.read_log(0, 1)] == [2, 2]


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_receipt_comes_back_as_it_was_given(store: Store) -> None:
    written = records(uuid4(), 1, 2)
    receipt = receipt_of(written)
    store.append(Save(written, receipt), NOON)

    found = store.receipt("default", "acme", receipt.command_id)

    assert found == receipt
    assert store.receipt("default", "other", receipt.command_id) is None
    assert store.receipt("other", "acme", receipt.command_id) is None
    assert list(store.receipts()) == [receipt]


def test_a_command_is_carried_out_once_per_customer(store: Store) -> None:
    command = uuid4()
    first, second, third = records(uuid4(), 1), records(uuid4(), 1), records(uuid4(), 1)
    store.append(Save(first, receipt_of(first, command)), NOON)

    with pytest.raises(StaleSave):
        store.append(Save(second, receipt_of(second, command)), NOON)
    store.append(Save(third, receipt_of(third, command, customer="other")), NOON)

    assert store.head() == 2


def test_the_very_same_save_is_answered_again_as_a_lost_reply_would_be(store: Store) -> None:
    stream = uuid4()
    written = records(stream, 1, 2)
    save = Save(written, receipt_of(written), [charge_row(stream)])
    first = store.append(save, NOON)
    grow(store, uuid4(), 3, now=NOON + MINUTE)

    assert store.append(save, NOON + 2 * MINUTE) == first == Saved(1, 2, NOON)
    assert store.head() == 5


def test_without_a_receipt_a_repeated_save_is_stale(store: Store) -> None:
    save = Save(records(uuid4(), 1))
    store.append(save, NOON)

    with pytest.raises(StaleSave):
        store.append(save, NOON)


# ── the charge index ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_charge_is_numbered_by_the_position_of_its_first_event(store: Store) -> None:
    first, second = uuid4(), uuid4()
    grow(store, uuid4(), 3)
    store.append(
        Save(
            [*records(uuid4(), 1), *records(second, 1), *records(first, 1, 2)],
            charge_index=[charge_row(first), charge_row(second)],
        ),
        NOON,
    )

    rows = store.charges_of("default", "acme")

    assert [(row.charge, row.ordinal) for row in rows] == [(second, 5), (first, 6)]


def test_a_later_row_of_a_charge_keeps_its_number(store: Store) -> None:
    charge = uuid4()
    store.append(Save(records(charge, 1), charge_index=[charge_row(charge)]), NOON)
    changed = charge_row(charge, status="final", due=None, ordinal=77)

    store.append(Save(records(charge, 2), charge_index=[changed]), NOON)

    assert store.charges_of("default", "acme") == [changed._replace(ordinal=1)]


def test_a_charge_that_was_born_earlier_is_numbered_by_its_birth(store: Store) -> None:
    charge = uuid4()
    grow(store, uuid4(), 1)
    grow(store, charge, 2)
    store.append(Save(records(charge, 3), charge_index=[charge_row(charge)]), NOON)

    assert [row.ordinal for row in store.charge_index()] == [2]


def test_only_charges_whose_time_has_come_are_due(store: Store) -> None:
    early, late, closed, other = uuid4(), uuid4(), uuid4(), uuid4()
    rows = [
        charge_row(early, due=NOON),
        charge_row(late, due=NOON + MINUTE),
        charge_row(closed, status="final", due=None),
        charge_row(other, customer="zebra", due=NOON - MINUTE),
    ]
    new = [record(charge, 1) for charge in (early, late, closed, other)]
    store.append(Save(new, charge_index=rows), NOON)

    def due(customer: str, moment: int) -> list[UUID]:
        return [row.charge for row in store.charges_of("default", customer, due=NOON + moment * MINUTE)]

    assert due("acme", -1) == []
    assert due("acme", 0) == [early]
    assert due("acme", 1) == [early, late]
    assert due("zebra", -1) == [other]
    assert [row.charge for row in store.charges_of("default", "acme")] == [early, late, closed]
    assert store.charges_of("elsewhere", "acme") == []


def test_charges_that_are_over_are_left_out_where_nobody_asks_for_them(store: Store) -> None:
    running, waiting, closed, deleted, other = uuid4(), uuid4(), uuid4(), uuid4(), uuid4()
    rows = [
        charge_row(running, due=NOON),
        charge_row(closed, status="final", due=NOON),
        charge_row(deleted, status="deleted", due=None),
        charge_row(waiting, due=None),
        charge_row(other, customer="zebra"),
    ]
    new = [record(charge, 1) for charge in (running, closed, deleted, waiting, other)]
    store.append(Save(new, charge_index=rows), NOON)

    def named(due: datetime | None, *, over: bool) -> list[UUID]:
        return [row.charge for row in store.charges_of("default", "acme", due, over=over)]

    assert named(None, over=False) == [running, waiting]
    assert named(NOON, over=False) == [running]
    assert named(NOON, over=True) == [running, closed]
    assert named(None, over=True) == [running, closed, deleted, waiting]


def test_due_customers_come_sorted_and_in_pages(store: Store) -> None:
    rows = [
        charge_row(uuid4(), customer=customer, due=due)
        for customer, due in (("d", NOON), ("a", NOON), ("c", NOON), ("a", NOON), ("b", NOON + MINUTE), ("e", None))
    ]
    store.append(Save([record(row.charge, 1) for row in rows], charge_index=rows), NOON)

    assert store.due_customers("default", NOON) == ["a", "c", "d"]
    assert store.due_customers("default", NOON, limit=2) == ["a", "c"]
    assert store.due_customers("default", NOON, after="c", limit=2) == ["d"]
    assert store.due_customers("default", NOON - MINUTE) == []
    assert store.due_customers("elsewhere", NOON) == []


def test_the_next_charge_that_comes_due_is_the_first_one_later(store: Store) -> None:
    rows = [charge_row(uuid4(), due=due) for due in (NOON - MINUTE, NOON, NOON + MINUTE, NOON + 2 * MINUTE, None)]
    store.append(Save([record(row.charge, 1) for row in rows], charge_index=rows), NOON)

    assert store.next_due("default", NOON) == NOON + MINUTE
    assert store.next_due("default", NOON - 2 * MINUTE) == NOON - MINUTE
    assert store.next_due("default", NOON + 2 * MINUTE) is None
    assert store.next_due("elsewhere", NOON) is None


# ── reservations ─────────────────────────────────────────────────────────────────────────────────────────────


def reserve(key: str, owner: UUID | None, customer: str = "acme") -> Reservation:
    return Reservation("default", customer, "unique_reference_id", key, owner)


def holder(store: Store, key: str, customer: str = "acme") -> UUID | None:
    return store.reservation("default", customer, "unique_reference_id", key)


def test_a_key_has_one_owner_until_it_is_released(store: Store) -> None:
    one, two = uuid4(), uuid4()
    store.append(Save(records(one, 1), reservations=[reserve("k", one)]), NOON)

    with pytest.raises(StaleSave):
        store.append(Save(records(two, 1), reservations=[reserve("k", two)]), NOON)
    assert holder(store, "k") == one
    assert store.read_stream(two) == []

    store.append(Save(records(one, 2), reservations=[reserve("k", None)]), NOON)
    assert holder(store, "k") is None
    store.append(Save(records(two, 1), reservations=[reserve("k", two)]), NOON)
    assert holder(store, "k") == two


def test_its_owner_may_reserve_a_key_again(store: Store) -> None:
    owner = uuid4()
    for version in (1, 2):
        store.append(Save(records(owner, version), reservations=[reserve("k", owner)]), NOON)

    assert holder(store, "k") == owner


def test_a_key_can_change_hands_within_one_save(store: Store) -> None:
    one, two = uuid4(), uuid4()
    store.append(Save(records(one, 1), reservations=[reserve("k", one)]), NOON)
    store.append(Save(records(two, 1), reservations=[reserve("k", None), reserve("k", two)]), NOON)

    assert holder(store, "k") == two


def test_a_save_that_gives_one_key_to_two_owners_is_stale(store: Store) -> None:
    one, two = uuid4(), uuid4()

    with pytest.raises(StaleSave):
        store.append(Save(records(one, 1), reservations=[reserve("k", one), reserve("k", two)]), NOON)
    assert store.head() == 0


def test_the_same_key_of_another_customer_is_another_key(store: Store) -> None:
    one, two = uuid4(), uuid4()
    store.append(Save(records(one, 1), reservations=[reserve("k", one), reserve("k", two, customer="zebra")]), NOON)

    assert holder(store, "k", "zebra") == two
    assert list(store.reservations()) == [reserve("k", one), reserve("k", two, customer="zebra")]


def test_releasing_what_nobody_holds_is_no_error(store: Store) -> None:
    store.append(Save(records(uuid4(), 1), reservations=[reserve("k", None)]), NOON)

    assert holder(store, "k") is None


# ── rebuilding and snapshots ─────────────────────────────────────────────────────────────────────────────────


def test_inline_tables_are_replaced_by_what_was_rebuilt(store: Store) -> None:
    one, two = uuid4(), uuid4()
    kept = charge_row(one, status="active")
    new = [*records(one, 1), *records(two, 1)]
    gone = [charge_row(two)]
    store.append(Save(new, charge_index=gone, reservations=[reserve("old", two)]), NOON)

    store.replace_inline([kept, charge_row(two, status="final", due=None, ordinal=9)], [reserve("new", one)])

    assert list(store.charge_index()) == [
        kept._replace(ordinal=1),
        charge_row(two, status="final", due=None, ordinal=9),
    ]
    assert list(store.reservations()) == [reserve("new", one)]


def test_the_newest_snapshot_of_a_stream_is_kept(store: Store) -> None:
    stream, other = uuid4(), uuid4()
    older, newer = (SnapshotRow(stream, version, "pool.v1", b"{\x00}") for version in (250, 500))
    store.save_snapshot(newer)
    store.save_snapshot(older)
    store.save_snapshot(SnapshotRow(other, 1, "pool.v1", b"{}"))

    assert store.load_snapshot(stream) == newer
    assert store.load_snapshot(uuid4()) is None
    assert {row.stream for row in store.snapshots()} == {stream, other}


def test_a_snapshot_of_the_same_version_replaces_a_bad_one(store: Store) -> None:
    stream = uuid4()
    store.save_snapshot(SnapshotRow(stream, 250, "pool.v1", b"bad"))
    store.save_snapshot(SnapshotRow(stream, 250, "pool.v1", b"good"))

    found = store.load_snapshot(stream)

    assert found is not None
    assert found.data == b"good"


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_probe_is_called_before_every_call(store: Store) -> None:
    calls: list[str] = []
    store.probe = calls.append
    stream = uuid4()
    store.append(Save(records(stream, 1)), NOON)
    store.read_stream(stream)
    store.read_streams([stream])
    store.read_log(0, 1)
    store.receipt("default", "acme", uuid4())

    assert calls == [
        "store.append",
        "store.append.committed",
        "store.read_stream",
        "store.read_streams",
        "store.read_log",
        "store.receipt",
    ]


def test_what_the_probe_raises_before_an_append_leaves_nothing_behind(store: Store) -> None:
    def fail(call: str) -> None:
        raise OSError(call)

    store.probe = fail
    with pytest.raises(OSError, match=r"store\.append"):
        store.append(Save(records(uuid4(), 1)), NOON)
    store.probe = None

    assert store.head() == 0


def test_a_store_may_be_closed_twice(store: Store) -> None:
    store.close()
    store.close()
