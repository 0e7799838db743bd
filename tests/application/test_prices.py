"""Every price, from the facade to the credit it takes: the same for memory, SQLite and PostgreSQL.

Three usage events of January come to 1105: 5 in eu, 100 in us, 1000 in br, in this order.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aggregates.catalogue import Aggregation
from aggregates.charges.state import Charge
from aggregates.event import DomainEvent
from aggregates.rating import AnyUsagePrice, RunToRate, UsageEvent, as_text, booked, rate_run
from aggregates.runs.events import QuantityClamped, RunRated
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import AdvanceRefused, RunNotFound, ValidationFailed
from aggregates.values.period import Period, timestamp
from ledger import (
    committed,
    dynamic,
    graduated,
    graduated_percentage,
    matrix,
    package,
    percentage,
    tiered_package,
    unit,
    volume,
)
from ledger.audit.why import explained
from ledger.charges import Charges
from ledger.facade import Ledger
from ledger.metering import usage as metering
from ledger.ports import Metered, MeterQuery
from ledger.store import mapper
from tests.application.scenes import at, january_charge, opened, with_customer

BY_REGION = matrix("region", {"eu": "0.10", "us": "0.08"}, otherwise="0.12")
CARD_FEES = percentage("2.9", fee="0.30", floor="0.50", ceiling="10")


@pytest.fixture
def ledger(store_url: str) -> Iterator[Ledger]:
    with opened(store_url) as ledger:
        with_customer(ledger)
        yield ledger


def used(ledger: Ledger, quantity: str, time: str, region: str | None = None) -> None:
    event = metering.UsageEvent(
        source="test",
        id=f"{time}:{quantity}:{region}",
        customer="acme",
        meter="calls",
        time=timestamp(time),
        value=Decimal(quantity),
        properties={} if region is None else {"region": region},
    )
    ledger.usage.record([event])


def january(ledger: Ledger) -> None:
    used(ledger, "5", "2026-01-10T00:00:00Z", "eu")
    used(ledger, "100", "2026-01-11T00:00:00Z", "us")
    used(ledger, "1000", "2026-01-12T00:00:00Z", "br")


def final(ledger: Ledger, charge: Charge) -> RealizationRun:
    """The run of the charge after collection is complete."""
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.charges.advance("acme", charge.id)
    (run,) = ledger.charges.runs(charge.id)
    assert ledger.charges.get(charge.id).status == "final"
    return run


def events_of(ledger: Ledger, run: RealizationRun) -> list[DomainEvent]:
    return [mapper.read(row).body for row in ledger.store.read_stream(run.id)]


def last_rating(ledger: Ledger, run: RealizationRun) -> RunRated:
    return [body for body in events_of(ledger, run) if isinstance(body, RunRated)][-1]


def rated_again(run: RealizationRun, rating: RunRated, charge: Charge) -> RunRated:
    """What rating makes of the record alone, without a meter; with the ids the lines were given."""
    layer: Any = charge.intent.effective
    assert rating.rating_engine is not None
    (snapshot,) = rating.snapshots
    again = rate_run(
        RunToRate(
            engine=rating.rating_engine,
            price=layer.price,
            currency=charge.currency,
            service_period=layer.service_period,
            period=Period(run.service_period_from, run.service_period_to),
            quantity=snapshot.quantity,
            events=snapshot.events,
            run_id=str(run.id),
            discounts=layer.discounts,
            unit_config=layer.unit_config,
            stored_at_lt=rating.stored_at_lt,
            line_name=layer.name,
        )
    )
    ids = [line.id or "" for line in rating.detailed_lines]
    return msgspec.structs.replace(rating, totals=again.totals, detailed_lines=booked(again.lines, ids))


PRICES: tuple[tuple[AnyUsagePrice, str], ...] = (
    (unit("0.25"), "276.25"),  # 1105 × 0.25
    (graduated(("1000", "0.01"), (None, "0.005")), "10.53"),  # 10 + 0.525
    (volume(("1000", "0.01"), (None, "0.005")), "5.53"),  # 1105 × 0.005 = 5.525
    (package("5", size="100"), "60"),  # 12 started packages
    (dynamic("1.2"), "1326"),
    (percentage("2.9"), "32.05"),  # 32.045
    (CARD_FEES, "13.70"),  # 0.50 + 3.20 + 10
    (percentage("1", free_events=1), "11"),  # 5 is free, 1100 × 0.01
    (percentage("1", fee="0.25"), "11.80"),  # 11.05 + 3 × 0.25
    (percentage("0", ceiling="3", fee="4"), "9"),  # 4 is more than 3, three times
    (graduated_percentage(("1000", "2"), (None, "1")), "21.05"),  # 20 + 1.05
    (tiered_package(("2", "10"), (None, "8"), size="500"), "28"),  # three packages of 500
    (BY_REGION, "128.50"),  # 0.50 + 8 + 120
    (committed(BY_REGION, at_most="100"), "100"),
    (committed(unit("0.01"), at_least="20"), "20"),  # 11.05, and 8.95 short
)


@pytest.mark.parametrize(("price", "total"), PRICES, ids=lambda value: getattr(value, "__class__", type).__name__)
def test_every_price_is_rated_paid_for_and_can_be_rated_again(ledger: Ledger, price: AnyUsagePrice, total: str) -> None:
    charge = january_charge(ledger, price=price)
    january(ledger)

    run = final(ledger, charge)

    assert (run.metered_quantity, run.credits_total) == (Decimal(1105), Decimal(total))
    assert ledger.views.balance("acme", "USD").settled == -Decimal(total)
    rating = last_rating(ledger, run)
    assert rating == rated_again(run, rating, charge)
    assert ledger.audit.verify().sound


def test_a_run_records_the_parts_it_was_rated_from(ledger: Ledger) -> None:
    """However many events there are: the cells of a matrix and the rest, and five groups of events at most."""
    by_region, fees = january_charge(ledger, price=BY_REGION), january_charge(ledger, price=CARD_FEES)
    january(ledger)
    used(ledger, "50", "2026-01-13T00:00:00Z")
    used(ledger, "200", "2026-01-14T00:00:00Z", "us")

    of_region = last_rating(ledger, final(ledger, by_region)).snapshots[0]
    of_fees = last_rating(ledger, final(ledger, fees)).snapshots[0]

    assert of_region.events == (
        UsageEvent(quantity=Decimal(5), properties={"region": "eu"}),
        UsageEvent(quantity=Decimal(300), properties={"region": "us"}, count=2),
        UsageEvent(quantity=Decimal(1050), count=2),  # br, and where nobody says
    )
    assert of_fees.events == (
        UsageEvent(quantity=Decimal(5)),  # at the floor
        UsageEvent(quantity=Decimal(350), count=3),
        UsageEvent(quantity=Decimal(1000)),  # at the ceiling
    )


def test_late_usage_can_make_another_event_cost_something(ledger: Ledger) -> None:
    """The first event is free: 100 at first, then 40 that were used before it; 1 % of 100 is 1.00."""
    charge = january_charge(ledger, price=percentage("1", free_events=1))
    used(ledger, "100", "2026-01-15T00:00:00Z")
    at(ledger, "2026-02-01T00:00:00Z")
    ledger.charges.advance("acme")
    (provisional,) = ledger.charges.runs(charge.id)
    used(ledger, "40", "2026-01-10T00:00:00Z")

    run = final(ledger, charge)

    assert (provisional.credits_total, run.credits_total) == (Decimal(0), Decimal(1))


def test_a_part_below_zero_is_rated_as_zero_and_its_true_value_is_recorded(ledger: Ledger) -> None:
    """-7 in eu do not make 5 in us cheaper: 5 × 0.08 = 0.40."""
    charge = january_charge(ledger, price=BY_REGION)
    used(ledger, "5", "2026-01-15T00:00:00Z", "us")
    used(ledger, "-7", "2026-01-16T00:00:00Z", "eu")

    run = final(ledger, charge)

    assert (run.metered_quantity, run.credits_total) == (Decimal(5), Decimal("0.40"))
    clamped = next(body for body in events_of(ledger, run) if isinstance(body, QuantityClamped))
    assert clamped.metered_quantity == -2
    assert clamped.below_zero == (UsageEvent(quantity=Decimal(-7), properties={"region": "eu"}),)
    sentences = [line.sentence for line in ledger.audit.history(run=run.id)]
    assert any("answered -2, so what is below zero in parts of it is rated for 0" in text for text in sentences)


def test_an_event_below_zero_is_never_priced_by_itself(ledger: Ledger) -> None:
    """A refund of 40 takes no fee back and costs none: 100 pays 2.90 and 0.30."""
    charge = january_charge(ledger, price=CARD_FEES)
    used(ledger, "100", "2026-01-15T00:00:00Z")
    used(ledger, "-40", "2026-01-16T00:00:00Z")

    assert final(ledger, charge).credits_total == Decimal("3.20")


def test_nothing_used_costs_the_minimum_alone(ledger: Ledger) -> None:
    charge = january_charge(ledger, price=committed(BY_REGION, at_least="20"))

    assert final(ledger, charge).credits_total == 20


# ── who can be charged so ────────────────────────────────────────────────────────────────────────────────────


def refused(error: ValidationFailed) -> list[tuple[str, str]]:
    return [(finding.path, finding.code) for finding in error.findings]


def largest(ledger: Ledger) -> None:
    """The feature calls is measured by the largest value from now on."""
    ledger.catalogue.define_meter("largest", Aggregation.MAX)
    ledger.catalogue.define_feature("calls", meter="largest")


@pytest.mark.parametrize("price", [CARD_FEES, BY_REGION])
def test_a_price_by_event_needs_a_meter_that_adds_up(ledger: Ledger, price: AnyUsagePrice) -> None:
    largest(ledger)

    with pytest.raises(ValidationFailed) as error:
        january_charge(ledger, price=price)

    assert refused(error.value) == [("intents[0].price", "price_needs_usage_events")]
    assert ledger.charges.list("acme") == []


def test_a_meter_that_counts_adds_up(ledger: Ledger) -> None:
    ledger.catalogue.define_meter("requests", Aggregation.COUNT)
    ledger.catalogue.define_feature("requests", meter="requests")
    charge = ledger.charges.create_usage(
        "acme", feature="requests", price=BY_REGION, period_from="2026-01-01T00:00Z", period_to="2026-02-01T00:00Z"
    )
    for number, region in enumerate(("eu", "eu", "br")):
        used_at = timestamp(f"2026-01-1{number}T00:00:00Z")
        event = metering.UsageEvent(
            source="test", id=region + str(number), customer="acme", meter="requests", time=used_at,
            properties={"region": region},
        )  # fmt: skip
        ledger.usage.record([event])

    assert final(ledger, charge).credits_total == Decimal("0.32")


def test_an_override_by_event_needs_a_meter_that_adds_up(ledger: Ledger) -> None:
    """Pinned on activation, so what the feature's key names later does not matter."""
    charge = january_charge(ledger)
    largest(ledger)
    other = january_charge(ledger)

    ledger.charges.set_override(charge.id, price=BY_REGION)
    with pytest.raises(ValidationFailed) as error:
        ledger.charges.set_override(other.id, price=BY_REGION)

    assert refused(error.value) == [("price", "price_needs_usage_events")]
    january(ledger)
    assert final(ledger, charge).credits_total == Decimal("128.50")


def test_a_feature_that_is_pointed_at_another_meter_before_it_is_used_stops_the_charge_alone(ledger: Ledger) -> None:
    """Created for February, activated when the key names a meter that cannot tell events apart."""
    period = {"period_from": "2026-02-01T00:00:00Z", "period_to": "2026-03-01T00:00:00Z"}
    charge = ledger.charges.create_usage("acme", feature="calls", price=BY_REGION, **period)
    largest(ledger)
    at(ledger, "2026-03-01T00:00:00Z")

    with pytest.raises(AdvanceRefused) as error:
        ledger.charges.advance("acme", charge.id)

    assert "meter 'largest' cannot tell them apart" in str(error.value)
    assert ledger.audit.verify().sound


class SumsOnly:
    """A meter of somebody else's that knows no parts."""

    def quantity(self, query: MeterQuery) -> Metered:
        return Metered(Decimal(7), 1)


def test_a_meter_of_ones_own_need_not_know_parts(ledger: Ledger) -> None:
    charges = Charges(ledger.charges._context, SumsOnly())
    period: dict[str, Any] = {"period_from": "2026-01-01T00:00:00Z", "period_to": "2026-02-01T00:00:00Z"}

    with pytest.raises(ValidationFailed) as error:
        charges.create_usage("acme", feature="calls", price=BY_REGION, **period)
    plain = charges.create_usage("acme", feature="calls", price=unit("1"), **period)
    at(ledger, "2026-02-03T00:01:00Z")
    charges.advance("acme", plain.id)

    assert refused(error.value) == [("intents[0].price", "price_needs_usage_events")]
    assert charges.runs(plain.id)[0].metered_quantity == 7


# ── why ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_why_tells_the_price_of_then_though_another_holds_now(ledger: Ledger) -> None:
    """Rated at 1 a unit and voided when the price became 2: both runs say what made them."""
    charge = january_charge(ledger)
    used(ledger, "5", "2026-01-10T00:00:00Z")
    at(ledger, "2026-02-01T00:00:00Z")
    ledger.charges.advance("acme", charge.id)
    ledger.charges.set_override(charge.id, price=unit("2"))

    old, new = (ledger.audit.why(run.id) for run in ledger.charges.runs(charge.id))

    assert (old.price, old.totals.total) == (unit("1"), Decimal(5))
    assert (new.price, new.totals.total) == (unit("2"), Decimal(10))
    assert as_text(new.lines[0].steps) == "5 units\nat 2 each\n5 x 2 = 10\ntotal 10"
    assert new.usage[-1].text == "5 to be billed"


def test_why_tells_what_the_meter_said_where_something_was_below_zero(ledger: Ledger) -> None:
    charge = january_charge(ledger, price=BY_REGION)
    used(ledger, "5", "2026-01-15T00:00:00Z", "us")
    used(ledger, "-7", "2026-01-16T00:00:00Z", "eu")

    why = ledger.audit.why(final(ledger, charge).id)

    assert (why.true_quantity, why.quantity) == (Decimal(-2), Decimal(5))
    assert why.parts == (UsageEvent(quantity=Decimal(5), properties={"region": "us"}),)


def test_why_tells_of_a_flat_fee(ledger: Ledger) -> None:
    """100 for January, of which it covers ten days: 32.26."""
    fee = ledger.charges.create_flat_fee(
        "acme",
        amount="100",
        period_from="2026-01-01T00:00:00Z",
        period_to="2026-01-11T00:00:00Z",
        full_service_period={"from_": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
        pro_rating=True,
    )
    ledger.charges.advance("acme")
    (run,) = ledger.charges.runs(fee.id)

    why = ledger.audit.why(run.id)

    assert (why.amount, why.quantity, why.usage) == (Decimal("32.26"), None, ())
    assert why.totals.total == Decimal("32.26")
    assert why.lines[0].steps[-1].text == "total 32.26"


def test_a_run_of_another_namespace_cannot_be_explained(ledger: Ledger) -> None:
    run = final(ledger, january_charge(ledger))

    with pytest.raises(RunNotFound):
        explained(ledger.store, "another", run.id)
    with pytest.raises(RunNotFound):
        ledger.audit.why("nothing")
