"""Money that goes back: unapplied credit that is refunded, and what was paid for a deleted charge (decision 23)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

import pytest

from aggregates.charges.events import InvoiceRefund
from aggregates.charges.requests import Delete, PatchSource
from aggregates.credits.events import UnappliedCreditSpent, UnappliedUse
from aggregates.credits.refusals import NothingToRefund
from aggregates.invoices.refusals import InvoiceNotFound, UnappliedCreditExceeded
from aggregates.invoices.state import Invoice
from aggregates.lifecycle import Status
from aggregates.policies import CreditNotes
from aggregates.values.errors import ValidationFailed
from ledger.facade import Ledger
from ledger.prices import unit
from ledger.store.store import LogRecord
from tests.application.scenes import at, used
from tests.application.test_invoiced_revenue import BY_INVOICE, JANUARY, fee, figures, issued, standard
from tests.application.test_revenue import events_of_pool, pool_of


def money(ledger: Ledger) -> tuple[object, object]:
    """Open receivable, and what was received less what went back."""
    balance = ledger.views.balance("acme")
    return balance.receivable_open, -balance.wash


def paid_fee(ledger: Ledger, amount: str | None = None) -> tuple[Invoice, object]:
    """A fee of 100.00 for January, issued, and so much of it paid; all of it where absent."""
    charged = fee(ledger)
    invoice = issued(ledger)
    if amount != "0":
        ledger.invoices.record_payment(invoice.id, "paid", amount=amount)
    return invoice, charged.id


def adds_up(ledger: Ledger, month: str = "2026-01") -> None:
    """Both columns of the trial balance sum to zero, and the audit finds nothing."""
    rows = ledger.statements.trial_balance(month).rows
    assert sum(row.face for row in rows) == 0
    assert sum(row.consideration for row in rows) == 0
    assert ledger.audit.verify().findings == ()


# ── refunds on request ───────────────────────────────────────────────────────────────────────────────────────


def test_unapplied_credit_is_paid_back_on_request(store_url: str) -> None:
    """100.00 due, 145.00 arrive: 5.00 and then the other 40.00 go back."""
    with standard(store_url) as ledger:
        invoice, _ = paid_fee(ledger, "145")
        assert money(ledger) == (45, 145)

        assert ledger.invoices.refund_unapplied(invoice.id, "5").unapplied == 40
        assert money(ledger) == (40, 140)
        assert ledger.invoices.refund_unapplied(invoice.id).unapplied == 0
        assert money(ledger) == (0, 100)
        assert pool_of(ledger).unapplied == {}
        with pytest.raises(UnappliedCreditExceeded):
            ledger.invoices.refund_unapplied(invoice.id)
        adds_up(ledger)


def test_what_a_credit_note_freed_is_paid_back(store_url: str) -> None:
    with standard(store_url) as ledger:
        invoice, _ = paid_fee(ledger)
        ledger.invoices.void(invoice.id)
        assert money(ledger) == (100, 100)

        ledger.invoices.refund_unapplied(invoice.id)

        assert money(ledger) == (0, 0)
        [spent] = events_of_pool(ledger, UnappliedCreditSpent)
        assert (spent.use, spent.amount, [part.amount for part in spent.parts]) == (UnappliedUse.REFUNDED, 100, [-100])
        adds_up(ledger)


@pytest.mark.parametrize(("credited", "stands"), [("100", 0), ("70", 30), ("20", 50)])
def test_a_promise_lapses_with_what_is_credited_of_its_line(store_url: str, credited: str, stands: int) -> None:
    """100.00, 50.00 of them promised: a note takes what nobody promised first; then 120.00 come, and none is lost."""
    with standard(store_url) as ledger:
        invoice, _ = paid_fee(ledger, "0")
        ledger.invoices.record_payment(invoice.id, "authorized", amount="50")
        ledger.invoices.credit(invoice.id, amount=credited)
        balance = ledger.views.balance("acme")
        assert (ledger.invoices.get(invoice.id).authorized, -balance.receivable_authorized) == (stands, stands)

        beyond = 120 - (100 - Decimal(credited))
        assert ledger.invoices.record_payment(invoice.id, "paid", amount="120").unapplied == beyond
        assert ledger.invoices.refund_unapplied(invoice.id).unapplied == 0
        assert money(ledger) == (0, 120 - beyond)
        adds_up(ledger)


def test_no_more_is_paid_back_than_there_is(store_url: str) -> None:
    with standard(store_url) as ledger:
        invoice, _ = paid_fee(ledger, "145")
        head = ledger.store.head()
        with pytest.raises(UnappliedCreditExceeded):
            ledger.invoices.refund_unapplied(invoice.id, "45.01")
        for amount in ("0", "-1", "1.001"):
            with pytest.raises(ValidationFailed):
                ledger.invoices.refund_unapplied(invoice.id, amount)
        with pytest.raises(InvoiceNotFound):
            ledger.invoices.refund_unapplied("no invoice")

        assert ledger.store.head() == head
        ledger.invoices.refund_unapplied(invoice.id, "45")


def test_a_refund_that_is_sent_twice_is_paid_once(store_url: str) -> None:
    with standard(store_url) as ledger:
        invoice, _ = paid_fee(ledger, "145")
        for _ in range(2):
            ledger.invoices.refund_unapplied(invoice.id, "5", command_id="refund-1")

        assert money(ledger) == (40, 140)


def test_all_that_a_customer_has_unapplied_is_paid_back_at_once(store_url: str) -> None:
    with standard(store_url) as ledger:
        for amount in ("101", "102"):
            paid_fee(ledger, amount)
        # The first invoice's 1.00 was set against the second: 3.00 are unapplied there.
        [refunded] = ledger.invoices.refund_all_unapplied("acme")

        assert refunded.unapplied == 0
        assert money(ledger) == (0, 200)
        assert ledger.invoices.refund_all_unapplied("acme") == []


def test_what_was_set_against_the_next_invoice_cannot_be_paid_back(store_url: str) -> None:
    """145.00 for 100.00; the next 100.00 take the 45.00."""
    with standard(store_url) as ledger:
        first, _ = paid_fee(ledger, "145")
        fee(ledger)
        second = issued(ledger)

        assert second.open == 55
        with pytest.raises(UnappliedCreditExceeded):
            ledger.invoices.refund_unapplied(first.id, "1")
        ledger.invoices.record_payment(second.id, "paid")
        assert money(ledger) == (0, 200)
        assert {accrual.settled for accrual in pool_of(ledger).accruals.values()} == {Decimal(100)}
        adds_up(ledger)


def test_the_price_of_credit_that_was_taken_back_is_unapplied_like_any_other_money(store_url: str) -> None:
    """100 at 0.5 by invoice, 60.00 paid, voided: 60.00 are unapplied; 31.00 pay a fee, 29.00 go back, once."""
    with standard(store_url) as ledger:
        bought = ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice")
        [invoice] = ledger.invoices.list("acme")
        ledger.invoices.record_payment(invoice.id, "paid", amount="60")
        assert ledger.invoices.void(invoice.id).unapplied == 60
        fee(ledger, "31")
        assert issued(ledger).open == 0
        ledger.invoices.refund_unapplied(invoice.id)
        with pytest.raises(UnappliedCreditExceeded):
            ledger.invoices.refund_unapplied(invoice.id)
        with pytest.raises(NothingToRefund):
            ledger.credits.refund(bought.id)

        assert -ledger.views.balance("acme").wash == 31
        adds_up(ledger)


# ── what a deletion does about what was paid ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("paid", ["100", "40", "0"], ids=["paid", "partly paid", "unpaid"])
@pytest.mark.parametrize("policy", list(InvoiceRefund))
def test_a_deleted_fee_is_credited_and_what_was_paid_goes_where_the_deletion_says(
    policy: InvoiceRefund, paid: str, store_url: str
) -> None:
    with standard(store_url) as ledger:
        invoice, charge = paid_fee(ledger, paid)
        at(ledger, "2026-01-10T12:00:00Z")
        deleted = ledger.charges.delete(str(charge), invoice_refund=policy)

        assert deleted.status is Status.DELETED
        invoice = ledger.invoices.get(invoice.id)
        assert [invoice.credited, invoice.open] == [100, 0]
        assert figures(ledger, "2026-02-01T00:00:00Z") == (0, 0)
        freed = Decimal(paid)
        credit = ledger.views.balance("acme").settled
        expected = {
            InvoiceRefund.IGNORE: (freed, (freed, freed), Decimal(0)),
            InvoiceRefund.REFUND: (Decimal(0), (Decimal(0), Decimal(0)), Decimal(0)),
            InvoiceRefund.GRANT_CREDITS: (Decimal(0), (Decimal(0), freed), freed),
        }
        assert (invoice.unapplied, money(ledger), credit) == expected[policy]
        adds_up(ledger)


def test_credit_for_what_was_paid_is_paid_value_and_its_use_is_revenue(store_url: str) -> None:
    """The 100.00 of a deleted fee pay for 30 units; 70.00 are left, and they do not expire."""
    with standard(store_url) as ledger:
        _, charge = paid_fee(ledger)
        ledger.charges.delete(str(charge))
        [lot] = pool_of(ledger).lots.values()
        assert [lot.route.cost_basis, lot.balance] == [1, 100]
        assert lot.expires_at is None
        assert lot.source == ledger.charges.runs(str(charge))[0].id

        at(ledger, "2026-02-01T00:00:00Z")
        period = {"period_from": "2026-01-15T00:00:00Z", "period_to": "2026-02-01T00:00:00Z"}
        ledger.charges.create_usage("acme", feature="calls", price=unit("1"), **period)
        used(ledger, "30", "2026-01-20T00:00:00Z")
        at(ledger, "2026-02-03T00:01:00Z")
        ledger.charges.advance("acme")

        balance = ledger.views.balance("acme")
        assert [balance.settled, balance.earnings] == [70, 30]
        rows = {row.account.value: row.consideration for row in ledger.statements.trial_balance("2026-02").rows}
        assert [rows[name] for name in ("earnings", "customer_fbo", "wash")] == [30, 70, -100]
        adds_up(ledger, "2026-02")


def test_usage_that_was_billed_in_parts_gives_back_what_was_paid_of_each(store_url: str) -> None:
    """10.00 paid, then 5.00 not: 10.00 go back."""
    with standard(store_url) as ledger:
        ledger.customers.change_profile("acme", progressive_billing=True, collection_interval="P0D")
        charged = ledger.charges.create_usage(
            "acme", feature="calls", price=unit("1"), settlement_mode=BY_INVOICE, **JANUARY
        )
        used(ledger, "10", "2026-01-05T00:00:00Z")
        at(ledger, "2026-01-10T00:00:00Z")
        [first] = ledger.invoices.invoice_pending_lines("acme")
        at(ledger, "2026-01-10T00:02:00Z")
        ledger.worker.run_once()
        ledger.invoices.record_payment(first.id, "paid")
        used(ledger, "5", "2026-01-20T00:00:00Z")
        at(ledger, "2026-02-01T00:02:00Z")
        ledger.worker.run_once()
        at(ledger, "2026-02-01T00:04:00Z")
        second = issued(ledger)
        assert first.id != second.id
        assert second.open == 5

        ledger.charges.delete(charged.id, invoice_refund=InvoiceRefund.REFUND)

        assert [invoice.credited for invoice in ledger.invoices.list("acme")] == [10, 5]
        assert money(ledger) == (0, 0)
        adds_up(ledger, "2026-02")


def test_a_batch_says_for_each_deletion_what_becomes_of_the_money(store_url: str) -> None:
    with standard(store_url) as ledger:
        _, kept = paid_fee(ledger)
        _, back = paid_fee(ledger)
        api = PatchSource.API
        ledger.charges.apply_patches(
            "acme",
            {
                str(kept): Delete(source=api, invoice_refund=InvoiceRefund.IGNORE),
                str(back): Delete(source=api, invoice_refund=InvoiceRefund.REFUND),
            },
        )

        assert money(ledger) == (100, 100)
        adds_up(ledger)


def test_where_nothing_can_be_credited_nothing_goes_back(store_url: str) -> None:
    """Without credit notes the issued line stands, and so does what was paid for it (lifecycles §17.6)."""
    with standard(store_url, credit_notes=CreditNotes.OFF) as ledger:
        _, charge = paid_fee(ledger)
        ledger.charges.delete(str(charge), invoice_refund=InvoiceRefund.REFUND)

        assert money(ledger) == (0, 100)


def test_a_fee_that_is_cut_leaves_what_was_paid_for_the_next_invoice(store_url: str) -> None:
    """Only a deletion says what becomes of the money."""
    with standard(store_url) as ledger:
        invoice, charge = paid_fee(ledger)
        ledger.charges.shrink(
            str(charge), service_period_to="2026-01-11T00:00:00Z", full_service_period_to="2026-02-01T00:00:00Z"
        )

        assert ledger.invoices.get(invoice.id).unapplied == Decimal("67.74")
        assert money(ledger) == (Decimal("67.74"), 100)


# ── what it costs to look ────────────────────────────────────────────────────────────────────────────────────


def test_issuing_an_invoice_reads_as_many_streams_in_the_third_year_as_in_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[set[UUID]] = []
    with standard("memory:") as ledger:
        read = ledger.store.read_streams

        def counting(streams: Sequence[UUID], after: Mapping[UUID, int] | None = None) -> dict[UUID, list[LogRecord]]:
            reads[-1].update(streams)
            return read(streams, after)

        monkeypatch.setattr(ledger.store, "read_streams", counting)
        for month in range(36):
            begins = f"{2026 + month // 12}-{month % 12 + 1:02}-01T00:00:00Z"
            ends = f"{2026 + (month + 1) // 12}-{(month + 1) % 12 + 1:02}-01T00:00:00Z"
            at(ledger, begins)
            reads.append(set())
            fee(ledger, "31", {"period_from": begins, "period_to": ends})
            ledger.worker.run_once()
            reads.append(set())
            ledger.invoices.record_payment(ledger.invoices.list("acme")[-1].id, "paid", amount="32")

    costs = [len(seen) for seen in reads[::2]]
    assert costs[-1] <= costs[2], costs
