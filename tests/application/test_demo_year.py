"""The year of one customer: its invoices, credit notes and credit are worked out by hand here."""

import json
import time
from decimal import Decimal
from typing import Any

import pytest

from ledger.cli import main

Figures = dict[str, Any]


@pytest.fixture(scope="module")
def figures() -> Figures:
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main.run(["demo", "--year", "--json"]) == 0
    told: Figures = json.loads(out.getvalue())
    return told


def invoices(figures: Figures, month: str) -> list[tuple[Any, ...]]:
    """What was issued in a month: what for, amount, paid with credit, to pay, credited."""
    (found,) = [each for each in figures["months"]["months"] if each["month"] == month]
    return [
        (each["why"], each["amount"], each["credit"], each["total"], each["credited"]) for each in found["invoices"]
    ]


def credit_left(figures: Figures) -> dict[str, str]:
    return {each["month"]: each["credit"] for each in figures["months"]["months"]}


def test_a_month_is_a_fee_in_advance_and_the_usage_of_the_month_before(figures: Figures) -> None:
    # calls 10 000 × 0.002 + 9 500 × 0.001 = 29.50; storage 120 × 0.10 = 12.00; tokens 5 × 1.00 = 5.00
    # credit pays the 46.50 of usage; the fee is 100.00
    assert invoices(figures, "2026-01") == [("Team plan", "100.00", "0", "100.00", "0")]
    assert invoices(figures, "2026-02")[0] == (
        "Calls, Storage, Tokens, Team plan",
        "146.50",
        "46.50",
        "100.00",
        "0",
    )


def test_late_usage_of_every_month_is_billed_as_an_adjustment(figures: Figures) -> None:
    # 500 calls beyond the first 10 000: 0.50
    for number in range(2, 13):
        late = invoices(figures, f"2026-{number:02}")
        assert ("Calls", "0.50") in [each[:2] for each in late], number


def test_march_is_billed_in_two_parts_that_come_to_the_whole(figures: Figures) -> None:
    # by 16 March, 06:00: calls 16 × 629 = 10 064: 20.00 + 0.06; storage 100 × 0.10; tokens 232 256: 3.00
    # the rest: 29.50 - 20.06 + 12.00 - 10.00 + 5.00 - 3.00 = 13.44
    assert invoices(figures, "2026-03")[-1] == ("Calls, Storage, Tokens", "33.06", "33.06", "0.00", "0")
    assert invoices(figures, "2026-04")[0][1] == "113.44"


def test_the_old_plan_is_credited_by_half_and_the_new_one_begins_with_half(figures: Figures) -> None:
    # 100.00 × 15 of 30 days come back; 200.00 × 15 of 30 days are billed, half of it paid by what came back
    june = invoices(figures, "2026-06")

    assert (june[0][3], june[0][4]) == ("100.00", "50.00")
    assert june[-1] == ("Scale plan", "100.00", "0", "100.00", "0")
    changed = figures["changed"]["invoice"]
    assert [note["number"]["text"] for note in changed["credit_notes"]] == ["CN-000001"]
    assert (changed["paid"], changed["credited"], changed["open"], changed["unapplied"]) == (
        "50.00",
        "50.00",
        "0.00",
        "0.00",
    )


def test_goodwill_is_a_credit_note_and_a_void_is_billed_again(figures: Figures) -> None:
    assert invoices(figures, "2026-09")[0][4] == "20.00"
    first, again = invoices(figures, "2026-10")[:2]
    assert first[:4] == again[:4]
    assert (first[4], again[4]) == ("200.00", "0")


def test_credit_is_used_by_priority_and_what_nobody_used_lapses(figures: Figures) -> None:
    # 25 + 20 + 100 + 200 = 345; January 46.50 + 0.50; 25 - 12 = 13 for storage lapse on 1 February: 285
    # February 47.00, and March up to the 16th 33.06: 204.94; the rest of March 13.44 + 0.50: 191.00
    # 47.00 a month; 150 more in July; 12.00 are left for November, whose usage is 46.50
    left = credit_left(figures)

    assert [left[f"2026-{month}"] for month in ("01", "02", "03", "04")] == ["345.00", "285.00", "204.94", "191.00"]
    assert [left[f"2026-{month}"] for month in ("07", "11", "12")] == ["200.00", "12.00", "0.00"]
    assert invoices(figures, "2026-12")[0] == ("Calls, Storage, Tokens, Scale plan", "246.50", "12.00", "234.50", "0")


def test_the_year_adds_up(figures: Figures) -> None:
    # fees 6 × 100 + 100 + 6 × 200, October's once more: 2 100; credit by invoice 135.00
    # usage beyond credit: November 34.50 + 0.50, December 46.50 + 0.50: 2 317.00 invoiced
    # credited 50 + 20 + 200; all the rest was received; credit paid for 345 + 150 - 13 of usage
    assert figures["sums"] == {
        "invoiced": "2317.00",
        "credited": "270.00",
        "by_credit": "482.00",
        "received": "2047.00",
        "left": "0.00",
    }


def test_the_statement_goes_by_the_month_that_usage_belongs_to(figures: Figures) -> None:
    statement = figures["credit_statement"]["statement"]

    assert (statement["opening"], statement["closing"]) == ("298.00", "238.00")
    assert statement["totals"] == {"expired": "-13.00", "consumed": "-47.00"}


def test_revenue_is_that_of_the_year_and_december_is_still_owed(figures: Figures) -> None:
    # of credit 482.00, at what it cost 200 + 135; fees 500 + 50 + 100 + 1 200 - 20; usage beyond credit 35.00 + 47.00
    # received 2 047.00 less December's 47.00, and 200 for the prepaid credit; promotional 145.00 at face value
    rows = {row["account"]: row for row in figures["books"]["balance"]["rows"]}

    assert (rows["earnings"]["face"], rows["earnings"]["consideration"]) == ("2394.00", "2247.00")
    assert rows["customer_receivable"]["face"] == "-47.00"
    assert (rows["wash"]["face"], rows["wash"]["consideration"]) == ("-2345.00", "-2200.00")
    assert (rows["breakage"]["face"], rows["breakage"]["consideration"]) == ("13.00", "0.00")
    assert "customer_accrued" not in rows


def test_the_books_balance_and_the_history_is_sound(figures: Figures) -> None:
    rows = figures["books"]["balance"]["rows"]

    assert sum(Decimal(row["face"]) for row in rows) == 0
    assert sum(Decimal(row["consideration"]) for row in rows) == 0
    assert figures["proof"]["sound"] is True
    assert all(view["equal"] for view in figures["proof"]["views"])


def test_it_is_told_in_plain_text_within_half_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()

    assert main.run(["demo", "--year"]) == 0

    assert time.monotonic() - began < 30
    told = capsys.readouterr().out
    assert "Credit note CN-000001" in told
    assert "none was calculated" in told
    assert "The whole history was verified: it is sound." in told
