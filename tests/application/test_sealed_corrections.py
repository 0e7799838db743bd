"""Giving back what was sealed long ago: read from the events that concern the charge, not from the whole pool.

What was invoiced, is paid and older than the correction horizon of 400 days has left the pool's state as well. A
credit note over it, a run below zero that is settled against it, and a payment of what was written off bring it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
import pytest

from aggregates.charges.state import Charge
from aggregates.credits.events import AccrualBroughtBack
from aggregates.credits.pool import CreditPool
from aggregates.event import Stream
from aggregates.policies import CreditNotes, Policies
from aggregates.values.decimals import text
from aggregates.values.identifiers import pool_id
from ledger.domain import AGGREGATES
from ledger.facade import Ledger
from ledger.prices import unit
from ledger.store import mapper
from ledger.store.repository import Repository
from ledger.store.store import LogRecord
from projections.slice_events import SLICE_EVENTS
from tests.application.late import Late
from tests.application.scenes import at, opened

POOL = Stream("credit_pool", pool_id("default", "acme", "USD"), "acme")


@pytest.fixture
def ledger(store_url: str) -> Ledger:
    opened_ledger = opened(store_url, policies=Policies.standard())
    opened_ledger.customers.create("acme")
    return opened_ledger


def fee(ledger: Ledger, amount: str, day: int) -> Charge:
    """A fee paid from credit on a day of January, final at once."""
    charge = ledger.charges.create_flat_fee(
        "acme",
        amount=amount,
        period_from=f"2026-01-{day:02d}T00:00:00Z",
        period_to=f"2026-01-{day + 1:02d}T00:00:00Z",
        settlement_mode="credit_only",
    )
    at(ledger, f"2026-01-{day + 1:02d}T00:00:00Z")
    ledger.charges.advance("acme")
    return charge


def pool_of(ledger: Ledger) -> CreditPool:
    pool: CreditPool = Repository(ledger.store, AGGREGATES).load(POOL).state
    return pool


def sealed(ledger: Ledger, charge: Charge) -> bool:
    return charge.id not in pool_of(ledger).charges


def records_read(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records of the pool each reading of it brings from here on."""
    found: list[int] = []
    store = ledger.store
    stream, versions = store.read_stream, store.read_versions

    def read_stream(which: UUID, after_version: int = 0) -> list[LogRecord]:
        rows = stream(which, after_version)
        found.append(len(rows) if which == POOL.id else 0)
        return rows

    def read_versions(which: UUID, wanted: Sequence[int]) -> list[LogRecord]:
        rows = versions(which, wanted)
        found.append(len(rows))
        return rows

    monkeypatch.setattr(store, "read_stream", read_stream)
    monkeypatch.setattr(store, "read_versions", read_versions)
    return found


def figures(ledger: Ledger) -> tuple[int, ...]:
    """What is left, accrued and earned, in whole dollars."""
    found = ledger.views.balance("acme")
    figures = (found.settled, found.accrued, found.earnings)
    assert all(figure == int(figure) for figure in figures)
    return tuple(map(int, figures))


def test_a_sealed_charge_gives_back_what_it_took_and_reads_what_concerns_it_alone(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 of credit, 7 used on the 1st and one on each of the 19 days after: deleting the first gives 7 back."""
    ledger.credits.grant("acme", "100")
    first = fee(ledger, "7", 1)
    for day in range(2, 21):
        fee(ledger, "1", day)
    assert sealed(ledger, first)
    assert figures(ledger) == (74, 0, 26)

    read = records_read(ledger, monkeypatch)
    ledger.charges.delete(first.id)

    assert figures(ledger) == (81, 0, 19)
    assert 0 < sum(read) <= 8, "collected, recognised, and the lots; not the sixty events of the pool"
    assert ledger.audit.verify().sound
    ledger.close()


def test_the_lot_a_sealed_charge_took_from_may_have_left_as_well(ledger: Ledger) -> None:
    """Two gifts of 5 and 6, both used up and gone from the state: 8 come back to lots of their own."""
    ledger.credits.grant("acme", "5", priority=1)
    ledger.credits.grant("acme", "6", priority=2)
    first = fee(ledger, "8", 1)
    second = fee(ledger, "3", 2)
    pool = pool_of(ledger)
    assert (sealed(ledger, first), sealed(ledger, second), pool.lots) == (True, True, {})

    ledger.charges.delete(first.id)

    assert figures(ledger) == (8, 0, 3)
    fee(ledger, "9", 3)
    assert figures(ledger) == (-1, 1, 11)
    assert ledger.audit.verify().sound
    ledger.close()


def test_a_dry_run_sees_what_it_has_sealed_itself(ledger: Ledger) -> None:
    ledger.credits.grant("acme", "10")
    with ledger.dry_run() as trial:
        charge = fee(trial, "4", 1)
        assert sealed(trial, charge)
        trial.charges.delete(charge.id)
        assert sum(lot.balance for lot in pool_of(trial).lots.values()) == 10

    assert figures(ledger) == (10, 0, 0)
    ledger.close()


def test_where_the_view_does_not_name_all_of_it_the_whole_stream_is_read(store_url: str) -> None:
    """Somebody took rows of the view away: the correction is right, and the audit names the view."""
    ledger = opened(store_url, policies=Policies.standard())
    ledger.customers.create("acme")
    ledger.credits.grant("acme", "10")
    charge = fee(ledger, "4", 1)
    with ledger.follower.reading((SLICE_EVENTS.name,)) as reader:
        assert reader.select(SLICE_EVENTS)
    projection = ledger.follower.projections[SLICE_EVENTS.name]
    tables = ledger.follower.tables
    emptied = tables.begin(projection)
    with tables.writing(projection, emptied) as writer:
        writer.append([], ledger.store.head())
    tables.finish(projection, emptied)
    assert tables.swap(projection, emptied)

    ledger.charges.delete(charge.id)

    assert figures(ledger) == (10, 0, 0)
    assert {finding.check for finding in ledger.audit.verify().findings} == {"views"}
    ledger.close()


# ── what was invoiced ────────────────────────────────────────────────────────────────────────────────────────

LATER = "2027-07-01T00:00:00Z"
"""516 days after January 2026."""


def invoiced(ledger: Ledger, amount: str, period_to: str = "2026-02-01T00:00:00Z", **terms: str) -> Charge:
    """A fee from 1 January on that is invoiced in advance."""
    charge = ledger.charges.create_flat_fee(
        "acme",
        amount=amount,
        period_from="2026-01-01T00:00:00Z",
        period_to=period_to,
        settlement_mode="credit_then_invoice",
        payment_term="in_advance",
        **terms,
    )
    at(ledger, "2026-01-01T00:00:00Z")
    ledger.invoices.invoice_pending_lines("acme")
    return charge


def paid(ledger: Ledger) -> None:
    for invoice in ledger.invoices.list("acme"):
        if invoice.open:
            ledger.invoices.record_payment(invoice.id, "paid")


def years_pass(ledger: Ledger) -> None:
    """Later the pool is written to again, and puts away what is done with."""
    at(ledger, LATER)
    ledger.credits.grant("acme", "1")
    assert pool_of(ledger).accruals == {}


def brought_back(ledger: Ledger) -> int:
    """How many accruals were read back from the history."""
    bodies = (mapper.read(row).body for row in ledger.store.read_stream(POOL.id))
    return sum(isinstance(body, AccrualBroughtBack) for body in bodies)


def money(ledger: Ledger) -> list[str]:
    """What is owed (above zero: unapplied), accrued, earned, and given up."""
    found = ledger.views.balance("acme")
    figures = (found.receivable_open, found.accrued, found.earnings, found.bad_debt)
    return [f"{figure:.2f}" for figure in figures]


def test_an_invoice_older_than_the_horizon_is_credited_in_part_and_then_voided(ledger: Ledger) -> None:
    """31.00 paid and earned day by day: 10.00 credited are unapplied, then the other 21.00."""
    invoiced(ledger, "31")
    paid(ledger)
    years_pass(ledger)
    assert money(ledger) == ["0.00", "0.00", "31.00", "0.00"]
    [invoice] = ledger.invoices.list("acme")

    ledger.invoices.credit(invoice.id, amount="10")
    assert money(ledger) == ["10.00", "0.00", "21.00", "0.00"]
    ledger.invoices.void(invoice.id, command_id="void")
    head = ledger.store.head()
    ledger.invoices.void(invoice.id, command_id="void")

    assert ledger.store.head() == head
    assert money(ledger) == ["31.00", "0.00", "0.00", "0.00"]
    assert brought_back(ledger) == 1, "it stays for as long as it is unapplied"
    ledger.invoices.refund_unapplied(invoice.id)
    assert money(ledger) == ["0.00", "0.00", "0.00", "0.00"]
    assert pool_of(ledger).accruals == {}
    assert ledger.audit.verify().sound
    ledger.close()


def test_what_is_read_for_it_is_what_concerns_its_charge(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A year in advance is recognised in 365 parts of one event; forty other events of the pool are not read."""
    charge = invoiced(ledger, "365", "2027-01-01T00:00:00Z")
    paid(ledger)
    at(ledger, "2026-01-02T00:00:00Z")
    ledger.credits.grant("acme", "100")
    for day in range(2, 21):
        fee(ledger, "1", day)
    at(ledger, "2028-07-01T00:00:00Z")
    ledger.credits.grant("acme", "1")
    assert pool_of(ledger).accruals == {}
    ledger.views.balance("acme")

    read = records_read(ledger, monkeypatch)
    ledger.charges.delete(charge.id, invoice_refund="refund")

    assert 0 < sum(read) <= 8, "accrued, recognised, authorised, paid"
    assert money(ledger) == ["0.00", "0.00", "19.00", "0.00"]
    assert ledger.audit.verify().sound
    ledger.close()


def test_what_unapplied_credit_had_paid_is_known_again(ledger: Ledger) -> None:
    """20.00 of a voided invoice pay the next: an event of the first invoice and of an accrual of the second."""
    invoiced(ledger, "20")
    paid(ledger)
    ledger.invoices.void(ledger.invoices.list("acme")[0].id)
    ledger.invoices.invoice_pending_lines("acme")
    years_pass(ledger)

    second = ledger.invoices.list("acme")[-1]
    assert (second.open, second.paid) == (0, 20)
    ledger.invoices.void(second.id)

    assert money(ledger) == ["20.00", "0.00", "0.00", "0.00"]
    [accrual] = pool_of(ledger).accruals.values()
    assert (accrual.settled, accrual.authorized, accrual.credited) == (20, 20, 20)
    assert ledger.audit.verify().sound
    ledger.close()


def test_a_payment_comes_long_after_the_invoice_was_written_off(ledger: Ledger) -> None:
    invoiced(ledger, "20")
    [invoice] = ledger.invoices.list("acme")
    ledger.invoices.write_off(invoice.id)
    years_pass(ledger)
    assert money(ledger) == ["0.00", "0.00", "20.00", "-20.00"]

    ledger.invoices.record_payment(invoice.id, "paid")

    assert money(ledger) == ["0.00", "0.00", "20.00", "0.00"]
    assert ledger.audit.verify().sound
    ledger.close()


@pytest.mark.parametrize("notes", list(CreditNotes))
def test_usage_that_falls_years_later_is_given_back_as_credit(store_url: str, notes: CreditNotes) -> None:
    """10 units invoiced and paid; 5 of them are taken back after 500 days, with a credit note or without."""
    policies = msgspec.structs.replace(Policies.standard(), credit_notes=notes)
    with Late(store_url, policies) as late:
        charge = late.january(price=unit("1"))
        late.use(10)
        late.closed()
        late.paid()
        years_pass(late.ledger)

        late.later(-5, "2027-07-02")

        assert [text(run.correction_credit) for run in late.runs(charge)] == ["0", "5.00"]
        assert money(late.ledger) == ["0.00", "0.00", "5.00", "0.00"]
        assert late.ledger.views.balance("acme").fbo == 6
        late.later(-5, "2027-07-03")
        assert money(late.ledger) == ["0.00", "0.00", "0.00", "0.00"]
        assert late.ledger.views.balance("acme").fbo == 11
        late.sound()


def test_a_charge_in_tokens_has_it_in_the_pool_of_its_invoices(store_url: str) -> None:
    """15 tokens at 0.5: 4 from credit, 5.50 invoiced and paid. After 500 days all of it goes back."""
    with Late(store_url) as late:
        late.ledger.catalogue.define_currency("TOK", precision=0)
        basis = {"mode": "manual", "fiat_currency": "USD", "rate": "0.5"}
        late.ledger.credits.grant("acme", "4", currency="TOK")
        charge = late.january(price=unit("1"), currency="TOK", cost_basis=basis)
        late.use(15)
        late.closed()
        late.paid()
        years_pass(late.ledger)

        late.ledger.charges.delete(charge.id, invoice_refund="refund")

        assert money(late.ledger) == ["0.00", "0.00", "0.00", "0.00"]
        assert late.ledger.views.balance("acme", "TOK").fbo == 4
        late.sound()


def test_it_is_told_in_words(ledger: Ledger) -> None:
    invoiced(ledger, "20")
    paid(ledger)
    years_pass(ledger)

    ledger.invoices.void(ledger.invoices.list("acme")[0].id)

    told = [line.sentence for line in ledger.audit.history(customer="acme")]
    assert any(line.startswith("20.00 USD invoiced on line") and "needed again" in line for line in told)
    ledger.close()
