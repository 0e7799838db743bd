"""What ledger vectors expect, checked against the posting rows, the pools' states and the last operation's answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from aggregates.credits.breakage import open_plans
from aggregates.credits.collection import collection_order
from aggregates.credits.events import SettlementMode
from aggregates.credits.lineage import lineage
from aggregates.credits.live import Impact, live
from aggregates.journal.chart import Account, Authorization, TaxBehavior
from aggregates.journal.postings import Template, Transaction
from aggregates.values.decimals import ZERO, parse_decimal, shortest
from aggregates.values.errors import LedgerError, ValidationFailed
from aggregates.values.money import Currency, fiat
from aggregates.values.period import instant
from projections.balances import (
    ALL_FEATURES,
    ALL_ROUTES,
    UNRESTRICTED,
    AsOf,
    FeatureFilter,
    PostingRow,
    PurchaseFacts,
    RouteFilter,
    balance,
    buckets,
    pending,
    settled,
)
from projections.listing import CreditTransactionType, credit_transactions
from tests.support.books import Book, ordered_id

Op = dict[str, Any]

_FILTER = {"auth": "authorization", "priority": "credit_priority"}
_BREAKAGE = {
    Template.BREAKAGE_PLAN: "plan",
    Template.BREAKAGE_RELEASE: "release",
    Template.BREAKAGE_REOPEN: "reopen",
}


def currency_of(text: str) -> Currency:
    """`USD`, or `CODE/digits` for a custom currency of that precision."""
    code, _, digits = text.partition("/")
    return Currency(code, int(digits), f"custom:{text}") if digits else fiat(code)


class Charge:
    """A charge that exists for the live balance: its current total, and whether it is done."""

    def __init__(self, op: Op, currency: str, at: datetime) -> None:
        self.name = op["id"]
        self.currency = op.get("currency", currency)
        self.amount = parse_decimal(op["amount"])
        self.mode = SettlementMode(op.get("mode", "credit_then_invoice"))
        self.feature: str | None = op.get("feature")
        self.starts_at = instant(op["starts_at"]) if "starts_at" in op else instant(at)
        self.final = False
        self.final_when_collected: bool = op.get("final", True)
        self.voided: set[int] = set()


class Expectations:
    """The half of a player that looks at what has come about."""

    currency: str
    now: datetime
    books: dict[str, Book]
    names: dict[UUID | None, str]
    charges: dict[str, Charge]
    purchases: dict[str, PurchaseFacts]
    purchase_currency: dict[str, str]
    last: Any
    answer: dict[str, Any]

    def book(self, op: Op | None = None) -> Book:
        """The pool of the operation's currency."""
        code = (op or {}).get("currency", self.currency)
        if code not in self.books:
            self.books[code] = Book(currency_of(code))
        return self.books[code]

    # ── expectations: balances ───────────────────────────────────────────────────────────────────────────────

    def rows(self, code: str | None = None) -> list[PostingRow]:
        return [row for key, book in self.books.items() if code in (None, key) for row in book.rows]

    def filter(self, given: dict[str, Any] | None) -> RouteFilter:
        if not given:
            return ALL_ROUTES
        fields: dict[str, Any] = {}
        for key, value in given.items():
            name = _FILTER.get(key, key)
            if value is None:
                fields[name] = () if name == "features" else None
            elif name == "cost_basis":
                fields[name] = number(value)
            elif name == "features":
                fields[name] = tuple(sorted(value))
            elif name == "authorization":
                fields[name] = Authorization(value)
            elif name == "tax_behavior":
                fields[name] = TaxBehavior(value)
            elif name == "currency":
                fields[name] = currency_of(value)
            else:
                fields[name] = value
        return RouteFilter(**fields)

    def as_of(self, given: dict[str, Any], booked: datetime | None = None) -> AsOf:
        recorded = given.get("recorded_as_of")
        return AsOf(instant(given["as_of"]) if given.get("as_of") else booked, instant(recorded) if recorded else None)

    def expect_balances(self, wanted: list[dict[str, Any]], place: str) -> None:
        for item in wanted:
            found = balance(
                self.rows(item.get("currency")),
                Account(item["account"]),
                self.filter(item.get("filter")),
                self.as_of(item),
            )
            assert found == number(item["amount"]), f"{place} {item}: {found}"

    def expect_buckets(self, wanted: list[dict[str, Any]], place: str) -> None:
        for item in wanted:
            keys = item.get("group_by", ["source", "spend"])
            found = buckets(
                self.rows(item.get("currency")),
                Account(item["account"]),
                self._key(keys),
                self.filter(item.get("filter")),
                self.as_of(item),
            )
            assert found == numbers(item["rows"]), f"{place} {item}: {found}"

    def _key(self, names: list[str]) -> Callable[[PostingRow], str]:
        def key(row: PostingRow) -> str:
            return "|".join(self._word(row, name) for name in names)

        return key

    def _word(self, row: PostingRow, name: str) -> str:
        if name in ("source", "spend"):
            return self.names[getattr(row, name)]
        value = getattr(row.route, _FILTER.get(name, name))
        if isinstance(value, tuple):
            return ",".join(value) or "-"
        if isinstance(value, Currency):
            return value.code
        return "-" if value is None else shortest(value) if isinstance(value, Decimal) else str(value)

    # ── expectations: the last operation ─────────────────────────────────────────────────────────────────────

    def expect_allocations(self, wanted: list[str], place: str) -> None:
        assert self.answer["allocations"] == [number(amount) for amount in wanted], place

    def expect_corrections(self, wanted: list[str], place: str) -> None:
        assert self.answer["corrections"] == [number(amount) for amount in wanted], place

    def expect_recognized(self, wanted: str, place: str) -> None:
        assert self.answer["recognized"] == number(wanted), place

    def expect_delta(self, wanted: str, place: str) -> None:
        assert self.answer["delta"] == number(wanted), place

    def expect_shares(self, wanted: dict[str, str], place: str) -> None:
        assert self.answer["shares"] == numbers(wanted), place

    def expect_request(self, wanted: list[dict[str, str]], place: str) -> None:
        assert self.answer["request"] == [{**item, "amount": number(item["amount"])} for item in wanted], place

    def expect_selections(self, wanted: list[dict[str, Any]], place: str) -> None:
        found = self.answer["selections"]
        assert len(found) == len(wanted), f"{place}: {found}"
        for (lot, amount), item in zip(found, wanted, strict=True):
            named = {"amount": amount, "source": self.names[lot.source], "expires_at": lot.expires_at}
            for key, value in item.items():
                have = named[key] if key in named else getattr(lot.route, _FILTER.get(key, key))
                wished = instant(value) if key == "expires_at" and value else self._plain(value)
                assert self._plain(have) == wished, f"{place} {item}: {key} is {have}"

    @staticmethod
    def _plain(value: Any) -> Any:
        if isinstance(value, str):
            try:
                return number(value)
            except ValueError:
                return value
        return tuple(value) if isinstance(value, list) else value

    def group(self) -> tuple[Transaction, ...]:
        return self.last.transactions if self.last is not None else ()

    def expect_templates(self, wanted: list[str], place: str) -> None:
        found = sorted(transaction.template.value for transaction in self.group())
        assert found == sorted(wanted), f"{place}: {found}"

    def expect_booked_at(self, wanted: dict[str, str], place: str) -> None:
        for template, at in wanted.items():
            found = {t.booked_at for t in self.group() if t.template.value == template}
            assert found == {instant(at)}, f"{place} {template}: {found}"

    def expect_entries(self, wanted: list[list[str]], place: str) -> None:
        found = sorted((entry.account.value, entry.amount) for t in self.group() for entry in t.entries)
        assert found == sorted((account, number(amount)) for account, amount in wanted), f"{place}: {found}"

    # ── expectations: breakage and lineage ───────────────────────────────────────────────────────────────────

    def expect_breakage(self, wanted: list[dict[str, str]], place: str) -> None:
        moves = [row for row in self.rows() if row.template in _BREAKAGE and row.account is Account.FBO]
        expires: dict[Any, list[datetime]] = defaultdict(list)
        for row in moves:
            if row.template is Template.BREAKAGE_PLAN:
                expires[row.route, row.source].append(row.booked_at)
        found: dict[tuple[str, datetime], Decimal] = defaultdict(lambda: ZERO)
        for row in moves:
            # Lots without a purchase may share a route: then the plan is the one of that time, or the newest.
            plans = expires[row.route, row.source]
            plan = row.booked_at if row.booked_at in plans else plans[-1]
            found[_BREAKAGE[row.template], plan] += abs(row.amount)
        named = {(item["kind"], instant(item["expires_at"])): number(item["amount"]) for item in wanted}
        assert dict(found) == named, f"{place}: {dict(found)}"

    def expect_open_plans(self, wanted: list[dict[str, Any]], place: str) -> None:
        lots = sorted((lot for book in self.books.values() for lot in book.pool.lots.values()), key=collection_order)
        found = [
            {"source": self.names[lot.source], "open": amount, "expires_at": lot.expires_at}
            for lot, amount in open_plans(lots, instant(self.now))
        ]
        assert len(found) == len(wanted), f"{place}: {found}"
        for have, item in zip(found, wanted, strict=True):
            for key, value in item.items():
                named = number(value) if key == "open" else instant(value) if key == "expires_at" else value
                assert have[key] == named, f"{place}: {have} is not {item}"

    def expect_lineage(self, wanted: dict[str, str], place: str) -> None:
        found: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for book in self.books.values():
            for segment in lineage(book.pool):
                found[f"{self.names[segment.charge]}|{segment.state.value}"] += segment.amount
        assert dict(found) == numbers(wanted), f"{place}: {dict(found)}"

    # ── expectations: the customer's view ────────────────────────────────────────────────────────────────────

    def expect_customer_balance(self, wanted: list[dict[str, Any]], place: str) -> None:
        for item in wanted:
            features = self._features(item, place)
            if features is None:
                continue
            book = self.book(item)
            as_of = self.as_of(item, self.now)
            balance_now = settled(book.rows, book.currency, features, as_of)
            if "settled" in item:
                assert balance_now == number(item["settled"]), f"{place} {item}: {balance_now}"
            if "live" in item and (item.get("as_of") or item.get("recorded_as_of")):
                # A live balance exists now only; for a past time the answer is absent, which stands for 0 here.
                assert number(item["live"]) == 0, f"{place} {item}"
            elif "live" in item:
                found = live(book.pool, balance_now, self._impacts(item, features), instant(self.now))
                assert found == number(item["live"]), f"{place} {item}: live {found}"
            if "pending" in item:
                code = item.get("currency", self.currency)
                facts = [
                    _as_recorded(fact, as_of.recorded)
                    for name, fact in self.purchases.items()
                    if self.purchase_currency[name] == code
                    and (not isinstance(as_of.recorded, datetime) or fact.created_at <= as_of.recorded)
                ]
                waiting = pending(facts, as_of.booked or self.now, features)
                assert waiting == number(item["pending"]), f"{place} {item}: pending {waiting}"

    @staticmethod
    def _features(item: dict[str, Any], place: str) -> FeatureFilter | None:
        """The filter of a view; None where it is refused, as expected."""
        given = item.get("feature_filter", "all")
        if "error" in item:
            with pytest.raises(LedgerError) as refused:
                feature_filter(given)
            assert item["error"] in codes_of(refused.value), f"{place} {item}: {refused.value!r}"
            return None
        return feature_filter(given)

    def _impacts(self, item: dict[str, Any], features: FeatureFilter) -> list[Impact]:
        found: list[Impact] = []
        for charge in self.charges.values():
            counts = charge.currency == item.get("currency", self.currency) and charge.starts_at <= self.now
            if counts and not charge.final and features.shows_charge(charge.feature):
                slices = self.book({"currency": charge.currency}).pool.slices_of(ordered_id(charge.name))
                realized = sum((s.remaining for s in slices if s.sequence not in charge.voided), ZERO)
                amount = max(charge.amount - realized, ZERO)
                found.append(Impact(ordered_id(charge.name), amount, charge.mode, charge.feature))
        return found

    def expect_listings(self, wanted: list[dict[str, Any]], place: str) -> None:
        for item in wanted:
            features = self._features(item, place)
            if features is None:
                continue
            book = self.book(item)
            kind = CreditTransactionType(item["type"]) if item.get("type") else None
            listed = credit_transactions(
                book.rows, book.currency, as_of=self.as_of(item, self.now), features=features, type=kind
            )
            if "totals" in item:
                totals: dict[str, Decimal] = defaultdict(lambda: ZERO)
                for row in listed:
                    totals[row.type.value] += row.amount
                assert dict(totals) == numbers(item["totals"]), f"{place} {item}: {dict(totals)}"
            if "rows" in item:
                found = [(r.type.value, r.booked_at, r.amount, r.balance_before, r.balance_after) for r in listed]
                assert len(found) == len(item["rows"]), f"{place} {item}: {found}"
                for have, row in zip(found, item["rows"], strict=True):
                    named = (
                        row.get("type", have[0]),
                        instant(row["booked_at"]) if "booked_at" in row else have[1],
                        number(row["amount"]),
                        number(row.get("before", str(have[3]))),
                        number(row.get("after", str(have[4]))),
                    )
                    assert have == named, f"{place} {row}: {have}"


def _as_recorded(fact: PurchaseFacts, recorded: datetime | int | None) -> PurchaseFacts:
    """What was known of a purchase by then: a grant or deletion recorded later had not happened."""
    if not isinstance(recorded, datetime):
        return fact
    granted, deleted = fact.granted_at, fact.deleted_at
    return fact._replace(
        granted_at=granted if granted and granted <= recorded else None,
        deleted_at=deleted if deleted and deleted <= recorded else None,
    )


def number(value: str) -> Decimal:
    """A decimal of the vectors, which are all text."""
    return parse_decimal(value)


def numbers(values: dict[str, str]) -> dict[str, Decimal]:
    """The amounts of a mapping."""
    return {key: number(value) for key, value in values.items()}


def optional(op: dict[str, Any], key: str) -> Decimal | None:
    """An amount that may be absent or null."""
    return None if op.get(key) is None else number(op[key])


def feature_filter(given: str | list[str]) -> FeatureFilter:
    """`all`, `unrestricted`, or a list of one feature."""
    if given == "all":
        return ALL_FEATURES
    return UNRESTRICTED if given == "unrestricted" else FeatureFilter.of(given)


def codes_of(error: LedgerError) -> set[str]:
    """What an expected error may name: the code, its family, or the code of a finding."""
    found = {error.code, *((error.family,) if error.family else ())}
    if isinstance(error, ValidationFailed):
        found |= set(error.codes)
    return found
