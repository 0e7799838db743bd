"""Invoices that a system outside makes, from the command line: what waits, a program that takes it, what it tells."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.commandline import Run

AT = ("--now", "2026-01-01")
JANUARY = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
INVOICE, LINE = str(UUID(int=1)), str(UUID(int=101))

TAKES = """
import pathlib, sys
with pathlib.Path("taken.jsonl").open("a") as taken:
    taken.write(sys.stdin.read())
"""
REFUSES = "import sys; sys.exit(3)"


class Shop:
    """A ledger whose invoices are made outside, and a fee of 31.00 for January."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run = run
        self.folder = folder
        run("init", *AT)
        run("settings", "policy", "invoicing=outside", *AT)
        run("customer", "create", "acme", *AT)
        period = ("--from", "2026-01-01", "--to", "2026-02-01")
        fee = ("charge", "create-fee", "acme", "31", *period, "--settlement", "invoice")
        self.charge: str = run(*fee, "--json", *AT).data["id"]

    def deliver(self, script: str, code: int = 0) -> Any:
        (self.folder / "billing.py").write_text(script)
        return self.run("outside", "deliver", "--json", *AT, "--", sys.executable, "billing.py", code=code)

    def taken(self) -> list[Any]:
        """What the system outside has, line by line."""
        return [json.loads(line) for line in (self.folder / "taken.jsonl").read_text().splitlines()]

    def tell(self, kind: str, *options: str, code: int = 0, **more: Any) -> Any:
        known = {"customer": "acme", "charge_id": self.charge, "invoice_id": INVOICE, "line_id": LINE}
        (self.folder / "notice.json").write_text(json.dumps({"type": kind, **known, **more}))
        return self.run("outside", "tell", "notice.json", "--json", *AT, *options, code=code)


@pytest.fixture
def shop(run: Run, tmp_path: Path) -> Shop:
    return Shop(run, tmp_path)


def test_a_fee_is_handed_over_invoiced_outside_and_paid(shop: Shop) -> None:
    """31.00 wait; the line shows 31.00, which are issued and paid, and the fee is final."""
    (waits,) = shop.run("outside", "waiting", "--json", *AT).data
    assert (waits["effect"], waits["charge"]) == ("gathering_line_requested", shop.charge)
    assert waits["body"]["line"]["amount"] == "31.00"
    assert shop.deliver(TAKES).data == {"delivered": 1}
    assert shop.run("outside", "waiting", "--json", *AT).data == []

    shop.tell("line_created", period=JANUARY, currency="USD")
    shop.tell("line_collected")
    shop.deliver(TAKES)
    content = [each["body"]["content"] for each in shop.taken() if each["effect"] == "invoice_line_updated"][-1]
    assert content["totals"]["total"] == "31.00"
    shop.tell("line_issued", period=JANUARY, totals=content["totals"], currency="USD")
    money: dict[str, Any] = {"amount": "31.00", "net": "31.00", "in_full": True}
    shop.tell("line_payment_authorized", **money)
    paid = shop.tell("line_payment_settled", **money).data

    assert paid["status"] == "final"
    wash = list(shop.run("entries", "acme", "--account", "wash", "--json", *AT).data["items"])
    assert [row["amount"] for row in wash] == ["-31.00"]


def test_what_a_program_does_not_take_is_handed_over_again(shop: Shop) -> None:
    refused = shop.deliver(REFUSES, code=7)
    assert "ended with 3" in json.loads(refused.err)["error"]["message"]

    assert shop.deliver(TAKES).data == {"delivered": 1}
    assert [each["charge"] for each in shop.taken()] == [shop.charge]
    assert shop.deliver(TAKES).data == {"delivered": 0}


def test_a_program_that_is_none_is_a_mistake_of_the_command_line(shop: Shop) -> None:
    ended = shop.run("outside", "deliver", "no-such-program", "--json", code=2)

    assert "no-such-program" in ended.error["message"]
    assert len(shop.run("outside", "waiting", "--json").data) == 1


def test_people_see_what_waits_and_how_much_was_handed_over(shop: Shop) -> None:
    waiting = shop.run("outside", "waiting", *AT).out
    assert "gathering_line_requested  acme" in waiting
    (shop.folder / "billing.py").write_text(TAKES)

    handed = shop.run("outside", "deliver", *AT, sys.executable, "billing.py").out

    assert handed == "1 effect handed over.\n"
    assert shop.run("outside", "waiting", *AT).out == "Nothing waits to be handed over.\n"


def test_what_is_told_can_be_tried_and_the_same_again_changes_nothing(shop: Shop) -> None:
    made: dict[str, Any] = {"period": JANUARY, "currency": "USD"}
    tried = shop.tell("line_created", "--dry-run", **made).data
    assert "realization_run.started.v1" in {event["event"] for event in tried["events"]}

    first = shop.tell("line_created", "--command-id", "one", **made).data
    again = shop.tell("line_created", "--command-id", "one", **made).data

    assert first == again


def test_a_notice_may_come_on_standard_input(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.tell("line_created", period=JANUARY, currency="USD")
    monkeypatch.setattr(sys, "stdin", io.StringIO((shop.folder / "notice.json").read_text()))

    told = shop.run("outside", "tell", "-", "--json", *AT).data

    assert told["id"] == shop.charge
    assert "cannot be read" in shop.run("outside", "tell", "gone.json", "--json", *AT, code=2).error["message"]


@pytest.mark.parametrize(
    ("kind", "fields", "codes"),
    [
        ("line_done", {}, ["unknown_choice"]),
        ("line_created", {"period": JANUARY, "colour": "red"}, ["unknown_field", "missing"]),
        (
            "line_created",
            {"period": {"from": "soon", "to": "2026-02-01T00:00"}, "currency": "USD"},
            ["invalid_time"] * 2,
        ),
        ("line_created", {"period": JANUARY, "currency": "TOKENS"}, ["invalid_shape"]),
        ("line_written_off", {"amount": "NaN", "net": "1e2"}, ["invalid_number"] * 2),
        ("line_written_off", {"amount": "much", "net": "1"}, ["invalid_shape"]),
        ("line_payment_failed", {"released": "1", "released_net": "1", "reason": "a\x00b"}, ["invalid_text"]),
    ],
)
def test_a_notice_that_cannot_be_read_is_refused_with_all_that_is_wrong(
    shop: Shop, kind: str, fields: dict[str, Any], codes: list[str]
) -> None:
    error = shop.tell(kind, code=2, **fields).error

    assert [finding["code"] for finding in error["findings"]] == codes


def test_a_line_the_charge_does_not_know_is_refused(shop: Shop) -> None:
    error = shop.tell("line_written_off", amount="1", net="1", code=4).error

    assert error["code"] == "run_not_found"


def test_a_ledger_that_makes_its_own_invoices_says_so(shop: Shop) -> None:
    shop.run("settings", "policy", "invoicing=inside", *AT)

    assert "Invoices are made inside" in shop.run("outside", "waiting", *AT).out
    assert shop.deliver(TAKES).data == {"delivered": 0}
    assert shop.tell("line_collected", code=3).error["code"] == "precondition_failed"
