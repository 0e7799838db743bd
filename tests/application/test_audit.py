"""The audit of a whole ledger: sound whatever was done to it, told in sentences, exported, and repaired."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from aggregates.charges.state import Charge
from aggregates.policies import Policies
from aggregates.runs.events import RunType
from aggregates.values.errors import ChargeNotFound, CustomerNotFound, RunNotFound
from ledger.facade import Ledger
from tests.application.scenes import at, january_charge, opened, used, with_customer


class Story:
    """January of one customer: 10 granted, 15 and later 4 more used, 100 bought and paid for, voided in March."""

    def __init__(self, url: str) -> None:
        self.ledger: Ledger = opened(url)
        ledger = self.ledger
        with_customer(ledger)
        self.grant = ledger.credits.grant("acme", "10", expires_at="2026-06-01T00:00:00Z")
        self.usage: Charge = january_charge(ledger, unique_reference_id="january")
        used(ledger, "15", "2026-01-15T00:00:00Z")
        at(ledger, "2026-02-01T00:00:00Z")
        ledger.charges.advance("acme")
        used(ledger, "4", "2026-01-20T00:00:00Z")
        at(ledger, "2026-02-04T00:00:00Z")
        ledger.charges.advance("acme")


@pytest.fixture
def story(store_url: str) -> Iterator[Story]:
    story = Story(store_url)
    with story.ledger:
        yield story


def test_a_ledger_that_was_used_is_sound(story: Story) -> None:
    story.ledger.views.balance("acme", "USD")

    report = story.ledger.audit.verify()

    assert report.sound, report.findings
    assert report.position == story.ledger.store.head()
    idle = {check.name for check in report.checked if not check.looked_at}
    assert idle == {"seal", "snapshots", "numbers", "invoices", "invoiced runs"}


def test_an_empty_ledger_is_sound(store_url: str) -> None:
    with opened(store_url) as ledger:
        report = ledger.audit.verify()

    assert report.sound
    assert report.found == 0


def test_chains_alone_are_verified_without_looking_into_events(story: Story) -> None:
    report = story.ledger.audit.verify(chains_only=True)

    assert report.sound
    assert [check.name for check in report.checked] == ["positions", "bytes", "chains", "receipts", "seal"]


def test_the_history_of_a_charge_is_told_with_its_runs_and_its_credit(story: Story) -> None:
    lines = story.ledger.audit.history(charge=story.usage.id)
    told = [line.sentence for line in lines]

    assert [line.position for line in lines] == sorted(line.position for line in lines)
    assert any(": 15 units → 15.00 USD" in sentence for sentence in told)
    assert any(
        sentence.startswith("Collected 15.00 USD for charge")
        and "10.00 from grant" in sentence
        and sentence.endswith("expiring 2026-06-01, 5.00 as advance")
        for sentence in told
    )
    assert "Charge became final" in told


def test_the_history_of_a_purchase_tells_who_used_its_credit(story: Story) -> None:
    told = [line.sentence for line in story.ledger.audit.history(charge=str(story.grant.id))]

    assert told[0] == "Credit purchase 'Credit' created: 10.00 USD"
    assert any(sentence.startswith("Collected 15.00 USD") for sentence in told)


def test_the_history_of_a_run_has_what_charge_and_pool_say_of_it(story: Story) -> None:
    (run,) = story.ledger.charges.runs(story.usage.id)
    names = [line.name for line in story.ledger.audit.history(run=run.id)]

    assert names.count("realization_run.rated.v1") == 2
    assert names.count("credit_pool.credit_collected.v1") == 2
    assert "charge.realization_run_opened.v1" in names
    assert "charge.created.v1" not in names


def test_the_history_of_a_customer_is_all_of_it(story: Story) -> None:
    lines = story.ledger.audit.history(customer="acme")

    assert lines[0].sentence == "Customer acme created; waits P2D for late usage"
    ours = {line.position for line in lines}
    events = story.ledger.store.read_log(0, 1_000)
    assert ours == {row.position for row in events if b'"customer":"acme"' in row.data}


def test_a_history_of_nothing_is_refused(story: Story) -> None:
    audit = story.ledger.audit
    with pytest.raises(ChargeNotFound):
        audit.history(charge=uuid4())
    with pytest.raises(ChargeNotFound):
        audit.history(charge="no id at all")
    with pytest.raises(RunNotFound):
        audit.history(run=story.usage.id)
    with pytest.raises(CustomerNotFound):
        audit.history(customer="nobody")
    with pytest.raises(TypeError):
        audit.history(charge=story.usage.id, customer="acme")


def test_another_namespace_tells_nothing(store_url: str, tmp_path: Path) -> None:
    if store_url == "memory:":
        return  # each opening is a store of its own there
    story = Story(store_url)
    with story.ledger, Ledger.open(store_url, namespace="other") as other:
        with pytest.raises(ChargeNotFound):
            other.audit.history(charge=story.usage.id)
        (run,) = story.ledger.charges.runs(story.usage.id)
        with pytest.raises(RunNotFound):
            other.audit.history(run=run.id)
        assert other.audit.verify().sound


def test_an_export_holds_what_is_needed_to_check_it_elsewhere(story: Story, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"

    count = story.ledger.audit.export(file)

    lines: list[dict[str, Any]] = [json.loads(line) for line in file.read_bytes().splitlines()]
    rows = story.ledger.store.read_log(0, 1_000)
    assert count == len(lines) == len(rows)
    seal = hashlib.sha256(b"".join(bytes.fromhex(line["digest"]) for line in lines))
    report = story.ledger.audit.verify()
    assert report.seal is not None
    assert seal.hexdigest() == report.seal.digest
    for line, row in zip(lines, rows, strict=True):
        assert (line["position"], line["stream"], line["version"]) == (row.position, str(row.stream), row.version)
        assert line["event"] == json.loads(row.data)


def test_inline_tables_are_made_anew_from_the_events(story: Story) -> None:
    store = story.ledger.store
    index, reservations = list(store.charge_index()), list(store.reservations())
    assert index
    assert reservations
    store.replace_inline([], [])
    assert not story.ledger.audit.verify().sound

    repaired = story.ledger.audit.repair_inline()

    assert (repaired.charges, repaired.reservations) == (len(index), len(reservations))
    assert list(store.charge_index()) == index
    assert list(store.reservations()) == reservations
    assert story.ledger.audit.verify().sound


def test_an_audit_is_not_disturbed_by_what_is_written_meanwhile(story: Story) -> None:
    ledger = story.ledger
    stop = threading.Event()
    errors: list[BaseException] = []

    def write() -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                ledger.credits.grant("acme", "1", key=f"gift-{number}")
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test has to know
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        reports = [ledger.audit.verify() for _ in range(8)]
        while ledger.store.head() == reports[0].position and not errors:
            time.sleep(0.01)
        reports.append(ledger.audit.verify())
    finally:
        stop.set()
        writer.join()

    assert not errors
    assert all(report.sound for report in reports), [report.findings for report in reports]
    assert reports[-1].position > reports[0].position


# ── invoices that are under way, and invoices that cannot be corrected ───────────────────────────────────────


def by_invoice(url: str, policies: Policies) -> tuple[Ledger, UUID]:
    """A fee of 31 for January of which credit covers 31, on a draft that waits for somebody to approve it."""
    ledger = opened(url, policies=policies)
    with_customer(ledger)
    ledger.customers.change_profile("acme", auto_approve=False)
    ledger.credits.grant("acme", "31")
    charge = ledger.charges.create_flat_fee(
        "acme",
        amount="31",
        period_from="2026-01-01T00:00:00Z",
        period_to="2026-02-01T00:00:00Z",
        settlement_mode="credit_then_invoice",
        pro_rating=True,
    )
    ledger.worker.run_once()
    return ledger, charge.id


def test_a_draft_that_credit_covers_is_sound_before_it_is_issued(store_url: str) -> None:
    """The charge foresees that nothing is to be paid; its run records that when it is invoiced."""
    ledger, charge = by_invoice(store_url, Policies.standard())
    with ledger:
        assert ledger.charges.get(charge).runs[0].no_fiat
        assert not ledger.charges.runs(charge)[0].no_fiat_transaction_required

        assert ledger.audit.verify().findings == ()

        ledger.invoices.approve(ledger.invoices.list("acme")[0].id)
        assert ledger.audit.verify().findings == ()


def test_a_run_whose_invoice_cannot_be_corrected_keeps_its_credit_and_is_sound(store_url: str) -> None:
    """Lifecycles §10.1, §17.6: invalid, still current, bookings and credit as they were; nothing is billed twice."""
    ledger, charge = by_invoice(store_url, Policies.reference())
    with ledger:
        ledger.invoices.approve(ledger.invoices.list("acme")[0].id)

        ledger.charges.shrink(
            charge, service_period_to="2026-01-16T00:00:00Z", full_service_period_to="2026-02-01T00:00:00Z"
        )

        [run] = ledger.charges.runs(charge)
        assert (run.type, run.deleted_at, run.credits_total) == (RunType.INVALID, None, 31)
        assert ledger.charges.get(charge).current_run_id == run.id
        assert ledger.audit.verify().findings == ()
