"""The policy `rating_arithmetic`: how lines round where the reference's arithmetic is doubtful (rating §14, W10)."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from aggregates.policies import Arithmetic, Policies
from ledger.prices import graduated
from tests.application.scenes import at, january_charge, opened, used, with_customer

THREE_TIERS = graduated(("1", "0.005"), ("2", "0.005"), (None, "0.005"))


@pytest.mark.parametrize(("arithmetic", "billed"), [(Arithmetic.REFERENCE, "0.03"), (Arithmetic.EXACT, "0.02")])
def test_three_tiers_of_half_a_cent_are_billed_as_the_policy_says(arithmetic: Arithmetic, billed: str) -> None:
    policies = msgspec.structs.replace(Policies.standard(), rating_arithmetic=arithmetic)
    with opened("memory:", policies=policies) as ledger:
        with_customer(ledger)
        charge = january_charge(ledger, price=THREE_TIERS)
        used(ledger, "3", "2026-01-15T00:00:00Z")
        at(ledger, "2026-02-03T00:01:00Z")

        ledger.charges.advance("acme")

        [run] = ledger.charges.runs(charge.id)
        assert run.totals.credits_total == Decimal(billed)
        assert ledger.audit.verify().sound


def test_both_bundles_keep_the_arithmetic_of_the_reference() -> None:
    assert Policies.reference().rating_arithmetic is Arithmetic.REFERENCE
    assert Policies.standard().rating_arithmetic is Arithmetic.REFERENCE
