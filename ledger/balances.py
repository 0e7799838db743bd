"""Balances out of the views, for any pair of times, at a cost that does not grow with the history (ledger §9, §13).

Now, and at any later time as known now, is in `customer_balances`. Every other pair is put together from a few pages
of `balance_history`. Both answer amounts by address; what a balance is of them is said here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from aggregates.journal.chart import Account, Authorization
from aggregates.values.decimals import EXACT, ZERO
from aggregates.values.money import Currency
from projections.addresses import Address, read_address
from projections.balance_history import BALANCE_HISTORY, FAN, BalanceHistory, held, nodes_before
from projections.customer_balances import CUSTOMER_BALANCES
from projections.stores.tables import Reader, Where

VIEWS = (CUSTOMER_BALANCES.name, BALANCE_HISTORY.name)

LATEST = 2**62
"""A position after every other."""


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer has and owes in one currency, booked at or before `as_of`, recorded up to `position`.

    Amounts are exact decimals of `currency`, signed as ledger §2 has them. `settled` is credit that is left, less
    usage that ran ahead of credit: `fbo` + `advance`, where `advance` is the receivable of unknown cost basis.
    `receivable_open` and `receivable_authorized` are all receivables of that stage (negative while owed), `accrued` is
    usage acknowledged and not yet revenue. The accounts from `wash` on belong to the business, here as far as this
    customer's postings touch them. With a `feature`, only routes that are unrestricted or contain it.
    """

    customer: str
    currency: Currency
    as_of: datetime
    recorded_as_of: datetime | None
    position: int
    feature: str | None
    settled: Decimal
    fbo: Decimal
    advance: Decimal
    receivable_open: Decimal
    receivable_authorized: Decimal
    accrued: Decimal
    wash: Decimal
    earnings: Decimal
    brokerage: Decimal
    breakage: Decimal
    bad_debt: Decimal


class AddressBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What one address holds: an account, and the dimensions of its route (ledger §3)."""

    account: str
    amount: Decimal
    cost_basis: Decimal | None
    cost_basis_currency: str | None
    features: tuple[str, ...]
    credit_priority: int | None
    authorization: str | None
    tax_code: str | None
    tax_behavior: str | None


def amounts_of(
    reader: Reader, whose: tuple[str, str, str], as_of: datetime, position: int
) -> dict[Address, Decimal] | None:
    """What the addresses of a (namespace, customer, currency key) held; None where there never was a posting."""
    namespace, customer, currency = whose
    mine = [Where("namespace", "=", namespace), Where("customer", "=", customer), Where("currency", "=", currency)]
    rows = reader.select(CUSTOMER_BALANCES, mine)
    if not rows:
        return None
    if all(row.position <= position and row.known_at <= as_of for row in rows):
        return _summed((row.address, row.at(as_of)) for row in rows)
    recorded = _as_recorded(reader, sorted({row.pool for row in rows}), as_of, position)
    return {address: amount for address, amount in _summed(recorded).items() if address.currency == currency}


def _as_recorded(
    reader: Reader, pools: Sequence[UUID], as_of: datetime, position: int
) -> Iterable[tuple[str, Decimal]]:
    """Amounts by the key of the address, from the few nodes that stand for everything up to the position."""
    for pool in pools:
        up_to = [Where("pool", "=", pool), Where("level", "=", 0), Where("first_position", "<=", position)]
        # The last leaf and, in the same question, those before it that no node stands for.
        leaves = reader.select(BALANCE_HISTORY, up_to, order=("first_position",), descending=True, limit=FAN)
        if not leaves:
            continue
        last, *earlier = leaves
        nodes = nodes_before(last.node)
        prefixes = [{"pool": pool, "level": level, "node": node} for level, node in nodes if level]
        alone = {node for level, node in nodes if not level}
        pages: list[BalanceHistory] = reader.floors(BALANCE_HISTORY, prefixes, "booked_from", as_of)
        yield from held([*pages, *(leaf for leaf in earlier if leaf.node in alone)], last, position, as_of).items()


def _summed(amounts: Iterable[tuple[str, Decimal]]) -> dict[Address, Decimal]:
    sums: dict[Address, Decimal] = {}
    for key, amount in amounts:
        address = read_address(key)
        sums[address] = EXACT.add(sums.get(address, ZERO), amount)
    return sums


def figures(amounts: Mapping[Address, Decimal], feature: str | None, *, unrestricted: bool) -> dict[str, Decimal]:
    """The figures of a `Balance` from amounts by address."""
    of = dict.fromkeys(_FIGURES, ZERO)
    for address, amount in amounts.items():
        if not (address.open_to(feature) and not (unrestricted and address.features)):
            continue
        names = [_BY_STAGE[address.authorization]] if address.account == Account.RECEIVABLE else []
        names += ["advance"] if address.is_open_advance else []
        names += [_BY_ACCOUNT[address.account]] if address.account in _BY_ACCOUNT else []
        for name in names:
            of[name] = EXACT.add(of[name], amount)
    of["settled"] = EXACT.add(of["fbo"], of["advance"])
    return of


_BY_ACCOUNT: dict[str, str] = {
    Account.FBO: "fbo",
    Account.ACCRUED: "accrued",
    Account.WASH: "wash",
    Account.EARNINGS: "earnings",
    Account.BROKERAGE: "brokerage",
    Account.BREAKAGE: "breakage",
    Account.BAD_DEBT: "bad_debt",
}
_BY_STAGE: dict[str | None, str] = {
    Authorization.OPEN: "receivable_open",
    Authorization.AUTHORIZED: "receivable_authorized",
}
_FIGURES = ("settled", "advance", *_BY_STAGE.values(), *_BY_ACCOUNT.values())


def address_balance(address: Address, amount: Decimal) -> AddressBalance:
    """An address and its amount, for callers."""
    return AddressBalance(
        account=address.account,
        amount=amount,
        cost_basis=address.cost_basis,
        cost_basis_currency=address.cost_basis_currency,
        features=address.features,
        credit_priority=address.credit_priority,
        authorization=address.authorization,
        tax_code=address.tax_code,
        tax_behavior=address.tax_behavior,
    )
