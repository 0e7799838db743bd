"""`ledger.worker`: one pass over everything that is due, customer by customer: charges, then what they have gathered.

The worker asks the index which customers have a charge whose `advance_after` has come, and calls the customer-scoped
advance for each. A failing customer is logged with its id and does not stop the others (lifecycles §15).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import uuid5

import msgspec

from aggregates.values.errors import LedgerError
from ledger.advance import FailedAdvance
from ledger.charges import Charges
from ledger.context import CommandId, Context
from ledger.invoices import Invoices
from ledger.validation import command_id as identified

log = logging.getLogger(__name__)

PAGE = 200


class FailedCustomer(msgspec.Struct, frozen=True):
    """A customer that could not be advanced, and why; the next pass tries again."""

    customer: str
    code: str
    message: str


class WorkerReport(msgspec.Struct, frozen=True):
    """What one pass did. `stuck` are charges that refused while their customer's others were advanced."""

    succeeded: tuple[str, ...] = ()
    failed: tuple[FailedCustomer, ...] = ()
    stuck: tuple[FailedAdvance, ...] = ()
    moved: int = 0


class Worker:
    """Follows the clock: whatever is due is advanced."""

    def __init__(self, context: Context, charges: Charges, invoices: Invoices) -> None:
        self._context = context
        self._charges = charges
        self._invoices = invoices

    def due_customers(self) -> list[str]:
        """Customers with something due now, sorted."""
        out: list[str] = []
        while True:
            after = out[-1] if out else ""
            page = self._context.repository.store.due_customers(
                self._context.namespace, self._context.now(), after, PAGE
            )
            out += page
            if len(page) < PAGE:
                return out

    def run_once(
        self, *, command_id: CommandId = None, progress: Callable[[str, int, int], None] | None = None
    ) -> WorkerReport:
        """Advance every customer that has something due, invoice what it has gathered, and move its invoices on.

        `progress` is called with (customer, done, all) after each. Running two passes at once is safe: the loser of a
        race decides again and finds the work done.
        """
        identity = identified(command_id, self._context.namespace, self._context.mint)
        due = self.due_customers()
        succeeded: list[str] = []
        failed: list[FailedCustomer] = []
        stuck: list[FailedAdvance] = []
        moved = 0
        for done, customer in enumerate(due, start=1):
            try:
                answer = self._charges.advance(customer, command_id=uuid5(identity, customer))
                self._invoices.advance_due(customer, command_id=uuid5(identity, f"invoices:{customer}"))
            except LedgerError as error:
                log.warning("customer %s could not be advanced: %s (%s)", customer, error, error.code)
                failed.append(FailedCustomer(customer, error.code, str(error)))
            else:
                succeeded.append(customer)
                stuck += answer.failed
                moved += len(answer.moved)
            if progress is not None:
                progress(customer, done, len(due))
        return WorkerReport(tuple(succeeded), tuple(failed), tuple(stuck), moved)
