"""`trial_sums`: stretches of accounting dates that no month begins within, and rows that postings share."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.store.follow import Follower
from projections.stores.memory import MemoryTables
from projections.trial_sums import TRIAL_SUMS, TrialSum, stretch_of
from tests.support.pools import ACCRUED, FBO, START, PoolLog, moved, posted


@pytest.mark.parametrize("year", [2024, 2026])
def test_every_month_of_every_zone_begins_with_a_stretch(year: int) -> None:
    begins = {
        datetime(year, month, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        for zone in available_timezones()
        for month in range(1, 13)
    }

    assert [each for each in sorted(begins) if stretch_of(each) != each] == []
    assert all(stretch_of(each - timedelta(seconds=1)) < each for each in begins)


@pytest.mark.parametrize(
    ("date", "begins"),
    [
        ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z"),
        ("2026-01-31T09:59:59Z", "2026-01-01T12:00:00Z"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"),
        ("2026-01-31T23:59:59Z", "2026-01-31T23:45:00Z"),
        ("2026-02-01T00:14:59Z", "2026-02-01T00:00:00Z"),
        ("2026-02-01T11:59:59Z", "2026-02-01T11:45:00Z"),
        ("2024-02-29T09:00:00Z", "2024-02-01T12:00:00Z"),
        ("2026-12-31T10:14:00Z", "2026-12-31T10:00:00Z"),
    ],
)
def test_the_middle_of_a_month_is_one_stretch_and_its_ends_are_quarters_of_an_hour(date: str, begins: str) -> None:
    assert stretch_of(datetime.fromisoformat(date)) == datetime.fromisoformat(begins)


@given(st.lists(st.integers(0, 40_000_000), min_size=2, max_size=20))
def test_stretches_are_in_the_order_of_dates_and_hold_what_begins_them(seconds: list[int]) -> None:
    dates = [START + timedelta(seconds=each) for each in sorted(seconds)]
    stretches = [stretch_of(each) for each in dates]

    assert stretches == sorted(stretches)
    assert all(begins <= date for begins, date in zip(stretches, dates, strict=True))
    assert [stretch_of(each) for each in stretches] == stretches


def test_a_thousand_postings_of_a_month_share_a_row_an_account() -> None:
    log = PoolLog()
    day = 24 * 60 * 60
    for number in range(500):
        log.record(posted(f"customer-{number % 7}", moved(FBO, ACCRUED, "0.25", booked=day + number * 60)))
    with_views = Follower(log.store, MemoryTables(), (TRIAL_SUMS,))

    with with_views.reading((TRIAL_SUMS.name,)) as reader:
        rows: list[TrialSum] = reader.select(TRIAL_SUMS)

    assert [(row.account, str(row.face), row.source) for row in rows] == [
        ("customer_accrued", "125.00", ""),
        ("customer_fbo", "-125.00", ""),
    ]
