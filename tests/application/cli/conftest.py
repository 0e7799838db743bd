"""The command line in an empty folder, and with a small ledger in it."""

from pathlib import Path

import pytest

from ledger.cli import main
from tests.support.commandline import Ended, Run


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
