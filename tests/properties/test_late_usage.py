"""Usage that comes late, in any order and in any number of parts, costs what it costs in time (decision 24)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.invoices.statuses import InvoiceStatus
from aggregates.rating.prices import AnyPrice, UnitPrice
from aggregates.rating.requests import RunEngine, RunToRate
from aggregates.rating.run import rate_totals
from aggregates.values.money import FIAT
from aggregates.values.period import period
from ledger.prices import graduated, package, unit, volume
from tests.application.late import BY_INVOICE, Late

JANUARY = period("2026-01-01", "2026-02-01")
PRICES: dict[str, AnyPrice] = {
    "unit": unit("10"),
    "fraction": unit("0.003"),
    "minimum": UnitPrice(amount=Decimal(10), minimum_amount=Decimal(100)),
    "maximum": UnitPrice(amount=Decimal(10), maximum_amount=Decimal(70)),
    "graduated": graduated(("5", "2"), (None, "0.5")),
    "volume": volume(("10", "3"), (None, "1")),
    "package": package("7", size="4"),
}
steps = st.lists(st.tuples(st.integers(min_value=-6, max_value=9), st.booleans()), min_size=1, max_size=4)
"""Usage that comes late, day by day, and whether the customer has paid before."""


voids = st.lists(
    st.tuples(st.integers(min_value=-9, max_value=9), st.booleans(), st.integers(min_value=-3, max_value=5)),
    min_size=1,
    max_size=4,
)
"""Usage that comes late, whether the customer has paid before, and which invoice is voided after: below 0 none."""


def costs(price: AnyPrice, units: Decimal) -> Decimal:
    """What January comes to when all of its usage is rated once."""
    asked = RunToRate(
        engine=RunEngine.INVOICE_COMPATIBLE_DELTA,
        price=price,
        currency=FIAT["USD"],
        service_period=JANUARY,
        period=JANUARY,
        quantity=max(units, Decimal(0)),
    )
    return rate_totals(asked, ended=True).total


@pytest.mark.parametrize("mode", ["credit_only", BY_INVOICE])
@pytest.mark.parametrize("price", PRICES.values(), ids=PRICES)
@settings(max_examples=8)
@given(first=st.integers(min_value=0, max_value=20), late_steps=steps, credit=st.integers(min_value=0, max_value=60))
def test_the_runs_that_count_come_to_what_all_usage_costs(
    price: AnyPrice, mode: str, first: int, late_steps: list[tuple[int, bool]], credit: int
) -> None:
    with Late("memory:") as late:
        charge = late.january(mode, price=price)
        if credit:
            late.ledger.credits.grant("acme", str(credit))
        late.use(first)
        late.closed()
        total = Decimal(first)
        for day, (units, has_paid) in enumerate(late_steps, start=1):
            if has_paid:
                late.paid()
            late.later(units, f"2026-03-{day:02}")
            total += units
            assert late.rated(charge) == costs(price, total)
        late.paid()

        balance = late.ledger.views.balance("acme")
        owed = late.rated(charge)
        assert balance.accrued + balance.earnings == owed
        assert balance.receivable_open + balance.receivable_authorized == (0 if mode == BY_INVOICE else balance.advance)
        late.sound()


@pytest.mark.parametrize("price", PRICES.values(), ids=PRICES)
@settings(max_examples=8)
@given(
    first=st.integers(min_value=0, max_value=20),
    second=st.integers(min_value=-5, max_value=20),
    then=voids,
    credit=st.integers(min_value=0, max_value=60),
)
def test_whatever_is_voided_the_customer_is_asked_for_what_all_usage_costs(
    price: AnyPrice, first: int, second: int, then: list[tuple[int, bool, int]], credit: int
) -> None:
    """January in two parts; what the books have as earned or to be earned is what was asked for in the end."""
    with Late("memory:", progressive_billing=True) as late:
        charge = late.january(BY_INVOICE, price=price)
        if credit:
            late.ledger.credits.grant("acme", str(credit))
        late.use(first, "2026-01-10T00:00:00Z")
        late.at("2026-01-16T00:00:00Z").invoices.invoice_pending_lines("acme")
        late.worked("2026-01-16T00:01:00Z")
        late.use(second, "2026-01-20T00:00:00Z")
        late.closed()
        total = Decimal(first + second)
        for day, (units, has_paid, voided) in enumerate(then, start=1):
            if has_paid:
                late.paid()
            late.later(units, f"2026-03-{day:02}")
            total += units
            invoices = late.ledger.invoices.list("acme")
            issued = [each for each in invoices if each.status.is_payable and each.status is not InvoiceStatus.VOIDED]
            if issued and voided >= 0:
                late.ledger.invoices.void(issued[voided % len(issued)].id)
            late.worked(*(f"2026-03-{day:02}T{hour:02}:00:00Z" for hour in (1, 2, 3, 4)))

            balance = late.ledger.views.balance("acme")
            assert late.rated(charge) == costs(price, total)
            assert balance.accrued + balance.earnings == costs(price, total)
        late.paid()
        balance = late.ledger.views.balance("acme")
        unapplied = sum((invoice.unapplied for invoice in late.ledger.invoices.list("acme")), Decimal(0))
        assert balance.receivable_open + balance.receivable_authorized == unapplied
        late.sound()


around = st.lists(
    st.tuples(st.integers(min_value=-9, max_value=9), st.booleans(), st.booleans(), st.integers(-3, 5)),
    min_size=1,
    max_size=4,
)
"""Usage that comes late, whether it is of before the 16th, whether the customer has paid, which invoice is voided."""


@pytest.mark.parametrize("price", [PRICES["unit"], PRICES["graduated"], PRICES["volume"]])
@settings(max_examples=10)
@given(
    first=st.integers(min_value=0, max_value=20),
    second=st.integers(min_value=0, max_value=20),
    between=st.integers(min_value=-5, max_value=9),
    then=around,
)
def test_usage_before_an_override_costs_what_it_costs_by_the_terms_before(
    price: AnyPrice, first: int, second: int, between: int, then: list[tuple[int, bool, bool, int]]
) -> None:
    """Issued until the 16th by one price, from there on by another, whatever comes late of either, or is voided."""
    with Late("memory:", progressive_billing=True) as late:
        charge = late.january(BY_INVOICE, price=price)
        late.use(first, "2026-01-10T00:00:00Z")
        late.at("2026-01-16T00:00:00Z").invoices.invoice_pending_lines("acme")
        late.worked("2026-01-16T00:01:00Z")
        late.use(between, "2026-01-12T00:00:00Z")
        period = {"from_": "2026-01-16T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
        late.ledger.charges.set_override(charge.id, service_period=period, price=unit("4"))
        late.use(second, "2026-01-20T00:00:00Z")
        late.closed()
        units = {True: Decimal(first + between), False: Decimal(second)}
        for day, (more, is_before, has_paid, voided) in enumerate(then, start=1):
            if has_paid:
                late.paid()
            late.at(f"2026-03-{day:02}T00:00:00Z")
            late.use(more, "2026-01-12T00:00:00Z" if is_before else "2026-01-20T00:00:00Z")
            units[is_before] += more
            invoices = late.ledger.invoices.list("acme")
            issued = [each for each in invoices if each.status.is_payable and each.status is not InvoiceStatus.VOIDED]
            if issued and voided >= 0:
                late.ledger.invoices.void(issued[voided % len(issued)].id)
            late.worked(*(f"2026-03-{day:02}T{hour:02}:00:00Z" for hour in range(1, 9)))

            owed = costs(price, units[True]) + costs(unit("4"), units[False])
            balance = late.ledger.views.balance("acme")
            assert late.rated(charge) == owed
            assert balance.accrued + balance.earnings == owed
        late.sound()
