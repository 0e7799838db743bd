"""Spreading an amount without losing a cent: largest remainder at currency precision (rating §12).

`allocate_by_weight` takes any positive weights. `allocate_by_amount` takes amounts that are weights and caps at once:
no item gets more than it has. Shares are carried to 16 decimals before they are compared, as rating divides
everywhere; items that get nothing are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any, TypeVar

from aggregates.rating.refusal import refuse
from aggregates.values.decimals import DIGITS, ZERO, divide, exact
from aggregates.values.money import Currency

K = TypeVar("K")

_PLACES = 16
_DOWN = Context(prec=DIGITS, rounding=ROUND_DOWN)


@exact
def allocate_by_weight(
    amount: Decimal,
    items: Iterable[tuple[K, Decimal]],
    currency: Currency,
    *,
    tie_break: Callable[[K], Any] | None = None,
) -> list[tuple[K, Decimal]]:
    """The amount over (key, weight) items: 0.05 USD over 1, 1, 1 is 0.02, 0.02, 0.01.

    Equal remainders go by `tie_break` of the key, else by position. Refuses an amount below zero or not at the
    currency's precision, and a weight that is not above zero. An amount of 0 gives nothing.
    """
    return _allocate(amount, list(items), currency, tie_break, capped=False)


@exact
def allocate_by_amount(
    amount: Decimal,
    items: Iterable[tuple[K, Decimal]],
    currency: Currency,
    *,
    tie_break: Callable[[K], Any] | None = None,
) -> list[tuple[K, Decimal]]:
    """The amount over (key, amount) buckets, none above its own: 5.00 over 10 and 5 is 3.33, 1.67.

    Refuses what `allocate_by_weight` refuses, a bucket not at the currency's precision, and an amount larger than all
    buckets together.
    """
    return _allocate(amount, list(items), currency, tie_break, capped=True)


def _allocate(
    amount: Decimal,
    items: list[tuple[K, Decimal]],
    currency: Currency,
    tie_break: Callable[[K], Any] | None,
    *,
    capped: bool,
) -> list[tuple[K, Decimal]]:
    _check(amount, [weight for _, weight in items], currency, capped=capped)
    if not amount:
        return []
    unit = Decimal(1).scaleb(-currency.precision)
    whole = sum((weight for _, weight in items), ZERO)
    shares = [divide(amount * weight, whole, _PLACES) for _, weight in items]
    given = [share.quantize(unit, context=_DOWN) for share in shares]
    left = amount - sum(given, ZERO)
    ranked = sorted(
        range(len(items)),
        key=lambda i: (given[i] - shares[i], tie_break(items[i][0]) if tie_break else i),
    )
    while left > 0:
        before = left
        for i in ranked:
            if left > 0 and (not capped or given[i] + unit <= items[i][1]):
                given[i] += unit
                left -= unit
        if left == before:
            refuse("allocation_does_not_fit", "nothing has room for the rest of the amount", "amount")
    return [(key, part) for (key, _), part in zip(items, given, strict=True) if part]


def _check(amount: Decimal, weights: Sequence[Decimal], currency: Currency, *, capped: bool) -> None:
    if amount < 0:
        refuse("allocation_amount_negative", f"an amount to spread must not be negative, got {amount}", "amount")
    if not currency.holds(amount):
        refuse("allocation_amount_not_rounded", f"{amount} is not at the precision of {currency.code}", "amount")
    if amount and not weights:
        refuse("allocation_items_empty", "there is nothing to spread the amount over", "items")
    for i, weight in enumerate(weights):
        if weight <= 0:
            refuse("allocation_weight_not_positive", f"a weight must be above zero, got {weight}", f"items[{i}]")
        if capped and not currency.holds(weight):
            refuse(
                "allocation_weight_not_rounded", f"{weight} is not at the precision of {currency.code}", f"items[{i}]"
            )
    if capped and amount > sum(weights, ZERO):
        refuse("allocation_amount_exceeds_items", f"{amount} is more than all items together", "amount")
