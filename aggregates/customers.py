"""Customers: who is billed, and how. One stream per (namespace, customer).

The billing profile says how long to wait for late usage after a period (`collection_interval`) and in which zone
calendar arithmetic happens. A run reads it once, when it starts, and keeps what it read (lifecycles §5.3).

A customer with nothing open can be deleted (decision 33). Every command of a customer reads this stream, so the first
event of a deletion stops them all; only then is it certain that nothing is open, and that what is found stays so.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar, assert_never
from uuid import UUID

import msgspec

from aggregates.event import DomainEvent, Recorded, Stream
from aggregates.policies import (
    PER_CUSTOMER,
    LateUsage,
    OfferReleasedCredit,
    Policies,
    RunCuts,
    RunEngine,
    ShrinkOverIssued,
    UsageCreditCut,
)
from aggregates.values.errors import OpenItems
from aggregates.values.identifiers import customer_stream
from aggregates.values.period import Duration


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Billing settings of a customer. What is absent is taken from the namespace's default profile.

    `collection_interval`: ISO 8601 duration between the end of a service period and the collection end, "P2D".
    `zone`: IANA zone of calendar arithmetic.
    `advance_limit`: how far below zero usage may take a balance, per currency and in its unit; absent is no limit.
    With a limit of 50 and 20 of credit, usage of 60 advances 40; of 80 it is refused as `advance_limit_exceeded`, and
    the charge waits until there is credit.
    `progressive_billing`: whether usage may be invoiced in parts, before its period ends (lifecycles §8.2).
    `auto_approve`: whether invoices are issued without anybody's approval. `payment_terms`: ISO 8601 duration from the
    issue date to the due date, "P30D".

    The others override the policy of the namespace that has the same name, see `aggregates.policies`.
    """

    collection_interval: str | None = None
    zone: str | None = None
    usage_credit_cut: UsageCreditCut | None = None
    advance_limit: Decimal | None = None
    progressive_billing: bool | None = None
    auto_approve: bool | None = None
    payment_terms: str | None = None
    run_engine: RunEngine | None = None
    run_cuts: RunCuts | None = None
    shrink_over_issued: ShrinkOverIssued | None = None
    late_usage: LateUsage | None = None
    periodic_runs: Duration | None = None
    offer_released_credit: OfferReleasedCredit | None = None


DEFAULT_PROFILE = Profile(
    collection_interval="P2D", zone="UTC", progressive_billing=False, auto_approve=True, payment_terms="P30D"
)
"""What holds where neither the customer nor the namespace says otherwise."""


class OpenItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something of a customer that is not over.

    `kind`: charge, waiting_line, invoice, credit, advance or unapplied_credit.
    `id`: of the charge or the invoice; absent for what belongs to a balance.
    """

    kind: str
    id: UUID | None = None
    detail: str


class CustomerCreated(DomainEvent, frozen=True):
    """A customer came into being with a profile."""

    NAME: ClassVar[str] = "customer.created.v1"
    key: str
    name: str
    profile: Profile


class CustomerProfileChanged(DomainEvent, frozen=True):
    """The billing profile was replaced as a whole; runs that have started keep what they read."""

    NAME: ClassVar[str] = "customer.profile_changed.v1"
    profile: Profile


class CustomerDeletionStarted(DomainEvent, frozen=True):
    """Nothing was open, and the customer is to be deleted: no command of it is carried out any more."""

    NAME: ClassVar[str] = "customer.deletion_started.v1"


class CustomerDeletionWithdrawn(DomainEvent, frozen=True):
    """Something was opened just before the deletion started, so the customer stays."""

    NAME: ClassVar[str] = "customer.deletion_withdrawn.v1"
    open_items: tuple[OpenItem, ...]


class CustomerDeleted(DomainEvent, frozen=True):
    """The customer is deleted; its history stays, and its key stays taken."""

    NAME: ClassVar[str] = "customer.deleted.v1"


EVENTS: tuple[type[DomainEvent], ...] = (
    CustomerCreated,
    CustomerProfileChanged,
    CustomerDeletionStarted,
    CustomerDeletionWithdrawn,
    CustomerDeleted,
)
CustomerEvent = (
    CustomerCreated | CustomerProfileChanged | CustomerDeletionStarted | CustomerDeletionWithdrawn | CustomerDeleted
)


class Customer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A customer and its billing profile as it stands.

    `is_leaving`: its deletion has started. `deleted_at`: when it was deleted.
    """

    key: str
    name: str
    profile: Profile
    is_leaving: bool = False
    deleted_at: datetime | None = None

    @property
    def is_gone(self) -> bool:
        """Whether no command of it is carried out any more."""
        return self.is_leaving or self.deleted_at is not None


def evolve(state: Customer | None, record: Recorded[CustomerEvent]) -> Customer:
    """Fold one event into the customer."""
    match record.body:
        case CustomerCreated(key=key, name=name, profile=profile):
            return Customer(key=key, name=name, profile=profile)
        case CustomerProfileChanged(profile=profile):
            before = state if state is not None else Customer(key=record.customer or "", name="", profile=profile)
            return msgspec.structs.replace(before, profile=profile)
        case CustomerDeletionStarted():
            return msgspec.structs.replace(_known(state), is_leaving=True)
        case CustomerDeletionWithdrawn():
            return msgspec.structs.replace(_known(state), is_leaving=False)
        case CustomerDeleted():
            return msgspec.structs.replace(_known(state), is_leaving=False, deleted_at=record.at)
        case _ as unreachable:
            assert_never(unreachable)


def _known(state: Customer | None) -> Customer:
    assert state is not None, "a customer is created before anything else happens to it"
    return state


def stream(namespace: str, customer: str) -> Stream:
    """The stream of one customer."""
    return Stream("customer", customer_stream(namespace, customer), customer)


def effective(*profiles: Profile | None) -> Profile:
    """Merge profiles, the first that says something wins: customer, namespace, built-in default."""
    merged = DEFAULT_PROFILE
    for profile in reversed(profiles):
        if profile is None:
            continue
        said = {
            name: value for name in Profile.__struct_fields__ if (value := getattr(profile, name)) not in (None, "")
        }
        merged = msgspec.structs.replace(merged, **said)
    return merged


def policies_for(policies: Policies, profile: Profile) -> Policies:
    """The policies of the namespace, with those the (effective) profile says otherwise about (decisions A)."""
    said = {name: value for name in PER_CUSTOMER if (value := getattr(profile, name)) is not None}
    return msgspec.structs.replace(policies, **said) if said else policies


def refuse_deletion(customer: str, items: tuple[OpenItem, ...]) -> None:
    """Raise `OpenItems` when something is open."""
    if items:
        raise OpenItems(customer, "; ".join(item.detail for item in items), items)
