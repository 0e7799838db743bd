"""Threads that advance charges, invoice, pay, grant, void and correct one customer at once, on files and on a server.

Whatever the interleaving: nobody meets a defect, and the books, charges and invoices agree afterwards (ledger §16).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from aggregates.policies import Policies
from aggregates.values.errors import LedgerError
from ledger.facade import Ledger
from tests.support.histories import Asked
from tests.support.lifetimes import Lifetime

ROUNDS = 3


def until_it_is_not_raced(act: Callable[[], object]) -> None:
    """Send a command until nobody else is faster; what it refuses is part of the story."""
    for _ in range(50):
        try:
            act()
        except LedgerError as refusal:
            if refusal.retryable:
                continue
        return


def everything(ledger: Ledger, charges: list[UUID]) -> list[Callable[[], None]]:
    """What the threads do, each over and over."""

    def work() -> None:
        ledger.worker.run_once()

    def invoice() -> None:
        until_it_is_not_raced(partial(ledger.invoices.invoice_pending_lines, "acme"))

    def pay() -> None:
        for each in ledger.invoices.list("acme"):
            until_it_is_not_raced(partial(ledger.invoices.record_payment, each.id, "paid", amount="0.70"))

    def give() -> None:
        granted: list[UUID] = []
        until_it_is_not_raced(lambda: granted.append(ledger.credits.grant("acme", "1.50").id))
        for purchase in granted:
            until_it_is_not_raced(partial(ledger.credits.void, purchase))

    def correct() -> None:
        for charge in charges:
            until_it_is_not_raced(partial(ledger.charges.set_override, charge, name="New"))
            until_it_is_not_raced(partial(ledger.charges.delete, charge))

    def void() -> None:
        for each in ledger.invoices.list("acme")[:1]:
            until_it_is_not_raced(partial(ledger.invoices.void, each.id))

    return [work, invoice, pay, give, correct, void]


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_books_charges_and_invoices_agree_after_any_interleaving(request: pytest.FixtureRequest, database: str) -> None:
    lifetime = Lifetime(str(request.getfixturevalue(f"{database}_url")), Policies.standard())
    for number in range(24):
        kind = lifetime.commands.index((lifetime._usage_by_invoice, lifetime._fee, lifetime._charge)[number % 3])
        lifetime.play(Asked(kind, 11 * number + 1, number, 9))
    lifetime.clock.set(lifetime.now + timedelta(days=20))
    defects: list[BaseException] = []
    acts = everything(lifetime.ledger, lifetime.charges[::4])
    start = threading.Barrier(len(acts))

    def run(act: Callable[[], None]) -> None:
        start.wait()
        try:
            for _ in range(ROUNDS):
                with suppress(LedgerError):
                    act()
        except BaseException as defect:  # noqa: BLE001 - told to the test below
            defects.append(defect)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert defects == []
    lifetime.check()
    lifetime.finish()
