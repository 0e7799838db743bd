"""An independent model of the credit pool: the rules of ledger.md, over plain lists, and nothing else.

It shares no code with `aggregates/`. Whatever happens becomes bookings in one list, and every question is a sum over
that list, so there is nothing to keep in step and nothing to be quick about. Times are whole hours after an arbitrary
beginning; amounts are decimals of one currency.

Where the project decided more than ledger.md says, the model follows the project, and says so:

- **No leg is booked before what it undoes** (aggregates/credits/README.md). Ledger §6.7 books a correction at the time
  that is asked for; here, and in the pool, a part goes back no earlier than its collection, its backfill and its
  recognition. Otherwise January would show credit that February spent.
- A charge booked before its source time takes no more than the lot holds when it is booked (same place).
- Credit covers no usage booked at or after its own expiry (same place).
- A backfill is attributed no earlier than the advance is booked (decision 36).
- Credit has to expire after now as well (decision 40).

It knows no grace, no sealing, no payments and no closed books.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

Hour = int
"""Whole hours after the beginning."""

ZERO = Decimal(0)
NEVER: Hour = 1_000_000
"""Later than anything: when credit expires that does not, and the time at which everything has happened."""

# The accounts that matter here (§2). Plans, releases and reopens are kept apart from the rest of fbo, because what is
# spendable leaves them out (§6.2); breakage is what they took, so it needs no list of its own.
FBO = "fbo"
EXPIRY = "expiry of fbo"
ADVANCE = "receivable of unknown cost basis"
ACCRUED = "accrued"
EARNINGS = "earnings"


class Refused(Exception):
    """A command was refused, with this code."""


# ── what can be asked ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Grant:
    """Credit of a purchase; without a price it is promotional. It becomes effective some hours from now."""

    amount: Decimal
    price: Decimal | None = None
    features: tuple[str, ...] = ()
    priority: int = 100
    effective_in: Hour = 0
    lasts: Hour | None = None


@dataclass(frozen=True)
class Collect:
    """Usage of a charge: booked some hours from now, with sources as of some hours after that."""

    charge: str
    amount: Decimal
    credit_only: bool = False
    feature: str | None = None
    booked_in: Hour = 0
    sourced_after: Hour = 0
    tax_code: str | None = None
    tax_behavior: str | None = None


@dataclass(frozen=True)
class Correct:
    """An amount of what a charge collected goes back; all of it without one."""

    charge: str
    amount: Decimal | None = None
    booked_in: Hour = 0


@dataclass(frozen=True)
class Void:
    """What is left of a purchase is taken back."""

    purchase: str
    booked_in: Hour = 0


@dataclass(frozen=True)
class Recognize:
    """Whatever is eligible becomes earnings."""

    booked_in: Hour = 0


Command = Grant | Collect | Correct | Void | Recognize


# ── what is remembered ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Booking:
    """A signed change of an account, with the purchase that funds it and the charge that spends it."""

    at: Hour
    account: str
    amount: Decimal
    source: str | None = None
    charge: str | None = None


@dataclass(frozen=True)
class Lot:
    """The credit of one purchase. Its number is the cursor of the collection order (§6.2)."""

    number: int
    purchase: str
    priority: int
    features: frozenset[str]
    cost_basis: Decimal | None
    effective: Hour
    expires: Hour

    def is_live(self, at: Hour) -> bool:
        """§6.2: effective at or before, and expiring strictly after."""
        return self.effective <= at < self.expires

    @property
    def route(self) -> tuple[int, frozenset[str], Decimal | None]:
        """§3: what tells the routes of one currency's fbo apart."""
        return (self.priority, self.features, self.cost_basis)


@dataclass
class Part:
    """The part of a slice that a lot paid for: by collection, or by backfill of an advance. Recognised whole or not."""

    lot: Lot
    amount: Decimal
    since: Hour
    recognized_at: Hour | None = None


@dataclass
class Slice:
    """One selected (lot, amount) of a collection (§1); an advance has no part until it is backfilled."""

    number: int
    allocation: int
    charge: str
    booked: Hour
    feature: str | None
    tax: tuple[str, str]
    is_advance: bool
    uncovered: Decimal = ZERO
    parts: list[Part] = field(default_factory=list[Part])

    @property
    def left(self) -> Decimal:
        """What of it is not given back."""
        return self.uncovered + total(part.amount for part in self.parts)


@dataclass
class NaivePool:
    """The credit of one customer in one currency of that many decimal places."""

    places: int
    is_custom: bool
    bookings: list[Booking] = field(default_factory=list[Booking])
    lots: list[Lot] = field(default_factory=list[Lot])
    slices: list[Slice] = field(default_factory=list[Slice])
    voided: list[str] = field(default_factory=list[str])
    allocations: int = 0

    # ── purchases (§6.1, §6.4) ───────────────────────────────────────────────────────────────────────────────────

    def next_purchase(self) -> str:
        """The name that the next grant gets: P0, P1 ..."""
        return f"P{len(self.lots)}"

    def grant(self, now: Hour, asked: Grant) -> None:
        """Cover open advance, issue the rest, plan its expiry."""
        effective = now + asked.effective_in
        expires = NEVER if asked.lasts is None else effective + asked.lasts
        if expires <= effective:
            raise Refused("expires_at_not_after_effective_at")  # §6.1
        if expires <= now:
            raise Refused("expires_at_not_after_now")  # decision 40
        # §3: promotional fiat costs 0, a paid purchase its price; promotional credit of a custom currency is unknown.
        promotional = None if self.is_custom else ZERO
        lot = Lot(
            number=len(self.lots),
            purchase=self.next_purchase(),
            priority=asked.priority,
            features=frozenset(asked.features),
            cost_basis=asked.price if asked.price is not None else promotional,
            effective=effective,
            expires=expires,
        )
        self.lots.append(lot)
        self.plan_expiry(lot, expires, -asked.amount)  # §6.1: the plan covers the full amount
        issued = asked.amount
        for item, amount in self.backfill(lot, asked.amount):
            at = max(min(now, effective), item.booked)  # §6.4 `attribution`, and decision 36
            item.uncovered -= amount
            item.parts.append(Part(lot, amount, since=at))
            # §5: attribute and translate; what was owed without a purchase is owed for one.
            self.book(at, ADVANCE, amount)
            self.book(at, ACCRUED, -amount, charge=item.charge)
            self.book(at, ACCRUED, amount, lot, item.charge)
            self.plan_expiry(lot, at, amount)  # §6.4: released at once
            if item.booked > effective:
                self.book(at, FBO, -amount, lot, item.charge)  # decision 36: ordinary credit until the advance
            else:
                issued -= amount
        self.book(effective, FBO, issued, lot)

    def backfill(self, lot: Lot, amount: Decimal) -> list[tuple[Slice, Decimal]]:
        """§6.4 [D2]: the oldest booked time first; what is booked at the same time shares by largest remainder."""
        if lot.cost_basis is None:
            return []  # §6.4: unknown cost basis covers nothing
        covered: list[tuple[Slice, Decimal]] = []
        candidates = [
            item
            for item in self.slices
            # §6.4: restricted credit covers advance of its features only; credit that was gone by then covers nothing.
            if item.uncovered > 0 and (not lot.features or item.feature in lot.features) and item.booked < lot.expires
        ]
        for booked in sorted({item.booked for item in candidates}):
            together = [item for item in candidates if item.booked == booked]
            together.sort(key=lambda item: (item.charge, item.tax, item.number))  # §6.4: ties
            shares = self.largest_remainder(amount, [item.uncovered for item in together])
            covered += [(item, share) for item, share in zip(together, shares, strict=True) if share > 0]
            amount -= total(shares)
        return covered

    def largest_remainder(self, amount: Decimal, weights: list[Decimal]) -> list[Decimal]:
        """§8: floor each share, hand out units by descending remainder, ties by place, never above the weight."""
        unit = Decimal(1).scaleb(-self.places)
        amount = min(amount, total(weights))
        exact = [Fraction(amount) * Fraction(weight) / Fraction(total(weights)) for weight in weights]
        shares = [Decimal(share // Fraction(unit)) * unit for share in exact]
        by_remainder = sorted(range(len(weights)), key=lambda place: (Fraction(shares[place]) - exact[place], place))
        while total(shares) < amount:
            for place in by_remainder:
                if total(shares) < amount and shares[place] < weights[place]:
                    shares[place] += unit
        return shares

    def void(self, now: Hour, asked: Void) -> None:
        """§6.8 [D6]: everything left of the grant, in the sense of the spendable amount."""
        at = now + asked.booked_in
        left = [(lot, self.spendable(lot, at)) for lot in self.lots if lot.purchase == asked.purchase]
        left = [(lot, amount) for lot, amount in left if lot.is_live(at) and amount > 0]
        if not left:
            if asked.purchase in self.voided:
                return  # §6.8: voiding again returns the first result
            raise Refused("nothing_to_void")
        for lot, amount in left:
            self.take(lot, at, amount)
        self.voided.append(asked.purchase)

    # ── collection (§6.2, §6.3) ──────────────────────────────────────────────────────────────────────────────────

    def collect(self, now: Hour, asked: Collect) -> list[Decimal]:
        """Take credit in order, advance what is missing if the charge is credit_only; returns the allocations."""
        booked = now + asked.booked_in
        sourced = booked + asked.sourced_after
        wanted = self.rounded(asked.amount)
        allocated: list[Decimal] = []
        before: Lot | None = None
        for lot in self.in_collection_order(sourced, asked.feature):
            # D1 from the source time on; a charge booked before that takes no more than is there when it is booked.
            amount = min(wanted, self.spendable(lot, min(sourced, booked)))
            if amount <= 0:
                continue
            # §6.3 [D8]: neighbouring slices of one route share an allocation.
            if before is None or before.route != lot.route:
                self.allocations += 1
                allocated.append(ZERO)
            before = lot
            allocated[-1] += amount
            wanted -= amount
            self.new_slice(asked, booked).parts.append(Part(lot, amount, since=booked))
            self.take(lot, booked, amount, asked.charge)
            self.book(booked, ACCRUED, amount, lot, asked.charge)
        if wanted > 0 and asked.credit_only:
            # §6.2: issue of the shortfall and its collection; what stays is the debt and the usage.
            self.allocations += 1
            allocated.append(wanted)
            self.new_slice(asked, booked, is_advance=True).uncovered = wanted
            self.book(booked, ADVANCE, -wanted)
            self.book(booked, ACCRUED, wanted, charge=asked.charge)
        return allocated

    def in_collection_order(self, sourced: Hour, feature: str | None) -> list[Lot]:
        """§6.2: priority, restricted before unrestricted, earliest expiry, cursor."""
        eligible = [lot for lot in self.lots if lot.is_live(sourced) and (not lot.features or feature in lot.features)]
        return sorted(eligible, key=lambda lot: (lot.priority, not lot.features, lot.expires, lot.number))

    def spendable(self, lot: Lot, since: Hour) -> Decimal:
        """§6.2 [D1]: the least the lot holds at a time and at every later one, its own expiry left out."""
        mine = [each for each in self.bookings if each.account == FBO and each.source == lot.purchase]
        times = {since, *(each.at for each in mine if each.at > since)}
        return max(ZERO, min(total(each.amount for each in mine if each.at <= time) for time in times))

    def new_slice(self, asked: Collect, booked: Hour, *, is_advance: bool = False) -> Slice:
        """The next slice, of the newest allocation."""
        tax = (asked.tax_code or "", asked.tax_behavior or "")
        item = Slice(len(self.slices), self.allocations, asked.charge, booked, asked.feature, tax, is_advance)
        self.slices.append(item)
        return item

    # ── correction (§6.7) and recognition (§6.6) ─────────────────────────────────────────────────────────────────

    def correct(self, now: Hour, asked: Correct) -> list[Decimal]:
        """Work backwards over slices, taking what remains of each [D3]; returns what each allocation gives, below 0."""
        mine = [item for item in self.slices if item.charge == asked.charge]
        remaining = total(item.left for item in mine)
        amount = remaining if asked.amount is None else self.rounded(asked.amount)
        if amount > remaining:
            raise Refused("insufficient_funds")
        given: dict[int, Decimal] = {}
        for item in reversed(mine):
            share = min(amount, item.left)
            if share > 0:
                given[item.allocation] = given.get(item.allocation, ZERO) - share
                self.give_back(item, share, now + asked.booked_in)
                amount -= share
        return list(given.values())

    def give_back(self, item: Slice, amount: Decimal, asked_at: Hour) -> None:
        """§6.7: in one slice recognised parts first, then backfilled (or real credit), then uncovered advance."""
        newest_first = list(reversed(item.parts))
        recognized = [part for part in newest_first if part.recognized_at is not None]
        for part in recognized + [part for part in newest_first if part.recognized_at is None]:
            share = min(amount, part.amount)
            if share > 0:
                self.give_part_back(item, part, share, asked_at)
                amount -= share
        if amount > 0:
            at = max(asked_at, item.booked)
            item.uncovered -= amount
            self.book(at, ADVANCE, amount)
            self.book(at, ACCRUED, -amount, charge=item.charge)

    def give_part_back(self, item: Slice, part: Part, amount: Decimal, asked_at: Hour) -> None:
        """§6.7: undo recognition and what accrued, and put the credit back where it came from [D4]."""
        # The deviation from §6.7: not before the collection, the backfill and the recognition that are undone.
        at = max(asked_at, item.booked, part.since, asked_at if part.recognized_at is None else part.recognized_at)
        if part.recognized_at is not None:
            self.book(at, EARNINGS, -amount, part.lot, item.charge)
            self.book(at, ACCRUED, amount, part.lot, item.charge)
        part.amount -= amount
        self.book(at, ACCRUED, -amount, part.lot, item.charge)
        back = max(at, part.lot.effective)  # §6.7: re-issue not before the purchase is effective
        self.book(back, FBO, amount, part.lot, item.charge)
        self.plan_expiry(part.lot, back, -amount)  # §6.7: reopen

    def recognize(self, now: Hour, asked: Recognize) -> Decimal:
        """§6.6: real credit and backfilled advance of known cost basis, accrued by then; returns the sum."""
        at = now + asked.booked_in
        recognized = ZERO
        for item, part in self.parts():
            if part.lot.cost_basis is not None and part.recognized_at is None and part.since <= at and part.amount > 0:
                part.recognized_at = at
                recognized += part.amount
                self.book(at, ACCRUED, -part.amount, part.lot, item.charge)
                self.book(at, EARNINGS, part.amount, part.lot, item.charge)
        return recognized

    def parts(self) -> Iterator[tuple[Slice, Part]]:
        """Every part of every slice, oldest first."""
        return ((item, part) for item in self.slices for part in item.parts)

    # ── bookings ─────────────────────────────────────────────────────────────────────────────────────────────────

    def book(self, at: Hour, account: str, amount: Decimal, lot: Lot | None = None, charge: str | None = None) -> None:
        """Append a change; every booking there is goes through here."""
        self.bookings.append(Booking(at, account, amount, None if lot is None else lot.purchase, charge))

    def take(self, lot: Lot, at: Hour, amount: Decimal, charge: str | None = None) -> None:
        """Credit leaves a lot, and its plan is released."""
        self.book(at, FBO, -amount, lot, charge)
        self.plan_expiry(lot, at, amount)

    def plan_expiry(self, lot: Lot, cause: Hour, amount: Decimal) -> None:
        """§6.9: plan and reopen take from fbo, release gives; at the expiry, but not before the cause [D5]."""
        if lot.expires < NEVER:
            self.book(max(lot.expires, cause), EXPIRY, amount, lot)

    def rounded(self, amount: Decimal) -> Decimal:
        """§8: half away from zero, at the currency's precision."""
        return amount.quantize(Decimal(1).scaleb(-self.places), rounding=ROUND_HALF_UP)

    # ── questions: sums of bookings at or before a time, nothing shown that is zero ──────────────────────────────

    def lots_at(self, at: Hour) -> dict[str, Decimal]:
        """§2: fbo by purchase."""
        return sums((each.source or "-", each.amount) for each in self.booked(at, FBO, EXPIRY))

    def breakage(self, at: Hour) -> dict[str, Decimal]:
        """§6.9: what expired, by purchase."""
        return sums((each.source or "-", -each.amount) for each in self.booked(at, EXPIRY))

    def settled(self, at: Hour) -> Decimal:
        """§9: fbo and open advance."""
        return total(each.amount for each in self.booked(at, FBO, EXPIRY, ADVANCE))

    def accrued(self, at: Hour) -> dict[str, Decimal]:
        """§2: usage that is not revenue yet, by purchase and charge."""
        return sums((f"{each.source or '-'}|{each.charge}", each.amount) for each in self.booked(at, ACCRUED))

    def earnings(self, at: Hour) -> dict[str, Decimal]:
        """§2: revenue, by purchase and charge."""
        return sums((f"{each.source or '-'}|{each.charge}", each.amount) for each in self.booked(at, EARNINGS))

    def lineage(self) -> dict[str, Decimal]:
        """§7: the uncorrected amount of each charge, by state."""
        segments = [(f"{item.charge}|advance_uncovered", item.uncovered) for item in self.slices]
        for item, part in self.parts():
            unrecognized = "advance_backfilled" if item.is_advance else "real_credit"
            state = unrecognized if part.recognized_at is None else "earnings_recognized"
            segments.append((f"{item.charge}|{state}", part.amount))
        return sums(segments)

    def booked(self, at: Hour, *accounts: str) -> list[Booking]:
        """The bookings of accounts at or before a time."""
        return [each for each in self.bookings if each.at <= at and each.account in accounts]

    def times(self) -> list[Hour]:
        """Every time at which anything is booked."""
        return sorted({each.at for each in self.bookings})


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The sum of amounts."""
    return sum(amounts, ZERO)


def sums(named: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """Amounts added up by name, without those that come to nothing."""
    found: dict[str, Decimal] = {}
    for name, amount in named:
        found[name] = found.get(name, ZERO) + amount
    return {name: amount for name, amount in found.items() if amount}
