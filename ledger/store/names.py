"""The registry of stored names: one event class per name, collected from the aggregates' own lists.

Every aggregate ends its events with a tuple `EVENTS`, in a module called `events` or, where the aggregate is one file,
in that file. Names are part of the stored history and have nothing to do with where a class lives (decision 4): a
class may move any day, a name never changes its meaning. A wrong registration is a defect of the program and is
raised when the registry is first asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import aggregates
from aggregates.event import DomainEvent

_STORED_NAME = re.compile(r"[a-z][a-z_]*\.[a-z][a-z_]*\.v[1-9][0-9]*")


@cache
def stored_names() -> Mapping[str, type[DomainEvent]]:
    """Every stored name of today's events and its class, sorted by name."""
    return MappingProxyType(register(_declared()))


def register(classes: Iterable[type[DomainEvent]]) -> dict[str, type[DomainEvent]]:
    """Classes by stored name, sorted. Raises `TypeError` for a name that is malformed, inherited or taken."""
    names: dict[str, type[DomainEvent]] = {}
    for cls in classes:
        name = cls.__dict__.get("NAME", "")
        if not _STORED_NAME.fullmatch(name):
            raise TypeError(f"{cls.__qualname__} has the stored name {name!r}; it must read aggregate.event.vN")
        if cls.__bases__ != (DomainEvent,):
            raise TypeError(f"{cls.__qualname__} must be a direct subclass of DomainEvent: events never inherit")
        if names.setdefault(name, cls) is not cls:
            raise TypeError(f"{name} is the stored name of both {names[name].__qualname__} and {cls.__qualname__}")
    return dict(sorted(names.items()))


def _declared() -> Iterator[type[DomainEvent]]:
    """The classes of all `EVENTS` tuples under `aggregates`."""
    for found in pkgutil.walk_packages(aggregates.__path__, "aggregates."):
        _, _, place = found.name.partition(".")
        if place.endswith(("events", "numbering")) or "." not in place:
            declared: tuple[Any, ...] = getattr(importlib.import_module(found.name), "EVENTS", ())
            yield from declared
