"""`ledger.live`: what a customer's balance comes to once everything used is booked, and credit on its way (ledger §9).

Both are of now. The live balance asks the meter what was used so far of every charge that is not final and rates it;
nothing is written. A balance of the past has neither: what was not yet booked then is not known any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from aggregates.charges import decisions as deciding
from aggregates.charges.facts import Facts, QuantityNeeded
from aggregates.charges.intent import FlatFeeLayer, PurchaseLayer, SettlementMode, UsageLayer
from aggregates.charges.state import Charge
from aggregates.charges.turn import CREDIT_MODE, Turn
from aggregates.charges.usage_based.lifecycle import feature_of, rating_terms
from aggregates.credits.live import Impact, live
from aggregates.event import Origin
from aggregates.lifecycle import OVER, Status
from aggregates.rating.parts import parts_needed
from aggregates.rating.run import rate_run
from aggregates.runs import decisions as runs
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import ZERO, exact
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period, instant
from ledger.charges import Charges
from ledger.context import Context
from ledger.credits import Credits
from ledger.facts import FactFinder
from ledger.ports import Meter
from ledger.units import Work
from ledger.views import Views
from projections.balances import FeatureFilter, PurchaseFacts, pending


class LiveBalance(msgspec.Struct, frozen=True, kw_only=True):
    """Settled now; `live`, which also counts what is used and not yet booked; and `pending` credit on its way.

    `impacts`: what each charge that is not final will still take, in the order of charges. Amounts are in `currency`.
    """

    customer: str
    currency: Currency
    at: datetime
    settled: Decimal
    live: Decimal
    pending: Decimal
    impacts: tuple[Impact, ...]


class Live:
    """The live balance of a customer."""

    def __init__(self, context: Context, views: Views, credits: Credits, charges: Charges, meter: Meter) -> None:
        self._context = context
        self._views = views
        self._credits = credits
        self._charges = charges
        self._facts = FactFinder(context, meter)

    def balance(
        self, customer: str, currency: str = "USD", *, feature: str | None = None, unrestricted: bool = False
    ) -> LiveBalance:
        """What is settled, live and pending now (ledger §9).

        20 of credit and usage of 30 that is invoiced beyond credit: live 0. Without credit, usage of 30 from credit
        only: live −30. Raises `CustomerNotFound`, `CurrencyNotFound`, `Unavailable` when a meter does not answer.
        """
        settled = self._views.balance(customer, currency, feature=feature, unrestricted=unrestricted)
        found, now = settled.currency, self._context.now()
        filtered = FeatureFilter(unrestricted, feature)
        impacts = tuple(impact for impact in self._impacts(customer, found) if filtered.shows_charge(impact.feature))
        pool = self._credits.pool(customer, currency)
        return LiveBalance(
            customer=customer,
            currency=found,
            at=now,
            settled=settled.settled,
            live=live(pool, settled.settled, impacts, instant(now)),
            pending=pending(self._purchases(customer, found), now, filtered),
            impacts=impacts,
        )

    def _impacts(self, customer: str, currency: Currency) -> Iterator[Impact]:
        """What each charge that has begun and is not final will still take, in order of creation."""
        work = Work(self._context.repository, self._origin(), self._context.probe)
        facts = self._facts.of_customer(work, customer)
        for charge in self._charges.list(customer):
            if charge.currency != currency or charge.status in OVER:
                continue
            work.load(charge.stream, *deciding.streams_needed(charge))
            total = self._total(work, charge, facts)
            held: list[RealizationRun] = [work.draft.state(entry.run_id) for entry in charge.rated_runs]
            left = exact(_left)(total, held)
            if left > 0:
                mode = CREDIT_MODE[charge.identity.settlement_mode or SettlementMode.CREDIT_ONLY]
                ref = charge.identity.feature
                feature = self._context.look.feature(ref.name).key if ref is not None else None
                yield Impact(charge=charge.id, amount=left, mode=mode, feature=feature)

    def _total(self, work: Work, charge: Charge, facts: Facts) -> Decimal:
        """What the charge comes to by now; nothing before it begins, and for one that takes no credit."""
        layer, now = charge.intent.effective, instant(facts.now)
        if isinstance(layer, FlatFeeLayer):
            return layer.amount_after_proration if layer.periods.invoice_at <= facts.now else ZERO
        if not isinstance(layer, UsageLayer) or layer.service_period.from_ >= now:
            return ZERO
        so_far = Period(layer.service_period.from_, min(now, layer.service_period.to))
        known = self._facts.of_charge(work, charge, facts)
        question = QuantityNeeded(
            meter_id=feature_of(charge, known).meter_id,
            from_=so_far.from_,
            to=so_far.to,
            stored_at_lt=Instant(now + timedelta(seconds=1)),
            parts=parts_needed(layer.price),
        )
        metered = self._facts.metered(work, charge, question)
        terms = rating_terms(Turn(work.draft, charge.id, known))
        asked = runs.to_rate(
            terms,
            charge.currency,
            period=so_far,
            quantity=max(metered.quantity, ZERO),
            events=metered.events,
            others=(),
        )
        return rate_run(asked).totals.total

    def _origin(self) -> Origin:
        unit = self._context.unit("live.balance", "", None, None)
        return Origin(
            namespace=unit.namespace,
            at=self._context.now(),
            command_id=unit.command_id,
            causation_id=unit.command_id,
            correlation_id=unit.command_id,
            actor=unit.actor,
        )

    def _purchases(self, customer: str, currency: Currency) -> Iterator[PurchaseFacts]:
        for charge in self._charges.list(customer):
            layer = charge.intent.effective
            if isinstance(layer, PurchaseLayer) and charge.currency == currency:
                yield PurchaseFacts(
                    amount=layer.credit_amount,
                    features=layer.feature_filters,
                    created_at=charge.created_at,
                    effective_at=charge.grant.booked_at if charge.grant else layer.service_period.from_,
                    granted_at=charge.created_at if charge.grant is not None else None,
                    deleted_at=charge.created_at if charge.is_deleted else None,
                    payment_voided=charge.voided is not None,
                    final_without_grant=charge.status is Status.FINAL and charge.grant is None,
                )


def _left(total: Decimal, held: Sequence[RealizationRun]) -> Decimal:
    return max(total - sum((run.credits_total for run in held), ZERO), ZERO)
