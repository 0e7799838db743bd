"""A ledger whose usage comes late: one customer, January of one meter, and what each clock reading brings."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Self

from aggregates.charges.state import Charge
from aggregates.policies import Policies
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import text
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from ledger.prices import unit

BY_INVOICE = "credit_then_invoice"


class Late:
    """January from credit or by invoice, collected on 3 February, whatever is asked of the ledger later."""

    def __init__(self, url: str, policies: Policies | None = None, **profile: Any) -> None:
        self.clock = SettableClock("2025-12-01T00:00:00Z")
        self.ledger = Ledger.open(url, clock=self.clock, policies=policies)
        self.ledger.customers.create("acme", collection_interval="P2D", **profile)
        self.ledger.catalogue.define_meter("calls")
        self.ledger.catalogue.define_feature("calls", meter="calls")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    def at(self, moment: str) -> Ledger:
        """The ledger at that time."""
        self.clock.set(moment)
        return self.ledger

    def january(self, mode: str = BY_INVOICE, price: object = unit("10"), **terms: Any) -> Charge:
        """The charge for January."""
        return self.ledger.charges.create_usage(
            "acme",
            feature="calls",
            price=price,
            period_from="2026-01-01T00:00:00Z",
            period_to="2026-02-01T00:00:00Z",
            settlement_mode=mode,
            **terms,
        )

    def use(self, units: str | int, time: str = "2026-01-15T00:00:00Z", id: str | None = None) -> None:
        """Usage that is stored now."""
        name = id or f"{time}:{units}:{self.clock.now().isoformat()}"
        event = UsageEvent(
            source="test", id=name, customer="acme", meter="calls", time=timestamp(time), value=Decimal(units)
        )
        self.ledger.usage.record([event])

    def worked(self, *moments: str) -> None:
        """The worker does what is due at each of these times."""
        for moment in moments:
            self.at(moment).worker.run_once()

    def closed(self) -> None:
        """January is over, collected and invoiced."""
        self.worked("2026-02-01T00:00:00Z", "2026-02-03T00:01:00Z")

    def paid(self) -> None:
        """Every invoice that is open is paid."""
        for invoice in self.ledger.invoices.list("acme"):
            if invoice.open:
                self.ledger.invoices.record_payment(invoice.id, "paid")

    def later(self, units: str | int, day: str = "2026-03-01") -> None:
        """Usage of January that is stored on that day, and the worker two minutes later."""
        self.at(f"{day}T00:00:00Z")
        self.use(units)
        self.worked(f"{day}T00:02:00Z")

    def runs(self, charge: Charge) -> list[RealizationRun]:
        """The runs that count."""
        return [run for run in self.ledger.charges.runs(charge.id) if not run.is_voided]

    def figures(self, charge: Charge) -> list[tuple[str, str, str]]:
        """Of each run that counts: type, what it was rated at, what credit covers."""
        return [
            (run.type.value, text(run.totals.total + run.credits_total), text(run.credits_total))
            for run in self.runs(charge)
        ]

    def rated(self, charge: Charge) -> Decimal:
        """What all runs that count come to."""
        return sum((run.totals.total + run.credits_total for run in self.runs(charge)), Decimal(0))

    def sound(self) -> None:
        """Nothing in the history contradicts itself."""
        assert self.ledger.audit.verify().findings == ()
