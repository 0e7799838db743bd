"""The lifecycles of credit purchases as tables (lifecycles §11): promotional, paid for outside, paid by invoice.

A promotional purchase is granted and done. An external one is granted at once, or with a step of its payment, and
waits for that: authorised and settled are two facts, also where the provider reports them together (R-05). `final` lies
behind the settled fact, or where nobody will pay any more because nothing is asked or it was given up (R-07).
"""

from __future__ import annotations

from aggregates.charges import gathering
from aggregates.charges.credit_purchase.by_invoice import (
    content,
    end_ungranted,
    link_again,
    nothing_is_granted_any_more,
    nothing_is_left_to_pay,
    nothing_is_promised,
    waits_to_be_invoiced_again,
)
from aggregates.charges.credit_purchase.credit import (
    availability,
    book,
    cost_of,
    grant,
    in_hand,
    make_available,
    payment,
    received,
    resolve_cost_basis,
)
from aggregates.charges.credit_purchase.unpaid import (
    await_again,
    debt_was_written_off,
    fail,
    money_is_held,
    price_is_open_again,
    retry,
    something_is_owed,
    write_off,
)
from aggregates.charges.events import (
    ChargeFinalized,
    InvoiceLineLinked,
    PaymentAuthorized,
    PaymentAwaited,
    PaymentKind,
    PaymentSettled,
)
from aggregates.charges.intent import Availability
from aggregates.charges.payments import require_authorizable, settleable
from aggregates.charges.turn import Turn
from aggregates.credits import decisions as pool
from aggregates.invoices.effects import InvoiceLineUpdated, LineCreated
from aggregates.lifecycle import PatchPolicy, Path, Row, Status, Trigger, always
from aggregates.values.identifiers import GroupRef

# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────────


def credit_comes_first(turn: Turn) -> bool:
    """Whether the credit is granted before any payment."""
    return availability(turn) is Availability.ON_CREATION


def payment_comes_first(turn: Turn) -> bool:
    """Whether the credit waits for a step of the payment."""
    return not credit_comes_first(turn)


def authorization_grants(turn: Turn) -> bool:
    """Whether the credit is granted with the authorisation that comes now."""
    return availability(turn) is Availability.ON_AUTHORIZATION and turn.charge.grant is None


def authorization_is_all(turn: Turn) -> bool:
    """Whether the authorisation that comes now moves money alone."""
    return not authorization_grants(turn)


def settlement_grants(turn: Turn) -> bool:
    """Whether the credit is granted with the money that comes now."""
    return availability(turn) is Availability.ON_SETTLEMENT and turn.charge.grant is None


def settlement_is_all(turn: Turn) -> bool:
    """Whether the money that comes now is for credit that is there, or was."""
    return not settlement_grants(turn)


def owed_credit_is_there(turn: Turn) -> bool:
    """Whether something is owed and its authorisation grants nothing."""
    return something_is_owed(turn) and authorization_is_all(turn)


# ── work ─────────────────────────────────────────────────────────────────────────────────────────────────────


def grant_and_finish(turn: Turn, row: Row[Turn]) -> None:
    """Give the credit away; there is nothing to wait for."""
    grant(turn, None, None)
    turn.emit(ChargeFinalized(moved=turn.walked(row, None)))


def resolve_and_grant(turn: Turn, row: Row[Turn]) -> None:
    """Settle what a unit of credit costs, where that was left to the rate of the day, and grant the credit."""
    resolve_cost_basis(turn)
    grant(turn, cost_of(turn), turn.walked(row, turn.charge.advance_after))


def resolve_and_await(turn: Turn, row: Row[Turn]) -> None:
    """Settle what a unit of credit costs; its payment is open, and grants it."""
    resolve_cost_basis(turn)
    turn.emit(PaymentAwaited(moved=turn.walked(row, None)))


def link_and_grant(turn: Turn, row: Row[Turn]) -> None:
    """The purchase has a line on an invoice: grant the credit, which is extended before any payment (R-21)."""
    notice = turn.notice
    assert isinstance(notice, LineCreated), f"{row.rule} is walked when a line was made"
    turn.emit(InvoiceLineLinked(line_id=notice.line_id, invoice_id=notice.invoice_id))
    resolve_cost_basis(turn)
    grant(turn, cost_of(turn), turn.walked(row, None))
    gathering.drop(turn)
    turn.ask(InvoiceLineUpdated(invoice_id=notice.invoice_id, line_id=notice.line_id, content=content(turn)))


def await_payment(turn: Turn, row: Row[Turn]) -> None:
    """The credit is there; its payment is open."""
    turn.emit(PaymentAwaited(moved=turn.walked(row, None)))


def authorize(turn: Turn, row: Row[Turn]) -> None:
    """Book that the payment was authorised, for all that is left to pay of the purchase."""
    _authorize(turn, row, grants=False)


def authorize_and_grant(turn: Turn, row: Row[Turn]) -> None:
    """Book that the payment was authorised, and grant the credit that waited for it."""
    _authorize(turn, row, grants=True)


def _authorize(turn: Turn, row: Row[Turn], *, grants: bool) -> None:
    require_authorizable(turn.charge)
    terms = payment(turn)
    asked, group = terms.fiat_amount, received(turn)
    if group is None:
        event = pool.authorize_purchase(in_hand(turn), terms)
        asked, group = event.fiat_amount, book(turn, event)
    assert asked is not None, "the price of a purchase is known when it is paid for"
    if grants:
        make_available(turn)
    line = turn.charge.linked_line
    turn.emit(
        PaymentAuthorized(
            kind=PaymentKind.EXTERNAL if line is None else PaymentKind.INVOICED,
            fiat_amount=asked,
            fiat_currency=cost_of(turn).fiat_currency,
            line_id=line.line_id if line is not None else None,
            invoice_id=line.invoice_id if line is not None else None,
            ledger_group=group,
            moved=turn.walked(row, None),
        )
    )


def settle(turn: Turn, row: Row[Turn]) -> None:
    """Book that the authorised payment has arrived."""
    group = _settled(turn, row)
    turn.emit(PaymentSettled(ledger_group=group, moved=turn.walked(row, None)))


def settle_and_grant(turn: Turn, row: Row[Turn]) -> None:
    """Book that the authorised payment has arrived, and grant the credit that waited for it."""
    group = _settled(turn, row)
    make_available(turn)
    turn.emit(PaymentSettled(ledger_group=group, moved=turn.walked(row, None)))


def _settled(turn: Turn, row: Row[Turn]) -> GroupRef:
    """The posting group of the money: that of its last part, where it came in parts and is all there already."""
    known = settleable(turn.charge)
    last = received(turn)
    if last is None:
        return book(turn, pool.settle_purchase(turn.pool, payment(turn)))
    return known.authorized.ledger_group if row.on is NEXT else last  # what authorised it may have granted since


def finish(turn: Turn, row: Row[Turn]) -> None:
    """Paid, or nothing is left to pay: nothing is left to do."""
    turn.emit(ChargeFinalized(moved=turn.walked(row, None)))


# ── the tables ───────────────────────────────────────────────────────────────────────────────────────────────

CREATED = Status.CREATED
GRANTED = Status.INITIAL_CREDIT_GRANT
PENDING = Status.PAYMENT_PENDING
AUTHORIZED = Status.PAYMENT_AUTHORIZED
PAID_AND_AUTHORIZED = Status.PAYMENT_PAID_AND_AUTHORIZED
SETTLED = Status.PAYMENT_SETTLED
FAILED = Status.PAYMENT_FAILED
FINAL = Status.FINAL
NEXT = Trigger.NEXT
ON_AUTHORIZED, ON_PAID = Trigger.AUTHORIZED, Trigger.PAID
ON_FAILED, ON_CANCELLED, ON_CHARGEBACK = Trigger.PAYMENT_FAILED, Trigger.CANCELLED, Trigger.CHARGED_BACK

# fmt: off
PROMOTIONAL = Path("credit_purchase / promotional", (
    #   rule  from     on    to     when    then
    Row("P2", CREATED, NEXT, FINAL, always, grant_and_finish),
))

# The rows X2 to X8 are those of the specification. A2 to A7 are the same steps where they grant credit that waits for
# its payment, or wait for it; the B rows are what becomes of a payment that fails (decision 26).
EXTERNAL = Path("credit_purchase / external", (
    #   rule   from                 on                to                   when                  then
    Row("X2",  CREATED,             NEXT,             GRANTED,             credit_comes_first,   resolve_and_grant),
    Row("A2",  CREATED,             NEXT,             PENDING,             payment_comes_first,  resolve_and_await),
    Row("X3",  GRANTED,             NEXT,             PENDING,             always,               await_payment),
    Row("X4",  PENDING,             ON_AUTHORIZED,    AUTHORIZED,          authorization_is_all, authorize),
    Row("A4",  PENDING,             ON_AUTHORIZED,    AUTHORIZED,          authorization_grants, authorize_and_grant),
    Row("X5",  PENDING,             ON_PAID,          PAID_AND_AUTHORIZED, authorization_is_all, authorize),
    Row("A5",  PENDING,             ON_PAID,          PAID_AND_AUTHORIZED, authorization_grants, authorize_and_grant),
    Row("X6",  PAID_AND_AUTHORIZED, NEXT,             SETTLED,             settlement_is_all,    settle),
    Row("A6",  PAID_AND_AUTHORIZED, NEXT,             SETTLED,             settlement_grants,    settle_and_grant),
    Row("X7",  AUTHORIZED,          ON_PAID,          SETTLED,             settlement_is_all,    settle),
    Row("A7",  AUTHORIZED,          ON_PAID,          SETTLED,             settlement_grants,    settle_and_grant),
    Row("X8",  SETTLED,             NEXT,             FINAL,               always,               finish),
    Row("B1",  PENDING,             ON_FAILED,        FAILED,              always,               fail),
    Row("B2",  AUTHORIZED,          ON_FAILED,        FAILED,              always,               fail),
    Row("B3",  FINAL,               ON_FAILED,        FAILED,              money_is_held,        fail),
    Row("B4",  PENDING,             ON_CANCELLED,     FAILED,              always,               fail),
    Row("B5",  AUTHORIZED,          ON_CANCELLED,     FAILED,              always,               fail),
    Row("B6",  FINAL,               ON_CANCELLED,     FAILED,              money_is_held,        fail),
    Row("B7",  PENDING,             ON_CHARGEBACK,    FAILED,              money_is_held,        fail),
    Row("B8",  AUTHORIZED,          ON_CHARGEBACK,    FAILED,              money_is_held,        fail),
    Row("B9",  FINAL,               ON_CHARGEBACK,    FAILED,              money_is_held,        fail),
    Row("B10", FAILED,              ON_CHARGEBACK,    FAILED,              money_is_held,        fail),
    Row("B11", AUTHORIZED,          Trigger.REVERSED, PENDING,             price_is_open_again,  await_again),
    Row("B12", FINAL,               Trigger.REVERSED, PENDING,             price_is_open_again,  await_again),
    Row("B13", FAILED,              Trigger.RETRY,    PENDING,             something_is_owed,    retry),
    Row("B14", FAILED,              Trigger.WRITE_OFF,FINAL,               always,               write_off),
    Row("B15", FAILED,              ON_PAID,          PAID_AND_AUTHORIZED, owed_credit_is_there, authorize),
    Row("B16", FAILED,              ON_PAID,          PAID_AND_AUTHORIZED, authorization_grants, authorize_and_grant),
    Row("B17", FINAL,               ON_PAID,          PAID_AND_AUTHORIZED, debt_was_written_off, authorize),
))

# The rows I2 to I6 are those of the specification. The J rows are what becomes of a purchase whose credit is over
# before its line is made, or whose line goes or asks for nothing any more (decisions 22, 23).
INVOICE = Path("credit_purchase / invoice", (
    #   rule  from        on                       to          when                         then
    Row("I2", CREATED,    Trigger.INVOICE_CREATED, GRANTED,    always,                      link_and_grant),
    Row("J1", CREATED,    NEXT,                    FINAL,      nothing_is_granted_any_more, end_ungranted),
    Row("I3", GRANTED,    NEXT,                    PENDING,    always,                      await_payment),
    Row("I4", PENDING,    Trigger.AUTHORIZED,      AUTHORIZED, always,                      authorize),
    Row("J2", PENDING,    Trigger.INVOICE_CREATED, PENDING,    waits_to_be_invoiced_again,  link_again),
    Row("J3", PENDING,    NEXT,                    FINAL,      nothing_is_left_to_pay,      finish),
    Row("I5", AUTHORIZED, Trigger.PAID,            SETTLED,    always,                      settle),
    Row("J4", AUTHORIZED, Trigger.REVERSED,        PENDING,    nothing_is_promised,         await_again),
    Row("I6", SETTLED,    NEXT,                    FINAL,      always,                      finish),
    Row("J5", FINAL,      Trigger.REVERSED,        PENDING,    price_is_open_again,         await_again),
))

# A purchase has one layer and cannot be patched; what can be done to it at any time after the grant is to take the
# unused part back, and that changes no status. Voiding again answers with the first void.
VOIDING = PatchPolicy(
    "credit_purchase",
    (Trigger.VOID,),
    {
        #                     void
        CREATED:             "R",
        GRANTED:             "A",
        PENDING:             "A",
        AUTHORIZED:          "A",
        PAID_AND_AUTHORIZED: "A",
        SETTLED:             "A",
        FAILED:              "A",
        FINAL:               "A",
    },
    leads_to={},
)
# fmt: on
