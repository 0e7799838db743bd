"""Look-ups: what a key names in a namespace, read either as it stands or as part of a decision.

A decision reads through its `Work`, so that every stream it relied on is checked by version when it is saved (decision
10); everything else reads through the repository. The rules are the same, so they are written once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from aggregates import customers, namespaces
from aggregates.catalogue import (
    CatalogEntry,
    CatalogKey,
    CostBasis,
    EntryKind,
    Feature,
    Meter,
    entry_stream,
    key_stream,
)
from aggregates.customers import Customer, Profile, effective
from aggregates.event import Stream
from aggregates.namespaces import NamespaceState
from aggregates.policies import Policies
from aggregates.values.errors import CurrencyNotFound, CustomerNotFound, FeatureNotFound, MeterNotFound
from aggregates.values.money import FIAT, Currency
from aggregates.values.period import Instant

Read = Callable[[Stream], Any]
"""Answers the state of a stream, None when it has no event."""


class Lookups:
    """Customers, profile, policies and catalogue of one namespace, through one way of reading streams."""

    def __init__(self, namespace: str, read: Read) -> None:
        self.namespace = namespace
        self._read = read

    def customer(self, key: str) -> Customer:
        """The customer. Raises `CustomerNotFound`."""
        state: Customer | None = self._read(customers.stream(self.namespace, key))
        if state is None:
            raise CustomerNotFound(key)
        return state

    def settings(self) -> NamespaceState:
        """Policies and default profile of the namespace; the standard ones before anyone said otherwise."""
        state: NamespaceState | None = self._read(namespaces.stream(self.namespace))
        return state or NamespaceState(policies=Policies.standard(), profile=Profile())

    def profile(self, customer: str) -> Profile:
        """The effective profile: what the customer says, else the namespace, else the built-in default."""
        return effective(self.customer(customer).profile, self.settings().profile)

    def entry(self, kind: EntryKind, key: str) -> CatalogEntry | None:
        """The catalogue entry a key names today, or None."""
        pointed: CatalogKey | None = self._read(key_stream(self.namespace, kind, key))
        return self.entry_by_id(pointed.entry_id) if pointed else None

    def entry_by_id(self, entry_id: UUID) -> CatalogEntry | None:
        """A catalogue entry by its id, whatever its key names today; None when there is none."""
        entry: CatalogEntry | None = self._read(entry_stream(entry_id))
        return entry

    def meter(self, key: str) -> Meter:
        """The meter a key names today. Raises `MeterNotFound`."""
        entry = self.entry(EntryKind.METER, key)
        if entry is None or entry.meter is None:
            raise MeterNotFound(key)
        return entry.meter

    def meter_by_id(self, meter_id: UUID) -> Meter:
        """A meter by id, as a run pins it. Raises `MeterNotFound`."""
        entry = self.entry_by_id(meter_id)
        if entry is None or entry.meter is None:
            raise MeterNotFound(meter_id)
        return entry.meter

    def feature(self, name: str) -> Feature:
        """The feature that a key names today, or the one of that id. Raises `FeatureNotFound`."""
        entry = self.entry(EntryKind.FEATURE, name)
        if entry is None and (entry_id := _uuid(name)) is not None:
            entry = self.entry_by_id(entry_id)
        if entry is None or entry.feature is None:
            raise FeatureNotFound(name)
        return entry.feature

    def currency(self, code: str) -> Currency:
        """A fiat currency by its ISO code, or a custom currency of this namespace. Raises `CurrencyNotFound`."""
        if code in FIAT:
            return FIAT[code]
        entry = self.entry(EntryKind.CURRENCY, code)
        if entry is None or entry.currency is None:
            raise CurrencyNotFound(code)
        return entry.currency

    def cost_basis(self, entry_id: UUID) -> tuple[Currency, CostBasis] | None:
        """An entry of a rate table by its id, and the custom currency it is a rate of; None when there is none."""
        pointed: CatalogKey | None = self._read(key_stream(self.namespace, EntryKind.COST_BASIS, str(entry_id)))
        entry = self.entry_by_id(pointed.entry_id) if pointed else None
        if entry is None or entry.currency is None:
            return None
        found = entry.cost_basis(entry_id)
        return (entry.currency, found) if found else None

    def rate_at(self, currency_key: str, fiat_code: str, moment: Instant) -> CostBasis | None:
        """The rate of a custom currency in force at an instant; `currency_key` is the currency's id."""
        entry_id = _uuid(currency_key)
        entry = self.entry_by_id(entry_id) if entry_id else None
        return entry.rate_at(fiat_code, moment) if entry else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
