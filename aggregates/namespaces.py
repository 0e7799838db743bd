"""A namespace: one tenant's defaults. Its stream records the policies in force and the default billing profile."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, assert_never

import msgspec

from aggregates.charges.intent import TaxConfig
from aggregates.customers import Profile
from aggregates.event import DomainEvent, Recorded, Stream
from aggregates.policies import Policies
from aggregates.values.identifiers import namespace_stream
from aggregates.values.period import Instant


class TaxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The tax codes that exist, and which one a charge gets that names none (lifecycles §2.2).

    `invoicing` is the default of usage and flat fees, `credit_grant` that of purchases.
    """

    codes: tuple[str, ...]
    invoicing: TaxConfig | None = None
    credit_grant: TaxConfig | None = None


class NamespaceCreated(DomainEvent, frozen=True):
    """A namespace was opened with a bundle of policies and a default profile."""

    NAME: ClassVar[str] = "namespace.created.v1"
    policies: Policies
    profile: Profile


class PoliciesChanged(DomainEvent, frozen=True):
    """Another bundle of policies holds from now on; what was decided before stays as it was."""

    NAME: ClassVar[str] = "namespace.policies_changed.v1"
    policies: Policies


class DefaultProfileChanged(DomainEvent, frozen=True):
    """The default billing profile was replaced; runs that have started keep what they read."""

    NAME: ClassVar[str] = "namespace.default_profile_changed.v1"
    profile: Profile


class TaxSettingsChanged(DomainEvent, frozen=True):
    """Other tax codes and defaults hold from now on; charges that exist keep the code they were created with."""

    NAME: ClassVar[str] = "namespace.tax_settings_changed.v1"
    tax: TaxSettings


class PeriodClosed(DomainEvent, frozen=True):
    """The books before `until` were closed: what is dated there from now on is booked at `until` (decision 39)."""

    NAME: ClassVar[str] = "namespace.period_closed.v1"
    until: Instant
    reason: str = ""


class PeriodReopened(DomainEvent, frozen=True):
    """The books from `from_` on were opened again, for a reason that stays on record (decision 39)."""

    NAME: ClassVar[str] = "namespace.period_reopened.v1"
    from_: Instant
    reason: str


EVENTS: tuple[type[DomainEvent], ...] = (
    NamespaceCreated,
    PoliciesChanged,
    DefaultProfileChanged,
    TaxSettingsChanged,
    PeriodClosed,
    PeriodReopened,
)
NamespaceEvent = (
    NamespaceCreated | PoliciesChanged | DefaultProfileChanged | TaxSettingsChanged | PeriodClosed | PeriodReopened
)


class Closing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Books closed once: `from_` (absent: from the beginning) to `until`; by whom, why, and when reopened if ever."""

    from_: Instant | None = None
    until: Instant
    closed_at: datetime
    closed_by: str
    reason: str = ""
    reopened_from: Instant | None = None
    reopened_at: datetime | None = None
    reopened_by: str | None = None
    reopened_reason: str | None = None


class NamespaceState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Policies, default profile and tax codes as they stand; `tax` absent: nobody keeps a list of codes.

    Everything before `closed_until` is closed; `closings` is how that came to be.
    """

    policies: Policies
    profile: Profile
    tax: TaxSettings | None = None
    closed_until: Instant | None = None
    closings: tuple[Closing, ...] = ()


def evolve(state: NamespaceState | None, record: Recorded[NamespaceEvent]) -> NamespaceState:
    """Fold one event into the namespace."""
    before = state if state is not None else NamespaceState(policies=Policies.standard(), profile=Profile())
    match record.body:
        case NamespaceCreated(policies=policies, profile=profile):
            return NamespaceState(policies=policies, profile=profile)
        case PoliciesChanged(policies=policies):
            return msgspec.structs.replace(before, policies=policies)
        case DefaultProfileChanged(profile=profile):
            return msgspec.structs.replace(before, profile=profile)
        case TaxSettingsChanged(tax=tax):
            return msgspec.structs.replace(before, tax=tax)
        case PeriodClosed(until=until, reason=reason):
            closing = Closing(
                from_=before.closed_until, until=until, closed_at=record.at, closed_by=record.actor, reason=reason
            )
            return msgspec.structs.replace(before, closed_until=until, closings=(*before.closings, closing))
        case PeriodReopened(from_=from_):
            closings = tuple(_reopened(closing, record, from_) for closing in before.closings)
            return msgspec.structs.replace(before, closed_until=from_, closings=closings)
        case _ as unreachable:
            assert_never(unreachable)


def _reopened(closing: Closing, record: Recorded[NamespaceEvent], from_: Instant) -> Closing:
    if closing.until <= from_ or closing.reopened_at is not None or not isinstance(record.body, PeriodReopened):
        return closing
    return msgspec.structs.replace(
        closing,
        reopened_from=from_,
        reopened_at=record.at,
        reopened_by=record.actor,
        reopened_reason=record.body.reason,
    )


def stream(namespace: str) -> Stream:
    """The stream of one namespace."""
    return Stream("namespace", namespace_stream(namespace))
