"""Late usage: who follows the meter finds it, and it can be listed (decision 24).

Everything that is stored is looked through once, meter by meter, in the order in which it was stored, and as far as it
has been stored for a minute: within a meter that order is the order of commit, so a mark of how far somebody has come
passes nothing over. An event concerns the charges whose runs cover its time; one that no run of them has counted is
noted on the charge, which is then due. Whoever was killed looks through the same page again, and what was noted or
settled meanwhile is no news; several may do so at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from aggregates.charges import decisions as deciding
from aggregates.charges import state as charge_state
from aggregates.charges.collection import newest_collection_end
from aggregates.charges.state import Charge
from aggregates.values.errors import CustomerIsDeleted
from aggregates.values.money import Currency
from aggregates.values.period import Instant, instant
from ledger.advance import index
from ledger.context import Context
from ledger.facts import FactFinder
from ledger.metering.store import Arrival, Unseen, UsageStore
from ledger.metering.usage import last_place
from ledger.paging import Page, checked_limit, page_of, read_cursor
from ledger.store.follow import Follower
from ledger.units import Work
from projections.late_usage import LATE_USAGE, LateUsageRow
from projections.metered_runs import METERED_RUNS, MeteredRunRow
from projections.stores.tables import Where

PAGE = 5_000

APART = timedelta(days=40)
"""Events further apart than this are looked up separately: the runs between them are of no interest."""


class Stopping(Protocol):
    """How the search is asked to end."""

    def is_set(self) -> bool:
        """Whether it was asked."""
        ...


class Noted(msgspec.Struct, frozen=True):
    """What the receipt of a note keeps: the charges for which late usage was news."""

    charges: tuple[UUID, ...] = ()


class Found(NamedTuple):
    """A charge, and an event that came late for it: its time, and when it was stored."""

    charge: UUID
    time: datetime
    stored_at: Instant


class LateUsageFinder:
    """Looks through what was stored, and notes what came late."""

    def __init__(self, context: Context, follower: Follower, store: UsageStore, facts: FactFinder) -> None:
        self._context = context
        self._follower = follower
        self._store = store
        self._facts = facts
        self.remembers = True
        """In a dry run nothing is marked as seen."""

    def find(self, stop: Stopping | None = None) -> int:
        """Look through everything that was stored since the last time; for how many charges it was news.

        `stop` ends it after the page it is at. Raises `Unavailable`, `ConcurrentChange`; the next time it begins where
        it was.
        """
        namespace, noted = self._context.namespace, 0
        quiet = newest_collection_end(instant(self._context.now()))
        for unseen in self._store.unseen(namespace):
            for page in self._pages(unseen, quiet):
                noted += self._page(unseen.meter, page)
                if stop is not None and stop.is_set():
                    return noted
        return noted

    def _pages(self, unseen: Unseen, quiet: Instant) -> Iterator[Sequence[Arrival]]:
        """What of a meter has been stored for long enough, page by page; each is seen once it was worked on."""
        while True:
            page = self._store.arrivals(self._context.namespace, unseen, limit=PAGE)
            settled = next((i for i, each in enumerate(page) if each.stored_at >= quiet), len(page))
            if settled:
                yield page[:settled]
            is_last = len(page) < PAGE
            if settled == len(page) and is_last:
                self._seen(unseen.meter, last_place(unseen.position))
            elif settled:
                self._seen(unseen.meter, page[settled - 1].place)
            if is_last or settled < len(page):
                return
            unseen = unseen._replace(after=page[-1].place)

    def _seen(self, meter: str, place: int) -> None:
        if self.remembers:
            self._store.seen(self._context.namespace, meter, place)

    def _page(self, meter: str, page: Sequence[Arrival]) -> int:
        by_customer: dict[str, list[Arrival]] = {}
        for arrival in page:
            by_customer.setdefault(arrival.customer, []).append(arrival)
        runs: dict[str, list[MeteredRunRow]] = {}
        with self._follower.reading((METERED_RUNS.name,)) as reader:
            for customer, arrivals in by_customer.items():
                runs[customer] = [
                    row
                    for first, last in _stretches([arrival.time for arrival in arrivals])
                    for row in reader.select(
                        METERED_RUNS,
                        [
                            Where("namespace", "=", self._context.namespace),
                            Where("customer", "=", customer),
                            Where("service_period_to", ">", first),
                            Where("service_period_from", "<=", last),
                        ],
                    )
                ]
        return sum(
            self._customer(customer, late)
            for customer, rows in runs.items()
            if (late := self._late(meter, customer, rows, by_customer[customer]))
        )

    def _late(
        self, meter: str, customer: str, rows: Sequence[MeteredRunRow], arrivals: Sequence[Arrival]
    ) -> list[Found]:
        """The charges that some of these events came late for, as far as can be seen without deciding anything."""
        found: list[Found] = []
        ids = {row.charge for row in rows if self._context.look.meter_by_id(row.meter_id).key == meter}
        streams = [charge_state.stream(charge_id, customer) for charge_id in sorted(ids)]
        for entry in self._context.repository.load_all(streams):
            charge: Charge = entry.state
            newest: dict[Instant, Arrival] = {}
            for each in arrivals:
                if deciding.came_late(charge, each.time, each.stored_at):
                    under = next(terms.period.from_ for terms in charge.terms if each.time < terms.period.to)
                    newest[under] = max(newest.get(under, each), each, key=lambda arrival: arrival.stored_at)
            found += (Found(charge.id, each.time, instant(each.stored_at)) for each in newest.values())
        return found

    def _customer(self, customer: str, late: Sequence[Found]) -> int:
        def decide(work: Work) -> Noted:
            work.load(*(charge_state.stream(each.charge, customer) for each in late))
            facts = self._facts.of_customer(work, customer)
            news = [
                each.charge
                for each in late
                if deciding.note_late_usage(work.draft, each.charge, each.time, each.stored_at, facts)
            ]
            index(work)
            return Noted(tuple(news))

        try:
            done = self._context.send("charges.note_late_usage", customer, late, None, answer=Noted, decide=decide)
        except CustomerIsDeleted:
            return 0  # stored while its customer was being deleted: there is nobody to bill it to
        answer: Noted = done.answer
        return len(answer.charges)


def _stretches(times: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """The first and the last of times that lie close together."""
    stretches: list[tuple[datetime, datetime]] = []
    for moment in sorted(times):
        if stretches and moment - stretches[-1][1] <= APART:
            stretches[-1] = (stretches[-1][0], moment)
        else:
            stretches.append((moment, moment))
    return stretches


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────


class LateUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Usage of a charge that was stored after its runs had been collected, and is not billed. Times are UTC.

    `outcome`: `found` (nobody has looked at it yet), `asked` (somebody has to bill or dismiss it), `left`, `absorbed`,
    `dismissed`, or `to_invoice` (it waits for an invoice). `quantity` is that of the whole period with everything
    stored before `stored_at_lt`; `amount`, in `currency`, is what it adds to what is booked.
    """

    charge: UUID
    customer: str
    outcome: str
    since: datetime
    stored_at: datetime | None
    stored_at_lt: datetime | None
    quantity: Decimal | None
    amount: Decimal | None
    currency: Currency


class LateUsageList:
    """Lists late usage that is not billed."""

    def __init__(self, context: Context, follower: Follower) -> None:
        self._context = context
        self._follower = follower

    def page(
        self,
        customer: str | None = None,
        *,
        outcome: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[LateUsage]:
        """Charges with late usage that is not billed, in the order in which it was last looked at or found.

        Raises `CustomerNotFound`, `ValidationFailed`.
        """
        if customer is not None:
            self._context.look.customer(customer)
        where = [Where("namespace", "=", self._context.namespace)]
        where += [Where("customer", "=", customer)] if customer is not None else []
        where += [Where("outcome", "=", outcome)] if outcome is not None else []
        where += [Where("position", ">", *read_cursor(after, (int,)))] if after is not None else []
        with self._follower.reading((LATE_USAGE.name,)) as reader:
            rows = reader.select(LATE_USAGE, where, order=("position",), limit=checked_limit(limit) + 1)
        streams = [charge_state.stream(row.charge, row.customer) for row in rows]
        charges = {entry.state.id: entry.state for entry in self._context.repository.load_all(streams)}
        return page_of(rows, limit, lambda row: _listed(row, charges), lambda row: (row.position,))


def _listed(row: LateUsageRow, charges: Mapping[UUID, Charge]) -> LateUsage:
    return LateUsage(
        charge=row.charge,
        customer=row.customer,
        outcome=row.outcome,
        since=row.since,
        stored_at=row.stored_at,
        stored_at_lt=row.stored_at_lt,
        quantity=row.quantity,
        amount=row.amount,
        currency=charges[row.charge].currency,
    )
