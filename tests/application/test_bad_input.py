"""Bad input: a typed error with every finding at once, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from aggregates.policies import LateUsage, LateUsageAction, OfferReleasedCredit, Policies
from aggregates.values.errors import (
    ChargeNotFound,
    CurrencyNotFound,
    CustomerNotFound,
    FeatureNotFound,
    LedgerError,
    MeterNotFound,
    ValidationFailed,
)
from aggregates.values.period import Duration
from ledger.facade import Ledger
from tests.application.scenes import JANUARY, january_charge, opened, with_customer

OVERLAPPING = {
    "type": "tiered",
    "mode": "graduated",
    "tiers": [{"up_to_amount": "10", "unit_price": "1"}, {"up_to_amount": "10", "unit_price": "-1"}],
}


def refused(ledger: Ledger, command: Callable[[], object]) -> LedgerError:
    """The error of a command, once it is certain that nothing was written."""
    head = ledger.store.head()
    with pytest.raises(LedgerError) as raised:
        command()
    assert ledger.store.head() == head
    return raised.value


@pytest.fixture
def ledger() -> Ledger:
    opened_ledger = opened("memory:")
    with_customer(opened_ledger)
    return opened_ledger


def charge(ledger: Ledger, **changes: Any) -> Callable[[], object]:
    asked: dict[str, Any] = {
        "customer": "acme",
        "feature": "calls",
        "price": {"type": "unit", "amount": "1"},
        "period_from": JANUARY[0],
        "period_to": JANUARY[1],
        **changes,
    }
    return lambda: ledger.charges.create_usage(asked.pop("customer"), **asked)


def test_everything_wrong_with_a_charge_is_told_at_once(ledger: Ledger) -> None:
    error = refused(
        ledger,
        charge(
            ledger,
            customer="nobody",
            currency="XYZ",
            feature="nothing",
            price=OVERLAPPING,
            period_from=JANUARY[1],
            period_to=JANUARY[0],
        ),
    )

    assert isinstance(error, ValidationFailed)
    assert set(error.codes) >= {
        "customer_not_found",
        "currency_not_found",
        "feature_not_found",
        "tier_bound_duplicate",
        "price_amount_negative",
        "period_backwards",
    }


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"customer": "nobody"}, CustomerNotFound),
        ({"currency": "XYZ"}, CurrencyNotFound),
        ({"feature": "nothing"}, FeatureNotFound),
        ({"period_from": JANUARY[1], "period_to": JANUARY[0]}, ValidationFailed),
        ({"period_from": "2026-01-01T00:00:00"}, ValidationFailed),
        ({"price": {"type": "unit", "amount": 0.1}}, ValidationFailed),
        ({"price": {"type": "unit", "amount": "-1"}}, ValidationFailed),
        ({"price": {"type": "mystery"}}, ValidationFailed),
        ({"price": {"type": "flat", "amount": "1"}}, ValidationFailed),
        ({"settlement_mode": "barter"}, ValidationFailed),
        ({"colour": "red"}, ValidationFailed),
        ({"unique_reference_id": ""}, ValidationFailed),
    ],
)
def test_one_thing_wrong_with_a_charge(ledger: Ledger, changes: dict[str, Any], kind: type[LedgerError]) -> None:
    assert isinstance(refused(ledger, charge(ledger, **changes)), kind)


def test_a_feature_without_a_meter_cannot_be_charged_by_usage(ledger: Ledger) -> None:
    ledger.catalogue.define_feature("seats")

    assert isinstance(refused(ledger, charge(ledger, feature="seats")), MeterNotFound)


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("-1", "amount_not_positive"),
        ("0", "amount_not_positive"),
        (0.1, "invalid_number"),
        ("1e3", "invalid_number"),
        ("NaN", "invalid_number"),
        ("1" + "0" * 24, "invalid_number"),
        ("ten", "invalid_number"),
        (None, "invalid_number"),
        (True, "invalid_number"),
    ],
)
def test_an_amount_that_is_no_exact_positive_number(ledger: Ledger, amount: object, code: str) -> None:
    error = refused(ledger, lambda: ledger.credits.grant("acme", amount))

    assert isinstance(error, ValidationFailed)
    assert code in error.codes


def test_a_grant_that_expires_before_it_begins_or_has_expired_already(ledger: Ledger) -> None:
    backwards = refused(
        ledger,
        lambda: ledger.credits.grant(
            "acme", "1", effective_at="2026-03-01T00:00:00Z", expires_at="2026-02-01T00:00:00Z"
        ),
    )
    past = refused(ledger, lambda: ledger.credits.grant("acme", "1", expires_at="2025-02-01T00:00:00Z"))

    assert isinstance(backwards, ValidationFailed)
    assert isinstance(past, ValidationFailed)


def test_a_charge_that_does_not_exist(ledger: Ledger) -> None:
    assert isinstance(refused(ledger, lambda: ledger.charges.get("not-an-id")), ChargeNotFound)
    assert isinstance(refused(ledger, lambda: ledger.charges.get(UUID(int=0))), ChargeNotFound)
    assert isinstance(
        refused(ledger, lambda: ledger.charges.advance("acme", "00000000-0000-0000-0000-000000000000")),
        ChargeNotFound,
    )


def test_a_charge_of_another_customer_is_not_found_under_this_one(ledger: Ledger) -> None:
    ledger.customers.create("globex")
    other = january_charge(ledger, "globex")

    assert isinstance(refused(ledger, lambda: ledger.charges.advance("acme", other.id)), ChargeNotFound)


def test_bad_rows_of_a_file_are_all_told_with_their_lines_and_none_is_stored(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "usage.csv"
    file.write_text(
        "time,calls\n2026-01-01T00:00:00Z,1\nyesterday,1\n2026-01-02T00:00:00Z,many\n2026-01-03T00:00:00Z,1.5\n"
    )

    error = refused(
        ledger, lambda: ledger.usage.import_csv(file, time="time", customer="acme", meters={"calls": "calls"})
    )

    assert isinstance(error, ValidationFailed)
    assert [finding.path.split()[:2] for finding in error.findings] == [["line", "3"], ["line", "4"], ["line", "5"]]
    assert "too_many_decimals" in error.codes
    assert ledger.usage.quantity("acme", "calls", *JANUARY, stored_at_lt="2030-01-01T00:00:00Z").quantity == 0


@pytest.mark.parametrize(
    "profile",
    [
        {"collection_interval": "two days"},
        {"collection_interval": "-P1D"},
        {"zone": "Mars/Olympus"},
        {"colour": "red"},
        {"late_usage": "absorb"},
        {"periodic_runs": "weekly"},
        {"run_cuts": "sometimes"},
    ],
)
def test_a_profile_that_makes_no_sense(ledger: Ledger, profile: dict[str, str]) -> None:
    assert isinstance(refused(ledger, lambda: ledger.customers.create("globex", **profile)), ValidationFailed)


def test_a_profile_is_kept_with_everything_it_says(ledger: Ledger) -> None:
    said: dict[str, Any] = {
        "progressive_billing": True,
        "auto_approve": False,
        "payment_terms": "P14D",
        "late_usage": "absorb:5.00",
        "periodic_runs": "P1M",
        "offer_released_credit": "on",
    }

    profile = ledger.customers.create("globex", **said).profile

    assert {name: getattr(profile, name) for name in said} == {
        **said,
        "late_usage": LateUsage(LateUsageAction.ABSORB, Decimal("5.00")),
        "periodic_runs": Duration(months=1),
        "offer_released_credit": OfferReleasedCredit.ON,
    }


def test_a_profile_is_checked_whole_when_it_is_made(ledger: Ledger) -> None:
    """R-29: everything wrong with a configuration is told together."""
    profile: dict[str, Any] = {"collection_interval": "two days", "zone": "Mars/Olympus", "advance_limit": 0.5}

    error = refused(ledger, lambda: ledger.settings.change_default_profile(**profile))

    assert isinstance(error, ValidationFailed)
    assert {finding.path for finding in error.findings} == set(profile)


def test_policies_are_checked_whole_before_they_are_recorded(ledger: Ledger) -> None:
    """R-29: a choice that is none would be an event that nothing can read again."""
    wrong: dict[str, Any] = {"usage_credit_cut": "whenever", "credit_notes": 3}
    broken = msgspec.structs.replace(Policies.standard(), **wrong)

    error = refused(ledger, lambda: ledger.settings.change_policies(broken))

    assert isinstance(error, ValidationFailed)
    assert [finding.path for finding in error.findings] == ["policies.usage_credit_cut", "policies.credit_notes"]
    with pytest.raises(ValidationFailed):
        opened("memory:", policies=broken)
    no_policies: Any = {"usage_credit_cut": "last_second"}
    assert refused(ledger, lambda: ledger.settings.change_policies(no_policies)).code == "validation"
    ledger.settings.change_policies(Policies.standard())
    assert ledger.audit.verify().sound


def test_a_customer_that_exists_with_another_profile_is_a_conflict(ledger: Ledger) -> None:
    error = refused(ledger, lambda: ledger.customers.create("acme", collection_interval="P9D"))

    assert error.code == "already_exists"
    assert error.family == "conflict"


def test_nothing_is_created_when_one_of_several_intents_is_wrong(ledger: Ledger) -> None:
    from aggregates.charges.requests import NewPurchase, RequestedSettlement
    from aggregates.values.money import fiat

    def purchase(amount: str) -> NewPurchase:
        return NewPurchase(
            customer="acme",
            currency=fiat("USD"),
            credit_amount=Decimal(amount),
            settlement=RequestedSettlement(type="promotional"),
        )

    error = refused(ledger, lambda: ledger.charges.create([purchase("1"), purchase("-1"), purchase("-2")]))

    assert isinstance(error, ValidationFailed)
    assert {finding.path.split(".")[0] for finding in error.findings} == {"intents[1]", "intents[2]"}
