"""What always holds in a credit pool, over random histories: late and early bookings, partial corrections, expiry,
backfill, voids, recognition and its reversal, sealing. The numbers are those of ledger §16."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.credits import decisions as d
from aggregates.credits.events import CreditCollected, PurchaseSettlement, RecognitionKind, SettlementMode
from aggregates.credits.histories import accruals_of, history_of, lots_taken
from aggregates.credits.pool import CreditPool
from aggregates.credits.requests import (
    AccrueUsage,
    CancelGrant,
    Collect,
    Correct,
    CoverAdvance,
    FailPayment,
    Grant,
    InvoicePayment,
    PurchasePayment,
    Recognize,
    RecognizeAccrual,
    ReverseRecognition,
    Seal,
    SourceCut,
    Void,
    WriteOffPurchase,
)
from aggregates.credits.state import evolve, fold, unsealed
from aggregates.journal.chart import Account, Authorization
from aggregates.policies import RecognizeInvoiced, UsageCreditCut
from aggregates.values.decimals import ZERO, exact
from aggregates.values.errors import LedgerError, PostingRefused
from aggregates.values.money import fiat
from aggregates.values.period import Duration, Instant, Period, instant
from projections.balances import AsOf, FeatureFilter, settled
from projections.listing import credit_transactions, page
from projections.projection import Entry
from projections.slice_events import SLICE_EVENTS
from tests.support.books import Book, check_invariants, ordered_id

USD = fiat("USD")
START = datetime(2026, 1, 1, tzinfo=UTC)
FEATURES = ("api", "storage")
CHARGES = tuple(ordered_id(f"charge {n}") for n in range(3))


def day(number: int) -> Instant:
    return instant(START + timedelta(days=number))


amounts = st.integers(1, 4000).map(lambda cents: Decimal(cents).scaleb(-2))
days = st.integers(0, 40)
charges = st.sampled_from(CHARGES)
maybe = st.one_of(st.none(), st.sampled_from(FEATURES))


@st.composite
def grants(draw: st.DrawFn) -> Callable[[Book, int], Any]:
    effective, lasts = draw(days), draw(st.one_of(st.none(), st.integers(1, 30)))
    amount, priority, paid = draw(amounts), draw(st.integers(1, 2)), draw(st.booleans())
    features = tuple(draw(st.sets(st.sampled_from(FEATURES), max_size=2)))

    def do(book: Book, now: int) -> Any:
        return d.grant(
            book.pool,
            Grant(
                purchase=ordered_id(f"purchase {len(book.records)}"),
                amount=amount,
                settlement=PurchaseSettlement.EXTERNAL if paid else PurchaseSettlement.PROMOTIONAL,
                cost_basis=Decimal("0.5") if paid else None,
                priority=priority,
                features=features,
                effective_at=day(effective),
                expires_at=None if lasts is None else day(effective + lasts),
                now=day(now),
            ),
        )

    return do


@st.composite
def collections(draw: st.DrawFn, since: int = 0) -> Callable[[Book, int], Any]:
    charge, amount, booked, feature = draw(charges), draw(amounts), since + draw(days), draw(maybe)
    shift, mode = draw(st.sampled_from((0, 0, 0, -3, 3))), draw(st.sampled_from(SettlementMode))
    cut = draw(st.sampled_from(UsageCreditCut))

    def do(book: Book, now: int) -> Any:
        return d.collect(
            book.pool,
            Collect(
                charge=charge,
                amount=amount,
                mode=mode,
                feature=feature,
                booked_at=day(booked),
                sources_at=SourceCut(day(max(booked + shift, 0)), cut),
                accounting_date=instant(day(booked) - timedelta(seconds=1)),
                tax_code="T" if feature else None,
            ),
        )

    return do


@st.composite
def corrections(draw: st.DrawFn) -> Callable[[Book, int], Any]:
    charge, amount, back = draw(charges), draw(st.one_of(st.none(), amounts)), draw(st.integers(0, 20))
    grace = draw(st.sampled_from((Duration(), Duration(), Duration(days=5))))

    def do(book: Book, now: int) -> Any:
        left = book.pool.remaining(charge)
        return d.correct(
            book.pool,
            Correct(
                charge=charge,
                amount=None if amount is None else min(amount, left),
                booked_at=day(max(now - back, 0)),
                restored_credit_grace=grace,
            ),
        )

    return do


@st.composite
def others(draw: st.DrawFn) -> Callable[[Book, int], Any]:
    kind, pick, amount, charge = draw(st.integers(0, 20)), draw(st.integers(0, 20)), draw(amounts), draw(charges)

    def do(book: Book, now: int) -> Any:
        pool, at = book.pool, day(now)
        purchases = list(pool.purchases)
        if kind in (0, 1) and purchases:
            return d.void(pool, Void(purchase=purchases[pick % len(purchases)], booked_at=at))
        if kind == 2 and purchases:
            return d.cancel(pool, CancelGrant(purchase=purchases[pick % len(purchases)], now=at))
        if kind in (3, 18, 19, 20) and purchases:
            return paying(pool, purchases[pick % len(purchases)], kind, amount, at)
        if kind == 4:
            return d.accrue_usage(pool, AccrueUsage(charge=charge, run=charge, amount=amount, booked_at=at))
        if kind == 5:
            return d.authorize_invoice(pool, InvoicePayment(charge=charge, amount=amount, booked_at=at))
        if kind == 6:
            return d.reverse_recognition(pool, ReverseRecognition(amount=amount, booked_at=at))
        if kind == 7:
            return d.recognize(pool, Recognize(kind=RecognitionKind.INVOICED, booked_at=at))
        if kind in (8, 9):
            return d.recognize(pool, Recognize(booked_at=at))
        return invoiced(pool, kind, pick, InvoicePayment(charge=charge, amount=amount, booked_at=at))

    return do


def invoiced(pool: CreditPool, kind: int, pick: int, asked: InvoicePayment) -> Any:
    """What becomes of invoiced value: accrued in advance, revenue day by day, paid, credited; and of free credit."""
    at = asked.booked_at
    if kind in (10, 11):
        served = Period(at, Instant(at + timedelta(days=1 + pick * 3, hours=5)))
        accrue = AccrueUsage(charge=asked.charge, amount=asked.amount, service_period=served, booked_at=at)
        return d.accrue_usage(pool, msgspec.structs.replace(accrue, run=asked.charge))
    if kind in (12, 13) and pool.accruals:
        which = list(pool.accruals)[pick % len(pool.accruals)]
        policy = RecognizeInvoiced.ON_ISSUE if pick % 5 == 0 else RecognizeInvoiced.OVER_SERVICE_PERIOD
        return d.recognize_accrual(pool, RecognizeAccrual(accrual=which, policy=policy, booked_at=at))
    if kind == 14:
        return d.settle_invoice(pool, asked)
    if kind in (16, 17):
        return d.cover_advance(pool, CoverAdvance(booked_at=at))
    return d.credit_invoice(pool, asked)


def paying(pool: CreditPool, name: UUID, kind: int, amount: Decimal, at: Instant) -> Any:
    """Money for a purchase is promised or comes, or its payment fails, or what is owed is given up."""
    known = pool.purchases[name]
    if known.settlement is not PurchaseSettlement.EXTERNAL:
        return None
    features = known.route.features if known.route is not None else ()
    terms: dict[str, Any] = {
        "purchase": name,
        "credit_amount": known.granted,
        "cost_basis": Decimal("0.5"),
        "features": features,
        "booked_at": at,
    }
    if kind == 3:
        return d.authorize_purchase(pool, PurchasePayment(**terms))
    if kind == 18:
        return d.receive_payment(pool, PurchasePayment(**terms, fiat_amount=amount))
    if kind == 19:
        return d.fail_payment(pool, FailPayment(**terms, money_went_back=amount > 20))
    return d.write_off_purchase(pool, WriteOffPurchase(purchase=name, booked_at=at))


commands = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(grants(), collections(), corrections(), others())), max_size=14
)
quick = settings(max_examples=40, deadline=None)


def offered(book: Book, command: Callable[[Book, int], Any], now: int) -> str | None:
    """Offer the book a command; the code when it is refused, with nothing booked."""
    try:
        event = command(book, now)
    except LedgerError as refusal:
        if isinstance(refusal, PostingRefused) and refusal.code != "correction_exceeds_available":
            raise  # the pool tried to post what the journal does not allow
        return refusal.code
    book.record(event, day(now))
    return None


def played(history: list[tuple[int, Callable[[Book, int], Any]]]) -> tuple[Book, int]:
    """The book after a history whose clock moves on by some days a command; refused commands book nothing."""
    book, now = Book(USD), 0
    for passed, command in history:
        now += passed * 3
        offered(book, command, now)
        check_invariants(book)
    return book, now


@given(commands)
@quick
def test_books_are_in_order_after_every_command(history: list[Any]) -> None:
    played(history)


@given(commands)
@quick
def test_folding_a_stream_is_evolving_it_and_a_snapshot_is_as_good_as_the_beginning(history: list[Any]) -> None:
    book, _ = played(history)
    half = len(book.records) // 2
    snapshot = fold(None, book.records[:half])
    stored = msgspec.json.decode(msgspec.json.encode(snapshot), type=CreditPool | None)
    untouched = msgspec.json.encode(stored)

    from_snapshot = fold(stored, book.records[half:])
    from_the_beginning = fold(None, book.records)

    assert from_snapshot == from_the_beginning
    assert not book.records or from_the_beginning == book.pool
    assert msgspec.json.encode(stored) == untouched, "a state that was handed out was changed"


@given(commands, st.data())
@quick
def test_prefix_law(history: list[Any], data: st.DataObject) -> None:
    """16.8: collecting n and giving x back in parts leaves the slices that collecting n - x would have taken."""
    book, now = played(history)
    n = data.draw(st.integers(2, 6000))
    x = data.draw(st.integers(1, n - 1))
    first = data.draw(st.integers(0, x))
    charge, at = ordered_id("the charge"), day(now + 1)

    def collected(cents: int) -> Book:
        copy = Book(USD)
        copy.pool, copy.records, copy.rows = book.pool, list(book.records), list(book.rows)
        request = Collect(
            charge=charge,
            amount=Decimal(cents).scaleb(-2),
            mode=SettlementMode.CREDIT_ONLY,
            feature="api",
            booked_at=at,
            sources_at=SourceCut(at),
        )
        copy.record(d.collect(copy.pool, request), at)
        return copy

    less, more = collected(n - x), collected(n)
    if data.draw(st.booleans()):
        more.record(d.recognize(more.pool, Recognize(booked_at=at)), at)
    for cents in (first, x - first):
        given_back = Correct(charge=charge, amount=Decimal(cents).scaleb(-2), booked_at=at)
        more.record(d.correct(more.pool, given_back), at)
        check_invariants(more)

    def held(which: Book) -> list[Any]:
        return [(s.sequence, s.lot, s.remaining) for s in which.pool.slices_of(charge) if s.remaining]

    assert held(more) == held(less)
    assert {k: v.balance for k, v in more.pool.lots.items()} == {k: v.balance for k, v in less.pool.lots.items()}


@given(commands)
@quick
def test_recognising_twice_is_recognising_once(history: list[Any]) -> None:
    book, now = played(history)
    book.record(d.recognize(book.pool, Recognize(booked_at=day(now))), day(now))

    assert d.recognize(book.pool, Recognize(booked_at=day(now))) is None


@given(commands)
@quick
def test_giving_everything_back_and_voiding_everything_leaves_nothing(history: list[Any]) -> None:
    """16.14, once everything has become effective."""
    book, _ = played(history)
    at = day(200)
    for charge in CHARGES:
        book.record(d.correct(book.pool, Correct(charge=charge, booked_at=at)), at)
        check_invariants(book)
    for purchase in list(book.pool.purchases):
        refusal = offered(book, voiding(purchase), 200)
        assert refusal in (None, "nothing_to_void")
        check_invariants(book)

    credit_backed = [row for row in book.rows if row.source is not None or row.route.cost_basis is None]
    for account in (Account.FBO, Account.ACCRUED, Account.EARNINGS):
        assert sum((row.amount for row in credit_backed if row.account is account), ZERO) == 0, account
    assert all(lot.balance == 0 or lot.expires_at is not None for lot in book.pool.lots.values())


@given(commands)
@quick
def test_after_every_payment_failed_what_is_owed_is_the_open_receivable(history: list[Any]) -> None:
    """Decision 26: nothing is promised and no money is kept, and open is the price of what was used, or has expired."""
    book, now = played(history)
    at = day(now)
    owed = ZERO
    for name, known in list(book.pool.purchases.items()):
        if known.settlement is not PurchaseSettlement.EXTERNAL:
            continue
        book.record(paying(book.pool, name, 19, Decimal(40), at), at)
        check_invariants(book)
        after = book.pool.purchases[name]
        assert not any((after.fiat_promised, after.fiat_kept, after.unpriced))
        assert paying(book.pool, name, 19, Decimal(40), at) is None, "there is nothing more to undo"
        owed += d.owed(book.pool, after) - after.written_off

    sold = [row for row in book.rows if row.account is Account.RECEIVABLE and row.route.cost_basis == Decimal("0.5")]
    assert sum((row.amount for row in sold), ZERO) == -owed
    assert sum((row.amount for row in sold if row.route.authorization is Authorization.AUTHORIZED), ZERO) == 0


def voiding(purchase: UUID) -> Callable[[Book, int], Any]:
    return lambda book, now: d.void(book.pool, Void(purchase=purchase, booked_at=day(now)))


@given(commands, days, st.sampled_from((None, "api", "other")))
@quick
def test_listing_rows_chain_from_zero_to_the_settled_balance(
    history: list[Any], until: int, feature: str | None
) -> None:
    """16.10, for every filter and time; pages put together are the listing."""
    book, _ = played(history)
    features = FeatureFilter(feature=feature)
    as_of = AsOf(day(until))

    listed = credit_transactions(book.rows, USD, as_of=as_of, features=features)

    balance = ZERO
    for row in reversed(listed):
        assert row.balance_before == balance
        assert row.amount
        balance = row.balance_after
    assert balance == settled(book.rows, USD, features, as_of)
    assert [row.cursor for row in listed] == sorted({row.cursor for row in listed}, reverse=True)
    seen: list[Any] = []
    after = None
    for _ in range(len(listed) + 1):
        here = page(listed, 2, after=after)
        seen += here.rows
        after = here.next
        if after is None:
            break
    assert seen == listed


@given(commands, commands, days)
@quick
def test_what_was_known_then_never_changes(first: list[Any], second: list[Any], booked: int) -> None:
    """16.11: with a fixed recorded position in the past, later commands change no answer."""
    book, now = played(first)
    then = AsOf(day(booked), len(book.records))
    before = (settled(book.rows, USD, as_of=then), credit_transactions(book.rows, USD, as_of=then))
    for passed, command in second:
        now += passed
        offered(book, command, now)

    assert (settled(book.rows, USD, as_of=then), credit_transactions(book.rows, USD, as_of=then)) == before


after_a_horizon = st.integers(0, 45).flatmap(
    lambda horizon: st.tuples(st.just(horizon), st.lists(collections(since=horizon + 4), min_size=1, max_size=4))
)


@given(commands, after_a_horizon)
@quick
def test_sealing_changes_no_later_decision(history: list[Any], drawn: tuple[int, list[Any]]) -> None:
    """Slices, moves and lots leave the state, and what can be collected after the horizon stays the same."""
    (horizon, later), (book, now) = drawn, played(history)
    book.record(d.recognize(book.pool, Recognize(booked_at=day(200))), day(now))
    sealed = Book(USD)
    sealed.pool, sealed.records = book.pool, list(book.records)
    sealed.record(d.seal(sealed.pool, Seal(final_charges=CHARGES[:1], booked_before=day(horizon))), day(now))

    assert all(len(lot.moves) <= len(book.pool.lots[n].moves) for n, lot in sealed.pool.lots.items())
    for command in later:
        one, other = (command(which, now) for which in (book, sealed))
        assert taken(one) == taken(other)
        book.record(one, day(now))
        sealed.record(other, day(now))
        for number, lot in sealed.pool.lots.items():
            for at in range(horizon, 90, 7):
                assert exact(lot.spendable)(day(at)) == exact(book.pool.lots[number].spendable)(day(at))


@given(commands, after_a_horizon)
@quick
def test_the_history_of_a_charge_is_made_of_the_events_that_concern_it(
    history: list[Any], drawn: tuple[int, list[Any]]
) -> None:
    """Decision 40: its slices and accruals are those of the pool with nothing sealed; so is what is given back."""
    (horizon, later), (book, now) = drawn, played(history)
    book.record(d.recognize(book.pool, Recognize(booked_at=day(200))), day(now))
    book.record(d.seal(book.pool, Seal(final_charges=CHARGES, booked_before=day(horizon))), day(now))
    for command in later:
        book.record(command(book, now), day(now))
    rows = [row for n, each in enumerate(book.records) for row in SLICE_EVENTS.rows(Entry(n, day(now), each))]
    assert [row.version for row in rows if row.ordinal == 0] == [each.version for each in book.records]
    everything, pool = unsealed(book.records, CreditPool.empty(USD)), book.pool
    assert everything is not None

    for charge in CHARGES:
        concerning = [book.records[row.version - 1] for row in rows if row.charge == charge]
        lots = lots_taken(charge, concerning) - pool.lots.keys()
        opening = [book.records[row.version - 1] for row in rows if row.lot in lots and row.lot is not None]
        accruals = accruals_of(charge, concerning)
        spending = [book.records[row.version - 1] for row in rows if row.accrual in accruals]
        found = {each.version: each for each in (*concerning, *opening, *spending)}
        told = [each for _, each in sorted(found.items())]
        mine = history_of(charge, told, currency=USD, lots=pool.lots, version=pool.version)

        assert mine.version == pool.version
        assert mine.slices_of(charge) == everything.slices_of(charge)
        assert mine.accruals == {n: each for n, each in everything.accruals.items() if each.charge == charge}
        request = Correct(charge=charge, booked_at=day(now), now=day(now))
        assert d.correct(pool, request, mine) == d.correct(pool, request, everything)
        for back in d.bring_accrual_back(pool, charge, mine):
            book.record(back, day(now))
    assert book.pool.accruals == everything.accruals


def taken(event: CreditCollected | None) -> list[tuple[int | None, Decimal]]:
    return [(part.lot, part.amount) for part in event.slices] if event else []


@given(commands)
@quick
def test_evolving_one_event_leaves_the_state_before_it_alone(history: list[Any]) -> None:
    book, _ = played(history)
    state: CreditPool | None = None
    for record in book.records:
        before = msgspec.json.encode(state)
        after = evolve(state, record)
        assert msgspec.json.encode(state) == before
        state = after


@pytest.mark.parametrize("cents", [1, 7, 100])
def test_k_collections_of_a_take_min_of_n_and_k_times_a(cents: int) -> None:
    """One after the other, as a version check makes them: the total is what there is, or what was asked for."""
    book = Book(USD)
    request = Grant(purchase=ordered_id("P"), amount=Decimal("1.00"), effective_at=day(0), now=day(0))
    book.record(d.grant(book.pool, request))
    total = ZERO
    for number in range(9):
        ask = Collect(
            charge=ordered_id(f"c{number}"),
            amount=Decimal(cents).scaleb(-1),
            mode=SettlementMode.CREDIT_THEN_INVOICE,
            booked_at=day(1),
            sources_at=SourceCut(day(1)),
        )
        event = book.record(d.collect(book.pool, ask))
        total += sum((part.amount for part in event.slices), ZERO) if event else ZERO

    assert total == min(Decimal(1), 9 * Decimal(cents).scaleb(-1))
