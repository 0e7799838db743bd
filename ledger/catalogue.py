"""`ledger.catalogue`: meters, features and custom currencies of a namespace."""

from __future__ import annotations

from uuid import UUID, uuid5

import msgspec

from aggregates.catalogue import (
    Aggregation,
    CatalogKey,
    CostBasis,
    CostBasisDefined,
    CurrencyDefined,
    EntryKind,
    Feature,
    FeatureDefined,
    KeyPointed,
    Meter,
    MeterDefined,
    entry_stream,
    key_stream,
)
from aggregates.event import DomainEvent
from aggregates.values.errors import AlreadyExists, Findings, MeterNotFound
from aggregates.values.money import Currency, fiat
from aggregates.values.period import instant
from ledger import validation
from ledger.catalogue_lists import CatalogueLists, CurrencyView, FeatureView, MeterView
from ledger.commands import DefineCostBasis, DefineCurrency, DefineFeature, DefineMeter
from ledger.context import CommandId, Context
from ledger.paging import Page
from ledger.units import Work


class EntryAnswer(msgspec.Struct, frozen=True):
    """What a receipt keeps of a catalogue command."""

    entry_id: UUID


class Catalogue:
    """Define what can be metered and sold. Definitions never change; a key can be pointed at a newer one."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lists = CatalogueLists(context.namespace, context.follower)

    def define_meter(
        self,
        key: str,
        aggregation: str | Aggregation = Aggregation.SUM,
        *,
        decimals: int = 0,
        property: str | None = None,
        command_id: CommandId = None,
    ) -> Meter:
        """Define a meter, or answer the one of that key when it is the same.

        `decimals`: how many decimals its values may have; more are refused. `property`: for `unique_count`, the event
        property to count. Raises `ValidationFailed`, `AlreadyExists` when the key names another definition.
        """
        findings = Findings()
        command = validation.parse(
            DefineMeter, findings, key=key, aggregation=aggregation, decimals=decimals, property=property
        )
        validation.fail(findings)
        assert command is not None
        unit = self._context.unit("catalogue.define_meter", "", command, command_id)
        wanted = Meter(
            id=uuid5(unit.command_id, "meter"),
            key=command.key,
            aggregation=command.aggregation,
            decimals=command.decimals,
            property=command.property,
        )

        def same(present: Meter) -> bool:
            return msgspec.structs.replace(present, id=wanted.id) == wanted

        def decide(work: Work) -> EntryAnswer:
            entry_id = self._named(work, EntryKind.METER, wanted.key)
            if entry_id is not None:
                present = work.state(entry_stream(entry_id)).meter
                if not same(present):
                    raise AlreadyExists("meter", wanted.key)
                return EntryAnswer(entry_id)
            return self._define(work, EntryKind.METER, wanted.key, wanted.id, MeterDefined(meter=wanted))

        self._context.units.carry_out(unit, EntryAnswer, decide)
        return self._context.look.meter(wanted.key)

    def define_feature(
        self, key: str, *, name: str | None = None, meter: str | None = None, command_id: CommandId = None
    ) -> Feature:
        """Define a feature, or answer the one of that key when it is the same.

        A second definition of one key with another meter re-points the key: charges that have become active keep
        the feature they resolved (lifecycles §5.6). Raises `ValidationFailed`, `MeterNotFound`.
        """
        findings = Findings()
        command = validation.parse(
            DefineFeature, findings, key=key, name=name if name is not None else key, meter=meter
        )
        found: Meter | None = None
        if isinstance(meter, str):
            try:
                found = self._context.look.meter(meter)
            except MeterNotFound:
                validation.missing(findings, "meter", MeterNotFound, meter)
        validation.fail(findings)
        assert command is not None
        unit = self._context.unit("catalogue.define_feature", "", command, command_id)
        wanted = Feature(
            id=uuid5(unit.command_id, "feature"),
            key=command.key,
            name=command.name,
            meter_id=found.id if found else None,
        )

        def decide(work: Work) -> EntryAnswer:
            entry_id = self._named(work, EntryKind.FEATURE, wanted.key)
            if entry_id is not None:
                present: Feature = work.state(entry_stream(entry_id)).feature
                if msgspec.structs.replace(present, id=wanted.id) == wanted:
                    return EntryAnswer(entry_id)
            return self._define(work, EntryKind.FEATURE, wanted.key, wanted.id, FeatureDefined(feature=wanted))

        answer: EntryAnswer = self._context.units.carry_out(unit, EntryAnswer, decide).answer
        entry = self._context.look.entry_by_id(answer.entry_id)  # the key may name another by now
        assert entry is not None
        assert entry.feature is not None, f"feature {answer.entry_id} was just defined"
        return entry.feature

    def define_currency(self, code: str, *, precision: int, command_id: CommandId = None) -> Currency:
        """Define a custom currency, or answer the one of that code when it has the same precision.

        Raises `ValidationFailed`, `AlreadyExists` when the code has another precision.
        """
        findings = Findings()
        command = validation.parse(DefineCurrency, findings, code=code, precision=precision)
        validation.fail(findings)
        assert command is not None
        unit = self._context.unit("catalogue.define_currency", "", command, command_id)
        new_id = uuid5(unit.command_id, "currency")
        wanted = Currency(command.code, command.precision, str(new_id))

        def decide(work: Work) -> EntryAnswer:
            entry_id = self._named(work, EntryKind.CURRENCY, wanted.code)
            if entry_id is not None:
                present: Currency = work.state(entry_stream(entry_id)).currency
                if present.precision != wanted.precision:
                    raise AlreadyExists("currency", wanted.code)
                return EntryAnswer(entry_id)
            return self._define(work, EntryKind.CURRENCY, wanted.code, new_id, CurrencyDefined(currency=wanted))

        self._context.units.carry_out(unit, EntryAnswer, decide)
        return self._context.look.currency(wanted.code)

    def define_cost_basis(
        self,
        currency: str,
        *,
        rate: object,
        effective_from: object,
        fiat_currency: str = "USD",
        command_id: CommandId = None,
    ) -> CostBasis:
        """Enter what a unit of a custom currency is worth in fiat from an instant on (lifecycles §12.1).

        `rate` is above zero; `effective_from` is cut to whole seconds. What was resolved before stays as it was. The
        same entry again is answered as it stands. Raises `ValidationFailed`, `CurrencyNotFound`, `AlreadyExists` when
        another rate is in force from that instant.
        """
        findings = Findings()
        command = validation.parse(
            DefineCostBasis,
            findings,
            currency=currency,
            fiat_currency=fiat_currency,
            rate=rate,
            effective_from=effective_from,
        )
        found = self._context.find_currency(findings, currency)
        if found is not None and not found.is_custom:
            findings.add("currency", "currency_not_custom", f"{found.code} is fiat; only a custom currency has rates")
        validation.fail(findings)
        assert command is not None
        assert found is not None
        unit = self._context.unit("catalogue.define_cost_basis", "", command, command_id)
        wanted = CostBasis(
            id=uuid5(unit.command_id, "cost_basis"),
            fiat_currency=fiat(command.fiat_currency),
            rate=command.rate,
            effective_from=instant(command.effective_from),
        )
        stream = entry_stream(UUID(found.key))

        def decide(work: Work) -> EntryAnswer:
            for present in work.state(stream).cost_bases:
                if (present.fiat_currency, present.effective_from) == (wanted.fiat_currency, wanted.effective_from):
                    if present.rate != wanted.rate:
                        raise AlreadyExists("cost basis", f"{found.code} from {wanted.effective_from.isoformat()}")
                    return EntryAnswer(present.id)
            work.draft.emit(stream, CostBasisDefined(wanted))
            key = key_stream(self._context.namespace, EntryKind.COST_BASIS, str(wanted.id))
            work.load(key)
            pointed = KeyPointed(kind=EntryKind.COST_BASIS, key=str(wanted.id), entry_id=stream.id)
            work.draft.emit(key, pointed)
            return EntryAnswer(wanted.id)

        answer: EntryAnswer = self._context.units.carry_out(unit, EntryAnswer, decide).answer
        known = self._context.look.cost_basis(answer.entry_id)
        assert known is not None, f"the cost basis {answer.entry_id} was just entered"
        return known[1]

    def meter(self, key: str) -> Meter:
        """The meter a key names today. Raises `MeterNotFound`."""
        return self._context.look.meter(key)

    def feature(self, key: str) -> Feature:
        """The feature a key names today. Raises `FeatureNotFound`."""
        return self._context.look.feature(key)

    def currency(self, code: str) -> Currency:
        """A fiat or custom currency by code. Raises `CurrencyNotFound`."""
        return self._context.look.currency(code)

    def cost_bases(self, currency: str) -> tuple[CostBasis, ...]:
        """The rates of a custom currency, by fiat currency and the time from which each holds; a fiat one has none.

        The one in force at an instant is the last of its fiat currency that has begun by then (lifecycles §12.1).
        Raises `CurrencyNotFound`.
        """
        found = self._context.look.currency(currency)
        entry = self._context.look.entry_by_id(UUID(found.key)) if found.is_custom else None
        rates = entry.cost_bases if entry is not None else ()
        return tuple(sorted(rates, key=lambda rate: (rate.fiat_currency.code, rate.effective_from)))

    def meters(
        self, *, after: str | None = None, limit: int = 100, at_least: int | None = None, stale: bool = False
    ) -> Page[MeterView]:
        """The meters that keys name today, by key.

        `after` is the `next` of a page, `limit` how many a page has, up to 1,000; `at_least` and `stale` say how fresh
        it must be, as in `ledger.views`. Raises `ValidationFailed`.
        """
        return self._lists.meters(after, limit, at_least=at_least, stale=stale)

    def features(
        self,
        *,
        replaced: bool = False,
        after: str | None = None,
        limit: int = 100,
        at_least: int | None = None,
        stale: bool = False,
    ) -> Page[FeatureView]:
        """The features that keys name today, by key; in pages as `meters`.

        With `replaced` also those that a key named before, which charges that resolved them keep (lifecycles §5.6): of
        one key in the order of their definitions, today's last. Raises `ValidationFailed`.
        """
        return self._lists.features(after, limit, replaced=replaced, at_least=at_least, stale=stale)

    def currencies(
        self, *, after: str | None = None, limit: int = 100, at_least: int | None = None, stale: bool = False
    ) -> Page[CurrencyView]:
        """The custom currencies by code, with all their rates; in pages as `meters`. Fiat currencies are not listed.

        Raises `ValidationFailed`.
        """
        return self._lists.currencies(after, limit, at_least=at_least, stale=stale)

    def _named(self, work: Work, kind: EntryKind, key: str) -> UUID | None:
        pointed: CatalogKey | None = work.state(key_stream(self._context.namespace, kind, key))
        return pointed.entry_id if pointed else None

    def _define(self, work: Work, kind: EntryKind, key: str, entry_id: UUID, event: DomainEvent) -> EntryAnswer:
        work.load(entry_stream(entry_id))
        work.draft.emit(entry_stream(entry_id), event)
        work.draft.emit(
            key_stream(self._context.namespace, kind, key), KeyPointed(kind=kind, key=key, entry_id=entry_id)
        )
        return EntryAnswer(entry_id)
