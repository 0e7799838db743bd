"""What can be looked at from the command line besides documents and balances: figures, JSON, and what is not there."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.support.commandline import Run

JANUARY = ("--from", "2026-01-01", "--to", "2026-02-01")
NEW_YEAR, WITHIN, OVER = ("--now", "2026-01-01"), ("--now", "2026-01-20"), ("--now", "2026-02-20")


def cells(out: str, first: str) -> list[str]:
    """The row of a table that begins so, cell by cell."""
    return next(line for line in out.splitlines() if line.split()[:1] == [first]).split()


@pytest.fixture
def used(acme: Run) -> Run:
    """100.00 of credit; tokens of January at 1 USD each, 30 of them used on the 10th, settled from credit."""
    acme("charge", "create", "acme", "--feature", "tokens", *JANUARY, "--unit", "1", *NEW_YEAR)
    acme("usage", "record", "acme", "tokens", "30", "--time", "2026-01-10", "--id", "a", "--now", "2026-01-11")
    return acme


@pytest.fixture
def booked(used: Run) -> Run:
    """The same, booked."""
    used("worker", "run", "--once-idle", *OVER)
    return used


# ── credit ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_live_balance_counts_what_is_used_and_not_booked(used: Run) -> None:
    """100.00 settled, 30 used: 70.00 live; 5.00 more are granted for February."""
    used("credit", "grant", "acme", "5", "--effective-at", "2026-02-01", *WITHIN)

    found = used("live-balance", "acme", "--json", *WITHIN).data
    shown = used("live-balance", "acme", *WITHIN).out

    assert [found["settled"], found["live"], found["pending"]] == ["100.00", "70.00", "5.00"]
    assert found["impacts"][0]["amount"] == "30.00"
    assert "with what is not booked yet   70.00" in shown
    assert shown.splitlines()[-1].split()[-2:] == ["credit_only", "30.00"]
    assert used("live-balance", "acme", "--unrestricted", "--feature", "tokens", "--json", code=2).error["findings"]
    assert used("live-balance", "nobody", "--json", code=4).error["code"] == "customer_not_found"


def test_a_balance_is_shown_address_by_address(booked: Run) -> None:
    """70.00 are left of the grant, at no cost basis and no. 100; the 30.00 that were used are earned."""
    found = booked("addresses", "acme", "--json", *OVER).data
    january = booked("addresses", "acme", "--as-of", "2026-01-05", "--json", *OVER).data
    shown = booked("addresses", "acme", *OVER).out

    assert {(row["account"], row["amount"]) for row in found if row["account"] != "wash"} >= {("customer_fbo", "70.00")}
    assert {(row["account"], row["amount"]) for row in january} >= {("customer_fbo", "100.00")}
    assert cells(shown, "customer_fbo")[1:4] == ["70.00", "0", "100"]
    assert booked("addresses", "acme", "XTS9", "--json", code=4).error["code"] == "currency_not_found"


def test_the_lots_of_a_customer_and_what_is_owed_beyond_them(booked: Run) -> None:
    """70.00 of 100.00 can be spent now, 5.00 from March on."""
    booked("credit", "grant", "acme", "5", "--effective-at", "2026-03-01", "--priority", "7", *OVER)

    found = booked("credit", "pool", "acme", "--json", *OVER).data
    shown = booked("credit", "pool", "acme", *OVER).out

    assert [(lot["balance"], lot["spendable"], lot["priority"]) for lot in found["lots"]] == [
        ("70.00", "70.00", 100),
        ("5.00", "0", 7),
    ]
    assert found["advance"] == "0"
    assert cells(shown, "2")[2:5] == ["5.00", "0.00", "7"]
    assert "Usage beyond credit: 0.00 USD." in shown
    assert booked("credit", "pool", "acme", "EUR", *OVER).out.startswith("acme has no credit left.")
    assert booked("credit", "pool", "nobody", "--json", code=4).error["code"] == "customer_not_found"


def test_a_purchase_says_what_was_granted_and_paid(acme: Run) -> None:
    """100 at 0.5, of which 20.00 came."""
    sale = acme("credit", "sell", "acme", "100", "--cost-basis", "0.5", "--json", *NEW_YEAR).data["id"]
    acme("credit", "receive", sale, "20", *NEW_YEAR)

    totals = acme("credit", "show", sale, "--json").data["totals"]
    shown = acme("credit", "show", sale).out

    assert (totals["granted"], totals["fiat_settled"]) == ("100.00", "20.00")
    assert cells(shown, "received") == ["received", "20.00", "USD"]
    assert acme("credit", "show", "nothing", "--json", code=4).error["code"] == "charge_not_found"


def test_the_rates_of_a_currency_are_listed_by_the_time_from_which_they_hold(acme: Run) -> None:
    acme("currency", "define", "TOK", "--precision", "0", *NEW_YEAR)
    assert acme("currency", "rates", "TOK").out == "TOK has no rates.\n"
    later = acme("currency", "rate", "TOK", "0.20", "--from", "2026-03-01", "--json", *NEW_YEAR).data
    acme("currency", "rate", "TOK", "0.10", "--from", "2026-01-01", *NEW_YEAR)
    acme("currency", "rate", "TOK", "0.09", "--fiat-currency", "EUR", "--from", "2026-01-01", *NEW_YEAR)

    found = acme("currency", "rates", "TOK", "--json").data

    assert [(each["fiat_currency"]["code"], each["rate"]) for each in found] == [
        ("EUR", "0.09"),
        ("USD", "0.10"),
        ("USD", "0.20"),
    ]
    assert found[-1]["id"] == later["id"]
    assert cells(acme("currency", "rates", "TOK").out, "EUR") == ["EUR", "0.09", "2026-01-01", found[0]["id"]]
    assert acme("currency", "rates", "USD", "--json").data == []
    assert acme("currency", "rates", "GEMS", "--json", code=4).error["code"] == "currency_not_found"


def test_entries_can_begin_at_a_time(booked: Run) -> None:
    found = booked("entries", "acme", "--booked-from", "2026-01-02", "--json", *OVER).data["items"]
    every = booked("entries", "acme", "--json", *OVER).data["items"]

    assert {row["booked_at"] for row in every} - {row["booked_at"] for row in found} == {"2026-01-01T00:00:00Z"}
    assert booked("entries", "acme", "--booked-from", "soon", "--json", code=2).error["code"] == "usage"


# ── charges and runs ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_waits_of_a_charge_is_shown_as_its_line_would_be(acme: Run) -> None:
    """30 tokens so far at 1 USD each."""
    charge = ("charge", "create", "acme", "--feature", "tokens", *JANUARY, "--unit", "1", "--settlement", "invoice")
    made = acme(*charge, "--json", *NEW_YEAR).data["id"]
    acme("usage", "record", "acme", "tokens", "30", "--time", "2026-01-10", "--id", "a", "--now", "2026-01-11")

    found = acme("charge", "preview", made, "--json", *WITHIN).data
    shown = acme("charge", "preview", made, *WITHIN).out

    assert (found["quantity"], found["totals"]["total"]) == ("30", "30.00")
    assert cells(shown, "total") == ["total", "30.00", "USD"]
    assert shown.splitlines()[-1].split()[-3:] == ["30", "1", "30.00"]
    grant = acme("credit", "list", "acme", "--json").data[0]["id"]
    assert acme("charge", "preview", grant, "--json", code=2).error["code"] == "no_lines"


def test_charges_are_listed_by_what_they_are(used: Run) -> None:
    fee = ("charge", "create-fee", "acme", "5", *JANUARY, "--settlement", "invoice", "--json")
    used(*fee, *NEW_YEAR)

    def names(*options: str) -> list[str]:
        return [each["name"] for each in used("charge", "list", *options, "--json", *NEW_YEAR).data]

    assert names() == ["tokens", "Fee"]
    assert names("--newest-first") == ["Fee", "tokens"]
    assert names("--type", "usage_based") == names("--feature", "tokens") == ["tokens"]
    assert names("--type", "credit_purchase") == ["Credit"]
    assert names("--settlement", "invoice") == ["Fee"]
    assert names("--currency", "EUR") == names("--subscription", "none") == []
    assert used("charge", "list", "--type", "fee", "--json", code=2).error["code"] == "usage"


def test_a_stuck_charge_is_listed_with_what_would_free_it(acme: Run) -> None:
    made = ("charge", "create", "acme", "--feature", "tokens", *JANUARY, "--unit", "1", "--json", "--now", "2025-12-01")
    charge = acme(*made).data["id"]
    assert acme("charge", "stuck", "acme").out == "No charge is stuck.\n"
    acme("feature", "define", "tokens", *NEW_YEAR)
    acme("worker", "run-once", *NEW_YEAR)

    (found,) = acme("charge", "stuck", "--json").data

    assert (found["charge"], found["code"], found["attempts"]) == (charge, "meter_not_found", 1)
    assert "define the feature with a meter" in acme("charge", "stuck", "acme").out
    assert acme("charge", "stuck", "nobody", "--json", code=4).error["code"] == "customer_not_found"


def test_time_that_was_billed_twice_is_listed(acme: Run) -> None:
    """31 tokens of January on an issued invoice that cannot be credited; the first ten days, with 10, again."""
    acme("settings", "policy", "shrink_over_issued=replace", "credit_notes=off", *NEW_YEAR)
    charge = ("charge", "create", "acme", "--feature", "tokens", *JANUARY, "--unit", "1", "--settlement", "invoice")
    made = acme(*charge, "--json", *NEW_YEAR).data["id"]
    for day, quantity in (("05", "10"), ("20", "21")):
        event = ("usage", "record", "acme", "tokens", quantity, "--time", f"2026-01-{day}", "--id", day)
        acme(*event, "--now", f"2026-01-{day}T01:00Z")
    assert acme("charge", "overlaps").out == "Nothing was billed twice.\n"
    acme("worker", "run-once", "--now", "2026-02-01")
    acme("worker", "run-once", "--now", "2026-02-03T00:01Z")
    acme("charge", "shrink", made, "--to", "2026-01-11", "--now", "2026-02-03T00:01Z")
    for moment in ("2026-02-03T00:01Z", "2026-02-06T00:01Z"):
        acme("worker", "run-once", "--now", moment)

    (found,) = acme("charge", "overlaps", "acme", "--json").data

    assert (found["charge"], found["amount"], found["amount_again"]) == (made, "31.00", "10.00")
    assert "31.00 USD" in acme("charge", "overlaps").out
    assert acme("charge", "overlaps", "nobody", "--json", code=4).error["code"] == "customer_not_found"


def test_runs_are_listed_of_all_customers_and_by_whether_they_were_voided(booked: Run) -> None:
    charge = booked("charge", "list", "--json", *OVER).data[0]["charge"]
    assert [run["voided"] for run in booked("runs", "--json", *OVER).data] == [False]
    booked("charge", "delete", charge, *OVER)

    assert len(booked("runs", "--voided", "--charge", charge, "--json", *OVER).data) == 1
    assert booked("runs", "acme", "--not-voided", "--json", *OVER).data == []
    assert booked("runs", "--charge", "none", "--json", code=4).error["code"] == "charge_not_found"


def test_the_customers_are_listed_of_whom_something_is_due(used: Run) -> None:
    assert used("worker", "due", "--json", *OVER).data == ["acme"]
    assert "acme" in used("worker", "due", *OVER).out
    used("worker", "run", "--once-idle", *OVER)

    assert used("worker", "due", *OVER).out == "Nothing is due.\n"
    assert used("worker", "due", "--now", "soon", "--json", code=2).error["code"] == "usage"


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_quantity_is_that_of_usage_stored_before_a_time(used: Run) -> None:
    """30 stored on the 11th, 5 more on the 15th."""
    event = ("usage", "record", "acme", "tokens", "5", "--time", "2026-01-10", "--id", "b")
    used(*event, "--property", "region=eu", "--now", "2026-01-15")
    asked = ("usage", "quantity", "acme", "tokens", *JANUARY, "--json", *WITHIN)

    assert used(*asked).data["quantity"] == "35"
    assert used(*asked, "--stored-before", "2026-01-12").data["quantity"] == "30"
    assert used(*asked, "--by", "region", "--stored-before", "2026-01-12").data == [{"value": None, "quantity": "30"}]
    assert used(*asked, "--stored-before", "soon", code=2).error["code"] == "usage"


def test_a_file_may_have_other_delimiters_properties_and_meters_that_count_rows(acme: Run, tmp_path: Path) -> None:
    acme("meter", "define", "calls", "--aggregation", "count")
    rows = "time;where;used\n2026-01-05T10:00:00Z;eu;10\n2026-01-06T10:00:00Z;us;2\n"
    (tmp_path / "usage.csv").write_text(rows)
    line = ("usage", "import", "usage.csv", "--customer", "acme", "--meter", "tokens=used", "--meter", "calls")

    stored = acme(*line, "--delimiter", ";", "--property", "region=where", "--json").data["ingest"]["stored"]

    assert stored == 4
    asked = ("usage", "quantity", "acme", "tokens", *JANUARY, "--by", "region", "--json")
    assert acme(*asked).data == [{"value": "eu", "quantity": "10"}, {"value": "us", "quantity": "2"}]
    assert acme("usage", "quantity", "acme", "calls", *JANUARY, "--json").data["quantity"] == "2"
    assert acme(*line, "--delimiter", ";;", "--json", code=2).error["code"] == "usage"


def test_all_usage_that_was_set_aside_is_listed_however_much_it_is(acme: Run, tmp_path: Path) -> None:
    """1005 events again with another value: more than a page of them."""

    def events(value: str) -> str:
        event = (
            '{{"time": "2026-01-05T10:00:00Z", "customer": "acme", "id": "e{}", "meter": "tokens", "value": "{}"}}\n'
        )
        return "".join(event.format(number, value) for number in range(1005))

    for name, value in (("a", "3"), ("b", "4")):
        (tmp_path / f"{name}.jsonl").write_text(events(value))
        acme("usage", "import", f"{name}.jsonl")

    assert len({each["event"]["id"] for each in acme("usage", "conflicts", "--json").data}) == 1005


# ── views ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_views_are_brought_to_the_head_and_compared_with_their_events(booked: Run, tmp_path: Path) -> None:
    position = booked("projections", "catch-up", "--json", *OVER).data["position"]
    status: list[Any] = booked("projections", "status", "--json").data
    assert {each["behind"] for each in status} == {0}
    assert all(each["version"] == each["expected_version"] for each in status)
    assert booked("projections", "catch-up").out == f"Every view is at position {position}.\n"

    sound = booked("projections", "verify", "charges", "--json").data
    assert (sound["position"], sound["rows"], sound["differing"]) == (position, 2, 0)
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        (table,) = database.execute(
            "SELECT name FROM sqlite_master WHERE name LIKE 'charges\\_\\_v%' ESCAPE '\\'"
        ).fetchone()
        database.execute(f"UPDATE {table} SET name = 'Other' WHERE name = 'tokens'")
    database.close()

    assert booked("projections", "verify", "charges", "--json", code=1).data["differing"] == 1
    assert "Other" in booked("projections", "verify", "charges", code=1).out
    assert booked("projections", "verify", "nothing", "--json", code=4).error["code"] == "projection_not_found"


# ── the catalogue ────────────────────────────────────────────────────────────────────────────────────────────


def test_meters_and_features_are_listed_and_those_that_were_replaced_when_asked(acme: Run) -> None:
    acme("meter", "define", "people", "--aggregation", "unique_count", "--property", "who", *WITHIN)
    acme("feature", "define", "tokens", "--meter", "people", *WITHIN)

    meters = acme("meter", "list", "--json").data
    features = acme("feature", "list", "--json").data
    ever = acme("feature", "list", "--replaced", "--json").data

    assert [(each["key"], each["aggregation"], each["property"]) for each in meters] == [
        ("people", "unique_count", "who"),
        ("tokens", "sum", None),
    ]
    assert [(each["key"], each["meter"]) for each in features] == [("tokens", "people")]
    assert [(each["meter"], each["replaced_at"]) for each in ever] == [
        ("tokens", "2026-01-20T00:00:00Z"),
        ("people", None),
    ]
    assert cells(acme("meter", "list").out, "people")[1:5] == ["unique_count", "0", "who", "2026-01-20"]
    assert cells(acme("feature", "list").out, "tokens")[1:4] == ["tokens", "people", "2026-01-20"]
    assert cells(acme("feature", "list", "--replaced").out, "tokens")[2:5] == ["tokens", "2026-01-01", "2026-01-20"]


def test_currencies_are_listed_with_the_rates_of_today(acme: Run) -> None:
    """Of two rates in USD the one that began last holds; in EUR none has begun by 20 January."""
    acme("currency", "define", "TOK", "--precision", "0", *NEW_YEAR)
    for rate, code, begins in (
        ("0.10", "USD", "2026-01-01"),
        ("0.20", "USD", "2026-01-15"),
        ("0.09", "EUR", "2027-01-01"),
    ):
        acme("currency", "rate", "TOK", rate, "--fiat-currency", code, "--from", begins, *NEW_YEAR)

    (found,) = acme("currency", "list", "--json", *WITHIN).data

    assert (found["code"], [each["rate"] for each in found["rates"]]) == ("TOK", ["0.09", "0.10", "0.20"])
    assert cells(acme("currency", "list", *WITHIN).out, "TOK")[1:4] == ["0", "USD=0.20", "2026-01-01"]
    assert cells(acme("currency", "list", "--now", "2026-01-02").out, "TOK")[2] == "USD=0.10"


def test_an_empty_catalogue_says_how_to_fill_it(run: Run) -> None:
    run("init")

    for what in ("meter", "feature", "currency"):
        assert f"`ledger {what} define` makes one." in run(what, "list").out
        assert run(what, "list", "--json").data == []
