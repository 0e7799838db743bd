"""What is done by hand on the command line: lines of drafts, money that goes back, rates that are named."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.commandline import Run

JANUARY = ("--from", "2026-01-01", "--to", "2026-02-01")
NEW_YEAR = ("--now", "2026-01-01T12:00Z")
WITHIN = ("--now", "2026-01-16T00:00Z")


@pytest.fixture
def shop(run: Run) -> Run:
    """A ledger with acme, whose invoices wait for approval, and calls that are metered."""
    at = ("--now", "2026-01-01")
    run("init", *at)
    run("customer", "create", "acme", "--no-auto-approve", *at)
    run("meter", "define", "calls", *at)
    run("feature", "define", "calls", "--meter", "calls", *at)
    return run


def draft(shop: Run, amount: str = "100") -> Any:
    shop("charge", "create-fee", "acme", amount, *JANUARY, "--settlement", "invoice", *NEW_YEAR)
    [invoice] = shop("invoice", "make", "acme", "--json", *NEW_YEAR).data
    return invoice


def paid(shop: Run, amount: str) -> None:
    """An invoice of 100.00, approved, and so much received for it."""
    shop("invoice", "approve", draft(shop)["invoice"], *NEW_YEAR)
    shop("invoice", "payment", "INV-000001", "paid", "--amount", amount, *NEW_YEAR)


def test_usage_is_put_on_an_open_invoice_and_discounted_there(shop: Run) -> None:
    """10 calls at 2.00 are 20.00; with 3 of them free and 50 % off, 7.00."""
    invoice = draft(shop)["invoice"]
    shop("usage", "record", "acme", "calls", "10", "--time", "2026-01-05", "--now", "2026-01-05T01:00Z")
    window = ("--from", "2026-01-01", "--to", "2026-01-10")
    added = shop("invoice", "add-usage", invoice, "--feature", "calls", *window, "--unit", "2", "--json", *WITHIN).data
    assert [line["content"]["name"] for line in added["lines"]] == ["Fee", "calls"]
    line = added["lines"][1]["line_id"]

    off = ("--percent-off", "50", "--free-units", "3")
    edited = shop("invoice", "edit-line", invoice, line, *off, "--json", *WITHIN).data

    assert edited["totals"]["total"] == "107.00"


def test_both_ends_of_a_period_are_named_or_none(shop: Run) -> None:
    invoice = draft(shop)
    line = invoice["lines"][0]["line_id"]

    shop("invoice", "edit-line", invoice["invoice"], line, "--from", "2026-01-01", code=2)
    moved = shop("invoice", "edit-line", invoice["invoice"], line, *JANUARY, "--name", "January", "--json", *NEW_YEAR)

    assert moved.data["lines"][0]["content"]["name"] == "January"


def test_money_that_came_too_much_goes_back(shop: Run) -> None:
    """100.00 due, 145.00 come: 5.00 go back, then the rest."""
    paid(shop, "145")

    assert shop("invoice", "refund", "INV-000001", "5", "--json", *NEW_YEAR).data["unapplied"] == "40.00"
    [refunded] = shop("invoice", "refund-all", "acme", "--json", *NEW_YEAR).data
    assert refunded["unapplied"] == "0.00"
    assert shop("invoice", "refund-all", "acme", "--json", *NEW_YEAR).data == []
    error = shop("invoice", "refund", "INV-000001", "1", "--json", *NEW_YEAR, code=3).error
    assert error["code"] == "insufficient_funds"


def test_a_charge_may_name_the_rate_it_is_invoiced_at(shop: Run) -> None:
    shop("currency", "define", "TOKENS", "--precision", "0", *NEW_YEAR)
    rate = shop("currency", "rate", "TOKENS", "0.5", "--from", "2026-01-01", "--json", *NEW_YEAR).data["id"]
    fee = ("charge", "create-fee", "acme", "40", *JANUARY, "--settlement", "invoice", "--currency", "TOKENS")

    made = shop(*fee, "--cost-basis-id", rate, "--json", *NEW_YEAR).data

    assert made["intent"]["identity"]["cost_basis"]["mode"] == "pinned"
    shop(*fee, "--cost-basis-id", rate, "--cost-basis", "0.5", code=2)


def test_a_customer_is_deleted_once_nothing_is_open(shop: Run) -> None:
    charge = shop("charge", "create-fee", "acme", "5", *JANUARY, "--settlement", "invoice", "--json", *NEW_YEAR).data

    refused = shop("customer", "delete", "acme", "--json", *NEW_YEAR, code=3).error
    assert (refused["code"], refused["evidence"]["items"][0]["id"]) == ("open_items", charge["id"])
    shop("charge", "delete", charge["id"], "--invoice-refund", "refund", *NEW_YEAR)

    assert shop("customer", "delete", "acme", "--json", *NEW_YEAR).data["deleted_at"] == "2026-01-01T12:00:00Z"
    assert shop("credit", "grant", "acme", "5", "--json", *NEW_YEAR, code=3).error["code"] == "customer_deleted"
