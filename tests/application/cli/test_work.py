"""The work of a ledger, done from the command line alone."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.commandline import Run


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
    assert "Charge became final" in sentences


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
    acme("customer", "profile", "acme", "--policy", "late_usage=absorb:5.00", "--policy", "periodic_runs=P7D")
    assert acme("customer", "show", "acme", "--json").data["profile"]["late_usage"]["up_to"] == "5.00"
    acme("customer", "profile", "acme", "--policy", "credit_notes=off", code=2)
    acme("init", "--collection-interval", "P3D")
    acme("init", "--policies", "reference", "--zone", "Asia/Tokyo")
    assert acme("settings", "show", "--json").data["profile"]["collection_interval"] == "P3D"
    settings = acme("settings", "show", "--json").data
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
