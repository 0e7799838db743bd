"""How what a scenario expects is compared: amounts by value, times by instant, totals whole."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from aggregates.values.period import timestamp
from tests.conformance.lifecycle_notation import Json, known


def amounts(found: list[Decimal], wanted: list[str]) -> None:
    assert found == [Decimal(amount) for amount in wanted]


TOTALS = ("amount", "charges_total", "discounts_total", "credits_total", "total")


def totals(found: Any, wanted: Json) -> None:
    known(wanted, TOTALS, "totals")
    for name in TOTALS:
        assert getattr(found, name) == Decimal(wanted.get(name, "0")), name


def period(found: Any, wanted: Json) -> None:
    for bound, moment in wanted.items():
        assert getattr(found, "from_" if bound == "from" else bound) == timestamp(moment), bound


def optional_moment(moment: str | None) -> Any:
    return None if moment is None else timestamp(moment)
