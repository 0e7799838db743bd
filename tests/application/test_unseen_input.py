"""Keys that look like others, digits of other scripts, and look-ups by what no database can hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from aggregates.values.errors import LedgerError, ValidationFailed
from ledger import Ledger, unit
from tests.application.scenes import JANUARY, january_charge, opened, with_customer

PERIOD = {"period_from": JANUARY[0], "period_to": JANUARY[1]}
TWELVE = "١٢"


@pytest.mark.parametrize("unseen", ["\u200b", "\u200d", "\u202e", "\u2066", "\ufeff", "\x85", "\x7f", "\u2028", "\xad"])
def test_a_key_with_something_in_it_that_nobody_sees_is_refused(unseen: str) -> None:
    with opened("memory:") as ledger, pytest.raises(ValidationFailed) as refused:
        ledger.customers.create(f"ac{unseen}me")

    assert refused.value.codes == ("invisible_character",)
    assert f"U+{ord(unseen):04X}" in str(refused.value)


@pytest.mark.parametrize("key", ["acme", "Zürich", "東京", "acme 2026", "acme 🙂", "a.b-c_d/e"])
def test_a_key_that_can_be_read_is_taken_in_any_script(key: str) -> None:
    with opened("memory:") as ledger:
        assert ledger.customers.create(key).key == key


ASKED: dict[str, Callable[[Ledger], object]] = {
    "amount": lambda ledger: ledger.credits.grant("acme", TWELVE),
    "price": lambda ledger: january_charge(ledger, price={"type": "unit", "amount": TWELVE}),
    "tier": lambda ledger: january_charge(
        ledger, price={"type": "tiered", "mode": "volume", "tiers": [{"unit_price": TWELVE}]}
    ),
    "discount": lambda ledger: january_charge(ledger, discounts={"percentage": {"percentage": TWELVE}}),
    "fee": lambda ledger: ledger.charges.create_flat_fee("acme", amount=TWELVE, **PERIOD),
    "time": lambda ledger: ledger.charges.create_flat_fee(
        "acme", amount="1", period_from=f"20{TWELVE}-01-01", period_to=JANUARY[1]
    ),
    "duration": lambda ledger: ledger.customers.create("other", collection_interval=f"P{TWELVE}D"),
    "precision": lambda ledger: ledger.catalogue.define_currency("TOK", precision=TWELVE),  # type: ignore[arg-type]
    "month": lambda ledger: ledger.statements.trial_balance(f"2026-{TWELVE}"),
}


@pytest.mark.parametrize("what", ASKED)
def test_digits_of_another_script_are_no_number_and_no_time(what: str) -> None:
    with opened("memory:") as ledger:
        with_customer(ledger)
        before = ledger.store.head()

        with pytest.raises(ValidationFailed):
            ASKED[what](ledger)

        assert ledger.store.head() == before


def test_a_property_may_have_a_value_in_any_script() -> None:
    """What a matrix compares is text, not a number."""
    price = {
        "type": "matrix",
        "property_name": "tier",
        "cells": [{"value": TWELVE, "unit_price": "1"}],
        "fallback": "2",
    }
    with opened("memory:") as ledger:
        with_customer(ledger)

        assert january_charge(ledger, price=price).status is not None


def test_a_price_made_by_hand_refuses_them_too() -> None:
    with pytest.raises(ValueError, match="plain decimal"):
        unit(TWELVE)


LOOKS: dict[str, Callable[[Ledger, str], Any]] = {
    "customers.get": lambda ledger, text: ledger.customers.get(text),
    "catalogue.meter": lambda ledger, text: ledger.catalogue.meter(text),
    "catalogue.feature": lambda ledger, text: ledger.catalogue.feature(text),
    "catalogue.cost_bases": lambda ledger, text: ledger.catalogue.cost_bases(text),
    "catalogue.currency": lambda ledger, text: ledger.catalogue.currency(text),
    "charges.list": lambda ledger, text: ledger.charges.list(text),
    "charges.get": lambda ledger, text: ledger.charges.get(text),
    "charges.run": lambda ledger, text: ledger.charges.run(text),
    "charges.advance": lambda ledger, text: ledger.charges.advance(text),
    "credits.list": lambda ledger, text: ledger.credits.list(text),
    "invoices.get": lambda ledger, text: ledger.invoices.get(text),
    "invoices.list": lambda ledger, text: ledger.invoices.list(text),
    "invoices.advance_due": lambda ledger, text: ledger.invoices.advance_due(text),
    "invoices.preview": lambda ledger, text: ledger.invoices.preview(text),
    "views.balance": lambda ledger, text: ledger.views.balance(text),
    "statements.transactions": lambda ledger, text: ledger.statements.transactions(text),
    "live.balance": lambda ledger, text: ledger.live.balance(text),
    "audit.history": lambda ledger, text: ledger.audit.history(customer=text),
}
LISTS: dict[str, Callable[[Ledger, str], Any]] = {
    "entries": lambda ledger, text: ledger.views.entries(text),
    "entries of an account": lambda ledger, text: ledger.views.entries("acme", account=text),
    "charges": lambda ledger, text: ledger.views.charges(text),
    "charges of a status": lambda ledger, text: ledger.views.charges(status=text),
    "invoices": lambda ledger, text: ledger.views.invoices(text),
    "invoices of a number": lambda ledger, text: ledger.views.invoices(number=text),
    "stuck charges": lambda ledger, text: ledger.views.stuck_charges(text),
    "runs": lambda ledger, text: ledger.views.current_runs(text),
}


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"], ids=["nul", "surrogate"])
def test_what_no_database_can_hold_is_nowhere(store_url: str, text: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)

        for name, look in LOOKS.items():
            with pytest.raises(LedgerError) as refused:
                look(ledger, text)
            assert refused.value.code.endswith(("_not_found", "validation")), name
        for name, listed in LISTS.items():
            assert listed(ledger, text).items == (), name


def test_the_command_line_says_what_it_can_do_without_the_ledger() -> None:
    """Half a second of imports for `--help` is half a second too much."""
    told = (
        "import sys, ledger.cli.main as main; main.build();"
        "print([name for name in ('pydantic', 'psycopg', 'ledger.facade') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"
