"""A namespace: one tenant's defaults. Its stream records the policies in force and the default billing profile."""

from __future__ import annotations

from typing import ClassVar, assert_never

import msgspec

from aggregates.customers import Profile
from aggregates.event import DomainEvent, Recorded, Stream
from aggregates.policies import Policies
from aggregates.values.identifiers import namespace_stream


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


EVENTS: tuple[type[DomainEvent], ...] = (NamespaceCreated, PoliciesChanged, DefaultProfileChanged)
NamespaceEvent = NamespaceCreated | PoliciesChanged | DefaultProfileChanged


class NamespaceState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Policies and default profile as they stand."""

    policies: Policies
    profile: Profile


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
        case _ as unreachable:
            assert_never(unreachable)


def stream(namespace: str) -> Stream:
    """The stream of one namespace."""
    return Stream("namespace", namespace_stream(namespace))
