"""A run below zero that was settled against a run which is voided since, over every store (run rating R13, R14).

They count together or not at all: what was given for the one is not kept without it, and what is left of both is billed
anew. In the end the customer was asked for what the runs that count come to, and those for what the newest usage costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from aggregates.charges.state import Charge
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.refusals import InvoiceOperationRefused
from aggregates.invoices.state import Invoice
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.lifecycle import Status
from aggregates.runs.events import VoidReason
from aggregates.values.decimals import text
from ledger.prices import unit, volume
from tests.application.late import BY_INVOICE, Late

ONE = unit("1")
VOLUME = volume(("15", "10"), (None, "5"))
"""15 units cost 150, 16 cost 80."""


@pytest.fixture
def late(store_url: str) -> Iterator[Late]:
    with Late(store_url) as scene:
        yield scene
        scene.sound()


def void(late: Late, number: int) -> None:
    """Void an invoice, and let the worker do what comes of it."""
    late.ledger.invoices.void(late.ledger.invoices.list("acme")[number].id, reason="wrong address", command_id="void")
    late.worked("2026-04-01T00:00:00Z", "2026-04-01T00:05:00Z")


def standing(late: Late) -> list[Invoice]:
    """The invoices that were neither voided nor deleted."""
    gone = {InvoiceStatus.VOIDED, InvoiceStatus.DELETED}
    return [invoice for invoice in late.ledger.invoices.list("acme") if invoice.status not in gone]


def asked(late: Late, charge: Charge) -> Decimal:
    """What credit and invoices were asked for in the end, voided runs included."""
    runs = late.ledger.charges.runs(charge.id)
    return sum((run.credits_total + run.invoiced_left for run in runs), Decimal(0))


def books(late: Late) -> list[str]:
    """Credit that is left, what is owed (above zero: unapplied), value that was used, and money that came in."""
    found = late.ledger.views.balance("acme")
    return [f"{n:.2f}" for n in (found.fbo, found.receivable_open, found.accrued + found.earnings, -found.wash)]


# ── one run, and one below zero ──────────────────────────────────────────────────────────────────────────────


def test_what_was_paid_and_given_back_as_credit_is_not_asked_for_again(late: Late) -> None:
    """10 paid, 5 of them credit now, the other 5 freed by voiding: 5 are billed again, and those 5 pay them."""
    charge = late.january(price=ONE)
    late.use(10)
    late.closed()
    late.paid()
    late.later(-5)
    assert books(late) == ["5.00", "0.00", "5.00", "10.00"]

    void(late, 0)

    [again] = standing(late)
    assert [again.totals.total, again.open, again.status] == [5, 0, InvoiceStatus.PAID]
    assert late.figures(charge) == [("final_realization", "5.00", "0")]
    assert [late.rated(charge), asked(late, charge)] == [5, 5]
    assert books(late) == ["5.00", "0.00", "5.00", "10.00"]
    assert late.ledger.charges.get(charge.id).status is Status.FINAL


def test_both_are_voided_in_the_save_that_voids_the_invoice_and_once(late: Late) -> None:
    charge = late.january(price=ONE)
    late.use(10)
    late.closed()
    late.later(-5)
    [invoice] = late.ledger.invoices.list("acme")

    late.ledger.invoices.void(invoice.id, command_id="void")
    head = late.ledger.store.head()
    late.ledger.invoices.void(invoice.id, command_id="void")

    assert late.ledger.store.head() == head
    assert [run.void_reason for run in late.ledger.charges.runs(charge.id)] == [VoidReason.CREDITED] * 2
    told = [line.sentence for line in late.ledger.audit.history(charge=charge.id)]
    assert sum("no longer counts" in sentence for sentence in told) == 2


def test_what_was_not_paid_yet_is_owed_once(late: Late) -> None:
    charge = late.january(price=ONE)
    late.use(10)
    late.closed()
    late.later(-5)

    void(late, 0)

    [again] = standing(late)
    assert [again.totals.total, again.open] == [5, 5]
    assert [late.rated(charge), asked(late, charge)] == [5, 5]
    late.paid()
    assert books(late) == ["0.00", "0.00", "5.00", "5.00"]


def test_what_was_paid_in_part_loses_first_what_is_open(late: Late) -> None:
    """6 of 10 paid: of the 5 given back 4 were open and 1 becomes credit; the 5 left of the 6 pay what comes again."""
    charge = late.january(price=ONE)
    late.use(10)
    late.closed()
    late.ledger.invoices.record_payment(late.ledger.invoices.list("acme")[0].id, "paid", amount="6")
    late.later(-5)
    assert late.runs(charge)[1].correction_credit == 1

    void(late, 0)

    [again] = standing(late)
    assert [again.totals.total, again.open] == [5, 0]
    assert [late.rated(charge), asked(late, charge)] == [5, 5]
    assert books(late) == ["1.00", "0.00", "5.00", "6.00"]


def test_what_credit_paid_in_part_is_taken_from_credit_again(late: Late) -> None:
    """4 from credit and 6 paid; 4 are released and 1 becomes credit. Again: 4 from credit, and 1 of the 5 freed."""
    charge = late.january(price=ONE)
    late.ledger.credits.grant("acme", "4")
    late.use(10)
    late.closed()
    late.paid()
    late.later(-5)
    assert books(late) == ["5.00", "0.00", "5.00", "10.00"]

    void(late, 0)

    [again] = standing(late)
    assert [again.totals.credits_total, again.totals.total, again.open] == [4, 1, 0]
    assert [late.rated(charge), asked(late, charge)] == [5, 5]
    assert books(late) == ["1.00", "4.00", "5.00", "10.00"]


def test_what_was_released_alone_is_released_once(late: Late) -> None:
    """4 from credit and 6 paid; of the 4 come 3 back. Again 7 in all: 4 from credit, 3 of the 6 freed."""
    charge = late.january(price=ONE)
    late.ledger.credits.grant("acme", "4")
    late.use(10)
    late.closed()
    late.paid()
    late.later(-3)

    void(late, 0)

    assert late.figures(charge) == [("final_realization", "7.00", "4.00")]
    assert asked(late, charge) == 7
    assert books(late) == ["0.00", "3.00", "7.00", "10.00"]


def test_where_nothing_is_left_of_the_line_there_is_nothing_to_void(late: Late) -> None:
    charge = late.january(price=ONE)
    late.use(10)
    late.closed()
    late.paid()
    late.later(-10)

    with pytest.raises(InvoiceOperationRefused):
        void(late, 0)

    assert [total for _, total, _ in late.figures(charge)] == ["10.00", "-10.00"]
    assert [standing(late), asked(late, charge)] == [[], 0]
    assert books(late) == ["10.00", "0.00", "0.00", "10.00"]


def test_what_comes_late_after_an_invoice_was_voided_is_set_off_against_what_was_billed_again(late: Late) -> None:
    charge = late.january(price=ONE)
    late.use(10)
    late.closed()
    late.paid()
    void(late, 0)
    assert late.rated(charge) == 10

    late.later(-5, "2026-05-01")

    assert [total for _, total, _ in late.figures(charge)] == ["10.00", "-5.00"]
    assert asked(late, charge) == 5
    assert books(late) == ["5.00", "0.00", "5.00", "10.00"]


def test_in_tokens_what_was_given_in_fiat_is_not_asked_for_again(late: Late) -> None:
    """15 tokens at 0.5: 4 from credit, 5.50 paid; 7 fewer: 4 tokens and 1.50. Again 8: 4 tokens, 2.00 of 4.00 freed."""
    late.ledger.catalogue.define_currency("TOK", precision=0)
    late.ledger.credits.grant("acme", "4", currency="TOK")
    basis = {"mode": "manual", "fiat_currency": "USD", "rate": "0.5"}
    charge = late.january(price=ONE, currency="TOK", cost_basis=basis)
    late.use(15)
    late.closed()
    late.paid()
    late.later(-7)

    void(late, 0)

    [again] = standing(late)
    assert [text(again.totals.total), again.open] == ["2.00", 0]
    assert late.figures(charge) == [("final_realization", "8", "4")]
    assert books(late) == ["1.50", "2.00", "2.00", "5.50"]


# ── several of them ──────────────────────────────────────────────────────────────────────────────────────────


def test_all_that_were_settled_together_are_billed_anew(late: Late) -> None:
    """80 of which 60 are paid, 30 paid; 40 fewer: 20 open of the 80, 20 paid of the 30. Voiding the 30 takes all."""
    charge = late.january()
    late.use(8)
    late.closed()
    late.ledger.invoices.record_payment(late.ledger.invoices.list("acme")[0].id, "paid", amount="60")
    late.later(3)
    late.ledger.invoices.record_payment(late.ledger.invoices.list("acme")[1].id, "paid")
    late.later(-4, "2026-03-02")
    first, second = late.ledger.invoices.list("acme")
    assert [first.credited, second.credited, asked(late, charge)] == [20, 20, 70]

    void(late, 1)

    assert [each.status for each in late.ledger.invoices.list("acme")[:2]] == [InvoiceStatus.VOIDED] * 2
    assert late.ledger.invoices.list("acme")[0].credit_notes[-1].cause is CreditCause.INTENT_CHANGED
    [again] = standing(late)
    assert [again.totals.total, again.open] == [70, 0]
    assert [late.rated(charge), asked(late, charge)] == [70, 70]
    assert books(late) == ["20.00", "0.00", "70.00", "90.00"]


def test_what_was_not_settled_together_stays(late: Late) -> None:
    """10 and 5 more, of which 3 are given back; the first invoice is voided: 10 come again, the other two stand."""
    charge = late.january(price=ONE)
    late.use(10)
    late.closed()
    late.paid()
    late.later(5)
    late.paid()
    late.later(-3, "2026-03-02")

    void(late, 0)

    assert sorted(total for _, total, _ in late.figures(charge)) == ["-3.00", "10.00", "5.00"]
    assert [late.rated(charge), asked(late, charge)] == [12, 12]
    assert books(late) == ["3.00", "0.00", "12.00", "15.00"]


def test_an_adjustment_that_was_given_back_in_part_is_billed_again_without_that(late: Late) -> None:
    charge = late.january(price=ONE)
    late.use(10)
    late.closed()
    late.paid()
    late.later(5)
    late.paid()
    late.later(-3, "2026-03-02")

    void(late, 1)

    assert late.figures(charge) == [("final_realization", "10.00", "0"), ("late_adjustment", "2.00", "0")]
    assert [late.rated(charge), asked(late, charge)] == [12, 12]
    assert books(late) == ["3.00", "0.00", "12.00", "15.00"]


@pytest.mark.parametrize("said", ["none", "ask"])
def test_late_usage_that_was_billed_by_order_is_billed_again_whatever_the_policy(store_url: str, said: str) -> None:
    with Late(store_url, late_usage=said) as late:
        charge = late.january(price=ONE)
        late.use(10)
        late.closed()
        late.later(-5)
        late.ledger.charges.bill_late_usage(charge.id)
        assert late.rated(charge) == 5

        void(late, 0)

        assert [late.rated(charge), asked(late, charge)] == [5, 5]
        late.sound()


# ── patches ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_below_zero_that_goes_with_a_shrink_takes_back_what_it_gave(store_url: str) -> None:
    """150 by the 16th, then 80 in all; cut to the 16th, 15 units are 150 again: 80 are freed, 70 are owed."""
    with Late(store_url, progressive_billing=True) as late:
        charge = late.january(price=VOLUME)
        late.at("2026-01-10T00:00:00Z")
        late.use(15, "2026-01-05T00:00:00Z")
        late.at("2026-01-16T00:00:00Z").invoices.invoice_pending_lines("acme")
        late.worked("2026-01-16T00:01:00Z")
        late.paid()
        late.use(1, "2026-01-20T00:00:00Z")
        late.closed()
        assert books(late) == ["70.00", "0.00", "80.00", "150.00"]

        late.ledger.charges.shrink(charge.id, service_period_to="2026-01-16T00:00:00Z")
        late.worked("2026-03-02T00:00:00Z", "2026-03-02T00:05:00Z")

        [again] = standing(late)
        assert [again.totals.total, again.open] == [150, 70]
        assert [late.rated(charge), asked(late, charge)] == [150, 150]
        assert books(late) == ["70.00", "-70.00", "150.00", "150.00"]
        late.sound()


def test_deleting_a_charge_gives_back_what_was_not_given_back_before(late: Late) -> None:
    """4 from credit, 6 paid, all of it given back: nothing of the line is left to credit, and the run goes as well."""
    charge = late.january(BY_INVOICE, price=ONE)
    late.ledger.credits.grant("acme", "4")
    late.use(10)
    late.closed()
    late.paid()
    late.later(-10)

    late.ledger.charges.delete(charge.id)

    assert late.runs(charge) == []
    assert books(late) == ["10.00", "0.00", "0.00", "10.00"]


# ── usage of the time that a voided run had covered ──────────────────────────────────────────────────────────


def test_usage_that_comes_late_for_a_part_whose_run_was_voided_is_found(store_url: str) -> None:
    """10 units by the 16th are voided and billed again by an adjustment; one of them is taken back after that."""
    with Late(store_url, progressive_billing=True) as late:
        charge = late.january(price=ONE)
        late.use(10, "2026-01-10T00:00:00Z")
        late.at("2026-01-16T00:00:00Z").invoices.invoice_pending_lines("acme")
        late.worked("2026-01-16T00:01:00Z")
        late.use(2, "2026-01-20T00:00:00Z")
        late.closed()
        void(late, 0)
        assert late.rated(charge) == 12

        late.later(-1, "2026-05-01")

        assert [late.rated(charge), asked(late, charge)] == [11, 11]
        late.sound()
