"""How an invoice looks: the document as somebody in finance reads it, and a listing of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from ledger.cli import render
from ledger.cli.render import Column, Shown

if TYPE_CHECKING:
    from aggregates.values.money import Currency
    from ledger.invoice_answers import InvoiceView


def show_invoice(state: Any) -> Shown:
    """An invoice right after a command, or as it stands."""
    from ledger.invoice_answers import invoice_answer

    found = invoice_answer(state)
    return Shown(found, tuple(page(found)))


def page(found: InvoiceView) -> Iterator[RenderableType]:
    """The document: who, when, lines, what it comes to, what became of the money."""
    yield render.facts(f"Invoice {found.number or '(draft)'}", _head(found))
    yield ""
    yield _lines(found)
    yield ""
    yield render.facts(f"In {found.currency.code}", _sums(found))
    if found.payments:
        yield ""
        rows = [(p.at, p.kind, _money(p.amount, found), p.reference, p.source) for p in found.payments]
        yield render.table(("payment", "what", Column("amount", right=True), "reference", "from"), rows, empty="")
    for note in found.credit_notes:
        yield ""
        yield render.facts(f"Credit note {note.number.text}", _credit_note(note, found))
    for issue in found.issues:
        yield render.bad(f"{issue.severity}: {issue.message} ({issue.code})")


def listing(found: Sequence[InvoiceView]) -> RenderableType:
    """Several invoices, a line each."""
    columns = (
        "number",
        "customer",
        "status",
        "issued",
        "due",
        Column("total", right=True),
        Column("open", right=True),
        "id",
    )
    rows = [
        (
            each.number,
            each.customer,
            each.status,
            each.issued.issue_date if each.issued else None,
            each.issued.due_date if each.issued else None,
            render.money(each.payable, each.currency),
            render.money(each.open, each.currency),
            each.invoice,
        )
        for each in found
    ]
    return render.table(columns, rows, empty="No invoices.")


def waiting(found: Sequence[Any]) -> RenderableType:
    """What waits to be invoiced."""
    columns = ("charge", Column("name", words=True), "period", Column("amount so far", right=True), "invoiced from")
    rows = [
        (
            each.charge,
            each.content.name,
            render.period(each.content.period.from_, each.content.period.to),
            f"{each.content.totals.total} {each.currency}",
            each.invoice_at,
        )
        for each in found
    ]
    return render.table(columns, rows, empty="Nothing waits to be invoiced.")


def line_page(content: Any, currency: Currency) -> Iterator[RenderableType]:
    """A line that is not on any invoice yet."""
    yield render.facts(content.name, _line_facts(content, currency))
    rows = [
        (
            part.name or part.pricer_reference_id,
            part.quantity,
            part.per_unit_amount,
            render.amount(part.totals.amount, currency),
        )
        for part in content.detailed_lines
    ]
    if rows:
        yield ""
        right = [Column(head, right=True) for head in ("quantity", "per unit", "amount")]
        yield render.table(("line", *right), rows, empty="")


def _line_facts(content: Any, currency: Currency) -> dict[str, object]:
    values: dict[str, object] = {"period": render.period(content.period.from_, content.period.to)}
    values |= {"quantity": content.quantity} if content.quantity is not None else {}
    values |= {"collected from": content.collected_after} if content.collected_after is not None else {}
    return values | {"total": render.money(content.totals.total, currency)}


def _head(found: InvoiceView) -> dict[str, object]:
    values: dict[str, object] = {"status": found.status}
    issued = found.issued
    if issued is not None:
        values |= {
            "issued": issued.issue_date,
            "due": issued.due_date,
            "supplied": issued.tax_point,
            "from": _party(issued.seller),
            "to": _party(issued.buyer),
        }
    else:
        values |= {"to": found.customer}
        values |= {"collected from": found.collection_at} if found.collection_at is not None else {}
    values |= {"description": found.description} if found.description else {}
    return values | {"id": found.invoice}


def _party(party: Any) -> str:
    parts = (party.name, *party.address, party.country, party.tax_id, party.reference)
    return ", ".join(part for part in parts if part)


def _lines(found: InvoiceView) -> RenderableType:
    right = [Column(head, right=True) for head in ("quantity", "price", "amount", "discount", "credit", "to pay")]
    columns: tuple[Column | str, ...] = (Column("line", words=True), "period", *right, "id")
    rows = [row for line in found.live_lines for row in _line(line, found)]
    return render.table(columns, rows, empty="No lines.")


def _line(line: Any, found: InvoiceView) -> Iterator[tuple[object, ...]]:
    """A line, and below it the steps of its price where it has several."""
    content, totals = line.content, line.totals
    details = content.detailed_lines
    price = details[0].per_unit_amount if len(details) == 1 else content.unit_amount
    quantity = details[0].quantity if len(details) == 1 else content.quantity
    yield (
        content.name,
        render.period(content.period.from_, content.period.to),
        quantity if quantity is not None else "",
        price if price is not None else "",
        _money(totals.amount + totals.charges_total, found),
        _money(totals.discounts_total, found) if totals.discounts_total else "",
        _money(totals.credits_total, found) if totals.credits_total else "",
        _money(totals.total, found),
        line.line_id,
    )
    for part in details if len(details) > 1 else ():
        amount = _money(part.totals.amount + part.totals.charges_total, found)
        name = f"  {part.name or part.pricer_reference_id}"
        yield (name, "", part.quantity, part.per_unit_amount, amount, "", "", "", "")


def _sums(found: InvoiceView) -> dict[str, object]:
    totals = found.totals
    values: dict[str, object] = {"amount": _money(totals.amount, found)}
    for words, figure in (
        ("minimum commitment", totals.charges_total),
        ("discounts", -totals.discounts_total),
        ("credit applied", -totals.credits_total),
    ):
        values |= {words: _money(figure, found)} if figure else {}
    values["net"] = _money(totals.total, found)
    values["tax"] = _money(found.tax_total, found) if found.taxed else "none was calculated"
    values["total"] = _money(found.payable, found)
    for words, figure in (
        ("paid", found.paid),
        ("promised", found.authorized),
        ("credited", found.credited),
        ("written off", found.written_off),
    ):
        values |= {words: _money(figure, found)} if figure else {}
    values["due"] = _money(found.open, found)
    values |= {"left for the next invoice": _money(found.unapplied, found)} if found.unapplied else {}
    return values


def _credit_note(note: Any, found: InvoiceView) -> dict[str, object]:
    return {
        "of invoice": note.invoice_number,
        "issued": note.issue_date,
        "why": note.reason or note.cause,
        "total": _money(note.total, found),
        "of it tax": _money(note.tax_total, found) if note.tax_total else None,
    }


def _money(amount: Any, found: InvoiceView) -> str:
    return render.amount(amount, found.currency)
