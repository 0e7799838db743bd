"""Commands of the facade in other scenes, where they do something else: what is tried on `COMMANDS` is tried on them.

Named after the command, then what is different.
"""

from __future__ import annotations

from ledger.facade import Ledger
from tests.application.scenes import at, used
from tests.support.commands import (
    COLLECTED,
    COMMANDS,
    END,
    START,
    WITHIN,
    Command,
    bare,
    bought_of,
    invoice_of,
    usage_charge,
)


def sold_by_invoice(ledger: Ledger) -> None:
    """100 sold at 0.5 by invoice, 30 of it used, 50.00 asked for and 20.00 paid."""
    bare(ledger)
    ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice")
    usage_charge(ledger)
    used(ledger, "30", WITHIN)
    at(ledger, COLLECTED)
    ledger.worker.run_once()
    ledger.invoices.record_payment(invoice_of(ledger), "paid", amount="20")


def paid_by_invoice(ledger: Ledger) -> None:
    """The same, paid, and the rest of the credit taken back at face value."""
    sold_by_invoice(ledger)
    ledger.invoices.record_payment(invoice_of(ledger), "paid")
    ledger.credits.void(bought_of(ledger))


def waiting(ledger: Ledger) -> None:
    """Credit sold by invoice that waits for its time."""
    bare(ledger)
    ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice", effective_at=START, expires_at=WITHIN)


def expired(ledger: Ledger) -> None:
    """The same, which expired before anybody invoiced it."""
    waiting(ledger)
    at(ledger, END)


FURTHER: dict[str, Command] = {
    "credits.cancel of credit by invoice": Command(
        waiting, lambda ledger, bought, key: ledger.credits.cancel(bought, command_id=key), bought_of
    ),
    "credits.reduce of credit that waits": Command(
        waiting, lambda ledger, bought, key: ledger.credits.reduce(bought, "60", command_id=key), bought_of
    ),
    "credits.reduce of credit by invoice": Command(
        sold_by_invoice, lambda ledger, bought, key: ledger.credits.reduce(bought, "60", command_id=key), bought_of
    ),
    "credits.refund of credit by invoice": Command(
        paid_by_invoice, lambda ledger, bought, key: ledger.credits.refund(bought, "5", command_id=key), bought_of
    ),
    "credits.void of credit by invoice": Command(
        sold_by_invoice,
        lambda ledger, bought, key: ledger.credits.void(bought, payment_adjustment="reduce", command_id=key),
        bought_of,
    ),
    "invoices.record_payment of credit": Command(
        sold_by_invoice,
        lambda ledger, invoice, key: ledger.invoices.record_payment(invoice, "paid", amount="60", command_id=key),
        invoice_of,
    ),
    "invoices.void of credit": Command(
        sold_by_invoice, lambda ledger, invoice, key: ledger.invoices.void(invoice, command_id=key), invoice_of
    ),
    "invoices.write_off of credit": Command(
        sold_by_invoice, lambda ledger, invoice, key: ledger.invoices.write_off(invoice, command_id=key), invoice_of
    ),
    "worker.run_once after credit expired": Command(
        expired, lambda ledger, _, key: ledger.worker.run_once(command_id=key)
    ),
}

EVERY_COMMAND: dict[str, Command] = {**COMMANDS, **FURTHER}
"""Every command, in every scene there is for it."""
