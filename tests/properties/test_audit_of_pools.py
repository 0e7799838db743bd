"""The audit objects to nothing that a pool really decides, over random histories; and to any amount changed in them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.credits.events import CreditCollected
from aggregates.event import AnyRecorded
from aggregates.journal.postings import Entry
from ledger.audit.balances import Balances
from ledger.audit.check import Evidence, Seen
from ledger.audit.postings import Postings, Transactions
from ledger.audit.report import AuditFinding
from ledger.domain import AGGREGATES
from ledger.store import mapper
from ledger.store.follow import Follower
from ledger.store.memory import MemoryStore
from ledger.store.repository import Repository
from ledger.store.store import LogRecord
from projections.stores.memory import MemoryTables
from tests.properties.test_credit_pool import commands, played


def objections(records: list[AnyRecorded]) -> list[AuditFinding]:
    """What the checks of the journal say to a pool."""
    store = MemoryStore()
    evidence = Evidence(Repository(store, AGGREGATES), Follower(store, MemoryTables(), ()))
    each_save = (Transactions(evidence), Postings(evidence))
    whole = Balances(evidence)
    for position, record in enumerate(records, start=1):
        data = mapper.encode(record)
        row = LogRecord(
            *(position, record.stream, record.version, record.body.NAME, data),
            *(mapper.digest(data), record.recorded_at, position),
        )
        for check in each_save:
            check.page([Seen(row, mapper.read(row))])
    if records:
        whole.pool(records[0].stream, records)
    return [finding for check in (*each_save, whole) for finding in check.tally.findings]


@given(commands)
@settings(max_examples=60)
def test_nothing_is_said_against_what_a_pool_decides(history: list[Any]) -> None:
    book, _ = played(history)

    assert objections(book.records) == []


@given(commands, st.data())
@settings(max_examples=60)
def test_any_amount_changed_in_a_collection_is_objected_to(history: list[Any], data: st.DataObject) -> None:
    """A unit more on one leg and less on the other: balanced, and not what was decided."""
    book, _ = played(history)
    places = [
        (number, ordinal)
        for number, record in enumerate(book.records)
        if isinstance(record.body, CreditCollected)
        for ordinal in range(len(record.body.transactions))
    ]
    if not places:
        return
    number, ordinal = data.draw(st.sampled_from(places))
    record = book.records[number]
    changed = list(record.body.transactions)
    first, second, *others = changed[ordinal].entries
    entries = (_more(first, Decimal("0.01")), _more(second, Decimal("-0.01")), *others)
    if first.route == second.route and first.account is second.account:
        return  # two legs of one address: nothing changed
    changed[ordinal] = msgspec.structs.replace(changed[ordinal], entries=entries)
    body = msgspec.structs.replace(record.body, transactions=tuple(changed))
    records = [*book.records]
    records[number] = msgspec.structs.replace(record, body=body)

    assert objections(records)


def _more(entry: Entry, amount: Decimal) -> Entry:
    return msgspec.structs.replace(entry, amount=entry.amount + amount)
