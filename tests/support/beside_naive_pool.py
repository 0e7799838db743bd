"""Plays commands through the credit pool and through the naive model of it, and compares what both say.

After every command: what it answered or why it was refused, and every view at some times around the clock; at the
end, every view at every time at which anything is booked. A history is a value that Hypothesis draws and shrinks.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import hypothesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregates.credits.lineage import lineage
from aggregates.journal.chart import Account
from aggregates.values.decimals import ZERO
from aggregates.values.errors import LedgerError
from aggregates.values.period import Instant, instant
from projections.balances import AsOf, PostingRow, buckets, settled
from projections.listing import credit_transactions
from tests.support.books import EPOCH
from tests.support.ledger_expectations import Op, codes_of, currency_of
from tests.support.ledger_player import Player
from tests.support.naive_pool import Collect, Command, Correct, Grant, Hour, NaivePool, Recognize, Refused, Void

CURRENCIES = ("USD", "JPY", "TOK/0", "TOK/4")
CHARGES = ("C0", "C1", "C2")
FEATURES = ("api", "mail")
AROUND: tuple[Hour, ...] = (-24, 0, 24, 400)
"""When everything is compared after a command, in hours from the clock; 400 is after most expiries."""


@dataclass(frozen=True)
class Step:
    """So many hours later, a command."""

    later: Hour
    command: Command


@dataclass(frozen=True)
class History:
    """What is asked of one pool."""

    currency: str
    steps: tuple[Step, ...]


class Beside:
    """A pool and the model of it, and a clock for both."""

    def __init__(self, currency: str) -> None:
        self.currency = currency_of(currency)
        self.player = Player(currency)
        self.model = NaivePool(self.currency.precision, self.currency.is_custom)
        self.now: Hour = 0

    def play(self, step: Step) -> None:
        """Ask both; fails where they differ."""
        self.now += step.later
        expected, code = {}, None
        op = self._op(step.command)
        try:
            expected = self._ask_the_model(step.command)
        except Refused as refused:
            code = str(refused)
        self._ask_the_pool(op, expected, code)
        for hours in AROUND:
            self.compare(self.now + hours, f"after {step}, {hours} hours from then")

    def finish(self) -> None:
        """Compare every time at which anything is booked."""
        for at in self.model.times():
            self.compare(at, f"at the end, as of hour {at}")

    def _ask_the_model(self, command: Command) -> dict[str, Any]:
        match command:
            case Grant():
                self.model.grant(self.now, command)
                return {}
            case Collect():
                return {"allocations": self.model.collect(self.now, command)}
            case Correct():
                return {"corrections": self.model.correct(self.now, command)}
            case Void():
                self.model.void(self.now, command)
                return {}
            case Recognize():
                return {"recognized": self.model.recognize(self.now, command)}

    def _ask_the_pool(self, op: Op, expected: dict[str, Any], code: str | None) -> None:
        self.player.now = at_hour(self.now)
        refusal: LedgerError | None = None
        try:
            self.player.operate(op)
        except LedgerError as error:
            refusal = error
        if refusal is not None:
            assert code in codes_of(refusal), f"{op}: the pool says {refusal!r}, the model {code or expected}"
            return
        assert code is None, f"{op}: the model says {code}, the pool {self.player.answer}"
        assert self.player.answer == expected, f"{op}: the pool says {self.player.answer}, the model {expected}"

    def _op(self, command: Command) -> Op:
        """The command as the player takes it, without what is absent."""
        op: Op
        match command:
            case Grant():
                effective = self.now + command.effective_in
                op = {
                    "op": "grant",
                    "id": self.model.next_purchase(),
                    "amount": str(command.amount),
                    "settlement": "promotional" if command.price is None else "external",
                    "cost_basis": None if command.price is None else str(command.price),
                    "priority": command.priority,
                    "features": list(command.features),
                    "effective_at": text(effective),
                    "expires_at": None if command.lasts is None else text(effective + command.lasts),
                }
            case Collect():
                booked = self.now + command.booked_in
                op = {
                    "op": "collect",
                    "charge": command.charge,
                    "amount": str(command.amount),
                    "mode": "credit_only" if command.credit_only else "credit_then_invoice",
                    "feature": command.feature,
                    "booked_at": text(booked),
                    "source_balance_as_of": text(booked + command.sourced_after),
                    "tax_code": command.tax_code,
                    "tax_behavior": command.tax_behavior,
                }
            case Correct():
                amount = None if command.amount is None else str(command.amount)
                op = {"op": "correct", "charge": command.charge, "amount": amount}
            case Void():
                op = {"op": "void", "id": command.purchase}
            case Recognize():
                op = {"op": "recognize"}
        if not isinstance(command, Grant | Collect):
            op["booked_at"] = text(self.now + command.booked_in)
        return {key: value for key, value in op.items() if value is not None}

    # ── what both say ────────────────────────────────────────────────────────────────────────────────────────────

    def compare(self, at: Hour, place: str) -> None:
        """Fail with the views that differ."""
        pool, model = self._views_of_the_pool(at), self._views_of_the_model(at)
        differ = {name: {"pool": pool[name], "model": model[name]} for name in model if pool[name] != model[name]}
        assert not differ, f"{place}: {differ}"

    def _views_of_the_model(self, at: Hour) -> dict[str, Any]:
        return {
            "lots": self.model.lots_at(at),
            "breakage": self.model.breakage(at),
            "accrued": self.model.accrued(at),
            "earnings": self.model.earnings(at),
            "settled": self.model.settled(at),
            "end of the listing": self.model.settled(at),
            "lineage": self.model.lineage(),
        }

    def _views_of_the_pool(self, at: Hour) -> dict[str, Any]:
        book, as_of = self.player.book(), AsOf(at_hour(at))
        listed = credit_transactions(book.rows, self.currency, as_of=as_of)
        traced: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for segment in lineage(book.pool):
            traced[f"{self.player.names[segment.charge]}|{segment.state.value}"] += segment.amount
        return {
            "lots": buckets(book.rows, Account.FBO, self._source, as_of=as_of),
            "breakage": buckets(book.rows, Account.BREAKAGE, self._source, as_of=as_of),
            "accrued": buckets(book.rows, Account.ACCRUED, self._source_and_spend, as_of=as_of),
            "earnings": buckets(book.rows, Account.EARNINGS, self._source_and_spend, as_of=as_of),
            "settled": settled(book.rows, self.currency, as_of=as_of),
            "end of the listing": listed[0].balance_after if listed else ZERO,
            "lineage": dict(traced),
        }

    def _source(self, row: PostingRow) -> str:
        return self.player.names[row.source]

    def _source_and_spend(self, row: PostingRow) -> str:
        return f"{self.player.names[row.source]}|{self.player.names[row.spend]}"


def at_hour(hour: Hour) -> Instant:
    """The instant so many hours after the beginning."""
    return instant(EPOCH + timedelta(hours=hour))


def text(hour: Hour) -> str:
    """The instant as the player reads it."""
    return at_hour(hour).isoformat()


# ── histories to draw ────────────────────────────────────────────────────────────────────────────────────────────

lateness = st.sampled_from((0, 0, 0, -5, -24, -48, 30))
"""When something is booked, in hours from now: mostly now, sometimes late, sometimes ahead."""


@st.composite
def amounts(draw: st.DrawFn, places: int) -> Decimal:
    """Often a small whole number, so that amounts meet, else anything of so many decimal places."""
    if draw(st.booleans()):
        return Decimal(draw(st.integers(1, 12)))
    return Decimal(draw(st.integers(1, 25 * 10**places))).scaleb(-places)


@st.composite
def grants(draw: st.DrawFn, places: int) -> Grant:
    """Given or sold, restricted or not, effective before or after now; a few expire before they begin."""
    return Grant(
        amount=draw(amounts(places)),
        price=draw(st.sampled_from((None, Decimal("0.5"), Decimal(1)))),
        features=draw(st.sampled_from(((), (), ("api",), ("api", "mail")))),
        priority=draw(st.sampled_from((100, 100, 1))),
        effective_in=draw(st.sampled_from((0, 0, 0, -24, -72, 24, 60))),
        lasts=draw(st.sampled_from((None, None, None, 12, 48, 100, 240, 0))),
    )


@st.composite
def collections(draw: st.DrawFn, places: int) -> Collect:
    """Late-booked and differently sourced ones among them, of amounts that have to be rounded."""
    tax_code, tax_behavior = draw(
        st.sampled_from(((None, None), ("A", None), ("A", "exclusive"), ("A", "inclusive"), ("B", None)))
    )
    return Collect(
        charge=draw(st.sampled_from(CHARGES)),
        amount=draw(amounts(places + 1)),
        credit_only=draw(st.booleans()),
        feature=draw(st.sampled_from((None, *FEATURES))),
        booked_in=draw(lateness),
        sourced_after=draw(st.sampled_from((0, 0, 0, -24, 12))),
        tax_code=tax_code,
        tax_behavior=tax_behavior,
    )


@st.composite
def advances_and_a_grant(draw: st.DrawFn, places: int) -> tuple[Command, ...]:
    """Usage booked at one time, often of one amount, and a purchase that may cover some of it (§6.4)."""
    booked_in, amount = draw(lateness), draw(st.none() | amounts(places))
    used = draw(st.lists(collections(places), min_size=2, max_size=3))
    at_once = [
        replace(each, amount=amount or each.amount, credit_only=True, booked_in=booked_in, sourced_after=0)
        for each in used
    ]
    return (*at_once, draw(grants(places)))


OFTEN = (None, *[Grant] * 3, *[Collect] * 4, Correct, Correct, Void, Recognize, advances_and_a_grant)
"""How often each is drawn."""


@st.composite
def commands(draw: st.DrawFn, places: int) -> tuple[Command, ...]:
    """One command, or some that belong together; none at all is what those shrink to that are not needed."""
    kind = draw(st.sampled_from(OFTEN))
    if kind is Grant:
        return (draw(grants(places)),)
    if kind is Collect:
        return (draw(collections(places)),)
    if kind is Correct:
        amount = draw(st.none() | amounts(places + 1) | amounts(places))
        return (Correct(draw(st.sampled_from(CHARGES)), amount, draw(lateness)),)
    if kind is Void:
        return (Void(f"P{draw(st.integers(0, 4))}", draw(lateness)),)
    if kind is Recognize:
        return (Recognize(draw(lateness)),)
    return draw(advances_and_a_grant(places)) if kind is advances_and_a_grant else ()


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Some twenty commands of one pool, hours or days apart, or at once."""
    currency = draw(st.sampled_from(CURRENCIES))
    later = st.sampled_from((0, 0, 1, 5, 24, 48))
    any_command = commands(currency_of(currency).precision)
    steps: list[Step] = []
    for passed, together in draw(st.lists(st.tuples(later, any_command), min_size=12, max_size=20)):
        steps += [Step(0 if number else passed, command) for number, command in enumerate(together)]
    return History(currency, tuple(steps))


def play(history: History) -> Beside:
    """Play a history through both, comparing after every command and at the end."""
    beside = Beside(history.currency)
    for step in history.steps:
        beside.play(step)
    beside.finish()
    return beside


def soak(seed: int, examples: int = 25) -> int:
    """Play the histories that a seed stands for; how many commands that were. What fails is shrunk first."""
    commands_played = 0

    @hypothesis.seed(seed)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(histories())
    def each(history: History) -> None:
        nonlocal commands_played
        play(history)
        commands_played += len(history.steps)

    each()
    return commands_played
