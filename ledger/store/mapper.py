"""Events to bytes and back: JSON that an operator can read, written once and hashed as it is stored.

`encode` and `decode` are all the product uses; `EventMapper` is the same behind the event-sourcing library's face.
There is one typed decoder per stored name, so reading a record costs one msgspec call. Decimals are written as plain
text, never with an exponent ("0.0000003", not "3E-7"); unknown fields on read are an error, because they would
be lost in silence (decision 4).
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Cipher, Compressor, Mapper, MapperDeserialisationError, StoredEvent, Transcoder

from aggregates.event import AnyRecorded, DomainEvent, Recorded
from aggregates.values import decimals
from aggregates.values.errors import HistoryBroken
from ledger.store.names import stored_names
from ledger.store.store import LogRecord
from ledger.store.upcasts import UPCASTS, Upcast

_write = msgspec.json.Encoder(decimal_format="string").encode
_PREV = b',"prev":"'
_BODY = b',"body":'
_EXPONENT = re.compile(rb'"-?[0-9.]+E[+-][0-9]+"')

Decode = Callable[[bytes], AnyRecorded]
V = TypeVar("V")


def encode(record: AnyRecorded) -> bytes:
    """The bytes of a record: what is stored, and what is hashed."""
    return encode_value(record)


def encode_value(value: object) -> bytes:
    """JSON of any value of ours (a state for a snapshot, say), decimals as plain text."""
    data = _write(value)
    # An exponent is rare: looking for two bytes is what the common case pays.
    if (b"E-" in data or b"E+" in data) and _EXPONENT.search(data):
        return _write(_plain(msgspec.to_builtins(value, builtin_types=(Decimal,), str_keys=True)))
    return data


def digest(data: bytes) -> bytes:
    """SHA-256 of stored bytes: the next event of the stream links to it, receipts vouch for it."""
    return hashlib.sha256(data).digest()


def link(data: bytes) -> bytes | None:
    """The digest (hex) that an event is linked to, without decoding the event; None where it names none.

    The envelope is written in order and the body last, and a quote within a text is escaped: so the first such key is
    the envelope's own.
    """
    start = data.find(_PREV)
    if start < 0 or data.find(_BODY, 0, start) >= 0:
        return None
    start += len(_PREV)
    return data[start : data.find(b'"', start)]


def decode(name: str, data: bytes) -> AnyRecorded:
    """The record of stored bytes, its body in today's version.

    Raises `HistoryBroken` for a name nobody registered and for bytes that are not such an event: cut short, of
    another shape, or with a field that nobody knows.
    """
    try:
        return _decoders()[name](data)
    except KeyError:
        raise HistoryBroken(f"event {name!r}", "a registered stored name", name) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HistoryBroken(f"event {name}", "bytes of this event", str(error)) from error


def read(row: LogRecord) -> AnyRecorded:
    """The record of a row of the log, which must say itself that it belongs where it was found."""
    try:
        record = decode(row.name, row.data)
    except HistoryBroken as broken:
        place = f"position {row.position}, stream {row.stream} version {row.version}, {broken.place}"
        raise HistoryBroken(place, broken.expected, broken.found) from broken
    if record.version != row.version or record.stream != row.stream:
        raise HistoryBroken(
            f"position {row.position}, event {row.name}",
            f"stream {row.stream} version {row.version}",
            f"stream {record.stream} version {record.version}",
        )
    return record


def decoders(names: Mapping[str, type[DomainEvent]], upcasts: Mapping[str, Upcast] = UPCASTS) -> dict[str, Decode]:
    """One decoder per stored name: today's as they are, earlier ones through their upcasts."""
    known: dict[str, Decode] = {name: _typed(cls) for name, cls in names.items()}
    for name, upcast in upcasts.items():
        if name in names:
            raise TypeError(f"{name} is both a stored name of today and one to be upcast")
        known[name] = _upcasting(_typed(upcast.old), upcasts)
    return known


def _typed(cls: type[DomainEvent]) -> Decode:
    return cast("Decode", msgspec.json.Decoder(Recorded[cls]).decode)  # type: ignore[valid-type]


def _upcasting(read_old: Decode, upcasts: Mapping[str, Upcast]) -> Decode:
    def decode_old(data: bytes) -> AnyRecorded:
        record = read_old(data)
        body: DomainEvent = record.body
        while (step := upcasts.get(body.NAME)) is not None:
            body = step.to_new(body)
        return msgspec.structs.replace(record, body=body)

    return decode_old


def make_ready() -> None:
    """Make the decoders of all events now, in the thread that opens a ledger and before others share it."""
    _decoders()


_known: dict[str, Decode] = {}
_building = threading.Lock()


def _decoders() -> dict[str, Decode]:
    """All decoders, built once by one thread.

    msgspec works out the fields of a type when a decoder first needs them; two threads that do so for one type at
    the same moment crash the interpreter (0.22), so nobody gets a decoder before all of them are complete.
    """
    if not _known:
        with _building:
            if not _known:
                _known.update(decoders(stored_names()))
    return _known


def read_value(data: bytes | msgspec.Raw, type_: type[V]) -> V:
    """A value of ours out of JSON: a state of a snapshot, an answer of a receipt. Raises `msgspec.MsgspecError`.

    Through decoders of which one is built at a time, for the same reason as those of events.
    """
    decode_value = _values.get(type_)
    if decode_value is None:
        with _building:
            decode_value = _values.get(type_)
            if decode_value is None:
                decode_value = _values[type_] = msgspec.json.Decoder(type_).decode
    return cast("V", decode_value(data))


_values: dict[Any, Callable[[bytes | msgspec.Raw], Any]] = {}


def _plain(value: Any) -> Any:
    """The same tree of plain values with every decimal as text without an exponent."""
    if isinstance(value, Decimal):
        return decimals.text(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value


class EventMapper(Mapper[UUID]):
    """The same two functions as a `Mapper`, for stock parts of the library that work with one."""

    def __init__(
        self,
        transcoder: Transcoder | None = None,
        compressor: Compressor | None = None,
        cipher: Cipher | None = None,
    ) -> None:
        if compressor is not None or cipher is not None:
            raise TypeError("stored bytes are hashed as they are: they are neither compressed nor encrypted here")

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """The stored form of a record."""
        record = cast("AnyRecorded", domain_event)
        return StoredEvent(record.stream, record.version, record.body.NAME, encode(record))

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """The record of a stored form. Raises `MapperDeserialisationError`."""
        try:
            record = decode(stored_event.topic, stored_event.state)
        except HistoryBroken as broken:
            raise MapperDeserialisationError(str(broken)) from broken
        return cast("DomainEventProtocol[UUID]", record)
