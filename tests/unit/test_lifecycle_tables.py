"""The tables of the lifecycles are whole: nothing unreachable, no dead end, no ambiguity, no empty cell.

Then every row and every cell is walked: a charge is brought to the status, the row's trigger or the cell's operation is
sent, and what the table says happens. Statuses that never rest are met by going back to a moment within a save.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path as File
from uuid import UUID

import msgspec
import pytest

from aggregates.charges.credit_purchase.lifecycle import EXTERNAL, INVOICE, PROMOTIONAL, VOIDING
from aggregates.charges.flat_fee import invoiced as invoiced_fee
from aggregates.charges.flat_fee import lifecycle as flat_fee
from aggregates.charges.turn import Turn
from aggregates.charges.usage_based import invoiced as invoiced_usage
from aggregates.charges.usage_based.late import LATE
from aggregates.charges.usage_based.lifecycle import PATCHES, PATH
from aggregates.lifecycle import Cell, PatchPolicy, Path, Row, Status, Trigger
from aggregates.policies import Policies
from aggregates.values.errors import UnsupportedOperation
from aggregates.values.period import Duration, timestamp
from tests.support.charging import World, fee_terms, new_fee, new_purchase, new_usage, usage_terms

LIFECYCLES = [
    (PATH, PATCHES),
    (invoiced_usage.PATH, invoiced_usage.PATCHES),
    (flat_fee.PATH, flat_fee.PATCHES),
    (invoiced_fee.PATH, invoiced_fee.PATCHES),
    (PROMOTIONAL, VOIDING),
    (EXTERNAL, VOIDING),
    (INVOICE, VOIDING),
]
BY_INVOICE = (invoiced_usage.PATH, invoiced_fee.PATH, INVOICE)
"""What an invoice drives is walked with its notices, in the tests of the charges that it drives."""
PATHS = [path for path, _ in LIFECYCLES]
POLICIES = [PATCHES, invoiced_usage.PATCHES, flat_fee.PATCHES, invoiced_fee.PATCHES, VOIDING]
NAMES = [path.name for path in PATHS]

ENDS = {Status.FINAL, Status.DELETED}


# ── the tables as such ───────────────────────────────────────────────────────────────────────────────────────


def edges(path: Path[Turn], policy: PatchPolicy) -> set[tuple[Status, Status]]:
    """Every step a charge can take, by a row of the path or by an operation."""
    by_rows = {(row.status, row.to) for row in path.rows}
    by_operations = {
        (status, to)
        for status in policy.statuses
        for operation in policy.operations
        if policy.cell(status, operation) in {Cell.APPLY, Cell.MOVE}
        for to in policy.leads_to[operation]
    }
    return by_rows | by_operations


@pytest.mark.parametrize(("path", "policy"), LIFECYCLES, ids=NAMES)
def test_every_status_is_reachable_from_created(path: Path[Turn], policy: PatchPolicy) -> None:
    reached, before = {Status.CREATED}, set[Status]()
    while reached != before:
        before = set(reached)
        reached |= {to for from_, to in edges(path, policy) if from_ in reached}

    mentioned = {row.status for row in path.rows} | {row.to for row in path.rows}

    assert mentioned <= reached


@pytest.mark.parametrize(("path", "policy"), LIFECYCLES, ids=NAMES)
def test_every_status_that_is_not_an_end_has_a_way_out(path: Path[Turn], policy: PatchPolicy) -> None:
    ways_out = {row.status for row in path.rows}

    assert {row.to for row in path.rows} - ENDS <= ways_out


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_no_row_comes_back_without_a_patch(path: Path[Turn]) -> None:
    """`next` makes no loop, so that advancing until stable ends; only what an invoice does begins again.

    The one way back is to the next part of a period that is cut, which ends later than the one before.
    """
    order: dict[Status, int] = {}

    def depth(status: Status, seen: frozenset[Status]) -> int:
        assert status not in seen, f"{status} is on a loop"
        rows = [row for row in path.rows if row.status is status and row.on is Trigger.NEXT]
        after = [row.to for row in rows if row.rule != "U8"]
        order[status] = 1 + max((depth(to, seen | {status}) for to in after), default=0)
        return order[status]

    for row in path.rows:
        assert depth(row.status, frozenset()) >= 1


@pytest.mark.parametrize("path", [path for path in PATHS if path not in BY_INVOICE], ids=lambda path: path.name)
def test_no_two_rows_of_one_status_and_trigger_hold_at_once(path: Path[Turn]) -> None:
    groups = groupby(sorted(path.rows, key=_key), key=_key)
    shared = [list(rows) for _, rows in groups]

    for rows in (group for group in shared if len(group) > 1 and path is not EXTERNAL):
        for moment in ("2025-12-31T23:59:59.999Z", "2026-01-01", "2026-01-20", "2026-02-01", "2026-03-01"):
            world, charge = BRINGING[path.name][rows[0].status]()
            turn = world.turn(charge, moment)
            assert sum(row.when(turn) for row in rows) == 1, (rows[0].rule, moment)


@pytest.mark.parametrize("availability", ["on_creation", "on_authorization", "on_settlement"])
@pytest.mark.parametrize(
    "status", [s for s in VOIDING.statuses if s not in {Status.FINAL, Status.INITIAL_CREDIT_GRANT}]
)
def test_of_the_rows_of_a_purchase_one_holds_at_most(status: Status, availability: str) -> None:
    world, charge = purchase_at(status, availability)()
    turn = world.turn(charge, BEFORE)

    for trigger in {row.on for row in EXTERNAL.rows if row.status is status}:
        holding = [row.rule for row in EXTERNAL.rows if (row.status, row.on) == (status, trigger) and row.when(turn)]
        assert len(holding) <= 1, holding


def _key(row: Row[Turn]) -> tuple[str, str]:
    return row.status.value, row.on.value


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_every_cell_is_filled(policy: PatchPolicy) -> None:
    for status in policy.statuses:
        for operation in policy.operations:
            assert policy.cell(status, operation) in Cell


@pytest.mark.parametrize(("path", "policy"), LIFECYCLES, ids=NAMES)
def test_the_patch_policy_has_a_line_for_every_status_of_the_path(path: Path[Turn], policy: PatchPolicy) -> None:
    statuses = {row.status for row in path.rows} | {row.to for row in path.rows}

    assert statuses <= set(policy.statuses)


def test_late_usage_keeps_the_status_or_returns_to_waiting_for_payment() -> None:
    """Decision 24: nothing but `final` and awaiting settlement, and never anywhere else."""
    over = {Status.FINAL, Status.AWAITING_PAYMENT_SETTLEMENT}

    assert {row.status for row in LATE.rows} | {row.to for row in LATE.rows} == over
    assert all(row.to is row.status or row.to is Status.AWAITING_PAYMENT_SETTLEMENT for row in LATE.rows)
    assert not any(row.on is Trigger.NEXT for row in LATE.rows)


def test_the_paths_have_the_rows_of_the_specification() -> None:
    assert [row.rule for row in PATH.rows] == ["U2", "U3", "U4", "U5", "U6", "U7", "U8", "C1", "C2", "C3"]
    assert [row.rule for row in flat_fee.PATH.rows] == ["F2", "F3", "C1", "C2", "C3", "C4"]
    usage = [
        "V2",
        "V3",
        "V4",
        "V5",
        "V6",
        "V6b",
        "V7",
        "V8",
        "V9a",
        "V9b",
        "V9a",
        "V9b",
        "V10",
        "V11",
        "C1",
        "C2",
        "C3",
    ]
    assert [row.rule for row in invoiced_usage.PATH.rows] == usage
    assert [row.rule for row in LATE.rows] == ["L1", "L2", "L3", "L4", "L5", "L6", "L7"]
    fee = [f"K{number}" for number in range(2, 15)]
    assert [row.rule for row in invoiced_fee.PATH.rows] == [*fee, "C1", "C2", "C3", "C4"]
    invoiced = [row.rule for row in INVOICE.rows]
    assert [rule for rule in invoiced if rule[0] == "I"] == ["I2", "I3", "I4", "I5", "I6"]
    assert [rule for rule in invoiced if rule[0] == "J"] == ["J1", "J2", "J3", "J4", "J5"]
    external = [row.rule for row in EXTERNAL.rows]
    assert [rule for rule in external if rule[0] == "X"] == ["X2", "X3", "X4", "X5", "X6", "X7", "X8"]
    assert [rule for rule in external if rule[0] == "A"] == ["A2", "A4", "A5", "A6", "A7"]
    assert [rule for rule in external if rule[0] == "B"] == [f"B{number}" for number in range(1, 18)]
    assert [row.rule for row in PROMOTIONAL.rows] == ["P2"]


@pytest.mark.parametrize("status", list(Status))
def test_the_meta_status_is_the_text_before_the_first_dot(status: Status) -> None:
    """R-13: there is no table from one to the other."""
    assert status.meta == status.value.split(".", maxsplit=1)[0]
    assert status.meta in {"", "created", "active", "final", "deleted"}


# ── a charge in every status ─────────────────────────────────────────────────────────────────────────────────

BEFORE, WITHIN, AFTER, COLLECTED = "2025-12-01", "2026-01-10", "2026-02-01T12:00Z", "2026-02-03T00:01Z"

CLEARING = {Status.ACTIVE_CLEAR_OVERRIDE, Status.DELETED_CLEAR_OVERRIDE}

Bringing = Callable[[], tuple[World, UUID]]


def usage_at(status: Status, *, override: bool = True) -> Bringing:
    """A usage charge of January, under an override or not, in that status. Ten units are used."""

    def bring() -> tuple[World, UUID]:
        world = World()
        world.use(10)
        [charge] = world.create(new_usage(), at=BEFORE)
        if override or status in CLEARING:
            world.set_override(charge, usage_terms(), at=BEFORE)
        if status is Status.CREATED:
            return world, charge
        for moment in (WITHIN, AFTER, COLLECTED):
            world.advance(charge, moment)
        if status is Status.DELETED:
            world.delete(charge, COLLECTED, source="api" if override else "system")
        elif status is Status.ACTIVE_CLEAR_OVERRIDE:
            world.clear_override(charge, COLLECTED)
        elif status is Status.DELETED_CLEAR_OVERRIDE:
            world.delete(charge, COLLECTED)
            world.clear_override(charge, COLLECTED)
        world.rewind(status)
        return world, charge

    return bring


def usage_in_parts() -> tuple[World, UUID]:
    """A usage charge of January whose first part was just realized, and whose second is to come."""
    world = World(policies=IN_PARTS)
    [charge] = world.create(new_usage(), at=BEFORE)
    world.advance(charge, "2026-01-23T00:01Z")
    world.rewind(Status.REALIZATION_COMPLETED)
    return world, charge


def fee_at(status: Status, *, override: bool = True) -> Bringing:
    """A flat fee of January in arrears that is due at its start, under an override or not, in that status."""

    def bring() -> tuple[World, UUID]:
        world = World()
        [charge] = world.create(new_fee(DUE_AT_START), at=BEFORE)
        if override or status in CLEARING:
            world.set_override(charge, DUE_AT_START, at=BEFORE)
        if status is Status.CREATED:
            return world, charge
        world.advance(charge, WITHIN)
        if status is Status.ACTIVE:
            return world, charge
        world.advance(charge, COLLECTED)
        if status in {Status.DELETED, Status.ACTIVE_CLEAR_OVERRIDE}:
            by_api = override or status is Status.ACTIVE_CLEAR_OVERRIDE
            world.delete(charge, COLLECTED, source="api" if by_api else "system")
        if status is Status.ACTIVE_CLEAR_OVERRIDE:
            world.clear_override(charge, COLLECTED)
        elif status is Status.DELETED_CLEAR_OVERRIDE:
            world.delete(charge, COLLECTED)
            world.clear_override(charge, COLLECTED)
        world.rewind(status)
        return world, charge

    return bring


DUE_AT_START = fee_terms(payment_term="in_arrears", invoice_at=timestamp("2026-01-01"))


def purchase_at(status: Status, availability: str | None = None) -> Bringing:
    """A purchase of 100 at 0.5 that is paid for outside, in that status."""

    def bring() -> tuple[World, UUID]:
        world = World()
        at_once = status in {Status.PAYMENT_PAID_AND_AUTHORIZED, Status.FINAL}
        [charge] = world.create(new_purchase("100", "external", availability=availability), at=BEFORE)
        if status is Status.CREATED:
            return world, charge
        world.advance(charge, BEFORE)
        if status is Status.PAYMENT_FAILED:
            world.pay(charge, "failed", BEFORE)
            return world, charge
        if at_once:
            world.pay(charge, "paid", BEFORE)
        else:
            world.pay(charge, "authorized", BEFORE)
            world.pay(charge, "paid", BEFORE)
        world.rewind(status)
        return world, charge

    return bring


def partly_paid(status: Status) -> Bringing:
    """The same with 20.00 of its 50.00 received, in that status."""

    def bring() -> tuple[World, UUID]:
        world, charge = purchase_at(status)()
        world.receive(charge, "20", BEFORE)
        return world, charge

    return bring


def used_and_failed() -> tuple[World, UUID]:
    """A purchase of which 40 were used before its payment failed: 20.00 are owed."""
    world, charge = purchase_at(Status.FINAL)()
    world.use(40)
    [usage] = world.create(new_usage(), at=BEFORE)
    world.advance(usage, AFTER)
    world.pay(charge, "charged_back", AFTER)
    return world, charge


def written_off() -> tuple[World, UUID]:
    """The same, and nobody will pay."""
    world, charge = used_and_failed()
    world.write_off(charge, AFTER)
    return world, charge


def promotional() -> tuple[World, UUID]:
    """A promotional purchase that was just created."""
    world = World()
    [charge] = world.create(new_purchase(), at=BEFORE)
    return world, charge


AT: dict[Status, Bringing] = {status: usage_at(status) for status in PATCHES.statuses}
FEE_AT: dict[Status, Bringing] = {status: fee_at(status) for status in flat_fee.PATCHES.statuses}
BRINGING = {PATH.name: AT, flat_fee.PATH.name: FEE_AT}
PURCHASE_AT: dict[Status, Bringing] = {status: purchase_at(status) for status in VOIDING.statuses}


@pytest.mark.parametrize("status", list(AT))
def test_a_usage_charge_can_be_met_in_every_status(status: Status) -> None:
    world, charge = AT[status]()

    assert world.charge(charge).status is status


@pytest.mark.parametrize("status", list(FEE_AT))
def test_a_fee_can_be_met_in_every_status(status: Status) -> None:
    world, charge = FEE_AT[status]()

    assert world.charge(charge).status is status


@pytest.mark.parametrize("status", list(PURCHASE_AT))
def test_a_purchase_can_be_met_in_every_status(status: Status) -> None:
    world, charge = PURCHASE_AT[status]()

    assert world.charge(charge).status is status


# ── every row ────────────────────────────────────────────────────────────────────────────────────────────────

MOMENT_OF_ROW = {"C1": BEFORE, "U8": "2026-01-31"}
"""When a row's guard holds; at the end of collection where nothing else is said."""

IN_PARTS = msgspec.structs.replace(Policies.reference(), periodic_runs=Duration(days=20))
"""January in two parts, that are cut on the 21st."""


def steps(world: World) -> list[tuple[Status, Status, Trigger]]:
    """The steps that the last command recorded."""
    moves = [getattr(event, "moved", None) for event in world.events]
    return [(move.status_from, move.status_to, move.trigger) for move in moves if move is not None]


@pytest.mark.parametrize("row", PATH.rows, ids=lambda row: row.rule)
def test_every_row_of_usage_is_walked(row: Row[Turn]) -> None:
    bring = usage_in_parts if row.rule == "U8" else AT[row.status]
    world, charge = bring()

    assert world.advance(charge, MOMENT_OF_ROW.get(row.rule, COLLECTED))

    assert steps(world)[0] == (row.status, row.to, row.on)


FEE_ROWS_HOLD_AT = {"C2": WITHIN, "C3": BEFORE}


@pytest.mark.parametrize("row", flat_fee.PATH.rows, ids=lambda row: row.rule)
def test_every_row_of_a_flat_fee_is_walked(row: Row[Turn]) -> None:
    world, charge = FEE_AT[row.status]()

    assert world.advance(charge, FEE_ROWS_HOLD_AT.get(row.rule, COLLECTED))

    assert (row.status, row.to, row.on) in steps(world)


PURCHASE_ROWS: dict[str, Bringing] = {
    "A2": purchase_at(Status.CREATED, "on_authorization"),
    "A4": purchase_at(Status.PAYMENT_PENDING, "on_authorization"),
    "A5": purchase_at(Status.PAYMENT_PENDING, "on_authorization"),
    "A6": purchase_at(Status.PAYMENT_PAID_AND_AUTHORIZED, "on_settlement"),
    "A7": purchase_at(Status.PAYMENT_AUTHORIZED, "on_settlement"),
    "B7": partly_paid(Status.PAYMENT_PENDING),
    "B8": partly_paid(Status.PAYMENT_AUTHORIZED),
    "B10": partly_paid(Status.PAYMENT_FAILED),
    "B11": partly_paid(Status.PAYMENT_AUTHORIZED),
    "B13": used_and_failed,
    "B14": used_and_failed,
    "B15": used_and_failed,
    "B16": purchase_at(Status.PAYMENT_FAILED, "on_authorization"),
    "B17": written_off,
}
"""Where a row needs more than its status: another availability, money in hand, credit used."""

WALKING: dict[Trigger, Callable[[World, UUID], bool]] = {
    Trigger.NEXT: lambda world, charge: world.advance(charge, AFTER),
    Trigger.AUTHORIZED: lambda world, charge: world.pay(charge, "authorized", AFTER),
    Trigger.PAID: lambda world, charge: world.pay(charge, "paid", AFTER),
    Trigger.PAYMENT_FAILED: lambda world, charge: world.pay(charge, "failed", AFTER),
    Trigger.CANCELLED: lambda world, charge: world.pay(charge, "cancelled", AFTER),
    Trigger.CHARGED_BACK: lambda world, charge: world.pay(charge, "charged_back", AFTER),
    Trigger.REVERSED: lambda world, charge: world.reverse(charge, "20", AFTER),
    Trigger.RETRY: lambda world, charge: world.retry(charge, AFTER),
    Trigger.WRITE_OFF: lambda world, charge: world.write_off(charge, AFTER),
}
"""How each trigger is sent to a purchase."""


@pytest.mark.parametrize("row", EXTERNAL.rows, ids=lambda row: row.rule)
def test_every_row_of_an_external_purchase_is_walked(row: Row[Turn]) -> None:
    world, charge = PURCHASE_ROWS.get(row.rule, PURCHASE_AT[row.status])()

    assert WALKING[row.on](world, charge)

    assert steps(world)[0] == (row.status, row.to, row.on)


@pytest.mark.parametrize("row", PROMOTIONAL.rows, ids=lambda row: row.rule)
def test_every_row_of_a_promotional_purchase_is_walked(row: Row[Turn]) -> None:
    world, charge = promotional()

    world.advance(charge, BEFORE)

    assert steps(world) == [(row.status, row.to, row.on)]


# ── every cell ───────────────────────────────────────────────────────────────────────────────────────────────

SEND: dict[Trigger, Callable[[World, UUID], bool]] = {
    Trigger.EXTEND: lambda world, charge: world.extend(charge, "2026-03-01", COLLECTED),
    Trigger.SHRINK: lambda world, charge: world.shrink(charge, "2026-01-20", COLLECTED),
    Trigger.SET_OVERRIDE: lambda world, charge: world.set_override(charge, usage_terms(to="2026-03-01"), COLLECTED),
    Trigger.CLEAR_OVERRIDE: lambda world, charge: world.clear_override(charge, COLLECTED),
    Trigger.DELETE: lambda world, charge: world.delete(charge, COLLECTED, source="api"),
    Trigger.VOID: lambda world, charge: world.void(charge, COLLECTED),
}

KEEPS_STATUS = {Status.CREATED}
"""Where a change of the intent is applied without starting again."""


def cells(policy: PatchPolicy) -> Iterable[tuple[Status, Trigger, Cell]]:
    """All cells of a policy."""
    return [(s, operation, policy.cell(s, operation)) for s in policy.statuses for operation in policy.operations]


@pytest.mark.parametrize(("status", "operation", "cell"), cells(PATCHES))
def test_every_cell_of_usage_is_walked(status: Status, operation: Trigger, cell: Cell) -> None:
    # The system moves periods, and an override would hide what it does.
    override = operation not in {Trigger.EXTEND, Trigger.SHRINK}
    world, charge = usage_at(status, override=override)()

    if cell is Cell.REFUSE:
        with pytest.raises(UnsupportedOperation) as refused:
            SEND[operation](world, charge)
        assert (refused.value.trigger, refused.value.status) == (operation.value, status.value)
        assert refused.value.charge_id == charge
        return
    if cell is Cell.DOES_NOT_ARISE:
        assert SEND[operation](world, charge) is False
        assert world.events == []
        return
    assert SEND[operation](world, charge) is True

    if cell is Cell.MOVE:
        assert steps(world)[0] == (status, Status.ACTIVE_CLEAR_OVERRIDE, operation)
    elif operation is Trigger.DELETE:
        assert world.charge(charge).status is Status.DELETED
    elif status in KEEPS_STATUS:
        assert world.charge(charge).status is status
    else:
        assert world.charge(charge).status is Status.ACTIVE


@pytest.mark.parametrize(("status", "operation", "cell"), cells(flat_fee.PATCHES))
def test_every_cell_of_a_flat_fee_is_walked(status: Status, operation: Trigger, cell: Cell) -> None:
    override = operation not in {Trigger.EXTEND, Trigger.SHRINK}
    world, charge = fee_at(status, override=override)()
    send = SEND | {Trigger.SET_OVERRIDE: lambda w, c: w.set_override(c, fee_terms("20"), COLLECTED)}

    if cell is Cell.REFUSE:
        with pytest.raises(UnsupportedOperation) as refused:
            send[operation](world, charge)
        assert (refused.value.trigger, refused.value.status) == (operation.value, status.value)
        return
    assert send[operation](world, charge) is (cell is not Cell.DOES_NOT_ARISE)

    if cell is Cell.DOES_NOT_ARISE:
        assert world.events == []
    elif cell is Cell.MOVE:
        assert steps(world)[0] == (status, Status.ACTIVE_CLEAR_OVERRIDE, operation)
    else:
        assert world.charge(charge).status is (Status.DELETED if operation is Trigger.DELETE else status)


@pytest.mark.parametrize("status", [s for s in PATCHES.statuses if s not in CLEARING | {Status.DELETED}])
def test_clearing_over_a_deleted_base_ends_in_deleted_from_anywhere(status: Status) -> None:
    world, charge = AT[status]()
    world.delete(charge, COLLECTED)

    world.clear_override(charge, COLLECTED)

    assert [step[1] for step in steps(world)] == [Status.DELETED_CLEAR_OVERRIDE, Status.DELETED]
    assert world.charge(charge).intent.override is None
    assert world.charge(charge).current_run_id is None
    assert world.charge(charge).live_runs == ()


@pytest.mark.parametrize(("status", "operation", "cell"), cells(VOIDING))
def test_every_cell_of_a_purchase_is_walked(status: Status, operation: Trigger, cell: Cell) -> None:
    world, charge = PURCHASE_AT[status]()

    if cell is Cell.REFUSE:
        with pytest.raises(UnsupportedOperation):
            SEND[operation](world, charge)
        return
    assert SEND[operation](world, charge) is (status is not Status.PAYMENT_FAILED), "there all was taken back before"
    assert world.charge(charge).status is status


@pytest.mark.parametrize("operation", [op for op in SEND if op is not Trigger.VOID])
@pytest.mark.parametrize("status", list(PURCHASE_AT))
def test_a_purchase_has_no_layers_to_patch(status: Status, operation: Trigger) -> None:
    world, charge = PURCHASE_AT[status]()

    with pytest.raises(UnsupportedOperation):
        SEND[operation](world, charge)


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_readme_shows_the_tables_as_they_are() -> None:
    """When this fails: `python scripts/print_lifecycles.py --write`."""
    script = runpy.run_path(str(File(__file__).parents[2] / "scripts" / "print_lifecycles.py"))
    shown = script["README"].read_text()

    assert shown == script["page"](shown)
