"""Plays the operations of the ledger vectors against pools and decisions; `ledger_expectations` checks the outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from aggregates.credits import decisions as d
from aggregates.credits.collection import collection_order
from aggregates.credits.correction import take_backwards
from aggregates.credits.events import (
    CreditCollected,
    CreditGranted,
    CreditVoided,
    PurchaseSettlement,
    RecognitionKind,
    SettlementMode,
    VoidedPart,
)
from aggregates.credits.pool import Lot
from aggregates.credits.refusals import UnsupportedSettlementMode
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
from aggregates.journal.chart import Account, Authorization, TaxBehavior, route
from aggregates.journal.postings import Direction, Entry, Template, Transaction
from aggregates.journal.refusals import CorrectionExceedsAvailable
from aggregates.journal.templates import When
from aggregates.rating.allocation import allocate_by_amount
from aggregates.values.decimals import ZERO, exact
from aggregates.values.errors import (
    CreditAllocationsDoNotMatchTotal,
    LedgerError,
)
from aggregates.values.money import fiat
from aggregates.values.period import Instant, instant
from projections.balances import (
    PurchaseFacts,
)
from tests.support.books import EPOCH, Book, check_invariants, ordered_id
from tests.support.ledger_expectations import Charge, Expectations, Op, codes_of, currency_of, number, optional
from tests.support.ledger_format import check_expectation, check_operation

_POST_TEMPLATE = Template.COVER
"""Raw transactions need some template; this one has no exception in any rule."""


class Player(Expectations):
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
        for name, wanted in expected.items():
            check_expectation(name, wanted)
        if "error" in expected:
            assert refusal is not None, f"{place}: expected {expected['error']}, nothing was refused"
            assert expected["error"] in codes_of(refusal), f"{place}: {refusal!r} is not {expected['error']}"
        elif refusal is not None:
            raise refusal
        for name, wanted in expected.items():
            if name != "error":
                getattr(self, f"expect_{name}")(wanted, f"{place}: {name}")

    def operate(self, op: Op) -> None:
        check_operation(op)
        self.last, self.answer = None, {}
        before, refusal = self.position, None
        try:
            getattr(self, f"do_{op['op']}")(op)
        except LedgerError as error:
            refusal = error
        if refusal is not None:
            assert self.position == before, f"{op['op']} was refused ({refusal}) after something had been booked"
            raise refusal
        for book in self.books.values():
            check_invariants(book)

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
        """Credit of that priority is taken out of fbo again, in collection order."""
        book = self.book(op)
        at, priority = self.time(op), op.get("priority", 100)
        lots = [lot for lot in book.pool.lots.values() if lot.route.credit_priority == priority]
        self._take_out(book, lots, number(op["amount"]), at, templates.cover)

    def _take_out(
        self, book: Book, lots: list[Lot], amount: Decimal, at: Instant, post: Callable[..., Transaction]
    ) -> None:
        """Take credit out of lots with some template; the pool learns of it as of a void."""
        left, parts, posted = amount, list[VoidedPart](), list[Transaction]()
        for lot in sorted(lots, key=collection_order):
            taken = min(left, exact(lot.spendable)(at))
            if taken > 0:
                posted.append(exact(post)(lot.route, taken, When(at, at), source=lot.source))
                parts.append(VoidedPart(lot=lot.sequence, route=lot.route, amount=taken))
                left -= taken
        if left:
            raise CorrectionExceedsAvailable(detail=f"only {amount - left} of {amount} is there to be taken out")
        event = CreditVoided(
            currency=book.currency,
            purchase=lots[0].source or UUID(int=1),
            amount=amount,
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
            charged = self.charges[op["charge"]]
            charged.final = op.get("final", charged.final_when_collected)

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
        """Payments reach charges that are invoiced; what they pay says at which cost basis it was accrued."""
        charge, basis = self.id(op.get("charge")), optional(op, "cost_basis")
        if op.get("mode") == SettlementMode.CREDIT_ONLY:
            raise UnsupportedSettlementMode(op["mode"], charge)
        accrued = {each.route.cost_basis for each in self.book(op).pool.accruals.values() if each.charge == charge}
        assert basis is None or accrued <= {basis}, f"{charge} accrued at {accrued}: a payment cannot choose {basis}"
        return InvoicePayment(
            charge=charge,
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
        """Undo part of what the last group did by one template."""
        book = self.book(op)
        template, amount, at = Template(op["template"]), number(op["amount"]), self.time(op)
        last = next(r.body for r in reversed(book.records) if _did(r.body.transactions, template))
        if template is Template.EARNINGS_RECOGNIZE:
            self.record(book, d.reverse_recognition(book.pool, ReverseRecognition(amount=amount, booked_at=at)))
        elif template is Template.ISSUE and isinstance(last, CreditGranted):
            undo = partial(templates.issue, reversing=True)
            self._take_out(book, [book.pool.lots[last.lot]], amount, max(at, last.effective_at), undo)
        elif template in (Template.COLLECT, Template.ADVANCE_COLLECT) and isinstance(last, CreditCollected):
            assert last.charge is not None
            request = Correct(charge=last.charge, amount=amount, booked_at=at)
            if amount > book.pool.remaining(last.charge):
                raise CorrectionExceedsAvailable(detail=f"less than {amount} is left of the collection")
            self.record(book, d.correct(book.pool, request))
        else:
            raise AssertionError(f"{template} has no correction of its own; other flows undo it (ledger §5)")

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


def _did(transactions: tuple[Transaction, ...], template: Template) -> bool:
    return any(t.template is template and t.direction is Direction.FORWARD for t in transactions)
