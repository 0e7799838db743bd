"""What a lifecycle scenario may expect after a step, and how it is looked up. Expectations not known here fail."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from aggregates.charges.purchase_state import Payment
from aggregates.charges.state import Charge
from aggregates.credits.events import CreditCollected, CreditReturned
from aggregates.credits.events import InvoiceUsageAccrued as PoolUsageAccrued
from aggregates.event import AnyRecorded, aggregate_of
from aggregates.invoices.events import LineDeleted
from aggregates.invoices.lines import InvoiceLine
from aggregates.invoices.state import Invoice
from aggregates.lifecycle import Status
from aggregates.runs.events import FiatOverageCreditsAllocated, RunPaymentAuthorized, RunPaymentSettled
from aggregates.values.errors import LedgerError, ValidationFailed
from aggregates.values.period import Instant, timestamp
from tests.conformance.lifecycle_compare import amounts, optional_moment, period, totals
from tests.conformance.lifecycle_notation import Json, known
from tests.conformance.lifecycle_player import Player
from tests.conformance.lifecycle_run_checks import check_run


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


def _allocator_calls(player: Player, wanted: list[str], seen: Observed) -> None:
    amounts([r.body.requested for r in seen.records if isinstance(r.body, CreditCollected)], wanted)


def _corrector_calls(player: Player, wanted: list[str], seen: Observed) -> None:
    amounts([-r.body.amount for r in seen.records if isinstance(r.body, CreditReturned)], wanted)


def _appended_events(player: Player, wanted: int, seen: Observed) -> None:
    own = [r for r in seen.records if aggregate_of(r.body.NAME) in {"charge", "realization_run"}]
    assert len(own) == wanted, [r.body.NAME for r in own]


def _logged(player: Player, wanted: list[Json], seen: Observed) -> None:
    for entry in wanted:
        known(entry, {"kind", "customer"}, "a log entry")
        hits = [m for m in player.logged.messages if entry["kind"] in m and entry.get("customer", "") in m]
        assert hits, f"{entry} was not logged"


def _charges_count(player: Player, wanted: int, seen: Observed) -> None:
    """Charges of the scenario; what stands for a source or a use of credit is none of them."""
    assert sum(1 for row in player.ledger.store.charge_index() if row.charge not in player.helping) == wanted


def _worker_customers(player: Player, wanted: list[str], seen: Observed) -> None:
    assert player.worker_customers == wanted


def _balances(player: Player, wanted: list[Json], seen: Observed) -> None:
    for each in wanted:
        known(each, {"account", "cost_basis", "amount", "customer", "currency"}, "a balance")
        found = player.balance(
            each["account"], each["cost_basis"], customer=each.get("customer"), currency=each.get("currency")
        )
        assert found == Decimal(each["amount"]), each


def _charges(player: Player, wanted: dict[str, Json], seen: Observed) -> None:
    for name, expected in wanted.items():
        unknown = set(expected) - set(CHARGE_CHECKS)
        assert not unknown, f"expectations of a charge not known: {sorted(unknown)}"
        charge = player.charge(name)
        for key, value in expected.items():
            CHARGE_CHECKS[key](player, charge, value)


def _line(player: Player, wanted: Json, seen: Observed) -> None:
    known(wanted, player.line, "the line")
    assert {key: player.line[key] for key in wanted} == {key: Decimal(value) for key, value in wanted.items()}


def _preview(player: Player, wanted: Json, seen: Observed) -> None:
    for key, value in wanted.items():
        if key == "totals":
            totals(player.preview["totals"], value)
        else:
            assert player.preview[key] == Decimal(value), key


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
                    period(line.period, value)
                case "invoice_at":
                    assert line.invoice_at == timestamp(value)
                case "amount":
                    assert line.amount == Decimal(value)
                case other:
                    raise AssertionError(f"{other} of a gathering line")


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
                    totals(invoice.totals, value)
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
                totals(content.totals, value)
            case "period":
                period(content.period, value)
            case "quantity" | "pre_line_quantity" | "unit_amount":
                assert getattr(content, key) == Decimal(value), key
            case "credits_applied":
                amounts([credit.amount for credit in content.credits_applied], value)
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
    amounts([sum((a.amount for a in body.allocations), Decimal(0)) for body in allocated], wanted)


def _accruals(player: Player, wanted: list[str], seen: Observed) -> None:
    amounts([r.body.amount for r in seen.records if isinstance(r.body, PoolUsageAccrued)], wanted)


def _accruals_count(player: Player, wanted: int, seen: Observed) -> None:
    assert len([r for r in seen.records if isinstance(r.body, PoolUsageAccrued)]) == wanted


def _payment_facts(player: Player, wanted: list[str], seen: Observed) -> None:
    kinds: dict[type[Any], str] = {RunPaymentAuthorized: "authorized", RunPaymentSettled: "settled"}
    assert [kinds[type(r.body)] for r in seen.records if type(r.body) in kinds] == wanted


def _derived(player: Player, wanted: object, seen: Observed) -> None:
    """Part of a step that was worked out from the rules; it holds like the rest."""
    if isinstance(wanted, dict):
        check(player, wanted, seen if "error" in wanted else Observed(seen.records))


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


def _status(player: Player, charge: Charge, wanted: str) -> None:
    assert charge.status.value == wanted


def _status_in(player: Player, charge: Charge, wanted: list[str]) -> None:
    assert charge.status.value in wanted


def _status_not(player: Player, charge: Charge, wanted: list[str]) -> None:
    assert charge.status.value not in wanted


def _advance_after(player: Player, charge: Charge, wanted: str | None) -> None:
    assert charge.advance_after == optional_moment(wanted)


def _current_run(player: Player, charge: Charge, wanted: Json | None) -> None:
    if wanted is None:
        assert charge.current_run_id is None
        return
    current = next(run for run in player.runs(charge) if run.id == charge.current_run_id)
    check_run(player, charge, current, wanted)


def _runs(player: Player, charge: Charge, wanted: list[Json]) -> None:
    runs = player.runs(charge)
    assert len(runs) == len(wanted)
    for run, expected in zip(runs, wanted, strict=True):
        check_run(player, charge, run, expected)


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
                bounds = getattr(layer.periods, key)
                for bound, moment in value.items():
                    assert getattr(bounds, "from_" if bound == "from" else bound) == timestamp(moment), key
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
    _payment(charge.payment if charge.linked_line is None else None, wanted)


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
    linked = charge.linked_line
    if wanted is not None and linked is not None:
        assert player.lines.get(wanted.get("line", ""), linked.line_id) == linked.line_id
        assert player.invoices.get(wanted.get("invoice", ""), linked.invoice_id) == linked.invoice_id
        wanted = {key: value for key, value in wanted.items() if key not in {"line", "invoice"}}
    _payment(charge.payment if linked is not None else None, wanted)


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
    assert (charge.voided.at if charge.voided else None) == optional_moment(wanted)


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
