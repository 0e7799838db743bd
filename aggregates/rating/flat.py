"""Flat price: one amount per period, on the first line in advance or on the last in arrears (rating §5.1)."""

from __future__ import annotations

from aggregates.rating.adjustments import Usage
from aggregates.rating.arithmetic import RatingArithmetic
from aggregates.rating.lines import Draft, draft
from aggregates.rating.place import Place
from aggregates.rating.prices import IN_ADVANCE, IN_ARREARS, FlatPrice
from aggregates.rating.refusal import refuse
from aggregates.values.decimals import ONE
from aggregates.values.money import Currency

FLAT_REFERENCE = "flat-price"


def rate_flat(
    price: FlatPrice, usage: Usage, place: Place, currency: Currency, arithmetic: RatingArithmetic
) -> list[Draft]:
    """One line of quantity 1, its amount as authored: 10.005 USD is 10.01. An amount of 0 gives a line, too.

    Refuses a term that is neither in advance nor in arrears (`flat_payment_term_unsupported`).
    """
    term = price.payment_term or IN_ADVANCE
    if term not in {IN_ADVANCE, IN_ARREARS}:
        refuse("flat_payment_term_unsupported", f"a flat price is not paid {term!r}", "price.payment_term")
    if not (place.first if term == IN_ADVANCE else place.last):
        return []
    line = draft("", FLAT_REFERENCE, ONE, price.amount, currency)
    line.payment_term = term
    return [line]
