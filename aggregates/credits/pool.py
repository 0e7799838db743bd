"""The pool as far as deciding needs it: lots, unsealed slices, purchases, accruals.

State is for deciding only (ledger §11): balances by account, listings and history are views over postings. What
leaves it: sealed slices, and lots that are empty and that no unsealed slice can return to. What must stay exact
after something left: what a lot can spend at any booked time (`Lot.spendable`).

A `CreditPool` is a value: nobody changes one that was handed out. `state` folds events into it.
"""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.credits.events import PurchaseSettlement
from aggregates.journal.chart import Route, Tax
from aggregates.journal.postings import EntryRef
from aggregates.journal.templates import When
from aggregates.values.decimals import ZERO
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period

NO_CHARGE = UUID(int=0)
"""Stands for the charge of opening advance, which has none."""


class Move(msgspec.Struct, frozen=True, array_like=True):
    """A signed change of a lot's balance at a booked time; the lot's own expiry is never among them."""

    at: Instant
    amount: Decimal


class Lot(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Credit of one purchase on one route. `balance` is the sum of its moves; expiry entries are left out of both.

    After expiry the entries of plan, releases and reopens bring the lot to zero at every booked time, because each
    is booked at max(expires_at, the time of its cause) (ledger §6.9); so the open plan of an expiring lot is its
    `balance`, and nothing about plans needs keeping.

    `returned`: a correction opened it, for credit that had expired or was sealed where it came from.
    """

    sequence: int
    source: UUID | None = None
    route: Route
    effective_at: Instant
    expires_at: Instant | None = None
    balance: Decimal = ZERO
    moves: list[Move] = []
    returned: bool = False

    def spendable(self, as_of: Instant) -> Decimal:
        """The minimum of the balance at `as_of` and at every later booked time (ledger §6.2, D1).

        100 granted in January and spent on 10 February leave 0 on 1 February: the later debit is already booked.
        """
        least = balance = self.balance
        for move in reversed(self.moves):
            if move.at <= as_of:
                break
            balance -= move.amount
            least = min(least, balance)
        return max(least, ZERO)

    def is_live(self, as_of: Instant) -> bool:
        """Effective at or before that time, and expiring strictly after it."""
        return self.effective_at <= as_of and (self.expires_at is None or self.expires_at > as_of)

    def move(self, at: Instant, amount: Decimal) -> None:
        """Add a change; only ever done to a lot nobody else holds."""
        moves = self.moves
        self.balance += amount
        if not moves or moves[-1].at < at:
            moves.append(Move(at, amount))
            return
        place = bisect_right(moves, at, key=_at)
        if place and moves[place - 1].at == at:
            moves[place - 1] = Move(at, moves[place - 1].amount + amount)
        else:
            moves.insert(place, Move(at, amount))


def _at(move: Move) -> Instant:
    return move.at


class Recognition(msgspec.Struct, frozen=True, array_like=True):
    """A part that became earnings: how much of it still is, when, by which accrued entry, and for which date."""

    amount: Decimal
    at: Instant
    entry: EntryRef
    accounted_at: Instant

    @property
    def when(self) -> When:
        """When it was booked and the date it counts in."""
        return When(self.at, self.accounted_at)


class Cover(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The part of an advance slice that a grant backfilled: its lot, what remains of it, and its attribution.

    `accrued_from`: since when all of it that is not earnings lies in accrued; reversing recognition moves it on.
    `accounted_at`: the date that value counts in.
    """

    lot: int
    amount: Decimal
    booked_at: Instant
    accrued_from: Instant
    accounted_at: Instant
    entry: EntryRef
    recognitions: tuple[Recognition, ...] = ()


class Slice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One selected (lot, amount) of a collection, as far as it is not given back; advance when it has no lot.

    `allocation`: sequence of the first slice of its allocation. `entry`: its fbo entry, or the issue of the advance.
    `accrued_from`: since when all of it that is not earnings lies in accrued; reversing recognition moves it on.
    `accounted_at`: the date that value counts in.
    """

    sequence: int
    allocation: int
    charge: UUID | None = None
    run: UUID | None = None
    lot: int | None = None
    remaining: Decimal
    booked_at: Instant
    accrued_from: Instant
    accounted_at: Instant
    features: tuple[str, ...] = ()
    tax: Tax = Tax()
    entry: EntryRef
    covers: tuple[Cover, ...] = ()
    recognitions: tuple[Recognition, ...] = ()
    written_off: Decimal = ZERO

    @property
    def uncovered(self) -> Decimal:
        """Advance that no purchase has backfilled and nobody gave up; zero for real credit."""
        if self.lot is not None:
            return ZERO
        return self.remaining - self.written_off - sum((cover.amount for cover in self.covers), ZERO)


class Realized(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The unsealed slices of one charge, and which of them are not recognised or not covered yet."""

    slices: dict[int, Slice] = {}
    unrecognized: set[int] = set()
    uncovered: set[int] = set()


class Purchase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Totals of a purchase: credit granted and voided, fiat authorized, settled and refunded.

    `fiat_agreed`: the price of `credit_authorized`; `fiat_authorized`: what stands of it after reductions. `adjusted`:
    voided credit that is not paid for any more, `fiat_adjusted`: the part of the agreed price that was undone with it.
    `written_off`: fiat that was owed and given up. `route` is that of the credit, or of its payment as long as none
    is granted.
    `lots`: those it issued and those corrections opened for it. `expired`: credit of lots that have left the state.
    `voided_by`: version of the event that voided first.
    """

    settlement: PurchaseSettlement | None = None
    route: Route | None = None
    lots: tuple[int, ...] = ()
    granted: Decimal = ZERO
    voided: Decimal = ZERO
    expired: Decimal = ZERO
    voided_by: int | None = None
    cancelled: bool = False
    adjusted: Decimal = ZERO
    credit_authorized: Decimal = ZERO
    fiat_agreed: Decimal = ZERO
    fiat_authorized: Decimal = ZERO
    fiat_settled: Decimal = ZERO
    fiat_refunded: Decimal = ZERO
    fiat_adjusted: Decimal = ZERO
    fiat_currency: Currency | None = None
    written_off: Decimal = ZERO

    @property
    def is_whole(self) -> bool:
        """Whether these are its totals, and not just the lots that came back after they had left the state."""
        return bool(self.granted or self.cancelled or self.credit_authorized or self.fiat_settled)

    @property
    def fiat_kept(self) -> Decimal:
        """Money that arrived and did not go back."""
        return self.fiat_settled - self.fiat_refunded

    @property
    def fiat_promised(self) -> Decimal:
        """Money that was authorized and has not arrived."""
        return max(self.fiat_authorized - self.fiat_settled, ZERO)

    @property
    def given(self) -> Decimal:
        """The credit that is to be paid for: granted and not voided, or still to be granted."""
        if self.granted:
            return self.granted - self.voided
        return ZERO if self.cancelled else self.credit_authorized

    @property
    def unpriced(self) -> Decimal:
        """Credit that is not given any more, and whose price was not undone yet."""
        if self.granted:
            return self.voided - self.adjusted
        return self.credit_authorized - self.adjusted if self.cancelled else ZERO


class Accrual(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Invoiced value of one line: what was accrued, and how far it is paid, credited, written off, recognised.

    `service_period`: what it pays for in advance. `recognitions`: the newest last; they may lie ahead.
    """

    sequence: int
    charge: UUID | None = None
    run: UUID | None = None
    line: UUID | None = None
    invoice: UUID | None = None
    route: Route
    service_period: Period | None = None
    booked_at: Instant
    accrued_from: Instant
    accounted_at: Instant
    amount: Decimal
    authorized: Decimal = ZERO
    settled: Decimal = ZERO
    credited: Decimal = ZERO
    written_off: Decimal = ZERO
    recognitions: tuple[Recognition, ...] = ()

    @property
    def recognized(self) -> Decimal:
        """How much of it is earnings, or will be by a booking that is made already."""
        return sum((recognition.amount for recognition in self.recognitions), ZERO)

    @property
    def unrecognized(self) -> Decimal:
        """How much of it is accrued and nothing says when it will be earnings."""
        return self.amount - self.credited - self.recognized

    @property
    def open(self) -> Decimal:
        """How much of it is owed and not promised by any payment."""
        return self.amount - self.credited - self.written_off - self.authorized


class Unapplied(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is left of the unapplied credit of an invoice: with tax, as the invoice has it, and without."""

    amount: Decimal = ZERO
    net: Decimal = ZERO


class CreditPool(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A customer's credit in one currency. Never changed once it is handed out.

    `charges`: unsealed slices by charge; `unrecognized` and `uncovered`: the charges that have any such slice;
    `final`: those that will not move again and whose slices still wait. `unapplied`: by the invoice it arose on.
    """

    currency: Currency
    version: int = 0
    lots: dict[int, Lot] = {}
    charges: dict[UUID, Realized] = {}
    unrecognized: set[UUID] = set()
    uncovered: set[UUID] = set()
    final: set[UUID] = set()
    purchases: dict[UUID, Purchase] = {}
    accruals: dict[int, Accrual] = {}
    unapplied: dict[UUID, Unapplied] = {}
    next_lot: int = 1
    next_slice: int = 1
    next_accrual: int = 1

    @staticmethod
    def empty(currency: Currency) -> CreditPool:
        """A pool without events."""
        return CreditPool(currency=currency)

    def slices_of(self, charge: UUID | None) -> list[Slice]:
        """The unsealed slices of a charge in the order they were collected."""
        realized = self.charges.get(charge or NO_CHARGE)
        return sorted(realized.slices.values(), key=_sequence) if realized else []

    def remaining(self, charge: UUID, run: UUID | None = None) -> Decimal:
        """What was collected for the charge (or one run of it) and not given back, as far as it is unsealed."""
        return sum((s.remaining for s in self.slices_of(charge) if run in (None, s.run)), ZERO)

    def invoiced(self, run: UUID) -> Decimal:
        """What a run was invoiced and nobody has taken back, paid or not, as far as it has not left the state."""
        return sum((each.amount - each.credited for each in self.accruals.values() if each.run == run), ZERO)

    @property
    def uncovered_advance(self) -> Decimal:
        """Usage beyond credit that no purchase has taken over yet."""
        return sum(
            (
                self.charges[charge].slices[sequence].uncovered
                for charge in self.uncovered
                for sequence in self.charges[charge].uncovered
            ),
            ZERO,
        )

    def purchase_of(self, lot: Lot) -> Purchase | None:
        """The totals of the purchase a lot belongs to; None for an opening balance."""
        return self.purchases.get(lot.source) if lot.source is not None else None


def _sequence(item: Slice) -> int:
    return item.sequence
