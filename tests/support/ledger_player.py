"""Plays the operations and expectations of the ledger vectors against pools, decisions and views."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from aggregates.credits import decisions as d
from aggregates.credits.breakage import open_plans
from aggregates.credits.collection import collection_order
from aggregates.credits.correction import take_backwards
from aggregates.credits.events import (
    CreditCollected,
    CreditReturned,
    CreditVoided,
    PurchaseSettlement,
    RecognitionKind,
    SettlementMode,
    SlicesSealed,
    VoidedPart,
)
from aggregates.credits.lineage import lineage
from aggregates.credits.live import Impact, live
from aggregates.credits.requests import (
    AccrueUsage,
    CancelGrant,
    Collect,
    Correct,
    Grant,
    InvoicePayment,
    OpenAdvance,
    OpenBalance,
    PurchasePayment,
    Recognize,
    ReverseRecognition,
    SourceCut,
    Void,
)
from aggregates.journal import rules, templates
from aggregates.journal.chart import Account, Authorization, Route, TaxBehavior, route
from aggregates.journal.postings import Entry, Template, Transaction
from aggregates.journal.templates import When
from aggregates.rating.allocation import allocate_by_amount
from aggregates.values.decimals import ZERO, exact, parse_decimal
from aggregates.values.errors import (
    CreditAllocationsDoNotMatchTotal,
    LedgerError,
    ValidationFailed,
)
from aggregates.values.money import Currency, fiat
from aggregates.values.period import Instant, instant
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
from tests.support.pools import EPOCH, Book, check_invariants, ordered_id

Op = dict[str, Any]

_FILTER = {"auth": "authorization", "priority": "credit_priority"}
_BREAKAGE = {
    Template.BREAKAGE_PLAN: "plan",
    Template.BREAKAGE_RELEASE: "release",
    Template.BREAKAGE_REOPEN: "reopen",
}
_POST_TEMPLATE = Template.COVER
"""Raw transactions need some template; this one has no exception in any rule."""


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
        self.voided: set[int] = set()


class Player:
    """One customer with an empty ledger, a clock, and what the last operation brought about."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.books: dict[str, Book] = {}
        self.now: datetime = EPOCH
        self.position = 0
        self.grants: dict[str, Op] = {}
        self.purchases: dict[str, PurchaseFacts] = {}
        self.purchase_currency: dict[str, str] = {}
        self.charges: dict[str, Charge] = {}
        self.allocations: dict[str, list[UUID]] = defaultdict(list)
        self.names: dict[UUID | None, str] = {None: "-"}
        self.last: Any = None
        self.answer: dict[str, Any] = {}

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────

    def play(self, step: dict[str, Any], place: str) -> None:
        if "at" in step:
            self.now = instant(step["at"])
        expected = step.get("expect_recommended", step.get("expect", {}))
        operations = step["do"] if isinstance(step["do"], list) else [step["do"]]
        refusal: LedgerError | None = None
        for op in operations:
            try:
                self.operate(op)
            except LedgerError as error:
                refusal = error
        if "error" in expected:
            assert refusal is not None, f"{place}: expected {expected['error']}, nothing was refused"
            assert expected["error"] in codes_of(refusal), f"{place}: {refusal!r} is not {expected['error']}"
        elif refusal is not None:
            raise refusal
        for name, wanted in expected.items():
            if name != "error":
                getattr(self, f"expect_{name}")(wanted, f"{place}: {name}")

    def operate(self, op: Op) -> None:
        self.last, self.answer = None, {}
        getattr(self, f"do_{op['op']}")(op)
        for book in self.books.values():
            check_invariants(book)

    def book(self, op: Op | None = None) -> Book:
        code = (op or {}).get("currency", self.currency)
        if code not in self.books:
            self.books[code] = Book(currency_of(code))
        return self.books[code]

    def record(self, book: Book, event: Any) -> Any:
        if event is not None:
            self.position += 1
            self.last = book.record(event, self.now, self.position)
        return event

    def id(self, name: str | None) -> UUID | None:
        if name is None:
            return None
        found = ordered_id(name)
        self.names[found] = name
        return found

    def time(self, op: Op, key: str = "booked_at") -> Instant:
        return instant(op[key]) if op.get(key) is not None else instant(self.now)

    # ── purchases ────────────────────────────────────────────────────────────────────────────────────────────

    def do_grant(self, op: Op) -> None:
        book = self.book(op)
        name = op["id"]
        event = d.grant(
            book.pool,
            Grant(
                purchase=self.id(name) or UUID(int=0),
                amount=number(op["amount"]),
                settlement=PurchaseSettlement(op.get("settlement", "promotional")),
                cost_basis=optional(op, "cost_basis"),
                settlement_currency=op.get("settlement_currency", "USD") if book.currency.is_custom else None,
                priority=op.get("priority", 100),
                features=tuple(op.get("features") or ()),
                effective_at=self.time(op, "effective_at"),
                expires_at=instant(op["expires_at"]) if op.get("expires_at") else None,
                now=self.now,
            ),
        )
        self.record(book, event)
        known = self.purchases.get(name)
        created = known.created_at if known else self.now
        self.grants[name] = op
        self.purchases[name] = self._facts(op, created)._replace(granted_at=self.now)
        self.purchase_currency[name] = op.get("currency", self.currency)

    def _facts(self, op: Op, created: datetime) -> PurchaseFacts:
        return PurchaseFacts(
            amount=number(op["amount"]),
            features=tuple(op.get("features") or ()),
            created_at=created,
            effective_at=self.time(op, "effective_at"),
        )

    def do_schedule_grant(self, op: Op) -> None:
        self.purchases[op["id"]] = self._facts(op, self.now)
        self.purchase_currency[op["id"]] = op.get("currency", self.currency)

    def do_delete_grant(self, op: Op) -> None:
        name = op["id"]
        book = self.book(op)
        if name in self.grants:
            self.record(book, d.cancel(book.pool, CancelGrant(purchase=ordered_id(name), now=instant(self.now))))
        self.purchases[name] = self.purchases[name]._replace(deleted_at=self.now)

    def _payment(self, op: Op) -> PurchasePayment:
        granted = self.grants[op["id"]]
        book = self.book(granted)
        return PurchasePayment(
            purchase=ordered_id(op["id"]),
            credit_amount=number(granted["amount"]),
            cost_basis=optional(granted, "cost_basis") or ZERO,
            fiat_amount=optional(op, "fiat_amount"),
            fiat_currency=fiat(granted.get("settlement_currency", "USD")) if book.currency.is_custom else None,
            features=tuple(granted.get("features") or ()),
            booked_at=self.time(op),
        )

    def do_authorize_purchase(self, op: Op) -> None:
        book = self.book(self.grants[op["id"]])
        self.record(book, d.authorize_purchase(book.pool, self._payment(op)))

    def do_settle_purchase(self, op: Op) -> None:
        book = self.book(self.grants[op["id"]])
        self.record(book, d.settle_purchase(book.pool, self._payment(op)))

    def do_void(self, op: Op) -> None:
        book = self.book(self.grants.get(op["id"], op))
        self.record(book, d.void(book.pool, Void(purchase=ordered_id(op["id"]), booked_at=self.time(op))))

    # ── fixtures ─────────────────────────────────────────────────────────────────────────────────────────────

    def do_fund(self, op: Op) -> None:
        book = self.book(op)
        basis = optional(op, "cost_basis")
        priced = basis is not None and book.currency.is_custom
        request = OpenBalance(
            source=self.id(op.get("source")),
            amount=number(op["amount"]),
            settled=op.get("settled", True),
            cost_basis=basis,
            settlement_currency=op.get("settlement_currency", "USD") if priced else None,
            priority=op.get("priority", 100),
            features=tuple(op.get("features") or ()),
            effective_at=self.time(op),
            expires_at=instant(op["expires_at"]) if op.get("expires_at") else None,
        )
        self.record(book, d.open_balance(book.pool, request))

    def do_advance_exposure(self, op: Op) -> None:
        book = self.book(op)
        request = OpenAdvance(
            charge=self.id(op.get("spend")),
            amount=number(op["amount"]),
            features=tuple(op.get("features") or ()),
            tax_code=op.get("tax_code"),
            tax_behavior=TaxBehavior(op["tax_behavior"]) if op.get("tax_behavior") else None,
            booked_at=self.time(op),
        )
        self.record(book, d.open_advance(book.pool, request))

    def do_cover_receivable(self, op: Op) -> None:
        """Credit of that priority is taken out of fbo again, lot by lot in collection order."""
        book = self.book(op)
        left, at = number(op["amount"]), self.time(op)
        parts: list[VoidedPart] = []
        posted: list[Transaction] = []
        for lot in sorted(book.pool.lots.values(), key=collection_order):
            taken = min(left, lot.spendable(at))
            if taken > 0 and lot.route.credit_priority == op.get("priority", 100):
                posted.append(templates.cover(lot.route, taken, When(at, at), source=lot.source))
                parts.append(VoidedPart(lot=lot.sequence, route=lot.route, amount=taken))
                left -= taken
        assert not left, "the fixture covers more than there is"
        event = CreditVoided(
            currency=book.currency,
            purchase=UUID(int=1),
            amount=number(op["amount"]),
            booked_at=at,
            parts=tuple(parts),
            transactions=tuple(posted),
        )
        self.record(book, event)

    def do_post(self, op: Op) -> None:
        indexes: dict[str, int] = {}
        entries = tuple(self._raw_entry(raw, indexes) for raw in op["entries"])
        at = self.time(op)
        transaction = Transaction(template=_POST_TEMPLATE, booked_at=at, accounting_date=at, entries=entries)
        rules.check(transaction)

    def _raw_entry(self, raw: Op, indexes: dict[str, int]) -> Entry:
        account = Account(raw["account"])
        given = dict(raw.get("route") or {})
        auth = given.get("auth", "open" if account is Account.RECEIVABLE else None)
        currency = currency_of(given.get("currency", self.currency))
        basis = optional(given, "cost_basis")
        identity = raw.get("identity")
        return Entry(
            account=account,
            route=route(
                currency,
                cost_basis=basis,
                cost_basis_currency=given.get("cost_basis_currency", "USD") if currency.is_custom else None,
                features=tuple(given.get("features") or ()),
                credit_priority=given.get("priority", 100 if account is Account.FBO else None),
                authorization=Authorization(auth) if auth else None,
                tax_code=given.get("tax_code"),
                tax_behavior=TaxBehavior(given["tax_behavior"]) if given.get("tax_behavior") else None,
            ),
            amount=number(raw["amount"]),
            source=self.id(raw.get("source")),
            spend=self.id(raw.get("spend")),
            index=None if identity is None else indexes.setdefault(identity, len(indexes)),
        )

    # ── collection and correction ────────────────────────────────────────────────────────────────────────────

    def do_collect(self, op: Op) -> None:
        book = self.book(op)
        charge, booked_at = self.id(op["charge"]) or UUID(int=0), self.time(op)
        as_of = self.time(op, "source_balance_as_of") if op.get("source_balance_as_of") else booked_at
        request = Collect(
            charge=charge,
            amount=number(op["amount"]),
            mode=SettlementMode(op.get("mode", "credit_then_invoice")),
            feature=op.get("feature"),
            booked_at=booked_at,
            sources_at=SourceCut(as_of),
            tax_code=op.get("tax_code"),
            tax_behavior=TaxBehavior(op["tax_behavior"]) if op.get("tax_behavior") else None,
        )
        event = self.record(book, d.collect(book.pool, request))
        allocated = d.allocations(event) if event else ()
        self.allocations[op["charge"]] += [allocation.id for allocation in allocated]
        self.answer["allocations"] = [allocation.amount for allocation in allocated]
        if op["charge"] in self.charges:
            self.charges[op["charge"]].final = op.get("final", True)

    def do_correct(self, op: Op) -> None:
        book = self.book(op)
        given = self.allocations[op["charge"]]
        request = Correct(
            charge=ordered_id(op["charge"]),
            allocation=given[op["allocation"]] if op.get("allocation") is not None else None,
            amount=optional(op, "amount"),
            booked_at=self.time(op),
        )
        event = self.record(book, d.correct(book.pool, request))
        self.answer["corrections"] = [amount for _, amount in d.corrections(event)] if event else []

    def do_select(self, op: Op) -> None:
        book = self.book(op)
        as_of = self.time(op, "as_of")
        self.answer["selections"] = d.select(book.pool, number(op["amount"]), op.get("feature"), as_of)

    # ── invoiced usage and recognition ───────────────────────────────────────────────────────────────────────

    def do_invoice_accrue(self, op: Op) -> None:
        book = self.book(op)
        request = AccrueUsage(
            charge=self.id(op.get("charge")),
            amount=number(op["amount"]),
            cost_basis=optional(op, "cost_basis") or Decimal(1),
            mode=SettlementMode(op.get("mode", "credit_then_invoice")),
            tax_code=op.get("tax_code"),
            tax_behavior=TaxBehavior(op["tax_behavior"]) if op.get("tax_behavior") else None,
            booked_at=self.time(op),
        )
        self.record(book, d.accrue_usage(book.pool, request))

    def _invoice_payment(self, op: Op) -> InvoicePayment:
        return InvoicePayment(
            charge=self.id(op.get("charge")),
            amount=number(op["amount"]),
            over_payment=op.get("over_payment", False),
            booked_at=self.time(op),
        )

    def do_authorize_invoice(self, op: Op) -> None:
        book = self.book(op)
        self.record(book, d.authorize_invoice(book.pool, self._invoice_payment(op)))

    def do_settle_invoice(self, op: Op) -> None:
        book = self.book(op)
        self.record(book, d.settle_invoice(book.pool, self._invoice_payment(op)))

    def do_recognize(self, op: Op) -> None:
        book = self.book(op)
        event = self.record(book, d.recognize(book.pool, Recognize(booked_at=self.time(op))))
        self.answer["recognized"] = event.amount if event else ZERO

    def do_recognize_up_to(self, op: Op) -> None:
        """Template level: whatever is accrued, credit before invoiced value."""
        book = self.book(op)
        left, recognized = number(op["amount"]), ZERO
        for kind in (RecognitionKind.CREDIT, RecognitionKind.INVOICED):
            if left > 0:
                request = Recognize(kind=kind, amount=left, booked_at=self.time(op))
                event = self.record(book, d.recognize(book.pool, request))
                taken = event.amount if event else ZERO
                left, recognized = left - taken, recognized + taken
        self.answer["recognized"] = recognized

    def do_correct_template(self, op: Op) -> None:
        """Undo part of the last group: what the pool offers for each template that may be corrected."""
        book = self.book(op)
        template, amount, at = Template(op["template"]), number(op["amount"]), self.time(op)
        if template is Template.EARNINGS_RECOGNIZE:
            self.record(book, d.reverse_recognition(book.pool, ReverseRecognition(amount=amount, booked_at=at)))
            return
        collected = next(r.body for r in reversed(book.records) if isinstance(r.body, CreditCollected))
        assert template in (Template.COLLECT, Template.ADVANCE_COLLECT), f"{template} is undone within other flows only"
        assert collected.charge is not None
        self.record(book, d.correct(book.pool, Correct(charge=collected.charge, amount=amount, booked_at=at)))

    # ── planning ─────────────────────────────────────────────────────────────────────────────────────────────

    def do_correction_request(self, op: Op) -> None:
        currency = self.book(op).currency
        items = [
            (item.get("created_at", ""), item.get("sort_hint", 0), place, item)
            for place, item in enumerate(op["allocations"])
        ]
        items.sort(key=lambda item: item[:3])
        remaining = [(item["id"], number(item["amount"]) - number(item.get("corrected", "0"))) for *_, item in items]
        amount = currency.rounded(-number(op["amount"]))
        taken = exact(take_backwards)(remaining, amount) if amount > 0 else []
        self.answer["request"] = [{"id": name, "amount": -share} for name, share in taken]

    def do_allocate_by_amount(self, op: Op) -> None:
        items = [(item["key"], number(item["amount"])) for item in op["items"]]
        shares = allocate_by_amount(number(op["amount"]), items, self.book(op).currency, tie_break=str)
        self.answer["shares"] = dict(shares)

    def do_reconcile(self, op: Op) -> None:
        currency = self.book(op).currency
        delta = currency.rounded(number(op["target"])) - currency.rounded(number(op["current"]))
        self.answer["delta"] = delta
        allocated = optional(op, "handler_allocates")
        if op.get("exact") and allocated is not None and allocated != delta:
            raise CreditAllocationsDoNotMatchTotal(allocated, delta)

    def do_charge(self, op: Op) -> None:
        self.charges[op["id"]] = Charge(op, self.currency, self.now)

    def do_mark_allocations_voided(self, op: Op) -> None:
        charge = self.charges[op["charge"]]
        book = self.book({"currency": charge.currency})
        charge.voided |= {item.sequence for item in book.pool.slices_of(ordered_id(charge.name))}
        charge.final = False

    def do_wait(self, op: Op) -> None:
        self.book(op)

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
        return AsOf(
            instant(given["as_of"]) if given.get("as_of") else booked, instant(recorded) if recorded else None
        )

    def expect_balances(self, wanted: list[dict[str, Any]], place: str) -> None:
        for item in wanted:
            found = balance(
                self.rows(item.get("currency")), Account(item["account"]), self.filter(item.get("filter")), self.as_of(item)
            )
            assert found == number(item["amount"]), f"{place} {item}: {found}"

    def expect_buckets(self, wanted: list[dict[str, Any]], place: str) -> None:
        for item in wanted:
            keys = item.get("group_by", ["source", "spend"])
            found = buckets(
                self.rows(), Account(item["account"]), self._key(keys), self.filter(item.get("filter")), self.as_of(item)
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
        if name == "features":
            return ",".join(value) or "-"
        return "-" if value is None else str(value)

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
                assert self._plain(have) == self._plain(value), f"{place} {item}: {key} is {have}"

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
        expires = {row.source: row.booked_at for row in self.rows() if row.template is Template.BREAKAGE_PLAN}
        found: dict[tuple[str, datetime], Decimal] = defaultdict(lambda: ZERO)
        for row in self.rows():
            if row.template in _BREAKAGE and row.account is Account.BREAKAGE:
                found[_BREAKAGE[row.template], expires[row.source]] += abs(row.amount)
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
            try:
                features = feature_filter(item.get("feature_filter", "all"))
            except LedgerError as error:
                assert item.get("error") in codes_of(error), f"{place} {item}: {error!r}"
                continue
            assert "error" not in item, f"{place} {item}: nothing was refused"
            book = self.book(item)
            as_of = self.as_of(item, self.now)
            balance_now = settled(book.rows, book.currency, features, as_of)
            if "settled" in item:
                assert balance_now == number(item["settled"]), f"{place} {item}: {balance_now}"
            if "live" in item and item.get("as_of"):
                # A live balance exists now only; for a past time the answer is absent, which stands for 0 here.
                assert number(item["live"]) == 0, f"{place} {item}"
            elif "live" in item:
                found = live(book.pool, balance_now, self._impacts(item, features), instant(self.now))
                assert found == number(item["live"]), f"{place} {item}: live {found}"
            if "pending" in item:
                code = item.get("currency", self.currency)
                facts = [fact for name, fact in self.purchases.items() if self.purchase_currency[name] == code]
                waiting = pending(facts, as_of.booked or self.now, features)
                assert waiting == number(item["pending"]), f"{place} {item}: pending {waiting}"

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
            try:
                features = feature_filter(item.get("feature_filter", "all"))
            except LedgerError as error:
                assert item.get("error") in codes_of(error), f"{place} {item}: {error!r}"
                continue
            assert "error" not in item, f"{place} {item}: nothing was refused"
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
                found = [
                    (r.type.value, r.booked_at, r.amount, r.balance_before, r.balance_after) for r in listed
                ]
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


__all__ = ["CreditReturned", "Player", "Route", "SlicesSealed", "msgspec"]
