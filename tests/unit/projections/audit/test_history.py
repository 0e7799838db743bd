"""History tells every event in a sentence: figures with their currency, quantities plain, times in UTC."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from aggregates.charges.events import ChargeAdvanceFailed, ChargeFinalized, Moved
from aggregates.credits.events import (
    CollectedSlice,
    CreditCollected,
    CreditGranted,
    CreditReturned,
    PurchaseSettlement,
    ReturnedPart,
    SegmentState,
    SettlementMode,
)
from aggregates.event import DomainEvent, Recorded
from aggregates.journal.chart import route
from aggregates.lifecycle import Status, Trigger
from aggregates.runs.events import (
    InvoiceUsageAccrued,
    RealizationRunStarted,
    RunFinalized,
    RunPaymentSettled,
    RunRated,
    RunType,
)
from aggregates.values.money import fiat
from aggregates.values.period import instant, period
from aggregates.values.totals import Totals
from ledger.store.names import stored_names
from projections.audit import words
from projections.audit.history import HistoryLine, history
from projections.projection import Entry
from tests.support.samples import sample, sample_record

USD = fiat("USD")
CHARGE = UUID("019a3b2c-0000-7000-8000-00000000c4a6")
RUN = UUID("019a3b2c-0000-7000-8000-000000004711")
POOL = UUID("5a3b2c00-0000-5000-8000-000000000b01")
PURCHASE = UUID("0199aaaa-0000-7000-8000-000000000001")
NOON = datetime(2026, 1, 10, 12, 0, 0, 250_000, tzinfo=UTC)


def told(*events: tuple[UUID, DomainEvent]) -> list[HistoryLine]:
    versions: dict[UUID, int] = {}
    entries = []
    for position, (stream, body) in enumerate(events, start=1):
        versions[stream] = version = versions.get(stream, 0) + 1
        record = Recorded(
            stream=stream,
            version=version,
            namespace="default",
            customer="acme",
            at=NOON,
            recorded_at=NOON,
            command_id=CHARGE,
            causation_id=CHARGE,
            correlation_id=CHARGE,
            actor="tests",
            body=body,
        )
        entries.append(Entry(position, NOON, record))
    return list(history(entries))


def granted(lot: int, amount: str, expires_at: str | None = None) -> CreditGranted:
    return CreditGranted(
        currency=USD,
        purchase=PURCHASE,
        settlement=PurchaseSettlement.PROMOTIONAL,
        lot=lot,
        route=route(USD, credit_priority=100),
        amount=Decimal(amount),
        effective_at=instant("2026-01-01"),
        expires_at=instant(expires_at) if expires_at else None,
        transactions=(),
    )


def started() -> RealizationRunStarted:
    return RealizationRunStarted(
        charge_id=CHARGE,
        currency=USD,
        type=RunType.FINAL_REALIZATION,
        service_period_from=instant("2026-01-01"),
        service_period_to=instant("2026-02-01"),
        stored_at_lt=instant("2026-02-03"),
        feature_id=CHARGE,
        feature_key="requests",
        meter_id=CHARGE,
    )


def rated(metered: str, before: str, total: str) -> RunRated:
    return msgspec.structs.replace(
        sample(RunRated, full=False),
        metered_quantity=Decimal(metered),
        pre_line_quantity=Decimal(before),
        totals=Totals(amount=Decimal(total), total=Decimal(total)),
    )


@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
@pytest.mark.parametrize("name", sorted(stored_names()))
def test_every_event_there_is_has_its_sentence(name: str, full: bool) -> None:
    record = sample_record(stored_names()[name], full=full)

    (line,) = history([Entry(1, NOON, record)])

    assert line.sentence[0].isalnum()
    assert len(line.sentence) > 8
    assert "None" not in line.sentence, line.sentence
    assert "Decimal" not in line.sentence
    assert line.name == name


def test_a_line_says_where_and_when() -> None:
    (line,) = told(
        (CHARGE, ChargeFinalized(moved=Moved(status_from=Status.ACTIVE, status_to=Status.FINAL, trigger=Trigger.NEXT)))
    )

    assert (line.position, line.stream, line.version, line.name) == (1, CHARGE, 1, "charge.finalized.v1")
    assert (line.at, line.recorded_at) == (NOON, NOON)
    assert line.sentence == "Charge became final"
    assert line.details == {"moved": {"status_from": "active", "status_to": "final", "trigger": "next"}}


def test_a_rated_run_is_told_with_quantity_and_money() -> None:
    lines = told((RUN, started()), (RUN, rated("11", "0", "11")))

    assert lines[0].sentence == (
        "Run 019a3b2c…4711 started, final, for requests from 2026-01-01 to 2026-02-01;"
        " usage stored before 2026-02-03 counts"
    )
    assert lines[1].sentence == "Run 019a3b2c…4711 rated: 11 units → 11.00 USD"


def test_what_earlier_runs_billed_is_not_told_as_new() -> None:
    lines = told((RUN, started()), (RUN, rated("12.50", "4.5", "8")))

    assert lines[1].sentence == "Run 019a3b2c…4711 rated: 8 units (4.5 billed before) → 8.00 USD"


def test_a_finalised_run_says_what_is_left_to_pay() -> None:
    totals = Totals(amount=Decimal(11), credits_total=Decimal(4), total=Decimal(7))
    lines = told((RUN, started()), (RUN, RunFinalized(totals=totals, no_fiat_transaction_required=False)))

    assert lines[1].sentence == "Run 019a3b2c…4711 finalised: 4.00 USD covered by credit, 7.00 USD left to pay"


def test_a_collection_names_its_grants_and_its_advance() -> None:
    collected = CreditCollected(
        currency=USD,
        charge=CHARGE,
        mode=SettlementMode.CREDIT_ONLY,
        requested=Decimal(15),
        shortfall=Decimal(5),
        booked_at=instant("2026-02-01"),
        source_balance_as_of=instant("2026-02-01"),
        slices=(
            CollectedSlice(sequence=1, allocation=1, lot=1, amount=Decimal(10), entry=0),
            CollectedSlice(sequence=2, allocation=2, amount=Decimal(5), entry=2),
        ),
        transactions=(),
    )
    lines = told((POOL, granted(1, "10", "2026-02-01")), (POOL, collected))

    assert lines[0].sentence == (
        "Granted 10.00 USD by purchase 0199aaaa…0001 (promotional), effective 2026-01-01, expiring 2026-02-01"
    )
    assert lines[1].sentence == (
        "Collected 15.00 USD for charge 019a3b2c…c4a6:"
        " 10.00 from grant 0199aaaa…0001 expiring 2026-02-01, 5.00 as advance"
    )


def test_what_credit_does_not_cover_is_left_to_be_invoiced() -> None:
    collected = CreditCollected(
        currency=USD,
        charge=CHARGE,
        mode=SettlementMode.CREDIT_THEN_INVOICE,
        requested=Decimal(15),
        shortfall=Decimal(5),
        booked_at=instant("2026-02-01"),
        source_balance_as_of=instant("2026-02-01"),
        slices=(CollectedSlice(sequence=1, allocation=1, lot=1, amount=Decimal(10), entry=0),),
        transactions=(),
    )
    lines = told((POOL, granted(1, "10")), (POOL, collected))

    assert lines[1].sentence.endswith(": 10.00 from grant 0199aaaa…0001, 5.00 left to be invoiced")


def test_returned_credit_says_to_where() -> None:
    def part(amount: str, state: SegmentState, lot: int | None) -> ReturnedPart:
        return ReturnedPart(
            slice=1, allocation=PURCHASE, state=state, amount=Decimal(amount), booked_at=instant("2026-02-01"), lot=lot
        )

    returned = CreditReturned(
        currency=USD,
        charge=CHARGE,
        amount=Decimal(5),
        booked_at=instant("2026-02-01"),
        parts=(part("4", SegmentState.REAL_CREDIT, 1), part("1", SegmentState.ADVANCE_UNCOVERED, None)),
        transactions=(),
    )
    lines = told((POOL, granted(1, "10")), (POOL, returned))

    assert lines[1].sentence == (
        "Gave back 5.00 USD for charge 019a3b2c…c4a6: 4.00 to grant 0199aaaa…0001, 1.00 of advance nobody had covered"
    )


def test_a_stuck_charge_says_why() -> None:
    failed = ChargeAdvanceFailed(
        status=Status.CREATED, trigger=Trigger.NEXT, code="feature_not_found", message="no feature 'api'", attempt=2
    )
    (line,) = told((CHARGE, failed))

    assert line.sentence == "Charge could not move on from created (failure 2): no feature 'api' [feature_not_found]"


def test_details_hold_the_whole_event_with_plain_numbers() -> None:
    (line,) = told((POOL, msgspec.structs.replace(granted(1, "10"), amount=Decimal("1E+3"))))

    assert line.details["amount"] == "1000"
    assert line.details["effective_at"] == "2026-01-01T00:00:00Z"
    assert line.details["purchase"] == str(PURCHASE)


def test_a_figure_whose_currency_nobody_told_stands_alone() -> None:
    (line,) = told((RUN, rated("11", "0", "11")))

    assert line.sentence == "Run 019a3b2c…4711 rated: 11 units → 11"


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("2026-02-01T00:00:00Z", "2026-02-01"),
        ("2026-02-01T01:00:00+01:00", "2026-02-01"),
        ("2026-02-01T12:30:00Z", "2026-02-01 12:30 UTC"),
        ("2026-02-01T12:30:05Z", "2026-02-01 12:30:05 UTC"),
    ],
)
def test_times_are_said_in_utc(moment: str, said: str) -> None:
    assert words.moment(instant(moment)) == said


def test_money_is_said_at_its_precision_and_never_rounded_away() -> None:
    assert words.amount(Decimal(11), USD) == "11.00 USD"
    assert words.amount(Decimal("0.125"), USD) == "0.125 USD"
    assert words.amount(Decimal(1200), fiat("JPY")) == "1200 JPY"
    assert words.quantity(Decimal("1.500")) == "1.5"
    assert words.quantity(Decimal(100)) == "100"


def test_a_fee_is_told_by_its_period() -> None:
    bare = msgspec.structs.replace(started(), feature_key=None, feature_id=None, meter_id=None, stored_at_lt=None)
    fee = msgspec.structs.replace(rated("0", "0", "3.21"), service_period=period("2026-02-01", "2026-02-10"))
    lines = told((RUN, bare), (RUN, fee))

    assert lines[0].sentence == "Run 019a3b2c…4711 started, final, for 2026-01-01 to 2026-02-01"
    assert lines[1].sentence == "Run 019a3b2c…4711 rated: a fee for 2026-02-01 to 2026-02-10 → 3.21 USD"


def test_what_is_paid_of_a_run_is_told_in_the_currency_it_was_invoiced_in() -> None:
    accrued = msgspec.structs.replace(sample(InvoiceUsageAccrued), currency=fiat("EUR"))
    paid = msgspec.structs.replace(sample(RunPaymentSettled), fiat_amount=Decimal(7), in_full=True)
    lines = told((RUN, accrued), (RUN, paid))

    assert lines[1].sentence == "Run 019a3b2c…4711: 7.00 EUR paid, all of it"
