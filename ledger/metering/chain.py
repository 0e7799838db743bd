"""The chain of a meter's chunks: what each stored, sealed together with the one before.

A chunk leaves a record for each of its meters, though it stored nothing new: how many events, and a digest over all of
them that goes on from the digest of the meter's chunk before. So an event that is gone, was added, or says something
else is noticed, whatever its own fingerprint says, and no chunk can be taken out. Whoever writes a chunk holds the
marks of its meters until it is committed, so the records of a meter are written one after the other: no lock is shared
for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

BEGINNING = b""
"""What stands for the digest before a meter's first chunk."""

_HEAD = Struct(">QqII")
"""Place, time of storing, and how long the source and the id are."""


class ChunkRecord(NamedTuple):
    """What a chunk stored of a meter: how many events, and the digest that leads to all of them and those before."""

    namespace: str
    meter: str
    position: int
    stored: int
    digest: bytes


class Link(NamedTuple):
    """What the chain holds of a stored event: where it stands, when it was stored, who it is, and what it says.

    `stored_at` counts microseconds since 1970.
    """

    place: int
    stored_at: int
    source: str
    id: str
    fingerprint: bytes


def chained(before: bytes, namespace: str, meter: str, position: int, links: Iterable[Link]) -> ChunkRecord:
    """The record of a chunk that goes on from the digest `before`; the links come by place."""
    parts = [before, *(b"%d:%b" % (len(name), name) for name in (namespace.encode(), meter.encode()))]
    parts.append(position.to_bytes(8, "big"))
    stored = 0
    for at, stored_at, source, id_, fingerprint in links:
        whose, which = source.encode(), id_.encode()
        parts += (_HEAD.pack(at, stored_at, len(whose), len(which)), whose, which, fingerprint)
        stored += 1
    return ChunkRecord(namespace, meter, position, stored, sha256(b"".join(parts)).digest())


def records_of(
    befores: Mapping[str, bytes], namespace: str, position: int, stored: Iterable[tuple[str, Link]]
) -> list[ChunkRecord]:
    """The records of one chunk, one for each meter in `befores`; what was stored comes by place, with its meter."""
    links: dict[str, list[Link]] = {meter: [] for meter in befores}
    for meter, link in stored:
        links[meter].append(link)
    return [chained(before, namespace, meter, position, links[meter]) for meter, before in befores.items()]
