"""What a URL may name, and what is said about one that names something else."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest

from aggregates.values.errors import InvalidCommand, Unavailable, ValidationFailed
from ledger.store.memory import MemoryStore
from ledger.store.open import open_store
from ledger.store.sqlite import SQLiteStore
from ledger.store.store import Save
from tests.unit.ledger.store.stores import NOON, opened, records, whole_log


def refused(url: str) -> tuple[str, str]:
    """The code and the sentence with which a URL is refused."""
    with pytest.raises(ValidationFailed) as refusal:
        open_store(url)
    assert isinstance(refusal.value, InvalidCommand)
    return refusal.value.codes[0], str(refusal.value)


@pytest.mark.parametrize(
    "url", ["", "ledger.db", "mysql://host/db", "sqlite:ledger.db", "sqlite://ledger.db", "sqlite:///", "memory:x"]
)
def test_a_url_that_names_no_store_is_refused_with_those_that_do(url: str) -> None:
    code, sentence = refused(url)

    assert code == "store_url"
    assert all(known in sentence for known in ("memory:", "sqlite:///", "postgresql://"))


def test_a_relative_and_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///here.db", f"sqlite:///{tmp_path}/there.db", f"sqlite:///{quote('a b#c.db')}"):
        with opened(url) as store:
            assert isinstance(store, SQLiteStore)

    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["a b#c.db", "here.db", "there.db"]


def test_memory_is_a_store_of_its_own_each_time() -> None:
    with opened("memory:") as one, opened("memory:") as two:
        one.append(Save(records(uuid4(), 1)), NOON)

        assert isinstance(two, MemoryStore)
        assert two.head() == 0


def test_what_was_stored_is_there_when_the_store_is_opened_again(store_url: str) -> None:
    if store_url == "memory:":
        return  # gone with the process, as its name says
    stream = uuid4()
    with opened(store_url) as store:
        store.append(Save(records(stream, 1, 2)), NOON)
    with opened(store_url) as store:
        assert whole_log(store) == [(1, stream, 1), (2, stream, 2)]


def test_many_may_open_a_new_store_at_once(store_url: str) -> None:
    failures: list[BaseException] = []

    def use() -> None:
        try:
            with opened(store_url) as store:
                store.append(Save(records(uuid4(), 1)), NOON)
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with opened(store_url) as store:
        assert store.head() == (0 if store_url == "memory:" else 8)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert refused(f"sqlite:///{tmp_path}")[0] == "store_is_a_directory"


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert refused(f"sqlite:///{tmp_path}/missing/ledger.db")[0] == "store_folder_missing"
    assert not (tmp_path / "missing").exists()


def test_a_file_of_something_else_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look at " * 100)
    before = path.read_bytes()

    code, sentence = refused(f"sqlite:///{path}")

    assert code == "store_is_not_a_ledger"
    assert str(path) in sentence
    assert path.read_bytes() == before


def test_a_database_of_something_else_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as shop:
        shop.execute("CREATE TABLE orders (id INTEGER)")
    shop.close()
    before = path.read_bytes()

    assert refused(f"sqlite:///{path}")[0] == "store_is_not_a_ledger"
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()

    with opened(f"sqlite:///{path}") as store:
        assert store.head() == 0


def test_tables_of_another_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with opened(f"sqlite:///{path}"):
        pass
    with sqlite3.connect(path) as later:
        later.execute("UPDATE ledger_meta SET value = '7' WHERE key = 'schema'")
    later.close()

    code, sentence = refused(f"sqlite:///{path}")

    assert code == "store_version_unknown"
    assert "version 7" in sentence


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """Root may write everywhere, so this is tried as somebody who may not."""
    path = tmp_path / "ledger.db"
    with opened(f"sqlite:///{path}"):
        pass
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    program = (
        "import os, sys\n"
        "from ledger.store.open import open_store\n"
        "from aggregates.values.errors import ValidationFailed\n"
        "if os.geteuid() == 0:\n"
        "    os.setuid(65534)\n"
        "try:\n"
        "    open_store(sys.argv[1])\n"
        "except ValidationFailed as refused:\n"
        "    print(refused.codes[0])\n"
    )
    base = Path(tempfile.gettempdir()).resolve()
    for folder in tmp_path.parents:
        if os.geteuid() == 0 and folder != base and folder.is_relative_to(base):
            folder.chmod(0o755)
    said = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{path}"], capture_output=True, text=True, check=False
    )
    tmp_path.chmod(0o755)

    assert (said.stdout.strip(), said.stderr) == ("store_is_read_only", "")


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_is_not_there_is_unavailable_and_no_password_is_told() -> None:
    with pytest.raises(Unavailable) as gone:
        open_store("postgresql://ledger:topsecret@127.0.0.1:1/ledger")

    assert gone.value.retryable
    assert isinstance(gone.value.__cause__, psycopg.OperationalError)
    assert "topsecret" not in str(gone.value)


def test_a_url_that_the_driver_cannot_read_is_refused() -> None:
    assert refused("postgresql://host:notaport/db?nonsense=1")[0] == "store_url"


def test_a_search_path_without_a_schema_is_refused(postgres_database: str) -> None:
    assert refused(f"{postgres_database}&options=-csearch_path%3Dnowhere")[0] == "store_schema_missing"


def test_schemas_of_one_database_are_ledgers_of_their_own(postgres_database: str, postgres_url: str) -> None:
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA IF NOT EXISTS "Other Tenant"')
    with (
        opened(postgres_url) as one,
        opened(f"{postgres_database}&options=-csearch_path%3D%22Other%5C%20Tenant%22") as two,
    ):
        one.append(Save(records(uuid4(), 1)), NOON)

        assert (one.head(), two.head()) == (1, 0)


def test_tables_of_something_else_with_our_names_are_refused(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE ledger_events (id int)")

    assert refused(postgres_url)[0] == "store_is_not_a_ledger"


def test_tables_of_another_version_are_refused_on_a_server_too(postgres_url: str) -> None:
    with opened(postgres_url):
        pass
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE ledger_meta SET value = '7' WHERE key = 'schema'")

    assert refused(postgres_url)[0] == "store_version_unknown"
