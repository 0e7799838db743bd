"""Rounds: an invoice and the charges of its lines, talking until nobody has anything to say (lifecycles §4.3, §17.3).

`Tell` is how a notice reaches whoever it is for: it works on the same draft, answers with the effects that came of it,
and raises what it refuses. All effects of one round are applied as one batch; they may give rise to notices, which
begin the next round. More than 100 rounds are a defect. Everything here is one decision: nothing is saved in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

import msgspec

from aggregates.invoices import decisions
from aggregates.invoices.effects import InvoiceEffect, InvoiceNotice, Notice, SyncRequested
from aggregates.invoices.facts import InvoiceFacts, TaxNeeded
from aggregates.invoices.lifecycle import FAILED_AT
from aggregates.invoices.lines import LineTax
from aggregates.invoices.refusals import UnhandledInvoiceEffects
from aggregates.invoices.requests import Failure
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.invoices.tax import taxes_needed
from aggregates.invoices.turn import InvoiceTurn
from aggregates.outcome import Draft
from aggregates.values.errors import OUTAGES, LedgerError

MOST_ROUNDS = 100

Tell: TypeAlias = Callable[[InvoiceNotice], Sequence[InvoiceEffect]]
AskTax: TypeAlias = Callable[[Sequence[TaxNeeded]], Mapping[UUID, LineTax]]


def deliver(draft: Draft, notices: Sequence[InvoiceNotice], facts: InvoiceFacts, tell: Tell) -> None:
    """Carry notices out, apply what is answered, and so on until it is quiet. What is refused is raised."""
    for _ in range(MOST_ROUNDS):
        effects = [effect for notice in notices for effect in tell(notice)]
        if not effects:
            return
        notices = decisions.apply(draft, effects, facts)
        if not notices:
            return
    raise UnhandledInvoiceEffects(invoice_id=_invoice_of(notices), rounds=MOST_ROUNDS)


def apply(draft: Draft, effects: Sequence[InvoiceEffect], facts: InvoiceFacts, tell: Tell) -> None:
    """Apply what charges ask of invoices (a patch, say), and carry out what comes of it."""
    if effects:
        deliver(draft, decisions.apply(draft, effects, facts), facts, tell)


def advance(
    draft: Draft,
    invoice_id: UUID,
    facts: InvoiceFacts,
    tell: Tell,
    *,
    notices: Sequence[InvoiceNotice] = (),
    tax: AskTax | None = None,
) -> bool:
    """Move an invoice as far as it goes by itself; whether it moved.

    `notices` are those of the creation, approval or retry that led here. A charge that refuses its new line is raised:
    there is no invoice then. Later a charge, or the outside, that refuses what a step asks
    leaves the invoice in the failed status of that step, with the reasons as issues: the rest of the lines have been
    told all the same, and nothing of the refused part is kept. `tax` answers what tax the lines carry, once they are
    final; without it none is calculated. Raises `InvoiceNotFound`.
    """
    before = draft.version(invoice_id)
    pending = tuple(notices)
    while True:
        if pending and not _may_fail(draft, invoice_id):
            deliver(draft, pending, facts, tell)
        elif pending:
            failures = _try(draft, pending, facts, tell)
            if failures:
                decisions.fail(draft, invoice_id, failures, facts)
                break
        savepoint, version = draft.savepoint(), draft.version(invoice_id)
        try:
            pending = decisions.advance(draft, invoice_id, _with_tax(draft, invoice_id, facts, tax))
        except LedgerError as refusal:
            if not _is_syncing(draft, invoice_id):
                raise
            draft.rollback(savepoint)
            decisions.fail(draft, invoice_id, [Failure(code=refusal.code, message=str(refusal))], facts)
            break
        if draft.version(invoice_id) == version:
            break
    return draft.version(invoice_id) > before


def _try(draft: Draft, notices: Sequence[InvoiceNotice], facts: InvoiceFacts, tell: Tell) -> list[Failure]:
    """Carry out each notice on its own; forget what a refused one had begun, and say why it was refused.

    A store or a meter that did not answer refused nothing: that is raised, so that the same command can be sent again.
    The outside that an invoice is sent to is asked in a status of its own, and keeps the invoice there.
    """
    failures: list[Failure] = []
    for notice in notices:
        savepoint = draft.savepoint()
        try:
            deliver(draft, (notice,), facts, tell)
        except LedgerError as refusal:
            if isinstance(refusal, OUTAGES) and not isinstance(notice, SyncRequested):
                raise
            draft.rollback(savepoint)
            line_id = notice.line_id if isinstance(notice, Notice) else None
            failures.append(Failure(code=refusal.code, message=str(refusal), line_id=line_id))
    return failures


def _with_tax(draft: Draft, invoice_id: UUID, facts: InvoiceFacts, tax: AskTax | None) -> InvoiceFacts:
    """The facts with the tax of the invoice, when its lines have just become final."""
    if tax is None or not _is_syncing(draft, invoice_id):
        return facts
    needed = taxes_needed(InvoiceTurn(draft, invoice_id, facts).invoice)
    return msgspec.structs.replace(facts, taxes=dict(tax(needed)))


def _may_fail(draft: Draft, invoice_id: UUID) -> bool:
    """Whether a step is under way that can fail and be retried."""
    invoice = decisions.invoice_in_hand(draft, invoice_id)
    return invoice is not None and invoice.status in FAILED_AT


def _is_syncing(draft: Draft, invoice_id: UUID) -> bool:
    invoice = decisions.invoice_in_hand(draft, invoice_id)
    return invoice is not None and invoice.status is InvoiceStatus.ISSUING_SYNCING


def _invoice_of(notices: Sequence[InvoiceNotice]) -> UUID | None:
    return notices[0].invoice_id if notices else None
