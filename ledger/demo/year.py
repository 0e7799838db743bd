"""A year of one customer, played on an open ledger: fees, usage, credit, late usage, a change of plan, and the books.

All of it is made up, and made so that every figure can be worked out by hand (`tests/application/test_demo_year.py`):

* **Harbour Analytics** pays 100.00 a month in advance. On 16 June it moves to a plan of 200.00: half of June's fee is
  credited, and the new plan begins with half a month.
* Its usage of a month is 20 000 calls (10 000 at 0.002, the rest at 0.001: 30.00), 120 GB of storage at their peak
  (0.10 each: 12.00) and 450 000 tokens (1.00 for each started 100 000: 5.00). 500 of the calls are reported on the 10th
  of the next month, after the final run: a late adjustment of 0.50.
* Its credit is for usage alone: 25.00 for storage that expire on 1 February, 100.00 of welcome until 1 April, 20.00 for
  tokens until 1 July, 200.00 prepaid; 150.00 more, bought by invoice for 135.00 in July.
* Usage of March is invoiced twice: on the 16th, and at its end. In September an outage is made good for with 20.00; in
  October the invoice of the fee is voided, as it went to the wrong address, and made again. Invoices are paid ten days
  after they were issued; the payment of one in August fails first.

The clock is set by the story, so a year takes seconds, and nothing depends on when it is played.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from aggregates.invoices.state import Invoice
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.values.decimals import ZERO
from ledger import prices
from ledger.demo.parts import Part, Proof, proof
from ledger.facade import Ledger
from ledger.invoice_answers import InvoiceView, invoice_answer
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from ledger.statements import Statement
from ledger.trial_balance import TrialBalance

CUSTOMER, CURRENCY = "harbour", "USD"
MORNING = timedelta(hours=6)
"""When the story's worker runs, every day."""

YEAR = 2026
BEGINNING = datetime(YEAR, 1, 1, tzinfo=UTC)
CHANGE = datetime(YEAR, 6, 16, tzinfo=UTC)
END = datetime(YEAR + 1, 1, 21, tzinfo=UTC)
"""When the last invoice of the year is paid, and its late usage billed."""

TEAM, SCALE = Decimal(100), Decimal(200)
CALLS, LATE_CALLS, GIGABYTES, TOKENS = 20_000, 500, 120, 450_000
PAID_AFTER = timedelta(days=10)
USED_BY_CREDIT = ("calls", "storage", "tokens")


class Opening(Part, frozen=True, kw_only=True):
    """1 January: what is charged for a month, and the credit that is there for usage."""

    charged: tuple[tuple[str, str], ...]
    credits: tuple[tuple[str, Decimal, str, str], ...]


class Document(Part, frozen=True, kw_only=True):
    """An invoice of the year, in one line. `why` says what is on it."""

    number: str
    issued: str
    why: str
    amount: Decimal
    credit: Decimal
    total: Decimal
    credited: Decimal
    paid: Decimal
    status: str


class Month(Part, frozen=True, kw_only=True):
    """What happened in a month: its invoices, and the customer's credit at its end."""

    month: str
    invoices: tuple[Document, ...]
    credit: Decimal


class Months(Part, frozen=True, kw_only=True):
    """The year month by month."""

    months: tuple[Month, ...]


class Changed(Part, frozen=True, kw_only=True):
    """16 June: the invoice of June's fee, with its credit note."""

    invoice: InvoiceView


class Billed(Part, frozen=True, kw_only=True):
    """An invoice of usage, in full."""

    invoice: InvoiceView


class CreditStatement(Part, frozen=True, kw_only=True):
    """The customer's credit over a month."""

    statement: Statement


class Books(Part, frozen=True, kw_only=True):
    """The trial balance at the end of the year."""

    balance: TrialBalance


class Sums(Part, frozen=True, kw_only=True):
    """What the year came to: invoiced, credited by notes, paid with credit, received, and left for the next invoice."""

    invoiced: Decimal
    credited: Decimal
    by_credit: Decimal
    received: Decimal
    left: Decimal


Chapter: TypeAlias = Opening | Months | Changed | Billed | CreditStatement | Books | Sums | Proof

CREDITS = (
    ("Storage trial", Decimal(25), 1, datetime(YEAR, 2, 1, tzinfo=UTC), ("storage",)),
    ("Tokens", Decimal(20), 1, datetime(YEAR, 7, 1, tzinfo=UTC), ("tokens",)),
    ("Welcome", Decimal(100), 2, datetime(YEAR, 4, 1, tzinfo=UTC), USED_BY_CREDIT),
)
PREPAID, TOP_UP, TOP_UP_COSTS = Decimal(200), Decimal(150), Decimal("0.9")


def play(ledger: Ledger, clock: SettableClock) -> Iterator[Chapter]:
    """Play the story; a chapter is handed out as soon as it has happened. `clock` is the ledger's own."""
    clock.set(BEGINNING)
    _open(ledger)
    yield _opening()

    months: list[Month] = []
    day = BEGINNING
    while day < END:
        _day(ledger, clock, day)
        day += timedelta(days=1)
        if (day.day == 1 and day.year == YEAR) or day == datetime(YEAR + 1, 1, 1, tzinfo=UTC):
            months.append(_month(ledger, day - timedelta(days=1)))
    yield Months(months=tuple(months))
    yield Changed(invoice=_view(next(each for each in _invoices(ledger) if _is_changed(each))))
    yield Billed(invoice=_view(_usage_invoice_of(ledger, datetime(YEAR, 10, 1, tzinfo=UTC))))
    yield CreditStatement(statement=ledger.statements.statement(CUSTOMER, f"{YEAR}-02"))
    yield Books(balance=ledger.statements.trial_balance(f"{YEAR}-12"))
    yield _sums(ledger)
    yield proof(ledger)


# ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────


def _open(ledger: Ledger) -> None:
    """1 January: everything is set up."""
    for meter, aggregation in (("calls", "sum"), ("storage", "max"), ("tokens", "sum")):
        ledger.catalogue.define_meter(meter, aggregation)
        ledger.catalogue.define_feature(meter, meter=meter)
    ledger.customers.create(
        CUSTOMER, "Harbour Analytics", collection_interval="P2D", progressive_billing=True, payment_terms="P14D"
    )
    for name, amount, priority, expires_at, features in CREDITS:
        ledger.credits.grant(
            CUSTOMER, amount, CURRENCY, name=name, priority=priority, expires_at=expires_at, features=features
        )
    ledger.credits.sell(
        CUSTOMER,
        PREPAID,
        CURRENCY,
        cost_basis="1",
        initial_status="settled",
        name="Prepaid",
        priority=10,
        features=USED_BY_CREDIT,
    )


def _day(ledger: Ledger, clock: SettableClock, day: datetime) -> None:
    """A day: what is agreed at its beginning, what was used, what the worker does in the morning, what is paid."""
    clock.set(day)
    if day.day == 1 and day.year == YEAR:
        _begin_month(ledger, day)
    if day == CHANGE:
        _change_plan(ledger)
    if day == datetime(YEAR, 7, 1, tzinfo=UTC):
        ledger.credits.sell(
            CUSTOMER,
            TOP_UP,
            CURRENCY,
            cost_basis=TOP_UP_COSTS,
            settlement="invoice",
            name="Top-up",
            priority=10,
            features=USED_BY_CREDIT,
        )
    if day.year == YEAR:
        _use(ledger, clock, day)
    if day.day == 10:
        _report_late(ledger, clock, day)
    clock.set(day + MORNING)
    if day == datetime(YEAR, 3, 16, tzinfo=UTC):
        ledger.invoices.invoice_pending_lines(CUSTOMER)
    ledger.worker.run_once()
    _make_good(ledger, day)
    _pay(ledger, day)


def _begin_month(ledger: Ledger, day: datetime) -> None:
    """The fee and the three usage charges of a month."""
    until = _next_month(day)
    month: dict[str, Any] = {"period_from": day, "period_to": until, "settlement_mode": "credit_then_invoice"}
    name = f"{day:%B}"
    fee, plan = (TEAM, "Team") if day < CHANGE else (SCALE, "Scale")
    ledger.charges.create_flat_fee(
        CUSTOMER, amount=fee, pro_rating=True, name=f"{plan} plan, {name}", unique_reference_id=f"plan-{name}", **month
    )
    calls = prices.graduated(("10000", "0.002"), (None, "0.001"))
    for feature, price, words in (
        ("calls", calls, "Calls"),
        ("storage", prices.unit("0.10"), "Storage, GB at peak"),
        ("tokens", prices.package("1.00", size="100000"), "Tokens"),
    ):
        ledger.charges.create_usage(CUSTOMER, feature=feature, price=price, name=f"{words}, {name}", **month)


def _change_plan(ledger: Ledger) -> None:
    """The old plan ends today, and the new one begins with what is left of the month."""
    july = _next_month(CHANGE)
    (team,) = [
        charge.id for charge in ledger.charges.list(CUSTOMER) if charge.identity.unique_reference_id == "plan-June"
    ]
    ledger.charges.shrink(team, service_period_to=CHANGE, full_service_period_to=july)
    ledger.charges.create_flat_fee(
        CUSTOMER,
        amount=SCALE,
        period_from=CHANGE,
        period_to=july,
        full_service_period={"from_": datetime(YEAR, 6, 1, tzinfo=UTC), "to": july},
        pro_rating=True,
        name="Scale plan, June",
        settlement_mode="credit_then_invoice",
    )


def _use(ledger: Ledger, clock: SettableClock, day: datetime) -> None:
    """A day's share of the month's usage; the 500 calls that come late are missing on the last day."""
    days = (_next_month(day) - day.replace(day=1)).days
    noon = day + timedelta(hours=5)
    clock.set(noon)
    last = day.day == days
    calls = _share(CALLS - LATE_CALLS, days, day.day)
    events = [
        _event("calls", noon, calls),
        _event("tokens", noon, _share(TOKENS, days, day.day)),
        _event("storage", noon, GIGABYTES if last else 100),
    ]
    ledger.usage.record(events)


def _report_late(ledger: Ledger, clock: SettableClock, day: datetime) -> None:
    """Calls of the month before, which is final by now."""
    if day == datetime(YEAR, 1, 10, tzinfo=UTC):
        return
    clock.set(day + timedelta(hours=1))
    last_of_month = day.replace(day=1) - timedelta(hours=1)
    ledger.usage.record([_event("calls", last_of_month, LATE_CALLS)])


def _make_good(ledger: Ledger, day: datetime) -> None:
    """What people decide in the course of the year."""
    if day == datetime(YEAR, 9, 20, tzinfo=UTC):
        fee = _fee_invoice_of(ledger, datetime(YEAR, 9, 1, tzinfo=UTC))
        ledger.invoices.credit(fee.id, amount="20.00", reason="outage of 17 September")
    if day == datetime(YEAR, 10, 5, tzinfo=UTC):
        fee = _fee_invoice_of(ledger, datetime(YEAR, 10, 1, tzinfo=UTC))
        ledger.invoices.void(fee.id, reason="sent to the wrong address")


def _pay(ledger: Ledger, day: datetime) -> None:
    """Everything that was issued ten days ago is paid; the first payment of August fails before it arrives."""
    for invoice in _invoices(ledger):
        if invoice.issued is None or invoice.open == ZERO:
            continue
        if invoice.issued.issue_date != (day - PAID_AFTER).date():
            continue
        if day == datetime(YEAR, 8, 11, tzinfo=UTC):
            ledger.invoices.record_payment(invoice.id, "authorized", reference=f"{invoice.id}-1")
            ledger.invoices.record_payment(invoice.id, "failed")
        ledger.invoices.record_payment(invoice.id, "paid", reference=f"{invoice.id}-2")


# ── what it comes to ─────────────────────────────────────────────────────────────────────────────────────────


def _opening() -> Opening:
    return Opening(
        charged=(
            ("Team plan, until 15 June", "100.00 a month, in advance"),
            ("Scale plan, from 16 June", "200.00 a month, in advance"),
            ("Calls", "0.002 each, from 10 000 a month 0.001"),
            ("Storage", "0.10 for each GB at the peak of the month"),
            ("Tokens", "1.00 per started 100 000"),
        ),
        credits=(
            *((name, amount, f"{ends:%-d %B}", ", ".join(only)) for name, amount, _, ends, only in CREDITS),
            ("Prepaid", PREPAID, "never", ", ".join(USED_BY_CREDIT)),
        ),
    )


def _month(ledger: Ledger, last_day: datetime) -> Month:
    first = last_day.replace(day=1).date()
    issued = [
        invoice
        for invoice in _invoices(ledger)
        if invoice.issued is not None and first <= invoice.issued.issue_date <= last_day.date()
    ]
    balance = ledger.views.balance(CUSTOMER, CURRENCY, as_of=last_day + timedelta(hours=23, minutes=59)).settled
    return Month(month=f"{last_day:%Y-%m}", invoices=tuple(_document(each) for each in issued), credit=balance)


def _document(invoice: Invoice) -> Document:
    assert invoice.issued is not None, f"invoice {invoice.id} is not issued"
    totals = invoice.totals
    return Document(
        number=invoice.issued.number.text,
        issued=invoice.issued.issue_date.isoformat(),
        why=", ".join(dict.fromkeys(line.content.name.partition(",")[0] for line in invoice.live_lines)),
        amount=totals.amount,
        credit=totals.credits_total,
        total=invoice.payable,
        credited=invoice.credited,
        paid=invoice.paid,
        status=invoice.status.value,
    )


def _sums(ledger: Ledger) -> Sums:
    invoices = [invoice for invoice in _invoices(ledger) if invoice.issued is not None]
    return Sums(
        invoiced=sum((invoice.payable for invoice in invoices), ZERO),
        credited=sum((invoice.credited for invoice in invoices), ZERO),
        by_credit=sum(
            (each.totals.credits_total for each in invoices if each.status is not InvoiceStatus.VOIDED), ZERO
        ),
        received=sum(
            (
                payment.amount
                for invoice in invoices
                for payment in invoice.payments
                if payment.kind == "settled" and payment.source.value == "payment"
            ),
            ZERO,
        ),
        left=sum((invoice.unapplied for invoice in invoices), ZERO),
    )


def _invoices(ledger: Ledger) -> list[Invoice]:
    return ledger.invoices.list(CUSTOMER)


def _view(invoice: Invoice) -> InvoiceView:
    return invoice_answer(invoice)


def _is_changed(invoice: Invoice) -> bool:
    return any(line.content.name == "Team plan, June" for line in invoice.lines) and bool(invoice.credit_notes)


def _fee_invoice_of(ledger: Ledger, day: datetime) -> Invoice:
    """The invoice of the plan's fee that begins on that day, not voided."""
    return next(
        invoice
        for invoice in _invoices(ledger)
        if invoice.status is not InvoiceStatus.VOIDED
        and any(
            line.content.period.from_ == day and line.content.name.startswith("Scale plan")
            for line in invoice.live_lines
        )
    )


def _usage_invoice_of(ledger: Ledger, month: datetime) -> Invoice:
    """The invoice of a month's usage, made when it was over."""
    return next(
        invoice
        for invoice in _invoices(ledger)
        if any(
            line.content.period.from_ == month and line.content.name.startswith("Calls") for line in invoice.live_lines
        )
    )


def _event(meter: str, time: datetime, value: int) -> UsageEvent:
    return UsageEvent(
        source="demo",
        id=f"{meter}-{time:%Y%m%d%H}-{value}",
        customer=CUSTOMER,
        meter=meter,
        time=time,
        value=Decimal(value),
    )


def _share(total: int, days: int, day: int) -> int:
    """A day's share of a month's total; what does not divide falls on the last day."""
    return total // days if day < days else total - total // days * (days - 1)


def _next_month(day: datetime) -> datetime:
    first = day.replace(day=1)
    return first.replace(year=first.year + 1, month=1) if first.month == 12 else first.replace(month=first.month + 1)
