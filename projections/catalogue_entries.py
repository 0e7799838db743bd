"""`catalogue_entries`: one row per meter, feature, custom currency and rate, and from when to when its key named it.

An event that points a key at an entry does not say which one the key named before. A row for the key itself remembers
that; people do not see it, as its `since` is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from aggregates.catalogue import (
    EVENTS,
    CostBasisDefined,
    CurrencyDefined,
    EntryKind,
    FeatureDefined,
    KeyPointed,
    MeterDefined,
)
from projections.projection import Cell, Entry, Folded, Key, Rows, changed


class CatalogueEntry(NamedTuple):
    """A definition. Times are UTC.

    `key` is the word it is called by: of a currency its code, of a rate its id. `since` is when the key was pointed at
    it, of a rate when it was entered; `replaced_at` when the key was pointed elsewhere. `definition_position` is the
    place of the definition in the log, so that of two of one key the newer has the greater.

    Of a meter there are `aggregation`, `decimals` and `property`; of a feature `name` and `meter`, an entry; of a
    currency `precision`; of a rate `currency`, an entry, and what a unit of it is worth in `fiat_currency`, of that
    `precision`, from `effective_from` on. A row with `names` is that of a key, and no definition: it says which entry
    the key names.
    """

    entry: UUID
    namespace: str
    kind: str
    key: str
    since: datetime | None
    replaced_at: datetime | None
    definition_position: int
    aggregation: str | None
    decimals: int | None
    property: str | None
    name: str | None
    meter: UUID | None
    precision: int | None
    currency: UUID | None
    rate: Decimal | None
    fiat_currency: str | None
    effective_from: datetime | None
    names: UUID | None
    position: int


def _effects(entry: Entry) -> Mapping[Key, None]:
    record, body = entry.record, entry.record.body
    match body:
        case KeyPointed(kind=EntryKind.COST_BASIS):
            return {}  # it says in which stream the rate stands, and a rate is never replaced
        case KeyPointed():
            return {(record.stream,): None, (body.entry_id,): None}
        case CostBasisDefined():
            return {(body.cost_basis.id,): None}
        case _:
            return {(record.stream,): None}


def _fold(rows: Rows, entry: Entry, touched: Sequence[tuple[Cell, Any]]) -> None:
    body, places = entry.record.body, [place for place, _ in touched]
    match places:
        case [key, named] if isinstance(body, KeyPointed):
            _point(rows, entry, body, key, named)
        case [place]:
            rows.put(place, _defined(entry))
        case _:
            pass


def _point(rows: Rows, entry: Entry, body: KeyPointed, key: Cell, named: Cell) -> None:
    """The key names that entry from now on, and no longer the one before."""
    at, position = entry.record.at, entry.position
    before: UUID | None = key.row.names if key.row is not None else None
    if before == body.entry_id:
        return
    if before is not None:
        replaced = rows.cell((before,))
        rows.fetch()
        if replaced.row is not None:
            rows.put(replaced, changed(replaced.row, {"replaced_at": at, "position": position}))
    remembered = key.row or _new(entry, key.key[0], body.kind, body.key)
    rows.put(key, changed(remembered, {"names": body.entry_id, "position": position}))
    if named.row is not None:
        rows.put(named, changed(named.row, {"since": at, "replaced_at": None, "position": position}))


def _defined(entry: Entry) -> CatalogueEntry:
    record, body = entry.record, entry.record.body
    said: dict[str, Any]
    match body:
        case MeterDefined(meter=meter):
            said = {"aggregation": meter.aggregation.value, "decimals": meter.decimals, "property": meter.property}
            return changed(_new(entry, record.stream, EntryKind.METER, meter.key), said)
        case FeatureDefined(feature=feature):
            said = {"name": feature.name, "meter": feature.meter_id}
            return changed(_new(entry, record.stream, EntryKind.FEATURE, feature.key), said)
        case CurrencyDefined(currency=currency):
            said = {"precision": currency.precision}
            return changed(_new(entry, record.stream, EntryKind.CURRENCY, currency.code), said)
        case CostBasisDefined(cost_basis=rate):
            said = {
                "currency": record.stream,
                "rate": rate.rate,
                "fiat_currency": rate.fiat_currency.code,
                "precision": rate.fiat_currency.precision,
                "effective_from": rate.effective_from,
                "since": record.at,
            }
            return changed(_new(entry, rate.id, EntryKind.COST_BASIS, str(rate.id)), said)
        case _:
            raise AssertionError(f"{record.body} defines nothing")


def _new(entry: Entry, row: UUID, kind: EntryKind, key: str) -> CatalogueEntry:
    """A row with nothing in it but what it is a row of."""
    position = entry.position
    known = (row, entry.record.namespace, kind.value, key, None, None, position)
    return CatalogueEntry._make((*known, *(None,) * 11, position))


CATALOGUE_ENTRIES = Folded(
    name="catalogue_entries",
    version=1,
    row=CatalogueEntry,
    key=("entry",),
    indexes=(("namespace", "kind", "key", "definition_position"), ("currency",)),
    listens=frozenset(event.NAME for event in EVENTS),
    shown_when="since",
    effects=_effects,
    folding=_fold,
)
