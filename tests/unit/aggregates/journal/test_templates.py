"""Each template posts its legs, and nothing else posts (ledger §5)."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from aggregates.journal import refusals, templates
from aggregates.journal.chart import Account, Route, Tax, TaxBehavior, route
from aggregates.journal.postings import Direction, Entry, EntryRef, Template, Transaction
from aggregates.journal.templates import CollectLeg, Leg, When
from aggregates.values.decimals import exact
from aggregates.values.money import Currency, fiat
from aggregates.values.period import instant
from tests.support.books import ordered_id

USD = fiat("USD")
TOKENS = Currency("TOK", 2, "custom:tokens")
S, U = ordered_id("S"), ordered_id("U")
AT = When(instant("2026-02-01"), instant("2026-01-31T23:59:59Z"))
LOT = route(USD, cost_basis=Decimal("0.5"), features=("api",), credit_priority=7)
ADVANCE = templates.advance(USD, ("api",))
TAX = Tax("A", TaxBehavior.EXCLUSIVE)
REF = EntryRef(3, 4)
ACCRUED = templates.accrued(LOT, TAX)
X = Decimal(5)

CASES: list[tuple[Template, Callable[[], Transaction], list[str]]] = [
    (Template.ISSUE, lambda: templates.issue(LOT, X, AT, source=S), ["customer_fbo 5 S-", "customer_receivable -5 S-"]),
    (
        Template.PAYMENT_AUTHORIZE,
        lambda: templates.authorize(LOT, X, AT, source=S),
        ["customer_receivable -5 S-", "customer_receivable 5 S-"],
    ),
    (
        Template.PAYMENT_SETTLE,
        lambda: templates.settle(LOT, X, AT, source=S),
        ["wash -5 S-", "customer_receivable 5 S-"],
    ),
    (
        Template.CURRENCY_EXCHANGE,
        lambda: templates.revalue(LOT, X, AT),
        ["customer_receivable 5 --", "brokerage -5 --"],
    ),
    (
        Template.COVER,
        lambda: templates.cover(LOT, X, AT, source=S, spend=U),
        ["customer_fbo -5 SU", "customer_receivable 5 SU"],
    ),
    (
        Template.COLLECT,
        lambda: templates.collect([CollectLeg(LOT, S, X, 0), CollectLeg(LOT, None, X, 1)], U, TAX, AT),
        ["customer_fbo -5 SU", "customer_fbo -5 -U", "customer_accrued 5 SU", "customer_accrued 5 -U"],
    ),
    (
        Template.ADVANCE_COLLECT,
        lambda: templates.collect_advance(ADVANCE, X, U, TAX, AT),
        ["customer_fbo -5 -U", "customer_accrued 5 -U"],
    ),
    (
        Template.ADVANCE_ATTRIBUTE,
        lambda: templates.attribute(ADVANCE, LOT, X, AT, source=S, spend=U),
        ["customer_receivable 5 -U", "customer_receivable -5 SU"],
    ),
    (
        Template.COST_BASIS_TRANSLATE,
        lambda: templates.translate(LOT, X, TAX, AT, source=S, spend=U),
        ["customer_accrued -5 -U", "customer_accrued 5 SU"],
    ),
    (
        Template.INVOICE_COLLECT,
        lambda: templates.accrue_invoiced(ACCRUED, X, AT, spend=U),
        ["customer_receivable -5 -U", "customer_accrued 5 -U"],
    ),
    (
        Template.EARNINGS_RECOGNIZE,
        lambda: templates.recognize([Leg(Account.ACCRUED, ACCRUED, X, S, U)], AT),
        ["customer_accrued -5 SU", "earnings 5 SU"],
    ),
    (Template.BREAKAGE_PLAN, lambda: templates.plan(LOT, X, AT, source=S), ["customer_fbo -5 S-", "breakage 5 S-"]),
    (
        Template.BREAKAGE_RELEASE,
        lambda: templates.release(LOT, X, AT, source=S, spend=U),
        ["customer_fbo 5 SU", "breakage -5 S-"],
    ),
    (
        Template.BREAKAGE_REOPEN,
        lambda: templates.reopen(LOT, X, AT, source=S, spend=U),
        ["customer_fbo -5 SU", "breakage 5 S-"],
    ),
    (Template.REFUND, lambda: templates.refund(LOT, X, AT, source=S), ["wash 5 S-", "customer_receivable -5 S-"]),
    (
        Template.PAYMENT_REVERSE,
        lambda: templates.reverse_payment(LOT, X, AT, source=S),
        ["wash 5 S-", "customer_receivable -5 S-"],
    ),
    (
        Template.PAYMENT_REDUCE,
        lambda: templates.reduce_authorization(LOT, X, AT, source=S),
        ["customer_receivable 5 S-", "customer_receivable -5 S-"],
    ),
    (
        Template.CREDIT_NOTE,
        lambda: templates.credit_note(ACCRUED, X, AT, spend=U),
        ["customer_receivable 5 -U", "customer_accrued -5 -U"],
    ),
    (
        Template.WRITE_OFF,
        lambda: templates.write_off(ACCRUED, X, AT, spend=U),
        ["customer_receivable 5 -U", "bad_debt -5 -U"],
    ),
]


def words(entry: Entry) -> str:
    return f"{entry.account} {entry.amount} {'S' if entry.source else '-'}{'U' if entry.spend else '-'}"


@pytest.mark.parametrize(("template", "posted", "legs"), CASES, ids=[case[0].name for case in CASES])
def test_legs(template: Template, posted: Callable[[], Transaction], legs: list[str]) -> None:
    transaction = exact(posted)()

    assert transaction.template is template
    assert transaction.direction is Direction.FORWARD
    assert [words(entry) for entry in transaction.entries] == legs
    assert (transaction.booked_at, transaction.accounting_date, transaction.original_date) == AT
    assert msgspec.json.decode(msgspec.json.encode(transaction), type=Transaction) == transaction


def test_every_template_is_in_the_table() -> None:
    assert {case[0] for case in CASES} == set(Template)


UNDONE: list[Callable[[], Transaction]] = [
    lambda: templates.issue(ADVANCE, X, AT, spend=U, undoing=REF),
    lambda: templates.collect([CollectLeg(LOT, S, X, None, REF)], U, TAX, AT, undone=True),
    lambda: templates.collect_advance(ADVANCE, X, U, TAX, AT, undoing=REF),
    lambda: templates.attribute(ADVANCE, LOT, X, AT, source=S, spend=U, undoing=REF),
    lambda: templates.translate(LOT, X, TAX, AT, source=S, spend=U, undoing=REF),
    lambda: templates.unrecognize(ACCRUED, X, AT, source=S, spend=U, undoing=REF),
]


@pytest.mark.parametrize("posted", UNDONE)
def test_a_correction_reverses_the_legs_and_names_the_entry_it_restores(posted: Callable[[], Transaction]) -> None:
    transaction = exact(posted)()
    (_, forward, _) = next(case for case in CASES if case[0] is transaction.template)

    assert transaction.direction is Direction.CORRECTION
    assert transaction.entries[0].corrects == REF
    first = exact(forward)().entries[0]
    assert transaction.entries[0].account is first.account
    assert transaction.entries[0].amount == -first.amount


def test_a_custom_currency_is_exchanged_over_the_brokerage_in_both_currencies() -> None:
    tokens = route(TOKENS, cost_basis=Decimal("0.25"), cost_basis_currency="USD")
    dollars = route(USD, cost_basis=Decimal("0.25"))

    transaction = exact(templates.exchange)(tokens, Decimal(40), dollars, Decimal(10), AT)

    assert [(e.account.value, e.route.currency.code, str(e.amount)) for e in transaction.entries] == [
        ("customer_receivable", "USD", "-10"),
        ("brokerage", "USD", "10"),
        ("customer_receivable", "TOK", "40"),
        ("brokerage", "TOK", "-40"),
    ]


@pytest.mark.parametrize("amount", ["0", "-1"])
def test_templates_take_amounts_above_zero(amount: str) -> None:
    with pytest.raises(refusals.AmountNotPositive):
        templates.issue(LOT, Decimal(amount), AT, source=S)


def test_an_unbalanced_transaction_cannot_be_constructed_nor_read() -> None:
    one_leg = Entry(account=Account.FBO, route=Route(currency=USD, credit_priority=1), amount=X)
    with pytest.raises(refusals.UnbalancedTransaction):
        Transaction(template=Template.ISSUE, booked_at=AT.booked_at, accounting_date=AT.booked_at, entries=(one_leg,))

    stored = msgspec.json.encode(exact(templates.issue)(LOT, X, AT, source=S)).replace(b'"-5"', b'"-4"')
    with pytest.raises(refusals.UnbalancedTransaction):
        msgspec.json.decode(stored, type=Transaction)
