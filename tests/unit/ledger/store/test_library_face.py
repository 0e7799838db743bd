"""The recorder tests that the event-sourcing library ships, over all three stores."""

import tempfile
from pathlib import Path

import pytest
from eventsourcing.persistence import ApplicationRecorder
from eventsourcing.tests.persistence import ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase

from ledger.store.memory import MemoryStore
from ledger.store.open import open_sqlite
from ledger.store.postgres import PostgresStore


class OverMemory:
    def create_recorder(self) -> ApplicationRecorder:
        return MemoryStore()


class OverSQLite:
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self) -> None:
        self.recorder.close()
        self.folder.cleanup()

    def create_recorder(self) -> ApplicationRecorder:
        self.recorder = open_sqlite(str(Path(self.folder.name) / "ledger.db"))
        return self.recorder


@pytest.mark.usefixtures("in_a_schema")
class OverPostgres:
    url: str

    @pytest.fixture
    def in_a_schema(self, postgres_url: str) -> None:
        self.url = postgres_url

    def tearDown(self) -> None:
        self.recorder.close()

    def create_recorder(self) -> ApplicationRecorder:
        self.recorder = PostgresStore(self.url)
        return self.recorder


class TestRecorderOverMemory(OverMemory, ApplicationRecorderTestCase):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestRecorderOverSQLite(OverSQLite, ApplicationRecorderTestCase):
    pass


class TestRecorderOverPostgres(OverPostgres, ApplicationRecorderTestCase):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestOrderOverMemory(OverMemory, NonInterleavingNotificationIDsBaseCase):
    insert_num = 1000


class TestOrderOverSQLite(OverSQLite, NonInterleavingNotificationIDsBaseCase):
    insert_num = 1000


class TestOrderOverPostgres(OverPostgres, NonInterleavingNotificationIDsBaseCase):
    insert_num = 1000


del ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase
