"""Invoices that a system outside makes: what it is handed from the log, and what it tells back (decision 30)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from aggregates.charges.events import (
    GatheringLine,
    GatheringLineDeleted,
    GatheringLineRequested,
    GatheringLineUpserted,
    InvoiceRefund,
)
from aggregates.charges.outside_events import (
    InvoiceLineDeletionRequested,
    InvoiceLineUpdated,
    UnappliedCreditRequested,
)
from aggregates.charges.state import Charge
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.effects import (
    LineCollected,
    LineCreated,
    LineCredited,
    LineIssued,
    LinePaymentAuthorized,
    LinePaymentFailed,
    LinePaymentSettled,
    LineRemoved,
    LineWrittenOff,
)
from aggregates.invoices.lines import LineContent
from aggregates.lifecycle import Status
from aggregates.policies import Invoicing, Policies
from aggregates.values.errors import PreconditionFailed, Unavailable, ValidationFailed
from aggregates.values.period import Period
from ledger.facade import Ledger
from ledger.ports import Effect, SettableClock
from ledger.prices import unit
from tests.application.scenes import at, used, with_customer

JANUARY = {"period_from": "2026-01-01T00:00:00Z", "period_to": "2026-02-01T00:00:00Z"}
OUTSIDE = msgspec.structs.replace(Policies.standard(), invoicing=Invoicing.OUTSIDE)
INVOICE = UUID(int=1)


class Billing:
    """A small invoicing system: keeps what waits and what lines show, and knows a repeat when it sees one."""

    def __init__(self) -> None:
        self.waiting: dict[UUID, GatheringLine] = {}
        self.lines: dict[UUID, LineContent] = {}
        self.gone: list[UUID] = []
        self.given_back: list[object] = []
        self.seen: list[tuple[UUID, int]] = []
        self.failing = 0

    def deliver(self, effect: Effect) -> None:
        if self.failing:
            self.failing -= 1
            raise ConnectionError("billing is being updated")
        if (effect.charge, effect.version) in self.seen:
            return
        self.seen.append((effect.charge, effect.version))
        match effect.body:
            case GatheringLineRequested(line=line) | GatheringLineUpserted(line=line):
                self.waiting[effect.charge] = line
            case GatheringLineDeleted():
                del self.waiting[effect.charge]
            case InvoiceLineUpdated(line_id=line_id, content=content):
                self.lines[line_id] = content
            case InvoiceLineDeletionRequested(line_id=line_id):
                self.gone.append(line_id)
            case UnappliedCreditRequested(amount=amount, as_credit=as_credit):
                self.given_back.append((amount, as_credit))


@pytest.fixture
def billing() -> Billing:
    return Billing()


@pytest.fixture
def ledger(store_url: str, billing: Billing) -> Iterator[Ledger]:
    clock = SettableClock("2026-01-01T00:00:00Z")
    with Ledger.open(store_url, clock=clock, policies=OUTSIDE, invoicing=billing) as opened:
        with_customer(opened)
        yield opened
        assert opened.audit.verify().findings == ()


def fee(ledger: Ledger, amount: str = "31") -> Charge:
    return ledger.charges.create_flat_fee(
        "acme", amount=amount, settlement_mode="credit_then_invoice", pro_rating=True, **JANUARY
    )


def names(charge: Charge, line: int = 1) -> dict[str, object]:
    """What every notice of a line carries."""
    return {"customer": "acme", "invoice_id": INVOICE, "line_id": UUID(int=100 + line), "charge_id": charge.id}


def made(ledger: Ledger, charge: Charge, period: Period | None = None, line: int = 1) -> Charge:
    waiting = ledger.charges.get(charge.id).gathering_line
    assert waiting is not None
    notice = LineCreated(**names(charge, line), period=period or waiting.period, currency=charge.currency)  # type: ignore[arg-type]
    return ledger.outside.tell(notice)


def issued_and_paid(ledger: Ledger, billing: Billing, charge: Charge) -> Charge:
    """The invoice outside is issued as the line shows it, and paid."""
    ledger.worker.run_once()
    content = billing.lines[UUID(int=101)]
    known = names(charge)
    ledger.outside.tell(
        LineIssued(**known, period=content.period, totals=content.totals, currency=charge.currency)  # type: ignore[arg-type]
    )
    total = content.totals.total
    ledger.outside.tell(LinePaymentAuthorized(**known, amount=total, net=total, in_full=True))  # type: ignore[arg-type]
    return ledger.outside.tell(LinePaymentSettled(**known, amount=total, net=total, in_full=True))  # type: ignore[arg-type]


def test_a_fee_is_requested_invoiced_outside_and_paid(ledger: Ledger, billing: Billing) -> None:
    """31.00 with 20.00 of credit: the line shows 11.00, which are booked and arrive."""
    ledger.credits.grant("acme", "20")
    charge = fee(ledger)
    ledger.worker.run_once()
    assert billing.waiting[charge.id].amount == Decimal(31)
    assert ledger.invoices.list("acme") == []

    made(ledger, charge)
    ledger.outside.tell(LineCollected(**names(charge)))  # type: ignore[arg-type]
    paid = issued_and_paid(ledger, billing, charge)

    assert billing.waiting == {}
    assert billing.lines[UUID(int=101)].totals.total == Decimal(11)
    assert paid.status is Status.FINAL
    assert [p.amount for p in ledger.views.entries("acme").items if p.account == "wash"] == [Decimal(-11), Decimal(-20)]


@pytest.mark.parametrize(
    ("policy", "figures", "told"),
    [
        (InvoiceRefund.IGNORE, [31, 0, 0], []),
        (InvoiceRefund.REFUND, [0, 0, 0], [(Decimal(31), False)]),
        (InvoiceRefund.GRANT_CREDITS, [31, 31, 0], [(Decimal(31), True)]),
    ],
)
def test_what_was_paid_for_a_deleted_fee_goes_where_the_deletion_says(
    ledger: Ledger, billing: Billing, policy: InvoiceRefund, figures: list[int], told: list[object]
) -> None:
    """31.00 paid; the system credits the line, and is told to pay back what it freed, or that it is credit now."""
    charge = fee(ledger)
    ledger.worker.run_once()
    made(ledger, charge)
    ledger.outside.tell(LineCollected(**names(charge)))  # type: ignore[arg-type]
    issued_and_paid(ledger, billing, charge)

    ledger.charges.delete(charge.id, invoice_refund=policy)
    ledger.worker.run_once()
    assert billing.gone == [UUID(int=101)]
    note = LineCredited(
        **names(charge),  # type: ignore[arg-type]
        amount=Decimal(31),
        net=Decimal(31),
        freed=Decimal(31),
        freed_net=Decimal(31),
        in_full=True,
        cause=CreditCause.INTENT_CHANGED,
        credit_note_id=UUID(int=7),
    )
    for _ in range(2):
        ledger.outside.tell(note)
    ledger.worker.run_once()

    balance = ledger.views.balance("acme")
    assert [-balance.wash, balance.settled, balance.earnings] == figures
    assert billing.given_back == told
    assert ledger.credits.pool("acme").unapplied == {}


def test_usage_is_collected_when_the_system_says_so(ledger: Ledger, billing: Billing) -> None:
    """5 units when the line is made, 7 when collection is complete."""
    charge = ledger.charges.create_usage(
        "acme", feature="calls", price=unit("1"), settlement_mode="credit_then_invoice", **JANUARY
    )
    used(ledger, "5", "2026-01-10T00:00:00Z")
    at(ledger, "2026-02-01T00:00:00Z")
    made(ledger, charge)
    used(ledger, "2", "2026-01-11T00:00:00Z")
    at(ledger, "2026-02-04T00:00:00Z")
    ledger.outside.tell(LineCollected(**names(charge)))  # type: ignore[arg-type]

    assert issued_and_paid(ledger, billing, charge).status is Status.FINAL
    assert billing.lines[UUID(int=101)].totals.total == Decimal(7)


def test_a_repeated_notice_changes_nothing(ledger: Ledger) -> None:
    charge = fee(ledger)
    made(ledger, charge)
    collected = LineCollected(**names(charge))  # type: ignore[arg-type]
    ledger.outside.tell(collected)
    before = ledger.store.head()

    ledger.outside.tell(collected)

    assert [row.name for row in ledger.store.read_log(before, 10)] == []


def test_a_line_that_was_removed_outside_waits_to_be_invoiced_again(ledger: Ledger, billing: Billing) -> None:
    charge = fee(ledger)
    made(ledger, charge)

    ledger.outside.tell(LineRemoved(**names(charge)))  # type: ignore[arg-type]
    ledger.worker.run_once()

    assert ledger.charges.get(charge.id).live_runs == ()
    assert charge.id in billing.waiting


def test_a_fee_that_is_cut_asks_for_its_line_to_show_less(ledger: Ledger, billing: Billing) -> None:
    """31.00 for January are 15.00 for half of it, on the draft that exists."""
    charge = fee(ledger)
    made(ledger, charge)

    ledger.charges.shrink(
        charge.id, service_period_to="2026-01-16T00:00:00Z", full_service_period_to="2026-02-01T00:00:00Z"
    )
    ledger.worker.run_once()

    assert billing.lines[UUID(int=101)].totals.total == Decimal(15)


def test_what_the_system_does_not_take_is_handed_over_again_and_nothing_before_it_is_lost(
    ledger: Ledger, billing: Billing
) -> None:
    first, second = fee(ledger), fee(ledger, "62")
    billing.failing = 1

    report = ledger.worker.run_once()
    assert report.undelivered is not None
    assert "billing is being updated" in report.undelivered
    billing.failing = 1
    with pytest.raises(Unavailable):
        ledger.outside.deliver()
    assert ledger.worker.run_once().delivered == 2

    assert {*billing.waiting} == {first.id, second.id}
    assert ledger.outside.deliver() == 0


def test_what_waits_is_listed_page_by_page_until_it_is_handed_over(ledger: Ledger) -> None:
    charges = [fee(ledger).id for _ in range(3)]

    first = ledger.outside.waiting(limit=2)
    rest = ledger.outside.waiting(limit=2, after=first.next)

    assert [effect.charge for effect in (*first.items, *rest.items)] == charges
    assert rest.next is None
    assert ledger.outside.deliver() == 3
    assert ledger.outside.waiting().items == ()
    with pytest.raises(ValidationFailed):
        ledger.outside.waiting(limit=0)


def test_somebody_else_may_take_what_waits_and_the_system_is_not_told_again(ledger: Ledger, billing: Billing) -> None:
    charge, other = fee(ledger), Billing()

    assert ledger.outside.deliver(to=other) == 1

    assert (set(other.waiting), billing.waiting) == ({charge.id}, {})
    assert ledger.outside.deliver() == 0


def test_a_dry_run_hands_nothing_over(ledger: Ledger) -> None:
    fee(ledger)
    other = Billing()

    with ledger.dry_run() as trial:
        assert trial.outside.deliver(to=other) == 0

    assert other.seen == []
    assert len(ledger.outside.waiting().items) == 1


def test_a_notice_with_text_that_cannot_be_kept_is_refused_before_anything_is_written(ledger: Ledger) -> None:
    charge = fee(ledger)
    made(ledger, charge)
    before = ledger.store.head()

    with pytest.raises(ValidationFailed) as refused:
        ledger.outside.tell(
            LinePaymentFailed(**names(charge), released=Decimal(0), released_net=Decimal(0), reason="a\x00b")  # type: ignore[arg-type]
        )

    assert [finding.path for finding in refused.value.findings] == ["notice.reason"]
    assert ledger.store.head() == before


def test_a_delivery_that_was_not_recorded_is_repeated(ledger: Ledger, billing: Billing, store_url: str) -> None:
    """Killed between handing over and recording: the system is handed the same effect, and knows it."""
    charge = fee(ledger)
    [row] = [r for r in ledger.store.read_log(0, 1000) if r.name == GatheringLineRequested.NAME]
    billing.seen.append((charge.id, 2))

    assert ledger.outside.deliver() == 1

    assert row.position > 0
    assert billing.waiting == {}


def test_a_ledger_that_makes_its_own_invoices_is_told_nothing() -> None:
    with Ledger.open("memory:", clock=SettableClock("2026-01-01T00:00:00Z"), invoicing=Billing()) as ledger:
        with_customer(ledger)
        charge = fee(ledger)

        with pytest.raises(PreconditionFailed, match="inside"):
            made(ledger, charge)
        assert ledger.outside.deliver() == 0
        assert ledger.outside.waiting().items == ()


def test_no_invoice_is_made_inside_as_long_as_they_are_made_outside(ledger: Ledger) -> None:
    fee(ledger)

    with pytest.raises(PreconditionFailed, match="outside"):
        ledger.invoices.invoice_pending_lines("acme")
    bought = ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice")
    assert bought.status is Status.CREATED


# ── credit that is sold by invoice ───────────────────────────────────────────────────────────────────────────


def sold(ledger: Ledger) -> Charge:
    """100 at 0.5, on a line of the system, 40 of them used."""
    bought = made(ledger, ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice"))
    ledger.charges.create_usage("acme", feature="calls", price=unit("1"), **JANUARY)
    used(ledger, "40", "2026-01-10T00:00:00Z")
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.worker.run_once()
    return bought


def test_a_line_of_credit_is_to_show_what_is_left_of_it(ledger: Ledger, billing: Billing) -> None:
    """Whether the line was issued is known outside only: what it is to show is all that can be said."""
    bought = sold(ledger)
    ledger.credits.void(bought.id, payment_adjustment="reduce")
    ledger.outside.deliver()

    shown = billing.lines[UUID(int=101)]
    assert (shown.totals.total, shown.quantity, billing.gone) == (20, 40, [])
    ledger.outside.tell(LinePaymentAuthorized(**names(bought), amount=Decimal(20), net=Decimal(20), in_full=True))  # type: ignore[arg-type]
    ledger.outside.tell(LinePaymentSettled(**names(bought), amount=Decimal(20), net=Decimal(20), in_full=True))  # type: ignore[arg-type]
    assert ledger.charges.get(bought.id).status is Status.FINAL
    assert -ledger.views.balance("acme").wash == 20


def test_what_is_taken_back_at_face_value_alone_asks_for_nothing_outside(ledger: Ledger, billing: Billing) -> None:
    bought = sold(ledger)
    ledger.credits.void(bought.id)
    ledger.outside.deliver()

    assert billing.lines[UUID(int=101)].totals.total == 50


@pytest.mark.parametrize("told", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("paid", ["0", "50"])
def test_credit_whose_line_was_credited_outside_is_taken_back_and_what_was_used_is_owed(
    ledger: Ledger, billing: Billing, paid: str, told: int
) -> None:
    """Nothing was paid: 20.00 wait to be invoiced. All was: the system keeps its own account of the 30.00 beyond."""
    bought = sold(ledger)
    freed = Decimal(paid)
    if freed:
        for kind in (LinePaymentAuthorized, LinePaymentSettled):
            ledger.outside.tell(kind(**names(bought), amount=freed, net=freed, in_full=True))  # type: ignore[arg-type]
    note = LineCredited(
        **names(bought),  # type: ignore[arg-type]
        amount=Decimal(50),
        net=Decimal(50),
        freed=freed,
        freed_net=freed,
        in_full=True,
        cause=CreditCause.INVOICE_VOIDED,
        credit_note_id=UUID(int=7),
    )
    for _ in range(told):
        ledger.outside.tell(note)

    waiting = ledger.charges.get(bought.id).gathering_line
    assert (waiting.amount if waiting is not None else 0) == (0 if freed else 20)
    assert ledger.views.balance("acme").settled == 0
    if freed:
        assert ledger.credits.refund(bought.id).fiat_kept == 20


@pytest.mark.parametrize("told", [1, 2], ids=["once", "twice"])
def test_a_line_of_credit_that_is_given_up_outside_is_lost_once(ledger: Ledger, told: int) -> None:
    bought = sold(ledger)
    for _ in range(told):
        ledger.outside.tell(LineWrittenOff(**names(bought), amount=Decimal(50), net=Decimal(50)))  # type: ignore[arg-type]

    assert ledger.views.balance("acme").bad_debt == -50
    assert ledger.charges.get(bought.id).status is Status.FINAL
