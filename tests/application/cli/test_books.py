"""Credit and books from the command line: sales that are taken back, statements, the trial balance, closed months."""

from typing import Any

import pytest

from tests.support.commandline import Run


@pytest.fixture
def at(run: Run, sqlite_url: str) -> Any:
    def say(now: str, *arguments: str, code: int = 0) -> Any:
        ended = run(*arguments, "--db", sqlite_url, "--now", now, "--json", code=code)
        return ended.data if code == 0 else ended.error

    say("2026-01-01", "init")
    say("2026-01-01", "customer", "create", "acme", "--collection-interval", "P0D")
    say("2026-01-01", "meter", "define", "tokens")
    say("2026-01-01", "feature", "define", "tokens", "--meter", "tokens")
    return say


def used(at: Any, quantity: str) -> None:
    period = ("--from", "2026-01-01", "--to", "2026-02-01")
    at("2026-01-01", "charge", "create", "acme", "--feature", "tokens", *period, "--unit", "1")
    at("2026-01-15", "usage", "record", "acme", "tokens", quantity, "--time", "2026-01-15T12:00Z", "--id", "a")
    at("2026-02-01", "advance", "acme")


def test_a_sale_is_used_voided_and_refunded_and_the_books_say_so(at: Any) -> None:
    sale = at("2026-01-01", "credit", "sell", "acme", "100", "--cost-basis", "0.5", "--initial-status", "settled")
    used(at, "40")
    tried = at("2026-02-05", "credit", "void", sale["id"], "--payment", "refund", "--dry-run")
    assert tried["dry_run"] is True
    assert "credit_pool.credit_voided.v1" in [event["event"] for event in tried["events"]]
    at("2026-02-05", "credit", "void", sale["id"], "--payment", "refund")

    balance = at("2026-02-05", "trial-balance", "--month", "2026-02")
    figures = {row["account"]: (row["face"], row["consideration"]) for row in balance["rows"]}
    assert figures["earnings"] == ("40.00", "20.00")
    assert figures["wash"] == ("-20.00", "-20.00")
    listed = at("2026-02-05", "credit", "transactions", "acme")
    assert [row["type"] for row in listed["items"]] == ["voided", "consumed", "funded"]
    page = at("2026-02-05", "credit", "transactions", "acme", "--limit", "1")
    older = at("2026-02-05", "credit", "transactions", "acme", "--limit", "1", "--after", page["next"])
    assert older["items"] == listed["items"][1:2]
    january = at("2026-02-05", "statement", "acme", "--month", "2026-01")
    assert [january["opening"], january["closing"]] == ["0", "60.00"]
    assert at("2026-02-05", "credit", "refund", sale["id"], code=3)["code"] == "nothing_to_refund"


def test_money_in_parts_and_back_and_credit_taken_back_in_part(at: Any) -> None:
    sale = at("2026-01-01", "credit", "sell", "acme", "100", "--cost-basis", "0.5")["id"]
    at("2026-01-02", "credit", "receive", sale, "20")
    paid = at("2026-01-03", "credit", "receive", sale, "40")
    assert paid["totals"]["fiat_settled"] == "60.00"
    assert at("2026-01-04", "credit", "refund", sale)["totals"]["fiat_refunded"] == "10.00"
    assert at("2026-01-05", "credit", "reduce", sale, "20")["totals"]["fiat_refunded"] == "20.00"
    at("2026-01-06", "credit", "reverse", sale)
    assert at("2026-01-06", "balance", "acme")["receivable_open"] == "-40.00"


def test_a_scheduled_grant_is_cancelled_and_usage_beyond_credit_written_off(at: Any) -> None:
    grant = at("2026-01-01", "credit", "grant", "acme", "10", "--effective-at", "2026-06-01")
    at("2026-01-02", "credit", "cancel", grant["id"])
    used(at, "30")
    assert at("2026-02-02", "credit", "write-off", "acme", "--amount", "20")["uncovered"] == "10.00"
    assert at("2026-02-03", "credit", "recover", "acme")["uncovered"] == "30.00"
    assert at("2026-07-01", "balance", "acme")["settled"] == "-30.00"


def test_credit_that_came_back_covers_usage_beyond_credit_when_asked_to(at: Any) -> None:
    """Two charges of 30, 30 of credit: deleting the first leaves its credit beside the advance of the other."""
    at("2026-01-01", "credit", "grant", "acme", "30")
    period = ("--from", "2026-01-01", "--to", "2026-02-01")
    first = at("2026-01-01", "charge", "create", "acme", "--feature", "tokens", *period, "--unit", "1")
    used(at, "30")
    at("2026-02-03", "charge", "delete", first["id"], "--invoice-refund", "ignore")
    beside = at("2026-02-03", "balance", "acme")
    assert [beside["settled"], beside["fbo"], beside["advance"]] == ["0.00", "30.00", "-30.00"]

    assert at("2026-02-03", "credit", "cover", "acme")["uncovered"] == "0"

    assert at("2026-02-03", "balance", "acme")["fbo"] == "0.00"
    assert at("2026-02-03", "charge", "delete", first["id"], "--invoice-refund", "no", code=2)["code"]


def test_books_are_closed_listed_and_opened_again(at: Any) -> None:
    at("2026-02-03", "period", "close", "2026-01", "--reason", "audit")
    assert at("2026-02-03", "period", "close", "2026-02", code=3)["code"] == "precondition_failed"
    at("2026-02-04", "period", "reopen", "2026-01", "--reason", "an invoice was missing")

    (closing,) = at("2026-02-05", "period", "list")
    assert closing["until"] == "2026-02-01T00:00:00Z"
    assert closing["reopened_reason"] == "an invoice was missing"


def test_people_see_tables(run: Run, sqlite_url: str, at: Any) -> None:
    at("2026-01-01", "credit", "grant", "acme", "10", "--expires-at", "2026-02-15")
    shown = run("statement", "acme", "--month", "2026-01", "--db", sqlite_url, "--now", "2026-02-01").out
    assert "closing" in shown
    assert "Expires within 30 days after it" in shown
    assert "customer_fbo" in run("trial-balance", "--db", sqlite_url, "--now", "2026-01-31").out
    assert "funded" in run("credit", "transactions", "acme", "--db", sqlite_url, "--now", "2026-01-31").out
