"""Addresses as keys of views: an account and a route as one text, the same however its numbers were written.

A view is grouped by address; the text of one sorts, compares and travels as JSON. `Address` is what it says, for
readers: which account, and which dimensions of the route (ledger §3). 0.5 and 0.50 are one cost basis.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from aggregates.values.decimals import EXACT, text

_encode = msgspec.json.Encoder().encode


class Address(NamedTuple):
    """An account and the dimensions of its route; `currency` is the key of the currency, features are sorted.

    `cost_basis` is the fiat price of one unit, in `cost_basis_currency` for a custom currency; absent when unknown.
    """

    currency: str
    account: str
    cost_basis_currency: str | None
    cost_basis: Decimal | None
    features: tuple[str, ...]
    credit_priority: int | None
    authorization: str | None
    tax_code: str | None
    tax_behavior: str | None

    @property
    def is_open_advance(self) -> bool:
        """Whether it is receivable of unknown cost basis: usage that ran ahead of credit (ledger §9)."""
        return self.account == "customer_receivable" and self.cost_basis is None

    def open_to(self, feature: str | None) -> bool:
        """Whether a view of that feature shows it: unrestricted routes, and routes that contain the feature."""
        return feature is None or not self.features or feature in self.features


@lru_cache(maxsize=4096)
def address_of(account: str, route: Any) -> tuple[str, Address]:
    """The key of an address and what it says. Routes repeat all the time, so each is worked out once."""
    basis = route.cost_basis
    address = Address(
        currency=route.currency.key,
        account=str(account),
        cost_basis_currency=route.cost_basis_currency,
        cost_basis=basis,
        features=route.features,
        credit_priority=route.credit_priority,
        authorization=_text(route.authorization),
        tax_code=route.tax_code,
        tax_behavior=_text(route.tax_behavior),
    )
    written = None if basis is None else text(basis.normalize(EXACT))
    return _encode((*address[:3], written, *address[4:])).decode(), address


@lru_cache(maxsize=4096)
def read_address(key: str) -> Address:
    """What the key of an address says."""
    values: list[Any] = msgspec.json.decode(key)
    basis = values[3]
    return Address._make((*values[:3], None if basis is None else Decimal(basis), tuple(values[4]), *values[5:]))


def _text(value: str | None) -> str | None:
    return None if value is None else str(value)
