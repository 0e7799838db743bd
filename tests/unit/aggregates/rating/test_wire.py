"""Rating as JSON: nulls are absent keys, numbers are text, and what cannot be read is refused with a code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aggregates.rating.wire import rate_json
from aggregates.values.errors import ValidationFailed

LINE: dict[str, Any] = {
    "currency": {"code": "USD", "precision": 2},
    "price": {"type": "unit", "amount": "0.0000003"},
    "usage": {"line_period_qty": "10000000.50"},
}


def rated(**changed: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(rate_json(json.dumps({**LINE, **changed}).encode()))
    return answer


def test_numbers_are_plain_text_without_trailing_zeros() -> None:
    (line,) = rated()["lines"]

    assert (line["quantity"], line["per_unit_amount"]) == ("10000000.5", "0.0000003")
    assert line["totals"]["amount"] == "3"
    assert line["totals"]["taxes_total"] == "0"


@pytest.mark.parametrize("key", ["discounts", "unit_config", "credits_applied", "options", "line_mode"])
def test_null_is_an_absent_key(key: str) -> None:
    assert rated(**{key: None}) == rated()


def test_a_flat_price_has_no_commitments_and_no_usage() -> None:
    flat = {"type": "flat", "amount": "5", "payment_term": None, "minimum_amount": "100", "maximum_amount": "0"}

    found = rated(price=flat, usage=None)

    assert found["totals"]["total"] == "5"
    assert found["final_usage"] is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"price": {"type": "barter"}}, "price_type_unsupported"),
        ({"price": None}, "price_type_unsupported"),
        ({"price": "free"}, "price_type_unsupported"),
        ({"price": {"type": "unit"}}, "price_unreadable"),
        ({"price": {"type": "unit", "amount": "ten"}}, "price_unreadable"),
        ({"price": {"type": "tiered", "mode": None, "tiers": []}}, "tiered_mode_unsupported"),
        ({"line_mode": "somewhere"}, "line_mode_unsupported"),
        ({"usage": {"line_period_qty": "ten"}}, "invalid_rating_request"),
        ({"credits_applied": [{"amount": 0.1}], "discounts": None}, "number_not_exact"),
    ],
)
def test_what_cannot_be_read_is_refused(changed: dict[str, Any], code: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        rated(**changed)

    assert refused.value.findings[0].code == code


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7"])
def test_what_is_no_line_at_all_is_refused(content: bytes) -> None:
    with pytest.raises(ValidationFailed) as refused:
        rate_json(content)

    assert refused.value.findings[0].code == "invalid_rating_request"
