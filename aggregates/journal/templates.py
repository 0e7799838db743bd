"""One named transaction per economic effect (ledger §5): the only way postings come into being.

Each function takes a strictly positive amount and books the legs of its template, checked by `rules`. Where the
catalogue allows a correction, `undoing` names the entry that is restored: the same legs reversed, direction
`correction`. Routes are given as they lie in fbo; the routes of the other legs follow from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from aggregates.journal import refusals
from aggregates.journal.chart import DEFAULT_CREDIT_PRIORITY, Account, Authorization, Route, Tax
from aggregates.journal.postings import Direction, Entry, EntryRef, Template, Transaction
from aggregates.journal.rules import check
from aggregates.values.decimals import EXACT, ZERO
from aggregates.values.money import Currency
from aggregates.values.period import Instant

OPEN, AUTHORIZED = Authorization.OPEN, Authorization.AUTHORIZED


class When(NamedTuple):
    """When a transaction is booked, and the date accounting goes by (decision 35).

    `original_date`: the accounting date before it was diverted out of a closed period (decision 39).
    """

    booked_at: Instant
    accounting_date: Instant
    original_date: Instant | None = None

    def at(self, booked_at: Instant) -> When:
        """The same decision booked at another time; a part that is booked elsewhere is accounted for there."""
        return self if booked_at == self.booked_at else When(booked_at, booked_at)


class Leg(NamedTuple):
    """An amount at an address, before direction and reference are settled."""

    account: Account
    route: Route
    amount: Decimal
    source: UUID | None = None
    spend: UUID | None = None
    position: int | None = None
    corrects: EntryRef | None = None


class CollectLeg(NamedTuple):
    """One slice of a collection, or of its correction: from which lot's route, how much, which entry it restores."""

    route: Route
    source: UUID | None
    amount: Decimal
    position: int | None = None
    corrects: EntryRef | None = None


# ── routes of the other legs ─────────────────────────────────────────────────────────────────────────────────


def receivable(route: Route, authorization: Authorization = OPEN) -> Route:
    """The receivable that stands against a lot: its currency, cost basis and features."""
    return Route(
        currency=route.currency,
        cost_basis=route.cost_basis,
        cost_basis_currency=route.cost_basis_currency,
        features=route.features,
        authorization=authorization,
    )


def accrued(route: Route, tax: Tax) -> Route:
    """Where usage paid from a lot is acknowledged: its currency and cost basis, and the charge's tax."""
    return Route(
        currency=route.currency,
        cost_basis=route.cost_basis,
        cost_basis_currency=route.cost_basis_currency,
        tax_code=tax.code,
        tax_behavior=tax.behavior,
    )


def plain(route: Route) -> Route:
    """Only currency and cost basis: what wash, brokerage and breakage carry."""
    return Route(currency=route.currency, cost_basis=route.cost_basis, cost_basis_currency=route.cost_basis_currency)


def advance(currency: Currency, features: Sequence[str]) -> Route:
    """Where advance lies in fbo: unknown cost basis, priority 100, the charge's feature."""
    return Route(currency=currency, features=tuple(features), credit_priority=DEFAULT_CREDIT_PRIORITY)


# ── purchases and their payment ──────────────────────────────────────────────────────────────────────────────


def issue(
    route: Route,
    amount: Decimal,
    when: When,
    *,
    source: UUID | None = None,
    spend: UUID | None = None,
    undoing: EntryRef | None = None,
    reversing: bool = False,
) -> Transaction:
    """Credit comes into being: fbo +x, receivable[open] -x. `reversing` undoes the issue of a whole lot (a void)."""
    legs = (
        Leg(Account.FBO, route, amount, source, spend),
        Leg(Account.RECEIVABLE, receivable(route), -amount, source, spend),
    )
    return _post(Template.ISSUE, when, amount, legs, undoing, reversing=reversing)


def authorize(
    route: Route, amount: Decimal, when: When, *, source: UUID | None = None, spend: UUID | None = None
) -> Transaction:
    """A payment is authorized: receivable[authorized] -x, receivable[open] +x."""
    legs = (
        Leg(Account.RECEIVABLE, receivable(route, AUTHORIZED), -amount, source, spend),
        Leg(Account.RECEIVABLE, receivable(route), amount, source, spend),
    )
    return _post(Template.PAYMENT_AUTHORIZE, when, amount, legs)


def settle(
    route: Route, amount: Decimal, when: When, *, source: UUID | None = None, spend: UUID | None = None
) -> Transaction:
    """Money arrives: wash -x, receivable[authorized] +x."""
    legs = (
        Leg(Account.WASH, plain(route), -amount, source, spend),
        Leg(Account.RECEIVABLE, receivable(route, AUTHORIZED), amount, source, spend),
    )
    return _post(Template.PAYMENT_SETTLE, when, amount, legs)


def reduce_authorization(
    route: Route, amount: Decimal, when: When, *, source: UUID | None = None, spend: UUID | None = None
) -> Transaction:
    """A standing authorization shrinks: receivable[authorized] +x, receivable[open] -x (decision 37)."""
    legs = (
        Leg(Account.RECEIVABLE, receivable(route, AUTHORIZED), amount, source, spend),
        Leg(Account.RECEIVABLE, receivable(route), -amount, source, spend),
    )
    return _post(Template.PAYMENT_REDUCE, when, amount, legs)


def reverse_payment(
    route: Route, amount: Decimal, when: When, *, source: UUID | None = None, spend: UUID | None = None
) -> Transaction:
    """Money that had arrived was taken back, as in a chargeback: wash +x, receivable[authorized] -x (ledger §17)."""
    legs = (
        Leg(Account.WASH, plain(route), amount, source, spend),
        Leg(Account.RECEIVABLE, receivable(route, AUTHORIZED), -amount, source, spend),
    )
    return _post(Template.PAYMENT_REVERSE, when, amount, legs)


def refund(
    route: Route, amount: Decimal, when: When, *, source: UUID | None = None, spend: UUID | None = None
) -> Transaction:
    """Money goes back: receivable[open] -x, wash +x (decision 37)."""
    legs = (
        Leg(Account.WASH, plain(route), amount, source, spend),
        Leg(Account.RECEIVABLE, receivable(route), -amount, source, spend),
    )
    return _post(Template.REFUND, when, amount, legs)


def revalue(route: Route, difference: Decimal, when: When) -> Transaction:
    """A fiat purchase is paid at another amount than its credit: receivable[open] +d, brokerage -d.

    `difference` is credit minus fiat and may be negative: 100 credits for 50 open the receivable by 50.
    """
    legs = (
        Leg(Account.RECEIVABLE, receivable(route), difference),
        Leg(Account.BROKERAGE, plain(route), -difference),
    )
    return _post(Template.CURRENCY_EXCHANGE, when, abs(difference), legs)


def exchange(
    route: Route, credit: Decimal, fiat_route: Route, fiat: Decimal, when: When, *, undone: bool = False
) -> Transaction:
    """A custom-currency purchase is owed in fiat instead: four legs over the brokerage, balanced in each currency."""
    legs = (
        Leg(Account.RECEIVABLE, receivable(fiat_route), -fiat),
        Leg(Account.BROKERAGE, plain(fiat_route), fiat),
        Leg(Account.RECEIVABLE, receivable(route), credit),
        Leg(Account.BROKERAGE, plain(route), -credit),
    )
    if undone:
        legs = tuple(leg._replace(amount=-leg.amount) for leg in legs)  # type: ignore[assignment]
    return _post(Template.CURRENCY_EXCHANGE, when, min(credit, fiat), legs)


def cover(
    route: Route, amount: Decimal, when: When, *, source: UUID | None = None, spend: UUID | None = None
) -> Transaction:
    """Ordinary credit is taken out again: fbo -x, receivable[open] +x."""
    legs = (
        Leg(Account.FBO, route, -amount, source, spend),
        Leg(Account.RECEIVABLE, receivable(route), amount, source, spend),
    )
    return _post(Template.COVER, when, amount, legs)


# ── collection and advance ───────────────────────────────────────────────────────────────────────────────────


def collect(
    slices: Sequence[CollectLeg], spend: UUID | None, tax: Tax, when: When, *, undone: bool = False
) -> Transaction:
    """Credit pays for usage: per slice fbo -xi, per (cost basis, source) accrued +sum. Undone, it is returned."""
    legs = [Leg(Account.FBO, s.route, -s.amount, s.source, spend, s.position, s.corrects) for s in slices]
    sums: dict[tuple[Route, UUID | None], Decimal] = {}
    for s in slices:
        key = (accrued(s.route, tax), s.source)
        sums[key] = EXACT.add(sums.get(key, ZERO), s.amount)
    legs += [Leg(Account.ACCRUED, route, amount, source, spend) for (route, source), amount in sums.items()]
    return _post(Template.COLLECT, when, min(s.amount for s in slices), legs, reversing=undone)


def collect_advance(
    route: Route, amount: Decimal, spend: UUID | None, tax: Tax, when: When, *, undoing: EntryRef | None = None
) -> Transaction:
    """Advance pays for usage: fbo[unknown] -x, accrued[unknown] +x."""
    legs = (
        Leg(Account.FBO, route, -amount, None, spend),
        Leg(Account.ACCRUED, accrued(route, tax), amount, None, spend),
    )
    return _post(Template.ADVANCE_COLLECT, when, amount, legs, undoing)


def attribute(
    advance_route: Route,
    purchase_route: Route,
    amount: Decimal,
    when: When,
    *,
    source: UUID | None,
    spend: UUID | None,
    undoing: EntryRef | None = None,
) -> Transaction:
    """A purchase takes over what advance left owed: receivable[unknown] +x, receivable[known] -x."""
    legs = (
        Leg(Account.RECEIVABLE, receivable(advance_route), amount, None, spend),
        Leg(Account.RECEIVABLE, receivable(purchase_route), -amount, source, spend),
    )
    return _post(Template.ADVANCE_ATTRIBUTE, when, amount, legs, undoing)


def translate(
    purchase_route: Route,
    amount: Decimal,
    tax: Tax,
    when: When,
    *,
    source: UUID | None,
    spend: UUID | None,
    undoing: EntryRef | None = None,
) -> Transaction:
    """Usage paid by advance learns its cost basis: accrued[unknown] -x, accrued[known] +x."""
    unknown = Route(currency=purchase_route.currency, tax_code=tax.code, tax_behavior=tax.behavior)
    legs = (
        Leg(Account.ACCRUED, unknown, -amount, None, spend),
        Leg(Account.ACCRUED, accrued(purchase_route, tax), amount, source, spend),
    )
    return _post(Template.COST_BASIS_TRANSLATE, when, amount, legs, undoing)


# ── invoiced usage, recognition ──────────────────────────────────────────────────────────────────────────────


def accrue_invoiced(accrued_route: Route, amount: Decimal, when: When, *, spend: UUID | None) -> Transaction:
    """Invoiced usage is acknowledged: receivable[open, 1] -x, accrued[1, tax] +x."""
    legs = (
        Leg(Account.RECEIVABLE, receivable(accrued_route), -amount, None, spend),
        Leg(Account.ACCRUED, accrued_route, amount, None, spend),
    )
    return _post(Template.INVOICE_COLLECT, when, amount, legs)


def credit_note(accrued_route: Route, amount: Decimal, when: When, *, spend: UUID | None) -> Transaction:
    """Invoiced usage is taken back: accrued -x, receivable[open, 1] +x (decision 23)."""
    legs = (
        Leg(Account.RECEIVABLE, receivable(accrued_route), amount, None, spend),
        Leg(Account.ACCRUED, accrued_route, -amount, None, spend),
    )
    return _post(Template.CREDIT_NOTE, when, amount, legs)


def write_off(
    route: Route,
    amount: Decimal,
    when: When,
    *,
    source: UUID | None = None,
    spend: UUID | None = None,
    undone: bool = False,
) -> Transaction:
    """A receivable is given up: receivable[open] +x, bad_debt -x; undone when money arrives after all (decision 22)."""
    legs = (
        Leg(Account.RECEIVABLE, receivable(route), amount, source, spend),
        Leg(Account.BAD_DEBT, plain(route), -amount, source, spend),
    )
    return _post(Template.WRITE_OFF, when, amount, legs, reversing=undone)


def recognize(parts: Iterable[Leg], when: When) -> Transaction:
    """Accrued value becomes revenue: per (route, source, spend) accrued -x, earnings +x on the same route.

    Entries alternate, so that the accrued entry of the n-th part has ordinal 2n in the transaction.
    """
    legs: list[Leg] = []
    for part in parts:
        legs.append(part._replace(account=Account.ACCRUED, amount=-part.amount))
        legs.append(part._replace(account=Account.EARNINGS))
    smallest = min((leg.amount for leg in legs[1::2]), default=ZERO)
    return _post(Template.EARNINGS_RECOGNIZE, when, smallest, legs)


def unrecognize(
    accrued_route: Route,
    amount: Decimal,
    when: When,
    *,
    source: UUID | None,
    spend: UUID | None,
    undoing: EntryRef | None,
) -> Transaction:
    """Recognition is undone: accrued +x, earnings -x."""
    legs = (
        Leg(Account.ACCRUED, accrued_route, -amount, source, spend),
        Leg(Account.EARNINGS, accrued_route, amount, source, spend),
    )
    return _post(Template.EARNINGS_RECOGNIZE, when, amount, legs, undoing, reversing=True)


# ── breakage ─────────────────────────────────────────────────────────────────────────────────────────────────


def plan(route: Route, amount: Decimal, when: When, *, source: UUID | None) -> Transaction:
    """Credit will expire: fbo -x, breakage +x, dated at expiry."""
    legs = (
        Leg(Account.FBO, route, -amount, source),
        Leg(Account.BREAKAGE, plain(route), amount, source),
    )
    return _post(Template.BREAKAGE_PLAN, when, amount, legs)


def release(route: Route, amount: Decimal, when: When, *, source: UUID | None, spend: UUID | None) -> Transaction:
    """Credit was used and will not expire: fbo +x, breakage -x."""
    legs = (
        Leg(Account.FBO, route, amount, source, spend),
        Leg(Account.BREAKAGE, plain(route), -amount, source),
    )
    return _post(Template.BREAKAGE_RELEASE, when, amount, legs)


def reopen(route: Route, amount: Decimal, when: When, *, source: UUID | None, spend: UUID | None) -> Transaction:
    """Credit came back and will expire after all: fbo -x, breakage +x."""
    legs = (
        Leg(Account.FBO, route, -amount, source, spend),
        Leg(Account.BREAKAGE, plain(route), amount, source),
    )
    return _post(Template.BREAKAGE_REOPEN, when, amount, legs)


def _post(
    template: Template,
    when: When,
    amount: Decimal,
    legs: Iterable[Leg],
    undoing: EntryRef | None = None,
    *,
    reversing: bool = False,
) -> Transaction:
    """Book the legs, reversed when they undo something; the first leg names the entry it restores."""
    if amount <= 0:
        raise refusals.AmountNotPositive(detail=f"{template} needs an amount above zero, got {amount}")
    undo = reversing or undoing is not None
    entries = tuple(
        Entry(
            account=leg.account,
            route=leg.route,
            amount=leg.amount.copy_negate() if undo else leg.amount,
            source=leg.source,
            spend=leg.spend,
            index=leg.position,
            corrects=leg.corrects,
        )
        for leg in legs
    )
    if undoing is not None:
        entries = (msgspec.structs.replace(entries[0], corrects=undoing), *entries[1:])
    return check(
        Transaction(
            template=template,
            direction=Direction.CORRECTION if undo else Direction.FORWARD,
            booked_at=when.booked_at,
            accounting_date=when.accounting_date,
            original_date=when.original_date,
            entries=entries,
        )
    )
