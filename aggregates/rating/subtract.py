"""What is rated now less what is booked: the primitive under every run engine (run rating R5).

Lines match by component (pricer reference, category, payment term) and per-unit amount; never by name, period or
discount. 8 at 10 less 5 at 10 is +3 at 10. Another per-unit amount is a repricing, and gives two lines: 16 at 5 less
15 at 10 is +16 at 5 and -15 at 10. Nothing is rounded here. Amount discounts subtract like totals, so they go on
adding up to `discounts_total`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from aggregates.rating.lines import AmountDiscount, DetailedLine, validate_line
from aggregates.rating.naming import correction_reference, refuse_duplicates
from aggregates.rating.refusal import refuse
from aggregates.values.decimals import exact
from aggregates.values.errors import Findings, ValidationFailed
from aggregates.values.totals import Totals

Key = tuple[str, str, str]
Folded = dict[Key, dict[Decimal, DetailedLine]]


class Namer(NamedTuple):
    """The child references of results: of a difference, of a line that is only current, of a reversal."""

    matched: Callable[[DetailedLine], str]
    current_only: Callable[[DetailedLine], str]
    reversal: Callable[[DetailedLine], str]


def own_reference(line: DetailedLine) -> str:
    """The reference the line has already."""
    return line.child_unique_reference_id


CARRIED_OVER = Namer(own_reference, own_reference, own_reference)
AS_CORRECTION = Namer(own_reference, own_reference, correction_reference)


@exact
def subtract(
    current: Sequence[DetailedLine], previous: Sequence[DetailedLine], namer: Namer, *, unique: bool = True
) -> list[DetailedLine]:
    """The difference, line by line, ordered by component and per-unit amount; lines without money are dropped.

    Refuses invalid lines (`invalid_detailed_line`), two currencies (`currency_mismatch`), a reversal of a line that
    cannot be named (`detailed_line_id_required`), and, if `unique`, two results under one reference.
    """
    check_lines(current, previous)
    results = difference(current, previous, namer)
    if unique:
        refuse_duplicates(results)
    return results


def difference(current: Iterable[DetailedLine], previous: Iterable[DetailedLine], namer: Namer) -> list[DetailedLine]:
    """`subtract` on lines that are known to be valid. Runs inside `exact`."""
    now, before = fold(current), fold(previous)
    results: list[DetailedLine] = []
    for key in sorted({*now, *before}):
        of_key: list[DetailedLine] = []
        booked = dict(before.get(key, {}))
        for per_unit, line in now.get(key, {}).items():
            counterpart = booked.pop(per_unit, None)
            name = namer.current_only if counterpart is None else namer.matched
            result = line if counterpart is None else combined(line, counterpart, -1)
            of_key.append(renamed(result, name(line)))
        # The name is made before the zero test: a missing id is an error even for a worthless line.
        of_key.extend(renamed(negated(line), namer.reversal(line)) for line in booked.values())
        of_key.sort(key=lambda line: line.per_unit_amount)
        results.extend(line for line in of_key if has_money(line.totals))
    return results


def fold(lines: Iterable[DetailedLine]) -> Folded:
    """Lines of one component and per-unit amount as one line; everything that does not add up is the first one's."""
    folded: Folded = {}
    for line in lines:
        of_key = folded.setdefault((line.pricer_reference_id, line.category, line.payment_term), {})
        first = of_key.get(line.per_unit_amount)
        of_key[line.per_unit_amount] = line if first is None else combined(first, line, 1)
    return folded


def combined(line: DetailedLine, other: DetailedLine, sign: int) -> DetailedLine:
    """The first line with quantity, totals and discounts of the other added or subtracted."""
    quantity = line.quantity + other.quantity if sign > 0 else line.quantity - other.quantity
    return msgspec.structs.replace(
        line,
        quantity=quantity,
        totals=combined_totals(line.totals, other.totals, sign),
        amount_discounts=combined_discounts(line.amount_discounts, other.amount_discounts, sign),
    )


def combined_totals(left: Totals, right: Totals, sign: int) -> Totals:
    """Totals added or subtracted, field by field."""
    if sign > 0:
        return Totals(
            amount=left.amount + right.amount,
            charges_total=left.charges_total + right.charges_total,
            discounts_total=left.discounts_total + right.discounts_total,
            credits_total=left.credits_total + right.credits_total,
            total=left.total + right.total,
        )
    return Totals(
        amount=left.amount - right.amount,
        charges_total=left.charges_total - right.charges_total,
        discounts_total=left.discounts_total - right.discounts_total,
        credits_total=left.credits_total - right.credits_total,
        total=left.total - right.total,
    )


def combined_discounts(
    left: tuple[AmountDiscount, ...], right: tuple[AmountDiscount, ...], sign: int
) -> tuple[AmountDiscount, ...]:
    """Discounts added or subtracted by reference; what comes to nothing is left out."""
    if not left and not right:
        return ()
    by_reference: dict[str, AmountDiscount] = {}
    for discount, factor in [*((d, 1) for d in left), *((d, sign) for d in right)]:
        known = by_reference.get(discount.child_unique_reference_id)
        amount, rounding = discount.amount * factor, discount.rounding_amount * factor
        if known is not None:
            amount, rounding = known.amount + amount, known.rounding_amount + rounding
        by_reference[discount.child_unique_reference_id] = msgspec.structs.replace(
            known or discount, amount=amount, rounding_amount=rounding
        )
    return tuple([d for d in by_reference.values() if d.amount or d.rounding_amount])


NOTHING = Totals()


def negated(line: DetailedLine) -> DetailedLine:
    """The line with quantity, totals and discounts of the opposite sign."""
    return msgspec.structs.replace(
        line,
        quantity=-line.quantity,
        totals=combined_totals(NOTHING, line.totals, -1),
        amount_discounts=combined_discounts((), line.amount_discounts, -1),
    )


def renamed(line: DetailedLine, reference: str) -> DetailedLine:
    """A new line of that reference: it has no id, and takes nothing back by name."""
    return msgspec.structs.replace(line, child_unique_reference_id=reference, id=None, kind=None, reverses_line_id=None)


def has_money(totals: Totals) -> bool:
    """Whether any field is not zero."""
    return bool(totals.amount or totals.charges_total or totals.discounts_total or totals.credits_total or totals.total)


def check_lines(current: Sequence[DetailedLine], previous: Sequence[DetailedLine]) -> None:
    """Refuse the first invalid line of either side, and lines of two currencies."""
    for side, lines in (("current", current), ("previous", previous)):
        for i, line in enumerate(lines):
            findings = Findings()
            validate_line(line, findings, f"{side} detailed lines: [{i}]")
            if findings.items:
                raise ValidationFailed((findings.items[0],))
    currencies = {line.currency for side in (current, previous) for line in side if line.currency is not None}
    if len(currencies) > 1:
        refuse("currency_mismatch", f"lines of several currencies: {', '.join(sorted(currencies))}", "lines")
