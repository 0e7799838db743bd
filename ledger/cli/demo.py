"""`ledger demo`: the stories of `ledger.demo`, told as they happen."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.console import RenderableType

from ledger.cli import demo_year, parse, render
from ledger.cli.render import Column, Shown

if TYPE_CHECKING:
    from ledger.demo import story

app = typer.Typer()

KEPT_FILE = "ledger-demo.db"
NAMESPACE = "demo"


@app.command("demo")
def demo(
    *,
    db: Annotated[str | None, typer.Option(metavar="URL", help="Play it there, and keep it.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help=f"Keep it in {KEPT_FILE}, in this folder.")] = False,
    year: Annotated[bool, typer.Option("--year", help="A year of one customer instead, with its invoices.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON, with decimals as text.")] = False,
) -> int:
    """See the ledger at work: six weeks of three customers, made up, in a few seconds.

    Without options it leaves nothing behind.
    """
    told: Tellers = demo_year.TELL if year else _TELL
    with _place(db, keep=keep) as url:
        namespace, chapters = _play(url, year=year)
        data: dict[str, object] = {}
        for chapter in chapters:
            data[_name(chapter)] = chapter
            if not as_json:
                render.tell(*told[_name(chapter)](chapter), "")
        proof: Any = data["proof"]
        sound = proof.sound and all(view.equal for view in proof.views)
        kept = db is not None or keep
        if as_json:
            data |= {"database": url if kept else None, "namespace": namespace}
            render.show(Shown(data), as_json=True)
        else:
            look = demo_year.LOOK if year else _LOOK
            render.tell(*_what_next(url if kept else None, namespace, look))
    return 0 if sound else 1


@contextmanager
def _place(db: str | None, *, keep: bool) -> Generator[str]:
    """Where it is played: where the caller says, in a file that stays, or in a folder that goes."""
    if db is not None:
        yield parse.database(db)
    elif keep:
        yield f"sqlite:///{KEPT_FILE}"
    else:
        with tempfile.TemporaryDirectory(prefix="ledger-demo-") as folder:
            yield parse.database(str(Path(folder, KEPT_FILE)))


def _play(url: str, *, year: bool) -> tuple[str, Iterable[object]]:
    """The story in a namespace of the database that nobody has used yet, and that namespace."""
    from ledger import Ledger, SettableClock
    from ledger.demo import story
    from ledger.demo import year as of_a_year

    def chapters(namespace: str) -> Generator[object]:
        clock = SettableClock(story.BEGINNING)
        with Ledger.open(url, clock=clock, namespace=namespace, actor="demo") as ledger:
            yield from of_a_year.play(ledger, clock) if year else story.play(ledger, clock)

    number = 1
    while _is_taken(url, namespace := NAMESPACE if number == 1 else f"{NAMESPACE}-{number}"):
        number += 1
    return namespace, chapters(namespace)


def _is_taken(url: str, namespace: str) -> bool:
    from ledger import Ledger, SettableClock
    from ledger.demo import story

    with Ledger.open(url, clock=SettableClock(story.BEGINNING), namespace=namespace, actor="demo") as ledger:
        return bool(ledger.views.customers(limit=1).items)


def _name(chapter: object) -> str:
    """`FirstFigures` is told as `first_figures`."""
    name = type(chapter).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


# ── chapter by chapter ───────────────────────────────────────────────────────────────────────────────────────


def _opening(chapter: story.Opening) -> list[RenderableType]:
    sold = {sale.customer: f"{sale.feature}, {sale.terms}" for sale in chapter.charges}
    rows = [
        (c.customer, c.name, _usd(c.amount), c.priority, _day(c.expires_at), c.only_for or "everything")
        for c in chapter.credits
    ]
    columns = (
        "customer",
        "credit",
        Column("USD", right=True),
        Column("used as no.", right=True),
        "expires",
        "pays for",
    )
    return [
        render.heading("1 January 2026 · three customers with prepaid credit"),
        render.table(columns, rows, empty=""),
        "",
        render.table(("customer", Column("is charged for, in USD", words=True)), list(sold.items()), empty=""),
    ]


def _first_figures(chapter: story.FirstFigures) -> list[RenderableType]:
    return [
        render.heading(f"1 February · January is over; {chapter.events:,} usage events came in, day by day"),
        _figures(chapter.figures),
        "",
        render.note("These figures may still change: usage may be reported until 3 February."),
    ]


def _late_usage(chapter: story.LateUsage) -> list[RenderableType]:
    return [
        render.heading(f"2 February · {chapter.customer} reports {chapter.events} events of January a day late"),
        render.note(f"{_count(chapter.quantity)} tokens, inside the collection period of two days."),
    ]


def _final_figures(chapter: story.FinalFigures) -> list[RenderableType]:
    return [render.heading("3 February · collection is over, the figures are final"), _figures(chapter.figures)]


def _bills(chapter: story.Bills) -> list[RenderableType]:
    lines = [
        (bill.customer, _count(line.quantity), render.cell(line.per_unit), _usd(line.amount))
        for bill in chapter.bills
        for line in bill.lines
    ]
    paid = [
        (bill.customer, part.at.strftime("%-d %B"), _usd(part.amount), _SOURCES[part.source])
        for bill in chapter.bills
        for part in bill.paid
    ]
    right = [Column(head, right=True) for head in ("quantity", "per unit", "USD")]
    return [
        render.heading("How they came about"),
        render.table(("customer", *right), lines, empty=""),
        "",
        render.table(("customer", "paid on", Column("USD", right=True), "from"), paid, empty=""),
    ]


def _top_up(chapter: story.TopUp) -> list[RenderableType]:
    return [
        render.heading(f"5 February · {chapter.customer} buys {_usd(chapter.amount)} USD of credit"),
        render.note(
            f"Its balance goes from {_usd(chapter.before)} to {_usd(chapter.after)}: the advance is covered first."
        ),
    ]


def _balances(chapter: story.Balances) -> list[RenderableType]:
    heads = ("1 February, as known on 2 February", "1 February, as known now", "today")
    columns: tuple[Column | str, ...] = ("balance in USD", *(Column(head, right=True) for head in heads))
    rows = [(b.customer, _usd(b.as_known_then), _usd(b.as_known_now), _usd(b.today)) for b in chapter.balances]
    return [
        render.heading("11 February · every balance has two time axes: when it was true, and when it was known"),
        render.table(columns, rows, empty=""),
        "",
        render.note("The late usage changed what is known of January, and not what was known then."),
        render.note("9.00 of cedar's trial credit lapsed unused on 10 February."),
    ]


def _told(chapter: story.Told) -> list[RenderableType]:
    rows = [(at.strftime("%d %b %H:%M"), sentence) for at, sentence in chapter.lines]
    return [
        render.heading(f"The history of {chapter.customer}'s charge, in words"),
        render.table(("at (UTC)", Column("what happened", words=True)), rows, empty=""),
    ]


Tellers: TypeAlias = Mapping[str, Callable[[Any], list[RenderableType]]]
_TELL: Tellers = {
    "opening": _opening,
    "first_figures": _first_figures,
    "late_usage": _late_usage,
    "final_figures": _final_figures,
    "bills": _bills,
    "top_up": _top_up,
    "balances": _balances,
    "told": _told,
    "proof": demo_year.proof,
}
_SOURCES = {"real_credit": "credit", "advance": "an advance, until there is credit", "returned": "given back"}


_LOOK = (
    "ledger balance birch               and with --as-of 2026-02-04",
    "ledger runs acme",
    "ledger entries cedar",
    "ledger history --customer acme",
    "ledger verify",
)


def _what_next(url: str | None, namespace: str, look: Sequence[str]) -> list[RenderableType]:
    if url is None:
        return [
            render.heading("What to try next"),
            "  ledger demo --keep                 keep it, and look around in it",
            "  ledger init                        begin a ledger of your own",
            "  ledger --help                      everything there is",
        ]
    return [
        render.heading("What to try next"),
        f"  export LEDGER_URL={url} LEDGER_NAMESPACE={namespace}",
        *(f"  {command}" for command in look),
    ]


def _figures(figures: tuple[story.Figure, ...]) -> RenderableType:
    columns = ("customer", Column("quantity", right=True), Column("USD", right=True), "status of the charge")
    return render.table(columns, [(f.customer, _count(f.quantity), _usd(f.total), f.status) for f in figures], empty="")


def _usd(value: Decimal) -> str:
    return f"{value:.2f}"


def _count(value: Decimal) -> str:
    return f"{value:,f}".replace(",", " ")


def _day(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d") if moment else "never"
