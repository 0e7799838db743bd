"""Lines of an invoice: what each shows, and what has become of its money.

A line belongs to one charge and, once the charge has started it, to one run; both by id (lifecycles §17.1). Its content
comes from the charge and is replaced as a whole. Amounts are in the invoice's fiat currency, exact at its precision.

What a line is worth is split over four buckets that always sum to it: `payable = paid + credited + written_off +
open`. Each bucket knows its *net* besides, the part that is not tax, because the ledger books net amounts. A share
of a bucket takes its net in proportion to what is left of it, so that the last share takes what remains:

    total 10.00, tax 2.00: a payment of 4.00 is net 3.33, the next 4.00 net 3.34, the last 4.00 net 3.33
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from aggregates.rating.lines import DetailedLine
from aggregates.values.decimals import ZERO, divide
from aggregates.values.errors import Findings
from aggregates.values.money import Currency
from aggregates.values.period import Instant, Period
from aggregates.values.totals import Totals


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything an invoice is made of."""


class LineKind(StrEnum):
    """What kind of charge stands behind the line."""

    FLAT = "flat"
    USAGE = "usage"
    CREDIT_PURCHASE = "credit_purchase"


class ManagedBy(StrEnum):
    """Who looks after the line."""

    CHARGE = "charge"
    """Its content follows the charge."""
    MANUAL = "manual"
    """It was made by hand (lifecycles §17.7); the charge behind it follows the line."""


class CreditUsed(Part, frozen=True, kw_only=True):
    """Customer credit that covers a part of the line; `realization` is the credit realization of the run."""

    amount: Decimal
    realization: UUID | None = None
    description: str = ""


class LineContent(Part, frozen=True, kw_only=True):
    """What a line shows; a charge replaces it as a whole.

    `quantity` is this line's own, `pre_line_quantity` what earlier lines have billed (lifecycles §5.4); for a custom
    currency's overage the quantity is in that currency and `unit_amount` is the rate. `collected_after` is the instant
    from which the line can be collected (collection end + 1 minute), absent where there is nothing to wait for.
    `totals.credits_total` is the sum of `credits_applied`, where these are given. `taxable` is false for purchases.
    """

    name: str
    period: Period
    quantity: Decimal | None = None
    pre_line_quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    totals: Totals = Totals()
    detailed_lines: tuple[DetailedLine, ...] = ()
    credits_applied: tuple[CreditUsed, ...] = ()
    collected_after: Instant | None = None
    taxable: bool = True
    tax_code: str | None = None
    description: str | None = None
    metadata: dict[str, str] = {}


class LineDraft(Part, frozen=True, kw_only=True):
    """A line as it is put on an invoice. `editable`: whether the API may edit it (through its charge)."""

    line_id: UUID
    charge_id: UUID
    kind: LineKind
    content: LineContent
    run_id: UUID | None = None
    managed_by: ManagedBy = ManagedBy.CHARGE
    editable: bool = False


class LineTax(Part, frozen=True, kw_only=True):
    """What the tax port answered for a line: `amount` is to be paid on top, `rate` in per cent, for people."""

    amount: Decimal
    rate: Decimal | None = None
    code: str | None = None
    jurisdiction: str | None = None


class Portion(Part, frozen=True, kw_only=True):
    """An amount with its tax in it, and the net of it without."""

    amount: Decimal = ZERO
    net: Decimal = ZERO

    def plus(self, other: Portion) -> Portion:
        """Both together."""
        return Portion(amount=self.amount + other.amount, net=self.net + other.net)

    def minus(self, other: Portion) -> Portion:
        """What is left without the other."""
        return Portion(amount=self.amount - other.amount, net=self.net - other.net)

    def share(self, amount: Decimal, currency: Currency) -> Portion:
        """A part of this portion with its net: in proportion, and exactly the rest when nothing stays."""
        if amount == self.amount:
            return self
        return Portion(amount=amount, net=divide(self.net * amount, self.amount, currency.precision))


class InvoiceLine(Part, frozen=True, kw_only=True):
    """A line as it stands; deleted ones stay and count for nothing.

    `collected`: the charge completed its collection. `tax` is absent as long as nobody calculated any.
    `authorized` is promised and not yet arrived; it is a part of what is open.
    """

    line_id: UUID
    charge_id: UUID
    kind: LineKind
    content: LineContent
    run_id: UUID | None = None
    managed_by: ManagedBy = ManagedBy.CHARGE
    editable: bool = False
    collected: bool = False
    deleted_at: datetime | None = None
    tax: LineTax | None = None
    authorized: Portion = Portion()
    paid: Portion = Portion()
    credited: Portion = Portion()
    written_off: Portion = Portion()

    @property
    def is_live(self) -> bool:
        """Whether the line counts."""
        return self.deleted_at is None

    @property
    def totals(self) -> Totals:
        """The five figures of the line."""
        return self.content.totals

    @property
    def tax_amount(self) -> Decimal:
        """The tax to be paid on top of the total; zero where none was calculated."""
        return self.tax.amount if self.tax is not None else ZERO

    @property
    def payable(self) -> Portion:
        """What the customer owes for the line, tax included, before any payment."""
        return Portion(amount=self.totals.total + self.tax_amount, net=self.totals.total)

    @property
    def open(self) -> Portion:
        """What is neither paid nor credited nor written off."""
        return self.payable.minus(self.paid).minus(self.credited).minus(self.written_off)

    @property
    def unauthorized(self) -> Portion:
        """What is open and nobody has promised to pay."""
        return self.open.minus(self.authorized)

    @property
    def creditable(self) -> Portion:
        """What a credit note can still take back."""
        return self.payable.minus(self.credited)


def line_of(draft: LineDraft) -> InvoiceLine:
    """The line that a draft makes."""
    return InvoiceLine(
        line_id=draft.line_id,
        charge_id=draft.charge_id,
        run_id=draft.run_id,
        kind=draft.kind,
        content=draft.content,
        managed_by=draft.managed_by,
        editable=draft.editable,
    )


def check_content(content: LineContent, currency: Currency, findings: Findings, path: str) -> None:
    """Note everything wrong with what a line is to show; the same on creation and on every update (R-04).

    Codes: `name_missing`, `too_many_decimals`, `totals_do_not_reconcile`, `negative_total`, `negative_quantity`,
    `credits_do_not_match_total`, `lines_do_not_sum`.
    """
    totals = content.totals
    if not content.name.strip():
        findings.add(f"{path}.name", "name_missing", "a line needs a name")
    for name in Totals.__struct_fields__:
        figure: Decimal = getattr(totals, name)
        if not currency.holds(figure):
            message = f"{figure:f} has more than the {currency.precision} decimals of {currency.code}"
            findings.add(f"{path}.totals.{name}", "too_many_decimals", message)
    if not totals.reconciles:
        message = f"the total is {totals.total:f}, and not amount + charges - discounts - credits"
        findings.add(f"{path}.totals.total", "totals_do_not_reconcile", message)
    if totals.total < 0:
        message = f"a line cannot be below zero, got {totals.total:f}; correct what was invoiced by a credit note"
        findings.add(f"{path}.totals.total", "negative_total", message)
    for name in ("quantity", "pre_line_quantity"):
        quantity: Decimal | None = getattr(content, name)
        if quantity is not None and quantity < 0:
            findings.add(f"{path}.{name}", "negative_quantity", f"{name} cannot be below zero, got {quantity:f}")
    used = sum((credit.amount for credit in content.credits_applied), ZERO)
    if content.credits_applied and used != totals.credits_total:
        message = f"the credits applied are {used:f}, credits_total says {totals.credits_total:f}"
        findings.add(f"{path}.credits_applied", "credits_do_not_match_total", message)
    _check_detailed_lines(content, currency, findings, path)


def _check_detailed_lines(content: LineContent, currency: Currency, findings: Findings, path: str) -> None:
    """Detailed lines in the invoice's own currency sum to the line, credit aside; those in credits are an annex."""
    details = [line for line in content.detailed_lines if line.currency == currency.key]
    if not details or len(details) != len(content.detailed_lines):
        return
    for name in ("amount", "charges_total", "discounts_total"):
        summed: Decimal = sum((getattr(line.totals, name) for line in details), ZERO)
        shown: Decimal = getattr(content.totals, name)
        if summed != shown:
            message = f"the detailed lines sum to {summed:f}, {name} says {shown:f}"
            findings.add(f"{path}.totals.{name}", "lines_do_not_sum", message)
