"""What a run cannot be rated from is refused, with the codes and words of run rating R4; and what lies beside it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aggregates.rating import (
    DetailedLine,
    PriorRun,
    RunEngine,
    RunToRate,
    Snapshot,
    booked,
    engine_named,
    rate_run,
    rate_totals,
    snapshot_instants,
)
from aggregates.rating.epochs import is_sign_coherent
from aggregates.rating.naming import with_period_suffix, without_period_suffix
from aggregates.rating.prices import UnitPrice
from aggregates.rating.prior_runs import check_window, current_period, derived_periods, ending_before, with_lines
from aggregates.rating.subtract import AS_CORRECTION, CARRIED_OVER, subtract
from aggregates.values.errors import ValidationFailed
from aggregates.values.period import Period, instant, period
from aggregates.values.totals import Totals
from tests.support.rating import ENGINES, USD, price, shown

JANUARY = period("2025-01-01", "2025-02-01")
FIRST, SECOND, THIRD = (
    period("2025-01-01", "2025-01-10"),
    period("2025-01-10", "2025-01-20"),
    period("2025-01-20", "2025-02-01"),
)


def a_run(engine: RunEngine, period_: Period, **given: Any) -> RunToRate:
    fields = {
        "price": price("unit 10"),
        "currency": USD,
        "service_period": JANUARY,
        "quantity": Decimal(5),
        "run_id": "current",
        **given,
    }
    return RunToRate(engine=engine, period=period_, **fields)


def a_line(**given: Any) -> DetailedLine:
    fields = {
        "id": "line",
        "pricer_reference_id": "unit-price-usage",
        "child_unique_reference_id": "unit-price-usage",
        "quantity": Decimal(3),
        "per_unit_amount": Decimal(10),
        "totals": Totals(amount=Decimal(30), total=Decimal(30)),
        "service_period": FIRST,
        **given,
    }
    return DetailedLine(**fields)


def prior(period_: Period, *lines: DetailedLine, run_id: str = "run-1", **given: Any) -> PriorRun:
    return PriorRun(run_id=run_id, period=period_, lines=lines, **given)


def refused(run: RunToRate) -> list[str]:
    with pytest.raises(ValidationFailed) as failed:
        rate_run(run)
    return [finding.code for finding in failed.value.findings]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_lies_inside_its_charge(engine: RunEngine) -> None:
    assert refused(a_run(engine, period("2025-01-20", "2025-02-02"))) == ["current_period_outside_service_period"]
    assert rate_run(a_run(engine, JANUARY)).totals.total == 50


@pytest.mark.parametrize(
    ("engine", "priors", "codes"),
    [
        (RunEngine.PERIOD_PRESERVING, [period("2024-12-31", "2025-01-10")], ["prior_period_outside_service_period"]),
        (RunEngine.PERIOD_PRESERVING, [period("2025-01-05", "2025-01-05")], ["prior_period_empty"]),
        (RunEngine.PERIOD_PRESERVING, [period("2025-01-01", "2025-01-11")], ["prior_period_overlaps_current"]),
        (RunEngine.PERIOD_PRESERVING, [FIRST, period("2025-01-01", "2025-01-05")], ["prior_periods_overlap"]),
        (RunEngine.PERIOD_PRESERVING, [FIRST, FIRST], ["prior_periods_overlap"]),
        (
            RunEngine.PERIOD_PRESERVING,
            [period("2024-12-31", "2025-01-11"), period("2025-01-05", "2025-01-05")],
            [
                "prior_period_outside_service_period",
                "prior_period_empty",
                "prior_period_overlaps_current",
                "prior_periods_overlap",
            ],
        ),
        (RunEngine.INVOICE_COMPATIBLE_DELTA, [SECOND], ["prior_period_overlaps_current"]),
        (RunEngine.INVOICE_COMPATIBLE_PERIOD_PRESERVING, [SECOND], ["prior_period_overlaps_current"]),
    ],
)
def test_periods_are_checked_together_and_in_order(engine: RunEngine, priors: list[Period], codes: list[str]) -> None:
    runs = tuple(prior(p, run_id=f"run-{i}") for i, p in enumerate(priors))
    snapshots = tuple(Snapshot(p.to, Decimal(1)) for p in priors)

    assert refused(a_run(engine, SECOND, prior_runs=runs, snapshots=snapshots)) == codes


def test_touching_periods_do_not_overlap() -> None:
    run = a_run(
        RunEngine.PERIOD_PRESERVING, SECOND, prior_runs=(prior(FIRST),), snapshots=(Snapshot(FIRST.to, Decimal(5)),)
    )

    assert [str(line.service_period) for line in rate_run(run).lines] == [str(FIRST)]


def test_an_empty_run_is_refused_by_the_invoice_compatible_engines() -> None:
    empty = period("2025-01-10", "2025-01-10")

    assert refused(a_run(RunEngine.INVOICE_COMPATIBLE_DELTA, empty)) == ["current_period_empty"]


def test_a_quantity_below_zero_is_refused_by_the_invoice_compatible_engines() -> None:
    run = a_run(RunEngine.INVOICE_COMPATIBLE_DELTA, FIRST, quantity=Decimal(-1))

    assert refused(run) == ["negative_quantity"]
    assert rate_run(msgspec.structs.replace(run, engine=RunEngine.DELTA)).lines == ()


@pytest.mark.parametrize("engine", ENGINES)
def test_no_lines_is_known_and_unknown_lines_are_not_no_lines(engine: RunEngine) -> None:
    unloaded = PriorRun(run_id="run-1", period=FIRST, lines=None)
    snapshots = (Snapshot(FIRST.to, Decimal(0)),)

    assert refused(a_run(engine, SECOND, prior_runs=(unloaded,), snapshots=snapshots)) == ["prior_run_lines_missing"]
    voided = msgspec.structs.replace(unloaded, voided=True)
    assert rate_run(a_run(engine, JANUARY, prior_runs=(voided,))).totals.total == 50
    assert rate_run(a_run(engine, SECOND, prior_runs=(prior(FIRST),), snapshots=snapshots)).totals.total == 50


@pytest.mark.parametrize("engine", ENGINES)
def test_the_run_being_rated_is_left_out_by_its_id(engine: RunEngine) -> None:
    itself = prior(FIRST, a_line(), run_id="current")

    assert rate_run(a_run(engine, FIRST, prior_runs=(itself,))).totals.total == 50


@pytest.mark.parametrize("engine", [RunEngine.PERIOD_PRESERVING, RunEngine.INVOICE_COMPATIBLE_PERIOD_PRESERVING])
def test_the_moments_an_engine_needs_are_named_and_missing_ones_refused(engine: RunEngine) -> None:
    run = a_run(engine, SECOND, prior_runs=(prior(FIRST),))

    assert snapshot_instants(run) == (FIRST.to,)
    assert refused(run) == ["snapshot_missing"]
    assert snapshot_instants(msgspec.structs.replace(run, engine=RunEngine.DELTA)) == ()


def test_a_hole_left_by_a_voided_run_is_a_moment_of_its_own() -> None:
    runs = (prior(FIRST), prior(SECOND, run_id="run-2", voided=True))
    run = a_run(RunEngine.INVOICE_COMPATIBLE_PERIOD_PRESERVING, THIRD, prior_runs=runs)

    assert snapshot_instants(run) == (FIRST.to, SECOND.to)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_line_of_another_currency_is_refused(engine: RunEngine) -> None:
    run = a_run(
        engine,
        SECOND,
        prior_runs=(prior(FIRST, a_line(currency="EUR")),),
        snapshots=(Snapshot(FIRST.to, Decimal(3)),),
    )

    assert refused(run) == ["currency_mismatch"]


def test_a_booked_line_without_id_cannot_be_taken_back() -> None:
    run = a_run(RunEngine.DELTA, SECOND, prior_runs=(prior(FIRST, a_line(id=None)),), quantity=Decimal(0))

    assert refused(run) == ["detailed_line_id_required"]


def test_a_stored_reference_that_is_only_a_period_is_refused() -> None:
    broken = a_line(child_unique_reference_id="@[x]")
    snapshots = (Snapshot(FIRST.to, Decimal(3)),)
    run = a_run(RunEngine.PERIOD_PRESERVING, SECOND, prior_runs=(prior(FIRST, broken),), snapshots=snapshots)

    assert refused(run) == ["child_reference_without_base"]


def test_a_late_adjustment_needs_a_final_run_and_a_later_cutoff() -> None:
    engine = RunEngine.INVOICE_COMPATIBLE_DELTA
    final = prior(THIRD, run_id="final", stored_at_lt=instant("2025-02-03"))
    late = a_run(engine, THIRD, late=True, prior_runs=(final,), stored_at_lt=instant("2025-02-04"))

    assert rate_run(late).lines[0].corrects_run_id == "final"
    assert refused(msgspec.structs.replace(late, prior_runs=())) == ["late_adjustment_without_final_run"]
    assert refused(msgspec.structs.replace(late, period=FIRST)) == ["late_adjustment_without_final_run"]
    earlier = msgspec.structs.replace(late, stored_at_lt=instant("2025-02-03"))
    assert refused(earlier) == ["late_adjustment_cutoff_not_later"]
    assert refused(msgspec.structs.replace(late, late=False)) == ["prior_period_overlaps_current"]
    assert refused(msgspec.structs.replace(late, engine=RunEngine.DELTA)) == ["late_adjustment_unsupported_engine"]


def test_a_late_adjustment_of_terms_that_ended_is_of_the_last_run_under_them_and_charges_no_minimum() -> None:
    terms = UnitPrice(amount=Decimal(10), minimum_amount=Decimal(100))
    last = prior(SECOND, run_id="last", stored_at_lt=instant("2025-02-03"))
    engine, cut = RunEngine.INVOICE_COMPATIBLE_DELTA, instant("2025-02-04")
    late = a_run(engine, SECOND, late=True, price=terms, quantity=Decimal(2), prior_runs=(last,), stored_at_lt=cut)

    rated = rate_run(msgspec.structs.replace(late, held_until=SECOND.to))

    assert (rated.totals.total, {line.corrects_run_id for line in rated.lines}) == (20, {"last"})
    assert refused(late) == ["late_adjustment_without_final_run"]


def test_an_unknown_engine_is_refused_by_name() -> None:
    assert engine_named("delta") is RunEngine.DELTA
    with pytest.raises(ValidationFailed, match="no rating engine 'gamma'"):
        engine_named("gamma")


def test_a_rated_run_says_everything_it_was_made_from() -> None:
    runs = (prior(FIRST, a_line()),)
    snapshots = (Snapshot(FIRST.to, Decimal(3)),)
    rated = rate_run(a_run(RunEngine.PERIOD_PRESERVING, SECOND, prior_runs=runs, snapshots=snapshots))

    assert rated.snapshots == (Snapshot(FIRST.to, Decimal(3)), Snapshot(SECOND.to, Decimal(5)))
    assert rated.prior_run_ids == ("run-1",)
    assert (rated.engine, rated.engine_version, rated.period) == ("period_preserving", 1, SECOND)


def test_the_totals_of_a_charge_count_the_minimum_once_it_has_ended() -> None:
    run = a_run(RunEngine.DELTA, JANUARY, price=price("unit 3 min 100"), quantity=Decimal(12))

    assert rate_totals(run, ended=False).total == 36
    assert rate_totals(run, ended=True).total == 100


# ── which runs count ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_begins_where_the_latest_live_run_ends() -> None:
    assert current_period(JANUARY, JANUARY.to, []) == JANUARY
    assert current_period(JANUARY, JANUARY.to, [SECOND.to, FIRST.to]) == THIRD


def test_periods_can_be_derived_from_ends() -> None:
    assert derived_periods(JANUARY, [SECOND.to, FIRST.to]) == [SECOND, FIRST]


def test_the_reference_counts_only_runs_that_end_earlier() -> None:
    runs = [prior(FIRST), prior(SECOND, run_id="same-end"), prior(FIRST, run_id="gone", voided=True)]

    assert [run.run_id for run in ending_before(runs, SECOND.to)] == ["run-1"]


def test_missing_lines_are_fetched_once_and_only_for_live_runs() -> None:
    asked: list[list[str]] = []

    def fetch(missing: Any) -> dict[str, tuple[DetailedLine, ...]]:
        asked.append(list(missing))
        return {"run-1": (a_line(),)}

    unloaded = PriorRun(run_id="run-1", period=FIRST, lines=None)
    loaded = with_lines([unloaded, prior(SECOND, run_id="run-2")], fetch)

    assert [len(run.lines or ()) for run in loaded] == [1, 0]
    assert with_lines([msgspec.structs.replace(unloaded, voided=True)], fetch)[0].lines is None
    assert asked == [["run-1"]]


def test_a_failure_to_fetch_is_told_with_its_cause() -> None:
    def fetch(missing: Any) -> dict[str, tuple[DetailedLine, ...]]:
        raise RuntimeError("boom")

    with pytest.raises(ValidationFailed, match="fetch detailed lines: boom"):
        with_lines([PriorRun(run_id="run-1", period=FIRST, lines=None)], fetch)


@pytest.mark.parametrize(
    ("to", "code"),
    [("2025-01-01", "service_period_to_not_after_start"), ("2025-02-02", "service_period_to_after_end")],
)
def test_a_window_is_metered_inside_the_charge(to: str, code: str) -> None:
    check_window(JANUARY, JANUARY.to)
    with pytest.raises(ValidationFailed) as failed:
        check_window(JANUARY, instant(to))

    assert failed.value.findings[0].code == code


# ── subtraction and names ────────────────────────────────────────────────────────────────────────────────────


def test_several_lines_of_one_component_are_taken_back_in_the_name_of_the_first() -> None:
    lines = [a_line(id="a"), a_line(id="b", quantity=Decimal(2), totals=Totals(amount=Decimal(20), total=Decimal(20)))]

    (reversal,) = subtract([], lines, AS_CORRECTION)

    assert reversal.child_unique_reference_id == "unit-price-usage#correction:detailed_line_id=a"
    assert (shown(reversal), reversal.id) == ("-5 x 10 = -50 unit-price-usage", None)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"category": "other"}, "current detailed lines: [0]: invalid category other"),
        ({"payment_term": "soon"}, "current detailed lines: [0]: invalid payment term soon"),
        ({"corrects_run_id": ""}, "current detailed lines: [0]: corrects run id must not be empty"),
        ({"child_unique_reference_id": ""}, "child unique reference id must not be empty"),
        ({"pricer_reference_id": ""}, "pricer reference id must not be empty"),
        ({"per_unit_amount": Decimal(-1)}, "per unit amount must not be negative"),
    ],
)
def test_an_invalid_line_is_named_by_side_and_place(broken: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationFailed) as failed:
        subtract([a_line(**broken)], [], CARRIED_OVER)

    assert failed.value.findings[0].code == "invalid_detailed_line"
    assert message in str(failed.value)


def test_two_results_under_one_name_are_refused() -> None:
    twice = [a_line(pricer_reference_id="x"), a_line(pricer_reference_id="y")]

    with pytest.raises(ValidationFailed, match="duplicate child unique reference id: unit-price-usage"):
        subtract(twice, [], CARRIED_OVER)
    assert len(subtract(twice, [], CARRIED_OVER, unique=False)) == 2


@pytest.mark.parametrize(
    ("quantity", "amount", "discount", "fits"),
    [
        ("3", "30", "10", True),
        ("3", "30", "-10", False),
        ("3", "30", "40", False),
        ("-3", "-30", "-10", True),
        ("-3", "30", "0", False),
        ("0", "0", "10", False),
        ("0", "-10", "0", False),
        ("0", "10", "0", False),
    ],
)
def test_a_line_fits_on_a_document_when_everything_points_one_way(
    quantity: str, amount: str, discount: str, fits: bool
) -> None:
    gross, less = Decimal(amount), Decimal(discount)
    line = a_line(quantity=Decimal(quantity), totals=Totals(amount=gross, discounts_total=less, total=gross - less))

    assert is_sign_coherent(line) == fits


def test_ten_and_ten_point_zero_zero_are_one_price() -> None:
    assert subtract([a_line(per_unit_amount=Decimal("10.00"))], [a_line()], CARRIED_OVER) == []


def test_a_name_is_stamped_with_its_period_in_utc() -> None:
    stamped = with_period_suffix("unit-price-usage", period("2025-01-01T12:30:45+01:00", "2025-02-01T01:02:03.9-08:00"))

    assert stamped == "unit-price-usage@[2025-01-01T11:30:45Z..2025-02-01T09:02:03Z]"
    assert with_period_suffix(stamped, FIRST) == with_period_suffix("unit-price-usage", FIRST)
    assert without_period_suffix(stamped) == "unit-price-usage"


def test_lines_are_booked_under_the_ids_they_are_given() -> None:
    assert [line.id for line in booked([a_line(), a_line()], ["one", "two"])] == ["one", "two"]
