"""Plays one lifecycle scenario through the public facade, with `Policies.reference()` and a settable clock.

Where credit comes from in a scenario (its allocator) is set up as grants (decision 43): `unlimited` and `none` need
nothing, because a credit-only shortfall is advance of the same amount; `up_to` is a promotional grant before the first
step; `scripted` grants each amount before the step of its call. Faults go through the facade's probe.

What a scenario needs and the product does not offer yet raises `OutOfSlice` with the reason: such a scenario is
reported as skipped, by that reason, and never silently.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

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
from aggregates.charges.requests import (
    AnyPatch,
    Bounds,
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
    UsageTerms,
)
from aggregates.charges.state import Charge
from aggregates.event import AnyRecorded
from aggregates.policies import Policies
from aggregates.rating.prices import (
    AnyPrice,
    DynamicPrice,
    FlatPrice,
    PackagePrice,
    PercentageDiscount,
    Tier,
    TieredPrice,
    UnitPrice,
)
from aggregates.runs.quantities import BilledRun, line_quantity
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import Unavailable
from aggregates.values.identifiers import pool_id
from aggregates.values.money import FIAT, Currency, fiat
from aggregates.values.period import Instant, timestamp
from ledger.facade import Ledger
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from ledger.store import mapper

Json = dict[str, Any]

CALLS = {
    "allocator": "credit_pool.CreditCollected",
    "corrector": "credit_pool.CreditReturned",
    "meter": "meter.quantity",
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
        "map_line_quantity",
        "change_billing_profile",
        "set_fault",
        "none",
    }
)


class OutOfSlice(Exception):
    """The scenario needs something that is not offered yet; the reason says what."""


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
            raise OutOfSlice(f"faults of the {port}")
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
        if setup.get("given"):
            raise OutOfSlice("a charge placed in the middle of a lifecycle of invoices")
        self.setup = setup
        self.clock = SettableClock(setup["clock"])
        self.faults = Faults()
        self.logged = Logged()
        self.ledger = Ledger.open(
            "memory:", clock=self.clock, policies=Policies.reference(), probe=self.faults, namespace="scenario"
        )
        self.ledger.settings.change_tax(setup.get("tax_codes", []))
        self.charges: dict[str, UUID] = {}
        self.cost_bases: dict[str, UUID] = {}
        self.line: Json = {}
        self.moved: list[str] = []
        self.worker_customers: list[str] = []
        self.customer: str = setup.get("customer", "cust")
        for key in [*setup.get("customers", []), self.customer]:
            self.ledger.customers.create(key)
        profile = setup.get("billing_profile", {})
        if "collection_interval" in profile:
            self.ledger.settings.change_default_profile(collection_interval=profile["collection_interval"])
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
        self._prepare_credit(setup.get("allocator"))

    def _prepare_credit(self, allocator: object) -> None:
        self.scripted: list[str] = []
        if isinstance(allocator, dict) and "up_to" in allocator:
            self.ledger.credits.grant(self.customer, allocator["up_to"])
        elif isinstance(allocator, dict) and "scripted" in allocator:
            raise OutOfSlice("a scripted allocator")

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────

    def play(self, do: Json) -> None:
        command = do["command"]
        if command not in OFFERED:
            raise OutOfSlice(f"the command {command}")
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
        if intent["settlement_mode"] != SettlementMode.CREDIT_ONLY.value and (
            not intent.get("cost_basis") or intent.get("currency") == "TOKENS"
        ):
            raise OutOfSlice(f"flat fees settled by {intent['settlement_mode']}")
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
                service_period=_bounds(intent["service_period"]),
                full_service_period=_optional_bounds(intent.get("full_service_period")),
                billing_period=_optional_bounds(intent.get("billing_period")),
                invoice_at=_optional_time(intent.get("invoice_at")),
                amount=Decimal(intent["amount"]),
                payment_term=intent["payment_term"],
                pro_rating=ProRating.PRORATE_PRICES.value if intent.get("pro_rating") else None,
                percentage_discount=_discount(discount),
            ),
        )

    def _usage(self, intent: Json, customer: str) -> NewUsageCharge:
        if intent["settlement_mode"] != SettlementMode.CREDIT_ONLY.value and intent.get("currency", "USD") == "USD":
            raise OutOfSlice(f"usage settled by {intent['settlement_mode']}")
        period = _bounds(intent["service_period"])
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
                full_service_period=_optional_bounds(intent.get("full_service_period")),
                billing_period=_optional_bounds(intent.get("billing_period")),
                invoice_at=_optional_time(intent.get("invoice_at")),
                price=price(intent["price"]),
            ),
        )

    def _purchase(self, intent: Json, customer: str) -> NewPurchase:
        settlement = intent["settlement"]
        if settlement["type"] == "invoice":
            raise OutOfSlice("purchases settled by invoice")
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
            effective_at=_optional_time(intent.get("effective_at")),
            expires_at=_optional_time(intent.get("expires_at")),
            priority=intent.get("priority"),
            feature_filters=tuple(filters) if filters is not None else None,
            key=intent.get("key"),
            service_period=_optional_bounds(intent.get("service_period")),
        )

    def _advance_charges(self, do: Json) -> None:
        advanced = self.ledger.charges.advance(str(do.get("customer", self.customer)))
        names = {charge_id: name for name, charge_id in self.charges.items()}
        self.moved = [names.get(charge.id, str(charge.id)) for charge in advanced.moved]

    def _run_worker(self, do: Json) -> None:
        report = self.ledger.worker.run_once()
        self.worker_customers = [*report.succeeded, *(failed.customer for failed in report.failed)]

    def _store_event(self, do: Json) -> None:
        number = sum(1 for _ in self.ledger.usage_store.events("scenario", _window(do, self.customer)))
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
            case "delete":
                return Delete(credit_refund=CreditRefund(patch.get("credit_refund", "correct")), source=source)
            case other:
                raise OutOfSlice(f"the patch {other}")

    def _set_override(self, do: Json) -> None:
        charge = self.charges[do["charge"]]
        changes: Json = {}
        period = self.ledger.charges.get(charge).intent.effective.service_period
        if "service_period_to" in do or "service_period_from" in do:
            changes["service_period"] = {
                "from_": do.get("service_period_from", period.from_),
                "to": do.get("service_period_to", period.to),
            }
        if "price" in do:
            changes["price"] = price(do["price"])
        if "amount" in do:
            changes["amount"] = do["amount"]
        unknown = set(do) - {"command", "charge", "service_period_to", "service_period_from", "price", "amount"}
        assert not unknown, f"an override of {', '.join(sorted(unknown))}"
        self.ledger.charges.set_override(charge, **changes)

    def _clear_override(self, do: Json) -> None:
        self.ledger.charges.clear_override(self.charges[do["charge"]])

    def _purchase_payment(self, do: Json) -> None:
        self.ledger.credits.record_payment(self.charges[do["charge"]], do["trigger"])

    def _void_purchase(self, do: Json) -> None:
        self.ledger.credits.void(self.charges[do["charge"]])

    def _change_billing_profile(self, do: Json) -> None:
        self.ledger.settings.change_default_profile(collection_interval=do["collection_interval"])

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
                service_period_to=_ordinal(run["to"]), metered_quantity=Decimal(run["quantity"]), voided="voided" in run
            )
            for run in do["prior_runs"]
        ]
        current = do["current"]
        quantity = line_quantity(priors, _ordinal(current["to"]), Decimal(current["quantity"]))
        self.line = {"quantity": quantity.quantity, "pre_line_quantity": quantity.pre_line_quantity}

    def _currency(self, code: str) -> Currency:
        return FIAT[code] if code in FIAT else self.ledger.catalogue.currency(code)

    # ── what can be seen afterwards ──────────────────────────────────────────────────────────────────────────

    def records(self, after: int) -> list[AnyRecorded]:
        rows = self.ledger.store.read_log(after, 1_000_000)
        return [mapper.decode(row.name, row.data) for row in rows]

    def charge(self, name: str) -> Charge:
        return self.ledger.charges.get(self.charges[name])

    def runs(self, charge: Charge) -> list[RealizationRun]:
        return self.ledger.charges.runs(charge.id)

    def balance(self, account: str, cost_basis: str) -> Decimal:
        """The sum of everything booked by now at one account, over all currencies of the customer."""
        wanted, stage = ACCOUNTS[account]
        total = Decimal(0)
        for record in self._pool_records():
            for transaction in getattr(record.body, "transactions", ()):
                if transaction.booked_at > self.clock.now():
                    continue
                for entry in transaction.entries:
                    if entry.account.value != wanted or (stage and entry.route.authorization != stage):
                        continue
                    if _fits(entry.route.cost_basis, cost_basis):
                        total += entry.amount
        return total

    def _pool_records(self) -> list[AnyRecorded]:
        codes = [FIAT["USD"], *(self._currency(c["code"]) for c in self.setup.get("custom_currencies", []))]
        ids = [pool_id("scenario", self.customer, currency.key) for currency in codes]
        rows = [row for each in ids for row in self.ledger.store.read_stream(each)]
        return [mapper.decode(row.name, row.data) for row in rows]


ACCOUNTS = {
    "free": ("customer_fbo", None),
    "accrued": ("customer_accrued", None),
    "receivable_open": ("customer_receivable", "open"),
    "receivable_authorized": ("customer_receivable", "authorized"),
    "wash": ("wash", None),
    "earnings": ("earnings", None),
    "breakage": ("breakage", None),
}


def _fits(cost_basis: Decimal | None, wanted: str) -> bool:
    if wanted == "*":
        return True
    return cost_basis is None if wanted == "none" else cost_basis is not None and cost_basis == Decimal(wanted)


def _window(do: Json, customer: str) -> Any:
    from ledger.metering.store import Window

    return Window(customer=do.get("customer", customer), meter=do["meter"])


def _ordinal(number: str) -> Instant:
    return Instant(datetime(2026, 1, int(number), tzinfo=UTC))


def _bounds(period: Json) -> Bounds:
    return Bounds(timestamp(period["from"]), timestamp(period["to"]))


def _optional_bounds(period: Json | None) -> Bounds | None:
    return _bounds(period) if period else None


def _optional_time(moment: str | None) -> Any:
    return timestamp(moment) if moment else None


def _discount(given: Json | None) -> PercentageDiscount | None:
    if given is None:
        return None
    return PercentageDiscount(percentage=Decimal(given["percentage"]), correlation_id=given.get("correlation_id", ""))


def price(given: Json) -> AnyPrice:
    """A price of the scenario's notation."""
    match given["type"]:
        case "unit":
            return UnitPrice(amount=Decimal(given["amount"]))
        case "tiered":
            tiers = tuple(
                Tier(
                    up_to_amount=_number(tier.get("up_to")),
                    unit_price=_number(tier.get("unit")),
                    flat_price=_number(tier.get("flat")),
                )
                for tier in given["tiers"]
            )
            return TieredPrice(mode=given["mode"], tiers=tiers)
        case "package":
            return PackagePrice(
                amount=Decimal(given["amount"]), quantity_per_package=Decimal(given["quantity_per_package"])
            )
        case "dynamic":
            return DynamicPrice(multiplier=Decimal(given.get("multiplier", "1")))
        case "flat":
            return FlatPrice(amount=Decimal(given["amount"]))
        case other:
            raise AssertionError(f"unknown price {other}")


def _number(given: str | None) -> Decimal | None:
    return None if given is None else Decimal(given)
