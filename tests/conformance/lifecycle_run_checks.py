"""What a lifecycle scenario may expect of a run, and how it is looked up."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aggregates.charges.state import Charge
from aggregates.runs.events import RunType
from aggregates.runs.state import RealizationRun
from tests.conformance.lifecycle_compare import amounts, optional_moment, period, totals
from tests.conformance.lifecycle_notation import Json, known
from tests.conformance.lifecycle_player import Player

RunCheck = Callable[[Player, Charge, RealizationRun, Any], None]


def check_run(player: Player, charge: Charge, run: RealizationRun, wanted: Json) -> None:
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
        assert getattr(run, name) == optional_moment(wanted), name

    return compare


def _run_current(player: Player, charge: Charge, run: RealizationRun, wanted: bool) -> None:
    assert (charge.current_run_id == run.id) == wanted


def _run_voided(player: Player, charge: Charge, run: RealizationRun, wanted: str | None) -> None:
    states = {"deleted": run.deleted_at is not None, "invalid": run.type is RunType.INVALID}
    assert states[wanted] if wanted else not any(states.values())


def _run_deleted(player: Player, charge: Charge, run: RealizationRun, wanted: bool) -> None:
    assert (run.deleted_at is not None) == wanted


def _run_totals(player: Player, charge: Charge, run: RealizationRun, wanted: Json) -> None:
    totals(run.totals, wanted)


def _realized(run: RealizationRun) -> list[Decimal]:
    return [realization.amount for realization in run.credit_realizations]


def _run_credits(player: Player, charge: Charge, run: RealizationRun, wanted: list[str]) -> None:
    amounts(_realized(run), wanted)


def _run_credits_sorted(player: Player, charge: Charge, run: RealizationRun, wanted: list[str]) -> None:
    amounts(sorted(_realized(run)), sorted(wanted, key=Decimal))


def _run_credits_sum(player: Player, charge: Charge, run: RealizationRun, wanted: str) -> None:
    assert sum(_realized(run), Decimal(0)) == Decimal(wanted)


def _run_corrections(player: Player, charge: Charge, run: RealizationRun, wanted: list[str]) -> None:
    amounts([r.amount for r in run.credit_realizations if r.corrects is not None], wanted)


def _run_overage_credits(player: Player, charge: Charge, run: RealizationRun, wanted: list[str]) -> None:
    amounts([realization.amount for realization in run.fiat_overage_credit_realizations], wanted)


def _run_lines(player: Player, charge: Charge, run: RealizationRun, wanted: list[Json]) -> None:
    assert len(run.detailed_lines) == len(wanted)
    for line, expected in zip(run.detailed_lines, wanted, strict=True):
        known(expected, {"amount", "discount", "total", "credits", "quantity", "unit_amount"}, "a detailed line")
        shown = {
            "amount": line.totals.amount,
            "discount": line.totals.discounts_total,
            "total": line.totals.total,
            "credits": line.totals.credits_total,
            "quantity": line.quantity,
            "unit_amount": line.per_unit_amount,
        }
        whole = {"amount": "0", "discount": "0", "total": "0"} | expected
        assert {key: shown[key] for key in whole} == {key: Decimal(value) for key, value in whole.items()}


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
    known(wanted, {"period", "totals", "ledger_group"}, "an invoice usage")
    assert run.invoice_usage is not None
    if "ledger_group" in wanted:
        assert wanted["ledger_group"] is None, "a scenario cannot name a group"
        assert run.invoice_usage.ledger_group is None
    period(run.invoice_usage.period, wanted.get("period", {}))
    if "totals" in wanted:
        totals(run.invoice_usage.totals, wanted["totals"])


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
