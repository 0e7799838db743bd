"""What people type, and what they get to see."""

import sys

import pytest
from rich.console import Console

from aggregates.values.period import timestamp
from ledger.cli import parse, render
from ledger.cli.render import Column
from tests.support.commandline import Run

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
