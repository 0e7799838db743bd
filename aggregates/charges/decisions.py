"""Charges as a whole: what the application calls, whatever the type of a charge. Each type decides for itself.

Every dispatch names all cases; what a type does not offer is refused by name (R-11). Decisions work on a draft in which
the caller has put the streams that `streams_needed` names; they emit into it and raise what they refuse. Before
that, the caller asks what facts will be needed (`features_needed`, `quantities_needed`, `cost_basis_needed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol, assert_never
from uuid import UUID

from aggregates.charges import cost_basis, gathering
from aggregates.charges.credit_purchase import decisions as purchases
from aggregates.charges.events import ChargeAdvanceFailed, ChargeCreated, ChargeEvent, Moved
from aggregates.charges.facts import CostBasisNeeded, Facts, HeldKey, QuantityNeeded
from aggregates.charges.flat_fee import decisions as flat_fee
from aggregates.charges.flat_fee import invoiced_decisions as invoiced_fee
from aggregates.charges.intent import (
    ChargeType,
    FeatureRef,
    FlatFeeLayer,
    InvoiceSettlement,
    PinnedBasis,
    PurchaseLayer,
    SettlementMode,
    UsageLayer,
)
from aggregates.charges.late import Ordered
from aggregates.charges.proposal import PURCHASE_KEY, UNIQUE_REFERENCE, Proposed, keys_of
from aggregates.charges.requests import (
    AnyPatch,
    ClearOverride,
    Delete,
    Extend,
    MovePeriodEnd,
    NewCharge,
    NewPurchase,
    PaymentStep,
    SetOverride,
    Shrink,
    ShrinkToRealized,
    TakeBack,
)
from aggregates.charges.state import Charge, stream
from aggregates.charges.turn import Turn
from aggregates.charges.usage_based import decisions as usage
from aggregates.charges.usage_based import invoiced_decisions as invoiced_usage
from aggregates.charges.usage_based import late
from aggregates.charges.validation import require_free, validated
from aggregates.credits.pool import CreditPool
from aggregates.event import Stream
from aggregates.invoices.effects import InvoiceEffect, LineNotice
from aggregates.invoices.lines import LineContent
from aggregates.lifecycle import Status, Trigger
from aggregates.outcome import Draft
from aggregates.runs import state as run_state
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import ZERO, exact
from aggregates.values.errors import LedgerError, NoLateUsage, NoLines, ReferenceInUse, UnsupportedOperation
from aggregates.values.period import Instant, Period, instant
from aggregates.values.totals import Totals

# ── creation ─────────────────────────────────────────────────────────────────────────────────────────────────


@exact
def create(draft: Draft, requests: Sequence[NewCharge], facts: Facts) -> tuple[UUID, ...]:
    """Create charges, all or none; their ids in the order of the requests. They are `created`, and not yet advanced.

    Raises `ValidationFailed` (or its one more telling class) with everything wrong with any of them; then
    `FeatureNotFound`, `MeterNotFound`; then `ReferenceInUse` naming the charge that holds the key (lifecycles §14).
    """
    proposals = validated(requests, facts)
    created: list[UUID] = []
    asked: dict[HeldKey, UUID] = {}
    for proposal in proposals:
        require_free(proposal.keys, facts, draft)
        charge_id = facts.mint()
        for key in proposal.keys:
            if key in asked:
                raise ReferenceInUse(kind=key.kind, key=key.key, customer=key.customer, charge_id=asked[key])
            asked[key] = charge_id
        created.append(charge_id)
    for charge_id, proposal in zip(created, proposals, strict=True):
        draft.emit(stream(charge_id, proposal.customer), _created(proposal, facts))
        _gather_first(Turn(draft, charge_id, facts))
    return tuple(created)


def _created(proposal: Proposed, facts: Facts) -> ChargeCreated:
    return ChargeCreated(
        charge_type=proposal.charge_type,
        identity=proposal.identity,
        base=proposal.base,
        resolved_cost_basis=proposal.resolved_cost_basis,
        moved=Moved(
            status_from=Status.NONE,
            status_to=Status.CREATED,
            trigger=Trigger.CREATE,
            advance_after=_first_advance(proposal, facts),
        ),
    )


def _gather_first(turn: Turn) -> None:
    """What is settled by invoice waits to be invoiced from the start: a fee of zero has nothing to invoice (§17.1)."""
    charge, layer = turn.charge, turn.charge.intent.effective
    match layer:
        case PurchaseLayer():
            waits = isinstance(layer.settlement, InvoiceSettlement)
        case FlatFeeLayer():
            waits = charge.is_invoiced and bool(layer.amount_after_proration)
        case UsageLayer():
            waits = charge.is_invoiced
    if waits:
        gathering.gather(turn, layer.service_period)


def _first_advance(proposal: Proposed, facts: Facts) -> Instant:
    """When the clock first has something to do: the period's start for usage, `invoice_at` for a flat fee (§14.1).

    A purchase is looked at at once (decision 26).
    """
    match proposal.base:
        case UsageLayer():
            return proposal.base.service_period.from_
        case FlatFeeLayer():
            return proposal.base.periods.invoice_at
        case PurchaseLayer(settlement=InvoiceSettlement()):
            return proposal.base.periods.invoice_at
        case PurchaseLayer():
            return facts.instant
        case _ as unreachable:
            assert_never(unreachable)


# ── advancing ────────────────────────────────────────────────────────────────────────────────────────────────


@exact
def advance(draft: Draft, charge_id: UUID, facts: Facts) -> bool:
    """Take the charge as far as the clock allows; whether it moved. Raises what a guard or the work of a row raises."""
    turn = Turn(draft, charge_id, facts)
    if turn.charge.charge_type is ChargeType.CREDIT_PURCHASE:
        return purchases.advance(turn)
    return _layered(turn.charge).advance(turn)


def look_sooner(draft: Draft, charge_id: UUID, facts: Facts) -> bool:
    """Let the charge follow credit that its pool gained: whether the clock has to look at it sooner."""
    turn = Turn(draft, charge_id, facts)
    if turn.charge.charge_type is not ChargeType.USAGE_BASED or turn.charge.is_invoiced:
        return False
    return usage.look_sooner(turn)


def note_failure(draft: Draft, charge_id: UUID, refusal: LedgerError) -> bool:
    """Record why advancing was refused; whether it was news (lifecycles §22 row 15, decision 25).

    One charge of many that is refused has what it decided taken back first, and then contributes this alone, and only
    when status, trigger and code are not those of its last failure. A store or port that did not answer, a lost race
    and a broken history are no refusals.
    """
    charge = draft.state(charge_id)
    if not isinstance(charge, Charge):
        return False
    last = charge.failure
    same = last is not None and (last.status, last.trigger, last.code) == (charge.status, Trigger.NEXT, refusal.code)
    if same:
        return False
    failed = ChargeAdvanceFailed(
        status=charge.status,
        trigger=Trigger.NEXT,
        code=refusal.code,
        message=str(refusal),
        attempt=last.attempt + 1 if last is not None else 1,
    )
    draft.emit(charge.stream, failed)
    return True


# ── what its invoice tells a charge ──────────────────────────────────────────────────────────────────────────


@exact
def answer(draft: Draft, notice: LineNotice, facts: Facts) -> tuple[InvoiceEffect, ...]:
    """Act upon what the invoice of one of the charge's lines did; what the charge asks invoices for in return (§17).

    A repeat does nothing. Raises what the charge refuses: `ActiveRunAlreadyExists`, `RunNotFound`,
    `UnsupportedOperation`, `ValidationFailed`, `PreconditionFailed`.
    """
    turn = Turn(draft, notice.charge_id, facts)
    pending = draft.take_effects()
    charge = turn.charge
    if charge.charge_type is ChargeType.CREDIT_PURCHASE:
        purchases.answer(turn, notice)
    elif not charge.is_invoiced:
        raise UnsupportedOperation(type(notice).__name__, charge.status.value, charge.id)
    elif charge.charge_type is ChargeType.USAGE_BASED:
        invoiced_usage.answer(turn, notice)
    else:
        invoiced_fee.answer(turn, notice)
    asked = tuple(draft.take_effects())
    draft.effects += pending
    return asked


def due_line(charge: Charge, now: datetime, *, progressive: bool) -> Period | None:
    """What of the charge's gathering line can be invoiced now, or None (lifecycles §17.1).

    A fee or a purchase from its `invoice_at` on, as a whole; never credit that expired before it was granted. Usage
    from its `invoice_at` on once its period is over; before that, where billing is progressive, what of it has passed,
    if that is anything.
    """
    line = charge.gathering_line
    if line is None or charge.is_deleted or gathering.has_lapsed(charge, now):
        return None
    is_due = now >= line.invoice_at
    if charge.charge_type is not ChargeType.USAGE_BASED:
        return line.period if is_due else None
    if is_due and now >= line.period.to:
        return line.period
    until = min(instant(now), line.period.to)
    return Period(line.period.from_, until) if progressive and until > line.period.from_ else None


def preview_needed(draft: Draft, charge_id: UUID, facts: Facts) -> QuantityNeeded | None:
    """What a meter has to answer before `preview`. Raises `NoLines` where nothing of the charge waits."""
    turn = Turn(draft, charge_id, facts)
    charge = turn.charge
    if charge.gathering_line is None:
        raise NoLines(charge.customer, facts.now)
    return invoiced_usage.preview_needed(turn) if charge.charge_type is ChargeType.USAGE_BASED else None


@exact
def preview(draft: Draft, charge_id: UUID, facts: Facts) -> LineContent:
    """What a line of everything that waits to be invoiced would show now; nothing is recorded (lifecycles §17.1)."""
    turn = Turn(draft, charge_id, facts)
    charge, line = turn.charge, turn.charge.gathering_line
    if line is None:
        raise NoLines(charge.customer, facts.now)
    needed = preview_needed(draft, charge_id, facts)
    if needed is not None:
        return invoiced_usage.preview(turn, facts.quantities[needed])
    if charge.charge_type is ChargeType.FLAT_FEE:
        return invoiced_fee.preview(turn, line.period)
    amount = line.amount or ZERO
    return LineContent(
        name=charge.intent.effective.name, period=line.period, totals=Totals(amount=amount, total=amount)
    )


def provisional_line(charge: Charge, period: Period) -> LineContent:
    """What a new line of the charge shows until the charge has answered."""
    return LineContent(name=charge.intent.effective.name, period=period)


# ── late usage: each answers whether anything was recorded ───────────────────────────────────────────────────


def came_late(charge: Charge, time: datetime, stored_at: datetime) -> bool:
    """Whether usage of that time, stored then, is counted by no run of a charge of usage, nor will be (decision 24)."""
    return late.came_late(charge, time, stored_at)


def note_late_usage(draft: Draft, charge_id: UUID, time: datetime, stored_at: Instant, facts: Facts) -> bool:
    """Note that usage of that time was stored then, which none of the charge's runs has counted (decision 24)."""
    return late.note_found(Turn(draft, charge_id, facts), time, stored_at)


@exact
def take_up_late_usage(draft: Draft, charge_id: UUID, ordered: Ordered, facts: Facts) -> bool:
    """Bill late usage that nobody has billed, or decide that it is not billed. Needs `late_quantities`.

    Raises `NoLateUsage`, `ActiveRunAlreadyExists`, `UnsupportedOperation`.
    """
    turn = Turn(draft, charge_id, facts)
    if turn.charge.charge_type is not ChargeType.USAGE_BASED:
        raise NoLateUsage(charge_id)
    late.take_up(turn, ordered)
    return True


def late_quantities(charge: Charge, facts: Facts) -> tuple[QuantityNeeded, ...]:
    """What a meter has to answer before late usage is taken up; nothing of a charge that has none."""
    return late.questions(charge, facts) if charge.late_usage is not None else ()


# ── patches, payments, voiding: each answers whether anything was recorded ───────────────────────────────────


def apply(draft: Draft, charge_id: UUID, patch: AnyPatch, facts: Facts) -> bool:
    """Apply a patch of whatever kind."""
    match patch:
        case Extend():
            return extend(draft, charge_id, patch, facts)
        case Shrink():
            return shrink(draft, charge_id, patch, facts)
        case ShrinkToRealized():
            return shrink_to_realized(draft, charge_id, patch, facts)
        case SetOverride():
            return set_override(draft, charge_id, patch, facts)
        case ClearOverride():
            return clear_override(draft, charge_id, patch, facts)
        case Delete():
            return delete(draft, charge_id, patch, facts)
        case _ as unreachable:
            assert_never(unreachable)


@exact
def extend(draft: Draft, charge_id: UUID, patch: MovePeriodEnd, facts: Facts) -> bool:
    """Let the charge's periods end later (lifecycles §7.2, §16.2)."""
    turn = _patchable(draft, charge_id, facts, Trigger.EXTEND)
    return _layered(turn.charge).extend(turn, patch)


@exact
def shrink(draft: Draft, charge_id: UUID, patch: MovePeriodEnd, facts: Facts) -> bool:
    """Let the charge's periods end earlier (lifecycles §7.2, §16.2)."""
    turn = _patchable(draft, charge_id, facts, Trigger.SHRINK)
    return _layered(turn.charge).shrink(turn, patch)


@exact
def shrink_to_realized(draft: Draft, charge_id: UUID, patch: ShrinkToRealized, facts: Facts) -> bool:
    """End a charge that is billed in parts where its latest run ends (lifecycles §8.4)."""
    turn = _patchable(draft, charge_id, facts, Trigger.SHRINK_TO_REALIZED)
    if turn.charge.charge_type is not ChargeType.USAGE_BASED or not turn.charge.is_invoiced:
        raise UnsupportedOperation(Trigger.SHRINK_TO_REALIZED.value, turn.charge.status.value, charge_id)
    return invoiced_usage.shrink_to_realized(turn, patch)


@exact
def set_override(draft: Draft, charge_id: UUID, patch: SetOverride, facts: Facts) -> bool:
    """Lay a complete snapshot over the base of the charge (lifecycles §2.4, §7.2)."""
    turn = _patchable(draft, charge_id, facts, Trigger.SET_OVERRIDE)
    return _layered(turn.charge).set_override(turn, patch)


@exact
def clear_override(draft: Draft, charge_id: UUID, patch: ClearOverride, facts: Facts) -> bool:
    """Let the base of the charge hold again (lifecycles §7.2)."""
    turn = _patchable(draft, charge_id, facts, Trigger.CLEAR_OVERRIDE)
    return _layered(turn.charge).clear_override(turn, patch)


@exact
def delete(draft: Draft, charge_id: UUID, patch: Delete, facts: Facts) -> bool:
    """Delete the charge (lifecycles §16.6)."""
    turn = _patchable(draft, charge_id, facts, Trigger.DELETE)
    return _layered(turn.charge).delete(turn, patch)


@exact
def report_payment(draft: Draft, charge_id: UUID, step: PaymentStep, facts: Facts, detail: str | None = None) -> bool:
    """Record what an outside provider reports of a purchase's payment, and what it says of it (lifecycles §11.2).

    Raises `PreconditionFailed` for a purchase that is sold by invoice.
    """
    turn = _purchase(draft, charge_id, facts, purchases.TRIGGERS[step])
    purchases.require_paid_outside(turn)
    return purchases.report_payment(turn, step, detail)


@exact
def retry_payment(draft: Draft, charge_id: UUID, facts: Facts) -> bool:
    """Wait for a new payment of what is owed after one failed (decision 26)."""
    return purchases.retry_payment(_purchase(draft, charge_id, facts, Trigger.RETRY))


@exact
def write_off_payment(draft: Draft, charge_id: UUID, facts: Facts) -> bool:
    """Give up what is owed of a purchase whose payment failed; repeating it changes nothing (decisions 22, 26)."""
    return purchases.write_off_payment(_purchase(draft, charge_id, facts, Trigger.WRITE_OFF))


@exact
def note_reversal(draft: Draft, charge_id: UUID, facts: Facts) -> bool:
    """Let a purchase wait for its payment again, where money for it went back and its price is no longer covered."""
    return purchases.note_reversal(_purchase(draft, charge_id, facts, Trigger.REVERSED))


@exact
def take_back(draft: Draft, charge_id: UUID, asked: TakeBack, facts: Facts) -> bool:
    """Take back credit of a purchase that is paid by invoice, and its price off its line (lifecycles §11.3, §17)."""
    return purchases.take_back(_purchase(draft, charge_id, facts, Trigger.VOID), asked)


@exact
def refund_purchase(draft: Draft, charge_id: UUID, amount: Decimal | None, facts: Facts) -> bool:
    """Let what was paid by invoice for credit that was taken back be credited on its line (decision 37)."""
    purchases.refund(_purchase(draft, charge_id, facts, Trigger.VOID), amount)
    return True


@exact
def void_purchase(draft: Draft, charge_id: UUID, facts: Facts) -> bool:
    """Take back what is left of a purchase's credit; repeating it changes nothing (lifecycles §11.4)."""
    return purchases.void(_purchase(draft, charge_id, facts, Trigger.VOID))


class Layered(Protocol):
    """What can be asked of a charge that has layers, whatever its type and its way of settling."""

    def advance(self, turn: Turn, /) -> bool:
        """Walk as far as the clock allows; whether the charge moved."""
        ...

    def extend(self, turn: Turn, patch: MovePeriodEnd, /) -> bool:
        """Let the periods end later."""
        ...

    def shrink(self, turn: Turn, patch: MovePeriodEnd, /) -> bool:
        """Let the periods end earlier."""
        ...

    def set_override(self, turn: Turn, patch: SetOverride, /) -> bool:
        """Lay a snapshot over the base."""
        ...

    def clear_override(self, turn: Turn, patch: ClearOverride, /) -> bool:
        """Let the base hold again."""
        ...

    def delete(self, turn: Turn, patch: Delete, /) -> bool:
        """Delete the charge."""
        ...


LAYERED: dict[tuple[ChargeType, SettlementMode | None], Layered] = {
    (ChargeType.USAGE_BASED, SettlementMode.CREDIT_ONLY): usage,
    (ChargeType.USAGE_BASED, SettlementMode.CREDIT_THEN_INVOICE): invoiced_usage,
    (ChargeType.FLAT_FEE, SettlementMode.CREDIT_ONLY): flat_fee,
    (ChargeType.FLAT_FEE, SettlementMode.CREDIT_THEN_INVOICE): invoiced_fee,
}
"""Who decides about a charge with layers, by type and way of settling."""


def _layered(charge: Charge) -> Layered:
    return LAYERED[charge.charge_type, charge.identity.settlement_mode]


def _patchable(draft: Draft, charge_id: UUID, facts: Facts, trigger: Trigger) -> Turn:
    """The turn of a charge that has layers to patch; a purchase has a single one."""
    turn = Turn(draft, charge_id, facts)
    if turn.charge.charge_type is ChargeType.CREDIT_PURCHASE:
        raise UnsupportedOperation(trigger.value, turn.charge.status.value, charge_id)
    return turn


def _purchase(draft: Draft, charge_id: UUID, facts: Facts, trigger: Trigger) -> Turn:
    """The turn of a purchase; nothing else is paid for outside or voided."""
    turn = Turn(draft, charge_id, facts)
    if turn.charge.charge_type is not ChargeType.CREDIT_PURCHASE:
        raise UnsupportedOperation(trigger.value, turn.charge.status.value, charge_id)
    return turn


# ── what a decision needs in hand ────────────────────────────────────────────────────────────────────────────


def streams_needed(charge: Charge) -> tuple[Stream, ...]:
    """The streams to put in the draft, with the charge, before anything is decided: its runs that count, its pool."""
    runs = (run_state.stream(entry.run_id, charge.customer) for entry in charge.live_runs)
    layer = charge.intent.effective
    sells = isinstance(layer, PurchaseLayer) and isinstance(layer.settlement, InvoiceSettlement)
    if (charge.is_invoiced or sells) and charge.fiat_pool != charge.pool:
        return (*runs, charge.pool, charge.fiat_pool)
    return (*runs, charge.pool)


def streams_answering(charge: Charge, notice: LineNotice) -> tuple[Stream, ...]:
    """The same for a notice: with the run of its line, which may count no longer."""
    entry = charge.run_on_line(notice.line_id)
    known = streams_needed(charge)
    return known if entry is None else (*known, run_state.stream(entry.run_id, charge.customer))


def features_needed(charge: Charge) -> tuple[str, ...]:
    """The features to look up, by key or by the text of an id, before the charge advances."""
    ref = charge.identity.feature
    return () if ref is None or charge.resolved_feature is not None else (ref.name,)


def quantities_needed(draft: Draft, charge_id: UUID, facts: Facts) -> tuple[QuantityNeeded, ...]:
    """What meters have to answer before the charge advances; its streams are in hand. See `usage_based.decisions`."""
    charge: Charge = draft.state(charge_id)
    if charge.charge_type is not ChargeType.USAGE_BASED:
        return ()
    run: RealizationRun | None = draft.state(charge.current_run_id) if charge.current_run_id else None
    pool: CreditPool | None = draft.state(charge.pool.id)
    needed = () if charge.is_invoiced else usage.quantities_needed(charge, run, facts, pool)
    return (*needed, *late.quantities_needed(charge, needed, facts))


def quantities_answering(
    charge: Charge, notice: LineNotice, run: RealizationRun | None, facts: Facts
) -> Sequence[QuantityNeeded]:
    """What meters have to answer before the charge can act upon a notice; `run` is that of the line."""
    if charge.charge_type is not ChargeType.USAGE_BASED:
        return ()
    return invoiced_usage.quantities_needed(charge, notice, run, facts)


def cost_basis_needed(charge: Charge) -> CostBasisNeeded | None:
    """What has to be looked up in the rate table before the charge can move, if anything."""
    return cost_basis.cost_basis_needed(charge) if charge.status is Status.CREATED else None


# ── what is kept beside the events ───────────────────────────────────────────────────────────────────────────


class IndexRow(NamedTuple):
    """What has to be known of every charge without loading it (decision 8)."""

    namespace: str
    customer: str
    charge: UUID
    charge_type: str
    status: str
    advance_after: datetime | None


class Reserved(NamedTuple):
    """A key of a customer, and the charge that holds it from now on; no owner: it is free again."""

    namespace: str
    customer: str
    kind: str
    key: str
    owner: UUID | None


def index_row(charge: Charge) -> IndexRow:
    """The charge's row in the index of all charges."""
    return IndexRow(
        namespace=charge.namespace,
        customer=charge.customer,
        charge=charge.id,
        charge_type=charge.charge_type.value,
        status=charge.status.value,
        advance_after=_next_due(charge),
    )


def _next_due(charge: Charge) -> datetime | None:
    """When a worker next has something to do for the charge: advance it, invoice what it gathered, see late usage.

    Or bill again what a voided run had billed.
    """
    line = charge.gathering_line
    moments = (charge.advance_after, line.invoice_at if line else None, charge.late_usage_due, charge.rebilling_due)
    return min((moment for moment in moments if moment is not None), default=None)


def reservations(charge: Charge, event: ChargeEvent) -> tuple[Reserved, ...]:
    """What an event changes about the keys its charge holds: taken on creation and revival, freed on deletion."""
    moved: Moved | None = getattr(event, "moved", None)
    if moved is None:
        return ()
    was_live = moved.status_from not in {Status.NONE, Status.DELETED}
    is_live = moved.status_to is not Status.DELETED
    if was_live == is_live:
        return ()
    owner = charge.id if is_live else None
    return tuple(
        Reserved(charge.namespace, key.customer, key.kind, key.key, owner)
        for key in keys_of(charge.customer, charge.identity)
    )


def keys_wanted(request: NewCharge) -> tuple[HeldKey, ...]:
    """The keys a request asks for, whose holders the caller has to look up (`Facts.held_keys`)."""
    wanted = (
        (UNIQUE_REFERENCE, getattr(request, "unique_reference_id", None)),
        (PURCHASE_KEY, getattr(request, "key", None)),
    )
    return tuple(HeldKey(request.customer, kind, key) for kind, key in wanted if key)


def feature_wanted(request: NewCharge) -> FeatureRef | None:
    """The feature a request names, which the caller has to look up (`Facts.features`)."""
    return getattr(request, "feature", None)


def cost_basis_wanted(request: NewCharge) -> UUID | None:
    """The entry of a rate table that a request pins, which the caller has to look up (`Facts.cost_basis_entries`)."""
    basis = request.settlement.cost_basis if isinstance(request, NewPurchase) else request.cost_basis
    return basis.currency_cost_basis_id if isinstance(basis, PinnedBasis) else None
