"""The demo is a promise: its figures are worked out by hand here, from prices, credit and usage alone."""

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger.cli import main

Figures = dict[str, Any]


def play(capsys: pytest.CaptureFixture[str], *arguments: str) -> Figures:
    capsys.readouterr()
    assert main.run(["demo", "--json", *arguments]) == 0
    told: Figures = json.loads(capsys.readouterr().out)
    return told


@pytest.fixture
def figures(capsys: pytest.CaptureFixture[str]) -> Figures:
    return play(capsys)


def by_customer(rows: list[Figures], *fields: str) -> dict[str, tuple[Any, ...]]:
    return {row["customer"]: tuple(row[field] for field in fields) for row in rows}


def test_the_first_figures_are_what_is_known_on_the_first_of_february(figures: Figures) -> None:
    # acme  9 000 000 × 0.000003 = 27.00
    # birch 1 000 000 × 0.000015 + 2 000 000 × 0.000012 + 1 000 000 × 0.00001 = 15.00 + 24.00 + 10.00 = 49.00
    # cedar 5 500 / 1 000 = 5.5, started packages: 6 × 1.00 = 6.00
    first = figures["first_figures"]

    assert first["at"] == "2026-02-01T06:00:00Z"
    assert first["events"] == 600 + 400 + 300
    assert by_customer(first["figures"], "quantity", "total") == {
        "acme": ("9000000", "27.00"),
        "birch": ("4000000", "49.00"),
        "cedar": ("5500", "6.00"),
    }
    assert {figure["status"] for figure in first["figures"]} == {"active.realization.waiting_for_collection"}


def test_late_usage_inside_the_collection_period_is_in_the_final_figure(figures: Figures) -> None:
    # acme (9 000 000 + 1 000 000) × 0.000003 = 30.00; the others as before
    final = figures["final_figures"]

    assert figures["late_usage"]["quantity"] == "1000000"
    assert by_customer(final["figures"], "quantity", "total", "status") == {
        "acme": ("10000000", "30.00", "final"),
        "birch": ("4000000", "49.00", "final"),
        "cedar": ("5500", "6.00", "final"),
    }


def test_credit_is_used_by_priority_and_what_it_lacks_is_an_advance(figures: Figures) -> None:
    # acme  welcome 20 first, then 7 of the prepaid 100; 3 more when the late usage is known
    # birch 25 of 49; the other 24 are an advance
    # cedar the 5 for requests alone, then 1 of the trial 10, both before the prepaid 50
    bills = {bill["customer"]: bill for bill in figures["bills"]["bills"]}
    paid = {name: [(part["amount"], part["source"]) for part in bill["paid"]] for name, bill in bills.items()}

    assert paid == {
        "acme": [("20.00", "real_credit"), ("7.00", "real_credit"), ("3.00", "real_credit")],
        "birch": [("25.00", "real_credit"), ("24.00", "advance")],
        "cedar": [("5.00", "real_credit"), ("1.00", "real_credit")],
    }
    assert [line["amount"] for line in bills["birch"]["lines"]] == ["15.00", "24.00", "10.00"]
    for bill in bills.values():
        assert sum(Decimal(part["amount"]) for part in bill["paid"]) == Decimal(bill["total"])
        assert sum(Decimal(line["amount"]) for line in bill["lines"]) == Decimal(bill["total"])


def test_new_credit_covers_the_advance_first(figures: Figures) -> None:
    # 25 − 49 = −24; −24 + 40 = 16
    top_up = figures["top_up"]

    assert (top_up["before"], top_up["amount"], top_up["after"]) == ("-24.00", "40.00", "16.00")


def test_balances_tell_what_was_known_then_and_what_is_known_now(figures: Figures) -> None:
    # acme  20 + 100 − 27 = 93 as known on 2 February; 120 − 30 = 90 since the late usage
    # birch 25 − 49 = −24 on 1 February whenever asked, since its 40 came on the 5th; 16 today
    # cedar 65 − 6 = 59; the 10 − 1 = 9 of the trial credit lapse on 10 February: 50
    assert by_customer(figures["balances"]["balances"], "as_known_then", "as_known_now", "today") == {
        "acme": ("93.00", "90.00", "90.00"),
        "birch": ("-24.00", "-24.00", "16.00"),
        "cedar": ("59.00", "59.00", "50.00"),
    }


def test_the_history_is_told_in_words_from_creation_to_the_end(figures: Figures) -> None:
    sentences = [sentence for _, sentence in figures["told"]["lines"]]

    assert "Tokens in January" in sentences[0]
    assert any("27.00" in sentence for sentence in sentences)
    assert any("30.00" in sentence for sentence in sentences)
    assert "Charge became final" in sentences


def test_rebuilt_views_are_equal_and_the_history_is_sound(figures: Figures) -> None:
    proof = figures["proof"]

    assert proof["sound"] is True
    assert proof["findings"] == []
    assert len(proof["views"]) >= 6
    assert all(view["equal"] for view in proof["views"])
    assert sum(view["rows"] for view in proof["views"]) > 0


def test_it_is_the_same_story_every_time(figures: Figures, capsys: pytest.CaptureFixture[str]) -> None:
    again = play(capsys)

    for chapter in set(figures) - {"told"}:  # the history names ids, and those are new each time
        assert again[chapter] == figures[chapter]


def test_it_is_told_in_plain_text_within_ten_seconds_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()

    assert main.run(["demo"]) == 0

    assert time.monotonic() - began < 10
    told = capsys.readouterr()
    assert "\x1b" not in told.out
    assert told.err == ""
    assert "The whole history was verified: it is sound." in told.out
    assert list(tmp_path.iterdir()) == []


def test_kept_it_can_be_looked_around_in_and_played_again_beside_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert play(capsys, "--keep")["namespace"] == "demo"
    assert play(capsys, "--keep")["namespace"] == "demo-2"

    for namespace in ("demo", "demo-2"):
        line = ["balance", "birch", "--db", "ledger-demo.db", "--namespace", namespace, "--json"]
        assert main.run(line) == 0
        assert json.loads(capsys.readouterr().out)["settled"] == "16.00"


def test_it_plays_on_postgresql_too(capsys: pytest.CaptureFixture[str], postgres_url: str, figures: Figures) -> None:
    there = play(capsys, "--db", postgres_url)

    assert there["balances"] == figures["balances"]
    assert there["proof"]["sound"] is True
