"""Balances at any pair of times: `booked_at <= as_of` and recorded up to a position (ledger §9, §13).

The oracle is a sum over every posting; the views answer the same from a few rows, over each kind of tables.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.journal.chart import Account, route
from ledger.balances import LATEST, VIEWS, amounts_of, figures
from ledger.store.follow import Follower
from projections import balance_history
from projections.addresses import Address, address_of, read_address
from projections.balance_history import nodes_before
from projections.catalogue import PROJECTIONS
from projections.ledger_entries import LEDGER_ENTRIES
from projections.stores.memory import MemoryTables
from projections.stores.open import open_views
from projections.stores.tables import Tables, Where
from tests.support import pools
from tests.support.pools import (
    ACCRUED,
    ADVANCE,
    BREAKAGE,
    FBO,
    FBO_FREE,
    NAMESPACE,
    OWED,
    PROMISED,
    START,
    TOKEN_FBO,
    TOKEN_WASH,
    TOKENS,
    USD,
    WASH,
    PoolLog,
    Posted,
    moved,
    posted,
)


@pytest.fixture
def tables(store_url: str) -> Iterator[Tables]:
    opened = open_views(store_url)
    yield opened
    opened.close()


@pytest.fixture
def small_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves, nodes and pages so small that a short history has all of their levels."""
    shrink(monkeypatch)


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balance_history, "LEAF", 2)
    monkeypatch.setattr(balance_history, "FAN", 2)
    monkeypatch.setattr(balance_history, "STEPS", 3)


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def held(tables: Tables, customer: str, currency: str, as_of: datetime, position: int) -> dict[Address, Decimal]:
    """What the views answer, without addresses that hold nothing."""
    with tables.reading() as reader:
        amounts = amounts_of(reader, (NAMESPACE, customer, currency), as_of, position)
    return {address: amount for address, amount in (amounts or {}).items() if amount}


def summed(tables: Tables, customer: str, currency: str, as_of: datetime, position: int) -> dict[Address, Decimal]:
    """What every posting says, one by one."""
    sums: dict[Address, Decimal] = {}
    where = [Where("customer", "=", customer), Where("currency", "=", currency)]
    with tables.reading() as reader:
        for row in reader.select(LEDGER_ENTRIES, where):
            if row.booked_at <= as_of and row.position <= position:
                address = read_address(row.address)
                sums[address] = sums.get(address, Decimal(0)) + row.amount
    return {address: amount for address, amount in sums.items() if amount}


@pytest.mark.usefixtures("small_nodes")
@settings(max_examples=60)
@given(history=pools.histories, as_of=st.integers(-2100, 9000), recorded=st.integers(0, 45), page=st.integers(1, 50))
def test_every_pair_of_times_is_the_sum_of_its_postings(
    history: list[Posted], as_of: int, recorded: int, page: int
) -> None:
    log = PoolLog()
    log.record(*history)
    tables = MemoryTables()
    Follower(log.store, tables, PROJECTIONS, page=page).catch_up()

    for customer in ("acme", "globex"):
        for currency in (USD.key, TOKENS.key):
            for position in (recorded, LATEST):
                expected = summed(tables, customer, currency, at(as_of), position)
                assert held(tables, customer, currency, at(as_of), position) == expected


@pytest.mark.usefixtures("small_nodes")
@settings(max_examples=40)
@given(history=pools.histories, pages=st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_rebuilt_views_are_those_that_were_kept_up(history: list[Posted], pages: list[int]) -> None:
    log = PoolLog()
    tables = MemoryTables()
    followers = [Follower(log.store, tables, PROJECTIONS, page=page) for page in pages]
    for number, event in enumerate(history):
        log.record(event)
        if number % 3 == 0:
            followers[number % len(followers)].catch_up()
    followers[0].catch_up()

    for name in followers[0].projections:
        assert followers[0].verify_view(name).differences == ()


@settings(max_examples=60)
@given(history=pools.histories, as_of=st.integers(-2100, 9000), cut=st.integers(0, 39))
def test_what_was_recorded_by_a_position_never_changes(history: list[Posted], as_of: int, cut: int) -> None:
    log = PoolLog()
    tables = MemoryTables()
    follower = Follower(log.store, tables, PROJECTIONS)
    early, late = history[:cut], history[cut:]
    log.record(*early)
    follower.catch_up()
    position = log.store.head()
    before = held(tables, "acme", USD.key, at(as_of), LATEST)

    log.record(*late)
    follower.catch_up()

    assert held(tables, "acme", USD.key, at(as_of), position) == before


@pytest.mark.usefixtures("small_nodes")
def test_the_tables_agree_on_a_long_history(tables: Tables) -> None:
    log = PoolLog()
    for number in range(70):
        log.record(
            posted(
                "acme", moved(WASH, FBO, number + 1, booked=number * 60), moved(FBO, BREAKAGE, number, booked=9_000)
            ),
            posted("acme", moved(FBO, ACCRUED, "0.50", booked=number * 60 - 1_800)),
        )
    follower = Follower(log.store, tables, PROJECTIONS, page=13)
    follower.catch_up()

    for as_of in (-1_801, 0, 59, 60, 1_000, 4_200, 9_000, 90_000):
        for position in (1, 2, 63, 64, 65, 100, LATEST):
            expected = summed(tables, "acme", "USD", at(as_of), position)
            assert held(tables, "acme", "USD", at(as_of), position) == expected
    assert follower.verify_view("balance_history").equal
    assert all(each.comparison is not None and each.comparison.equal for each in follower.rebuild(VIEWS))


def test_credit_that_expired_and_usage_that_came_late(tables: Tables) -> None:
    """10.00 expiring on 10 January; on the 15th usage of 6.00 booked on the 5th is recorded (ledger §13)."""
    day = 86_400
    log = PoolLog()
    granted = posted("acme", moved(WASH, FBO, 10, booked=0), moved(FBO, BREAKAGE, 10, booked=9 * day))
    used = posted(
        "acme",
        moved(FBO, ACCRUED, 6, booked=4 * day),
        moved(BREAKAGE, FBO, 6, booked=9 * day),
        later=14 * day,
    )
    log.record(granted, used)
    Follower(log.store, tables, PROJECTIONS).catch_up()

    def breakage(as_of: int, position: int) -> Decimal:
        amounts = held(tables, "acme", "USD", at(as_of), position)
        return figures(amounts, None, unrestricted=False)["breakage"]

    tenth, twelfth = 9 * day, log.store.position_at(at(11 * day))
    assert twelfth == 1
    assert breakage(tenth, LATEST) == Decimal(4)
    assert breakage(tenth, twelfth) == Decimal(10)
    assert breakage(tenth - 1, LATEST) == Decimal(0)


def test_the_balance_now_counts_what_has_become_due_without_a_new_event(tables: Tables) -> None:
    log = PoolLog()
    log.record(posted("acme", moved(WASH, FBO, 10), moved(FBO, BREAKAGE, 10, booked=5_000)))
    Follower(log.store, tables, PROJECTIONS).catch_up()

    assert figures(held(tables, "acme", "USD", at(4_999), LATEST), None, unrestricted=False)["fbo"] == Decimal(10)
    assert figures(held(tables, "acme", "USD", at(5_000), LATEST), None, unrestricted=False)["fbo"] == Decimal(0)


def test_the_figures_of_a_balance_and_its_filters() -> None:
    amounts = {
        address_of(account, route)[1]: Decimal(amount)
        for (account, route), amount in (
            (FBO, 100),  # restricted to "api"
            (FBO_FREE, 7),
            (ADVANCE, -30),
            (OWED, -50),
            (PROMISED, -20),
            (ACCRUED, 11),
            (WASH, -3),
        )
    }

    everything = figures(amounts, None, unrestricted=False)
    assert everything["settled"] == Decimal(77)  # 100 + 7 - 30: receivables of a paid purchase are not part of it
    assert (everything["fbo"], everything["advance"]) == (Decimal(107), Decimal(-30))
    assert everything["receivable_open"] == Decimal(-80)
    assert everything["receivable_authorized"] == Decimal(-20)
    assert (everything["accrued"], everything["wash"]) == (Decimal(11), Decimal(-3))
    assert figures(amounts, "api", unrestricted=False)["fbo"] == Decimal(107)
    assert figures(amounts, "storage", unrestricted=False)["fbo"] == Decimal(7)
    assert figures(amounts, None, unrestricted=True)["fbo"] == Decimal(7)


def test_one_cost_basis_is_one_address_however_it_is_written() -> None:
    half, longer = (address_of(Account.FBO, route(USD, cost_basis=Decimal(text)))[0] for text in ("0.5", "0.50"))

    assert half == longer
    assert read_address(half).cost_basis == Decimal("0.5")


def test_a_token_pool_posts_fiat_legs_that_count_for_the_fiat_currency(tables: Tables) -> None:
    log = PoolLog()
    log.record(
        posted("acme", moved(TOKEN_WASH, TOKEN_FBO, 1000), moved(WASH, OWED, 10), currency=TOKENS),
        posted("acme", moved(WASH, OWED, 5)),
    )
    Follower(log.store, tables, PROJECTIONS).catch_up()

    assert figures(held(tables, "acme", "USD", at(9), LATEST), None, unrestricted=False)["receivable_open"] == 15
    assert figures(held(tables, "acme", "USD", at(9), 1), None, unrestricted=False)["receivable_open"] == 10
    assert figures(held(tables, "acme", TOKENS.key, at(9), 1), None, unrestricted=False)["fbo"] == 1000


@pytest.mark.parametrize("leaf", [0, 1, 7, 8, 9, 63, 64, 511, 512, 513, 1024, 5000])
def test_few_nodes_stand_for_everything_before_a_leaf(leaf: int) -> None:
    nodes = nodes_before(leaf)

    covered = [number for level, node in nodes for number in range(node * 8**level, (node + 1) * 8**level)]
    assert covered == list(range(leaf))
    assert len(nodes) <= 7 * 3 + leaf // 512
