"""From the ledger's store to the usage store in the same database (architecture §7)."""

from __future__ import annotations

from ledger.metering.memory import MemoryUsageStore
from ledger.metering.store import UsageStore
from ledger.ports import Clock, Probe, no_probe
from ledger.store.memory import MemoryStore
from ledger.store.sqlite import SQLiteStore
from ledger.store.store import Store


def open_usage_store(store: Store, probe: Probe = no_probe, clock: Clock | None = None) -> UsageStore:
    """The usage store beside a ledger's store: same file, same server, or memory; its tables made where missing.

    `clock` is the ledger's: where it was set, usage is stamped with it, else with the database's own clock
    (decision 16). The store's owner closes both. Raises `Unavailable` when the database does not answer.
    """
    if isinstance(store, MemoryStore):
        return MemoryUsageStore(probe, clock)
    if isinstance(store, SQLiteStore):
        from ledger.metering.sqlite import SqliteUsageStore

        return SqliteUsageStore(store.file, probe, clock)

    from ledger.metering.postgres import PostgresUsageStore
    from ledger.store.postgres import PostgresStore

    assert isinstance(store, PostgresStore), f"there is no usage store beside a {type(store).__name__}"
    return PostgresUsageStore(store.database, probe, clock)
