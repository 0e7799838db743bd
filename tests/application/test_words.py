"""A word is as good as the name of a choice, and one that is none of them is told by where it stands."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aggregates.charges.intent import ManagedBy
from aggregates.charges.requests import Delete, Extend, NewPurchase, RequestedSettlement
from aggregates.charges.state import Charge
from aggregates.policies import Policies
from aggregates.values.errors import Finding, ValidationFailed
from aggregates.values.money import fiat
from aggregates.values.period import Duration, instant
from ledger.facade import Ledger
from tests.application.scenes import january_charge, opened, with_customer

MARCH = "2026-03-01T00:00:00Z"
LATER: Any = instant(MARCH)


@pytest.fixture
def ledger() -> Ledger:
    found = opened("memory:")
    with_customer(found)
    return found


def findings_of(command: Callable[[], object]) -> list[tuple[str, str]]:
    """Where and what, of everything that is wrong with a command."""
    with pytest.raises(ValidationFailed) as raised:
        command()
    return [(finding.path, finding.code) for finding in raised.value.findings]


def ends(charge: Charge) -> object:
    return charge.intent.effective.service_period.to


def test_a_patch_takes_the_word_for_who_sends_it(ledger: Ledger) -> None:
    charge = january_charge(ledger)

    assert findings_of(lambda: ledger.charges.extend(charge.id, service_period_to=MARCH, source="api")) == [
        ("source", "source_not_allowed")
    ]
    assert ends(ledger.charges.extend(charge.id, service_period_to=MARCH, source="system")) == LATER


@pytest.mark.parametrize("word", ["sytem", "SYSTEM", "", 3])
def test_a_wrong_word_is_never_taken_for_another(ledger: Ledger, word: Any) -> None:
    charge = january_charge(ledger)
    charges = ledger.charges

    assert findings_of(lambda: charges.extend(charge.id, service_period_to=MARCH, source=word)) == [
        ("source", "unknown_choice")
    ]
    assert findings_of(lambda: charges.set_override(charge.id, name="New", source=word)) == [
        ("source", "unknown_choice")
    ]
    assert findings_of(lambda: charges.delete(charge.id, source=word, credit_refund=word, invoice_refund="ignore")) == [
        ("credit_refund", "unknown_choice"),
        ("source", "unknown_choice"),
    ]


def test_every_word_of_a_batch_is_looked_at_before_anything_is_done(ledger: Ledger) -> None:
    charge = january_charge(ledger)
    said: Any = "system"
    wrong: Any = "nobody"

    [extended] = ledger.charges.apply_patches("acme", {charge.id: Extend(service_period_to=LATER, source=said)})
    assert ends(extended) == LATER

    batch = {charge.id: Delete(source=wrong, credit_refund=wrong)}
    gift = NewPurchase(
        customer="acme",
        currency=fiat("USD"),
        credit_amount=Decimal(5),
        settlement=RequestedSettlement(type="promotional"),
        managed_by=wrong,
    )
    assert findings_of(lambda: ledger.charges.apply_patches("acme", batch, [gift])) == [
        (f"patches.{charge.id}.source", "unknown_choice"),
        (f"patches.{charge.id}.credit_refund", "unknown_choice"),
        ("creates[0].managed_by", "unknown_choice"),
    ]
    assert findings_of(lambda: ledger.charges.create([gift])) == [("intents[0].managed_by", "unknown_choice")]
    system: Any = "system"
    [made] = ledger.charges.create([msgspec.structs.replace(gift, managed_by=system)])
    assert made.intent.identity.managed_by is ManagedBy.SYSTEM


def test_runs_repeat_every_hour_at_most(ledger: Ledger) -> None:
    """A run a second would be two million of them a month; `P0D` is never."""
    refused = [("periodic_runs", "too_short")]
    often = msgspec.structs.replace(Policies.standard(), periodic_runs=Duration.parse("PT30M"))

    assert findings_of(lambda: ledger.customers.create("globex", periodic_runs="PT59M59S")) == refused
    assert findings_of(lambda: ledger.customers.change_profile("acme", periodic_runs="PT1S")) == refused
    assert findings_of(lambda: ledger.settings.change_default_profile(periodic_runs="PT1M")) == refused
    assert findings_of(lambda: ledger.settings.change_policies(often)) == [("policies.periodic_runs", "too_short")]

    assert ledger.customers.create("globex", periodic_runs="PT1H").profile.periodic_runs == Duration(seconds=3600)
    assert ledger.customers.create("initech", periodic_runs="P0D").profile.periodic_runs == Duration()


def test_a_word_among_policies_is_made_the_choice_that_it_is(ledger: Ledger) -> None:
    said: Any = {"usage_credit_cut": "last_second"}

    changed = ledger.settings.change_policies(msgspec.structs.replace(Policies.standard(), **said)).policies

    assert type(changed.usage_credit_cut) is type(Policies.standard().usage_credit_cut)


def test_the_finding_says_which_words_there_are() -> None:
    from aggregates.values.errors import Findings
    from ledger import validation

    wrong: Any = "nobody"
    findings = Findings()
    validation.worded(Delete(source=wrong), findings, "patch")

    assert findings.items == [Finding("patch.source", "unknown_choice", "'nobody' is none of system, api")]
