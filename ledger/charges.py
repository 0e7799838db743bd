"""`ledger.charges`: create charges, advance them with the clock, patch them, and look at them.

Every command here is one save per unit: the charge's events, its runs' and the credit pool's together, with the
receipt and the rows of the index. What a decision needs of the outside (a metered quantity, what a feature key means)
is asked for before it decides and recorded in its events.
"""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import msgspec

from aggregates.charges import decisions as deciding
from aggregates.charges import state as charge_state
from aggregates.charges.events import CreditRefund
from aggregates.charges.facts import Facts
from aggregates.charges.intent import ChargeType, FeatureRef, TaxConfig, UsageLayer
from aggregates.charges.proposal import keys_of
from aggregates.charges.requests import (
    Bounds,
    ClearOverride,
    Delete,
    MovePeriodEnd,
    NewCharge,
    NewUsageCharge,
    PatchSource,
    PaymentStep,
    SetOverride,
    UsageTerms,
)
from aggregates.charges.state import Charge
from aggregates.journal.chart import TaxBehavior
from aggregates.rating.prices import NO_DISCOUNTS
from aggregates.runs import state as run_state
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import (
    AdvanceRefused,
    ChargeNotFound,
    FeatureNotFound,
    Findings,
    LedgerError,
    PreconditionFailed,
    RunNotFound,
)
from aggregates.values.period import instant
from ledger import validation
from ledger.advance import AdvancedIds, Advancer, FailedAdvance, index
from ledger.commands import (
    AdvanceCharges,
    BoundsInput,
    CreateUsageCharge,
    DeleteInput,
    MovePeriodEndInput,
    SetOverrideInput,
)
from ledger.context import CommandId, Context
from ledger.facts import FactFinder
from ledger.ports import Meter
from ledger.units import Unit, Work

log = logging.getLogger(__name__)


class Advanced(msgspec.Struct, frozen=True):
    """What an advance did: the charges that moved, as they stand now, and those that refused."""

    moved: tuple[Charge, ...] = ()
    failed: tuple[FailedAdvance, ...] = ()


class ChargesAnswer(msgspec.Struct, frozen=True):
    """What the receipt of a creation or a patch keeps: the charges concerned, in the order of the command."""

    charges: tuple[UUID, ...] = ()


class MovePeriodEnds(NamedTuple):
    """An extension or a shrink as it came in, before anything about it is checked."""

    operation: str
    charge: UUID | str
    to: object
    source: PatchSource
    ends: dict[str, Any]


Patch: TypeAlias = Callable[[Work, Facts], object]


class Charges:
    """Commands and look-ups of charges."""

    def __init__(self, context: Context, meter: Meter) -> None:
        self._context = context
        self._facts = FactFinder(context, meter)
        self._advancer = Advancer(context, self._facts)

    # ── creating ─────────────────────────────────────────────────────────────────────────────────────────────

    def create_usage(
        self,
        customer: str,
        *,
        feature: str,
        price: object,
        period_from: object,
        period_to: object,
        currency: str = "USD",
        command_id: CommandId = None,
        **terms: Any,
    ) -> Charge:
        """Charge a customer for the usage of a metered feature over a service period (lifecycles §7).

        Args:
            customer: Key of an existing customer.
            feature: Key or id of a feature with a meter.
            price: A price struct (`ledger.unit("0.000003")`, `ledger.graduated(...)`) or a mapping of the same shape.
            period_from: Start of the service period, inclusive; aware, cut to whole seconds.
            period_to: Its end, exclusive.
            currency: ISO code or the code of a custom currency.
            command_id: Makes a retry safe.
            **terms: `settlement_mode` ("credit_only"), `name`, `discounts`, `unit_config`, `unique_reference_id`,
                `full_service_period`, `billing_period`, `invoice_at`, `description`, `metadata`, `managed_by`,
                `tax_code`, `tax_behavior`, `annotations`.

        The charge is advanced in a unit of its own afterwards; a failure there is logged and does not undo the
        creation (lifecycles §14.1).

        Raises:
            ValidationFailed: everything wrong with the input, at once; nothing was written.
            CustomerNotFound, CurrencyNotFound, FeatureNotFound, MeterNotFound: when that alone is wrong.
            ReferenceInUse: the unique reference belongs to another charge.
        """
        findings = Findings()
        command = validation.parse(
            CreateUsageCharge,
            findings,
            customer=customer,
            feature=feature,
            price=price,
            service_period={"from_": period_from, "to": period_to},
            currency=currency,
            name=terms.pop("name", None) or feature,
            **terms,
        )
        self._context.require_customer(findings, customer)
        found = self._context.find_currency(findings, currency)
        self._require_feature(findings, feature)
        _period_order(findings, period_from, period_to)
        validation.fail(findings)
        assert command is not None
        assert found is not None
        request = NewUsageCharge(
            customer=command.customer,
            currency=found,
            settlement_mode=command.settlement_mode,
            feature=FeatureRef(key=command.feature),
            terms=UsageTerms(
                name=command.name,
                service_period=_bounds(command.service_period),
                full_service_period=_optional_bounds(command.full_service_period),
                billing_period=_optional_bounds(command.billing_period),
                invoice_at=command.invoice_at,
                price=command.price,
                discounts=command.discounts or NO_DISCOUNTS,
                unit_config=command.unit_config,
                description=command.description,
                metadata=command.metadata,
            ),
            managed_by=command.managed_by,
            tax=_tax(command.tax_code, command.tax_behavior),
            unique_reference_id=command.unique_reference_id,
            annotations=command.annotations,
        )
        return self.create([request], command_id=command_id)[0]

    def create(self, requests: Sequence[NewCharge], *, command_id: CommandId = None) -> list[Charge]:
        """Create several charges of one customer together, or none (lifecycles §14).

        Purchases that are due are granted in the same save; usage charges that are due are advanced in a unit of
        their own. The answer is in the order of the requests. Raises as `create_usage` does, findings by index.
        """
        customer = self._one_customer(requests)
        unit = self._context.unit("charges.create", customer, list(requests), command_id)

        def decide(work: Work) -> ChargesAnswer:
            features = [ref.name for request in requests if (ref := deciding.feature_wanted(request)) is not None]
            keys = [key for request in requests for key in deciding.keys_wanted(request)]
            facts = self._facts.of_customer(work, customer, features=features, keys=keys)
            created = deciding.create(work.draft, requests, facts)
            for charge_id in created:
                charge: Charge = work.draft.state(charge_id)
                if charge.charge_type is ChargeType.CREDIT_PURCHASE:
                    self._advancer.charge(work, charge_id, facts)
            index(work)
            return ChargesAnswer(tuple(created))

        answer: ChargesAnswer = self._context.units.carry_out(unit, ChargesAnswer, decide).answer
        self._auto_advance(unit, customer)
        return [self._known(charge_id) for charge_id in answer.charges]

    def _one_customer(self, requests: Sequence[NewCharge]) -> str:
        findings = Findings()
        keys = sorted({request.customer for request in requests})
        if not requests:
            findings.add("charges", "no_charges", "name at least one charge to create")
        if len(keys) > 1:
            findings.add("charges", "several_customers", f"one creation is for one customer, not for {', '.join(keys)}")
        for number, request in enumerate(requests):
            self._context.require_customer(findings, request.customer, f"intents[{number}].customer")
        validation.fail(findings)
        return keys[0]

    def _require_feature(self, findings: Findings, feature: object) -> None:
        if not isinstance(feature, str) or not feature.strip():
            return
        try:
            self._context.look.feature(feature.strip())
        except FeatureNotFound:
            validation.missing(findings, "feature", FeatureNotFound, feature)

    def _auto_advance(self, unit: Unit, customer: str) -> None:
        """Advance what is due in a unit of its own; its failure never is the creation's (lifecycles §14.1, R-24)."""
        follow_up = unit.follow_up("charges.auto_advance", customer)
        try:
            done = self._context.units.carry_out(
                follow_up, AdvancedIds, lambda work: self._advancer.customer(work, customer)
            )
        except LedgerError as error:
            log.warning("auto_advance_failed: customer %s: %s (%s)", customer, error, error.code)
            return
        for failed in done.answer.failed:
            log.warning("auto_advance_failed: customer %s, charge %s: %s", customer, failed.charge, failed.message)

    # ── advancing ────────────────────────────────────────────────────────────────────────────────────────────

    def advance(self, customer: str, charge: UUID | str | None = None, *, command_id: CommandId = None) -> Advanced:
        """Advance every charge of a customer that is due, or one that is named (lifecycles §15).

        Charges go in order of creation, all in one save. One that refuses contributes only the record of its failure,
        and the answer lists it; a call that names one charge raises instead, after that record is saved. Advancing
        twice at the same instant does nothing the second time.

        Raises:
            CustomerNotFound, ChargeNotFound: nothing of that name.
            AdvanceRefused: the named charge refused.
            Unavailable: a meter or the store did not answer; nothing was saved.
        """
        findings = Findings()
        command = validation.parse(AdvanceCharges, findings, customer=customer, charge=charge)
        self._context.require_customer(findings, customer)
        validation.fail(findings)
        assert command is not None
        if command.charge is not None and self._known(command.charge).customer != command.customer:
            raise ChargeNotFound(command.charge)
        done = self._context.send(
            "charges.advance",
            command.customer,
            command,
            command_id,
            answer=AdvancedIds,
            decide=lambda work: self._advancer.customer(work, command.customer, command.charge),
        )
        answer: AdvancedIds = done.answer
        for failed in answer.failed:
            if failed.charge == command.charge:
                raise AdvanceRefused(failed.charge, failed.code, failed.message)
        return Advanced(tuple(self._known(charge_id) for charge_id in answer.moved), answer.failed)

    # ── patches ──────────────────────────────────────────────────────────────────────────────────────────────

    def extend(
        self,
        charge: UUID | str,
        *,
        service_period_to: object,
        source: PatchSource = PatchSource.SYSTEM,
        command_id: CommandId = None,
        **ends: Any,
    ) -> Charge:
        """Let the periods end later; runs that were started are voided and the charge begins again (lifecycles §7.2).

        `ends`: `full_service_period_to`, `billing_period_to`, `invoice_at` (all default to the new service end) and
        `intent_version`. Raises `ValidationFailed`, `ChargeNotFound`, `StalePatch`, `UnsupportedOperation`.
        """
        asked = MovePeriodEnds("extend", charge, service_period_to, source, ends)
        return self._move_end(asked, command_id)

    def shrink(
        self,
        charge: UUID | str,
        *,
        service_period_to: object,
        source: PatchSource = PatchSource.SYSTEM,
        command_id: CommandId = None,
        **ends: Any,
    ) -> Charge:
        """Let the periods end earlier; as `extend`."""
        asked = MovePeriodEnds("shrink", charge, service_period_to, source, ends)
        return self._move_end(asked, command_id)

    def _move_end(self, asked: MovePeriodEnds, command_id: CommandId) -> Charge:
        findings = Findings()
        command = validation.parse(
            MovePeriodEndInput, findings, charge=asked.charge, service_period_to=asked.to, **asked.ends
        )
        validation.fail(findings)
        assert command is not None
        patch = MovePeriodEnd(
            service_period_to=command.service_period_to,
            full_service_period_to=command.full_service_period_to,
            billing_period_to=command.billing_period_to,
            invoice_at=command.invoice_at,
            source=asked.source,
            intent_version=command.intent_version,
        )
        move = deciding.extend if asked.operation == "extend" else deciding.shrink
        return self._patch(
            asked.operation,
            command.charge,
            patch,
            command_id,
            lambda work, facts: move(work.draft, command.charge, patch, facts),
        )

    def set_override(
        self,
        charge: UUID | str,
        *,
        source: PatchSource = PatchSource.API,
        command_id: CommandId = None,
        **changes: Any,
    ) -> Charge:
        """Lay an override over the base: the effective terms with the named fields replaced (lifecycles §16).

        `changes`: `price`, `service_period` (`{"from_": …, "to": …}`), `full_service_period`, `billing_period`,
        `invoice_at`, `name`, `discounts`, `unit_config`, `intent_version`. Raises as `extend`.
        """
        findings = Findings()
        command = validation.parse(SetOverrideInput, findings, charge=charge, **changes)
        validation.fail(findings)
        assert command is not None
        layer = self.get(command.charge).intent.effective
        if not isinstance(layer, UsageLayer):
            raise PreconditionFailed("only usage-based charges take an override", command.charge)
        patch = SetOverride(
            terms=_overridden(UsageTerms.of(layer), command), source=source, intent_version=command.intent_version
        )
        return self._patch(
            "set_override",
            command.charge,
            patch,
            command_id,
            lambda work, facts: deciding.set_override(work.draft, command.charge, patch, facts),
        )

    def clear_override(
        self, charge: UUID | str, *, intent_version: int | None = None, command_id: CommandId = None
    ) -> Charge:
        """Let the base hold again; without an override nothing happens. Raises as `extend`."""
        charge_id = self._charge_id(charge)
        patch = ClearOverride(intent_version=intent_version)
        return self._patch(
            "clear_override",
            charge_id,
            patch,
            command_id,
            lambda work, facts: deciding.clear_override(work.draft, charge_id, patch, facts),
        )

    def delete(
        self,
        charge: UUID | str,
        *,
        credit_refund: CreditRefund = CreditRefund.CORRECT,
        source: PatchSource = PatchSource.API,
        intent_version: int | None = None,
        command_id: CommandId = None,
    ) -> Charge:
        """Delete a charge; under `correct` its runs are voided and their credit returned (lifecycles §16.6)."""
        findings = Findings()
        command = validation.parse(
            DeleteInput, findings, charge=charge, credit_refund=credit_refund, intent_version=intent_version
        )
        validation.fail(findings)
        assert command is not None
        patch = Delete(source=source, credit_refund=command.credit_refund, intent_version=command.intent_version)
        return self._patch(
            "delete",
            command.charge,
            patch,
            command_id,
            lambda work, facts: deciding.delete(work.draft, command.charge, patch, facts),
        )

    def record_payment(self, charge: UUID | str, step: PaymentStep | str, *, command_id: CommandId = None) -> Charge:
        """Record what an outside payment provider reports of an external purchase: `authorized` or `paid`.

        Raises `PaymentAlreadyAuthorized` and its relatives of lifecycles §13, `UnsupportedOperation`.
        """
        charge_id = self._charge_id(charge)
        reported = PaymentStep(step)
        return self._patch(
            "record_payment",
            charge_id,
            reported,
            command_id,
            lambda work, facts: deciding.report_payment(work.draft, charge_id, reported, facts),
        )

    def void_purchase(self, charge: UUID | str, *, command_id: CommandId = None) -> Charge:
        """Take back what is left of a purchase; what was consumed stays consumed (lifecycles §11.4).

        Voiding again answers the first result. Raises `NothingToVoid` when all is consumed or expired.
        """
        charge_id = self._charge_id(charge)
        return self._patch(
            "void_purchase",
            charge_id,
            None,
            command_id,
            lambda work, facts: deciding.void_purchase(work.draft, charge_id, facts),
        )

    def _patch(self, name: str, charge_id: UUID, content: object, command_id: CommandId, apply: Patch) -> Charge:
        """Apply a patch to one charge and let it walk on from there, in one save."""
        before = self._known(charge_id)
        customer = before.customer
        asked = (charge_id, content)

        def decide(work: Work) -> ChargesAnswer:
            charge: Charge | None = work.state(before.stream)
            if charge is None:
                raise ChargeNotFound(charge_id)
            work.load(*deciding.streams_needed(charge))
            keys = keys_of(charge.customer, charge.identity)
            facts = self._facts.of_customer(work, customer, features=deciding.features_needed(charge), keys=keys)
            apply(work, facts)
            self._advancer.charge(work, charge_id, facts)
            index(work)
            return ChargesAnswer((charge_id,))

        self._context.send(f"charges.{name}", customer, asked, command_id, answer=ChargesAnswer, decide=decide)
        return self._known(charge_id)

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, charge: UUID | str) -> Charge:
        """The charge as it stands, right after any command. Raises `ChargeNotFound`."""
        charge_id = self._charge_id(charge)
        state: Charge | None = self._context.repository.load(charge_state.stream(charge_id, "")).state
        if state is None or state.namespace != self._context.namespace:
            raise ChargeNotFound(charge_id)
        return state

    def list(self, customer: str) -> list[Charge]:
        """All charges of a customer in order of creation, deleted ones included. Raises `CustomerNotFound`."""
        self._context.look.customer(customer)
        rows = self._context.repository.store.charges_of(self._context.namespace, customer)
        streams = [charge_state.stream(row.charge, customer) for row in rows]
        return [entry.state for entry in self._context.repository.load_all(streams)]

    def run(self, run: UUID | str) -> RealizationRun:
        """A realization run as it stands. Raises `RunNotFound`."""
        run_id = UUID(str(run))
        state: RealizationRun | None = self._context.repository.load(run_state.stream(run_id, "")).state
        if state is None:
            raise RunNotFound(run_id)
        return state

    def runs(self, charge: UUID | str) -> builtins.list[RealizationRun]:
        """All runs of a charge in order of creation, voided ones included."""
        streams = [run_state.stream(entry.run_id, "") for entry in self.get(charge).runs]
        return [entry.state for entry in self._context.repository.load_all(streams)]

    def _known(self, charge_id: UUID) -> Charge:
        """The charge as this process knows it, which is at least as it has just been saved; else from the store."""
        cached = self._context.repository.cached(charge_state.stream(charge_id, ""))
        known = cached.state if cached is not None else None
        if isinstance(known, Charge) and known.namespace == self._context.namespace:
            return known
        return self.get(charge_id)

    def _charge_id(self, charge: UUID | str) -> UUID:
        try:
            return charge if isinstance(charge, UUID) else UUID(charge)
        except ValueError:
            raise ChargeNotFound(charge) from None


def _tax(code: str | None, behavior: TaxBehavior | None) -> TaxConfig | None:
    return TaxConfig(tax_code_id=code, behavior=behavior) if code or behavior else None


def _bounds(bounds: BoundsInput) -> Bounds:
    return Bounds(bounds.from_, bounds.to)


def _optional_bounds(bounds: BoundsInput | None) -> Bounds | None:
    return _bounds(bounds) if bounds is not None else None


def _period_order(findings: Findings, from_: object, to: object) -> None:
    """Note a service period that ends before it begins, whatever else is wrong with the command."""
    try:
        begins, ends = instant(from_), instant(to)  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError):
        return  # what is no time has its own finding
    if ends < begins:
        message = f"a period cannot end ({ends.isoformat()}) before it begins ({begins.isoformat()})"
        findings.add("service_period", "period_backwards", message)


def _overridden(terms: UsageTerms, command: SetOverrideInput) -> UsageTerms:
    """The terms with the named fields replaced. A new service period takes the other two along, as at creation."""
    changes: dict[str, Any] = {
        name: value
        for name in ("price", "invoice_at", "name", "discounts", "unit_config")
        if (value := getattr(command, name)) is not None
    }
    for name in ("service_period", "full_service_period", "billing_period"):
        bounds: BoundsInput | None = getattr(command, name)
        if bounds is not None:
            changes[name] = _bounds(bounds)
    return msgspec.structs.replace(terms, **changes)
