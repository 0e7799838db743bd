"""All that can be said of a charge, of credit and of a customer when it is made or changed, from the command line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.commandline import Run

JANUARY = ("--from", "2026-01-01", "--to", "2026-02-01")
NEW_YEAR = ("--now", "2026-01-01")
TERMS = (
    *("--description", "The whole office", "--metadata", "order=4711", "--metadata", "team=blue"),
    *("--annotation", "sync=7", "--tax-code", "standard", "--tax-behavior", "exclusive", "--reference", "office"),
    *("--full-to", "2026-03-01", "--billing-from", "2026-01-05", "--invoice-at", "2026-01-20"),
)


def said(made: Any) -> dict[str, Any]:
    """The terms of a charge that no price is part of."""
    identity, base = made["intent"]["identity"], made["intent"]["base"]
    periods = base["periods"]
    return {
        "described": (base["description"], base["metadata"], identity["annotations"]),
        "tax": identity["tax"],
        "reference": identity["unique_reference_id"],
        "full": periods["full_service_period"],
        "billing": periods["billing_period"],
        "invoice at": periods["invoice_at"],
    }


SAID = {
    "described": ("The whole office", {"order": "4711", "team": "blue"}, {"sync": "7"}),
    "tax": {"tax_code_id": "standard", "behavior": "exclusive"},
    "reference": "office",
    "full": {"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"},
    "billing": {"from": "2026-01-05T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
    "invoice at": "2026-01-20T00:00:00Z",
}


@pytest.fixture
def shop(acme: Run) -> Run:
    """Acme, whose invoices wait for approval, and a tax code."""
    acme("settings", "tax", "standard", *NEW_YEAR)
    acme("customer", "profile", "acme", "--no-auto-approve", *NEW_YEAR)
    return acme


def test_a_charge_for_usage_is_made_with_every_term_there_is(shop: Run) -> None:
    usage = ("charge", "create", "acme", "--feature", "tokens", *JANUARY, "--unit", "1", "--managed-by", "system")

    made = shop(*usage, *TERMS, "--settlement", "invoice", "--json", *NEW_YEAR).data

    assert said(made) == SAID
    assert made["intent"]["identity"]["managed_by"] == "system"
    wrong = shop(*usage, "--tax-behavior", "perhaps", "--managed-by", "me", "--json", code=2).error
    assert {finding["path"] for finding in wrong["findings"]} == {"tax_behavior", "managed_by"}
    assert shop(*usage, "--metadata", "order", "--json", code=2).error["code"] == "usage"


def test_a_fee_is_made_with_every_term_there_is(shop: Run) -> None:
    """59.00 for the 59 days of two months, of which January is 31: 31.00."""
    fee = ("charge", "create-fee", "acme", "59", *JANUARY, "--pro-rate", "--in-advance", "--managed-by", "manual")

    made = shop(*fee, *TERMS, "--settlement", "invoice", "--json", *NEW_YEAR).data

    assert said(made) == SAID
    assert made["intent"]["base"]["amount_after_proration"] == "31.00"
    assert made["intent"]["identity"]["managed_by"] == "manual"


def test_a_line_by_hand_has_the_terms_of_its_charge(shop: Run) -> None:
    """Beside a fee of 10.00: one of 59.00 pro-rated to 31.00, less 10 % = 27.90; and usage of nothing yet."""
    shop("charge", "create-fee", "acme", "10", *JANUARY, "--settlement", "invoice", *NEW_YEAR)
    at = ("--now", "2026-01-10")
    [draft] = shop("invoice", "make", "acme", "--json", *at).data
    fee = ("invoice", "add-fee", draft["invoice"], "59", *JANUARY, "--pro-rate", "--percent-off", "10", *TERMS)
    usage = ("invoice", "add-usage", draft["invoice"], "--feature", "tokens", *JANUARY, "--unit", "1")

    added = shop(*fee, "--feature", "tokens", "--json", *at).data
    with_usage = shop(*usage, *TERMS, "--reference", "tokens", "--json", *at).data

    assert [line["content"]["totals"]["discounts_total"] for line in added["lines"]][1] == "3.10"
    made = [shop("charge", "show", line["charge_id"], "--json", *at).data for line in with_usage["lines"][1:]]
    assert [said(charge) for charge in made] == [SAID, SAID | {"reference": "tokens"}]
    assert made[0]["intent"]["identity"]["feature"] is not None
    line = with_usage["lines"][1]["line_id"]
    edited = shop("invoice", "edit-line", draft["invoice"], line, "--metadata", "order=1", "--json", *at).data
    assert edited["lines"][1]["content"]["metadata"] == {"order": "1"}
    assert shop(*fee, "--json", *at, code=5).error["code"] == "reference_in_use"
    assert shop("invoice", "edit-line", draft["invoice"], line, "--metadata", "order", code=2).err


def test_an_override_changes_every_term_of_a_fee_that_it_can(shop: Run) -> None:
    """31.00 for January in advance; overridden: 62.00 for 62 days of two months, ten of them, in arrears: 10.00."""
    fee = ("charge", "create-fee", "acme", "31", *JANUARY, "--settlement", "invoice", "--json")
    charge = shop(*fee, "--now", "2025-12-01").data["id"]
    ends = ("--from", "2026-01-01", "--to", "2026-01-11", "--full-from", "2026-01-01", "--full-to", "2026-03-04")
    more = ("--amount", "62", "--pro-rate", "--in-arrears", "--description", "Less", "--metadata", "order=2")

    changed = shop("charge", "override", charge, *ends, *more, "--json", "--now", "2025-12-02").data

    terms = changed["intent"]["override"]
    assert (terms["amount_after_proration"], terms["payment_term"]) == ("10.00", "in_arrears")
    assert (terms["description"], terms["metadata"]) == ("Less", {"order": "2"})
    assert terms["periods"]["service_period"]["to"] == "2026-01-11T00:00:00Z"
    assert shop("charge", "override", charge, "--from", "2026-01-01", code=2).err
    assert shop("charge", "override", charge, "--full-to", "2026-03-01", code=2).err
    assert shop("charge", "override", charge, "--free-units", "1", code=2).err


def test_an_override_changes_how_units_of_usage_are_counted(shop: Run) -> None:
    usage = ("charge", "create", "acme", "--feature", "tokens", *JANUARY, "--unit", "1", "--json", *NEW_YEAR)
    charge = shop(*usage).data["id"]
    config = '{"operation": "divide", "conversion_factor": "1000", "rounding": "ceiling"}'

    changed = shop("charge", "override", charge, "--unit-config", config, "--percent-off", "10", "--json", *NEW_YEAR)

    terms = changed.data["intent"]["override"]
    assert terms["discounts"]["percentage"]["percentage"] == "10"
    assert terms["unit_config"]["rounding"] == "ceiling"
    assert shop("charge", "override", charge, "--unit-config", "1000", code=2).err


def test_all_ends_of_a_charge_are_moved_with_it_or_apart(shop: Run) -> None:
    fee = ("charge", "create-fee", "acme", "31", *JANUARY, "--pro-rate", "--settlement", "invoice", "--json")
    charge = shop(*fee, "--now", "2025-12-01").data["id"]
    at = ("--json", "--now", "2025-12-02")

    ends = ("--full-to", "2026-02-01", "--billing-to", "2026-02-01", "--invoice-at", "2026-01-05")
    shrunk = shop("charge", "shrink", charge, "--to", "2026-01-11", *ends, *at).data
    extended = shop("charge", "extend", charge, "--to", "2026-01-21", "--full-to", "2026-02-01", *at).data

    assert shrunk["intent"]["base"]["amount_after_proration"] == "10.00"
    assert shrunk["intent"]["base"]["periods"]["billing_period"]["to"] == "2026-02-01T00:00:00Z"
    assert shrunk["intent"]["base"]["periods"]["invoice_at"] == "2026-01-05T00:00:00Z"
    assert extended["intent"]["base"]["amount_after_proration"] == "20.00"
    assert shop("charge", "extend", charge, "--to", "2026-02-01", "--invoice-at", "soon", *at, code=2).error["findings"]


def test_the_system_deletes_what_it_made_below_an_override(shop: Run) -> None:
    """The override goes on holding, where a deletion by somebody deletes the charge."""
    fee = ("charge", "create-fee", "acme", "31", *JANUARY, "--settlement", "invoice", "--json")
    first, second = (shop(*fee, "--now", "2025-12-01").data["id"] for _ in range(2))
    for charge in (first, second):
        shop("charge", "override", charge, "--amount", "30", "--now", "2025-12-02")

    below = shop("charge", "delete", first, "--source", "system", "--json", "--now", "2025-12-03").data
    whole = shop("charge", "delete", second, "--json", "--now", "2025-12-03").data

    assert (below["status"], whole["status"]) == ("created", "deleted")
    assert shop("charge", "delete", first, "--source", "nobody", "--json", code=2).error["findings"]


def test_credit_is_described(shop: Run) -> None:
    words = ("--description", "Welcome", "--metadata", "campaign=spring")

    granted = shop("credit", "grant", "acme", "5", *words, "--json", *NEW_YEAR).data
    sold = shop("credit", "sell", "acme", "5", *words, "--json", *NEW_YEAR).data

    for made in (granted, sold):
        base = made["intent"]["base"]
        assert (base["description"], base["metadata"]) == ("Welcome", {"campaign": "spring"})
    assert shop("credit", "grant", "acme", "5", "--metadata", "spring", code=2).err


def test_a_ledger_is_made_with_policies_and_a_profile_under_one_command_id(run: Run) -> None:
    line = ("init", "--policies", "reference", "--zone", "Europe/Berlin", "--auto-approve", "--command-id", "first")

    made = run(*line, "--json", *NEW_YEAR).data

    assert run(*line, "--json", *NEW_YEAR).data == made
    assert (made["profile"]["zone"], made["profile"]["auto_approve"]) == ("Europe/Berlin", True)
    assert made["policies"]["run_engine"] == "delta"
    assert run("init", "--zone", "Nowhere", "--json", code=2).error["findings"][0]["code"] == "unknown_zone"


def test_the_settings_say_up_to_when_the_books_are_closed(run: Run) -> None:
    run("init", *NEW_YEAR)
    assert "books closed" not in run("settings", "show").out
    run("period", "close", "2025-12", *NEW_YEAR)

    assert run("settings", "show", "--json").data["closed_until"] == "2026-01-01T00:00:00Z"
    assert "2026-01-01T00:00:00Z" in run("settings", "show").out.split("books closed until")[1]
