"""What came of a command: events without ids, balances, and how it comes out when a call on the way fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from aggregates.invoices.statuses import InvoiceStatus
from aggregates.values.errors import LedgerError, Unavailable
from ledger.facade import Ledger
from ledger.store import mapper
from tests.support.commands import open_ledger
from tests.support.further_commands import EVERY_COMMAND


def told(ledger: Ledger) -> Iterator[tuple[str, str]]:
    """The whole log: the name of every event and its body, ids numbered as they first appear.

    Two ledgers that went through the same differ in nothing but the ids that they drew.
    """
    numbers: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        return numbers.setdefault(found.group(), f"#{len(numbers)}")

    for row in ledger.store.read_log(0, 1_000_000):
        record = mapper.decode(row.name, row.data)
        body = msgspec.json.encode(record.body, order="deterministic").decode()
        yield row.name, re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", numbered, body)


def balances(ledger: Ledger) -> tuple[object, ...]:
    """What the customer has, as the views tell it."""
    return ledger.views.balance("acme").settled, ledger.views.addresses("acme")


class CameTo(NamedTuple):
    """What a command came to: the log as `told`, the balances, and the calls it made."""

    log: list[tuple[str, str]]
    balances: tuple[object, ...]
    probe: Counting


RECORDED = ("invoice.sync", "invoice.BookingStarted")
"""Where the outside is asked to take an invoice: that it did not is recorded, and repeated with `invoices.retry`."""


def comes_to_the_same(broken: CameTo, clean: CameTo) -> bool:
    """Whether a command that was broken off and sent again came to what it comes to."""
    assert broken.probe.fail_at is not None, "nothing was made to fail"
    if clean.probe.calls[broken.probe.fail_at - 1] in RECORDED:
        return broken.balances == clean.balances
    return (broken.log, broken.balances) == (clean.log, clean.balances)


def broken_off(name: str, fail_at: int | None, url: str = "memory:") -> CameTo:
    """Send a command of which one call fails, then send it again under the same id.

    Without `fail_at` nothing fails and it is sent once: what the others have to come to.
    """
    command, probe = EVERY_COMMAND[name], Counting(fail_at)
    with open_ledger(url, probe) as ledger:
        command.prepare(ledger)
        target = command.target(ledger)
        probe.armed = True
        try:
            command.send(ledger, target, "once")
        except LedgerError:
            if fail_at is None:
                raise
        probe.armed = False
        if fail_at is not None:
            command.send(ledger, target, "once")
            for invoice in ledger.invoices.list("acme") if probe.calls[fail_at - 1] in RECORDED else ():
                if invoice.status is InvoiceStatus.ISSUING_SYNC_FAILED:
                    ledger.invoices.retry(invoice.id)
        report = ledger.audit.verify()
        assert report.sound, report
        return CameTo(list(told(ledger)), balances(ledger), probe)


class Counting:
    """A probe that counts calls once it is armed, and makes one of them fail."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.armed = False
        self.fail_at = fail_at
        self.calls: list[str] = []

    def __call__(self, call: str) -> None:
        if not self.armed:
            return
        self.calls.append(call)
        if len(self.calls) == self.fail_at:
            raise Unavailable(call, "made to fail")
