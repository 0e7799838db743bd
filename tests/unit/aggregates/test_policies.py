"""Policies by name: how late usage is written, and what a customer may have otherwise than its namespace."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aggregates.customers import Profile, policies_for
from aggregates.policies import PER_CUSTOMER, LateUsage, LateUsageAction, OfferReleasedCredit, Policies, RunCuts
from aggregates.values.period import Duration


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("none", LateUsage(LateUsageAction.NONE)),
        ("bill", LateUsage(LateUsageAction.BILL)),
        ("ask", LateUsage(LateUsageAction.ASK)),
        ("absorb:5.00", LateUsage(LateUsageAction.ABSORB, Decimal("5.00"))),
    ],
)
def test_what_becomes_of_late_usage_is_read_and_written_alike(said: str, meant: LateUsage) -> None:
    assert LateUsage.parse(said) == meant
    assert str(meant) == said


@pytest.mark.parametrize("said", ["", "absorb", "absorb:", "absorb:0", "absorb:-1", "absorb:1e3", "bill:5", "later"])
def test_anything_else_is_no_policy_of_late_usage(said: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        LateUsage.parse(said)


def test_a_profile_overrides_the_policies_it_speaks_of_and_no_others() -> None:
    standard = Policies.standard()
    profile = Profile(run_cuts=RunCuts.PERIOD_END, periodic_runs=Duration(days=7))

    own = policies_for(standard, profile)

    assert (own.run_cuts, own.periodic_runs) == (RunCuts.PERIOD_END, Duration(days=7))
    assert (own.late_usage, own.credit_notes) == (standard.late_usage, standard.credit_notes)
    assert policies_for(standard, Profile()) is standard


def test_every_policy_of_a_customer_is_one_of_the_namespace_too() -> None:
    assert {*PER_CUSTOMER} == {*PER_CUSTOMER} & {*Profile.__struct_fields__} & {*Policies.__struct_fields__}


def test_the_two_bundles_are_those_of_the_decisions() -> None:
    """Decisions A, the columns of the table."""
    reference, standard = Policies.reference(), Policies.standard()

    assert (reference.run_cuts.value, standard.run_cuts.value) == ("period_end", "lot_bounds")
    assert (str(reference.late_usage), str(standard.late_usage)) == ("none", "bill")
    assert (reference.recognize_invoiced.value, standard.recognize_invoiced.value) == ("never", "over_service_period")
    assert reference.periodic_runs == standard.periodic_runs == Duration()
    assert reference.offer_released_credit is standard.offer_released_credit is OfferReleasedCredit.OFF
