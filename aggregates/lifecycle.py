"""How a lifecycle is written down and walked: two tables, and the few lines that read them.

The **path** says how a charge moves forward: one `Row` per transition (from, trigger, to, guard, work). The **patch
policy** says what each status permits: status by operation, one letter a cell. Guards are named functions that
read as a condition; work is named functions that emit the events of the transition. Nothing is written before the
work of a row has succeeded, because the row's status event is one of the events of the same save (lifecycles §4.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Generic, TypeAlias, TypeVar, cast

import msgspec

from aggregates.values.errors import UnsupportedOperation

S = TypeVar("S", bound=StrEnum)
T = TypeVar("T", bound=StrEnum)
C = TypeVar("C")


class Status(StrEnum):
    """Detailed statuses, broad to narrow; the text before the first dot is the meta status (lifecycles §3)."""

    NONE = ""
    """Before creation; never stored."""
    CREATED = "created"
    ACTIVE = "active"
    REALIZATION_STARTED = "active.realization.started"
    WAITING_FOR_COLLECTION = "active.realization.waiting_for_collection"
    PROCESSING = "active.realization.processing"
    ISSUING = "active.realization.issuing"
    ZERO_OVERAGE_COMPLETED = "active.realization.zero_fiat_amount_overage_completed"
    REALIZATION_COMPLETED = "active.realization.completed"
    AWAITING_PAYMENT_SETTLEMENT = "active.awaiting_payment_settlement"
    ACTIVE_CLEAR_OVERRIDE = "active.clear_override"
    DELETED_CLEAR_OVERRIDE = "deleted.clear_override"
    INITIAL_CREDIT_GRANT = "active.initial_credit_grant"
    PAYMENT_PENDING = "active.payment.pending"
    PAYMENT_AUTHORIZED = "active.payment.authorized"
    PAYMENT_PAID_AND_AUTHORIZED = "active.payment.paid_and_authorized"
    PAYMENT_SETTLED = "active.payment.settled"
    PAYMENT_FAILED = "active.payment.failed"
    FINAL = "final"
    DELETED = "deleted"

    @property
    def meta(self) -> str:
        """`created`, `active`, `final` or `deleted`: the text before the first dot, and nothing else."""
        return self.value.partition(".")[0]


OVER = frozenset({Status.FINAL, Status.DELETED})
"""The statuses that a charge does not leave by itself."""


class Trigger(StrEnum):
    """What can move a charge. `next` is the built-in continuation; every other trigger comes from a command."""

    CREATE = "create"
    NEXT = "next"
    EXTEND = "extend"
    SHRINK = "shrink"
    SHRINK_TO_REALIZED = "shrink_to_realized_period"
    SET_OVERRIDE = "set_override"
    CLEAR_OVERRIDE = "clear_override"
    DELETE = "delete"
    VOID = "void"
    INVOICE_CREATED = "invoice_created"
    ATTACH_INVOICE_LINE = "attach_invoice_line"
    COLLECTION_COMPLETED = "collection_completed"
    INVOICE_ISSUED = "invoice_issued"
    LINE_DELETED = "line_deleted"
    LINE_CREDITED = "line_credited"
    LINE_MANUAL_EDIT = "line_manual_edit"
    LATE_USAGE = "late_usage"
    AUTHORIZED = "authorized"
    PAID = "paid"
    PAYMENT_FAILED = "payment_failed"
    CANCELLED = "cancelled"
    CHARGED_BACK = "charged_back"
    REVERSED = "reversed"
    RETRY = "retry"
    WRITE_OFF = "write_off"


def always(_context: object) -> bool:
    """The guard that holds in every case."""
    return True


class Transition(msgspec.Struct, Generic[S, T, C], frozen=True):
    """One transition of a path: from this status, on this trigger, when the guard holds, to that status.

    `then` does the work and emits every event of the row, the status event included; `rule` is the row of the
    specification (U3, V7, …).
    """

    rule: str
    status: S
    on: T
    to: S
    when: Callable[[C], bool]
    then: Callable[[C, Any], None]


R = TypeVar("R", bound=Transition[Any, Any, Any])


class Lifecycle(Generic[S, T, C, R]):
    """The rows of a lifecycle, looked up by status and trigger."""

    def __init__(self, name: str, rows: Sequence[R]) -> None:
        self.name = name
        self.rows = tuple(rows)
        self._by_key: dict[tuple[S, T], list[R]] = {}
        for row in rows:
            self._by_key.setdefault((row.status, row.on), []).append(row)

    def permitted(self, status: S, trigger: T, context: C) -> R | None:
        """The row that may be walked now, or None. Guards may raise: an unanswerable guard is not a "no"."""
        for row in self._by_key.get((status, trigger), ()):
            if row.when(context):
                return row
        return None

    def fire(self, status: S, trigger: T, context: C, charge_id: object) -> R:
        """Walk one row. Raises `UnsupportedOperation` naming trigger, status and charge when there is none."""
        row = self.permitted(status, trigger, context)
        if row is None:
            raise UnsupportedOperation(trigger.value, status.value, charge_id)
        row.then(context, row)
        return row

    def walk(self, status: Callable[[], S], context: C, rounds: int = 1) -> Iterator[R]:
        """Fire `next` until no row holds: "advance until stable" (lifecycles §4.2). Bounded by the table.

        `rounds`: how often the path may be gone through, for what is realized in parts.
        """
        forward = cast("T", Trigger.NEXT)  # the same word in every lifecycle
        for _ in range(len(self.rows) * rounds + 1):
            row = self.permitted(status(), forward, context)
            if row is None:
                return
            row.then(context, row)
            yield row
        msg = f"{self.name}: a path longer than its table"
        raise AssertionError(msg)


class Row(Transition[Status, Trigger, C], frozen=True):
    """A row of a charge's path."""

    then: Callable[[C, Row[C]], None]


class Path(Lifecycle[Status, Trigger, C, Row[C]]):
    """The path of a charge."""


class Cell(StrEnum):
    """What a status says to an operation."""

    APPLY = "A"
    MOVE = ">"
    """Move to the transient status that owns the operation."""
    REFUSE = "R"
    DOES_NOT_ARISE = "·"


class Permissions(Generic[S, T]):
    """Status down the side, operation across the top, one letter a cell; written as text, so that it is a table.

    `leads_to` says where an operation may take a charge; an operation that is not in it keeps the status.
    """

    def __init__(
        self,
        name: str,
        operations: Sequence[T],
        table: Mapping[S, str],
        leads_to: Mapping[T, Sequence[S]],
    ) -> None:
        self.name = name
        self.operations = tuple(operations)
        self.statuses = tuple(table)
        self.leads_to = {operation: tuple(leads_to.get(operation, ())) for operation in operations}
        self._cells: dict[tuple[S, T], Cell] = {}
        for status, letters in table.items():
            for operation, letter in zip(operations, letters.split(), strict=True):
                self._cells[status, operation] = Cell(letter)

    def cell(self, status: S, operation: T) -> Cell:
        """What the status says to the operation."""
        return self._cells[status, operation]

    def require(self, status: S, operation: T, charge_id: object) -> Cell:
        """The cell, unless it refuses. Raises `UnsupportedOperation`."""
        cell = self._cells.get((status, operation), Cell.REFUSE)
        if cell in (Cell.REFUSE, Cell.DOES_NOT_ARISE):
            raise UnsupportedOperation(operation.value, status.value, charge_id)
        return cell


PatchPolicy: TypeAlias = Permissions[Status, Trigger]
"""What each status of a charge says to the operations on it."""
