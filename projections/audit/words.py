"""How figures are said: money with its currency at its precision, quantities plain, times UTC, ids short."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from aggregates.values import decimals
from aggregates.values.money import Currency
from aggregates.values.period import Period


def amount(value: Decimal, currency: Currency | None) -> str:
    """Money, 11.00 USD; the bare figure where no currency is known. Nothing is rounded away: 0.125 USD stays so."""
    if currency is None:
        return decimals.text(value)
    shown = f"{currency.rounded(value):f}" if currency.holds(value) else decimals.text(value)
    return f"{shown} {currency.code}"


def quantity(value: Decimal) -> str:
    """A quantity without trailing zeros: 1.500 is "1.5"."""
    shown = decimals.text(value)
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def moment(value: datetime | None) -> str:
    """A day, 2026-02-01, or 2026-02-01 12:30:05 UTC where it is not midnight; "never" where there is none."""
    if value is None:
        return "never"
    utc = value.astimezone(UTC)
    if (utc.hour, utc.minute, utc.second) == (0, 0, 0):
        return f"{utc:%Y-%m-%d}"
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC" if utc.second else f"{utc:%Y-%m-%d %H:%M} UTC"


def span(period: Period) -> str:
    """A period, 2026-01-01 to 2026-02-01; one that is a single instant is just that."""
    return moment(period.from_) if period.is_empty else f"{moment(period.from_)} to {moment(period.to)}"


def short(id: UUID | str | None) -> str:
    """An id short enough to read and long enough to tell from its neighbours: "019a3b2c…9f1e"."""
    if id is None:
        return "none"
    hexadecimal = str(id)
    return f"{hexadecimal[:8]}…{hexadecimal[-4:]}" if len(hexadecimal) == 36 else hexadecimal


def spaced(word: str) -> str:
    """A word of ours as people write it: "credit_then_invoice" is "credit then invoice"."""
    return word.replace("_", " ")


def listed(parts: Iterable[str]) -> str:
    """Parts of a sentence in a row: "10.00 from grant …, 5.00 as advance"."""
    return ", ".join(part for part in parts if part)


def clause(lead: str, rest: str) -> str:
    """The rest with its lead, or nothing when there is no rest."""
    return f"{lead}{rest}" if rest else ""


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum of amounts."""
    result = decimals.ZERO
    for one in amounts:
        result = decimals.EXACT.add(result, one)
    return result
