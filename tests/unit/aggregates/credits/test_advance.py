"""A purchase takes over advance that was already spent (ledger §6.4; D2, decision 36)."""

from aggregates.credits import decisions as d
from aggregates.credits.events import CreditGranted
from aggregates.credits.requests import Grant, OpenAdvance
from aggregates.journal.chart import Account, TaxBehavior
from aggregates.journal.postings import Template
from tests.support.books import ordered_id
from tests.support.credit_scenarios import TOKENS, Pool, day, dec, shown


def covered(event: CreditGranted) -> list[str]:
    return [shown(part.amount) for part in event.backfill]


def test_advance_booked_together_shares_by_largest_remainder() -> None:
    """10 under tax A and 5 under tax B, purchase 5: 3.33 and 1.67."""
    pool = Pool()
    pool.collect("U1", "10", at=1, tax="A", behavior=TaxBehavior.INCLUSIVE)
    pool.collect("U2", "5", at=1, tax="B", behavior=TaxBehavior.EXCLUSIVE)

    assert covered(pool.grant("P", "5", at=2, cost="0.5")) == ["3.33", "1.67"]
    assert pool.balance(Account.ACCRUED, cost_basis=dec("0.5"), tax_code="A") == dec("3.33")
    assert pool.balance(Account.ACCRUED, cost_basis=None, tax_code="B") == dec("3.33")
    assert pool.balance(Account.FBO) == 0


def test_left_over_units_go_to_the_first_by_charge() -> None:
    """Three advances of 1, purchase 0.05 in a currency of two digits: 0.02, 0.02, 0.01."""
    pool = Pool()
    for name in ("U0", "U1", "U2"):
        pool.collect(name, "1", at=1)

    assert covered(pool.grant("P", "0.05", at=2, cost="1")) == ["0.02", "0.02", "0.01"]


def test_the_oldest_advance_is_covered_first() -> None:
    """20 of January and 20 of February, purchase 25: 20 and 5."""
    pool = Pool()
    pool.collect("February", "20", at=59)
    pool.collect("January", "20", at=32)

    event = pool.grant("P", "25", at=60, cost="0.5")

    assert covered(event) == ["20", "5"]
    assert [part.charge for part in event.backfill] == [ordered_id("January"), ordered_id("February")]


def test_what_an_expiring_purchase_covered_never_expires() -> None:
    """Advance 8, purchase 12 expiring on the 10th: fbo 4 now; then fbo 0, breakage 4."""
    pool = Pool()
    pool.collect("U", "8", at=1)
    pool.grant("P", "12", at=3, expires=10)

    assert (pool.balance(Account.FBO, at=3), pool.balance(Account.BREAKAGE, at=3)) == (4, 0)
    assert (pool.balance(Account.FBO, at=10), pool.balance(Account.BREAKAGE, at=10)) == (0, 4)


def test_restricted_credit_covers_advance_of_its_features_only() -> None:
    pool = Pool()
    pool.collect("api", "10", at=1, feature="api")
    pool.collect("storage", "10", at=1, feature="storage")
    pool.collect("none", "10", at=1)

    event = pool.grant("P", "100", at=2, cost="0.5", features=("api", "search"))

    assert [part.charge for part in event.backfill] == [ordered_id("api")]
    assert pool.balance(Account.FBO) == 90


def test_unrestricted_credit_covers_advance_of_every_feature() -> None:
    pool = Pool()
    pool.collect("api", "10", at=1, feature="api")
    pool.collect("none", "10", at=1)

    assert covered(pool.grant("P", "100", at=2, cost="0.5")) == ["10", "10"]


def test_credit_of_unknown_cost_covers_nothing() -> None:
    pool = Pool(TOKENS)
    pool.collect("U", "40", at=1)

    assert covered(pool.grant("P", "100", at=2)) == []
    assert pool.settled(2) == 60


def test_a_backdated_purchase_covers_at_its_effective_time() -> None:
    pool = Pool()
    pool.collect("U", "40", at=1)
    event = pool.grant("P", "100", at=2, now=12, cost="0.5")

    assert {t.booked_at for t in event.transactions} == {day(2)}


def test_a_future_purchase_covers_now() -> None:
    pool = Pool()
    pool.collect("U", "100", at=1)
    pool.grant("P1", "60", at=14, now=2, cost="0.5")
    event = pool.grant("P2", "60", at=14, now=2, cost="0.5")

    assert covered(event) == ["40"]
    assert event.backfill[0].booked_at == day(2)
    assert (pool.balance(Account.FBO, at=2), pool.balance(Account.FBO, at=14)) == (0, 20)


def test_credit_that_covers_later_usage_is_ordinary_until_then() -> None:
    """100 effective 1 January over an advance of 40 booked on the 31st: 100 in between and 60 after (decision 36)."""
    pool = Pool()
    pool.collect("U", "40", at=31)
    event = pool.grant("P", "100", at=1, now=35, cost="0.5")

    assert Template.COVER in {t.template for t in event.transactions}
    assert [pool.balance(Account.FBO, at=when) for when in (1, 30, 31)] == [100, 100, 60]
    assert [pool.settled(when) for when in (1, 30, 31)] == [100, 100, 60]
    assert pool.balance(Account.RECEIVABLE, cost_basis=None) == 0


def test_giving_back_usage_that_was_covered_through_the_balance_restores_the_credit() -> None:
    pool = Pool()
    pool.collect("U", "40", at=31)
    pool.grant("P", "100", at=1, now=35, cost="0.5", expires=90)
    pool.correct("U", at=40)

    assert pool.balance(Account.FBO, at=40) == 100
    assert pool.balance(Account.BREAKAGE, at=90) == 100


def test_credit_does_not_cover_usage_booked_after_its_expiry() -> None:
    pool = Pool()
    pool.collect("U", "40", at=31)

    assert covered(pool.grant("P", "100", at=1, now=2, cost="0.5", expires=20)) == []


def test_advance_from_before_this_ledger_is_covered_like_any_other() -> None:
    pool = Pool()
    pool.offer(d.open_advance(pool.book.pool, OpenAdvance(amount=dec("40"), booked_at=day(1))), 1)
    request = Grant(purchase=ordered_id("P"), amount=dec("100"), effective_at=day(2), now=day(2))
    event = pool.offer(d.grant(pool.book.pool, request), 2)

    assert covered(event) == ["40"]
    assert pool.balance(Account.FBO) == 60
