"""`ledger.charges`: create charges, advance them with the clock, patch them, and look at them.

Every command here is one save per unit: the charge's events, its runs' and the credit pool's together, with the
receipt and the rows of the index. What a decision needs of the outside (a metered quantity, what a feature key means)
is asked for before it decides and recorded in its events.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from aggregates.charges import decisions as deciding
from aggregates.charges.intent import ChargeType, SettlementMode
from aggregates.charges.requests import NewCharge, NewPurchase, NewUsageCharge, PaymentStep
from aggregates.charges.state import Charge
from aggregates.policies import Invoicing
from aggregates.values.errors import (
    AdvanceRefused,
    ChargeNotFound,
    Findings,
    LedgerError,
)
from ledger import validation
from ledger.advance import AdvancedIds, FailedAdvance, index
from ledger.charge_patches import ChargePatches, ChargesAnswer, Patch
from ledger.commands import AdvanceCharges, SetOverrideInput
from ledger.context import CommandId, Context
from ledger.ports import Meter
from ledger.sale_payments import Acting, SalePayments
from ledger.units import Unit, Work


class Advanced(msgspec.Struct, frozen=True):
    """What an advance did: the charges that moved, as they stand now, and those that refused."""

    moved: tuple[Charge, ...] = ()
    failed: tuple[FailedAdvance, ...] = ()


class InvoicedNow(msgspec.Struct, frozen=True):
    """What the receipt of "invoice now" keeps."""

    invoices: tuple[UUID, ...] = ()


class Charges(ChargePatches):
    """Commands and look-ups of charges."""

    def __init__(self, context: Context, meter: Meter) -> None:
        super().__init__(context, meter)
        self.payments = SalePayments(Acting(self._act, self._in_hand, self._walk_on))

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
        request = self.requests.usage(
            customer,
            feature=feature,
            price=price,
            period_from=period_from,
            period_to=period_to,
            currency=currency,
            **terms,
        )
        return self.create([request], command_id=command_id)[0]

    def create_flat_fee(
        self,
        customer: str,
        *,
        amount: object,
        period_from: object,
        period_to: object,
        currency: str = "USD",
        command_id: CommandId = None,
        **terms: Any,
    ) -> Charge:
        """Charge a customer one amount for a service period (lifecycles §9, §10).

        Args:
            customer: Key of an existing customer.
            amount: What the full service period costs, zero or more, rounded to the currency: "100".
            period_from: Start of the service period, inclusive; aware, cut to whole seconds.
            period_to: Its end, exclusive.
            currency: ISO code or the code of a custom currency.
            command_id: Makes a retry safe.
            **terms: `payment_term` ("in_advance", the default, or "in_arrears"), `pro_rating` (True: the amount follows
                a service period shorter than `full_service_period`), `percentage_discount`, `feature`, and what
                `create_usage` takes but a price, discounts and a unit config.

        The charge is advanced in a unit of its own afterwards, as in `create_usage`. Raises as `create_usage`.
        """
        request = self.requests.fee(
            customer, amount=amount, period_from=period_from, period_to=period_to, currency=currency, **terms
        )
        return self.create([request], command_id=command_id)[0]

    def create(self, requests: Sequence[NewCharge], *, command_id: CommandId = None) -> list[Charge]:
        """Create several charges of one customer together, or none (lifecycles §14).

        Purchases that are due are granted in the same save; usage charges that are due are advanced in a unit of
        their own. The answer is in the order of the requests. Raises as `create_usage` does, findings by index.
        """
        customer = self._one_customer(requests)
        findings = Findings()
        requests = [validation.worded(each, findings, f"intents[{n}]") for n, each in enumerate(requests)]
        validation.fail(findings)
        unit = self._context.unit("charges.create", customer, list(requests), command_id)

        def decide(work: Work) -> ChargesAnswer:
            created = self.created_within(work, customer, requests)
            index(work)
            return ChargesAnswer(created)

        answer: ChargesAnswer = self._context.units.carry_out(unit, ChargesAnswer, decide).answer
        self._auto_advance(unit, customer, requests, answer.charges)
        self._invoice_now(unit, customer, answer.charges)
        return [self._known(charge_id) for charge_id in answer.charges]

    def created_within(self, work: Work, customer: str, requests: Sequence[NewCharge]) -> tuple[UUID, ...]:
        """Create charges within a unit; purchases that are due are granted with it (lifecycles §14.1).

        A purchase that refuses, because no rate is in force for example, stays `created` and is tried again (§12.1).
        """
        facts = self._facts.of_customer(
            work,
            customer,
            features=[ref.name for request in requests if (ref := deciding.feature_wanted(request)) is not None],
            keys=[key for request in requests for key in deciding.keys_wanted(request)],
            cost_bases=[entry for request in requests if (entry := deciding.cost_basis_wanted(request)) is not None],
            looks_at_events=any(isinstance(each, NewUsageCharge) and each.looks_at_events for each in requests),
        )
        created = deciding.create(work.draft, requests, facts)
        states: dict[UUID, Charge] = {charge_id: work.draft.state(charge_id) for charge_id in created}
        bought = [key for key, charge in states.items() if charge.charge_type is ChargeType.CREDIT_PURCHASE]
        for failed in self._advancer.each(work, bought, facts).failed:
            self._context.setbacks.note("grant_failed", customer, f"charge {failed.charge}: {failed.message}")
        return created

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

    def _invoice_now(self, unit: Unit, customer: str, created: Sequence[UUID]) -> None:
        """Invoice purchases that are due at once, each by itself; what fails is tried again by the worker (§17.2)."""
        now = self._context.now()
        if self._context.look.settings().policies.invoicing is Invoicing.OUTSIDE:
            return
        for charge_id in created:
            charge = self.get(charge_id)
            is_purchase = charge.charge_type is ChargeType.CREDIT_PURCHASE and charge.gathering_line is not None
            if not is_purchase or deciding.due_line(charge, now, progressive=False) is None:
                continue
            follow_up = unit.follow_up(f"invoices.invoice_now:{charge_id}", customer)
            try:
                self._context.units.carry_out(follow_up, InvoicedNow, self._invoicing(customer, charge_id))
            except LedgerError as error:
                self._context.setbacks.note(
                    "invoice_now_failed", customer, f"charge {charge_id}: {error} ({error.code})"
                )

    def _invoicing(self, customer: str, charge_id: UUID) -> Callable[[Work], InvoicedNow]:
        def decide(work: Work) -> InvoicedNow:
            made = self.rounds.invoice_due(work, customer, (charge_id,))
            index(work)
            return InvoicedNow(made)

        return decide

    def _auto_advance(self, unit: Unit, customer: str, requests: Sequence[NewCharge], created: Sequence[UUID]) -> None:
        """Advance what is due in a unit of its own; its failure never is the creation's (lifecycles §14.1, R-24).

        Only where something was created that is settled from credit alone and is due; the rest waits for the worker.
        Nor does a purchase move the charges of its customer: it was granted with its creation.
        """
        if not any(self._is_due_from_credit(*each) for each in zip(requests, created, strict=True)):
            return
        follow_up = unit.follow_up("charges.auto_advance", customer)
        try:
            done = self._context.units.carry_out(
                follow_up, AdvancedIds, lambda work: self._advance_all(work, customer, None)
            )
        except LedgerError as error:
            self._context.setbacks.note("auto_advance_failed", customer, f"{_named(created)}: {error} ({error.code})")
            return
        for failed in () if done.repeated else done.answer.failed:
            self._context.setbacks.note("auto_advance_failed", customer, f"charge {failed.charge}: {failed.message}")

    def _is_due_from_credit(self, request: NewCharge, created: UUID) -> bool:
        if isinstance(request, NewPurchase) or request.settlement_mode is not SettlementMode.CREDIT_ONLY:
            return False
        due_at = self._known(created).advance_after
        return due_at is not None and due_at <= self._context.now()

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
            decide=lambda work: self._advance_all(work, command.customer, command.charge),
        )
        answer: AdvancedIds = done.answer
        for failed in answer.failed:
            if failed.charge == command.charge:
                raise AdvanceRefused(failed.charge, failed.code, failed.message)
        return Advanced(tuple(self._known(charge_id) for charge_id in answer.moved), answer.failed)

    def _advance_all(self, work: Work, customer: str, named: UUID | None) -> AdvancedIds:
        answer = self._advancer.customer(work, customer, named)
        self.rounds.settle(work, customer)
        index(work)
        return answer

    # ── patches ──────────────────────────────────────────────────────────────────────────────────────────────

    def apply_patches(
        self,
        customer: str,
        patches: Mapping[UUID, Patch] | Mapping[str, Patch],
        creates: Sequence[NewCharge] = (),
        *,
        command_id: CommandId = None,
    ) -> builtins.list[Charge]:
        """Apply patches by charge id, then create charges, all in one save or none of it (lifecycles §16.3).

        A deletion frees the unique reference for a creation of the same batch. The answer lists the patched charges by
        id, then the created ones in order; `ledger.batches` reads a batch from a document. Raises what the single
        commands raise; `ChargeNotFound` names an id that is no charge of the customer.
        """
        findings = Findings()
        self._context.require_customer(findings, customer)
        if not patches and not creates:
            findings.add("patches", "nothing_to_do", "name at least one patch or creation")
        validation.fail(findings)
        if creates and self._one_customer(creates) != customer:
            findings.add("creates", "several_customers", f"a batch is for one customer, for {customer} here")
            validation.fail(findings)
        named = {
            self._charge_id(charge): patch
            if isinstance(patch, SetOverrideInput)
            else validation.worded(patch, findings, f"patches.{charge}")
            for charge, patch in patches.items()
        }
        creates = [validation.worded(each, findings, f"creates[{n}]") for n, each in enumerate(creates)]
        validation.fail(findings)
        unit = self._context.unit(
            "charges.apply_patches",
            customer,
            ([(charge, type(patch).__name__, patch) for charge, patch in named.items()], list(creates)),
            command_id,
        )

        def decide(work: Work) -> ChargesAnswer:
            for charge_id in sorted(named):
                self._apply(work, customer, charge_id, named[charge_id])
            self.rounds.settle(work, customer)
            created = self.created_within(work, customer, creates) if creates else ()
            for charge_id in sorted(named):
                self._walk_on(work, charge_id)
            self.rounds.settle(work, customer)
            index(work)
            return ChargesAnswer((*sorted(named), *created))

        answer: ChargesAnswer = self._context.units.carry_out(unit, ChargesAnswer, decide).answer
        if creates:
            self._auto_advance(unit, customer, creates, answer.charges[len(named) :])
            self._invoice_now(unit, customer, answer.charges)
        return [self.get(charge_id) for charge_id in answer.charges]

    def record_payment(
        self,
        charge: UUID | str,
        step: PaymentStep | str,
        *,
        reason: str | None = None,
        command_id: CommandId = None,
    ) -> Charge:
        """Record what an outside payment provider reports of an external purchase, and the `reason` that it gives.

        `step`: `authorized`, `paid`, `failed`, `cancelled` or `charged_back`. Raises `PaymentAlreadyAuthorized` and its
        relatives of lifecycles §13, `NothingOwed`, `UnsupportedOperation`, `PreconditionFailed` for a purchase that is
        sold by invoice.
        """
        charge_id = self._charge_id(charge)
        reported = validation.choice(PaymentStep, "step", step)
        return self.payments.report(charge_id, reported, reason, command_id)


def _named(charges: Sequence[UUID]) -> str:
    return f"charges {', '.join(str(charge_id) for charge_id in charges)}"
