"""Small ledgers that tests of the application begin with."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from aggregates.charges.state import Charge
from aggregates.policies import Policies
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from ledger.prices import unit

JANUARY = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")


def opened(url: str, now: str = "2026-01-01T00:00:00Z", policies: Policies | None = None) -> Ledger:
    """A ledger under the reference policies, whose clock stands still."""
    return Ledger.open(url, clock=SettableClock(now), policies=policies or Policies.reference())


def at(ledger: Ledger, moment: str) -> None:
    """Set the ledger's clock."""
    clock = ledger.clock
    assert isinstance(clock, SettableClock)
    clock.set(moment)


def with_customer(ledger: Ledger, customer: str = "acme", *, collection_interval: str = "P2D") -> None:
    """A customer, and a metered feature called calls."""
    ledger.customers.create(customer, collection_interval=collection_interval)
    ledger.catalogue.define_meter("calls")
    ledger.catalogue.define_feature("calls", meter="calls")


def used(ledger: Ledger, quantity: str, time: str, *, id: str | None = None, customer: str = "acme") -> None:
    """That many calls at that time; the meter learns of them now."""
    event = UsageEvent(
        source="test",
        id=id or f"{customer}:{time}:{quantity}",
        customer=customer,
        meter="calls",
        time=timestamp(time),
        value=Decimal(quantity),
    )
    ledger.usage.record([event])


def january_charge(ledger: Ledger, customer: str = "acme", price: object = unit("1"), **terms: Any) -> Charge:
    """The calls of January 2026, at 1 USD each unless the price says otherwise."""
    return ledger.charges.create_usage(
        customer, feature="calls", price=price, period_from=JANUARY[0], period_to=JANUARY[1], **terms
    )
