"""Races for what is left of a grant: threads of one ledger, and ledgers that share a database like processes do."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest

from aggregates.credits.events import CreditVoided
from aggregates.policies import Policies
from aggregates.values.errors import LedgerError
from ledger.facade import Ledger
from ledger.ports import SettableClock
from ledger.store import mapper

WORKERS = 8


def voided(ledger: Ledger) -> list[Decimal]:
    bodies = [mapper.decode(row.name, row.data).body for row in ledger.store.read_log(0, 100_000)]
    return [body.amount for body in bodies if isinstance(body, CreditVoided)]


def together(ledgers: list[Ledger], work: object) -> list[str]:
    """The codes of what was refused, when all of them begin at once."""
    start = threading.Barrier(len(ledgers))
    refused: list[str] = []

    def run(ledger: Ledger) -> None:
        start.wait()
        try:
            work(ledger)  # type: ignore[operator]
        except LedgerError as error:
            refused.append(error.code)

    threads = [threading.Thread(target=run, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


@pytest.mark.parametrize("adjustment", ["none", "refund"])
@pytest.mark.parametrize("shared", [True, False], ids=["threads of one ledger", "ledgers of one database"])
def test_many_voids_at_once_book_once(store_url: str, adjustment: str, *, shared: bool) -> None:
    if store_url == "memory:" and not shared:
        return  # each ledger in memory is a database of its own
    clock = SettableClock("2026-01-01T00:00:00Z")
    with Ledger.open(store_url, clock=clock, policies=Policies.standard()) as ledger:
        ledger.customers.create("acme")
        purchase = ledger.credits.sell("acme", "100", cost_basis="0.5", initial_status="settled").id
        ledgers = [ledger if shared else Ledger.open(store_url, clock=clock) for _ in range(WORKERS)]
        refused = together(ledgers, lambda each: each.credits.void(purchase, payment_adjustment=adjustment))

        assert voided(ledger) == [100]
        assert set(refused) <= {"concurrent_change"}
        found = ledger.views.balance("acme")
        assert [found.settled, found.wash] == [0, 0 if adjustment == "refund" else -50]
        assert ledger.audit.verify().sound
        for each in ledgers:
            if each is not ledger:
                each.close()


def test_reductions_at_once_never_take_more_than_is_left(store_url: str) -> None:
    clock = SettableClock("2026-01-01T00:00:00Z")
    with Ledger.open(store_url, clock=clock, policies=Policies.standard()) as ledger:
        ledger.customers.create("acme")
        purchase = ledger.credits.sell("acme", "50", cost_basis="0.5", initial_status="settled").id
        refused = together([ledger] * WORKERS, lambda each: each.credits.reduce(purchase, "10"))

        assert sum(voided(ledger)) == 50
        assert len(refused) == WORKERS - 5
        assert ledger.views.balance("acme").settled == 0
