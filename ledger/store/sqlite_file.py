"""One SQLite file: its connections, its tables, and what can be wrong with it.

Durable as it comes: a write-ahead log with `synchronous = FULL`, so that what was acknowledged survives a power cut.
One thread of a process writes at a time, in transactions that take the file's write lock at their beginning; other
processes wait for it by the busy timeout. Any number read beside the writer, each in its own snapshot.

Other parts of the product keep tables of their own in the same file through `reading` and `writing`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from threading import RLock

from eventsourcing.sqlite import SQLiteCursor, SQLiteDatastore

from aggregates.values.errors import Finding, HistoryBroken, LedgerError, Unavailable, ValidationFailed

SCHEMA_VERSION = 2
BUSY_SECONDS = 10.0
IDLE_READERS = 16

_NOT_A_DATABASE = sqlite3.SQLITE_NOTADB
_DAMAGED = sqlite3.SQLITE_CORRUPT
_READ_ONLY = sqlite3.SQLITE_READONLY
_WRITE_PROTECTED = ("store_is_read_only", "cannot be written; check the rights of file and folder")


class SQLiteFile(SQLiteDatastore):
    """The file behind a store: connections of one kind, one writer at a time, errors of our own tree."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.originator_id_type = "uuid"
        self.single_row_tracking = True
        self._write_lock = RLock()
        self._writer: sqlite3.Connection | None = None
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> sqlite3.Connection:
        """A new connection with the pragmas all of ours have, in autocommit mode. The caller closes it."""
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            connection.close()  # a file that is no database, say
            raise
        return connection

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection, None, None]:
        """A connection for reading, back in the pool afterwards. Raises `Unavailable` or `HistoryBroken`."""
        with self.translated():
            self._check_open()
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self.connect()
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.rollback()
                if self._closed or len(self._idle) >= IDLE_READERS:
                    connection.close()
                else:
                    self._idle.append(connection)

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection, None, None]:
        """A transaction that holds the write lock from its beginning: committed at the end, or rolled back."""
        with self._write_lock, self.translated():
            self._check_open()
            connection = self._writer
            if connection is None:
                connection = self._writer = self.connect()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def transaction(self, *, commit: bool) -> Generator[SQLiteCursor, None, None]:
        """The same for the recorders of the library, whose rows have names."""
        with self.writing() if commit else self.reading() as connection:
            cursor = connection.cursor()
            cursor.row_factory = sqlite3.Row
            yield SQLiteCursor(cursor)

    def close(self) -> None:
        """Close all connections that are not in use. A second call does nothing."""
        self._closed = True
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(str(self.path), "this store has been closed")

    # ── tables ───────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> None:
        """Make the file a ledger's, or see that it is one. Safe when several processes do it at once.

        Raises `ValidationFailed`, naming the file, when it is a directory, somebody else's, or cannot be written.
        """
        if self.path.is_dir():
            raise self._refused("store_is_a_directory", "is a directory; name a file in it, like ledger.db")
        if not self.path.parent.is_dir():
            raise self._refused("store_folder_missing", "cannot be created: its folder does not exist")
        if not all(os.access(place, os.W_OK) for place in (self.path, self.path.parent) if place.exists()):
            raise self._refused(*_WRITE_PROTECTED)
        try:
            self._prepare()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CANTOPEN:
                raise self._refused("store_cannot_be_opened", f"cannot be opened: {error}") from error
            raise self.error(error) from error
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF == _NOT_A_DATABASE:
                raise self._refused(
                    "store_is_not_a_ledger", "is not an SQLite database; it was left as it is"
                ) from error
            raise self.error(error) from error

    def _prepare(self) -> None:
        connection = self.connect()
        try:
            known = self._recognise(connection)  # before anything of the file is changed
            _use_write_ahead_log(connection)
            if known:
                return
            connection.execute("BEGIN IMMEDIATE")
            if not self._recognise(connection):  # another process may have been quicker
                for statement in _statements():
                    connection.execute(statement)
                meta = [("product", "ledger"), ("schema", str(SCHEMA_VERSION))]
                connection.executemany("INSERT INTO ledger_meta VALUES (?, ?)", meta)
            connection.execute("COMMIT")
        finally:
            connection.close()

    def _recognise(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is a ledger's; False for an empty one. Raises `ValidationFailed` for anybody else's."""
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return False
        if "ledger_meta" not in tables:
            raise self._refused(
                "store_is_not_a_ledger", "is an SQLite database of something else; it was left as it is"
            )
        meta: dict[str, str] = dict(connection.execute("SELECT key, value FROM ledger_meta"))
        if meta.get("schema") != str(SCHEMA_VERSION):
            found = meta.get("schema", "none")
            message = f"has tables of version {found}, and this program knows version {SCHEMA_VERSION}"
            raise self._refused("store_version_unknown", message)
        return True

    def _refused(self, code: str, message: str) -> ValidationFailed:
        return ValidationFailed((Finding("store", code, f"{self.path} {message}"),))

    # ── errors ───────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def translated(self) -> Generator[None, None, None]:
        """Errors of the database as errors of ours, the cause kept. A broken constraint passes as it is."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise self.error(error) from error

    def error(self, error: sqlite3.Error) -> LedgerError:
        """What an error of the database means: a damaged file is broken history, all else may pass."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {_DAMAGED, _NOT_A_DATABASE}:
            return HistoryBroken(str(self.path), "an intact database", str(error))
        if code == _READ_ONLY:
            return self._refused(*_WRITE_PROTECTED)
        return Unavailable(str(self.path), str(error))


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch once for all; two processes that do it at once do not wait for each other by themselves."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _statements() -> Iterator[str]:
    """The statements of the schema, one by one: a script would commit the transaction it is in."""
    statement = ""
    for line in files("ledger.store").joinpath("schema_sqlite.sql").read_text().splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
