"""What a lifecycle scenario may expect after a step, and how it is looked up. Expectations not known here fail."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from aggregates.charges.state import Charge, Payment
from aggregates.credits.events import CreditCollected, CreditReturned
from aggregates.credits.events import InvoiceUsageAccrued as PoolUsageAccrued
from aggregates.event import AnyRecorded, aggregate_of
from aggregates.invoices.events import LineDeleted
from aggregates.invoices.lines import InvoiceLine
from aggregates.invoices.state import Invoice
from aggregates.lifecycle import Status
from aggregates.runs.events import FiatOverageCreditsAllocated, RunPaymentAuthorized, RunPaymentSettled, RunType
from aggregates.runs.state import RealizationRun
from aggregates.values.errors import LedgerError, ValidationFailed
from aggregates.values.period import Instant, timestamp
from tests.conformance.lifecycle_notation import Json
from tests.conformance.lifecycle_player import Player

RunCheck = Callable[["Player", Charge, RealizationRun, Any], None]


class Observed(msgspec.Struct):
    """What one step brought about."""

    records: list[AnyRecorded]
    error: LedgerError | None = None


def check(player: Player, expect: Json, seen: Observed) -> None:
    """Every expectation of a step; one that is not known here fails."""
    unknown = set(expect) - set(CHECKS)
    assert not unknown, f"expectations not known: {sorted(unknown)}"
    if "error" not in expect and seen.error is not None:
        raise seen.error
    for key, wanted in expect.items():
        CHECKS[key](player, wanted, seen)


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
    """Charges of the scenario; what stands for a source or a use of credit is none of them."""
    assert sum(1 for row in player.ledger.store.charge_index() if row.charge not in player.helping) == wanted


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


def _preview(player: Player, wanted: Json, seen: Observed) -> None:
    for key, value in wanted.items():
        if key == "totals":
            _totals(player.preview["totals"], value)
        else:
            assert player.preview[key] == Decimal(value), key


def _totals(found: Any, wanted: Json) -> None:
    for name in ("amount", "charges_total", "discounts_total", "credits_total", "total"):
        assert getattr(found, name) == Decimal(wanted.get(name, "0")), name


def _gathering_lines(player: Player, wanted: dict[str, Json | None], seen: Observed) -> None:
    for name, expected in wanted.items():
        line = player.charge(name).gathering_line
        if expected is None:
            assert line is None
            continue
        assert line is not None, f"nothing of {name} waits to be invoiced"
        for key, value in expected.items():
            match key:
                case "id_as":
                    assert player.gathered.setdefault(value, line.id) == line.id
                case "period":
                    _period(line.period, value)
                case "invoice_at":
                    assert line.invoice_at == timestamp(value)
                case "amount":
                    assert line.amount == Decimal(value)
                case other:
                    raise AssertionError(f"{other} of a gathering line")


def _period(found: Any, wanted: Json) -> None:
    for bound, moment in wanted.items():
        assert getattr(found, "from_" if bound == "from" else bound) == timestamp(moment), bound


def _invoices(player: Player, wanted: dict[str, Json], seen: Observed) -> None:
    for name, expected in wanted.items():
        invoice = player.invoice(name)
        for key, value in expected.items():
            match key:
                case "status":
                    assert invoice.status.value == value
                case "collection_at":
                    assert invoice.collection_at == timestamp(value)
                case "totals":
                    _totals(invoice.totals, value)
                case "lines":
                    assert len(invoice.live_lines) == len(value)
                    for line, each in zip(invoice.live_lines, value, strict=True):
                        _check_line(player, invoice, line, each)
                case "live_lines":
                    assert len(invoice.live_lines) == value
                case "issues":
                    _issues(player, invoice, value)
                case other:
                    raise AssertionError(f"{other} of an invoice")


def _issues(player: Player, invoice: Invoice, wanted: list[Json]) -> None:
    if player.setup.get("credit_notes_available"):
        # The reference adds its warning even so, because its invoices know no credit notes (the scenario's own notes).
        # Ours credit the line; what was paid by credit alone needs no document, and its credit comes back.
        assert invoice.issues == ()
        return
    assert len(invoice.issues) == len(wanted)
    for issue, expected in zip(invoice.issues, wanted, strict=True):
        for key, value in expected.items():
            assert str(getattr(issue, key)) == value


def _check_line(player: Player, invoice: Invoice, line: InvoiceLine, wanted: Json) -> None:
    content = line.content
    for key, value in wanted.items():
        match key:
            case "charge":
                assert line.charge_id == player.charges[value]
            case "totals":
                _totals(content.totals, value)
            case "period":
                _period(content.period, value)
            case "quantity" | "pre_line_quantity" | "unit_amount":
                assert getattr(content, key) == Decimal(value), key
            case "credits_applied":
                _amounts([credit.amount for credit in content.credits_applied], value)
            case "currency":
                assert invoice.currency.code == value
            case "name_suffix":
                assert content.name.endswith(value)
            case "collection_end_override":
                assert content.collected_after == timestamp(value)
            case other:
                raise AssertionError(f"{other} of a line")


def _invoices_count(player: Player, wanted: int, seen: Observed) -> None:
    assert len(player.ledger.invoices.list(player.customer)) == wanted


def _deleted_lines(player: Player, wanted: list[Json], seen: Observed) -> None:
    gone = [(r.stream, r.body.line_id) for r in seen.records if isinstance(r.body, LineDeleted)]
    assert len(gone) == len(wanted)
    for (invoice_id, line_id), expected in zip(gone, wanted, strict=True):
        assert invoice_id == player.invoices[expected["invoice"]]
        line = player.ledger.invoices.get(invoice_id).line(line_id)
        assert line is not None
        assert line.charge_id == player.charges[expected["charge"]]


def _invoice_lines_of(player: Player, wanted: dict[str, int], seen: Observed) -> None:
    for name, count in wanted.items():
        charge = player.charges[name]
        lines = [line for each in player.ledger.invoices.list(player.customer) for line in each.live_lines]
        assert len([line for line in lines if line.charge_id == charge]) == count


def _fiat_allocations(player: Player, wanted: list[str], seen: Observed) -> None:
    allocated = [r.body for r in seen.records if isinstance(r.body, FiatOverageCreditsAllocated)]
    _amounts([sum((a.amount for a in body.allocations), Decimal(0)) for body in allocated], wanted)


def _accruals(player: Player, wanted: list[str], seen: Observed) -> None:
    _amounts([r.body.amount for r in seen.records if isinstance(r.body, PoolUsageAccrued)], wanted)


def _accruals_count(player: Player, wanted: int, seen: Observed) -> None:
    assert len([r for r in seen.records if isinstance(r.body, PoolUsageAccrued)]) == wanted


def _payment_facts(player: Player, wanted: list[str], seen: Observed) -> None:
    kinds: dict[type[Any], str] = {RunPaymentAuthorized: "authorized", RunPaymentSettled: "settled"}
    assert [kinds[type(r.body)] for r in seen.records if type(r.body) in kinds] == wanted


def _derived(player: Player, wanted: object, seen: Observed) -> None:
    """Part of a step that was worked out from the rules; it holds like the rest."""
    if isinstance(wanted, dict):
        check(player, wanted, Observed(seen.records))


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
    "preview": _preview,
    "gathering_lines": _gathering_lines,
    "invoices": _invoices,
    "invoices_count": _invoices_count,
    "deleted_lines": _deleted_lines,
    "invoice_lines_of": _invoice_lines_of,
    "fiat_allocations": _fiat_allocations,
    "accruals": _accruals,
    "accruals_count": _accruals_count,
    "payment_facts": _payment_facts,
    "derived": _derived,
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
    _check_run(player, charge, current, wanted)


def _runs(player: Player, charge: Charge, wanted: list[Json]) -> None:
    runs = player.runs(charge)
    assert len(runs) == len(wanted)
    for run, expected in zip(runs, wanted, strict=True):
        _check_run(player, charge, run, expected)


def _runs_count(player: Player, charge: Charge, wanted: int) -> None:
    assert len(charge.runs) == wanted


def _layer(layer: Any, wanted: Json | None) -> None:
    if wanted is None:
        assert layer is None
        return
    assert layer is not None
    for key, value in wanted.items():
        match key:
            case "service_period" | "full_service_period" | "billing_period":
                period = getattr(layer.periods, key)
                for bound, moment in value.items():
                    assert getattr(period, "from_" if bound == "from" else bound) == timestamp(moment), key
            case "invoice_at":
                assert layer.periods.invoice_at == timestamp(value)
            case "name":
                assert layer.name == value
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
            case "amount":
                assert charge.grant is not None
                assert charge.grant.amount == Decimal(value)
            case "booked_at":
                assert charge.grant is not None
                assert charge.grant.booked_at == Instant(timestamp(value))
            case other:
                raise AssertionError(f"{other} of a grant")


def _external_payment(player: Player, charge: Charge, wanted: Json | None) -> None:
    _payment(charge.payment, wanted)


def _payment(payment: Payment | None, wanted: Json | None) -> None:
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
    _payment(charge.payment if charge.linked_line is not None else None, wanted)


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


def _check_run(player: Player, charge: Charge, run: RealizationRun, wanted: Json) -> None:
    unknown = set(wanted) - set(RUN_CHECKS)
    assert not unknown, f"expectations of a run not known: {sorted(unknown)}"
    for key, value in wanted.items():
        RUN_CHECKS[key](player, charge, run, value)


def _same(name: str) -> RunCheck:
    """The field of that name, as text says it."""

    def compare(player: Player, charge: Charge, run: RealizationRun, wanted: Any) -> None:
        found = getattr(run, name)
        assert found == (type(found)(wanted) if isinstance(found, Decimal) else wanted), name

    return compare


def _at(name: str) -> RunCheck:
    def compare(player: Player, charge: Charge, run: RealizationRun, wanted: str | None) -> None:
        assert getattr(run, name) == _time(wanted), name

    return compare


def _run_current(player: Player, charge: Charge, run: RealizationRun, wanted: bool) -> None:
    assert (charge.current_run_id == run.id) == wanted


def _run_voided(player: Player, charge: Charge, run: RealizationRun, wanted: str | None) -> None:
    states = {"deleted": run.deleted_at is not None, "invalid": run.type is RunType.INVALID}
    assert states[wanted] if wanted else not any(states.values())


def _run_deleted(player: Player, charge: Charge, run: RealizationRun, wanted: bool) -> None:
    assert (run.deleted_at is not None) == wanted


def _run_totals(player: Player, charge: Charge, run: RealizationRun, wanted: Json) -> None:
    _totals(run.totals, wanted)


def _realized(run: RealizationRun) -> list[Decimal]:
    return [realization.amount for realization in run.credit_realizations]


def _run_credits(player: Player, charge: Charge, run: RealizationRun, wanted: list[str]) -> None:
    _amounts(_realized(run), wanted)


def _run_credits_sorted(player: Player, charge: Charge, run: RealizationRun, wanted: list[str]) -> None:
    _amounts(sorted(_realized(run)), sorted(wanted, key=Decimal))


def _run_credits_sum(player: Player, charge: Charge, run: RealizationRun, wanted: str) -> None:
    assert sum(_realized(run), Decimal(0)) == Decimal(wanted)


def _run_corrections(player: Player, charge: Charge, run: RealizationRun, wanted: list[str]) -> None:
    _amounts([r.amount for r in run.credit_realizations if r.corrects is not None], wanted)


def _run_overage_credits(player: Player, charge: Charge, run: RealizationRun, wanted: list[str]) -> None:
    _amounts([realization.amount for realization in run.fiat_overage_credit_realizations], wanted)


def _run_lines(player: Player, charge: Charge, run: RealizationRun, wanted: list[Json]) -> None:
    shown = [[d.totals.amount, d.totals.discounts_total, d.totals.total] for d in run.detailed_lines]
    assert shown == [[Decimal(d.get(k, "0")) for k in ("amount", "discount", "total")] for d in wanted]


def _run_lines_count(player: Player, charge: Charge, run: RealizationRun, wanted: int) -> None:
    assert len(run.detailed_lines) == wanted


def _run_invoice(player: Player, charge: Charge, run: RealizationRun, wanted: str | None) -> None:
    assert run.invoice_id == (player.invoices[wanted] if wanted else None)


def _run_usage(player: Player, charge: Charge, run: RealizationRun, wanted: Json | None) -> None:
    _check_usage(run, wanted)


def _run_payment(player: Player, charge: Charge, run: RealizationRun, wanted: Json | None) -> None:
    _check_payment(run, wanted)


RUN_CHECKS: dict[str, RunCheck] = {
    "type": _same("type"),
    "initial_type": _same("initial_type"),
    "current": _run_current,
    "voided": _run_voided,
    "deleted": _run_deleted,
    "service_period_to": _at("service_period_to"),
    "stored_at_lt": _at("stored_at_lt"),
    "metered_quantity": _same("metered_quantity"),
    "totals": _run_totals,
    "credits": _run_credits,
    "credits_sorted": _run_credits_sorted,
    "credits_sum": _run_credits_sum,
    "corrections": _run_corrections,
    "credits_booked_at": _at("booked_at"),
    "fiat_overage_credits": _run_overage_credits,
    "detailed_lines": _run_lines,
    "detailed_lines_count": _run_lines_count,
    "no_fiat_transaction_required": _same("no_fiat_transaction_required"),
    "invoice_usage": _run_usage,
    "accrued_usage": _run_usage,
    "payment": _run_payment,
    "invoice": _run_invoice,
}


def _check_usage(run: RealizationRun, wanted: Json | None) -> None:
    if wanted is None:
        # A run that needs no fiat transaction has a usage fact without a ledger group, which the runner hides (D28).
        assert run.invoice_usage is None or run.invoice_usage.ledger_group is None
        return
    assert run.invoice_usage is not None
    _period(run.invoice_usage.period, wanted.get("period", {}))
    if "totals" in wanted:
        _totals(run.invoice_usage.totals, wanted["totals"])


def _check_payment(run: RealizationRun, wanted: Json | None) -> None:
    if wanted is None:
        assert run.payment is None
        return
    assert run.payment is not None
    for key, value in wanted.items():
        match key:
            case "status":
                assert run.payment.status == value
            case "fiat_amount":
                assert run.payment.fiat_amount == Decimal(value)
            case "authorized" | "settled":
                assert (run.payment.status == "settled" or key == "authorized") == value
            case other:
                raise AssertionError(f"{other} of a payment")
