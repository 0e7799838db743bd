"""Plays every run rating vector of the language-neutral suite, one test per case, named by suite and case.

`LEDGER_VECTORS` names a folder that holds `run_rating/`; without it the vectors of this project are played. Every JSON
file below the folder is read. Of a line exactly the members that an expectation names are compared; the list is
complete and ordered. A kind of case that is not known here fails.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aggregates.rating.lines import AmountDiscount, CreditApplied, DetailedLine, MaximumSpend, booked
from aggregates.rating.naming import with_period_suffix
from aggregates.rating.prices import AnyPrice, Discounts
from aggregates.rating.prior_runs import check_window, current_period, derived_periods, ending_before, with_lines
from aggregates.rating.refusal import refuse
from aggregates.rating.requests import REFERENCE_ENGINE, PriorRun, RateOptions, RunToRate, Snapshot, engine_named
from aggregates.rating.run import price_rater, rate_run, rate_totals
from aggregates.rating.subtract import AS_CORRECTION, CARRIED_OVER, Namer, own_reference, subtract
from aggregates.rating.wire import read_price, without_nulls
from aggregates.values.decimals import ZERO, exact, shortest
from aggregates.values.errors import ValidationFailed
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period, instant, timestamp
from aggregates.values.totals import Totals, sum_totals

VECTORS = Path(os.environ.get("LEDGER_VECTORS", Path(__file__).parents[1] / "vectors")) / "run_rating"

Case = dict[str, Any]

TOTALS = ("amount", "charges_total", "discounts_total", "credits_total", "total")
TAXES = ("taxes_inclusive_total", "taxes_exclusive_total", "taxes_total")


def cases() -> Iterator[Any]:
    files = sorted(VECTORS.rglob("*.json"))
    assert files, f"no vectors below {VECTORS}"
    for file in files:
        suite = json.loads(file.read_text())
        for case in suite["cases"]:
            yield pytest.param(case, id=f"{suite.get('suite', file.stem)}/{case['name']}")


@pytest.mark.parametrize("case", list(cases()))
def test_run_rating_agrees_with_the_specification(case: Case) -> None:
    expected = case.get("expected_error")
    if expected is None:
        KINDS[case["kind"]](case)
        return

    with pytest.raises(ValidationFailed) as refused:
        KINDS[case["kind"]](case)

    assert expected["code"] in [finding.code for finding in refused.value.findings]
    assert expected.get("contains", "") in str(refused.value)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────


def a_period(raw: Mapping[str, str], code: str, where: str) -> Period:
    """A period is never backwards; one that is written so is refused where it is read."""
    from_, to = instant(raw["from"]), instant(raw["to"])
    if timestamp(raw["from"]) > timestamp(raw["to"]):
        refuse(code, f"{where}: from must be before to")
    return Period(from_, to)


def service_period_of(case: Case) -> Period:
    return a_period(case["service_period"], "service_period_invalid", "service period")


def a_price(case: Case) -> AnyPrice:
    raw = dict(case["price"])
    commitments = raw.pop("commitments", None) or {}
    return read_price({**raw, **commitments})


def discounts_of(case: Case) -> Discounts:
    return msgspec.convert(without_nulls(case.get("discounts") or {}), Discounts)


def a_line(raw: Mapping[str, Any], where: str = "detailed lines: [0]") -> DetailedLine:
    totals = raw.get("totals") or {}
    assert not any(Decimal(totals.get(tax) or 0) for tax in TAXES), "rated lines carry no taxes"
    figures = {field: Decimal(totals.get(field) or 0) for field in TOTALS}
    period = raw.get("service_period")
    return DetailedLine(
        id=raw.get("id"),
        pricer_reference_id=raw.get("pricer_reference_id", ""),
        child_unique_reference_id=raw.get("child_unique_reference_id", ""),
        category=raw.get("category", "regular"),
        payment_term=raw.get("payment_term", "in_arrears"),
        service_period=period and a_period(period, "invalid_detailed_line", f"{where}: service period"),
        per_unit_amount=Decimal(raw["per_unit_amount"]),
        quantity=Decimal(raw["quantity"]),
        totals=Totals(**figures),
        index=raw.get("index"),
        corrects_run_id=raw.get("corrects_run_id"),
        reverses_line_id=raw.get("reverses_line_id"),
        kind=raw.get("kind"),
        currency=raw.get("currency"),
        amount_discounts=tuple(
            AmountDiscount(amount=Decimal(amount), child_unique_reference_id=key, reason=MaximumSpend())
            for key, amount in (raw.get("amount_discounts") or {}).items()
        ),
    )


def lines_of(raw: Sequence[Mapping[str, Any]] | None, side: str) -> tuple[DetailedLine, ...]:
    return tuple(a_line(line, f"{side} detailed lines: [{i}]") for i, line in enumerate(raw or ()))


def a_run(case: Case, **given: Any) -> RunToRate:
    service_period = given.pop("service_period", None) or service_period_of(case)
    fields = {
        "engine": engine_named(case.get("engine", "delta")),
        "price": a_price(case),
        "currency": Currency(case["currency"]["code"], case["currency"]["precision"]),
        "service_period": service_period,
        "period": service_period,
        "quantity": ZERO,
        "discounts": discounts_of(case),
        **given,
    }
    return RunToRate(**fields)


class Recorder:
    """The price rater of a run, or a stub in its place; keeps how it was called."""

    def __init__(self, run: RunToRate, stub: Sequence[DetailedLine] | None) -> None:
        self._rater = price_rater(run) if stub is None else None
        self._stub = stub
        self.calls: list[RateOptions] = []

    def __call__(self, snapshot: Snapshot, period: Period, options: RateOptions) -> Sequence[DetailedLine]:
        self.calls.append(options)
        if self._rater is None:
            return [
                msgspec.structs.replace(line, index=i if line.index is None else line.index)
                for i, line in enumerate(self._stub or ())
            ]
        return self._rater(snapshot, period, options)


def a_recorder(case: Case, run: RunToRate) -> Recorder:
    stub = None if case.get("rated_lines") is None else lines_of(case["rated_lines"], "current")
    return Recorder(run, stub)


# ── comparing ────────────────────────────────────────────────────────────────────────────────────────────────


def assert_lines(found: Sequence[DetailedLine], expected: Sequence[Mapping[str, Any]]) -> None:
    shown = [{name: member(line, name) for name in want} for line, want in zip(found, expected, strict=False)]
    rest = [f"unexpected: {line}" for line in found[len(expected) :]]
    rest += ["missing"] * (len(expected) - len(found))

    assert [*shown, *rest] == [{name: wanted(want, name) for name in want} for want in expected]


def member(line: DetailedLine, name: str) -> Any:
    if name == "totals":
        return totals_shown(line.totals)
    if name == "service_period":
        return line.service_period
    if name == "amount_discounts":
        return {d.child_unique_reference_id: d.amount + d.rounding_amount for d in line.amount_discounts}
    return getattr(line, name)


def wanted(line: Mapping[str, Any], name: str) -> Any:
    value = line[name]
    if name == "totals":
        return {field: Decimal(value.get(field) or 0) for field in (*TOTALS, *TAXES)}
    if name == "service_period":
        return Period(instant(value["from"]), instant(value["to"]))
    if name == "amount_discounts":
        return {key: Decimal(amount) for key, amount in (value or {}).items()}
    if name in {"per_unit_amount", "quantity"}:
        return Decimal(value)
    return value


def totals_shown(totals: Totals) -> dict[str, Decimal]:
    return {field: getattr(totals, field, ZERO) for field in (*TOTALS, *TAXES)}


def assert_totals(found: Totals, expected: Mapping[str, Any] | None) -> None:
    if expected is not None:
        assert totals_shown(found) == wanted({"totals": expected}, "totals")


def assert_options(recorder: Recorder, case: Case) -> None:
    if (expected := case.get("expected_rating_options")) is not None:
        assert [call._asdict() for call in recorder.calls] == expected


# ── phases: one run after the other ──────────────────────────────────────────────────────────────────────────


def play_phases(case: Case) -> None:
    service_period = service_period_of(case)
    earlier: list[PriorRun] = []
    voided: set[str] = set()
    for n, phase in enumerate(case["phases"], 1):
        if phase.get("service_period"):
            service_period = a_period(phase["service_period"], "service_period_invalid", "service period")
        voided.update(phase.get("void_runs") or ())
        run = phase_to_run(case, phase, n, service_period, tuple(earlier), voided)
        rated = rate_run(run)
        if "expected_lines" in phase:
            assert_lines(rated.lines, phase["expected_lines"])
            assert_totals(rated.totals, phase.get("expected_totals"))
            assert [line.index for line in rated.lines] == list(range(len(rated.lines)))
        lines = booked(rated.lines, [f"phase-{n}-line-{i}" for i in range(1, len(rated.lines) + 1)])
        for credit in phase.get("book_credits") or ():
            lines = with_credit(lines, credit)
        earlier.append(PriorRun(run_id=run.run_id or "", period=run.period, lines=lines))


def phase_to_run(  # noqa: PLR0917 - all of it is known where the one call is
    case: Case, phase: Case, n: int, service_period: Period, earlier: tuple[PriorRun, ...], voided: set[str]
) -> RunToRate:
    period = a_period(phase["period"], "current_period_invalid", "current period service period")
    snapshots: dict[Instant, Decimal] = {}
    quantity = ZERO
    if "snapshot" in phase:
        snapshots = {instant(to): Decimal(value) for to, value in phase["snapshot"].items()}
        quantity = snapshots.pop(period.to)
    elif "cumulative_quantities" in phase:
        *before, last = [Decimal(value) for value in phase["cumulative_quantities"]]
        quantity = last
        snapshots = {prior.period.to: value for prior, value in zip(earlier, before, strict=True)}
    elif "metered_quantity" in phase:
        quantity = Decimal(phase["metered_quantity"])
    priors = tuple(msgspec.structs.replace(prior, voided=prior.run_id in voided) for prior in earlier)
    return a_run(
        case,
        service_period=service_period,
        period=period,
        quantity=quantity,
        run_id=phase.get("run_id") or f"run-{n}",
        prior_runs=priors,
        snapshots=tuple(Snapshot(to, value) for to, value in sorted(snapshots.items())),
        late=bool(phase.get("late")),
    )


@exact
def with_credit(lines: tuple[DetailedLine, ...], credit: Mapping[str, Any]) -> tuple[DetailedLine, ...]:
    line, amount = lines[credit["line"]], Decimal(credit["amount"])
    t = line.totals
    covered = msgspec.structs.replace(
        line,
        credits_applied=(*line.credits_applied, CreditApplied(amount=amount)),
        totals=msgspec.structs.replace(t, credits_total=t.credits_total + amount, total=t.total - amount),
    )
    return (*lines[: credit["line"]], covered, *lines[credit["line"] + 1 :])


# ── engine: one call ─────────────────────────────────────────────────────────────────────────────────────────


def play_engine(case: Case) -> None:
    period = a_period(case["current_period"], "current_period_invalid", "current period service period")
    priors: list[PriorRun] = []
    snapshots: list[Snapshot] = []
    if case.get("already_billed") is not None:
        lines = lines_of(case["already_billed"], "previous")
        priors.append(PriorRun(run_id="already-billed", period=period, lines=lines))
    for i, raw in enumerate(case.get("prior_periods") or ()):
        where = f"prior periods[{i}] service period"
        prior = a_period(raw["period"], "prior_period_invalid", where)
        lines = lines_of(raw.get("lines"), "previous")
        priors.append(PriorRun(run_id=raw["run_id"], period=prior, lines=lines))
        snapshots.append(Snapshot(prior.to, Decimal(raw["metered_quantity"])))
    run = a_run(
        case,
        period=period,
        quantity=Decimal(case["metered_quantity"]),
        prior_runs=tuple(priors),
        snapshots=tuple(snapshots),
    )
    recorder = a_recorder(case, run)
    rated = rate_run(run, recorder)
    if "expected_lines" in case:
        assert_lines(rated.lines, case["expected_lines"])
    assert_totals(rated.totals, case.get("expected_totals"))
    assert_options(recorder, case)
    if (references := case.get("expected_child_unique_reference_ids_any_order")) is not None:
        assert sorted(line.child_unique_reference_id for line in rated.lines) == sorted(references)


# ── rated, lines: the subtraction alone ──────────────────────────────────────────────────────────────────────


def mock_reversal(line: DetailedLine) -> str:
    return (
        f"{line.child_unique_reference_id}#reversal:category={line.category}"
        f":payment_term={line.payment_term}:per_unit_amount={shortest(line.per_unit_amount)}"
    )


NAMERS = {
    "mock": Namer(own_reference, own_reference, mock_reversal),
    "passthrough": CARRIED_OVER,
    "correction": AS_CORRECTION,
}


def play_rated(case: Case) -> None:
    run = a_run(case)
    rater = price_rater(run)
    period = run.service_period
    previous = rater(
        Snapshot(period.to, Decimal(case["previous_quantity"])), period, RateOptions(ignore_minimum_commitment=True)
    )
    current = rater(
        Snapshot(period.to, Decimal(case["current_quantity"])), period, RateOptions(ignore_minimum_commitment=False)
    )
    found = subtract(current, previous, NAMERS[case["generator"]], unique=case.get("validate_unique", True))

    assert_lines(found, case["expected_lines"])
    assert_totals(sum_totals([line.totals for line in found]), case.get("expected_totals"))


def play_lines(case: Case) -> None:
    current, previous = lines_of(case.get("current"), "current"), lines_of(case.get("previous"), "previous")
    found = subtract(current, previous, NAMERS[case["generator"]], unique=case.get("validate_unique", True))

    assert_lines(found, case["expected_lines"])
    assert_totals(sum_totals([line.totals for line in found]), case.get("expected_totals"))


# ── usage, totals: from events to a rated run, as the reference system goes about it ─────────────────────────


def metered(case: Case, service_period: Period, to: Instant) -> Decimal:
    """The sum over event time `[start, to)` of what was stored before the run's cut-off."""
    cutoff = instant(case["stored_at_lt"])
    return sum(
        (
            Decimal(event["value"])
            for event in case["events"]
            if service_period.from_ <= timestamp(event["time"]) < to and timestamp(event["stored_at"]) < cutoff
        ),
        ZERO,
    )


def play_usage(case: Case) -> None:
    service_period, to = service_period_of(case), instant(case["service_period_to"])
    check_window(service_period, to)
    engine_named(case["engine"])
    given = tuple(
        PriorRun(
            run_id=raw["id"],
            period=Period(service_period.from_, instant(raw["service_period_to"])),
            lines=None if raw.get("detailed_lines") is None else lines_of(raw["detailed_lines"], "previous"),
            voided=raw.get("type") == "invalid_due_to_unsupported_credit_note" or bool(raw.get("deleted_at")),
        )
        for raw in case.get("runs") or ()
    )
    fetched: list[Sequence[str]] = []

    def fetch(missing: Sequence[str]) -> dict[str, tuple[DetailedLine, ...]]:
        fetched.append(missing)
        if case.get("fetch_error"):
            raise RuntimeError(case["fetch_error"])
        return {run_id: lines_of(lines, "previous") for run_id, lines in (case.get("fetch") or {}).items()}

    priors = with_lines(ending_before(given, to), fetch)
    ends = [prior.period.to for prior in priors]
    periods = derived_periods(service_period, ends)
    priors = tuple(msgspec.structs.replace(p, period=period) for p, period in zip(priors, periods, strict=True))
    run = a_run(
        case,
        period=current_period(service_period, to, ends),
        quantity=metered(case, service_period, to),
        prior_runs=priors,
        snapshots=tuple(Snapshot(end, metered(case, service_period, end)) for end in ends),
    )
    recorder = a_recorder(case, run)
    rated = rate_run(run, recorder)

    if "expected_quantity" in case:
        assert run.quantity == Decimal(case["expected_quantity"])
    if "expected_fetch_calls" in case:
        assert len(fetched) == case["expected_fetch_calls"]
    if "expected_lines" in case:
        assert_lines(rated.lines, case["expected_lines"])
    assert_totals(rated.totals, case.get("expected_totals"))
    assert_options(recorder, case)


def play_totals(case: Case) -> None:
    service_period = service_period_of(case)
    run = a_run(case, quantity=metered(case, service_period, service_period.to))

    assert_totals(rate_totals(run, ended=not case["ignore_minimum_commitment"]), case["expected_totals"])


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────


def play_period_suffix(case: Case) -> None:
    period = a_period(case["period"], "period_invalid", "period")

    assert with_period_suffix(case["reference"], period) == case["expected"]


def play_preferred_engine(case: Case) -> None:
    assert case["expected"] == REFERENCE_ENGINE


KINDS: dict[str, Callable[[Case], None]] = {
    name.removeprefix("play_"): player for name, player in list(globals().items()) if name.startswith("play_")
}
