"""Identifiers: distinct types for distinct things, and the derived ids of streams that have a natural key.

Charges, runs and invoices have minted ids (UUIDv7, passed into decisions as facts); pools, customers, namespaces
and catalogue entries have ids derived from their natural key (UUIDv5), so that two processes that name the
same pool mean the same stream (architecture §2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NewType
from uuid import UUID, uuid5

import msgspec

Namespace = NewType("Namespace", str)
CustomerId = NewType("CustomerId", str)
StreamId = NewType("StreamId", UUID)
ChargeId = NewType("ChargeId", UUID)
RunId = NewType("RunId", UUID)
PoolId = NewType("PoolId", UUID)
CommandId = NewType("CommandId", UUID)

Mint = Callable[[], UUID]
"""Where a decision gets new ids from: unique, sortable by creation. Given as a fact, so that replay never mints."""


class GroupRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names a posting group of the ledger: the event of a credit pool that carries its transactions (decision 5)."""

    pool: UUID
    version: int


_ROOT = UUID("6f0d6f5e-4c1d-5c0e-9a55-1edb0c5a7a11")


def derived(*parts: str) -> UUID:
    """The id of a natural key. Parts are length-prefixed, so ("ab", "c") and ("a", "bc") stay apart.

    Text that no database can keep (a lone surrogate) is nobody's key: it has an id too, under which nothing is found.
    """
    name = "".join(f"{len(part)}:{part}" for part in parts)
    return uuid5(_ROOT, name.encode("utf-8", "backslashreplace").decode())


def pool_id(namespace: str, customer: str, currency_key: str) -> PoolId:
    """The credit pool of a customer in a currency."""
    return PoolId(derived("credit_pool", namespace, customer, currency_key))


def customer_stream(namespace: str, customer: str) -> UUID:
    """The stream of a customer's billing profile."""
    return derived("customer", namespace, customer)


def namespace_stream(namespace: str) -> UUID:
    """The stream of a namespace's defaults and policies."""
    return derived("namespace", namespace)


def catalogue_key_stream(namespace: str, kind: str, key: str) -> UUID:
    """The stream that maps a catalogue key (a meter's, a feature's) to the id it names today."""
    return derived("catalogue_key", namespace, kind, key)
