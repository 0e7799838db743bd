"""Credit is granted, and paid for (ledger §6.1)."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from aggregates.credits import decisions as d
from aggregates.credits.events import PurchaseSettlement
from aggregates.credits.requests import Grant, OpenBalance
from aggregates.journal.chart import Account, Authorization
from aggregates.journal.postings import Template
from aggregates.values.errors import LedgerError, ValidationFailed
from tests.support.books import ordered_id
from tests.support.credit_scenarios import TOKENS, USD, Pool, day, dec

OPEN, AUTHORIZED = Authorization.OPEN, Authorization.AUTHORIZED


def figures(pool: Pool) -> dict[str, Any]:
    return {
        "open": pool.balance(Account.RECEIVABLE, authorization=OPEN, currency=USD),
        "authorized": pool.balance(Account.RECEIVABLE, authorization=AUTHORIZED, currency=USD),
        "brokerage": pool.balance(Account.BROKERAGE, currency=USD),
        "wash": pool.balance(Account.WASH, currency=USD),
    }


def test_promotional_credit_costs_nothing_and_owes_nothing() -> None:
    pool = Pool()
    pool.grant("P", "100")

    assert pool.balance(Account.FBO, cost_basis=dec("0")) == 100
    assert figures(pool) == {"open": 0, "authorized": 0, "brokerage": 0, "wash": -100}


def test_purchased_credit_is_owed_at_face_until_its_price_is_authorized_and_settled() -> None:
    """100 at 0.5: open -100; exchange +50 against brokerage -50; authorize 50; settle 50."""
    pool = Pool()
    pool.grant("P", "100", cost="0.5")
    assert figures(pool) == {"open": -100, "authorized": 0, "brokerage": 0, "wash": 0}

    pool.authorize("P", credit="100", cost="0.5", at=2)
    assert figures(pool) == {"open": 0, "authorized": -50, "brokerage": -50, "wash": 0}

    pool.settle("P", credit="100", cost="0.5", at=3)
    assert figures(pool) == {"open": 0, "authorized": 0, "brokerage": -50, "wash": -50}


def test_a_price_agreed_below_face_leaves_the_difference_with_the_brokerage() -> None:
    pool = Pool()
    pool.grant("P", "100", cost="0.5")
    pool.authorize("P", credit="100", cost="0.5", fiat_amount="99", at=2)
    pool.settle("P", credit="100", cost="0.5", fiat_amount="99", at=3)

    assert figures(pool) == {"open": 0, "authorized": 0, "brokerage": -1, "wash": -99}


def test_a_price_equal_to_face_needs_no_exchange() -> None:
    pool = Pool()
    pool.grant("P", "100", cost="1")

    assert [t.template for t in pool.authorize("P", credit="100", cost="1", at=2).transactions] == [
        Template.PAYMENT_AUTHORIZE
    ]


def test_one_credit_at_half_a_cent_costs_a_cent() -> None:
    pool = Pool()
    pool.grant("P", "1", cost="0.005")

    assert pool.authorize("P", credit="1", cost="0.005", at=2).fiat_amount == dec("0.01")


def test_a_price_that_rounds_to_nothing_is_refused() -> None:
    pool = Pool()
    pool.grant("P", "1", cost="0.004")

    with pytest.raises(ValidationFailed) as refused:
        pool.authorize("P", credit="1", cost="0.004", at=2)
    assert refused.value.codes == ("fiat_amount_rounds_to_zero",)


def test_a_custom_currency_is_owed_in_fiat_once_it_is_exchanged() -> None:
    """40 TOK at 0.25 USD: the TOK receivable closes, 10 USD are owed, authorized and paid, all in one pool."""
    pool = Pool(TOKENS)
    pool.grant("P", "40", cost="0.25")
    pool.authorize("P", credit="40", cost="0.25", at=2)
    assert figures(pool) == {"open": 0, "authorized": -10, "brokerage": 10, "wash": 0}
    assert pool.balance(Account.RECEIVABLE, currency=TOKENS) == 0
    assert pool.balance(Account.BROKERAGE, currency=TOKENS) == -40

    pool.settle("P", credit="40", cost="0.25", at=3)
    assert figures(pool)["wash"] == -10
    assert pool.settled(3) == 40
    assert pool.balance(Account.RECEIVABLE, cost_basis=None) == 0, "fiat legs are never taken for advance"


def test_a_payment_is_authorized_once_and_settled_once_in_this_order() -> None:
    pool = Pool()
    pool.grant("P", "100", cost="0.5")

    assert refusal(lambda: pool.settle("P", credit="100", cost="0.5", at=2)) == "cannot_settle_not_authorized_payment"
    pool.authorize("P", credit="100", cost="0.5", at=2)
    assert refusal(lambda: pool.authorize("P", credit="100", cost="0.5", at=2)) == "payment_already_authorized"
    pool.settle("P", credit="100", cost="0.5", at=2, fiat_amount="20")
    pool.settle("P", credit="100", cost="0.5", at=2, fiat_amount="30")
    assert refusal(lambda: pool.settle("P", credit="100", cost="0.5", at=2)) == "payment_already_settled"


def test_payment_may_come_before_the_credit_it_is_for() -> None:
    """Credit that becomes available when it is settled: the issue is booked then, payments only move receivables."""
    pool = Pool()
    pool.authorize("P", credit="100", cost="0.5", at=1)
    pool.settle("P", credit="100", cost="0.5", at=2)
    pool.grant("P", "100", cost="0.5", at=2)

    assert figures(pool) == {"open": 0, "authorized": 0, "brokerage": -50, "wash": -50}
    assert pool.balance(Account.FBO) == 100


def test_a_purchase_grants_once() -> None:
    pool = Pool()
    pool.grant("P", "100")

    assert refusal(lambda: pool.grant("P", "100")) == "credit_already_granted"


def test_everything_wrong_with_a_grant_is_told_at_once() -> None:
    request = Grant(
        purchase=ordered_id("P"),
        amount=dec("0.004"),
        settlement=PurchaseSettlement.EXTERNAL,
        priority=0,
        effective_at=day(5),
        expires_at=day(5),
        now=day(6),
    )

    with pytest.raises(ValidationFailed) as refused:
        d.grant(Pool().book.pool, request)

    assert refused.value.codes == (
        "amount_not_positive",
        "cost_basis_required",
        "priority_below_one",
        "expires_at_not_after_effective_at",
        "expires_at_not_after_now",
    )


@pytest.mark.parametrize(("expires", "now", "accepted"), [(10, 9, True), (10, 10, False), (10, 11, False)])
def test_credit_that_has_already_expired_is_not_granted(expires: int, now: int, *, accepted: bool) -> None:
    found = refusal(lambda: Pool().grant("P", "5", at=1, now=now, expires=expires))

    assert found == (None if accepted else "validation")


def test_the_group_of_a_grant_is_booked_in_order() -> None:
    """Attributions, issue of the rest, payment of the full amount, the plan, and a release per attribution (§6.1)."""
    pool = Pool()
    pool.collect("U", "40", at=1)
    event = pool.grant("P", "100", at=2, expires=20)

    assert [t.template for t in event.transactions] == [
        Template.ADVANCE_ATTRIBUTE,
        Template.COST_BASIS_TRANSLATE,
        Template.ISSUE,
        Template.PAYMENT_AUTHORIZE,
        Template.PAYMENT_SETTLE,
        Template.BREAKAGE_PLAN,
        Template.BREAKAGE_RELEASE,
    ]
    plan, release = event.transactions[-2:]
    assert (plan.entries[1].amount, release.entries[1].amount) == (100, -40)


def test_an_opening_balance_covers_no_advance_and_may_have_no_source() -> None:
    pool = Pool()
    pool.collect("U", "40", at=1)
    pool.offer(d.open_balance(pool.book.pool, OpenBalance(amount=dec("100"), effective_at=day(1))), 1)

    assert pool.balance(Account.FBO) == 100
    assert pool.balance(Account.WASH) == -100
    assert pool.settled(1) == 60


def test_equal_cost_bases_written_differently_are_one_route() -> None:
    pool = Pool()
    pool.grant("A", "1", cost="0.5")
    pool.grant("B", "1", cost="0.50")

    assert pool.balance(Account.FBO, cost_basis=dec("0.500")) == 2
    assert len(Counter(lot.route for lot in pool.book.pool.lots.values())) == 1


def test_an_event_reads_back_as_it_was_written() -> None:
    pool = Pool()
    pool.collect("U", "40", at=1, tax="A")
    event = pool.grant("P", "100", at=2, expires=20, cost="0.5", features=("b", "", "a", "b"))

    assert event.route.features == ("a", "b")
    assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event


def refusal(command: Any) -> str | None:
    try:
        command()
    except LedgerError as refused:
        return refused.code
    return None
