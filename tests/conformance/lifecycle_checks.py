"""What a lifecycle scenario may expect after a step, and how it is looked up. Expectations not known here fail."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from aggregates.charges.state import Charge
from aggregates.credits.events import CreditCollected, CreditReturned
from aggregates.event import AnyRecorded, aggregate_of
from aggregates.lifecycle import Status
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import LedgerError, ValidationFailed
from aggregates.values.period import Instant, timestamp
from tests.conformance.lifecycle_player import Json, OutOfSlice, Player


class Observed(msgspec.Struct):
    """What one step brought about."""

    records: list[AnyRecorded]
    error: LedgerError | None = None


def check(player: Player, expect: Json, seen: Observed) -> None:
    """Every expectation of a step; one that is not known here fails."""
    unknown = set(expect) - set(CHECKS)
    if unknown & NEEDS_INVOICES and not unknown - NEEDS_INVOICES:
        # A scenario of this slice has no invoices and no lines: only "there is none" can be expected of them.
        for key in unknown:
            assert not any(expect[key].values()) if isinstance(expect[key], dict) else not expect[key], key
    else:
        assert not unknown, f"expectations not known: {sorted(unknown)}"
    if "error" not in expect and seen.error is not None:
        raise seen.error
    for key, wanted in expect.items():
        if key in CHECKS:
            CHECKS[key](player, wanted, seen)


NEEDS_INVOICES = frozenset({"gathering_lines", "invoices", "invoices_count", "deleted_lines", "accruals"})


def _error(player: Player, wanted: str | None, seen: Observed) -> None:
    if wanted is None:
        assert seen.error is None, seen.error
        return
    assert seen.error is not None, f"expected {wanted}, nothing was refused"
    codes = {seen.error.code, seen.error.family}
    if isinstance(seen.error, ValidationFailed):
        codes |= {"validation", *seen.error.codes}
    if wanted == "any":
        return
    either = {"unsupported_operation", "precondition_failed"}
    allowed = either if wanted == "unsupported_operation_or_precondition_failed" else {wanted}
    assert codes & allowed, f"expected {wanted}, got {codes}: {seen.error}"


def _error_contains(player: Player, wanted: str, seen: Observed) -> None:
    assert wanted in str(seen.error)


def _findings(player: Player, wanted: list[str], seen: Observed) -> None:
    assert isinstance(seen.error, ValidationFailed)
    texts = [f"{f.path} {f.code} {f.message}" for f in seen.error.findings]
    for text in wanted:
        assert any(text in each for each in texts), f"{text!r} not among {texts}"


def _moved(player: Player, wanted: list[str], seen: Observed) -> None:
    assert player.moved == wanted


def _visited(player: Player, wanted: dict[str, list[str]], seen: Observed) -> None:
    for name, statuses in wanted.items():
        steps = [
            moved
            for record in seen.records
            if record.stream == player.charges[name] and (moved := getattr(record.body, "moved", None)) is not None
        ]
        visited = [step.status_to.value for step in steps if step.status_from is not step.status_to]
        if "created" not in statuses:
            visited = [status for status in visited if status != Status.CREATED.value]
        assert visited == statuses, name


def _amounts(found: list[Decimal], wanted: list[str]) -> None:
    assert found == [Decimal(amount) for amount in wanted]


def _allocator_calls(player: Player, wanted: list[str], seen: Observed) -> None:
    _amounts([r.body.requested for r in seen.records if isinstance(r.body, CreditCollected)], wanted)


def _corrector_calls(player: Player, wanted: list[str], seen: Observed) -> None:
    _amounts([-r.body.amount for r in seen.records if isinstance(r.body, CreditReturned)], wanted)


def _appended_events(player: Player, wanted: int, seen: Observed) -> None:
    own = [r for r in seen.records if aggregate_of(r.body.NAME) in {"charge", "realization_run"}]
    assert len(own) == wanted, [r.body.NAME for r in own]


def _logged(player: Player, wanted: list[Json], seen: Observed) -> None:
    for entry in wanted:
        hits = [m for m in player.logged.messages if entry["kind"] in m and entry.get("customer", "") in m]
        assert hits, f"{entry} was not logged"


def _charges_count(player: Player, wanted: int, seen: Observed) -> None:
    assert len(list(player.ledger.store.charge_index())) == wanted


def _worker_customers(player: Player, wanted: list[str], seen: Observed) -> None:
    assert player.worker_customers == wanted


def _balances(player: Player, wanted: list[Json], seen: Observed) -> None:
    for each in wanted:
        found = player.balance(each["account"], each["cost_basis"])
        assert found == Decimal(each["amount"]), each


def _charges(player: Player, wanted: dict[str, Json], seen: Observed) -> None:
    for name, expected in wanted.items():
        unknown = set(expected) - set(CHARGE_CHECKS)
        assert not unknown, f"expectations of a charge not known: {sorted(unknown)}"
        charge = player.charge(name)
        for key, value in expected.items():
            CHARGE_CHECKS[key](player, charge, value)


def _line(player: Player, wanted: Json, seen: Observed) -> None:
    assert player.line == {key: Decimal(value) for key, value in wanted.items()}


def _nothing(player: Player, wanted: object, seen: Observed) -> None:
    pass


CHECKS: dict[str, Callable[[Player, Any, Observed], None]] = {
    "error": _error,
    "error_contains": _error_contains,
    "findings": _findings,
    "moved": _moved,
    "visited": _visited,
    "allocator_calls": _allocator_calls,
    "corrector_calls": _corrector_calls,
    "appended_events": _appended_events,
    "logged": _logged,
    "charges_count": _charges_count,
    "worker_customers": _worker_customers,
    "balances": _balances,
    "charges": _charges,
    "line": _line,
    "derived": _nothing,
}


# ── expectations of a charge ─────────────────────────────────────────────────────────────────────────────────


def _time(moment: str | None) -> Any:
    return None if moment is None else timestamp(moment)


def _status(player: Player, charge: Charge, wanted: str) -> None:
    assert charge.status.value == wanted


def _status_in(player: Player, charge: Charge, wanted: list[str]) -> None:
    assert charge.status.value in wanted


def _status_not(player: Player, charge: Charge, wanted: list[str]) -> None:
    assert charge.status.value not in wanted


def _advance_after(player: Player, charge: Charge, wanted: str | None) -> None:
    assert charge.advance_after == _time(wanted)


def _current_run(player: Player, charge: Charge, wanted: Json | None) -> None:
    if wanted is None:
        assert charge.current_run_id is None
        return
    current = next(run for run in player.runs(charge) if run.id == charge.current_run_id)
    _check_run(charge, current, wanted)


def _runs(player: Player, charge: Charge, wanted: list[Json]) -> None:
    runs = player.runs(charge)
    assert len(runs) == len(wanted)
    for run, expected in zip(runs, wanted, strict=True):
        _check_run(charge, run, expected)


def _runs_count(player: Player, charge: Charge, wanted: int) -> None:
    assert len(charge.runs) == wanted


def _layer(layer: Any, wanted: Json | None) -> None:
    if wanted is None:
        assert layer is None
        return
    assert layer is not None
    for key, value in wanted.items():
        match key:
            case "service_period" | "full_service_period":
                period = getattr(layer.periods, key)
                for bound, moment in value.items():
                    assert getattr(period, "from_" if bound == "from" else bound) == timestamp(moment), key
            case "invoice_at":
                assert layer.periods.invoice_at == timestamp(value)
            case "deleted":
                assert (layer.intent_deleted_at is not None) == value
            case "amount":
                assert layer.amount_before_proration == Decimal(value)
            case other:
                raise AssertionError(f"{other} of a layer")


def _base(player: Player, charge: Charge, wanted: Json) -> None:
    _layer(charge.intent.base, wanted)


def _override(player: Player, charge: Charge, wanted: Json | None) -> None:
    _layer(charge.intent.override, wanted)


def _effective(player: Player, charge: Charge, wanted: Json) -> None:
    _layer(charge.intent.effective, wanted)


def _credit_amount(player: Player, charge: Charge, wanted: str) -> None:
    assert getattr(charge.intent.base, "credit_amount") == Decimal(wanted)  # noqa: B009 - only purchases have one


def _grant(player: Player, charge: Charge, wanted: Json | None) -> None:
    if wanted is None:
        assert charge.grant is None
        return
    for key, value in wanted.items():
        match key:
            case "present":
                assert (charge.grant is not None) == value
            case "booked_at":
                assert charge.grant is not None
                assert charge.grant.booked_at == Instant(timestamp(value))
            case other:
                raise AssertionError(f"{other} of a grant")


def _external_payment(player: Player, charge: Charge, wanted: Json | None) -> None:
    payment = charge.payment
    if wanted is None:
        assert payment is None
        return
    assert payment is not None
    for key, value in wanted.items():
        match key:
            case "status":
                assert payment.status.value == value
            case "fiat_amount":
                assert payment.fiat_amount == Decimal(value)
            case "authorized" | "settled":
                assert (getattr(payment, key) is not None) == value
            case other:
                raise AssertionError(f"{other} of a payment")


def _invoice_settlement(player: Player, charge: Charge, wanted: Json | None) -> None:
    assert wanted is None, "purchases settled by invoice are out of slice"


def _resolved_cost_basis(player: Player, charge: Charge, wanted: Json | None) -> None:
    resolved = charge.resolved_cost_basis
    if wanted is None:
        assert resolved is None
        return
    assert resolved is not None
    for key, value in wanted.items():
        match key:
            case "rate":
                assert resolved.rate == Decimal(value)
            case "entry":
                assert resolved.cost_basis_id == player.cost_bases[value]
            case "resolved_at":
                assert resolved.resolved_at == timestamp(value)
            case other:
                raise AssertionError(f"{other} of a resolved cost basis")


def _voided_at(player: Player, charge: Charge, wanted: str | None) -> None:
    assert (charge.voided.at if charge.voided else None) == _time(wanted)


def _amount_after_proration(player: Player, charge: Charge, wanted: str) -> None:
    assert getattr(charge.intent.effective, "amount_after_proration") == Decimal(wanted)  # noqa: B009 - only fees


def _feature_filters(player: Player, charge: Charge, wanted: list[str]) -> None:
    assert list(getattr(charge.intent.base, "feature_filters")) == wanted  # noqa: B009 - only purchases have them


CHARGE_CHECKS: dict[str, Callable[[Player, Charge, Any], None]] = {
    "status": _status,
    "status_in": _status_in,
    "status_not": _status_not,
    "advance_after": _advance_after,
    "current_run": _current_run,
    "runs": _runs,
    "runs_count": _runs_count,
    "base": _base,
    "override": _override,
    "effective": _effective,
    "amount_after_proration": _amount_after_proration,
    "credit_amount": _credit_amount,
    "grant": _grant,
    "external_payment": _external_payment,
    "invoice_settlement": _invoice_settlement,
    "resolved_cost_basis": _resolved_cost_basis,
    "voided_at": _voided_at,
    "feature_filters": _feature_filters,
}


def _check_run(charge: Charge, run: RealizationRun, wanted: Json) -> None:
    realized = [realization.amount for realization in run.credit_realizations]
    corrections = [r.amount for r in run.credit_realizations if r.corrects is not None]
    for key, value in wanted.items():
        match key:
            case "type":
                assert run.type.value == value
            case "initial_type":
                assert run.initial_type.value == value
            case "current":
                assert (charge.current_run_id == run.id) == value
            case "voided":
                assert run.is_voided == (value is not None)
            case "deleted":
                assert (run.deleted_at is not None) == value
            case "service_period_to" | "stored_at_lt":
                assert getattr(run, key) == timestamp(value)
            case "metered_quantity":
                assert run.metered_quantity == Decimal(value)
            case "totals":
                for name in ("amount", "charges_total", "discounts_total", "credits_total", "total"):
                    assert getattr(run.totals, name) == Decimal(value.get(name, "0")), name
            case "credits":
                assert realized == [Decimal(amount) for amount in value]
            case "credits_sorted":
                assert sorted(realized) == sorted(Decimal(amount) for amount in value)
            case "credits_sum":
                assert sum(realized, Decimal(0)) == Decimal(value)
            case "corrections":
                assert corrections == [Decimal(amount) for amount in value]
            case "detailed_lines":
                found = [(d.totals.amount, d.totals.discounts_total, d.totals.total) for d in run.detailed_lines]
                assert found == [tuple(Decimal(d.get(k, "0")) for k in ("amount", "discount", "total")) for d in value]
            case "detailed_lines_count":
                assert len(run.detailed_lines) == value
            case "no_fiat_transaction_required":
                assert run.no_fiat_transaction_required == value
            case "credits_booked_at":
                assert run.booked_at == timestamp(value)
            case "invoice_usage" | "payment" | "invoice":
                assert value is None, f"{key} of a run is out of slice"
            case other:
                raise OutOfSlice(f"the {other} of a run")
