"""Changing one charge that is there: its period, an override, its deletion, and what is asked of it by hand.

Each is one save: the charge's events, its runs', its invoice's and the credit pool's together. What a charge was asked
is decided first; then it walks on as far as the clock allows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import msgspec

from aggregates.charges import decisions as deciding
from aggregates.charges.events import CreditRefund, InvoiceRefund
from aggregates.charges.facts import Facts
from aggregates.charges.late import Ordered
from aggregates.charges.requests import (
    AnyPatch,
    ClearOverride,
    Delete,
    Extend,
    PatchSource,
    SetOverride,
    Shrink,
    ShrinkToRealized,
)
from aggregates.charges.state import Charge
from aggregates.values.errors import Findings
from ledger import validation
from ledger.advance import index
from ledger.charge_lookups import ChargeLookups
from ledger.commands import DeleteInput, MovePeriodEndInput, SetOverrideInput
from ledger.context import CommandId
from ledger.terms import overridden
from ledger.units import Work


class ChargesAnswer(msgspec.Struct, frozen=True):
    """What the receipt of a creation or a patch keeps: the charges concerned, in the order of the command."""

    charges: tuple[UUID, ...] = ()


class MovePeriodEnds(NamedTuple):
    """An extension or a shrink as it came in, before anything about it is checked."""

    operation: str
    charge: UUID | str
    to: object
    source: PatchSource | str
    ends: dict[str, Any]


Patch: TypeAlias = AnyPatch | SetOverrideInput
"""A patch in full; or an override by the fields it changes, which is laid over the terms that are in hand."""
Act: TypeAlias = Callable[[Work, Facts], object]


class ChargePatches(ChargeLookups):
    """Commands about one charge."""

    def extend(
        self,
        charge: UUID | str,
        *,
        service_period_to: object,
        source: PatchSource | str = PatchSource.SYSTEM,
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
        source: PatchSource | str = PatchSource.SYSTEM,
        command_id: CommandId = None,
        **ends: Any,
    ) -> Charge:
        """Let the periods end earlier; as `extend`."""
        asked = MovePeriodEnds("shrink", charge, service_period_to, source, ends)
        return self._move_end(asked, command_id)

    def shrink_to_realized(
        self,
        charge: UUID | str,
        *,
        service_period_to: object,
        intent_version: int | None = None,
        command_id: CommandId = None,
    ) -> Charge:
        """End usage that is billed in parts where its latest run ends; what came after is not billed (lifecycles §8.4).

        `service_period_to` says where the caller believes that is. Raises as `extend`, and
        `CannotEditProgressivelyBilledLine` when the latest run ends elsewhere.
        """
        findings = Findings()
        command = validation.parse(
            MovePeriodEndInput,
            findings,
            charge=charge,
            service_period_to=service_period_to,
            intent_version=intent_version,
        )
        validation.fail(findings)
        assert command is not None
        patch = ShrinkToRealized(service_period_to=command.service_period_to, intent_version=command.intent_version)
        return self._patch("shrink_to_realized", command.charge, patch, command_id)

    def _move_end(self, asked: MovePeriodEnds, command_id: CommandId) -> Charge:
        findings = Findings()
        command = validation.parse(
            MovePeriodEndInput,
            findings,
            charge=asked.charge,
            service_period_to=asked.to,
            source=asked.source,
            **asked.ends,
        )
        validation.fail(findings)
        assert command is not None
        move = Extend if asked.operation == "extend" else Shrink
        patch = move(
            service_period_to=command.service_period_to,
            full_service_period_to=command.full_service_period_to,
            billing_period_to=command.billing_period_to,
            invoice_at=command.invoice_at,
            source=command.source,
            intent_version=command.intent_version,
        )
        return self._patch(asked.operation, command.charge, patch, command_id)

    def set_override(
        self,
        charge: UUID | str,
        *,
        source: PatchSource | str = PatchSource.API,
        command_id: CommandId = None,
        **changes: Any,
    ) -> Charge:
        """Lay an override over the base: the effective terms with the named fields replaced (lifecycles §16).

        `changes`: `service_period` (`{"from_": …, "to": …}`), `full_service_period`, `billing_period`, `invoice_at`,
        `name`, `description`, `metadata`, `intent_version`; for usage `price`, `discounts`, `unit_config`; for a flat
        fee `amount`, `percentage_discount`, `payment_term`, `pro_rating`. Of usage that was invoiced in part, the new
        `service_period` begins where the last issued part ends, or later. Raises as `extend`, `OverridesBilledUsage`.
        """
        findings = Findings()
        command = validation.parse(SetOverrideInput, findings, charge=charge, source=source, **changes)
        validation.fail(findings)
        assert command is not None
        charge_id = command.charge

        def lay(work: Work, facts: Facts) -> object:
            return deciding.apply(work.draft, charge_id, _laid(work, charge_id, command), facts)

        return self._act("set_override", charge_id, command, command_id, lay)

    def clear_override(
        self, charge: UUID | str, *, intent_version: int | None = None, command_id: CommandId = None
    ) -> Charge:
        """Let the base hold again; without an override nothing happens. Raises as `extend`."""
        charge_id = self._charge_id(charge)
        return self._patch("clear_override", charge_id, ClearOverride(intent_version=intent_version), command_id)

    def delete(
        self,
        charge: UUID | str,
        *,
        credit_refund: CreditRefund | str = CreditRefund.CORRECT,
        invoice_refund: InvoiceRefund | str = InvoiceRefund.GRANT_CREDITS,
        source: PatchSource | str = PatchSource.API,
        intent_version: int | None = None,
        command_id: CommandId = None,
    ) -> Charge:
        """Delete a charge; under `correct` its runs are voided and their credit returned (lifecycles §16.6).

        `invoice_refund`: issued lines are credited where credit notes are on; what had been paid of them becomes credit
        (`grant_credits`), is paid back (`refund`), or stays unapplied credit (`ignore`). Raises as `extend`.
        """
        findings = Findings()
        command = validation.parse(
            DeleteInput,
            findings,
            charge=charge,
            credit_refund=credit_refund,
            invoice_refund=invoice_refund,
            source=source,
            intent_version=intent_version,
        )
        validation.fail(findings)
        assert command is not None
        patch = Delete(
            source=command.source,
            credit_refund=command.credit_refund,
            invoice_refund=command.invoice_refund,
            intent_version=command.intent_version,
        )
        return self._patch("delete", command.charge, patch, command_id)

    def bill_late_usage(self, charge: UUID | str, *, command_id: CommandId = None) -> Charge:
        """Bill usage of a charge that was stored late and is not billed, whatever the policy says (decision 24).

        What it adds is paid from credit, or waits to be invoiced; what it takes away is given back. Raises
        `ChargeNotFound`, `NoLateUsage`, `ActiveRunAlreadyExists` while an invoice of the charge is not issued,
        `UnsupportedOperation` before the charge is realized.
        """
        return self._take_up_late_usage("bill_late_usage", charge, Ordered.BILL, command_id)

    def dismiss_late_usage(self, charge: UUID | str, *, command_id: CommandId = None) -> Charge:
        """Decide that late usage of a charge is not billed, until more of it arrives. Raises as `bill_late_usage`."""
        return self._take_up_late_usage("dismiss_late_usage", charge, Ordered.DISMISS, command_id)

    def _take_up_late_usage(self, name: str, charge: UUID | str, ordered: Ordered, command_id: CommandId) -> Charge:
        charge_id = self._charge_id(charge)

        def act(work: Work, facts: Facts) -> bool:
            known = self._facts.of_late_usage(work, work.draft.state(charge_id), facts)
            return deciding.take_up_late_usage(work.draft, charge_id, ordered, known)

        return self._act(name, charge_id, ordered, command_id, act)

    def void_purchase(self, charge: UUID | str, *, command_id: CommandId = None) -> Charge:
        """Take back what is left of a purchase; what was consumed stays consumed (lifecycles §11.4).

        Voiding again answers the first result. Raises `NothingToVoid` when all is consumed or expired.
        """
        charge_id = self._charge_id(charge)
        return self._act(
            "void_purchase",
            charge_id,
            None,
            command_id,
            lambda work, facts: deciding.void_purchase(work.draft, charge_id, facts),
        )

    def _patch(self, name: str, charge_id: UUID, patch: AnyPatch, command_id: CommandId) -> Charge:
        """Apply a patch to one charge and let it walk on from there, in one save."""
        return self._act(
            name,
            charge_id,
            patch,
            command_id,
            lambda work, facts: deciding.apply(work.draft, charge_id, patch, facts),
        )

    def _act(self, name: str, charge_id: UUID, content: object, command_id: CommandId, act: Act) -> Charge:
        """Decide something about one charge and let it walk on from there, in one save."""
        before = self.get(charge_id)
        customer = before.customer

        def decide(work: Work) -> ChargesAnswer:
            act(work, self._in_hand(work, customer, charge_id))
            self.rounds.settle(work, customer)
            self._walk_on(work, charge_id)
            self.rounds.settle(work, customer)
            index(work)
            return ChargesAnswer((charge_id,))

        asked = (charge_id, content)
        self._context.send(f"charges.{name}", customer, asked, command_id, answer=ChargesAnswer, decide=decide)
        return self.get(charge_id)

    def _apply(self, work: Work, customer: str, charge_id: UUID, patch: Patch) -> None:
        facts = self._in_hand(work, customer, charge_id)
        asked = _laid(work, charge_id, patch) if isinstance(patch, SetOverrideInput) else patch
        deciding.apply(work.draft, charge_id, asked, facts)

    def _walk_on(self, work: Work, charge_id: UUID) -> None:
        """Let a charge that was decided about go as far as the clock allows."""
        charge: Charge = work.draft.state(charge_id)
        self._advancer.charge(work, charge_id, self._facts.of_customer(work, charge.customer))


def _laid(work: Work, charge_id: UUID, command: SetOverrideInput) -> SetOverride:
    """The override over the terms in hand: a race that was lost to another one is decided again on that one."""
    charge: Charge = work.draft.state(charge_id)
    return SetOverride(
        terms=overridden(charge.intent.effective, command),
        source=command.source,
        intent_version=command.intent_version,
    )
