"""What was billed and voided is billed again (run rating R13, I6), whatever is done about late usage."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aggregates.charges.state import Charge
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.lifecycle import Status
from aggregates.policies import LateUsage, Policies, RunEngine
from aggregates.rating.prices import Tier, TieredPrice
from aggregates.runs.events import RunType
from tests.application.late import Late

GRADUATED = TieredPrice(
    mode="graduated",
    tiers=(Tier(up_to_amount=Decimal(10), unit_price=Decimal(1)), Tier(unit_price=Decimal("0.5"))),
)
"""10 units are 10.00, 20 are 15.00."""


@pytest.fixture
def late(store_url: str) -> Iterator[Late]:
    with Late(store_url, progressive_billing=True) as late:
        yield late


def under(**choices: Any) -> Policies:
    return msgspec.structs.replace(Policies.standard(), **choices)


def billed_in_two(late: Late, **terms: Any) -> Charge:
    """10 units by 16 January are invoiced at 10.00, 10 more by the end of the month at 5.00."""
    charge = late.january(price=GRADUATED, **terms)
    late.use(10, "2026-01-10T00:00:00Z")
    late.at("2026-01-16T00:00:00Z").invoices.invoice_pending_lines("acme")
    late.use(10, "2026-01-20T00:00:00Z")
    late.closed()
    assert asked(late) == ["10.00", "5.00"]
    return charge


def asked(late: Late) -> list[str]:
    """What each invoice of the customer asks for, those aside that were voided or deleted."""
    gone = {"voided", "deleted"}
    return [f"{i.payable:f}" for i in late.ledger.invoices.list("acme") if i.status.value not in gone]


def void(late: Late, number: int) -> None:
    late.ledger.invoices.void(late.ledger.invoices.list("acme")[number].id, reason="wrong address")


def kinds(late: Late, charge: Charge) -> list[tuple[str, str]]:
    return [(kind, total) for kind, total, _ in late.figures(charge)]


def test_a_first_part_that_is_voided_after_the_final_run_is_billed_again(late: Late) -> None:
    charge = billed_in_two(late)

    late.at("2026-02-10T00:00:00Z")
    void(late, 0)
    late.worked("2026-02-10T00:00:00Z", "2026-02-10T00:00:30Z")

    assert asked(late) == ["5.00", "10.00"]
    assert kinds(late, charge) == [("final_realization", "5.00"), ("late_adjustment", "10.00")]
    assert late.rated(charge) == 15
    late.paid()
    assert late.ledger.charges.get(charge.id).status is Status.FINAL
    late.sound()


def test_paying_what_is_left_does_not_finish_a_charge_of_which_something_is_to_be_billed_again(late: Late) -> None:
    charge = billed_in_two(late)

    void(late, 0)
    late.paid()

    assert late.ledger.charges.get(charge.id).status is Status.AWAITING_PAYMENT_SETTLEMENT
    late.worked("2026-02-04T00:00:00Z", "2026-02-04T00:00:30Z")
    late.paid()
    assert late.ledger.charges.get(charge.id).status is Status.FINAL
    assert late.rated(charge) == 15


def test_a_part_that_was_paid_is_billed_again_when_its_invoice_turns_out_wrong(late: Late) -> None:
    """The charge is final: the 10.00 that were paid are unapplied credit, and pay the new invoice."""
    charge = billed_in_two(late)
    late.paid()
    assert late.ledger.charges.get(charge.id).status is Status.FINAL

    late.at("2026-03-01T00:00:00Z")
    void(late, 0)
    late.worked("2026-03-01T00:00:00Z", "2026-03-01T00:00:30Z")

    assert asked(late) == ["5.00", "10.00"]
    assert [i.open for i in late.ledger.invoices.list("acme") if i.status.value != "voided"] == [0, 0]
    assert late.ledger.charges.get(charge.id).status is Status.FINAL
    late.sound()


@pytest.mark.parametrize("said", ["none", "bill", "absorb:5.00", "ask"])
def test_it_is_billed_again_whatever_is_done_about_late_usage_which_does_not_come_with_it(
    store_url: str, said: str
) -> None:
    """2 units that came late are 1.00: they are not what was voided."""
    with Late(store_url, under(late_usage=LateUsage.parse(said)), progressive_billing=True) as late:
        charge = billed_in_two(late)
        late.later(2)
        before = asked(late)

        void(late, 0)
        late.worked("2026-03-01T00:03:00Z", "2026-03-01T00:04:00Z")

        assert sorted(asked(late)) == sorted([*before[1:], "10.00"])
        assert late.rated(charge) == (16 if said == "bill" else 15)
        late.sound()


def test_what_late_usage_was_found_to_be_is_remembered_beside_it(store_url: str) -> None:
    with Late(store_url, under(late_usage=LateUsage.parse("ask")), progressive_billing=True) as late:
        charge = billed_in_two(late)
        late.later(2)

        void(late, 0)
        late.worked("2026-03-01T00:03:00Z", "2026-03-01T00:04:00Z")
        [asking] = late.ledger.usage.late("acme").items
        late.ledger.charges.bill_late_usage(charge.id)
        late.worked("2026-03-01T00:05:00Z")

        assert (asking.outcome, asking.amount) == ("asked", 1)
        assert asked(late) == ["5.00", "10.00", "1.00"]


def test_late_usage_that_is_billed_by_order_takes_what_was_voided_with_it(store_url: str) -> None:
    """What waits to be invoiced again is in the one line over everything that is stored: 10.00 and 1.00."""
    with Late(store_url, under(late_usage=LateUsage.parse("ask")), progressive_billing=True) as late:
        charge = billed_in_two(late)
        late.later(2)

        void(late, 0)
        late.ledger.charges.bill_late_usage(charge.id)
        late.worked("2026-03-01T00:05:00Z", "2026-03-01T00:06:00Z")

        assert asked(late) == ["5.00", "11.00"]
        assert late.rated(charge) == 16


def test_an_adjustment_that_billed_it_again_and_is_voided_itself_is_billed_again(late: Late) -> None:
    charge = billed_in_two(late)
    void(late, 0)
    late.worked("2026-02-04T00:00:00Z")

    void(late, 2)
    late.worked("2026-02-05T00:00:00Z")

    assert asked(late) == ["5.00", "10.00"]
    assert late.rated(charge) == 15


def test_all_parts_that_are_voided_are_billed_again_by_the_run_that_ends_the_period(late: Late) -> None:
    charge = billed_in_two(late)

    void(late, 0)
    void(late, 1)
    late.worked("2026-02-04T00:00:00Z", "2026-02-04T00:01:00Z")

    assert asked(late) == ["15.00"]
    assert kinds(late, charge) == [("final_realization", "15.00")]


def test_a_part_that_is_voided_while_the_final_run_waits_for_collection_is_billed_by_that(late: Late) -> None:
    charge = late.january(price=GRADUATED)
    late.use(10, "2026-01-10T00:00:00Z")
    late.at("2026-01-16T00:00:00Z").invoices.invoice_pending_lines("acme")
    late.use(10, "2026-01-20T00:00:00Z")
    late.worked("2026-02-01T00:00:00Z")

    void(late, 0)
    late.worked("2026-02-03T00:01:00Z", "2026-02-04T00:00:00Z")
    late.paid()

    assert asked(late) == ["15.00"]
    assert kinds(late, charge) == [("final_realization", "15.00")]
    assert late.ledger.charges.get(charge.id).status is Status.FINAL
    assert late.ledger.charges.get(charge.id).rebilling is None


def test_a_part_that_is_voided_while_the_final_invoice_waits_for_approval_is_billed_after_it(store_url: str) -> None:
    with Late(store_url, progressive_billing=True, auto_approve=False) as late:
        charge = late.january(price=GRADUATED)
        late.use(10, "2026-01-10T00:00:00Z")
        [first] = late.at("2026-01-16T00:00:00Z").invoices.invoice_pending_lines("acme")
        late.worked("2026-01-16T00:01:00Z")
        late.ledger.invoices.approve(first.id)
        late.use(10, "2026-01-20T00:00:00Z")
        late.closed()

        void(late, 0)
        late.worked("2026-02-04T00:00:00Z")
        assert late.ledger.charges.get(charge.id).gathering_line is None
        for _ in range(2):
            late.ledger.invoices.approve(late.ledger.invoices.list("acme")[-1].id)
            late.worked("2026-02-05T00:00:00Z")

        assert asked(late) == ["5.00", "10.00"]
        assert late.rated(charge) == 15


def test_a_draft_that_bills_it_again_and_is_deleted_is_listed_until_somebody_bills_it(store_url: str) -> None:
    with Late(store_url, progressive_billing=True, auto_approve=False) as late:
        charge = late.january(price=GRADUATED)
        late.use(10, "2026-01-10T00:00:00Z")
        [first] = late.at("2026-01-16T00:00:00Z").invoices.invoice_pending_lines("acme")
        late.worked("2026-01-16T00:01:00Z")
        late.ledger.invoices.approve(first.id)
        late.use(10, "2026-01-20T00:00:00Z")
        late.closed()
        late.ledger.invoices.approve(late.ledger.invoices.list("acme")[-1].id)
        void(late, 0)
        late.worked("2026-02-04T00:00:00Z")

        late.ledger.invoices.delete(late.ledger.invoices.list("acme")[-1].id)
        [dropped] = late.ledger.usage.late("acme").items
        late.at("2026-02-04T00:02:00Z")
        late.ledger.charges.bill_late_usage(charge.id)
        late.worked("2026-02-05T00:00:00Z")

        assert (dropped.outcome, dropped.quantity, dropped.amount) == ("dismissed", 20, 10)
        assert asked(late) == ["5.00", "10.00"]


def test_a_final_run_that_is_voided_takes_the_draft_of_an_adjustment_with_it(store_url: str) -> None:
    """10 units issued, 3 that came late on a draft; the first invoice is voided: 10 and 3 are billed anew."""
    with Late(store_url, auto_approve=False) as late:
        charge = late.january()
        late.use(10)
        late.closed()
        late.ledger.invoices.approve(late.ledger.invoices.list("acme")[0].id)
        late.later(3)
        assert asked(late) == ["100.00", "30.00"]

        void(late, 0)
        assert late.ledger.charges.get(charge.id).current_run_id is None
        for hour in range(1, 5):
            late.worked(f"2026-03-01T{hour:02}:00:00Z")
            for invoice in late.ledger.invoices.list("acme"):
                if invoice.status is InvoiceStatus.DRAFT_MANUAL_APPROVAL_NEEDED:
                    late.ledger.invoices.approve(invoice.id)
        late.paid()

        assert asked(late) == ["100.00", "30.00"]
        assert late.rated(charge) == 130
        assert late.ledger.charges.get(charge.id).status is Status.FINAL
        late.sound()


def test_credit_that_arrived_meanwhile_pays_for_what_is_billed_again(late: Late) -> None:
    charge = billed_in_two(late)
    late.ledger.credits.grant("acme", "4", effective_at="2026-01-31T00:00:00Z")

    void(late, 0)
    late.worked("2026-02-04T00:00:00Z")

    assert asked(late) == ["5.00", "6.00"]
    assert late.figures(charge)[-1] == ("late_adjustment", "10.00", "4.00")


def test_a_plain_engine_cannot_bill_it_again_and_lists_it(store_url: str) -> None:
    policies = under(run_engine=RunEngine.DELTA)
    with Late(store_url, policies, progressive_billing=True) as late:
        charge = billed_in_two(late)

        void(late, 0)
        late.worked("2026-02-04T00:00:00Z", "2026-02-05T00:00:00Z")

        assert [each.outcome for each in late.ledger.usage.late("acme").items] == ["left"]
        assert all(run.type is not RunType.LATE_ADJUSTMENT for run in late.runs(charge))


def test_a_credit_note_out_of_goodwill_leaves_the_run_and_nothing_is_billed_again(late: Late) -> None:
    charge = billed_in_two(late)

    late.ledger.invoices.credit(late.ledger.invoices.list("acme")[0].id, reason="sorry")
    late.worked("2026-02-04T00:00:00Z", "2026-02-05T00:00:00Z")

    assert asked(late) == ["5.00"]
    assert late.rated(charge) == 15
    assert late.ledger.charges.get(charge.id).rebilling is None


def test_it_is_told_in_words(late: Late) -> None:
    charge = billed_in_two(late)

    void(late, 0)
    late.worked("2026-02-04T00:00:00Z")

    told = [line.sentence for line in late.ledger.audit.history(charge=charge.id)]
    assert any("is to be billed again; usage stored before 2026-01-16" in line for line in told)
    assert any(line.startswith("What a voided run had billed, with usage stored before") for line in told)
