"""Importing usage from files: everything that is wrong is told at once, by line, before anything is written."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aggregates.catalogue import Aggregation, Meter
from aggregates.values.errors import ValidationFailed
from ledger.metering.importer import (
    EVENTS_MAPPING,
    LISTED,
    ImportReport,
    UsageFile,
    UsageMapping,
    csv_file,
    import_usage,
    jsonl_file,
    read_time,
)
from ledger.metering.memory import MemoryUsageStore
from ledger.metering.store import ChunkedStore, Window
from ledger.metering.usage import UsageEvent
from tests.unit.ledger.metering.usages import january, meter

METERS = {
    "input": meter(key="input"),
    "output": Meter(id=meter().id, key="output", aggregation=Aggregation.SUM, decimals=2),
    "requests": meter(Aggregation.COUNT, key="requests"),
    "users": meter(Aggregation.UNIQUE_COUNT, key="users", property="user"),
}
TRACE = UsageMapping(
    time="TIMESTAMP", customer="acme", meters={"input": "ContextTokens", "output": "GeneratedTokens"}, assume_utc=True
)
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROWS = (
    "2025-01-16 18:17:03.9799609,4808,10\n"
    "2025-01-16 18:17:04.0319600,3180,8\n"
    "2025-01-16 18:17:04.0319600,3180,8\n"
    "2025-02-16 18:17:04.0781490,110,27\n"
)
Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file, text as it stands."""
    numbers = iter(range(100))

    def written(content: str | bytes) -> Path:
        path = tmp_path / f"usage{next(numbers)}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


def load(path: Path, mapping: UsageMapping = TRACE, usage: ChunkedStore | None = None, **options: Any) -> ImportReport:
    return import_usage(usage or MemoryUsageStore(), "test", csv_file(path, mapping, METERS.get, **options))


def refused(path: Path, mapping: UsageMapping = TRACE, *, jsonl: bool = False, **options: Any) -> list[tuple[str, str]]:
    """Where and why a file is refused; nothing of it was stored."""
    usage = MemoryUsageStore()
    file = (jsonl_file if jsonl else csv_file)(path, mapping, METERS.get, **options)
    with pytest.raises(ValidationFailed) as error:
        import_usage(usage, "test", file)
    assert usage.quantity(january(of=METERS["input"])).position == 0
    return [(finding.path, finding.code) for finding in error.value.findings]


def stored(usage: ChunkedStore, key: str = "input", customer: str = "acme") -> list[UsageEvent]:
    window = Window(customer=customer, meter=key)
    return [each.event for each in usage.events("test", window, limit=10_000)]


def altered(**fields: Any) -> UsageMapping:
    """The mapping of the trace with other fields."""
    import msgspec

    return msgspec.structs.replace(TRACE, **fields)


# ── what a file becomes ──────────────────────────────────────────────────────────────────────────────────────


def test_a_row_becomes_an_event_of_each_meter_with_the_digits_its_time_can_keep(
    usage: ChunkedStore, write: Write
) -> None:
    report = load(write(HEADER + ROWS), usage=usage)

    assert (report.rows, report.events, report.ingest.stored) == (4, 8, 8)
    first = stored(usage)[0]
    assert (first.time.isoformat(), str(first.value)) == ("2025-01-16T18:17:03.979960+00:00", "4808")
    assert usage.quantity(january(of=METERS["input"])).quantity == 4808 + 3180 + 3180
    assert usage.quantity(january(of=METERS["output"])).quantity == 10 + 8 + 8


def test_importing_again_stores_nothing_again(usage: ChunkedStore, write: Write) -> None:
    path = write(HEADER + ROWS)
    load(path, usage=usage)

    again = load(path, usage=usage)

    assert (again.ingest.stored, again.ingest.duplicates, again.ingest.conflicts) == (0, 8, 0)


def test_equal_rows_are_separate_usage_and_ids_do_not_depend_on_where_a_row_stands(
    usage: ChunkedStore, write: Write
) -> None:
    rows = ROWS.splitlines(keepends=True)
    load(write(HEADER + ROWS), usage=usage)

    backwards = load(write(HEADER + "".join(reversed(rows))), usage=usage)
    in_windows_form = load(
        write(
            "\ufeff" + (HEADER + "".join(f'"{r.strip()}"\n'.replace(",", '","') for r in rows)).replace("\n", "\r\n")
        ),
        usage=usage,
    )

    assert backwards.ingest.stored == in_windows_form.ingest.stored == 0
    assert len(stored(usage)) == 4


def test_ids_depend_neither_on_the_time_range_nor_on_the_other_meters_nor_on_how_the_file_was_cut(
    usage: ChunkedStore, write: Write
) -> None:
    rows = ROWS.splitlines(keepends=True)
    path = write(HEADER + ROWS)
    february = datetime(2025, 2, 1, tzinfo=UTC)
    assert load(path, altered(to=february), usage=usage).ingest.stored == 6
    assert load(path, altered(from_=february, meters={"output": "GeneratedTokens"}), usage=usage).ingest.stored == 1
    assert load(write(HEADER + "".join(rows[:3])), usage=usage).ingest.stored == 0
    assert load(write(HEADER + rows[3]), usage=usage).ingest.stored == 1

    assert load(path, usage=usage).ingest.stored == 0
    assert len(stored(usage)) == len(stored(usage, "output")) == 4


def test_another_source_or_customer_is_other_usage(usage: ChunkedStore, write: Write) -> None:
    path = write(HEADER + ROWS)
    load(path, usage=usage)

    assert load(path, altered(source="second machine"), usage=usage).ingest.stored == 8
    assert load(path, altered(customer="emca"), usage=usage).ingest.stored == 8


def test_customers_ids_and_properties_may_be_columns_and_meters_may_count(usage: ChunkedStore, write: Write) -> None:
    mapping = UsageMapping(
        time="when",
        customer_column="who",
        id_column="id",
        meters={"requests": None, "users": None},
        properties={"user": "login"},
    )
    path = write(
        "id,when,who,login\n"
        "r1,2025-01-02T03:04:05+01:00,acme,ann\n"
        "r2,2025-01-02T03:04:06Z,acme,bob\n"
        "r3,2025-01-02,emca,\n".replace("2025-01-02,emca,\n", "2025-01-02T00:00Z,emca,eve\n")
    )

    report = load(path, mapping, usage=usage)

    assert report.ingest.stored == 6
    assert [event.id for event in stored(usage, "requests")] == ["r1:requests", "r2:requests"]
    assert stored(usage, "users", "emca")[0].properties == {"user": "eve"}
    assert usage.quantity(january(of=METERS["users"])).quantity == 2


def test_long_files_name_the_meter_in_the_row(usage: ChunkedStore, write: Write) -> None:
    path = write(
        "id;customer;meter;time;value\n"
        "1;acme;input;2025-01-02T00:00:00Z;5\n"
        "2;acme;output;2025-01-02T00:00:00Z;0.25\n"
        "3;acme;requests;2025-01-02T00:00:00Z;\n"
    )

    assert load(path, EVENTS_MAPPING, usage=usage, delimiter=";").ingest.stored == 3
    assert [event.id for event in stored(usage, "output")] == ["2"]


def test_jsonl_keeps_every_digit_that_is_written(usage: ChunkedStore, write: Write) -> None:
    common = '"customer": "acme", "time": "2025-01-02T00:00:00Z"'
    path = write(
        f'{{"id": "1", "meter": "input", {common}, "value": 0.100000000000000001}}\n'
        "\n"
        f'{{"id": 2, "meter": "input", {common}, "value": "123456789012345678901234"}}\r\n'
        f'{{"id": "3", "meter": "users", {common}, "properties": {{"user": "ann"}}}}'
    )

    report = import_usage(usage, "test", jsonl_file(path, EVENTS_MAPPING, METERS.get))

    assert report.ingest.stored == 3
    assert [str(event.value) for event in stored(usage)] == ["0.100000000000000001", "123456789012345678901234"]
    assert stored(usage, "users")[0].properties == {"user": "ann"}


def test_jsonl_without_ids_gets_them_like_a_csv(usage: ChunkedStore, write: Write) -> None:
    mapping = UsageMapping(customer="acme", meters={"input": "tokens"})
    line = '{"time": "2025-01-02T00:00:00Z", "tokens": 3}\n'
    path = write(line * 2)

    for expected in (2, 0):
        assert import_usage(usage, "test", jsonl_file(path, mapping, METERS.get)).ingest.stored == expected
    assert usage.quantity(january(of=METERS["input"])).quantity == 6


def test_a_file_may_hold_no_usage(write: Write) -> None:
    assert load(write(HEADER)) == load(write(HEADER + "\n\n"))
    assert load(write(HEADER)).rows == 0
    assert import_usage(MemoryUsageStore(), "test", jsonl_file(write(""), EVENTS_MAPPING, METERS.get)).rows == 0


def test_progress_is_told_after_every_chunk_and_ends_with_all(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.metering.importer.CHUNK", 4)
    told: list[tuple[int, int]] = []
    file = csv_file(write(HEADER + ROWS * 2), TRACE, METERS.get)

    import_usage(MemoryUsageStore(), "test", file, progress=lambda done, total: told.append((done, total)))

    assert told == [(2, 8), (4, 8), (6, 8), (8, 8), (8, 8)]


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────


def test_all_findings_of_a_file_are_told_at_once_by_line(write: Write) -> None:
    path = write(
        HEADER + "2025-01-16 18:17:03,1,2\n"
        "yesterday,1,2\n"
        "2025-01-16 18:17:03,x,0.125\n"
        "2025-01-16 18:17:03,1\n"
        "2025-01-16 18:17:03,1,2,3\n"
        ",,\n"
        "2025-01-16 18:17:03,1e3,\n"
        "2025-01-16 18:17:03,1000000000000000000000000,2\n"
        '2025-01-16 18:17:03,"1\n",2\n'
        '2025-01-16 18:17:03,"1"x,2\n'
    )

    assert refused(path) == [
        ("line 3", "bad_time"),
        ("line 4", "bad_number"),
        ("line 4", "too_many_decimals"),
        ("line 5", "missing_column"),
        ("line 6", "extra_column"),
        ("line 7", "missing_time"),
        ("line 8", "bad_number"),
        ("line 8", "missing_value"),
        ("line 9", "bad_number"),
        ("line 12", "malformed_row"),
    ]


@pytest.mark.parametrize(
    ("content", "findings"),
    [
        (b"", [("", "empty_file")]),
        (b"\n\n", [("", "empty_file")]),
        (ROWS.encode(), [("line 1", "no_such_column")] * 3),
        (b"TIMESTAMP,ContextTokens\n", [("line 1", "no_such_column")]),
        (b"TIMESTAMP,ContextTokens,GeneratedTokens,TIMESTAMP\n", [("line 1", "duplicate_column")]),
        (b'"TIMESTAMP,ContextTokens,GeneratedTokens\n', [("line 1", "malformed_row")]),
        ((HEADER + ROWS).encode("utf-16"), [("line 1", "wrong_encoding")]),
        (HEADER.encode() + b"2025-01-16 18:17:03,1\xff,2\n", [("line 2", "wrong_encoding")]),
        (HEADER.encode() + b"2025-01-16 18:17:03,1\x00,2\n", [("line 2", "nul_character")]),
        (HEADER.encode() + b'2025-01-16 18:17:03,"1,2\n2025-01-16 18:17:03,1,2\n', [("line 2", "malformed_row")]),
        (HEADER.encode() + b"x" * (1 << 20), [("line 2", "line_too_long")]),
    ],
)
def test_a_file_that_is_no_csv_of_the_kind_is_refused(
    write: Write, content: bytes, findings: list[tuple[str, str]]
) -> None:
    assert refused(write(content)) == findings


def test_only_the_first_hundred_findings_are_listed_and_all_are_counted(write: Write) -> None:
    with pytest.raises(ValidationFailed) as error:
        load(write(HEADER + "yesterday,1,2\n" * 1250))

    assert len(error.value.findings) == LISTED + 1
    assert error.value.findings[-1].message == "and 1,150 more findings"


def test_times_without_a_zone_are_refused_unless_they_may_be_read_as_utc(write: Write) -> None:
    path = write(HEADER + "2025-01-16 18:17:03,1,2\n2025-01-16T18:17:03+02:00,1,2\n2025-01-16,1,2\n")

    assert refused(path, altered(assume_utc=False)) == [("line 2", "no_time_zone"), ("line 4", "no_time_zone")]
    assert load(path).rows == 3


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2025-01-16T18:17:03.9799609Z", "2025-01-16T18:17:03.979960+00:00"),
        ("2025-01-16T18:17:03+02:00", "2025-01-16T16:17:03+00:00"),
        ("2016-12-31 23:59:60", "2016-12-31T23:59:59+00:00"),
        ("2016-12-31T18:59:60-05:00", "2016-12-31T23:59:59+00:00"),
        ("2025-01-16", "2025-01-16T00:00:00+00:00"),
    ],
)
def test_times_that_can_be_read(given: str, read: str) -> None:
    assert read_time(given, assume_utc=True).isoformat() == read


@pytest.mark.parametrize(
    "given", ["1712041231530", "1712041234", "20250116T181703", "16.01.2025 18:17", "2025-13-01", "now"]
)
def test_what_only_looks_like_a_time_is_refused(given: str) -> None:
    with pytest.raises(ValueError):
        read_time(given, assume_utc=True)


def test_a_time_before_the_first_one_is_refused(write: Write) -> None:
    assert refused(write(HEADER + "0001-01-01T00:00:00+05:00,1,2\n")) == [("line 2", "bad_time")]


def test_customers_and_meters_must_exist(write: Write) -> None:
    long = write(
        "id,customer,meter,time,value\n1,nobody,input,2025-01-02T00:00:00Z,1\n2,acme,typo,2025-01-02T00:00:00Z,1\n"
    )
    known: dict[str, Any] = {"customers": lambda key: key == "acme"}

    assert refused(long, EVENTS_MAPPING, **known) == [("line 2", "customer_not_found"), ("line 3", "meter_not_found")]
    assert refused(write(HEADER + ROWS), altered(customer="nobody", meters={"typo": "x", "input": None}), **known) == [
        ("customer", "customer_not_found"),
        ("meters.typo", "meter_not_found"),
        ("meters.input", "missing_value"),
    ]


def test_rows_outside_the_time_range_are_not_judged(write: Write) -> None:
    path = write(HEADER + ROWS + "2024-12-31 00:00:00,x,y\n")

    report = load(path, altered(from_=datetime(2025, 1, 1, tzinfo=UTC), to=datetime(2025, 2, 1, tzinfo=UTC)))

    assert (report.rows, report.events) == (5, 6)


def test_every_line_of_jsonl_is_an_object_of_texts_and_numbers(write: Write) -> None:
    whole = '{"id": "1", "customer": "acme", "meter": "input", "time": "2025-01-02T00:00:00Z", "value": %s}\n'
    path = write(
        "[]\n{\n" + whole % "{}" + whole % "true" + whole % "null" + whole % '1, "properties": {"a": 1}' + '{"id": 1}'
    )

    assert refused(path, EVENTS_MAPPING, jsonl=True) == [
        ("line 1", "malformed_row"),
        ("line 2", "malformed_row"),
        ("line 3", "malformed_row"),
        ("line 4", "bad_number"),
        ("line 5", "missing_value"),
        ("line 6", "bad_properties"),
        ("line 7", "missing_time"),
        ("line 7", "missing_customer"),
        ("line 7", "missing_meter"),
    ]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"customer": None}, "customer"),
        ({"customer": ""}, "customer"),
        ({"customer_column": "who"}, "customer"),
        ({"meters": {}}, "meters"),
        ({"meter_column": "meter"}, "meters"),
        ({"value_column": "value"}, "value_column"),
        ({"from_": datetime(2025, 2, 1, tzinfo=UTC), "to": datetime(2025, 1, 1, tzinfo=UTC)}, "to"),
    ],
)
def test_a_mapping_that_contradicts_itself_is_refused(write: Write, fields: dict[str, Any], path: str) -> None:
    assert [where for where, _ in refused_mapping(altered(**fields))] == [path]


def refused_mapping(mapping: UsageMapping) -> list[tuple[str, str]]:
    with pytest.raises(ValidationFailed) as error:
        csv_file("unread", mapping, METERS.get)
    return [(finding.path, finding.code) for finding in error.value.findings]


def test_a_file_that_cannot_be_read_twice_or_at_all_is_refused(tmp_path: Path) -> None:
    assert [code for _, code in refused(tmp_path / "none.csv")] == ["unreadable_file"]
    assert [code for _, code in refused(tmp_path)] == ["unreadable_file"]
    assert [code for _, code in refused(Path(os.devnull))] == ["not_a_file"]


# ── a file that changes ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "change",
    [lambda text: text.replace("8\n", "9\n"), lambda text: text + ROWS, lambda text: text[:-1], lambda text: HEADER],
)
def test_a_file_that_changes_between_the_readings_is_not_stored(write: Write, change: Callable[[str], str]) -> None:
    path = write(HEADER + ROWS)
    file = csv_file(path, TRACE, METERS.get)
    survey = file.survey()
    path.write_text(change(HEADER + ROWS))

    with pytest.raises(ValidationFailed) as error:
        list(file.blocks(survey))
    assert error.value.codes == ("file_changed",)


def test_what_was_stored_before_a_file_changed_is_not_stored_again(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.metering.importer.CHUNK", 200)
    path = write(HEADER + ROWS * 300)  # more than is read ahead
    usage = MemoryUsageStore()
    file = csv_file(path, TRACE, METERS.get)

    def meddle(done: int, _total: int) -> None:
        if done == 100:
            path.write_text(HEADER + ROWS * 299 + ROWS.replace("27", "28"))

    with pytest.raises(ValidationFailed, match="import it again"):
        import_usage(usage, "test", file, progress=meddle)
    before = len(stored(usage))
    assert 100 <= before < 1200

    assert load(path, usage=usage).ingest.duplicates == 2 * before
    assert len(stored(usage)) == 1200
    assert sum(event.value or 0 for event in stored(usage, "output")) == 300 * (10 + 8 + 8 + 27) + 1


def test_the_second_reading_makes_the_events_the_first_one_counted(write: Write) -> None:
    file: UsageFile = csv_file(write(HEADER + ROWS), TRACE, METERS.get)
    survey = file.survey()

    blocks = list(file.blocks(survey))

    assert sum(rows for rows, _ in blocks) == survey.rows == 4
    assert sum(len(events) for _, events in blocks) == survey.events == 8
