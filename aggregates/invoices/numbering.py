"""Numbers of documents: gapless within a series, drawn at issue and never before (decision 31).

A series is a stream of its own whose events are the numbers drawn, so the version of the stream is the sequence. A
number exists exactly when its document does, because both are events of one save: a save that is lost takes its
number with it, and the next one draws the same again.

Two issues of one series do contend, as gapless numbers must; nothing else does. Drafting, collecting, paying and
crediting (which has a series of its own) never touch this stream. Where that is still too much, a series per
customer is as gapless, and no two customers meet: the series' key is the caller's choice.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from aggregates.event import DomainEvent, Recorded, Stream
from aggregates.invoices.documents import Number
from aggregates.invoices.lines import Part
from aggregates.outcome import Draft
from aggregates.values.identifiers import derived


class DocumentKind(StrEnum):
    """What is numbered."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class NumberDrawn(DomainEvent, frozen=True, kw_only=True):
    """A number was given to a document; `document` is the id of the invoice or of the credit note."""

    NAME: ClassVar[str] = "number_series.number_drawn.v1"
    number: Number
    kind: DocumentKind
    document: UUID


EVENTS: tuple[type[DomainEvent], ...] = (NumberDrawn,)
NumberSeriesEvent = NumberDrawn


class NumberSeries(Part, frozen=True, kw_only=True):
    """How far a series is."""

    key: str
    last: int


def evolve(state: NumberSeries | None, record: Recorded[NumberSeriesEvent]) -> NumberSeries:
    """Fold one event into the series."""
    number = record.body.number
    return NumberSeries(key=number.series, last=number.sequence)


def fold(state: NumberSeries | None, records: Iterable[Recorded[NumberSeriesEvent]]) -> NumberSeries | None:
    """Fold many events, oldest first."""
    for record in records:
        state = evolve(state, record)
    return state


def stream(namespace: str, series: str) -> Stream:
    """The stream of a series."""
    return Stream("number_series", derived("number_series", namespace, series))


def draw(draft: Draft, series: str, kind: DocumentKind, document: UUID) -> Number:
    """Draw the next number of a series for a document: `INV-000001`, `INV-000002`, and so on.

    The series has to be in hand: one that is not read could hand out a number twice.
    """
    place = stream(draft.origin.namespace, series)
    assert draft.holds(place.id), f"the series {series} has to be in hand before a number is drawn"
    state: NumberSeries | None = draft.state(place.id)
    sequence = (state.last if state else 0) + 1
    number = Number(series=series, sequence=sequence, text=f"{series}-{sequence:06d}")
    draft.emit(place, NumberDrawn(number=number, kind=kind, document=document))
    return number
