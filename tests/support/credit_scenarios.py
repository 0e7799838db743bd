"""Credit in few words, for tests that read as the specification: days of January 2026, amounts as text.

``pool.grant("P", "100", at=1, expires=10)`` grants on the first; day 32 is 1 February. After every command the
invariants of the books are checked.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from aggregates.credits import decisions as d
from aggregates.credits.events import (
    CreditCollected,
    PaymentAdjustment,
    PurchaseSettlement,
    SettlementMode,
)
from aggregates.credits.requests import (
    AccrueUsage,
    Collect,
    Correct,
    Grant,
    InvoicePayment,
    PurchasePayment,
    Recognize,
    SourceCut,
    Void,
)
from aggregates.journal.chart import Account, TaxBehavior
from aggregates.policies import UsageCreditCut
from aggregates.values.decimals import ZERO, text
from aggregates.values.money import Currency, fiat
from aggregates.values.period import Duration, Instant, instant
from projections.balances import ALL_FEATURES, AsOf, FeatureFilter, RouteFilter, balance, settled
from projections.listing import credit_transactions
from tests.support.books import Book, check_invariants, ordered_id

USD = fiat("USD")
TOKENS = Currency("TOK", 2, "custom:tokens")


def day(number: float) -> Instant:
    """Midnight of a day counted from 1 January 2026; 1.5 is noon of the first."""
    return instant(datetime(2025, 12, 31, tzinfo=UTC) + timedelta(days=number))


def dec(value: str) -> Decimal:
    return Decimal(value)


class Pool:
    """A customer's pool, spoken to in the words of the specification.

    Commands answer the event, or None; what comes back is compared with plain numbers, so it is typed loosely.
    """

    def __init__(self, currency: Currency = USD) -> None:
        self.book = Book(currency)

    def offer(self, event: Any, now: float) -> Any:
        self.book.record(event, day(now))
        check_invariants(self.book)
        return event

    def grant(
        self,
        name: str,
        amount: str,
        *,
        at: float = 1,
        now: float | None = None,
        expires: float | None = None,
        cost: str | None = None,
        priority: int = 100,
        features: tuple[str, ...] = (),
    ) -> Any:
        """Promotional without a cost, external with one; effective on a day, recorded then unless `now` says else."""
        request = Grant(
            purchase=ordered_id(name),
            amount=dec(amount),
            settlement=PurchaseSettlement.PROMOTIONAL if cost is None else PurchaseSettlement.EXTERNAL,
            cost_basis=None if cost is None else dec(cost),
            settlement_currency="USD" if self.book.currency.is_custom else None,
            priority=priority,
            features=features,
            effective_at=day(at),
            expires_at=None if expires is None else day(expires),
            now=day(at if now is None else now),
        )
        return self.offer(d.grant(self.book.pool, request), at if now is None else now)

    def collect(
        self,
        charge: str,
        amount: str,
        *,
        at: float,
        sources: float | None = None,
        mode: SettlementMode = SettlementMode.CREDIT_ONLY,
        feature: str | None = None,
        cut: UsageCreditCut = UsageCreditCut.PERIOD_END,
        tax: str | None = None,
        behavior: TaxBehavior | None = None,
        accounting: float | None = None,
    ) -> Any:
        request = Collect(
            charge=ordered_id(charge),
            amount=dec(amount),
            mode=mode,
            feature=feature,
            booked_at=day(at),
            sources_at=SourceCut(day(at if sources is None else sources), cut),
            accounting_date=None if accounting is None else day(accounting),
            tax_code=tax,
            tax_behavior=behavior,
        )
        return self.offer(d.collect(self.book.pool, request), at)

    def correct(
        self,
        charge: str,
        amount: str | None = None,
        *,
        at: float,
        now: float | None = None,
        grace: Duration | None = None,
    ) -> Any:
        request = Correct(
            charge=ordered_id(charge),
            amount=None if amount is None else dec(amount),
            booked_at=day(at),
            now=None if now is None else day(now),
            restored_credit_grace=grace or Duration(),
        )
        return self.offer(d.correct(self.book.pool, request), at)

    def recognize(self, *, at: float) -> Any:
        return self.offer(d.recognize(self.book.pool, Recognize(booked_at=day(at))), at)

    def void(self, name: str, *, at: float, payment: PaymentAdjustment = PaymentAdjustment.NONE) -> Any:
        request = Void(purchase=ordered_id(name), booked_at=day(at), payment_adjustment=payment)
        return self.offer(d.void(self.book.pool, request), at)

    def payment(
        self, name: str, *, credit: str, cost: str, at: float, fiat_amount: str | None = None
    ) -> PurchasePayment:
        return PurchasePayment(
            purchase=ordered_id(name),
            credit_amount=dec(credit),
            cost_basis=dec(cost),
            fiat_amount=None if fiat_amount is None else dec(fiat_amount),
            fiat_currency=USD if self.book.currency.is_custom else None,
            booked_at=day(at),
        )

    def authorize(self, name: str, *, credit: str, cost: str, at: float, fiat_amount: str | None = None) -> Any:
        request = self.payment(name, credit=credit, cost=cost, at=at, fiat_amount=fiat_amount)
        return self.offer(d.authorize_purchase(self.book.pool, request), at)

    def settle(self, name: str, *, credit: str, cost: str, at: float, fiat_amount: str | None = None) -> Any:
        request = self.payment(name, credit=credit, cost=cost, at=at, fiat_amount=fiat_amount)
        return self.offer(d.settle_purchase(self.book.pool, request), at)

    def accrue(self, charge: str, amount: str, *, at: float) -> Any:
        request = AccrueUsage(charge=ordered_id(charge), amount=dec(amount), booked_at=day(at))
        return self.offer(d.accrue_usage(self.book.pool, request), at)

    def invoice(self, decision: Any, charge: str, amount: str, *, at: float, over_payment: bool = False) -> Any:
        request = InvoicePayment(
            charge=ordered_id(charge), amount=dec(amount), over_payment=over_payment, booked_at=day(at)
        )
        return self.offer(decision(self.book.pool, request), at)

    # ── what has come about ──────────────────────────────────────────────────────────────────────────────────

    def balance(self, account: Account, at: float | None = None, **dimensions: Any) -> Any:
        as_of = AsOf(None if at is None else day(at))
        return balance(self.book.rows, account, RouteFilter(**dimensions), as_of)

    def of(self, account: Account, at: float | None = None, **provenance: str | None) -> Decimal:
        """The balance of an account by source and spend, named as they were granted and collected."""
        wanted = {key: None if name is None else ordered_id(name) for key, name in provenance.items()}
        return sum(
            (
                row.amount
                for row in self.book.rows
                if row.account is account
                and (at is None or row.booked_at <= day(at))
                and all(getattr(row, key) == value for key, value in wanted.items())
            ),
            ZERO,
        )

    def settled(self, at: float, features: FeatureFilter = ALL_FEATURES) -> Decimal:
        return settled(self.book.rows, self.book.currency, features, AsOf(day(at)))

    def listed(self, at: float, features: FeatureFilter = ALL_FEATURES) -> list[tuple[str, str, str, str]]:
        rows = credit_transactions(self.book.rows, self.book.currency, as_of=AsOf(day(at)), features=features)
        return [(r.type.value, shown(r.amount), shown(r.balance_before), shown(r.balance_after)) for r in rows]


def shown(amount: Decimal) -> str:
    """An amount as people write it: 5, not 5.00."""
    return text(amount.normalize()) if amount else "0"


def taken(event: CreditCollected | None) -> list[str]:
    """The slices of a collection as amounts; advance is marked."""
    if event is None:
        return []
    return [f"{shown(part.amount)}{' advance' if part.lot is None else ''}" for part in event.slices]
