"""`ledger demo --year`: the story of `ledger.demo.year`, chapter by chapter, and the proof every story ends with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from ledger.cli import invoice_page, render, statements
from ledger.cli.render import Column

if TYPE_CHECKING:
    from ledger.demo import parts, year


def _opening(chapter: year.Opening) -> list[RenderableType]:
    credits_ = [(name, _usd(amount), expires, only) for name, amount, expires, only in chapter.credits]
    return [
        render.heading("1 January 2026 · Harbour Analytics, a plan, three metered features, and credit for usage"),
        render.table(("is charged for", Column("in USD", words=True)), chapter.charged, empty=""),
        "",
        render.table(("credit", Column("USD", right=True), "expires", "pays for"), credits_, empty=""),
    ]


def _months(chapter: year.Months) -> list[RenderableType]:
    rows: list[tuple[object, ...]] = []
    for month in chapter.months:
        for number, each in enumerate(month.invoices):
            last = number == len(month.invoices) - 1
            rows.append(
                (
                    month.month if not number else "",
                    each.number,
                    each.issued[5:],
                    each.why,
                    _usd(each.amount),
                    _or_nothing(each.credit),
                    _usd(each.total),
                    _or_nothing(each.credited),
                    _usd(each.paid),
                    _usd(month.credit) if last else "",
                )
            )
    right = [Column(head, right=True) for head in ("amount", "credit", "to pay", "credited", "paid", "credit left")]
    return [
        render.heading("The year, invoice by invoice, in USD"),
        render.table(("month", "invoice", "issued", Column("for", words=True), *right), rows, empty=""),
    ]


def _changed(chapter: year.Changed) -> list[RenderableType]:
    return [
        render.heading("16 June · the plan changes: half of June's fee comes back by a credit note"),
        *invoice_page.page(chapter.invoice),
    ]


def _billed(chapter: year.Billed) -> list[RenderableType]:
    return [render.heading("The invoice of October's usage and November's fee"), *invoice_page.page(chapter.invoice)]


def _credit_statement(chapter: year.CreditStatement) -> list[RenderableType]:
    return [
        render.heading("The statement of February's credit, by the month that usage belongs to"),
        *statements.statement_page(chapter.statement),
    ]


def _books(chapter: year.Books) -> list[RenderableType]:
    return [
        render.heading("The trial balance at the end of December, with what is owed for it in January"),
        statements.balance_page(chapter.balance),
    ]


def _sums(chapter: year.Sums) -> list[RenderableType]:
    values = {
        "invoiced": _usd(chapter.invoiced),
        "credited by notes": _usd(chapter.credited),
        "received": _usd(chapter.received),
        "left for the next invoice": _usd(chapter.left),
        "usage that credit paid for": _usd(chapter.by_credit),
    }
    return [render.facts("What the year came to, in USD", values)]


def proof(chapter: parts.Proof) -> list[RenderableType]:
    """How the rebuild and the verification went."""
    equal = sum(view.equal for view in chapter.views)
    rows = sum(view.rows for view in chapter.views)
    parts: list[RenderableType] = [render.heading("And the proof")]
    if equal == len(chapter.views):
        parts.append(
            render.done(f"✓ {equal} views rebuilt from the first event: all {rows} rows are as they were kept.")
        )
    else:
        parts += [render.bad(f"✗ {view.view} is not what its events say") for view in chapter.views if not view.equal]
    if chapter.sound:
        parts.append(render.done("✓ The whole history was verified: it is sound."))
    else:
        parts += [render.bad(f"✗ {finding}") for finding in chapter.findings]
    return parts


def _usd(value: Decimal) -> str:
    return f"{value:.2f}"


def _or_nothing(value: Decimal) -> str:
    return _usd(value) if value else ""


TELL: Mapping[str, Callable[[Any], list[RenderableType]]] = {
    "opening": _opening,
    "months": _months,
    "changed": _changed,
    "billed": _billed,
    "credit_statement": _credit_statement,
    "books": _books,
    "sums": _sums,
    "proof": proof,
}
LOOK = (
    "ledger invoice list harbour",
    "ledger statement harbour --month 2026-06",
    "ledger trial-balance --month 2026-12",
    "ledger credit list harbour",
    "ledger verify",
)
"""Commands that show more of it."""
