"""The chart of accounts and the routes that make an address: who owns value, and of which kind (ledger §2, §3).

Amounts are signed; an account's balance is the plain sum of its entries. An address is an account and a normalised
route; it comes into being on first use and is a key, never an aggregate.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

import msgspec

from aggregates.values.money import Currency

DEFAULT_CREDIT_PRIORITY = 100
"""The priority of credit nobody gave one, and of advance (ledger §3)."""


class Account(StrEnum):
    """An account of the ledger. Customer accounts exist once per customer, business accounts once per namespace."""

    FBO = "customer_fbo"
    """Spendable credit of the customer, held for their benefit; positive."""
    RECEIVABLE = "customer_receivable"
    """Owed by the customer, open or authorized; negative while owed."""
    ACCRUED = "customer_accrued"
    """Acknowledged usage that is not yet recognised; positive."""
    WASH = "wash"
    """The boundary to outside cash; negative is cash received."""
    EARNINGS = "earnings"
    """Recognised revenue; positive."""
    BROKERAGE = "brokerage"
    """The counterparty of currency conversion and revaluation; either sign."""
    BREAKAGE = "breakage"
    """Forfeited credit; positive."""
    BAD_DEBT = "bad_debt"
    """Receivables written off as uncollectible (decision 22); negative is a loss."""

    @property
    def is_business(self) -> bool:
        """Whether the account belongs to the business rather than to the customer."""
        return self not in _CUSTOMER_ACCOUNTS


_CUSTOMER_ACCOUNTS = frozenset({Account.FBO, Account.RECEIVABLE, Account.ACCRUED})


class Authorization(StrEnum):
    """The stage of a receivable: owed, or owed and promised by a payment that was authorized."""

    OPEN = "open"
    AUTHORIZED = "authorized"


class TaxBehavior(StrEnum):
    """Whether prices include tax. Carried as a dimension, never computed with."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


class Tax(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The tax dimensions of acknowledged usage; a behaviour needs a code (ledger §3)."""

    code: str | None = None
    behavior: TaxBehavior | None = None


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, cache_hash=True):
    """The dimensions of an address, normalised: build one with `route()`.

    `currency`: what the amounts are of. `cost_basis`: fiat price of one unit, absent when unknown; for a custom
    currency `cost_basis_currency` names the fiat currency of that price. `features`: the feature keys the credit is
    restricted to, sorted; empty is unrestricted. `credit_priority`: 1 is used first. `authorization`: the stage of
    a receivable. Cost bases compare as numbers, so 0.5 and 0.50 are one route.
    """

    currency: Currency
    cost_basis: Decimal | None = None
    cost_basis_currency: str | None = None
    features: tuple[str, ...] = ()
    credit_priority: int | None = None
    authorization: Authorization | None = None
    tax_code: str | None = None
    tax_behavior: TaxBehavior | None = None


def normalised_features(features: Iterable[str]) -> tuple[str, ...]:
    """Feature keys sorted, without empty or repeated ones: ("b", "", "a", "b") is ("a", "b")."""
    return tuple(sorted({key for key in features if key}))


def route(
    currency: Currency,
    *,
    cost_basis: Decimal | None = None,
    cost_basis_currency: str | None = None,
    features: Iterable[str] = (),
    credit_priority: int | None = None,
    authorization: Authorization | None = None,
    tax_code: str | None = None,
    tax_behavior: TaxBehavior | None = None,
) -> Route:
    """A normalised route (ledger §3): features sorted, empty strings absent, no currency of an absent cost basis."""
    return Route(
        currency=currency,
        cost_basis=cost_basis,
        cost_basis_currency=(cost_basis_currency or None) if cost_basis is not None else None,
        features=normalised_features(features),
        credit_priority=credit_priority,
        authorization=authorization,
        tax_code=tax_code or None,
        tax_behavior=tax_behavior,
    )
