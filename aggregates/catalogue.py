"""The catalogue of a namespace: meters, features and custom currencies, and the keys that name them.

An **entry** is one immutable definition with an id of its own (decision 18: a run pins the meter it was rated with).
A **key** maps (namespace, kind, key) to the entry it names today; re-pointing a key leaves the old entry, and every
run rated with it, as it was (lifecycles §5.6).
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, assert_never
from uuid import UUID

import msgspec

from aggregates.event import DomainEvent, Recorded, Stream
from aggregates.values.identifiers import catalogue_key_stream
from aggregates.values.money import Currency

MAX_DECIMALS = 18


class EntryKind(StrEnum):
    """What a catalogue entry defines."""

    METER = "meter"
    FEATURE = "feature"
    CURRENCY = "currency"


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


class KeyPointed(DomainEvent, frozen=True):
    """A catalogue key was pointed at an entry, from now on until it is pointed elsewhere."""

    NAME: ClassVar[str] = "catalog_key.pointed.v1"
    kind: EntryKind
    key: str
    entry_id: UUID


EVENTS: tuple[type[DomainEvent], ...] = (MeterDefined, FeatureDefined, CurrencyDefined, KeyPointed)
EntryEvent = MeterDefined | FeatureDefined | CurrencyDefined

# ── states ───────────────────────────────────────────────────────────────────────────────────────────────────


class CatalogEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A catalogue entry: exactly one of its three definitions is present."""

    meter: Meter | None = None
    feature: Feature | None = None
    currency: Currency | None = None


class CatalogKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key names today."""

    kind: EntryKind
    key: str
    entry_id: UUID


def evolve_entry(_state: CatalogEntry | None, record: Recorded[EntryEvent]) -> CatalogEntry:
    """An entry is what its one event says."""
    match record.body:
        case MeterDefined(meter=meter):
            return CatalogEntry(meter=meter)
        case FeatureDefined(feature=feature):
            return CatalogEntry(feature=feature)
        case CurrencyDefined(currency=currency):
            return CatalogEntry(currency=currency)
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
