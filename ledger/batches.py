"""Patches and creations as a document: read whole, and everything that is wrong with it told by where it stands.

    {
      "customer": "acme",
      "patches": {"019a…": {"operation": "shrink", "service_period_to": "2026-02-01T00:00:00Z"}},
      "creates": [{"type": "flat_fee", "amount": "100", "period_from": "…", "period_to": "…"}]
    }

The fields of a patch are those of the call of its name, `ledger.charges.shrink` here; those of a creation are those of
`create_usage`, `create_flat_fee`, `credits.grant` and `credits.sell`. Nothing of a document is carried out here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, cast
from uuid import UUID

from aggregates.charges.requests import (
    AnyPatch,
    ClearOverride,
    Delete,
    Extend,
    NewCharge,
    Shrink,
    ShrinkToRealized,
)
from aggregates.values.errors import Finding, Findings, LedgerError, NotFound, ValidationFailed
from ledger import validation
from ledger.charges import Charges
from ledger.commands import ClearOverrideInput, DeleteInput, MovePeriodEndInput, SetOverrideInput
from ledger.terms import overridden


class Batch(NamedTuple):
    """What a document asks for, ready for `ledger.charges.apply_patches`."""

    customer: str
    patches: dict[UUID, AnyPatch | SetOverrideInput]
    creates: list[NewCharge]


def read_batch(charges: Charges, document: Mapping[str, Any]) -> Batch:
    """What a document asks for. Raises `ValidationFailed` with every finding by its path: `creates[2].amount`.

    An override is laid over the terms that are in hand when it is decided, as in `ledger.charges.set_override`.
    """
    findings = Findings()
    for name in sorted(set(document) - {"customer", "patches", "creates"}):
        findings.add(name, "unknown_field", "a batch has a customer, patches and creates")
    customer = document.get("customer")
    if not isinstance(customer, str) or not customer:
        findings.add("customer", "missing", "say whose charges they are")
    batch = Batch(str(customer), {}, [])
    patches: Any = document.get("patches", {})
    creates: Any = document.get("creates", [])
    if not isinstance(patches, Mapping):
        findings.add("patches", "wrong_type", "patches are an object, by the id of the charge")
        patches = {}
    if not isinstance(creates, list | tuple):
        findings.add("creates", "wrong_type", "creates are a list")
        creates = []
    for charge, patch in cast("Mapping[str, Any]", patches).items():
        with _placed(findings, f"patches.{charge}"):
            charge_id, asked = _patch(charges, charge, patch)
            batch.patches[charge_id] = asked
    for number, create in enumerate(cast("list[Any]", creates)):
        with _placed(findings, f"creates[{number}]"):
            batch.creates.append(_create(charges, batch.customer, create))
    findings.raise_if_any()
    return batch


@contextmanager
def _placed(findings: Findings, path: str) -> Generator[None]:
    """Note what is wrong with a part under its path, and go on with the next."""
    try:
        yield
    except ValidationFailed as failed:
        findings.extend(failed.findings, under=path)
    except NotFound as missing:
        findings.add(f"{path}.{missing.kind}", missing.code, str(missing))
    except LedgerError as refused:
        findings.add(path, refused.code, str(refused))


def _object(given: object, choice: str, known: Mapping[str, object]) -> tuple[str, dict[str, Any]]:
    """The fields of a part, and which kind of part it is."""
    if not isinstance(given, Mapping):
        raise ValidationFailed((Finding("", "wrong_type", f"an object with {choice!r} is wanted"),))
    fields = dict(cast("Mapping[str, Any]", given))
    named = fields.pop(choice, None)
    if not isinstance(named, str) or named not in known:
        message = f"{named!r} is none of {', '.join(known)}"
        raise ValidationFailed((Finding(choice, validation.UNKNOWN_CHOICE, message),))
    return named, fields


# ── patches ──────────────────────────────────────────────────────────────────────────────────────────────────


def _patch(charges: Charges, charge: str, given: object) -> tuple[UUID, AnyPatch | SetOverrideInput]:
    operation, fields = _object(given, "operation", _OPERATIONS)
    known = charges.get(charge)
    findings = Findings()
    command = validation.parse(_OPERATIONS[operation], findings, **{**fields, "charge": known.id})
    findings.raise_if_any()
    return known.id, _asked(charges, operation, command)


def _asked(charges: Charges, operation: str, command: Any) -> AnyPatch | SetOverrideInput:
    version = command.intent_version
    match operation:
        case "extend" | "shrink":
            move = Extend if operation == "extend" else Shrink
            return move(
                service_period_to=command.service_period_to,
                full_service_period_to=command.full_service_period_to,
                billing_period_to=command.billing_period_to,
                invoice_at=command.invoice_at,
                source=command.source,
                intent_version=version,
            )
        case "shrink_to_realized":
            return ShrinkToRealized(service_period_to=command.service_period_to, intent_version=version)
        case "set_override":
            overridden(charges.get(command.charge).intent.effective, command)
            override: SetOverrideInput = command
            return override
        case "clear_override":
            return ClearOverride(intent_version=version)
        case _:
            return Delete(
                source=command.source,
                credit_refund=command.credit_refund,
                invoice_refund=command.invoice_refund,
                intent_version=version,
            )


_OPERATIONS: dict[str, type[validation.Input]] = {
    "extend": MovePeriodEndInput,
    "shrink": MovePeriodEndInput,
    "shrink_to_realized": MovePeriodEndInput,
    "set_override": SetOverrideInput,
    "clear_override": ClearOverrideInput,
    "delete": DeleteInput,
}


# ── creations ────────────────────────────────────────────────────────────────────────────────────────────────


def _create(charges: Charges, customer: str, given: object) -> NewCharge:
    kind, fields = _object(given, "type", _KINDS)
    required = _KINDS[kind]
    wrong = [Finding(name, "missing", "is required") for name in required if name not in fields]
    wrong += [Finding(name, "unknown_field", "is not said of a creation") for name in _NOT_SAID if name in fields]
    if wrong:
        raise ValidationFailed(tuple(wrong))
    fields = {"currency": "USD", **fields}
    match kind:
        case "usage":
            return charges.requests.usage(customer, **fields)
        case "flat_fee":
            return charges.requests.fee(customer, **fields)
        case "grant":
            return charges.requests.purchase(customer, **{**fields, "settlement": "promotional"})
        case _:
            return charges.requests.purchase(customer, **{"settlement": "external", **fields})


_KINDS = {
    "usage": ("feature", "price", "period_from", "period_to"),
    "flat_fee": ("amount", "period_from", "period_to"),
    "grant": ("amount",),
    "sale": ("amount", "cost_basis"),
}
"""What can be created, and what has to be said of each."""
_NOT_SAID = ("customer", "service_period")
"""The customer is the batch's, and a period is `period_from` and `period_to`."""
