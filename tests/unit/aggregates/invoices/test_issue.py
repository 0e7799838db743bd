"""Issue: lines are finalised, the outside agrees, charges book, and the document gets its number and its dates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from aggregates.invoices import decisions
from aggregates.invoices.documents import Party, Severity
from aggregates.invoices.effects import (
    InvoiceEffect,
    InvoiceLineUpdated,
    InvoiceNotice,
    LineFinalizing,
    LineIssued,
    SyncRequested,
)
from aggregates.invoices.facts import InvoiceFacts, TaxNeeded
from aggregates.invoices.lines import LineTax
from aggregates.invoices.numbering import NumberDrawn
from aggregates.invoices.refusals import InvoiceOperationRefused
from aggregates.invoices.statuses import NothingDue
from aggregates.outcome import Draft
from aggregates.values.errors import PreconditionFailed, Unavailable, ValidationFailed
from aggregates.values.period import Duration, Period, period
from aggregates.values.totals import Totals
from tests.support.invoicing import BUYER, FEE, NOON, SELLER, USAGE, Desk, content, fee, usage


def test_issuing_is_a_path_of_its_own() -> None:
    desk = Desk()
    invoice = desk.create(fee())
    desk.advance(invoice)

    desk.approve(invoice)

    assert desk.visited(invoice)[4:] == [
        "issuing.finalizing_lines",
        "issuing.syncing",
        "issuing.booking",
        "issued",
        "payment_processing.pending",
    ]
    assert desk.told() == ["LineFinalizing", "SyncRequested", "LineIssued"]


def test_a_charge_books_exactly_what_its_line_shows() -> None:
    desk = Desk()

    desk.issued(fee("3", credits_total="2"))

    [(charge, totals)] = desk.told_with(LineIssued, "charge_id", "totals")
    assert charge == FEE
    assert totals == Totals(amount=Decimal(5), credits_total=Decimal(2), total=Decimal(3))


def test_credit_that_is_allocated_while_finalising_is_what_is_issued() -> None:
    """Lifecycles §12.4: fiat credits of 3.00 against an overage of 5.00."""
    desk = Desk()
    invoice = desk.create(fee("5"))

    def cover(notice: InvoiceNotice) -> Sequence[InvoiceEffect]:
        if not isinstance(notice, LineFinalizing):
            return ()
        shows = content("2", credits_total="3")
        return (InvoiceLineUpdated(invoice_id=notice.invoice_id, line_id=notice.line_id, content=shows),)

    desk.advance(invoice, tell=cover, auto_approve=True)

    [(totals,)] = desk.told_with(LineIssued, "totals")
    assert totals == Totals(amount=Decimal(5), credits_total=Decimal(3), total=Decimal(2))
    assert desk.invoice(invoice).open == Decimal(2)


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_numbers_are_gapless_whatever_happens_to_drafts() -> None:
    desk = Desk()
    first = desk.issued(fee())
    dropped = desk.create(fee())
    desk.do(lambda draft, facts: decisions.delete(draft, dropped, facts))
    desk.issued(fee("0"))
    second = desk.issued(usage())

    drawn = [record.body.number.text for record in desk.records if isinstance(record.body, NumberDrawn)]

    assert drawn == ["INV-000001", "INV-000002"]
    assert [_number(desk, invoice) for invoice in (first, second)] == drawn


def test_a_number_is_drawn_at_issue_and_not_before() -> None:
    desk = Desk()
    slow = desk.create(usage(collected_after="2026-02-10"))
    desk.advance(slow)
    quick = desk.issued(fee())

    desk.advance(slow, "2026-02-10", auto_approve=True)

    assert (_number(desk, quick), _number(desk, slow)) == ("INV-000001", "INV-000002")


def test_a_series_has_to_be_read_before_it_gives_a_number() -> None:
    desk = Desk()
    invoice = desk.create(fee())

    with pytest.raises(AssertionError, match="has to be in hand"):
        desk.advance(invoice, auto_approve=True, invoice_series="INV-acme")


def test_an_invoice_of_zeros_closes_without_a_number() -> None:
    """Decision 31. Its charges book all the same, so that they can finish."""
    desk = Desk()

    invoice = desk.issued(usage("0"))

    assert desk.status(invoice) == "closed_unnumbered"
    assert desk.invoice(invoice).issued is None
    assert desk.told_with(LineIssued, "charge_id") == [(USAGE,)]
    assert not any(isinstance(record.body, NumberDrawn) for record in desk.records)


@pytest.mark.parametrize(
    ("policy", "status"), [(NothingDue.PAID, "paid"), (NothingDue.PENDING, "payment_processing.pending")]
)
def test_an_invoice_that_credit_covers_is_a_document(policy: NothingDue, status: str) -> None:
    """5.00 of usage, 5.00 of credit: it says something, so it is numbered; whether anybody waits is a policy."""
    desk = Desk(nothing_due=policy)

    invoice = desk.issued(usage("0", credits_total="5"))

    assert _number(desk, invoice) == "INV-000001"
    assert desk.status(invoice) == status


def _number(desk: Desk, invoice: UUID) -> str:
    issued = desk.invoice(invoice).issued
    assert issued is not None
    return issued.number.text


# ── dates and parties ────────────────────────────────────────────────────────────────────────────────────────


def test_dates_are_days_in_the_customers_zone() -> None:
    """03:30 UTC on 1 March is still 28 February in New York; thirty days later it is 30 March."""
    desk = Desk(zone="America/New_York", payment_terms=Duration(days=30))

    invoice = desk.issued(fee(), at="2026-03-01T03:30Z")

    issued = desk.invoice(invoice).issued
    assert issued is not None
    assert (issued.issue_date, issued.due_date) == (date(2026, 2, 28), date(2026, 3, 30))


@pytest.mark.parametrize(
    ("served", "at", "tax_point"),
    [
        (period("2026-01-01", "2026-02-01"), "2026-02-03", date(2026, 1, 31)),  # in arrears: the last day of service
        (period("2026-02-01", "2026-03-01"), "2026-02-01", date(2026, 2, 1)),  # in advance: the day of issue
        (period("2026-02-01", "2026-02-01"), "2026-02-03", date(2026, 2, 1)),  # a purchase: its instant
    ],
)
def test_the_tax_point_is_the_end_of_service_or_the_issue_whichever_is_earlier(
    served: Period, at: str, tax_point: date
) -> None:
    desk = Desk()

    invoice = desk.issued(fee(of=served), at=at)

    issued = desk.invoice(invoice).issued
    assert issued is not None
    assert issued.tax_point == tax_point


def test_seller_and_buyer_are_as_they_were_at_issue() -> None:
    desk = Desk()
    first = desk.issued(fee())
    second = desk.issued(fee(), buyer=Party(name="Buyer Holding"))

    parties = [desk.invoice(invoice).issued for invoice in (first, second)]

    assert [(p.seller, p.buyer) for p in parties if p] == [(SELLER, BUYER), (SELLER, Party(name="Buyer Holding"))]


def test_an_invoice_is_overdue_from_the_day_after_its_due_date() -> None:
    desk = Desk()
    invoice = desk.issued(fee())

    assert not desk.invoice(invoice).is_overdue(date(2026, 3, 5))
    assert desk.invoice(invoice).is_overdue(date(2026, 3, 6))
    desk.settle(invoice)
    assert not desk.invoice(invoice).is_overdue(date(2026, 3, 6))


# ── tax ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Port:
    """A tax port that remembers what it was asked."""

    def __init__(self, *answers: str) -> None:
        self.questions: list[TaxNeeded] = []
        self.answers = answers

    def __call__(self, needed: Sequence[TaxNeeded]) -> dict[UUID, LineTax]:
        self.questions += needed
        return {n.line_id: LineTax(amount=Decimal(a)) for n, a in zip(needed, self.answers, strict=False)}


def test_without_a_tax_port_the_invoice_says_that_no_tax_was_calculated() -> None:
    desk = Desk()
    invoice = desk.invoice(desk.issued(fee()))

    assert not invoice.taxed
    assert [line.tax for line in invoice.lines] == [None]
    assert invoice.tax_total == 0


def test_a_tax_of_zero_is_not_the_same_as_none() -> None:
    desk = Desk()
    invoice = desk.create(fee())

    desk.advance(invoice, tax=Port("0"), auto_approve=True)

    assert desk.invoice(invoice).taxed
    assert desk.line(invoice).tax == LineTax(amount=Decimal(0))


def test_tax_is_asked_once_lines_are_final_and_is_owed_on_top() -> None:
    desk = Desk()
    invoice = desk.create(fee("100"), usage("10", taxable=False))
    port = Port("19.00")

    desk.advance(invoice, tax=port, auto_approve=True)

    assert [(q.charge_id, q.totals.total) for q in port.questions] == [(FEE, Decimal(100))]
    assert desk.told_with(LineIssued, "charge_id", "tax_amount") == [(FEE, Decimal(19)), (USAGE, Decimal(0))]
    state = desk.invoice(invoice)
    assert [state.totals.total, state.tax_total, state.payable, state.open] == [110, 19, 129, 129]


def test_no_tax_is_asked_for_what_credit_covers() -> None:
    desk = Desk()
    invoice = desk.create(fee("0", credits_total="5"))
    port = Port()

    desk.advance(invoice, tax=port, auto_approve=True)

    assert port.questions == []
    assert desk.status(invoice) == "paid"


@pytest.mark.parametrize(
    ("answers", "code"),
    [((), "tax_missing"), (("-1",), "negative_tax"), (("1.005",), "too_many_decimals")],
)
def test_tax_that_was_answered_wrongly_stops_the_issue(answers: tuple[str, ...], code: str) -> None:
    desk = Desk()
    invoice = desk.create(fee())

    desk.advance(invoice, tax=Port(*answers), auto_approve=True)

    assert desk.status(invoice) == "issuing.sync_failed"
    assert [issue.code for issue in desk.invoice(invoice).issues] == ["validation"]
    with pytest.raises(ValidationFailed) as refused:
        _retry_with_tax(desk, invoice, answers)
    assert refused.value.codes == (code,)


def _retry_with_tax(desk: Desk, invoice: UUID, answers: tuple[str, ...]) -> None:
    """The same, without the rounds around it: the refusal itself."""
    lines = desk.invoice(invoice).lines
    taxes = {line.line_id: LineTax(amount=Decimal(a)) for line, a in zip(lines, answers, strict=False)}

    def again(draft: Draft, facts: InvoiceFacts) -> None:
        decisions.retry(draft, invoice, facts)
        decisions.advance(draft, invoice, facts)

    desk.do(again, taxes=taxes)


def test_a_tax_nobody_asked_for_is_refused() -> None:
    desk = Desk()
    invoice = desk.create(usage("10", taxable=False))
    desk.advance(invoice)
    taxes = {desk.line(invoice).line_id: LineTax(amount=Decimal(1))}

    desk.approve(invoice, taxes=taxes)

    assert desk.status(invoice) == "issuing.sync_failed"
    assert "carries no tax" in desk.invoice(invoice).issues[0].message


# ── steps that fail ──────────────────────────────────────────────────────────────────────────────────────────


class Refusing:
    """A charge, or the outside, that refuses one kind of notice the first time it comes."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.left = 1
        self.seen: list[str] = []

    def __call__(self, notice: InvoiceNotice) -> Sequence[InvoiceEffect]:
        self.seen.append(type(notice).__name__)
        if isinstance(notice, self.kind) and self.left:
            self.left -= 1
            raise PreconditionFailed("the charge is elsewhere")
        return ()


@pytest.mark.parametrize(
    ("kind", "failed", "repeated"),
    [
        (LineFinalizing, "issuing.finalizing_failed", ["LineFinalizing", "SyncRequested", "LineIssued"]),
        (SyncRequested, "issuing.sync_failed", ["SyncRequested", "LineIssued"]),
        (LineIssued, "issuing.booking_failed", ["LineIssued"]),
    ],
)
def test_a_failed_step_is_repeated_and_none_before_it(kind: type, failed: str, repeated: list[str]) -> None:
    """Lifecycles §17.3: the same event is sent again; what was finalised before is not finalised twice."""
    desk = Desk()
    invoice = desk.create(fee())
    desk.advance(invoice)
    charge = Refusing(kind)

    desk.approve(invoice, tell=charge)

    assert desk.status(invoice) == failed
    [issue] = desk.invoice(invoice).issues
    assert (issue.severity, issue.code) == (Severity.CRITICAL, "precondition_failed")
    assert desk.invoice(invoice).issued is None

    charge.seen.clear()
    notices = desk.do(lambda draft, facts: decisions.retry(draft, invoice, facts))
    desk.advance(invoice, tell=charge, notices=notices)

    assert charge.seen == repeated
    assert desk.status(invoice) == "payment_processing.pending"
    assert desk.invoice(invoice).issues == ()
    assert _number(desk, invoice) == "INV-000001"


def test_a_meter_that_does_not_answer_is_no_refusal_and_leaves_the_invoice_where_it_is() -> None:
    """Decision 25: nothing is saved, so nobody has to repeat a step by hand once it answers again."""
    desk = Desk()
    invoice = desk.create(fee())

    with pytest.raises(Unavailable):
        desk.advance(invoice, tell=_refuse)

    assert desk.status(invoice) == "draft.created"
    desk.advance(invoice)
    assert desk.status(invoice) == "draft.manual_approval_needed"


def test_a_charge_that_cannot_be_collected_is_an_issue_and_no_crash() -> None:
    """The other lines are told all the same."""
    desk = Desk()
    invoice = desk.create(fee(), usage())
    told: list[object] = []

    def one_refuses(notice: InvoiceNotice) -> Sequence[InvoiceEffect]:
        told.append(getattr(notice, "charge_id", None))
        if getattr(notice, "charge_id", None) == FEE:
            raise PreconditionFailed("the charge is elsewhere")
        return ()

    desk.advance(invoice, tell=one_refuses)

    assert desk.status(invoice) == "draft.invalid"
    assert told == [FEE, USAGE]
    [issue] = desk.invoice(invoice).issues
    assert issue.line_id == desk.line(invoice).line_id

    notices = desk.do(lambda draft, facts: decisions.retry(draft, invoice, facts))
    desk.advance(invoice, notices=notices)
    assert desk.status(invoice) == "draft.manual_approval_needed"


def test_what_a_refused_line_had_begun_is_forgotten() -> None:
    desk = Desk()
    invoice = desk.create(fee("0"))

    def begins_and_refuses(notice: InvoiceNotice) -> Sequence[InvoiceEffect]:
        if isinstance(notice, LineFinalizing):
            wrong = content("-1")
            line_id = notice.line_id
            good = InvoiceLineUpdated(invoice_id=invoice, line_id=line_id, content=content("5"))
            return (good, InvoiceLineUpdated(invoice_id=invoice, line_id=line_id, content=wrong))
        return ()

    desk.advance(invoice, tell=begins_and_refuses, auto_approve=True)

    assert desk.status(invoice) == "issuing.finalizing_failed"
    assert desk.invoice(invoice).totals.total == 0


def test_a_charge_that_refuses_its_new_line_refuses_the_invoice() -> None:
    """Lifecycles §8.2: the second invoice is not created for a charge that has a current run."""
    desk = Desk()
    invoice = desk.create(fee(), at=NOON)

    with pytest.raises(Unavailable):
        desk.advance(invoice, notices=desk.notices, tell=_refuse)


def _refuse(_notice: InvoiceNotice) -> Sequence[InvoiceEffect]:
    raise Unavailable("the charge", "it has a current run")


def test_failing_is_refused_where_no_step_is_under_way() -> None:
    desk = Desk()
    invoice = desk.issued(fee())

    with pytest.raises(InvoiceOperationRefused, match="does not permit 'failed'"):
        desk.do(lambda draft, facts: decisions.fail(draft, invoice, [], facts))
