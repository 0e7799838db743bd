"""Who may know whom: every module stands on a floor, and imports only what its floor allows.

The table below is the rule. Imports are read from the source, so that an import inside a function or for types
alone counts as well; a breach is named by file and line. A module that stands on no floor is a breach too: a new
part of the system gets its place here before it gets its first user.
"""

import re
import sys
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import pytest

from tests.support.source import PACKAGES, Import, Source, report, sources

SQL_DRIVERS = ("psycopg", "psycopg_pool")
DATABASES = ("eventsourcing", *SQL_DRIVERS)
TERMINAL = ("typer", "rich")
PYDANTIC = ("pydantic", "pydantic_core")

GRAMMAR = "event|lifecycle|outcome|policies"
AGGREGATE_NAMES = "credits|runs|charges|invoices|customers|catalogue|deliveries|namespaces"


@dataclass(frozen=True)
class Floor:
    """A floor: the modules on it, the floors it may import besides itself, and the libraries."""

    number: int
    name: str
    modules: str
    """A regular expression over whole module names; the first floor of the table that fits is the one."""
    knows: AbstractSet[int]
    libraries: AbstractSet[str]
    """Outside the standard library."""


# fmt: off
FLOORS = (
    # The edges first and the broad patterns last: the first that fits is taken.
    Floor(8, "edges",       r"ledger\.(cli|http)(\..+)?",              {0, 7},             {"msgspec", *TERMINAL}),
    Floor(6, "ports",       r"ledger\.(ports|store|metering)(\..+)?",  {0, 1, 2, 3, 4, 5}, {"msgspec", *DATABASES}),
    Floor(7, "application", r"ledger(\..+)?",                          {*range(7)},        {"msgspec", *PYDANTIC}),
    Floor(5, "tables",      r"projections\.stores(\..+)?",             {0, 1, 4},          {"msgspec", *SQL_DRIVERS}),
    Floor(4, "folds",       r"projections(\..+)?",                     {0, 1, 2, 3},       {"msgspec"}),
    Floor(0, "values",      r"aggregates(\.values(\..+)?)?",           set(),              {"msgspec"}),
    Floor(1, "grammar",     rf"aggregates\.({GRAMMAR})",               {0},                {"msgspec"}),
    Floor(2, "rules",       r"aggregates\.(rating|journal)(\..+)?",    {0, 1},             {"msgspec"}),
    Floor(3, "aggregates",  rf"aggregates\.({AGGREGATE_NAMES})(\..+)?", {0, 1, 2},         {"msgspec"}),
)

# On floor 3 each may import those to its left. What stands in one place does not know its neighbours there.
AGGREGATES_IN_ORDER = (
    (r"aggregates\.credits",),
    (r"aggregates\.runs",),
    (r"aggregates\.invoices",),  # knows charges and runs by their ids alone; charges answer what it tells them
    (r"aggregates\.charges(?!\.(decisions|flat_fee|usage_based|credit_purchase))",),
    (r"aggregates\.charges\.flat_fee", r"aggregates\.charges\.usage_based", r"aggregates\.charges\.credit_purchase"),
    (r"aggregates\.charges\.decisions",),  # the one place that names all types
    (r"aggregates\.customers",),
    (r"aggregates\.catalogue",),
    (r"aggregates\.namespaces",),
)
# fmt: on

FOLDS, AGGREGATES, RULES = 4, 3, 2


def floor_of(module: str) -> Floor | None:
    """The floor a module of ours stands on."""
    return next((floor for floor in FLOORS if re.fullmatch(floor.modules, module)), None)


def place_among_aggregates(module: str) -> tuple[int, str]:
    """How far to the right an aggregate stands, and by which pattern it was found."""
    for place, patterns in enumerate(AGGREGATES_IN_ORDER):
        for pattern in patterns:
            if re.match(rf"{pattern}(\.|$)", module):
                return place, pattern
    raise AssertionError(f"{module} stands on floor {AGGREGATES} but not in AGGREGATES_IN_ORDER")


def target(imported: Import, ours: frozenset[str]) -> str:
    """The module meant: in `from aggregates.credits import events`, that is `aggregates.credits.events`."""
    longer = f"{imported.module}.{imported.name}"
    return longer if longer in ours else imported.module


def breaches_of(source: Source, ours: frozenset[str]) -> list[str]:
    """Every import of the file that its floor forbids."""
    floor = floor_of(source.module)
    if floor is None:
        return [source.breach(1, f"{source.module} stands on no floor; give it one in FLOORS")]
    found: list[str] = []
    for imported in source.imports:
        package = imported.module.partition(".")[0]
        if package in PACKAGES:
            reason = why_not(floor, source.module, target(imported, ours), ours)
        elif package in sys.stdlib_module_names or package in floor.libraries:
            reason = None
        else:
            reason = f"floor {floor.number} ({floor.name}) may not import {package}"
        if reason is not None:
            found.append(source.breach(imported.line, reason))
    return found


def why_not(floor: Floor, importer: str, module: str, ours: frozenset[str]) -> str | None:
    """Why a module may not import another of ours, or None where it may."""
    below = floor_of(module)
    if below is None:
        return f"{module} stands on no floor; give it one in FLOORS"
    if below.number != floor.number and below.number not in floor.knows:
        return f"floor {floor.number} ({floor.name}) may not import {module} on floor {below.number} ({below.name})"
    if floor.number == below.number == AGGREGATES:
        return why_not_beside(importer, module)
    if (floor.number, below.number) == (FOLDS, AGGREGATES) and not is_events(module, ours):
        return f"views know aggregates by their events alone, and {module} is more than that"
    if (floor.number, below.number) == (FOLDS, RULES) and not module.startswith("aggregates.journal"):
        return f"views read postings as they were recorded and rate nothing, so they need no {module}"
    return None


def why_not_beside(importer: str, module: str) -> str | None:
    """Among aggregates: one's own folder and whatever stands to the left."""
    own, own_pattern = place_among_aggregates(importer)
    other, other_pattern = place_among_aggregates(module)
    if own_pattern == other_pattern or other < own:
        return None
    return f"{importer} may not import {module}, which does not stand to its left"


def is_events(module: str, ours: frozenset[str]) -> bool:
    """Whether it is an `events` module, or an aggregate so small that it is one file."""
    is_one_file = module.count(".") == 1 and not any(other.startswith(f"{module}.") for other in ours)
    return module.endswith((".events", "_events")) or is_one_file


def test_every_module_imports_only_what_its_floor_allows() -> None:
    all_of_ours = sources(*PACKAGES)
    ours = frozenset(source.module for source in all_of_ours)

    breaches = [breach for source in all_of_ours for breach in breaches_of(source, ours)]

    assert not breaches, report(breaches)


OURS = frozenset(
    {
        "aggregates.credits",
        "aggregates.credits.decisions",
        "aggregates.credits.events",
        "aggregates.customers",
        "aggregates.journal.chart",
        "aggregates.rating.unit",
        "aggregates.values.money",
        "ledger.facade",
    }
)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("aggregates/values/money.py", "import pydantic"),
        ("aggregates/values/money.py", "from aggregates.event import Event"),
        ("aggregates/rating/unit.py", "from aggregates.credits.events import CreditGranted"),
        ("aggregates/runs/decisions.py", "from aggregates.charges import intent"),
        ("aggregates/charges/flat_fee/state.py", "from aggregates.charges.usage_based.state import Charge"),
        ("aggregates/charges/intent.py", "from aggregates.charges.flat_fee.events import ChargeActivated"),
        ("aggregates/credits/state.py", "import ledger.facade"),
        ("projections/charges.py", "from aggregates.credits import decisions"),
        ("projections/charges.py", "from aggregates.credits.decisions import decide"),
        ("projections/charges.py", "from aggregates.rating.unit import rate"),
        ("projections/charges.py", "import psycopg"),
        ("projections/stores/sqlite.py", "from ledger.store import names"),
        ("ledger/store/sqlite.py", "from ledger import facade"),
        ("ledger/store/sqlite.py", "from ..facade import Ledger"),
        ("ledger/facade.py", "import typer"),
        ("ledger/facade.py", "from ledger.cli import main"),
        ("ledger/cli/charges.py", "from aggregates.credits.decisions import decide"),
        ("ledger/cli/charges.py", "def f():\n    from ledger.store import sqlite"),
        ("aggregates/novelty.py", "import re"),
    ],
)
def test_an_import_against_the_table_is_found(path: str, line: str) -> None:
    assert breaches_of(Source(path, line), OURS)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("aggregates/values/money.py", "import msgspec, decimal"),
        ("aggregates/runs/decisions.py", "from aggregates.credits.collection import collect"),
        ("aggregates/charges/flat_fee/state.py", "from aggregates.charges import intent"),
        ("aggregates/charges/flat_fee/state.py", "from .events import ChargeActivated"),
        ("projections/charges.py", "from aggregates.credits import events"),
        ("projections/charges.py", "from aggregates.journal.chart import Account"),
        ("projections/charges.py", "from aggregates.customers import CustomerRegistered"),
        ("projections/stores/postgres.py", "import psycopg"),
        ("ledger/store/sqlite.py", "import eventsourcing.sqlite, sqlite3"),
        ("ledger/facade.py", "from projections import catalogue"),
        ("ledger/cli/charges.py", "import typer, rich.table\nfrom ledger import Ledger"),
    ],
)
def test_an_import_within_the_table_is_not(path: str, line: str) -> None:
    assert breaches_of(Source(path, line), OURS) == []


def test_knowledge_runs_inward_only() -> None:
    """No floor knows a higher one, and no two floors know each other."""
    for floor in FLOORS:
        assert all(number < floor.number for number in floor.knows), floor.name
