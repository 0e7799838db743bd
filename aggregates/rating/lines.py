"""Detailed lines: what a rated quantity looks like on an invoice, down to every discount and its reason.

`DetailedLine` is the record that is kept in events. While a line is being rated it is a `Draft`, on which discounts
and credits pile up; `finish` turns it into the record. A line's gross is `round(per_unit_amount * quantity)`, once;
its net is gross less discounts less credits (rating §2.3, §3).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TypeAlias

import msgspec

from aggregates.rating.prices import IN_ADVANCE, IN_ARREARS
from aggregates.values.decimals import ZERO, exact
from aggregates.values.errors import Findings
from aggregates.values.money import Currency
from aggregates.values.period import Period
from aggregates.values.totals import Totals

REGULAR = "regular"
COMMITMENT = "commitment"

CHARGE = "charge"
CREDIT = "credit"
REVERSAL = "reversal"


class RatecardPercentage(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ratecard_percentage", gc=False
):
    """A percentage discount of the price list."""

    percentage: Decimal
    correlation_id: str


class MaximumSpend(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="maximum_spend", gc=False):
    """The customer has reached the maximum; `limit` is the maximum, rounded to the currency."""

    limit: Decimal | None = None


class RoundingCorrection(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="rounding_correction", gc=False
):
    """The difference between the sum of rounded lines and the rounded sum, under exact arithmetic only (W10)."""


DiscountReason: TypeAlias = RatecardPercentage | MaximumSpend | RoundingCorrection


class AmountDiscount(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is taken off a line, and why; both amounts count towards `discounts_total` (rating §3.2)."""

    amount: Decimal
    rounding_amount: Decimal = ZERO
    description: str | None = None
    child_unique_reference_id: str
    reason: DiscountReason


class CreditApplied(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Customer credit that covers a part of a line."""

    amount: Decimal
    description: str = ""
    credit_realization_id: str = ""


class DetailedLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One component of a price, rated.

    `quantity` is in billed units and may be negative (corrections); `per_unit_amount` and all totals are amounts of
    the charge's currency. `pricer_reference_id` names the component of the price (`graduated-tiered-2-price-usage`),
    `child_unique_reference_id` the line within its run. `service_period` is the period the line is booked on.
    `kind`, `corrects_run_id` and `reverses_line_id` say what a correction does (run rating R10, R12). `currency` is
    the key of the currency. Rating makes no ids: `id` is given when the line is booked.
    """

    pricer_reference_id: str
    child_unique_reference_id: str
    quantity: Decimal
    per_unit_amount: Decimal
    totals: Totals
    name: str = ""
    category: str = REGULAR
    payment_term: str = IN_ARREARS
    service_period: Period | None = None
    index: int | None = None
    currency: str | None = None
    kind: str | None = None
    corrects_run_id: str | None = None
    reverses_line_id: str | None = None
    amount_discounts: tuple[AmountDiscount, ...] = ()
    credits_applied: tuple[CreditApplied, ...] = ()
    id: str | None = None


class Draft(msgspec.Struct, gc=False):
    """A line while it is being rated. `gross` is rounded; `net` is what is left of it at this moment."""

    label: str
    reference: str
    quantity: Decimal
    per_unit: Decimal
    gross: Decimal
    net: Decimal
    unrounded: Decimal
    payment_term: str = IN_ARREARS
    category: str = REGULAR
    period: Period | None = None
    discounts: list[AmountDiscount] | None = None
    credits: list[CreditApplied] | None = None

    def discount(self, discount: AmountDiscount) -> None:
        """Take a discount off."""
        if self.discounts is None:
            self.discounts = [discount]
        else:
            self.discounts.append(discount)
        self.net -= discount.amount + discount.rounding_amount


def draft(label: str, reference: str, quantity: Decimal, per_unit: Decimal, currency: Currency) -> Draft:
    """A new line of that component: its gross is rounded here, and nowhere else."""
    unrounded = per_unit * quantity
    gross = currency.rounded(unrounded)
    return Draft(label, reference, quantity, per_unit, gross, gross, unrounded)


def finish(d: Draft, line_name: str, currency: Currency) -> DetailedLine:
    """The record of a drafted line; its totals follow the identity of rating §3.3."""
    discounts = credit = ZERO
    if d.discounts:
        for discount in d.discounts:
            discounts += discount.amount + discount.rounding_amount
    if d.credits:
        for applied in d.credits:
            credit += applied.amount
    commitment = d.category == COMMITMENT
    return DetailedLine(
        pricer_reference_id=d.reference,
        child_unique_reference_id=d.reference,
        quantity=d.quantity,
        per_unit_amount=d.per_unit,
        totals=Totals(
            amount=ZERO if commitment else d.gross,
            charges_total=d.gross if commitment else ZERO,
            discounts_total=discounts,
            credits_total=credit,
            total=d.net,
        ),
        name=f"{line_name}: {d.label}" if d.label else line_name,
        category=d.category,
        payment_term=d.payment_term,
        service_period=d.period,
        currency=currency.key,
        amount_discounts=tuple(d.discounts) if d.discounts else (),
        credits_applied=tuple(d.credits) if d.credits else (),
    )


@exact
def without_credits(line: DetailedLine) -> DetailedLine:
    """The line as if no credit had been applied, its total from the identity; engines compare these (run rating R8)."""
    t = line.totals
    total = t.amount + t.charges_total - t.discounts_total
    if not line.credits_applied and not t.credits_total and t.total == total:
        return line
    return msgspec.structs.replace(
        line, credits_applied=(), totals=msgspec.structs.replace(t, credits_total=ZERO, total=total)
    )


def validate_line(line: DetailedLine, findings: Findings, path: str = "", *, named: bool = False) -> None:
    """Note what makes a line invalid (rating §13, run rating R4). A negative quantity is fine.

    `named` asks for a name, too: a line that goes out on an invoice has one.
    """

    def invalid(message: str) -> None:
        findings.add(path, "invalid_detailed_line", f"{path}: {message}" if path else message)

    if line.category not in {REGULAR, COMMITMENT}:
        invalid(f"invalid category {line.category}")
    if named and not line.name:
        invalid("name must not be empty")
    if not line.child_unique_reference_id:
        invalid("child unique reference id must not be empty")
    if not line.pricer_reference_id:
        invalid("pricer reference id must not be empty")
    if line.per_unit_amount < 0:
        invalid("per unit amount must not be negative")
    if line.payment_term not in {IN_ADVANCE, IN_ARREARS}:
        invalid(f"invalid payment term {line.payment_term}")
    if line.corrects_run_id is not None and not line.corrects_run_id:
        invalid("corrects run id must not be empty")


def booked(lines: Iterable[DetailedLine], ids: Iterable[str]) -> tuple[DetailedLine, ...]:
    """The lines with the ids under which they are kept; later runs name them when they take them back."""
    return tuple(msgspec.structs.replace(line, id=id_) for line, id_ in zip(lines, ids, strict=True))
