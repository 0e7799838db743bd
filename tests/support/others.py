"""What others do while a command is under way: they act upon everything there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from aggregates.policies import Policies
from aggregates.values.errors import LedgerError
from ledger.facade import Ledger
from tests.support.commands import LATER


def meanwhile(ledger: Ledger) -> None:
    """Others act upon everything there is, as far as it lets them, and what is due then is done."""
    for charge in ledger.charges.list("acme"):
        acts: tuple[Callable[[], object], ...] = (
            partial(ledger.charges.set_override, charge.id, name="Renamed", invoice_at=LATER),
            partial(ledger.charges.extend, charge.id, service_period_to=LATER),
            partial(ledger.charges.delete, charge.id),
            partial(ledger.credits.record_payment, charge.id, "paid"),
            partial(ledger.credits.void, charge.id),
        )
        _as_far_as_it_goes(acts)
    for invoice in ledger.invoices.list("acme"):
        steps: tuple[Callable[[], object], ...] = (
            partial(ledger.invoices.approve, invoice.id),
            partial(ledger.invoices.record_payment, invoice.id, "paid", amount="1"),
            partial(ledger.invoices.void, invoice.id),
            partial(ledger.invoices.delete, invoice.id),
        )
        _as_far_as_it_goes(steps)
    ledger.catalogue.define_meter("elsewhere")
    for feature in ("calls", "files"):
        ledger.catalogue.define_feature(feature, meter="elsewhere")
    ledger.customers.change_profile("acme", zone="America/Lima")
    ledger.settings.change_policies(Policies.reference())
    ledger.credits.grant("acme", "7")
    ledger.worker.run_once()


def _as_far_as_it_goes(acts: Iterable[Callable[[], object]]) -> None:
    for act in acts:
        with suppress(LedgerError):
            act()
