"""`balance_history`: what every address held at any booked time, as recorded up to any position (ledger §13).

The postings of a pool are cut, in the order of recording, into **leaves** of 16 events. Eight nodes of one level make
a node of the next: sorted by booked time, postings of one time and address summed, cut into pages that begin with
the sums of everything before them. So "booked by T, recorded by P" is: the last leaf up to P read entry by entry,
and for each of the few nodes that cover the leaves before it one page, whose opening sums and steps up to T count.
The work does not grow with the history but with its logarithm; above the highest level, by one page in 65,536 events.

A leaf is written as its events come, a node when its last leaf is full, and neither is touched again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from aggregates.credits.events import EVENTS
from aggregates.values.decimals import EXACT, ZERO, exact, text
from projections.addresses import address_of
from projections.projection import Cell, Entry, Folded, Key, Rows

LEAF = 16
"""Events of a leaf."""

FAN = 8
"""Nodes of one level that make one of the next."""

HIGHEST = 4
"""The last level: its nodes stand for 16 x 8^4 = 65,536 events. Who merges one of the next would wait for seconds."""

STEPS = 48
"""Steps of a page, as long as its last booked time does not go on."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

Step: TypeAlias = list[Any]
"""In a leaf: position, booked second, place of the address, amount; in a node without the position."""


class BalanceHistory(NamedTuple):
    """A leaf (level 0) or a page of a node; `addresses` are those that leaf or page speak of, by place.

    `sums` are what the addresses held in this node before the page's first step. `pages` is how many pages the node
    has. `first_position` is of leaves, `booked_from` of pages of nodes.
    """

    pool: UUID
    level: int
    node: int
    page: int
    pages: int
    first_position: int | None
    booked_from: datetime | None
    addresses: list[str]
    sums: list[str]
    steps: list[Step]


def seconds(moment: datetime) -> int:
    """The whole second a booked time is: booked times have no fractions."""
    return (moment - _EPOCH) // _SECOND


def nodes_before(leaf: int) -> list[tuple[int, int]]:
    """The fewest full nodes (level, number) that stand for all leaves before this one."""
    found: list[tuple[int, int]] = []
    start = 0
    for level in range(HIGHEST, -1, -1):
        size = FAN**level
        while start + size <= leaf:
            found.append((level, start // size))
            start += size
    return found


Balances: TypeAlias = dict[str, Decimal]
"""Amounts by address."""


def held(pages: Sequence[BalanceHistory], last_leaf: BalanceHistory | None, position: int, as_of: datetime) -> Balances:
    """What the addresses held: from one page per node before the leaf, and from the leaf up to the position."""
    balances: Balances = {}
    until = seconds(as_of)
    for page in pages:
        _add(balances, page.addresses, enumerate(page.sums))
        _add(balances, page.addresses, ((step[-2], step[-1]) for step in page.steps if step[-3] <= until))
    if last_leaf is not None:
        steps = (step for step in last_leaf.steps if step[0] <= position and step[1] <= until)
        _add(balances, last_leaf.addresses, ((step[-2], step[-1]) for step in steps))
    return balances


def _add(balances: Balances, addresses: Sequence[str], amounts: Iterable[tuple[int, str]]) -> None:
    for place, amount in amounts:
        name = addresses[place]
        balances[name] = EXACT.add(balances.get(name, ZERO), Decimal(amount))


# ── the fold ─────────────────────────────────────────────────────────────────────────────────────────────────


def _effects(entry: Entry) -> Mapping[Key, None]:
    return {_leaf_key(entry): None}


def _leaf_key(entry: Entry) -> Key:
    return (entry.record.stream, 0, (entry.record.version - 1) // LEAF, 0)


def _fold(rows: Rows, entry: Entry, touched: Sequence[tuple[Cell, None]]) -> None:
    ((place, _),) = touched
    rows.put(place, _with(place.row, place.key, entry))
    pool, _, node, _ = place.key
    if entry.record.version % LEAF:
        return
    for level in range(1, HIGHEST + 1):
        node, number = divmod(node, FAN)
        if number != FAN - 1:
            return
        pages = _merged(pool, level, node, _children(rows, pool, level - 1, node))
        places = [rows.cell((pool, level, node, page.page)) for page in pages]
        rows.fetch()
        for page_place, page in zip(places, pages, strict=True):
            rows.put(page_place, page)


def _with(leaf: BalanceHistory | None, key: Key, entry: Entry) -> BalanceHistory:
    pool, _, node, _ = key
    addresses = list(leaf.addresses) if leaf else []
    steps = list(leaf.steps) if leaf else []
    position = entry.position
    places = {address: place for place, address in enumerate(addresses)}
    for transaction in getattr(entry.record.body, "transactions", ()):
        booked = seconds(transaction.booked_at)
        for each in transaction.entries:
            address, _ = address_of(each.account, each.route)
            place = places.get(address)
            if place is None:
                place = places[address] = len(addresses)
                addresses.append(address)
            steps.append([position, booked, place, text(each.amount)])
    first = leaf.first_position if leaf else position
    return BalanceHistory(pool, 0, node, 0, 1, first, None, addresses, [], steps)


def _children(rows: Rows, pool: UUID, level: int, parent: int) -> Iterator[BalanceHistory]:
    """All pages of the nodes that make the parent; a missing one has nothing to add."""
    places = [rows.cell((pool, level, node, 0)) for node in range(parent * FAN, (parent + 1) * FAN)]
    rows.fetch()
    for first in places:
        pages = first.row.pages if first.row else 0
        others = [rows.cell((*first.key[:3], page)) for page in range(1, pages)]
        rows.fetch()
        yield from (place.row for place in (first, *others) if place.row is not None)


@exact
def _merged(pool: UUID, level: int, node: int, children: Iterator[BalanceHistory]) -> list[BalanceHistory]:
    """A node from those of the level below: steps by booked time, summed by address, in pages."""
    changes: dict[tuple[int, str], Decimal] = {}
    for child in children:
        for step in child.steps:
            key = (int(step[-3]), child.addresses[int(step[-2])])
            known = changes.get(key)
            changes[key] = Decimal(step[-1]) if known is None else known + Decimal(step[-1])
    pages = _cut(sorted(key for key, amount in changes.items() if amount))
    held: Balances = {}
    made: list[BalanceHistory] = []
    for number, keys in enumerate(pages):
        before = [text(amount) for amount in held.values()]
        for _, name in keys:
            held.setdefault(name, ZERO)
        names = list(held)
        places = {name: place for place, name in enumerate(names)}
        steps: list[Step] = []
        for booked, name in keys:
            amount = changes[booked, name]
            held[name] += amount
            steps.append([booked, places[name], text(amount)])
        begins = _EPOCH + keys[0][0] * _SECOND
        made.append(BalanceHistory(pool, level, node, number, len(pages), None, begins, names, before, steps))
    return made


def _cut(keys: Sequence[tuple[int, str]]) -> list[list[tuple[int, str]]]:
    """Pages of about `STEPS` steps; one booked time is never spread over two."""
    pages: list[list[tuple[int, str]]] = []
    for _, same in groupby(keys, key=lambda key: key[0]):
        if not pages or len(pages[-1]) >= STEPS:
            pages.append([])
        pages[-1].extend(same)
    return pages


BALANCE_HISTORY = Folded(
    name="balance_history",
    version=2,
    row=BalanceHistory,
    key=("pool", "level", "node", "page"),
    indexes=(("pool", "level", "first_position"), ("pool", "level", "node", "booked_from")),
    listens=frozenset(event.NAME for event in EVENTS),
    effects=_effects,
    folding=_fold,
)
