"""What `ledger.catalogue` lists: meters, features and custom currencies, by key, a page at a time.

Of the definitions that keys name today there is one a key; those that were replaced stay in the view, as charges and
runs go on naming them by id (lifecycles §5.6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from aggregates.catalogue import Aggregation, CostBasis, EntryKind
from aggregates.values.money import Currency
from aggregates.values.period import instant
from ledger.paging import Page, checked_limit, page_of, read_cursor
from ledger.store.follow import Follower
from projections.catalogue_entries import CATALOGUE_ENTRIES, CatalogueEntry
from projections.stores.tables import Reader, Where

T = TypeVar("T")

_ORDER = ("key", "definition_position")


class MeterView(msgspec.Struct, frozen=True, kw_only=True):
    """A meter. `decimals`: how many its values may have; `property`: what a unique count counts.

    `since` is when its key was pointed at it, UTC.
    """

    id: UUID
    key: str
    aggregation: Aggregation
    decimals: int
    property: str | None
    since: datetime


class FeatureView(msgspec.Struct, frozen=True, kw_only=True):
    """A feature, with the key and the id of the meter that measures its usage, if there is one.

    `since` is when its key was pointed at it, `replaced_at` when the key was pointed at another definition; UTC.
    """

    id: UUID
    key: str
    name: str
    meter: str | None
    meter_id: UUID | None
    since: datetime
    replaced_at: datetime | None


class CurrencyView(msgspec.Struct, frozen=True, kw_only=True):
    """A custom currency, and all its rates by fiat currency and the time from which each holds.

    `precision` is the number of decimals that its amounts have, `since` when it was defined, UTC.
    """

    id: UUID
    code: str
    precision: int
    rates: tuple[CostBasis, ...]
    since: datetime


class CatalogueLists:
    """The catalogue of one namespace, as its view has it. `at_least` and `stale` are those of `ledger.views`."""

    def __init__(self, namespace: str, follower: Follower) -> None:
        self._namespace = namespace
        self._follower = follower

    def meters(self, after: str | None, limit: int, *, at_least: int | None, stale: bool) -> Page[MeterView]:
        """Meters by key. Raises `ValidationFailed`."""

        def views(_: Reader, rows: Sequence[CatalogueEntry]) -> list[MeterView]:
            return [_meter(row) for row in rows]

        return self._page(EntryKind.METER, views, after, limit, at_least=at_least, stale=stale)

    def features(
        self, after: str | None, limit: int, *, replaced: bool, at_least: int | None, stale: bool
    ) -> Page[FeatureView]:
        """Features by key, those of one key in the order of their definitions. Raises `ValidationFailed`."""

        def views(reader: Reader, rows: Sequence[CatalogueEntry]) -> list[FeatureView]:
            wanted = {row.meter for row in rows if row.meter is not None}
            meters = reader.select(CATALOGUE_ENTRIES, [Where("entry", "in", sorted(wanted))]) if wanted else []
            keys = {meter.entry: meter.key for meter in meters}
            return [_feature(row, keys.get(row.meter) if row.meter else None) for row in rows]

        return self._page(EntryKind.FEATURE, views, after, limit, replaced=replaced, at_least=at_least, stale=stale)

    def currencies(self, after: str | None, limit: int, *, at_least: int | None, stale: bool) -> Page[CurrencyView]:
        """Custom currencies by code. Raises `ValidationFailed`."""

        def views(reader: Reader, rows: Sequence[CatalogueEntry]) -> list[CurrencyView]:
            order = ("fiat_currency", "effective_from")
            rates: dict[UUID | None, list[CostBasis]] = {row.entry: [] for row in rows}
            found = (
                reader.select(CATALOGUE_ENTRIES, [Where("currency", "in", list(rates))], order=order) if rows else []
            )
            for rate in found:
                rates[rate.currency].append(_rate(rate))
            return [_currency(row, rates[row.entry]) for row in rows]

        return self._page(EntryKind.CURRENCY, views, after, limit, at_least=at_least, stale=stale)

    def _page(
        self,
        kind: EntryKind,
        views: Callable[[Reader, Sequence[CatalogueEntry]], list[T]],
        after: str | None,
        limit: int,
        *,
        replaced: bool = False,
        at_least: int | None,
        stale: bool,
    ) -> Page[T]:
        where = [Where("namespace", "=", self._namespace), Where("kind", "=", kind.value), Where("since", "present")]
        where += [] if replaced else [Where("replaced_at", "absent")]
        where += [Where(_ORDER, ">", read_cursor(after, (str, int)))] if after is not None else []
        size = checked_limit(limit) + 1
        with self._follower.reading((CATALOGUE_ENTRIES.name,), at_least=at_least, stale=stale) as reader:
            rows = reader.select(CATALOGUE_ENTRIES, where, order=_ORDER, limit=size)
            shown = dict(zip((row.entry for row in rows), views(reader, rows), strict=True))
        return page_of(rows, limit, lambda row: shown[row.entry], lambda row: (row.key, row.definition_position))


def _meter(row: CatalogueEntry) -> MeterView:
    assert row.since is not None
    assert row.aggregation is not None
    return MeterView(
        id=row.entry,
        key=row.key,
        aggregation=Aggregation(row.aggregation),
        decimals=row.decimals or 0,
        property=row.property,
        since=row.since,
    )


def _feature(row: CatalogueEntry, meter: str | None) -> FeatureView:
    assert row.since is not None
    return FeatureView(
        id=row.entry,
        key=row.key,
        name=row.name or "",
        meter=meter,
        meter_id=row.meter,
        since=row.since,
        replaced_at=row.replaced_at,
    )


def _currency(row: CatalogueEntry, rates: Sequence[CostBasis]) -> CurrencyView:
    assert row.since is not None
    return CurrencyView(id=row.entry, code=row.key, precision=row.precision or 0, rates=tuple(rates), since=row.since)


def _rate(row: CatalogueEntry) -> CostBasis:
    assert row.fiat_currency is not None
    assert row.rate is not None
    assert row.effective_from is not None
    return CostBasis(
        id=row.entry,
        fiat_currency=Currency(row.fiat_currency, row.precision or 0),
        rate=row.rate,
        effective_from=instant(row.effective_from),
    )
