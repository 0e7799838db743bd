"""One schema of a PostgreSQL database: its connections, its tables, and what can be wrong with it.

The schema is the first of the URL's search path that exists (`?options=-csearch_path%3Dtenant1` names another), and
every connection sees that schema alone. Other parts of the product keep tables of their own in it through
`connection` and `transaction`. Sessions have settings, so a pooler in between must pool sessions, not transactions.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from hashlib import md5
from importlib.resources import files
from typing import Any, cast

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row, tuple_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from aggregates.values.errors import Finding, LedgerError, Unavailable, ValidationFailed

SCHEMA_VERSION = 2
CONNECT_SECONDS = 10
POOL_SECONDS = 10.0
POOL_MAX = 10
LOCK_SECONDS = 30

Row = tuple[Any, ...]
Connection = psycopg.Connection[Row]

_WHERE = "SELECT current_schema(), current_setting('server_encoding')"
_SETTINGS = (
    "SELECT set_config('search_path', quote_ident(%s), false), set_config('timezone', 'UTC', false),"
    " set_config('lock_timeout', %s, false)"
)
_PREPARE_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('ledger_meta ' || current_schema(), 0))"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"


class PostgresDatabase(PostgresDatastore):
    """The schema behind a store: pooled connections of one kind, errors of our own tree."""

    def __init__(self, url: str) -> None:
        self.conninfo, self.place = _parsed(url)
        self.schema = self._prepare()
        self.channel = "ledger_events_" + md5(self.schema.encode(), usedforsecurity=False).hexdigest()[:16]
        self.originator_id_type = "uuid"
        self.single_row_tracking = True
        self.enable_db_functions = False
        self.lock_timeout = LOCK_SECONDS
        self.pool_open_timeout = None
        self.db_type_names: set[str] = set()
        self.psycopg_type_adapters = {}
        self.psycopg_python_types = {}
        self.pool = cast(
            "Any",
            ConnectionPool(
                self.conninfo,
                connection_class=psycopg.Connection[Row],
                kwargs={"autocommit": True, "row_factory": tuple_row},
                min_size=1,
                max_size=POOL_MAX,
                open=True,
                configure=self._configure,
                timeout=POOL_SECONDS,
                name="ledger",
            ),
        )

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> Connection:
        """A new connection of our kind, in autocommit mode. The caller closes it. Raises `Unavailable`."""
        with self.translated():
            connection = psycopg.connect(self.conninfo, autocommit=True, row_factory=tuple_row)
            try:
                self._configure(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    @contextmanager
    def connection(self) -> Generator[Connection, None, None]:
        """A pooled connection in autocommit mode, rows as tuples; errors of the database as errors of ours."""
        with self.translated(), self.pool.connection() as connection:
            yield cast("Connection", connection)

    @contextmanager
    def transaction(self, *, commit: bool = True) -> Generator[Any, None, None]:
        """A pooled connection in a transaction: committed at the end, or rolled back.

        Without `commit` it is rolled back in any case: a snapshot to read in.
        """
        with self.connection() as connection, connection.transaction(force_rollback=not commit):
            yield connection

    def query(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """The rows of a statement that only reads; a connection that the server dropped meanwhile is replaced."""
        try:
            return self._query(statement, values)
        except Unavailable as unavailable:
            if not isinstance(unavailable.__cause__, psycopg.OperationalError | psycopg.InterfaceError):
                raise
        with self.translated():
            self.pool.check()
        return self._query(statement, values)

    def _query(self, statement: str, values: Sequence[object]) -> list[Row]:
        with self.connection() as connection:
            return connection.execute(statement.encode(), values, prepare=True, binary=True).fetchall()

    def rows(self, statement: str) -> Iterator[Row]:
        """The rows of a long answer as they come, all of one snapshot."""
        with self.transaction(commit=False) as connection, connection.cursor("ledger_rows", binary=True) as cursor:
            cursor.itersize = 2_000
            yield from cursor.execute(statement)

    @contextmanager
    def get_connection(self) -> Generator[psycopg.Connection[DictRow], None, None]:
        """The same for the recorders of the library: rows with names, errors of its own tree."""
        with super().get_connection() as connection:
            connection.row_factory = dict_row
            try:
                yield connection
            finally:
                connection.row_factory = cast("Any", tuple_row)

    def register_type_adapters(self) -> None:
        """The library's composite types are not used here."""

    def _configure(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(_SETTINGS, (self.schema, f"{LOCK_SECONDS}s"))

    # ── tables ───────────────────────────────────────────────────────────────────────────────────────────────

    def _prepare(self) -> str:
        """Make the schema a ledger's, or see that it is one; its name. Safe when several processes do it at once."""
        with self.translated(), psycopg.connect(self.conninfo, row_factory=tuple_row) as connection:
            schema, encoding = connection.execute(_WHERE).fetchone() or (None, None)
            if schema is None:
                raise self._refused("store_schema_missing", "has none of the schemas its search path names")
            if encoding != "UTF8":
                raise self._refused("store_encoding", f"is encoded in {encoding}; a ledger needs UTF8")
            connection.execute(_SETTINGS, (schema, f"{LOCK_SECONDS}s"))
            if not self._recognise(connection, schema):
                connection.execute(_PREPARE_LOCK)
                if not self._recognise(connection, schema):  # another process may have been quicker
                    connection.execute(_schema_sql().encode())
                    values = ("product", "ledger", "schema", str(SCHEMA_VERSION))
                    connection.execute("INSERT INTO ledger_meta VALUES (%s, %s), (%s, %s)", values)
            return cast("str", schema)

    def _recognise(self, connection: Connection, schema: str) -> bool:
        """Whether the schema has a ledger's tables; False when it has none. Raises `ValidationFailed` otherwise."""
        ours = {name for (name,) in connection.execute(_TABLES).fetchall() if name.startswith("ledger_")}
        if "ledger_meta" not in ours:
            if ours & {"ledger_events", "ledger_receipts", "ledger_charge_index", "ledger_reservations"}:
                message = f"has tables called {', '.join(sorted(ours))} in schema {schema} that are not a ledger's"
                raise self._refused("store_is_not_a_ledger", message)
            return False
        found = connection.execute("SELECT value FROM ledger_meta WHERE key = 'schema'").fetchone()
        if found != (str(SCHEMA_VERSION),):
            version = found[0] if found else "none"
            message = f"has tables of version {version}, and this program knows version {SCHEMA_VERSION}"
            raise self._refused("store_version_unknown", message)
        return True

    def _refused(self, code: str, message: str) -> ValidationFailed:
        return ValidationFailed((Finding("store", code, f"{self.place} {message}"),))

    # ── errors ───────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def translated(self) -> Generator[None, None, None]:
        """Errors of the database as errors of ours, the cause kept. A broken constraint passes as it is."""
        try:
            yield
        except psycopg.IntegrityError:
            raise
        except (psycopg.Error, PoolTimeout, PoolClosed) as error:
            raise self.error(error) from error

    def error(self, error: Exception) -> LedgerError:
        """What an error of the database means: most pass by themselves, a value or a right that is missing does not."""
        if isinstance(error, psycopg.DataError | psycopg.ProgrammingError | errors.InsufficientPrivilege):
            return self._refused("store_refused", f"refused: {str(error).strip()}")
        return Unavailable(self.place, str(error).strip())


def _parsed(url: str) -> tuple[str, str]:
    """A URL as connection settings, and as a name for it that tells no password."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        message = f"this is no PostgreSQL URL: {str(error).strip()}"
        raise ValidationFailed((Finding("store", "store_url", message),)) from None
    place = f"PostgreSQL database {given.get('dbname', '')!r} at {given.get('host', 'localhost')}"
    return make_conninfo(url, **{"connect_timeout": CONNECT_SECONDS, "application_name": "ledger", **given}), place


def _schema_sql() -> str:
    return files("ledger.store").joinpath("schema_postgres.sql").read_text()
