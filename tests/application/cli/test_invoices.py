"""Invoices from the command line: made, read, corrected, paid; and what is sold by invoice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.application.test_taxes import NineteenPerCent, billed, opened
from tests.support.commandline import Run

JANUARY = ("--from", "2026-01-01", "--to", "2026-02-01")
NEW_YEAR = ("--now", "2026-01-01T12:00Z")


@pytest.fixture
def shop(run: Run) -> Run:
    """A ledger with acme, whose invoices wait for approval, and 20.00 of credit."""
    at = ("--now", "2026-01-01")
    run("init", *at)
    run("customer", "create", "acme", "--name", "Acme Ltd", "--no-auto-approve", *at)
    run("meter", "define", "calls", *at)
    run("feature", "define", "calls", "--meter", "calls", *at)
    run("credit", "grant", "acme", "20", *at)
    return run


def drafted(shop: Run, *amounts: str) -> Any:
    for amount in amounts:
        shop("charge", "create-fee", "acme", amount, *JANUARY, "--settlement", "invoice", *NEW_YEAR)
    [invoice] = shop("invoice", "make", "acme", "--json", *NEW_YEAR).data
    return invoice


def test_an_invoice_is_made_approved_and_paid(shop: Run) -> None:
    """A fee of 120.00 less 20.00 of credit: 100.00 are due, 40.00 come, then the rest."""
    invoice = drafted(shop, "120")
    assert (invoice["status"], invoice["totals"]["total"]) == ("draft.manual_approval_needed", "100.00")

    issued = shop("invoice", "approve", invoice["invoice"], "--json", *NEW_YEAR).data
    assert (issued["issued"]["number"]["text"], issued["issued"]["due_date"]) == ("INV-000001", "2026-01-31")
    partly = shop("invoice", "payment", "INV-000001", "paid", "--amount", "40", "--json", *NEW_YEAR).data
    assert (partly["paid"], partly["open"]) == ("40", "60.00")
    assert shop("invoice", "payment", "INV-000001", "paid", "--json", *NEW_YEAR).data["status"] == "paid"


def test_an_invoice_reads_like_one(shop: Run) -> None:
    """Number, dates, parties; quantity × price; credit; what is due."""
    drafted(shop, "120")
    shop("invoice", "approve", shop("invoice", "list", "--json").data[0]["invoice"], *NEW_YEAR)

    page = shop("invoice", "show", "INV-000001").out

    facts = {line.split("  ")[0].strip(): line.split("  ")[-1].strip() for line in page.splitlines() if "  " in line}
    assert "Invoice INV-000001" in page
    assert facts["due"] == "100.00"
    assert facts["tax"] == "none was calculated"
    assert facts["credit applied"] == "-20.00"
    assert "Acme Ltd, acme" in page
    assert "120.00" in next(line for line in page.splitlines() if line.startswith("Fee"))


def test_usage_on_an_invoice_shows_its_quantity_and_its_price(shop: Run) -> None:
    shop("charge", "create", "acme", "--feature", "calls", *JANUARY, "--unit", "0.50", "--settlement", "invoice")
    at = ("--now", "2026-01-15")
    shop("usage", "record", "acme", "calls", "50", "--time", "2026-01-10T00:00Z", "--id", "a", *at)
    [waits] = shop("invoice", "preview", "acme", "--json", "--now", "2026-01-20").data
    assert waits["content"]["totals"]["total"] == "25.00"
    shop("worker", "run-once", "--now", "2026-02-01")

    [draft] = shop("invoice", "list", "acme", "--json", "--now", "2026-02-01").data
    page = shop("invoice", "show", draft["invoice"], "--now", "2026-02-01").out

    line = next(line for line in page.splitlines() if line.startswith("calls"))
    assert line.split()[-7:-1] == ["50", "0.50", "25.00", "–", "20.00", "5.00"]


def test_lines_are_edited_added_and_taken_off(shop: Run) -> None:
    invoice = drafted(shop, "30", "70")
    which, (first, second) = invoice["invoice"], (line["line_id"] for line in invoice["lines"])

    edited = shop("invoice", "edit-line", which, first, "--amount", "50", "--name", "Support", "--json", *NEW_YEAR).data
    assert edited["totals"]["amount"] == "120.00"
    left = shop("invoice", "delete-line", which, second, "--json", *NEW_YEAR).data
    assert left["totals"]["amount"] == "50.00"
    added = shop("invoice", "add-fee", which, "9", *JANUARY, "--name", "Set-up", "--json", *NEW_YEAR).data
    assert added["totals"]["amount"] == "59.00"
    [waits] = shop("invoice", "preview", "acme", "--json", *NEW_YEAR).data
    attached = shop("invoice", "attach", which, waits["charge"], "--json", *NEW_YEAR).data
    assert attached["totals"]["amount"] == "129.00"
    assert shop("invoice", "describe", which, "PO 4711", "--json", *NEW_YEAR).data["description"] == "PO 4711"


def test_an_invoice_is_credited_voided_and_written_off(shop: Run) -> None:
    """120.00, 20.00 from credit: 10.00 are credited, 90.00 given up; then all of it is voided."""
    invoice = drafted(shop, "120")
    shop("invoice", "approve", invoice["invoice"], *NEW_YEAR)

    line = invoice["lines"][0]["line_id"]
    credited = shop("invoice", "credit", "INV-000001", "--line", f"{line}=10", "--json", *NEW_YEAR).data
    assert (credited["credited"], credited["credit_notes"][0]["number"]["text"]) == ("10.00", "CN-000001")
    assert shop("invoice", "write-off", "INV-000001", "--json", *NEW_YEAR).data["written_off"] == "90.00"
    voided = shop("invoice", "void", "INV-000001", "--reason", "a mistake", *NEW_YEAR)
    assert "Credit note CN-000002" in voided.out
    assert "a mistake" in voided.out


def test_what_is_overdue_is_listed(shop: Run) -> None:
    drafted(shop, "120")
    assert shop("invoice", "list", "--overdue", "--json", "--now", "2026-02-02").data == []
    shop("invoice", "approve", shop("invoice", "list", "--json").data[0]["invoice"], *NEW_YEAR)

    assert shop("invoice", "list", "--overdue", "--json", "--now", "2026-01-31").data == []
    [late] = shop("invoice", "list", "acme", "--overdue", "--json", "--now", "2026-02-02").data
    assert late["open"] == "100.00"


def test_invoices_are_listed_by_number_by_a_day_and_the_newest_first(shop: Run) -> None:
    for amount in ("120", "60"):
        shop("invoice", "approve", drafted(shop, amount)["invoice"], *NEW_YEAR)

    def listed(*options: str) -> list[str]:
        found = shop("invoice", "list", *options, "--json", *NEW_YEAR).data
        return [each["issued"]["number"]["text"] for each in found]

    assert listed() == ["INV-000001", "INV-000002"]
    assert listed("--newest-first") == ["INV-000002", "INV-000001"]
    assert listed("--number", "INV-000002") == ["INV-000002"]
    assert listed("--overdue-on", "2026-01-31") == []
    assert listed("--overdue-on", "2026-02-01") == ["INV-000001", "INV-000002"]
    assert shop("invoice", "list", "--overdue", "--overdue-on", "2026-02-01", code=2).err


def test_a_charge_that_refuses_its_line_is_told_beside_what_was_invoiced(shop: Run) -> None:
    """60.00 less 20.00 of credit are invoiced; of the tokens nobody has said what they are worth."""
    shop("currency", "define", "TOK", "--precision", "0", *NEW_YEAR)
    fee = ("charge", "create-fee", "acme", "60", *JANUARY, "--settlement", "invoice", "--json")
    shop(*fee, "--now", "2025-12-31")
    tokens = shop(*fee, "--currency", "TOK", "--fiat-currency", "USD", "--now", "2025-12-31").data["id"]

    done = shop("invoice", "due", "acme", "--json", *NEW_YEAR).data

    assert [each["totals"]["total"] for each in done["invoices"]] == ["40.00"]
    assert [(each["charge"], each["code"]) for each in done["failed"]] == [(tokens, "cost_basis_not_effective")]
    told = shop("invoice", "due", "acme", *NEW_YEAR).out
    assert "No invoices." in told
    assert "cost_basis_not_effective" in told.split("These could not be invoiced:")[1]
    assert shop("invoice", "due", "nobody", "--json", code=4).error["code"] == "customer_not_found"


def test_a_failed_step_is_repeated_and_what_did_not_fail_stays_as_it_is(run: Run) -> None:
    """The tax office did not answer when 100.00 were issued; then they are issued without it."""
    office = NineteenPerCent()
    office.failing = 1_000
    with opened("sqlite:///ledger.db", office) as ledger:
        invoice = str(billed(ledger))
    at = ("--now", "2026-01-01")

    first = run("invoice", "repeat", invoice, "--json", *at).data
    again = run("invoice", "repeat", invoice, "--json", *at).data

    assert (first["repeated"], first["invoice"]["status"]) == (True, "payment_processing.pending")
    assert (again["repeated"], again["invoice"]["open"]) == (False, "100.00")
    assert "It stands where it stood." in run("invoice", "repeat", "INV-000001", *at).out
    assert run("invoice", "repeat", "INV-9", "--json", code=4).error["code"] == "invoice_not_found"


def test_a_dry_run_shows_the_invoice_and_writes_nothing(shop: Run) -> None:
    invoice = drafted(shop, "120")

    tried = shop("invoice", "approve", invoice["invoice"], "--dry-run", "--json", *NEW_YEAR).data

    assert tried["answer"]["issued"]["number"]["text"] == "INV-000001"
    assert "invoice.issued.v1" in {event["event"] for event in tried["events"]}
    assert shop("invoice", "list", "--json").data[0]["status"] == "draft.manual_approval_needed"


def test_a_draft_is_deleted_and_a_number_that_is_none_is_not_found(shop: Run) -> None:
    invoice = drafted(shop, "120")
    assert shop("invoice", "delete", invoice["invoice"], "--json", *NEW_YEAR).data["status"] == "deleted"

    assert shop("invoice", "show", "INV-9", "--json", code=4).error["code"] == "invoice_not_found"
    refused = shop("invoice", "approve", invoice["invoice"], "--json", *NEW_YEAR, code=3).error
    assert refused["code"] == "unsupported_operation"


def test_credit_is_sold_by_invoice(shop: Run) -> None:
    """100 at 0.5 on an invoice of 50.00; the credit is there at once."""
    shop("credit", "sell", "acme", "100", "--cost-basis", "0.5", "--settlement", "invoice", *NEW_YEAR)

    [invoice] = shop("invoice", "list", "acme", "--json", *NEW_YEAR).data
    assert invoice["totals"]["total"] == "50.00"
    assert shop("balance", "acme", "--json", *NEW_YEAR).data["fbo"] == "120.00"


def test_a_fee_is_pro_rated_discounted_and_due_in_arrears(shop: Run) -> None:
    """31.00 for January, 10 days of it, 10 % off, from credit: 9.00 at the end of the 10 days."""
    fee = shop(
        *("charge", "create-fee", "acme", "31", "--from", "2026-01-01", "--to", "2026-01-11"),
        *("--full-to", "2026-02-01", "--pro-rate", "--in-arrears", "--percent-off", "10", "--json", *NEW_YEAR),
    ).data
    shop("worker", "run-once", "--now", "2026-01-11")

    assert fee["intent"]["base"]["amount_after_proration"] == "10.00"
    [run] = shop("runs", "acme", "--json", "--now", "2026-01-11").data
    assert run["totals"]["amount"] == "10.00"
    assert run["credits"] == "9.00"


def test_usage_invoiced_in_parts_ends_where_it_was_realized(shop: Run) -> None:
    shop("customer", "profile", "acme", "--progressive-billing", "--auto-approve", *NEW_YEAR)
    charge = shop(
        *("charge", "create", "acme", "--feature", "calls", *JANUARY, "--unit", "1", "--settlement", "invoice"),
        *("--json", *NEW_YEAR),
    ).data["id"]
    at = ("--now", "2026-01-16")
    shop("usage", "record", "acme", "calls", "30", "--time", "2026-01-10T00:00Z", "--id", "a", "--now", "2026-01-10")
    shop("invoice", "make", "acme", *at)

    ended = shop("charge", "shrink-to-realized", charge, "--to", "2026-01-16", "--json", *at).data

    effective = ended["intent"]["override"] or ended["intent"]["base"]
    assert effective["periods"]["service_period"]["to"] == "2026-01-16T00:00:00Z"


def test_credits_of_ones_own_have_a_rate(run: Run) -> None:
    """A fee of 50 tokens at 0.10 on an invoice: 5.00 USD."""
    run("init", *NEW_YEAR)
    run("customer", "create", "acme", "--auto-approve", *NEW_YEAR)
    run("currency", "define", "TOK", "--precision", "0", *NEW_YEAR)
    rate = run("currency", "rate", "TOK", "0.10", "--from", "2026-01-01", "--json", *NEW_YEAR).data
    assert rate["rate"] == "0.10"
    fee = ("charge", "create-fee", "acme", "50", *JANUARY, "--currency", "TOK", "--fiat-currency", "USD")
    run(*fee, "--settlement", "invoice", *NEW_YEAR)
    run("invoice", "due", "acme", *NEW_YEAR)

    [invoice] = run("invoice", "list", "--json", *NEW_YEAR).data
    assert invoice["totals"]["total"] == "5.00"


def test_settings_are_changed_one_by_one(run: Run) -> None:
    run("init", *NEW_YEAR)
    run("settings", "set", "--collection-interval", "P3D", *NEW_YEAR)
    run("settings", "set", "--auto-approve", *NEW_YEAR)
    run("settings", "policy", "credit_notes=off", "late_usage=absorb:5.00", "periodic_runs=P7D", *NEW_YEAR)
    run("settings", "tax", "standard", "reduced", "--invoicing", "standard", *NEW_YEAR)

    shown = run("settings", "show", "--json").data
    assert (shown["profile"]["collection_interval"], shown["profile"]["auto_approve"]) == ("P3D", True)
    assert (shown["policies"]["credit_notes"], shown["policies"]["late_usage"]["up_to"]) == ("off", "5.00")
    assert shown["tax"]["codes"] == ["standard", "reduced"]
    assert run("settings", "policy", "--bundle", "reference", *NEW_YEAR).code == 0
    assert run("settings", "show", "--json").data["policies"]["run_engine"] == "delta"


def test_a_policy_that_is_none_is_refused_with_all_that_is_wrong(run: Run) -> None:
    run("init", *NEW_YEAR)

    refused = run("settings", "policy", "credit_notes=maybe", "colour=red", "--json", code=2).error

    assert [finding["code"] for finding in refused["findings"]] == ["invalid_policy", "unknown_policy"]
