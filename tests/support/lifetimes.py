"""Random lifetimes of one customer through the whole facade: charges of every type, invoices, payments, time.

A lifetime is a history (`tests/support/histories.py`) with more that can be asked, and more that always holds: the
properties of lifecycles §19.5, the payment of a run as its invoice has it, the sum of a charge's runs as one rating
of all its usage. A new operation joins with one line in `LIFETIME`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid5

from aggregates.charges.intent import ChargeType, InvoiceSettlement, PurchaseLayer, SettlementMode, UsageLayer
from aggregates.charges.late_events import LateOutcome
from aggregates.charges.state import Charge
from aggregates.invoices.state import Invoice
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.journal.chart import Account
from aggregates.lifecycle import Status
from aggregates.policies import Policies, RunEngine
from aggregates.rating.prices import AnyUsagePrice, Tier, TieredPrice
from aggregates.rating.rate import LineToRate, rate
from aggregates.runs.events import RunType
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import ZERO, divide, exact
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.metering.usage import UsageEvent
from ledger.prices import unit
from tests.support.books import Book
from tests.support.histories import FEATURES, Asked, History

RESTING = {
    Status.CREATED,
    Status.ACTIVE,
    Status.WAITING_FOR_COLLECTION,
    Status.PROCESSING,
    Status.AWAITING_PAYMENT_SETTLEMENT,
    Status.PAYMENT_PENDING,
    Status.PAYMENT_FAILED,
    Status.PAYMENT_AUTHORIZED,
    Status.FINAL,
    Status.DELETED,
}
"""A charge is met in no other status between two commands."""

PRICES: tuple[AnyUsagePrice, ...] = (
    unit("0.37"),
    TieredPrice(
        mode="graduated",
        tiers=(Tier(up_to_amount=Decimal(10), unit_price=Decimal("0.5")), Tier(unit_price=Decimal("0.125"))),
    ),
    TieredPrice(
        mode="volume",
        tiers=(Tier(up_to_amount=Decimal(10), unit_price=Decimal("0.5")), Tier(unit_price=Decimal("0.25"))),
    ),
)

IDLE_AFTER = 4
"""Passes of a worker after which nothing is left to do: what was billed late is invoiced by the pass after it."""

HALF = Decimal("0.5")
"""The price of a unit of credit in all purchases."""

BY_INVOICE = SettlementMode.CREDIT_THEN_INVOICE.value


class Lifetime(History):
    """One customer under some policies, whose invoices are approved by hand or by themselves."""

    def __init__(self, url: str = "memory:", policies: Policies | None = None, *, auto_approve: bool = True) -> None:
        super().__init__(url, policies)
        self.policies = policies or Policies.standard()
        self.ledger.customers.change_profile(
            "acme", collection_interval="P2D", progressive_billing=True, auto_approve=auto_approve
        )
        self.commands = (*self.commands, *(getattr(self, name) for name in LIFETIME))

    # ── what always holds ────────────────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        """What holds of a history, and of every charge and invoice."""
        super().check()
        charges = self.ledger.charges.list("acme")
        invoices = {invoice.id: invoice for invoice in self.ledger.invoices.list("acme")}
        for charge in charges:
            runs = self.ledger.charges.runs(charge.id)
            check_charge(charge, runs)
            covered = sum((run.credits_total for run in runs), ZERO)
            posted = covered_by_credit(self.book, charge.id)
            assert posted == covered, f"{charge.id}: the pool gave {posted}, its runs took {covered}"
            check_payments(charge, runs, invoices)
            check_asked(charge, runs)
            if self.policies.run_engine is RunEngine.INVOICE_COMPATIBLE_DELTA:
                check_sum_of_runs(charge, runs)
        for invoice in invoices.values():
            check_invoice(invoice)
        known = {invoice: left.amount for invoice, left in self.ledger.credits.pool("acme").unapplied.items()}
        for invoice in invoices.values():
            check_unapplied(invoice, known.pop(invoice.id, ZERO))
        assert not known, f"unapplied on invoices that are not there: {known}"
        check_receivable(self.book, charges, list(invoices.values()))
        check_purchases(self.ledger, "acme")
        check_price(self.book)

    def finish(self) -> None:
        """Time passes, everything is invoiced as far as it goes; views rebuilt are the views that are there."""
        self.clock.set(self.now + timedelta(days=100))
        head = self.ledger.store.head()
        for _ in range(IDLE_AFTER):
            head = self.ledger.store.head()
            self.ledger.worker.run_once()
            self.check()
        assert self.ledger.store.head() == head, "a worker that has done everything finds more to do"
        for charge in self.ledger.charges.list("acme"):
            waits = charge.current_run_id is not None  # on a draft that nobody approves
            assert charge.rebilling is None or waits, f"{charge.id}: what was billed and voided is not billed again"
        report = self.ledger.audit.verify()
        assert report.sound, report
        self.ledger.close()

    # ── what can be asked ────────────────────────────────────────────────────────────────────────────────────

    def _period(self, asked: Asked) -> dict[str, Any]:
        begins = self._moment(asked.b % 30 - 15)
        return {"period_from": begins, "period_to": begins + timedelta(days=2 + asked.c % 29)}

    def _keep(self, charge: Charge) -> None:
        if charge.id not in self.charges:
            self.charges.append(charge.id)

    def _usage_by_invoice(self, asked: Asked, identity: UUID) -> None:
        period = self._period(asked)
        self._record(asked, period["period_from"] + timedelta(hours=1), uuid5(identity, "usage"))
        made = self.ledger.charges.create_usage(
            "acme",
            feature=FEATURES[asked.c % 2],
            price=PRICES[asked.a % len(PRICES)],
            settlement_mode=BY_INVOICE,
            command_id=identity,
            **period,
        )
        self._keep(made)

    def _take_usage_back(self, asked: Asked, identity: UUID) -> None:
        moment, meter = self._moment(-(asked.b % 30)), FEATURES[asked.c % 2]
        less, source = -Decimal(1 + asked.a % 20), "corrections"
        event = UsageEvent(
            source=source, id=str(identity), customer="acme", meter=meter, time=timestamp(moment), value=less
        )
        self.ledger.usage.record([event])

    def _fee(self, asked: Asked, identity: UUID) -> None:
        made = self.ledger.charges.create_flat_fee(
            "acme",
            amount=ZERO if asked.a % 9 == 0 else self._amount(asked.a),
            settlement_mode=(BY_INVOICE, BY_INVOICE, "credit_only")[asked.b % 3],
            payment_term=("in_advance", "in_arrears")[asked.c % 2],
            pro_rating=bool(asked.a % 2),
            command_id=identity,
            **self._period(asked),
        )
        self._keep(made)

    def _sell_by_invoice(self, asked: Asked, identity: UUID) -> None:
        terms = self._terms(asked)
        made = self.ledger.credits.sell(
            "acme", self._amount(asked.a), cost_basis="0.5", settlement="invoice", command_id=identity, **terms
        )
        self._bought(made.id)

    def _override(self, asked: Asked, identity: UUID) -> None:
        charge = self.ledger.charges.get(self._one(self.charges, asked.a))
        usage = isinstance(charge.intent.effective, UsageLayer)
        change: dict[str, Any] = {"price": unit("0.11")} if usage else {"amount": self._amount(asked.b)}
        if usage and charge.is_invoiced and charge.period_runs and asked.b % 3:
            begins, ends = charge.period_runs[-1].service_period_to, charge.intent.effective.service_period.to
            change["service_period"] = {"from_": begins, "to": ends}
        self.ledger.charges.set_override(charge.id, command_id=identity, **change)

    def _clear(self, asked: Asked, identity: UUID) -> None:
        self.ledger.charges.clear_override(self._one(self.charges, asked.a), command_id=identity)

    def _invoice_now(self, asked: Asked, identity: UUID) -> None:
        self.ledger.invoices.invoice_pending_lines("acme", command_id=identity)

    def _work(self, asked: Asked, identity: UUID) -> None:
        if self.done % 3:
            self.clock.set(self.now + timedelta(days=asked.a % 6, seconds=asked.b % 120))
        self.ledger.worker.run_once(command_id=identity)

    def _invoice(self, asked: Asked) -> UUID:
        return self._one([invoice.id for invoice in self.ledger.invoices.list("acme")], asked.a)

    def _move_invoice(self, asked: Asked, identity: UUID) -> None:
        invoices = self.ledger.invoices
        step = (invoices.approve, invoices.approve, invoices.advance, invoices.retry)[asked.b % 4]
        step(self._invoice(asked), command_id=identity)

    def _pay_invoice(self, asked: Asked, identity: UUID) -> None:
        step = ("authorized", "paid", "paid", "paid", "failed")[asked.b % 5]
        amount = None if asked.c % 2 or step == "failed" else self._amount(asked.c)
        self.ledger.invoices.record_payment(self._invoice(asked), step, amount=amount, command_id=identity)

    def _void_invoice(self, asked: Asked, identity: UUID) -> None:
        self.ledger.invoices.void(self._invoice(asked), command_id=identity)

    def _write_off_invoice(self, asked: Asked, identity: UUID) -> None:
        self.ledger.invoices.write_off(self._invoice(asked), command_id=identity)

    def _refund_unapplied(self, asked: Asked, identity: UUID) -> None:
        amount = None if asked.c % 2 else self._amount(asked.c % 500)
        self.ledger.invoices.refund_unapplied(self._invoice(asked), amount, command_id=identity)

    def _cover_advance(self, asked: Asked, identity: UUID) -> None:
        self.ledger.credits.cover_advance("acme", command_id=identity)

    def _take_up_late_usage(self, asked: Asked, identity: UUID) -> None:
        charges = self.ledger.charges
        act = (charges.bill_late_usage, charges.dismiss_late_usage)[asked.b % 2]
        act(self._one(self.charges, asked.a), command_id=identity)

    def _delete_invoice(self, asked: Asked, identity: UUID) -> None:
        self.ledger.invoices.delete(self._invoice(asked), command_id=identity)


LIFETIME: tuple[str, ...] = (
    "_usage_by_invoice",
    "_usage_by_invoice",
    "_take_usage_back",
    "_fee",
    "_fee",
    "_sell_by_invoice",
    "_override",
    "_clear",
    "_invoice_now",
    "_invoice_now",
    "_work",
    "_work",
    "_work",
    "_move_invoice",
    "_move_invoice",
    "_pay_invoice",
    "_pay_invoice",
    "_pay_invoice",
    "_void_invoice",
    "_write_off_invoice",
    "_delete_invoice",
    "_refund_unapplied",
    "_cover_advance",
    "_take_up_late_usage",
)
"""The operations of a lifetime besides those of a history, each as often as it is to be drawn."""

KINDS = 26 + len(LIFETIME)
"""How many kinds of commands there are to draw from."""


# ── lifecycles §19.5, numbered as there ──────────────────────────────────────────────────────────────────────


@exact
def check_charge(charge: Charge, runs: Sequence[RealizationRun]) -> None:
    """2, 3, 4, 8 and 9, and that a charge rests only where it may."""
    assert charge.status in RESTING, f"{charge.id} rests in {charge.status}"
    assert charge.status.meta == charge.status.value.partition(".")[0]
    live = sorted((run for run in runs if not run.is_voided), key=lambda run: run.service_period_to)
    covering = [run for run in live if run.type is not RunType.LATE_ADJUSTMENT]
    ends = [run.service_period_to for run in covering]
    assert ends == sorted(set(ends)), f"{charge.id}: two runs end at one instant: {ends}"
    for before, after in pairwise(covering):
        assert after.service_period_from >= before.service_period_to, f"{charge.id} bills an instant twice"
    for run in runs:
        rated = run.totals.amount + run.totals.charges_total - run.totals.discounts_total
        if run.deleted_at is not None:
            assert run.credits_total == ZERO, f"{run.id} is voided and holds credit"
        else:
            assert ZERO <= run.credits_total <= max(rated, ZERO), f"{run.id}: {run.credits_total} of {rated}"
        is_fee = not isinstance(charge.intent.effective, UsageLayer)  # of usage, runs together: `check_asked`
        if run.finalized and not run.is_voided and not charge.is_invoiced and is_fee:
            assert run.credits_total == rated, f"{run.id} is settled from credit and {rated} is not covered"
    if charge.status is Status.FINAL and isinstance(charge.intent.effective, UsageLayer) and covering:
        period = charge.intent.effective.service_period
        assert covering[-1].service_period_to >= period.to
        if not charge.is_invoiced:
            assert covering[0].service_period_from == period.from_
    index = [(e.run_id, e.type, e.service_period_to, e.voided, e.line_id, e.invoiced) for e in charge.runs]
    projected = [
        (r.id, r.type, r.service_period_to, r.deleted_at is not None, r.line_id, r.invoice_usage is not None)
        for r in runs
    ]
    assert index == projected, f"{charge.id}: the index and the runs disagree"


def check_sum_of_runs(charge: Charge, runs: Sequence[RealizationRun]) -> None:
    """The runs under the same terms come to what one rating of all their usage comes to (run rating, parts II, III)."""
    late = charge.late_usage
    if not isinstance(charge.intent.effective, UsageLayer):
        return
    if charge.rebilling is not None or (late is not None and late.outcome is LateOutcome.DISMISSED):
        return  # an adjustment is on its way, or somebody does not want it
    open_part = charge.current_run_id is not None or charge.gathering_line is not None
    if open_part and any(run.is_voided for run in runs):
        return  # what was voided comes with the part that is still to be collected
    for terms in charge.terms:
        ids = {entry.run_id for entry in charge.runs_under(terms)}
        live = sorted((run for run in runs if run.id in ids), key=lambda run: run.service_period_to)
        if not live:
            continue
        newest, price = live[-1], terms.layer.price
        once = rate(LineToRate(currency=charge.currency, price=price, quantity=newest.metered_quantity)).totals
        together = sum((run.totals.amount - run.totals.discounts_total for run in live), ZERO)
        assert together == once.amount - once.discounts_total, (
            f"{charge.id}: {len(live)} runs come to {together}, {newest.metered_quantity} units to {once.amount}"
        )


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────


@exact
def check_asked(charge: Charge, runs: Sequence[RealizationRun]) -> None:
    """What credit and invoices were asked for in the end is what the runs that count come to, voided ones included.

    A run below zero was settled against others (run rating R14). Not where issued lines cannot be taken back.
    """
    done = [run for run in runs if run.id != charge.current_run_id]
    if not isinstance(charge.intent.effective, UsageLayer) or any(run.type is RunType.INVALID for run in done):
        return
    asked = sum((run.credits_total + run.invoiced_left for run in done), ZERO)
    rated = sum((run.totals.total + run.credits_total for run in done if not run.is_voided), ZERO)
    assert asked == rated, f"{charge.id}: {asked} was asked for, its runs come to {rated}"


@exact
def covered_by_credit(book: Book, charge: UUID) -> Decimal:
    """What stands posted as used by a charge that credit paid for, or advance stands in for."""
    used = (row for row in book.rows if row.account in (Account.ACCRUED, Account.EARNINGS) and row.spend == charge)
    return sum((row.amount for row in used if row.source is not None or row.route.cost_basis is None), ZERO)


def check_payments(charge: Charge, runs: Sequence[RealizationRun], invoices: dict[UUID, Invoice]) -> None:
    """What a run knows of its money is what its invoice line says."""
    for run in runs:
        if run.invoice_usage is None or run.invoice_id is None or run.line_id is None:
            continue
        line = invoices[run.invoice_id].line(run.line_id)
        assert line is not None, f"{run.id} is on a line that is not there"
        assert line.totals.total == run.invoice_usage.totals.total
        payment = run.payment
        paid = payment.settled_amount if payment is not None else ZERO
        given_up = payment.written_off if payment is not None else ZERO
        if invoices[run.invoice_id].credit_notes:
            continue
        assert (paid, given_up) == (line.paid.net, line.written_off.net), f"{run.id}: {payment}, {line}"


def check_invoice(invoice: Invoice) -> None:
    """An invoice asks for what its lines ask for, and every part of that is somewhere."""
    assert invoice.payable == invoice.open + invoice.paid + invoice.credited + invoice.written_off
    for amount in (invoice.open, invoice.paid, invoice.credited, invoice.written_off, invoice.unapplied):
        assert amount >= 0, invoice
    assert invoice.authorized <= invoice.open
    if invoice.status in {InvoiceStatus.PAID, InvoiceStatus.VOIDED, InvoiceStatus.WRITTEN_OFF}:
        assert invoice.open == 0, f"{invoice.status} and {invoice.open} open"


def check_unapplied(invoice: Invoice, in_books: Decimal) -> None:
    """The ledger and the invoice have the same as unapplied."""
    assert in_books == invoice.unapplied, f"unapplied of {invoice.id}: {in_books}, {invoice.unapplied}"


@exact
def check_receivable(book: Book, charges: Sequence[Charge], invoices: Sequence[Invoice]) -> None:
    """What the customer owes by invoice for usage and fees is what the books have as owed at one to one."""
    bought = {charge.id for charge in charges if charge.charge_type is ChargeType.CREDIT_PURCHASE}
    open_ = ZERO
    for invoice in invoices:
        if invoice.issued is not None:
            open_ += sum((line.open.net for line in invoice.live_lines if line.charge_id not in bought), ZERO)
        open_ -= invoice.unapplied
    owed = -book.sum(Account.RECEIVABLE, cost_basis=Decimal(1))
    assert owed == open_, f"the books say {owed} is owed, the invoices {open_}"


@exact
def check_purchases(ledger: Ledger, customer: str) -> None:
    """What is asked for credit that is sold by invoice is what is owed for it, on whatever it is asked for."""
    for charge in ledger.charges.list(customer):
        layer = charge.intent.effective
        if not isinstance(layer, PurchaseLayer) or not isinstance(layer.settlement, InvoiceSettlement):
            continue
        if charge.grant is None:
            continue
        known = ledger.credits.purchase(charge.id)
        assert charge.resolved_cost_basis is not None, f"{charge.id} is granted without a price"
        rate, fiat = charge.resolved_cost_basis.rate, charge.invoice_currency
        credit = known.given + known.unpriced
        price, sold = fiat.rounded(layer.credit_amount * rate), layer.credit_amount
        if known.credit_authorized:
            price, sold = known.fiat_agreed, known.credit_authorized
        costs = divide(credit * price, sold, fiat.precision)
        owed = max(costs - known.fiat_kept - known.written_off, ZERO)
        assert asked_for(ledger, charge) == owed, f"{charge.id}: {asked_for(ledger, charge)} asked for, {owed} owed"


def asked_for(ledger: Ledger, charge: Charge) -> Decimal:
    """What waits to be invoiced of a purchase, or what its line asks for; nothing where there is neither."""
    if charge.gathering_line is not None:
        assert charge.gathering_line.amount is not None
        return charge.gathering_line.amount
    if charge.linked_line is None:
        return ZERO
    line = ledger.invoices.get(charge.linked_line.invoice_id).line(charge.linked_line.line_id)
    return line.open.net if line is not None and line.is_live else ZERO


@exact
def check_price(book: Book) -> None:
    """What the books have as owed for purchases at 0.5 is what their totals say (ledger §6.1, decision 37)."""
    owed = ZERO
    for known in book.pool.purchases.values():
        if known.route is None or known.route.cost_basis != HALF:
            continue
        if known.granted and not known.credit_authorized:
            owed += known.given - known.fiat_kept  # at face value, until its payment begins
            continue
        left = known.unpriced if known.granted else known.credit_authorized - known.adjusted
        owed += known.fiat_agreed - known.fiat_adjusted - known.fiat_kept - known.written_off - left
    booked = -book.sum(Account.RECEIVABLE, cost_basis=HALF)
    assert booked == owed, f"the books have {booked} as owed for credit at {HALF}, its totals {owed}"
