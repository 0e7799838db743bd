"""What decides and what folds depends on nothing but its arguments: today, in a year, on another machine.

Read from the source of `aggregates/` and of `projections/` without its stores: no clock, no randomness, no
environment, no input or output, and no binary fractions near money or quantities. What may be imported from the
standard library is listed, so that a new dependency is a decision.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.support.source import Source, report, sources

# zoneinfo reads tables of time zones from files. They are data, the same everywhere for the same zone and time,
# and a calendar month in a customer's zone cannot be known without them.
PURE_LIBRARY = frozenset(
    {
        "__future__",
        "abc",
        "bisect",
        "calendar",
        "collections",
        "contextlib",
        "contextvars",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "graphlib",
        "hashlib",
        "heapq",
        "itertools",
        "keyword",
        "math",
        "numbers",
        "operator",
        "re",
        "string",
        "struct",
        "textwrap",
        "types",
        "typing",
        "unicodedata",
        "uuid",
        "zoneinfo",
    }
)

IMPURE_NAMES = {
    "datetime": {"now": "a clock", "today": "a clock", "utcnow": "a clock", "fromtimestamp": "the machine's zone"},
    "date": {"today": "a clock", "fromtimestamp": "the machine's zone"},
    "uuid": dict.fromkeys(("uuid1", "uuid4", "uuid6", "uuid7", "uuid8", "getnode"), "randomness"),
}
"""Parts of permitted modules and classes which ask the outside."""

EXACT_MATHEMATICS = frozenset({"comb", "gcd", "isqrt", "lcm", "perm", "prod"})
"""What of `math` stays among whole numbers."""

IMPURE_CALLS = {
    "__import__": "hides an import",
    "breakpoint": "is a leftover",
    "eval": "runs text",
    "exec": "runs text",
    "float": "makes a binary fraction",
    "hash": "differs from process to process",
    "id": "differs from process to process",
    "input": "is input",
    "open": "is input or output",
    "print": "is output",
}


def breaches_of(source: Source) -> list[str]:
    """Every place of the file that asks the outside, or computes with binary fractions."""
    found = [*impure_imports(source), *impure_expressions(source)]
    return [source.breach(line, what) for line, what in sorted(set(found))]


def impure_imports(source: Source) -> Iterator[tuple[int, str]]:
    for imported in source.imports:
        package = imported.module.partition(".")[0]
        if package in ("aggregates", "projections", "msgspec"):
            continue
        if package not in PURE_LIBRARY:
            yield imported.line, f"{package} is not among the pure parts of the standard library"
        elif package == "math" and imported.name is not None and imported.name not in EXACT_MATHEMATICS:
            yield imported.line, f"math.{imported.name} computes with binary fractions"
        elif imported.name in IMPURE_NAMES.get(package, {}):
            yield imported.line, f"{package}.{imported.name} is {IMPURE_NAMES[package][imported.name]}"


def impure_expressions(source: Source) -> Iterator[tuple[int, str]]:
    refused_here = {id(part) for part in refusals_of_floats(source.tree)}
    special = {id(part) for part in hashing_methods(source.tree)}
    for node in ast.walk(source.tree):
        match node:
            case ast.Constant(value=float() | complex()):
                yield node.lineno, f"{node.value!r} is a binary fraction; write a Decimal or a whole number"
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS and id(node) not in special:
                yield node.lineno, f"{name}() {IMPURE_CALLS[name]}"
            case ast.Name(id="float") if id(node) not in refused_here:
                yield node.lineno, "float is a binary fraction; name it only to refuse it, in isinstance(...)"
            case ast.Attribute(value=ast.Name(id="math"), attr=name) if name not in EXACT_MATHEMATICS:
                yield node.lineno, f"math.{name} computes with binary fractions"
            case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name):
                what = IMPURE_NAMES.get(owner, {}).get(name)
                if what is not None:
                    yield node.lineno, f"{owner}.{name} is {what}"
            case _:
                pass


def refusals_of_floats(tree: ast.Module) -> Iterator[ast.AST]:
    """`isinstance(value, float)`: the one good reason to name the type."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            yield from ast.walk(node)


def hashing_methods(tree: ast.Module) -> Iterator[ast.AST]:
    """Inside `__hash__`, `hash` serves dictionaries of this process and goes nowhere else."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__hash__":
            yield from ast.walk(node)


def test_domain_and_folds_ask_nobody_and_know_no_binary_fraction() -> None:
    pure = [source for source in sources("aggregates", "projections") if "/stores/" not in source.path]

    breaches = [breach for source in pure for breach in breaches_of(source)]

    assert not breaches, report(breaches)


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "import random",
        "import os.path",
        "from pathlib import Path",
        "import sqlite3",
        "import logging",
        "from uuid import uuid4",
        "import uuid\nuuid.uuid1()",
        "from datetime import datetime\ndatetime.now(UTC)",
        "import datetime\ndatetime.datetime.now(UTC)",
        "from datetime import date\ndate.today()",
        "at = field(default_factory=datetime.now)",
        "x = 0.5",
        "x = 1e3",
        "x = float(y)",
        "def f(x: float) -> None: ...",
        "import math\nmath.floor(x)",
        "from math import ceil",
        "open(path)",
        "print(x)",
        "hash('order')",
        "def f():\n    import time",
    ],
)
def test_what_is_not_pure_is_found(line: str) -> None:
    assert breaches_of(Source("aggregates/sample.py", line))


@pytest.mark.parametrize(
    "line",
    [
        "from datetime import UTC, datetime, timedelta",
        "from uuid import UUID, uuid5",
        "from math import gcd",
        "half = Decimal('0.5')",
        "if isinstance(value, float | bool):\n    refuse(value)",
        "at = facts.now",
        "def __hash__(self):\n    return hash((self.amount, self.currency))",
        "'''Costs 0.5 per unit.'''",
    ],
)
def test_what_is_pure_is_not(line: str) -> None:
    assert breaches_of(Source("aggregates/sample.py", line)) == []
