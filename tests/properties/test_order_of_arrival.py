"""In which order facts arrive, and how often, makes no difference to the money.

The facts of one customer in January: usage, grants, a fee, payments. They are sent in any order, some twice, with
advances in between, all before collection ends. `MAY_DIFFER` is everything that may then differ; the rest is compared.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.charges.state import Charge
from aggregates.policies import Policies
from aggregates.values.decimals import ZERO
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from ledger.prices import unit
from tests.application.scenes import JANUARY, at
from tests.support.commands import bare

MAY_DIFFER = (
    "ids, and the order of events and of charges",
    "how many realizations a run has: what was allocated too early is corrected, or topped up (lifecycles §19.5.5)",
    "which grant pays for which charge, where several may",
)

Send = Callable[[Ledger], object]


class Fact(NamedTuple):
    """Something that arrives: its name, which is its command id as well, and how it is sent."""

    name: str
    send: Send


def usage(name: str, quantity: int, day: int) -> Fact:
    event = UsageEvent(
        source="test",
        id=name,
        customer="acme",
        meter="calls",
        time=timestamp(f"2026-01-{day:02}T00:00:00Z"),
        value=Decimal(quantity),
    )
    return Fact(name, lambda ledger: ledger.usage.record([event]))


def grant(name: str, amount: str) -> Fact:
    return Fact(
        name,
        lambda ledger: ledger.credits.grant("acme", amount, effective_at=JANUARY[0], command_id=name),
    )


def charge(name: str, mode: str) -> Fact:
    return Fact(
        name,
        lambda ledger: ledger.charges.create_usage(
            "acme",
            feature="calls",
            price=unit("0.37"),
            period_from=JANUARY[0],
            period_to=JANUARY[1],
            settlement_mode=mode,
            name=name,
            command_id=name,
        ),
    )


def fee(name: str, mode: str) -> Fact:
    return Fact(
        name,
        lambda ledger: ledger.charges.create_flat_fee(
            "acme",
            amount="9.99",
            period_from=JANUARY[0],
            period_to=JANUARY[1],
            payment_term="in_arrears",
            settlement_mode=mode,
            name=name,
            command_id=name,
        ),
    )


ADVANCE = Fact("advance", lambda ledger: ledger.worker.run_once())

FACTS = (
    usage("use-1", 7, 3),
    usage("use-2", 30, 15),
    usage("use-3", 1, 31),
    grant("grant-1", "4.20"),
    grant("grant-2", "5.01"),
    charge("usage", "credit_only"),
    fee("fee", "credit_only"),
)


def settled(policies: Policies, facts: list[Fact], moment: str) -> dict[str, object]:
    """What it all comes to once everything is collected."""
    with Ledger.open("memory:", clock=SettableClock("2026-01-01T00:00:00Z"), policies=policies) as ledger:
        bare(ledger)
        at(ledger, moment)
        for fact in facts:
            fact.send(ledger)
        at(ledger, "2026-02-03T00:01:00Z")
        ledger.worker.run_once()
        at(ledger, "2026-02-04T00:01:00Z")
        ledger.worker.run_once()
        assert ledger.audit.verify().sound
        balance = ledger.views.balance("acme")
        charges = {c.intent.effective.name: outcome(ledger, c) for c in ledger.charges.list("acme") if not c.grant}
        return {"settled": balance.settled, "earned": balance.earnings, **charges}


def outcome(ledger: Ledger, charge: Charge) -> tuple[object, ...]:
    runs = [run for run in ledger.charges.runs(charge.id) if not run.is_voided]
    return (
        charge.status,
        sum((run.totals.amount for run in runs), ZERO),
        sum((run.credits_total for run in runs), ZERO),
        [run.metered_quantity for run in runs][-1:],
    )


orders = st.permutations(FACTS)
repeats = st.lists(st.tuples(st.integers(0, 20), st.sampled_from((*FACTS, ADVANCE, ADVANCE))), max_size=8)


@given(orders, repeats, st.sampled_from(["2026-01-31T12:00:00Z", "2026-02-01T12:00:00Z"]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_facts_in_any_order_and_any_of_them_twice_come_to_the_same(
    order: list[Fact], again: list[tuple[int, Fact]], moment: str, standard: bool
) -> None:
    """38 units at 0.37 are 14.06, a fee of 9.99, credit of 9.21: 14.84 are owed, whatever came first."""
    policies = Policies.standard() if standard else Policies.reference()
    facts = list(order)
    for place, fact in again:
        facts.insert(place, fact)

    assert settled(policies, facts, moment) == settled(policies, list(FACTS), "2026-01-31T12:00:00Z")
    assert settled(policies, facts, moment)["settled"] == Decimal("-14.84")


PAYMENTS = ("1.00", "2.50", "10.00", "3.00")


@given(st.permutations(range(len(PAYMENTS))), st.lists(st.integers(0, len(PAYMENTS) - 1), max_size=4))
@settings(max_examples=15, deadline=None)
def test_payments_in_any_order_and_any_of_them_twice_come_to_the_same(order: list[int], again: list[int]) -> None:
    """24.05 by invoice, 16.50 arrive in four parts under their references: 7.55 are open; an issued invoice stays."""
    with Ledger.open("memory:", clock=SettableClock("2026-01-01T00:00:00Z")) as ledger:
        bare(ledger)
        for fact in (charge("usage", "credit_then_invoice"), fee("fee", "credit_then_invoice"), *FACTS[:3]):
            fact.send(ledger)
        for moment in (JANUARY[1], "2026-02-03T00:01:00Z"):
            at(ledger, moment)
            ledger.worker.run_once()
        [invoice] = ledger.invoices.list("acme")
        issued = invoice.issued

        for number in (*order, *again):
            ledger.invoices.record_payment(
                invoice.id, "paid", amount=PAYMENTS[number], reference=f"wire-{number}", command_id=f"pay-{number}"
            )

        paid = ledger.invoices.get(invoice.id)
        assert (paid.payable, paid.paid, paid.open, paid.issued) == (
            Decimal("24.05"),
            Decimal("16.50"),
            Decimal("7.55"),
            issued,
        )
        balance = ledger.views.balance("acme")
        assert (balance.wash, balance.receivable_open) == (Decimal("-16.50"), Decimal("-7.55"))
        assert ledger.audit.verify().sound
