"""Random histories of one customer through the facade, with the books checked after every command.

A command is a tuple of small numbers, so that a history can be drawn, shrunk, printed and played again. What a
command refuses is part of the history; what it does has to keep the invariants of ledger §16.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from aggregates.charges.events import InvoiceRefund
from aggregates.credits.pool import CreditPool
from aggregates.credits.state import fold
from aggregates.journal.chart import Account
from aggregates.policies import Policies
from aggregates.values.decimals import ZERO
from aggregates.values.errors import LedgerError, PostingRefused
from aggregates.values.identifiers import pool_id
from aggregates.values.money import fiat
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from ledger.prices import unit
from ledger.store import mapper
from projections.balances import AsOf, posting_rows, settled
from tests.support.books import Book, check_invariants

USD = fiat("USD")
START = datetime(2026, 1, 1, tzinfo=UTC)
FEATURES = ("calls", "files")
STREAM = pool_id("default", "acme", "USD")


class Asked(NamedTuple):
    """A command: which, and three numbers that it makes of what it likes."""

    kind: int
    a: int
    b: int
    c: int


class History:
    """One customer, and everything that was ever asked of it."""

    def __init__(self, url: str = "memory:", policies: Policies | None = None) -> None:
        self.clock = SettableClock(START)
        self.ledger = Ledger.open(url, clock=self.clock, policies=policies or Policies.standard())
        self.ledger.customers.create("acme", collection_interval="P2D")
        for feature in FEATURES:
            self.ledger.catalogue.define_meter(feature)
            self.ledger.catalogue.define_feature(feature, meter=feature)
        self.book = Book(USD)
        self.book.stream = STREAM
        self.position = 0
        self.purchases: list[UUID] = []
        self.charges: list[UUID] = []
        self.done = 0
        self.refused: dict[str, int] = {}
        self.remembered: list[tuple[int, datetime, Decimal]] = []
        self.commands: tuple[Callable[[Asked, UUID], object], ...] = (
            self._grant,
            self._grant,
            self._sell,
            self._charge,
            self._charge,
            self._charge,
            self._use,
            self._use,
            self._time,
            self._time,
            self._time,
            self._void,
            self._reduce,
            self._cancel,
            self._delete,
            self._move_end,
            self._refund,
            self._receive,
            self._reverse,
            self._pay,
            self._fail,
            self._fail,
            self._retry_or_give_up,
            self._write_off,
            self._recover,
            self._close_books,
        )

    @property
    def now(self) -> datetime:
        """The clock's reading."""
        return self.clock.now()

    def play(self, asked: Asked) -> None:
        """Send a command, and check everything that always holds; every third is sent twice."""
        command = self.commands[asked.kind % len(self.commands)]
        identity = uuid5(UUID(int=0), f"{self.done}")
        self.done += 1
        try:
            command(asked, identity)
            if self.done % 3 == 0:
                before = self.ledger.store.head()
                command(asked, identity)
                assert self.ledger.store.head() == before, "a command that was sent twice was carried out twice"
        except PostingRefused:
            raise  # the pool tried to post what the journal does not allow
        except LedgerError as refusal:
            self.refused[refusal.code] = self.refused.get(refusal.code, 0) + 1
        self.check()

    def check(self) -> None:
        """Ledger §16, on the postings and the state of the pool as they are now."""
        for row in self.ledger.store.read_log(self.position, 100_000):
            self.position = row.position
            if row.stream == STREAM:
                record = mapper.decode(row.name, row.data)
                self.book.records.append(record)
                self.book.rows += posting_rows(record, row.position, record.recorded_at)
        pool = self.ledger.credits.pool("acme")
        self.book.pool = pool
        check_invariants(self.book)
        balance = self.ledger.views.balance("acme").settled
        assert balance == settled(self.book.rows, USD, as_of=AsOf(self.now)), "the view is not what postings say"
        page = self.ledger.statements.transactions("acme", limit=3)
        assert (page.items[0].balance_after if page.items else ZERO) == balance, "the listing does not end at settled"
        if self.done % 10 == 0:
            self._check_history(pool, balance)

    def _check_history(self, pool: CreditPool, balance: Decimal) -> None:
        """16.10 to 16.12: rows chain from zero, the past stays, and the state is what its events make."""
        assert fold(None, self.book.records) in (pool, None), "the state is not what its events make"
        before = balance
        after = None
        while True:
            page = self.ledger.statements.transactions("acme", limit=7, after=after)
            for row in page.items:
                assert row.balance_after == before, f"{row} does not follow from {before}"
                before = row.balance_before
            after = page.next
            if after is None:
                break
        assert before == 0, "the oldest row does not start at zero"
        for position, moment, known in self.remembered:
            again = self.ledger.views.balance("acme", as_of=moment, recorded_as_of=position).settled
            assert again == known, f"what was known at {position} of {moment} was {known} and is {again}"
        middle = START + (self.now - START) / 2
        known = self.ledger.views.balance("acme", as_of=middle).settled
        self.remembered.append((self.ledger.store.head(), middle, known))
        for moment in (middle, self.now):
            month = f"{moment:%Y-%m}"
            by_postings = self.ledger.statements.trial_balance(month, recorded_as_of=self.ledger.store.head())
            assert self.ledger.statements.trial_balance(month) == by_postings, f"sums of {month} are not its postings"

    def finish(self) -> None:
        """16.14, and the audit of everything: give all back and void all, and nothing is left."""
        self.clock.set(max(self.now, START + timedelta(days=400)))
        self.ledger.worker.run_once()
        for charge in self.charges:
            self._unless_refused(partial(self.ledger.charges.delete, charge))
        for purchase in self.purchases:
            self._unless_refused(partial(self.ledger.credits.void, purchase))
            self._unless_refused(partial(self.ledger.credits.reduce, purchase, "0.01"))
        self.check()
        report = self.ledger.audit.verify()
        assert report.sound, report
        for account in (Account.ACCRUED, Account.EARNINGS):
            assert self.book.sum(account) == 0, f"{account} is left after everything was given back"
        self.ledger.close()

    def _unless_refused(self, command: Callable[[], object]) -> None:
        try:
            command()
        except PostingRefused:
            raise
        except LedgerError as refusal:
            self.refused[refusal.code] = self.refused.get(refusal.code, 0) + 1

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────

    def _amount(self, number: int) -> Decimal:
        return Decimal(1 + number % 4000).scaleb(-2)

    def _moment(self, days: int) -> datetime:
        return (self.now + timedelta(days=days)).replace(microsecond=0)

    def _terms(self, asked: Asked) -> dict[str, Any]:
        terms: dict[str, Any] = {"priority": 1 + asked.b % 3}
        if asked.b % 4 == 0:
            terms["features"] = (FEATURES[asked.c % 2],)
        if asked.c % 3 == 0:
            terms["effective_at"] = self._moment(asked.c % 50 - 25)
        if asked.c % 2 == 0:
            terms["expires_at"] = self._moment(1 + asked.c % 40)
        return terms

    def _grant(self, asked: Asked, identity: UUID) -> None:
        made = self.ledger.credits.grant("acme", self._amount(asked.a), command_id=identity, **self._terms(asked))
        self._bought(made.id)

    def _sell(self, asked: Asked, identity: UUID) -> None:
        status = ("created", "authorized", "settled")[asked.b % 3]
        availability = ("on_creation", "on_creation", "on_authorization", "on_settlement")[asked.a % 4]
        made = self.ledger.credits.sell(
            "acme",
            self._amount(asked.a),
            cost_basis="0.5",
            initial_status=status,
            availability=availability,
            command_id=identity,
            **self._terms(asked),
        )
        self._bought(made.id)

    def _bought(self, purchase: UUID) -> None:
        if purchase not in self.purchases:
            self.purchases.append(purchase)

    def _charge(self, asked: Asked, identity: UUID) -> None:
        begins = self._moment(-(asked.b % 40))
        self._record(asked, begins + timedelta(hours=1), uuid5(identity, "usage"))
        made = self.ledger.charges.create_usage(
            "acme",
            feature=FEATURES[asked.c % 2],
            price=unit("0.37"),
            period_from=begins,
            period_to=begins + timedelta(days=1 + asked.c % 31),
            command_id=identity,
        )
        if made.id not in self.charges:
            self.charges.append(made.id)

    def _use(self, asked: Asked, identity: UUID) -> None:
        self._record(asked, self._moment(-(asked.b % 30)), identity)

    def _record(self, asked: Asked, moment: datetime, identity: UUID) -> None:
        event = UsageEvent(
            source="test",
            id=str(identity),
            customer="acme",
            meter=FEATURES[asked.c % 2],
            time=timestamp(moment),
            value=Decimal(1 + asked.a % 60),
        )
        self.ledger.usage.record([event])

    def _time(self, asked: Asked, identity: UUID) -> None:
        if self.done % 3:  # a command that is sent twice is sent at one time
            self.clock.set(self.now + timedelta(days=asked.a % 9, seconds=asked.b % 7))
        self.ledger.charges.advance("acme", command_id=identity)

    def _one(self, of: list[UUID], number: int) -> UUID:
        return of[number % len(of)] if of else UUID(int=1)

    def _void(self, asked: Asked, identity: UUID) -> None:
        how = ("none", "reduce", "refund")[asked.b % 3]
        self.ledger.credits.void(self._one(self.purchases, asked.a), payment_adjustment=how, command_id=identity)

    def _reduce(self, asked: Asked, identity: UUID) -> None:
        self.ledger.credits.reduce(self._one(self.purchases, asked.a), self._amount(asked.b % 300), command_id=identity)

    def _cancel(self, asked: Asked, identity: UUID) -> None:
        self.ledger.credits.cancel(self._one(self.purchases, asked.a), command_id=identity)

    def _delete(self, asked: Asked, identity: UUID) -> None:
        paid = list(InvoiceRefund)[asked.b % 3]
        self.ledger.charges.delete(self._one(self.charges, asked.a), invoice_refund=paid, command_id=identity)

    def _move_end(self, asked: Asked, identity: UUID) -> None:
        charge = self.ledger.charges.get(self._one(self.charges, asked.a))
        end = charge.intent.effective.service_period.to
        if asked.b % 2:
            self.ledger.charges.extend(
                charge.id, service_period_to=end + timedelta(days=1 + asked.c % 9), command_id=identity
            )
        else:
            self.ledger.charges.shrink(
                charge.id, service_period_to=end - timedelta(hours=1 + asked.c % 99), command_id=identity
            )

    def _refund(self, asked: Asked, identity: UUID) -> None:
        amount = None if asked.b % 2 else self._amount(asked.c % 500)
        self.ledger.credits.refund(self._one(self.purchases, asked.a), amount, command_id=identity)

    def _receive(self, asked: Asked, identity: UUID) -> None:
        self.ledger.credits.receive(self._one(self.purchases, asked.a), self._amount(asked.b), command_id=identity)

    def _reverse(self, asked: Asked, identity: UUID) -> None:
        amount = None if asked.b % 2 else self._amount(asked.c % 500)
        self.ledger.credits.reverse_payment(self._one(self.purchases, asked.a), amount, command_id=identity)

    def _pay(self, asked: Asked, identity: UUID) -> None:
        step = ("authorized", "paid")[asked.b % 2]
        self.ledger.credits.record_payment(self._one(self.purchases, asked.a), step, command_id=identity)

    def _fail(self, asked: Asked, identity: UUID) -> None:
        step = ("failed", "cancelled", "charged_back")[asked.b % 3]
        self.ledger.credits.record_payment(self._one(self.purchases, asked.a), step, command_id=identity)

    def _retry_or_give_up(self, asked: Asked, identity: UUID) -> None:
        command = self.ledger.credits.retry_payment if asked.b % 2 else self.ledger.credits.write_off_payment
        command(self._one(self.purchases, asked.a), command_id=identity)

    def _write_off(self, asked: Asked, identity: UUID) -> None:
        self.ledger.credits.write_off("acme", amount=self._amount(asked.a % 900), command_id=identity)

    def _recover(self, asked: Asked, identity: UUID) -> None:
        self.ledger.credits.recover("acme", amount=self._amount(asked.a % 500), command_id=identity)

    def _close_books(self, asked: Asked, identity: UUID) -> None:
        last_month = self.now.replace(day=1) - timedelta(days=1)
        if asked.a % 3 == 0:
            self.ledger.periods.reopen(f"{last_month:%Y-%m}", reason="test", command_id=identity)
        else:
            self.ledger.periods.close(f"{last_month:%Y-%m}", command_id=identity)
