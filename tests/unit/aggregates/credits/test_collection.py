"""Which credit pays, in what order, and how much of it may (ledger §6.2, §6.3)."""

from decimal import Decimal

import pytest

from aggregates.credits import decisions as d
from aggregates.credits.events import SettlementMode
from aggregates.credits.requests import SourceCut
from aggregates.journal.chart import Account
from aggregates.policies import UsageCreditCut
from tests.support.credit_scenarios import Pool, day, taken

THEN_INVOICE = SettlementMode.CREDIT_THEN_INVOICE


def test_what_expires_first_is_used_first_and_its_plan_is_released() -> None:
    """A 10 expiring on the 10th, B 15 on the 15th, usage 15."""
    pool = Pool()
    pool.grant("A", "10", priority=1, expires=10)
    pool.grant("B", "15", priority=1, expires=15)

    event = pool.collect("U", "15", at=2)

    assert taken(event) == ["10", "5"]
    assert pool.of(Account.ACCRUED, source="A", spend="U") == 10
    assert pool.of(Account.ACCRUED, source="B", spend="U") == 5
    assert [part.released_at for part in event.slices] == [day(10), day(15)]
    assert [lot.balance for lot in pool.book.pool.lots.values()] == [0, 10]


def test_credit_that_runs_out_becomes_advance() -> None:
    """Promotional 30, purchased 50 at 0.5, credit_only 100: 30, 50, and 20 of advance."""
    pool = Pool()
    pool.grant("promotional", "30")
    pool.grant("purchased", "50", cost="0.5")

    event = pool.collect("U", "100", at=2)

    assert taken(event) == ["30", "50", "20 advance"]
    assert [allocation.amount for allocation in d.allocations(event)] == [30, 50, 20]
    assert pool.balance(Account.FBO) == 0
    assert pool.balance(Account.ACCRUED) == 100
    assert pool.balance(Account.RECEIVABLE, cost_basis=None) == -20


def test_credit_that_runs_out_leaves_the_rest_to_be_invoiced() -> None:
    pool = Pool()
    pool.grant("P", "30")

    event = pool.collect("U", "100", at=2, mode=THEN_INVOICE)

    assert taken(event) == ["30"]
    assert event.shortfall == 70
    assert pool.settled(2) == 0


def test_without_any_credit_and_with_an_invoice_nothing_is_booked() -> None:
    assert Pool().collect("U", "10", at=1, mode=THEN_INVOICE) is None


def test_an_amount_that_rounds_to_zero_books_nothing() -> None:
    pool = Pool()
    pool.grant("P", "30")

    assert pool.collect("U", "0.004", at=2) is None
    assert taken(pool.collect("U", "0.005", at=2)) == ["0.01"]


def test_priority_comes_before_restriction_and_restriction_before_expiry() -> None:
    pool = Pool()
    pool.grant("late but restricted", "1", priority=2, features=("api",), expires=30)
    pool.grant("early", "2", priority=2, expires=10)
    pool.grant("never", "3", priority=2)
    pool.grant("first", "4", priority=1)

    assert taken(pool.collect("U", "9", at=2, feature="api")) == ["4", "1", "2", "2"]


def test_credit_restricted_to_other_features_is_left_alone() -> None:
    pool = Pool()
    pool.grant("P", "10", features=("storage",))

    assert taken(pool.collect("U", "4", at=2, feature="api")) == ["4 advance"]
    assert taken(pool.collect("V", "4", at=2)) == ["4 advance"]
    assert taken(pool.collect("W", "4", at=2, feature="storage")) == ["4"]


def test_a_debit_booked_later_cannot_be_spent_again_by_a_charge_booked_earlier() -> None:
    """100 spent on 10 February leave nothing for a charge of 1 February that is collected afterwards (D1)."""
    pool = Pool()
    pool.grant("P", "100")
    pool.collect("C1", "100", at=41, mode=THEN_INVOICE)

    assert pool.collect("C2", "60", at=32, mode=THEN_INVOICE) is None
    assert pool.balance(Account.FBO, at=42) == 0


def test_a_charge_booked_before_credit_became_effective_takes_none_of_it() -> None:
    """As of the 5th there is the grant of the 3rd; booked on the 1st, the lot would be negative until then."""
    pool = Pool()
    pool.grant("P", "100", at=3)

    assert taken(pool.collect("U", "10", at=1, sources=5)) == ["10 advance"]


@pytest.mark.parametrize(
    ("cut", "pays"), [(UsageCreditCut.PERIOD_END, ["30 advance"]), (UsageCreditCut.LAST_SECOND, ["30"])]
)
def test_a_january_grant_pays_january_usage_in_the_last_second_of_it(cut: UsageCreditCut, pays: list[str]) -> None:
    pool = Pool()
    pool.grant("January", "30", expires=32)

    assert taken(pool.collect("U", "30", at=32, cut=cut)) == pays
    assert pool.balance(Account.BREAKAGE) == (30 if pays == ["30 advance"] else 0)


def test_credit_that_begins_with_the_next_period_does_not_pay_this_one() -> None:
    pool = Pool()
    pool.grant("February", "30", at=32)

    assert taken(pool.collect("U", "30", at=32, cut=UsageCreditCut.LAST_SECOND)) == ["30 advance"]
    assert taken(pool.collect("V", "30", at=32)) == ["30"]


def test_the_last_second_is_the_second_before() -> None:
    assert SourceCut(day(32), UsageCreditCut.LAST_SECOND).as_of < day(32)
    assert SourceCut(day(32)).as_of == day(32)


def test_usage_booked_after_expiry_shows_no_phantom_credit() -> None:
    """10 expiring on the 10th; 5 used out of January's credit and booked on 1 February (D5)."""
    pool = Pool()
    pool.grant("P", "10", expires=10)
    pool.collect("C", "5", at=32, sources=1, mode=THEN_INVOICE)

    assert [pool.balance(Account.FBO, at=when) for when in (9, 15, 32)] == [10, 0, 0]
    assert pool.balance(Account.BREAKAGE, at=15) == 10
    assert pool.balance(Account.BREAKAGE, at=32) == 5


def test_neighbouring_slices_of_one_route_are_one_allocation_and_a_change_of_route_starts_another() -> None:
    """A and C lie on one route, B between them on another: 5, 2, 3, so that undoing backwards restores C, B, A (D8)."""
    pool = Pool()
    pool.grant("A", "5", priority=1, expires=5)
    pool.grant("B", "2", priority=1, expires=6, cost="0.5")
    pool.grant("C", "9", priority=1, expires=7)

    event = pool.collect("U", "10", at=2)
    again = pool.collect("V", "4", at=2)

    assert [a.amount for a in d.allocations(event)] == [5, 2, 3]
    assert [a.slices for a in d.allocations(event)] == [(1,), (2,), (3,)]
    assert len({a.id for a in (*d.allocations(event), *d.allocations(again))}) == 4 + (len(again.slices) - 1)


def test_slices_of_one_route_share_an_allocation() -> None:
    pool = Pool()
    pool.grant("A", "5", expires=5)
    pool.grant("B", "5", expires=6)

    (allocation,) = d.allocations(pool.collect("U", "8", at=2))

    assert allocation.amount == 8
    assert (allocation.slices, allocation.position) == ((1, 2), 0)


def test_usage_is_accounted_for_in_the_period_it_belongs_to() -> None:
    """Booked at the period's end, accounted for a second before it (decision 35)."""
    pool = Pool()
    pool.grant("P", "10", expires=40)
    event = pool.collect("U", "4", at=32, accounting=31.9)

    collecting, release = event.transactions
    assert (collecting.booked_at, collecting.accounting_date) == (day(32), day(31.9))
    assert (release.booked_at, release.accounting_date) == (day(40), day(40))


def test_amounts_stay_exact_far_beyond_binary_fractions() -> None:
    pool = Pool()
    pool.grant("P", "999999999999999999999.99")
    pool.collect("U", "0.01", at=2)

    assert pool.balance(Account.FBO) == Decimal("999999999999999999999.98")
