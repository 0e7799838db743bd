"""Usage from the command line: files and single events."""

import json
from pathlib import Path

from tests.support.commandline import Run


def test_a_csv_is_imported_once_however_often_it_is_sent(acme: Run, tmp_path: Path) -> None:
    (tmp_path / "usage.csv").write_text("when,used\n2026-01-05T10:00:00Z,1000\n2026-01-06T10:00:00Z,250\n")
    line = ("usage", "import", "usage.csv", "--customer", "acme", "--time-column", "when", "--meter", "tokens=used")

    first, again = acme(*line, "--json").data, acme(*line, "--json").data

    assert (first["ingest"]["stored"], again["ingest"]["stored"], again["ingest"]["duplicates"]) == (2, 0, 2)
    window = ("--from", "2026-01-01", "--to", "2026-02-01")
    assert acme("usage", "quantity", "acme", "tokens", *window, "--json").data["quantity"] == "1250"


def test_a_file_of_events_is_imported_as_it_is_and_conflicts_are_listed(acme: Run, tmp_path: Path) -> None:
    event = {"time": "2026-01-05T10:00:00Z", "customer": "acme", "id": "e1", "meter": "tokens", "value": "3"}
    (tmp_path / "a.jsonl").write_text(json.dumps(event) + "\n")
    (tmp_path / "b.jsonl").write_text(json.dumps(event | {"value": "4"}) + "\n")

    acme("usage", "import", "a.jsonl")
    ended = acme("usage", "import", "b.jsonl")

    assert "ledger usage conflicts" in ended.out
    (conflict,) = acme("usage", "conflicts", "--json").data
    assert conflict["event"]["value"] == "4"


def test_usage_can_be_tried_without_storing_any(acme: Run, tmp_path: Path) -> None:
    (tmp_path / "usage.csv").write_text("time,used\n2026-01-05T10:00:00Z,1\n")
    window = ("--from", "2026-01-01", "--to", "2026-02-01")

    tried = acme("usage", "import", "usage.csv", "--customer", "acme", "--meter", "tokens=used", "--dry-run", "--json")
    acme("usage", "record", "acme", "tokens", "3", "--time", "2026-01-05", "--dry-run")
    acme("usage", "record", "acme", "tokens", "3.5", "--time", "2026-01-05", "--dry-run", code=2)

    assert (tried.data["answer"]["events"], tried.data["answer"]["ingest"]["stored"]) == (1, 0)
    assert acme("usage", "quantity", "acme", "tokens", *window, "--json").data["quantity"] == "0"


def test_everything_wrong_with_an_event_is_told_in_sentences(acme: Run) -> None:
    findings = acme("usage", "record", "nobody", "nothing", "3", "--json", code=2).error["findings"]

    assert [f["message"] for f in findings] == ["no meter 'nothing'", "no customer 'nobody'"]


def test_a_file_with_bad_rows_is_refused_whole_by_line(acme: Run, tmp_path: Path) -> None:
    (tmp_path / "usage.csv").write_text("time,used\n2026-01-05T10:00:00Z,1\nyesterday,2\n2026-01-06T10:00:00Z,many\n")
    line = ("usage", "import", "usage.csv", "--customer", "acme", "--meter", "tokens=used")

    findings = acme(*line, "--json", code=2).error["findings"]

    assert len(findings) == 2
    window = ("--from", "2026-01-01", "--to", "2026-02-01")
    assert acme("usage", "quantity", "acme", "tokens", *window, "--json").data["quantity"] == "0"
