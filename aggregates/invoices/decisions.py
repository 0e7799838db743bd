"""Invoices while they are drafts and until they are issued: what the application calls.

Every decision works on a draft in which the caller has put the invoice (and, where a number may be drawn, the series)
in hand; it emits into the draft, raises what it refuses, and answers with notices. The caller carries the notices out
in the same save and hands what the charges answer to `apply`; `rounds.py` does just that. Money is `payments.py` and
`credit_notes.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never
from uuid import UUID

from aggregates.event import Stream
from aggregates.invoices import numbering
from aggregates.invoices.credit_notes import is_credited_in_full, record_credit
from aggregates.invoices.documents import CreditCause, Issue, Severity
from aggregates.invoices.effects import (
    CreditNoteRequested,
    InvoiceEffect,
    InvoiceLineDeletionRequested,
    InvoiceLineReduced,
    InvoiceLineUpdated,
    InvoiceNotice,
    LineCreated,
    LineDeletionUnsupported,
    LineEditAsked,
    LineRemoved,
    UnappliedCreditRequested,
)
from aggregates.invoices.events import (
    DeletionReason,
    InvoiceDeleted,
    InvoiceDescribed,
    InvoiceDrafted,
    InvoiceWarned,
    LineAdded,
    LineDeleted,
    LineUpdated,
    Moved,
    StepFailed,
)
from aggregates.invoices.facts import InvoiceFacts
from aggregates.invoices.lifecycle import FAILED_AT, PATH, fire, require
from aggregates.invoices.lines import LineDraft, LineKind, check_content
from aggregates.invoices.payments import give_back_unapplied
from aggregates.invoices.refusals import (
    CannotUpdateChargeManagedLine,
    CreditNotesUnavailable,
    IssuedLineStands,
    LineZeroAmountDeleteInstead,
)
from aggregates.invoices.requests import Failure, LineCredit, LineEdit, NewInvoice, NewLine
from aggregates.invoices.state import Invoice, stream
from aggregates.invoices.statuses import InvoiceStatus, InvoiceTrigger
from aggregates.invoices.turn import InvoiceTurn
from aggregates.outcome import Draft
from aggregates.values.decimals import exact
from aggregates.values.errors import Findings
from aggregates.values.money import Currency

IMMUTABLE = "immutable_invoice_handling_not_supported"
"""The code of the warning that a line should be deleted and cannot be (lifecycles §17.6)."""


def series_needed(namespace: str, facts: InvoiceFacts) -> tuple[Stream, ...]:
    """The number series that have to be in hand where an invoice may be issued or credited."""
    return (
        numbering.stream(namespace, facts.invoice_series),
        numbering.stream(namespace, facts.credit_note_series),
    )


# ── creation ─────────────────────────────────────────────────────────────────────────────────────────────────


@exact
def create(draft: Draft, request: NewInvoice, facts: InvoiceFacts) -> tuple[UUID, tuple[InvoiceNotice, ...]]:
    """Make a draft invoice of lines that are due; its id, and a `LineCreated` for the charge of every line.

    Raises `ValidationFailed` with everything that is wrong: `no_lines`, `currency_not_fiat`, `duplicate_charge` (every
    duplicate is named, R-22), and what `check_content` finds.
    """
    findings = Findings()
    if not request.lines:
        findings.add("lines", "no_lines", "an invoice needs at least one line")
    if request.currency.is_custom:
        findings.add("currency", "currency_not_fiat", f"invoices are in fiat, not in {request.currency.code}")
    charges: set[UUID] = set()
    for i, line in enumerate(request.lines):
        _check_line(line, request.currency, charges, findings, f"lines[{i}]")
        charges.add(line.charge_id)
    findings.raise_if_any()

    invoice_id = facts.mint()
    draft.emit(
        stream(invoice_id, request.customer),
        InvoiceDrafted(
            currency=request.currency,
            lines=tuple(_drafted(line, facts) for line in request.lines),
            description=request.description,
            moved=Moved(
                status_from=InvoiceStatus.NONE,
                status_to=InvoiceStatus.DRAFT_CREATED,
                trigger=InvoiceTrigger.CREATE,
            ),
        ),
    )
    turn = InvoiceTurn(draft, invoice_id, facts)
    for drafted in turn.invoice.lines:
        turn.tell(LineCreated, drafted, period=drafted.content.period, currency=request.currency)
    return invoice_id, turn.told()


@exact
def add_line(
    draft: Draft, invoice_id: UUID, line: NewLine, facts: InvoiceFacts
) -> tuple[UUID, tuple[InvoiceNotice, ...]]:
    """Put a line on an open invoice, which goes back to collection for it; its id, and a `LineCreated`.

    Refuses, in this order: `InvoiceNotFound`; `InvoiceOperationRefused`; everything wrong with the line
    (`ValidationFailed`: `duplicate_charge` and what `check_content` finds).
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    require(turn, InvoiceTrigger.LINE_ADDED)
    invoice, findings = turn.invoice, Findings()
    charges = {existing.charge_id for existing in invoice.live_lines}
    _check_line(line, invoice.currency, charges, findings, "line")
    findings.raise_if_any()

    added = _drafted(line, facts)
    turn.emit(LineAdded(line=added, moved=_to(turn, InvoiceStatus.DRAFT_CREATED, InvoiceTrigger.LINE_ADDED)))
    turn.tell(LineCreated, turn.line(added.line_id), period=line.content.period, currency=invoice.currency)
    return added.line_id, turn.told()


# ── moving on ────────────────────────────────────────────────────────────────────────────────────────────────


@exact
def advance(draft: Draft, invoice_id: UUID, facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
    """Walk `next` until no row holds, or until charges or the outside have to be told; what they have to be told.

    Carry the notices out and call again; no notices means that the invoice is stable. Where something refuses, call
    `fail` instead. Raises `InvoiceNotFound`, and `ValidationFailed` for tax that was answered wrongly.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    for _ in range(len(PATH.rows)):
        row = PATH.permitted(turn.invoice.status, InvoiceTrigger.NEXT, turn)
        if row is None:
            break
        row.then(turn, row)
        if turn.notices:
            break
    return turn.told()


@exact
def approve(draft: Draft, invoice_id: UUID, facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
    """Approve an invoice that waits for it, and begin to issue it. Raises `InvoiceNotFound`, `InvoiceOperationRefused`.

    Then `advance`, until it is stable: it is issued by the time.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    fire(turn, InvoiceTrigger.APPROVE)
    return turn.told()


@exact
def fail(draft: Draft, invoice_id: UUID, failures: Sequence[Failure], facts: InvoiceFacts) -> None:
    """Note that the present step was refused; the reasons become issues of the invoice, which waits for a retry.

    Raises `InvoiceNotFound`, `InvoiceOperationRefused` where no step is under way.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    require(turn, InvoiceTrigger.FAILED)
    issues = tuple(
        Issue(severity=Severity.CRITICAL, code=failure.code, message=failure.message, line_id=failure.line_id)
        for failure in failures
    )
    to = FAILED_AT[turn.invoice.status]
    turn.emit(StepFailed(issues=issues, moved=_to(turn, to, InvoiceTrigger.FAILED)))


@exact
def retry(draft: Draft, invoice_id: UUID, facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
    """Repeat the step that failed: the same notices again. Raises `InvoiceNotFound`, `InvoiceOperationRefused`."""
    turn = InvoiceTurn(draft, invoice_id, facts)
    fire(turn, InvoiceTrigger.RETRY)
    return turn.told()


# ── effects of charges ───────────────────────────────────────────────────────────────────────────────────────


@exact
def apply(draft: Draft, effects: Sequence[InvoiceEffect], facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
    """Apply the effects of one round, in their order; what the charges have to be told of it (lifecycles §4.3, §17.5).

    Raises, for each effect in turn: `InvoiceNotFound`, `LineNotFound`; for updates `InvoiceOperationRefused` on an
    immutable invoice, then `ValidationFailed` with what `check_content` finds; for credit `CreditNotesUnavailable`,
    `InvoiceOperationRefused`, `CreditExceedsLine`; for a line that sells less `IssuedLineStands` where it was issued
    and credit notes are off, or `InvoiceOperationRefused`; for unapplied credit `UnappliedCreditExceeded`. A draft that
    is left without lines is deleted at the end.
    """
    turns: dict[UUID, InvoiceTurn] = {}
    notices: list[InvoiceNotice] = []
    for effect in effects:
        turn = turns.setdefault(effect.invoice_id, InvoiceTurn(draft, effect.invoice_id, facts))
        match effect:
            case InvoiceLineUpdated():
                _update(turn, effect)
            case InvoiceLineDeletionRequested():
                _delete_or_credit(turn, effect.line_id)
            case InvoiceLineReduced():
                _reduce(turn, effect)
            case CreditNoteRequested():
                _credit(turn, effect)
            case UnappliedCreditRequested():
                give_back_unapplied(turn, effect)
            case _ as unreachable:
                assert_never(unreachable)
        notices += turn.notices
        turn.notices.clear()
    for turn in turns.values():
        _delete_when_empty(turn)
    return tuple(notices)


def _update(turn: InvoiceTurn, effect: InvoiceLineUpdated) -> None:
    line = turn.line(effect.line_id)
    require(turn, InvoiceTrigger.UPDATE_LINE)
    findings = Findings()
    check_content(effect.content, turn.invoice.currency, findings, f"lines[{line.line_id}]")
    findings.raise_if_any()

    if (effect.content, effect.run_id or line.run_id) != (line.content, line.run_id):
        turn.emit(LineUpdated(line_id=line.line_id, run_id=effect.run_id, content=effect.content))


def _delete_or_credit(turn: InvoiceTurn, line_id: UUID) -> None:
    """Delete the line of a mutable invoice; credit that of an immutable one, or else warn about it, once."""
    line = turn.line(line_id)
    status = turn.invoice.status
    if status.is_mutable:
        _delete_line(turn, line_id, DeletionReason.CHARGE)
    elif turn.facts.credit_notes and (status.is_payable or status is InvoiceStatus.CLOSED_UNNUMBERED):
        if not is_credited_in_full(line):
            record_credit(turn, (LineCredit(line_id=line_id),), CreditCause.INTENT_CHANGED, None)
    elif not any(issue.code == IMMUTABLE and issue.line_id == line_id for issue in turn.invoice.issues):
        message = "line should be deleted, but the invoice is immutable"
        warning = Issue(severity=Severity.WARNING, code=IMMUTABLE, message=message, line_id=line_id)
        turn.emit(InvoiceWarned(issue=warning))
        turn.tell(LineDeletionUnsupported, line)


def _reduce(turn: InvoiceTurn, effect: InvoiceLineReduced) -> None:
    """Let a draft show less; credit an issued line by what it asks for beyond what is owed."""
    line = turn.invoice.line(effect.line_id)
    if line is None or not line.is_live:
        return
    if not turn.invoice.status.is_payable:
        if effect.content.totals.total:
            _update(turn, InvoiceLineUpdated(invoice_id=turn.invoice_id, line_id=line.line_id, content=effect.content))
        else:
            require(turn, InvoiceTrigger.DELETE_LINE)
            _delete_line(turn, line.line_id, DeletionReason.CHARGE)
        return
    beyond = line.open.net - effect.owed
    if beyond <= 0:
        return
    if not turn.facts.credit_notes:
        raise IssuedLineStands(turn.invoice_id, beyond)
    require(turn, InvoiceTrigger.CREDIT)
    record_credit(turn, (LineCredit(line_id=line.line_id, amount=beyond),), CreditCause.INTENT_CHANGED, None)


def _credit(turn: InvoiceTurn, effect: CreditNoteRequested) -> None:
    turn.line(effect.line_id)
    if not turn.facts.credit_notes:
        raise CreditNotesUnavailable(turn.invoice_id)
    require(turn, InvoiceTrigger.CREDIT)
    findings, currency = Findings(), turn.invoice.currency
    if effect.amount is not None and (effect.amount <= 0 or not currency.holds(effect.amount)):
        message = f"a credit note takes back an amount of {currency.code} above zero, got {effect.amount:f}"
        findings.add("amount", "not_positive", message)
    findings.raise_if_any()
    credited = LineCredit(line_id=effect.line_id, amount=effect.amount)
    record_credit(turn, (credited,), effect.cause, effect.reason, effect.set_off)


# ── by hand ──────────────────────────────────────────────────────────────────────────────────────────────────


@exact
def describe(draft: Draft, invoice_id: UUID, description: str | None, facts: InvoiceFacts) -> None:
    """Set the description, or take it away; until the invoice is issued (decision 31).

    Raises `InvoiceNotFound`, `InvoiceOperationRefused`. The same text again records nothing.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    require(turn, InvoiceTrigger.DESCRIBE)
    if description != turn.invoice.description:
        turn.emit(InvoiceDescribed(description=description))


@exact
def edit_line(
    draft: Draft, invoice_id: UUID, line_id: UUID, edit: LineEdit, facts: InvoiceFacts
) -> tuple[InvoiceNotice, ...]:
    """Ask the charge of a line to change as the API wants it; the charge's answer updates the line (§10.1).

    Refuses, in this order: `InvoiceNotFound`; `LineNotFound`; `InvoiceOperationRefused`;
    `CannotUpdateChargeManagedLine`; everything wrong with the edit (`ValidationFailed`: `nothing_to_edit`,
    `name_missing`, `negative_amount`, `too_many_decimals`, `not_editable`); `LineZeroAmountDeleteInstead`.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    line = turn.line(line_id)
    require(turn, InvoiceTrigger.EDIT_LINE)
    if not line.editable and line.kind is not LineKind.USAGE:
        raise CannotUpdateChargeManagedLine(line_id=line_id, charge_id=line.charge_id)
    _check_edit(edit, line.kind, turn.invoice.currency)
    if edit.amount is not None and not edit.amount:
        raise LineZeroAmountDeleteInstead(line_id)

    turn.tell(
        LineEditAsked,
        line,
        name=edit.name,
        description=edit.description,
        period=edit.period,
        amount=edit.amount,
        metadata=edit.metadata,
        discounts=edit.discounts,
    )
    return turn.told()


@exact
def delete_line(draft: Draft, invoice_id: UUID, line_id: UUID, facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
    """Take a line off a draft, and with its last line the invoice; the charge is told to clean up (§17.5).

    Refuses, in this order: `InvoiceNotFound`; `LineNotFound`; `InvoiceOperationRefused` (issued lines are credited);
    `CannotUpdateChargeManagedLine`.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    line = turn.line(line_id)
    require(turn, InvoiceTrigger.DELETE_LINE)
    if not line.editable:
        raise CannotUpdateChargeManagedLine(line_id=line_id, charge_id=line.charge_id)

    _delete_line(turn, line_id, DeletionReason.REQUESTED)
    _delete_when_empty(turn)
    return turn.told()


@exact
def delete(draft: Draft, invoice_id: UUID, facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
    """Delete a draft as a whole; the charges of its lines are told so. Issued invoices are voided instead.

    Raises `InvoiceNotFound`, `InvoiceOperationRefused`.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    require(turn, InvoiceTrigger.DELETE)

    lines = turn.invoice.live_lines
    _delete(turn, DeletionReason.REQUESTED)
    for line in lines:
        turn.tell(LineRemoved, line, whole_invoice=True)
    return turn.told()


# ── what several of them do ──────────────────────────────────────────────────────────────────────────────────


def _delete_line(turn: InvoiceTurn, line_id: UUID, reason: DeletionReason) -> None:
    line = turn.line(line_id)
    turn.emit(LineDeleted(line_id=line_id, reason=reason, deleted_at=turn.now))
    turn.tell(LineRemoved, line)


def _delete_when_empty(turn: InvoiceTurn) -> None:
    """A mutable invoice that loses its last line is deleted (lifecycles §17.5)."""
    if turn.invoice.status.is_mutable and not turn.invoice.live_lines:
        _delete(turn, DeletionReason.LAST_LINE)


def _delete(turn: InvoiceTurn, reason: DeletionReason) -> None:
    lines = tuple(line.line_id for line in turn.invoice.live_lines)
    moved = _to(turn, InvoiceStatus.DELETED, InvoiceTrigger.DELETE)
    turn.emit(InvoiceDeleted(reason=reason, lines=lines, deleted_at=turn.now, moved=moved))


def _to(turn: InvoiceTurn, status: InvoiceStatus, on: InvoiceTrigger) -> Moved:
    return Moved(status_from=turn.invoice.status, status_to=status, trigger=on)


def _drafted(line: NewLine, facts: InvoiceFacts) -> LineDraft:
    return LineDraft(
        line_id=line.line_id or facts.mint(),
        charge_id=line.charge_id,
        kind=line.kind,
        content=line.content,
        managed_by=line.managed_by,
        editable=line.editable,
    )


def _check_line(line: NewLine, currency: Currency, charges: set[UUID], findings: Findings, path: str) -> None:
    if line.charge_id in charges:
        message = f"charge {line.charge_id} has a line on this invoice already"
        findings.add(f"{path}.charge_id", "duplicate_charge", message)
    check_content(line.content, currency, findings, f"{path}.content")


def _check_edit(edit: LineEdit, kind: LineKind, currency: Currency) -> None:
    findings = Findings()
    if edit == LineEdit():
        findings.add("", "nothing_to_edit", "the edit changes nothing")
    if edit.name is not None and not edit.name.strip():
        findings.add("name", "name_missing", "a line needs a name")
    if edit.amount is not None and edit.amount < 0:
        findings.add("amount", "negative_amount", f"amount cannot be below zero, got {edit.amount:f}")
    if edit.amount is not None and not currency.holds(edit.amount):
        message = f"{edit.amount:f} has more than the {currency.precision} decimals of {currency.code}"
        findings.add("amount", "too_many_decimals", message)
    fixed = ("period", "amount") if kind is LineKind.USAGE else ("discounts",)
    for field in fixed:
        if getattr(edit, field) is not None:
            findings.add(field, "not_editable", f"the line of {kind.value} has its {field} from its charge")
    findings.raise_if_any()


def invoice_in_hand(draft: Draft, invoice_id: UUID) -> Invoice | None:
    """The invoice as the draft has it, if it has."""
    state = draft.state(invoice_id)
    return state if isinstance(state, Invoice) else None
