"""The catalogue of a namespace: meters, features and custom currencies, and the keys that name them.

An **entry** is one immutable definition with an id of its own (decision 18: a run pins the meter it was rated with).
A **key** maps (namespace, kind, key) to the entry it names today; re-pointing a key leaves the old entry, and every
run rated with it, as it was (lifecycles §5.6).
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, assert_never
from uuid import UUID

import msgspec

from aggregates.event import DomainEvent, Recorded, Stream
from aggregates.values.identifiers import catalogue_key_stream
from aggregates.values.money import Currency
from aggregates.values.period import Instant

MAX_DECIMALS = 18


class EntryKind(StrEnum):
    """What a catalogue entry defines."""

    METER = "meter"
    FEATURE = "feature"
    CURRENCY = "currency"
    COST_BASIS = "cost_basis"


class Aggregation(StrEnum):
    """How a meter turns the usage events of a window into one quantity."""

    SUM = "sum"
    COUNT = "count"
    MAX = "max"
    MIN = "min"
    LATEST = "latest"
    UNIQUE_COUNT = "unique_count"


class Meter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One immutable version of a meter.

    `decimals` is the number of decimals its values may have; a value with more is refused, never rounded
    (architecture §7). `property` names the event property a unique count counts; other aggregations use the value.
    """

    id: UUID
    key: str
    aggregation: Aggregation
    decimals: int = 0
    property: str | None = None


class Feature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that is sold. A feature with a meter can be charged by usage (lifecycles §2.2)."""

    id: UUID
    key: str
    name: str
    meter_id: UUID | None = None


class CostBasis(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An entry of a custom currency's rate table: a unit of it is worth `rate` in fiat from `effective_from` on.

    An entry never changes; the one in force at an instant is the newest that has become effective by then, per fiat
    currency (lifecycles §12.1).
    """

    id: UUID
    fiat_currency: Currency
    rate: Decimal
    effective_from: Instant


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


class MeterDefined(DomainEvent, frozen=True):
    """A meter was defined; the definition never changes."""

    NAME: ClassVar[str] = "catalog_entry.meter_defined.v1"
    meter: Meter


class FeatureDefined(DomainEvent, frozen=True):
    """A feature was defined; the definition never changes."""

    NAME: ClassVar[str] = "catalog_entry.feature_defined.v1"
    feature: Feature


class CurrencyDefined(DomainEvent, frozen=True):
    """A custom currency was defined; its precision never changes."""

    NAME: ClassVar[str] = "catalog_entry.currency_defined.v1"
    currency: Currency


class CostBasisDefined(DomainEvent, frozen=True):
    """The rate table of a custom currency gained an entry; it stands in the currency's own stream."""

    NAME: ClassVar[str] = "catalog_entry.cost_basis_defined.v1"
    cost_basis: CostBasis


class KeyPointed(DomainEvent, frozen=True):
    """A catalogue key was pointed at an entry, from now on until it is pointed elsewhere."""

    NAME: ClassVar[str] = "catalog_key.pointed.v1"
    kind: EntryKind
    key: str
    entry_id: UUID


EVENTS: tuple[type[DomainEvent], ...] = (
    MeterDefined,
    FeatureDefined,
    CurrencyDefined,
    CostBasisDefined,
    KeyPointed,
)
EntryEvent = MeterDefined | FeatureDefined | CurrencyDefined | CostBasisDefined

# ── states ───────────────────────────────────────────────────────────────────────────────────────────────────


class CatalogEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A catalogue entry: exactly one of its three definitions is present. A currency has its rate table with it."""

    meter: Meter | None = None
    feature: Feature | None = None
    currency: Currency | None = None
    cost_bases: tuple[CostBasis, ...] = ()

    def cost_basis(self, entry_id: UUID) -> CostBasis | None:
        """The entry of the rate table of that id."""
        return next((entry for entry in self.cost_bases if entry.id == entry_id), None)

    def rate_at(self, fiat_code: str, moment: Instant) -> CostBasis | None:
        """The entry in force at an instant: the newest of that fiat currency that has become effective by then."""
        in_force = [e for e in self.cost_bases if e.fiat_currency.code == fiat_code and e.effective_from <= moment]
        return max(in_force, key=lambda entry: entry.effective_from, default=None)


class CatalogKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key names today."""

    kind: EntryKind
    key: str
    entry_id: UUID


def evolve_entry(state: CatalogEntry | None, record: Recorded[EntryEvent]) -> CatalogEntry:
    """An entry is what its first event says; a currency gains entries of its rate table."""
    match record.body:
        case MeterDefined(meter=meter):
            return CatalogEntry(meter=meter)
        case FeatureDefined(feature=feature):
            return CatalogEntry(feature=feature)
        case CurrencyDefined(currency=currency):
            return CatalogEntry(currency=currency)
        case CostBasisDefined(cost_basis=cost_basis):
            before = state if state is not None else CatalogEntry()
            return msgspec.structs.replace(before, cost_bases=(*before.cost_bases, cost_basis))
        case _ as unreachable:
            assert_never(unreachable)


def evolve_key(_state: CatalogKey | None, record: Recorded[KeyPointed]) -> CatalogKey:
    """A key names what it was pointed at last."""
    return CatalogKey(kind=record.body.kind, key=record.body.key, entry_id=record.body.entry_id)


def entry_stream(entry_id: UUID) -> Stream:
    """The stream of one catalogue entry."""
    return Stream("catalog_entry", entry_id)


def key_stream(namespace: str, kind: EntryKind, key: str) -> Stream:
    """The stream of one catalogue key."""
    return Stream("catalog_key", catalogue_key_stream(namespace, kind.value, key))
