"""Where credit comes from in a scenario (decision 43): its allocators, set up as promotional grants.

`unlimited` and `none` need nothing, because a credit-only shortfall is advance of the same amount. `up_to` is a grant
before the first step. `scripted` gives its amounts call by call: each is granted right before the step of its call. A
step is rehearsed to find out whether it asks for credit at all; one that finds nothing to invoice, or nothing changed,
uses nothing of the script.

A stub gives whatever the period of the charge; a grant covers only what is booked after it began. So grants begin with
the earliest period of the scenario's charges, or with its clock where that is earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from aggregates.credits.events import CreditCollected
from aggregates.event import AnyRecorded
from aggregates.runs.events import FiatOverageCreditsAllocated
from aggregates.values.period import timestamp
from tests.conformance.lifecycle_notation import Json

PLENTY = Decimal(10) ** 12
"""More than any call of a scenario asks for."""

CALLS: dict[str, type[Any]] = {"own": CreditCollected, "fiat": FiatOverageCreditsAllocated}
"""What is recorded when credit of the charge's own currency is asked for, and when fiat credit is."""


class Allocators:
    """The allocators of one scenario, and what is left of their scripts."""

    def __init__(self, setup: Json, steps: Sequence[Json]) -> None:
        intents = [intent for intent in _intents(steps) if intent["type"] != "credit_purchase"]
        first = intents[0] if intents else {}
        self.begins = min([timestamp(setup["clock"]), *(timestamp(each) for each in _starts(steps))])
        self.currencies = {
            "own": first.get("currency", "USD"),
            "fiat": (first.get("cost_basis") or {}).get("fiat", first.get("currency", "USD")),
        }
        self.at_once: list[tuple[str, str]] = []
        self.scripts: dict[str, list[str]] = {}
        for kind, given in (("own", setup.get("allocator")), ("fiat", setup.get("fiat_allocator"))):
            self._read(kind, given)
        self._unused: set[str] = set()
        """Of which scripts an amount was granted for a call that then failed: the repeated call has it already."""

    def _read(self, kind: str, given: object) -> None:
        match given:
            case None | "ledger" | "unlimited" | "none":
                pass
            case {"up_to": str() as amount}:
                self.at_once.append((amount, self.currencies[kind]))
            case {"scripted": list() as amounts}:
                self.scripts[kind] = list(amounts)
            case other:
                raise AssertionError(f"the allocator {other}")

    def before(self, rehearse: Callable[[Decimal, str, datetime], list[AnyRecorded]]) -> Iterator[tuple[str, str]]:
        """What is to be granted before a step, and in which currency. `rehearse` plays it with so much credit."""
        for kind, script in self.scripts.items():
            if not script or kind in self._unused:
                continue
            currency = self.currencies[kind]
            if any(isinstance(r.body, CALLS[kind]) for r in rehearse(PLENTY, currency, self.begins)):
                amount = script.pop(0)
                if Decimal(amount):
                    self._unused.add(kind)
                    yield amount, currency

    def after(self, records: Sequence[AnyRecorded]) -> None:
        """A call that came about has used its amount up."""
        self._unused -= {kind for kind in self._unused if any(isinstance(r.body, CALLS[kind]) for r in records)}


def _intents(steps: Sequence[Json]) -> Iterator[Json]:
    for step in steps:
        yield from step["do"].get("charges", [])
        yield from step["do"].get("creates", [])


def _starts(steps: Sequence[Json]) -> Iterator[str]:
    for intent in _intents(steps):
        if "service_period" in intent:
            yield intent["service_period"]["from"]
    for step in steps:
        if "service_period_from" in step["do"]:
            yield step["do"]["service_period_from"]
