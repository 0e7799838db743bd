"""Upcasts: how events of earlier versions are read as today's.

A stored name never changes its meaning. When a field is removed, renamed or means something else, the event gets a
new name (`charge.created.v2`), the old struct stays here, word for word as it was, and one step turns an old body into
the next version's:

    class ChargeCreatedV1(DomainEvent):
        NAME: ClassVar[str] = "charge.created.v1"
        customer_name: str

    UPCASTS = {"charge.created.v1": Upcast(ChargeCreatedV1, lambda old: ChargeCreatedV2(title=old.customer_name))}

Steps are chained: v1 becomes v2, v2 becomes v3. The stored bytes stay as they are, and so do their digests. Sample
bytes of every released version are in `tests/golden/events.json`. A new field with a default needs no new version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from aggregates.event import DomainEvent


class Upcast(NamedTuple):
    """The struct an old stored name is read as, and the step to the next version."""

    old: type[DomainEvent]
    to_new: Callable[[Any], DomainEvent]


UPCASTS: Mapping[str, Upcast] = {}
"""Old stored name -> how it is read. Empty until a released event changes its shape."""
