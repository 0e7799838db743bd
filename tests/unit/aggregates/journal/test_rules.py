"""What may be posted: one refusal for each invariant of ledger §4, and beside it one that holds."""

from decimal import Decimal
from typing import Any

import pytest

from aggregates.journal import refusals, rules
from aggregates.journal.chart import Account, Authorization, Route, TaxBehavior, route
from aggregates.journal.postings import Entry, EntryRef, Template, Transaction
from aggregates.values.money import Currency, fiat
from aggregates.values.period import Instant, instant
from tests.support.books import ordered_id

AT: Instant = instant("2026-01-01")
USD, EUR, YEN = fiat("USD"), fiat("EUR"), fiat("JPY")
TOKENS = Currency("TOK", 3, "custom:tokens")
TWIN = Currency("TOK", 3, "custom:other tokens")
FBO, RECEIVABLE, ACCRUED = Account.FBO, Account.RECEIVABLE, Account.ACCRUED
WASH, EARNINGS, BREAKAGE = Account.WASH, Account.EARNINGS, Account.BREAKAGE
OPEN, AUTHORIZED = Authorization.OPEN, Authorization.AUTHORIZED


def leg(account: Account, amount: str, currency: Currency = USD, **dimensions: Any) -> Entry:
    """An entry with the dimensions its account requires, unless they are given."""
    if account is FBO:
        dimensions.setdefault("credit_priority", 100)
    if account is RECEIVABLE:
        dimensions.setdefault("authorization", OPEN)
    if "cost_basis" in dimensions and currency.is_custom:
        dimensions.setdefault("cost_basis_currency", "USD")
    identity = {key: dimensions.pop(key) for key in ("index", "source", "spend", "corrects") if key in dimensions}
    return Entry(account=account, route=Route(currency=currency, **dimensions), amount=Decimal(amount), **identity)


def post(*entries: Entry, template: Template = Template.ISSUE) -> Transaction:
    return rules.check(Transaction(template=template, booked_at=AT, accounting_date=AT, entries=entries))


ONE, TWO, HALF = Decimal(1), Decimal(2), Decimal("0.5")

REFUSED = [
    # §4.1 entries of each currency sum to zero
    ("unbalanced_transaction", [leg(FBO, "10"), leg(RECEIVABLE, "-9")]),
    ("unbalanced_transaction", [leg(FBO, "10"), leg(FBO, "-10", EUR)]),
    ("unbalanced_transaction", [leg(FBO, "10", TOKENS), leg(RECEIVABLE, "-10", TWIN)]),
    ("unbalanced_transaction", []),
    # §4.2 amounts are exact at their currency's precision
    ("amount_precision", [leg(FBO, "10.001"), leg(RECEIVABLE, "-10.001")]),
    ("amount_precision", [leg(FBO, "0.5", YEN), leg(RECEIVABLE, "-0.5", YEN)]),
    ("amount_precision", [leg(FBO, "0.0001", TOKENS), leg(RECEIVABLE, "-0.0001", TOKENS)]),
    # §4.3 address and identity are unique
    ("duplicate_entry_identity", [leg(ACCRUED, "-20"), leg(ACCRUED, "-10"), leg(EARNINGS, "30")]),
    # §3, §4.4 dimensions where they belong
    ("tax_dimensions_only_allowed_on_accrued_or_earnings", [leg(FBO, "1", tax_code="A"), leg(RECEIVABLE, "-1")]),
    ("features_only_allowed_on_fbo_or_receivable", [leg(FBO, "-1"), leg(ACCRUED, "1", features=("a",))]),
    ("route_dimension_invalid", [leg(FBO, "1", credit_priority=None), leg(RECEIVABLE, "-1")]),
    ("route_dimension_invalid", [leg(FBO, "1", credit_priority=0), leg(RECEIVABLE, "-1")]),
    ("route_dimension_invalid", [leg(FBO, "1"), leg(RECEIVABLE, "-1", authorization=None)]),
    ("route_dimension_invalid", [leg(FBO, "1"), leg(RECEIVABLE, "-1", credit_priority=1)]),
    ("route_dimension_invalid", [leg(FBO, "-1"), leg(ACCRUED, "1", tax_behavior=TaxBehavior.INCLUSIVE)]),
    ("route_dimension_invalid", [leg(FBO, "1", cost_basis=-ONE), leg(RECEIVABLE, "-1", cost_basis=-ONE)]),
    (
        "route_dimension_invalid",
        [
            leg(FBO, "1", TOKENS, cost_basis=ONE, cost_basis_currency=None),
            leg(RECEIVABLE, "-1", TOKENS, cost_basis=ONE),
        ],
    ),
    ("route_dimension_invalid", [leg(FBO, "1", cost_basis_currency="USD"), leg(RECEIVABLE, "-1")]),
    # §4.5 which accounts meet
    ("account_type_combination_not_allowed", [leg(FBO, "-50"), leg(EARNINGS, "50")]),
    ("account_type_combination_not_allowed", [leg(FBO, "-5"), leg(WASH, "5")]),
    ("account_type_combination_not_allowed", [leg(EARNINGS, "-5", cost_basis=ONE), leg(EARNINGS, "5")]),
    ("account_type_combination_not_allowed", [leg(FBO, "-2"), leg(ACCRUED, "1"), leg(RECEIVABLE, "1")]),
    # §4.6 value flows; since currencies balance, only entries of zero do not
    ("invalid_flow_direction", [leg(FBO, "0"), leg(ACCRUED, "0")]),
    ("invalid_flow_direction", [leg(FBO, "-5"), leg(ACCRUED, "5"), leg(ACCRUED, "0", index=1)]),
    # §4.7 cash meets authorized receivables
    ("transaction_authorization_status_mismatch", [leg(WASH, "-1"), leg(RECEIVABLE, "1")]),
    # §4.8 within receivables
    (
        "unsupported_receivable_same_account_transition",
        [leg(RECEIVABLE, "1", authorization=AUTHORIZED), leg(RECEIVABLE, "-1")],
    ),
    ("unknown_cost_basis_required", [leg(RECEIVABLE, "1", cost_basis=ONE), leg(RECEIVABLE, "-1", cost_basis=TWO)]),
    ("known_cost_basis_required", [leg(RECEIVABLE, "1", features=("a",)), leg(RECEIVABLE, "-1")]),
    (
        "route_field_mismatch",
        [leg(RECEIVABLE, "-1", authorization=AUTHORIZED, features=("a",)), leg(RECEIVABLE, "1")],
    ),
    # §4.9 within fbo and accrued
    ("unknown_cost_basis_required", [leg(FBO, "1", cost_basis=ONE), leg(FBO, "-1", cost_basis=TWO)]),
    ("known_cost_basis_required", [leg(ACCRUED, "1", index=0), leg(ACCRUED, "-1", index=1)]),
    (
        "known_cost_basis_required",
        [
            leg(ACCRUED, "2", cost_basis=ONE),
            leg(ACCRUED, "-1", cost_basis=TWO),
            leg(ACCRUED, "-1"),
        ],
    ),
    ("route_field_mismatch", [leg(FBO, "1", cost_basis=ONE), leg(FBO, "-1", credit_priority=1)]),
    ("route_field_mismatch", [leg(ACCRUED, "1", cost_basis=ONE, tax_code="A"), leg(ACCRUED, "-1", tax_code="B")]),
    # §4.10 routes agree
    ("route_field_mismatch", [leg(FBO, "1", features=("a",)), leg(RECEIVABLE, "-1", features=("b",))]),
    ("route_field_mismatch", [leg(FBO, "1", cost_basis=ONE), leg(RECEIVABLE, "-1", cost_basis=TWO)]),
    ("route_field_mismatch", [leg(FBO, "-1", cost_basis=ONE), leg(ACCRUED, "1")]),
    ("route_field_mismatch", [leg(ACCRUED, "-1", tax_code="A"), leg(EARNINGS, "1")]),
    (
        "route_field_mismatch",
        [leg(FBO, "-1", cost_basis=ONE), leg(FBO, "-1", cost_basis=TWO), leg(ACCRUED, "2", cost_basis=ONE)],
    ),
]

ACCEPTED = [
    [leg(FBO, "10.01"), leg(RECEIVABLE, "-10.01")],
    [leg(FBO, "10.001", TOKENS), leg(RECEIVABLE, "-10.001", TOKENS)],
    [leg(ACCRUED, "-20", index=0), leg(ACCRUED, "-10", index=1), leg(EARNINGS, "30")],
    [leg(ACCRUED, "-20", corrects=EntryRef(1, 0)), leg(ACCRUED, "-10", corrects=EntryRef(1, 1)), leg(EARNINGS, "30")],
    [leg(ACCRUED, "-50"), leg(FBO, "50")],
    [leg(WASH, "-1"), leg(RECEIVABLE, "1", authorization=AUTHORIZED)],
    [leg(RECEIVABLE, "-1", authorization=AUTHORIZED, features=("a",)), leg(RECEIVABLE, "1", features=("a",))],
    [leg(RECEIVABLE, "1", features=("a",)), leg(RECEIVABLE, "-1", cost_basis=HALF)],
    [leg(FBO, "1"), leg(FBO, "-1", cost_basis=ONE)],
    [leg(ACCRUED, "1", cost_basis=ONE, tax_code="A"), leg(ACCRUED, "-1", tax_code="A")],
    [leg(FBO, "-1", cost_basis=HALF), leg(BREAKAGE, "1", cost_basis=Decimal("0.50"))],
    [leg(FBO, "1", index=0), leg(FBO, "-3", index=1), leg(ACCRUED, "2")],
    [leg(FBO, "1", source=ordered_id("S")), leg(FBO, "1"), leg(RECEIVABLE, "-2")],
    [
        leg(RECEIVABLE, "-5"),
        leg(Account.BROKERAGE, "5"),
        leg(RECEIVABLE, "9", TOKENS),
        leg(Account.BROKERAGE, "-9", TOKENS),
    ],
]


@pytest.mark.parametrize(("code", "entries"), REFUSED)
def test_refused(code: str, entries: list[Entry]) -> None:
    with pytest.raises(refusals.JournalRefusal) as refused:
        post(*entries)

    assert refused.value.code == code
    assert refused.value.family == "posting_refused"
    assert str(refused.value)


@pytest.mark.parametrize("entries", ACCEPTED)
def test_accepted(entries: list[Entry]) -> None:
    assert post(*entries).entries == tuple(entries)


def test_a_refund_and_a_reduction_are_the_two_exceptions_by_name() -> None:
    refund = [leg(WASH, "1"), leg(RECEIVABLE, "-1")]
    reduction = [leg(RECEIVABLE, "1", authorization=AUTHORIZED), leg(RECEIVABLE, "-1")]

    assert post(*refund, template=Template.REFUND).entries == tuple(refund)
    assert post(*reduction, template=Template.PAYMENT_REDUCE).entries == tuple(reduction)
    with pytest.raises(refusals.AuthorizationMismatch):
        post(*refund, template=Template.PAYMENT_SETTLE)


def test_routes_are_normalised() -> None:
    built = route(
        USD,
        cost_basis=Decimal("0.50"),
        cost_basis_currency="",
        features=["b", "", "a", "b"],
        authorization=OPEN,
        tax_code="",
    )

    assert built == Route(currency=USD, cost_basis=Decimal("0.5"), features=("a", "b"), authorization=OPEN)
    assert hash(built) == hash(route(USD, cost_basis=Decimal("0.5"), features=["a", "b"], authorization=OPEN))
    assert route(USD, cost_basis_currency="EUR").cost_basis_currency is None


def test_two_custom_currencies_of_one_code_are_two_currencies() -> None:
    assert route(TOKENS) != route(TWIN)


def test_customer_accounts_and_business_accounts() -> None:
    assert {account for account in Account if not account.is_business} == {FBO, RECEIVABLE, ACCRUED}
