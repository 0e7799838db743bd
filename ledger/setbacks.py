"""`ledger.setbacks`: what was tried on the side and failed, logged and counted (lifecycles §14, §15, §17.2; R-27).

Some steps may fail without failing what they follow: the advance after a creation, "invoice now" after a sale, one
customer of a worker's pass. What they failed at is done by the next pass; that they failed is said twice, in the log
and here, by step and by customer. The counts are of this process, for whoever watches it; nothing is decided by them.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict

import msgspec

log = logging.getLogger(__name__)

KEPT = 1_000
"""How many (step, customer) pairs are told apart: those that failed last. The totals count all."""


class Setback(msgspec.Struct, frozen=True):
    """How often a step failed for a customer, and why it did last."""

    step: str
    customer: str
    count: int
    message: str


class Setbacks:
    """Counts the failures of best-effort steps; may be shared by threads."""

    def __init__(self) -> None:
        self._totals: Counter[str] = Counter()
        self._latest: OrderedDict[tuple[str, str], Setback] = OrderedDict()
        self._counting = threading.Lock()

    def note(self, step: str, customer: str, message: str, *, trace: bool = False) -> None:
        """Log and count that a step failed for a customer. `trace`: log the traceback of what is being handled."""
        log.warning("%s: customer %s: %s", step, customer, message, exc_info=trace)
        with self._counting:
            self._totals[step] += 1
            before = self._latest.pop((step, customer), None)
            count = before.count + 1 if before is not None else 1
            self._latest[step, customer] = Setback(step, customer, count, message)
            if len(self._latest) > KEPT:
                self._latest.popitem(last=False)

    def totals(self) -> dict[str, int]:
        """How often each step failed since this ledger was opened."""
        with self._counting:
            return dict(self._totals)

    def latest(self) -> tuple[Setback, ...]:
        """By step and customer, the one that failed last at the end."""
        with self._counting:
            return tuple(self._latest.values())
