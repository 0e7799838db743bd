"""Lines of an invoice as a view keeps them: plain data in the shape of `InvoiceLine`, and what becomes of their money.

Every event says how its amount spreads over lines, so that nothing is divided here. A bucket of a line (`authorized`,
`paid`, `credited`, `written_off`) is absent as long as nothing was put into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from aggregates.invoices.events import (
    CreditNoteIssued,
    InvoiceDeleted,
    InvoiceWrittenOff,
    LineAdded,
    LineDeleted,
    LineShare,
    LineUpdated,
    PaymentAuthorized,
    PaymentFailed,
    PaymentSettled,
    TaxCalculated,
)
from aggregates.values import decimals
from aggregates.values.decimals import EXACT, ZERO
from projections.plain import plain

Line: TypeAlias = dict[str, Any]
Lines: TypeAlias = list[Line]

TOTALS = ("amount", "charges_total", "discounts_total", "credits_total", "total")
BUCKETS = ("authorized", "paid", "credited", "written_off")


def changed_lines(lines: Lines, body: object) -> Lines | None:
    """The lines after the event; None where it does not touch them."""
    match body:
        case LineAdded(line=line):
            return [*lines, plain(line)]
        case LineUpdated():
            changes = {"content": plain(body.content)} | ({"run_id": str(body.run_id)} if body.run_id else {})
            return _each(lines, {body.line_id}, lambda line: line | changes)
        case LineDeleted():
            return _deleted(lines, (body.line_id,), body.deleted_at)
        case InvoiceDeleted():
            return _deleted(lines, body.lines, body.deleted_at)
        case TaxCalculated():
            return _taxed(lines, body)
        case _:
            return _after_payment(lines, body)


def collected(lines: Lines) -> Lines:
    """The lines once their charges have collected them."""
    return [line | {"collected": True} if is_live(line) else line for line in lines]


def figures(lines: Lines) -> dict[str, Decimal]:
    """What the live lines come to: totals, tax, and every bucket; `payable` = paid + credited + written off + open."""
    sums = dict.fromkeys((*TOTALS, "tax_total", *BUCKETS), ZERO)
    for line in filter(is_live, lines):
        shown = line["content"].get("totals", {})
        for name in TOTALS:
            sums[name] = EXACT.add(sums[name], Decimal(shown.get(name, "0")))
        tax: dict[str, str] = line.get("tax") or {}
        sums["tax_total"] = EXACT.add(sums["tax_total"], Decimal(tax.get("amount", "0")))
        for name in BUCKETS:
            sums[name] = EXACT.add(sums[name], _bucket(line, name)[0])
    payable = EXACT.add(sums["total"], sums["tax_total"])
    closed = EXACT.add(EXACT.add(sums["paid"], sums["credited"]), sums["written_off"])
    return sums | {"payable": payable, "open": EXACT.subtract(payable, closed)}


def is_live(line: Line) -> bool:
    """Whether the line counts."""
    return "deleted_at" not in line


def _after_payment(lines: Lines, body: object) -> Lines | None:
    match body:
        case PaymentAuthorized():
            return _moved(lines, body.shares, "authorized")
        case PaymentSettled():
            lines = _moved(lines, body.reinstated, "written_off", -1)
            lines = _moved(lines, body.shares, "paid")
            return _moved(lines, body.kept_promises, "authorized", -1)
        case PaymentFailed():
            return _moved(lines, body.released, "authorized", -1)
        case InvoiceWrittenOff():
            return _moved(lines, body.shares, "written_off")
        case CreditNoteIssued():
            return _credited(lines, body)
        case _:
            return None


def _credited(lines: Lines, body: CreditNoteIssued) -> Lines:
    for part in body.credit_note.lines:
        shares = (
            ("credited", 1, part.amount, part.net),
            ("authorized", -1, part.lapsed, part.lapsed_net),
            ("written_off", -1, part.reinstated, part.reinstated_net),
            ("paid", -1, part.freed, part.freed_net),
        )
        for bucket, sign, amount, net in shares:
            share = LineShare(line_id=part.line_id, amount=amount, net=net)
            lines = _moved(lines, (share,), bucket, sign)
    return lines


def _moved(lines: Lines, shares: Sequence[LineShare], bucket: str, sign: int = 1) -> Lines:
    """The lines with each share put into a bucket, or taken out of it."""
    for share in shares:

        def put(line: Line, share: LineShare = share) -> Line:
            amount, net = _bucket(line, bucket)
            plus = EXACT.add if sign > 0 else EXACT.subtract
            after = {"amount": plus(amount, share.amount), "net": plus(net, share.net)}
            return line | {bucket: {name: decimals.text(figure) for name, figure in after.items()}}

        lines = _each(lines, {share.line_id}, put)
    return lines


def _bucket(line: Line, name: str) -> tuple[Decimal, Decimal]:
    bucket: dict[str, str] = line.get(name, {})
    return Decimal(bucket.get("amount", "0")), Decimal(bucket.get("net", "0"))


def _deleted(lines: Lines, gone: Sequence[UUID], at: object) -> Lines:
    return _each(lines, set(gone), lambda line: line | {"deleted_at": plain(at)})


def _taxed(lines: Lines, body: TaxCalculated) -> Lines:
    taxes = {str(taxed.line_id): plain(taxed.tax) for taxed in body.lines}
    return [
        {name: value for name, value in line.items() if name != "tax"}
        | ({"tax": taxes[line["line_id"]]} if line["line_id"] in taxes else {})
        for line in lines
    ]


def _each(lines: Lines, ids: set[UUID], change: Callable[[Line], Line]) -> Lines:
    """The lines with those of these ids changed (R-02)."""
    named = {str(line_id) for line_id in ids}
    return [change(line) if line["line_id"] in named else line for line in lines]
