"""Invoices, ratings and usage that were changed behind the ledger's back are found and named.

The forgeries of events are consistent as bytes, chain and receipts, and mean what cannot be. Usage is changed in its
table, on memory, SQLite and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, cast

import msgspec
import pytest

from aggregates.event import AnyRecorded, DomainEvent
from aggregates.invoices.events import (
    CreditNoteIssued,
    InvoiceIssued,
    LineUpdated,
    PaymentSettled,
)
from aggregates.invoices.numbering import NumberDrawn
from aggregates.policies import Policies
from aggregates.runs.events import InvoiceUsageAccrued, RunPaymentSettled, RunRated
from aggregates.values.period import timestamp
from ledger.audit.report import Progress
from ledger.facade import Ledger
from ledger.metering.memory import MemoryUsageStore
from ledger.metering.usage import UsageEvent
from ledger.prices import graduated
from tests.application.scenes import JANUARY, at, january_charge, opened, used, with_customer
from tests.faults.test_tampering import Change, forged, more, of
from tests.support.stored import StoredWorld
from tests.support.tampering import SqlHands

BY_INVOICE = "credit_then_invoice"


def billed(ledger: Ledger) -> None:
    """A fee of 100.00, paid in part, credited beyond what was open; 15.00 of usage, rated twice and overpaid."""
    with_customer(ledger)
    ledger.customers.change_profile("acme", collection_interval="P2D", auto_approve=True)
    ledger.charges.create_flat_fee(
        "acme", amount="100", period_from=JANUARY[0], period_to=JANUARY[1], settlement_mode=BY_INVOICE
    )
    january_charge(ledger, price=graduated(("10", "1"), (None, "0.5")), settlement_mode=BY_INVOICE)
    ledger.worker.run_once()
    [fee] = ledger.invoices.list("acme")
    ledger.invoices.record_payment(fee.id, "paid", amount="60")
    ledger.invoices.credit(fee.id, amount="70", reason="late")
    used(ledger, "20", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-01T00:00:00Z")
    ledger.worker.run_once()
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.worker.run_once()
    usage = ledger.invoices.list("acme")[-1]
    ledger.invoices.record_payment(usage.id, "paid", amount="20", reference="wire")
    assert ledger.audit.verify().sound


@pytest.fixture(scope="module")
def history() -> Iterator[Ledger]:
    with opened("memory:", policies=Policies.standard()) as ledger:
        billed(ledger)
        yield ledger


def test_a_history_of_bills_written_anew_without_changes_is_sound(history: Ledger) -> None:
    world = forged("memory:", cast("StoredWorld", history), lambda record: None)

    assert world.verify().findings == ()


def one_more(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda body: {name: getattr(body, name) + 1}


def other_number(body: Any) -> dict[str, Any]:
    return {"number": msgspec.structs.replace(body.number, sequence=body.number.sequence + 1)}


def other_text(body: Any) -> dict[str, Any]:
    return {"number": msgspec.structs.replace(body.number, text="INV-999999")}


def other_note(body: CreditNoteIssued) -> dict[str, Any]:
    return {"credit_note": msgspec.structs.replace(body.credit_note, total=body.credit_note.total + 1)}


def other_line(body: LineUpdated) -> dict[str, Any]:
    return {"content": msgspec.structs.replace(body.content, totals=more(body.content.totals))}


def unreconciled(body: LineUpdated) -> dict[str, Any]:
    totals = msgspec.structs.replace(body.content.totals, amount=body.content.totals.amount + 1)
    return {"content": msgspec.structs.replace(body.content, totals=totals)}


def half_priced(body: RunRated) -> dict[str, Any]:
    """Every line at half its amount, in lines and totals alike: it adds up, and no price says so."""
    if not body.detailed_lines or body.rating_engine is None:
        return {}

    def half(totals: Any) -> Any:
        return msgspec.structs.replace(totals, amount=totals.amount / 2, total=totals.total / 2)

    lines = tuple(msgspec.structs.replace(line, totals=half(line.totals)) for line in body.detailed_lines)
    return {"detailed_lines": lines, "totals": half(body.totals)}


def other_quantity(body: RunRated) -> dict[str, Any]:
    return {"metered_quantity": body.metered_quantity + 1} if body.rating_engine is not None else {}


FORGERIES: list[tuple[str, Change]] = [
    ("numbers", of(NumberDrawn, other_number)),
    ("numbers", of(InvoiceIssued, other_text)),
    ("invoices", of(PaymentSettled, one_more("amount"))),
    ("invoices", of(PaymentSettled, lambda body: {"amount": body.amount + 1, "excess": body.excess - 1})),
    ("invoices", of(CreditNoteIssued, other_note)),
    ("invoices", of(LineUpdated, unreconciled)),
    ("invoiced runs", of(LineUpdated, other_line)),
    ("invoiced runs", of(InvoiceUsageAccrued, lambda body: {"totals": more(body.totals)})),
    ("invoiced runs", of(RunPaymentSettled, one_more("fiat_amount"))),
    ("rated", of(RunRated, half_priced)),
    ("rated", of(RunRated, other_quantity)),
]


@pytest.mark.parametrize(("check", "change"), FORGERIES, ids=[f"{n}-{name}" for n, (name, _) in enumerate(FORGERIES)])
def test_a_consistent_forgery_of_a_bill_is_found_by_what_it_means(
    history: Ledger, check: str, change: Callable[[AnyRecorded], DomainEvent | None]
) -> None:
    world = forged("memory:", cast("StoredWorld", history), change)

    report = world.verify()

    assert check in {finding.check for finding in report.findings}, report.findings


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────


def change_usage(ledger: Ledger, url: str, how: str) -> None:
    """Change, backdate or delete the one event there is, triggers or not."""
    if url == "memory:":
        store = ledger.usage_store
        assert isinstance(store, MemoryUsageStore)
        [rows] = [rows for rows in store._rows.values() if rows]
        [(time, place, stored)] = rows
        event = msgspec.structs.replace(stored.event, value=Decimal(19))
        rows[:] = {
            "value": [(time, place, msgspec.structs.replace(stored, event=event))],
            "time": [(time.replace(year=2025), place, stored)],
            "gone": [],
        }[how]
        return
    hands = SqlHands(url, None)
    if hands.is_sqlite:
        hands.run("DROP TRIGGER usage_event_is_kept")
        hands.run("DROP TRIGGER usage_event_stays")
        value, moved = "low = 19", "time = time - 40000000000000"
    else:
        hands.run("ALTER TABLE usage_event DISABLE TRIGGER USER")
        value, moved = "value = 19", "time = time - interval '300 days'"
    changes = {"value": f"UPDATE usage_event SET {value}", "time": f"UPDATE usage_event SET {moved}"}
    hands.run(changes.get(how, "DELETE FROM usage_event"))
    hands.close()


FORGED_USAGE: dict[str, tuple[str, Any]] = {
    "value": ("value", Decimal(7)),
    "time": ("time", timestamp("2026-03-01T00:00:00Z")),
    "meter": ("meter", "files"),
    "customer": ("customer", "globex"),
    "properties": ("properties", {"region": "us"}),
}


def forge_usage(ledger: Ledger, url: str, how: str) -> None:
    """Change one thing about the second of three events, triggers or not."""
    if url == "memory:":
        store = ledger.usage_store
        assert isinstance(store, MemoryUsageStore)
        rows = store._rows["default", "acme", "calls"]
        time, place, stored = rows[1]
        if how == "stored":
            changed = msgspec.structs.replace(stored, stored_at=timestamp("2025-01-01T00:00:00Z"))
        else:
            name, value = FORGED_USAGE[how]
            changed = msgspec.structs.replace(stored, event=msgspec.structs.replace(stored.event, **{name: value}))
        rows[1] = (time, place, changed)
        return
    hands = SqlHands(url, None)
    if hands.is_sqlite:
        hands.run("DROP TRIGGER usage_event_is_kept")
        value, earlier = "low = 7", "{0} = {0} - 40000000000000"
    else:
        hands.run("ALTER TABLE usage_event DISABLE TRIGGER USER")
        value, earlier = "value = 7", "{0} = {0} - interval '300 days'"
    changes = {
        "value": value,
        "time": earlier.format("time"),
        "meter": "meter = 'files'",
        "customer": "customer = 'globex'",
        "properties": """properties = '{"region": "us"}'""",
        "stored": earlier.format("stored_at"),
    }
    hands.run(f"UPDATE usage_event SET {changes[how]} WHERE id = 'u1'")
    hands.close()


@pytest.mark.parametrize("how", ["value", "time", "meter", "customer", "properties", "stored"])
def test_usage_that_no_run_has_counted_is_as_it_was_stored(store_url: str, how: str) -> None:
    """The fingerprint of each row is of what it says; and a chunk was stored at one time."""
    with opened(store_url, policies=Policies.standard()) as ledger:
        with_customer(ledger)
        ledger.customers.create("globex")
        ledger.catalogue.define_meter("files")
        events = [
            UsageEvent(
                source="test",
                id=f"u{number}",
                customer="acme",
                meter="calls",
                time=timestamp("2026-01-10T00:00:00Z"),
                value=Decimal(number),
                properties={"region": "eu"},
            )
            for number in range(3)
        ]
        ledger.usage.record(events)
        told: list[Progress] = []
        report = ledger.audit.verify(progress=told.append)
        assert report.sound
        assert [tally.looked_at for tally in report.checked if tally.name == "usage"] == [3]
        assert [(each.done, each.total) for each in told if each.stage == "usage"] == [(1, 1)]

        forge_usage(ledger, store_url, how)

        findings = [finding for finding in ledger.audit.verify().findings if finding.check == "usage"]
        assert findings
        assert all("usage at place" in finding.place for finding in findings)


@pytest.mark.parametrize("change", ["customer = ''", "time = time + 0, meter = ''", "properties = '[]'"])
def test_a_row_of_usage_that_no_event_can_be_is_a_finding_and_the_audit_goes_on(sqlite_url: str, change: str) -> None:
    with opened(sqlite_url, policies=Policies.standard()) as ledger:
        with_customer(ledger)
        used(ledger, "1", "2026-01-10T00:00:00Z")
        used(ledger, "2", "2026-01-11T00:00:00Z")
        hands = SqlHands(sqlite_url, None)
        hands.run("DROP TRIGGER usage_event_is_kept")
        hands.run(f"UPDATE usage_event SET {change} WHERE low = 1")
        hands.close()

        [finding] = [each for each in ledger.audit.verify().findings if each.check == "usage"]

        assert finding.found == "what no usage event holds"


@pytest.mark.parametrize(("how", "answers"), [("value", "19"), ("time", "0"), ("gone", "0")])
def test_usage_that_was_changed_is_found_by_the_run_that_was_rated_with_it(
    store_url: str, how: str, answers: str
) -> None:
    with opened(store_url, policies=Policies.standard()) as ledger:
        billed(ledger)

        change_usage(ledger, store_url, how)

        [finding] = [each for each in ledger.audit.verify().findings if each.check == "metered"]
        assert (finding.expected, finding.found) == ("20", answers)
        assert "calls" in finding.message


def test_usage_that_came_late_is_no_finding(store_url: str) -> None:
    """What is stored after the cut is no part of what the run was rated with."""
    with opened(store_url) as ledger:
        with_customer(ledger)
        january_charge(ledger)
        used(ledger, "20", "2026-01-20T00:00:00Z")
        at(ledger, "2026-02-04T00:00:00Z")
        ledger.charges.advance("acme")
        at(ledger, "2026-02-05T00:00:00Z")
        used(ledger, "3", "2026-01-21T00:00:00Z")

        assert ledger.audit.verify().sound


def test_usage_that_may_still_come_is_no_finding(store_url: str) -> None:
    """A run that waits for late usage was rated with what was known, and will be rated again."""
    with opened(store_url) as ledger:
        with_customer(ledger)
        january_charge(ledger)
        used(ledger, "20", "2026-01-20T00:00:00Z")
        at(ledger, "2026-02-01T12:00:00Z")
        ledger.charges.advance("acme")
        used(ledger, "3", "2026-01-21T00:00:00Z")

        assert ledger.audit.verify().sound
