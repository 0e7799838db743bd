"""From a URL to a store."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from aggregates.values.errors import Finding, ValidationFailed
from ledger.store.memory import MemoryStore
from ledger.store.sqlite import SQLiteStore
from ledger.store.store import Store

_ACCEPTED = 'use "memory:", "sqlite:///relative.db", "sqlite:////absolute/path.db" or "postgresql://user@host/database"'


def open_store(url: str) -> Store:
    """The store that a URL names, its tables made where they are missing. The caller closes it.

    Raises `ValidationFailed` for a URL it does not know, and for a file or database that is somebody else's or cannot
    be written; `Unavailable` when a server does not answer.

    >>> open_store("memory:").head()
    0
    """
    scheme, _, rest = url.partition(":")
    match scheme.lower():
        case "memory" if rest in {"", "//"}:
            return MemoryStore()
        case "sqlite" if rest.startswith("///") and len(rest) > 3:
            return open_sqlite(_sqlite_path(url))
        case "postgresql" | "postgres" if rest.startswith("//"):
            from ledger.store.postgres import PostgresStore

            return PostgresStore(url)
        case _:
            raise ValidationFailed((Finding("store", "store_url", f"{url!r} names no store: {_ACCEPTED}"),))


def sqlite_path(url: str) -> str | None:
    """The file that an SQLite URL names, None for every other URL."""
    return _sqlite_path(url) if url.lower().startswith("sqlite:///") and len(url) > len("sqlite:///") else None


def open_sqlite(path: str) -> SQLiteStore:
    """The store in an SQLite file, made where it is missing."""
    store = SQLiteStore(path)
    store.create_table()
    return store


def _sqlite_path(url: str) -> str:
    """`sqlite:///data/x.db` is `data/x.db` here, `sqlite:////data/x.db` is `/data/x.db`."""
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        message = f"{url!r} has a {'?' if parts.query else '#'} part; write %3F or %23 for these characters in a path"
        raise ValidationFailed((Finding("store", "store_url", message),))
    return unquote(parts.path[1:])
