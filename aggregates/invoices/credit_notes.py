"""Credit notes: how issued value is taken back, in full or in part, without touching what was issued (decision 23).

A credit note names its invoice by number and has a number of a series of its own. On every line it takes what nobody
has paid first, and what was paid last; the paid part is the customer's from then on: unapplied credit, set against the
next invoice or refunded. A voided invoice is a credit note in full (decision 22).

    a fee of 100.00, paid, cut to 10 of 31 days (32.26): credit note 67.74, unapplied credit 67.74
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from aggregates.invoices.documents import CreditCause, CreditedLine, CreditNote
from aggregates.invoices.effects import InvoiceNotice, LineCredited, LineReinstated
from aggregates.invoices.events import CreditNoteIssued, InvoiceVoided, Moved, UnappliedCreditUsed
from aggregates.invoices.facts import InvoiceFacts
from aggregates.invoices.lifecycle import follow, require
from aggregates.invoices.lines import InvoiceLine, LineKind, Portion
from aggregates.invoices.numbering import DocumentKind, draw
from aggregates.invoices.refusals import CreditExceedsLine, CreditNotesUnavailable, PurchaseLineFollowsCredit
from aggregates.invoices.requests import LineCredit
from aggregates.invoices.statuses import InvoiceStatus, InvoiceTrigger
from aggregates.invoices.turn import InvoiceTurn
from aggregates.outcome import Draft
from aggregates.values.decimals import ZERO, divide, exact
from aggregates.values.errors import Findings
from aggregates.values.money import Currency


@exact
def credit(
    draft: Draft,
    invoice_id: UUID,
    lines: Sequence[LineCredit],
    facts: InvoiceFacts,
    *,
    cause: CreditCause = CreditCause.GOODWILL,
    reason: str | None = None,
) -> tuple[InvoiceNotice, ...]:
    """Take back some of an issued invoice by one credit note.

    Refuses, in this order: `InvoiceNotFound`; `CreditNotesUnavailable`; `InvoiceOperationRefused` before the invoice is
    issued or after it was voided; amounts that cannot be, and a line named twice (`ValidationFailed`: `no_lines`,
    `not_positive`, `too_many_decimals`, `duplicate_line`); `LineNotFound`; `PurchaseLineFollowsCredit`;
    `CreditExceedsLine`.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    _require_available(turn, InvoiceTrigger.CREDIT)
    _check(turn, lines)
    for credited in lines:
        line = turn.line(credited.line_id)
        if line.kind is LineKind.CREDIT_PURCHASE:
            raise PurchaseLineFollowsCredit(line_id=line.line_id, charge_id=line.charge_id)
    record_credit(turn, lines, cause, reason)
    return turn.told()


@exact
def void(
    draft: Draft, invoice_id: UUID, facts: InvoiceFacts, *, reason: str | None = None
) -> tuple[InvoiceNotice, ...]:
    """Void an issued invoice: credit all that is left of it; it is over then.

    What was paid becomes unapplied credit. Refuses, in this order: `InvoiceNotFound`; `CreditNotesUnavailable`;
    `InvoiceOperationRefused` (a draft is deleted instead).
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    _require_available(turn, InvoiceTrigger.VOID)

    status = turn.invoice.status
    lines = [LineCredit(line_id=line.line_id) for line in turn.invoice.live_lines if not _is_gone(line)]
    _credit(turn, lines, CreditCause.INVOICE_VOIDED, reason)
    moved = Moved(status_from=status, status_to=InvoiceStatus.VOIDED, trigger=InvoiceTrigger.VOID)
    turn.emit(InvoiceVoided(reason=reason, moved=moved))
    return turn.told()


def record_credit(
    turn: InvoiceTurn,
    lines: Sequence[LineCredit],
    cause: CreditCause,
    reason: str | None,
    set_off: UUID | None = None,
) -> None:
    """Credit these lines and follow where that leads. Raises `LineNotFound`, `CreditExceedsLine`."""
    _credit(turn, lines, cause, reason, set_off)
    follow(turn, InvoiceTrigger.CREDIT)


def is_credited_in_full(line: InvoiceLine) -> bool:
    """Whether a credit note has taken the whole line back."""
    return bool(line.credited.amount) and _is_gone(line)


# ── what a note takes of a line ──────────────────────────────────────────────────────────────────────────────


class _Taken(NamedTuple):
    line: InvoiceLine
    whole: Portion
    lapsed: Portion
    reinstated: Portion
    freed: Portion
    in_full: bool


def _credit(
    turn: InvoiceTurn,
    lines: Sequence[LineCredit],
    cause: CreditCause,
    reason: str | None,
    set_off: UUID | None = None,
) -> None:
    """Issue one credit note over the lines; none where there is nothing to take back in money.

    Where it settles a run, what was paid, without tax, is not left as unapplied credit: it goes to the balance.
    """
    taken = [_take(turn.line(credited.line_id), credited.amount, turn.invoice.currency) for credited in lines]
    worth = [part for part in taken if part.whole.amount]
    note_id = turn.facts.mint() if worth else None
    if note_id is not None:
        turn.emit(CreditNoteIssued(credit_note=_note(turn, note_id, worth, cause, reason)))
    for part in taken:
        if set_off is not None and part.freed.net:
            turn.emit(UnappliedCreditUsed(amount=part.freed.net, set_off=set_off))
        if part.reinstated.amount:
            turn.tell(LineReinstated, part.line, amount=part.reinstated.amount, net=part.reinstated.net)
        after = turn.line(part.line.line_id)
        turn.tell(
            LineCredited,
            part.line,
            amount=part.whole.amount,
            net=part.whole.net,
            freed=part.freed.amount,
            in_full=part.in_full,
            cause=cause,
            credit_note_id=note_id if part.whole.amount else None,
            freed_net=part.freed.net,
            set_off=set_off,
            closes=not after.open.amount and not after.written_off.amount,
        )


def _take(line: InvoiceLine, net: Decimal | None, currency: Currency) -> _Taken:
    """Take so much net of a line, bucket by bucket; everything when no amount is given or nothing would stay."""
    left = line.creditable.net
    if net is not None and net > left:
        raise CreditExceedsLine(asked=net, left=left, line_id=line.line_id)
    in_full = net is None or net == left
    rest = left if net is None else net
    parts: list[Portion] = []
    for bucket in (line.unauthorized, line.authorized, line.written_off, line.paid):
        part = bucket if in_full else _by_net(bucket, min(rest, bucket.net), currency)
        parts.append(part)
        rest -= part.net
    unpromised, lapsed, reinstated, freed = parts
    whole = unpromised.plus(lapsed).plus(reinstated).plus(freed)
    return _Taken(line, whole, lapsed, reinstated, freed, in_full)


def _by_net(bucket: Portion, net: Decimal, currency: Currency) -> Portion:
    """The part of a bucket with that net, and its proportion of the tax."""
    if net == bucket.net:
        return bucket
    tax = bucket.amount - bucket.net
    return Portion(amount=net + divide(tax * net, bucket.net, currency.precision), net=net)


def _note(
    turn: InvoiceTurn, note_id: UUID, taken: Sequence[_Taken], cause: CreditCause, reason: str | None
) -> CreditNote:
    issued = turn.invoice.issued
    assert issued is not None, f"invoice {turn.invoice_id} is credited before it was issued"
    lines = tuple(
        CreditedLine(
            line_id=part.line.line_id,
            amount=part.whole.amount,
            net=part.whole.net,
            lapsed=part.lapsed.amount,
            lapsed_net=part.lapsed.net,
            reinstated=part.reinstated.amount,
            reinstated_net=part.reinstated.net,
            freed=part.freed.amount,
            freed_net=part.freed.net,
            in_full=part.in_full,
        )
        for part in taken
    )
    return CreditNote(
        credit_note_id=note_id,
        number=draw(turn.draft, turn.facts.credit_note_series, DocumentKind.CREDIT_NOTE, note_id),
        invoice_number=issued.number.text,
        cause=cause,
        reason=reason,
        issue_date=turn.now.astimezone(ZoneInfo(turn.facts.zone)).date(),
        lines=lines,
        total=sum((line.amount for line in lines), ZERO),
        tax_total=sum((line.amount - line.net for line in lines), ZERO),
    )


# ── what may be asked ────────────────────────────────────────────────────────────────────────────────────────


def _require_available(turn: InvoiceTurn, operation: InvoiceTrigger) -> None:
    invoice = turn.invoice
    if not turn.facts.credit_notes:
        raise CreditNotesUnavailable(invoice.id)
    require(turn, operation)


def _check(turn: InvoiceTurn, lines: Sequence[LineCredit]) -> None:
    currency, findings, seen = turn.invoice.currency, Findings(), set[UUID]()
    if not lines:
        findings.add("lines", "no_lines", "a credit note names at least one line")
    for i, line in enumerate(lines):
        path = f"lines[{i}]"
        if line.line_id in seen:
            findings.add(f"{path}.line_id", "duplicate_line", f"line {line.line_id} is named twice")
        seen.add(line.line_id)
        if line.amount is not None and line.amount <= 0:
            findings.add(f"{path}.amount", "not_positive", f"amount must be above zero, got {line.amount:f}")
        if line.amount is not None and not currency.holds(line.amount):
            message = f"{line.amount:f} has more than the {currency.precision} decimals of {currency.code}"
            findings.add(f"{path}.amount", "too_many_decimals", message)
    findings.raise_if_any()


def _is_gone(line: InvoiceLine) -> bool:
    return bool(line.payable.amount) and not line.creditable.amount
