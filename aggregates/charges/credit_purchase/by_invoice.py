"""Purchases that are paid by invoice: their line, their credit and their price stay one thing (lifecycles §11.3, §17).

What is taken back of the credit is taken off the line: off what waits, off a draft, and by a credit note off what was
issued. What becomes of the line and of money for it is booked as it is told. Where the line goes, credit that nobody
used is taken back, and what was used is invoiced again.

    100 at 0.5 on an issued invoice, 40 used, voided: a credit note of 30.00, and 20.00 are asked for and owed
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from aggregates.charges import gathering
from aggregates.charges.credit_purchase.credit import book, give_up_grant, in_hand, known, payment
from aggregates.charges.events import (
    ChargeFinalized,
    InvoiceLineLinked,
    PaymentAwaited,
    PurchaseReduced,
    PurchaseVoided,
)
from aggregates.charges.giving_back import book as book_in_fiat
from aggregates.charges.giving_back import fiat_pool
from aggregates.charges.intent import InvoiceSettlement
from aggregates.charges.line_content import purchase_content
from aggregates.charges.requests import TakeBack
from aggregates.charges.state import LinkedLine
from aggregates.charges.turn import Turn
from aggregates.credits import decisions as pool
from aggregates.credits.events import CreditVoided, PaymentAdjustment
from aggregates.credits.pool import CreditPool, Purchase
from aggregates.credits.refusals import NothingToRefund, ReductionExceedsUnused
from aggregates.credits.requests import ArisenUnapplied, OfLine, PurchasePayment, RefundPurchase, Void
from aggregates.credits.voiding import left_of
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.effects import (
    InvoiceLineReduced,
    InvoiceLineUpdated,
    LineCreated,
    LineCredited,
    LinePaymentFailed,
    LinePaymentSettled,
    LineReinstated,
    LineWrittenOff,
)
from aggregates.invoices.lines import LineContent
from aggregates.invoices.refusals import PurchaseLineFollowsCredit
from aggregates.invoices.state import Invoice
from aggregates.lifecycle import Row
from aggregates.policies import CreditNotes, Invoicing
from aggregates.values.decimals import ZERO
from aggregates.values.errors import PreconditionFailed
from aggregates.values.identifiers import GroupRef

# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────────


def nothing_is_granted_any_more(turn: Turn) -> bool:
    """Whether the credit was cancelled before its line was made, or has expired before it."""
    cancelled = turn.charge.grant is None and turn.charge.voided is not None
    return cancelled or gathering.has_lapsed(turn.charge, turn.now)


def waits_to_be_invoiced_again(turn: Turn) -> bool:
    """Whether its line is gone, and some of what was granted is still to be paid."""
    return turn.charge.gathering_line is not None


def nothing_is_left_to_pay(turn: Turn) -> bool:
    """Whether nothing is asked for it any more: it was paid in parts, taken back or given up."""
    return turn.charge.gathering_line is None and pool.owed_on_line(_in_state(turn), terms(turn)) <= 0


def nothing_is_promised(turn: Turn) -> bool:
    """Whether the promised payment is not to come any more."""
    return not known(turn).fiat_promised


# ── work ─────────────────────────────────────────────────────────────────────────────────────────────────────


def end_ungranted(turn: Turn, row: Row[Turn]) -> None:
    """Nothing was granted and nothing is owed: nothing is left to invoice."""
    if turn.charge.voided is None:
        give_up_grant(turn)
    gathering.drop(turn)
    turn.emit(ChargeFinalized(moved=turn.walked(row, None)))


def link_again(turn: Turn, row: Row[Turn]) -> None:
    """What was used of it has a line again; nothing is granted for that."""
    notice = turn.notice
    assert isinstance(notice, LineCreated), f"{row.rule} is walked when a line was made"
    turn.emit(InvoiceLineLinked(line_id=notice.line_id, invoice_id=notice.invoice_id))
    turn.emit(PaymentAwaited(moved=turn.walked(row, None)))
    gathering.drop(turn)
    turn.ask(InvoiceLineUpdated(invoice_id=notice.invoice_id, line_id=notice.line_id, content=content(turn)))


# ── what is asked of the purchase ────────────────────────────────────────────────────────────────────────────


def is_by_invoice(turn: Turn) -> bool:
    """Whether the purchase is paid by invoice."""
    return isinstance(turn.purchase.settlement, InvoiceSettlement)


def take_back(turn: Turn, asked: TakeBack) -> bool:
    """Take back what is left of the credit, or `amount` of it, and its price; False when that was done before.

    Nobody is asked for the price of what is taken back, whatever the adjustment. Where it was paid, `none` lets that
    stand until it is refunded; with the others it is credited and the customer's. An issued line of which nothing can
    be credited keeps its price: `none` leaves it as it is, and anything else is refused by the invoice
    (`IssuedLineStands`). Raises `NothingToVoid`, `ReductionExceedsUnused`; `PreconditionFailed` for all of what is not
    granted yet.
    """
    if turn.charge.grant is None:
        return _take_back_before_the_grant(turn, asked)
    stands = asked.payment_adjustment is PaymentAdjustment.NONE and _cannot_be_credited(turn)
    adjustment = _adjustment(turn, asked, stands=stands)
    request = Void(
        purchase=turn.charge_id,
        amount=asked.amount,
        booked_at=turn.facts.instant,
        payment_adjustment=adjustment,
        closed_until=turn.facts.closed_until,
    )
    event = pool.void(in_hand(turn), request)
    if event is None:
        return False
    _note_voided(turn, event, book(turn, event))
    if not stands:
        follow_credit(turn, frees=asked.payment_adjustment is not PaymentAdjustment.NONE)
    return True


def _adjustment(turn: Turn, asked: TakeBack, *, stands: bool) -> PaymentAdjustment:
    """What the pool does about money: the invoice frees what was paid, and that is refunded from there."""
    if turn.facts.policies.invoicing is Invoicing.OUTSIDE:
        return asked.payment_adjustment
    return PaymentAdjustment.NONE if stands else PaymentAdjustment.REDUCE


def _cannot_be_credited(turn: Turn) -> bool:
    """Whether the line was issued, or is outside, and nothing of it can be credited from here."""
    policies, line = turn.facts.policies, turn.charge.linked_line
    if policies.invoicing is Invoicing.OUTSIDE:
        return True
    invoice: Invoice | None = turn.draft.state(line.invoice_id) if line is not None else None
    is_issued = invoice is not None and invoice.status.is_payable
    return is_issued and policies.credit_notes is not CreditNotes.ON and turn.charge.gathering_line is None


def _take_back_before_the_grant(turn: Turn, asked: TakeBack) -> bool:
    """Sell less, or nothing: what waits to be invoiced is lowered, and nothing is booked.

    Voiding is for what is granted (lifecycles §11.4); before that a purchase is cancelled as a whole.
    """
    charge, sold = turn.charge, turn.purchase.credit_amount
    if charge.voided is not None:
        return False
    if asked.amount is None:
        message = f"purchase {charge.id} is not granted yet, so there is nothing to void: cancel it"
        raise PreconditionFailed(message, charge.id)
    left = sold - asked.amount
    if left < 0:
        raise ReductionExceedsUnused(asked.amount, sold, charge.id)
    if not left:
        give_up_grant(turn)
        return True
    turn.emit(PurchaseReduced(amount=sold - left, credit_amount=left))
    gathering.gather(turn, turn.purchase.service_period)
    return True


def follow_credit(turn: Turn, *, frees: bool) -> None:
    """Let what waits, or the line, come to what the credit costs now; `frees`: also where more than that was paid."""
    owed = pool.owed_on_line(_in_state(turn), terms(turn), standing=False)
    if turn.charge.gathering_line is not None:
        _gather(turn, owed)
        return
    line = turn.charge.linked_line
    assert line is not None, f"purchase {turn.charge_id} is granted, and has no line"
    turn.ask(
        InvoiceLineReduced(
            invoice_id=line.invoice_id,
            line_id=line.line_id,
            content=content(turn),
            owed=owed if frees else max(owed, ZERO),
        )
    )


def refund(turn: Turn, amount: Decimal | None) -> None:
    """Let what was paid for credit that was taken back, or `amount` of it, be credited; the invoice frees it then.

    Where nothing can be credited it goes back from the purchase, once its line asks for nothing any more. Raises
    `NothingToRefund`, `PreconditionFailed`.
    """
    there = max(-pool.owed_on_line(in_hand(turn), terms(turn), standing=False), ZERO)
    line = turn.charge.linked_line
    if not there or line is None or (amount is not None and amount > there):
        raise NothingToRefund(amount if amount is not None else "anything", there, turn.charge_id)
    if _cannot_be_credited(turn):
        _refund_beside_the_line(turn, line, amount)
        return
    turn.ask(
        InvoiceLineReduced(
            invoice_id=line.invoice_id,
            line_id=line.line_id,
            content=content(turn),
            owed=-(there if amount is None else amount),
        )
    )


def _refund_beside_the_line(turn: Turn, line: LinkedLine, amount: Decimal | None) -> None:
    invoice: Invoice | None = turn.draft.state(line.invoice_id)
    sold = invoice.line(line.line_id) if invoice is not None else None
    if sold is not None and sold.open.net:
        message = f"invoice {line.invoice_id} still asks for {sold.open.net}: refund what is paid once nothing is open"
        raise PreconditionFailed(message, turn.charge_id)
    request = RefundPurchase(
        purchase=turn.charge_id,
        amount=amount,
        booked_at=turn.facts.instant,
        closed_until=turn.facts.closed_until,
    )
    book(turn, pool.refund(turn.pool, request))


# ── what its line tells it ───────────────────────────────────────────────────────────────────────────────────


def paid_in_part(turn: Turn, notice: LinePaymentSettled) -> None:
    """Record money as it comes; the purchase is paid once all of it has (decision 27)."""
    request = msgspec.structs.replace(payment(turn), fiat_amount=notice.net, after_all=False)
    book(turn, pool.receive_payment(in_hand(turn), request))


def promise_failed(turn: Turn, notice: LinePaymentFailed) -> GroupRef | None:
    """Take a promise back that was not kept; what names its posting group."""
    event = pool.release_promise(in_hand(turn), of_line(turn, notice.released_net))
    return book(turn, event) if event is not None else None


def given_up(turn: Turn, notice: LineWrittenOff) -> None:
    """Book what is given up as bad debt: the credit stays, as usage that was written off stays billed."""
    owed = pool.owed_on_line(in_hand(turn), terms(turn))
    if owed > 0:  # it was told before, otherwise
        book(turn, pool.write_off_line(turn.pool, of_line(turn, min(notice.net, owed))))


def owed_again(turn: Turn, notice: LineReinstated) -> GroupRef | None:
    """Take a write-off back, as far as the line says; what names its posting group."""
    event = pool.reinstate_line(in_hand(turn), of_line(turn, notice.net))
    return book(turn, event) if event is not None else None


def credited(turn: Turn, notice: LineCredited) -> GroupRef | None:
    """Let credit and price follow a credit note; what names the last posting group, None where nothing was booked.

    A note that the purchase asked for says what its price is already. A voided line takes unused credit with it.
    """
    is_gone = notice.in_full and notice.cause is not CreditCause.INTENT_CHANGED
    if not notice.in_full and notice.cause is not CreditCause.INTENT_CHANGED:
        raise PurchaseLineFollowsCredit(line_id=notice.line_id, charge_id=turn.charge_id)
    last = _void_unused(turn) if is_gone else None
    is_inside = turn.facts.policies.invoicing is not Invoicing.OUTSIDE
    freed = notice.freed_net if is_inside else ZERO
    event = pool.credit_line(in_hand(turn), of_line(turn, freed, lapses=notice.in_full))
    if event is not None:
        last = book(turn, event)
    if notice.freed and is_inside:
        _arise(turn, notice)
    if is_gone:
        _gather(turn, pool.owed_on_line(_in_state(turn), terms(turn)))
    return last


def line_removed(turn: Turn) -> None:
    """The line went with its draft: unused credit is taken back, and what was used waits to be invoiced again."""
    _void_unused(turn)
    _gather(turn, pool.owed_on_line(_in_state(turn), terms(turn)))


def _void_unused(turn: Turn) -> GroupRef | None:
    credit = in_hand(turn)
    if not left_of(credit, known(turn), turn.facts.instant):
        return None
    request = Void(
        purchase=turn.charge_id,
        booked_at=turn.facts.instant,
        payment_adjustment=PaymentAdjustment.REDUCE,
        closed_until=turn.facts.closed_until,
    )
    event = pool.void(credit, request)
    assert event is not None, "something is left to be taken back"
    group = book(turn, event)
    _note_voided(turn, event, group)
    return group


def _note_voided(turn: Turn, event: CreditVoided, group: GroupRef) -> None:
    """Let the purchase know that all that was left of it was taken back; the first time is what counts."""
    lots = turn.pool.lots
    if turn.charge.voided is None and not any(lots[lot].balance for lot in known(turn).lots if lot in lots):
        turn.emit(PurchaseVoided(voided_at=turn.now, amount=event.amount, ledger_group=group))


def _gather(turn: Turn, owed: Decimal) -> None:
    if owed > 0:
        gathering.gather_price(turn, owed)
    else:
        gathering.drop(turn)


def _arise(turn: Turn, notice: LineCredited) -> None:
    book_in_fiat(
        turn,
        pool.unapplied_arises(
            fiat_pool(turn),
            ArisenUnapplied(
                invoice=notice.invoice_id,
                purchase=turn.charge_id,
                amount=notice.freed,
                net=notice.freed_net,
                booked_at=turn.facts.instant,
                closed_until=turn.facts.closed_until,
            ),
        ),
    )


def content(turn: Turn) -> LineContent:
    """What the line shows: the credit that is to be paid for, and its price, whatever has been paid of it."""
    totals = known(turn)
    credit = totals.given + totals.unpriced if totals.granted else turn.purchase.credit_amount
    return purchase_content(turn, credit, pool.asked_of(_in_state(turn), terms(turn)))


# ── in the words of the pool ─────────────────────────────────────────────────────────────────────────────────


def terms(turn: Turn) -> PurchasePayment:
    """What was sold, and at what price."""
    return payment(turn)


def _in_state(turn: Turn) -> CreditPool:
    """The pool in which the totals of the purchase are: its history, where they have left the state."""
    here = turn.pool.purchases.get(turn.charge_id, Purchase())
    history = turn.facts.histories.get(turn.charge.pool.id)
    return turn.pool if here.is_whole or history is None else history


def of_line(turn: Turn, amount: Decimal, *, lapses: bool = False) -> OfLine:
    """What became of the line, as the pool wants to know it."""
    return OfLine(**msgspec.structs.asdict(terms(turn)), amount=amount, lapses=lapses)
