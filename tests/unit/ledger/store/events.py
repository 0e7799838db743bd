"""Events of a made-up aggregate, for tests of how events are stored."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from aggregates.event import DomainEvent, Recorded


class ParcelSent(DomainEvent, kw_only=True, frozen=True):
    """A parcel was sent."""

    NAME: ClassVar[str] = "parcel.sent.v3"

    recipient: str
    weight_grams: Decimal
    insured: bool = False


class ParcelSentV2(DomainEvent, kw_only=True, frozen=True):
    """As it was: the recipient's name was called `name`."""

    NAME: ClassVar[str] = "parcel.sent.v2"

    name: str
    weight_grams: Decimal


class ParcelSentV1(DomainEvent, kw_only=True, frozen=True):
    """As it was at first: weights in kilograms."""

    NAME: ClassVar[str] = "parcel.sent.v1"

    name: str
    weight: Decimal


def recorded(body: DomainEvent, version: int = 1) -> Recorded[Any]:
    moment = datetime(2025, 1, 1, 12, 0, 0, 5, tzinfo=UTC)
    return Recorded(
        stream=UUID(int=1),
        version=version,
        namespace="default",
        customer="acme",
        at=moment,
        recorded_at=moment,
        command_id=UUID(int=2),
        causation_id=UUID(int=2),
        correlation_id=UUID(int=2),
        actor="tests",
        prev="ab" * 32 if version > 1 else None,
        body=body,
    )
