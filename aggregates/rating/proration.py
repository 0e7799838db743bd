"""Part of a period, part of an amount: pro-rating of flat fees by seconds (lifecycles §2.3)."""

from __future__ import annotations

from decimal import Decimal

from aggregates.values.decimals import divide, exact
from aggregates.values.money import Currency
from aggregates.values.period import Period

_PLACES = 16


@exact
def prorated(amount: Decimal, service_period: Period, full_service_period: Period, currency: Currency) -> Decimal:
    """The amount for the part of the full period that is served, rounded: 100 USD for 10 of 31 days is 32.26.

    The full amount where either period is empty, or where the service period is at least as long as the full one.
    """
    served, whole = service_period.seconds, full_service_period.seconds
    if served <= 0 or whole <= 0 or served >= whole:
        return amount
    return currency.rounded(divide(amount * served, Decimal(whole), _PLACES))
