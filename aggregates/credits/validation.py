"""Checks that several flows share; each adds its findings, so that all of them are told at once."""

from __future__ import annotations

from decimal import Decimal

from aggregates.values.errors import Findings
from aggregates.values.money import Currency


def validate_amount(findings: Findings, currency: Currency, amount: Decimal, path: str = "amount") -> Decimal:
    """The amount rounded to the currency, half away from zero; a finding unless that is above zero."""
    rounded = currency.rounded(amount)
    if rounded <= 0:
        findings.add(path, f"{path}_not_positive", f"{path} must be above zero in {currency.code}, got {amount}")
    return rounded
