"""The aggregates of the product, and how each is folded: what the repository must know of the domain, in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aggregates import catalogue, customers, deliveries, namespaces
from aggregates.charges import state as charges
from aggregates.credits import state as credits_
from aggregates.credits.pool import CreditPool
from aggregates.event import AnyRecorded
from aggregates.invoices import numbering
from aggregates.invoices import state as invoices
from aggregates.runs import state as runs
from ledger.store.repository import Aggregate


def _folded(evolve: Callable[[Any, AnyRecorded], Any]) -> Callable[[Any, Iterable[AnyRecorded]], Any]:
    """A fold from an `evolve` whose streams are short."""

    def fold(state: object, records: Iterable[AnyRecorded]) -> object:
        for record in records:
            state = evolve(state, record)
        return state

    return fold


AGGREGATES: dict[str, Aggregate] = {
    "charge": Aggregate(charges.evolve, charges.fold),
    "realization_run": Aggregate(runs.evolve, runs.fold),
    # Only the pool grows for as long as its customer stays, so only the pool is kept as snapshots.
    "credit_pool": Aggregate(credits_.evolve, credits_.fold, "credit_pool.state.v2", CreditPool),
    "invoice": Aggregate(invoices.evolve, invoices.fold),
    "number_series": Aggregate(numbering.evolve, numbering.fold),
    "customer": Aggregate(customers.evolve, _folded(customers.evolve)),
    "catalog_entry": Aggregate(catalogue.evolve_entry, _folded(catalogue.evolve_entry)),
    "catalog_key": Aggregate(catalogue.evolve_key, _folded(catalogue.evolve_key)),
    "delivery": Aggregate(deliveries.evolve, _folded(deliveries.evolve)),
    "namespace": Aggregate(namespaces.evolve, _folded(namespaces.evolve)),
}
