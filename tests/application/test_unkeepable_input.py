"""Input that would be accepted once and be in the way for ever: refused whole, before anything is written."""

from __future__ import annotations

from typing import Any

import pytest

from aggregates.values.errors import ValidationFailed
from aggregates.values.period import timestamp
from ledger.cli.main import run
from ledger.prices import matrix
from tests.application.scenes import january_charge, opened, with_customer

NUL = "a\x00b"
HALF = "a\ud800b"


@pytest.mark.parametrize("text", [NUL, HALF])
def test_text_that_no_database_keeps_is_refused_and_the_views_go_on(store_url: str, text: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)

        asked: list[tuple[str, Any]] = [
            ("name", lambda: ledger.customers.create("second", text)),
            ("name", lambda: ledger.credits.grant("acme", "1", "USD", name=text)),
            ("metadata.k", lambda: ledger.credits.grant("acme", "1", "USD", metadata={"k": text})),
            ("description", lambda: january_charge(ledger, description=text)),
            ("annotations.k", lambda: january_charge(ledger, annotations={"k": text})),
            ("price.property_name", lambda: january_charge(ledger, price=matrix(text, {"eu": "1"}, otherwise="2"))),
            ("command_id", lambda: ledger.credits.grant("acme", "1", "USD", command_id=text)),
        ]
        for path, ask in asked:
            with pytest.raises(ValidationFailed) as refused:
                ask()
            assert [(finding.path, finding.code) for finding in refused.value.findings] == [(path, "invalid_text")]

        assert [customer.customer for customer in ledger.views.customers().items] == ["acme"]
        assert ledger.audit.verify().sound


@pytest.mark.parametrize("duration", ["P101Y", "P9999Y", "P99999999999999D", f"PT{'9' * 25}S"])
def test_a_collection_interval_that_leaves_the_calendar_is_refused(duration: str) -> None:
    with opened("memory:") as ledger, pytest.raises(ValidationFailed) as refused:
        ledger.customers.create("acme", collection_interval=duration)

    assert refused.value.codes == ("invalid_duration",)


def test_a_time_that_leaves_the_calendar_in_utc_is_no_time() -> None:
    with pytest.raises(ValueError, match="outside the years 1 to 9999"):
        timestamp("9999-12-31T23:59:59-12:00")


def test_a_word_that_is_no_choice_is_told_with_those_there_are() -> None:
    with opened("memory:") as ledger:
        with_customer(ledger)
        sold = ledger.credits.sell("acme", "100", "USD", cost_basis="0.5")

        with pytest.raises(ValidationFailed, match="authorized, paid"):
            ledger.credits.record_payment(sold.id, "settled")
        with pytest.raises(ValidationFailed, match="none, reduce, refund"):
            ledger.credits.void(sold.id, payment_adjustment="some")


@pytest.mark.parametrize(
    "arguments",
    [
        ("balance", "a\udcff"),
        ("usage", "record", "acme", "calls", "5", "--time", "9999-12-31T23:59:59-12:00"),
        ("charge", "override", "01a1f8f5-0000-7000-8000-000000000000", "--price", "[" * 100_000),
    ],
)
def test_a_command_line_that_cannot_be_read_ends_with_2(
    arguments: tuple[str, ...], sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", "--db", sqlite_url]) == 0

    assert run([*arguments, "--db", sqlite_url, "--json"]) == 2

    assert '"code": "usage"' in capsys.readouterr().err
