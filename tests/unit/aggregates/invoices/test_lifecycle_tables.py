"""The tables of the invoice lifecycle are whole, and every row and every cell is walked.

An invoice is brought to each status by a history; the row's trigger or the cell's operation is sent there, and what
the table says happens. Statuses that never rest between saves are met by stopping the decision within its rounds.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from aggregates.invoices import credit_notes, decisions, payments
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.effects import InvoiceLineUpdated
from aggregates.invoices.facts import InvoiceFacts
from aggregates.invoices.lifecycle import FAILED_AT, OPERATIONS, PATH, fire
from aggregates.invoices.refusals import InvoiceOperationRefused, LineNotFound, PromisedPaymentStands
from aggregates.invoices.requests import Failure, LineCredit, LineEdit, PaymentReport
from aggregates.invoices.state import Invoice
from aggregates.invoices.statuses import InvoiceStatus, InvoiceTrigger, NothingDue
from aggregates.invoices.turn import InvoiceRow, InvoiceTurn
from aggregates.lifecycle import Cell
from aggregates.outcome import Draft
from tests.support.invoicing import NOON, PURCHASE, Desk, content, fee, usage

S, On = InvoiceStatus, InvoiceTrigger
ROOT = Path(__file__).resolve().parents[4]
ENDS = {S.CLOSED_UNNUMBERED, S.DELETED, S.VOIDED}
"""An invoice may stay in these; money for a voided one is still recorded and moves nothing."""

LINGERING = {S.PAID}
"""It may stay in these too, although it can still be credited."""


# ── the tables as such ───────────────────────────────────────────────────────────────────────────────────────


def edges() -> set[tuple[InvoiceStatus, InvoiceStatus]]:
    """Every step an invoice can take, by a row or by an operation."""
    by_rows = {(row.status, row.to) for row in PATH.rows}
    by_operations = {
        (status, to)
        for status in OPERATIONS.statuses
        for operation in OPERATIONS.operations
        if OPERATIONS.cell(status, operation) is Cell.APPLY and operation is not On.FAILED
        for to in OPERATIONS.leads_to[operation]
    }
    return by_rows | by_operations | set(FAILED_AT.items())


def test_every_status_is_reachable_from_a_draft() -> None:
    reached, before = {S.DRAFT_CREATED}, set[InvoiceStatus]()
    while reached != before:
        before = set(reached)
        reached |= {to for from_, to in edges() if from_ in reached}

    assert reached == set(S) - {S.NONE}


def test_every_status_that_is_not_an_end_has_a_way_out() -> None:
    stuck = {status for status in OPERATIONS.statuses if not any(from_ is status for from_, _ in edges())}

    assert stuck <= ENDS
    assert ENDS - stuck == set(), "an end that has a way out is none"
    assert stuck.isdisjoint(LINGERING)


def test_every_status_has_a_line_of_cells() -> None:
    assert set(OPERATIONS.statuses) == set(S) - {S.NONE}
    for status in OPERATIONS.statuses:
        for operation in OPERATIONS.operations:
            assert OPERATIONS.cell(status, operation) in {Cell.APPLY, Cell.REFUSE}


def test_every_trigger_is_in_one_of_the_tables() -> None:
    triggers = {row.on for row in PATH.rows} | set(OPERATIONS.operations) | {On.CREATE}

    assert triggers == set(On)


def test_rules_are_named_once() -> None:
    rules = [row.rule for row in PATH.rows]

    assert len(set(rules)) == len(rules)


def test_moving_on_has_no_loop() -> None:
    """Advancing until stable ends: no status comes back on `next` alone."""

    def longest(status: InvoiceStatus, seen: frozenset[InvoiceStatus]) -> int:
        assert status not in seen, f"{status} is on a loop"
        after = [row.to for row in PATH.rows if row.status is status and row.on is On.NEXT]
        return 1 + max((longest(to, seen | {status}) for to in after), default=0)

    assert longest(S.DRAFT_CREATED, frozenset()) == 8


def test_what_can_fail_can_be_retried() -> None:
    failing = {s for s in OPERATIONS.statuses if OPERATIONS.cell(s, On.FAILED) is Cell.APPLY}
    back = {row.status: row.to for row in PATH.rows if row.on is On.RETRY}

    assert failing == set(FAILED_AT)
    assert {status: back[failed] for status, failed in FAILED_AT.items()} == {status: status for status in failing}


def test_only_mutable_statuses_take_and_lose_lines() -> None:
    for status in OPERATIONS.statuses:
        takes = OPERATIONS.cell(status, On.DELETE_LINE) is Cell.APPLY
        assert takes == status.is_mutable, status


def test_money_is_recorded_for_whatever_was_issued() -> None:
    """Decision 27: a settlement is always recorded."""
    for status in set(OPERATIONS.statuses) - {S.ISSUED}:
        assert (OPERATIONS.cell(status, On.PAID) is Cell.APPLY) == status.is_payable, status


# ── an invoice in every status ───────────────────────────────────────────────────────────────────────────────

LATE = "2026-02-10"

Bringing = Callable[[Desk], UUID]


def _resting(*, total: str = "30", until: str = "manual") -> Bringing:
    def bring(desk: Desk) -> UUID:
        if until == "issued":
            return desk.issued(fee(total, editable=True))
        waits = LATE if until == "waiting" else None
        invoice = desk.create(fee(total, editable=True, collected_after=waits))
        if until != "created":
            desk.advance(invoice)
        return invoice

    return bring


def _after(*steps: Callable[[Desk, UUID], Any], total: str = "30") -> Bringing:
    def bring(desk: Desk) -> UUID:
        invoice = desk.issued(fee(total, editable=True))
        for step in steps:
            step(desk, invoice)
        return invoice

    return bring


def _within(status: InvoiceStatus, *, failed: bool = False, total: str = "30") -> Bringing:
    """An invoice stopped in the middle of its rounds, or failed there."""

    def bring(desk: Desk) -> UUID:
        invoice = desk.create(fee(total, editable=True))

        def walk(draft: Draft, facts: InvoiceFacts) -> None:
            while draft.state(invoice).status is not status:
                row = PATH.permitted(draft.state(invoice).status, On.NEXT, InvoiceTurn(draft, invoice, facts))
                assert row is not None
                row.then(InvoiceTurn(draft, invoice, facts), row)
            if failed:
                decisions.fail(draft, invoice, [Failure(code="unavailable", message="timeout")], facts)

        desk.do(walk, auto_approve=True)
        return invoice

    return bring


def _deleted(desk: Desk) -> UUID:
    invoice = desk.create(fee())
    desk.do(lambda draft, facts: decisions.delete(draft, invoice, facts))
    return invoice


AT: dict[InvoiceStatus, Bringing] = {
    S.DRAFT_CREATED: _resting(until="created"),
    S.DRAFT_WAITING_FOR_COLLECTION: _resting(until="waiting"),
    S.DRAFT_COLLECTING: _within(S.DRAFT_COLLECTING),
    S.DRAFT_INVALID: _within(S.DRAFT_COLLECTING, failed=True),
    S.DRAFT_MANUAL_APPROVAL_NEEDED: _resting(),
    S.ISSUING_FINALIZING_LINES: _within(S.ISSUING_FINALIZING_LINES),
    S.ISSUING_FINALIZING_FAILED: _within(S.ISSUING_FINALIZING_LINES, failed=True),
    S.ISSUING_SYNCING: _within(S.ISSUING_SYNCING),
    S.ISSUING_SYNC_FAILED: _within(S.ISSUING_SYNCING, failed=True),
    S.ISSUING_BOOKING: _within(S.ISSUING_BOOKING),
    S.ISSUING_BOOKING_FAILED: _within(S.ISSUING_BOOKING, failed=True),
    S.ISSUED: _within(S.ISSUED),
    S.PAYMENT_PENDING: _resting(until="issued"),
    S.PAYMENT_AUTHORIZED: _after(Desk.authorize),
    S.PARTIALLY_PAID: _after(lambda desk, invoice: desk.settle(invoice, "10")),
    S.PAYMENT_FAILED: _after(lambda desk, invoice: desk.money(payments.fail_payment, invoice)),
    S.PAID: _after(Desk.settle),
    S.WRITTEN_OFF: _after(lambda desk, invoice: desk.settle(invoice, "10"), Desk.write_off),
    S.VOIDED: _after(Desk.void),
    S.CLOSED_UNNUMBERED: _resting(total="0", until="issued"),
    S.DELETED: _deleted,
}


@pytest.mark.parametrize("status", [status for status in S if status is not S.NONE])
def test_every_status_can_be_brought_about(status: InvoiceStatus) -> None:
    desk = Desk()

    assert desk.invoice(AT[status](desk)).status is status


# ── every row ────────────────────────────────────────────────────────────────────────────────────────────────


def _pay(desk: Desk, invoice: UUID) -> None:
    desk.settle(invoice, "10")


def _credit_what_is_open(desk: Desk, invoice: UUID) -> None:
    state = desk.invoice(invoice)
    desk.credit(invoice, f"{state.open + state.written_off:f}")


def _walk_next(at: str = NOON, **facts: Any) -> Callable[[Desk, UUID], None]:
    def walk(desk: Desk, invoice: UUID) -> None:
        def once(draft: Draft, known: InvoiceFacts) -> None:
            turn = InvoiceTurn(draft, invoice, known)
            row = PATH.permitted(turn.invoice.status, On.NEXT, turn)
            assert row is not None
            row.then(turn, row)

        desk.do(once, at, **facts)

    return walk


def _fire(trigger: InvoiceTrigger) -> Callable[[Desk, UUID], None]:
    return lambda desk, invoice: desk.do(lambda draft, facts: fire(InvoiceTurn(draft, invoice, facts), trigger))


def _unpaid_after(*steps: Callable[[Desk, UUID], Any]) -> Bringing:
    return _after(*steps, lambda desk, invoice: desk.money(payments.fail_payment, invoice))


def _ready_to_issue(*, total: str, left_over: str | None = None) -> Bringing:
    """An invoice at the moment its number is drawn, of a customer who may have something left over."""

    def bring(desk: Desk) -> UUID:
        if left_over is not None:
            source = desk.issued(fee("1"))
            desk.settle(source, left_over)
            desk.given["unapplied_from"] = (source,)
        return _within(S.ISSUED, total=total)(desk)

    return bring


WALKS: dict[str, tuple[Bringing, Callable[[Desk, UUID], Any]]] = {
    "D1": (AT[S.DRAFT_CREATED], _walk_next()),
    "D2": (AT[S.DRAFT_WAITING_FOR_COLLECTION], _walk_next(LATE)),
    "D3": (AT[S.DRAFT_COLLECTING], _walk_next()),
    "D4": (AT[S.DRAFT_COLLECTING], _walk_next(auto_approve=True)),
    "D5": (AT[S.DRAFT_MANUAL_APPROVAL_NEEDED], _fire(On.APPROVE)),
    "D6": (AT[S.DRAFT_INVALID], _fire(On.RETRY)),
    "I1": (AT[S.ISSUING_FINALIZING_LINES], _walk_next()),
    "I2": (AT[S.ISSUING_SYNCING], _walk_next()),
    "I3": (_within(S.ISSUING_BOOKING, total="0"), _walk_next()),
    "I4": (AT[S.ISSUING_BOOKING], _walk_next()),
    "I5": (AT[S.ISSUED], _walk_next()),
    "I6": (_ready_to_issue(total="30", left_over="11"), _walk_next()),
    "I7": (_ready_to_issue(total="30", left_over="31"), _walk_next()),
    "I8": (AT[S.ISSUING_FINALIZING_FAILED], _fire(On.RETRY)),
    "I9": (AT[S.ISSUING_SYNC_FAILED], _fire(On.RETRY)),
    "I10": (AT[S.ISSUING_BOOKING_FAILED], _fire(On.RETRY)),
    "P1": (AT[S.PAYMENT_PENDING], Desk.settle),
    "P2": (AT[S.PAYMENT_PENDING], _pay),
    "P3": (AT[S.PAYMENT_AUTHORIZED], Desk.settle),
    "P4": (AT[S.PAYMENT_AUTHORIZED], _pay),
    "P5": (AT[S.PARTIALLY_PAID], Desk.settle),
    "P6": (AT[S.PAYMENT_FAILED], Desk.settle),
    "P7": (AT[S.PAYMENT_FAILED], _pay),
    "P8": (AT[S.WRITTEN_OFF], Desk.settle),
    "C1": (AT[S.PAYMENT_PENDING], lambda desk, invoice: desk.credit(invoice, None)),
    "C2": (AT[S.PAYMENT_AUTHORIZED], lambda desk, invoice: desk.credit(invoice, None)),
    "C3": (AT[S.PARTIALLY_PAID], lambda desk, invoice: desk.credit(invoice, None)),
    "C4": (AT[S.PARTIALLY_PAID], _credit_what_is_open),
    "C5": (AT[S.PAYMENT_FAILED], lambda desk, invoice: desk.credit(invoice, None)),
    "C6": (_unpaid_after(_pay), _credit_what_is_open),
    "C7": (AT[S.PAID], lambda desk, invoice: desk.credit(invoice, None)),
    "C8": (AT[S.WRITTEN_OFF], lambda desk, invoice: desk.credit(invoice, None)),
    "C9": (AT[S.WRITTEN_OFF], _credit_what_is_open),
    "C10": (_after(_pay, Desk.authorize), _credit_what_is_open),
}


@pytest.mark.parametrize("row", PATH.rows, ids=[row.rule for row in PATH.rows])
def test_every_row_is_walked(row: InvoiceRow) -> None:
    bring, step = WALKS[row.rule]
    desk = Desk()
    invoice = bring(desk)
    assert desk.invoice(invoice).status is row.status

    step(desk, invoice)

    moved = _last_move(desk, invoice)
    assert (moved.status_from, moved.status_to, moved.trigger) == (row.status, row.to, row.on)


def _last_move(desk: Desk, invoice: UUID) -> Any:
    moves = [getattr(event, "moved", None) for event in desk.events(invoice)]
    return next(move for move in reversed(moves) if move is not None)


def test_no_two_rows_of_one_status_and_trigger_hold_at_once() -> None:
    """Over every history of this file: for each status and trigger at most one guard holds, and on `next` one does."""
    rows = sorted(PATH.rows, key=lambda row: (row.status.value, row.on.value))
    shared = {key: list(group) for key, group in groupby(rows, key=lambda row: (row.status, row.on))}
    histories = [bring for bring, _ in WALKS.values()] + list(AT.values())
    met: set[tuple[InvoiceStatus, InvoiceTrigger]] = set()

    for bring in histories:
        desk = Desk()
        invoice = bring(desk)
        for (status, trigger), group in shared.items():
            if desk.invoice(invoice).status is not status or len(group) == 1:
                continue
            for auto_approve in (True, False):
                for nothing_due in NothingDue:
                    facts = desk.facts(auto_approve=auto_approve, nothing_due=nothing_due)
                    turn = InvoiceTurn(desk.draft(), invoice, facts)
                    holding = [row.rule for row in group if row.when(turn)]
                    assert len(holding) <= 1, holding
                    if trigger is On.NEXT:
                        assert holding, (status, trigger)
                    met.add((status, trigger))

    assert met == {key for key, group in shared.items() if len(group) > 1}


# ── every cell ───────────────────────────────────────────────────────────────────────────────────────────────


def _send(desk: Desk, invoice: UUID, operation: InvoiceTrigger) -> None:
    """An operation, well formed, to an invoice that has one line at least."""
    state: Invoice = desk.invoice(invoice)
    line = state.lines[0].line_id
    match operation:
        case On.LINE_ADDED:
            desk.do(lambda draft, facts: decisions.add_line(draft, invoice, usage(charge=PURCHASE), facts))
        case On.UPDATE_LINE:
            effect = InvoiceLineUpdated(invoice_id=invoice, line_id=line, content=content("31"))
            desk.do(lambda draft, facts: decisions.apply(draft, (effect,), facts))
        case On.EDIT_LINE:
            desk.do(lambda draft, facts: decisions.edit_line(draft, invoice, line, LineEdit(name="x"), facts))
        case On.DELETE_LINE:
            desk.do(lambda draft, facts: decisions.delete_line(draft, invoice, line, facts))
        case On.DESCRIBE:
            desk.do(lambda draft, facts: decisions.describe(draft, invoice, "x", facts))
        case On.DELETE:
            desk.do(lambda draft, facts: decisions.delete(draft, invoice, facts))
        case On.FAILED:
            failure = Failure(code="unavailable", message="timeout")
            desk.do(lambda draft, facts: decisions.fail(draft, invoice, [failure], facts))
        case On.AUTHORIZED:
            desk.money(payments.authorize, invoice, PaymentReport(reference="pi_2"))
        case On.PAID:
            desk.settle(invoice, "1")
        case On.PAYMENT_FAILED:
            desk.money(payments.fail_payment, invoice)
        case On.WRITE_OFF:
            desk.write_off(invoice)
        case On.CREDIT:
            desk.money(credit_notes.credit, invoice, (LineCredit(line_id=line),), cause=CreditCause.GOODWILL)
        case _:
            desk.void(invoice)


LIVE = [(status, operation) for status in OPERATIONS.statuses for operation in OPERATIONS.operations]


@pytest.mark.parametrize(("status", "operation"), LIVE, ids=[f"{s.value}-{o.value}" for s, o in LIVE])
def test_every_cell_says_what_happens(status: InvoiceStatus, operation: InvoiceTrigger) -> None:
    desk = Desk()
    bring = AT[status]
    if (status, operation) == (S.PAYMENT_AUTHORIZED, On.AUTHORIZED):
        bring = _after(lambda desk, invoice: desk.authorize(invoice, "10"))
    invoice = bring(desk)
    before = len(desk.records)

    if OPERATIONS.cell(status, operation) is Cell.REFUSE and status is not S.DELETED:
        with pytest.raises((InvoiceOperationRefused, PromisedPaymentStands)) as refused:
            _send(desk, invoice, operation)
        assert refused.value.code in {"unsupported_operation", "precondition_failed"}
        assert len(desk.records) == before
    elif status is S.DELETED:
        with pytest.raises((InvoiceOperationRefused, LineNotFound)):
            _send(desk, invoice, operation)
        assert len(desk.records) == before
    else:
        _send(desk, invoice, operation)
        to = desk.invoice(invoice).status
        steps = {row.to for row in PATH.rows if (row.status, row.on) == (status, operation)}
        assert to in {status, *OPERATIONS.leads_to[operation], *steps}


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_readme_shows_the_tables_as_they_are() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "print_lifecycles.py"))
    page = (ROOT / "aggregates" / "invoices" / "README.md").read_text(encoding="utf-8")

    assert script["table"](PATH) in page
    assert script["policy_table"](OPERATIONS) in page
