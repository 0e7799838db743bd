"""An invoice while it is a draft: created from lines that are due, collected, approved, edited, deleted."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID, uuid5

import msgspec
import pytest

from aggregates.invoices import decisions
from aggregates.invoices.effects import (
    CreditNoteRequested,
    InvoiceEffect,
    InvoiceLineDeletionRequested,
    InvoiceLineUpdated,
    InvoiceNotice,
    LineCollected,
    LineCreated,
    LineEditAsked,
    LineRemoved,
)
from aggregates.invoices.lines import CreditUsed, LineContent
from aggregates.invoices.refusals import (
    CannotUpdateChargeManagedLine,
    InvoiceNotFound,
    InvoiceOperationRefused,
    LineNotFound,
    LineZeroAmountDeleteInstead,
)
from aggregates.invoices.requests import LineEdit, NewInvoice, NewLine
from aggregates.rating.lines import DetailedLine
from aggregates.rating.prices import Discounts, PercentageDiscount
from aggregates.values.errors import ValidationFailed
from aggregates.values.money import Currency
from aggregates.values.period import period
from aggregates.values.totals import Totals
from tests.given import CUSTOMER
from tests.support.invoicing import FEE, JANUARY, NOON, PURCHASE, USAGE, USD, Desk, content, fee, usage

NOBODY = uuid5(FEE, "nobody")
RUN = uuid5(FEE, "run")


def create(desk: Desk, *lines: NewLine, currency: Currency = USD) -> tuple[str, ...]:
    """Creation, refused: the codes of what was found."""
    with pytest.raises(ValidationFailed) as refused:
        desk.create(*lines, currency=currency)
    assert desk.records == []
    return refused.value.codes


# ── creation ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_draft_tells_the_charge_of_every_line() -> None:
    desk = Desk()

    invoice = desk.create(fee(), usage())

    assert desk.status(invoice) == "draft.created"
    assert desk.told_with(LineCreated, "charge_id", "period", "invoice_id") == [
        (FEE, JANUARY, invoice),
        (USAGE, JANUARY, invoice),
    ]


def test_everything_wrong_with_a_new_invoice_is_said_at_once() -> None:
    tokens = Currency("TOKENS", 3, "0190-tokens")
    wrong = fee(name=" ")

    codes = create(Desk(), wrong, wrong, currency=tokens)

    assert codes == ("currency_not_fiat", "name_missing", "duplicate_charge", "name_missing")


def test_an_invoice_needs_a_line() -> None:
    assert create(Desk()) == ("no_lines",)


def test_every_duplicate_of_a_charge_is_named() -> None:
    """R-22: two lines of one charge on one invoice."""
    desk = Desk()
    with pytest.raises(ValidationFailed) as refused:
        desk.create(fee(), usage(), fee(), usage())

    assert [finding.path for finding in refused.value.findings] == ["lines[2].charge_id", "lines[3].charge_id"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (content("1.005"), "too_many_decimals"),
        (LineContent(name="x", period=JANUARY, totals=Totals(amount=Decimal(1))), "totals_do_not_reconcile"),
        (content("-1"), "negative_total"),
        (LineContent(name="x", period=JANUARY, quantity=Decimal(-1)), "negative_quantity"),
        (LineContent(name="x", period=JANUARY, pre_line_quantity=Decimal(-1)), "negative_quantity"),
        (
            msgspec.structs.replace(
                content("3", credits_total="2"), credits_applied=(CreditUsed(amount=Decimal("1.99")),)
            ),
            "credits_do_not_match_total",
        ),
    ],
)
def test_what_a_line_shows_has_to_add_up(wrong: LineContent, code: str) -> None:
    assert code in create(Desk(), msgspec.structs.replace(fee(), content=wrong))


def test_a_line_that_adds_up_is_taken() -> None:
    shown = msgspec.structs.replace(
        content("3", credits_total="2"),
        credits_applied=(CreditUsed(amount=Decimal("0.50")), CreditUsed(amount=Decimal("1.50"))),
        quantity=Decimal(0),
        pre_line_quantity=Decimal(15),
    )
    desk = Desk()

    invoice = desk.create(msgspec.structs.replace(fee(), content=shown))

    assert desk.invoice(invoice).totals == Totals(amount=Decimal(5), credits_total=Decimal(2), total=Decimal(3))


def test_detailed_lines_sum_to_their_line() -> None:
    """Credit aside; details in a custom currency are an annex of an overage and sum to another figure."""

    def with_details(currency: str) -> NewLine:
        details = tuple(
            DetailedLine(
                pricer_reference_id="unit-price-usage",
                child_unique_reference_id=f"unit-price-usage#{i}",
                quantity=Decimal(i),
                per_unit_amount=Decimal(1),
                totals=Totals(amount=Decimal(i), total=Decimal(i)),
                currency=currency,
            )
            for i in (1, 2)
        )
        return msgspec.structs.replace(usage(), content=msgspec.structs.replace(shown, detailed_lines=details))

    shown = content("3.00")
    Desk().create(with_details("USD"))
    shown = content("2.99")
    assert create(Desk(), with_details("USD")) == ("lines_do_not_sum",)
    Desk().create(with_details("0190-tokens"))


# ── effects of charges ───────────────────────────────────────────────────────────────────────────────────────


def apply(desk: Desk, *effects: InvoiceEffect, at: str = NOON, **facts: object) -> None:
    desk.notices = list(desk.do(lambda draft, known: decisions.apply(draft, effects, known), at, **facts))


def updated(desk: Desk, invoice: UUID, place: int = 0, total: str = "7", **shown: object) -> InvoiceLineUpdated:
    line = desk.line(invoice, place)
    shows = content(total, **shown)  # type: ignore[arg-type]
    return InvoiceLineUpdated(invoice_id=invoice, line_id=line.line_id, run_id=RUN, content=shows)


def deletion(desk: Desk, invoice: UUID, place: int = 0) -> InvoiceLineDeletionRequested:
    return InvoiceLineDeletionRequested(invoice_id=invoice, line_id=desk.line(invoice, place).line_id)


def test_a_charge_says_what_its_line_shows() -> None:
    desk = Desk()
    invoice = desk.create(fee("0"), usage("0"))

    apply(desk, updated(desk, invoice, 1, "12.50", name="API calls"))

    assert desk.line(invoice, 1).content.name == "API calls"
    assert desk.line(invoice, 1).run_id == RUN
    assert desk.invoice(invoice).totals.total == Decimal("12.50")


def test_the_same_content_again_records_nothing() -> None:
    desk = Desk()
    invoice = desk.create(fee("0"))
    apply(desk, updated(desk, invoice))
    before = len(desk.records)

    apply(desk, updated(desk, invoice))

    assert len(desk.records) == before


def test_a_line_keeps_its_run_when_an_update_names_none() -> None:
    desk = Desk()
    invoice = desk.create(fee("0"))
    apply(desk, updated(desk, invoice))

    apply(desk, msgspec.structs.replace(updated(desk, invoice, total="8"), run_id=None))

    assert desk.line(invoice).run_id == RUN


def test_an_update_is_checked_like_a_creation() -> None:
    """R-04."""
    desk = Desk()
    invoice = desk.create(fee("0"))

    with pytest.raises(ValidationFailed) as refused:
        apply(desk, updated(desk, invoice, total="-1", name=""))

    assert refused.value.codes == ("name_missing", "negative_total")


def test_an_effect_for_a_line_that_is_not_there_is_an_error() -> None:
    """R-02: a missing row is an error at once."""
    desk = Desk()
    invoice = desk.create(fee())

    with pytest.raises(LineNotFound):
        apply(desk, InvoiceLineDeletionRequested(invoice_id=invoice, line_id=NOBODY))
    with pytest.raises(InvoiceNotFound):
        apply(desk, InvoiceLineDeletionRequested(invoice_id=NOBODY, line_id=NOBODY))


def test_a_line_never_sets_the_description_of_its_invoice() -> None:
    """R-25."""
    desk = Desk()
    invoice = desk.create(fee())
    shows = msgspec.structs.replace(content("1"), description="January")

    apply(desk, msgspec.structs.replace(updated(desk, invoice), content=shows))

    assert desk.invoice(invoice).description is None


def test_a_deleted_line_stays_in_the_history_and_counts_for_nothing() -> None:
    desk = Desk()
    invoice = desk.create(fee("100"), usage("12.50"))

    apply(desk, deletion(desk, invoice))

    assert desk.told() == ["LineRemoved"]
    assert not desk.line(invoice).is_live
    assert len(desk.invoice(invoice).live_lines) == 1
    assert desk.invoice(invoice).totals.total == Decimal("12.50")
    with pytest.raises(LineNotFound):
        apply(desk, deletion(desk, invoice))


def test_a_draft_that_loses_its_last_line_is_deleted() -> None:
    desk = Desk()
    invoice = desk.create(fee(), usage())

    apply(desk, deletion(desk, invoice, 0), deletion(desk, invoice, 1))

    assert desk.status(invoice) == "deleted"
    assert desk.told_with(LineRemoved, "charge_id", "whole_invoice") == [(FEE, False), (USAGE, False)]


def test_a_batch_that_is_refused_in_one_part_is_refused() -> None:
    desk = Desk()
    invoice = desk.create(fee(), usage())
    before = list(desk.records)

    with pytest.raises(LineNotFound):
        apply(desk, deletion(desk, invoice), InvoiceLineDeletionRequested(invoice_id=invoice, line_id=NOBODY))

    assert desk.records == before


def test_a_draft_is_not_credited() -> None:
    desk = Desk()
    invoice = desk.create(fee())

    with pytest.raises(InvoiceOperationRefused):
        apply(desk, CreditNoteRequested(invoice_id=invoice, line_id=desk.line(invoice).line_id))


# ── collection and approval ──────────────────────────────────────────────────────────────────────────────────


def test_the_invoice_waits_for_its_latest_line() -> None:
    """Lifecycles §17.3: max over lines; those without a collection end do not wait."""
    desk = Desk()
    late = usage(collected_after="2026-02-03T00:01Z")
    later = usage(charge=PURCHASE, collected_after="2026-02-05T00:01Z")

    invoice = desk.create(fee(), later, late, at="2026-02-01")
    desk.advance(invoice, "2026-02-04")

    assert desk.status(invoice) == "draft.waiting_for_collection"
    assert desk.invoice(invoice).collection_at == later.content.collected_after
    assert desk.invoice(invoice).advance_after == later.content.collected_after


@pytest.mark.parametrize(
    ("at", "status"),
    [
        ("2026-02-03T00:00:59.999Z", "draft.waiting_for_collection"),
        ("2026-02-03T00:01Z", "draft.manual_approval_needed"),
    ],
)
def test_collection_begins_at_the_instant_itself(at: str, status: str) -> None:
    desk = Desk()
    invoice = desk.create(usage(collected_after="2026-02-03T00:01Z"), at="2026-02-01")

    desk.advance(invoice, at)

    assert desk.status(invoice) == status


def test_lines_with_nothing_to_collect_pass_at_once() -> None:
    desk = Desk()
    invoice = desk.create(fee())

    desk.advance(invoice)

    assert desk.visited(invoice) == [
        "draft.created",
        "draft.waiting_for_collection",
        "draft.collecting",
        "draft.manual_approval_needed",
    ]
    assert desk.told() == ["LineCollected"]
    assert desk.invoice(invoice).advance_after is None


def test_advancing_a_stable_invoice_records_nothing() -> None:
    desk = Desk()
    invoice = desk.create(fee())
    desk.advance(invoice)
    before = len(desk.records)

    assert desk.advance(invoice) is False
    assert len(desk.records) == before


def test_deleting_the_line_that_waits_lets_the_rest_go_on() -> None:
    desk = Desk()
    invoice = desk.create(fee(), usage(collected_after="2026-02-05T00:01Z"))
    desk.advance(invoice)

    apply(desk, deletion(desk, invoice, 1))
    desk.advance(invoice)

    assert desk.status(invoice) == "draft.manual_approval_needed"


def test_a_profile_that_approves_by_itself_issues_at_once() -> None:
    desk = Desk(auto_approve=True)
    invoice = desk.create(fee("5"))

    desk.advance(invoice)

    assert desk.status(invoice) == "payment_processing.pending"
    assert desk.invoice(invoice).approved_by == "automatic"


def test_approving_is_refused_before_collection_and_after_it() -> None:
    desk = Desk()
    invoice = desk.create(usage(collected_after="2026-02-05T00:01Z"))
    desk.advance(invoice)
    with pytest.raises(InvoiceOperationRefused) as refused:
        desk.approve(invoice)
    assert (refused.value.trigger, refused.value.status) == ("approve", "draft.waiting_for_collection")

    desk.advance(invoice, "2026-02-05T00:01Z")
    desk.approve(invoice, "2026-02-05T00:01Z")

    assert desk.invoice(invoice).approved_by == "person"
    with pytest.raises(InvoiceOperationRefused):
        desk.approve(invoice)


# ── lines by hand ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_line_added_to_an_open_invoice_is_collected_alone() -> None:
    """What was collected before is not asked a second time."""
    desk = Desk()
    invoice = desk.create(fee())
    desk.advance(invoice)

    line, notices = desk.do(lambda draft, facts: decisions.add_line(draft, invoice, usage(), facts))
    desk.advance(invoice, notices=notices)

    assert desk.told_with(LineCreated, "line_id") == [(line,)]
    assert desk.told_with(LineCollected, "line_id") == [(line,)]
    assert desk.visited(invoice)[4:] == [
        "draft.created",
        "draft.waiting_for_collection",
        "draft.collecting",
        "draft.manual_approval_needed",
    ]


def test_a_charge_has_one_line_on_an_invoice() -> None:
    desk = Desk()
    invoice = desk.create(fee())

    with pytest.raises(ValidationFailed) as refused:
        desk.do(lambda draft, facts: decisions.add_line(draft, invoice, fee(), facts))
    assert refused.value.codes == ("duplicate_charge",)


def test_a_charge_may_come_back_after_its_line_was_deleted() -> None:
    desk = Desk()
    invoice = desk.create(fee(), usage())
    apply(desk, deletion(desk, invoice))

    desk.do(lambda draft, facts: decisions.add_line(draft, invoice, fee("5"), facts))

    assert desk.invoice(invoice).totals.total == Decimal("17.50")


def test_an_issued_invoice_takes_no_lines() -> None:
    desk = Desk()
    invoice = desk.issued(fee())

    with pytest.raises(InvoiceOperationRefused):
        desk.do(lambda draft, facts: decisions.add_line(draft, invoice, usage(), facts))


def edit(desk: Desk, invoice: UUID, change: LineEdit, place: int = 0) -> tuple[InvoiceNotice, ...]:
    line_id = desk.line(invoice, place).line_id
    return desk.do(lambda draft, facts: decisions.edit_line(draft, invoice, line_id, change, facts))


def test_an_edit_is_asked_of_the_charge() -> None:
    desk = Desk()
    invoice = desk.create(fee())
    before = len(desk.records)

    [asked] = edit(desk, invoice, LineEdit(name="Base fee", amount=Decimal("80.00")))

    assert isinstance(asked, LineEditAsked)
    assert (asked.charge_id, asked.name, asked.amount) == (FEE, "Base fee", Decimal(80))
    assert len(desk.records) == before


def test_of_usage_what_people_read_and_discounts_can_be_edited_and_what_was_metered_cannot() -> None:
    desk = Desk()
    invoice = desk.create(usage())
    ten_percent = Discounts(percentage=PercentageDiscount(percentage=Decimal(10)))

    [asked] = edit(desk, invoice, LineEdit(name="Calls", discounts=ten_percent))
    with pytest.raises(ValidationFailed) as metered:
        edit(desk, invoice, LineEdit(amount=Decimal(0), period=period("2026-01-01", "2026-01-02")))

    assert isinstance(asked, LineEditAsked)
    assert (asked.charge_id, asked.name, asked.discounts) == (USAGE, "Calls", ten_percent)
    assert metered.value.codes == ("not_editable", "not_editable")


def test_a_fee_does_not_get_discounts_by_its_line() -> None:
    desk = Desk()
    invoice = desk.create(fee(editable=True))

    with pytest.raises(ValidationFailed) as refused:
        edit(desk, invoice, LineEdit(discounts=Discounts()))

    assert refused.value.codes == ("not_editable",)


def test_edits_are_refused_in_order() -> None:
    desk = Desk()
    invoice = desk.create(fee(editable=True), fee(charge=PURCHASE, editable=False))
    zero = LineEdit(amount=Decimal(0))

    with pytest.raises(CannotUpdateChargeManagedLine):
        edit(desk, invoice, LineEdit(), place=1)
    with pytest.raises(ValidationFailed) as empty:
        edit(desk, invoice, LineEdit())
    with pytest.raises(ValidationFailed) as wrong:
        edit(desk, invoice, LineEdit(name=" ", amount=Decimal("-0.001")))
    with pytest.raises(LineZeroAmountDeleteInstead):
        edit(desk, invoice, zero)
    assert empty.value.codes == ("nothing_to_edit",)
    assert wrong.value.codes == ("name_missing", "negative_amount", "too_many_decimals")

    issued = desk.issued(fee(editable=True))
    with pytest.raises(InvoiceOperationRefused):
        edit(desk, issued, zero)
    with pytest.raises(LineNotFound):
        desk.do(lambda draft, facts: decisions.edit_line(draft, invoice, NOBODY, zero, facts))


def test_only_editable_lines_are_deleted_by_hand() -> None:
    desk = Desk()
    invoice = desk.create(fee(editable=True), usage())
    editable, managed = (line.line_id for line in desk.invoice(invoice).lines)

    with pytest.raises(CannotUpdateChargeManagedLine):
        desk.do(lambda draft, facts: decisions.delete_line(draft, invoice, managed, facts))
    [removed] = desk.do(lambda draft, facts: decisions.delete_line(draft, invoice, editable, facts))

    assert isinstance(removed, LineRemoved)
    assert removed.line_id == editable
    assert desk.status(invoice) == "draft.created"


def test_deleting_the_last_line_by_hand_deletes_the_invoice() -> None:
    desk = Desk()
    invoice = desk.create(fee(editable=True))
    [line] = desk.invoice(invoice).lines

    desk.do(lambda draft, facts: decisions.delete_line(draft, invoice, line.line_id, facts))

    assert desk.status(invoice) == "deleted"


def test_deleting_a_whole_draft_says_so_to_every_charge() -> None:
    """Lifecycles §17.5: the gathering lines go too."""
    desk = Desk()
    invoice = desk.create(fee(), usage())

    notices = desk.do(lambda draft, facts: decisions.delete(draft, invoice, facts))

    assert [(n.charge_id, n.whole_invoice) for n in notices if isinstance(n, LineRemoved)] == [
        (FEE, True),
        (USAGE, True),
    ]
    assert desk.invoice(invoice).live_lines == ()
    assert desk.invoice(invoice).deleted_at is not None
    with pytest.raises(InvoiceOperationRefused):
        desk.do(lambda draft, facts: decisions.delete(draft, invoice, facts))


def test_the_description_can_be_set_until_issue() -> None:
    desk = Desk()
    invoice = desk.create(fee())
    desk.advance(invoice)

    desk.do(lambda draft, facts: decisions.describe(draft, invoice, "PO 4711", facts))
    before = len(desk.records)
    desk.do(lambda draft, facts: decisions.describe(draft, invoice, "PO 4711", facts))
    assert desk.invoice(invoice).description == "PO 4711"
    assert len(desk.records) == before, "the same text again records nothing"

    desk.approve(invoice)
    with pytest.raises(InvoiceOperationRefused):
        desk.do(lambda draft, facts: decisions.describe(draft, invoice, "too late", facts))


def test_a_given_line_id_is_kept() -> None:
    """K4: a run starts on a line whose id its maker chose."""
    line = msgspec.structs.replace(fee(), line_id=NOBODY)
    request = NewInvoice(customer=CUSTOMER, currency=USD, lines=(line,), description="January")
    desk = Desk()

    invoice, _ = desk.do(lambda draft, facts: decisions.create(draft, request, facts))

    assert desk.line(invoice).line_id == NOBODY
    assert desk.invoice(invoice).description == "January"
