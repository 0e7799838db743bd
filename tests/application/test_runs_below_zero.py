"""Runs that come to less than nothing, through the facade, over every store (run rating R14, decision 20)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec
import pytest

from aggregates.invoices.documents import CreditCause
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.lifecycle import Status
from aggregates.policies import CreditNotes, Policies
from aggregates.values.decimals import text
from ledger.prices import unit, volume
from tests.application.late import BY_INVOICE, Late

VOLUME = volume(("15", "10"), (None, "5"))
"""15 units cost 150, 16 cost 80."""


@pytest.fixture
def late(store_url: str) -> Iterator[Late]:
    with Late(store_url) as scene:
        yield scene
        scene.sound()


def test_a_run_of_minus_70_releases_40_of_credit_and_gives_30_of_what_was_paid_as_credit(late: Late) -> None:
    """150, of which credit pays 40 and 110 are invoiced and paid; then 16 units cost 80 (run rating R14)."""
    charge = late.january(price=VOLUME)
    late.ledger.credits.grant("acme", "40")
    late.use(15)
    late.closed()
    late.paid()
    [invoice] = late.ledger.invoices.list("acme")
    assert [invoice.totals.credits_total, invoice.totals.total] == [40, 110]

    late.later(1)

    first, second = late.runs(charge)
    assert [first.credits_total, second.totals.total, second.correction_credit] == [0, -70, 30]
    assert late.rated(charge) == 80
    [invoice] = late.ledger.invoices.list("acme")
    [note] = invoice.credit_notes
    assert [note.total, note.cause, invoice.unapplied] == [30, CreditCause.CORRECTED, 0]
    assert [invoice.status, invoice.totals.total - note.total] == [InvoiceStatus.PAID, 80]
    assert late.ledger.charges.get(charge.id).status is Status.FINAL
    balance = late.ledger.views.balance("acme")
    assert [balance.fbo, balance.receivable_open, balance.wash] == [70, 0, -150]
    assert balance.accrued + balance.earnings == 80
    in_fbo = late.ledger.views.entries("acme", account="customer_fbo").items
    given = [posting for posting in in_fbo if posting.source == second.id]
    assert [[posting.amount, posting.cost_basis] for posting in given] == [[30, 1]]


def test_the_correction_credit_pays_for_the_next_usage_and_does_not_expire(late: Late) -> None:
    late.january(price=VOLUME)
    late.use(15)
    late.closed()
    late.paid()
    late.later(1)
    assert late.ledger.views.balance("acme", as_of="2036-01-01T00:00:00Z").fbo == 70

    charge = late.ledger.charges.create_usage(
        "acme", feature="calls", price=unit("1"), period_from="2026-03-01T00:00:00Z", period_to="2026-04-01T00:00:00Z"
    )
    late.use(50, "2026-03-20T00:00:00Z")
    late.worked("2026-04-01T00:00:00Z", "2026-04-04T00:00:00Z")

    assert late.figures(charge)[-1] == ("final_realization", "50.00", "50.00")
    assert late.rated(charge) == 50
    assert late.ledger.views.balance("acme").fbo == 20


def test_what_is_not_paid_is_credited_first_and_the_newest_invoice_first(late: Late) -> None:
    """80 paid and 30 open; 6 units less are 60: the 30 that are open, then 30 of what was paid."""
    charge = late.january(price=unit("10"))
    late.use(8)
    late.closed()
    late.paid()
    late.later(3)

    late.later(-6, "2026-03-02")

    first, second = late.ledger.invoices.list("acme")
    assert [[note.total, note.lines[0].freed] for note in first.credit_notes] == [[30, 30]]
    assert [[note.total, note.lines[0].freed] for note in second.credit_notes] == [[30, 0]]
    assert second.open == 0
    assert late.ledger.charges.get(charge.id).status is Status.FINAL
    assert late.runs(charge)[2].correction_credit == 30
    assert late.rated(charge) == 50


def test_without_credit_notes_all_of_the_rest_becomes_credit(store_url: str) -> None:
    policies = msgspec.structs.replace(Policies.standard(), credit_notes=CreditNotes.OFF)
    with Late(store_url, policies) as late:
        charge = late.january(price=VOLUME)
        late.use(15)
        late.closed()
        late.paid()

        late.later(1)

        [invoice] = late.ledger.invoices.list("acme")
        assert invoice.credit_notes == ()
        assert late.runs(charge)[1].correction_credit == 70
        balance = late.ledger.views.balance("acme")
        assert [balance.fbo, balance.receivable_open, balance.accrued + balance.earnings] == [70, 0, 80]
        late.sound()


def test_a_part_that_comes_to_less_than_nothing_has_no_line(store_url: str) -> None:
    """15 units by the 16th are invoiced as 150; with one more the rest of January comes to -70 (V6b)."""
    with Late(store_url, progressive_billing=True) as late:
        charge = late.january(price=VOLUME)
        late.at("2026-01-10T00:00:00Z")
        late.use(15, "2026-01-05T00:00:00Z")
        late.at("2026-01-16T00:00:00Z")
        late.ledger.invoices.invoice_pending_lines("acme")
        late.worked("2026-01-16T00:01:00Z")
        late.paid()
        late.use(1, "2026-01-20T00:00:00Z")

        late.closed()

        assert [text(total) for total in (run.totals.total for run in late.runs(charge))] == ["150.00", "-70.00"]
        assert late.ledger.charges.get(charge.id).status is Status.FINAL
        first, second = late.ledger.invoices.list("acme")
        assert [first.credit_notes[0].total, second.status] == [70, InvoiceStatus.DELETED]
        late.sound()


def test_goodwill_is_not_given_twice(late: Late) -> None:
    """110 invoiced, paid and credited out of goodwill: there is nothing left to take back."""
    charge = late.january(price=VOLUME)
    late.ledger.credits.grant("acme", "40")
    late.use(15)
    late.closed()
    late.paid()
    [invoice] = late.ledger.invoices.list("acme")
    late.ledger.invoices.credit(invoice.id)

    late.later(1)

    settled = late.ledger.audit.why(late.runs(charge)[1].id).set_off
    assert settled is not None
    assert [settled.shortfall, settled.released, settled.credited] == [70, 40, 0]
    assert late.runs(charge)[1].correction_credit == 0


def test_a_charge_in_tokens_gives_tokens_back_and_then_fiat(late: Late) -> None:
    """15 tokens at 0.5: 4 of them from credit, 5.50 invoiced and paid; 7 fewer: 4 tokens and 1.50."""
    late.ledger.catalogue.define_currency("TOK", precision=0)
    basis = {"mode": "manual", "fiat_currency": "USD", "rate": "0.5"}
    late.ledger.credits.grant("acme", "4", currency="TOK")
    charge = late.january(price=unit("1"), currency="TOK", cost_basis=basis)
    late.use(15)
    late.closed()
    late.paid()
    [invoice] = late.ledger.invoices.list("acme")
    assert text(invoice.totals.total) == "5.50"

    late.later(-7)

    assert late.ledger.views.balance("acme", "TOK").fbo == 4
    assert late.runs(charge)[1].correction_credit == Decimal("1.50")
    assert late.ledger.views.balance("acme").fbo == Decimal("1.50")
    assert late.rated(charge) == 8


def test_a_run_below_zero_under_a_plain_engine_does_not_start(store_url: str) -> None:
    """The reference refuses it; the charge is stuck and says why (lifecycles §5.5)."""
    with Late(store_url, run_engine="delta", progressive_billing=True) as late:
        charge = late.january(price=VOLUME)
        late.at("2026-01-10T00:00:00Z")
        late.use(15, "2026-01-05T00:00:00Z")
        late.at("2026-01-16T00:00:00Z")
        late.ledger.invoices.invoice_pending_lines("acme")
        late.worked("2026-01-16T00:01:00Z")
        late.use(1, "2026-01-20T00:00:00Z")

        report = late.at("2026-02-01T00:00:00Z").worker.run_once()

        assert [(each.charge, each.code) for each in report.stuck] == [(charge.id, "charge_total_is_negative")]
        assert report.failed == ()
        [stuck] = late.ledger.views.stuck_charges().items
        assert (stuck.charge, stuck.code) == (charge.id, "charge_total_is_negative")


def test_history_tells_how_it_was_settled(late: Late) -> None:
    late.january(BY_INVOICE, price=VOLUME)
    late.ledger.credits.grant("acme", "40")
    late.use(15)
    late.closed()
    late.paid()
    late.later(1)

    told = [line.sentence for line in late.ledger.audit.history(customer="acme")]

    comes_to = "comes to less than nothing: of 70.00 USD, 40.00 USD credit given back, 30.00 USD taken back"
    assert any(comes_to in sentence for sentence in told)
    assert any("30.00 USD that were paid for run" in sentence for sentence in told)
