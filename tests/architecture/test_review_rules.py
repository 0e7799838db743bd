"""The rules that came out of review each have a test that names them, and tests keep what they share to themselves."""

import ast
import re

from tests.support.source import Source, report, sources

RULES = tuple(f"R-{number:02}" for number in range(1, 31))
"""The tags of the specification of lifecycles, section 20."""

SHARED = frozenset({"SettableClock", "Ledger.open", "opened", "Desk", "MemoryStore", "Book"})
"""What remembers: made for a whole module, one test would see what another left, and the order would matter."""


def named_in(source: Source) -> set[str]:
    """The tags in the docstrings of a file's tests."""
    found: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found |= set(re.findall(r"\bR-\d\d\b", ast.get_docstring(node) or ""))
    return found


def test_every_rule_of_the_review_is_named_by_a_test() -> None:
    named = set[str]().union(*(named_in(source) for source in sources("tests")))

    assert set(RULES) <= named, report(sorted(set(RULES) - named))
    assert named <= set(RULES), f"tags that no rule has: {sorted(named - set(RULES))}"


def made_for_all(source: Source) -> list[str]:
    """Clocks and stores that a module makes once for all its tests, in its body or in a fixture of a wide scope."""
    found: list[str] = []
    for statement in source.tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            found += [
                source.breach(call.lineno, f"{ast.unparse(call.func)} is shared by all tests of the module")
                for call in ast.walk(statement.value)
                if isinstance(call, ast.Call) and ast.unparse(call.func) in SHARED and not _is_deferred(statement, call)
            ]
    return found


def _is_deferred(statement: ast.stmt, call: ast.Call) -> bool:
    """Whether the call is made by a function that the statement only defines."""
    return any(call in ast.walk(node) for node in ast.walk(statement) if isinstance(node, ast.Lambda))


def test_every_test_has_a_clock_and_a_store_of_its_own() -> None:
    """R-26: a clock that one test set is never another's, so tests may run in any order."""
    breaches = [breach for source in sources("tests") for breach in made_for_all(source)]

    assert not breaches, report(breaches)


def test_a_clock_that_a_module_shares_would_be_found() -> None:
    text = "CLOCK = SettableClock('2026-01-01')\nMAKE = lambda: SettableClock('2026-01-01')\n"

    assert made_for_all(Source("tests/test_x.py", text)) == [
        "tests/test_x.py:1: SettableClock is shared by all tests of the module"
    ]
