"""What was paid and is not owed any more: credit, money that goes back, or unapplied (decision 23, lifecycles §16.6).

A credit note over a paid line leaves unapplied credit on its invoice. Where the charge of the line is deleted, the
deletion says what becomes of it; where the note settles a run below zero, it is credit of the customer.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.charges.events import InvoiceRefund
from aggregates.charges.turn import Turn
from aggregates.credits import decisions as pool
from aggregates.credits.events import UnappliedUse
from aggregates.credits.pool import CreditPool
from aggregates.credits.requests import InvoicePayment, OpenBalance, SpendUnapplied
from aggregates.credits.unapplied import net_of
from aggregates.event import DomainEvent
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.effects import LineCredited, UnappliedCreditRequested
from aggregates.policies import Invoicing
from aggregates.runs.events import CorrectionCredited
from aggregates.values.decimals import ONE, ZERO
from aggregates.values.identifiers import GroupRef


def freed(turn: Turn, notice: LineCredited, request: InvoicePayment) -> InvoicePayment:
    """The request with what the note makes unapplied credit of.

    What settles a run below zero becomes credit at once, so only the tax of it is unapplied (run rating R14). An
    invoicing system outside keeps its own account of what is unapplied.
    """
    if turn.facts.policies.invoicing is Invoicing.OUTSIDE and not _goes_back(turn, notice):
        return request
    net = notice.freed_net if notice.set_off is None else ZERO
    amount = notice.freed if notice.set_off is None else notice.freed - notice.freed_net
    return msgspec.structs.replace(request, invoice=notice.invoice_id, freed=amount, freed_net=net)


def give_back(turn: Turn, notice: LineCredited, run_id: UUID) -> None:
    """Let what had been paid of a deleted charge go back as its deletion says: as money, or as credit.

    Credit is what had been paid, not a gift: at cost basis 1, without expiry, the run as its source, net of tax.
    """
    if not _goes_back(turn, notice):
        return
    as_credit = turn.charge.invoice_refund is InvoiceRefund.GRANT_CREDITS
    request = SpendUnapplied(
        invoice=notice.invoice_id,
        amount=notice.freed,
        use=UnappliedUse.GRANTED if as_credit else UnappliedUse.REFUNDED,
        booked_at=turn.facts.instant,
        closed_until=turn.facts.closed_until,
    )
    if as_credit:
        _credit(turn, run_id, net_of(fiat_pool(turn), request))
    book(turn, pool.spend_unapplied(fiat_pool(turn), request))
    turn.ask(UnappliedCreditRequested(invoice_id=notice.invoice_id, amount=notice.freed, as_credit=as_credit))


def correct_by_credit(turn: Turn, run_id: UUID, paid_run: UUID, amount: Decimal) -> None:
    """What was paid too much is credit of the customer now, worth exactly that, with the run as its source.

    It is value that was paid for: at cost basis 1, without an expiry, not covering advance of its own accord.
    """
    group = _credit(turn, run_id, amount)
    turn.draft.emit(
        turn.run_stream(run_id),
        CorrectionCredited(amount=amount, currency=turn.charge.invoice_currency, paid_run=paid_run, ledger_group=group),
    )


def _goes_back(turn: Turn, notice: LineCredited) -> bool:
    """Whether the note is the deletion of a charge that says what becomes of what was paid (lifecycles §16.6)."""
    charge = turn.charge
    is_deletion = notice.cause is CreditCause.INTENT_CHANGED and charge.is_deleted
    return bool(notice.freed) and is_deletion and charge.invoice_refund is not InvoiceRefund.IGNORE


def _credit(turn: Turn, run_id: UUID, amount: Decimal) -> GroupRef:
    event = pool.open_balance(
        fiat_pool(turn),
        OpenBalance(
            source=run_id,
            amount=amount,
            settled=False,
            cost_basis=ONE,
            effective_at=turn.facts.instant,
            closed_until=turn.facts.closed_until,
        ),
    )
    group = book(turn, event)
    assert group is not None, f"run {run_id}: no credit was given for {amount}"
    return group


# ── the pool in which it is booked ───────────────────────────────────────────────────────────────────────────


def fiat_pool(turn: Turn) -> CreditPool:
    """The pool of the currency that is invoiced, with everything decided so far."""
    stream = turn.charge.fiat_pool
    assert turn.draft.holds(stream.id), f"the pool {stream.id} has to be in hand before anything is booked"
    state: CreditPool | None = turn.draft.state(stream.id)
    return state if state is not None else CreditPool.empty(turn.charge.invoice_currency)


def invoiced_in_hand(turn: Turn, run_id: UUID) -> CreditPool:
    """That pool with what the run was invoiced, brought back where it has left the state (decision 40)."""
    history = turn.facts.histories.get(turn.charge.fiat_pool.id)
    if history is not None:
        for event in pool.bring_accrual_back(fiat_pool(turn), run_id, history):
            book(turn, event)
    return fiat_pool(turn)


def book(turn: Turn, event: DomainEvent | None) -> GroupRef | None:
    """Put an event into that pool's stream; what names its posting group, None where nothing was booked."""
    if event is None:
        return None
    record = turn.draft.emit(turn.charge.fiat_pool, event)
    return GroupRef(record.stream, record.version)
