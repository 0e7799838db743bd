"""Every command of the facade, with a scene in which it does something: retries, crashes and races are tried on them.

A new command joins with one line in `COMMANDS`; `tests/faults/test_every_command.py` fails until it does.
What a command does in another scene is in `further_commands.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from aggregates.charges.intent import ChargeType
from aggregates.charges.requests import Delete, NewPurchase, PatchSource, RequestedSettlement
from aggregates.invoices.effects import LineCreated
from aggregates.invoices.lines import LineKind
from aggregates.policies import Invoicing, Policies
from aggregates.values.errors import Unavailable
from aggregates.values.money import fiat
from aggregates.values.period import period
from ledger.facade import Ledger
from ledger.ports import Probe, SettableClock
from ledger.prices import unit
from tests.application.scenes import JANUARY, at, used

BEFORE, START, WITHIN, END = "2025-12-01T00:00:00Z", JANUARY[0], "2026-01-16T00:00:00Z", JANUARY[1]
COLLECTED, LATER = "2026-02-03T00:01:00Z", "2026-03-02T00:00:00Z"
BY_INVOICE = "credit_then_invoice"


class Command(NamedTuple):
    """A command: what has to be there before, what it is about, and how it is sent under an id."""

    prepare: Callable[[Ledger], object]
    send: Callable[[Ledger, Any, str], object]
    target: Callable[[Ledger], UUID | None] = lambda ledger: None


# ── scenes ───────────────────────────────────────────────────────────────────────────────────────────────────


def open_ledger(url: str, probe: Probe | None = None, policies: Policies | None = None, now: str = BEFORE) -> Ledger:
    """A ledger under the standard policies whose clock stands still."""
    chosen, clock = policies or Policies.standard(), SettableClock(now)
    if probe is None:
        return Ledger.open(url, clock=clock, policies=chosen)
    return Ledger.open(url, clock=clock, policies=chosen, probe=probe)


def bare(ledger: Ledger) -> None:
    """A customer, and calls that are metered."""
    ledger.customers.create("acme", collection_interval="P2D", progressive_billing=True)
    ledger.catalogue.define_meter("calls")
    ledger.catalogue.define_feature("calls", meter="calls")


def two_customers(ledger: Ledger) -> None:
    """The same, and a customer with nothing open."""
    bare(ledger)
    ledger.customers.create("globex")


def usage_charge(ledger: Ledger, mode: str = "credit_only", **more: Any) -> Any:
    """The calls of January at 1 USD each."""
    return ledger.charges.create_usage(
        "acme",
        feature="calls",
        price=unit("1"),
        period_from=START,
        period_to=END,
        settlement_mode=mode,
        **more,
    )


def fee_charge(ledger: Ledger, mode: str = "credit_only", **more: Any) -> Any:
    """31 for January, by the day."""
    return ledger.charges.create_flat_fee(
        "acme", amount="31", period_from=START, period_to=END, settlement_mode=mode, pro_rating=True, **more
    )


def charged(ledger: Ledger) -> None:
    """20 of credit; usage of January, 30 units of which are known, settled from credit; nothing is advanced yet."""
    bare(ledger)
    ledger.credits.grant("acme", "20")
    usage_charge(ledger)
    used(ledger, "30", WITHIN)
    at(ledger, COLLECTED)


def realized(ledger: Ledger) -> None:
    """The same, realized: 20 of credit and 10 of advance."""
    charged(ledger)
    ledger.worker.run_once()


def overridden(ledger: Ledger) -> None:
    """The same under an override at 2 USD a unit."""
    realized(ledger)
    ledger.charges.set_override(usage_of(ledger), price=unit("2"))


def late(ledger: Ledger) -> None:
    """The same; 5 more units were stored in March, and somebody has to say what becomes of them."""
    realized(ledger)
    ledger.customers.change_profile("acme", collection_interval="P2D", late_usage="ask")
    at(ledger, LATER)
    used(ledger, "5", WITHIN)
    at(ledger, "2026-03-02T00:02:00Z")
    ledger.worker.run_once()


def sold(ledger: Ledger) -> None:
    """100 sold at 0.5 and granted, 30 of it used, the payment open."""
    bare(ledger)
    ledger.credits.sell("acme", "100", cost_basis="0.5")
    usage_charge(ledger)
    used(ledger, "30", WITHIN)
    at(ledger, COLLECTED)
    ledger.worker.run_once()


def paid(ledger: Ledger) -> None:
    """The same, paid."""
    sold(ledger)
    ledger.credits.record_payment(bought_of(ledger), "paid")


def payment_failed(ledger: Ledger) -> None:
    """The same, and charged back: 15.00 are owed for what was used."""
    paid(ledger)
    ledger.credits.record_payment(bought_of(ledger), "charged_back")


def voided(ledger: Ledger) -> None:
    """The same; what was left is taken back, its price not yet."""
    paid(ledger)
    ledger.credits.void(bought_of(ledger), payment_adjustment="reduce")


def due(ledger: Ledger) -> None:
    """10 of credit; a fee and usage of January, by invoice, both due."""
    bare(ledger)
    ledger.credits.grant("acme", "10")
    fee_charge(ledger, BY_INVOICE)
    usage_charge(ledger, BY_INVOICE)
    used(ledger, "30", WITHIN)
    at(ledger, END)
    ledger.charges.advance("acme")


def drafted(ledger: Ledger) -> None:
    """A draft of both that waits for late usage, to be approved by hand."""
    ledger_by_hand(ledger)
    ledger.invoices.invoice_pending_lines("acme")


def ledger_by_hand(ledger: Ledger) -> None:
    due(ledger)
    ledger.customers.change_profile("acme", collection_interval="P2D", auto_approve=False)


def collected(ledger: Ledger) -> None:
    """The draft, collected: it waits for approval."""
    drafted(ledger)
    at(ledger, COLLECTED)
    ledger.invoices.advance(invoice_of(ledger))


def issued(ledger: Ledger) -> None:
    """The invoice, issued."""
    collected(ledger)
    ledger.invoices.approve(invoice_of(ledger))


def sync_failed(ledger: Ledger) -> None:
    """The invoice, which the outside did not take."""
    collected(ledger)
    keep = ledger.charges.rounds._context.probe

    def fail(call: str) -> None:
        if call == "invoice.sync":
            raise Unavailable(call, "made to fail")

    ledger.charges.rounds._context.probe = fail
    try:
        ledger.invoices.approve(invoice_of(ledger))
    finally:
        ledger.charges.rounds._context.probe = keep


def overpaid(ledger: Ledger) -> None:
    """The invoice, issued; 500 came for it, which is too much."""
    issued(ledger)
    ledger.invoices.record_payment(invoice_of(ledger), "paid", amount="500")


def corrected(ledger: Ledger) -> None:
    """30 invoiced and paid; 10 less came late, and are credit of the customer."""
    bare(ledger)
    usage_charge(ledger, BY_INVOICE)
    used(ledger, "30", WITHIN)
    at(ledger, COLLECTED)
    ledger.worker.run_once()
    at(ledger, "2026-02-06T00:00:00Z")
    ledger.worker.run_once()
    ledger.invoices.record_payment(invoice_of(ledger), "paid")
    at(ledger, LATER)
    used(ledger, "-10", WITHIN)
    at(ledger, "2026-03-02T00:02:00Z")
    ledger.worker.run_once()


def correcting_of(ledger: Ledger) -> UUID:
    """The run that gave credit."""
    return ledger.charges.runs(usage_of(ledger))[-1].id


def written_off(ledger: Ledger) -> None:
    """10 of advance, given up."""
    realized(ledger)
    ledger.credits.write_off("acme")


def released(ledger: Ledger) -> None:
    """20 of credit that came back, beside 30 of advance."""
    realized(ledger)
    first = usage_of(ledger)
    usage_charge(ledger)
    ledger.charges.delete(first)


def closed(ledger: Ledger) -> None:
    """The books of January, closed."""
    realized(ledger)
    ledger.periods.close("2026-01")


def tokens(ledger: Ledger) -> None:
    """A currency of one's own."""
    bare(ledger)
    ledger.catalogue.define_currency("TOKENS", precision=3)


# ── what a command is about ──────────────────────────────────────────────────────────────────────────────────


def _charge(ledger: Ledger, kind: ChargeType) -> UUID:
    return next(charge.id for charge in ledger.charges.list("acme") if charge.charge_type is kind)


def usage_of(ledger: Ledger) -> UUID:
    """The usage charge."""
    return _charge(ledger, ChargeType.USAGE_BASED)


def bought_of(ledger: Ledger) -> UUID:
    """The purchase."""
    return _charge(ledger, ChargeType.CREDIT_PURCHASE)


def invoice_of(ledger: Ledger) -> UUID:
    """The invoice."""
    return ledger.invoices.list("acme")[0].id


def purchase(amount: str) -> NewPurchase:
    """A request for promotional credit."""
    return NewPurchase(
        customer="acme",
        currency=fiat("USD"),
        credit_amount=Decimal(amount),
        settlement=RequestedSettlement(type="promotional"),
    )


def _batch(ledger: Ledger, charge: UUID, command: str) -> object:
    patches = {charge: Delete(source=PatchSource.API)}
    return ledger.charges.apply_patches("acme", patches, [purchase("5")], command_id=command)


def _grant_later(ledger: Ledger) -> None:
    bare(ledger)
    ledger.credits.grant("acme", "20", effective_at=START)


def complete(ledger: Ledger) -> None:
    """A draft whose collection is complete."""
    drafted(ledger)
    at(ledger, COLLECTED)


def much_due(ledger: Ledger) -> None:
    """Fees and usage whose collection is complete, and nobody has advanced them."""
    due(ledger)
    usage_charge(ledger)
    at(ledger, COLLECTED)


def billed_in_part(ledger: Ledger) -> None:
    """Usage of the first half of January, on an invoice that was issued."""
    bare(ledger)
    usage_charge(ledger, BY_INVOICE)
    used(ledger, "5", "2026-01-10T00:00:00Z")
    at(ledger, WITHIN)
    ledger.charges.advance("acme")
    ledger.invoices.invoice_pending_lines("acme")
    at(ledger, "2026-01-16T00:02:00Z")
    ledger.invoices.advance_due("acme")


def drafted_beside(ledger: Ledger) -> None:
    """The draft, and a fee that came too late for it."""
    drafted(ledger)
    fee_charge(ledger, BY_INVOICE)


def made_outside(ledger: Ledger) -> None:
    """A fee that an invoicing system outside is to put on an invoice."""
    bare(ledger)
    outside = msgspec.structs.replace(Policies.standard(), invoicing=Invoicing.OUTSIDE)
    ledger.settings.change_policies(outside)
    fee_charge(ledger, BY_INVOICE)
    at(ledger, START)


def waiting_of(ledger: Ledger) -> UUID:
    """The charge that waits to be invoiced, the newest of several."""
    return [charge.id for charge in ledger.charges.list("acme") if charge.gathering_line is not None][-1]


def fee_line_of(ledger: Ledger) -> UUID:
    """The line of a flat fee on the invoice."""
    lines = ledger.invoices.get(invoice_of(ledger)).lines
    return next(line.line_id for line in lines if line.kind is LineKind.FLAT)


def _line_made(ledger: Ledger, charge: UUID, command: str) -> object:
    notice = LineCreated(
        customer="acme",
        invoice_id=UUID(int=1),
        line_id=UUID(int=2),
        charge_id=charge,
        period=period(START, END),
        currency=fiat("USD"),
    )
    return ledger.outside.tell(notice, command_id=command)


COMMANDS: dict[str, Command] = {
    "catalogue.define_cost_basis": Command(
        tokens,
        lambda ledger, _, key: ledger.catalogue.define_cost_basis(
            "TOKENS", rate="0.5", effective_from=START, command_id=key
        ),
    ),
    "catalogue.define_currency": Command(
        bare, lambda ledger, _, key: ledger.catalogue.define_currency("GEMS", precision=0, command_id=key)
    ),
    "catalogue.define_feature": Command(
        bare, lambda ledger, _, key: ledger.catalogue.define_feature("files", meter="calls", command_id=key)
    ),
    "catalogue.define_meter": Command(
        bare, lambda ledger, _, key: ledger.catalogue.define_meter("files", command_id=key)
    ),
    "charges.advance": Command(charged, lambda ledger, _, key: ledger.charges.advance("acme", command_id=key)),
    "charges.apply_patches": Command(realized, _batch, usage_of),
    "charges.bill_late_usage": Command(
        late, lambda ledger, charge, key: ledger.charges.bill_late_usage(charge, command_id=key), usage_of
    ),
    "charges.dismiss_late_usage": Command(
        late, lambda ledger, charge, key: ledger.charges.dismiss_late_usage(charge, command_id=key), usage_of
    ),
    "charges.clear_override": Command(
        overridden, lambda ledger, charge, key: ledger.charges.clear_override(charge, command_id=key), usage_of
    ),
    "charges.create": Command(bare, lambda ledger, _, key: ledger.charges.create([purchase("5")], command_id=key)),
    "charges.create_flat_fee": Command(realized, lambda ledger, _, key: fee_charge(ledger, command_id=key)),
    "charges.create_usage": Command(realized, lambda ledger, _, key: usage_charge(ledger, command_id=key)),
    "charges.delete": Command(
        realized, lambda ledger, charge, key: ledger.charges.delete(charge, command_id=key), usage_of
    ),
    "charges.extend": Command(
        realized,
        lambda ledger, charge, key: ledger.charges.extend(charge, service_period_to=COLLECTED, command_id=key),
        usage_of,
    ),
    "charges.record_payment": Command(
        sold, lambda ledger, bought, key: ledger.charges.record_payment(bought, "authorized", command_id=key), bought_of
    ),
    "charges.set_override": Command(
        realized, lambda ledger, charge, key: ledger.charges.set_override(charge, name="New", command_id=key), usage_of
    ),
    "charges.shrink": Command(
        realized,
        lambda ledger, charge, key: ledger.charges.shrink(charge, service_period_to=WITHIN, command_id=key),
        usage_of,
    ),
    "charges.void_purchase": Command(
        sold, lambda ledger, bought, key: ledger.charges.void_purchase(bought, command_id=key), bought_of
    ),
    "charges.shrink_to_realized": Command(
        billed_in_part,
        lambda ledger, charge, key: ledger.charges.shrink_to_realized(charge, service_period_to=WITHIN, command_id=key),
        usage_of,
    ),
    "credits.cancel": Command(
        _grant_later, lambda ledger, bought, key: ledger.credits.cancel(bought, command_id=key), bought_of
    ),
    "credits.grant": Command(realized, lambda ledger, _, key: ledger.credits.grant("acme", "25", command_id=key)),
    "credits.receive": Command(
        sold, lambda ledger, bought, key: ledger.credits.receive(bought, "60", command_id=key), bought_of
    ),
    "credits.record_payment": Command(
        sold, lambda ledger, bought, key: ledger.credits.record_payment(bought, "paid", command_id=key), bought_of
    ),
    "credits.recover": Command(written_off, lambda ledger, _, key: ledger.credits.recover("acme", command_id=key)),
    "credits.reduce": Command(
        paid, lambda ledger, bought, key: ledger.credits.reduce(bought, "20", command_id=key), bought_of
    ),
    "credits.cover_advance": Command(
        released, lambda ledger, _, key: ledger.credits.cover_advance("acme", command_id=key)
    ),
    "credits.refund_correction": Command(
        corrected,
        lambda ledger, run, key: ledger.credits.refund_correction("acme", run, "4", command_id=key),
        correcting_of,
    ),
    "credits.refund": Command(
        voided, lambda ledger, bought, key: ledger.credits.refund(bought, command_id=key), bought_of
    ),
    "credits.reverse_payment": Command(
        paid, lambda ledger, bought, key: ledger.credits.reverse_payment(bought, "10", command_id=key), bought_of
    ),
    "credits.retry_payment": Command(
        payment_failed, lambda ledger, bought, key: ledger.credits.retry_payment(bought, command_id=key), bought_of
    ),
    "credits.write_off_payment": Command(
        payment_failed, lambda ledger, bought, key: ledger.credits.write_off_payment(bought, command_id=key), bought_of
    ),
    "credits.sell": Command(
        realized,
        lambda ledger, _, key: ledger.credits.sell(
            "acme", "25", cost_basis="0.5", settlement="invoice", command_id=key
        ),
    ),
    "credits.void": Command(
        paid,
        lambda ledger, bought, key: ledger.credits.void(bought, payment_adjustment="refund", command_id=key),
        bought_of,
    ),
    "credits.write_off": Command(realized, lambda ledger, _, key: ledger.credits.write_off("acme", command_id=key)),
    "customers.change_profile": Command(
        bare, lambda ledger, _, key: ledger.customers.change_profile("acme", zone="Europe/Berlin", command_id=key)
    ),
    "customers.delete": Command(
        two_customers, lambda ledger, _, key: ledger.customers.delete("globex", command_id=key)
    ),
    "customers.create": Command(bare, lambda ledger, _, key: ledger.customers.create("globex", command_id=key)),
    "invoices.add_fee": Command(
        drafted,
        lambda ledger, invoice, key: ledger.invoices.add_fee(
            invoice, amount="5", period_from=START, period_to=END, command_id=key
        ),
        invoice_of,
    ),
    "invoices.add_usage": Command(
        drafted,
        lambda ledger, invoice, key: ledger.invoices.add_usage(
            invoice, feature="calls", price=unit("2"), period_from=START, period_to=END, command_id=key
        ),
        invoice_of,
    ),
    "invoices.attach": Command(
        drafted_beside,
        lambda ledger, charge, key: ledger.invoices.attach(invoice_of(ledger), charge, command_id=key),
        waiting_of,
    ),
    "invoices.credit": Command(
        issued, lambda ledger, invoice, key: ledger.invoices.credit(invoice, amount="5", command_id=key), invoice_of
    ),
    "invoices.delete_line": Command(
        drafted,
        lambda ledger, line, key: ledger.invoices.delete_line(invoice_of(ledger), line, command_id=key),
        fee_line_of,
    ),
    "invoices.describe": Command(
        drafted,
        lambda ledger, invoice, key: ledger.invoices.describe(invoice, "January", command_id=key),
        invoice_of,
    ),
    "invoices.edit_line": Command(
        drafted,
        lambda ledger, line, key: ledger.invoices.edit_line(invoice_of(ledger), line, amount="40", command_id=key),
        fee_line_of,
    ),
    "invoices.advance": Command(
        complete,
        lambda ledger, invoice, key: ledger.invoices.advance(invoice, command_id=key),
        invoice_of,
    ),
    "invoices.advance_due": Command(due, lambda ledger, _, key: ledger.invoices.advance_due("acme", command_id=key)),
    "invoices.move_due": Command(due, lambda ledger, _, key: ledger.invoices.move_due("acme", command_id=key)),
    "invoices.approve": Command(
        collected, lambda ledger, invoice, key: ledger.invoices.approve(invoice, command_id=key), invoice_of
    ),
    "invoices.delete": Command(
        collected, lambda ledger, invoice, key: ledger.invoices.delete(invoice, command_id=key), invoice_of
    ),
    "invoices.invoice_pending_lines": Command(
        due, lambda ledger, _, key: ledger.invoices.invoice_pending_lines("acme", command_id=key)
    ),
    "invoices.record_payment": Command(
        issued,
        lambda ledger, invoice, key: ledger.invoices.record_payment(invoice, "paid", amount="60", command_id=key),
        invoice_of,
    ),
    "invoices.refund_all_unapplied": Command(
        overpaid, lambda ledger, _, key: ledger.invoices.refund_all_unapplied("acme", command_id=key)
    ),
    "invoices.refund_unapplied": Command(
        overpaid,
        lambda ledger, invoice, key: ledger.invoices.refund_unapplied(invoice, "5", command_id=key),
        invoice_of,
    ),
    "invoices.repeat": Command(
        sync_failed, lambda ledger, invoice, key: ledger.invoices.repeat(invoice, command_id=key), invoice_of
    ),
    "invoices.retry": Command(
        sync_failed, lambda ledger, invoice, key: ledger.invoices.retry(invoice, command_id=key), invoice_of
    ),
    "invoices.void": Command(
        issued, lambda ledger, invoice, key: ledger.invoices.void(invoice, command_id=key), invoice_of
    ),
    "invoices.write_off": Command(
        issued, lambda ledger, invoice, key: ledger.invoices.write_off(invoice, command_id=key), invoice_of
    ),
    "outside.tell": Command(made_outside, _line_made, waiting_of),
    "periods.close": Command(realized, lambda ledger, _, key: ledger.periods.close("2026-01", command_id=key)),
    "periods.reopen": Command(
        closed, lambda ledger, _, key: ledger.periods.reopen("2026-01", reason="late bill", command_id=key)
    ),
    "settings.change_default_profile": Command(
        bare, lambda ledger, _, key: ledger.settings.change_default_profile(zone="Asia/Tokyo", command_id=key)
    ),
    "settings.change_policies": Command(
        bare, lambda ledger, _, key: ledger.settings.change_policies(Policies.reference(), command_id=key)
    ),
    "settings.change_tax": Command(bare, lambda ledger, _, key: ledger.settings.change_tax(["vat"], command_id=key)),
    "worker.run_once": Command(
        much_due,
        lambda ledger, _, key: ledger.worker.run_once(command_id=key),
    ),
}
"""By group and method, as somebody who uses the facade finds them."""


def commands_of_the_facade() -> set[str]:
    """Every public method of every group that takes a command id."""
    with Ledger.open("memory:") as ledger:
        return {
            f"{group}.{name}"
            for group, part in vars(ledger).items()
            if group != "store"
            for name, method in inspect.getmembers(part, inspect.ismethod)
            if not name.startswith("_") and "command_id" in inspect.signature(method).parameters
        }
