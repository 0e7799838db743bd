"""Random lifetimes of a customer through the facade: after every command all that always holds, holds.

Charges of every type and way of settling, patches, invoices, payments in parts and too much, voids, write-offs, late
usage, retries; under both bundles of policies, invoices approved by hand or by themselves. `scripts/soak.py` plays
such lifetimes for as long as it is asked to.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.policies import Policies
from tests.support.histories import Asked
from tests.support.lifetimes import KINDS, LIFETIME, Lifetime

numbers = st.integers(0, 5_000)
commands = st.lists(st.builds(Asked, st.integers(0, KINDS - 1), numbers, numbers, numbers), min_size=25, max_size=50)
POLICIES = {"standard": Policies.standard, "reference": Policies.reference}


@pytest.mark.parametrize("policies", sorted(POLICIES))
@given(asked=commands, auto_approve=st.booleans())
@settings(max_examples=12, deadline=None)
def test_whatever_is_asked_books_charges_and_invoices_agree(
    policies: str, asked: list[Asked], *, auto_approve: bool
) -> None:
    lifetime = Lifetime(policies=POLICIES[policies](), auto_approve=auto_approve)
    for each in asked:
        lifetime.play(each)
    lifetime.finish()


@pytest.mark.parametrize("policies", sorted(POLICIES))
def test_a_lifetime_on_a_database_is_one_in_memory(sqlite_url: str, policies: str) -> None:
    """Every operation once, in the order of the table, with time in between: the same balances and statuses."""
    asked = [Asked(kind, 7 * kind + 1, 3 * kind, 5 * kind + 2) for kind in range(KINDS)]
    lifetimes = [Lifetime(url, POLICIES[policies]()) for url in ("memory:", sqlite_url)]
    for lifetime in lifetimes:
        for each in asked:
            lifetime.play(each)

    told = [
        (
            lifetime.ledger.views.balance("acme").settled,
            [charge.status for charge in lifetime.ledger.charges.list("acme")],
            [(invoice.status, invoice.totals) for invoice in lifetime.ledger.invoices.list("acme")],
            lifetime.refused,
        )
        for lifetime in lifetimes
    ]
    assert told[0] == told[1]
    for lifetime in lifetimes:
        lifetime.finish()


def test_every_operation_of_a_lifetime_can_be_drawn() -> None:
    lifetime = Lifetime()

    assert len(lifetime.commands) == KINDS
    assert {command.__name__ for command in lifetime.commands[-len(LIFETIME) :]} == set(LIFETIME)
    lifetime.ledger.close()
