"""Plays one lifecycle scenario through the public facade, with `Policies.reference()` and a settable clock.

Where credit comes from in a scenario is set up as grants (`lifecycle_credit`, decision 43). Faults go through the
facade's probe. An argument that no command reads fails the scenario.

A charge that a scenario places in the middle of a lifecycle is brought there by commands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from aggregates.charges.state import Charge
from aggregates.event import AnyRecorded
from aggregates.invoices.state import Invoice
from aggregates.policies import CreditNotes, Policies
from aggregates.runs.quantities import BilledRun, line_quantity
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import LedgerError, Unavailable
from aggregates.values.identifiers import pool_id
from aggregates.values.money import FIAT, Currency
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from ledger.store import mapper
from tests.conformance.lifecycle_credit import Allocators
from tests.conformance.lifecycle_inside import announce_lines, place, tell_charge
from tests.conformance.lifecycle_notation import ACCOUNTS, Json, fits, known, ordinal, price, window
from tests.conformance.lifecycle_requests import Requests

PROFILE = ("collection_interval", "progressive_billing", "auto_approve")

OVERRIDABLE = {"name", "description", "metadata", "service_period", "full_service_period", "billing_period"} | {
    "invoice_at",
    "amount",
    "percentage_discount",
    "pro_rating",
    "payment_term",
    "price",
    "discounts",
    "unit_config",
    # What cannot be part of an override is handed on, and has to be refused.
    "currency",
    "settlement_mode",
    "feature",
    "cost_basis",
    "tax_code_id",
}

CALLS = {
    "allocator": "credit_pool.CreditCollected",
    "corrector": "credit_pool.CreditReturned",
    "meter": "meter.quantity",
    "invoice_sync": "invoice.sync",
}

ARGUMENTS: dict[str, set[str]] = {
    "create_charges": {"charges"},
    "advance_charges": {"customer"},
    "run_worker": set(),
    "store_event": {"meter", "value", "time", "stored_at", "customer"},
    "apply_patches": {"patches", "creates", "customer"},
    "set_override": {"charge", "service_period_from", "service_period_to", *OVERRIDABLE},
    "clear_override": {"charge"},
    "purchase_payment": {"charge", "trigger"},
    "void_purchase": {"charge"},
    "consume_credits": {"amount", "currency", "customer"},
    "map_line_quantity": {"prior_runs", "current"},
    "invoice_pending_lines": {"as", "customer"},
    "advance_invoice": {"invoice"},
    "approve_invoice": {"invoice"},
    "retry_invoice": {"invoice"},
    "invoice_payment": {"invoice", "trigger"},
    "preview_gathering_line": {"charge"},
    "charge_invoice_trigger": {"charge", "trigger", "line", "invoice"},
    "standard_lines_created": {"invoice", "lines"},
    "change_billing_profile": set(PROFILE),
    "set_fault": {"port", "fail_next"},
    "none": set(),
}
"""The commands of the format, and what each of them may be told."""

ASKS_NOBODY = {"store_event", "map_line_quantity", "preview_gathering_line", "change_billing_profile", "set_fault"} | {
    "none"
}
"""Commands that never ask an allocator."""

HANDLES = ("charges", "invoices", "lines", "helping")

SETUP = {"clock", "customer", "customers", "billing_profile", "features", "custom_currencies", "given"} | {
    "credit_notes_available",
    "allocator",
    "fiat_allocator",
    "tax_codes",
}

OVERRIDDEN: dict[str, Callable[[Any], object]] = {
    "price": price,
    "service_period": lambda value: {"from_": value["from"], "to": value["to"]},
    "full_service_period": lambda value: {"from_": value["from"], "to": value["to"]},
    "billing_period": lambda value: {"from_": value["from"], "to": value["to"]},
}
"""How fields of an override are written for the facade, where that is not as a scenario has them."""


class Faults:
    """The probe of the ledger under test: makes the next calls of one port fail."""

    def __init__(self) -> None:
        self._failing: dict[str, int] = {}
        self.asleep = False

    def __call__(self, call: str) -> None:
        left = self._failing.get(call, 0)
        if left and not self.asleep:
            self._failing[call] = left - 1
            raise Unavailable(call, "the scenario made it fail")

    def fail_next(self, port: str, count: int) -> None:
        if port not in CALLS:
            raise AssertionError(f"faults of the {port}")
        self.fail_call(CALLS[port], count)

    def fail_call(self, call: str, count: int = 1) -> None:
        """Make the next calls of that name fail."""
        self._failing[call] = count


class Logged(logging.Handler):
    """Keeps what was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.asleep = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.asleep:
            self.messages.append(record.getMessage())


class Player:
    """A ledger set up as a scenario asks, and its commands by the scenario's names."""

    def __init__(self, setup: Json, steps: Sequence[Json] = ()) -> None:
        known(setup, SETUP, "the setup")
        self.setup = setup
        self.allocators = Allocators(setup, steps)
        self.clock = SettableClock(setup["clock"])
        self.latest = self.clock.now()
        self.faults = Faults()
        self.logged = Logged()
        policies = Policies.reference()
        if setup.get("credit_notes_available"):
            policies = msgspec.structs.replace(policies, credit_notes=CreditNotes.ON)
        self.ledger = Ledger.open(
            "memory:", clock=self.clock, policies=policies, probe=self.faults, namespace="scenario"
        )
        self.ledger.settings.change_tax(setup.get("tax_codes", []))
        self.customer: str = setup.get("customer", "cust")
        self.charges: dict[str, UUID] = {}
        self.helping: set[UUID] = set()
        """Charges that stand for something else of a scenario: what gives credit, what uses it up."""
        self.cost_bases: dict[str, UUID] = {}
        self.requests = Requests(self.customer, self._currency, self.cost_bases)
        self.line: Json = {}
        self.moved: list[str] = []
        self.worker_customers: list[str] = []
        for key in [*setup.get("customers", []), self.customer]:
            self.ledger.customers.create(key)
        profile = setup.get("billing_profile", {})
        known(profile, PROFILE, "the billing profile")
        self.profile = {
            "collection_interval": profile.get("collection_interval"),
            "progressive_billing": profile.get("progressive_billing", False),
            "auto_approve": profile.get("auto_approve", False),
        }
        self.ledger.settings.change_default_profile(**self.profile)
        for feature in setup.get("features", []):
            known(feature, {"key", "meter", "aggregation"}, "a feature")
            if "meter" in feature:
                self.ledger.catalogue.define_meter(feature["meter"], feature.get("aggregation", "sum"), decimals=9)
            self.ledger.catalogue.define_feature(feature["key"], meter=feature.get("meter"))
        for currency in setup.get("custom_currencies", []):
            known(currency, {"code", "precision", "cost_bases"}, "a custom currency")
            self.ledger.catalogue.define_currency(currency["code"], precision=currency["precision"])
            for entry in currency.get("cost_bases", []):
                defined = self.ledger.catalogue.define_cost_basis(
                    currency["code"],
                    fiat_currency=entry["fiat"],
                    rate=entry["rate"],
                    effective_from=entry["effective_from"],
                )
                self.cost_bases[entry["entry"]] = defined.id
        self.invoices: dict[str, UUID] = {}
        self.gathered: dict[str, UUID] = {}
        self.preview: Json = {}
        self.lines: dict[str, UUID] = {}
        for amount, code in self.allocators.at_once:
            self._give(amount, code)
        for name, given in setup.get("given", {}).items():
            place(self, name, given)

    def _give(self, amount: str, currency: str) -> None:
        given = self.ledger.credits.grant(self.customer, amount, currency, effective_at=self.allocators.begins)
        self.helping.add(given.id)

    def _rehearse(self, do: Json, amount: Decimal, currency: str, effective_at: datetime) -> list[AnyRecorded]:
        """What a step would record if there were so much credit; nothing of it is kept."""
        ledger, kept = self.ledger, {name: copy(getattr(self, name)) for name in HANDLES}
        self.faults.asleep = True
        self.logged.asleep = True
        try:
            with ledger.dry_run() as trial:
                trial.credits.grant(self.customer, amount, currency, effective_at=effective_at)
                before = len(trial.events)
                self.ledger = trial
                with suppress(LedgerError):
                    self._carry_out(do)
                return trial.events[before:]
        finally:
            self.ledger = ledger
            self.faults.asleep = self.logged.asleep = False
            for name, value in kept.items():
                setattr(self, name, value)

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────

    def play(self, do: Json) -> None:
        """Carry out one command; its arguments are all read, or the scenario fails."""
        command = do["command"]
        if command not in ARGUMENTS:
            raise AssertionError(f"the command {command}")
        known(do, {"command"} | ARGUMENTS[command], f"the command {command}")
        self.latest = max(self.latest, self.clock.now())
        if command not in ASKS_NOBODY:
            for amount, currency in self.allocators.before(partial(self._rehearse, do)):
                self._give(amount, currency)
        before = self.ledger.store.head()
        try:
            self._carry_out(do)
        finally:
            self.allocators.after(self.records(before))

    def _carry_out(self, do: Json) -> None:
        self.moved, self.worker_customers, self.preview, self.line = [], [], {}, {}
        commands: dict[str, Callable[[Json], None]] = {name: getattr(self, f"_{name}") for name in ARGUMENTS}
        commands[do["command"]](do)

    def _owner(self, do: Json) -> str:
        return str(do.get("customer", self.customer))

    def _none(self, do: Json) -> None:
        pass

    def _create_charges(self, do: Json) -> None:
        """One request; the product creates for one customer at a time, so one that names several is one each."""
        groups: dict[str, list[Json]] = {}
        for intent in do["charges"]:
            groups.setdefault(self._owner(intent), []).append(intent)
        for intents in groups.values():
            created = self.ledger.charges.create([self.requests.charge(intent) for intent in intents])
            for intent, charge in zip(intents, created, strict=True):
                self.charges[intent["ref"]] = charge.id

    def _advance_charges(self, do: Json) -> None:
        advanced = self.ledger.charges.advance(self._owner(do))
        names = {charge_id: name for name, charge_id in self.charges.items()}
        self.moved = [names.get(charge.id, str(charge.id)) for charge in advanced.moved]

    def _run_worker(self, do: Json) -> None:
        report = self.ledger.worker.run_once()
        self.worker_customers = sorted([*report.succeeded, *(failed.customer for failed in report.failed)])

    def _store_event(self, do: Json) -> None:
        number = sum(1 for _ in self.ledger.usage_store.events("scenario", window(do, self.customer)))
        event = UsageEvent(
            source="scenario",
            id=f"{do['meter']}:{do['time']}:{do['stored_at']}:{number}",
            customer=self._owner(do),
            meter=do["meter"],
            time=timestamp(do["time"]),
            value=Decimal(do["value"]),
        )
        self.ledger.usage.record([event], stored_at=timestamp(do["stored_at"]))

    def _apply_patches(self, do: Json) -> None:
        patches = {
            self.charges.get(name, UUID(int=0)): self.requests.patch(patch) for name, patch in do["patches"].items()
        }
        creates = [self.requests.charge(intent) for intent in do.get("creates", [])]
        done = self.ledger.charges.apply_patches(self._owner(do), patches, creates)
        for intent, charge in zip(do.get("creates", []), done[len(patches) :], strict=True):
            self.charges[intent["ref"]] = charge.id

    def _set_override(self, do: Json) -> None:
        charge = self.charges[do["charge"]]
        changes: Json = {}
        period = self.ledger.charges.get(charge).intent.effective.service_period
        if "service_period_to" in do or "service_period_from" in do:
            changes["service_period"] = {
                "from_": do.get("service_period_from", period.from_),
                "to": do.get("service_period_to", period.to),
            }
        for name, value in do.items():
            if name in {"command", "charge", "service_period_from", "service_period_to"}:
                continue
            changes[name] = OVERRIDDEN[name](value) if name in OVERRIDDEN else value
        self.ledger.charges.set_override(charge, **changes)

    def _clear_override(self, do: Json) -> None:
        self.ledger.charges.clear_override(self.charges[do["charge"]])

    def _purchase_payment(self, do: Json) -> None:
        self.ledger.credits.record_payment(self.charges[do["charge"]], do["trigger"])

    def _void_purchase(self, do: Json) -> None:
        self.ledger.credits.void(self.charges[do["charge"]])

    def _consume_credits(self, do: Json) -> None:
        """A flat fee from credit only, of the second that begins now."""
        now = self.clock.now()
        fee = self.ledger.charges.create_flat_fee(
            self._owner(do),
            amount=do["amount"],
            currency=do.get("currency", "USD"),
            period_from=now,
            period_to=now + timedelta(seconds=1),
        )
        self.helping.add(fee.id)

    def _change_billing_profile(self, do: Json) -> None:
        self.profile |= {name: value for name, value in do.items() if name != "command"}
        self.ledger.settings.change_default_profile(**self.profile)

    def _invoice_pending_lines(self, do: Json) -> None:
        made = self.ledger.invoices.invoice_pending_lines(self._owner(do))
        for name, invoice in zip(do["as"], made, strict=True):
            self.invoices[name] = invoice.id

    def _advance_invoice(self, do: Json) -> None:
        self.ledger.invoices.advance(self.invoices[do["invoice"]])

    def _approve_invoice(self, do: Json) -> None:
        self.ledger.invoices.approve(self.invoices[do["invoice"]])

    def _retry_invoice(self, do: Json) -> None:
        self.ledger.invoices.retry(self.invoices[do["invoice"]])

    def _invoice_payment(self, do: Json) -> None:
        self.ledger.invoices.record_payment(self.invoices[do["invoice"]], do["trigger"])

    def _charge_invoice_trigger(self, do: Json) -> None:
        tell_charge(self, do)

    def _standard_lines_created(self, do: Json) -> None:
        announce_lines(self, do)

    def _preview_gathering_line(self, do: Json) -> None:
        self.preview = {}
        content = self.ledger.charges.preview(self.charges[do["charge"]])
        self.preview = {
            "totals": content.totals,
            "quantity": content.quantity,
            "pre_line_quantity": content.pre_line_quantity,
        }

    def _set_fault(self, do: Json) -> None:
        self.faults.fail_next(do["port"], do["fail_next"])

    def _map_line_quantity(self, do: Json) -> None:
        """The periods' ends are ordinals; any instants in the same order do."""
        for run in [*do["prior_runs"], do["current"]]:
            known(run, {"to", "quantity", "voided"}, "a run")
        priors = [
            BilledRun(
                service_period_to=ordinal(run["to"]),
                metered_quantity=Decimal(run["quantity"]),
                voided=run.get("voided") is not None,
            )
            for run in do["prior_runs"]
        ]
        current = do["current"]
        quantity = line_quantity(priors, ordinal(current["to"]), Decimal(current["quantity"]))
        self.line = {"quantity": quantity.quantity, "pre_line_quantity": quantity.pre_line_quantity}

    def _currency(self, code: str) -> Currency:
        return FIAT[code] if code in FIAT else self.ledger.catalogue.currency(code)

    # ── what can be seen afterwards ──────────────────────────────────────────────────────────────────────────

    def records(self, after: int) -> list[AnyRecorded]:
        rows = self.ledger.store.read_log(after, 1_000_000)
        return [mapper.decode(row.name, row.data) for row in rows]

    def charge(self, name: str) -> Charge:
        return self.ledger.charges.get(self.charges[name])

    def invoice(self, name: str) -> Invoice:
        return self.ledger.invoices.get(self.invoices[name])

    def runs(self, charge: Charge) -> list[RealizationRun]:
        return self.ledger.charges.runs(charge.id)

    def balance(
        self, account: str, cost_basis: str, *, customer: str | None = None, currency: str | None = None
    ) -> Decimal:
        """The sum of everything booked at one account of a customer, over all currencies or in one.

        Booked by the latest time the clock has shown: it may have gone back since.
        """
        wanted, stage = ACCOUNTS[account]
        total = Decimal(0)
        for record in self._pool_records(customer or self.customer, currency):
            for transaction in getattr(record.body, "transactions", ()):
                if transaction.booked_at > self.latest:
                    continue
                for entry in transaction.entries:
                    if entry.account.value != wanted or (stage and entry.route.authorization != stage):
                        continue
                    if fits(entry.route.cost_basis, cost_basis):
                        total += entry.amount
        return total

    def _pool_records(self, customer: str, code: str | None) -> list[AnyRecorded]:
        custom = [self._currency(each["code"]) for each in self.setup.get("custom_currencies", [])]
        currencies = [*FIAT.values(), *custom] if code is None else [self._currency(code)]
        ids = [pool_id("scenario", customer, currency.key) for currency in currencies]
        rows = [row for each in ids for row in self.ledger.store.read_stream(each)]
        return [mapper.decode(row.name, row.data) for row in rows]
