"""What a scenario does past the facade: charges placed in the middle of a lifecycle, and what the invoice side says.

A purchase is brought to its status by the commands that lead there. One thing no command can bring about, a payment
that is recorded while the status still waits for it, is recorded directly: the guard against a second authorization
sits with the payment too (R-08).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from aggregates.charges import decisions as deciding
from aggregates.charges.cost_basis import fiat_amount
from aggregates.charges.events import ChargeActivated, PaymentAuthorized, PaymentKind
from aggregates.charges.line_content import KINDS
from aggregates.charges.moved import Moved
from aggregates.charges.state import Charge, stream
from aggregates.invoices import decisions as invoicing
from aggregates.invoices.effects import (
    InvoiceNotice,
    LineCollected,
    LineCreated,
    LineIssued,
    LinePaymentAuthorized,
    LinePaymentSettled,
)
from aggregates.invoices.facts import InvoiceFacts
from aggregates.invoices.lines import InvoiceLine
from aggregates.invoices.requests import NewInvoice, NewLine
from aggregates.lifecycle import Status, Trigger
from aggregates.values.money import Currency
from aggregates.values.period import instant
from ledger.advance import index
from ledger.rounds import Rounds
from ledger.units import Work
from tests.conformance.lifecycle_notation import Json, known

if TYPE_CHECKING:
    from tests.conformance.lifecycle_player import Player

INVOICE_MADE = "invoice.InvoiceDrafted"
GIVEN = {"type", "settlement", "status", "currency", "credit_amount", "rate", "cost_basis", "line"} | {
    "invoice_settlement",
    "external_payment",
}
WITHOUT_RUN = {Status.CREATED, Status.ACTIVE, Status.AWAITING_PAYMENT_SETTLEMENT, Status.FINAL}
EXTERNAL = {
    Status.PAYMENT_PENDING.value: "created",
    Status.PAYMENT_AUTHORIZED.value: "authorized",
    Status.FINAL.value: "settled",
}


# ── charges that are given ───────────────────────────────────────────────────────────────────────────────────


def place(player: Player, name: str, given: Json) -> None:
    """Bring a charge to a status: a purchase by commands, a fee or usage without a run by one recorded step."""
    if given["type"] != "credit_purchase":
        _place_without_run(player, name, given)
        return
    known(given, GIVEN, "a given purchase")
    settlement = given["settlement"]
    intent: Json = {
        "ref": name,
        "type": "credit_purchase",
        "currency": given.get("currency", "USD"),
        "credit_amount": given["credit_amount"],
        "settlement": {"type": settlement},
    }
    if settlement != "promotional":
        intent["settlement"]["cost_basis"] = given.get("cost_basis") or {"rate": given["rate"]}
    if settlement == "external":
        intent["settlement"]["initial_status"] = EXTERNAL[given["status"]]
    if settlement == "invoice" and given["status"] == "created":
        player.faults.fail_call(INVOICE_MADE)  # it is due, and waits for the next attempt to invoice it
    [charge] = player.ledger.charges.create([player.requests.charge(intent)])
    player.charges[name] = charge.id
    if charge.linked_line is not None:
        _bring_invoiced(player, charge, given)
    if (given.get("external_payment") or {}).get("status") == "authorized" and charge.payment is None:
        _authorize_in_place(player, charge)
    assert player.charge(name).status.value == given["status"], f"{name} is {player.charge(name).status}"


def _place_without_run(player: Player, name: str, given: Json) -> None:
    """In a status that needs no run, or should not be without one: older data that the lifecycle has to repair."""
    status = Status(given["status"])
    assert status in WITHOUT_RUN, f"a {given['type']} cannot be placed in {status}"
    intent = {"ref": name} | {key: value for key, value in given.items() if key != "status"}
    [request] = [player.requests.charge(intent)]

    def record(work: Work, rounds: Rounds, facts: InvoiceFacts) -> None:
        [created] = player.ledger.charges.created_within(work, request.customer, [request])
        player.charges[name] = created
        if status is not Status.CREATED:
            due_at = instant(player.clock.now())  # so that the next advance looks at it (decision 8)
            moved = Moved(status_from=Status.CREATED, status_to=status, trigger=Trigger.NEXT, advance_after=due_at)
            work.draft.emit(stream(created, request.customer), ChargeActivated(moved=moved))
        index(work)

    in_one_save(player, request.customer, request.currency, record)


def _bring_invoiced(player: Player, charge: Charge, given: Json) -> None:
    line = given.get("line") or given["invoice_settlement"]
    known(line, {"id", "line", "invoice", "status"}, "the line of a given purchase")
    linked = charge.linked_line
    assert linked is not None
    player.lines[line.get("id") or line["line"]] = linked.line_id
    player.invoices[line["invoice"]] = linked.invoice_id
    steps = {Status.PAYMENT_AUTHORIZED.value: ["authorized"], Status.FINAL.value: ["authorized", "paid"]}
    for number, step in enumerate(steps.get(given["status"], [])):
        if number == 0:
            player.ledger.invoices.approve(linked.invoice_id)
        player.ledger.invoices.record_payment(linked.invoice_id, step)


def _authorize_in_place(player: Player, charge: Charge) -> None:
    resolved = charge.resolved_cost_basis
    assert resolved is not None
    assert charge.grant is not None
    authorized = PaymentAuthorized(
        kind=PaymentKind.EXTERNAL,
        fiat_amount=fiat_amount(charge.grant.amount, resolved),
        fiat_currency=resolved.fiat_currency,
        ledger_group=charge.grant.ledger_group,
        moved=Moved(status_from=charge.status, status_to=charge.status, trigger=Trigger.AUTHORIZED),
    )

    def record(work: Work, rounds: Rounds, facts: InvoiceFacts) -> None:
        work.load(stream(charge.id, charge.customer))
        work.draft.emit(stream(charge.id, charge.customer), authorized)

    in_one_save(player, charge.customer, charge.invoice_currency, record)


# ── what the invoice side says ───────────────────────────────────────────────────────────────────────────────


def tell_charge(player: Player, do: Json) -> None:
    """Send a trigger straight to the charge, as its invoice would; a first line is made for it where there is none."""
    charge, trigger = player.charge(do["charge"]), do["trigger"]
    if trigger == "invoice_created" and do["line"] not in player.lines and charge.status is Status.CREATED:
        announce_lines(player, {"invoice": do["invoice"], "lines": [{"id": do["line"], "charge": do["charge"]}]})
        return
    notice = _notice(player, charge, do)
    in_one_save(
        player,
        charge.customer,
        charge.invoice_currency,
        lambda work, rounds, facts: rounds.deliver(work, charge.customer, (notice,), facts),
    )


def _notice(player: Player, charge: Charge, do: Json) -> InvoiceNotice:
    shared: Json = {
        "customer": charge.customer,
        "invoice_id": player.invoices.get(do["invoice"], UUID(int=2)),
        "line_id": player.lines.get(do["line"], UUID(int=1)),
        "charge_id": charge.id,
    }
    line = _line_of(player, charge)
    amount = line.content.totals.total if line is not None else Decimal(1)
    period = charge.intent.effective.service_period
    match do["trigger"]:
        case "invoice_created":
            return LineCreated(**shared, period=period, currency=charge.invoice_currency)
        case "collection_completed":
            return LineCollected(**shared)
        case "invoice_issued":
            assert line is not None, "only a line that exists can be issued"
            return LineIssued(**shared, period=period, totals=line.content.totals, currency=charge.invoice_currency)
        case "authorized" | "payment_authorized":
            return LinePaymentAuthorized(**shared, amount=amount, net=amount, in_full=True)
        case "paid" | "payment_settled":
            return LinePaymentSettled(**shared, amount=amount, net=amount, in_full=True)
        case other:
            raise AssertionError(f"the trigger {other}")


def _line_of(player: Player, charge: Charge) -> InvoiceLine | None:
    """The latest line of the charge."""
    lines = [line for each in player.ledger.invoices.list(charge.customer) for line in each.live_lines]
    return next((line for line in reversed(lines) if line.charge_id == charge.id), None)


def announce_lines(player: Player, do: Json) -> None:
    """The invoice side announces lines: new ones come with their invoice, known ones are told of again."""
    for line in do["lines"]:
        known(line, {"id", "charge"}, "a line")
    charges = [player.charge(line["charge"]) for line in do["lines"]]
    if do["invoice"] in player.invoices and all(line["id"] in player.lines for line in do["lines"]):
        for line in do["lines"]:
            tell_charge(
                player,
                {"trigger": "invoice_created", "invoice": do["invoice"], "line": line["id"], "charge": line["charge"]},
            )
        return
    made: list[UUID] = []

    def create(work: Work, rounds: Rounds, facts: InvoiceFacts) -> None:
        lines = tuple(
            NewLine(
                charge_id=charge.id,
                kind=KINDS[charge.charge_type.value],
                content=deciding.provisional_line(charge, charge.intent.effective.service_period),
            )
            for charge in charges
        )
        customer, currency = charges[0].customer, charges[0].invoice_currency
        invoice_id, notices = invoicing.create(
            work.draft, NewInvoice(customer=customer, currency=currency, lines=lines), facts
        )
        rounds.advance(work, customer, invoice_id, notices, facts)
        made.append(invoice_id)

    in_one_save(player, charges[0].customer, charges[0].invoice_currency, create)
    player.invoices[do["invoice"]] = made[-1]
    for line, there in zip(do["lines"], player.invoice(do["invoice"]).lines, strict=True):
        player.lines[line["id"]] = there.line_id


def in_one_save(
    player: Player, customer: str, currency: Currency, decide: Callable[[Work, Rounds, InvoiceFacts], Any]
) -> None:
    """A unit of work of its own, with what an invoice of that currency may know."""
    rounds = player.ledger.charges.rounds

    def decided(work: Work) -> None:
        decide(work, rounds, rounds.facts(work, customer, issuing=currency))

    player.ledger.charges._context.send("scenario", customer, None, None, answer=type(None), decide=decided)
