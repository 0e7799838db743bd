"""`charges`: one row per charge, as it stands: status, intent, periods, current run.

What its runs add up to is in `current_runs` and `prior_runs`; `ledger.views` puts the two together.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from aggregates.charges.events import (
    EVENTS,
    AdvanceBroughtForward,
    BaseIntentAmended,
    ChargeAdvanceFailed,
    ChargeCreated,
    ChargeDeleted,
    CreditsGranted,
    FeatureResolved,
    OverrideCleared,
    OverrideSet,
    PeriodExtended,
    PeriodShrunk,
    PurchaseReduced,
    PurchaseVoided,
    RealizationRunClosed,
    RealizationRunOpened,
)
from projections.plain import json_text, moment, plain, read_json
from projections.projection import Entry, JsonText, Key, Keyed, changed


class ChargeRow(NamedTuple):
    """A charge of any type. Times are UTC; `advance_after` absent: the clock alone will not move it any more.

    `feature` is the key or id it was created with, `feature_id` what that meant on activation. `base` and `override`
    are the layers of its intent as JSON, decimals as text; name, periods and `invoice_at` are those of the effective
    one. `intent_version` counts changes of the intent from 1. `failure` is why it is stuck, until it moves.
    """

    charge: UUID
    namespace: str
    customer: str
    charge_type: str
    status: str
    meta_status: str
    advance_after: datetime | None
    name: str
    currency: str
    currency_code: str
    currency_precision: int
    settlement_mode: str | None
    feature: str | None
    feature_id: UUID | None
    managed_by: str
    unique_reference_id: str | None
    purchase_key: str | None
    subscription: str | None
    service_period_from: datetime
    service_period_to: datetime
    billing_period_from: datetime
    billing_period_to: datetime
    invoice_at: datetime
    base: JsonText
    override: JsonText | None
    intent_version: int
    current_run: UUID | None
    run_count: int
    granted_at: datetime | None
    voided_at: datetime | None
    deleted_at: datetime | None
    failure: JsonText | None
    created_at: datetime
    updated_at: datetime
    created_position: int
    position: int


def _keys(entry: Entry) -> tuple[Key]:
    return ((entry.record.stream,),)


def _apply(row: ChargeRow | None, entry: Entry, key: Key) -> ChargeRow | None:
    body, at = entry.record.body, entry.record.at
    if isinstance(body, ChargeCreated):
        return _created(body, entry)
    if row is None:
        return None
    changes = _changes(row, body, at)
    moved = getattr(body, "moved", None)
    if moved is not None:
        status, meta = _words(moved.status_to)
        changes["status"] = status
        changes["meta_status"] = meta
        changes["advance_after"] = moved.advance_after
        changes["failure"] = None
        changes["deleted_at"] = (row.deleted_at or at) if meta == "deleted" else None
    changes["updated_at"] = at
    changes["position"] = entry.position
    return changed(row, changes)


@cache
def _words(status: Any) -> tuple[str, str]:
    """A status in full, and the broad word for it."""
    return status.value, status.meta


def _created(body: ChargeCreated, entry: Entry) -> ChargeRow:
    record, identity, periods = entry.record, body.identity, body.base.periods
    status, meta = _words(body.moved.status_to)
    return ChargeRow(
        charge=record.stream,
        namespace=record.namespace,
        customer=record.customer or "",
        charge_type=body.charge_type.value,
        status=status,
        meta_status=meta,
        advance_after=body.moved.advance_after,
        name=body.base.name,
        currency=identity.currency.key,
        currency_code=identity.currency.code,
        currency_precision=identity.currency.precision,
        settlement_mode=identity.settlement_mode.value if identity.settlement_mode else None,
        feature=identity.feature.name if identity.feature else None,
        feature_id=None,
        managed_by=identity.managed_by.value,
        unique_reference_id=identity.unique_reference_id,
        purchase_key=identity.key,
        subscription=identity.subscription.subscription_id if identity.subscription else None,
        service_period_from=periods.service_period.from_,
        service_period_to=periods.service_period.to,
        billing_period_from=periods.billing_period.from_,
        billing_period_to=periods.billing_period.to,
        invoice_at=periods.invoice_at,
        base=json_text(body.base),
        override=None,
        intent_version=1,
        current_run=None,
        run_count=0,
        granted_at=None,
        voided_at=None,
        deleted_at=None,
        failure=None,
        created_at=record.at,
        updated_at=record.at,
        created_position=entry.position,
        position=entry.position,
    )


def _changes(row: ChargeRow, body: Any, at: datetime) -> dict[str, Any]:
    """What the event changes besides the status. Events that only move the status are not named here."""
    match body:
        case RealizationRunOpened():
            return {"current_run": body.run_id, "run_count": row.run_count + 1}
        case AdvanceBroughtForward():
            return {"advance_after": body.advance_after}
        case RealizationRunClosed():
            return {"current_run": None, "advance_after": body.advance_after}
        case FeatureResolved():
            return {"feature_id": body.feature_id}
        case ChargeAdvanceFailed():
            return {"failure": json_text({**plain(body), "at": plain(at)})}
        case CreditsGranted():
            return {"granted_at": at}
        case PurchaseReduced():
            return _intent(row, **_with(row, "base", credit_amount=plain(body.credit_amount)))
        case PurchaseVoided():
            return {"voided_at": body.voided_at}
        case PeriodExtended() | PeriodShrunk():
            layers = _with(row, body.layer.value, **_over(body.new, body))
            return _intent(row, **layers) | {"advance_after": body.advance_after}
        case OverrideSet():
            return _intent(row, override=json_text(body.override)) | {"advance_after": body.advance_after}
        case OverrideCleared():
            return _intent(row, override=None)
        case BaseIntentAmended():
            return _intent(row, **_with(row, "base", **_amended(body)))
        case ChargeDeleted():
            return _intent(row, **_with(row, body.layer.value, intent_deleted_at=plain(body.intent_deleted_at)))
        case _:
            return {}


def _with(row: ChargeRow, layer: str, **changes: Any) -> dict[str, JsonText]:
    """A layer with something changed; an override that was not there before is a copy of the base."""
    before = row.override if layer == "override" and row.override is not None else row.base
    return {layer: json_text({**read_json(before), **changes})}


def _over(periods: object, body: object) -> dict[str, Any]:
    """What of a layer changes with its periods: a flat fee comes to another amount then."""
    amount = getattr(body, "amount_after_proration", None)
    return {"periods": plain(periods)} | ({} if amount is None else {"amount_after_proration": plain(amount)})


def _amended(body: BaseIntentAmended) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if body.periods is not None:
        changes |= _over(body.periods, body)
    if body.intent_deleted_at is not None:
        changes["intent_deleted_at"] = plain(body.intent_deleted_at)
    return changes


def _intent(row: ChargeRow, **layers: JsonText | None) -> dict[str, Any]:
    """The columns that follow from the layers."""
    after = row._replace(**layers)  # type: ignore[arg-type]
    effective = read_json(after.override or after.base)
    periods = effective["periods"]
    return {
        **layers,
        "intent_version": row.intent_version + 1,
        "name": effective["name"],
        "service_period_from": moment(periods["service_period"]["from"]),
        "service_period_to": moment(periods["service_period"]["to"]),
        "billing_period_from": moment(periods["billing_period"]["from"]),
        "billing_period_to": moment(periods["billing_period"]["to"]),
        "invoice_at": moment(periods["invoice_at"]),
    }


CHARGES = Keyed(
    name="charges",
    version=1,
    row=ChargeRow,
    key=("charge",),
    indexes=(("namespace", "customer", "created_position"), ("namespace", "created_position")),
    listens=frozenset(event.NAME for event in EVENTS),
    keys=_keys,
    apply=_apply,
)
