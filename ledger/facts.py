"""Facts: what a decision about charges needs to know of the outside, asked for before it decides (lifecycles §19.4).

Profile, policies and catalogue are read as part of the decision, so that they are checked by version when it is saved;
metered quantities come from the meter port, and the answer goes into the decision's events.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import msgspec

from aggregates import customers, namespaces
from aggregates.catalogue import CostBasis
from aggregates.charges import decisions as deciding
from aggregates.charges.facts import CostBasisEntry, CostBasisNeeded, Facts, Feature, HeldKey, QuantityNeeded
from aggregates.charges.state import Charge
from aggregates.credits.pool import CreditPool
from aggregates.invoices.effects import LineNotice
from aggregates.rating.adjustments import UsageEvent
from aggregates.rating.parts import ByProperty, PartsNeeded
from aggregates.runs.decisions import Metered
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import FeatureNotFound, Finding, ValidationFailed
from aggregates.values.period import Duration
from ledger import pools
from ledger.context import Context
from ledger.lookups import Lookups
from ledger.ports import Meter, MeteredPart, MeterQuery, PartedMeter, adds_up
from ledger.units import Work


class FactFinder:
    """Finds what decisions about one customer's charges will ask for."""

    def __init__(self, context: Context, meter: Meter) -> None:
        self._context = context
        self._meter = meter

    def of_customer(
        self,
        work: Work,
        customer: str,
        *,
        features: Iterable[str] = (),
        keys: Iterable[HeldKey] = (),
        cost_bases: Iterable[UUID] = (),
        meters: Iterable[UUID] = (),
        looks_at_events: bool = False,
    ) -> Facts:
        """What all charges of a customer share in one command: clock, policies, profile; and what is named.

        Where a price `looks_at_events`, which of the meters, and of the features' meters, can tell theirs apart.

        The customer's profile overrides the policies that it may (decisions A).
        """
        work.load(customers.stream(self._context.namespace, customer), namespaces.stream(self._context.namespace))
        look = self._context.within(work)
        profile = look.profile(customer)
        settings = look.settings()
        tax = settings.tax
        assert profile.collection_interval is not None, "the built-in default has one"
        assert profile.zone is not None, "the built-in default has one"
        known = _features(look, features)
        return Facts(
            now=work.now,
            mint=self._context.mint,
            policies=customers.policies_for(settings.policies, profile),
            collection_interval=Duration.parse(profile.collection_interval),
            zone=profile.zone,
            features=known,
            tax_codes=frozenset(tax.codes) if tax is not None else None,
            invoicing_tax=tax.invoicing if tax is not None else None,
            credit_grant_tax=tax.credit_grant if tax is not None else None,
            held_keys=self._holders(keys),
            closed_until=settings.closed_until,
            advance_limit=profile.advance_limit,
            parted_meters=self._parted(look, known.values(), meters) if looks_at_events else frozenset(),
            cost_basis_entries=_entries(look, cost_bases),
        )

    def of_charge(self, work: Work, charge: Charge, facts: Facts) -> Facts:
        """The same with what one charge needs to advance: its feature, its rate, the quantity its run is rated with."""
        look = self._context.within(work)
        features = {**facts.features, **_features(look, deciding.features_needed(charge))}
        histories = self.histories(work, charge)
        known = msgspec.structs.replace(facts, features=features, cost_bases=_rate(look, charge), histories=histories)
        needed = deciding.quantities_needed(work.draft, charge.id, known)
        quantities = {question: self._ask(look, charge.customer, question) for question in needed}
        return msgspec.structs.replace(known, quantities=quantities)

    def naming(self, work: Work, charge: Charge, facts: Facts) -> Facts:
        """The same with the feature of one charge."""
        features = _features(self._context.within(work), deciding.features_needed(charge))
        return msgspec.structs.replace(facts, features={**facts.features, **features})

    def of_late_usage(self, work: Work, charge: Charge, facts: Facts) -> Facts:
        """The same with what a decision about late usage of a charge needs: the quantity as it is stored now."""
        look = self._context.within(work)
        answers = {each: self._ask(look, charge.customer, each) for each in deciding.late_quantities(charge, facts)}
        return msgspec.structs.replace(facts, quantities={**facts.quantities, **answers})

    def histories(self, work: Work, charge: Charge) -> dict[UUID, CreditPool]:
        """Pools with what was sealed, where a correction of the charge's runs would need it."""
        return pools.histories(work, self._context.repository.store, self._context.follower, charge)

    def answering(self, work: Work, charge: Charge, notice: LineNotice, facts: Facts) -> Facts:
        """The same with what one charge needs to act upon what its invoice tells it."""
        look = self._context.within(work)
        features = {**facts.features, **_features(look, deciding.features_needed(charge))}
        known = msgspec.structs.replace(
            facts,
            features=features,
            cost_bases=_rate(look, charge),
            histories=self.histories(work, charge),
        )
        entry = charge.run_on_line(notice.line_id)
        run: RealizationRun | None = work.draft.state(entry.run_id) if entry is not None else None
        needed = deciding.quantities_answering(charge, notice, run, known)
        quantities = {question: self._ask(look, charge.customer, question) for question in needed}
        return msgspec.structs.replace(known, quantities=quantities)

    def previewing(self, work: Work, charge: Charge, facts: Facts) -> Facts:
        """The same with what a preview of what waits to be invoiced has to know."""
        look, known = self._context.within(work), self.naming(work, charge, facts)
        question = deciding.preview_needed(work.draft, charge.id, known)
        answers = {question: self._ask(look, charge.customer, question)} if question is not None else {}
        return msgspec.structs.replace(known, quantities=answers)

    def metered(self, work: Work, charge: Charge, question: QuantityNeeded) -> Metered:
        """What a meter answers now, for a look ahead that records nothing."""
        return self._ask(self._context.within(work), charge.customer, question)

    def _ask(self, look: Lookups, customer: str, question: QuantityNeeded) -> Metered:
        meter = look.meter_by_id(question.meter_id)
        self._context.probe("meter.quantity")
        query = MeterQuery(
            namespace=self._context.namespace,
            customer=customer,
            meter=meter,
            from_=question.from_,
            to=question.to,
            stored_at_lt=question.stored_at_lt,
        )
        if question.parts is None:
            answer = self._meter.quantity(query)
        elif isinstance(self._meter, PartedMeter) and adds_up(meter):
            answer = self._meter.parts(query, question.parts)
        else:
            message = f"the price looks at each usage event, and meter {meter.key!r} cannot tell them apart"
            raise ValidationFailed((Finding("price", "price_needs_usage_events", message),))
        return Metered(answer.quantity, answer.position, _events(answer.parts, question.parts))

    def _parted(self, look: Lookups, features: Iterable[Feature], meters: Iterable[UUID]) -> frozenset[UUID]:
        """Those meters that can tell their quantity apart."""
        if not isinstance(self._meter, PartedMeter):
            return frozenset()
        named = {*meters, *(feature.meter_id for feature in features if feature.meter_id is not None)}
        return frozenset(meter_id for meter_id in named if adds_up(look.meter_by_id(meter_id)))

    def _holders(self, keys: Iterable[HeldKey]) -> dict[HeldKey, UUID]:
        store, namespace = self._context.repository.store, self._context.namespace
        owners = {key: store.reservation(namespace, key.customer, key.kind, key.key) for key in keys}
        return {key: owner for key, owner in owners.items() if owner is not None}


def _entries(look: Lookups, ids: Iterable[UUID]) -> dict[UUID, CostBasisEntry]:
    """The entries of rate tables that exist; a missing one is the decision's to refuse, by name."""
    found = {entry_id: look.cost_basis(entry_id) for entry_id in ids}
    return {entry_id: _entry(known[0].key, known[1]) for entry_id, known in found.items() if known is not None}


def _rate(look: Lookups, charge: Charge) -> dict[CostBasisNeeded, CostBasisEntry]:
    """The rate in force that the charge needs; without one the decision refuses."""
    needed = deciding.cost_basis_needed(charge)
    rate = look.rate_at(needed.currency, needed.fiat_currency, needed.at) if needed else None
    return {needed: _entry(needed.currency, rate)} if needed and rate else {}


def _entry(currency: str, known: CostBasis) -> CostBasisEntry:
    return CostBasisEntry(
        id=known.id,
        currency=currency,
        fiat_currency=known.fiat_currency,
        rate=known.rate,
        effective_from=known.effective_from,
    )


def _events(parts: Iterable[MeteredPart], by: PartsNeeded | None) -> tuple[UsageEvent, ...]:
    """What a meter answered, as rating and the run's event have it."""
    name = by.property_name if isinstance(by, ByProperty) else ""
    return tuple(
        UsageEvent(
            quantity=part.quantity, properties={} if part.value is None else {name: part.value}, count=part.count
        )
        for part in parts
    )


def _features(look: Lookups, names: Iterable[str]) -> dict[str, Feature]:
    """The features that exist; a missing one is the decision's to refuse, by name."""
    found: dict[str, Feature] = {}
    for name in names:
        try:
            feature = look.feature(name)
        except FeatureNotFound:
            continue
        found[name] = Feature(id=feature.id, key=feature.key, meter_id=feature.meter_id)
    return found
