"""The command line as a stranger meets it: what it answers, what it refuses, and how it ends."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
from rich.console import Console

from aggregates.values import errors
from aggregates.values.errors import LedgerError
from aggregates.values.period import timestamp
from ledger.cli import exits, main, parse, render, session
from ledger.cli.render import Column, Shown

ROOT = Path(__file__).parents[2]


class Ended(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)["error"]


Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in an empty folder; a failure of an `ok` one shows what it said."""
    monkeypatch.chdir(tmp_path)
    for name in ("LEDGER_URL", "LEDGER_NAMESPACE", "LEDGER_ACTOR"):
        monkeypatch.delenv(name, raising=False)

    def one(*arguments: str, code: int = 0) -> Ended:
        capsys.readouterr()
        code_of = main.run(arguments)
        said = capsys.readouterr()
        ended = Ended(code_of, said.out, said.err)
        assert ended.code == code, ended
        return ended

    return one


@pytest.fixture
def acme(run: Run) -> Run:
    """A ledger with the customer acme, the feature tokens, and 100.00 USD of credit from 1 January 2026 on."""
    january = ("--now", "2026-01-01")
    run("init", *january)
    run("customer", "create", "acme", *january)
    run("meter", "define", "tokens", *january)
    run("feature", "define", "tokens", "--meter", "tokens", *january)
    run("credit", "grant", "acme", "100", *january)
    return run


def all_commands() -> Iterator[tuple[str, Any]]:
    def below(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "commands"):
            for part, child in command.commands.items():
                yield from below(child, f"{name} {part}".strip())
        else:
            yield name, command

    return below(typer.main.get_command(main.build()), "")


COMMANDS = dict(all_commands())
WRITING = [name for name, command in COMMANDS.items() if any(p.name == "command_id" for p in command.params)]

# ── every command ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_what_each_option_means(name: str) -> None:
    command = COMMANDS[name]

    assert (command.help or "").strip()
    for parameter in command.params:
        assert parameter.help, f"ledger {name}: {parameter.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json_and_names_its_database(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}

    assert {"--json", "--db"} <= options


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    words = [(ROOT / path).read_text(encoding="utf-8") for path in ("README.md", "ledger/README.md")]

    assert re.search(rf"\bledger {name}\b", "\n".join(words)), f"no README shows `ledger {name}`"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_can_be_asked_for(name: str, run: Run) -> None:
    assert "Usage: ledger" in run(*name.split(), "--help").out


@pytest.mark.parametrize("name", WRITING)
def test_every_command_that_writes_can_be_tried_and_repeated(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}

    assert {"--dry-run", "--command-id", "--actor"} <= options


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"init", "demo"}))
def test_without_a_ledger_every_command_says_how_to_make_one_and_leaves_nothing(
    name: str, run: Run, tmp_path: Path
) -> None:
    required = [p for p in COMMANDS[name].params if p.required]
    line = [*name.split(), "--json"]
    for parameter in required:
        value = "1" if parameter.name == "precision" else "x"
        line += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    if name == "history":
        line += ["--customer", "acme"]

    ended = run(*line, code=4)

    assert ended.error["code"] == "ledger_not_found"
    assert "ledger init" in ended.error["next_step"]
    assert list(tmp_path.iterdir()) == []


# ── how it ends ──────────────────────────────────────────────────────────────────────────────────────────────


def every_error() -> list[type[LedgerError]]:
    found, waiting = [], [LedgerError]
    while waiting:
        error = waiting.pop()
        found.append(error)
        waiting += error.__subclasses__()
    return [error for error in found if error.__module__ == errors.__name__]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.__name__)
def test_every_error_leaves_with_the_exit_code_of_its_family(error: type[LedgerError]) -> None:
    way = exits.way_of(error)

    assert way.exit_code == error.exit_code
    assert way.next_step


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.HistoryBroken("stream a", 1, 2), 1),
        (errors.ValidationFailed(), 2),
        (errors.UnsupportedOperation("extend", "deleted", "c"), 3),
        (errors.CustomerNotFound("acme"), 4),
        (errors.ConflictingRetry("k"), 5),
        (errors.ConcurrentChange(), 6),
        (errors.Unavailable("the database", "it is down"), 7),
    ],
)
def test_one_exit_code_per_family(error: LedgerError, code: int, acme: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Shown:
        raise error

    monkeypatch.setattr(session, "_carry_out", fails)

    assert str(error) in acme("customer", "list", code=code).err or not str(error)
    assert acme("customer", "list", "--json", code=code).error["code"] == error.code


def test_ctrl_c_ends_without_a_word(acme: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Shown:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "_carry_out", interrupted)

    assert acme("customer", "list", code=130) == Ended(130, "", "")


@pytest.mark.parametrize("line", [("settings",), ("charge", "create", "--help")])
def test_a_reader_that_goes_away_is_no_error(line: tuple[str, ...], acme: Run, tmp_path: Path) -> None:
    acme("settings")
    command = [sys.executable, "-m", "ledger.cli.main", *line]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path, check=False, env=_env())
    finally:
        os.close(writer)

    assert (ended.returncode, ended.stderr) == (exits.READER_WENT_AWAY, b"")


def test_a_command_line_that_cannot_be_read_points_to_its_help(run: Run) -> None:
    assert "`ledger customer show --help`" in run("customer", "show", code=2).err
    assert run("customer", "show", "--json", code=2).error["code"] == "usage"
    assert "--nonsense" in run("verify", "--nonsense", code=2).err


def test_everything_wrong_with_a_command_is_told_at_once(acme: Run) -> None:
    line = ("customer", "create", "birch", "--zone", "Mars/Phobos", "--collection-interval", "two days")

    told = acme(*line, code=2).err
    findings = acme(*line, "--json", code=2).error["findings"]

    assert "collection_interval" in told
    assert "Mars/Phobos" in told
    assert {f["path"]: f["code"] for f in findings} == {
        "zone": "unknown_zone",
        "collection_interval": "invalid_duration",
    }


def test_an_empty_answer_is_not_given_for_somebody_unknown(acme: Run) -> None:
    for command in (("balance",), ("entries",), ("runs",), ("charge", "list"), ("credit", "list"), ("advance",)):
        assert acme(*command, "nobody", "--json", code=4).error["code"] == "customer_not_found"


def test_a_trial_of_making_a_ledger_makes_none(run: Run, tmp_path: Path) -> None:
    run("init", "--dry-run", code=4)

    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_namespace_is_an_error_and_stays_unknown(acme: Run) -> None:
    for _ in range(2):
        assert acme("settings", "--namespace", "defualt", "--json", code=4).error["code"] == "ledger_not_found"


def test_the_version_can_be_asked_for(run: Run) -> None:
    assert run("--version").out.startswith("ledger 0.")


def test_an_unknown_kind_of_database_is_refused(run: Run) -> None:
    assert run("init", "--db", "mongodb://here", "--json", code=2).error["findings"][0]["code"] == "store_url"


def test_a_file_that_is_no_ledger_is_refused_and_left_alone(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "letter.db"
    file.write_text("Dear Sirs, this is not a database." * 100)
    before = file.read_bytes()

    ended = run("customer", "list", "--db", "letter.db", code=2)

    assert "Traceback" not in ended.err
    assert file.read_bytes() == before


# ── a bill from nothing ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_from_nothing_to_a_bill_and_its_audit(kind: str, run: Run, request: pytest.FixtureRequest) -> None:
    """3 units at 1 USD known at the end of January, 8 when collection is over: 3.00, then 8.00 (lifecycles §7.1)."""
    place = ("--db", request.getfixturevalue(f"{kind}_url"))

    def at(now: str, *arguments: str) -> Any:
        return run(*arguments, *place, "--now", now, "--json").data

    at("2026-01-01", "init")
    at("2026-01-01", "customer", "create", "acme", "--collection-interval", "P2D")
    at("2026-01-01", "meter", "define", "tokens")
    at("2026-01-01", "feature", "define", "tokens", "--meter", "tokens")
    at("2026-01-01", "credit", "grant", "acme", "5", "--name", "Prepaid")
    period = ("--from", "2026-01-01", "--to", "2026-02-01")
    charge = at("2026-01-01", "charge", "create", "acme", "--feature", "tokens", *period, "--unit", "1")
    at("2026-01-15", "usage", "record", "acme", "tokens", "3", "--time", "2026-01-15T12:00Z", "--id", "a")
    provisional = at("2026-02-01T12:00Z", "advance", "acme")
    at("2026-02-02", "usage", "record", "acme", "tokens", "5", "--time", "2026-01-31T23:00Z", "--id", "b")
    at("2026-02-03T00:01Z", "worker", "run-once")

    assert charge["status"] == "active"
    assert [moved["status"] for moved in provisional["moved"]] == ["active.realization.waiting_for_collection"]
    assert at("2026-02-04", "charge", "show", charge["id"])["status"] == "final"
    known_then = at("2026-02-04", "balance", "acme", "--as-of", "2026-02-01", "--recorded-as-of", "2026-02-01T13:00Z")
    assert known_then["settled"] == "2.00"
    assert at("2026-02-04", "balance", "acme")["settled"] == "-3.00"
    (run_,) = at("2026-02-04", "runs", "acme")
    assert run_["metered_quantity"] == "8"
    assert at("2026-02-04", "verify")["sound"] is True
    assert all(view["comparison"]["differing"] == 0 for view in at("2026-02-04", "rebuild"))
    sentences = [line["sentence"] for line in at("2026-02-04", "history", "--charge", charge["id"])]
    assert sentences[-1] == "Charge became final"


def test_a_charge_is_patched_and_deleted(acme: Run) -> None:
    at = ("--now", "2026-01-02", "--json")
    period = ("--from", "2026-01-01", "--to", "2026-02-01")
    charge = acme("charge", "create", "acme", "--feature", "tokens", *period, "--unit", "1", *at).data["id"]

    def patched(patch: str, *arguments: str) -> Any:
        return acme("charge", patch, charge, *arguments, *at).data["intent"]

    assert patched("extend", "--to", "2026-02-15")["base"]["periods"]["service_period"]["to"] == "2026-02-15T00:00:00Z"
    assert patched("shrink", "--to", "2026-02-10")["base"]["periods"]["service_period"]["to"] == "2026-02-10T00:00:00Z"
    override = patched("override", "--package", "2:10", "--minimum", "5", "--percent-off", "10")["override"]
    assert override["price"]["quantity_per_package"] == "10"
    assert override["price"]["minimum_amount"] == "5"
    assert override["discounts"]["percentage"]["percentage"] == "10"
    assert patched("clear-override")["override"] is None
    stale = acme("charge", "shrink", charge, "--to", "2026-02-05", "--intent-version", "1", *at, code=5).error
    assert stale["code"] == "stale_patch"
    patched("delete")
    assert acme("charge", "show", charge, "--json").data["status"] == "deleted"
    assert acme("charge", "show", charge).out.count(charge) == 1


def test_credit_is_sold_paid_for_and_taken_back(acme: Run) -> None:
    """100 at 0.5 cost 50.00; nothing of it is used, so all of it is taken back."""
    at = ("--now", "2026-01-02", "--json")
    sold = acme("credit", "sell", "acme", "100", "--cost-basis", "0.5", *at).data
    assert sold["status"] == "active.payment.pending"

    acme("credit", "payment", sold["id"], "authorized", *at)
    paid = acme("credit", "payment", sold["id"], "paid", *at).data
    assert paid["payment"]["fiat_amount"] == "50.00"
    assert acme("balance", "acme", *at).data["settled"] == "200.00"

    acme("credit", "void", sold["id"], *at)
    assert acme("balance", "acme", *at).data["settled"] == "100.00"


def test_what_is_defined_can_be_shown_and_profiles_changed(acme: Run) -> None:
    acme("currency", "define", "CREDITS", "--precision", "3")
    acme("customer", "profile", "acme", "--zone", "Europe/Berlin")

    assert acme("meter", "show", "tokens", "--json").data["aggregation"] == "sum"
    assert acme("feature", "show", "tokens", "--json").data["key"] == "tokens"
    assert acme("currency", "show", "CREDITS", "--json").data["precision"] == 3
    assert acme("customer", "show", "acme", "--json").data["profile"]["zone"] == "Europe/Berlin"
    assert "Europe/Berlin" in acme("customer", "list").out
    acme("init", "--policies", "reference", "--zone", "Asia/Tokyo")
    settings = acme("settings", "--json").data
    assert (settings["policies"]["usage_credit_cut"], settings["profile"]["zone"]) == ("period_end", "Asia/Tokyo")


def test_a_run_is_shown_in_full_and_entries_come_in_pages(acme: Run) -> None:
    """10 tokens at 0.25 are 2.50."""
    period = ("--from", "2026-01-01", "--to", "2026-02-01")
    acme("charge", "create", "acme", "--feature", "tokens", *period, "--unit", "0.25", "--now", "2026-01-01")
    acme("usage", "record", "acme", "tokens", "10", "--time", "2026-01-03", "--now", "2026-01-03")
    acme("advance", "acme", "--now", "2026-02-04")

    (listed,) = acme("runs", "acme", "--json").data
    shown = acme("run", listed["run"]).out
    assert "2.50" in shown
    assert "0.25" in shown
    assert len(acme("history", "--run", listed["run"], "--json").data) >= 3
    whole = acme("entries", "acme", "--json").data["items"]
    first = acme("entries", "acme", "--limit", "2", "--json").data
    second = acme("entries", "acme", "--limit", "2", "--after", first["next"], "--json").data
    assert [*first["items"], *second["items"]] == whole[:4]
    fbo = acme("entries", "acme", "--account", "customer_fbo", "--json").data["items"]
    assert [entry["amount"] for entry in fbo] == ["-2.50", "100.00"]


def test_views_are_rebuilt_rolled_back_and_tables_repaired(acme: Run) -> None:
    acme("customer", "list")
    acme("rebuild", "customers")

    acme("projections", "rollback", "customers")

    assert {view["behind"] for view in acme("projections", "status", "--json").data if view["view"] == "customers"} == {
        0
    }
    assert acme("repair", "--json").data["charges"] == 1
    seal = acme("verify", "--json").data["seal"]
    acme("verify", "--chains-only", "--seal", f"{seal['position']}:{seal['digest']}")
    assert acme("verify", "--seal", f"{seal['position']}:{'0' * 64}", "--json", code=1).data["findings"]


def test_amounts_are_text_in_json_and_stand_to_the_right_for_people(acme: Run) -> None:
    acme("credit", "grant", "acme", "5.5", "--name", "Small", "--now", "2026-01-01")

    listed = acme("credit", "list", "acme", "--json").data
    (large, small) = (line for line in acme("credit", "list", "acme").out.splitlines() if " USD" in line)

    assert [grant["intent"]["base"]["credit_amount"] for grant in listed] == ["100.00", "5.50"]
    assert large.index("100.00 USD") + len("100.00") == small.index("5.50 USD") + len("5.50")


def test_a_dry_run_tells_the_events_and_writes_none(acme: Run, tmp_path: Path) -> None:
    line = ("credit", "grant", "acme", "7", "--dry-run")

    told = acme(*line, "--json").data

    assert told["dry_run"] is True
    assert "credit_pool.credit_granted.v1" in [event["event"] for event in told["events"]]
    assert "nothing was written" in acme(*line).out
    assert len(acme("credit", "list", "acme", "--json").data) == 1


def test_a_command_sent_again_is_answered_as_before(acme: Run) -> None:
    line = ("credit", "grant", "acme", "7", "--command-id", "top-up 1", "--json", "--now", "2026-01-02")

    first, again = acme(*line).data, acme(*line).data

    assert first["id"] == again["id"]
    assert acme("credit", "grant", "acme", "8", "--command-id", "top-up 1", "--json", code=5).error["code"] == (
        "conflicting_retry"
    )


def test_every_event_says_who_did_it(acme: Run, tmp_path: Path) -> None:
    acme("customer", "create", "birch", "--actor", "anna")
    acme("export", "all.jsonl")

    events = [json.loads(line)["event"] for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert {event["actor"] for event in events if event.get("customer") == "birch"} == {"anna"}
    assert {event["actor"] for event in events if event.get("customer") == "acme"} == {"cli"}


def test_an_export_that_cannot_be_written_is_refused(acme: Run) -> None:
    assert "cannot be written" in acme("export", "no/such/folder/all.jsonl", code=2).err


def test_a_namespace_is_a_ledger_of_its_own(acme: Run) -> None:
    acme("customer", "show", "acme", "--namespace", "other", code=4)


def test_the_environment_names_database_and_namespace(acme: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_URL", "elsewhere.db")
    acme("customer", "list", code=4)

    monkeypatch.setenv("LEDGER_URL", "ledger.db")
    assert [c["customer"] for c in acme("customer", "list", "--json").data] == ["acme"]


def test_a_changed_byte_is_named_by_verify(acme: Run, tmp_path: Path) -> None:
    assert acme("verify", "--json").data["sound"] is True

    with closing(sqlite3.connect(tmp_path / "ledger.db")) as database, database:
        # Whoever has the file can take the guard away.
        database.execute("DROP TRIGGER ledger_events_no_update")
        database.execute(
            "UPDATE ledger_events SET state = CAST(replace(CAST(state AS TEXT), '100.00', '900.00') AS BLOB)"
            " WHERE topic = 'credit_pool.credit_granted.v1'"
        )

    told = acme("verify", code=1).out
    findings = acme("verify", "--json", code=1).data["findings"]
    assert "not sound" in told
    assert "bytes" in {finding["check"] for finding in findings}
    assert findings[0]["place"] in told


# ── usage files ──────────────────────────────────────────────────────────────────────────────────────────────


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


# ── what is typed ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("option", "value", "price"),
    [
        ("--unit", "0.000003", {"type": "unit", "amount": "0.000003"}),
        ("--package", "1.00:1000", {"type": "package", "amount": "1.00", "quantity_per_package": "1000"}),
        ("--dynamic", "1.2", {"type": "dynamic", "multiplier": "1.2"}),
        (
            "--graduated",
            "1000000:0.000015, :0.00001",
            {
                "type": "tiered",
                "mode": "graduated",
                "tiers": [{"unit_price": "0.000015", "up_to_amount": "1000000"}, {"unit_price": "0.00001"}],
            },
        ),
        ("--volume", ":1", {"type": "tiered", "mode": "volume", "tiers": [{"unit_price": "1"}]}),
        ("--price", '{"type": "unit", "amount": "2"}', {"type": "unit", "amount": "2"}),
    ],
)
def test_a_price_can_be_written_in_short(option: str, value: str, price: object) -> None:
    assert parse.price({option: value, "--other": None}, minimum=None, maximum=None) == price


@pytest.mark.parametrize(
    "line",
    [
        (),
        ("--unit", "1", "--dynamic", "2"),
        ("--graduated", "1000000"),
        ("--package", "1.00"),
        ("--price", "{"),
        ("--price", "[1]"),
        ("--price", '{"type": "unit", "amount": NaN}'),
    ],
)
def test_a_price_that_cannot_be_read_is_refused(line: tuple[str, ...], acme: Run) -> None:
    period = ("--feature", "tokens", "--from", "2026-01-01", "--to", "2026-02-01")

    ended = acme("charge", "create", "acme", *period, *line, "--json", code=2)

    assert ended.error["code"] == "usage"


def test_a_number_of_a_json_price_stays_exact(acme: Run) -> None:
    period = ("--feature", "tokens", "--from", "2026-01-01", "--to", "2026-02-01", "--now", "2026-01-01")

    made = acme("charge", "create", "acme", *period, "--price", '{"type": "unit", "amount": 0.1}', "--json").data

    assert made["intent"]["base"]["price"]["amount"] == "0.1"


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("books.db", "sqlite:///books.db"),
        ("my books?.db", "sqlite:///my%20books%3F.db"),
        ("sqlite:///books.db", "sqlite:///books.db"),
        ("postgresql://localhost/books", "postgresql://localhost/books"),
        ("memory:", "memory:"),
    ],
)
def test_a_database_is_a_url_or_the_path_of_a_file(typed: str, url: str) -> None:
    assert parse.database(typed) == url


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pipe_gets_plain_lines_that_are_neither_cut_nor_padded(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 500

    render.tell(render.table(("name", Column("amount", right=True)), [(long, "1.00"), ("y", "-20.00")], empty=""))

    lines = capsys.readouterr().out.splitlines()
    assert any(long in line for line in lines)
    assert not any(line != line.rstrip() or "\x1b" in line for line in lines)


def test_a_narrow_window_gets_one_row_below_the_other_and_no_id_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    identity = "01a1f8a1-aa4d-7000-a5f8-25d538fa4a79"
    table = render.table(("run", Column("amount", right=True)), [(identity, "1.00"), (identity, "-2.00")], empty="")

    Console(width=43, file=sys.stdout).print(table)
    narrow = capsys.readouterr().out
    Console(width=80, file=sys.stdout).print(table)
    wide = capsys.readouterr().out

    assert [line.split() for line in narrow.splitlines() if line.strip()] == [
        ["run", identity],
        ["amount", "1.00"],
        ["run", identity],
        ["amount", "-2.00"],
    ]
    assert [line.split() for line in wide.splitlines()][-1] == [identity, "-2.00"]


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01"),
        ("2026-01-01T06:00:00+02:00", "2026-01-01T04:00Z"),
        ("2026-01-01T06:00:01Z", "2026-01-01T06:00:01Z"),
        ("2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.000001Z"),
    ],
)
def test_times_in_tables_are_as_short_as_they_can_be(
    moment: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    render.tell(render.table(("at",), [(timestamp(moment),)], empty=""))

    assert capsys.readouterr().out.splitlines()[-1] == shown


def test_nothing_is_a_dash_and_an_empty_table_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    render.tell(render.facts("It", {"gone": None}), render.table(("a",), [], empty="Nothing here."))

    assert capsys.readouterr().out.splitlines() == ["It", "gone  –", "Nothing here."]


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
