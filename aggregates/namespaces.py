"""A namespace: one tenant's defaults. Its stream records the policies in force and the default billing profile."""

from __future__ import annotations

from typing import ClassVar, assert_never

import msgspec

from aggregates.charges.intent import TaxConfig
from aggregates.customers import Profile
from aggregates.event import DomainEvent, Recorded, Stream
from aggregates.policies import Policies
from aggregates.values.identifiers import namespace_stream


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


EVENTS: tuple[type[DomainEvent], ...] = (
    NamespaceCreated,
    PoliciesChanged,
    DefaultProfileChanged,
    TaxSettingsChanged,
)
NamespaceEvent = NamespaceCreated | PoliciesChanged | DefaultProfileChanged | TaxSettingsChanged


class NamespaceState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Policies, default profile and tax codes as they stand; `tax` absent: nobody keeps a list of codes."""

    policies: Policies
    profile: Profile
    tax: TaxSettings | None = None


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
        case _ as unreachable:
            assert_never(unreachable)


def stream(namespace: str) -> Stream:
    """The stream of one namespace."""
    return Stream("namespace", namespace_stream(namespace))
