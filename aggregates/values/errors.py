"""The error tree: every refusal of the product, with a stable code, its evidence, and whether to retry.

::

    LedgerError
    ├─ InvalidCommand                 the command itself is malformed            (exit 2)
    │    ├─ ValidationFailed            all findings of a command at once
    │    ├─ CurrencyMismatch            two currencies where one is meant
    │    ├─ ChargeTotalIsNegative       a rated total below zero
    │    └─ …                           one class per rule of the specification
    ├─ CommandRefused                 well formed, but not now or not ever       (exit 3)
    │    ├─ UnsupportedOperation        no transition for this trigger from this status
    │    ├─ PreconditionFailed          a guard of a patch does not hold
    │    │    └─ OverridesBilledUsage   an override reaches back into what was issued
    │    ├─ InsufficientFunds           more is to be given back than is left
    │    └─ Conflict                    somebody else holds what is asked for
    │         ├─ ReferenceInUse  NothingToVoid  StalePatch  LineAlreadyLinked
    │         └─ ConflictingRetry        the same command id with another content (exit 5)
    ├─ NotFound                       an id, key or place that names nothing     (exit 4)
    ├─ ConcurrentChange               somebody else appended first; safe to retry (exit 6)
    ├─ Unavailable                    a store or port did not answer; safe to retry (exit 7)
    └─ HistoryBroken                  stored history contradicts itself; only ever reported (exit 1)

A class's fields are the evidence, its `text` turns them into a sentence that says what to do next. `code` is
part of the public surface and never changes. Codes and families: lifecycles §21, decisions G.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One thing wrong with a command: where (`intents[2].price.tiers[1]`), which rule, and a sentence."""

    path: str
    code: str
    message: str


@dataclass(eq=False)
class LedgerError(Exception):
    """Anything the product refuses or reports. `str()` is the sentence for people, `code` the one for programs."""

    code: ClassVar[str] = "ledger_error"
    family: ClassVar[str | None] = None
    exit_code: ClassVar[int] = 3
    retryable: ClassVar[bool] = False
    text: ClassVar[str] = "the ledger refused"

    def __str__(self) -> str:
        return self.text.format_map(self.evidence())

    def evidence(self) -> dict[str, object]:
        """The fields of the error by name, as they are shown in `--json` output."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __reduce__(self) -> tuple[type[LedgerError], tuple[object, ...]]:
        return type(self), tuple(getattr(self, f.name) for f in fields(self))


# ── the command itself is malformed ──────────────────────────────────────────────────────────────────────────


@dataclass(eq=False)
class InvalidCommand(LedgerError):
    """The command can never succeed as it is written."""

    code: ClassVar[str] = "invalid_command"
    exit_code: ClassVar[int] = 2


@dataclass(eq=False)
class ValidationFailed(InvalidCommand):
    """All findings of a command together; nothing was written (lifecycles §2.5)."""

    code: ClassVar[str] = "validation"
    findings: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        return "; ".join(f"{f.path}: {f.message}" if f.path else f.message for f in self.findings)

    @property
    def codes(self) -> tuple[str, ...]:
        """The code of every finding, in the order of the command's fields."""
        return tuple(f.code for f in self.findings)


@dataclass(eq=False)
class TaxCodeNotFound(ValidationFailed):
    """A charge names a tax code that does not exist (lifecycles §2.2)."""

    code: ClassVar[str] = "tax_code_not_found"


@dataclass(eq=False)
class CostBasisCurrencyMismatch(ValidationFailed):
    """A pinned cost basis belongs to another custom currency (lifecycles §12.1)."""

    code: ClassVar[str] = "cost_basis_currency_mismatch"


@dataclass(eq=False)
class CostBasisFiatMismatch(ValidationFailed):
    """A pinned cost basis is a rate in another fiat currency (lifecycles §12.1)."""

    code: ClassVar[str] = "cost_basis_fiat_mismatch"


@dataclass(eq=False)
class FiatAmountRoundsToZero(ValidationFailed):
    """A purchase would cost nothing once rounded, so that it could never be paid (lifecycles §12.3)."""

    code: ClassVar[str] = "fiat_amount_rounds_to_zero"


@dataclass(eq=False)
class Unsupported(ValidationFailed):
    """A named feature of the domain that is not offered (lifecycles §21)."""

    code: ClassVar[str] = "unsupported"


@dataclass(eq=False)
class CostBasisNotEffective(InvalidCommand):
    """No rate is in force at the instant it is needed for; add one to the rate table (lifecycles §12.1)."""

    code: ClassVar[str] = "cost_basis_not_effective"
    text: ClassVar[str] = "no rate of {currency} in {fiat_currency} is in force at {at}; add one"
    currency: object = None
    fiat_currency: object = None
    at: object = None


@dataclass(eq=False)
class PaymentAlreadyAuthorized(InvalidCommand):
    """The payment was authorised before (lifecycles §13)."""

    code: ClassVar[str] = "payment_already_authorized"
    text: ClassVar[str] = "the payment of charge {charge_id} is authorised already"
    charge_id: object = None


@dataclass(eq=False)
class PaymentAlreadySettled(InvalidCommand):
    """The payment has arrived before (lifecycles §13)."""

    code: ClassVar[str] = "payment_already_settled"
    text: ClassVar[str] = "the payment of charge {charge_id} is settled already"
    charge_id: object = None


@dataclass(eq=False)
class CannotSettleNotAuthorizedPayment(InvalidCommand):
    """A payment is settled only after it was authorised (lifecycles §13)."""

    code: ClassVar[str] = "cannot_settle_not_authorized_payment"
    text: ClassVar[str] = "the payment of charge {charge_id} is not authorised, so it cannot be settled"
    charge_id: object = None


@dataclass(eq=False)
class CurrencyMismatch(InvalidCommand):
    """Two amounts of different currencies met where one currency is meant."""

    code: ClassVar[str] = "currency_mismatch"
    text: ClassVar[str] = "expected an amount in {expected}, got {got}; convert it first"
    expected: str = ""
    got: str = ""


@dataclass(eq=False)
class ChargeTotalIsNegative(InvalidCommand):
    """A run was rated below zero and does not start (lifecycles §5.5)."""

    code: ClassVar[str] = "charge_total_is_negative"
    text: ClassVar[str] = "charge {charge_id} rates to {total}; a run may not start below zero"
    charge_id: object = None
    total: object = None


@dataclass(eq=False)
class CorrectionExceedsAllocations(InvalidCommand):
    """A charge that is settled by credit alone has to give back more than credit ever paid of it (run rating R14)."""

    code: ClassVar[str] = "correction_exceeds_allocations"
    text: ClassVar[str] = "charge {charge_id} has to give {asked} back, and credit paid only {allocated} of it"
    charge_id: object = None
    asked: object = None
    allocated: object = None


@dataclass(eq=False)
class ActiveRunAlreadyExists(InvalidCommand):
    """A run is current, so another cannot start (lifecycles §5.2, §8.2)."""

    code: ClassVar[str] = "active_realization_run_already_exists"
    text: ClassVar[str] = "charge {charge_id} already has the current run {run_id}; finish it first"
    charge_id: object = None
    run_id: object = None


@dataclass(eq=False)
class CannotEditProgressivelyBilledLine(InvalidCommand):
    """A charge that is billed in parts can only be ended where its latest run ends (lifecycles §8.4)."""

    code: ClassVar[str] = "cannot_edit_progressively_billed_line"
    text: ClassVar[str] = "charge {charge_id} can only be ended where its latest run ends, at {ends}"
    charge_id: object = None
    ends: object = None


@dataclass(eq=False)
class NoLines(InvalidCommand):
    """Nothing can be billed as of the requested time."""

    code: ClassVar[str] = "no_lines"
    text: ClassVar[str] = "nothing to bill for {customer} as of {at}"
    customer: object = None
    at: object = None


# ── well formed, but not now or not ever ─────────────────────────────────────────────────────────────────────


@dataclass(eq=False)
class CommandRefused(LedgerError):
    """The command is well formed, and the present state does not permit it."""

    code: ClassVar[str] = "refused"
    exit_code: ClassVar[int] = 3


@dataclass(eq=False)
class UnsupportedOperation(CommandRefused):
    """No transition is permitted from this status for this trigger (lifecycles §4.1)."""

    code: ClassVar[str] = "unsupported_operation"
    text: ClassVar[str] = "charge {charge_id} is {status!r}, which does not permit {trigger!r}"
    trigger: str = ""
    status: str = ""
    charge_id: object = None


@dataclass(eq=False)
class PreconditionFailed(CommandRefused):
    """A guard of the operation does not hold; `reason` says which and when to try again."""

    code: ClassVar[str] = "precondition_failed"
    text: ClassVar[str] = "{reason}"
    reason: str = ""
    charge_id: object = None


@dataclass(eq=False)
class NoLateUsage(CommandRefused):
    """Nothing of the charge's period was stored late, or all of it is settled or on its way (decision 24)."""

    code: ClassVar[str] = "no_late_usage"
    text: ClassVar[str] = "charge {charge_id} has no late usage that is to be billed or dismissed"
    charge_id: object = None


@dataclass(eq=False)
class OverridesBilledUsage(PreconditionFailed):
    """What is billed keeps its terms: an override holds from its end on (lifecycles §22 row 3)."""

    code: ClassVar[str] = "overrides_billed_usage"
    text: ClassVar[str] = "charge {charge_id} is billed up to {billed_until}; an override begins there or later"
    billed_until: object = None


@dataclass(eq=False)
class InsufficientFunds(CommandRefused):
    """More was to be given back than is left of what was collected (ledger §6.7)."""

    code: ClassVar[str] = "insufficient_funds"
    text: ClassVar[str] = "cannot give back {asked}: only {remaining} of charge {charge_id} is left uncorrected"
    asked: object = None
    remaining: object = None
    charge_id: object = None


@dataclass(eq=False)
class CreditAllocationsDoNotMatchTotal(CommandRefused):
    """Collected credit differs from what had to be covered exactly (lifecycles §6.2): a defect, never input."""

    code: ClassVar[str] = "credit_allocations_do_not_match_total"
    text: ClassVar[str] = "collected {collected} where exactly {target} was to be covered"
    collected: object = None
    target: object = None


@dataclass(eq=False)
class PostingRefused(CommandRefused):
    """A transaction breaks an invariant of the journal (ledger §4); nothing is booked."""

    code: ClassVar[str] = "posting_refused"
    text: ClassVar[str] = "{rule}: {detail}"
    rule: str = ""
    detail: str = ""


@dataclass(eq=False)
class AdvanceRefused(CommandRefused):
    """Advancing one named charge was refused; the refusal is recorded on the charge (decision 25)."""

    code: ClassVar[str] = "advance_refused"
    text: ClassVar[str] = "charge {charge_id} could not be advanced: {reason} ({reason_code})"
    charge_id: object = None
    reason_code: str = ""
    reason: str = ""


@dataclass(eq=False)
class OpenItems(CommandRefused):
    """A customer with something open cannot be deleted; `items` lists all of it (decision 33)."""

    code: ClassVar[str] = "open_items"
    text: ClassVar[str] = "customer {customer!r} cannot be deleted, something is open: {listed}"
    customer: str = ""
    listed: str = ""
    items: tuple[Any, ...] = ()


@dataclass(eq=False)
class CustomerIsDeleted(CommandRefused):
    """The customer is deleted, and its key stays taken: its history can be read, and nothing is added to it."""

    code: ClassVar[str] = "customer_deleted"
    text: ClassVar[str] = "customer {customer!r} is deleted"
    customer: str = ""


@dataclass(eq=False)
class Conflict(CommandRefused):
    """Somebody or something else already holds what is asked for."""

    code: ClassVar[str] = "conflict"
    family: ClassVar[str | None] = "conflict"
    exit_code: ClassVar[int] = 5


@dataclass(eq=False)
class ReferenceInUse(Conflict):
    """A unique reference or purchase key names another charge of the customer (lifecycles §14.2)."""

    code: ClassVar[str] = "reference_in_use"
    text: ClassVar[str] = "{kind} {key!r} of customer {customer} is in use by charge {charge_id}"
    kind: str = "unique_reference_id"
    key: str = ""
    customer: object = None
    charge_id: object = None


@dataclass(eq=False)
class AlreadyExists(Conflict):
    """A customer, meter, feature or currency of that key exists with another definition."""

    code: ClassVar[str] = "already_exists"
    text: ClassVar[str] = "{kind} {key!r} already exists with another definition"
    kind: str = ""
    key: str = ""


@dataclass(eq=False)
class NothingToVoid(Conflict):
    """Nothing of the grant is left: consumed, expired, or not yet effective (ledger §6.8)."""

    code: ClassVar[str] = "nothing_to_void"
    text: ClassVar[str] = "nothing is left of purchase {purchase} to void"
    purchase: object = None


@dataclass(eq=False)
class StalePatch(Conflict):
    """The intent has moved on since the patch was computed; look again and send a new one (decision 29)."""

    code: ClassVar[str] = "stale_patch"
    text: ClassVar[str] = "charge {charge_id} is at intent version {current}, the patch was made for {given}"
    charge_id: object = None
    current: int = 0
    given: int = 0


@dataclass(eq=False)
class LineAlreadyLinked(Conflict):
    """The charge is linked to another invoice line."""

    code: ClassVar[str] = "line_already_linked"
    text: ClassVar[str] = "charge {charge_id} is already linked to line {line_id}"
    charge_id: object = None
    line_id: object = None


@dataclass(eq=False)
class ConflictingRetry(Conflict):
    """A command id was sent again with another content; use a new id for a new command."""

    code: ClassVar[str] = "conflicting_retry"
    text: ClassVar[str] = "command {command_id} was already carried out with another content; use a new id"
    command_id: object = None


@dataclass(eq=False)
class UsageConflict(Conflict):
    """A usage event of that source and id is stored with another content; the first one wins (decision 17)."""

    code: ClassVar[str] = "usage_conflict"
    text: ClassVar[str] = "usage event {event_id!r} of source {source!r} is stored with another content"
    source: str = ""
    event_id: str = ""


# ── an id that names nothing ─────────────────────────────────────────────────────────────────────────────────


@dataclass(eq=False)
class NotFound(LedgerError):
    """An id or key that names nothing in this namespace."""

    code: ClassVar[str] = "not_found"
    exit_code: ClassVar[int] = 4
    text: ClassVar[str] = "no {kind} {key!r}"
    kind: ClassVar[str] = "thing"
    key: object = None

    def __str__(self) -> str:
        return self.text.format(kind=self.kind, key=str(self.key))


@dataclass(eq=False)
class CustomerNotFound(NotFound):
    """No customer of that id; create it first."""

    code: ClassVar[str] = "customer_not_found"
    kind: ClassVar[str] = "customer"


@dataclass(eq=False)
class ChargeNotFound(NotFound):
    """No charge of that id."""

    code: ClassVar[str] = "charge_not_found"
    kind: ClassVar[str] = "charge"


@dataclass(eq=False)
class RunNotFound(NotFound):
    """No realization run of that id."""

    code: ClassVar[str] = "run_not_found"
    kind: ClassVar[str] = "run"


@dataclass(eq=False)
class FeatureNotFound(NotFound):
    """No feature of that key or id."""

    code: ClassVar[str] = "feature_not_found"
    kind: ClassVar[str] = "feature"


@dataclass(eq=False)
class MeterNotFound(NotFound):
    """No meter of that key or id, or a feature without one where usage is to be rated."""

    code: ClassVar[str] = "meter_not_found"
    kind: ClassVar[str] = "meter"


@dataclass(eq=False)
class CurrencyNotFound(NotFound):
    """Neither an ISO 4217 currency nor a custom currency of this namespace."""

    code: ClassVar[str] = "currency_not_found"
    kind: ClassVar[str] = "currency"


@dataclass(eq=False)
class LedgerMissing(NotFound):
    """No ledger at that place; `ledger init` makes one."""

    code: ClassVar[str] = "ledger_not_found"
    kind: ClassVar[str] = "ledger"
    text: ClassVar[str] = "no {kind} at {key}; make one with `ledger init`"


@dataclass(eq=False)
class ProjectionNotFound(NotFound):
    """No view of that name; `ledger rebuild --help` lists them."""

    code: ClassVar[str] = "projection_not_found"
    kind: ClassVar[str] = "projection"


# ── the outside ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(eq=False)
class ConcurrentChange(LedgerError):
    """Somebody else appended first, more often than the bounded retries; nothing was written, try again."""

    code: ClassVar[str] = "concurrent_change"
    family: ClassVar[str | None] = "conflict"
    exit_code: ClassVar[int] = 6
    retryable: ClassVar[bool] = True
    text: ClassVar[str] = "somebody else changed {what} at the same time; nothing was written, send it again"
    what: str = "a stream"


@dataclass(eq=False)
class Unavailable(LedgerError):
    """A store or a port did not answer; nothing was written as far as is known, and a retry is safe."""

    code: ClassVar[str] = "unavailable"
    exit_code: ClassVar[int] = 7
    retryable: ClassVar[bool] = True
    text: ClassVar[str] = "{what} did not answer: {reason}"
    what: str = ""
    reason: str = ""


@dataclass(eq=False)
class HistoryBroken(LedgerError):
    """Stored history contradicts itself. Reported by the audit and on load, never handled."""

    code: ClassVar[str] = "history_broken"
    exit_code: ClassVar[int] = 1
    text: ClassVar[str] = "{place}: expected {expected}, found {found}"
    place: str = ""
    expected: object = None
    found: object = None


OUTAGES = (Unavailable, ConcurrentChange, HistoryBroken)
"""A store or port that failed, a lost race or a broken history is no refusal of the domain: nothing is saved then."""


@dataclass(eq=False)
class Findings:
    """Collects what is wrong with a command, so that all of it is told at once.

    >>> findings = Findings()
    >>> findings.add("amount", "not_positive", "amount must be above zero, got -1")
    >>> findings.raise_if_any()
    Traceback (most recent call last):
    aggregates.values.errors.ValidationFailed: amount: amount must be above zero, got -1
    """

    items: list[Finding] = field(default_factory=list[Finding])

    def add(self, path: str, code: str, message: str) -> None:
        """Note one finding."""
        self.items.append(Finding(path, code, message))

    def extend(self, findings: list[Finding] | tuple[Finding, ...], under: str = "") -> None:
        """Take over findings of a part, with the part's path in front."""
        for f in findings:
            self.items.append(Finding(f"{under}.{f.path}" if under and f.path else under or f.path, f.code, f.message))

    def raise_if_any(self) -> None:
        """Raise `ValidationFailed` with everything found; do nothing when nothing was found."""
        if self.items:
            raise ValidationFailed(tuple(self.items))
