"""Plays one lifecycle scenario through the public facade, with `Policies.reference()` and a settable clock.

Where credit comes from in a scenario (its allocator) is set up as grants (decision 43): `unlimited` and `none` need
nothing, because a credit-only shortfall is advance of the same amount; `up_to` is a promotional grant before the first
step; `scripted` grants each amount before the step of its call. Faults go through the facade's probe.

A charge that a scenario places in the middle of a lifecycle is brought there by commands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from aggregates.charges import decisions as deciding
from aggregates.charges.events import CreditRefund
from aggregates.charges.intent import (
    CostBasis,
    DynamicBasis,
    FeatureRef,
    FiatRate,
    ManualBasis,
    PinnedBasis,
    ProRating,
    SettlementMode,
    TaxConfig,
)
from aggregates.charges.line_content import KINDS
from aggregates.charges.requests import (
    AnyPatch,
    Delete,
    Extend,
    FlatFeeTerms,
    NewCharge,
    NewFlatFee,
    NewPurchase,
    NewUsageCharge,
    PatchSource,
    RequestedSettlement,
    Shrink,
    ShrinkToRealized,
    UsageTerms,
)
from aggregates.charges.state import Charge
from aggregates.event import AnyRecorded
from aggregates.invoices import decisions as invoicing
from aggregates.invoices.effects import LinePaymentAuthorized, LinePaymentSettled
from aggregates.invoices.facts import InvoiceFacts
from aggregates.invoices.requests import NewInvoice, NewLine
from aggregates.invoices.state import Invoice
from aggregates.policies import CreditNotes, Policies
from aggregates.runs.quantities import BilledRun, line_quantity
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import Unavailable
from aggregates.values.identifiers import pool_id
from aggregates.values.money import FIAT, Currency, fiat
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from ledger.rounds import Rounds
from ledger.store import mapper
from ledger.units import Work
from tests.conformance.lifecycle_notation import (
    ACCOUNTS,
    Json,
    bounds,
    discount_of,
    fits,
    optional_bounds,
    optional_time,
    ordinal,
    price,
    window,
)

CALLS = {
    "allocator": "credit_pool.CreditCollected",
    "corrector": "credit_pool.CreditReturned",
    "meter": "meter.quantity",
    "invoice_sync": "invoice.sync",
}

OFFERED = frozenset(
    {
        "create_charges",
        "advance_charges",
        "run_worker",
        "store_event",
        "apply_patches",
        "set_override",
        "clear_override",
        "purchase_payment",
        "void_purchase",
        "consume_credits",
        "map_line_quantity",
        "invoice_pending_lines",
        "advance_invoice",
        "approve_invoice",
        "retry_invoice",
        "invoice_payment",
        "preview_gathering_line",
        "charge_invoice_trigger",
        "standard_lines_created",
        "change_billing_profile",
        "set_fault",
        "none",
    }
)


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

    def __call__(self, call: str) -> None:
        left = self._failing.get(call, 0)
        if left:
            self._failing[call] = left - 1
            raise Unavailable(call, "the scenario made it fail")

    def fail_next(self, port: str, count: int) -> None:
        if port not in CALLS:
            raise AssertionError(f"faults of the {port}")
        self._failing[CALLS[port]] = count


class Logged(logging.Handler):
    """Keeps what was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


class Player:
    """A ledger set up as a scenario asks, and its commands by the scenario's names."""

    def __init__(self, setup: Json) -> None:
        self.setup = setup
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
        self.charges: dict[str, UUID] = {}
        self.helping: set[UUID] = set()
        """Charges that stand for something else of a scenario: what gives credit, what uses it up."""
        self.cost_bases: dict[str, UUID] = {}
        self.line: Json = {}
        self.moved: list[str] = []
        self.worker_customers: list[str] = []
        self.customer: str = setup.get("customer", "cust")
        for key in [*setup.get("customers", []), self.customer]:
            self.ledger.customers.create(key)
        profile = setup.get("billing_profile", {})
        self.profile = {
            "collection_interval": profile.get("collection_interval"),
            "progressive_billing": profile.get("progressive_billing", False),
            "auto_approve": profile.get("auto_approve", False),
        }
        self.ledger.settings.change_default_profile(**self.profile)
        for feature in setup.get("features", []):
            self.ledger.catalogue.define_meter(feature["meter"], feature.get("aggregation", "sum"), decimals=9)
            self.ledger.catalogue.define_feature(feature["key"], meter=feature["meter"])
        for currency in setup.get("custom_currencies", []):
            self.ledger.catalogue.define_currency(currency["code"], precision=currency["precision"])
            for entry in currency.get("cost_bases", []):
                known = self.ledger.catalogue.define_cost_basis(
                    currency["code"],
                    fiat_currency=entry["fiat"],
                    rate=entry["rate"],
                    effective_from=entry["effective_from"],
                )
                self.cost_bases[entry["entry"]] = known.id
        self.invoices: dict[str, UUID] = {}
        self.gathered: dict[str, UUID] = {}
        self.preview: Json = {}
        self.lines: dict[str, UUID] = {}
        self._prepare_credit(setup.get("allocator"))
        for name, given in setup.get("given", {}).items():
            self._place(name, given)

    def _place(self, name: str, given: Json) -> None:
        """Bring a purchase that is settled by invoice to a status, by the commands that lead there."""
        assert (given["type"], given["settlement"]) == ("credit_purchase", "invoice")
        later = {"from": "2099-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}
        intent: Json = {
            "credit_amount": given["credit_amount"],
            "settlement": {"type": "invoice", "cost_basis": {"rate": given["rate"]}},
            "service_period": later if given["status"] == "created" else None,
        }
        [charge] = self.ledger.charges.create([self._purchase(intent, self.customer)])
        self.charges[name] = charge.id
        if charge.linked_line is not None:
            known = given.get("line") or given["invoice_settlement"]
            self.lines[known.get("id") or known["line"]] = charge.linked_line.line_id
            self.invoices[known["invoice"]] = charge.linked_line.invoice_id
            if given["status"] == "active.payment.authorized":
                self.ledger.invoices.approve(charge.linked_line.invoice_id)
                self.ledger.invoices.record_payment(charge.linked_line.invoice_id, "authorized")
        assert self.charge(name).status.value == given["status"]

    def _prepare_credit(self, allocator: object) -> None:
        """Where credit comes from (decision 43): what a script gives is granted right before the step of its call."""
        self.scripted: dict[str, list[str]] = {}
        if isinstance(allocator, dict) and "up_to" in allocator:
            self._give(allocator["up_to"])
        elif isinstance(allocator, dict) and "scripted" in allocator:
            self.scripted["own"] = list(allocator["scripted"])
        fiat_allocator = self.setup.get("fiat_allocator")
        if isinstance(fiat_allocator, dict) and "scripted" in fiat_allocator:
            self.scripted["fiat"] = list(fiat_allocator["scripted"])
        elif isinstance(fiat_allocator, dict) and "up_to" in fiat_allocator:
            self._give(fiat_allocator["up_to"])

    def _grant_scripted(self, command: str) -> None:
        """Own credit is asked for when lines are made and when they are collected, fiat credit on approval."""
        asks = {"invoice_pending_lines": "own", "advance_invoice": "own", "approve_invoice": "fiat"}
        waiting = self.scripted.get(asks.get(command, ""))
        if not waiting or not self.charges:
            return
        amount = waiting.pop(0)
        charge = self.ledger.charges.get(next(iter(self.charges.values())))
        currency = charge.currency if asks[command] == "own" else charge.invoice_currency
        if Decimal(amount):
            effective_at = charge.intent.effective.service_period.from_
            self._give(amount, currency.code, effective_at=effective_at)

    def _give(self, amount: str, currency: str = "USD", **terms: Any) -> None:
        self.helping.add(self.ledger.credits.grant(self.customer, amount, currency, **terms).id)

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────

    def play(self, do: Json) -> None:
        command = do["command"]
        if command not in OFFERED:
            raise AssertionError(f"the command {command}")
        self.latest = max(self.latest, self.clock.now())
        self._grant_scripted(command)
        commands: dict[str, Callable[[Json], None]] = {name: getattr(self, f"_{name}") for name in OFFERED}
        commands[command](do)

    def _none(self, do: Json) -> None:
        pass

    def _create_charges(self, do: Json) -> None:
        requests = [self._request(intent) for intent in do["charges"]]
        created = self.ledger.charges.create(requests)
        for intent, charge in zip(do["charges"], created, strict=True):
            self.charges[intent["ref"]] = charge.id

    def _request(self, intent: Json) -> NewCharge:
        customer = str(intent.get("customer", self.customer))
        match intent["type"]:
            case "usage_based":
                return self._usage(intent, customer)
            case "credit_purchase":
                return self._purchase(intent, customer)
            case "flat_fee":
                return self._flat_fee(intent, customer)
            case other:
                raise AssertionError(f"unknown type of charge {other}")

    def _flat_fee(self, intent: Json, customer: str) -> NewFlatFee:
        discount = intent.get("percentage_discount")
        return NewFlatFee(
            customer=customer,
            currency=self._currency(intent.get("currency", "USD")),
            settlement_mode=SettlementMode(intent["settlement_mode"]),
            feature=FeatureRef(key=intent["feature"]) if "feature" in intent else None,
            tax=TaxConfig(tax_code_id=intent["tax_code_id"]) if "tax_code_id" in intent else None,
            unique_reference_id=intent.get("unique_reference_id"),
            cost_basis=self._cost_basis(intent.get("cost_basis")),
            terms=FlatFeeTerms(
                name=str(intent.get("name", intent["ref"])),
                service_period=bounds(intent["service_period"]),
                full_service_period=optional_bounds(intent.get("full_service_period")),
                billing_period=optional_bounds(intent.get("billing_period")),
                invoice_at=optional_time(intent.get("invoice_at")),
                amount=Decimal(intent["amount"]),
                payment_term=intent["payment_term"],
                pro_rating=ProRating.PRORATE_PRICES.value if intent.get("pro_rating") else None,
                percentage_discount=discount_of(discount),
            ),
        )

    def _usage(self, intent: Json, customer: str) -> NewUsageCharge:
        period = bounds(intent["service_period"])
        return NewUsageCharge(
            customer=customer,
            currency=self._currency(intent.get("currency", "USD")),
            settlement_mode=SettlementMode(intent["settlement_mode"]),
            feature=FeatureRef(key=intent["feature"]),
            unique_reference_id=intent.get("unique_reference_id"),
            cost_basis=self._cost_basis(intent.get("cost_basis")),
            terms=UsageTerms(
                name=str(intent.get("name", intent["ref"])),
                service_period=period,
                full_service_period=optional_bounds(intent.get("full_service_period")),
                billing_period=optional_bounds(intent.get("billing_period")),
                invoice_at=optional_time(intent.get("invoice_at")),
                price=price(intent["price"]),
            ),
        )

    def _purchase(self, intent: Json, customer: str) -> NewPurchase:
        settlement = intent["settlement"]
        filters = intent.get("feature_filters")
        return NewPurchase(
            customer=customer,
            currency=self._currency(intent.get("currency", "USD")),
            credit_amount=Decimal(intent["credit_amount"]),
            settlement=RequestedSettlement(
                type=settlement["type"],
                initial_status=settlement.get("initial_status"),
                cost_basis=self._cost_basis(settlement.get("cost_basis")),
            ),
            effective_at=optional_time(intent.get("effective_at")),
            expires_at=optional_time(intent.get("expires_at")),
            priority=intent.get("priority"),
            feature_filters=tuple(filters) if filters is not None else None,
            key=intent.get("key"),
            service_period=optional_bounds(intent.get("service_period")),
        )

    def _advance_charges(self, do: Json) -> None:
        advanced = self.ledger.charges.advance(str(do.get("customer", self.customer)))
        names = {charge_id: name for name, charge_id in self.charges.items()}
        self.moved = [names.get(charge.id, str(charge.id)) for charge in advanced.moved]

    def _run_worker(self, do: Json) -> None:
        report = self.ledger.worker.run_once()
        self.worker_customers = [*report.succeeded, *(failed.customer for failed in report.failed)]

    def _store_event(self, do: Json) -> None:
        number = sum(1 for _ in self.ledger.usage_store.events("scenario", window(do, self.customer)))
        event = UsageEvent(
            source="scenario",
            id=f"{do['meter']}:{do['time']}:{do['stored_at']}:{number}",
            customer=str(do.get("customer", self.customer)),
            meter=do["meter"],
            time=timestamp(do["time"]),
            value=Decimal(do["value"]),
        )
        self.ledger.usage.record([event], stored_at=timestamp(do["stored_at"]))

    def _apply_patches(self, do: Json) -> None:
        patches = {
            self.charges.get(name, UUID(int=0)): self._read_patch(patch) for name, patch in do["patches"].items()
        }
        creates = [self._request(intent) for intent in do.get("creates", [])]
        done = self.ledger.charges.apply_patches(self.customer, patches, creates)
        for intent, charge in zip(do.get("creates", []), done[len(patches) :], strict=True):
            self.charges[intent["ref"]] = charge.id

    def _read_patch(self, patch: Json) -> AnyPatch:
        source = PatchSource(patch.get("source", "system"))
        match patch["op"]:
            case "extend" | "shrink" as operation:
                ends = ("service_period_to", "full_service_period_to", "billing_period_to", "invoice_at")
                given: Json = {key: timestamp(patch[key]) for key in ends if key in patch}
                return (Extend if operation == "extend" else Shrink)(source=source, **given)
            case "shrink_to_realized_period":
                return ShrinkToRealized(source=source, service_period_to=timestamp(patch["service_period_to"]))
            case "delete":
                return Delete(credit_refund=CreditRefund(patch.get("credit_refund", "correct")), source=source)
            case other:
                raise AssertionError(f"the patch {other}")

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
            str(do.get("customer", self.customer)),
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
        made = self.ledger.invoices.invoice_pending_lines(self.customer)
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
        """A payment of the line told straight to the charge, as the invoice would tell it."""
        charge = self.charge(do["charge"])
        kind = LinePaymentAuthorized if do["trigger"] == "authorized" else LinePaymentSettled
        notice = kind(
            customer=self.customer,
            invoice_id=self.invoices.get(do["invoice"], UUID(int=2)),
            line_id=self.lines.get(do["line"], UUID(int=1)),
            charge_id=charge.id,
            amount=Decimal(10),
            net=Decimal(10),
            in_full=True,
        )
        self._in_one_save(lambda work, rounds, facts: rounds.deliver(work, self.customer, (notice,), facts))

    def _standard_lines_created(self, do: Json) -> None:
        lines = tuple(
            NewLine(
                charge_id=self.charges[line["charge"]],
                kind=KINDS[self.charge(line["charge"]).charge_type.value],
                content=deciding.provisional_line(
                    self.charge(line["charge"]), self.charge(line["charge"]).intent.effective.service_period
                ),
            )
            for line in do["lines"]
        )
        request = NewInvoice(customer=self.customer, currency=FIAT["USD"], lines=lines)
        self._in_one_save(lambda work, rounds, facts: invoicing.create(work.draft, request, facts))

    def _in_one_save(self, decide: Callable[[Work, Rounds, InvoiceFacts], object]) -> None:
        rounds = self.ledger.charges.rounds

        def decided(work: Work) -> None:
            decide(work, rounds, rounds.facts(work, self.customer, issuing=FIAT["USD"]))

        self.ledger.charges._context.send("scenario", self.customer, None, None, answer=type(None), decide=decided)

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

    def _cost_basis(self, basis: Json | None) -> CostBasis | None:
        if basis is None:
            return None
        match basis.get("mode", "fiat"):
            case "fiat":
                return FiatRate(rate=Decimal(basis["rate"]))
            case "manual":
                return ManualBasis(fiat_currency=fiat(basis["fiat"]), rate=Decimal(basis["rate"]))
            case "pinned":
                entry = self.cost_bases[basis["entry"]]
                return PinnedBasis(fiat_currency=fiat(basis["fiat"]), currency_cost_basis_id=entry)
            case "dynamic":
                return DynamicBasis(fiat_currency=fiat(basis["fiat"]))
            case other:
                raise AssertionError(f"unknown cost basis {other}")

    def _map_line_quantity(self, do: Json) -> None:
        """The periods' ends are ordinals; any instants in the same order do."""
        priors = [
            BilledRun(
                service_period_to=ordinal(run["to"]), metered_quantity=Decimal(run["quantity"]), voided="voided" in run
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

    def balance(self, account: str, cost_basis: str) -> Decimal:
        """The sum of everything booked at one account, over all currencies of the customer.

        Booked by the latest time the clock has shown: it may have gone back since.
        """
        wanted, stage = ACCOUNTS[account]
        total = Decimal(0)
        for record in self._pool_records():
            for transaction in getattr(record.body, "transactions", ()):
                if transaction.booked_at > self.latest:
                    continue
                for entry in transaction.entries:
                    if entry.account.value != wanted or (stage and entry.route.authorization != stage):
                        continue
                    if fits(entry.route.cost_basis, cost_basis):
                        total += entry.amount
        return total

    def _pool_records(self) -> list[AnyRecorded]:
        codes = [FIAT["USD"], *(self._currency(c["code"]) for c in self.setup.get("custom_currencies", []))]
        ids = [pool_id("scenario", self.customer, currency.key) for currency in codes]
        rows = [row for each in ids for row in self.ledger.store.read_stream(each)]
        return [mapper.decode(row.name, row.data) for row in rows]
