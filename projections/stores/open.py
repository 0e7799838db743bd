"""From the URL of a store to the tables of its views, which lie in the same database."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from projections.stores.memory import MemoryTables
from projections.stores.sqlite import SqliteTables
from projections.stores.tables import Tables


def open_views(url: str) -> Tables:
    """The tables beside the store of that URL, which has been opened before; the caller closes them."""
    scheme = url.partition(":")[0].lower()
    match scheme:
        case "sqlite":
            return SqliteTables(unquote(urlsplit(url).path[1:]))
        case "postgresql" | "postgres":
            from projections.stores.postgres import PostgresTables

            return PostgresTables(url)
        case _:
            return MemoryTables()
