"""A worker that goes on: when it looks again, what it does when something fails, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from aggregates.charges.intent import DynamicBasis
from aggregates.charges.requests import NewPurchase, RequestedSettlement
from aggregates.values.errors import Unavailable
from aggregates.values.money import fiat
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.ports import Probe, SettableClock, no_probe
from ledger.worker import Pass, Stop
from tests.application.scenes import at, january_charge, opened, used, with_customer

DECEMBER = "2025-12-31T23:00:00Z"
FEBRUARY = "2026-02-04T00:00:00Z"
CUSTOMERS = ("acme", "birch", "cedar")
HOUR = timedelta(hours=1)


class Resting:
    """Rests without waiting: the ledger's clock moves on instead. Asks to end after so many rests."""

    def __init__(self, ledger: Ledger, rests: int, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._ledger = ledger
        self._left = rests
        self._meanwhile = meanwhile
        self.rests: list[timedelta] = []

    def is_set(self) -> bool:
        return self._left <= 0

    def wait(self, timeout: float) -> bool:
        rest = timedelta(seconds=timeout)
        self.rests.append(rest)
        clock = self._ledger.clock
        assert isinstance(clock, SettableClock)
        clock.set(clock.now() + rest)
        self._meanwhile()
        self._left -= 1
        return self.is_set()


def scene(url: str, now: str = DECEMBER, probe: Probe = no_probe) -> Ledger:
    """Three customers with a charge of January each, 5 calls of it at 1 USD."""
    with opened(url, DECEMBER) as ledger:
        for customer in CUSTOMERS:
            with_customer(ledger, customer)
            january_charge(ledger, customer)
            used(ledger, "5", "2026-01-10T00:00:00Z", customer=customer)
    return Ledger.open(url, clock=SettableClock(now), probe=probe)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """A database that can be opened again."""
    return str(request.getfixturevalue(f"{request.param}_url"))


def statuses(ledger: Ledger) -> set[str]:
    return {charge.status for charge in ledger.views.charges().items}


def test_it_rests_until_something_comes_due_and_follows_a_charge_to_its_end(url: str) -> None:
    """An hour to January, January, two days of collection and a minute: with nothing in between it looks four times."""
    with scene(url) as ledger:
        resting = Resting(ledger, rests=4)

        ledger.worker.run(stop=resting, interval=timedelta(days=60))

        assert resting.rests[:2] == [HOUR, timedelta(days=31)]
        assert ledger.clock.now() >= timestamp("2026-02-03T00:01:00Z")
        assert statuses(ledger) == {"final"}
        assert {ledger.views.balance(customer).settled for customer in CUSTOMERS} == {-5}


def test_it_rests_no_longer_than_the_interval(url: str) -> None:
    with scene(url) as ledger:
        resting = Resting(ledger, rests=3)

        ledger.worker.run(stop=resting, interval=timedelta(minutes=5))

        assert resting.rests == [timedelta(minutes=5)] * 3


def test_it_ends_when_nothing_moves_any_more(url: str) -> None:
    passes: list[Pass] = []
    with scene(url, FEBRUARY) as ledger:
        last = ledger.worker.run(until_idle=True, told=passes.append)

        assert [each.report.moved for each in passes] == [3, 0]
        assert last == passes[-1]
        assert passes[0].report.succeeded == CUSTOMERS


def test_a_stuck_charge_does_not_keep_it_from_ending_nor_from_resting(url: str) -> None:
    with scene(url) as ledger:
        ledger.catalogue.define_feature("calls")
        at(ledger, "2026-01-01T00:00:00Z")

        last = ledger.worker.run(until_idle=True)
        resting = Resting(ledger, rests=2)
        ledger.worker.run(stop=resting, interval=timedelta(seconds=30))

        assert last.number == 1
        assert [each.code for each in last.report.stuck] == ["meter_not_found"] * 3
        assert resting.rests == [timedelta(seconds=30)] * 2


@pytest.mark.parametrize("error", [ValueError("a defect"), Unavailable("the meter", "it is asleep")])
def test_a_failing_customer_does_not_stop_the_others(url: str, error: Exception) -> None:
    """The second meter query of a pass fails: that customer waits for the next pass, the others are done."""
    asked: list[str] = []

    def probe(call: str) -> None:
        if call == "meter.quantity":
            asked.append(call)
            if len(asked) == 2:
                raise error

    passes: list[Pass] = []
    with scene(url, FEBRUARY, probe) as ledger:
        ledger.worker.run(until_idle=True, told=passes.append)

        (failed,) = passes[0].report.failed
        assert failed.customer in CUSTOMERS
        assert failed.code == ("unavailable" if isinstance(error, Unavailable) else "defect")
        assert set(passes[0].report.succeeded) == {*CUSTOMERS} - {failed.customer}
        assert passes[1].report.succeeded == (failed.customer,)
        assert statuses(ledger) == {"final"}
        assert {ledger.views.balance(customer).settled for customer in CUSTOMERS} == {-5}
        assert ledger.audit.verify().sound


def test_a_store_that_does_not_answer_is_waited_for_longer_each_time(url: str) -> None:
    is_away = True

    def probe(call: str) -> None:
        if is_away and call.startswith("store."):
            raise Unavailable("the store", "it is asleep")

    def meanwhile() -> None:
        nonlocal is_away
        is_away = len(resting.rests) < 5

    passes: list[Pass] = []
    is_away = False
    with scene(url, FEBRUARY, probe) as ledger:
        is_away = True
        resting = Resting(ledger, 6, meanwhile)

        ledger.worker.run(stop=resting, interval=timedelta(seconds=10), told=passes.append)

        assert [rest.total_seconds() for rest in resting.rests] == [1, 2, 4, 8, 10, 10]
        assert all("asleep" in (each.report.unavailable or "") for each in passes[:5])
        assert passes[5].report.moved == 3
        assert passes[5].report.unavailable is None


def test_a_store_that_goes_away_within_a_pass_ends_the_pass_and_the_next_does_the_rest(url: str) -> None:
    is_away = False

    def probe(call: str) -> None:
        if is_away and call.startswith("store."):
            raise Unavailable("the store", "it is asleep")

    def progress(_customer: str, done: int, _of: int) -> None:
        nonlocal is_away
        is_away = done == 1 and not passes

    def told(done: Pass) -> None:
        nonlocal is_away
        passes.append(done)
        is_away = False

    passes: list[Pass] = []
    with scene(url, FEBRUARY, probe) as ledger:
        ledger.worker.run(stop=Resting(ledger, 2), told=told, progress=progress)

        first, second = (each.report for each in passes[:2])
        assert (len(first.succeeded), len(first.failed), first.unavailable) == (
            1,
            1,
            "the store did not answer: it is asleep",
        )
        assert second.moved == 2
        assert statuses(ledger) == {"final"}


def test_it_ends_after_the_customer_it_is_at(url: str) -> None:
    with scene(url, FEBRUARY) as ledger:
        stop = Stop()

        last = ledger.worker.run(stop=stop, progress=lambda _customer, _done, _of: stop.set())

        assert (last.number, len(last.report.succeeded), last.report.moved) == (1, 1, 1)


def test_it_is_woken_from_its_rest_to_end(url: str) -> None:
    with scene(url, FEBRUARY) as ledger:
        stop = Stop()
        threads = [
            threading.Thread(target=ledger.worker.run, kwargs={"stop": stop, "interval": HOUR}) for _ in range(2)
        ]
        for thread in threads:
            thread.start()

        stop.set()

        for thread in threads:
            thread.join(timeout=20)
        assert not any(thread.is_alive() for thread in threads)


def test_workers_of_one_process_leave_out_whom_another_is_at(url: str) -> None:
    """While one is in the middle of a customer, another does all the others and not that one."""
    held, go_on = threading.Event(), threading.Event()
    is_first = threading.Lock()

    def probe(call: str) -> None:
        if call == "meter.quantity" and is_first.acquire(blocking=False):
            held.set()
            assert go_on.wait(20)

    passes: list[Pass] = []
    with scene(url, FEBRUARY, probe) as ledger:
        slow = threading.Thread(target=ledger.worker.run, kwargs={"until_idle": True, "told": passes.append})
        slow.start()
        assert held.wait(20)

        other = ledger.worker.run_once()
        go_on.set()
        slow.join(timeout=20)

        assert (other.moved, other.busy) == (2, 1)
        assert other.moved + sum(each.report.moved for each in passes) == 3
        assert ledger.audit.verify().sound


def test_a_rest_of_nothing_is_refused(sqlite_url: str) -> None:
    with opened(sqlite_url) as ledger, pytest.raises(ValueError, match="longer than nothing"):
        ledger.worker.run(interval=timedelta(0))


def test_credit_without_a_rate_does_not_stop_the_rest_of_a_customer(url: str) -> None:
    """A purchase that nobody can price yet keeps its own line back; the other line is invoiced, once."""
    with scene(url) as ledger:
        at(ledger, "2026-01-01T00:00:00Z")
        effective_at = "2026-02-01T00:00:00Z"
        basis = DynamicBasis(fiat_currency=fiat("USD"))
        request = NewPurchase(
            customer=CUSTOMERS[0],
            currency=ledger.catalogue.define_currency("TOK", precision=2),
            credit_amount=Decimal(10),
            settlement=RequestedSettlement(type="invoice", cost_basis=basis),
            effective_at=timestamp(effective_at),
        )
        [priceless] = ledger.charges.create([request])
        good = ledger.credits.sell(
            CUSTOMERS[0], "20", cost_basis="0.5", settlement="invoice", effective_at=effective_at
        )
        at(ledger, "2026-02-10T00:00:00Z")

        first = ledger.worker.run_once()
        head = ledger.store.head()
        again = ledger.worker.run_once()

        assert [each.charge for each in first.stuck if each.charge == priceless.id] == [priceless.id]
        assert CUSTOMERS[0] in first.succeeded
        assert [line.charge_id for each in ledger.invoices.list(CUSTOMERS[0]) for line in each.lines] == [good.id]
        failure = ledger.charges.get(priceless.id).failure
        assert failure is not None
        assert failure.code == "cost_basis_not_effective"
        assert priceless.id in [each.charge for each in again.stuck]
        assert ledger.store.head() == head
