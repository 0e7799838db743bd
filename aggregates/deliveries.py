"""Deliveries: how far the log was handed to somebody outside. One stream per (namespace, recipient).

Handing over comes first and recording it second, so what a process dies between is handed over again: at least once,
never not at all.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from aggregates.event import DomainEvent, Recorded, Stream
from aggregates.values.identifiers import derived


class EffectsDelivered(DomainEvent, frozen=True):
    """Everything for the recipient up to that position of the log was handed over: `count` of it since last time."""

    NAME: ClassVar[str] = "delivery.effects_delivered.v1"
    position: int
    count: int


EVENTS: tuple[type[DomainEvent], ...] = (EffectsDelivered,)
DeliveryEvent = EffectsDelivered


class Delivery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How far a recipient is, and how much it was handed in all."""

    position: int = 0
    count: int = 0


def evolve(state: Delivery | None, record: Recorded[DeliveryEvent]) -> Delivery:
    """Fold one event into the delivery."""
    before = state if state is not None else Delivery()
    return Delivery(position=record.body.position, count=before.count + record.body.count)


def stream(namespace: str, recipient: str) -> Stream:
    """The stream of one recipient in one namespace."""
    return Stream("delivery", derived("delivery", namespace, recipient))
