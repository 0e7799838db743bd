"""Whatever is changed behind the ledger's back is found and named: on memory, SQLite and PostgreSQL.

First what is stored: bytes, events, receipts, tables beside them. Then forgeries that are consistent as bytes, chain
and receipts, and mean what cannot be; and last those that only a seal kept elsewhere can tell.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
import pytest

from aggregates.charges.events import ChargeActivated, CreditsGranted, RealizationRunOpened, RunVoidNoted
from aggregates.credits.events import CreditCollected, CreditGranted
from aggregates.customers import CustomerCreated
from aggregates.event import AnyRecorded, DomainEvent
from aggregates.journal.chart import Account
from aggregates.journal.postings import Entry
from aggregates.lifecycle import Status
from aggregates.runs.events import CreditsAllocated, RunFinalized, RunRated, VoidReason
from aggregates.values.errors import HistoryBroken
from aggregates.values.totals import Totals
from ledger import Ledger
from ledger.audit.checks import CHAINS
from ledger.audit.report import SHOWN, AuditFinding, Progress
from ledger.audit.tables import index_row, keys_held, state_of_rows
from ledger.store import mapper
from ledger.store.store import LogRecord, NewRecord, Receipt, Save, Written
from tests.support.charging import new_purchase
from tests.support.stored import StoredWorld, small_history
from tests.support.tampering import Hands, SqlHands, hands_on, hands_on_store, log_of


class Scene:
    """A small sound history, and hands on its tables."""

    def __init__(self, url: str) -> None:
        self.world = StoredWorld(url)
        self.charges = small_history(self.world)
        self.world.follower.catch_up()
        self.hands: Hands = hands_on(url, self.world)

    @property
    def log(self) -> list[LogRecord]:
        return list(log_of(self.world))

    def receipt_of(self, position: int) -> Receipt:
        row = self.log[position - 1]
        return next(
            receipt
            for receipt in self.world.store.receipts()
            if any((each.stream, each.version) == (row.stream, row.version) for each in receipt.written)
        )

    def close(self) -> None:
        self.hands.close()
        self.world.close()

    def found(self, check: str) -> list[AuditFinding]:
        """What a check objects to, which is at least one thing."""
        findings = [finding for finding in self.world.verify().findings if finding.check == check]
        assert findings, f"{check} found nothing"
        return findings


@pytest.fixture
def scene(store_url: str) -> Iterator[Scene]:
    scene = Scene(store_url)
    yield scene
    scene.close()


def changed_byte(row: LogRecord, digest: bool) -> LogRecord:
    """The row with one letter changed: of the actor's name, so that it still reads as an event."""
    data = row.data.replace(b'"actor":"test"', b'"actor":"tess"')
    assert data != row.data
    return row._replace(data=data, digest=hashlib.sha256(data).digest() if digest else row.digest)


# ── nothing, and what is stored ──────────────────────────────────────────────────────────────────────────────


def test_a_history_nobody_touched_is_sound(scene: Scene) -> None:
    report = scene.world.verify()

    assert report.sound, report.findings
    assert report.position == len(scene.log)
    assert {check.name for check in report.checked if not check.looked_at} == {
        *("seal", "snapshots", "metered", "numbers", "invoices", "invoiced runs", "usage", "usage chunks")
    }


def test_one_changed_byte_is_found_in_every_single_event(scene: Scene) -> None:
    for row in scene.log:
        scene.hands.put_event(changed_byte(row, digest=False))

        (finding,) = scene.world.verify(CHAINS).findings
        assert (finding.check, finding.place) == (
            "bytes",
            f"position {row.position}, stream {row.stream}, version {row.version}",
        )
        assert finding.expected == row.digest.hex()
        assert finding.found != finding.expected

        scene.hands.put_event(row)
    assert scene.world.verify().sound


def test_a_changed_byte_is_found_though_its_digest_was_changed_with_it(scene: Scene) -> None:
    last = {row.stream: row.version for row in scene.log}
    for row in scene.log:
        forged = changed_byte(row, digest=True)
        scene.hands.put_event(forged)

        findings = scene.world.verify(CHAINS).findings
        receipts = [finding for finding in findings if finding.check == "receipts"]
        assert any(row.digest.hex() in f.expected and forged.digest.hex() in f.found for f in receipts), findings
        chains = [finding for finding in findings if finding.check == "chains"]
        assert len(chains) == (0 if row.version == last[row.stream] else 1)
        for chain in chains:
            assert f"stream {row.stream}, version {row.version + 1}" in chain.place
            assert (chain.expected, chain.found) == (forged.digest.hex(), row.digest.hex())

        scene.hands.put_event(row)
    assert scene.world.verify().sound


def test_bytes_that_are_no_event_are_named(scene: Scene) -> None:
    row = scene.log[10]
    scene.hands.put_event(row._replace(data=row.data[:-40]))

    assert f"position {row.position}," in scene.found("bytes")[0].place
    (finding,) = scene.found("events")
    assert finding.place.startswith(f"position {row.position},")
    assert finding.expected == f"a {row.name}"


def test_an_event_of_an_unknown_name_is_named(scene: Scene) -> None:
    row = scene.log[10]
    scene.hands.put_event(row._replace(name="charge.invented.v1"))

    assert [finding.found for finding in scene.found("events")] == ["charge.invented.v1"]


def test_an_event_that_belongs_elsewhere_is_named(scene: Scene) -> None:
    row, other = scene.log[10], scene.log[30]
    scene.hands.put_event(row._replace(data=other.data, name=other.name, digest=other.digest))

    (finding,) = scene.found("events")
    assert (finding.expected, finding.found) == (str(row.stream), str(other.stream))


def test_an_entry_that_no_longer_balances_is_named(scene: Scene) -> None:
    row = next(row for row in scene.log if row.name == CreditGranted.NAME)
    data = row.data.replace(b'"amount":"-10.00"', b'"amount":"-11.00"', 1)
    scene.hands.put_event(row._replace(data=data, digest=hashlib.sha256(data).digest()))

    (finding,) = scene.found("events")
    assert "sum to zero" in finding.found


@pytest.mark.parametrize("which", ["first", "middle", "last"])
def test_a_deleted_event_is_found(scene: Scene, which: str) -> None:
    log = scene.log
    position = {"first": 1, "middle": 40, "last": len(log)}[which]
    row = log[position - 1]
    scene.hands.delete_event(position)

    findings = scene.found("receipts")
    event = f"stream {row.stream}, version {row.version}"
    assert any(event in finding.expected and event not in finding.found for finding in findings), findings
    assert scene.world.verify().found > 0


def test_the_last_save_deleted_whole_is_found_by_its_receipt(scene: Scene) -> None:
    log = scene.log
    for row in log:
        if row.last == log[-1].last:
            scene.hands.delete_event(row.position)

    assert {finding.message for finding in scene.found("receipts")} == {"event is gone or changed"}


def test_an_event_in_the_place_of_another_version_is_found(scene: Scene) -> None:
    row = next(row for row in reversed(scene.log) if row.version > 1)
    scene.hands.put_event(row._replace(version=row.version + 5))

    assert scene.found("chains")[0].expected == str(row.version)


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deleted_receipt_is_found(scene: Scene) -> None:
    receipt = scene.receipt_of(20)
    scene.hands.delete_receipt(receipt)

    (finding,) = scene.found("receipts")
    assert finding.message == "nobody vouches for a save"


@pytest.mark.parametrize(
    "change",
    [{"fingerprint": "11" * 32}, {"answer": msgspec.Raw(b'{"charge":"another"}')}, {"unit": "another"}],
    ids=["fingerprint", "answer", "unit"],
)
def test_a_changed_receipt_is_found(scene: Scene, change: dict[str, Any]) -> None:
    receipt = scene.receipt_of(20)
    scene.hands.put_receipt(msgspec.structs.replace(receipt, **change, digest=receipt.digest))

    (finding,) = scene.found("receipts")
    assert finding.message == "receipt is not what was hashed"
    assert str(receipt.command_id) in finding.place


def test_a_receipt_whose_digest_was_emptied_is_found(scene: Scene) -> None:
    receipt = scene.receipt_of(20)
    scene.hands.put_receipt(msgspec.structs.replace(receipt, fingerprint="11" * 32, digest=""))

    assert scene.found("receipts")


@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
def test_a_receipt_that_vouches_for_other_events_is_found_though_it_was_hashed_anew(scene: Scene, place: int) -> None:
    receipt = scene.receipt_of(20)
    written = list(receipt.written)
    event = written[place]
    written[place] = Written(event.stream, event.version, "00" * 32)
    scene.hands.put_receipt(msgspec.structs.replace(receipt, written=tuple(written), digest=None))

    (finding,) = scene.found("receipts")
    assert "00" * 32 in finding.expected
    assert event.digest in finding.found


def test_a_receipt_that_leaves_an_event_out_is_found(scene: Scene) -> None:
    receipt = scene.receipt_of(20)
    scene.hands.put_receipt(msgspec.structs.replace(receipt, written=receipt.written[:-1], digest=None))

    (finding,) = scene.found("receipts")
    assert (finding.expected, finding.message) == ("nothing", "receipt and events differ")


@pytest.mark.parametrize("change", [{"fingerprint": "11" * 32}, {"answer": msgspec.Raw(b'{"customer":"other"}')}])
def test_a_command_is_not_answered_from_a_changed_receipt(store_url: str, change: dict[str, Any]) -> None:
    with Ledger.open(store_url) as ledger:
        ledger.customers.create("acme", command_id="once")
        receipt = list(ledger.store.receipts())[-1]
        hands = hands_on_store(store_url, ledger.store)
        hands.put_receipt(msgspec.structs.replace(receipt, **change, digest=receipt.digest))
        hands.close()

        with pytest.raises(HistoryBroken):
            ledger.customers.create("acme", command_id="once")


# ── what is kept beside the events ───────────────────────────────────────────────────────────────────────────


def test_a_changed_row_of_the_charge_index_is_found(scene: Scene) -> None:
    charge = scene.charges["usage"]
    scene.hands.change_index(charge, "status", "active")

    (finding,) = scene.found("charge index")
    assert finding.place == f"charge index, charge {charge}, status"
    assert (finding.expected, finding.found) == ("final", "active")


def test_a_deleted_row_of_the_charge_index_is_found(scene: Scene) -> None:
    scene.hands.delete_index(scene.charges["usage"])

    (finding,) = scene.found("charge index")
    assert finding.found == "nothing"


@pytest.mark.parametrize("ordinal", [7, 1_000_000])
def test_an_invented_row_of_the_charge_index_is_found(scene: Scene, ordinal: int) -> None:
    store = scene.world.store
    invented = next(store.charge_index())._replace(charge=UUID(int=7), ordinal=ordinal)
    store.replace_inline([*store.charge_index(), invented], list(store.reservations()))

    (finding,) = scene.found("charge index")
    assert str(invented.charge) in finding.place
    assert finding.expected == "nothing"


def test_an_invented_reservation_is_found(scene: Scene) -> None:
    store = scene.world.store
    invented = next(store.reservations())._replace(key="invented")
    store.replace_inline(list(store.charge_index()), [*store.reservations(), invented])

    (finding,) = scene.found("reservations")
    assert "'invented'" in finding.place
    assert (finding.expected, finding.found) == ("nothing", str(invented.owner))


def test_a_reservation_that_changed_hands_is_found(scene: Scene) -> None:
    scene.hands.change_reservation("january", scene.charges["bought"])

    (finding,) = scene.found("reservations")
    assert "'january'" in finding.place
    assert (finding.expected, finding.found) == (str(scene.charges["usage"]), str(scene.charges["bought"]))


def test_a_deleted_reservation_is_found(scene: Scene) -> None:
    scene.hands.delete_reservation("january")

    (finding,) = scene.found("reservations")
    assert (finding.expected, finding.found) == (str(scene.charges["usage"]), "nothing")


def test_a_changed_view_is_found_with_row_and_column(scene: Scene) -> None:
    scene.hands.change_view("charges", "status", "created")

    findings = scene.found("views")
    assert all(finding.place.startswith("view charges, row ") for finding in findings)
    assert any(finding.place.endswith("column status") for finding in findings)
    assert ("final", "created") in {(finding.expected, finding.found) for finding in findings}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_view_whose_generation_was_deleted_is_found_and_built_anew(kind: str, request: pytest.FixtureRequest) -> None:
    """Its tables are there, and nothing says which is which: opening the ledger does not hide that."""
    url = request.getfixturevalue(f"{kind}_url")
    with Ledger.open(url) as ledger:
        ledger.customers.create("acme")
        ledger.views.customers()
        hands = hands_on_store(url, ledger.store)
        assert isinstance(hands, SqlHands)
        hands.run("DELETE FROM projection_generations WHERE name = ?", "customers")
        hands.close()

    with Ledger.open(url) as ledger:
        (finding,) = ledger.audit.verify().findings
        assert (finding.check, finding.place, finding.message) == ("views", "view customers", "view is gone")
        ledger.projections.rebuild(["customers"])
        assert ledger.audit.verify().sound
        assert [each.customer for each in ledger.views.customers().items] == ["acme"]


def test_a_changed_snapshot_is_found(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.store.repository.SNAPSHOT_INTERVAL", 1)
    scene.world.advance(scene.world.create(new_purchase("5"), at="2026-04-01")[0], at="2026-04-01")
    assert scene.world.verify().sound
    (row,) = scene.world.store.snapshots()
    state = json.loads(row.data)
    next(iter(state["lots"].values()))["balance"] = "1000000"
    scene.hands.change_snapshot(json.dumps(state).encode())

    (finding,) = scene.found("snapshots")
    assert finding.place == f"snapshot of stream {row.stream} at version {row.version}"
    assert "balance" in finding.expected
    assert finding.found.endswith("= 1000000")


# ── forgeries that are consistent in bytes, chains and receipts ──────────────────────────────────────────────

Change = Callable[[AnyRecorded], DomainEvent | None]


def forged(url: str, original: StoredWorld, change: Change) -> StoredWorld:
    """The same history written anew with some bodies changed: every digest, link, receipt and table is right."""
    world = StoredWorld(url)
    heads: dict[UUID, bytes] = {}
    receipts = {receipt.command_id: receipt for receipt in original.store.receipts()}
    saves = [list(rows) for _, rows in groupby(log_of(original), key=lambda row: row.last)]
    for rows in saves:
        new: list[NewRecord] = []
        for row in rows:
            record = mapper.read(row)
            head = heads.get(row.stream)
            body = change(record) or record.body
            data = mapper.encode(msgspec.structs.replace(record, body=body, prev=head.hex() if head else None))
            heads[row.stream] = digest = mapper.digest(data)
            new.append(NewRecord(row.stream, row.version, row.name, data, digest))
        written = tuple(Written(each.stream, each.version, each.digest.hex()) for each in new)
        receipt = receipts[mapper.read(rows[0]).command_id]
        receipt = msgspec.structs.replace(receipt, written=written, digest=None)
        world.store.append(Save(new, receipt), rows[0].log_time)
    born = {row.stream: row.position for row in reversed(log_of(world)) if row.name.startswith("charge.")}
    states = [(state_of_rows(world.store.read_stream(charge)), position) for charge, position in born.items()]
    world.store.replace_inline(
        [index_row(state, position) for state, position in states if state is not None],
        [held for state, _ in states if state is not None for held in keys_held(state)],
    )
    world.follower.catch_up()
    return world


def of(kind: type[DomainEvent], change: Callable[[Any], dict[str, Any]]) -> Change:
    """Change every event of a class."""

    def changed(record: AnyRecorded) -> DomainEvent | None:
        if not isinstance(record.body, kind):
            return None
        return msgspec.structs.replace(record.body, **change(record.body))

    return changed


def more(figures: Totals) -> Totals:
    return msgspec.structs.replace(figures, amount=figures.amount + 1, total=figures.total + 1)


def first_slice(body: CreditCollected) -> dict[str, Any]:
    first, *others = body.slices
    return {
        "slices": (msgspec.structs.replace(first, amount=first.amount + 1), *others),
        "requested": body.requested + 1,
    }


def doubled(body: CreditCollected) -> dict[str, Any]:
    """Twice as much credit taken, in decision and postings alike."""

    def twice(entry: Entry) -> Entry:
        return msgspec.structs.replace(entry, amount=entry.amount * 20)

    return {
        "requested": body.requested * 20,
        "shortfall": body.shortfall * 20,
        "slices": tuple(msgspec.structs.replace(one, amount=one.amount * 20) for one in body.slices),
        "transactions": tuple(
            msgspec.structs.replace(each, entries=tuple(map(twice, each.entries))) for each in body.transactions
        ),
    }


def backwards(body: CreditCollected) -> dict[str, Any]:
    """Value that flows from one charge's accrued into itself: balanced, and no rule of the journal permits it."""
    first, *others = body.transactions
    entries = tuple(msgspec.structs.replace(entry, account=Account.WASH) for entry in first.entries)
    return {"transactions": (msgspec.structs.replace(first, entries=entries), *others)}


def other_allocation(body: CreditsAllocated) -> dict[str, Any]:
    first, *others = body.allocations
    return {"allocations": (msgspec.structs.replace(first, amount=first.amount + 1), *others)}


FORGERIES: list[tuple[str, Change]] = [
    ("runs", of(RunRated, lambda body: {"totals": more(body.totals)})),
    ("runs", of(RunFinalized, lambda body: {"totals": more(body.totals)})),
    ("postings", of(CreditCollected, first_slice)),
    ("postings", of(CreditGranted, lambda body: {"amount": body.amount + 1})),
    ("transactions", of(CreditCollected, backwards)),
    ("balances", of(CreditCollected, doubled)),
    ("together", of(CreditsAllocated, other_allocation)),
    ("together", of(CreditsGranted, lambda body: {"amount": body.amount + 1})),
    ("together", of(RunVoidNoted, lambda body: {"reason": VoidReason.CHARGE_DELETED})),
    ("run index", of(RealizationRunOpened, lambda body: {"collection_end": body.service_period_to})),
    (
        "statuses",
        of(ChargeActivated, lambda body: {"moved": msgspec.structs.replace(body.moved, status_from=Status.FINAL)}),
    ),
]


@pytest.mark.parametrize(("check", "change"), FORGERIES, ids=[f"{check}-{n}" for n, (check, _) in enumerate(FORGERIES)])
def test_a_consistent_forgery_is_found_by_what_it_means(check: str, change: Change) -> None:
    original = Scene("memory:")
    report = forged("memory:", original.world, change).verify()

    stored = {"positions", "bytes", "chains", "receipts", "events"}
    assert not stored & {finding.check for finding in report.findings}, report.findings
    findings = [finding for finding in report.findings if finding.check == check]
    assert findings, report.findings
    assert all("stream" in finding.place for finding in findings)


def test_a_history_written_anew_without_changes_is_sound() -> None:
    original = Scene("memory:")

    report = forged("memory:", original.world, lambda record: None).verify(seal=original.world.verify().seal)

    assert report.sound, report.findings


def test_a_forgery_that_means_something_possible_is_found_by_a_seal_kept_elsewhere() -> None:
    original = Scene("memory:")
    seal = original.world.verify().seal
    renamed = forged("memory:", original.world, of(CustomerCreated, lambda body: {"name": "Somebody Else"}))
    assert renamed.verify().sound

    (finding,) = renamed.verify(seal=seal).findings
    assert finding.check == "seal"
    assert seal is not None
    assert seal.digest in finding.expected


def test_a_log_cut_short_together_with_its_receipts_is_found_by_a_seal_kept_elsewhere(store_url: str) -> None:
    scene = Scene(store_url)
    seal = scene.world.verify().seal
    last = scene.log[-1].last
    scene.hands.delete_receipt(scene.receipt_of(last))
    for row in [row for row in scene.log if row.last == last]:
        scene.hands.delete_event(row.position)

    (finding,) = [each for each in scene.world.verify(seal=seal).findings if each.check == "seal"]
    assert finding.place == f"position {last}"
    scene.close()


def test_a_seal_still_holds_when_the_log_has_grown(scene: Scene) -> None:
    seal = scene.world.verify().seal
    scene.world.create(new_purchase("5"), at="2026-04-01")

    report = scene.world.verify(seal=seal)

    assert report.sound
    assert report.seal != seal


# ── the report ───────────────────────────────────────────────────────────────────────────────────────────────


def test_all_findings_are_counted_and_the_first_ones_shown() -> None:
    scene = Scene("memory:")
    for row in scene.log:
        scene.hands.put_event(changed_byte(row, digest=False))

    report = scene.world.verify()

    assert not report.sound
    assert report.found == len(scene.log)
    assert len(report.findings) == SHOWN
    assert [f.place.partition(",")[0] for f in report.findings[:2]] == ["position 1", "position 2"]


def test_progress_is_told_up_to_the_end() -> None:
    scene = Scene("memory:")
    told: list[Progress] = []

    scene.world.verify(progress=told.append)

    assert [step for step in told if step.stage == "log"][-1] == Progress("log", len(scene.log), len(scene.log))
    assert list(dict.fromkeys(step.stage for step in told)) == ["log", "pools", "charges", "tables"]
    assert all(step.done <= step.total for step in told)
