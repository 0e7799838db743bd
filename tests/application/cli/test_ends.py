"""How a command line ends when it is not carried out: every error, its exit code, and what it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aggregates.values import errors
from aggregates.values.errors import LedgerError
from ledger.cli import exits, session
from ledger.cli.render import Shown
from tests.support.commandline import Ended, Run

ROOT = Path(__file__).parents[3]


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


@pytest.mark.parametrize("line", [("settings", "show"), ("charge", "create", "--help")])
def test_a_reader_that_goes_away_is_no_error(line: tuple[str, ...], acme: Run, tmp_path: Path) -> None:
    acme("settings", "show")
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
        assert acme("settings", "show", "--namespace", "defualt", "--json", code=4).error["code"] == "ledger_not_found"


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


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
