"""Late usage is billed once, wherever whoever finds it is interrupted, and however many look for it at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.facade import Ledger
from ledger.ports import SettableClock
from tests.application.late import BY_INVOICE, Late

MARCH = "2026-03-01T00:02:00Z"


class Interrupted(BaseException):
    """The process is gone in the middle of a call."""


def waiting(url: str) -> None:
    """Two charges for January with 8 units, paid, and 3 more that have just been stored."""
    with Late(url) as late:
        late.january("credit_only")
        late.january(BY_INVOICE)
        late.ledger.credits.grant("acme", "100")
        late.use(8)
        late.closed()
        late.paid()
        late.at("2026-03-01T00:00:00Z")
        late.use(3)


def passed(url: str, probe: Callable[[str], None]) -> None:
    """A pass of a worker in March."""
    with Ledger.open(url, clock=SettableClock(MARCH), probe=probe) as ledger:
        ledger.worker.run_once()


def is_billed_once(url: str) -> None:
    with Ledger.open(url, clock=SettableClock(MARCH)) as ledger:
        for charge in ledger.charges.list("acme"):
            runs = [run for run in ledger.charges.runs(charge.id) if run.meter_id is not None]
            assert [run.metered_quantity for run in runs] in ([8, 11], [])
        assert [invoice.totals.amount for invoice in ledger.invoices.list("acme")] == [80, 30]
        assert ledger.audit.verify().findings == ()


def test_whatever_call_it_is_interrupted_at(tmp_path: Path) -> None:
    calls: list[str] = []
    url = f"sqlite:///{tmp_path}/whole.db"
    waiting(url)
    template = (tmp_path / "whole.db").read_bytes()
    passed(url, calls.append)
    is_billed_once(url)
    assert {"usage.unseen", "usage.arrivals", "usage.seen"} <= set(calls)

    for place in range(len(calls), 0, -7):
        copy = tmp_path / f"{place}.db"
        copy.write_bytes(template)
        _interrupt(f"sqlite:///{copy}", place)
        passed(f"sqlite:///{copy}", calls.append)
        passed(f"sqlite:///{copy}", calls.append)
        is_billed_once(f"sqlite:///{copy}")


def _interrupt(url: str, place: int) -> None:
    seen = 0

    def probe(_call: str) -> None:
        nonlocal seen
        seen += 1
        if seen == place:
            raise Interrupted

    with pytest.raises(Interrupted):
        passed(url, probe)


@pytest.mark.parametrize("store", ["sqlite_url", "postgres_url"])
def test_several_at_once_bill_it_once(request: pytest.FixtureRequest, store: str) -> None:
    url = str(request.getfixturevalue(store))
    waiting(url)
    start = threading.Barrier(3)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Ledger.open(url, clock=SettableClock(MARCH)) as ledger:
                start.wait()
                report = ledger.worker.run_once()
                assert report.failed == ()
        except BaseException as failure:  # noqa: BLE001 - told by the test
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    passed(url, lambda _call: None)
    is_billed_once(url)
