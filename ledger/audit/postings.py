"""Checks of the journal event by event: every transaction keeps the rules, every decision equals its postings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from aggregates.credits import events as e
from aggregates.journal import rules
from aggregates.journal.chart import Account, Authorization
from aggregates.journal.postings import Template, Transaction, currency_sums
from aggregates.values.decimals import EXACT, ZERO
from aggregates.values.errors import PostingRefused
from ledger.audit.check import Check, Seen


class Transactions(Check):
    """Every transaction sums to zero in each currency and keeps the rules of the journal (ledger §4)."""

    name = "transactions"

    def page(self, rows: Sequence[Seen]) -> None:
        """Judge each transaction as it was judged before it was booked."""
        for seen in rows:
            if seen.record is None:
                continue
            transactions: tuple[Transaction, ...] = getattr(seen.record.body, "transactions", ())
            self.looked_at(len(transactions))
            for ordinal, transaction in enumerate(transactions):
                place = f"{seen.place}, transaction {ordinal} ({transaction.template})"
                for currency, total in currency_sums(transaction.entries).items():
                    if total:
                        self.find(place, "does not balance", expected=f"0 {currency}", found=f"{total} {currency}")
                try:
                    rules.check(transaction)
                except PostingRefused as refused:
                    self.find(place, "breaks a rule of the journal", expected="a permitted transaction", found=refused)


class Figure(NamedTuple):
    """A figure an event names, beside the same figure as its postings have it."""

    what: str
    named: Decimal
    posted: Decimal


class Postings(Check):
    """What an event of the pool says was decided equals its postings: slices, backfills, returned parts, amounts."""

    name = "postings"

    def page(self, rows: Sequence[Seen]) -> None:
        """Compare every figure of every posting group."""
        for seen in rows:
            if seen.record is None or not isinstance(seen.record.body, e.CreditPoolEvent):
                continue
            self.looked_at()
            for figure in figures(seen.record.body):
                if figure.named != figure.posted:
                    message = f"{figure.what} differ from the postings"
                    self.find(seen.place, message, expected=figure.named, found=figure.posted)


def figures(body: e.CreditPoolEvent) -> Iterator[Figure]:  # noqa: C901, PLR0912, PLR0915 - one case per event
    """Every figure of the event that its postings must show as well."""
    posted = _Posted(body.transactions)
    match body:
        case e.CreditCollected():
            yield from _collected(body, posted)
        case e.CreditGranted():
            yield from _granted(body, posted)
        case e.CreditReturned():
            yield Figure("returned parts", body.amount, total_of(part.amount for part in body.parts))
            value_back = EXACT.minus(EXACT.add(posted.net(Account.ACCRUED), posted.net(Account.EARNINGS)))
            yield Figure("returned amount", body.amount, value_back)
            reopened = total_of(part.amount for part in body.parts if part.reopened_at is not None)
            yield Figure("reopened expiry", reopened, posted.net(Account.BREAKAGE, Template.BREAKAGE_REOPEN))
        case e.EarningsRecognized():
            yield Figure("recognised parts", body.amount, total_of(part.amount for part in body.parts))
            yield Figure("revenue", body.amount, posted.net(Account.EARNINGS))
        case e.RecognitionReversed():
            yield Figure("reversed parts", body.amount, total_of(part.amount for part in body.parts))
            yield Figure("reversed revenue", EXACT.minus(body.amount), posted.net(Account.EARNINGS))
        case e.CreditVoided():
            yield from _taken_back(body, posted)
        case e.PurchasePaymentAuthorized():
            authorized = posted.net(Account.RECEIVABLE, Template.PAYMENT_AUTHORIZE, Authorization.AUTHORIZED)
            yield Figure("authorised amount", body.fiat_amount, EXACT.minus(authorized))
        case e.PurchasePaymentSettled():
            yield Figure("received amount", body.fiat_amount, EXACT.minus(posted.net(Account.WASH)))
        case e.PurchasePaymentReversed() | e.PurchaseRefunded():
            yield Figure("money that went back", body.fiat_amount, posted.net(Account.WASH))
        case e.PurchasePaymentFailed():
            yield Figure("money that was taken back", body.reversed, posted.net(Account.WASH))
            yield from _taken_back(body, posted)
        case e.PurchaseWrittenOff():
            yield Figure("written-off amount", body.fiat_amount, EXACT.minus(posted.net(Account.BAD_DEBT)))
        case e.PurchaseCredited():
            yield from _credited(body, posted)
        case e.UnappliedCreditArisen():
            yield Figure("unapplied credit", body.net, posted.net(Account.RECEIVABLE))
        case e.AdvanceWrittenOff():
            yield Figure("written-off parts", body.amount, total_of(part.amount for part in body.parts))
            yield Figure("written-off advance", body.amount, EXACT.minus(posted.net(Account.BAD_DEBT)))
        case e.InvoiceUsageAccrued():
            yield Figure("accrued amount", body.amount, posted.net(Account.ACCRUED))
        case e.InvoicePaymentSettled():
            yield Figure("received amount", body.amount, EXACT.minus(posted.net(Account.WASH)))
        case e.InvoiceUsageCredited():
            value_back = EXACT.minus(EXACT.add(posted.net(Account.ACCRUED), posted.net(Account.EARNINGS)))
            yield Figure("credited amount", body.amount, value_back)
        case e.AdvanceCovered():
            yield Figure("covered parts", body.amount, total_of(part.amount for part in body.parts))
            yield Figure("credit that covers", EXACT.minus(body.amount), posted.net(Account.FBO, Template.COVER))
            released = total_of(part.amount for part in body.parts if part.released_at is not None)
            yield Figure("released expiry", released, posted.released)
        case e.UnappliedCreditSpent():
            refunded = body.net if body.use is e.UnappliedUse.REFUNDED else ZERO
            yield Figure("money that went back", refunded, posted.net(Account.WASH))
        case e.ReceivableWrittenOff():
            yield Figure("written-off amount", body.amount, EXACT.minus(posted.net(Account.BAD_DEBT)))
        case e.GrantCancelled():
            yield Figure("cancelled credit", EXACT.minus(body.amount), posted.net(Account.FBO, Template.ISSUE))
        case e.InvoicePaymentAuthorized() | e.SlicesSealed() | e.PurchaseBroughtBack() | e.AccrualBroughtBack():
            pass  # what is authorised may lie on several routes; what leaves the state or returns to it books nothing


def _credited(body: e.PurchaseCredited, posted: _Posted) -> Iterator[Figure]:
    lapsed = posted.net(Account.RECEIVABLE, Template.PAYMENT_REDUCE, Authorization.AUTHORIZED)
    yield Figure("promises that lapsed", body.released, lapsed)
    if body.freed:
        # The price of what was taken back is undone before, by the same template.
        yield Figure("freed amount", EXACT.minus(body.freed), posted.last(Account.RECEIVABLE))


def _taken_back(body: e.CreditVoided | e.PurchasePaymentFailed, posted: _Posted) -> Iterator[Figure]:
    yield Figure("voided parts", body.amount, total_of(part.amount for part in body.parts))
    yield Figure("voided credit", EXACT.minus(body.amount), posted.net(Account.FBO, Template.ISSUE))
    released = total_of(part.amount for part in body.parts if part.released_at is not None)
    yield Figure("released expiry", released, posted.released)


def _collected(body: e.CreditCollected, posted: _Posted) -> Iterator[Figure]:
    collected = total_of(one.amount for one in body.slices)
    if body.mode is e.SettlementMode.CREDIT_THEN_INVOICE:
        collected = EXACT.add(collected, body.shortfall)
    else:
        yield Figure("advance", body.shortfall, total_of(one.amount for one in body.slices if one.lot is None))
    yield Figure("requested amount", body.requested, collected)
    for one in body.slices:
        # The collecting entry of advance comes two after that of its issue.
        entry = posted.entry(one.entry if one.lot is not None else one.entry + 2)
        yield Figure(f"slice {one.sequence}", one.amount, EXACT.minus(entry))
    yield Figure("slices", total_of(one.amount for one in body.slices), posted.net(Account.ACCRUED))
    released = total_of(one.amount for one in body.slices if one.released_at is not None)
    yield Figure("released expiry", released, posted.released)


def _granted(body: e.CreditGranted, posted: _Posted) -> Iterator[Figure]:
    at_once = total_of(part.amount for part in body.backfill if not part.through_balance)
    through = total_of(part.amount for part in body.backfill if part.through_balance)
    issued = posted.net(Account.FBO, Template.ISSUE)
    yield Figure("granted amount", body.amount, EXACT.add(at_once, issued))
    yield Figure("covered through the balance", through, EXACT.minus(posted.net(Account.FBO, Template.COVER)))
    for part in body.backfill:
        yield Figure(f"backfill of slice {part.slice}", part.amount, posted.entry(part.entry))
        yield Figure(f"translation of slice {part.slice}", part.amount, EXACT.minus(posted.entry(part.entry + 2)))
    planned = posted.net(Account.BREAKAGE, Template.BREAKAGE_PLAN)
    yield Figure("planned expiry", body.amount if body.expires_at is not None else ZERO, planned)
    released = total_of(part.amount for part in body.backfill if part.released_at is not None)
    yield Figure("released expiry", released, posted.released)


class _Posted:
    """The postings of one event, summed up."""

    def __init__(self, transactions: Sequence[Transaction]) -> None:
        self._transactions = transactions
        self._entries = [entry for transaction in transactions for entry in transaction.entries]

    def entry(self, ordinal: int) -> Decimal:
        """The amount of an entry; zero where there is none."""
        return self._entries[ordinal].amount if 0 <= ordinal < len(self._entries) else ZERO

    def net(
        self, account: Account, template: Template | None = None, authorization: Authorization | None = None
    ) -> Decimal:
        """What an account gained, by transactions of one template or of all."""
        return total_of(
            entry.amount
            for transaction in self._transactions
            if template is None or transaction.template is template
            for entry in transaction.entries
            if entry.account is account and (authorization is None or entry.route.authorization is authorization)
        )

    def last(self, account: Account) -> Decimal:
        """What the account gained by the last transaction."""
        last = self._transactions[-1:]
        return total_of(entry.amount for each in last for entry in each.entries if entry.account is account)

    @property
    def released(self) -> Decimal:
        """What was released of plans to expire."""
        return EXACT.minus(self.net(Account.BREAKAGE, Template.BREAKAGE_RELEASE))


def total_of(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
