"""Patches: which layer one is for, whether it may be made, and what is recorded of it (lifecycles §16).

What a patch does to the lifecycle of a charge is the business of its type; this module is what all types share. A
system patch on a charge with an override reaches the base only, which is hidden: it is recorded, and nothing else
happens, because the effective intent did not change (lifecycles §16.1).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from aggregates.charges.events import BaseIntentAmended, PeriodExtended, PeriodShrunk
from aggregates.charges.fields import whole_instant
from aggregates.charges.flat_terms import amount_for
from aggregates.charges.intent import FlatFeeLayer, Layer, LayerName, ManagedBy, PaymentTerm, Periods
from aggregates.charges.requests import Delete, MovePeriodEnd, PatchSource
from aggregates.charges.state import Charge
from aggregates.charges.turn import Turn
from aggregates.charges.validation import raise_findings
from aggregates.lifecycle import Trigger
from aggregates.values.errors import Findings, StalePatch, UnsupportedOperation
from aggregates.values.period import Instant, Period


def require_fresh(charge: Charge, intent_version: int | None) -> None:
    """Raise `StalePatch` when the intent has moved on since the patch was computed (decision 29)."""
    if intent_version is not None and intent_version != charge.intent_version:
        raise StalePatch(charge_id=charge.id, current=charge.intent_version, given=intent_version)


def require_source(source: PatchSource, allowed: PatchSource, trigger: Trigger) -> None:
    """Raise `ValidationFailed` when the patch is not this sender's to make (lifecycles §16.1)."""
    if source is not allowed:
        findings = Findings()
        findings.add("source", "source_not_allowed", f"{trigger.value} is for the {allowed.value} only")
        raise_findings(findings)


def new_periods(layer: Layer, trigger: Trigger, patch: MovePeriodEnd) -> Periods:
    """The layer's periods with their new ends, cut to whole seconds (lifecycles §16.2).

    Extending: the service period ends later than before. Shrinking: it ends earlier, and after its start. Raises
    `ValidationFailed` with everything that is wrong; a patch that changes nothing is wrong by these comparisons.
    """
    old = layer.periods
    findings = Findings()
    full_default, invoice_default = _defaults(layer, patch)
    service_to = whole_instant(patch.service_period_to, "service_period_to", findings)
    full_to = whole_instant(patch.full_service_period_to or full_default, "full_service_period_to", findings)
    billing_to = whole_instant(patch.billing_period_to or patch.service_period_to, "billing_period_to", findings)
    invoice_at = whole_instant(patch.invoice_at or invoice_default, "invoice_at", findings)
    if service_to is None or full_to is None or billing_to is None or invoice_at is None:
        raise_findings(findings)
        raise AssertionError("a missing bound is a finding")
    shrinks = trigger is Trigger.SHRINK
    if shrinks and not old.service_period.from_ < service_to < old.service_period.to:
        findings.add("service_period_to", "not_shorter", f"it must lie strictly inside {old.service_period}")
    if not shrinks and service_to <= old.service_period.to:
        findings.add("service_period_to", "not_longer", f"it must be after {old.service_period.to.isoformat()}")
    full = _ending(old.full_service_period, full_to, "full_service_period_to", findings, may_be_empty=not shrinks)
    billing = _ending(old.billing_period, billing_to, "billing_period_to", findings, may_be_empty=not shrinks)
    raise_findings(findings)
    return Periods(
        service_period=Period(old.service_period.from_, service_to),
        full_service_period=full,
        billing_period=billing,
        invoice_at=invoice_at,
    )


def _defaults(layer: Layer, patch: MovePeriodEnd) -> tuple[datetime, datetime]:
    """The ends of the full period and `invoice_at` where a patch leaves them out (`MovePeriodEnd`)."""
    end = patch.service_period_to
    if not isinstance(layer, FlatFeeLayer) or end.tzinfo is None:
        return end, end
    in_advance = layer.payment_term is PaymentTerm.IN_ADVANCE
    return max(end, layer.periods.full_service_period.to), layer.periods.invoice_at if in_advance else end


def move_end(turn: Turn, trigger: Trigger, new: Periods, advance_after: Instant | None) -> None:
    """Record that the base's periods have other ends, and what a flat fee comes to over them."""
    event = PeriodExtended if trigger is Trigger.EXTEND else PeriodShrunk
    base = turn.charge.intent.base
    turn.emit(
        event(
            layer=LayerName.BASE,
            old=base.periods,
            new=new,
            amount_after_proration=fee_over(turn, base, new),
            booked_at=booked_over(base, new) if isinstance(base, FlatFeeLayer) else None,
            advance_after=advance_after,
        )
    )


def fee_over(turn: Turn, layer: Layer, periods: Periods) -> Decimal | None:
    """What a flat fee comes to over these periods; None for what has no fee."""
    return amount_for(layer, periods, turn.charge.currency) if isinstance(layer, FlatFeeLayer) else None


def booked_over(fee: FlatFeeLayer, periods: Periods) -> Instant:
    """When the fee is booked over these periods."""
    return msgspec.structs.replace(fee, periods=periods).booked_at


def _ending(old: Period, to: Instant, path: str, findings: Findings, *, may_be_empty: bool) -> Period:
    """The period with another end; it does not end before it begins, and after a shrink it is not empty."""
    if to < old.from_ or (to == old.from_ and not may_be_empty):
        findings.add(path, "ends_before_start", f"it must be after the start {old.from_.isoformat()}")
        return old
    return Period(old.from_, to)


def is_hidden(charge: Charge, source: PatchSource) -> bool:
    """Whether the patch reaches a base that lies under an override."""
    return source is PatchSource.SYSTEM and charge.intent.override is not None


def amend_hidden_periods(turn: Turn, trigger: Trigger, patch: MovePeriodEnd) -> None:
    """Move the ends of the hidden base. A base that was deleted has no periods to move."""
    base = turn.charge.intent.base
    periods = new_periods(base, trigger, patch)
    if turn.charge.intent.base_is_deleted:
        raise UnsupportedOperation(trigger.value, turn.charge.status.value, turn.charge_id)
    turn.emit(BaseIntentAmended(periods=periods, amount_after_proration=fee_over(turn, base, periods)))


def delete_hidden_base(turn: Turn) -> None:
    """Mark the hidden base deleted; the override keeps holding until it is cleared."""
    if turn.charge.intent.base_is_deleted:
        raise UnsupportedOperation(Trigger.DELETE.value, turn.charge.status.value, turn.charge_id)
    turn.emit(BaseIntentAmended(intent_deleted_at=turn.facts.instant))


def layer_to_delete(charge: Charge, patch: Delete) -> LayerName:
    """Which layer a deletion marks: the base for the system and for manually managed charges, else an override."""
    if charge.intent.override is not None:
        return LayerName.OVERRIDE
    if patch.source is PatchSource.SYSTEM or charge.identity.managed_by is ManagedBy.MANUAL:
        return LayerName.BASE
    return LayerName.OVERRIDE
