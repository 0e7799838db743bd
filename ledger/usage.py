"""`ledger.usage`: record what customers use, import files of it, and ask how much it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from aggregates import customers
from aggregates.catalogue import Meter
from aggregates.customers import Customer
from aggregates.rating.parts import ByProperty
from aggregates.values.errors import CustomerIsDeleted, CustomerNotFound, Findings, MeterNotFound
from aggregates.values.period import instant, timestamp
from ledger.context import Context
from ledger.late_usage import LateUsage, LateUsageList
from ledger.metering import usage as rules
from ledger.metering.importer import ImportReport, UsageMapping, csv_file, import_usage, jsonl_file
from ledger.metering.store import IngestReport, UsageStore
from ledger.metering.usage import StoredUsage, UsageEvent
from ledger.paging import Page
from ledger.ports import Metered, MeterQuery

Progress = Callable[[int, int], None]

_EVER = datetime.max.replace(microsecond=0, tzinfo=UTC)
"""A cut that has not come: the answer holds everything stored so far, and closes nothing."""


class Usage:
    """Usage events go in once, whatever is sent twice; quantities come out exact."""

    def __init__(self, context: Context, store: UsageStore, late: LateUsageList) -> None:
        self._context = context
        self._store = store
        self._late = late
        self.checks_only = False
        """In a dry run what comes in is checked in full, and nothing of it is stored; reports then say 0 stored."""

    def record(self, events: Iterable[UsageEvent], *, stored_at: object = None) -> IngestReport:
        """Store usage events (`ledger.UsageEvent`). Known ones are counted, not stored again (decision 17).

        An event sent again with another content is quarantined (`conflicts`); the first one counts. `stored_at` is for
        tests: it stands in for the moment at which the meter learned of the events.

        Raises `ValidationFailed` with everything wrong with any event (`events[3]`); nothing is stored then. Usage of a
        customer that is deleted is refused (`customer_deleted`); what was stored before stays.
        """
        batch = list(events)
        findings = Findings()
        findings.items += rules.check_all(batch, self._meters({event.meter for event in batch}))
        for key in sorted({event.customer for event in batch}):
            state = self._customer(key)
            if state is None:
                findings.add("customer", CustomerNotFound.code, str(CustomerNotFound(key)))
            elif state.is_gone:
                findings.add("customer", CustomerIsDeleted.code, str(CustomerIsDeleted(key)))
        findings.raise_if_any()
        if self.checks_only:
            return IngestReport()
        moment = timestamp(stored_at) if isinstance(stored_at, str) else stored_at
        return self._store.ingest(self._context.namespace, batch, stored_at=moment)  # type: ignore[arg-type]

    def import_csv(
        self, path: str | Path, *, delimiter: str = ",", progress: Progress | None = None, **mapping: Any
    ) -> ImportReport:
        """Import a CSV file with a header: the whole file is checked first, then stored, or nothing is.

        Args:
            path: The file, UTF-8.
            delimiter: Between columns.
            progress: Told (rows done, rows in all) after each chunk.
            **mapping: `time` (column), `customer` or `customer_column`, `meters` (`{"input_tokens": "ContextTokens"}`:
                several meters in one pass) or `meter_column` and `value_column`, `id_column`, `properties`, `source`,
                `assume_utc` (times without a zone are refused otherwise), `from_` and `to` (event time, `[from_, to)`).

        Importing the same file again changes nothing. Raises `ValidationFailed` with every bad row by its line.
        """
        file = csv_file(path, self._mapping(mapping), self._meter, self._customer_exists, delimiter=delimiter)
        return import_usage(self._store, self._context.namespace, file, progress=progress, checks_only=self.checks_only)

    def import_jsonl(self, path: str | Path, *, progress: Progress | None = None, **mapping: Any) -> ImportReport:
        """Import a file with one JSON object a line; otherwise as `import_csv`."""
        file = jsonl_file(path, self._mapping(mapping), self._meter, self._customer_exists)
        return import_usage(self._store, self._context.namespace, file, progress=progress, checks_only=self.checks_only)

    def quantity(self, customer: str, meter: str, from_: object, to: object, *, stored_at_lt: object = None) -> Metered:
        """A meter's exact quantity over event time `[from_, to)`, stored before `stored_at_lt`, or all stored so far.

        Raises `CustomerNotFound`, `MeterNotFound`.
        """
        return self._store.quantity(self._query(customer, meter, from_, to, stored_at_lt))

    def by_property(
        self, customer: str, meter: str, property: str, from_: object, to: object, *, stored_at_lt: object = None
    ) -> dict[str | None, Decimal]:
        """The same quantity by value of a property of the usage events; None is for events without it.

        5 in eu and 3 that nobody says where are `{"eu": 5, None: 3}`. Raises as `quantity`; `ValidationFailed`
        (`meter_does_not_add_up`) for a meter that is neither a sum nor a count.
        """
        query = self._query(customer, meter, from_, to, stored_at_lt)
        return {
            part.value: part.quantity for part in self._store.parts(query, ByProperty(property_name=property)).parts
        }

    def _query(self, customer: str, meter: str, from_: object, to: object, stored_at_lt: object) -> MeterQuery:
        self._context.look.customer(customer)
        definition = self._context.look.meter(meter)
        cut = _EVER if stored_at_lt is None else instant(stored_at_lt)  # type: ignore[arg-type]
        return MeterQuery(
            namespace=self._context.namespace,
            customer=customer,
            meter=definition,
            from_=timestamp(from_),  # type: ignore[arg-type]
            to=timestamp(to),  # type: ignore[arg-type]
            stored_at_lt=cut,
        )

    def late(
        self, customer: str | None = None, *, outcome: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[LateUsage]:
        """Usage that was stored after the runs of its charge had been collected, and is not billed (decision 24).

        `outcome`: `found`, `asked`, `left`, `absorbed`, `dismissed` or `to_invoice`; any by default. The worker finds
        it. Raises `CustomerNotFound`, `ValidationFailed`.
        """
        return self._late.page(customer, outcome=outcome, after=after, limit=limit)

    def conflicts(self, *, after: int = 0, limit: int = 1_000) -> list[StoredUsage]:
        """Events quarantined because their id is stored with another content, by place."""
        return self._store.conflicts(self._context.namespace, after=after, limit=limit)

    def _mapping(self, given: Mapping[str, Any]) -> UsageMapping:
        fields: dict[str, Any] = dict(given)
        for name in ("from_", "to"):
            if fields.get(name) is not None:
                fields[name] = timestamp(fields[name])
        return UsageMapping(**fields)

    def _meter(self, key: str) -> Meter | None:
        try:
            return self._context.look.meter(key)
        except MeterNotFound:
            return None

    def _meters(self, keys: Iterable[str]) -> dict[str, Meter]:
        found = {key: self._meter(key) for key in keys}
        return {key: meter for key, meter in found.items() if meter is not None}

    def _customer(self, key: str) -> Customer | None:
        state: Customer | None = self._context.repository.load(customers.stream(self._context.namespace, key)).state
        return state

    def _customer_exists(self, key: str) -> bool:
        """Whether there is such a customer to use anything; one that is deleted is none."""
        state = self._customer(key)
        return state is not None and not state.is_gone
