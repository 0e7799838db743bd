"""The lifecycles of credit purchases as tables (lifecycles §11): promotional, paid for outside, paid by invoice.

A promotional purchase is granted and done. An external one is granted at once and waits for its payment: authorised
and settled are two facts, also where the provider reports them together (R-05). `final` lies behind the settled fact
and nowhere else (R-07).
"""

from __future__ import annotations

from aggregates.charges import gathering
from aggregates.charges.cost_basis import cost_basis_needed, fiat_amount, resolved_when_needed
from aggregates.charges.events import (
    ChargeFinalized,
    CostBasisResolved,
    CreditsGranted,
    InvoiceLineLinked,
    Moved,
    PaymentAuthorized,
    PaymentAwaited,
    PaymentKind,
    PaymentSettled,
)
from aggregates.charges.intent import External, InvoiceSettlement, Promotional, ResolvedCostBasis
from aggregates.charges.line_content import purchase_content
from aggregates.charges.payments import require_authorizable, settleable
from aggregates.charges.turn import Turn
from aggregates.credits import decisions as pool
from aggregates.credits.events import PurchaseSettlement
from aggregates.credits.requests import Grant, PurchasePayment
from aggregates.event import DomainEvent
from aggregates.invoices.effects import InvoiceLineUpdated, LineCreated
from aggregates.journal.chart import DEFAULT_CREDIT_PRIORITY
from aggregates.lifecycle import PatchPolicy, Path, Row, Status, Trigger, always
from aggregates.values.errors import PreconditionFailed
from aggregates.values.identifiers import GroupRef

SETTLED_BY = {
    Promotional: PurchaseSettlement.PROMOTIONAL,
    External: PurchaseSettlement.EXTERNAL,
    InvoiceSettlement: PurchaseSettlement.INVOICE,
}
"""How a purchase is paid for, in the words of the credit pool."""

# ── work ─────────────────────────────────────────────────────────────────────────────────────────────────────


def grant_and_finish(turn: Turn, row: Row[Turn]) -> None:
    """Give the credit away; there is nothing to wait for."""
    grant(turn, None, None)
    turn.emit(ChargeFinalized(moved=turn.walked(row, None)))


def resolve_and_grant(turn: Turn, row: Row[Turn]) -> None:
    """Settle what a unit of credit costs, where that was left to the rate of the day, and grant the credit."""
    resolve_cost_basis(turn)
    grant(turn, cost_of(turn), turn.walked(row, turn.charge.advance_after))


def resolve_cost_basis(turn: Turn) -> None:
    """Look up the rate in force where the purchase leaves it to that, once."""
    needed = cost_basis_needed(turn.charge)
    if needed is not None:
        amount = turn.purchase.credit_amount
        turn.emit(CostBasisResolved(resolved=resolved_when_needed(needed, turn.charge, amount, turn.facts)))


def link_and_grant(turn: Turn, row: Row[Turn]) -> None:
    """The purchase has a line on an invoice: grant the credit, which is extended before any payment (R-21)."""
    notice = turn.notice
    assert isinstance(notice, LineCreated), f"{row.rule} is walked when a line was made"
    turn.emit(InvoiceLineLinked(line_id=notice.line_id, invoice_id=notice.invoice_id))
    resolve_cost_basis(turn)
    grant(turn, cost_of(turn), turn.walked(row, None))
    gathering.drop(turn)
    turn.ask(InvoiceLineUpdated(invoice_id=notice.invoice_id, line_id=notice.line_id, content=purchase_content(turn)))


def await_payment(turn: Turn, row: Row[Turn]) -> None:
    """The credit is there; its payment is open."""
    turn.emit(PaymentAwaited(moved=turn.walked(row, None)))


def authorize(turn: Turn, row: Row[Turn]) -> None:
    """Book that the payment was authorised, for the fiat amount of the whole purchase."""
    require_authorizable(turn.charge)
    cost = cost_of(turn)
    asked = fiat_amount(turn.purchase.credit_amount, cost)
    group = received(turn)
    if group is None:
        event = pool.authorize_purchase(turn.pool, payment(turn, cost))
        asked, group = event.fiat_amount, book(turn, event)
    line = turn.charge.linked_line
    turn.emit(
        PaymentAuthorized(
            kind=PaymentKind.EXTERNAL if line is None else PaymentKind.INVOICED,
            fiat_amount=asked,
            fiat_currency=cost.fiat_currency,
            line_id=line.line_id if line is not None else None,
            invoice_id=line.invoice_id if line is not None else None,
            ledger_group=group,
            moved=turn.walked(row, None),
        )
    )


def settle(turn: Turn, row: Row[Turn]) -> None:
    """Book that the authorised payment has arrived."""
    settleable(turn.charge)
    group = received(turn) or book(turn, pool.settle_purchase(turn.pool, payment(turn, cost_of(turn))))
    turn.emit(PaymentSettled(ledger_group=group, moved=turn.walked(row, None)))


def finish(turn: Turn, row: Row[Turn]) -> None:
    """Paid: nothing is left to do."""
    turn.emit(ChargeFinalized(moved=turn.walked(row, None)))


# ── the pool's side ──────────────────────────────────────────────────────────────────────────────────────────


def grant(turn: Turn, cost: ResolvedCostBasis | None, moved: Moved | None) -> None:
    """Issue the credit, effective at the instant of the purchase; open advances are taken over first (ledger §6.1)."""
    charge, layer = turn.charge, turn.purchase
    if charge.grant is not None:
        raise PreconditionFailed(f"the credit of purchase {charge.id} is granted already", charge.id)
    booked_at = layer.service_period.from_
    event = pool.grant(
        turn.pool,
        Grant(
            purchase=charge.id,
            amount=layer.credit_amount,
            settlement=SETTLED_BY[type(layer.settlement)],
            cost_basis=cost.rate if cost else None,
            settlement_currency=cost.fiat_currency.code if cost and charge.currency.is_custom else None,
            priority=layer.priority if layer.priority is not None else DEFAULT_CREDIT_PRIORITY,
            features=layer.feature_filters,
            effective_at=booked_at,
            expires_at=layer.expires_at,
            now=turn.now,
            closed_until=turn.facts.closed_until,
        ),
    )
    turn.emit(
        CreditsGranted(
            amount=layer.credit_amount,
            currency=charge.currency,
            ledger_group=book(turn, event),
            booked_at=booked_at,
            effective_at=layer.effective_at,
            expires_at=layer.expires_at,
            priority=layer.priority,
            feature_filters=layer.feature_filters,
            moved=moved,
        )
    )


def payment(turn: Turn, cost: ResolvedCostBasis) -> PurchasePayment:
    """A payment fact of this purchase, as the pool wants to know it."""
    layer = turn.purchase
    return PurchasePayment(
        purchase=turn.charge_id,
        credit_amount=layer.credit_amount,
        cost_basis=cost.rate,
        fiat_amount=fiat_amount(layer.credit_amount, cost),
        fiat_currency=cost.fiat_currency,
        features=layer.feature_filters,
        booked_at=turn.facts.instant,
    )


def received(turn: Turn) -> GroupRef | None:
    """The posting group of the last payment, where money that came in parts has paid the whole price already."""
    credit = turn.pool
    known = credit.purchases.get(turn.charge_id)
    if known is None or not known.credit_authorized or known.fiat_settled < pool.asked(credit, known):
        return None
    return GroupRef(turn.charge.pool.id, credit.version)


def cost_of(turn: Turn) -> ResolvedCostBasis:
    """What a unit of the credit costs, written once (lifecycles §12.2)."""
    resolved = turn.charge.resolved_cost_basis
    assert resolved is not None, f"purchase {turn.charge_id} has no resolved cost basis"
    return resolved


def book(turn: Turn, event: DomainEvent) -> GroupRef:
    """Put an event into the pool's stream; what names its posting group."""
    record = turn.draft.emit(turn.charge.pool, event)
    return GroupRef(record.stream, record.version)


# ── the tables ───────────────────────────────────────────────────────────────────────────────────────────────

CREATED = Status.CREATED
GRANTED = Status.INITIAL_CREDIT_GRANT
PENDING = Status.PAYMENT_PENDING
AUTHORIZED = Status.PAYMENT_AUTHORIZED
PAID_AND_AUTHORIZED = Status.PAYMENT_PAID_AND_AUTHORIZED
SETTLED = Status.PAYMENT_SETTLED
FINAL = Status.FINAL
NEXT = Trigger.NEXT

# fmt: off
PROMOTIONAL = Path("credit_purchase / promotional", (
    #   rule  from     on    to     when    then
    Row("P2", CREATED, NEXT, FINAL, always, grant_and_finish),
))

EXTERNAL = Path("credit_purchase / external", (
    #   rule  from                 on                  to                   when    then
    Row("X2", CREATED,             NEXT,               GRANTED,             always, resolve_and_grant),
    Row("X3", GRANTED,             NEXT,               PENDING,             always, await_payment),
    Row("X4", PENDING,             Trigger.AUTHORIZED, AUTHORIZED,          always, authorize),
    Row("X5", PENDING,             Trigger.PAID,       PAID_AND_AUTHORIZED, always, authorize),
    Row("X6", PAID_AND_AUTHORIZED, NEXT,               SETTLED,             always, settle),
    Row("X7", AUTHORIZED,          Trigger.PAID,       SETTLED,             always, settle),
    Row("X8", SETTLED,             NEXT,               FINAL,               always, finish),
))

INVOICE = Path("credit_purchase / invoice", (
    #   rule  from        on                       to          when    then
    Row("I2", CREATED,    Trigger.INVOICE_CREATED, GRANTED,    always, link_and_grant),
    Row("I3", GRANTED,    NEXT,                    PENDING,    always, await_payment),
    Row("I4", PENDING,    Trigger.AUTHORIZED,      AUTHORIZED, always, authorize),
    Row("I5", AUTHORIZED, Trigger.PAID,            SETTLED,    always, settle),
    Row("I6", SETTLED,    NEXT,                    FINAL,      always, finish),
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
        FINAL:               "A",
    },
    leads_to={},
)
# fmt: on
