"""Six weeks of three customers, played on an open ledger: credit, usage, late usage, bills, balances, and the proof.

All of it is made up, and made so that every figure can be worked out by hand:

* **acme** pays 0.000003 USD a token. 9 000 000 tokens of January are known on 1 February: 27.00. Another 1 000 000 are
  reported a day late, inside the collection period: 30.00. Its welcome credit of 20.00 expires with January and is
  used first; the rest comes from what it prepaid.
* **birch** pays by step: the first million tokens at 0.000015, the next two at 0.000012, the rest at 0.00001. 4 000 000
  tokens are 15.00 + 24.00 + 10.00 = 49.00, and its credit is 25.00. The missing 24.00 are an advance, which the 40.00
  it buys on 5 February cover first.
* **cedar** pays 1.00 per started thousand requests. 5 500 requests are 6 packages. Credit for requests alone pays
  5.00, the trial credit 1.00; 9.00 of the trial credit lapse unused on 10 February, the prepaid 50.00 stay whole.

The clock is set by the story, so six weeks take seconds, and nothing depends on when it is played.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

from aggregates.charges.state import Charge
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import ZERO
from ledger import prices
from ledger.demo.generated import spread
from ledger.demo.parts import Part, Proof, proof
from ledger.facade import Ledger
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock

CURRENCY = "USD"
MORNING = timedelta(hours=6)
"""When the story's worker runs, every day."""

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
END_OF_JANUARY = datetime(2026, 2, 1, tzinfo=UTC)
LATE = datetime(2026, 2, 2, 9, tzinfo=UTC)
COLLECTED = datetime(2026, 2, 3, tzinfo=UTC) + MORNING
TOP_UP = datetime(2026, 2, 5, tzinfo=UTC) + MORNING
LAPSE = datetime(2026, 2, 10, tzinfo=UTC)
TODAY = datetime(2026, 2, 11, tzinfo=UTC) + MORNING


class Credit(Part, frozen=True, kw_only=True):
    """Credit that a customer starts with; priority 1 is used first."""

    customer: str
    name: str
    amount: Decimal
    priority: int
    expires_at: datetime | None = None
    only_for: str | None = None


class Sold(Part, frozen=True, kw_only=True):
    """What a customer is charged for in January, and at which price, in words."""

    customer: str
    feature: str
    terms: str


class Opening(Part, frozen=True, kw_only=True):
    """1 January: customers, their credit, and what they are charged for."""

    credits: tuple[Credit, ...]
    charges: tuple[Sold, ...]


class Figure(Part, frozen=True, kw_only=True):
    """What a run says: the quantity metered so far, its price, and the status of its charge."""

    customer: str
    quantity: Decimal
    total: Decimal
    status: str


class FirstFigures(Part, frozen=True, kw_only=True):
    """1 February: the month is over, and every charge has a figure that may still change."""

    at: datetime
    events: int
    figures: tuple[Figure, ...]


class LateUsage(Part, frozen=True, kw_only=True):
    """2 February: usage of January that was reported late."""

    at: datetime
    customer: str
    events: int
    quantity: Decimal


class FinalFigures(Part, frozen=True, kw_only=True):
    """3 February: collection is over, and the figures are final."""

    at: datetime
    figures: tuple[Figure, ...]


class Line(Part, frozen=True, kw_only=True):
    """A line of a bill."""

    quantity: Decimal
    per_unit: Decimal
    amount: Decimal


class Paid(Part, frozen=True, kw_only=True):
    """What paid for a part of a bill: `real_credit`, or an `advance` that later credit covers."""

    at: datetime
    source: str
    amount: Decimal


class Bill(Part, frozen=True, kw_only=True):
    """A run in full: its lines and what paid for them."""

    customer: str
    lines: tuple[Line, ...]
    total: Decimal
    paid: tuple[Paid, ...]


class Bills(Part, frozen=True, kw_only=True):
    """How the final figures came about."""

    bills: tuple[Bill, ...]


class TopUp(Part, frozen=True, kw_only=True):
    """5 February: new credit covers an advance first."""

    at: datetime
    customer: str
    before: Decimal
    amount: Decimal
    after: Decimal


class Balance(Part, frozen=True, kw_only=True):
    """A customer's balance at the end of January as it was known on 2 February, the same as known now, and today's."""

    customer: str
    as_known_then: Decimal
    as_known_now: Decimal
    today: Decimal


class Balances(Part, frozen=True, kw_only=True):
    """11 February: the two time axes."""

    as_of: datetime
    known_at: datetime
    today: datetime
    balances: tuple[Balance, ...]


class Told(Part, frozen=True, kw_only=True):
    """The history of one charge, its runs and its credit, in words."""

    customer: str
    charge: UUID
    lines: tuple[tuple[datetime, str], ...]


Chapter: TypeAlias = Opening | FirstFigures | LateUsage | FinalFigures | Bills | TopUp | Balances | Told | Proof

CREDITS = (
    Credit(customer="acme", name="Welcome", amount=Decimal("20.00"), priority=1, expires_at=END_OF_JANUARY),
    Credit(customer="acme", name="Prepaid", amount=Decimal("100.00"), priority=2),
    Credit(customer="birch", name="Prepaid", amount=Decimal("25.00"), priority=2),
    Credit(customer="cedar", name="For requests", amount=Decimal("5.00"), priority=1, only_for="requests"),
    Credit(customer="cedar", name="Trial", amount=Decimal("10.00"), priority=1, expires_at=LAPSE),
    Credit(customer="cedar", name="Prepaid", amount=Decimal("50.00"), priority=2),
)
SALES = (
    Sold(customer="acme", feature="tokens", terms="0.000003 a token"),
    Sold(customer="birch", feature="tokens", terms="0.000015 a token, from 1M 0.000012, from 3M 0.00001"),
    Sold(customer="cedar", feature="requests", terms="1.00 per started 1 000 requests"),
)
PRICES = {
    "acme": prices.unit("0.000003"),
    "birch": prices.graduated(("1000000", "0.000015"), ("3000000", "0.000012"), (None, "0.00001")),
    "cedar": prices.package("1.00", size="1000"),
}


def play(ledger: Ledger, clock: SettableClock) -> Iterator[Chapter]:
    """Play the story; a chapter is handed out as soon as it has happened. `clock` is the ledger's own."""
    charges = _open(ledger, clock)
    yield Opening(credits=CREDITS, charges=SALES)

    on_time = _usage_of_january()
    for day in range(1, 32):
        midnight = BEGINNING + timedelta(days=day)
        yesterday = [event for event in on_time if midnight - timedelta(days=1) <= event.time < midnight]
        _at(ledger, clock, midnight + MORNING, yesterday)
    yield FirstFigures(at=clock.now(), events=len(on_time), figures=_figures(ledger, charges))

    late = _late_usage()
    _at(ledger, clock, LATE, late)
    yield LateUsage(
        at=LATE, customer="acme", events=len(late), quantity=sum((event.value or ZERO for event in late), ZERO)
    )

    _at(ledger, clock, COLLECTED, [])
    yield FinalFigures(at=COLLECTED, figures=_figures(ledger, charges))
    yield Bills(bills=tuple(_bill(customer, _run(ledger, charge)) for customer, charge in charges.items()))

    yield _top_up(ledger, clock)

    _at(ledger, clock, TODAY, [])
    yield _balances(ledger, charges)
    yield _told(ledger, charges["acme"])
    yield proof(ledger)


# ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────


def _open(ledger: Ledger, clock: SettableClock) -> dict[str, UUID]:
    """1 January: everything is set up; the charges by customer."""
    clock.set(BEGINNING)
    for feature in ("tokens", "requests"):
        ledger.catalogue.define_meter(feature, "sum")
        ledger.catalogue.define_feature(feature, meter=feature)
    for key, name in (("acme", "Acme Robotics"), ("birch", "Birch & Sons"), ("cedar", "Cedar Labs")):
        ledger.customers.create(key, name, collection_interval="P2D")
    for credit in CREDITS:
        ledger.credits.grant(
            credit.customer,
            credit.amount,
            CURRENCY,
            name=credit.name,
            priority=credit.priority,
            expires_at=credit.expires_at,
            features=(credit.only_for,) if credit.only_for else None,
        )
    return {
        sold.customer: ledger.charges.create_usage(
            sold.customer,
            feature=sold.feature,
            price=PRICES[sold.customer],
            period_from=BEGINNING,
            period_to=END_OF_JANUARY,
            currency=CURRENCY,
            name=f"{sold.feature.capitalize()} in January",
        ).id
        for sold in SALES
    }


def _usage_of_january() -> list[UsageEvent]:
    whole = {"start": BEGINNING, "end": END_OF_JANUARY}
    return [
        *spread("acme", "tokens", total=9_000_000, events=600, seed=1, **whole),
        *spread("birch", "tokens", total=4_000_000, events=400, seed=2, **whole),
        *spread("cedar", "requests", total=5_500, events=300, seed=3, **whole),
    ]


def _late_usage() -> list[UsageEvent]:
    last_day = {"start": END_OF_JANUARY - timedelta(days=1), "end": END_OF_JANUARY}
    return spread("acme", "tokens", total=1_000_000, events=60, seed=4, **last_day)


def _at(ledger: Ledger, clock: SettableClock, moment: datetime, events: list[UsageEvent]) -> None:
    """A working day: usage comes in, and whatever is due is advanced."""
    clock.set(moment)
    if events:
        ledger.usage.record(events)
    ledger.worker.run_once()


def _top_up(ledger: Ledger, clock: SettableClock) -> TopUp:
    clock.set(TOP_UP)
    before = _settled(ledger, "birch", as_of=TOP_UP)
    amount = Decimal("40.00")
    ledger.credits.sell("birch", amount, CURRENCY, cost_basis="1", initial_status="settled", name="Top-up", priority=2)
    return TopUp(
        at=TOP_UP, customer="birch", before=before, amount=amount, after=_settled(ledger, "birch", as_of=TOP_UP)
    )


# ── what it comes to ─────────────────────────────────────────────────────────────────────────────────────────


def _run(ledger: Ledger, charge: UUID) -> RealizationRun:
    """The one run of a charge; usage of a whole period is realised in one."""
    (run,) = ledger.charges.runs(charge)
    return run


def _figures(ledger: Ledger, charges: dict[str, UUID]) -> tuple[Figure, ...]:
    return tuple(
        _figure(customer, ledger.charges.get(charge), _run(ledger, charge)) for customer, charge in charges.items()
    )


def _figure(customer: str, charge: Charge, run: RealizationRun) -> Figure:
    # Credit has paid for all of it, so the price is what credit covers and not what is left to pay.
    return Figure(customer=customer, quantity=run.metered_quantity, total=run.credits_total, status=charge.status.value)


def _bill(customer: str, run: RealizationRun) -> Bill:
    lines = tuple(
        Line(quantity=line.quantity, per_unit=line.per_unit_amount, amount=line.totals.amount)
        for line in run.detailed_lines
    )
    paid = tuple(
        Paid(at=part.created_at, source=part.source.value if part.source else "returned", amount=part.amount)
        for part in run.credit_realizations
    )
    return Bill(customer=customer, lines=lines, total=run.credits_total, paid=paid)


def _settled(ledger: Ledger, customer: str, *, as_of: datetime, recorded_as_of: datetime | None = None) -> Decimal:
    return ledger.views.balance(customer, CURRENCY, as_of=as_of, recorded_as_of=recorded_as_of).settled


def _balances(ledger: Ledger, charges: dict[str, UUID]) -> Balances:
    known_at = datetime(2026, 2, 2, tzinfo=UTC)
    return Balances(
        as_of=END_OF_JANUARY,
        known_at=known_at,
        today=TODAY,
        balances=tuple(
            Balance(
                customer=customer,
                as_known_then=_settled(ledger, customer, as_of=END_OF_JANUARY, recorded_as_of=known_at),
                as_known_now=_settled(ledger, customer, as_of=END_OF_JANUARY),
                today=_settled(ledger, customer, as_of=TODAY),
            )
            for customer in charges
        ),
    )


def _told(ledger: Ledger, charge: UUID) -> Told:
    lines = ledger.audit.history(charge=charge)
    return Told(customer="acme", charge=charge, lines=tuple((line.at, line.sentence) for line in lines))
